package analytic

import (
	"fmt"
	"sync"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Options choose what is left out.
type Options struct {
	// IdealContention gives every step its resources to itself: no bound by what they share.
	IdealContention bool
}

// Evaluate times the program.
func Evaluate(p *plan.Program, o Options) (*sim.Outcome, error) {
	f := NewFolder(p, o)
	defer f.Release()
	return f.Outcome()
}

// NewFolder returns what times sections of the program by themselves.
func NewFolder(p *plan.Program, o Options) *plan.Folder {
	return plan.NewFolder(p, &timer{p: p, ideal: o.IdealContention})
}

// Floor returns a time that no evaluation of the program with these options can beat: the larger of
// every resource's amount at its best rate, unless contention is left out, and the dependency path with
// perfectly overlapping uses and no sharing, or the host's, whose launches run ahead.
func Floor(p *plan.Program, o Options) (units.Time, error) {
	e := &timer{p: p, floor: true, ideal: o.IdealContention}
	f := &floor{timer: e, folder: plan.NewFolder(p, e), memo: make(map[run]units.Time, 2*len(p.Ops))}
	defer f.folder.Release()
	return f.body(p.Entry, 1)
}

// floor adds up chains like a plan.Folder, but nothing beside their times.
type floor struct {
	timer  *timer
	folder *plan.Folder // for bodies inside pipelines
	memo   map[run]units.Time
}

type run struct {
	body  *plan.Body
	times int64
}

func (f *floor) body(b *plan.Body, times int64) (units.Time, error) {
	k := run{b, times}
	if t, ok := f.memo[k]; ok {
		return t, nil
	}
	var sum units.Time
	if b.Chain(times) {
		for i := range b.Nodes {
			n := &b.Nodes[i]
			var t units.Time
			if n.Body != nil {
				var err error
				if t, err = f.body(n.Body, n.Times); err != nil {
					return 0, err
				}
			} else {
				t = min(n.Step.Floor(f.timer.p.Resources), units.MaxTime) + f.timer.p.Latency(n.Step)
			}
			sum = min(sum+t, units.MaxTime+1)
		}
		if b.Syncs() { // between two of them, all that the host does is one after the other
			sum = max(sum, f.timer.p.HostAmount(b))
		}
		t, ok := units.Mul(int64(sum), times)
		if sum = units.Time(t); !ok || sum > units.MaxTime {
			return 0, fmt.Errorf("body %s takes longer than %v: %w", b.Name, units.MaxTime, plan.ErrTooLarge)
		}
	} else {
		r, err := f.timer.Pipeline(b, times, f.folder)
		if err != nil {
			return 0, err
		}
		sum = r.Time
	}
	f.memo[k] = sum
	return sum, nil
}

// timer times overlapping bodies by a max-plus recurrence.
type timer struct {
	p     *plan.Program
	floor bool
	ideal bool
}

// scratch is the memory of a recurrence, which outlives it.
type scratch struct {
	history          history
	done, spun, free []instant
	nodes            []timing
	after            []plan.Dep
	releaser         []int
}

// timing is what the recurrence knows of a node.
type timing struct {
	busy, latency units.Time
	of            *sim.Stalls // what busy divides into; nil if all of it is one cause
	cause, charge sim.Cause
	after         []plan.Dep
	live          int64 // the last iterations of it that others wait for, and the last one
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// cleared returns n zero values, in the memory of old if it is large enough.
func cleared[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	old = old[:n]
	clear(old)
	return old
}

// Serve implements plan.Timer.
func (e *timer) Serve(s *plan.Step) (units.Time, sim.Cause) {
	t, cause := s.Serve(e.p.Resources)
	if e.floor {
		t = s.Floor(e.p.Resources)
	}
	return t, cause
}

// bound raises the time of a pipeline to what its busiest resource needs, and charges that resource: it serves all the while,
// so all of the time is its, whatever the longest path says. A chain needs no bound: each of its parts takes at least what it
// needs of any resource.
func (e *timer) bound(b *plan.Body, times int64, r *plan.Result) {
	if e.ideal {
		return
	}
	for i := range e.p.Resources {
		res := &e.p.Resources[i]
		amount, ok := units.Mul(b.Amount(i), times)
		t := res.Time(amount)
		if !ok {
			t = units.MaxTime + 1
		}
		if t > r.Time {
			r.Time, r.Stalls = t, sim.Stalls{}
			r.Stalls[res.Cause] = t
		}
	}
}

// instant is a point on a dependency path: when it is reached, and how the time until then divides.
type instant struct {
	at     units.Time
	stalls sim.Stalls
}

// later returns the later of two instants, the first if they are equal.
func later(a, b *instant) *instant {
	if b.at > a.at {
		return b
	}
	return a
}

// Pipeline implements plan.Timer: the max-plus recurrence of a loop whose nodes overlap.
func (e *timer) Pipeline(b *plan.Body, times int64, f *plan.Folder) (*plan.Result, error) {
	res := f.NewResult()
	n := len(b.Nodes)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.nodes, s.releaser = cleared(s.nodes, n), cleared(s.releaser, len(b.Buffers))
	node, releaser := s.nodes, s.releaser
	depth, after := int64(1), s.after[:0]
	for i := range b.Nodes {
		for _, t := range b.Nodes[i].Release {
			releaser[t.Buffer] = i
		}
	}
	for i := range b.Nodes {
		t := &node[i]
		nd := &b.Nodes[i]
		if nd.Step != nil {
			busy, cause := e.Serve(nd.Step)
			t.busy, t.cause, t.latency, t.charge = busy, cause, e.p.Latency(nd.Step), nd.Step.Charge
			for _, c := range nd.Step.Counts {
				res.Work[c.Counter] += c.N * times
			}
		} else {
			r, err := f.Body(nd.Body, nd.Times)
			if err != nil {
				return nil, err
			}
			t.busy, t.of = r.Time, &r.Stalls
			res.Work.Add(r.Work, times)
			if b.Op < 0 {
				res.Add(r, times)
			}
		}
		t.after = nd.After
		if len(nd.Acquire) > 0 {
			from := len(after)
			after = append(after, nd.After...)
			for _, a := range nd.Acquire {
				// With room for c acquisitions, the k-th waits for release k−c.
				after = append(after, plan.Dep{Node: releaser[a.Buffer], Distance: b.Buffers[a.Buffer].Capacity / a.N})
			}
			t.after = after[from:len(after):len(after)]
		}
		for _, d := range t.after {
			depth = max(depth, d.Distance)
		}
	}
	if depth > 4096 {
		depth = 4096 // buffers deeper than the loop is long never make anything wait
	}
	ring := depth + 1
	s.after = after
	for i := range node {
		node[i].live = max(node[i].live, 1)
		for _, d := range node[i].after {
			if d.Distance < ring {
				node[d.Node].live = max(node[d.Node].live, d.Distance)
			}
		}
	}
	s.done, s.free = cleared(s.done, n*int(ring)), cleared(s.free, n)
	done, free := s.done, s.free // done[i*ring + iteration%ring]
	history := &s.history
	history.reset()
	var end instant
	for it := int64(0); it < times; it++ {
		for i := range node {
			t := &node[i]
			start := &free[i]
			for _, d := range t.after {
				if d.Distance <= it && d.Distance < ring {
					start = later(start, &done[int64(d.Node)*ring+(it-d.Distance)%ring])
				}
			}
			x := &done[int64(i)*ring+it%ring]
			*x = *start
			x.at += t.busy
			if t.of == nil {
				x.stalls[t.cause] += t.busy
			} else {
				x.stalls.Add(t.of, 1)
			}
			free[i] = *x
			x.at += t.latency
			x.stalls[t.charge] += t.latency
			if x.at > units.MaxTime {
				return nil, fmt.Errorf("body %s takes longer than %v: %w", b.Name, units.MaxTime, plan.ErrTooLarge)
			}
			if x.at > end.at {
				end = *x
			}
		}
		if left := times - 1 - it; left > 0 && it >= depth {
			// All that the future depends on: when nodes are free, and what the last iterations did. Times alone tell most states apart, so the
			// rest is looked at once they have repeated.
			period, delta := history.repeated(it, node, free, done, ring)
			if period > 0 && left >= period {
				jump := left / period
				if !shiftAll(free, done, &end, delta, jump) {
					return nil, fmt.Errorf("body %s takes longer than %v: %w", b.Name, units.MaxTime, plan.ErrTooLarge)
				}
				// Iterations keep their place in the ring only if the jump is a multiple of it.
				if by := jump * period; by%ring != 0 {
					s.spun = cleared(s.spun, len(done))
					respin(s.spun, done, n, ring, by)
					s.done, s.spun = s.spun, s.done
					done = s.done
				}
				it += jump * period
				history.reset()
			}
		}
	}
	res.Time, res.Stalls = end.at, end.stalls
	if e.bound(b, times, res); res.Time > units.MaxTime {
		return nil, fmt.Errorf("body %s takes longer than %v: %w", b.Name, units.MaxTime, plan.ErrTooLarge)
	}
	return res, nil
}

// rotate appends all that the future depends on, what is in the ring in order of age, so that equal states look
// equal whatever slot they are in.
func rotate(to []instant, node []timing, free, done []instant, ring, it int64) []instant {
	to = append(to, free...)
	for i := range node {
		for k := it + 1 - node[i].live; k <= it; k++ {
			to = append(to, done[int64(i)*ring+k%ring])
		}
	}
	return to
}

// respin moves ring entries to the slots they have after by further iterations.
func respin(out, done []instant, n int, ring, by int64) {
	for i := int64(0); i < int64(n); i++ {
		for k := int64(0); k < ring; k++ {
			out[i*ring+(k+by)%ring] = done[i*ring+k]
		}
	}
}

// shiftAll adds jump times delta, which is the same for every live instant.
func shiftAll(free, done []instant, end *instant, delta instant, jump int64) bool {
	d, ok := units.Mul(int64(delta.at), jump)
	if !ok || units.Time(d) > units.MaxTime {
		return false
	}
	shift := func(x *instant) {
		x.at += units.Time(d)
		x.stalls.Add(&delta.stalls, jump)
	}
	for i := range free {
		shift(&free[i])
	}
	for i := range done {
		shift(&done[i])
	}
	shift(end)
	return end.at <= units.MaxTime
}

// history finds out when a recurrence has become periodic.
type history struct {
	states [][]units.Time // times of the live instants in the last iterations
	its    []int64
	// What was live when the times had repeated after a period, to be compared with what is after another one; period is 0 if there is none.
	before       []instant
	from, period int64
	now          []instant
}

// longestPeriod bounds how far back a state is compared; longer periods are evaluated in full.
const longestPeriod = 16

// reset forgets everything but keeps the memory.
func (h *history) reset() { h.its, h.period = h.its[:0], 0 }

// repeated returns the period after which every live instant has moved by the same delta, 0 if there is none yet.
func (h *history) repeated(it int64, node []timing, free, done []instant, ring int64) (int64, instant) {
	if h.period > 0 {
		if it < h.from+h.period {
			return 0, instant{}
		}
		h.now = rotate(h.now[:0], node, free, done, ring, it)
		period := h.period
		if d, ok := sameShift(h.before, h.now); ok {
			return period, d
		}
		h.reset()
	}
	if h.period = h.match(it, node, free, done, ring); h.period > 0 {
		h.from, h.before = it, rotate(h.before[:0], node, free, done, ring, it)
	}
	return 0, instant{}
}

// match returns the period after which the time of every live instant has moved by the same, 0 if there is none yet.
func (h *history) match(it int64, node []timing, free, done []instant, ring int64) int64 {
	k := len(h.its)
	switch {
	case k == longestPeriod: // the oldest gives its memory to the newest
		oldest := h.states[0]
		copy(h.states, h.states[1:])
		copy(h.its, h.its[1:])
		k--
		h.states[k], h.its = oldest, h.its[:k]
	case k == len(h.states):
		h.states = append(h.states, nil)
	}
	live := h.states[k][:0]
	for i := range free {
		live = append(live, free[i].at)
	}
	for i := range node {
		for k := it + 1 - node[i].live; k <= it; k++ {
			live = append(live, done[int64(i)*ring+k%ring].at)
		}
	}
	h.states[k], h.its = live, append(h.its, it)
	for k--; k >= 0; k-- {
		if shifted(h.states[k], live) {
			return it - h.its[k]
		}
	}
	return 0
}

// shifted reports whether all times have moved by the same.
func shifted(old, now []units.Time) bool {
	by := now[0] - old[0]
	for i := range old {
		if now[i]-old[i] != by {
			return false
		}
	}
	return true
}

func sameShift(old, now []instant) (instant, bool) {
	at := now[0].at - old[0].at
	for i := range old {
		if now[i].at-old[i].at != at {
			return instant{}, false
		}
	}
	d := instant{at, now[0].stalls.Minus(&old[0].stalls)}
	for i := range old {
		if now[i].stalls.Minus(&old[i].stalls) != d.stalls {
			return instant{}, false
		}
	}
	return d, true
}
