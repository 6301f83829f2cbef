package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Memory is what one chip has to hold.
type Memory struct {
	Weights     units.Bytes
	KV          units.Bytes // at the longest context
	Activations units.Bytes // largest set of tensors alive within one block
}

// eachWeight visits the weights that a graph uses: what one chip has of each in a layer, and in how many layers it
// has not been visited before.
func eachWeight(g *traces.Graph, p *Mapping, visit func(blk *traces.Block, op *traces.Op, t *traces.Tensor, each units.Bytes, layers int64) error) error {
	// Layers are counted by range, not one by one: a run covers layers first…first+times−1.
	type span struct{ first, end int64 }
	covered := map[string][]span{}
	for i := range g.Runs {
		run := &g.Runs[i]
		blk := &g.Blocks[run.Block]
		for j := range blk.Ops {
			op := &blk.Ops[j]
			for _, id := range op.Inputs {
				t := &blk.Tensors[id]
				if t.Role != traces.Weight {
					continue
				}
				bytes, err := p.weightBytes(op, t)
				if err != nil {
					return err
				}
				s := span{run.FirstLayer, run.FirstLayer + run.Times}
				fresh := []span{s}
				for _, c := range covered[t.Name] {
					var rest []span
					for _, f := range fresh {
						if c.end <= f.first || c.first >= f.end {
							rest = append(rest, f)
							continue
						}
						if f.first < c.first {
							rest = append(rest, span{f.first, c.first})
						}
						if c.end < f.end {
							rest = append(rest, span{c.end, f.end})
						}
					}
					fresh = rest
				}
				for _, f := range fresh {
					covered[t.Name] = append(covered[t.Name], f)
					if err := visit(blk, op, t, bytes, f.end-f.first); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// Share is what one chip has of the weights of a block: the number of those that are trained, and the bytes of those that are
// frozen; of experts apart.
type Share struct {
	Parameters, ExpertParameters int64
	Frozen, FrozenExperts        units.Bytes
}

// ShareOf adds up what one chip of a tensor group has of the weights of a block, where one rank of ep has its part of the
// experts. With adapters only, the weights that are trained are those of low-rank adapters. Those that another block has too,
// as the head a tied table, are not counted (nil: all are).
func ShareOf(blk, other *traces.Block, tp, ep int64, adapters bool) (Share, error) {
	var s Share
	p := Mapping{TP: max(tp, 1), EP: max(ep, 1), AttnDP: max(ep, 1), MoETP: max(tp, 1)}
	seen := map[string]bool{}
	if other != nil {
		for i := range other.Tensors {
			seen[other.Tensors[i].Name] = other.Tensors[i].Role == traces.Weight
		}
	}
	for i := range blk.Ops {
		op := &blk.Ops[i]
		for _, id := range op.Inputs {
			t := &blk.Tensors[id]
			if t.Role != traces.Weight || seen[t.Name] {
				continue
			}
			seen[t.Name] = true
			trained, frozen := &s.Parameters, &s.Frozen
			if op.Kind == traces.MoE {
				trained, frozen = &s.ExpertParameters, &s.FrozenExperts
			}
			var ok bool
			if adapters && !t.Adapter() {
				n, err := p.weightBytes(op, t)
				if err != nil {
					return s, err
				}
				var sum int64
				sum, ok = units.Add(int64(*frozen), int64(n))
				*frozen = units.Bytes(sum)
			} else {
				n, fits := mul(t.Shape...)
				if !fits {
					return s, fmt.Errorf("tensor %s: %w", t.Name, ErrTooLarge)
				}
				*trained, ok = units.Add(*trained, units.CeilDiv(n, p.ways(op)))
			}
			if !ok {
				return s, fmt.Errorf("weights of block %s: %w", blk.Name, ErrTooLarge)
			}
		}
	}
	return s, nil
}

// weightBytes returns what one chip has of a weight of an operator.
func (p *Mapping) weightBytes(op *traces.Op, t *traces.Tensor) (units.Bytes, error) {
	bytes, ok := t.Bytes()
	if !ok {
		return 0, fmt.Errorf("tensor %s: %w", t.Name, ErrTooLarge)
	}
	return units.Bytes(units.CeilDiv(int64(bytes), p.ways(op))), nil
}

// Footprint works out what one chip holds under the mapping. A weight is one tensor name in one
// layer, however many blocks use it; weights of operators that tensor parallelism divides count
// their part, all others in full.
//
// In a pipeline it is that of the chips that hold the most.
func Footprint(m *arch.Machine, g *traces.Graph, p Mapping) (Memory, error) {
	return footprintOf(m, p.local(m, g), p)
}

// footprintOf is Footprint of the graph as the chips of a stage have it.
func footprintOf(m *arch.Machine, g *traces.Graph, p Mapping) (Memory, error) {
	if p.PP <= 1 {
		return footprint(m, g, p)
	}
	var most Memory
	for stage := range p.PP {
		mem, err := footprint(m, Stage(g, p.PP, stage), p)
		if err != nil {
			return most, err
		}
		if mem.total() > most.total() {
			most = mem
		}
	}
	return most, nil
}

// total is all that a chip holds, as far as it can be counted.
func (f Memory) total() units.Bytes {
	n, _ := units.Add(int64(f.Weights), int64(f.KV))
	n, ok := units.Add(n, int64(f.Activations))
	if !ok {
		return units.Bytes(math.MaxInt64)
	}
	return units.Bytes(n)
}

func footprint(m *arch.Machine, g *traces.Graph, p Mapping) (Memory, error) {
	tp := max(p.TP, 1)
	var mem Memory
	profile, err := p.runtime(m)
	if err != nil {
		return mem, err
	}
	grow := func(to *units.Bytes, by units.Bytes, times int64) error {
		n, ok := units.Mul(int64(by), times)
		if ok {
			n, ok = units.Add(int64(*to), n)
		}
		if !ok {
			return fmt.Errorf("memory footprint: %w", ErrTooLarge)
		}
		*to = units.Bytes(n)
		return nil
	}
	err = eachWeight(g, &p, func(_ *traces.Block, _ *traces.Op, _ *traces.Tensor, each units.Bytes, layers int64) error {
		return grow(&mem.Weights, each, layers)
	})
	if err != nil {
		return mem, err
	}
	type kvKey struct {
		op    string
		first int64
	}
	kv := map[kvKey]units.Bytes{}
	var kvOrder []kvKey
	for i := range g.Runs {
		run := &g.Runs[i]
		blk := &g.Blocks[run.Block]
		// Requests of a server take turns: attention of one run is over different ones, that of another over the same again.
		k, together := kvKey{first: run.FirstLayer}, units.Bytes(0)
		for j := range blk.Ops {
			op := &blk.Ops[j]
			if op.Kind == traces.Attention {
				part := *op
				if op.Split == traces.Heads {
					part.Heads, part.KVHeads = units.CeilDiv(op.Heads, tp), units.CeilDiv(op.KVHeads, tp)
				}
				n, ok := part.CacheBytes(paged(op, run.Past, profile.CachePage))
				if !ok {
					return mem, fmt.Errorf("key/value cache of %s: %w", op.Name, ErrTooLarge)
				}
				var bytes units.Bytes
				if err := grow(&bytes, n, run.Times); err != nil {
					return mem, err
				}
				if k.op == "" || g.Phase != "serve" {
					k.op, together = op.Name, 0
				}
				if err := grow(&together, bytes, 1); err != nil {
					return mem, err
				}
				if _, ok := kv[k]; !ok {
					kvOrder = append(kvOrder, k)
				}
				if g.Phase == traces.Prefill.String() && op.Past+run.Past == 0 { // steps of one prefill take other prompts
					all := kv[k]
					if err := grow(&all, bytes, run.Steps()); err != nil {
						return mem, err
					}
					kv[k] = all
				} else {
					kv[k] = max(kv[k], together)
				}
			}
		}
	}
	for _, k := range kvOrder {
		if err := grow(&mem.KV, kv[k], 1); err != nil {
			return mem, err
		}
	}
	if p.InFlight > 1 { // each batch has a cache of its own
		if err := grow(&mem.KV, mem.KV, p.InFlight-1); err != nil {
			return mem, err
		}
	}
	pins := newPinning(p.Pins)
	past := make([]int64, len(g.Blocks))  // longest cache of any run of the block
	phases := make([]uint, len(g.Blocks)) // in which the block runs, a bit each
	for i := range g.Runs {
		run := &g.Runs[i]
		past[run.Block] = max(past[run.Block], run.Past)
		phases[run.Block] |= 1 << run.Phase
	}
	for i := range g.Blocks {
		blk := &g.Blocks[i]
		fused := func(op *traces.Op) bool {
			for phase, set := traces.Phase(0), phases[i]; set != 0; phase, set = phase+1, set>>1 {
				if set&1 != 0 && !pins.fuses(profile, "flash-attention", phase, blk.Name, op.Name) {
					return false
				}
			}
			return true
		}
		alive, err := peakActivations(blk, &p, past[i], fused)
		if err != nil {
			return mem, err
		}
		if p.Backward {
			more, err := gradientActivations(blk, past[i], fused)
			if err != nil {
				return mem, err
			}
			if err := grow(&alive, more, 1); err != nil {
				return mem, err
			}
		}
		mem.Activations = max(mem.Activations, alive)
	}
	return mem, nil
}

// peakActivations returns the size of the arena for a block's activations: a tensor lives from the operator that
// writes it to the last that reads it. Attention that is not fused also holds its
// scores, before and after the softmax.
func peakActivations(blk *traces.Block, p *Mapping, past int64, fused func(*traces.Op) bool) (units.Bytes, error) {
	d := p.Degrees()
	tp := d.TP
	first, last := make([]int, len(blk.Tensors)), make([]int, len(blk.Tensors))
	divided := make([]bool, len(blk.Tensors))
	for t := range first {
		first[t], last[t] = len(blk.Ops), -1
	}
	for j := range blk.Ops {
		op := &blk.Ops[j]
		for _, ids := range [][]traces.TensorID{op.Inputs, op.Outputs} {
			for _, id := range ids {
				first[id], last[id] = min(first[id], j), max(last[id], j)
			}
		}
		for _, id := range op.Outputs {
			divided[id] = op.Split == traces.Column || op.Split == traces.Heads || op.Split == traces.Sharded
		}
	}
	var lives []life
	for t := range blk.Tensors {
		if last[t] < 0 || blk.Tensors[t].Role != traces.Activation {
			continue
		}
		size, ok := blk.Tensors[t].Bytes()
		if !ok {
			return 0, fmt.Errorf("tensor %s: %w", blk.Tensors[t].Name, ErrTooLarge)
		}
		bytes := int64(size)
		if divided[t] {
			bytes = units.CeilDiv(bytes, tp)
		}
		lives = append(lives, life{bytes, first[t], last[t]})
	}
	for j := range blk.Ops {
		op := &blk.Ops[j]
		if op.Kind == traces.MoE && d.AttnDP > 1 { // tokens of other groups, and what becomes of them
			rows := op.M
			if p.Exchange == Dispatch {
				rows = arrived(op, op.Routes())
			}
			there, ok := mul(rows, op.K)
			if !ok || there > traces.MaxElements {
				return 0, fmt.Errorf("tokens of all groups in %s: %w", op.Name, ErrTooLarge)
			}
			lives = append(lives, life{int64(op.DType.Bytes(there)) + int64(op.DType.Result().Bytes(there)), j, j})
		}
		if op.Kind != traces.Attention || fused(op) {
			continue
		}
		heads := op.Heads
		if op.Split == traces.Heads {
			heads = units.CeilDiv(heads, tp)
		}
		scores, ok := mul(2, op.Batch, heads, op.QLen, op.SeenPast(past)+op.NewKeys())
		if !ok || scores > traces.MaxElements {
			return 0, fmt.Errorf("scores of %s: %w", op.Name, ErrTooLarge)
		}
		lives = append(lives, life{int64(op.DType.Bytes(scores)), j, j})
	}
	_, size, ok := allocate(lives)
	if !ok {
		return 0, fmt.Errorf("activations of %s: %w", blk.Name, ErrTooLarge)
	}
	return units.Bytes(size), nil
}
