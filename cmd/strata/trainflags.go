package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/experiments"
)

// trainFlags say how large a step of training is, and how it is divided over chips.
type trainFlags struct {
	options experiments.TrainOptions
	stages  string
	names   []string // of the flags, in order
}

// Words of the flags of training.
var (
	masterDTypes = []string{"fp32", "bf16", "fp16"}
	recomputed   = []string{eval.RecomputeNone, eval.RecomputeSelective, eval.RecomputeFull}
	zeroStages   = []string{"0", "1", "2", "3"}
)

const trainingGroup = "Training step"

// group puts flags under the heading of training.
func (f *trainFlags) group(c *cobra.Command, names ...string) {
	group(c.Flags(), trainingGroup, names...)
	f.names = append(f.names, names...)
}

// register adds the flags that say how large a step is: the graph of its parts depends on them.
func (f *trainFlags) register(c *cobra.Command, problems *experiments.Problems) {
	fs, o := c.Flags(), &f.options
	fs.Var(&count{name: "seq-len", into: &o.SeqLen, min: 1, problems: problems}, "seq-len", "tokens of a sequence (default 2048, or as many as the model reads)")
	fs.Var(&count{name: "micro-batch", into: &o.MicroBatch, min: 1, problems: problems}, "micro-batch", "sequences that a data-parallel rank works on at a time (default 1)")
	fs.Var(&count{name: "cp", into: &o.CP, min: 1, problems: problems}, "cp", "chips that divide the tokens of a sequence (context parallelism; default 1)")
	fs.StringVar(&o.MasterDType, "master-dtype", "", "`TYPE` of gradients that are added up and summed over ranks (default the framework's)")
	f.group(c, "seq-len", "micro-batch", "cp", "master-dtype")
	complete(c, "master-dtype", func() []string { return masterDTypes })
	complete(c, "cp", func() []string { return []string{"1", "2", "4", "8"} })
}

// registerStep adds the flags that say how parts make a step.
func (f *trainFlags) registerStep(c *cobra.Command, problems *experiments.Problems) {
	fs, o := c.Flags(), &f.options
	fs.Var(&count{name: "global-batch", into: &o.GlobalBatch, min: 1, problems: problems}, "global-batch", "sequences of a step (default one micro-batch on each rank, four for each stage of a pipeline)")
	fs.Var(&count{name: "dp", into: &o.DP, min: 1, problems: problems}, "dp", "copies of the model that share out the batch (data parallelism; default 1)")
	fs.BoolVar(&o.SP, "sp", false, "divide norms and dropout by tokens over the --tp chips (sequence parallelism)")
	fs.Var(&choice{"schedule", &o.Schedule, parallel.ScheduleNames(), problems}, "schedule", "`ORDER` of a pipeline's passes: gpipe, 1f1b, interleaved or zero-bubble (default 1f1b, or interleaved with --interleave)")
	fs.Var(&count{name: "interleave", into: &o.Interleave, min: 1, problems: problems}, "interleave", "chunks of layers that each stage has (default 1)")
	fs.StringVar(&f.stages, "stages", "", "`LAYERS` of each stage, or chunk, such as 5,6,6,5 (default even)")
	fs.StringVar(&o.Recompute, "recompute", "", "`WHAT` of a layer is computed again for its backward pass: none, selective (attention), full, or full for a share of the layers such as 0.5 (default none)")
	fs.Var(&count{name: "zero", into: &o.ZeRO, max: 3, problems: problems}, "zero", "`STAGE` of ZeRO: 1 divides the optimizer's state over data-parallel ranks, 2 gradients too, 3 weights too (default 0)")
	fs.BoolVar(&o.KeepGathered, "keep-gathered", false, "with --zero 3: keep weights gathered from the forward to the backward pass")
	fs.Var(&count{name: "shard", into: &o.Shard, min: 1, problems: problems}, "shard", "with --zero: ranks that share one copy of the state (default all)")
	fs.StringVar(&o.Stragglers, "stragglers", "", "slow chips, `RANK:SPEED` with commas between, e.g. 17:0.8; none leaves out that chips differ at random")
	fs.StringVar(&o.FailLink, "fail-link", "", "slow or lost links, `RANK:SHARE` of its NIC's bandwidth with commas between, e.g. 12:0.5 or 12:0; node3:SHARE for all of a node, 12.inside:SHARE for its links to its node, which 12:SHARE means too where a step stays in one node")
	fs.Var(&tokens{into: &o.Tokens, problems: problems}, "tokens", "what a whole run of so many tokens takes too: a count such as 300B, with K, M, B or T")
	fs.Float64Var(&o.PUE, "pue", 0, "with --tokens: power usage effectiveness of the data centre, such as `1.1` (default 1)")
	f.group(c, "global-batch", "dp", "sp", "schedule", "interleave", "stages", "recompute", "zero", "keep-gathered", "shard", "stragglers", "fail-link", "tokens", "pue")
	complete(c, "schedule", parallel.ScheduleNames)
	complete(c, "recompute", func() []string { return recomputed })
	complete(c, "zero", func() []string { return zeroStages })
	complete(c, "stragglers", func() []string { return []string{"none"} })
	for _, name := range []string{"dp", "interleave"} {
		complete(c, name, func() []string { return []string{"1", "2", "4", "8"} })
	}
}

