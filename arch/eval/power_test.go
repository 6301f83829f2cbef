package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// TestPowerLimit: over random workloads and limits, in both fidelities, a lower limit is never faster and
// does the same work, no phase exceeds its limit on the mean, the floor holds, and a limit that nothing
// reaches is none.
func TestPowerLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := llm.Workload{
			Phase: rapid.SampledFrom([]string{"prefill", "decode", "generate"}).Draw(rt, "phase"),
			Batch: rapid.Int64Range(1, 16).Draw(rt, "batch"), Prompt: rapid.Int64Range(1, 1200).Draw(rt, "prompt"),
			Generate: rapid.Int64Range(1, 5).Draw(rt, "generate"),
		}
		tp := rapid.SampledFrom([]int64{1, 2, 4}).Draw(rt, "tp")
		r := request(t, "a100-sxm-80gb", "llama2-7b", w, tp)
		r.Fidelity = rapid.SampledFrom([]string{eval.Event, eval.Analytic}).Draw(rt, "fidelity")
		r.Mapping.Profile = rapid.SampledFrom([]string{"", "vllm-2023-eager"}).Draw(rt, "runtime")
		free := r
		free.PowerLimit = eval.MaxPowerLimit
		last := run(t, free)
		ideal := r
		ideal.Ideal = []string{"power"}
		if i := run(t, ideal); i.Seconds != last.Seconds || i.Energy.Joules != last.Energy.Joules || i.Stalls != last.Stalls {
			rt.Errorf("without a limit %g s and %g J, with one that nothing reaches %g s and %g J", i.Seconds, i.Energy.Joules, last.Seconds, last.Energy.Joules)
		}
		work := last.Outcome.Work
		most := units.Watts(last.Power.PeakWatts / float64(tp))
		share := 1.0
		for range 3 {
			share *= rapid.Float64Range(0.7, 1).Draw(rt, "share")
			r.PowerLimit = units.Watts(float64(most) * share)
			got, err := eval.Run(context.Background(), r)
			var over *plan.OverLimit
			if errors.As(err, &over) {
				if over.Least <= r.PowerLimit {
					rt.Errorf("infeasible at %v with %v: %v", r.PowerLimit, over.Least, err)
				}
				return
			}
			if err != nil {
				rt.Fatal(err)
			}
			if got.Seconds < last.Seconds {
				rt.Errorf("%g s at a limit of %v, %g s at a higher one", got.Seconds, r.PowerLimit, last.Seconds)
			}
			if !got.Outcome.Work.Equal(work) {
				rt.Errorf("at %v other work", r.PowerLimit)
			}
			if got.FloorSeconds > got.Seconds || got.FloorSeconds != last.FloorSeconds {
				rt.Errorf("floor %g s, %g s at a higher limit; the run takes %g s", got.FloorSeconds, last.FloorSeconds, got.Seconds)
			}
			limit := float64(r.PowerLimit) * float64(tp)
			for _, p := range got.Phases {
				if p.AverageWatts > 1.0001*limit {
					rt.Errorf("%s draws %g W on the mean, the limit is %g W", p.Phase, p.AverageWatts, limit)
				}
				if p.ClockHertz < 0 || p.ClockHertz > float64(r.Machine.Chip.Clock) {
					rt.Errorf("%s at %g Hz", p.Phase, p.ClockHertz)
				}
			}
			var joules, ops, phases float64
			for _, j := range got.Energy.Components {
				joules += j
			}
			for _, o := range got.Operators {
				ops += o.Joules
			}
			for _, p := range got.Phases {
				phases += p.AverageWatts * p.Seconds
			}
			for _, sum := range []float64{joules, phases} {
				if math.Abs(sum/got.Energy.Joules-1) > 1e-9 {
					rt.Errorf("parts of %g J come to %g J", got.Energy.Joules, sum)
				}
			}
			if r.Mapping.Profile == "" && math.Abs(ops/got.Energy.Joules-1) > 1e-9 {
				rt.Errorf("operators of %g J come to %g J", got.Energy.Joules, ops)
			}
			if s := got.Power.SensorPeakWatts; s <= 0 || s > 1.0001*limit || s > got.Power.PeakWatts*(1+1e-9) {
				rt.Errorf("the sensor reads %g W; average %g W, peak %g W, limit %g W", s, got.Power.AverageWatts, got.Power.PeakWatts, limit)
			}
			last = got
		}
	})
}

