package sweep

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/experiments/search"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim/portable"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Space is a design space: every point of it has a number.
type Space struct {
	File File
	// Text is the file as it was read.
	Text        string
	axes        []*axis
	derived     []*derived // each after those that it needs
	quality     *quality
	constraints []*expression
	inputs      map[string]any // options of the base by name, and leaves of its model
	used        map[string]any // those of them that an expression names
	set         map[string]string
	options     []leaf // of all points, in order
	leaves      []leaf // of the model of all points
	machines    map[string]*base
	models      map[string]*llm.Model
	columns     []column
	drawn       []search.Candidate // points of a sample; nil for a grid
	count       int64
	known       names // of inputs and results
	results     names
	objectives  []pareto.Objective
}

// base is a machine that points change.
type base struct {
	machine *arch.Machine
	store   *experiments.Base
	order   map[string]int // of leaves in its description
}

// column is a figure that the file defines.
type column struct {
	name string
	is   *expression
}

// axis is an axis that was checked.
type axis struct {
	name    string
	base    any // what the leaf is where the axis is off; nil where that is not known
	targets []target
	values  []Value // of a list or a stepped range
	from    float64 // of an open range
	to      float64
	log     bool
	like    any // type of its values: a quantity, int64, float64, bool or string
	when    *expression
}

// Value is a value on an axis.
type Value struct {
	// Text is how it is written; "" with Off.
	Text string
	// Any is a float64, an int64, a bool or a string, in the unit of columns of results.
	Any any
	// Off says that the axis keeps the value of the base.
	Off bool
}

// target is a leaf that an axis changes.
type target struct {
	kind  byte // 'a' the machine, 'm' the model, 'l' a leaf of the machine, 'f' one of the model, 'o' an option
	path  string
	field *experiments.Field
}

// MaxPoints bounds the points of a space.
const MaxPoints = 1_000_000_000

// maxName bounds the name of a sweep, which is a part of names of files.
const maxName = 100

// builder checks a file.
type builder struct {
	*Space
	name     string
	lines    map[string]int
	most     *Limits // nil for a file of one's own
	counted  int     // values of all axes
	problems []spec.Problem
}

// Read reads a sweep file; find finds machines and models by name. The error is of type *spec.Error, with everything that is wrong,
// each with file, line and field.
func Read(name string, data []byte, find Finder) (*Space, error) {
	return readSpace(name, data, find, nil)
}

// readSpace is Read, or with limits ReadDescription.
func readSpace(name string, data []byte, find Finder, most *Limits) (*Space, error) {
	s := &Space{Text: string(data), machines: map[string]*base{}, models: map[string]*llm.Model{}, inputs: map[string]any{}, results: resultNames()}
	lines, err := spec.DecodeLines(name, data, &s.File)
	if err != nil {
		return nil, quotes(data, err)
	}
	b := &builder{Space: s, name: name, lines: lines, most: most}
	if b.ended() {
		return nil, most.Context.Err()
	}
	if most != nil {
		if b.bounded(); len(b.problems) > 0 {
			return nil, &spec.Error{Problems: b.problems}
		}
	}
	if most != nil && most.Arch != "" {
		if s.File.Arch = most.Arch; slices.ContainsFunc(s.File.Axes, func(a Axis) bool { return a.Path == "arch" }) {
			b.problem("axes", "leave one of them out", "an axis has machines, and another is asked for: %s", most.Arch)
		}
	}
	if n := s.File.Name; len(n) > maxName || strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsPrint(r) }) {
		b.problem("name", fmt.Sprintf("at most %d bytes that can be printed", maxName), "%.40q names files and rows", n)
	}
	b.base(find)
	for i := range s.File.Axes {
		b.axis(i, find)
	}
	b.derive()
	b.parts()
	b.law()
	b.conditions()
	b.unused()
	b.uses()
	if most == nil {
		b.sample()
	}
	b.goals()
	if b.ended() {
		return nil, most.Context.Err()
	}
	if len(b.problems) > 0 {
		slices.SortStableFunc(b.problems, func(x, y spec.Problem) int { return cmp.Compare(x.Line, y.Line) })
		return nil, &spec.Error{Problems: b.problems}
	}
	return s, nil
}

// ended reports whether the time for the reading is over: leaves are looked at no more then, and nothing comes of it.
func (b *builder) ended() bool {
	return b.most != nil && b.most.Context != nil && b.most.Context.Err() != nil
}

// unquoted is a path with brackets in a mapping of one line, which YAML takes for a list.
var unquoted = regexp.MustCompile(`\{[^{}"']*:\s*[A-Za-z_.]+\[`)

// quotes adds to an error of syntax what is likely wrong.
func quotes(data []byte, err error) error {
	var e *spec.Error
	if errors.As(err, &e) && len(e.Problems) == 1 && e.Problems[0].Path == "" && e.Problems[0].Hint == "" {
		for i, line := range strings.Split(string(data), "\n") {
			if i+1 == e.Problems[0].Line && unquoted.MatchString(line) {
				e.Problems[0].Hint = `within { } a path with brackets needs quotes: "chip.memory[hbm].bandwidth"`
			}
		}
	}
	return err
}

// Finder finds machines and models by the names that a sweep file has for them.
type Finder interface {
	Machine(name string) (*arch.Machine, error)
	Model(name string) (*llm.Model, error)
}

