package parallel

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/sim/units"
)

// Recompute says which activations are not kept but computed again in the backward pass.
type Recompute string

// What is computed again: nothing; the core of attention (scores, softmax, dropout), as Korthikanti et al. do; or all of a layer but
// its input.
const (
	RecomputeNone      Recompute = "none"
	RecomputeSelective Recompute = "selective"
	RecomputeFull      Recompute = "full"
)

// What a layer keeps for its backward pass, in Korthikanti et al. (section 4.1): tensors of a token, and bytes of an element where
// these do not follow from the format of activations.
const (
	// defaultElementBytes of an activation are those of a 16-bit format.
	defaultElementBytes = 2
	// keptHidden is tensors of the hidden size: the inputs of two norms and of the projections of queries, keys and values. That of
	// the feed-forward network comes apart, as each expert of a token has one of its own.
	keptHidden = 3
	// keptQuery is tensors of the size of queries: these, and what enters the output projection. keptKV is keys and values.
	keptQuery, keptKV = 2, 2
	// keptWide is tensors of the intermediate size: what enters the activation function and what leaves it. Gated networks have the
	// gate's operand as well.
	keptWide, keptGated = 2, 3
	// keptScores is tensors of scores that dropout leaves: those that enter it and those that leave it.
	keptScores = 2
	// maskBytes are those of one element of a mask of dropout.
	maskBytes = 1
	// keptMasks is masks of the hidden size: of dropout after attention and after the feed-forward network.
	keptMasks = 2
	// softmaxSumBytes is the logarithm of a softmax's sum, by head and token, in FP32: flash attention keeps it in place of scores.
	softmaxSumBytes = 4
)

// Shape is what of a layer its activations depend on.
type Shape struct {
	Hidden, Heads, KVHeads, HeadDim int64 // KVHeads 0: as many as Heads; HeadDim 0: Hidden/Heads
	Intermediate                    int64 // of the feed-forward network, or of one expert
	Gated                           bool
	TopK, Shared                    int64 // experts of a token, and the intermediate size of those that all share; 0: a dense network
	Dropout                         bool
	Flash                           bool // attention keeps no scores
	// ElementBytes of an activation; 0 is defaultElementBytes.
	ElementBytes int64
}

// Activations returns what one layer keeps for the backward pass of one micro-batch on one chip, for tokens of sequences of that
// length. For the layers of Korthikanti et al. (multi-head attention, intermediate 4h, dropout) these are their formulas:
// sbh(10 + 24/t + 5as/(ht)), with sequence parallelism sbh(34/t + 5as/(ht)), selective 34sbh/t, full 2sbh.
func (a *Shape) Activations(d Degrees, seq, batch int64, r Recompute) units.Bytes {
	d = d.Or1()
	e := float64(max(a.ElementBytes, 1))
	if a.ElementBytes == 0 {
		e = defaultElementBytes
	}
	t := float64(d.TP)
	whole := 1.0 // what sequence parallelism divides
	if d.SP {
		whole = t
	}
	h := float64(a.Hidden)
	tokens := float64(units.CeilDiv(seq, d.CP)) * float64(batch)
	if r == RecomputeFull {
		return units.Bytes(math.Ceil(float64(tokens*e*h) / whole))
	}
	heads, kv := float64(a.Heads), float64(a.KVHeads)
	if kv == 0 {
		kv = heads
	}
	hd := float64(a.HeadDim)
	if hd == 0 && heads > 0 {
		hd = h / heads
	}
	heads, kv = heads/t, max(kv/t, min(kv, 1)) // replicated where there are fewer than ranks
	per := float64(keptHidden*e*h) / whole
	per += float64(e*hd) * (keptQuery*heads + keptKV*kv)
	if a.Flash {
		per += softmaxSumBytes * heads
	} else if r == RecomputeNone {
		scores := e
		if a.Dropout {
			scores = keptScores*e + maskBytes
		}
		per += float64(scores*heads) * float64(seq)
	}
	wide := float64(keptWide)
	if a.Gated {
		wide = keptGated
	}
	if a.TopK > 0 {
		k := float64(a.TopK)
		per += float64(e*h)/whole + float64(k*e)*(h+float64(wide*float64(a.Intermediate))/t) + float64(e*wide)*float64(a.Shared)/t
	} else {
		per += float64(e*h)/whole + float64(e*wide)*float64(a.Intermediate)/t
	}
	if a.Dropout {
		per += keptMasks * maskBytes * h / whole
	}
	return units.Bytes(math.Ceil(float64(tokens * per)))
}

