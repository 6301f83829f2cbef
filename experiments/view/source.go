package view

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim/spec"
)

// Kind is what the values of a column are.
type Kind uint8

// The kinds: float64, string and bool. Mixed is any of them.
const (
	Number Kind = iota
	Text
	Truth
	Mixed
)

// Column is what a name stands for.
type Column struct {
	Name      string
	Kind      Kind
	Unit      string // "" for counts, shares and texts
	About     string
	Parameter bool // of the sweep
}

// Source is a results database, or one sweep of it.
type Source struct {
	db    *store.Store
	Sweep *store.Sweep // nil for all rows
	// What the points of the sweep have by themselves: its parameters, figures that its file defines, then columns of table points.
	// A point has fewer values where the last of them are missing.
	own    []Column
	params int // of own
	points [][]any
	runs   []Column
}

// NoSweep says that there is no sweep of that name.
type NoSweep struct {
	Name, Near string
	Known      []string
}

func (e *NoSweep) Error() string {
	text := fmt.Sprintf("there is no sweep %q in the database", e.Name)
	switch {
	case e.Near != "":
		text += fmt.Sprintf("; did you mean %q?", e.Near)
	case len(e.Known) == 0:
		text += ", nor any other"
	default:
		text += "; it has " + strings.Join(e.Known, ", ")
	}
	return text
}

// Open looks at a sweep, or with "" at all rows.
func Open(ctx context.Context, db *store.Store, sweep string) (*Source, error) {
	s := &Source{db: db, runs: columnsOf("runs")}
	if sweep == "" {
		return s, nil
	}
	all, err := db.Sweeps(ctx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i := range all {
		if names[i] = all[i].Name; names[i] == sweep {
			s.Sweep = &all[i]
		}
	}
	if s.Sweep == nil {
		return nil, &NoSweep{sweep, spec.Suggest(sweep, names), names}
	}
	return s, s.readPoints(ctx)
}

// columnsOf lists the columns of a table that a name can stand for.
func columnsOf(table string) (list []Column) {
	for _, t := range store.Tables() {
		if t.Name != table {
			continue
		}
		for _, c := range t.Columns {
			kind := Number
			switch c.Type {
			case store.JSON, store.Blob:
				continue
			case store.Text:
				kind = Text
			case store.Bool:
				kind = Truth
			}
			list = append(list, Column{Name: c.Name, Kind: kind, Unit: c.Unit, About: c.Description})
		}
	}
	return list
}

// values of JSON objects that rows have, as columns.
type values struct {
	names []string
	kinds []Kind
	rows  [][]any
}

// add takes the values of the next row.
func (v *values) add(text string) error {
	row := make([]any, len(v.names))
	if text != "" {
		names, given, err := members(text)
		if err != nil {
			return err
		}
		for i, name := range names {
			k := slices.Index(v.names, name)
			if k < 0 {
				k = len(v.names)
				v.names, v.kinds, row = append(v.names, name), append(v.kinds, unset), append(row, nil)
			}
			if row[k] = given[i]; given[i] == nil {
				continue
			}
			switch kind := kindOf(given[i]); v.kinds[k] {
			case unset:
				v.kinds[k] = kind
			case kind:
			default:
				v.kinds[k] = Mixed
			}
		}
	}
	v.rows = append(v.rows, row)
	return nil
}

// unset is the kind of a column of which no value is known.
const unset Kind = 255

func (s *Source) readPoints(ctx context.Context) error {
	var parameters, figures values
	known := columnsOf("points")
	known = slices.DeleteFunc(known, func(c Column) bool { return c.Name == "sweep" })
	names := []string{"sweep", "parameters", "columns"}
	for _, c := range known {
		names = append(names, c.Name)
	}
	var own [][]any
	err := s.db.Scan(ctx, "points", names, func(row []any) error {
		if row[0] != s.Sweep.Name {
			return nil
		}
		for i, into := range []*values{&parameters, &figures} {
			text, _ := row[1+i].(string)
			if err := into.add(text); err != nil {
				return fmt.Errorf("%s: sweep %q: a point has %s that are %w", s.db.Path(), s.Sweep.Name, names[1+i], err)
			}
		}
		line := make([]any, len(known))
		for i := range line {
			line[i] = number(row[3+i])
		}
		own = append(own, line)
		return nil
	})
	if err != nil {
		return err
	}
	unit := specUnits(s.Sweep.Spec)
	for k, name := range parameters.names {
		c := Column{Name: name, Kind: parameters.kinds[k], Parameter: true, About: "parameter of the sweep"}
		if c.Kind == unset {
			c.Kind = Text
		}
		if c.Kind == Number {
			c.Unit = unit(name)
		}
		s.own = append(s.own, c)
	}
	s.params = len(s.own)
	for k, name := range figures.names {
		kind := figures.kinds[k]
		if kind == unset {
			kind = Number
		}
		s.own = append(s.own, Column{Name: name, Kind: kind, About: "figure that the file of the sweep defines"})
	}
	s.own = append(s.own, known...)
	for i := range own {
		row := make([]any, len(s.own))
		copy(row, parameters.rows[i])
		copy(row[s.params:], figures.rows[i])
		copy(row[len(s.own)-len(known):], own[i])
		s.points = append(s.points, row)
	}
	return nil
}

// number makes whole numbers numbers like all others.
func number(v any) any {
	if n, ok := v.(int64); ok {
		return float64(n)
	}
	return v
}

// members reads a JSON object of plain values, in its order.
func members(text string) (names []string, values []any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, fmt.Errorf("no JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, nil, err
		}
		switch v.(type) {
		case nil, float64, string, bool:
		default: // what no axis has, as a text
			b, err := json.Marshal(v)
			if err != nil {
				return nil, nil, err
			}
			v = string(b)
		}
		names, values = append(names, name.(string)), append(values, v)
	}
	return names, values, nil
}

