package llm

import "github.com/stratasim/strata/traces"

// MLA is multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values of all heads are
// projections of one latent vector a token, and only that is cached, with one rotated key for all heads.
type MLA struct {
	// QRank is the width of the latent vector of queries, 0 if they are projected at once.
	QRank int64 `json:"q_rank"`
	// KVRank is the width of the latent vector of keys and values.
	KVRank int64 `json:"kv_rank"`
	// Nope and RoPE are the parts of a head's key without and with rotation, V is the width of its value.
	Nope int64 `json:"nope"`
	RoPE int64 `json:"rope"`
	V    int64 `json:"v"`
}

// parameters counts the projections and norms of one layer.
func (a *MLA) parameters(hidden, heads int64) int64 {
	q := product(hidden, heads, sum(a.Nope, a.RoPE))
	if a.QRank > 0 {
		q = sum(product(hidden, a.QRank), a.QRank, product(a.QRank, heads, sum(a.Nope, a.RoPE)))
	}
	return sum(q, product(hidden, sum(a.KVRank, a.RoPE)), a.KVRank, product(a.KVRank, heads, sum(a.Nope, a.V)), product(heads, a.V, hidden))
}

// latentAttention appends latent attention. The projections to latent vectors are small and done in full by
// every chip; what follows is divided by heads. A prefill projects keys and values of all heads and attends
// to them; a decode step folds that projection into queries and results instead, so that all heads read
// the cached latent vectors as they are.
func (m *Model) latentAttention(b *block, normed traces.TensorID, p pass) traces.TensorID {
	a, nh, w := m.MLA, m.Heads, b.w
	qk, cached := a.Nope+a.RoPE, a.KVRank+a.RoPE
	latent, queries := b.activation("kv_a", p.tokens, cached), traces.TensorID(0)
	if a.QRank > 0 {
		qa := b.activation("q_a", p.tokens, a.QRank)
		b.gemm("qkv_a", traces.Whole, p.tokens, m.Hidden, false, normed, b.ids(qa, latent), a.QRank, cached)
		b.latentNorm("q_a_norm", qa, p.tokens, a.QRank)
		queries = b.activation("q", p.tokens, nh*qk)
		b.gemm("q_b", traces.Column, p.tokens, a.QRank, false, qa, b.ids(queries), nh*qk)
	} else {
		queries = b.activation("q", p.tokens, nh*qk)
		b.gemm("q", traces.Column, p.tokens, m.Hidden, false, normed, b.ids(queries), nh*qk)
		b.gemm("kv_a", traces.Whole, p.tokens, m.Hidden, false, normed, b.ids(latent), cached)
	}
	b.latentNorm("kv_a_norm", latent, p.tokens, a.KVRank)
	b.rows(traces.RoPE, traces.Sharded, "rope", p.tokens, (nh+1)*a.RoPE, b.ids(queries, latent), b.ids(queries, latent))
	cache := latent // training keeps no cache
	if p.phase != traces.Forward {
		cache = b.tensor("kv", traces.KV, w.KVDType, p.tokens, cached)
		b.rows(traces.KVAppend, traces.Whole, "kv_append", p.tokens, cached, b.ids(latent), b.ids(cache))
	}
	context := b.activation("context", p.tokens, nh*a.V)
	kvb := b.tensor(weightName("kv_b"), traces.Weight, b.weights(), a.KVRank, nh*(a.Nope+a.V))

	decoding, sequences, qlen, past := p.tokens, w.Batch, p.qlen, int64(0)
	if p.phase != traces.Decode {
		decoding = 0
	}
	if p.beside.sequences > 0 {
		decoding, sequences, qlen, past = p.beside.sequences, p.beside.sequences, 1, p.beside.past
	}
	if decoding > 0 {
		absorbed, weighed := b.activation("q_latent", decoding, nh*cached), b.activation("context_latent", decoding, nh*a.KVRank)
		b.op(traces.Op{Name: "absorb_k", Kind: traces.Gemm, Split: traces.Heads, WeightDType: b.weights(), Batch: nh, M: decoding, N: a.KVRank, K: a.Nope}, b.ids(queries, kvb), b.ids(absorbed))
		b.op(traces.Op{Name: "attention", Kind: traces.Attention, Split: traces.Heads, WeightDType: w.DType, Batch: sequences, Heads: nh, KVHeads: 1, HeadDim: cached,
			ValueDim: a.KVRank, Latent: true, QLen: qlen, Past: past, Causal: true}, b.ids(absorbed, cache), b.ids(weighed))
		b.op(traces.Op{Name: "absorb_v", Kind: traces.Gemm, Split: traces.Heads, WeightDType: b.weights(), Batch: nh, M: decoding, N: a.V, K: a.KVRank}, b.ids(weighed, kvb), b.ids(context))
	}
	if rows := p.tokens - decoding; rows > 0 {
		keys, values := b.activation("k_b", rows, nh*a.Nope), b.activation("v_b", rows, nh*a.V)
		b.product(traces.Op{Name: "kv_b", Kind: traces.Gemm, Split: traces.Column, WeightDType: b.weights(), Batch: 1, M: rows, N: nh * (a.Nope + a.V), K: a.KVRank,
			Parts: b.sizes(nh*a.Nope, nh*a.V)}, b.ids(latent, kvb), b.ids(keys, values))
		name := "attention"
		if decoding > 0 {
			name = "attention_prefill"
		}
		b.op(traces.Op{Name: name, Kind: traces.Attention, Split: traces.Heads, WeightDType: w.DType, Batch: w.Batch, Heads: nh, KVHeads: nh, HeadDim: qk, ValueDim: a.V,
			CacheDim: cached, QLen: p.qlen, Past: p.past(), Causal: true, Uncached: p.phase == traces.Forward, Dropout: p.dropout}, b.ids(queries, keys, values), b.ids(context))
	}
	out := b.activation("attn_out", p.tokens, m.Hidden)
	b.gemm("out", traces.Row, p.tokens, nh*a.V, false, context, b.ids(out), m.Hidden)
	return out
}

// latentNorm adds a norm over a latent vector, in place.
func (b *block) latentNorm(name string, x traces.TensorID, rows, cols int64) {
	weight := b.tensor(weightName(name), traces.Weight, b.w.DType, cols)
	b.rows(traces.RMSNorm, traces.Whole, name, rows, cols, b.ids(x, weight), b.ids(x))
}
