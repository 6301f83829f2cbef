package report

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/sim"
)

// Options of Run.
type Options struct {
	Style
	// Machine is how the user named the machine, for the command that shows its sources.
	Machine string
	// Ideal lists the effects that the user asked to leave out.
	Ideal []string
	// Changes is how many figures of the machine the user changed.
	Changes int
	// Operators is how many operators are listed; 0 means 10.
	Operators int
}

// Run writes the report of one answer.
func Run(w io.Writer, a *eval.Answer, o Options) error {
	r := &runReport{a: a, o: o}
	for _, section := range []func(){r.title, r.summary, r.interval, r.distribution, r.composition, r.whole, r.stages, r.stalls, r.waves, r.memory, r.operators, r.costs, r.bottleneck, r.ablation, r.sensitivity, r.notes, r.model} {
		section()
	}
	return o.write(w, r.b.String())
}

type runReport struct {
	b strings.Builder
	a *eval.Answer
	o Options
}

func (r *runReport) printf(format string, a ...any) { fmt.Fprintf(&r.b, format, a...) }

func (r *runReport) head(text string) { r.printf("\n%s\n", r.o.bold(text)) }

func (r *runReport) title() {
	a := r.a
	name, phase := cmp.Or(a.Model, "a trace"), a.Phase
	if d := a.Composition; d != nil {
		name, phase = fmt.Sprintf("%s experts of %s", Count(d.Experts), a.Model), "composition"
	}
	r.printf("%s\n", r.o.bold(fmt.Sprintf("%s on %s%s: %s", name, a.Arch, Changes(r.o.Changes), phase)))
	if a.Training != nil {
		r.b.WriteString(wrap("", r.stepTitle()))
		return
	}
	size := fmt.Sprintf("batch %d", a.Batch)
	switch {
	case a.Prompt == 0 && (a.Model == "" || a.Phase != "decode"): // a trace that does not say it
	case a.Phase != "decode":
		size += fmt.Sprintf(", prompt %d", a.Prompt)
	default:
		size = fmt.Sprintf("batch %d, %d tokens cached", a.Batch, a.Prompt)
	}
	if a.Generate > 0 {
		size += fmt.Sprintf(", %d generated", a.Generate)
	}
	types := a.DType
	if a.WeightDType != a.DType || a.KVDType != a.DType {
		types = fmt.Sprintf("%s, weights %s, cache %s", a.DType, a.WeightDType, a.KVDType)
	}
	r.b.WriteString(wrap("", fmt.Sprintf("%s; %s; %s; runtime %s; %s fidelity", size, types, r.chips(), a.Runtime, a.Fidelity)))
}

// chips says how many there are and how they divide the model.
func (r *runReport) chips() string {
	p := r.a.Parallel
	if p.Chips() == 1 {
		return "1 chip"
	}
	text := fmt.Sprintf("%d chips (tp %d", p.Chips(), p.TP)
	for _, d := range []struct {
		name string
		n    int64
	}{{"pp", p.PP}, {"dp", p.DP}, {"cp", p.CP}, {"ep", p.EP}, {"moe tp", p.MoETP}, {"attn dp", p.AttnDP}, {"batches in flight", p.InFlight}, {"interleave", p.Interleave}} {
		if d.n > 1 {
			text += fmt.Sprintf(", %s %d", d.name, d.n)
		}
	}
	if p.SP {
		text += ", sp"
	}
	return text + ")"
}

// Changes is what follows the name of a machine that the user changed in n figures.
func Changes(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return " + 1 change"
	}
	return fmt.Sprintf(" + %d changes", n)
}

