package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/studies"
)

func newStudy() *cobra.Command {
	c := &cobra.Command{Use: "study", Short: "Ready-made studies: published comparisons, run again"}
	c.AddCommand(newStudyList(), newStudyRun())
	for _, s := range studies.List() { // strata study NAME is strata study run NAME
		short := newStudyRun()
		run := short.RunE
		short.Use, short.Hidden, short.Args, short.ValidArgsFunction = s.Name, true, cobra.NoArgs, nil
		short.RunE = func(c *cobra.Command, _ []string) error { return run(c, []string{s.Name}) }
		c.AddCommand(short)
	}
	return family(c)
}

func newStudyList() *cobra.Command {
	var form string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "list",
		Short: "List the studies",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			t := report.Table{Columns: []report.Column{{Title: "name", Name: "name"}, {Title: "what", Name: "title"}}}
			for _, s := range studies.List() {
				t.Rows = append(t.Rows, []any{s.Name, s.Title})
			}
			return printTable(c, form, &t)
		},
	}
	formFlag(c, &form, &problems)
	return c
}

func newStudyRun() *cobra.Command {
	var form string
	var params []string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a study: our figures beside the published ones",
		Long: `Run a ready-made study and print our figures beside the published ones, each with its source, the error
and, where the study is judged by it, the target. -o json prints one JSON object (strata.study/1).
What a study can be told is given with --param:
` + studyParams(),
		Example: "strata study run coe-three-tier\nstrata study run fidelity-gap --param count=20 -o csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := studies.ByName(args[0])
			if err != nil {
				problems.Add(badInput{fmt.Errorf("%w (see: strata study list)", err)})
			}
			given := map[string]string{}
			for _, p := range params {
				name, value, ok := strings.Cut(p, "=")
				if _, twice := given[name]; !ok || twice {
					problems.Add(badInput{fmt.Errorf("--param %.60q: must be name=value, each name once", p)})
				}
				given[name] = value
			}
			if err := problems.Err(); err != nil {
				return err
			}
			r, err := s.DoWith(c.Context(), given)
			if bad := (*studies.BadParam)(nil); errors.As(err, &bad) {
				return badInput{err}
			}
			if err != nil {
				return err
			}
			return printTo(c, func(w io.Writer) error {
				switch form {
				case "json":
					return json.NewEncoder(w).Encode(r)
				case "csv":
					t := report.StudyRows(r.Rows)
					return t.CSV(w)
				}
				return report.Study(w, r, styleOf(c))
			})
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return studies.Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringArrayVar(&params, "param", nil, "name=value of a parameter of the study, again for each")
	formFlag(c, &form, &problems)
	return c
}

// studyParams lists the parameters of all studies.
func studyParams() string {
	var b strings.Builder
	for _, s := range studies.List() {
		for _, p := range s.Params {
			fmt.Fprintf(&b, "\n  %s  %-8s %s; %s", s.Name, p.Name, p.About, p.Default)
		}
	}
	return b.String()
}
