package llm

import "github.com/stratasim/strata/traces"

// feedForward appends the feed-forward network and returns its result.
func (m *Model) feedForward(b *block, in traces.TensorID, tokens int64) traces.TensorID {
	kind := traces.GELU
	switch m.Activation {
	case ReLU:
		kind = traces.ReLU
	case SiLU:
		kind = traces.SiLU
	}
	inner := b.activation("inner", tokens, m.FFN)
	if m.Gated {
		kind = traces.GELUMul
		if m.Activation == SiLU {
			kind = traces.SiLUMul
		}
		gate, up := b.activation("gate", tokens, m.FFN), b.activation("up", tokens, m.FFN)
		b.gemm("gate_up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(gate, up), m.FFN, m.FFN)
		b.rows(kind, traces.Sharded, "activation", tokens, m.FFN, b.ids(gate, up), b.ids(inner))
	} else {
		up := b.activation("up", tokens, m.FFN)
		b.gemm("up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(up), m.FFN)
		b.rows(kind, traces.Sharded, "activation", tokens, m.FFN, b.ids(up), b.ids(inner))
	}
	out := b.activation("ffn_out", tokens, m.Hidden)
	b.gemm("down", traces.Row, tokens, m.FFN, m.FFNBias, inner, b.ids(out), m.Hidden)
	return out
}
