package sweep

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// derived is a leaf that an expression gives its value.
type derived struct {
	name   string // for other expressions
	path   string // as it is written
	target target
	is     *expression
	like   any // of its type, as axis.like
}

// derive checks the leaves that expressions compute and puts them in an order in which each comes after those it needs.
func (b *builder) derive() {
	paths := slices.Sorted(maps.Keys(b.File.Derived))
	by := map[string]*derived{}
	var list []*derived
	for _, path := range paths {
		at := "derived." + path
		t, ok := b.target(path, at)
		switch {
		case !ok:
			continue
		case t.kind == 'a' || t.kind == 'm' || t.kind == 'o' && t.path == "phase":
			b.problem(at, "an axis can have it", "%s cannot be computed", path)
			continue
		}
		if slices.ContainsFunc(b.axes, func(a *axis) bool { return slices.Contains(a.targets, t) }) {
			b.problem(at, "leave one of them out", "%s is on an axis too", path)
			continue
		}
		if slices.ContainsFunc(list, func(d *derived) bool { return d.target == t }) {
			b.problem(at, "leave one of them out", "%s is computed twice", path)
			continue
		}
		d := &derived{name: nameOf(path), path: path, target: t, like: b.likeOf(at, t)}
		if d.like == nil {
			continue
		}
		if _, column := b.results[d.name]; !name.MatchString(d.name) || !isName(d.name) || column && t.path != d.name || by[d.name] != nil || slices.ContainsFunc(b.axes, func(a *axis) bool { return a.name == d.name }) {
			b.problem(at, "another name of the leaf, as Hugging Face has it or as strata does", "%q would be its name in expressions, and is something else's", d.name)
			continue
		}
		by[d.name], list = d, append(list, d)
	}
	b.bases(list)
	known := names{}
	maps.Copy(known, names(b.inputs))
	for _, a := range b.axes {
		known[a.name] = a.sample()
	}
	needs := map[*derived][]*derived{}
	for _, d := range list {
		known[d.name] = valueOf(d.like, "").Any
		for _, n := range identifiers(b.File.Derived[d.path]) {
			if by[n] != nil {
				needs[d] = append(needs[d], by[n])
			}
		}
	}
	ready := map[*derived]bool{}
	for len(ready) < len(list) {
		before := len(ready)
		for _, d := range list {
			if !ready[d] && !slices.ContainsFunc(needs[d], func(n *derived) bool { return !ready[n] }) {
				ready[d] = true
				b.derived = append(b.derived, d)
			}
		}
		if len(ready) > before {
			continue
		}
		for _, d := range list { // those on a circle, and those that need one of them
			if ready[d] {
				continue
			}
			for _, n := range needs[d] {
				if !ready[n] {
					b.problem("derived."+d.path, "one of them has to come from axes alone", "it needs %s, and that needs it: a circle", n.path)
					break
				}
			}
		}
		return
	}
	for _, d := range b.derived {
		at, text := "derived."+d.path, b.File.Derived[d.path]
		var err error
		switch d.like.(type) {
		case bool:
			d.is, err = compile(text, known)
		case string:
			d.is, err = compileText(text, known)
		default:
			d.is, err = compileNumber(text, known)
		}
		if err != nil {
			b.problem(at, "it may use axes, options, other leaves that are computed, and those of the model", "%s: %v", text, err)
		}
	}
	if b.uses(); len(b.problems) == 0 {
		b.tryDerived()
	}
}

// likeOf is a value of the type of a leaf, nil after a complaint.
func (b *builder) likeOf(at string, t target) any {
	if t.kind == 'l' {
		for _, n := range slices.Sorted(maps.Keys(b.machines)) {
			m := b.machines[n].machine
			if text, err := spec.Get(m, t.path); err == nil && text != "" {
				if v := b.leaf(at, m, t.path, text); v != nil {
					return v
				}
			}
		}
		b.problem(at, "give it a value with set, which the expression replaces", "no machine of the file has a value of %s that would say what it is", t.path)
		return nil
	}
	switch v := t.field.Like.(type) {
	case int64, float64, bool, string:
		return v
	}
	b.problem(at, "", "%s is a list, which no expression gives", strings.TrimPrefix(at, "derived."))
	return nil
}

