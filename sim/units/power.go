package units

import "math"

// Power returns xʸ for 0 < x ≤ 1 and y > 0, to some 50 bits and the same on every platform, which math.Pow
// is not. What is below 2⁻²⁰⁰ is 0.
func Power(x, y float64) float64 {
	if x == 1 {
		return 1
	}
	return exp2(float64(y * log2(x)))
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
