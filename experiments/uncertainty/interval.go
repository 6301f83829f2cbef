package uncertainty

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/traces"
)

// Of is what an interval is asked for.
type Of struct {
	Level   float64 // one of Levels
	Machine *arch.Machine
	Hash    string // of the machine
	Answer  *eval.Answer
	// Beyond says what else of the question was never measured, with pointers of its members.
	Beyond []string
}

// digits is how many significant digits the ends of an interval have: the quantiles are known no better, and answers stay the same to
// the byte on processors whose exponentials differ in the last bit.
const digits = 4

// within is an interval before it is written: logarithms of measured/simulated.
type within struct{ low, mid, high float64 }

func (w within) bounds(v float64) eval.Bounds {
	return eval.Bounds{short(v * math.Exp(w.low)), short(v * math.Exp(w.high))}
}

// short rounds to so many significant digits.
func short(v float64) float64 {
	var buffer [32]byte
	r, _ := strconv.ParseFloat(string(strconv.AppendFloat(buffer[:0], v, 'e', digits-1, 64)), 64)
	return r
}

// hundredth rounds a share to a hundredth of a percent.
func hundredth(v float64) float64 { return math.Round(1e4*v) / 1e4 }

// basis is one class of an answer.
func (w within) basis(e *Entry, share float64, note string) eval.Basis {
	less := func(v float64) float64 { return hundredth(math.Expm1(v)) }
	return eval.Basis{Class: e.Class, Device: e.Device, Runtime: e.Runtime, Rows: e.N, Devices: e.Devices, Share: hundredth(share), Bias: less(w.mid), Low: less(w.low), High: less(w.high), Note: note}
}

// Notes of a basis.
const (
	neverMeasured = "not validated: no measurement of this device"
	tooFewSteps   = "too few measured steps of this device under this framework"
	tooFew        = "few rows: the wider of these and of held-out devices"
)

// spread finds what is known of a class on a chip. It is nil if nothing is.
func (t *Table) spread(device, class string, low, high int) (w within, e *Entry, note string) {
	next := t.find(HeldOut, class, "")
	if e = t.find(device, class, ""); e == nil {
		if next == nil {
			return w, nil, ""
		}
		return within{next.Log[low], next.Log[median], next.Log[high]}, next, neverMeasured
	}
	w = within{e.Log[low], e.Log[median], e.Log[high]}
	if !e.enough(low) && next != nil {
		w.low, w.high, note = min(w.low, next.Log[low]), max(w.high, next.Log[high]), tooFew
	}
	return w, e, note
}

// outside says what is not as it was measured.
type outside struct{ list []string }

func (o *outside) add(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !slices.Contains(o.list, text) {
		o.list = append(o.list, text)
	}
}

// dims notes dimensions beyond those of an entry. Split is over how many chips a dimension may be divided.
func (o *outside) dims(e *Entry, at string, dims []Dim, split int64) {
	for _, d := range dims {
		i := slices.IndexFunc(e.Ranges, func(r Range) bool { return r.Name == d.Name })
		if i < 0 {
			continue
		}
		switch r := &e.Ranges[i]; {
		case d.Value > r.Max*split:
			o.add("%s/%s: %d, validated up to %d", at, d.Name, d.Value, r.Max)
		case d.Value < r.Min:
			o.add("%s/%s: %d, validated from %d", at, d.Name, d.Value, r.Min)
		}
	}
}

func (o *outside) format(e *Entry, at, format string) {
	if len(e.Formats) > 0 && format != "" && !slices.Contains(e.Formats, format) {
		o.add("%s: %s, validated in %s", at, format, strings.Join(e.Formats, ", "))
	}
}

func (o *outside) runtime(e *Entry, runtime string) {
	if len(e.Runtimes) > 0 && !slices.Contains(e.Runtimes, runtime) {
		o.add("/framework: %s, validated under %s", runtime, strings.Join(e.Runtimes, ", "))
	}
}

func (o *outside) machine(c chip) {
	if c.changed {
		o.add("/arch: not as the preset %s is", c.name)
	}
}

// asked notes what the question takes away from, or puts in place of, the model.
func (o *outside) asked(a *eval.Answer) {
	if a.OwnCosts != nil {
		o.add("/costs: times of operators are from %s", a.OwnCosts.Source)
	}
	if len(a.Ideal) > 0 {
		o.add("/ideal: without %s, validated with all effects", strings.Join(a.Ideal, ", "))
	}
}

