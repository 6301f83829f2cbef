package interconnect

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/sim/units"
)

// Spec is the network between the chips of one node.
type Spec struct {
	// Topology of the network.
	Topology string `yaml:"topology" spec:"required,oneof=switch|ring|torus|mesh|fully-connected"`
	// Dimensions of a torus or mesh, in chips.
	Dimensions []int64 `yaml:"dimensions,omitempty"`
	// Bandwidth of all links of one chip together, per direction.
	Bandwidth units.BytesPerSecond `yaml:"bandwidth" spec:"required,gt=0 B/s"`
	// Library is the collective library that runs on it.
	Library Library `yaml:"library" spec:"required"`
}

// Library is a collective library on a network.
type Library struct {
	// Protocols that the library chooses from, by the least time for the message at hand.
	Protocols []Protocol `yaml:"protocols" spec:"required,min=1,max=16,unique"`
}

// Protocol holds the constants of one way to move data around the ring: NCCL's LL protocol starts
// early and moves little, its Simple protocol the other way round.
type Protocol struct {
	Name string `yaml:"name" spec:"required"`
	// Base is the time a collective takes whatever its size and ranks.
	Base units.Time `yaml:"base" spec:"min=0 ns,max=1 s"`
	// Step is the time each step of the ring adds.
	Step units.Time `yaml:"step" spec:"min=0 ns,max=1 s"`
	// Chunk is the pipeline-fill time per square root of a byte sent through a link: the time for
	// 1 MB is a thousand times it.
	Chunk units.Time `yaml:"chunk" spec:"min=0 ns,max=1 s"`
	// Efficiency is the share of the network's bandwidth that payload reaches.
	Efficiency float64 `yaml:"efficiency" spec:"required,gt=0,max=1"`
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

// Rate returns the rate of a chip's links in one direction under the library's fastest protocol, in
// whole bytes per second.
func (s Spec) Rate(l *Library) int64 {
	return int64(math.Max(1, math.Round(float64(s.Bandwidth)*l.best())))
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
// least. bytes is the full buffer per rank (for all-gather and reduce-scatter the total). One rank
// needs nothing.
func (s Spec) Schedule(l *Library, op Op, ranks int64, bytes units.Bytes) (Schedule, error) {
	if ranks < 1 || bytes < 0 {
		return Schedule{}, fmt.Errorf("collective %s over %d ranks of %d bytes: both must be positive", op, ranks, bytes)
	}
	if ranks == 1 || bytes == 0 {
		return Schedule{}, nil
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
	sent, ok := units.MulDivCeil(int64(bytes), num, den)
	if !ok {
		return Schedule{}, fmt.Errorf("collective %s of %v: overflow", op, bytes)
	}
	var best Schedule
	least := math.Inf(1)
	for i := range l.Protocols {
		p := &l.Protocols[i]
		fill := units.Time(math.Ceil(float64(p.Chunk) * math.Sqrt(float64(sent))))
		lat, ok1 := units.Mul(int64(p.Step), steps)
		lat, ok2 := units.Add(lat, int64(p.Base+fill))
		occupied := math.Ceil(float64(sent) * (l.best() / p.Efficiency))
		if !ok1 || !ok2 || occupied > 1<<62 {
			return Schedule{}, fmt.Errorf("collective %s of %v over %d ranks: overflow", op, bytes, ranks)
		}
		t := float64(lat) + occupied/float64(s.Rate(l))*float64(units.Second)
		if t < least {
			least = t
			best = Schedule{Protocol: p.Name, Sent: units.Bytes(sent), Occupied: units.Bytes(occupied), Steps: steps, Latency: units.Time(lat)}
		}
	}
	return best, nil
}
