package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/uncertainty"
)

func newRun() *cobra.Command {
	r := &runCommand{}
	c := &cobra.Command{
		Use:   "run",
		Short: "One model on one machine: time, stalls, memory, energy, cost",
		Long: `Simulate one model, or an operator trace, on one machine.

The answer goes to standard output: a report for people, or with -o json exactly one JSON object
(strata.run/1). Progress and notes go to standard error; SIGUSR1 asks for a line of progress.

Exit codes: 0 done, 1 a fault of ours or a file that could not be written, 2 bad input, 3 does not
fit or cannot keep to its power limit, 75 interrupted.`,
		Example: `strata run --arch a100-sxm-80gb --model llama2-7b --phase generate --batch 8 --prompt 512 --generate 128
strata run --arch a100-sxm-80gb --model gpt3-175b --phase decode --batch 8 --prompt 3072 --tp 8 -o json
strata run --arch a100-sxm-80gb --set "chip.memory[hbm].bandwidth=3 TB/s" --model llama2-7b --phase decode
strata run --arch tpu-v4 --trace t.jsonl --db results.db --timeline t.json
strata run --arch sn40l --tp 8 --workload coe.yaml
strata run --arch selene --model gpt3-175b --phase train --global-batch 1536 --tp 8 --pp 8 --dp 16 --sp --runtime megatron`,
		Args: cobra.NoArgs,
		RunE: r.run,
	}
	r.point.register(c)
	r.inside.register(c)
	const output = "Output"
	fs := c.Flags()
	formFlag(c, &r.form, &r.point.problems)
	fs.StringVar(&r.db, "db", "", "keep the answer in the results database `FILE`, made if it is not there")
	fs.StringVar(&r.timeline, "timeline", "", "write what happened when to `FILE`, a Chrome trace for ui.perfetto.dev")
	fs.StringVar(&r.powerTrace, "power-trace", "", "write the power over time to `FILE`, as CSV")
	fs.BoolVar(&r.stats, "stats", false, "write how long the simulator took to standard error, as JSON")
	fs.BoolVar(&r.noProgress, "no-progress", false, "no line of progress on a terminal")
	fs.BoolVarP(&r.quiet, "quiet", "q", false, "neither progress nor notes")
	r.interval.register(c, output, &r.point.problems)
	group(fs, output, "output", "db", "timeline", "power-trace", "stats", "no-progress", "quiet")
	return c
}

// runCommand is strata run.
type runCommand struct {
	point             pointFlags
	inside            insideFlags
	tables            tables
	interval          intervalFlag
	form              string
	db, timeline      string
	powerTrace        string
	stats, noProgress bool
	quiet             bool
}

func (r *runCommand) run(c *cobra.Command, _ []string) (err error) {
	trains := r.point.options.Phase == experiments.Train || r.point.options.Phase == experiments.FineTune
	if r.timeline != "" && r.point.options.Fidelity != eval.Event && !trains {
		r.point.problems.Add(&experiments.Invalid{Field: "timeline", Message: "the closed form has no timeline", Hint: "use --fidelity event"})
	}
	r.inside.check(c, r.form, &r.point.problems)
	r.point.outputs = []named{{"db", r.db}, {"timeline", r.timeline}, {"power-trace", r.powerTrace}}
	in := inputs(r.point.arch, r.point.model, r.point.draft, r.point.trace, r.point.mapping)
	checkOutputs(c, &r.point.problems, r.point.outputs, append(in, named{"cost", r.point.cost.options.File}, named{"workload", r.point.many.file}))
	p, req, err := r.point.request(c)
	if err != nil {
		return err
	}
	r.notes(c, req.Graph.Notes...)
	d, err := r.destinations(c)
	defer func() {
		if e := d.close(); err == nil {
			err = e
		}
	}()
	if err != nil {
		return err
	}
	req.Advise = true
	switch {
	case req.Training != nil:
		req.Training.Record = d.file != nil
	case d.timeline != nil:
		req.Observer = d.timeline
	}
	start := time.Now()
	if p.Composition != nil {
		if r.interval.level > 0 {
			r.notes(c, "no interval: of a composition nothing was measured")
		}
		answer, err := r.compose(c, p, req)
		if err != nil {
			return d.unfit(c.Context(), p, req, err)
		}
		return r.deliver(c, d, p, req, &eval.Result{Answer: *answer}, time.Since(start))
	}
	distribution, err := r.distribute(c, p, req)
	if err != nil {
		return d.unfit(c.Context(), p, req, err)
	}
	res, err := r.simulate(c, req)
	wall := time.Since(start)
	if err != nil {
		return d.unfit(c.Context(), p, req, err)
	}
	res.Distribution = distribution
	if r.interval.level > 0 {
		r.tables.interval = uncertainty.Default().OfModel(uncertainty.Of{Level: r.interval.level, Machine: req.Machine, Hash: req.Machine.Hash(), Answer: &res.Answer,
			Beyond: uncertainty.Choices(r.point.mapping, req.Mapping.Fusion, float64(req.PowerLimit))}, req.Graph, p.Model != nil && p.Model.MoE != nil)
		if r.tables.interval == nil {
			r.notes(c, "no interval: nothing like this was measured")
		}
	}
	return r.deliver(c, d, p, req, res, wall)
}

