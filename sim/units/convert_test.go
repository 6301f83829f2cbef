package units

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// drawInt returns an integer of any size, often at the edges.
func drawInt(t *rapid.T, label string) int64 {
	v := rapid.Int64().Draw(t, label)
	return v >> rapid.IntRange(0, 63).Draw(t, "shift")
}

// ceilQuo returns ⌈a/b⌉ for b > 0.
func ceilQuo(a, b *big.Int) *big.Int {
	q, m := new(big.Int).DivMod(a, b, new(big.Int)) // floor, as b > 0
	if m.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// orTooLong is the rule of all conversions to Time.
func orTooLong(ps *big.Int) Time {
	if ps.Cmp(big.NewInt(int64(MaxTime))) > 0 {
		return MaxTime + 1
	}
	return Time(ps.Int64())
}

func TestCheckedArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawInt(t, "a"), drawInt(t, "b"), drawInt(t, "c")
		x, y, z := big.NewInt(a), big.NewInt(b), big.NewInt(c)
		if p, ok := Mul(a, b); ok != new(big.Int).Mul(x, y).IsInt64() || ok && p != a*b {
			t.Fatalf("Mul(%d, %d) = %d, %v", a, b, p, ok)
		}
		if s, ok := Add(a, b); ok != new(big.Int).Add(x, y).IsInt64() || ok && s != a+b {
			t.Fatalf("Add(%d, %d) = %d, %v", a, b, s, ok)
		}
		if b != 0 && (a != math.MinInt64 || b != -1) {
			n, d := x, y
			if b < 0 {
				n, d = new(big.Int).Neg(x), new(big.Int).Neg(y)
			}
			if q := CeilDiv(a, b); big.NewInt(q).Cmp(ceilQuo(n, d)) != 0 {
				t.Fatalf("CeilDiv(%d, %d) = %d, want %v", a, b, q, ceilQuo(n, d))
			}
		}
		q, ok := MulDivCeil(a, b, c)
		if a < 0 || b < 0 || c <= 0 {
			if ok {
				t.Fatalf("MulDivCeil(%d, %d, %d) is accepted", a, b, c)
			}
			return
		}
		want := ceilQuo(new(big.Int).Mul(x, y), z)
		if ok != want.IsInt64() || ok && q != want.Int64() {
			t.Fatalf("MulDivCeil(%d, %d, %d) = %d, %v, want %v", a, b, c, q, ok, want)
		}
	})
}

func TestCheckedArithmeticAtTheEdges(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	for _, tt := range []struct {
		a, b     int64
		mul, add bool // representable
	}{
		{0, 0, true, true}, {0, least, true, true}, {least, 0, true, true},
		{most, 1, true, false}, {least, 1, true, true}, {least, -1, false, false}, {-1, least, false, false},
		{most, -1, true, true}, {most, most, false, false}, {least, least, false, false}, {most, least, false, true},
		{1 << 31, 1 << 32, false, true}, {-1 << 31, 1 << 32, true, true}, {1 << 31, 1<<32 - 1, true, true},
	} {
		if p, ok := Mul(tt.a, tt.b); ok != tt.mul || ok && p != tt.a*tt.b {
			t.Errorf("Mul(%d, %d) = %d, %v", tt.a, tt.b, p, ok)
		}
		if s, ok := Add(tt.a, tt.b); ok != tt.add || ok && s != tt.a+tt.b {
			t.Errorf("Add(%d, %d) = %d, %v", tt.a, tt.b, s, ok)
		}
	}
	for _, tt := range []struct {
		a, b, c, want int64
		ok            bool
	}{
		{7, 1, 2, 4, true}, {6, 1, 2, 3, true}, {0, most, 1, 0, true},
		{most, most, most, most, true}, {most, 2, 2, most, true}, {most, 2, 1, 0, false},
		{most - 1, most, most, most - 1, true},
		{1<<62 + 1, 4, 3, (1<<64+4)/3 + 1, true},
		{1 << 62, 4, 2, 0, false},             // 2^63
		{6148914691236517205, 3, 2, 0, false}, // (2^64−1)/2 rounds up to 2^63
		{1, 1, 0, 0, false}, {1, 1, -1, 0, false}, {-1, 1, 1, 0, false}, {1, -1, 1, 0, false},
	} {
		if q, ok := MulDivCeil(tt.a, tt.b, tt.c); ok != tt.ok || ok && q != tt.want {
			t.Errorf("MulDivCeil(%d, %d, %d) = %d, %v, want %d, %v", tt.a, tt.b, tt.c, q, ok, tt.want, tt.ok)
		}
	}
	for _, tt := range [][3]int64{{7, 2, 4}, {-7, 2, -3}, {7, -2, -3}, {-7, -2, 4}, {6, 3, 2}, {0, 5, 0}, {most, most, 1}, {least, 2, least / 2}} {
		if q := CeilDiv(tt[0], tt[1]); q != tt[2] {
			t.Errorf("CeilDiv(%d, %d) = %d, want %d", tt[0], tt[1], q, tt[2])
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("CeilDiv by zero does not panic")
		}
	}()
	t.Errorf("1/0 is %d", CeilDiv(1, 0))
}

