package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// planMemory is strata plan memory.
type planMemory struct {
	arch, model string
	set         []string
	training    experiments.Training
	recompute   string
	form        string
	problems    experiments.Problems
}

// recomputes says what of a layer is computed again for its backward pass.
var recomputes = []string{"full", "none"}

func newPlanMemory() *cobra.Command {
	f := &planMemory{}
	t := &f.training
	c := &cobra.Command{
		Use:   "memory",
		Short: "Print what lives where while a model is trained",
		Long: `Print what one chip holds while it trains a model by itself, and in which memory: weights, adapters, gradients,
optimizer state, activations and workspace. Adam keeps two moments of 32 bits for each parameter that is trained.
Gradients and optimizer state go to lower memories where --offload allows it and there is no room; qlora has a paged
optimizer, whose state goes to the host's memory in any case. How long training takes is not simulated.

What does not fit ends with exit code 3, after the table.`,
		Example: `strata plan memory --arch rtx-a6000 --model llama1-65b --method qlora --rank 64
strata plan memory --arch a100-sxm-80gb --model llama1-7b --method full --offload host -o json`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	const machine, workload, output = "Machine", "Workload", "Output"
	fs := c.Flags()
	fs.StringVarP(&f.arch, "arch", "a", "", "`NAME` of a preset (see: strata arch list), or a file")
	fs.StringArrayVar(&f.set, "set", nil, "change a figure of the machine: `PATH=VALUE`, with a unit; may be repeated")
	fs.StringVar(&t.Runtime, "runtime", "", "runtime `PROFILE` of the machine (default the machine's; see: strata arch show)")
	t.Offload = "auto"
	fs.Var(&choice{"offload", &t.Offload, offloads, &f.problems}, "offload", "where gradients and optimizer state may live: auto (other memory of the chip), none, or host (the host's memory too)")
	group(fs, machine, "arch", "set", "runtime", "offload")
	fs.StringVarP(&f.model, "model", "m", "", "`NAME` of a preset (see: strata model list), or a Hugging Face config.json")
	t.Phase, t.Method, t.Rank, t.Batch, t.SeqLen, f.recompute = "finetune", experiments.TuneFull, 64, 1, defaultPrompt, recomputes[0]
	fs.Var(&choice{"phase", &t.Phase, phases, &f.problems}, "phase", "finetune, or train, of all weights")
	fs.Var(&choice{"method", &t.Method, experiments.TuneMethods(), &f.problems}, "method", "full (all weights), lora (adapters), or qlora (adapters beside weights in nf4-dq)")
	fs.Var(&count{name: "rank", into: &t.Rank, min: 1, problems: &f.problems}, "rank", "of adapters")
	fs.StringSliceVar(&t.Targets, "targets", nil, "`PROJECTIONS` with adapters: all, attention, mlp, or some of q,k,v,o,gate,up,down (default all)")
	fs.Var(&count{name: "batch", into: &t.Batch, min: 1, problems: &f.problems}, "batch", "sequences of a micro-batch")
	fs.Var(&count{name: "prompt", into: &t.SeqLen, min: 1, problems: &f.problems}, "prompt", "tokens of each sequence")
	fs.StringVar(&t.DType, "dtype", "", "`TYPE` of weights, adapters, gradients and activations (default the model's)")
	fs.Var(&choice{"recompute", &f.recompute, recomputes, &f.problems}, "recompute", "what of a layer is computed again for its backward pass: full (its input is kept) or none")
	group(fs, workload, "model", "phase", "method", "rank", "targets", "batch", "prompt", "dtype", "recompute")
	formFlag(c, &f.form, &f.problems)
	group(fs, output, "output")
	complete(c, "arch", machineNames)
	complete(c, "model", modelNames)
	complete(c, "dtype", traces.DTypes)
	complete(c, "method", experiments.TuneMethods)
	complete(c, "phase", func() []string { return []string{"finetune", "train"} })
	complete(c, "offload", func() []string { return offloads })
	complete(c, "recompute", func() []string { return recomputes })
	complete(c, "targets", func() []string { return append([]string{"all", "attention", "mlp"}, llm.LoRATargets()...) })
	mustComplete(c, "runtime", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profileNames(f.arch), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (f *planMemory) run(c *cobra.Command, _ []string) error {
	t := &f.training
	add := func(field, message, hint string) {
		f.problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	if f.arch == "" {
		add("arch", "which machine?", "a preset (see: strata arch list) or a file")
	}
	if f.model == "" {
		add("model", "which model?", "a preset (see: strata model list) or a config.json")
	}
	if t.Method == experiments.TuneFull {
		for _, name := range []string{"rank", "targets"} {
			if c.Flags().Changed(name) {
				add(name, "method full has no adapters", "leave it out, or give --method lora or qlora")
			}
		}
	}
	if err := f.problems.Err(); err != nil {
		return err
	}
	m, err := experiments.MachineOf(f.arch, f.set)
	f.problems.Add(inputError(err))
	model, err := experiments.ModelOf(f.model)
	f.problems.Add(inputError(err))
	if err := f.problems.Err(); err != nil {
		return err
	}
	t.KeepAll = f.recompute == "none"
	if t.Offload == "auto" {
		t.Offload = plan.OffloadChip
	}
	pl, err := t.Place(m, model)
	var full *plan.DoesNotFit
	if err != nil && !(errors.As(err, &full) && pl != nil) {
		return inputError(err)
	}
	if e := printTo(c, func(w io.Writer) error {
		switch f.form {
		case "json":
			return f.json(w, m.Name, model.Name, pl, full)
		case "csv":
			return report.TrainingItems(pl).CSV(w)
		}
		what := "all weights"
		if t.Method != experiments.TuneFull {
			what = fmt.Sprintf("%s, rank %d", t.Method, t.Rank)
		}
		return report.TrainingMemory(w, fmt.Sprintf("%s on %s: %s, %s; %d sequences of %d tokens", model.Name, m.Name, t.Phase, what, t.Batch, t.SeqLen), pl, styleOf(c))
	}); e != nil {
		return e
	}
	return err
}

// json writes the placement for other programs.
func (f *planMemory) json(w io.Writer, machine, model string, pl *plan.Placement, full *plan.DoesNotFit) error {
	type held struct {
		Class string `json:"class"`
		Bytes int64  `json:"bytes"`
	}
	type tier struct {
		Tier          string `json:"tier"`
		Kind          string `json:"kind"`
		CapacityBytes int64  `json:"capacity_bytes"`
		PeakBytes     int64  `json:"peak_bytes"`
		Holds         []held `json:"holds"`
	}
	type item struct {
		Class  string           `json:"class"`
		Tensor string           `json:"tensor"`
		Layers int64            `json:"layers"`
		Each   int64            `json:"bytes_each"`
		In     map[string]int64 `json:"bytes_in"`
	}
	t := &f.training
	out := struct {
		Schema string `json:"schema"`
		Arch   string `json:"arch"`
		Model  string `json:"model"`
		Phase  string `json:"phase"`
		Method string `json:"method"`
		Rank   int64  `json:"rank,omitempty"`
		Batch  int64  `json:"batch"`
		Prompt int64  `json:"prompt"`
		Fits   bool   `json:"fits"`
		Reason string `json:"reason,omitempty"`
		Tiers  []tier `json:"memory"`
		Items  []item `json:"items"`
	}{Schema: "strata.memory/1", Arch: machine, Model: model, Phase: t.Phase, Method: t.Method, Batch: t.Batch, Prompt: t.SeqLen, Fits: full == nil}
	if t.Method != experiments.TuneFull {
		out.Rank = t.Rank
	}
	if full != nil {
		out.Reason = full.Error()
	}
	for i := range pl.Tiers {
		p := &pl.Tiers[i]
		one := tier{p.Name, p.Kind, int64(p.Capacity), int64(p.Peak()), []held{}}
		for _, h := range p.Holds {
			one.Holds = append(one.Holds, held{h.What, int64(h.Bytes)})
		}
		out.Tiers = append(out.Tiers, one)
	}
	for i := range pl.Items {
		it := &pl.Items[i]
		one := item{it.Class, it.Name, it.Layers, int64(it.Each), map[string]int64{pl.Tiers[0].Name: int64(it.Each-it.Lower()) * it.Layers}}
		for k, n := range it.Below {
			if n > 0 {
				one.In[pl.Tiers[1+k].Name] = int64(n) * it.Layers
			}
		}
		out.Items = append(out.Items, one)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
