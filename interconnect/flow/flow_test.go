package flow

import (
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/interconnect"
	"pgregory.net/rapid"
)

var ops = []interconnect.Op{interconnect.AllReduce, interconnect.AllGather, interconnect.ReduceScatter, interconnect.AllToAll, interconnect.Broadcast, interconnect.SendRecv}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-8*math.Max(math.Abs(a), math.Abs(b)) }

func build(t interface{ Fatal(...any) }, dims ...Dimension) *Network {
	n, err := New(dims)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func everyone(n int) [][]int {
	g := make([]int, n)
	for i := range g {
		g[i] = i
	}
	return [][]int{g}
}

func drawDimension(t *rapid.T, most int) Dimension {
	d := Dimension{Topology: rapid.SampledFrom(Topologies).Draw(t, "topology"), Ranks: rapid.IntRange(1, most).Draw(t, "ranks"),
		Rate: rapid.Float64Range(1e8, 1e12).Draw(t, "rate"), Latency: rapid.Float64Range(0, 1e-5).Draw(t, "latency")}
	if d.Topology == FatTree || d.Topology == Dragonfly {
		d.Group = rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "group")
		if d.Group > 0 {
			d.Ranks *= d.Group
		}
		d.Oversubscription = float64(rapid.IntRange(1, 4).Draw(t, "oversubscription"))
	}
	d.Reduces = d.Topology == Switch
	return d
}

// The closed form is what flows come to where it is one, for every topology, collective and algorithm.
func TestClosedForm(t *testing.T) {
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		d := drawDimension(t, 9)
		c := &Collective{Op: rapid.SampledFrom(ops).Draw(t, "op"), Algorithm: rapid.SampledFrom(Algorithms).Draw(t, "algorithm"),
			Bytes: rapid.Float64Range(1, 1e10).Draw(t, "bytes"), Groups: everyone(d.Ranks)}
		want, ok := Closed(&d, c.Op, c.Algorithm, c.Bytes)
		if !ok {
			t.Skip("no closed form")
		}
		n := build(t, d)
		got, err := n.Time(c)
		if err != nil {
			t.Fatal(err)
		}
		if !near(got.Seconds, want) {
			t.Fatalf("%s with %s of %g B over %+v: flows %g s, closed form %g s", c.Op, c.Algorithm, c.Bytes, d, got.Seconds, want)
		}
		seen[d.Topology+" "+c.Algorithm] = true
	})
	if len(seen) < 10 {
		t.Errorf("only %d cases have a closed form", len(seen))
	}
}

// By hand, 16 GB over links of 10 GB/s without latency.
func TestByHand(t *testing.T) {
	const S, B = 16e9, 10e9
	switched := Dimension{Topology: Switch, Ranks: 8, Rate: B, Reduces: true}
	ring := Dimension{Topology: Ring, Ranks: 8, Rate: B}
	for _, c := range []struct {
		name string
		dims []Dimension
		c    Collective
		want float64
	}{
		{"ring through a switch", []Dimension{switched}, Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm}, 2 * 7 / 8. * S / B},
		{"both ways round", []Dimension{ring}, Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm}, 7 / 8. * S / B},
		{"a line has no way round", []Dimension{{Topology: Line, Ranks: 8, Rate: B}}, Collective{Op: interconnect.AllGather, Algorithm: RingAlgorithm}, 7. / 16 * S / B * 2},
		{"all to all over the middle of a ring: S·n/8", []Dimension{ring}, Collective{Op: interconnect.AllToAll, Algorithm: Direct}, S * 8 / 8 / 8 / B * 8},
		{"in the switch", []Dimension{switched}, Collective{Op: interconnect.AllReduce, Algorithm: InSwitch}, 9 / 8. * S / B},
		{"three rings of a torus at once: 6 links", []Dimension{{Topology: Ring, Ranks: 4, Rate: B}, {Topology: Ring, Ranks: 4, Rate: B}, {Topology: Ring, Ranks: 4, Rate: B}},
			Collective{Op: interconnect.AllReduce, Algorithm: MultiRing}, 2 * 63 / 64. * S / (6 * B)},
		{"leaves of four with half the bandwidth up: all to all crosses with 4 of 7", []Dimension{{Topology: FatTree, Ranks: 8, Rate: B, Group: 4, Oversubscription: 2}},
			Collective{Op: interconnect.AllToAll, Algorithm: Direct}, S / 8 * 4 * 4 / (4 * B / 2)},
		{"but a ring crosses with one of four", []Dimension{{Topology: FatTree, Ranks: 8, Rate: B, Group: 4, Oversubscription: 2}},
			Collective{Op: interconnect.AllGather, Algorithm: RingAlgorithm}, 7 / 8. * S / B},
		{"one link between groups of a dragonfly", []Dimension{{Topology: Dragonfly, Ranks: 8, Rate: B, Group: 4, Oversubscription: 4}},
			Collective{Op: interconnect.AllToAll, Algorithm: Direct}, S / 8 * 16 / B},
		{"a tree passes half of it up and down twice", []Dimension{{Topology: Switch, Ranks: 2, Rate: B}}, Collective{Op: interconnect.AllReduce, Algorithm: Tree}, S / B},
	} {
		n := build(t, c.dims...)
		c.c.Bytes, c.c.Groups = S, everyone(n.Ranks())
		got, err := n.Time(&c.c)
		if err != nil || !near(got.Seconds, c.want) {
			t.Errorf("%s: %+v, %v; want %g s", c.name, got, err, c.want)
		}
	}
}

