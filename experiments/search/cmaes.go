package search

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/stratasim/strata/sim/portable"
)

// Constants of CMA-ES that the tutorial leaves to the user.
const (
	firstStep    = 0.3   // initial standard deviation, of the unit interval: an optimum is expected within it
	largestStep  = 1.0   // largest standard deviation; beyond, reflected samples are uniform
	smallestStep = 1e-12 // a run ends below this standard deviation in every real variable
	integerStep  = 0.25  // smallest standard deviation of an integer, of the distance to the next
	worstCond    = 1e14  // a run ends when the squared axes of the distribution are further apart
	flat         = 1e-12 // a run ends when the best of its last generations differ by less than this of their value
)

type cmaes struct {
	turns
	free []int // variables with more than one value
	run  run
	runs int // begun
}

// NewCMAES returns the evolution strategy with covariance matrix adaptation for one objective (Hansen 2016, with negative
// weights). It works in the unit cube: samples beyond its faces are reflected, integers and ordered choices are rounded, and
// keep a standard deviation of a quarter of their distance so that they cannot freeze. Categorical variables have no neighbours
// to step to and are refused. Infeasible candidates rank behind feasible ones, by violation; failed ones behind all.
//
// A run ends when its samples or their outcomes hardly differ any more. Then another one begins elsewhere with twice the
// population (Auger and Hansen 2005), until a limit is reached; the last generation is left out if it would pass the limit. In
// discrete spaces a candidate may be asked for again.
func NewCMAES(s Space, o Options) (Algorithm, error) {
	fail := func(err error) (Algorithm, error) { return nil, fmt.Errorf("CMA-ES: %w", err) }
	if err := s.Validate(); err != nil {
		return fail(err)
	}
	a := &cmaes{}
	for i := range s {
		if s[i].levels() == 1 {
			continue
		}
		if s[i].Kind == Categorical {
			return fail(fmt.Errorf("variable %d (%s) is categorical: its choices have no neighbours to step to; use NSGA-II, or an ordered variable", i, s[i].Name))
		}
		a.free = append(a.free, i)
	}
	if len(a.free) == 0 {
		return fail(errors.New("no variable has more than one value"))
	}
	if o.Population == 0 {
		o.Population = 4 + int(3*portable.Ln(float64(len(a.free))))
	}
	if err := o.validate(s, 4); err != nil {
		return fail(err)
	}
	if o.Evaluations > 0 && o.Evaluations < o.Population {
		return fail(fmt.Errorf("%d evaluations: fewer than the %d of one generation", o.Evaluations, o.Population))
	}
	a.turns = turns{space: s, options: o}
	return a, nil
}

func (a *cmaes) Ask() []Candidate {
	return a.ask(func(n int, draw *rand.Rand) []Candidate {
		if a.run.over() {
			a.restart(draw)
		}
		r := &a.run
		if n < r.lambda {
			return nil
		}
		r.sample(draw)
		all := make([]Candidate, r.lambda)
		u := make([]float64, len(a.space))
		for k := range all {
			for i := range u {
				u[i] = 0 // of what has one value
			}
			for i, v := range a.free {
				u[v] = reflect(r.mean[i] + float64(r.sigma*r.y[k][i]))
			}
			all[k] = a.space.At(u)
		}
		return all
	})
}

// restart begins the next run.
func (a *cmaes) restart(draw *rand.Rand) {
	mean := make([]float64, len(a.free))
	for i, v := range a.free {
		switch {
		case a.runs < len(a.options.Initial):
			mean[i] = a.space[v].unit(a.options.Initial[a.runs][v])
		case a.runs == 0:
			mean[i] = 0.5
		default:
			mean[i] = draw.Float64()
		}
	}
	a.run = newRun(mean, a.options.Population<<min(a.runs, 20))
	a.runs++
}

