package llm

import (
	"slices"

	"github.com/stratasim/strata/traces"
)

// pass is one walk of tokens through the layers: a prefill or a decode step.
type pass struct {
	phase  traces.Phase
	tokens int64 // of all sequences together
	qlen   int64 // of each sequence
	beside beside

	// Of training: the tokens of a sequence are dealt to so many chips; dropout; attention changes the layout of its result.
	contexts        int64
	dropout, copies bool
}

// past is how many tokens a query sees on the mean that another chip has: with a causal mask each chip gets an early and
// a late part of the sequence, so that all have as much to do.
func (p pass) past() int64 {
	if p.contexts < 2 {
		return 0
	}
	return ((p.contexts-1)*p.qlen + 1) / 2
}

// layerKind is what sets some layers of a model apart from others.
type layerKind struct {
	name    string // of the block
	sparse  bool   // a mixture of experts
	window  int64  // tokens that it looks back over, 0: all
	encoder bool   // every token sees every other, and nothing is cached
	cross   int64  // tokens of the encoder that it attends to besides, 0: none
	partial bool   // what chips have of the branches' results is added up later
}

// layerRun is a number of equal layers in a row.
type layerRun struct {
	kind         layerKind
	first, times int64
}

// kindOf returns the kind of a layer, counted from 0.
func (m *Model) kindOf(layer int64) layerKind {
	k := layerKind{name: "layer", sparse: m.sparse(layer), encoder: m.Kind == Encoder || m.Kind == Vision}
	if m.MoE != nil && !k.sparse {
		k.name = "dense_layer"
	}
	if m.SlidingWindow > 0 {
		if k.window = m.SlidingWindow; slices.Contains(m.FullAttention, layer) {
			k.window = 0
		} else if len(m.FullAttention) > 0 {
			k.name = "local_" + k.name
		}
	}
	return k
}

// layerRuns lists so many layers of the model in their order, equal neighbours together: the first ones,
// but of a mixture of experts the first sparse ones as far as there are enough.
func (m *Model) layerRuns(layers int64) []layerRun {
	from := int64(0)
	if m.MoE != nil {
		from = min(m.MoE.FirstDense, m.Layers-layers)
	}
	var runs []layerRun
	for l := from; l < from+layers; {
		k, next := m.kindOf(l), l+1
		if m.SlidingWindow > 0 && len(m.FullAttention) > 0 {
			for next < from+layers && m.kindOf(next) == k {
				next++
			}
		} else if next = from + layers; m.MoE != nil && !k.sparse { // there may be very many
			next = min(next, m.MoE.FirstDense)
		}
		runs = append(runs, layerRun{k, l, next - l})
		l = next
	}
	return runs
}

// layer is one transformer layer.
func (m *Model) layer(w *Workload, l layerKind, p pass) traces.Block {
	b := m.newBlock(l.name, w, 40, 24)
	b.sequences += p.beside.sequences
	h := m.Hidden
	x := b.activation("x", p.tokens, h)
	before := func(name string, x traces.TensorID) traces.TensorID {
		if m.NormPlace == BeforeBranch || m.NormPlace == Sandwich {
			return b.norm(m, name, x, p.tokens)
		}
		return x
	}
	join := traces.Add
	if p.dropout {
		join = traces.DropoutAdd
	}
	// add joins a branch to the residual stream.
	add := func(branch, sum string, x, result traces.TensorID) traces.TensorID {
		switch m.NormPlace {
		case Sandwich:
			result = b.norm(m, branch+"_post_norm", result, p.tokens)
		case OnBranch:
			result = b.norm(m, branch+"_norm", result, p.tokens)
		}
		to := b.activation(sum, p.tokens, h)
		b.rows(join, traces.Whole, branch+"_add", p.tokens, h, b.ids(x, result), b.ids(to))
		if m.NormPlace == AfterAdd {
			return b.norm(m, branch+"_norm", to, p.tokens)
		}
		return to
	}
	normed := before("attn_norm", x)
	if m.ParallelBlock {
		second := normed
		if m.NormsPerLayer == 2 {
			second = b.norm(m, "ffn_norm", x, p.tokens)
		}
		// In training both branches are added up over chips at once (Megatron-LM, T5X). Servers differ in that, so here they
		// add up each.
		l.partial = p.phase == traces.Forward && !l.sparse
		attn := m.attention(b, l, normed, p)
		if !l.partial {
			sum := b.activation("x_attn", p.tokens, h)
			ffn := m.feedForward(b, l, second, p.tokens)
			b.rows(join, traces.Whole, "attn_add", p.tokens, h, b.ids(x, attn), b.ids(sum))
			out := b.activation("x_out", p.tokens, h)
			b.rows(join, traces.Whole, "ffn_add", p.tokens, h, b.ids(sum, ffn), b.ids(out))
			return b.Block
		}
		ffn := m.feedForward(b, l, second, p.tokens)
		branches := b.activation("branches", p.tokens, h)
		b.rows(traces.Add, traces.Row, "branches_add", p.tokens, h, b.ids(attn, ffn), b.ids(branches))
		out := b.activation("x_out", p.tokens, h)
		b.rows(join, traces.Whole, "ffn_add", p.tokens, h, b.ids(x, branches), b.ids(out))
		return b.Block
	}
	x = add("attn", "x_attn", x, m.attention(b, l, normed, p))
	if l.cross > 0 {
		x = add("cross", "x_cross", x, m.crossAttention(b, l, before("cross_norm", x), p))
	}
	add("ffn", "x_out", x, m.feedForward(b, l, before("ffn_norm", x), p.tokens))
	return b.Block
}
