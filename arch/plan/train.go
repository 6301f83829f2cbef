package plan

import (
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Sequence parallelism (Korthikanti et al., Reducing Activation Recomputation in Large Transformer Models, arXiv 2205.05198,
// section 4.2.2): between products that are divided by columns or rows, what every chip of the tensor group would do in full is
// divided by tokens. Rows are gathered before a product that is divided by columns, and sums are scattered after one that is
// divided by rows: as many bytes as an all-reduce, in two parts.
//
// Not modelled: that the operand of a product is gathered once more for the gradient of its weight. Frameworks start that
// beside the product before it, which hides it.

// bySequence reports whether an operator that is not divided otherwise is divided by tokens.
func (b *builder) bySequence(op *traces.Op, run *traces.Run) bool {
	return b.mapping.SP && b.mapping.TP > 1 && run.Phase != traces.Update && op.Kind != traces.Accumulate
}

// replicas is by how many columns the part that a chip has of a projection of keys or values, or of all three, is larger than
// its share: there are fewer key/value heads than chips, and each chip has a whole one.
func (b *builder) replicas(columns int64) (more int64) {
	tp := b.mapping.TP
	for i := range b.blk.Ops {
		op := &b.blk.Ops[i]
		if op.Kind != traces.Attention || op.Latent || op.Cross || op.KVHeads >= tp {
			continue
		}
		for _, dim := range []int64{op.HeadDim, op.Values()} {
			if columns == op.KVHeads*dim {
				return dim - units.CeilDiv(columns, tp)
			}
		}
		if columns == op.Heads*op.HeadDim+op.KVHeads*(op.HeadDim+op.Values()) {
			return units.CeilDiv(op.Heads*op.HeadDim, tp) + op.HeadDim + op.Values() - units.CeilDiv(columns, tp)
		}
	}
	return 0
}

// makesGradient reports whether an operator makes the gradient of a weight: tokens are what it reduces.
func makesGradient(blk *traces.Block, op *traces.Op) bool {
	for _, id := range op.Outputs {
		if blk.Tensors[id].Role == traces.Gradient {
			return true
		}
	}
	return false
}

// gather adds what brings the rows of a product's left operands together, once for each of them.
func (b *builder) gather(op *traces.Op, run *traces.Run, emit func(*Body, error) error) error {
	if !b.bySequence(op, run) || op.Batch > 1 || op.Split != traces.Column && op.Split != traces.Vocab || makesGradient(b.blk, op) {
		return nil
	}
	for _, id := range op.Inputs {
		t := &b.blk.Tensors[id]
		if t.Role != traces.Activation || b.gathered[id] {
			continue
		}
		b.gathered[id] = true
		bytes, ok := t.Bytes()
		if !ok {
			return ErrTooLarge
		}
		if err := emit(b.collective(op.Name+".all-gather", run.Phase, traces.AllGather, bytes)); err != nil {
			return err
		}
	}
	return nil
}

// sum adds up what the chips of the tensor group have of a result, on all of them or with sequence parallelism on each its rows.
func (b *builder) sum(name string, run *traces.Run, bytes units.Bytes) (*Body, error) {
	if b.mapping.SP && run.Phase != traces.Update {
		return b.collective(name+".reduce-scatter", run.Phase, traces.ReduceScatter, bytes)
	}
	return b.collective(name+".all-reduce", run.Phase, traces.AllReduce, bytes)
}
