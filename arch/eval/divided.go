package eval

import (
	"context"
	"fmt"
	"sync"

	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Divided answers steps that are made of the same parts but divided over chips in other ways: what a chip and its tensor group
// run is timed once. Its methods may be called from several goroutines.
type Divided struct {
	request Request
	parts   *trainer
	mu      sync.Mutex // of what parts share
	network *parallel.Links
}

// Divide times the parts of a step, which need not fit into memory as the request divides them.
func Divide(ctx context.Context, r Request) (*Divided, error) {
	if r.Training == nil {
		return nil, fmt.Errorf("internal: no step of training")
	}
	p, err := r.planned(ctx)
	if err != nil {
		return nil, err
	}
	if r.Planned == nil {
		r.Planned = &Planned{program: p, graphHash: r.Graph.Hash()}
	}
	if r.ArchHash == "" {
		r.ArchHash = r.Machine.Hash()
	}
	r.Advise = false
	o, err := r.time(ctx, p)
	if err != nil {
		return nil, err
	}
	d := &Divided{request: r}
	if d.parts, err = d.request.parts(&Result{Program: p, Outcome: o.Outcome, timed: o}); err != nil {
		return nil, err
	}
	m := r.Machine
	d.network = &parallel.Links{Cluster: m.Cluster(), Library: m.CollectiveLibrary(d.parts.profile), Algorithm: r.Training.Algorithm}
	return d, nil
}

// Collective implements parallel.Network, so that all steps share what is known of it.
func (d *Divided) Collective(op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error) {
	return d.network.Collective(op, g, bytes)
}

// Step answers one that is divided as t says, in the same tensor, context and expert groups, with micro-batches as large. The
// answer has no key: it is that of no request.
func (d *Divided) Step(t Training) (*Answer, error) {
	was, is := d.request.Training.Degrees.Or1(), t.Degrees.Or1()
	if was.TP != is.TP || was.CP != is.CP || was.EP != is.EP || was.SP != is.SP || d.request.Training.MicroBatch != t.MicroBatch {
		return nil, fmt.Errorf("internal: parts of %+v do not make a step of %+v", was, is)
	}
	r := d.request
	r.Training = &t
	if err := r.checkTraining(); err != nil {
		return nil, err
	}
	k := *d.parts
	k.r, k.t = &r, &t
	k.res = &Result{Program: d.parts.res.Program, Outcome: d.parts.res.Outcome, timed: d.parts.res.timed}
	k.network = d
	if err := k.play(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := k.answer(); err != nil {
		return nil, err
	}
	return &k.res.Answer, nil
}
