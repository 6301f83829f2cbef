package sweep

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

// guard watches the memory of the process while points run.
type guard struct {
	limit  int64
	mu     sync.Mutex
	next   int
	cancel map[int]func() // of the points that run
	single bool           // one point runs at a time
	done   chan struct{}
	before int64 // limit of the collector before
}

// guardEvery is how often memory is looked at: some million allocations.
const guardEvery = 20 * time.Millisecond

// watch begins to watch; a limit of 0 is none.
func watch(limit int64) *guard {
	g := &guard{limit: limit, cancel: map[int]func(){}, done: make(chan struct{})}
	if limit <= 0 {
		return g
	}
	g.before = debug.SetMemoryLimit(limit - limit/8) // the collector tries harder before the guard has to act
	go func() {
		tick := time.NewTicker(guardEvery)
		defer tick.Stop()
		for {
			select {
			case <-g.done:
				return
			case <-tick.C:
				if heap() > limit {
					runtime.GC()
					if heap() > limit {
						g.cancelAll()
					}
				}
			}
		}
	}()
	return g
}

// heap is what objects take that may be in use.
func heap() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

func (g *guard) stop() {
	close(g.done)
	if g.limit > 0 {
		debug.SetMemoryLimit(g.before)
	}
}

// enter registers a point that can be cancelled; what it returns takes it out again.
func (g *guard) enter(cancel func()) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
	n := g.next
	g.cancel[n] = cancel
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.cancel, n)
	}
}

// cancelAll stops every point that runs: each may be run alone later.
func (g *guard) cancelAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.cancel {
		f()
	}
}

// alone notes that points run one at a time from here on.
func (g *guard) alone() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.single = true
}

// together notes that several run again.
func (g *guard) together() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.single = false
}

func (g *guard) isAlone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.single
}
