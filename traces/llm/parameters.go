package llm

import (
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Parameters counts all parameters of the model, at most MaxInt64. Embeddings are included, a tied
// table once.
func (m Model) Parameters() int64 {
	total := sum(product(m.Layers, m.layerParameters()), product(m.Vocab, m.Hidden), m.normParameters(), m.FixedExtra)
	if m.EmbeddingNorm {
		total = sum(total, m.normParameters())
	}
	if m.Position == Learned {
		total = sum(total, product(sum(m.MaxSeq, m.ExtraPositions), m.Hidden))
	}
	if !m.TiedEmbeddings {
		total = sum(total, product(m.Vocab, m.Hidden))
	}
	if m.HeadBias {
		total = sum(total, m.Vocab)
	}
	return total
}

// KVBytesPerToken returns how many bytes one token adds to the cache, over all layers. The model
// must be valid.
func (m Model) KVBytesPerToken(d traces.DType) units.Bytes {
	vectors := product(2, m.Layers, m.KVHeads)
	if n := product(vectors, m.HeadDim); n > traces.MaxElements {
		return d.Bytes(traces.MaxElements)
	}
	return d.KVBytes(vectors, m.HeadDim)
}

// layerParameters counts one layer: projections, their biases, feed-forward network and norms.
func (m *Model) layerParameters() int64 {
	qkv := m.qkvWidth()
	n := sum(product(m.Hidden, qkv), product(m.Heads, m.HeadDim, m.Hidden), // attention
		product(m.Hidden, m.upWidth()), product(m.FFN, m.Hidden), // feed-forward network
		product(m.NormsPerLayer, m.normParameters()))
	if m.LinearBias || m.QKVBias {
		n = sum(n, qkv)
	}
	if m.LinearBias {
		n = sum(n, m.Hidden)
	}
	if m.FFNBias {
		n = sum(n, m.upWidth(), m.Hidden)
	}
	if m.QKNorm {
		n = sum(n, product(2, m.HeadDim))
	}
	return n
}

// normParameters counts one norm over the residual stream.
func (m *Model) normParameters() int64 {
	if m.Norm == LayerNorm {
		return product(2, m.Hidden)
	}
	return m.Hidden
}
