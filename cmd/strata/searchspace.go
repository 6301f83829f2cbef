package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/sweep"
)

// searchSpace is strata search FILE.
type searchSpace struct {
	db       string
	workers  int64
	limits   limitFlags
	form     string
	problems experiments.Problems
}

func newSearch() *cobra.Command {
	f := &searchSpace{}
	c := &cobra.Command{
		Use:   "search FILE",
		Short: "Good points of a design space, for one objective or several",
		Long: `Look for good points of the space that a sweep file describes, with its constraints and objectives, and print those that
no other dominates. The part search of the file says how: nsga2 for any number of objectives, cmaes for one, random to
compare with. Every point is kept in the database with its generation; running again goes on where the search ended, to
the same points. docs/sweeps.md describes the file. Exit code 3: no point is feasible.

strata search mapping finds the best division of a step of training.`,
		Example: "strata search space.yaml --db results.db\nstrata search space.yaml --db results.db -o csv",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return c.Help()
			case len(args) > 1:
				return &usageError{fmt.Sprintf("one file, not %d: %s", len(args), strings.Join(args, " ")), c.CommandPath()}
			}
			if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(args[0], "./\\") {
				return unknownCommand(c, args[0])
			}
			return f.run(c, args[0])
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.db, "db", "results.db", "results database `FILE`")
	fs.Var(&count{name: "workers", into: &f.workers, min: 1, max: 4096, problems: &f.problems}, "workers", "points to work on at a time (default the processors there are)")
	f.limits.register(c, &f.problems)
	formFlag(c, &f.form, &f.problems)
	completeYAML(c)
	c.AddCommand(newSearchMapping())
	return family(c)
}

func (f *searchSpace) run(c *cobra.Command, name string) (err error) {
	o := f.limits.options(&f.problems)
	if f.db == "" {
		f.problems.Add(&experiments.Invalid{Field: "db", Message: "the name of the file is empty", Hint: "perhaps a variable of the shell is not set"})
	}
	checkDistinct(&f.problems, []named{{"db", f.db}}, named{"search file", name})
	if err := f.problems.Err(); err != nil {
		return err
	}
	space, err := readSweep(c, name)
	if err != nil {
		return err
	}
	if err := space.CheckSearch(); err != nil {
		return badInput{fmt.Errorf("%s: %w", name, err)}
	}
	db, err := store.Open(f.db, store.Options{ModelVersion: eval.Version, Tool: tool()})
	if err != nil {
		return err
	}
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	if !f.limits.quiet {
		for _, n := range db.Warnings() {
			note(c, n)
		}
	}
	o.Store, o.Workers = db, int(f.workers)
	if _, err := f.limits.run(c, space.File.Name, o, space.Search); err != nil {
		return err
	}
	best, err := space.Best(c.Context(), db)
	if err != nil {
		return err
	}
	if err := printTo(c, func(w io.Writer) error { return printBest(w, space, best, f.form, styleOf(c)) }); err != nil {
		return err
	}
	return noFeasible(best)
}

// noFeasible is the error of a sweep or a search without a feasible point: what kept them from being one.
func noFeasible(b *sweep.Best) error {
	if b.Feasible > 0 {
		return nil
	}
	text := "no point is feasible"
	const most = 8
	for i, r := range b.Reasons() {
		if i == most {
			text += fmt.Sprintf("\n  and %d more reasons", len(b.Reasons())-most)
			break
		}
		text += fmt.Sprintf("\n  %d %s: %s", b.Rejected[r], r.Status, r.Reason)
	}
	return &failed{exitDoesNotFit, text}
}

// bestTable is the front of a search.
func bestTable(s *sweep.Space, b *sweep.Best) (*report.Table, error) {
	t := &report.Table{Columns: []report.Column{{Title: "point", Name: "point", Right: true}, {Title: "key", Name: "key", Show: func(v any) string { return shorter(v.(string), 8) }}}}
	for i, name := range s.Axes() {
		t.Columns = append(t.Columns, report.Column{Title: name, Name: name, Right: true, Show: func(v any) string { return s.Show(i, v) }})
	}
	for _, o := range b.Objectives {
		t.Columns = append(t.Columns, report.Column{Title: o.Name, Name: o.Name, Right: true, Show: func(v any) string { return fmt.Sprintf("%.5g", v) }})
	}
	for _, p := range b.Front {
		var parameters map[string]any
		d := json.NewDecoder(strings.NewReader(p.Parameters))
		d.UseNumber()
		if err := d.Decode(&parameters); err != nil {
			return nil, fmt.Errorf("parameters of point %d: %w", p.Index, err)
		}
		row := []any{p.Index, p.Key}
		for _, name := range s.Axes() {
			row = append(row, parameters[name])
		}
		for _, v := range p.Values {
			row = append(row, v)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

func printBest(w io.Writer, s *sweep.Space, b *sweep.Best, form string, style report.Style) error {
	t, err := bestTable(s, b)
	if err != nil {
		return err
	}
	switch form {
	case "csv":
		return t.CSV(w)
	case "json":
		type point struct {
			Point      int64              `json:"point"`
			Key        string             `json:"key"`
			Parameters json.RawMessage    `json:"parameters"`
			Objectives map[string]float64 `json:"objectives"`
		}
		out := struct {
			Schema     string            `json:"schema"`
			Name       string            `json:"name"`
			Objectives map[string]string `json:"objectives"`
			Front      []point           `json:"front"`
			Feasible   int64             `json:"feasible"`
			Status     map[string]int64  `json:"status"`
			Version    string            `json:"version"`
		}{"strata.search/1", s.File.Name, map[string]string{}, []point{}, b.Feasible, b.Status, eval.Version}
		for _, o := range b.Objectives {
			out.Objectives[o.Name] = o.Direction.String()
		}
		for _, p := range b.Front {
			values := map[string]float64{}
			for i, o := range b.Objectives {
				values[o.Name] = p.Values[i]
			}
			out.Front = append(out.Front, point{p.Index, p.Key, json.RawMessage(p.Parameters), values})
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(out)
	}
	page := &report.Page{Style: style}
	var goals []string
	for _, o := range b.Objectives {
		goals = append(goals, map[string]string{"min": "least ", "max": "most "}[o.Direction.String()]+o.Name)
	}
	page.Title(fmt.Sprintf("%s: %s", s.File.Name, strings.Join(goals, ", ")))
	page.Linef("")
	page.Linef("  %d of %d feasible points are dominated by no other", len(b.Front), b.Feasible)
	if len(b.Front) > 0 {
		page.Linef("")
		page.Table(t)
	}
	return page.Write(w)
}
