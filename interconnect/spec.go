package interconnect

import (
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/sim/units"
)

// Spec is the network between the chips of one node.
type Spec struct {
	// Topology of the network.
	Topology string `yaml:"topology" spec:"required,oneof=switch|ring|torus|mesh|fully-connected"`
	// Dimensions of a torus or mesh, in chips; for fully connected chips how many there are, where each has a link of its own
	// to each other: without them all links reach every chip.
	Dimensions []int64 `yaml:"dimensions,omitempty" spec:"gt=0"`
	// Bandwidth of all links of one chip together, per direction.
	Bandwidth units.BytesPerSecond `yaml:"bandwidth" spec:"required,gt=0 B/s"`
	// Reduces says that the switch, if it is one, adds up what chips send and passes one result on to all of them.
	Reduces bool `yaml:"reduces,omitempty"`
	// Islands are chips that are nearer to one another than to the rest of the node; nil if there are none.
	Islands *Islands `yaml:"islands,omitempty"`
	// Library is the collective library that runs on it.
	Library Library `yaml:"library" spec:"required"`
}

// Islands are chips below one switch of a tree, or joined by bridges.
type Islands struct {
	// Chips of an island.
	Chips int64 `yaml:"chips" spec:"required,min=1,max=1000000"`
	// Beyond is the share of the bandwidth that groups of more chips get.
	Beyond float64 `yaml:"beyond" spec:"required,gt=0,max=1"`
}

// Library is a collective library on a network.
type Library struct {
	// Protocols that the library chooses from, by the least time for the message at hand.
	Protocols []Protocol `yaml:"protocols" spec:"required,min=1,max=16,unique"`
	// Issue is the time per chip of the group that one process needs to start a collective, where the host starts each and
	// is waited for: no collective takes less.
	Issue units.Time `yaml:"issue,omitempty" spec:"min=0 ns,max=1 s"`
}

// Validate reports a library that has nothing for most collectives.
func (l Library) Validate(report func(path, message, hint string)) {
	for _, op := range []Op{AllReduce, AllGather, ReduceScatter, AllToAll, Broadcast, SendRecv} {
		if slices.ContainsFunc(l.Protocols, func(p Protocol) bool { return p.suits(op) && p.Most == 0 }) {
			continue
		}
		if !slices.ContainsFunc(l.Protocols, func(p Protocol) bool { return !p.Direct && p.Most == 0 }) {
			report("protocols", "all are direct, which is for all-reduces only, or have a largest message", "add one that is not and has none")
			return
		}
		report("protocols", fmt.Sprintf("none is for %s of any size", op), "name it in a protocol's list for, or leave the list out")
	}
}

// Protocol holds the constants of one way to move data around the ring: NCCL's LL protocol starts
// early and moves little, its Simple protocol the other way round.
type Protocol struct {
	Name string `yaml:"name" spec:"required"`
	// For lists the collectives that the protocol is for; empty for all.
	For []Op `yaml:"for,omitempty" spec:"max=16,oneof=all-reduce|all-gather|reduce-scatter|all-to-all|broadcast|send-recv"`
	// Direct says that every rank sends its whole buffer to every other at once and all reduce
	// everything: more data in half the steps. It is for all-reduces, and for all-gathers if For lists them.
	Direct bool `yaml:"direct,omitempty"`
	// Base is the time a collective takes whatever its size and ranks.
	Base units.Time `yaml:"base" spec:"min=0 ns,max=1 s"`
	// Algorithm is what the collective runs as, "" for a ring. In-switch is for all-reduces, and done only on a network that reduces: each
	// chip sends its buffer up but for a part that it reads reduced, and that part again, which the switch passes on to all.
	Algorithm string `yaml:"algorithm,omitempty" spec:"oneof=ring|tree|hierarchical|pairwise|in-switch"`
	// Step is the time each step inside a node adds.
	Step units.Time `yaml:"step" spec:"min=0 ns,max=1 s"`
	// Remote is the time each step between nodes adds.
	Remote units.Time `yaml:"remote,omitempty" spec:"min=0 ns,max=1 s"`
	// Chunk is the pipeline-fill time per square root of a byte sent through a link: the time for
	// 1 MB is a thousand times it.
	Chunk units.Time `yaml:"chunk" spec:"min=0 ns,max=1 s"`
	// Efficiency is the share of the network's bandwidth that payload reaches.
	Efficiency float64 `yaml:"efficiency" spec:"required,gt=0,max=1"`
	// Own is the time that a byte of a rank's own part of the buffer takes, which is copied or reduced where it is, as a share of
	// that of a byte on the links.
	Own float64 `yaml:"own,omitempty" spec:"min=0,max=1"`
	// Most is the largest buffer that the library uses the protocol for; 0 is no bound.
	Most units.Bytes `yaml:"most,omitempty" spec:"min=0 B"`
}

