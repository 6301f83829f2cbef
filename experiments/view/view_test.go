package view_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
	"github.com/stratasim/strata/experiments/view/viewtest"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
)

// made is a database with a sweep of 80 points.
func made(t *testing.T) (*store.Store, *view.Source) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "r.db"), store.Options{ModelVersion: "made"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := viewtest.Fill(t.Context(), db, "made", 80, false); err != nil {
		t.Fatal(err)
	}
	s, err := view.Open(t.Context(), db, "made")
	if err != nil {
		t.Fatal(err)
	}
	return db, s
}

func read(t *testing.T, s *view.Source, names ...string) *view.Frame {
	t.Helper()
	f, err := s.Read(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSource(t *testing.T) {
	db, s := made(t)
	var names []string
	units := map[string]string{}
	for _, p := range s.Parameters() {
		names = append(names, p.Name)
		units[p.Name] = p.Unit
	}
	if got := strings.Join(names, " "); got != "bandwidth batch clock dtype machine" {
		t.Errorf("parameters %s", got)
	}
	if units["bandwidth"] != "B/s" || units["clock"] != "Hz" || units["batch"] != "" || units["machine"] != "" {
		t.Errorf("units %v", units)
	}
	f := read(t, s, "point", "batch", "arch", "status", "seconds", "key")
	if len(f.Rows) != 80 {
		t.Fatalf("%d rows", len(f.Rows))
	}
	if row := f.Rows[2]; row[0] != 2.0 || row[1] != 4.0 || row[2] != "a100-sxm-80gb" || row[3] != "ok" || row[4] == nil {
		t.Errorf("row %v", row)
	}
	if row := f.Rows[36]; row[1] != 64.0 || row[2] != nil || row[3] != "rejected" || row[4] != nil || row[5] != nil {
		t.Errorf("a point without a row: %v", row)
	}
	all, err := view.Open(t.Context(), db, "")
	if err != nil {
		t.Fatal(err)
	}
	if f := read(t, all, "batch", "status"); len(f.Rows) != 72 {
		t.Errorf("%d rows without a sweep", len(f.Rows))
	}
	if names, err := all.Varying(t.Context()); err != nil || !slices.Equal(names, []string{"arch", "model", "batch", "dtype", "weight_dtype"}) {
		t.Errorf("varying: %v, %v", names, err)
	}
	for name, near := range map[string]string{"tokens_per_secnd": "tokens_per_second", "latency": "seconds", "bandwith": "bandwidth", "zzz": ""} {
		var unknown *view.Unknown
		if _, err := s.Column(name); !errors.As(err, &unknown) || unknown.Near != near {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *view.NoSweep
	if _, err := view.Open(t.Context(), db, "mad"); !errors.As(err, &none) || none.Near != "made" {
		t.Errorf("%v", err)
	}
}

func TestCondition(t *testing.T) {
	_, s := made(t)
	for _, tt := range []struct {
		text string
		rows int    // that meet it
		bad  string // part of the error
	}{
		{text: `batch == 256`, rows: 16},
		{text: `batch in [1, 256] and machine == "h100-sxm"`, rows: 16},
		{text: `status != "ok"`, rows: 10},
		{text: `seconds == nil`, rows: 10},
		{text: `seconds > 0`, rows: 70},
		{text: `seconds * 1000 < 1e9 or seconds == nil`, rows: 70}, // without a value nothing can be said
		{text: `params["batch"] == 1`, rows: 16},
		{text: `dtype startsWith "fp" && !(batch < 200)`, rows: 8},
		{text: `sqrt(2) > 1`, bad: "\"sqrt\" is no column"},
		{text: `tokens_per_secnd > 3`, bad: `character 1: "tokens_per_secnd" is no column or parameter; did you mean "tokens_per_second"?`},
		{text: `batch > `, bad: "character"},
		{text: `batch = 1`, bad: "=="},
		{text: `batch > "a"`, bad: "character 7"},
		{text: `batch`, bad: "compare with something"},
		{text: ` `, bad: "no expression"},
		{text: `batch + 1`, bad: "bool"},
	} {
		c, err := s.Condition(tt.text)
		if err == nil {
			f := read(t, s, append(c.Names(), "status")...)
			if err = c.Filter(f); err == nil && (tt.bad != "" || len(f.Rows) != tt.rows) {
				t.Errorf("%s: %d rows", tt.text, len(f.Rows))
			}
		}
		if err != nil && (tt.bad == "" || !strings.Contains(err.Error(), tt.bad)) {
			t.Errorf("%s: %v", tt.text, err)
		}
	}
}

func TestFrame(t *testing.T) {
	f := &view.Frame{Columns: []view.Column{{Name: "a", Kind: view.Text}, {Name: "x", Unit: "s"}}, Rows: [][]any{{"q", 3.0}, {"p", nil}, {nil, 1.0}, {"p", 2.0}, {"p", 8.0}, {"p", 5.0}}}
	sorted := func(text string) string {
		o, err := view.ParseOrder(text)
		if err != nil {
			t.Fatal(err)
		}
		g := &view.Frame{Columns: f.Columns, Rows: slices.Clone(f.Rows)}
		if err := g.Sort([]view.Order{o}); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, row := range g.Rows {
			b.WriteString(g.Columns[1].Show(row[1]) + ";")
		}
		return b.String()
	}
	if got := sorted("x"); got != "1.000 s;2.000 s;3.000 s;5.000 s;8.000 s;;" {
		t.Error(got)
	}
	if got := sorted("x:desc"); got != "8.000 s;5.000 s;3.000 s;2.000 s;1.000 s;;" {
		t.Error(got)
	}
	if got := sorted("a"); got != ";2.000 s;8.000 s;5.000 s;3.000 s;1.000 s;" {
		t.Error(got)
	}
	if _, err := view.ParseOrder("x:down"); err == nil {
		t.Error("x:down is taken for an order")
	}
	g, err := f.Group([]string{"a"}, []string{"x"}, []string{"min", "median", "mean", "max", "count"})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]any{{"p", 4.0, 2.0, 5.0, 5.0, 8.0}, {"q", 1.0, 3.0, 3.0, 3.0, 3.0}, {nil, 1.0, 1.0, 1.0, 1.0, 1.0}}
	if !slices.EqualFunc(g.Rows, want, slices.Equal[[]any]) {
		t.Errorf("groups %v", g.Rows)
	}
}

func TestFront(t *testing.T) {
	_, s := made(t)
	declared, err := s.Declared()
	if err != nil || len(declared) != 3 || declared[0].Goal != pareto.Max || declared[2].Goal != pareto.Min {
		t.Fatalf("%v, %v", declared, err)
	}
	f := read(t, s, "tokens_per_second", "joules_per_token", "usd_per_million_tokens", "status")
	front, err := f.Front(declared, nil)
	if err != nil {
		t.Fatal(err)
	}
	// By hand: no other row is as good everywhere and better somewhere.
	better := func(a, b []any) bool {
		x := func(r []any) []float64 { return []float64{-r[0].(float64), r[1].(float64), r[2].(float64)} }
		p, q := x(a), x(b)
		return p[0] <= q[0] && p[1] <= q[1] && p[2] <= q[2] && !slices.Equal(p, q)
	}
	for i, row := range f.Rows {
		if row[3] != "ok" {
			continue
		}
		dominated := slices.ContainsFunc(f.Rows, func(o []any) bool { return o[3] == "ok" && better(o, row) })
		if dominated == slices.Contains(front.Rows, i) {
			t.Errorf("row %d: dominated %t, on the front %t", i, dominated, !dominated)
		}
	}
	if front.Compared != 70 || front.Missing != 0 || !(front.Volume > 0) || len(front.Reference) != 3 {
		t.Errorf("%+v", front)
	}
	if o, err := s.Objective("batch"); err == nil {
		t.Errorf("batch has a direction: %v", o)
	}
	if o, err := s.Objective("bandwidth:min"); err != nil || o.Goal != pareto.Min || o.Unit != "B/s" {
		t.Errorf("%v, %v", o, err)
	}
}

func TestGather(t *testing.T) {
	_, s := made(t)
	r, err := view.Gather(context.Background(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Machines) != 54 || r.Machines[0].Tier == "" { // one each
		t.Errorf("machines %+v", r.Machines)
	}
	drawn := 0
	for i, p := range r.Roof {
		if p.Machine < 0 {
			continue
		}
		drawn++
		if m := r.Machines[p.Machine]; math.IsNaN(p.Intensity) || p.Intensity <= 0 || p.Rate > m.Ops {
			t.Errorf("row %d: %+v of %+v", i, p, m)
		}
	}
	if drawn != 54 || len(r.Stalls.Names) != 3 || len(r.Energy.Names) != 6 {
		t.Errorf("%d in a roofline, causes %v, components %v", drawn, r.Stalls.Names, r.Energy.Names)
	}
	// A stall that is nothing everywhere is left out; the others sum to the time.
	seconds := r.Frame.Numbers(r.Frame.Index("seconds"))
	for i, want := range seconds {
		sum := 0.0
		for _, v := range r.Stalls.Values {
			sum += v[i]
		}
		if !math.IsNaN(want) && math.Abs(sum/want-1) > 1e-9 {
			t.Errorf("row %d: stalls %g of %g s", i, sum, want)
		}
	}
	if len(r.Reasons) != 5 || r.Reasons[1].Reason != "each chip of h100-sxm needs … GiB of hbm and has … GiB" || len(r.Versions) != 1 || len(r.Notes) != 0 {
		t.Errorf("reasons %v, versions %v, notes %v", r.Reasons, r.Versions, r.Notes)
	}
	x := r.Frame.Sensitivity("batch", "tokens_per_second")
	if len(x.Labels) != 5 || x.Ranges || x.Labels[4] != "256" || !(x.Median[4] > x.Median[0] && x.Low[0] <= x.Median[0] && x.Median[0] <= x.High[0]) {
		t.Errorf("%+v", x)
	}
	if x := r.Frame.Sensitivity("bandwidth", "seconds"); len(x.Labels) != 10 || !x.Ranges {
		t.Errorf("%+v", x)
	}
}

// TestRoofOfPresets: the part of a stored machine file that is read gives the roofline of the whole machine.
func TestRoofOfPresets(t *testing.T) {
	for _, name := range presets.Names() {
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := spec.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		fma, err := m.Chip.Cores.Matrix.Rate(m.Chip.Cores.Matrix.Native(traces.BF16))
		if err != nil {
			continue
		}
		got, ok := view.RoofOf(text, "bf16")
		off := m.OffChip()
		if off == nil {
			if ok {
				t.Errorf("%s has no memory off chip and a roofline %+v", name, got)
			}
			continue
		}
		want := view.Machine{Name: m.Name, DType: "bf16", Tier: off.Name, Ops: 2 * float64(fma) * float64(m.Chip.Cores.Count) * float64(m.Chip.Clock), Bandwidth: float64(off.Peak(m.Chip.Clock))}
		if !ok || got != want {
			t.Errorf("%s: %+v, %t, want %+v", name, got, ok, want)
		}
	}
}

func TestMerged(t *testing.T) {
	nan := math.NaN()
	p := view.Parts{Names: []string{"a", "b", "c", "d"}, Values: [][]float64{{1, 1}, {5, nan}, {nan, 2}, {9, 9}}}
	m := p.Merged(3)
	if !slices.Equal(m.Names, []string{"b", "d", "2 others"}) || !slices.Equal(m.Values[2], []float64{1, 3}) {
		t.Errorf("%v", m)
	}
	if m := p.Merged(4); len(m.Names) != 4 {
		t.Errorf("%v", m)
	}
}
