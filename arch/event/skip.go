package event

import (
	"encoding/binary"
	"math"
	"sort"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// maxTries bounds how many boundaries of one loop are compared before it is played in full.
const maxTries = 64

// snapshot is the state of a loop at an iteration boundary, apart from what its key holds.
type snapshot struct {
	least  int64
	now    units.Time
	paths  []sim.Stalls // time by cause up to each running step
	work   sim.Counts
	ops    []sim.OpStat // nil if nobody asks, or the loop is inside an operator
	inside sim.Counts   // what that operator has done
	starts []sim.Stalls // paths up to the starts of what runs inside, for its operators
	delta  []sim.Stalls // change of paths since the same state before; nil the first time
	period units.Time
}

// atBoundary schedules a look at the loop when all its nodes have completed another iteration.
func (f *frame) atBoundary(now units.Time) {
	least := f.nodes[0].done
	for i := range f.nodes {
		least = min(least, f.nodes[i].done)
	}
	if least == f.least {
		return
	}
	f.least = least
	if f.boundary || f.tries >= maxTries {
		return
	}
	f.boundary = true
	f.r.eng.At(now, priorityBoundary, (*boundary)(f))
}

// boundary is a frame whose loop boundary is looked at.
type boundary frame

// Handle compares the state with earlier boundaries and skips whole periods if it repeats.
func (b *boundary) Handle(now units.Time) error {
	f := (*frame)(b)
	f.boundary = false
	r := f.r
	running := f.running(nil)
	if len(running) != len(r.active)+r.inLate || f.open < len(f.nodes) {
		return nil // something outside the loop runs too, or the loop is ending
	}
	sort.Slice(running, func(i, j int) bool {
		a, c := running[i], running[j]
		return a.due < c.due || a.due == c.due && a.seq < c.seq
	})
	key := f.key(nil, f.least, now)
	paths := make([]sim.Stalls, len(running))
	for i, e := range running {
		key = binary.AppendVarint(key, e.n.f.id)
		key = binary.AppendVarint(key, int64(e.n.index))
		key = binary.AppendVarint(key, int64(e.kind))
		paths[i] = *e.path
	}
	if f.history == nil {
		f.history = map[string]*snapshot{}
	}
	f.tries++
	now0 := &snapshot{least: f.least, now: now, paths: paths, work: append(sim.Counts(nil), r.work...)}
	var started []*instant
	switch {
	case r.ops == nil:
	case f.op >= 0: // no operator ends within
		now0.inside = append(now0.inside, r.ops[f.op].Work...)
	default:
		now0.ops = copyOps(r.ops)
		for _, at := range f.starts(nil) {
			started = append(started, at)
			now0.starts = append(now0.starts, at.stalls)
		}
	}
	old := f.history[string(key)]
	f.history[string(key)] = now0
	if old == nil {
		return nil
	}
	now0.period = now - old.now
	now0.delta = make([]sim.Stalls, len(paths))
	same := old.delta != nil && old.period == now0.period
	for i := range paths {
		now0.delta[i] = paths[i].Minus(&old.paths[i])
		same = same && now0.delta[i] == old.delta[i]
	}
	if !same {
		return nil
	}
	iterations := f.least - old.least
	furthest := int64(0)
	for i := range f.nodes {
		furthest = max(furthest, f.nodes[i].started)
	}
	// At least one iteration of every node is left to play, so that ends are met by playing.
	periods := (f.times - 1 - furthest) / iterations
	if periods < 1 {
		return nil
	}
	if (units.MaxTime-now)/now0.period < units.Time(periods) {
		return tooLate(f.body.Name)
	}
	shift := now0.period * units.Time(periods)
	for i := range f.nodes {
		n := &f.nodes[i]
		n.started += iterations * periods
		n.freed += iterations * periods
		n.done += iterations * periods
	}
	f.least += iterations * periods
	for i := range r.work {
		r.work[i] += (r.work[i] - old.work[i]) * periods
	}
	for i, at := range started { // as many as before, because the state is the same
		delta := at.stalls.Minus(&old.starts[i])
		at.at += shift
		at.stalls.Add(&delta, periods)
	}
	for c, was := range old.inside {
		now := &r.ops[f.op].Work[c]
		*now += (*now - was) * periods
	}
	for i := range old.ops {
		o, was := &r.ops[i], &old.ops[i]
		if o.Calls == was.Calls && o.Time == was.Time && o.Work.Equal(was.Work) {
			continue
		}
		stalls := o.Stalls.Minus(&was.Stalls)
		o.Calls += (o.Calls - was.Calls) * periods
		o.Time += (o.Time - was.Time) * units.Time(periods)
		o.Stalls.Add(&stalls, periods)
		for c := range o.Work {
			o.Work[c] += (o.Work[c] - was.Work[c]) * periods
		}
	}
	for i, e := range running {
		e.path.Add(&now0.delta[i], periods)
		e.move(shift)
	}
	if o := r.opt.Observer; o != nil {
		o.Skipped(f.body, now, now0.period, periods, iterations*periods)
	}
	f.history, f.tries = nil, 0
	if f.times-furthest-iterations*periods < 4*iterations {
		f.tries = maxTries // too little is left for another skip
	}
	return nil
}

func copyOps(ops []sim.OpStat) []sim.OpStat {
	if ops == nil {
		return nil
	}
	list := append([]sim.OpStat(nil), ops...)
	for i := range list {
		list[i].Work = append(sim.Counts(nil), list[i].Work...)
	}
	return list
}

// running is an appointment of the agenda: the end of a service or the arrival of a result.
type running struct {
	n    *node
	kind int // -1: service; k: the k-th result on its way
	due  units.Time
	seq  int64
	path *sim.Stalls
}

// move puts the appointment off.
func (e *running) move(shift units.Time) {
	n, r := e.n, e.n.f.r
	if e.kind < 0 {
		n.from.at += shift
		n.last += shift
		for i := range n.speeds {
			n.speeds[i].At += shift
		}
		n.schedule(n.end + shift)
		return
	}
	l := &n.late.list[e.kind]
	l.due.at += shift
	r.seq++
	l.seq = r.seq
	r.eng.At(l.due.at, priorityStep, &n.late)
}

// running lists all appointments of the frame and of frames inside it.
func (f *frame) running(list []running) []running {
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.inService {
			list = append(list, running{n, -1, n.end, n.seq, &n.from.stalls})
		}
		for k := range n.late.list {
			l := &n.late.list[k]
			list = append(list, running{n, k, l.due.at, l.seq, &l.due.stalls})
		}
		if n.child != nil && n.started > n.done {
			list = n.child.running(list)
		}
	}
	return list
}