func drawHertz(t *rapid.T) Hertz {
	return Hertz(rapid.OneOf(rapid.Int64Range(1, 10_000), rapid.Int64Range(1, 5_000_000_000), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "hertz"))
}

// Cycle f of a clock of f hertz is at one second, to the picosecond, and k·f at k seconds.
func TestOneSecondHasFCycles(t *testing.T) {
	check := func(t rapid.TB, f Hertz) {
		t.Helper()
		for _, k := range []int64{1, 2, 3, 3999, 4000} {
			n, ok := Mul(int64(f), k)
			if !ok {
				continue
			}
			if at := f.At(Cycles(n)); at != Time(k)*Second {
				t.Fatalf("cycle %d of a clock of %v is at %d ps", n, f, int64(at))
			}
		}
	}
	// A truncated period of 569 ps would put the first of these 0.14 % early.
	for _, f := range []Hertz{1_755_000_000, 1_410_000_000, 1_980_000_000, 940_000_000, 333_333_333, 1, 3, 7, 1_000_000_007} {
		check(t, f)
	}
	rapid.Check(t, func(t *rapid.T) { check(t, drawHertz(t)) })
}

func TestAtAndCyclesIn(t *testing.T) {
	second := big.NewInt(int64(Second))
	rapid.Check(t, func(t *rapid.T) {
		f := drawHertz(t)
		n := Cycles(max(0, drawInt(t, "cycle")))
		at := f.At(n)
		if want := orTooLong(ceilQuo(new(big.Int).Mul(big.NewInt(int64(n)), second), big.NewInt(int64(f)))); at != want {
			t.Fatalf("cycle %d at %d Hz: %d ps, want %d", n, int64(f), int64(at), int64(want))
		}
		if next := f.At(n + 1); n < math.MaxInt64 && next < at {
			t.Fatalf("cycle %d at %d Hz is before its predecessor", n+1, int64(f))
		}
		// Up to a terahertz each cycle has a picosecond of its own, so counting gives it back.
		if at <= MaxTime && f <= Hertz(Second) {
			if c := f.CyclesIn(at); c != n {
				t.Fatalf("cycle %d at %d Hz comes back as %d", n, int64(f), c)
			}
		}
		d := Time(max(0, drawInt(t, "time")))
		cycles := new(big.Int).Mul(big.NewInt(int64(d)), big.NewInt(int64(f)))
		cycles.Quo(cycles, second)
		want := Cycles(math.MaxInt64)
		if cycles.IsInt64() {
			want = Cycles(cycles.Int64())
		}
		if c := f.CyclesIn(d); c != want {
			t.Fatalf("%d ps at %d Hz: %d cycles, want %d", int64(d), int64(f), c, want)
		}
	})
}

