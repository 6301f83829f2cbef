package workload

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stratasim/strata/sim/portable"
)

// stream is the second half of the seed of the random numbers; the first is the workload's.
const stream = 0x7374726174610001

// maxLength bounds a length, as operator graphs do.
const maxLength = 1 << 31

// uniformly returns a random number between 0 and 1, both excluded, from 53 random bits.
func uniformly(r *rand.PCG) float64 { return (float64(r.Uint64()>>11) + 0.5) / (1 << 53) }

// quantile is the inverse of a distribution: the length for a share from 0 to 1. It notes what it had to limit.
type quantile func(u float64) (n int64, limited bool)

// quantileOf returns the inverse of a distribution; least is the shortest length that makes sense.
func (l *lengths) quantileOf(least int64) quantile {
	low, high := least, int64(maxLength)
	if l.Min != nil {
		low = max(low, *l.Min)
	}
	if l.Max != nil {
		high = *l.Max
	}
	limit := func(x float64) (int64, bool) {
		n := int64(math.Floor(min(max(x, 0), maxLength) + 0.5))
		return min(max(n, low), max(low, high)), n < low || n > high
	}
	switch {
	case l.Fixed != nil:
		return func(float64) (int64, bool) { return limit(float64(*l.Fixed)) }
	case l.Uniform != nil:
		width := float64(l.Uniform.Max - l.Uniform.Min + 1)
		return func(u float64) (int64, bool) {
			n := l.Uniform.Min + int64(float64(u*width))
			return limit(float64(min(n, l.Uniform.Max)))
		}
	case l.Normal != nil:
		sigma := 0.0
		if l.Normal.Sigma != nil {
			sigma = *l.Normal.Sigma
		} else {
			sigma = (*l.Normal.P95 - l.Normal.Mean) / z95
		}
		return func(u float64) (int64, bool) {
			return limit(l.Normal.Mean + float64(sigma*portable.NormalQuantile(u)))
		}
	case l.Lognormal != nil:
		mu, sigma := l.Lognormal.parameters()
		return func(u float64) (int64, bool) {
			return limit(portable.Exp(min(mu+float64(sigma*portable.NormalQuantile(u)), 100)))
		}
	}
	z := l.Zipf
	sums := make([]float64, z.Max-z.Min+1)
	sum := 0.0
	for i := range sums {
		sum += portable.Exp(-float64(z.Exponent * portable.Ln(float64(i+1))))
		sums[i] = sum
	}
	return func(u float64) (int64, bool) {
		i, _ := slices.BinarySearch(sums, float64(u*sum))
		return limit(float64(z.Min + int64(min(i, len(sums)-1))))
	}
}

// parameters returns mean and standard deviation of the logarithm.
func (n *lognormal) parameters() (mu, sigma float64) {
	switch {
	case n.P50 != nil && n.Sigma != nil:
		return portable.Ln(*n.P50), *n.Sigma
	case n.P50 != nil && n.P95 != nil:
		return portable.Ln(*n.P50), portable.Ln(*n.P95 / *n.P50) / z95
	case n.P50 != nil: // and the mean, e^(μ+σ²/2)
		return portable.Ln(*n.P50), math.Sqrt(2 * portable.Ln(*n.Mean / *n.P50))
	case n.Sigma != nil:
		sigma = *n.Sigma
	default: // ln(p95/mean) = z·σ − σ²/2, the smaller root
		sigma = z95 - math.Sqrt(max(0, float64(z95*z95)-2*portable.Ln(*n.P95 / *n.Mean)))
	}
	return portable.Ln(*n.Mean) - float64(sigma*sigma)/2, sigma
}

// draw draws requests.
func draw(requests, seed int64, prompt, generate quantile) (list map[Lengths]int64, limitedPrompts, limitedAnswers int64) {
	r := rand.NewPCG(uint64(seed), stream)
	list = map[Lengths]int64{}
	for range requests {
		var l Lengths
		var limited bool
		if l.Prompt, limited = prompt(uniformly(r)); limited {
			limitedPrompts++
		}
		if l.Generate, limited = generate(uniformly(r)); limited {
			limitedAnswers++
		}
		list[l]++
	}
	return list, limitedPrompts, limitedAnswers
}

// drawFrom draws requests from a list by its weights.
func drawFrom(requests, seed int64, from []Entry) map[Lengths]int64 {
	sums := make([]int64, len(from))
	var sum int64
	for i := range from {
		sum += from[i].Weight
		sums[i] = sum
	}
	r := rand.NewPCG(uint64(seed), stream)
	list := map[Lengths]int64{}
	for range requests {
		u := uniformly(r)
		uniformly(r) // the prompt's draw picks the pair; the answer's is left unused
		at := min(int64(float64(u*float64(sum))), sum-1)
		i, found := slices.BinarySearch(sums, at)
		if found {
			i++ // sums[i-1] ≤ at < sums[i]
		}
		list[from[i].Lengths]++
	}
	return list
}
