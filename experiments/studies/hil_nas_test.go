package studies

import (
	"strings"
	"testing"
)

// TestHILNAS: choices differ between chips, none is beaten on its own, and what is lost elsewhere is lost to the stall that the
// mechanism moves.
func TestHILNAS(t *testing.T) {
	s, err := ByName("hil-nas")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]*Row{}
	choices := map[string]map[string]bool{}
	for i := range r.Rows {
		row := &r.Rows[i]
		rows[row.Part+"/"+row.Name] = row
		if strings.HasPrefix(row.Part, "Least ") {
			if choices[row.Part] == nil {
				choices[row.Part] = map[string]bool{}
			}
			choices[row.Part][row.Note] = true
		}
		if strings.Contains(row.Part, "over its own choice's") && row.Ours < 1 {
			t.Errorf("%s, %s: %.4f", row.Part, row.Name, row.Ours)
		}
	}
	for part, least := range map[string]int{"Least time, prompts": 3, "Least time, tokens": 4, "Least energy, prompts": 3, "Least energy, tokens": 4} {
		if len(choices[part]) < least {
			t.Errorf("%s: %d different choices, were %d", part, len(choices[part]), least)
		}
	}
	const (
		prompts, tokens = "Time on another chip over its own choice's, prompts/", "Time on another chip over its own choice's, tokens/"
		fill            = "Time of the best with a property over the best, prompts/"
		write           = "Time of the best with a property over the best, tokens/"
	)
	for _, tt := range []struct {
		name      string
		low, high float64
		stall     string // that moved the most, "" for any
	}{
		// 2240 columns are 35 tiles of 64 on a GPU, and 4.4 of XLA's tiles of 512.
		{prompts + "A100's on TPU v5e", 1.08, 1.16, "compute"},
		{prompts + "A100's on TPU v4", 1.05, 1.11, "hbm"},
		{prompts + "TPU v5e's on A100", 1.005, 1.03, ""},
		{prompts + "TPU v4's on TPU v5e", 1.02, 1.05, "compute"},
		// A CPU's products are in blocks of 12 columns, so 96 fits it as well as 128; a barrier of all cores ends each operator.
		{prompts + "A100's on AmpereOne", 1.003, 1.03, "compute"},
		{prompts + "AmpereOne's on TPU v4", 1.10, 1.19, "hbm"},
		{prompts + "AmpereOne's on TPU v5e", 1.10, 1.18, "compute"},
		{tokens + "AmpereOne's on TPU v4", 1.08, 1.17, "hbm"},
		{write + "32 layers, AmpereOne", 1.16, 1.26, "launch"},
		{write + "keys and values of every head, AmpereOne", 1.30, 1.46, "hbm"},
		{tokens + "SN40L's on TPU v4", 1.01, 1.04, ""},
		{fill + "heads of 64, TPU v4", 1.20, 1.35, "hbm"},
		{fill + "heads of 64, TPU v5e", 1.03, 1.10, "compute"},
		{fill + "heads of 64, SN40L", 1, 1.02, ""},
		// Layers cost launches and fills where each operator is a kernel, and little where a layer is one.
		{write + "32 layers, A100", 1.18, 1.28, "dependency"},
		{write + "32 layers, H100", 1.20, 1.31, ""},
		{write + "32 layers, SN40L", 1.05, 1.12, "hbm"},
		// Keys and values of every head are read from memory; arrays pass them for a single query.
		{write + "keys and values of every head, A100", 1.35, 1.55, "hbm"},
		{write + "keys and values of every head, SN40L", 1.60, 1.85, "hbm"},
		{write + "keys and values of every head, TPU v5e", 1.75, 2.05, "compute"},
	} {
		row := rows[tt.name]
		if row == nil {
			t.Errorf("%s: no such row", tt.name)
			continue
		}
		if row.Ours < tt.low || row.Ours > tt.high {
			t.Errorf("%s: %.3f, was from %g to %g", tt.name, row.Ours, tt.low, tt.high)
		}
		if !strings.HasPrefix(row.Note, tt.stall) {
			t.Errorf("%s: %s, not %s", tt.name, row.Note, tt.stall)
		}
	}
	if a, b := rows[write+"32 layers, SN40L"], rows[write+"32 layers, H100"]; a == nil || b == nil || a.Ours-1 > (b.Ours-1)/2 {
		t.Error("depth costs SN40L more than half of what it costs H100")
	}
	for name, row := range rows {
		switch {
		case strings.HasPrefix(name, "Rank correlation") && (row.Ours < 0.33 || row.Ours > 0.95):
			t.Errorf("%s: %.3f", name, row.Ours)
		case strings.HasPrefix(name, "Played by events") && row.Ours > 1.005:
			t.Errorf("%s: %.4f: by events another choice is better", name, row.Ours)
		}
	}
}
