package view

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/stratasim/strata/experiments/pareto"
)

// Objective is a column by which rows are compared.
type Objective struct {
	Column
	Goal pareto.Direction
}

// units whose values are better small, or better large.
var goals = map[string]pareto.Direction{
	"s": pareto.Min, "J": pareto.Min, "W": pareto.Min, "USD": pareto.Min, "USD/h": pareto.Min, "B": pareto.Min, "1/s": pareto.Max,
}

// Goal is the usual direction of a column, where it has one.
func Goal(c Column) (pareto.Direction, bool) {
	if g, ok := goals[c.Unit]; ok && !c.Parameter {
		return g, true
	}
	switch {
	case slices.Contains([]string{"mfu", "hfu", "speedup", "utilization"}, c.Name), strings.Contains(c.Name, "_per_second"), strings.HasSuffix(c.Name, "_tflops_per_chip"):
		return pareto.Max, true
	case c.Name == "chips", c.Name == "loss_proxy", strings.HasSuffix(c.Name, "_usd"), strings.HasSuffix(c.Name, "_chip_hours"):
		return pareto.Min, true
	}
	return pareto.Min, false
}

// Objective reads COLUMN, COLUMN:min or COLUMN:max.
func (s *Source) Objective(text string) (Objective, error) {
	name, way, given := strings.Cut(text, ":")
	c, err := s.Column(name)
	if i := strings.LastIndexByte(text, ':'); err != nil && i > 0 {
		if p, e := s.Column(text[:i]); e == nil { // a parameter with a colon in its name
			c, err, way = p, nil, text[i+1:]
		}
	}
	if err != nil {
		return Objective{}, err
	}
	if c.Kind != Number {
		return Objective{}, fmt.Errorf("%q is a text or a truth: an objective is a number", c.Name)
	}
	o := Objective{Column: c}
	if given {
		if err := o.Goal.UnmarshalText([]byte(way)); err != nil {
			return o, fmt.Errorf("%q: %w", text, err)
		}
		return o, nil
	}
	var usual bool
	if o.Goal, usual = Goal(c); !usual {
		return o, fmt.Errorf("%q is neither a cost nor a rate: say which is better, as %s:min or %s:max", c.Name, c.Name, c.Name)
	}
	return o, nil
}

// declared is what of the file of a sweep matters here.
type declared struct {
	Objectives []struct {
		Column string `yaml:"column"`
		Goal   string `yaml:"goal"`
	} `yaml:"objectives"`
}

// Declared returns the objectives that the file of the sweep declares.
func (s *Source) Declared() ([]Objective, error) {
	if s.Sweep == nil {
		return nil, nil
	}
	var d declared
	if yaml.Unmarshal([]byte(s.Sweep.Spec), &d) != nil {
		return nil, nil // another kind of file
	}
	var list []Objective
	for _, o := range d.Objectives {
		text := o.Column
		if text == "parameters" { // of the model: as table points has them
			text = "model_parameters"
		}
		if o.Goal != "" {
			text += ":" + o.Goal
		} else if c, err := s.Column(text); err == nil {
			if _, usual := Goal(c); !usual { // as the sweep itself takes it
				text += ":min"
			}
		}
		parsed, err := s.Objective(text)
		if err != nil {
			return nil, fmt.Errorf("objectives of sweep %q: %w", s.Sweep.Name, err)
		}
		list = append(list, parsed)
	}
	return list, nil
}

// fieldUnits are the units of fields of machine files, by the end of their path.
var fieldUnits = map[string]string{
	"bandwidth": "B/s", "capacity": "B", "size": "B", "clock": "Hz", "latency": "s", "launch": "s", "power": "W", "tdp": "W", "limit": "W", "power_limit": "W", "power-limit": "W",
}

var noWord = regexp.MustCompile(`[^A-Za-z0-9_]+`)

// specUnits returns the units of the parameters of a sweep, as far as the paths in its file tell them.
func specUnits(text string) func(name string) string {
	var d struct {
		Axes []struct {
			Name string `yaml:"name"`
			Path string `yaml:"path"`
		} `yaml:"axes"`
	}
	_ = yaml.Unmarshal([]byte(text), &d) // without it names alone tell
	paths := map[string]string{}
	for _, axis := range d.Axes {
		name := axis.Name
		if name == "" { // made of the last two words of its path
			parts := strings.FieldsFunc(axis.Path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
			name = strings.Trim(noWord.ReplaceAllString(strings.Join(parts[max(0, len(parts)-2):], "_"), "_"), "_")
		}
		paths[name] = axis.Path
	}
	return func(name string) string {
		path, ok := paths[name]
		if !ok {
			path = name
		}
		return fieldUnits[path[strings.LastIndexByte(path, '.')+1:]]
	}
}

// Front is what the comparison of rows by objectives came to.
type Front struct {
	Rows      []int     // of the frame that nothing dominates, in its order
	Compared  int       // rows with a value for each objective
	Missing   int       // rows of status ok without one
	Reference []float64 // in the units of the objectives
	Volume    float64
}

// ErrNoValues says that there is nothing to compare.
var ErrNoValues = errors.New("no row has a value for each objective")

// Front compares the rows of a frame that are ok. reference is nil for the rule of package pareto. The frame has the
// columns of the objectives and status.
func (f *Frame) Front(objectives []Objective, reference []float64) (*Front, error) {
	status := f.Index("status")
	var list []pareto.Objective
	index := make([]int, len(objectives))
	for i, o := range objectives {
		list = append(list, pareto.Objective{Name: o.Name, Direction: o.Goal})
		index[i] = f.Index(o.Name)
	}
	r := &Front{}
	var points []pareto.Point
	var of []int
rows:
	for i, row := range f.Rows {
		if row[status] != "ok" {
			continue
		}
		values := make([]float64, len(index))
		for k, c := range index {
			x, ok := Float(row[c])
			if !ok {
				r.Missing++
				continue rows
			}
			values[k] = x
		}
		values, err := pareto.Minimised(list, values)
		if err != nil {
			return nil, err
		}
		points, of = append(points, pareto.Point{Objectives: values}), append(of, i)
	}
	if r.Compared = len(points); r.Compared == 0 {
		return r, ErrNoValues
	}
	best, err := pareto.Front(points)
	if err != nil {
		return nil, err
	}
	for _, i := range best {
		r.Rows = append(r.Rows, of[i])
	}
	var ref []float64
	if reference != nil {
		ref, err = pareto.Minimised(list, reference)
	} else {
		ref, err = pareto.Reference(points)
	}
	if err != nil {
		return nil, err
	}
	if r.Reference, err = pareto.Minimised(list, ref); err != nil {
		return nil, err
	}
	r.Volume, err = pareto.Hypervolume(points, ref)
	return r, err
}
