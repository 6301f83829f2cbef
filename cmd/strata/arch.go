package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/sim/spec"
)

func newArch() *cobra.Command {
	c := &cobra.Command{Use: "arch", Short: "Machines: the presets and your own files"}
	c.AddCommand(newArchList(), newArchShow(), newArchCheck(), newArchCost())
	return family(c)
}

func newArchList() *cobra.Command {
	var form string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "list",
		Short: "List the presets",
		Long: `List the presets: chips of the node, memory of a chip with its bandwidth, peak rate, and what a chip has
below that memory: other memory of its own, or its share of the host's.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			t, err := report.MachinePresets()
			if err != nil {
				return err
			}
			return printTable(c, form, t)
		},
	}
	formFlag(c, &form, &problems)
	return c
}

func newArchShow() *cobra.Command {
	var sources, asYAML bool
	var set []string
	c := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Draw a machine as text",
		Long: `Draw a machine as text: cores, units and memories with their sizes and rates, the node, peak rates with
the ridge point of each data type, runtime profiles, power, energy and cost.`,
		Example: "strata arch show a100-sxm-80gb\nstrata arch show tpu-v4 --sources\nstrata arch show a100-sxm-80gb --yaml > mine.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := experiments.MachineOf(args[0], set)
			if err != nil {
				return argumentError(args[0], inputError(err))
			}
			return printTo(c, func(w io.Writer) error {
				if asYAML {
					return writeYAML(w, args[0], m, len(set) > 0)
				}
				if err := report.Machine(w, m, styleOf(c)); err != nil || !sources {
					return err
				}
				return report.Sources(w, leavesOf(m), styleOf(c))
			})
		},
		ValidArgsFunction: completeArgs(machineNames),
	}
	c.Flags().BoolVar(&sources, "sources", false, "list every figure with where it comes from")
	c.Flags().BoolVar(&asYAML, "yaml", false, "print the machine as a file to start your own from")
	c.Flags().StringArrayVar(&set, "set", nil, "change a figure first: `PATH=VALUE`")
	return c
}

// writeYAML prints a preset as it is in its file, comments included, and any other machine from its content.
func writeYAML(w io.Writer, name string, m *arch.Machine, changed bool) error {
	text, err := presets.Source(name)
	if err != nil || changed {
		text, err = spec.Marshal(m)
	}
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// leavesOf lists the figures of a machine, neither its names nor those of kernels that profiles use, with their sources.
func leavesOf(m *arch.Machine) []report.Leaf {
	var leaves []report.Leaf
	for _, l := range spec.Leaves(m) {
		if name := l.Path[strings.LastIndexByte(l.Path, '.')+1:]; name == "name" || name == "description" || name == "use" {
			continue
		}
		source, _, _ := m.Sources.Of(l.Path)
		leaves = append(leaves, report.Leaf{Path: l.Path, Value: l.Text, Source: source})
	}
	return leaves
}

// mostRemarks is how many remarks on sources are printed.
const mostRemarks = 5

func newArchCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE…",
		Short:   "Check machine files and list everything that is wrong",
		Example: "strata arch check mine.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			return checkFiles(c, files, func(name string) (string, error) {
				m, err := experiments.MachineOf(name, nil)
				if err != nil {
					return "", err
				}
				text := fmt.Sprintf("%s, %s, %d per node", m.Name, plural(int(m.Chip.Cores.Count), "core"), m.System.Chips)
				if off := m.OffChip(); off != nil {
					text += fmt.Sprintf(", %s of %s at %s", off.Capacity, off.Name, report.Rate(float64(off.Peak(m.Chip.Clock))))
				}
				remarks := m.Sources.Check(m)
				if len(remarks) > 0 {
					text += "; sources: " + plural(len(remarks), "remark")
				}
				for i, r := range remarks {
					if i == mostRemarks {
						text += fmt.Sprintf("\n  and %d more", len(remarks)-i)
						break
					}
					text += "\n  " + r.String()
				}
				return text, nil
			})
		},
		ValidArgsFunction: completeArgs(machineNames),
	}
}

// checkFiles prints a line for each file that is fine and returns what is wrong with the others.
func checkFiles(c *cobra.Command, files []string, check func(name string) (string, error)) error {
	var problems experiments.Problems
	for _, name := range files {
		text, err := check(name)
		if err != nil {
			problems.Add(argumentError(name, inputError(err)))
			continue
		}
		if err := printTo(c, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%s: ok: %s\n", name, text)
			return err
		}); err != nil {
			return err
		}
	}
	return problems.Err()
}

// argumentError words an error for a file or a preset that was named by an argument and not by a flag.
func argumentError(name string, err error) error {
	var invalid *experiments.Invalid
	if !errors.As(err, &invalid) || !slices.Contains([]string{"arch", "model", "trace"}, invalid.Field) {
		return err
	}
	text := invalid.Message
	if !strings.Contains(text, name) {
		text = name + ": " + text
	}
	if invalid.Hint != "" {
		text += " (" + invalid.Hint + ")"
	}
	return badInput{errors.New(text)}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
