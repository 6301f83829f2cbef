package llm

import "github.com/stratasim/strata/traces"

// pass is one walk of tokens through the layers: a prefill or a decode step.
type pass struct {
	phase  traces.Phase
	tokens int64 // of all sequences together
	qlen   int64 // of each sequence
	beside beside
}

// layerKind is what sets some layers of a model apart from others.
type layerKind struct {
	name string // of the block
}

// layerRun is a number of equal layers in a row.
type layerRun struct {
	kind         layerKind
	first, times int64
}

// layerRuns lists the first layers of the model in their order, equal neighbours together.
func (m *Model) layerRuns(layers int64) []layerRun {
	return []layerRun{{layerKind{name: "layer"}, 0, layers}}
}

// layer is one transformer layer.
func (m *Model) layer(w *Workload, l layerKind, p pass) traces.Block {
	b := m.newBlock(l.name, w, 32, 16)
	h := m.Hidden
	x := b.activation("x", p.tokens, h)
	normed := b.norm(m, "attn_norm", x, p.tokens)
	second := normed
	if m.ParallelBlock && m.NormsPerLayer == 2 {
		second = b.norm(m, "ffn_norm", x, p.tokens)
	}
	attn := m.attention(b, normed, p)
	sum := b.activation("x_attn", p.tokens, h)
	if !m.ParallelBlock {
		b.rows(traces.Add, traces.Whole, "attn_add", p.tokens, h, b.ids(x, attn), b.ids(sum))
		second = b.norm(m, "ffn_norm", sum, p.tokens)
	}
	ffn := m.feedForward(b, second, p.tokens)
	if m.ParallelBlock {
		b.rows(traces.Add, traces.Whole, "attn_add", p.tokens, h, b.ids(x, attn), b.ids(sum))
	}
	out := b.activation("x_out", p.tokens, h)
	b.rows(traces.Add, traces.Whole, "ffn_add", p.tokens, h, b.ids(sum, ffn), b.ids(out))
	return b.Block
}
