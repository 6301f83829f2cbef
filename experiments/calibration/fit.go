package calibration

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/validation"
)

// Options of a fit.
type Options struct {
	MaxRows     int // rows of a class and device that are fitted on at most, evenly picked; 0 is 80
	Evaluations int // of the loss, of each start; 0 is 30 for each constant
	Workers     int // 0 is as many as there are processors
}

// δ of the loss, and the weight of the squared distance from what was.
const (
	delta = 0.02
	pull  = 1e-4
)

// parameter is a number that is fitted: a constant, of all machines or of one.
type parameter struct {
	*Constant
	machine string // "" for all
}

// Fitted is a constant with what came of it.
type Fitted struct {
	Constant
	Machine string  // that it is of; "" for all of the family
	Value   float64 // in Unit
	// Low95 and High95 bound 95 % of what the rows leave open; both NaN if they do not determine the constant.
	Low95, High95 float64
	// Up and Down are the mean absolute errors with the constant 5 % larger and smaller.
	Up, Down float64
	AtBound  bool
}

// Text is the value as a machine reads it.
func (f *Fitted) Text() string { return f.text(f.Value) }

// TextOf is another value of the constant as a machine reads it.
func (f *Fitted) TextOf(v float64) string { return f.text(v) }

// Line is the error of rows before and after the fit.
type Line struct {
	Class, Machine string
	Half           string // "fitted on" or "others"
	Rows           int
	// Analytic and Event are mean absolute errors and biases in the two fidelities.
	Before, After           Errors
	BeforePlayed, AfterPlay Errors
}

// Result is a fit.
type Result struct {
	Constants  []Fitted
	Lines      []Line
	Loss       [2]float64 // before and after
	Evaluated  int        // times that the loss was worked out
	LeftOut    []LeftOut
	Total      [2]Errors // of all rows, event, before and after
	Converging bool      // every start came to about the same loss
}

// Others returns the mean absolute error, by events, of the rows that were not fitted on, before and after the fit.
func (r *Result) Others() (before, after float64) {
	n := 0
	for i := range r.Lines {
		if l := &r.Lines[i]; l.Half == "others" {
			n += l.Rows
			before += float64(l.Rows) * l.BeforePlayed.Mean
			after += float64(l.Rows) * l.AfterPlay.Mean
		}
	}
	if n == 0 {
		return 0, 0
	}
	return before / float64(n), after / float64(n)
}

// LeftOut is the error of a device whose rows were not fitted on: with the family's constants of the others, and for its own the
// middle of theirs.
type LeftOut struct {
	Machine       string
	Rows          int
	Before, After float64 // mean absolute errors of the device's rows: with the fit on all, and on the others
}

// Check refuses more constants than the rules allow.
func Check(constants []*Constant) error {
	n := map[string]int{}
	for _, c := range constants {
		n[c.Part]++
	}
	for _, c := range constants {
		if most := arch.MostFitted(c.Part); n[c.Part] > most {
			return fmt.Errorf("%d constants of %s, at most %d may be fitted: more would describe these rows, not the machine", n[c.Part], c.Part, most)
		}
	}
	return nil
}

// fitter works out predictions.
type fitter struct {
	ctx        context.Context
	o          *oracle.Oracle
	workers    int
	evaluated  int
	parameters []parameter
}

// set is the changes to a machine.
func (f *fitter) set(machine string, values []float64) map[string]string {
	set := map[string]string{}
	for i, p := range f.parameters {
		if p.machine == "" || p.machine == machine {
			set[p.Path] = p.text(values[i])
		}
	}
	return set
}

// predict asks for all rows, with values of the parameters; nil for the machines as they are.
func (f *fitter) predict(rows []Row, values []float64, fidelity string) ([]float64, error) {
	sets := map[string]map[string]string{}
	for i := range rows {
		if m := rows[i].Machine; sets[m] == nil && values != nil {
			sets[m] = f.set(m, values)
		}
	}
	out, errs := make([]float64, len(rows)), make([]error, len(rows))
	var next atomic.Int64
	var team sync.WaitGroup
	for range min(f.workers, len(rows)) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(rows) && f.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				a, err := validation.Ask(f.ctx, f.o, request(&rows[i], sets[rows[i].Machine], fidelity))
				if errs[i] = err; err == nil {
					out[i], _ = a["seconds"].(float64)
				}
			}
		})
	}
	team.Wait()
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", rows[i].File, rows[i].Line, err)
		}
		if out[i] <= 0 {
			return nil, fmt.Errorf("%s:%d: the answer takes no time", rows[i].File, rows[i].Line)
		}
	}
	return out, nil
}

