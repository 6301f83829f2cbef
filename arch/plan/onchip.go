package plan

import (
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// onChip is what lies between cores and memories as far as the machine describes it: ports of on-chip
// tiers, the network, the link between dies. What a step occupies of these follows from the bytes that it
// counts, whatever kernel it belongs to.
type onChip struct {
	b *builder
	// latency of a load, and whether all of it is cycles of the cores.
	latency units.Time
	clocked bool
}

// newOnChip adds the resources that the machine describes, and returns nil if there are none.
func newOnChip(b *builder, add func(Resource)) *onChip {
	o := &onChip{b: b, clocked: true}
	clock, some := b.m.Chip.Clock, b.outer != nil
	for _, t := range []*memory.Spec{b.private, b.shared, b.outer} {
		if t == nil || t.Ports == "" {
			continue
		}
		if some = true; t.Ports == memory.PortsSeparate {
			add(Resource{t.Name + arch.WriteSuffix, t.Cause(), "B", t.WriteRate(clock), t.Private(), t.Width > 0 || t.WriteWidth > 0})
		}
	}
	if n := b.m.Chip.Network; n != nil {
		some = true
		r := n.Rates()
		add(Resource{arch.NetworkResource, sim.SRAM, "B", rate(math.Min(r.Read*float64(clock), 1<<62)), false, true})
		add(Resource{arch.NetworkResource + arch.WriteSuffix, sim.SRAM, "B", rate(math.Min(r.Write*float64(clock), 1<<62)), false, true})
		o.latency = clock.At(n.Latency())
	}
	if d := b.m.Chip.Dies; d != nil {
		some = true
		add(Resource{arch.DieResource, sim.SRAM, "B", rate(math.Min(float64(d.Link), 1<<62)), false, false})
		if far := d.Latency * units.Time(d.Count-1) / units.Time(d.Count); far > 0 {
			o.latency += far
			o.clocked = false
		}
	}
	if !some {
		return nil
	}
	return o
}

// lay extends the steps of a body and of those inside.
func (o *onChip) lay(body *Body, seen map[*Body]bool) {
	if seen[body] {
		return
	}
	seen[body] = true
	partner := map[*Use][]Use{} // what a step used, by its first use, and uses now
	for i := range body.Nodes {
		n := &body.Nodes[i]
		if n.Body != nil {
			o.lay(n.Body, seen)
			continue
		}
		old := n.Step.Uses
		o.extend(n.Step)
		if len(old) > 0 {
			partner[&old[0]] = n.Step.Uses
		}
	}
	for i := range body.Nodes {
		if s := body.Nodes[i].Step; s != nil && len(s.Beside) > 0 {
			if now, ok := partner[&s.Beside[0]]; ok {
				s.Beside = now
			}
		}
	}
}

// traffic is what a step reads from a tier and writes to it, in all.
type traffic struct{ read, written int64 }

func (o *onChip) traffic(s *Step, t *memory.Spec) (m traffic) {
	if t == nil {
		return m
	}
	read, reads := o.b.counters[t.Name+".read"]
	write, writes := o.b.counters[t.Name+".write"]
	for _, c := range s.Counts {
		switch {
		case reads && c.Counter == read:
			m.read += c.N
		case writes && c.Counter == write:
			m.written += c.N
		}
	}
	return m
}

// extend adds to a step what it occupies of ports, network and link between dies.
func (o *onChip) extend(s *Step) {
	b := o.b
	off, shared, private := o.traffic(s, b.off), o.traffic(s, b.shared), o.traffic(s, b.private)
	if s.Kind == MoveKind || off == (traffic{}) && shared == (traffic{}) && private == (traffic{}) {
		return // memories off chip move tensors among themselves
	}
	s.Uses = slices.Clone(s.Uses)
	all := off
	off = o.exposed(s, all)
	if b.outer != nil {
		off.read = o.behind(s, all, off)
	}
	o.ports(s, b.shared, shared, off)
	if b.private != nil && b.private.Ports != "" {
		o.ports(s, b.private, o.ofOneCore(s, private), off)
	}
	// What memories behind the network pass to each other does not go through it.
	var direct int64
	switch s.Kind {
	case "load":
		direct = min(off.read, shared.written)
	case "store":
		direct = min(off.written, shared.read)
	}
	in, out := off.read+shared.read-direct, off.written+shared.written-direct
	from, to := b.off, b.off
	if shared.read > 0 {
		from = b.shared
	}
	if off.written == 0 && b.shared != nil {
		to = b.shared
	}
	if b.m.Chip.Network != nil {
		o.follow(s, from, arch.NetworkResource, in)
		o.follow(s, to, arch.NetworkResource+arch.WriteSuffix, out)
	}
	if d := b.m.Chip.Dies; d != nil {
		if in < out {
			from = to
		}
		crosses := in + out
		if d.Copies && b.shared != nil {
			// What several dies need of what a load brings goes to each; what is on chip is at hand.
			crosses = out + in - shared.read
			if s.Kind == "load" {
				crosses += max(direct, min(shared.read, d.Count*direct))
			}
			if from = to; s.Kind == "load" {
				from = b.off
			}
		}
		far, _ := units.MulDivCeil(crosses, d.Count-1, d.Count)
		o.follow(s, from, arch.DieResource, far)
	}
	if s.Kind == "load" && in > 0 && o.latency > 0 {
		s.Clocked = o.clocked && s.Latency == 0
		s.Charge = sim.SRAM
		s.Latency += o.latency
	}
}

// behind makes all that goes to and from memory off chip pass the second shared memory on chip, and returns what the
// step gets from there. A step that counts what it gets has worked that out itself.
func (o *onChip) behind(s *Step, all, off traffic) int64 {
	outer := o.b.outer
	if m := o.traffic(s, outer); m != (traffic{}) {
		o.ports(s, outer, m, off)
		return m.read
	}
	if n := all.read + all.written; n > 0 { // every byte once in and once out
		s.Counts = append(slices.Clone(s.Counts), o.b.count(outer.Name+".read", "B", n), o.b.count(outer.Name+".write", "B", n))
	}
	n := off.read + off.written
	o.follow(s, o.b.off, outer.Name, n)
	o.ports(s, outer, traffic{n, n}, off)
	return off.read
}

// exposed is what of the traffic with the memory off chip a step waits for: some count more than they occupy it for,
// as the rest passes while others work.
func (o *onChip) exposed(s *Step, all traffic) traffic {
	i, sum := o.find(s, o.b.off), all.read+all.written
	if i < 0 || s.Uses[i].Amount >= sum {
		return all
	}
	part := func(n int64) int64 {
		n, _ = units.MulDivCeil(n, s.Uses[i].Amount, sum)
		return n
	}
	return traffic{part(all.read), part(all.written)}
}

// ofOneCore is the traffic of the busiest core with its private tier: what it reads is what the step
// occupies, and what it writes goes with it.
func (o *onChip) ofOneCore(s *Step, all traffic) traffic {
	one := traffic{units.CeilDiv(all.read, max(1, s.Cores)), units.CeilDiv(all.written, max(1, s.Cores))}
	if i := o.find(s, o.b.private); i >= 0 && all.read > 0 {
		one.read = s.Uses[i].Amount
		if n, ok := units.MulDivCeil(one.read, all.written, all.read); ok {
			one.written = n
		}
	}
	return one
}

// ports makes a step occupy the ports of a tier as its traffic says.
func (o *onChip) ports(s *Step, t *memory.Spec, m, off traffic) {
	if t == nil || t.Ports == "" || m == (traffic{}) {
		return
	}
	at := o.find(s, t)
	first := m.read
	if t.Ports == memory.PortsShared {
		first += m.written
	}
	share := 0.0
	if at >= 0 {
		s.Uses[at].Amount, share = first, s.Uses[at].Share
	} else if first > 0 {
		o.follow(s, o.filledBy(s, off), t.Name, first)
	}
	if t.Ports != memory.PortsSeparate || m.written == 0 {
		return
	}
	before := o.filledBy(s, off)
	if before == nil {
		before = t
	}
	o.follow(s, before, t.Name+arch.WriteSuffix, m.written)
	if i := o.findNamed(s, t.Name+arch.WriteSuffix); i >= 0 {
		s.Uses[i].Share = share
	}
}

// filledBy returns the tier whose data a load writes on chip, nil for other steps.
func (o *onChip) filledBy(s *Step, off traffic) *memory.Spec {
	if s.Kind == "load" && off.read > 0 {
		return o.b.off
	}
	return nil
}

// follow adds a use that goes on while that of a tier does, with the pace of the slower one; by itself if the
// step does not use the tier.
func (o *onChip) follow(s *Step, t *memory.Spec, resource string, amount int64) {
	if amount == 0 {
		return
	}
	u := o.b.use(resource, amount)
	i := -1
	if t != nil {
		i = o.find(s, t)
	}
	if i < 0 {
		s.Uses = append(s.Uses, u)
		return
	}
	u.Series = true
	for i++; i < len(s.Uses) && s.Uses[i].Series; i++ {
	}
	s.Uses = slices.Insert(s.Uses, i, u)
}

func (o *onChip) find(s *Step, t *memory.Spec) int {
	if t == nil {
		return -1
	}
	return o.findNamed(s, t.Name)
}

func (o *onChip) findNamed(s *Step, name string) int {
	r := o.b.res[name]
	return slices.IndexFunc(s.Uses, func(u Use) bool { return u.Resource == r })
}

// parts returns the times whose p-norm is the pace of a pipeline of loads and products, as
// builder.stageParts does without what is on chip.
func (o *onChip) parts(load, compute *Step) (ts [5]units.Time) {
	o.extend(load)
	o.extend(compute)
	list := ts[:0]
	for _, s := range []*Step{load, compute} {
		for i := range s.Uses {
			list = s.Uses[i].term(list, s.Uses[i].Time(o.b.p.Resources))
		}
	}
	return ts
}

// OnChip lists the resources of what lies between cores and memories.
func (p *Program) OnChip() []Resource {
	var list []Resource
	for _, r := range p.Resources {
		if r.Name == arch.NetworkResource || r.Name == arch.DieResource || strings.HasSuffix(r.Name, arch.WriteSuffix) {
			list = append(list, r)
		}
	}
	return list
}

// feedShare is the share of the private memory's rate at which the operands of a tile reach the matrix
// units: the library's, less what conflicts between banks take.
func (b *builder) feedShare(g *gemm, t *tiling) float64 {
	f := g.lib.Fetch
	if f == nil || b.private == nil || b.private.Banks == 0 {
		return g.lib.PrivateShare
	}
	width := float64(b.private.Peak(b.m.Chip.Clock)) / float64(b.m.Chip.Clock)
	// cycles for so many bytes of an operand: what the port takes, or the banks if that is longer.
	cycles := func(d traces.DType, n int64) float64 {
		row := units.Bytes(units.CeilDiv(t.depth*d.Bits(), 8))
		p := memory.Pieces{Count: f.Rows, Bytes: min(f.Bytes, row), Pitch: row + f.Pad}
		turns, _ := b.private.Conflict(p)
		return float64(n) * max(1/width, float64(turns)/float64(p.Count*int64(p.Bytes)))
	}
	share := g.lib.PrivateShare
	if share == 0 {
		share = 1
	}
	both := cycles(g.a, g.piece(g.a, t.depth, t.rows)) + cycles(g.w, g.piece(g.w, t.depth, t.cols))
	return min(share, float64(share*float64(t.feed))/width/both)
}
