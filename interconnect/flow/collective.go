package flow

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Algorithms of a collective over a group.
const (
	RingAlgorithm   = "ring" // both ways round
	Tree            = "double-binary-tree"
	HalvingDoubling = "halving-doubling"
	Direct          = "direct"
	OneShot         = "one-shot"
	InSwitch        = "in-switch"
	MultiRing       = "multi-ring" // a ring in each dimension at once, with a part of the buffer each
)

// Algorithms lists them.
var Algorithms = []string{RingAlgorithm, Tree, HalvingDoubling, Direct, OneShot, InSwitch, MultiRing}

// A stage is flows that start together, so many times.
type stage struct {
	from, to []int
	bytes    []float64
	times    float64
	// toSwitch says that flows go to and from the switch of the rank's first dimension: to only says whom a rank without a link
	// to it cannot reach.
	toSwitch bool
}

func (s *stage) add(from, to int, bytes float64) {
	if bytes > 0 && from != to {
		s.from, s.to, s.bytes = append(s.from, from), append(s.to, to), append(s.bytes, bytes)
	}
}

// Collective is one collective of a list of ranks, or of several such lists side by side.
type Collective struct {
	Op        interconnect.Op
	Algorithm string
	Bytes     float64 // of a rank's buffer; for all-gather and reduce-scatter the total
	Groups    [][]int
	// Skew is the exponent of the power law by which ranks of an all-to-all receive; 0: all as much.
	Skew float64
}

// does reports whether an algorithm can do a collective, and why not.
func does(op interconnect.Op, algorithm string, ranks int) string {
	scatter := op == interconnect.AllReduce || op == interconnect.AllGather || op == interconnect.ReduceScatter
	switch algorithm {
	case RingAlgorithm:
		return ""
	case Direct:
		if op == interconnect.Broadcast {
			return "a broadcast is sent on, not to all at once"
		}
		return ""
	case Tree:
		if op != interconnect.AllReduce && op != interconnect.Broadcast {
			return fmt.Sprintf("a tree does not do %s", op)
		}
	case HalvingDoubling:
		if !scatter {
			return fmt.Sprintf("halving and doubling does not do %s", op)
		}
		if bits.OnesCount(uint(ranks)) != 1 {
			return fmt.Sprintf("%d ranks are no power of two", ranks)
		}
	case OneShot, InSwitch:
		if op != interconnect.AllReduce {
			return fmt.Sprintf("%s does all-reduces only", algorithm)
		}
	case MultiRing:
		if !scatter {
			return fmt.Sprintf("rings in several dimensions do not do %s", op)
		}
	default:
		return fmt.Sprintf("%.40q is not known", algorithm)
	}
	return ""
}

// stages lists what a collective sends.
func (n *Network) stages(c *Collective) ([]stage, error) {
	var list []stage
	both := n.bothWays()
	for _, g := range c.Groups {
		if why := does(c.Op, c.Algorithm, len(g)); why != "" {
			return nil, wrong("algorithm", "", "group %s: %s", name(g), why)
		}
		if c.Algorithm == MultiRing {
			return n.multiRing(c)
		}
		mine := stagesOf(c.Op, c.Algorithm, c.Bytes, g, c.Skew, both)
		for i := range mine {
			if i == len(list) {
				list = append(list, mine[i])
				continue
			}
			list[i].from, list[i].to, list[i].bytes = append(list[i].from, mine[i].from...), append(list[i].to, mine[i].to...), append(list[i].bytes, mine[i].bytes...)
			list[i].times = max(list[i].times, mine[i].times)
		}
	}
	return list, nil
}

// name is a group in a message.
func name(g []int) string {
	if len(g) > 8 {
		return fmt.Sprintf("%v and %d more", g[:8], len(g)-8)
	}
	return fmt.Sprint(g)
}

