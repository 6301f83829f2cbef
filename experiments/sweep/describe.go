package sweep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"

	"github.com/stratasim/strata/arch/cost"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Parameter is an axis as programs that choose points see it. Numbers are in the units of columns of results.
type Parameter struct {
	Name string
	// Type is int, float, bool or categorical.
	Type string
	// Values are what it takes, in order; nil for a range.
	Values []Value
	// Low and High are the ends of a range, which belong to it. Step is between its values, 0 for any number between; Log says that
	// equal ratios count as equal distances.
	Low, High, Step float64
	Log             bool
	When            string // condition without which it keeps the value of the base, "" for none
}

// Describe lists the axes.
func (s *Space) Describe() []Parameter {
	list := make([]Parameter, len(s.axes))
	for i, a := range s.axes {
		f := &s.File.Axes[i]
		p := Parameter{Name: a.name, Type: "categorical", When: f.When}
		switch _, whole, number := units.Number(a.like); {
		case number && whole && !isTime(a.like):
			p.Type = "int"
		case number:
			p.Type = "float"
		default:
			if _, ok := a.like.(bool); ok {
				p.Type = "bool"
			}
		}
		stepped := f.Range != nil && len(a.values) > 1
		switch {
		case stepped:
			p.Low, p.Step = floatOf(a.values[0]), floatOf(a.values[1])-floatOf(a.values[0])
			p.High = floatOf(a.values[len(a.values)-1])
		case len(a.values) > 0:
			p.Values = a.values
		default:
			p.Low, p.High, p.Log = floatOf(a.of(a.from)), floatOf(a.of(a.to)), a.log
		}
		list[i] = p
	}
	return list
}

func isTime(v any) bool { _, ok := v.(units.Time); return ok }

// floatOf is the number of a value.
func floatOf(v Value) float64 {
	switch x := v.Any.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	return math.NaN()
}

// Size is how many points a grid of the space has, those that are the same included; it is not ok if an axis has any number of values.
// It may be more than a whole number can be.
func (s *Space) Size() (points float64, ok bool) {
	points = 1
	for _, a := range s.axes {
		if len(a.values) == 0 {
			return 0, false
		}
		points *= float64(len(a.values))
	}
	return points, true
}

// Goals are what the file wants least or most of.
func (s *Space) Goals() []pareto.Objective { return s.objectives }

// Columns are the names of figures that the file defines.
func (s *Space) Columns() []string {
	list := make([]string, len(s.columns))
	for i, c := range s.columns {
		list[i] = c.name
	}
	return list
}

// Law is the law of the loss that the file names, nil for none.
func (s *Space) Law() *Law {
	if s.quality == nil {
		return nil
	}
	return s.quality.law
}

// Sample draws points that nothing known before they are run refuses. It ends early where few are to be had.
func (s *Space) Sample(seed uint64, n int) [][]Value {
	b := NewBuilder(s)
	space := s.variables()
	var list [][]Value
	const tries = 1000 // for each point
	for round := uint64(0); len(list) < n && round < tries; round++ {
		for _, c := range space.Random(seed+round<<32, n) {
			values := s.valuesOf(c)
			if _, err := s.switchOff(values); err != nil {
				continue
			}
			if c, err := b.Candidate(values); err == nil && b.machined(c) && c.Feasible() && len(list) < n {
				list = append(list, values)
			}
		}
	}
	return list
}

// machined tells a candidate the formats that it has on its machine; not ok if there is no such machine.
func (b *Builder) machined(c *Candidate) bool {
	m := b.machine(c.Arch, c.Set)
	if m.err != nil {
		return false
	}
	p := experiments.Point{Machine: m.machine, Model: c.Model}
	for _, o := range c.Options {
		switch o.Name {
		case "dtype":
			p.DType = o.Text
		case "weight_dtype":
			p.WeightDType = o.Text
		}
	}
	c.Known(p.Formats())
	return true
}

// Assign reads one axis of a point: a float64 with its text, a string or a bool. The error says what it takes.
func (s *Space) Assign(axis int, given any) (Value, error) {
	a := s.axes[axis]
	bad := func(what string) (Value, error) { return Value{}, errors.New(what) }
	switch x := given.(type) {
	case string:
		for _, v := range a.values {
			if v.Any == given || v.Text == x {
				return v, nil
			}
		}
		return bad(fmt.Sprintf("%.60q is none of its values", x))
	case bool:
		for _, v := range a.values {
			if v.Any == given {
				return v, nil
			}
		}
		return bad(fmt.Sprintf("%t is none of its values", x))
	case float64:
		_, whole, number := units.Number(a.like)
		if !number {
			return bad(fmt.Sprintf("%g is a number, which it does not take", x))
		}
		if len(a.values) > 0 {
			at, near := slices.BinarySearchFunc(a.values, x, func(v Value, x float64) int {
				switch n := floatOf(v); {
				case math.Abs(n-x) <= nearEnough*math.Abs(n):
					return 0
				case n < x:
					return -1
				}
				return 1
			})
			if near {
				return a.values[at], nil
			}
			for _, v := range a.values { // a list in no order
				if n := floatOf(v); math.Abs(n-x) <= nearEnough*math.Abs(n) {
					return v, nil
				}
			}
			return bad(fmt.Sprintf("%g is none of its values", x))
		}
		n := x
		if isTime(a.like) {
			n *= float64(units.Second)
		} else if whole && n != math.Trunc(n) {
			return bad(fmt.Sprintf("%g is no whole number", x))
		}
		if !(n >= a.from*(1-nearEnough) && n <= a.to*(1+nearEnough)) {
			return bad(fmt.Sprintf("%g is out of its range", x))
		}
		return a.of(min(max(n, a.from), a.to)), nil
	}
	return bad("it takes a number, a text or a truth")
}

