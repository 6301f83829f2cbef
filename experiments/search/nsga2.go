package search

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/sim/portable"
)

// Constants of NSGA-II: those of the study of Deb et al. (2002), which has 20 for the index of the crossover; 15 searches wider.
const (
	crossoverShare = 0.9 // of pairs that are crossed; the others are copied
	crossoverIndex = 15  // children of SBX are the closer to their parents, the larger it is
	mutationIndex  = 20  // the same of polynomial mutation: steps of some 1/20 of a range
)

// individual is a candidate with its outcome.
type individual struct {
	pareto.Point
	candidate Candidate
	failed    bool
	rank      int     // front, 0 the best
	distance  float64 // crowding distance in its front
}

type nsga2 struct {
	turns
	unseen  unseen
	parents []individual
	free    int // variables with more than one value
}

// NewNSGA2 returns the elitist genetic algorithm for several objectives of Deb et al. (2002). Parents win binary tournaments, by
// front and then by crowding distance, constraints first. Reals, integers and ordered choices are crossed by simulated binary
// crossover and changed by polynomial mutation, both on the unit interval and rounded back; categorical variables are swapped
// and drawn anew. The best of parents and children survive.
//
// No candidate is asked for twice in a search: a child that is known is replaced, first by other children, then at random. In a
// small finite space the search ends when everything is known.
func NewNSGA2(s Space, o Options) (Algorithm, error) {
	if err := o.validate(s, 4); err != nil {
		return nil, fmt.Errorf("NSGA-II: %w", err)
	}
	a := &nsga2{turns: turns{space: s, options: o}, unseen: newUnseen(s)}
	for i := range s {
		if s[i].levels() != 1 {
			a.free++
		}
	}
	return a, nil
}

func (a *nsga2) Ask() []Candidate {
	return a.ask(func(n int, draw *rand.Rand) []Candidate {
		n = min(n, a.options.Population)
		if a.generation == 0 {
			all := a.unseen.initial(a.options.Initial, n)
			all = append(all, a.unseen.initial(a.space.latinHypercube(draw, n-len(all)), n)...)
			return a.unseen.fill(all, n, draw)
		}
		var all []Candidate
		choose := a.tournaments(draw)
		for tries := 0; len(all) < n && tries < 10*n; tries++ {
			one, two := a.cross(choose(), choose(), draw)
			for _, c := range []Candidate{one, two} {
				a.mutate(c, draw)
				if len(all) < n && a.unseen.add(c) {
					all = append(all, c)
				}
			}
		}
		return a.unseen.fill(all, n, draw)
	})
}

func (a *nsga2) Tell(outcomes []Outcome) error {
	told, err := a.tell(outcomes)
	if err != nil {
		return err
	}
	a.parents, err = survivors(append(a.parents, told...), a.objectives, a.options.Population)
	return err
}

// survivors ranks individuals, the failed ones behind all others, and keeps the n best: whole fronts as long as there is room,
// and of the next one those in the least crowded places.
func survivors(all []individual, objectives, n int) ([]individual, error) {
	var points []pareto.Point
	var of []int // which individual a point is
	var failed []int
	for i := range all {
		if all[i].failed {
			failed = append(failed, i)
			continue
		}
		p := all[i].Point
		if p.Objectives == nil {
			p.Objectives = make([]float64, max(objectives, 1)) // infeasible: they are not looked at
		}
		points, of = append(points, p), append(of, i)
	}
	fronts, err := pareto.Fronts(points)
	if err != nil {
		return nil, err
	}
	var kept []individual
	for rank, front := range fronts {
		distance := pareto.Crowding(points, front)
		members := make([]individual, len(front))
		for k, p := range front {
			members[k] = all[of[p]]
			members[k].rank, members[k].distance = rank, distance[k]
		}
		if room := n - len(kept); len(members) > room {
			slices.SortStableFunc(members, func(x, y individual) int { return cmp.Compare(y.distance, x.distance) })
			members = members[:room]
		}
		kept = append(kept, members...)
	}
	for _, i := range failed[:min(len(failed), n-len(kept))] {
		all[i].rank, all[i].distance = len(fronts), 0
		kept = append(kept, all[i])
	}
	return kept, nil
}

