package traces

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sumOf returns the rows and experts of loads.
func sumOf(loads []Load) (rows, experts int64) {
	for _, l := range loads {
		rows += l.Tokens * l.Experts
		experts += l.Experts
	}
	return rows, experts
}

func TestTouched(t *testing.T) {
	for _, tt := range []struct{ experts, k, tokens, want int64 }{
		{8, 2, 1, 2}, {8, 2, 2, 4}, // 8·(1 − 0.5625) = 3.5, rounded up
		{8, 2, 5, 6},       // 8·(1 − 0.75⁵) = 6.10
		{256, 8, 1, 8},     // one token touches what it chooses
		{256, 8, 128, 252}, // 256·(1 − 0.96875¹²⁸) = 251.6
		{128, 8, 1 << 31, 128}, {4, 4, 1, 4},
	} {
		if got := Touched(tt.experts, tt.k, tt.tokens); got != tt.want {
			t.Errorf("%d tokens touch %d of %d experts, %d each; want %d", tt.tokens, got, tt.experts, tt.k, tt.want)
		}
		// The closed form by the library, as far as its last digits go.
		e := float64(tt.experts)
		if want := e * (1 - math.Pow(1-float64(tt.k)/e, float64(tt.tokens))); math.Abs(want-float64(tt.want)) > 0.5+1e-9 {
			t.Errorf("the table says %d, the closed form %g", tt.want, want)
		}
	}
}

func TestSkewedRoutes(t *testing.T) {
	op := Op{Kind: MoE, M: 1000, K: 8, N: 8, Experts: 16, TopK: 2, EP: 1, SkewMilli: 1500, Gated: true}
	// Worked out apart with the same law, xmax = 800 and exponent 1.5, by double-precision pow.
	weights := make([]float64, 16)
	var sum float64
	for e := range weights {
		u := (float64(e) + 0.5) / 16
		weights[e] = math.Pow((math.Pow(800, -0.5)-1)*u+1, -2)
		sum += weights[e]
	}
	var got []int64
	for _, l := range op.Routes() {
		for range l.Experts {
			got = append(got, l.Tokens)
		}
	}
	if len(got) != 16 {
		t.Fatalf("%d experts", len(got))
	}
	slices.Reverse(got)
	for e, n := range got {
		if want := math.Min(1000, 2000*weights[e]/sum); math.Abs(float64(n)-want) > 1.01 && n != 1000 {
			// What the busiest could not take falls to the others in proportion.
			if float64(n) < want || got[15] != 1000 {
				t.Errorf("expert %d gets %d tokens, the law gives it %.1f", e, n, want)
			}
		}
	}
}

// TestRoutes: every row goes somewhere, no expert gets more than all tokens, more tokens never touch
// fewer experts, and the busiest rank has at least its part.
func TestRoutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := Op{Kind: MoE, M: rapid.Int64Range(1, 5000).Draw(t, "tokens"), K: 8, N: 8, EP: 1, Gated: true}
		ranks := rapid.Int64Range(1, 16).Draw(t, "ranks")
		op.Experts = ranks * rapid.Int64Range(1, 32).Draw(t, "experts a rank")
		op.TopK = op.Experts
		if rapid.Bool().Draw(t, "sparse") {
			op.TopK = rapid.Int64Range(1, op.Experts).Draw(t, "top k")
		}
		if rapid.Bool().Draw(t, "skewed") {
			op.SkewMilli = rapid.Int64Range(MinSkew, MaxSkew).Draw(t, "skew")
		}
		loads := op.Routes()
		rows, experts := sumOf(loads)
		if rows != op.M*op.TopK || experts > op.Experts || experts < op.TopK {
			t.Fatalf("%d rows to %d experts: %v", rows, experts, loads)
		}
		for i, l := range loads {
			if l.Tokens < 1 || l.Tokens > op.M || l.Experts < 1 || i > 0 && l.Tokens >= loads[i-1].Tokens {
				t.Fatalf("loads %v", loads)
			}
		}
		more := op
		more.M++
		if _, n := sumOf(more.Routes()); op.SkewMilli == 0 && n < experts {
			t.Fatalf("one token more touches %d experts instead of %d", n, experts)
		}
		part := op
		part.EP = ranks
		local, n := sumOf(part.Routes())
		if local*ranks < rows || local > rows || n > op.Experts/ranks {
			t.Fatalf("the busiest of %d ranks gets %d of %d rows for %d experts", ranks, local, rows, n)
		}
	})
}

// Few tokens go by a law of its own. By hand with 64 rows for 128 experts, on [0.01, 2] with exponent 1.01: 40 experts get at
// least half a row in proportion, 14 of which one and a half, and the rows that rounding leaves go to others.
func TestFewTokens(t *testing.T) {
	op := Op{Kind: MoE, M: 8, K: 8, N: 8, Experts: 128, TopK: 8, EP: 1, SkewMilli: 1010, Gated: true}
	rows, experts := sumOf(op.Routes())
	if rows != 64 || experts < 40 || experts > 54 {
		t.Errorf("%d rows to %d experts", rows, experts)
	}
}

// Tokens that are dealt in turn: nobody gets two rows while another has none, and ranks get as many.
func TestDealtRoutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := Op{Kind: MoE, M: rapid.Int64Range(1, 5000).Draw(t, "tokens"), K: 8, N: 8, Gated: true, EP: rapid.Int64Range(1, 16).Draw(t, "ranks")}
		op.Experts = op.EP * rapid.Int64Range(1, 32).Draw(t, "experts a rank")
		op.TopK = rapid.Int64Range(1, op.Experts).Draw(t, "top k")
		loads := op.DealtRoutes()
		rows, experts := sumOf(loads)
		all := op.M * op.TopK
		if most, least := loads[0].Tokens, loads[len(loads)-1].Tokens; most-least > 1 || most > 1 && all >= op.Experts && experts != op.Experts/op.EP {
			t.Fatalf("loads %v", loads)
		}
		if rows*op.EP < all || (rows-op.Experts/op.EP)*op.EP > all {
			t.Fatalf("%d of %d rows on one of %d ranks", rows, all, op.EP)
		}
	})
}

// The busiest of many ranks has more than its part of a skewed load: with 16 of 256 experts each, whose loads vary by 1.7 of
// their mean, half as much again at the least (1.77 standard deviations of a rank's sum for the highest of 16).
func TestBusiestRank(t *testing.T) {
	op := Op{Kind: MoE, M: 4096, K: 8, N: 8, Experts: 256, TopK: 8, EP: 16, SkewMilli: 1010, Gated: true}
	rows, _ := sumOf(op.Routes())
	if part := float64(rows) * 16 / (4096 * 8); part < 1.4 || part > 2.2 {
		t.Errorf("the busiest rank has %.2f times its part", part)
	}
}
