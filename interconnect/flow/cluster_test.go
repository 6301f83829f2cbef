package flow

import (
	"math"
	"testing"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// The closed form of a machine's cluster and flows on the links that it stands for take the same, where each rank has an
// interface of its own and nothing else uses it: groups inside a node, groups with one rank in each node, and exchanges
// between all of several nodes, with less bandwidth between leaves than below them.
func TestClusterAgainstFlows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const up, out = 400e9, 50e9
		chips, nodes := rapid.SampledFrom([]int{2, 4, 8}).Draw(t, "chips"), rapid.SampledFrom([]int{2, 3, 4, 8}).Draw(t, "nodes")
		var leaves []int
		for n := 1; n <= nodes; n++ {
			if nodes%n == 0 {
				leaves = append(leaves, n)
			}
		}
		leaf, over := rapid.SampledFrom(leaves).Draw(t, "nodes of a leaf"), rapid.SampledFrom([]float64{1, 1.5, 2, 7}).Draw(t, "oversubscription")
		lib := interconnect.Library{Protocols: []interconnect.Protocol{{Name: "ring", Efficiency: 1}}}
		c := &interconnect.Cluster{Chips: int64(chips), Up: &interconnect.Spec{Topology: "switch", Bandwidth: up, Library: lib},
			Out: &interconnect.ScaleOut{NICs: int64(chips), Bandwidth: out, Efficiency: 1, Group: int64(leaf), Oversubscription: over, Library: lib}}
		n := build(t, Dimension{Topology: Switch, Ranks: chips, Rate: up}, Dimension{Topology: FatTree, Ranks: nodes, Rate: out, Group: leaf, Oversubscription: over})
		op := rapid.SampledFrom(ops).Draw(t, "op")
		g, algorithm := interconnect.Group{Ranks: int64(chips), Stride: 1}, RingAlgorithm
		switch rapid.IntRange(0, 2).Draw(t, "group") {
		case 1:
			g = interconnect.Group{Ranks: int64(nodes), Stride: int64(chips)}
		case 2:
			g, op = interconnect.Group{Ranks: int64(chips * nodes), Stride: 1}, interconnect.AllToAll
		}
		if op == interconnect.AllToAll {
			algorithm = Direct
		}
		if op == interconnect.SendRecv {
			g.Ranks = 2
			if g.Stride == 1 && chips != 2 || g.Stride > 1 && nodes != 2 {
				t.Skip("groups of two that do not cover the network")
			}
		}
		bytes := rapid.Int64Range(1e6, 1e12).Draw(t, "bytes")
		cost, err := c.Collective(nil, op, g, units.Bytes(bytes), "")
		if err != nil {
			t.Fatal(err)
		}
		groups, err := Side(n.Ranks(), g)
		if err != nil {
			t.Fatal(err)
		}
		r, err := n.Time(&Collective{Op: op, Algorithm: algorithm, Bytes: float64(bytes), Groups: groups})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(r.Seconds/cost.Time.Seconds()-1) > 1e-5 { // whole bytes and picoseconds
			t.Fatalf("%s of %d B over %+v of %d nodes of %d, %d to a leaf: %v in closed form, flows %g s", op, bytes, g, nodes, chips, leaf, cost.Time, r.Seconds)
		}
		// All ranks of a group but the ends of a chain send what the algorithm has to move.
		if op != interconnect.Broadcast && op != interconnect.SendRecv {
			sent := float64(cost.Local+cost.Remote) * float64(n.Ranks())
			if math.Abs(sent/r.Sent-1) > 1e-3 {
				t.Fatalf("%s over %+v: %g B in closed form, flows %g B", op, g, sent, r.Sent)
			}
		}
	})
}
