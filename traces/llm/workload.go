package llm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/traces"
)

// Workload is what a model is asked to do.
type Workload struct {
	// Phase is "prefill" (the prompt in one pass), "decode" (one step), "generate" (a prefill and
	// Generate-1 steps) or "serve" (one cycle of a server in steady state, see serve).
	Phase string
	// Batch is the number of sequences, at least 1.
	Batch int64
	// Prompt is the tokens of each prompt, at least 1; with phase decode, those cached already, which may be 0.
	Prompt int64
	// Generate is the tokens generated for each sequence with phases generate and serve, at least 1.
	Generate int64
	// DType is the format of activations, norms and biases; WeightDType that of the weights of
	// products and of the token table, which is not made narrower than 16 bits; KVDType that of cached keys
	// and values. A DType of less than 16 bits is that of the left operands of products alone: they are
	// quantized before it, and everything else is in the model's own format.
	DType, WeightDType, KVDType traces.DType
	// StepTokens, if not 0, is the most tokens that are prefilled in one pass, in whole prompts but always one;
	// more take several passes.
	StepTokens int64
	// Wave, if not 0, is how many sequences are in work at a time with phase generate: the others wait until those are
	// done. It is less than Batch.
	Wave int64
	// Groups is how many groups of chips have sequences of their own: the graph is that of one of them, the busiest if
	// they do not come out even, and its experts see the tokens of all. 0 and 1 are one group.
	Groups int64
	// Arrivals is how requests come with phase serve: traces.Steady or traces.Burst, "" for steady.
	Arrivals string
	// Layers, if not 0, runs that many layers only, without embedding and head.
	Layers int64

	// SkewMilli is the exponent, in thousandths, of the power law by which experts are chosen; 0: all as likely.
	SkewMilli int64

	// LoRA, if not nil, are adapters beside the weights; it must be normalized.
	LoRA *LoRA
	// Speculation, if not nil, is a draft model, with phase decode or generate.
	Speculation *Speculation

	operand traces.DType // of the left operands of products, DType unless that was narrower than 16 bits
}

// widen makes DType the format of everything but the left operands of products.
func (w *Workload) widen(m *Model) {
	if w.operand = w.DType; w.DType.Bits() < 16 {
		w.DType = m.DefaultDType()
	}
}

// full returns a format of weights, or that of activations if it is narrow and the weights stay in full.
func (w *Workload) full(inFull bool) traces.DType {
	if inFull && w.WeightDType.Bits() < 16 {
		return w.DType
	}
	return w.WeightDType
}