// State is what a parameter takes besides being there, in bytes.
type State struct {
	Weight    float64 // as kernels read it; 0 where only the optimizer's copy is kept between gathers
	Gradient  float64 // as it is added up
	Optimizer float64 // master copy and moments
	// Offload keeps the optimizer's state in the host's memory.
	Offload bool
}

// States of a parameter. Adam in mixed precision has a master copy and two moments of 4 B each; with 8-bit moments these are of 1 B.
var (
	AdamMixed     = State{Weight: 2, Gradient: 2, Optimizer: 12} // gradients of 2 B: 16 in all
	AdamMixed32   = State{Weight: 2, Gradient: 4, Optimizer: 12} // gradients added up in 4 B: 18
	Adam8bit      = State{Weight: 2, Gradient: 2, Optimizer: 6}
	AdamSharded   = State{Weight: 0, Gradient: 4, Optimizer: 12} // fully sharded: the shard is the master copy, 16
	AdamSharded16 = State{Weight: 0, Gradient: 2, Optimizer: 6}  // fully sharded, all of 2 B
)

// Held is equal blocks in a row, and what of them a chip of the tensor group holds.
type Held struct {
	Times int64
	Shape Shape
	// Parameters that are trained, experts apart, and those of the rank's experts.
	Parameters, ExpertParameters int64
	// Frozen is the bytes of weights that are not trained, experts apart, and FrozenExperts those of the rank's experts.
	Frozen, FrozenExperts units.Bytes
}

// defaultLogitBytes is what one logit of a token takes: 2 B as it leaves the product, in a 16-bit format, and 4 B as the loss sees
// it, in FP32. Estimated: its gradient takes the place of one of them.
const defaultLogitBytes = 6

// Footprint is what the memory of a chip depends on.
type Footprint struct {
	Degrees      Degrees
	Schedule     Schedule
	Microbatches int64
	Split        []int64 // as in Step
	CountEnds    bool

	Embedding, Head Held        // of one each; Shape is not looked at
	Tied            int64       // as in Step
	TiedFrozen      units.Bytes // as in Step
	Layers          []Held

	Seq, Batch int64 // tokens of a sequence, sequences of a micro-batch
	Vocabulary int64 // padded
	// LogitBytes of one logit and token; 0 is defaultLogitBytes.
	LogitBytes float64
	Recompute  Recompute
	// Recomputed is the part of the layers that Recompute is for; 0 is all.
	Recomputed float64

	State    State
	Sharding Sharding
}

// Memory is what one chip of a stage holds at its peak.
type Memory struct {
	Stage       int64
	Weights     units.Bytes
	Gradients   units.Bytes
	Optimizer   units.Bytes
	Gathered    units.Bytes // weights of other ranks while they are used, and gradients before they are divided
	Activations units.Bytes
	Logits      units.Bytes
	Host        units.Bytes // in the host's memory; not part of Total
}

// Total returns what the chip's own memory holds.
func (m *Memory) Total() units.Bytes {
	return m.Weights + m.Gradients + m.Optimizer + m.Gathered + m.Activations + m.Logits
}

