package event

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/units"
)

// Priorities of agenda jobs at one instant: loop boundaries are looked at when everything else
// that happens then has happened.
const (
	priorityStep     = 0
	priorityBoundary = 1
)

// runner plays bodies.
type runner struct {
	ctx    context.Context
	p      *plan.Program
	opt    Options
	eng    *kernel.Engine
	served map[*plan.Step]*service
	succ   map[*plan.Body][][]int // see plan.Body.Successors

	// State of the body being played.
	root    *frame
	active  []*node // steps in service, in the order they started
	inLate  int     // latencies running
	work    sim.Counts
	seq     int64 // of scheduled completions, for the order at equal times
	frames  int64
	end     instant
	ended   bool
	since   int64 // events at the last progress report
	handled int64

	ops []sim.OpStat // nil while one operator is played by itself

	// Of fill, kept for their memory: by resource, and those that the group uses.
	levels, parts []float64
	used          []int

	// Only when the whole program is played at once.
	whole  bool
	host   instant // when the host has launched all up to now
	marked *plan.Body
	marks  []sim.Mark
	mark   instant    // the last of them
	ran    units.Time // in all of them, of a program whose kernels the host launches ahead
}

// instant is a completion: when, and how the path to it divides among causes.
type instant struct {
	at     units.Time
	stalls sim.Stalls
}

// service is what a step asks for, worked out once.
type service struct {
	alone  units.Time
	cause  sim.Cause
	shares []share
}

// share is the part of its service during which a step keeps a resource busy.
type share struct {
	resource int
	part     float64
	write    bool
}

// frame is one run of a body as a loop.
type frame struct {
	r        *runner
	id       int64
	body     *plan.Body
	times    int64
	parent   *node
	succ     [][]int
	nodes    []node
	tokens   []int64 // free tokens by buffer
	open     int     // nodes that have iterations left
	least    int64   // iterations that all nodes have done
	boundary bool    // a look at the boundary is scheduled
	started  instant
	spent    sim.Stalls // of an operator's frame, until its path went by way of the host
	op       int        // operator that the frame is part of, -1 for none
	history  map[string]*snapshot
	tries    int
}

// node is one node of a frame.
type node struct {
	f     *frame
	index int
	plan  *plan.Node
	svc   *service
	child *frame

	started, freed, done int64

	// The iteration in service.
	inService bool
	from      instant
	last      units.Time // when left and speed were last right
	left      float64    // service left, at full speed, in ps
	speed     float64
	disturbed bool
	slow      [sim.NumCauses]units.Time // time at less than full speed, by the resource that was shared
	speeds    []Speed                   // since the iteration began, for the observer
	slowedBy  sim.Cause
	end       units.Time
	seq       int64

	late lateQueue
	held instant // the path by way of the host that a step waits for
}

// lateQueue holds results that are on their way; its Handle delivers them.
type lateQueue struct {
	n    *node
	list []late
}

type late struct {
	due instant
	seq int64
}

func newRunner(ctx context.Context, p *plan.Program, o Options) *runner {
	return &runner{ctx: ctx, p: p, opt: o, eng: kernel.New(o.Limits), served: map[*plan.Step]*service{}, succ: map[*plan.Body][][]int{}}
}

// play runs a body times times from rest.
func (r *runner) play(b *plan.Body, times int64) (*plan.Result, error) {
	r.eng.Reset()
	r.active, r.inLate, r.seq, r.frames = r.active[:0], 0, 0, 0
	r.ended, r.end = false, instant{}
	r.work = make(sim.Counts, len(r.p.Counters))
	if !r.whole {
		if r.ops = nil; b.Kernel() < 0 {
			r.ops = r.p.NewOps()
		}
	}
	r.root = r.newFrame(b, times, nil)
	if r.opt.Observer != nil {
		r.opt.Observer.Play(b, times)
	}
	r.eng.OnIdle(func() error {
		if r.ended {
			return nil
		}
		return fmt.Errorf("event: nothing left to do, but %s", r.root.waiting())
	})
	r.eng.At(0, priorityStep, r.root)
	if err := r.eng.Run(r.ctx); err != nil {
		var he *kernel.HandlerError
		if errors.As(err, &he) && errors.Is(he.Err, plan.ErrTooLarge) {
			return nil, he.Err
		}
		return nil, fmt.Errorf("playing %s: %w", b.Name, err)
	}
	r.handled += r.eng.Events()
	res := &plan.Result{Time: r.end.at, Stalls: r.end.stalls, Work: r.work, Events: r.eng.Events()}
	if !r.whole {
		for i := range r.ops {
			if r.ops[i].Calls > 0 {
				res.AddOp(i, &r.ops[i])
			}
		}
	}
	return res, nil
}

