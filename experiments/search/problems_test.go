package search

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/experiments/pareto"
)

// A problem has a front that is known in closed form, so that the volume of an optimal set is known too.
type problem struct {
	name     string
	space    Space
	evaluate func(x []float64) Outcome
	ref      []float64
	volume   float64 // of the whole front within ref

	from  float64                  // least f1 on a front of two objectives
	front func(f1 float64) float64 // f2 of its curve; nil: not used
}

func reals(n int, low, high float64) Space {
	s := make(Space, n)
	for i := range s {
		s[i] = Variable{Name: fmt.Sprint("x", i), Kind: Real, Low: low, High: high}
	}
	return s
}

// integral is that of f from a to b, by Simpson's rule, for volumes without a handy antiderivative.
func integral(a, b float64, f func(float64) float64) float64 {
	const n = 20_000
	h := (b - a) / n
	sum := f(a) + f(b)
	for i := 1; i < n; i++ {
		sum += f(a+float64(i)*h) * float64(2+2*(i%2))
	}
	return sum * h / 3
}

// zdt is the family of Zitzler, Deb and Thiele (Comparison of multiobjective evolutionary algorithms, Evolutionary Computation
// 8(2), 2000): f1 is a function of x0, f2 = g·h(f1, g), and the front has g = 1.
func zdt(name string, space Space, f1 func(x float64) float64, g func(rest []float64) float64, h func(f1, g float64) float64, from, volume float64) problem {
	return problem{
		name: name, space: space, ref: []float64{1.1, 1.1}, volume: volume,
		evaluate: func(x []float64) Outcome {
			one, more := f1(x[0]), g(x[1:])
			return Outcome{Objectives: []float64{one, more * h(one, more)}}
		},
		from: from, front: func(f float64) float64 { return h(f, 1) },
	}
}

func same(x float64) float64 { return x }

func linear(rest []float64) float64 { return 1 + 9*mean(rest) }

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// Right of the front's end at f1 = 1 lies 0.1 · (1.1 - f2(1)); over the front 1.1 - f2 from its begin to its end.
var (
	zdt1 = zdt("ZDT1", reals(30, 0, 1), same, linear, func(f, g float64) float64 { return 1 - math.Sqrt(f/g) },
		0, 0.1+2./3+0.1*1.1) // ∫ (0.1 + √x) dx
	zdt2 = zdt("ZDT2", reals(30, 0, 1), same, linear, func(f, g float64) float64 { return 1 - (f/g)*(f/g) },
		0, 0.1+1./3+0.1*1.1) // ∫ (0.1 + x²) dx
	zdt3 = zdt("ZDT3", reals(30, 0, 1), same, linear, func(f, g float64) float64 {
		return 1 - math.Sqrt(f/g) - f/g*math.Sin(10*math.Pi*f)
	}, 0, zdt3Volume())
	zdt4 = zdt("ZDT4", append(reals(1, 0, 1), renamed(reals(9, -5, 5))...), same, func(rest []float64) float64 {
		g := 1 + 10*float64(len(rest))
		for _, x := range rest {
			g += x*x - 10*math.Cos(4*math.Pi*x)
		}
		return g
	}, func(f, g float64) float64 { return 1 - math.Sqrt(f/g) }, 0, zdt1.volume)
	zdt6 = zdt("ZDT6", reals(10, 0, 1), func(x float64) float64 { return 1 - math.Exp(-4*x)*math.Pow(math.Sin(6*math.Pi*x), 6) },
		func(rest []float64) float64 { return 1 + 9*math.Pow(mean(rest), 0.25) }, func(f, g float64) float64 { return 1 - (f/g)*(f/g) },
		zdt6From, 0.1*(1-zdt6From)+(1-zdt6From*zdt6From*zdt6From)/3+0.1*1.1)
)

// zdt6From is the smallest f1 of ZDT6: its minimum over x0, where tan(6πx) = 9π.
var zdt6From = func() float64 {
	x := math.Atan(9*math.Pi) / (6 * math.Pi)
	return 1 - math.Exp(-4*x)*math.Pow(math.Sin(6*math.Pi*x), 6)
}()

func renamed(s Space) Space {
	for i := range s {
		s[i].Name += "'"
	}
	return s
}

// zdt3Volume integrates 1.1 minus the lowest value so far of the curve, which is what a front with gaps covers.
func zdt3Volume() float64 {
	lowest := 1.0
	const n = 1_000_000
	sum := 0.0
	for i := range n {
		x := (float64(i) + 0.5) / n
		lowest = min(lowest, 1-math.Sqrt(x)-x*math.Sin(10*math.Pi*x))
		sum += 1.1 - lowest
	}
	return sum/n + 0.1*(1.1-lowest)
}

