package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/shard"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

func newSweep() *cobra.Command {
	c := &cobra.Command{Use: "sweep", Short: "Many points of a design space, into a results database",
		Long: `A sweep file names a machine, a model, what runs, and axes: leaves of any of these with the values that they take.
strata sweep plan says what it would run, strata sweep run runs it; running again goes on where it ended.
docs/sweeps.md describes the file.`}
	c.AddCommand(newSweepPlan(), newSweepRun(), newSweepStatus(), newSweepMerge(), newSweepSubmit())
	return family(c)
}

// besideFile finds machines and models as flags do, files first beside the sweep file.
type besideFile struct{ dir string }

func (b besideFile) find(name string) string {
	if b.dir != "" && !filepath.IsAbs(name) {
		if st, err := os.Stat(filepath.Join(b.dir, name)); err == nil && !st.IsDir() {
			return filepath.Join(b.dir, name)
		}
	}
	return name
}

func (b besideFile) Machine(name string) (*arch.Machine, error) {
	return experiments.MachineOf(b.find(name), nil)
}

func (b besideFile) Model(name string) (*llm.Model, error) { return experiments.ModelOf(b.find(name)) }

// readSweep reads a sweep file; "-" is standard input.
func readSweep(c *cobra.Command, name string) (*sweep.Space, error) {
	var data []byte
	var err error
	dir := ""
	if name == "-" {
		data, err = io.ReadAll(io.LimitReader(c.InOrStdin(), experiments.MaxFile+1))
		name = "standard input"
	} else {
		data, err = experiments.ReadFile(name)
		dir = filepath.Dir(name)
	}
	if err != nil {
		return nil, badInput{err}
	}
	s, err := sweep.Read(name, data, besideFile{dir})
	return s, inputError(err)
}

// shardFlags say which part of a sweep is run, and by how many workers.
type shardFlags struct {
	shard   string
	workers int64
}

func (f *shardFlags) register(c *cobra.Command, problems *experiments.Problems) {
	fs := c.Flags()
	fs.StringVar(&f.shard, "shard", "", "only part `I/N` of the points: every N-th, from the I-th on, counted from 0 (default what a scheduler's variables say, else all)")
	fs.Var(&count{name: "workers", into: &f.workers, min: 1, max: 4096, problems: problems}, "workers", "points to work on at a time (default the processors there are)")
	complete(c, "shard", func() []string { return []string{"0/2", "1/2"} })
}

// read returns the shard and the number of workers, and where they are from.
func (f *shardFlags) read(problems *experiments.Problems) (s shard.Shard, workers int, notes []string) {
	s, from, err := shard.FromEnvironment(f.shard, os.LookupEnv)
	if err != nil {
		problems.Add(&experiments.Invalid{Field: "shard", Message: strings.TrimPrefix(err.Error(), "--shard: ")})
	} else if from != "" && f.shard == "" {
		notes = append(notes, fmt.Sprintf("shard %s, by %s", s, from))
	}
	if workers = int(f.workers); workers == 0 {
		var by string
		if workers, by = shard.Workers(os.LookupEnv, os.DirFS("/")); by != "" && !strings.Contains(by, "processors of this machine") {
			notes = append(notes, fmt.Sprintf("%d workers, by %s", workers, by))
		}
	}
	return s, workers, notes
}

// manyPoints are run only if that is said again.
const manyPoints = 1_000_000

func newSweepPlan() *cobra.Command {
	var part shardFlags
	var first, look, probe int64
	var form string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "What a sweep would run: how many points, the first of them, the invalid ones, and how long it takes",
		Long: `Check a sweep file and say how many points it has, which are the first, how many would not be run and why, and,
from some that are run to try, how long it takes. Nothing is kept.`,
		Example: "strata sweep plan sweep.yaml\nstrata sweep plan sweep.yaml --first 20 --probe 0",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, workers, notes := part.read(&problems)
			if err := problems.Err(); err != nil {
				return err
			}
			space, err := readSweep(c, args[0])
			if err != nil {
				return err
			}
			for _, n := range notes {
				note(c, n)
			}
			if err := noSearch(space); err != nil {
				return err
			}
			p, err := space.Plan(c.Context(), sweep.PlanOptions{Shard: s, First: first, Look: look, Probe: probe, Workers: workers})
			if err != nil {
				return err
			}
			if err := printTo(c, func(w io.Writer) error { return printPlan(w, space, p, workers, form, styleOf(c)) }); err != nil {
				return err
			}
			if p.Runs == 0 {
				return &failed{exitDoesNotFit, "no point would be run"}
			}
			return nil
		},
	}
	first, look, probe = 10, 10000, 20
	fs := c.Flags()
	part.register(c, &problems)
	fs.Var(&count{name: "first", into: &first, min: 0, max: 100000, problems: &problems}, "first", "list so many points")
	fs.Var(&count{name: "look", into: &look, min: 1, max: 10000000, problems: &problems}, "look", "check so many points, spread over the space")
	fs.Var(&count{name: "probe", into: &probe, min: 0, max: 10000, problems: &problems}, "probe", "run so many of them to tell how long all will take, for 5 s at most")
	formFlag(c, &form, &problems)
	completeYAML(c)
	return c
}

