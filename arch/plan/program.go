package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/memory/dram"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Program is what a machine has been planned to do: a compressed tree of loops and steps. A step
// says what it needs, never how long it takes. Both fidelities read the same Program.
type Program struct {
	Machine   string        // name of the machine it was planned for
	Ranks     int64         // chips that run this program in lockstep
	Batches   int64         // that follow one another through the stages, see InFlight; 0 means 1
	Stages    int64         // groups of as many chips that run parts of it in turn, while the others wait; 0 means 1
	Resources []Resource    // what steps use; at their best rates
	Counters  []sim.Counter // what steps count
	Ops       []OpInfo      // the operators, for reports
	// Staying says what waits on chip between the kernels of each block.
	Staying   []Staying
	Sections  []Section  // top-level sections (phases and steps), one per node of Entry
	Entry     *Body      // runs once
	Asked     []Asked    // what a Coster was asked for, in order; nil without one
	Placement *Placement // what lives where
	// DRAM is the table of the chips behind a resource, nil where none is known or there are none; the
	// last resources may be left out.
	DRAM []*dram.Standard

	host         int         // index of the host among Resources, -1 if it has no part in the program
	slower, full units.Hertz // the clock it runs at, and the full one; 0 for the full one
	mem          *arena      // where its parts are, while it is planned and when it is released; nil if they are anywhere
}

// Release gives the memory of the program to plans that are made later. Nobody may look at it afterwards, nor at what was
// derived from it by AtClock or Only.
func (p *Program) Release() {
	mem := p.mem
	*p = Program{}
	if mem != nil {
		mem.again()
		arenas.Put(mem)
	}
}

// Chips is how many chips there are in all.
func (p *Program) Chips() int64 { return p.Ranks * p.stages() }

func (p *Program) stages() int64 { return max(p.Stages, 1) }

// Running is how many chips run the program at a time: those of a stage for each batch in flight.
func (p *Program) Running() int64 { return p.Ranks * p.InFlight() }

// Waiting is how many chips wait while others run the program.
func (p *Program) Waiting() int64 { return p.Ranks * (p.stages() - p.InFlight()) }

// InFlight is how many batches follow one another through the stages: the program is that of each.
func (p *Program) InFlight() int64 { return max(p.Batches, 1) }

// AtClock returns the program with the cores at a clock below their full one: what goes with the clock
// takes longer, the plan and with it the work stay. Amounts are cycles or bytes either way, so only
// rates and latencies in cycles change.
func (p *Program) AtClock(clock, full units.Hertz) *Program {
	q := *p
	if clock >= full {
		return &q
	}
	q.slower, q.full = clock, full
	q.Resources = append([]Resource(nil), p.Resources...)
	for i := range q.Resources {
		if r := &q.Resources[i]; r.Clocked {
			r.Rate = max(1, int64(float64(r.Rate)*(float64(clock)/float64(full))))
		}
	}
	return &q
}

// Only returns the program of one section alone.
func (p *Program) Only(section int) (*Program, error) {
	q := *p
	q.mem = nil // others may look at the program meanwhile
	n := p.Entry.Nodes[section]
	n.After = nil
	q.Entry, q.Sections = &Body{Name: p.Entry.Name, Op: -1, Nodes: []Node{n}}, p.Sections[section:section+1]
	return &q, q.Finish()
}

// NewOps returns what no operator of the program has done yet.
func (p *Program) NewOps() []sim.OpStat {
	ops := make([]sim.OpStat, len(p.Ops))
	counts := make(sim.Counts, len(p.Ops)*len(p.Counters))
	for i := range ops {
		ops[i].Work, counts = counts[:len(p.Counters):len(p.Counters)], counts[len(p.Counters):]
	}
	return ops
}

