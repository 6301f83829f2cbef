package experiments

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces/llm"
)

// speculated runs a point with a draft model.
func speculated(t *testing.T, phase, fidelity, acceptance string, tokens int64) eval.Answer {
	t.Helper()
	return speculatedBy(t, "", phase, fidelity, acceptance, tokens)
}

// speculatedBy is speculated with a runtime profile.
func speculatedBy(t *testing.T, runtime, phase, fidelity, acceptance string, tokens int64) eval.Answer {
	t.Helper()
	machine, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	m, err := llm.Preset("llama2-13b")
	if err != nil {
		t.Fatal(err)
	}
	p := &Point{Machine: machine, Model: &m, Options: Options{Phase: phase, Generate: 24, Runtime: runtime, Fidelity: fidelity, DraftTokens: tokens, Acceptance: acceptance}}
	if acceptance != "" {
		d, err := llm.Preset("llama2-7b")
		if err != nil {
			t.Fatal(err)
		}
		p.Draft = &d
	}
	if phase == "decode" {
		p.Generate = 0
	}
	p.Defaults()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res.Answer
}

// TestMoreAcceptanceIsNeverSlower: over acceptances, tokens a round and both fidelities, a token takes no longer when more
// drafted ones are taken; with none, each token takes so many drafts and a verification, and is slower than
// without a draft model.
func TestMoreAcceptanceIsNeverSlower(t *testing.T) {
	for _, fidelity := range []string{eval.Analytic, eval.Event} {
		plain := speculated(t, "generate", fidelity, "", 0)
		for _, tokens := range []int64{1, 4} {
			last := math.Inf(1)
			for _, acceptance := range []string{"0", "0.25", "0.5", "0.75", "0.95"} {
				a := speculated(t, "generate", fidelity, acceptance, tokens)
				s := a.Speculation
				if a.TPOTSeconds > last {
					t.Errorf("%s, %d tokens, acceptance %s: %g s a token, %g with less", fidelity, tokens, acceptance, a.TPOTSeconds, last)
				}
				last = a.TPOTSeconds
				if s.PlainTPOTSeconds != plain.TPOTSeconds || math.Abs(s.Speedup*a.TPOTSeconds/plain.TPOTSeconds-1) > 1e-12 {
					t.Errorf("speedup %g over %g s, plain %g s", s.Speedup, s.PlainTPOTSeconds, plain.TPOTSeconds)
				}
				if sum := s.DraftSeconds + s.VerifySeconds; math.Abs(sum/(a.TPOTSeconds*23)-1) > 1e-9 {
					t.Errorf("both models take %g s of %g s", sum, a.TPOTSeconds*23)
				}
				if acceptance == "0" && (s.Rounds != 23 || s.TokensPerRound != 1 || s.Speedup >= 1) {
					t.Errorf("nothing accepted: %+v", s)
				}
			}
		}
	}
}

// TestHostIsNeitherModels: what a server's host takes between rounds is time of neither model.
func TestHostIsNeitherModels(t *testing.T) {
	res := speculatedBy(t, "vllm", "generate", eval.Analytic, "0.5", 2)
	var host float64
	for _, op := range res.Operators {
		if op.Phase == "decode" && op.Kind == plan.HostKind {
			host += op.Seconds
		}
	}
	s, decode := res.Speculation, res.Phases[1].Seconds
	if sum := s.DraftSeconds + s.VerifySeconds; host == 0 || math.Abs((sum+host)/decode-1) > 1e-9 {
		t.Errorf("both models %g s and the host %g s of %g s", sum, host, decode)
	}
}

// TestNothingAccepted: a round is a step of the draft model for each drafted token and a pass of the model.
func TestNothingAccepted(t *testing.T) {
	one, three := speculated(t, "decode", eval.Analytic, "0", 1), speculated(t, "decode", eval.Analytic, "0", 3)
	if one.TPOTSeconds != one.Seconds || one.Speculation.TokensPerRound != 1 {
		t.Errorf("%+v", one.Speculation)
	}
	if each := one.Speculation.DraftSeconds; math.Abs(three.Speculation.DraftSeconds/each-3) > 0.01 {
		t.Errorf("three drafts take %g s, one %g s", three.Speculation.DraftSeconds, each)
	}
	if one.Footprint.WeightBytes != 2*(13015864320+6738415616) {
		t.Errorf("%d bytes of weights of both", one.Footprint.WeightBytes)
	}
	if !slices.ContainsFunc(one.Operators, func(o eval.Operator) bool { return o.Name == "draft.qkv" }) {
		t.Error("no operators of the draft model")
	}
}

// TestSpeculationIsStored: a stored point has its draft model.
func TestSpeculationIsStored(t *testing.T) {
	machine, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	m, _ := llm.Preset("llama2-13b")
	d, _ := llm.Preset("llama2-7b")
	p := &Point{Machine: machine, Model: &m, Draft: &d, Options: Options{Phase: "decode", DraftTokens: 3, Acceptance: "0.5"}}
	p.Defaults()
	text, inputs, err := p.Store()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Restore(text, func(hash string) ([]byte, error) {
		i := slices.IndexFunc(inputs, func(in Input) bool { return in.Hash == hash })
		return inputs[i].Content, nil
	})
	if err != nil || again.Draft == nil || again.Draft.Name != "llama2-7b" || again.Acceptance != "0.5" || again.DraftTokens != 3 {
		t.Fatalf("%+v, %v", again, err)
	}
}
