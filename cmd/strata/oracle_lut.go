package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/report"
)

// oracleLUT is strata oracle lut.
type oracleLUT struct {
	arch, out     string
	samples, seed int64
	rows          int64
	noProgress    bool
	problems      experiments.Problems
}

func newOracleLUT() *cobra.Command {
	f := &oracleLUT{}
	c := &cobra.Command{
		Use:   "lut SPACE|FILE",
		Short: "A look-up table of operators for searches by gradient",
		Long: `Make a table of what each operator takes in the models of a search space, by the parameters that its shape hangs on, as
searches by gradient need it (ProxylessNAS, FBNet, Once-for-All). The time of a model is about the sum of its rows, those per
layer times its layers. How much about is worked out from points that are drawn: the additivity error is printed, and is in
the head of the file. The name of the file says the form: .json, or else CSV with the head in lines that begin with #.
docs/spaces.md describes the columns.`,
		Example: `strata oracle lut llama-like -o lut.csv
strata oracle lut llama-like --arch h100-sxm --samples 200 -o lut.json
strata oracle lut space.yaml > lut.csv`,
		Args:              cobra.ExactArgs(1),
		RunE:              f.run,
		ValidArgsFunction: completeArgs(oracle.Spaces),
	}
	fs := c.Flags()
	fs.StringVarP(&f.arch, "arch", "a", "", "another machine: the `NAME` of a preset (see: strata arch list), or a file")
	f.samples = 500
	fs.Var(&count{name: "samples", into: &f.samples, min: 2, max: 5000, problems: &f.problems}, "samples", "points that the additivity error is worked out from")
	fs.Var(&count{name: "seed", into: &f.seed, min: 0, problems: &f.problems}, "seed", "of the points that are drawn (default 0)")
	f.rows = 20_000
	fs.Var(&count{name: "max-rows", into: &f.rows, min: 1, max: 1_000_000, problems: &f.problems}, "max-rows", "how many rows the table may have")
	fs.StringVarP(&f.out, "output", "o", "", "write to this `FILE`, .csv or .json (default CSV to standard output)")
	fs.BoolVar(&f.noProgress, "no-progress", false, "no line of progress on a terminal")
	complete(c, "arch", machineNames)
	return c
}

func (f *oracleLUT) run(c *cobra.Command, args []string) error {
	checkDistinct(&f.problems, []named{{"output", f.out}}, named{"space", args[0]})
	if err := f.problems.Err(); err != nil {
		return err
	}
	s, _, err := readSpace(args[0], f.arch)
	if err != nil {
		return err
	}
	var out *outFile
	if f.out != "" {
		if out, err = createFile("output", f.out); err != nil {
			return err
		}
		defer out.discard()
	}
	line := startProgress(c.ErrOrStderr(), !f.noProgress && isTerminal(c.ErrOrStderr()))
	dir := ""
	if oracle.SpaceFile(args[0]) == nil {
		dir = filepath.Dir(args[0])
	}
	o := oracle.New(oracle.Options{Files: true})
	lut, err := o.LUT(c.Context(), s, oracle.LUTOptions{Samples: int(f.samples), Seed: uint64(f.seed), Rows: int(f.rows), Dir: dir, Progress: func(done, of int) { line.say("models", done, of) }})
	line.stop()
	if err != nil {
		if c.Context().Err() != nil {
			return context.Canceled
		}
		var bad *oracle.Error
		if errors.As(err, &bad) {
			text := fmt.Sprintf("%s: %s", args[0], bad.Message)
			if bad.Hint != "" {
				text += " (" + bad.Hint + ")"
			}
			switch bad.Status {
			case oracle.Infeasible:
				return &failed{exitDoesNotFit, text}
			case oracle.Failed:
				return err
			}
			return badInput{errors.New(text)}
		}
		return inputError(err)
	}
	write := writeLUT
	if strings.HasSuffix(f.out, ".json") {
		write = writeLUTJSON
	}
	if out == nil {
		return printTo(c, func(w io.Writer) error { return write(w, lut) })
	}
	if err := write(out, lut); err != nil {
		return err
	}
	if err := out.commit(); err != nil {
		return err
	}
	return printTo(c, func(w io.Writer) error { return showLUT(w, lut, f.out, styleOf(c)) })
}

