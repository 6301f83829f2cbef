package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/sweep"
	"github.com/stratasim/strata/traces"
)

// LUT is a look-up table of operators: what each takes in models of a space, by the parameters that its shape hangs on. The time of a
// model is about the sum of its rows, those of a layer times its layers.
type LUT struct {
	Space, Hash, Arch, Model, Phase, Fidelity string
	TP                                        int64
	// Parameters of the space, in order.
	Parameters []string
	Rows       []LUTRow
	// Layers is the parameter that is the number of layers, "" where that is the same for all or is computed.
	Layers string
	// Additivity compares the sums of rows with whole models.
	Additivity Additivity
	// Missing counts combinations of parameters that no model of the space has.
	Missing int
}

// LUTRow is an operator of a shape.
type LUTRow struct {
	Op, Kind, Phase string
	// Values of the parameters that the shape hangs on, in the order of LUT.Parameters; nil for the others.
	Values []*sweep.Value
	// PerLayer says that the figures are those of one layer, and else of the whole model: all calls of an answer together.
	PerLayer bool
	Shape    string
	DType    string
	Seconds  float64
	Joules   float64
	Bytes    float64 // that move between the chip and the memory off it
}

// Additivity is by how much sums of rows differ from whole models: in time, and in energy.
type Additivity struct {
	Points, Seed int64
	SumErrors
	Joules SumErrors
	// KendallTau is how alike the table and whole models rank the points: 1 for the same order.
	KendallTau float64
	// Uncovered points have a combination that the table lacks, Unfit ones were not answered.
	Uncovered, Unfit int64
}

// SumErrors are those of sums, as shares of what the model has.
type SumErrors struct {
	Mean, Median, Max float64 // of absolute values
	Bias              float64 // mean with the sign of what the table has too much
}

// LUTOptions of Oracle.LUT. Zero values are the usual ones.
type LUTOptions struct {
	// Samples are points that the additivity is worked out from; 0 means 500.
	Samples int
	Seed    uint64
	// Rows bounds the table; 0 means 20000.
	Rows int
	// Dir is where the space's file is: machines are looked for there first; "" for none.
	Dir string
	// Progress, if not nil, is told how many of about how many models were timed.
	Progress func(done, of int)
}

// Bounds of what is tried for a table.
const (
	lutSamples = 500
	lutRows    = 20_000
	lutBases   = 12 // points from which each parameter is moved by itself, to see which shapes follow
	lutTries   = 24 // completions of a combination before it counts as one that no model has
)

// timedModel is what an answer says of a point: its operators by name and phase, and the shape of each.
type timedModel struct {
	ops             map[[2]string]eval.Operator
	shapes          map[[2]string]opShape
	seconds, joules float64
	layers          int64
}

type opShape struct {
	key, text, dtype string
	perLayer         bool
}

// errUnfit is a point that has no answer.
var errUnfit = errors.New("the point has no answer")

// tabulator makes a table.
type tabulator struct {
	o     *Oracle
	s     *space
	ctx   context.Context
	cache map[string]*timedModel
	unfit *Error // why the last point without an answer has none, nil where its model cannot be
}

// LUT makes a look-up table for a space. The error is of type *Error for a space of which there is none.
func (o *Oracle) LUT(ctx context.Context, is *sweep.Space, how LUTOptions) (*LUT, error) {
	if how.Samples == 0 {
		how.Samples = lutSamples
	}
	if how.Rows == 0 {
		how.Rows = lutRows
	}
	s := placed(is)
	s.build, s.dir, s.kinds = sweep.NewBuilder(is), how.Dir, newLRU[string, *once[*pointKind]](rememberedKinds)
	if bad := s.tabulable(); bad != nil {
		return nil, bad
	}
	t := &tabulator{o, s, ctx, map[string]*timedModel{}, nil}
	bases := is.Sample(how.Seed, lutBases)
	if len(bases) == 0 {
		return nil, &Error{Infeasible, "constraint", "/space", "no feasible point was found", ""}
	}
	lut := &LUT{Space: is.File.Name, Hash: "sha256:" + is.Hash(), Arch: is.File.Arch, Model: is.File.Model, Parameters: is.Axes(), TP: 1}
	if err := lut.head(t, bases[0]); err != nil {
		return nil, err
	}
	hangs, err := t.dependencies(bases)
	if err != nil {
		return nil, err
	}
	rows, err := t.rows(lut, bases, hangs, how)
	if err != nil {
		return nil, err
	}
	if err := t.add(lut, rows, hangs, how); err != nil {
		return nil, err
	}
	return lut, nil
}

