package llm

import (
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// arrivals returns how requests come to a server.
func (w *Workload) arrivals() string {
	if w.Arrivals == "" {
		return traces.Steady
	}
	return w.Arrivals
}

// beside are sequences that are decoded in the pass that prefills others.
type beside struct {
	sequences int64
	past      int64 // cached tokens of each
}

// serve appends one cycle of a server that always has Batch requests in work: each of them is prefilled once and
// decoded Generate-1 times. Requests that are not all at the same token have half of their answer in the cache on the
// mean, and attention is linear in the cache, so all steps of a kind are alike.
//
// In a burst all prompts are prefilled, as many to a pass as StepTokens lets in, and then all are decoded. In the steady
// state prompts come one by one: a pass prefills one of them and decodes a token of all others, as servers with chunked
// or piggy-backed prefill do (Agrawal et al., Sarathi-Serve, OSDI 2024). Only if there are more prompts in a cycle than
// tokens to decode does a pass take several. Where StepTokens lets in fewer than that needs, prefills are what limits: there
// are more passes than a request has tokens, and the requests that wait for theirs are not decoded meanwhile.
func (c *composer) serve() {
	w := c.w
	past := w.Prompt + (w.Generate-1)/2
	steps := w.Generate - 1
	if w.arrivals() == traces.Burst {
		c.prefill()
	} else {
		steps -= c.mixed(past)
	}
	if steps > 0 {
		c.run(c.stack(pass{phase: traces.Decode, tokens: w.Batch, qlen: 1}), traces.Run{Phase: traces.Decode, Step: 1, Repeat: steps, Past: past})
	}
}

// mixed appends the passes that prefill the prompts of a cycle beside the decoding of other sequences, and returns how many
// tokens they give each sequence after its first.
func (c *composer) mixed(past int64) int64 {
	w := c.w
	// A sequence sees all passes but its own.
	prompts := units.CeilDiv(w.Batch, w.Generate)
	if w.StepTokens > 0 {
		prompts = min(prompts, max(1, w.StepTokens/w.Prompt))
	}
	limited := units.CeilDiv(w.Batch, prompts) > w.Generate
	some := func(prompts, from, times int64) {
		decoded := w.Batch - prompts
		if limited { // as many as the prompts of a pass bring tokens: over all passes, those of all sequences
			decoded = prompts * (w.Generate - 1)
		}
		part, of := *c, *w
		of.Batch = prompts
		part.w, part.head = &of, -1
		p := pass{phase: traces.Prefill, tokens: prompts*w.Prompt + decoded, qlen: w.Prompt, beside: beside{decoded, past}}
		part.run(part.stack(p), traces.Run{Phase: traces.Prefill, Step: from, Repeat: times})
	}
	times, rest := w.Batch/prompts, w.Batch%prompts
	some(prompts, 0, times)
	if rest > 0 {
		some(rest, times, 1)
		times++
	}
	return min(times, w.Generate) - 1
}
