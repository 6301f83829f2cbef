package studies

import (
	"strings"
	"testing"
)

// TestTPDecode: the targets of the study, and that tensor parallelism loses for the reason that it is said to: what divides
// divides, and what a layer waits for stays.
func TestTPDecode(t *testing.T) {
	r := judged(t, "tp-decode", 12)
	ours := map[string]float64{}
	for i := range r.Rows {
		ours[r.Rows[i].Part+"/"+r.Rows[i].Name] = r.Rows[i].Ours
	}
	for _, m := range []struct {
		name  string
		chips []string
	}{{"Llama 2 7B", []string{"1 chip", "2 chips", "4 chips", "8 chips"}}, {"Llama 2 70B", []string{"2 chips", "4 chips", "8 chips"}}} {
		where := "Where the time of a token goes, " + m.name + "/"
		last := 1.0
		for i, chips := range m.chips {
			if i == 0 {
				continue
			}
			before := m.chips[i-1]
			if share := ours[where+chips+": hbm"] / ours[where+before+": hbm"]; share < 0.5 || share > 0.56 { // the head is whole
				t.Errorf("%s, %s: %.3f of the time for HBM that %s take", m.name, chips, share, before)
			}
			for _, c := range []string{"launch", "fill and drain", "all-reduces"} {
				if was := ours[where+before+": "+c]; was > 0 && (ours[where+chips+": "+c] < 0.99*was || ours[where+chips+": "+c] > 1.3*was) {
					t.Errorf("%s, %s: %s takes %g s, %g on %s", m.name, chips, c, ours[where+chips+": "+c], was, before)
				}
			}
			var lost float64
			for name, v := range ours {
				if strings.HasPrefix(name, "Share of the time that chips lose, "+m.name+"/"+chips+": ") {
					lost += v
				}
			}
			if lost < 0.8 || lost > 1 { // the rest is what is computed on chip
				t.Errorf("%s, %s: %.3f of the lost time is explained", m.name, chips, lost)
			}
			for name, e := range ours {
				if strings.HasPrefix(name, "Efficiency against") && strings.HasSuffix(name, m.name+"/"+chips) {
					if e >= last {
						t.Errorf("%s, %s: efficiency %.3f, %.3f before", m.name, chips, e, last)
					}
					last = e
					if ring := ours[strings.Replace(name, "Efficiency against", "Efficiency with NCCL's ring, against", 1)]; ring >= e || ring <= 0 {
						t.Errorf("%s: %.3f with a ring, %.3f in one step", name, ring, e)
					}
				}
			}
		}
	}
}
