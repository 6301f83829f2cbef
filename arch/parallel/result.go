package parallel

import (
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Result is what a step came to.
type Result struct {
	Time units.Time
	// Classes of ranks, by stage. Their times all sum to Time.
	Classes []Class
	// Critical is the class with the least time spent waiting for others.
	Critical int
	// Bubble and Exposed are those of the critical class.
	Bubble  units.Time
	Exposed [NumKinds]units.Time
	// Pipeline is the time from the first slot to the end of the last one, of all stages.
	Pipeline units.Time
	// Schedule that was played, and what is to be said about it.
	Schedule Schedule
	Notes    []string
	// Slots that were played; what was skipped is not among them.
	Slots int64
	Spans []Span // if recorded
}

// Class is ranks that do the same.
type Class struct {
	Stage  int64
	Chips  int64
	Layers int64 // in all chunks
	Uses   []Use // of units, in the order of the model
	// Updated is the parameters that the update of one rank is for.
	Updated int64
	// Bubble is the time in which the class waits for other stages and slower ranks.
	Bubble units.Time
	// Exposed is communication that no kernel hides, and what kernels lose to communication beside them.
	Exposed [NumKinds]units.Time
	Stalls  sim.Stalls // sums to the step's time: bubbles are of Dependency, exposed communication is of Link
	// Ends is when the class's last slot, its gradient reduction and its update ended.
	Ends struct{ Slots, Reduction, Update units.Time }
	// InFlight is the most micro-batches (of one chunk) whose activations the class holds at once.
	InFlight int64
}

// Use is how often a class ran a unit, and what that took, exposed communication within units included.
type Use struct {
	Name   string
	Count  int64
	Time   units.Time
	Stalls sim.Stalls // sums to Time
}

// Span is one stretch of a timeline.
type Span struct {
	Class      int
	Name       string
	Comm       bool // of a communication queue
	Kind       Kind // of the communication
	Start, End units.Time
}