// summary prints the figures that the phase has.
func (r *runReport) summary() {
	a := r.a
	if a.Training != nil {
		r.step()
		return
	}
	line := func(name, value, more string) {
		r.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-14s %s  %s", name, pad(value, 14), more), " "))
	}
	r.printf("\n")
	var parts []string
	if len(a.Phases) > 1 {
		for _, p := range a.Phases {
			text := p.Phase + " " + Seconds(p.Seconds)
			if p.Steps > 1 {
				text += fmt.Sprintf(" (%d steps)", p.Steps)
			}
			parts = append(parts, text)
		}
	}
	if d := a.Composition; d != nil {
		line("all requests", Seconds(a.Seconds), strings.Join(parts, ", "))
		line("latency", Seconds(d.Latency.Mean), fmt.Sprintf("of a request on the mean; p95 %s", Seconds(d.Latency.P95)))
		line("hit rate", Percent(d.HitRate), fmt.Sprintf("%s of %s runs find their expert in fast memory", Count(d.Hits), Count(d.Runs)))
	} else {
		line("latency", Seconds(a.Seconds), strings.Join(parts, ", "))
	}
	if s := a.Serving; s != nil {
		line("requests", fmt.Sprintf("%.4g/s", s.RequestsPerSecond), fmt.Sprintf("%d in work, %s arrivals; prefill takes %s of the time", s.Concurrency, s.Arrivals, Percent(s.PrefillShare)))
	}
	if a.TTFTSeconds > 0 && a.Phase != "prefill" {
		line("first token", Seconds(a.TTFTSeconds), "TTFT")
	}
	if a.TPOTSeconds > 0 && (a.Phase != "decode" || a.Speculation != nil) {
		line("per token", Seconds(a.TPOTSeconds), "TPOT, each token after the first")
	}
	if s := a.Speculation; s != nil && s.Rounds > 0 {
		line("a round", fmt.Sprintf("%.4g tokens", s.TokensPerRound), fmt.Sprintf("%d drafted by %s, acceptance %.4g; %d rounds", s.DraftTokens, s.Draft, s.Acceptance, s.Rounds))
		line("drafting", Seconds(s.DraftSeconds), "verifying "+Seconds(s.VerifySeconds))
		if s.Speedup > 0 {
			line("speed-up", fmt.Sprintf("%.3g×", s.Speedup), fmt.Sprintf("a token takes %s without the draft model", Seconds(s.PlainTPOTSeconds)))
		}
	}
	what := "generated, over all sequences"
	switch a.Phase {
	case "prefill":
		what = "of the prompts read"
	case "train", "finetune":
		what = "of the parts of a step of training, each once; strata run --phase train makes a step of them"
	}
	tokens := a.TokensPerSecond > 0 // a trace need not say how many there are
	if tokens {
		r.b.WriteString(wrap(fmt.Sprintf("  %-14s %s  ", "throughput", pad(Tokens(a.TokensPerSecond), 14)), what))
	}
	if h := a.Host; h != nil {
		steps := "1 step takes"
		if h.Steps > 1 {
			steps = fmt.Sprintf("%d steps take", h.Steps)
		}
		text := fmt.Sprintf("that the device waits; %s %s", steps, Seconds(h.StepSeconds))
		if h.Operators > 0 {
			text += fmt.Sprintf(", %d operators %s", h.Operators, Seconds(h.OperatorSeconds))
		}
		line("host", Seconds(h.WaitSeconds+h.StepSeconds+h.RequestSeconds), text)
	}
	line("MFU", Percent(a.MFU), fmt.Sprintf("of the matrix peak, model operations; HFU %s, those executed", Percent(a.HFU)))
	spent := r.largestEnergy()
	if tokens {
		spent = strings.TrimSuffix(Energy(a.Energy.JoulesPerToken)+" per token; "+spent, "; ")
	}
	line("energy", Energy(a.Energy.Joules), spent)
	power := fmt.Sprintf("average; peak %s", Power(a.Power.PeakWatts))
	if a.Power.PeakOperator != "" {
		power += " in " + a.Power.PeakOperator
	}
	line("power", Power(a.Power.AverageWatts), power+"; limit "+Power(a.Power.LimitWatts))
	if a.Cost.USDPerHour > 0 && tokens {
		line("cost", Money(a.Cost.USDPerMillionTokens), fmt.Sprintf("per million tokens, at %s per hour", Money(a.Cost.USDPerHour)))
	}
	if a.FloorSeconds > 0 {
		line("floor", Seconds(a.FloorSeconds), fmt.Sprintf("least that this plan can take; the run takes %s times it", digits(a.Seconds/a.FloorSeconds)))
	}
}