// stagesOf lists what a collective of one group sends, but for rings in several dimensions; both says that a ring is worth going round
// both ways.
func stagesOf(op interconnect.Op, algorithm string, size float64, g []int, skew float64, both bool) []stage {
	n := len(g)
	if n < 2 || size <= 0 {
		return nil
	}
	passes := 1.0
	if op == interconnect.AllReduce {
		passes = 2
	}
	f := float64(n)
	if op == interconnect.SendRecv {
		s := stage{times: 1}
		for i := range n - 1 {
			s.add(g[i], g[i+1], size)
		}
		return []stage{s}
	}
	switch algorithm {
	case RingAlgorithm:
		s := stage{times: passes * (f - 1)}
		switch op {
		case interconnect.Broadcast: // pieces follow one another: all of it passes each link, and the first piece takes n−1 steps
			s.times = 1
			for i := range n - 1 {
				s.add(g[i], g[i+1], size)
			}
			return []stage{s}
		case interconnect.AllToAll:
			return all(g, size, skew)
		}
		for i := range n {
			if !both {
				s.add(g[i], g[(i+1)%n], size/f)
				continue
			}
			s.add(g[i], g[(i+1)%n], size/f/2)
			s.add(g[i], g[(i-1+n)%n], size/f/2)
		}
		return []stage{s}
	case Direct:
		s := all(g, size, skew)
		s[0].times = passes
		return s
	case OneShot:
		s := stage{times: 1}
		for i := range n {
			for j := range n {
				s.add(g[i], g[j], size)
			}
		}
		return []stage{s}
	case HalvingDoubling:
		var list []stage
		for d, part := n/2, size/2; d >= 1; d, part = d/2, part/2 {
			s := stage{times: passes}
			for i := range n {
				s.add(g[i], g[i^d], part)
			}
			list = append(list, s)
		}
		return list
	case InSwitch:
		s := stage{times: 1, toSwitch: true}
		for i := range n {
			s.from, s.to, s.bytes = append(s.from, g[i]), append(s.to, g[(i+1)%n]), append(s.bytes, size*(f+1)/f)
		}
		return []stage{s}
	case Tree:
		// Two trees, each with half of the buffer in pieces that follow one another, up and down at the same time.
		s := stage{times: 1}
		for t := range 2 {
			up := parent
			if op == interconnect.Broadcast {
				up = fromOne
			}
			for i := range n {
				if p := up(i, n, t); p >= 0 {
					s.add(g[p], g[i], size/2)
					if op == interconnect.AllReduce {
						s.add(g[i], g[p], size/2)
					}
				}
			}
		}
		return []stage{s}
	}
	return nil
}

// parent of a rank in one of two binary trees over n ranks, −1 for the root: leaves of one are inner ranks of the other.
func parent(i, n, tree int) int {
	if tree == 1 { // shifted by one
		if p := parent((i+1)%n, n, 0); p >= 0 {
			return (p - 1 + n) % n
		}
		return -1
	}
	if i == 0 {
		return -1
	}
	b := i & -i
	up := (i &^ b) | b<<1
	if up >= n {
		up = i &^ b
	}
	return up
}

// fromOne is the parent in one of two binary trees that both have rank 0 as their root: in the second the others move up by one.
func fromOne(i, n, tree int) int {
	if tree == 0 || i == 0 {
		return parent(i, n, 0)
	}
	p := parent(i%(n-1)+1, n, 0)
	if p <= 0 {
		return p
	}
	return (p+n-3)%(n-1) + 1
}

// all is what every rank sends to every other: its part for that one.
func all(g []int, size, skew float64) []stage {
	n := len(g)
	s := stage{times: 1}
	weights := make([]float64, n)
	var sum float64
	for j := range n {
		weights[j] = 1
		if skew > 0 {
			weights[j] = units.Power(float64(j+1), -skew)
		}
		sum += weights[j]
	}
	for i := range n {
		for j := range n {
			s.add(g[i], g[j], size*weights[j]/sum)
		}
	}
	return []stage{s}
}

// steps is how many messages of a collective wait for one another beyond the stages: pieces that follow one another pass that many
// ranks.
func steps(op interconnect.Op, algorithm string, n int) float64 {
	switch {
	case op == interconnect.Broadcast && algorithm == RingAlgorithm:
		return float64(n - 2)
	case algorithm == Tree && op == interconnect.AllReduce:
		return 2*float64(bits.Len(uint(n-1))) - 1
	case algorithm == Tree:
		return float64(bits.Len(uint(n-1))) - 1
	}
	return 0
}

// Result is what a collective takes.
type Result struct {
	Seconds float64
	Latency float64 // the part that does not depend on rates
	Sent    float64 // bytes that all ranks send, and receive
	// Busiest is a link that is busy longest, and Busy for how long.
	Busiest int
	Busy    float64
	Flows   int // of all stages

	wire float64 // the part of the time that is bytes on links
}

// memo is what patterns of flows take, by byte. Its lock is for all that a network finds out when it is asked.
type memo struct {
	sync.Mutex
	list map[pattern][]known
}

type pattern struct {
	op            interconnect.Op
	algorithm     string
	skew          float64
	groups, ranks int // of the first group
}

