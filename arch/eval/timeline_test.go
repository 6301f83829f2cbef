package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

type traceEvent struct {
	Ph, Name, Cat string
	Pid, Tid      int
	Ts, Dur       float64
	Args          map[string]any
}

// drawn runs a request and returns its timeline and the program.
func drawn(t *testing.T, r eval.Request) ([]traceEvent, *eval.Result) {
	t.Helper()
	var b bytes.Buffer
	tl := eval.NewTimeline(&b)
	r.Observer = tl
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := tl.Write(); err != nil {
		t.Fatal(err)
	}
	var file struct {
		TraceEvents []traceEvent `json:"traceEvents"`
	}
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	return file.TraceEvents, res
}

// offChip is the name of a machine's memory off the chip.
func offChip(t *testing.T, machine string) string {
	t.Helper()
	m, err := presets.Machine(machine)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	return m.OffChip().Name
}

func product(t *testing.T, machine string, m, n, k int64) eval.Request {
	t.Helper()
	mach, err := presets.Machine(machine)
	if err != nil {
		t.Fatal(err)
	}
	mach.WriteOut()
	op := traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: m, N: n, K: k, DType: traces.BF16, WeightDType: traces.BF16}
	g := &traces.Graph{Name: "gemm", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}
	return eval.Request{Machine: mach, Graph: g, Mapping: plan.Mapping{Alone: true}}
}

// TestTimelineOfOneProduct: a reader sees loads, computes and stores of tiles overlap, buffers fill and no
// more of them than there are, bandwidth in use below what there is, and where a tile waits for its load.
func TestTimelineOfOneProduct(t *testing.T) {
	for _, machine := range presets.Names() {
		events, res := drawn(t, product(t, machine, 12288, 8192, 4096)) // several waves on every machine
		end := 1e6 * res.Seconds
		var loads, computes, stores []traceEvent
		rates := map[string]float64{}
		for i := range res.Program.Resources {
			rates[res.Program.Resources[i].Name+" [GB/s]"] = float64(res.Program.Resources[i].Rate) / 1e9
		}
		counters, last := map[string]int{}, map[string]float64{}
		for _, e := range events {
			if e.Ph == "X" && e.Ts+e.Dur > end*1.000001 {
				t.Errorf("%s: %s ends at %g us, the run at %g us", machine, e.Name, e.Ts+e.Dur, end)
			}
			switch {
			case e.Ph == "X" && e.Cat == "load":
				loads = append(loads, e)
			case e.Ph == "X" && e.Cat == "compute":
				computes = append(computes, e)
			case e.Ph == "X" && e.Cat == "store":
				stores = append(stores, e)
			case e.Ph == "C":
				if e.Ts < last[e.Name] {
					t.Errorf("%s: counter %s goes back from %g to %g us", machine, e.Name, last[e.Name], e.Ts)
				}
				last[e.Name] = e.Ts
				counters[e.Name]++
				for _, v := range e.Args {
					x := v.(float64)
					// Times are whole picoseconds, of steps that may take less than a microsecond.
					if most, ok := rates[e.Name]; ok && x > most*1.002 {
						t.Errorf("%s: %s is %g at %g us, there are %g", machine, e.Name, x, e.Ts, most)
					}
					if strings.HasPrefix(e.Name, "operands [of ") && (x < 0 || x > float64(e.Name[len("operands [of ")]-'0')) {
						t.Errorf("%s: %s holds %g", machine, e.Name, x)
					}
				}
			}
		}
		overlap := func(a, b []traceEvent) bool {
			for _, x := range a {
				for _, y := range b {
					if x.Ts < y.Ts+y.Dur && y.Ts < x.Ts+x.Dur {
						return true
					}
				}
			}
			return false
		}
		waits := false // a compute step begins at the moment at which a load is done
		for _, c := range computes {
			for _, l := range loads {
				waits = waits || c.Ts == l.Ts+l.Dur
			}
		}
		next := append(slices.Clone(loads), computes...) // of the wave after; its first load may take as long as the store
		if !overlap(loads, computes) || !overlap(stores, next) || !waits {
			t.Errorf("%s: %d loads, %d computes, %d stores; overlaps %t and %t; a tile waits: %t", machine, len(loads), len(computes), len(stores),
				overlap(loads, computes), overlap(stores, next), waits)
		}
		if off := offChip(t, machine); counters[off+" [GB/s]"] < 2 {
			t.Errorf("%s: no bandwidth of %s is drawn: %v", machine, off, counters)
		}
	}
}

