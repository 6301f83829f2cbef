package plan

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Explain prints the program so that a person can check it: resources and their rates, then the
// sections with their loop nests, buffers, waves and what each step asks for. Bodies that occur
// more than once are printed once and referred to.
func (p *Program) Explain(w io.Writer) error { return p.ExplainAs(w, Show{}) }

// ExplainAs is Explain with the decisions that led to the program, where they are known, and for a part of it.
func (p *Program) ExplainAs(w io.Writer, s Show) error {
	e := &explainer{p: p, w: w, label: map[*Body]string{}, show: s}
	e.printf("program for %s, %s\n\nresources (sustained)\n", p.Machine, plural(p.Chips(), "chip"))
	for i := range p.Resources {
		r := &p.Resources[i]
		where := "per chip"
		if r.PerCore {
			where = "per core"
		}
		e.printf("  %-10s %12s %s, time charged to %s\n", r.Name, rateText(r), where, r.Cause)
	}
	e.printf("\n")
	e.sections()
	if p.stages() > 1 {
		e.printf("planned work of one chip of each stage, together\n")
	} else {
		e.printf("planned work of one chip\n")
	}
	for i, n := range p.Work() {
		if strings.HasSuffix(p.Counters[i].Name, OwnSuffix) {
			continue // the same work once more
		}
		e.printf("  %-20s %s\n", p.Counters[i].Name, countText(n, p.Counters[i].Unit))
	}
	return e.err
}

type explainer struct {
	p     *Program
	w     io.Writer
	err   error
	label map[*Body]string
	show  Show
}

func (e *explainer) printf(format string, a ...any) {
	if e.err == nil {
		_, e.err = fmt.Fprintf(e.w, format, a...)
	}
}

// sections prints each section, decode steps after the second only where they bring something new.
func (e *explainer) sections() {
	nodes := e.p.Entry.Nodes
	if e.show.Op != "" {
		for i := range nodes {
			if e.any(nodes[i].Body) {
				e.node(e.p.Entry, i, 0, 0)
				e.printf("\n")
			}
		}
		return
	}
	for i := range nodes {
		if i > 2 && i < len(nodes)-1 && !ofTraining(nodes[i].Name) {
			if i == 3 {
				e.printf("… %d more steps, which differ in the length of the cache\n\n", len(nodes)-4)
			}
			continue
		}
		e.node(e.p.Entry, i, 0, 0)
		e.printf("\n")
	}
}

// ofTraining reports whether a section is a part of a step of training, none of which is like another.
func ofTraining(section string) bool {
	phase, _, _ := strings.Cut(section, " ")
	return phase == traces.Forward.String() || phase == traces.Backward.String() || phase == traces.Update.String()
}

// any reports whether a body holds a kernel that is to be shown and was not yet.
func (e *explainer) any(b *Body) bool {
	if b == nil {
		return false
	}
	if b.Op >= 0 {
		return e.show.shows(e.p, b) && e.label[b] == ""
	}
	for i := range b.Nodes {
		if e.any(b.Nodes[i].Body) {
			return true
		}
	}
	return false
}

