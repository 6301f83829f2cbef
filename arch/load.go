package arch

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// Overlay is a machine file that says how it differs from another machine.
type Overlay struct {
	// Base is the preset that the machine starts from.
	Base        string `yaml:"base" spec:"required"`
	Name        string `yaml:"name,omitempty"`
	Description string `yaml:"description,omitempty"`
	// Set maps paths to values, e.g. "chip.memory[hbm].bandwidth": 3 TB/s.
	Set map[string]string `yaml:"set,omitempty"`
	// Sources of the changed leaves, by the path of the leaf or of a part around it.
	Sources spec.Sources `yaml:"sources,omitempty" spec:"-"`
}

// Load reads a machine file: a whole machine, or an overlay (with "base:"). The resolver finds the
// bases of overlays. Errors are of type *spec.Error and name file, line and field.
func Load(file string, data []byte, resolve func(name string) (*Machine, error)) (*Machine, error) {
	m := &Machine{}
	err := spec.Decode(file, data, m)
	switch {
	case err == nil:
		return m, nil
	case isOverlay(err):
		return loadOverlay(file, data, resolve)
	}
	return nil, err
}

// isOverlay reports whether the file that cannot be read as a whole machine is an overlay. A machine
// has no field "base", so there is a complaint about it just if the file has that key.
func isOverlay(err error) bool {
	var e *spec.Error
	return errors.As(err, &e) && slices.ContainsFunc(e.Problems, func(p spec.Problem) bool { return p.Path == "base" })
}

// maxChanges bounds the changes of an overlay: each is checked against all others, and a machine has
// some hundred leaves.
const maxChanges = 1000

func loadOverlay(file string, data []byte, resolve func(name string) (*Machine, error)) (*Machine, error) {
	var o Overlay
	if err := spec.Decode(file, data, &o); err != nil {
		return nil, err
	}
	lines := linesOf(data)
	if n := len(o.Set); n > maxChanges {
		return nil, &spec.Error{Problems: []spec.Problem{{File: file, Line: lines["base"], Path: "set", Message: fmt.Sprintf("%d changes: must be at most %d", n, maxChanges), Hint: "describe the machine as a whole"}}}
	}
	base, err := resolve(o.Base)
	if err != nil {
		return nil, &spec.Error{Problems: []spec.Problem{{File: file, Line: lines["base"], Path: "base", Message: err.Error()}}}
	}
	m := *base
	if o.Name != "" {
		m.Name = o.Name
	}
	if o.Description != "" {
		m.Description = o.Description
	}
	var problems []spec.Problem
	var e *spec.Error
	if errors.As(m.Apply(o.Set), &e) {
		for _, p := range e.Problems {
			at := "set." + p.Path
			if _, ok := o.Set[p.Path]; !ok { // it was wrong before
				at, p.Message = "base", p.Path+": "+p.Message
			}
			p.File, p.Line, p.Path = file, lines[at], at
			problems = append(problems, p)
		}
	}
	problems = append(problems, o.addSources(&m, file, lines)...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b spec.Problem) int { return a.Line - b.Line })
		return nil, &spec.Error{Problems: problems}
	}
	return &m, nil
}

// addSources gives each leaf that the overlay sets its source, and returns what is wrong with those
// that it has.
func (o *Overlay) addSources(m *Machine, file string, lines map[string]int) (problems []spec.Problem) {
	used := map[string]bool{}
	m.Sources = maps.Clone(m.Sources)
	if m.Sources == nil {
		m.Sources = spec.Sources{}
	}
	for _, p := range slices.Sorted(maps.Keys(o.Set)) {
		text, at, ok := o.Sources.Of(p)
		if used[at] = ok; !ok {
			text = "set in " + file
		}
		m.Sources[leaf(m, p)] = text
	}
	for _, p := range slices.Sorted(maps.Keys(o.Sources)) {
		bad := spec.Problem{File: file, Line: lines["sources."+p], Path: "sources." + p}
		switch {
		case !used[p]:
			bad.Message = "nothing with this path is set here"
		case strings.TrimSpace(o.Sources[p]) == "":
			bad.Message, bad.Hint = "the source is empty", "say where the value is from, or estimated: and how"
		default:
			continue
		}
		problems = append(problems, bad)
	}
	return problems
}

