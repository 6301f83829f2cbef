package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces/llm"
)

func machineNames() []string { return presets.Names() }
func modelNames() []string   { return llm.Presets() }

// profileNames lists the runtime profiles of a machine, of all presets if there is none.
func profileNames(arch string) []string {
	machines := []string{arch}
	if arch == "" {
		machines = machineNames()
	}
	var names []string
	for _, name := range machines {
		m, err := experiments.MachineOf(name, nil)
		if err != nil {
			continue
		}
		for i := range m.Runtime.Profiles {
			if name := m.Runtime.Profiles[i].Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// complete lets the shell complete a flag. Names of presets may also be files, so those are offered as well.
func complete(c *cobra.Command, flag string, words func() []string) {
	directive := cobra.ShellCompDirectiveNoFileComp
	if flag == "arch" || flag == "model" {
		directive = cobra.ShellCompDirectiveDefault
	}
	mustComplete(c, flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) { return words(), directive })
}

func mustComplete(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the flag has just been added
	}
}

// completeArgs completes the first argument of a command, or a file.
func completeArgs(words func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return words(), cobra.ShellCompDirectiveDefault
	}
}
