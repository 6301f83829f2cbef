package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/calibration"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/validation"
)

// calibrateCommand is strata calibrate.
type calibrateCommand struct {
	arch, data, form, write string
	fit, classes            []string
	list                    bool
	rows, workers           int64
	problems                experiments.Problems
}

func newCalibrate() *cobra.Command {
	k := &calibrateCommand{}
	c := &cobra.Command{
		Use:   "calibrate",
		Short: "Fit a few physical constants of a machine to measurements",
		Long: fmt.Sprintf(`Fit constants of a machine to measured kernels: to every second row, and say how far off all rows are
before and after, how sure each constant is, what the error becomes with the constant 5 %% larger or smaller,
and, where the file has several devices of a family, how far off each is when fitted without it. Rows of
--data have the columns that tools/measure writes; those that no kernel can have taken, and those that
cannot be read, are reported with their lines and left out.

Without --fit the constants are the usual ones of the classes in the file: the efficiencies of the matrix
unit and of memory, the launch, and the start, overlap and shares of the kernels that most rows run. At most %d
may be fitted for a family of devices, %d for a device of it and %d for a kernel of a library or a protocol
of its collectives: more would describe the rows that they were fitted on. --write makes an overlay of the
machine, with sources.

With --list: count the constants that no data sheet gives, as their sources say ("fitted:" or "estimated:"),
by family, device and kernel. With --arch every one is listed.`,
			arch.MostFitted(arch.Family), arch.MostFitted(arch.Device), arch.MostFitted("gemm[cublas]")),
		Example: `strata calibrate --data measured.csv --arch a100-sxm-80gb --class gemm --write mine.yaml
strata calibrate --data measured.csv --arch mine.yaml --fit 'chip.memory[hbm].efficiency'
strata calibrate --list
strata calibrate --list --arch h200-sxm`,
		Args: cobra.NoArgs,
		RunE: k.run,
	}
	f := c.Flags()
	f.StringVar(&k.data, "data", "", "`FILE` of measurements, as tools/measure writes it")
	f.StringVar(&k.arch, "arch", "", "machine: a preset or a file")
	f.StringArrayVar(&k.fit, "fit", nil, "a constant to fit in place of the usual ones, by its `PATH` (again for more)")
	f.StringSliceVar(&k.classes, "class", nil, "only classes, such as gemm or attn_decode")
	f.StringVar(&k.write, "write", "", "write an overlay of the machine with what was fitted to a `FILE`")
	f.Var(&count{name: "rows", into: &k.rows, min: 4, problems: &k.problems}, "rows", "fit on so many rows of each class and device at most (default 80)")
	f.Var(&count{name: "workers", into: &k.workers, min: 1, problems: &k.problems}, "workers", "requests to work on at a time (default the processors there are)")
	f.BoolVar(&k.list, "list", false, "count the constants that no data sheet gives")
	formFlag(c, &k.form, &k.problems)
	complete(c, "arch", presets.Names)
	return c
}

func (k *calibrateCommand) run(c *cobra.Command, _ []string) error {
	if k.list {
		for _, f := range []string{"data", "fit", "class", "write"} {
			if c.Flags().Changed(f) {
				k.problems.Add(&experiments.Invalid{Field: f, Message: "goes without --list"})
			}
		}
		if err := k.problems.Err(); err != nil {
			return err
		}
		return k.printList(c)
	}
	for _, f := range []struct{ name, value string }{{"data", k.data}, {"arch", k.arch}} {
		if f.value == "" {
			k.problems.Add(&experiments.Invalid{Field: f.name, Message: "missing", Hint: "or --list"})
		}
	}
	if err := k.problems.Err(); err != nil {
		return err
	}
	return k.calibrate(c)
}

// rootOf is the root of the family of a preset, "" for no preset.
func rootOf(preset string) string {
	_, root, err := presets.Constants(preset)
	if err != nil {
		return ""
	}
	return root
}