// leaf returns the path of a leaf as spec.Walk writes it: with the names of elements in place of their
// indices, and that of the whole list for one of its scalars. It leaves most other paths as they are.
func leaf(m *Machine, path string) string {
	const below = ".below"
	_, err := spec.Get(m, path+below) // the complaint that a leaf has nothing below it has its path
	var p spec.Problem
	if errors.As(err, &p) {
		path = strings.TrimSuffix(p.Path, below)
	}
	if i := strings.LastIndexByte(path, '['); i >= 0 && strings.HasSuffix(path, "]") {
		path = path[:i]
	}
	return path
}

// refusal is a text that refuses every value.
type refusal struct{}

func (*refusal) UnmarshalText([]byte) error  { return errors.New("no value is right") }
func (refusal) MarshalText() ([]byte, error) { return nil, nil }

// linesOf returns the line of each part of an overlay by its path: those of the complaints when no
// value is right.
func linesOf(data []byte) map[string]int {
	var wrong struct {
		Base    refusal            `yaml:"base"`
		Set     map[string]refusal `yaml:"set"`
		Sources map[string]refusal `yaml:"sources"`
	}
	lines := map[string]int{}
	var e *spec.Error
	if errors.As(spec.Decode("", data, &wrong), &e) {
		for _, p := range e.Problems {
			lines[p.Path] = p.Line
		}
	}
	return lines
}

// Set changes one leaf, such as chip.memory[hbm].bandwidth, and checks the machine as a whole again.
// When there is an error, a spec.Problem, the machine is as it was.
func (m *Machine) Set(path, value string) error {
	var e *spec.Error
	if errors.As(m.Apply(map[string]string{path: value}), &e) {
		return e.Problems[0]
	}
	return nil
}

// Put changes one leaf as Apply does, and leaves open whether it goes with the rest of the machine. When there is an error, a
// spec.Problem, the machine is as it was.
func (m *Machine) Put(path, value string) error {
	next := *m // what both share is replaced and not changed
	next.writeOut(path)
	err := spec.Set(&next, path, value)
	if err == nil {
		*m = next
	}
	return err
}

// Apply makes several changes, in alphabetical order of their paths, and then checks the machine as a
// whole again, so that each change may need the others. When there is an error the machine is as it
// was. The error is a *spec.Error; each of its problems has the path of the change that it is about, or
// one that was not changed if the machine was not in order before.
func (m *Machine) Apply(changes map[string]string) error {
	next := *m // what both share is replaced and not changed
	paths := slices.Sorted(maps.Keys(changes))
	var problems []spec.Problem
	for _, path := range paths {
		var p spec.Problem
		next.writeOut(path)
		if err := spec.Set(&next, path, changes[path]); errors.As(err, &p) {
			if p.Path != path {
				p.Message = p.Path + ": " + p.Message
			}
			p.Path = path
			problems = append(problems, p)
		}
	}
	var e, before *spec.Error
	if len(problems) == 0 && errors.As(spec.Validate(&next), &e) {
		errors.As(spec.Validate(m), &before)
		for _, p := range e.Problems {
			if len(paths) > 0 && (before == nil || !slices.Contains(before.Problems, p)) {
				path := nearest(p.Path, paths)
				if p.Path != path {
					p.Message = p.Path + ": " + p.Message
				}
				p.Message, p.Path = fmt.Sprintf("%.60q does not fit: %s", changes[path], p.Message), path
			}
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return &spec.Error{Problems: problems}
	}
	*m = next
	return nil
}

// nearest returns the path that has most in common with the given one from its beginning, the first
// among equals.
func nearest(to string, paths []string) (best string) {
	most := -1
	for _, p := range paths {
		n := 0
		for n < len(p) && n < len(to) && p[n] == to[n] {
			n++
		}
		if n > most {
			best, most = p, n
		}
	}
	return best
}
