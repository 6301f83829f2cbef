package parallel

import (
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Bytes of memory that a chip moves for each byte that it sends, counted from what a step of a ring does: a gather writes what
// comes in, and reads what goes on; a reduction reads its own part as well.
const (
	gatherTraffic = 2
	reduceTraffic = 3
)

// load is what a communication takes of a chip while it runs, as x/(1−x) of each share x.
type load struct{ cores, memory float64 }

// mix is what limits a pass: the parts of its time that cores and memory limit.
type mix struct{ cores, memory float64 }

// one is the scale of a stretch, a part in a million: kernels take 1 + stretch/one times as long. It is an
// integer, as times are.
const one = 1 << 20

// mostTaken is the largest share of cores or of memory bandwidth that a communication is said to take. Estimated: kernels beside
// one keep at least a twentieth of the chip, so that x/(1−x) stays finite where a collective would take all of it.
const mostTaken = 0.95

// stretch is how much longer kernels of a mix take beside a load.
func (m mix) stretch(l load) int64 {
	return int64(math.Round((float64(m.cores*l.cores) + float64(m.memory*l.memory)) * one))
}

// taken returns x/(1−x), for a share x held within 0 and mostTaken.
func taken(x float64) float64 {
	x = min(max(x, 0), mostTaken)
	return x / (1 - x)
}

// load returns what a communication that sends bytes in a time takes.
func (c *Chip) load(k Kind, bytes units.Bytes, t units.Time, traffic float64) load {
	var l load
	if c.Cores > 0 {
		l.cores = taken(float64(c.Channels[k]) / float64(c.Cores))
	}
	if c.Bandwidth > 0 && t > 0 {
		l.memory = taken(float64(traffic*float64(bytes)) / t.Seconds() / float64(c.Bandwidth))
	}
	return l
}

// factors are how many times longer a class's kernels and its communication within units take.
type factors struct{ slow, links float64 }

// cost is what a pass comes to on one class.
type cost struct {
	time    units.Time
	stalls  sim.Stalls
	exposed [NumKinds]units.Time // communication within units: of the tensor group in Time, and what Comms leave exposed
}

func (c *cost) add(o *cost, n int64) {
	c.time += o.time * units.Time(n)
	c.stalls.Add(&o.stalls, n)
	for k := range c.exposed {
		c.exposed[k] += o.exposed[k] * units.Time(n)
	}
}

// mix returns what limits a pass of that cost.
func (c *cost) mix() mix {
	if c.time == 0 {
		return mix{}
	}
	t := float64(c.time)
	return mix{float64(c.stalls[sim.Compute]+c.stalls[sim.SRAM]) / t, float64(c.stalls[sim.HBM]) / t}
}

// mixesOf returns the mix of each class.
func mixesOf(cs []cost) []mix {
	all := make([]mix, len(cs))
	for i := range cs {
		all[i] = cs[i].mix()
	}
	return all
}

// cost returns what the unit comes to on a class, with the communication beside it.
func (u *Unit) cost(f factors) cost {
	var c cost
	for i, t := range u.Stalls {
		if sim.Cause(i) == sim.Link {
			t = scaled(t, f.links)
			c.exposed[Tensor] += t
		} else {
			t = scaled(t, f.slow)
		}
		c.stalls[i] = t
		c.time += t
	}
	own := c.mix()
	for i := range u.Comms {
		m := &u.Comms[i]
		beside := scaled(m.Beside, f.slow)
		exposed := m.behind(scaled(m.Time, f.links), beside, own)
		c.exposed[m.Kind] += exposed
		c.stalls[sim.Link] += exposed
		c.time += exposed
	}
	return c
}

// behind returns how much longer kernels of a time take with the communication beside them.
func (m *Comm) behind(t, beside units.Time, own mix) units.Time {
	if beside == 0 || t == 0 {
		return t
	}
	s := own.stretch(load{taken(m.Cores), taken(m.Memory)})
	if m.Pieces == 0 {
		return beneath(t, beside, s)
	}
	n := units.Time(m.Pieces)
	return beneath(t/n, beside/(n+1), s)*n + t%n // a piece of kernels beside each pass, the last one alone
}

// beneath returns how much longer kernels take that start with a communication and end no earlier than it.
func beneath(t, kernels units.Time, stretch int64) units.Time {
	if done := progress(t, stretch); done < kernels {
		return t - done
	}
	return t - kernels
}

// progress is what kernels get done in t beside a communication that stretches them.
func progress(t units.Time, stretch int64) units.Time {
	q, _ := units.MulDivCeil(int64(t), one, one+stretch)
	return units.Time(q)
}

// stretched is the time that kernels take beside a communication.
func stretched(t units.Time, stretch int64) units.Time {
	q, ok := units.MulDivCeil(int64(t), one+stretch, one)
	if !ok {
		return units.MaxTime + 1
	}
	return units.Time(q)
}

// class is what some of the blocks of tensor, context and expert groups have in common, through all stages.
type class struct {
	blocks int64
	stages []factors
	faults []int // of the step, those with a network
}

// classes groups the replicas of the pipeline by what is wrong with them. A block of TP·CP·EP ranks works in step, so that one
// of them slows all.
func (s *Step) classes(d Degrees) []class {
	blocks := d.DP / d.EP
	size := d.TP * d.CP * d.EP
	sound := func() class {
		c := class{blocks: 1, stages: make([]factors, d.PP)}
		for i := range c.stages {
			c.stages[i] = factors{1, 1}
		}
		return c
	}
	hit := map[int64]*class{}
	var order []int64
	for i, f := range s.Faults {
		b := f.Rank % d.Stride(Pipeline) / size
		if hit[b] == nil {
			c := sound()
			hit[b] = &c
			order = append(order, b)
		}
		at := &hit[b].stages[f.Rank/d.Stride(Pipeline)]
		at.slow = max(at.slow, f.Slow)
		at.links = max(at.links, f.Links)
		if f.Network != nil {
			hit[b].faults = append(hit[b].faults, i)
		}
	}
	slices.Sort(order)
	var all []class
	if rest := blocks - int64(len(order)); rest > 0 {
		c := sound()
		if s.Apart {
			for range rest - 1 {
				all = append(all, sound())
			}
		} else {
			c.blocks = rest
		}
		all = append(all, c)
	}
	for _, b := range order {
		c := hit[b]
		if !s.Apart && len(c.faults) == 0 {
			if i := slices.IndexFunc(all, func(o class) bool { return len(o.faults) == 0 && slices.Equal(o.stages, c.stages) }); i >= 0 {
				all[i].blocks++
				continue
			}
		}
		all = append(all, *c)
	}
	return all
}

// collective returns the cost of a collective as the slowest of the networks of a stage has it.
func (s *Step) collective(nets []Network, op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error) {
	var worst interconnect.Cost
	if g.Ranks <= 1 || bytes == 0 {
		return worst, nil
	}
	for _, n := range nets {
		c, err := n.Collective(op, g, bytes)
		if err != nil {
			return worst, err
		}
		if c.Time >= worst.Time {
			worst = c
		}
	}
	if worst.Time > units.MaxTime {
		return worst, fmt.Errorf("%s of %v over %d ranks, %d apart: takes longer than %v: %w", op, bytes, g.Ranks, g.Stride, units.MaxTime, units.ErrTooLarge)
	}
	return worst, nil
}

// nets are the networks that collectives of a stage see: that of the step, and those of faults in it.
func (s *Step) nets(d Degrees, stage int64) []Network {
	nets := []Network{s.Network}
	for _, f := range s.Faults {
		if f.Network != nil && f.Rank/d.Stride(Pipeline) == stage {
			nets = append(nets, f.Network)
		}
	}
	return nets
}
