package analytic_test

import (
	"context"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/plan/plantest"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// mixed draws loops in loops that share resources.
var mixed = plantest.Shape{Depth: 2, Iterations: 12}

func evaluate(t *rapid.T, p *plan.Program, o analytic.Options) *sim.Outcome {
	out, err := analytic.Evaluate(p, o)
	if err != nil {
		t.Fatalf("analytic: %v", err)
	}
	if err := out.Check(); err != nil {
		t.Fatalf("analytic: %v", err)
	}
	return out
}

func play(t *rapid.T, p *plan.Program, o event.Options) *sim.Outcome {
	out, err := event.Evaluate(context.Background(), p, o)
	if err != nil {
		t.Fatalf("event: %v", err)
	}
	if err := out.Check(); err != nil {
		t.Fatalf("event: %v", err)
	}
	return out
}

// TestWorkIsPlanned: both fidelities do the planned work, to the last byte and operation.
func TestWorkIsPlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, mixed)
		want := p.Work()
		if got := evaluate(t, p, analytic.Options{}).Work; !got.Equal(want) {
			t.Errorf("analytic did %v, planned is %v", got, want)
		}
		for _, exact := range []bool{false, true} {
			if got := play(t, p, event.Options{Exact: exact}).Work; !got.Equal(want) {
				t.Errorf("event (exact %t) did %v, planned is %v", exact, got, want)
			}
		}
	})
}

// TestFloor: no evaluation beats the floor.
func TestFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, mixed)
		floor, err := analytic.Floor(p, analytic.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a := evaluate(t, p, analytic.Options{}).Makespan; a < floor {
			t.Errorf("analytic %v is below the floor %v", a, floor)
		}
		if e := play(t, p, event.Options{}).Makespan; e < floor {
			t.Errorf("event %v is below the floor %v", e, floor)
		}
		for i := range p.Resources {
			if least := p.Resources[i].Time(p.Entry.Amount(i)); least > floor {
				t.Errorf("the floor %v is below what %s needs, %v", floor, p.Resources[i].Name, least)
			}
		}
	})
}

// TestEqualWhenIdeal: with resources that nobody shares the two fidelities agree to the picosecond,
// on chains and on loops whose steps overlap.
func TestEqualWhenIdeal(t *testing.T) {
	for name, shape := range map[string]plantest.Shape{
		"chains":           {Depth: 3, Iterations: 40, Chains: true},
		"loops":            {Depth: 0, Iterations: 1},
		"loops in a chain": {Depth: 1, Iterations: 200, Private: true},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				p := plantest.Program(t, shape)
				a := evaluate(t, p, analytic.Options{IdealContention: true}).Makespan
				e := play(t, p, event.Options{IdealContention: true}).Makespan
				if a != e {
					t.Errorf("analytic %d ps, event %d ps", a, e)
				}
			})
		})
	}
}

// TestContentionGap: what nobody shares cannot be waited for, so ideal servers are never slower by
// more than scheduling luck; on a chain, where nothing overlaps, they change nothing at all.
func TestChainHasNoContention(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, plantest.Shape{Depth: 3, Iterations: 20, Chains: true})
		shared, alone := play(t, p, event.Options{}).Makespan, play(t, p, event.Options{IdealContention: true}).Makespan
		if shared != alone {
			t.Errorf("a chain takes %d ps with sharing, %d ps without", shared, alone)
		}
		if a := evaluate(t, p, analytic.Options{}).Makespan; a != shared {
			t.Errorf("a chain takes %d ps in closed form, %d ps played", a, shared)
		}
	})
}

// TestMonotone: a faster resource never makes the closed form slower.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, mixed)
		r := rapid.IntRange(0, len(p.Resources)-1).Draw(t, "faster")
		f := rapid.SampledFrom([]float64{1.001, 1.1, 2, 1000}).Draw(t, "by")
		slow := evaluate(t, p, analytic.Options{}).Makespan
		fast := evaluate(t, p.Scale(map[string]float64{p.Resources[r].Name: f}), analytic.Options{}).Makespan
		if fast > slow {
			t.Errorf("%s %g times as fast: %d ps instead of %d ps", p.Resources[r].Name, f, fast, slow)
		}
	})
}

