package validation

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// TestA6000Kernels: products and fused attention on RTX A6000, as torch.profiler saw them (LLMServingSim). Constants were
// fitted on every second row, the first, the third and so on in the order of the file.
func TestA6000Kernels(t *testing.T) {
	g := newGates("gemm, fitted on", 0.077, "gemm, the others", 0.083, "a single row", 0.03, "attention prefill, fitted on", 0.031, "attention prefill, the others", 0.031)
	o := oracle.New(oracle.Options{})
	seen := map[string]int{}
	for _, file := range []string{"llmservingsim_compute", "llmservingsim_attention"} {
		for _, row := range table(t, "kernels/"+file+".csv") {
			if row["device"] != "RTX-A6000" || row["op_class"] != "gemm" && row["op_class"] != "attn_prefill" {
				continue // its norms and activations are several kernels each
			}
			_, op, ok := kernel(t, file, row)
			if !ok {
				continue
			}
			name := map[string]string{"gemm": "gemm", "attn_prefill": "attention prefill"}[row["op_class"]]
			half := ", the others"
			if seen[name]++; seen[name]%2 == 1 {
				half = ", fitted on"
			}
			seconds, measured := ask(t, o, fields{"arch": "rtx-a6000", "op": op, "framework": "eager"}), 1e-6*number(t, row["measured_us"])
			g.add(t, name+half, strings.TrimSuffix(row["shape"], "_kvb2"), seconds, measured)
			if row["M"] == "1" {
				g.add(t, "a single row", row["shape"], seconds, measured)
			}
		}
	}
	g.check(t)
}
