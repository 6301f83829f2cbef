package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Resources that collectives use: the links of a chip to others of its node, and its part of the node's network
// interfaces. The counters of what a chip sends have their names.
const (
	LinkResource = "link"
	NICResource  = "nic"
)

// checkChips verifies that there are as many chips as the mapping takes, and a network between their nodes.
func (p *Mapping) checkChips(m *arch.Machine) error {
	chips, node := p.Chips(), m.System.Chips
	if chips <= node {
		return nil
	}
	d := p.Degrees()
	field, n := "tp", d.TP
	switch {
	case p.PP > 1:
		field, n = "pp", p.PP
	case p.AttnDP > 1:
		field, n = "attn-dp", p.AttnDP
	case p.EP > 1:
		field, n = "ep", p.EP
	}
	most, where := node, fmt.Sprintf("one %s node has %d", m.Name, node)
	if out := m.System.ScaleOut; out != nil {
		if out.Nodes == 0 {
			return nil
		}
		nodes, ok := units.Mul(out.Nodes, node)
		if ok && nodes < chips {
			most, where = nodes, fmt.Sprintf("%d %s nodes have %d", out.Nodes, m.Name, nodes)
		} else {
			return nil
		}
	}
	hint := fmt.Sprintf("use --%s %d or less", field, max(1, most/(chips/n)))
	if m.System.ScaleOut == nil {
		hint += "; system.scale_out would connect nodes"
	}
	return &Invalid{field, fmt.Sprintf("%d chips are asked for, %s", chips, where), hint}
}

// links adds what connects the chips of the mapping.
func (b *builder) links(add func(Resource)) {
	b.cluster = b.m.Cluster()
	chips := b.mapping.Chips()
	if chips == 1 {
		return
	}
	if chips <= b.cluster.Chips {
		b.cluster.Out = nil // groups that do not fill the node stay in it all the same
	}
	if up := b.cluster.Up; up != nil {
		lib, d := b.m.CollectiveLibrary(b.profile), b.mapping.Degrees()
		rate := up.Rate(lib, min(max(d.TP, 2), b.cluster.Chips))
		if all := min(d.Chips(), b.cluster.Chips); all > d.TP {
			rate = max(rate, up.Rate(lib, all))
		}
		add(Resource{LinkResource, sim.Link, "B", rate, false, false})
	}
	if b.cluster.Out != nil {
		add(Resource{NICResource, sim.Link, "B", rate(b.nicRate()), false, false})
	}
}

// nicRate is a chip's part of what the network interfaces of a node move, in bytes per second.
func (b *builder) nicRate() float64 {
	out := b.cluster.Out
	return float64(out.Bandwidth) * float64(out.NICs) / float64(b.cluster.Chips) * out.Efficiency
}

// flow is what a collective asks of a chip.
type flow struct {
	protocol  string
	latency   units.Time
	near, far units.Bytes // that it sends inside its node and out of it
	// Shares of the rates of the resources that they reach.
	nearShare, farShare float64
}

// flow returns what a collective over a group asks of each of its chips, under a protocol or with "" under the one that
// takes least; fails says that the protocol does not do it.
func (b *builder) flow(c *interconnect.Cluster, op interconnect.Op, g interconnect.Group, bytes units.Bytes, protocol string) (f flow, fails bool, err error) {
	lib := b.m.CollectiveLibrary(b.profile)
	if span, ok := units.Mul(g.Ranks, g.Stride); c.Up != nil && ok && g.Stride == 1 && (c.Out == nil || span <= c.Chips && c.Chips%span == 0) {
		s, err := c.Up.ScheduleBy(lib, protocol, op, g.Ranks, bytes)
		// Of the rate at which the links reach the group, which may be less than that to all chips.
		share := float64(s.Sent) / float64(max(s.Occupied, 1))
		if r, ok := b.res[LinkResource]; ok {
			share *= min(1, float64(c.Up.Rate(lib, g.Ranks))/float64(b.p.Resources[r].Rate))
		}
		return flow{s.Protocol, s.Latency, s.Sent, 0, share, 1}, s.Protocol == "" && bytes > 0, err
	}
	cost, err := c.Collective(lib, op, g, bytes, protocol)
	if err != nil {
		return flow{}, protocol != "", err
	}
	f = flow{cost.Protocol, cost.Latency, cost.Local, cost.Remote, 1, 1}
	// The slower of the two networks takes as long as the wire; the other one has time to spare.
	wire := (cost.Time - cost.Latency).Seconds()
	var near, far float64
	if f.near > 0 {
		near = float64(f.near) / float64(b.p.Resources[b.res[LinkResource]].Rate)
	}
	if f.far > 0 {
		far = float64(f.far) / float64(b.p.Resources[b.res[NICResource]].Rate)
	}
	switch {
	case !(wire > 0):
	case near > far:
		f.nearShare = near / wire
	default:
		f.farShare = far / wire
	}
	return f, false, nil
}