// noSearch refuses a file without points of its own.
func noSearch(s *sweep.Space) error {
	if s.Points() == 0 {
		return badInput{errors.New("the file describes a search, which has no points of its own (see: strata search)")}
	}
	return nil
}

// completeYAML completes the argument of a command with YAML files.
func completeYAML(c *cobra.Command) {
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
}

// firstPoints is the table of the first points of a plan.
func firstPoints(s *sweep.Space, p *sweep.Plan) *report.Table {
	t := &report.Table{Columns: []report.Column{{Title: "point", Name: "point", Right: true}}}
	for _, name := range s.Axes() {
		t.Columns = append(t.Columns, report.Column{Title: name, Name: name, Right: true})
	}
	t.Columns = append(t.Columns, report.Column{Title: "", Name: "status", Max: 60})
	for _, l := range p.First {
		row := []any{l.Index}
		for _, v := range l.Values {
			row = append(row, v.String())
		}
		what := l.Status
		if l.Reason != "" {
			what += ": " + l.Reason
		}
		t.Rows = append(t.Rows, append(row, what))
	}
	return t
}

func printPlan(w io.Writer, s *sweep.Space, p *sweep.Plan, workers int, form string, style report.Style) error {
	points, seconds := p.Expected(workers)
	type refused struct {
		Status string `json:"status"`
		Reason string `json:"reason"`
		Points int64  `json:"points"`
	}
	var list []refused
	for r, n := range p.Refused {
		list = append(list, refused{r.Status, r.Reason, n})
	}
	slices.SortFunc(list, func(a, b refused) int {
		if a.Points != b.Points {
			return int(b.Points - a.Points)
		}
		return strings.Compare(a.Status+a.Reason, b.Status+b.Reason)
	})
	switch form {
	case "json":
		type point struct {
			Point      int64           `json:"point"`
			Parameters json.RawMessage `json:"parameters"`
			Status     string          `json:"status,omitempty"`
			Reason     string          `json:"reason,omitempty"`
		}
		out := struct {
			Schema   string    `json:"schema"`
			Name     string    `json:"name"`
			Axes     []string  `json:"axes"`
			Points   int64     `json:"points"`
			Looked   int64     `json:"looked_at"`
			Same     int64     `json:"same_as_others"`
			Runs     int64     `json:"would_run"`
			Refused  []refused `json:"refused"`
			Expected int64     `json:"expected_runs"`
			Probed   int64     `json:"probed"`
			Seconds  float64   `json:"expected_seconds,omitempty"`
			Workers  int       `json:"workers"`
			First    []point   `json:"first"`
		}{"strata.sweep-plan/1", s.File.Name, s.Axes(), p.Space, p.Looked, p.Same, p.Runs, append([]refused{}, list...), points, p.Probed, seconds, workers, []point{}}
		for _, l := range p.First {
			out.First = append(out.First, point{l.Index, json.RawMessage(s.Parameters(l.Values)), l.Status, l.Reason})
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(out)
	case "csv":
		return firstPoints(s, p).CSV(w)
	}
	page := &report.Page{Style: style}
	page.Title(fmt.Sprintf("%s: %s points on %d axes", s.File.Name, report.Count(p.Space), len(s.Axes())))
	page.Linef("")
	looked := ""
	if p.Looked < p.Space {
		looked = fmt.Sprintf(" of %s looked at", report.Count(p.Looked))
	}
	page.Linef("  %s%s would be run", report.Count(p.Runs), looked)
	if p.Same > 0 {
		page.Linef("  %s are the same as others, which differ on axes that are off", report.Count(p.Same))
	}
	const most = 8
	for i, r := range list {
		if i == most {
			page.Linef("  and %d more reasons", len(list)-most)
			break
		}
		page.Linef("  %s %s: %s", report.Count(r.Points), r.Status, r.Reason)
	}
	if p.Probed > 0 {
		page.Linef("  about %s on %d workers, by %d that were run (%s each)", lasting(seconds), workers, p.Probed, report.Seconds(p.ProbeSeconds/float64(p.Probed)))
	}
	if len(p.First) > 0 {
		page.Linef("")
		page.Table(firstPoints(s, p))
	}
	return page.Write(w)
}

// lasting is a time for people who wait.
func lasting(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return "less than a second"
}

// runSweep is strata sweep run.
type runSweep struct {
	part       shardFlags
	db         string
	local      string
	every      time.Duration
	limits     limitFlags
	whole, yes bool
	problems   experiments.Problems
}

// limitFlags say how far points may go, and how much is said meanwhile.
type limitFlags struct {
	timeout      time.Duration
	memory       string
	retry        []string
	quiet, plain bool
}

func (f *limitFlags) register(c *cobra.Command, problems *experiments.Problems) {
	fs := c.Flags()
	fs.DurationVar(&f.timeout, "timeout", 0, "`TIME` after which a point is given up, such as 30s (default none)")
	fs.StringVar(&f.memory, "memory", "", "`SIZE` of memory that the process may take, such as 8 GiB: points that need more run alone, and are given up if that is not enough (default none)")
	fs.Var(&choices{"retry", &f.retry, sweep.Retried(), problems}, "retry", "run points again that ended so: timeout, memory, error")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no notes and no progress")
	fs.BoolVar(&f.plain, "no-progress", false, "no line of progress on a terminal")
	complete(c, "retry", sweep.Retried)
}

// options are those of a run with these limits.
func (f *limitFlags) options(problems *experiments.Problems) sweep.Options {
	var limit units.Bytes
	if f.memory != "" {
		if err := limit.UnmarshalText([]byte(f.memory)); err != nil || limit <= 0 {
			problems.Add(&experiments.Invalid{Field: "memory", Message: fmt.Sprintf("%q: must be a size with its unit", shorten(f.memory)), Hint: "such as 8 GiB"})
		}
	}
	if f.timeout < 0 {
		problems.Add(&experiments.Invalid{Field: "timeout", Message: f.timeout.String() + ": must not be negative"})
	}
	return sweep.Options{Tool: tool(), Timeout: f.timeout, Memory: int64(limit), Retry: f.retry}
}

// run runs points with a line of progress, and says at the end what they came to.
func (f *limitFlags) run(c *cobra.Command, name string, o sweep.Options, run func(context.Context, sweep.Options) (*sweep.Progress, error)) (*sweep.Progress, error) {
	line := newSweepLine(c.ErrOrStderr(), f.quiet, f.plain)
	o.Progress = line.update
	p, err := run(c.Context(), o)
	line.stop()
	if p != nil && !f.quiet {
		fmt.Fprintf(c.ErrOrStderr(), "strata: %s: %s\n", name, line.summary(p))
	}
	if err != nil && c.Context().Err() != nil {
		err = &failed{exitInterrupted, "interrupted: run it again to go on"}
	}
	return p, err
}

func newSweepRun() *cobra.Command {
	f := &runSweep{}
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run the points of a sweep that are not in the database yet",
		Long: `Run all points of a sweep file, or those of a shard, and keep each with its parameters and its row. What is in the
database already is not run again: after an interruption, a crash or a full disk the same command goes on.

A point that does not fit, breaks a constraint, cannot be asked for, takes too long, needs too much memory or goes
wrong is a result with a reason, and the others go on. Exit code 4: some points went wrong, timed out or took too
much memory; 75: interrupted, with all that was finished kept.`,
		Example: `strata sweep run sweep.yaml --db results.db
strata sweep run sweep.yaml --db results.db --shard 3/8 --timeout 2m
strata sweep run sweep.yaml --db results.db --retry timeout,error`,
		Args: cobra.ExactArgs(1),
		RunE: f.run,
	}
	fs := c.Flags()
	fs.StringVar(&f.db, "db", "results.db", "results database `FILE`")
	fs.StringVar(&f.local, "local", "", "work on a copy of the database in `FOLDER`, on a disk of this machine, and publish it to --db from time to time")
	fs.DurationVar(&f.every, "publish-every", 5*time.Minute, "with --local: `TIME` between publications; the last is at the end")
	f.part.register(c, &f.problems)
	f.limits.register(c, &f.problems)
	fs.BoolVar(&f.whole, "keep-answers", false, "keep the whole answers and the operators of all points, some 20 kB each (default their scalars, stalls, memories and energies)")
	fs.BoolVar(&f.yes, "yes", false, "run more than a million points")
	completeYAML(c)
	return c
}