// TestPowerLimitExact: playing every iteration agrees at lowered clocks too, whatever the runtime.
func TestPowerLimitExact(t *testing.T) {
	for _, runtime := range []string{"", "vllm-2023-eager"} {
		r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 2, Prompt: 64, Generate: 3, Layers: 2}, 2)
		r.Mapping.Profile, r.PowerLimit = runtime, 200
		quick := run(t, r)
		r.Exact = true
		exact := run(t, r)
		if quick.Answer.Events == 0 || exact.Answer.Events < quick.Answer.Events {
			t.Errorf("%s: %d events, %d with every iteration", runtime, quick.Answer.Events, exact.Answer.Events)
		}
		exact.Answer.Events, exact.Answer.Manifest = quick.Answer.Events, quick.Answer.Manifest
		if a, b := encode(t, quick.Answer), encode(t, exact.Answer); a != b {
			t.Errorf("%s: quick %s\nexact %s", runtime, a, b)
		}
		if runtime == "" && quick.Phases[0].ClockHertz == 0 {
			t.Errorf("%s: the limit lowers no clock", runtime)
		}
	}
}

// TestWhatFollowsTheClock: at a lower clock a prefill, which computes, slows down nearly in proportion, and
// a decode step, which waits for memory, hardly.
func TestWhatFollowsTheClock(t *testing.T) {
	slowdown := func(w llm.Workload) (time, clock float64) {
		r := request(t, "a100-sxm-80gb", "llama2-7b", w, 1)
		r.PowerLimit = eval.MaxPowerLimit
		free := run(t, r)
		r.PowerLimit = 280
		held := run(t, r)
		return held.Seconds / free.Seconds, float64(r.Machine.Chip.Clock) / held.Phases[0].ClockHertz
	}
	if time, clock := slowdown(llm.Workload{Phase: "prefill", Batch: 4, Prompt: 2048}); time < 1+0.75*(clock-1) || time > clock {
		t.Errorf("a prefill takes %.3f times as long at a clock %.3f times lower", time, clock)
	}
	if time, clock := slowdown(llm.Workload{Phase: "decode", Batch: 1, Prompt: 512}); time > 1+0.3*(clock-1) || clock < 1.1 {
		t.Errorf("a decode step takes %.3f times as long at a clock %.3f times lower", time, clock)
	}
}

// TestPowerLimitRefusals: limits that make no sense, and machines that cannot keep to one.
func TestPowerLimitRefusals(t *testing.T) {
	for machine, limits := range map[string][]units.Watts{"a100-sxm-80gb": {-1, units.Watts(math.NaN()), 2e6}, "tpu-v4": {100}} {
		for _, limit := range limits {
			r := request(t, machine, "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 128}, 1)
			r.PowerLimit = limit
			var invalid *plan.Invalid
			if _, err := eval.Run(context.Background(), r); !errors.As(err, &invalid) || invalid.Field != "power-limit" {
				t.Errorf("%s, %v: %v", machine, limit, err)
			}
		}
	}
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 128}, 1)
	r.PowerLimit = 100
	_, err := eval.Run(context.Background(), r)
	if plan.Infeasible(err) == nil || !strings.Contains(err.Error(), "210 MHz") {
		t.Errorf("a limit below idle: %v", err)
	}
}

// TestLimitedTimeline: phases that run at several clocks are drawn one after the other, to the end of the
// run, played in part and played whole.
func TestLimitedTimeline(t *testing.T) {
	for _, exact := range []bool{false, true} {
		r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 8, Prompt: 200, Generate: 3, Layers: 2}, 1)
		r.PowerLimit, r.Exact = 220, exact
		var b bytes.Buffer
		tl := eval.NewTimeline(&b)
		r.Observer = tl
		res := run(t, r)
		if err := tl.Write(); err != nil {
			t.Fatal(err)
		}
		var file struct {
			TraceEvents []struct {
				Ph      string
				Ts, Dur float64
				Name    string
			} `json:"traceEvents"`
		}
		if err := json.Unmarshal(b.Bytes(), &file); err != nil {
			t.Fatal(err)
		}
		var end float64
		for _, e := range file.TraceEvents {
			if e.Ph == "X" {
				end = max(end, e.Ts+e.Dur)
			}
		}
		if math.Abs(end/1e6/res.Seconds-1) > 1e-6 {
			t.Errorf("exact %v: the timeline ends at %g s, the run at %g s", exact, end/1e6, res.Seconds)
		}
	}
}