func kindOf(v any) Kind {
	switch v.(type) {
	case string:
		return Text
	case bool:
		return Truth
	}
	return Number
}

// Parameters are those of the sweep, in the order of its points.
func (s *Source) Parameters() []Column { return slices.Clone(s.own[:s.params]) }

// Figures are those that are kept of points and not of rows: the ones that the file of the sweep defines, and others.
func (s *Source) Figures() (list []Column) {
	for _, c := range s.own[s.params:] {
		if c.Kind == Number && !slices.Contains([]string{"point", "generation", "violation"}, c.Name) {
			list = append(list, c)
		}
	}
	return list
}

// Columns are all that a name can stand for, parameters first.
func (s *Source) Columns() []Column {
	var all []Column
	for _, list := range [][]Column{s.own, s.runs} {
		for _, c := range list {
			if !slices.ContainsFunc(all, func(o Column) bool { return o.Name == c.Name }) {
				all = append(all, c)
			}
		}
	}
	return all
}

// Names are those of Columns.
func (s *Source) Names() []string {
	var names []string
	for _, c := range s.Columns() {
		names = append(names, c.Name)
	}
	return names
}

// Unknown says that a name stands for nothing.
type Unknown struct {
	Name, Near string
	Parameters []string // that there are
}

func (e *Unknown) Error() string {
	text := fmt.Sprintf("%q is no column", e.Name)
	if e.Parameters != nil {
		text += " or parameter"
	}
	if e.Near != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Near)
	}
	return text
}

// Hint says where names are to be found.
func (e *Unknown) Hint() string {
	hint := "columns are those of table runs, see docs/metrics.md"
	if len(e.Parameters) > 0 {
		hint = "parameters: " + strings.Join(e.Parameters, ", ") + "; " + hint
	}
	return hint
}

