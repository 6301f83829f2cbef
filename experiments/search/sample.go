package search

import (
	"fmt"
	"math/big"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/samplemv"

	"github.com/stratasim/strata/sim/portable"
)

// stream is the source of all that is random in one generation, or in one sample (generation 0).
func stream(seed, generation uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, generation)) }

// Random returns n candidates drawn independently of one another. More of them begin with the same ones.
func (s Space) Random(seed uint64, n int) []Candidate {
	draw := stream(seed, 0)
	all := make([]Candidate, 0, max(n, 0))
	for range n {
		all = append(all, s.draw(draw))
	}
	return all
}

func (s Space) draw(draw *rand.Rand) Candidate {
	u := make([]float64, len(s))
	for i := range u {
		u[i] = draw.Float64()
	}
	return s.At(u)
}

// LatinHypercube returns n candidates that are spread evenly in each variable: cut into n parts of equal probability, each part
// has one of them. Which parts come together is random. Another n gives entirely other ones.
func (s Space) LatinHypercube(seed uint64, n int) []Candidate {
	return s.latinHypercube(rand.NewPCG(seed, 0), n)
}

func (s Space) latinHypercube(src rand.Source, n int) []Candidate {
	if n <= 0 {
		return nil
	}
	batch := mat.NewDense(n, len(s), nil)
	samplemv.LatinHypercube{Q: distmv.NewUnitUniform(len(s), nil), Src: src}.Sample(batch)
	all := make([]Candidate, n)
	for i := range all {
		all[i] = s.At(batch.RawRowView(i))
	}
	return all
}

// Halton returns the n candidates from index first on of a scrambled Halton sequence, which fills the space ever more evenly in
// all variables together. The sequence is one for each seed: parts of it can be made apart and later ones added.
//
// It is the sequence of Owen that gonum.org/v1/gonum/stat/samplemv has too, with the same permutations; digits are summed here
// as integers, so that there is one rounding only and all machines agree.
func (s Space) Halton(seed uint64, first int64, n int) []Candidate {
	if n <= 0 {
		return nil
	}
	draw := stream(seed, 0)
	u := make([][]float64, n)
	for i := range u {
		u[i] = make([]float64, len(s))
	}
	b := int64(1)
	for k := range s {
		b = nextPrime(b)
		sums := make([]int64, n)
		whole := int64(1)
		for whole <= (1<<54-1)/b { // digits of what a float64 between ½ and 1 can tell apart
			digits := draw.Perm(int(b))
			for i := range sums {
				digit := (first + int64(i)) / whole % b
				sums[i] = sums[i]*b + int64(digits[digit])
			}
			whole *= b
		}
		for i, sum := range sums {
			u[i][k] = float64(sum) / float64(whole)
		}
	}
	all := make([]Candidate, n)
	for i := range all {
		all[i] = s.At(u[i])
	}
	return all
}

func nextPrime(n int64) int64 {
	for n++; ; n++ {
		prime := true
		for d := int64(2); d*d <= n && prime; d++ {
			prime = n%d != 0
		}
		if prime {
			return n
		}
	}
}

// Grid is all combinations of some values of each variable, in an order: the last variable changes fastest, as in nested loops.
type Grid struct {
	values []func(int64) float64
	counts []int64
	count  int64
}

// Grid lays a grid over a space. It has every choice and every integer; of a real range it has steps values, from the smallest
// to the largest at equal distances, or equal ratios if the range is logarithmic. A space with real ranges needs at least 2 steps.
func (s Space) Grid(steps int) (*Grid, error) {
	g := &Grid{count: 1}
	all := big.NewInt(1)
	for i := range s {
		v := &s[i]
		low, high := v.bounds()
		n := v.levels()
		value := func(k int64) float64 { return low + float64(k) }
		if n == 0 {
			if steps < 2 {
				return nil, fmt.Errorf("%s: a grid over a real range needs at least 2 steps", v.Name)
			}
			n = int64(steps)
			value = func(k int64) float64 {
				switch k { // exactly the ends, whatever rounding does in between
				case 0:
					return low
				case n - 1:
					return high
				}
				return v.at(float64(k) / float64(n-1))
			}
		}
		all.Mul(all, big.NewInt(n))
		g.values, g.counts = append(g.values, value), append(g.counts, n)
	}
	if !all.IsInt64() {
		return nil, fmt.Errorf("a grid of %v candidates: more than can be counted in 63 bits", all)
	}
	g.count = all.Int64()
	return g, nil
}

// Len returns the number of candidates.
func (g *Grid) Len() int64 { return g.count }

// At returns candidate i, 0 ≤ i < Len.
func (g *Grid) At(i int64) Candidate {
	c := make(Candidate, len(g.counts))
	for k := len(c) - 1; k >= 0; k-- {
		c[k] = g.values[k](i % g.counts[k])
		i /= g.counts[k]
	}
	return c
}

// normal draws from the standard normal distribution, with the same bits on every machine.
func normal(draw *rand.Rand) float64 {
	const bits = 52
	return portable.NormalQuantile((float64(draw.Uint64()>>(64-bits)) + 0.5) / (1 << bits))
}