// Latency is how long the result of a step takes to arrive after its service, at the program's clock.
func (p *Program) Latency(s *Step) units.Time {
	if p.slower == 0 || !s.Clocked {
		return s.Latency
	}
	t, ok := units.MulDivCeil(int64(s.Latency), int64(p.full), int64(p.slower))
	if !ok || t > int64(units.MaxTime) {
		return units.MaxTime + 1
	}
	return units.Time(t)
}

// HostResource is the name of the framework on the host that drives the chips, a resource whose unit is a
// picosecond of its time. HostKind is the kind of the operators that are its serial work: RequestOp and StepOp.
const (
	HostResource = "framework"
	HostKind     = "host"
	RequestOp    = "request"
	StepOp       = "framework step"
)

// Resource is a server that steps use at a rate: a unit of the cores, a memory tier, a link.
type Resource struct {
	Name  string
	Cause sim.Cause // what time limited by it is charged to
	Unit  string    // of amounts: "B" or "cycle"
	Rate  int64     // sustained amount per second, at best
	// PerCore says that each core has one and that amounts are those of one core; the cores
	// that take part run in lockstep.
	PerCore bool
	// Clocked says that the rate goes with the clock of the cores.
	Clocked bool
}

// Time returns how long amount takes at the best rate, rounded up; more than units.MaxTime when it
// overflows.
func (r *Resource) Time(amount int64) units.Time {
	t, ok := units.MulDivCeil(amount, int64(units.Second), r.Rate)
	if !ok || t > int64(units.MaxTime) {
		return units.MaxTime + 1
	}
	return units.Time(t)
}

// OpInfo names an operator of the program.
type OpInfo struct {
	Name  string // as in the graph
	Kind  string
	Phase string
}

// Section is one top-level stretch of the program, such as a prefill or one decode step.
type Section struct {
	Name  string
	Phase string
	Step  int64 // number of its first step, 0 for a prefill
	Steps int64 // alike steps in a row that it stands for; 0 for what belongs to no step, such as a request's cost
	// Stage of the pipeline that it is of, or HostStage, where several batches are in flight: a step has a section for each.
	Stage int64
}

// HostStage stands for the host in Section.Stage.
const HostStage = -1

// Body is a set of nodes with dependencies between them, run Times times as a loop. Iterations of
// one node follow each other; apart from that an iteration starts as soon as its dependencies and
// buffers allow, so iterations of different nodes overlap.
type Body struct {
	Name    string
	Op      int // index into Program.Ops if the body is one operator, else -1
	Nodes   []Node
	Buffers []Buffer

	held units.Bytes // per core, by buffers of a kernel whose time is given
	like *Body       // a body with the same dependencies and no buffers, whose nodes were checked before

	kernel   int        // 1 more than the operator that the body is part of, 0 for none
	ahead    bool       // the host launches kernels inside ahead of the device
	sequence bool       // each node waits for the one before it
	wraps    bool       // the first node waits for the last one of the iteration before
	checked  bool       // nothing is wrong with the nodes
	work     sim.Counts // counters and amounts of one iteration, bodies inside included
	amounts  []int64
}

// Ahead reports whether the host launches kernels ahead of the device.
func (p *Program) Ahead() bool { return p.Entry != nil && p.Entry.ahead }

// Overlaps reports whether kernels run while the critical path is elsewhere: on the host that launches them, or on
// a copy between memories.
func (p *Program) Overlaps() bool { return p.Ahead() || p.Placement.Streams() }

// Syncs reports whether the host waits for the device before the body's first step, as it does between the
// steps of a framework.
func (b *Body) Syncs() bool {
	if n := &b.Nodes[0]; n.Body != nil {
		return n.Body.Syncs()
	}
	return b.Nodes[0].Step.Sync
}

// Ahead reports whether the host launches kernels inside the body, or the body itself, ahead of the device.
func (b *Body) Ahead() bool { return b.ahead }

// Kernel returns the operator that the body is or is part of, -1 for none.
func (b *Body) Kernel() int {
	if b.Op >= 0 {
		return b.Op
	}
	return b.kernel - 1
}

