package main

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
)

// destinations are where a run's answer goes besides standard output.
type destinations struct {
	db       *store.Store   // nil for none
	file     *outFile       // of the timeline, nil for none
	timeline *eval.Timeline // written to file
	power    *outFile       // of the power over time, nil for none
}

// destinations opens what the flags name. What cannot be written is found here, not when the work is done. The result
// is to be closed even if there is an error.
func (r *runCommand) destinations(c *cobra.Command) (*destinations, error) {
	var d destinations
	var problems experiments.Problems
	var err error
	if r.db != "" {
		if d.db, err = store.Open(r.db, store.Options{ModelVersion: eval.Version, Tool: tool()}); err == nil {
			r.notes(c, d.db.Warnings()...)
		}
		problems.Add(err)
	}
	if r.timeline != "" {
		if d.file, err = createFile("timeline", r.timeline); err == nil {
			d.timeline = eval.NewTimeline(d.file)
		}
		problems.Add(err)
	}
	if r.powerTrace != "" {
		d.power, err = createFile("power-trace", r.powerTrace)
		problems.Add(err)
	}
	return &d, problems.Err()
}

// close closes the database and removes a file that was not completed.
func (d *destinations) close() error {
	for _, f := range []*outFile{d.file, d.power} {
		if f != nil {
			f.discard()
		}
	}
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}

// put keeps the answer and how long it took.
func (d *destinations) put(ctx context.Context, row store.Row, wall time.Duration) error {
	ctx = context.WithoutCancel(ctx)
	if err := d.db.Put(ctx, row); err != nil {
		return err
	}
	return d.db.SetMeta(ctx, "last_run_wall_seconds", strconv.FormatFloat(wall.Seconds(), 'g', 6, 64))
}

// unfit keeps a point that does not fit, which is a result too, and returns the error of its run with that of keeping it.
func (d *destinations) unfit(ctx context.Context, p *experiments.Point, req *eval.Request, reason error) error {
	unfit := plan.Infeasible(reason)
	if d.db == nil || unfit == nil {
		return reason
	}
	row, err := experiments.RecordInfeasible(p, req, unfit, tool())
	if err == nil {
		err = d.db.Put(context.WithoutCancel(ctx), row)
	}
	var problems experiments.Problems
	problems.Add(reason)
	problems.Add(err)
	return problems.Err()
}
