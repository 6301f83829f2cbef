package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// Objectives of a search of mappings.
const (
	BySeconds = "seconds"
	ByTokens  = "tokens-per-second-per-chip"
	ByJoules  = "joules"
)

// Objectives lists them.
func Objectives() []string { return []string{BySeconds, ByTokens, ByJoules} }

// MappingSearch asks which division of a step of training over chips is best.
type MappingSearch struct {
	// Point has the machine, the model and what all mappings have in common: lengths, formats, framework, fidelity.
	Point *Point
	// Chips are the numbers of chips to divide over, one after another.
	Chips []int64
	// Candidates; nil is all that are legal, of micro-batches 1, 2, 4 and 8, and one context and expert-parallel rank.
	TP, CP, EP, PP, MicroBatch, Interleave, ZeRO []int64
	Schedules                                    []parallel.Schedule
	Recompute                                    []parallel.Recompute
	SP                                           []bool
	Uneven                                       bool // stages may differ by a layer
	Objective                                    string
	Keep                                         int
	// Limit of memory of a chip; 0 is what it has.
	Limit    units.Bytes
	Progress func(done, of int)
}

// Mapped is a mapping and what a step comes to.
type Mapped struct {
	parallel.Mapping
	Chips                  int64
	Seconds                float64
	TokensPerSecondPerChip float64
	MFU                    float64
	BubbleSeconds          float64
	Joules                 float64
	JoulesPerToken         float64
	Memory                 units.Bytes // of the fullest stage; 0 where it is not known
}

// Mappings are the best, and what became of the others.
type Mappings struct {
	Best []Mapped
	// Legal mappings; of them those that fit were timed unless they recompute more than one that fits and is otherwise
	// the same, which Pruned counts. Unfit have no room.
	Legal, Fit, Pruned, Unfit int
	// Parts is how often a chip's parts were timed.
	Parts int
	// Refused counts mappings that cannot be for another reason.
	Refused []Refusal
	// Least is that of the smallest memory, nil if none is known.
	Least     *Mapped
	Limit     units.Bytes
	Objective string
}

// Refusal is a reason and how many mappings it is of.
type Refusal struct {
	Reason   string
	Mappings int
}

// searcher is a search at work.
type searcher struct {
	*MappingSearch
	ctx    context.Context
	base   Point
	mu     sync.Mutex
	parts  map[partsKey]*partsOf
	mapped map[parallel.Mapping]Mapped
	done   atomic.Int64
	legal  int
}

// partsKey is what the parts of a chip depend on.
type partsKey struct {
	tp, cp, ep, micro int64
	sp                bool
}

type partsOf struct {
	once    sync.Once
	divided *eval.Divided
	like    eval.Training
	err     error
}

// Run searches. It is deterministic, whatever the number of processors.
func (s *MappingSearch) Run(ctx context.Context) (*Mappings, error) {
	w := &searcher{MappingSearch: s, ctx: ctx, base: *s.Point, parts: map[partsKey]*partsOf{}, mapped: map[parallel.Mapping]Mapped{}}
	if w.base.Model == nil || w.base.Machine == nil {
		return nil, &Invalid{Field: "model", Message: "a search needs a machine and a model"}
	}
	t := w.base.trainDefaults()
	if s.Point.Training == nil || s.Point.Training.GlobalBatch == 0 {
		return nil, &Invalid{Field: "global-batch", Message: "how many sequences are a step?", Hint: "e.g. --global-batch 1536"}
	}
	m := w.base.Model
	out := &Mappings{Limit: s.Limit, Objective: cmp.Or(s.Objective, BySeconds)}
	has := w.base.Machine.OffChip().Capacity
	if out.Limit == 0 {
		out.Limit = has
	}
	if out.Limit > has {
		return nil, &Invalid{Field: "memory", Message: fmt.Sprintf("%v: a chip of %s has %v", out.Limit, w.base.Machine.Name, has), Hint: "--set changes what it has"}
	}
	var spaces []*parallel.Space
	for _, chips := range s.Chips {
		d := parallel.Degrees{DP: chips}
		if err := connects(w.base.Machine, d); err != nil {
			e := *err.(*Invalid)
			e.Field = "chips"
			return nil, &e
		}
		sp := &parallel.Space{Chips: chips, NodeChips: max(w.base.Machine.Cluster().Chips, 1), Layers: m.Layers, Heads: m.Heads, Seq: t.SeqLen, GlobalBatch: t.GlobalBatch,
			TP: s.TP, CP: s.CP, EP: s.EP, PP: s.PP, MicroBatch: s.MicroBatch, Interleave: s.Interleave, Schedules: s.Schedules, Recompute: s.Recompute, ZeRO: s.ZeRO, SP: s.SP, Uneven: s.Uneven}
		if w.base.Layers > 0 {
			sp.Layers = min(sp.Layers, w.base.Layers)
		}
		if m.MoE != nil {
			sp.Experts = m.MoE.Experts
		}
		if sp.EP == nil {
			sp.EP = []int64{1}
		}
		if sp.MicroBatch == nil {
			sp.MicroBatch = []int64{1, 2, 4, 8}
		}
		if err := sp.Validate(); err != nil {
			return nil, fieldError(err)
		}
		for range sp.Mappings() {
			w.legal++
		}
		spaces = append(spaces, sp)
	}
	// What is wrong with the question itself, and not with one mapping, is said once.
	if _, err := w.part(partsKey{1, 1, 1, 1, false}); err != nil && plan.Infeasible(err) == nil {
		return nil, err
	}
	clear(w.parts)
	refused := map[string]int{}
	var best []parallel.Found
	for _, sp := range spaces {
		found, err := sp.Search(out.Limit, max(s.Keep, 1), w.memory, w.measure)
		if err != nil {
			return nil, err
		}
		failed := 0
		for reason, n := range found.Failed {
			refused[reason] += n
			failed += n
		}
		out.Legal, out.Fit, out.Pruned = out.Legal+found.Legal, out.Fit+found.Fit, out.Pruned+found.Pruned
		out.Unfit += found.Legal - found.Fit - found.Pruned - failed
		best = append(best, found.Best...)
		if l := found.Least; l != nil && l.Memory > 0 && (out.Least == nil || l.Memory < out.Least.Memory) {
			least := w.mapped[l.Mapping]
			out.Least = &least
		}
	}
	slices.SortStableFunc(best, func(a, b parallel.Found) int { return cmp.Compare(a.Time, b.Time) })
	for _, f := range best[:min(len(best), max(s.Keep, 1))] {
		out.Best = append(out.Best, w.mapped[f.Mapping])
	}
	for _, reason := range sortedKeys(refused) {
		out.Refused = append(out.Refused, Refusal{reason, refused[reason]})
	}
	out.Parts = len(w.parts)
	return out, nil
}

