package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/cost"
)

// A DesignRun is a load under which a node is priced: tokens a second that it makes, 0 for none.
type DesignRun struct {
	TokensPerSecond float64
	Figures         cost.Figures // of the node
}

// Design prints the area of a machine's dies and its costs.
func Design(w io.Writer, m *arch.Machine, e *cost.Estimate, run DesignRun, s Style) error {
	r := &designReport{s: s}
	r.printf("%s\n", s.bold(m.Name))
	cores := fmt.Sprintf("%d cores on the dies", e.Cores)
	if e.Enabled < e.Cores {
		cores += fmt.Sprintf(", %d of them enabled", e.Enabled)
	}
	r.printf("%s\n", cores)

	r.head("Area of a chip")
	var areas []float64
	for i := range e.Components {
		areas = append(areas, float64(e.Components[i].Area))
	}
	shares := tenths(areas)
	for i := range e.Components {
		c := &e.Components[i]
		name := c.Name
		if c.Count > 1 {
			name = fmt.Sprintf("%s × %d", c.Name, c.Count)
		}
		if len(e.Dies) > 1 {
			name += " (" + c.Die + ")"
		}
		r.printf("  %s%8.1f mm²  %5.1f %%\n", pad(name, 34), float64(c.Area), float64(shares[i])/10)
	}
	r.printf("  %s%8.1f mm²\n", pad("all", 34), float64(e.Area))

	for i := range e.Dies {
		d := &e.Dies[i]
		title := "Die"
		if len(e.Dies) > 1 {
			title = strings.ToUpper(d.Kind[:1]) + d.Kind[1:] + " die"
			if d.Kind == cost.IO {
				title = "I/O die"
			}
		}
		if d.Count > 1 {
			title += fmt.Sprintf(", %d in a chip", d.Count)
		}
		r.head(title)
		r.line("area", fmt.Sprintf("%.1f mm²", float64(d.Area)), d.Node.String())
		switch {
		case d.Published > 0:
			r.line("published", fmt.Sprintf("%.0f mm²", float64(d.Published)), fmt.Sprintf("the model is %+.1f %% off", 100*d.Error()))
		case d.Below > 0 && d.Area <= d.Below:
			r.line("published", fmt.Sprintf("< %.0f mm²", float64(d.Below)), "the model is within it")
		case d.Below > 0:
			r.line("published", fmt.Sprintf("< %.0f mm²", float64(d.Below)), fmt.Sprintf("the model is at least %.0f %% above it", 100*(float64(d.Area/d.Below)-1)))
		}
		r.line("on a wafer", fmt.Sprintf("%.1f", d.PerWafer), fmt.Sprintf("of %s", Money(float64(d.Wafer))))
		r.line("yield", Percent(d.Yield), "")
		r.line("good die", Money(float64(d.Cost)), "")
	}

	c, n, h := &e.Chip, &e.Node, &e.Hour
	r.head("Chip")
	r.line("dies", Money(float64(c.Dies)), "")
	for i := range c.Memory {
		t := &c.Memory[i]
		r.line(t.Name, Money(float64(t.Price)), fmt.Sprintf("%s at %s", t.Capacity, t.PerGiB))
	}
	r.line("package", Money(float64(c.Package)), "")
	r.line("test", Money(float64(c.Test)), "")
	r.line("cost", Money(float64(c.Cost)), "")
	r.line("price", Money(float64(c.Price)), fmt.Sprintf("of it margin %s", Money(float64(c.Margin))))

	r.head(fmt.Sprintf("Node of %d chips", n.Count))
	if n.Chips > 0 {
		r.line("chips", Money(float64(n.Chips)), "")
		r.line("server", Money(float64(n.Server)), "")
		r.line("host memory", Money(float64(n.Memory)), "")
		r.line("network", Money(float64(n.NICs)), "")
	}
	r.line("price", Money(float64(n.Price)), "")
	r.line("power", Power(float64(n.Power)), "at most")

	r.head("An hour")
	r.line("capital", Money(float64(h.Capital)), "")
	r.line("building", Money(float64(h.Building)), "")
	r.line("electricity", Money(float64(h.Electricity)), fmt.Sprintf("%s on average", Power(float64(h.Power))))
	r.line("upkeep", Money(float64(h.Upkeep)), "")
	r.line("node", Money(float64(h.Node)), "")
	text := ""
	if m.Cost != nil && m.Cost.Hour > 0 {
		text = fmt.Sprintf("rent is %s", Money(float64(m.Cost.Hour)))
	}
	r.line("chip", Money(float64(h.Chip)), text)
	if run.TokensPerSecond > 0 {
		r.head("Tokens")
		r.line("a million", Money(run.Figures.USDPerMillionTokens), fmt.Sprintf("at %s in %s of the time, %s per hour", Tokens(run.TokensPerSecond), Percent(e.Utilization()), Money(run.Figures.TCOUSDPerHour)))
	}
	for _, note := range e.Notes {
		r.b.WriteString("\n" + wrap("", note))
	}
	return s.write(w, r.b.String())
}

