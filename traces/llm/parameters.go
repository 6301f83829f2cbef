package llm

import (
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Parameters counts all parameters of the model, at most MaxInt64. Embeddings are included, a tied
// table once.
func (m Model) Parameters() int64 { return m.count(0) }

// ActiveParameters counts the parameters that one token passes: all but the experts that it is not sent to.
func (m Model) ActiveParameters() int64 {
	if m.MoE == nil {
		return m.Parameters()
	}
	return m.count(m.MoE.Experts - m.MoE.TopK)
}

// NonEmbeddingParameters counts the parameters without the tables of tokens and positions, and without a head that
// has a table of its own.
func (m Model) NonEmbeddingParameters() int64 {
	tables := product(m.Vocab, m.Hidden)
	if !m.TiedEmbeddings && m.Kind != Encoder && m.Kind != Vision {
		tables = sum(tables, tables)
	}
	if m.Position == Learned {
		tables = sum(tables, product(sum(m.MaxSeq, m.ExtraPositions), m.Hidden))
	}
	return max(m.Parameters()-tables, 0)
}

// count counts the parameters without so many of the experts of each layer.
func (m *Model) count(unused int64) int64 {
	norm := m.normParameters()
	dense, ffn := m.Layers, m.ffnParameters()
	attention, norms := m.attentionParameters(), product(m.NormsPerLayer, norm)
	total := sum(product(m.Layers, sum(attention, norms)), product(m.Vocab, m.Hidden), m.FixedExtra)
	if m.MoE != nil {
		dense = min(m.MoE.FirstDense, m.Layers)
		total = sum(total, product(m.Layers-dense, m.moeParameters(m.MoE.Experts-unused)))
	}
	total = sum(total, product(dense, ffn))
	if m.NormPlace != AfterAdd {
		total = sum(total, norm) // the last one
	}
	if m.Kind == EncoderDecoder {
		cross := sum(attention, norm)
		total = sum(total, product(m.EncoderLayers, sum(attention, norms, ffn)), product(m.Layers, cross), norm)
	}
	if m.EmbeddingNorm {
		total = sum(total, norm)
	}
	if m.Position == Learned {
		total = sum(total, product(sum(m.MaxSeq, m.ExtraPositions), m.Hidden))
	}
	if !m.TiedEmbeddings && m.Kind != Encoder && m.Kind != Vision {
		total = sum(total, product(m.Vocab, m.Hidden))
	}
	if m.HeadBias {
		total = sum(total, m.Vocab)
	}
	total = sum(total, product(m.TokenTypes, m.Hidden))
	if m.Pooler {
		total = sum(total, product(m.Hidden, m.Hidden), m.Hidden)
	}
	if p := m.Patches; p != nil {
		// The projection of a patch with its bias, the class token, and the head with its bias.
		total = sum(total, product(p.Size, p.Size, p.Channels, m.Hidden), m.Hidden, m.Hidden)
		total = sum(total, product(p.Classes, sum(m.Hidden, 1)))
	}
	return total
}

// KVBytesPerToken returns how many bytes one token adds to the cache, over all layers, as long as it is
// within the window of those that have one; of an encoder-decoder, a token of the decoder. Encoders keep no
// cache. The model must be valid.
func (m Model) KVBytesPerToken(d traces.DType) units.Bytes {
	if m.Kind == Encoder || m.Kind == Vision {
		return 0
	}
	vectors, dim := product(2, m.Layers, m.KVHeads), m.HeadDim
	if m.MLA != nil {
		vectors, dim = m.Layers, m.MLA.KVRank+m.MLA.RoPE
	}
	if n := product(vectors, dim); n > traces.MaxElements {
		return d.Bytes(traces.MaxElements)
	}
	return d.KVBytes(vectors, dim)
}

// attentionParameters counts the projections of a layer's attention with their biases and norms.
func (m *Model) attentionParameters() int64 {
	if m.MLA != nil {
		return m.MLA.parameters(m.Hidden, m.Heads)
	}
	qkv := m.qkvWidth()
	n := sum(product(m.Hidden, qkv), product(m.Heads, m.HeadDim, m.Hidden))
	if m.LinearBias || m.QKVBias {
		n = sum(n, qkv)
	}
	if m.LinearBias || m.OutBias {
		n = sum(n, m.Hidden)
	}
	switch {
	case m.QKNorm && m.QKNormWide:
		n = sum(n, product(sum(m.Heads, m.KVHeads), m.HeadDim))
	case m.QKNorm:
		n = sum(n, product(2, m.HeadDim))
	}
	if m.Sinks {
		n = sum(n, m.Heads)
	}
	if m.Position == Projected {
		n = sum(n, product(m.Hidden, m.Heads, m.HeadDim))
	}
	return n
}

// ffnParameters counts a dense feed-forward network.
func (m *Model) ffnParameters() int64 {
	n := sum(product(m.Hidden, m.upWidth()), product(m.FFN, m.Hidden))
	if m.FFNBias {
		n = sum(n, m.upWidth(), m.Hidden)
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
