package eval_test

import (
	"math"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// TestServing: a request sees one cycle pass, whatever it waits for: T = TTFT + (tokens - 1)·TPOT. Where the budget of a
// pass leaves more passes than a request has tokens, each pass gives a sequence that decodes one.
func TestServing(t *testing.T) {
	for _, c := range []struct {
		arrivals                string
		generate, budget        int64
		passes, steps, prefills int64 // of the cycle, those that only decode, and those that go by before a first token
	}{
		{traces.Steady, 64, 0, 32, 32, 1},
		{traces.Steady, 16, 0, 16, 0, 1},
		{traces.Steady, 16, 512, 32, 0, 17},
		{traces.Steady, 1, 512, 32, 0, 32},
		{traces.Steady, 8, 1536, 11, 0, 4}, // the last of two prompts
		{traces.Burst, 16, 2048, 8, 15, 0},
	} {
		r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "serve", Batch: 32, Prompt: 512, Generate: c.generate, Arrivals: c.arrivals, StepTokens: c.budget}, 1)
		r.Fidelity = eval.Analytic
		a := &run(t, r).Answer
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 1e-9*a.Seconds {
				t.Errorf("%+v: %s is %g, want %g", c, what, got, want)
			}
		}
		near("a cycle", a.TTFTSeconds+float64(float64(c.generate-1)*a.TPOTSeconds), a.Seconds)
		near("requests", a.Serving.RequestsPerSecond*a.Seconds, 32)
		near("tokens", a.TokensPerSecond*a.Seconds, float64(32*c.generate))
		var passes, steps int64
		for _, p := range a.Phases {
			if p.Phase == traces.Prefill.String() {
				passes += p.Steps
			} else {
				steps += p.Steps
			}
		}
		if passes != c.passes || steps != c.steps {
			t.Errorf("%+v: %d passes and %d steps", c, passes, steps)
		}
		prefill := a.Phases[0].Seconds
		if c.arrivals == traces.Burst { // half of all passes, which are alike, and of the own one
			near("the first token", a.TTFTSeconds, prefill/2*(1+1/float64(passes)))
		} else {
			near("the first token", a.TTFTSeconds, prefill*float64(c.prefills)/float64(passes))
		}
		if passes > c.generate && c.generate > 1 {
			near("the time of a token", a.TPOTSeconds, a.Seconds/float64(passes))
		}
	}
}
