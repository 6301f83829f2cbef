package costs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/portable"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Columns of a table by what they hold.
var (
	patterns = []string{"arch", "name", "phase"}
	words    = []string{"dtype", "weight_dtype", "kv_dtype", "causal"}
	numbers  = []string{"m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "q_len", "past_len", "rows", "cols", "bytes", "ranks"}
)

// Columns lists the columns that a table may have.
func Columns() []string {
	all := slices.Concat([]string{"kind"}, patterns, numbers, words)
	return append(all, "seconds", "joules")
}

// maxRows bounds a table, which is searched for every distinct operator.
const maxRows = 100_000

// anything in a number column is a field that is not filled in.
const anything = -1

// row is one line of a table.
type row struct {
	line     int
	kind     string
	patterns [3]string
	words    [4]string
	numbers  [13]int64
	filled   int // columns that an operator has to agree with
	cost     plan.Cost
}

// Table is a table of costs.
type Table struct {
	// Interpolate answers for operators between rows too.
	Interpolate bool

	name string
	key  string
	rows []row // the most specific first
}

// String names the table in reports.
func (t *Table) String() string { return "cost file " + t.name }

// Key identifies what the table answers.
func (t *Table) Key() string {
	return digest(t.String(), fmt.Sprint(t.Interpolate), t.key)
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ReadTable reads a CSV file. The name is used in messages and reports only. The error is of type *spec.Error and has
// every problem with its line.
func ReadTable(name string, data []byte) (*Table, error) {
	r := &tableReader{t: &Table{name: name, key: digest(string(data))}}
	r.read(data)
	if len(r.problems) > 0 {
		return nil, &spec.Error{Problems: r.problems}
	}
	slices.SortStableFunc(r.t.rows, func(a, b row) int { return cmp.Compare(b.filled, a.filled) })
	return r.t, nil
}

type tableReader struct {
	t        *Table
	columns  []string
	problems []spec.Problem
}

func (r *tableReader) problem(line int, field, hint, format string, args ...any) {
	r.problems = append(r.problems, spec.Problem{File: r.t.name, Line: line, Path: field, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *tableReader) read(data []byte) {
	if !utf8.Valid(data) {
		r.problem(1, "", "", "not a text in UTF-8")
		return
	}
	c := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	c.Comment, c.TrimLeadingSpace, c.ReuseRecord = '#', true, true
	seen := map[row]int{}
	for first := true; ; first = false {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			r.problem(bad.Line, "", "", "%v", bad.Err)
			return
		}
		if err != nil {
			r.problem(1, "", "", "%v", err)
			return
		}
		line, _ := c.FieldPos(0)
		if first {
			if !r.header(line, fields) {
				return
			}
			continue
		}
		if len(r.t.rows) == maxRows {
			r.problem(line, "", "", "more than %d rows", maxRows)
			return
		}
		before := len(r.problems)
		x := r.row(line, fields)
		if len(r.problems) > before {
			continue
		}
		same := x
		same.line, same.cost = 0, plan.Cost{}
		if at, twice := seen[same]; twice {
			r.problem(line, "", "leave one of them out", "for the same operators as line %d", at)
			continue
		}
		seen[same] = line
		r.t.rows = append(r.t.rows, x)
	}
	if len(r.problems) == 0 && len(r.t.rows) == 0 {
		r.problem(1, "", "a line of column names, then a line for each operator", "no costs in the file")
	}
}

// header reads the names of the columns.
func (r *tableReader) header(line int, fields []string) bool {
	known := Columns()
	for i, f := range fields {
		name := strings.TrimSpace(f)
		if !slices.Contains(known, name) {
			hint := "columns: " + strings.Join(known, ", ")
			if near := spec.Suggest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.problem(line, "", hint, "column %d is called %q", i+1, shorten(name))
		} else if slices.Contains(r.columns, name) {
			r.problem(line, name, "", "the column is there twice")
		}
		r.columns = append(r.columns, name)
	}
	for _, need := range []string{"kind", "seconds"} {
		if len(r.problems) == 0 && !slices.Contains(r.columns, need) {
			r.problem(line, need, "the first line names the columns", "no such column")
		}
	}
	return len(r.problems) == 0
}

// row reads one line.
func (r *tableReader) row(line int, fields []string) row {
	x := row{line: line}
	for i := range x.numbers {
		x.numbers[i] = anything
	}
	x.cost.Source = fmt.Sprintf("%s, line %d", r.t.String(), line)
	given := map[string]bool{}
	for i, name := range r.columns {
		text := strings.TrimSpace(fields[i])
		if text == "" {
			if name == "seconds" {
				r.problem(line, name, `a number of seconds, or a text such as "12.5 us"`, "nothing is given")
			}
			continue
		}
		given[name] = true
		r.value(&x, line, name, text)
	}
	own := dimensions(x.kind)
	for _, name := range slices.Concat(numbers, words) {
		if given[name] && own != nil && !slices.Contains(own, name) {
			r.problem(line, name, fmt.Sprintf("%s has %s", x.kind, strings.Join(own, ", ")), "%s has no such dimension", x.kind)
		}
	}
	for _, v := range x.numbers {
		if v != anything {
			x.filled++
		}
	}
	for _, v := range slices.Concat([]string{x.kind}, x.patterns[:], x.words[:]) {
		if v != "" {
			x.filled++
		}
	}
	return x
}

// value reads one field that is filled in.
func (r *tableReader) value(x *row, line int, name, text string) {
	switch name {
	case "kind":
		x.kind = text
		for k := range strings.SplitSeq(text, "+") {
			if _, err := traces.ParseKind(k); err != nil {
				hint := "kinds: " + strings.Join(traces.Kinds(), ", ")
				if near := spec.Suggest(k, traces.Kinds()); near != "" {
					hint = fmt.Sprintf("did you mean %q?", near)
				}
				r.problem(line, name, hint, "%q is no kind of operator", shorten(k))
			}
		}
		return
	case "seconds":
		t, err := Seconds(text)
		if err != nil {
			r.problem(line, name, "", "%v", err)
		}
		x.cost.Time = t
		return
	case "joules":
		j, err := Joules(text)
		if err != nil {
			r.problem(line, name, "", "%v", err)
		}
		x.cost.Joules = j
		return
	}
	if i := slices.Index(patterns, name); i >= 0 {
		x.patterns[i] = text
		if _, err := path.Match(text, ""); err != nil {
			r.problem(line, name, `* stands for any characters, ? for one, [ab] for one of some`, "%q is no pattern", shorten(text))
		}
		return
	}
	if i := slices.Index(words, name); i >= 0 {
		if x.words[i] = text; name == "causal" {
			if text != "true" && text != "false" {
				r.problem(line, name, "", "%q: must be true or false", shorten(text))
			}
			return
		}
		d, err := traces.ParseDType(text)
		if err != nil {
			r.problem(line, name, "", "%v", err)
		}
		x.words[i] = d.String()
		return
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n == 0 && name != "past_len" {
		r.problem(line, name, "", "%q: must be a whole number in plain digits, such as 4096", shorten(text))
	}
	x.numbers[slices.Index(numbers, name)] = n
}

// dimensions lists what operators of a kind are told by, nil for any kind.
func dimensions(kind string) []string {
	if kind == "" {
		return nil
	}
	q := plan.Query{Kind: kind}
	var names []string
	for _, f := range q.Fields() {
		names = append(names, f.Name)
	}
	return names
}

// scales are the units of a time and of an energy: how many of them are one second or joule, so that dividing rounds once.
var (
	timeScales   = []scale{{"ps", 1e12}, {"ns", 1e9}, {"us", 1e6}, {"µs", 1e6}, {"μs", 1e6}, {"ms", 1e3}, {"s", 1}}
	energyScales = []scale{{"pJ", 1e12}, {"nJ", 1e9}, {"uJ", 1e6}, {"µJ", 1e6}, {"mJ", 1e3}, {"J", 1}}
)

type scale struct {
	unit string
	per  float64
}

// quantity reads a plain number, or one with a unit behind it.
func quantity(text string, scales []scale) (float64, error) {
	per := 1.0
	number := text
	for _, s := range scales {
		if rest, ok := strings.CutSuffix(text, s.unit); ok {
			number, per = strings.TrimSpace(rest), s.per
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) || strings.ContainsAny(number, "xXpP_") {
		return 0, fmt.Errorf("%q: must be a number, or a number with a unit: %s", shorten(text), unitsOf(scales))
	}
	return v / per, nil
}

func unitsOf(scales []scale) string {
	var names []string
	for _, s := range scales {
		names = append(names, s.unit)
	}
	return strings.Join(names, ", ")
}

// Seconds reads a time: a number of seconds, or a text with a unit such as "12.5 us".
func Seconds(text string) (units.Time, error) {
	v, err := quantity(text, timeScales)
	if err != nil {
		return 0, err
	}
	return units.Seconds(v)
}

// Joules reads an energy: a number of joules, or a text with a unit such as "3 mJ".
func Joules(text string) (units.Joules, error) {
	v, err := quantity(text, energyScales)
	if err != nil {
		return 0, err
	}
	return checkJoules(v)
}

// maxJoules is more than any kernel takes; what is counted in picojoules stays far within 64 bits.
const maxJoules = 1e6

func checkJoules(v float64) (units.Joules, error) {
	if !(v > 0 && v < maxJoules) {
		return 0, fmt.Errorf("%g J: an energy must be more than 0 and less than 1 MJ", v)
	}
	return units.Joules(v), nil
}

func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Cost implements plan.Coster.
func (t *Table) Cost(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
	o := shapeOf(&q)
	for i := range t.rows {
		if r := &t.rows[i]; r.suits(&o, true) {
			return r.cost, true, nil
		}
	}
	if !t.Interpolate {
		return plan.Cost{}, false, nil
	}
	c, ok := t.between(&o)
	return c, ok, nil
}

// shape is an operator by the columns of a table.
type shape struct {
	kind     string
	patterns [3]string
	words    [4]string
	numbers  [13]int64
}

func shapeOf(q *plan.Query) shape {
	s := shape{kind: q.Kind, patterns: [3]string{q.Arch, q.Name, q.Phase}}
	for i := range s.numbers {
		s.numbers[i] = anything - 1 // a dimension that the operator does not have
	}
	for _, f := range q.Fields() {
		if i := slices.Index(numbers, f.Name); i >= 0 {
			s.numbers[i] = f.N
		} else if i := slices.Index(words, f.Name); i >= 0 {
			s.words[i] = f.Word
		}
	}
	return s
}

// matches tells whether a name fits a pattern, in which * stands for any characters at all.
func matches(pattern, name string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	ok, err := path.Match(flat(pattern), flat(name))
	return ok && err == nil
}

// suits tells whether the row is for the operator; without exact, whether it is for one that differs in numbers only.
func (r *row) suits(o *shape, exact bool) bool {
	if r.kind != "" && r.kind != o.kind {
		return false
	}
	for i, p := range r.patterns {
		if p == "" || p == o.patterns[i] {
			continue
		}
		if !matches(p, o.patterns[i]) {
			return false
		}
	}
	for i, w := range r.words {
		if w != "" && w != o.words[i] {
			return false
		}
	}
	for i, n := range r.numbers {
		if n != anything && (exact && n != o.numbers[i] || o.numbers[i] < anything) {
			return false
		}
	}
	return true
}

// between finds the cost of an operator between rows that have the same columns filled in.
func (t *Table) between(o *shape) (plan.Cost, bool) {
	type columns struct {
		kind     bool
		patterns [3]string
		words    [4]bool
		numbers  [13]bool
	}
	var order []columns
	groups := map[columns][]*row{}
	for i := range t.rows {
		r := &t.rows[i]
		if !r.suits(o, false) || r.cost.Time == 0 {
			continue
		}
		c := columns{kind: r.kind != "", patterns: r.patterns}
		for k, w := range r.words {
			c.words[k] = w != ""
		}
		for k, n := range r.numbers {
			c.numbers[k] = n != anything
		}
		if groups[c] == nil {
			order = append(order, c)
		}
		groups[c] = append(groups[c], r)
	}
	for _, c := range order {
		var dims []int
		for k, has := range c.numbers {
			if has {
				dims = append(dims, k)
			}
		}
		if p, ok := interpolate(groups[c], dims, o); ok {
			slices.Sort(p.lines)
			p.lines = slices.Compact(p.lines)
			var lines []string
			for _, l := range p.lines {
				lines = append(lines, strconv.Itoa(l))
			}
			return plan.Cost{Time: p.time, Joules: p.joules, Source: fmt.Sprintf("%s, between lines %s", t.String(), strings.Join(lines, ", "))}, true
		}
	}
	if len(order) == 0 {
		return plan.Cost{}, false
	}
	return plan.Cost{Source: "it lies outside of the rows of " + t.String()}, false
}

// point is a cost at or between rows.
type point struct {
	time   units.Time
	joules units.Joules
	lines  []int
}

// interpolate finds the cost of an operator among rows, dimension by dimension: at the value itself if there are rows that
// have it, else between the nearest values below and above that have a cost.
func interpolate(rows []*row, dims []int, o *shape) (point, bool) {
	if len(dims) == 0 {
		r := rows[0]
		return point{r.cost.Time, r.cost.Joules, []int{r.line}}, true
	}
	d := dims[0]
	at := map[int64][]*row{}
	var values []int64
	for _, r := range rows {
		v := r.numbers[d]
		if at[v] == nil {
			values = append(values, v)
		}
		at[v] = append(at[v], r)
	}
	want := o.numbers[d]
	if at[want] != nil {
		if p, ok := interpolate(at[want], dims[1:], o); ok {
			return p, true
		}
	}
	slices.Sort(values)
	i, _ := slices.BinarySearch(values, want)
	var low, high point
	var l, h int
	found := false
	for l = i - 1; l >= 0 && !found; l-- {
		low, found = interpolate(at[values[l]], dims[1:], o)
	}
	if !found {
		return point{}, false
	}
	l++
	found = false
	for h = i; h < len(values) && !found; h++ {
		if values[h] != want {
			high, found = interpolate(at[values[h]], dims[1:], o)
		}
	}
	if !found {
		return point{}, false
	}
	h--
	// Lengths of caches may be 0, so they count from 1.
	one := 0.0
	if numbers[d] == "past_len" {
		one = 1
	}
	ln := func(v int64) float64 { return portable.Ln(float64(v) + one) }
	w := (ln(want) - ln(values[l])) / (ln(values[h]) - ln(values[l]))
	p := point{lines: append(low.lines, high.lines...)}
	t, err := units.Seconds(blend(low.time.Seconds(), high.time.Seconds(), w))
	if err != nil {
		return point{}, false
	}
	p.time = min(max(t, min(low.time, high.time)), max(low.time, high.time))
	if low.joules > 0 && high.joules > 0 {
		p.joules = units.Joules(blend(float64(low.joules), float64(high.joules), w))
	}
	return p, true
}

// blend goes from a to b on a straight line in their logarithms.
func blend(a, b, w float64) float64 {
	return a * portable.Exp(float64(w*portable.Ln(b/a)))
}
