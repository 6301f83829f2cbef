package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Report is all that a report shows of a source.
type Report struct {
	Sweep      *store.Sweep // nil for all rows
	Frame      *Frame       // axes, objectives, figures and labels
	Axes       []string     // columns that were varied
	Objectives []Objective
	Front      *Front // nil where nothing can be compared

	Stalls Parts // time by cause, in seconds
	Energy Parts // energy by component, in joules; the smallest of many put together

	Machines []Machine
	Roof     []RoofPoint // of each row

	Statuses []Status
	Reasons  []Reason
	Versions []Version
	Notes    []string // what is not shown, and why
}

// Parts divide a figure of each row.
type Parts struct {
	Names  []string
	Values [][]float64 // of each part, by row; NaN where a row has none
}

// Machine is the roofline of a machine with operands of one type.
type Machine struct {
	Name, DType string
	Ops         float64 // peak of the matrix units of a chip, operations per second
	Bandwidth   float64 // peak of the fastest memory off chip, bytes per second
	Tier        string
	Rows        int
}

// RoofPoint is where a row is in a roofline.
type RoofPoint struct {
	Machine   int     // -1 where it is in none
	Intensity float64 // operations for each byte read from or written to memory off chip
	Rate      float64 // operations per second and chip
}

// Reason is why rows are not ok.
type Reason struct {
	Status, Reason string
	Rows           int
}

// Version is what made rows.
type Version struct {
	Models, Tool string
	Rows         int
}

// figures are the columns that a report shows beside axes and objectives, as far as rows have them.
var figures = []string{"seconds", "ttft_seconds", "tpot_seconds", "tokens_per_second", "requests_per_second", "mfu", "hfu", "joules", "joules_per_token", "average_watts", "peak_watts",
	"usd_per_hour", "usd_per_million_tokens", "weight_bytes", "kv_bytes", "activation_bytes", "floor_seconds", "bubble_seconds", "chips", "tokens_per_second_per_chip"}

// labels are the texts that it shows.
var labels = []string{"key", "status", "reason", "arch", "model", "phase", "fidelity", "parallel", "dtype", "bound_by"}

// mostMachines bounds the machine files that are read for rooflines.
const mostMachines = 20000

// mostParts of an energy are told apart, as many as there are colours for.
const mostParts = 11