// words that people have for columns.
var words = map[string]string{
	"latency": "seconds", "time": "seconds", "throughput": "tokens_per_second", "tps": "tokens_per_second", "ttft": "ttft_seconds", "tpot": "tpot_seconds",
	"energy": "joules", "power": "average_watts", "watts": "average_watts", "cost": "usd_per_million_tokens", "usd": "usd_per_million_tokens", "machine": "arch",
	"utilization": "mfu", "context": "prompt", "memory": "weight_bytes",
}

// unknown is the error for a name that stands for nothing.
func (s *Source) unknown(name string) *Unknown {
	names := s.Names()
	near := spec.Suggest(name, names)
	if near == "" {
		near = words[strings.ToLower(name)]
	}
	e := &Unknown{Name: name, Near: near}
	for _, p := range s.own[:s.params] {
		e.Parameters = append(e.Parameters, p.Name)
	}
	return e
}

// Column returns what a name stands for, or *Unknown.
func (s *Source) Column(name string) (Column, error) {
	for _, list := range [][]Column{s.own, s.runs} {
		for _, c := range list {
			if c.Name == name {
				return c, nil
			}
		}
	}
	return Column{}, s.unknown(name)
}

// Read returns the values of names for every row, or *Unknown.
func (s *Source) Read(ctx context.Context, names []string) (*Frame, error) {
	f := &Frame{}
	var columns []string // of runs
	from := make([]int, len(names))
	own := make([]bool, len(names))
	for i, name := range names {
		c, err := s.Column(name)
		if err != nil {
			return nil, err
		}
		f.Columns = append(f.Columns, c)
		if k := s.ownIndex(name); k >= 0 {
			from[i], own[i] = k, true
		} else {
			from[i] = len(columns)
			columns = append(columns, name)
		}
	}
	// The key makes sure that there is something to read.
	scanned := append(slices.Clone(columns), "key")
	if s.Sweep == nil {
		err := s.db.Scan(ctx, "runs", scanned, func(row []any) error {
			out := make([]any, len(names))
			for i := range out {
				out[i] = number(row[i])
			}
			f.Rows = append(f.Rows, out)
			return nil
		})
		return f, err
	}
	key := s.ownIndex("key")
	runs := map[any][]any{}
	if len(columns) > 0 {
		wanted := map[any]bool{}
		for _, p := range s.points {
			wanted[p[key]] = true
		}
		err := s.db.Scan(ctx, "runs", scanned, func(row []any) error {
			if key := row[len(columns)]; wanted[key] {
				runs[key] = slices.Clone(row)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, p := range s.points {
		run := runs[p[key]]
		out := make([]any, len(names))
		for i := range out {
			switch {
			case own[i]:
				out[i] = p[from[i]]
			case run != nil:
				out[i] = number(run[from[i]])
			}
		}
		f.Rows = append(f.Rows, out)
	}
	return f, nil
}

// ownIndex is the place of a name among what points have by themselves, or -1.
func (s *Source) ownIndex(name string) int {
	return slices.IndexFunc(s.own, func(c Column) bool { return c.Name == name })
}

// asked are columns of what was asked: those that can tell rows apart where there is no sweep.
var asked = []string{"arch", "model", "phase", "fidelity", "runtime", "tp", "pp", "dp", "ep", "cp", "moe_tp", "attn_dp", "exchange", "in_flight", "sp", "chips", "batch", "prompt", "generate",
	"dtype", "weight_dtype", "kv_dtype", "micro_batch", "interleave", "schedule", "recompute", "zero_stage", "arrivals", "draft_tokens", "limit_watts"}

// Varying lists the columns of what was asked in which rows differ, machine and model in any case.
func (s *Source) Varying(ctx context.Context) ([]string, error) {
	f, err := s.Read(ctx, asked)
	if err != nil {
		return nil, err
	}
	var names []string
	for k, c := range f.Columns {
		differs := k < 2
		for _, row := range f.Rows {
			differs = differs || row[k] != f.Rows[0][k]
		}
		if differs {
			names = append(names, c.Name)
		}
	}
	return names, nil
}
