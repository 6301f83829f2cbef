package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
)

func newResultsRerun() *cobra.Command {
	var db dbFlags
	var all, quiet bool
	c := &cobra.Command{
		Use:   "rerun KEY… | --all",
		Short: "Run rows again from the database alone and compare",
		Long: `Run rows again, from what the database keeps alone, and compare the answers byte for byte. Exit code 1 when
one differs.`,
		Example: "strata results rerun 3fa9 --db results.db\nstrata results rerun --all --db results.db",
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return fmt.Errorf("give keys, or --all")
			}
			return nil
		},
		RunE: func(c *cobra.Command, keys []string) error {
			s, err := db.open()
			if err != nil {
				return err
			}
			defer s.Close()
			if all {
				rows, err := s.List(c.Context(), store.Filter{})
				if err != nil {
					return err
				}
				for i := range rows {
					if rows[i].Status != "error" {
						keys = append(keys, rows[i].Key)
					}
				}
			}
			return rerun(c, s, keys, quiet)
		},
	}
	db.register(c)
	c.Flags().BoolVar(&all, "all", false, "all rows")
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "no line of progress on a terminal")
	return c
}

// rerun compares the rows one after the other. A row that cannot be run again does not stop the others.
func rerun(c *cobra.Command, s *store.Store, keys []string, quiet bool) error {
	var problems experiments.Problems
	differ := 0
	for _, key := range keys {
		w := c.ErrOrStderr()
		p := startProgress(w, !quiet && isTerminal(w))
		d, err := experiments.Rerun(c.Context(), s, key, func(r *eval.Request) { r.Progress = p.update })
		p.stop()
		if c.Context().Err() != nil {
			return c.Context().Err()
		}
		if err != nil {
			problems.Add(err)
			continue
		}
		if err := printTo(c, func(w io.Writer) error { return writeComparison(w, d) }); err != nil {
			return err
		}
		if !d.Same() {
			differ++
		}
	}
	if differ > 0 {
		problems.Add(&failed{exitInternal, fmt.Sprintf("%d of %d differ", differ, len(keys))})
	}
	return problems.Err()
}

func writeComparison(w io.Writer, d *experiments.Comparison) error {
	what := fmt.Sprintf("%s %s on %s", shortKey(d.Key), d.Model, d.Arch)
	if d.Same() {
		_, err := fmt.Fprintf(w, "same     %s\n", what)
		return err
	}
	if d.StoredVersion != eval.Version {
		what += fmt.Sprintf(" (stored by models %s, these are %s)", d.StoredVersion, eval.Version)
	}
	const most = 12
	list := d.Differences
	if len(list) > most {
		list = append(list[:most:most], fmt.Sprintf("and %d more", len(d.Differences)-most))
	}
	_, err := fmt.Fprintf(w, "differs  %s\n  %s\n", what, strings.Join(list, "\n  "))
	return err
}