// nearEnough is by how much of itself a number may differ from a value: what sums of steps lose.
const nearEnough = 1e-9

// Written is a value of an axis for people, with its unit.
func (s *Space) Written(axis int, v Value) string {
	if v.Off {
		return "-"
	}
	return v.Text
}

// Takes says in short what an axis takes.
func (p *Parameter) Takes() string {
	if p.Values == nil {
		text := fmt.Sprintf("%s from %g to %g", map[string]string{"int": "a whole number", "float": "a number"}[p.Type], p.Low, p.High)
		if p.Step > 0 {
			text += fmt.Sprintf(" in steps of %g", p.Step)
		}
		return text
	}
	const most = 20
	var list []string
	for i, v := range p.Values {
		if i == most {
			list = append(list, fmt.Sprintf("… (%d)", len(p.Values)))
			break
		}
		if text, ok := v.Any.(string); ok {
			list = append(list, fmt.Sprintf("%q", text))
		} else {
			list = append(list, fmt.Sprint(v.Any))
		}
	}
	return "one of " + strings.Join(list, ", ")
}

// SwitchOff marks the values of axes whose condition does not hold. lacks is an axis whose condition holds and whose value has not been
// given: one with neither a text nor Off.
func (s *Space) SwitchOff(values []Value) (lacks int, err error) {
	absent := func(i int) bool { return !values[i].Off && values[i].Any == nil }
	for i, a := range s.axes {
		if a.when == nil && absent(i) {
			return i, nil
		}
	}
	_, err = s.switchOff(values)
	var m missing
	if errors.As(err, &m) { // a condition on an axis that is on
		if i := slices.IndexFunc(s.axes, func(a *axis) bool { return a.name == m.name }); i >= 0 && absent(i) {
			return i, nil
		}
	}
	if err != nil {
		return -1, err
	}
	return slices.IndexFunc(values, func(v Value) bool { return !v.Off && v.Any == nil }), nil
}

// Setting is an option of strata run with its text.
type Setting struct {
	Name, Text string
	Like       any    // as experiments.Field.Like
	Axis       string // that it comes from, "" for none
}

// Candidate is a point before it is run.
type Candidate struct {
	space *Space
	// Arch is the name of its machine, Set are the leaves of that which are another.
	Arch string
	Set  map[string]string
	// Model is shared with other points. Nobody may change it.
	Model   *llm.Model
	Options []Setting // each once
	known   map[string]any
	// Figures of its model by name, once Known was told its formats.
	Figures map[string]float64
}

// Candidate makes the point of values, with axes that are off marked, as far as it is known without its machine. The error is an
// *experiments.Invalid, as of a model that cannot be.
func (b *Builder) Candidate(values []Value) (*Candidate, error) {
	s := b.space
	known, texts, err := s.given(values)
	if err != nil {
		return nil, err
	}
	c := &Candidate{space: s, known: known}
	is := s.parts(values, texts)
	c.Arch, c.Set = is.arch, is.set
	c.Options = make([]Setting, 0, len(is.options))
	if err := s.checkOptions(texts); err != nil {
		return nil, err
	}
	for _, o := range is.options {
		at := slices.IndexFunc(c.Options, func(x Setting) bool { return x.Name == o.field.Name })
		if at < 0 {
			at, c.Options = len(c.Options), append(c.Options, Setting{Name: o.field.Name, Like: o.field.Like})
		}
		c.Options[at].Text = o.text
	}
	for i := range s.axes {
		for _, t := range s.axes[i].targets {
			if t.kind != 'o' {
				continue
			}
			for k := range c.Options {
				if c.Options[k].Name == t.path {
					c.Options[k].Axis = s.axes[i].name
				}
			}
		}
	}
	c.Model, err = b.changedModel(is.model, is.leaves)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Candidate) know(figures map[string]float64) {
	c.Figures = figures
	for n, v := range figures {
		if !slices.ContainsFunc(c.space.axes, func(a *axis) bool { return a.name == n }) {
			c.known[n] = v
		}
	}
}

// Known tells the number formats of activations and weights, which figures of the model hang on.
func (c *Candidate) Known(activations, weights traces.DType) {
	c.know(c.space.ofModel(c.Model, activations, weights))
}

// Violation is by how much a point misses a condition, or by how much it keeps to it.
type Violation struct {
	Constraint string
	// By is a share of the larger side of a comparison: at most 0 where it holds, 1 or -1 for what is no comparison, 1 where something
	// that the condition names has no value.
	By float64
	// Early says that it can be told before the point is run.
	Early bool
}

