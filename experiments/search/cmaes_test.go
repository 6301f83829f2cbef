package search

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

func integers(n int, low, high float64) Space {
	s := reals(n, low, high)
	for i := range s {
		s[i].Kind = Integer
	}
	return s
}

// TestCMAESFindsOptima: functions with known optima, which are not in the centre where the search begins. The first
// three have a quarter more evaluations than they need here, so that a strategy that learns slower is noticed.
func TestCMAESFindsOptima(t *testing.T) {
	sum := func(f func(i int, x float64) float64) func([]float64) Outcome {
		return func(x []float64) Outcome {
			s := 0.0
			for i, v := range x {
				s += f(i, v)
			}
			return Outcome{Objectives: []float64{s}}
		}
	}
	for _, tt := range []struct {
		name        string
		space       Space
		evaluate    func([]float64) Outcome
		evaluations int
		optimum     float64
		within      float64
	}{
		{"sphere", reals(10, -5, 5), sum(func(i int, x float64) float64 { d := x - 0.7 - float64(i)/3; return d * d }), 2000, 0, 1e-8},
		{"ellipsoid, axes 1 to 1000", reals(10, -5, 5), sum(func(i int, x float64) float64 { return math.Pow(1e6, float64(i)/9) * (x - 0.7) * (x - 0.7) }), 5000, 0, 1e-8},
		{"Rosenbrock", reals(8, -5, 5), func(x []float64) Outcome {
			s := 0.0
			for i := range len(x) - 1 {
				s += 100*math.Pow(x[i+1]-x[i]*x[i], 2) + math.Pow(1-x[i], 2)
			}
			return Outcome{Objectives: []float64{s}}
		}, 5000, 0, 1e-8},
		{"Rastrigin, by restarts", reals(5, -5.12, 5.12), sum(func(_ int, x float64) float64 {
			x -= 0.3
			return 10 + x*x - 10*math.Cos(2*math.Pi*x)
		}), 30_000, 0, 1e-10},
		{"an optimum in a corner", reals(10, 0, 1), sum(func(_ int, x float64) float64 { return x }), 5000, 0, 1e-6},
		{"one variable", reals(1, -5, 5), sum(func(_ int, x float64) float64 { return (x - 3) * (x - 3) }), 500, 0, 1e-10},
		{"integers", integers(10, -50, 50), sum(func(i int, x float64) float64 { d := x - 3*float64(i); return float64(i+1) * d * d }), 4000, 0, 0},
		{"integers and reals", append(reals(5, -5, 5), renamed(integers(5, -50, 50))...),
			sum(func(i int, x float64) float64 { d := x - float64(i); return float64(i+1) * d * d }), 8000, 0, 1e-10},
		{"logarithmic ranges", Space{{Name: "a", Kind: Real, Low: 1e-6, High: 1e6, Log: true}, {Name: "b", Kind: Integer, Low: 1, High: 1 << 20, Log: true}, {Name: "fixed", Choices: []string{"only"}}},
			func(x []float64) Outcome {
				return Outcome{Objectives: []float64{math.Pow(math.Log(x[0]/3e-5), 2) + math.Pow(math.Log(x[1]/1000), 2)}}
			}, 2000, 0, 1e-10},
		// The nearest point of a half-space: five times 1. Left of it there are no objectives at all.
		{"a constraint", reals(5, -5, 5), func(x []float64) Outcome {
			s := 0.0
			for _, v := range x {
				s += v
			}
			if s < 5 {
				return Outcome{Violation: 5 - s}
			}
			return sum(func(_ int, x float64) float64 { return x * x })(x)
		}, 5000, 5, 1e-3},
		{"a third of evaluations fail", reals(6, -5, 5), func(x []float64) Outcome {
			if math.Mod(math.Abs(x[0])*1e6, 3) < 1 {
				return Outcome{Failed: true}
			}
			return sum(func(i int, x float64) float64 { return (x - 1) * (x - 1) })(x)
		}, 6000, 0, 1e-9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(3) {
				o := Options{Seed: seed, Evaluations: tt.evaluations}
				a, err := NewCMAES(tt.space, o)
				if err != nil {
					t.Fatal(err)
				}
				got := best(play(t, a, tt.evaluate)) - tt.optimum
				o.Population = 100
				r, err := NewRandom(tt.space, o)
				if err != nil {
					t.Fatal(err)
				}
				random := best(play(t, r, tt.evaluate)) - tt.optimum
				t.Logf("seed %d: %.3g above the optimum, random %.3g", seed, got, random)
				if !(got <= tt.within) || !(random > 100*got) {
					t.Errorf("seed %d: %v above the optimum, want at most %v; random %v", seed, got, tt.within, random)
				}
			}
		})
	}
}

