package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/validation"
	"github.com/stratasim/strata/sim/spec"
)

// validateCommand is strata validate.
type validateCommand struct {
	options       validation.Options
	suites        []validation.Suite
	by            []string
	fidelity      string
	form          string
	worst         int64
	workers       int64
	rows, html    string
	machines      []string
	data          string
	problems      experiments.Problems
	results       []*validation.Result
	mu            sync.Mutex
	lastProgress  string
	progressShown bool
}

func newValidate() *cobra.Command {
	v := &validateCommand{}
	c := &cobra.Command{
		Use:   "validate [SUITE...]",
		Short: "Compare answers with measurements: errors by device and operator",
		Long: `Ask for everything that was measured and print how far the answers are off: predicted/measured − 1. Mean,
median and p90 are of absolute errors, bias of signed ones. Beside them stand the mean absolute errors of a
plain roofline (the longer of operations and bytes at the rates of data sheets) and of one calibrated to each
device and class (a fixed time and two rates).

The measurements are not part of this program. They are looked for in --data, else in the folder that the
environment variable STRATA_DATA names, else in shared/data beside the working directory or a folder above.
--data takes a file too, such as tools/measure writes; --arch says for which machine.

Suites, all if none is named:
` + suitesText(),
		Example: `strata validate kernels --class gemm --device h100-sxm --worst 5
strata validate kernels --by class,device,dtype,source --fidelity analytic
strata validate tpu network --rows rows.csv --html page.html
strata validate --data measured.csv --arch mine.yaml`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeArgs(validation.SuiteNames),
		RunE:              v.run,
	}
	f := c.Flags()
	f.StringVar(&v.data, "data", "", "folder of measurements, or one file of them (default $STRATA_DATA or shared/data)")
	f.StringSliceVar(&v.options.Devices, "device", nil, "only devices, as measurements or presets call them")
	f.StringSliceVar(&v.options.Classes, "class", nil, "only classes, such as gemm or attn_decode")
	f.StringSliceVar(&v.options.Sources, "source", nil, "only sources, such as vidur")
	f.StringArrayVar(&v.machines, "arch", nil, "a machine to ask in place of a preset: NAME=FILE, or a FILE alone in place of its base and for devices without a preset")
	f.Var(&choices{"by", &v.by, validation.GroupColumns, &v.problems}, "by", "what to sum up by: "+strings.Join(validation.GroupColumns, ", ")+" (default suite,class,device)")
	v.fidelity = eval.Event
	f.Var(&choice{"fidelity", &v.fidelity, []string{eval.Event, eval.Analytic}, &v.problems}, "fidelity", "event or analytic")
	f.Var(&count{name: "worst", into: &v.worst, problems: &v.problems}, "worst", "print so many of the worst rows of each line")
	f.Var(&count{name: "workers", into: &v.workers, min: 1, problems: &v.problems}, "workers", "requests to work on at a time (default the processors there are)")
	f.StringVar(&v.rows, "rows", "", "write every row with its shape, prediction and errors to a CSV `FILE`")
	f.StringVar(&v.html, "html", "", "write a page with charts of predicted against measured to a `FILE`")
	formFlag(c, &v.form, &v.problems)
	complete(c, "by", func() []string { return validation.GroupColumns })
	complete(c, "fidelity", func() []string { return []string{eval.Event, eval.Analytic} })
	return c
}

