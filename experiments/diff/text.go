package diff

import (
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/stratasim/strata/experiments/report"
)

// summary says in a sentence what moved most, from the numbers alone.
func (d *Diff) summary() string {
	var s string
	t := &d.Time
	switch {
	case t.Picoseconds != 0:
		s = fmt.Sprintf("%s latency: %s → %s (%s)", report.ChangePercent(t.Before, t.After), report.Seconds(t.Before), report.Seconds(t.After), signedSeconds(t))
		if c := d.mostStall(); c != nil {
			s += fmt.Sprintf("; %s accounts for %s of it (%s)", c.Name, partOf(*c.Share), signedSeconds(&c.Change))
		}
		if o := d.mostOperator(); o != nil {
			s += fmt.Sprintf("; most of all %s%s (%s)", o.Name, inPhase(o.Phase, len(d.Phases)), signedSeconds(&o.Change))
		}
	case d.moved():
		s = fmt.Sprintf("the same latency, %s, spent in another way", report.Seconds(t.Before))
	default:
		s = fmt.Sprintf("the same latency, %s, and the same stalls and operators", report.Seconds(t.Before))
	}
	if d.Energy.Before != d.Energy.After {
		s += fmt.Sprintf("; %s energy", report.ChangePercent(d.Energy.Before, d.Energy.After))
	}
	return s + "; " + d.Inputs.summary()
}

func inPhase(phase string, phases int) string {
	if phase == "" || phases < 2 {
		return ""
	}
	return " in " + phase
}

func signedSeconds(c *Change) string { return report.Signed(report.Seconds, c.Delta) }

// mostStall is the cause that moved most in the direction of the total.
func (d *Diff) mostStall() (most *Part) {
	for i := range d.Stalls {
		if s := &d.Stalls[i]; s.Share != nil && *s.Share > 0 && (most == nil || *s.Share > *most.Share) {
			most = s
		}
	}
	return most
}

// mostOperator is the operator that moved most in the direction of the total.
func (d *Diff) mostOperator() (most *Operator) {
	for i := range d.Operators {
		if o := &d.Operators[i]; o.Name != other && o.Share != nil && *o.Share > 0 && (most == nil || *o.Share > *most.Share) {
			most = o
		}
	}
	return most
}

// moved reports whether a cause or an operator moved.
func (d *Diff) moved() bool {
	for i := range d.Stalls {
		if d.Stalls[i].Picoseconds != 0 {
			return true
		}
	}
	for i := range d.Operators {
		if d.Operators[i].Picoseconds != 0 {
			return true
		}
	}
	return false
}

// summary names the only input that differs, or counts them.
func (in *Inputs) summary() string {
	var parts []string
	one := func(d *Difference) string {
		return fmt.Sprintf("%s differs: %s → %s", d.Path, cmp.Or(d.Before, "none"), cmp.Or(d.After, "none"))
	}
	for _, c := range []*Compared{&in.Machine, &in.Model} {
		switch {
		case c.How == "unknown":
			parts = append(parts, strings.SplitN(c.Text, ":", 2)[0])
		case len(c.Differences) == 1:
			parts = append(parts, one(&c.Differences[0]))
		case len(c.Differences) > 1:
			parts = append(parts, c.Text+" differ")
		}
	}
	switch n := len(in.Options); {
	case n == 1:
		parts = append(parts, one(&in.Options[0]))
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d options differ", n))
	}
	if in.Version != nil {
		parts = append(parts, "the version of the models differs")
	}
	switch {
	case in.Unnamed:
		return "what differs the answers do not name, but their keys do differ; results in a database have all that was asked for"
	case len(parts) == 0:
		return "no input differs"
	}
	return strings.Join(parts, "; ")
}

// Most rows of lists in the text; CSV and JSON have all.
const (
	mostOperators = 12
	mostLeaves    = 12
)

// Text writes the comparison for people.
func (d *Diff) Text(w io.Writer, style report.Style) error {
	p := &report.Page{Style: style}
	p.Title(fmt.Sprintf("%s → %s", d.Before.what(), d.After.what()))
	for _, s := range []struct {
		name string
		side *Side
	}{{"before", &d.Before}, {"after", &d.After}} {
		key := ""
		if s.side.Key != "" {
			key = ", key " + s.side.Key[:min(12, len(s.side.Key))]
		}
		p.Paragraph(fmt.Sprintf("  %-7s ", s.name), s.side.Name+key)
	}
	for _, text := range d.Warnings {
		p.Paragraph("  warning: ", text)
	}
	p.Linef("")
	p.Paragraph("", d.Summary)
	d.effectText(p)
	p.Head("Where the time moved")
	p.Table(partsTable("cause", d.Stalls, &d.Time))
	if len(d.Phases) > 1 {
		p.Head("By phase")
		p.Table(d.phaseTable())
	}
	d.operatorText(p)
	d.memoryText(p)
	if len(d.Components) > 0 || d.Energy.Before != 0 || d.Energy.After != 0 {
		p.Head("Energy")
		t := valueTable("component", report.Energy)
		for i := range d.Components {
			t.Rows = append(t.Rows, valueRow(&d.Components[i]))
		}
		all := d.Energy
		all.Name = "all"
		t.Rows = append(t.Rows, valueRow(&all))
		p.Table(t)
	}
	d.figureText(p)
	d.inputText(p)
	for _, n := range []struct {
		head  string
		notes []string
	}{{"Notes only before", d.NotesBefore}, {"Notes only after", d.NotesAfter}} {
		if len(n.notes) > 0 {
			p.Head(n.head)
			for _, text := range n.notes {
				p.Paragraph("  • ", text)
			}
		}
	}
	return p.Write(w)
}

