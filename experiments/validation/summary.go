package validation

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// Summary sums up the errors of rows, as shares.
type Summary struct {
	N                       int
	Mean, Median, P90, Bias float64 // of absolute errors, but for the bias
	// Roofline and Calibrated are the mean absolute errors of rooflines on the rows that have one; NaN for none.
	Roofline, Calibrated float64
	Worst                []*Row // the worst rows, the worst first
}

// summarise sums rows up and keeps so many of the worst.
func summarise(rows []*Row, worst int) Summary {
	s := Summary{N: len(rows), Roofline: math.NaN(), Calibrated: math.NaN()}
	if s.N == 0 {
		return s
	}
	abs := make([]float64, s.N)
	var roof, cal float64
	n := 0
	for i, r := range rows {
		e := r.Error()
		abs[i] = math.Abs(e)
		s.Mean += abs[i]
		s.Bias += e
		if r.Calibrated > 0 {
			n++
			roof += math.Abs(r.Roofline/r.seconds() - 1)
			cal += math.Abs(r.Calibrated/r.seconds() - 1)
		}
	}
	s.Mean /= float64(s.N)
	s.Bias /= float64(s.N)
	if n > 0 {
		s.Roofline, s.Calibrated = roof/float64(n), cal/float64(n)
	}
	sort.Float64s(abs)
	s.Median, s.P90 = (abs[(s.N-1)/2]+abs[s.N/2])/2, abs[min(s.N-1, s.N*9/10)]
	by := slices.Clone(rows)
	slices.SortStableFunc(by, func(a, b *Row) int {
		switch x, y := math.Abs(a.Error()), math.Abs(b.Error()); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	s.Worst = by[:min(worst, len(by))]
	return s
}

// Group is rows that have something in common.
type Group struct {
	Keys []string // the values of the columns that rows were grouped by
	Summary
}

// GroupColumns are what rows can be grouped by.
var GroupColumns = []string{"suite", "class", "device", "dtype", "source", "half"}

// Key is the value of one of GroupColumns.
func (r *Row) Key(column string) string {
	switch column {
	case "suite":
		return r.Suite
	case "class":
		return r.Class
	case "device":
		return r.Device
	case "dtype":
		return r.DType
	case "source":
		return r.Source
	case "half":
		if r.Fitted {
			return "fitted on"
		}
		return "others"
	}
	return ""
}

// Groups sums rows up by columns, in the order in which the first rows of the groups come by the first column, and
// alphabetically by the others.
func Groups(results []*Result, by []string, worst int) []Group {
	rows := map[string][]*Row{}
	var keys []string
	for _, r := range results {
		for i := range r.Rows {
			row := &r.Rows[i]
			values := make([]string, len(by))
			for k, column := range by {
				values[k] = row.Key(column)
			}
			key := strings.Join(values, "\x00")
			if rows[key] == nil {
				keys = append(keys, key)
			}
			rows[key] = append(rows[key], row)
		}
	}
	first := map[string]int{}
	for i, k := range keys {
		head, _, _ := strings.Cut(k, "\x00")
		if _, ok := first[head]; !ok {
			first[head] = i
		}
	}
	slices.SortStableFunc(keys, func(a, b string) int {
		x, _, _ := strings.Cut(a, "\x00")
		y, _, _ := strings.Cut(b, "\x00")
		if first[x] != first[y] {
			return first[x] - first[y]
		}
		return strings.Compare(a, b)
	})
	var list []Group
	for _, k := range keys {
		list = append(list, Group{strings.Split(k, "\x00"), summarise(rows[k], worst)})
	}
	return list
}
