package pareto

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func points(values ...[]float64) []Point {
	out := make([]Point, len(values))
	for i, x := range values {
		out[i] = Point{Objectives: x}
	}
	return out
}

// set draws points whose objectives are small integers, so that ties and twins are frequent and sums exact.
func set(t *rapid.T, m int, infeasible bool) []Point {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
		p := Point{Objectives: make([]float64, m)}
		for k := range p.Objectives {
			p.Objectives[k] = float64(rapid.IntRange(-2, 4).Draw(t, "x"))
		}
		if infeasible {
			p.Violation = max(0, float64(rapid.IntRange(-3, 3).Draw(t, "violation")))
		}
		return p
	}), 0, 25).Draw(t, "points")
}

func TestDominates(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b Point
		want bool
	}{
		{"better in all", Point{[]float64{1, 1}, 0}, Point{[]float64{2, 2}, 0}, true},
		{"better in one, equal in the other", Point{[]float64{1, 2}, 0}, Point{[]float64{2, 2}, 0}, true},
		{"equal", Point{[]float64{1, 2}, 0}, Point{[]float64{1, 2}, 0}, false},
		{"a compromise", Point{[]float64{1, 3}, 0}, Point{[]float64{2, 2}, 0}, false},
		{"worse", Point{[]float64{2, 2}, 0}, Point{[]float64{1, 2}, 0}, false},
		{"feasible before infeasible", Point{[]float64{9, 9}, 0}, Point{[]float64{1, 1}, 1e-9}, true},
		{"infeasible behind feasible", Point{[]float64{1, 1}, 1e-9}, Point{[]float64{9, 9}, 0}, false},
		{"smaller violation", Point{[]float64{9, 9}, 1}, Point{[]float64{1, 1}, 2}, true},
		{"same violation", Point{[]float64{1, 1}, 2}, Point{[]float64{9, 9}, 2}, false},
	} {
		if got := Dominates(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestFrontLaws: nothing in a front is dominated, everything else is dominated by a member of it, and what is dominated by
// nobody is in it.
func TestFrontLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := set(t, rapid.IntRange(1, 5).Draw(t, "m"), rapid.Bool().Draw(t, "constrained"))
		best, err := Front(s)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(best) {
			t.Fatalf("front %v is not in ascending order", best)
		}
		for i, p := range s {
			byMember := slices.ContainsFunc(best, func(j int) bool { return Dominates(s[j], p) })
			if in := slices.Contains(best, i); in == byMember {
				t.Fatalf("point %d: in the front %v: %v; dominated by a member: %v", i, best, in, byMember)
			}
		}
	})
}

// TestFrontsAreThoseOfBruteForce peels fronts off by comparing every pair.
func TestFrontsAreThoseOfBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := set(t, rapid.IntRange(1, 4).Draw(t, "m"), rapid.Bool().Draw(t, "constrained"))
		var want [][]int
		left := make([]int, len(s))
		for i := range left {
			left[i] = i
		}
		for len(left) > 0 {
			var best, rest []int
			for _, i := range left {
				if slices.ContainsFunc(left, func(j int) bool { return Dominates(s[j], s[i]) }) {
					rest = append(rest, i)
				} else {
					best = append(best, i)
				}
			}
			want = append(want, best)
			left = rest
		}
		got, err := Fronts(s)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Fatalf("fronts %v, want %v", got, want)
		}
	})
}

