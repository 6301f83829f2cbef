package llm

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

// adapters adds up the weights of a graph's adapters and the operations of their products.
func adapters(g *traces.Graph) (parameters, ops int64) {
	seen := map[string]bool{}
	for _, r := range g.Runs {
		b := &g.Blocks[r.Block]
		for _, op := range b.Ops {
			if !strings.Contains(op.Name, ".lora_") {
				continue
			}
			w := b.Tensors[op.Inputs[1]]
			if !seen[w.Name] {
				seen[w.Name] = true
				parameters += w.Shape[0] * w.Shape[1] * w.Shape[2] * r.Times
			}
			ops += 2 * op.Batch * op.M * op.N * op.K * r.Times * r.Steps()
		}
	}
	return parameters, ops
}

// TestGuanaco: QLoRA's Guanaco 65B has adapters of rank 64 on all linear layers, 0.80 billion parameters
// (Dettmers et al., arXiv 2305.14314): each of 80 layers 64·(4·(8192+8192) + 3·(8192+22016)).
func TestGuanaco(t *testing.T) {
	m := preset(t, "llama1-65b")
	l, err := ParseLoRA("rank=64,base_dtype=nf4-dq")
	if err != nil {
		t.Fatal(err)
	}
	const want = 80 * 64 * (4*(8192+8192) + 3*(8192+22016))
	if got := m.LoRAParameters(l); got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
	g, err := m.Graph(Workload{Phase: "decode", Batch: 1, Prompt: 10, LoRA: l})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := adapters(g); got != want {
		t.Errorf("%d parameters in the graph, want %d", got, want)
	}
}

// TestAdapters: over models, targets and batches, the adapters of a graph have the parameters of the
// closed form each, their products 2 operations for each of them, token and layer (rounded up to whole
// rows for each adapter in use), and the projections add to what they wrote. Merged adapters leave nothing.
func TestAdapters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Preset(rapid.SampledFrom([]string{"llama3-8b", "gpt2-small", "falcon-7b", "palm-8b"}).Draw(t, "model"))
		if err != nil {
			t.Fatal(err)
		}
		l := &LoRA{Rank: rapid.Int64Range(1, 64).Draw(t, "rank"), Adapters: rapid.Int64Range(1, 9).Draw(t, "adapters"),
			Targets: rapid.SliceOfNDistinct(rapid.SampledFrom(LoRATargets()), 0, 7, rapid.ID[string]).Draw(t, "targets")}
		if err := l.Normalize(); err != nil {
			t.Fatal(err)
		}
		if again, err := ParseLoRA(l.String()); err != nil || again.String() != l.String() {
			t.Fatalf("%s: %v, %v", l, again, err)
		}
		w := Workload{Phase: "decode", Batch: rapid.Int64Range(1, 20).Draw(t, "batch"), Prompt: 10, LoRA: l}
		each := m.LoRAParameters(l)
		if each == 0 { // none of the projections is one that the model has
			if _, err := m.Graph(w); err == nil {
				t.Fatalf("%s: adapters on nothing are taken", l)
			}
			return
		}
		g, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		parameters, ops := adapters(g)
		groups := min(l.Adapters, w.Batch)
		if parameters != l.Adapters*each {
			t.Fatalf("%d parameters, want %d of %d", parameters, l.Adapters, each)
		}
		if want := 2 * each * groups * ((w.Batch + groups - 1) / groups); ops != want {
			t.Fatalf("%d operations, want %d", ops, want)
		}
		l.Merged, l.Adapters = true, 1
		merged, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		w.LoRA = nil
		plain, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		if merged.Hash() != plain.Hash() || g.Hash() == plain.Hash() {
			t.Fatal("merged adapters are something else than none")
		}
	})
}

// TestAdaptersOfAServer: in a pass that prefills one prompt beside others that are decoded, all of them use their adapters.
func TestAdaptersOfAServer(t *testing.T) {
	m := preset(t, "llama3-8b")
	l, err := ParseLoRA("rank=16,adapters=4,targets=q")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ batch, groups, rows int64 }{{16, 4, 29}, {4, 4, 26}, {3, 3, 34}, {1, 1, 100}} { // (100+15)/4, (100+3)/4, (100+2)/3
		g, err := m.Graph(Workload{Phase: "serve", Batch: c.batch, Prompt: 100, Generate: 32, LoRA: l})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range g.Runs {
			for _, op := range g.Blocks[r.Block].Ops {
				if r.Phase != traces.Prefill || !strings.Contains(op.Name, ".lora_") {
					continue
				}
				if found = true; op.Batch != c.groups || op.M != c.rows {
					t.Errorf("%d in work: %s is %d products of %d rows, want %d of %d", c.batch, op.Name, op.Batch, op.M, c.groups, c.rows)
				}
			}
		}
		if !found {
			t.Errorf("%d in work: no adapters", c.batch)
		}
	}
}

func TestBadAdapters(t *testing.T) {
	for text, want := range map[string]string{
		"":                              `"" is not key=value`,
		"adapters=2":                    "rank is missing",
		"rank=0":                        `rank "0": must be a whole number of at least 1`,
		"rank=70000":                    "rank 70000: must be from 1 to 65536",
		"rank=8,targets=q,w":            `target "w" is unknown`,
		"rank=8,dtype=fp9":              `unknown data type "fp9"`,
		"rank=8,rank=9":                 "rank is given twice",
		"rank=8,alpha=2":                `"alpha" is unknown`,
		"rank=8,merged,adapters=2":      "2 adapters cannot all be merged",
		"rank=8,8":                      `"8" is not key=value`,
		"rank=8,merged=maybe":           `merged "maybe": must be true or false`,
		"rank=8,adapters=many":          `adapters "many": must be a whole number`,
		"rank=8,targets=,base_dtype=f9": `target "" is unknown`,
	} {
		if _, err := ParseLoRA(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	m := preset(t, "gpt2-small")
	l, err := ParseLoRA("rank=8,targets=gate")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Graph(Workload{Phase: "decode", Batch: 1, Prompt: 10, LoRA: l}); err == nil || !strings.Contains(err.Error(), "gpt2-small has none of the projections gate") {
		t.Error(err)
	}
}