// largestEnergy names the two components that use the most.
func (r *runReport) largestEnergy() string {
	type part struct {
		name string
		j    float64
	}
	var first, second part
	for _, name := range sortedKeys(r.a.Energy.Components) {
		switch p := (part{name, r.a.Energy.Components[name]}); {
		case p.j > first.j:
			first, second = p, first
		case p.j > second.j:
			second = p
		}
	}
	if r.a.Energy.Joules <= 0 || second.j <= 0 {
		return ""
	}
	return fmt.Sprintf("%s %s, %s %s", first.name, Percent(first.j/r.a.Energy.Joules), second.name, Percent(second.j/r.a.Energy.Joules))
}

// colors of the causes: compute green, memories blue, link magenta, overheads yellow and red.
var colors = [sim.NumCauses]string{"32", "36", "34", "94", "35", "33", "31", "90"}

// stalls draws a bar for each cause of the time.
func (r *runReport) stalls() {
	a := r.a
	share := tenths(a.Stalls[:])
	most := 0.0
	for _, s := range a.Stalls {
		most = max(most, s)
	}
	where := "Where the time went"
	if a.Training != nil && len(a.Training.Stages) > 1 && r.critical() >= 0 {
		where += fmt.Sprintf(" on stage %d, which waits least", a.Training.Stages[r.critical()].Stage)
	}
	r.head(where)
	var none []string
	const width = 48
	for _, c := range sim.Causes() {
		s := a.Stalls.Of(c)
		if s == 0 {
			none = append(none, c.String())
			continue
		}
		bar := Bar(s/most, width)
		r.printf("  %-10s  %s  %10s  %5.1f %%\n", c, r.o.sgr(colors[c], bar)+strings.Repeat(" ", width-len([]rune(bar))), Seconds(s), float64(share[c])/10)
	}
	sum := 100.0
	if a.Seconds == 0 {
		sum = 0
	}
	r.printf("  %-10s  %*s  %10s  %5.1f %%\n", "all", width, "", Seconds(a.Seconds), sum)
	if len(none) > 0 {
		r.b.WriteString(wrap("  no time: ", strings.Join(none, ", ")))
	}
}

// Bar draws a share of one in at most width characters, to an eighth of one; something never looks like nothing.
func Bar(share float64, width int) string {
	n := int(share*float64(width*8) + 0.5)
	n = max(0, min(n, width*8))
	if n == 0 && share > 0 {
		n = 1
	}
	bar := strings.Repeat("█", n/8)
	if n%8 > 0 {
		bar += string([]rune("▏▎▍▌▋▊▉")[n%8-1])
	}
	return bar
}

// waves says when sequences that take turns are in work.
func (r *runReport) waves() {
	w := r.a.Waves
	if w == nil {
		return
	}
	r.head(fmt.Sprintf("Waves of at most %d sequences, whose cache has room", w.AtATime))
	t := Table{Columns: []Column{{Title: "wave", Right: true}, {Title: "sequences", Right: true}, {Title: "from", Right: true}, {Title: "first token", Right: true}, {Title: "done", Right: true}}}
	const shown = 8
	for i, v := range w.Waves {
		if i < shown-1 || i == len(w.Waves)-1 {
			t.Rows = append(t.Rows, []any{i + 1, v.Sequences, Seconds(v.StartSeconds), Seconds(v.TTFTSeconds), Seconds(v.EndSeconds)})
		} else if i == shown-1 {
			t.Rows = append(t.Rows, []any{"…", nil, nil, nil, nil})
		}
	}
	r.indented(&t)
}