// tabulable refuses spaces whose operators are no function of shapes alone, or have no end.
func (s *space) tabulable() *Error {
	for _, n := range s.Fixed() {
		return &Error{Invalid, "not-applicable", "/space", fmt.Sprintf("%s changes the machine, the base model or how it is run: a table is of one of each", n), "fix it in arch, set, workload or mapping"}
	}
	for i := range s.parameters {
		if p := &s.parameters[i]; p.Values == nil && p.Step == 0 {
			return &Error{Invalid, "not-applicable", pointer("/space", p.Name), fmt.Sprintf("%s takes any number from %g to %g, and a table has rows", p.Name, p.Low, p.High), "give its range a step, or its log a factor"}
		}
	}
	return nil
}

// head fills in what all rows have in common.
func (l *LUT) head(t *tabulator, values []sweep.Value) error {
	c, err := t.s.build.Candidate(values)
	if err != nil {
		return err
	}
	kind, bad := t.s.kindOf(t.o, c)
	if bad != nil {
		return bad
	}
	q := &kind.request
	if q.train != "" || q.phase == "serve" {
		return invalid("not-applicable", "/space/workload/phase", "prefill, decode or generate", "there are no tables for phase %s", q.phase)
	}
	l.Phase, l.Fidelity, l.TP = q.phase, q.fidelity, q.tp
	for i := range t.s.parameters {
		if t.s.IsLayers(i) {
			l.Layers = t.s.parameters[i].Name
		}
	}
	return nil
}

// time times the model of a point. errUnfit says that it has no answer.
func (t *tabulator) time(values []sweep.Value) (*timedModel, error) {
	key := t.s.Parameters(values)
	if m, ok := t.cache[key]; ok {
		if m == nil {
			return nil, errUnfit
		}
		return m, nil
	}
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	c, err := t.s.build.Candidate(values)
	if err != nil {
		t.cache[key] = nil
		return nil, errUnfit
	}
	kind, bad := t.s.kindOf(t.o, c)
	if bad != nil {
		return nil, bad
	}
	q := kind.request
	m := &timedModel{ops: map[[2]string]eval.Operator{}, layers: c.Model.Layers}
	if q.layers > 0 {
		m.layers = q.layers
	}
	q.direct, q.detail = c.Model, true
	q.seen = func(a *eval.Answer) {
		m.seconds, m.joules = a.Seconds, a.Energy.Joules
		for _, op := range a.Operators {
			k := [2]string{op.Name, op.Phase}
			sum := m.ops[k]
			sum.Name, sum.Kind, sum.Phase = op.Name, op.Kind, op.Phase
			sum.Calls, sum.Seconds, sum.Joules, sum.Bytes, sum.Ops = sum.Calls+op.Calls, sum.Seconds+op.Seconds, sum.Joules+op.Joules, sum.Bytes+op.Bytes, sum.Ops+op.Ops
			m.ops[k] = sum
		}
	}
	a, err := t.o.evaluate(t.ctx, &q)
	if err != nil && t.ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		a = failed(q.explained(err))
	}
	if a.err != nil {
		if a.err.Status == Failed {
			return nil, a.err
		}
		t.unfit = a.err
		t.cache[key] = nil
		return nil, errUnfit
	}
	if m.shapes, err = shapesOf(kind, &q, m.layers, m.ops); err != nil {
		return nil, err
	}
	if len(t.cache) > 4*lutRows {
		clear(t.cache)
	}
	t.cache[key] = m
	return m, nil
}

