package sweep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/experiments/search"
	"github.com/stratasim/strata/experiments/store"
)

// Defaults of a search.
const (
	defaultPopulation  = 64
	defaultGenerations = 50
)

// Best is what a search, or the points of a sweep, came to.
type Best struct {
	Objectives []pareto.Objective
	// Front are the points that no other dominates, in the order of their first objective.
	Front []FrontPoint
	// Points counts all by status, Feasible those that the front is of.
	Status   map[string]int64
	Feasible int64
	// Rejected counts points by the reason for which they are not feasible.
	Rejected map[Refusal]int64
}

// FrontPoint is a point of a front.
type FrontPoint struct {
	Index      int64
	Key        string
	Parameters string
	Values     []float64 // of the objectives
}

// algorithm makes the search that a file describes.
func (s *Space) algorithm() (search.Algorithm, error) {
	f := s.File.Search
	o := search.Options{Seed: uint64(f.Seed), Population: int(f.Population), Generations: int(f.Generations)}
	if o.Generations == 0 {
		o.Generations = defaultGenerations
	}
	if o.Population == 0 && f.Algorithm != "cmaes" {
		o.Population = defaultPopulation
	}
	if f.Algorithm == "cmaes" { // its runs grow: what bounds it are evaluations
		population := o.Population
		if population == 0 {
			population = defaultPopulation
		}
		o.Evaluations, o.Generations = population*o.Generations, 0
	}
	switch f.Algorithm {
	case "cmaes":
		return search.NewCMAES(s.variables(), o)
	case "random":
		return search.NewRandom(s.variables(), o)
	}
	return search.NewNSGA2(s.variables(), o)
}

// CheckSearch says what keeps the file from being searched, nil for nothing.
func (s *Space) CheckSearch() error {
	switch {
	case s.File.Search == nil:
		return errors.New("the file says nothing of a search: add search: {algorithm: nsga2}")
	case len(s.objectives) == 0:
		return errors.New("the file has no objectives: add objectives: [{column: seconds}, {column: joules}]")
	case s.File.Search.Algorithm == "cmaes" && len(s.objectives) > 1:
		return fmt.Errorf("cmaes has one objective, the file has %d: choose nsga2, or leave others out", len(s.objectives))
	}
	_, err := s.algorithm()
	return err
}

