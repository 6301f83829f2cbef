package llm

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

// TestServeCycle: in one cycle of a server every request in work is prefilled once and given all its tokens, whatever the
// arrivals and the budget; a pass holds no more prompts than its budget lets in, and all that it gives a token go through its
// head. Beside prompts all others are decoded, unless there are more passes than a request has tokens.
func TestServeCycle(t *testing.T) {
	type step struct {
		phase  traces.Phase
		number int64
	}
	type pass struct{ prompts, decoded, head, times int64 }
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
		cycle := map[step]*pass{}
		for i := range g.Runs {
			r := &g.Runs[i]
			p := cycle[step{r.Phase, r.Step}]
			if p == nil {
				p = &pass{times: r.Steps()}
				cycle[step{r.Phase, r.Step}] = p
			}
			for j := range g.Blocks[r.Block].Ops {
				switch op := &g.Blocks[r.Block].Ops[j]; {
				case op.Name == "lm_head":
					p.head += op.M
				case op.Kind == traces.Attention && op.QLen == 1 && op.Past+r.Past > 0:
					if p.decoded += op.Batch; op.Past+r.Past != w.Prompt+(w.Generate-1)/2 {
						t.Errorf("decodes after %d tokens", op.Past+r.Past)
					}
				case op.Kind == traces.Attention:
					p.prompts += op.Batch
				}
			}
		}
		var prompts, decoded, passes, alone int64
		for s, p := range cycle {
			prompts += p.prompts * p.times
			decoded += p.decoded * p.times
			if s.phase == traces.Decode {
				alone += p.times
			} else {
				passes += p.times
			}
			if p.head != p.prompts+p.decoded {
				t.Errorf("%d prompts and %d others, and a head for %d", p.prompts, p.decoded, p.head)
			}
			if w.StepTokens > 0 && p.prompts > 1 && p.prompts*w.Prompt > w.StepTokens {
				t.Errorf("a pass of %d prompts of %d tokens, the budget is %d", p.prompts, w.Prompt, w.StepTokens)
			}
		}
		if prompts != w.Batch || decoded != w.Batch*(w.Generate-1) {
			t.Errorf("%d prompts are prefilled and %d tokens decoded, of %d requests with %d", prompts, decoded, w.Batch, w.Generate)
		}
		if g.Arrivals == traces.Burst {
			if alone != w.Generate-1 {
				t.Errorf("in a burst %d steps decode", alone)
			}
			return
		}
		if passes+alone != max(w.Generate, passes) {
			t.Errorf("%d passes and %d steps give a sequence other than %d tokens", passes, alone, w.Generate)
		}
		if w.StepTokens == 0 && passes > w.Generate {
			t.Errorf("%d passes where nothing limits them", passes)
		}
		for _, p := range cycle {
			if want := w.Batch - p.prompts; passes <= w.Generate && p.decoded != want {
				t.Errorf("%d of %d others are decoded beside %d prompts", p.decoded, want, p.prompts)
			}
			if want := p.prompts * (w.Generate - 1); passes > w.Generate && p.decoded != want {
				t.Errorf("%d prompts to a pass keep %d sequences decoding, not %d", p.prompts, want, p.decoded)
			}
		}
	})
}