// uses are the resources of a collective's step, and counts what it does: part of the parts that it is sent in.
func (f *flow) uses(b *builder, parts int64) (uses []Use, counts []Count) {
	for _, n := range []struct {
		resource string
		sent     units.Bytes
		share    float64
	}{{LinkResource, f.near, f.nearShare}, {NICResource, f.far, f.farShare}} {
		if n.sent > 0 || n.resource == LinkResource && f.far == 0 {
			sent := units.CeilDiv(int64(n.sent), parts)
			uses = append(uses, b.useAt(n.resource, sent, n.share))
			counts = append(counts, b.count(n.resource+".sent", "B", sent))
		}
	}
	return uses, counts
}

// collective plans a collective over the chips of the tensor-parallel group. Its payload passes
// through memory on the way: what a chip sends is read there, what arrives is written.
func (b *builder) collective(name string, phase traces.Phase, kind traces.Kind, bytes units.Bytes) (*Body, error) {
	return b.collectiveOver(name, phase, kind, b.tensorGroup(), bytes)
}

// tensorGroup is the chips that divide attention and everything dense.
func (b *builder) tensorGroup() interconnect.Group {
	return interconnect.Group{Ranks: b.mapping.TP, Stride: 1}
}

// collectiveOver is collective over another group.
func (b *builder) collectiveOver(name string, phase traces.Phase, kind traces.Kind, g interconnect.Group, bytes units.Bytes) (*Body, error) {
	return b.transfer(b.cluster, name, phase, kind, g, 2, bytes)
}

