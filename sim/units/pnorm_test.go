package units

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The reference: powers by squaring and square roots in 700 bits. A float64 p is a·2^-j with
// whole a, so x^p is x^a after j square roots. It shares nothing with the code, which uses
// logarithms.
const refBits = 700

func refPower(x *big.Float, p float64) *big.Float {
	frac, e := math.Frexp(p)
	a, j := uint64(math.Ldexp(frac, 53)), 53-e
	for a%2 == 0 && j > 0 {
		a, j = a/2, j-1
	}
	y := new(big.Float).SetPrec(refBits).Set(x)
	for ; j > 0; j-- { // roots first keep the exponent small
		y.Sqrt(y)
	}
	for ; j < 0; j++ {
		y.Mul(y, y)
	}
	r := new(big.Float).SetPrec(refBits).SetInt64(1)
	for ; a > 0; a >>= 1 {
		if a&1 == 1 {
			r.Mul(r, y)
		}
		y.Mul(y, y)
	}
	return r
}

// refReaches reports whether r is at least the p-norm: Σ (t/r)ᵖ ≤ 1. Where the two sides are equal
// (3, 4, 5 and p = 2) the reference is off by some units in its last place.
func refReaches(r Time, p float64, ts []Time) bool {
	return refReachesFloat(new(big.Float).SetInt64(int64(r)), p, ts)
}

func refReachesFloat(r *big.Float, p float64, ts []Time) bool {
	sum := new(big.Float).SetPrec(refBits)
	for _, t := range ts {
		if t > 0 {
			x := new(big.Float).SetPrec(refBits).SetInt64(int64(t))
			sum.Add(sum, refPower(x.Quo(x, r), p))
		}
	}
	one := big.NewFloat(1).SetPrec(refBits)
	limit := new(big.Float).SetMantExp(one, -600) // in the precision of one
	return sum.Cmp(limit.Add(limit, one)) <= 0
}

func drawTime(t *rapid.T) Time {
	most := rapid.SampledFrom([]int64{10, 1000, 1e6, 1e9, 1e12, 1e15, int64(MaxTime)}).Draw(t, "scale")
	return Time(rapid.Int64Range(0, most).Draw(t, "time"))
}

func drawTimes(t *rapid.T, most int) []Time {
	ts := make([]Time, rapid.IntRange(0, most).Draw(t, "parts"))
	for i := range ts {
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "again") == 0 {
			ts[i] = ts[i-1] + Time(rapid.IntRange(0, 1).Draw(t, "more"))
			ts[i] = min(ts[i], MaxTime)
			continue
		}
		ts[i] = drawTime(t)
	}
	return ts
}

func drawP(t *rapid.T) float64 {
	return rapid.OneOf(
		rapid.Float64Range(1, 16),
		rapid.SampledFrom([]float64{1, 2, 3, 4, 5, 1.5, 2.5, 3.25, 1 + 0x1p-52, 100, 1e6, 1e15, 1e18}),
		rapid.Float64Range(1, 1e4),
	).Draw(t, "p")
}

func sumOf(ts []Time) Time {
	var sum Time
	for _, v := range ts {
		sum += v
	}
	return min(sum, MaxTime+1)
}

func TestPNormIsTheExactCeiling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, ts := drawP(t), drawTimes(t, 5)
		got := PNorm(p, ts...)
		if sumOf(ts) == 0 {
			if got != 0 {
				t.Fatalf("PNorm(%v, %v) = %d", p, ts, int64(got))
			}
			return
		}
		if got > MaxTime+1 || got <= 0 {
			t.Fatalf("PNorm(%v, %d) = %d", p, ts, int64(got))
		}
		if got <= MaxTime && !refReaches(got, p, ts) {
			t.Fatalf("PNorm(%v, %d) = %d is below the norm", p, ts, int64(got))
		}
		top, parts := Time(0), 0
		for _, v := range ts {
			if top = max(top, v); v > 0 {
				parts++
			}
		}
		if got == top && parts > 1 {
			t.Fatalf("PNorm(%v, %d) = %d is the maximum, and the norm is above it", p, ts, int64(got))
		}
		// Just above the maximum the second part may be too small for the reference.
		if got-1 > top && refReaches(got-1, p, ts) || got > top && parts == 1 {
			t.Fatalf("PNorm(%v, %d) = %d, but %d reaches the norm", p, ts, int64(got), int64(got-1))
		}
	})
}

func TestPNormLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, ts := drawP(t), drawTimes(t, 8)
		got := PNorm(p, ts...)
		var top Time
		for _, v := range ts {
			top = max(top, v)
		}
		if sum := sumOf(ts); got < top || got > sum {
			t.Fatalf("PNorm(%v, %d) = %d, outside of maximum %d and sum %d", p, ts, int64(got), int64(top), int64(sum))
		}
		if o := PNorm(p, rapid.Permutation(ts).Draw(t, "order")...); o != got {
			t.Fatalf("PNorm(%v, %d) = %d, in another order %d", p, ts, int64(got), int64(o))
		}
		if o := PNorm(p, slices.Concat([]Time{0, -5}, ts, []Time{0})...); o != got {
			t.Fatalf("PNorm(%v, %d) = %d, with parts that take no time %d", p, ts, int64(got), int64(o))
		}
		if o := PNorm(1, ts...); o != sumOf(ts) {
			t.Fatalf("PNorm(1, %d) = %d", ts, int64(o))
		}
		if o := PNorm(math.Inf(1), ts...); o != top {
			t.Fatalf("PNorm(+Inf, %d) = %d", ts, int64(o))
		}
		if q := drawP(t); q > p && PNorm(q, ts...) > got {
			t.Fatalf("PNorm(%v, %d) = %d is above PNorm(%v) = %d", q, ts, int64(PNorm(q, ts...)), p, int64(got))
		}
		if len(ts) == 0 {
			return
		}
		i := rapid.IntRange(0, len(ts)-1).Draw(t, "argument")
		more := slices.Clone(ts)
		more[i] = min(more[i]+Time(rapid.SampledFrom([]int64{1, 2, 1000, 1e9}).Draw(t, "longer")), MaxTime)
		if o := PNorm(p, more...); o < got {
			t.Fatalf("PNorm(%v, %d) = %d, but %d of the longer %d", p, ts, int64(got), int64(o), more)
		}
	})
}

func TestPNorm(t *testing.T) {
	many := slices.Repeat([]Time{MaxTime}, 5000)
	for _, tt := range []struct {
		p    float64
		ts   []Time
		want Time
	}{
		{2, nil, 0}, {2, []Time{0, -1}, 0}, {2, []Time{7}, 7}, {2, []Time{-9, 7, 0}, 7},
		// Pythagorean triples; one more on either side.
		{2, []Time{3, 4}, 5}, {2, []Time{5, 12}, 13}, {2, []Time{3, 5}, 6}, {2, []Time{2, 3, 6}, 7},
		{2, []Time{3e12, 4e12}, 5e12}, {2, []Time{3e12, 4e12 + 1}, 5e12 + 1}, {2, []Time{3e12, 4e12 - 1}, 5e12},
		{2, []Time{24e14, 32e14}, MaxTime}, {2, []Time{24e14, 32e14 + 1}, MaxTime + 1},
		{3, []Time{3, 4, 5}, 6},                        // 27 + 64 + 125 = 216 (Euler)
		{3, []Time{3e14, 4e14, 5e14}, 6e14},            //
		{3, []Time{1, 6, 8}, 9},                        // 1 + 216 + 512 = 729
		{4, []Time{30, 120, 272, 315}, 353},            // Norrie, 1911
		{5, []Time{27, 84, 110, 133}, 144},             // Lander and Parkin, Bull. AMS 72 (1966)
		{1.5, []Time{9, 16, 25}, 36},                   // squares of 3, 4, 5: cubes again
		{1.5, []Time{9e12, 16e12, 25e12}, 36e12},       //
		{4, []Time{1_000_000, 1_000_000}, 1_189_208},   // 10⁶·2^(1/4) = 1189207.115…
		{2, []Time{1_000_000, 1}, 1_000_001},           // above the maximum, however little
		{1e300, []Time{1_000_000, 999_999}, 1_000_001}, // likewise
		{1 + 0x1p-52, []Time{4, 3}, 7},
		{0.5, []Time{3, 4}, 7}, {-1, []Time{3, 4}, 7}, {0, []Time{3, 4}, 7}, {math.NaN(), []Time{3, 4}, 7}, {math.Inf(-1), []Time{3, 4}, 7},
		{math.Inf(1), []Time{3, 4}, 4},
		{2, []Time{MaxTime, 1}, MaxTime + 1}, {2, []Time{MaxTime, MaxTime}, MaxTime + 1}, {1, []Time{MaxTime, 1}, MaxTime + 1},
		{2, []Time{1, MaxTime + 1}, MaxTime + 1}, {math.Inf(1), []Time{1, math.MaxInt64}, MaxTime + 1},
		// Here p is more than 2⁵³: 4·10¹⁵·ln 200/9.1·10¹⁵ = 2.3 above the maximum.
		{9.1e15, slices.Repeat([]Time{MaxTime - 10}, 200), MaxTime - 7},
		{1, many, MaxTime + 1}, {1.0001, many, MaxTime + 1}, {1.5, many, MaxTime + 1}, {50, many, MaxTime + 1},
	} {
		if got := PNorm(tt.p, tt.ts...); got != tt.want {
			t.Errorf("PNorm(%v, %d) = %d, want %d", tt.p, tt.ts[:min(len(tt.ts), 4)], int64(got), int64(tt.want))
		}
	}
}

