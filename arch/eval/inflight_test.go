package eval_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces/llm"
)

// TestBatchesInFlight: four batches in four stages against one batch at a time.
func TestBatchesInFlight(t *testing.T) {
	for _, fidelity := range []string{eval.Event, eval.Analytic} {
		w := llm.Workload{Phase: "generate", Batch: 4, Prompt: 256, Generate: 16}
		r := request(t, "a100-sxm-80gb", "llama2-7b", w, 1)
		r.Mapping.PP, r.Fidelity = 4, fidelity
		alone := run(t, r)
		r.Mapping.InFlight = 4
		four := run(t, r)
		var sum float64
		for _, s := range four.Stalls {
			sum += s
		}
		if math.Abs(sum-four.Seconds) > 1e-9*four.Seconds || four.Stalls.Of(sim.Idle) <= 0 {
			t.Errorf("%s: stalls of %g s sum to %g: %v", fidelity, four.Seconds, sum, four.Stalls)
		}
		if four.Batch != 4*alone.Batch || four.Seconds < alone.Seconds || four.Seconds > 1.5*alone.Seconds {
			t.Errorf("%s: %d sequences in %g s, one batch of %d in %g", fidelity, four.Batch, four.Seconds, alone.Batch, alone.Seconds)
		}
		if gain := four.TokensPerSecond / alone.TokensPerSecond; gain < 2.6 || gain > 4 {
			t.Errorf("%s: %g times the throughput", fidelity, gain)
		}
		if four.Footprint.KVBytes != 4*alone.Footprint.KVBytes || four.Footprint.WeightBytes != alone.Footprint.WeightBytes {
			t.Errorf("%s: %+v, of one batch %+v", fidelity, four.Footprint, alone.Footprint)
		}
		read := func(res *eval.Result) int64 {
			i := slices.IndexFunc(res.Memory, func(m eval.Tier) bool { return m.Tier == r.Machine.OffChip().Name })
			return res.Memory[i].ReadBytes
		}
		if got, want := read(four), 4*read(alone); got < want-4 || got > want+4 {
			t.Errorf("%s: a chip reads %d B, of one batch %d", fidelity, got, want)
		}
		if math.Abs(four.Energy.Joules-four.Power.AverageWatts*four.Seconds) > 1e-6*four.Energy.Joules {
			t.Errorf("%s: %g J, %g W for %g s", fidelity, four.Energy.Joules, four.Power.AverageWatts, four.Seconds)
		}
		if four.Energy.Joules >= 4*alone.Energy.Joules || four.Energy.Joules <= alone.Energy.Joules {
			t.Errorf("%s: %g J, of one batch %g", fidelity, four.Energy.Joules, alone.Energy.Joules)
		}
		if last := four.Phases[len(four.Phases)-1]; last.Steps != 15 || math.Abs(four.Phases[0].Seconds+last.Seconds-four.Seconds) > 1e-9 {
			t.Errorf("%s: phases %+v", fidelity, four.Phases)
		}
	}
}

// TestClockInFlight: a power limit lowers the clock of chips, and not that of the host, which has a part of each step.
func TestClockInFlight(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 1, Prompt: 512, Generate: 16}, 1)
	r.Mapping.PP, r.Mapping.Profile, r.PowerLimit = 4, "vllm", 200
	alone := run(t, r)
	r.Mapping.InFlight = 4
	four := run(t, r)
	for i, p := range four.Phases {
		if one := alone.Phases[i]; one.ClockHertz == 0 || math.Abs(p.ClockHertz/one.ClockHertz-1) > 0.05 || p.ClockHertz >= 1410e6 {
			t.Errorf("%s: a clock of %g Hz, of one batch %g Hz", p.Phase, p.ClockHertz, one.ClockHertz)
		}
	}
	for _, n := range four.Notes {
		if strings.Contains(n, "lowers the clock") && !(strings.Contains(n, "prefill at") && strings.Contains(n, "decode at")) {
			t.Error(n)
		}
	}
}

// TestStepInFlight: a step of as many batches as stages takes what one of them takes alone, or what the longest stage takes for all.
func TestStepInFlight(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 256}, 1)
	r.Mapping.PP = 4
	alone := run(t, r)
	r.Mapping.InFlight = 4
	four := run(t, r)
	if four.Seconds < alone.Seconds || four.Seconds > 1.15*alone.Seconds || four.TPOTSeconds != four.Seconds {
		t.Errorf("%g s, one batch alone %g s", four.Seconds, alone.Seconds)
	}
}

// TestServerInStages: a server's cycle through a pipeline is one of many, with no time to fill it.
func TestServerInStages(t *testing.T) {
	w := llm.Workload{Phase: "serve", Batch: 8, Prompt: 256, Generate: 32, StepTokens: 8192}
	r := request(t, "a100-sxm-80gb", "llama2-7b", w, 1)
	one := run(t, r)
	r.Mapping.PP, r.Mapping.InFlight = 4, 4
	four := run(t, r)
	if four.Serving.Concurrency != 32 || four.Serving.RequestsPerSecond < 2.5*one.Serving.RequestsPerSecond || four.Serving.RequestsPerSecond > 4*one.Serving.RequestsPerSecond {
		t.Errorf("%+v, on one chip %+v", four.Serving, one.Serving)
	}
}

// TestBatchesThatDoNotSuit names field and reason.
func TestBatchesThatDoNotSuit(t *testing.T) {
	for _, c := range []struct {
		pp, batches int64
		want        string
	}{{1, 2, "2 batches in flight, 1 stage"}, {2, 3, "3 batches in flight, 2 stages"}, {2, -1, "must be from 1"}} {
		r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 16}, 1)
		r.Mapping.PP, r.Mapping.InFlight = c.pp, c.batches
		_, err := eval.Run(t.Context(), r)
		var invalid *plan.Invalid
		if !errors.As(err, &invalid) || invalid.Field != "in-flight" || !strings.Contains(invalid.Message, c.want) {
			t.Errorf("%d batches, %d stages: %v", c.batches, c.pp, err)
		}
	}
}