// nothing reports whether a flag was given at the value that changes nothing, as scripts do that name all degrees.
func (f *trainFlags) nothing(name string) bool {
	switch o := &f.options; name {
	case "dp":
		return o.DP == 1
	case "cp":
		return o.CP == 1
	case "sp":
		return !o.SP
	}
	return false
}

// refuse notes flags of training that were given with another phase.
func (f *trainFlags) refuse(c *cobra.Command, phase string, problems *experiments.Problems) {
	for _, name := range f.names {
		if !c.Flags().Changed(name) || f.nothing(name) {
			continue
		}
		hint := "leave it out, or give --phase train"
		if name == "dp" || name == "cp" || name == "sp" {
			hint = "inference is divided with --tp, --pp, --ep and --attn-dp"
		}
		problems.Add(&experiments.Invalid{Field: name, Message: "it is of a step of training, the phase is " + phase, Hint: hint})
	}
}

// Flags of inference, and what training has in their place.
var notTrained = []struct{ name, hint string }{
	{"batch", "give --global-batch, the sequences of a step, and --micro-batch"},
	{"prompt", "give --seq-len"},
	{"generate", "give --seq-len"},
	{"arrivals", "requests arrive at a server"},
	{"draft-tokens", "leave it out"},
	{"acceptance", "leave it out"},
	{"power-trace", "leave it out"},
	{"ablate", "leave it out"},
	{"sensitivity", "leave it out"},
	{"cost", "leave it out"},
	{"cost-command", "leave it out"},
}