// Choices says what of a question takes the place of what planner, runtime and machine do by themselves: a mapping file, fusions, a
// power limit.
func Choices(mapping, fusion string, powerLimit float64) (list []string) {
	if mapping != "" {
		list = append(list, "/mapping: choices are pinned, validated as the planner chooses")
	}
	if fusion != "" {
		list = append(list, "/fusion: "+fusion+", validated as the runtime fuses")
	}
	if powerLimit > 0 {
		list = append(list, fmt.Sprintf("/power_limit: %g W, validated at the limit of the machine", powerLimit))
	}
	return list
}

// Operator is what an interval of an operator needs to know beside the answer.
type Operator struct {
	Class   string // one of the classes
	Kind    string // as in requests
	Instead bool   // nothing of the kind was measured, see ClassOf
	Dims    []Dim
	// Format is that of the operands as the table has it: FormatOf.
	Format string
	// Beyond are things that were never measured, with their pointers.
	Beyond []string
}

// FormatOf is how the table names number formats of an operator.
func FormatOf(activations, weights, cache traces.DType) string {
	text := activations.String()
	if weights != activations {
		text += "+" + weights.String() + "w"
	}
	if cache != activations {
		text += "+" + cache.String() + "kv"
	}
	return text
}

// OfOperator is the interval of an operator's answer, nil if nothing like it was measured.
func (t *Table) OfOperator(q Of, op *Operator) *eval.Interval {
	low, high, ok := quantilesOf(q.Level)
	if !ok {
		return nil
	}
	c := chipOf(q.Machine, q.Hash)
	w, e, note := t.spread(c.name, op.Class, low, high)
	if e == nil {
		return nil
	}
	o := outside{list: append(append([]string{}, q.Beyond...), op.Beyond...)}
	o.machine(c)
	o.asked(q.Answer)
	if op.Instead {
		o.add("/op/kind: %s, validated for others of class %s", op.Kind, strings.TrimPrefix(op.Class, Host))
	}
	o.dims(e, "/op", op.Dims, 1)
	o.format(e, "/op/dtype", op.Format)
	if e.Device != HeldOut {
		o.runtime(e, q.Answer.Runtime)
	}
	return &eval.Interval{Level: q.Level, Seconds: w.bounds(q.Answer.Seconds), NoJoules: "the power of single operators was not measured", Basis: []eval.Basis{w.basis(e, 0, note)}, Outside: o.list}
}

// OfModel is the interval of a whole model's answer, nil if there is nothing to make one of. The graph, if it is not nil, is looked through
// for operators that are larger than measured ones. The answer has its operators.
func (t *Table) OfModel(q Of, g *traces.Graph, mixture bool) *eval.Interval {
	low, high, ok := quantilesOf(q.Level)
	if !ok {
		return nil
	}
	c, a := chipOf(q.Machine, q.Hash), q.Answer
	out := &eval.Interval{Level: q.Level, Basis: []eval.Basis{}}
	o := outside{list: append([]string{}, q.Beyond...)}
	o.machine(c)
	o.asked(a)
	class := ""
	switch {
	case a.Training != nil:
		class = Train
	case a.Phase == "serve":
		o.add("/phase: of a server the time between tokens was validated, not that to the first token")
		if class = ServeOf + "dense"; mixture {
			class = ServeOf + "experts"
		}
	case a.Phase == "generate":
		class = Generate
	case a.Phase == "prefill":
		class = FirstTok
	case a.Phase == "decode":
		class = Decode
	default: // traces of other programs
		class = a.Phase
	}
	w, e := t.whole(c, class, a, low, high, &o, out)
	if e == nil {
		if w, ok = t.composed(c, a, g, low, high, &o, out); !ok {
			return nil
		}
	}
	out.Seconds = w.bounds(a.Seconds)
	if a.TTFTSeconds > 0 && class == Generate {
		b := t.part(c, FirstTok, a.Runtime, e, w, low, high).bounds(a.TTFTSeconds)
		out.TTFTSeconds = &b
	}
	if a.TPOTSeconds > 0 && (class == Generate || a.Phase == "serve") {
		of := w
		if class == Generate {
			of = t.part(c, Between, a.Runtime, e, w, low, high)
		}
		b := of.bounds(a.TPOTSeconds)
		out.TPOTSeconds = &b
	}
	t.energy(c, a, w, low, high, out)
	out.Outside = o.list
	return out
}

