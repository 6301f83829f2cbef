package llm

import (
	"fmt"

	"github.com/stratasim/strata/traces"
)

// Graph generates the operators of the workload. Errors are of type *Invalid, joined if there are
// several.
func (m Model) Graph(w Workload) (*traces.Graph, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := w.validate(&m); err != nil {
		return nil, err
	}
	g := &traces.Graph{Name: m.Name, Phase: w.Phase, Batch: w.Batch, Prompt: w.Prompt, DType: w.DType, Notes: m.contextNotes(&w)}
	if w.Phase == "generate" {
		g.Generate = w.Generate
	}
	layers := m.Layers
	if w.Layers > 0 {
		layers = w.Layers
	}
	ends := w.Layers == 0 // embedding and head
	steps, past := int64(0), w.Prompt
	switch w.Phase {
	case "decode":
		steps = 1
	case "generate":
		steps = w.Generate - 1
	}

	// The head sees the last token of each sequence, so both phases share its block.
	head := int32(-1)
	pass := func(tokens, qlen int64) (embedding, layer int32) {
		if ends {
			embedding = add(g, m.embedding(&w, tokens))
		}
		layer = add(g, m.layer(&w, tokens, qlen))
		if ends && head < 0 {
			head = add(g, m.head(&w))
		}
		return embedding, layer
	}
	run := func(embedding, layer int32, r traces.Run) {
		if ends {
			g.Runs = append(g.Runs, traces.Run{Block: embedding, Phase: r.Phase, Step: r.Step, Times: 1})
		}
		r.Block, r.Times = layer, layers
		g.Runs = append(g.Runs, r)
		if ends {
			g.Runs = append(g.Runs, traces.Run{Block: head, Phase: r.Phase, Step: r.Step, Times: 1})
		}
	}
	g.Blocks = make([]traces.Block, 0, 5)
	g.Runs = make([]traces.Run, 0, 3*(steps+1))
	if w.Phase != "decode" {
		embedding, layer := pass(w.Batch*w.Prompt, w.Prompt)
		run(embedding, layer, traces.Run{Phase: traces.Prefill})
	}
	if steps > 0 {
		embedding, layer := pass(w.Batch, 1)
		for s := int64(1); s <= steps; s++ {
			run(embedding, layer, traces.Run{Phase: traces.Decode, Step: s, Past: past + s - 1})
		}
	}
	if err := g.Validate(); err != nil {
		return nil, &Invalid{w.largest(), err.Error(), "a smaller batch or a shorter prompt"}
	}
	return g, nil
}

func add(g *traces.Graph, b traces.Block) int32 {
	g.Blocks = append(g.Blocks, b)
	return int32(len(g.Blocks) - 1)
}

// contextNotes says what the length of the context makes inexact.
func (m *Model) contextNotes(w *Workload) []string {
	notes := append([]string(nil), m.Notes...)
	context := w.Prompt
	switch w.Phase {
	case "decode":
		context++
	case "generate":
		context += w.Generate - 1 // the last token is not fed back
	}
	if context > m.MaxSeq {
		switch m.Position {
		case Learned:
			notes = append(notes, fmt.Sprintf("a context of %d tokens needs more learned positions than the %d of %s; timed as if its table went on", context, m.MaxSeq, m.Name))
		default:
			notes = append(notes, fmt.Sprintf("a context of %d tokens is longer than the %d that %s was made for", context, m.MaxSeq, m.Name))
		}
	}
	if m.SlidingWindow > 0 && context > m.SlidingWindow {
		notes = append(notes, fmt.Sprintf("%s looks back over %d tokens in some or all layers; modelled as attention to all %d", m.Name, m.SlidingWindow, context))
	}
	return notes
}

