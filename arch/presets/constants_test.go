package presets_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
)

// excess is what presets have fitted beyond the limits, by preset and part. Nothing may be added and no number may grow.
var excess = map[string]int{
	"a100-sxm-80gb family":             51,
	"a100-sxm-80gb gemm[cublas]":       9,
	"a100-sxm-80gb vector[gemv]":       6,
	"a100-sxm-80gb vector[fused-row]":  5,
	"a100-sxm-80gb vector[torch-gemv]": 5,
	"a100-sxm-80gb moe[triton]":        4,
	"b200-sxm family":                  33,
	"b200-sxm gemm[nvjet]":             10,
	"b200-sxm gemm[cutlass-fp8]":       13,
	"b200-sxm gemm[cutlass-nvfp4]":     15,
	"h100-sxm family":                  43,
	"h100-sxm gemm[nvjet]":             10,
	"h100-sxm gemm[cutlass-fp8]":       15,
	"h100-sxm gemm[cublas-2023]":       10,
	"h100-sxm moe[triton]":             4,
}

// TestConstants: at most 12 constants are fitted for a family, 4 for a device of it and 3 for a kernel of a library.
func TestConstants(t *testing.T) {
	for _, name := range presets.Names() {
		list, root, err := presets.Constants(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range arch.Shares(list, root == name) {
			key := name + " " + s.Part
			switch most := max(s.Most, excess[key]); {
			case s.Fitted > most:
				var paths []string
				for _, c := range list {
					if c.Kind == arch.Fitted && (c.Kernel == s.Part || c.Kernel == "" && (s.Part == "family" || s.Part == "device")) {
						paths = append(paths, c.Path)
					}
				}
				t.Errorf("%s: %d constants are fitted, at most %d may be. What code or a data sheet gives needs a source of its own, else the source of the part around it counts:\n\t%s",
					key, s.Fitted, s.Most, strings.Join(paths, "\n\t"))
			case s.Fitted < excess[key]:
				t.Logf("%s: %d constants are fitted, the table of excess still says %d", key, s.Fitted, excess[key])
			}
		}
	}
}

// TestNewExcess prints the table of excess as it is now.
func TestNewExcess(t *testing.T) {
	if os.Getenv("STRATA_EXCESS") == "" {
		t.Skip("STRATA_EXCESS=1 prints the table of excess")
	}
	for _, name := range presets.Names() {
		list, root, err := presets.Constants(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range arch.Shares(list, root == name) {
			if s.Fitted > s.Most {
				t.Logf("%q: %d,", name+" "+s.Part, s.Fitted)
			}
		}
	}
}
