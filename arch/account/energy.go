package account

import (
	"slices"
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

// Pace is the clock of the cores and the voltage that it needs, as shares of those at the full clock.
type Pace struct{ Clock, Voltage float64 }

// Full is the full clock.
var Full = Pace{1, 1}

// Stretch is what a run came to while it went at one pace.
type Stretch struct {
	Pace    Pace
	Outcome *sim.Outcome
}

// Meter charges what a program does on a machine. It works out the energy of one chip.
type Meter struct {
	names []string
	// core marks components at the voltage of the cores: their energy per action goes with its square.
	core     []bool
	prices   []price // by counter
	standing []standing
	at       map[*plan.Body]Actions // of one iteration
	free     Actions                // that nobody has yet
	sum      []units.Joules         // of Total
	p        *plan.Program
}

// Actions is what actions cost by component, at the voltage of the full clock, and after that the seconds
// whose energy is in it as it was given, so that no standing power is charged for them.
type Actions []units.Joules

// price is what one count of a counter costs, and the component that it is charged to. Traffic of
// memory in DRAM is charged to up to three: the chip's side, the column accesses, the activations.
type price struct {
	part   int
	each   units.Joules
	access int // 0 for none
	column units.Joules
	rows   int // 0 for none
	row    [patterns]units.Joules
}

// standing is a power that no action is charged for.
type standing struct {
	part  int
	watts units.Watts
	busy  bool // only while kernels run, and proportional to clock and voltage squared
	leaks bool // proportional to voltage
}

// Patterns of access to memory.
const (
	stream = iota
	cache
	gather
	patterns
)

// pattern is how an operator of that kind goes through memory.
func pattern(kind string) int {
	switch {
	case strings.HasPrefix(kind, "attention"):
		return cache
	case kind == "embedding":
		return gather
	}
	return stream
}

// NewMeter returns a meter for a program on a machine.
func NewMeter(m *arch.Machine, p *plan.Program) *Meter {
	k := &Meter{p: p, prices: make([]price, len(p.Counters)), at: map[*plan.Body]Actions{}}
	matrix, vector, special := k.part("matrix", true), k.part("vector", true), k.part("special", true)
	for i, c := range p.Counters {
		switch {
		case c.Name == "vector.ops":
			k.prices[i] = price{part: vector, each: units.Joules(m.Energy.Vector)}
		case c.Name == "special.ops":
			k.prices[i] = price{part: special, each: units.Joules(m.Energy.Special)}
		case strings.HasPrefix(c.Name, "matrix.") && strings.HasSuffix(c.Name, ".ops"):
			k.prices[i] = price{part: matrix, each: units.Joules(m.Energy.Matrix[strings.TrimSuffix(strings.TrimPrefix(c.Name, "matrix."), ".ops")])}
		}
	}
	index := map[string]int{}
	for i, c := range p.Counters {
		index[c.Name] = i
	}
	set := func(counter string, v price) {
		if i, ok := index[counter]; ok {
			k.prices[i] = v
		}
	}
	for i := range m.Chip.Memory {
		tier := &m.Chip.Memory[i]
		each := units.Joules(m.Energy.Memory[tier.Name])
		side := k.part(tier.Name, tier.Kind == "sram")
		read, write := price{part: side, each: each}, price{part: side, each: each}
		if d := m.Energy.Devices(tier.Name); d != nil {
			rows := k.part(tier.Name+".activate", false)
			row := [patterns]units.Joules{d.Activate / units.Joules(d.Stream), d.Activate / units.Joules(d.Cache), d.Activate / units.Joules(d.Gather)}
			read.access, read.column, read.rows, read.row = k.part(tier.Name+".read", false), units.Joules(d.Read), rows, row
			write.access, write.column, write.rows, write.row = k.part(tier.Name+".write", false), units.Joules(d.Write), rows, row
			background, refresh := d.Always()
			k.standing = append(k.standing, standing{part: k.part(tier.Name+".refresh", false), watts: refresh},
				standing{part: k.part(tier.Name+".background", false), watts: background})
		}
		set(tier.Name+".read", read)
		set(tier.Name+".write", write)
	}
	if h := m.System.Host; h != nil && p.Placement.Streams() && p.Placement.Tier(h.Memory.Name) != nil {
		each := units.Joules(m.Energy.Memory[h.Memory.Name])
		part := k.part(h.Memory.Name, false)
		set(h.Memory.Name+".read", price{part: part, each: each})
		set(h.Memory.Name+".write", price{part: part, each: each})
		set(plan.HostBytes, price{part: k.part("host link", false), each: units.Joules(m.Energy.HostLink)})
	}
	set(plan.LinkResource+".sent", price{part: k.part("link", false), each: units.Joules(m.Energy.Link)})
	if slices.ContainsFunc(p.Resources, func(r plan.Resource) bool { return r.Name == plan.NICResource }) {
		set(plan.NICResource+".sent", price{part: k.part("network", false), each: units.Joules(m.Energy.Network)})
	}
	if m.Power.Links > 0 {
		k.standing = append(k.standing, standing{part: k.part("link.idle", false), watts: m.Power.Links})
	}
	k.standing = append(k.standing, standing{part: k.part("idle", false), watts: m.Power.Idle})
	if m.Power.Leakage > 0 {
		k.standing = append(k.standing, standing{part: k.part("leakage", false), watts: m.Power.Leakage, leaks: true})
	}
	k.standing = append(k.standing, standing{part: k.part("active", false), watts: m.Power.Active, busy: true})
	k.ownCosts(index)
	return k
}

// ownCosts prices calls whose energy was given: that is charged as it is, in picojoules, and the actions and
// the time that it covers are not.
func (k *Meter) ownCosts(index map[string]int) {
	given, ok := index[plan.OwnEnergy]
	if !ok {
		return
	}
	k.prices[given] = price{part: k.part("own costs", false), each: 1e-12}
	for name, i := range index {
		if of, own := strings.CutSuffix(name, plan.OwnSuffix); own {
			if of, ok := index[of]; ok {
				v := k.prices[of]
				v.each, v.column = -v.each, -v.column
				for how := range v.row {
					v.row[how] = -v.row[how]
				}
				k.prices[i] = v
			}
		}
	}
	if i, ok := index[plan.OwnEnergyTime]; ok { // in picoseconds
		k.prices[i] = price{part: len(k.names), each: 1e-12}
	}
}

// none is what no action costs.
func (k *Meter) none() Actions {
	n := len(k.names) + 1
	if len(k.free) < n {
		k.free = make(Actions, 32*n)
	}
	a := k.free[:n:n]
	k.free = k.free[n:]
	return a
}

func (k *Meter) part(name string, core bool) int {
	k.names, k.core = append(k.names, name), append(k.core, core)
	return len(k.names) - 1
}

// Names lists the components in their order.
func (k *Meter) Names() []string { return k.names }

// actions adds what work costs that is done in the given way, at the voltage of the full clock.
func (k *Meter) actions(to Actions, work sim.Counts, how int) {
	for i, n := range work {
		v := &k.prices[i]
		to[v.part] += units.Joules(float64(n) * float64(v.each))
		if v.rows > 0 {
			to[v.access] += units.Joules(float64(n) * float64(v.column))
			to[v.rows] += units.Joules(float64(n) * float64(v.row[how]))
		}
	}
}

// Body returns what the actions of one iteration of a body cost. Nobody may change it.
func (k *Meter) Body(b *plan.Body) Actions {
	if e, ok := k.at[b]; ok {
		return e
	}
	e := k.none()
	if b.Op >= 0 {
		k.actions(e, b.Work(), pattern(k.p.Ops[b.Op].Kind))
	} else {
		for i := range b.Nodes {
			for c, j := range k.Node(&b.Nodes[i]) {
				e[c] += j
			}
		}
	}
	k.at[b] = e
	return e
}

// Node returns what the actions of a node cost, all its iterations. Nobody may change it.
func (k *Meter) Node(n *plan.Node) Actions {
	if n.Body != nil && n.Times == 1 {
		return k.Body(n.Body)
	}
	e := k.none()
	if n.Body == nil {
		one := make(sim.Counts, len(k.prices))
		for _, c := range n.Step.Counts {
			one[c.Counter] += c.N
		}
		k.actions(e, one, stream)
		return e
	}
	for c, j := range k.Body(n.Body) {
		e[c] = units.Joules(float64(j) * float64(n.Times))
	}
	return e
}

// At returns what a chip uses by component that does the given actions in a time, of which it is busy a
// part, at a pace. No actions stand for none.
func (k *Meter) At(actions Actions, t, busy units.Time, at Pace) []units.Joules {
	e := make([]units.Joules, len(k.names))
	k.fill(e, actions, t, busy, at)
	return e
}

// Total is the sum of At.
func (k *Meter) Total(actions Actions, t, busy units.Time, at Pace) units.Joules {
	if k.sum == nil {
		k.sum = make([]units.Joules, len(k.names))
	}
	k.fill(k.sum, actions, t, busy, at)
	return Sum(k.sum)
}

func (k *Meter) fill(e []units.Joules, actions Actions, t, busy units.Time, at Pace) {
	square := float64(at.Voltage * at.Voltage)
	clear(e)
	if copy(e, actions); len(actions) > len(e) {
		covered := units.Time(float64(actions[len(e)])*1e12 + 0.5)
		t, busy = t-covered, busy-covered
	}
	for i, core := range k.core {
		if core {
			e[i] = units.Joules(float64(e[i]) * square)
		}
	}
	for _, s := range k.standing {
		switch {
		case s.busy:
			e[s.part] += units.Joules(float64(s.watts.During(busy)) * (at.Clock * square))
		case s.leaks:
			e[s.part] += units.Joules(float64(s.watts.During(t)) * at.Voltage)
		default:
			e[s.part] += s.watts.During(t)
		}
	}
}

// Busy is the time of an outcome in which kernels run.
func (k *Meter) Busy(o *sim.Outcome) units.Time {
	if k.p.Overlaps() {
		return min(o.Running(), o.Makespan)
	}
	return o.Stalls.Running()
}

// Sum adds up in order.
func Sum(parts []units.Joules) units.Joules {
	var j units.Joules
	for _, p := range parts {
		j += p
	}
	return j
}

// Op returns the energy of one operator of an outcome at a pace.
func (k *Meter) Op(op int, s *sim.OpStat, at Pace) units.Joules {
	e := k.none()
	k.actions(e, s.Work, pattern(k.p.Ops[op].Kind))
	return k.Total(e, s.Time, s.Stalls.Running(), at)
}

// Rest is what a chip draws that does nothing.
func (k *Meter) Rest() units.Watts {
	return k.Total(nil, units.Second, 0, Full).Per(units.Second)
}

// System is what all chips draw while each of those at work draws so much: others wait their turn.
func (k *Meter) System(chip units.Watts) units.Watts {
	return units.Watts(float64(chip)*float64(k.p.Running())) + k.waiting()
}

// waiting is what the chips draw that wait their turn.
func (k *Meter) waiting() units.Watts {
	if n := k.p.Waiting(); n > 0 {
		return k.Rest() * units.Watts(n)
	}
	return 0
}

// Energy works out the energy of a run from its stretches, over all chips.
func (k *Meter) Energy(run ...Stretch) Energy {
	chips, waiting := units.Joules(k.p.Running()), units.Joules(k.p.Waiting())
	rest := make([]units.Joules, len(k.names)) // of a chip that waits
	parts := make([]units.Joules, len(k.names))
	var time units.Time
	var e Energy
	for _, s := range run {
		o := s.Outcome
		time += o.Makespan
		actions := k.none()
		// Work is charged as that of its operator, and what no operator did as a stream.
		var by [patterns]sim.Counts
		for how := range by {
			by[how] = make(sim.Counts, len(o.Work))
		}
		copy(by[stream], o.Work)
		for i := range o.Ops {
			if how := pattern(k.p.Ops[i].Kind); how != stream {
				by[how].Add(o.Ops[i].Work, 1)
				by[stream].Add(o.Ops[i].Work, -1)
			}
		}
		for how := range by {
			k.actions(actions, by[how], how)
		}
		for i, j := range k.At(actions, o.Makespan, k.Busy(o), s.Pace) {
			parts[i] += j
		}
		if waiting > 0 {
			for i, j := range k.At(nil, o.Makespan, 0, Full) {
				rest[i] += j
			}
		}
		for i := range o.Ops {
			op := &o.Ops[i]
			if op.Time == 0 {
				continue
			}
			if w := (k.Op(i, op, s.Pace) * chips).Per(op.Time) + k.waiting(); w > e.Peak {
				e.Peak, e.PeakOp = w, k.p.Ops[i].Name
			}
		}
	}
	for i, j := range parts {
		part := Part{k.names[i], j * chips}
		if waiting > 0 {
			part.Joules += units.Joules(float64(rest[i] * waiting))
		}
		e.Parts = append(e.Parts, part)
		e.Total += part.Joules
	}
	e.Average = e.Total.Per(time)
	e.Peak = max(e.Peak, e.Average)
	return e
}
