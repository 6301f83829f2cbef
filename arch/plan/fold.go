package plan

import (
	"fmt"
	"slices"
	"sync"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Result is what one run of a body came to.
type Result struct {
	Time   units.Time
	Stalls sim.Stalls // sums to Time
	Work   sim.Counts
	Events int64
	parts  []part // the operators inside
}

// part is an operator's share of a result: runs of the operator's body, each of which calls it a
// number of times.
type part struct {
	op          int
	of          *Result
	calls, runs int64
}

// Add appends what so many runs of another result did to the operators inside: a body whose nodes overlap has them
// all, and they may add up to more than its time.
func (s *Result) Add(of *Result, runs int64) {
	for _, q := range of.parts {
		q.runs *= runs
		s.parts = append(s.parts, q)
	}
}

// AddOp appends what an operator inside came to.
func (s *Result) AddOp(op int, o *sim.OpStat) {
	s.parts = append(s.parts, part{op, &Result{Time: o.Time, Stalls: o.Stalls, Work: o.Work}, o.Calls, 1})
}

// Running is the time in which kernels run. In a body whose nodes overlap they run also while the critical path is a
// copy between memories.
func (s *Result) Running() units.Time {
	t := s.Stalls.Running()
	var all units.Time
	for _, q := range s.parts {
		all += q.of.Stalls.Running() * units.Time(q.runs)
	}
	return min(max(t, all), s.Time)
}

// Timer times the parts of a program that Fold cannot add up by itself.
type Timer interface {
	// Serve times one step that runs alone.
	Serve(*Step) (units.Time, sim.Cause)
	// Pipeline times a body whose nodes overlap, run times times from rest.
	Pipeline(b *Body, times int64, f *Folder) (*Result, error)
}

// Folder evaluates a program by adding up chains, each distinct body once: overlapping bodies are
// asked of the timer, and a body that starts from rest is evaluated once however often it runs. A
// chain leaves everything at rest between its parts, so this loses nothing.
type Folder struct {
	p     *Program
	timer Timer
	memo  map[foldKey]*Result

	mem *foldMemory
}

// foldMemory is where results are. What it hands out is zero.
type foldMemory struct {
	results slab[Result]
	work    slab[int64]
	shares  slab[part]
}

var foldMemories = sync.Pool{New: func() any { return new(foldMemory) }}

type foldKey struct {
	body  *Body
	times int64
}

// NewFolder returns a folder that has evaluated nothing yet.
func NewFolder(p *Program, t Timer) *Folder {
	return &Folder{p: p, timer: t, memo: make(map[foldKey]*Result, 2*len(p.Ops)), mem: foldMemories.Get().(*foldMemory)}
}

// Release gives the memory of the results to folders that are made later. Neither the folder nor a result may be looked at afterwards; outcomes
// may.
func (f *Folder) Release() {
	mem := f.mem
	*f = Folder{}
	mem.results.zero()
	mem.work.zero()
	mem.shares.zero()
	foldMemories.Put(mem)
}

// Outcome evaluates the whole program.
func (f *Folder) Outcome() (*sim.Outcome, error) {
	if p := f.p; p.Entry.Chain(1) {
		return f.sections(0, len(p.Entry.Nodes), true)
	}
	sum, err := f.Body(f.p.Entry, 1)
	if err != nil {
		return nil, err
	}
	return f.outcome(sum), nil
}

// Section evaluates one section of a program whose sections follow one another, from rest.
func (f *Folder) Section(i int) (*sim.Outcome, error) { return f.sections(i, i+1, true) }

// Sections evaluates those from one number up to another, each from rest.
func (f *Folder) Sections(from, to int) (*sim.Outcome, error) { return f.sections(from, to, true) }

// Look is Sections without operators, for who asks at many clocks. Of a program whose parts do not follow one another it is Outcome.
func (f *Folder) Look(from, to int) (*sim.Outcome, error) {
	if !f.p.Entry.Chain(1) {
		return f.Outcome()
	}
	return f.sections(from, to, false)
}

// sections evaluates sections that follow one another.
func (f *Folder) sections(from, to int, operators bool) (*sim.Outcome, error) {
	p := f.p
	sum, out := f.NewResult(), &sim.Outcome{}
	if operators {
		out.Ops = p.NewOps()
	}
	var marks []sim.Mark
	if len(p.Sections) > 0 {
		marks = make([]sim.Mark, 0, to-from)
	}
	for i := from; i < to; i++ {
		start, stalls := sum.Time, sum.Stalls
		if err := f.node(sum, &p.Entry.Nodes[i]); err != nil {
			return nil, err
		}
		if len(p.Sections) > 0 {
			m := sim.Mark{Section: i, Start: start, End: sum.Time, Stalls: sum.Stalls.Minus(&stalls)}
			m.Running = m.Stalls.Running()
			if p.Overlaps() {
				m.Running = 0
				for _, q := range sum.parts {
					m.Running += q.of.Stalls.Running() * units.Time(q.runs)
				}
			}
			marks = append(marks, m)
		}
		if operators {
			sum.into(out.Ops)
		}
		sum.parts = sum.parts[:0]
	}
	out.Makespan, out.Stalls, out.Work, out.Events = sum.Time, sum.Stalls, slices.Clone(sum.Work), sum.Events
	out.Marks = marks
	return out, nil
}

// outcome turns a result into an outcome.
func (f *Folder) outcome(sum *Result) *sim.Outcome {
	out := &sim.Outcome{Ops: f.p.NewOps()}
	out.Makespan, out.Stalls, out.Work, out.Events = sum.Time, sum.Stalls, slices.Clone(sum.Work), sum.Events
	sum.into(out.Ops)
	return out
}

// into adds what the operators inside came to.
func (s *Result) into(ops []sim.OpStat) {
	for i := range s.parts {
		q := &s.parts[i]
		o := &ops[q.op]
		o.Calls += q.calls * q.runs
		o.Time += q.of.Time * units.Time(q.runs)
		o.Stalls.Add(&q.of.Stalls, q.runs)
		o.Work.Add(q.of.Work, q.runs)
	}
}

// NewResult returns the result of nothing, with room for every counter of the program.
func (f *Folder) NewResult() *Result {
	r := &f.mem.results.take(1)[0]
	r.Work = sim.Counts(f.mem.work.take(len(f.p.Counters)))
	return r
}

// add appends one run of r.
func (s *Result) add(r *Result) error {
	if r.Time > units.MaxTime-s.Time {
		return tooLong("the program")
	}
	s.Time += r.Time
	s.Stalls.Add(&r.Stalls, 1)
	s.Work.Add(r.Work, 1)
	s.Events += r.Events
	s.parts = append(s.parts, r.parts...)
	return nil
}

// times makes the result n runs of itself.
func (s *Result) times(n int64) error {
	t, ok := units.Mul(int64(s.Time), n)
	if !ok || units.Time(t) > units.MaxTime {
		return tooLong("the program")
	}
	s.Time = units.Time(t)
	for i := range s.Stalls {
		s.Stalls[i] *= units.Time(n)
	}
	for i := range s.Work {
		s.Work[i] *= n
	}
	for i := range s.parts {
		s.parts[i].runs *= n
	}
	return nil
}

func tooLong(what string) error {
	return fmt.Errorf("%s takes longer than %v of simulated time: %w", what, units.MaxTime, ErrTooLarge)
}

// Node times one node that starts with everything at rest.
func (f *Folder) Node(n *Node) (*Result, error) {
	if n.Body != nil {
		return f.Body(n.Body, n.Times)
	}
	r := f.NewResult()
	return r, f.node(r, n)
}

// node appends one run of a node that starts with everything at rest.
func (f *Folder) node(to *Result, n *Node) error {
	if n.Body != nil {
		r, err := f.Body(n.Body, n.Times)
		if err != nil {
			return err
		}
		return to.add(r)
	}
	busy, cause := f.timer.Serve(n.Step)
	latency := f.p.Latency(n.Step)
	if busy > units.MaxTime || latency > units.MaxTime-busy || busy+latency > units.MaxTime-to.Time {
		return tooLong("step " + n.Name)
	}
	to.Time += busy + latency
	to.Stalls[cause] += busy
	to.Stalls[n.Step.Charge] += latency
	for _, c := range n.Step.Counts {
		to.Work[c.Counter] += c.N
	}
	return nil
}

// Body times a body that starts with everything at rest. A kernel is timed from its start on the device,
// whenever the host launches it.
func (f *Folder) Body(b *Body, times int64) (*Result, error) {
	k := foldKey{b, times}
	if r, ok := f.memo[k]; ok {
		r.Events = 0 // they were handled once, and counted by who asked first
		return r, nil
	}
	var r *Result
	var err error
	if b.ahead && b.Op < 0 {
		r, err = f.Launched(b, times, nil)
	} else if b.Chain(times) {
		r = f.NewResult()
		if b.Op < 0 {
			r.parts = f.mem.shares.take(len(b.Nodes))[:0]
		}
		for i := range b.Nodes {
			if err := f.node(r, &b.Nodes[i]); err != nil {
				return nil, err
			}
		}
		err = r.times(times)
	} else {
		r, err = f.timer.Pipeline(b, times, f)
	}
	if err != nil {
		return nil, err
	}
	if b.Op >= 0 {
		r.parts = f.mem.shares.take(1)
		r.parts[0] = part{b.Op, r, times, 1}
	}
	f.memo[k] = r
	return r, nil
}
