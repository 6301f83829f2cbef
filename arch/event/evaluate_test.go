package event_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"runtime"
	"sort"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/plan/plantest"
	"github.com/stratasim/strata/memory/dram"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/units"
)

func play(t *rapid.T, p *plan.Program, o event.Options) *sim.Outcome {
	out, err := event.Evaluate(context.Background(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSkippingIsExact: leaving out what repeats changes neither time nor stalls nor work.
func TestSkippingIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, plantest.Shape{Depth: 2, Iterations: 60})
		fast, exact := play(t, p, event.Options{}), play(t, p, event.Options{Exact: true})
		if fast.Makespan != exact.Makespan || fast.Stalls != exact.Stalls || !fast.Work.Equal(exact.Work) {
			t.Errorf("skipping: %v %v %v\nexact:    %v %v %v", fast.Makespan, fast.Stalls, fast.Work, exact.Makespan, exact.Stalls, exact.Work)
		}
	})
}

// TestKernelsAndCopiesMeet: a kernel and a copy into the memory that it reads share what is left of the memory's rate; alone, as parts
// of one kernel, without the table of its chips, or if contention is left out, they lose nothing.
func TestKernelsAndCopiesMeet(t *testing.T) {
	hbm3 := dram.ByName("HBM3-6400")
	const second = int64(units.Second)
	program := func(chips *dram.Standard, ops [2]int) *plan.Program {
		step := func(n int64, write bool) *plan.Body {
			return &plan.Body{Name: "b", Op: 0, Nodes: []plan.Node{{Name: "s", Step: &plan.Step{Kind: "load", Charge: sim.Launch, Uses: []plan.Use{{Resource: 0, Amount: n, Write: write}}}}}}
		}
		// Both ask for all of the memory; they end together.
		kernel, copy := step(3e9, false), step(3e9, true)
		kernel.Op, copy.Op = ops[0], ops[1]
		p := &plan.Program{Machine: "m", Ranks: 1, Resources: []plan.Resource{{Name: "hbm", Cause: sim.HBM, Unit: "B", Rate: 3e9}}, DRAM: []*dram.Standard{chips},
			Ops:   []plan.OpInfo{{Name: "x", Kind: "gemm"}, {Name: "y", Kind: plan.MoveKind}},
			Entry: &plan.Body{Name: "e", Op: -1, Nodes: []plan.Node{{Name: "k", Body: kernel, Times: 1}, {Name: "c", Body: copy, Times: 1}}}}
		if err := p.Finish(); err != nil {
			t.Fatal(err)
		}
		return p
	}
	run := func(p *plan.Program, o event.Options) float64 {
		out, err := event.Evaluate(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		return float64(out.Makespan) / float64(second)
	}
	kept := hbm3.Together(2, 0.5, 0.5)
	if kept > 0.9 || kept < 0.4 {
		t.Fatalf("a reader and a writer of HBM3 keep %g", kept)
	}
	for _, c := range []struct {
		name string
		p    *plan.Program
		o    event.Options
		want float64
	}{
		{"a kernel and a copy", program(hbm3, [2]int{0, 1}), event.Options{}, 2 / kept},
		{"played whole", program(hbm3, [2]int{0, 1}), event.Options{Exact: true}, 2 / kept},
		{"parts of one kernel", program(hbm3, [2]int{0, 0}), event.Options{}, 2},
		{"chips unknown", program(nil, [2]int{0, 1}), event.Options{}, 2},
		{"no contention", program(hbm3, [2]int{0, 1}), event.Options{IdealContention: true}, 1},
	} {
		if got := run(c.p, c.o); math.Abs(got/c.want-1) > 1e-6 {
			t.Errorf("%s: %g s, want %g", c.name, got, c.want)
		}
	}
}

// TestRepeatable: the same program gives the same outcome, whatever the number of processors.
func TestRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, plantest.Shape{Depth: 2, Iterations: 12})
		first := play(t, p, event.Options{})
		old := runtime.GOMAXPROCS(1)
		second := play(t, p, event.Options{})
		runtime.GOMAXPROCS(old)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("%+v\n%+v", first, second)
		}
	})
}

// spans records what was in service.
type spans struct{ list []event.Span }

func (s *spans) Play(*plan.Body, int64)                                     {}
func (s *spans) Span(x event.Span)                                          { s.list = append(s.list, x) }
func (s *spans) Skipped(*plan.Body, units.Time, units.Time, int64, int64)   {}
func (s *spans) Tokens(at units.Time, b *plan.Body, buffer int, used int64) { s.check(b, buffer, used) }
func (s *spans) Done(*plan.Folder)                                          {}
func (s *spans) check(b *plan.Body, buffer int, used int64) {
	if used < 0 || used > b.Buffers[buffer].Capacity {
		panic("a buffer holds more than it can or less than nothing")
	}
}

