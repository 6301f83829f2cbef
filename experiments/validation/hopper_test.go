package validation

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// hopper lists comparisons for H100 and H200 and the mean errors that they are held to. Where constants
// were fitted on every second row of a comparison, the first, the third and so on in the order of the file,
// the two halves are told apart.
var hopper = []struct {
	set        string
	fitted     bool
	h100, h200 float64 // of the rows fitted on, or of all; 0: there are none
	other      [2]float64
}{
	{"gemm aiconfigurator", true, 0.068, 0.072, [2]float64{0.068, 0.075}},
	{"gemm fp8 aiconfigurator", true, 0.071, 0.081, [2]float64{0.068, 0.083}},
	{"gemm llmservingsim", true, 0.058, 0, [2]float64{0.054, 0}},
	{"gemm vidur", true, 0.083, 0, [2]float64{0.081, 0}},
	{"attention prefill", true, 0.076, 0.060, [2]float64{0.062, 0.058}},
	{"attention decode", true, 0.085, 0.085, [2]float64{0.090, 0.093}},
	{"attention prefill, fp8 cache", true, 0.070, 0.069, [2]float64{0.123, 0.064}},
	{"attention decode, fp8 cache", true, 0.062, 0.061, [2]float64{0.065, 0.073}},
	{"norm vidur", true, 0.128, 0, [2]float64{0.155, 0}},
	{"silu-mul vidur", true, 0.109, 0, [2]float64{0.129, 0}},
	{"rope vidur", true, 0.108, 0, [2]float64{0.114, 0}},
	{"add vidur", true, 0.22, 0, [2]float64{0.222, 0}},
	{"all-reduce nccl", false, 0.068, 0.071, [2]float64{}},
	{"all-gather nccl", false, 0.091, 0.095, [2]float64{}},
	{"reduce-scatter nccl", false, 0.092, 0.082, [2]float64{}},
	{"all-to-all nccl", true, 0.12, 0.132, [2]float64{0.13, 0.104}},
	{"all-reduce vllm", false, 0.062, 0.064, [2]float64{}},
}

// TestHopperKernels: kernels on H100 and H200 as a profiler sees them.
func TestHopperKernels(t *testing.T) {
	for chip, c := range []struct{ device, arch string }{{"H100-SXM-80GB", "h100-sxm"}, {"H200-SXM", "h200-sxm"}} {
		var limits []any
		halves := map[string]int{}
		for _, h := range hopper {
			all := [2]float64{h.h100, h.h200}[chip]
			switch {
			case all == 0:
			case h.fitted:
				limits = append(limits, h.set+", fitted on", all, h.set+", the others", h.other[chip])
				halves[h.set] = 1
			default:
				limits = append(limits, h.set, all)
			}
		}
		t.Log(c.arch)
		g := newGates(limits...)
		o := oracle.New(oracle.Options{})
		for _, file := range []string{"aic_gemm", "vidur_compute", "llmservingsim_compute", "aic_attention", "aic_network"} {
			for _, row := range table(t, "kernels/"+file+".csv") {
				if row["device"] != c.device || file == "llmservingsim_compute" && row["op_class"] != "gemm" {
					continue // its norms and activations are several eager kernels each
				}
				set, op, ok := kernel(t, file, row)
				if !ok {
					continue
				}
				name := set
				if n := halves[set]; n > 0 {
					if halves[set]++; n%2 == 1 {
						name += ", fitted on"
					} else {
						name += ", the others"
					}
				}
				seconds := ask(t, o, fields{"arch": c.arch, "op": op, "framework": row["framework"], "kernel": row["kernel"]})
				g.add(t, name, strings.TrimSuffix(row["shape"], "_kvb2"), seconds, 1e-6*number(t, row["measured_us"]))
			}
		}
		g.check(t)
	}
}
