package studies

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/validation"
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

// TestFusionPublished: what the study takes as published is what the measurements have.
func TestFusionPublished(t *testing.T) {
	dir, err := validation.Folder("")
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("STRATA_DATA") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "published", "published_results.csv"))
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("STRATA_DATA") == "" {
		t.Skip("no measurements: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	value := map[string]float64{}
	for _, r := range list[1:] {
		if strings.HasPrefix(r[0], "fa1-") {
			if value[r[0]], err = strconv.ParseFloat(r[slices.Index(list[0], "value")], 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := ByName("fusion")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]float64{}
	for _, row := range r.Rows {
		published[row.Name] = row.Published
	}
	for name, want := range map[string]float64{
		"standard, HBM read and written": value["fa1-0002"], "standard, time": 1e-3 * value["fa1-0003"],
		"flash1, HBM read and written": value["fa1-0005"], "flash1, time": 1e-3 * value["fa1-0006"],
		"flash1 over standard, operations":              value["fa1-0004"] / value["fa1-0001"],
		"GPT-2 small, Megatron-LM over HuggingFace":     value["fa1-0007"] / value["fa1-0008"],
		"GPT-2 small, FlashAttention over HuggingFace":  value["fa1-0007"] / value["fa1-0009"],
		"GPT-2 medium, Megatron-LM over HuggingFace":    value["fa1-0010"] / value["fa1-0011"],
		"GPT-2 medium, FlashAttention over HuggingFace": value["fa1-0010"] / value["fa1-0012"],
	} {
		if got := published[name]; !(math.Abs(got/want-1) < 1e-9) {
			t.Errorf("%s: %g, the measurements have %g", name, got, want)
		}
	}
}
