package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/whatif"
)

// insideFlags ask for a look at the neighbours of a run: without an effect, or on a machine with one figure changed.
type insideFlags struct {
	ablate, sensitivity bool
	fixed               bool
	by, only            string
	options             whatif.Options
}

const defaultBy = "10%"

func (f *insideFlags) register(c *cobra.Command) {
	const looking = "Looking inside"
	fs := c.Flags()
	fs.BoolVar(&f.ablate, "ablate", false, "say how long the run takes without each effect of --ideal")
	fs.BoolVar(&f.sensitivity, "sensitivity", false, "say what +10 % of each clock, bandwidth, capacity, latency and count of the machine does")
	fs.StringVar(&f.by, "by", defaultBy, "with --sensitivity: the change, such as `10%` or -20%")
	fs.StringVar(&f.only, "only", "", "with --sensitivity: only figures of that `PATH`; * stands for any text")
	fs.BoolVar(&f.fixed, "fixed-plan", false, "with --sensitivity: keep the plan, in place of planning anew for each change")
	group(fs, looking, "ablate", "sensitivity", "by", "only", "fixed-plan")
}

// check notes what is wrong with the flags.
func (f *insideFlags) check(c *cobra.Command, form string, problems *experiments.Problems) {
	add := func(flag, message, hint string) {
		problems.Add(&experiments.Invalid{Field: flag, Message: message, Hint: hint})
	}
	for _, flag := range []string{"by", "only", "fixed-plan"} {
		if c.Flags().Changed(flag) && !f.sensitivity {
			add(flag, "it goes with --sensitivity", "add that, or leave it out")
		}
	}
	by, ok := parsePercent(f.by)
	if !ok || by <= -100 || by > 1000 {
		add("by", fmt.Sprintf("%q: must be a percentage above -100 and at most 1000", shorten(f.by)), "such as 10%")
	}
	f.options = whatif.Options{By: by / 100, Only: f.only, Fixed: f.fixed}
	if form == "csv" && f.ablate && f.sensitivity {
		add("output", "csv is one table", "leave out --ablate or --sensitivity, or give -o json")
	}
}

// tables are what looking inside came to; the answer that is kept is without them.
type tables struct {
	ablation      []eval.Ablation
	sensitivities []eval.Sensitivity
	sensitivity   *eval.SensitivityRun
	interval      *eval.Interval
}

// look answers what the flags ask. Progress is a number of runs.
func (f *insideFlags) look(ctx context.Context, req *eval.Request, res *eval.Result, p *progress) (t tables, err error) {
	step := func(what string) whatif.Progress {
		return func(done, of int) { p.say(what, done, of) }
	}
	if f.ablate {
		if t.ablation, err = whatif.Ablate(ctx, req, step("ablation")); err != nil {
			return t, err
		}
	}
	if f.sensitivity {
		o := f.options
		o.Progress = step("sensitivity")
		t.sensitivities, t.sensitivity, err = whatif.Sensitivities(ctx, req, &res.Answer, o)
	}
	return t, err
}

// with is the answer with the tables.
func (t *tables) with(a eval.Answer) *eval.Answer {
	a.Ablation, a.Sensitivities, a.Sensitivity = t.ablation, t.sensitivities, t.sensitivity
	a.Interval = t.interval
	return &a
}

// csv writes the table that was asked for, and reports whether there was one.
func (t *tables) csv(w io.Writer) (written bool, err error) {
	switch {
	case t.ablation != nil:
		return true, report.AblationCSV(w, t.ablation)
	case t.sensitivity != nil:
		return true, report.SensitivityCSV(w, t.sensitivities, t.sensitivity)
	}
	return false, nil
}

// runsDone is how many of several runs are done, for the line of progress.
type runsDone struct{ text atomic.Pointer[string] }

// say notes how many runs of a table are done.
func (p *progress) say(what string, done, of int) {
	text := fmt.Sprintf("%s: %d of %d runs", what, done, of)
	p.runs.text.Store(&text)
}