type known struct {
	groups [][]int
	result *Result // of one byte
}

// Time plays a collective by itself; the same one again, whatever its bytes, is looked up. Errors are of type *Error and name the
// ranks.
func (n *Network) Time(c *Collective) (*Result, error) {
	if len(c.Groups) == 0 || !(c.Bytes >= 0) {
		return nil, wrong("groups", "", "there must be a group, and no negative size")
	}
	k := pattern{c.Op, c.Algorithm, c.Skew, len(c.Groups), len(c.Groups[0])}
	n.known.Lock()
	for _, old := range n.known.list[k] {
		if slices.EqualFunc(old.groups, c.Groups, slices.Equal[[]int]) {
			n.known.Unlock()
			return old.result.of(c.Bytes), nil
		}
	}
	n.known.Unlock()
	one := *c
	one.Bytes = 1
	r, err := n.time(&one, false)
	if err != nil {
		return nil, err
	}
	n.known.Lock()
	if n.known.list == nil || len(n.known.list) > 1000 {
		n.known.list = map[pattern][]known{}
	}
	copied := make([][]int, len(c.Groups))
	for i, g := range c.Groups {
		copied[i] = slices.Clone(g)
	}
	n.known.list[k] = append(n.known.list[k], known{copied, r})
	n.known.Unlock()
	return r.of(c.Bytes), nil
}

// of is the result of one byte as that of so many.
func (r *Result) of(bytes float64) *Result {
	c := *r
	if bytes == 0 {
		return &Result{Busiest: -1}
	}
	c.wire = r.wire * bytes
	c.Seconds = r.Latency + c.wire
	c.Sent, c.Busy = r.Sent*bytes, r.Busy*bytes
	return &c
}

func (n *Network) time(c *Collective, whole bool) (*Result, error) {
	if err := n.check(c); err != nil {
		return nil, err
	}
	list, err := n.stages(c)
	if err != nil {
		return nil, err
	}
	r := &Result{Busiest: -1}
	busy := make([]float64, len(n.links))
	var slowest float64
	for i := range list {
		latency, err := n.stage(&list[i], r, busy, whole)
		if err != nil {
			return nil, c.within(err)
		}
		slowest = max(slowest, latency)
	}
	for _, g := range c.Groups[:min(1, len(c.Groups))] {
		more := steps(c.Op, c.Algorithm, len(g)) * slowest
		r.Latency += more
		r.Seconds = r.Latency + r.wire
	}
	r.busiest(busy)
	return r, nil
}

// within says which group a rank that cannot reach another one is in.
func (c *Collective) within(err error) error {
	e, ok := err.(*Error)
	if !ok || e.from == nil {
		return err
	}
	for _, g := range c.Groups {
		if slices.Contains(g, *e.from) {
			return &Error{e.Field, fmt.Sprintf("group %s: %s", name(g), e.Message), e.Hint, nil}
		}
	}
	return err
}

// bothWays reports whether the way to the rank before is another one than that to the rank after.
func (n *Network) bothWays() bool {
	return n.dims == nil || slices.ContainsFunc(n.dims, func(d Dimension) bool {
		return d.Topology == Ring || d.Topology == Line || d.Topology == FullyConnected
	})
}

func (r *Result) busiest(busy []float64) {
	for l, b := range busy {
		if b > r.Busy {
			r.Busiest, r.Busy = l, b
		}
	}
}

// stage adds a stage to the result and what it does to the links, and returns its latency.
func (n *Network) stage(s *stage, r *Result, busy []float64, whole bool) (float64, error) {
	paths := &routes{at: make([]int32, 1, len(s.from)+1), links: make([]int32, 0, 4*len(s.from)), bytes: make([]float64, 0, len(s.from))}
	for f := range s.from {
		r.Sent += s.bytes[f] * s.times
		if s.toSwitch {
			up, down := n.out[0][s.from[f]], n.in[0][s.from[f]]
			if n.links[up].Rate > 0 && n.links[down].Rate > 0 {
				paths.links = append(paths.links, up)
				paths.end(s.bytes[f])
				paths.links = append(paths.links, down)
				paths.end(s.bytes[f])
				continue
			}
		}
		if err := n.route(paths, s.from[f], s.to[f], s.bytes[f]); err != nil {
			return 0, err
		}
	}
	capacity := make([]float64, len(n.links))
	for l := range n.links {
		capacity[l] = n.links[l].Rate
	}
	var latency float64
	for f := range int32(paths.flows()) {
		var sum float64
		for _, l := range paths.path(f) {
			sum += n.links[l].Latency
			busy[l] += float64(paths.bytes[f] * s.times / capacity[l])
		}
		latency = max(latency, sum)
	}
	if s.toSwitch {
		latency *= 2 // up and down
	}
	r.Flows += paths.flows()
	r.wire += float64(s.times * drain(paths, capacity, whole))
	r.Latency += float64(s.times * latency)
	r.Seconds = r.Latency + r.wire
	return latency, nil
}

