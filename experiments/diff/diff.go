package diff

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/sim"
)

// Schema names the form of a Diff.
const Schema = "strata.diff/1"

// Diff is what moved from one result to another.
type Diff struct {
	Schema string `json:"schema"`
	Before Side   `json:"before"`
	After  Side   `json:"after"`
	// Summary says in a sentence what moved most.
	Summary string `json:"summary"`
	// Warnings say why the two may not be worth comparing.
	Warnings []string `json:"warnings"`
	Time     Change   `json:"time"`
	// Stalls are the causes, all of them, in their order; they sum to Time.
	Stalls []Part `json:"stalls"`
	// Phases sum to Time, and the stalls of each to its own time.
	Phases []Phase `json:"phases"`
	// Operators are matched by name, kind and phase and sum to Time; what moved most comes first.
	Operators []Operator `json:"operators"`
	Memory    []Tier     `json:"memory"`
	Energy    Value      `json:"energy"`
	// Components sum to Energy as far as the results give them.
	Components []Value `json:"components"`
	// Figures are all other numbers of the answers: power, rates, cost, sizes.
	Figures []Value `json:"figures"`
	Inputs  Inputs  `json:"inputs"`
	// Effects of the inputs one at a time, see Attribute; nil if that was not asked for.
	Effects []Effect `json:"effects,omitempty"`
	// Notes of one answer that the other does not have.
	NotesBefore []string `json:"notes_before,omitempty"`
	NotesAfter  []string `json:"notes_after,omitempty"`
}

// Side identifies one of the two results.
type Side struct {
	Name     string `json:"name"` // as the user gave it
	Schema   string `json:"schema"`
	Arch     string `json:"arch"`
	Model    string `json:"model"`
	Phase    string `json:"phase"`
	Fidelity string `json:"fidelity"`
	Version  string `json:"version"`
	Key      string `json:"key"`
}

// Change is a time before and after.
type Change struct {
	Before float64 `json:"before_seconds"`
	After  float64 `json:"after_seconds"`
	Delta  float64 `json:"delta_seconds"`
	// Picoseconds is Delta as a whole number: these add up exactly.
	Picoseconds int64 `json:"delta_picoseconds"`
	// Percent is Delta in percent of Before, nil where that is 0.
	Percent *float64 `json:"percent"`
}

// Part is a change of one part of the time.
type Part struct {
	Name string `json:"name"`
	Change
	// Share is which part of the change of the total this is, nil where the total did not change.
	Share *float64 `json:"share"`
}

// Phase is a change of a phase, with its causes as far as the operators tell them.
type Phase struct {
	Part
	BeforeSteps int64  `json:"before_steps"`
	AfterSteps  int64  `json:"after_steps"`
	Stalls      []Part `json:"stalls"`
}

// Operator is a change of an operator.
type Operator struct {
	Part
	Kind  string `json:"kind"`
	Phase string `json:"phase"`
	// State is "both", "removed" (only before) or "added" (only after).
	State         string  `json:"state"`
	BeforeCalls   int64   `json:"before_calls"`
	AfterCalls    int64   `json:"after_calls"`
	BeforeBoundBy string  `json:"before_bound_by,omitempty"`
	AfterBoundBy  string  `json:"after_bound_by,omitempty"`
	BeforeBytes   int64   `json:"before_hbm_bytes"`
	AfterBytes    int64   `json:"after_hbm_bytes"`
	BeforeOps     int64   `json:"before_ops"`
	AfterOps      int64   `json:"after_ops"`
	BeforeJoules  float64 `json:"before_joules"`
	AfterJoules   float64 `json:"after_joules"`
	// Stalls are the causes that moved; they sum to the change.
	Stalls []Part `json:"stalls"`
}

// Tier is a change of what a memory tier of a chip held and moved.
type Tier struct {
	Name              string  `json:"tier"`
	BeforeRead        int64   `json:"before_read_bytes"`
	AfterRead         int64   `json:"after_read_bytes"`
	BeforeWritten     int64   `json:"before_written_bytes"`
	AfterWritten      int64   `json:"after_written_bytes"`
	BeforePeak        int64   `json:"before_peak_bytes"`
	AfterPeak         int64   `json:"after_peak_bytes"`
	BeforeUtilization float64 `json:"before_utilization"`
	AfterUtilization  float64 `json:"after_utilization"`
}

