package plan_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func preset(t testing.TB, name string) *arch.Machine {
	t.Helper()
	m, err := presets.Machine(name)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	return m
}

func model(t testing.TB, name string, w llm.Workload) *traces.Graph {
	t.Helper()
	m, err := llm.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	if w.DType == traces.BF16 {
		w.DType, w.WeightDType, w.KVDType = traces.FP16, traces.FP16, traces.FP16
	}
	g, err := m.Graph(w)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// A T is what both rapid and testing offer.
type tt interface {
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// machine draws a variant of a preset: other rates, sizes and numbers of cores.
func machine(t *rapid.T) *arch.Machine {
	name := rapid.SampledFrom(presets.Names()).Draw(t, "machine")
	m, err := presets.Machine(name)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	f := func(what string) float64 { return rapid.SampledFrom([]float64{0.25, 0.5, 1, 1.7, 4}).Draw(t, what) }
	m.Chip.Clock = units.Hertz(float64(m.Chip.Clock) * f("clock"))
	m.Chip.Cores.Count = max(1, int64(float64(m.Chip.Cores.Count)*f("cores")))
	for i := range m.Chip.Memory {
		tier := &m.Chip.Memory[i]
		tier.Bandwidth *= units.BytesPerSecond(f("bandwidth of " + tier.Name))
		tier.Width *= units.BytesPerCycle(f("width of " + tier.Name))
		if tier.Kind == "sram" {
			tier.Capacity = units.Bytes(float64(tier.Capacity) * f("capacity of "+tier.Name))
		} else {
			tier.Capacity *= 64
		}
	}
	if up := m.System.ScaleUp; up != nil {
		up.Bandwidth *= units.BytesPerSecond(f("link"))
	}
	if rapid.IntRange(0, 2).Draw(t, "on chip") == 0 {
		drawOnChip(t, m)
	}
	drawIntermediates(t, m)
	for i := range m.Runtime.Profiles {
		if h := m.Runtime.Profiles[i].Host; h != nil { // fast ones too, so that launches run ahead of some kernels
			h.Operator = units.Time(float64(h.Operator) * rapid.SampledFrom([]float64{0, 0.01, 0.1, 0.3, 1}).Draw(t, "host"))
		}
	}
	return m
}

// graph draws a small model and a workload for it, in 16 bits or a format that is given.
func graph(t *rapid.T, also ...traces.DType) *traces.Graph {
	m, err := llm.Preset(rapid.SampledFrom([]string{"gpt2-small", "gptj-6b", "llama2-7b", "llama3-8b", "falcon-7b", "palm-8b", "gpt3-2.7b"}).Draw(t, "model"))
	if err != nil {
		t.Fatal(err)
	}
	d := rapid.SampledFrom(append([]traces.DType{traces.BF16, traces.FP16}, also...)).Draw(t, "dtype")
	weights := rapid.SampledFrom([]traces.DType{d, d, traces.FP8, traces.INT8, traces.INT4, traces.INT4G32, traces.MXFP4, traces.NF4DQ}).Draw(t, "weights")
	cache := rapid.SampledFrom([]traces.DType{d, d, traces.FP8, traces.INT4}).Draw(t, "cache")
	var adapters *llm.LoRA
	if rapid.IntRange(0, 3).Draw(t, "adapters") == 0 {
		adapters = &llm.LoRA{Rank: 8, Adapters: 3}
		if err := adapters.Normalize(); err != nil {
			t.Fatal(err)
		}
	}
	g, err := m.Graph(llm.Workload{
		LoRA:   adapters,
		Phase:  rapid.SampledFrom([]string{"prefill", "decode", "generate"}).Draw(t, "phase"),
		Batch:  rapid.Int64Range(1, 9).Draw(t, "batch"),
		Prompt: rapid.Int64Range(1, 700).Draw(t, "prompt"), Generate: rapid.Int64Range(1, 4).Draw(t, "generate"),
		DType: d, WeightDType: weights, KVDType: cache, Layers: rapid.Int64Range(0, 3).Draw(t, "layers"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func mapping(t *rapid.T, m *arch.Machine) plan.Mapping {
	return plan.Mapping{
		TP:       rapid.SampledFrom([]int64{1, 2, 4}).Draw(t, "tp"),
		Profile:  rapid.SampledFrom(m.Runtime.Profiles).Draw(t, "profile").Name,
		HostSync: rapid.Bool().Draw(t, "host sync"),
		Fusion:   rapid.SampledFrom([]string{"", "", "", "all", "none", "gated-mlp", "norm-add,parallel-gemm"}).Draw(t, "fusion"),
	}
}

// planned draws a program as the planner makes them. Mappings that do not divide a model are no
// program and drawn again.
func planned(t *rapid.T) (*arch.Machine, *traces.Graph, plan.Mapping, *plan.Program) {
	m, g := machine(t), graph(t)
	mp := mapping(t, m)
	return m, g, mp, build(t, m, g, mp)
}

// build plans, and skips what tensor parallelism does not divide; anything else that is refused is a failure.
func build(t *rapid.T, m *arch.Machine, g *traces.Graph, mp plan.Mapping) *plan.Program {
	p, err := plan.Build(m, g, mp)
	var invalid *plan.Invalid
	if errors.As(err, &invalid) && invalid.Field == "tp" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func evaluate(t tt, p *plan.Program, exact bool) (a, e *sim.Outcome) {
	a, err := analytic.Evaluate(p, analytic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e, err = event.Evaluate(context.Background(), p, event.Options{Exact: exact}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*sim.Outcome{a, e} {
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
	}
	return a, e
}

// TestPlansHold: what DESIGN calls "what must hold", over random machines, models and mappings.
func TestPlansHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, _, p := planned(t)
		a, e := evaluate(t, p, false)
		if !a.Work.Equal(p.Work()) || !e.Work.Equal(p.Work()) {
			t.Errorf("work: planned %v\nanalytic %v\nevent %v", p.Work(), a.Work, e.Work)
		}
		floor, err := analytic.Floor(p, analytic.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a.Makespan < floor || e.Makespan < floor {
			t.Errorf("floor %v, analytic %v, event %v", floor, a.Makespan, e.Makespan)
		}
		var inOps units.Time
		for i := range e.Ops {
			inOps += e.Ops[i].Time
		}
		if inOps != e.Makespan {
			t.Errorf("operators take %v of a makespan of %v", inOps, e.Makespan)
		}
	})
}

// TestExactAgrees: playing every iteration gives the same answer to the picosecond.
func TestExactAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, _, p := planned(t)
		_, fast := evaluate(t, p, false)
		_, exact := evaluate(t, p, true)
		if fast.Makespan != exact.Makespan || fast.Stalls != exact.Stalls || !fast.Work.Equal(exact.Work) {
			t.Errorf("%v %v\nexact %v %v", fast.Makespan, fast.Stalls, exact.Makespan, exact.Stalls)
		}
		for i := range fast.Ops {
			if fast.Ops[i].Time != exact.Ops[i].Time || fast.Ops[i].Calls != exact.Ops[i].Calls || fast.Ops[i].Stalls != exact.Ops[i].Stalls {
				t.Errorf("operator %s: %+v, exact %+v", p.Ops[i].Name, fast.Ops[i], exact.Ops[i])
			}
		}
	})
}

// TestFasterIsNotSlower: with the plan fixed, a faster resource never slows the closed form, and the
// events by no more than 1 %, which scheduling may cost.
func TestFasterIsNotSlower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, _, p := planned(t)
		r := rapid.SampledFrom(p.Resources).Draw(t, "faster").Name
		by := rapid.SampledFrom([]float64{1.01, 1.5, 10}).Draw(t, "by")
		a, e := evaluate(t, p, false)
		fastA, fastE := evaluate(t, p.Scale(map[string]float64{r: by}), false)
		if fastA.Makespan > a.Makespan {
			t.Errorf("%s ×%g: analytic %v instead of %v", r, by, fastA.Makespan, a.Makespan)
		}
		if float64(fastE.Makespan) > 1.01*float64(e.Makespan) {
			t.Errorf("%s ×%g: event %v instead of %v", r, by, fastE.Makespan, e.Makespan)
		}
	})
}

// counts returns the planned work by counter name.
func counts(p *plan.Program) map[string]int64 {
	m := map[string]int64{}
	for i, n := range p.Work() {
		m[p.Counters[i].Name] = n
	}
	return m
}

// TestMatrixWorkIsTheModels: the matrix operations of a plan are those of the graph, whatever the tiles.
func TestMatrixWorkIsTheModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, g, mp, _ := planned(t)
		mp.TP = 1
		p, err := plan.Build(m, g, mp)
		if err != nil {
			t.Fatal(err)
		}
		var products, masked, full int64
		for i := range g.Runs {
			run := &g.Runs[i]
			for j := range g.Blocks[run.Block].Ops {
				op := &g.Blocks[run.Block].Ops[j]
				w, err := op.Work(run.Past)
				if err != nil {
					t.Fatal(err)
				}
				all, err := op.ModelOps(run.Past)
				if err != nil {
					t.Fatal(err)
				}
				if op.Kind == traces.Attention {
					masked += int64(w.MatrixOps) * run.Times
					full += int64(all) * run.Times
				} else {
					products += int64(w.MatrixOps) * run.Times
				}
			}
		}
		var got int64
		for name, n := range counts(p) {
			if strings.HasPrefix(name, "matrix.") && strings.HasSuffix(name, ".ops") {
				got += n
			}
		}
		profile, err := m.ProfileFor(mp.Profile, mp.HostSync)
		if err == nil && mp.Fusion != "" {
			profile, err = m.Fused(profile, mp.Fusion)
		}
		if err != nil {
			t.Fatal(err)
		}
		if profile, err = m.Fused(m.Resolved(profile), mp.Fusion); err != nil {
			t.Fatal(err)
		}
		// A fused kernel skips what the mask hides, but for tiles that the mask cuts; others skip nothing.
		if fused := profile.Fuses("flash-attention"); fused && got < products+masked || !fused && got != products+full {
			t.Errorf("%d matrix operations; products %d, attention %d masked, %d in full", got, products, masked, full)
		}
	})
}

