package plan

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// ErrUnsupported says that the machine or the planner cannot do what the graph asks for.
var ErrUnsupported = errors.New("unsupported")

// ErrTooLarge says that a count or a time leaves its range.
var ErrTooLarge = units.ErrTooLarge

// DoesNotFit says that the model does not fit into the memory of the machine.
type DoesNotFit struct {
	Machine  string
	Tier     string
	Capacity units.Bytes
	Needs    []Need
	Lower    []Need // capacities of the memories below that it may use too
	Hint     string
}

// Room returns what the chip has of all memories that it may use.
func (e *DoesNotFit) Room() units.Bytes {
	room := e.Capacity
	for _, n := range e.Lower {
		room += n.Bytes
	}
	return room
}

// Need is one part of what a chip has to hold.
type Need struct {
	What  string // "weights", "kv cache", "activations"
	Bytes units.Bytes
}

// Total returns the sum of all needs.
func (e *DoesNotFit) Total() units.Bytes {
	var t units.Bytes
	for _, n := range e.Needs {
		t += n.Bytes
	}
	return t
}

func (e *DoesNotFit) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "does not fit: each chip of %s needs %s of %s, it has %s", e.Machine, Human(e.Total()), e.Tier, Human(e.Capacity))
	for _, n := range e.Lower {
		fmt.Fprintf(&b, " and %s of %s", Human(n.Bytes), n.What)
	}
	for _, n := range e.Needs {
		fmt.Fprintf(&b, "; %s %s", n.What, Human(n.Bytes))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Human prints a byte count for people, in binary units with three digits or so.
func Human(n units.Bytes) string {
	f := float64(n)
	for _, u := range []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f < 1024 || u == "PiB" {
			if u == "B" {
				return fmt.Sprintf("%d B", int64(n))
			}
			return fmt.Sprintf("%.2f %s", f, u)
		}
		f /= 1024
	}
	return ""
}

// OverLimit says that a chip cannot keep to its power limit at any clock.
type OverLimit struct {
	Machine string
	Section string      // the phase or step that draws too much
	Limit   units.Watts // of a chip
	Least   units.Watts // what the section draws at the lowest clock
	Clock   units.Hertz // the lowest clock
}

func (e *OverLimit) Error() string {
	return fmt.Sprintf("beyond the power limit: %s draws %.0f W on each chip of %s at its lowest clock, %v, and the limit is %v (%d W can be kept to)",
		e.Section, float64(e.Least), e.Machine, e.Clock, e.Limit, int64(math.Ceil(float64(e.Least))))
}

// Infeasible returns the error within err that says that a point cannot be run for a reason which is a
// result: it does not fit, or it cannot keep to its power limit. It is nil if there is none.
func Infeasible(err error) error {
	var (
		unfit *DoesNotFit
		over  *OverLimit
	)
	switch {
	case errors.As(err, &unfit):
		return unfit
	case errors.As(err, &over):
		return over
	}
	return nil
}