// Moved is the change of the bytes that the tier moved.
func (t *Tier) Moved() int64 {
	return (t.AfterRead - t.BeforeRead) + (t.AfterWritten - t.BeforeWritten)
}

// Value is a change of a number. Its name says the unit.
type Value struct {
	Name    string   `json:"name"`
	Before  float64  `json:"before"`
	After   float64  `json:"after"`
	Delta   float64  `json:"delta"`
	Percent *float64 `json:"percent"`
}

// other is the part of a time that no listed part accounts for.
const other = "other"

// picoseconds is a time as the simulator counts it. Below 4000 s the seconds of an answer tell picoseconds apart.
func picoseconds(seconds float64) int64 { return int64(math.Round(seconds * 1e12)) }

// span is a time before and after in picoseconds.
type span [2]int64

func (s *span) add(side int, seconds float64) { s[side] += picoseconds(seconds) }

func (s span) minus(o span) span { return span{s[0] - o[0], s[1] - o[1]} }

func (s span) delta() int64 { return s[1] - s[0] }

func (s span) change() Change {
	c := Change{Before: float64(s[0]) / 1e12, After: float64(s[1]) / 1e12, Delta: float64(s.delta()) / 1e12, Picoseconds: s.delta()}
	if s[0] != 0 {
		p := 100 * float64(s.delta()) / float64(s[0])
		c.Percent = &p
	}
	return c
}

// part is the change of a part of total.
func (s span) part(name string, total span) Part {
	p := Part{Name: name, Change: s.change()}
	if d := total.delta(); d != 0 {
		share := float64(s.delta()) / float64(d)
		if share == 0 {
			share = 0 // not −0
		}
		p.Share = &share
	}
	return p
}

// stalls lists the causes of a time, only those that there are if not all, and what they leave over.
func stalls(causes *[sim.NumCauses]span, total, of span, all bool) []Part {
	list := []Part{}
	rest := total
	for i, s := range causes {
		rest = rest.minus(s)
		if all || s != (span{}) {
			list = append(list, s.part(sim.Cause(i).String(), of))
		}
	}
	if rest != (span{}) {
		list = append(list, rest.part(other, of))
	}
	return list
}

// Compare says what moved from a to b.
func Compare(a, b *Result) *Diff {
	sides := [2]*eval.Answer{&a.answer, &b.answer}
	d := &Diff{Schema: Schema, Before: a.side(), After: b.side(), Warnings: warnings(a, b), Inputs: compareInputs(a, b)}
	var total span
	var causes [sim.NumCauses]span
	for i, s := range sides {
		total.add(i, s.Seconds)
		for c, t := range s.Stalls {
			causes[c].add(i, t)
		}
	}
	d.Time, d.Stalls = total.change(), stalls(&causes, total, total, true)
	perPhase := d.operators(sides, total)
	d.phases(sides, total, perPhase)
	d.memory(sides)
	d.Energy = value("joules", a.answer.Energy.Joules, b.answer.Energy.Joules)
	d.Components = []Value{}
	for _, name := range keys(a.answer.Energy.Components, b.answer.Energy.Components) {
		if x, y := a.answer.Energy.Components[name], b.answer.Energy.Components[name]; x != 0 || y != 0 {
			d.Components = append(d.Components, value(name, x, y))
		}
	}
	d.figures(a, b)
	d.NotesBefore, d.NotesAfter = only(a.answer.Notes, b.answer.Notes), only(b.answer.Notes, a.answer.Notes)
	d.Summary = d.summary()
	return d
}

func (r *Result) side() Side {
	a := &r.answer
	return Side{r.Name, a.Schema, a.Arch, a.Model, a.Phase, a.Fidelity, a.Manifest.Version, a.Manifest.Key}
}