// Chain reports whether nodes of the body never overlap when it runs times times: each waits for
// the one before and, in a loop, the first for the last of the iteration before.
func (b *Body) Chain(times int64) bool { return b.sequence && (times == 1 || b.wraps) }

// Successors lists for each node the nodes that depend on it, itself first.
func (b *Body) Successors() [][]int {
	count, total := make([]int, len(b.Nodes)), len(b.Nodes)
	for n := range b.Nodes {
		count[n]++
		total += len(b.Nodes[n].After)
		for _, d := range b.Nodes[n].After {
			count[d.Node]++
		}
	}
	all, succ := make([]int, total), make([][]int, len(b.Nodes)) // in one piece of memory
	for n, c := range count {
		succ[n] = append(all[:0:c], n)
		all = all[c:]
	}
	for n := range b.Nodes {
		for _, d := range b.Nodes[n].After {
			succ[d.Node] = append(succ[d.Node], n)
		}
	}
	return succ
}

// Buffer is on-chip space counted in tokens: a step that acquires waits until enough are free.
type Buffer struct {
	Name     string
	Capacity int64
	Token    units.Bytes // bytes that one token stands for, per core
}

// Node is a step, or a body that is run Times times.
type Node struct {
	Name  string
	Step  *Step
	Body  *Body
	Times int64 // iterations of Body; 1 for a call
	After []Dep
	// Acquire tokens of the enclosing body's buffers before starting, Release them when done.
	Acquire, Release []Tokens
}

// Dep makes an iteration wait for a node of the same body: of the same iteration (Distance 0, an
// earlier node) or of the iteration Distance before.
type Dep struct {
	Node     int
	Distance int64
}

// Tokens is an amount of a buffer.
type Tokens struct {
	Buffer int
	N      int64
}

// Use is an amount of a resource: bytes, or cycles of the core clock.
type Use struct {
	Resource int
	Amount   int64
	// Share is the part of the resource's sustained rate that the kernel reaches; 0 means all of it.
	Share float64
	// Series says that the use is a part of the way of what the use before it moves: the slower of the
	// two sets the pace of both, while other uses overlap imperfectly.
	Series bool
	// Write says that the use is a copy that writes the memory. Kernels do not say so: what their own mix of reads and
	// writes costs is in the rate of the memory.
	Write bool
}

// Occupied is the amount that could be served at the full rate while the use is.
func (u *Use) Occupied() int64 {
	if u.Share == 0 {
		return u.Amount
	}
	return int64(math.Min(math.Ceil(float64(u.Amount)/u.Share), math.MaxInt64/2))
}

// Time returns how long the use takes when it has the resource to itself.
func (u *Use) Time(res []Resource) units.Time { return res[u.Resource].Time(u.Occupied()) }

// term adds the time of a use to those whose p-norm is taken, or to that of the use before it.
func (u *Use) term(ts []units.Time, t units.Time) []units.Time {
	if last := len(ts) - 1; u.Series && last >= 0 {
		ts[last] = max(ts[last], t)
		return ts
	}
	return append(ts, t)
}

// Count is an increment of a counter.
type Count struct {
	Counter int
	N       int64
}

// Step is the smallest piece of work: it uses several resources at once, then its result takes
// Latency to arrive.
type Step struct {
	Kind string // "load", "compute", "store", "launch", "collective", …; for people
	Uses []Use
	// Beside lists what a partner step of the same pipeline uses at the same time. It is neither
	// occupied nor counted here; but the two overlap imperfectly, and the slower of the pair pays.
	Beside []Use
	// Overlap is the exponent of the p-norm by which the uses overlap; 0 means perfectly (∞).
	Overlap float64
	Latency units.Time
	Clocked bool      // Latency counts cycles of the cores: it grows when their clock is lowered
	Charge  sim.Cause // what Latency is charged to
	Cores   int64     // cores that take part, for PerCore resources
	Counts  []Count
	// Host is what the host has to do before the step can start, in picoseconds of HostResource. The
	// host does it in the order of the steps, one after the other, ahead of the device.
	Host int64
	// Sync says that the host waits for the device before this step and goes on after it.
	Sync bool
}

