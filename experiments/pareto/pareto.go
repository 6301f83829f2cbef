package pareto

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Point is what is known of one design.
type Point struct {
	Objectives []float64 // minimised, finite, as many in every point of a set
	Violation  float64   // by how much constraints are broken in total; 0: the point is feasible
}

// Dominates tells whether a is better than b, constraints first. Both must have the same number of objectives.
func Dominates(a, b Point) bool {
	if a.Violation != 0 || b.Violation != 0 {
		return a.Violation < b.Violation
	}
	return dominates(a.Objectives, b.Objectives)
}

func dominates(a, b []float64) bool {
	better := false
	for i, x := range a {
		if x > b[i] {
			return false
		}
		better = better || x < b[i]
	}
	return better
}

// check complains about points that cannot be compared.
func check(points []Point) error {
	for i := range points {
		p := &points[i]
		if len(p.Objectives) == 0 {
			return fmt.Errorf("point %d has no objectives", i)
		}
		if n := len(points[0].Objectives); len(p.Objectives) != n {
			return fmt.Errorf("point %d has %d objectives, point 0 has %d", i, len(p.Objectives), n)
		}
		for k, x := range p.Objectives {
			if !finite(x) {
				return fmt.Errorf("point %d: objective %d is %v: must be finite", i, k, x)
			}
		}
		if !finite(p.Violation) || p.Violation < 0 {
			return fmt.Errorf("point %d: violation %v: must be finite and at least 0", i, p.Violation)
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// sorted lists points by their objectives, the first objective before the second and so on, then by index. A point can only be
// dominated by one that comes before it.
func sorted(points []Point, of []int) []int {
	order := slices.Clone(of)
	slices.SortFunc(order, func(i, j int) int {
		if c := slices.Compare(points[i].Objectives, points[j].Objectives); c != 0 {
			return c
		}
		return cmp.Compare(i, j)
	})
	return order
}

// split parts the feasible points from the infeasible, which come grouped by violation, the smallest first: no objective counts
// among them, so each group is one front.
func split(points []Point) (feasible []int, infeasible [][]int) {
	var broken []int
	for i := range points {
		if points[i].Violation == 0 {
			feasible = append(feasible, i)
		} else {
			broken = append(broken, i)
		}
	}
	slices.SortStableFunc(broken, func(i, j int) int { return cmp.Compare(points[i].Violation, points[j].Violation) })
	for len(broken) > 0 {
		n := 1
		for n < len(broken) && points[broken[n]].Violation == points[broken[0]].Violation {
			n++
		}
		infeasible = append(infeasible, broken[:n:n])
		broken = broken[n:]
	}
	return feasible, infeasible
}

// Front returns the points that no point dominates, in ascending order. It is empty only for an empty set.
func Front(points []Point) ([]int, error) {
	if err := check(points); err != nil {
		return nil, err
	}
	feasible, infeasible := split(points)
	switch {
	case len(feasible) > 0:
		return front(points, feasible), nil
	case len(infeasible) > 0:
		return infeasible[0], nil
	}
	return nil, nil
}

// front is Front among feasible points.
func front(points []Point, of []int) []int {
	order := sorted(points, of)
	var best []int
	var stairs staircase
	last := math.Inf(1) // smallest second objective so far
	for k, i := range order {
		x := points[i].Objectives
		if k > 0 && slices.Equal(x, points[order[k-1]].Objectives) {
			// What dominates a point dominates its twin, and they do not dominate each other.
			if len(best) > 0 && best[len(best)-1] == order[k-1] {
				best = append(best, i)
			}
			continue
		}
		dominated := false
		switch len(x) {
		case 1:
			dominated = k > 0
		case 2:
			dominated = x[1] >= last
			last = min(last, x[1])
		case 3:
			if dominated = stairs.covers(x[1], x[2]); !dominated {
				stairs.add(x[1], x[2])
			}
		default:
			dominated = slices.ContainsFunc(best, func(j int) bool { return dominates(points[j].Objectives, x) })
		}
		if !dominated {
			best = append(best, i)
		}
	}
	slices.Sort(best)
	return best
}

// Fronts sorts a set by domination: the first front is Front, the second what would be Front without the first, and so on.
// Every point is in one front.
func Fronts(points []Point) ([][]int, error) {
	if err := check(points); err != nil {
		return nil, err
	}
	feasible, infeasible := split(points)
	var fronts [][]int
	for _, i := range sorted(points, feasible) {
		x := points[i].Objectives
		// A point that some member of a front dominates is dominated by a member of every front before it too: search by halves.
		to := sort.Search(len(fronts), func(f int) bool {
			members := fronts[f]
			if len(x) <= 2 {
				// In order of the first objective, the second falls along a front: the last member has the smallest.
				return !dominates(points[members[len(members)-1]].Objectives, x)
			}
			for k := len(members) - 1; k >= 0; k-- {
				if dominates(points[members[k]].Objectives, x) {
					return false
				}
			}
			return true
		})
		if to == len(fronts) {
			fronts = append(fronts, nil)
		}
		fronts[to] = append(fronts[to], i)
	}
	for _, f := range fronts {
		slices.Sort(f)
	}
	return append(fronts, infeasible...), nil
}

// Crowding returns how far apart the neighbours of each member of a front are: in each objective the distance from the next
// smaller to the next larger value over the range in the front, summed over objectives. The ends of an objective have no second
// neighbour and get +Inf; an objective in which all members are equal says nothing. Among equal values the smaller index comes
// first. The result is in the order of front, whose indices are into points as Front and Fronts give them.
func Crowding(points []Point, front []int) []float64 {
	distance := make([]float64, len(front))
	if len(front) == 0 {
		return distance
	}
	order := make([]int, len(front)) // positions in front
	for k := range points[front[0]].Objectives {
		value := func(p int) float64 { return points[front[p]].Objectives[k] / 2 } // halves: no difference overflows
		for p := range order {
			order[p] = p
		}
		slices.SortFunc(order, func(p, q int) int {
			return cmp.Or(cmp.Compare(value(p), value(q)), cmp.Compare(front[p], front[q]))
		})
		first, last := order[0], order[len(order)-1]
		size := value(last) - value(first)
		if size == 0 && len(front) > 2 {
			continue
		}
		distance[first], distance[last] = math.Inf(1), math.Inf(1)
		for p := 1; p < len(order)-1; p++ {
			distance[order[p]] += (value(order[p+1]) - value(order[p-1])) / size
		}
	}
	return distance
}
