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
	p, m, err := b.point(values)
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

// Built is a point that can be run.
type Built struct {
	Point   *experiments.Point
	Request eval.Request
	// Owned is what its machine takes in silicon and money; nil where the machine file lacks something for it.
	Owned *cost.Estimate
}

func (b *Builder) point(values []Value) (p *experiments.Point, m *changed, err error) {
	s := b.space
	name, modelName := s.File.Arch, s.File.Model
	set := s.File.Set
	cloned := false
	var o experiments.Options
	type leaf struct {
		field *experiments.Field
		text  string
	}
	var options, leaves []leaf
	for _, part := range []map[string]string{s.File.Workload, s.File.Mapping} {
		for _, n := range slices.Sorted(maps.Keys(part)) {
			options = append(options, leaf{experiments.OptionField(n), part[n]})
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.File.ModelSet)) {
		leaves = append(leaves, leaf{experiments.ModelField(n), s.File.ModelSet[n]})
	}
	for k, a := range s.axes {
		if values[k].Off {
			continue
		}
		for _, t := range a.targets {
			switch text := values[k].Text; t.kind {
			case 'a':
				name = text
			case 'm':
				modelName = text
			case 'l':
				if !cloned {
					if set, cloned = maps.Clone(set), true; set == nil {
						set = map[string]string{}
					}
				}
				set[t.path] = text
			case 'f':
				leaves = append(leaves, leaf{t.field, text})
			case 'o':
				options = append(options, leaf{t.field, text})
			}
		}
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
	m = b.machine(name, set)
	if m.err != nil {
		return nil, nil, m.err
	}
	o.Set = m.set
	p = &experiments.Point{Machine: m.machine, Base: m.base.store, Options: o}
	if p.Model, err = b.changedModel(modelName, func(to *llm.Model) error {
		for _, l := range leaves {
			if err := l.field.Set(to, l.text); err != nil {
				return err
			}
		}
		return nil
	}, func() string {
		var key strings.Builder
		for _, l := range leaves {
			fmt.Fprintf(&key, "\x00%s=%s", l.field.Name, l.text)
		}
		return key.String()
	}); err != nil {
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
func (b *Builder) changedModel(name string, change func(*llm.Model) error, key func() string) (*llm.Model, error) {
	is := b.space.models[name]
	k := key()
	if k == "" {
		return is, nil
	}
	k = name + k
	b.mu.Lock()
	m := b.model[k]
	b.mu.Unlock()
	if m != nil {
		return m, nil
	}
	next := *is
	if err := change(&next); err != nil {
		return nil, err
	}
	if err := next.Validate(); err != nil {
		return nil, &experiments.Invalid{Field: "model", Message: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	b.mu.Lock()
	if len(b.model) >= rememberedModels {
		clear(b.model)
	}
	b.model[k] = &next
	b.mu.Unlock()
	return &next, nil
}