// bases adds the leaves of the base's model to what expressions know, by the names of a config.json.
func (b *builder) bases(list []*derived) {
	m := b.models[b.File.Model]
	if m == nil || slices.ContainsFunc(b.axes, func(a *axis) bool { return len(a.targets) > 0 && a.targets[0].kind == 'm' }) {
		return
	}
	is := *m
	for _, path := range slices.Sorted(maps.Keys(b.File.ModelSet)) {
		if f := experiments.ModelField(path); f != nil {
			_ = f.Set(&is, b.File.ModelSet[path]) // what is wrong was said
		}
	}
	moved := func(f *experiments.Field) bool {
		same := func(t target) bool { return t.kind == 'f' && t.field == f }
		return slices.ContainsFunc(b.axes, func(a *axis) bool { return slices.ContainsFunc(a.targets, same) }) || slices.ContainsFunc(list, func(d *derived) bool { return same(d.target) })
	}
	for _, n := range experiments.HuggingFaceFields() {
		_, input := b.inputs[n]
		_, column := b.results[n]
		_, own := b.File.Columns[n]
		f := experiments.ModelField(n)
		if input || column || own || moved(f) || slices.ContainsFunc(b.axes, func(a *axis) bool { return a.name == n }) {
			continue
		}
		switch v := f.Get(&is).(type) {
		case int64, float64, bool, string:
			b.inputs[n] = v
		}
	}
}

// identifiers are the names in an expression, those of its own variables included.
func identifiers(text string) (list []string) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil
	}
	ast.Walk(&tree.Node, visit(func(n ast.Node) {
		if id, ok := n.(*ast.IdentifierNode); ok {
			list = append(list, id.Value)
		}
	}))
	return list
}

// triedPoints is how many points are looked at to tell an expression that never gives a value from one that does not for some points.
const triedPoints = 64

// tryDerived complains about leaves that have a value at none of some points.
func (b *builder) tryDerived() {
	if len(b.derived) == 0 || len(b.axes) == 0 {
		return
	}
	space := b.variables()
	points := space.Random(1, triedPoints)
	failed := map[*derived]error{}
	good := map[*derived]bool{}
	for _, c := range points {
		if !slices.ContainsFunc(b.derived, func(d *derived) bool { return !good[d] }) {
			return
		}
		values := b.valuesOf(c)
		if _, err := b.switchOff(values); err != nil {
			continue
		}
		known := b.base0(values)
		for _, d := range b.derived {
			if _, err := d.set(known); err != nil {
				if failed[d] == nil {
					failed[d] = err
				}
				break
			}
			good[d] = true
		}
	}
	for _, d := range b.derived {
		if err := failed[d]; err != nil && !good[d] {
			b.problem("derived."+d.path, "", "%s: at none of %d points that were tried: %s", b.File.Derived[d.path], triedPoints, messageOf(err))
		}
	}
}

// set works the leaf out, notes it in what is known, and returns its text. The error is an *experiments.Invalid.
func (d *derived) set(known map[string]any) (text string, err error) {
	bad := func(format string, a ...any) (string, error) {
		return "", &experiments.Invalid{Field: "derived." + d.path, Message: d.is.text + ": " + fmt.Sprintf(format, a...)}
	}
	switch d.like.(type) {
	case bool, string:
		out, err := d.is.any(known)
		if err != nil {
			return bad("%v", err)
		}
		known[d.name] = out
		return fmt.Sprint(out), nil
	}
	v, err := d.is.value(known)
	if err != nil {
		return bad("%v", err)
	}
	n := v
	if _, ok := d.like.(units.Time); ok {
		n *= float64(units.Second)
	}
	_, whole, _ := units.Number(d.like)
	switch {
	case whole && math.Abs(n) > 1<<53:
		return bad("%g is too large", v)
	case whole && n != math.Trunc(n):
		if _, plain := d.like.(int64); plain {
			return bad("%.6g is no whole number: round, floor or ceil makes one of it", v)
		}
		n = math.Round(n) // a quantity: the smallest part of its unit
	case !whole:
		n = rounded(n)
	}
	switch d.like.(type) {
	case int64:
		known[d.name] = int64(n)
		return strconv.FormatInt(int64(n), 10), nil
	case float64:
		known[d.name] = n
		return strconv.FormatFloat(n, 'g', -1, 64), nil
	}
	known[d.name] = v
	return units.Like(d.like, n), nil
}