// node prints a node; within counts the loops that it is in inside a kernel, from 1, and is 0 outside.
func (e *explainer) node(body *Body, i, depth, within int) {
	n := &body.Nodes[i]
	if within == 0 && e.show.Op != "" && !e.any(n.Body) || e.show.Depth > 0 && within > e.show.Depth {
		return
	}
	in := strings.Repeat("  ", depth)
	deps := ""
	for _, d := range n.After {
		// That a sequence starts again when its last node is done goes without saying.
		if d.Distance > 0 && !(i == 0 && d.Node == len(body.Nodes)-1) {
			deps += fmt.Sprintf("; waits for %s of the iteration %d before", body.Nodes[d.Node].Name, d.Distance)
		}
	}
	for _, t := range n.Acquire {
		deps += fmt.Sprintf("; takes %d of buffer %s", t.N, body.Buffers[t.Buffer].Name)
	}
	for _, t := range n.Release {
		deps += fmt.Sprintf("; frees %d of buffer %s", t.N, body.Buffers[t.Buffer].Name)
	}
	if n.Step != nil {
		e.printf("%s%s: %s%s\n", in, n.Name, e.step(n.Step), deps)
		return
	}
	times := ""
	if n.Times > 1 {
		times = fmt.Sprintf(" × %d", n.Times)
	}
	if l, ok := e.label[n.Body]; ok {
		e.printf("%s%s%s: as %s%s\n", in, n.Name, times, l, deps)
		return
	}
	e.label[n.Body] = fmt.Sprintf("%s above", n.Body.Name)
	flow := ""
	if len(n.Body.Nodes) > 1 && !n.Body.Chain(n.Times) {
		flow = ", overlapping"
	}
	e.printf("%s%s%s%s%s\n", in, n.Name, times, flow, deps)
	if d := e.show.Decisions.Of(n.Body); d != nil {
		e.decision(d, in+"  ")
	}
	if e.show.Decisions != nil {
		if text := movedText(e.p.moved(n.Body.work, n.Times)); text != "" {
			e.printf("%s  moves %s\n", in, text)
		}
	}
	for i := range n.Body.Buffers {
		b := &n.Body.Buffers[i]
		e.printf("%s  buffer %s: %d × %s per core\n", in, b.Name, b.Capacity, Human(b.Token))
	}
	if within > 0 || n.Body.Op >= 0 {
		within++
	}
	for k := range n.Body.Nodes {
		e.node(n.Body, k, depth+1, within)
	}
}

// decision prints what a kernel is, what was chosen and what next, and its nest from the outermost memory inwards.
func (e *explainer) decision(d *Decision, in string) {
	if d.What != "" {
		e.printf("%sis %s\n", in, d.What)
	}
	if d.Choice != (Choice{}) {
		text := d.Choice.String() + expected(d.Time, d.Full)
		if len(d.Pinned) > 0 {
			text += "; pinned: " + strings.Join(d.Pinned, ", ")
		}
		e.printf("%schosen %s\n", in, text)
	}
	if d.Rule != "" {
		e.printf("%sbecause %s\n", in, d.Rule)
	}
	for i, o := range d.Others[:min(len(d.Others), 2)] {
		word := "next  "
		if i > 0 {
			word = "then  "
		}
		e.printf("%s%s %s\n", in, word, o.Choice.differing(&d.Choice)+expected(o.Time, o.Full))
	}
	for _, l := range d.Levels {
		var holds []string
		for _, h := range l.Holds {
			if h.Bytes > 0 {
				holds = append(holds, h.What+" "+Human(h.Bytes))
			} else {
				holds = append(holds, h.What)
			}
		}
		e.printf("%s\n", strings.TrimRight(fmt.Sprintf("%s| %-7s %s", in, l.Name, strings.Join(holds, ", ")), " "))
		for _, loop := range l.Loops {
			how := "for"
			if loop.Spatial {
				how = "at once for"
			}
			of := ""
			if loop.Of != "" {
				of = ": " + loop.Of
			}
			e.printf("%s|   %s %s%s\n", in, how, plural(loop.Times, loop.Over), of)
		}
	}
}

// expected prints a time or a share by which alternatives are compared.
func expected(t units.Time, full float64) string {
	switch {
	case t > 0:
		return fmt.Sprintf(": %s", t.Short())
	case full > 0:
		return fmt.Sprintf(": %.0f %% of the places have work", 100*full)
	}
	return ""
}

