package llm

import "github.com/stratasim/strata/traces"

// attention appends projections, cache and attention over normed tokens, and returns what is added to
// the residual stream.
func (m *Model) attention(b *block, normed traces.TensorID, p pass) traces.TensorID {
	q, kv := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	queries, keys, values := b.activation("q", p.tokens, q), b.activation("k", p.tokens, kv), b.activation("v", p.tokens, kv)
	b.gemm("qkv", traces.Column, p.tokens, m.Hidden, m.LinearBias || m.QKVBias, normed, b.ids(queries, keys, values), q, kv, kv)
	if m.QKNorm {
		b.headNorm(m, "q_norm", queries, p.tokens*m.Heads)
		b.headNorm(m, "k_norm", keys, p.tokens*m.KVHeads)
	}
	if m.Position == RoPE {
		b.rows(traces.RoPE, traces.Sharded, "rope", p.tokens, (m.Heads+m.KVHeads)*m.rotary(), b.ids(queries, keys), b.ids(queries, keys))
	}
	cache := b.tensor("kv", traces.KV, b.w.KVDType, p.tokens, 2*kv)
	b.rows(traces.KVAppend, traces.Sharded, "kv_append", p.tokens, 2*kv, b.ids(keys, values), b.ids(cache))
	context := b.activation("context", p.tokens, q)
	op := traces.Op{Name: "attention", Kind: traces.Attention, Split: traces.Heads, WeightDType: b.w.DType, Batch: b.w.Batch,
		Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, QLen: p.qlen, Causal: true}
	if p.beside.sequences > 0 {
		// What decodes is the attention of other passes too: its cache is the same.
		decode := op
		decode.Batch, decode.QLen, decode.Past = p.beside.sequences, 1, p.beside.past
		b.op(decode, b.ids(queries, cache), b.ids(context))
		op.Name = "attention_prefill"
	}
	b.op(op, b.ids(queries, cache), b.ids(context))
	out := b.activation("attn_out", p.tokens, m.Hidden)
	b.gemm("out", traces.Row, p.tokens, q, m.LinearBias, context, b.ids(out), m.Hidden)
	return out
}