func (s *Side) what() string {
	text := fmt.Sprintf("%s on %s", cmp.Or(s.Model, "a trace"), s.Arch)
	if s.Phase != "" {
		text += ", " + s.Phase
	}
	return text
}

func seconds(v any) string { return report.Seconds(v.(float64)) }

func signed(show func(float64) string) func(v any) string {
	return func(v any) string { return report.Signed(show, v.(float64)) }
}

// changes are the columns of a change of time; share is left out where there is none.
func changes(first ...report.Column) []report.Column {
	return append(first, report.Column{Title: "before", Right: true, Show: seconds}, report.Column{Title: "after", Right: true, Show: seconds},
		report.Column{Title: "delta", Right: true, Show: signed(report.Seconds)}, report.Column{Title: "change", Right: true}, report.Column{Title: "of the delta", Right: true})
}

func changeRow(c *Change, share *float64) []any {
	row := []any{c.Before, c.After, c.Delta, report.ChangePercent(c.Before, c.After), nil}
	if share != nil {
		row[4] = partOf(*share)
	}
	return row
}

// partOf prints a part of a change. One that goes the other way is negative.
func partOf(share float64) string { return strings.TrimPrefix(report.SignedPercent(share), "+") }

func partsTable(title string, parts []Part, total *Change) *report.Table {
	t := &report.Table{Columns: changes(report.Column{Title: title})}
	for i := range parts {
		if p := &parts[i]; p.Before != 0 || p.After != 0 {
			t.Rows = append(t.Rows, append([]any{p.Name}, changeRow(&p.Change, p.Share)...))
		}
	}
	t.Rows = append(t.Rows, append([]any{"all"}, changeRow(total, whole(total))...))
	return t
}

// whole is the share that a change has of itself, nil if there is none.
func whole(c *Change) *float64 {
	if c.Picoseconds == 0 {
		return nil
	}
	one := 1.0
	return &one
}

// phaseTable has a line for each phase and below it one for each cause that moved.
func (d *Diff) phaseTable() *report.Table {
	t := &report.Table{Columns: changes(report.Column{Title: "phase"}, report.Column{Title: "cause"})}
	for i := range d.Phases {
		p := &d.Phases[i]
		t.Rows = append(t.Rows, append([]any{p.Name, "all"}, changeRow(&p.Change, p.Share)...))
		for k := range p.Stalls {
			if s := &p.Stalls[k]; s.Picoseconds != 0 {
				t.Rows = append(t.Rows, append([]any{"", s.Name}, changeRow(&s.Change, s.Share)...))
			}
		}
	}
	return t
}

func (d *Diff) operatorText(p *report.Page) {
	t := report.Table{Columns: changes(report.Column{Title: "operator", Max: 28}, report.Column{Title: "phase"}, report.Column{Title: "bound by"})}
	same, more := 0, 0
	var rest int64
	for i := range d.Operators {
		o := &d.Operators[i]
		switch {
		case o.Picoseconds == 0 && o.State == "both":
			same++
		case len(t.Rows) == mostOperators:
			more++
			rest += o.Picoseconds
		default:
			t.Rows = append(t.Rows, append([]any{o.Name, o.Phase, o.bound()}, changeRow(&o.Change, o.Share)...))
		}
	}
	if len(d.Operators) == 0 {
		return
	}
	p.Head("Operators, what moved most first")
	if len(t.Rows) > 0 {
		p.Table(&t)
	}
	if more > 0 {
		p.Linef("  and %d more: %s", more, report.Signed(report.Seconds, float64(rest)/1e12))
	}
	if same > 0 {
		p.Linef("  no change: %s", counted(same, "operator"))
	}
}

// bound says what bound an operator, or that it came or went.
func (o *Operator) bound() string {
	switch {
	case o.State != "both":
		return o.State
	case o.BeforeBoundBy != o.AfterBoundBy:
		return o.BeforeBoundBy + " → " + o.AfterBoundBy
	}
	return o.AfterBoundBy
}