func (r *runReport) memory() {
	if r.a.Training != nil && len(r.a.Memory) == 0 {
		return
	}
	r.head("Memory of one chip")
	size := func(v any) string { return Size(v.(int64)) }
	traffic := func(v any) string { return Traffic(v.(int64)) }
	t := Table{Columns: []Column{{Title: "tier", Max: 16}, {Title: "capacity", Right: true, Show: size}, {Title: "peak", Right: true, Show: size}, {Title: "full", Right: true},
		{Title: "read", Right: true, Show: traffic}, {Title: "written", Right: true, Show: traffic}, {Title: "bandwidth used", Right: true}}}
	for i := range r.a.Memory {
		m := &r.a.Memory[i]
		full := 0.0
		if m.CapacityBytes > 0 {
			full = float64(m.PeakBytes) / float64(m.CapacityBytes)
		}
		t.Rows = append(t.Rows, []any{m.Tier, m.CapacityBytes, m.PeakBytes, Percent(full), m.ReadBytes, m.WrittenBytes, Percent(m.Utilization)})
	}
	r.indented(&t)
	var ways []string
	for _, w := range r.a.OnChip {
		each := ""
		if w.PerCore {
			each = " a core"
		}
		ways = append(ways, fmt.Sprintf("%s %s%s, busy %s", w.Resource, Traffic(w.Bytes), each, Percent(w.Utilization)))
	}
	if len(ways) > 0 {
		r.b.WriteString(wrap("  on chip: ", strings.Join(ways, "; ")))
	}
	if r.a.Training != nil {
		r.held()
		return
	}
	f := r.a.Footprint
	r.printf("  held: weights %s, key/value cache %s, activations %s\n", Size(f.WeightBytes), Size(f.KVBytes), Size(f.ActivationBytes))
	r.streaming()
	if l := r.a.Load; l != nil {
		r.b.WriteString(wrap("  load: ", fmt.Sprintf("%s once from %s in %s, %s, bound by %s; before the run and not a part of it", Size(l.Bytes), l.From, Seconds(l.Seconds), Energy(l.Joules), l.BoundBy)))
	}
}

// streaming says what lives below the first memory, and what its copies cost.
func (r *runReport) streaming() {
	s := r.a.Streaming
	if s == nil {
		return
	}
	first := r.a.Placement[0].Tier
	var below []string
	for _, p := range r.a.Placement {
		if p.Tier != first {
			below = append(below, fmt.Sprintf("%s %s in %s", ClassName(p.Class), Size(p.Bytes), p.Tier))
		}
	}
	r.b.WriteString(wrap("  below: ", strings.Join(below, ", ")))
	text := fmt.Sprintf("fetched %s: %s in, %s out, in %s, of which the chip waited %s", ahead(s.Prefetch), Traffic(s.FetchedBytes), Traffic(s.StoredBytes), Seconds(s.MoveSeconds), Seconds(s.ExposedSeconds))
	r.b.WriteString(wrap("  moved: ", text))
}

func (r *runReport) indented(t *Table) {
	for _, line := range t.lines() {
		r.printf("  %s\n", line)
	}
}

func (r *runReport) operators() {
	ops := r.a.Operators
	if len(ops) == 0 {
		return
	}
	top := r.o.Operators
	if top <= 0 {
		top = 10
	}
	r.head("Operators, the longest first")
	count := func(v any) string { return Count(v.(int64)) }
	t := Table{Columns: []Column{{Title: "operator", Max: 24}, {Title: "phase"}, {Title: "calls", Right: true}, {Title: "time", Right: true}, {Title: "share", Right: true},
		{Title: "bound by"}, {Title: "operations", Right: true, Show: count}, {Title: "off-chip", Right: true, Show: func(v any) string { return Traffic(v.(int64)) }}}}
	var rest, share float64
	for i := range ops {
		op := &ops[i]
		if i >= top {
			rest += op.Seconds
			share += op.Share
			continue
		}
		t.Rows = append(t.Rows, []any{op.Name, op.Phase, op.Calls, Seconds(op.Seconds), Percent(op.Share), op.BoundBy, op.Ops, op.Bytes})
	}
	r.indented(&t)
	if n := len(ops) - top; n > 0 {
		r.printf("  and %d more: %s, %s\n", n, Seconds(rest), Percent(share))
	}
}

