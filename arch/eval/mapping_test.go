package eval_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// TestExportedMappingGivesTheSameAnswer: to the byte, but for the hash of the mapping and the key.
func TestExportedMappingGivesTheSameAnswer(t *testing.T) {
	for _, c := range []struct {
		arch, runtime, model, phase string
		tp                          int64
	}{
		{"a100-sxm-80gb", "", "llama2-7b", "generate", 2}, {"a100-sxm-80gb", "eager", "gptj-6b", "prefill", 1}, {"a100-sxm-80gb", "vllm",
			"llama3-8b", "decode", 4},
		{"tpu-v4", "", "gpt2-small", "generate", 1}, {"sn40l", "", "llama2-7b", "decode", 2}, {"sn40l", "unfused", "llama2-7b", "prefill", 1},
		{"h100-sxm", "", "llama3-8b", "generate", 1},
	} {
		m, err := presets.Machine(c.arch)
		if err != nil {
			t.Fatal(err)
		}
		m.WriteOut()
		shape, err := llm.Preset(c.model)
		if err != nil {
			t.Fatal(err)
		}
		g, err := shape.Graph(llm.Workload{Phase: c.phase, Batch: 3, Prompt: 200, Generate: 5, DType: traces.BF16, WeightDType: traces.BF16,
			KVDType: traces.BF16})
		if err != nil {
			t.Fatal(err)
		}
		for _, fidelity := range []string{eval.Event, eval.Analytic} {
			r := eval.Request{Machine: m, Graph: g, Fidelity: fidelity, Mapping: plan.Mapping{TP: c.tp, Profile: c.runtime}}
			own, err := eval.Run(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			_, decisions, err := r.Decide(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			pins, err := decisions.Export()
			if err != nil {
				t.Fatal(err)
			}
			text, err := spec.Marshal(pins)
			if err != nil {
				t.Fatal(err)
			}
			if r.Mapping.Pins, err = plan.ReadPins("m.yaml", text); err != nil {
				t.Fatal(err)
			}
			again, err := eval.Run(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			if again.Manifest.MappingHash != pins.Hash() || own.Manifest.MappingHash != "" || again.Manifest.Key == own.Manifest.Key {
				t.Errorf("manifests %+v and %+v", own.Manifest, again.Manifest)
			}
			again.Manifest = own.Manifest
			a, err := json.Marshal(own.Answer)
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(again.Answer)
			if err != nil {
				t.Fatal(err)
			}
			if string(a) != string(b) {
				t.Errorf("%v %s: the answer is\n%s\nfrom the exported mapping\n%s", c, fidelity, a, b)
			}
		}
	}
}
