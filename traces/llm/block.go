package llm

import "github.com/stratasim/strata/traces"

// block builds a traces.Block. Shapes and operands are cut from two long slices, so a block costs a
// handful of allocations.
type block struct {
	traces.Block
	m           *Model
	w           *Workload
	sequences   int64 // that the tokens are of, those beside a prefill too
	inAttention bool  // what is added belongs to attention
	shapes      []int64
	refs        []traces.TensorID
	narrow      map[traces.TensorID]traces.TensorID // quantized forms of activations
}

func (m *Model) newBlock(name string, w *Workload, tensors, ops int) *block {
	return &block{Block: traces.Block{Name: name, Tensors: make([]traces.Tensor, 0, tensors), Ops: make([]traces.Op, 0, ops)},
		m: m, w: w, sequences: w.Batch, shapes: make([]int64, 0, 2*tensors+8), refs: make([]traces.TensorID, 0, 6*ops)}
}

// tensor adds a tensor of one or two dimensions.
func (b *block) tensor(name string, role traces.Role, d traces.DType, shape ...int64) traces.TensorID {
	b.Tensors = append(b.Tensors, traces.Tensor{Name: name, Shape: b.sizes(shape...), Type: d, Role: role})
	return traces.TensorID(len(b.Tensors) - 1)
}

// activation adds a tensor of rows×cols activations.
func (b *block) activation(name string, rows, cols int64) traces.TensorID {
	return b.tensor(name, traces.Activation, b.w.DType, rows, cols)
}

func (b *block) sizes(s ...int64) []int64 {
	k := len(b.shapes)
	b.shapes = append(b.shapes, s...)
	return b.shapes[k:len(b.shapes):len(b.shapes)]
}

func (b *block) ids(ids ...traces.TensorID) []traces.TensorID {
	k := len(b.refs)
	b.refs = append(b.refs, ids...)
	return b.refs[k:len(b.refs):len(b.refs)]
}

// op adds an operator. Its WeightDType must be set; the other formats are the workload's.
func (b *block) op(o traces.Op, in, out []traces.TensorID) {
	o.DType, o.KVDType = b.w.DType, b.w.DType
	if o.Kind == traces.Attention || o.Kind == traces.KVAppend {
		o.KVDType = b.w.KVDType
	}
	o.Inputs, o.Outputs = in, out
	b.Ops = append(b.Ops, o)
}

// rows adds an operator on rows×cols elements that has no weights.
func (b *block) rows(kind traces.Kind, split traces.Split, name string, rows, cols int64, in, out []traces.TensorID) {
	b.op(traces.Op{Name: name, Kind: kind, Split: split, WeightDType: b.w.DType, Rows: rows, Cols: cols}, in, out)
}

// weights returns the format of the weights of products.
func (b *block) weights() traces.DType { return b.w.full(b.inAttention && b.m.AttentionInFull) }

// gemm adds the product of rows×k elements with a weight of the parts' columns together.
func (b *block) gemm(name string, split traces.Split, rows, k int64, bias bool, in traces.TensorID, out []traces.TensorID, parts ...int64) {
	var n int64
	for _, p := range parts {
		n += p
	}
	d := b.weights()
	weight := b.tensor(weightName(name), traces.Weight, d, k, n)
	ids := b.ids(in, weight)
	if bias {
		ids = b.ids(in, weight, b.tensor(biasName(name), traces.Weight, b.w.DType, n))
	}
	o := traces.Op{Name: name, Kind: traces.Gemm, Split: split, WeightDType: d, Batch: 1, M: rows, N: n, K: k}
	o.Accumulate = b.adapt(name, split, rows, k, in, out, parts)
	if len(parts) > 1 {
		o.Parts = b.sizes(parts...)
	}
	b.product(o, ids, out)
}

// product adds a product with a weight. If its left operand, the first of the inputs, is to be narrow, it
// is quantized before, once for all products that read it.
func (b *block) product(o traces.Op, in, out []traces.TensorID) {
	narrow := b.w.operand.Bits() < 16 && o.WeightDType.Bits() < 16
	if narrow {
		in[0] = b.quantized(in[0], &o)
	}
	b.op(o, in, out)
	if narrow {
		b.Ops[len(b.Ops)-1].DType = b.w.operand
	}
}

// quantized returns the narrow form of the left operand of a product.
func (b *block) quantized(x traces.TensorID, o *traces.Op) traces.TensorID {
	if n, ok := b.narrow[x]; ok {
		return n
	}
	split := traces.Whole
	if o.Kind == traces.Gemm && (o.Split == traces.Row || o.Split == traces.Partial) {
		split = traces.Sharded
	}
	name := o.Name + "_in"
	n := b.tensor(name, traces.Activation, b.w.operand, o.M, o.K)
	b.op(traces.Op{Name: o.Name + ".quantize", Kind: traces.Quantize, Split: split, WeightDType: b.w.DType, ToDType: b.w.operand, Rows: o.M, Cols: o.K}, b.ids(x), b.ids(n))
	if b.narrow == nil {
		b.narrow = map[traces.TensorID]traces.TensorID{}
	}
	b.narrow[x] = n
	return n
}

// norm adds a norm over the residual stream and returns its result.
func (b *block) norm(m *Model, name string, in traces.TensorID, rows int64) traces.TensorID {
	kind := traces.LayerNorm
	if m.Norm == RMSNorm {
		kind = traces.RMSNorm
	}
	weight := b.tensor(weightName(name), traces.Weight, b.w.DType, m.Hidden)
	ids := b.ids(in, weight)
	if m.Norm == LayerNorm {
		ids = b.ids(in, weight, b.tensor(biasName(name), traces.Weight, b.w.DType, m.Hidden))
	}
	out := b.tensor(resultName(name), traces.Activation, b.w.DType, rows, m.Hidden)
	b.rows(kind, traces.Whole, name, rows, m.Hidden, ids, b.ids(out))
	return out
}

// headNorm adds a norm over each head of x, in place.
func (b *block) headNorm(m *Model, name string, x traces.TensorID, rows int64) {
	weight := b.tensor(weightName(name), traces.Weight, b.w.DType, m.HeadDim)
	// Heads are divided, so each chip norms its rows; all need the weight, which is tiny.
	b.rows(traces.RMSNorm, traces.Sharded, name, rows, m.HeadDim, b.ids(x, weight), b.ids(x))
}

// wideNorm adds a norm over all heads of x together, in place.
func (b *block) wideNorm(name string, x traces.TensorID, rows, cols int64) {
	weight := b.tensor(weightName(name), traces.Weight, b.w.DType, cols)
	b.rows(traces.RMSNorm, traces.Sharded, name, rows, cols, b.ids(x, weight), b.ids(x))
}

func weightName(op string) string { return op + ".weight" }

func biasName(op string) string { return op + ".bias" }

func resultName(op string) string { return op + ".out" }