func (r *runReport) bottleneck() {
	a := r.a
	r.head("Bottleneck")
	if len(a.Advice) == 0 {
		share := 0.0
		if c, ok := sim.ParseCause(a.BoundBy); ok && a.Seconds > 0 {
			share = a.Stalls.Of(c) / a.Seconds
		}
		r.printf("  %s-bound %.0f %% of the time\n", a.BoundBy, 100*share)
		return
	}
	r.b.WriteString(wrap("  ", minus(a.Advice[0].Text)))
	for i, adv := range a.Advice[1:] {
		first := "        "
		if i == 0 {
			first = "  then: "
		}
		r.b.WriteString(wrap(first, minus(adv.Text)))
	}
}

// hyphen is a hyphen in the place of a minus sign.
var hyphen = regexp.MustCompile(`(^|[ (])-([0-9])`)

// minus writes all minus signs of a text in one way.
func minus(text string) string { return hyphen.ReplaceAllString(text, "$1−$2") }

func (r *runReport) notes() {
	if len(r.a.Notes) == 0 {
		return
	}
	r.head("Notes")
	for _, n := range r.a.Notes {
		r.b.WriteString(wrap("  • ", n))
	}
}

// What each fidelity models, in a line; the packages say it at length.
var modelled = map[string]string{
	eval.Event: "tiles on the matrix and vector units in waves over the cores, operand buffers, bandwidth of every tier shared among what runs at a time, " +
		"exposed latency, launches, collectives, energy per action",
	eval.Analytic: "tiles on the matrix and vector units in waves over the cores, operand buffers, bandwidth of every tier, launches, collectives, " +
		"energy per action; loops in closed form, without contention inside a kernel",
}

func (r *runReport) model() {
	a := r.a
	r.head("What this is")
	if a.Training != nil {
		r.b.WriteString(wrap("  modelled: ", "each part of a step (a layer forward and backward, embedding, head and loss, update) once as kernels on one chip of its tensor group, and a play of "+
			"all ranks: passes of the pipeline, sends, sums of gradients, gathers of weights and what hides them"))
	} else if text, ok := modelled[a.Fidelity]; ok {
		r.b.WriteString(wrap("  modelled: ", text))
	}
	if len(a.NotModelled) > 0 {
		r.b.WriteString(wrap("  not modelled: ", strings.Join(a.NotModelled, ", ")))
	}
	var out []string
	for _, effect := range r.o.Ideal {
		// A note says so where there is nothing to leave out.
		if !slices.ContainsFunc(a.Notes, func(n string) bool { return strings.HasPrefix(n, "ideal "+effect+" leaves nothing out") }) {
			out = append(out, effect)
		}
	}
	if len(out) > 0 {
		r.b.WriteString(wrap("  left out as asked: ", strings.Join(out, ", ")))
	}
	machine := r.o.Machine
	if machine == "" {
		machine = a.Arch
	}
	r.b.WriteString(wrap("  figures: ", "strata arch show "+machine+" --sources tells where each comes from"))
	r.printf("  key %s, models %s", short(a.Manifest.Key), a.Manifest.Version)
	if a.Events > 0 {
		r.printf(", %s events", Count(a.Events))
	}
	r.printf("\n")
}

// short is a key as people see it: long enough to find the row again.
func short(key string) string { return key[:min(len(key), 12)] }