// tournaments returns a function that chooses a parent: the better of two. All take part once before any does again.
func (a *nsga2) tournaments(draw *rand.Rand) func() Candidate {
	var waiting []int
	return func() Candidate {
		if len(waiting) < 2 {
			waiting = draw.Perm(len(a.parents))
		}
		one := &a.parents[waiting[0]]
		if len(waiting) > 1 {
			two := &a.parents[waiting[1]]
			if two.rank < one.rank || two.rank == one.rank && two.distance > one.distance {
				one = two
			}
			waiting = waiting[1:]
		}
		waiting = waiting[1:]
		return one.candidate
	}
}

// cross returns two children. In each variable that two different parents cross, chosen with probability ½, the children lie
// around the parents as the bits of two numbers would that are cut and exchanged at a random place: simulated binary crossover
// (Deb and Agrawal 1995), with the distribution cut off at the ends of the range.
func (a *nsga2) cross(p, q Candidate, draw *rand.Rand) (one, two Candidate) {
	one, two = slices.Clone(p), slices.Clone(q)
	if draw.Float64() >= crossoverShare {
		return one, two
	}
	for i := range a.space {
		v := &a.space[i]
		if draw.Float64() >= 0.5 || p[i] == q[i] {
			continue
		}
		if v.Kind != Categorical {
			x, y := v.unit(min(p[i], q[i])), v.unit(max(p[i], q[i]))
			if y-x < 1e-14 {
				continue
			}
			u := draw.Float64()
			middle, half := (x+y)/2, (y-x)/2
			one[i] = v.at(max(middle-float64(spread(u, x/half)*half), 0))
			two[i] = v.at(min(middle+float64(spread(u, (1-y)/half)*half), 1))
			if draw.Float64() < 0.5 {
				continue
			}
		}
		one[i], two[i] = two[i], one[i]
	}
	return one, two
}

// spread is the distance of a child from the middle of its parents over that of its nearer parent, with probability u of a smaller
// one, where room is the distance from that parent to the end of the range in the same unit.
func spread(u, room float64) float64 {
	alpha := 2 - power(1+room, -(crossoverIndex+1))
	share := float64(u * alpha)
	if share > 1 {
		share = 1 / (2 - share)
	}
	return power(share, 1./(crossoverIndex+1))
}

// mutate changes each variable with probability 1/n by a step whose distribution is a polynomial around 0 (Deb and Agrawal 1995,
// Deb et al. 2002), cut off at the ends of the range. An integer or ordered value that would be rounded back to itself goes one
// further in the direction of the step, or one back at an end.
func (a *nsga2) mutate(c Candidate, draw *rand.Rand) {
	for i := range a.space {
		v := &a.space[i]
		n := v.levels()
		if n == 1 || draw.Float64() >= 1/float64(a.free) {
			continue
		}
		if v.Kind == Categorical {
			other := float64(draw.Int64N(n - 1))
			if other >= c[i] {
				other++
			}
			c[i] = other
			continue
		}
		at, u := v.unit(c[i]), draw.Float64()
		var step float64
		if u < 0.5 {
			step = power(2*u+float64((1-2*u)*power(1-at, mutationIndex+1)), 1./(mutationIndex+1)) - 1
		} else {
			step = 1 - power(2*(1-u)+float64((2*u-1)*power(at, mutationIndex+1)), 1./(mutationIndex+1))
		}
		was := c[i]
		c[i] = v.at(min(max(at+step, 0), 1))
		if c[i] == was && n > 1 {
			low, high := v.bounds()
			if by := math.Copysign(1, step); was+by < low || was+by > high {
				c[i] = was - by
			} else {
				c[i] = was + by
			}
		}
	}
}

// power returns x to the power of y, x ≥ 0. What is too small for a number is 0.
func power(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	e := y * portable.Ln(x)
	if e < -700 {
		return 0
	}
	return portable.Exp(e)
}
