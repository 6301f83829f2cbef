package pareto

import "fmt"

// Direction says which values of an objective are the better ones.
type Direction int

const (
	Min Direction = iota // small values
	Max                  // large values
)

var directions = [...]string{Min: "min", Max: "max"}

func (d Direction) String() string {
	if d < 0 || int(d) >= len(directions) {
		return fmt.Sprintf("Direction(%d)", int(d))
	}
	return directions[d]
}

// MarshalText writes min or max.
func (d Direction) MarshalText() ([]byte, error) {
	if d != Min && d != Max {
		return nil, fmt.Errorf("%v: no such direction", d)
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads min or max.
func (d *Direction) UnmarshalText(text []byte) error {
	for i, name := range directions {
		if string(text) == name {
			*d = Direction(i)
			return nil
		}
	}
	return fmt.Errorf("%q: a direction is min or max", text)
}

// Objective is a quantity that designs are judged by.
type Objective struct {
	Name      string
	Direction Direction
}

// Minimised returns values, one an objective, in the form that this package compares: maximised ones change their sign. It is
// its own inverse.
func Minimised(objectives []Objective, values []float64) ([]float64, error) {
	if len(values) != len(objectives) {
		return nil, fmt.Errorf("%d values for %d objectives", len(values), len(objectives))
	}
	out := make([]float64, len(values))
	for i, x := range values {
		if !finite(x) {
			return nil, fmt.Errorf("%s: %v: must be finite", objectives[i].Name, x)
		}
		switch d := objectives[i].Direction; d {
		case Min:
			out[i] = x
		case Max:
			out[i] = 0 - x // no negative zero
		default:
			return nil, fmt.Errorf("%s: %v: no such direction", objectives[i].Name, d)
		}
	}
	return out, nil
}
