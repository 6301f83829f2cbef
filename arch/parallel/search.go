package parallel

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/stratasim/strata/sim/units"
)

// Space is what mappings are searched for: a model, a batch and a number of chips. Lists name the candidates of a degree, in the order
// in which they are tried; nil is all that are legal.
type Space struct {
	Chips, NodeChips int64 // NodeChips: tensor groups stay within a node; 0: no bound
	Layers, Heads    int64
	Experts          int64 // 0: a dense model
	Seq, GlobalBatch int64 // tokens of a sequence, sequences of a step

	TP, EP, PP, MicroBatch []int64
	CP                     []int64    // nil: 1
	Interleave             []int64    // nil: up to mostChunks, of as many layers each
	Schedules              []Schedule // nil: 1F1B, or interleaved where there are chunks
	Recompute              []Recompute
	ZeRO                   []int64 // nil: 0, 1 and, without stages, 3
	SP                     []bool  // nil: wherever there is a tensor group
	// Uneven allows stages that differ by a layer.
	Uneven bool
	// MostMicrobatches bounds what one pipeline runs in a step; 0: no bound.
	MostMicrobatches int64
}

// maxBatch bounds the sequences of a step: published runs have some thousands.
const maxBatch = 1 << 30

// mostChunks is the chunks of a stage up to which a search goes by itself. Estimated: the bubble gets smaller as one over their
// number, and what stages send grows with it.
const mostChunks = 8

// Mapping is one way to divide a model.
type Mapping struct {
	Degrees      Degrees
	MicroBatch   int64 // sequences
	Microbatches int64
	Schedule     Schedule
	Recompute    Recompute
	ZeRO         int64
}

// String returns e.g. "tp 8 pp 4 dp 2 sp, micro-batch 1, 1f1b, recompute full, zero 1".
func (m *Mapping) String() string {
	d := m.Degrees.Or1()
	s := ""
	for _, x := range []struct {
		name string
		n    int64
		all  bool
	}{{"tp", d.TP, true}, {"cp", d.CP, false}, {"ep", d.EP, false}, {"pp", d.PP, true}, {"dp", d.DP, true}, {"interleave", d.Interleave, false}} {
		if x.all || x.n > 1 {
			s += fmt.Sprintf("%s %d ", x.name, x.n)
		}
	}
	if d.SP {
		s += "sp "
	}
	return fmt.Sprintf("%smicro-batch %d, %s, recompute %s, zero %d", s[:len(s)-1]+", ", m.MicroBatch, m.Schedule, m.Recompute, m.ZeRO)
}

// Validate returns a *FieldError for a space without meaning.
func (sp *Space) Validate() error {
	switch {
	case sp.Chips < 1 || sp.Chips > maxChips:
		return illegal("chips", "", "%d: must be between 1 and %d", sp.Chips, maxChips)
	case sp.Layers < 1 || sp.Heads < 1 || sp.Seq < 1:
		return illegal("model", "", "%d layers, %d heads, sequences of %d tokens: must be at least 1", sp.Layers, sp.Heads, sp.Seq)
	case sp.GlobalBatch < 1 || sp.GlobalBatch > maxBatch:
		return illegal("global_batch", "", "%d sequences: must be between 1 and %d", sp.GlobalBatch, maxBatch)
	}
	for _, s := range sp.Schedules {
		if !slices.Contains(Schedules(), s) {
			return illegal("schedule", "gpipe, 1f1b, interleaved or zero-bubble", "%q: no such schedule", string(s))
		}
	}
	return nil
}

// divisors returns the divisors of n in rising order.
func divisors(n int64) []int64 {
	var low, high []int64
	for i := int64(1); i*i <= n; i++ {
		if n%i == 0 {
			low = append(low, i)
			if i*i != n {
				high = append(high, n/i)
			}
		}
	}
	slices.Reverse(high)
	return append(low, high...)
}

