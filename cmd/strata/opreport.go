package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces"
)

// opSchema names the form of what -o json prints.
const opSchema = "strata.op/1"

// opJSON is what -o json prints: what was asked for, and the members of the answer of strata estimate.
type opJSON struct {
	Schema string          `json:"schema"`
	Arch   string          `json:"arch"`
	Op     json.RawMessage `json:"op"` // as in an estimate request
	oracle.OpAnswer
}

// print writes the answer in the form asked for.
func (o *opCommand) print(w io.Writer, style report.Style) error {
	switch o.form {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(opJSON{opSchema, o.machine.Name, o.op.JSON(), o.answer})
	case "csv":
		return o.csv(w)
	}
	var b strings.Builder
	o.text(&b)
	if o.plan {
		b.WriteString("\n")
		if err := o.planned.ExplainAs(&b, plan.Show{Decisions: o.decisions}); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, style.Text(b.String()))
	return err
}

// csv writes the figures as one row under their names.
func (o *opCommand) csv(w io.Writer) error {
	var t report.Table
	var row []any
	add := func(name string, v any) {
		t.Columns = append(t.Columns, report.Column{Name: name})
		row = append(row, v)
	}
	a := &o.answer
	add("arch", o.machine.Name)
	add("kind", o.op.Name())
	for _, d := range o.op.Dims() {
		add(d.Name, *d.Of(&o.op))
	}
	add("dtype", o.op.DType.String())
	add("weight_dtype", o.op.WeightDType.String())
	add("kv_dtype", o.op.KVDType.String())
	add("runtime", a.Runtime)
	add("fidelity", a.Fidelity)
	add("seconds", a.Seconds)
	add("joules", a.Joules)
	add("bound_by", a.BoundBy)
	add("floor_seconds", a.FloorSeconds)
	add("tflops", a.Tflops)
	add("bytes", a.Bytes)
	add("gigabytes_per_second", a.GigabytesPerSecond)
	add("busbw_gigabytes_per_second", a.BusBW)
	add("average_watts", a.AverageWatts)
	add("peak_watts", a.PeakWatts)
	for _, cause := range sim.Causes() {
		add("stall_"+cause.String()+"_seconds", a.Stalls.Of(cause))
	}
	t.Rows = [][]any{row}
	return t.CSV(w)
}

// text writes the answer for people.
func (o *opCommand) text(b *strings.Builder) {
	a := &o.answer
	fmt.Fprintf(b, "%s on %s%s\n", o.title(), o.machine.Name, report.Changes(len(o.changes)))
	fmt.Fprintf(b, "runtime %s; %s fidelity\n\n", a.Runtime, a.Fidelity)
	line := func(name, value, more string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-10s %-14s %s", name, value, more), " ") + "\n")
	}
	line("time", report.Seconds(a.Seconds), fmt.Sprintf("bound by %s", a.BoundBy))
	if a.Tflops > 0 {
		share := ""
		if peak := report.PeakOps(o.machine, o.op.DType); peak > 0 {
			share = report.Percent(a.Tflops*1e12/peak) + " of the matrix peak"
		}
		line("rate", report.Flops(a.Tflops*1e12), share)
	}
	line("memory", report.Rate(a.GigabytesPerSecond*1e9), fmt.Sprintf("%s off the chip", report.Traffic(a.Bytes)))
	if a.BusBW > 0 {
		line("bus", report.Rate(a.BusBW*1e9), "as nccl-tests counts it")
	}
	line("energy", report.Energy(a.Joules), fmt.Sprintf("%s on average", report.Power(a.AverageWatts)))
	if a.FloorSeconds > 0 {
		line("floor", report.Seconds(a.FloorSeconds), fmt.Sprintf("least that this plan can take; %.2f times it", a.Seconds/a.FloorSeconds))
	}
	if i := a.Interval; i != nil {
		ends, rests := report.Interval(i)
		line("interval", ends, rests)
		if text := report.Outside(i); text != "" {
			line("outside", text, "")
		}
	}
	if own := a.OwnCosts; own != nil {
		if own.ModelCalls == 0 {
			line("cost", "your own", own.Source)
		} else {
			line("cost", "the model's", fmt.Sprintf("%s of %s from %s", report.Percent(own.Share), report.Seconds(a.Seconds), own.Source))
		}
	}
	b.WriteString("\nWhere the time went\n")
	for _, c := range sim.Causes() {
		if s := a.Stalls.Of(c); s > 0 {
			share := s / a.Seconds
			const width = 40
			bar := report.Bar(share, width)
			fmt.Fprintf(b, "  %-10s %s%s %12s  %s\n", c, bar, strings.Repeat(" ", width-len([]rune(bar))), report.Seconds(s), report.Percent(share))
		}
	}
	b.WriteString("\nKernels\n")
	kernels(b, o.result.Program)
	for _, n := range a.Notes {
		fmt.Fprintf(b, "\nnote: %s\n", n)
	}
}

// title names the operator with its dimensions.
func (o *opCommand) title() string {
	words := []string{o.op.Name()}
	for _, d := range o.op.Dims() {
		if n := *d.Of(&o.op); n > 0 || d.Otherwise != 0 || d.Least == 0 {
			words = append(words, fmt.Sprintf("%s=%d", d.Name, n))
		}
	}
	if o.op.Kind.Collective() {
		if o.op.Algorithm != "" {
			words = append(words, "by "+o.op.Algorithm)
		}
		return strings.Join(words, " ")
	}
	words = append(words, o.op.DType.String())
	if o.op.WeightDType != o.op.DType {
		words = append(words, "weights "+o.op.WeightDType.String())
	}
	if o.op.KVDType != o.op.DType {
		words = append(words, "cache "+o.op.KVDType.String())
	}
	if o.op.Backward {
		words = append(words, "forward and backward")
	}
	if o.op.Algorithm != "" {
		words = append(words, "by "+o.op.Algorithm)
	}
	if o.op.Kind == traces.Attention && !o.op.Causal {
		words = append(words, "not causal")
	}
	return strings.Join(words, " ")
}

// kernels lists the kernels of a program and the parts of each, with the tiles that were chosen.
func kernels(b *strings.Builder, p *plan.Program) {
	var walk func(body *plan.Body)
	walk = func(body *plan.Body) {
		if body.Op < 0 {
			for i := range body.Nodes {
				if inner := body.Nodes[i].Body; inner != nil {
					walk(inner)
				}
			}
			return
		}
		var parts []string
		for i := range body.Nodes {
			n := &body.Nodes[i]
			part := n.Name
			if n.Times > 1 {
				part += fmt.Sprintf(" × %d", n.Times)
			}
			parts = append(parts, part)
		}
		fmt.Fprintf(b, "  %s: %s\n", body.Name, strings.Join(parts, ", "))
	}
	walk(p.Entry)
}
