package search

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/samplemv"
	"pgregory.net/rapid"
)

// space draws a space of all kinds of variables, or of those with a finite number of values.
func space(t *rapid.T, finite bool) Space {
	s := make(Space, rapid.IntRange(1, 5).Draw(t, "variables"))
	for i := range s {
		v := Variable{Name: fmt.Sprint("v", i), Kind: Kind(rapid.IntRange(int(Categorical), int(Real)).Draw(t, "kind"))}
		if finite && v.Kind == Real {
			v.Kind = Integer
		}
		switch v.Kind {
		case Categorical, Ordered:
			for k := range rapid.IntRange(1, 5).Draw(t, "choices") {
				v.Choices = append(v.Choices, fmt.Sprint(k))
			}
		case Integer:
			v.Log = rapid.Bool().Draw(t, "log")
			v.Low = float64(rapid.IntRange(-9, 9).Draw(t, "low"))
			if v.Log {
				v.Low = math.Abs(v.Low) + 1
			}
			v.High = v.Low + float64(rapid.IntRange(0, 6).Draw(t, "size"))
		case Real:
			v.Log = rapid.Bool().Draw(t, "log")
			v.Low = rapid.Float64Range(-9, 9).Draw(t, "low")
			if v.Log {
				v.Low = math.Abs(v.Low) + 1e-3
			}
			v.High = v.Low + rapid.OneOf(rapid.Just(0.), rapid.Float64Range(1e-3, 6)).Draw(t, "size")
		}
		s[i] = v
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUnitCube: every point of the cube is a candidate, discrete values come back from their place, real ones to rounding, and
// larger coordinates never give smaller values.
func TestUnitCube(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := space(t, false)
		coordinate := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 1, 1 - 0x1p-53}))
		u := rapid.SliceOfN(coordinate, len(s), len(s)).Draw(t, "u")
		c := s.At(u)
		if err := s.Check(c); err != nil {
			t.Fatal(err)
		}
		for i, x := range c {
			v := &s[i]
			back := v.at(v.unit(x))
			if v.Kind != Real && back != x || math.Abs(back-x) > 1e-12*(math.Abs(v.Low)+math.Abs(v.High)) {
				t.Fatalf("%v: %v comes back as %v", v, x, back)
			}
			if more := coordinate.Draw(t, "more"); more > u[i] && v.at(more) < x || more < u[i] && v.at(more) > x {
				t.Fatalf("%v: %v at %v, but %v at %v", v, x, u[i], v.at(more), more)
			}
			if w := v.width(x); (w == 0) != (v.Kind == Real) || w < 0 || w > 1 {
				t.Fatalf("%v: width %v", v, w)
			}
		}
	})
}

// TestSharesOfTheUnitInterval: choices and linear integers have equal shares, logarithmic integers that from i-½ to i+½.
func TestSharesOfTheUnitInterval(t *testing.T) {
	for _, v := range []Variable{
		{Kind: Categorical, Choices: []string{"a", "b", "c"}},
		{Kind: Ordered, Choices: []string{"a", "b", "c", "d", "e"}},
		{Kind: Integer, Low: -2, High: 4},
		{Kind: Integer, Low: 1, High: 8, Log: true},
	} {
		const n = 100_000
		counts := map[float64]float64{}
		for i := range n {
			counts[v.at((float64(i)+0.5)/n)]++
		}
		low, high := v.bounds()
		if len(counts) != int(high-low)+1 {
			t.Errorf("%v: values %v", v, counts)
		}
		for x, count := range counts {
			want := 1 / (high - low + 1)
			if v.Log {
				want = math.Log((x+0.5)/(x-0.5)) / math.Log((high+0.5)/(low-0.5))
			}
			if math.Abs(count/n-want) > 2./n {
				t.Errorf("%v: %v has a share of %v, want %v", v, x, count/n, want)
			}
		}
	}
}