func (a *cmaes) Tell(outcomes []Outcome) error {
	for i, o := range outcomes {
		if len(o.Objectives) > 1 && !o.Failed {
			return fmt.Errorf("outcome %d: %d objectives; CMA-ES has one", i, len(o.Objectives))
		}
	}
	told, err := a.tell(outcomes)
	if err != nil {
		return err
	}
	order := make([]int, len(told))
	for i := range order {
		order[i] = i
	}
	objective := func(x *individual) float64 {
		if x.failed || x.Violation > 0 {
			return 0
		}
		return x.Objectives[0]
	}
	slices.SortStableFunc(order, func(i, j int) int {
		x, y := &told[i], &told[j]
		if x.failed != y.failed {
			if y.failed {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(x.Violation, y.Violation), cmp.Compare(objective(x), objective(y)))
	})
	r := &a.run
	best := &told[order[0]]
	if !best.failed { // else the order says nothing
		r.update(order)
	}
	r.remember(best.Violation, objective(best))
	a.bound()
	return nil
}

// bound keeps the standard deviations of all variables where samples tell something, and notes when those of all reals have gone.
func (a *cmaes) bound() {
	r := &a.run
	deviation := func(i int) float64 { return r.sigma * math.Sqrt(r.c[i][i]) }
	largest := 0.0
	for i := range a.free {
		largest = max(largest, deviation(i))
	}
	if largest > largestStep {
		r.sigma *= largestStep / largest
	}
	reals, alive := false, false
	for i, v := range a.free {
		if a.space[v].Kind == Real {
			reals = true
			alive = alive || max(deviation(i), r.sigma*math.Abs(r.pc[i])) > smallestStep
			continue
		}
		least := integerStep * a.space[v].width(a.space[v].at(reflect(r.mean[i])))
		if is := deviation(i); is < least {
			r.stretch(i, least/is)
		}
	}
	r.tiny = reals && !alive
}

// reflect folds the line onto the unit interval.
func reflect(x float64) float64 {
	x = math.Abs(math.Mod(x, 2)) // exact
	if x > 1 {
		x = 2 - x
	}
	return x
}

// run is one run of CMA-ES in n dimensions without bounds. Names are those of the tutorial (Hansen 2016, fig. 6 and table 1).
type run struct {
	n, lambda, mu                      int
	weights                            []float64 // of the samples from the best to the worst, the worse half negative
	muEff, cSigma, dSigma, cc, c1, cMu float64
	chi                                float64 // expected length of a standard normal vector

	mean           []float64
	sigma          float64
	c              [][]float64 // covariance
	b              [][]float64 // its axes, in columns
	d              []float64   // their standard deviations
	pSigma, pc     []float64   // evolution paths
	decay          float64     // (1-cσ)^2g after g generations
	generation     int
	since, between int         // generations since b and d were made, and from one time to the next
	z, y           [][]float64 // samples of the generation: standard normal, and of covariance c

	history [][2]float64 // violation and objective of the best of the last generations
	tiny    bool         // the distribution has become a point
	broken  bool         // the distribution has become a line
}

func newRun(mean []float64, lambda int) run {
	n := len(mean)
	r := run{n: n, lambda: lambda, mu: lambda / 2, mean: mean, sigma: firstStep, decay: 1}
	N := float64(n)
	raw := make([]float64, lambda)
	sums := func(w []float64) (sum, eff float64) { // sum of the magnitudes, and how many equal ones would vary as much
		squares := 0.0
		for _, x := range w {
			sum += math.Abs(x)
			squares += float64(x * x)
		}
		return sum, float64(sum*sum) / squares
	}
	for i := range raw {
		raw[i] = portable.Ln(float64(lambda+1)/2) - portable.Ln(float64(i+1))
	}
	_, r.muEff = sums(raw[:r.mu])
	_, muMinus := sums(raw[r.mu:])
	r.cc = (4 + r.muEff/N) / (N + 4 + 2*r.muEff/N)
	r.cSigma = (r.muEff + 2) / (N + r.muEff + 5)
	r.dSigma = 1 + 2*max(0, math.Sqrt((r.muEff-1)/(N+1))-1) + r.cSigma
	r.c1 = 2 / (float64((N+1.3)*(N+1.3)) + r.muEff)
	r.cMu = min(1-r.c1, 2*(0.25+r.muEff+1/r.muEff-2)/(float64((N+2)*(N+2))+r.muEff))
	r.chi = math.Sqrt(N) * (1 - 1/(4*N) + 1/(21*float64(N*N)))
	plus, minus := 0.0, 0.0
	for _, w := range raw {
		plus, minus = plus+max(w, 0), minus+max(-w, 0)
	}
	bound := min(1+r.c1/r.cMu, 1+2*muMinus/(r.muEff+2), (1-r.c1-r.cMu)/float64(N*r.cMu))
	r.weights = make([]float64, lambda)
	for i, w := range raw {
		if w >= 0 {
			r.weights[i] = w / plus
		} else {
			r.weights[i] = float64(bound*w) / minus
		}
	}
	r.pSigma, r.pc = make([]float64, n), make([]float64, n)
	r.c, r.b, r.d = identity(n), identity(n), slices.Repeat([]float64{1}, n)
	r.between = max(1, int(1/(10*N*(r.c1+r.cMu))))
	return r
}

func identity(n int) [][]float64 {
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n)
		m[i][i] = 1
	}
	return m
}

