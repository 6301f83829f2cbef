package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
)

func newResults() *cobra.Command {
	c := &cobra.Command{Use: "results", Short: "Runs kept in a results database"}
	c.AddCommand(newResultsList(), newResultsShow(), newResultsRerun())
	return family(c)
}

// dbFlags name the database that a command reads.
type dbFlags struct{ path string }

func (f *dbFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "db", "results.db", "results database `FILE`")
}

func (f *dbFlags) open() (*store.Store, error) {
	if f.path == "" {
		return nil, &experiments.Invalid{Field: "db", Message: "the name of the file is empty", Hint: "perhaps a variable of the shell is not set"}
	}
	return store.Open(f.path, store.Options{ReadOnly: true})
}

// shortKey is the beginning of a key that is shown; any beginning that no other key has is enough to find a row.
func shortKey(key string) string { return shorter(key, 12) }

func shorter(key string, n int) string { return key[:min(len(key), n)] }

func newResultsList() *cobra.Command {
	var db sweepFlags
	var look lookFlags
	var filter store.Filter
	var form string
	var limit int64
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "list",
		Short: "List the rows of a database, or look at them: chosen, sorted, grouped",
		Long: `List the rows of a database. With --sweep the rows are the points of that sweep, and its parameters are columns.
An expression of --where has the names of columns of table runs and of parameters; params["NAME"] is a
parameter with another kind of name. Where a row has no value, only == nil and != nil ask for it.`,
		Example: `strata results list --db results.db --arch tpu-v4 --status ok
strata results list --db results.db --where 'tpot_seconds < 0.03 and batch >= 8' --sort joules_per_token --columns arch,batch,tpot_seconds
strata results list --db results.db --group-by arch,phase --agg min,median,max --columns tokens_per_second`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			s, err := db.open()
			if err != nil {
				return err
			}
			defer s.Close()
			if look.asked(c) {
				v, err := db.source(c, s, false)
				if err != nil {
					return err
				}
				return look.list(c, v, filter, limit, form)
			}
			filter.Limit = int(limit) + 1
			rows, err := s.List(c.Context(), filter)
			if err != nil {
				return err
			}
			t := resultsTable()
			if more := int64(len(rows)) > limit; more {
				rows = rows[:limit]
				t.Footer = fmt.Sprintf("the first %d; --limit shows more", limit)
			}
			for i := range rows {
				t.Rows = append(t.Rows, resultsRow(&rows[i]))
			}
			if len(rows) == 0 && form == "table" {
				return printTo(c, func(w io.Writer) error {
					_, err := fmt.Fprintln(w, "no such rows")
					return err
				})
			}
			return printTable(c, form, t)
		},
	}
	db.register(c, "the points of a sweep, with its parameters")
	for _, f := range []struct {
		name, what string
		into       *string
		words      func() []string
	}{
		{"arch", "only of that machine", &filter.Arch, machineNames},
		{"model", "only of that model", &filter.Model, modelNames},
		{"phase", "only of that phase", &filter.Phase, func() []string { return phases }},
		{"fidelity", "only of that fidelity", &filter.Fidelity, func() []string { return fidelities }},
	} {
		c.Flags().StringVar(f.into, f.name, "", f.what)
		complete(c, f.name, f.words)
	}
	statuses := []string{"ok", "infeasible", "error", "rejected", "invalid", "timeout", "memory"}
	c.Flags().Var(&choice{"status", &filter.Status, statuses, &problems}, "status", "only of that status: ok, infeasible or error; of a sweep also rejected, invalid, timeout or memory")
	complete(c, "status", func() []string { return statuses })
	limit = 50
	c.Flags().Var(&count{name: "limit", into: &limit, min: 1, problems: &problems}, "limit", "at most so many rows")
	formFlag(c, &form, &problems)
	look.register(c, &problems)
	return c
}

