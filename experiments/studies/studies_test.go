package studies

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
)

// TestSameEveryTime: a study gives the same bytes on one processor and on more.
func TestSameEveryTime(t *testing.T) {
	few := map[string]map[string]string{"fidelity-gap": {"count": "8"}} // the others have no sample
	for _, s := range List() {
		text := func() string {
			r, err := s.DoWith(context.Background(), few[s.Name])
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		before := runtime.GOMAXPROCS(1)
		first := text()
		runtime.GOMAXPROCS(max(4, before))
		again := text()
		runtime.GOMAXPROCS(before)
		if first != again {
			t.Errorf("%s: two runs differ", s.Name)
		}
		if s.Title == "" || len(s.About) == 0 {
			t.Errorf("%s: it does not say what it is about", s.Name)
		}
	}
}

// TestRow: errors against a figure and against a range, and what has a target.
func TestRow(t *testing.T) {
	for _, tt := range []struct {
		row    Row
		error  float64
		judged bool
		within bool
	}{
		{Row{Ours: 11, Published: 10, Target: 0.11}, 0.1, true, true},
		{Row{Ours: 9, Published: 10, Target: 0.05}, -0.1, true, false},
		{Row{Ours: 11, Published: 10}, 0.1, false, false},
		{Row{Ours: 11}, 0, false, true},
		{Row{Ours: 11, Published: 10, Bound: MoreThan, Exact: true}, 0, true, true},
		{Row{Ours: 9, Published: 10, Bound: MoreThan, Exact: true}, -0.1, true, false},
		{Row{Ours: 9, Published: 10, Bound: LessThan, Exact: true}, 0, true, true},
		{Row{Ours: 11, Published: 10, Bound: LessThan, Exact: true}, 0.1, true, false},
		{Row{Published: 10, Bound: LessThan, Exact: true}, 0, true, true},
		{Row{Ours: 150, Published: 140, PublishedTo: 165, Exact: true}, 0, true, true},
		{Row{Ours: 154, Published: 110, PublishedTo: 140, Exact: true}, 0.1, true, false},
		{Row{Ours: 135, Published: 150, PublishedTo: 160, Target: 0.2}, -0.1, true, true},
	} {
		if e := tt.row.Error(); math.Abs(e-tt.error) > 1e-9 {
			t.Errorf("%+v: error %g, want %g", tt.row, e, tt.error)
		}
		if tt.row.Judged() != tt.judged || tt.row.Within() != tt.within {
			t.Errorf("%+v: judged %t, within %t", tt.row, tt.row.Judged(), tt.row.Within())
		}
	}
}

// TestDo: rows that say too little are a fault of the study, and an interrupt is one.
func TestDo(t *testing.T) {
	good := Row{Part: "p", Name: "n", Ours: 1, Basis: Predicted, Published: 2, Source: "s"}
	run := func(change func(*Row)) error {
		row := good
		change(&row)
		_, err := (&Study{Name: "x", Run: func(context.Context) ([]Row, error) { return []Row{row}, nil }}).Do(context.Background())
		return err
	}
	if err := run(func(*Row) {}); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Row){
		"no name":      func(r *Row) { r.Part = "" },
		"not a number": func(r *Row) { r.Ours = math.Inf(1) },
		"was reached":  func(r *Row) { r.Basis = "" },
		"no source":    func(r *Row) { r.Source = "" },
		"range ends":   func(r *Row) { r.PublishedTo = 1 },
		"nothing to":   func(r *Row) { r.Published, r.Target = 0, 0.1 },
	} {
		if err := run(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (&Study{Name: "x", Run: func(context.Context) ([]Row, error) { return nil, nil }}).Do(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var unknown *Unknown
	if _, err := ByName("coe-tree-tier"); !errors.As(err, &unknown) || unknown.Near != "coe-three-tier" {
		t.Error(err)
	}
}