// TestStrategyParameters compares with what the authors' program says at its start for its default populations, for example
// "(5_w,10)-aCMA-ES (mu_w=3.2,w_1=45%) in dimension 10", where the percentage is cut off.
func TestStrategyParameters(t *testing.T) {
	for _, tt := range []struct {
		n    int
		want string
	}{
		{2, "(3_w,6) mu_w=2.0 w_1=63%"},
		{5, "(4_w,8) mu_w=2.6 w_1=52%"},
		{6, "(4_w,9) mu_w=2.8 w_1=49%"},
		{10, "(5_w,10) mu_w=3.2 w_1=45%"},
	} {
		a, err := NewCMAES(reals(tt.n, 0, 1), Options{Generations: 1})
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(make([]float64, tt.n), a.(*cmaes).options.Population)
		if got := fmt.Sprintf("(%d_w,%d) mu_w=%.1f w_1=%d%%", r.mu, r.lambda, r.muEff, int(100*r.weights[0])); got != tt.want {
			t.Errorf("dimension %d: %s, want %s", tt.n, got, tt.want)
		}
		sum, negative := 0.0, 0.0
		for _, w := range r.weights {
			sum, negative = sum+max(w, 0), negative+min(w, 0)
		}
		// Positive weights sum to 1. With few samples the negative ones are bounded by what keeps the mean of c: c1/cμ + 1.
		if math.Abs(sum-1) > 1e-15 || -negative > 1+r.c1/r.cMu+1e-15 || negative >= 0 {
			t.Errorf("dimension %d: weights sum to %v and %v", tt.n, sum, negative)
		}
	}
}

// TestStepsStayInBounds: no variable's standard deviation is larger than the unit interval, none of an integer smaller than a
// quarter of its distance to the next, not even when reals have converged.
func TestStepsStayInBounds(t *testing.T) {
	s := append(reals(3, 0, 1), renamed(integers(3, 0, 10))...)
	algorithm, err := NewCMAES(s, Options{Generations: 200})
	if err != nil {
		t.Fatal(err)
	}
	a := algorithm.(*cmaes)
	smallest := math.Inf(1)
	for generation := range 200 {
		if generation == 50 {
			a.run.sigma *= 100
		}
		var outcomes []Outcome
		for _, c := range a.Ask() {
			sum := 0.0
			for i, x := range c {
				sum += math.Pow(s[i].unit(x)-0.4, 2)
			}
			outcomes = append(outcomes, Outcome{Objectives: []float64{sum}})
		}
		if err := a.Tell(outcomes); err != nil {
			t.Fatal(err)
		}
		for i := range s {
			deviation := a.run.sigma * math.Sqrt(a.run.c[i][i])
			if i < 3 {
				smallest = min(smallest, deviation)
			}
			if deviation > 1+1e-12 || i >= 3 && deviation < 0.25/11-1e-12 {
				t.Fatalf("generation %d: standard deviation %v of variable %d", generation, deviation, i)
			}
		}
	}
	if smallest > 1e-4 {
		t.Errorf("reals have not converged: %v", smallest)
	}
}

// TestRunsEnd: a distribution that is a point, and outcomes that are all the same, end a run; then the next one has twice the
// population and begins elsewhere.
func TestRunsEnd(t *testing.T) {
	distinct := func(c Candidate) float64 { return c[0] + c[1] }
	for _, tt := range []struct {
		name      string
		change    func(r *run)
		value     func(c Candidate) float64
		turns     int // until the next run
		continues bool
	}{
		{name: "at work", change: func(*run) {}, value: distinct, turns: 1, continues: true},
		{name: "a point", change: func(r *run) { r.sigma = 1e-14 }, value: distinct, turns: 1},
		{name: "flat", change: func(*run) {}, value: func(Candidate) float64 { return 7 }, turns: 10 + 60/6},
		{name: "not flat long enough", change: func(*run) {}, value: func(Candidate) float64 { return 7 }, turns: 10 + 60/6 - 1, continues: true},
	} {
		algorithm, err := NewCMAES(reals(2, 0, 1), Options{Generations: 99})
		if err != nil {
			t.Fatal(err)
		}
		a := algorithm.(*cmaes)
		for range tt.turns {
			all := a.Ask()
			tt.change(&a.run)
			var outcomes []Outcome
			for _, c := range all {
				outcomes = append(outcomes, Outcome{Objectives: []float64{tt.value(c)}})
			}
			if err := a.Tell(outcomes); err != nil {
				t.Fatal(err)
			}
		}
		want := 12
		if tt.continues {
			want = 6
		}
		if got := len(a.Ask()); got != want {
			t.Errorf("%s: a generation of %d, want %d", tt.name, got, want)
		}
	}
}