// part is the interval of a part of what was measured whole; that of the whole where it was put together.
func (t *Table) part(c chip, class, runtime string, whole *Entry, w within, low, high int) within {
	e := t.find(c.name, class, runtime)
	if whole == nil || e == nil || !e.enough(low) {
		return w
	}
	return within{e.Log[low], e.Log[median], e.Log[high]}
}

// whole finds measured runs of whole models on the same chip under the same profile; e is nil if there are none, or too few.
func (t *Table) whole(c chip, class string, a *eval.Answer, low, high int, o *outside, out *eval.Interval) (w within, e *Entry) {
	e = t.find(c.name, class, a.Runtime)
	note := ""
	if e == nil || !e.enough(low) {
		if class != Train {
			return w, nil
		}
		if e = t.find(HeldOut, Train, ""); e == nil {
			return w, nil
		}
		note = tooFewSteps
	}
	w = within{e.Log[low], e.Log[median], e.Log[high]}
	out.Basis = append(out.Basis, w.basis(e, 0, note))
	o.dims(e, "", modelDims(a), 1)
	if note == "" {
		o.format(e, "/dtype", a.WeightDType)
	}
	return w, e
}

// ModelDims are the dimensions of whole models that tables have ranges of.
func modelDims(a *eval.Answer) []Dim {
	dims := []Dim{{"chips", a.Parallel.Chips()}}
	if a.Training != nil {
		return dims
	}
	dims = append(dims, Dim{"batch", a.Batch}, Dim{"prompt", a.Prompt})
	if a.Generate > 0 {
		dims = append(dims, Dim{"generate", a.Generate})
	}
	return dims
}

// kinds finds a kind by its name.
var kinds = func() map[string]traces.Kind {
	m := map[string]traces.Kind{}
	for i, name := range traces.Kinds() {
		m[name] = traces.Kind(i)
	}
	return m
}()

// mostClasses is more classes than there are.
const mostClasses = 24

// share is the part of a run's time that a class takes.
type share struct {
	class   string
	seconds float64
}

// composed puts an interval together of the operators' classes. ok is false if an answer has none.
func (t *Table) composed(c chip, a *eval.Answer, g *traces.Graph, low, high int, o *outside, out *eval.Interval) (w within, ok bool) {
	var shares [mostClasses]share
	n, total := 0, 0.0
	for i := range a.Operators {
		op := &a.Operators[i]
		kind, ok := kinds[op.Kind]
		if !ok || op.Seconds <= 0 {
			continue
		}
		class, _ := ClassOf(kind, op.Phase == traces.Decode.String())
		k := 0
		for k < n && shares[k].class != class {
			k++
		}
		if k == n {
			if n == len(shares) {
				continue
			}
			shares[n] = share{class: class}
			n++
		}
		shares[k].seconds += op.Seconds
		total += op.Seconds
	}
	if total == 0 {
		return w, false
	}
	slices.SortFunc(shares[:n], func(x, y share) int {
		return cmp.Or(cmp.Compare(y.seconds, x.seconds), strings.Compare(x.class, y.class))
	})
	// What is off goes together: kernels of a chip rest on the same clock, memory and library. Sums of measured classes and of those
	// of held-out chips are kept apart.
	var below, above [2]float64
	known := 0.0
	var entries []*Entry
	for i := range shares[:n] {
		s := &shares[i]
		of, e, note := t.spread(c.name, s.class, low, high)
		if e == nil {
			o.add("/model: operators of class %s take %.1f %% of the time and were not measured", s.class, 100*s.seconds/total)
			continue
		}
		part := s.seconds / total
		known += part
		w.mid += float64(part * of.mid)
		k := 0
		if e.Device == HeldOut {
			k = 1
		}
		below[k] += float64(part * (of.mid - of.low))
		above[k] += float64(part * (of.high - of.mid))
		out.Basis = append(out.Basis, of.basis(e, part, note))
		entries = append(entries, e)
	}
	if known == 0 {
		return w, false
	}
	if g != nil {
		o.graph(g, entries, a.Parallel.TP)
	}
	w.mid /= known
	l, h := below[0]/known, above[0]/known
	if e := t.find(HeldOut, Model, ""); e != nil {
		// Whole models were off by this with their kernels' errors in it.
		w.mid += e.Log[median]
		l, h = max(l, e.Log[median]-e.Log[low]), max(h, e.Log[high]-e.Log[median])
		out.Basis = append(out.Basis, within{e.Log[low], e.Log[median], e.Log[high]}.basis(e, 0, "what whole models are off beyond the medians of their kernels"))
	}
	return within{w.mid - math.Hypot(l, below[1]/known), w.mid, w.mid + math.Hypot(h, above[1]/known)}, true
}

