package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
)

// calibrateCommand is strata calibrate.
type calibrateCommand struct {
	arch     string
	form     string
	list     bool
	problems experiments.Problems
}

func newCalibrate() *cobra.Command {
	k := &calibrateCommand{}
	c := &cobra.Command{
		Use:   "calibrate",
		Short: "Fit a few physical constants of a machine to measurements",
		Long: fmt.Sprintf(`With --list: count the constants that no data sheet gives, as their sources say ("fitted:" or "estimated:"), by
family, device and kernel. At most %d may be fitted for a family of devices, %d for a device of it and %d for a
kernel of a library: more would describe the rows that they were fitted on. With --arch every one is listed.`,
			arch.MostOfFamily, arch.MostOfDevice, arch.MostOfKernel),
		Example: `strata calibrate --list
strata calibrate --list --arch h200-sxm`,
		Args: cobra.NoArgs,
		RunE: k.run,
	}
	f := c.Flags()
	f.StringVar(&k.arch, "arch", "", "machine: a preset or a file")
	f.BoolVar(&k.list, "list", false, "count the constants that no data sheet gives")
	formFlag(c, &k.form, &k.problems)
	complete(c, "arch", presets.Names)
	return c
}

func (k *calibrateCommand) run(c *cobra.Command, _ []string) error {
	if !k.list {
		k.problems.Add(&experiments.Invalid{Field: "list", Message: "missing"})
	}
	if err := k.problems.Err(); err != nil {
		return err
	}
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
			t.Rows = append(t.Rows, []any{name, root, s.Part, s.Fitted, s.Most, estimated(list, s.Part), beyond})
		}
	}
	if t.Footer = "all within the limits"; over > 0 {
		t.Footer = fmt.Sprintf("%d beyond the limits", over)
	}
	return printTable(c, k.form, t)
}

// estimated counts the constants of a part that were estimated.
func estimated(list []arch.Constant, part string) (n int) {
	for _, c := range list {
		if c.Kind == arch.Estimated && (c.Kernel == part || c.Kernel == "" && (part == "family" || part == "device")) {
			n++
		}
	}
	return n
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
			p.Linef("%s: %d fitted of at most %d%s, %d estimated", s.Part, s.Fitted, s.Most, note, estimated(list, s.Part))
		}
		p.Linef("")
		if err := p.Write(w); err != nil {
			return err
		}
		return t.Text(w, p.Style)
	})
}