// shapesOf finds the shapes of operators in the graph of a model. A kernel of several has those of all.
func shapesOf(kind *pointKind, q *request, layers int64, ops map[[2]string]eval.Operator) (map[[2]string]opShape, error) {
	w := q.workload(kind.machine, q.direct)
	if n, err := experiments.Shared(w.Batch, q.inFlight); err == nil {
		w.Batch = n
	}
	w.StepTokens = kind.machine.StepTokens(profile(kind.machine.Machine, q.framework, q.kernel), q.hostSync)
	g, err := q.direct.Graph(w)
	if err != nil {
		return nil, err
	}
	type found struct {
		keys     []string
		text     string
		dtype    string
		perLayer bool
	}
	by := map[[2]string]*found{}
	steps := map[traces.Phase]int64{}
	counted := map[[2]int64]bool{}
	for _, r := range g.Runs {
		b := &g.Blocks[r.Block]
		if at := [2]int64{int64(r.Phase), r.Step}; !counted[at] {
			counted[at] = true
			steps[r.Phase] += r.Steps()
		}
		for i := range b.Ops {
			op := &b.Ops[i]
			k := [2]string{op.Name, r.Phase.String()}
			f := by[k]
			if f == nil {
				f = &found{text: shapeText(op, r.Past), dtype: op.DType.String()}
				if op.WeightDType != op.DType && op.Kind == traces.Gemm {
					f.dtype += "×" + op.WeightDType.String()
				}
				by[k] = f
			}
			f.perLayer = f.perLayer || strings.Contains(b.Name, "layer")
			plain := *op
			plain.Inputs, plain.Outputs = nil, nil
			key := fmt.Sprintf("%+v", plain)
			for _, id := range op.Inputs {
				key += fmt.Sprint(b.Tensors[id].Shape, b.Tensors[id].Type)
			}
			if !slices.Contains(f.keys, key) {
				f.keys = append(f.keys, key)
			}
		}
	}
	shapes := map[[2]string]opShape{}
	for k, op := range ops {
		var s opShape
		for i, name := range parts(g, k[0]) {
			f := by[[2]string{name, k[1]}]
			if f == nil { // a part of an operator, or what the planner adds behind it: out.all-reduce
				of, _, _ := strings.Cut(name, ".")
				f = by[[2]string{of, k[1]}]
			}
			if f == nil { // what goes with steps, such as the host's: by the time of a call
				s.key += fmt.Sprintf("\x00%s %.12g", name, op.Seconds/float64(max(op.Calls, 1)))
				for phase, n := range steps {
					each := n * layers
					s.perLayer = s.perLayer || phase.String() == k[1] && layers > 1 && op.Calls > 0 && op.Calls%each == 0
				}
				continue
			}
			s.key += "\x00" + strings.Join(f.keys, "\x00")
			s.perLayer = s.perLayer || f.perLayer
			switch {
			case i == 0:
				s.text = f.text
			case i < shownParts:
				s.text += " + " + f.text
			case i == shownParts:
				s.text += " + …"
			}
			s.dtype = f.dtype
		}
		shapes[k] = s
	}
	return shapes, nil
}

// shownParts is of how many operators of a kernel the shapes are written.
const shownParts = 3

// parts are the names of the operators that a kernel is of: "a+b" of two, "a…c" of all of a block from one to another.
func parts(g *traces.Graph, name string) []string {
	first, last, pipeline := strings.Cut(name, "…")
	if !pipeline {
		return strings.Split(name, "+")
	}
	for i := range g.Blocks {
		ops := g.Blocks[i].Ops
		at := func(name string) int { return slices.IndexFunc(ops, func(o traces.Op) bool { return o.Name == name }) }
		from, to := at(first), at(last)
		if from < 0 || to < from {
			continue
		}
		var names []string
		for _, o := range ops[from : to+1] {
			names = append(names, o.Name)
		}
		return names
	}
	return []string{name}
}

