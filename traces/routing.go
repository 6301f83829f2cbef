package traces

import (
	"cmp"
	"slices"

	"github.com/stratasim/strata/sim/units"
)

// Bounds of Op.SkewMilli: below the first the power law is nearly flat and its closed form loses
// digits, above the second a single expert gets almost everything.
const (
	MinSkew = 1001
	MaxSkew = 4000
)

// Load is a number of experts that get the same number of tokens.
type Load struct{ Tokens, Experts int64 }

// Routes deals the tokens of a mixture of experts to the experts of the busiest rank and returns how many
// experts get how many tokens, the most first; experts without tokens are left out. The choice is the
// same on every machine and in every run:
//
//   - As likely: of E experts, M tokens that each choose k at random leave E·(1−k/E)ᴹ untouched on
//     average. The rest, rounded to a whole number, get the M·k rows evenly, and ranks get those
//     experts evenly. Random routing would spread the rows about this average.
//   - Skewed: expert e gets rows in proportion to the quantile (e+½)/E of a power law of exponent a, at most M, rounded;
//     rows that are missing then go to the least busy experts, and those too many come from the busiest. The law is on
//     [1, 0.8·M], or on [0.01, 2] where there are no more rows than experts. Which experts share a rank is
//     drawn at random: of several draws the one counts whose busiest rank is the median. Law, rounding and
//     ranks are those of aiconfigurator's benchmark (ai-dynamo, Apache-2.0), which draws the loads too.
func (op *Op) Routes() []Load {
	if op.SkewMilli == 0 {
		return op.evenRoutes()
	}
	return op.skewedRoutes()
}

func (op *Op) evenRoutes() []Load {
	return op.deal(max(Touched(op.Experts, op.TopK, op.M), op.TopK))
}

// DealtRoutes is Routes for experts that are as likely, when tokens are dealt to them in turn as benchmarks do: no expert
// gets a second row while another has none.
func (op *Op) DealtRoutes() []Load { return op.deal(op.Experts) }

// deal deals all rows to so many experts evenly, and these to ranks.
func (op *Op) deal(touched int64) []Load {
	rows := op.M * op.TopK
	touched = min(touched, op.Experts, rows)
	each, more := rows/touched, rows%touched
	local := units.CeilDiv(touched, op.EP)
	busy := min(local, units.CeilDiv(more, op.EP)) // experts with one token more
	var loads []Load
	if busy > 0 {
		loads = append(loads, Load{each + 1, busy})
	}
	if local > busy {
		loads = append(loads, Load{each, local - busy})
	}
	return loads
}

// Touched returns how many of so many experts at least one of the tokens chooses, each token k of them at
// random: E·(1 − (1 − k/E)ᵀ) on average, rounded.
func Touched(experts, k, tokens int64) int64 {
	if k >= experts {
		return experts
	}
	missed, base := 1.0, float64(experts-k)/float64(experts)
	for n := tokens; n > 0; n >>= 1 { // by squaring: the same digits everywhere
		if n&1 == 1 {
			missed = float64(missed * base)
		}
		base = float64(base * base)
	}
	return int64(float64(float64(experts)*(1-missed)) + 0.5)
}

func (op *Op) skewedRoutes() []Load {
	tokens := op.skewedTokens()
	if op.EP > 1 {
		tokens = busiestRank(tokens, op.EP)
	}
	slices.SortFunc(tokens, func(a, b int64) int { return cmp.Compare(b, a) })
	var loads []Load
	for _, n := range tokens {
		switch k := len(loads) - 1; {
		case n == 0:
		case k >= 0 && loads[k].Tokens == n:
			loads[k].Experts++
		default:
			loads = append(loads, Load{n, 1})
		}
	}
	return loads
}

