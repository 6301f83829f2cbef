package llm

import "github.com/stratasim/strata/traces"

// embedding is the look-up of tokens, and of positions if they are learned.
func (m *Model) embedding(w *Workload, tokens int64) traces.Block {
	b := m.newBlock("embedding", w, 8, 4)
	ids := b.tensor("token_ids", traces.Index, traces.INT32, tokens)
	// A table is looked up, not multiplied: quantised checkpoints leave it in full.
	d := w.full(true)
	table := b.tensor("token_embedding.weight", traces.Weight, d, m.Vocab, m.Hidden)
	x := b.tensor("embedded", traces.Activation, w.DType, tokens, m.Hidden)
	b.op(traces.Op{Name: "embedding", Kind: traces.Embedding, Split: traces.Vocab, WeightDType: d, Rows: tokens, Cols: m.Hidden}, b.ids(ids, table), b.ids(x))
	if m.Position == Learned {
		places := b.tensor("position_ids", traces.Index, traces.INT32, tokens)
		rows := b.tensor("position_embedding.weight", traces.Weight, w.DType, m.MaxSeq+m.ExtraPositions, m.Hidden)
		p := b.tensor("positions", traces.Activation, w.DType, tokens, m.Hidden)
		b.op(traces.Op{Name: "position_embedding", Kind: traces.Embedding, WeightDType: w.DType, Rows: tokens, Cols: m.Hidden}, b.ids(places, rows), b.ids(p))
		b.op(traces.Op{Name: "position_add", Kind: traces.Add, WeightDType: w.DType, Rows: tokens, Cols: m.Hidden}, b.ids(x, p), b.ids(x))
	}
	if m.EmbeddingNorm {
		b.norm(m, "embedding_norm", x, tokens)
	}
	return b.Block
}

// head is the last norm and the product with the vocabulary, for one token of each sequence.
func (m *Model) head(w *Workload) traces.Block {
	b := m.newBlock("head", w, 8, 2)
	x := b.tensor("x", traces.Activation, w.DType, w.Batch, m.Hidden)
	normed := b.norm(m, "final_norm", x, w.Batch)
	// A tied head uses the token table under its name and shape, so that it is held once.
	var table traces.TensorID
	d := w.full(m.TiedEmbeddings || m.HeadInFull)
	if m.TiedEmbeddings {
		table = b.tensor("token_embedding.weight", traces.Weight, d, m.Vocab, m.Hidden)
	} else {
		table = b.tensor("lm_head.weight", traces.Weight, d, m.Hidden, m.Vocab)
	}
	in := b.ids(normed, table)
	if m.HeadBias {
		in = b.ids(normed, table, b.tensor("lm_head.bias", traces.Weight, w.DType, m.Vocab))
	}
	logits := b.tensor("logits", traces.Activation, w.DType, w.Batch, m.Vocab)
	b.product(traces.Op{Name: "lm_head", Kind: traces.Gemm, Split: traces.Vocab, WeightDType: d, Batch: 1, M: w.Batch, N: m.Vocab, K: m.Hidden}, in, b.ids(logits))
	return b.Block
}