// apply puts the flags into a point that trains.
func (f *trainFlags) apply(c *cobra.Command, p *experiments.Point, problems *experiments.Problems) {
	add := func(field, message, hint string) {
		problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	for _, n := range notTrained {
		if c.Flags().Changed(n.name) {
			add(n.name, "it does not go with phase "+p.Phase, n.hint)
		}
	}
	p.Batch, p.Prompt, p.Generate, p.Arrivals = 0, 0, 0, ""
	t := f.options
	t.EP, p.EP = p.EP, 0
	for word := range strings.SplitSeq(f.stages, ",") {
		if f.stages == "" {
			break
		}
		n, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
		if err != nil || n < 0 || n > maxCount {
			add("stages", fmt.Sprintf("%q is no number of layers", shorten(word)), "layers of each stage with commas between, such as 5,6,6,5")
			break
		}
		t.Stages = append(t.Stages, n)
	}
	if c.Flags().Changed("master-dtype") && !slices.Contains(masterDTypes, t.MasterDType) {
		oneOf("master-dtype", t.MasterDType, masterDTypes, problems)
		t.MasterDType = ""
	}
	p.Training = &t
}

// autoFlags ask for the best mapping of a step of training.
type autoFlags struct {
	parallel string
	chips    int64
}

func (f *autoFlags) register(c *cobra.Command, problems *experiments.Problems) {
	fs := c.Flags()
	fs.Var(&choice{"parallel", &f.parallel, []string{"auto"}, problems}, "parallel", "auto: the best mapping of --chips, as strata search mapping finds it; degrees that are given stay")
	fs.Var(&count{name: "chips", into: &f.chips, min: 1, problems: problems}, "chips", "with --parallel auto: how many chips")
	group(fs, trainingGroup, "parallel", "chips")
	complete(c, "parallel", func() []string { return []string{"auto"} })
}

// apply puts the best mapping into the point.
func (f *autoFlags) apply(c *cobra.Command, p *experiments.Point, problems *experiments.Problems) error {
	changed := c.Flags().Changed
	add := func(field, message, hint string) {
		problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	if !changed("parallel") {
		if changed("chips") {
			add("chips", "it goes with --parallel auto", "add that, or give --tp, --pp and --dp")
		}
		return nil
	}
	switch {
	case !p.Trains() || p.Model == nil:
		add("parallel", "mappings of a step of training are searched for, the phase is "+p.Phase, "give --tp, --pp and --ep")
	case !changed("chips"):
		add("chips", "over how many chips?", "e.g. --chips 1024")
	}
	for _, name := range []string{"stages", "shard", "keep-gathered", "dp", "stragglers", "fail-link"} {
		if changed(name) {
			add(name, "it does not go with --parallel auto", "leave it out")
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	t := p.Training
	s := &experiments.MappingSearch{Point: p, Chips: []int64{f.chips}, Keep: 1, Objective: experiments.BySeconds}
	for _, pin := range []struct {
		name string
		n    int64
		into *[]int64
	}{{"tp", p.TP, &s.TP}, {"pp", max(p.PP, 1), &s.PP}, {"cp", t.CP, &s.CP}, {"ep", t.EP, &s.EP}, {"micro-batch", t.MicroBatch, &s.MicroBatch}, {"interleave", t.Interleave, &s.Interleave}, {"zero", t.ZeRO, &s.ZeRO}} {
		if changed(pin.name) {
			*pin.into = []int64{pin.n}
		}
	}
	if changed("sp") {
		s.SP = []bool{t.SP}
	}
	if t.Schedule != "" {
		s.Schedules = []parallel.Schedule{parallel.Schedule(t.Schedule)}
	}
	if t.Recompute != "" {
		if !slices.Contains(recomputed, t.Recompute) {
			return &experiments.Invalid{Field: "recompute", Message: "with --parallel auto it is one for all layers", Hint: strings.Join(recomputed, ", ")}
		}
		s.Recompute = []parallel.Recompute{parallel.Recompute(t.Recompute)}
	}
	base := *p
	base.Fidelity = eval.Analytic
	s.Point = &base
	found, err := findMapping(c, s, !changed("no-progress"))
	if err != nil {
		return inputError(err)
	}
	if err := noMapping(s, found); err != nil {
		return err
	}
	best := &found.Best[0]
	d := best.Degrees.Or1()
	p.TP, p.PP = d.TP, d.PP
	t.DP, t.CP, t.EP, t.SP, t.Interleave = d.DP, d.CP, d.EP, d.SP, d.Interleave
	t.MicroBatch, t.Schedule, t.Recompute, t.ZeRO = best.MicroBatch, string(best.Schedule), string(best.Recompute), best.ZeRO
	if q := c.Flags().Lookup("quiet"); q == nil || q.Value.String() != "true" {
		note(c, fmt.Sprintf("best of %d legal mappings: %s", found.Legal, best.Mapping.String()))
	}
	return nil
}

// tokens is a flag that holds a count of tokens with K, M, B or T.
type tokens struct {
	into     *int64
	problems *experiments.Problems
}

func (t *tokens) Set(text string) error {
	n, ok := parseTokens(text)
	if !ok {
		t.problems.Add(&experiments.Invalid{Field: "tokens", Message: fmt.Sprintf("%q: must be a count from 1 to 1000T", shorten(text)), Hint: "such as 300B, 1.4T or 20000000"})
		return nil
	}
	*t.into = n
	return nil
}

// parseTokens reads a count with K, M, B or T for thousands, millions, billions or trillions.
func parseTokens(text string) (int64, bool) {
	scale := int64(1)
	for _, s := range []struct {
		letter string
		scale  int64
	}{{"k", 1e3}, {"m", 1e6}, {"b", 1e9}, {"t", 1e12}} {
		if word, ok := strings.CutSuffix(strings.ToLower(text), s.letter); ok {
			text, scale = word, s.scale
			break
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	v = math.Round(v * float64(scale))
	return int64(v), err == nil && v >= 1 && v <= 1e15
}

func (t *tokens) String() string {
	if t.into == nil || *t.into == 0 {
		return ""
	}
	return strconv.FormatInt(*t.into, 10)
}

func (t *tokens) Type() string { return "COUNT" }
