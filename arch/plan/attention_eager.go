package plan

import (
	"github.com/stratasim/strata/traces"
)

// Standard attention, as a framework runs it with a kernel for each line (torch.nn.functional of PyTorch 1.10, of October
// 2021: _scaled_dot_product_attention). S is the scores: sequences × heads × queries × keys in the format of the
// activations. What each kernel reads and writes, beside the operands of the products, whose size is a part d/keys of S:
//
//	scale            q / √d                      reads q, writes q
//	qk               q·kᵀ                        writes S
//	mask             S += mask, in place         reads S and the mask of all heads, writes S
//	softmax          over rows up to 1024 keys in registers, FP32 inside: reads S, writes S
//	dropout          training alone: reads S, writes S and a mask of a byte for each score
//	pv               P·v                         reads S
//
// and backward, from what autograd has saved (the output of the softmax, the output of dropout and its mask):
//
//	dv               Pᵀ·dO                       reads S (after dropout)
//	dp               dO·vᵀ                       writes S
//	dropout.backward dP ∘ mask / (1 − p)         reads S and the mask, writes S
//	softmax.backward P∘(dP − rowsum(dP∘P))       reads S twice (gradient and output), writes S
//	dq, dk           dS·k, dSᵀ·q                 read S each
//	scale.backward   dq / √d                     reads dq, writes dq
//
// A sum passes its gradient on as it is, so the mask has no kernel in the backward pass. Every score is computed, masked
// or not.

// philox is the whole-number operations for one random number of dropout: ten rounds of Philox 4x32 give four, each round
// four products of halves, two sums of three terms by bits and two additions (Salmon et al., SC 2011).
const philox = 20

// standardAttention plans the kernels of the forward pass, those of the backward pass, or both. Dropout goes with gradients, or
// where the operator says so. Where the framework's training has a masked softmax the scaling is part of the product, and mask and
// softmax are one kernel, as in Megatron-LM (megatron/fused_kernels, 2021), backward too.
func (b *builder) standardAttention(a *attention, forward, gradients bool) ([]*Body, error) {
	kv, group := a.keys, a.heads/a.kvHeads
	batch, m := a.batch*a.kvHeads, a.qlen*group // query heads that share keys are stacked as rows of one product
	n := a.batch * a.heads * a.qlen             // rows of scores
	s := int64(a.t.Bytes(n * kv))
	var out []*Body
	product := func(name string, m, n, k int64) error {
		k1, err := b.gemm(gemm{name: a.name + name, phase: a.phase, batch: batch, m: m, n: n, k: k, a: a.t, w: a.t})
		out = append(out, k1)
		return err
	}
	row := func(name string, r rows) error {
		r.name, r.phase, r.dtype, r.wtype, r.kvtype = a.name+name, a.phase, a.t, a.t, a.t
		k, err := b.rowKernel(r)
		out = append(out, k)
		return err
	}
	q := int64(a.t.Bytes(n * a.dim))
	scale := rows{kind: traces.Mul, rows: n, cols: a.dim, read: q, write: q, vector: n * a.dim}
	scores := func(kind traces.Kind, read, write, vector int64) rows {
		return rows{kind: kind, rows: n, cols: kv, read: read, write: write, vector: vector * n * kv}
	}
	softmax := scores(traces.Softmax, s, s, 4)
	softmax.special = n * kv
	dropout := scores(traces.Mul, s, s+n*kv, 2)
	dropout.whole = philox * n * kv
	type step struct {
		name string
		rows *rows
		dims [3]int64
	}
	mask := scores(traces.Add, s+int64(a.t.Bytes(a.qlen*kv)), s, 1)
	undropped := scores(traces.Mul, s+n*kv, s, 2)
	unsoftmaxed := scores(traces.Softmax, 2*s, s, 4)
	fused := b.profile.Training != nil && b.profile.Training.MaskedSoftmax
	var steps []step
	when := func(yes bool, st step) {
		if yes {
			steps = append(steps, st)
		}
	}
	dropped := a.dropout || gradients && b.mapping.Backward
	if forward {
		when(!fused, step{".scale", &scale, [3]int64{}})
		steps = append(steps, step{".qk", nil, [3]int64{m, kv, a.dim}})
		when(!fused, step{".mask", &mask, [3]int64{}})
		steps = append(steps, step{".softmax", &softmax, [3]int64{}})
		when(dropped, step{".dropout", &dropout, [3]int64{}})
		steps = append(steps, step{".pv", nil, [3]int64{m, a.values, kv}})
	}
	if gradients {
		steps = append(steps, step{".dv", nil, [3]int64{kv, a.values, m}}, step{".dp", nil, [3]int64{m, kv, a.values}})
		when(dropped, step{".dropout.backward", &undropped, [3]int64{}})
		steps = append(steps, step{".softmax.backward", &unsoftmaxed, [3]int64{}}, step{".dq", nil, [3]int64{m, a.dim, kv}}, step{".dk", nil, [3]int64{kv, a.dim, m}})
		when(!fused, step{".scale.backward", &scale, [3]int64{}})
	}
	for _, st := range steps {
		var err error
		if st.rows != nil {
			err = row(st.name, *st.rows)
		} else {
			err = product(st.name, st.dims[0], st.dims[1], st.dims[2])
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
