package traces

import (
	"errors"

	"github.com/stratasim/strata/sim/units"
)

// Work is what an operator asks for at the least: operations, and each operand moved once.
type Work struct {
	MatrixOps   units.Ops // of matrix products; a multiply-add is two
	VectorOps   units.Ops // simple operations on elements
	SpecialOps  units.Ops // transcendental operations
	ReadBytes   units.Bytes
	WeightBytes units.Bytes // weights and tables, read
	WriteBytes  units.Bytes
}

var errTooMuch = errors.New("operations or bytes exceed a 64-bit count")

// count multiplies checked; a failed product stays failed.
type count struct{ ok bool }

func (c *count) mul(xs ...int64) int64 {
	p := int64(1)
	for _, x := range xs {
		var ok bool
		if p, ok = units.Mul(p, x); !ok {
			c.ok = false
			return 0
		}
	}
	return p
}

func (c *count) add(xs ...int64) int64 {
	var s int64
	for _, x := range xs {
		var ok bool
		if s, ok = units.Add(s, x); !ok {
			c.ok = false
			return 0
		}
	}
	return s
}

func (c *count) bytes(d DType, xs ...int64) units.Bytes {
	n := c.mul(xs...)
	if n > MaxElements {
		c.ok = false
		return 0
	}
	return d.Bytes(n)
}

// Pairs returns how many pairs of a query and a key attention visits per head and sequence: all of
// them, or with a causal mask past + i for the i-th query.
func Pairs(qlen, past int64, causal bool) int64 {
	if !causal {
		return qlen * (past + qlen)
	}
	return qlen*past + qlen*(qlen+1)/2
}

// size is Size checked: across vectors of along elements.
func (c *count) size(d DType, along int64, across ...int64) units.Bytes {
	vectors := c.mul(across...)
	if c.mul(along, vectors) > MaxElements {
		c.ok = false
	}
	if !c.ok {
		return 0
	}
	return d.Size(along, vectors)
}

func (c *count) kv(d DType, dim int64, vectors ...int64) units.Bytes {
	n := c.mul(vectors...)
	if c.mul(dim, n) > MaxElements {
		c.ok = false
	}
	if !c.ok {
		return 0
	}
	return d.KVBytes(n, dim)
}

// quantized returns the size of rows of activations in a narrow format; what has no scales of its own
// gets one of 32 bits a row.
func (c *count) quantized(d DType, cols, rows int64) units.Bytes {
	n := c.size(d, cols, rows)
	if !d.Scaled() {
		n = units.Bytes(c.add(int64(n), c.mul(4, rows)))
	}
	return n
}

// Result is the format of what a product writes: 16 bits, or FP32 where the operator says so.
func (op *Op) Result() DType {
	if op.ToDType == FP32 {
		return FP32
	}
	return op.DType.Result()
}

