package eval_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces/llm"
)

// TestDividedExperts: however experts and sequences are divided, stalls sum to the time, no fidelity is under the floor, both do
// the same work, and the answer says how it was divided.
func TestDividedExperts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int64{1, 2, 4})
		p := plan.Mapping{TP: n.Draw(rt, "tp"), AttnDP: n.Draw(rt, "attn dp"), Exchange: rapid.SampledFrom([]string{plan.Gather, plan.Dispatch}).Draw(rt, "exchange")}
		p.EP = rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(rt, "ep")
		if chips := p.TP * p.AttnDP; chips%p.EP != 0 || 14336%(chips/p.EP) != 0 {
			rt.Skip("does not divide")
		}
		batch := p.AttnDP * rapid.Int64Range(1, 40).Draw(rt, "sequences")
		w := llm.Workload{Phase: rapid.SampledFrom([]string{"prefill", "decode"}).Draw(rt, "phase"), Batch: batch, Prompt: rapid.Int64Range(1, 300).Draw(rt, "prompt"), Layers: 2, Groups: p.AttnDP,
			SkewMilli: rapid.SampledFrom([]int64{0, 1200}).Draw(rt, "skew")}
		r := request(t, "h100-sxm", "mixtral-8x7b", w, p.TP)
		r.Mapping = p
		var answers [2]*eval.Result
		for i, fidelity := range []string{eval.Analytic, eval.Event} {
			r.Fidelity = fidelity
			a := run(t, r)
			var sum float64
			for _, s := range a.Stalls {
				sum += s
			}
			if math.Abs(sum-a.Seconds) > 1e-9*a.Seconds || a.Seconds < a.FloorSeconds {
				rt.Errorf("%s: %g s, stalls of %g s, floor %g s", fidelity, a.Seconds, sum, a.FloorSeconds)
			}
			if d := p.Degrees(); a.Parallel.Chips() != d.Chips() || a.Parallel.EP != d.EP || a.Program.Chips() != d.Chips() {
				rt.Errorf("%s: %+v of %+v", fidelity, a.Parallel, d)
			}
			if want := p.Exchange; p.AttnDP > 1 && a.Parallel.Exchange != want {
				rt.Errorf("%s: exchange %q, want %q", fidelity, a.Parallel.Exchange, want)
			}
			answers[i] = a
		}
		if !answers[0].Outcome.Work.Equal(answers[1].Outcome.Work) {
			rt.Errorf("work differs")
		}
		// Model operations do not depend on how they are divided.
		one := w
		one.Groups = 0
		q := request(t, "h100-sxm", "mixtral-8x7b", one, 1)
		whole := run(t, q)
		if x, y := whole.MFU*whole.Seconds, answers[1].MFU*answers[1].Seconds*float64(p.Degrees().Chips()); math.Abs(x-y) > 1e-9*x {
			rt.Errorf("operations %g, on one chip %g", y, x)
		}
	})
}
