package studies

import (
	"context"
	"math"
	"strconv"
	"strings"
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

// TestCoEThreeTier: the targets of the study, and rows that have none at the level reached.
func TestCoEThreeTier(t *testing.T) {
	r := judged(t, "coe-three-tier", 16)
	worst := map[string]float64{}
	for i := range r.Rows {
		row := &r.Rows[i]
		if !row.Judged() && row.Compared() {
			worst[row.Part] = max(worst[row.Part], math.Abs(row.Error()))
		}
		if strings.HasSuffix(row.Name, "runs out") && (row.Ours < 140 || row.Ours > 165) { // 2 TB and 2 TiB of host memory, with some room
			t.Errorf("%s: %g", row.Name, row.Ours)
		}
		if strings.HasSuffix(row.Name, ", fused-host") && math.Abs(row.Error()) > 0.02 {
			t.Errorf("%s: %g, published %g", row.Name, row.Ours, row.Published)
		}
	}
	for part, most := range map[string]float64{
		"Totals over SN40L, with the paper's DGX times as multiples of our SN40L": 0.33,
		"Totals over SN40L, all simulated":                                        0.68,
		"Switching to another expert":                                             0.84, // one link or all, at what our machines sustain
		"Time of a token":                                                         0.55, // fused, which is not the software of the paper's date
		"Where experts fit":                                                       0.16,
	} {
		if worst[part] > most || worst[part] == 0 {
			t.Errorf("%s: worst error %.1f %%, reached were %.0f %%", part, 100*worst[part], 100*most)
		}
	}
}

// TestCoECurve: latency rises with the number of experts, only beyond what HBM holds, and the machine that holds more is flatter.
func TestCoECurve(t *testing.T) {
	r := judged(t, "coe-three-tier", 1)
	last := map[string]float64{}
	least := map[string]float64{}
	for i := range r.Rows {
		row := &r.Rows[i]
		machine, experts, ok := strings.Cut(row.Name, ", experts: ")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(experts)
		if err != nil {
			t.Fatal(err)
		}
		switch before := last[machine]; {
		case before == 0:
			least[machine] = row.Ours
		case row.Ours < before*(1-1e-12):
			t.Errorf("%s: %g s, with fewer experts %g s", row.Name, row.Ours, before)
		case n <= 25 && row.Ours != least[machine]:
			t.Errorf("%s: %g s, all fit and one takes %g s", row.Name, row.Ours, least[machine])
		}
		last[machine] = row.Ours
	}
	for machine, most := range map[string]float64{"SN40L": 1.11, "DGX A100": 2.2, "DGX H100": 1.8} {
		if up := last[machine] / least[machine]; up <= 1 || up > most {
			t.Errorf("%s: the last number of experts takes %.2f times one expert", machine, up)
		}
	}
	if len(last) != 3 {
		t.Error(last)
	}
}
