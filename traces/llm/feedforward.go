package llm

import "github.com/stratasim/strata/traces"

// feedForward appends the feed-forward network of a layer and returns its result.
func (m *Model) feedForward(b *block, l layerKind, in traces.TensorID, tokens int64) traces.TensorID {
	if l.sparse {
		return m.mixture(b, in, tokens)
	}
	return m.network(b, "", in, tokens, m.FFN, l.branch())
}

// branch is how the last product of a branch is divided.
func (l layerKind) branch() traces.Split {
	if l.partial {
		return traces.Partial
	}
	return traces.Row
}

// network appends one feed-forward network, its operators and tensors named with a prefix. split says whether
// what chips have of its result is added up at once or later.
func (m *Model) network(b *block, prefix string, in traces.TensorID, tokens, width int64, split traces.Split) traces.TensorID {
	kind := traces.GELU
	switch m.Activation {
	case ReLU:
		kind = traces.ReLU
	case SiLU:
		kind = traces.SiLU
	}
	inner := b.activation(prefix+"inner", tokens, width)
	if m.Gated {
		kind = traces.GELUMul
		if m.Activation == SiLU {
			kind = traces.SiLUMul
		}
		gate, up := b.activation(prefix+"gate", tokens, width), b.activation(prefix+"up", tokens, width)
		b.gemm(prefix+"gate_up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(gate, up), width, width)
		b.rows(kind, traces.Sharded, prefix+"activation", tokens, width, b.ids(gate, up), b.ids(inner))
	} else {
		up := b.activation(prefix+"up", tokens, width)
		b.gemm(prefix+"up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(up), width)
		b.rows(kind, traces.Sharded, prefix+"activation", tokens, width, b.ids(up), b.ids(inner))
	}
	out := b.activation(prefix+"ffn_out", tokens, m.Hidden)
	b.gemm(prefix+"down", split, tokens, width, m.FFNBias, inner, b.ids(out), m.Hidden)
	return out
}
