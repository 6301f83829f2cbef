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
	// Library holds the constants of the collective library on this network.
	Library Library `yaml:"library" spec:"required"`
}

// Library holds the constants of a collective library on a network.
type Library struct {
	// Base is the time a collective takes whatever its size and ranks.
	Base units.Time `yaml:"base" spec:"min=0 ns"`
	// Step is the time each step of the ring adds.
	Step units.Time `yaml:"step" spec:"min=0 ns"`
	// Chunk is the pipeline-fill time per square root of a byte sent through a link: the time for
	// 1 MB is a thousand times it.
	Chunk units.Time `yaml:"chunk" spec:"min=0 ns"`
	// Efficiency is the share of Bandwidth that payload reaches.
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

// Rate returns the sustained rate of a chip's links in one direction, in whole bytes per second.
func (s Spec) Rate() int64 {
	return int64(math.Max(1, math.Round(float64(s.Bandwidth)*s.Library.Efficiency)))
}

// Schedule is what a collective asks of each rank.
type Schedule struct {
	Sent    units.Bytes // through the rank's outgoing links
	Steps   int64       // rounds of the algorithm
	Latency units.Time  // base, steps and pipeline fill
}

// Schedule returns what op over ranks chips asks of each of them. bytes is the full buffer per
// rank (for all-gather and reduce-scatter the total). One rank needs nothing.
func (s Spec) Schedule(op Op, ranks int64, bytes units.Bytes) (Schedule, error) {
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
	fill := units.Time(math.Ceil(float64(s.Library.Chunk) * math.Sqrt(float64(sent))))
	lat, ok1 := units.Mul(int64(s.Library.Step), steps)
	lat, ok2 := units.Add(lat, int64(s.Library.Base+fill))
	if !ok1 || !ok2 {
		return Schedule{}, fmt.Errorf("collective %s over %d ranks: latency overflows", op, ranks)
	}
	return Schedule{Sent: units.Bytes(sent), Steps: steps, Latency: units.Time(lat)}, nil
}
