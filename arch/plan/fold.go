package plan

import (
	"fmt"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Result is what one run of a body came to.
type Result struct {
	Time   units.Time
	Stalls sim.Stalls // sums to Time
	Work   sim.Counts
	Events int64
	ops    []opResult // operators inside, in order of appearance
}

type opResult struct {
	op   int
	stat sim.OpStat
}

// Timer times the parts of a program that Fold cannot add up by itself.
type Timer interface {
	// Serve times one step that runs alone.
	Serve(*Step) (units.Time, sim.Cause)
	// Pipeline times a body whose nodes overlap, run times times from rest.
	Pipeline(b *Body, times int64, f *Folder) (*Result, error)
	// Bound may raise the time of a finished body.
	Bound(b *Body, times int64, r *Result)
}

// Folder evaluates a program by adding up chains, each distinct body once.
type Folder struct {
	p     *Program
	timer Timer
	memo  map[foldKey]*Result
}

type foldKey struct {
	body  *Body
	times int64
}

// Fold evaluates the program: chains add up, overlapping bodies are asked of the timer, and a body
// that starts from rest is evaluated once however often it runs. A chain leaves everything at rest
// between its parts, so this loses nothing.
func Fold(p *Program, t Timer) (*sim.Outcome, error) { return NewFolder(p, t).Outcome() }

// NewFolder returns a folder that has evaluated nothing yet.
func NewFolder(p *Program, t Timer) *Folder {
	return &Folder{p: p, timer: t, memo: map[foldKey]*Result{}}
}

// Outcome evaluates the whole program.
func (f *Folder) Outcome() (*sim.Outcome, error) {
	p := f.p
	out := &sim.Outcome{Ops: make([]sim.OpStat, len(p.Ops))}
	for i := range out.Ops {
		out.Ops[i].Work = make(sim.Counts, len(p.Counters))
	}
	sum := f.empty()
	if p.Entry.Chain(1) {
		for i := range p.Entry.Nodes {
			r, err := f.Node(&p.Entry.Nodes[i])
			if err != nil {
				return nil, err
			}
			start := sum.Time
			if err := sum.add(r, 1); err != nil {
				return nil, err
			}
			if len(p.Sections) > 0 {
				out.Marks = append(out.Marks, sim.Mark{Section: i, Start: start, End: sum.Time})
			}
		}
		f.timer.Bound(p.Entry, 1, sum)
	} else {
		var err error
		if sum, err = f.Body(p.Entry, 1); err != nil {
			return nil, err
		}
	}
	out.Makespan, out.Stalls, out.Work, out.Events = sum.Time, sum.Stalls, sum.Work, sum.Events
	for i := range sum.ops {
		out.Ops[sum.ops[i].op] = sum.ops[i].stat
	}
	return out, nil
}

func (f *Folder) empty() *Result { return &Result{Work: make(sim.Counts, len(f.p.Counters))} }

// add appends n runs of r.
func (s *Result) add(r *Result, n int64) error {
	t, ok := units.Mul(int64(r.Time), n)
	if !ok || units.Time(t) > units.MaxTime-s.Time {
		return tooLong("the program")
	}
	s.Time += units.Time(t)
	s.Stalls.Add(&r.Stalls, n)
	s.Work.Add(r.Work, n)
	s.Events += r.Events
	for i := range r.ops {
		o := &r.ops[i]
		to := s.op(o.op)
		to.Calls += o.stat.Calls * n
		to.Time += o.stat.Time * units.Time(n)
		to.Stalls.Add(&o.stat.Stalls, n)
		to.Work.Add(o.stat.Work, n)
	}
	return nil
}

func (s *Result) op(op int) *sim.OpStat {
	for i := range s.ops {
		if s.ops[i].op == op {
			return &s.ops[i].stat
		}
	}
	s.ops = append(s.ops, opResult{op, sim.OpStat{Work: make(sim.Counts, len(s.Work))}})
	return &s.ops[len(s.ops)-1].stat
}

func tooLong(what string) error {
	return fmt.Errorf("%s takes longer than %v of simulated time: %w", what, units.MaxTime, ErrTooLarge)
}

// Node times one node that starts with everything at rest.
func (f *Folder) Node(n *Node) (*Result, error) {
	if n.Body != nil {
		return f.Body(n.Body, n.Times)
	}
	r := f.empty()
	busy, cause := f.timer.Serve(n.Step)
	if busy > units.MaxTime || n.Step.Latency > units.MaxTime-busy {
		return nil, tooLong("step " + n.Name)
	}
	r.Time = busy + n.Step.Latency
	r.Stalls[cause] += busy
	r.Stalls[n.Step.Charge] += n.Step.Latency
	for _, c := range n.Step.Counts {
		r.Work[c.Counter] += c.N
	}
	return r, nil
}

// Body times a body that starts with everything at rest.
func (f *Folder) Body(b *Body, times int64) (*Result, error) {
	k := foldKey{b, times}
	if r, ok := f.memo[k]; ok {
		// Events were handled once; asking again costs none.
		c := *r
		c.Events = 0
		return &c, nil
	}
	r := f.empty()
	if b.Chain(times) {
		one := f.empty()
		for i := range b.Nodes {
			n, err := f.Node(&b.Nodes[i])
			if err == nil {
				err = one.add(n, 1)
			}
			if err != nil {
				return nil, err
			}
		}
		if err := r.add(one, times); err != nil {
			return nil, err
		}
	} else {
		var err error
		if r, err = f.timer.Pipeline(b, times, f); err != nil {
			return nil, err
		}
	}
	f.timer.Bound(b, times, r)
	if b.Op >= 0 {
		r.ops = []opResult{{b.Op, sim.OpStat{Calls: times, Time: r.Time, Stalls: r.Stalls, Work: r.Work}}}
	}
	f.memo[k] = r
	return r, nil
}
