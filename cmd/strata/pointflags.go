package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces"
)

// Words that flags take.
var (
	phases     = []string{"prefill", "decode", "generate", "serve", "train", "finetune"}
	fidelities = []string{eval.Event, eval.Analytic}
	ideals     = []string{"contention", "collectives", "refresh", "launch", "power"}
)

// Defaults of the workload flags.
const (
	defaultPhase    = "generate"
	defaultPrompt   = 512
	defaultGenerate = 128
)

// workloadFlags say what runs: a model with a batch, or an operator trace. Commands that take a workload share them.
type workloadFlags struct {
	model, trace string
	draft        string
	prompt       lateCount
	options      experiments.Options
	train        trainFlags
	problems     experiments.Problems // what is wrong with flags so far
}

// register adds the flags. Commands that write a trace do not read one.
func (f *workloadFlags) register(c *cobra.Command, withTrace bool) {
	const workload, formats = "Workload", "Number formats"
	fs := c.Flags()
	o := &f.options
	o.Phase, o.Batch, o.Prompt = defaultPhase, 1, defaultPrompt
	fs.StringVarP(&f.model, "model", "m", "", "`NAME` of a preset (see: strata model list), or a Hugging Face config.json")
	if withTrace {
		fs.StringVar(&f.trace, "trace", "", "in place of a model: an operator trace in `FILE`, - for standard input")
		group(fs, workload, "trace")
	}
	fs.Var(&choice{"phase", &o.Phase, phases, &f.problems}, "phase", "prefill, decode (one step), generate, serve (a server with --batch requests in work), train, or finetune")
	fs.Var(&count{name: "batch", into: &o.Batch, min: 1, problems: &f.problems}, "batch", "sequences at a time")
	f.prompt = lateCount{count: count{name: "prompt", into: &o.Prompt, problems: &f.problems}}
	fs.Var(&f.prompt, "prompt", "tokens of each prompt; with decode, tokens cached already")
	fs.Var(&count{name: "generate", into: &o.Generate, min: 1, problems: &f.problems, max: experiments.MaxGenerate, hint: experiments.MaxGenerateHint}, "generate", fmt.Sprintf("tokens to generate for each sequence, with phases generate and serve (default %d)", defaultGenerate))
	fs.Var(&count{name: "layers", into: &o.Layers, min: 1, problems: &f.problems}, "layers", "only `N` layers, without embedding and head (default all)")
	fs.Var(&choice{"arrivals", &o.Arrivals, []string{traces.Steady, traces.Burst}, &f.problems}, "arrivals", "with phase serve: `HOW` requests come, steady or burst (default steady)")
	complete(c, "arrivals", func() []string { return []string{traces.Steady, traces.Burst} })
	fs.Float64Var(&o.Skew, "skew", 0, "experts are chosen by a power law of that `EXPONENT`, e.g. 1.01 (default all as likely)")
	group(fs, workload, "model", "phase", "batch", "prompt", "generate", "layers", "arrivals", "skew")
	for _, t := range []struct {
		name, what string
		into       *string
	}{
		{"dtype", "of activations (default the model's)", &o.DType},
		{"weight-dtype", "of weights (default as --dtype)", &o.WeightDType},
		{"kv-dtype", "of cached keys and values (default as --dtype)", &o.KVDType},
	} {
		fs.StringVar(t.into, t.name, "", "`TYPE` "+t.what)
		group(fs, formats, t.name)
		complete(c, t.name, traces.DTypes)
	}
	fs.StringVar(&f.draft, "draft", "", "speculative decoding: `NAME` of a preset or a config.json of the model that drafts tokens for --model to verify")
	fs.Var(&count{name: "draft-tokens", into: &o.DraftTokens, min: 1, problems: &f.problems, max: traces.MaxDraftTokens}, "draft-tokens", "tokens drafted in each round")
	fs.StringVar(&o.Acceptance, "acceptance", "", "`CHANCE` that a drafted token is taken, from 0 to below 1")
	group(fs, workload, "draft", "draft-tokens", "acceptance")
	complete(c, "draft", modelNames)
	fs.Var(&loraFlag{&o.LoRA, &f.problems}, "lora", "adapters beside the weights: rank=`N`[,adapters=N][,targets=all|attention|mlp|q,v,…][,dtype=TYPE][,base_dtype=TYPE][,merged]")
	group(fs, workload, "lora")
	complete(c, "lora", func() []string {
		return []string{"rank=8", "rank=16", "rank=64,adapters=8,targets=all", "rank=16,targets=q,v"}
	})
	complete(c, "model", modelNames)
	complete(c, "phase", func() []string { return phases })
	f.train.register(c, &f.problems)
}

