package units

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
)

// CeilDiv returns ⌈a/b⌉. It panics if b is zero, and overflows for −2⁶³/−1, as a division does.
func CeilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) == (b < 0) {
		q++
	}
	return q
}

// MulDivCeil returns ⌈a·b/c⌉ with a 128-bit product. It is not ok if a or b is negative, c is not
// positive, or the result does not fit.
func MulDivCeil(a, b, c int64) (q int64, ok bool) {
	if a < 0 || b < 0 || c <= 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	return divCeil(hi, lo, uint64(c))
}

// divCeil returns ⌈(hi·2⁶⁴+lo)/c⌉ if it fits an int64.
func divCeil(hi, lo, c uint64) (int64, bool) {
	if hi >= c {
		return 0, false
	}
	q, r := bits.Div64(hi, lo, c)
	if q > math.MaxInt64 || q == math.MaxInt64 && r != 0 {
		return 0, false
	}
	if r != 0 {
		q++
	}
	return int64(q), true
}

// Mul returns a·b; not ok if it overflows.
func Mul(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if (a < 0) != (b < 0) {
		return -int64(lo), hi == 0 && lo <= 1<<63
	}
	return int64(lo), hi == 0 && lo <= math.MaxInt64
}

// Add returns a+b; not ok if it overflows.
func Add(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0) || b == 0
}

// At returns the time of cycle n, ⌈n·10¹²/f⌉ ps, exactly; 0 for n ≤ 0. Where the time exceeds
// MaxTime, or f is not positive, it returns MaxTime+1.
func (f Hertz) At(n Cycles) Time {
	if f <= 0 {
		return MaxTime + 1
	}
	if n <= 0 {
		return 0
	}
	return atMost(MulDivCeil(int64(n), int64(Second), int64(f)))
}

// CyclesIn returns the number of whole cycles in t, ⌊t·f/10¹²⌋, exactly; 0 where t or f is not
// positive. It saturates at the largest Cycles.
func (f Hertz) CyclesIn(t Time) Cycles {
	if f <= 0 || t <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(t), uint64(f))
	if hi >= uint64(Second) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(Second))
	return Cycles(min(q, math.MaxInt64))
}

// atMost maps what does not fit below MaxTime to MaxTime+1.
func atMost(t int64, ok bool) Time {
	if !ok || t > int64(MaxTime) {
		return MaxTime + 1
	}
	return Time(t)
}

// Over returns the time that n bytes take at a bandwidth, ⌈n·10¹²/bw⌉ ps, exactly; 0 for n ≤ 0
// and for an infinite bandwidth. Where the time exceeds MaxTime, or bw is not positive, it
// returns MaxTime+1.
func (n Bytes) Over(bw BytesPerSecond) Time {
	if !(bw > 0) {
		return MaxTime + 1
	}
	if n <= 0 || math.IsInf(float64(bw), 1) {
		return 0
	}
	if bw < 1<<62 {
		if w := int64(bw); BytesPerSecond(w) == bw {
			return atMost(MulDivCeil(int64(n), int64(Second), w))
		}
		// bw = m·2⁻ˢ: the product shifted by s, as long as it stays within 128 bits.
		frac, e := math.Frexp(float64(bw))
		m, s := uint64(math.Ldexp(frac, 53)), 53-e
		hi, lo := bits.Mul64(uint64(n), uint64(Second))
		if s > 0 && s < 64 && hi>>(63-s) == 0 {
			hi, lo = hi<<s|lo>>(64-s), lo<<s
			return atMost(divCeil(hi, lo, m))
		}
	}
	r := new(big.Rat).SetFloat64(float64(bw))
	num := new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(int64(Second)))
	num.Mul(num, r.Denom())
	q, m := num.QuoRem(num, r.Num(), new(big.Int))
	if m.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	return atMost(q.Int64(), q.IsInt64())
}

// Seconds returns the time in seconds.
func (t Time) Seconds() float64 { return float64(t) / 1e12 }

// Seconds returns a number of seconds as a time, rounded to the nearest picosecond, so that
// Seconds(t.Seconds()) is t up to MaxTime. Negative numbers, NaN and what exceeds MaxTime are
// errors.
func Seconds(s float64) (Time, error) {
	if math.IsNaN(s) {
		return 0, errors.New("NaN s: a time must be a number")
	}
	if s < 0 {
		return 0, fmt.Errorf("%g s: a time must not be negative", s)
	}
	if s > MaxTime.Seconds() {
		return 0, fmt.Errorf("%g s: a simulated time is at most %v", s, MaxTime)
	}
	// s = m·2^-k, and the product m·10¹² has at most 93 bits: exact up to the last rounding.
	frac, e := math.Frexp(s)
	m, k := uint64(math.Ldexp(frac, 53)), 53-e // s ≤ 4000 keeps k ≥ 41
	hi, lo := bits.Mul64(m, uint64(Second))
	if k > 93 {
		return 0, nil // m·10¹² is below 2⁹³: less than half a picosecond
	}
	var carry uint64
	half := uint(k - 1) // add half of the last place, then cut
	if half < 64 {
		lo, carry = bits.Add64(lo, 1<<half, 0)
		hi += carry
	} else {
		hi += 1 << (half - 64)
	}
	if k < 64 {
		return Time(hi<<(64-k) | lo>>k), nil
	}
	return Time(hi >> (k - 64)), nil
}

// Cost returns the energy of moving n bytes.
func (n Bytes) Cost(e JoulesPerByte) Joules { return Joules(float64(n) * float64(e)) }

// Cost returns the energy of n operations.
func (n Ops) Cost(e JoulesPerOp) Joules { return Joules(float64(n) * float64(e)) }

// Per returns the average power of an energy spent over t; 0 where t is not positive.
func (j Joules) Per(t Time) Watts {
	if t <= 0 {
		return 0
	}
	return Watts(float64(j) / t.Seconds())
}

// During returns the energy of a power drawn for t.
func (w Watts) During(t Time) Joules { return Joules(float64(w) * t.Seconds()) }