func TestCrowding(t *testing.T) {
	inf := math.Inf(1)
	for _, tt := range []struct {
		name  string
		set   []Point
		front []int
		want  []float64
	}{
		// Ranges 4 and 8: of the inner points (2-0)/4 + (8-3)/8 and (4-1)/4 + (5-0)/8.
		{"two objectives", points([]float64{0, 8}, []float64{1, 5}, []float64{2, 3}, []float64{4, 0}), []int{0, 1, 2, 3}, []float64{inf, 1.125, 1.375, inf}},
		{"a front within a set", points([]float64{9, 9}, []float64{4, 0}, []float64{0, 8}, []float64{1, 5}, []float64{2, 3}), []int{1, 2, 3, 4}, []float64{inf, inf, 1.125, 1.375}},
		{"one", points([]float64{1, 1}), []int{0}, []float64{inf}},
		{"two", points([]float64{1, 1}, []float64{1, 1}), []int{0, 1}, []float64{inf, inf}},
		{"twins are not lonely", points([]float64{1, 1}, []float64{1, 1}, []float64{1, 1}), []int{0, 1, 2}, []float64{0, 0, 0}},
		{"of equal ends the first is one", points([]float64{0, 1}, []float64{0, 1}, []float64{1, 0}), []int{0, 1, 2}, []float64{inf, inf, inf}},
		{"an objective without range", points([]float64{3, 1, 5}, []float64{2, 2, 5}, []float64{1, 3, 5}), []int{0, 1, 2}, []float64{inf, 2, inf}},
		{"huge values", points([]float64{-1.7e308, 1.7e308}, []float64{0, 0}, []float64{1.7e308, -1.7e308}), []int{0, 1, 2}, []float64{inf, 2, inf}},
		{"none", nil, nil, nil},
	} {
		if got := Crowding(tt.set, tt.front); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestHypervolumeIsThatOfUnitCubes counts the cubes of a grid that some point covers.
func TestHypervolumeIsThatOfUnitCubes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(1, 5).Draw(t, "m")
		s := set(t, m, rapid.Bool().Draw(t, "constrained"))
		ref := make([]float64, m)
		for k := range ref {
			ref[k] = float64(rapid.IntRange(-2, 4).Draw(t, "reference"))
		}
		covered := 0
		corner := make([]float64, m) // the lower corner of a cube
		var count func(k int)
		count = func(k int) {
			if k == m {
				if slices.ContainsFunc(s, func(p Point) bool {
					return p.Violation == 0 && (slices.Equal(p.Objectives, corner) || dominates(p.Objectives, corner))
				}) {
					covered++
				}
				return
			}
			for corner[k] = -2; corner[k] < ref[k]; corner[k]++ {
				count(k + 1)
			}
		}
		count(0)
		got, err := Hypervolume(s, ref)
		if err != nil {
			t.Fatal(err)
		}
		if got != float64(covered) {
			t.Fatalf("hypervolume %v, but %d cubes", got, covered)
		}
	})
}

// TestHypervolumeIsThatOfInclusionExclusion adds and subtracts the boxes that subsets share, in exact arithmetic.
func TestHypervolumeIsThatOfInclusionExclusion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(2, 5).Draw(t, "m")
		value := rapid.Float64Range(0, 1)
		s := make([]Point, rapid.IntRange(0, 7).Draw(t, "n"))
		for i := range s {
			s[i].Objectives = rapid.SliceOfN(value, m, m).Draw(t, "x")
		}
		want := new(big.Rat)
		for subset := 1; subset < 1<<len(s); subset++ {
			box, sign := big.NewRat(-1, 1), int64(-1)
			for k := range m {
				corner := 0.0
				for i := range s {
					if subset>>i&1 == 1 {
						corner = max(corner, s[i].Objectives[k])
					}
				}
				side := new(big.Rat).Sub(big.NewRat(1, 1), new(big.Rat).SetFloat64(corner))
				box.Mul(box, side)
			}
			for i := range s {
				if subset>>i&1 == 1 {
					sign = -sign
				}
			}
			want.Add(want, box.Mul(box, big.NewRat(-sign, 1)))
		}
		got, err := Hypervolume(s, slices.Repeat([]float64{1}, m))
		if err != nil {
			t.Fatal(err)
		}
		if exact, _ := want.Float64(); math.Abs(got-exact) > 1e-14 {
			t.Fatalf("hypervolume %v, want %v", got, exact)
		}
	})
}

