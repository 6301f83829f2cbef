package search

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Outcome is what an evaluation found out about a candidate.
type Outcome struct {
	Objectives []float64 // minimised, finite; an infeasible candidate may have none
	Violation  float64   // by how much constraints are broken in total, in comparable units; 0: feasible; finite
	Failed     bool      // there was no evaluation; the rest does not count, and all others are better
}

// Algorithm proposes candidates, generation by generation. Whoever uses it alternates Ask and Tell.
type Algorithm interface {
	// Ask returns the next generation, nil when there is none. Until it is told about, the answer stays the same.
	Ask() []Candidate
	// Tell takes the outcomes of the generation last asked for, in its order. After an error nothing has changed.
	Tell([]Outcome) error
}

// Options are what all algorithms have in common.
type Options struct {
	Seed        uint64
	Population  int // candidates a generation; of CMA-ES 0 stands for 4 + 3 ln n, with n variables
	Generations int // ends after so many; 0: no limit
	Evaluations int // ends before more candidates than this; 0: no limit. One of the two limits is needed
	// Initial are candidates to begin with: of NSGA-II and of the random search the first of the first generation, of CMA-ES the
	// centres of the first run and of its restarts.
	Initial []Candidate
}

func (o *Options) validate(s Space, leastPopulation int) error {
	var problems []error
	if err := s.Validate(); err != nil {
		return err
	}
	if o.Population < leastPopulation {
		problems = append(problems, fmt.Errorf("a population of %d: at least %d", o.Population, leastPopulation))
	}
	if o.Generations < 0 || o.Evaluations < 0 || o.Generations == 0 && o.Evaluations == 0 {
		problems = append(problems, fmt.Errorf("%d generations and %d evaluations: a limit is needed", o.Generations, o.Evaluations))
	}
	for i, c := range o.Initial {
		if err := s.Check(c); err != nil {
			problems = append(problems, fmt.Errorf("initial candidate %d: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

// Generation is one turn of a search: what was asked, and what was told about it.
type Generation struct {
	Candidates []Candidate
	Outcomes   []Outcome
}

// Replay brings a new algorithm to where another one with the same space and options was after a history, without evaluating
// anything. It is an error if the algorithm asks for other candidates than the history has.
func Replay(a Algorithm, history []Generation) error {
	for g, past := range history {
		now := a.Ask()
		if len(now) != len(past.Candidates) {
			return fmt.Errorf("generation %d: %d candidates, %d in the history: it is of another search", g, len(now), len(past.Candidates))
		}
		for i, c := range now {
			if !slices.Equal(c, past.Candidates[i]) {
				return fmt.Errorf("generation %d, candidate %d: %v, %v in the history: it is of another search", g, i, c, past.Candidates[i])
			}
		}
		if err := a.Tell(past.Outcomes); err != nil {
			return fmt.Errorf("generation %d: %w", g, err)
		}
	}
	return nil
}

// turns keeps whose turn it is, and the limits.
type turns struct {
	space       Space
	options     Options
	generation  int // of asked, or the next one
	evaluations int // told
	objectives  int // of all outcomes, 0 before the first
	asked       []Candidate
}

// ask returns what is to be told, or has propose make it: n candidates at most, with what is random in this generation.
func (t *turns) ask(propose func(n int, draw *rand.Rand) []Candidate) []Candidate {
	if len(t.asked) == 0 {
		n := math.MaxInt
		if t.options.Evaluations > 0 {
			n = t.options.Evaluations - t.evaluations
		}
		if t.options.Generations > 0 && t.generation >= t.options.Generations || n <= 0 {
			return nil
		}
		t.asked = propose(n, stream(t.options.Seed, uint64(t.generation)))
		if len(t.asked) == 0 {
			return nil
		}
	}
	all := make([]Candidate, len(t.asked))
	for i, c := range t.asked {
		all[i] = slices.Clone(c)
	}
	return all
}

// tell checks outcomes, and returns them with what was asked. The turn is over then.
func (t *turns) tell(outcomes []Outcome) ([]individual, error) {
	if len(t.asked) == 0 {
		return nil, errors.New("told before a generation was asked for")
	}
	if len(outcomes) != len(t.asked) {
		return nil, fmt.Errorf("%d outcomes for a generation of %d", len(outcomes), len(t.asked))
	}
	objectives := t.objectives
	told := make([]individual, len(outcomes))
	for i, o := range outcomes {
		told[i] = individual{candidate: t.asked[i], failed: o.Failed}
		if o.Failed {
			continue
		}
		if math.IsNaN(o.Violation) || math.IsInf(o.Violation, 0) || o.Violation < 0 {
			return nil, fmt.Errorf("outcome %d: violation %v: must be finite and at least 0", i, o.Violation)
		}
		if len(o.Objectives) == 0 && o.Violation > 0 {
			told[i].Violation = o.Violation
			continue
		}
		if objectives == 0 {
			objectives = len(o.Objectives)
		}
		if len(o.Objectives) == 0 || len(o.Objectives) != objectives {
			return nil, fmt.Errorf("outcome %d: %d objectives, want %d", i, len(o.Objectives), max(objectives, 1))
		}
		for k, x := range o.Objectives {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, fmt.Errorf("outcome %d: objective %d is %v: must be finite", i, k, x)
			}
		}
		told[i].Objectives, told[i].Violation = slices.Clone(o.Objectives), o.Violation
	}
	t.objectives = objectives
	t.evaluations += len(told)
	t.generation++
	t.asked = nil
	return told, nil
}

// unseen proposes no candidate twice: what was evaluated is known.
type unseen struct {
	space Space
	seen  map[string]bool
	grid  *Grid // of a space that can be counted
}

func newUnseen(s Space) unseen {
	u := unseen{space: s, seen: map[string]bool{}}
	if s.Count() != nil {
		u.grid, _ = s.Grid(0) // none if too large, and then a random candidate is new
	}
	return u
}

// add tells whether a candidate is new, and remembers it.
func (u *unseen) add(c Candidate) bool {
	key := c.key()
	if u.seen[key] {
		return false
	}
	u.seen[key] = true
	return true
}

// draw returns a random new candidate, nil if there is none.
func (u *unseen) draw(draw *rand.Rand) Candidate {
	for range 100 {
		if c := u.space.draw(draw); u.add(c) {
			return c
		}
	}
	if u.grid == nil {
		return nil
	}
	// From a random place on: at most one step more than there are candidates seen.
	start := draw.Int64N(u.grid.Len())
	for i := range u.grid.Len() {
		at := start - u.grid.Len() + i // no overflow
		if at < 0 {
			at += u.grid.Len()
		}
		if c := u.grid.At(at); u.add(c) {
			return c
		}
	}
	return nil
}

// random is the search without memory.
type random struct {
	turns
	unseen unseen
}

// NewRandom returns the search to compare others with: every generation is drawn at random from the space, no candidate twice.
// It ends early when a finite space has no more.
func NewRandom(s Space, o Options) (Algorithm, error) {
	if err := o.validate(s, 1); err != nil {
		return nil, fmt.Errorf("random search: %w", err)
	}
	return &random{turns{space: s, options: o}, newUnseen(s)}, nil
}

func (r *random) Ask() []Candidate {
	return r.ask(func(n int, draw *rand.Rand) []Candidate {
		var all []Candidate
		if r.generation == 0 {
			all = r.unseen.initial(r.options.Initial, min(n, r.options.Population))
		}
		return r.unseen.fill(all, min(n, r.options.Population), draw)
	})
}

func (r *random) Tell(outcomes []Outcome) error {
	_, err := r.tell(outcomes)
	return err
}

// initial returns the first n of candidates that somebody gave, each once.
func (u *unseen) initial(given []Candidate, n int) (all []Candidate) {
	for _, c := range given {
		if len(all) < n && u.add(c) {
			all = append(all, slices.Clone(c))
		}
	}
	return all
}

// fill adds random candidates up to n, fewer if there are no more.
func (u *unseen) fill(all []Candidate, n int, draw *rand.Rand) []Candidate {
	for len(all) < n {
		c := u.draw(draw)
		if c == nil {
			break
		}
		all = append(all, c)
	}
	return all
}