// Gather collects what a report shows. Without objectives it takes throughput and energy of a token, or what rows have.
func Gather(ctx context.Context, s *Source, objectives []Objective) (*Report, error) {
	r := &Report{Sweep: s.Sweep}
	var err error
	if s.Sweep != nil {
		for _, p := range s.own[:s.params] {
			r.Axes = append(r.Axes, p.Name)
		}
	} else if r.Axes, err = s.Varying(ctx); err != nil {
		return nil, err
	}
	names := slices.Clone(r.Axes)
	add := func(list ...string) {
		for _, name := range list {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, o := range objectives {
		add(o.Name)
	}
	if s.Sweep != nil {
		add("point")
	}
	add(labels...)
	for _, c := range s.Figures() {
		add(c.Name)
	}
	add(figures...)
	// Read for the roofline and the provenance, not shown.
	shown := len(names)
	add("hfu", "seconds", "dtype", "arch", "model_version", "created_by")
	f, err := s.Read(ctx, names)
	if err != nil {
		return nil, err
	}
	all := f
	r.Frame = f.part(func(k int) bool {
		return k < shown && (k < len(r.Axes) || slices.ContainsFunc(f.Rows, func(row []any) bool { return row[k] != nil }))
	})
	f = r.Frame
	r.Statuses = f.Statuses()
	if r.Objectives = objectives; len(objectives) == 0 {
		r.Objectives = f.usualObjectives()
	}
	if len(r.Objectives) > 0 {
		for _, o := range r.Objectives {
			if f.Index(o.Name) < 0 {
				return nil, fmt.Errorf("%q: %w", o.Name, ErrNoValues)
			}
		}
		r.Front, err = f.Front(r.Objectives, nil)
		if err != nil && !errors.Is(err, ErrNoValues) {
			return nil, err
		}
		if errors.Is(err, ErrNoValues) {
			r.Front = nil
			r.Notes = append(r.Notes, "no front: no row that is ok has a value for each objective")
		}
	}
	rows := map[string][]int{}
	key := all.Index("key")
	for i, row := range all.Rows {
		if k, ok := row[key].(string); ok {
			rows[k] = append(rows[k], i)
		}
	}
	if r.Stalls, err = s.parts(ctx, "stalls", "cause", "seconds", rows, len(all.Rows)); err != nil {
		return nil, err
	}
	if r.Energy, err = s.parts(ctx, "energy", "component", "joules", rows, len(all.Rows)); err != nil {
		return nil, err
	}
	r.Energy = r.Energy.Merged(mostParts)
	if err := s.roofline(ctx, r, all, rows); err != nil {
		return nil, err
	}
	r.provenance(all)
	return r, nil
}

// part is a frame with some of the columns.
func (f *Frame) part(keep func(k int) bool) *Frame {
	out := &Frame{}
	var kept []int
	for k, c := range f.Columns {
		if keep(k) {
			kept = append(kept, k)
			out.Columns = append(out.Columns, c)
		}
	}
	for _, row := range f.Rows {
		line := make([]any, len(kept))
		for i, k := range kept {
			line[i] = row[k]
		}
		out.Rows = append(out.Rows, line)
	}
	return out
}

// usualObjectives are throughput and energy of a token where rows differ in them, else two other figures.
func (f *Frame) usualObjectives() (list []Objective) {
	for _, name := range []string{"tokens_per_second", "joules_per_token", "seconds", "joules", "average_watts"} {
		k := f.Index(name)
		if k < 0 || len(list) == 2 {
			continue
		}
		low, high := math.Inf(1), math.Inf(-1)
		for _, x := range f.Numbers(k) {
			if !math.IsNaN(x) {
				low, high = min(low, x), max(high, x)
			}
		}
		if low <= high {
			goal, _ := Goal(f.Columns[k])
			list = append(list, Objective{f.Columns[k], goal})
		}
	}
	return list
}

// parts reads a table that divides a figure of rows.
func (s *Source) parts(ctx context.Context, table, name, value string, rows map[string][]int, n int) (p Parts, err error) {
	err = s.db.Scan(ctx, table, []string{"key", name, value}, func(row []any) error {
		of := rows[row[0].(string)]
		x, ok := Float(row[2])
		if of == nil || !ok {
			return nil
		}
		k := slices.Index(p.Names, row[1].(string))
		if k < 0 {
			k = len(p.Names)
			p.Names = append(p.Names, row[1].(string))
			values := make([]float64, n)
			for i := range values {
				values[i] = math.NaN()
			}
			p.Values = append(p.Values, values)
		}
		for _, i := range of {
			p.Values[k][i] = x
		}
		return nil
	})
	return p.nonzero(), err
}

// nonzero leaves out parts that are nothing in every row.
func (p Parts) nonzero() (out Parts) {
	for k, values := range p.Values {
		if slices.ContainsFunc(values, func(x float64) bool { return x > 0 }) {
			out.Names, out.Values = append(out.Names, p.Names[k]), append(out.Values, values)
		}
	}
	return out
}

// Merged puts the smallest parts together, so that there are at most so many.
func (p Parts) Merged(most int) Parts {
	if len(p.Names) <= most {
		return p
	}
	totals := make([]float64, len(p.Names))
	order := make([]int, len(p.Names))
	for k, values := range p.Values {
		order[k] = k
		for _, x := range values {
			if !math.IsNaN(x) {
				totals[k] += x
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(totals[b], totals[a]) })
	kept := slices.Sorted(slices.Values(order[:most-1]))
	var out Parts
	for _, k := range kept {
		out.Names, out.Values = append(out.Names, p.Names[k]), append(out.Values, p.Values[k])
	}
	rest := make([]float64, len(p.Values[0]))
	for i := range rest {
		rest[i] = math.NaN()
		for _, k := range order[most-1:] {
			if x := p.Values[k][i]; !math.IsNaN(x) {
				if math.IsNaN(rest[i]) {
					rest[i] = 0
				}
				rest[i] += x
			}
		}
	}
	out.Names, out.Values = append(out.Names, fmt.Sprintf("%d others", len(p.Names)-len(kept))), append(out.Values, rest)
	return out
}

// roofline reads the machines of rows and finds where each row is.
func (s *Source) roofline(ctx context.Context, r *Report, f *Frame, rows map[string][]int) error {
	r.Roof = make([]RoofPoint, len(f.Rows))
	for i := range r.Roof {
		r.Roof[i].Machine = -1
	}
	requests := map[string]string{} // by key
	err := s.db.Scan(ctx, "runs", []string{"key", "request"}, func(row []any) error {
		if key := row[0].(string); rows[key] != nil {
			requests[key], _ = row[1].(string)
		}
		return nil
	})
	if err != nil {
		return err
	}
	bytes := map[string]map[string]float64{} // of a row, by tier
	err = s.db.Scan(ctx, "memory", []string{"key", "tier", "read_bytes", "written_bytes"}, func(row []any) error {
		key := row[0].(string)
		if rows[key] == nil {
			return nil
		}
		read, _ := row[2].(int64)
		written, _ := row[3].(int64)
		if bytes[key] == nil {
			bytes[key] = map[string]float64{}
		}
		bytes[key][row[1].(string)] += float64(read) + float64(written)
		return nil
	})
	if err != nil {
		return err
	}
	type roof struct {
		chip  *chip
		dtype string
	}
	read := reader{db: s.db, machines: map[string]*chip{}, changed: map[string]*chip{}, like: chips{}}
	index := map[roof]int{}
	beyond := 0
	keyAt, hfu, seconds, dtype, status := f.Index("key"), f.Index("hfu"), f.Index("seconds"), f.Index("dtype"), f.Index("status")
	for i, row := range f.Rows {
		share, has := Float(row[hfu])
		time, timed := Float(row[seconds])
		key, _ := row[keyAt].(string)
		if row[status] != "ok" || !has || !timed || share <= 0 || time <= 0 {
			continue
		}
		if len(read.machines) >= mostMachines {
			beyond++
			continue
		}
		m, err := read.chip(ctx, requests[key])
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		name, _ := row[dtype].(string)
		k, drawn := index[roof{m, name}]
		if !drawn {
			k = -1
			if one, ok := roofOf(m, name); ok {
				k = slices.IndexFunc(r.Machines, func(o Machine) bool {
					return o.Name == one.Name && o.DType == one.DType && o.Ops == one.Ops && o.Bandwidth == one.Bandwidth
				})
				if k < 0 {
					k, r.Machines = len(r.Machines), append(r.Machines, one)
				}
			}
			index[roof{m, name}] = k
		}
		if k < 0 {
			continue
		}
		moved := bytes[key][r.Machines[k].Tier]
		if moved <= 0 {
			continue
		}
		rate := share * r.Machines[k].Ops
		r.Roof[i] = RoofPoint{k, rate * time / moved, rate}
		r.Machines[k].Rows++
	}
	if beyond > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("roofline: %d rows are of machines beyond the first %d", beyond, mostMachines))
	}
	if len(r.Machines) == 0 {
		r.Notes = append(r.Notes, "roofline: no row keeps its machine, its utilisation and the bytes that it moved")
	}
	return nil
}

// chip is what a roofline takes of a machine file.
type chip struct {
	Name   string        `yaml:"-"`
	Clock  units.Hertz   `yaml:"clock"`
	Cores  cores         `yaml:"cores"`
	Memory []memory.Spec `yaml:"memory"`
}

type cores struct {
	Count  int64          `yaml:"count"`
	Matrix compute.Matrix `yaml:"matrix"`
}

// reader finds the chips of stored requests, each once.
type reader struct {
	db       *store.Store
	machines map[string]*chip // by hash
	changed  map[string]*chip // by hash and changes
	like     chips
}

// chip returns the chip of a stored request, nil where it cannot be told.
func (r *reader) chip(ctx context.Context, request string) (*chip, error) {
	hash, set := experiments.StoredMachine(request)
	m, known := r.machines[hash]
	if !known && hash != "" {
		in, err := r.db.Input(ctx, hash)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		m = r.like.of(in.Content)
		r.machines[hash] = m
	}
	set = slices.DeleteFunc(set, func(s string) bool { return !strings.HasPrefix(s, "chip.") })
	if m == nil || len(set) == 0 {
		return m, nil
	}
	key := hash + "\n" + strings.Join(set, "\n")
	c, known := r.changed[key]
	if !known {
		c = m.with(set)
		r.changed[key] = c
	}
	return c, nil
}

// with is the chip with changes; those of what it has not are of no matter here.
func (c *chip) with(set []string) *chip {
	out := *c
	for _, s := range set {
		path, value, _ := strings.Cut(strings.TrimPrefix(s, "chip."), "=")
		for _, part := range []string{"clock", "cores.count", "cores.matrix.", "memory["} {
			if strings.HasPrefix(path, part) && spec.Set(&out, path, value) != nil {
				return nil
			}
		}
	}
	return &out
}

// chips reads chips of stored machine files. A whole file takes tens of milliseconds, and a sweep can have one for each of its
// points, so only that part is read, and what differs in nothing but clock and bandwidths is read once.
type chips map[string]*chip

// of returns the chip of a machine file, nil for one that is written in another way.
func (known chips) of(content []byte) *chip {
	text := "\n" + string(content)
	_, part, ok := strings.Cut(text, "\nchip:\n")
	if !ok {
		return nil
	}
	var rest strings.Builder // the part without clock and bandwidths
	var clock string
	var bandwidths []string // of tiers
	tiers := false
	for line := range strings.SplitSeq(part, "\n") {
		if line != "" && line[0] != ' ' {
			break
		}
		switch {
		case strings.HasPrefix(line, "  clock: "):
			clock, line = strings.TrimPrefix(line, "  clock: "), "  clock: 1 Hz"
		case strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   "):
			tiers = line == "  memory:"
		case tiers && strings.HasPrefix(line, "    - "):
			bandwidths = append(bandwidths, "")
		case tiers && strings.HasPrefix(line, "      bandwidth: ") && len(bandwidths) > 0:
			bandwidths[len(bandwidths)-1], line = strings.TrimPrefix(line, "      bandwidth: "), "      bandwidth: 1 B/s"
		}
		rest.WriteString(line + "\n")
	}
	_, name, _ := strings.Cut(text, "\nname: ")
	name, _, _ = strings.Cut(name, "\n")
	key := name + "\n" + rest.String()
	like, seen := known[key]
	if !seen {
		like = &chip{}
		if yaml.Unmarshal([]byte(rest.String()), like) != nil || yaml.Unmarshal([]byte(name), &like.Name) != nil || len(like.Memory) != len(bandwidths) {
			like = nil
		}
		known[key] = like
	}
	if like == nil {
		return nil
	}
	c := *like
	c.Memory = slices.Clone(like.Memory)
	if c.Clock.UnmarshalText([]byte(clock)) != nil {
		return nil
	}
	for i, text := range bandwidths {
		if text != "" && c.Memory[i].Bandwidth.UnmarshalText([]byte(text)) != nil {
			return nil
		}
	}
	return &c
}

// roofOf is the roofline of a chip for products of a type.
func roofOf(c *chip, dtype string) (Machine, bool) {
	t, err := traces.ParseDType(dtype)
	if err != nil {
		return Machine{}, false
	}
	fma, err := c.Cores.Matrix.Rate(c.Cores.Matrix.Native(t))
	one := Machine{Name: c.Name, DType: dtype, Ops: 2 * float64(fma) * float64(c.Cores.Count) * float64(c.Clock)}
	for i := range c.Memory {
		if m := &c.Memory[i]; m.Kind != "sram" && float64(m.Peak(c.Clock)) > one.Bandwidth {
			one.Tier, one.Bandwidth = m.Name, float64(m.Peak(c.Clock))
		}
	}
	return one, err == nil && one.Ops > 0 && one.Bandwidth > 0
}

// provenance counts versions and reasons.
func (r *Report) provenance(f *Frame) {
	status, reason, models, tool := f.Index("status"), f.Index("reason"), f.Index("model_version"), f.Index("created_by")
	for _, row := range f.Rows {
		text := func(k int) string { s, _ := row[k].(string); return s }
		if text(status) != "ok" {
			why := Reason{Status: text(status), Reason: general(text(reason))}
			i := slices.IndexFunc(r.Reasons, func(o Reason) bool { return o.Status == why.Status && o.Reason == why.Reason })
			if i < 0 && len(r.Reasons) < 200 {
				i, r.Reasons = len(r.Reasons), append(r.Reasons, why)
			}
			if i >= 0 {
				r.Reasons[i].Rows++
			}
		}
		if text(models) == "" {
			continue
		}
		i := slices.IndexFunc(r.Versions, func(o Version) bool { return o.Models == text(models) && o.Tool == text(tool) })
		if i < 0 {
			i, r.Versions = len(r.Versions), append(r.Versions, Version{Models: text(models), Tool: text(tool)})
		}
		r.Versions[i].Rows++
	}
	slices.SortStableFunc(r.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Status, b.Status), cmp.Compare(a.Reason, b.Reason))
	})
}

