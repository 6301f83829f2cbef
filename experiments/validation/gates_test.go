package validation

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
)

var update = flag.Bool("update", false, "write the levels that are reached into testdata/gates.csv")

// gatesFile holds every gate: the mean absolute error, in percent, that rows of a kind may have. They are at the level reached,
// rounded up to a tenth of a point, so that accuracy can only improve; go test -update writes them.
const gatesFile = "testdata/gates.csv"

// gateColumns are what rows of a kind have in common.
var gateColumns = []string{"class", "device", "dtype", "source", "half"}

// folder is the folder of measurements beside the project, or "".
func folder() (string, error) { return Folder(os.Getenv("STRATA_DATA")) }

// skipWithout skips a test that compares with measurements if err says that there are none. Measurements that somebody named, or
// that are there and cannot be read, are a failure.
func skipWithout(t *testing.T, err error) {
	t.Helper()
	var none *NoData
	if errors.As(err, &none) && errors.Is(err, fs.ErrNotExist) && os.Getenv("STRATA_DATA") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// results remembers what suites came to, which several tests look at.
var results = struct {
	sync.Mutex
	by map[string]*Result
}{by: map[string]*Result{}}

// resultOf runs a suite, or skips the test if there are no measurements.
func resultOf(t *testing.T, name, fidelity string) *Result {
	t.Helper()
	results.Lock()
	defer results.Unlock()
	key := name + " " + fidelity
	if r := results.by[key]; r != nil {
		return r
	}
	list := []Suite{singleRowSuite()}
	if name != singleRow {
		var err error
		if list, err = Find(name); err != nil {
			t.Fatal(err)
		}
	}
	dir := ""
	if list[0].NeedsData() {
		var err error
		dir, err = folder()
		skipWithout(t, err)
	}
	r, err := Run(t.Context(), list[0], Options{Data: dir, Fidelity: fidelity})
	skipWithout(t, err)
	results.by[key] = r
	return r
}

type gate struct {
	key  []string // suite, fidelity, gateColumns
	mean float64  // percent
}

func readGates(t *testing.T) []gate {
	t.Helper()
	f, err := os.Open(filepath.FromSlash(gatesFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []gate
	for _, row := range rows[1:] {
		n := len(row) - 1
		mean, err := strconv.ParseFloat(row[n], 64)
		if err != nil {
			t.Fatalf("%s: %v", gatesFile, err)
		}
		list = append(list, gate{row[:n], mean})
	}
	return list
}

// gated lists the suites and fidelities that have gates. Of DRAM and kernels both fidelities do.
var gated = []struct{ suite, fidelity string }{
	{"systolic", eval.Event}, {"dram", eval.Event}, {"dram", eval.Analytic}, {"kernels", eval.Event}, {"tpu", eval.Event}, {"network", eval.Event},
	{"published", eval.Event}, {"training", eval.Event}, {"training-published", eval.Event}, {"serving", eval.Event}, {"servers", eval.Event}, {"power", eval.Event},
	{singleRow, eval.Analytic},
}

// TestGates holds every kind of rows to its gate. A kind without a gate fails, and so does a gate without rows: nothing is
// left out unseen.
func TestGates(t *testing.T) {
	known := map[string]float64{}
	for _, g := range readGates(t) {
		known[strings.Join(g.key, ",")] = g.mean
	}
	written := map[string][][]string{} // by suite and fidelity
	for _, s := range gated {
		t.Run(s.suite+" "+s.fidelity, func(t *testing.T) {
			if testing.Short() && (s.suite == "dram" || s.suite == "servers") {
				t.Skip("-short: ", s.suite, " takes long")
			}
			r := resultOf(t, s.suite, s.fidelity)
			seen := map[string]bool{}
			for _, g := range Groups([]*Result{r}, gateColumns, 1) {
				if strings.HasSuffix(g.Keys[0], "_ttft") {
					continue // holds the queues of client and server, for information
				}
				key := append([]string{s.suite, s.fidelity}, g.Keys...)
				name := strings.Join(key, ",")
				seen[name] = true
				reached := max(0, math.Ceil(1000*g.Mean-1e-4)/10) // nothing is 0.1 % for the last bits of a float
				of := s.suite + "," + s.fidelity
				written[of] = append(written[of], append(key, strconv.FormatFloat(reached, 'f', 1, 64)))
				most, ok := known[name]
				switch {
				case *update:
					if ok && reached != most {
						t.Logf("%s: %.1f %% instead of %.1f %%", name, reached, most)
					}
				case !ok:
					t.Errorf("%s: %d rows without a gate, mean error %.1f %%", name, g.N, 100*g.Mean)
				case reached > most:
					w := g.Worst[0]
					t.Errorf("%s: mean error %.2f %% of %d rows, the gate is %.1f %%; worst %+.0f %% %s", name, 100*g.Mean, g.N, most, 100*w.Error(), w.Name)
				}
			}
			if !*update {
				for name := range known {
					if strings.HasPrefix(name, s.suite+","+s.fidelity+",") && !seen[name] {
						t.Errorf("%s: a gate without rows", name)
					}
				}
			}
			for _, f := range r.Failed {
				t.Errorf("%s:%d %s has no answer: %s", f.Case.File, f.Case.Line, f.Case.Name, f.Why)
			}
			for _, l := range r.Left {
				t.Logf("left out: %6d %s", l.Rows, l.Reason)
			}
		})
	}
	if *update && !t.Failed() {
		writeGates(t, written)
	}
}

// writeGates writes gates anew for the suites that ran, and leaves the others as they are.
func writeGates(t *testing.T, ran map[string][][]string) {
	if len(ran) == 0 {
		t.Skip("no measurements to set gates by")
	}
	rows := [][]string{append(append([]string{"suite", "fidelity"}, gateColumns...), "mean_percent")}
	old := readGates(t)
	for _, s := range gated {
		if list := ran[s.suite+","+s.fidelity]; list != nil {
			rows = append(rows, list...)
			continue
		}
		for _, g := range old {
			if g.key[0] == s.suite && g.key[1] == s.fidelity {
				rows = append(rows, append(g.key, strconv.FormatFloat(g.mean, 'f', 1, 64)))
			}
		}
	}
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.FromSlash(gatesFile), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestAnalytic: single kernels are as close in the closed form as in the played one, to 3 points, by device and class.
func TestAnalytic(t *testing.T) {
	for _, suite := range []string{"kernels", "tpu"} {
		by := []string{"class", "device"}
		played := map[string]Group{}
		for _, g := range Groups([]*Result{resultOf(t, suite, eval.Event)}, by, 0) {
			played[strings.Join(g.Keys, ",")] = g
		}
		for _, g := range Groups([]*Result{resultOf(t, suite, eval.Analytic)}, by, 0) {
			name := strings.Join(g.Keys, ",")
			p, ok := played[name]
			if !ok || p.N != g.N {
				t.Errorf("%s: %d rows analytic, %d event", name, g.N, p.N)
			}
			if g.Mean > p.Mean+0.03 {
				t.Errorf("%s: mean error %.1f %% analytic, %.1f %% event", name, 100*g.Mean, 100*p.Mean)
			}
		}
	}
}

// TestLayer: a layer of GPT-3 175B on four A100, eager and timed by the host: the sum of each phase within 10 %, every operator
// but products within 30 %. None of these rows was fitted on.
func TestLayer(t *testing.T) {
	type sum struct{ predicted, measured float64 }
	sums := map[string]*sum{"gpt3_layer_prefill": {}, "gpt3_layer_decode": {}}
	rows := append([]Row{}, resultOf(t, "kernels", eval.Event).Rows...)
	for _, r := range append(rows, resultOf(t, "network", eval.Event).Rows...) {
		phase, _, _ := strings.Cut(r.Name, ".")
		s := sums[phase]
		if s == nil {
			continue
		}
		s.predicted, s.measured = s.predicted+r.Predicted, s.measured+r.Measured
		if r.Class != "host_matmul" && math.Abs(r.Error()) > 0.30 {
			t.Errorf("%s: error %.1f %%, the gate is 30 %%", r.Name, 100*r.Error())
		}
	}
	for phase, s := range sums {
		off := s.predicted/s.measured - 1
		t.Logf("%s: predicted %.1f us, measured %.1f us, %+.1f %%", phase, s.predicted, s.measured, 100*off)
		if !(math.Abs(off) <= 0.10) {
			t.Errorf("sum of %s: error %.1f %%, the gate is 10 %%", phase, 100*off)
		}
	}
}

// singleRow is products with a single row under the profile of GPTQ on A100, whose efficiency was fitted on every second of Vidur's.
const singleRow = "single-row"

func singleRowSuite() Suite {
	return Suite{Name: singleRow, load: func(dir string, l *loaded) error {
		all := newLoaded()
		if err := loadKernelFile(dir, "kernels/vidur_compute.csv", all); err != nil {
			return err
		}
		for _, c := range all.cases {
			op := c.Request["op"].(Fields)
			if c.Arch == "a100-sxm-80gb" && op["kind"] == "gemm" && op["m"] == int64(1) {
				c.Request["framework"] = "gptq"
				delete(c.Request, "kernel")
				l.add(c, singleRow)
			}
		}
		return nil
	}}
}

// TestHostIsNeeded: without the host's terms Splitwise's rows are a quarter and more too fast between tokens, so the gates of
// serving hold because of them.
func TestHostIsNeeded(t *testing.T) {
	dir, err := folder()
	skipWithout(t, err)
	l := newLoaded()
	skipWithout(t, loadServing(dir, l))
	none := map[string]string{}
	for _, term := range []string{"operator", "step", "sequence", "request"} {
		none["runtime.profiles[vllm-2023-eager].host."+term] = "0 us"
	}
	var cases []*Case
	for i := range l.cases {
		c := &l.cases[i]
		c.Request["arch"], c.Request["generate"] = Fields{"base": c.Arch, "set": none}, 2
		c.Figures = c.Figures[1:]
		cases = append(cases, c)
	}
	r, err := (&Options{Data: dir, Fidelity: eval.Analytic}).ask(t.Context(), Suite{Name: "serving"}, cases, map[string]int{})
	if err != nil || len(r.Failed) > 0 {
		t.Fatal(err, r.Failed)
	}
	s := Groups([]*Result{r}, []string{"class"}, 0)[0]
	t.Logf("%d rows, mean error %.1f %%, bias %+.1f %%", s.N, 100*s.Mean, 100*s.Bias)
	if s.Mean < 0.25 || s.Bias > -0.25 {
		t.Errorf("mean error %.1f %%, bias %.1f %%", 100*s.Mean, 100*s.Bias)
	}
}

// TestPublishedIsComplete: every row of gpt-fast's and GPTQ's decoding among the measurements is in the list, for machines and
// models that there are.
func TestPublishedIsComplete(t *testing.T) {
	dir, err := folder()
	skipWithout(t, err)
	list, err := records(dir, "published/published_results.csv")
	skipWithout(t, err)
	rows := 0
	for i := range list {
		r := reading{record: &list[i]}
		id := r.get("id")
		if !strings.HasPrefix(id, "gptfast") && !strings.HasPrefix(id, "gptq-") || r.get("task") != "decode" || r.get("use") == "do-not-gate" {
			continue
		}
		machine, _, _ := strings.Cut(r.get("device"), " ") // "a100-sxm-80gb (330W cap)"
		if machine == "mi250x" {
			t.Logf("left out: %s on %s, which is no preset", r.get("model"), machine)
			continue
		}
		seconds := 1e-3 * r.number("value")
		if r.get("unit") == "tokens/s" {
			seconds = 1 / r.number("value")
		}
		chips := r.integer("n_devices")
		if r.err != nil {
			t.Fatal(r.err)
		}
		rows++
		known := false
		for _, d := range publishedDecode {
			known = known || d.arch == machine && d.model == r.get("model") && d.tp*d.pp == chips && math.Abs(d.seconds/seconds-1) < 1e-9
		}
		if !known {
			t.Errorf("%s: %s on %d %s, %g s a token, is not in the list", id, r.get("model"), chips, machine, seconds)
		}
	}
	if rows < 15 {
		t.Errorf("%d rows", rows)
	}
}

// TestPublishedCPUs: every row of Ampere's among the measurements is in the list, with its rates of decoding and of prompts.
func TestPublishedCPUs(t *testing.T) {
	dir, err := folder()
	skipWithout(t, err)
	list, err := records(dir, "published/published_results.csv")
	skipWithout(t, err)
	rows := 0
	for i := range list {
		r := reading{record: &list[i]}
		if r.get("metric") != "tg_throughput_max" {
			continue
		}
		rows++
		known := false
		for _, b := range publishedCPU {
			known = known || b.id == r.get("id") && b.arch == r.get("device") && strings.HasPrefix(r.get("params"), b.format) && b.decoded == r.number("value") &&
				strings.Contains(r.get("note"), fmt.Sprintf("pp max %g tok/s", b.prompted))
		}
		if r.err != nil || !known {
			t.Errorf("%s: %g tokens/s is not in the list (%v)", r.get("id"), r.number("value"), r.err)
		}
	}
	if rows != 4 {
		t.Errorf("%d rows", rows)
	}
}

// TestShareOut: what the processes of a CPU have comes to the CPU, and their barriers are in proportion to their threads.
func TestShareOut(t *testing.T) {
	whole, err := presets.Machine("ampereone-a192-32")
	if err != nil {
		t.Fatal(err)
	}
	part, err := presets.Machine(whole.Name)
	if err != nil {
		t.Fatal(err)
	}
	shareOut(part, 12)
	if part.Chip.Cores.Count != 16 || math.Abs(12*float64(part.OffChip().Bandwidth)/float64(whole.OffChip().Bandwidth)-1) > 1e-6 || part.PrivateSRAM().Capacity != whole.PrivateSRAM().Capacity ||
		12*part.Runtime.Profiles[0].Launch != whole.Runtime.Profiles[0].Launch {
		t.Errorf("%+v", part.Chip)
	}
}

// TestRooflines: the rooflines here are those that come with the measurements.
func TestRooflines(t *testing.T) {
	dir, err := folder()
	skipWithout(t, err)
	l := newLoaded()
	for _, f := range kernelFiles {
		skipWithout(t, loadKernelFile(dir, "kernels/"+f+".csv", l))
	}
	checked := 0
	lines := map[string][]record{}
	for i := range l.cases {
		c := &l.cases[i]
		if lines[c.File] == nil {
			if lines[c.File], err = records(dir, c.File); err != nil {
				t.Fatal(err)
			}
		}
		text := lines[c.File][c.Line-2].values["roofline_us"]
		if text == "" || c.Device == "Arc-Pro-B60" && c.Figures[0].DType == "fp8" { // where the source has the 16-bit rate for some rows
			continue
		}
		want, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := 1e6 * c.Work.Seconds(); math.Abs(got-want) > 0.01*want+0.006 {
			t.Errorf("%s:%d %s: %g us, the file says %g", c.File, c.Line, c.Name, got, want)
		}
		checked++
	}
	if checked < 15000 {
		t.Errorf("%d rows checked", checked)
	}
}

func TestSummarise(t *testing.T) {
	rows := []*Row{{Predicted: 90, Figure: Figure{Measured: 100}}, {Predicted: 130, Figure: Figure{Measured: 100}}, {Predicted: 100, Figure: Figure{Measured: 100}}}
	s := summarise(rows, 1)
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-12 }
	if s.N != 3 || !near(s.Mean, 0.4/3) || !near(s.Median, 0.1) || !near(s.P90, 0.3) || !near(s.Bias, 0.2/3) || len(s.Worst) != 1 || s.Worst[0] != rows[1] {
		t.Errorf("%+v", s)
	}
	if !math.IsNaN(s.Roofline) || summarise(nil, 1).N != 0 {
		t.Error("an empty summary has figures")
	}
	// Within a published range nothing is off.
	for _, tt := range []struct{ predicted, want float64 }{{8, -0.2}, {10, 0}, {15, 0}, {22, 0.1}} {
		r := Row{Predicted: tt.predicted, Figure: Figure{Measured: 10, High: 20}}
		if !near(r.Error(), tt.want) {
			t.Errorf("%g of 10 to 20: error %g, want %g", tt.predicted, r.Error(), tt.want)
		}
	}
}

// TestOrder: the same rows in the same order, whatever the number of workers.
func TestOrder(t *testing.T) {
	published, err := Find("published")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, workers := range []int{1, 8} {
		r, err := Run(t.Context(), published[0], Options{Fidelity: eval.Analytic, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for i := range r.Rows {
			fmt.Fprintln(&b, r.Rows[i].Name, r.Rows[i].Predicted)
		}
		texts = append(texts, b.String())
	}
	if texts[0] != texts[1] || texts[0] == "" {
		t.Errorf("one worker:\n%s\neight:\n%s", texts[0], texts[1])
	}
}

// FuzzRecords: no text makes the reader of measurements panic, and rows are cases or have an error.
func FuzzRecords(f *testing.F) {
	f.Add("device,op_class,shape,M,N,K,dtype,measured_us\nA100-SXM-80GB,gemm,a,1,2,3,bf16,4\n")
	f.Add("device,op_class,shape,measured_us\nA100-SXM-80GB,moe,T1_H2_I3_k4_E5_tp0_ep0_balanced,1e400\n")
	f.Add("\ufeffdevice\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readRecords(strings.NewReader(text), "f.csv")
		if err != nil {
			return
		}
		for i := range list {
			r := reading{record: &list[i]}
			c, why := r.kernel()
			if r.err == nil && why == "" && (len(c.Figures) != 1 || !(c.Figures[0].Measured > 0)) {
				t.Errorf("case %+v", c)
			}
			r = reading{record: &list[i]}
			r.hostTimed()
		}
	})
}
