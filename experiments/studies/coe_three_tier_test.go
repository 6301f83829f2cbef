package studies

import (
	"context"
	"testing"
)

// judged runs a study and holds every judged row to its target.
func judged(t *testing.T, name string, least int) *Result {
	t.Helper()
	s, err := ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Do(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Compared() {
			t.Logf("%-40s %-50s %10.4g, published %g, %+.1f %%", row.Part, row.Name, row.Ours, row.Published, 100*row.Error())
		}
		if row.Judged() && !row.Within() {
			t.Errorf("%s, %s: %.4g, published %g to %g, target %.0f %%", row.Part, row.Name, row.Ours, row.Published, row.PublishedTo, 100*row.Target)
		}
	}
	if r.Judged < least {
		t.Errorf("%d judged rows, expected %d", r.Judged, least)
	}
	return r
}

// TestCoEThreeTier: the targets of the study.
func TestCoEThreeTier(t *testing.T) { judged(t, "coe-three-tier", 2) }
