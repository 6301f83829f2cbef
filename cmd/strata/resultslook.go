package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
)

// lookFlags are the flags of results list that look at rows in another way than the plain list.
type lookFlags struct {
	where               string
	sort, group, column []string
	aggregates          []string
}

var lookNames = []string{"sweep", "where", "columns", "sort", "group-by", "agg"}

func (l *lookFlags) register(c *cobra.Command, problems *experiments.Problems) {
	f := c.Flags()
	f.StringVar(&l.where, "where", "", "only rows for which an `EXPRESSION` over columns and parameters is true, e.g. 'mfu > 0.4 and batch in [1, 8]'")
	f.StringSliceVar(&l.column, "columns", nil, "columns and parameters to print, a `LIST` with commas")
	f.StringSliceVar(&l.sort, "sort", nil, "`COLUMN[:desc]` to sort by, several with commas")
	f.StringSliceVar(&l.group, "group-by", nil, "one line for all rows that agree in a `LIST` of columns")
	f.Var(&choices{"agg", &l.aggregates, view.Aggregates, problems}, "agg", "what to print of the other columns of a group: "+strings.Join(view.Aggregates, ", ")+" (default median)")
	completeColumns(c, "columns", "sort", "group-by")
	complete(c, "agg", func() []string { return view.Aggregates })
	group(f, "Look", lookNames...)
}

// asked tells whether any of the flags was given.
func (l *lookFlags) asked(c *cobra.Command) bool {
	return slices.ContainsFunc(lookNames, func(name string) bool { return c.Flags().Changed(name) })
}

// Columns that are printed where none are asked for.
var (
	lookColumns  = []string{"arch", "model", "phase", "parallel", "batch", "prompt", "generate", "status", "seconds", "tokens_per_second", "mfu", "joules_per_token", "usd_per_million_tokens", "bound_by"}
	lookFigures  = []string{"seconds", "tokens_per_second", "joules_per_token", "usd_per_million_tokens"}
	pointFigures = []string{"status", "seconds", "tokens_per_second", "joules_per_token", "usd_per_million_tokens", "bound_by"}
)

// list prints the rows as asked.
func (l *lookFlags) list(c *cobra.Command, v *view.Source, filter store.Filter, limit int64, form string) error {
	var problems experiments.Problems
	if len(l.aggregates) > 0 && len(l.group) == 0 {
		problems.Add(&experiments.Invalid{Field: "agg", Message: "goes with --group-by", Hint: "e.g. --group-by arch --agg median"})
	}
	if c.Flags().Changed("where") && strings.TrimSpace(l.where) == "" {
		problems.Add(&experiments.Invalid{Field: "where", Message: "the expression is empty", Hint: "perhaps a variable of the shell is not set"})
	}
	columns := listedColumns(v, "columns", l.column, &problems)
	groups := listedColumns(v, "group-by", l.group, &problems)
	if len(l.column) == 0 {
		columns = l.defaults(v, groups)
	}
	var condition *view.Condition
	if l.where != "" {
		var err error
		condition, err = v.Condition(l.where)
		problems.Add(flagged("where", err))
	}
	orders := l.orders(v, columns, groups, &problems)
	if err := problems.Err(); err != nil {
		return err
	}
	f, err := l.read(c, v, filter, condition, columns, groups, orders)
	if err != nil {
		return err
	}
	if len(groups) > 0 {
		how := l.aggregates
		if len(how) == 0 {
			how = []string{"median"}
		}
		var of []string
		for _, name := range columns {
			if !slices.Contains(groups, name) {
				of = append(of, name)
			}
		}
		if f, err = f.Group(groups, of, how); err != nil {
			return err
		}
		columns = nil
	}
	if err := f.Sort(orders); err != nil {
		return flagged("sort", err)
	}
	t := f.Table()
	for i := range columns { // the others were only read to choose and sort
		t.Columns[i].Name = f.Columns[i].Name
	}
	if columns != nil {
		t.Columns = t.Columns[:len(columns)]
		for i, row := range t.Rows {
			t.Rows[i] = row[:len(columns)]
		}
	}
	if int64(len(t.Rows)) > limit {
		t.Footer = fmt.Sprintf("the first %d of %d; --limit shows more", limit, len(t.Rows))
		t.Rows = t.Rows[:limit]
	}
	if len(t.Rows) == 0 && form == "table" {
		return printTo(c, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, "no such rows")
			return err
		})
	}
	return printTable(c, form, t)
}

func (l *lookFlags) defaults(v *view.Source, groups []string) []string {
	var names []string
	switch {
	case len(groups) > 0:
		return slices.Clone(lookFigures)
	case v.Sweep == nil:
		return append([]string{"key"}, lookColumns...)
	}
	names = append(names, "point", "key")
	for _, p := range v.Parameters() {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	for _, name := range pointFigures {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// orders reads --sort. Groups are sorted by what is printed of them.
func (l *lookFlags) orders(v *view.Source, columns, groups []string, problems *experiments.Problems) (orders []view.Order) {
	for _, text := range l.sort {
		o, err := view.ParseOrder(strings.TrimSpace(text))
		if err != nil {
			problems.Add(flagged("sort", err))
			continue
		}
		if len(groups) == 0 {
			if _, err := v.Column(o.Column); err != nil {
				problems.Add(flagged("sort", err))
			}
			orders = append(orders, o)
			continue
		}
		// A column of which one thing is printed needs no more than its name.
		how := l.aggregates
		if len(how) == 0 {
			how = []string{"median"}
		}
		printed := append(slices.Clone(groups), "count")
		for _, name := range columns {
			for _, h := range how {
				if h != "count" && !slices.Contains(groups, name) {
					printed = append(printed, name+"_"+h)
				}
			}
		}
		if full := o.Column + "_" + how[0]; !slices.Contains(printed, o.Column) && slices.Contains(printed, full) {
			o.Column = full
		}
		if !slices.Contains(printed, o.Column) {
			problems.Add(&experiments.Invalid{Field: "sort", Message: fmt.Sprintf("%q is not printed of a group", o.Column), Hint: "printed: " + strings.Join(printed, ", ")})
		}
		orders = append(orders, o)
	}
	return orders
}

// read reads what is printed, then what rows are chosen and sorted by.
func (l *lookFlags) read(c *cobra.Command, v *view.Source, filter store.Filter, condition *view.Condition, columns, groups []string, orders []view.Order) (*view.Frame, error) {
	names := slices.Clone(columns)
	add := func(list ...string) {
		for _, name := range list {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	add(groups...)
	if len(groups) == 0 {
		for _, o := range orders {
			add(o.Column)
		}
	}
	if condition != nil {
		add(condition.Names()...)
	}
	equal := map[string]string{"arch": filter.Arch, "model": filter.Model, "phase": filter.Phase, "fidelity": filter.Fidelity, "status": filter.Status}
	for _, name := range []string{"arch", "model", "phase", "fidelity", "status"} {
		if equal[name] != "" {
			add(name)
		}
	}
	f, err := v.Read(c.Context(), names)
	if err != nil {
		return nil, err
	}
	f.Rows = slices.DeleteFunc(f.Rows, func(row []any) bool {
		for name, want := range equal {
			if want != "" && row[f.Index(name)] != want {
				return true
			}
		}
		return false
	})
	if condition != nil {
		if err := condition.Filter(f); err != nil {
			var bad *view.BadCondition
			if errors.As(err, &bad) {
				return nil, flagged("where", err)
			}
			return nil, err
		}
	}
	return f, nil
}
