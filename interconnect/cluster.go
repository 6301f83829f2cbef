package interconnect

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// Group is ranks r0, r0+Stride, … of which there are Ranks. Groups alike cover all chips side by side and run
// at the same time; chips of a node are consecutive ranks.
type Group struct{ Ranks, Stride int64 }

// Cluster is nodes of chips.
type Cluster struct {
	Chips int64     // of a node
	Up    *Spec     // inside each node; nil for a node of one chip
	Out   *ScaleOut // between the nodes; nil if there is one node only
}

// ScaleOut is the network between nodes: switches that any node reaches any other through, at the rate of its NICs, or groups of nodes
// with less between them.
type ScaleOut struct {
	// Nodes is the most that it connects; 0 is no bound.
	Nodes int64 `yaml:"nodes,omitempty" spec:"min=0,max=10000000"`
	// NICs of a node, which its chips share.
	NICs int64 `yaml:"nics" spec:"required,min=1,max=1000000"`
	// Bandwidth of a NIC, per direction.
	Bandwidth units.BytesPerSecond `yaml:"bandwidth" spec:"required,gt=0 B/s"`
	// Efficiency is the share of the bandwidth that payload reaches.
	Efficiency float64 `yaml:"efficiency" spec:"required,gt=0,max=1"`
	// Latency from NIC to NIC, beyond what the library's steps have in them.
	Latency units.Time `yaml:"latency,omitempty" spec:"min=0 ns,max=1 s"`
	// Group is the nodes below one leaf of a fat tree, or of one group of a dragonfly; 0 is all.
	Group int64 `yaml:"group,omitempty" spec:"min=0,max=10000000"`
	// Oversubscription is how many times more bandwidth a group has to its nodes than to other groups; 1 when absent.
	Oversubscription float64 `yaml:"oversubscription,omitempty" spec:"min=0,max=1000"`
	// Library is the collective library that runs across nodes.
	Library Library `yaml:"library" spec:"required"`
}

// Validate reports an oversubscription that applies to nothing.
func (o ScaleOut) Validate(report func(path, message, hint string)) {
	if o.Oversubscription > 0 && (o.Oversubscription < 1 || o.Group == 0) {
		report("oversubscription", "is at least 1, of groups of nodes", "e.g. group: 32, oversubscription: 2")
	}
}

// Cost of one collective or send, for every rank of the group at once.
type Cost struct {
	Time                units.Time  // when nothing else uses the links
	Latency             units.Time  // the part of it that does not depend on bandwidth
	Local, Remote       units.Bytes // that a rank sends inside its node, and out of it
	Algorithm, Protocol string
}

// Collective returns what op costs over a group that has the links to itself but for the groups alike beside it. bytes is
// the full buffer of a rank (for all-gather and reduce-scatter the total); lib runs inside a node, nil is that of
// Up; "" leaves the algorithm, or the protocol of that name, to what takes least, as vendor libraries choose. Errors name
// the group and the reason.
//
// Across nodes, g ranks of the group in each of k nodes get g/Chips of a node's NICs, and both networks work at the same
// time: the slower one counts.
func (c *Cluster) Collective(lib *Library, op Op, g Group, bytes units.Bytes, algorithm string) (Cost, error) {
	fail := func(format string, a ...any) (Cost, error) {
		return Cost{}, fmt.Errorf("%s over %d ranks, %d apart: %s", op, g.Ranks, g.Stride, fmt.Sprintf(format, a...))
	}
	switch {
	case g.Ranks < 1 || g.Stride < 1 || bytes < 0:
		return fail("there must be a rank, a distance and no negative size")
	case g.Ranks == 1 || bytes == 0:
		return Cost{}, nil
	}
	span, ok := units.Mul(g.Ranks, g.Stride)
	if !ok {
		return Cost{}, fmt.Errorf("%s of %v over %d ranks, %d apart: %w", op, bytes, g.Ranks, g.Stride, units.ErrTooLarge)
	}
	if c.Inside(g) {
		return c.inside(lib, op, g, bytes, algorithm)
	}
	if c.Out == nil {
		return fail("a node has %d chips, and there is no network between nodes (system.scale_out)", c.Chips)
	}
	// The last rank of the first group has to be somewhere; groups alike need not fill what lies between.
	if nodes := (span-g.Stride)/c.Chips + 1; c.Out.Nodes > 0 && nodes > c.Out.Nodes {
		return fail("%d nodes of %d chips are needed, the network connects %d", nodes, c.Chips, c.Out.Nodes)
	}
	return c.across(lib, op, g, bytes, algorithm)
}