// shapeText writes the dimensions of an operator, that of the first step of a run after so many cached tokens.
func shapeText(op *traces.Op, past int64) string {
	switch {
	case op.Kind == traces.Attention:
		return fmt.Sprintf("batch %d, heads %d/%d of %d, %d new after %d", op.Batch, op.Heads, op.KVHeads, op.HeadDim, op.QLen, op.Past+past)
	case op.Kind == traces.MoE:
		return fmt.Sprintf("%d tokens, %d to %d, %d of %d experts", op.M, op.K, op.N, op.TopK, op.Experts)
	case op.M > 0 && op.N > 0 && op.K > 0:
		return fmt.Sprintf("%d×%d×%d", op.M, op.N, op.K)
	case op.Rows > 0:
		return fmt.Sprintf("%d×%d", op.Rows, op.Cols)
	case op.Bytes > 0:
		return op.Bytes.String()
	}
	return ""
}

// families are the operators by name and phase, sorted.
func families(hangs map[[2]string][]bool) [][2]string {
	return slices.SortedFunc(maps.Keys(hangs), func(a, b [2]string) int {
		if c := strings.Compare(a[1], b[1]); c != 0 {
			return -c // prefill before decode
		}
		return strings.Compare(a[0], b[0])
	})
}

// dependencies finds which parameters the shape of each operator hangs on, by moving one at a time.
func (t *tabulator) dependencies(bases [][]sweep.Value) (map[[2]string][]bool, error) {
	hangs := map[[2]string][]bool{}
	note := func(k [2]string) []bool {
		if hangs[k] == nil {
			hangs[k] = make([]bool, len(t.s.parameters))
		}
		return hangs[k]
	}
	for _, base := range bases {
		at, err := t.time(base)
		if errors.Is(err, errUnfit) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for k := range at.shapes {
			note(k)
		}
		for p := range t.s.parameters {
			for _, v := range t.s.some(p) {
				moved := slices.Clone(base)
				moved[p] = v
				if _, err := t.s.SwitchOff(moved); err != nil {
					continue
				}
				m, err := t.time(moved)
				if errors.Is(err, errUnfit) {
					continue
				}
				if err != nil {
					return nil, err
				}
				for k, s := range m.shapes {
					if at.shapes[k].key != s.key {
						note(k)[p] = true
					}
				}
				for k := range at.shapes {
					if _, there := m.shapes[k]; !there {
						note(k)[p] = true
					}
				}
			}
		}
	}
	if len(hangs) == 0 {
		none := &Error{Infeasible, "does-not-fit", "/space", "none of the points that were tried has an answer", ""}
		if t.unfit != nil {
			none.Message, none.Hint = none.Message+"; the last: "+t.unfit.Message, t.unfit.Hint
		}
		return nil, none
	}
	return hangs, nil
}

// some are a few values of a parameter, the ends among them.
func (s *space) some(p int) []sweep.Value {
	all := s.Values(p)
	const most = 6
	if len(all) <= most {
		return all
	}
	var few []sweep.Value
	for i := range most {
		few = append(few, all[i*(len(all)-1)/(most-1)])
	}
	return few
}

// keyOf is what tells rows of an operator apart.
func keyOf(k [2]string, values []sweep.Value, hangs []bool) string {
	var b strings.Builder
	b.WriteString(k[0] + "\x00" + k[1])
	for i, h := range hangs {
		if b.WriteByte(0); h {
			b.WriteString(values[i].Text)
		}
	}
	return b.String()
}

