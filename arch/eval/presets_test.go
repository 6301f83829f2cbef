package eval_test

import (
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Every preset decodes at a fair share of what its memory gives and reads a prompt at a fair share of what its matrix units
// multiply, and at no more than either, whether or not its kernels were ever measured. The shares are wide: kernels launched one
// by one, and copies of operands before each product, take their part.
func TestPresetsNearTheirRooflines(t *testing.T) {
	model, err := llm.Preset("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range presets.Names() {
		for _, c := range []struct {
			phase     string
			prompt    int64
			low, high float64
		}{{"decode", 512, 0.45, 0.95}, {"prefill", 2048, 0.35, 0.9}} {
			r := request(t, name, "llama2-7b", llm.Workload{Phase: c.phase, Batch: 1, Prompt: c.prompt}, 1)
			dtype := traces.BF16
			if rates := r.Machine.Chip.Cores.Matrix.Rates(); rates["fp16"] > rates["bf16"] {
				dtype = traces.FP16 // of matrix units that have no other
			}
			if r.Graph, err = model.Graph(llm.Workload{Phase: c.phase, Batch: 1, Prompt: c.prompt, DType: dtype, WeightDType: dtype, KVDType: dtype}); err != nil {
				t.Fatal(err)
			}
			r.Fidelity = eval.Analytic
			res := run(t, r)
			share := res.HFU
			if c.phase == "decode" {
				off := r.Machine.OffChip()
				for _, tier := range res.Memory {
					if tier.Tier == off.Name {
						share = float64(tier.ReadBytes+tier.WrittenBytes) / res.Seconds / float64(off.Bandwidth)
					}
				}
			}
			if share < c.low || share > c.high {
				t.Errorf("%s: %s at %.3f of its roofline, want %g to %g", name, c.phase, share, c.low, c.high)
			}
		}
	}
}