// Dimensions of operators in a graph.
const (
	dimM = iota
	dimN
	dimK
	dimBatch
	dimHeads
	dimHeadDim
	dimQLen
	dimPastLen
	dimTokens
	dimHidden
	dimIntermediate
	dimExperts
	dimBytes
	dimRows
	dimCols
	numDims
)

// dimNames are they as requests have them.
var dimNames = [numDims]string{"m", "n", "k", "batch", "heads", "head_dim", "q_len", "past_len", "tokens", "hidden", "intermediate", "experts", "bytes", "rows", "cols"}

// largest are the largest values of the dimensions of a class.
type largest [numDims]int64

func (l *largest) note(dim int, v int64) { l[dim] = max(l[dim], v) }

// noteOp takes an operator in.
func (l *largest) noteOp(op *traces.Op, past int64) {
	switch {
	case op.Kind == traces.Gemm:
		l.note(dimM, op.M)
		l.note(dimN, op.N)
		l.note(dimK, op.K)
	case op.Kind == traces.Attention:
		l.note(dimBatch, op.Batch)
		l.note(dimHeads, op.Heads)
		l.note(dimHeadDim, op.HeadDim)
		l.note(dimQLen, op.QLen)
		l.note(dimPastLen, op.Past+past)
	case op.Kind == traces.MoE:
		l.note(dimTokens, op.M)
		l.note(dimHidden, op.K)
		l.note(dimIntermediate, op.N)
		l.note(dimExperts, op.Experts)
	case op.Kind.Collective():
		l.note(dimBytes, int64(op.Bytes))
	default:
		l.note(dimRows, op.Rows)
		l.note(dimCols, op.Cols)
	}
}

// graph notes classes whose operators are larger than measured ones. What tensor parallelism may divide is taken as divided.
func (o *outside) graph(g *traces.Graph, entries []*Entry, tp int64) {
	var most [mostClasses]largest
	// A block runs many times, each with more cached tokens: the last of each phase says all.
	var last [2][32]int64 // by phase and block, 1 more than the cached tokens
	for i := range g.Runs {
		r := &g.Runs[i]
		k := 0
		if r.Phase == traces.Decode {
			k = 1
		}
		if int(r.Block) < len(last[k]) {
			last[k][r.Block] = max(last[k][r.Block], 1+r.Past)
		}
	}
	for k := range last {
		for b := range min(len(g.Blocks), len(last[k])) {
			if last[k][b] == 0 {
				continue
			}
			for i := range g.Blocks[b].Ops {
				op := &g.Blocks[b].Ops[i]
				class, _ := ClassOf(op.Kind, k == 1)
				if c := slices.IndexFunc(entries, func(e *Entry) bool { return e.Class == class }); c >= 0 {
					most[c].noteOp(op, last[k][b]-1)
				}
			}
		}
	}
	for c, e := range entries {
		for i := range e.Ranges {
			r := &e.Ranges[i]
			if d := slices.Index(dimNames[:], r.Name); d >= 0 && most[c][d] > r.Max*max(tp, 1) {
				o.add("/model: %s of class %s is %d, validated up to %d", r.Name, e.Class, most[c][d], r.Max)
			}
		}
	}
}

// energy adds joules where the power of the chip was measured.
func (t *Table) energy(c chip, a *eval.Answer, w within, low, high int, out *eval.Interval) {
	e := t.find(c.name, PowerMean, "")
	switch {
	case e == nil:
		out.NoJoules = "the power of " + c.name + " was not measured"
		return
	case a.Training != nil:
		out.NoJoules = "the power of training was not measured"
		return
	}
	if !e.enough(low) {
		out.NoJoules = fmt.Sprintf("the power of %s was measured in %d runs, too few for this level", c.name, e.N)
		return
	}
	both := within{mid: w.mid + e.Log[median]}
	both.low = both.mid - math.Hypot(w.mid-w.low, e.Log[median]-e.Log[low])
	both.high = both.mid + math.Hypot(w.high-w.mid, e.Log[high]-e.Log[median])
	b := both.bounds(a.Energy.Joules)
	out.Joules = &b
	out.Basis = append(out.Basis, within{e.Log[low], e.Log[median], e.Log[high]}.basis(e, 0, "average power"))
}