// rows times models until every combination that an operator hangs on has its row.
func (t *tabulator) rows(lut *LUT, bases [][]sweep.Value, hangs map[[2]string][]bool, how LUTOptions) (map[string]*LUTRow, error) {
	list := families(hangs)
	total, models, largest := 0.0, 0.0, [2]string{}
	for _, k := range list {
		n := 1.0
		for p, h := range hangs[k] {
			if h {
				n *= float64(len(t.s.Values(p)))
			}
		}
		if total += n; n > models {
			models, largest = n, k
		}
	}
	if total > float64(how.Rows) {
		var of []string
		for p, h := range hangs[largest] {
			if h {
				of = append(of, t.s.parameters[p].Name)
			}
		}
		return nil, &Error{Invalid, "too-large", "/space", fmt.Sprintf("the table would have %.0f rows, at most %d are allowed: %s alone has %.0f, for each combination of %s", total, how.Rows, largest[0], models, strings.Join(of, ", ")), "fewer values of those parameters"}
	}
	// Those with most combinations first: their models have rows for the others too.
	slices.SortStableFunc(list, func(a, b [2]string) int { return t.combinations(hangs[b]) - t.combinations(hangs[a]) })
	rows := map[string]*LUTRow{}
	draw := rand.New(rand.NewPCG(how.Seed, 1))
	done := 0
	for _, k := range list {
		for c := range t.combinations(hangs[k]) {
			values := slices.Clone(bases[0])
			t.place(values, hangs[k], c)
			if rows[keyOf(k, values, hangs[k])] != nil {
				continue
			}
			found := false
			for try := 0; try < lutTries && !found; try++ {
				if try > 0 { // another completion
					if try < len(bases) {
						copy(values, bases[try])
					} else {
						for p := range values {
							all := t.s.Values(p)
							values[p] = all[draw.IntN(len(all))]
						}
					}
					t.place(values, hangs[k], c)
				}
				if _, err := t.s.SwitchOff(values); err != nil {
					continue
				}
				m, err := t.time(values)
				if errors.Is(err, errUnfit) {
					continue
				}
				if err != nil {
					return nil, err
				}
				_, found = m.ops[k]
				for other, op := range m.ops {
					if h := hangs[other]; h != nil {
						if key := keyOf(other, values, h); rows[key] == nil {
							rows[key] = rowOf(m, other, op, values, h)
						}
					}
				}
				if done++; how.Progress != nil {
					how.Progress(done, max(done, int(models)))
				}
			}
			if !found {
				lut.Missing++
			}
		}
	}
	keys := slices.Sorted(maps.Keys(rows))
	order := map[[2]string]int{}
	for i, k := range families(hangs) {
		order[k] = i
	}
	place := func(r *LUTRow) (n []int) {
		for p, v := range r.Values {
			at := -1
			if v != nil {
				at = slices.IndexFunc(t.s.Values(p), func(x sweep.Value) bool { return x.Text == v.Text })
			}
			n = append(n, at)
		}
		return n
	}
	slices.SortStableFunc(keys, func(a, b string) int {
		x, y := rows[a], rows[b]
		if c := order[[2]string{x.Op, x.Phase}] - order[[2]string{y.Op, y.Phase}]; c != 0 {
			return c
		}
		return slices.Compare(place(x), place(y))
	})
	for _, k := range keys {
		lut.Rows = append(lut.Rows, *rows[k])
	}
	return rows, nil
}

func rowOf(m *timedModel, k [2]string, op eval.Operator, values []sweep.Value, hangs []bool) *LUTRow {
	s := m.shapes[k]
	r := &LUTRow{Op: op.Name, Kind: op.Kind, Phase: op.Phase, Values: make([]*sweep.Value, len(values)), PerLayer: s.perLayer, Shape: s.text, DType: s.dtype, Seconds: op.Seconds, Joules: op.Joules, Bytes: float64(op.Bytes)}
	if s.perLayer {
		n := float64(max(m.layers, 1))
		r.Seconds, r.Joules, r.Bytes = r.Seconds/n, r.Joules/n, r.Bytes/n
	}
	for i, h := range hangs {
		if h {
			v := values[i]
			r.Values[i] = &v
		}
	}
	return r
}

