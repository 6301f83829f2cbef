package parallel

import (
	"fmt"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// ways is the all-to-alls of a pass of a mixture of experts: tokens go to their experts, and come back.
const ways = 2

// Ring returns the communication of ring attention in one pass of a layer: CP−1 times each rank hands on to its neighbour the keys and values
// (backward: with their gradients) that it has, bytes of them, beside attention kernels of that time. A pass takes as long as its
// slowest hop, which may cross nodes. Without contexts it is empty.
func Ring(n Network, d Degrees, bytes units.Bytes, attention units.Time) (Comm, error) {
	g := d.Group(Context)
	if g.Ranks == 1 {
		return Comm{Kind: Context}, nil
	}
	hop, err := n.Collective(interconnect.SendRecv, interconnect.Group{Ranks: 2, Stride: g.Stride}, bytes)
	if err != nil {
		return Comm{}, err
	}
	total, ok := units.Mul(int64(bytes), g.Ranks)
	if !ok {
		return Comm{}, fmt.Errorf("%d ranks of %v: %w", g.Ranks, bytes, units.ErrTooLarge)
	}
	around, err := n.Collective(interconnect.AllGather, g, units.Bytes(total)) // all hops at once, those between nodes among them
	if err != nil {
		return Comm{}, err
	}
	passes := units.Time(g.Ranks - 1)
	return Comm{Kind: Context, Time: max(hop.Time*passes, around.Time), Beside: attention, Pieces: int64(passes)}, nil
}

// Exchange returns the communication of one pass of a mixture of experts: the tokens that a rank has reach the ranks of their experts
// and come back, in two all-to-alls of bytes each (tokens·experts of a token·hidden size·element). Nothing hides it. Without
// expert parallelism it is empty.
func Exchange(n Network, d Degrees, bytes units.Bytes) (Comm, error) {
	g := d.Group(Expert)
	if g.Ranks == 1 {
		return Comm{Kind: Expert}, nil
	}
	c, err := n.Collective(interconnect.AllToAll, g, bytes)
	return Comm{Kind: Expert, Time: ways * c.Time}, err
}