// transfer plans what the chips of a group send one another; passes is how often a byte that is sent passes through the memory of
// each of them: read and written where all send and receive, one of both where one sends to another.
func (b *builder) transfer(c *interconnect.Cluster, name string, phase traces.Phase, kind traces.Kind, g interconnect.Group, passes int64, bytes units.Bytes) (*Body, error) {
	protocol, pin := b.protocol(c, name, phase, kind, g, bytes)
	if protocol == "" && b.mapping.Collective != "" {
		protocol = interconnect.ByAlgorithm(b.mapping.Collective)
	}
	f, fails, err := b.flow(c, interconnect.Op(kind.String()), g, bytes, protocol)
	if fails && b.mapping.Collective != "" {
		return nil, &Invalid{"algorithm", fmt.Sprintf("the collective library has no %q for %s over %s", b.mapping.Collective, kind, plural(g.Ranks, "chip")), "leave it out, or one of " + strings.Join(b.protocols(c), ", ")}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	if b.mapping.HostSync && !b.mapping.IdealLaunch && g.Ranks > 1 && bytes > 0 {
		// One process starts it on each chip of the group in its node.
		f.latency += max(0, b.m.CollectiveLibrary(b.profile).Issue*units.Time(min(g.Ranks, b.m.System.Chips))-b.profile.Launch-b.took(&f))
	}
	key := kernelKey{op: b.op(phase, name, kind.String()), kind: kind.String(), read: bytes, group: g, pin: pin.choice()}
	if c.Out == nil {
		key.rows = 1 // in a node
	}
	if k := b.known(&key); k != nil {
		return k, nil
	}
	k := b.kernel(name, phase, kind.String())
	uses, counts := f.uses(b, 1)
	passed := b.off.Sectors(int64(f.near + f.far))
	k.then(Node{Name: "transfer, " + f.protocol, Step: b.mem.step(Step{Kind: "collective", Latency: f.latency, Charge: sim.Link,
		Uses:   append(uses, b.use(b.off.Name, passes*passed)),
		Counts: append(counts, b.reads(b.off, passed), b.writes(b.off, passed))})})
	if b.decisions != nil {
		b.decidedCollective(c, b.matchCollective(name, phase, kind), k, g, bytes, &f, pin)
	}
	b.kernels[key] = k
	return k, nil
}

// protocols lists the names of those that the libraries of a cluster have.
func (b *builder) protocols(c *interconnect.Cluster) []string {
	var names []string
	lib := b.m.CollectiveLibrary(b.profile)
	for i := range lib.Protocols {
		names = append(names, lib.Protocols[i].Name)
	}
	if c.Out != nil {
		for i := range c.Out.Library.Protocols {
			if name := c.Out.Library.Protocols[i].Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// protocol returns what of a collective is pinned, and the protocol among it, "" if that is free.
func (b *builder) protocol(c *interconnect.Cluster, name string, phase traces.Phase, kind traces.Kind, g interconnect.Group, bytes units.Bytes) (string, *pinned) {
	if b.pins == nil {
		return "", nil
	}
	k := b.matchCollective(name, phase, kind)
	pin := b.pins.of(k)
	if pin == nil || !b.only(pin, &k, "a collective", "narrow the match", pinProtocol) {
		return "", pin
	}
	names := b.protocols(c)
	if !slices.Contains(names, pin.Protocol) {
		b.refuse(pin, pinProtocol, name, suggestion(pin.Protocol, names), "the collective library has no such protocol")
		return "", pin
	}
	if _, fails, _ := b.flow(c, interconnect.Op(k.Kind), g, bytes, pin.Protocol); fails {
		b.refuse(pin, pinProtocol, name, "leave it out", "the protocol does not do %s of %s", kind, Human(bytes))
		return "", pin
	}
	return pin.Protocol, pin
}

func (b *builder) matchCollective(name string, phase traces.Phase, kind traces.Kind) Match {
	return Match{Op: name, Kind: kind.String(), Phase: phase.String(), Block: b.blockName}
}

// took is how long a flow takes, as the libraries compare protocols.
func (b *builder) took(f *flow) units.Time {
	wire := 0.0
	for _, n := range []struct {
		resource string
		sent     units.Bytes
		share    float64
	}{{LinkResource, f.near, f.nearShare}, {NICResource, f.far, f.farShare}} {
		if n.sent > 0 {
			wire = math.Max(wire, float64(n.sent)/n.share/float64(b.p.Resources[b.res[n.resource]].Rate))
		}
	}
	return units.Time(math.Min(float64(f.latency)+float64(wire*float64(units.Second)), float64(units.MaxTime)))
}

// decidedCollective notes the protocol of a collective, and what others would take.
func (b *builder) decidedCollective(c *interconnect.Cluster, m Match, k *Body, g interconnect.Group, bytes units.Bytes, f *flow, pin *pinned) {
	d := Decision{Match: m, Body: k, Choice: Choice{Protocol: f.protocol}, What: fmt.Sprintf("%s over %s", Human(bytes), plural(g.Ranks, "chip")), Time: b.took(f)}
	if f.far > 0 {
		d.What += fmt.Sprintf(", %d apart, across nodes of %d", g.Stride, c.Chips)
	}
	for _, name := range b.protocols(c) {
		o, fails, err := b.flow(c, interconnect.Op(m.Kind), g, bytes, name)
		if err == nil && !fails && o.protocol != "" && o.protocol != f.protocol {
			d.Others = append(d.Others, Alternative{Choice: Choice{Protocol: o.protocol}, Time: b.took(&o)})
		}
	}
	d.sortOthers()
	b.decided(d, pin)
}
