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
	db     *store.Store
	Sweep  *store.Sweep  // nil for all rows
	Points []store.Point // of the sweep
	params []Column
	values [][]any // of each point, in the order of params
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
	s := &Source{db: db}
	for _, c := range store.Tables()[0].Columns {
		if c.Type == store.JSON || c.Type == store.Blob {
			continue
		}
		kind := Number
		switch c.Type {
		case store.Text:
			kind = Text
		case store.Bool:
			kind = Truth
		}
		s.runs = append(s.runs, Column{Name: c.Name, Kind: kind, Unit: c.Unit, About: c.Description})
	}
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
	s.runs = append(s.runs, Column{Name: "point", About: "place in the order of the sweep, from 0"}, Column{Name: "generation", About: "generation of a search, from 0"},
		Column{Name: "violation", About: "by how much constraints are missed, each as a share of its limit"})
	return s, s.readPoints(ctx)
}

func (s *Source) readPoints(ctx context.Context) error {
	index := map[string]int{}
	read := map[string]Kind{}
	err := s.db.Points(ctx, s.Sweep.Name, func(p store.Point) error {
		names, values, err := members(p.Parameters)
		if err != nil {
			return fmt.Errorf("%s: sweep %q, point %d: its parameters are %w", s.db.Path(), s.Sweep.Name, p.Index, err)
		}
		row := make([]any, len(s.params), len(s.params)+len(names))
		for i, name := range names {
			k, known := index[name]
			if !known {
				k = len(s.params)
				index[name] = k
				s.params = append(s.params, Column{Name: name, Parameter: true, About: "parameter of the sweep"})
				row = append(row, nil)
			}
			row[k] = values[i]
			if values[i] == nil {
				continue
			}
			kind := kindOf(values[i])
			if old, seen := read[name]; seen && old != kind {
				kind = Mixed
			}
			read[name] = kind
		}
		s.values = append(s.values, row)
		s.Points = append(s.Points, p)
		return nil
	})
	units := specUnits(s.Sweep.Spec)
	for i := range s.params {
		p := &s.params[i]
		if p.Kind = read[p.Name]; p.Kind == Number {
			p.Unit = units(p.Name)
		}
	}
	return err
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
func (s *Source) Parameters() []Column { return slices.Clone(s.params) }

// Columns are all that a name can stand for, parameters first.
func (s *Source) Columns() []Column {
	all := slices.Clone(s.params)
	for _, c := range s.runs {
		if !slices.ContainsFunc(s.params, func(p Column) bool { return p.Name == c.Name }) {
			all = append(all, c)
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
	for _, p := range s.params {
		e.Parameters = append(e.Parameters, p.Name)
	}
	return e
}

// Column returns what a name stands for, or *Unknown.
func (s *Source) Column(name string) (Column, error) {
	for _, list := range [][]Column{s.params, s.runs} {
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
	for i, name := range names {
		c, err := s.Column(name)
		if err != nil {
			return nil, err
		}
		f.Columns = append(f.Columns, c)
		if !c.Parameter && !s.ofPoint(name) {
			from[i] = len(columns)
			columns = append(columns, name)
		}
	}
	number := func(v any) any {
		if n, ok := v.(int64); ok {
			return float64(n)
		}
		return v
	}
	if s.Sweep == nil {
		// The key makes sure that there is something to read.
		err := s.db.Scan(ctx, "runs", append(slices.Clone(columns), "key"), func(row []any) error {
			out := make([]any, len(names))
			for i := range out {
				out[i] = number(row[i])
			}
			f.Rows = append(f.Rows, out)
			return nil
		})
		return f, err
	}
	runs := map[string][]any{}
	if len(columns) > 0 {
		wanted := map[string]bool{}
		for i := range s.Points {
			wanted[s.Points[i].Key] = true
		}
		err := s.db.Scan(ctx, "runs", append(slices.Clone(columns), "key"), func(row []any) error {
			if key := row[len(columns)].(string); wanted[key] {
				runs[key] = slices.Clone(row)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range s.Points {
		p := &s.Points[i]
		run := runs[p.Key]
		out := make([]any, len(names))
		for k, c := range f.Columns {
			switch {
			case c.Parameter:
				n := slices.IndexFunc(s.params, func(q Column) bool { return q.Name == c.Name })
				if n < len(s.values[i]) {
					out[k] = s.values[i][n]
				}
			case s.ofPoint(c.Name):
				out[k] = pointValue(p, c.Name)
			case run != nil:
				out[k] = number(run[from[k]])
			}
		}
		f.Rows = append(f.Rows, out)
	}
	return f, nil
}

// ofPoint tells whether a column is one of table points.
func (s *Source) ofPoint(name string) bool {
	return s.Sweep != nil && slices.Contains([]string{"point", "status", "reason", "key", "generation", "violation"}, name)
}

func pointValue(p *store.Point, name string) any {
	text := func(v string) any {
		if v == "" {
			return nil
		}
		return v
	}
	switch name {
	case "point":
		return float64(p.Index)
	case "status":
		return p.Status
	case "reason":
		return text(p.Reason)
	case "key":
		return text(p.Key)
	case "generation":
		if p.Generation != nil {
			return float64(*p.Generation)
		}
	case "violation":
		if p.Violation != nil {
			return *p.Violation
		}
	}
	return nil
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