// k equal parts take t·k^(1/p): whole where k is a p-th power.
func TestPNormOfEqualParts(t *testing.T) {
	for _, part := range []Time{1, 7, 1_000_003, 1e12 + 39} {
		for p := 2; p <= 6; p++ {
			for root := 2; root <= 3; root++ {
				k := 1
				for range p {
					k *= root
				}
				ts := slices.Repeat([]Time{part}, k)
				if got := PNorm(float64(p), ts...); got != part*Time(root) {
					t.Errorf("%d parts of %d ps, p = %d: %d, want %d", k, int64(part), p, int64(got), int64(part*Time(root)))
				}
				if got := PNorm(float64(p), append(ts, 1)...); got != part*Time(root)+1 {
					t.Errorf("%d parts of %d ps and one of 1 ps, p = %d: %d, want %d", k, int64(part), p, int64(got), int64(part*Time(root)+1))
				}
			}
		}
	}
}

// The fast estimate must be much closer to the norm than the bound that it is trusted with.
func TestEstimateOfPNorm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, ts := drawP(t), drawTimes(t, 5)
		top := slices.Max(append(ts, 0))
		if top == 0 || p == 1 {
			return
		}
		extra := beyond(p, slices.Index(ts, top), ts)
		if extra < 0.5 || extra > 2*float64(MaxTime) {
			return // not used
		}
		eighth := (16*p + 1024) * 0x1p-52 / 8
		at := func(share float64) *big.Float {
			x := new(big.Float).SetPrec(refBits).SetFloat64(extra)
			x.Mul(x, new(big.Float).SetPrec(refBits).Add(big.NewFloat(1), big.NewFloat(share)))
			return x.Add(x, new(big.Float).SetInt64(int64(top)))
		}
		if !refReachesFloat(at(eighth), p, ts) || refReachesFloat(at(-eighth), p, ts) {
			t.Fatalf("p = %v, %d: %v beyond %d is off by more than %g of itself", p, ts, extra, int64(top), eighth)
		}
	})
}

// What Power is made of.
func TestSeries(t *testing.T) {
	near := func(t rapid.TB, what string, x, got, want, bound float64) {
		t.Helper()
		if d := math.Abs(got - want); d > bound*math.Abs(want) {
			t.Fatalf("%s(%v) = %v, want %v: relative error %g", what, x, got, want, d/math.Abs(want))
		}
	}
	const ulp = 0x1p-52
	rapid.Check(t, func(t *rapid.T) {
		x := math.Exp(-rapid.Float64Range(0, 40).Draw(t, "-ln x"))
		if x < 1 {
			near(t, "log2", x, log2(x), math.Log(x)/math.Ln2, 6*ulp)
		}
		y := rapid.Float64Range(-60, 0).Draw(t, "y")
		near(t, "exp2", y, exp2(y), math.Exp2(y), 6*ulp)
		e := math.Exp(rapid.Float64Range(-36, 2).Draw(t, "ln x of expm1"))
		near(t, "expm1", e, expm1(e), math.Expm1(e), 64*ulp)
	})
}

func BenchmarkPNorm(b *testing.B) {
	for _, bb := range []struct {
		name string
		p    float64
		ts   []Time
	}{
		{"2 parts of a microsecond", 4, []Time{1_000_003, 700_001}},
		{"5 parts of a microsecond", 3.7, []Time{1_000_003, 700_001, 30_011, 999_983, 5}},
		{"2 parts of a second", 4, []Time{1_000_003_000_019, 700_001_000_003}},
		{"exact solution", 2, []Time{3_000_000, 4_000_000}},
		{"perfect overlap", math.Inf(1), []Time{1_000_003, 700_001, 30_011}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ts := slices.Clone(bb.ts)
			b.ReportAllocs()
			for i := Time(0); b.Loop(); i++ {
				if bb.name != "exact solution" {
					ts[1] = bb.ts[1] + i%10_007
				}
				sink = PNorm(bb.p, ts...)
			}
		})
	}
}

func ExamplePNorm() {
	compute, memory := 10*Microsecond, 8*Microsecond
	for _, p := range []float64{1, 2, 4} {
		fmt.Printf("p = %v: %v\n", p, PNorm(p, compute, memory))
	}
	// Output:
	// p = 1: 18 us
	// p = 2: 12806249 ps
	// p = 4: 10896173 ps
}
