package sweep

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

const derivedSpace = `
name: nas
arch: h100-sxm
model: llama2-7b
model_set: {max_position_embeddings: "2048"}
workload: {phase: decode, prompt: 128, layers: 1, fidelity: analytic}
axes:
  - {path: model.num_attention_heads, values: [8, 12]}
  - {path: model.head_dim, values: [64, 128]}
  - {name: ratio, values: [2.5, 3]}
derived:
  model.num_key_value_heads: num_attention_heads / 2
  model.intermediate_size: ceil(ratio * hidden_size / 128) * 128
  model.hidden_size: num_attention_heads * head_dim
  chip.clock: "head_dim == 64 ? 1.2e9 : quantity('1.5 GHz')"
  batch: num_attention_heads / 4
quality: {law: hoffmann2022, tokens_per_parameter: 20}
constraints: ["hidden_size < 1500", "batch * vocab_size > 0", "parameters < 140e6", "loss_proxy < 9"]
columns: {per: loss_proxy * parameters / max_position_embeddings}
objectives: [{column: seconds}, {column: loss_proxy}, {column: parameters, goal: max}]
`

// Leaves that expressions compute, whatever the order they are written in, are in the points that are run, and so are figures of the model.
func TestDerived(t *testing.T) {
	s := read(t, derivedSpace)
	if got := strings.Join(s.Axes(), " "); got != "num_attention_heads head_dim ratio" {
		t.Errorf("axes %s", got)
	}
	b := NewBuilder(s)
	for i := range s.Points() {
		values, _, err := s.Point(i)
		if err != nil {
			t.Fatal(err)
		}
		built, err := b.Build(values)
		if err != nil {
			t.Fatal(err)
		}
		m, o := built.Point.Model, built.Point.Options
		heads, dim, ratio := values[0].Any.(int64), values[1].Any.(int64), values[2].Any.(float64)
		if m.Heads != heads || m.HeadDim != dim || m.Hidden != heads*dim || m.KVHeads != heads/2 || m.FFN != 128*int64(math.Ceil(ratio*float64(m.Hidden)/128)) || o.Batch != heads/4 || m.MaxSeq != 2048 {
			t.Errorf("%s: %+v, batch %d", s.Parameters(values), m, o.Batch)
		}
		if want := map[int64]string{64: "1.2 GHz", 128: "1.5 GHz"}[dim]; built.Point.Machine.Chip.Clock.String() != want {
			t.Errorf("clock %v, want %s", built.Point.Machine.Chip.Clock, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.db")
	_, p := run(t, s, path, Options{})
	if p.Status[OK] != 2 || p.Status[Rejected] != 6 { // 12 · 128 is too wide; what has 8 · 128 or 12 · 64 has too many parameters
		t.Errorf("%+v", p)
	}
	db, err := store.Open(path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	reasons := map[string]int{}
	var points []store.Point
	if err := db.Points(t.Context(), "nas", func(p store.Point) error {
		reasons[p.Reason]++
		if p.Status == OK {
			points = append(points, p)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		law := laws[0]
		n := p.Figures["model_parameters"]
		loss := law.loss(n, 20*n)
		if p.Figures["loss_proxy"] != loss || p.Figures["loss_extrapolated"] != 1 || p.Figures["active_parameters"] != n || p.Figures["parameter_bytes"] != 2*n {
			t.Errorf("figures %v", p.Figures)
		}
		own, _ := p.Own()
		if math.Abs(own["per"]-loss*n/2048) > 1e-6 {
			t.Errorf("columns %v", own)
		}
		values, lacks, err := s.Objectives(t.Context(), db, &p)
		if err != nil || lacks != "" || values[1] != loss || values[2] != n {
			t.Errorf("objectives %v %q %v", values, lacks, err)
		}
	}
	if reasons["constraint hidden_size < 1500"] != 2 || reasons["constraint parameters < 140e6"] != 4 {
		t.Errorf("reasons %v", reasons)
	}
}

// A leaf that has no whole number is that point's fault, not the file's, as long as others have one.
func TestDerivedAtSomePoints(t *testing.T) {
	s := read(t, `
name: x
arch: h100-sxm
model: llama2-7b
workload: {phase: decode, layers: 1, fidelity: analytic}
axes: [{path: model.heads, values: [8, 9], name: heads}]
derived: {model.kv_heads: heads / 2}
`)
	_, p := run(t, s, filepath.Join(t.TempDir(), "x.db"), Options{})
	if p.Status[OK] != 1 || p.Status[Invalid] != 1 {
		t.Errorf("%+v", p)
	}
}

// What is wrong with files that compute leaves, with line and field.
func TestDerivedErrors(t *testing.T) {
	const head = "name: x\narch: h100-sxm\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1, 2]}\n"
	for _, tt := range []struct{ text, want string }{
		{"derived: {model.hiden: batch}\n", `sweep.yaml:6: derived.model.hiden: no such leaf of a model: model.hiden (did you mean model.hidden?)`},
		{"derived: {model.hidden: bach * 2}\n", `sweep.yaml:6: derived.model.hidden: bach * 2: character 1: unknown name bach; did you mean batch? (it may use axes, options, other leaves that are computed, and those of the model)`},
		{"derived: {model.hidden_size: intermediate_size, model.intermediate_size: 2 * hidden_size}\n", `sweep.yaml:6: derived.model.hidden_size: it needs model.intermediate_size, and that needs it: a circle (one of them has to come from axes alone)`},
		{"derived: {model.head_dim: head_dim + 1}\n", `sweep.yaml:6: derived.model.head_dim: it needs model.head_dim, and that needs it: a circle (one of them has to come from axes alone)`},
		{"derived: {model.hidden: batch / 3}\n", `sweep.yaml:6: derived.model.hidden: batch / 3: at none of 64 points that were tried: batch / 3: 0.333333 is no whole number: round, floor or ceil makes one of it`},
		{"derived: {model.hidden: \"'wide'\"}\n", `sweep.yaml:6: derived.model.hidden: 'wide': expected float64, but got string (it may use axes, options, other leaves that are computed, and those of the model)`},
		{"derived: {model.hidden: 1 / 0}\n", `sweep.yaml:6: derived.model.hidden: 1 / 0: at none of 64 points that were tried: 1 / 0: it is +Inf here`},
		{"derived: {batch: 2 * prompt}\n", `sweep.yaml:6: derived.batch: batch is on an axis too (leave one of them out)`},
		{"derived: {model.hidden: batch, model.hidden_size: batch}\n", `sweep.yaml:6: derived.model.hidden_size: model.hidden_size is computed twice (leave one of them out)`},
		{"derived: {model: batch}\n", `sweep.yaml:6: derived.model: model cannot be computed (an axis can have it)`},
		{"derived: {model.full_attention_layers: batch}\n", `sweep.yaml:6: derived.model.full_attention_layers: model.full_attention_layers is a list, which no expression gives`},
		{"derived: {zero: batch}\n", `sweep.yaml:6: derived.zero: zero goes with training, and the phase is generate (leave it out, or phase: train)`},
		{"  - {name: ratio, values: [1, 2]}\n", `sweep.yaml:6: axes[ratio].name: nothing uses the parameter ratio (a path makes it a leaf; derived: has leaves that expressions compute)`},
		{"  - {name: hidden_size, values: [1, 2]}\nderived: {model.ffn: 4 * hidden_size}\n", `sweep.yaml:6: axes[hidden_size].name: hidden_size is a leaf of the model, and an axis without a path changes nothing (for the leaf itself: path: model.hidden_size)`},
		{"  - {values: [1, 2]}\n", `sweep.yaml:6: axes[1].path: what does it change? (a path, or a name alone for a parameter of expressions)`},
		{"  - {path: model.num_experts, values: [8]}\n", `sweep.yaml:6: axes[1].path: llama2-7b is no mixture of experts (give it moe.top_k, moe.ffn too, or start from a model that has them)`},
		{"constraints: [\"loss_proxy < 2\"]\n", `sweep.yaml:6: constraints[0]: loss_proxy < 2: character 1: unknown name loss_proxy: axes, options and columns of results have names (add quality: {law: besiroglu2024, tokens_per_parameter: 20})`},
		{"objectives: [{column: loss_proxy}]\n", `sweep.yaml:6: objectives[0].column: loss_proxy: no such column of results (add quality: {law: besiroglu2024, tokens_per_parameter: 20})`},
		{"quality: {law: hofmann2022, tokens: 1}\n", `sweep.yaml:6: quality.law: "hofmann2022": must be one of hoffmann2022, besiroglu2024, kaplan2020 (did you mean "hoffmann2022"?)`},
		{"quality: {law: kaplan2020}\n", `sweep.yaml:6: quality.tokens: trained on how many tokens? (give one of tokens and tokens_per_parameter, e.g. tokens_per_parameter: 20)`},
		{"quality: {law: kaplan2020, tokens: 1, tokens_per_parameter: 1}\n", `sweep.yaml:6: quality.tokens: trained on how many tokens? (give one of tokens and tokens_per_parameter, e.g. tokens_per_parameter: 20)`},
	} {
		_, err := Read("sweep.yaml", []byte(head+tt.text), byName{})
		if err == nil {
			t.Errorf("%s is read", tt.text)
		} else if got, _, _ := strings.Cut(err.Error(), "\n"); got != tt.want {
			t.Errorf("%s%s, want\n%s", tt.text, got, tt.want)
		}
	}
}

// A dense model with all that a mixture of experts needs is one.
func TestMixtureFromDense(t *testing.T) {
	s := read(t, `
name: x
arch: h100-sxm
model: llama2-7b
model_set: {num_experts_per_tok: "2"}
workload: {phase: decode, layers: 1, fidelity: analytic}
axes: [{path: model.num_local_experts, values: [4, 8]}]
derived: {model.moe_intermediate_size: intermediate_size / num_local_experts}
constraints: ["active_parameters < parameters"]
quality: {law: besiroglu2024, tokens: 1e12}
`)
	db, p := run(t, s, filepath.Join(t.TempDir(), "x.db"), Options{})
	if p.Status[OK] != 2 {
		t.Errorf("%+v", p)
	}
	_ = db
	values, _, _ := s.Point(0)
	c, err := NewBuilder(s).Candidate(values)
	if err != nil || c.Model.MoE == nil || c.Model.MoE.FFN != 11008/4 {
		t.Fatalf("%+v, %v", c, err)
	}
	if c.Known(traces.BF16, traces.BF16); c.Figures["parameters"] != float64(c.Model.Parameters()) || c.Figures["active_parameters"] != float64(c.Model.ActiveParameters()) {
		t.Errorf("figures %v", c.Figures)
	}
	if _, ok := c.Figures["loss_proxy"]; ok { // laws of dense models say nothing of it
		t.Error("a mixture has a loss")
	}
}

// The laws give the figures of their papers.
func TestLaws(t *testing.T) {
	for _, tt := range []struct {
		law          string
		n, d, loss   float64
		extrapolated bool
	}{
		// Chinchilla: 70 billion parameters, 1.4 trillion tokens: 1.69 + 0.0832 + 0.1630, by hand from equation 10.
		{"hoffmann2022", 70e9, 1.4e12, 1.9366, true},
		// Gopher: 280 billion, 300 billion tokens; the paper has 1.993 for it (Hoffmann et al., section D.4 with the same constants).
		{"hoffmann2022", 280e9, 300e9, 1.993, true},
		{"besiroglu2024", 70e9, 1.4e12, 1.9739, true},
		{"besiroglu2024", 1e9, 20e9, 2.5301, false},
		// By hand from equation 1.5.
		{"kaplan2020", 1e9, 20e9, 2.3739, false},
	} {
		for i := range laws {
			if l := &laws[i]; l.Name == tt.law {
				if got := l.loss(tt.n, tt.d); math.Abs(got-tt.loss) > 5e-4 {
					t.Errorf("%s of %g and %g is %.5f, want %.4f", tt.law, tt.n, tt.d, got, tt.loss)
				}
				if far := tt.n < l.From || tt.n > l.To || tt.d < l.FromTokens || tt.d > l.ToTokens; far != tt.extrapolated {
					t.Errorf("%s of %g and %g is extrapolated: %t", tt.law, tt.n, tt.d, far)
				}
			}
		}
	}
	for _, l := range Laws() {
		if l.Source == "" || !(l.loss(2e9, 1e11) < l.loss(1e9, 1e11)) || !(l.loss(1e9, 2e11) < l.loss(1e9, 1e11)) {
			t.Errorf("%s: more does not help", l.Name)
		}
	}
	bert, err := llm.Preset("bert-base")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := laws[0].Loss(&bert, 1e9); ok {
		t.Error("an encoder has a loss")
	}
	gpt2, err := llm.Preset("gpt2-xl")
	if err != nil {
		t.Fatal(err)
	}
	if n := gpt2.NonEmbeddingParameters(); n != gpt2.Parameters()-(50257+1024)*1600 {
		t.Errorf("without embeddings gpt2-xl has %d parameters", n)
	}
}