func (d *Diff) memoryText(p *report.Page) {
	if len(d.Memory) == 0 {
		return
	}
	traffic := func(v float64) string { return report.Traffic(int64(v)) }
	size := func(v float64) string { return report.Size(int64(v)) }
	t := report.Table{Columns: []report.Column{{Title: "tier", Max: 16}, {Title: "moved before", Right: true}, {Title: "after", Right: true}, {Title: "delta", Right: true},
		{Title: "peak before", Right: true}, {Title: "after", Right: true}, {Title: "delta", Right: true}, {Title: "bandwidth used", Right: true}}}
	for i := range d.Memory {
		m := &d.Memory[i]
		t.Rows = append(t.Rows, []any{m.Name, report.Traffic(m.BeforeRead + m.BeforeWritten), report.Traffic(m.AfterRead + m.AfterWritten), report.Signed(traffic, float64(m.Moved())),
			report.Size(m.BeforePeak), report.Size(m.AfterPeak), report.Signed(size, float64(m.AfterPeak-m.BeforePeak)),
			report.Percent(m.BeforeUtilization) + " → " + report.Percent(m.AfterUtilization)})
	}
	p.Head("Memory of one chip")
	p.Table(&t)
}

// effectText lists what each input does by itself.
func (d *Diff) effectText(p *report.Page) {
	if d.Effects == nil {
		return
	}
	p.Head("What each input that differs does by itself")
	t := &report.Table{Columns: []report.Column{{Title: "input", Max: 48}, {Title: "delta", Right: true, Show: signed(report.Seconds)}, {Title: "change", Right: true}, {Title: "of the delta", Right: true}}}
	line := func(name string, c *Change, share *float64) {
		t.Rows = append(t.Rows, append([]any{name}, changeRow(c, share)[2:]...))
	}
	for i := range d.Effects {
		if e := &d.Effects[i]; e.Note == "" {
			line(e.Name, &e.Change, e.Share)
		}
	}
	line("all", &d.Time, whole(&d.Time))
	p.Table(t)
	for i := range d.Effects {
		if e := &d.Effects[i]; e.Note != "" {
			p.Paragraph("  not tried: ", e.Name+": "+e.Note)
		}
	}
}

func valueTable(title string, show func(float64) string) *report.Table {
	plain := func(v any) string { return show(v.(float64)) }
	return &report.Table{Columns: []report.Column{{Title: title}, {Title: "before", Right: true, Show: plain}, {Title: "after", Right: true, Show: plain},
		{Title: "delta", Right: true, Show: signed(show)}, {Title: "change", Right: true}}}
}

func valueRow(v *Value) []any {
	return []any{v.Name, v.Before, v.After, v.Delta, report.ChangePercent(v.Before, v.After)}
}

// figureText lists the figures that moved.
func (d *Diff) figureText(p *report.Page) {
	t := report.Table{Columns: []report.Column{{Title: "figure"}, {Title: "before", Right: true}, {Title: "after", Right: true}, {Title: "delta", Right: true}, {Title: "change", Right: true}}}
	for i := range d.Figures {
		v := &d.Figures[i]
		if v.Before == v.After {
			continue
		}
		show := shown(v.Name)
		t.Rows = append(t.Rows, []any{v.Name, show(v.Before), show(v.After), report.Signed(show, v.Delta), report.ChangePercent(v.Before, v.After)})
	}
	if len(t.Rows) > 0 {
		p.Head("Power and other figures that moved")
		p.Table(&t)
	}
}

// statistic is what follows the unit in the name of a figure of many requests.
var statistic = regexp.MustCompile(`\.(mean|min|max|p[0-9]+)$`)

// shown tells from the name of a figure how it is printed.
func shown(name string) func(float64) string {
	name = strings.TrimSuffix(statistic.ReplaceAllString(name, ""), "_per_chip")
	if strings.HasPrefix(name, "exposed.") {
		return report.Seconds
	}
	for _, unit := range []struct {
		suffix string
		show   func(float64) string
	}{
		{"tokens_per_second", report.Tokens}, {"_per_second", func(v float64) string { return fmt.Sprintf("%.4g", v) }}, {"watts", report.Power}, {"seconds", report.Seconds}, {"joules_per_token", report.Energy},
		{"joules_per_request", report.Energy}, {"joules", report.Energy}, {"hertz", func(v float64) string { return fmt.Sprintf("%.0f MHz", v/1e6) }},
		{"mfu", report.Percent}, {"hfu", report.Percent}, {"usd_per_million_tokens", report.Money},
		{"bytes", func(v float64) string { return report.Size(int64(v)) }},
	} {
		if strings.HasSuffix(name, unit.suffix) {
			return unit.show
		}
	}
	return func(v float64) string { return fmt.Sprintf("%.6g", v) }
}

