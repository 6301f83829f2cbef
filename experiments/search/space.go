package search

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/stratasim/strata/sim/portable"
)

// Kind says what values a variable takes.
type Kind int

const (
	Categorical Kind = iota // choices without an order: a topology, a policy
	Ordered                 // choices in an order, of which neighbours resemble one another: 1, 2, 4, 8 chips
	Integer                 // whole numbers of a range
	Real                    // numbers of a range
)

var kinds = [...]string{Categorical: "categorical", Ordered: "ordered", Integer: "integer", Real: "real"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kinds[k]
}

// MarshalText writes the name of a kind.
func (k Kind) MarshalText() ([]byte, error) {
	if k < 0 || int(k) >= len(kinds) {
		return nil, fmt.Errorf("%v: no such kind", k)
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads the name of a kind.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kinds {
		if string(text) == name {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("%q: a kind is categorical, ordered, integer or real", text)
}

// Variable is one decision about a design.
type Variable struct {
	Name    string
	Kind    Kind
	Choices []string // of Categorical and Ordered: what there is to choose, each once
	Low     float64  // of Integer and Real: the smallest value; Integer within ±2⁵²
	High    float64  // the largest value, which belongs to the range
	Log     bool     // equal ratios count as equal distances; Integer from 1, Real from 10⁻³⁰⁰ to 10³⁰⁰
}

// Candidate is one design, a number for each variable of its space: of Categorical and Ordered the index of the choice, of
// Integer and Real the value itself.
type Candidate []float64

// Space is all designs that there are to choose from.
type Space []Variable

// maxInteger bounds integers so that they, their number and the edges between them are exact in a float64.
const maxInteger = 1 << 52

// Validate complains about everything that is wrong with a space.
func (s Space) Validate() error {
	var problems []error
	if len(s) == 0 {
		problems = append(problems, errors.New("no variables"))
	}
	seen := map[string]bool{}
	for i := range s {
		v := &s[i]
		complain := func(format string, a ...any) {
			problems = append(problems, fmt.Errorf("variable %d (%s): %w", i, v.Name, fmt.Errorf(format, a...)))
		}
		if v.Name == "" || seen[v.Name] {
			complain("each needs a name of its own")
		}
		seen[v.Name] = true
		switch v.Kind {
		case Categorical, Ordered:
			if len(v.Choices) == 0 {
				complain("no choices")
			}
			if sorted := slices.Sorted(slices.Values(v.Choices)); len(slices.Compact(sorted)) < len(v.Choices) {
				complain("a choice is there twice")
			}
			if v.Low != 0 || v.High != 0 || v.Log {
				complain("choices have no range")
			}
		case Integer, Real:
			if len(v.Choices) > 0 {
				complain("a range has no choices")
			}
			if !(v.Low <= v.High) || math.IsInf(v.High-v.Low, 0) || math.IsNaN(v.High-v.Low) {
				complain("from %v to %v: not a finite range", v.Low, v.High)
			} else if v.Kind == Integer && (v.Low != math.Trunc(v.Low) || v.High != math.Trunc(v.High) || v.Low < -maxInteger || v.High > maxInteger) {
				complain("from %v to %v: not integers within ±2⁵²", v.Low, v.High)
			} else if v.Log && v.Kind == Integer && v.Low < 1 {
				complain("from %v: a logarithmic range of integers begins at 1", v.Low)
			} else if v.Log && (v.Low < 1e-300 || v.High > 1e300) {
				complain("from %v to %v: a logarithmic range is within 10⁻³⁰⁰ and 10³⁰⁰", v.Low, v.High)
			}
		default:
			complain("%v: no such kind", v.Kind)
		}
	}
	return errors.Join(problems...)
}

// Check complains about a candidate that is not of this space.
func (s Space) Check(c Candidate) error {
	if len(c) != len(s) {
		return fmt.Errorf("a candidate of %d numbers for %d variables", len(c), len(s))
	}
	for i := range s {
		v, x := &s[i], c[i]
		low, high := v.bounds()
		if !(low <= x && x <= high) || v.Kind != Real && x != math.Trunc(x) {
			return fmt.Errorf("%s: %v: not one of %v", v.Name, x, v)
		}
	}
	return nil
}

func (v Variable) String() string {
	switch {
	case v.Kind == Categorical || v.Kind == Ordered:
		return fmt.Sprintf("%d %v choices, counted from 0", len(v.Choices), v.Kind)
	case v.Log:
		return fmt.Sprintf("the logarithmic %v range from %v to %v", v.Kind, v.Low, v.High)
	}
	return fmt.Sprintf("the %v range from %v to %v", v.Kind, v.Low, v.High)
}

// Count returns how many candidates there are, nil if infinitely many.
func (s Space) Count() *big.Int {
	count := big.NewInt(1)
	for i := range s {
		n := s[i].levels()
		if n == 0 {
			return nil
		}
		count.Mul(count, big.NewInt(n))
	}
	return count
}

// At returns the candidate at a point of the unit cube, one coordinate from 0 to 1 a variable. Choices and the integers of a
// linear range have parts of equal length, a logarithmic integer i the part from i-½ to i+½.
func (s Space) At(u []float64) Candidate {
	c := make(Candidate, len(s))
	for i := range s {
		c[i] = s[i].at(u[i])
	}
	return c
}

// bounds are the smallest and the largest number of a variable in a candidate.
func (v *Variable) bounds() (low, high float64) {
	if v.Kind == Categorical || v.Kind == Ordered {
		return 0, float64(len(v.Choices) - 1)
	}
	return v.Low, v.High
}

// levels is the number of values, 0 if infinite.
func (v *Variable) levels() int64 {
	low, high := v.bounds()
	if v.Kind == Real && low < high {
		return 0
	}
	return int64(high-low) + 1
}

// scale are the ends of the axis on which the unit interval lies.
func (v *Variable) scale() (from, to float64) {
	from, to = v.bounds()
	if v.Kind != Real {
		from, to = from-0.5, to+0.5
	}
	if v.Log {
		from, to = portable.Ln(from), portable.Ln(to)
	}
	return from, to
}

// at is the value at a point of the unit interval.
func (v *Variable) at(u float64) float64 {
	from, to := v.scale()
	x := from + float64(u*(to-from))
	if v.Log {
		x = portable.Exp(x)
	}
	low, high := v.bounds()
	if v.Kind != Real {
		x = math.Floor(x + 0.5)
	}
	return min(max(x, low), high) + 0 // no negative zero
}

// unit is the point of the unit interval where a value is.
func (v *Variable) unit(x float64) float64 {
	from, to := v.scale()
	if from == to {
		return 0.5
	}
	if v.Log {
		x = portable.Ln(x)
	}
	return min(max((x-from)/(to-from), 0), 1)
}

// width is how much of the unit interval the value x has; 0 of a real variable.
func (v *Variable) width(x float64) float64 {
	if v.Kind == Real {
		return 0
	}
	from, to := v.scale()
	if v.Log {
		return (portable.Ln(x+0.5) - portable.Ln(x-0.5)) / (to - from)
	}
	return 1 / (to - from)
}

// key is the same for equal candidates only.
func (c Candidate) key() string {
	var b []byte
	for _, x := range c {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x+0))
	}
	return string(b)
}