// starts lists when the frames inside that run have started.
func (f *frame) starts(list []*instant) []*instant {
	for i := range f.nodes {
		if n := &f.nodes[i]; n.child != nil && n.started > n.done {
			list = n.child.starts(append(list, &n.child.started))
		}
	}
	return list
}

// key appends everything that the future of the frame depends on, relative to iteration base and
// to now. What steps have been through (their paths) is compared apart.
func (f *frame) key(key []byte, base int64, now units.Time) []byte {
	add := func(v int64) { key = binary.AppendVarint(key, v) }
	for i := range f.nodes {
		n := &f.nodes[i]
		add(n.started - base)
		add(n.freed - base)
		add(n.done - base)
		if n.inService {
			add(int64(n.end - now))
			add(int64(now - n.from.at))
			if n.disturbed {
				// What is left of a disturbed step is a fraction; equal bits mean equal futures.
				add(int64(math.Float64bits(n.left - float64(float64(now-n.last)*n.speed))))
				add(int64(math.Float64bits(n.speed)))
				add(int64(n.slowedBy))
				add(int64(now - n.last))
				for _, t := range n.slow {
					add(int64(t))
				}
			}
		}
		for k := range n.late.list {
			add(int64(n.late.list[k].due.at - now))
		}
		if n.child != nil && n.started > n.done {
			key = n.child.key(key, 0, now)
		}
	}
	for _, t := range f.tokens {
		add(t)
	}
	return key
}
