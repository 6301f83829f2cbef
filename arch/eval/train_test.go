package eval_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// step is a step of training of a small model on a cluster.
func step(t interface{ Fatal(...any) }, d parallel.Degrees, fidelity string, change func(*eval.Training, *llm.Training)) eval.Request {
	m, err := presets.Machine("dgx-a100-superpod")
	if err != nil {
		t.Fatal(err)
	}
	model, err := llm.Preset("gpt2-xl")
	if err != nil {
		t.Fatal(err)
	}
	d = d.Or1()
	model.Vocab = (model.Vocab + 128*d.TP - 1) / (128 * d.TP) * 128 * d.TP
	s := &eval.Training{Degrees: d, MicroBatch: 2, SeqLen: 512, GlobalBatch: 2 * d.DP * 2 * d.PP, Recompute: eval.RecomputeNone, Hidden: model.Hidden, Vocabulary: model.Vocab}
	w := llm.Training{Batch: 2, SeqLen: 512, DType: traces.BF16, Main: traces.FP32, Contexts: d.CP, Update: eval.UpdateElements}
	if change != nil {
		change(s, &w)
	}
	for _, k := range model.LayerKinds() {
		s.Layers = append(s.Layers, eval.LayerRun{Block: k.Block, Times: k.Times, Shape: parallel.Shape{Hidden: model.Hidden, Heads: model.Heads, KVHeads: model.KVHeads, HeadDim: model.HeadDim, Intermediate: model.FFN, Flash: true}})
	}
	g, err := model.TrainingGraph(w)
	if err != nil {
		t.Fatal(err)
	}
	return eval.Request{Machine: m, Graph: g, Fidelity: fidelity, Mapping: plan.Mapping{TP: d.TP, SP: d.SP, Profile: "megatron-flash", Overfull: true}, Training: s}
}

// TestTrainingAnswer: stalls of every stage sum to the step, MFU counts what the model needs and HFU what was executed, energy is that of
// all chips, and both fidelities agree on what was done.
func TestTrainingAnswer(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tp := rapid.SampledFrom([]int64{1, 5}).Draw(rt, "tp") // of 25 heads
		d := parallel.Degrees{TP: tp, PP: rapid.SampledFrom([]int64{1, 2, 5}).Draw(rt, "pp"), DP: rapid.SampledFrom([]int64{1, 2, 16}).Draw(rt, "dp"), CP: rapid.SampledFrom([]int64{1, 2}).Draw(rt, "cp"), SP: tp > 1 && rapid.Bool().Draw(rt, "sp")}
		zero := rapid.Int64Range(0, 3).Draw(rt, "zero")
		share := rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(rt, "recomputed")
		var answers []*eval.Result
		for _, fidelity := range []string{eval.Analytic, eval.Event} {
			r := step(rt, d, fidelity, func(s *eval.Training, _ *llm.Training) {
				s.ZeRO = zero
				if s.Recomputed = share; share > 0 {
					s.Recompute = eval.RecomputeFull
				}
			})
			res, err := eval.Run(context.Background(), r)
			if err != nil {
				rt.Fatal(err)
			}
			a := &res.Answer
			for _, st := range append([]eval.Stage{{Stalls: a.Stalls}}, a.Training.Stages...) {
				var sum float64
				for _, s := range st.Stalls {
					sum += s
				}
				if math.Abs(sum/a.Seconds-1) > 1e-9 {
					rt.Fatalf("stalls of stage %d sum to %v s of %v", st.Stage, sum, a.Seconds)
				}
			}
			if !(a.MFU > 0 && a.MFU < 1 && a.HFU > 0 && a.HFU < 1) || a.FloorSeconds > a.Seconds*(1+1e-9) || a.Energy.Joules <= 0 || *a.BubbleSeconds < 0 {
				rt.Fatalf("MFU %v, HFU %v, floor %v of %v s, %v J, bubble %v", a.MFU, a.HFU, a.FloorSeconds, a.Seconds, a.Energy.Joules, *a.BubbleSeconds)
			}
			if d.PP == 1 && *a.BubbleSeconds > 0.001*a.Seconds {
				rt.Fatalf("a bubble of %v s without a pipeline", *a.BubbleSeconds)
			}
			answers = append(answers, res)
		}
		one, two := answers[0].Answer, answers[1].Answer
		if one.MFU*one.Seconds == 0 || math.Abs(one.HFU*one.Seconds/(two.HFU*two.Seconds)-1) > 1e-9 || one.Training.Parameters != two.Training.Parameters {
			rt.Fatalf("the fidelities do other work: HFU·s %v and %v", one.HFU*one.Seconds, two.HFU*two.Seconds)
		}
	})
}

