package studies

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// Schema names the form of a Result in JSON.
const Schema = "strata.study/1"

// A Study is a comparison with published figures.
type Study struct {
	Name  string
	Title string // one line
	// About says what is compared, with which inputs and under which assumptions; one paragraph a string.
	About []string
	// Run computes the rows. It must give the same rows every time and stop when the context ends.
	Run func(ctx context.Context) ([]Row, error)
	// Params are what a study can be told, and RunWith takes the place of Run for one that has any: values are by name, checked
	// by Check, defaults filled in.
	Params  []Param
	RunWith func(ctx context.Context, values map[string]string) ([]Row, error)
}

// Param is something that a study can be told.
type Param struct {
	Name, Default, About string
	// Check says what is wrong with a value, "" for nothing.
	Check func(value string) string
}

// BadParam says that a study has no such parameter, or that its value cannot be.
type BadParam struct{ Study, Name, Message string }

func (e *BadParam) Error() string {
	return fmt.Sprintf("study %s: parameter %.60q %s", e.Study, e.Name, e.Message)
}

// Basis says how a figure of ours was reached.
type Basis string

// The bases.
const (
	// Predicted is computed from descriptions of machine, model and software that were not fitted to the study's source.
	Predicted Basis = "predicted"
	// Derived takes an input that the publication states, or that follows from its other figures.
	Derived Basis = "derived"
)

// What is published where a figure is not.
const (
	MoreThan = "more than"
	LessThan = "less than"
)

// Row is one figure.
type Row struct {
	Part string `json:"part"` // of the study, a heading
	Name string `json:"name"`
	Unit string `json:"unit"` // "x" for a ratio, "s", "" for a count
	// Ours is our figure.
	Ours  float64 `json:"ours"`
	Basis Basis   `json:"basis"`
	// Published is the published figure, or with PublishedTo the lower end of a published range; 0 where there is none.
	Published   float64 `json:"published,omitempty"`
	PublishedTo float64 `json:"published_to,omitempty"`
	// Bound says that only a bound is published: MoreThan or LessThan.
	Bound string `json:"bound,omitempty"`
	// Source of the published figure.
	Source string `json:"source,omitempty"`
	// Target is the relative error within which the row has to be; 0 for rows that are shown and not judged.
	Target float64 `json:"target,omitempty"`
	// Exact says that a judged row has to be the published figure, or in the published range.
	Exact bool   `json:"exact,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Compared reports whether the row has a published figure.
func (r *Row) Compared() bool { return r.Published != 0 }

// Judged reports whether the row has a target.
func (r *Row) Judged() bool { return r.Compared() && (r.Target > 0 || r.Exact) }

// Error is the relative error, ours/published − 1; 0 inside a published range or bound, outside it against the nearer end.
func (r *Row) Error() float64 {
	if !r.Compared() {
		return 0
	}
	low, high := r.Published, max(r.Published, r.PublishedTo)
	switch r.Bound {
	case MoreThan:
		high = math.Inf(1)
	case LessThan:
		low = math.Inf(-1)
	}
	if low <= r.Ours && r.Ours <= high {
		return 0
	}
	return r.Ours/min(max(r.Ours, low), high) - 1
}

// Within reports whether a judged row reaches its target.
func (r *Row) Within() bool {
	e := math.Abs(r.Error())
	return e <= r.Target && !math.IsNaN(e)
}

// Result is what a study came to.
type Result struct {
	Schema string   `json:"schema"`
	Study  string   `json:"study"`
	Title  string   `json:"title"`
	About  []string `json:"about"`
	Judged int      `json:"judged"` // rows with a target
	Within int      `json:"within"` // of them those that reach it
	// Params are what the study was told, defaults included; nil for one that has none.
	Params map[string]string `json:"params,omitempty"`
	Rows   []Row             `json:"rows"`
}

// registry holds the studies by name; files of this package add theirs when they are loaded.
var registry = map[string]*Study{}

func register(s *Study) {
	if registry[s.Name] != nil {
		panic("studies: two are called " + s.Name)
	}
	registry[s.Name] = s
}

// List returns the studies in the order of their names.
func List() []*Study {
	var list []*Study
	for _, name := range Names() {
		list = append(list, registry[name])
	}
	return list
}

// Names returns the names of the studies, sorted.
func Names() []string {
	var names []string
	for name := range registry {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Unknown says that there is no study of that name.
type Unknown struct{ Name, Near string }

func (e *Unknown) Error() string {
	text := fmt.Sprintf("unknown study %.60q", e.Name)
	if e.Near != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Near)
	}
	return text
}

// ByName returns the study of that name, or an *Unknown.
func ByName(name string) (*Study, error) {
	if s := registry[name]; s != nil {
		return s, nil
	}
	return nil, &Unknown{name, spec.Suggest(name, Names())}
}

// Do runs the study with the usual values of its parameters.
func (s *Study) Do(ctx context.Context) (*Result, error) { return s.DoWith(ctx, nil) }

// DoWith runs the study with values of its parameters; it is a *BadParam if they cannot be.
func (s *Study) DoWith(ctx context.Context, given map[string]string) (*Result, error) {
	values, err := s.values(given)
	if err != nil {
		return nil, err
	}
	var rows []Row
	if s.RunWith != nil {
		rows, err = s.RunWith(ctx, values)
	} else {
		rows, err = s.Run(ctx)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("study %s: %w", s.Name, err)
	}
	r := &Result{Schema: Schema, Study: s.Name, Title: s.Title, About: s.About, Rows: rows, Params: values}
	for i := range rows {
		row := &rows[i]
		if bad := unusable(row); bad != "" {
			return nil, fmt.Errorf("internal: study %s: %s, %s: %s", s.Name, row.Part, row.Name, bad)
		}
		if row.Judged() {
			r.Judged++
			if row.Within() {
				r.Within++
			}
		}
	}
	return r, nil
}

// values are those of the parameters, nil if there are none.
func (s *Study) values(given map[string]string) (map[string]string, error) {
	var values map[string]string
	var names []string
	for _, p := range s.Params {
		if values == nil {
			values = map[string]string{}
		}
		names = append(names, p.Name)
		value, ok := given[p.Name]
		if !ok {
			value = p.Default
		}
		if wrong := p.Check(value); wrong != "" {
			return nil, &BadParam{s.Name, p.Name, wrong}
		}
		values[p.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := values[name]; !ok {
			message := "is not known; it has none"
			if names != nil {
				message = "is not known; it has " + strings.Join(names, ", ")
			}
			return nil, &BadParam{s.Name, name, message}
		}
	}
	return values, nil
}

// unusable says what a row lacks, "" for nothing.
func unusable(r *Row) string {
	switch {
	case r.Part == "" || r.Name == "":
		return "it has no name"
	case math.IsNaN(r.Ours) || math.IsInf(r.Ours, 0):
		return "it is not a number"
	case r.Basis != Predicted && r.Basis != Derived:
		return "it does not say how it was reached"
	case r.Compared() && r.Source == "":
		return "the published figure has no source"
	case r.Bound != "" && (r.Bound != MoreThan && r.Bound != LessThan || r.Published == 0 || r.PublishedTo != 0):
		return "its bound is none"
	case r.PublishedTo != 0 && r.PublishedTo < r.Published:
		return "the published range ends before it begins"
	case !r.Compared() && (r.Target > 0 || r.Exact):
		return "it has a target and nothing to compare with"
	}
	return ""
}