// workload fills in the model or the trace of a point.
func (f *workloadFlags) workload(c *cobra.Command, p *experiments.Point) {
	changed := c.Flags().Changed
	add := func(field, message, hint string) {
		f.problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	least := int64(1)
	if f.options.Phase == "decode" {
		least = 0 // nothing need be cached
	}
	f.prompt.check(least)
	p.Options = f.options
	if p.PP == 1 { // as if it were left out
		p.PP = 0
	}
	var err error
	if !p.Trains() || f.model == "" {
		phase := p.Phase
		if f.trace != "" {
			phase = "that of the trace"
		}
		f.train.refuse(c, phase, &f.problems)
	}
	switch {
	case f.model != "" && f.trace != "":
		add("trace", "there is a --model too", "give one of them")
	case f.trace != "":
		for _, name := range []string{"phase", "batch", "prompt", "generate", "layers", "arrivals", "skew", "dtype", "weight-dtype", "kv-dtype", "lora", "draft", "draft-tokens", "acceptance"} {
			if changed(name) {
				add(name, "a trace says that itself", "leave it out, or give --model instead of --trace")
			}
		}
		o := &p.Options
		*o = experiments.Options{TP: o.TP, PP: o.PP, EP: o.EP, MoETP: o.MoETP, AttnDP: o.AttnDP, Exchange: o.Exchange, InFlight: o.InFlight, Runtime: o.Runtime, HostSync: o.HostSync, Fusion: o.Fusion, Mapping: o.Mapping, Fidelity: o.Fidelity, Exact: o.Exact, Ideal: o.Ideal}
		p.Trace, err = experiments.TraceOf(f.trace, c.InOrStdin())
		f.problems.Add(err)
	case f.model != "" && p.Trains():
		f.train.apply(c, p, &f.problems)
		p.Model, err = experiments.ModelOf(f.model)
		f.problems.Add(err)
		if f.draft != "" {
			add("draft", "it does not go with phase "+p.Phase, "leave it out")
		}
	case f.model != "":
		answers := p.Phase == defaultPhase || p.Phase == "serve"
		if answers && p.Generate == 0 { // not given, or wrong and noted
			p.Generate = defaultGenerate
		} else if !answers && changed("generate") {
			add("generate", "only phases generate and serve generate tokens", "leave it out, or give --phase generate")
		}
		if p.Phase != "serve" && changed("arrivals") {
			add("arrivals", "requests arrive at a server, the phase is "+p.Phase, "leave it out, or give --phase serve")
		}
		p.Model, err = experiments.ModelOf(f.model)
		f.problems.Add(err)
		if f.draft != "" {
			f.speculation(c, p, add)
		}
	case c.Flags().Lookup("trace") == nil:
		add("model", "which model?", "a preset (see: strata model list) or a config.json")
	default:
		add("model", "which model?", "a preset (see: strata model list) or a config.json; or a trace with --trace")
	}
}

// speculation fills in the draft model of a point.
func (f *workloadFlags) speculation(c *cobra.Command, p *experiments.Point, add func(field, message, hint string)) {
	draft, err := experiments.ModelOf(f.draft)
	var unknown *experiments.Invalid
	if errors.As(err, &unknown) && unknown.Field == "model" {
		err = &experiments.Invalid{Field: "draft", Message: unknown.Message, Hint: unknown.Hint}
	}
	f.problems.Add(err)
	p.Draft = draft
	for _, name := range []string{"draft-tokens", "acceptance"} {
		if !c.Flags().Changed(name) {
			add(name, "a draft model needs it", "e.g. --draft-tokens 4 --acceptance 0.8")
			p.Draft = nil // to find what else is wrong
		}
	}
	if f.options.DraftTokens == 0 {
		p.Draft = nil // left out, or wrong and noted
	}
	if p.Draft == nil {
		p.DraftTokens, p.Acceptance = 0, ""
	}
}

// pointFlags are all flags that make up a point: run and plan show share them.
type pointFlags struct {
	workloadFlags
	arch    string
	set     []string
	mapping string
	cost    costFlags
	many    manyFlag
	auto    autoFlags
	outputs []named // files that the command writes
}

func (f *pointFlags) register(c *cobra.Command) {
	const machine, mapping, how = "Machine", "Mapping and software", "Simulation"
	fs := c.Flags()
	fs.StringVarP(&f.arch, "arch", "a", "", "`NAME` of a preset (see: strata arch list), or a file")
	fs.StringArrayVar(&f.set, "set", nil, "change a figure of the machine: `PATH=VALUE`, with a unit; may be repeated")
	group(fs, machine, "arch", "set")
	f.workloadFlags.register(c, true)
	f.many.register(c)
	o := &f.options
	o.TP, o.PP, o.Fidelity = 1, 1, eval.Event
	fs.Var(&count{name: "tp", into: &o.TP, min: 1, problems: &f.problems}, "tp", "chips that divide every operator (tensor parallelism)")
	fs.StringVar(&o.Runtime, "runtime", "", "runtime `PROFILE` of the machine (default the machine's; see: strata arch show)")
	fs.BoolVar(&o.HostSync, "host-sync", false, "time each operator from the host, as benchmarks of single operators do")
	fs.Var(&count{name: "pp", into: &o.PP, min: 1, problems: &f.problems}, "pp", "pipeline stages of as many chips")
	fs.Var(&count{name: "in-flight", into: &o.InFlight, min: 1, problems: &f.problems}, "in-flight", "batches that share the sequences and follow one another through the stages of --pp (default 1)")
	divisionFlags(c, o, &f.problems)
	mappingFlag(c, &f.mapping)
	fusionFlag(c, &o.Fusion, &f.problems)
	group(fs, mapping, "tp", "pp", "in-flight", "ep", "moe-tp", "attn-dp", "exchange", "runtime", "host-sync", "fusion", "mapping")
	f.train.registerStep(c, &f.problems)
	f.auto.register(c, &f.problems)
	tierFlags(c, o, &f.problems)
	fs.Var(&choice{"fidelity", &o.Fidelity, fidelities, &f.problems}, "fidelity", "event (simulated) or analytic (closed form)")
	fs.BoolVar(&o.Exact, "exact", false, "play every iteration of every loop: the same answer, slower")
	fs.Var(&choices{"ideal", &o.Ideal, ideals, &f.problems}, "ideal", "effects to leave out: contention, collectives, refresh, launch, power")
	fs.Var(&watts{"power-limit", &o.PowerLimit, &f.problems}, "power-limit", "limit of each chip, such as 300W: the clock falls until power keeps to it (default the machine's)")
	group(fs, how, "fidelity", "exact", "ideal", "power-limit")
	f.cost.register(c, &f.problems)
	complete(c, "arch", machineNames)
	complete(c, "fidelity", func() []string { return fidelities })
	complete(c, "ideal", func() []string { return ideals })
	complete(c, "pp", func() []string { return []string{"1", "2", "4", "8"} })
	complete(c, "tp", func() []string { return []string{"1", "2", "4", "8"} })
	mustComplete(c, "runtime", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profileNames(f.arch), cobra.ShellCompDirectiveNoFileComp
	})
}