func (r *runner) newFrame(b *plan.Body, times int64, parent *node) *frame {
	r.frames++
	f := &frame{r: r, id: r.frames, body: b, times: times, parent: parent, nodes: make([]node, len(b.Nodes)), tokens: make([]int64, len(b.Buffers)), op: b.Kernel()}
	if b.Op < 0 && parent != nil {
		f.op = parent.f.op
	}
	if f.succ = r.succ[b]; f.succ == nil {
		f.succ = b.Successors()
		r.succ[b] = f.succ
	}
	for i := range b.Nodes {
		n := &f.nodes[i]
		n.f, n.index, n.plan = f, i, &b.Nodes[i]
		n.late.n = n
		if n.plan.Step != nil {
			n.svc = r.serviceOf(n.plan.Step)
		}
	}
	return f
}

func (r *runner) serviceOf(s *plan.Step) *service {
	if v, ok := r.served[s]; ok {
		return v
	}
	v := &service{}
	v.alone, v.cause = s.Serve(r.p.Resources)
	if v.alone > 0 {
		for _, u := range s.Uses {
			if part := float64(u.Time(r.p.Resources)) / float64(v.alone); part > 0 {
				v.shares = append(v.shares, share{u.Resource, part, u.Write})
			}
		}
	}
	r.served[s] = v
	return v
}

// Handle starts the root frame.
func (f *frame) Handle(now units.Time) error { return f.start(&instant{}) }

// start begins a frame at the given instant.
func (f *frame) start(at *instant) error {
	f.started, f.spent = *at, sim.Stalls{}
	f.open = len(f.nodes)
	f.least, f.tries, f.history, f.boundary = 0, 0, nil, false
	for i := range f.tokens {
		f.tokens[i] = f.body.Buffers[i].Capacity
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		n.started, n.freed, n.done = 0, 0, 0
	}
	for i := range f.nodes {
		if err := f.nodes[i].tryStart(at); err != nil {
			return err
		}
	}
	return nil
}

// tryStart starts the node's next iteration if nothing holds it back.
func (n *node) tryStart(at *instant) error {
	f := n.f
	if n.started >= f.times || n.started != n.freed {
		return nil
	}
	for _, d := range n.plan.After {
		if f.nodes[d.Node].done < n.started+1-d.Distance {
			return nil
		}
	}
	for _, t := range n.plan.Acquire {
		if f.tokens[t.Buffer] < t.N {
			return nil
		}
	}
	for _, t := range n.plan.Acquire {
		f.tokens[t.Buffer] -= t.N
		f.observeTokens(t.Buffer, at.at)
	}
	n.started++
	if n.plan.Body != nil {
		if n.child == nil {
			n.child = f.r.newFrame(n.plan.Body, n.plan.Times, n)
		}
		return n.child.start(at)
	}
	if r := f.r; r.whole && (n.plan.Step.Sync || n.plan.Step.Host > 0) {
		return n.launch(at)
	}
	return n.serve(at)
}

// launch starts a step when the host has launched it. Launches are in the order of the steps, which are a
// chain, so the host's clock moves on when a step could start.
func (n *node) launch(at *instant) error {
	r, s := n.f.r, n.plan.Step
	if s.Sync {
		r.host = *at
	}
	from := r.host.at
	t := r.p.HostTime(s)
	if t > units.MaxTime-from {
		return tooLate("step " + n.plan.Name)
	}
	r.host.at += t
	r.host.stalls[sim.Launch] += t
	if o, ok := r.opt.Observer.(HostObserver); ok && t > 0 {
		o.Launched(n.f.body, from, r.host.at)
	}
	wait := r.host.at - at.at
	if wait <= 0 {
		return n.serve(at)
	}
	n.held = r.host
	if n.f.body.Op >= 0 { // the kernel's time by cause is its own and what it waited
		own := at.stalls.Minus(&n.f.started.stalls)
		n.f.spent.Add(&own, 1)
		n.f.spent[sim.Launch] += wait
		n.f.started.stalls = r.host.stalls
	}
	r.eng.At(r.host.at, priorityStep, (*held)(n))
	return nil
}

