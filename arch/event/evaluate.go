package event

import (
	"context"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/kernel"
	"github.com/stratasim/strata/sim/units"
)

// Options choose how a program is played.
type Options struct {
	// Exact plays every iteration of every loop: nothing is remembered, nothing skipped.
	Exact bool
	// IdealContention gives every step its resources to itself.
	IdealContention bool
	// Limits on events and simulated time; zero values mean the kernel's defaults.
	Limits kernel.Limits
	// Observer is told of every step that is played, nil for none.
	Observer Observer
	// Progress is called now and then with the number of events handled, nil for none.
	Progress func(events int64)
}

// Observer sees what is played. Times count from the start of the body that is being played.
type Observer interface {
	// Play begins a body that starts from rest; calls until the next Play belong to it.
	Play(b *plan.Body, times int64)
	// Span is one step in service, its latency included.
	Span(s Span)
	// Skipped says that periods whole periods of length period were skipped at the given time.
	Skipped(b *plan.Body, at, period units.Time, periods int64, iterations int64)
	// Tokens says how much of a buffer is taken from now on.
	Tokens(at units.Time, b *plan.Body, buffer int, used int64)
	// Done ends the run. The folder knows how long each body took that was played by itself; it is
	// nil when the whole program was played in one go.
	Done(f *plan.Folder)
}

// HostObserver is an Observer that also sees what the host launches ahead of the device, when the whole
// program is played.
type HostObserver interface {
	Launched(kernel *plan.Body, start, end units.Time)
}

// Span is one step's time in service.
type Span struct {
	Body       *plan.Body
	Node       int
	Iteration  int64
	Start, End units.Time // End includes the latency
	Alone      units.Time // what the service would have taken undisturbed
	Speeds     []Speed    // in order, from Start on
}

// Speed is the speed of a step from a moment on, as a share of what it runs at undisturbed.
type Speed struct {
	At    units.Time
	Value float64
}

// Evaluate plays the program.
func Evaluate(ctx context.Context, p *plan.Program, o Options) (*sim.Outcome, error) {
	r := newRunner(ctx, p, o)
	if !o.Exact {
		f := plan.NewFolder(p, r)
		out, err := f.Outcome()
		if err == nil && o.Observer != nil {
			o.Observer.Done(f)
		}
		return out, err
	}
	out, err := r.exact()
	if err == nil && o.Observer != nil {
		o.Observer.Done(nil)
	}
	return out, err
}

// NewFolder returns what plays sections of the program by themselves; Exact has no effect on it, and
// telling the observer that it is done is up to the caller.
func NewFolder(ctx context.Context, p *plan.Program, o Options) *plan.Folder {
	o.Exact = false
	return plan.NewFolder(p, newRunner(ctx, p, o))
}

// Serve implements plan.Timer.
func (r *runner) Serve(s *plan.Step) (units.Time, sim.Cause) { return s.Serve(r.p.Resources) }

// Pipeline implements plan.Timer: it plays the body from rest.
func (r *runner) Pipeline(b *plan.Body, times int64, _ *plan.Folder) (*plan.Result, error) {
	return r.play(b, times)
}

// exact plays the whole program in one go.
func (r *runner) exact() (*sim.Outcome, error) {
	r.ops, r.whole = r.p.NewOps(), true
	if len(r.p.Sections) > 0 {
		r.marked = r.p.Entry
	}
	res, err := r.play(r.p.Entry, 1)
	if err != nil {
		return nil, err
	}
	return &sim.Outcome{Makespan: res.Time, Stalls: res.Stalls, Work: res.Work, Ops: r.ops, Marks: r.marks, Events: res.Events}, nil
}
