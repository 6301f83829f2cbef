package traces_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// TestGeneratedGraphs: the graphs of all models read back as they were, so that a trace gives the same
// answers as the model that it was generated from.
func TestGeneratedGraphs(t *testing.T) {
	for _, name := range llm.Presets() {
		m, err := llm.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []llm.Workload{
			{Phase: "prefill", Batch: 2, Prompt: 64},
			{Phase: "decode", Batch: 3, Prompt: 100, DType: traces.FP16, WeightDType: traces.INT8, KVDType: traces.FP8},
			{Phase: "generate", Batch: 1, Prompt: 16, Generate: 4},
		} {
			if w.Phase != "prefill" && (m.Kind == llm.Encoder || m.Kind == llm.Vision) {
				continue // which has one pass only
			}
			g, err := m.Graph(w)
			if err != nil {
				t.Fatalf("%s %s: %v", name, w.Phase, err)
			}
			var b strings.Builder
			if err := g.Write(&b); err != nil {
				t.Fatalf("%s %s: %v", name, w.Phase, err)
			}
			back, err := traces.Read(name, strings.NewReader(b.String()))
			if err != nil {
				t.Fatal(err)
			}
			if len(back.Notes) > 0 || back.Hash() != g.Hash() {
				t.Errorf("%s %s: notes %q or another hash", name, w.Phase, back.Notes)
			}
			back.Notes = g.Notes
			if !reflect.DeepEqual(back, g) {
				t.Errorf("%s %s: reads back as\n%+v\nwas\n%+v", name, w.Phase, back, g)
			}
		}
	}
}
