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
//   - Skewed: expert e gets rows in proportion to the quantile (e+½)/E of a power law of exponent a on
//     [1, 0.8·M], at most M, rounded so that all rows are dealt. Experts are dealt to ranks in turn,
//     the busiest first. The law is that of aiconfigurator's benchmark (ai-dynamo, Apache-2.0).
func (op *Op) Routes() []Load {
	if op.SkewMilli == 0 {
		return op.evenRoutes()
	}
	return op.skewedRoutes()
}

func (op *Op) evenRoutes() []Load {
	rows := op.M * op.TopK
	touched := min(max(Touched(op.Experts, op.TopK, op.M), op.TopK), op.Experts, rows)
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
	e, rows := op.Experts, op.M*op.TopK
	// x(u) = (1 − u·(1 − xmax^(1−a)))^(1/(1−a)), the quantile of a density ∝ x^−a on [1, xmax].
	a := float64(op.SkewMilli)/1000 - 1
	most := max(1, 0.8*float64(op.M))
	drop := 1 - units.Power(1/most, a)
	weight, rest := make([]float64, e), make([]float64, e+1) // the largest first; sums from here on
	for i := e - 1; i >= 0; i-- {
		u := (float64(e-1-i) + 0.5) / float64(e)
		weight[i] = 1 / units.Power(1-float64(u*drop), 1/a)
		rest[i] = rest[i+1] + weight[i]
	}
	tokens := make([]int64, e)
	given := int64(0)
	for i, w := range weight { // what an expert cannot take falls to those after it
		tokens[i] = min(int64(float64(float64(rows-given)*w)/rest[i]), op.M)
		given += tokens[i]
	}
	// Rounding down has left some rows: one more for each expert that has room, the busiest first.
	for given < rows {
		for i := range tokens {
			if given < rows && tokens[i] < op.M {
				tokens[i]++
				given++
			}
		}
	}
	slices.SortFunc(tokens, func(a, b int64) int { return cmp.Compare(b, a) }) // rounding may swap neighbours
	// Dealt in turn, the first rank is the busiest.
	var loads []Load
	for i := int64(0); i < e; i += op.EP {
		switch k := len(loads) - 1; {
		case tokens[i] == 0:
		case k >= 0 && loads[k].Tokens == tokens[i]:
			loads[k].Experts++
		default:
			loads = append(loads, Load{tokens[i], 1})
		}
	}
	return loads
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
