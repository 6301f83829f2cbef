package validation

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/uncertainty"
	"github.com/stratasim/strata/sim/spec"
)

// uncertaintyFile is the table that intervals rest on; go test -update writes it.
const uncertaintyFile = "../uncertainty/table.csv"

// relatives are the devices whose fitted constants a measured one is given, as a preset without measurements has those of the nearest
// that was measured.
var relatives = []struct{ device, relative string }{
	{"a100-sxm-80gb", "h100-sxm"}, {"h100-sxm", "a100-sxm-80gb"}, {"h200-sxm", "h100-sxm"}, {"b200-sxm", "h100-sxm"}, {"rtx-pro-6000", "h100-sxm"},
	{"rtx-a6000", "a100-sxm-80gb"}, {"rtx-3090", "rtx-a6000"}, {"a30", "a100-sxm-80gb"}, {"tpu-v6e", "tpu-v4"}, {"tpu-v4", "tpu-v6e"}, {"arc-pro-b60", "rtx-pro-6000"},
}

// Every so many rows of held-out devices, of classes with more than enough, and of whole models are asked for again.
const (
	heldEvery  = 8
	heldEnough = 150
	wholeEvery = 5
)

// log is ln(measured/predicted); where a range was published, 0 within it.
func (r *Row) log() float64 { return -math.Log1p(r.Error()) }

// usable reports whether the row is of seconds that can be compared by their ratio.
func (r *Row) usable() bool { return r.Measured > 0 && r.Predicted > 0 && r.Arch != "" }

// opSample is the sample of a row of single operators.
func opSample(t *testing.T, r *Row, machines map[string]*arch.Machine) uncertainty.Sample {
	t.Helper()
	m := machines[r.Arch]
	if m == nil {
		var err error
		if m, err = presets.Machine(r.Arch); err != nil {
			t.Fatal(err)
		}
		machines[r.Arch] = m
	}
	request := Fields{"arch": r.Arch}
	for k, v := range r.Request {
		request[k] = v
	}
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	op, err := oracle.ValidatedRequest(line, m)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	s := uncertainty.Sample{Device: uncertainty.ChipOf(r.Arch), Class: op.Class, Runtime: r.Ran, Log: r.log(), Dims: op.Dims}
	if op.Format != "" {
		s.Formats = []string{op.Format}
	}
	return s
}

// half is a sample and the half that it is in: of those that constants were fitted on, or of the others.
type half struct {
	uncertainty.Sample
	first bool
}

// opSamples are the rows of single operators, in halves.
func opSamples(t *testing.T) []half {
	var list []half
	machines := map[string]*arch.Machine{}
	seen := map[string]int{}
	for _, suite := range []string{"kernels", "tpu", "network"} {
		r := resultOf(t, suite, eval.Event)
		for i := range r.Rows {
			row := &r.Rows[i]
			if !row.usable() || row.Request["op"] == nil {
				continue
			}
			s := opSample(t, row, machines)
			first := row.Fitted
			if row.Source == "nccl_busbw" || strings.HasSuffix(row.Source, "gpt3-layer") { // nothing was fitted on: every second
				seen[s.Device+s.Class]++
				first = seen[s.Device+s.Class]%2 == 1
			}
			list = append(list, half{s, first})
		}
	}
	return list
}

// wholeClass is the class and group of a row of a whole model, "" for others.
func wholeClass(r *Row) string {
	switch {
	case r.Suite == "servers" && strings.HasPrefix(r.Class, "dense") && strings.HasSuffix(r.Class, "tpot"):
		return uncertainty.ServeOf + "dense"
	case r.Suite == "servers" && strings.HasSuffix(r.Class, "tpot"):
		return uncertainty.ServeOf + "experts"
	case r.Suite == "serving" && r.Class == "between_tokens":
		return uncertainty.Between
	case r.Suite == "serving":
		return uncertainty.FirstTok
	case r.Suite == "published" && r.Class == "decode":
		return uncertainty.Decode
	case (r.Suite == "training" || r.Suite == "training-published") && r.Field == "seconds" && r.Unit == "s":
		return uncertainty.Train
	case r.Suite == "power" && r.Class == "average_power":
		return uncertainty.PowerMean
	}
	return ""
}

