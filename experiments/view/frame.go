package view

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/experiments/report"
)

// Frame is a table of values: float64, string, bool, or nil where a row has none.
type Frame struct {
	Columns []Column
	Rows    [][]any
}

// Index returns the place of a column, or -1.
func (f *Frame) Index(name string) int {
	return slices.IndexFunc(f.Columns, func(c Column) bool { return c.Name == name })
}

// Float returns a value as a number; what is none is not.
func Float(v any) (float64, bool) {
	x, ok := v.(float64)
	return x, ok && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// Numbers returns a column as numbers, NaN where a row has none.
func (f *Frame) Numbers(column int) []float64 {
	xs := make([]float64, len(f.Rows))
	for i, row := range f.Rows {
		x, ok := Float(row[column])
		if !ok {
			x = math.NaN()
		}
		xs[i] = x
	}
	return xs
}

// Order is a column to sort by.
type Order struct {
	Column string
	Down   bool
}

// ParseOrder reads COLUMN, COLUMN:asc or COLUMN:desc.
func ParseOrder(text string) (Order, error) {
	name, way, given := strings.Cut(text, ":")
	if given && way != "asc" && way != "desc" {
		return Order{}, fmt.Errorf("%q: the order is asc or desc, not %q", text, way)
	}
	return Order{name, way == "desc"}, nil
}

// compare orders values of any kind: numbers, texts, then truths. Missing ones come last, either way.
func compare(a, b any, down bool) int {
	rank := func(v any) int {
		switch v.(type) {
		case nil:
			return 3
		case float64:
			return 0
		case string:
			return 1
		}
		return 2
	}
	r := cmp.Compare(rank(a), rank(b))
	if a == nil || b == nil {
		return r
	}
	if r == 0 {
		switch a := a.(type) {
		case float64:
			r = cmp.Compare(a, b.(float64))
		case string:
			r = cmp.Compare(a, b.(string))
		case bool:
			if b := b.(bool); a != b {
				r = 1
				if b {
					r = -1
				}
			}
		}
	}
	if down {
		return -r
	}
	return r
}

// Sort orders the rows by columns, the first before the second and so on. Rows that tie stay as they were.
func (f *Frame) Sort(orders []Order) error {
	index := make([]int, len(orders))
	for i, o := range orders {
		if index[i] = f.Index(o.Column); index[i] < 0 {
			return &Unknown{Name: o.Column}
		}
	}
	slices.SortStableFunc(f.Rows, func(a, b []any) int {
		for i, k := range index {
			if c := compare(a[k], b[k], orders[i].Down); c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

// Aggregates are the words for what becomes of the values of a group.
var Aggregates = []string{"min", "median", "mean", "max", "count"}

// aggregate of sorted numbers, of which there is at least one.
func aggregate(how string, xs []float64) float64 {
	switch how {
	case "min":
		return xs[0]
	case "max":
		return xs[len(xs)-1]
	case "median":
		return Quantile(xs, 0.5)
	}
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// Quantile of sorted numbers, between two of them where it falls there.
func Quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + float64((at-float64(i))*(sorted[i+1]-sorted[i]))
}

// Group makes one row of all that agree in some columns: those columns, how many they are, and of each other column the
// aggregates, as COLUMN_AGGREGATE. Groups come in the order of their columns.
func (f *Frame) Group(by, of, how []string) (*Frame, error) {
	out := &Frame{}
	var keys, values []int
	for _, name := range by {
		k := f.Index(name)
		if k < 0 {
			return nil, &Unknown{Name: name}
		}
		keys = append(keys, k)
		out.Columns = append(out.Columns, f.Columns[k])
	}
	out.Columns = append(out.Columns, Column{Name: "count", About: "rows of the group"})
	for _, name := range of {
		k := f.Index(name)
		if k < 0 {
			return nil, &Unknown{Name: name}
		}
		values = append(values, k)
		for _, h := range how {
			if h != "count" {
				c := f.Columns[k]
				c.Name += "_" + h
				out.Columns = append(out.Columns, c)
			}
		}
	}
	rows := slices.Clone(f.Rows)
	same := func(a, b []any) int {
		for _, k := range keys {
			if c := compare(a[k], b[k], false); c != 0 {
				return c
			}
		}
		return 0
	}
	slices.SortStableFunc(rows, same)
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && same(rows[0], rows[n]) == 0 {
			n++
		}
		var line []any
		for _, k := range keys {
			line = append(line, rows[0][k])
		}
		line = append(line, float64(n))
		for _, k := range values {
			var xs []float64
			for _, row := range rows[:n] {
				if x, ok := Float(row[k]); ok {
					xs = append(xs, x)
				}
			}
			slices.Sort(xs)
			for _, h := range how {
				switch {
				case h == "count":
				case len(xs) == 0:
					line = append(line, nil)
				default:
					line = append(line, aggregate(h, xs))
				}
			}
		}
		out.Rows, rows = append(out.Rows, line), rows[n:]
	}
	return out, nil
}

// Table is the frame for people and programs.
func (f *Frame) Table() *report.Table {
	t := &report.Table{Rows: f.Rows}
	for _, c := range f.Columns {
		t.Columns = append(t.Columns, report.Column{Title: c.Name, Name: c.Name, Right: c.Kind == Number, Max: 40, Show: c.show()})
	}
	return t
}

// show prints a value for people, nil for what is printed as it is.
func (c *Column) show() func(v any) string {
	if c.Kind != Number && c.Kind != Mixed {
		if c.Name == "key" {
			return func(v any) string { return v.(string)[:min(len(v.(string)), 8)] }
		}
		return nil
	}
	return func(v any) string { return c.Show(v) }
}

// Show prints a value with its unit.
func (c *Column) Show(v any) string {
	x, ok := v.(float64)
	if !ok {
		if v == nil {
			return ""
		}
		return fmt.Sprint(v)
	}
	whole := x == math.Trunc(x) && math.Abs(x) < 1<<62
	switch c.Unit {
	case "s":
		return report.Seconds(x)
	case "J":
		return report.Energy(x)
	case "W":
		return report.Power(x)
	case "B":
		if whole {
			return report.Size(int64(x))
		}
	case "B/s":
		return report.Rate(x)
	case "Hz":
		return report.Frequency(x)
	case "USD", "USD/h":
		return strings.Replace(report.Money(x), "USD", c.Unit, 1)
	}
	text := report.Number(x)
	if whole && math.Abs(x) < 1e9 {
		text = fmt.Sprint(int64(x))
	}
	if c.Unit != "" && c.Unit != "B" && c.Unit != "1/s" { // names say that
		text += " " + c.Unit
	}
	return text
}

// Status is how many rows have a status.
type Status struct {
	Status string
	Rows   int
}

// Statuses counts the rows by status, ok first and then the most frequent.
func (f *Frame) Statuses() []Status {
	k := f.Index("status")
	var list []Status
	for _, row := range f.Rows {
		text, _ := row[k].(string)
		i := slices.IndexFunc(list, func(s Status) bool { return s.Status == text })
		if i < 0 {
			i, list = len(list), append(list, Status{Status: text})
		}
		list[i].Rows++
	}
	slices.SortStableFunc(list, func(a, b Status) int {
		if x, y := a.Status == "ok", b.Status == "ok"; x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Status, b.Status))
	})
	return list
}
