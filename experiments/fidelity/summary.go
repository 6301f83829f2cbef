package fidelity

import (
	"cmp"
	"math"
	"slices"
)

// Summary is the gaps of many points.
type Summary struct {
	N                        int
	Mean, Median, P95, Worst float64 // of the size of the gap
	Bias                     float64 // mean of the signed gap
	Tau                      float64 // Kendall's tau-b between the times of the two fidelities
	SameBound                float64 // share of the points of which both charge most of the time to the same cause
}

// Of returns the pairs of a phase or a kind.
func Of(pairs []Pair, what string) []Pair {
	var some []Pair
	for _, p := range pairs {
		if p.Phase == what || p.Kind == what {
			some = append(some, p)
		}
	}
	return some
}

// Farthest returns the n pairs that are farthest apart, the farthest first.
func Farthest(pairs []Pair, n int) []Pair {
	sorted := slices.Clone(pairs)
	slices.SortStableFunc(sorted, func(a, b Pair) int { return cmp.Compare(math.Abs(b.Gap()), math.Abs(a.Gap())) })
	return sorted[:min(n, len(sorted))]
}

// Summarize sums up pairs.
func Summarize(pairs []Pair) Summary {
	s := Summary{N: len(pairs)}
	if s.N == 0 {
		return s
	}
	sizes, a, e := make([]float64, s.N), make([]float64, s.N), make([]float64, s.N)
	for i := range pairs {
		g := pairs[i].Gap()
		sizes[i], a[i], e[i] = math.Abs(g), pairs[i].Analytic, pairs[i].Event
		s.Mean += math.Abs(g)
		s.Bias += g
		if pairs[i].AnalyticBound == pairs[i].EventBound {
			s.SameBound++
		}
	}
	s.SameBound /= float64(s.N)
	s.Mean /= float64(s.N)
	s.Bias /= float64(s.N)
	slices.Sort(sizes)
	s.Median, s.P95, s.Worst = quantile(sizes, 0.5), quantile(sizes, 0.95), sizes[s.N-1]
	s.Tau = Kendall(a, e)
	return s
}

// quantile is the smallest of sorted values that at least a share q of them do not exceed.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// Kendall returns Kendall's tau-b between two lists of equal length, in n·log n (Knight 1966): pairs in the same order less
// those in the other, over the geometric mean of the pairs that are no ties in one list and in the other. It is 1 where either
// list has no two different values, as there is no order to disagree about.
func Kendall(x, y []float64) float64 {
	n := len(x)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(x[i], x[j]), cmp.Compare(y[i], y[j])) })
	all := pairsOf(n)
	var tiesX, tiesBoth, tiesY int64
	runX, runBoth := 1, 1
	for k := 1; k <= n; k++ {
		sameX := k < n && x[order[k]] == x[order[k-1]]
		if sameX && y[order[k]] == y[order[k-1]] {
			runBoth++
		} else {
			tiesBoth += pairsOf(runBoth)
			runBoth = 1
		}
		if sameX {
			runX++
		} else {
			tiesX += pairsOf(runX)
			runX = 1
		}
	}
	sorted, spare := make([]float64, n), make([]float64, n)
	for k, i := range order {
		sorted[k] = y[i]
	}
	swaps := inversions(sorted, spare)
	run := 1
	for k := 1; k <= n; k++ {
		if k < n && sorted[k] == sorted[k-1] {
			run++
		} else {
			tiesY += pairsOf(run)
			run = 1
		}
	}
	if all == tiesX || all == tiesY {
		return 1
	}
	agree := all - tiesX - tiesY + tiesBoth - 2*swaps
	return float64(agree) / math.Sqrt(float64(all-tiesX)) / math.Sqrt(float64(all-tiesY))
}

func pairsOf(n int) int64 { return int64(n) * int64(n-1) / 2 }

// inversions sorts values by merging and counts the pairs that were in the wrong order.
func inversions(v, spare []float64) int64 {
	if len(v) < 2 {
		return 0
	}
	half := len(v) / 2
	n := inversions(v[:half], spare[:half]) + inversions(v[half:], spare[half:])
	copy(spare, v)
	i, j := 0, half
	for k := range v {
		if i < half && (j == len(v) || spare[i] <= spare[j]) {
			v[k] = spare[i]
			i++
		} else {
			v[k] = spare[j]
			n += int64(half - i)
			j++
		}
	}
	return n
}
