package sweep

import (
	"fmt"

	"github.com/stratasim/strata/sim/spec"
)

// File is a sweep file.
type File struct {
	// Name of the sweep in the database.
	Name        string `yaml:"name" spec:"required"`
	Description string `yaml:"description"`
	// Arch and Model are names of presets or of files; an axis may stand in for either.
	Arch  string `yaml:"arch"`
	Model string `yaml:"model"`
	// Workload and Mapping are options of strata run by the names of its flags. They are two parts for readers only.
	Workload map[string]string `yaml:"workload"`
	Mapping  map[string]string `yaml:"mapping"`
	// Set changes leaves of the machine, ModelSet those of the model, for all points.
	Set      map[string]string `yaml:"set"`
	ModelSet map[string]string `yaml:"model_set"`
	Axes     []Axis            `yaml:"axes" spec:"required,min=1,max=64"`
	// Derived are leaves of the machine, of the model, or options, with expressions over axes, options and one another that give
	// their values.
	Derived map[string]string `yaml:"derived"`
	// Constraints are conditions over axes, options and results; points for which one does not hold are rejected.
	Constraints []string `yaml:"constraints" spec:"max=64"`
	// Columns are figures of the user's own: expressions over axes, options and results, by name.
	Columns    map[string]string `yaml:"columns"`
	Sampler    *Sampler          `yaml:"sampler"`
	Objectives []Objective       `yaml:"objectives" spec:"max=8"`
	Search     *Search           `yaml:"search"`
	// Quality says what stands for how good a model would be.
	Quality *Quality `yaml:"quality"`
}

// Quality is a published law of the loss of a language model, with the tokens that it would be trained on.
type Quality struct {
	Law string `yaml:"law" spec:"required,oneof=hoffmann2022|besiroglu2024|kaplan2020"`
	// Tokens is how many, TokensPerParameter how many for each parameter; one of them is given.
	Tokens             float64 `yaml:"tokens" spec:"min=0,max=1000000000000000000"`
	TokensPerParameter float64 `yaml:"tokens_per_parameter" spec:"min=0,max=1000000000"`
}

// Axis is a leaf with the values that it takes: a list, a range or a logarithmic range.
type Axis struct {
	// Name is what expressions and tables call it; "" for one made of the end of its path.
	Name string `yaml:"name"`
	// Path is arch, model, a leaf of the machine such as chip.memory[hbm].bandwidth, one of the model such as model.hidden, or an
	// option such as batch or tp. Also takes the same values.
	// Without a path it is a parameter for expressions alone, which needs a name.
	Path   string   `yaml:"path"`
	Also   []string `yaml:"also"`
	Values []string `yaml:"values" spec:"max=100000"`
	Range  *Range   `yaml:"range"`
	Log    *Log     `yaml:"log"`
	// When is a condition over the axes before it and the options: where it does not hold the axis keeps the value of the base, and
	// points that differ in it alone are one.
	When string `yaml:"when"`
}

// Range is From, From+Step … To; without a step, for samples and searches, any value between.
type Range struct {
	From string `yaml:"from" spec:"required"`
	To   string `yaml:"to" spec:"required"`
	Step string `yaml:"step"`
}

// Log is Points values from From to To with the same ratio from one to the next, or From, From·Factor … To; with neither, for samples
// and searches, any value between.
type Log struct {
	From   string  `yaml:"from" spec:"required"`
	To     string  `yaml:"to" spec:"required"`
	Points int64   `yaml:"points" spec:"min=0,max=100000"`
	Factor float64 `yaml:"factor" spec:"min=0,max=1000000"`
}

// Sampler says which points of the space are run: all of the grid, or so many.
type Sampler struct {
	Kind   string `yaml:"kind" spec:"required,oneof=grid|random|latin-hypercube|halton"`
	Points int64  `yaml:"points" spec:"min=0,max=100000000"`
	Seed   int64  `yaml:"seed" spec:"min=0"`
}

// Objective is a column of results, and whether less or more of it is better; "" for what the column says.
type Objective struct {
	Column string `yaml:"column" spec:"required"`
	Goal   string `yaml:"goal" spec:"oneof=min|max|"`
}

// Search says how strata search looks for good points.
type Search struct {
	Algorithm   string `yaml:"algorithm" spec:"required,oneof=nsga2|cmaes|random"`
	Population  int64  `yaml:"population" spec:"min=0,max=10000"`
	Generations int64  `yaml:"generations" spec:"min=0,max=100000"`
	Seed        int64  `yaml:"seed" spec:"min=0"`
}

// Validate implements the interface of package spec.
func (a *Axis) Validate(report func(path, message, hint string)) {
	ways := 0
	for _, given := range []bool{a.Values != nil, a.Range != nil, a.Log != nil} {
		if given {
			ways++
		}
	}
	if a.Path == "" && a.Name == "" {
		report("path", "what does it change?", "a path, or a name alone for a parameter of expressions")
	}
	if a.Path == "" && len(a.Also) > 0 {
		report("also", "there is no path that it goes with", "give one of them as path")
	}
	switch {
	case ways == 0:
		report("", "it has no values", "give values: [...], or a range or log")
	case ways > 1:
		report("", "it has values in several ways", "give one of values, range and log")
	case a.Values != nil && len(a.Values) == 0:
		report("values", "the list is empty", "")
	}
}

// Validate implements the interface of package spec.
func (l *Log) Validate(report func(path, message, hint string)) {
	if l.Points > 0 && l.Factor > 0 {
		report("factor", "there is a number of points too", "give one of them")
	}
	if l.Factor > 0 && l.Factor <= 1 {
		report("factor", fmt.Sprintf("%g: must be more than 1", l.Factor), "")
	}
	if l.Points == 1 {
		report("points", "1: must be at least 2", "")
	}
}

// Validate implements the interface of package spec.
func (q *Quality) Validate(report func(path, message, hint string)) {
	if (q.Tokens > 0) == (q.TokensPerParameter > 0) {
		report("tokens", "trained on how many tokens?", "give one of tokens and tokens_per_parameter, e.g. tokens_per_parameter: 20")
	}
}

// Validate implements the interface of package spec.
func (s *Sampler) Validate(report func(path, message, hint string)) {
	switch {
	case s.Kind != "grid" && s.Points == 0:
		report("points", "how many points?", "e.g. points: 200")
	case s.Kind == "grid" && (s.Points > 0 || s.Seed > 0):
		report("kind", "a grid has all points", "leave points and seed out, or choose random, latin-hypercube or halton")
	}
}

// problem is a complaint about a part of the file.
func (b *builder) problem(path, hint, format string, a ...any) {
	b.problems = append(b.problems, spec.Problem{File: b.name, Line: b.lines[path], Path: path, Message: fmt.Sprintf(format, a...), Hint: hint})
}
