package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Machine draws a machine as text: the chip with its cores and memories, the node around it, peak rates with the
// ridge point of each data type, runtime profiles, power, energy and cost.
func Machine(w io.Writer, m *arch.Machine, s Style) error {
	d := &machineReport{m: m, s: s}
	d.title()
	d.chip()
	d.peaks()
	d.profiles()
	d.budget()
	return s.write(w, d.b.String())
}

type machineReport struct {
	b strings.Builder
	m *arch.Machine
	s Style
}

func (d *machineReport) printf(format string, a ...any) { fmt.Fprintf(&d.b, format, a...) }

func (d *machineReport) title() {
	d.printf("%s\n", d.s.bold(d.m.Name))
	if d.m.Description != "" {
		d.b.WriteString(wrap("", d.m.Description))
	}
}

// box draws a frame around lines.
func box(title string, lines []string, inner int) []string {
	out := []string{"┌ " + title + " " + strings.Repeat("─", max(0, inner-utf8.RuneCountInString(title))) + "┐"}
	for _, l := range lines {
		out = append(out, "│ "+pad(l, inner)+" │")
	}
	return append(out, "└"+strings.Repeat("─", inner+2)+"┘")
}

// chip draws the core in the chip in the node, and the memories outside the chip below it.
func (d *machineReport) chip() {
	m, c := d.m, &d.m.Chip
	lines := d.unitLines()
	var on, off []string
	for i := range c.Memory {
		t := &c.Memory[i]
		switch {
		case t.Private():
			lines = append(lines, d.tier(t))
		case t.Kind == "sram":
			on = append(on, d.tier(t))
		default:
			off = append(off, d.tier(t))
		}
	}
	title := fmt.Sprintf("core × %d", c.Cores.Count)
	if c.Cores.Count == 1 {
		title = "core"
	}
	inside := box(title, lines, widest(lines, title))
	if n := c.Network; n != nil {
		inside = append(append(inside, "  │"), networkText(n, c.Clock)...)
	}
	for _, l := range on {
		inside = append(inside, "  │", l)
	}
	if n := c.Dies; n != nil {
		text := fmt.Sprintf("%d dies, %s between them", n.Count, Rate(float64(n.Link)))
		if n.Copies {
			text += ", each keeps copies"
		}
		if n.Latency > 0 {
			text += fmt.Sprintf(", %s further", n.Latency)
		}
		inside = append(inside, text)
	}
	chip := fmt.Sprintf("chip, %s", c.Clock)
	if c.Process != "" {
		chip += ", " + c.Process
	}
	d.printf("\n")
	for _, l := range box(chip, inside, widest(inside, chip)) {
		d.printf("  %s\n", l)
	}
	for _, l := range off {
		d.printf("      │\n    %s\n", l)
	}
	d.host()
	d.printf("\n")
	if n := m.System.ScaleUp; n != nil && m.System.Chips > 1 {
		shape := n.Topology
		if len(n.Dimensions) > 0 {
			shape += " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(n.Dimensions), " ", "×"), "[]")
		}
		d.b.WriteString(wrap("  ", fmt.Sprintf("node of %d chips: %s, %s out of each chip and as much into it", m.System.Chips, shape, Rate(float64(n.Bandwidth)))))
	} else {
		d.printf("  one chip by itself\n")
	}
	d.nodes()
}

// nodes draws the network between nodes.
func (d *machineReport) nodes() {
	o := d.m.System.ScaleOut
	if o == nil {
		return
	}
	text := fmt.Sprintf("between nodes: %d × %s out of each node and as much into it, %.3g %% of it sustained", o.NICs, Rate(float64(o.Bandwidth)), 100*o.Efficiency)
	if o.Group > 0 {
		text += fmt.Sprintf(", groups of %d nodes", o.Group)
	}
	if o.Oversubscription > 1 {
		text += fmt.Sprintf(" with %.3g times less between them", o.Oversubscription)
	}
	if o.Nodes > 0 {
		text += fmt.Sprintf(", at most %d nodes", o.Nodes)
	}
	d.b.WriteString(wrap("  ", text))
}

// host draws the memory of the host below those of the chip.
func (d *machineReport) host() {
	h := d.m.System.Host
	if h == nil {
		return
	}
	way := Rate(float64(h.Link.Bandwidth)) + " each way"
	if h.Link.Standard != "" {
		way = h.Link.Standard + ", " + way
	}
	if h.Link.Efficiency != nil {
		way += fmt.Sprintf(", %.4g %% of it sustained", 100**h.Link.Efficiency)
	}
	d.printf("      │ %s, %s\n    %s, for all chips of the node\n", way, h.Link.Latency, d.tier(&h.Memory))
}