// embedding is the look-up of tokens, and of positions if they are learned.
func (m *Model) embedding(w *Workload, tokens int64) traces.Block {
	b := newBlock("embedding", w, 8, 4)
	ids := b.tensor("token_ids", traces.Index, traces.INT32, tokens)
	table := b.tensor("token_embedding.weight", traces.Weight, w.WeightDType, m.Vocab, m.Hidden)
	x := b.tensor("embedded", traces.Activation, w.DType, tokens, m.Hidden)
	b.op(traces.Op{Name: "embedding", Kind: traces.Embedding, Split: traces.Vocab, WeightDType: w.WeightDType, Rows: tokens, Cols: m.Hidden}, b.ids(ids, table), b.ids(x))
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

// layer is one transformer layer over tokens of which qlen belong to each sequence.
func (m *Model) layer(w *Workload, tokens, qlen int64) traces.Block {
	b := newBlock("layer", w, 32, 16)
	q, kv, h := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim, m.Hidden
	act := func(name string, cols int64) traces.TensorID {
		return b.tensor(name, traces.Activation, w.DType, tokens, cols)
	}
	x := act("x", h)
	normed := b.norm(m, "attn_norm", x, tokens)
	second := normed
	if m.ParallelBlock && m.NormsPerLayer == 2 {
		second = b.norm(m, "ffn_norm", x, tokens)
	}

	queries, keys, values := act("q", q), act("k", kv), act("v", kv)
	b.gemm("qkv", traces.Column, tokens, h, m.LinearBias || m.QKVBias, normed, b.ids(queries, keys, values), q, kv, kv)
	if m.QKNorm {
		b.headNorm(m, "q_norm", queries, tokens*m.Heads)
		b.headNorm(m, "k_norm", keys, tokens*m.KVHeads)
	}
	if m.Position == RoPE {
		b.rows(traces.RoPE, traces.Sharded, "rope", tokens, (m.Heads+m.KVHeads)*m.rotary(), b.ids(queries, keys), b.ids(queries, keys))
	}
	cache := b.tensor("kv", traces.KV, w.KVDType, tokens, 2*kv)
	b.rows(traces.KVAppend, traces.Sharded, "kv_append", tokens, 2*kv, b.ids(keys, values), b.ids(cache))
	context := act("context", q)
	b.op(traces.Op{Name: "attention", Kind: traces.Attention, Split: traces.Heads, WeightDType: w.DType, Batch: w.Batch,
		Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, QLen: qlen, Causal: true}, b.ids(queries, cache), b.ids(context))
	attn := act("attn_out", h)
	b.gemm("out", traces.Row, tokens, q, m.LinearBias, context, b.ids(attn), h)

	sum := act("x_attn", h)
	if !m.ParallelBlock {
		b.rows(traces.Add, traces.Whole, "attn_add", tokens, h, b.ids(x, attn), b.ids(sum))
		second = b.norm(m, "ffn_norm", sum, tokens)
	}
	ffn := m.feedForward(b, second, tokens)
	if m.ParallelBlock {
		b.rows(traces.Add, traces.Whole, "attn_add", tokens, h, b.ids(x, attn), b.ids(sum))
	}
	out := act("x_out", h)
	b.rows(traces.Add, traces.Whole, "ffn_add", tokens, h, b.ids(sum, ffn), b.ids(out))
	return b.Block
}

// feedForward appends the feed-forward network and returns its result.
func (m *Model) feedForward(b *block, in traces.TensorID, tokens int64) traces.TensorID {
	act := func(name string, cols int64) traces.TensorID {
		return b.tensor(name, traces.Activation, b.w.DType, tokens, cols)
	}
	kind := traces.GELU
	switch m.Activation {
	case ReLU:
		kind = traces.ReLU
	case SiLU:
		kind = traces.SiLU
	}
	inner := act("inner", m.FFN)
	if m.Gated {
		kind = traces.GELUMul
		if m.Activation == SiLU {
			kind = traces.SiLUMul
		}
		gate, up := act("gate", m.FFN), act("up", m.FFN)
		b.gemm("gate_up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(gate, up), m.FFN, m.FFN)
		b.rows(kind, traces.Sharded, "activation", tokens, m.FFN, b.ids(gate, up), b.ids(inner))
	} else {
		up := act("up", m.FFN)
		b.gemm("up", traces.Column, tokens, m.Hidden, m.FFNBias, in, b.ids(up), m.FFN)
		b.rows(kind, traces.Sharded, "activation", tokens, m.FFN, b.ids(up), b.ids(inner))
	}
	out := act("ffn_out", m.Hidden)
	b.gemm("down", traces.Row, tokens, m.FFN, m.FFNBias, inner, b.ids(out), m.Hidden)
	return out
}

// head is the last norm and the product with the vocabulary, for one token of each sequence.
func (m *Model) head(w *Workload) traces.Block {
	b := newBlock("head", w, 8, 2)
	x := b.tensor("x", traces.Activation, w.DType, w.Batch, m.Hidden)
	normed := b.norm(m, "final_norm", x, w.Batch)
	// A tied head uses the token table under its name and shape, so that it is held once.
	var table traces.TensorID
	if m.TiedEmbeddings {
		table = b.tensor("token_embedding.weight", traces.Weight, w.WeightDType, m.Vocab, m.Hidden)
	} else {
		table = b.tensor("lm_head.weight", traces.Weight, w.WeightDType, m.Hidden, m.Vocab)
	}
	in := b.ids(normed, table)
	if m.HeadBias {
		in = b.ids(normed, table, b.tensor("lm_head.bias", traces.Weight, w.DType, m.Vocab))
	}
	logits := b.tensor("logits", traces.Activation, w.DType, w.Batch, m.Vocab)
	b.op(traces.Op{Name: "lm_head", Kind: traces.Gemm, Split: traces.Vocab, WeightDType: w.WeightDType, Batch: 1, M: w.Batch, N: m.Vocab, K: m.Hidden}, in, b.ids(logits))
	return b.Block
}
