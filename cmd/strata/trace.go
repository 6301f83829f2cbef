package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/experiments"
)

func newTrace() *cobra.Command {
	c := &cobra.Command{Use: "trace", Short: "Operator graphs as JSON Lines"}
	c.AddCommand(newTraceGenerate(), newTraceShow())
	return family(c)
}

func newTraceGenerate() *cobra.Command {
	f := &workloadFlags{}
	c := &cobra.Command{
		Use:   "generate",
		Short: "Write the operator graph of a model",
		Long: `Write the operator graph of a model to standard output, as an operator trace in JSON Lines. Replaying it
with strata run --trace gives the same answer as running the model.`,
		Example: `strata trace generate --model llama2-7b --phase decode --batch 4 --prompt 1024 > t.jsonl
strata run --arch tpu-v4 --trace t.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p := &experiments.Point{}
			f.workload(c, p)
			if p.Model == nil {
				return f.problems.Err()
			}
			g, err := p.Graph()
			f.problems.Add(inputError(err))
			if err := f.problems.Err(); err != nil {
				return err
			}
			return outputError("standard output", g.Write(c.OutOrStdout())) // as it comes: it may be large
		},
	}
	f.register(c, false)
	return c
}

func newTraceShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "Draw a trace as text",
		Long:    "Draw an operator trace as text: every block with its operators and what flows between them, and totals.",
		Example: "strata trace show t.jsonl\nstrata trace generate --model llama2-7b --phase decode | strata trace show -",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			g, err := experiments.TraceOf(args[0], c.InOrStdin())
			if err != nil {
				return argumentError(args[0], inputError(err))
			}
			return printTo(c, func(w io.Writer) error {
				var b bytes.Buffer
				if err := g.Show(&b); err != nil {
					return err
				}
				_, err := io.WriteString(w, styleOf(c).Text(b.String()))
				return err
			})
		},
	}
}