func TestAtTheEdgesOfTime(t *testing.T) {
	for _, tt := range []struct {
		f    Hertz
		n    Cycles
		want Time
	}{
		{1e9, 0, 0}, {1e9, -5, 0}, {1e9, 1, 1000}, {3e9, 1, 334}, {3e9, 2, 667}, {3e9, 3, 1000},
		{1, 4000, MaxTime}, {1, 4001, MaxTime + 1}, {1, math.MaxInt64, MaxTime + 1},
		{1e12, 4e15, MaxTime}, {1e12, 4e15 + 1, MaxTime + 1},
		{math.MaxInt64, math.MaxInt64, Second}, {math.MaxInt64, 1, 1},
		{0, 1, MaxTime + 1}, {-1, 1, MaxTime + 1}, {0, 0, MaxTime + 1},
	} {
		if got := tt.f.At(tt.n); got != tt.want {
			t.Errorf("cycle %d at %d Hz: %d ps, want %d", tt.n, int64(tt.f), int64(got), int64(tt.want))
		}
	}
	for _, tt := range []struct {
		f    Hertz
		t    Time
		want Cycles
	}{
		{1e9, 999, 0}, {1e9, 1000, 1}, {1e9, 1999, 1}, {3e9, 333, 0}, {3e9, 334, 1}, {3e9, Second, 3e9},
		{0, Second, 0}, {-1, Second, 0}, {1e9, 0, 0}, {1e9, -1, 0},
		{math.MaxInt64, Second, math.MaxInt64}, {math.MaxInt64, MaxTime, math.MaxInt64}, {math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		if got := tt.f.CyclesIn(tt.t); got != tt.want {
			t.Errorf("%d ps at %d Hz: %d cycles, want %d", int64(tt.t), int64(tt.f), got, tt.want)
		}
	}
}

// overExact is ⌈n·10¹²/bw⌉ in rational arithmetic.
func overExact(n Bytes, bw float64) Time {
	r := new(big.Rat).SetFloat64(bw)
	r.Quo(new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(int64(Second)))), r)
	return orTooLong(ceilQuo(r.Num(), r.Denom()))
}

func TestOver(t *testing.T) {
	draw := rapid.OneOf(
		rapid.Map(rapid.Int64Range(1, 1<<53), func(v int64) float64 { return float64(v) }), // whole
		rapid.Float64Range(1e6, 1e14), // as machines have them
		rapid.Map(rapid.IntRange(1, 1<<20), func(v int) float64 { return float64(v) / 1024 }),
		rapid.Float64Range(math.SmallestNonzeroFloat64, 1),
		rapid.Float64Range(1<<52, 1<<54),
		rapid.Float64Range(1<<61, 1<<64),
		rapid.Float64Range(1, math.MaxFloat64),
	)
	rapid.Check(t, func(t *rapid.T) {
		n, bw := Bytes(max(0, drawInt(t, "bytes"))), draw.Draw(t, "bandwidth")
		if got, want := n.Over(BytesPerSecond(bw)), overExact(n, bw); got != want {
			t.Fatalf("%d B at %v B/s: %d ps, want %d", int64(n), bw, int64(got), int64(want))
		}
		// A slower memory is never faster.
		if slow := math.Nextafter(bw, 0); slow > 0 && n.Over(BytesPerSecond(slow)) < n.Over(BytesPerSecond(bw)) {
			t.Fatalf("%d B are faster at %v than at %v B/s", int64(n), slow, bw)
		}
	})
	for _, tt := range []struct {
		n    Bytes
		bw   BytesPerSecond
		want Time
	}{
		{0, 1, 0}, {-1, 1, 0}, {1, 1, Second}, {1, 3, 333_333_333_334}, {3, 3, Second},
		{4000, 1, MaxTime}, {4001, 1, MaxTime + 1}, {math.MaxInt64, 1e-300, MaxTime + 1},
		{1, 0.5, 2 * Second}, {1, 2.5, 400 * Millisecond}, {math.MaxInt64, 1 << 63, Second}, // 2^63−1 of 2^63, rounded up
		{1, 1e300, 1}, {1, math.MaxFloat64, 1}, {math.MaxInt64, BytesPerSecond(math.Inf(1)), 0},
		{1, 0, MaxTime + 1}, {1, -1, MaxTime + 1}, {0, 0, MaxTime + 1},
		{1, BytesPerSecond(math.NaN()), MaxTime + 1}, {1, BytesPerSecond(math.Inf(-1)), MaxTime + 1},
		{1, 5e-324, MaxTime + 1},
		{1 << 62, 0x1.8p-8, MaxTime + 1}, // the product with 2⁶⁰ is 0 in its lower 128 bits
	} {
		if got := tt.n.Over(tt.bw); got != tt.want {
			t.Errorf("%d B at %v B/s: %d ps, want %d", int64(tt.n), float64(tt.bw), int64(got), int64(tt.want))
		}
	}
}

func TestSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := Time(rapid.Int64Range(0, int64(MaxTime)).Draw(t, "time"))
		if back, err := Seconds(at.Seconds()); err != nil || back != at {
			t.Fatalf("%d ps are %v s, which are %d ps, %v", int64(at), at.Seconds(), int64(back), err)
		}
		s := rapid.OneOf(rapid.Float64Range(0, 4000), rapid.Float64Range(0, 1e-6), rapid.Float64Range(0, 3e-12)).Draw(t, "seconds")
		// ⌊10¹²·s + 1/2⌋
		r := new(big.Rat).SetFloat64(s)
		r.Mul(r, new(big.Rat).SetInt64(2*int64(Second))).Add(r, big.NewRat(1, 1)).Quo(r, big.NewRat(2, 1))
		want := new(big.Int).Quo(r.Num(), r.Denom())
		if got, err := Seconds(s); err != nil || int64(got) != want.Int64() {
			t.Fatalf("%v s: %d ps, %v, want %v", s, int64(got), err, want)
		}
	})
	for s, want := range map[float64]Time{
		0: 0, 1: Second, 4000: MaxTime, 0.6e-12: 1, 0.4e-12: 0, 1e-12: 1, 0x1p-1074: 0, math.Copysign(0, -1): 0,
		math.Nextafter(4000, 0): MaxTime,     // half a picosecond below, by the spacing of float64 there
		0x1p-41:                 0,           // 0.4547 ps
		0x1p-13:                 122_070_313, // 122070312.5 ps: a half goes up,
		0x1p-13 - 0x1p-66:       122_070_312, // and the next float64 below does not
	} {
		if got, err := Seconds(s); err != nil || got != want {
			t.Errorf("%v s: %d ps, %v, want %d", s, int64(got), err, int64(want))
		}
	}
	for s, want := range map[float64]string{
		-1:                         "-1 s: a time must not be negative",
		-5e-324:                    "-5e-324 s: a time must not be negative",
		math.NaN():                 "NaN s: a time must be a number",
		math.Inf(-1):               "-Inf s: a time must not be negative",
		math.Inf(1):                "+Inf s: a simulated time is at most 4000 s",
		4001:                       "4001 s: a simulated time is at most 4000 s",
		math.Nextafter(4000, 5000): "4000.0000000000005 s: a simulated time is at most 4000 s",
	} {
		if got, err := Seconds(s); err == nil || err.Error() != want || got != 0 {
			t.Errorf("%v s: %d ps, error %v, want %q", s, int64(got), err, want)
		}
	}
}

func TestEnergyAndPower(t *testing.T) {
	if e := Bytes(1 << 30).Cost(48e-12); e != Joules(float64(1<<30)*48e-12) {
		t.Errorf("a GiB at 48 pJ/B: %v", e)
	}
	if e := Ops(2e12).Cost(0.5e-12); e != 1 {
		t.Errorf("2 Top at 0.5 pJ: %v", e)
	}
	if p := Joules(3).Per(2 * Second); p != 1.5 {
		t.Errorf("3 J in 2 s: %v", p)
	}
	for _, d := range []Time{0, -1} {
		if p := Joules(3).Per(d); p != 0 {
			t.Errorf("3 J in %v: %v", d, p)
		}
	}
	if e := Watts(400).During(250 * Millisecond); e != 100 {
		t.Errorf("400 W for 250 ms: %v", e)
	}
}

var sink Time

func BenchmarkAt(b *testing.B) {
	f := Hertz(1_755_000_000)
	b.ReportAllocs()
	for n := Cycles(0); b.Loop(); n += 137 {
		sink = f.At(n)
	}
}

func BenchmarkOver(b *testing.B) {
	for name, bw := range map[string]BytesPerSecond{"whole": 3.35e12, "fraction": 3.35e12 / 7} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := Bytes(1); b.Loop(); n += 4096 {
				sink = n.Over(bw)
			}
		})
	}
}