func (f *fitter) values(x []float64) []float64 {
	v := make([]float64, len(x))
	for i := range x {
		v[i] = f.parameters[i].at(x[i])
	}
	return v
}

func residuals(rows []Row, predicted []float64) []float64 {
	r := make([]float64, len(rows))
	for i := range rows {
		r[i] = math.Log(predicted[i] / rows[i].Measured)
	}
	return r
}

// loss is that of residuals: each device and class counts by its rows.
func loss(r []float64) float64 {
	sum := 0.0
	for _, v := range r {
		sum += math.Sqrt(v*v+delta*delta) - delta
	}
	return sum / float64(len(r))
}

// starts are the coordinates that a fit begins at: those of what was, and some to one side and the other of it, in a pattern that
// differs for each constant.
func (f *fitter) starts() [][]float64 {
	list := make([][]float64, 3)
	for start := range list {
		list[start] = make([]float64, len(f.parameters))
		for i, p := range f.parameters {
			list[start][i] = p.coordinate(p.Before)
			if start > 0 {
				list[start][i] += 0.8 * float64(1-2*((i+start)%2))
			}
		}
	}
	return list
}

// minimise finds the coordinates of the least loss, from several starts.
func (f *fitter) minimise(rows []Row, starts [][]float64, evaluations int) (x []float64, least float64, agree bool, err error) {
	var failed error
	home := f.starts()[0]
	problem := optimize.Problem{Func: func(x []float64) float64 {
		f.evaluated++
		p, err := f.predict(rows, f.values(x), "analytic")
		if err != nil {
			failed = err
			return math.Inf(1)
		}
		// A little weight towards what was keeps constants near it that the rows cannot tell from one another.
		away := 0.0
		for i, v := range x {
			d := v - home[i]
			away += float64(d * d)
		}
		return loss(residuals(rows, p)) + pull*away
	}, Status: func() (optimize.Status, error) {
		if failed != nil {
			return optimize.Failure, failed
		}
		return optimize.NotTerminated, nil
	}}
	least = math.Inf(1)
	var all []float64
	for _, from := range starts {
		r, err := optimize.Minimize(problem, from, &optimize.Settings{FuncEvaluations: evaluations, Converger: &optimize.FunctionConverge{Absolute: 2e-5, Iterations: 8 * len(from)}}, &optimize.NelderMead{SimplexSize: 0.4})
		if failed != nil {
			return nil, 0, false, failed
		}
		if r == nil {
			return nil, 0, false, err
		}
		all = append(all, r.F)
		if r.F < least {
			least, x = r.F, slices.Clone(r.X)
		}
	}
	return x, least, slices.Max(all) < least+0.003, nil
}

// Fit fits constants to the first, the third and so on of rows of each class and device, and judges on all.
func Fit(ctx context.Context, rows []Row, constants []*Constant, o Options) (*Result, error) {
	if o.MaxRows == 0 {
		o.MaxRows = 80
	}
	if o.Evaluations == 0 {
		o.Evaluations = 30 * len(constants)
	}
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	machines := machinesOf(rows)
	f := &fitter{ctx: ctx, o: oracle.New(oracle.Options{Files: true, Workers: 1}), workers: o.Workers}
	for _, c := range constants {
		if c.Part != arch.Device || len(machines) == 1 {
			f.parameters = append(f.parameters, parameter{c, ""})
			continue
		}
		for _, m := range machines {
			f.parameters = append(f.parameters, parameter{c, m})
		}
	}
	some := thinned(rows, o.MaxRows)
	before, err := f.predict(some, nil, "analytic")
	if err != nil {
		return nil, err
	}
	x, _, agree, err := f.minimise(some, f.starts(), o.Evaluations)
	if err != nil {
		return nil, err
	}
	r := &Result{Converging: agree}
	idle, err := f.idle(some, x)
	if err != nil {
		return nil, err
	}
	values := f.values(x)
	for k := range values {
		if idle[k] {
			values[k] = f.parameters[k].Before
		}
	}
	after, err := f.predict(some, values, "analytic")
	if err != nil {
		return nil, err
	}
	r.Loss = [2]float64{loss(residuals(some, before)), loss(residuals(some, after))}
	if r.Constants, err = f.confidence(some, x, values, residuals(some, after)); err != nil {
		return nil, err
	}
	if err := f.judge(r, rows, values, o); err != nil {
		return nil, err
	}
	if len(machines) > 1 {
		if r.LeftOut, err = f.leaveOneOut(rows, some, values, machines, o); err != nil {
			return nil, err
		}
	}
	r.Evaluated = f.evaluated
	return r, nil
}