// TestIdealContentionOfTraining: without contention collectives beside kernels take nothing of them, and steps share nothing inside kernels: both
// fidelities then agree to the picosecond. Collectives may be left out alone; one chip has none.
func TestIdealContentionOfTraining(t *testing.T) {
	seconds := map[string]float64{}
	for _, fidelity := range []string{eval.Analytic, eval.Event} {
		for _, ideal := range [][]string{nil, {"contention"}, {"collectives"}, {"collectives", "contention"}} {
			r := step(t, parallel.Degrees{DP: 8}, fidelity, func(s *eval.Training, _ *llm.Training) { s.ZeRO = 3 })
			r.Ideal = ideal
			res, err := eval.Run(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			seconds[fidelity+strings.Join(ideal, " ")] = res.Seconds
		}
	}
	if a, e := seconds["analyticcontention"], seconds["eventcontention"]; a != e {
		t.Errorf("without contention %g s in closed form, %g s played", a, e)
	}
	with, without := seconds["event"], seconds["eventcollectives"]
	if with < 1.05*without {
		t.Errorf("%g s with collectives beside kernels, %g s without: weights that are gathered must cost these a twentieth", with, without)
	}
	if none := seconds["eventcontention"]; without <= none || seconds["eventcollectives contention"] != none {
		t.Errorf("%g s without what collectives take, %g s without what kernels' own streams cost as well, %g s when asked for both", without, none, seconds["eventcollectives contention"])
	}
	for _, chips := range []int64{1, 8} {
		r := step(t, parallel.Degrees{DP: chips}, eval.Analytic, nil)
		r.Ideal = []string{"collectives"}
		res, err := eval.Run(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if said := slices.ContainsFunc(res.Notes, func(n string) bool { return strings.HasPrefix(n, "ideal collectives leaves nothing out: ") }); said != (chips == 1) {
			t.Errorf("%d chips: %q", chips, res.Notes)
		}
	}
}

// TestTrainingTrends: more recomputation takes longer and holds less, a slow chip makes all wait, and what nobody would call feasible is
// refused with what it needs.
func TestTrainingTrends(t *testing.T) {
	run := func(d parallel.Degrees, change func(*eval.Training, *llm.Training)) *eval.Result {
		t.Helper()
		res, err := eval.Run(context.Background(), step(t, d, eval.Analytic, change))
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	d := parallel.Degrees{TP: 5, PP: 2, DP: 4}
	none := run(d, nil)
	full := run(d, func(s *eval.Training, _ *llm.Training) { s.Recompute, s.Recomputed = eval.RecomputeFull, 1 })
	if full.Seconds <= none.Seconds || full.Footprint.ActivationBytes >= none.Footprint.ActivationBytes || math.Abs(full.MFU*full.Seconds-none.MFU*none.Seconds) > 1e-9 {
		t.Errorf("computed again: %v s and %d B, kept: %v s and %d B", full.Seconds, full.Footprint.ActivationBytes, none.Seconds, none.Footprint.ActivationBytes)
	}
	slow := run(d, func(s *eval.Training, _ *llm.Training) { s.Faults = []parallel.Fault{{Rank: 7, Slow: 2}} })
	if slow.Seconds < 1.2*none.Seconds || len(slow.Training.Stages) <= len(none.Training.Stages) {
		t.Errorf("a chip of half the speed: %v s, else %v s", slow.Seconds, none.Seconds)
	}
	even := run(d, func(s *eval.Training, _ *llm.Training) { s.Even = true })
	if f := none.Training.StragglerFactor; f <= 1 || even.Training.StragglerFactor != 1 || even.Seconds >= none.Seconds {
		t.Errorf("stragglers of %v: %v s, none: %v s", f, none.Seconds, even.Seconds)
	}
	link := func(r *eval.Result) float64 { return r.Stalls.Of(sim.Link) / r.Seconds }
	if alone := run(parallel.Degrees{}, nil); link(alone) != 0 {
		t.Errorf("one chip waits for links for %v of its time", link(alone))
	}
	_, err := eval.Run(context.Background(), step(t, parallel.Degrees{}, eval.Analytic, func(s *eval.Training, w *llm.Training) {
		s.MicroBatch, w.Batch, s.GlobalBatch = 512, 512, 512
	}))
	var full2 *plan.DoesNotFit
	if !errors.As(err, &full2) || full2.Total() <= full2.Capacity || len(full2.Needs) < 4 {
		t.Errorf("512 sequences on a chip: %v", err)
	}
}

// TestZeroBubbleOverlap: what a tensor group exchanges has only the gradients of inputs to run beside where those of weights are slots
// of their own: nothing where it runs beside those of weights, as in 1f1b.
func TestZeroBubbleOverlap(t *testing.T) {
	exposed := func(schedule parallel.Schedule, overlap string) float64 {
		t.Helper()
		r := step(t, parallel.Degrees{TP: 5, PP: 2}, eval.Analytic, func(s *eval.Training, _ *llm.Training) { s.Schedule = schedule })
		profile, err := r.Machine.Profile(r.Mapping.Profile)
		if err != nil {
			t.Fatal(err)
		}
		how := *profile.Training
		how.TensorOverlap = overlap
		profile.Training = &how
		res, err := eval.Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		return res.Exposed.TP
	}
	for _, overlap := range []string{"none", "backward"} {
		if got, want := exposed(parallel.ZeroBubble, overlap), exposed(parallel.OneFOneB, "none"); math.Abs(got/want-1) > 0.01 {
			t.Errorf("%s: %v s exposed, without overlap %v s", overlap, got, want)
		}
	}
	if all, one := exposed(parallel.ZeroBubble, "all"), exposed(parallel.OneFOneB, "all"); all < one || all >= exposed(parallel.ZeroBubble, "none") {
		t.Errorf("all: %v s exposed, in 1f1b %v s", all, one)
	}
	if beside := exposed(parallel.OneFOneB, "backward"); beside >= exposed(parallel.OneFOneB, "none") {
		t.Errorf("1f1b: %v s exposed beside gradients of weights", beside)
	}
}

// TestSlowChipDoesTheSame: a slow chip takes longer for its work, and has no more of it.
func TestSlowChipDoesTheSame(t *testing.T) {
	var last *eval.Result
	for _, faults := range [][]parallel.Fault{nil, {{Rank: 0, Slow: 2}}} {
		res, err := eval.Run(context.Background(), step(t, parallel.Degrees{DP: 2}, eval.Analytic, func(s *eval.Training, _ *llm.Training) { s.Faults = faults }))
		if err != nil {
			t.Fatal(err)
		}
		if last != nil {
			for i, op := range res.Operators {
				if was := last.Operators[i]; op.Name != was.Name || op.Calls != was.Calls || op.Ops != was.Ops || op.Bytes != was.Bytes {
					t.Errorf("%s: %d calls, %d operations, %d B; without a slow chip %s: %d, %d, %d", op.Name, op.Calls, op.Ops, op.Bytes, was.Name, was.Calls, was.Ops, was.Bytes)
				}
			}
			for _, part := range []string{"matrix", "vector", "hbm.read"} {
				if is, was := res.Energy.Components[part], last.Energy.Components[part]; was == 0 || math.Abs(is/was-1) > 1e-9 {
					t.Errorf("%s: %v J, without a slow chip %v J", part, is, was)
				}
			}
		}
		last = res
	}
}

// TestFaultsOfTensorGroups: those that do not fill nodes need NICs.
func TestFaultsOfTensorGroups(t *testing.T) {
	run := func(links ...eval.LinkFault) (*eval.Result, error) {
		return eval.Run(context.Background(), step(t, parallel.Degrees{TP: 5, DP: 4}, eval.Analytic, func(s *eval.Training, _ *llm.Training) { s.Links = links }))
	}
	sound, err := run()
	if err != nil {
		t.Fatal(err)
	}
	slow, err := run(eval.LinkFault{Rank: 1, Share: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if got := slow.Exposed.TP / sound.Exposed.TP; got < 9 || got > 11 {
		t.Errorf("a NIC of a tenth: its tensor group communicates for %v times as long", got)
	}
	var invalid *plan.Invalid
	if _, err = run(eval.LinkFault{Rank: 1, Node: true}); !errors.As(err, &invalid) || !strings.Contains(invalid.Message, "its tensor group of 5 ranks needs") {
		t.Errorf("no NICs: %v", err)
	}
}

// TestFaultsOfOneRank: what a rank's fault says of its links already stays where they fail too.
func TestFaultsOfOneRank(t *testing.T) {
	last := 0.0
	for _, links := range [][]eval.LinkFault{nil, {{Rank: 1, Share: 0.9, Inside: true}}} {
		res, err := eval.Run(context.Background(), step(t, parallel.Degrees{TP: 5, DP: 4}, eval.Analytic, func(s *eval.Training, _ *llm.Training) {
			s.Faults, s.Links = []parallel.Fault{{Rank: 1, Links: 4}}, links
		}))
		if err != nil {
			t.Fatal(err)
		}
		if res.Seconds < last {
			t.Errorf("%v s, %v s where the links fail too", last, res.Seconds)
		}
		last = res.Seconds
	}
}

// TestAdviceOfLinks: what faster links would bring is what a machine with such links takes, collectives between nodes among it.
func TestAdviceOfLinks(t *testing.T) {
	for _, d := range []parallel.Degrees{{DP: 16}, {TP: 5, PP: 2}} {
		r := step(t, d, eval.Event, func(s *eval.Training, _ *llm.Training) { s.ZeRO = 1 })
		r.Advise = true
		res, err := eval.Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(res.Advice, func(a eval.Advice) bool { return a.Change == "+10 % bandwidth of links" })
		if i < 0 {
			t.Fatalf("none of links: %+v", res.Advice)
		}
		r.Advise = false
		r.Machine.System.ScaleUp.Bandwidth *= 1.1
		r.Machine.System.ScaleOut.Bandwidth *= 1.1
		faster, err := eval.Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Advice[i].Seconds; math.Abs(got/faster.Seconds-1) > 1e-4 || got > 0.99*res.Seconds {
			t.Errorf("%+v: %v s, with faster links %v s, now %v s", d, got, faster.Seconds, res.Seconds)
		}
	}
}

// TestTiedTable: the table that gpt2-xl's head has in common with its embedding is there once, and once more on the last stage of a
// pipeline, and the update is of as many parameters: h = 1600, 12h² + 13h a layer, 50304 tokens, 1024 positions, a norm of 2h.
func TestTiedTable(t *testing.T) {
	const layer, table, positions, norm = 12*1600*1600 + 13*1600, 50304 * 1600, 1024 * 1600, 2 * 1600
	for _, tt := range []struct {
		pp      int64
		want    []int64
		updates int64 // 23.2, and 12.2 on both stages
	}{
		{1, []int64{48*layer + table + positions + norm}, 23},
		{2, []int64{24*layer + table + positions, 24*layer + table + norm}, 12},
	} {
		res, err := eval.Run(context.Background(), step(t, parallel.Degrees{PP: tt.pp}, eval.Analytic, nil))
		if err != nil {
			t.Fatal(err)
		}
		a := &res.Answer
		if want := int64(1_557_686_400); a.Training.Parameters != want {
			t.Errorf("%d stages: %d parameters are trained, want %d", tt.pp, a.Training.Parameters, want)
		}
		for st, n := range tt.want {
			for _, p := range a.Training.Stages[st].Memory {
				if each := map[string]int64{plan.Weights: 2, plan.Gradients: 4, plan.Optimizer: 12}[p.Class]; each > 0 && p.Bytes != each*n {
					t.Errorf("stage %d of %d: %s of %d B, want %d for each of %d", st, tt.pp, p.Class, p.Bytes, each, n)
				}
			}
		}
		for i := range a.Operators {
			if op := &a.Operators[i]; op.Name == "adam" && op.Calls != tt.updates {
				t.Errorf("%d stages: the update is of %d times %d, want %d", tt.pp, op.Calls, eval.UpdateElements, tt.updates)
			}
		}
	}
}
