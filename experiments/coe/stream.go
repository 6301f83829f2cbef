package coe

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/stratasim/strata/sim/portable"
)

// stream is the second half of the seed of the random numbers; the first is the composition's.
const stream = 0x7374726174610002

// Run is one expert with the requests of a batch that pick it.
type Run struct {
	Batch  int64 // number of the batch, from 0
	Expert int64
	Kind   int
	// Requests are how many run together; Counted are those after the warm-up.
	Requests, Counted int64
	Hit               bool
	Cold              bool // a miss because the expert was never there
	// Waits says that the copy of a miss takes the place of the expert that ran before, or part of it, and cannot begin earlier.
	Waits bool
}

// Requests draws the expert of each request, those of the warm-up first. Each takes two random numbers of a PCG, the first for the
// kind and the second for the expert, whether they are needed or not.
func (c *Composition) requests() []int64 {
	n := c.Warmup + c.Requests
	picks := make([]int64, n)
	switch c.Popularity {
	case InTurn:
		for i := range picks {
			picks[i] = int64(i) % c.Experts()
		}
		return picks
	case Recorded:
		for i := range picks {
			picks[i] = c.Recorded[i%len(c.Recorded)]
		}
		return picks
	}
	r := rand.NewPCG(uint64(c.Seed), stream)
	uniformly := func() float64 { return (float64(r.Uint64()>>11) + 0.5) / (1 << 53) }
	kinds := make([]float64, len(c.Kinds))
	first := make([]int64, len(c.Kinds))
	within := make([][]float64, len(c.Kinds)) // sums of popularities, for Zipf
	sum, from := 0.0, int64(0)
	for i := range c.Kinds {
		k := &c.Kinds[i]
		sum += k.Weight
		kinds[i], first[i] = sum, from
		from += k.Count
		if c.Popularity == Zipf {
			within[i] = make([]float64, k.Count)
			s := 0.0
			for j := range within[i] {
				s += c.zipf(int64(j))
				within[i][j] = s
			}
		}
	}
	for i := range picks {
		k := pick(kinds, uniformly())
		u := uniformly()
		if sums := within[k]; sums != nil {
			picks[i] = first[k] + int64(pick(sums, u))
		} else {
			picks[i] = first[k] + min(int64(float64(u*float64(c.Kinds[k].Count))), c.Kinds[k].Count-1)
		}
	}
	return picks
}

// zipf is the popularity of number j of a kind, against the first.
func (c *Composition) zipf(j int64) float64 {
	return portable.Exp(max(-700, -float64(c.Exponent*portable.Ln(float64(j+1)))))
}

// pick returns the place of a share in rising sums.
func pick(sums []float64, u float64) int {
	at := float64(u * sums[len(sums)-1])
	i, found := slices.BinarySearch(sums, at)
	if found {
		i++
	}
	return min(i, len(sums)-1)
}

// popular lists the experts, the most popular first; among equals, the first.
func (c *Composition) popular(picks []int64) []int64 {
	n := c.Experts()
	weight := make([]float64, n)
	switch c.Popularity {
	case InTurn, Recorded:
		for _, e := range picks {
			weight[e]++
		}
	default:
		at := int64(0)
		for i := range c.Kinds {
			k := &c.Kinds[i]
			sum := 0.0
			for j := range k.Count {
				w := 1.0
				if c.Popularity == Zipf {
					w = c.zipf(j)
				}
				weight[at+j] = w
				sum += w
			}
			for j := range k.Count {
				weight[at+j] = float64(weight[at+j]/sum) * k.Weight
			}
			at += k.Count
		}
	}
	order := make([]int64, n)
	for i := range order {
		order[i] = int64(i)
	}
	slices.SortStableFunc(order, func(a, b int64) int { return cmp.Compare(weight[b], weight[a]) })
	return order
}

// Stream draws the requests and returns the runs in order, with what the cache does to each. batch is the number of requests at a
// time, size that of an expert of each kind, capacity what there is for experts, in bytes of one chip or of all alike. Resident bounds the number of
// experts beside, 0 for no bound. Every expert must fit alone.
func (c *Composition) Stream(batch int64, size []int64, capacity int64) []Run {
	picks := c.requests()
	var runs []Run
	at := make(map[int64]int, batch)
	for from := int64(0); from < int64(len(picks)); {
		// A batch does not cross the end of the warm-up.
		end := min(from+batch, int64(len(picks)))
		if from < c.Warmup {
			end = min(end, c.Warmup)
		}
		clear(at)
		number := int64(0)
		if len(runs) > 0 {
			number = runs[len(runs)-1].Batch + 1
		}
		for i := from; i < end; i++ {
			e := picks[i]
			k, ok := at[e]
			if !ok {
				k = len(runs)
				at[e] = k
				runs = append(runs, Run{Batch: number, Expert: e, Kind: c.KindOf(e)})
			}
			runs[k].Requests++
			if i >= c.Warmup {
				runs[k].Counted++
			}
		}
		from = end
	}
	order := []int64(nil)
	if c.Policy == Pinned {
		order = c.popular(picks)
	}
	sizes := make([]int64, c.Experts())
	for e := range sizes {
		sizes[e] = size[c.KindOf(int64(e))]
	}
	replay(c.Policy, runs, sizes, capacity, c.Resident, order)
	return runs
}