// TestHypervolumeLaws: the order of points does not matter, another point never takes volume away, one of the front that is new
// and within the reference adds some, and one that is dominated adds nothing.
func TestHypervolumeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.IntRange(1, 4).Draw(t, "m")
		s := set(t, m, true)
		ref := slices.Repeat([]float64{5}, m)
		v, err := Hypervolume(s, ref)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := rapid.Permutation(s).Draw(t, "shuffled")
		if w, _ := Hypervolume(shuffled, ref); w != v {
			t.Fatalf("%v in another order, %v before", w, v)
		}
		more := Point{Objectives: make([]float64, m)}
		for k := range more.Objectives {
			more.Objectives[k] = float64(rapid.IntRange(-3, 4).Draw(t, "x"))
		}
		covered := slices.ContainsFunc(s, func(p Point) bool {
			return p.Violation == 0 && (slices.Equal(p.Objectives, more.Objectives) || Dominates(p, more))
		})
		w, _ := Hypervolume(append(s, more), ref)
		if covered && w != v || !covered && w <= v {
			t.Fatalf("volume %v with %v, %v without; covered: %v", w, more.Objectives, v, covered)
		}
	})
}

func TestHypervolumeIsTheSameToTheBitInAnyOrder(t *testing.T) {
	for m := 2; m <= 5; m++ {
		draw := rand.New(rand.NewPCG(1, uint64(m)))
		s := make([]Point, 60)
		for i := range s {
			for range m {
				s[i].Objectives = append(s[i].Objectives, draw.Float64())
			}
		}
		ref := slices.Repeat([]float64{1}, m)
		want, err := Hypervolume(s, ref)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			draw.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
			if got, _ := Hypervolume(s, ref); got != want {
				t.Fatalf("%d objectives: %v, then %v", m, want, got)
			}
		}
	}
}

func TestReference(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  []Point
		want []float64
	}{
		{"a front", points([]float64{0, 30}, []float64{10, 10}), []float64{11, 32}},
		{"what is dominated does not count", points([]float64{0, 30}, []float64{10, 10}, []float64{50, 50}), []float64{11, 32}},
		{"nor what is infeasible", append(points([]float64{0, 30}, []float64{10, 10}), Point{[]float64{-5, -5}, 1}), []float64{11, 32}},
		{"one point", points([]float64{20, -10}), []float64{22, -9}},
		{"one point at zero", points([]float64{0}), []float64{0.1}},
	} {
		got, err := Reference(tt.set)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestComplaints(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, tt := range []struct {
		name string
		set  []Point
		want string
	}{
		{"NaN", points([]float64{1, 2}, []float64{1, nan}), "point 1: objective 1 is NaN"},
		{"infinite", points([]float64{inf, 2}), "point 0: objective 0 is +Inf"},
		{"lengths", points([]float64{1, 2}, []float64{1}), "point 1 has 1 objectives, point 0 has 2"},
		{"none", points([]float64{}), "point 0 has no objectives"},
		{"violation", []Point{{[]float64{1}, nan}}, "violation NaN"},
		{"infinite violation", []Point{{[]float64{1}, inf}}, "violation +Inf"},
		{"negative violation", []Point{{[]float64{1}, -1}}, "violation -1"},
	} {
		_, err1 := Front(tt.set)
		_, err2 := Fronts(tt.set)
		_, err3 := Hypervolume(tt.set, []float64{9, 9})
		_, err4 := Reference(tt.set)
		for i, err := range []error{err1, err2, err3, err4} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, function %d: %v, want %q", tt.name, i, err, tt.want)
			}
		}
	}
	for _, tt := range []struct {
		name string
		set  []Point
		ref  []float64
		want string
	}{
		{"reference NaN", points([]float64{1, 2}), []float64{1, nan}, "reference: objective 1 is NaN"},
		{"reference of another length", points([]float64{1, 2}), []float64{1}, "a reference of 1 objectives for points of 2"},
		{"too large", points([]float64{-1e200, -1e200}), []float64{1e200, 1e200}, "too large"},
	} {
		if _, err := Hypervolume(tt.set, tt.ref); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, set := range [][]Point{nil, {{[]float64{1}, 1}}, points([]float64{1.7e308})} {
		if ref, err := Reference(set); err == nil {
			t.Errorf("a reference %v for %v", ref, set)
		}
	}
}