// resultNames are the columns of results that conditions may use.
func resultNames() names {
	known := names{}
	for _, t := range store.Tables() {
		if t.Name != "runs" {
			continue
		}
		for _, c := range t.Columns {
			switch c.Type {
			case store.Integer:
				known[c.Name] = int64(0)
			case store.Real:
				known[c.Name] = 0.0
			case store.Bool:
				known[c.Name] = false
			case store.Text:
				known[c.Name] = ""
			}
		}
	}
	for _, name := range store.PointFigures() {
		known[name] = 0.0
	}
	for _, name := range modelFigures { // known once there is a quality
		known[name] = 0.0
	}
	delete(known, "loss_proxy")
	delete(known, "loss_extrapolated")
	delete(known, stored("parameters"))
	return known
}

// base checks machine, model, options and changes that all points share.
func (b *builder) base(find Finder) {
	f := &b.File
	swept := func(path string) bool {
		return slices.ContainsFunc(f.Axes, func(a Axis) bool { return a.Path == path || slices.Contains(a.Also, path) })
	}
	switch {
	case f.Arch != "" && swept("arch"), f.Arch == "" && swept("arch"):
	case f.Arch == "":
		b.problem("name", "arch: NAME of a preset (see: strata arch list) or of a file", "which machine?")
	}
	if f.Arch != "" {
		b.machine(f.Arch, "arch", find)
	}
	if f.Model == "" && !swept("model") {
		b.problem("name", "model: NAME of a preset (see: strata model list) or of a config.json", "which model?")
	}
	if f.Model != "" {
		b.model(f.Model, "model", find)
	}
	var o experiments.Options
	var prompt string
	for _, part := range []struct {
		name string
		set  map[string]string
	}{{"workload", f.Workload}, {"mapping", f.Mapping}} {
		for _, name := range slices.Sorted(maps.Keys(part.set)) {
			at := part.name + "." + name
			field := experiments.OptionField(name)
			if field == nil {
				b.problem(at, didYouMean(strings.ReplaceAll(name, "-", "_"), experiments.OptionFields()), "no such option")
				continue
			}
			if err := setOption(field, &o, part.set[name]); err != nil {
				b.problem(at, "", "%s", messageOf(err))
				continue
			}
			if field.Name == "prompt" {
				prompt = part.set[name]
			}
		}
	}
	o.Defaults()
	b.phases(swept("phase"), o.Phase)
	if prompt != "" { // 0 that was given is no default
		_ = experiments.OptionField("prompt").Set(&o, prompt) // it was set before
	}
	for _, name := range experiments.OptionFields() {
		if v := experiments.OptionField(name).Get(&o); !strings.Contains(name, ".") {
			switch v.(type) {
			case int64, float64, string, bool:
				b.inputs[name] = v
			}
		}
	}
	b.inputs["arch"], b.inputs["model"] = f.Arch, f.Model
	b.set = f.Set
	for _, part := range []map[string]string{f.Workload, f.Mapping} {
		for _, n := range slices.Sorted(maps.Keys(part)) {
			if field := experiments.OptionField(n); field != nil {
				b.options = append(b.options, leaf{field, part[n]})
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(f.ModelSet)) {
		if field := experiments.ModelField(n); field != nil {
			b.leaves = append(b.leaves, leaf{field, f.ModelSet[n]})
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.Set)) {
		for _, m := range b.machines {
			b.leaf("set."+path, m.machine, path, f.Set[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.ModelSet)) {
		if field := experiments.ModelField(path); field == nil {
			b.problem("model_set."+path, didYouMean(path, experiments.ModelFields()), "no such leaf of a model")
		} else if err := field.Set(&llm.Model{}, f.ModelSet[path]); err != nil {
			b.problem("model_set."+path, "", "%s", messageOf(err))
		}
	}
}

// counts are options of which 0 means that they were not given, and which strata run takes from 1 on.
var counts = []string{"batch", "generate", "layers", "draft_tokens", "tp", "pp", "in_flight", "ep", "moe_tp", "attn_dp", "seq_len", "micro_batch", "cp", "global_batch", "dp", "interleave", "shard"}

// setOption reads a text into an option, as the flag of strata run does.
func setOption(f *experiments.Field, o *experiments.Options, text string) error {
	if err := f.Set(o, text); err != nil {
		return err
	}
	if n, ok := f.Get(o).(int64); ok && n < 1 && slices.Contains(counts, f.Name) {
		return &experiments.Invalid{Field: f.Name, Message: fmt.Sprintf("%d: must be at least 1", n)}
	}
	if allowed := words[f.Name]; allowed != nil && !slices.Contains(allowed, f.Get(o).(string)) {
		return &experiments.Invalid{Field: f.Name, Message: fmt.Sprintf("%q: must be one of %s", text, strings.Join(allowed, ", ")), Hint: didYouMean(text, allowed)}
	}
	return nil
}

// words are what options take that have a few values only.
var words = map[string][]string{
	"phase":    {"prefill", "decode", "generate", "serve", experiments.Train, experiments.FineTune},
	"fidelity": {eval.Event, eval.Analytic},
	"arrivals": {traces.Steady, traces.Burst},
}

// phases refuses options of training where no point trains.
func (b *builder) phases(swept bool, phase string) {
	trains := phase == experiments.Train || phase == experiments.FineTune
	if trains || swept {
		return
	}
	hint := "leave it out, or phase: train"
	for _, part := range []struct {
		name string
		set  map[string]string
	}{{"workload", b.File.Workload}, {"mapping", b.File.Mapping}} {
		for _, name := range slices.Sorted(maps.Keys(part.set)) {
			if f := experiments.OptionField(name); f != nil && f.OfTraining() {
				b.problem(part.name+"."+name, hint, "it goes with training, and the phase is %s", phase)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b.File.Derived)) {
		if f := experiments.OptionField(path); f != nil && f.OfTraining() {
			b.problem("derived."+path, hint, "%s goes with training, and the phase is %s", path, phase)
		}
	}
	for i, a := range b.File.Axes {
		if f := experiments.OptionField(a.Path); f != nil && f.OfTraining() {
			b.problem(fmt.Sprintf("axes[%d].path", i), hint, "%s goes with training, and the phase is %s", a.Path, phase)
		}
	}
}

func didYouMean(name string, known []string) string {
	if near := spec.Suggest(name, known); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return ""
}

// messageOf is the message of an error about a field, without the field.
func messageOf(err error) string {
	var invalid *experiments.Invalid
	var p spec.Problem
	switch {
	case errors.As(err, &invalid):
		if invalid.Hint != "" {
			return invalid.Message + " (" + invalid.Hint + ")"
		}
		return invalid.Message
	case errors.As(err, &p):
		return p.Message
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// machine finds a machine that points start from.
func (b *builder) machine(name, at string, find Finder) *base {
	if m := b.machines[name]; m != nil {
		return m
	}
	if b.ended() {
		return nil
	}
	m, err := find.Machine(name)
	if err != nil {
		b.problem(at, "", "%s", messageOf(err))
		return nil
	}
	s, err := experiments.NewBase(m)
	if err != nil {
		b.problem(at, "", "%v", err)
		return nil
	}
	known := &base{m, s, map[string]int{}}
	spec.Walk(m, func(path, _ string) { known.order[path] = len(known.order) })
	b.machines[name] = known
	return known
}

// model finds a model that points start from.
func (b *builder) model(name, at string, find Finder) {
	if b.models[name] != nil || b.ended() {
		return
	}
	m, err := find.Model(name)
	if err != nil {
		b.problem(at, "", "%s", messageOf(err))
		return
	}
	b.models[name] = m
}

// leaf reads a text as a leaf of a machine, and returns what it is there: a quantity, a number, a text. A value that does not go with the rest of
// the machine is none the less of its type: other axes may change the rest.
func (b *builder) leaf(at string, m *arch.Machine, path, text string) any {
	if b.ended() {
		return nil
	}
	c := *m
	var p spec.Problem
	if errors.As(c.Put(path, text), &p) {
		b.problem(at, p.Hint, "%s of %s", p.Message, m.Name)
		return nil
	}
	if is := spec.Value(&c, path); is != nil {
		return is
	}
	canonical, _ := spec.Get(&c, path) // a list
	return canonical
}

var (
	word = regexp.MustCompile(`[^A-Za-z0-9_]+`)
	// name is what expressions can refer to.
	name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// mostWrong is how many wrong values of an axis are told of; more are no news.
const mostWrong = 100

// axis checks an axis.
func (b *builder) axis(i int, find Finder) {
	f := &b.File.Axes[i]
	label := f.Name
	if label == "" {
		label = fmt.Sprint(i)
	}
	at := fmt.Sprintf("axes[%s]", label)
	if b.lines[at+".path"] == 0 && b.lines[at+".name"] == 0 {
		at = fmt.Sprintf("axes[%d]", i)
	}
	a := &axis{name: f.Name, like: ""}
	if a.name == "" {
		a.name = nameOf(f.Path)
	}
	named := at + ".name"
	if f.Name == "" {
		named = at + ".path"
	}
	if !name.MatchString(a.name) || !isName(a.name) {
		b.problem(named, "name: of letters, digits and _, not a digit first and no word of expressions", "%q cannot be used in expressions", a.name)
	}
	if slices.ContainsFunc(b.axes, func(o *axis) bool { return o.name == a.name }) {
		b.problem(at+".path", "give it another name:", "there is an axis %s before it", a.name)
	}
	paths := append([]string{f.Path}, f.Also...)
	if f.Path == "" {
		paths = nil // a parameter for expressions
	}
	if f.Path == "" && experiments.ModelField(f.Name) != nil {
		b.problem(at+".name", "for the leaf itself: path: model."+f.Name, "%s is a leaf of the model, and an axis without a path changes nothing", f.Name)
	}
	for _, path := range paths {
		t, ok := b.target(path, at+".path")
		if !ok {
			return
		}
		if slices.ContainsFunc(b.axes, func(o *axis) bool { return slices.Contains(o.targets, t) }) || slices.Contains(a.targets, t) {
			b.problem(at+".path", "leave one of them out", "%s is on an axis already", path)
		}
		a.targets = append(a.targets, t)
	}
	if len(a.targets) > 1 && slices.ContainsFunc(a.targets, func(t target) bool { return t.kind == 'a' || t.kind == 'm' }) {
		b.problem(at+".also", "give them axes of their own", "a machine or a model is no value of something else")
		return
	}
	if _, column := b.results[a.name]; f.Name != "" && f.Name != nameOf(f.Path) && (column || experiments.OptionField(a.name) != nil || a.name == "arch" || a.name == "model") {
		if !slices.ContainsFunc(a.targets, func(t target) bool { return t.kind == 'o' && t.path == a.name }) {
			b.problem(at+".name", "another name", "%s is a column of results or an option, and the axis is of %s", a.name, f.Path)
		}
	}
	readAs := func(t target, at, text string) any {
		switch t.kind {
		case 'a':
			if b.machine(text, at, find) == nil {
				return nil
			}
			return text
		case 'm':
			b.model(text, at, find)
			return text
		case 'l':
			var v any
			for _, name := range slices.Sorted(maps.Keys(b.machines)) {
				if v = b.leaf(at, b.machines[name].machine, t.path, text); v == nil {
					return nil
				}
			}
			return v
		}
		var o any = &experiments.Options{}
		var err error
		if t.kind == 'f' {
			o = &llm.Model{}
			err = t.field.Set(o, text)
		} else {
			err = setOption(t.field, o.(*experiments.Options), text)
		}
		if err != nil {
			b.problem(at, "", "%s", messageOf(err))
			return nil
		}
		switch v := t.field.Get(o).(type) {
		case int64, float64, bool, string:
			return v
		}
		return text
	}
	free := parameter(f)
	read := func(at, text string) any { // as the first target; the others must take it too
		if len(a.targets) == 0 {
			return free(text)
		}
		v := readAs(a.targets[0], at, text)
		for _, t := range a.targets[1:] {
			if v != nil && readAs(t, at, text) == nil {
				return nil
			}
		}
		return v
	}
	before := len(b.problems)
	switch {
	case f.Range != nil:
		b.ranged(a, at+".range", f.Range.From, f.Range.To, read)
		b.steps(a, at+".range", f.Range, read)
	case f.Log != nil:
		a.log = true
		b.ranged(a, at+".log", f.Log.From, f.Log.To, read)
		b.ratios(a, at+".log", f.Log)
	default:
		seen := map[any]bool{}
		if float64(len(f.Values)) > b.room() {
			b.problem(at+".values", "fewer of them", "%d values: must be at most %.0f", len(f.Values), b.room())
			return
		}
		for k, text := range f.Values {
			at := fmt.Sprintf("%s.values[%d]", at, k)
			v := read(at, text)
			if len(b.problems)-before >= mostWrong {
				break
			}
			if v == nil {
				continue
			}
			a.like = v
			value := valueOf(v, text)
			if seen[value.Any] {
				b.problem(at, "leave one of them out", "%s is in the list twice", text)
			}
			seen[value.Any] = true
			a.values = append(a.values, value)
		}
	}
	if f.When != "" && len(b.problems) == before {
		known := names{}
		maps.Copy(known, names(b.inputs))
		for _, o := range b.axes {
			known[o.name] = o.sample()
		}
		var err error
		if a.when, err = compile(f.When, known); err != nil {
			b.problem(at+".when", "it may use options and axes before it", "%v", err)
		} else {
			for _, n := range a.when.uses {
				if !slices.ContainsFunc(b.axes, func(o *axis) bool { return o.name == n }) && b.moves(i, n) {
					b.problem(at+".when", "it may use options and axes before it", "%s is not known yet: it is of this axis or of one after it", n)
				}
			}
		}
	}
	if b.counted += len(a.values); b.most != nil && b.counted > b.most.Values {
		b.problem(at, "a range without a step, or fewer values", "the axes have more than %d values together", b.most.Values)
		return
	}
	if len(a.targets) > 0 {
		a.base = b.baseOf(a.targets[0])
	}
	b.axes = append(b.axes, a)
}

// baseOf is what a leaf is without the axis, as conditions see it; nil where that hangs on another axis or is not given.
func (b *builder) baseOf(t target) any {
	switch t.kind {
	case 'o':
		return b.inputs[t.path]
	case 'l':
		if m := b.machines[b.File.Arch]; m != nil {
			if text, err := spec.Get(m.machine, t.path); err == nil {
				if v := b.leaf("", m.machine, t.path, text); v != nil {
					return valueOf(v, text).Any
				}
			}
		}
	case 'f':
		if m := b.models[b.File.Model]; m != nil {
			switch v := t.field.Get(m).(type) {
			case int64, float64, bool, string:
				return v
			}
		}
	}
	return nil
}

// moves reports whether an axis from the i-th on has that name or changes the option of that name.
func (b *builder) moves(i int, name string) bool {
	return slices.ContainsFunc(b.File.Axes[i:], func(a Axis) bool {
		for _, path := range append([]string{a.Path}, a.Also...) {
			if f := experiments.OptionField(path); path == name || f != nil && f.Name == name {
				return true
			}
		}
		return a.Name == name || a.Name == "" && nameOf(a.Path) == name
	})
}

// sample is a value of the type of an axis.
func (a *axis) sample() any {
	v := valueOf(a.like, "").Any
	if v == nil {
		return ""
	}
	return v
}

// valueOf is a value of an axis.
func valueOf(v any, text string) Value {
	switch x := v.(type) {
	case string, bool, int64:
		return Value{Text: text, Any: x}
	}
	n, whole := number(v)
	if whole {
		return Value{Text: text, Any: int64(n)}
	}
	return Value{Text: text, Any: n}
}

// nameOf makes a name of the last two parts of a path: hbm_bandwidth of chip.memory[hbm].bandwidth. A leaf of a model by its name in a
// config.json has that name.
func nameOf(path string) string {
	if leaf, ok := strings.CutPrefix(path, "model."); ok && slices.Contains(huggingFace, leaf) {
		return leaf
	}
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	return strings.Trim(word.ReplaceAllString(strings.Join(parts[max(0, len(parts)-2):], "_"), "_"), "_")
}

var huggingFace = experiments.HuggingFaceFields()

// target finds what a path leads to.
func (b *builder) target(path, at string) (t target, ok bool) {
	switch {
	case path == "arch":
		return target{kind: 'a'}, true
	case path == "model":
		return target{kind: 'm'}, true
	case strings.HasPrefix(path, "model."):
		leaf := strings.TrimPrefix(path, "model.")
		if f := experiments.ModelField(leaf); f != nil {
			return target{kind: 'f', path: f.Name, field: f}, true
		}
		b.problem(at, didYouMean(path, prefixed("model.", append(experiments.ModelFields(), huggingFace...))), "no such leaf of a model: %s", path)
		return t, false
	}
	if f := experiments.OptionField(path); f != nil {
		return target{kind: 'o', path: f.Name, field: f}, true
	}
	for _, m := range b.machines {
		if _, err := spec.Get(m.machine, path); err == nil {
			return target{kind: 'l', path: path}, true
		}
	}
	known := append(prefixed("model.", experiments.ModelFields()), experiments.OptionFields()...)
	known = append(known, "arch", "model")
	for _, m := range b.machines {
		known = slices.AppendSeq(known, maps.Keys(m.order))
		var p spec.Problem
		c := *m.machine
		if err := spec.Set(&c, path, "1"); strings.ContainsAny(path, ".[") && errors.As(err, &p) && !strings.Contains(p.Message, "unknown") {
			if p.Path == path || strings.Contains(p.Message, "unit") || strings.Contains(p.Message, "given") { // a leaf that this machine does not give
				return target{kind: 'l', path: path}, true
			}
		} else if err == nil {
			return target{kind: 'l', path: path}, true
		}
	}
	slices.Sort(known)
	hint := didYouMean(path, known)
	if hint == "" {
		hint = "a leaf of the machine (see: strata arch show --sources), model.LEAF, arch, model, or an option of strata run"
	}
	b.problem(at, hint, "there is nothing called %s to change", path)
	return t, false
}

func prefixed(prefix string, list []string) []string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = prefix + s
	}
	return all
}

// ranged reads the ends of a range.
func (b *builder) ranged(a *axis, at, from, to string, read func(at, text string) any) {
	first, last := read(at+".from", from), read(at+".to", to)
	if first == nil || last == nil {
		return
	}
	a.like = first
	var ok bool
	if a.from, _, ok = units.Number(first); !ok {
		b.problem(at+".from", "give values: [...]", "%q is no number", from)
		return
	}
	if a.to, _, ok = units.Number(last); !ok || a.to <= a.from {
		b.problem(at+".to", "", "%s is not more than %s", to, from)
	}
	if a.log && a.from <= 0 {
		b.problem(at+".from", "a range with steps may begin there", "%s: a logarithmic range is of positive values", from)
	}
}

// steps fills in the values of a range with steps.
func (b *builder) steps(a *axis, at string, r *Range, read func(at, text string) any) {
	if r.Step == "" || len(b.problems) > 0 {
		return
	}
	v := read(at+".step", r.Step)
	if v == nil {
		return
	}
	step, _, _ := units.Number(v)
	n := math.Floor((a.to-a.from)/step + 1e-9)
	switch {
	case !(step > 0):
		b.problem(at+".step", "", "%s: must be more than 0", r.Step)
		return
	case n >= b.room():
		b.problem(at+".step", "a larger step", "%.0f values: must be at most %.0f", n+1, b.room())
		return
	}
	for i := range int(n) + 1 {
		a.add(a.from + float64(float64(i)*step))
	}
}

// maxValues bounds the values of an axis.
const maxValues = 100_000

// room is how many values the next axis may have.
func (b *builder) room() float64 {
	if b.most == nil {
		return maxValues
	}
	return float64(min(maxValues, max(b.most.Values-b.counted, 0)))
}

// ratios fills in the values of a logarithmic range.
func (b *builder) ratios(a *axis, at string, l *Log) {
	if len(b.problems) > 0 || l.Points == 0 && l.Factor == 0 {
		return
	}
	if l.Factor > 0 {
		if n := math.Log(a.to/a.from) / math.Log(l.Factor); n >= b.room() {
			b.problem(at+".factor", "a larger factor", "%.0f values: must be at most %.0f", n+1, b.room())
			return
		}
		for v := a.from; v <= a.to*(1+1e-12); v *= l.Factor {
			a.add(v)
		}
		return
	}
	if float64(l.Points) > b.room() {
		b.problem(at+".points", "fewer of them", "%d values: must be at most %.0f", l.Points, b.room())
		return
	}
	for i := range l.Points {
		a.add(a.between(float64(i) / float64(l.Points-1)))
	}
}

// add appends a number to the values, rounded as its type can be written, unless it is there already.
func (a *axis) add(n float64) {
	v := a.of(n)
	if len(a.values) == 0 || a.values[len(a.values)-1].Any != v.Any {
		a.values = append(a.values, v)
	}
}

// of is a number of the axis as a value: twelve digits, and whole where its type is.
func (a *axis) of(n float64) Value {
	_, whole, _ := units.Number(a.like)
	if whole {
		n = math.Round(n)
	} else {
		n = rounded(n)
	}
	text := units.Like(a.like, n)
	if _, ok := a.like.(units.Time); ok {
		n /= float64(units.Second)
		return Value{Text: text, Any: n}
	}
	if whole {
		return Value{Text: text, Any: int64(n)}
	}
	return Value{Text: text, Any: n}
}

// between is the value of a logarithmic range for a number from 0 to 1.
func (a *axis) between(u float64) float64 {
	if u == 1 {
		return a.to
	}
	return a.from * portable.Exp(u*portable.Ln(a.to/a.from))
}

// rounded has twelve digits, which read better than those of a binary product.
func rounded(n float64) float64 {
	r, _ := strconv.ParseFloat(strconv.FormatFloat(n, 'g', 12, 64), 64)
	return r
}

// conditions compiles the constraints.
func (b *builder) conditions() {
	b.known = names{}
	maps.Copy(b.known, b.results)
	maps.Copy(b.known, names(b.inputs))
	for _, a := range b.axes {
		b.known[a.name] = a.sample()
	}
	for _, d := range b.derived {
		b.known[d.name] = valueOf(d.like, "").Any
	}
	for _, n := range slices.Sorted(maps.Keys(b.File.Columns)) {
		at := "columns." + n
		if !name.MatchString(n) {
			b.problem(at, "letters, digits and _", "%q cannot be used in expressions", n)
		}
		if _, taken := b.known[n]; taken {
			b.problem(at, "another name", "there is an axis, an option or a column of results %s", n)
			continue
		}
		e, err := compileNumber(b.File.Columns[n], b.known)
		if err != nil {
			b.problem(at, lawHint(b.File.Columns[n], b.File.Quality), "%s: %v", b.File.Columns[n], err)
			continue
		}
		b.columns = append(b.columns, column{n, e})
	}
	for _, c := range b.columns {
		b.known[c.name], b.results[c.name] = 0.0, 0.0
	}
	for i, text := range b.File.Constraints {
		at := fmt.Sprintf("constraints[%d]", i)
		e, err := compile(text, b.known)
		switch {
		case err != nil:
			b.problem(at, lawHint(text, b.File.Quality), "%s: %v", text, err)
		case len(e.uses) == 0:
			b.problem(at, "leave it out, or name an axis, an option or a column of results", "%s: is the same for all points", text)
		default:
			b.constraints = append(b.constraints, e)
		}
	}
}

// expressionBytes is how long the expressions of a stranger's space may be together: to compile as many comparisons as have room in them takes about a second.
const expressionBytes = 8 << 10

// textBytes is how long a value of such a space may be, since expressions may join it to itself: the longest sum of texts then has some 2 MB.
const textBytes = 512

// Bounds of what such a space changes: leaves by set, by model_set and by options, which are some hundred in a machine, and leaves that take the same
// values as that of an axis. Each is tried with each machine or each value.
const (
	setLeaves  = 1000
	alsoLeaves = 64 // as axes
)

// bounded refuses what may take long or much memory in a stranger's space, before anything is compiled or tried.
func (b *builder) bounded() {
	length := 0
	check := func(at, text string) {
		if length += len(text); length > expressionBytes {
			return
		}
		if what := unbounded(text); what != "" {
			b.problem(at, "write the cases out", "%.60s: %.40s is not for spaces that are asked about", text, what)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b.File.Derived)) {
		check("derived."+path, b.File.Derived[path])
	}
	for _, n := range slices.Sorted(maps.Keys(b.File.Columns)) {
		check("columns."+n, b.File.Columns[n])
	}
	for i, text := range b.File.Constraints {
		check(fmt.Sprintf("constraints[%d]", i), text)
	}
	for i, a := range b.File.Axes {
		if a.When != "" {
			check(fmt.Sprintf("axes[%d].when", i), a.When)
		}
		if n := len(a.Also); n > alsoLeaves {
			b.problem(fmt.Sprintf("axes[%d].also", i), "", "%d leaves, at most %d are allowed in spaces that are asked about", n, alsoLeaves)
		}
		for _, v := range a.Values {
			if len(v) > textBytes {
				b.problem(fmt.Sprintf("axes[%d].values", i), "", "a value has %d bytes, at most %d are allowed in spaces that are asked about", len(v), textBytes)
				break
			}
		}
	}
	for _, part := range []struct {
		at string
		n  int
	}{{"set", len(b.File.Set)}, {"model_set", len(b.File.ModelSet)}, {"workload", len(b.File.Workload)}, {"mapping", len(b.File.Mapping)}} {
		if part.n > setLeaves {
			b.problem(part.at, "", "%d changes, at most %d are allowed in spaces that are asked about", part.n, setLeaves)
		}
	}
	if length > expressionBytes {
		b.problem("", "", "the expressions have %d bytes together, those of spaces that are asked about at most %d", length, expressionBytes)
	}
}

// uses notes which inputs expressions name.
func (b *builder) uses() {
	b.used = map[string]any{}
	add := func(e *expression) {
		if e == nil {
			return
		}
		for _, n := range e.uses {
			if v, ok := b.inputs[n]; ok {
				b.used[n] = v
			}
		}
	}
	for _, a := range b.axes {
		add(a.when)
	}
	for _, d := range b.derived {
		add(d.is)
	}
	for _, c := range b.columns {
		add(c.is)
	}
	for _, e := range b.constraints {
		add(e)
	}
}

// stage is when a condition can be told.
type stage int

const (
	fromValues stage = iota // from the values of a point
	fromModel               // once its model is known
	fromAnswer              // once it was run
)

// stageOf is the first stage at which a condition can be told.
func (s *Space) stageOf(e *expression) stage {
	at := fromValues
	for _, n := range e.uses {
		_, input := s.inputs[n]
		switch {
		case input || slices.ContainsFunc(s.axes, func(a *axis) bool { return a.name == n }) || slices.ContainsFunc(s.derived, func(d *derived) bool { return d.name == n }):
		case slices.Contains(modelFigures, n):
			at = max(at, fromModel)
		default:
			return fromAnswer
		}
	}
	return at
}

// goals checks the objectives.
func (b *builder) goals() {
	for i, o := range b.File.Objectives {
		at := fmt.Sprintf("objectives[%d].column", i)
		v, ok := b.results[o.Column]
		switch v.(type) {
		case int64, float64:
		default:
			if ok {
				b.problem(at, "", "%s: is no number", o.Column)
			} else {
				hint := lawHint(o.Column, b.File.Quality)
				if hint == "" {
					hint = didYouMean(o.Column, slices.Collect(maps.Keys(b.results)))
				}
				b.problem(at, hint, "%s: no such column of results", o.Column)
			}
			continue
		}
		if slices.ContainsFunc(b.objectives, func(p pareto.Objective) bool { return p.Name == o.Column }) {
			b.problem(at, "leave one of them out", "%s is an objective already", o.Column)
			continue
		}
		direction := pareto.Min
		if o.Goal == "max" || o.Goal == "" && MoreIsBetter(o.Column) {
			direction = pareto.Max
		}
		b.objectives = append(b.objectives, pareto.Objective{Name: o.Column, Direction: direction})
	}
}

// MoreIsBetter reports whether more of a column of results is better: rates, utilisation and what a joule or a dollar brings.
func MoreIsBetter(column string) bool {
	return strings.HasSuffix(column, "_per_second") || strings.HasSuffix(column, "_per_chip") || column == "mfu" || column == "hfu" || column == "speedup"
}

// sample makes the points.
func (b *builder) sample() {
	s := b.File.Sampler
	if s == nil {
		s = &Sampler{Kind: "grid"}
	}
	if b.File.Search != nil && b.File.Sampler == nil || len(b.problems) > 0 {
		return // a search finds its points itself
	}
	if s.Kind == "grid" {
		b.count = 1
		for i, a := range b.axes {
			if len(a.values) == 0 {
				b.problem(fmt.Sprintf("axes[%d].path", i), "give its range a step, its log a number of points, or the sweep a sampler", "a grid has no end of values of %s", a.name)
				return
			}
			var ok bool
			if b.count, ok = units.Mul(b.count, int64(len(a.values))); !ok || b.count > MaxPoints {
				b.problem("sampler", "fewer values, or sampler: {kind: latin-hypercube, points: 1000}", "the grid has more than %d points", MaxPoints)
				return
			}
		}
		return
	}
	b.count = s.Points
	if n := s.Points * int64(len(b.axes)); n > 1<<28 {
		b.problem("sampler.points", "fewer of them", "%d points of %d axes are too many to draw", s.Points, len(b.axes))
		return
	}
	space := b.variables()
	switch seed := uint64(s.Seed); s.Kind {
	case "random":
		b.drawn = space.Random(seed, int(s.Points))
	case "latin-hypercube":
		b.drawn = space.LatinHypercube(seed, int(s.Points))
	case "halton":
		b.drawn = space.Halton(seed, 0, int(s.Points))
	}
}

// variables are the axes as package search sees them.
func (s *Space) variables() search.Space {
	list := make(search.Space, len(s.axes))
	for i, a := range s.axes {
		v := search.Variable{Name: a.name, Kind: search.Ordered}
		_, whole, number := units.Number(a.like)
		switch {
		case len(a.values) > 0:
			if !number {
				v.Kind = search.Categorical
			}
			for _, one := range a.values {
				v.Choices = append(v.Choices, one.Text)
			}
		case whole && a.to < 1<<52:
			v.Kind, v.Low, v.High, v.Log = search.Integer, a.from, a.to, a.log
		default:
			v.Kind, v.Low, v.High, v.Log = search.Real, a.from, a.to, a.log
		}
		list[i] = v
	}
	return list
}

// drawnDigits is how many digits a value has that is drawn from a range: 5.03109 TB/s is as good as 5031090006620 B/s.
const drawnDigits = 6

// valuesOf are the values of a candidate of variables.
func (s *Space) valuesOf(c search.Candidate) []Value {
	values := make([]Value, len(s.axes))
	for k, a := range s.axes {
		if len(a.values) > 0 {
			values[k] = a.values[int(c[k])]
		} else {
			v, _ := strconv.ParseFloat(strconv.FormatFloat(c[k], 'g', drawnDigits, 64), 64)
			values[k] = a.of(min(max(v, a.from), a.to))
		}
	}
	return values
}

// Points is how many points the space has, some of which may be the same as others: see Point.
func (s *Space) Points() int64 { return s.count }

// Axes are the names of the axes.
func (s *Space) Axes() []string {
	list := make([]string, len(s.axes))
	for i, a := range s.axes {
		list[i] = a.name
	}
	return list
}

// Point returns the values of a point, one for each axis. It is not ok for a point of a grid that differs from another only on axes
// which are off.
func (s *Space) Point(i int64) (values []Value, ok bool, err error) {
	if s.drawn != nil {
		values = s.valuesOf(s.drawn[i])
		_, err := s.switchOff(values)
		return values, err == nil, err
	}
	values = make([]Value, len(s.axes))
	first := make([]bool, len(s.axes))
	for k := len(s.axes) - 1; k >= 0; k-- { // the last axis moves first
		n := int64(len(s.axes[k].values))
		values[k], first[k] = s.axes[k].values[i%n], i%n == 0
		i /= n
	}
	off, err := s.switchOff(values)
	if err != nil {
		return nil, false, err
	}
	for _, k := range off {
		if !first[k] {
			return nil, false, nil
		}
	}
	return values, true, nil
}

// switchOff marks the axes whose condition does not hold.
func (s *Space) switchOff(values []Value) (off []int, err error) {
	var known map[string]any
	for k, a := range s.axes {
		if a.when == nil {
			continue
		}
		if known == nil {
			known = maps.Clone(s.inputs)
		}
		for i := range k {
			if values[i].Off {
				known[s.axes[i].name] = s.axes[i].base
			} else {
				known[s.axes[i].name] = values[i].Any
				for _, t := range s.axes[i].targets {
					if _, ok := s.inputs[t.path]; ok {
						known[t.path] = values[i].Any
					}
				}
			}
		}
		ok, _, err := a.when.holds(known)
		if err != nil {
			return nil, fmt.Errorf("axis %s, when %s: %w", a.name, a.when.text, err)
		}
		if !ok {
			values[k] = Value{Off: true}
			off = append(off, k)
		}
	}
	return off, nil
}

// given are the names that conditions may use before a point is run, and the texts of the leaves that expressions compute. The error
// is that of one that has no value.
func (s *Space) given(values []Value) (known map[string]any, texts []string, err error) {
	known = s.base0(values)
	if len(s.derived) > 0 {
		texts = make([]string, len(s.derived))
	}
	for i, d := range s.derived {
		if texts[i], err = d.set(known); err != nil {
			return nil, nil, err
		}
		if _, ok := s.used[d.target.path]; ok && d.target.kind == 'o' {
			known[d.target.path] = known[d.name]
		}
	}
	return known, texts, nil
}

// base0 is given without what expressions compute.
func (s *Space) base0(values []Value) map[string]any {
	known := make(map[string]any, len(s.used)+len(s.axes)+len(s.derived)+8)
	maps.Copy(known, s.used)
	for k, a := range s.axes {
		v := values[k].Any
		for _, t := range a.targets {
			if _, ok := s.used[t.path]; ok && !values[k].Off {
				known[t.path] = v
			}
		}
		if !values[k].Off {
			known[a.name] = v
		} else {
			known[a.name] = a.base
		}
	}
	return known
}

// Show writes a parameter of a point, as Parameters has it, with the unit of its axis.
func (s *Space) Show(axis int, parameter any) string {
	a := s.axes[axis]
	n, ok := parameter.(json.Number)
	if !ok {
		if parameter == nil {
			return "-"
		}
		return fmt.Sprint(parameter)
	}
	v, err := n.Float64()
	if err != nil {
		return n.String()
	}
	if _, isTime := a.like.(units.Time); isTime {
		v *= float64(units.Second)
	}
	if _, _, number := units.Number(a.like); !number {
		return n.String()
	}
	return units.Like(a.like, v)
}

// Parameters writes values down as a JSON object in the order of the axes.
func (s *Space) Parameters(values []Value) string {
	var b bytes.Buffer
	b.WriteByte('{')
	first := true
	for k, a := range s.axes {
		if values[k].Off {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		fmt.Fprintf(&b, "%q:", a.name)
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(values[k].Any) // a finite number, a text or a truth
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.String()
}

// Hash identifies what decides about the points: the file without its texts for readers, and the machines and models that it names.
func (s *Space) Hash() string {
	f := s.File
	f.Description = ""
	type content struct{ Name, Hash string }
	var named []content
	for _, n := range slices.Sorted(maps.Keys(s.machines)) {
		named = append(named, content{n, s.machines[n].machine.Hash()})
	}
	for _, n := range slices.Sorted(maps.Keys(s.models)) {
		text, _ := json.Marshal(s.models[n]) // plain data
		sum := sha256.Sum256(text)
		named = append(named, content{n, hex.EncodeToString(sum[:])})
	}
	text, _ := json.Marshal(struct {
		File  File
		Named []content
	}{f, named})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