// sample draws a generation: y = B D z.
func (r *run) sample(draw *rand.Rand) {
	if r.since >= r.between {
		r.decompose()
	}
	r.z, r.y = make([][]float64, r.lambda), make([][]float64, r.lambda)
	for k := range r.z {
		z, scaled := make([]float64, r.n), make([]float64, r.n)
		for i := range z {
			z[i] = normal(draw)
			scaled[i] = r.d[i] * z[i]
		}
		r.z[k], r.y[k] = z, times(r.b, scaled)
	}
}

// update moves mean, step and covariance, with the samples in order from the best to the worst.
func (r *run) update(order []int) {
	zMean, yMean := make([]float64, r.n), make([]float64, r.n)
	for rank, k := range order[:r.mu] {
		for i := range yMean {
			zMean[i] += float64(r.weights[rank] * r.z[k][i])
			yMean[i] += float64(r.weights[rank] * r.y[k][i])
		}
	}
	for i := range r.mean {
		r.mean[i] += float64(r.sigma * yMean[i])
	}
	// The step grows if the path is longer than a random one would be.
	whitened := times(r.b, zMean) // C^-½ <y>
	by := math.Sqrt(r.cSigma * (2 - r.cSigma) * r.muEff)
	squares := 0.0
	for i := range r.pSigma {
		r.pSigma[i] = float64((1-r.cSigma)*r.pSigma[i]) + float64(by*whitened[i])
		squares += float64(r.pSigma[i] * r.pSigma[i])
	}
	length := math.Sqrt(squares)
	r.generation++
	r.decay = float64(r.decay * float64((1-r.cSigma)*(1-r.cSigma)))
	straight := length/math.Sqrt(1-r.decay) < (1.4+2/float64(r.n+1))*r.chi
	r.sigma *= portable.Exp(min(r.cSigma/r.dSigma*(length/r.chi-1), 10))

	by = math.Sqrt(r.cc * (2 - r.cc) * r.muEff)
	missing := r.cc * (2 - r.cc)
	if straight {
		missing = 0
	}
	for i := range r.pc {
		r.pc[i] *= 1 - r.cc
		if straight {
			r.pc[i] += float64(by * yMean[i])
		}
	}
	sum := 0.0
	for _, w := range r.weights {
		sum += w
	}
	keep := 1 + float64(r.c1*missing) - r.c1 - float64(r.cMu*sum)
	for i := range r.c {
		for j := range i + 1 {
			r.c[i][j] = float64(keep*r.c[i][j]) + float64(r.c1*r.pc[i]*r.pc[j])
		}
	}
	for rank, k := range order {
		w := r.cMu * r.weights[rank]
		if w < 0 {
			squares := 0.0
			for _, z := range r.z[k] {
				squares += float64(z * z)
			}
			w *= float64(r.n) / squares // a far sample must not make the covariance negative
		}
		y := r.y[k]
		for i := range r.c {
			wy := w * y[i]
			for j := range i + 1 {
				r.c[i][j] += float64(wy * y[j])
			}
		}
	}
	for i := range r.c {
		for j := range i {
			r.c[j][i] = r.c[i][j]
		}
	}
	r.since++
}