// movedText lists what each memory gives and takes, and how often a byte that came on chip is used.
func movedText(moved []MovedInfo) string {
	var parts []string
	for _, m := range moved {
		var words []string
		if m.ReadBytes > 0 {
			words = append(words, Human(units.Bytes(m.ReadBytes))+" read")
		}
		if m.WrittenBytes > 0 {
			words = append(words, Human(units.Bytes(m.WrittenBytes))+" written")
		}
		text := m.Tier + " " + strings.Join(words, ", ")
		if m.Reuse > 0 {
			text += fmt.Sprintf(" (reuse %.3g)", m.Reuse)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// step prints what a step asks for and how long that takes alone.
func (e *explainer) step(s *Step) string {
	var parts []string
	for _, u := range s.Uses {
		if u.Amount == 0 {
			continue
		}
		r := &e.p.Resources[u.Resource]
		at := ""
		if u.Share != 0 && u.Share != 1 {
			at = fmt.Sprintf(" at %.3g %% of its rate", 100*u.Share)
		}
		parts = append(parts, fmt.Sprintf("%s of %s%s (%s)", countText(u.Amount, r.Unit), r.Name, at, u.Time(e.p.Resources).Short()))
	}
	t, cause := s.Serve(e.p.Resources)
	if len(parts) > 0 {
		parts = append(parts, fmt.Sprintf("takes %s alone, limited by %s", t.Short(), cause))
	}
	if s.Host > 0 {
		parts = append(parts, fmt.Sprintf("when the host has launched it, ahead of the device (%s)", e.p.HostTime(s).Short()))
	}
	if s.Latency > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s", s.Latency.Short(), s.Charge))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func rateText(r *Resource) string {
	if r.Unit == "ps" {
		return fmt.Sprintf("%.4g s/s", float64(r.Rate)/float64(units.Second))
	}
	v, unit := float64(r.Rate), "Hz"
	if r.Unit == "B" {
		unit = "B/s"
	}
	i := 0
	for v >= 1000 && i < 4 {
		v /= 1000
		i++
	}
	return fmt.Sprintf("%.4g %s%s", v, []string{"", "k", "M", "G", "T"}[i], unit)
}

func countText(n int64, unit string) string {
	switch unit {
	case "B":
		return Human(units.Bytes(n))
	case "ps":
		return units.Time(n).Short()
	case "pJ":
		return fmt.Sprintf("%.4g J", float64(n)/1e12)
	case "call":
		return plural(n, unit)
	case "op", "core-cycle", "cycle", "launch":
		f, i := float64(n), 0
		for f >= 10000 && i < 6 {
			f /= 1000
			i++
		}
		many := "s"
		if unit == "launch" {
			many = "es"
		}
		return fmt.Sprintf("%.4g %s%s%s", f, []string{"", "k", "M", "G", "T", "P", "E"}[i], unit, many)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if one, rest, ok := strings.Cut(what, " "); ok && strings.HasPrefix(rest, "of ") {
		return fmt.Sprintf("%d %ss %s", n, one, rest)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// BufferPeak returns the most on-chip bytes per core that the operand buffers of one kernel hold.
func (p *Program) BufferPeak() units.Bytes {
	return bufferPeak(p.Entry, map[*Body]units.Bytes{})
}

func bufferPeak(b *Body, seen map[*Body]units.Bytes) units.Bytes {
	if v, ok := seen[b]; ok {
		return v
	}
	own, inner := b.held, units.Bytes(0)
	for i := range b.Buffers {
		own += units.Bytes(b.Buffers[i].Capacity) * b.Buffers[i].Token
	}
	for i := range b.Nodes {
		if b.Nodes[i].Body != nil {
			inner = max(inner, bufferPeak(b.Nodes[i].Body, seen))
		}
	}
	seen[b] = own + inner
	return own + inner
}

// Scale returns the program with the rates of some resources multiplied: the same plan on a machine
// that differs in nothing else.
func (p *Program) Scale(by map[string]float64) *Program {
	q := *p
	q.Resources = append([]Resource(nil), p.Resources...)
	for i := range q.Resources {
		if f, ok := by[q.Resources[i].Name]; ok {
			q.Resources[i].Rate = max(1, int64(float64(q.Resources[i].Rate)*f))
		}
	}
	return &q
}

// ResourcesOf returns the names of the resources whose time is charged to the cause.
func (p *Program) ResourcesOf(c sim.Cause) []string {
	var names []string
	for i := range p.Resources {
		if p.Resources[i].Cause == c {
			names = append(names, p.Resources[i].Name)
		}
	}
	return names
}