// check verifies groups: ranks that are there, once each.
func (n *Network) check(c *Collective) error {
	seen := make([]int, n.ranks) // group of a rank, from 1
	flows, fewer := 0, "fewer ranks"
	for i, g := range c.Groups {
		for _, rank := range g {
			if rank < 0 || rank >= n.ranks {
				return wrong("groups", "", "group %s: there is no rank %d among %d", name(g), rank, n.ranks)
			}
			if seen[rank] == i+1 {
				return wrong("groups", "", "group %s: rank %d is in it twice, and would wait for itself", name(g), rank)
			}
			if seen[rank] > 0 {
				return wrong("groups", "groups side by side share no rank", "rank %d is in group %s and in group %s at the same time, and cannot be in both", rank, name(c.Groups[seen[rank]-1]), name(g))
			}
			seen[rank] = i + 1
		}
		if first := c.Groups[0]; len(g) != len(first) {
			return wrong("groups", "groups of one size at a time, or jobs", "group %s has %d ranks and group %s %d: groups side by side are of one size", name(first), len(first), name(g), len(g))
		}
		switch {
		case c.Op == interconnect.AllToAll: // with any algorithm
			flows += len(g) * len(g)
		case c.Op != interconnect.SendRecv && (c.Algorithm == Direct || c.Algorithm == OneShot):
			flows += len(g) * len(g)
			fewer = "fewer ranks, or a ring"
		default:
			flows += 2 * len(g)
		}
	}
	if flows > mostLinks {
		return wrong("groups", fewer, "%d flows at a time are more than are played", flows)
	}
	if c.Algorithm == InSwitch && (!n.reduces || len(n.dims) != 1 || !n.dims[0].Reduces) {
		return wrong("algorithm", `"reduces": true, if the switch does`, "the network has no switch between all ranks that reduces")
	}
	return nil
}

// Side returns groups of ranks that cover a network side by side: Ranks of them, Stride apart.
func Side(ranks int, g interconnect.Group) ([][]int, error) {
	n, stride := int(g.Ranks), int(g.Stride)
	if g.Ranks < 1 || g.Stride < 1 || g.Ranks > int64(ranks) || g.Stride > int64(ranks) || ranks%(n*stride) != 0 {
		return nil, wrong("groups", "", "%d ranks are not groups of %d, %d apart", ranks, g.Ranks, g.Stride)
	}
	var list [][]int
	for block := 0; block < ranks; block += n * stride {
		for r := block; r < block+stride; r++ {
			var one []int
			for i := range n {
				one = append(one, r+i*stride)
			}
			list = append(list, one)
		}
	}
	return list, nil
}

// multiRing scatters or gathers in all dimensions at once: of as many parts of the buffer as there are dimensions, each begins with
// another one and goes on with the next.
func (n *Network) multiRing(c *Collective) ([]stage, error) {
	if len(c.Groups) != 1 || len(c.Groups[0]) != n.ranks || n.dims == nil {
		return nil, wrong("algorithm", "", "rings in several dimensions are over all ranks of a network of dimensions")
	}
	var dims []int
	for i, d := range n.dims {
		if d.Ranks > 1 {
			dims = append(dims, i)
		}
	}
	k := len(dims)
	var list []stage
	passes := 1.0
	if c.Op == interconnect.AllReduce {
		passes = 2
	}
	parts := slices.Repeat([]float64{c.Bytes / float64(max(k, 1))}, k)
	for turn := range k {
		longest := 0
		for p := range k {
			longest = max(longest, n.dims[dims[(p+turn)%k]].Ranks-1)
		}
		s := stage{times: passes * float64(longest)}
		for p := range k {
			d := dims[(p+turn)%k]
			size, stride := n.dims[d].Ranks, n.strides[d]
			// In as many steps as the longest ring has: a shorter one sends its share in each.
			each := parts[p] / float64(size) * float64(size-1) / float64(longest)
			for rank := range n.ranks {
				a := rank / stride % size
				s.add(rank, rank+((a+1)%size-a)*stride, each/2)
				s.add(rank, rank+((a-1+size)%size-a)*stride, each/2)
			}
			parts[p] /= float64(size)
		}
		list = append(list, s)
	}
	return list, nil
}