// of returns the candidates among which the legal ones are kept.
func of[T any](given, all []T, legal func(T) bool) []T {
	if given == nil {
		given = all
	}
	var kept []T
	for _, x := range given {
		if legal(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// Mappings lists the legal mappings of a space, always in the same order: tensor degree outermost, then pipeline, context, expert,
// chunks, sequence parallelism, micro-batch, schedule, ZeRO; recomputation innermost, least first.
func (sp *Space) Mappings() iter.Seq[Mapping] {
	return func(yield func(Mapping) bool) {
		for group := range sp.groups() {
			for _, m := range group {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// groups lists mappings that differ in recomputation only, least first.
func (sp *Space) groups() iter.Seq[[]Mapping] {
	return func(yield func([]Mapping) bool) {
		if sp.Validate() != nil {
			return
		}
		recompute := sp.Recompute
		if recompute == nil {
			recompute = []Recompute{RecomputeNone, RecomputeSelective, RecomputeFull}
		}
		chips := divisors(sp.Chips)
		for _, tp := range of(sp.TP, chips, func(n int64) bool {
			return n >= 1 && sp.Chips%n == 0 && sp.Heads%n == 0 && (sp.NodeChips == 0 || n <= sp.NodeChips)
		}) {
			for _, pp := range of(sp.PP, chips, func(n int64) bool {
				return n >= 1 && sp.Chips/tp%n == 0 && n <= sp.Layers && (sp.Uneven || sp.Layers%n == 0)
			}) {
				for _, cp := range of(sp.CP, []int64{1}, func(n int64) bool { return n >= 1 && sp.Chips/tp/pp%n == 0 && sp.Seq%n == 0 }) {
					dp := sp.Chips / tp / pp / cp
					if sp.GlobalBatch%dp != 0 {
						continue
					}
					d := Degrees{TP: tp, CP: cp, PP: pp, DP: dp}
					for _, ep := range of(sp.EP, divisors(dp), func(n int64) bool {
						return n == 1 || n > 1 && dp%n == 0 && sp.Experts > 0 && sp.Experts%n == 0
					}) {
						d.EP = ep
						if !sp.chunks(d, recompute, yield) {
							return
						}
					}
				}
			}
		}
	}
}

// chunks lists what is left to choose for some degrees.
func (sp *Space) chunks(d Degrees, recompute []Recompute, yield func([]Mapping) bool) bool {
	var every []int64
	for v := int64(1); v <= mostChunks; v++ {
		every = append(every, v)
	}
	for _, v := range of(sp.Interleave, every, func(n int64) bool {
		return n == 1 || n > 1 && d.PP > 1 && sp.Layers%(d.PP*n) == 0
	}) {
		d.Interleave = v
		for _, s := range of(sp.SP, []bool{d.TP > 1}, func(s bool) bool { return !s || d.TP > 1 }) {
			d.SP = s
			for _, mb := range of(sp.MicroBatch, divisors(sp.GlobalBatch/d.DP), func(n int64) bool { return n >= 1 && sp.GlobalBatch/d.DP%n == 0 }) {
				m := sp.GlobalBatch / d.DP / mb
				if sp.MostMicrobatches > 0 && m > sp.MostMicrobatches {
					continue
				}
				schedules := []Schedule{OneFOneB}
				if v > 1 {
					schedules[0] = Interleaved
				}
				for _, schedule := range of(sp.Schedules, schedules, func(s Schedule) bool {
					return (s == Interleaved) == (v > 1) && (v == 1 || m%d.PP == 0) && (d.PP > 1 || s == OneFOneB)
				}) {
					for _, z := range of(sp.ZeRO, []int64{0, 1, 3}, func(z int64) bool {
						return z == 0 || z > 0 && z <= 3 && d.DP*d.CP > 1 && (z < 3 || d.PP == 1)
					}) {
						var group []Mapping
						for _, r := range recompute {
							group = append(group, Mapping{d, mb, m, schedule, r, z})
						}
						if len(group) > 0 && !yield(group) {
							return false
						}
					}
				}
			}
		}
	}
	return true
}

// Found is a mapping with what it costs.
type Found struct {
	Mapping
	Time   units.Time
	Memory units.Bytes // of the fullest stage
}

// Search is what a search came to.
type Search struct {
	Best   []Found // fastest first
	Legal  int     // mappings
	Fit    int     // of them, those within the memory
	Pruned int     // those that recompute more than a mapping that fits, and are otherwise the same
	// Least is the smallest memory that any mapping needs, for a message where none fits.
	Least *Found
	// Failed counts mappings that time or memory refused, by reason.
	Failed map[string]int
}

// Search finds the fastest mappings whose fullest stage holds at most limit (0: no limit), keep of them. memory and time are called
// from as many goroutines as there are processors; the result does not depend on their number. Of mappings that differ in
// recomputation only, the first that fits is played: more of it takes longer and keeps less. An error is that of the space, or
// one that memory or time wraps in a *Abort.
func (sp *Space) Search(limit units.Bytes, keep int, memory func(*Mapping) (units.Bytes, error), time func(*Mapping) (units.Time, error)) (*Search, error) {
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	groups := slices.Collect(sp.groups())
	type answer struct {
		fit, least  Found
		fits, found bool
		pruned      int
		failed      []string
		err         error
	}
	answers := make([]answer, len(groups))
	one := func(i int) {
		a := &answers[i]
		for k := range groups[i] {
			m := &groups[i][k]
			n, err := memory(m)
			if err != nil {
				a.failed = append(a.failed, err.Error())
				a.err = abort(a.err, err)
				continue
			}
			if !a.found || n < a.least.Memory {
				a.least, a.found = Found{Mapping: *m, Memory: n}, true
			}
			if limit > 0 && n > limit {
				continue
			}
			t, err := time(m)
			if err != nil {
				a.failed = append(a.failed, err.Error())
				a.err = abort(a.err, err)
				continue
			}
			a.fit, a.fits = Found{*m, t, n}, true
			a.pruned = len(groups[i]) - k - 1
			return
		}
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), max(1, len(groups))) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				one(i)
			}
		}()
	}
	for i := range groups {
		next <- i
	}
	close(next)
	wg.Wait()

	s := &Search{Failed: map[string]int{}}
	var all []Found
	for i := range answers {
		a := &answers[i]
		if a.err != nil {
			return nil, a.err
		}
		s.Legal += len(groups[i])
		for _, f := range a.failed {
			s.Failed[f]++
		}
		if a.found && (s.Least == nil || a.least.Memory < s.Least.Memory) {
			s.Least = &answers[i].least
		}
		if a.fits {
			s.Fit++
			s.Pruned += a.pruned
			all = append(all, a.fit)
		}
	}
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Compare(a.Time, b.Time) })
	s.Best = all[:min(max(keep, 0), len(all))]
	return s, nil
}

// Abort is an error that ends a search: the question, not one mapping, is at fault.
type Abort struct{ Err error }

// abort returns the first error that ends a search.
func abort(first, err error) error {
	var a *Abort
	if first == nil && errors.As(err, &a) {
		return a.Err
	}
	return first
}

// Error returns that of Err.
func (a *Abort) Error() string { return a.Err.Error() }

// Unwrap returns Err.
func (a *Abort) Unwrap() error { return a.Err }
