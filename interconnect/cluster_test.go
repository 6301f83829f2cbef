package interconnect_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// two is nodes of eight chips at 100 GB/s, with a NIC of 10 GB/s each.
func two() *interconnect.Cluster {
	ring := interconnect.Library{Protocols: []interconnect.Protocol{{Name: "ring", Efficiency: 1}}}
	return &interconnect.Cluster{Chips: 8,
		Up:  &interconnect.Spec{Topology: "switch", Bandwidth: 100e9, Library: ring},
		Out: &interconnect.ScaleOut{NICs: 8, Bandwidth: 10e9, Efficiency: 1, Library: ring}}
}

// By hand: a ring of r ranks, g of them in a node, takes w·S over g of the node's NICs or w·S·(g−1)/g over the links of a rank.
func TestCollective(t *testing.T) {
	const S = 16e9
	for _, c := range []struct {
		op            interconnect.Op
		ranks, stride int64
		seconds       float64
		local, remote float64
	}{
		{interconnect.AllReduce, 8, 1, 2 * 7 / 8. * S / 100e9, 2 * 7 / 8. * S, 0},
		{interconnect.AllReduce, 4, 2, 2 * 3 / 4. * S / 100e9, 2 * 3 / 4. * S, 0},
		{interconnect.AllReduce, 16, 1, 2 * 15 / 16. * S / 80e9, 2 * 15 / 16. * S * 7 / 8, 2 * 15 / 16. * S / 8},
		{interconnect.AllReduce, 8, 4, 2 * 7 / 8. * S / 20e9, 2 * 7 / 8. * S / 2, 2 * 7 / 8. * S / 2},
		{interconnect.AllGather, 8, 8, 7 / 8. * S / 10e9, 0, 7 / 8. * S},
		{interconnect.ReduceScatter, 32, 16, 31 / 32. * S / 10e9, 0, 31 / 32. * S},
		{interconnect.AllToAll, 16, 1, 8 / 16. * S / 10e9, 7 / 16. * S, 8 / 16. * S},
		{interconnect.SendRecv, 2, 8, S / 10e9, 0, S},
		{interconnect.SendRecv, 2, 4, S / 100e9, S, 0},
		{interconnect.Broadcast, 16, 1, S / 80e9, S * 7 / 8, S / 8},
	} {
		got, err := two().Collective(nil, c.op, interconnect.Group{Ranks: c.ranks, Stride: c.stride}, S, "")
		if err != nil || math.Abs(got.Time.Seconds()/c.seconds-1) > 1e-9 || math.Abs(float64(got.Local)-c.local) > 1 || math.Abs(float64(got.Remote)-c.remote) > 1 {
			t.Errorf("%s over %d, %d apart: %+v, %v; want %g s, %g and %g B", c.op, c.ranks, c.stride, got, err, c.seconds, c.local, c.remote)
		}
	}
}

// Groups that do not fit, and what no library does, are refused by name.
func TestCollectiveErrors(t *testing.T) {
	alone := two()
	alone.Out = nil
	few := two()
	few.Out.Nodes = 2
	for _, c := range []struct {
		cluster       *interconnect.Cluster
		ranks, stride int64
		algorithm     string
		want          string
	}{
		{two(), 0, 1, "", "all-reduce over 0 ranks, 1 apart: there must be a rank"},
		{two(), 2, 0, "", "there must be a rank, a distance"},
		{alone, 16, 1, "", "a node has 8 chips, and there is no network between nodes (system.scale_out)"},
		{few, 4, 8, "", "4 nodes of 8 chips are needed, the network connects 2"},
		{two(), 4, 1, "tree", `the collective library has no "tree" for it inside a node`},
		{two(), 16, 1, "tree", `the collective library has no "tree" for it across nodes`},
		{two(), math.MaxInt64, 2, "", "too large"},
		{&interconnect.Cluster{Chips: 8}, 4, 1, "", "no network inside a node (system.scale_up)"},
	} {
		got, err := c.cluster.Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: c.ranks, Stride: c.stride}, 1e6, c.algorithm)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (interconnect.Cost{}) {
			t.Errorf("%d, %d apart: %+v, %v; want %s", c.ranks, c.stride, got, err, c.want)
		}
	}
}

