package fidelity

import (
	"bytes"
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat"
)

var update = flag.Bool("update", false, "rewrite the tables in testdata")

// What is tracked: so many points of each machine with this seed.
const (
	trackedPoints = 500
	trackedSeed   = 1
)

// Gates of the tracked table, a third and more inside the targets of the project (mean 5 %, tau 0.95).
const (
	mostMean      = 0.01
	mostP95       = 0.03
	leastTau      = 0.99
	leastSame     = 0.95 // share of points with the same bottleneck
	mostFarthest  = 0.10 // beyond which a point needs an explanation in docs/fidelities.md
	tableGaps     = "gaps.csv"
	tableOfShown  = "contention.csv"
	tableFarthest = "farthest.csv"
)

// golden compares a table with that in testdata, or rewrites it.
func golden(t *testing.T, name string, rows [][]string) {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%s is another one now; go test ./experiments/fidelity -update rewrites it, and git diff shows what moved:\n%s", path, b.Bytes())
	}
}

// page puts lines between the marks of a table on docs/fidelities.md, or compares them with what is there.
func page(t *testing.T, mark string, lines []string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "fidelities.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), "<!-- "+mark+" -->\n")
	was, after, closed := strings.Cut(rest, "<!-- end "+mark+" -->\n")
	if !ok || !closed {
		t.Fatalf("%s has no table %s", path, mark)
	}
	table := "\n" + strings.Join(lines, "\n") + "\n\n"
	if *update {
		text := before + "<!-- " + mark + " -->\n" + table + "<!-- end " + mark + " -->\n" + after
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != table {
		t.Errorf("%s: the table %s is another one now; -update rewrites it:\n%s", path, mark, table)
	}
}

// percent is a share in percent with three decimals, without a sign on zero.
func percent(x float64) string { return fmt.Sprintf("%.3f", math.Round(1e5*x)/1e3+0) }

// TestGaps: on 500 random transformers of each machine the fidelities agree as well as the tracked table says, and within the gates.
func TestGaps(t *testing.T) {
	if testing.Short() {
		t.Skip("2000 transformers in both fidelities take ten seconds")
	}
	rows := [][]string{{"machine", "what", "n", "mean_percent", "median_percent", "p95_percent", "largest_percent", "signed_percent", "tau", "same_bottleneck_percent"}}
	apart := [][]string{{"machine", "point", "gap_percent", "where"}}
	lines := []string{"| machine | points | mean | median | 95th percentile | largest | mean with the sign | tau | same bottleneck | mean of prefill, decode, generate | mean of dense, experts, window, latent |", "|---|---|---|---|---|---|---|---|---|---|---|"}
	for _, machine := range Machines() {
		s, err := Run(t.Context(), machine, trackedSeed, trackedPoints)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range slices.Concat([]string{"all"}, Phases(), Kinds()) {
			pairs := s.Pairs
			if what != "all" {
				pairs = Of(s.Pairs, what)
			}
			one := Summarize(pairs)
			rows = append(rows, []string{machine, what, fmt.Sprint(one.N), percent(one.Mean), percent(one.Median), percent(one.P95), percent(one.Worst), percent(one.Bias),
				fmt.Sprintf("%.4f", one.Tau), percent(one.SameBound)})
			if one.N < 30 {
				t.Errorf("%s, %s: %d points are too few to say anything", machine, what, one.N)
			}
			if one.Mean > mostMean || one.P95 > mostP95 || one.Tau < leastTau || what == "all" && one.SameBound < leastSame {
				t.Errorf("%s, %s: %+v is beyond the gates", machine, what, one)
			}
		}
		means := func(of []string) string {
			var list []string
			for _, what := range of {
				list = append(list, fmt.Sprintf("%.2f", 100*Summarize(Of(s.Pairs, what)).Mean))
			}
			return strings.Join(list, ", ")
		}
		all := Summarize(s.Pairs)
		lines = append(lines, fmt.Sprintf("| `%s` | %d | %.2f | %.2f | %.2f | %.1f | %+.2f | %.4f | %.1f | %s | %s |", machine, all.N, 100*all.Mean, 100*all.Median, 100*all.P95, 100*all.Worst, 100*all.Bias,
			all.Tau, 100*all.SameBound, means(Phases()), means(Kinds())))
		for _, p := range Farthest(s.Pairs, 10) {
			apart = append(apart, []string{machine, p.String(), percent(p.Gap()), p.Where()})
			if math.Abs(p.Gap()) > mostFarthest {
				t.Errorf("%s: %v is %s %% apart, and nothing explains it: %s", machine, &p, percent(p.Gap()), p.Where())
			}
		}
	}
	golden(t, tableGaps, rows)
	golden(t, tableFarthest, apart)
	page(t, "gaps", lines)
}

// time is seconds with four digits and a unit.
func time(seconds float64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"s", 1}, {"ms", 1e-3}} {
		if seconds >= u.size {
			return fmt.Sprintf("%.4g %s", seconds/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.4g µs", seconds/1e-6)
}

// TestContention: where things meet that the closed form cannot know of, events show it; where both know, they agree, and what meets costs
// both a tenth: they do not agree for want of it.
func TestContention(t *testing.T) {
	shown, err := Contention(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := [][]string{{"class", "case", "analytic_seconds", "event_seconds", "gap_percent", "event_seconds_without", "cost_percent", "stall"}}
	lines := []string{"| what meets | case | closed form | events | gap | has to be | events without it | what it costs | stall |", "|---|---|---|---|---|---|---|---|---|"}
	classes := map[string]int{}
	for i := range shown {
		c := &shown[i]
		rows = append(rows, []string{c.Class, c.Name, fmt.Sprintf("%.6g", c.Analytic), fmt.Sprintf("%.6g", c.Event), percent(c.Gap()), fmt.Sprintf("%.6g", c.Free), percent(c.Cost()), c.Stall})
		bound, class := fmt.Sprintf("at least %.0f %%", 100*c.Least), c.Class
		if !c.Shows() {
			bound = fmt.Sprintf("at most %.0f %%", 100*c.Most)
		}
		if i > 0 && shown[i-1].Class == class {
			class = ""
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %+.1f %% | %s | %s | %+.1f %% | %s |", class, c.Name, time(c.Analytic), time(c.Event), math.Round(1000*c.Gap())/10+0, bound,
			time(c.Free), math.Round(1000*c.Cost())/10+0, c.Stall))
		if !c.Within() {
			t.Errorf("%s: a gap of %s %%, at least %s %% and at most %s %% (0: any) have to be there", c.Name, percent(c.Gap()), percent(c.Least), percent(c.Most))
		}
		if !c.Met() {
			t.Errorf("%s: what meets costs events %s %%, spared: %t", c.Name, percent(c.Cost()), c.Spared)
		}
		if c.Spared && !c.Shows() {
			t.Errorf("%s: neither a gap nor a cost", c.Name)
		}
		if (c.Least > 0) == (c.Most > 0) {
			t.Errorf("%s: it has to be bounded from one side", c.Name)
		}
		if c.Shows() && !c.Spared {
			classes[c.Class]++
		}
	}
	for _, class := range []string{Fetches, Collectives, Refresh, PowerCap} {
		if classes[class] == 0 {
			t.Errorf("nothing that costs something shows %s", class)
		}
	}
	golden(t, tableOfShown, rows)
	page(t, "contention", lines)
}

// TestSameOnAnyNumberOfCores: a sample does not depend on how many points are compared at a time, nor on how many there are.
func TestSameOnAnyNumberOfCores(t *testing.T) {
	before := runtime.GOMAXPROCS(1)
	few, err := Run(t.Context(), "tpu-v4", 7, 8)
	runtime.GOMAXPROCS(max(4, before))
	many, err2 := Run(t.Context(), "tpu-v4", 7, 12)
	runtime.GOMAXPROCS(before)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if !slices.Equal(few.Pairs, many.Pairs[:8]) {
		t.Errorf("%v\n%v", few.Pairs, many.Pairs[:8])
	}
	other, err := Run(t.Context(), "tpu-v4", 8, 8)
	if err != nil || slices.Equal(few.Pairs, other.Pairs) {
		t.Error("another seed draws the same points", err)
	}
}

// TestUnknownMachine: a machine that does not exist is an error, not an empty sample.
func TestUnknownMachine(t *testing.T) {
	if s, err := Run(t.Context(), "no such machine", 1, 1); err == nil {
		t.Error(s)
	}
}

// TestKendall: by hand, without ties as gonum has it, and with ties by the definition.
func TestKendall(t *testing.T) {
	for _, tt := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{1, 2, 3}, 1},
		{[]float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{[]float64{1, 2, 3, 4}, []float64{1, 2, 4, 3}, 4.0 / 6},
		{[]float64{1, 1, 2}, []float64{1, 2, 3}, 2 / math.Sqrt(2*3)}, // one tie in x: 2 pairs that agree
		{[]float64{1, 1}, []float64{1, 2}, 1},
		{nil, nil, 1},
	} {
		if got := Kendall(tt.x, tt.y); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v, %v: %g, want %g", tt.x, tt.y, got, tt.want)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		n := 2 + r.IntN(40)
		x, y, tiedX, tiedY := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			x[i], y[i], tiedX[i], tiedY[i] = r.Float64(), r.Float64(), float64(r.IntN(5)), float64(r.IntN(5))
		}
		if got, want := Kendall(x, y), stat.Kendall(x, y, nil); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%g, gonum %g", got, want)
		}
		if got, want := Kendall(tiedX, tiedY), slowKendall(tiedX, tiedY); math.Abs(got-want) > 1e-12 {
			t.Fatalf("%v %v: %g, want %g", tiedX, tiedY, got, want)
		}
	}
}

