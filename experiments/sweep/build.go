package sweep

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/cost"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces/llm"
)

// rememberedMachines and rememberedModels bound what points share: neighbours in a grid have the same machine.
const (
	rememberedMachines = 512
	rememberedModels   = 4096
)

// Builder turns points of a space into requests, and remembers the machines and models that they have in common. It may be used by
// several goroutines.
type Builder struct {
	space *Space
	mu    sync.Mutex
	built map[string]*changed
	order []string // of built, the oldest first
	model map[string]*llm.Model
}

// changed is a machine of one or more points.
type changed struct {
	once    sync.Once
	base    *base
	machine *arch.Machine
	hash    string
	set     []string // as Options.Set has it
	memo    plan.Memo
	owned   *cost.Estimate // nil where the machine file lacks something for it
	err     error
}

// NewBuilder returns a builder for a space.
func NewBuilder(s *Space) *Builder {
	return &Builder{space: s, built: map[string]*changed{}, model: map[string]*llm.Model{}}
}

// Build makes the point of values and its request. The error is what a user would be told who asked for it.
func (b *Builder) Build(values []Value) (*Built, error) {
	var texts []string
	if len(b.space.derived) > 0 {
		var err error
		if _, texts, err = b.space.given(values); err != nil {
			return nil, err
		}
	}
	return b.build(values, texts)
}

// build is Build with the texts of the leaves that expressions compute.
func (b *Builder) build(values []Value, texts []string) (*Built, error) {
	p, m, err := b.point(values, texts)
	if err != nil {
		return nil, err
	}
	r, err := p.Request()
	if err != nil {
		return nil, err
	}
	r.ArchHash, r.Mapping.Memo = m.hash, &m.memo
	return &Built{p, r, m.owned}, nil
}

// figures are what is known of the point's model before it is run, by name.
func (b *Built) figures(s *Space) map[string]float64 {
	d, w := b.Point.Formats()
	return s.ofModel(b.Point.Model, d, w)
}

// Built is a point that can be run.
type Built struct {
	Point   *experiments.Point
	Request eval.Request
	// Owned is what its machine takes in silicon and money; nil where the machine file lacks something for it.
	Owned *cost.Estimate
}

// leaf is a field of options or of a model with its text.
type leaf struct {
	field *experiments.Field
	text  string
}

// parts are what a point is made of.
type parts struct {
	arch, model     string
	set             map[string]string // leaves of the machine
	options, leaves []leaf            // of the model the latter
}

// parts are those of values and of the texts of leaves that expressions compute.
func (s *Space) parts(values []Value, texts []string) (p parts) {
	p.arch, p.model, p.set = s.File.Arch, s.File.Model, s.File.Set
	cloned := false
	more := len(s.axes) + len(s.derived)
	p.options = append(make([]leaf, 0, len(s.options)+more), s.options...)
	p.leaves = append(make([]leaf, 0, len(s.leaves)+more), s.leaves...)
	put := func(t target, text string) {
		switch t.kind {
		case 'a':
			p.arch = text
		case 'm':
			p.model = text
		case 'l':
			if !cloned {
				if p.set, cloned = maps.Clone(p.set), true; p.set == nil {
					p.set = map[string]string{}
				}
			}
			p.set[t.path] = text
		case 'f':
			p.leaves = append(p.leaves, leaf{t.field, text})
		case 'o':
			p.options = append(p.options, leaf{t.field, text})
		}
	}
	for k, a := range s.axes {
		if values[k].Off {
			continue
		}
		for _, t := range a.targets {
			put(t, values[k].Text)
		}
	}
	for i, d := range s.derived {
		put(d.target, texts[i])
	}
	return p
}