// Violations lists the conditions of the file that can be told before the point is run and, once Known was told its formats, before it
// is timed.
func (c *Candidate) Violations() []Violation { return c.violations(c.known, true) }

// Feasible reports whether the point keeps to all of them.
func (c *Candidate) Feasible() bool {
	return !slices.ContainsFunc(c.Violations(), func(v Violation) bool { return v.By > 0 })
}

func (c *Candidate) violations(known map[string]any, early bool) []Violation {
	var list []Violation
	for _, e := range c.space.constraints {
		if is := c.space.stageOf(e) < fromAnswer; is == early {
			list = append(list, Violation{e.text, e.signed(known), is})
		}
	}
	return list
}

// Uses are the columns of results that conditions and figures of the file name.
func (s *Space) Uses() []string {
	var list []string
	add := func(e *expression) {
		for _, n := range e.uses {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	for _, e := range s.constraints {
		add(e)
	}
	for _, c := range s.columns {
		add(c.is)
	}
	return list
}

// Named is a figure of a point.
type Named struct {
	Name  string
	Value float64
}

// Finish works out what follows from an answer: row has its columns by name, with chips, tokens_per_second and average_watts; owned
// is what the machine takes in silicon and money, nil where its file lacks something for it. Figures without a value are left out.
// The violations are those of all conditions, in the order of the file.
func (c *Candidate) Finish(row map[string]any, owned *cost.Estimate) (figures []Named, all []Violation) {
	s := c.space
	known := make(map[string]any, len(c.known)+len(row)+8)
	for n, v := range c.known {
		known[n] = v
	}
	for n, v := range row {
		if _, given := c.known[n]; !given && v != nil {
			known[n] = v
		}
	}
	add := func(n string, v float64) {
		figures = append(figures, Named{n, v})
		known[n] = v
	}
	for _, n := range modelFigures {
		if v, ok := c.Figures[n]; ok {
			figures = append(figures, Named{n, v})
		}
	}
	if owned != nil {
		number := func(n string) float64 { v, _ := row[n].(float64); return v }
		chips, _ := row["chips"].(int64)
		f := owned.Run(chips, number("tokens_per_second"), units.Watts(number("average_watts")))
		add("area_mm2", f.AreaMM2)
		add("chip_usd", f.ChipUSD)
		add("tco_usd_per_hour", f.TCOUSDPerHour)
		if f.USDPerMillionTokens > 0 {
			add("tco_usd_per_million_tokens", f.USDPerMillionTokens)
		}
	}
	for _, col := range s.columns {
		if v, err := col.is.value(known); err == nil {
			add(col.name, v)
		}
	}
	for _, e := range s.constraints {
		all = append(all, Violation{e.text, e.signed(known), s.stageOf(e) < fromAnswer})
	}
	return figures, all
}

// signed is by how much the condition is missed, or kept to: see Violation.
func (e *expression) signed(values map[string]any) float64 {
	ok, violation, err := e.holds(values)
	switch {
	case err != nil:
		return 1
	case !ok:
		return violation
	case e.terms == nil:
		return -1
	}
	most := -1.0
	for _, t := range e.terms {
		var sides [2]float64
		for i, p := range []*vm.Program{t.left, t.right} {
			v, err := expr.Run(p, values)
			if err != nil {
				return 1
			}
			sides[i], _ = v.(float64)
		}
		over := sides[0] - sides[1]
		if t.equal {
			over = math.Abs(over)
		}
		if over /= max(math.Abs(sides[0]), math.Abs(sides[1]), math.SmallestNonzeroFloat64); over > most {
			most = over
		}
	}
	if !(most < 0) {
		return 0 // at the limit
	}
	return most
}

// Limits bounds a space that a stranger describes.
type Limits struct {
	// Values is how many values all axes may have together.
	Values int
	// Arch, if not "", takes the place of the machine of the file.
	Arch string
	// Context ends the reading, whose error is then the context's; nil for none.
	Context context.Context
}

// ReadDescription is Read for a file of which no points are asked by their numbers: it draws no sample.
func ReadDescription(name string, data []byte, find Finder, most Limits) (*Space, error) {
	return readSpace(name, data, find, &most)
}

// Values are what an axis takes, nil for any number of a range.
func (s *Space) Values(axis int) []Value { return s.axes[axis].values }

// Fixed names the axes, and the leaves that expressions compute, that change anything but leaves of the model.
func (s *Space) Fixed() []string {
	var list []string
	for _, a := range s.axes {
		if slices.ContainsFunc(a.targets, func(t target) bool { return t.kind != 'f' }) {
			list = append(list, "axis "+a.name)
		}
	}
	for _, d := range s.derived {
		if d.target.kind != 'f' {
			list = append(list, "derived "+d.path)
		}
	}
	return list
}

// IsLayers reports whether an axis is the number of layers of the model.
func (s *Space) IsLayers(axis int) bool {
	return slices.ContainsFunc(s.axes[axis].targets, func(t target) bool { return t.kind == 'f' && t.path == "layers" })
}
