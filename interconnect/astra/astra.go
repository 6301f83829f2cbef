package astra

import (
	"container/heap"
	"fmt"
	"math/bits"
	"slices"

	"github.com/stratasim/strata/interconnect"
)

// Dimension is one dimension of the network, of as many ranks on a line.
type Dimension struct {
	Topology  string // "ring", "fully-connected" or "switch"
	Ranks     int64
	Rate      float64 // of a link, in 2³⁰ bytes a second
	Latency   float64 // of a link, in nanoseconds
	Algorithm string  // "ring", "direct", "halving-doubling" or "double-binary-tree"
}

// Request is a collective over all ranks.
type Request struct {
	Aware      bool // of what else is on the links
	Dimensions []Dimension
	Collective interconnect.Op
	Bytes      int64 // of a rank's buffer; for all-gather of its part
	Chunks     int64
	Active     int64 // chunks that a dimension works on at a time
}

// Topologies and Algorithms of a dimension.
var (
	Topologies = []string{"ring", "fully-connected", "switch"}
	Algorithms = []string{"ring", "direct", "halving-doubling", "double-binary-tree"}
)

const (
	endpoint    = 10   // ns before each send
	reduction   = 1600 // B/ns of the local memory
	mostRanks   = 1 << 20
	mostChunks  = 1 << 12
	mostEvents  = 8_000_000
	bytesPerGBs = 1.073741824 // B/ns
)

// An Error names the field of a request that cannot be answered.
type Error struct{ Field, Message, Hint string }

func (e *Error) Error() string { return e.Field + ": " + e.Message }

// Time returns the nanoseconds that the collective takes. Errors are of type *Error.
func Time(r *Request) (int64, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	s := &simulation{r: r, ranks: 1}
	if !r.symmetric() {
		s.ranks = r.Dimensions[0].Ranks
	}
	return s.run()
}

// symmetric reports whether all ranks do the same at the same time.
func (r *Request) symmetric() bool {
	return !slices.ContainsFunc(r.Dimensions, func(d Dimension) bool {
		return d.Algorithm == "double-binary-tree" || r.Aware && d.Topology == "ring" && d.Algorithm == "halving-doubling"
	})
}

