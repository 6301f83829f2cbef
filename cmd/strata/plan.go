package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/sim/spec"
)

func newPlan() *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "The plan that run would play, and what lives where"}
	c.AddCommand(newPlanShow(), newPlanMemory())
	return family(c)
}

// planForms are the forms of a plan.
var planForms = []string{"table", "json", "mapping"}

// planShow is strata plan show.
type planShow struct {
	point pointFlags
	form  string
	show  plan.Show
	depth int64
}

func newPlanShow() *cobra.Command {
	f := &planShow{}
	c := &cobra.Command{
		Use:   "show",
		Short: "Print placement, choices, loops, buffers and waves",
		Long: `Print the plan that strata run would play with the same flags: what lives in which memory, the rates
of all resources, and of every kernel what was chosen and what would come next, its loops from the
outermost memory inwards with what each keeps and moves, and what each step needs. The plan of a model
that does not fit is shown too, with a note that says by how much; strata run would refuse it. With
phase train or finetune it is that of the parts of a step, each once.

With -o mapping the choices are written as a mapping file: given back with --mapping, whole or in part,
they lead to the same plan.`,
		Example: `strata plan show --arch a100-sxm-80gb --model gpt3-175b --phase decode --batch 8 --prompt 3072 --tp 8
strata plan show --arch a100-sxm-80gb --model llama2-7b --phase prefill --op "*norm" --depth 1
strata plan show --arch a100-sxm-80gb --model llama2-7b --phase prefill -o mapping > m.yaml
strata plan show --arch selene --model gpt3-175b --phase train --tp 8 --sp --op "down.d*" --depth 1`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	f.point.register(c)
	const output = "Output"
	fs := c.Flags()
	f.form = planForms[0]
	fs.VarP(&choice{"output", &f.form, planForms, &f.point.problems}, "output", "o", "form of the plan: table, json, or mapping, a file for --mapping")
	fs.StringVar(&f.show.Op, "op", "", "only kernels of that `NAME`, in which * stands for any text")
	fs.Var(&count{name: "depth", into: &f.depth, min: 1, problems: &f.point.problems}, "depth", "only `N` levels of loops inside a kernel (default all)")
	group(fs, output, "output", "op", "depth")
	complete(c, "output", func() []string { return planForms })
	return c
}

func (f *planShow) run(c *cobra.Command, _ []string) error {
	if f.form == "mapping" && (f.show.Op != "" || f.depth > 0) {
		f.point.problems.Add(&experiments.Invalid{Field: "output", Message: "a mapping file holds all choices", Hint: "leave --op and --depth out"})
	}
	if c.Flags().Changed("workload") {
		f.point.problems.Add(&experiments.Invalid{Field: "workload", Message: "a plan is that of one request", Hint: "give --prompt and --generate"})
	}
	_, req, err := f.point.request(c)
	if err != nil {
		return err
	}
	req.Mapping.Overfull = true
	p, decisions, err := req.Decide(c.Context())
	if err != nil {
		return err
	}
	f.show.Decisions, f.show.Depth = decisions, int(f.depth)
	if !f.show.Shown(p) {
		hint := "run it without --op to see all of them"
		if s := spec.Suggest(f.show.Op, p.Names()); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		return &experiments.Invalid{Field: "op", Message: fmt.Sprintf("no kernel is called %.60q", f.show.Op), Hint: hint}
	}
	tight := req.Mapping
	tight.Overfull = false
	var full *plan.DoesNotFit
	if req.Training != nil { // the parts are not what a chip holds
	} else if _, err := plan.Place(req.Machine, req.Graph, tight); errors.As(err, &full) {
		note(c, full.Error())
	} else if err != nil {
		return err
	}
	return printTo(c, func(w io.Writer) error {
		switch f.form {
		case "json":
			return f.json(w, req, p)
		case "mapping":
			return writeMapping(w, decisions)
		}
		style := styleOf(c)
		switch {
		case f.show.Op != "":
		case req.Training != nil:
			if err := report.Parts(w, req.Graph, style); err != nil {
				return err
			}
		default:
			if err := report.Placement(w, req.Machine, p, style); err != nil {
				return err
			}
		}
		var b bytes.Buffer
		if err := p.ExplainAs(&b, f.show); err != nil {
			return err
		}
		_, err := io.WriteString(w, style.Text(b.String()))
		return err
	})
}

// json writes the plan for other programs.
func (f *planShow) json(w io.Writer, req *eval.Request, p *plan.Program) error {
	d := p.Describe(f.show)
	d.Model, d.Placement = req.Graph.Name, plan.Placed(req.Machine, p)
	profile, err := req.Machine.ProfileFor(req.Mapping.Profile, req.Mapping.HostSync)
	if err != nil {
		return err
	}
	d.Runtime = profile.Name
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// writeMapping writes the decisions as a mapping file.
func writeMapping(w io.Writer, d *plan.Decisions) error {
	pins, err := d.Export()
	if err != nil {
		return err
	}
	text, err := spec.Marshal(pins)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}
