package report

import (
	"io"
	"maps"
	"slices"

	"github.com/stratasim/strata/experiments/store"
)

// Scalars writes the scalars of rows as CSV, with the columns of table runs: those that are figures or names, without
// the texts of request and answer and without what only the database needs. Absent values are empty.
func Scalars(w io.Writer, rows ...store.Row) error {
	var t Table
	var columns []string
	for _, c := range store.Tables()[0].Columns {
		if c.Type == store.JSON || (c.Label && c.Name != "key") {
			continue
		}
		columns = append(columns, c.Name)
		t.Columns = append(t.Columns, Column{Name: c.Name})
	}
	for _, r := range rows {
		line := make([]any, len(columns))
		for i, c := range columns {
			line[i] = r.Values[c]
			if c == "key" {
				line[i] = r.Key
			}
		}
		t.Rows = append(t.Rows, line)
	}
	return t.CSV(w)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
