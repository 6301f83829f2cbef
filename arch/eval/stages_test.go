package eval_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces/llm"
)

// TestStages: a pipeline with one batch in flight does the work of one chip and the hand-overs; its chips hold the model
// between them, and those that wait draw what idle chips draw.
func TestStages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := llm.Workload{Phase: rapid.SampledFrom([]string{"prefill", "decode", "generate"}).Draw(rt, "phase"), Batch: rapid.Int64Range(1, 4).Draw(rt, "batch"),
			Prompt: rapid.Int64Range(1, 300).Draw(rt, "prompt"), Layers: rapid.Int64Range(0, 9).Draw(rt, "layers")}
		steps := 1.0
		if w.Phase == "generate" {
			w.Generate = rapid.Int64Range(1, 5).Draw(rt, "generate")
			steps = float64(w.Generate)
		}
		layers := w.Layers
		if layers == 0 {
			layers = 32
		}
		pp := rapid.Int64Range(2, min(8, max(2, layers))).Draw(rt, "pp")
		fidelity := rapid.SampledFrom([]string{eval.Event, eval.Analytic}).Draw(rt, "fidelity")
		r := request(t, "a100-sxm-80gb", "llama2-7b", w, 1)
		r.Fidelity, r.Ideal = fidelity, []string{"power"} // clocks that fall differ by what waits
		one := run(t, r)
		r.Mapping.PP = pp
		if pp > layers {
			_, err := eval.Run(t.Context(), r)
			var invalid *plan.Invalid
			if !errors.As(err, &invalid) || invalid.Field != "pp" {
				rt.Fatalf("%d stages for %d layers: %v", pp, layers, err)
			}
			return
		}
		many := run(t, r)
		if many.Parallel != (eval.Parallel{TP: 1, PP: pp, DP: 1, EP: 1}) {
			rt.Errorf("parallel %+v", many.Parallel)
		}
		// Work is that of one chip and a read and a write of each hand-over: pp−1 of activations and one of tokens a step.
		launches := many.Program.Counted("launches") - one.Program.Counted("launches")
		if want := float64(pp) * steps; float64(launches) != want {
			rt.Errorf("%d hand-overs, want %g", launches, want)
		}
		sent := many.Program.Counted("link.sent")
		tokens := w.Batch * (int64(steps) - 1)
		if w.Phase == "decode" {
			tokens = w.Batch
		} else {
			tokens += w.Batch * w.Prompt
		}
		// 4096 elements of 2 B a token from stage to stage, and 4 B for each sequence back.
		if want := (pp-1)*tokens*4096*2 + w.Batch*4*int64(steps); sent != want {
			rt.Errorf("%d B sent, want %d", sent, want)
		}
		// Each takes at least its latency, and the rest of the run is that of one chip.
		added := many.Seconds - one.Seconds
		if least := 6.7e-6 * float64(pp) * steps; added < least || added > 3*least+4*float64(sent)/222e9 {
			rt.Errorf("hand-overs take %g s, at least %g", added, least)
		}
		// Chips that wait: idle, links, leakage, background and refresh of the memory, each for the whole run.
		waiting := many.Energy.Joules - one.Energy.Joules
		per := 42 + 37 + 10 + 2.6 + 3.3e-6/3.9e-6
		if want := float64(pp-1) * per * many.Seconds; math.Abs(waiting-want) > 0.02*want+many.Energy.Joules*0.05*added/many.Seconds+added*400 {
			rt.Errorf("%d chips that wait use %g J, want %g", pp-1, waiting, want)
		}
		// The fullest chip has no less than its part, and no more than one layer and both ends beyond that.
		most, all := many.Footprint.WeightBytes, one.Footprint.WeightBytes
		layer, ends := int64(404766720), int64(2*262144000) // parameters of a layer and of embedding and head, 2 B each
		if w.Layers > 0 {
			ends = 0
		}
		if most*pp < all || most > all/pp+layer+ends {
			rt.Errorf("the fullest of %d chips holds %d of %d B", pp, most, all)
		}
	})
}

// TestOneStage: a pipeline of one stage is none, to the byte and in the key.
func TestOneStage(t *testing.T) {
	w := llm.Workload{Phase: "decode", Batch: 2, Prompt: 64}
	r := request(t, "a100-sxm-80gb", "llama2-7b", w, 2)
	none := encode(t, run(t, r).Answer)
	r.Mapping.PP = 1
	if one := encode(t, run(t, r).Answer); one != none {
		t.Errorf("no pp: %s\npp 1:  %s", none, one)
	}
}

// TestStagesOfSeveralChips: stages of tensor-parallel groups take the chips of both, and hold a part of a part.
func TestStagesOfSeveralChips(t *testing.T) {
	w := llm.Workload{Phase: "decode", Batch: 1, Prompt: 64, Layers: 8}
	r := request(t, "a100-sxm-80gb", "llama2-7b", w, 2)
	two := run(t, r)
	r.Mapping.PP = 4
	eight := run(t, r)
	if got := two.Footprint.WeightBytes; eight.Footprint.WeightBytes*4 != got {
		t.Errorf("%d B of weights a chip, of %d", eight.Footprint.WeightBytes, got)
	}
	if eight.Cost.USDPerHour != 4*two.Cost.USDPerHour || eight.Power.LimitWatts != 8*400 {
		t.Errorf("%g USD an hour, limit %g W", eight.Cost.USDPerHour, eight.Power.LimitWatts)
	}
	if eight.MFU > two.MFU/4 || eight.Memory[2].ReadBytes > two.Memory[2].ReadBytes/4+1<<20 {
		t.Errorf("mfu %g of %g, %d B read of %d", eight.MFU, two.MFU, eight.Memory[2].ReadBytes, two.Memory[2].ReadBytes)
	}
}

// TestStagesThatAreNotSimulated names what a pipeline does not go with.
func TestStagesThatAreNotSimulated(t *testing.T) {
	for _, c := range []struct {
		machine, model string
		w              llm.Workload
		tp, pp         int64
		hostSync       bool
		want           string
	}{
		{"l40s", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1}, 2, 5, false, "10 chips are asked for"},
		{"a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1}, 1, -1, false, "must be from 1 to"},
		{"a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1}, 1, 2, true, "timed one by one"},
		{"a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "serve", Batch: 1, Prompt: 8, Generate: 8}, 1, 2, false, "a server keeps several batches"},
		{"a100-sxm-80gb", "t5-11b", llm.Workload{Phase: "generate", Batch: 1, Prompt: 8, Generate: 2}, 1, 2, false, "an encoder-decoder"},
	} {
		r := request(t, c.machine, c.model, c.w, c.tp)
		r.Mapping.PP, r.Mapping.HostSync = c.pp, c.hostSync
		_, err := eval.Run(t.Context(), r)
		var invalid *plan.Invalid
		if !errors.As(err, &invalid) || invalid.Field != "pp" || !strings.Contains(invalid.Message, c.want) {
			t.Errorf("%s on %s: %v", c.model, c.machine, err)
		}
	}
}