// exchanges are the ways to bring tokens to experts.
var exchanges = []string{"gather", plan.Dispatch}

// divisionFlags adds how chips divide a mixture of experts.
func divisionFlags(c *cobra.Command, o *experiments.Options, problems *experiments.Problems) {
	fs := c.Flags()
	fs.Var(&count{name: "ep", into: &o.EP, min: 1, problems: problems}, "ep", "ranks that share out the experts of a mixture (default 1)")
	fs.Var(&count{name: "moe-tp", into: &o.MoETP, min: 1, problems: problems}, "moe-tp", "chips that divide each expert (default as many as --ep leaves)")
	fs.Var(&count{name: "attn-dp", into: &o.AttnDP, min: 1, problems: problems}, "attn-dp", "groups of --tp chips with sequences of their own, which meet at the experts (default as many as the experts' chips make up)")
	fs.Var(&choice{"exchange", &o.Exchange, exchanges, problems}, "exchange", "how tokens of groups come to experts: gather (all of them to every chip, the default) or all-to-all (those that chose its experts)")
	for _, name := range []string{"in-flight", "ep", "moe-tp", "attn-dp"} {
		complete(c, name, func() []string { return []string{"1", "2", "4", "8"} })
	}
	complete(c, "exchange", func() []string { return exchanges })
}

// Words of the flags about memory.
var (
	offloads   = []string{"auto", plan.OffloadNone, plan.OffloadHost}
	placements = []string{"greedy", plan.Solved}
)