// Serve returns how long the step keeps its resources when nobody else uses them, and which cause
// limits it. The uses overlap by a p-norm, t = (Σ tᵢᵖ)^(1/p) ≥ max tᵢ; a step slower than its
// partner also pays for the partner's uses, a faster one hides behind it. The slower is the one whose
// own p-norm is larger, of equals the one that uses the resource listed first: so exactly one of the two
// pays, and together they take no longer when one of their uses becomes faster.
func (s *Step) Serve(res []Resource) (units.Time, sim.Cause) {
	var mine, theirs [12]units.Time
	ts, beside := mine[:0], theirs[:0]
	var most units.Time
	cause := s.Charge
	for i := range s.Uses {
		u := &s.Uses[i]
		t := u.Time(res)
		ts = u.term(ts, t)
		if t > most || t == most && t > 0 && res[u.Resource].Cause < cause {
			most, cause = t, res[u.Resource].Cause
		}
	}
	if s.Overlap == 0 || most > units.MaxTime {
		return most, cause
	}
	own := units.PNorm(s.Overlap, ts...)
	if len(s.Beside) == 0 {
		return own, cause
	}
	for i := range s.Beside {
		beside = s.Beside[i].term(beside, s.Beside[i].Time(res))
	}
	if other := units.PNorm(s.Overlap, beside...); other > own || other == own && slices.CompareFunc(s.Uses, s.Beside, byResource) > 0 {
		return own, cause
	}
	return units.PNorm(s.Overlap, append(ts, beside...)...), cause
}

// byResource orders uses.
func byResource(a, b Use) int {
	return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Amount, b.Amount))
}

// Floor returns the least time the step's uses can take: the largest of them at its best rate.
func (s *Step) Floor(res []Resource) units.Time {
	var t units.Time
	for _, u := range s.Uses {
		t = max(t, u.Time(res))
	}
	return t
}

// finish derives what evaluation needs from the nodes and checks the body and those inside.
func (b *Body) finish(p *Program, seen map[*Body]bool) error {
	if done, ok := seen[b]; ok {
		if !done {
			return fmt.Errorf("plan: body %q contains itself", b.Name)
		}
		return nil
	}
	seen[b] = false
	for n := range b.Nodes {
		if inner := b.Nodes[n].Body; inner != nil {
			if op := b.Kernel(); op >= 0 && inner.kernel == 0 {
				inner.kernel = op + 1
			}
			if err := inner.finish(p, seen); err != nil {
				return err
			}
		}
	}
	if b.like != nil && b.like.checked {
		b.sequence, b.wraps, b.checked = b.like.sequence, b.like.wraps, true
	} else if err := b.check(p); err != nil {
		return err
	}
	seen[b] = true
	for n := range b.Nodes {
		node := &b.Nodes[n]
		b.ahead = b.ahead || node.Body != nil && node.Body.ahead || node.Step != nil && node.Step.Host > 0
	}
	if b.ahead && !b.inSequence() {
		return fmt.Errorf("plan: body %q has launches that run ahead of the device, and nodes that overlap", b.Name)
	}
	return b.total(p)
}

// inSequence reports whether neither the nodes of the body nor iterations of a body with launches overlap.
func (b *Body) inSequence() bool {
	for i := range b.Nodes {
		if n := &b.Nodes[i]; n.Body != nil && n.Body.ahead && !n.Body.Chain(n.Times) {
			return false
		}
	}
	return b.sequence
}