// held is a node whose step waits for the host.
type held node

// Handle starts the step.
func (h *held) Handle(units.Time) error { return (*node)(h).serve(&h.held) }

func (f *frame) observeTokens(buffer int, at units.Time) {
	if o := f.r.opt.Observer; o != nil {
		o.Tokens(at, f.body, buffer, f.body.Buffers[buffer].Capacity-f.tokens[buffer])
	}
}

// serve puts the node's step into service.
func (n *node) serve(at *instant) error {
	r := n.f.r
	n.inService, n.from, n.last = true, *at, at.at
	n.left, n.speed, n.disturbed = float64(n.svc.alone), 1, false
	n.slow = [sim.NumCauses]units.Time{}
	if r.opt.Observer != nil {
		n.speeds = append(n.speeds[:0], Speed{at.at, 1})
	}
	if n.svc.alone > units.MaxTime-at.at {
		return fmt.Errorf("step %s ends after %v of simulated time: %w", n.plan.Name, units.MaxTime, plan.ErrTooLarge)
	}
	n.schedule(at.at + n.svc.alone)
	r.active = append(r.active, n)
	if len(r.active) > 1 && !r.opt.IdealContention {
		return r.share(n, at.at)
	}
	return nil
}

// schedule makes the service end at t; an earlier appointment goes stale.
func (n *node) schedule(t units.Time) {
	n.f.r.seq++
	n.end, n.seq = t, n.f.r.seq
	n.f.r.eng.At(t, priorityStep, n)
}

// Handle ends the node's service.
func (n *node) Handle(now units.Time) error {
	if !n.inService || now != n.end {
		return nil // rescheduled since
	}
	r, f := n.f.r, n.f
	n.inService = false
	for i, a := range r.active {
		if a == n {
			r.active = append(r.active[:i], r.active[i+1:]...)
			break
		}
	}
	s := n.plan.Step
	latency := r.p.Latency(s)
	for _, c := range s.Counts {
		r.work[c.Counter] += c.N
	}
	if f.op >= 0 && r.ops != nil {
		for _, c := range s.Counts {
			r.ops[f.op].Work[c.Counter] += c.N
		}
	}
	at := n.from
	at.at = now
	n.account(now)
	own := now - n.from.at
	for c, t := range n.slow {
		at.stalls[c] += t
		own -= t
	}
	at.stalls[n.svc.cause] += own
	if o := r.opt.Observer; o != nil {
		o.Span(Span{Body: f.body, Node: n.index, Iteration: n.freed, Start: n.from.at, End: now + latency, Alone: n.svc.alone, Speeds: slices.Clone(n.speeds)})
	}
	n.freed++
	if len(r.active) > 0 && !r.opt.IdealContention {
		if err := r.share(n, now); err != nil {
			return err
		}
	}
	if latency > 0 {
		if latency > units.MaxTime-now {
			return fmt.Errorf("step %s ends after %v of simulated time: %w", n.plan.Name, units.MaxTime, plan.ErrTooLarge)
		}
		due := at
		due.at += latency
		due.stalls[s.Charge] += latency
		r.seq++
		n.late.list = append(n.late.list, late{due, r.seq})
		r.inLate++
		r.eng.At(due.at, priorityStep, &n.late)
		if err := n.tryStart(&at); err != nil {
			return err
		}
		return r.progress()
	}
	return n.complete(&at)
}

// Handle delivers the oldest result.
func (q *lateQueue) Handle(now units.Time) error {
	if len(q.list) == 0 || q.list[0].due.at != now {
		return nil // moved since
	}
	due := q.list[0].due
	copy(q.list, q.list[1:])
	q.list = q.list[:len(q.list)-1]
	q.n.f.r.inLate--
	return q.n.complete(&due)
}

