package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/view"
)

// paretoCommand is strata pareto.
type paretoCommand struct {
	sweepFlags
	objectives []string
	reference  string
	form       string
	problems   experiments.Problems
}

func newPareto() *cobra.Command {
	p := &paretoCommand{}
	c := &cobra.Command{
		Use:   "pareto",
		Short: "The best compromises between objectives among the rows of a database",
		Long: `Print the rows that no other row dominates: none is as good in every objective and better in one. Two or three
objectives are columns of table runs or parameters of the sweep. Times, energies, powers, costs and sizes are
better small, rates and utilisations large; others say so with :min or :max. Without --objective, those of the
file of the sweep count.

Beside the front stands its hypervolume, what it dominates up to a reference point: the worst of the front in
each objective and 10 % of its range, or --reference. Compare volumes only with one reference. -o json prints
one object (strata.pareto/1).`,
		Example: `strata pareto --db results.db --objective tokens_per_second --objective joules_per_token
strata pareto --db sweep.db --sweep hbm --objective tpot_seconds --objective usd_per_hour --objective bandwidth:min -o csv`,
		Args: cobra.NoArgs,
		RunE: p.run,
	}
	p.register(c, "rows of that sweep (default the only one of the database, else all rows)")
	c.Flags().StringSliceVar(&p.objectives, "objective", nil, "`COLUMN[:min|max]`, two or three times")
	c.Flags().StringVar(&p.reference, "reference", "", "reference point of the hypervolume: a `NUMBER` an objective, with commas")
	completeColumns(c, "objective")
	formFlag(c, &p.form, &p.problems)
	return c
}

func (p *paretoCommand) run(c *cobra.Command, _ []string) error {
	if err := p.problems.Err(); err != nil {
		return err
	}
	s, err := p.open()
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := p.source(c, s, true)
	if err != nil {
		return err
	}
	objectives := objectivesOf(v, p.objectives, &p.problems)
	if n := len(objectives); (n < 2 || n > 3) && len(p.problems) == 0 {
		message := fmt.Sprintf("%d objectives: give two or three", n)
		if n == 0 {
			message = "no objectives: give two or three"
		}
		p.problems.Add(&experiments.Invalid{Field: "objective", Message: message, Hint: "e.g. --objective tokens_per_second --objective joules_per_token"})
	}
	reference := p.parseReference(len(objectives))
	if err := p.problems.Err(); err != nil {
		return err
	}
	names, err := describing(c.Context(), v)
	if err != nil {
		return err
	}
	described := len(names)
	for _, o := range objectives {
		names = append(names, o.Name)
	}
	extra := []string{"key", "status"}
	if v.Sweep != nil {
		extra = append(extra, "point")
	}
	f, err := v.Read(c.Context(), append(slices.Clone(names), extra...))
	if err != nil {
		return err
	}
	front, err := f.Front(objectives, reference)
	if errors.Is(err, view.ErrNoValues) {
		return &experiments.Invalid{Field: "objective", Message: noValues(f, objectives), Hint: "see: strata results list --db " + p.path}
	}
	if err != nil {
		return badInput{fmt.Errorf("--objective: %w", err)}
	}
	return printTo(c, func(w io.Writer) error {
		switch p.form {
		case "json":
			return p.json(w, v, f, front, objectives, described)
		case "csv":
			return p.table(v, f, front, described, len(objectives)).CSV(w)
		}
		t := p.table(v, f, front, described, len(objectives))
		t.Footer = paretoFooter(f, front, objectives)
		return t.Text(w, styleOf(c))
	})
}

// parseReference reads --reference.
func (p *paretoCommand) parseReference(n int) []float64 {
	if p.reference == "" {
		return nil
	}
	var ref []float64
	for i, word := range strings.Split(p.reference, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if _, ok := view.Float(x); err != nil || !ok {
			p.problems.Add(&experiments.Invalid{Field: "reference", Message: fmt.Sprintf("number %d, %q: must be a number in the unit of the column, such as 0.05", i+1, shorten(word))})
			return nil
		}
		ref = append(ref, x)
	}
	if len(ref) != n && n > 0 {
		p.problems.Add(&experiments.Invalid{Field: "reference", Message: fmt.Sprintf("%d numbers for %d objectives", len(ref), n)})
	}
	return ref
}

