package arch

import (
	"bytes"
	"fmt"
	"sort"

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
	// Sources of the changed leaves.
	Sources spec.Sources `yaml:"sources,omitempty" spec:"-"`
}

// Load reads a machine file: a whole machine, or an overlay (with "base:"). The resolver finds the
// bases of overlays. Errors are of type *spec.Error and name file, line and field.
func Load(file string, data []byte, resolve func(name string) (*Machine, error)) (*Machine, error) {
	if !isOverlay(data) {
		m := &Machine{}
		if err := spec.Decode(file, data, m); err != nil {
			return nil, err
		}
		return m, nil
	}
	var o Overlay
	if err := spec.Decode(file, data, &o); err != nil {
		return nil, err
	}
	base, err := resolve(o.Base)
	if err != nil {
		return nil, &spec.Error{Problems: []spec.Problem{{File: file, Line: lineOf(data, "base:"), Path: "base", Message: err.Error()}}}
	}
	if o.Name != "" {
		base.Name = o.Name
	}
	if o.Description != "" {
		base.Description = o.Description
	}
	paths := make([]string, 0, len(o.Set))
	for p := range o.Set {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	var problems []spec.Problem
	for _, p := range paths {
		if err := base.Set(p, o.Set[p]); err != nil {
			problems = append(problems, spec.Problem{File: file, Line: lineOf(data, p), Path: "set." + p, Message: err.Error()})
			continue
		}
		src, ok := o.Sources[p]
		if !ok {
			src = "set in " + file
		}
		if base.Sources == nil {
			base.Sources = spec.Sources{}
		}
		base.Sources[p] = src
	}
	if len(problems) > 0 {
		return nil, &spec.Error{Problems: problems}
	}
	return base, nil
}

// isOverlay reports whether the text has a top-level key "base".
func isOverlay(data []byte) bool {
	return bytes.HasPrefix(data, []byte("base:")) || bytes.Contains(data, []byte("\nbase:"))
}

// lineOf returns the first line that contains the text, 1 if none does.
func lineOf(data []byte, text string) int {
	if i := bytes.Index(data, []byte(text)); i >= 0 {
		return bytes.Count(data[:i], []byte("\n")) + 1
	}
	return 1
}

// Set changes one leaf, such as chip.memory[hbm].bandwidth, and checks the machine as a whole again.
func (m *Machine) Set(path, value string) error {
	if err := spec.Set(m, path, value); err != nil {
		return err
	}
	var err error
	m.Validate(func(at, message, hint string) {
		if err == nil {
			err = fmt.Errorf("%s = %s: %s: %s", path, value, at, message)
			if hint != "" {
				err = fmt.Errorf("%w (%s)", err, hint)
			}
		}
	})
	return err
}