// combinations is how many there are of the parameters that an operator hangs on.
func (t *tabulator) combinations(hangs []bool) int {
	n := 1
	for p, h := range hangs {
		if h {
			n *= len(t.s.Values(p))
		}
	}
	return n
}

// place puts the c-th combination into values.
func (t *tabulator) place(values []sweep.Value, hangs []bool, c int) {
	for p := len(hangs) - 1; p >= 0; p-- {
		if hangs[p] {
			all := t.s.Values(p)
			values[p] = all[c%len(all)]
			c /= len(all)
		}
	}
}

// add compares sums of rows with whole models.
func (t *tabulator) add(lut *LUT, rows map[string]*LUTRow, hangs map[[2]string][]bool, how LUTOptions) error {
	a := &lut.Additivity
	a.Seed = int64(how.Seed)
	var sums, whole, errs, joules []float64
	for _, values := range t.s.Sample(how.Seed+1, how.Samples) {
		m, err := t.time(values)
		if errors.Is(err, errUnfit) {
			a.Unfit++
			continue
		}
		if err != nil {
			return err
		}
		sum, energy, covered := 0.0, 0.0, true
		for _, k := range slices.SortedFunc(maps.Keys(m.ops), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) }) {
			h := hangs[k]
			if h == nil {
				covered = false
				break
			}
			r := rows[keyOf(k, values, h)]
			if r == nil {
				covered = false
				break
			}
			if r.PerLayer {
				sum += float64(r.Seconds * float64(m.layers))
				energy += float64(r.Joules * float64(m.layers))
			} else {
				sum += r.Seconds
				energy += r.Joules
			}
		}
		if !covered {
			a.Uncovered++
			continue
		}
		sums, whole, errs = append(sums, sum), append(whole, m.seconds), append(errs, sum/m.seconds-1)
		if m.joules > 0 { // not every machine says what it uses
			joules = append(joules, energy/m.joules-1)
		}
	}
	if a.Points = int64(len(errs)); a.Points == 0 {
		return &Error{Infeasible, "does-not-fit", "/space", "no point that was drawn has an answer to compare the table with", ""}
	}
	a.summarize(errs)
	a.Joules.summarize(joules)
	a.KendallTau = KendallTau(sums, whole)
	return nil
}

// summarize works them out from those of points; of none they are 0.
func (a *SumErrors) summarize(errs []float64) {
	if len(errs) == 0 {
		return
	}
	abs := make([]float64, len(errs))
	for i, e := range errs {
		abs[i] = math.Abs(e)
		a.Mean += abs[i] / float64(len(errs))
		a.Bias += e / float64(len(errs))
		a.Max = max(a.Max, abs[i])
	}
	slices.Sort(abs)
	a.Median = abs[len(abs)/2]
	if n := len(abs); n%2 == 0 {
		a.Median = (abs[n/2-1] + abs[n/2]) / 2
	}
}

// KendallTau is how alike two lists rank the same things, from -1 to 1: tau-b, Kendall, Biometrika 33(3), 1945, which counts ties. It is
// 1 for fewer than two things, or where all are tied in both.
func KendallTau(x, y []float64) float64 {
	var agree, differ, tiedX, tiedY float64
	for i := range x {
		for j := range i {
			dx, dy := x[i]-x[j], y[i]-y[j]
			switch {
			case dx == 0 && dy == 0:
			case dx == 0:
				tiedX++
			case dy == 0:
				tiedY++
			case (dx > 0) == (dy > 0):
				agree++
			default:
				differ++
			}
		}
	}
	n := math.Sqrt((agree + differ + tiedX) * (agree + differ + tiedY))
	if n == 0 {
		return 1
	}
	return (agree - differ) / n
}