// deliver puts the answer where it was asked for. The work is done: whatever fails here, the answer is printed, and an
// interrupt that comes now is too late to lose it.
func (r *runCommand) deliver(c *cobra.Command, d *destinations, p *experiments.Point, req *eval.Request, res *eval.Result, wall time.Duration) error {
	processOf(c.Context()).delivering.Store(true)
	var problems experiments.Problems
	row, err := experiments.Record(p, req, &res.Answer, tool())
	problems.Add(err)
	if d.db != nil && err == nil {
		problems.Add(d.put(c.Context(), row, wall))
	}
	if d.file != nil {
		problems.Add(writeTimeline(d.file, d.timeline, res))
	}
	if d.power != nil {
		problems.Add(writePower(d.power, res))
	}
	problems.Add(r.print(c, p, res, row))
	if r.stats {
		printStats(c.ErrOrStderr(), res.Events, wall)
	}
	return problems.Err()
}

func (r *runCommand) notes(c *cobra.Command, notes ...string) {
	if r.quiet {
		return
	}
	for _, n := range notes {
		note(c, n)
	}
}

// simulate runs the request with a line of progress.
func (r *runCommand) simulate(c *cobra.Command, req *eval.Request) (*eval.Result, error) {
	w := c.ErrOrStderr()
	p := startProgress(w, !r.quiet && !r.noProgress && isTerminal(w))
	defer p.stop()
	req.Progress = p.update
	res, err := eval.Run(c.Context(), *req)
	if err == nil {
		r.tables, err = r.inside.look(c.Context(), req, res, p)
	}
	return res, err
}

func writeTimeline(out *outFile, t *eval.Timeline, res *eval.Result) error {
	write := t.Write
	if res.Played != nil {
		write = func() error { return res.StepTimeline(out) }
	}
	if err := write(); err != nil {
		return outputError(out.name, err)
	}
	return out.commit()
}

func writePower(out *outFile, res *eval.Result) error {
	if err := res.PowerTrace(out); err != nil {
		return outputError(out.name, err)
	}
	return out.commit()
}

func (r *runCommand) print(c *cobra.Command, p *experiments.Point, res *eval.Result, row store.Row) error {
	return printTo(c, func(w io.Writer) error {
		switch r.form {
		case "json":
			text, err := experiments.EncodeAnswer(r.tables.with(res.Answer))
			if err != nil {
				return err
			}
			_, err = w.Write(append(text, '\n'))
			return err
		case "csv":
			if written, err := r.tables.csv(w); written {
				return err
			}
			return report.Scalars(w, row)
		}
		return report.Run(w, r.tables.with(res.Answer), report.Options{Style: styleOf(c), Machine: r.point.arch, Ideal: p.Ideal, Changes: len(p.Set)})
	})
}

// printStats says what the simulator itself took. It is no part of the answer, which is the same every time.
func printStats(w io.Writer, events int64, wall time.Duration) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := struct {
		Schema       string  `json:"schema"`
		WallSeconds  float64 `json:"wall_seconds"`
		Events       int64   `json:"events"`
		EventsPerSec float64 `json:"events_per_second"`
		MemoryBytes  uint64  `json:"memory_bytes"` // obtained from the system
	}{"strata.stats/1", wall.Seconds(), events, float64(events) / max(wall.Seconds(), 1e-9), m.Sys}
	_ = json.NewEncoder(w).Encode(s)
}

// note says something on standard error that is no error.
func note(c *cobra.Command, text string) {
	fmt.Fprintf(c.ErrOrStderr(), "strata: note: %s\n", text)
}