type part struct {
	dim   int
	op    interconnect.Op
	bytes float64
}

// parts lists the collectives of single dimensions that one over all ranks is made of.
func (n *Network) parts(op interconnect.Op, bytes float64) ([]part, error) {
	var dims []int
	for i, d := range n.dims {
		if d.Ranks > 1 {
			dims = append(dims, i)
		}
	}
	if len(dims) == 0 {
		return nil, wrong("dims", "", "one rank has nobody to talk to")
	}
	last := len(dims) - 1
	var list []part
	switch op {
	case interconnect.AllReduce:
		for _, i := range dims[:last] {
			list = append(list, part{i, interconnect.ReduceScatter, bytes})
			bytes /= float64(n.dims[i].Ranks)
		}
		list = append(list, part{dims[last], interconnect.AllReduce, bytes})
		for j := last - 1; j >= 0; j-- {
			bytes *= float64(n.dims[dims[j]].Ranks)
			list = append(list, part{dims[j], interconnect.AllGather, bytes})
		}
	case interconnect.ReduceScatter:
		for _, i := range dims {
			list = append(list, part{i, op, bytes})
			bytes /= float64(n.dims[i].Ranks)
		}
	case interconnect.AllGather: // bytes is the total: the last dimension has gathered least
		for _, i := range dims {
			bytes /= float64(n.dims[i].Ranks)
		}
		for j := last; j >= 0; j-- {
			bytes *= float64(n.dims[dims[j]].Ranks)
			list = append(list, part{dims[j], op, bytes})
		}
	case interconnect.AllToAll, interconnect.Broadcast:
		for _, i := range dims {
			list = append(list, part{i, op, bytes})
		}
	default:
		return nil, wrong("collective", "all-reduce, all-gather, reduce-scatter, all-to-all or broadcast", "%.40q is not one of all ranks", op)
	}
	return list, nil
}

// Closed is the time of a collective over one dimension of so many ranks without links: what a rank sends over the rate at which it
// reaches its peers. It is not ok where what others send takes the same links: there is no such form.
func Closed(d *Dimension, op interconnect.Op, algorithm string, bytes float64) (seconds float64, ok bool) {
	n := float64(d.Ranks)
	if n < 2 || does(op, algorithm, d.Ranks) != "" {
		return 0, false
	}
	hop := d.Latency
	if d.Topology == Switch {
		hop *= 2
	} else if (d.Topology == FatTree || d.Topology == Dragonfly) && d.Group > 0 && d.Group < d.Ranks {
		return 0, false
	}
	if d.Topology == FatTree || d.Topology == Dragonfly {
		hop *= 2
	}
	alone := d.Topology != Ring && d.Topology != Line // any pair has a way to itself
	passes := 1.0
	if op == interconnect.AllReduce {
		passes = 2
	}
	rate := d.Rate
	switch {
	case op == interconnect.SendRecv, op == interconnect.Broadcast && algorithm == RingAlgorithm:
		more := steps(op, algorithm, d.Ranks)
		return (1+more)*hop + bytes/rate, true
	case algorithm == RingAlgorithm && op == interconnect.AllToAll, algorithm == Direct:
		switch d.Topology {
		case FullyConnected:
			return passes * (hop + bytes/n/rate), true
		case Ring:
			far := math.Floor(n / 2)
			load := math.Floor(n*n/4) / 2 / n // of a link and way, in buffers: half of the sum of distances
			if d.Ranks == 2 {
				load = 0.5
			}
			return passes * (far*hop + bytes*load/rate), true
		case Line:
			return 0, false
		}
		return passes * (hop + bytes*(n-1)/n/rate), true
	case algorithm == RingAlgorithm:
		if d.Topology == Line && d.Ranks > 2 { // the last one is far from the first
			return 0, false
		}
		if (d.Topology == Ring || d.Topology == FullyConnected) && d.Ranks > 2 {
			rate *= 2
		}
		return passes * (n - 1) * (hop + bytes/n/rate), true
	case algorithm == OneShot && alone:
		if d.Topology == FullyConnected {
			return hop + bytes/rate, true
		}
		return hop + bytes*(n-1)/rate, true
	case algorithm == HalvingDoubling && alone:
		return passes * (math.Log2(n)*hop + bytes*(n-1)/n/rate), true
	case algorithm == InSwitch && d.Topology == Switch && d.Reduces:
		return hop + bytes*(n+1)/n/rate, true
	}
	return 0, false
}

