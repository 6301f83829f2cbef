package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
)

func newPlan() *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "The plan that run would play, as text"}
	c.AddCommand(newPlanShow())
	return family(c)
}

func newPlanShow() *cobra.Command {
	f := &pointFlags{}
	c := &cobra.Command{
		Use:   "show",
		Short: "Print placement, loops, buffers and waves",
		Long: `Print the plan that strata run would play with the same flags: what lives in which memory, the rates
of all resources, and the loop nest of every kernel with what each step needs. The plan of a model
that does not fit is shown too, with a note that says by how much; strata run would refuse it.`,
		Example: `strata plan show --arch a100-sxm-80gb --model gpt3-175b --phase decode --batch 8 --prompt 3072 --tp 8`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("workload") {
				f.problems.Add(&experiments.Invalid{Field: "workload", Message: "a plan is that of one request", Hint: "give --prompt and --generate"})
			}
			_, req, err := f.request(c)
			if err != nil {
				return err
			}
			req.Mapping.Overfull = true
			p, err := req.PlanContext(c.Context())
			if err != nil {
				return err
			}
			held, err := plan.Footprint(req.Machine, req.Graph, req.Mapping)
			if err != nil {
				return err
			}
			if full := held.Check(req.Machine, req.Mapping); full != nil {
				note(c, full.Error())
			}
			return printTo(c, func(w io.Writer) error {
				style := styleOf(c)
				if err := report.Placement(w, req.Machine, p, held, style); err != nil {
					return err
				}
				var b bytes.Buffer
				if err := p.Explain(&b); err != nil {
					return err
				}
				_, err := io.WriteString(w, style.Text(b.String()))
				return err
			})
		},
	}
	f.register(c)
	return c
}