func (r *Request) check() error {
	if len(r.Dimensions) == 0 {
		return &Error{"dims", "a network has a dimension", ""}
	}
	if r.Aware && len(r.Dimensions) > 1 {
		return &Error{"dims", "the aware backend has one dimension", "say astra-unaware"}
	}
	if r.Bytes < 1 || r.Bytes > 1<<50 {
		return &Error{"bytes", "must be 1 to 2^50", ""}
	}
	if r.Chunks < 1 || r.Chunks > mostChunks || r.Chunks > r.Bytes {
		return &Error{"chunks", fmt.Sprintf("must be 1 to %d and no more than there are bytes", mostChunks), ""}
	}
	if r.Active < 1 {
		return &Error{"active_chunks", "must be at least 1", ""}
	}
	all, work := int64(1), int64(0)
	for i, d := range r.Dimensions {
		at := func(name string) string { return fmt.Sprintf("%s/%d", name, i) }
		switch {
		case !slices.Contains(Topologies, d.Topology):
			return &Error{at("topology"), fmt.Sprintf("%.40q is not known", d.Topology), "ring, fully-connected or switch"}
		case !slices.Contains(Algorithms, d.Algorithm):
			return &Error{at("algorithm"), fmt.Sprintf("%.40q is not known", d.Algorithm), "ring, direct, halving-doubling or double-binary-tree"}
		case d.Ranks < 1 || d.Ranks > mostRanks || all > mostRanks/d.Ranks:
			return &Error{at("dims"), fmt.Sprintf("must be 1 to %d ranks, all dimensions together", mostRanks), ""}
		case !(d.Rate > 0) || d.Rate > 1e9:
			return &Error{at("link_gigabytes_per_second"), "must be more than 0, at most 1e9", "a link that carries nothing leaves its ranks out of reach"}
		case !(d.Latency >= 0) || d.Latency > 1e9:
			return &Error{at("latency_ns"), "must be 0 to 1e9", ""}
		}
		all *= d.Ranks
		power := d.Ranks&(d.Ranks-1) == 0
		switch r.Collective {
		case interconnect.AllReduce:
		case interconnect.AllGather, interconnect.ReduceScatter:
			if d.Algorithm == "double-binary-tree" {
				return &Error{at("algorithm"), "a double binary tree is for all-reduces only", ""}
			}
		case interconnect.AllToAll:
			if d.Algorithm != "ring" && d.Algorithm != "direct" {
				return &Error{at("algorithm"), d.Algorithm + " does not do all-to-all", "ring or direct"}
			}
		default:
			return &Error{"collective", fmt.Sprintf("%.40q has no such algorithm", r.Collective), "all-reduce, all-gather, reduce-scatter or all-to-all"}
		}
		if !power && (d.Algorithm == "halving-doubling" || d.Algorithm == "double-binary-tree") {
			return &Error{at("dims"), fmt.Sprintf("%s over %d ranks: it needs a power of two", d.Algorithm, d.Ranks), "direct or ring"}
		}
		if d.Algorithm == "double-binary-tree" && (len(r.Dimensions) > 1 || r.Chunks > 1) {
			return &Error{at("algorithm"), "a double binary tree is answered in one dimension and one chunk only", ""}
		}
		messages := 2 * d.Ranks
		switch d.Algorithm {
		case "ring":
			if r.Collective == interconnect.AllToAll {
				messages = d.Ranks * d.Ranks / 2
			}
		case "direct":
			if r.Aware && d.Topology == "ring" {
				messages = d.Ranks * d.Ranks / 2
			}
		default:
			if r.Aware && d.Topology == "ring" {
				messages = d.Ranks * d.Ranks * 2
			}
		}
		work += messages * 3
	}
	if all < 2 {
		return &Error{"dims", "one rank has nobody to talk to", ""}
	}
	if work > mostEvents/r.Chunks {
		return &Error{"dims", "more messages than this model plays", "fewer ranks or chunks"}
	}
	return nil
}

// event is something to do at a time; those of one time in the order in which they were asked for.
type event struct {
	at, sequence int64
	do           func()
}

type agenda []event

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].sequence < a[j].sequence
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

// simulation plays a request. Where all ranks are alike there is one, to which its own messages come as those of others
// do.
type simulation struct {
	r        *Request
	ranks    int64 // played
	now      int64
	sequence int64
	events   agenda
	links    map[linkKey]*link
	boxes    map[boxKey]*box
	lanes    [][]*lane // by rank and dimension
}

func (s *simulation) after(ns int64, do func()) {
	s.sequence++
	heap.Push(&s.events, event{s.now + ns, s.sequence, do})
}

// run plays all chunks and returns when the last rank has finished.
func (s *simulation) run() (int64, error) {
	s.links, s.boxes = map[linkKey]*link{}, map[boxKey]*box{}
	phases := s.phases()
	for rank := range s.ranks {
		lanes := make([]*lane, len(s.r.Dimensions))
		for i := range lanes {
			lanes[i] = &lane{}
		}
		s.lanes = append(s.lanes, lanes)
		for c := range s.r.Chunks {
			s.enter(&chunk{s: s, rank: rank, order: c, todo: phases})
		}
	}
	for len(s.events) > 0 {
		e := heap.Pop(&s.events).(event)
		s.now = e.at
		if e.do(); s.sequence > 2*mostEvents {
			return 0, &Error{"dims", "more messages than this model plays", "fewer ranks or chunks"}
		}
	}
	for _, lanes := range s.lanes {
		for _, l := range lanes {
			if len(l.waiting)+l.running > 0 {
				return 0, &Error{"algorithm", "the ranks wait for one another", ""}
			}
		}
	}
	return s.now, nil
}

// phase is a collective over one dimension.
type phase struct {
	dimension  int
	collective interconnect.Op
	bytes      int64
}

