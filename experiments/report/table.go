package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table is a list for people and for programs: the same rows as text, CSV or JSON.
type Table struct {
	Columns []Column
	Rows    [][]any
	// Footer, if not empty, is a line below the text.
	Footer string
}

// Column is one column of a Table.
type Column struct {
	Title string // of the text; "" leaves the column out there
	Name  string // in CSV and JSON, with its unit; "" leaves the column out there
	Right bool   // numbers stand on the right
	Max   int    // text is cut to so many columns; 0 means no limit
	// Show prints a value for people; nil prints it as it is. Nothing is printed for nil values.
	Show func(v any) string
}

func (c *Column) text(v any) string {
	switch {
	case v == nil:
		return ""
	case c.Show != nil:
		return c.Show(v)
	}
	text := fmt.Sprint(v)
	if c.Max > 0 {
		text = cut(text, c.Max)
	}
	return text
}

// lines lays the table out: a head, and a line for each row.
func (t *Table) lines() []string {
	lines := make([]strings.Builder, len(t.Rows)+1)
	gap := ""
	for k := range t.Columns {
		c := &t.Columns[k]
		if c.Title == "" {
			continue
		}
		cells := []string{c.Title}
		for _, row := range t.Rows {
			cells = append(cells, c.text(row[k]))
		}
		width := 0
		for _, cell := range cells {
			width = max(width, utf8.RuneCountInString(cell))
		}
		for i, cell := range cells {
			if c.Right {
				cell = strings.Repeat(" ", width-utf8.RuneCountInString(cell)) + cell
			}
			lines[i].WriteString(gap + pad(cell, width))
		}
		gap = "  "
	}
	out := make([]string, len(lines))
	for i := range lines {
		out[i] = strings.TrimRight(lines[i].String(), " ")
	}
	return out
}

// Text writes the table for people.
func (t *Table) Text(w io.Writer, s Style) error {
	var b strings.Builder
	for i, line := range t.lines() {
		if i == 0 {
			line = s.bold(line)
		}
		b.WriteString(line + "\n")
	}
	if t.Footer != "" {
		b.WriteString(t.Footer + "\n")
	}
	return s.write(w, b.String())
}

// CSV writes a head and the rows, numbers unscaled.
func (t *Table) CSV(w io.Writer) error {
	c := csv.NewWriter(w)
	var head []string
	for i := range t.Columns {
		if t.Columns[i].Name != "" {
			head = append(head, t.Columns[i].Name)
		}
	}
	_ = c.Write(head) // Flush keeps the error
	for _, row := range t.Rows {
		var line []string
		for i, v := range row {
			if t.Columns[i].Name == "" {
				continue
			}
			if v == nil {
				v = ""
			}
			if f, ok := v.(float64); ok {
				text, err := json.Marshal(f) // the shortest form that reads back the same
				if err != nil {
					return err
				}
				v = string(text)
			}
			line = append(line, fmt.Sprint(v))
		}
		_ = c.Write(line)
	}
	c.Flush()
	return c.Error()
}

// JSON writes one array with an object for each row, members in the order of the columns.
func (t *Table) JSON(w io.Writer) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, row := range t.Rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n {")
		first := true
		for k, v := range row {
			if t.Columns[k].Name == "" || v == nil {
				continue
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			text, err := json.Marshal(v)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%q:%s", t.Columns[k].Name, text)
		}
		b.WriteByte('}')
	}
	b.WriteString("\n]\n")
	_, err := w.Write(b.Bytes())
	return err
}
