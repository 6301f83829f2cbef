package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/memory/dram"
)

func newOpDRAM() *cobra.Command {
	o := &opDRAM{load: "sat"}
	c := &cobra.Command{
		Use:   "dram",
		Short: "Accesses to DRAM: share of the peak bandwidth, latency, energy of the chips",
		Long: `Simulate accesses of 64 bytes to a DRAM controller and the chips behind it, with no machine around it.

Standards: ` + strings.Join(dram.Standards(dram.FirstReady), ", "),
		Example: `strata op dram --standard HBM3-6400
strata op dram --standard DDR5-4800 --pattern multi --streams 3 --chunk-bytes '4 KiB' --read-fraction 0.667
strata op dram --standard DDR4-3200 --pattern random --load 0.2 -o json`,
		Args: cobra.NoArgs,
		RunE: o.run,
	}
	o.register(c)
	return c
}

// opDRAM is strata op dram.
type opDRAM struct {
	q                dram.Request
	streams, chunk   int64
	stride, channels int64
	outstanding      int64
	reads            string
	load             string
	fidelity, form   string
	problems         experiments.Problems
}

func (o *opDRAM) register(c *cobra.Command) {
	const chips, pattern, how, output = "DRAM", "Accesses", "Simulation", "Output"
	fs, q := c.Flags(), &o.q
	fs.StringVar(&q.Standard, "standard", "", "`NAME` of the standard, e.g. HBM3-6400")
	fs.Var(&dimension{"channels", &o.channels, &o.problems}, "channels", "channels that lines are dealt to, a power of two (default 1)")
	q.Controller = dram.FirstReady
	fs.StringVar(&q.Controller, "controller", q.Controller, "`NAME` of the controller: "+strings.Join(dram.Controllers(), " or "))
	fs.StringVar(&q.Mapping, "address-map", "", "`NAME` of the address map: "+strings.Join(dram.Mappings(), ", ")+" (default bgint, for dramsim3 rorabacobgch)")
	fs.StringVar(&q.Refresh, "refresh", dram.AllBank, "`WHICH` banks are refreshed together: ab (all), pb (one at a time) or none")
	group(fs, chips, "standard", "channels", "controller", "address-map", "refresh")
	fs.StringVar(&q.Kind, "pattern", dram.Sequential, "`KIND` of accesses: seq (consecutive), multi (streams that take turns), stride or random")
	fs.Var(&dimension{"streams", &o.streams, &o.problems}, "streams", "streams of pattern multi; whole streams read or write (default 1)")
	fs.Var(&dimension{"bytes", &o.chunk, &o.problems}, "chunk-bytes", "bytes of a stream's turn, or of a random block (default 64)")
	fs.Var(&dimension{"bytes", &o.stride, &o.problems}, "stride-bytes", "bytes between lines of pattern stride (default 64)")
	fs.StringVar(&o.reads, "read-fraction", "1", "`SHARE` of reads, from 0 to 1")
	fs.StringVar(&o.load, "load", o.load, "`SHARE` of the peak that is asked for, or sat for as much as the queues take")
	fs.Var(&dimension{"outstanding", &o.outstanding, &o.problems}, "outstanding", "bursts under way at most (default as many as the queues take)")
	q.Requests, q.Seed = dram.UsualRequests, 1
	fs.Var(&dimension{"requests", &q.Requests, &o.problems}, "requests", "lines of 64 bytes (default "+strconv.Itoa(dram.UsualRequests)+")")
	fs.Var(&dimension{"seed", &q.Seed, &o.problems}, "seed", "seed of random places (default 1)")
	group(fs, pattern, "pattern", "streams", "chunk-bytes", "stride-bytes", "read-fraction", "load", "outstanding", "requests", "seed")
	o.fidelity = eval.Event
	fs.Var(&choice{"fidelity", &o.fidelity, fidelities, &o.problems}, "fidelity", "`HOW`: event (every command is played) or analytic (closed form)")
	fs.BoolVar(&q.Exact, "exact", false, "play every line, also of a steady stream")
	group(fs, how, "fidelity", "exact")
	formFlag(c, &o.form, &o.problems)
	group(fs, output, "output")
	complete(c, "standard", func() []string { return dram.Standards(dram.FirstReady) })
	complete(c, "controller", dram.Controllers)
	complete(c, "address-map", dram.Mappings)
	complete(c, "refresh", dram.Refreshes)
	complete(c, "pattern", dram.Kinds)
	complete(c, "fidelity", func() []string { return fidelities })
}

// flagsOf are the flags that are not called as the members of a request are.
var flagsOf = map[string]string{"mapping": "address-map", "kind": "pattern"}