// DesignTable is what Design prints as rows: part, what, value and unit.
func DesignTable(e *cost.Estimate, run DesignRun) *Table {
	t := &Table{Columns: []Column{{Title: "part", Name: "part"}, {Title: "what", Name: "what"}, {Title: "value", Name: "value", Right: true}, {Title: "unit", Name: "unit"}}}
	add := func(part, what string, value float64, unit string) {
		t.Rows = append(t.Rows, []any{part, what, value, unit})
	}
	for i := range e.Components {
		c := &e.Components[i]
		add("area", c.Name, float64(c.Area), "mm2")
	}
	add("area", "all", float64(e.Area), "mm2")
	for i := range e.Dies {
		d := &e.Dies[i]
		part := d.Kind + " die"
		add(part, "count", float64(d.Count), "")
		add(part, "area", float64(d.Area), "mm2")
		if d.Published > 0 {
			add(part, "published", float64(d.Published), "mm2")
		}
		if d.Below > 0 {
			add(part, "published below", float64(d.Below), "mm2")
		}
		add(part, "on a wafer", d.PerWafer, "")
		add(part, "wafer", float64(d.Wafer), "USD")
		add(part, "yield", d.Yield, "")
		add(part, "good die", float64(d.Cost), "USD")
	}
	c, n, h := &e.Chip, &e.Node, &e.Hour
	add("chip", "dies", float64(c.Dies), "USD")
	for i := range c.Memory {
		add("chip", c.Memory[i].Name, float64(c.Memory[i].Price), "USD")
	}
	for _, v := range []struct {
		part, what string
		value      float64
		unit       string
	}{
		{"chip", "package", float64(c.Package), "USD"}, {"chip", "test", float64(c.Test), "USD"}, {"chip", "cost", float64(c.Cost), "USD"}, {"chip", "margin", float64(c.Margin), "USD"}, {"chip", "price", float64(c.Price), "USD"},
		{"node", "chips", float64(n.Chips), "USD"}, {"node", "server", float64(n.Server), "USD"}, {"node", "host memory", float64(n.Memory), "USD"}, {"node", "network", float64(n.NICs), "USD"}, {"node", "price", float64(n.Price), "USD"}, {"node", "power", float64(n.Power), "W"},
		{"hour", "capital", float64(h.Capital), "USD/h"}, {"hour", "building", float64(h.Building), "USD/h"}, {"hour", "electricity", float64(h.Electricity), "USD/h"}, {"hour", "upkeep", float64(h.Upkeep), "USD/h"}, {"hour", "node", float64(h.Node), "USD/h"}, {"hour", "chip", float64(h.Chip), "USD/h"},
	} {
		add(v.part, v.what, v.value, v.unit)
	}
	if run.TokensPerSecond > 0 {
		add("tokens", "a million", run.Figures.USDPerMillionTokens, "USD")
	}
	return t
}

type designReport struct {
	b strings.Builder
	s Style
}

func (r *designReport) printf(format string, a ...any) { fmt.Fprintf(&r.b, format, a...) }

func (r *designReport) head(text string) { r.printf("\n%s\n", r.s.bold(text)) }

// line prints a figure with what there is to say about it.
func (r *designReport) line(what, value, text string) {
	r.b.WriteString(strings.TrimRight(fmt.Sprintf("  %s%16s  %s", pad(what, 13), value, text), " ") + "\n")
}