func TestObjectives(t *testing.T) {
	objectives := []Objective{{"latency", Min}, {"throughput", Max}, {"idle", Max}}
	got, err := Minimised(objectives, []float64{1, 2, 0})
	if err != nil || !slices.Equal(got, []float64{1, -2, 0}) || math.Signbit(got[2]) {
		t.Errorf("%v, %v", got, err)
	}
	if back, _ := Minimised(objectives, got); !slices.Equal(back, []float64{1, 2, 0}) {
		t.Errorf("back to %v", back)
	}
	for _, values := range [][]float64{{1}, {1, math.NaN(), 0}, {1, 2, math.Inf(-1)}} {
		if _, err := Minimised(objectives, values); err == nil {
			t.Errorf("%v was taken", values)
		}
	}
	if _, err := Minimised([]Objective{{"x", 7}}, []float64{1}); err == nil {
		t.Error("a seventh direction was taken")
	}
	for _, d := range []Direction{Min, Max} {
		text, err := d.MarshalText()
		var back Direction = 9
		if err != nil || back.UnmarshalText(text) != nil || back != d {
			t.Errorf("%v: %q, %v, back to %v", d, text, err, back)
		}
	}
	if new(Direction).UnmarshalText([]byte("minimum")) == nil {
		t.Error("minimum is no direction")
	}
}

// shell draws points of which none dominates another: on the part of a sphere where all objectives are positive.
func shell(n, m int) []Point {
	draw := rand.New(rand.NewPCG(7, uint64(m)))
	s := make([]Point, n)
	for i := range s {
		x := make([]float64, m)
		norm := 0.0
		for k := range x {
			x[k] = math.Abs(draw.NormFloat64())
			norm += x[k] * x[k]
		}
		for k := range x {
			x[k] /= math.Sqrt(norm)
		}
		s[i].Objectives = x
	}
	return s
}

// TestLargeFronts: 10 000 points that are all in the front are no burden. Comparing each pair would take 10⁸ comparisons; the
// limits leave ten times what a slow machine needs. A sphere around the origin leaves 1 - π/4 and 1 - π/6 of the unit cube.
func TestLargeFronts(t *testing.T) {
	for _, tt := range []struct {
		m     int
		limit time.Duration
		want  float64
	}{
		{2, 200 * time.Millisecond, 1 - math.Pi/4},
		{3, time.Second, 1 - math.Pi/6},
	} {
		s := shell(10_000, tt.m)
		start := time.Now()
		best, err := Front(s)
		took := time.Since(start)
		if err != nil || len(best) != len(s) {
			t.Fatalf("%d objectives: %d in the front, %v", tt.m, len(best), err)
		}
		start = time.Now()
		v, err := Hypervolume(s, slices.Repeat([]float64{1}, tt.m))
		tookVolume := time.Since(start)
		if err != nil || math.Abs(v-tt.want) > 0.01 {
			t.Errorf("%d objectives: hypervolume %v, %v; of the sphere %v", tt.m, v, err, tt.want)
		}
		t.Logf("%d objectives: front in %v, hypervolume in %v", tt.m, took, tookVolume)
		if took > tt.limit || tookVolume > tt.limit {
			t.Errorf("%d objectives: front in %v, hypervolume in %v: more than %v", tt.m, took, tookVolume, tt.limit)
		}
	}
}

func BenchmarkFront(b *testing.B) {
	for _, m := range []int{2, 3, 4} {
		s := shell(10_000, m)
		b.Run(string(rune('0'+m)), func(b *testing.B) {
			for b.Loop() {
				if _, err := Front(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFronts(b *testing.B) {
	for _, m := range []int{2, 3} {
		s := shell(2000, m)
		b.Run(string(rune('0'+m)), func(b *testing.B) {
			for b.Loop() {
				if _, err := Fronts(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHypervolume(b *testing.B) {
	for _, tt := range []struct{ m, n int }{{2, 10_000}, {3, 10_000}, {4, 200}, {5, 50}} {
		s, ref := shell(tt.n, tt.m), slices.Repeat([]float64{1}, tt.m)
		b.Run(string(rune('0'+tt.m)), func(b *testing.B) {
			for b.Loop() {
				if _, err := Hypervolume(s, ref); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