func resultsTable() *report.Table {
	seconds := func(v any) string { return report.Seconds(v.(float64)) }
	percent := func(v any) string { return report.Percent(v.(float64)) }
	return &report.Table{Columns: []report.Column{
		{Title: "key", Name: "key", Show: func(v any) string { return shorter(v.(string), 8) }}, {Title: "machine", Name: "arch", Max: 16}, {Title: "model", Name: "model", Max: 14},
		{Title: "phase", Name: "phase"}, {Title: "by", Name: "fidelity", Max: 5}, {Title: "runtime", Name: "runtime", Max: 8}, {Title: "but", Name: "assumptions", Max: 20},
		{Title: "map", Name: "parallel"}, {Name: "dtype"}, {Title: "batch", Name: "batch", Right: true}, {Title: "prompt", Name: "prompt", Right: true}, {Title: "gen", Name: "generate", Right: true},
		{Name: "status"}, {Title: "time", Name: "seconds", Right: true, Show: seconds}, {Name: "ttft_seconds"}, {Name: "tpot_seconds"}, {Name: "tokens_per_second"},
		{Title: "MFU", Name: "mfu", Right: true, Show: percent}, {Name: "joules"}, {Name: "usd_per_million_tokens"}, {Title: "bound by", Name: "bound_by"}, {Name: "model_version"}, {Name: "reason"},
	}}
}

func resultsRow(s *store.Summary) []any {
	row := []any{s.Key, s.Arch, s.Model, s.Phase, s.Fidelity, s.Runtime, assumptions(s.Request), s.Parallel, s.DType, s.Batch, s.Prompt, s.Generate,
		s.Status, s.Seconds, s.TTFTSeconds, s.TPOTSeconds, s.TokensPerSecond, s.MFU, s.Joules, s.USDPerMillionTokens, s.BoundBy, s.ModelVersion, s.Reason}
	for i, v := range row {
		if v == "" || v == 0.0 {
			row[i] = nil // what a row does not have
		}
	}
	if s.Status != "ok" {
		row[20] = s.Status
	}
	return row
}

func newResultsShow() *cobra.Command {
	var db dbFlags
	var form string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:     "show KEY",
		Short:   "Show one row: its report, or the stored answer",
		Long:    "Show the row whose key begins with KEY: the report for people, with -o json the stored answer as it is, with\n-o csv its scalars.",
		Example: "strata results show 3fa9 --db results.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			s, err := db.open()
			if err != nil {
				return err
			}
			defer s.Close()
			row, err := s.Get(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printTo(c, func(w io.Writer) error { return writeRow(w, row, form, styleOf(c)) })
		},
	}
	db.register(c)
	formFlag(c, &form, &problems)
	return c
}

// optionsOf reads what a stored request asks for; what cannot be read is not worth an error beside the answer.
func optionsOf(request string) (o experiments.Options) {
	_ = json.Unmarshal([]byte(request), &o)
	return o
}

// assumptions says in short what sets the row of a stored request apart from a plain run of the machine.
func assumptions(request string) string {
	o := optionsOf(request)
	var of struct {
		Workload string `json:"workload_input"`
	}
	_ = json.Unmarshal([]byte(request), &of) // as in optionsOf
	var words []string
	for _, part := range []struct {
		word string
		has  bool
	}{
		{"set", len(o.Set) > 0},
		{"ideal", len(o.Ideal) > 0},
		{"sync", o.HostSync},
		{"layers", o.Layers > 0},
		{"workload", of.Workload != ""},
		{o.Arrivals, o.Arrivals != ""},
		{o.DType, o.DType != ""},
		{"w:" + o.WeightDType, o.WeightDType != ""},
		{"kv:" + o.KVDType, o.KVDType != ""},
		{"lora", o.LoRA != nil},
		{"draft", o.DraftTokens > 0},
		{"mapping", o.Mapping != nil},
		{"cost", o.Cost != nil},
		{"limit", o.PowerLimit > 0},
	} {
		if part.has {
			words = append(words, part.word)
		}
	}
	return strings.Join(words, "+")
}

// writeRow prints a stored row.
func writeRow(w io.Writer, row store.Row, form string, style report.Style) error {
	answer, _ := row.Values["answer"].(string)
	switch {
	case form == "csv":
		return report.Scalars(w, row)
	case form == "json" && answer == "":
		return json.NewEncoder(w).Encode(map[string]any{"key": row.Key, "status": row.Values["status"], "reason": row.Values["reason"]})
	case form == "json":
		_, err := fmt.Fprintln(w, answer)
		return err
	case answer == "":
		_, err := fmt.Fprintf(w, "%s: %v: %v\n", shortKey(row.Key), row.Values["status"], row.Values["reason"])
		return err
	}
	var a eval.Answer
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		return fmt.Errorf("row %s: its answer is not one of %s: %w", shortKey(row.Key), eval.Schema, err)
	}
	request, _ := row.Values["request"].(string)
	o := optionsOf(request)
	return report.Run(w, &a, report.Options{Style: style, Ideal: o.Ideal, Changes: len(o.Set)})
}
