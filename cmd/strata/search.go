package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/traces"
)

// searchMapping is strata search mapping.
type searchMapping struct {
	arch, model, form, limit string
	set                      []string
	options                  experiments.Options
	train                    experiments.TrainOptions
	search                   experiments.MappingSearch
	schedules, recompute, sp []string
	keep                     int64
	noProgress               bool
	problems                 experiments.Problems
}

func newSearchMapping() *cobra.Command {
	f := &searchMapping{}
	s, o, t := &f.search, &f.options, &f.train
	c := &cobra.Command{
		Use:   "mapping",
		Short: "The best way to divide a step of training over chips",
		Long: `List the legal ways to divide a step of training over a number of chips, time those that fit into memory, and
print the best. What a chip runs is timed once for each division of operators and size of micro-batch; pipelines,
sums of gradients and gathers are played for every mapping. Flags that name degrees take lists, which bound the
search: --tp 4,8 tries those two.

Of mappings that differ in recomputation only the one that recomputes least and fits is timed, since more of it
takes longer. Exit code 3: nothing fits.`,
		Example: `strata search mapping --arch selene --model gpt3-175b --chips 1024 --global-batch 1536 --runtime megatron
strata search mapping --arch selene --model gpt3-175b --chips 512,1024 --global-batch 1536 --objective tokens-per-second-per-chip
strata search mapping --arch a100-sxm-80gb --model llama2-7b --chips 8 --global-batch 64 --zero 3 --pp 1 -o json`,
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	const machine, workload, space, how, output = "Machine", "Workload", "Mappings", "Search", "Output"
	fs := c.Flags()
	fs.StringVarP(&f.arch, "arch", "a", "", "`NAME` of a preset (see: strata arch list), or a file")
	fs.StringArrayVar(&f.set, "set", nil, "change a figure of the machine: `PATH=VALUE`, with a unit; may be repeated")
	fs.StringVar(&o.Runtime, "runtime", "", "runtime `PROFILE` of the machine (default the machine's; see: strata arch show)")
	group(fs, machine, "arch", "set", "runtime")
	fs.StringVarP(&f.model, "model", "m", "", "`NAME` of a preset (see: strata model list), or a Hugging Face config.json")
	o.Phase, o.Fidelity = experiments.Train, eval.Analytic
	fs.Var(&choice{"phase", &o.Phase, trainPhases, &f.problems}, "phase", "train, or finetune")
	fs.Var(&count{name: "seq-len", into: &t.SeqLen, min: 1, problems: &f.problems}, "seq-len", "tokens of a sequence (default 2048, or as many as the model reads)")
	fs.Var(&count{name: "global-batch", into: &t.GlobalBatch, min: 1, problems: &f.problems}, "global-batch", "sequences of a step")
	fs.StringVar(&o.DType, "dtype", "", "`TYPE` of activations (default the model's)")
	fs.Var(&loraFlag{&o.LoRA, &f.problems}, "lora", "with phase finetune: adapters beside the weights, as strata run takes them")
	group(fs, workload, "model", "phase", "seq-len", "global-batch", "dtype", "lora")
	lists := []struct {
		name, what string
		into       *[]int64
		max        int64
	}{
		{"chips", "`NUMBERS` of chips to divide over", &s.Chips, 0},
		{"tp", "`LIST` of tensor-parallel degrees (default all within a node)", &s.TP, 0},
		{"pp", "`LIST` of numbers of stages (default all)", &s.PP, 0},
		{"cp", "`LIST` of context-parallel degrees (default 1)", &s.CP, 0},
		{"ep", "`LIST` of expert-parallel degrees (default 1)", &s.EP, 0},
		{"micro-batch", "`LIST` of sequences of a micro-batch (default 1,2,4,8)", &s.MicroBatch, 0},
		{"interleave", "`LIST` of chunks of layers that a stage has (default 1 to 8)", &s.Interleave, 0},
		{"zero", "`LIST` of stages of ZeRO (default 0,1, and 3 without a pipeline)", &s.ZeRO, 3},
	}
	for _, l := range lists {
		fs.Var(&counts{name: l.name, into: l.into, max: l.max, problems: &f.problems}, l.name, l.what)
		group(fs, space, l.name)
	}
	fs.Var(&choices{"schedule", &f.schedules, parallel.ScheduleNames(), &f.problems}, "schedule", "orders of a pipeline's passes (default 1f1b, and interleaved with chunks)")
	fs.Var(&choices{"recompute", &f.recompute, recomputed, &f.problems}, "recompute", "what is computed again: none, selective, full (default all of them)")
	fs.Var(&choices{"sp", &f.sp, onOff, &f.problems}, "sp", "sequence parallelism: on, off (default on with --tp above 1)")
	fs.BoolVar(&s.Uneven, "uneven", false, "stages may differ by a layer")
	group(fs, space, "schedule", "recompute", "sp", "uneven")
	s.Objective = experiments.BySeconds
	fs.Var(&choice{"objective", &s.Objective, experiments.Objectives(), &f.problems}, "objective", "what is best: least seconds of a step, most tokens-per-second-per-chip, or least joules of a step")
	f.keep = 10
	fs.Var(&count{name: "top", into: &f.keep, min: 1, max: 10000, problems: &f.problems}, "top", "how many are printed")
	fs.StringVar(&f.limit, "memory", "", "`SIZE` of a chip's memory that may be used, such as 72 GiB (default all)")
	fs.Var(&choice{"fidelity", &o.Fidelity, fidelities, &f.problems}, "fidelity", "of what a chip runs: event (simulated) or analytic (closed form)")
	group(fs, how, "objective", "top", "memory", "fidelity")
	formFlag(c, &f.form, &f.problems)
	fs.BoolVar(&f.noProgress, "no-progress", false, "no line of progress on a terminal")
	group(fs, output, "output", "no-progress")
	complete(c, "arch", machineNames)
	complete(c, "model", modelNames)
	complete(c, "dtype", traces.DTypes)
	complete(c, "phase", func() []string { return trainPhases })
	complete(c, "objective", experiments.Objectives)
	complete(c, "schedule", parallel.ScheduleNames)
	complete(c, "recompute", func() []string { return recomputed })
	complete(c, "sp", func() []string { return onOff })
	complete(c, "fidelity", func() []string { return fidelities })
	mustComplete(c, "runtime", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profileNames(f.arch), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

var (
	trainPhases = []string{experiments.Train, experiments.FineTune}
	onOff       = []string{"on", "off"}
)

// counts is a flag that holds a list of whole numbers from 1, those of ZeRO from 0.
type counts struct {
	name     string
	into     *[]int64
	max      int64
	problems *experiments.Problems
}

func (l *counts) Set(text string) error {
	*l.into = nil
	for word := range strings.SplitSeq(text, ",") {
		n := int64(-1)
		c := &count{name: l.name, into: &n, min: 1, max: l.max, problems: l.problems, hint: "a list such as 1,2,4"}
		if l.name == "zero" {
			c.min = 0
		}
		if err := c.Set(strings.TrimSpace(word)); err != nil || n < 0 {
			return err
		}
		if !slices.Contains(*l.into, n) {
			*l.into = append(*l.into, n)
		}
	}
	return nil
}

func (l *counts) String() string {
	if l.into == nil {
		return ""
	}
	var words []string
	for _, n := range *l.into {
		words = append(words, strconv.FormatInt(n, 10))
	}
	return strings.Join(words, ",")
}

func (l *counts) Type() string { return "LIST" }

func (f *searchMapping) run(c *cobra.Command, _ []string) error {
	add := func(field, message, hint string) {
		f.problems.Add(&experiments.Invalid{Field: field, Message: message, Hint: hint})
	}
	p := &experiments.Point{Options: f.options}
	p.Training = &f.train
	var err error
	if f.arch == "" {
		add("arch", "which machine?", "a preset (see: strata arch list) or a file")
	} else {
		p.Machine, p.Set, err = experiments.ChangedMachine(f.arch, f.set)
		f.problems.Add(inputError(err))
	}
	if f.model == "" {
		add("model", "which model?", "a preset (see: strata model list) or a config.json")
	} else {
		p.Model, err = experiments.ModelOf(f.model)
		f.problems.Add(inputError(err))
	}
	s := &f.search
	if !c.Flags().Changed("chips") {
		add("chips", "over how many chips?", "e.g. --chips 1024")
	}
	if !c.Flags().Changed("global-batch") {
		add("global-batch", "how many sequences are a step?", "e.g. --global-batch 1536")
	}
	if f.limit != "" {
		if err := s.Limit.UnmarshalText([]byte(f.limit)); err != nil || s.Limit <= 0 {
			add("memory", fmt.Sprintf("%q: must be a size with its unit", shorten(f.limit)), "such as 72 GiB")
		}
	}
	for _, w := range f.schedules {
		s.Schedules = append(s.Schedules, parallel.Schedule(w))
	}
	for _, w := range recomputed { // least first
		for _, asked := range f.recompute {
			if asked == w {
				s.Recompute = append(s.Recompute, parallel.Recompute(w))
			}
		}
	}
	for _, w := range f.sp {
		s.SP = append(s.SP, w == "on")
	}
	if err := f.problems.Err(); err != nil {
		return err
	}
	s.Point, s.Keep = p, int(f.keep)
	found, err := findMapping(c, s, !f.noProgress)
	if err != nil {
		return inputError(err)
	}
	if err := printTo(c, func(w io.Writer) error { return f.print(w, p, found, styleOf(c)) }); err != nil {
		return err
	}
	return noMapping(s, found)
}

// findMapping searches with a line of progress.
func findMapping(c *cobra.Command, s *experiments.MappingSearch, progress bool) (*experiments.Mappings, error) {
	w := c.ErrOrStderr()
	line := startProgress(w, progress && isTerminal(w))
	defer line.stop()
	s.Progress = func(done, of int) { line.say("mappings", done, of) }
	found, err := s.Run(c.Context())
	if c.Context().Err() != nil {
		return nil, context.Canceled
	}
	return found, err
}

// noMapping is the error of a search in which nothing fits.
func noMapping(s *experiments.MappingSearch, found *experiments.Mappings) error {
	if len(found.Best) > 0 {
		return nil
	}
	text := fmt.Sprintf("none of %d legal mappings fits", found.Legal)
	if found.Legal == 0 {
		text = "there is no legal mapping"
		if len(s.Chips) == 1 {
			text += fmt.Sprintf(" over %d chips", s.Chips[0])
		}
	}
	for _, r := range found.Refused {
		text += fmt.Sprintf("\n  %d: %s", r.Mappings, r.Reason)
	}
	if l := found.Least; l != nil {
		text += fmt.Sprintf("\n  the least memory is %s of %s: %s", report.Size(int64(l.Memory)), report.Size(int64(found.Limit)), l.Mapping.String())
	}
	return &failed{exitDoesNotFit, text}
}

// foundJSON is a mapping for programs.
type foundJSON struct {
	Chips                  int64         `json:"chips"`
	Parallel               eval.Parallel `json:"parallel"`
	MicroBatch             int64         `json:"micro_batch"`
	Microbatches           int64         `json:"microbatches"`
	Schedule               string        `json:"schedule"`
	Recompute              string        `json:"recompute"`
	ZeRO                   int64         `json:"zero"`
	Seconds                float64       `json:"seconds"`
	TokensPerSecondPerChip float64       `json:"tokens_per_second_per_chip"`
	MFU                    float64       `json:"mfu"`
	BubbleSeconds          float64       `json:"bubble_seconds"`
	Joules                 float64       `json:"joules"`
	JoulesPerToken         float64       `json:"joules_per_token"`
	MemoryBytes            int64         `json:"memory_bytes,omitempty"`
}

func ofMapped(m *experiments.Mapped) foundJSON {
	t := eval.Training{Degrees: m.Degrees}
	return foundJSON{m.Chips, t.Parallel(), m.MicroBatch, m.Microbatches, string(m.Schedule), string(m.Recompute), m.ZeRO, m.Seconds, m.TokensPerSecondPerChip, m.MFU, m.BubbleSeconds, m.Joules, m.JoulesPerToken, int64(m.Memory)}
}

func (f *searchMapping) print(w io.Writer, p *experiments.Point, found *experiments.Mappings, style report.Style) error {
	switch f.form {
	case "json":
		out := struct {
			Schema    string         `json:"schema"`
			Arch      string         `json:"arch"`
			Model     string         `json:"model"`
			Objective string         `json:"objective"`
			Fidelity  string         `json:"fidelity"`
			Best      []foundJSON    `json:"best"`
			Legal     int            `json:"legal"`
			Fit       int            `json:"fit"`
			Unfit     int            `json:"do_not_fit"`
			Pruned    int            `json:"recompute_more_than_needed"`
			Refused   map[string]int `json:"refused,omitempty"`
			Limit     int64          `json:"memory_limit_bytes"`
			Least     *foundJSON     `json:"least_memory,omitempty"`
			Version   string         `json:"version"`
		}{"strata.mappings/1", p.Machine.Name, p.Model.Name, f.search.Objective, p.Fidelity, []foundJSON{}, found.Legal, found.Fit, found.Unfit, found.Pruned, nil, int64(found.Limit), nil, eval.Version}
		for i := range found.Best {
			out.Best = append(out.Best, ofMapped(&found.Best[i]))
		}
		for _, r := range found.Refused {
			if out.Refused == nil {
				out.Refused = map[string]int{}
			}
			out.Refused[r.Reason] = r.Mappings
		}
		if found.Least != nil {
			l := ofMapped(found.Least)
			out.Least = &l
		}
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(out)
	case "csv":
		return report.Mappings(found).CSV(w)
	}
	page := &report.Page{Style: style}
	page.Title(fmt.Sprintf("%s on %s chips of %s: best mappings of a step of %d sequences", p.Model.Name, strings.ReplaceAll((&counts{into: &f.search.Chips}).String(), ",", " or "), p.Machine.Name, f.train.GlobalBatch))
	page.Linef("")
	if len(found.Best) > 0 {
		page.Table(report.Mappings(found))
		page.Linef("")
	}
	page.Paragraph("  ", report.Fallen(found))
	return page.Write(w)
}