// dtlz is the family of Deb, Thiele, Laumanns and Zitzler (Scalable multi-objective optimization test problems, IEEE CEC 2002)
// with three objectives: DTLZ1 with k = 5 variables of distance has the plane of sum ½ as its front, DTLZ2 with k = 10 the sphere.
var (
	dtlz1 = problem{name: "DTLZ1", space: reals(7, 0, 1), evaluate: func(x []float64) Outcome {
		g := 0.0
		for _, v := range x[2:] {
			g += 1 + (v-0.5)*(v-0.5) - math.Cos(20*math.Pi*(v-0.5))
		}
		s := 0.5 * (1 + 100*g)
		return Outcome{Objectives: []float64{s * x[0] * x[1], s * x[0] * (1 - x[1]), s * (1 - x[0])}}
	}, ref: []float64{0.55, 0.55, 0.55}, volume: 0.55*0.55*0.55 - 0.5*0.5*0.5/6} // a cube without the corner below the plane
	dtlz2 = problem{name: "DTLZ2", space: reals(12, 0, 1), evaluate: func(x []float64) Outcome {
		r := 1.0
		for _, v := range x[2:] {
			r += (v - 0.5) * (v - 0.5)
		}
		a, b := x[0]*math.Pi/2, x[1]*math.Pi/2
		return Outcome{Objectives: []float64{r * math.Cos(a) * math.Cos(b), r * math.Cos(a) * math.Sin(b), r * math.Sin(a)}}
	}, ref: []float64{1.1, 1.1, 1.1}, volume: 1.1*1.1*1.1 - math.Pi/6} // a cube without an eighth of the ball
)

// Problems with constraints.
var (
	// bnh is that of Binh and Korn (MOBES, Int. Conf. on Genetic Algorithms, 1997). Its front has x = y up to 3, then y = 3: from
	// (0, 50) to (136, 4).
	bnh = problem{name: "BNH", space: Space{{Name: "x", Kind: Real, High: 5}, {Name: "y", Kind: Real, High: 3}}, evaluate: func(x []float64) Outcome {
		a, b := x[0], x[1]
		return Outcome{
			Objectives: []float64{4*a*a + 4*b*b, (a-5)*(a-5) + (b-5)*(b-5)},
			Violation:  max(0, ((a-5)*(a-5)+b*b)/25-1) + max(0, 1-((a-8)*(a-8)+(b+3)*(b+3))/7.7),
		}
	}, ref: []float64{140, 50}, volume: integral(0, 3, func(x float64) float64 { return (50 - 2*(x-5)*(x-5)) * 16 * x }) + // f1 = 8x²
		integral(3, 5, func(x float64) float64 { return (50 - 4 - (x-5)*(x-5)) * 8 * x }) + // f1 = 4x² + 36
		(140-136)*(50-4)}
	// constr is CONSTR of Deb et al. 2002, whose first constraint is part of the front: y = 6 - 9x up to x = 2/3, then y = 0.
	constr = problem{name: "CONSTR", space: Space{{Name: "x", Kind: Real, Low: 0.1, High: 1}, {Name: "y", Kind: Real, High: 5}}, evaluate: func(x []float64) Outcome {
		a, b := x[0], x[1]
		return Outcome{
			Objectives: []float64{a, (1 + b) / a},
			Violation:  max(0, 1-(b+9*a)/6) + max(0, 1-(9*a-b)),
		}
	}, ref: []float64{1.1, 10}, volume: integral(7./18, 2./3, func(x float64) float64 { return 10 - (7-9*x)/x }) +
		integral(2./3, 1, func(x float64) float64 { return 10 - 1/x }) +
		0.1*(10-1)}
)

// play runs a search to its end.
func play(t rapid.TB, a Algorithm, evaluate func(x []float64) Outcome) []Generation {
	t.Helper()
	var history []Generation
	for {
		g := Generation{Candidates: a.Ask()}
		if g.Candidates == nil {
			return history
		}
		for _, c := range g.Candidates {
			g.Outcomes = append(g.Outcomes, evaluate(c))
		}
		if err := a.Tell(g.Outcomes); err != nil {
			t.Fatal(err)
		}
		history = append(history, g)
	}
}

// covered is the hypervolume of generations over that of the front.
func (p *problem) covered(t testing.TB, history ...Generation) float64 {
	t.Helper()
	var points []pareto.Point
	for _, g := range history {
		for _, o := range g.Outcomes {
			points = append(points, pareto.Point{Objectives: o.Objectives, Violation: o.Violation})
		}
	}
	v, err := pareto.Hypervolume(points, p.ref)
	if err != nil {
		t.Fatal(err)
	}
	return v / p.volume
}

// distance is the mean distance of outcomes from the nearest of 500 points of the front.
func (p *problem) distance(t testing.TB, g Generation) float64 {
	t.Helper()
	var curve []pareto.Point
	for i := range 500 {
		f := p.from + (1-p.from)*float64(i)/499
		curve = append(curve, pareto.Point{Objectives: []float64{f, p.front(f)}})
	}
	front, err := pareto.Front(curve) // ZDT3 has gaps
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, o := range g.Outcomes {
		nearest := math.Inf(1)
		for _, i := range front {
			nearest = min(nearest, math.Hypot(o.Objectives[0]-curve[i].Objectives[0], o.Objectives[1]-curve[i].Objectives[1]))
		}
		sum += nearest
	}
	return sum / float64(len(g.Outcomes))
}

// best is the smallest feasible objective of a search.
func best(history []Generation) float64 {
	least := math.Inf(1)
	for _, g := range history {
		for _, o := range g.Outcomes {
			if !o.Failed && o.Violation == 0 {
				least = min(least, o.Objectives[0])
			}
		}
	}
	return least
}