// ratesOf returns the max-min fair rate of flows along paths of links with capacities.
func ratesOf(paths [][]int32, capacity []float64) []float64 {
	r := &routes{at: []int32{0}}
	for _, p := range paths {
		r.links = append(r.links, p...)
		r.end(1)
	}
	return incidenceOf(r, capacity).fill(r.bytes)
}

// Rates are fair and nothing is left over: each flow is on a link that is full, and no other flow of that link gets more.
func TestMaxMin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		links := rapid.IntRange(1, 12).Draw(t, "links")
		capacity := make([]float64, links)
		for i := range capacity {
			capacity[i] = rapid.Float64Range(1, 1000).Draw(t, "capacity")
		}
		var paths [][]int32
		for range rapid.IntRange(1, 30).Draw(t, "flows") {
			paths = append(paths, rapid.SliceOfNDistinct(rapid.Int32Range(0, int32(links)-1), 1, min(links, 4), rapid.ID[int32]).Draw(t, "path"))
		}
		rates := ratesOf(paths, capacity)
		used, most := make([]float64, links), make([]float64, links)
		for f, p := range paths {
			for _, l := range p {
				used[l] += rates[f]
				most[l] = max(most[l], rates[f])
			}
		}
		for l := range capacity {
			if used[l] > capacity[l]*(1+1e-9) {
				t.Fatalf("link %d carries %g of %g", l, used[l], capacity[l])
			}
		}
		for f, p := range paths {
			bottleneck := false
			for _, l := range p {
				bottleneck = bottleneck || used[l] >= capacity[l]*(1-1e-9) && rates[f] >= most[l]*(1-1e-9)
			}
			if !bottleneck {
				t.Fatalf("flow %d gets %g and could get more: rates %v", f, rates[f], rates)
			}
		}
	})
}

