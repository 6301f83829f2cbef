package eval_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// TestCostsOfTheModel: costs that are what the model says itself change nothing but where the figures are from, in both
// fidelities and with every iteration played.
func TestCostsOfTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := llm.Workload{Phase: rapid.SampledFrom([]string{"prefill", "decode"}).Draw(rt, "phase"),
			Batch: rapid.Int64Range(1, 8).Draw(rt, "batch"), Prompt: rapid.Int64Range(1, 600).Draw(rt, "prompt")}
		name := rapid.SampledFrom(presets.Names()).Draw(rt, "machine")
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		r := request(t, name, "llama2-7b", w, min(rapid.SampledFrom([]int64{1, 2}).Draw(rt, "tp"), m.System.Chips))
		r.Fidelity = rapid.SampledFrom([]string{eval.Event, eval.Analytic}).Draw(rt, "fidelity")
		r.Ideal = []string{"power"} // costs do not follow the clock
		plain := run(t, r)
		kernels := map[string]int{} // several kernels of one operator have a mean time only
		r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
			kernels[q.Name]++
			return plan.Cost{}, false, nil
		})
		run(t, r)
		own := rapid.SliceOfN(rapid.Bool(), len(plain.Program.Ops), len(plain.Program.Ops)).Draw(rt, "own")
		energy := rapid.Bool().Draw(rt, "energy")
		r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
			for i, op := range plain.Program.Ops {
				if op.Name != q.Name || kernels[q.Name] != 1 || !own[i] {
					continue
				}
				s := plain.Outcome.Ops[i]
				c := plan.Cost{Time: s.Time / units.Time(s.Calls), Source: "here"}
				if energy {
					for _, o := range plain.Operators {
						if o.Name == q.Name {
							c.Joules = units.Joules(o.Joules / float64(o.Calls) / float64(plain.Program.Ranks))
						}
					}
				}
				return c, true, nil
			}
			return plan.Cost{}, false, nil
		})
		res := run(t, r)
		r.Exact = r.Fidelity == eval.Event
		for _, again := range []*eval.Result{res, run(t, r)} {
			if again.Outcome.Makespan != plain.Outcome.Makespan {
				rt.Fatalf("%v, without costs %v", again.Outcome.Makespan, plain.Outcome.Makespan)
			}
			for i, c := range plain.Program.Counters {
				if again.Program.Count(again.Outcome.Work, c.Name) != plain.Outcome.Work[i] {
					rt.Errorf("%s: %d, without costs %d", c.Name, again.Program.Count(again.Outcome.Work, c.Name), plain.Outcome.Work[i])
				}
			}
			// A cost has the launch in it, so a chip that idles while it waits for one is counted as active then.
			waits := (plain.Outcome.Stalls[sim.Launch] - again.Outcome.Stalls[sim.Launch]).Seconds() * float64(r.Machine.Power.Active) * float64(plain.Program.Ranks)
			if energy {
				waits = 0
			}
			if math.Abs(again.Energy.Joules-plain.Energy.Joules-waits) > 1e-6*plain.Energy.Joules {
				rt.Errorf("%g J, without costs %g J", again.Energy.Joules, plain.Energy.Joules)
			}
			if again.FloorSeconds > again.Seconds || again.FloorSeconds < plain.FloorSeconds {
				rt.Errorf("floor %g of %g, without costs %g", again.FloorSeconds, again.Seconds, plain.FloorSeconds)
			}
			if fmt.Sprint(again.Memory) != fmt.Sprint(plain.Memory) {
				rt.Errorf("%v\nwithout costs %v", again.Memory, plain.Memory)
			}
		}
		if math.Abs(res.OwnCosts.Seconds+res.OwnCosts.ModelSeconds-res.Seconds) > 1e-12 {
			rt.Errorf("%+v does not sum to %g", res.OwnCosts, res.Seconds)
		}
	})
}

