package fidelity

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim"
)

// Pair is one point in both fidelities.
type Pair struct {
	Name            string
	Kind            string
	Phase           string
	Format          string
	Batch, Prompt   int64
	TP              int64
	Analytic, Event float64 // seconds
	// More is what the event fidelity charges to each cause beyond what the closed form does, in seconds.
	More [sim.NumCauses]float64
	// AnalyticBound and EventBound are the causes that most of the time is charged to.
	AnalyticBound, EventBound string
	// Op is the operator whose time differs most, and OpMore by how much, in seconds.
	Op     string
	OpMore float64
}

// Gap is the signed gap: below 0 where the closed form is the faster.
func (p *Pair) Gap() float64 {
	if p.Event == 0 {
		return 0
	}
	return p.Analytic/p.Event - 1
}

// Cause is the cause that the two differ most in.
func (p *Pair) Cause() sim.Cause {
	most := sim.Cause(0)
	for c, t := range p.More {
		if math.Abs(t) > math.Abs(p.More[most]) {
			most = sim.Cause(c)
		}
	}
	return most
}

// String says what the point is.
func (p *Pair) String() string {
	return fmt.Sprintf("%s, %s, batch %d, prompt %d, tp %d, %s", p.Name, p.Phase, p.Batch, p.Prompt, p.TP, p.Format)
}

// Where says where the two differ: the cause that events charge most more or less to, and the operator that differs most.
func (p *Pair) Where() string {
	c := p.Cause()
	return fmt.Sprintf("%s %+.1f %% of the time, %s %+.1f %%", c, 100*p.More[c]/p.Event, p.Op, 100*p.OpMore/p.Event)
}

// both times one request in both fidelities, on one plan.
func both(ctx context.Context, r eval.Request) (analytic, event *eval.Result, err error) {
	r.Fidelity = eval.Analytic
	if analytic, err = eval.Run(ctx, r); err != nil {
		return nil, nil, err
	}
	r.Fidelity, r.Planned = eval.Event, analytic.Planned()
	event, err = eval.Run(ctx, r)
	return analytic, event, err
}

// Compare times a point in both fidelities.
func Compare(ctx context.Context, d *Drawn, archHash string) (*Pair, error) {
	r, err := d.Point.Request()
	if err != nil {
		return nil, err
	}
	r.ArchHash = archHash
	a, e, err := both(ctx, r)
	if err != nil {
		return nil, err
	}
	p := &Pair{Name: d.Point.Model.Name, Kind: d.Kind, Phase: d.Point.Phase, Format: d.Point.WeightDType, Batch: d.Point.Batch, Prompt: d.Point.Prompt, TP: d.Point.TP}
	p.fill(a, e)
	return p, nil
}

// fill notes times and what they differ in.
func (p *Pair) fill(a, e *eval.Result) {
	p.Analytic, p.Event = a.Seconds, e.Seconds
	p.AnalyticBound, p.EventBound = a.BoundBy, e.BoundBy
	for c := range p.More {
		p.More[c] = e.Stalls[c] - a.Stalls[c]
	}
	for i := range e.Outcome.Ops {
		more := (e.Outcome.Ops[i].Time - a.Outcome.Ops[i].Time).Seconds()
		if math.Abs(more) > math.Abs(p.OpMore) {
			p.Op, p.OpMore = e.Program.Ops[i].Name, more
		}
	}
}

// MostDrawn is how many points may be drawn for each that is wanted.
const MostDrawn = 40

// Sample is what a machine's points came to.
type Sample struct {
	Machine string
	Pairs   []Pair
	Refused int64 // that were drawn and do not fit, or cannot be divided
}

// Run compares the first n points of a machine that fit. The context ends it.
func Run(ctx context.Context, machine string, seed uint64, n int) (*Sample, error) {
	m, err := experiments.MachineOf(machine, nil)
	if err != nil {
		return nil, err
	}
	s := &Sample{Machine: m.Name}
	hash := m.Hash()
	batch := max(32, n/4)
	for next := int64(0); len(s.Pairs) < n; next += int64(batch) {
		if next >= int64(n)*MostDrawn {
			return nil, fmt.Errorf("%s: of %d points only %d fit", machine, next, len(s.Pairs))
		}
		pairs, err := several(ctx, m, hash, seed, next, batch)
		if err != nil {
			return nil, err
		}
		for _, p := range pairs {
			switch {
			case len(s.Pairs) == n: // drawn beyond what is wanted
			case p == nil:
				s.Refused++
			default:
				s.Pairs = append(s.Pairs, *p)
			}
		}
	}
	return s, nil
}

// several compares points of numbers in a row, on all cores. Those that are refused are nil.
func several(ctx context.Context, m *arch.Machine, hash string, seed uint64, from int64, n int) ([]*Pair, error) {
	pairs, failures := make([]*Pair, n), make([]error, n)
	var team sync.WaitGroup
	var mu sync.Mutex
	next := 0
	for range min(runtime.GOMAXPROCS(0), n) {
		team.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= n || ctx.Err() != nil {
					return
				}
				d := draw(m, seed, from+int64(i))
				p, err := Compare(ctx, d, hash)
				switch {
				case err == nil:
					pairs[i] = p
				case !refused(err):
					failures[i] = fmt.Errorf("%s on %s: %w", d.Point.Model.Name, m.Name, err)
				}
			}
		})
	}
	team.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return pairs, errors.Join(failures...)
}

// refused reports whether a point cannot be: it does not fit, does not keep to the power limit, or its heads do not divide.
func refused(err error) bool {
	var invalid *plan.Invalid
	return plan.Infeasible(err) != nil || errors.As(err, &invalid)
}