// One of each class is as good as all, on networks with symmetry, with faults and without.
func TestQuotient(t *testing.T) {
	fewer := 0
	rapid.Check(t, func(t *rapid.T) {
		var dims []Dimension
		for range rapid.IntRange(1, 3).Draw(t, "dimensions") {
			dims = append(dims, drawDimension(t, 4))
		}
		n := build(t, dims...)
		if rapid.Bool().Draw(t, "fault") && len(n.links) > 0 {
			l := n.links[rapid.IntRange(0, len(n.links)-1).Draw(t, "link")]
			var err error
			if n, err = n.Break([]Fault{{int(l.From), int(l.To), rapid.SampledFrom([]float64{0.1, 0.5}).Draw(t, "share")}}); err != nil {
				t.Fatal(err)
			}
		}
		c := &Collective{Op: rapid.SampledFrom(ops).Draw(t, "op"), Algorithm: rapid.SampledFrom([]string{RingAlgorithm, Direct, Tree}).Draw(t, "algorithm"), Bytes: 1e9}
		if why := does(c.Op, c.Algorithm, 2); why != "" {
			t.Skip(why)
		}
		if rapid.Bool().Draw(t, "groups") && len(dims) > 1 {
			i := rapid.IntRange(0, len(dims)-1).Draw(t, "of dimension")
			var err error
			if c.Groups, err = Side(n.Ranks(), interconnect.Group{Ranks: int64(dims[i].Ranks), Stride: int64(n.strides[i])}); err != nil {
				t.Fatal(err)
			}
		} else {
			c.Groups = everyone(n.Ranks())
		}
		a, err := n.time(c, false)
		if err != nil {
			t.Fatal(err)
		}
		b, err := n.time(c, true)
		if err != nil || !near(a.Seconds, b.Seconds) {
			t.Fatalf("classes: %g s, in full: %g s, %v", a.Seconds, b.Seconds, err)
		}
		list, _ := n.stages(c)
		for _, s := range list {
			paths := n.paths(t, &s)
			capacity := make([]float64, len(n.links))
			for l := range capacity {
				capacity[l] = n.links[l].Rate
			}
			k := refine(paths, capacity)
			if k == nil {
				t.Fatal("colours that are no classes")
				return
			}
			if len(k.first) < paths.flows() {
				fewer++
			}
			// Rate by rate, not only the time of the slowest.
			ones := make([]float64, paths.flows())
			for f := range ones {
				ones[f] = 1
			}
			inFull, one := incidenceOf(paths, capacity).fill(ones), k.quotient.fill(ones[:len(k.first)])
			for f := range inFull {
				if !near(inFull[f], one[k.ofFlow[f]]) && !math.IsInf(inFull[f], 1) {
					t.Fatalf("flow %d gets %g, its class %g", f, inFull[f], one[k.ofFlow[f]])
				}
			}
		}
	})
	if fewer == 0 {
		t.Error("no pattern had classes")
	}
}

// What all ranks send is what the collective has to move, and as much comes as goes at every rank of a symmetric one.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ranks := rapid.SampledFrom([]int{2, 3, 4, 5, 8, 16}).Draw(t, "ranks")
		op := rapid.SampledFrom(ops).Draw(t, "op")
		algorithm := rapid.SampledFrom([]string{RingAlgorithm, Direct, HalvingDoubling, Tree}).Draw(t, "algorithm")
		if why := does(op, algorithm, ranks); why != "" {
			t.Skip(why)
		}
		const S = 1e9
		n := float64(ranks)
		want := map[interconnect.Op]float64{interconnect.AllReduce: 2 * (n - 1) * S, interconnect.AllGather: (n - 1) * S, interconnect.ReduceScatter: (n - 1) * S,
			interconnect.AllToAll: (n - 1) * S, interconnect.Broadcast: (n - 1) * S, interconnect.SendRecv: (n - 1) * S}[op]
		var sent float64
		out, in := make([]float64, ranks), make([]float64, ranks)
		for _, s := range stagesOf(op, algorithm, S, everyone(ranks)[0], 0, true) {
			for f := range s.from {
				sent += s.bytes[f] * s.times
				out[s.from[f]] += s.bytes[f] * s.times
				in[s.to[f]] += s.bytes[f] * s.times
			}
		}
		if !near(sent, want) {
			t.Fatalf("%s with %s over %d: %g B, want %g", op, algorithm, ranks, sent, want)
		}
		if op == interconnect.AllReduce || op == interconnect.AllToAll {
			for r := range ranks {
				if math.Abs(out[r]-in[r]) > 1 {
					t.Fatalf("%s with %s: rank %d sends %g B and gets %g", op, algorithm, r, out[r], in[r])
				}
			}
		}
	})
}