// TestCostIsTheTime: what a cost says is what the operator takes, whatever else runs, and more of it never takes less.
func TestCostIsTheTime(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 4, Prompt: 64, Generate: 3}, 2)
	asked := 0
	last := units.Time(0)
	for _, c := range []units.Time{0, 1, 7 * units.Microsecond, units.Second} {
		asked = 0
		r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
			asked++
			return plan.Cost{Time: c, Source: fmt.Sprint("past ", q.PastLen)}, q.Kind == "attention", nil
		})
		res := run(t, r)
		own := 0
		for _, op := range res.Operators {
			if op.Kind != "attention" {
				if op.Source != "" {
					t.Errorf("%s has source %q", op.Name, op.Source)
				}
				continue
			}
			own++
			if want := (c * units.Time(op.Calls)).Seconds(); op.Seconds != want {
				t.Errorf("%s takes %g s, want %g", op.Name, op.Seconds, want)
			}
			if want := map[string]string{"prefill": "past 0", "decode": "past 64 and 1 more"}[op.Phase]; op.Source != want {
				t.Errorf("source %q, want %q", op.Source, want)
			}
		}
		if o := res.OwnCosts; own != 2 || o.Operators != 3 || o.Calls != 96 || o.ModelOperators != int64(asked-3) || o.Source != "own costs" {
			t.Errorf("%d, %+v of %d", own, o, asked)
		}
		if res.Outcome.Makespan < last {
			t.Errorf("%v for a cost of %v, less before: %v", res.Outcome.Makespan, c, last)
		}
		last = res.Outcome.Makespan
		if res.Manifest.Key == "" || r.Key() != "" {
			t.Error("the key is only known from the answers")
		}
	}
}

// TestCostKey: other answers, another key; without costs the key is as it was.
func TestCostKey(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 64}, 1)
	keys := []string{r.Key()}
	if run(t, r).Manifest.Key != keys[0] {
		t.Error("the key of the answer is another one")
	}
	for _, c := range []units.Time{1, 2} {
		r.Costs = plan.CostFunc(func(context.Context, plan.Query) (plan.Cost, bool, error) { return plan.Cost{Time: c}, true, nil })
		keys = append(keys, run(t, r).Manifest.Key)
	}
	r.CostKey = "mine"
	keys = append(keys, r.Key())
	if run(t, r).Manifest.Key != r.Key() {
		t.Error("the key of the answer is another one")
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 4 {
		t.Error("keys are the same:", keys)
	}
}

// TestCosterErrors: an error ends the run, bad costs are refused, and what has no cost is left to the model or told.
func TestCosterErrors(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 64}, 1)
	mine := errors.New("mine")
	r.Costs = plan.CostFunc(func(context.Context, plan.Query) (plan.Cost, bool, error) { return plan.Cost{}, false, mine })
	if _, err := eval.Run(context.Background(), r); !errors.Is(err, mine) {
		t.Error(err)
	}
	for _, c := range []plan.Cost{{Time: -1}, {Time: units.MaxTime + 1}, {Joules: -1}, {Joules: units.Joules(math.NaN())}, {Joules: 1e7}} {
		r.Costs = plan.CostFunc(func(context.Context, plan.Query) (plan.Cost, bool, error) { return c, true, nil })
		if _, err := eval.Run(context.Background(), r); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
		if q.Kind == "attention" {
			return plan.Cost{Source: "too long"}, false, nil
		}
		return plan.Cost{Time: 1}, true, nil
	})
	res := run(t, r)
	if !slices.Contains(res.Notes, "attention is left to the model: too long") {
		t.Error(res.Notes)
	}
	r.OwnCostsOnly = true
	var none *eval.NoCost
	if _, err := eval.Run(context.Background(), r); !errors.As(err, &none) || len(none.Asked) != 1 || !strings.Contains(err.Error(), "attention (attention batch=4 heads=32") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := eval.Run(ctx, r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestCostCause: the time is charged to what the plan of the operator keeps busy the longest.
func TestCostCause(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 4, Prompt: 512, Generate: 2}, 1)
	r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
		return plan.Cost{Time: units.Microsecond}, q.Kind == "gemm", nil
	})
	for _, op := range run(t, r).Operators {
		want := sim.HBM.String()
		if op.Phase == "prefill" {
			want = sim.Compute.String()
		}
		if op.Kind == "gemm" && op.Name != "lm_head" && op.BoundBy != want {
			t.Errorf("%s in %s is bound by %s", op.Name, op.Phase, op.BoundBy)
		}
	}
}

// TestWaitWithOwnCosts: a cost of one's own has its launch within, so what is left of waiting for the host is what it was.
func TestWaitWithOwnCosts(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "prefill", Batch: 4, Prompt: 512}, 1)
	r.Mapping.Profile, r.Ideal = "vllm", []string{"power"}
	before := run(t, r).Host.WaitSeconds
	r.Costs = plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
		return plan.Cost{Time: 40 * units.Microsecond, Source: "here"}, q.Kind == "gemm", nil
	})
	if after := run(t, r).Host.WaitSeconds; before != 0 || after != 0 {
		t.Errorf("kernels of a graph wait %g s and %g s for their launch", before, after)
	}
}