// checkOptions refuses texts that expressions computed for options. What axes have was checked when the file was read.
func (s *Space) checkOptions(texts []string) error {
	for i, d := range s.derived {
		if d.target.kind == 'o' {
			if err := setOption(d.target.field, new(experiments.Options), texts[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Builder) point(values []Value, texts []string) (p *experiments.Point, m *changed, err error) {
	s := b.space
	is := s.parts(values, texts)
	var o experiments.Options
	options := is.options
	if err := s.checkOptions(texts); err != nil {
		return nil, nil, err
	}
	for _, l := range options {
		if err := l.field.Set(&o, l.text); err != nil {
			return nil, nil, err
		}
	}
	o.Defaults()
	for _, l := range options {
		if l.field.Name == "prompt" { // 0 that was given is no default: a step of decoding with nothing cached
			_ = l.field.Set(&o, l.text) // it was set before
		}
	}
	o.Normalize()
	if o.LoRA != nil { // options of adapters are given one by one; a flag has all of them
		if err := o.LoRA.Normalize(); err != nil {
			return nil, nil, &experiments.Invalid{Field: "lora", Message: messageOf(err)}
		}
	}
	m = b.machine(is.arch, is.set)
	if m.err != nil {
		return nil, nil, m.err
	}
	o.Set = m.set
	p = &experiments.Point{Machine: m.machine, Base: m.base.store, Options: o}
	if p.Model, err = b.changedModel(is.model, is.leaves); err != nil {
		return nil, nil, err
	}
	return p, m, nil
}

// machine returns the machine of that name with changes.
func (b *Builder) machine(name string, set map[string]string) *changed {
	var key strings.Builder
	key.WriteString(name)
	paths := slices.Sorted(maps.Keys(set))
	for _, p := range paths {
		fmt.Fprintf(&key, "\x00%s=%s", p, set[p])
	}
	b.mu.Lock()
	m := b.built[key.String()]
	if m == nil {
		m = &changed{base: b.space.machines[name]}
		b.built[key.String()] = m
		if b.order = append(b.order, key.String()); len(b.order) > rememberedMachines {
			delete(b.built, b.order[0])
			b.order = b.order[1:]
		}
	}
	b.mu.Unlock()
	m.once.Do(func() {
		next := *m.base.machine
		if m.err = settle(next.Apply(set)); m.err != nil {
			return
		}
		m.machine, m.hash = &next, next.Hash()
		m.set = m.base.changes(&next, paths)
		m.owned, _ = cost.Of(&next) // a machine that lacks area or prices has no such figures
	})
	return m
}

// changes lists what is another in a machine than in its base: "path=value", in the order of the description.
func (b *base) changes(m *arch.Machine, paths []string) []string {
	type change struct {
		at   int
		text string
	}
	var list []change
	for _, p := range paths {
		at, known := b.order[p]
		if !known || strings.HasPrefix(p, "runtime.") { // a place by its number, what was not given, or a kernel that is written out
			return b.all(m)
		}
		before, _ := spec.Get(b.machine, p)
		now, err := spec.Get(m, p)
		if err == nil && before != now {
			list = append(list, change{at, p + "=" + now})
		}
	}
	slices.SortFunc(list, func(x, y change) int { return x.at - y.at })
	texts := make([]string, len(list))
	for i, c := range list {
		texts[i] = c.text
	}
	return texts
}

// all is changes by comparing every leaf.
func (b *base) all(m *arch.Machine) []string {
	before := map[string]string{}
	spec.Walk(b.machine, func(path, text string) { before[path] = text })
	var texts []string
	spec.Walk(m, func(path, text string) {
		if before[path] != text {
			texts = append(texts, path+"="+text)
		}
	})
	return texts
}

// settle turns complaints about a machine into what a user of --set is told.
func settle(err error) error {
	var refused *spec.Error
	if !errors.As(err, &refused) {
		return err
	}
	var problems experiments.Problems
	for _, p := range refused.Problems {
		problems.Add(&experiments.Invalid{Field: "set", Message: p.Path + ": " + p.Message, Hint: p.Hint})
	}
	return problems.Err()
}

// changedModel returns the model of that name with changes.
func (b *Builder) changedModel(name string, leaves []leaf) (*llm.Model, error) {
	is := b.space.models[name]
	if len(leaves) == 0 {
		return is, nil
	}
	key := make([]byte, 0, 256)
	key = append(key, name...)
	for _, l := range leaves {
		key = append(append(append(append(key, 0), l.field.Name...), '='), l.text...)
	}
	b.mu.Lock()
	m := b.model[string(key)]
	b.mu.Unlock()
	if m != nil {
		return m, nil
	}
	next := *is
	for _, l := range leaves {
		if err := l.field.Set(&next, l.text); err != nil {
			return nil, err
		}
	}
	if err := next.Validate(); err != nil {
		return nil, &experiments.Invalid{Field: "model", Message: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	b.mu.Lock()
	if len(b.model) >= rememberedModels {
		clear(b.model)
	}
	b.model[string(key)] = &next
	b.mu.Unlock()
	return &next, nil
}