func (f *runSweep) run(c *cobra.Command, args []string) (err error) {
	part, workers, notes := f.part.read(&f.problems)
	o := f.limits.options(&f.problems)
	if f.db == "" {
		f.problems.Add(&experiments.Invalid{Field: "db", Message: "the name of the file is empty", Hint: "perhaps a variable of the shell is not set"})
	}
	checkDistinct(&f.problems, []named{{"db", f.db}}, named{"sweep file", args[0]})
	if err := f.problems.Err(); err != nil {
		return err
	}
	space, err := readSweep(c, args[0])
	if err != nil {
		return err
	}
	if err := noSearch(space); err != nil {
		return err
	}
	if !f.yes {
		if err := tooMuch(space, part); err != nil {
			return err
		}
	}
	db, done, err := f.open(c)
	if err != nil {
		return err
	}
	if f.local != "" {
		processOf(c.Context()).delivering.Store(true) // after a signal there is time to publish
	}
	defer func() {
		if e := done(); e != nil {
			err = e
		}
	}()
	if !f.limits.quiet {
		for _, n := range append(notes, db.Warnings()...) {
			note(c, n)
		}
	}
	o.Store, o.Shard, o.Workers, o.Whole, o.Journal = db, part, workers, f.whole, f.db
	p, err := f.limits.run(c, space.File.Name, o, space.Run)
	if err != nil {
		return err
	}
	if err := failedPoints(p); err != nil {
		return err
	}
	if p.Done > 0 && p.Status[sweep.OK] == 0 {
		best, err := space.Best(c.Context(), db)
		if err != nil {
			return err
		}
		return noFeasible(best)
	}
	return nil
}