// noValues says why nothing can be compared.
func noValues(f *view.Frame, objectives []view.Objective) string {
	status, ok := f.Index("status"), 0
	has := make([]int, len(objectives))
	for _, row := range f.Rows {
		if row[status] != "ok" {
			continue
		}
		ok++
		for i, o := range objectives {
			if _, is := view.Float(row[f.Index(o.Name)]); is {
				has[i]++
			}
		}
	}
	if ok == 0 {
		return fmt.Sprintf("none of the %d rows is ok", len(f.Rows))
	}
	for i, o := range objectives {
		if has[i] == 0 {
			return fmt.Sprintf("none of the %d rows that are ok has a value for %s", ok, o.Name)
		}
	}
	return "no row has a value for each objective"
}

func (p *paretoCommand) table(v *view.Source, f *view.Frame, front *view.Front, described, objectives int) *report.Table {
	part := &view.Frame{}
	var of []int
	if v.Sweep != nil {
		of = append(of, f.Index("point"))
	}
	of = append(of, f.Index("key"))
	for i := range described + objectives {
		of = append(of, i)
	}
	for _, k := range of {
		part.Columns = append(part.Columns, f.Columns[k])
	}
	for _, i := range front.Rows {
		var row []any
		for _, k := range of {
			row = append(row, f.Rows[i][k])
		}
		part.Rows = append(part.Rows, row)
	}
	return part.Table()
}

// paretoFooter counts what is not in the table.
func paretoFooter(f *view.Frame, front *view.Front, objectives []view.Objective) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d of %d compared rows; the others are dominated.", len(front.Rows), front.Compared)
	if front.Missing > 0 {
		fmt.Fprintf(&b, " %d rows are ok and have no value for an objective.", front.Missing)
	}
	if counts := f.Statuses(); len(counts) > 1 || len(f.Rows) > 0 && counts[0].Status != "ok" {
		var parts []string
		for _, n := range counts {
			if n.Status != "ok" {
				parts = append(parts, fmt.Sprintf("%d %s", n.Rows, n.Status))
			}
		}
		fmt.Fprintf(&b, " Not ok: %s.", strings.Join(parts, ", "))
	}
	var goals, at []string
	for i, o := range objectives {
		goals = append(goals, o.Name+" "+o.Goal.String())
		at = append(at, o.Show(front.Reference[i]))
	}
	fmt.Fprintf(&b, "\nobjectives %s; hypervolume %s up to %s", strings.Join(goals, ", "), report.Number(front.Volume), strings.Join(at, ", "))
	return b.String()
}

// paretoAnswer is strata.pareto/1.
type paretoAnswer struct {
	Schema      string         `json:"schema"`
	Sweep       string         `json:"sweep,omitempty"`
	Objectives  []goalAnswer   `json:"objectives"`
	Reference   []float64      `json:"reference"`
	Hypervolume float64        `json:"hypervolume"`
	Rows        int            `json:"rows"`
	Compared    int            `json:"compared"`
	Dominated   int            `json:"dominated"`
	Missing     int            `json:"missing"`
	Statuses    map[string]int `json:"statuses"`
	Front       []frontAnswer  `json:"front"`
}

type goalAnswer struct {
	Column string `json:"column"`
	Goal   string `json:"goal"`
	Unit   string `json:"unit,omitempty"`
}

type frontAnswer struct {
	Point      *int64             `json:"point,omitempty"`
	Key        string             `json:"key"`
	Parameters map[string]any     `json:"parameters"`
	Objectives map[string]float64 `json:"objectives"`
}

func (p *paretoCommand) json(w io.Writer, v *view.Source, f *view.Frame, front *view.Front, objectives []view.Objective, described int) error {
	a := paretoAnswer{Schema: "strata.pareto/1", Reference: front.Reference, Hypervolume: front.Volume, Rows: len(f.Rows), Compared: front.Compared,
		Dominated: front.Compared - len(front.Rows), Missing: front.Missing, Statuses: map[string]int{}}
	if v.Sweep != nil {
		a.Sweep = v.Sweep.Name
	}
	for _, n := range f.Statuses() {
		a.Statuses[n.Status] = n.Rows
	}
	for _, o := range objectives {
		a.Objectives = append(a.Objectives, goalAnswer{o.Name, o.Goal.String(), o.Unit})
	}
	for _, i := range front.Rows {
		row := f.Rows[i]
		one := frontAnswer{Parameters: map[string]any{}, Objectives: map[string]float64{}}
		one.Key, _ = row[f.Index("key")].(string)
		if k := f.Index("point"); k >= 0 {
			n := int64(row[k].(float64))
			one.Point = &n
		}
		for k, c := range f.Columns[:described] {
			if row[k] != nil {
				one.Parameters[c.Name] = row[k]
			}
		}
		for k, o := range objectives {
			one.Objectives[o.Name] = row[described+k].(float64)
		}
		a.Front = append(a.Front, one)
	}
	return json.NewEncoder(w).Encode(a)
}
