package coe

import (
	"container/heap"
	"container/list"
	"slices"
)

// replay fills in what a cache does to the runs, in their order. sizes are those of the experts; popular lists them for the
// policy pinned.
func replay(policy string, runs []Run, sizes []int64, capacity, most int64, popular []int64) {
	if most == 0 {
		most = int64(len(sizes))
	}
	k := &cached{sizes: sizes, room: capacity, places: most, in: make([]bool, len(sizes))}
	var v victims
	switch policy {
	case Belady:
		v = newFarthest(runs, k)
	case Pinned:
		v = newRecent(k, pin(popular, sizes, capacity, most))
	default:
		v = newRecent(k, nil)
	}
	seen := make([]bool, len(sizes))
	before := int64(-1)
	for i := range runs {
		r := &runs[i]
		r.Hit = k.in[r.Expert]
		if !r.Hit {
			r.Cold = !seen[r.Expert]
			for k.room < sizes[r.Expert] || k.places < 1 {
				out := v.next()
				k.in[out] = false
				k.room += sizes[out]
				k.places++
				r.Waits = r.Waits || out == before
			}
			k.in[r.Expert] = true
			k.room -= sizes[r.Expert]
			k.places--
		}
		seen[r.Expert] = true
		v.used(i, r.Expert)
		before = r.Expert
	}
}

// cached is what is in the cache.
type cached struct {
	sizes        []int64
	room, places int64
	in           []bool
}

// victims says what is evicted next. used is told every use, with its place in the runs.
type victims interface {
	used(at int, expert int64)
	next() int64
}

// pin picks the experts that stay: the most popular, as long as the others find room for the largest of them.
func pin(popular, sizes []int64, capacity, most int64) []bool {
	pinned := make([]bool, len(sizes))
	// largest[i] is the size of the largest expert from place i on.
	largest := make([]int64, len(popular)+1)
	for i, e := range slices.Backward(popular) {
		largest[i] = max(largest[i+1], sizes[e])
	}
	room, places := capacity, most
	for i, e := range popular {
		others := int64(0)
		if i+1 < len(popular) {
			others = 1
		}
		if room-sizes[e] < largest[i+1] || places-1 < others {
			break
		}
		room -= sizes[e]
		places--
		pinned[e] = true
	}
	return pinned
}

// recent evicts what was used longest ago, never what is pinned.
type recent struct {
	order  *list.List // the last used first
	at     []*list.Element
	pinned []bool
}

func newRecent(k *cached, pinned []bool) *recent {
	return &recent{list.New(), make([]*list.Element, len(k.sizes)), pinned}
}

func (r *recent) used(_ int, expert int64) {
	switch e := r.at[expert]; {
	case r.pinned != nil && r.pinned[expert]:
	case e != nil:
		r.order.MoveToFront(e)
	default:
		r.at[expert] = r.order.PushFront(expert)
	}
}

func (r *recent) next() int64 {
	e := r.order.Back()
	expert := r.order.Remove(e).(int64)
	r.at[expert] = nil
	return expert
}

// farthest evicts what is used again last; among those never used again, the one with the lowest number.
type farthest struct {
	k     *cached
	after []int // place of the next use of the expert of each run
	heap  uses
	now   []int // next use of each expert, to tell entries of the heap that are out of date
}

func newFarthest(runs []Run, k *cached) *farthest {
	f := &farthest{k: k, after: make([]int, len(runs)), now: make([]int, len(k.sizes))}
	for e := range f.now {
		f.now[e] = len(runs)
	}
	for i, r := range slices.Backward(runs) {
		f.after[i] = f.now[r.Expert]
		f.now[r.Expert] = i
	}
	return f
}

func (f *farthest) used(at int, expert int64) {
	f.now[expert] = f.after[at]
	heap.Push(&f.heap, use{f.after[at], expert})
}

func (f *farthest) next() int64 {
	for {
		u := heap.Pop(&f.heap).(use)
		if f.k.in[u.expert] && f.now[u.expert] == u.at {
			return u.expert
		}
	}
}

// use is when an expert is used next.
type use struct {
	at     int
	expert int64
}

// uses is a heap with the last use on top.
type uses []use

func (u uses) Len() int { return len(u) }
func (u uses) Less(i, j int) bool {
	return u[i].at > u[j].at || u[i].at == u[j].at && u[i].expert < u[j].expert
}
func (u uses) Swap(i, j int) { u[i], u[j] = u[j], u[i] }
func (u *uses) Push(x any)   { *u = append(*u, x.(use)) }
func (u *uses) Pop() any {
	last := (*u)[len(*u)-1]
	*u = (*u)[:len(*u)-1]
	return last
}