// TestNoLostTime: at every instant before the end something is in service or a named latency runs,
// and no buffer is ever overdrawn.
func TestNoLostTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, plantest.Shape{Depth: 2, Iterations: 8})
		var seen spans
		out := play(t, p, event.Options{Exact: true, Observer: &seen})
		sort.Slice(seen.list, func(i, j int) bool { return seen.list[i].Start < seen.list[j].Start })
		var covered units.Time
		for _, s := range seen.list {
			if s.Start > covered {
				t.Fatalf("nothing happens from %v to %v", covered, s.Start)
			}
			covered = max(covered, s.End)
		}
		if covered != out.Makespan {
			t.Errorf("the last step ends at %v, the run at %v", covered, out.Makespan)
		}
	})
}

// TestServersAreNotOverdrawn: within any step's service, no more was moved through a resource than
// its rate allows.
func TestServersAreNotOverdrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plantest.Program(t, plantest.Shape{Depth: 1, Iterations: 8})
		var seen spans
		out := play(t, p, event.Options{Exact: true, Observer: &seen})
		moved := make([]int64, len(p.Resources))
		for _, s := range seen.list {
			step := s.Body.Nodes[s.Node].Step
			for _, u := range step.Uses {
				moved[u.Resource] += u.Amount
			}
			if busy := s.End - step.Latency - s.Start; busy < s.Alone {
				t.Errorf("%s took %v, alone it takes %v", s.Body.Nodes[s.Node].Name, busy, s.Alone)
			}
		}
		for r, amount := range moved {
			if least := p.Resources[r].Time(amount); least > out.Makespan {
				t.Errorf("%s moved in %v what takes it %v", p.Resources[r].Name, out.Makespan, least)
			}
		}
	})
}

// two returns a program of two loads of n bytes at once, over a link of 1 GB/s.
func two(n int64) *plan.Program {
	p := &plan.Program{Ranks: 1, Resources: []plan.Resource{{Name: "hbm", Cause: sim.HBM, Rate: 1e9, Unit: "B"}}}
	load := func(n int64) *plan.Step { return &plan.Step{Kind: "load", Uses: []plan.Use{{Amount: n}}} }
	p.Entry = &plan.Body{Name: "entry", Op: -1, Nodes: []plan.Node{{Name: "short", Step: load(n)}, {Name: "long", Step: load(2 * n)}}}
	return p
}

// TestSharing: two streams share a server max-min: both run at half rate until the short one is
// done, then the long one alone. 1 kB and 2 kB over 1 GB/s: 2 us and 3 us.
func TestSharing(t *testing.T) {
	p := two(1000)
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	var seen spans
	out, err := event.Evaluate(context.Background(), p, event.Options{Observer: &seen})
	if err != nil {
		t.Fatal(err)
	}
	if out.Makespan != 3*units.Microsecond || out.Stalls[sim.HBM] != out.Makespan {
		t.Errorf("makespan %v, stalls %v", out.Makespan, out.Stalls)
	}
	if len(seen.list) != 2 || seen.list[0].End != 2*units.Microsecond {
		t.Errorf("spans %+v", seen.list)
	}
	ideal, err := event.Evaluate(context.Background(), p, event.Options{IdealContention: true})
	if err != nil {
		t.Fatal(err)
	}
	if ideal.Makespan != 2*units.Microsecond {
		t.Errorf("without contention %v, want 2 us", ideal.Makespan)
	}
}

// TestLimits: a run ends with an error that says which limit it met.
func TestLimits(t *testing.T) {
	p := two(1000)
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	var limit *kernel.LimitError
	if _, err := event.Evaluate(context.Background(), p, event.Options{Limits: kernel.Limits{Events: 2}}); !errors.As(err, &limit) || limit.Events != 2 {
		t.Errorf("events: %v", err)
	}
	if _, err := event.Evaluate(context.Background(), p, event.Options{Limits: kernel.Limits{Time: units.Microsecond}}); !errors.As(err, &limit) || limit.Time != units.Microsecond {
		t.Errorf("time: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := event.Evaluate(ctx, p, event.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestSmallUsersAreNotHeldBack: a step that asks little of a shared resource gets it whole, and what it
// leaves goes to the other; a load that is limited by HBM and needs a third of the on-chip bandwidth
// runs at full speed beside a compute step that would take all of it.
func TestSmallUsersAreNotHeldBack(t *testing.T) {
	p := &plan.Program{Ranks: 1, Resources: []plan.Resource{{Name: "hbm", Cause: sim.HBM, Rate: 1e9, Unit: "B"}, {Name: "l2", Cause: sim.SRAM, Rate: 3e9, Unit: "B"}}}
	load := &plan.Step{Kind: "load", Uses: []plan.Use{{Resource: 0, Amount: 3000}, {Resource: 1, Amount: 3000}}}
	work := &plan.Step{Kind: "compute", Uses: []plan.Use{{Resource: 1, Amount: 9000}}}
	p.Entry = &plan.Body{Name: "entry", Op: -1, Nodes: []plan.Node{{Name: "load", Step: load}, {Name: "work", Step: work}}}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	var seen spans
	out, err := event.Evaluate(context.Background(), p, event.Options{Observer: &seen})
	if err != nil {
		t.Fatal(err)
	}
	// The load takes its 3 us; until then 6000 of 9000 B are worked on, the other 3000 take 1 us.
	if seen.list[0].End != 3*units.Microsecond || out.Makespan != 4*units.Microsecond {
		t.Errorf("load until %v, all until %v", seen.list[0].End, out.Makespan)
	}
}