// TestTimelineCountsEveryByte: bandwidth in use, summed up over time, is what the operator moves, skipped
// iterations included.
func TestTimelineCountsEveryByte(t *testing.T) {
	for _, machine := range presets.Names() {
		for _, shape := range [][3]int64{{8, 12288, 4096}, {1, 4096, 4096}, {4096, 4096, 4096}, {8192, 8192, 8192}} {
			events, res := drawn(t, product(t, machine, shape[0], shape[1], shape[2]))
			moved, rate, since := map[string]float64{}, map[string]float64{}, map[string]float64{}
			for _, e := range events {
				if e.Ph != "C" || !strings.HasSuffix(e.Name, " [GB/s]") {
					continue
				}
				moved[e.Name] += rate[e.Name] * (e.Ts - since[e.Name]) * 1e3 // GB/s for a microsecond are 1000 bytes
				since[e.Name] = e.Ts
				for _, v := range e.Args {
					rate[e.Name] = v.(float64)
				}
			}
			off := offChip(t, machine)
			tier := slices.IndexFunc(res.Memory, func(m eval.Tier) bool { return m.Tier == off })
			want := float64(res.Memory[tier].ReadBytes + res.Memory[tier].WrittenBytes)
			if got := moved[off+" [GB/s]"]; math.Abs(got-want) > 0.005*want {
				t.Errorf("%s %v: the counter of %s adds up to %.4g bytes, %.4g are moved", machine, shape, off, got, want)
			}
		}
	}
}

// TestTimelineOfAHost: a reader sees what the host does for each kernel and that no kernel runs before it, whether
// loops are skipped or not.
func TestTimelineOfAHost(t *testing.T) {
	machine, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	machine.WriteOut()
	model, err := llm.Preset("gpt2-small")
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Graph(llm.Workload{Phase: "generate", Batch: 2, Prompt: 64, Generate: 2, DType: traces.FP16, WeightDType: traces.FP16, KVDType: traces.FP16, Layers: 3})
	if err != nil {
		t.Fatal(err)
	}
	r := eval.Request{Machine: machine, Graph: g, Mapping: plan.Mapping{Profile: "vllm-2023-eager"}}
	events, res := drawn(t, r)
	launches := func(events []traceEvent) (out []traceEvent) {
		for _, e := range events {
			if e.Ph == "X" && e.Cat == "launch" {
				if names := threads(events); names[[2]int{e.Pid, e.Tid}] == "launches" {
					out = append(out, e)
				}
			}
		}
		return out
	}
	seen := launches(events)
	if res.Host == nil || int64(len(seen)) == 0 || int64(len(seen)) > res.Host.Operators {
		t.Fatalf("%d launches of %+v", len(seen), res.Host)
	}
	i := 0
	for _, e := range events {
		if e.Ph != "X" || threads(events)[[2]int{e.Pid, e.Tid}] != "operators" || e.Cat == plan.HostKind {
			continue
		}
		l := seen[i]
		if e.Name != l.Name || e.Ts < l.Ts+l.Dur-1e-3 {
			t.Fatalf("operator %s at %g, launched as %s until %g", e.Name, e.Ts, l.Name, l.Ts+l.Dur)
		}
		i++
	}
	if i != len(seen) {
		t.Errorf("%d operators, %d launches", i, len(seen))
	}
	r.Exact = true
	played, _ := drawn(t, r)
	exact := launches(played)
	if len(exact) != len(seen) {
		t.Fatalf("exact: %d launches, otherwise %d", len(exact), len(seen))
	}
	for i := range exact {
		if a, b := exact[i], seen[i]; a.Name != b.Name || a.Ts != b.Ts || a.Dur != b.Dur {
			t.Fatalf("exact: %+v, otherwise %+v", a, b)
		}
	}
}

// threads returns the names of the tracks.
func threads(events []traceEvent) map[[2]int]string {
	names := map[[2]int]string{}
	for _, e := range events {
		if e.Ph == "M" && e.Name == "thread_name" {
			names[[2]int{e.Pid, e.Tid}], _ = e.Args["name"].(string)
		}
	}
	return names
}
