package validation

import (
	"math"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// TestPublishedNarrowDecode: decoding of one sequence on A100 with narrow weights: gpt-fast's compiled int8 and its int4
// kernel (pytorch-labs/gpt-fast, README at 32971d31, tokens per second with a short context), and 3-bit weights on one chip
// (Frantar et al., GPTQ, arXiv 2210.17323, table 6, Hugging Face accelerate, so one operator after the other). No constant was
// fitted on these: conversions per cycle are the data sheet's, operations of widening those of published code, but for
// those of 3 bits, which are estimated.
func TestPublishedNarrowDecode(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, tc := range []struct {
		model, weights, framework string
		tp, context               int
		published, gate           float64 // milliseconds a token; share
	}{
		{"llama2-7b", "int8", "", 1, 100, 1000 / 155.58, 0.08},
		{"llama2-70b", "int8", "", 1, 100, 1000 / 19.13, 0.05},
		{"llama3-70b", "int8", "", 8, 100, 1000 / 75.58, 0.05},
		{"llama3-405b", "int8", "", 8, 100, 1000 / 15.60, 0.27}, // see "Known deviations"
		{"llama2-7b", "int4-g32", "", 1, 100, 1000 / 196.80, 0.12},
		{"opt-175b", "int3-g128", "eager", 1, 64, 71, 0.06},
	} {
		request := fields{"arch": "a100-sxm-80gb", "model": tc.model, "phase": "decode", "batch": 1, "past_len": tc.context,
			"weight_dtype": tc.weights, "parallel": fields{"tp": tc.tp}, "fidelity": "event"}
		if tc.framework != "" {
			request["framework"] = tc.framework
		}
		predicted := 1e3 * ask(t, o, request)
		off := predicted/tc.published - 1
		t.Logf("%-11s %-9s tp %d   predicted %6.2f ms, published %6.2f ms, %+5.1f %%", tc.model, tc.weights, tc.tp, predicted, tc.published, 100*off)
		if math.Abs(off) > tc.gate {
			t.Errorf("%s in %s: error %.1f %%, the gate is %.0f %%", tc.model, tc.weights, 100*off, 100*tc.gate)
		}
	}
}