// calibrate fits.
func (k *calibrateCommand) calibrate(c *cobra.Command) error {
	m, err := experiments.MachineOf(k.arch, nil)
	k.problems.Add(err)
	base, file := k.arch, []byte(nil)
	if err == nil && rootOf(k.arch) == "" {
		if base, err = validation.BaseOf(k.arch); err != nil {
			k.problems.Add(badInput{err})
		}
		if file, err = os.ReadFile(k.arch); err != nil {
			k.problems.Add(badInput{err})
		}
	}
	var out *outFile
	checkOutputs(c, &k.problems, []named{{"write", k.write}}, []named{{"data", k.data}, {"arch", k.arch}})
	if err := k.problems.Err(); err != nil {
		return err
	}
	constants := k.constants(m, k.fit)
	if k.write != "" {
		if out, err = createFile("write", k.write); err != nil {
			k.problems.Add(err)
		} else {
			defer out.discard()
		}
	}
	if err := k.problems.Err(); err != nil {
		return err
	}
	data, err := calibration.Read(c.Context(), k.data, k.arch, base, rootOf, k.classes, func(name string) (*arch.Machine, error) { return experiments.MachineOf(name, nil) })
	if none := (*validation.NoData)(nil); errors.As(err, &none) {
		return badInput{&hinted{err, "tools/measure writes such files"}}
	}
	if err != nil {
		return validationError(err)
	}
	k.warn(c, data)
	if len(data.Rows) < 4 {
		return badInput{fmt.Errorf("%s: %d rows to fit on, at least 4 are needed%s", k.data, len(data.Rows), k.whyNone(data))}
	}
	if len(constants) == 0 {
		usual, err := calibration.Usual(m, data.Rows)
		if err != nil {
			return badInput{err}
		}
		if constants = k.constants(m, usual); k.problems.Err() != nil {
			return k.problems.Err()
		}
	}
	r, err := calibration.Fit(c.Context(), data.Rows, constants, calibration.Options{MaxRows: int(k.rows), Workers: int(k.workers)})
	if err != nil {
		return err
	}
	if out != nil {
		text, err := calibration.Overlay(k.arch, file, r, data)
		if err != nil {
			return badInput{err}
		}
		if _, err := out.Write(text); err != nil {
			return outputError(k.write, err)
		}
		if err := out.commit(); err != nil {
			return err
		}
	}
	return k.print(c, r)
}

// constants are the leaves of a machine with these paths.
func (k *calibrateCommand) constants(m *arch.Machine, paths []string) (list []*calibration.Constant) {
	for _, p := range paths {
		constant, err := calibration.NewConstant(m, p)
		if err != nil {
			k.problems.Add(badInput{fmt.Errorf("--fit: %w", err)})
			continue
		}
		list = append(list, constant)
	}
	if err := calibration.Check(list); err != nil {
		k.problems.Add(badInput{&hinted{err, "name fewer with --fit"}})
	}
	return list
}

// warn reports rows that are left out.
func (k *calibrateCommand) warn(c *cobra.Command, d *calibration.Data) {
	for i, b := range d.Bad {
		if i == 20 {
			fmt.Fprintf(c.ErrOrStderr(), "strata: and %d rows more that are left out\n", len(d.Bad)-i)
			break
		}
		fmt.Fprintf(c.ErrOrStderr(), "strata: %s:%d: left out: %s\n", k.data, b.Line, b.Why)
	}
	for _, device := range d.Taken {
		fmt.Fprintf(c.ErrOrStderr(), "strata: %s: rows of %s are taken to be of %s\n", k.data, device, k.arch)
	}
	for _, l := range d.Other {
		fmt.Fprintf(c.ErrOrStderr(), "strata: %s: %d rows left out: %s\n", k.data, l.Rows, l.Reason)
	}
}

func (k *calibrateCommand) whyNone(d *calibration.Data) string {
	if n := len(d.Bad); n > 0 {
		return fmt.Sprintf("; %d are left out, the first on line %d: %s", n, d.Bad[0].Line, d.Bad[0].Why)
	}
	return ""
}