// Inside reports whether a group and all those alike stay in a node: a whole number of them fills it, or there is no other node.
func (c *Cluster) Inside(g Group) bool {
	span, ok := units.Mul(g.Ranks, g.Stride)
	return ok && span >= 1 && span <= c.Chips && (c.Out == nil || c.Chips%span == 0)
}

// inside is the cost within a node.
func (c *Cluster) inside(lib *Library, op Op, g Group, bytes units.Bytes, algorithm string) (Cost, error) {
	if c.Up == nil {
		return Cost{}, fmt.Errorf("%s over %d ranks, %d apart: there is no network inside a node (system.scale_up)", op, g.Ranks, g.Stride)
	}
	if lib == nil {
		lib = &c.Up.Library
	}
	s, err := c.Up.schedule(lib, algorithm, op, g, bytes)
	if err != nil {
		return Cost{}, err
	}
	if s.Protocol == "" {
		return Cost{}, fmt.Errorf("%s over %d ranks, %d apart: the collective library has no %q for it inside a node", op, g.Ranks, g.Stride, strings.TrimPrefix(algorithm, byAlgorithm))
	}
	t := s.Latency + s.Occupied.Over(units.BytesPerSecond(c.Up.rate(lib, g)))
	if t > units.MaxTime {
		return Cost{}, fmt.Errorf("%s of %v over %d ranks, %d apart: %w", op, bytes, g.Ranks, g.Stride, units.ErrTooLarge)
	}
	cost := Cost{Time: t, Latency: s.Latency, Local: s.Sent, Protocol: s.Protocol, Algorithm: "ring"}
	for i := range lib.Protocols {
		if p := &lib.Protocols[i]; p.Name == s.Protocol {
			cost.Algorithm = p.algorithm()
		}
	}
	return cost, nil
}

// Algorithms lists the names of what collectives run as.
func Algorithms() []string {
	return []string{"ring", "tree", "hierarchical", "pairwise", "in-switch", "one-shot"}
}

const byAlgorithm = "algorithm "

// ByAlgorithm names all protocols that run as an algorithm, and one of that name, where a protocol is asked for.
func ByAlgorithm(name string) string { return byAlgorithm + name }

// picks returns which protocols are meant: the one of that name; if there is none, those of an algorithm of that name; all for "".
func (l *Library) picks(choice string) func(*Protocol) bool {
	name, algorithm := strings.CutPrefix(choice, byAlgorithm)
	switch {
	case choice == "":
		return func(*Protocol) bool { return true }
	case !algorithm && slices.ContainsFunc(l.Protocols, func(p Protocol) bool { return p.Name == name }):
		return func(p *Protocol) bool { return p.Name == name }
	}
	return func(p *Protocol) bool { return p.Name == name || p.algorithm() == name }
}

// algorithm is what a protocol runs as.
func (p *Protocol) algorithm() string {
	switch {
	case p.Direct:
		return "one-shot"
	case p.Algorithm == "":
		return "ring"
	}
	return p.Algorithm
}