// check verifies the nodes of a body and derives how they depend on one another.
func (b *Body) check(p *Program) error {
	fail := func(n int, format string, a ...any) error {
		return fmt.Errorf("plan: body %q, node %d (%s): %s", b.Name, n, b.Nodes[n].Name, fmt.Sprintf(format, a...))
	}
	if len(b.Nodes) == 0 {
		return fmt.Errorf("plan: body %q is empty", b.Name)
	}
	if b.Op >= len(p.Ops) {
		return fmt.Errorf("plan: body %q: operator %d of %d", b.Name, b.Op, len(p.Ops))
	}
	last := len(b.Nodes) - 1
	b.sequence = true
	// A lone body follows itself; a lone step with a latency lets its next iteration start early.
	b.wraps = last == 0 && (b.Nodes[0].Body != nil || b.Nodes[0].Step != nil && b.Nodes[0].Step.Latency == 0)
	acquired, released := make([]int, len(b.Buffers)), make([]int, len(b.Buffers))
	amount := make([]int64, len(b.Buffers))
	for n := range b.Nodes {
		node := &b.Nodes[n]
		if (node.Step == nil) == (node.Body == nil) {
			return fail(n, "must be either a step or a body")
		}
		chained := n == 0
		for _, d := range node.After {
			if d.Node < 0 || d.Node > last || d.Distance < 0 || d.Distance == 0 && d.Node >= n {
				return fail(n, "bad dependency on node %d at distance %d", d.Node, d.Distance)
			}
			chained = chained || d.Node == n-1 && d.Distance == 0
			b.wraps = b.wraps || n == 0 && d.Node == last && d.Distance == 1
		}
		b.sequence = b.sequence && chained
		for _, t := range node.Acquire {
			if t.Buffer < 0 || t.Buffer >= len(b.Buffers) || t.N < 1 || t.N > b.Buffers[t.Buffer].Capacity {
				return fail(n, "acquires %d tokens of buffer %d", t.N, t.Buffer)
			}
			acquired[t.Buffer]++
			amount[t.Buffer] += t.N
		}
		for _, t := range node.Release {
			if t.Buffer < 0 || t.Buffer >= len(b.Buffers) || t.N < 1 {
				return fail(n, "releases %d tokens of buffer %d", t.N, t.Buffer)
			}
			released[t.Buffer]++
			amount[t.Buffer] -= t.N
		}
		if node.Body != nil {
			if node.Times < 1 {
				return fail(n, "runs %d times", node.Times)
			}
			continue
		}
		s := node.Step
		if s.Host < 0 || s.Host > 0 && p.host < 0 {
			return fail(n, "needs %d of a host", s.Host)
		}
		if s.Latency < 0 || s.Cores < 0 || math.IsNaN(s.Overlap) || s.Overlap < 0 || s.Overlap > 0 && s.Overlap < 1 {
			return fail(n, "bad latency, cores or overlap")
		}
		for _, list := range [][]Use{s.Uses, s.Beside} {
			for _, u := range list {
				if u.Resource < 0 || u.Resource >= len(p.Resources) || u.Amount < 0 || !(u.Share >= 0 && u.Share <= 1) {
					return fail(n, "uses %d of resource %d at a share of %g", u.Amount, u.Resource, u.Share)
				}
			}
		}
		for i, u := range s.Uses {
			for _, v := range s.Uses[:i] {
				if u.Resource == v.Resource {
					return fail(n, "uses resource %s twice", p.Resources[u.Resource].Name)
				}
			}
		}
		for _, c := range s.Counts {
			if c.Counter < 0 || c.Counter >= len(p.Counters) || c.N < 0 {
				return fail(n, "counts %d of counter %d", c.N, c.Counter)
			}
		}
	}
	for i := range b.Buffers {
		if acquired[i] != 1 || released[i] != 1 || amount[i] != 0 {
			return fmt.Errorf("plan: body %q: buffer %q must be acquired by one node and released in the same amount by one node", b.Name, b.Buffers[i].Name)
		}
	}
	b.checked = true
	return nil
}

