package plan

import (
	"cmp"
	"slices"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Staying says which tensors of a block wait in the shared on-chip memory for the kernels that read them, so
// that they are neither written off chip nor read from there.
type Staying struct {
	Block   string
	Phase   string
	Tensors []string
	Peak    units.Bytes // most of them alive at once, on one chip
}

// waits works out once for each block which of its tensors wait on chip.
//
// A tensor lives from the first operator that writes it to the last one that reads it. Those that a block gets
// from the one before or leaves to the next live off chip, and so do tensors of operators whose kernels do not take
// operands from there: eager attention, mixtures of experts, and products whose result a collective completes.
// Of the others those come first that save most bytes off chip for each byte and operator that they wait, and all that
// has room at each operator of their life stays.
func (b *builder) waits(blk *traces.Block, run *traces.Run) ([]bool, error) {
	in := b.profile.Intermediates
	if in == nil || b.shared == nil || b.mapping.Alone {
		return nil, nil
	}
	key := waitKey{run.Block, run.Phase}
	if w, ok := b.waiting[key]; ok {
		return w, nil
	}
	type life struct {
		t           traces.TensorID
		first, last int
		bytes       int64
		uses        int64 // times that it is read or written
		fits        bool
	}
	lives := make([]life, len(blk.Tensors))
	for t := range lives {
		lives[t] = life{t: traces.TensorID(t), first: -1, fits: blk.Tensors[t].Role == traces.Activation}
	}
	for j := range blk.Ops {
		op := &blk.Ops[j]
		for i, id := range op.Inputs {
			l := &lives[id]
			l.fits = l.fits && l.first >= 0 && b.takesOnChip(op, run.Phase, i)
			if l.fits && op.Kind == traces.Gemm { // as it is
				n, err := b.localBytes(blk, id)
				if err != nil {
					return nil, err
				}
				l.fits = n == int64(op.DType.Bytes(op.M*b.local(op).K))
			}
			l.last = j
			l.uses++
		}
		for _, id := range op.Outputs {
			l := &lives[id]
			l.fits = l.fits && b.leavesOnChip(op, run.Phase)
			if l.first < 0 {
				l.first = j
			}
			l.uses++
		}
	}
	var list []*life
	for t := range lives {
		l := &lives[t]
		if !l.fits || l.first < 0 || l.last <= l.first {
			continue
		}
		var err error
		if l.bytes, err = b.localBytes(blk, l.t); err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	slices.SortStableFunc(list, func(x, y *life) int {
		return cmp.Compare(y.uses*int64(x.last-x.first), x.uses*int64(y.last-y.first))
	})
	room := int64(float64(b.sharedRoom()) * in.Room)
	used := make([]int64, len(blk.Ops))
	stays := make([]bool, len(blk.Tensors))
	for _, l := range list {
		if !slices.ContainsFunc(used[l.first:l.last+1], func(n int64) bool { return n > room-l.bytes }) {
			stays[l.t] = true
			for j := l.first; j <= l.last; j++ {
				used[j] += l.bytes
			}
		}
	}
	// A product stores its result in one place.
	for j := range blk.Ops {
		if op := &blk.Ops[j]; op.Kind == traces.Gemm && slices.ContainsFunc(op.Outputs, func(id traces.TensorID) bool { return !stays[id] }) {
			for _, id := range op.Outputs {
				if stays[id] {
					stays[id] = false
					for k := lives[id].first; k <= lives[id].last; k++ {
						used[k] -= lives[id].bytes
					}
				}
			}
		}
	}
	w := Staying{Block: blk.Name, Phase: run.Phase.String(), Peak: units.Bytes(slices.Max(append(used, 0)))}
	for t, s := range stays {
		if s {
			w.Tensors = append(w.Tensors, blk.Tensors[t].Name)
		}
	}
	b.p.Staying = append(b.p.Staying, w)
	b.waiting[key] = stays
	return stays, nil
}

type waitKey struct {
	block int32
	phase traces.Phase
}

// takesOnChip reports whether the kernel of an operator takes its i-th operand from on chip.
func (b *builder) takesOnChip(op *traces.Op, phase traces.Phase, i int) bool {
	switch {
	case op.Kind == traces.Gemm:
		return i == 0 && max(op.Batch, 1) == 1 && op.Accumulate == 0
	case op.Kind == traces.Attention:
		return i == 0 && op.Relative == traces.NoRelative && b.fuses("flash-attention", phase, op.Name)
	}
	return op.Kind.RowWise()
}

// leavesOnChip reports whether the kernel of an operator leaves its results on chip: not if a collective or a
// kernel of its own has yet to complete them.
func (b *builder) leavesOnChip(op *traces.Op, phase traces.Phase) bool {
	completed := b.mapping.TP > 1 && (op.Split == traces.Row || op.Split == traces.Vocab)
	switch {
	case completed:
		return false
	case op.Kind == traces.Gemm:
		return max(op.Batch, 1) == 1 && op.Accumulate == 0 && !(op.Split == traces.Row && len(op.Inputs) > 2 && b.profile.RowBias)
	case op.Kind == traces.Attention:
		return b.fuses("flash-attention", phase, op.Name)
	}
	return op.Kind.RowWise()
}

// onChipBytes returns the bytes of an operator's operands and of its results that wait on chip, for the block
// being planned.
func (b *builder) onChipBytes(op *traces.Op) (in, out int64, err error) {
	sum := func(ids []traces.TensorID) (n int64, err error) {
		for _, id := range ids {
			if b.stays == nil || !b.stays[id] {
				continue
			}
			size, err := b.localBytes(b.blk, id)
			if err != nil {
				return 0, err
			}
			grow(&n, size)
		}
		return n, nil
	}
	if in, err = sum(op.Inputs); err != nil {
		return 0, 0, err
	}
	out, err = sum(op.Outputs)
	return in, out, err
}

// holds names the memory that holds a tensor: the shared one on chip if it waits there.
func (b *builder) holds(onChip bool) string {
	if onChip {
		return b.shared.Name
	}
	return b.off.Name
}

// keepRoom is the part of the shared on-chip memory in which operands of a product stay from wave to wave: what does
// not wait there from kernel to kernel.
func (b *builder) keepRoom() int64 {
	room := b.sharedRoom()
	if in := b.profile.Intermediates; in != nil && !b.mapping.Alone {
		room -= int64(float64(room) * in.Room)
	}
	return room
}

// sharedRoom is how much different data has room in the shared on-chip memory.
func (b *builder) sharedRoom() int64 {
	if d := b.m.Chip.Dies; d != nil && d.Copies {
		return int64(b.shared.Capacity) / d.Count
	}
	return int64(b.shared.Capacity)
}
