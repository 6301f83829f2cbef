package uncertainty

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// probabilities are those of the quantiles that the table holds.
var probabilities = [...]float64{0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95}

const median = len(probabilities) / 2

// Levels lists the levels that intervals may have, the usual one first.
func Levels() []float64 { return []float64{0.9, 0.8, 0.5} }

// quantilesOf are the quantiles that bound an interval of a level, as indices of probabilities; ok is false for other levels.
func quantilesOf(level float64) (low, high int, ok bool) {
	i := slices.Index(Levels(), level)
	return i, len(probabilities) - 1 - i, i >= 0
}

// Has reports whether intervals may have a level.
func Has(level float64) bool { return slices.Contains(Levels(), level) }

// LevelsText lists the levels.
func LevelsText() string {
	var words []string
	for _, l := range Levels() {
		words = append(words, strconv.FormatFloat(l, 'g', -1, 64))
	}
	return "one of " + strings.Join(words, ", ")
}

// HeldOut in place of a device says that an entry is what the next chip is off that nobody measured.
const HeldOut = "*"

// An Entry is what measurements say of a class on a device.
type Entry struct {
	Device  string // a preset, or HeldOut
	Class   string
	Runtime string // profile that whole models ran under, "" for operators
	N       int    // rows
	Devices int    // with HeldOut: chips, or kinds of runs, that were held out
	// Log are the quantiles of ln(measured/simulated) at the probabilities.
	Log      [len(probabilities)]float64
	Ranges   []Range
	Formats  []string // that were measured, sorted
	Runtimes []string // profiles that operators were measured under, sorted
}

// Range is what was measured of a dimension.
type Range struct {
	Name     string // as in requests
	Min, Max int64
}

// enough reports whether there are as many rows as a quantile needs: one beyond it.
func (e *Entry) enough(quantile int) bool {
	p := probabilities[quantile]
	return float64(e.N+1)*min(p, 1-p) >= 1
}

type key struct{ device, class, runtime string }

// A Table is entries. It does not change once it is made, and may be used by many goroutines at a time.
type Table struct {
	entries []Entry
	by      map[key]*Entry
}

// NewTable makes a table of entries.
func NewTable(entries []Entry) *Table {
	t := &Table{slices.Clone(entries), map[key]*Entry{}}
	slices.SortFunc(t.entries, func(a, b Entry) int {
		return slices.Compare([]string{a.Device, a.Class, a.Runtime}, []string{b.Device, b.Class, b.Runtime})
	})
	for i := range t.entries {
		e := &t.entries[i]
		t.by[key{e.Device, e.Class, e.Runtime}] = e
	}
	return t
}

// Entries lists the entries, sorted by device, class and runtime.
func (t *Table) Entries() []Entry { return slices.Clone(t.entries) }

// find returns an entry, nil if there is none.
func (t *Table) find(device, class, runtime string) *Entry { return t.by[key{device, class, runtime}] }

// Logs are the quantiles of ln(measured/simulated) that bound the interval of a level for a class on a preset's chip, and the median; ok is false
// if nothing is known of it. Whole models have a runtime.
func (t *Table) Logs(device, class, runtime string, level float64) (low, mid, high float64, ok bool) {
	l, h, ok := quantilesOf(level)
	if !ok {
		return 0, 0, 0, false
	}
	if runtime == "" {
		w, e, _ := t.spread(device, class, l, h)
		return w.low, w.mid, w.high, e != nil
	}
	e := t.find(device, class, runtime)
	if e == nil || !e.enough(l) {
		return 0, 0, 0, false
	}
	return e.Log[l], e.Log[median], e.Log[h], true
}

//go:embed table.csv
var tableText []byte

// Default is the table of the project's measurements.
var Default = sync.OnceValue(func() *Table {
	t, err := Read(bytes.NewReader(tableText))
	if err != nil {
		panic("uncertainty: table.csv: " + err.Error()) // a test reads it
	}
	return t
})

var columns = func() []string {
	list := []string{"device", "class", "runtime", "rows", "devices"}
	for _, p := range probabilities {
		list = append(list, fmt.Sprintf("log_p%02.0f", 100*p))
	}
	return append(list, "ranges", "formats", "runtimes")
}()

// Read reads what Write writes.
func Read(r io.Reader) (*Table, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || !slices.Equal(rows[0], columns) {
		return nil, fmt.Errorf("the columns are not %s", strings.Join(columns, ","))
	}
	var list []Entry
	for i, row := range rows[1:] {
		var failed error
		whole := func(text string) int64 {
			v, err := strconv.ParseInt(text, 10, 64)
			if err != nil && failed == nil {
				failed = fmt.Errorf("line %d: %w", i+2, err)
			}
			return v
		}
		e := Entry{Device: row[0], Class: row[1], Runtime: row[2], N: int(whole(row[3])), Devices: int(whole(row[4]))}
		for k := range e.Log {
			if e.Log[k], err = strconv.ParseFloat(row[5+k], 64); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+2, err)
			}
		}
		rest := row[5+len(e.Log):]
		for _, word := range strings.Fields(rest[0]) {
			name, bounds, _ := strings.Cut(word, "=")
			low, high, _ := strings.Cut(bounds, "..")
			e.Ranges = append(e.Ranges, Range{name, whole(low), whole(high)})
		}
		e.Formats, e.Runtimes = strings.Fields(rest[1]), strings.Fields(rest[2])
		if failed != nil {
			return nil, failed
		}
		list = append(list, e)
	}
	return NewTable(list), nil
}

// Write writes the table as CSV.
func (t *Table) Write(w io.Writer) error {
	out := csv.NewWriter(w)
	_ = out.Write(columns) // Flush keeps the error
	for i := range t.entries {
		e := &t.entries[i]
		row := []string{e.Device, e.Class, e.Runtime, strconv.Itoa(e.N), strconv.Itoa(e.Devices)}
		for _, v := range e.Log {
			row = append(row, strconv.FormatFloat(v, 'f', 3, 64))
		}
		var ranges []string
		for _, r := range e.Ranges {
			ranges = append(ranges, fmt.Sprintf("%s=%d..%d", r.Name, r.Min, r.Max))
		}
		_ = out.Write(append(row, strings.Join(ranges, " "), strings.Join(e.Formats, " "), strings.Join(e.Runtimes, " ")))
	}
	out.Flush()
	return out.Error()
}
