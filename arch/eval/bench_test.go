package eval_test

import (
	"context"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces/llm"
)

// bench times whole answers: planning, evaluation, energy and everything else of strata.run/1.
func bench(b *testing.B, arch, model string, w llm.Workload, tp int64, fidelity string) {
	m, err := presets.Machine(arch)
	if err != nil {
		b.Fatal(err)
	}
	lm, err := llm.Preset(model)
	if err != nil {
		b.Fatal(err)
	}
	w.DType, w.WeightDType, w.KVDType = lm.DefaultDType(), lm.DefaultDType(), lm.DefaultDType()
	var events int64
	hash := m.Hash() // once for a machine that is asked about many times
	b.ReportAllocs()
	for b.Loop() {
		g, err := lm.Graph(w)
		if err != nil {
			b.Fatal(err)
		}
		r, err := eval.Run(context.Background(), eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: tp}, Fidelity: fidelity, ArchHash: hash})
		if err != nil {
			b.Fatal(err)
		}
		events = r.Events
	}
	b.ReportMetric(float64(events), "events")
}

// BenchmarkGPT3Layer: one layer of GPT-3 175B, prefill of 2048 tokens, by events. Budget 3 ms.
func BenchmarkGPT3Layer(b *testing.B) {
	bench(b, "a100-sxm-80gb", "gpt3-175b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 2048, Layers: 1}, 8, eval.Event)
}

// BenchmarkGPT3Run: GPT-3 175B on eight chips, 2048 tokens in and 256 out, by events. Budget 1 s.
func BenchmarkGPT3Run(b *testing.B) {
	bench(b, "a100-sxm-80gb", "gpt3-175b", llm.Workload{Phase: "generate", Batch: 1, Prompt: 2048, Generate: 256}, 8, eval.Event)
}

// BenchmarkDecodeStep: one decode step of Llama 2 7B, in closed form, from nothing. Budget 1 ms.
func BenchmarkDecodeStep(b *testing.B) {
	bench(b, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 8, Prompt: 512}, 1, eval.Analytic)
}

// BenchmarkPrefill: a prefill of Llama 2 7B, in closed form, from nothing. Budget 1 ms.
func BenchmarkPrefill(b *testing.B) {
	bench(b, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "prefill", Batch: 4, Prompt: 1024}, 1, eval.Analytic)
}

// BenchmarkGenerate: 512 tokens in and 128 out of Llama 2 7B, in closed form, from nothing.
func BenchmarkGenerate(b *testing.B) {
	bench(b, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "generate", Batch: 8, Prompt: 512, Generate: 128}, 1, eval.Analytic)
}

// BenchmarkTPU: a prefill of Llama 2 7B on a TPU v4, in closed form, from nothing.
func BenchmarkTPU(b *testing.B) {
	bench(b, "tpu-v4", "llama2-7b", llm.Workload{Phase: "prefill", Batch: 4, Prompt: 1024}, 1, eval.Analytic)
}
