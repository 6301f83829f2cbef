package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
)

// manyFlag is --workload: the lengths of many requests in place of --prompt and --generate.
type manyFlag struct{ file string }

func (f *manyFlag) register(c *cobra.Command) {
	c.Flags().StringVar(&f.file, "workload", "", "many requests, in place of --prompt and --generate: their lengths in `FILE`, YAML or CSV (see docs/workloads.md); or a composition of experts (see docs/coe.md)")
	group(c.Flags(), "Workload", "workload")
	mustComplete(c, "workload", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml", "csv"}, cobra.ShellCompDirectiveFilterFileExt
	})
}

// composition reads the file if it is one of a composition of experts, and reports whether it is. Such a file says which
// models run and what they are asked, so flags for that are refused.
func (f *manyFlag) composition(c *cobra.Command, p *experiments.Point, options experiments.Options, problems *experiments.Problems) bool {
	changed := c.Flags().Changed
	if f.file == "" {
		return false
	}
	composed, err := experiments.CompositionOf(f.file)
	if composed == nil && err == nil {
		return false
	}
	add := func(field, message, hint string) {
		problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	problems.Add(inputError(err))
	for _, name := range []string{"model", "prompt", "generate"} {
		if changed(name) {
			add(name, "the composition says that itself", "leave it out, or leave out --workload")
		}
	}
	if changed("phase") && options.Phase != defaultPhase {
		add("phase", options.Phase+": a composition of experts generates", "leave it out")
	}
	for _, name := range []string{"trace", "layers", "arrivals", "skew", "lora", "draft", "draft-tokens", "acceptance", "mapping", "host-sync", "offload", "placement", "prefetch", "lookahead", "cost", "cost-command", "timeline", "power-trace", "ablate", "sensitivity"} {
		if changed(name) {
			add(name, "it does not go with a composition of experts", "leave it out; strata run --model shows one expert")
		}
	}
	if options.PP > 1 {
		add("pp", "experts are not dealt out to stages", "give --tp")
	}
	if composed == nil {
		return true
	}
	p.Options, p.Composition, p.Model = options, composed, composed.Kinds[0].Model
	p.Prompt, p.Generate = 0, 0
	if composed.Batch > 0 && changed("batch") && composed.Batch != p.Batch {
		add("batch", fmt.Sprintf("%d: the composition says %d", p.Batch, composed.Batch), "leave it out, or take it out of the file")
	}
	if composed.Batch > 0 {
		p.Batch = composed.Batch
	}
	return true
}

// read puts the requests of the file into a point whose other flags are read.
func (f *manyFlag) read(c *cobra.Command, p *experiments.Point, problems *experiments.Problems) {
	changed := c.Flags().Changed
	if !changed("workload") {
		return
	}
	add := func(field, message, hint string) {
		problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	if f.file == "" {
		add("workload", "the name of the file is empty", "perhaps a variable of the shell is not set")
		return
	}
	if p.Trace != nil || changed("trace") {
		add("workload", "a trace says its lengths itself", "leave it out, or give --model instead of --trace")
		return
	}
	if !slices.Contains([]string{"prefill", "decode", "generate"}, p.Phase) {
		add("workload", "it goes with phases prefill, decode and generate", "the phase is "+p.Phase)
		return
	}
	for _, name := range []string{"prompt", "generate"} {
		if changed(name) {
			add(name, "the workload says that itself", "leave it out, or leave out --workload")
		}
	}
	w, err := experiments.WorkloadOf(f.file)
	if err != nil {
		problems.Add(inputError(err))
		return
	}
	if w.Batch > 0 && changed("batch") && w.Batch != p.Batch {
		add("batch", fmt.Sprintf("%d: the workload says %d", p.Batch, w.Batch), "leave it out, or take it out of the file")
	}
	if w.Batch > 0 {
		p.Batch = w.Batch
	}
	p.Workload, p.Prompt, p.Generate = w, 0, 0
}

// distribute times all lengths of a workload, with a line of progress, and makes the request that of median latency. There
// is nothing to do for a single request.
func (r *runCommand) distribute(c *cobra.Command, p *experiments.Point, req *eval.Request) (*eval.Distribution, error) {
	if p.Workload == nil {
		return nil, nil
	}
	r.notes(c, p.Workload.Notes...)
	w := c.ErrOrStderr()
	line := startProgress(w, !r.quiet && !r.noProgress && isTerminal(w))
	defer line.stop()
	return p.Distribute(c.Context(), req, func(done, of int) { line.say("workload", done, of) })
}

// compose runs a composition of experts, with a line of progress.
func (r *runCommand) compose(c *cobra.Command, p *experiments.Point, req *eval.Request) (*eval.Answer, error) {
	w := c.ErrOrStderr()
	line := startProgress(w, !r.quiet && !r.noProgress && isTerminal(w))
	defer line.stop()
	return p.Compose(c.Context(), req, func(done, of int) { line.say("composition", done, of) })
}
