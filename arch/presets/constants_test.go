package presets_test

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
)

// TestConstants: at most 12 constants are fitted for a family, 4 for a device of it and 3 for a kernel of a library.
func TestConstants(t *testing.T) {
	if f, d, k := arch.MostFitted(arch.Family), arch.MostFitted(arch.Device), arch.MostFitted("gemm[cublas]"); f != 12 || d != 4 || k != 3 {
		t.Errorf("at most %d of a family, %d of a device, %d of a kernel", f, d, k)
	}
	for _, name := range presets.Names() {
		list, root, err := presets.Constants(name)
		if err != nil {
			t.Fatal(err)
		}
		counted := 0
		for _, s := range arch.Shares(list, root == name) {
			counted += s.Fitted + s.Estimated
			if s.Fitted > s.Most {
				var paths []string
				for _, c := range list {
					if c.Kind == arch.Fitted && (c.Kernel == s.Part || c.Kernel == "" && (s.Part == arch.Family || s.Part == arch.Device)) {
						paths = append(paths, c.Path)
					}
				}
				t.Errorf("%s: %d constants are fitted, at most %d may be. What code or a data sheet gives needs a source of its own, else the source of the part around it counts:\n\t%s",
					name+" "+s.Part, s.Fitted, s.Most, strings.Join(paths, "\n\t"))
			}
		}
		if counted != len(list) {
			t.Errorf("%s: %d constants, %d of them counted", name, len(list), counted)
		}
	}
}