// Work counts the operator with past cached tokens on top of its own. The error says that a count
// does not fit 64 bits.
func (op *Op) Work(past int64) (Work, error) {
	c := count{true}
	var w Work
	k := &kinds[op.Kind]
	switch k.family {
	case product:
		w.MatrixOps = units.Ops(c.mul(2, op.Batch, op.M, op.N, op.K))
		w.ReadBytes = c.size(op.DType, op.K, op.Batch, op.M)
		if op.Distinct > 0 {
			w.ReadBytes = c.bytes(op.DType, op.Distinct)
		}
		if b := c.size(op.WeightDType, op.K, op.Batch, op.N); op.Batch == 1 {
			w.WeightBytes = b
		} else { // both operands are activations
			w.ReadBytes = units.Bytes(c.add(int64(w.ReadBytes), int64(b)))
		}
		w.WriteBytes = c.bytes(op.Result(), op.Batch, op.M, op.N)
		w.ReadBytes = units.Bytes(c.add(int64(w.ReadBytes), int64(c.bytes(op.Result(), op.Batch, op.M, op.Accumulate))))
	case attending:
		if c.add(past, op.Past) < 0 || !c.ok {
			break
		}
		keys := c.add(op.SeenPast(past), op.NewKeys())
		all := c.mul(op.QLen, keys) // checks what Visits multiplies
		pairs := int64(0)
		if c.ok && all >= 0 {
			pairs = op.Visits(past)
		}
		scores := c.mul(op.Batch, op.Heads, pairs)
		widths := op.HeadDim + op.Values()
		q := c.bytes(op.DType, op.Batch, op.Heads, op.QLen, op.HeadDim)
		read := c.add(int64(q), int64(c.pairs(op.KVDType, op.HeadDim, op.Kept(), op.Batch, op.KVHeads, keys)))
		simple := kinds[Softmax].vector
		switch op.Relative {
		case Bias:
			read = c.add(read, int64(c.bytes(op.DType, op.Heads, op.QLen, keys)))
			simple++ // a sum for each score
		case Projected:
			read = c.add(read, int64(c.kv(op.KVDType, op.HeadDim, op.Heads, keys)))
			widths += op.HeadDim
			simple++
		}
		if op.Gradient { // five products for two, and twice the operands: dP, dQ, dK, dV and the scores once more
			w.MatrixOps = units.Ops(c.mul(2, scores, c.add(c.mul(3, op.HeadDim), c.mul(2, op.Values()))))
			w.VectorOps, w.SpecialOps = units.Ops(c.mul(scores, 6)), units.Ops(scores)
			out := c.bytes(op.DType.Result(), op.Batch, op.Heads, op.QLen, op.Values())
			w.ReadBytes, w.WriteBytes = units.Bytes(c.add(read, int64(out), int64(out))), units.Bytes(read)
			break
		}
		w.MatrixOps = units.Ops(c.mul(2, scores, widths))
		w.VectorOps = units.Ops(c.mul(scores, simple))
		w.SpecialOps = units.Ops(c.mul(scores, kinds[Softmax].special))
		w.ReadBytes = units.Bytes(read)
		w.WriteBytes = c.bytes(op.DType.Result(), op.Batch, op.Heads, op.QLen, op.Values())
	case rowWise:
		elements := c.mul(op.Rows, op.Cols)
		if op.Gradient {
			w = op.gradientOf(&c, elements)
			break
		}
		read := c.bytes(op.DType, k.reads, elements)
		if k.readsFromTable {
			w.WeightBytes = c.bytes(op.WeightDType, k.reads, elements)
			read = 0
		}
		if k.indexPerRow {
			read = units.Bytes(c.add(int64(read), int64(c.bytes(INT32, op.Rows))))
		}
		w.ReadBytes = read
		w.WeightBytes = units.Bytes(c.add(int64(w.WeightBytes), int64(c.bytes(op.DType, k.columnWeights, op.Cols))))
		w.WriteBytes = c.bytes(op.DType, k.writes, elements)
		if k.to {
			w.WriteBytes = units.Bytes(c.add(int64(c.bytes(op.DType, k.writes-1, elements)), int64(c.bytes(op.ToDType, elements))))
		}
		if k.mask {
			w.WriteBytes = units.Bytes(c.add(int64(w.WriteBytes), elements))
		}
		vector := k.vector
		switch {
		case op.Kind == Accumulate: // what it is added to is read in its own format
			w.ReadBytes = units.Bytes(c.add(int64(read), int64(c.bytes(op.ToDType, elements))))
		case op.Kind == Quantize:
			w.WriteBytes = c.quantized(op.ToDType, op.Cols, op.Rows)
			if len(op.Outputs) > 1 { // and turned, as the gradients of weights need it
				w.WriteBytes = units.Bytes(c.mul(2, int64(w.WriteBytes)))
			}
		case op.Kind == KVAppend:
			// The heads of a row are not known here: a scale that each of them has is counted once.
			w.WriteBytes = c.kv(op.KVDType, op.Cols, op.Rows)
			if op.KVDType.Bits() < op.DType.Bits() {
				vector = kinds[Quantize].vector
			}
		}
		w.VectorOps = units.Ops(c.add(c.mul(vector, elements), c.mul(k.vectorPerRow, op.Rows)))
		w.SpecialOps = units.Ops(c.add(c.mul(k.special, elements), c.mul(k.specialPerRow, op.Rows)))
	case mixture:
		if w = op.mixtureWork(&c); op.Gradient { // a product for the rows and one for the weights
			w.MatrixOps, w.VectorOps, w.SpecialOps = units.Ops(c.mul(2, int64(w.MatrixOps))), units.Ops(c.mul(2, int64(w.VectorOps))), units.Ops(c.mul(2, int64(w.SpecialOps)))
			w.ReadBytes, w.WriteBytes = units.Bytes(c.mul(2, int64(w.ReadBytes))), units.Bytes(c.add(c.mul(2, int64(w.WriteBytes)), int64(w.WeightBytes)))
		}
	case collective:
		w.ReadBytes, w.WriteBytes = op.Bytes, op.Bytes
	}
	if !c.ok {
		return Work{}, errTooMuch
	}
	return w, nil
}

// gradientOf counts the backward pass of a row-wise operator.
func (op *Op) gradientOf(c *count, elements int64) (w Work) {
	k := &kinds[op.Kind]
	g := k.gradient
	w.ReadBytes = c.bytes(op.DType, g.reads, elements)
	w.WriteBytes = c.bytes(op.DType, g.writes, elements)
	if k.to { // back into the format that came in
		w.ReadBytes = c.bytes(op.ToDType, elements)
	}
	if k.mask {
		w.ReadBytes = units.Bytes(c.add(int64(w.ReadBytes), elements))
	}
	if k.indexPerRow {
		w.ReadBytes = units.Bytes(c.add(int64(w.ReadBytes), int64(c.bytes(INT32, op.Rows))))
	}
	w.WeightBytes = c.bytes(op.DType, k.columnWeights, op.Cols)
	w.VectorOps, w.SpecialOps = units.Ops(c.mul(g.vector, elements)), units.Ops(c.mul(g.special, elements))
	return w
}

// ModelOps counts the operations of the model as MFU does: matrix products, and attention over all
// keys as if nothing were masked, those beyond a window aside. A mixture of experts counts those that
// its tokens are sent to, of all ranks.
func (op *Op) ModelOps(past int64) (units.Ops, error) {
	whole := *op
	switch {
	case op.Kind == Attention && op.Window > 0:
		c := count{true}
		// As many keys as the window has, for each of the queries.
		whole.Past = min(c.add(past, op.Past, op.QLen), op.Window)
		whole.Window, whole.Causal, whole.Cross = 0, false, true
	case op.Kind == MoE:
		whole.EP, whole.SkewMilli = 1, 0
	default:
		whole.Causal = false
	}
	w, err := whole.Work(past)
	return w.MatrixOps, err
}