// Both trees of any number of ranks reach all of them from one root, and no rank has more than two children in one and more than
// three in both.
func TestTrees(t *testing.T) {
	for n := 2; n < 70; n++ {
		both := make([]int, n)
		for tree := range 2 {
			children, roots := make([]int, n), 0
			for i := range n {
				at, up := i, 0
				for ; parent(at, n, tree) >= 0 && up <= n; up++ {
					at = parent(at, n, tree)
				}
				if up > 2*(64-int(math.Log2(1))) || up > n {
					t.Fatalf("%d ranks, tree %d: rank %d never gets to the root", n, tree, i)
				}
				if p := parent(i, n, tree); p >= 0 {
					children[p]++
					both[p]++
				} else {
					roots++
				}
			}
			for i, c := range children {
				if c > 2 || roots != 1 {
					t.Errorf("%d ranks, tree %d: rank %d has %d children, %d roots", n, tree, i, c, roots)
				}
			}
		}
		for i, c := range both {
			if c > 3 {
				t.Errorf("%d ranks: rank %d has %d children in both trees", n, i, c)
			}
		}
	}
}

// A skewed all-to-all waits for the rank that gets most.
func TestSkew(t *testing.T) {
	n := build(t, Dimension{Topology: Switch, Ranks: 8, Rate: 1e9})
	even, err := n.Time(&Collective{Op: interconnect.AllToAll, Algorithm: Direct, Bytes: 8e9, Groups: everyone(8)})
	if err != nil || !near(even.Seconds, 7) {
		t.Fatal(even, err)
	}
	skewed, err := n.Time(&Collective{Op: interconnect.AllToAll, Algorithm: Direct, Bytes: 8e9, Groups: everyone(8), Skew: 1})
	if h := 761. / 280; err != nil || !near(skewed.Seconds, 7*8/h) { // the first of 8 gets 1/H₈ of everything, from 7 others
		t.Fatal(skewed, err, 7*8/h)
	}
}