// InFlight returns how many micro-batches of one chunk a stage holds activations of at most: m for GPipe, min(p−s, m) for 1F1B,
// 2(p−1−s) + (v−1)p + 1 chunks for interleaved ones (all m·v, where these are fewer or m is p), which on the first stage is
// p(1 + (p−1)/(pv)) micro-batches of all its layers, min(p, m) for ZB-H1, and 1 where nothing runs backward.
func InFlight(schedule Schedule, stages, chunks, microbatches, stage int64) int64 {
	o := order{kind: schedule, p: stages, v: max(1, chunks), m: microbatches}
	switch schedule {
	case Forward:
		return 1
	case GPipe:
		return microbatches
	case ZeroBubble:
		return min(stages, microbatches)
	}
	return min(o.warm(stage)+1, microbatches*o.v)
}

// Stages returns what chips of each stage hold. Errors are *FieldError.
func (f *Footprint) Stages() ([]Memory, error) {
	if err := f.Degrees.Validate(); err != nil {
		return nil, err
	}
	d := f.Degrees.Or1()
	if f.Microbatches < 1 || f.Seq < 0 || f.Batch < 0 {
		return nil, illegal("micro_batch", "", "%d micro-batches of %d sequences of %d tokens", f.Microbatches, f.Batch, f.Seq)
	}
	schedule, v, _, err := Resolve(f.Schedule, d.PP, d.Interleave, f.Microbatches)
	if err != nil {
		return nil, err
	}
	s := Step{Degrees: f.Degrees, Split: f.Split, CountEnds: f.CountEnds}
	for i := range f.Layers {
		s.Layers = append(s.Layers, Run{Times: f.Layers[i].Times})
	}
	split, err := s.split(d.PP, v)
	if err != nil {
		return nil, err
	}
	switch f.Recompute {
	case "", RecomputeNone, RecomputeSelective, RecomputeFull:
	default:
		return nil, illegal("recompute", "none, selective or full", "%q: no such recomputation", string(f.Recompute))
	}
	kept, again := make([]float64, len(f.Layers)), make([]float64, len(f.Layers)) // by one layer and micro-batch
	part := f.Recomputed
	if part == 0 {
		part = 1
	}
	if !(part > 0 && part <= 1) {
		return nil, illegal("recompute", "", "for %g of the layers: must be above 0 and at most 1", f.Recomputed)
	}
	for i := range f.Layers {
		all := float64(f.Layers[i].Shape.Activations(d, f.Seq, f.Batch, RecomputeNone))
		kept[i] = all
		if f.Recompute == RecomputeSelective || f.Recompute == RecomputeFull {
			less := float64(f.Layers[i].Shape.Activations(d, f.Seq, f.Batch, f.Recompute))
			kept[i] = float64(less*part) + float64(all*(1-part))
			again[i] = all - less
		}
	}
	p := play{Step: &Step{Sharding: f.Sharding}, d: d}
	within, _ := p.shard(false)
	withinExperts, _ := p.shard(true)
	ranks, expertRanks := float64(within.Ranks), float64(withinExperts.Ranks)
	divide := func(stage int64, n, experts float64) float64 {
		if f.Sharding.Stage < stage {
			return n + experts
		}
		return n/ranks + experts/expertRanks
	}
	z := &f.Sharding
	w, g := float64(z.WeightBytes), float64(z.GradientBytes)
	per := 2*w + g // weights, gradients as kernels leave them, and as they are reduced
	if w == g {
		per = 2 * w
	}
	switch {
	case z.Stage < 3:
		per = g
	case z.KeepGathered: // the weights of all blocks are there
		per -= w
	}
	gathered := func(frozen, experts float64) float64 { // of frozen weights, what other ranks have parts of
		if expertRanks > 1 {
			return frozen + experts
		}
		return frozen
	}
	whole := func(h *Held) float64 { // what a block takes while it is not divided
		n := float64((float64(h.Parameters) + float64(h.ExpertParameters)) * per)
		if z.Stage == 3 && !z.KeepGathered {
			n += gathered(float64(h.Frozen), float64(h.FrozenExperts))
		}
		return n
	}
	out := make([]Memory, d.PP)
	for st := range d.PP {
		m := &out[st]
		m.Stage = st
		var n, experts, frozen, frozenExperts, largest, live float64
		var activations float64
		add := func(h *Held, times int64) {
			n += float64(h.Parameters) * float64(times)
			experts += float64(h.ExpertParameters) * float64(times)
			frozen += float64(h.Frozen) * float64(times)
			frozenExperts += float64(h.FrozenExperts) * float64(times)
		}
		for c := range v {
			for i, times := range s.cut(split, c*d.PP+st) {
				h := &f.Layers[i]
				add(h, times)
				activations += kept[i] * float64(times)
				live = max(live, again[i])
				largest = max(largest, whole(h))
			}
		}
		ends := 0.0 // of the embedding and the head, which stay gathered
		if st == 0 {
			add(&f.Embedding, 1)
			ends += whole(&f.Embedding)
		}
		if st == d.PP-1 {
			add(&f.Head, 1)
			ends += whole(&f.Head)
			if d.PP > 1 {
				table := Held{Parameters: f.Tied, Frozen: f.TiedFrozen}
				add(&table, 1)
				ends += whole(&table)
			}
			b := f.LogitBytes
			if b == 0 {
				b = defaultLogitBytes
			}
			tokens := float64(units.CeilDiv(f.Seq, d.CP)) * float64(f.Batch)
			m.Logits = roundUp(float64(b*tokens) * float64(f.Vocabulary) / float64(d.TP))
		}
		m.Weights = roundUp(divide(3, float64(n*f.State.Weight)+frozen, float64(experts*f.State.Weight)+frozenExperts))
		m.Gradients = roundUp(divide(2, n, experts) * f.State.Gradient)
		optimizer := roundUp(divide(1, n, experts) * f.State.Optimizer)
		if f.State.Offload {
			m.Host = optimizer
		} else {
			m.Optimizer = optimizer
		}
		switch {
		case z.Stage == 3 && ranks > 1:
			all := 0.0
			if z.KeepGathered {
				all = float64((n+experts)*w) + gathered(frozen, frozenExperts)
			}
			m.Gathered = roundUp(all + float64(float64(z.blocks())*largest) + ends)
		case z.Stage == 2 && ranks > 1:
			m.Gathered = roundUp(largest + ends)
		}
		held := float64(InFlight(schedule, d.PP, v, f.Microbatches, st)) / float64(v)
		m.Activations = roundUp(float64(held*activations) + live)
	}
	return out, nil
}

