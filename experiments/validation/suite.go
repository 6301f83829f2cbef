package validation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/experiments/oracle"
)

// Fields is a request to the oracle, or a part of one.
type Fields map[string]any

// A Case is one request and the figures that were measured for it.
type Case struct {
	File   string // of the measurement, relative to the folder of measurements
	Line   int
	ID     string // of the measurement in its source, may be empty
	Source string // who measured
	Device string // as the source calls it
	Arch   string // the machine asked for
	Name   string // the shape, for people
	// Columns are what tells cases apart, in the order that they are printed in.
	Columns []Column
	Request Fields
	// Ask, if not nil, takes the place of Request: it returns an answer to find the figures in.
	Ask func(ctx context.Context, o *oracle.Oracle) (map[string]any, error)
	// Compose, if not nil, takes the place of Request: it asks as often as it needs, of the case's machine and in the fidelity
	// of the run, and returns an answer to find the figures in.
	Compose func(ctx context.Context, ask ask) (map[string]any, error)
	// Derive, if not nil, adds figures to an answer.
	Derive  func(answer map[string]any) error
	Runtime string  // profile that the answer must name, "" for any
	Times   float64 // how often what is asked for ran; 0 means once
	Figures []Figure
	// Work at the least, for rooflines; Ops 0 and Bytes 0 if there is none. Seconds at full rate.
	Work *Roofline
	// Fitted says that constants may have been fitted on the case: the first, the third and so on of its kind.
	Fitted bool
}

// ask asks one request.
type ask func(ctx context.Context, request Fields) (map[string]any, error)

// Column is a value of a case that is not a figure.
type Column struct{ Name, Value string }

// Figure is one measured figure.
type Figure struct {
	Class    string  // of operator, or what the figure is of
	DType    string  // may be empty
	Field    string  // of the answer, with dots: "stalls.compute"
	Scale    float64 // of the field to the unit of the measurement; 0 means 1
	Measured float64
	High     float64 // of a range that begins at Measured: nothing within is off; 0 if there is none
	Unit     string
	Played   bool // only the fidelity event has it
}

// Left is how many rows were left out for a reason.
type Left struct {
	Reason string
	Rows   int
}

// loaded is what a suite reads.
type loaded struct {
	cases []Case
	left  map[string]int
	seen  map[string]int // cases of a kind so far, for Fitted
}

func newLoaded() *loaded { return &loaded{left: map[string]int{}, seen: map[string]int{}} }

func (l *loaded) leave(reason string) { l.left[reason]++ }

// add takes a case. Kind names what Fitted counts within; "" if nothing was fitted.
func (l *loaded) add(c Case, kind string) {
	if kind != "" {
		l.seen[kind]++
		c.Fitted = l.seen[kind]%2 == 1
	}
	l.cases = append(l.cases, c)
}

// sorted lists reasons, the most rows first.
func sorted(left map[string]int) []Left {
	var list []Left
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		list = append(list, Left{reason, left[reason]})
	}
	slices.SortStableFunc(list, func(a, b Left) int { return b.Rows - a.Rows })
	return list
}

// A Suite is measurements of one kind.
type Suite struct {
	Name  string
	Title string
	load  func(dir string, l *loaded) error
}

// NeedsData reports whether the suite reads measurements, which are not part of the project; others have their figures with them.
func (s Suite) NeedsData() bool { return s.Name != "published" && s.Name != "training-published" }

// Suites lists the suites in the order of the ladder: exact and simulated references first, then kernels, then whole systems.
func Suites() []Suite {
	return slices.Clone(suites)
}

// SuiteNames lists the names of the suites.
func SuiteNames() []string {
	var names []string
	for _, s := range suites {
		names = append(names, s.Name)
	}
	return names
}

// Find returns the suites of names, in the order of the ladder; all for none.
func Find(names ...string) ([]Suite, error) {
	for _, n := range names {
		if !slices.Contains(SuiteNames(), n) {
			return nil, fmt.Errorf("unknown suite %q; known: %s", n, strings.Join(SuiteNames(), ", "))
		}
	}
	var list []Suite
	for _, s := range suites {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			list = append(list, s)
		}
	}
	return list, nil
}