// complete finishes an iteration of the node: it returns tokens, wakes what waited, and ends the
// frame when it was the last.
func (n *node) complete(at *instant) error {
	f, r := n.f, n.f.r
	n.done++
	if n.plan.Step != nil && n.plan.Step.Sync {
		r.host = *at
	}
	for _, t := range n.plan.Release {
		f.tokens[t.Buffer] += t.N
		f.observeTokens(t.Buffer, at.at)
	}
	if f.body == r.marked {
		m := sim.Mark{Section: n.index, Start: r.mark.at, End: at.at, Stalls: at.stalls.Minus(&r.mark.stalls)}
		m.Running = m.Stalls.Running()
		if r.p.Overlaps() {
			all := (&sim.Outcome{Ops: r.ops}).Running()
			m.Running, r.ran = all-r.ran, all
		}
		r.marks = append(r.marks, m)
		r.mark = *at
	}
	if n.done == f.times {
		if f.open--; f.open == 0 {
			return f.finish(at)
		}
	}
	if len(n.plan.Release) > 0 {
		for i := range f.nodes {
			if err := f.nodes[i].tryStart(at); err != nil {
				return err
			}
		}
	} else {
		for _, i := range f.succ[n.index] {
			if err := f.nodes[i].tryStart(at); err != nil {
				return err
			}
		}
	}
	if !r.opt.Exact && f.times > 3 {
		f.atBoundary(at.at)
	}
	return r.progress()
}

func (r *runner) progress() error {
	if n := r.handled + r.eng.Events(); r.opt.Progress != nil && n-r.since >= 1<<16 {
		r.since = n
		r.opt.Progress(n)
	}
	return nil
}

// finish ends the frame and with it the iteration of the node that runs it.
func (f *frame) finish(at *instant) error {
	r := f.r
	if f.body.Op >= 0 && r.ops != nil {
		o := &r.ops[f.body.Op]
		o.Calls += f.times
		o.Time += at.at - f.started.at
		d := at.stalls.Minus(&f.started.stalls)
		o.Stalls.Add(&d, 1)
		o.Stalls.Add(&f.spent, 1)
	}
	if f.parent == nil {
		r.end, r.ended = *at, true
		return nil
	}
	f.parent.freed++
	return f.parent.complete(at)
}

// waiting names what a stuck frame waits for.
func (f *frame) waiting() string {
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.done == f.times {
			continue
		}
		if n.child != nil && n.started > n.done {
			return n.child.waiting()
		}
		return fmt.Sprintf("%s/%s has done %d of %d iterations", f.body.Name, n.plan.Name, n.done, f.times)
	}
	return f.body.Name + " is complete"
}

// share recomputes the speeds of the steps that share a resource, directly or through others, with
// the step that has just started or ended.
func (r *runner) share(changed *node, now units.Time) error {
	group := r.group(changed)
	if len(group) == 0 {
		return nil
	}
	speeds, by := r.fill(group)
	for i, n := range group {
		v := speeds[i]
		if v == n.speed {
			continue
		}
		n.left = max(0, n.left-float64(float64(now-n.last)*n.speed))
		n.account(now)
		n.last, n.speed, n.slowedBy = now, v, by[i]
		if r.opt.Observer != nil {
			n.speeds = append(n.speeds, Speed{now, v})
		}
		n.disturbed = true
		rest := math.Ceil(n.left / v)
		if rest > float64(units.MaxTime-now) {
			return fmt.Errorf("step %s ends after %v of simulated time: %w", n.plan.Name, units.MaxTime, plan.ErrTooLarge)
		}
		n.schedule(now + units.Time(rest))
	}
	return nil
}

// account charges the time since the last change of speed to the resource that set the pace, if that
// was a shared one.
func (n *node) account(now units.Time) {
	if n.speed < 1 {
		n.slow[n.slowedBy] += now - n.last
	}
}

