package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
)

func newModel() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "Models: the presets and your own files"}
	c.AddCommand(newModelList(), newModelShow(), newModelCheck())
	return family(c)
}

func newModelList() *cobra.Command {
	var form string
	var problems experiments.Problems
	c := &cobra.Command{
		Use:   "list",
		Short: "List the presets",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := problems.Err(); err != nil {
				return err
			}
			t, err := report.ModelPresets()
			if err != nil {
				return err
			}
			return printTable(c, form, t)
		},
	}
	formFlag(c, &form, &problems)
	return c
}

func newModelShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Describe a model: shape, size, cache and operations of a token",
		Long: `Describe a model: its shape, its size by data type, how much cache a token of context takes, and the
operations of a token. FILE is a Hugging Face config.json.`,
		Example: "strata model show llama2-70b\nstrata model show ./config.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := experiments.ModelOf(args[0])
			if err != nil {
				return argumentError(args[0], inputError(err))
			}
			return printTo(c, func(w io.Writer) error {
				if asJSON {
					e := json.NewEncoder(w)
					e.SetIndent("", "  ")
					return e.Encode(m)
				}
				return report.Model(w, m, styleOf(c))
			})
		},
		ValidArgsFunction: completeArgs(modelNames),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the model as one JSON object")
	return c
}

func newModelCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE…",
		Short:   "Check model files and list everything that is wrong",
		Example: "strata model check ./config.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			return checkFiles(c, files, func(name string) (string, error) {
				m, err := experiments.ModelOf(name)
				if err != nil {
					return "", err
				}
				text := fmt.Sprintf("%s, %s parameters, %s", m.Name, report.Count(m.Parameters()), plural(int(m.Layers), "layer"))
				for _, n := range m.Notes {
					text += "\n  note: " + n
				}
				return text, nil
			})
		},
		ValidArgsFunction: completeArgs(modelNames),
	}
}
