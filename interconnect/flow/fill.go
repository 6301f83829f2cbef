package flow

import (
	"math"
	"slices"
)

// routes are flows with their paths over links, one after the other: those of flow f are links[at[f]:at[f+1]]. A path may use
// a link twice.
type routes struct {
	at    []int32
	links []int32
	bytes []float64
}

func (r *routes) flows() int           { return len(r.bytes) }
func (r *routes) path(f int32) []int32 { return r.links[r.at[f]:r.at[f+1]] }

// end closes the path of a flow whose links have been appended.
func (r *routes) end(bytes float64) {
	if len(r.at) == 0 {
		r.at = append(r.at, 0)
	}
	r.at, r.bytes = append(r.at, int32(len(r.links))), append(r.bytes, bytes)
}

// incidence is flows on links from both sides: entry e of flow f, for e in flowAt[f] … flowAt[f+1], is the link flowLink[e], on which as
// many flows like f as flowTimes[e] says share; nil stands for 1. The flows of a link are linkFlow[linkAt[l]:linkAt[l+1]].
type incidence struct {
	capacity  []float64
	flowAt    []int32
	flowLink  []int32
	flowTimes []float64
	linkAt    []int32
	linkFlow  []int32
}

// incidenceOf lists flows and links as they are.
func incidenceOf(r *routes, capacity []float64) *incidence {
	n := &incidence{capacity: capacity, flowAt: r.at, flowLink: r.links}
	n.transpose(r.flows())
	return n
}

// transpose lists the flows of each link.
func (n *incidence) transpose(flows int) {
	n.linkAt = make([]int32, len(n.capacity)+1)
	for _, l := range n.flowLink {
		n.linkAt[l+1]++
	}
	for l := range n.capacity {
		n.linkAt[l+1] += n.linkAt[l]
	}
	n.linkFlow = make([]int32, len(n.flowLink))
	next := slices.Clone(n.linkAt)
	for f := range int32(flows) {
		for _, l := range n.flowLink[n.flowAt[f]:n.flowAt[f+1]] {
			n.linkFlow[next[l]] = f
			next[l]++
		}
	}
}

// share is a link with what each of its flows that still grow would get of it.
type share struct {
	rate float64
	link int32
}

func (a share) before(b share) bool { return a.rate < b.rate || a.rate == b.rate && a.link < b.link }

// down restores the order of a heap whose element i may be too large.
func down(h []share, i int) {
	x := h[i]
	for {
		c := 2*i + 1
		if c >= len(h) {
			break
		}
		if c+1 < len(h) && h[c+1].before(h[c]) {
			c++
		}
		if !h[c].before(x) {
			break
		}
		h[i] = h[c]
		i = c
	}
	h[i] = x
}

// fill returns the max-min fair rate of each flow by progressive filling: the link that leaves its flows least is filled, they
// are set, and so on. Flows on no link are infinitely fast; those that have nothing left get none.
func (n *incidence) fill(remaining []float64) []float64 {
	flows := len(remaining)
	rates := make([]float64, flows)
	set := make([]bool, flows)
	left := slices.Clone(n.capacity)
	growing := make([]float64, len(n.capacity))
	times := func(e int32) float64 {
		if n.flowTimes == nil {
			return 1
		}
		return n.flowTimes[e]
	}
	for f := range flows {
		if remaining[f] <= 0 {
			set[f] = true
			continue
		}
		if n.flowAt[f] == n.flowAt[f+1] {
			rates[f], set[f] = math.Inf(1), true
		}
		for e := n.flowAt[f]; e < n.flowAt[f+1]; e++ {
			growing[n.flowLink[e]] += times(e)
		}
	}
	var queue []share
	for l, g := range growing {
		if g > 0 {
			queue = append(queue, share{left[l] / g, int32(l)})
		}
	}
	for i := len(queue)/2 - 1; i >= 0; i-- {
		down(queue, i)
	}
	for len(queue) > 0 {
		s := queue[0]
		l := s.link
		if growing[l] > 0 {
			if now := max(0, left[l]) / growing[l]; now != s.rate { // its flows have become fewer: what is left for each has grown
				queue[0].rate = now
				down(queue, 0)
				continue
			}
			for _, f := range n.linkFlow[n.linkAt[l]:n.linkAt[l+1]] {
				if set[f] {
					continue
				}
				set[f], rates[f] = true, s.rate
				for e := n.flowAt[f]; e < n.flowAt[f+1]; e++ {
					k := n.flowLink[e]
					left[k] -= float64(s.rate * times(e))
					growing[k] -= times(e)
				}
			}
		}
		last := len(queue) - 1
		queue[0] = queue[last]
		if queue = queue[:last]; last > 0 {
			down(queue, 0)
		}
	}
	return rates
}

// classes are flows and links that cannot be told apart.
type classes struct {
	ofFlow, ofLink []int32 // by flow and by link; −1 for a link without flows
	first          []int32 // a flow of each class
	quotient       incidence
}

// mix spreads a number over all bits (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// names numbers colours in the order in which they come.
type names struct {
	keys  []uint64
	ids   []int32 // plus one
	count int32
}

// clear forgets all, with room for so many.
func (n *names) clear(room int) {
	size := 16
	for size < 2*room {
		size *= 2
	}
	if len(n.keys) < size {
		n.keys, n.ids = make([]uint64, size), make([]int32, size)
	} else {
		clear(n.ids)
	}
	n.count = 0
}