// group collects the active steps connected to the changed one by shared resources, in the order
// in which they started.
func (r *runner) group(changed *node) []*node {
	var touched [64]bool
	wide := len(r.p.Resources) > len(touched)
	if wide {
		return r.active // more resources than we track: recompute everybody
	}
	for _, s := range changed.svc.shares {
		touched[s.resource] = true
	}
	in := make([]bool, len(r.active))
	count := 0
	for again := true; again; {
		again = false
		for i, n := range r.active {
			if in[i] {
				continue
			}
			for _, s := range n.svc.shares {
				if touched[s.resource] {
					in[i], again = true, true
					count++
					for _, t := range n.svc.shares {
						touched[t.resource] = true
					}
					break
				}
			}
		}
	}
	if count == 0 {
		return nil
	}
	group := make([]*node, 0, count)
	for i, n := range r.active {
		if in[i] {
			group = append(group, n)
		}
	}
	return group
}

// fill finds max-min fair speeds, and the cause that holds each step back. On every resource the
// steps that ask for more than an equal part of it get an equal part, and those that ask for less get
// all they ask for. Fixing the slowest step first makes this exact: a step that is held back
// elsewhere leaves the rest of its part to the others, so equal parts only grow.
func (r *runner) fill(group []*node) ([]float64, []sim.Cause) {
	speeds, by, fixed := make([]float64, len(group)), make([]sim.Cause, len(group)), make([]bool, len(group))
	if r.levels == nil {
		r.levels, r.parts = make([]float64, len(r.p.Resources)), make([]float64, len(r.p.Resources))
	}
	levels, kept := r.levels, r.parts
	used := r.used[:0]
	for _, n := range group {
		for _, s := range n.svc.shares {
			if !slices.Contains(used, s.resource) {
				used = append(used, s.resource)
				kept[s.resource] = r.kept(group, s.resource)
			}
		}
	}
	r.used = used
	for range group {
		for _, res := range used {
			levels[res] = level(group, speeds, fixed, res, kept[res])
		}
		slowest, speed, limit := -1, 2.0, -1
		for i, n := range group {
			if fixed[i] {
				continue
			}
			v, at := 1.0, -1
			for _, s := range n.svc.shares {
				if x := levels[s.resource] / s.part; x < v*(1-1e-12) {
					v, at = x, s.resource
				}
			}
			if v < speed {
				slowest, speed, limit = i, v, at
			}
		}
		fixed[slowest], speeds[slowest] = true, max(speed, 1e-9)
		if limit >= 0 {
			by[slowest] = r.p.Resources[limit].Cause
		}
	}
	return speeds, by
}

// kept is the part of its rate that a resource keeps while the steps of a group use it. What the reads and writes of one kernel
// cost each other is in the rate; of DRAM of which it is known what several streams cost each other, kernels and copies that
// meet lose that.
func (r *runner) kept(group []*node, res int) float64 {
	if res >= len(r.p.DRAM) || r.p.DRAM[res] == nil {
		return 1
	}
	type stream struct {
		op   int // operator; steps of none are one stream, as those inside an operator are that is played from within
		part float64
	}
	var buf [8]stream
	streams := buf[:0]
	var all, largest, written float64
	for _, n := range group {
		for _, s := range n.svc.shares {
			if s.resource != res {
				continue
			}
			all += s.part
			if s.write {
				written += s.part
			}
			at := slices.IndexFunc(streams, func(x stream) bool { return x.op == n.f.op })
			if at < 0 {
				at, streams = len(streams), append(streams, stream{op: n.f.op})
			}
			streams[at].part += s.part
			largest = max(largest, streams[at].part)
		}
	}
	if len(streams) < 2 {
		return 1
	}
	return r.p.DRAM[res].Together(len(streams), 1-largest/all, written/all)
}

// level returns the equal part of a resource, of which so much is free at first: what each step gets that asks for more. Steps
// whose speed is fixed have taken theirs.
func level(group []*node, speeds []float64, fixed []bool, res int, free float64) float64 {
	var buf [16]float64
	asked := buf[:0]
	for i, n := range group {
		for _, s := range n.svc.shares {
			if s.resource != res {
				continue
			}
			if fixed[i] {
				free -= float64(speeds[i] * s.part)
			} else {
				asked = append(asked, s.part)
			}
		}
	}
	slices.Sort(asked)
	for i, part := range asked {
		if equal := max(free, 0) / float64(len(asked)-i); part > equal {
			return equal
		}
		free -= part
	}
	return math.Inf(1)
}

func tooLate(what string) error {
	return fmt.Errorf("%s ends after %v of simulated time: %w", what, units.MaxTime, plan.ErrTooLarge)
}