// tierFlags adds what decides which tensors live where.
func tierFlags(c *cobra.Command, o *experiments.Options, problems *experiments.Problems) {
	const tiers = "Memory tiers"
	fs := c.Flags()
	fs.Var(&choice{"offload", &o.Offload, offloads, problems}, "offload", "where what does not fit into the fastest memory may live: auto (other memory of the chip, the default), none, or host (the host's memory too); not with --pp")
	fs.Var(&choice{"placement", &o.Placement, placements, problems}, "placement", "how that is chosen: greedy (by time saved for each byte, the default) or solved (the fastest of several plans)")
	fs.Var(&optionalCount{name: "prefetch", into: &o.Prefetch, max: plan.MaxPrefetch, problems: problems}, "prefetch", "fetch what lives elsewhere `N` layers ahead; 0 when its turn has come (default 1)")
	fs.Var(&share{"lookahead", &o.Lookahead, problems}, "lookahead", "`SHARE` of a layer's cold experts that is known as early as weights are fetched, from 0 to 1 (default 1)")
	group(fs, tiers, "offload", "placement", "prefetch", "lookahead")
	complete(c, "offload", func() []string { return offloads })
	complete(c, "placement", func() []string { return placements })
}

// request reads the flags. The error has everything that is wrong with them.
func (f *pointFlags) request(c *cobra.Command) (*experiments.Point, *eval.Request, error) {
	p := &experiments.Point{}
	var changes []string
	var err error
	if f.arch == "" {
		f.problems.Add(&experiments.Invalid{Field: "arch", Message: "which machine?", Hint: "a preset (see: strata arch list) or a file"})
	} else {
		p.Machine, changes, err = experiments.ChangedMachine(f.arch, f.set)
		f.problems.Add(inputError(err))
	}
	f.options.Mapping, err = mappingOf(f.mapping)
	f.problems.Add(err)
	if f.many.composition(c, p, f.options, &f.problems) {
		f.train.refuse(c, defaultPhase, &f.problems)
	} else {
		f.workload(c, p)
		f.many.read(c, p, &f.problems)
	}
	if p.Composition != nil {
		checkDistinct(&f.problems, f.outputs, named{"workload", p.Composition.List})
	}
	if p.Workload != nil { // its file may name another
		checkDistinct(&f.problems, f.outputs, named{"workload", p.Workload.List})
	}
	p.Set = changes
	p.Costs, p.Cost = f.cost.open(c, f.arch, changes)
	if p.Machine == nil || p.Model == nil && p.Trace == nil {
		return nil, nil, f.problems.Err()
	}
	if err := f.auto.apply(c, p, &f.problems); err != nil {
		return nil, nil, err
	}
	r, err := p.Request()
	f.problems.Add(inputError(err))
	if err := f.problems.Err(); err != nil {
		return nil, nil, err
	}
	if err := askCosts(c, p, &r); err != nil {
		return nil, nil, err
	}
	return p, &r, nil
}

// mappingFlag adds --mapping.
func mappingFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "mapping", "", "pin choices of the planner, tiles and others, that `FILE` gives (see docs/mapping.md)")
	mustComplete(c, "mapping", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
}

// fusionFlag adds --fusion.
func fusionFlag(c *cobra.Command, into *string, problems *experiments.Problems) {
	c.Flags().Var(&fusions{into, problems}, "fusion", "`WHAT` runs in one kernel, in place of what the runtime does: all, none, or some of "+strings.Join(arch.Fusions(), ","))
	complete(c, "fusion", func() []string { return append([]string{arch.FuseAll, arch.FuseNone}, arch.Fusions()...) })
}

// fusions is a flag that holds a list of fusions.
type fusions struct {
	into     *string
	problems *experiments.Problems
}

func (f *fusions) Set(text string) error {
	list, err := arch.ParseFusions(text)
	var bad *arch.Unable
	switch {
	case errors.As(err, &bad):
		f.problems.Add(&experiments.Invalid{Field: "fusion", Message: bad.Message, Hint: bad.Hint})
	case text == "":
		f.problems.Add(&experiments.Invalid{Field: "fusion", Message: "no fusion is named", Hint: "none, all, or " + strings.Join(arch.Fusions(), ",")})
	default:
		*f.into = list
	}
	return nil
}

func (f *fusions) String() string { return "" }
func (f *fusions) Type() string   { return "WHAT" }

// mappingOf reads the file of --mapping, if there is one.
func mappingOf(name string) (*plan.Pins, error) {
	if name == "" {
		return nil, nil
	}
	p, err := experiments.MappingOf(name)
	return p, inputError(err)
}

// inputError marks what goes wrong while flags and files are read as bad input, whatever its type.
func inputError(err error) error {
	if err == nil {
		return nil
	}
	var problems experiments.Problems
	problems.Add(err)
	for i, e := range problems {
		if exitCode(e) == exitInternal {
			problems[i] = badInput{e}
		}
	}
	return problems.Err()
}
