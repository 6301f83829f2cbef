package presets_test

import (
	"math"
	"testing"
)

// The rule of docs/power.md by which the share of the peak that long products reach follows from a data sheet. Constants:
// 0.1 W/mm² of leakage and uncore, 0.96 for what a kernel loses at the clock that is left, v = 1 − 0.75·(1 − φ), not below 0.7.
const (
	uncore  = 0.1
	kernels = 0.96
)

// sustained is the share of the peak at the clock at which memory, uncore and cores·clock·energy·v² come to the limit, at most
// at boost times the clock of the data sheet.
func sustained(limit, area, memory, cores, gigahertz, nanojoules, boost float64) float64 {
	low, high := 0.0, boost
	for range 60 {
		f := (low + high) / 2
		v := max(1-0.75*(1-f), 0.7)
		if uncore*area+memory+cores*gigahertz*f*nanojoules*v*v > limit {
			high = f
		} else {
			low = f
		}
	}
	return kernels * low
}

// Energies of an SM for one cycle at 1 V, in nJ: 1.9 of GA100 (1024 multiply-adds, N7), 2.15 of GA102 (512, 8N), 0.95 of AD102 and
// GB202 (512, 4N), 3.85 of GH100 (2048, 4N), 5.9 of GB100 (4096, 4NP). Memory: 5 W a stack of HBM, 1.25 W a chip of GDDR6, 2.5 W of
// GDDR6X, 1.5 W of GDDR7. Areas: data sheets; GB202 and GB100 estimated.
func TestSustainedShare(t *testing.T) {
	for _, c := range []struct {
		machine                                                  string
		limit, area, memory, cores, gigahertz, nanojoules, boost float64
		want                                                     float64 // measured, or what the file says where it follows from the rule
		within                                                   float64
	}{
		{"a100-sxm-80gb", 400, 826, 25, 108, 1.41, 1.9, 1, 1.0, 0.05},
		{"a30", 165, 826, 15, 56, 1.44, 1.9, 1, 0.69, 0.05},
		{"rtx-a6000", 300, 628, 30, 84, 1.8, 2.15, 1.08, 0.80, 0.05},
		{"rtx-pro-6000", 600, 750, 48, 188, 2.43, 0.95, 1.08, 1.0, 0.05},
		{"h100-sxm, long products", 700, 814, 25, 132, 1.83, 3.85, 1, 0.80, 0.05},   // 795 TFLOP/s: stas00/ml-engineering
		{"b200-sxm, long products", 1000, 1600, 40, 148, 1.856, 5.9, 1, 0.72, 0.05}, // of its rows above 3 ms
		{"a100-pcie-80gb", 300, 826, 25, 108, 1.41, 1.9, 1, 0.83, 0.05},
		{"a40", 300, 628, 30, 84, 1.74, 2.15, 1.08, 0.81, 0.02},
		{"l40s", 350, 608.5, 30, 142, 2.49, 0.95, 1.08, 0.86, 0.02},
		{"gb200, long products", 1200, 1600, 40, 148, 2.062, 5.9, 1, 0.75, 0.05},
	} {
		got := sustained(c.limit, c.area, c.memory, c.cores, c.gigahertz, c.nanojoules, c.boost)
		if math.Abs(got/c.want-1) > c.within {
			t.Errorf("%s: the rule gives %.3f of the peak, want %.3f", c.machine, got, c.want)
		}
	}
	// What the files of machines without measurements say is what the rule gives.
	for name, want := range map[string]float64{"a40": 0.81, "l40s": 0.86, "a100-pcie-80gb": 0.83} {
		if got := preset(t, name).Chip.Cores.Matrix.SustainedShare(); got != want {
			t.Errorf("%s: %v in its file, want %v", name, got, want)
		}
	}
}