// mostBytes is in place of any larger number of bytes, and of NaN.
const mostBytes = 1 << 62

// roundUp returns whole bytes, mostBytes at most.
func roundUp(x float64) units.Bytes {
	if !(x < mostBytes) {
		return mostBytes
	}
	return units.Bytes(math.Ceil(x))
}

// Fullest returns the stage that holds most.
func Fullest(stages []Memory) *Memory {
	var worst *Memory
	for i := range stages {
		if worst == nil || stages[i].Total() > worst.Total() {
			worst = &stages[i]
		}
	}
	return worst
}

// gib is the bytes of a GiB.
const gib = 1 << 30

// String lists the parts that are not empty.
func (m *Memory) String() string {
	s := fmt.Sprintf("stage %d:", m.Stage)
	for _, p := range []struct {
		name string
		n    units.Bytes
	}{{"weights", m.Weights}, {"gradients", m.Gradients}, {"optimizer", m.Optimizer}, {"gathered", m.Gathered}, {"activations", m.Activations}, {"logits", m.Logits}} {
		if p.n > 0 {
			s += fmt.Sprintf(" %s %.2f GiB,", p.name, float64(p.n)/gib)
		}
	}
	return s + fmt.Sprintf(" in all %.2f GiB", float64(m.Total())/gib)
}