// figuresIn are numbers that are no part of a name.
var figuresIn = regexp.MustCompile(`(^|[^\w.-])\d[\d.]*`)

// general takes the figures out of a reason, so that rows that fail for one cause are counted together.
func general(reason string) string {
	line, _, _ := strings.Cut(reason, "\n")
	return figuresIn.ReplaceAllString(line, "${1}…")
}

// Sensitivity is what an objective is for each value, or range of values, of an axis.
type Sensitivity struct {
	Labels            []string
	At                []float64 // of numbers: the value, or the middle of the range; else the place
	Low, Median, High []float64 // quartiles
	Rows              []int
	Ranges            bool // values were put together
}

// mostLevels of an axis that are shown one by one.
const mostLevels = 16

// Sensitivity summarises an objective over an axis for rows that are ok: median and quartiles for each of its values, or for
// ten ranges with as many rows each where it has more than 16.
func (f *Frame) Sensitivity(axis, objective string) Sensitivity {
	a, o, status := f.Index(axis), f.Index(objective), f.Index("status")
	type one struct{ v, x any }
	var rows []one
	for _, row := range f.Rows {
		if _, ok := Float(row[o]); ok && row[status] == "ok" && row[a] != nil {
			rows = append(rows, one{row[a], row[o]})
		}
	}
	slices.SortStableFunc(rows, func(x, y one) int { return compare(x.v, y.v, false) })
	var groups [][]one
	for i := 0; i < len(rows); {
		n := i + 1
		for n < len(rows) && rows[n].v == rows[i].v {
			n++
		}
		groups, i = append(groups, rows[i:n]), n
	}
	s := Sensitivity{}
	column := f.Columns[a]
	if len(groups) > mostLevels {
		if column.Kind == Number {
			s.Ranges = true
			groups = nil
			const ranges = 10
			for i := range ranges {
				if part := rows[i*len(rows)/ranges : (i+1)*len(rows)/ranges]; len(part) > 0 {
					groups = append(groups, part)
				}
			}
		} else {
			groups = groups[:mostLevels]
		}
	}
	for i, g := range groups {
		var xs []float64
		for _, r := range g {
			xs = append(xs, r.x.(float64))
		}
		slices.Sort(xs)
		label := column.Show(g[0].v)
		at := float64(i)
		if column.Kind == Number {
			at = g[len(g)/2].v.(float64)
			if s.Ranges {
				label += " – " + column.Show(g[len(g)-1].v)
			}
		}
		s.Labels, s.At, s.Rows = append(s.Labels, label), append(s.At, at), append(s.Rows, len(g))
		s.Low, s.Median, s.High = append(s.Low, Quantile(xs, 0.25)), append(s.Median, Quantile(xs, 0.5)), append(s.High, Quantile(xs, 0.75))
	}
	return s
}
