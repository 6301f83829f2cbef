package plan_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// forward is the forward pass of a preset, with adapters of a rank on all projections if it is not 0.
func forward(t tt, name string, batch, tokens, rank int64, weights traces.DType) *traces.Graph {
	m, err := llm.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	w := llm.Workload{Phase: "prefill", Batch: batch, Prompt: tokens, DType: traces.BF16, WeightDType: weights, KVDType: traces.BF16}
	if rank > 0 {
		w.LoRA = &llm.LoRA{Rank: rank}
		if err := w.LoRA.Normalize(); err != nil {
			t.Fatal(err)
		}
	}
	g, err := m.Graph(w)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// byClass sums up what a placement holds by class.
func byClass(pl *plan.Placement) map[string]units.Bytes {
	by := map[string]units.Bytes{}
	for i := range pl.Items {
		by[pl.Items[i].Class] += pl.Items[i].Total()
	}
	return by
}

// TestTrainingByHand: Llama 2 7B, 6738415616 parameters (model card), one sequence of 512 tokens.
func TestTrainingByHand(t *testing.T) {
	m := preset(t, "a100-sxm-40gb")
	pl, err := plan.PlaceTraining(m, forward(t, "llama2-7b", 1, 512, 0, traces.BF16), plan.Training{Gradient: traces.BF16, State: 8, Recompute: true})
	if err == nil {
		t.Fatal("2 + 2 + 8 B for 6.74 G parameters have room in 40 GiB")
	}
	const params = 6738415616
	got := byClass(pl)
	for class, want := range map[string]units.Bytes{plan.Weights: 2 * params, plan.Gradients: 2 * params, plan.Optimizer: 8 * params,
		plan.Workspace: 512 * 32000 * 6} { // logits
		if got[class] != want {
			t.Errorf("%s: %d B, want %d", class, got[class], want)
		}
	}
	// 32 inputs of 512×4096 in 16 bits, and a layer: at least its gate and up projections and their product.
	if least := units.Bytes(32*512*4096*2 + 512*3*11008*2); got[plan.Activations] < least || got[plan.Activations] > 2*least {
		t.Errorf("activations: %d B, at least %d", got[plan.Activations], least)
	}
	var full *plan.DoesNotFit
	if !errors.As(err, &full) || full.Total() != got[plan.Weights]+got[plan.Gradients]+got[plan.Optimizer]+got[plan.Activations]+got[plan.Workspace] ||
		!strings.Contains(full.Hint, "adapters") {
		t.Errorf("%v", err)
	}
	// Adapters of rank 16 on all projections: 32 layers · 16 · (4·8192 + 3·15104) = 39976960 parameters (as PEFT prints).
	pl, err = plan.PlaceTraining(m, forward(t, "llama2-7b", 1, 512, 16, traces.NF4DQ), plan.Training{AdaptersOnly: true, Gradient: traces.BF16, State: 8, Recompute: true, Paged: true})
	if err != nil {
		t.Fatal(err)
	}
	got = byClass(pl)
	for class, want := range map[string]units.Bytes{plan.Adapters: 2 * 39976960, plan.Gradients: 2 * 39976960, plan.Optimizer: 8 * 39976960,
		plan.Workspace: 512*32000*6 + 2*4096*32000} { // and the head in 16 bits
		if got[class] != want {
			t.Errorf("%s: %d B, want %d", class, got[class], want)
		}
	}
	// 4.127 bits for all but the token table and the norms.
	if narrow, wide := float64(got[plan.Weights]-2*(32000*4096+65*4096)), float64(params-32000*4096-65*4096); narrow/wide*8 < 4.126 || narrow/wide*8 > 4.129 {
		t.Errorf("%g bits a weight", narrow/wide*8)
	}
}

// TestTrainingPlacement: nothing is lost between memories and none holds more than it has; weights stay in the fastest;
// optimizer state goes down before gradients; more memory puts less down; what fits with none below fits with some.
func TestTrainingPlacement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := *a100(t)
		m.Chip.Memory = append(m.Chip.Memory[:0:0], m.Chip.Memory...)
		host := *m.System.Host
		m.System.Host = &host
		off := m.OffChip()
		off.Capacity = units.Bytes(rapid.Int64Range(1<<30, 40<<30).Draw(t, "capacity"))
		host.Memory.Capacity = units.Bytes(8 * rapid.Int64Range(1<<20, 40<<30).Draw(t, "host"))
		rank := rapid.SampledFrom([]int64{0, 8, 64}).Draw(t, "rank")
		weights := rapid.SampledFrom([]traces.DType{traces.BF16, traces.NF4DQ}).Draw(t, "weights")
		how := plan.Training{AdaptersOnly: rank > 0, Gradient: traces.BF16, State: 8, Recompute: rapid.Bool().Draw(t, "recompute"), Paged: rapid.Bool().Draw(t, "paged"),
			Offload: rapid.SampledFrom([]string{plan.OffloadChip, plan.OffloadNone, plan.OffloadHost}).Draw(t, "offload")}
		g := forward(t, rapid.SampledFrom([]string{"gpt2-small", "llama2-7b", "mixtral-8x7b"}).Draw(t, "model"), rapid.Int64Range(1, 4).Draw(t, "batch"), rapid.Int64Range(1, 600).Draw(t, "tokens"), 0, weights)
		if rank > 0 {
			g = forward(t, "llama2-7b", 1, 128, rank, weights)
		}
		pl, err := plan.PlaceTraining(&m, g, how)
		var full *plan.DoesNotFit
		if err != nil && !errors.As(err, &full) {
			t.Fatal(err)
		}
		var items, held units.Bytes
		down := map[string]units.Bytes{}
		for i := range pl.Items {
			it := &pl.Items[i]
			items += it.Total()
			if it.Lower() < 0 || it.Lower() > it.Each {
				t.Fatalf("%s: %d of %d B below", it.Name, it.Lower(), it.Each)
			}
			down[it.Class] += it.Lower() * units.Bytes(it.Layers)
		}
		for i := range pl.Tiers {
			held += pl.Tiers[i].Peak()
			if err == nil && pl.Tiers[i].Peak() > pl.Tiers[i].Capacity {
				t.Errorf("%s holds %d of %d B", pl.Tiers[i].Name, pl.Tiers[i].Peak(), pl.Tiers[i].Capacity)
			}
		}
		if items != held {
			t.Errorf("tensors are %d B, memories hold %d", items, held)
		}
		for class, n := range down {
			switch {
			case class != plan.Gradients && class != plan.Optimizer && n > 0, class == plan.Gradients && n > 0 && how.Offload != plan.OffloadHost:
				t.Errorf("%d B of %s are below", n, class)
			}
		}
		if all := byClass(pl)[plan.Optimizer]; err == nil && down[plan.Gradients] > 0 && down[plan.Optimizer] < all-all/50-1<<20 {
			t.Errorf("%d B of gradients are below, of %d B of optimizer state only %d", down[plan.Gradients], all, down[plan.Optimizer])
		}
		off.Capacity += 1 << 30
		more, err2 := plan.PlaceTraining(&m, g, how)
		if err == nil && err2 != nil {
			t.Errorf("with more memory: %v", err2)
		}
		var lower units.Bytes
		for i := range more.Items {
			lower += more.Items[i].Lower() * units.Bytes(more.Items[i].Layers)
		}
		if before := down[plan.Gradients] + down[plan.Optimizer]; err == nil && lower > before+1<<20 {
			t.Errorf("with more memory %d B are below, with less %d", lower, before)
		}
	})
}