// slowKendall is tau-b by its definition.
func slowKendall(x, y []float64) float64 {
	var agree, notX, notY float64
	for i := range x {
		for j := range i {
			a, b := sign(x[i]-x[j]), sign(y[i]-y[j])
			agree += a * b
			notX += a * a
			notY += b * b
		}
	}
	if notX == 0 || notY == 0 {
		return 1
	}
	return agree / math.Sqrt(notX*notY)
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// TestSummarize: by hand.
func TestSummarize(t *testing.T) {
	pairs := []Pair{{Analytic: 9, Event: 10, Phase: "decode", AnalyticBound: "hbm", EventBound: "hbm"}, {Analytic: 21, Event: 20, Kind: Dense}, {Analytic: 40, Event: 40, EventBound: "hbm"}}
	s := Summarize(pairs)
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"mean", s.Mean, 0.05}, {"median", s.Median, 0.05}, {"p95", s.P95, 0.1}, {"largest", s.Worst, 0.1}, {"bias", s.Bias, -0.05 / 3}, {"tau", s.Tau, 1}, {"same", s.SameBound, 2.0 / 3}} {
		if math.Abs(c.got-c.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", c.what, c.got, c.want)
		}
	}
	if len(Of(pairs, "decode")) != 1 || len(Of(pairs, Dense)) != 1 || len(Of(pairs, Latent)) != 0 {
		t.Error("points of a phase or a kind")
	}
	if far := Farthest(pairs, 1); len(far) != 1 || far[0].Event != 10 {
		t.Error(far)
	}
	if (Summarize(nil) != Summary{}) {
		t.Error("nothing comes to something")
	}
}

