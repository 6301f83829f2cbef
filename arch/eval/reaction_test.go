package eval_test

import (
	"context"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
)

// TestReaction: of an operator that is timed by itself, what is longer than the reaction of the power limit is slowed down,
// in both fidelities alike; a short one is not, nor one that keeps to the limit, and more power never makes it slower.
func TestReaction(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	timed := func(rows int64, fidelity string, change func(*eval.Request)) float64 {
		op := traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: rows, N: 8192, K: 8192, DType: traces.BF16, WeightDType: traces.BF16}
		r := eval.Request{Machine: m, Fidelity: fidelity, Mapping: plan.Mapping{TP: 1, Alone: true},
			Graph: &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, DType: traces.BF16, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}}
		if change != nil {
			change(&r)
		}
		res, err := eval.Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res.Answer.Seconds
	}
	ideal := func(r *eval.Request) { r.Ideal = []string{"power"} }
	for _, fidelity := range []string{eval.Analytic, eval.Event} {
		if a, b := timed(512, fidelity, nil), timed(512, fidelity, ideal); a != b {
			t.Errorf("%s: a product of %g s is over before the limit reacts, without it it takes %g s", fidelity, a, b)
		}
		full := timed(16384, fidelity, ideal)
		slow := timed(16384, fidelity, nil)
		// 2.2·10¹² operations at 989 TFLOP/s; a search over shapes finds at most 795 TFLOP/s (stas00/ml-engineering).
		if rate := 2 * 16384 * 8192 * 8192 / slow; slow <= full || rate < 730e12 || rate > 860e12 {
			t.Errorf("%s: %g s at the full clock, %g s with the limit: %g TFLOP/s", fidelity, full, slow, rate/1e12)
		}
		low, high := timed(16384, fidelity, func(r *eval.Request) { r.PowerLimit = 500 }), timed(16384, fidelity, func(r *eval.Request) { r.PowerLimit = 600 })
		if !(low >= high && high >= slow) {
			t.Errorf("%s: %g s at 500 W, %g s at 600 W, %g s at 700 W", fidelity, low, high, slow)
		}
	}
	m.Power.Reaction = 0
	if a, b := timed(16384, eval.Analytic, nil), timed(16384, eval.Analytic, ideal); a != b {
		t.Errorf("without a reaction %g s, without a limit %g s", a, b)
	}
}
