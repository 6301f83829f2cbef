package workload

import (
	"cmp"
	"slices"

	"github.com/stratasim/strata/arch/eval"
)

// Value is a figure of requests and how many of them have it.
type Value struct {
	X      float64
	Weight int64
}

// SpreadOf returns mean, quantiles and limits of a list, which it sorts; of nothing it is zero.
func SpreadOf(list []Value) eval.Spread {
	if len(list) == 0 {
		return eval.Spread{}
	}
	slices.SortFunc(list, func(a, b Value) int { return cmp.Compare(a.X, b.X) })
	var total int64
	for _, v := range list {
		total += v.Weight
	}
	low, high := list[0].X, list[len(list)-1].X
	// From the smallest on, so that the mean of equal values is that value.
	var above float64
	for _, v := range list {
		above += float64(float64(v.Weight) * (v.X - low))
	}
	return eval.Spread{Mean: min(low+float64(above/float64(total)), high), P50: list[rank(list, total, 50)].X, P95: list[rank(list, total, 95)].X,
		P99: list[rank(list, total, 99)].X, Min: low, Max: high}
}

// rank returns the place in a sorted list of the smallest value below or at which there are at least so many percent of the
// weight: nearest rank.
func rank(list []Value, total, percent int64) int {
	var sum int64
	for i, v := range list {
		if sum += v.Weight; sum*100 >= total*percent { // weights are below 2⁵⁴: 10⁷ rows of 10⁹
			return i
		}
	}
	return len(list) - 1
}

// Median returns the place of the median of values in their own order; among equals, the first.
func Median(values []Value) int {
	order := make([]int, len(values))
	var total int64
	for i, v := range values {
		order[i] = i
		total += v.Weight
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(values[a].X, values[b].X) })
	sorted := make([]Value, len(values))
	for i, k := range order {
		sorted[i] = values[k]
	}
	if len(sorted) == 0 {
		return 0
	}
	at := rank(sorted, total, 50)
	for at > 0 && sorted[at-1].X == sorted[at].X {
		at--
	}
	return order[at]
}