// TestShown: what is judged of a case, by hand.
func TestShown(t *testing.T) {
	for _, tt := range []struct {
		what        string
		shown       Shown
		gap, cost   float64
		within, met bool
	}{
		{"shown", Shown{Case: Case{Least: 0.1}, Analytic: 8, Event: 10, Free: 8}, -0.2, 0.25, true, true},
		{"no gap", Shown{Case: Case{Least: 0.1}, Analytic: 9.5, Event: 10, Free: 8}, -0.05, 0.25, false, true},
		{"known to both", Shown{Case: Case{Most: 0.01}, Analytic: 10, Event: 10, Free: 8}, 0, 0.25, true, true},
		{"known to neither", Shown{Case: Case{Most: 0.01}, Analytic: 10, Event: 10, Free: 10}, 0, 0, true, false},
		{"spared", Shown{Case: Case{Least: 0.1, Spared: true}, Analytic: 12, Event: 10, Free: 10}, 0.2, 0, true, true},
		{"not spared", Shown{Case: Case{Least: 0.1, Spared: true}, Analytic: 12, Event: 10, Free: 8}, 0.2, 0.25, true, false},
	} {
		s := &tt.shown
		if math.Abs(s.Gap()-tt.gap) > 1e-12 || math.Abs(s.Cost()-tt.cost) > 1e-12 || s.Within() != tt.within || s.Met() != tt.met {
			t.Errorf("%s: gap %g, cost %g, within %t, met %t", tt.what, s.Gap(), s.Cost(), s.Within(), s.Met())
		}
	}
}

// TestAlone: a case without what meets is the request but for that.
func TestAlone(t *testing.T) {
	for _, tt := range []struct{ request, without, want string }{
		{`{"dram":{"kind":"random","refresh":"pb","seed":9007199254740992}}`, noRefresh, `{"dram":{"kind":"random","refresh":"none","seed":9007199254740992}}`},
		{`{"arch":"a"}`, noLimit, `{"arch":"a","ideal":["power"]}`},
		{`{"arch":"a"}`, `{"arch":{"base":"a"}}`, `{"arch":{"base":"a"}}`},
	} {
		if got, err := (&Case{Request: tt.request, Without: tt.without}).Alone(); err != nil || got != tt.want {
			t.Errorf("%s with %s: %s, %v", tt.request, tt.without, got, err)
		}
	}
	if got, err := (&Case{Request: `{}`}).Alone(); err == nil {
		t.Errorf("no patch: %s", got)
	}
}
