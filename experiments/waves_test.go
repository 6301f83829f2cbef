package experiments_test

import (
	"context"
	"math"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim"
)

// wave is Llama 2 13B generating 4 tokens after prompts of 3072 for a batch on an SN40L. A sequence keeps
// 2·40·5120·2 B = 819200 B a token, 2.52 GB, and the weights are 26.0 GB of the 68.7 GB of HBM, so that some
// (68.7 − 26.0)/2.52 = 16.9 sequences have room less the activations: 16 tokens of 3072 for each.
func wave(t *testing.T, batch int64, offload string) *eval.Answer {
	t.Helper()
	m, err := experiments.MachineOf("sn40l", nil)
	if err != nil {
		t.Fatal(err)
	}
	lm, err := experiments.ModelOf("llama2-13b")
	if err != nil {
		t.Fatal(err)
	}
	p := experiments.Point{Machine: m, Model: lm, Options: experiments.Options{Phase: "generate", Batch: batch, Prompt: 3072, Generate: 4, Offload: offload}}
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return &res.Answer
}

// A batch that outgrows the memory takes turns; with a memory below, its cache goes there instead and the time is
// charged to ddr.
func TestWaves(t *testing.T) {
	fits := wave(t, 12, "none")
	if fits.Waves != nil {
		t.Fatalf("a batch of 12 has room, yet: %+v", fits.Waves)
	}
	turns := wave(t, 40, "none")
	w := turns.Waves
	if w == nil || w.AtATime < 13 || w.AtATime > 16 {
		t.Fatalf("%+v", w)
	}
	var all int64
	last := 0.0
	for _, v := range w.Waves {
		all += v.Sequences
		if v.StartSeconds != last || v.TTFTSeconds <= v.StartSeconds || v.EndSeconds <= v.TTFTSeconds {
			t.Errorf("%+v follows %g s", v, last)
		}
		last = v.EndSeconds
	}
	if all != 40 || last != turns.Seconds || len(w.Waves) != int((40+w.AtATime-1)/w.AtATime) {
		t.Errorf("%d sequences in %d waves until %g s of %g", all, len(w.Waves), last, turns.Seconds)
	}
	// A wave by itself takes as long as a batch of its size, and the step is a step up.
	one := wave(t, w.AtATime, "none")
	if got := w.Waves[0].EndSeconds; math.Abs(got/one.Seconds-1) > 1e-9 || one.Waves != nil {
		t.Errorf("the first wave ends at %g s, a batch of its size takes %g s", got, one.Seconds)
	}
	if turns.TokensPerSecond*turns.Seconds != 160 || turns.Stalls.Of(sim.DDR) != 0 {
		t.Errorf("%g tokens, stalls %v", turns.TokensPerSecond*turns.Seconds, turns.Stalls)
	}
	below := wave(t, 40, "")
	if below.Waves != nil || below.Streaming == nil || below.Streaming.StoredBytes == 0 {
		t.Fatalf("with DDR: waves %+v, streaming %+v", below.Waves, below.Streaming)
	}
	var ddr int64
	for _, p := range below.Placement {
		if p.Tier == "ddr" && p.Class == "kv cache" {
			ddr = p.Bytes
		}
	}
	if need := 40.0*819200*3075 + 26.0e9 - 68.7e9; float64(ddr) < need {
		t.Errorf("%d bytes of the cache in DDR, at least %g do not fit", ddr, need)
	}
	if below.Stalls.Of(sim.DDR) < 0.1*below.Seconds {
		t.Errorf("%g of %g s charged to ddr", below.Stalls.Of(sim.DDR), below.Seconds)
	}
}
