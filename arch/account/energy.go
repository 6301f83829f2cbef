package account

import (
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Part is the energy of one component.
type Part struct {
	Name   string
	Joules units.Joules
}

// Energy is the energy and power of a run, over all chips of the mapping.
type Energy struct {
	Total   units.Joules
	Parts   []Part // in a fixed order
	Average units.Watts
	Peak    units.Watts
	PeakOp  string // the operator with the peak
}

// EnergyOf works out the energy of an outcome of the program on the machine.
func EnergyOf(m *arch.Machine, p *plan.Program, o *sim.Outcome) Energy {
	chips := units.Joules(p.Ranks)
	var e Energy
	for _, part := range parts(m, p, o.Work, o.Makespan, busy(p, o)) {
		part.Joules *= chips
		e.Parts = append(e.Parts, part)
		e.Total += part.Joules
	}
	e.Average = e.Total.Per(o.Makespan)
	for i := range o.Ops {
		op := &o.Ops[i]
		if op.Time == 0 {
			continue
		}
		var j units.Joules
		for _, part := range parts(m, p, op.Work, op.Time, running(op.Time, &op.Stalls)) {
			j += units.Joules(part.Joules * chips)
		}
		if w := j.Per(op.Time); w > e.Peak {
			e.Peak, e.PeakOp = w, p.Ops[i].Name
		}
	}
	e.Peak = max(e.Peak, e.Average)
	return e
}

// OpEnergy returns the energy of one operator of the outcome, over all chips of the mapping.
func OpEnergy(m *arch.Machine, p *plan.Program, op *sim.OpStat) units.Joules {
	var j units.Joules
	for _, part := range parts(m, p, op.Work, op.Time, running(op.Time, &op.Stalls)) {
		j += part.Joules
	}
	return j * units.Joules(p.Ranks)
}

// running is the part of a time in which a kernel runs.
func running(t units.Time, stalls *sim.Stalls) units.Time {
	return t - stalls[sim.Launch] - stalls[sim.Idle]
}

// busy returns how long kernels run. Where the host launches them ahead of the device, the critical path
// may be its launches while kernels run, so what counts is the time of each operator.
func busy(p *plan.Program, o *sim.Outcome) units.Time {
	if !p.Ahead() {
		return running(o.Makespan, &o.Stalls)
	}
	var t units.Time
	for i := range o.Ops {
		t += running(o.Ops[i].Time, &o.Ops[i].Stalls)
	}
	return t
}

// parts lists the energy of one chip by component, over a time in part of which kernels run.
func parts(m *arch.Machine, p *plan.Program, work sim.Counts, t, busy units.Time) []Part {
	work, given, givenTime := withoutOwn(p, work)
	var matrix, vector, special, link units.Joules
	tiers := make([]units.Joules, len(m.Chip.Memory))
	for i, n := range work {
		name := p.Counters[i].Name
		switch {
		case name == "vector.ops":
			vector += units.Ops(n).Cost(m.Energy.Vector)
		case name == "special.ops":
			special += units.Ops(n).Cost(m.Energy.Special)
		case name == "link.sent":
			link += units.Bytes(n).Cost(m.Energy.Link)
		case strings.HasPrefix(name, "matrix.") && strings.HasSuffix(name, ".ops"):
			matrix += units.Ops(n).Cost(m.Energy.Matrix[strings.TrimSuffix(strings.TrimPrefix(name, "matrix."), ".ops")])
		default:
			for k := range m.Chip.Memory {
				if tier := m.Chip.Memory[k].Name; name == tier+".read" || name == tier+".write" {
					tiers[k] += units.Bytes(n).Cost(m.Energy.Memory[tier])
				}
			}
		}
	}
	list := []Part{{"matrix", matrix}, {"vector", vector}, {"special", special}}
	for k := range tiers {
		list = append(list, Part{m.Chip.Memory[k].Name, tiers[k]})
	}
	list = append(list, Part{"link", link}, Part{"idle", m.Power.Idle.During(t - givenTime)}, Part{"active", m.Power.Active.During(busy - givenTime)})
	if given > 0 {
		list = append(list, Part{"own costs", given})
	}
	return list
}