// wholeSample is a row of a whole model.
func wholeSample(r *Row, class string) uncertainty.Sample {
	s := uncertainty.Sample{Device: uncertainty.ChipOf(r.Arch), Class: class, Runtime: r.Ran, Whole: class != uncertainty.PowerMean, Log: r.log()}
	number := func(name string) int64 {
		switch v := r.Request[name].(type) {
		case int64:
			return v
		case int:
			return int64(v)
		}
		return 0
	}
	chips := int64(1)
	if p, ok := r.Request["parallel"].(Fields); ok {
		for _, name := range []string{"tp", "pp", "dp", "cp", "attn_dp"} {
			if v, ok := p[name].(int64); ok {
				chips *= max(v, 1)
			}
		}
	}
	s.Dims = []uncertainty.Dim{{Name: "chips", Value: chips}}
	if class == uncertainty.Train {
		s.Group = s.Device + " " + r.Source
		return s
	}
	for _, of := range [][2]string{{"batch", "batch"}, {"prompt", "prompt"}, {"past_len", "prompt"}, {"generate", "generate"}} {
		if v := number(of[0]); v > 0 {
			s.Dims = append(s.Dims, uncertainty.Dim{Name: of[1], Value: v})
		}
	}
	if w, ok := r.Request["weight_dtype"].(string); ok {
		s.Formats = []string{w}
	} else if d, ok := r.Request["dtype"].(string); ok {
		s.Formats = []string{d}
	}
	s.Group = s.Device + " " + class + " " + r.Source
	return s
}

// wholeSamples are the rows of whole models, in halves, and the time from first to last token of those that have it in parts.
func wholeSamples(t *testing.T) []half {
	var list []half
	seen := map[string]int{}
	for _, suite := range []string{"published", "training", "training-published", "serving", "servers", "power"} {
		r := resultOf(t, suite, eval.Event)
		for i := range r.Rows {
			row := &r.Rows[i]
			class := wholeClass(row)
			if class == "" || !row.usable() {
				continue
			}
			s := wholeSample(row, class)
			seen[s.Device+s.Class+s.Runtime]++
			first := row.Fitted
			if suite != "serving" && suite != "power" && !strings.HasPrefix(row.Class, "dense") || row.Device == "b200_sxm" {
				first = seen[s.Device+s.Class+s.Runtime]%2 == 1
			}
			list = append(list, half{s, first})
			if class == uncertainty.Between { // the row before is the first token of the same run
				before := &r.Rows[i-1]
				steps := float64(row.Request["generate"].(int64) - 1)
				all := s
				all.Class = uncertainty.Generate
				all.Log = math.Log((before.Measured + steps*row.Measured) / (before.Predicted + steps*row.Predicted))
				list = append(list, half{all, first})
			}
		}
	}
	return list
}

func plain(list []half) []uncertainty.Sample {
	var out []uncertainty.Sample
	for _, h := range list {
		out = append(out, h.Sample)
	}
	return out
}