// percents prints a share as a percentage.
func percents(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

func signedPercents(v float64) string { return fmt.Sprintf("%+.1f %%", 100*v) }

// tables are what came of a fit: constants, errors, and devices that were left out.
func (k *calibrateCommand) tables(r *calibration.Result) (constants, off, left *report.Table) {
	share := func(v any) string { return percents(v.(float64)) }
	signed := func(v any) string { return signedPercents(v.(float64)) }
	constants = &report.Table{Columns: []report.Column{{Title: "constant", Name: "constant"}, {Title: "of", Name: "of"}, {Title: "before", Name: "before"}, {Title: "after", Name: "after"},
		{Title: "95 % interval", Name: ""}, {Title: "", Name: "low_95"}, {Title: "", Name: "high_95"}, {Title: "error at +5 %", Name: "error_up", Right: true, Show: share}, {Title: "at -5 %", Name: "error_down", Right: true, Show: share}, {Title: "note", Name: "note"}}}
	for i := range r.Constants {
		f := &r.Constants[i]
		of := f.Machine
		if of == "" {
			of = f.Part
		}
		low, high := any(nil), any(nil)
		interval := "undetermined by these rows"
		if !math.IsNaN(f.Low95) {
			low, high = f.TextOf(f.Low95), f.TextOf(f.High95)
			interval = fmt.Sprintf("%s to %s", low, high)
		}
		note := ""
		if f.AtBound {
			note = "at a bound"
			interval = fmt.Sprintf("bounds are %s to %s", f.TextOf(f.Low), f.TextOf(f.High))
		}
		constants.Rows = append(constants.Rows, []any{f.Path, of, f.TextOf(f.Before), f.Text(), interval, low, high, f.Up, f.Down, note})
	}
	off = &report.Table{Columns: []report.Column{{Title: "class", Name: "class"}, {Title: "machine", Name: "machine"}, {Title: "rows", Name: "half"}, {Title: "", Name: "rows"}, {Title: "n", Right: true}}}
	for _, name := range []string{"analytic", "event"} {
		for _, when := range []string{"before", "after"} {
			off.Columns = append(off.Columns, report.Column{Title: name + " " + when, Name: "mean_error_" + name + "_" + when, Right: true, Show: share}, report.Column{Title: "bias", Name: "bias_" + name + "_" + when, Right: true, Show: signed})
		}
	}
	for _, l := range r.Lines {
		off.Rows = append(off.Rows, []any{l.Class, l.Machine, l.Half, l.Rows, l.Rows, l.Before.Mean, l.Before.Bias, l.After.Mean, l.After.Bias, l.BeforePlayed.Mean, l.BeforePlayed.Bias, l.AfterPlay.Mean, l.AfterPlay.Bias})
	}
	left = &report.Table{Columns: []report.Column{{Title: "machine", Name: "machine"}, {Title: "rows", Name: "rows", Right: true}, {Title: "fitted on all", Name: "mean_error_with", Right: true, Show: share}, {Title: "fitted without it", Name: "mean_error_without", Right: true, Show: share}}}
	for _, l := range r.LeftOut {
		left.Rows = append(left.Rows, []any{l.Machine, l.Rows, l.Before, l.After})
	}
	return constants, off, left
}

func (k *calibrateCommand) print(c *cobra.Command, r *calibration.Result) error {
	constants, off, left := k.tables(r)
	if k.form == "csv" {
		return printTable(c, k.form, constants)
	}
	return printTo(c, func(w io.Writer) error {
		if k.form == "json" {
			parts := make([]json.RawMessage, 3)
			for i, t := range []*report.Table{constants, off, left} {
				var b bytes.Buffer
				if err := t.JSON(&b); err != nil {
					return err
				}
				parts[i] = b.Bytes()
			}
			return json.NewEncoder(w).Encode(struct {
				Schema    string          `json:"schema"`
				Arch      string          `json:"arch"`
				Before    float64         `json:"mean_error_before"`
				After     float64         `json:"mean_error_after"`
				Agree     bool            `json:"starts_agree"`
				Constants json.RawMessage `json:"constants"`
				Errors    json.RawMessage `json:"errors"`
				Left      json.RawMessage `json:"left_out_devices"`
			}{"strata.calibrate/1", k.arch, r.Total[0].Mean, r.Total[1].Mean, r.Converging, parts[0], parts[1], parts[2]})
		}
		var p report.Page
		p.Style = styleOf(c)
		p.Title(fmt.Sprintf("%s: mean error of all rows %s before, %s after (event)", k.arch, percents(r.Total[0].Mean), percents(r.Total[1].Mean)))
		p.Head("Constants")
		p.Table(constants)
		p.Head("Mean absolute errors")
		p.Table(off)
		if len(r.LeftOut) > 0 {
			p.Head("Devices fitted without their own rows")
			p.Table(left)
		}
		if b, a := r.Others(); a > b {
			p.Linef("\nRows that were not fitted on are further off than before (%s, then %s): these constants do not carry over. Fit fewer (--fit), or keep the machine as it is.", percents(b), percents(a))
		}
		if !r.Converging {
			p.Linef("\nStarts came to different ends: these rows do not tell all of these constants apart. Fit fewer (--fit).")
		}
		return p.Write(w)
	})
}

// printList counts constants.
func (k *calibrateCommand) printList(c *cobra.Command) error {
	if k.arch != "" {
		return k.listOne(c)
	}
	t := &report.Table{Columns: []report.Column{{Title: "machine", Name: "machine"}, {Title: "family", Name: "family"}, {Title: "part", Name: "part"},
		{Title: "fitted", Name: "fitted", Right: true}, {Title: "at most", Name: "most", Right: true}, {Title: "estimated", Name: "estimated", Right: true}, {Title: "", Name: "over"}}}
	over := 0
	for _, name := range presets.Names() {
		list, root, err := presets.Constants(name)
		if err != nil {
			return err
		}
		for _, s := range arch.Shares(list, root == name) {
			beyond := max(0, s.Fitted-s.Most)
			over += beyond
			t.Rows = append(t.Rows, []any{name, root, s.Part, s.Fitted, s.Most, s.Estimated, beyond})
		}
	}
	if t.Footer = "all within the limits"; over > 0 {
		t.Footer = fmt.Sprintf("%d beyond the limits", over)
	}
	return printTable(c, k.form, t)
}

// constantsOf lists the constants of a preset or a file.
func constantsOf(name string) (list []arch.Constant, root string, err error) {
	if list, root, err = presets.Constants(name); err == nil {
		return list, root, nil
	}
	m, err := experiments.MachineOf(name, nil)
	if err != nil {
		return nil, "", err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, "", err
	}
	base, own, err := arch.OwnLeaves(name, data)
	if err != nil {
		return nil, "", err
	}
	if base == "" {
		return m.Constants(nil), name, nil
	}
	if _, root, err = constantsOf(base); err != nil {
		return nil, "", err
	}
	return m.Constants(own), root, nil
}

// listOne lists the constants of one machine.
func (k *calibrateCommand) listOne(c *cobra.Command) error {
	list, root, err := constantsOf(k.arch)
	if err != nil {
		return err
	}
	t := &report.Table{Columns: []report.Column{{Title: "constant", Name: "constant"}, {Title: "value", Name: "value", Max: 24}, {Title: "kind", Name: "kind"}, {Title: "source", Name: "source", Max: 80}}}
	for _, l := range list {
		t.Rows = append(t.Rows, []any{l.Path, l.Value, l.Kind, strings.TrimSpace(strings.TrimPrefix(l.Source, l.Kind+":"))})
	}
	if k.form != "table" {
		return printTable(c, k.form, t)
	}
	return printTo(c, func(w io.Writer) error {
		var p report.Page
		p.Style = styleOf(c)
		if root != k.arch {
			p.Linef("%s is of the family of %s, whose constants are not repeated here", k.arch, root)
		}
		for _, s := range arch.Shares(list, root == k.arch) {
			note := ""
			if s.Fitted > s.Most {
				note = fmt.Sprintf(", %d too many", s.Fitted-s.Most)
			}
			p.Linef("%s: %d fitted of at most %d%s, %d estimated", s.Part, s.Fitted, s.Most, note, s.Estimated)
		}
		p.Linef("")
		if err := p.Write(w); err != nil {
			return err
		}
		return t.Text(w, p.Style)
	})
}
