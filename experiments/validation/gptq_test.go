package validation

import (
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// gptq are the times of a token of OPT-175B in 16 and 3 bits (Frantar et al., GPTQ, ICLR 2023, table 6), and how far off
// the answer may be. No constant was fitted on them.
var gptq = []struct {
	device, weights string
	chips           int64
	published, gate float64 // seconds; share
}{
	{"a100-sxm-80gb", "fp16", 5, 0.230, 0.02},
	{"a100-sxm-80gb", "int3-channel", 1, 0.071, 0.03},
	{"rtx-a6000", "fp16", 8, 0.589, 0.10},
	{"rtx-a6000", "int3-channel", 2, 0.130, 0.04},
}

// TestGPTQProducts: products with a single row under the gptq profile, on A100 (Vidur), as its efficiency was fitted on every
// second of them, the first, the third and so on in the order of the file.
func TestGPTQProducts(t *testing.T) {
	o := oracle.New(oracle.Options{})
	g := newGates("a single row, fitted on", 0.037, "a single row, the others", 0.059)
	n := 0
	for _, row := range table(t, "kernels/vidur_compute.csv") {
		if row["device"] != "A100-SXM-80GB" || row["op_class"] != "gemm" || row["M"] != "1" {
			continue
		}
		_, op, _ := kernel(t, "vidur_compute", row)
		half := "a single row, fitted on"
		if n++; n%2 == 0 {
			half = "a single row, the others"
		}
		g.add(t, half, row["shape"], ask(t, o, fields{"arch": "a100-sxm-80gb", "op": op, "framework": "gptq"}), 1e-6*number(t, row["measured_us"]))
	}
	g.check(t)
}

// TestGPTQ: decoding one sequence of 128 tokens, of which the median is published: with 64 in the cache. Layers run one
// after another across the chips, as the paper says.
func TestGPTQ(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, c := range gptq {
		seconds := ask(t, o, fields{"arch": c.device, "model": "opt-175b", "phase": "decode", "batch": 1, "past_len": 64, "dtype": "fp16", "weight_dtype": c.weights,
			"framework": "gptq", "parallel": fields{"pp": c.chips}, "fidelity": "event"})
		off := seconds/c.published - 1
		t.Logf("%-14s %d chips, %-12s predicted %6.1f ms, published %6.1f ms, %+5.1f %%", c.device, c.chips, c.weights, 1e3*seconds, 1e3*c.published, 100*off)
		if math.Abs(off) > c.gate {
			t.Errorf("%s in %s: error %.1f %%, the gate is %.0f %%", c.device, c.weights, 100*off, 100*c.gate)
		}
	}
	rows := 0
	for _, row := range table(t, "published/published_results.csv") {
		if !strings.HasPrefix(row["id"], "gptq-") || row["metric"] != "latency_per_token" {
			continue
		}
		rows++
		known := false
		for _, c := range gptq {
			known = known || c.device == row["device"] && number(t, row["n_devices"]) == float64(c.chips) && number(t, row["value"]) == 1e3*c.published
		}
		if !known {
			t.Errorf("%s on %s %s is not in the list", row["params"], row["n_devices"], row["device"])
		}
	}
	if rows != len(gptq) {
		t.Errorf("%d rows among the measurements, %d in the list", rows, len(gptq))
	}
}