// phases lists what each chunk goes through.
func (s *simulation) phases() []phase {
	size := s.r.Bytes / s.r.Chunks
	var list []phase
	add := func(i int, op interconnect.Op) {
		list = append(list, phase{i, op, size})
		switch n := s.r.Dimensions[i].Ranks; op {
		case interconnect.ReduceScatter:
			size /= n
		case interconnect.AllGather:
			size *= n
		}
	}
	var dims []int
	for i, d := range s.r.Dimensions {
		if d.Ranks > 1 {
			dims = append(dims, i)
		}
	}
	last := len(dims) - 1
	switch s.r.Collective {
	case interconnect.AllReduce:
		for _, i := range dims[:last] {
			add(i, interconnect.ReduceScatter)
		}
		add(dims[last], interconnect.AllReduce)
		for j := last - 1; j >= 0; j-- {
			add(dims[j], interconnect.AllGather)
		}
	case interconnect.AllGather:
		for j := last; j >= 0; j-- {
			add(dims[j], interconnect.AllGather)
		}
	default:
		for _, i := range dims {
			add(i, s.r.Collective)
		}
	}
	return list
}

// lane is the chunks of a rank in a dimension.
type lane struct {
	running int
	waiting []*chunk
}

// chunk is a part of the buffer of a rank on its way through the phases.
type chunk struct {
	s     *simulation
	rank  int64
	order int64
	todo  []phase
}

// enter lines a chunk up for its next phase.
func (s *simulation) enter(c *chunk) {
	if len(c.todo) == 0 {
		return
	}
	l := s.lanes[c.rank][c.todo[0].dimension]
	l.waiting = append(l.waiting, c)
	s.start(l)
}

// start begins chunks as long as the dimension takes more.
func (s *simulation) start(l *lane) {
	for int64(l.running) < s.r.Active && len(l.waiting) > 0 {
		c := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.running++
		p := c.todo[0]
		c.todo = c.todo[1:]
		s.algorithm(c, p, func() {
			l.running--
			s.enter(c)
			s.start(l)
		})
	}
}

// algorithm plays one phase of one chunk for one rank.
func (s *simulation) algorithm(c *chunk, p phase, done func()) {
	d := &s.r.Dimensions[p.dimension]
	e := &exchange{s: s, c: c, d: d, p: p, done: done}
	switch d.Algorithm {
	case "ring":
		e.ring()
	case "direct":
		e.direct()
	case "halving-doubling":
		e.halvingDoubling()
	default:
		e.tree()
	}
}

// exchange is the state of one phase of one chunk in one rank.
type exchange struct {
	s    *simulation
	c    *chunk
	d    *Dimension
	p    phase
	done func()
}

// step is a message that a rank sends to the rank so far away, and waits for one alike; before it, after the one
// before, it reduces so much.
type step struct {
	distance, bytes, reduces int64
}

// sequential plays steps one after the other; the last receipt is followed by reducing so much.
func (e *exchange) sequential(steps []step, last int64) {
	e.s.after(endpoint, func() { e.next(steps, last) })
}

func (e *exchange) next(steps []step, last int64) {
	if len(steps) == 0 {
		e.done()
		return
	}
	st := steps[0]
	peer := e.peer(st.distance)
	from := peer
	if e.d.Algorithm == "ring" {
		from = e.peer(-st.distance)
	}
	e.receive(from, func() {
		reduces := last
		if len(steps) > 1 {
			reduces = steps[1].reduces
		}
		e.s.after(endpoint+reduceTime(reduces), func() { e.next(steps[1:], last) })
	})
	e.send(peer, st.distance, st.bytes)
}

// reduceTime is two reads and a write.
func reduceTime(bytes int64) int64 { return 3 * (bytes / reduction) }

// peer is the rank so far away. It is always the only one played if all are alike.
func (e *exchange) peer(distance int64) int64 {
	if e.s.ranks == 1 {
		return 0
	}
	return ((e.c.rank+distance)%e.s.ranks + e.s.ranks) % e.s.ranks
}

