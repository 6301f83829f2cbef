package plan_test

import (
	"testing"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// TestCacheOfAServer: a chip holds the cache of each request in work once, of those that are prefilled beside others too.
func TestCacheOfAServer(t *testing.T) {
	for _, c := range []struct {
		model    string
		token    units.Bytes // that a token adds, bf16
		arrivals string
		tp       int64
		tokens   int64 // in the caches together, at the most
	}{
		// While both requests are decoded, each has 4096 and on the mean 127 of its 255 in the cache, and adds one.
		{"llama3-8b", 131072, traces.Steady, 1, 2 * 4224}, // 1.031 GiB
		{"llama3-8b", 131072, traces.Burst, 1, 2 * 4224},
		{"llama3-8b", 131072 / 4, traces.Steady, 4, 2 * 4224},
		{"deepseek-v2-lite", 31104, traces.Steady, 1, 2 * 4224},
		{"deepseek-v2-lite", 31104, traces.Steady, 4, 2 * 4224}, // latent vectors are on every chip
	} {
		lm, err := llm.Preset(c.model)
		if err != nil {
			t.Fatal(err)
		}
		g, err := lm.Graph(llm.Workload{Phase: "serve", Batch: 2, Prompt: 4096, Generate: 256, Arrivals: c.arrivals})
		if err != nil {
			t.Fatal(err)
		}
		f, err := plan.Footprint(preset(t, "a100-sxm-80gb"), g, plan.Mapping{TP: c.tp})
		if err != nil {
			t.Fatal(err)
		}
		if want := c.token * units.Bytes(c.tokens); f.KV != want {
			t.Errorf("%s, %s, %d chips: a cache of %v, want %v", c.model, c.arrivals, c.tp, f.KV, want)
		}
	}
}

// TestCacheWherePrefillsLimit: requests that wait for their prefill have nothing in the cache.
func TestCacheWherePrefillsLimit(t *testing.T) {
	lm, err := llm.Preset("llama3-8b")
	if err != nil {
		t.Fatal(err)
	}
	g, err := lm.Graph(llm.Workload{Phase: "serve", Batch: 16, Prompt: 4096, Generate: 3, StepTokens: 4096})
	if err != nil {
		t.Fatal(err)
	}
	f, err := plan.Footprint(preset(t, "a100-sxm-80gb"), g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	// A prompt, and two sequences that are decoded after 4096 tokens and 1 of 2, and add one.
	if want := units.Bytes(131072 * (4096 + 2*4098)); f.KV != want {
		t.Errorf("a cache of %v, want %v", f.KV, want)
	}
}

// TestFootprintOfFrozenWeights: ranks that share out experts have their part of them, whether they are trained or frozen beside
// adapters; the rest of the layer is on each.
func TestFootprintOfFrozenWeights(t *testing.T) {
	lm, err := llm.Preset("mixtral-8x7b")
	if err != nil {
		t.Fatal(err)
	}
	const (
		attention = 2*4096*4096 + 2*4096*1024
		router    = 4096 * 8
		norms     = 2 * 4096
		experts   = 8 * 3 * 4096 * 14336
		qkvA      = 4096 * 3 * 16           // on each chip of a tensor group
		qkvB      = 16 * (4096 + 2*1024)    // divided
		outA      = 4096 * 16               // divided
		outB      = 16 * 4096               // on each
		whole     = 2 * int64(router+norms) // bytes
		divided   = 2 * int64(attention)    // by tensor parallelism
		ofExperts = 2 * int64(experts)      // and by expert parallelism
	)
	lora, err := llm.ParseLoRA("rank=16,targets=attention")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tp, ep int64 }{{1, 1}, {1, 8}, {2, 4}} {
		for _, adapters := range []*llm.LoRA{nil, lora} {
			g, err := lm.TrainingGraph(llm.Training{Batch: 1, SeqLen: 128, DType: traces.BF16, WeightDType: traces.BF16, Main: traces.FP32, Experts: c.ep, LoRA: adapters})
			if err != nil {
				t.Fatal(err)
			}
			got, err := plan.ShareOf(&g.Blocks[g.Runs[1].Block], nil, c.tp, c.ep, adapters != nil)
			if err != nil {
				t.Fatal(err)
			}
			want := plan.Share{Parameters: attention/c.tp + router + norms, ExpertParameters: experts / (c.tp * c.ep)}
			if adapters != nil {
				want = plan.Share{Parameters: qkvA + outB + (qkvB+outA)/c.tp, Frozen: units.Bytes(whole + divided/c.tp), FrozenExperts: units.Bytes(ofExperts / (c.tp * c.ep))}
			}
			if got != want {
				t.Errorf("tp %d, ep %d, adapters %v: %+v, want %+v", c.tp, c.ep, adapters != nil, got, want)
			}
		}
	}
}