// across is the cost over several nodes.
func (c *Cluster) across(lib *Library, op Op, g Group, bytes units.Bytes, algorithm string) (Cost, error) {
	n := g.Ranks
	local := min(n, max(1, c.Chips/g.Stride)) // ranks of the group in a node
	nodes := units.CeilDiv(n, local)
	if nodes == 1 { // it straddles two nodes that it does not fill
		nodes, local = 2, units.CeilDiv(n, 2)
	}
	up := math.Inf(1) // what a rank sends to others of its node
	if local > 1 {
		if c.Up == nil {
			return Cost{}, fmt.Errorf("%s over %d ranks, %d apart: there is no network inside a node (system.scale_up)", op, g.Ranks, g.Stride)
		}
		if lib == nil {
			lib = &c.Up.Library
		}
		up = float64(c.Up.rate(lib, Group{local, g.Stride}))
	}
	out := float64(c.Out.Bandwidth) * float64(c.Out.NICs) / float64(c.Chips) * c.Out.Efficiency // a rank's part of the NICs
	out = min(out, c.crossing(op, g, local, nodes))
	best, least := Cost{}, math.Inf(1)
	picked := c.Out.Library.picks(algorithm)
	for i := range c.Out.Library.Protocols {
		p := &c.Out.Library.Protocols[i]
		if !p.suits(op) || !picked(p) || p.Most > 0 && bytes > p.Most {
			continue
		}
		s, ok := p.share(op, float64(n), float64(local), float64(nodes))
		if !ok {
			continue
		}
		size := float64(bytes)
		near, far := math.Ceil(s.near*size), math.Ceil(s.far*size)
		wire := max(near/(up*p.Efficiency), far/(out*p.Efficiency))
		latency := float64(p.Base) + float64(s.nearSteps*float64(p.Step)) + float64(s.farSteps*float64(p.Remote+c.Out.Latency)) +
			math.Ceil(float64(p.Chunk)*math.Sqrt(float64(local)*far))
		t := math.Ceil(latency) + math.Ceil(wire*float64(units.Second))
		if !(t < least) || t > float64(units.MaxTime) {
			continue
		}
		least = t
		best = Cost{Time: units.Time(t), Latency: units.Time(math.Ceil(latency)), Local: units.Bytes(near), Remote: units.Bytes(far), Algorithm: p.algorithm(), Protocol: p.Name}
	}
	if math.IsInf(least, 1) {
		if algorithm == "" {
			return Cost{}, fmt.Errorf("%s of %v over %d ranks, %d apart: %w", op, bytes, g.Ranks, g.Stride, units.ErrTooLarge)
		}
		return Cost{}, fmt.Errorf("%s over %d ranks, %d apart: the collective library has no %q for it across nodes", op, g.Ranks, g.Stride, strings.TrimPrefix(algorithm, byAlgorithm))
	}
	return best, nil
}

// crossing is the rate that a rank gets where the group's nodes lie in several groups of the network. Round a ring those that are
// Stride/Chips nodes apart all cross at once; of an all-to-all all do, with the part of what leaves their node that leaves the
// network's group too.
func (c *Cluster) crossing(op Op, g Group, local, nodes int64) float64 {
	o := c.Out
	if o.Group == 0 || o.Oversubscription <= 1 {
		return math.Inf(1)
	}
	apart := max(1, g.Stride/c.Chips)
	if nodes*apart <= o.Group { // no node sends to another group
		return math.Inf(1)
	}
	rank := float64(o.Bandwidth) * float64(o.NICs) / float64(c.Chips) * o.Efficiency
	if op == AllToAll {
		near := local * max(1, o.Group/apart) // ranks of the group in one of the network
		return rank / o.Oversubscription * float64(g.Ranks-local) / float64(g.Ranks-near)
	}
	return rank / o.Oversubscription * float64(o.Group) / float64(min(apart, o.Group))
}

// share is what a rank sends per byte of the buffer, and the steps one after the other, inside its node and out of it.
type share struct{ near, far, nearSteps, farSteps float64 }

// share is the work of an algorithm for n ranks, g in each of k nodes; it is not ok if it does not do op.
func (p *Protocol) share(op Op, n, g, k float64) (share, bool) {
	passes := 1.0
	if op == AllReduce {
		passes = 2
	}
	w := passes * (n - 1) / n
	switch p.algorithm() {
	case "ring":
		switch op {
		case Broadcast, SendRecv:
			w = 1
		case AllToAll: // each rank to each other, one after the other
			return share{(g - 1) / n, (n - g) / n, g - 1, n - g}, true
		}
		if op == SendRecv {
			return share{0, 1, 0, 1}, true
		}
		far := passes * (k - 1)
		if op == AllReduce {
			far = min(2*k, 2*(n-1)) // round the ring twice, past each node's border
		}
		return share{w * (g - 1) / g, w / g, passes*(n-1) - far, far}, true
	case "pairwise":
		switch op {
		case AllToAll:
			return share{(g - 1) / n, (n - g) / n, g - 1, n - g}, true
		case SendRecv:
			return share{0, 1, 0, 1}, true
		}
	case "tree": // two trees for half of the buffer each, a chain inside a node
		if op == AllReduce {
			sends := map[float64]float64{2: 1, 3: 1.5}[k]
			if sends == 0 {
				sends = 2
			}
			return share{2 * (g - 1) / g, sends / g, 2 * (g - 1), 2 * float64(bits.Len64(uint64(k)-1))}, true
		}
	case "hierarchical": // reduce and scatter inside, all-reduce across, gather inside
		if op == AllReduce || op == AllGather || op == ReduceScatter {
			return share{passes * (g - 1) / g, passes * (k - 1) / k / g, passes * (g - 1), passes * (k - 1)}, true
		}
	}
	return share{}, false
}