// suits reports whether the protocol can run a collective.
func (p *Protocol) suits(op Op) bool {
	return (!p.Direct && p.Algorithm != "in-switch" || op == AllReduce || p.Direct && op == AllGather && slices.Contains(p.For, op)) && (len(p.For) == 0 || slices.Contains(p.For, op))
}

// Op is a collective operation.
type Op string

// The collective operations.
const (
	AllReduce     Op = "all-reduce"
	AllGather     Op = "all-gather"
	ReduceScatter Op = "reduce-scatter"
	AllToAll      Op = "all-to-all"
	Broadcast     Op = "broadcast"
	SendRecv      Op = "send-recv"
)

// best returns the highest efficiency of the library's protocols.
func (l *Library) best() float64 {
	var e float64
	for i := range l.Protocols {
		e = max(e, l.Protocols[i].Efficiency)
	}
	return e
}

// links returns how many links a dimension of that many chips gives each of them: one to the only
// neighbour, or one each way.
func links(chips int64) float64 {
	return float64(min(max(chips-1, 0), 2))
}

// reach returns the share of a chip's links that lead to other chips of a group. In a torus, mesh or ring the
// group fills whole dimensions, from the one of its stride on; a ring along a mesh goes there and back, and so through one
// link each way. Links of a full mesh lead to one chip each. Elsewhere every link leads to every chip.
func (s Spec) reach(g Group) float64 {
	if i := s.Islands; i != nil && (g.Ranks-1)*g.Stride >= i.Chips {
		return i.Beyond
	}
	switch s.Topology {
	case "ring":
		return links(g.Ranks) / 2
	case "torus", "mesh":
	case "fully-connected":
		chips := int64(1)
		for _, d := range s.Dimensions {
			chips *= d
		}
		if chips > 1 && g.Ranks > 1 {
			return float64(min(g.Ranks, chips)-1) / float64(chips-1)
		}
		return 1
	default:
		return 1
	}
	var used, all float64
	span, ok := units.Mul(g.Ranks, g.Stride)
	if !ok {
		span = math.MaxInt64
	}
	size := int64(1)
	for _, d := range s.Dimensions {
		all += links(d)
		// The group's ranks along this dimension, whose neighbours are size apart.
		if from, to := max(g.Stride, size), min(span, size*d); from < to {
			if n := links(units.CeilDiv(to, from)); s.Topology == "mesh" {
				used += min(n, 1)
			} else {
				used += n
			}
		}
		size *= d
	}
	if used == 0 || all == 0 {
		return 1
	}
	return used / all
}

// Rate returns the rate in one direction at which a chip reaches a group of ranks, itself among them,
// under the library's fastest protocol, in whole bytes per second.
func (s Spec) Rate(l *Library, ranks int64) int64 {
	return s.rate(l, Group{ranks, 1})
}

func (s Spec) rate(l *Library, g Group) int64 {
	return whole(float64(s.Bandwidth) * s.reach(g) * l.best())
}

// whole rounds a rate to whole bytes per second, at least one.
func whole(x float64) int64 {
	x = math.Round(x)
	switch {
	case !(x >= 1):
		return 1
	case x > 1<<62:
		return 1 << 62
	}
	return int64(x)
}

// Validate reports dimensions that the topology lacks or does not have.
func (s Spec) Validate(report func(path, message, hint string)) {
	grid := s.Topology == "torus" || s.Topology == "mesh"
	if grid && len(s.Dimensions) == 0 {
		report("dimensions", "a "+s.Topology+" needs them", "e.g. [2, 2, 2]")
	}
	if !grid && s.Topology != "fully-connected" && len(s.Dimensions) > 0 {
		report("dimensions", "belong to a torus or a mesh, or fully connected chips", "remove them")
	}
	if s.Islands != nil && s.Topology != "switch" && s.Topology != "fully-connected" {
		report("islands", "are of chips on switches", "remove them")
	}
}