// Finish checks the program and prepares it for evaluation; Build has done so already.
func (p *Program) Finish() error {
	if p.Entry == nil {
		return fmt.Errorf("plan: the program has no entry")
	}
	for i := range p.Resources {
		if p.Resources[i].Rate < 1 {
			return fmt.Errorf("plan: resource %q has rate %d", p.Resources[i].Name, p.Resources[i].Rate)
		}
	}
	p.host = slices.IndexFunc(p.Resources, func(r Resource) bool { return r.Name == HostResource })
	if len(p.Sections) != 0 && len(p.Sections) != len(p.Entry.Nodes) {
		return fmt.Errorf("plan: %d sections for %d entry nodes", len(p.Sections), len(p.Entry.Nodes))
	}
	return p.Entry.finish(p, make(map[*Body]bool, 64))
}

// zeroes returns so many numbers that live as long as the program.
func (p *Program) zeroes(n int) []int64 {
	if p.mem == nil {
		return make([]int64, n)
	}
	list := p.mem.sums.take(n)
	clear(list)
	return list
}

// total sums up counters and amounts over the nodes, and makes sure that none overflows.
func (b *Body) total(p *Program) error {
	sums := p.zeroes(len(p.Counters) + len(p.Resources))
	b.work, b.amounts = sums[:len(p.Counters):len(p.Counters)], sums[len(p.Counters):]
	add := func(to []int64, i int, n, times int64) bool {
		if n != 0 {
			v, ok := units.Mul(n, times)
			if to[i], ok = addTo(to[i], v, ok); !ok {
				return false
			}
		}
		return true
	}
	for i := range b.Nodes {
		n := &b.Nodes[i]
		if n.Body != nil {
			for c, v := range n.Body.work {
				if !add(b.work, c, v, n.Times) {
					return tooMuch(p.Counters[c].Name)
				}
			}
			for r, v := range n.Body.amounts {
				if !add(b.amounts, r, v, n.Times) {
					return tooMuch(p.Resources[r].Name)
				}
			}
			continue
		}
		for _, c := range n.Step.Counts {
			if !add(b.work, c.Counter, c.N, 1) {
				return tooMuch(p.Counters[c.Counter].Name)
			}
		}
		for k := range n.Step.Uses {
			u := &n.Step.Uses[k]
			if !add(b.amounts, u.Resource, u.Occupied(), 1) {
				return tooMuch(p.Resources[u.Resource].Name)
			}
		}
		if n.Step.Host > 0 && !add(b.amounts, p.host, n.Step.Host, 1) {
			return tooMuch(HostResource)
		}
	}
	return nil
}

func addTo(a, b int64, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	return units.Add(a, b)
}

func tooMuch(what string) error {
	return fmt.Errorf("plan: %s comes to more than a 64-bit count holds: %w", what, ErrTooLarge)
}

// Work returns the planned work: every counter, summed over the whole program. Both fidelities
// must come to exactly these numbers.
func (p *Program) Work() sim.Counts { return p.Entry.work }

// Occupied returns the amount of a resource that the whole program occupies, for resources of each core
// that of one core; 0 if there is no such resource.
func (p *Program) Occupied(resource string) int64 {
	for i := range p.Resources {
		if p.Resources[i].Name == resource {
			return p.Entry.amounts[i] + p.Counted(resource+occupiedSuffix)
		}
	}
	return 0
}

// HostTime returns how long the host works ahead for the step.
func (p *Program) HostTime(s *Step) units.Time {
	if s.Host == 0 {
		return 0
	}
	return p.Resources[p.host].Time(s.Host)
}

// HostAmount returns how long the host is busy with one iteration of the body.
func (p *Program) HostAmount(b *Body) units.Time {
	if p.host < 0 {
		return 0
	}
	return p.Resources[p.host].Time(b.amounts[p.host])
}

// Work returns what one iteration of the body counts. Nobody may change it.
func (b *Body) Work() sim.Counts { return b.work }

// Amount returns the amount of a resource that one iteration of the body occupies.
func (b *Body) Amount(resource int) int64 { return b.amounts[resource] }
