package llm

import "github.com/stratasim/strata/traces"

// embedding is the look-up of tokens, and of positions if they are learned; of an image, the projection of
// its patches.
func (m *Model) embedding(w *Workload, tokens int64) traces.Block {
	b := m.newBlock("embedding", w, 12, 6)
	if m.Patches != nil {
		m.positions(b, m.patches(b, tokens), tokens)
		return b.Block
	}
	ids := b.tensor("token_ids", traces.Index, traces.INT32, tokens)
	// A table is looked up, not multiplied: quantised checkpoints leave it in full.
	d := w.full(true)
	table := b.tensor("token_embedding.weight", traces.Weight, d, m.Vocab, m.Hidden)
	x := b.tensor("embedded", traces.Activation, w.DType, tokens, m.Hidden)
	b.op(traces.Op{Name: "embedding", Kind: traces.Embedding, Split: traces.Vocab, WeightDType: d, Rows: tokens, Cols: m.Hidden}, b.ids(ids, table), b.ids(x))
	if m.TokenTypes > 0 {
		types := b.tensor("token_type_ids", traces.Index, traces.INT32, tokens)
		rows := b.tensor("token_type_embedding.weight", traces.Weight, w.DType, m.TokenTypes, m.Hidden)
		t := b.activation("token_types", tokens, m.Hidden)
		b.op(traces.Op{Name: "token_type_embedding", Kind: traces.Embedding, WeightDType: w.DType, Rows: tokens, Cols: m.Hidden}, b.ids(types, rows), b.ids(t))
		b.rows(traces.Add, traces.Whole, "token_type_add", tokens, m.Hidden, b.ids(x, t), b.ids(x))
	}
	m.positions(b, x, tokens)
	if m.EmbeddingNorm {
		b.norm(m, "embedding_norm", x, tokens)
	}
	return b.Block
}

// patches projects the patches of images and puts the class token before them; tokens counts both.
func (m *Model) patches(b *block, tokens int64) traces.TensorID {
	p, patches := m.Patches, tokens-b.w.Batch
	pixels := b.activation("pixels", patches, p.Size*p.Size*p.Channels)
	x := b.activation("embedded", tokens, m.Hidden)
	b.gemm("patch_embedding", traces.Whole, patches, p.Size*p.Size*p.Channels, true, pixels, b.ids(x), m.Hidden)
	class := b.tensor("class_token.weight", traces.Weight, b.w.DType, 1, m.Hidden)
	b.rows(traces.Copy, traces.Whole, "class_token", b.w.Batch, m.Hidden, b.ids(class), b.ids(x))
	return x
}

// positions adds learned positions to x, if the model has them.
func (m *Model) positions(b *block, x traces.TensorID, tokens int64) {
	w := b.w
	if m.Position == Learned {
		places := b.tensor("position_ids", traces.Index, traces.INT32, tokens)
		rows := b.tensor("position_embedding.weight", traces.Weight, w.DType, m.MaxSeq+m.ExtraPositions, m.Hidden)
		p := b.tensor("positions", traces.Activation, w.DType, tokens, m.Hidden)
		b.op(traces.Op{Name: "position_embedding", Kind: traces.Embedding, WeightDType: w.DType, Rows: tokens, Cols: m.Hidden}, b.ids(places, rows), b.ids(p))
		b.op(traces.Op{Name: "position_add", Kind: traces.Add, WeightDType: w.DType, Rows: tokens, Cols: m.Hidden}, b.ids(x, p), b.ids(x))
	}
}

// encoderNorm is the last norm of an encoder whose result a decoder looks at.
func (m *Model) encoderNorm(w *Workload, tokens int64) traces.Block {
	b := m.newBlock("encoder_norm", w, 4, 1)
	b.norm(m, "encoder_norm", b.activation("x", tokens, m.Hidden), tokens)
	return b.Block
}

// head is the last norm and the product with the vocabulary, for so many tokens: the last of each sequence; of an encoder
// what it has for the first of each, ok is false if that is nothing.
func (m *Model) head(w *Workload, tokens int64) (_ traces.Block, ok bool) {
	b := m.newBlock("head", w, 8, 3)
	x := b.tensor("x", traces.Activation, w.DType, tokens, m.Hidden)
	normed := x
	if m.NormPlace != AfterAdd {
		normed = b.norm(m, "final_norm", x, tokens)
	}
	switch {
	case m.Kind == Vision:
		if m.Patches.Classes > 0 {
			b.gemm("classifier", traces.Whole, tokens, m.Hidden, true, normed, b.ids(b.activation("classes", tokens, m.Patches.Classes)), m.Patches.Classes)
		}
		return b.Block, len(b.Ops) > 0
	case m.Kind == Encoder:
		if m.Pooler {
			pooled := b.activation("pooled", tokens, m.Hidden)
			b.gemm("pooler", traces.Whole, tokens, m.Hidden, true, normed, b.ids(pooled), m.Hidden)
			b.rows(traces.Tanh, traces.Whole, "pooler_activation", tokens, m.Hidden, b.ids(pooled), b.ids(b.activation("pooled_out", tokens, m.Hidden)))
		}
		return b.Block, len(b.Ops) > 0
	}
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
	logits := b.tensor("logits", traces.Activation, w.DType, tokens, m.Vocab)
	b.product(traces.Op{Name: "lm_head", Kind: traces.Gemm, Split: traces.Vocab, WeightDType: d, Batch: 1, M: tokens, N: m.Vocab, K: m.Hidden}, in, b.ids(logits))
	return b.Block, true
}
