package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/uncertainty"
)

// intervalFlag is --interval, or --interval=LEVEL: the level, 0 for none.
type intervalFlag struct {
	level    float64
	problems *experiments.Problems
}

func (f *intervalFlag) register(c *cobra.Command, heading string, problems *experiments.Problems) {
	f.problems = problems
	fs := c.Flags()
	fs.Var(f, "interval", "say between which times a measurement would lie, at a `LEVEL` of "+uncertainty.LevelsText()[len("one of "):])
	fs.Lookup("interval").NoOptDefVal = strconv.FormatFloat(uncertainty.Levels()[0], 'g', -1, 64)
	group(fs, heading, "interval")
}

func (f *intervalFlag) Set(text string) error {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !uncertainty.Has(v) {
		f.problems.Add(&experiments.Invalid{Field: "interval", Message: fmt.Sprintf("%q: intervals of that level are not kept", shorten(text)), Hint: uncertainty.LevelsText()})
		return nil
	}
	f.level = v
	return nil
}

func (f *intervalFlag) String() string { return "" }
func (f *intervalFlag) Type() string   { return "LEVEL" }