// part times the parts of a chip, once.
func (w *searcher) part(k partsKey) (*partsOf, error) {
	w.mu.Lock()
	p := w.parts[k]
	if p == nil {
		p = &partsOf{}
		w.parts[k] = p
	}
	w.mu.Unlock()
	p.once.Do(func() {
		point := w.base
		t := point.trainDefaults()
		t.CP, t.EP, t.DP, t.SP, t.MicroBatch, t.GlobalBatch = k.cp, k.ep, k.ep, k.sp, k.micro, k.micro*k.ep
		t.Interleave, t.ZeRO, t.KeepGathered, t.Shard, t.Schedule, t.Stages, t.Recompute = 0, 0, false, 0, "", nil, eval.RecomputeNone
		point.TP, point.PP, point.Training = k.tp, 1, &t
		r, err := point.trainingRequest()
		if err != nil {
			p.err = err
			return
		}
		p.like = *r.Training
		p.divided, p.err = eval.Divide(w.ctx, r)
	})
	return p, p.err
}

// step answers a mapping.
func (w *searcher) step(m *parallel.Mapping) (Mapped, error) {
	w.mu.Lock()
	known, ok := w.mapped[*m]
	w.mu.Unlock()
	if ok {
		return known, nil
	}
	if err := w.ctx.Err(); err != nil {
		return Mapped{}, &parallel.Abort{Err: err}
	}
	if n := w.done.Add(1); w.Progress != nil {
		w.Progress(int(n), w.legal)
	}
	d := m.Degrees.Or1()
	p, err := w.part(partsKey{d.TP, d.CP, d.EP, m.MicroBatch, d.SP})
	if err != nil {
		return Mapped{}, err
	}
	t := p.like
	t.Degrees, t.GlobalBatch, t.Schedule, t.ZeRO = m.Degrees, m.MicroBatch*m.Microbatches*d.DP, m.Schedule, m.ZeRO
	t.Recompute, t.Recomputed = string(m.Recompute), 1
	if m.Recompute == parallel.RecomputeNone {
		t.Recomputed = 0
	}
	keep := func(x Mapped) (Mapped, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mapped[*m] = x
		return x, nil
	}
	a, err := p.divided.Step(t)
	var unfit *plan.DoesNotFit
	if errors.As(err, &unfit) {
		return keep(Mapped{Mapping: *m, Chips: d.Chips(), Memory: max(unfit.Total(), unfit.Capacity+1)})
	}
	if err != nil {
		return Mapped{}, err
	}
	x := Mapped{Mapping: *m, Chips: d.Chips(), Seconds: a.Seconds, TokensPerSecondPerChip: a.Training.TokensPerSecondPerChip, MFU: a.MFU, Joules: a.Energy.Joules, JoulesPerToken: a.Energy.JoulesPerToken}
	if a.BubbleSeconds != nil {
		x.BubbleSeconds = *a.BubbleSeconds
	}
	for i := range a.Training.Stages {
		x.Memory = max(x.Memory, units.Bytes(a.Training.Stages[i].MemoryBytes))
	}
	return keep(x)
}

func (w *searcher) memory(m *parallel.Mapping) (units.Bytes, error) {
	x, err := w.step(m)
	return x.Memory, err
}

// measure is what is to be least, in whole numbers: picoseconds of a step, those of all chips, or microjoules.
func (w *searcher) measure(m *parallel.Mapping) (units.Time, error) {
	x, err := w.step(m)
	if err != nil {
		return 0, err
	}
	switch w.Objective {
	case ByTokens:
		if x.TokensPerSecondPerChip <= 0 {
			return 0, fmt.Errorf("no tokens")
		}
		return units.Time(math.Round(1e15 / x.TokensPerSecondPerChip)), nil
	case ByJoules:
		return units.Time(math.Round(x.Joules * 1e6)), nil
	}
	return units.Time(math.Round(x.Seconds * 1e12)), nil
}
