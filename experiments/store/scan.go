package store

import (
	"context"
	"fmt"
	"strings"
)

// Scan calls f with some columns of every row of a table until it returns an error, which is returned: rows of runs in the order
// of List, those of other tables in the order of their keys. A value is a string, bool, int64, float64 or, where the row has
// none, nil. The slice is used again for the next row. A table or column that does not exist is ErrInvalid.
func (s *Store) Scan(ctx context.Context, name string, columns []string, f func(row []any) error) error {
	part := Table{Name: name}
	var order []string
	for _, t := range Tables() {
		if t.Name != name {
			continue
		}
		order = t.Key
		for _, c := range columns {
			i := t.index(c)
			if i < 0 {
				return &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("table %s has no column %q", name, c)}
			}
			part.Columns = append(part.Columns, t.Columns[i])
		}
	}
	if part.Columns == nil {
		return &Error{Path: s.path, Kind: ErrInvalid, Text: fmt.Sprintf("there are no columns of a table %q to read", name)}
	}
	rest := " ORDER BY " + strings.Join(order, ", ")
	if name == "runs" {
		rest, _ = Filter{}.where()
	}
	var failed error
	out := make([]any, len(columns))
	err := each(ctx, s.db, len(columns), func(row []any) error {
		for i, v := range row {
			out[i] = part.Columns[i].value(v)
		}
		failed = f(out)
		return failed
	}, "SELECT "+strings.Join(columns, ", ")+" FROM "+name+rest)
	if failed != nil {
		return failed
	}
	return explain(s.path, "read table "+name, err)
}

// value turns a value as read from the file back.
func (c *Column) value(v any) any {
	switch v := v.(type) {
	case int64:
		switch c.Type {
		case Bool:
			return v != 0
		case Real:
			return float64(v)
		}
	case []byte:
		return string(v)
	}
	return v
}