// TestPointsAndLines: a distribution is a point only in all real variables together, and a line if one axis is 10⁷ times another.
func TestPointsAndLines(t *testing.T) {
	for _, tt := range []struct {
		name        string
		space       Space
		variances   []float64
		point, line bool
	}{
		{"a circle", reals(2, 0, 1), []float64{1, 1}, false, false},
		{"thin", reals(2, 0, 1), []float64{1, 1e-13}, false, false},
		{"a line", reals(2, 0, 1), []float64{1, 1e-15}, false, true},
		{"a line, the other way", reals(2, 0, 1), []float64{1e-15, 1}, false, true},
		{"no distribution", reals(2, 0, 1), []float64{1, -1e-15}, false, true},
		{"a point in the first", reals(2, 0, 1), []float64{1e-26, 1}, false, true},
		{"a point in the last", reals(2, 0, 1), []float64{1, 1e-26}, false, true},
		{"a point", reals(2, 0, 1), []float64{1e-26, 1e-26}, true, false},
		{"a point in all reals", append(reals(1, 0, 1), renamed(integers(1, 0, 9))...), []float64{1e-26, 1}, true, true},
		{"integers never are", integers(2, 0, 9), []float64{1e-26, 1e-26}, false, false},
	} {
		a := &cmaes{turns: turns{space: tt.space}, free: []int{0, 1}, run: newRun([]float64{0.5, 0.5}, 6)}
		for i, x := range tt.variances {
			a.run.c[i][i] = x
		}
		a.run.sigma = 1
		if a.run.c[1][1] > 0 {
			a.bound()
		}
		a.run.decompose()
		if a.run.tiny != tt.point || a.run.broken != tt.line {
			t.Errorf("%s: a point: %v, a line: %v", tt.name, a.run.tiny, a.run.broken)
		}
	}
}

// TestFailuresTeachNothing: a generation without any outcome leaves the distribution where it was.
func TestFailuresTeachNothing(t *testing.T) {
	algorithm, err := NewCMAES(reals(3, 0, 1), Options{Population: 6, Generations: 9})
	if err != nil {
		t.Fatal(err)
	}
	a := algorithm.(*cmaes)
	first := a.Ask()
	if err := a.Tell(slices.Repeat([]Outcome{{Failed: true}}, 6)); err != nil {
		t.Fatal(err)
	}
	if r := a.run; !slices.Equal(r.mean, []float64{0.5, 0.5, 0.5}) || r.sigma != firstStep {
		t.Errorf("centre %v, step %v", r.mean, r.sigma)
	}
	if slices.Equal(first[0], a.Ask()[0]) {
		t.Error("the same candidates again")
	}
}

// TestRunsLearnTheShape: on an ellipsoid the covariance becomes the inverse of its matrix, up to a factor.
func TestRunsLearnTheShape(t *testing.T) {
	r := newRun([]float64{0.4, 0.2, 0.3}, 12)
	scales := []float64{1, 1e2, 1e4}
	draw := stream(1, 0)
	for range 150 {
		r.sample(draw)
		value := make([]float64, r.lambda)
		order := make([]int, r.lambda)
		for k := range order {
			order[k] = k
			for i, s := range scales {
				x := r.mean[i] + r.sigma*r.y[k][i]
				value[k] += s * x * x
			}
		}
		slices.SortFunc(order, func(i, j int) int {
			if value[i] < value[j] {
				return -1
			}
			return 1
		})
		r.update(order)
	}
	for i := range 2 {
		if ratio := r.c[i][i] / r.c[i+1][i+1]; ratio < 100/5 || ratio > 100*5 {
			t.Errorf("variances of %d and %d are as %v, want about 100", i, i+1, ratio)
		}
	}
}

// TestEigen: vectors are orthonormal, the matrix comes back, and values are those of gonum.
func TestEigen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "n")
		m := identity(n)
		sym := mat.NewSymDense(n, nil)
		for i := range n {
			for j := range i + 1 {
				x := float64(rapid.IntRange(-1000, 1000).Draw(t, "x")) / 100
				m[i][j], m[j][i] = x, x
				sym.SetSym(i, j, x)
			}
		}
		values, v := eigen(m)
		for i := range n {
			for j := range n {
				product, back := 0.0, 0.0
				for k := range n {
					product += v[k][i] * v[k][j]
					back += v[i][k] * values[k] * v[j][k]
				}
				unit := 0.0
				if i == j {
					unit = 1
				}
				if math.Abs(product-unit) > 1e-13 || math.Abs(back-m[i][j]) > 1e-12 {
					t.Fatalf("vectors %d and %d: %v; element %v, want %v", i, j, product, back, m[i][j])
				}
			}
		}
		var want mat.EigenSym
		if !want.Factorize(sym, false) {
			t.Fatal("gonum finds no eigenvalues")
		}
		slices.Sort(values)
		for i, x := range want.Values(nil) {
			if math.Abs(values[i]-x) > 1e-12 {
				t.Fatalf("eigenvalues %v, of gonum %v", values, want.Values(nil))
			}
		}
	})
}

func TestReflect(t *testing.T) {
	for _, tt := range [][2]float64{{0.25, 0.25}, {1, 1}, {1.25, 0.75}, {-0.25, 0.25}, {2.25, 0.25}, {-1.25, 0.75}, {7.5, 0.5}} {
		if got := reflect(tt[0]); got != tt[1] {
			t.Errorf("%v is folded to %v, want %v", tt[0], got, tt[1])
		}
	}
}
