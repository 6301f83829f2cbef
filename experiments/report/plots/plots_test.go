package plots_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/report/plots"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
	"github.com/stratasim/strata/experiments/view/viewtest"
)

func gathered(t *testing.T, n int) *view.Report {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "r.db"), store.Options{ModelVersion: "made"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := "made & <b>" // a name is text
	if err := viewtest.Fill(t.Context(), db, name, n, true); err != nil {
		t.Fatal(err)
	}
	s, err := view.Open(t.Context(), db, name)
	if err != nil {
		t.Fatal(err)
	}
	objectives, err := s.Declared()
	if err != nil {
		t.Fatal(err)
	}
	r, err := view.Gather(t.Context(), s, objectives)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCharts: every chart is drawn, in both formats, and the same to the byte each time.
func TestCharts(t *testing.T) {
	r := gathered(t, 400)
	list, left, err := plots.Charts(r)
	if err != nil || len(list) != 6 || len(left) != 0 {
		t.Fatalf("%d charts, left out %v: %v", len(list), left, err)
	}
	again, _, err := plots.Charts(r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		check(t, &list[i], &again[i])
	}
}

func check(t *testing.T, p, again *plots.Plot) {
	t.Helper()
	for _, format := range plots.Formats {
		file, err := p.Bytes(format)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Bytes(format); err != nil || !bytes.Equal(file, second) {
			t.Errorf("%s.%s differs the second time (%v)", p.Name, format, err)
		}
		switch format {
		case "png":
			m, err := png.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[any]bool{}
			for y := range m.Bounds().Dy() {
				for x := range m.Bounds().Dx() {
					seen[m.At(x, y)] = true
				}
			}
			if len(seen) < 10 {
				t.Errorf("%s: %d colours: nothing is drawn", p.Name, len(seen))
			}
		case "svg":
			for d := xml.NewDecoder(bytes.NewReader(file)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", p.Name, err)
				}
			}
			if strings.Contains(string(file), "NaN") || strings.Contains(string(file), "<b>") {
				t.Errorf("%s: no number, or markup", p.Name)
			}
		}
		if dir := os.Getenv("PICTURES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, p.Name+"."+format), file, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPower(t *testing.T) {
	const windows = "start_seconds,seconds,times,period_seconds,phase,step,name,clock_hertz,watts\n0,0.5,1,0.5,prefill,0,all,1,300\n0.5,0.01,10,0.05,decode,0,a,1,200\n0.51,0.04,10,0.05,decode,0,b,1,100\n"
	p, err := plots.Power("made", strings.NewReader(windows))
	if err != nil {
		t.Fatal(err)
	}
	check(t, p, p)
	for _, bad := range []string{"", "start_seconds,seconds\n", "start_seconds,seconds,times,period_seconds,watts\nx,1,1,1,1\n"} {
		if _, err := plots.Power("bad", strings.NewReader(bad)); err == nil {
			t.Errorf("%q is drawn", bad)
		}
	}
}

// TestNothing: a report without figures has no charts, and says which.
func TestNothing(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "r.db"), store.Options{ModelVersion: "made"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Put(t.Context(), store.Row{Key: "a", Values: store.Values{"status": "infeasible", "reason": "too large", "model_version": "made"}}); err != nil {
		t.Fatal(err)
	}
	s, err := view.Open(t.Context(), db, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := view.Gather(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, left, err := plots.Charts(r); err != nil || len(list) != 0 || len(left) != 6 {
		t.Errorf("%d charts, left out %v: %v", len(list), left, err)
	}
}