// validate checks the workload by itself and returns the tokens of the prompts together.
func (w *Workload) validate(m *Model) error {
	var errs []error
	bad := func(field, hint, format string, args ...any) {
		errs = append(errs, &Invalid{field, fmt.Sprintf(format, args...), hint})
	}
	within := func(field string, v, least, most int64) {
		if v < least || v > most {
			bad(field, "", "%d: must be from %d to %d", v, least, most)
		}
	}
	switch w.Phase {
	case "prefill", "decode", "generate", "serve":
	default:
		bad("phase", "prefill, decode, generate or serve", "%q is unknown", shorten(w.Phase))
	}
	switch {
	case (m.Kind == Encoder || m.Kind == Vision) && w.Phase != "prefill":
		bad("phase", "prefill: one pass over all it is given", "%s is an encoder and writes no tokens: there is nothing to %s", shorten(m.Name), shorten(w.Phase))
	case m.Kind == EncoderDecoder && w.Phase == "serve":
		bad("phase", "prefill, decode or generate", "serving an encoder-decoder is not supported")
	case m.Kind == EncoderDecoder && w.StepTokens > 0:
		bad("step_tokens", "leave it out", "the prompts of an encoder-decoder are encoded in one pass")
	}
	within("batch", w.Batch, 1, maxDimension)
	switch {
	case w.SkewMilli == 0:
	case m.MoE == nil:
		bad("skew", "leave it out", "%s has no experts to choose from", shorten(m.Name))
	default:
		within("skew", w.SkewMilli, traces.MinSkew, traces.MaxSkew)
	}
	switch {
	case w.Wave == 0:
	case w.Phase != "generate" || m.Kind == EncoderDecoder || w.Speculation != nil || w.Generate < 2:
		bad("wave", "leave it out", "sequences take turns only where a decoder by itself generates more than one token")
	default:
		if within("wave", w.Wave, 1, w.Batch-1); w.Wave > 0 {
			runs := int64(len(m.layerRuns(m.Layers)) + 2)
			if waves := (w.Batch-1)/w.Wave + 1; w.Generate > traces.MaxRuns/runs || waves > traces.MaxRuns/runs/w.Generate {
				bad("batch", "a smaller batch", "%d sequences, %d at a time, take turns too often", w.Batch, w.Wave)
			}
		}
	}
	switch {
	case w.Groups == 0 || w.Groups == 1:
	case m.MoE == nil:
		bad("attn_dp", "leave it out: groups would have nothing to do with each other, ask for one of them with its part of the batch", "%s has no experts that groups could share", shorten(m.Name))
	case w.Speculation != nil:
		bad("attn_dp", "leave one of them out", "a draft model and groups with requests of their own together are not simulated")
	case w.Groups < 0 || w.Groups > w.Batch:
		bad("attn_dp", fmt.Sprintf("a batch of %d or more, or at most %d groups", w.Groups, w.Batch), "%d groups, a batch of %d: some would have nothing to do", w.Groups, w.Batch)
	}
	least := int64(1)
	if m.Kind == Vision {
		least = 2 // the class token, and a patch at least
	}
	if w.Phase == "decode" && m.Kind != EncoderDecoder {
		within("prompt", w.Prompt, 0, maxDimension-1)
	} else {
		within("prompt", w.Prompt, least, maxDimension)
	}
	if w.Phase == "generate" {
		// A run each of embedding, layers and head for every token, and as many for an encoder.
		runs := int64(len(m.layerRuns(m.Layers)) + 2)
		within("generate", w.Generate, 1, (traces.MaxRuns-runs)/runs)
	} else if w.Phase == "serve" {
		within("generate", w.Generate, 1, maxDimension)
	} else if w.Generate < 0 {
		within("generate", w.Generate, 0, math.MaxInt64)
	}
	if w.Layers < 0 || w.Layers > m.Layers {
		bad("layers", "leave it out for the whole model", "%d: must be from 1 to the %d of %s", w.Layers, m.Layers, shorten(m.Name))
	}
	if w.Phase == "serve" && w.Arrivals != "" && !slices.Contains(traces.Arrivals(), w.Arrivals) {
		bad("arrivals", strings.Join(traces.Arrivals(), " or "), "%q is unknown", shorten(w.Arrivals))
	}
	for _, d := range []struct {
		field string
		d     traces.DType
	}{{"dtype", w.DType}, {"weight_dtype", w.WeightDType}, {"kv_dtype", w.KVDType}} {
		if d.d.Bits() == 0 {
			bad(d.field, "", "%v is unknown", d.d)
		}
	}
	if w.Speculation != nil {
		errs = append(errs, w.Speculation.check(w, m)...)
	}
	if w.LoRA != nil {
		errs = append(errs, w.LoRA.check(m)...)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if (w.Phase == "generate" || w.Phase == "serve") && w.Prompt+w.Generate > maxDimension {
		bad("generate", "", "a context of %d tokens, at most %d are supported", w.Prompt+w.Generate, int64(maxDimension))
	}
	// The largest count of rows in any block: tokens, or tokens and heads where heads are normed.
	tokens, what := w.Batch, "batch"
	if w.Phase != "decode" {
		tokens = product(w.Batch, w.Prompt)
		if w.Prompt > w.Batch {
			what = "prompt"
		}
	}
	if tokens > maxDimension {
		bad(what, "a smaller batch or shorter prompts", "%d sequences of %d tokens are more than %d tokens in one pass", w.Batch, w.Prompt, int64(maxDimension))
	} else if n := product(tokens, m.Heads); m.QKNorm && n > maxDimension {
		bad(what, "a smaller batch or shorter prompts", "%d heads of %d tokens: norms of more than %d rows in one pass", m.Heads, tokens, int64(maxDimension))
	}
	return errors.Join(errs...)
}

// largest names the field that is most to blame for a count that is too large.
func (w *Workload) largest() string {
	if w.Prompt > w.Batch {
		return "prompt"
	}
	return "batch"
}
