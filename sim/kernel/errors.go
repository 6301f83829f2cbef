package kernel

import (
	"fmt"

	"github.com/stratasim/strata/sim/units"
)

// HandlerError is the error of a handler with the moment at which it happened.
type HandlerError struct {
	At      units.Time
	Handler string // the handler's String if it has one, else its type
	Err     error
}

// Error names the time, the component and the cause.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("at %v: %s: %v", e.At, e.Handler, e.Err)
}

// Unwrap returns the handler's own error.
func (e *HandlerError) Unwrap() error { return e.Err }

func handlerError(at units.Time, h Handler, err error) *HandlerError {
	name := fmt.Sprintf("%T", h)
	if s, ok := h.(fmt.Stringer); ok {
		name = s.String()
	}
	return &HandlerError{At: at, Handler: name, Err: err}
}

// LimitError says that a run would have gone past one of its Limits. Exactly one of Events and
// Time is set: the limit that was reached.
type LimitError struct {
	At     units.Time // moment of the job that was not run
	Events int64      // limit on events, or 0
	Time   units.Time // limit on simulated time, or 0
}

// Error names the limit and what usually helps.
func (e *LimitError) Error() string {
	if e.Events > 0 {
		return fmt.Sprintf("at %v: the limit of %d events is reached; use fewer or larger tiles, the analytic fidelity, or a higher limit",
			e.At, e.Events)
	}
	return fmt.Sprintf("something would happen at %v, past the limit of %v of simulated time; simulate less work at once, or look for a rate that is far too small",
		e.At, e.Time)
}

// StuckError says that nothing was left to do while something was still waiting.
type StuckError struct {
	At  units.Time // time of the last event
	Err error      // names what is waiting, from the OnIdle check
}

// Error names the time and what is waiting.
func (e *StuckError) Error() string {
	return fmt.Sprintf("stuck at %v, nothing is left to happen: %v", e.At, e.Err)
}

// Unwrap returns the error of the OnIdle check.
func (e *StuckError) Unwrap() error { return e.Err }