// TestEndsOfAPipeline: the first and the last of three stages on two nodes meet, though two groups as far apart would need three.
func TestEndsOfAPipeline(t *testing.T) {
	c := two()
	c.Out.Nodes = 2
	ends, err := c.Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: 2, Stride: 10}, 1e6, "")
	if err != nil {
		t.Fatal(err)
	}
	if next, err := c.Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: 2, Stride: 8}, 1e6, ""); err != nil || ends != next {
		t.Errorf("%+v, neighbours %+v, %v", ends, next, err)
	}
}

// More bytes never take less time, and a rank sends no less.
func TestCollectiveMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := two()
		c.Out.Library.Protocols = []interconnect.Protocol{
			{Name: "ring", Base: 8 * units.Microsecond, Step: 3 * units.Microsecond, Remote: 14 * units.Microsecond, Efficiency: 1},
			{Name: "tree", Algorithm: "tree", For: []interconnect.Op{interconnect.AllReduce}, Base: 8 * units.Microsecond, Step: 4 * units.Microsecond, Remote: 14 * units.Microsecond, Efficiency: 0.9},
			{Name: "across", Algorithm: "hierarchical", For: []interconnect.Op{interconnect.AllReduce}, Remote: 14 * units.Microsecond, Efficiency: 0.8}}
		op := rapid.SampledFrom(ops).Draw(t, "op")
		g := interconnect.Group{Ranks: rapid.Int64Range(2, 5000).Draw(t, "ranks"), Stride: rapid.SampledFrom([]int64{1, 2, 3, 4, 8, 16, 100}).Draw(t, "stride")}
		size := rapid.Int64Range(1, 1<<36)
		less := units.Bytes(size.Draw(t, "bytes"))
		a, err := c.Collective(nil, op, g, less, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.Collective(nil, op, g, less+units.Bytes(size.Draw(t, "more")), "")
		if err != nil || b.Time < a.Time || a.Protocol == b.Protocol && (b.Local < a.Local || b.Remote < a.Remote) {
			t.Fatalf("%+v, then %+v, %v", a, b, err)
		}
		if a.Latency > a.Time || a.Latency < 0 {
			t.Fatalf("%+v", a)
		}
	})
}

// An algorithm is all of its protocols, a name the one of that name even if it is an algorithm's too.
func TestByAlgorithm(t *testing.T) {
	c := two()
	for _, l := range []*interconnect.Library{&c.Up.Library, &c.Out.Library} {
		l.Protocols = []interconnect.Protocol{{Name: "quick", Efficiency: 0.5}, {Name: "ring", Base: units.Millisecond, Efficiency: 1}}
	}
	for _, ranks := range []int64{8, 16} {
		for choice, want := range map[string]string{"": "quick", "quick": "quick", "ring": "ring", interconnect.ByAlgorithm("ring"): "quick", interconnect.ByAlgorithm("quick"): "quick"} {
			got, err := c.Collective(nil, interconnect.AllReduce, interconnect.Group{Ranks: ranks, Stride: 1}, 1000, choice)
			if err != nil || got.Protocol != want || got.Algorithm != "ring" {
				t.Errorf("%d ranks, %q: %+v, %v; want %s", ranks, choice, got, err, want)
			}
		}
	}
}

// TestInside: groups of which a whole number fills a node stay in one, where there are several.
func TestInside(t *testing.T) {
	for _, c := range []struct {
		ranks, stride int64
		many, one     bool
	}{{8, 1, true, true}, {2, 2, true, true}, {1, 1, true, true}, {5, 1, false, true}, {2, 3, false, true}, {9, 1, false, false}, {2, 8, false, false}, {1 << 40, 1 << 40, false, false}, {}} {
		g, one := interconnect.Group{Ranks: c.ranks, Stride: c.stride}, two()
		one.Out = nil
		if many, one := two().Inside(g), one.Inside(g); many != c.many || one != c.one {
			t.Errorf("%+v: %v, of one node %v", g, many, one)
		}
	}
}