// skewedTokens returns the tokens of each expert, the busiest first but for what rounding may swap.
func (op *Op) skewedTokens() []int64 {
	e, rows := op.Experts, op.M*op.TopK
	// x(u) = (1 − u·(1 − xmax^(1−a)))^(1/(1−a)), the quantile of a density ∝ x^−a on [1, xmax].
	a := float64(op.SkewMilli)/1000 - 1
	most := max(1, 0.8*float64(op.M))
	if rows <= e {
		most = 200 // times the least
	}
	drop := 1 - units.Power(1/most, a)
	weight := make([]float64, e)
	var sum float64
	for i := range weight {
		u := (float64(e-1-int64(i)) + 0.5) / float64(e)
		weight[i] = 1 / units.Power(1-float64(u*drop), 1/a)
		sum += weight[i]
	}
	tokens := make([]int64, e)
	left := rows
	for i, w := range weight {
		tokens[i] = min(int64(float64(float64(rows)*w)/sum+0.5), op.M)
		left -= tokens[i]
	}
	for i := 0; left < 0; i = (i + 1) % len(tokens) { // by no more than half a row an expert
		if tokens[i] > 0 {
			tokens[i]--
			left++
		}
	}
	for left > 0 {
		each := max(1, left/e)
		for i := len(tokens) - 1; i >= 0 && left > 0; i-- {
			n := min(each, op.M-tokens[i], left)
			tokens[i] += n
			left -= n
		}
	}
	return tokens
}

// rankDraws is how often experts are dealt to ranks at random, an odd number.
const rankDraws = 9

// busiestRank deals experts to ranks at random and returns the tokens of those on the busiest rank: of several draws the
// one that has the median of them.
func busiestRank(tokens []int64, ranks int64) []int64 {
	size := int(units.CeilDiv(int64(len(tokens)), ranks))
	type draw struct {
		sum    int64
		tokens []int64
	}
	draws := make([]draw, rankDraws)
	state := uint64(len(tokens))<<32 | uint64(ranks)
	next := func() uint64 { // SplitMix64 (Steele et al., OOPSLA 2014)
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
	for d := range draws {
		dealt := slices.Clone(tokens)
		for i := len(dealt) - 1; i > 0; i-- {
			j := int(next() % uint64(i+1))
			dealt[i], dealt[j] = dealt[j], dealt[i]
		}
		for from := 0; from < len(dealt); from += size {
			rank := dealt[from:min(from+size, len(dealt))]
			var sum int64
			for _, n := range rank {
				sum += n
			}
			if draws[d].tokens == nil || sum > draws[d].sum {
				draws[d] = draw{sum, rank}
			}
		}
	}
	slices.SortStableFunc(draws, func(a, b draw) int { return cmp.Compare(a.sum, b.sum) })
	return draws[rankDraws/2].tokens
}

// mixtureWork counts a mixture of experts: the rows of the busiest rank's experts through their products,
// and the sum over the experts of each token.
func (op *Op) mixtureWork(c *count) (w Work) {
	c.mul(op.M, op.TopK)
	if !c.ok {
		return w
	}
	var rows, touched int64
	for _, l := range op.Routes() {
		rows = c.add(rows, c.mul(l.Tokens, l.Experts))
		touched += l.Experts
	}
	act := &kinds[GELU]
	if op.Gated {
		act = &kinds[SiLUMul]
	}
	w.MatrixOps = units.Ops(c.mul(2, rows, op.Matrices(), op.K, op.N))
	w.VectorOps = units.Ops(c.add(c.mul(act.vector, rows, op.N), c.mul(rows, op.K)))
	w.SpecialOps = units.Ops(c.mul(act.special, rows, op.N))
	// Scales go along the reduction of each matrix.
	in := c.size(op.WeightDType, op.K, op.Matrices()-1, op.N, touched)
	w.WeightBytes = units.Bytes(c.add(int64(in), int64(c.size(op.WeightDType, op.N, op.K, touched))))
	w.ReadBytes, w.WriteBytes = c.bytes(op.DType, op.M, op.K), c.bytes(op.DType.Result(), op.M, op.K)
	return w
}

// Matrices returns how many matrices of K×N an expert has.
func (op *Op) Matrices() int64 {
	if op.Gated {
		return 3
	}
	return 2
}
