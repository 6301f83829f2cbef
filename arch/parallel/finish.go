package parallel

import (
	"fmt"
	"slices"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// normBytes is what ranks sum for the norm of gradients: one number of FP32, the sum of squares.
const normBytes = 4

// finish plays what follows the slots: reductions, the norm, the update; and adds up.
func (p *play) finish() (*Result, error) {
	res := p.result
	ends := make([][]units.Time, len(p.stages)) // by stage and class
	reduced, updated := make([]units.Time, len(p.stages)), make([][]units.Time, len(p.stages))
	update := make([][]cost, len(p.stages))
	for s := range p.stages {
		st := &p.stages[s]
		for r := range st.lanes {
			l := &st.lanes[r]
			l.exposed[Pipeline] += max(0, l.hold-l.now)
			l.now = max(l.now, l.hold)
			ends[s] = append(ends[s], l.now)
			res.Pipeline = max(res.Pipeline, l.now)
		}
		updated[s] = make([]units.Time, len(st.lanes))
		update[s] = make([]cost, len(st.lanes))
	}
	if p.o.kind != Forward {
		for s := range p.stages {
			if err := p.reduceAll(int64(s)); err != nil {
				return nil, err
			}
		}
		if err := p.tie(); err != nil {
			return nil, err
		}
		for s := range p.stages {
			reduced[s] = p.stages[s].lanes[0].now
		}
		if p.Norm {
			c, err := p.collective(p.worst(), interconnect.AllReduce, p.d.World(), normBytes)
			if err != nil {
				return nil, err
			}
			p.together(0, len(p.stages), c.Time, "norm of gradients")
		}
		for s := range p.stages {
			if err := p.updateAll(int64(s), update[s]); err != nil {
				return nil, err
			}
		}
	}
	for s := range p.stages {
		for r := range p.stages[s].lanes {
			updated[s][r] = p.stages[s].lanes[r].now
			res.Time = max(res.Time, updated[s][r])
		}
	}
	if res.Time > units.MaxTime {
		return nil, fmt.Errorf("the step takes longer than %v: %w", units.MaxTime, units.ErrTooLarge)
	}
	res.Slots = p.slots
	least := units.Time(-1)
	for s := range p.stages {
		for r := range p.stages[s].lanes {
			c := p.class(s, r, &update[s][r], res.Time-updated[s][r])
			c.Ends.Slots, c.Ends.Reduction, c.Ends.Update = ends[s][r], reduced[s], updated[s][r]
			if got := c.Stalls.Total(); got != res.Time {
				return nil, fmt.Errorf("internal: stalls of %s sum to %v, the step takes %v", p.ranks(int64(s)), got, res.Time)
			}
			if least < 0 || c.Bubble < least {
				least, res.Critical = c.Bubble, len(res.Classes)
			}
			res.Classes = append(res.Classes, c)
		}
	}
	res.Bubble, res.Exposed = res.Classes[res.Critical].Bubble, res.Classes[res.Critical].Exposed
	return res, nil
}

// worst is the networks of all stages.
func (p *play) worst() []Network {
	nets := []Network{p.Network}
	for _, f := range p.Faults {
		if f.Network != nil {
			nets = append(nets, f.Network)
		}
	}
	return nets
}

// together lets lanes of stages from to to wait for each other and communicate for a time.
func (p *play) together(from, to int, t units.Time, name string) {
	start := units.Time(0)
	for s := from; s < to; s++ {
		for r := range p.stages[s].lanes {
			start = max(start, p.stages[s].lanes[r].now)
		}
	}
	for s := from; s < to; s++ {
		p.until(s, start, start+t, name)
	}
}

// until lets all lanes of a stage wait for a collective that starts and ends then.
func (p *play) until(s int, start, end units.Time, name string) {
	for r := range p.stages[s].lanes {
		l := &p.stages[s].lanes[r]
		if start > l.now {
			l.bubble += start - l.now
			l.now = start
		}
		if end > l.now {
			l.exposed[Data] += end - l.now
			l.now = end
		}
	}
	if p.record && end > start {
		p.result.Spans = append(p.result.Spans, Span{Class: s * len(p.classes), Name: name, Comm: true, Kind: Data, Start: start, End: end})
	}
}

// reduceAll reduces what gradients of a stage no slot has, and waits for those that are under way.
func (p *play) reduceAll(s int64) error {
	st := &p.stages[s]
	last := units.Time(0)
	for r := range st.lanes {
		last = max(last, st.lanes[r].now)
	}
	var weights, experts units.Bytes
	if p.Sharding.Stage < 2 && !p.Sharding.Overlap {
		for c := range st.chunks {
			for _, part := range st.chunks[c].parts {
				weights += part.cost.weights * units.Bytes(part.times)
				experts += part.cost.experts * units.Bytes(part.times)
			}
		}
	}
	c, err := p.reduction(st, weights, experts)
	if err != nil {
		return err
	}
	record := p.record
	p.record = false // until records it
	end := max(p.enqueue(s, last, &c, load{}, ""), st.queue)
	p.record = record
	p.until(int(s), last, end, "reduction")
	return nil
}

// tie adds the gradients of a tied table.
func (p *play) tie() error {
	if p.Tied == 0 || p.d.PP == 1 {
		return nil
	}
	first, last := 0, len(p.stages)-1
	c, err := p.collective(append(p.stages[first].nets, p.stages[last].nets[1:]...), interconnect.AllReduce, p.d.Ends(),
		units.Bytes(p.Tied*p.Sharding.GradientBytes))
	if err != nil {
		return err
	}
	start := units.Time(0)
	for _, s := range []int{first, last} {
		for r := range p.stages[s].lanes {
			start = max(start, p.stages[s].lanes[r].now)
		}
	}
	p.until(first, start, start+c.Time, "embedding gradients")
	p.until(last, start, start+c.Time, "embedding gradients")
	return nil
}

// updateAll runs the optimizer of a stage and gathers what weights it divided.
func (p *play) updateAll(s int64, update []cost) error {
	st := &p.stages[s]
	var own, gather [2]int64 // parameters that a rank updates and that it gathers; of experts second
	for c := range st.chunks {
		for _, part := range st.chunks[c].parts {
			weights, _ := p.weights(part.block)
			gather[0] += weights * part.times
			gather[1] += p.all[part.block].ExpertParameters * part.times
		}
	}
	var bytes interconnect.Cost
	for e := range own {
		own[e] = gather[e]
		within, _ := p.shard(e == 1)
		if p.Sharding.Stage == 0 {
			continue
		}
		own[e] = units.CeilDiv(gather[e], within.Ranks)
		if p.Sharding.Stage < 3 && !p.Sharding.OverlapGather {
			c, err := p.collective(st.nets, interconnect.AllGather, within, units.Bytes(gather[e]*p.Sharding.WeightBytes))
			if err != nil {
				return err
			}
			bytes = after(bytes, c)
		}
	}
	st.updated = own[0] + own[1]
	start := units.Time(0)
	for r := range st.lanes {
		update[r] = p.updates(st.updated, p.factors(s, r))
		l := &st.lanes[r]
		if p.record && update[r].time > 0 {
			p.result.Spans = append(p.result.Spans, Span{Class: int(s)*len(p.classes) + r, Name: p.Update.Name, Start: l.now, End: l.now + update[r].time})
		}
		l.now += update[r].time
		start = max(start, l.now)
	}
	if bytes.Time > 0 {
		p.until(int(s), start, start+bytes.Time, "gather of weights")
	}
	return nil
}

// factors of a class at a stage.
func (p *play) factors(s int64, r int) factors {
	c := p.classes[r].stages[s]
	return factors{float64(c.slow * p.spread), c.links}
}

// updates is what the update of that many parameters takes.
func (p *play) updates(n int64, f factors) cost {
	if p.Update.Elements <= 0 {
		return cost{}
	}
	c := p.Update.cost(f)
	c.time = 0
	for i, t := range c.stalls {
		q, ok := units.MulDivCeil(int64(t), n, p.Update.Elements)
		if !ok {
			q = int64(units.MaxTime) + 1
		}
		c.stalls[i] = units.Time(q)
		c.time += c.stalls[i]
	}
	for k, t := range c.exposed {
		q, _ := units.MulDivCeil(int64(t), n, p.Update.Elements)
		c.exposed[k] = units.Time(q)
	}
	return c
}

// class adds up what a class did; rest is how long it waits for others at the end.
func (p *play) class(s, r int, update *cost, rest units.Time) Class {
	st := &p.stages[s]
	l := &st.lanes[r]
	c := Class{Stage: int64(s), Chips: p.classes[r].blocks * p.d.TP * p.d.CP * p.d.EP, Bubble: l.bubble + rest, Exposed: l.exposed, InFlight: st.most, Updated: st.updated}
	for _, t := range l.exposed {
		c.Stalls[sim.Link] += t
	}
	c.Stalls[sim.Dependency] += c.Bubble
	use := func(u *Unit, n int64, w *cost) {
		if n == 0 || w.time == 0 {
			return
		}
		at := slices.IndexFunc(c.Uses, func(o Use) bool { return o.Name == u.Name })
		if at < 0 {
			at = len(c.Uses)
			c.Uses = append(c.Uses, Use{Name: u.Name})
		}
		o := &c.Uses[at]
		o.Count += n
		o.Time += w.time * units.Time(n)
		o.Stalls.Add(&w.stalls, n)
		c.Stalls.Add(&w.stalls, n)
		for k, t := range w.exposed {
			c.Exposed[k] += t * units.Time(n)
		}
	}
	for k := range st.chunks {
		for _, part := range st.chunks[k].parts {
			if part.block > 0 && part.block < len(p.all)-1 {
				c.Layers += part.times
			}
			for i, u := range p.all[part.block].units() {
				use(u, l.slots[p.passOf(i)][k]*part.times, &part.cost.units[i][r])
			}
		}
	}
	use(&p.Update.Unit, 1, update)
	return c
}