// heldSamples asks about devices with the fitted constants of their relatives, and about MI210, on which nothing was fitted.
func heldSamples(t *testing.T) []uncertainty.Sample {
	t.Helper()
	dir, err := folder()
	skipWithout(t, err)
	sets := map[string]Fields{}
	for _, of := range relatives {
		sets[of.device] = Fields{"base": of.device, "set": transplanted(t, of.device, of.relative)}
	}
	var list []uncertainty.Sample
	known := map[string]*arch.Machine{}
	for _, suite := range []string{"kernels", "tpu", "network"} {
		s, err := Find(suite)
		if err != nil {
			t.Fatal(err)
		}
		l := newLoaded()
		skipWithout(t, s[0].load(dir, l))
		rows, seen := map[string]int{}, map[string]int{}
		for i := range l.cases {
			rows[l.cases[i].Arch+l.cases[i].Figures[0].Class]++
		}
		var cases []*Case
		for i := range l.cases {
			c := &l.cases[i]
			kind := c.Arch + c.Figures[0].Class
			set := sets[c.Arch]
			if set == nil && c.Arch != "mi210" || c.Request["op"] == nil {
				continue
			}
			if seen[kind]++; rows[kind] > heldEnough && seen[kind]%heldEvery != 1 {
				continue
			}
			of := *c
			of.Request = Fields{}
			for k, v := range c.Request {
				of.Request[k] = v
			}
			if set != nil {
				of.Request["arch"] = set
			}
			cases = append(cases, &of)
		}
		r, err := (&Options{Data: dir, Fidelity: eval.Analytic}).ask(t.Context(), s[0], cases, map[string]int{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Failed {
			t.Errorf("%s:%d %s has no answer: %s", f.Case.File, f.Case.Line, f.Case.Name, f.Why)
		}
		for i := range r.Rows {
			if row := &r.Rows[i]; row.usable() {
				list = append(list, opSample(t, row, known))
			}
		}
	}
	return list
}

// transplanted are the constants of a device that were fitted, with the values that its relative has.
func transplanted(t *testing.T, device, relative string) map[string]string {
	t.Helper()
	constants, _, err := presets.Constants(device)
	if err != nil {
		t.Fatal(err)
	}
	m, err := presets.Machine(relative)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	spec.Walk(m, func(path, text string) { has[path] = text })
	set := map[string]string{}
	for _, c := range constants {
		if v, ok := has[c.Path]; ok && c.Kind == arch.Fitted {
			set[c.Path] = v
		}
	}
	if len(set) == 0 {
		t.Fatalf("%s has no fitted constant that %s has", device, relative)
	}
	return set
}

// composedSuites are those whose models can be put together of operators.
var composedSuites = []string{"published", "serving", "servers"}

// composedCases are rows of whole models, by the kind of runs that they are of.
func composedCases(t *testing.T) map[string][]*Case {
	t.Helper()
	dir, err := folder()
	skipWithout(t, err)
	by := map[string][]*Case{}
	for _, suite := range composedSuites {
		s, err := Find(suite)
		if err != nil {
			t.Fatal(err)
		}
		l := newLoaded()
		skipWithout(t, s[0].load(dir, l))
		seen := map[string]int{}
		for i := range l.cases {
			c := l.cases[i]
			if c.Request["model"] == nil {
				continue
			}
			c.Figures = slices.DeleteFunc(slices.Clone(c.Figures), func(f Figure) bool {
				return wholeClass(&Row{Suite: suite, Case: &c, Figure: f}) == ""
			})
			c.Runtime, c.Derive = "", nil
			k := c.Arch + c.Figures[0].Class + c.Source
			if seen[k]++; suite == "published" || seen[k]%wholeEvery == 1 {
				g := suite + " " + wholeSample(&Row{Suite: suite, Case: &c}, wholeClass(&Row{Suite: suite, Case: &c, Figure: c.Figures[0]})).Group
				by[g] = append(by[g], &c)
			}
		}
	}
	return by
}

// composed asks for cases with intervals that rest on a table, and returns the rows.
func composed(t *testing.T, group string, cases []*Case, table *uncertainty.Table) []Row {
	t.Helper()
	suite, _, _ := strings.Cut(group, " ")
	s, err := Find(suite)
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&Options{Fidelity: eval.Analytic, Validated: table}).ask(t.Context(), s[0], cases, map[string]int{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failed {
		t.Errorf("%s:%d %s has no answer: %s", f.Case.File, f.Case.Line, f.Case.Name, f.Why)
	}
	return r.Rows
}

// kernelMedian is the mean of the medians of an interval's classes by their shares, as a logarithm.
func (r *Row) kernelMedian() float64 {
	basis, _ := r.Interval["basis"].([]any)
	sum, all := 0.0, 0.0
	for _, x := range basis {
		b, _ := x.(map[string]any)
		share, _ := b["share"].(float64)
		bias, _ := b["bias"].(float64)
		sum, all = sum+share*math.Log1p(bias), all+share
	}
	return sum / all
}

// covers reports whether a row's measurement lies in the interval of its figure.
func (r *Row) covers(t *testing.T) bool {
	t.Helper()
	list, _ := r.Interval[r.Field].([]any)
	if len(list) != 2 {
		t.Fatalf("%s: no interval of %s: %v", r.Name, r.Field, r.Interval)
	}
	low, high := list[0].(float64)*r.Scale, list[1].(float64)*r.Scale
	return low <= r.Measured && r.Measured <= high
}

// uncertaintyData is what the table is made of and what it is checked by.
type uncertaintyData struct {
	ops, whole []half
	held       []uncertainty.Sample
	cases      map[string][]*Case              // of whole models that are put together, by kind of runs
	residuals  map[string][]uncertainty.Sample // what they are off from the medians of their kernels
	kernels    []uncertainty.Entry
	entries    []uncertainty.Entry
}

var uncertaintyOnce struct {
	sync.Mutex
	data *uncertaintyData
}

// uncertaintyOf reads everything once.
func uncertaintyOf(t *testing.T) *uncertaintyData {
	t.Helper()
	uncertaintyOnce.Lock()
	defer uncertaintyOnce.Unlock()
	if uncertaintyOnce.data != nil {
		return uncertaintyOnce.data
	}
	if testing.Short() {
		t.Skip("-short: every measured row is compared again")
	}
	d := &uncertaintyData{ops: opSamples(t), whole: wholeSamples(t), held: heldSamples(t), cases: composedCases(t), residuals: map[string][]uncertainty.Sample{}}
	d.kernels = uncertainty.Build(plain(d.ops), d.held)
	for _, group := range slices.Sorted(maps.Keys(d.cases)) {
		rows := composed(t, group, d.cases[group], uncertainty.NewTable(d.kernels))
		for i := range rows {
			row := &rows[i]
			s := wholeSample(row, wholeClass(row))
			s.Class, s.Group, s.Log = uncertainty.Model, group, row.log()-row.kernelMedian()
			d.residuals[group] = append(d.residuals[group], s)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	next := d.nextModels("")
	for _, h := range d.whole {
		if h.Class == uncertainty.Train {
			next = append(next, h.Sample)
		}
	}
	d.entries = slices.Concat(d.kernels, uncertainty.Build(plain(d.whole), next))
	uncertaintyOnce.data = d
	return d
}

// nextModels are the residuals of all kinds of runs but one.
func (d *uncertaintyData) nextModels(without string) []uncertainty.Sample {
	var list []uncertainty.Sample
	for _, group := range slices.Sorted(maps.Keys(d.residuals)) {
		if group != without {
			list = append(list, d.residuals[group]...)
		}
	}
	return list
}

// TestUncertaintyTable: the table that intervals rest on is what the measurements give. With -update it is written anew.
func TestUncertaintyTable(t *testing.T) {
	d := uncertaintyOf(t)
	var b bytes.Buffer
	if err := uncertainty.NewTable(d.entries).Write(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.FromSlash(uncertaintyFile)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(old, b.Bytes()) {
		return
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	x, y := strings.Split(string(old), "\n"), strings.Split(b.String(), "\n")
	for i := range x {
		if i >= len(y) || x[i] != y[i] {
			t.Fatalf("%s:%d is not what the measurements give; go test -update writes it anew\n  %s\n  %s", file, i+1, x[i], y[min(i, len(y)-1)])
		}
	}
	t.Fatalf("%s lacks rows; go test -update writes it anew", file)
}

// tally counts rows and those that lie within.
type tally struct{ rows, within int }

func (c *tally) add(within bool) {
	if c.rows++; within {
		c.within++
	}
}

func (c tally) share() float64 { return float64(c.within) / float64(c.rows) }

// usual is the level that coverage is looked at for.
const usual = 0.9

// halves counts, for each class, the samples of one half that lie in intervals from the other half, both ways.
func halves(samples []half, held []uncertainty.Sample) map[string]*tally {
	by := map[string]*tally{}
	for _, first := range []bool{true, false} {
		var from []uncertainty.Sample
		for _, s := range samples {
			if s.first == first {
				from = append(from, s.Sample)
			}
		}
		table := uncertainty.NewTable(uncertainty.Build(from, held))
		for _, s := range samples {
			runtime := ""
			if s.Whole {
				runtime = s.Runtime
			}
			low, _, high, ok := table.Logs(s.Device, s.Class, runtime, usual)
			if s.first == first || !ok {
				continue
			}
			name := s.Class
			if s.Class == uncertainty.Train {
				name += " " + s.Runtime
			}
			if by[name] == nil {
				by[name] = &tally{}
			}
			by[name].add(low <= s.Log && s.Log <= high)
		}
	}
	return by
}

// nextCovers counts the samples of each group that lie in the interval of the next group, from all others.
func nextCovers(samples []uncertainty.Sample, class func(*uncertainty.Sample) string) map[string]*tally {
	groups := map[string]bool{}
	of := func(s *uncertainty.Sample) string { return cmp.Or(s.Group, s.Device) }
	for i := range samples {
		groups[of(&samples[i])] = true
	}
	by := map[string]*tally{}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		var others []uncertainty.Sample
		for i := range samples {
			if of(&samples[i]) != g {
				others = append(others, samples[i])
			}
		}
		table := uncertainty.NewTable(uncertainty.Build(nil, others))
		for i := range samples {
			s := &samples[i]
			if of(s) != g {
				continue
			}
			low, _, high, ok := table.Logs(uncertainty.HeldOut, s.Class, "", usual)
			if !ok {
				continue
			}
			name := class(s)
			if by[name] == nil {
				by[name] = &tally{}
			}
			by[name].add(low <= s.Log && s.Log <= high)
		}
	}
	return by
}

// composedCovers counts the rows of each kind of runs that lie in intervals put together of operators, with nothing known of
// that kind.
func (d *uncertaintyData) composedCovers(t *testing.T) map[string]*tally {
	by := map[string]*tally{}
	for _, group := range slices.Sorted(maps.Keys(d.cases)) {
		table := uncertainty.NewTable(slices.Concat(d.kernels, uncertainty.Build(nil, d.nextModels(group))))
		rows := composed(t, group, d.cases[group], table)
		for i := range rows {
			if by[group] == nil {
				by[group] = &tally{}
			}
			by[group].add(rows[i].covers(t))
		}
	}
	return by
}

func total(by map[string]*tally) (sum tally) {
	for _, c := range by {
		sum.rows, sum.within = sum.rows+c.rows, sum.within+c.within
	}
	return sum
}

// TestCoverage: an interval of 90 % from one half of the rows covers 85 to 95 % of the other half of each class, and intervals of what comes next cover nine tenths of what was held out, or more: they are wide where little is known.
func TestCoverage(t *testing.T) {
	d := uncertaintyOf(t)
	// A class with few rows on each chip has the outermost of them for its quantiles, which cover more.
	const judged, many = 50, 500 // rows
	for _, by := range []map[string]*tally{halves(d.ops, d.held), halves(d.whole, nil)} {
		for _, name := range slices.Sorted(maps.Keys(by)) {
			c := by[name]
			t.Logf("%-40s %5d rows, %.1f %%", name, c.rows, 100*c.share())
			if c.rows >= judged && c.share() < 0.85 || c.rows >= many && c.share() > 0.95 {
				t.Errorf("%s: %.1f %% of %d rows of the other half", name, 100*c.share(), c.rows)
			}
		}
	}
	for _, of := range []struct {
		name string
		by   map[string]*tally
		low  float64
	}{
		{"held-out devices", nextCovers(d.held, func(s *uncertainty.Sample) string { return s.Class }), 0.85},
		{"training under what was held out", nextCovers(d.trained(), func(s *uncertainty.Sample) string { return s.Group }), 0.85},
		{"models put together", d.composedCovers(t), 0.85},
	} {
		for _, name := range slices.Sorted(maps.Keys(of.by)) {
			c := of.by[name]
			t.Logf("%s: %-50s %5d rows, %.1f %%", of.name, name, c.rows, 100*c.share())
		}
		c := total(of.by)
		t.Logf("%s: %d rows, %.1f %%", of.name, c.rows, 100*c.share())
		if c.share() < of.low || c.rows < 100 {
			t.Errorf("%s: %.1f %% of %d rows", of.name, 100*c.share(), c.rows)
		}
	}
}

// trained are the samples of training.
func (d *uncertaintyData) trained() []uncertainty.Sample {
	var list []uncertainty.Sample
	for _, h := range d.whole {
		if h.Class == uncertainty.Train {
			list = append(list, h.Sample)
		}
	}
	return list
}

// uncertaintyPage is the page with what intervals rest on.
var uncertaintyPage = filepath.Join("..", "..", "docs", "uncertainty.md")

// TestUncertaintyPage: the tables of the page are what is reached. With -update they are written anew.
func TestUncertaintyPage(t *testing.T) {
	d := uncertaintyOf(t)
	text, err := os.ReadFile(uncertaintyPage)
	if err != nil {
		t.Fatal(err)
	}
	fresh := between.ReplaceAllStringFunc(string(text), func(old string) string {
		words := between.FindStringSubmatch(old)[1]
		return "<!-- table " + words + " -->\n\n" + d.documented(t, strings.TrimPrefix(words, "what=")) + "\n<!-- end table -->"
	})
	if fresh == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what is reached; go test -update writes its tables anew", uncertaintyPage)
	}
	if err := os.WriteFile(uncertaintyPage, []byte(fresh), 0o666); err != nil {
		t.Fatal(err)
	}
}

// documented is a table of the page.
func (d *uncertaintyData) documented(t *testing.T, what string) string {
	t.Helper()
	var b strings.Builder
	covered := func(head string, lists ...map[string]*tally) {
		fmt.Fprintf(&b, "| %s | rows | within |\n|---|---:|---:|\n", head)
		all := tally{}
		for _, by := range lists {
			for _, name := range slices.Sorted(maps.Keys(by)) {
				c := by[name]
				fmt.Fprintf(&b, "| %s | %d | %.1f %% |\n", name, c.rows, 100*c.share())
				all.rows, all.within = all.rows+c.rows, all.within+c.within
			}
		}
		fmt.Fprintf(&b, "| **all** | %d | %.1f %% |\n", all.rows, 100*all.share())
	}
	switch what {
	case "halves":
		covered("class", halves(d.ops, d.held), halves(d.whole, nil))
	case "devices":
		covered("class", nextCovers(d.held, func(s *uncertainty.Sample) string { return s.Class }))
	case "models":
		covered("runs", d.composedCovers(t))
	case "training":
		covered("runs", nextCovers(d.trained(), func(s *uncertainty.Sample) string { return s.Group }))
	case "entries":
		b.WriteString("| device | class | profile | rows | bias | 90 % |\n|---|---|---|---:|---:|---:|\n")
		for _, e := range uncertainty.NewTable(d.entries).Entries() {
			rows := fmt.Sprint(e.N)
			if e.Device == uncertainty.HeldOut {
				e.Device, rows = "held out", fmt.Sprintf("%d of %d", e.N, e.Devices)
			}
			percent := func(v float64) string { return fmt.Sprintf("%+.0f %%", 100*math.Expm1(v)) }
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s to %s |\n", e.Device, e.Class, e.Runtime, rows, percent(e.Log[len(e.Log)/2]), percent(e.Log[0]), percent(e.Log[len(e.Log)-1]))
		}
	default:
		t.Fatalf("there is no table %q", what)
	}
	return b.String()
}