func (o *opDRAM) run(c *cobra.Command, _ []string) error {
	q := &o.q
	or := func(flag string, v, otherwise int64) int64 {
		if c.Flags().Changed(flag) {
			return v
		}
		return otherwise
	}
	if q.Mapping == "" {
		if q.Mapping = "bgint"; q.Controller == dram.BankQueues {
			q.Mapping = "rorabacobgch"
		}
	}
	q.Channels, q.Streams = int(or("channels", o.channels, 1)), int(or("streams", o.streams, 1))
	q.ChunkBytes, q.StrideBytes = or("chunk-bytes", o.chunk, dram.Line), or("stride-bytes", o.stride, dram.Line)
	q.Outstanding = int(o.outstanding)
	number := func(flag, text string) float64 {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			o.problems.Add(&experiments.Invalid{Field: flag, Message: fmt.Sprintf("%q: must be a number", shorten(text))})
		}
		return x
	}
	q.ReadFraction = number("read-fraction", o.reads)
	if o.load != "sat" {
		if q.Load = number("load", o.load); q.Load == 0 {
			o.problems.Add(&experiments.Invalid{Field: "load", Message: fmt.Sprintf("%s: must be from %g to 1", o.load, dram.MinLoad), Hint: "sat for as much as the queues take"})
		}
	}
	if q.Standard == "" {
		o.problems.Add(&experiments.Invalid{Field: "standard", Message: "which DRAM?", Hint: "e.g. HBM3-6400"})
	}
	if err := o.problems.Err(); err != nil {
		return err
	}
	a, err := oracle.OfDRAM(c.Context(), q, o.fidelity)
	var bad *dram.Invalid
	if errors.As(err, &bad) {
		field := flagOf(bad.Field)
		if f, ok := flagsOf[bad.Field]; ok {
			field = f
		}
		hint := bad.Hint
		if field == "streams" {
			hint = "use --pattern multi"
		}
		o.problems.Add(&experiments.Invalid{Field: field, Message: bad.Message, Hint: hint})
		return o.problems.Err()
	}
	if err != nil {
		return err
	}
	return printTo(c, func(w io.Writer) error { return o.print(w, a, styleOf(c)) })
}

// print writes the answer in the form asked for.
func (o *opDRAM) print(w io.Writer, a *oracle.DRAMAnswer, style report.Style) error {
	switch o.form {
	case "json":
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			Schema string          `json:"schema"`
			DRAM   json.RawMessage `json:"dram"` // as in an estimate request
			*oracle.DRAMAnswer
		}{opSchema, oracle.DRAMJSON(&o.q), a})
	case "csv":
		return o.csv(a).CSV(w)
	}
	var b strings.Builder
	q := &o.q
	fmt.Fprintf(&b, "%s", q.Standard)
	if q.Channels > 1 {
		fmt.Fprintf(&b, ", %d channels", q.Channels)
	}
	fmt.Fprintf(&b, ": %d lines of 64 B, %s\n%s, address map %s, refresh %s; %s fidelity\n\n", q.Requests, q.Kind, q.Controller, q.Mapping, q.Refresh, a.Fidelity)
	line := func(name, value, more string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-10s %-14s %s", name, value, more), " ") + "\n")
	}
	line("rate", report.Rate(a.GigabytesPerSecond*1e9), report.Percent(a.FractionOfPeak)+" of the peak")
	if a.LatencyNS > 0 {
		line("latency", report.Seconds(a.LatencyNS*1e-9), "of a read, from the queue to the end of its data")
	}
	line("rows", fmt.Sprintf("%.3g", a.ActivatesPerLine), "opened for a line")
	line("time", report.Seconds(a.Seconds), "")
	if e := a.Energy; e != nil {
		line("energy", fmt.Sprintf("%.3g pJ/bit", a.PicojoulesPerBit), fmt.Sprintf("of the chips: opening rows %.2g, moving data %.2g, refresh %.2g, standing by %.2g", e.Activate, e.ReadWrite, e.Refresh, e.Background))
	}
	_, err := io.WriteString(w, style.Text(b.String()))
	return err
}

// csv is the figures as one row under their names.
func (o *opDRAM) csv(a *oracle.DRAMAnswer) *report.Table {
	t := &report.Table{}
	var row []any
	add := func(name string, v any) {
		t.Columns = append(t.Columns, report.Column{Name: name})
		row = append(row, v)
	}
	q := &o.q
	add("standard", q.Standard)
	add("channels", int64(q.Channels))
	add("controller", q.Controller)
	add("mapping", q.Mapping)
	add("refresh", q.Refresh)
	add("kind", q.Kind)
	add("streams", int64(q.Streams))
	add("chunk_bytes", q.ChunkBytes)
	add("stride_bytes", q.StrideBytes)
	add("read_fraction", q.ReadFraction)
	add("load", o.load)
	add("outstanding", int64(q.Outstanding))
	add("requests", q.Requests)
	add("seed", q.Seed)
	add("fidelity", a.Fidelity)
	add("fraction_of_peak", a.FractionOfPeak)
	add("gigabytes_per_second", a.GigabytesPerSecond)
	add("latency_ns", a.LatencyNS)
	add("seconds", a.Seconds)
	add("activates_per_line", a.ActivatesPerLine)
	add("picojoules_per_bit", a.PicojoulesPerBit)
	t.Rows = [][]any{row}
	return t
}
