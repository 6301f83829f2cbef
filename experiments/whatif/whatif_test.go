package whatif_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/whatif"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

func machine(t interface{ Fatal(...any) }, name string) *arch.Machine {
	m, err := presets.Machine(name)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	return m
}

// request is a run of a preset model, and its answer.
func request(t interface{ Fatal(...any) }, arch, model string, o experiments.Options) (*eval.Request, *eval.Answer) {
	lm, err := llm.Preset(model)
	if err != nil {
		t.Fatal(err)
	}
	p := experiments.Point{Machine: machine(t, arch), Model: &lm, Options: o}
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return &r, &res.Answer
}

// drawn draws a small run on one of the presets.
func drawn(t *rapid.T, fidelity string) (*eval.Request, *eval.Answer) {
	o := experiments.Options{Fidelity: fidelity, Layers: 1, Batch: rapid.Int64Range(1, 12).Draw(t, "batch"), Prompt: rapid.Int64Range(1, 300).Draw(t, "prompt"),
		TP: rapid.SampledFrom([]int64{1, 1, 2, 4}).Draw(t, "tp"), Phase: rapid.SampledFrom([]string{"prefill", "decode"}).Draw(t, "phase")}
	arch := rapid.SampledFrom([]string{"a100-sxm-80gb", "tpu-v4"}).Draw(t, "arch")
	return request(t, arch, rapid.SampledFrom([]string{"llama2-7b", "gpt3-175b"}).Draw(t, "model"), o)
}

// Leaving something out never makes a run slower, in closed form to the picosecond, and leaving out all is at least as
// fast as leaving out any one. The power limit is off: what it takes goes in steps of the clock.
func TestAblationMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, _ := drawn(t, eval.Analytic)
		m := *r.Machine
		if err := m.Set("power.limit", "1 MW"); err != nil {
			t.Fatal(err)
		}
		r.Machine = &m
		rows, err := whatif.Ablate(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if rows[0].Effect != whatif.Nothing || len(rows) != len(eval.Ideals())+2 {
			t.Fatalf("%+v", rows)
		}
		all := rows[len(rows)-1]
		for _, row := range rows {
			if row.Seconds > rows[0].Seconds || row.Seconds < all.Seconds || row.DeltaSeconds > 0 {
				t.Fatalf("without %s: %g s, the run takes %g s, without all %g s", row.Effect, row.Seconds, rows[0].Seconds, all.Seconds)
			}
			if row.Note != "" && row.DeltaSeconds != 0 {
				t.Fatalf("%+v", row)
			}
		}
	})
}

// For events the table has both fidelities; what is left out of the run already is said so.
func TestAblation(t *testing.T) {
	r, a := request(t, "a100-sxm-80gb", "llama2-7b", experiments.Options{Phase: "decode", Ideal: []string{"launch"}})
	rows, err := whatif.Ablate(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(eval.Ideals()) + 2; len(rows) != 2*n || rows[0].Fidelity != eval.Event || rows[n].Fidelity != eval.Analytic || rows[0].Seconds != a.Seconds {
		t.Fatalf("%+v", rows)
	}
	for _, row := range rows {
		if (row.Note != "") != slices.Contains([]string{"launch", "collectives", "refresh", "power"}, row.Effect) && row.Effect != "power" && row.Effect != "refresh" {
			t.Errorf("%+v", row)
		}
		if !slices.Contains(row.Left, "launch") {
			t.Errorf("%s: left out %q", row.Effect, row.Left)
		}
	}
}

// A change of nothing changes nothing.
func TestByNothing(t *testing.T) {
	r, a := request(t, "a100-sxm-80gb", "llama2-7b", experiments.Options{Phase: "decode"})
	rows, run, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 20 || len(run.NoEffect) != 0 {
		t.Fatalf("%d rows, %d without effect", len(rows), len(run.NoEffect))
	}
	for _, s := range rows {
		if s.LatencyPercent != 0 || s.Elasticity != 0 || s.EnergyPercent != 0 || s.PowerPercent != 0 || s.ChangePercent != 0 || s.Seconds != a.Seconds || s.ChangedTo != s.Value {
			t.Fatalf("%+v", s)
		}
	}
}

// More of a rate gains no more than all of the time in proportion and costs little; a longer latency gains little. The
// plan is chosen anew by a closed form that knows neither sharing nor how a kernel ends, so some may go the other way.
func TestElasticities(t *testing.T) {
	const little = 0.3
	figures := map[string][]whatif.Figure{}
	for _, name := range presets.Names() {
		figures[name] = whatif.Figures(machine(t, name))
	}
	rapid.Check(t, func(t *rapid.T) {
		r, a := drawn(t, rapid.SampledFrom([]string{eval.Event, eval.Analytic}).Draw(t, "fidelity"))
		f := rapid.SampledFrom(figures[r.Machine.Name]).Draw(t, "figure")
		rows, _, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: 0.1, Only: f.Path})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range rows {
			low, high := 0.0, 0.0
			switch s.Kind {
			case "bandwidth", "clock", "rate":
				low = -1
			case "latency":
				high = 1
			default:
				continue
			}
			if s.Elasticity < low-little || s.Elasticity > high+little {
				t.Fatalf("%s: elasticity %g, want %g to %g", s.Path, s.Elasticity, low, high)
			}
		}
	})
}

