package report

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/eval"
)

// stepTitle is the second line of a step of training: how large it is and how it is divided.
func (r *runReport) stepTitle() string {
	a, t, p := r.a, r.a.Training, r.a.Parallel
	ranks := ""
	if p.DP > 1 {
		ranks = fmt.Sprintf(" on each of %d data-parallel ranks", p.DP)
	}
	text := fmt.Sprintf("%s of %d tokens a step, %s of %d%s; ", number(a.Batch, "sequence"), a.Prompt, number(t.Microbatches, "micro-batch"), t.MicroBatch, ranks)
	text += r.chips() + "; "
	if p.PP > 1 {
		text += t.Schedule + " schedule; "
	}
	switch {
	case t.Recompute == eval.RecomputeNone:
		text += "nothing recomputed; "
	case t.RecomputedShare < 1:
		text += fmt.Sprintf("recompute %s in %s of the layers; ", t.Recompute, Percent(t.RecomputedShare))
	default:
		text += fmt.Sprintf("recompute %s; ", t.Recompute)
	}
	if t.ZeRO > 0 {
		text += fmt.Sprintf("zero %d; ", t.ZeRO)
	}
	types := a.DType
	if a.WeightDType != a.DType {
		types += ", weights " + a.WeightDType
	}
	return fmt.Sprintf("%s%s; runtime %s; %s fidelity", text, types, a.Runtime, a.Fidelity)
}

// number is a number of things.
func number(n int64, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "ch"):
		thing += "es"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// step prints the figures of a step of training.
func (r *runReport) step() {
	a, t := r.a, r.a.Training
	line := func(name, value, more string) {
		r.b.WriteString(wrap(fmt.Sprintf("  %-14s %s  ", name, pad(value, 14)), more))
	}
	r.printf("\n")
	after := ""
	if t.ReduceSeconds > 0 {
		after += ", then gradients " + Seconds(t.ReduceSeconds)
	}
	if t.UpdateSeconds > 0 {
		after += ", update " + Seconds(t.UpdateSeconds)
	}
	line("step", Seconds(a.Seconds), "passes "+Seconds(t.PipelineSeconds)+after)
	more := ""
	if a.Parallel.Chips() > 1 {
		more = fmt.Sprintf("%s of each chip; ", Tokens(t.TokensPerSecondPerChip))
	}
	line("throughput", Tokens(a.TokensPerSecond), more+Count(t.Parameters)+" parameters are trained")
	line("MFU", Percent(a.MFU), fmt.Sprintf("of the matrix peak, model operations: %s of each chip", Flops(t.ModelTFLOPsPerChip*1e12)))
	line("HFU", Percent(a.HFU), fmt.Sprintf("those executed: %s of each chip", Flops(t.ExecutedTFLOPsPerChip*1e12)))
	if a.Parallel.PP > 1 && a.BubbleSeconds != nil && a.Seconds > 0 {
		line("bubble", Seconds(*a.BubbleSeconds), fmt.Sprintf("%s of the step: the stage that waits least waits for others", Percent(*a.BubbleSeconds/a.Seconds)))
	}
	if x := a.Exposed; x != nil && a.Seconds > 0 && a.Parallel.Chips() > 1 {
		var parts []string
		var sum float64
		for _, d := range []struct {
			name string
			s    float64
		}{{"tensor", x.TP}, {"context", x.CP}, {"expert", x.EP}, {"data", x.DP}, {"pipeline", x.PP}} {
			if sum += d.s; d.s > 0 {
				parts = append(parts, d.name+" "+Seconds(d.s))
			}
		}
		text := "communication that nothing hides"
		if len(parts) > 0 {
			text += ": " + strings.Join(parts, ", ")
		}
		line("exposed", Seconds(sum), fmt.Sprintf("%s of the step, %s", Percent(sum/a.Seconds), text))
	}
	if t.StragglerFactor > 1 {
		line("slowest chip", SignedPercent(t.StragglerFactor-1), fmt.Sprintf("on the mean chip, as expected of %d that differ; all wait for it", a.Parallel.Chips()))
	}
	if f := t.Faults; f != nil {
		text := fmt.Sprintf("%s more than the %s without it", SignedPercent(f.ExtraShare), Seconds(f.WithoutSeconds))
		if w := f.Waits; w != nil {
			text += fmt.Sprintf("; %s of stage %d wait longest for it, %s more", number(w.Chips, "chip"), w.Stage, Seconds(w.ExtraSeconds))
		}
		line("bad parts", Signed(Seconds, f.ExtraSeconds), text)
	}
	line("energy", Energy(a.Energy.Joules), strings.TrimSuffix(Energy(a.Energy.JoulesPerToken)+" per token; "+r.largestEnergy(), "; "))
	power := fmt.Sprintf("average; peak %s", Power(a.Power.PeakWatts))
	if a.Power.PeakOperator != "" {
		power += " in " + a.Power.PeakOperator
	}
	line("power", Power(a.Power.AverageWatts), power+"; limit "+Power(a.Power.LimitWatts))
	if a.Cost.USDPerHour > 0 {
		line("cost", Money(a.Cost.USDPerMillionTokens), fmt.Sprintf("per million tokens, at %s per hour", Money(a.Cost.USDPerHour)))
	}
	if a.FloorSeconds > 0 {
		line("floor", Seconds(a.FloorSeconds), fmt.Sprintf("least that these parts can take; the step takes %s times it", digits(a.Seconds/a.FloorSeconds)))
	}
}

