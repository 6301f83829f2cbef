package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report/page"
	"github.com/stratasim/strata/experiments/view"
)

// reportCommand is strata report.
type reportCommand struct {
	sweepFlags
	html       string
	objectives []string
	problems   experiments.Problems
}

func newReport() *cobra.Command {
	r := &reportCommand{}
	c := &cobra.Command{
		Use:   "report",
		Short: "A page or plots of the rows of a database",
		Long: `Write a report of a sweep, or of all rows: --html one page that opens in any browser without a network, with
the front, all axes side by side, the roofline, where time and energy went, the sensitivity to each axis, a
table, and where the figures come from.

Objectives are those of --objective, else of the file of the sweep, else throughput and energy of a token.`,
		Example: `strata report --db sweep.db --html sweep.html
strata report --db sweep.db --sweep hbm --objective tpot_seconds,usd_per_hour --html hbm.html`,
		Args: cobra.NoArgs,
		RunE: r.run,
	}
	r.register(c, "rows of that sweep (default the only one of the database, else all rows)")
	f := c.Flags()
	f.StringVarP(&r.html, "html", "o", "", "write the page to `FILE`")
	f.StringSliceVar(&r.objectives, "objective", nil, "`COLUMN[:min|max]` to compare by, up to eight")
	completeColumns(c, "objective")
	return c
}

func (r *reportCommand) run(c *cobra.Command, _ []string) error {
	checkOutputs(c, &r.problems, []named{{"html", r.html}}, []named{{"db", r.path}})
	if r.html == "" && len(r.problems) == 0 {
		r.problems.Add(&experiments.Invalid{Field: "html", Message: "nothing to write", Hint: "give --html FILE"})
	}
	if err := r.problems.Err(); err != nil {
		return err
	}
	s, err := r.open()
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := r.source(c, s, true)
	if err != nil {
		return err
	}
	objectives := objectivesOf(v, r.objectives, &r.problems)
	if len(objectives) > 8 {
		r.problems.Add(&experiments.Invalid{Field: "objective", Message: fmt.Sprintf("%d objectives: at most eight", len(objectives))})
	}
	if err := r.problems.Err(); err != nil {
		return err
	}
	out, err := createFile("html", r.html)
	if err != nil {
		return err
	}
	defer out.discard()
	all, err := view.Gather(c.Context(), v, objectives)
	if err != nil {
		return err
	}
	if len(all.Frame.Rows) == 0 {
		return &experiments.Invalid{Field: "db", Message: r.path + ": there is nothing to report on", Hint: "results are written with --db FILE"}
	}
	if err := page.Write(out, all, page.Options{Database: filepath.Base(r.path), Tool: tool()}); err != nil {
		return outputError(r.html, err)
	}
	return out.commit()
}
