package units

import (
	"math"
	"math/big"
)

// PNorm returns ⌈(Σ tᵖ)^(1/p)⌉: the time of parts that overlap imperfectly. p = 1 is no overlap (the
// sum), p = +Inf perfect overlap (the maximum). Between them the result is the exact ceiling, so it
// is at least the maximum, at most the sum, independent of the order, monotone in every argument,
// and the same on every platform. Negative times count as 0; p below 1 or NaN counts as 1; a result
// above MaxTime is MaxTime+1.
func PNorm(p float64, ts ...Time) Time {
	var top, sum Time
	at, parts := -1, 0
	for i, t := range ts {
		if t <= 0 {
			continue
		}
		if t > MaxTime {
			return MaxTime + 1
		}
		parts++
		sum = min(sum+t, MaxTime+1) // no overflow: both are far below 2⁶³
		if t > top {
			top, at = t, i
		}
	}
	switch {
	case parts <= 1, math.IsInf(p, 1):
		return top
	case !(p > 1):
		return sum
	}
	extra := beyond(p, at, ts)
	if extra < 0.5 {
		return top + 1 // positive, however small
	}
	if extra > 2*float64(MaxTime) {
		return MaxTime + 1 // and thousands of parts may exceed an int64
	}
	// Roundings are at most 2⁻⁵² relative, those of package math on any platform a few times that. The ratio's error is multiplied by
	// p, and that of the logarithm by p·|log| ≤ 64·ln 2 where extra ≥ 0.5 (top < 2⁵²). The constants are
	// several times what the sums come to.
	slack := extra * (float64(16*p) + 1024) * 0x1p-52
	lo, hi := math.Ceil(extra-slack), math.Ceil(extra+slack)
	if lo == hi {
		return min(top+Time(lo), MaxTime+1)
	}
	// An integer lies within the error: look for the smallest r that is not below the norm. Its
	// neighbourhood is [lo, hi], usually two integers.
	a, b := top+Time(max(lo, 1)), top+Time(hi)
	a, b = min(a, sum), min(b, sum) // never above the sum
	for a < b {
		mid := a + (b-a)/2
		if reaches(mid, p, ts) {
			b = mid
		} else {
			a = mid + 1
		}
	}
	return min(a, MaxTime+1)
}

// beyond is about how far the norm is above the longest part, which is at a place.
func beyond(p float64, at int, ts []Time) float64 {
	// With S = Σ (t/top)ᵖ over the others, the norm is top + top·((1+S)^(1/p) − 1). Computed
	// this way the second part has a small relative error however small it is.
	top, s := float64(ts[at]), 0.0
	for i, t := range ts {
		if i != at && t > 0 {
			s += math.Exp(float64(p * math.Log(float64(t)/top)))
		}
	}
	return top * math.Expm1(math.Log1p(s)/p)
}

// precision is the number of fractional bits of the exact comparison.
const precision = 384

// reaches reports whether r is at least the p-norm of ts, that is Σ (t/r)ᵖ ≤ 1. Sums within 2⁻³⁰⁰
// of 1 are taken as equal: whole numbers r with such a distance do not occur for small p other
// than as exact solutions (3, 4, 5 for p = 2).
func reaches(r Time, p float64, ts []Time) bool {
	one := new(big.Int).Lsh(big.NewInt(1), precision)
	lr := fixedLn(int64(r))
	mant, e := math.Frexp(p)
	m, shift := big.NewInt(int64(math.Ldexp(mant, 53))), e-53
	sum := new(big.Int)
	for _, t := range ts {
		if t <= 0 {
			continue
		}
		y := fixedLn(int64(t))
		y.Sub(y, lr).Mul(y, m)
		if shift < 0 {
			y.Rsh(y, uint(-shift))
		} else {
			y.Lsh(y, uint(shift))
		}
		if y.Sign() > 0 {
			return false // t > r
		}
		sum.Add(sum, fixedExp(y))
	}
	limit := one.Add(one, new(big.Int).Lsh(big.NewInt(1), precision-300))
	return sum.Cmp(limit) <= 0
}

// fixedLn returns ln(n) in fixed point, for n ≥ 1.
func fixedLn(n int64) *big.Int {
	e := 0
	for v := n; v > 1; v >>= 1 {
		e++
	}
	// n = 2^e·f with f in [1, 2): ln n = e·ln 2 + 2·atanh((f−1)/(f+1)), and (f−1)/(f+1) is the
	// fraction (n − 2^e)/(n + 2^e) below.
	l := fixedAtanh2(n-1<<e, n+1<<e)
	return l.Add(l, new(big.Int).Mul(fixedLn2, big.NewInt(int64(e))))
}

var fixedLn2 = fixedAtanh2(1, 3) // ln 2 = 2·atanh(1/3)

// fixedAtanh2 returns 2·atanh(a/b) in fixed point for 0 ≤ a/b ≤ 1/3.
func fixedAtanh2(a, b int64) *big.Int {
	z := new(big.Int).Lsh(big.NewInt(a), precision+1)
	z.Quo(z, big.NewInt(b))
	half := new(big.Int).Rsh(z, 1)
	q := new(big.Int).Mul(half, half)
	q.Rsh(q, precision)
	sum, term := new(big.Int), new(big.Int)
	for k := int64(1); z.Sign() != 0; k += 2 {
		sum.Add(sum, term.Quo(z, big.NewInt(k)))
		z.Mul(z, q)
		z.Rsh(z, precision)
	}
	return sum
}

// fixedExp returns e^y in fixed point for y ≤ 0 in fixed point.
func fixedExp(y *big.Int) *big.Int {
	// y = −k·ln 2 + x with 0 ≤ x < ln 2: e^y = 2^−k · (e^(x/256))^256.
	k, x := new(big.Int).DivMod(y, fixedLn2, new(big.Int))
	if k.Cmp(big.NewInt(-2*precision)) < 0 {
		return k.SetInt64(0)
	}
	x.Rsh(x, 8)
	sum := new(big.Int).Lsh(big.NewInt(1), precision)
	term := new(big.Int).Set(sum)
	for i := int64(1); term.Sign() != 0; i++ {
		term.Mul(term, x)
		term.Rsh(term, precision)
		term.Quo(term, big.NewInt(i))
		sum.Add(sum, term)
	}
	for i := 0; i < 8; i++ {
		sum.Mul(sum, sum)
		sum.Rsh(sum, precision)
	}
	return sum.Rsh(sum, uint(-k.Int64()))
}