func (e *exchange) ring() {
	n := e.d.Ranks
	part := e.p.bytes / n
	var steps []step
	var last int64
	switch e.p.collective {
	case interconnect.AllGather:
		part = e.p.bytes
		fallthrough
	case interconnect.ReduceScatter, interconnect.AllReduce:
		for i := range n - 1 {
			st := step{1, part, 0}
			if i > 0 && e.p.collective != interconnect.AllGather {
				st.reduces = part
			}
			steps = append(steps, st)
		}
		if e.p.collective == interconnect.ReduceScatter {
			last = part
		}
		if e.p.collective == interconnect.AllReduce {
			for i := range n - 1 {
				st := step{1, part, 0}
				if i == 0 {
					st.reduces = part
				}
				steps = append(steps, st)
			}
		}
	case interconnect.AllToAll:
		for range n * (n - 1) / 2 {
			steps = append(steps, step{1, part, 0})
		}
	}
	e.sequential(steps, last)
}

func (e *exchange) halvingDoubling() {
	n := e.d.Ranks
	rounds := bits.Len64(uint64(n)) - 1
	var steps []step
	distance := func(round int) int64 { // of the partner in a round of halving
		d := int64(1) << round
		if e.s.ranks > 1 && e.c.rank/d%2 == 1 {
			return -d
		}
		return d
	}
	if e.p.collective != interconnect.AllGather {
		for i := range rounds {
			st := step{distance: distance(i), bytes: e.p.bytes >> (i + 1)}
			if i > 0 {
				st.reduces = st.bytes
			}
			steps = append(steps, st)
		}
	}
	if e.p.collective != interconnect.ReduceScatter {
		for i := range rounds {
			bytes := e.p.bytes << i
			if e.p.collective == interconnect.AllReduce {
				bytes = e.p.bytes >> (rounds - i)
			}
			steps = append(steps, step{distance: distance(rounds - 1 - i), bytes: bytes})
		}
	}
	e.sequential(steps, 0)
}

// direct sends to all others at once. In the second half of an all-reduce a message goes out for each one that has come and is
// reduced, once all of the first half have come, whether reduced or not.
func (e *exchange) direct() {
	n := e.d.Ranks
	part := e.p.bytes / n
	if e.p.collective == interconnect.AllGather {
		part = e.p.bytes
	}
	var reduces int64
	if e.p.collective == interconnect.ReduceScatter || e.p.collective == interconnect.AllReduce {
		reduces = part
	}
	again := e.p.collective == interconnect.AllReduce
	var came, reduced, sent, done int64 // of the first half; of the second
	second := func() {
		for ; sent < reduced; sent++ {
			e.receive(e.peer(-sent-1), func() {
				e.s.after(endpoint, func() {
					if done++; done == n-1 {
						e.done()
					}
				})
			})
			e.send(e.peer(sent+1), sent+1, part)
		}
	}
	e.s.after(endpoint, func() {
		for k := int64(1); k < n; k++ {
			e.receive(e.peer(-k), func() {
				came++
				e.s.after(endpoint+reduceTime(reduces), func() {
					if reduced++; came < n-1 {
						return
					}
					if again {
						second()
					} else if reduced == n-1 {
						e.done()
					}
				})
			})
			e.send(e.peer(k), k, part)
		}
	})
}

// boxKey is a sender and receiver of a chunk.
type boxKey struct{ from, to, chunk int64 }

// box is messages that came before they were waited for, and what waits for messages.
type box struct {
	came    int64
	waiting []func()
}

func (s *simulation) box(k boxKey) *box {
	b := s.boxes[k]
	if b == nil {
		b = &box{}
		s.boxes[k] = b
	}
	return b
}

// receive does something when the next message of a rank has come.
func (e *exchange) receive(from int64, do func()) {
	b := e.s.box(boxKey{from, e.c.rank, e.c.order})
	if b.came > 0 {
		b.came--
		do()
		return
	}
	b.waiting = append(b.waiting, do)
}