func widest(lines []string, title string) int {
	n := utf8.RuneCountInString(title) + 2
	for _, l := range lines {
		n = max(n, utf8.RuneCountInString(l))
	}
	return n
}

// unitLines describes the units of a core.
func (d *machineReport) unitLines() []string {
	u := &d.m.Chip.Cores.Matrix
	var lines []string
	if u.Kind == "systolic" {
		arrays := "1 array"
		if u.Arrays != 1 {
			arrays = fmt.Sprintf("%d arrays", u.Arrays)
		}
		lines = append(lines, fmt.Sprintf("matrix   systolic, %s of %d × %d, %s, %s", arrays, u.Rows, u.Columns, u.Dataflow, u.Mode))
	} else {
		lines = append(lines, "matrix   "+u.Kind+", multiply-adds per cycle:")
		text := ""
		for _, t := range d.types() {
			rate, _ := u.Rate(t)
			item := fmt.Sprintf("%s %d", t, rate)
			if utf8.RuneCountInString(text+item) > 56 {
				lines = append(lines, "         "+text)
				text = ""
			}
			if text != "" {
				text += ", "
			}
			text += item
		}
		lines = append(lines, "         "+text)
	}
	v := &d.m.Chip.Cores.Vector
	return append(lines, fmt.Sprintf("vector   %d lanes, %d special functions a cycle", v.Lanes, v.Special))
}

// tier describes a memory in a line.
func (d *machineReport) tier(t *memory.Spec) string {
	clock := d.m.Chip.Clock
	kind := t.Kind
	if t.Standard != "" {
		kind = t.Standard
	}
	rate := Rate(float64(t.Peak(clock)))
	if t.Width > 0 {
		rate = fmt.Sprintf("%s (%s)", t.Width, rate)
	}
	if share := t.SustainedShare(); share != 1 {
		rate += fmt.Sprintf(", %.4g %% of it sustained", 100*share)
	}
	switch {
	case t.Ports == memory.PortsShared:
		rate += ", one port for reads and writes"
	case t.WriteWidth > 0:
		rate += fmt.Sprintf(", writes beside them %s", t.WriteWidth)
	case t.Ports == memory.PortsSeparate:
		rate += ", writes beside them"
	}
	if t.Banks > 0 {
		rate += fmt.Sprintf(", %d banks of %s", t.Banks, t.BankWidth)
	}
	return fmt.Sprintf("%-8s %s %s, %s", t.Name, t.Capacity, kind, rate)
}

// networkText describes a network on chip, and what uniform traffic gets of it.
func networkText(n *interconnect.OnChip, clock units.Hertz) []string {
	shape := strings.Trim(strings.ReplaceAll(fmt.Sprint(n.Dimensions), " ", " × "), "[]")
	r := n.Rates()
	text := fmt.Sprintf("%-8s %s of %s nodes, links of %s", arch.NetworkResource, n.Topology, shape, n.Width)
	if n.OneWay {
		text += " one way"
	}
	if n.Planes > 1 {
		text += fmt.Sprintf(" on %d planes", n.Planes)
	}
	if len(n.Ports) > 0 {
		text += fmt.Sprintf(", %d ports", len(n.Ports))
	}
	return []string{text, fmt.Sprintf("%-8s %s to the cores by its %s, %s from them; %.3g hops", "", Rate(r.Read*float64(clock)), r.Limit, Rate(r.Write*float64(clock)), r.Hops)}
}

// types lists the data types of the matrix unit, in the order of traces.DTypes.
func (d *machineReport) types() []traces.DType {
	var list []traces.DType
	for _, name := range traces.DTypes() {
		if t, err := traces.ParseDType(name); err == nil {
			if _, err := d.m.Chip.Cores.Matrix.Rate(t); err == nil {
				list = append(list, t)
			}
		}
	}
	return list
}

// PeakOps returns the operations per second of the chip's matrix units, a multiply-add being two; 0 if the machine has no
// rate for the data type.
func PeakOps(m *arch.Machine, t traces.DType) float64 {
	fma, err := m.Chip.Cores.Matrix.Rate(t)
	if err != nil {
		return 0
	}
	return 2 * float64(fma) * float64(m.Chip.Cores.Count) * float64(m.Chip.Clock)
}

// peaks prints the peak rate of each data type and its ridge point.
func (d *machineReport) peaks() {
	off := d.m.OffChip()
	if off == nil {
		return
	}
	bandwidth := float64(off.Peak(d.m.Chip.Clock))
	d.printf("\n%s\n", d.s.bold("Peak of one chip"))
	t := Table{Columns: []Column{{Title: "type"}, {Title: "matrix peak", Right: true}, {Title: "ridge", Right: true}}}
	for _, dt := range d.types() {
		peak := PeakOps(d.m, dt)
		t.Rows = append(t.Rows, []any{dt.String(), Flops(peak), digits(peak/bandwidth) + " op/B"})
	}
	for _, l := range t.lines() {
		d.printf("  %s\n", l)
	}
	d.b.WriteString(wrap("  ", fmt.Sprintf("ridge: below that many operations for each byte of %s, %s is the limit", off.Name, off.Name)))
}

