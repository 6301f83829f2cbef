package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report/page"
	"github.com/stratasim/strata/experiments/report/plots"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/view"
)

// reportCommand is strata report.
type reportCommand struct {
	sweepFlags
	html       string
	plots      string
	format     string
	key        string
	quiet      bool
	objectives []string
	problems   experiments.Problems
}

// largePage is how many points are more than a page shows at ease.
const largePage = 30000

func newReport() *cobra.Command {
	r := &reportCommand{}
	c := &cobra.Command{
		Use:   "report",
		Short: "A page or plots of the rows of a database",
		Long: `Write a report of a sweep, or of all rows: --html one page that opens in any browser without a network, with
the front, all axes side by side, the roofline, where time and energy went, the sensitivity to each axis, a
table, and where the figures come from; --plots a file for each chart into a folder, which is made if it is not there. The
power is that of every point; with --key it is that of one row over time, which is run again from the database.

Objectives are those of --objective, else of the file of the sweep, else throughput and energy of a token.`,
		Example: `strata report --db sweep.db --html sweep.html
strata report --db sweep.db --sweep hbm --objective tpot_seconds,usd_per_hour --html hbm.html
strata report --db sweep.db --plots figures --format svg --key 3fa9`,
		Args: cobra.NoArgs,
		RunE: r.run,
	}
	r.register(c, "rows of that sweep (default the only one of the database, else all rows)")
	f := c.Flags()
	f.StringVarP(&r.html, "html", "o", "", "write the page to `FILE`")
	f.StringVar(&r.plots, "plots", "", "write the charts as files into `FOLDER`")
	r.format = plots.Formats[0]
	f.Var(&choice{"format", &r.format, plots.Formats, &r.problems}, "format", "of the charts: png or svg")
	complete(c, "format", func() []string { return plots.Formats })
	f.StringVar(&r.key, "key", "", "row whose power over time is drawn, by the beginning of its `KEY`")
	f.BoolVarP(&r.quiet, "quiet", "q", false, "no line of progress on a terminal")
	f.StringSliceVar(&r.objectives, "objective", nil, "`COLUMN[:min|max]` to compare by, up to eight")
	completeColumns(c, "objective")
	return c
}

func (r *reportCommand) run(c *cobra.Command, _ []string) error {
	checkOutputs(c, &r.problems, []named{{"html", r.html}}, []named{{"db", r.path}})
	if c.Flags().Changed("plots") && r.plots == "" {
		r.problems.Add(&experiments.Invalid{Field: "plots", Message: "the name of the folder is empty", Hint: "perhaps a variable of the shell is not set"})
	}
	for _, flag := range []string{"key", "format"} {
		if c.Flags().Changed(flag) && r.plots == "" {
			r.problems.Add(&experiments.Invalid{Field: flag, Message: "goes with --plots"})
		}
	}
	if r.html == "" && r.plots == "" && len(r.problems) == 0 {
		r.problems.Add(&experiments.Invalid{Field: "html", Message: "nothing to write", Hint: "give --html FILE, --plots FOLDER, or both"})
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
	var out *outFile
	if r.html != "" {
		if out, err = createFile("html", r.html); err != nil {
			return err
		}
		defer out.discard()
	}
	all, err := view.Gather(c.Context(), v, objectives)
	if errors.Is(err, view.ErrNoValues) {
		return flagged("objective", err)
	}
	if err != nil {
		return err
	}
	if len(all.Frame.Rows) == 0 {
		return &experiments.Invalid{Field: "db", Message: r.path + ": there is nothing to report on", Hint: "results are written with --db FILE"}
	}
	if out != nil {
		if n := len(all.Frame.Rows); n > largePage {
			note(c, fmt.Sprintf("a page of %d points is large and slow; --plots draws any number", n))
		}
		if err := page.Write(out, all, page.Options{Database: filepath.Base(r.path), Tool: tool()}); err != nil {
			return outputError(r.html, err)
		}
		if err := out.commit(); err != nil {
			return err
		}
	}
	if r.plots == "" {
		return nil
	}
	return r.writePlots(c, s, all)
}

// writePlots writes a file for each chart.
func (r *reportCommand) writePlots(c *cobra.Command, s *store.Store, all *view.Report) error {
	list, left, err := plots.Charts(all)
	if err != nil {
		return err
	}
	if r.key != "" {
		p, err := r.power(c, s)
		if err != nil {
			return err
		}
		list = append(slices.DeleteFunc(list, func(o plots.Plot) bool { return o.Name == p.Name }), *p)
		left = slices.DeleteFunc(left, func(name string) bool { return name == p.Name })
	}
	if err := os.MkdirAll(r.plots, 0o777); err != nil {
		return &experiments.Invalid{Field: "plots", Message: r.plots + ": cannot be made: " + plainCause(err), Hint: "give the name of a folder"}
	}
	for i := range list {
		if err := r.writePlot(&list[i]); err != nil {
			return err
		}
	}
	if len(left) > 0 {
		note(c, "no row has the figures for: "+strings.Join(left, ", "))
	}
	return nil
}

func (r *reportCommand) writePlot(p *plots.Plot) error {
	name := filepath.Join(r.plots, p.Name+"."+r.format)
	out, err := createFile("plots", name)
	if err != nil {
		return err
	}
	defer out.discard()
	if err := p.Write(out, r.format); err != nil {
		return outputError(name, err)
	}
	return out.commit()
}

// power runs a row again and draws its power over time.
func (r *reportCommand) power(c *cobra.Command, s *store.Store) (*plots.Plot, error) {
	row, err := s.Get(c.Context(), r.key)
	if err != nil {
		return nil, err
	}
	point, err := experiments.RestoreRow(row)
	if err != nil {
		return nil, err
	}
	bad := func(why string) error {
		return &experiments.Invalid{Field: "key", Message: fmt.Sprintf("row %s %s, and has no power over time", shortKey(row.Key), why), Hint: "see: strata results list --db " + r.path}
	}
	switch {
	case row.Values["status"] != "ok":
		return nil, bad("is not ok")
	case point.Composition != nil:
		return nil, bad("is of a composition of experts")
	case point.Workload != nil:
		return nil, bad("is of many requests")
	}
	req, err := point.Request()
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", shortKey(row.Key), err)
	}
	if req.Training != nil {
		return nil, bad("is a step of training")
	}
	w := c.ErrOrStderr()
	progress := startProgress(w, !r.quiet && isTerminal(w))
	req.PowerTrace, req.Progress = true, progress.update
	res, err := eval.Run(c.Context(), req)
	progress.stop()
	if err != nil {
		return nil, fmt.Errorf("row %s: %w", shortKey(row.Key), err)
	}
	var windows bytes.Buffer
	if err := res.PowerTrace(&windows); err != nil {
		return nil, err
	}
	return plots.Power(fmt.Sprintf("%s on %s: %v", res.Answer.Model, res.Answer.Arch, row.Values["phase"]), &windows)
}
