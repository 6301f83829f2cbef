package presets_test

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
)

// TestConstants: at most 12 constants are fitted for a family, 4 for a device of it and 3 for a kernel of a library.
func TestConstants(t *testing.T) {
	for _, name := range presets.Names() {
		list, root, err := presets.Constants(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range arch.Shares(list, root == name) {
			if s.Fitted > s.Most {
				var paths []string
				for _, c := range list {
					if c.Kind == arch.Fitted && (c.Kernel == s.Part || c.Kernel == "" && (s.Part == "family" || s.Part == "device")) {
						paths = append(paths, c.Path)
					}
				}
				t.Errorf("%s: %d constants are fitted, at most %d may be. What code or a data sheet gives needs a source of its own, else the source of the part around it counts:\n\t%s",
					name+" "+s.Part, s.Fitted, s.Most, strings.Join(paths, "\n\t"))
			}
		}
	}
}
