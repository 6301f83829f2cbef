package kernel

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/sarchlab/akita/v3/sim"

	"github.com/stratasim/strata/sim/units"
)

const picoseconds = 1e12 // in a second

// virtual converts to akita's time. It is exact in both directions up to units.MaxTime.
func virtual(t units.Time) sim.VTimeInSec {
	return sim.VTimeInSec(float64(t) / picoseconds)
}

// whole converts from akita's time, up to the next whole picosecond: never into akita's past.
// t must not be beyond units.MaxTime by much.
func whole(t sim.VTimeInSec) units.Time {
	p := units.Time(math.Round(float64(t) * picoseconds))
	if virtual(p) < t {
		p++
	}
	return p
}

// wakeUp is the akita event on behalf of the agenda. Unlike akita's own events it carries no
// generated name, and it is used again.
type wakeUp struct {
	at units.Time
	e  *Engine
}

func (w *wakeUp) Time() sim.VTimeInSec { return virtual(w.at) }
func (w *wakeUp) Handler() sim.Handler { return w.e.outer.waker() }
func (w *wakeUp) IsSecondary() bool    { return false }

// arm makes sure that akita will wake the agenda in time for its first job.
func (e *Engine) arm() {
	if len(e.q) == 0 {
		return
	}
	// While the engine is ours alone its clock stands still: that lets Reset go back to time 0
	// with the same engine, and nobody can see it.
	var at units.Time
	if e.shared {
		// Beyond the limit nothing runs, and akita's clock is no longer exact.
		at = min(e.q[0].at, e.limits.Time+1)
	}
	if e.armed && e.armedFor <= at {
		return
	}
	e.armed, e.armedFor = true, at
	var w *wakeUp
	if n := len(e.pool); n > 0 {
		w, e.pool = e.pool[n-1], e.pool[:n-1]
	} else {
		w = &wakeUp{e: e}
	}
	w.at = at
	e.inner.Schedule(w)
}

// waker is the engine as the akita handler of wake-ups.
type waker Engine

func (a *akitaEngine) waker() *waker { return (*waker)(a.e) }

// Handle runs the agenda. It never returns an error: akita would drop it.
func (k *waker) Handle(evt sim.Event) error {
	e, w := (*Engine)(k), evt.(*wakeUp)
	superseded := !e.armed || w.at != e.armedFor
	e.pool = append(e.pool, w)
	if superseded {
		return nil
	}
	e.armed = false
	if e.drain(); e.err == nil {
		e.arm()
	}
	return nil
}

// errPanicked is the answer of an engine whose last run ended in a panic.
var errPanicked = errors.New("an earlier run of this engine panicked; Reset it first")

// runAkita runs akita's engine until it has no event left or e.err is set.
func (e *Engine) runAkita() {
	e.locked = true
	defer func() {
		if !e.locked {
			return
		}
		// A panic leaves akita's engine with a lock held; Reset replaces it.
		if e.draining = false; e.stopping {
			e.stopping = false
			_ = recover() // our own, from guard.stop
			return
		}
		e.err = errPanicked // and the panic goes on
	}()
	e.arm()
	_ = e.inner.Run() // always nil
	e.locked = false
}

// guard is the engine as an akita hook. It is in place only when the engine was handed out, and
// gives events of other components what those of the agenda have: they count, they can be
// stopped, and the agenda's clock follows them.
type guard Engine

// Func is called by akita before and after each event.
func (g *guard) Func(ctx sim.HookCtx) {
	e := (*Engine)(g)
	if ctx.Pos == sim.HookPosAfterEvent {
		g.stopOnError()
		return
	}
	evt, ok := ctx.Item.(sim.Event)
	if !ok {
		return
	}
	if _, ours := evt.(*wakeUp); ours {
		return // drain does all of this itself
	}
	if t := evt.Time(); t > virtual(e.limits.Time) {
		e.err = &LimitError{At: whole(min(t, virtual(units.MaxTime+1))), Time: e.limits.Time}
	} else {
		e.now = whole(t)
		if e.events >= e.pollAt {
			e.poll()
		}
	}
	g.stopOnError()
	e.events++
}

// stopOnError ends akita's run, for which akita has no other way than a panic.
func (g *guard) stopOnError() {
	if g.err != nil {
		g.stopping = true
		panic(g.err)
	}
}

// Akita returns the akita engine for components written for akita. It belongs to the same run:
// its clock is that of the agenda, its events count against the same limits, and Run of either
// runs both. From this call on each instant of the agenda takes one akita event, which is several
// times slower than the agenda alone.
//
// Errors that handlers of akita events return are dropped by akita. After Reset the value is
// still good, but events, hooks and end handlers have to be set up again.
func (e *Engine) Akita() sim.Engine {
	if !e.shared {
		e.shared = true
		e.inner.AcceptHook((*guard)(e))
		if !e.draining {
			e.arm()
		}
	}
	return &e.outer
}

// akitaEngine is the akita engine as others see it.
type akitaEngine struct{ e *Engine }

// CurrentTime returns the time of the event in progress.
func (a *akitaEngine) CurrentTime() sim.VTimeInSec {
	// Akita's own clock is behind when it was handed out in the middle of a run.
	if t := a.e.inner.CurrentTime(); whole(t) >= a.e.now {
		return t
	}
	return virtual(a.e.now)
}

// Schedule adds an event. An event in the past, or at a time that is no number, panics.
func (a *akitaEngine) Schedule(evt sim.Event) {
	if t := evt.Time(); !(t >= a.CurrentTime()) {
		panic(fmt.Sprintf("kernel: akita event %T scheduled at %v s, but it is %v s already", evt, t, a.CurrentTime()))
	}
	a.e.inner.Schedule(evt)
}

// Run runs the agenda and all akita events, see Engine.Run.
func (a *akitaEngine) Run() error { return a.e.Run(context.Background()) }

// Pause stops the run before its next akita event. It must not be called from a handler.
func (a *akitaEngine) Pause() { a.e.inner.Pause() }

// Continue lets a paused run go on.
func (a *akitaEngine) Continue() { a.e.inner.Continue() }

// RegisterSimulationEndHandler adds a handler that Finished calls.
func (a *akitaEngine) RegisterSimulationEndHandler(h sim.SimulationEndHandler) {
	a.e.inner.RegisterSimulationEndHandler(h)
}

// Finished calls the end handlers.
func (a *akitaEngine) Finished() { a.e.inner.Finished() }

// AcceptHook adds a hook on events, wake-ups of the agenda included.
func (a *akitaEngine) AcceptHook(h sim.Hook) { a.e.inner.AcceptHook(h) }

// NumHooks returns the number of hooks that others have set.
func (a *akitaEngine) NumHooks() int { return len(a.Hooks()) }

// Hooks returns the hooks that others have set.
func (a *akitaEngine) Hooks() []sim.Hook { return a.e.inner.Hooks()[1:] } // the first one is the guard
