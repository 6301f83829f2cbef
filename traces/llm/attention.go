package llm

import "github.com/stratasim/strata/traces"

// attention appends projections, cache and attention over normed tokens, and returns what is added to
// the residual stream.
func (m *Model) attention(b *block, l layerKind, normed traces.TensorID, p pass) traces.TensorID {
	b.inAttention = true
	defer func() { b.inAttention = false }()
	if m.MLA != nil {
		return m.latentAttention(b, normed, p)
	}
	q, kv := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	queries, keys, values := b.activation("q", p.tokens, q), b.activation("k", p.tokens, kv), b.activation("v", p.tokens, kv)
	b.gemm("qkv", traces.Column, p.tokens, m.Hidden, m.LinearBias || m.QKVBias, normed, b.ids(queries, keys, values), q, kv, kv)
	switch {
	case m.QKNorm && m.QKNormWide:
		b.wideNorm("q_norm", queries, p.tokens, q)
		b.wideNorm("k_norm", keys, p.tokens, kv)
	case m.QKNorm:
		b.headNorm(m, "q_norm", queries, p.tokens*m.Heads)
		b.headNorm(m, "k_norm", keys, p.tokens*m.KVHeads)
	}
	if m.Position == RoPE {
		b.rows(traces.RoPE, traces.Sharded, "rope", p.tokens, (m.Heads+m.KVHeads)*m.rotary(), b.ids(queries, keys), b.ids(queries, keys))
	}
	op := traces.Op{Name: "attention", Kind: traces.Attention, Split: traces.Heads, WeightDType: b.w.DType, Batch: b.w.Batch,
		Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, QLen: p.qlen, Past: p.past(), Causal: !l.encoder, Uncached: l.encoder || p.phase == traces.Forward, Window: l.window, Dropout: p.dropout}
	in := b.ids(queries, keys, values)
	if !op.Uncached {
		cache := b.tensor("kv", traces.KV, b.w.KVDType, p.tokens, 2*kv)
		b.rows(traces.KVAppend, traces.Sharded, "kv_append", p.tokens, 2*kv, b.ids(keys, values), b.ids(cache))
		in = b.ids(queries, cache)
	}
	switch m.Position {
	case RelativeBias:
		op.Relative = traces.Bias
	case Projected:
		// The distances that the new tokens bring are the same for all sequences; the others are kept.
		op.Relative = traces.Projected
		distances := b.activation("distances", p.qlen, m.Hidden)
		projected := b.tensor("distance_keys", traces.KV, b.w.DType, p.qlen, q)
		b.gemm("relative", traces.Column, p.qlen, m.Hidden, false, distances, b.ids(projected), q)
		in = b.ids(in[0], in[1], projected)
	}
	if m.Sinks {
		in = append(b.ids(in...), b.tensor("sinks.weight", traces.Weight, b.w.DType, m.Heads))
	}
	context := b.activation("context", p.tokens, q)
	if p.beside.sequences > 0 {
		// What decodes is the attention of other passes too: its cache is the same.
		decode := op
		decode.Batch, decode.QLen, decode.Past = p.beside.sequences, 1, p.beside.past
		b.op(decode, in, b.ids(context))
		op.Name = "attention_prefill"
	}
	b.op(op, in, b.ids(context))
	if p.copies {
		rows := b.activation("context_rows", p.tokens, q)
		b.rows(traces.Copy, traces.Sharded, "context_copy", p.tokens, q, b.ids(context), b.ids(rows))
		context = rows
	}
	out := b.activation("attn_out", p.tokens, m.Hidden)
	b.gemm("out", l.branch(), p.tokens, q, m.LinearBias || m.OutBias, context, b.ids(out), m.Hidden)
	return out
}

// crossAttention appends attention to what the encoder has made of the prompt.
func (m *Model) crossAttention(b *block, l layerKind, normed traces.TensorID, p pass) traces.TensorID {
	b.inAttention = true
	defer func() { b.inAttention = false }()
	q, kv := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	queries := b.activation("cross_q", p.tokens, q)
	b.gemm("cross_q_proj", traces.Column, p.tokens, m.Hidden, m.LinearBias || m.QKVBias, normed, b.ids(queries), q)
	cache := b.tensor("cross_kv", traces.KV, b.w.KVDType, b.w.Batch*l.cross, 2*kv)
	context := b.activation("cross_context", p.tokens, q)
	b.op(traces.Op{Name: "cross_attention", Kind: traces.Attention, Split: traces.Heads, WeightDType: b.w.DType, Batch: b.w.Batch,
		Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, QLen: p.qlen, Past: l.cross, Cross: true}, b.ids(queries, cache), b.ids(context))
	out := b.activation("cross_out", p.tokens, m.Hidden)
	b.gemm("cross_out_proj", traces.Row, p.tokens, q, m.LinearBias, context, b.ids(out), m.Hidden)
	return out
}

// crossKeys is what a decoder layer makes of the encoder's result, once for all steps.
func (m *Model) crossKeys(w *Workload, tokens int64) traces.Block {
	b := m.newBlock("cross_kv", w, 8, 3)
	b.inAttention = true
	kv := m.KVHeads * m.HeadDim
	x := b.activation("encoded", tokens, m.Hidden)
	keys, values := b.activation("cross_k", tokens, kv), b.activation("cross_v", tokens, kv)
	b.gemm("cross_kv_proj", traces.Column, tokens, m.Hidden, m.LinearBias || m.QKVBias, x, b.ids(keys, values), kv, kv)
	cache := b.tensor("cross_kv", traces.KV, w.KVDType, tokens, 2*kv)
	b.rows(traces.KVAppend, traces.Sharded, "cross_kv_append", tokens, 2*kv, b.ids(keys, values), b.ids(cache))
	return b.Block
}