// Search looks for good points, generation by generation, and keeps every point with its generation. What is random hangs on the seed and
// on what came out before, so a search that was interrupted goes on to the same points: those that are in the store are not run again.
func (s *Space) Search(ctx context.Context, o Options) (*Progress, error) {
	a, err := s.algorithm()
	if err != nil {
		return nil, err
	}
	r, closing, err := s.begin(ctx, &o, "search")
	if err != nil {
		return nil, err
	}
	defer closing()
	if r.journal, err = openJournal(o.Store.Path(), s.File.Name, o.Workers); err != nil {
		return nil, err
	}
	defer r.journal.close()
	before := map[int64]store.Point{}
	if err := o.Store.Points(ctx, s.File.Name, func(p store.Point) error {
		if !slices.Contains(o.Retry, p.Status) {
			before[p.Index] = p
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var next int64
	for generation := int64(0); ; generation++ {
		asked := a.Ask()
		if asked == nil {
			return &r.progress, ctx.Err()
		}
		outcomes, err := r.generation(ctx, asked, next, generation, before)
		if err != nil {
			return &r.progress, err
		}
		if ctx.Err() != nil {
			return &r.progress, ctx.Err()
		}
		if err := a.Tell(outcomes); err != nil {
			return &r.progress, fmt.Errorf("internal: generation %d: %w", generation, err)
		}
		next += int64(len(asked))
	}
}

// generation runs the points of a generation, as far as they are not in the store, and returns what the search is told of them.
func (r *runner) generation(ctx context.Context, asked []search.Candidate, first, generation int64, before map[int64]store.Point) ([]search.Outcome, error) {
	s := r.space
	outs := make([]*outcome, len(asked))
	b := &batch{r: r}
	work := make(chan int)
	var wait sync.WaitGroup
	for w := range r.o.Workers {
		wait.Go(func() {
			for k := range work {
				i := first + int64(k)
				if r.journal.tries[i] >= mostTries {
					outs[k] = r.gaveUp(i, s.settled(asked[k]))
					outs[k].point.Generation = &generation
					continue
				}
				r.journal.begin(w, i)
				if outs[k] = r.candidate(ctx, asked[k], i, generation); outs[k] != nil {
					r.journal.end(w)
				}
			}
		})
	}
	r.progress.Points = max(r.progress.Points, first+int64(len(asked)))
	for k := range asked {
		i := first + int64(k)
		if p, ok := before[i]; ok {
			if want := s.Parameters(s.settled(asked[k])); p.Parameters != want {
				close(work)
				wait.Wait()
				return nil, fmt.Errorf("point %d of search %q is %s in the database, and the search asks for %s: the file is of another build; search under another name", i, s.File.Name, p.Parameters, want)
			}
			outs[k] = &outcome{index: i, point: p}
			r.progress.Before++
			r.progress.Done++
			r.progress.Status[p.Status]++
			continue
		}
		work <- k
	}
	close(work)
	wait.Wait()
	told := make([]search.Outcome, len(asked))
	for k, out := range outs {
		if out == nil { // stopped
			continue
		}
		if out.again { // it needs the memory of all: alone now
			r.guard.alone()
			if out = r.candidate(ctx, asked[k], first+int64(k), generation); out == nil {
				continue
			}
			r.guard.together()
		}
		if _, ok := before[out.index]; !ok {
			if err := b.add(out); err != nil {
				return nil, err
			}
		}
		told[k] = s.outcome(out)
	}
	if err := b.put(); err != nil {
		return nil, err
	}
	if ctx.Err() == nil {
		for k, out := range outs {
			if out != nil && told[k].Objectives == nil && out.point.Status == OK {
				values, err := r.objectives(ctx, out)
				if err != nil {
					return nil, err
				}
				told[k] = values
			}
		}
	}
	return told, nil
}

// settled are the values of a candidate with axes switched off that are.
func (s *Space) settled(c search.Candidate) []Value {
	values := s.valuesOf(c)
	_, _ = s.switchOff(values) // an error is that of the point, see candidate
	return values
}

// candidate runs one point of a search; nil if the run was stopped.
func (r *runner) candidate(ctx context.Context, c search.Candidate, i, generation int64) *outcome {
	out := &outcome{index: i, point: store.Point{Sweep: r.space.File.Name, Index: i, Generation: &generation}}
	values := r.space.valuesOf(c)
	if _, err := r.space.switchOff(values); err != nil {
		out.point.Parameters = r.space.Parameters(values) // as a search that goes on finds them
		out.point.Status, out.point.Reason = Invalid, err.Error()
		return out
	}
	r.evaluate(ctx, values, out)
	if ctx.Err() != nil && out.point.Status != OK {
		return nil
	}
	return out
}

// outcome is what the search is told of a point that needs no objectives.
func (s *Space) outcome(out *outcome) search.Outcome {
	switch p := &out.point; p.Status {
	case OK:
		return search.Outcome{}
	case Rejected:
		return search.Outcome{Violation: max(*orZero(p.Violation), 1e-9)}
	case Infeasible:
		return search.Outcome{Violation: infeasibleViolation}
	default:
		return search.Outcome{Failed: true}
	}
}

// infeasibleViolation ranks what does not fit behind what misses constraints by less than ten times.
const infeasibleViolation = 10

func orZero(v *float64) *float64 {
	if v == nil {
		return new(float64)
	}
	return v
}

// objectives reads the objectives of a point.
func (r *runner) objectives(ctx context.Context, out *outcome) (search.Outcome, error) {
	values, lacks, err := r.space.Objectives(ctx, r.o.Store, &out.point)
	if err != nil {
		return search.Outcome{}, err
	}
	if lacks != "" { // the point is of no use for the search
		return search.Outcome{Failed: true}, nil
	}
	minimised, err := pareto.Minimised(r.space.objectives, values)
	return search.Outcome{Objectives: minimised}, err
}

// Objectives returns the values of the objectives of a point that was answered, or the name of one that has no value.
func (s *Space) Objectives(ctx context.Context, db *store.Store, p *store.Point) (values []float64, lacks string, err error) {
	own, err := p.Own()
	if err != nil {
		return nil, "", err
	}
	var columns []string
	for _, o := range s.objectives {
		if _, figure := p.Figures[stored(o.Name)]; figure || s.isOwn(o.Name) || slices.Contains(store.PointFigures(), stored(o.Name)) {
			continue
		}
		columns = append(columns, o.Name)
	}
	var row store.Values
	if len(columns) > 0 {
		if row, err = db.Columns(ctx, p.Key, columns); err != nil {
			return nil, "", err
		}
	}
	for _, o := range s.objectives {
		v, ok := p.Figures[stored(o.Name)]
		if !ok {
			v, ok = own[o.Name]
		}
		if !ok {
			switch x := row[o.Name].(type) {
			case float64:
				v, ok = x, true
			case int64:
				v, ok = float64(x), true
			}
		}
		if !ok {
			return nil, o.Name, nil
		}
		values = append(values, v)
	}
	return values, "", nil
}

func (s *Space) isOwn(name string) bool {
	return slices.ContainsFunc(s.columns, func(c column) bool { return c.name == name })
}

// Best reads the front of all points of a sweep or search in the store.
func (s *Space) Best(ctx context.Context, db *store.Store) (*Best, error) {
	b := &Best{Objectives: s.objectives, Status: map[string]int64{}, Rejected: map[Refusal]int64{}}
	var all []store.Point
	if err := db.Points(ctx, s.File.Name, func(p store.Point) error {
		b.Status[p.Status]++
		if p.Status == OK {
			all = append(all, p)
		} else {
			b.Rejected[Refusal{p.Status, Group(p.Status, p.Reason)}]++
		}
		return nil
	}); err != nil || len(s.objectives) == 0 {
		b.Feasible = int64(len(all))
		return b, err
	}
	var points []pareto.Point
	var of []FrontPoint
	for i := range all {
		values, lacks, err := s.Objectives(ctx, db, &all[i])
		if err != nil {
			return nil, err
		}
		if lacks != "" {
			b.Rejected[Refusal{Invalid, lacks + " has no value"}]++
			continue
		}
		minimised, err := pareto.Minimised(s.objectives, values)
		if err != nil {
			return nil, err
		}
		points = append(points, pareto.Point{Objectives: minimised})
		of = append(of, FrontPoint{all[i].Index, all[i].Key, all[i].Parameters, values})
	}
	b.Feasible = int64(len(points))
	front, err := pareto.Front(points)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, i := range front {
		// Asked for again, or with other parameters that come to the same model, such as ratios that are rounded.
		if at := fmt.Sprint(of[i].Key, of[i].Values); !seen[at] {
			seen[at] = true
			b.Front = append(b.Front, of[i])
		}
	}
	slices.SortStableFunc(b.Front, func(x, y FrontPoint) int { return slices.Compare(x.Values, y.Values) })
	return b, nil
}

// Group is the reason for a status without what differs from point to point: by how much a point does not fit.
func Group(status, reason string) string {
	if status == Infeasible {
		reason, _, _ = strings.Cut(reason, ":")
	}
	return reason
}

// Reasons lists why points are not feasible, the most frequent first.
func (b *Best) Reasons() []Refusal {
	list := slices.Collect(maps.Keys(b.Rejected))
	slices.SortFunc(list, func(x, y Refusal) int {
		if n, m := b.Rejected[x], b.Rejected[y]; n != m {
			return int(m - n)
		}
		if x.Status != y.Status {
			return slices.Index(Statuses(), x.Status) - slices.Index(Statuses(), y.Status)
		}
		if x.Reason < y.Reason {
			return -1
		}
		return 1
	})
	return list
}
