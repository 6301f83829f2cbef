package experiments

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/coe"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces/llm"
)

// composition reads a composition of small models.
func composition(t *testing.T, text string) *coe.Composition {
	t.Helper()
	c, err := coe.Read("coe.yaml", []byte(text), func(name string) (*llm.Model, error) {
		m, err := llm.Preset(name)
		return &m, err
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// composed runs a composition on a machine.
func composed(t *testing.T, machine string, o Options, text string, set ...string) (*eval.Answer, error) {
	t.Helper()
	m, err := MachineOf(machine, set)
	if err != nil {
		t.Fatal(err)
	}
	c := composition(t, text)
	p := &Point{Machine: m, Model: c.Kinds[0].Model, Composition: c, Options: o}
	p.Batch = max(p.Batch, c.Batch)
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	return p.Compose(t.Context(), &r, nil)
}

const fewExperts = "experts: [{model: llama2-7b, count: 60}]\nrouter: {model: llama2-7b}\nrequests: 60\nseed: 3\nbatch: 4\nprompt: 64\ngenerate: 4\npopularity: {kind: zipf, exponent: 0.7}\n"

// TestComposition: parts of the latency, stalls and phases add up, both fidelities replay the same hits, and what is copied is misses
// times an expert.
func TestComposition(t *testing.T) {
	hits := ""
	for _, tt := range []struct {
		machine, fidelity, more string
		set                     []string
		cause                   sim.Cause
	}{
		{"sn40l", eval.Analytic, "", nil, sim.DDR},
		{"sn40l", eval.Event, "", nil, sim.DDR},
		{"sn40l", eval.Analytic, "switch: {prefetch: true}\n", nil, sim.DDR},
		{"sn40l", eval.Analytic, "switch: {rate: 100 GB/s, source: there}\n", nil, sim.DDR},
		{"h100-sxm", eval.Analytic, "cache: {experts: 39}\n", nil, sim.Link},
		{"h100-sxm", eval.Analytic, "cache: {experts: 39}\nswitch: {prefetch: true, rate: 64 GB/s, source: there}\n", nil, sim.Link},
		{"h100-sxm", eval.Analytic, "cache: {experts: 39}\n", []string{"system.host.memory.bandwidth=100 GB/s"}, sim.DDR},
	} {
		name := fmt.Sprintf("%s %s %s", tt.machine, tt.fidelity, tt.more)
		a, err := composed(t, tt.machine, Options{TP: 8, Fidelity: tt.fidelity}, fewExperts+tt.more, tt.set...)
		if err != nil {
			t.Fatal(err)
		}
		d := a.Composition
		if d.Hits+d.Misses != d.Runs || d.Misses == 0 || d.Hits == 0 || d.ColdMisses > d.Misses {
			t.Errorf("%s: %+v", name, d)
		}
		// 39 experts fit beside the router on both.
		if h := fmt.Sprint(d.Runs, d.Hits, d.ColdMisses, d.Resident); hits == "" {
			hits = h
		} else if h != hits {
			t.Errorf("%s: runs and hits %s, others have %s", name, h, hits)
		}
		if d.CopiedBytes != d.Misses*d.ExpertBytes {
			t.Errorf("%s: %d bytes copied for %d misses of %d", name, d.CopiedBytes, d.Misses, d.ExpertBytes)
		}
		for _, tier := range a.Memory {
			if tier.Tier == d.From && tier.ReadBytes != d.CopiedBytes/8 {
				t.Errorf("%s: %d bytes read from %s, copied %d", name, tier.ReadBytes, tier.Tier, d.CopiedBytes)
			}
			if tier.Utilization > 1 || tier.PeakBytes > tier.CapacityBytes {
				t.Errorf("%s: %+v", name, tier)
			}
		}
		var stalls, phases, operators, switched float64
		for _, s := range a.Stalls {
			stalls += s
		}
		for _, p := range a.Phases {
			phases += p.Seconds
			if p.Phase == "switch" {
				switched = p.Seconds
			}
		}
		for _, op := range a.Operators {
			operators += op.Seconds
			if op.Name == "switch" && op.Stalls.Of(tt.cause) != switched {
				t.Errorf("%s: switching takes %g s, %v", name, switched, op.Stalls)
			}
		}
		for what, sum := range map[string]float64{"stalls": stalls, "phases": phases, "batches": d.BatchTime.Mean * float64(d.Batches)} {
			if math.Abs(sum/a.Seconds-1) > 1e-9 {
				t.Errorf("%s: %s sum to %g s of %g s", name, what, sum, a.Seconds)
			}
		}
		if operators > a.Seconds*(1+1e-9) || a.FloorSeconds > a.Seconds {
			t.Errorf("%s: operators take %g s, at least %g s, of %g s", name, operators, a.FloorSeconds, a.Seconds)
		}
		parts := d.RouterTime.Mean + d.WaitTime.Mean + d.SwitchTime.Mean + d.PrefillTime.Mean + d.DecodeTime.Mean
		if math.Abs(parts/d.Latency.Mean-1) > 1e-9 || math.Abs((d.Latency.Mean-d.DecodeTime.Mean)/d.TTFT.Mean-1) > 1e-9 {
			t.Errorf("%s: parts sum to %g s, the latency is %g s", name, parts, d.Latency.Mean)
		}
		var joules float64
		for _, j := range a.Energy.Components {
			joules += j
		}
		if math.Abs(joules/a.Energy.Joules-1) > 1e-9 || a.Energy.Joules < a.Power.AverageWatts*a.Seconds*(1-1e-9) || a.Energy.Components["switch"] <= 0 {
			t.Errorf("%s: %+v of %g s at %g W", name, a.Energy, a.Seconds, a.Power.AverageWatts)
		}
	}
}

// TestCompositionPlaces: what fits misses once and then never, prefetch is never slower, and what does not fit says where.
func TestCompositionPlaces(t *testing.T) {
	all := strings.Replace(fewExperts, "count: 60", "count: 30", 1)
	warm, err := composed(t, "sn40l", Options{TP: 8, Fidelity: eval.Analytic}, strings.Replace(all, "zipf, exponent: 0.7", "in-turn", 1)+"warmup: 30\n")
	if err != nil {
		t.Fatal(err)
	}
	if d := warm.Composition; d.Misses != 0 || d.HitRate != 1 || warm.Stalls.Of(sim.DDR) != 0 || d.CopiedBytes != 0 || d.Machines != 1 || d.MachinesInFast != 1 {
		t.Errorf("%+v", d)
	}
	serial, err := composed(t, "sn40l", Options{TP: 8, Fidelity: eval.Analytic}, fewExperts)
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := composed(t, "sn40l", Options{TP: 8, Fidelity: eval.Analytic}, fewExperts+"switch: {prefetch: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	if ahead.Seconds >= serial.Seconds || ahead.Composition.HiddenSeconds <= 0 {
		t.Errorf("%g s with prefetch, %g s without", ahead.Seconds, serial.Seconds)
	}
	// What prefetch brings is foreseen.
	if adv := serial.Advice[0]; adv.Change != "prefetch" || math.Abs(adv.Seconds/ahead.Seconds-1) > 1e-9 {
		t.Errorf("%+v, it takes %g s", adv, ahead.Seconds)
	}
	for _, tt := range []struct{ machine, text, tier, need string }{
		{"sn40l", strings.Replace(fewExperts, "count: 60", "count: 979", 1), "ddr", "experts"},
		{"tpu-v4", strings.Replace(fewExperts, "count: 60", "count: 20", 1), "hbm", "experts"},
		{"sn40l", fewExperts + "cache: {experts: 45}\n", "hbm", "45 experts"},
	} {
		_, err := composed(t, tt.machine, Options{TP: min(8, 4+4*int64(len(tt.machine)%2)), Fidelity: eval.Analytic}, tt.text)
		var unfit *plan.DoesNotFit
		if !errors.As(err, &unfit) || unfit.Tier != tt.tier || unfit.Needs[len(unfit.Needs)-1].What != tt.need || unfit.Total() <= unfit.Capacity {
			t.Errorf("%s: %v, want %s of %s", tt.machine, err, tt.need, tt.tier)
		}
	}
	if _, err := composed(t, "sn40l", Options{TP: 8, Fidelity: eval.Analytic}, fewExperts+"switch: {from: disk}\n"); err == nil || !strings.Contains(err.Error(), `no memory "disk" below hbm (known: ddr)`) {
		t.Error(err)
	}
}

// TestCompositionAgain: the same bytes from the database, on one processor and on more.
func TestCompositionAgain(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "results.db"), store.Options{ModelVersion: eval.Version, Tool: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	m, err := MachineOf("sn40l", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := composition(t, fewExperts)
	p := &Point{Machine: m, Model: c.Kinds[0].Model, Composition: c, Options: Options{TP: 8, Batch: 4}}
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Compose(t.Context(), &r, nil)
	if err != nil {
		t.Fatal(err)
	}
	row, err := Record(p, &r, a, "test")
	if err != nil {
		t.Fatal(err)
	}
	if row.Values["coe_misses"] != a.Composition.Misses || row.Values["coe_latency_p95_seconds"] != a.Composition.Latency.P95 || row.Key != a.Manifest.Key {
		t.Errorf("%v", row.Values["coe_misses"])
	}
	if err := db.Put(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	before := runtime.GOMAXPROCS(1)
	again, err := Rerun(t.Context(), db, row.Key, nil)
	runtime.GOMAXPROCS(before)
	if err != nil || !again.Same() {
		t.Errorf("%+v, %v", again, err)
	}
	// Another seed is another point.
	c.Seed++
	if r, err := p.Request(); err != nil || r.Key() == row.Key {
		t.Error("the same key for another seed", err)
	}
}

// TestMachines: machines that hold experts of several sizes, each whole in one of them.
func TestMachines(t *testing.T) {
	for _, tt := range []struct {
		counts, sizes []int64
		room          int64
		machines      int64
		first         int64 // experts that the first holds
	}{
		{[]int64{850}, []int64{10}, 470, 19, 47}, // 47 in each of 18, 4 in the last
		{[]int64{47}, []int64{10}, 470, 1, 47},
		{[]int64{48}, []int64{10}, 470, 2, 47},
		{[]int64{3, 10}, []int64{1, 4}, 10, 6, 2}, // 2 of 4 in each of 5, then 2 of 1 and the last
		{[]int64{3, 9}, []int64{1, 4}, 10, 5, 2},  // the fifth has one of 4, and room for 3 of 1
		{[]int64{1}, []int64{11}, 10, 0, 0},
	} {
		c := &coe.Composition{}
		for _, n := range tt.counts {
			c.Kinds = append(c.Kinds, coe.Kind{Count: n})
		}
		k := &composer{c: c, expert: tt.sizes}
		if got := k.machines(tt.room); got != tt.machines {
			t.Errorf("%v of %v in %d: %d machines, want %d", tt.counts, tt.sizes, tt.room, got, tt.machines)
		}
		if got := k.held(1, tt.room); got != tt.first {
			t.Errorf("%v of %v in %d: the first holds %d, want %d", tt.counts, tt.sizes, tt.room, got, tt.first)
		}
	}
}

// TestCompositionFrom: of two memories below HBM, experts live in the one that is asked for.
func TestCompositionFrom(t *testing.T) {
	host, err := MachineOf("a100-sxm-80gb", nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := MachineOf("sn40l", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.System.Host = host.System.Host
	for from, want := range map[string]struct {
		cause  sim.Cause
		copied float64 // of an expert, seconds; norms, 0.03 % of it, are on every chip whole
	}{"": {sim.DDR, 13.4768e9 / 1e12}, "ddr": {sim.DDR, 13.4768e9 / 1e12}, "host": {sim.Link, 10e-6 + 13.4768e9/8/24.8e9}} {
		c := composition(t, fewExperts)
		c.From = from
		p := &Point{Machine: m, Model: c.Kinds[0].Model, Composition: c, Options: Options{TP: 8, Batch: 4, Fidelity: eval.Analytic}}
		p.Defaults()
		r, err := p.Request()
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Compose(t.Context(), &r, nil)
		if err != nil {
			t.Fatal(err)
		}
		d := a.Composition
		if math.Abs(d.CopySeconds/want.copied-1) > 1e-3 || math.Abs(d.SwitchTime.Max/want.copied-1) > 1e-3 {
			t.Errorf("from %q: a copy takes %g s, want %g", from, d.CopySeconds, want.copied)
		}
		for _, op := range a.Operators {
			if op.Name == "switch" && op.BoundBy != want.cause.String() {
				t.Errorf("from %q: switching is bound by %s", from, op.BoundBy)
			}
		}
	}
}
