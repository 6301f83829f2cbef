package plantest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/memory/dram"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Shape bounds what is drawn.
type Shape struct {
	Depth      int   // of bodies inside bodies
	Iterations int64 // of one loop, at most
	Chains     bool  // only bodies whose nodes never overlap
	Private    bool  // no two steps of the program use the same resource
}

// Program draws a program. Draws that would overflow do not occur.
func Program(t *rapid.T, s Shape) *plan.Program {
	g := &generator{t: t, shape: s, p: &plan.Program{Machine: "random", Ranks: 1}}
	g.p.Counters = []sim.Counter{{Name: "a", Unit: "B"}, {Name: "b", Unit: "op"}}
	if !s.Private {
		for range rapid.IntRange(1, 4).Draw(t, "resources") {
			g.resource()
		}
	}
	g.p.Ops = []plan.OpInfo{{Name: "x", Kind: "gemm", Phase: "prefill"}, {Name: "y", Kind: "add", Phase: "decode"}}
	g.p.Entry = g.body(s.Depth, true)
	if err := g.p.Finish(); err != nil {
		t.Fatalf("the program drawn is malformed: %v", err)
	}
	return g.p
}

type generator struct {
	t      *rapid.T
	shape  Shape
	p      *plan.Program
	names  int
	inside bool // of an operator
}

func (g *generator) int(name string, low, high int64) int64 {
	return rapid.Int64Range(low, high).Draw(g.t, name)
}

// resource adds a server and returns its index.
func (g *generator) resource() int {
	rate := rapid.SampledFrom([]int64{1, 3, 7, 1000, 999_983}).Draw(g.t, "rate") * 1_000_000
	i := len(g.p.Resources)
	cause := sim.Cause(g.int("cause", 0, int64(sim.Link)))
	g.p.Resources = append(g.p.Resources, plan.Resource{Name: fmt.Sprintf("r%d", i), Cause: cause, Unit: "B", Rate: rate})
	var chips *dram.Standard
	if rapid.Bool().Draw(g.t, "dram") {
		chips = dram.ByName("HBM3-6400")
	}
	g.p.DRAM = append(g.p.DRAM, chips)
	return i
}

func (g *generator) uses() []plan.Use {
	n := g.int("uses", 1, 2)
	uses := make([]plan.Use, 0, n)
	for range n {
		r := 0
		if g.shape.Private {
			r = g.resource()
		} else {
			r = int(g.int("resource", 0, int64(len(g.p.Resources)-1)))
		}
		again := false
		for _, u := range uses {
			again = again || u.Resource == r
		}
		if !again {
			uses = append(uses, plan.Use{Resource: r, Amount: g.int("amount", 0, 2000), Series: len(uses) > 0 && g.int("series", 0, 3) == 0, Write: g.int("write", 0, 3) == 0})
		}
	}
	return uses
}

var overlaps = []float64{0, 1, 2, 3.4, 8}

func (g *generator) step() *plan.Step {
	s := &plan.Step{Kind: "compute", Cores: 1, Charge: sim.Launch, Counts: []plan.Count{{Counter: int(g.int("counter", 0, 1)), N: g.int("count", 0, 9)}}}
	switch g.int("step", 0, 4) {
	case 0:
		s.Latency = units.Time(g.int("latency", 0, 5_000_000))
		return s
	case 1:
		s.Latency, s.Charge = units.Time(g.int("latency", 1, 2_000_000)), sim.Dependency
	}
	s.Uses = g.uses()
	s.Overlap = rapid.SampledFrom(overlaps).Draw(g.t, "overlap")
	return s
}

// body draws a body; a chain if asked for or by chance.
func (g *generator) body(depth int, entry bool) *plan.Body {
	g.names++
	b := &plan.Body{Name: fmt.Sprintf("b%d", g.names), Op: int(g.int("op", -1, 1))}
	if entry || g.inside {
		b.Op = -1 // operators are not inside operators
	}
	if b.Op >= 0 {
		g.inside = true
		defer func() { g.inside = false }()
	}
	chain := g.shape.Chains || rapid.Bool().Draw(g.t, "chain")
	if !chain && g.int("pair", 0, 2) == 0 {
		g.pair(b)
		return b
	}
	n := int(g.int("nodes", 1, 4))
	for i := range n {
		node := plan.Node{Name: fmt.Sprintf("n%d", i)}
		if depth > 0 && g.int("inner", 0, 2) == 0 {
			node.Body, node.Times = g.body(depth-1, false), g.int("times", 1, g.shape.Iterations)
		} else {
			node.Step = g.step()
		}
		if chain {
			if i > 0 {
				node.After = []plan.Dep{{Node: i - 1}}
			}
		} else {
			for j := range i {
				if rapid.Bool().Draw(g.t, "after") {
					node.After = append(node.After, plan.Dep{Node: j})
				}
			}
			if g.int("back", 0, 2) == 0 {
				node.After = append(node.After, plan.Dep{Node: int(g.int("to", 0, int64(n-1))), Distance: g.int("distance", 1, 3)})
			}
		}
		b.Nodes = append(b.Nodes, node)
	}
	if chain {
		b.Nodes[0].After = append(b.Nodes[0].After, plan.Dep{Node: n - 1, Distance: 1})
		return b
	}
	for range g.int("buffers", 0, 2) {
		first := int(g.int("acquires", 0, int64(n-1)))
		last := int(g.int("releases", int64(first), int64(n-1)))
		tokens := g.int("tokens", 1, 2)
		at := len(b.Buffers)
		b.Buffers = append(b.Buffers, plan.Buffer{Name: fmt.Sprintf("buffer%d", at), Capacity: tokens * g.int("room", 1, 3), Token: 1})
		b.Nodes[first].Acquire = append(b.Nodes[first].Acquire, plan.Tokens{Buffer: at, N: tokens})
		b.Nodes[last].Release = append(b.Nodes[last].Release, plan.Tokens{Buffer: at, N: tokens})
		if last > first {
			b.Nodes[last].After = append(b.Nodes[last].After, plan.Dep{Node: first})
		}
	}
	return b
}

// pair makes the body a load and a compute step that overlap imperfectly, with a buffer between.
func (g *generator) pair(b *plan.Body) {
	load, work := g.uses(), g.uses()
	p := rapid.SampledFrom(overlaps).Draw(g.t, "overlap")
	b.Buffers = []plan.Buffer{{Name: "operands", Capacity: g.int("room", 1, 4), Token: 1}}
	b.Nodes = []plan.Node{
		{Name: "load", Step: &plan.Step{Kind: "load", Uses: load, Beside: work, Overlap: p, Cores: 1, Counts: []plan.Count{{Counter: 0, N: 3}}}, Acquire: []plan.Tokens{{N: 1}}},
		{Name: "work", Step: &plan.Step{Kind: "compute", Uses: work, Beside: load, Overlap: p, Cores: 1, Counts: []plan.Count{{Counter: 1, N: 5}}},
			After: []plan.Dep{{Node: 0}}, Release: []plan.Tokens{{N: 1}}},
	}
}