func TestSpaceComplaints(t *testing.T) {
	ok := Variable{Name: "ok", Kind: Integer, Low: 1, High: 2}
	for _, tt := range []struct {
		name string
		s    Space
		want []string
	}{
		{"empty", nil, []string{"no variables"}},
		{"all at once", Space{{Name: "a", Kind: Ordered}, {Name: "a", Kind: Real, Low: 2, High: 1}, ok}, []string{"variable 0 (a): no choices", "variable 1 (a): each needs a name", "from 2 to 1"}},
		{"no name", Space{{Kind: Real, High: 1}}, []string{"a name of its own"}},
		{"twice", Space{{Name: "a", Choices: []string{"x", "y", "x"}}}, []string{"there twice"}},
		{"choices with a range", Space{{Name: "a", Choices: []string{"x"}, High: 1}}, []string{"no range"}},
		{"range with choices", Space{{Name: "a", Kind: Real, Choices: []string{"x"}, High: 1}}, []string{"no choices"}},
		{"NaN", Space{{Name: "a", Kind: Real, High: math.NaN()}}, []string{"finite range"}},
		{"infinite", Space{{Name: "a", Kind: Real, High: math.Inf(1)}}, []string{"finite range"}},
		{"too wide", Space{{Name: "a", Kind: Real, Low: -1.7e308, High: 1.7e308}}, []string{"finite range"}},
		{"no integer", Space{{Name: "a", Kind: Integer, High: 1.5}}, []string{"not integers"}},
		{"too large", Space{{Name: "a", Kind: Integer, High: 1 << 53}}, []string{"not integers"}},
		{"log of zero", Space{{Name: "a", Kind: Integer, High: 4, Log: true}}, []string{"begins at 1"}},
		{"log of next to nothing", Space{{Name: "a", Kind: Real, Low: 1e-301, High: 4, Log: true}}, []string{"10⁻³⁰⁰"}},
		{"kind", Space{{Name: "a", Kind: 9}}, []string{"no such kind"}},
	} {
		err := tt.s.Validate()
		for _, want := range tt.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", tt.name, err, want)
			}
		}
	}
	s := Space{{Name: "choice", Choices: []string{"x", "y"}}, {Name: "n", Kind: Integer, Low: 1, High: 5}, {Name: "r", Kind: Real, High: 1}}
	if err := s.Check(Candidate{1, 5, 0.5}); err != nil {
		t.Error(err)
	}
	for _, c := range []Candidate{{1, 5}, {2, 5, 0.5}, {0.5, 5, 0.5}, {1, 0, 0.5}, {1, 2.5, 0.5}, {1, 5, 1.1}, {1, 5, math.NaN()}, {-1, 5, 0}} {
		if s.Check(c) == nil {
			t.Errorf("%v was taken", c)
		}
	}
	for k := Categorical; k <= Real; k++ {
		text, err := k.MarshalText()
		var back Kind = 9
		if err != nil || back.UnmarshalText(text) != nil || back != k {
			t.Errorf("%v: %q, %v, back to %v", k, text, err, back)
		}
	}
	if new(Kind).UnmarshalText([]byte("float")) == nil {
		t.Error("float is no kind")
	}
}

// TestGridIsNestedLoops: all candidates, each once, in lexicographic order.
func TestGridIsNestedLoops(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := space(t, false)
		steps := rapid.IntRange(2, 4).Draw(t, "steps")
		g, err := s.Grid(steps)
		if err != nil {
			t.Fatal(err)
		}
		want := int64(1)
		for i := range s {
			if n := s[i].levels(); n > 0 {
				want *= n
			} else {
				want *= int64(steps)
			}
		}
		if g.Len() != want {
			t.Fatalf("%d candidates, want %d", g.Len(), want)
		}
		if count := s.Count(); count != nil && count.Cmp(big.NewInt(want)) != 0 {
			t.Fatalf("a space of %v, a grid of %d", count, want)
		}
		for i := range g.Len() {
			if err := s.Check(g.At(i)); err != nil {
				t.Fatal(err)
			}
			if i > 0 && slices.Compare(g.At(i-1), g.At(i)) >= 0 {
				t.Fatalf("%v, then %v", g.At(i-1), g.At(i))
			}
		}
		first, last := g.At(0), g.At(g.Len()-1)
		for i := range s {
			if low, high := s[i].bounds(); first[i] != low || last[i] != high {
				t.Fatalf("from %v to %v: not the ends of %v", first, last, s[i])
			}
		}
	})
}

