package spec_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// Values gives each scalar with its type, behind pointers and in maps too, and no lists.
func TestValues(t *testing.T) {
	share := 0.5
	v := struct {
		Size  units.Bytes            `yaml:"size"`
		Share *float64               `yaml:"share,omitempty"`
		None  *float64               `yaml:"none,omitempty"`
		Rates map[string]units.Hertz `yaml:"rates"`
		List  []int64                `yaml:"list"`
		Parts []struct {
			N int64 `yaml:"n"`
		} `yaml:"parts"`
		Free string `yaml:"free" spec:"-"`
	}{Size: 3, Share: &share, Rates: map[string]units.Hertz{"b": 2, "a": 1}, List: []int64{1}, Parts: make([]struct {
		N int64 `yaml:"n"`
	}, 1)}
	var got []string
	spec.Values(&v, func(path string, value any) {
		got = append(got, fmt.Sprintf("%s %T %v", path, value, value))
		if one := spec.Value(&v, path); one != value {
			t.Errorf("%s: alone it is %T %v", path, one, one)
		}
	})
	want := []string{"size units.Bytes 3 B", "share float64 0.5", "rates.a units.Hertz 1 Hz", "rates.b units.Hertz 2 Hz", "parts[0].n int64 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	for _, path := range []string{"", "none", "rates", "rates.c", "list", "list[0]", "parts", "parts[1].n", "parts[0]", "free", "size.n", "nothing"} {
		if one := spec.Value(&v, path); one != nil {
			t.Errorf("%s: %T %v", path, one, one)
		}
	}
}