// suitesText lists the suites for the help.
func suitesText() string {
	var b strings.Builder
	for _, s := range validation.Suites() {
		fmt.Fprintf(&b, "  %-18s %s\n", s.Name, s.Title)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (v *validateCommand) run(c *cobra.Command, args []string) error {
	v.check(args)
	checkOutputs(c, &v.problems, []named{{"rows", v.rows}, {"html", v.html}}, v.inputs())
	if err := v.problems.Err(); err != nil {
		return err
	}
	rows, page := v.create("rows", v.rows), v.create("html", v.html)
	for _, f := range []*outFile{rows, page} {
		if f != nil {
			defer f.discard()
		}
	}
	if err := v.problems.Err(); err != nil {
		return err
	}
	live := isTerminal(os.Stderr)
	v.options.Progress = func(suite string, done, of int) {
		if !live {
			return
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		text := fmt.Sprintf("%s: %d of %d", suite, done, of)
		fmt.Fprintf(c.ErrOrStderr(), "\r%-*s", len(v.lastProgress), text)
		v.lastProgress, v.progressShown = text, true
	}
	for _, s := range v.suites {
		r, err := validation.Run(c.Context(), s, v.options)
		if v.progressShown {
			fmt.Fprintf(c.ErrOrStderr(), "\r%-*s\r", len(v.lastProgress), "")
		}
		if err != nil {
			return validationError(err)
		}
		v.results = append(v.results, r)
	}
	if err := v.nothing(); err != nil {
		return err
	}
	if rows != nil {
		if err := validation.WriteRows(rows, v.results); err != nil {
			return outputError(v.rows, err)
		}
		if err := rows.commit(); err != nil {
			return err
		}
	}
	if page != nil {
		if err := validation.WritePage(page, v.fidelity, v.by, v.results, max(3, int(v.worst))); err != nil {
			return outputError(v.html, err)
		}
		if err := page.commit(); err != nil {
			return err
		}
	}
	if err := v.print(c); err != nil {
		return err
	}
	failures := 0
	for _, r := range v.results {
		failures += len(r.Failed)
	}
	if failures > 0 {
		return &failed{exitSomeFailed, fmt.Sprintf("%d rows have no answer although they should", failures)}
	}
	return nil
}

// inputs are the files that are read.
func (v *validateCommand) inputs() []named {
	list := []named{{"data", v.data}}
	for _, m := range v.machines {
		_, file, found := strings.Cut(m, "=")
		if !found {
			file = m
		}
		list = append(list, named{"arch", file})
	}
	return list
}

// nothing refuses filters that leave no rows.
func (v *validateCommand) nothing() error {
	for _, r := range v.results {
		if len(r.Rows) > 0 || len(r.Failed) > 0 {
			return nil
		}
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{{"device", v.options.Devices}, {"class", v.options.Classes}, {"source", v.options.Sources}} {
		if len(f.values) > 0 {
			return &experiments.Invalid{Field: f.flag, Message: "no rows are left with " + strings.Join(f.values, ", "), Hint: "strata validate without filters lists what there is"}
		}
	}
	return nil
}

// create starts a file that is asked for, nil for none.
func (v *validateCommand) create(flag, name string) *outFile {
	if name == "" {
		return nil
	}
	out, err := createFile(flag, name)
	v.problems.Add(err)
	return out
}

// check reads what depends on several flags.
func (v *validateCommand) check(args []string) {
	v.options.Fidelity, v.options.Workers = v.fidelity, int(v.workers)
	if len(v.by) == 0 {
		v.by = []string{"suite", "class", "device"}
	}
	v.readMachines()
	if info, err := os.Stat(v.data); v.data != "" && err == nil && !info.IsDir() {
		if len(args) > 0 {
			v.problems.Add(&experiments.Invalid{Field: "data", Message: v.data + " is a file, which is a suite of its own", Hint: "name a folder, or no suite"})
		}
		v.suites = []validation.Suite{validation.FileSuite(v.data)}
		return
	}
	var err error
	if v.suites, err = validation.Find(args...); err != nil {
		v.problems.Add(badInput{err})
	}
	if v.options.Data, err = validation.Folder(v.data); err != nil && (v.data != "" || slices.ContainsFunc(v.suites, validation.Suite.NeedsData)) {
		v.problems.Add(validationError(err))
	}
}

// readMachines finds out which preset each machine of one's own takes the place of.
func (v *validateCommand) readMachines() {
	for _, m := range v.machines {
		name, file, named := strings.Cut(m, "=")
		if !named {
			file = m
			var err error
			if slices.Contains(presets.Names(), file) {
				v.options.Machine = file
				continue
			}
			if name, err = validation.BaseOf(file); err != nil {
				v.problems.Add(badInput{err})
				continue
			}
			v.options.Machine = file
		}
		if named && !slices.Contains(presets.Names(), name) {
			hint := "a file alone stands for devices without a preset"
			if near := spec.Suggest(name, presets.Names()); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			v.problems.Add(&experiments.Invalid{Field: "arch", Message: fmt.Sprintf("%q is no preset", name), Hint: hint})
			continue
		}
		if _, err := experiments.MachineOf(file, nil); err != nil {
			v.problems.Add(err)
			continue
		}
		if v.options.Arch == nil {
			v.options.Arch = map[string]string{}
		}
		v.options.Arch[name] = file
	}
}

// validationError says whose fault an error of a suite is.
func validationError(err error) error {
	var none *validation.NoData
	if errors.As(err, &none) {
		return badInput{&hinted{err, "--data FOLDER or STRATA_DATA say where measurements are; they do not come with this program"}}
	}
	if validation.IsBadRow(err) {
		return badInput{err}
	}
	return err
}

// percentOf prints a share as a percentage with one decimal, and nothing for what is not known.
func percentOf(value any) string {
	f := value.(float64)
	if math.IsNaN(f) {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*f)
}

// groupTable is what was found, one line a group.
func groupTable(by []string, groups []validation.Group) *report.Table {
	t := &report.Table{}
	for _, name := range by {
		t.Columns = append(t.Columns, report.Column{Title: name, Name: name})
	}
	number := func(title, name string) {
		t.Columns = append(t.Columns, report.Column{Title: title, Name: name, Right: true, Show: percentOf})
	}
	t.Columns = append(t.Columns, report.Column{Title: "rows", Name: "rows", Right: true})
	number("mean", "mean_error")
	number("median", "median_error")
	number("p90", "p90_error")
	t.Columns = append(t.Columns, report.Column{Title: "bias", Name: "bias", Right: true, Show: func(v any) string { return fmt.Sprintf("%+.1f %%", 100*v.(float64)) }})
	number("roofline", "roofline_error")
	number("calibrated", "calibrated_roofline_error")
	for i := range groups {
		g := &groups[i]
		var row []any
		for _, k := range g.Keys {
			row = append(row, k)
		}
		row = append(row, g.N, g.Mean, g.Median, g.P90, g.Bias)
		for _, f := range []float64{g.Roofline, g.Calibrated} {
			if math.IsNaN(f) {
				row = append(row, nil)
			} else {
				row = append(row, f)
			}
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func (v *validateCommand) print(c *cobra.Command) error {
	groups := validation.Groups(v.results, v.by, int(v.worst))
	t := groupTable(v.by, groups)
	if v.form == "csv" {
		return printTable(c, v.form, t)
	}
	return printTo(c, func(w io.Writer) error {
		if v.form == "json" {
			return validation.WriteJSON(w, v.fidelity, v.by, v.results, groups)
		}
		var p report.Page
		p.Style = styleOf(c)
		if len(groups) == 0 {
			p.Linef("no rows")
		} else if err := t.Text(w, p.Style); err != nil {
			return err
		}
		if v.printTotals(&p); v.worst > 0 {
			v.printWorst(&p, groups)
		}
		for _, r := range v.results {
			if len(r.Left) > 0 {
				p.Head("left out of " + r.Suite.Name)
			}
			for _, l := range r.Left {
				p.Linef("  %6d  %s", l.Rows, l.Reason)
			}
			if len(r.Failed) > 0 {
				p.Head("without an answer in " + r.Suite.Name)
			}
			for i, f := range r.Failed {
				if i == 20 {
					p.Linef("  and %d more", len(r.Failed)-i)
					break
				}
				p.Linef("  %s:%d %s: %s", f.Case.File, f.Case.Line, f.Case.Name, f.Why)
			}
		}
		return p.Write(w)
	})
}

// printTotals prints classes over all devices, where lines tell devices apart.
func (v *validateCommand) printTotals(p *report.Page) {
	if !slices.Contains(v.by, "device") || !slices.Contains(v.by, "class") {
		return
	}
	by := slices.DeleteFunc(slices.Clone(v.by), func(s string) bool { return s == "device" })
	groups := validation.Groups(v.results, by, 0)
	if len(groups) == 0 {
		return
	}
	p.Head("all devices together")
	p.Table(groupTable(by, groups))
}

func (v *validateCommand) printWorst(p *report.Page, groups []validation.Group) {
	for i := range groups {
		g := &groups[i]
		p.Head("worst of " + strings.Join(g.Keys, ", "))
		for _, r := range g.Worst {
			p.Linef("  %+7.1f %%  predicted %.5g %s, measured %.5g  %s  %s:%d", 100*r.Error(), r.Predicted, r.Unit, r.Measured, r.Name, r.File, r.Line)
		}
	}
}