// Chunked plays a collective over all ranks dimension by dimension, each with an algorithm of its own: an all-reduce scatters on the
// way up and gathers on the way down, an all-gather begins with the last dimension. So many chunks follow one another through the
// dimensions: a dimension carries one chunk at a time, but active of them may be on their way in it, one's latency beside the other's
// bytes. An algorithm that is "" is the fastest for its dimension; used says which. closed takes closed forms in place of flows.
// Errors are of type *Error.
func (n *Network) Chunked(op interconnect.Op, algorithms []string, bytes float64, chunks, active int, closed bool) (r *Result, used []string, err error) {
	if len(algorithms) != len(n.dims) || chunks < 1 || active < 1 {
		return nil, nil, wrong("algorithm", "one for each of dims", "%d for %d dimensions", len(algorithms), len(n.dims))
	}
	list, err := n.parts(op, bytes/float64(chunks))
	if err != nil {
		return nil, nil, err
	}
	sum := &Result{Busiest: -1}
	used = slices.Clone(algorithms)
	times := make([]struct{ latency, wire float64 }, len(list))
	for i, p := range list {
		groups, err := Side(n.ranks, interconnect.Group{Ranks: int64(n.dims[p.dim].Ranks), Stride: int64(n.strides[p.dim])})
		if err != nil {
			return nil, nil, err
		}
		tries := Algorithms
		if used[p.dim] != "" {
			tries = used[p.dim : p.dim+1]
		}
		var best *Result
		var first error
		for _, a := range tries {
			var one *Result
			var err error
			if closed {
				one, err = n.closed(p, a)
			} else {
				one, err = n.Time(&Collective{Op: p.op, Algorithm: a, Bytes: p.bytes, Groups: groups})
			}
			if err != nil {
				if e, ok := err.(*Error); ok && e.Field == "algorithm" {
					e.Field = fmt.Sprintf("algorithm/%d", p.dim)
				}
				if first == nil {
					first = err
				}
				continue
			}
			if best == nil || one.Seconds < best.Seconds {
				best, used[p.dim] = one, a
			}
		}
		if best == nil {
			return nil, nil, first
		}
		times[i].latency, times[i].wire = best.Latency, best.wire
		sum.Latency += best.Latency
		sum.Sent += best.Sent * float64(chunks)
		if busy := best.Busy * float64(chunks); busy > sum.Busy {
			sum.Busy, sum.Busiest = busy, best.Busiest
		}
	}
	for i, a := range used {
		if a == "" {
			used[i] = RingAlgorithm // of one rank
		}
	}
	// Chunks in order through each part; a dimension is free when what it carries is through.
	free := make([]float64, len(n.dims))
	ends := make([][]float64, len(n.dims)) // of the chunks that a dimension has begun
	at := make([]float64, chunks)
	next := make([]int, chunks) // part
	for done := 0; done < chunks*len(list); done++ {
		c := -1
		for k := range chunks {
			if next[k] < len(list) && (c < 0 || at[k] < at[c]) {
				c = k
			}
		}
		p := list[next[c]]
		start := max(at[c], free[p.dim])
		if e := ends[p.dim]; len(e) >= active {
			start = max(start, e[len(e)-active])
		}
		t := times[next[c]]
		free[p.dim] = start + t.wire
		at[c] = start + t.latency + t.wire
		ends[p.dim] = append(ends[p.dim], at[c])
		sum.Seconds = max(sum.Seconds, at[c])
		next[c]++
	}
	return sum, used, nil
}

// closed is the closed form of a part.
func (n *Network) closed(p part, algorithm string) (*Result, error) {
	d := n.dims[p.dim]
	if why := does(p.op, algorithm, d.Ranks); why != "" {
		return nil, wrong("algorithm", "", "%s", why)
	}
	t, ok := Closed(&d, p.op, algorithm, p.bytes)
	if !ok {
		return nil, wrong("closed", `flows, "fidelity":"event"`, "there is no closed form of %s with %s on a %s of %d", p.op, algorithm, d.Topology, d.Ranks)
	}
	latency, _ := Closed(&d, p.op, algorithm, 0)
	return &Result{Seconds: t, Latency: latency, Busiest: -1, wire: t - latency}, nil
}
