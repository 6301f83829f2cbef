package eval

import (
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

// Divide takes the parts of a result of training; r is its request.
func (r *Result) Divide(request Request) (*Divided, error) {
	if r.parts == nil {
		return nil, fmt.Errorf("no step was played")
	}
	request.ArchHash, request.Planned, request.Advise = r.Manifest.ArchHash, r.Planned(), false
	m := request.Machine
	return &Divided{request: request, parts: r.parts, network: &parallel.Links{Cluster: m.Cluster(), Library: m.CollectiveLibrary(r.parts.profile), Algorithm: request.Training.Algorithm}}, nil
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