// TestOneChipIsNoParallelism: tensor parallelism over one chip is none at all.
func TestOneChipIsNoParallelism(t *testing.T) {
	for _, name := range presets.Names() {
		m := preset(t, name)
		g := model(t, "llama2-7b", llm.Workload{Phase: "generate", Batch: 2, Prompt: 100, Generate: 3})
		none, err := plan.Build(m, g, plan.Mapping{Overfull: true})
		if err != nil {
			t.Fatal(err)
		}
		one, err := plan.Build(m, g, plan.Mapping{TP: 1, Overfull: true})
		if err != nil {
			t.Fatal(err)
		}
		if explain(t, none) != explain(t, one) {
			t.Errorf("%s: the plans differ", name)
		}
		for _, r := range one.Resources {
			if r.Name == "link" {
				t.Errorf("%s: one chip has a link", name)
			}
		}
	}
}

func explain(t testing.TB, p *plan.Program) string {
	t.Helper()
	var b strings.Builder
	if err := p.Explain(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWeightsAreReadOnce: a decode step of a batch of one reads every weight and every cached key
// and value once; 13.4 GB and 32·2·4096·2 B a token for Llama 2 7B.
func TestWeightsAreReadOnce(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	g := model(t, "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 1024})
	p, err := plan.Build(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	const embedding = 32000 * 4096 // one row of it is read
	want := float64(2*(6738415616-embedding) + 524288*1025)
	if got := float64(counts(p)["hbm.read"]); got < want || got > 1.005*want {
		t.Errorf("reads %.4g B, weights and cache are %.4g B", got, want)
	}
}

// TestTensorParallelDividesTheWork: n chips do an n-th of the products each and send what a ring
// all-reduce sends, 2(n−1)/n of two activations a layer and the embedding's.
func TestTensorParallelDividesTheWork(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	const batch, hidden, layers = 4, 4096, 32
	w := llm.Workload{Phase: "decode", Batch: batch, Prompt: 512}
	one, err := plan.Build(m, model(t, "llama2-7b", w), plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	four, err := plan.Build(m, model(t, "llama2-7b", w), plan.Mapping{TP: 4})
	if err != nil {
		t.Fatal(err)
	}
	a, b := counts(one)["matrix.fp16.ops"], counts(four)["matrix.fp16.ops"]
	if a != 4*b {
		t.Errorf("one chip does %d operations, each of four %d", a, b)
	}
	all := int64(2*layers+1) * batch * hidden * 2 * 2 * 3 / 4
	head := int64(batch*32000*2) * 3 / 4
	if sent := counts(four)["link.sent"]; sent != all+head {
		t.Errorf("each chip sends %d B, want %d", sent, all+head)
	}
}

// TestRefusals: what cannot be planned says why.
func TestRefusals(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	for _, tc := range []struct {
		name, model string
		w           llm.Workload
		mp          plan.Mapping
		want        string
	}{
		{"heads do not divide on several nodes", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8}, plan.Mapping{TP: 24}, "24 does not divide the"},
		{"heads do not divide", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8}, plan.Mapping{TP: 3}, "3 does not divide the"},
		{"no divisor beyond the node", "gpt2-small", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8}, plan.Mapping{TP: 8}, "8 does not divide the 12 attention heads of attention (try 6 or 12)"},
		{"no such profile", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8}, plan.Mapping{Profile: "eagre"}, "eagre"},
		{"does not fit", "gpt3-175b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8}, plan.Mapping{TP: 2}, "does not fit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := plan.Build(m, model(t, tc.model, tc.w), tc.mp)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	g := model(t, "gpt3-175b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 8})
	var full *plan.DoesNotFit
	if _, err := plan.Build(m, g, plan.Mapping{TP: 1}); !errors.As(err, &full) {
		t.Fatal(err)
	}
	if got, want := full.Needs[0].Bytes, units.Bytes(2*174604259328); got != want {
		t.Errorf("weights %d B, want %d", got, want)
	}
	if _, err := plan.Build(m, g, plan.Mapping{TP: 1, Overfull: true}); err != nil {
		t.Errorf("a plan to look at: %v", err)
	}
}

// TestGemmShapes: products of any shape are planned with all of their operations, every operand is
// moved at least once, and both fidelities time them.
func TestGemmShapes(t *testing.T) {
	machines := map[string]*arch.Machine{}
	for _, name := range presets.Names() {
		machines[name] = preset(t, name)
	}
	for range 10 { // so that each has some twenty
		rapid.Check(t, func(t *rapid.T) {
			m := machines[rapid.SampledFrom(presets.Names()).Draw(t, "machine")]
			dim := rapid.OneOf(rapid.Int64Range(1, 64), rapid.Int64Range(1, 9000), rapid.SampledFrom([]int64{1 << 10, 1 << 14, 1 << 17}))
			op := traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: rapid.Int64Range(1, 40).Draw(t, "batch"),
				M: dim.Draw(t, "m"), N: dim.Draw(t, "n"), K: dim.Draw(t, "k"), DType: traces.BF16, WeightDType: traces.BF16}
			g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}
			p, err := plan.Build(m, g, plan.Mapping{Overfull: true})
			if errors.Is(err, plan.ErrTooLarge) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w, err := op.Work(0)
			if err != nil {
				t.Fatal(err)
			}
			if w.MatrixOps > 3e16 {
				return // longer than may be simulated on the FP32 cores of some
			}
			c := counts(p)
			if n := c["matrix.bf16.ops"] + c["matrix.fp32.ops"]; n != int64(w.MatrixOps) { // in FP32 where operands are not aligned
				t.Errorf("%d operations, want %d", n, w.MatrixOps)
			}
			off := m.OffChip().Name
			if c[off+".read"] < int64(w.ReadBytes+w.WeightBytes) || c[off+".write"] < int64(w.WriteBytes) {
				t.Errorf("moves %d and %d B, operands are %d and %d B", c[off+".read"], c[off+".write"], w.ReadBytes+w.WeightBytes, w.WriteBytes)
			}
			evaluate(t, p, false)
		})
	}
}

func ExampleProgram_Explain() {
	m, _ := presets.Machine("a100-sxm-80gb")
	op := traces.Op{Name: "product", Kind: traces.Gemm, Batch: 1, M: 4096, N: 4096, K: 4096, DType: traces.BF16, WeightDType: traces.BF16}
	g := &traces.Graph{Name: "product", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}
	p, _ := plan.Build(m, g, plan.Mapping{})
	for _, n := range p.Entry.Nodes[0].Body.Nodes[0].Body.Nodes[0].Body.Nodes {
		fmt.Println(n.Name)
	}
	// Output:
	// launch
	// waves of 108 tiles 128x256
	// last wave of 80 tiles 128x256
}
