package experiments_test

import (
	"slices"
	"testing"

	"github.com/stratasim/strata/experiments"
)

// TestStoredMachine: the changes of a machine count only where the stored machine is without them.
func TestStoredMachine(t *testing.T) {
	for _, tt := range []struct {
		request, hash string
		set           []string
	}{
		{`{"machine_input":"a","set":["chip.clock=1 GHz"]}`, "a", nil},
		{`{"machine_input":"a","machine_unset":true,"set":["chip.clock=1 GHz"]}`, "a", []string{"chip.clock=1 GHz"}},
		{`{`, "", nil},
		{``, "", nil},
	} {
		if hash, set := experiments.StoredMachine(tt.request); hash != tt.hash || !slices.Equal(set, tt.set) {
			t.Errorf("%s: %s, %v", tt.request, hash, set)
		}
	}
}
