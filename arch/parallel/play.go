package parallel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Bounds of what is kept for a play. They bound memory, not what is modelled.
const (
	// maxLanes bounds stages times classes of ranks, each of which has a lane of its own.
	maxLanes = 1 << 16
	// maxSlots bounds the list of slots of a stage, where it is given.
	maxSlots = 1 << 24
	// fifoRoom is the messages that a queue has room for at first; the ring that it is needs a power of two.
	fifoRoom = 4
)

// flight is a communication that kernels may run beside.
type flight struct {
	start, end units.Time
	load       load
	kind       Kind
}

// fifo is messages in the order in which they were sent: the slot that each is for, and for each class when it can be used, or, if
// sends block, when it could be sent.
type fifo struct {
	slots   []Slot // a ring
	times   []units.Time
	head, n int
}

// push adds a message and returns its times to fill in.
func (f *fifo) push(s Slot, classes int) []units.Time {
	if size := len(f.slots); f.n == size {
		slots, times := make([]Slot, max(fifoRoom, 2*size)), make([]units.Time, max(fifoRoom, 2*size)*classes)
		for i := range f.n {
			sl, t := f.at(i, classes)
			slots[i] = *sl
			copy(times[i*classes:], t)
		}
		f.slots, f.times, f.head = slots, times, 0
	}
	f.n++
	sl, times := f.at(f.n-1, classes)
	*sl = s
	return times
}

func (f *fifo) at(i, classes int) (*Slot, []units.Time) {
	k := (f.head + i) & (len(f.slots) - 1)
	return &f.slots[k], f.times[k*classes : (k+1)*classes]
}

// pop takes the first message off; its times hold until the next is pushed.
func (f *fifo) pop(classes int) (Slot, []units.Time) {
	s, t := f.at(0, classes)
	f.head = (f.head + 1) & (len(f.slots) - 1)
	f.n--
	return *s, t
}

// part is equal blocks in a row of a chunk.
type part struct {
	block int // index in the step's blocks
	times int64
	cost  *blockCost // at the stage
}

// blockCost is what a block comes to at a stage.
type blockCost struct {
	units   [numUnits][]cost  // by class
	passes  [numPasses][]cost // by class
	mixes   [numPasses][]mix
	gather  interconnect.Cost // of its weights
	gload   load
	scatter interconnect.Cost // of its gradients
	sload   load
	weights units.Bytes // gradients on the wire, experts apart
	experts units.Bytes
}

// chunk is the layers that a stage runs without a break.
type chunk struct {
	parts  []part
	passes [numPasses][]cost
	mixes  [numPasses][]mix
	blocks int64
}

// block returns the i-th block of the chunk.
func (c *chunk) block(i int64) *blockCost {
	for k := range c.parts {
		if i < c.parts[k].times {
			return c.parts[k].cost
		}
		i -= c.parts[k].times
	}
	panic("parallel: a chunk has no such block")
}

// known returns what a block comes to if one of the chunks has it.
func known(chunks []chunk, block int) *blockCost {
	for c := range chunks {
		for k := range chunks[c].parts {
			if p := &chunks[c].parts[k]; p.block == block && p.cost != nil {
				return p.cost
			}
		}
	}
	return nil
}

// lane is one class of ranks at one stage.
type lane struct {
	now   units.Time // its kernels have ended
	hold  units.Time // and what it sends since, if sends block
	sent  units.Time // its last message has left: messages follow one another
	sends []flight

	tally // what it did
}

// tally is what a lane did. All of it grows alike from round to round of a region.
type tally struct {
	bubble  units.Time
	exposed [NumKinds]units.Time
	slots   [numPasses][]int64 // by chunk
}

// stage is the lanes of one stage, and what their data-parallel groups do.
type stage struct {
	nets    []Network
	chunks  []chunk
	lanes   []lane
	next    int64 // slot
	in      [2]fifo
	queue   units.Time // data-parallel collectives have ended
	flights []flight
	send    []interconnect.Cost // by direction·classes + class
	load    []load

	inFlight, most int64
	updated        int64 // parameters that the update of a rank is for

	// Gathers that were issued ahead: their ends, one for each position not yet run, 0 for one without a gather. Those of stage 3
	// have come to ahead.
	ahead   cursor
	gathers []units.Time
	pending struct{ weights, experts units.Bytes } // gradients in the bucket that is filled
}

