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
	// With S = Σ (t/top)ᵖ over the others, the result is top + top·((1+S)^(1/p) − 1). Computed
	// this way the second part has a small relative error however small it is.
	var s float64
	for i, t := range ts {
		if i == at || t <= 0 {
			continue
		}
		s += power(float64(t)/float64(top), p)
	}
	extra := float64(top) * expm1(log1p(s)/p)
	if extra < 0.5 {
		return top + 1 // positive, however small
	}
	if extra > 2*float64(MaxTime) {
		return MaxTime + 1 // and thousands of parts may exceed an int64
	}
	// Each rounding below is at most 2⁻⁵² relative. The ratio's error is multiplied by p, and that of
	// the logarithm by p·|log| ≤ 64·ln 2 where extra ≥ 0.5 (top < 2⁵²). The constants are several
	// times what the sums come to.
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

// power returns xᵖ for 0 < x ≤ 1 and p > 1.
func power(x, p float64) float64 {
	if x == 1 {
		return 1
	}
	return exp2(float64(p * log2(x)))
}

// log2 returns the base-2 logarithm of a positive number, with a relative error of some 2⁻⁵¹.
func log2(x float64) float64 {
	f, e := math.Frexp(x) // f in [0.5, 1)
	if f < math.Sqrt2/2 {
		f, e = f*2, e-1
	}
	return float64(e) + float64(atanh2((f-1)/(f+1))*math.Log2E)
}

// atanh2 returns 2·atanh(z) for |z| ≤ 1/3 by its series, 2·(z + z³/3 + z⁵/5 + …), which for
// z = (x−1)/(x+1) is the natural logarithm of x.
func atanh2(z float64) float64 {
	q := float64(z * z)
	var s float64
	n := 17 // (1/3)^35 is below 2⁻⁵⁵
	if q < 0.03 {
		n = 11 // 0.173^23 likewise
	}
	for k := 2*n - 1; k >= 3; k -= 2 {
		s = float64((s + inverse[k]) * q)
	}
	return 2*z + float64(2*z*s)
}

// inverse[k] is 1/k.
var inverse = func() (t [40]float64) {
	for k := 1; k < len(t); k++ {
		t[k] = 1 / float64(k)
	}
	return
}()

// log1p returns ln(1+s) for s ≥ 0 with a small relative error also for tiny s.
func log1p(s float64) float64 {
	if s <= 1 {
		return atanh2(s / (2 + s))
	}
	return float64(log2(1+s) * math.Ln2)
}

// exp2 returns 2^y for y ≤ 0, and 0 where that is far below anything that matters here.
func exp2(y float64) float64 {
	if y < -200 {
		return 0
	}
	n := math.Floor(y + 0.5)
	return math.Ldexp(1+expm1(float64((y-n)*math.Ln2)), int(n))
}

// expm1 returns eˣ−1 for x > −0.4 by its Taylor series on a reduced argument, with a small
// relative error.
func expm1(x float64) float64 {
	if x > 0.4 {
		// e^x − 1 = (h)(h+2) with h = e^(x/2) − 1, all positive: nothing cancels.
		h := expm1(x / 2)
		return float64(h * (h + 2))
	}
	s := 1.0
	for k := 16; k >= 2; k-- { // 0.4^16/17! is below 2⁻⁶⁵
		s = 1 + float64(float64(s*x)*inverse[k])
	}
	return float64(x * s)
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