// A slow link slows the group that has it and no other; a broken one is gone round, or said.
func TestFaults(t *testing.T) {
	dims := []Dimension{{Topology: Ring, Ranks: 4, Rate: 1e9}, {Topology: Ring, Ranks: 4, Rate: 1e9}}
	whole := build(t, dims...)
	groups, err := Side(16, interconnect.Group{Ranks: 4, Stride: 1})
	if err != nil {
		t.Fatal(err)
	}
	slow, err := whole.Break([]Fault{{0, 1, 0.5}})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := whole.Break([]Fault{{0, 1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range groups {
		c := &Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: 4e9, Groups: [][]int{g}}
		a, err1 := whole.Time(c)
		b, err2 := slow.Time(c)
		d, err3 := gone.Time(c)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		if i == 0 && (b.Seconds != 2*a.Seconds || !(d.Seconds > a.Seconds)) || i > 0 && (a.Seconds != b.Seconds || a.Seconds != d.Seconds) {
			t.Errorf("group %v: %g s, with a slow link %g s, with one gone %g s", g, a.Seconds, b.Seconds, d.Seconds)
		}
	}
	line := build(t, Dimension{Topology: Line, Ranks: 4, Rate: 1e9})
	cut, err := line.Break([]Fault{{1, 2, 0}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cut.Time(&Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: 1, Groups: everyone(4)})
	if err == nil || err.Error() != "links: group [0 1 2 3]: rank 0 cannot reach rank 3: no links that work lead there" {
		t.Error(err)
	}
	// Behind a switch all ranks need the link that they have to it, also where it reduces.
	sums := build(t, Dimension{Topology: Switch, Ranks: 4, Rate: 1e9, Reduces: true})
	if cut, err = sums.Break([]Fault{{2, 4, 0}}); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{RingAlgorithm, InSwitch} {
		r, err := cut.Time(&Collective{Op: interconnect.AllReduce, Algorithm: algorithm, Bytes: 1, Groups: everyone(4)})
		if err == nil || !strings.HasPrefix(err.Error(), "links: group [0 1 2 3]: rank ") || !strings.HasSuffix(err.Error(), ": no links that work lead there") {
			t.Errorf("%s: %+v, %v", algorithm, r, err)
		}
	}
}

func TestErrors(t *testing.T) {
	d := Dimension{Topology: Ring, Ranks: 4, Rate: 1e9}
	with := func(change func(*Dimension)) error {
		e := d
		change(&e)
		_, err := New([]Dimension{e})
		return err
	}
	n := build(t, d)
	groups := func(op interconnect.Op, algorithm string, g ...[]int) error {
		_, err := n.Time(&Collective{Op: op, Algorithm: algorithm, Bytes: 1, Groups: g})
		return err
	}
	explicit := func(ranks, nodes int, links ...Link) error { _, err := Explicit(ranks, nodes, links); return err }
	broken := func(f Fault) error { _, err := n.Break([]Fault{f}); return err }
	apart, err := Explicit(3, 3, []Link{{0, 1, 1, 0}, {1, 0, 1, 0}})
	if err != nil {
		t.Fatal(err)
	}
	_, unreachable := apart.Time(&Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: 1, Groups: everyone(3)})
	_, sides := Side(12, interconnect.Group{Ranks: 5, Stride: 1})
	for _, c := range []struct {
		err  error
		want string
	}{
		{with(func(d *Dimension) { d.Topology = "star" }), `topology/0: "star" is not known`},
		{with(func(d *Dimension) { d.Ranks = 0 }), "dims/0: must be 1 to 131072 ranks"},
		{with(func(d *Dimension) { d.Rate = 0 }), "link_gigabytes_per_second/0: a link of 0 B/s leaves rank 0"},
		{with(func(d *Dimension) { d.Rate = math.NaN() }), "link_gigabytes_per_second/0: a link of NaN B/s"},
		{with(func(d *Dimension) { d.Latency = -1 }), "latency_ns/0: must be 0 to 1e9"},
		{with(func(d *Dimension) { d.Group = 3 }), "group/0: 4 ranks are not groups of 3"},
		{with(func(d *Dimension) { d.Group = 2 }), "group/0: belongs to a fat tree or a dragonfly"},
		{with(func(d *Dimension) { d.Oversubscription = 0.5 }), "oversubscription/0: must be at least 1"},
		{with(func(d *Dimension) { d.Reduces = true }), "reduces/0: a ring does not reduce"},
		{with(func(d *Dimension) { d.Topology, d.Ranks = FullyConnected, 100000 }), "dims/0: more than 1048576 links"},
		{groups(interconnect.AllReduce, RingAlgorithm, []int{0, 1, 4}), "groups: group [0 1 4]: there is no rank 4 among 4"},
		{groups(interconnect.AllReduce, RingAlgorithm, []int{0, 1, 0}), "groups: group [0 1 0]: rank 0 is in it twice, and would wait for itself"},
		{groups(interconnect.AllReduce, RingAlgorithm, []int{0, 1}, []int{1, 2}), "groups: rank 1 is in group [0 1] and in group [1 2] at the same time, and cannot be in both"},
		{groups(interconnect.AllReduce, RingAlgorithm, []int{0, 1}, []int{2, 3}), ""},
		{groups(interconnect.AllReduce, RingAlgorithm, []int{0, 1, 2}, []int{3}), "groups: group [0 1 2] has 3 ranks and group [3] 1: groups side by side are of one size"},
		{groups(interconnect.AllReduce, HalvingDoubling, []int{0, 1, 2}), "algorithm: group [0 1 2]: 3 ranks are no power of two"},
		{groups(interconnect.AllGather, Tree, []int{0, 1}), "algorithm: group [0 1]: a tree does not do all-gather"},
		{groups(interconnect.AllReduce, InSwitch, []int{0, 1}), "algorithm: the network has no switch between all ranks that reduces"},
		{groups(interconnect.AllReduce, MultiRing, []int{0, 1}), "algorithm: rings in several dimensions are over all ranks"},
		{groups(interconnect.AllReduce, "carrier pigeon", []int{0, 1}), `algorithm: group [0 1]: "carrier pigeon" is not known`},
		{explicit(3, 2), "nodes: 2 nodes with 3 ranks among them"},
		{explicit(2, 2, Link{0, 2, 1, 0}), "links/0: 0 to 2: must join two of 2 nodes"},
		{explicit(2, 2, Link{0, 1, 1, 0}, Link{1, 0, 0, 0}), "links/1: 1 to 0 carries 0 B/s"},
		{broken(Fault{0, 2, 0}), "faults/0: there is no link between 0 and 2"},
		{broken(Fault{0, 1, 2}), "faults/0: a share of the rate must be 0 to 1"},
		{broken(Fault{0, 9, 0}), "faults/0: 0 to 9: must be two of 4 nodes"},
		{unreachable, "links: group [0 1 2]: rank 0 cannot reach rank 2: no links that work lead there"},
		{sides, "groups: 12 ranks are not groups of 5, 1 apart"},
	} {
		if c.want == "" && c.err != nil || c.want != "" && (c.err == nil || !strings.HasPrefix(c.err.Error(), c.want)) {
			t.Errorf("%v, want %s", c.err, c.want)
		}
	}
}

// However an all-to-all is said to run, all pairs are flows: of too many ranks it is refused, and so is what sends directly, for which there
// is another way.
func TestTooManyFlows(t *testing.T) {
	n := build(t, Dimension{Topology: Switch, Ranks: 1025, Rate: 1e9})
	for _, c := range []struct {
		op        interconnect.Op
		algorithm string
		hint      string
	}{
		{interconnect.AllToAll, RingAlgorithm, "fewer ranks"},
		{interconnect.AllToAll, Direct, "fewer ranks"},
		{interconnect.AllReduce, OneShot, "fewer ranks, or a ring"},
		{interconnect.AllGather, Direct, "fewer ranks, or a ring"},
		{interconnect.AllGather, RingAlgorithm, ""},
		{interconnect.SendRecv, Direct, ""},
	} {
		_, err := n.Time(&Collective{Op: c.op, Algorithm: c.algorithm, Bytes: 1, Groups: everyone(1025)})
		e, refused := err.(*Error)
		if refused != (c.hint != "") || refused && (e.Hint != c.hint || e.Message != "1050625 flows at a time are more than are played") {
			t.Errorf("%s with %s: %v", c.op, c.algorithm, err)
		}
	}
}

// A graph written link by link is the network that it spells out.
func TestExplicit(t *testing.T) {
	built := build(t, Dimension{Topology: Switch, Ranks: 4, Rate: 1e9, Latency: 1e-6})
	same, err := Explicit(4, 5, built.Links())
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		c := &Collective{Op: op, Algorithm: RingAlgorithm, Bytes: 1e9, Groups: everyone(4)}
		a, err1 := built.Time(c)
		b, err2 := same.Time(c)
		if err1 != nil || err2 != nil || !near(a.Seconds, b.Seconds) {
			t.Errorf("%s: %+v, %v; by links %+v, %v", op, a, err1, b, err2)
		}
	}
}

// What is looked up is what is played.
func TestKnown(t *testing.T) {
	n := build(t, rail()[0], Dimension{Topology: FatTree, Ranks: 8, Rate: 50e9, Latency: 2e-6, Group: 4, Oversubscription: 2})
	for _, bytes := range []float64{1e9, 1, 1e12, 1e9} {
		for _, g := range []interconnect.Group{{Ranks: 8, Stride: 8}, {Ranks: 4, Stride: 16}} {
			groups, err := Side(64, g)
			if err != nil {
				t.Fatal(err)
			}
			c := &Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: bytes, Groups: groups}
			a, err1 := n.Time(c)
			b, err2 := n.time(c, true)
			if err1 != nil || err2 != nil || !near(a.Seconds, b.Seconds) || !near(a.Sent, b.Sent) || a.Latency != b.Latency {
				t.Errorf("%g B over %+v: %+v, %v; played %+v, %v", bytes, g, a, err1, b, err2)
			}
		}
	}
}

