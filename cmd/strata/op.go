package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/uncertainty"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

func newOp() *cobra.Command {
	o := &opCommand{}
	c := &cobra.Command{
		Use:   "op KIND",
		Short: "One operator on one machine: time, rate, stalls, tiling",
		Long: `Simulate a single operator: the device time of its kernels as a profiler sees it, or with --host-sync
the time as a host that waits for it sees it.

Kinds:
` + wrapWords(oracle.Kinds()) + `

Each kind has its own dimensions:
` + dimensionsText(),
		Example: `strata op gemm --arch tpu-v4 --m 4096 --n 4096 --k 4096 --dtype bf16
strata op attention --arch a100-sxm-80gb --batch 16 --heads 32 --kv-heads 8 --head-dim 128 --q-len 1 --past-len 4096
strata op ffn --arch h100-sxm --tokens 512 --hidden 4096 --intermediate 14336
strata op conv2d --arch tpu-v4 --height 56 --width 56 --channels 64 --filters 64 --filter-height 3 --filter-width 3 --padding 1
strata op rmsnorm --arch a100-sxm-80gb --rows 4096 --cols 8192
strata op all-reduce --arch a100-sxm-80gb --bytes 1048576 --ranks 8 -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeArgs(oracle.Kinds),
		RunE:              o.run,
	}
	o.register(c)
	c.AddCommand(newOpDRAM())
	return c
}

// opCommand is strata op.
type opCommand struct {
	op                oracle.Op
	arch, runtime     string
	set               []string
	dtype, weight, kv string
	to                string
	fidelity, form    string
	exact, hostSync   bool
	mapping, fusion   string
	pass              string
	pins              *plan.Pins
	decisions         *plan.Decisions
	planned           *plan.Program
	plan              bool
	changes           []string // to the machine
	timeline          string
	cost              costFlags
	own               *experiments.Costs
	skew              float64
	interval          intervalFlag
	problems          experiments.Problems
	machine           *arch.Machine
	result            *eval.Result
	answer            oracle.OpAnswer
}

// families are the dimensions that all kinds of a family of operators have.
var families = []struct {
	name string
	dims []oracle.Dim
}{{"gemm", oracle.Dims(traces.Gemm)}, {"conv2d", oracle.FormDims("conv2d")}, {"ffn", oracle.FormDims("ffn")}, {"attention", oracle.Dims(traces.Attention)},
	{"moe", oracle.Dims(traces.MoE)}, {"collectives", oracle.Dims(traces.AllReduce)}, {"all others", oracle.Dims(traces.Copy)}}

// wrapWords sets words in indented lines for the help.
func wrapWords(words []string) string {
	const width = 96
	var b strings.Builder
	column := width
	for _, w := range words {
		if column+1+len(w) > width {
			b.WriteString("\n ")
			column = 1
		}
		b.WriteString(" " + w)
		column += 1 + len(w)
	}
	return b.String()[1:]
}

// dimensionsText lists the flags of each family.
func dimensionsText() string {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "  %-12s %s\n", f.name, takes(f.dims))
	}
	return strings.TrimRight(b.String(), "\n")
}

// flagOf is the flag for a member of an estimate request.
func flagOf(member string) string { return strings.ReplaceAll(member, "_", "-") }

// takes lists dimensions as flags, those that may be left out in brackets.
func takes(dims []oracle.Dim) string {
	var words []string
	for _, d := range dims {
		word := "--" + flagOf(d.Name)
		if d.Otherwise != oracle.Needed {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func (o *opCommand) register(c *cobra.Command) {
	const machine, dims, how, output = "Machine", "Operator", "Simulation", "Output"
	fs := c.Flags()
	fs.StringVarP(&o.arch, "arch", "a", "", "the machine: `NAME` of a preset, or a file")
	fs.StringArrayVar(&o.set, "set", nil, "change a figure of the machine: `PATH=VALUE`, with a unit; may be repeated")
	fs.StringVar(&o.runtime, "runtime", "", "runtime `PROFILE` of the machine (default the machine's; see: strata arch show)")
	group(fs, machine, "arch", "set", "runtime")
	for _, f := range families {
		for _, d := range f.dims {
			name := flagOf(d.Name)
			if fs.Lookup(name) != nil {
				continue
			}
			fs.Var(&dimension{name, d.Of(&o.op), &o.problems}, name, d.Usage)
			group(fs, dims, name)
		}
	}
	fs.BoolVar(&o.op.Causal, "causal", true, "attention sees earlier tokens only")
	o.pass = oracle.Passes()[0]
	fs.Var(&choice{"pass", &o.pass, oracle.Passes(), &o.problems}, "pass", "`PASS` of attention: fwd, or fwd+bwd with its gradients")
	fs.Var(&choice{"algorithm", &o.op.Algorithm, append(arch.Algorithms(), interconnect.Algorithms()...), &o.problems}, "algorithm",
		"`ALGORITHM` of attention: standard, flash1, flash2 or flash3 (default what the runtime does); of a collective: ring, tree, hierarchical, pairwise, in-switch or one-shot (default what the library picks)")
	complete(c, "pass", oracle.Passes)
	complete(c, "algorithm", func() []string { return append(arch.Algorithms(), interconnect.Algorithms()...) })
	fs.BoolVar(&o.op.Gated, "gated", true, "experts, or the network of ffn, have three matrices, act(x·Wg)∘(x·Wu) between them, instead of two")
	fs.Float64Var(&o.skew, "skew", 0, "experts are chosen by a power law of that `EXPONENT`, e.g. 1.01 (default all as likely)")
	fs.StringVar(&o.dtype, "dtype", traces.BF16.String(), "`TYPE` of activations")
	fs.StringVar(&o.weight, "weight-dtype", "", "`TYPE` of weights (default as --dtype)")
	fs.StringVar(&o.kv, "kv-dtype", "", "`TYPE` of cached keys and values (default as --dtype)")
	fs.StringVar(&o.to, "to-dtype", "", "`TYPE` that quantize writes (default fp8)")
	group(fs, dims, "causal", "pass", "algorithm", "gated", "skew", "dtype", "weight-dtype", "kv-dtype", "to-dtype")
	o.fidelity = eval.Event
	fs.Var(&choice{"fidelity", &o.fidelity, fidelities, &o.problems}, "fidelity", "`HOW`: event (simulated) or analytic (closed form)")
	fs.BoolVar(&o.exact, "exact", false, "play every iteration of every loop: the same answer, slower")
	fs.BoolVar(&o.hostSync, "host-sync", false, "time it from the host, as benchmarks of single operators do")
	mappingFlag(c, &o.mapping)
	fusionFlag(c, &o.fusion, &o.problems)
	group(fs, how, "fidelity", "exact", "host-sync", "fusion", "mapping")
	o.cost.register(c, &o.problems)
	formFlag(c, &o.form, &o.problems)
	o.interval.register(c, output, &o.problems)
	fs.BoolVar(&o.plan, "plan", false, "print the plan: choices, loops, buffers, waves and what each step needs")
	fs.StringVar(&o.timeline, "timeline", "", "write what happened when to `FILE`, a Chrome trace for ui.perfetto.dev")
	group(fs, output, "output", "plan", "timeline")
	complete(c, "arch", machineNames)
	complete(c, "fidelity", func() []string { return fidelities })
	for _, name := range []string{"dtype", "weight-dtype", "kv-dtype", "to-dtype"} {
		complete(c, name, traces.DTypes)
	}
	mustComplete(c, "runtime", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profileNames(o.arch), cobra.ShellCompDirectiveNoFileComp
	})
}

// dimension is a flag that holds a whole number; a number of bytes may carry a unit.
type dimension struct {
	name     string
	into     *int64
	problems *experiments.Problems
}

func (d *dimension) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && d.name == "bytes" {
		err = (*units.Bytes)(&n).UnmarshalText([]byte(text))
	}
	if err != nil {
		d.problems.Add(&experiments.Invalid{Field: d.name, Message: fmt.Sprintf("%q: must be a whole number in plain digits, such as 4096", shorten(text))})
		n = 1 // within the range of each dimension, so that nothing else is said of it
	}
	*d.into = n
	return nil
}

func (d *dimension) String() string { return "" }
func (d *dimension) Type() string   { return "N" }

func (o *opCommand) run(c *cobra.Command, args []string) error {
	if bad := o.op.SetKind(args[0]); bad != nil {
		text := bad.Message
		if bad.Hint != "" {
			text += "; " + bad.Hint
		}
		return &usageError{text, c.CommandPath()}
	}
	o.check(c)
	o.dtypes(c)
	if o.timeline != "" && o.fidelity != eval.Event {
		o.problems.Add(&experiments.Invalid{Field: "timeline", Message: "the closed form has no timeline", Hint: "use --fidelity event"})
	}
	checkOutputs(c, &o.problems, []named{{"timeline", o.timeline}}, append(inputs(o.arch, "", "", "", o.mapping), named{"cost", o.cost.options.File}))
	var err error
	o.pins, err = mappingOf(o.mapping)
	o.problems.Add(err)
	o.findMachine()
	o.own, _ = o.cost.open(c, o.arch, o.changes)
	defer closeCosts(c, o.own)
	var out *outFile
	if o.timeline != "" && len(o.problems) == 0 {
		out, err = createFile("timeline", o.timeline)
		o.problems.Add(err)
		if out != nil {
			defer out.discard()
		}
	}
	if err := o.problems.Err(); err != nil {
		return err
	}
	o.op.Complete()
	if err := o.simulate(c, out); err != nil {
		return err
	}
	return printTo(c, func(w io.Writer) error { return o.print(w, styleOf(c)) })
}

// check notes dimensions that the kind lacks, does not have, or whose value is out of range.
func (o *opCommand) check(c *cobra.Command) {
	kind, called := o.op.Kind, o.op.Name()
	add := func(flag, hint, format string, args ...any) {
		o.problems.Add(&experiments.Invalid{Field: flag, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	own := o.op.Dims()
	for _, d := range own {
		flag, v := flagOf(d.Name), d.Of(&o.op)
		switch {
		case c.Flags().Changed(flag):
			if *v < d.Least || *v > d.Most {
				add(flag, "", "%d: must be from %d to %d", *v, d.Least, d.Most)
			}
		case d.Otherwise == oracle.Needed:
			add(flag, d.Usage, "%s needs it", called)
		default:
			*v = d.Otherwise
		}
	}
	hint := fmt.Sprintf("%s takes %s", called, takes(own))
	for _, f := range families {
		for _, d := range f.dims {
			flag := flagOf(d.Name)
			foreign := !slices.ContainsFunc(own, func(of oracle.Dim) bool { return of.Name == d.Name })
			if foreign && c.Flags().Changed(flag) {
				add(flag, hint, "%s has no such dimension", called)
				hint = ""
				*d.Of(&o.op) = 0
			}
		}
	}
	if kind == traces.Attention {
		if kv := o.op.KVHeads; kv > 0 && o.op.Heads%kv != 0 {
			add("kv-heads", "heads must be a multiple of it", "%d query heads cannot share %d key/value heads evenly", o.op.Heads, kv)
		}
		o.op.Backward = o.pass != oracle.Passes()[0]
		if o.op.Backward && o.op.Past > 0 {
			add("past-len", "leave it out, or give --pass fwd", "a backward pass has no cached tokens")
		}
	} else {
		for _, of := range [][2]string{{"causal", "mask"}, {"pass", "backward pass here"}, {"algorithm", "choice of algorithms"}} {
			if c.Flags().Changed(of[0]) && !(of[0] == "algorithm" && kind.Collective() && slices.Contains(interconnect.Algorithms(), o.op.Algorithm)) {
				add(of[0], "it goes with attention", "%s has no %s", kind, of[1])
			}
		}
	}
	o.op.Causal = o.op.Causal && kind == traces.Attention
	if dim, message, hint := o.op.Conflict(); o.op.Form != "" && dim != "" {
		add(flagOf(dim), hint, "%s", message)
	}
	if kind == traces.MoE {
		if msg := o.op.SetSkew(o.skew); msg != "" {
			add("skew", "", "%s", msg)
		}
		if dim, message, hint := o.op.Conflict(); dim != "" {
			add(flagOf(dim), hint, "%s", message)
		}
		return
	}
	for _, flag := range []string{"gated", "skew"} {
		if c.Flags().Changed(flag) && !(flag == "gated" && o.op.Form == "ffn") {
			add(flag, "it goes with moe", "%s has no experts", kind)
		}
	}
}

// dtypes reads the number formats.
func (o *opCommand) dtypes(c *cobra.Command) {
	read := func(flag, text string, otherwise traces.DType, has bool) traces.DType {
		if text == "" || !has && !c.Flags().Changed(flag) {
			return otherwise
		}
		d, err := traces.ParseDType(text)
		if err != nil {
			o.problems.Add(&experiments.Invalid{Field: flag, Message: err.Error()})
		} else if !has {
			o.problems.Add(&experiments.Invalid{Field: flag, Message: fmt.Sprintf("%s has no operand of that sort", o.op.Kind)})
		}
		return d
	}
	o.op.DType = read("dtype", o.dtype, traces.BF16, !o.op.Kind.Collective())
	o.op.WeightDType = read("weight-dtype", o.weight, o.op.DType, oracle.HasWeight(o.op.Kind))
	o.op.KVDType = read("kv-dtype", o.kv, o.op.DType, oracle.HasKV(o.op.Kind))
	if o.op.Backward && o.op.KVDType != o.op.DType {
		o.problems.Add(&experiments.Invalid{Field: "kv-dtype", Message: fmt.Sprintf("gradients need keys and values as they were computed, in %s", o.op.DType), Hint: "leave it out"})
	}
	narrows := oracle.Narrows(o.op.Kind)
	to := read("to-dtype", o.to, traces.FP8, narrows)
	if narrows {
		if o.op.ToDType = to; to.Bits() >= o.op.DType.Bits() {
			o.problems.Add(&experiments.Invalid{Field: "to-dtype", Message: fmt.Sprintf("%s is no narrower than %s", to, o.op.DType), Hint: "e.g. fp8"})
		}
	}
}

// findMachine finds the machine and notes what is wrong with what concerns it.
func (o *opCommand) findMachine() {
	if o.arch == "" {
		o.problems.Add(&experiments.Invalid{Field: "arch", Message: "which machine?", Hint: "a preset (see: strata arch list) or a file"})
		return
	}
	m, changes, err := experiments.ChangedMachine(o.arch, o.set)
	o.problems.Add(inputError(err))
	o.changes = changes
	if m == nil {
		return
	}
	o.machine = m
	if _, err := m.Profile(o.runtime); err != nil {
		o.problems.Add(&experiments.Invalid{Field: "runtime", Message: err.Error()})
	}
	if o.op.Ranks > m.System.Chips && m.System.ScaleOut == nil {
		o.problems.Add(&experiments.Invalid{Field: "ranks", Message: fmt.Sprintf("%d: one node of %s has %d chips", o.op.Ranks, m.Name, m.System.Chips), Hint: "it says of no network between nodes (system.scale_out)"})
	}
}

// simulate runs the operator and, if asked for, writes its timeline.
func (o *opCommand) simulate(c *cobra.Command, out *outFile) error {
	req := o.op.Request(o.machine, o.runtime, o.hostSync)
	req.Mapping.Pins, req.Mapping.Fusion = o.pins, o.fusion
	req.Fidelity, req.Exact, req.Notes = o.fidelity, o.exact, experiments.ChangeNotes(o.changes)
	if o.own != nil {
		req.Costs, req.OwnCostsOnly = o.own.Coster, o.cost.options.Missing == "error"
	}
	var timeline *eval.Timeline
	if out != nil {
		timeline = eval.NewTimeline(out)
		req.Observer = timeline
	}
	if o.plan && o.own == nil { // costs of one's own are asked for once
		var err error
		if o.planned, o.decisions, err = req.Decide(c.Context()); err != nil {
			return err
		}
	}
	res, err := eval.Run(c.Context(), req)
	if errors.Is(err, plan.ErrTooLarge) {
		return &hinted{err, "a smaller operator, or a faster machine"}
	}
	if err != nil {
		return err
	}
	if o.planned == nil {
		o.planned = res.Program
	}
	if o.interval.level > 0 {
		op := oracle.Validated(&o.op, o.machine, o.hostSync)
		res.Answer.Interval = uncertainty.Default().OfOperator(uncertainty.Of{Level: o.interval.level, Machine: o.machine, Hash: o.machine.Hash(), Answer: &res.Answer, Beyond: uncertainty.Choices(o.mapping, o.fusion, 0)}, &op)
		if res.Answer.Interval == nil {
			note(c, "no interval: nothing like this was measured")
		}
	}
	o.result, o.answer = res, oracle.OfOp(&o.op, &res.Answer)
	if out == nil {
		return nil
	}
	return writeTimeline(out, timeline, res)
}
