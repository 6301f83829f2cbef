package llm

import (
	"bytes"
	"testing"

	"github.com/stratasim/strata/traces"
)

// Graphs of every preset survive the trip through an operator trace.
func TestGraphsSurviveTraceFiles(t *testing.T) {
	for _, name := range Presets() {
		m := preset(t, name)
		w := Workload{Phase: "generate", Batch: 2, Prompt: 9, Generate: 4, DType: traces.FP16, WeightDType: traces.INT4, KVDType: traces.FP8}
		if m.Kind == Encoder || m.Kind == Vision {
			w.Phase, w.Generate = "prefill", 0
		}
		g, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := g.Write(&first); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		back, err := traces.Read("trace", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := back.Write(&second); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: written twice, it differs", name)
		}
		if a, b := sumUp(t, g), sumUp(t, back); a != b {
			t.Errorf("%s: %+v came back as %+v", name, a, b)
		}
	}
}