// More bandwidth and fewer bytes never take longer.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims := []Dimension{drawDimension(t, 4), drawDimension(t, 4)}
		if dims[0].Ranks*dims[1].Ranks == 1 {
			t.Skip("one rank has nobody to talk to")
		}
		algorithm := []string{RingAlgorithm, Direct}
		a, _, err := build(t, dims...).Chunked(interconnect.AllReduce, algorithm, 1e9, 1, 1, false)
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := build(t, dims...).Chunked(interconnect.AllReduce, algorithm, 2e9, 1, 1, false)
		if err != nil || b.Seconds < a.Seconds {
			t.Fatalf("%g s, twice the bytes %g s, %v", a.Seconds, b.Seconds, err)
		}
		dims[0].Rate *= 2
		if b, _, err = build(t, dims...).Chunked(interconnect.AllReduce, algorithm, 1e9, 1, 1, false); err != nil || b.Seconds > a.Seconds*(1+1e-9) {
			t.Fatalf("%g s, with faster links %g s, %v", a.Seconds, b.Seconds, err)
		}
	})
}

// paths routes a stage.
func (n *Network) paths(t interface{ Fatal(...any) }, s *stage) *routes {
	r := &routes{at: []int32{0}}
	for f := range s.from {
		if err := n.route(r, s.from[f], s.to[f], s.bytes[f]); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// rail is 1536 nodes of eight GPUs at 450 GB/s, with rails of 50 GB/s below leaves of 32 nodes: 12 288 GPUs.
func rail() []Dimension {
	return []Dimension{{Topology: Switch, Ranks: 8, Rate: 450e9, Latency: 1e-6}, {Topology: FatTree, Ranks: 1536, Rate: 50e9, Latency: 2e-6, Group: 32, Oversubscription: 2}}
}

// BenchmarkClosRing solves a ring all-reduce of data-parallel groups over every rail of 12 288 GPUs: the budget is 10 ms.
func BenchmarkClosRing(b *testing.B) {
	n := build(b, rail()...)
	groups, err := Side(12288, interconnect.Group{Ranks: 1536, Stride: 8})
	if err != nil {
		b.Fatal(err)
	}
	c := &Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: 1e9, Groups: groups}
	for b.Loop() {
		if _, err := n.time(c, false); err != nil { // not looked up
			b.Fatal(err)
		}
	}
}

// BenchmarkClosFill is the filling alone, link by link.
func BenchmarkClosFill(b *testing.B) {
	n := build(b, rail()...)
	groups, _ := Side(12288, interconnect.Group{Ranks: 1536, Stride: 8})
	c := &Collective{Op: interconnect.AllReduce, Algorithm: RingAlgorithm, Bytes: 1e9, Groups: groups}
	list, err := n.stages(c)
	if err != nil {
		b.Fatal(err)
	}
	paths := n.paths(b, &list[0])
	capacity := make([]float64, len(n.links))
	for l := range capacity {
		capacity[l] = n.links[l].Rate
	}
	for b.Loop() {
		incidenceOf(paths, capacity).fill(paths.bytes)
	}
}

// TestBroadcastByTrees: every rank but the root gets all of the buffer, half of it along each of two trees from the root, and no
// rank is within both.
func TestBroadcastByTrees(t *testing.T) {
	for n := 2; n < 40; n++ {
		g := make([]int, n)
		for i := range g {
			g[i] = i
		}
		in := make([]float64, n)
		for _, s := range stagesOf(interconnect.Broadcast, Tree, 2, g, 0, false) {
			for k := range s.to {
				in[s.to[k]] += s.bytes[k]
			}
		}
		children := make([][2]int, n)
		for i := 1; i < n; i++ {
			for tree := range 2 {
				children[fromOne(i, n, tree)][tree]++
				at := i
				for hops := 0; at > 0; hops++ {
					if at = fromOne(at, n, tree); hops > n {
						t.Fatalf("%d ranks, tree %d: rank %d is in a circle", n, tree, i)
					}
				}
				if at != 0 {
					t.Errorf("%d ranks, tree %d: rank %d comes from %d", n, tree, i, at)
				}
			}
		}
		for i := range n {
			if want := 2 * min(float64(i), 1); in[i] != want {
				t.Errorf("%d ranks: rank %d gets %g of 2", n, i, in[i])
			}
			if i > 0 && n%2 == 0 && children[i][0] > 0 && children[i][1] > 0 {
				t.Errorf("%d ranks: rank %d passes on both halves", n, i)
			}
		}
	}
}

// TestRingsOfDimensions: rings in several dimensions divide what all ranks gather or sum, and are refused for the rest.
func TestRingsOfDimensions(t *testing.T) {
	n := build(t, Dimension{Topology: Ring, Ranks: 4, Rate: 50e9})
	for _, op := range []interconnect.Op{interconnect.AllToAll, interconnect.Broadcast, interconnect.SendRecv} {
		if r, err := n.Time(&Collective{Op: op, Algorithm: MultiRing, Bytes: 1e6, Groups: [][]int{{0, 1, 2, 3}}}); err == nil {
			t.Errorf("%s takes %g s by rings of several dimensions", op, r.Seconds)
		}
	}
}
