package eval

import (
	"context"
	"strings"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
)

// Speculation says what a draft model brings.
type Speculation struct {
	Draft       string `json:"draft"`
	DraftTokens int64  `json:"draft_tokens"`
	// Acceptance is the chance that a drafted token is taken.
	Acceptance float64 `json:"acceptance"`
	// TokensPerRound are expected, and Rounds are run.
	TokensPerRound float64 `json:"tokens_per_round"`
	Rounds         int64   `json:"rounds"`
	// DraftSeconds is the time of the draft model and VerifySeconds that of the model, in all rounds.
	DraftSeconds  float64 `json:"draft_seconds"`
	VerifySeconds float64 `json:"verify_seconds"`
	// PlainTPOTSeconds is the time of a token without a draft model, and Speedup how many times as long it is.
	PlainTPOTSeconds float64 `json:"plain_tpot_seconds,omitempty"`
	Speedup          float64 `json:"speedup,omitempty"`
}

// speculation derives what rounds come to, and returns the tokens of the run. Without rounds all are the prefill's.
func (r *Request) speculation(res *Result, s *traces.Speculation, rounds int64) float64 {
	a, g := &res.Answer, r.Graph
	out := &Speculation{Draft: s.Draft, DraftTokens: s.Tokens, Rounds: rounds}
	accepted, _ := traces.ParseAcceptance(s.Acceptance)
	out.Acceptance, _ = accepted.Float64()
	out.TokensPerRound, _ = s.PerRound().Float64()
	for i := range res.Outcome.Ops {
		op, info := &res.Outcome.Ops[i], &res.Program.Ops[i]
		switch {
		case info.Phase != traces.Decode.String() || info.Kind == plan.HostKind:
		case strings.HasPrefix(info.Name, traces.DraftPrefix):
			out.DraftSeconds += op.Time.Seconds()
		default:
			out.VerifySeconds += op.Time.Seconds()
		}
	}
	tokens := out.TokensPerRound
	if g.Generate > 0 {
		tokens = float64(g.Generate)
	}
	for _, p := range a.Phases {
		if p.Phase != traces.Decode.String() {
			continue
		}
		a.TPOTSeconds = p.Seconds / tokens
		if g.Generate > 0 {
			a.TPOTSeconds = p.Seconds / float64(g.Generate-1)
		}
	}
	a.Speculation = out
	return float64(float64(g.Batch) * tokens)
}

// compares reports whether decoding without a draft model is asked for, to compare with.
func (r *Request) compares() bool { return r.Plain != nil && r.Mapping.Pins.Empty() }

// plain compares with decoding without a draft model.
func (r *Request) plain(ctx context.Context, res *Result) error {
	s := res.Answer.Speculation
	if s == nil || !r.compares() || res.Answer.TPOTSeconds == 0 {
		return nil
	}
	of := *r
	of.Graph, of.Plain, of.Observer, of.Progress, of.Advise = r.Plain, nil, nil, nil, false
	without, err := Run(ctx, of)
	if err != nil {
		return err
	}
	s.PlainTPOTSeconds = without.Answer.TPOTSeconds
	s.Speedup = s.PlainTPOTSeconds / res.Answer.TPOTSeconds
	return nil
}