// Schedule is what a collective asks of each rank.
type Schedule struct {
	Protocol string
	Sent     units.Bytes // payload through the rank's outgoing links
	Occupied units.Bytes // what could have been sent at Rate in the time the links are busy
	Steps    int64       // rounds of the algorithm
	Latency  units.Time  // base, steps and pipeline fill
}

// Schedule returns what op over ranks chips asks of each of them, under the protocol that takes
// least; the first of several that take the same. bytes is the full buffer per rank (for all-gather
// and reduce-scatter the total). One rank needs nothing.
func (s Spec) Schedule(l *Library, op Op, ranks int64, bytes units.Bytes) (Schedule, error) {
	return s.ScheduleBy(l, "", op, ranks, bytes)
}

// ScheduleBy is Schedule under the protocol of that name, or what ByAlgorithm names; "" leaves the choice. Where it does not do op, the schedule has
// no protocol.
func (s Spec) ScheduleBy(l *Library, protocol string, op Op, ranks int64, bytes units.Bytes) (Schedule, error) {
	return s.schedule(l, protocol, op, Group{ranks, 1}, bytes)
}

func (s Spec) schedule(l *Library, protocol string, op Op, g Group, bytes units.Bytes) (Schedule, error) {
	ranks := g.Ranks
	if ranks < 1 || bytes < 0 {
		return Schedule{}, fmt.Errorf("collective %s over %d ranks of %d bytes: there must be a rank and no negative size", op, ranks, bytes)
	}
	var steps, num, den int64
	switch op {
	case AllReduce:
		steps, num, den = 2*(ranks-1), 2*(ranks-1), ranks
	case AllGather, ReduceScatter, AllToAll:
		steps, num, den = ranks-1, ranks-1, ranks
	case Broadcast:
		steps, num, den = ranks-1, 1, 1
	case SendRecv:
		steps, num, den = 1, 1, 1
	default:
		return Schedule{}, fmt.Errorf("unknown collective %q", op)
	}
	if ranks == 1 || bytes == 0 {
		return Schedule{}, nil
	}
	overflow := fmt.Errorf("collective %s of %v over %d ranks: %w", op, bytes, ranks, units.ErrTooLarge)
	sent, ok := units.MulDivCeil(int64(bytes), num, den)
	if !ok {
		return Schedule{}, overflow // and more so for a direct protocol, which sends no less
	}
	var best Schedule
	least := math.Inf(1)
	picked := l.picks(protocol)
	for i := range l.Protocols {
		p := &l.Protocols[i]
		if !p.suits(op) || !picked(p) {
			continue
		}
		moved, rounds := sent, steps
		if p.Most > 0 && bytes > p.Most {
			continue
		}
		if p.Direct {
			if moved, ok = units.Mul(int64(bytes), ranks-1); !ok {
				continue
			}
			rounds = ranks - 1
		}
		own := int64(0)
		if op != Broadcast && op != SendRecv {
			own = int64(p.Own * float64(bytes) / float64(ranks))
		}
		if p.Algorithm == "in-switch" {
			if moved, ok = units.MulDivCeil(int64(bytes), ranks+1, ranks); !ok || !s.Reduces || s.Topology != "switch" {
				continue
			}
			rounds, own = 2, 0
		}
		c, fits := s.under(l, p, moved, own, rounds)
		t := float64(c.Latency) + float64(float64(c.Occupied)/float64(s.rate(l, g))*float64(units.Second))
		if fits && t < least {
			least, best = t, c
		}
	}
	if math.IsInf(least, 1) {
		if protocol != "" {
			return Schedule{}, nil
		}
		return Schedule{}, overflow
	}
	return best, nil
}

// under is the schedule under one protocol; it does not fit if a figure would overflow.
func (s Spec) under(l *Library, p *Protocol, sent, own, steps int64) (c Schedule, fits bool) {
	passed := float64(sent) + float64(own)
	fill := math.Ceil(float64(p.Chunk) * math.Sqrt(passed))
	occupied := math.Ceil(passed * (l.best() / p.Efficiency))
	if fill > float64(units.MaxTime) || occupied > 1<<62 {
		return Schedule{}, false
	}
	lat, ok1 := units.Mul(int64(p.Step), steps)
	lat, ok2 := units.Add(lat, int64(p.Base)+int64(fill))
	return Schedule{
		Protocol: p.Name,
		Sent:     units.Bytes(sent),
		Occupied: units.Bytes(max(sent, int64(occupied))), // large counts are rounded as floats
		Steps:    steps,
		Latency:  units.Time(lat),
	}, ok1 && ok2
}