// machinesOf lists the machines of rows in the order of the rows.
func machinesOf(rows []Row) []string {
	var list []string
	for i := range rows {
		if !slices.Contains(list, rows[i].Machine) {
			list = append(list, rows[i].Machine)
		}
	}
	return list
}

// thinned is the rows that are fitted on, so many of each class and machine at most, evenly picked.
func thinned(rows []Row, most int) []Row {
	n, seen := map[string]int{}, map[string]int{}
	key := func(r *Row) string { return r.Class + " " + r.Machine }
	for i := range rows {
		if rows[i].Fitted {
			n[key(&rows[i])]++
		}
	}
	var list []Row
	for i := range rows {
		r := &rows[i]
		if !r.Fitted {
			continue
		}
		k := key(r)
		if total := n[k]; total <= most || seen[k]*most/total != (seen[k]+1)*most/total {
			list = append(list, *r)
		}
		seen[k]++
	}
	return list
}

// idle says which constants the rows do not depend on. They stay what they were.
func (f *fitter) idle(rows []Row, x []float64) ([]bool, error) {
	at, err := f.predict(rows, f.values(x), "analytic")
	if err != nil {
		return nil, err
	}
	list := make([]bool, len(x))
	for k := range x {
		list[k] = true
		for _, by := range []float64{0.7, -0.7} {
			moved := slices.Clone(x)
			moved[k] += by
			p, err := f.predict(rows, f.values(moved), "analytic")
			if err != nil {
				return nil, err
			}
			list[k] = list[k] && slices.Equal(p, at)
		}
	}
	return list, nil
}

