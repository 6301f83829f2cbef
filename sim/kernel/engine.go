package kernel

import (
	"context"
	"fmt"

	"github.com/sarchlab/akita/v3/sim"

	"github.com/stratasim/strata/sim/units"
)

// Handler is anything that can happen. Use the same value for many jobs where possible: adding a
// job allocates nothing, making a new handler may.
type Handler interface {
	// Handle is called when simulated time reaches the job. An error ends the run.
	Handle(now units.Time) error
}

// Limits bound a run. A run that would pass one ends with a *LimitError.
type Limits struct {
	Events int64      // number of events; 0 means 1e9
	Time   units.Time // last instant at which something may happen; 0 means units.MaxTime, which is also the most
}

// defaultEvents is the limit on events where none is given: some minutes of work, well above any
// sensible run and low enough to end one that feeds itself for ever.
const defaultEvents = 1_000_000_000

// pollEvery is the number of events between two looks at the context: some 0.1 ms of work.
const pollEvery = 1024

// Engine runs jobs in the order of simulated time. The zero value is not usable: see New. An
// Engine is for one goroutine; independent engines may run in parallel.
type Engine struct {
	q      agenda
	seq    uint64
	now    units.Time
	events int64
	pollAt int64 // number of events at which limits and context are looked at next
	limits Limits
	idle   func() error
	ctx    context.Context // of the run in progress
	err    error           // why the run ended; stays until Reset

	running  bool
	draining bool // a job of the agenda is running, or the next one is about to
	stopping bool // a panic of our own ends the akita run
	locked   bool // a run of inner was left by a panic, with its locks held

	inner    *sim.SerialEngine
	outer    akitaEngine
	shared   bool // inner was handed out: one wake-up an instant
	armed    bool
	armedFor units.Time
	pool     []*wakeUp
}

// New returns an engine at time 0 with an empty agenda.
func New(l Limits) *Engine {
	if l.Events <= 0 {
		l.Events = defaultEvents
	}
	if l.Time <= 0 || l.Time > units.MaxTime {
		l.Time = units.MaxTime
	}
	e := &Engine{limits: l, inner: sim.NewSerialEngine()}
	e.outer.e = e
	return e
}

// At adds a job: h is to be called at time t. Jobs at one instant run by priority, lowest first,
// and then in the order in which they were added. A time beyond the limit is accepted and ends
// the run when nothing earlier is left. A time in the past is a programming error and panics, and
// so does a nil handler.
func (e *Engine) At(t units.Time, priority uint8, h Handler) {
	if t < e.now {
		panic(fmt.Sprintf("kernel: job added at %v, but it is %v already", t, e.now))
	}
	if h == nil {
		panic("kernel: job without a handler")
	}
	e.seq++
	e.q.push(job{at: t, key: uint64(priority)<<seqBits | e.seq, h: h})
	if e.shared && !e.draining {
		e.arm()
	}
}

// Now returns the current simulated time: that of the event in progress, or of the last one.
func (e *Engine) Now() units.Time { return e.now }

// Events returns the number of events handled since New or Reset: jobs of the agenda, and events
// of other components on the same akita engine.
func (e *Engine) Events() int64 { return e.events }

// Pending returns the number of jobs on the agenda.
func (e *Engine) Pending() int { return len(e.q) }

// OnIdle sets the check that is asked when nothing is left to do. It returns an error that names
// what is still waiting, or nil if all is done; an error ends the run with a *StuckError. It may
// instead add jobs and return nil: the run then goes on. There is one check; a further call
// replaces it, nil removes it, and Reset keeps it.
func (e *Engine) OnIdle(f func() error) { e.idle = f }

// Run handles events until none is left. The error is nil if the OnIdle check was content, and
// else a *HandlerError, a *LimitError, a *StuckError, or one that wraps the error of ctx (looked
// at before the first event and about every thousand events). After an error the remaining jobs
// are kept for inspection, and each further Run returns the same error until Reset.
//
// A panic in a handler passes through. Calling Run from a handler panics.
func (e *Engine) Run(ctx context.Context) error {
	if e.running {
		panic("kernel: Run called while running")
	}
	if e.err != nil {
		return e.err
	}
	e.ctx, e.pollAt = ctx, e.events // look before the first event
	e.running = true
	defer func() { e.running, e.ctx = false, nil }()
	if e.pollContext(); e.err != nil {
		return e.err
	}
	for {
		before := e.events
		if len(e.q) > 0 || e.shared {
			if e.runAkita(); e.err != nil {
				return e.err
			}
		}
		if e.idle != nil {
			if err := e.idle(); err != nil {
				e.err = &StuckError{At: e.now, Err: err}
				return e.err
			}
		}
		// The check may have added jobs, or events of other components, which only another
		// turn can tell.
		if len(e.q) == 0 && (!e.shared || e.events == before) {
			return nil
		}
	}
}

// Reset returns the engine to time 0 with an empty agenda and no error, keeping its limits, its
// OnIdle check and its memory, so that a further run of the same size allocates nothing. An
// engine that was handed out by Akita gets a fresh akita engine underneath: events, hooks and end
// handlers that others left there are dropped. Calling Reset from a handler panics.
func (e *Engine) Reset() {
	if e.running {
		panic("kernel: Reset called while running")
	}
	e.q.clear()
	e.seq, e.now, e.events, e.err = 0, 0, 0, nil
	e.armed, e.draining = false, false
	if e.locked || e.shared {
		e.inner = sim.NewSerialEngine()
		e.pool = nil // the old engine may still hold wake-ups
		e.locked = false
		if e.shared {
			e.inner.AcceptHook((*guard)(e))
		}
	}
}

// drain runs jobs from the front of the agenda. It returns when the agenda is empty, when the run
// is to end, or, on a shared engine, when the instant is over.
func (e *Engine) drain() {
	e.draining = true
	for first := true; len(e.q) > 0; first = false {
		at := e.q[0].at
		if at != e.now {
			if e.shared && !first {
				break
			}
			if at > e.limits.Time {
				e.err = &LimitError{At: at, Time: e.limits.Time}
				break
			}
			e.now = at
		}
		if e.events >= e.pollAt {
			if e.poll(); e.err != nil {
				break
			}
		}
		e.events++
		j := e.q.pop()
		if err := j.h.Handle(at); err != nil {
			e.err = handlerError(at, j.h, err)
			break
		}
	}
	e.draining = false
}

// poll looks at the context and at the limit on events before an event is handled, and sets when
// to look again.
func (e *Engine) poll() {
	if e.pollContext(); e.err != nil {
		return
	}
	if e.events >= e.limits.Events {
		e.err = &LimitError{At: e.now, Events: e.limits.Events}
		return
	}
	e.pollAt = min(e.events+pollEvery, e.limits.Events)
}

func (e *Engine) pollContext() {
	err := e.ctx.Err()
	if err == nil {
		return
	}
	if cause := context.Cause(e.ctx); cause != err {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	e.err = fmt.Errorf("stopped at %v after %d events: %w", e.now, e.events, err)
}
