package llm

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

func training(t *testing.T, model string, change func(*Training)) (*Model, *traces.Graph) {
	t.Helper()
	m, err := Preset(model)
	if err != nil {
		t.Fatal(err)
	}
	tr := Training{Batch: 2, SeqLen: 64, DType: traces.BF16, WeightDType: traces.BF16, Main: traces.FP32, Update: 1 << 20}
	if change != nil {
		change(&tr)
	}
	g, err := m.TrainingGraph(tr)
	if err != nil {
		t.Fatalf("%s: %v", model, err)
	}
	return &m, g
}

// products sums the operations of a block's products with weights.
func products(t *testing.T, b *traces.Block) (ops int64) {
	t.Helper()
	for i := range b.Ops {
		if op := &b.Ops[i]; op.Kind == traces.Gemm || op.Kind == traces.MoE {
			w, err := op.Work(0)
			if err != nil {
				t.Fatal(err)
			}
			ops += int64(w.MatrixOps)
		}
	}
	return ops
}

func part(g *traces.Graph, name string) *traces.Block {
	i := slices.IndexFunc(g.Blocks, func(b traces.Block) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return &g.Blocks[i]
}

// TestBackwardIsTwiceForward: the products of a backward pass are twice those of the forward pass, for every decoder that there is; a
// graph is written and read back as it was, and every part runs once.
func TestBackwardIsTwiceForward(t *testing.T) {
	tried := 0
	for _, name := range Presets() {
		m, err := Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind != Decoder {
			if _, err := m.TrainingGraph(Training{Batch: 1, SeqLen: 8}); err == nil || !strings.Contains(err.Error(), "training") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		tried++
		_, g := training(t, name, nil)
		for i := range g.Blocks {
			b := &g.Blocks[i]
			if b.Name == EmbeddingBlock || b.Name == UpdateBlock || strings.HasSuffix(b.Name, AgainSuffix) || strings.HasSuffix(b.Name, BackwardSuffix) {
				continue
			}
			back := part(g, b.Name+BackwardSuffix)
			if back == nil {
				t.Errorf("%s: %s has no backward pass", name, b.Name)
				continue
			}
			if f, w := products(t, b), products(t, back); w != 2*f {
				t.Errorf("%s, %s: %d operations of products, backward %d", name, b.Name, f, w)
			}
		}
		var text strings.Builder
		if err := g.Write(&text); err != nil {
			t.Fatal(err)
		}
		again, err := traces.Read(name, strings.NewReader(text.String()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if g.Hash() != again.Hash() {
			t.Errorf("%s: read back it is another graph", name)
		}
	}
	if tried < 30 {
		t.Errorf("%d decoders", tried)
	}
}

// TestGradientsOfEveryWeight: each weight that is trained gets a gradient, and frozen ones none.
func TestGradientsOfEveryWeight(t *testing.T) {
	made := func(g *traces.Graph) map[string]bool {
		got := map[string]bool{}
		for i := range g.Blocks {
			for _, op := range g.Blocks[i].Ops {
				for _, id := range op.Outputs {
					if tensor := &g.Blocks[i].Tensors[id]; tensor.Role == traces.Gradient {
						got[strings.TrimPrefix(tensor.Name, "d_")] = true
					}
				}
			}
		}
		return got
	}
	_, g := training(t, "llama2-7b", nil)
	got := made(g)
	for _, w := range []string{"token_embedding.weight", "qkv.weight", "out.weight", "gate_up.weight", "down.weight", "lm_head.weight"} {
		if !got[w] {
			t.Errorf("no gradient of %s in %v", w, got)
		}
	}
	l := &LoRA{Rank: 8, Targets: []string{"q", "v"}}
	if err := l.Normalize(); err != nil {
		t.Fatal(err)
	}
	_, g = training(t, "llama2-7b", func(tr *Training) { tr.LoRA = l })
	got = made(g)
	for w := range got {
		if !strings.Contains(w, "lora_") && !strings.HasPrefix(w, "main_") {
			t.Errorf("a gradient of the frozen %s", w)
		}
	}
	if !got["qkv.lora_a.weight"] || !got["qkv.lora_b.weight"] {
		t.Errorf("adapters have %v", got)
	}
}

// TestAccumulationBytes: what adding up the gradient of a weight takes is as published: 10 B a parameter in FP32 by a kernel of its
// own, 6 B in 16 bits, 18 and 8 B where FSDP makes one tensor of a layer's.
func TestAccumulationBytes(t *testing.T) {
	for _, c := range []struct {
		how   string
		main  traces.DType
		bytes int64
	}{{GradientsAdded, traces.FP32, 10}, {GradientsAdded, traces.BF16, 6}, {GradientsFlat, traces.FP32, 18}, {GradientsFlat, traces.BF16, 8}} {
		m, g := training(t, "gpt3-13b", func(tr *Training) { tr.Gradients, tr.Main = c.how, c.main })
		b := part(g, "layer"+BackwardSuffix)
		var bytes, parameters int64
		for i := range b.Ops {
			op := &b.Ops[i]
			switch {
			case op.Kind == traces.Accumulate, strings.HasPrefix(op.Name, "gradients."):
				w, err := op.Work(0)
				if err != nil {
					t.Fatal(err)
				}
				bytes += int64(w.ReadBytes + w.WriteBytes)
			case op.Kind == traces.Gemm && strings.HasSuffix(op.Name, ".dw"):
				parameters += op.M * op.N
			}
		}
		if want := 12 * m.Hidden * m.Hidden; parameters != want {
			t.Fatalf("%d parameters, want 12h² = %d", parameters, want)
		}
		if got := float64(bytes) / float64(parameters); got < float64(c.bytes) || got > 1.001*float64(c.bytes) {
			t.Errorf("%s in %s: %.3f B a parameter, want %d", c.how, c.main, got, c.bytes)
		}
	}
}

// TestAccumulationOfExperts: ranks that share out experts each add up the gradients of their own.
func TestAccumulationOfExperts(t *testing.T) {
	elements := func(ranks int64, how string) (n int64) {
		_, g := training(t, "mixtral-8x7b", func(tr *Training) { tr.Gradients, tr.Main, tr.Experts = how, traces.FP32, ranks })
		for _, op := range part(g, "layer"+BackwardSuffix).Ops {
			if op.Kind == traces.Accumulate && strings.HasPrefix(op.Name, "experts") || op.Kind == traces.Cast && op.Name == "gradients.widen" {
				n += op.Rows * op.Cols
			}
		}
		return n
	}
	const experts = 8 * 3 * 4096 * 14336 // of a layer
	for _, ranks := range []int64{1, 2, 8} {
		if n := elements(ranks, GradientsAdded); n != experts/ranks {
			t.Errorf("%d ranks: %d elements each, want %d", ranks, n, experts/ranks)
		}
		// All in one: less of it by what other ranks have, to a row of the flat tensor.
		if one, n := elements(1, GradientsFlat), elements(ranks, GradientsFlat); one-n < experts-experts/ranks-flatColumns || one-n > experts-experts/ranks+flatColumns {
			t.Errorf("%d ranks: a flat tensor of %d, of one %d", ranks, n, one)
		}
	}
}

// TestContexts: chips that share out a sequence do as much of its attention together as one that has all of it.
func TestContexts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := Preset("llama2-7b")
		cp := rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(t, "contexts")
		seq := cp * rapid.Int64Range(1, 40).Draw(t, "tokens of a chip")
		pairs := func(contexts int64) float64 {
			g, err := m.TrainingGraph(Training{Batch: 1, SeqLen: seq, Contexts: contexts})
			if err != nil {
				t.Fatal(err)
			}
			for _, op := range part(g, "layer").Ops {
				if op.Kind == traces.Attention {
					return float64(op.Visits(0)) * float64(contexts)
				}
			}
			return 0
		}
		one, several := pairs(1), pairs(cp)
		if several < one || several > one+float64(seq*cp) { // half a token of rounding for each query
			t.Fatalf("%v pairs of %d tokens, on %d chips %v", one, seq, cp, several)
		}
	})
}

func TestTrainingInvalid(t *testing.T) {
	m, _ := Preset("llama2-7b")
	for _, c := range []struct {
		t    Training
		want string
	}{
		{Training{Batch: 1, SeqLen: 4, Contexts: 8}, "cp: 8 chips share out 4 tokens"},
		{Training{Batch: 0, SeqLen: 4}, "batch: 0: must be from 1"},
		{Training{Batch: 1, SeqLen: 4, Gradients: "lost"}, `gradients: "lost" is unknown`},
		{Training{Batch: 1, SeqLen: 4, Experts: 2}, "ep: 2 ranks share out experts, and llama2-7b has none"},
	} {
		if _, err := m.TrainingGraph(c.t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