func (d *machineReport) profiles() {
	d.printf("\n%s\n", d.s.bold("Runtime profiles"))
	for i := range d.m.Runtime.Profiles {
		p := d.m.Resolved(&d.m.Runtime.Profiles[i])
		text := p.Description
		if text != "" {
			text += "; "
		}
		fusion := "fuses nothing"
		if len(p.Fusion) > 0 {
			fusion = "fuses " + strings.Join(p.Fusion, ", ")
		}
		text += fmt.Sprintf("launch %s; %s; %d product tiles", p.Launch, fusion, len(p.Gemm.Tiles))
		if h := p.Host; h != nil {
			text += "; host " + hostText(h)
		}
		name := p.Name
		if name == d.m.Runtime.Default {
			name += " (default)"
		}
		d.b.WriteString(wrap("  "+pad(name, 20)+" ", text))
	}
}

func (d *machineReport) budget() {
	m := d.m
	d.printf("\n%s\n", d.s.bold("Power, energy and cost"))
	text := fmt.Sprintf("limit %s, idle %s", m.Power.Limit, m.Power.Idle)
	if m.Power.Active > 0 {
		text += fmt.Sprintf(", %s more while kernels run", m.Power.Active)
	}
	d.printf("  power   %s\n", text)
	var parts []string
	for _, t := range d.types() {
		if e, ok := m.Energy.Matrix[t.String()]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", t, e))
		}
	}
	d.b.WriteString(wrap("  matrix  ", strings.Join(parts, ", ")))
	d.printf("  vector  %s, special functions %s\n", m.Energy.Vector, m.Energy.Special)
	parts = nil
	for i := range m.Chip.Memory {
		if e, ok := m.Energy.Memory[m.Chip.Memory[i].Name]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", m.Chip.Memory[i].Name, e))
		}
	}
	if h := m.System.Host; h != nil {
		if e, ok := m.Energy.Memory[h.Memory.Name]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", h.Memory.Name, e))
		}
		parts = append(parts, fmt.Sprintf("link to it %s", m.Energy.HostLink))
	}
	if m.System.ScaleUp != nil {
		parts = append(parts, fmt.Sprintf("link %s", m.Energy.Link))
	}
	if m.System.ScaleOut != nil {
		parts = append(parts, fmt.Sprintf("network %s", m.Energy.Network))
	}
	d.b.WriteString(wrap("  memory  ", strings.Join(parts, ", ")))
	if m.Cost != nil {
		d.printf("  cost    %s for one chip\n", m.Cost.Hour)
	}
	estimated := 0
	for _, text := range m.Sources {
		if strings.HasPrefix(text, "estimated:") || strings.HasPrefix(text, "fitted:") {
			estimated++
		}
	}
	if len(m.Sources) > 0 {
		d.b.WriteString(wrap("  ", fmt.Sprintf("%d sources, %d of them estimates or fits: add --sources to see them", len(m.Sources), estimated)))
	}
}

// Leaf is one figure of a machine with its source.
type Leaf struct{ Path, Value, Source string }

// Sources lists figures, and below each group of them where they come from.
func Sources(w io.Writer, leaves []Leaf, s Style) error {
	var b strings.Builder
	width := 0
	for _, l := range leaves {
		width = max(width, min(60, utf8.RuneCountInString(l.Path)))
	}
	b.WriteString("\n" + s.bold("Sources") + "\n")
	for i, l := range leaves {
		b.WriteString(wrap("  "+pad(l.Path, width)+"  ", l.Value))
		if i+1 < len(leaves) && leaves[i+1].Source == l.Source {
			continue // one line for all that have it from there
		}
		if l.Source == "" {
			l.Source = "no source"
		}
		b.WriteString(wrap("      ← ", l.Source))
	}
	return s.write(w, b.String())
}

// hostText says what a framework on the host takes.
func hostText(h *arch.Host) string {
	var parts []string
	for _, term := range []struct {
		t    units.Time
		what string
	}{{h.Operator, "an operator"}, {h.Step, "a step"}, {h.Sequence, "a sequence"}, {h.Request, "a request"}} {
		if term.t > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", term.t, term.what))
		}
	}
	if h.StepTokens > 0 {
		parts = append(parts, fmt.Sprintf("at most %d tokens of prompts a step", h.StepTokens))
	}
	return strings.Join(parts, ", ")
}