// open opens the database, or with --local a copy of it. done closes it.
func (f *runSweep) open(c *cobra.Command) (db *store.Store, done func() error, err error) {
	o := store.Options{ModelVersion: eval.Version, Tool: tool()}
	if f.local == "" {
		if db, err = store.Open(f.db, o); err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	l, err := store.OpenLocal(f.db, store.LocalOptions{Options: o, Dir: f.local, Every: f.every, Problem: func(err error) { note(c, err.Error()) }})
	if err != nil {
		return nil, nil, err
	}
	return l.Store, l.Close, nil
}

// failedPoints is the error of a sweep some points of which went wrong.
func failedPoints(p *sweep.Progress) error {
	var parts []string
	for _, s := range sweep.Retried() {
		if n := p.Status[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts == nil {
		return nil
	}
	return &failed{exitSomeFailed, "finished, but points ended without an answer: " + strings.Join(parts, ", ") + " (see: strata results list --status; --retry runs them again)"}
}

// tooMuch refuses a sweep of a size that is likely a mistake.
func tooMuch(s *sweep.Space, part shard.Shard) error {
	n := s.Points()
	if part.Count > 0 {
		n = part.Size(n)
	}
	if n > manyPoints {
		return badInput{fmt.Errorf("%s points: --yes runs them all the same (strata sweep plan says how long that takes)", report.Count(n))}
	}
	return nil
}

// sweepLine is the progress of a sweep: a line that is drawn over on a terminal, and plain lines now and then elsewhere.
type sweepLine struct {
	w     io.Writer
	quiet bool
	line  *progress // nil off a terminal
	start time.Time
	last  time.Time
}

// plainEvery is how often a line of progress goes to a log.
const plainEvery = 30 * time.Second

func newSweepLine(w io.Writer, quiet, plain bool) *sweepLine {
	l := &sweepLine{w: w, quiet: quiet, start: time.Now(), last: time.Now()}
	if !quiet {
		l.line = startProgress(w, isTerminal(w) && !plain)
	}
	return l
}

func (l *sweepLine) update(p sweep.Progress) {
	if l.quiet {
		return
	}
	text := l.text(&p)
	l.line.runs.text.Store(&text)
	if !isTerminal(l.w) && time.Since(l.last) >= plainEvery {
		l.last = time.Now()
		fmt.Fprintf(l.w, "strata: %s\n", text)
	}
}

// text says how far it is, how fast, and how long it goes on.
func (l *sweepLine) text(p *sweep.Progress) string {
	text := fmt.Sprintf("%d of %d points", p.Done, p.Points)
	if p.Points > 0 {
		text += fmt.Sprintf(", %.0f %%", 100*float64(p.Done)/float64(p.Points))
	}
	if n := p.Done - p.Before; n > 0 {
		rate := float64(n) / time.Since(l.start).Seconds()
		text += fmt.Sprintf(", %.3g a second, %s to go", rate, lasting(float64(p.Points-p.Done)/rate))
	}
	return text
}

func (l *sweepLine) stop() {
	if l.line != nil {
		l.line.stop()
	}
}

// summary says what the points came to.
func (l *sweepLine) summary(p *sweep.Progress) string {
	text := fmt.Sprintf("%d of %d points", p.Done, p.Points)
	if p.Before > 0 {
		text += fmt.Sprintf(", %d of them before", p.Before)
	}
	text += fmt.Sprintf(", in %s", time.Since(l.start).Round(time.Second/10))
	var parts []string
	for _, s := range sweep.Statuses() {
		if n := p.Status[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts != nil {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}