// With the plan fixed and the power limit off, more of a rate never costs and gains no more than all of the time in
// proportion: in closed form but for rounding, by events within 1 %.
func TestFixedPlan(t *testing.T) {
	figures := map[string][]whatif.Figure{}
	for _, name := range presets.Names() {
		for _, f := range whatif.Figures(machine(t, name)) {
			if slices.Contains([]string{"bandwidth", "clock", "rate"}, f.Kind) {
				figures[name] = append(figures[name], f)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		fidelity := rapid.SampledFrom([]string{eval.Event, eval.Analytic, eval.Analytic}).Draw(t, "fidelity")
		r, _ := drawn(t, fidelity)
		m := *r.Machine
		if err := m.Set("power.limit", "1 MW"); err != nil {
			t.Fatal(err)
		}
		r.Machine = &m
		base, err := eval.Run(context.Background(), *r)
		if err != nil {
			t.Fatal(err)
		}
		f := rapid.SampledFrom(figures[m.Name]).Draw(t, "figure")
		rows, run, err := whatif.Sensitivities(context.Background(), r, &base.Answer, whatif.Options{By: 0.1, Only: f.Path, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		little := 1e-4
		if fidelity == eval.Event {
			little = 0.1 // 1 % of the time for 10 % of the figure
		}
		for _, s := range rows {
			if s.Elasticity < -1-little || s.Elasticity > little {
				t.Fatalf("%s: elasticity %g", s.Path, s.Elasticity)
			}
		}
		if run.Plan != "fixed" || len(rows)+len(run.NoEffect)+len(run.NotUsed)+len(run.Unanswered) == 0 {
			t.Fatalf("%+v", run)
		}
	})
}

// Advice about bandwidth is what the sensitivity to it says with the plan fixed.
func TestAdviceAgrees(t *testing.T) {
	for _, o := range []experiments.Options{{Phase: "decode", Batch: 8}, {Phase: "decode", Fidelity: eval.Analytic}, {Phase: "decode", Batch: 2, TP: 4}} {
		r, _ := request(t, "a100-sxm-80gb", "llama2-7b", o)
		r.Advise = true
		res, err := eval.Run(context.Background(), *r)
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := whatif.Sensitivities(context.Background(), r, &res.Answer, whatif.Options{By: 0.1, Only: "chip.memory[hbm].bandwidth", Fixed: true})
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		i := slices.IndexFunc(res.Advice, func(a eval.Advice) bool { return a.Change == "+10 % HBM bandwidth" })
		if i < 0 {
			t.Fatalf("%+v", res.Advice)
		}
		if got, want := rows[0].Seconds, res.Advice[i].Seconds; math.Abs(got/want-1) > 1e-6 {
			t.Errorf("sensitivity %g s, advice %g s", got, want)
		}
	}
}

// The order of the answers does not depend on how many work on them.
func TestDeterministic(t *testing.T) {
	r, a := request(t, "a100-sxm-80gb", "llama2-7b", experiments.Options{Phase: "prefill", Batch: 2})
	ask := func() string {
		rows, run, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: 0.1, Only: "chip"})
		if err != nil {
			t.Fatal(err)
		}
		table, err := whatif.Ablate(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%+v %+v %+v", rows, *run, table)
	}
	one := ask()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if other := ask(); other != one {
		t.Errorf("%s\n%s", one, other)
	}
}

// Figures of profiles that a run does not use are not tried: here they are, and change nothing.
func TestNotUsed(t *testing.T) {
	r, a := request(t, "a100-sxm-80gb", "llama2-7b", experiments.Options{Phase: "decode", Layers: 1, TP: 2})
	_, run, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: 0.1, Only: "runtime"})
	if err != nil {
		t.Fatal(err)
	}
	if len(run.NotUsed) < 10 {
		t.Fatalf("%q", run.NotUsed)
	}
	for _, f := range whatif.Figures(r.Machine) {
		if !slices.Contains(run.NotUsed, f.Path) {
			continue
		}
		m := *r.Machine
		text := "1 ms"
		switch f.Kind {
		case "bandwidth":
			text = "1 B/cycle"
		case "latency":
			if strings.Contains(f.Value, "cycle") {
				text = "1 cycles"
			}
		case "size":
			text = "1 GB"
		default:
			t.Fatalf("%+v", f)
		}
		if err := m.Set(f.Path, text); err != nil {
			t.Fatal(err)
		}
		q := *r
		q.Machine = &m
		res, err := eval.Run(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		if res.Seconds != a.Seconds || res.Energy.Joules != a.Energy.Joules {
			t.Errorf("%s has an effect", f.Path)
		}
	}
}

// A capacity that no longer holds the model is said to, and a whole number changes by at least one.
func TestLess(t *testing.T) {
	r, a := request(t, "a100-sxm-80gb", "llama2-13b", experiments.Options{Phase: "decode"})
	_, run, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: -0.8, Only: "chip.memory[hbm].capacity"})
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Unanswered) != 1 || run.Unanswered[0].ChangedTo != "16 GiB" || !strings.Contains(run.Unanswered[0].Reason, "fit") {
		t.Errorf("%+v", run.Unanswered)
	}
	// A limit that no clock keeps to is a result of that figure, too.
	_, run, err = whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: -0.8, Only: "power.limit"})
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Unanswered) != 1 || run.Unanswered[0].ChangedTo != "80 W" || !strings.Contains(run.Unanswered[0].Reason, "power limit") {
		t.Errorf("%+v", run.Unanswered)
	}
	rows, _, err := whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: 0.001, Only: "chip.cores.count"})
	if err != nil || len(rows) != 1 || rows[0].ChangedTo != "109" || math.Abs(rows[0].ChangePercent-100.0/108) > 1e-9 {
		t.Errorf("%+v, %v", rows, err)
	}
	_, _, err = whatif.Sensitivities(context.Background(), r, a, whatif.Options{By: 0.1, Only: "chip.memory[hbm].bandwith"})
	if err == nil || !strings.Contains(err.Error(), `did you mean "chip.memory[hbm].bandwidth"?`) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err = whatif.Sensitivities(ctx, r, a, whatif.Options{By: 0.1}); err != context.Canceled {
		t.Error(err)
	}
}

// Every quantity of every preset is a figure, but for energies, prices, areas and the points of the voltage-frequency curve.
// Whoever adds a type of quantity decides in kindOf what it is.
func TestFigures(t *testing.T) {
	ours := reflect.TypeFor[units.Bytes]().PkgPath()
	left := regexp.MustCompile(`^(energy|cost|chip\.area|power\.curve)\b`)
	for _, name := range presets.Names() {
		m := machine(t, name)
		known := map[string]bool{}
		for _, f := range whatif.Figures(m) {
			known[f.Path] = true
		}
		if len(known) < 15 {
			t.Errorf("%s: only %d figures", name, len(known))
		}
		spec.Values(m, func(path string, value any) {
			if reflect.TypeOf(value).PkgPath() == ours && known[path] == left.MatchString(path) {
				t.Errorf("%s: %s is a %T, a figure: %v", name, path, value, known[path])
			}
		})
		for _, path := range []string{"chip.clock", "chip.cores.count", "power.limit"} {
			if !known[path] {
				t.Errorf("%s: %s is no figure", name, path)
			}
		}
	}
}
