package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the parts of the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/view"
)

//go:embed page.html
var shell string

//go:embed page.css
var style string

//go:embed page.js
var script string

// data is what the script reads.
type data struct {
	Title      string      `json:"title"`
	About      string      `json:"about"`
	Rows       int         `json:"rows"`
	Columns    []column    `json:"columns"`
	Objectives []string    `json:"objectives"`
	Front      []int       `json:"front"`
	Volume     string      `json:"volume"`
	Stalls     parts       `json:"stalls"`
	Energy     parts       `json:"energy"`
	Machines   *machines   `json:"machines"`
	Roof       *roof       `json:"roof"`
	Statuses   []status    `json:"statuses"`
	Reasons    []reason    `json:"reasons"`
	Facts      [][2]string `json:"facts"`
	Notes      []string    `json:"notes"`
	Spec       string      `json:"spec"`
}

type column struct {
	Name   string          `json:"name"`
	Unit   string          `json:"unit,omitempty"`
	Kind   string          `json:"kind"` // number or text
	Role   string          `json:"role"` // axis, figure or label
	Goal   string          `json:"goal,omitempty"`
	About  string          `json:"about,omitempty"`
	Words  json.RawMessage `json:"words,omitempty"` // values are places in it, −1 for none
	Values json.RawMessage `json:"values,omitempty"`
	Same   string          `json:"same,omitempty"` // the column that has these values
}

type parts struct {
	Names  []string          `json:"names"`
	Values []json.RawMessage `json:"values"`
}

// machines are columns as well: a sweep can have as many as points.
type machines struct {
	Words     []string        `json:"words"`
	Name      []int           `json:"name"`
	DType     []int           `json:"dtype"`
	Tier      []int           `json:"tier"`
	Ops       json.RawMessage `json:"ops"`
	Bandwidth json.RawMessage `json:"bandwidth"`
}

type roof struct {
	Machine   []int           `json:"machine"`
	Intensity json.RawMessage `json:"intensity"`
	Rate      json.RawMessage `json:"rate"`
}

type status struct {
	Status string `json:"status"`
	Rows   int    `json:"rows"`
}

type reason struct {
	Status string `json:"status"`
	Reason string `json:"reason"`
	Rows   int    `json:"rows"`
}

// Options of Write.
type Options struct {
	Database string // name of the file, for the page to say
	Tool     string // what wrote the page
}

// Digits that figures keep.
const (
	figureDigits = 6
	partDigits   = 4
)

// numbers writes numbers as a JSON list, null for NaN.
func numbers(xs []float64, digits int) json.RawMessage {
	b := []byte{'['}
	for i, x := range xs {
		if i > 0 {
			b = append(b, ',')
		}
		b = number(b, x, digits)
	}
	return append(b, ']')
}

func number(b []byte, x float64, digits int) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(b, "null"...)
	}
	short := strconv.AppendFloat(nil, x, 'g', digits, 64)
	// 1.5e+09 is 1.5e9, and 1200 shorter than 1.2e3.
	if mantissa, exponent, ok := bytes.Cut(short, []byte("e")); ok {
		e, _ := strconv.Atoi(string(exponent))
		return strconv.AppendInt(append(append(b, mantissa...), 'e'), int64(e), 10)
	}
	return append(b, short...)
}

func ints(xs []int) json.RawMessage {
	b := []byte{'['}
	for i, x := range xs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(x), 10)
	}
	return append(b, ']')
}

// mostLevels of a number are told by their places in a list.
const mostLevels = 90

// keyLength is what the page shows of a key: enough to find the row.
const keyLength = 10

func encode(c view.Column, f *view.Frame, k int) (column, error) {
	out := column{Name: c.Name, Unit: c.Unit, About: c.About, Kind: "number"}
	if goal, ok := view.Goal(c); ok {
		out.Goal = goal.String()
	}
	if c.Kind == view.Number {
		xs := f.Numbers(k)
		var levels []float64
		for _, x := range xs {
			if !math.IsNaN(x) && !slices.Contains(levels, x) {
				if levels = append(levels, x); len(levels) > mostLevels {
					break
				}
			}
		}
		if len(levels) > mostLevels {
			out.Values = numbers(xs, figureDigits)
			return out, nil
		}
		slices.Sort(levels)
		places := make([]int, len(xs))
		for i, x := range xs {
			places[i] = slices.Index(levels, x)
		}
		out.Words, out.Values = numbers(levels, figureDigits), ints(places)
		return out, nil
	}
	out.Kind = "text"
	index := map[string]int{}
	words := []string{}
	places := make([]int, len(f.Rows))
	for i, row := range f.Rows {
		if row[k] == nil {
			places[i] = -1
			continue
		}
		word, ok := row[k].(string)
		if !ok {
			word = c.Show(row[k])
		}
		if c.Name == "key" {
			word = word[:min(len(word), keyLength)]
		}
		n, known := index[word]
		if !known {
			n = len(words)
			index[word], words = n, append(words, word)
		}
		places[i] = n
	}
	text, err := json.Marshal(words)
	out.Words, out.Values = text, ints(places)
	return out, err
}

func encodeParts(p view.Parts) parts {
	out := parts{Names: append([]string{}, p.Names...), Values: []json.RawMessage{}}
	for _, values := range p.Values {
		out.Values = append(out.Values, numbers(values, partDigits))
	}
	return out
}