// confidence works out intervals and sensitivities.
func (f *fitter) confidence(rows []Row, x, values, r []float64) ([]Fitted, error) {
	n, d := len(rows), len(x)
	j := mat.NewDense(n, d, nil)
	list := make([]Fitted, d)
	meanOf := func(values []float64) (float64, error) {
		p, err := f.predict(rows, values, "analytic")
		if err != nil {
			return 0, err
		}
		var e Errors
		for i := range rows {
			e.add(p[i], rows[i].Measured)
		}
		e.done()
		return e.Mean, nil
	}
	const step = 0.05
	for k := range x {
		var sides [2][]float64
		for s, by := range []float64{step, -step} {
			moved := slices.Clone(x)
			moved[k] += by
			v := slices.Clone(values)
			v[k] = f.parameters[k].at(moved[k])
			p, err := f.predict(rows, v, "analytic")
			if err != nil {
				return nil, err
			}
			sides[s] = residuals(rows, p)
		}
		for i := range rows {
			j.Set(i, k, (sides[0][i]-sides[1][i])/(2*step))
		}
		c := f.parameters[k]
		list[k] = Fitted{Constant: *c.Constant, Machine: c.machine, Value: values[k], Low95: math.NaN(), High95: math.NaN(), AtBound: math.Abs(x[k]) > 3.5 && values[k] != c.Before}
		for _, side := range []struct {
			by   float64
			into *float64
		}{{1.05, &list[k].Up}, {1 / 1.05, &list[k].Down}} {
			moved := slices.Clone(values)
			moved[k] = min(max(values[k]*side.by, c.Low), c.High)
			var err error
			if *side.into, err = meanOf(moved); err != nil {
				return nil, err
			}
		}
	}
	bread, meat := mat.NewSymDense(d, nil), mat.NewSymDense(d, nil)
	for i := range rows {
		w := 1 / math.Sqrt(r[i]*r[i]+delta*delta)
		for a := range d {
			for b := a; b < d; b++ {
				jj := j.At(i, a) * j.At(i, b)
				bread.SetSym(a, b, bread.At(a, b)+w*jj)
				meat.SetSym(a, b, meat.At(a, b)+w*w*r[i]*r[i]*jj)
			}
		}
	}
	// Constants that no row depends on would make the matrix singular: they are undetermined, the others are not. Those at a
	// bound are held there.
	var known []int
	for k := range d {
		if bread.At(k, k) > 1e-6*float64(n) && !list[k].AtBound {
			known = append(known, k)
		}
	}
	if len(known) == 0 {
		return list, nil
	}
	sub, mid := mat.NewSymDense(len(known), nil), mat.NewSymDense(len(known), nil)
	for a, ka := range known {
		for b := a; b < len(known); b++ {
			sub.SetSym(a, b, bread.At(ka, known[b]))
			mid.SetSym(a, b, meat.At(ka, known[b]))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(sub) || chol.Cond() > 1e10 {
		return list, nil
	}
	var inverse mat.SymDense
	if err := chol.InverseTo(&inverse); err != nil {
		return list, nil
	}
	var left, cov mat.Dense
	left.Mul(&inverse, mid)
	cov.Mul(&left, &inverse)
	for a, k := range known {
		half := 1.96 * math.Sqrt(max(0, cov.At(a, a)))
		list[k].Low95, list[k].High95 = f.parameters[k].at(x[k]-half), f.parameters[k].at(x[k]+half)
	}
	return list, nil
}

// judge works out errors before and after in both fidelities, by class, machine and half.
func (f *fitter) judge(r *Result, rows []Row, values []float64, o Options) error {
	var lists [4][]float64
	for i, ask := range []struct {
		values   []float64
		fidelity string
	}{{nil, "analytic"}, {values, "analytic"}, {nil, "event"}, {values, "event"}} {
		p, err := f.predict(rows, ask.values, ask.fidelity)
		if err != nil {
			return err
		}
		lists[i] = p
	}
	for i := range rows {
		row := &rows[i]
		half := "others"
		if row.Fitted {
			half = "fitted on"
		}
		k := slices.IndexFunc(r.Lines, func(l Line) bool { return l.Class == row.Class && l.Machine == row.Machine && l.Half == half })
		if k < 0 {
			r.Lines, k = append(r.Lines, Line{Class: row.Class, Machine: row.Machine, Half: half}), len(r.Lines)
		}
		l := &r.Lines[k]
		l.Rows++
		for i2, e := range []*Errors{&l.Before, &l.After, &l.BeforePlayed, &l.AfterPlay} {
			e.add(lists[i2][i], row.Measured)
		}
		r.Total[0].add(lists[2][i], row.Measured)
		r.Total[1].add(lists[3][i], row.Measured)
	}
	for i := range r.Lines {
		l := &r.Lines[i]
		for _, e := range []*Errors{&l.Before, &l.After, &l.BeforePlayed, &l.AfterPlay} {
			e.done()
		}
	}
	r.Total[0].done()
	r.Total[1].done()
	slices.SortStableFunc(r.Lines, func(a, b Line) int {
		switch {
		case a.Class != b.Class:
			return compare(a.Class, b.Class)
		case a.Machine != b.Machine:
			return compare(a.Machine, b.Machine)
		}
		return compare(a.Half, b.Half)
	})
	return nil
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

// leaveOneOut fits without each machine in turn and asks for it then.
func (f *fitter) leaveOneOut(rows, some []Row, values []float64, machines []string, o Options) ([]LeftOut, error) {
	var list []LeftOut
	for _, m := range machines {
		of := func(rows []Row, same bool) (picked []Row) {
			for i := range rows {
				if (rows[i].Machine == m) == same {
					picked = append(picked, rows[i])
				}
			}
			return picked
		}
		without := &fitter{ctx: f.ctx, o: f.o, workers: f.workers}
		var begin []float64 // where the fit on all ended
		for i, p := range f.parameters {
			if p.machine != m {
				without.parameters = append(without.parameters, p)
				begin = append(begin, p.coordinate(values[i]))
			}
		}
		x, _, _, err := without.minimise(of(some, false), [][]float64{begin}, o.Evaluations)
		if err != nil {
			return nil, err
		}
		f.evaluated += without.evaluated
		// The machine's own constants: the middle of the others' in the coordinates.
		all := make([]float64, len(f.parameters))
		for i, p := range f.parameters {
			sum, n := 0.0, 0
			for k, q := range without.parameters {
				if q.Path == p.Path && (p.machine == m || q.machine == p.machine) {
					sum, n = sum+x[k], n+1
				}
			}
			if all[i] = p.Before; n > 0 {
				all[i] = p.at(sum / float64(n))
			}
		}
		held := of(rows, true)
		l := LeftOut{Machine: m, Rows: len(held)}
		for _, side := range []struct {
			values []float64
			into   *float64
		}{{values, &l.Before}, {all, &l.After}} {
			p, err := f.predict(held, side.values, "analytic")
			if err != nil {
				return nil, err
			}
			var e Errors
			for i := range held {
				e.add(p[i], held[i].Measured)
			}
			e.done()
			*side.into = e.Mean
		}
		list = append(list, l)
	}
	return list, nil
}