// stretch multiplies the standard deviation of a variable.
func (r *run) stretch(i int, by float64) {
	for j := range r.c {
		r.c[i][j] *= by
		r.c[j][i] *= by
	}
	r.since = r.between
}

// decompose makes axes and standard deviations of the covariance.
func (r *run) decompose() {
	r.since = 0
	values, axes := eigen(r.c)
	low, high := slices.Min(values), slices.Max(values)
	if !(low > 0) || high > worstCond*low {
		r.broken = true // the old axes serve for this generation, the last one
		return
	}
	for i, x := range values {
		r.d[i] = math.Sqrt(x)
	}
	r.b = axes
}

// remember keeps the best outcomes of 10 + 30 n/λ generations.
func (r *run) remember(violation, objective float64) {
	r.history = append(r.history, [2]float64{violation, objective})
	if size := 10 + (30*r.n+r.lambda-1)/r.lambda; len(r.history) > size {
		r.history = r.history[1:]
	}
}

// over tells whether a run has nothing more to find, or has not begun.
func (r *run) over() bool {
	if r.n == 0 || r.tiny || r.broken {
		return true
	}
	if len(r.history) < 10+(30*r.n+r.lambda-1)/r.lambda {
		return false
	}
	for k := range 2 {
		low, high := math.Inf(1), math.Inf(-1)
		for _, h := range r.history {
			low, high = min(low, h[k]), max(high, h[k])
		}
		if high-low > flat*max(math.Abs(low), math.Abs(high)) {
			return false
		}
	}
	return true
}

func times(m [][]float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for i, row := range m {
		for j, a := range row {
			y[i] += float64(a * x[j])
		}
	}
	return y
}

// eigen returns the eigenvalues of a symmetric matrix and its eigenvectors in columns, by the rotations of Jacobi: simple, exact
// to rounding even for tiny eigenvalues of a scaled matrix, and the same operations in the same order on every machine, which
// tuned libraries do not promise.
func eigen(m [][]float64) (values []float64, vectors [][]float64) {
	n := len(m)
	a := make([][]float64, n)
	for i := range a {
		a[i] = slices.Clone(m[i])
	}
	v := identity(n)
	for range 50 { // sweeps; some 10 are needed
		rotated := false
		for p := range n {
			for q := p + 1; q < n; q++ {
				x := a[p][q]
				if math.Abs(x) <= 1e-17*math.Sqrt(math.Abs(a[p][p]))*math.Sqrt(math.Abs(a[q][q])) {
					continue
				}
				rotated = true
				theta := (a[q][q] - a[p][p]) / (2 * x)
				t := math.Copysign(1, theta) / (math.Abs(theta) + math.Sqrt(1+float64(theta*theta)))
				c := 1 / math.Sqrt(1+float64(t*t))
				s := t * c
				for k := range n {
					akp, akq := a[k][p], a[k][q]
					a[k][p] = float64(c*akp) - float64(s*akq)
					a[k][q] = float64(s*akp) + float64(c*akq)
				}
				for k := range n {
					apk, aqk := a[p][k], a[q][k]
					a[p][k] = float64(c*apk) - float64(s*aqk)
					a[q][k] = float64(s*apk) + float64(c*aqk)
				}
				a[p][q], a[q][p] = 0, 0
				for k := range n {
					vkp, vkq := v[k][p], v[k][q]
					v[k][p] = float64(c*vkp) - float64(s*vkq)
					v[k][q] = float64(s*vkp) + float64(c*vkq)
				}
			}
		}
		if !rotated {
			break
		}
	}
	values = make([]float64, n)
	for i := range values {
		values[i] = a[i][i]
	}
	return values, v
}
