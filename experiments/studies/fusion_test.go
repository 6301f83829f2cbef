package studies

import (
	"math"
	"strings"
	"testing"
)

// TestFusion: the targets of the study, and rows that have none at the level reached.
func TestFusion(t *testing.T) {
	r := judged(t, "fusion", 17)
	ours := map[string]float64{}
	for i := range r.Rows {
		row := &r.Rows[i]
		ours[row.Name] = max(ours[row.Name], row.Ours)
		most := map[string]float64{
			"flash1 over standard, speed":      0.25, // standard is too fast, flash1 too slow
			"standard over flash1, bytes":      0.05,
			"flash1 over standard, operations": 0.05,
		}[row.Name]
		switch {
		case strings.HasSuffix(row.Name, "over HuggingFace"):
			most = 0.25 // layers alone
		case strings.HasSuffix(row.Name, "unfused over fused"):
			most = 0.40
		case strings.HasPrefix(row.Part, "SN40L: launches"):
			if most = 0.02; strings.HasPrefix(row.Name, "Bloom") {
				most = 0.20 // a layer of Bloom reads for longer than three commands take
			}
		}
		if row.Compared() && !row.Judged() && (most == 0 || math.Abs(row.Error()) > most) {
			t.Errorf("%s, %s: %.4g, published %g: %+.1f %%, was within %.0f %%", row.Part, row.Name, row.Ours, row.Published, 100*row.Error(), 100*most)
		}
	}
	// Section VI of the paper: Mistral gains most in decoding.
	for name, v := range ours {
		if strings.HasSuffix(name, ", decode") && !strings.HasPrefix(name, "Mistral") && v > max(ours["Mistral 7B, 2K, decode"], ours["Mistral 7B, 4K, decode"]) {
			t.Errorf("%s gains %.3g, Mistral less", name, v)
		}
	}
}
