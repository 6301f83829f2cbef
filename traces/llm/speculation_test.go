package llm

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/traces"
)

// TestPerRound: the expected tokens of a round against Leviathan et al., ICML 2023, equation 1.
func TestPerRound(t *testing.T) {
	for _, c := range []struct {
		acceptance string
		tokens     int64
		want       string
	}{{"0", 4, "1"}, {"0.8", 4, "3.3616"}, {"0.5", 1, "1.5"}, {"0.9", 7, "5.6953279"}} {
		s := traces.Speculation{Draft: "d", Tokens: c.tokens, Acceptance: c.acceptance}
		want, _ := new(big.Rat).SetString(c.want)
		if got := s.PerRound(); got.Cmp(want) != 0 {
			t.Errorf("%s, %d: %s, want %s", c.acceptance, c.tokens, got.FloatString(9), c.want)
		}
	}
	s := traces.Speculation{Draft: "d", Tokens: 4, Acceptance: "0.8"}
	// 127/3.3616 = 37.8; 3·3.3616 = 10.08.
	if s.Rounds(127) != 38 || s.Rounds(0) != 0 || s.After(3) != 10 || s.After(0) != 0 {
		t.Error(s.Rounds(127), s.Rounds(0), s.After(3), s.After(0))
	}
}

// TestRoundsOfAGraph: each round is so many steps of the draft model and one pass of the model over one row more for each
// sequence; both models are prefilled; nothing of one is taken for the other's.
func TestRoundsOfAGraph(t *testing.T) {
	m, d := preset(t, "llama2-13b"), preset(t, "llama2-7b")
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.Int64Range(1, 6).Draw(t, "tokens")
		w := Workload{Phase: "generate", Batch: rapid.Int64Range(1, 4).Draw(t, "batch"), Prompt: 20, Generate: rapid.Int64Range(1, 30).Draw(t, "generate"),
			Speculation: &Speculation{Draft: &d, Tokens: k, Acceptance: rapid.SampledFrom([]string{"0", "0.3", "0.75"}).Draw(t, "acceptance")}}
		g, err := m.Graph(w)
		if err != nil {
			t.Fatal(err)
		}
		rounds := g.Speculation.Rounds(w.Generate - 1)
		var drafts, verifies, prefills int64
		for _, r := range g.Runs {
			b := &g.Blocks[r.Block]
			draft := strings.HasPrefix(b.Name, traces.DraftPrefix)
			for _, op := range b.Ops {
				if strings.HasPrefix(op.Name, traces.DraftPrefix) != draft {
					t.Fatal(op.Name)
				}
				if op.Name == "lm_head" && r.Phase == traces.Decode && op.M != w.Batch*(k+1) || op.Name == "draft.lm_head" && op.M != w.Batch {
					t.Fatalf("%s of %d rows", op.Name, op.M)
				}
			}
			switch {
			case r.Phase == traces.Prefill && strings.HasSuffix(b.Name, "layer"):
				prefills++
			case b.Name == "layer":
				verifies++
				if r.Past != w.Prompt+g.Speculation.After(r.Step-1) {
					t.Fatalf("round %d has %d cached", r.Step, r.Past)
				}
			case b.Name == "draft.layer":
				drafts++
			}
		}
		if prefills != 2 || verifies != rounds || drafts != k*rounds {
			t.Fatalf("%d prefills, %d rounds, %d drafts; want %d rounds", prefills, verifies, drafts, rounds)
		}
		var b strings.Builder
		if err := g.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := traces.Read("g", strings.NewReader(b.String()))
		if err != nil || again.Hash() != g.Hash() || *again.Speculation != *g.Speculation {
			t.Fatalf("%v, %+v", err, again)
		}
	})
}

func TestBadSpeculation(t *testing.T) {
	m, d, other := preset(t, "llama2-13b"), preset(t, "llama2-7b"), preset(t, "gpt2-small")
	for _, c := range []struct {
		w    Workload
		want string
	}{
		{Workload{Phase: "prefill", Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "0"}}, "a draft model decodes; the phase is prefill"},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &d, Tokens: 0, Acceptance: "0"}}, "0: must be from 1 to 64"},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "1"}}, `"1": must be a number from 0 to below 1`},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "-0.1"}}, `"-0.1": must be`},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "1/2"}}, `"1/2": must be`},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "1e-9"}}, `"1e-9": must be`},
		{Workload{Phase: "decode", Layers: 1, Speculation: &Speculation{Draft: &d, Tokens: 1, Acceptance: "0"}}, "a model of some layers"},
		{Workload{Phase: "decode", Speculation: &Speculation{Draft: &other, Tokens: 1, Acceptance: "0"}}, "gpt2-small has 50257 tokens, llama2-13b has 32000"},
	} {
		c.w.Batch, c.w.Prompt, c.w.Generate = 1, 10, 0
		if _, err := m.Graph(c.w); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