// needed are the leaves that a part of a model cannot do without.
var needed = []struct {
	part, not string
	has       func(*llm.Model) bool
	leaves    []string
}{
	{"moe", "is no mixture of experts", func(m *llm.Model) bool { return m.MoE != nil }, []string{"moe.experts", "moe.top_k", "moe.ffn"}},
	{"mla", "has no latent attention", func(m *llm.Model) bool { return m.MLA != nil }, []string{"mla.kv_rank", "mla.nope", "mla.rope", "mla.v"}},
	{"patches", "has no patches of images", func(m *llm.Model) bool { return m.Patches != nil }, []string{"patches.size", "patches.channels"}},
}

// parts complains about leaves of a part that a model does not have, where others of it are missing.
func (b *builder) parts() {
	given := map[string]string{} // leaves by where they are given
	for i, a := range b.axes {
		for _, t := range a.targets {
			if t.kind == 'f' {
				given[t.path] = fmt.Sprintf("axes[%d].path", i)
			}
		}
	}
	for _, d := range b.derived {
		if d.target.kind == 'f' {
			given[d.target.path] = "derived." + d.path
		}
	}
	for path := range b.File.ModelSet {
		if f := experiments.ModelField(path); f != nil {
			given[f.Name] = "model_set." + path
		}
	}
	for _, n := range needed {
		var first string
		for _, leaf := range slices.Sorted(maps.Keys(given)) {
			if strings.HasPrefix(leaf, n.part+".") {
				first = leaf
				break
			}
		}
		if first == "" {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(b.models)) {
			if n.has(b.models[name]) {
				continue
			}
			var lacks []string
			for _, leaf := range n.leaves {
				if given[leaf] == "" {
					lacks = append(lacks, leaf)
				}
			}
			if len(lacks) > 0 {
				b.problem(given[first], fmt.Sprintf("give it %s too, or start from a model that has them", strings.Join(lacks, ", ")), "%s %s", name, n.not)
			}
		}
	}
}

// unused complains about parameters for expressions that none has.
func (b *builder) unused() {
	if len(b.problems) > 0 {
		return
	}
	uses := func(e *expression, n string) bool { return e != nil && slices.Contains(e.uses, n) }
	for i, a := range b.axes {
		if len(a.targets) > 0 ||
			slices.ContainsFunc(b.derived, func(d *derived) bool { return uses(d.is, a.name) }) ||
			slices.ContainsFunc(b.constraints, func(e *expression) bool { return uses(e, a.name) }) ||
			slices.ContainsFunc(b.columns, func(c column) bool { return uses(c.is, a.name) }) ||
			slices.ContainsFunc(b.axes, func(o *axis) bool { return uses(o.when, a.name) }) {
			continue
		}
		at := fmt.Sprintf("axes[%s].name", a.name)
		if b.lines[at] == 0 {
			at = fmt.Sprintf("axes[%d].name", i)
		}
		b.problem(at, "a path makes it a leaf; derived: has leaves that expressions compute", "nothing uses the parameter %s", a.name)
	}
}

// parameter reads the texts of an axis that is of no leaf: whole numbers, numbers, truths or words, all of one kind.
func parameter(f *Axis) func(text string) any {
	texts := f.Values
	if f.Range != nil {
		texts = []string{f.Range.From, f.Range.To}
		if f.Range.Step != "" {
			texts = append(texts, f.Range.Step)
		}
	}
	if f.Log != nil {
		texts = []string{f.Log.From, f.Log.To}
	}
	whole := func(s string) any {
		if n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return n
		}
		return nil
	}
	real := func(s string) any {
		if x, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && x-x == 0 {
			return x
		}
		return nil
	}
	truth := func(s string) any {
		if s = strings.TrimSpace(s); s == "true" || s == "false" {
			return s == "true"
		}
		return nil
	}
	for _, read := range []func(string) any{whole, real, truth} {
		if !slices.ContainsFunc(texts, func(s string) bool { return read(s) == nil }) {
			return read
		}
	}
	return func(s string) any { return s }
}
