package llm

import (
	"fmt"

	"github.com/stratasim/strata/traces"
)

// Speculation is a draft model beside the model, and how many of its tokens are taken; see
// traces.Speculation.
type Speculation struct {
	Draft      *Model
	Tokens     int64
	Acceptance string
	// DType, WeightDType and KVDType are the draft model's, as those of Workload.
	DType, WeightDType, KVDType traces.DType
}

// check reports what is wrong with it or does not go with the workload.
func (s *Speculation) check(w *Workload, m *Model) (errs []error) {
	bad := func(field, hint, format string, args ...any) {
		errs = append(errs, &Invalid{field, fmt.Sprintf(format, args...), hint})
	}
	if w.Phase != "decode" && w.Phase != "generate" {
		bad("draft", "phase decode or generate", "a draft model decodes; the phase is %s", shorten(w.Phase))
	}
	if s.Tokens < 1 || s.Tokens > traces.MaxDraftTokens {
		bad("draft_tokens", "", "%d: must be from 1 to %d", s.Tokens, traces.MaxDraftTokens)
	}
	if _, err := traces.ParseAcceptance(s.Acceptance); err != nil {
		bad("acceptance", "", "%v", err)
	}
	if w.Layers > 0 {
		bad("layers", "leave it out", "a model of some layers has no tokens that could be verified")
	}
	if m.Kind != Decoder || s.Draft.Kind != Decoder {
		bad("draft", "", "drafting is for decoders, and with decoders")
		return errs
	}
	if s.Draft.Vocab > m.Vocab || m.Vocab > 2*s.Draft.Vocab { // tables of one vocabulary differ by padding
		bad("draft", "a draft model needs the vocabulary of the model", "%s has %d tokens, %s has %d", shorten(s.Draft.Name), s.Draft.Vocab, shorten(m.Name), m.Vocab)
	}
	if err := s.Draft.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// speculate appends prefill and rounds of speculative decoding. A round drafts Tokens tokens, each after the ones
// before it, and verifies them in one pass of Tokens+1 rows a sequence, all of which go through the head. After i rounds
// the expected number of tokens is in the cache, rounded down; so many rounds are run as give the tokens asked for,
// rounded up.
func (c *composer) speculate(draft *composer, s *traces.Speculation) {
	w := c.w
	rounds := int64(1)
	if w.Phase == "generate" {
		rounds = s.Rounds(w.Generate - 1) // the prefill gives the first token
		c.prefill()
		draft.prefill()
	}
	if rounds == 0 {
		return
	}
	one := pass{phase: traces.Decode, tokens: w.Batch, qlen: 1}
	guess := draft.stack(one)
	head, _ := c.m.head(w, w.Batch*(s.Tokens+1)) // a decoder has one
	c.head = c.add(head)
	verify := c.stack(pass{phase: traces.Decode, tokens: w.Batch * (s.Tokens + 1), qlen: s.Tokens + 1})
	for i := range rounds {
		past := w.Prompt + s.After(i)
		for k := range s.Tokens {
			draft.run(guess, traces.Run{Phase: traces.Decode, Step: i + 1, Past: past + k})
		}
		c.run(verify, traces.Run{Phase: traces.Decode, Step: i + 1, Past: past})
	}
}

// drafter composes the draft model's part of a graph.
func (w *Workload) drafter(g *traces.Graph) *composer {
	s := w.Speculation
	of := *w
	of.DType, of.WeightDType, of.KVDType, of.LoRA, of.Speculation = s.DType, s.WeightDType, s.KVDType, nil, nil
	of.widen(s.Draft)
	return &composer{m: s.Draft, g: g, w: &of, runs: s.Draft.layerRuns(s.Draft.Layers), ends: true, head: -1, prefix: traces.DraftPrefix}
}

// named gives everything in a block a prefix.
func named(b *traces.Block, prefix string) {
	b.Name = prefix + b.Name
	for i := range b.Tensors {
		b.Tensors[i].Name = prefix + b.Tensors[i].Name
	}
	for i := range b.Ops {
		b.Ops[i].Name = prefix + b.Ops[i].Name
	}
}
