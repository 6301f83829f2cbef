package timeline

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// csvHeader names the columns of the CSV file; ps is picoseconds.
var csvHeader = []string{"track", "name", "category", "start_ps", "end_ps", "duration_ps", "args"}

// CSVWriter writes spans as a table, one row a span in the order of the calls. Make one with
// NewCSV; it is for one goroutine.
type CSVWriter struct {
	w       *csv.Writer
	row     []string
	args    []byte
	started bool
	closed  bool
	err     error
}

// NewCSV returns a writer of a table to w. Close must be called at the end.
func NewCSV(w io.Writer) *CSVWriter {
	return &CSVWriter{w: csv.NewWriter(w), row: make([]string, len(csvHeader))}
}

// Span writes a row. The details are one JSON object, or nothing. A span that ends before it
// starts, or starts before time 0, is left out and becomes an error of Close.
func (c *CSVWriter) Span(s Span) {
	switch {
	case s.Start < 0 || s.End < s.Start:
		c.fail(fmt.Errorf("timeline: span %q on %q runs from %d ps to %d ps", s.Name, s.Track, s.Start, s.End))
		return
	case c.closed:
		c.fail(fmt.Errorf("timeline: written to after Close"))
		return
	}
	c.head()
	c.args = c.args[:0]
	if len(s.Args) > 0 {
		c.args = appendObject(c.args, s.Args)
	}
	r := c.row
	r[0], r[1], r[2] = s.Track, s.Name, s.Category
	r[3] = strconv.FormatInt(int64(s.Start), 10)
	r[4] = strconv.FormatInt(int64(s.End), 10)
	r[5] = strconv.FormatInt(int64(s.End-s.Start), 10)
	r[6] = string(c.args)
	c.write(r)
}

// Close flushes the table and returns the first error. It does not close the underlying writer. A
// table without spans has its header.
func (c *CSVWriter) Close() error {
	if c.closed {
		return c.err
	}
	c.head()
	c.closed = true
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		c.fail(fmt.Errorf("timeline: %w", err))
	}
	return c.err
}

// Err returns the first error so far.
func (c *CSVWriter) Err() error { return c.err }

func (c *CSVWriter) head() {
	if !c.started {
		c.started = true
		c.write(csvHeader)
	}
}

func (c *CSVWriter) write(row []string) {
	if err := c.w.Write(row); err != nil {
		c.fail(fmt.Errorf("timeline: %w", err))
	}
}

func (c *CSVWriter) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
