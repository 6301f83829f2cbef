package sim

import (
	"fmt"

	"github.com/stratasim/strata/sim/units"
)

// Counter defines one thing that a program counts, such as bytes read from a memory tier.
type Counter struct {
	Name string // e.g. "hbm.read"
	Unit string // "B", "op", "core-cycle"
}

// Counts holds one integer for each counter of a program, per chip.
type Counts []int64

// Add adds n times o, which must have the same length.
func (c Counts) Add(o Counts, n int64) {
	for i, v := range o {
		c[i] += v * n
	}
}

// Equal reports whether both hold the same numbers.
func (c Counts) Equal(o Counts) bool {
	if len(c) != len(o) {
		return false
	}
	for i := range c {
		if c[i] != o[i] {
			return false
		}
	}
	return true
}

// OpStat is what one operator of the program came to, over all the times it ran.
type OpStat struct {
	Calls  int64
	Time   units.Time
	Stalls Stalls // sums to Time
	Work   Counts
}

// Outcome is what one run of a program came to, on one chip of the slowest rank class.
type Outcome struct {
	Makespan units.Time
	Stalls   Stalls   // sums to Makespan
	Work     Counts   // by the program's counters
	Ops      []OpStat // by the program's operators
	Marks    []Mark   // ends of the program's top-level sections, in order
	Events   int64    // agenda events handled; 0 for the analytic fidelity
}

// Mark is the time at which a top-level section of a program (a phase, a step) ended.
type Mark struct {
	Section int // index of the section
	Start   units.Time
	End     units.Time
	Stalls  Stalls // of the section; sums to its time
	// Running is the time in which kernels run. Where the host launches them ahead of the device the
	// critical path may be its launches all the while, so it is not told by the stalls.
	Running units.Time
}

// Running is the time in which the operators of the outcome run.
func (o *Outcome) Running() units.Time {
	var t units.Time
	for i := range o.Ops {
		t += o.Ops[i].Stalls.Running()
	}
	return t
}

// Append adds an outcome of the same program that follows this one. Neither may exceed units.MaxTime;
// the caller checks that the sum does not.
func (o *Outcome) Append(next *Outcome) {
	for _, m := range next.Marks {
		m.Start += o.Makespan
		m.End += o.Makespan
		o.Marks = append(o.Marks, m)
	}
	o.Makespan += next.Makespan
	o.Stalls.Add(&next.Stalls, 1)
	if o.Work == nil {
		o.Work, o.Ops = make(Counts, len(next.Work)), make([]OpStat, len(next.Ops))
		for i := range o.Ops {
			o.Ops[i].Work = make(Counts, len(next.Work))
		}
	}
	o.Work.Add(next.Work, 1)
	for i := range next.Ops {
		to, op := &o.Ops[i], &next.Ops[i]
		to.Calls += op.Calls
		to.Time += op.Time
		to.Stalls.Add(&op.Stalls, 1)
		to.Work.Add(op.Work, 1)
	}
	o.Events += next.Events
}

// Check verifies that the stalls of the outcome and of each operator sum to their times, and that no
// cause has less than no time. An error here is a bug of the simulator, never of its input.
func (o *Outcome) Check() error {
	if err := o.Stalls.check("makespan", o.Makespan); err != nil {
		return err
	}
	for i := range o.Ops {
		if err := o.Ops[i].Stalls.check("its time", o.Ops[i].Time); err != nil {
			return fmt.Errorf("operator %d: %w", i, err)
		}
	}
	return nil
}

// check verifies that no entry is negative and that they sum to a time, called what.
func (s *Stalls) check(what string, want units.Time) error {
	for c, t := range s {
		if t < 0 {
			return fmt.Errorf("%v stalls of %v are less than nothing", Cause(c), t)
		}
	}
	if t := s.Total(); t != want {
		return fmt.Errorf("stalls sum to %v, %s is %v", t, what, want)
	}
	return nil
}
