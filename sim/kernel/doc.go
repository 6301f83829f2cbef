// Package kernel is the discrete-event core of Strata: a deterministic agenda of jobs on top of
// akita's serial event engine.
//
// # Model
//
// A job is a moment in simulated time, a priority and a handler. Jobs run one after another in the
// order (time, priority, sequence): earlier times first, at one instant lower priorities first,
// and jobs that are equal in both in the order in which they were added. A handler may add jobs at
// the current instant or later; jobs that it adds at the current instant run within it, in that
// same order. The order depends on nothing else, so unrelated jobs never change each other's
// order, and a run with the same input is the same run.
//
// The agenda is a 4-ary heap. Akita's engine holds a single wake-up for its front. As long as
// nobody else uses that engine, one wake-up runs the whole agenda: there is no event in between
// that could be passed over, and an engine event (two mutex-guarded queues, some twenty lock
// operations) costs more than the job itself. Once Engine.Akita has handed the engine out, each
// instant takes its own wake-up, so that components written for akita and the agenda interleave
// by time. Which of them goes first at one and the same instant is akita's choice: it is the same
// in each run of the same program, but nothing should rest on it.
//
// # What the agenda adds to akita v3.1.0
//
// Akita's queue is not first-in-first-out at equal times, drops the errors of handlers, ends
// without an error when components wait for each other forever, and cannot be stopped. The agenda
// has a total order, stops at the first error and says when and where it happened, asks a check
// for unfinished work when nothing is left to do (Engine.OnIdle), and observes a context and
// limits on events and on simulated time.
//
// # Units
//
// Time is units.Time, integer picoseconds from the start of the run. Akita keeps time in floating
// point seconds; up to units.MaxTime the conversion is exact in both directions, because the
// spacing of float64 near 4000 s is below half a picosecond and the division by 1e12 is
// correctly rounded.
//
// # Sources
//
// The order (time, priority, sequence) is that of ns-3 and SystemC-like simulators. The 4-ary heap
// follows LaMarca and Ladner, The Influence of Caches on the Performance of Heaps, 1996.
//
// # Not modelled
//
// Parallel execution of one simulation (run several engines, one a goroutine, instead),
// cancellation of single jobs, and times between two picoseconds: events of akita components that
// fall there are seen by the agenda at the next whole picosecond.
package kernel
