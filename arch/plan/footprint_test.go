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