func TestGridSpacing(t *testing.T) {
	s := Space{{Name: "log", Kind: Real, Low: 1, High: 1000, Log: true}}
	g, err := s.Grid(4)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1, 10, 100, 1000} {
		if got := g.At(int64(i))[0]; math.Abs(got/want-1) > 1e-14 {
			t.Errorf("value %d is %v, want %v", i, got, want)
		}
	}
	if _, err := s.Grid(1); err == nil || !strings.Contains(err.Error(), "at least 2 steps") {
		t.Errorf("one step: %v", err)
	}
	wide := make(Space, 3)
	for i := range wide {
		wide[i] = Variable{Name: fmt.Sprint(i), Kind: Integer, Low: 1, High: 1 << 21}
	}
	if _, err := wide.Grid(0); err == nil || !strings.Contains(err.Error(), "9223372036854775808") { // 2⁶³
		t.Errorf("2⁶³ candidates: %v", err)
	}
	wide[0].High--
	if g, err := wide.Grid(0); err != nil || g.Len() != (1<<21-1)<<42 {
		t.Errorf("fewer than 2⁶³ candidates: %v", err)
	}
}

// TestSamplesAreRepeatable: one seed, one sample; parts of a Halton sequence are its parts, and a longer random sample goes on
// where a shorter one ended.
func TestSamplesAreRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := space(t, false)
		seed := rapid.Uint64().Draw(t, "seed")
		n, more := rapid.IntRange(0, 20).Draw(t, "n"), rapid.IntRange(0, 20).Draw(t, "more")
		same := func(what string, a, b []Candidate) {
			if !slices.EqualFunc(a, b, slices.Equal[Candidate]) {
				t.Fatalf("%s: %v and %v", what, a, b)
			}
			for _, c := range a {
				if err := s.Check(c); err != nil {
					t.Fatal(err)
				}
			}
		}
		same("random", s.Random(seed, n), s.Random(seed, n+more)[:n])
		same("hypercube", s.LatinHypercube(seed, n), s.LatinHypercube(seed, n))
		same("Halton", s.Halton(seed, 0, n+more), append(s.Halton(seed, 0, n), s.Halton(seed, int64(n), more)...))
		r := reals(3, 0, 1)
		if slices.EqualFunc(r.Random(seed, 5), r.Random(seed+1, 5), slices.Equal[Candidate]) {
			t.Fatal("two seeds, one sample")
		}
	})
}

// TestEvenSamples: of a Latin hypercube each of n parts of every variable has one point, of a Halton sequence each of the bᵏ
// parts of a variable with base b has one of its first bᵏ.
func TestEvenSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := reals(rapid.IntRange(1, 4).Draw(t, "variables"), 0, 1)
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(1, 40).Draw(t, "n")
		even := func(what string, sample []Candidate, k int) {
			n := len(sample)
			seen := make([]bool, n)
			for _, c := range sample {
				part := min(int(c[k]*float64(n)+1e-9), n-1)
				if seen[part] {
					t.Fatalf("%s: two of %d points in part %d of variable %d", what, n, part, k)
				}
				seen[part] = true
			}
		}
		for k, base := range []int{2, 3, 5, 7}[:len(s)] {
			even("hypercube", s.LatinHypercube(seed, n), k)
			for whole := base; whole < 200; whole *= base {
				even("Halton", s.Halton(seed, 0, whole), k)
			}
		}
	})
}

// TestHaltonIsThatOfGonum: the same sequence but for the last bits, which gonum rounds once a digit.
func TestHaltonIsThatOfGonum(t *testing.T) {
	const n, d, seed = 200, 40, 11
	want := mat.NewDense(n, d, nil)
	samplemv.Halton{Kind: samplemv.Owen, Q: distmv.NewUnitUniform(d, nil), Src: rand.NewPCG(seed, 0)}.Sample(want)
	for i, c := range reals(d, 0, 1).Halton(seed, 0, n) {
		for k, x := range c {
			if math.Abs(x-want.At(i, k)) > 1e-14 {
				t.Fatalf("point %d, variable %d: %v, of gonum %v", i, k, x, want.At(i, k))
			}
		}
	}
}