// send starts a message to a rank.
func (e *exchange) send(to, distance, bytes int64) {
	s, from, order := e.s, e.c.rank, e.c.order
	arrive := func() {
		b := s.box(boxKey{from, to, order})
		if len(b.waiting) == 0 {
			b.came++
			return
		}
		do := b.waiting[0]
		b.waiting = b.waiting[1:]
		do()
	}
	n := e.d.Ranks
	distance = (distance%n + n) % n
	hops, way := int64(1), int64(1)
	switch e.d.Topology {
	case "ring":
		if hops = distance; 2*distance > n {
			hops, way = n-distance, -1
		}
	case "switch":
		hops = 2
	}
	if !s.r.Aware {
		s.after(int64(float64(float64(hops)*e.d.Latency)+float64(float64(bytes)/(e.d.Rate*bytesPerGBs))), arrive)
		return
	}
	switch e.d.Topology {
	case "ring":
		e.hop(from, way, hops, bytes, arrive)
	case "switch":
		s.pass(linkKey{up: true, at: from}, e.d, bytes, func() { s.pass(linkKey{at: to}, e.d, bytes, arrive) })
	default:
		s.pass(linkKey{at: from, way: distance}, e.d, bytes, arrive)
	}
}

// hop passes a message on around the ring.
func (e *exchange) hop(at, way, hops, bytes int64, arrive func()) {
	if hops == 0 {
		arrive()
		return
	}
	next := at
	if n := e.s.ranks; n > 1 {
		next = (at + way + n) % n
	}
	e.s.pass(linkKey{at: at, way: way}, e.d, bytes, func() { e.hop(next, way, hops-1, bytes, arrive) })
}

type linkKey struct {
	up      bool
	at, way int64
}

// link is busy with one message at a time.
type link struct {
	free int64 // when what has been taken in is through
}

// pass sends a message through a link after those that came before.
func (s *simulation) pass(k linkKey, d *Dimension, bytes int64, arrive func()) {
	l := s.links[k]
	if l == nil {
		l = &link{}
		s.links[k] = l
	}
	busy := float64(bytes) / (d.Rate * bytesPerGBs)
	begin := max(s.now, l.free)
	l.free = begin + int64(busy)
	s.after(begin-s.now+int64(d.Latency+busy), arrive)
}

// tree plays an all-reduce over one binary tree, without cutting the buffer: up to the root and back.
func (e *exchange) tree() {
	s, rank := e.s, e.c.rank
	t := treeOf(e.d.Ranks, rank)
	pass := func(to int64) { e.send(to, to-rank, e.p.bytes) }
	down := func() {
		for _, child := range t.children {
			pass(child)
		}
		e.done()
	}
	up := func() {
		if t.parent < 0 {
			down()
			return
		}
		e.receive(t.parent, func() {
			reduces := int64(0)
			if len(t.children) > 0 {
				reduces = e.p.bytes
			}
			s.after(endpoint+reduceTime(reduces), down)
		})
		pass(t.parent)
	}
	left := len(t.children)
	if left == 0 {
		s.after(endpoint, up)
		return
	}
	for _, child := range t.children {
		e.receive(child, func() {
			s.after(endpoint+reduceTime(e.p.bytes), func() {
				if left--; left == 0 {
					up()
				}
			})
		})
	}
}

// place in a tree.
type place struct {
	parent   int64 // −1 at the root
	children []int64
}

// treeOf is a rank's place in the tree whose root is rank 0 with one child, below which the ranks lie in order: halves of
// what is left to either side of each.
func treeOf(n, rank int64) place {
	if rank == 0 {
		return place{-1, []int64{n / 2}}
	}
	// Rank r with its lowest set bit b has children r ± b/2 and a parent at ± b.
	b := rank & -rank
	p := place{parent: 0}
	if b < n/2 {
		if rank&(2*b) != 0 {
			p.parent = rank - b
		} else {
			p.parent = rank + b
		}
	}
	if b > 1 {
		p.children = []int64{rank - b/2, rank + b/2}
	}
	return p
}