// of returns the number of a colour, and whether it is a new one.
func (n *names) of(key uint64) (id int32, fresh bool) {
	mask := uint64(len(n.keys) - 1)
	for i := key & mask; ; i = (i + 1) & mask {
		if n.ids[i] == 0 {
			n.keys[i], n.count = key, n.count+1
			n.ids[i] = n.count
			return n.count - 1, true
		}
		if n.keys[i] == key {
			return n.ids[i] - 1, false
		}
	}
}

// refine finds the coarsest classes in which every flow is on as many links of each class, and every link carries as many flows of
// each class. Colours are sums of hashes; what follows from them for sizes and totals is checked afterwards, and where it
// does not hold, it returns nil.
func refine(r *routes, capacity []float64) *classes {
	flow, link, sums := make([]uint64, r.flows()), make([]uint64, len(capacity)), make([]uint64, len(capacity))
	used := make([]int32, 0, len(capacity)) // links
	for _, l := range r.links {
		sums[l] = 1
	}
	for l := range capacity {
		if sums[l] > 0 {
			used = append(used, int32(l))
		}
	}
	for _, l := range used {
		link[l] = mix(math.Float64bits(capacity[l]) + 1)
	}
	for f, b := range r.bytes {
		flow[f] = mix(math.Float64bits(b))
	}
	var ids names
	for before := int32(-1); ; {
		ids.clear(len(flow))
		for f := range flow {
			ids.of(flow[f])
		}
		if ids.count == before { // and so links would not be told apart any further
			break
		}
		before = ids.count
		for _, l := range used {
			sums[l] = 0
		}
		for f := range flow {
			x := mix(flow[f])
			for _, l := range r.links[r.at[f]:r.at[f+1]] {
				sums[l] += x
			}
		}
		for _, l := range used {
			link[l] = mix(link[l] + mix(sums[l]))
			sums[l] = mix(link[l])
		}
		for f := range flow {
			var sum uint64
			for _, l := range r.links[r.at[f]:r.at[f+1]] {
				sum += sums[l]
			}
			flow[f] = mix(flow[f] + mix(sum))
		}
	}
	c := &classes{ofFlow: make([]int32, len(flow)), ofLink: make([]int32, len(capacity))}
	ids.clear(len(flow))
	for f, x := range flow {
		id, fresh := ids.of(x)
		if c.ofFlow[f] = id; fresh {
			c.first = append(c.first, int32(f))
		}
	}
	ids.clear(len(used))
	var links []int32 // the first of each class
	for l := range c.ofLink {
		c.ofLink[l] = -1
	}
	for _, l := range used {
		id, fresh := ids.of(link[l])
		if c.ofLink[l] = id; fresh {
			links = append(links, l)
		}
	}
	if !c.build(r, capacity, links) {
		return nil
	}
	return c
}

// build counts how many flows of each class are on a link of each class, and reports whether all of a class agree on sizes.
func (c *classes) build(r *routes, capacity []float64, links []int32) bool {
	totals := make([]int32, len(capacity)) // flows on a link
	for f := range int32(r.flows()) {
		a := c.first[c.ofFlow[f]]
		if r.bytes[f] != r.bytes[a] || len(r.path(f)) != len(r.path(a)) {
			return false
		}
		for _, l := range r.path(f) {
			totals[l]++
		}
	}
	for l, id := range c.ofLink {
		if id >= 0 && (capacity[l] != capacity[links[id]] || totals[l] != totals[links[id]]) {
			return false
		}
	}
	q := &c.quotient
	for _, l := range links {
		q.capacity = append(q.capacity, capacity[l])
	}
	// The flows of the first link of each class, by class.
	first := make([]bool, len(capacity))
	for _, l := range links {
		first[l] = true
	}
	type pair struct{ flow, link int32 }
	counts := map[pair]int32{}
	for f := range int32(r.flows()) {
		for _, l := range r.path(f) {
			if first[l] {
				counts[pair{c.ofFlow[f], c.ofLink[l]}]++
			}
		}
	}
	pairs := make([]pair, 0, len(counts))
	for p := range counts {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if a.flow != b.flow {
			return int(a.flow - b.flow)
		}
		return int(a.link - b.link)
	})
	q.flowAt = make([]int32, len(c.first)+1)
	for _, p := range pairs {
		q.flowLink = append(q.flowLink, p.link)
		q.flowTimes = append(q.flowTimes, float64(counts[p]))
		q.flowAt[p.flow+1]++
	}
	for f := range c.first {
		q.flowAt[f+1] += q.flowAt[f]
	}
	q.transpose(len(c.first))
	return true
}

// drain returns the seconds until all flows have sent their bytes at max-min fair rates, each set anew whenever one is done;
// whole leaves classes out of it.
func drain(r *routes, capacity []float64, whole bool) float64 {
	if r.flows() == 0 {
		return 0
	}
	n, left := (*incidence)(nil), slices.Clone(r.bytes)
	if !whole {
		if c := refine(r, capacity); c != nil {
			n, left = &c.quotient, left[:0]
			for _, f := range c.first {
				left = append(left, r.bytes[f])
			}
		}
	}
	if n == nil {
		n = incidenceOf(r, capacity)
	}
	var t float64
	for {
		rates := n.fill(left)
		next := math.Inf(1)
		for f, x := range rates {
			if left[f] > 0 {
				next = min(next, left[f]/x)
			}
		}
		if math.IsInf(next, 1) {
			return t
		}
		t += next
		for f, x := range rates {
			if left[f] <= 0 {
				continue
			}
			// What is done at the same time but for rounding is done.
			if left[f]/x <= next*(1+1e-12) {
				left[f] = 0
				continue
			}
			left[f] -= float64(next * x)
		}
	}
}
