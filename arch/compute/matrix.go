package compute

import (
	"fmt"
	"sort"
	"strings"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Matrix is the matrix unit of one core.
type Matrix struct {
	// Kind is "mma" (tensor cores) or "systolic".
	Kind string `yaml:"kind" spec:"required,oneof=mma|systolic"`
	// FMA is the number of multiply-adds per cycle and core of an MMA unit, by data type.
	FMA map[string]int64 `yaml:"fma_per_cycle,omitempty" spec:"min=1,max=1e9"`
	// Rows, Columns and Arrays give the shape of one systolic array and how many a core has.
	Rows    int64 `yaml:"rows,omitempty" spec:"min=0,max=65536"`
	Columns int64 `yaml:"columns,omitempty" spec:"min=0,max=65536"`
	Arrays  int64 `yaml:"arrays,omitempty" spec:"min=0,max=65536"`
	// Dataflow names the operand that stays in place: os, ws or is.
	Dataflow string `yaml:"dataflow,omitempty" spec:"oneof=|os|ws|is"`
	// Mode says how folds follow one another: serial, hidden-load or chained.
	Mode string `yaml:"mode,omitempty" spec:"oneof=|serial|hidden-load|chained"`
	// Push is how many stationary values (ws, is) or results (os) a column passes on in a cycle; 1 when absent. It bounds
	// how fast chained folds follow one another.
	Push int64 `yaml:"push,omitempty" spec:"min=0,max=65536"`
	// Group is how many values of a stream enter a row at least, such as the sublanes of a vector register; 1 when absent.
	Group int64 `yaml:"group,omitempty" spec:"min=0,max=65536"`
	// Types lists the data types a systolic array multiplies, with passes over the array per type
	// (1: full rate; 4: a quarter of it).
	Types map[string]int64 `yaml:"passes,omitempty" spec:"min=1,max=64"`
	// Efficiency is the share of issue slots that long inner loops fill; 1 when absent.
	Efficiency *float64 `yaml:"efficiency,omitempty" spec:"gt=0,max=1.1"`
}

// Validate reports what does not fit together.
func (u Matrix) Validate(report func(path, message, hint string)) {
	table, name := u.Rates(), "fma_per_cycle"
	if u.Kind == "systolic" {
		name = "passes"
		for _, f := range []struct {
			n string
			v int64
		}{{"rows", u.Rows}, {"columns", u.Columns}, {"arrays", u.Arrays}} {
			if f.v <= 0 {
				report(f.n, "a systolic unit needs it, at least 1", "e.g. 128")
			}
		}
		if u.Dataflow == "" {
			report("dataflow", "a systolic unit needs it", "os, ws or is")
		}
		if u.Mode == "" {
			report("mode", "a systolic unit needs it", "serial, hidden-load or chained")
		}
		if len(u.FMA) > 0 {
			report("fma_per_cycle", "belongs to kind mma", "a systolic unit's rate follows from its rows, columns and arrays")
		}
	} else if u.Rows != 0 || u.Columns != 0 || u.Arrays != 0 || u.Dataflow != "" || u.Mode != "" || u.Push != 0 || u.Group != 0 || len(u.Types) > 0 {
		report("kind", "rows, columns, arrays, dataflow, mode, push, group and passes belong to kind systolic", "remove them or change the kind")
	}
	if len(table) == 0 {
		report(name, "at least one data type is needed", "e.g. {bf16: 1024}")
	}
	for _, k := range sortedKeys(table) {
		t, err := traces.ParseDType(k)
		if err != nil {
			report(name+"."+k, err.Error(), "")
		} else if t.String() != k {
			report(name+"."+k, "another name of "+t.String(), "write "+t.String())
		}
	}
}

// Rates returns what the unit says about each data type that it multiplies: the multiply-adds per
// cycle of an MMA unit, the passes of a systolic one.
func (u Matrix) Rates() map[string]int64 {
	if u.Kind == "systolic" {
		return u.Types
	}
	return u.FMA
}

func sortedKeys(m map[string]int64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// SustainedShare is Efficiency, or 1 when it is not given.
func (u Matrix) SustainedShare() float64 {
	if u.Efficiency == nil {
		return 1
	}
	return *u.Efficiency
}

// UnsupportedType says that a matrix unit cannot multiply a data type.
type UnsupportedType struct {
	Type  traces.DType
	Known []string
}

func (e *UnsupportedType) Error() string {
	return fmt.Sprintf("the matrix unit has no rate for %s; it knows %s", e.Type, strings.Join(e.Known, ", "))
}

// Rate returns the multiply-adds per cycle of the whole unit at full use, rounded down but at least 1.
func (u Matrix) Rate(t traces.DType) (int64, error) {
	if u.Kind == "systolic" {
		p, ok := u.Types[t.String()]
		if !ok {
			return 0, &UnsupportedType{t, sortedKeys(u.Types)}
		}
		return max(1, u.Rows*u.Columns*u.Arrays/p), nil
	}
	f, ok := u.FMA[t.String()]
	if !ok {
		return 0, &UnsupportedType{t, sortedKeys(u.FMA)}
	}
	return f, nil
}

// Cycles are the core-clock cycles of a product on one core's unit. Products that follow one another
// take Steady each and Fill once: what the first one waits for until the pipeline runs.
type Cycles struct{ Steady, Fill units.Cycles }

// arrays are those of a systolic unit.
func (u Matrix) arrays() Systolic {
	return Systolic{Rows: u.Rows, Columns: u.Columns, Arrays: u.Arrays, Dataflow: u.Dataflow, Mode: u.Mode, Push: u.Push, Group: u.Group}
}

// Cycles returns the cycles one core's unit takes for an m×k by k×n tile; all three are at least 1. For
// a systolic unit the folds of the tile, and parts of what streams through each, are dealt out to the arrays of the core.
func (u Matrix) Cycles(t traces.DType, m, n, k int64) (Cycles, error) {
	return u.Several(t, 1, m, n, k)
}

// Several is Cycles for several tiles of one size that are multiplied at a time. An MMA unit takes them in turns, arrays
// share their folds.
func (u Matrix) Several(t traces.DType, tiles, m, n, k int64) (Cycles, error) {
	if u.Kind == "systolic" {
		p, ok := u.Types[t.String()]
		if !ok {
			return Cycles{}, &UnsupportedType{t, sortedKeys(u.Types)}
		}
		if c, ok := u.arrays().cycles(tiles, m, n, k, p); ok {
			return c, nil
		}
		return Cycles{}, fmt.Errorf("tile %d×%d×%d: cycle count overflows", m, n, k)
	}
	rate, err := u.Rate(t)
	if err != nil {
		return Cycles{}, err
	}
	mn, ok1 := units.Mul(m, n)
	mnk, ok2 := units.Mul(mn, k)
	all, ok3 := units.Mul(units.CeilDiv(mnk, rate), tiles)
	if !ok1 || !ok2 || !ok3 {
		return Cycles{}, fmt.Errorf("tile %d×%d×%d: cycle count overflows", m, n, k)
	}
	return Cycles{Steady: units.Cycles(all)}, nil
}