// warnings say why two results may not be worth comparing.
func warnings(a, b *Result) []string {
	list := []string{}
	x, y := a.side(), b.side()
	for _, w := range []struct{ what, before, after string }{
		{"schema", x.Schema, y.Schema}, {"model", x.Model, y.Model}, {"phase", x.Phase, y.Phase}, {"fidelity", x.Fidelity, y.Fidelity}, {"version of the models", x.Version, y.Version},
	} {
		if w.before != w.after {
			list = append(list, fmt.Sprintf("the two differ in %s: %s before, %s after", w.what, cmp.Or(w.before, "none"), cmp.Or(w.after, "none")))
		}
	}
	for _, r := range []*Result{a, b} {
		if s := r.answer.Schema; s != eval.Schema && s != opSchema {
			list = append(list, fmt.Sprintf("%s has schema %s; this version reads what it knows of %s", r.Name, s, eval.Schema))
		}
	}
	return list
}

type operatorKey struct{ name, kind, phase string }

// causesOf are the causes of a phase's time, by phase.
type causesOf map[string]*[sim.NumCauses]span

// operators matches the operators, and returns the causes of each phase.
func (d *Diff) operators(sides [2]*eval.Answer, total span) causesOf {
	type both struct {
		time   span
		causes [sim.NumCauses]span
		Operator
		there [2]bool
	}
	found := map[operatorKey]*both{}
	var order []operatorKey
	phases := causesOf{}
	for i, s := range sides {
		for k := range s.Operators {
			op := &s.Operators[k]
			key := operatorKey{op.Name, op.Kind, op.Phase}
			m := found[key]
			if m == nil {
				m = &both{Operator: Operator{Kind: op.Kind, Phase: op.Phase}}
				found[key] = m
				order = append(order, key)
			}
			m.there[i] = true
			m.time.add(i, op.Seconds)
			if phases[op.Phase] == nil {
				phases[op.Phase] = new([sim.NumCauses]span)
			}
			for c, t := range op.Stalls {
				m.causes[c].add(i, t)
				phases[op.Phase][c].add(i, t)
			}
			if i == 0 {
				m.BeforeCalls, m.BeforeBytes, m.BeforeOps, m.BeforeJoules, m.BeforeBoundBy = op.Calls, op.Bytes, op.Ops, op.Joules, op.BoundBy
			} else {
				m.AfterCalls, m.AfterBytes, m.AfterOps, m.AfterJoules, m.AfterBoundBy = op.Calls, op.Bytes, op.Ops, op.Joules, op.BoundBy
			}
		}
	}
	d.Operators = []Operator{}
	rest := total
	for _, key := range order {
		m := found[key]
		rest = rest.minus(m.time)
		m.State = "both"
		if !m.there[1] {
			m.State = "removed"
		} else if !m.there[0] {
			m.State = "added"
		}
		m.Part = m.time.part(key.name, total)
		m.Stalls = slices.DeleteFunc(stalls(&m.causes, m.time, total, false), func(p Part) bool { return p.Picoseconds == 0 })
		d.Operators = append(d.Operators, m.Operator)
	}
	if rest != (span{}) && len(order) > 0 {
		d.Operators = append(d.Operators, Operator{Part: rest.part(other, total), State: "both", Stalls: []Part{}})
	}
	slices.SortStableFunc(d.Operators, func(a, b Operator) int {
		return cmp.Or(cmp.Compare(magnitude(b.Picoseconds), magnitude(a.Picoseconds)), cmp.Compare(b.Before, a.Before))
	})
	return phases
}

func magnitude(v int64) int64 { return max(v, -v) }

// phases matches the phases in the order in which they run.
func (d *Diff) phases(sides [2]*eval.Answer, total span, causes causesOf) {
	d.Phases = []Phase{}
	var order []string
	times, steps := map[string]*span{}, map[string]*[2]int64{}
	for i, s := range sides {
		for _, p := range s.Phases {
			if times[p.Phase] == nil {
				times[p.Phase], steps[p.Phase] = new(span), new([2]int64)
				order = append(order, p.Phase)
			}
			times[p.Phase].add(i, p.Seconds)
			steps[p.Phase][i] += p.Steps
		}
	}
	rest := total
	for _, name := range order {
		t := *times[name]
		rest = rest.minus(t)
		p := Phase{Part: t.part(name, total), BeforeSteps: steps[name][0], AfterSteps: steps[name][1], Stalls: []Part{}}
		if c := causes[name]; c != nil {
			p.Stalls = stalls(c, t, total, false)
		}
		d.Phases = append(d.Phases, p)
	}
	if rest != (span{}) && len(order) > 0 {
		d.Phases = append(d.Phases, Phase{Part: rest.part(other, total), Stalls: []Part{}})
	}
}