// showLUT says what a table that was written is like.
func showLUT(w io.Writer, l *oracle.LUT, name string, style report.Style) error {
	a := &l.Additivity
	page := &report.Page{Style: style}
	page.Title(fmt.Sprintf("%s: %d operators of %s on %s", name, len(l.Rows), l.Space, l.Arch))
	page.Linef("")
	page.Linef("  errors of sums of rows against %d whole models", a.Points)
	for _, e := range []struct {
		of string
		is oracle.SumErrors
	}{{"time", a.SumErrors}, {"energy", a.Joules}} {
		page.Linef("  %-11s  mean %s, median %s, at most %s; bias %s", e.of, percent(e.is.Mean), percent(e.is.Median), percent(e.is.Max), percent(e.is.Bias))
	}
	page.Linef("  Kendall tau  %.4f", a.KendallTau)
	if a.Uncovered > 0 {
		page.Linef("  %d points have a combination without a row", a.Uncovered)
	}
	if a.Unfit > 0 {
		page.Linef("  %d points were not answered: they do not fit, or cannot be", a.Unfit)
	}
	if l.Missing > 0 {
		page.Linef("  %d combinations of parameters are of no model that can be run", l.Missing)
	}
	return page.Write(w)
}

// percent writes a share; what rounding leaves is 0.
func percent(x float64) string {
	const rounding = 1e-12
	if math.Abs(x) < rounding {
		x = 0
	}
	return fmt.Sprintf("%.3g %%", 100*x)
}

// headOf is what a table says of itself, in order.
func headOf(l *oracle.LUT) [][2]any {
	a := &l.Additivity
	return [][2]any{{"schema", "strata.lut/1"}, {"space", l.Space}, {"hash", l.Hash}, {"arch", l.Arch}, {"model", l.Model}, {"phase", l.Phase}, {"fidelity", l.Fidelity}, {"tp", l.TP}, {"version", eval.Version},
		{"layers_parameter", l.Layers}, {"rows", len(l.Rows)}, {"missing_combinations", l.Missing},
		{"additivity_points", a.Points}, {"additivity_seed", a.Seed}, {"additivity_error_mean", a.Mean}, {"additivity_error_median", a.Median}, {"additivity_error_max", a.Max}, {"additivity_bias", a.Bias},
		{"additivity_joules_error_mean", a.Joules.Mean}, {"additivity_joules_error_median", a.Joules.Median}, {"additivity_joules_error_max", a.Joules.Max}, {"additivity_joules_bias", a.Joules.Bias},
		{"kendall_tau", a.KendallTau}, {"uncovered_points", a.Uncovered}, {"unanswered_points", a.Unfit}}
}

// per says what the figures of a row are of.
func per(r *oracle.LUTRow) string {
	if r.PerLayer {
		return "layer"
	}
	return "model"
}

// writeLUT writes a table as CSV.
func writeLUT(w io.Writer, l *oracle.LUT) error {
	for _, h := range headOf(l) {
		if _, err := fmt.Fprintf(w, "# %v: %v\n", h[0], h[1]); err != nil {
			return err
		}
	}
	t := csv.NewWriter(w)
	head := append([]string{"op", "kind", "phase", "per"}, l.Parameters...)
	_ = t.Write(append(head, "shape", "dtype", "tp", "seconds", "joules", "bytes")) // Error says it
	for i := range l.Rows {
		r := &l.Rows[i]
		row := []string{r.Op, r.Kind, r.Phase, per(r)}
		for _, v := range r.Values {
			switch {
			case v == nil:
				row = append(row, "")
			case v.Off:
				row = append(row, "-")
			default:
				row = append(row, fmt.Sprint(v.Any))
			}
		}
		number := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
		_ = t.Write(append(row, r.Shape, r.DType, fmt.Sprint(l.TP), number(r.Seconds), number(r.Joules), strconv.FormatFloat(r.Bytes, 'f', -1, 64)))
	}
	t.Flush()
	return t.Error()
}

// writeLUTJSON writes a table as one JSON object.
func writeLUTJSON(w io.Writer, l *oracle.LUT) error {
	type row struct {
		Op         string         `json:"op"`
		Kind       string         `json:"kind"`
		Phase      string         `json:"phase"`
		Per        string         `json:"per"`
		Parameters map[string]any `json:"parameters"`
		Shape      string         `json:"shape"`
		DType      string         `json:"dtype"`
		Seconds    float64        `json:"seconds"`
		Joules     float64        `json:"joules"`
		Bytes      float64        `json:"bytes"`
	}
	out := map[string]any{"parameters": l.Parameters}
	for _, h := range headOf(l) {
		out[h[0].(string)] = h[1]
	}
	rows := make([]row, len(l.Rows))
	for i := range l.Rows {
		r := &l.Rows[i]
		rows[i] = row{r.Op, r.Kind, r.Phase, per(r), map[string]any{}, r.Shape, r.DType, r.Seconds, r.Joules, r.Bytes}
		for p, v := range r.Values {
			if v != nil {
				rows[i].Parameters[l.Parameters[p]] = v.Any
			}
		}
	}
	out["rows"], out["row_count"] = rows, len(rows)
	return encodeLine(w, out)
}