func (d *Diff) inputText(p *report.Page) {
	in := &d.Inputs
	p.Head("What differs in the inputs")
	lines := func(list []Difference, kind string) {
		for i := range list {
			if i == mostLeaves {
				p.Linef("  and %d more of the %s: -o json lists them all", len(list)-i, kind)
				return
			}
			x := &list[i]
			p.Paragraph("  ", fmt.Sprintf("%s: %s → %s", x.Path, cmp.Or(x.Before, "not given"), cmp.Or(x.After, "not given")))
			for _, s := range []struct{ name, text string }{{"before", x.BeforeSource}, {"after", x.AfterSource}} {
				if s.text != "" {
					p.Paragraph(fmt.Sprintf("    %-7s ", s.name), s.text)
				}
			}
		}
	}
	for _, c := range []struct {
		name string
		of   *Compared
	}{{"machine", &in.Machine}, {"model", &in.Model}} {
		if c.of.How != "leaves" {
			p.Paragraph("  ", c.of.Text)
		}
		lines(c.of.Differences, c.name)
	}
	lines(in.Options, "options")
	for _, x := range []*Difference{in.Version, in.Tool} {
		if x != nil {
			p.Paragraph("  ", fmt.Sprintf("%s: %s → %s", x.Path, x.Before, x.After))
		}
	}
	if len(in.Options) == 0 && in.Version == nil && !in.Unnamed {
		p.Linef("  the same options and version of the models")
	}
}

// CSV writes all that was compared as one long table.
func (d *Diff) CSV(w io.Writer) error { return d.table().CSV(w) }

func (d *Diff) table() *report.Table {
	t := &report.Table{}
	for _, name := range []string{"part", "phase", "name", "unit", "before", "after", "delta", "percent", "share"} {
		t.Columns = append(t.Columns, report.Column{Name: name})
	}
	optional := func(p *float64) any {
		if p == nil {
			return nil
		}
		return *p
	}
	time := func(part, phase, name string, c *Change, share *float64) {
		t.Rows = append(t.Rows, []any{part, phase, name, "s", c.Before, c.After, c.Delta, optional(c.Percent), optional(share)})
	}
	number := func(part, name, unit string, v Value) {
		t.Rows = append(t.Rows, []any{part, "", name, unit, v.Before, v.After, v.Delta, optional(v.Percent), nil})
	}
	time("time", "", "all", &d.Time, nil)
	for i := range d.Effects {
		if e := &d.Effects[i]; e.Note == "" {
			time("effect", "", e.Name, &e.Change, e.Share)
		}
	}
	for i := range d.Stalls {
		time("stall", "", d.Stalls[i].Name, &d.Stalls[i].Change, d.Stalls[i].Share)
	}
	for i := range d.Phases {
		p := &d.Phases[i]
		time("phase", p.Name, "all", &p.Change, p.Share)
		for k := range p.Stalls {
			time("phase-stall", p.Name, p.Stalls[k].Name, &p.Stalls[k].Change, p.Stalls[k].Share)
		}
	}
	for i := range d.Operators {
		o := &d.Operators[i]
		time("operator", o.Phase, o.Name, &o.Change, o.Share)
	}
	for i := range d.Memory {
		m := &d.Memory[i]
		for _, b := range []struct {
			what          string
			before, after int64
		}{{"read", m.BeforeRead, m.AfterRead}, {"written", m.BeforeWritten, m.AfterWritten}, {"peak", m.BeforePeak, m.AfterPeak}} {
			number("memory", m.Name+"."+b.what, "B", value("", float64(b.before), float64(b.after)))
		}
	}
	number("energy", "all", "J", d.Energy)
	for i := range d.Components {
		number("energy", d.Components[i].Name, "J", d.Components[i])
	}
	for i := range d.Figures {
		number("figure", d.Figures[i].Name, "", d.Figures[i])
	}
	text := func(part string, list []Difference) {
		for i := range list {
			t.Rows = append(t.Rows, []any{part, "", list[i].Path, "", list[i].Before, list[i].After, nil, nil, nil})
		}
	}
	for _, c := range []struct {
		part string
		of   *Compared
	}{{"machine", &d.Inputs.Machine}, {"model", &d.Inputs.Model}} {
		if c.of.How == "unknown" {
			t.Rows = append(t.Rows, []any{c.part, "", c.of.Text, "", nil, nil, nil, nil, nil})
		}
		text(c.part, c.of.Differences)
	}
	text("option", d.Inputs.Options)
	for _, x := range []*Difference{d.Inputs.Version, d.Inputs.Tool} {
		if x != nil {
			text(x.Path, []Difference{*x})
		}
	}
	return t
}