// Write writes the page.
func Write(w io.Writer, r *view.Report, o Options) error {
	d, err := gather(r, o)
	if err != nil {
		return err
	}
	text, err := json.Marshal(d) // it escapes <, > and &, so that nothing in it can end the element
	if err != nil {
		return err
	}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var b strings.Builder
	b.Grow(len(text) + len(script) + 1<<14)
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'\">\n", hash(script), hash(style))
	fmt.Fprintf(&b, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n%s", html.EscapeString(d.Title), style, shell)
	fmt.Fprintf(&b, "<script type=\"application/json\" id=\"data\">%s</script>\n<script>%s</script>\n</body>\n</html>\n", text, script)
	_, err = io.WriteString(w, b.String())
	return err
}

func gather(r *view.Report, o Options) (*data, error) {
	f := r.Frame
	d := &data{Title: "All rows", Rows: len(f.Rows), Objectives: []string{}, Front: []int{}, Notes: r.Notes}
	if r.Sweep != nil {
		d.Title, d.Spec = r.Sweep.Name, r.Sweep.Spec
	}
	if d.Notes == nil {
		d.Notes = []string{}
	}
	d.About = fmt.Sprintf("%d points over %s.", len(f.Rows), strings.Join(r.Axes, ", "))
	for k, c := range f.Columns {
		one, err := encode(c, f, k)
		if err != nil {
			return nil, err
		}
		one.Role = "figure"
		switch {
		case slices.Contains(r.Axes, c.Name):
			one.Role = "axis"
		case c.Kind != view.Number:
			one.Role = "label"
		case c.Name == "point":
			one.Role = "label"
		}
		for _, o := range r.Objectives {
			if o.Name == c.Name {
				one.Goal = o.Goal.String()
				if one.Role == "figure" {
					one.Role = "objective"
				}
			}
		}
		// A decode step is the time of a token, too.
		same := slices.IndexFunc(d.Columns, func(o column) bool {
			return o.Kind == "number" && one.Kind == "number" && bytes.Equal(o.Values, one.Values) && bytes.Equal(o.Words, one.Words)
		})
		if same >= 0 {
			one.Same, one.Values, one.Words = d.Columns[same].Name, nil, nil
		}
		d.Columns = append(d.Columns, one)
	}
	for _, o := range r.Objectives {
		d.Objectives = append(d.Objectives, o.Name)
	}
	if r.Front != nil {
		d.Front = r.Front.Rows
		d.Volume = volume(r)
	}
	d.Stalls, d.Energy = encodeParts(r.Stalls), encodeParts(r.Energy)
	if len(r.Machines) > 0 {
		d.Machines = &machines{}
		index := map[string]int{}
		word := func(text string) int {
			n, known := index[text]
			if !known {
				n = len(d.Machines.Words)
				index[text], d.Machines.Words = n, append(d.Machines.Words, text)
			}
			return n
		}
		var ops, bandwidth []float64
		for _, m := range r.Machines {
			d.Machines.Name, d.Machines.DType, d.Machines.Tier = append(d.Machines.Name, word(m.Name)), append(d.Machines.DType, word(m.DType)), append(d.Machines.Tier, word(m.Tier))
			ops, bandwidth = append(ops, m.Ops), append(bandwidth, m.Bandwidth)
		}
		d.Machines.Ops, d.Machines.Bandwidth = numbers(ops, figureDigits), numbers(bandwidth, figureDigits)
		d.Roof = &roof{}
		x, y := make([]float64, len(r.Roof)), make([]float64, len(r.Roof))
		for i, p := range r.Roof {
			d.Roof.Machine = append(d.Roof.Machine, p.Machine)
			if x[i], y[i] = p.Intensity, p.Rate; p.Machine < 0 {
				x[i], y[i] = math.NaN(), math.NaN()
			}
		}
		d.Roof.Intensity, d.Roof.Rate = numbers(x, partDigits), numbers(y, partDigits)
	}
	d.Statuses, d.Reasons = []status{}, []reason{}
	for _, s := range r.Statuses {
		d.Statuses = append(d.Statuses, status(s))
	}
	for _, s := range r.Reasons {
		d.Reasons = append(d.Reasons, reason(s))
	}
	d.Facts = facts(r, o)
	return d, nil
}

// volume says how good the front is.
func volume(r *view.Report) string {
	var goals, at []string
	for i, o := range r.Objectives {
		goals = append(goals, o.Name+" "+o.Goal.String())
		at = append(at, o.Show(r.Front.Reference[i]))
	}
	return fmt.Sprintf("Front of %s: %d of %d points that are ok; hypervolume %s up to %s. The line is the front of the two figures shown.",
		strings.Join(goals, ", "), len(r.Front.Rows), r.Front.Compared, report.Number(r.Front.Volume), strings.Join(at, ", "))
}

func facts(r *view.Report, o Options) [][2]string {
	list := [][2]string{{"database", o.Database}}
	if r.Sweep != nil {
		list = append(list, [2]string{"sweep", r.Sweep.Name}, [2]string{"kind", r.Sweep.Kind}, [2]string{"hash of its points", r.Sweep.SpecHash})
		if n := int64(len(r.Frame.Rows)); r.Sweep.Count > n {
			list = append(list, [2]string{"not run yet", fmt.Sprint(r.Sweep.Count - n)})
		}
	}
	for _, v := range r.Versions {
		list = append(list, [2]string{"models", fmt.Sprintf("%s, %d rows by %s", v.Models, v.Rows, v.Tool)})
	}
	// What all rows have in common.
	for k, c := range r.Frame.Columns {
		if slices.Contains(r.Axes, c.Name) || c.Kind == view.Number || slices.Contains([]string{"key", "status", "reason", "bound_by"}, c.Name) {
			continue
		}
		seen := map[any]bool{}
		var only string
		for _, row := range r.Frame.Rows {
			if row[k] != nil && !seen[row[k]] {
				seen[row[k]], only = true, c.Show(row[k])
			}
		}
		if len(seen) == 1 {
			list = append(list, [2]string{c.Name, only})
		}
	}
	return append(list, [2]string{"page by", o.Tool})
}
