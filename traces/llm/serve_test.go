package llm

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

// TestServeCycle: in one cycle of a server every request in work is prefilled once and given all its tokens, whatever the
// arrivals; a pass holds no more prompts than its budget lets in.
func TestServeCycle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Preset("gpt2-small")
		if err != nil {
			t.Fatal(err)
		}
		w := Workload{Phase: "serve", Batch: rapid.Int64Range(1, 70).Draw(t, "batch"), Prompt: rapid.Int64Range(1, 300).Draw(t, "prompt"),
			Generate: rapid.Int64Range(1, 60).Draw(t, "generate"), Arrivals: rapid.SampledFrom([]string{"", traces.Steady, traces.Burst}).Draw(t, "arrivals"),
			StepTokens: rapid.SampledFrom([]int64{0, 1, 100, 1000, 100000}).Draw(t, "step tokens")}
		g, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		var prompts, decoded, passes, alone int64
		for i := range g.Runs {
			r := &g.Runs[i]
			for j := range g.Blocks[r.Block].Ops {
				op := &g.Blocks[r.Block].Ops[j]
				if op.Kind != traces.Attention {
					continue
				}
				if op.QLen == 1 && op.Past+r.Past > 0 {
					if decoded += op.Batch * r.Steps(); op.Past+r.Past != w.Prompt+(w.Generate-1)/2 {
						t.Errorf("decodes after %d tokens", op.Past+r.Past)
					}
					if r.Phase == traces.Decode {
						alone += r.Steps()
					}
					continue
				}
				prompts += op.Batch * r.Steps()
				passes += r.Steps()
				if w.StepTokens > 0 && op.Batch > 1 && op.Batch*w.Prompt > w.StepTokens {
					t.Errorf("a pass of %d prompts of %d tokens, the budget is %d", op.Batch, w.Prompt, w.StepTokens)
				}
			}
		}
		if prompts != w.Batch {
			t.Errorf("%d of %d prompts are prefilled", prompts, w.Batch)
		}
		// A sequence is decoded in every pass but its own: where a budget leaves more passes than tokens, the passes are
		// what takes the time.
		if want := max(w.Generate-1, passes-1); g.Arrivals == traces.Steady && passes-1+alone != want {
			t.Errorf("%d passes and %d steps give a sequence other than %d tokens", passes, alone, want)
		}
		if g.Arrivals == traces.Burst && (alone != w.Generate-1 || decoded != w.Batch*alone) {
			t.Errorf("in a burst %d steps decode %d tokens", alone, decoded)
		}
	})
}
