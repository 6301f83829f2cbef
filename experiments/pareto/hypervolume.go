package pareto

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Reference returns a reference point for Hypervolume: in each objective the largest value among the feasible points that no
// point dominates (the nadir of the front), plus 10 % of their range, so that the ends of the front count too. Where they all
// have one value, 10 % of its magnitude stand for the range, and 0.1 if it is zero. The rule depends on the set: volumes can be
// compared only if one reference, such as that of all sets together, is used for all.
func Reference(points []Point) ([]float64, error) {
	if err := check(points); err != nil {
		return nil, err
	}
	feasible, _ := split(points)
	if len(feasible) == 0 {
		return nil, errors.New("no feasible point to take a reference from")
	}
	best := front(points, feasible)
	ref := make([]float64, len(points[0].Objectives))
	for k := range ref {
		low, high := math.Inf(1), math.Inf(-1)
		for _, i := range best {
			low, high = min(low, points[i].Objectives[k]), max(high, points[i].Objectives[k])
		}
		size := cmp.Or(high-low, math.Abs(high), 1)
		if ref[k] = high + float64(0.1*size); !finite(ref[k]) {
			return nil, fmt.Errorf("objective %d: no reference beyond %v can be told", k, high)
		}
	}
	return ref, nil
}

// Hypervolume returns the volume that the feasible points dominate within ref: of all that is nowhere worse than some point and
// nowhere beyond ref. Its unit is the product of those of the objectives. Points that are not better than ref in every objective
// add nothing, and neither do infeasible ones. The order of the points does not matter, to the last bit.
func Hypervolume(points []Point, ref []float64) (float64, error) {
	if err := check(points); err != nil {
		return 0, err
	}
	for k, x := range ref {
		if !finite(x) {
			return 0, fmt.Errorf("reference: objective %d is %v: must be finite", k, x)
		}
	}
	var inside [][]float64
	for i := range points {
		x := points[i].Objectives
		if len(x) != len(ref) {
			return 0, fmt.Errorf("a reference of %d objectives for points of %d", len(ref), len(x))
		}
		if points[i].Violation == 0 && within(x, ref) {
			inside = append(inside, x)
		}
	}
	v := volume(inside, ref)
	if !finite(v) {
		return 0, errors.New("the hypervolume is too large for a number; scale the objectives")
	}
	return v, nil
}

func within(x, ref []float64) bool {
	for k := range x {
		if x[k] >= ref[k] {
			return false
		}
	}
	return true
}

// volume is Hypervolume for points within ref. It reorders them.
func volume(points [][]float64, ref []float64) float64 {
	m := len(ref)
	if len(points) == 0 {
		return 0
	}
	// By the last objective, then by all: only equal points are in the order that the caller gave.
	slices.SortFunc(points, func(a, b []float64) int {
		if c := cmp.Compare(a[m-1], b[m-1]); c != 0 {
			return c
		}
		return slices.Compare(a, b)
	})
	switch m {
	case 1:
		return ref[0] - points[0][0]
	case 2:
		// Only what is further left than all before is new.
		area, left := 0.0, ref[0]
		for _, p := range points {
			if p[0] < left {
				area += float64((left - p[0]) * (ref[1] - p[1]))
				left = p[0]
			}
		}
		return area
	case 3:
		// A plane moves along the third objective; what lies below it is a growing staircase.
		stairs := staircase{}
		area, sum := 0.0, 0.0
		for i, p := range points {
			area += stairs.gain(p[0], p[1], ref[0], ref[1])
			next := ref[2]
			if i+1 < len(points) {
				next = points[i+1][2]
			}
			sum += float64(area * (next - p[2]))
		}
		return sum
	}
	// What a point adds to those that are better in the last objective: its own box without the parts of it that are theirs, all
	// of which begin where the box begins in that objective. So one dimension less is enough for them.
	sum := 0.0
	for i, p := range points {
		box := 1.0
		for k := range m - 1 {
			box *= ref[k] - p[k]
		}
		parts := make([][]float64, 0, i)
		for _, q := range points[:i] {
			part := make([]float64, m-1)
			for k := range part {
				part[k] = max(p[k], q[k])
			}
			parts = append(parts, part)
		}
		own := box - volume(undominated(parts), ref[:m-1])
		sum += float64(max(own, 0) * (ref[m-1] - p[m-1]))
	}
	return sum
}

// undominated leaves out points that cover nothing of their own.
func undominated(points [][]float64) [][]float64 {
	if len(points) == 0 || len(points[0]) <= 3 {
		return points // the sweep passes over them as fast
	}
	slices.SortFunc(points, slices.Compare)
	points = slices.CompactFunc(points, slices.Equal)
	var best [][]float64
	for _, p := range points {
		if !slices.ContainsFunc(best, func(q []float64) bool { return dominates(q, p) }) {
			best = append(best, p)
		}
	}
	return best
}

// staircase is a set of points in the plane of which none dominates another: x rises from one to the next and y falls.
type staircase []struct{ x, y float64 }

// covers tells whether some step is nowhere worse than (x, y).
func (s staircase) covers(x, y float64) bool {
	right := sort.Search(len(s), func(i int) bool { return s[i].x > x })
	return right > 0 && s[right-1].y <= y
}

// add puts in a step that no other covers and takes out those that it covers.
func (s *staircase) add(x, y float64) {
	from := sort.Search(len(*s), func(i int) bool { return (*s)[i].x >= x })
	to := from
	for to < len(*s) && (*s)[to].y >= y {
		to++
	}
	*s = slices.Replace(*s, from, to, struct{ x, y float64 }{x, y})
}

// gain adds a step and returns by how much the area between the staircase and the corner (right, top) has grown.
func (s *staircase) gain(x, y, right, top float64) float64 {
	if s.covers(x, y) {
		return 0
	}
	from := sort.Search(len(*s), func(i int) bool { return (*s)[i].x >= x })
	if from > 0 {
		top = (*s)[from-1].y
	}
	area, left, i := 0.0, x, from
	for ; i < len(*s) && (*s)[i].y >= y; i++ {
		area += float64(((*s)[i].x - left) * (top - y))
		left, top = (*s)[i].x, (*s)[i].y
	}
	if i < len(*s) {
		right = (*s)[i].x
	}
	*s = slices.Replace(*s, from, i, struct{ x, y float64 }{x, y})
	return area + float64((right-left)*(top-y))
}