func (d *Diff) memory(sides [2]*eval.Answer) {
	d.Memory = []Tier{}
	at := func(name string) *Tier {
		for i := range d.Memory {
			if d.Memory[i].Name == name {
				return &d.Memory[i]
			}
		}
		d.Memory = append(d.Memory, Tier{Name: name})
		return &d.Memory[len(d.Memory)-1]
	}
	for i, s := range sides {
		for k := range s.Memory {
			m := &s.Memory[k]
			if t := at(m.Tier); i == 0 {
				t.BeforeRead, t.BeforeWritten, t.BeforePeak, t.BeforeUtilization = m.ReadBytes, m.WrittenBytes, m.PeakBytes, m.Utilization
			} else {
				t.AfterRead, t.AfterWritten, t.AfterPeak, t.AfterUtilization = m.ReadBytes, m.WrittenBytes, m.PeakBytes, m.Utilization
			}
		}
	}
}

// figures compares all numbers that are not compared elsewhere, those of newer versions too.
func (d *Diff) figures(a, b *Result) {
	d.Figures = []Value{}
	x, y := &a.answer, &b.answer
	for _, f := range []struct {
		name          string
		before, after float64
	}{
		{"average_watts", x.Power.AverageWatts, y.Power.AverageWatts}, {"peak_watts", x.Power.PeakWatts, y.Power.PeakWatts}, {"limit_watts", x.Power.LimitWatts, y.Power.LimitWatts},
		{"ttft_seconds", x.TTFTSeconds, y.TTFTSeconds}, {"tpot_seconds", x.TPOTSeconds, y.TPOTSeconds}, {"tokens_per_second", x.TokensPerSecond, y.TokensPerSecond},
		{"mfu", x.MFU, y.MFU}, {"hfu", x.HFU, y.HFU}, {"joules_per_token", x.Energy.JoulesPerToken, y.Energy.JoulesPerToken},
		{"usd_per_million_tokens", x.Cost.USDPerMillionTokens, y.Cost.USDPerMillionTokens}, {"floor_seconds", x.FloorSeconds, y.FloorSeconds},
		{"weight_bytes", float64(x.Footprint.WeightBytes), float64(y.Footprint.WeightBytes)}, {"kv_bytes", float64(x.Footprint.KVBytes), float64(y.Footprint.KVBytes)},
		{"activation_bytes", float64(x.Footprint.ActivationBytes), float64(y.Footprint.ActivationBytes)}, {"events", float64(x.Events), float64(y.Events)},
	} {
		if f.before != 0 || f.after != 0 {
			d.Figures = append(d.Figures, value(f.name, f.before, f.after))
		}
	}
	before, after := a.numbers(), b.numbers()
	for _, name := range keys(before, after) {
		d.Figures = append(d.Figures, value(name, before[name], after[name]))
	}
}

// numbers are the figures of an answer that this version does not know.
func (r *Result) numbers() map[string]float64 {
	all := map[string]float64{}
	for name, v := range r.members {
		if !slices.Contains(outcomes, name) && !slices.Contains(requested, name) {
			each(name, v, func(path string, v any) {
				if n, ok := v.(float64); ok {
					all[path] = n
				}
			})
		}
	}
	return all
}

func value(name string, before, after float64) Value {
	v := Value{Name: name, Before: before, After: after, Delta: after - before}
	if before != 0 {
		p := 100 * (after - before) / before
		v.Percent = &p
	}
	return v
}

// keys lists the keys of two maps, each once and in order.
func keys[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// only lists what of a is not in b.
func only(a, b []string) (list []string) {
	for _, text := range a {
		if !slices.Contains(b, text) {
			list = append(list, text)
		}
	}
	return list
}