// cursor is a position in a stage's order: a slot and a block of it.
type cursor struct {
	slot      int64
	index     int64 // of the block in its pass
	chunk     int32 // of the block before
	block     int64 // of the block before, in its chunk
	forwarded bool  // the block before ran forward
}

type play struct {
	*Step
	d       Degrees
	o       order
	classes []class
	all     []*Block
	stages  []stage
	split   []int64
	spread  float64 // how much slower the slowest chip is
	last    Pass    // after which gradients of weights are complete
	divided bool    // there are data-parallel ranks
	result  *Result
	slots   int64
	record  bool
	begin   []units.Time
}

// Play plays the step. Errors are *FieldError where a setting cannot be, and name stage, ranks and reason where ranks cannot go
// on.
func (s *Step) Play() (*Result, error) {
	p, err := s.prepare()
	if err != nil {
		return nil, err
	}
	if err := p.slotsOfAll(); err != nil {
		return nil, err
	}
	return p.finish()
}

func (s *Step) prepare() (*play, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	d := s.Degrees.Or1()
	kind, v, note, err := Resolve(s.Schedule, d.PP, d.Interleave, s.Microbatches)
	if err != nil {
		return nil, err
	}
	p := &play{Step: s, d: d, all: s.blocks(), record: s.Record}
	p.o = order{kind: kind, p: d.PP, v: v, m: s.Microbatches, lists: s.Orders}
	p.result = &Result{Schedule: kind}
	if note != "" {
		p.result.Notes = append(p.result.Notes, note)
	}
	if kind != Forward && s.Microbatches < d.PP && s.Orders == nil {
		p.result.Notes = append(p.result.Notes, fmt.Sprintf("%d micro-batches are fewer than the %d stages: some always wait", s.Microbatches, d.PP))
	}
	if s.Orders != nil {
		p.o.v = d.Interleave
		if err := p.o.checkLists(); err != nil {
			return nil, err
		}
	}
	if p.split, err = s.split(d.PP, p.o.v); err != nil {
		return nil, err
	}
	p.last = p.lastPass()
	p.spread = Straggler(s.Spread, d.Chips())
	p.classes = s.classes(d)
	if n := int64(len(p.classes)) * d.PP; n > maxLanes {
		return nil, illegal("stragglers", "", "%d classes of ranks on %d stages: at most %d are played", len(p.classes), d.PP, maxLanes)
	}
	p.divided = d.CP*d.DP > 1
	p.begin = make([]units.Time, len(p.classes))
	p.stages = make([]stage, d.PP)
	for i := range p.stages {
		if err := p.prepareStage(int64(i)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// checkLists verifies that every stage runs each pass of its chunks once, forward before backward before weight.
func (o *order) checkLists() error {
	if int64(len(o.lists)) != o.p {
		return illegal("schedule", "", "orders of %d stages, there are %d", len(o.lists), o.p)
	}
	for s, list := range o.lists {
		if len(list) > maxSlots {
			return illegal("schedule", "", "stage %d has %d slots: at most %d", s, len(list), maxSlots)
		}
		done := map[Slot]bool{}
		count := [numPasses]int64{}
		for _, sl := range list {
			switch {
			case sl.Pass >= numPasses || sl.Chunk < 0 || int64(sl.Chunk) >= o.v || sl.Microbatch < 0 || int64(sl.Microbatch) >= o.m:
				return illegal("schedule", "", "stage %d: there is no %v", s, sl)
			case done[sl]:
				return illegal("schedule", "", "stage %d: the %v is twice in its order", s, sl)
			case sl.Pass > ForwardPass && !done[Slot{sl.Pass - 1, sl.Chunk, sl.Microbatch}]:
				return illegal("schedule", "", "stage %d: the %v comes before the %s pass", s, sl, sl.Pass-1)
			}
			done[sl] = true
			count[sl.Pass]++
		}
		for pass, n := range count {
			if n != o.m*o.v && !(n == 0 && Pass(pass) != ForwardPass) {
				return illegal("schedule", "", "stage %d: %d %s passes, there are %d micro-batches of %d chunks", s, n, Pass(pass), o.m, o.v)
			}
		}
	}
	return nil
}

// prepareStage works out what the units and collectives of a stage take.
func (p *play) prepareStage(i int64) error {
	st := &p.stages[i]
	st.nets = p.nets(p.d, i)
	st.lanes = make([]lane, len(p.classes))
	counts := make([]int64, numPasses*p.o.v*int64(len(p.classes)))
	for r := range st.lanes {
		for k := range numPasses {
			st.lanes[r].slots[k], counts = counts[:p.o.v:p.o.v], counts[p.o.v:]
		}
	}
	f := make([]factors, len(p.classes))
	for r := range f {
		f[r] = p.factors(i, r)
	}
	var before *stage // whose blocks take the same
	if i > 0 && len(st.nets) == 1 && len(p.stages[i-1].nets) == 1 && p.alike(i-1, i) {
		before = &p.stages[i-1]
	}
	st.chunks = make([]chunk, p.o.v)
	for c := range p.o.v {
		at := c*p.d.PP + i
		ch := &st.chunks[c]
		ch.parts = p.parts(at)
		if before != nil && slices.EqualFunc(ch.parts, before.chunks[c].parts, func(a, b part) bool { return a.block == b.block && a.times == b.times }) {
			*ch = before.chunks[c]
			continue
		}
		sums := make([]cost, numPasses*len(f))
		for k := range numPasses {
			ch.passes[k] = sums[k*len(f) : (k+1)*len(f)]
		}
		for x := range ch.parts {
			part := &ch.parts[x]
			if part.cost = known(st.chunks, part.block); part.cost == nil && before != nil {
				part.cost = known(before.chunks, part.block)
			}
			if part.cost == nil {
				part.cost = new(blockCost)
				if err := p.costs(st, part.block, part.cost, f); err != nil {
					return err
				}
			}
			ch.blocks += part.times
			for k := range numPasses {
				for r := range f {
					one := &part.cost.passes[k][r]
					if one.time > units.MaxTime/units.Time(part.times) {
						return fmt.Errorf("stage %d: a %s pass takes longer than %v: %w", i, Pass(k), units.MaxTime, units.ErrTooLarge)
					}
					ch.passes[k][r].add(one, part.times)
				}
			}
		}
		for k := range numPasses {
			ch.mixes[k] = mixesOf(ch.passes[k])
			for r := range f {
				if ch.passes[k][r].time > units.MaxTime {
					return fmt.Errorf("stage %d: a %s pass takes longer than %v: %w", i, Pass(k), units.MaxTime, units.ErrTooLarge)
				}
			}
		}
	}
	st.ahead = cursor{chunk: -1}
	return p.sends(i)
}

// alike reports whether all classes are as fast at one stage as at another, kernels and links.
func (p *play) alike(a, b int64) bool {
	for r := range p.classes {
		if p.classes[r].stages[a] != p.classes[r].stages[b] {
			return false
		}
	}
	return true
}

// parts lists the blocks of a chunk, in the order of the model.
func (p *play) parts(at int64) []part {
	var parts []part
	if at == 0 {
		parts = append(parts, part{block: 0, times: 1})
	}
	for i, times := range p.cut(p.split, at) {
		parts = append(parts, part{block: 1 + i, times: times})
	}
	if at == int64(len(p.split))-1 {
		parts = append(parts, part{block: len(p.all) - 1, times: 1})
	}
	return parts
}

// shard is the ranks among which a copy of the state is divided, and those that hold copies of a part.
func (p *play) shard(experts bool) (within, across interconnect.Group) {
	all := p.d.Group(Data)
	if experts {
		all = p.d.Experts()
	}
	n := all.Ranks
	if r := p.Sharding.Ranks; r > 0 {
		n = gcd(n, r) // experts have fewer copies
	}
	return interconnect.Group{Ranks: n, Stride: all.Stride}, interconnect.Group{Ranks: all.Ranks / n, Stride: all.Stride * n}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// weights returns the parameters of a block on a rank and the bytes of those that are frozen, experts apart. The last stage has a
// copy of a tied table.
func (p *play) weights(block int) (parameters int64, frozen units.Bytes) {
	b := p.all[block]
	if p.d.PP > 1 && block == len(p.all)-1 {
		return b.Parameters + p.Tied, b.FrozenBytes + p.TiedFrozen
	}
	return b.Parameters, b.FrozenBytes
}

// costs works out what the passes and collectives of a block take.
func (p *play) costs(st *stage, block int, b *blockCost, f []factors) error {
	bl := p.all[block]
	weights, frozen := p.weights(block)
	all := make([]cost, (len(b.units)+numPasses)*len(f))
	part := func() (cs []cost) { cs, all = all[:len(f)], all[len(f):]; return cs }
	for k := range numPasses {
		b.passes[k] = part()
	}
	for i, u := range bl.units() {
		b.units[i] = part()
		pass := p.passOf(i)
		for r := range f {
			b.units[i][r] = u.cost(f[r])
			b.passes[pass][r].add(&b.units[i][r], 1)
		}
	}
	for k := range numPasses {
		b.mixes[k] = mixesOf(b.passes[k])
	}
	z := &p.Sharding
	b.weights = units.Bytes(weights * z.GradientBytes)
	b.experts = units.Bytes(bl.ExpertParameters * z.GradientBytes)
	if z.Stage == 3 || z.Stage > 0 && z.OverlapGather {
		for _, e := range []struct {
			experts bool
			n       int64
			frozen  units.Bytes
		}{{false, weights, frozen}, {true, bl.ExpertParameters, bl.FrozenExpertBytes}} {
			within, _ := p.shard(e.experts)
			bytes := units.Bytes(e.n * z.WeightBytes)
			if z.Stage == 3 { // the update leaves frozen weights as they are: other stages divide none
				bytes += e.frozen
			}
			c, err := p.collective(st.nets, interconnect.AllGather, within, bytes)
			if err != nil {
				return err
			}
			b.gather = after(b.gather, c)
		}
		b.gload = p.Chip.load(Data, b.gather.Local+b.gather.Remote, b.gather.Time, gatherTraffic)
	}
	if z.Stage >= 2 {
		var err error
		if b.scatter, err = p.reduction(st, b.weights, b.experts); err != nil {
			return err
		}
		b.sload = p.Chip.load(Data, b.scatter.Local+b.scatter.Remote, b.scatter.Time, reduceTraffic)
	}
	return nil
}

// lastPass is the pass after which gradients of a chunk's weights are complete: that of weights, where it is a slot of its own.
func (p *play) lastPass() Pass {
	if p.o.lists == nil && p.o.kind == ZeroBubble {
		return WeightPass
	}
	for _, l := range p.o.lists {
		for _, s := range l {
			if s.Pass == WeightPass {
				return WeightPass
			}
		}
	}
	return BackwardPass
}

// passOf is the pass in which a block's unit is run, by its place among units.
func (p *play) passOf(unit int) Pass {
	return [numUnits]Pass{ForwardPass, BackwardPass, BackwardPass, p.last, p.last}[unit]
}

// after is one collective after another.
func after(a, b interconnect.Cost) interconnect.Cost {
	a.Time += b.Time
	a.Latency += b.Latency
	a.Local += b.Local
	a.Remote += b.Remote
	return a
}

// reduction is what the reduction of gradients takes.
func (p *play) reduction(st *stage, weights, experts units.Bytes) (interconnect.Cost, error) {
	var sum interconnect.Cost
	for _, e := range []struct {
		experts bool
		n       units.Bytes
	}{{false, weights}, {true, experts}} {
		within, across := p.shard(e.experts)
		op, rest := interconnect.AllReduce, units.Bytes(0)
		switch {
		case p.Sharding.Stage > 0:
			op, rest = interconnect.ReduceScatter, e.n/units.Bytes(within.Ranks)
		case across.Ranks > 1: // copies of parts, but nothing is divided
			within.Ranks *= across.Ranks
		}
		c, err := p.collective(st.nets, op, within, e.n)
		if err != nil {
			return sum, err
		}
		sum = after(sum, c)
		if c, err = p.collective(st.nets, interconnect.AllReduce, across, rest); err != nil {
			return sum, err
		}
		sum = after(sum, c)
	}
	return sum, nil
}

// sends works out what messages of a stage take, in both directions.
func (p *play) sends(i int64) error {
	st := &p.stages[i]
	st.send, st.load = make([]interconnect.Cost, 2*len(p.classes)), make([]load, 2*len(p.classes))
	if p.d.PP == 1 {
		return nil
	}
	for dir := range 2 {
		to := i + 1 - 2*int64(dir)
		g := p.d.Group(Pipeline)
		if to < 0 || to >= p.d.PP {
			g, to = p.d.Ends(), (to+p.d.PP)%p.d.PP
		}
		for r, c := range p.classes {
			nets := []Network{p.Network}
			for _, f := range c.faults {
				if at := p.Faults[f].Rank / p.d.Stride(Pipeline); at == i || at == to {
					nets = append(nets, p.Faults[f].Network)
				}
			}
			cost, err := p.collective(nets, interconnect.SendRecv, g, p.Boundary.Bytes)
			if err != nil {
				return err
			}
			st.load[dir*len(p.classes)+r] = p.Chip.load(Pipeline, cost.Local+cost.Remote, cost.Time, gatherTraffic)
			if p.Boundary.Gather > 0 {
				local, err := p.collective(nets, interconnect.AllGather, p.d.Group(Tensor), p.Boundary.Gather)
				if err != nil {
					return err
				}
				cost = after(cost, local)
			}
			st.send[dir*len(p.classes)+r] = cost
		}
	}
	return nil
}

// ranks names the ranks of a stage.
func (p *play) ranks(stage int64) string {
	n := p.d.Stride(Pipeline)
	if n == 1 {
		return fmt.Sprintf("stage %d (rank %d)", stage, stage)
	}
	return fmt.Sprintf("stage %d (ranks %d to %d)", stage, stage*n, stage*n+n-1)
}

// source returns the stage that a slot's message comes from; it is not ok if it needs none.
func (p *play) source(s int64, sl Slot) (int64, bool) {
	switch sl.Pass {
	case ForwardPass:
		if s > 0 {
			return s - 1, true
		}
		return p.d.PP - 1, sl.Chunk > 0
	case BackwardPass:
		if s < p.d.PP-1 {
			return s + 1, true
		}
		return 0, int64(sl.Chunk) < p.o.v-1
	}
	return 0, false
}

// target returns the stage and slot that wait for a slot's message; it is not ok if none does.
func (p *play) target(s int64, sl Slot) (int64, Slot, bool) {
	switch sl.Pass {
	case ForwardPass:
		if s < p.d.PP-1 {
			return s + 1, sl, true
		}
		sl.Chunk++
		return 0, sl, int64(sl.Chunk) < p.o.v
	case BackwardPass:
		if s > 0 {
			return s - 1, sl, true
		}
		sl.Chunk--
		return p.d.PP - 1, sl, sl.Chunk >= 0
	}
	return 0, sl, false
}

// advance runs all stages as far as messages and limits let them.
func (p *play) advance(limit func(s int64) int64) error {
	for {
		moved := false
		run := func(s int64) error {
			for st, n := &p.stages[s], limit(s); st.next < n; moved = true {
				if ok, err := p.try(s); !ok || err != nil {
					return err
				}
			}
			return nil
		}
		for s := range p.d.PP {
			if err := run(s); err != nil {
				return err
			}
		}
		for s := p.d.PP - 1; s >= 0; s-- {
			if err := run(s); err != nil {
				return err
			}
		}
		if !moved {
			return nil
		}
	}
}

// slotsOfAll plays the slots of all stages.
func (p *play) slotsOfAll() error {
	if !p.Exact && !p.record {
		for _, r := range p.o.regions() {
			if err := p.skip(r); err != nil {
				return err
			}
		}
	}
	if err := p.advance(p.o.len); err != nil {
		return err
	}
	var stuck []string
	for s := range p.d.PP {
		if st := &p.stages[s]; st.next < p.o.len(s) {
			sl := p.o.at(s, st.next)
			from, _ := p.source(s, sl)
			stuck = append(stuck, fmt.Sprintf("%s waits for %s before the %v", p.ranks(s), p.ranks(from), sl))
		}
	}
	if stuck != nil {
		return illegal("schedule", "", "no rank can go on: %s", strings.Join(stuck, "; "))
	}
	return nil
}

// try runs the next slot of a stage, unless its message has not been sent yet.
func (p *play) try(s int64) (bool, error) {
	st := &p.stages[s]
	sl := p.o.at(s, st.next)
	from, needs := p.source(s, sl)
	var ready []units.Time
	if needs {
		in := &st.in[sl.Pass]
		if in.n == 0 {
			return false, nil
		}
		was, times := in.pop(len(p.classes))
		if was != sl {
			return false, illegal("schedule", "", "%s takes up the %v, %s has sent what the %v needs: messages arrive in the order in which they are sent", p.ranks(s), sl, p.ranks(from), was)
		}
		ready = times
	}
	for r := range st.lanes {
		l := &st.lanes[r]
		start := max(l.now, l.hold)
		pp := start - l.now // sends
		if needs {
			c := p.stages[from].send[int(sl.Pass)*len(p.classes)+r].Time
			at := ready[r]
			if p.Boundary.Blocking {
				at = max(at, l.now) + c
			}
			if at > start {
				pp, start = min(c, at-l.now), at
			}
		}
		l.exposed[Pipeline] += pp
		l.bubble += start - l.now - pp
		p.begin[r] = start
	}
	if p.byBlock(st, sl) {
		if err := p.blocksOf(s, sl); err != nil {
			return false, err
		}
	} else {
		c := &st.chunks[sl.Chunk]
		for r := range st.lanes {
			l := &st.lanes[r]
			l.now = p.run(st, l, p.begin[r], c.passes[sl.Pass][r].time, c.mixes[sl.Pass][r])
		}
	}
	for r := range st.lanes {
		if st.lanes[r].now > units.MaxTime {
			return false, fmt.Errorf("the step takes longer than %v: %w", units.MaxTime, units.ErrTooLarge)
		}
	}
	p.count(s, st, sl)
	if to, next, ok := p.target(s, sl); ok {
		ready := p.stages[to].in[sl.Pass].push(next, len(p.classes))
		for r := range st.lanes {
			at := int(sl.Pass)*len(p.classes) + r
			ready[r] = p.hand(&st.lanes[r], &st.send[at], st.load[at])
		}
	} else {
		for r := range st.lanes {
			st.lanes[r].hold = st.lanes[r].now
		}
	}
	st.next++
	return true, nil
}

// hand sends a message and returns when it can be used, or, if sends block, taken.
func (p *play) hand(l *lane, c *interconnect.Cost, ld load) units.Time {
	if p.Boundary.Blocking {
		l.hold = l.now + c.Time
		return l.now
	}
	l.hold = l.now
	start := max(l.now, l.sent)
	l.sent = start + c.Time
	if ld != (load{}) && c.Time > 0 {
		l.sends = append(l.sends, flight{start, start + c.Time, ld, Pipeline})
	}
	return start + c.Time
}

// count notes that a slot ran.
func (p *play) count(s int64, st *stage, sl Slot) {
	p.slots++
	switch sl.Pass {
	case ForwardPass:
		st.inFlight++
		st.most = max(st.most, st.inFlight)
	case p.last:
		st.inFlight--
	}
	for r := range st.lanes {
		st.lanes[r].slots[sl.Pass][sl.Chunk]++
		if p.record {
			p.result.Spans = append(p.result.Spans, Span{
				Class: int(s)*len(p.classes) + r, Name: sl.String(), Start: p.begin[r], End: st.lanes[r].now,
			})
		}
	}
}

// run runs kernels from start on beside what is under way, and returns when they have ended.
func (p *play) run(st *stage, l *lane, start, kernels units.Time, m mix) units.Time {
	if len(st.flights) == 0 && len(l.sends) == 0 {
		return start + kernels
	}
	t, left := start, kernels
	for left > 0 {
		next := units.MaxTime + 1 // when something starts or ends
		var s int64
		kind := Data
		for _, fs := range [2][]flight{st.flights, l.sends} {
			for i := range fs {
				f := &fs[i]
				switch {
				case f.end <= t:
				case f.start > t:
					next = min(next, f.start)
				default:
					next = min(next, f.end)
					if more := m.stretch(f.load); more > 0 {
						kind = f.kind
						s += more
					}
				}
			}
		}
		if next > units.MaxTime {
			t += left
			break
		}
		if need := stretched(left, s); t+need <= next {
			l.exposed[kind] += need - left
			t += need
			break
		}
		done := min(progress(next-t, s), left)
		l.exposed[kind] += next - t - done
		left -= done
		t = next
	}
	l.sends = landed(l.sends, t)
	return t
}

// landed drops flights that have ended.
func landed(fs []flight, t units.Time) []flight {
	kept := fs[:0]
	for _, f := range fs {
		if f.end > t {
			kept = append(kept, f)
		}
	}
	return kept
}
