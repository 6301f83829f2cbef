package validation

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// nvidia lists comparisons for H100, H200 and B200 and the mean errors that they are held to. Where constants
// were fitted on every second row of a comparison, the first, the third and so on in the order of the file,
// the two halves are told apart.
var nvidia = []struct {
	set    string
	fitted bool
	mean   [3]float64 // of the rows fitted on, or of all; 0: there are none
	other  [3]float64
}{
	{"gemm aiconfigurator", true, [3]float64{0.068, 0.072, 0.072}, [3]float64{0.068, 0.075, 0.079}},
	{"gemm fp8 aiconfigurator", true, [3]float64{0.071, 0.081, 0.092}, [3]float64{0.068, 0.083, 0.124}},
	{"gemm llmservingsim", true, [3]float64{0.058, 0, 0}, [3]float64{0.054, 0, 0}},
	{"gemm vidur", true, [3]float64{0.083, 0, 0}, [3]float64{0.081, 0, 0}},
	{"gemm nvfp4 aiconfigurator", true, [3]float64{0, 0, 0.119}, [3]float64{0, 0, 0.121}},
	{"attention prefill", true, [3]float64{0.076, 0.060, 0.072}, [3]float64{0.062, 0.058, 0.084}},
	{"attention decode", true, [3]float64{0.085, 0.085, 0.132}, [3]float64{0.090, 0.093, 0.135}},
	{"attention prefill, fp8 cache", true, [3]float64{0.070, 0.069, 0.080}, [3]float64{0.123, 0.064, 0.121}},
	{"attention decode, fp8 cache", true, [3]float64{0.062, 0.061, 0.122}, [3]float64{0.065, 0.073, 0.114}},
	{"norm vidur", true, [3]float64{0.128, 0, 0}, [3]float64{0.155, 0, 0}},
	{"silu-mul vidur", true, [3]float64{0.109, 0, 0}, [3]float64{0.129, 0, 0}},
	{"rope vidur", true, [3]float64{0.108, 0, 0}, [3]float64{0.114, 0, 0}},
	{"add vidur", true, [3]float64{0.22, 0, 0}, [3]float64{0.222, 0, 0}},
	{"all-reduce nccl", false, [3]float64{0.068, 0.071, 0.078}, [3]float64{}},
	{"all-gather nccl", false, [3]float64{0.091, 0.095, 0.091}, [3]float64{}},
	{"reduce-scatter nccl", false, [3]float64{0.092, 0.082, 0.104}, [3]float64{}},
	{"all-to-all nccl", true, [3]float64{0.12, 0.132, 0.117}, [3]float64{0.13, 0.104, 0.114}},
	{"all-reduce vllm", false, [3]float64{0.062, 0.064, 0.094}, [3]float64{}},
}

// TestNewerGPUs: kernels on H100, H200 and B200 as a profiler sees them.
func TestNewerGPUs(t *testing.T) {
	for chip, c := range []struct{ device, arch string }{{"H100-SXM-80GB", "h100-sxm"}, {"H200-SXM", "h200-sxm"}, {"B200-SXM", "b200-sxm"}} {
		var limits []any
		halves := map[string]int{}
		for _, h := range nvidia {
			all := h.mean[chip]
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