// whole says what a run of many steps takes.
func (r *runReport) whole() {
	w := r.a.WholeRun
	if w == nil {
		return
	}
	r.head(fmt.Sprintf("A run of %s tokens", tokensOf(w.Tokens)))
	line := func(name, value, more string) {
		r.b.WriteString(wrap(fmt.Sprintf("  %-14s %s  ", name, pad(value, 14)), more))
	}
	line("time", days(w.Seconds), fmt.Sprintf("%s steps alike, without restarts and checkpoints", Count(w.Steps)))
	line("chip hours", Count(int64(w.ChipHours+0.5)), "")
	more := "of the chips and their networks"
	if w.PUE > 1 {
		more += fmt.Sprintf(", times a PUE of %s", fmt.Sprintf("%.4g", w.PUE))
	}
	line("energy", scaled(w.Joules/3.6e6, 1000, "kWh", "MWh", "GWh", "TWh"), more)
	if w.USD > 0 {
		line("cost", scaled(w.USD, 1000, "USD", "k USD", "M USD", "G USD"), fmt.Sprintf("at %s per hour", Money(r.a.Cost.USDPerHour)))
	}
}

// tokensOf prints a count of tokens as people write it.
func tokensOf(n int64) string {
	v, names := float64(n), []string{"", "K", "M", "B", "T"}
	for ; v >= 999.95 && len(names) > 1; names = names[1:] {
		v /= 1000
	}
	return fmt.Sprintf("%.4g%s", v, names[0])
}

// days prints a long time.
func days(s float64) string {
	if s < 2*86400 {
		return digits(s/3600) + " h"
	}
	return digits(s/86400) + " days"
}

// critical is the stage that the figures of the step are of: the first that waits as long as they say.
func (r *runReport) critical() int {
	for i := range r.a.Training.Stages {
		if s := &r.a.Training.Stages[i]; r.a.BubbleSeconds != nil && s.BubbleSeconds == *r.a.BubbleSeconds && s.Stalls == r.a.Stalls {
			return i
		}
	}
	return -1
}

// stages lists the classes of ranks.
func (r *runReport) stages() {
	a := r.a
	if a.Training == nil {
		return
	}
	all := a.Training.Stages
	if len(all) == 1 {
		return
	}
	r.head("Stages")
	size := func(v any) string { return Size(v.(int64)) }
	t := Table{Columns: []Column{{Title: "stage", Right: true}, {Title: "chips", Right: true}, {Title: "layers", Right: true}, {Title: "in flight", Right: true}, {Title: "works", Right: true},
		{Title: "waits", Right: true}, {Title: "bubble", Right: true}}}
	held := all[0].MemoryBytes > 0
	if held {
		t.Columns = append(t.Columns, Column{Title: "memory", Right: true, Show: size})
	}
	const shown = 16
	critical := r.critical()
	for i := range all {
		s := &all[i]
		if len(all) > shown && i >= shown-2 && i < len(all)-1 && i != critical {
			if i == shown-2 {
				t.Rows = append(t.Rows, append([]any{"…"}, make([]any, len(t.Columns)-1)...))
			}
			continue
		}
		name := fmt.Sprint(s.Stage)
		if i == critical {
			name = "* " + name
		}
		share := 0.0
		if a.Seconds > 0 {
			share = s.BubbleSeconds / a.Seconds
		}
		row := []any{name, s.Chips, s.Layers, s.InFlight, Seconds(a.Seconds - s.BubbleSeconds), Seconds(s.BubbleSeconds), Percent(share)}
		if held {
			row = append(row, s.MemoryBytes)
		}
		t.Rows = append(t.Rows, row)
	}
	r.indented(&t)
	r.b.WriteString(wrap("  ", "in flight: micro-batches whose activations are held at most, of one chunk of layers; * waits least: stalls, communication and operators below and above are those of its chips"))
}

// held says what the fullest stage holds.
func (r *runReport) held() {
	all := r.a.Training.Stages
	fullest := &all[0]
	for i := range all {
		if all[i].MemoryBytes > fullest.MemoryBytes {
			fullest = &all[i]
		}
	}
	var parts []string
	for _, p := range fullest.Memory {
		if p.Bytes > 0 {
			parts = append(parts, ClassName(p.Class)+" "+Size(p.Bytes))
		}
	}
	if len(parts) > 0 {
		on := ""
		if len(all) > 1 {
			on = fmt.Sprintf("on stage %d, which holds most, ", fullest.Stage)
		}
		r.b.WriteString(wrap("  held: ", on+strings.Join(parts, ", ")))
	}
}