// TestPipeline checks closed forms that fit in a line: n tiles through a double-buffered load and
// compute take one load, n−1 of the slower, and one compute.
func TestPipeline(t *testing.T) {
	for _, tt := range []struct {
		name          string
		load, compute int64 // ns
		room, n       int64
		want          units.Time // ns
	}{
		{"load bound", 30, 10, 2, 100, 100*30 + 10},
		{"compute bound", 10, 30, 2, 100, 10 + 100*30},
		{"balanced", 20, 20, 2, 50, 20 + 50*20},
		{"one buffer serialises", 30, 10, 1, 100, 100 * 40},
		{"one tile", 30, 10, 2, 1, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &plan.Program{Ranks: 1, Resources: []plan.Resource{{Name: "hbm", Cause: sim.HBM, Rate: 1e9, Unit: "B"}, {Name: "matrix", Rate: 1e9, Unit: "cycle"}}}
			loop := &plan.Body{Name: "tiles", Op: -1, Buffers: []plan.Buffer{{Name: "tile", Capacity: tt.room}}, Nodes: []plan.Node{
				{Name: "load", Step: &plan.Step{Uses: []plan.Use{{Resource: 0, Amount: tt.load}}}, Acquire: []plan.Tokens{{N: 1}}},
				{Name: "compute", Step: &plan.Step{Uses: []plan.Use{{Resource: 1, Amount: tt.compute}}}, After: []plan.Dep{{Node: 0}}, Release: []plan.Tokens{{N: 1}}},
			}}
			p.Entry = &plan.Body{Name: "entry", Op: -1, Nodes: []plan.Node{{Name: "tiles", Body: loop, Times: tt.n}}}
			if err := p.Finish(); err != nil {
				t.Fatal(err)
			}
			a, err := analytic.Evaluate(p, analytic.Options{})
			if err != nil {
				t.Fatal(err)
			}
			e, err := event.Evaluate(context.Background(), p, event.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.want * units.Nanosecond; a.Makespan != want || e.Makespan != want {
				t.Errorf("analytic %v, event %v, want %v", a.Makespan, e.Makespan, want)
			}
		})
	}
}

// TestTooLong: what exceeds the longest simulated time is an error of both fidelities.
func TestTooLong(t *testing.T) {
	p := &plan.Program{Ranks: 1, Resources: []plan.Resource{{Name: "slow", Rate: 1, Unit: "B"}}}
	body := &plan.Body{Name: "loop", Op: -1, Nodes: []plan.Node{{Name: "s", Step: &plan.Step{Uses: []plan.Use{{Amount: 100}}}}}}
	p.Entry = &plan.Body{Name: "entry", Op: -1, Nodes: []plan.Node{{Name: "l", Body: body, Times: math.MaxInt32}}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	if _, err := analytic.Evaluate(p, analytic.Options{}); err == nil {
		t.Error("analytic gave an answer")
	}
	if _, err := event.Evaluate(context.Background(), p, event.Options{}); err == nil {
		t.Error("event gave an answer")
	}
}

// TestBoundCharges: where what steps share sets the time of a loop, that resource serves all the while, so the time is its, as
// it is in the event fidelity but for the first and last tile. Here load and store take 20 ns each of one memory and compute
// 30 ns: the longest path is computing, the memory takes 40 ns a tile.
func TestBoundCharges(t *testing.T) {
	p := &plan.Program{Ranks: 1, Resources: []plan.Resource{{Name: "hbm", Cause: sim.HBM, Rate: 1e9, Unit: "B"}, {Name: "matrix", Rate: 1e9, Unit: "cycle"}}}
	loop := &plan.Body{Name: "tiles", Op: -1, Buffers: []plan.Buffer{{Name: "tile", Capacity: 4}}, Nodes: []plan.Node{
		{Name: "load", Step: &plan.Step{Uses: []plan.Use{{Resource: 0, Amount: 20}}}, Acquire: []plan.Tokens{{N: 1}}},
		{Name: "compute", Step: &plan.Step{Uses: []plan.Use{{Resource: 1, Amount: 30}}}, After: []plan.Dep{{Node: 0}}},
		{Name: "store", Step: &plan.Step{Uses: []plan.Use{{Resource: 0, Amount: 20}}}, After: []plan.Dep{{Node: 1}}, Release: []plan.Tokens{{N: 1}}},
	}}
	const tiles = 100
	p.Entry = &plan.Body{Name: "entry", Op: -1, Nodes: []plan.Node{{Name: "tiles", Body: loop, Times: tiles}}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	a, err := analytic.Evaluate(p, analytic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := units.Time(tiles * 40 * units.Nanosecond); a.Makespan != want || a.Stalls[sim.HBM] != want {
		t.Errorf("%v, of which hbm %v; both must be %v", a.Makespan, a.Stalls[sim.HBM], want)
	}
	e, err := event.Evaluate(context.Background(), p, event.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if off := e.Stalls[sim.HBM] - a.Stalls[sim.HBM]; off > 200*units.Nanosecond || off < -200*units.Nanosecond {
		t.Errorf("event charges %v to hbm, the closed form %v", e.Stalls[sim.HBM], a.Stalls[sim.HBM])
	}
}
