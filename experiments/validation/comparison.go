package validation

import (
	"fmt"
	"math"
	"sort"
	"strings"
)

// Pair is one measurement and its prediction, in the same unit.
type Pair struct {
	Name                string
	Predicted, Measured float64
}

// Error is the relative error, predicted/measured − 1.
func (p Pair) Error() float64 { return p.Predicted/p.Measured - 1 }

// Comparison is a set of pairs.
type Comparison struct {
	Name  string
	Pairs []Pair
}

// Add appends a pair.
func (c *Comparison) Add(name string, predicted, measured float64) {
	c.Pairs = append(c.Pairs, Pair{name, predicted, measured})
}

// oldSummary sums up the errors of a comparison, as shares.
type oldSummary struct {
	N                       int
	Mean, Median, P90, Bias float64 // of absolute errors, but for the bias
	Worst                   Pair
}

// Summarise returns the summary; all zero for an empty comparison.
func (c *Comparison) Summarise() oldSummary {
	s := oldSummary{N: len(c.Pairs)}
	if s.N == 0 {
		return s
	}
	abs := make([]float64, s.N)
	for i, p := range c.Pairs {
		e := p.Error()
		abs[i] = math.Abs(e)
		s.Mean += abs[i]
		s.Bias += e
		if i == 0 || abs[i] > math.Abs(s.Worst.Error()) {
			s.Worst = p
		}
	}
	s.Mean /= float64(s.N)
	s.Bias /= float64(s.N)
	sort.Float64s(abs)
	s.Median, s.P90 = abs[s.N/2], abs[min(s.N-1, s.N*9/10)]
	return s
}

// String is one line of a table of errors.
func (s oldSummary) String() string {
	return fmt.Sprintf("%5d rows  mean %5.1f %%  median %5.1f %%  p90 %5.1f %%  bias %+5.1f %%  worst %+.0f %% %s",
		s.N, 100*s.Mean, 100*s.Median, 100*s.P90, 100*s.Bias, 100*s.Worst.Error(), s.Worst.Name)
}

// Table prints one line a comparison, in the order given.
func Table(list []*Comparison) string {
	width := 0
	for _, c := range list {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "%-*s %s\n", width, c.Name, c.Summarise())
	}
	return b.String()
}
