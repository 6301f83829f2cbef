package report

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// Page is a report in the making: sections of lines, paragraphs and tables in the width and the style of all reports.
type Page struct {
	Style
	b strings.Builder
}

// Title writes the first line.
func (p *Page) Title(text string) { p.Linef("%s", p.bold(text)) }

// Head begins a section.
func (p *Page) Head(text string) { p.Linef("\n%s", p.bold(text)) }

// Linef writes one line as it is.
func (p *Page) Linef(format string, a ...any) { fmt.Fprintf(&p.b, format+"\n", a...) }

// Paragraph writes a text in as many lines as it needs, the first behind first and the others below its end.
func (p *Page) Paragraph(first, text string) { p.b.WriteString(wrap(first, minus(text))) }

// Table writes a table, indented as sections are.
func (p *Page) Table(t *Table) {
	for _, line := range t.lines() {
		p.Linef("  %s", line)
	}
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error { return p.write(w, p.b.String()) }

// Signed is how a change is printed: with its sign, and a minus sign that is one.
func Signed(show func(float64) string, v float64) string {
	switch {
	case v > 0:
		return "+" + show(v)
	case v < 0:
		return "−" + show(-v)
	}
	return show(0)
}

// ChangePercent prints how much of before the change to after is, with its sign: "−12.3 %". It prints "new" where
// there was nothing before.
func ChangePercent(before, after float64) string {
	share := 0.0
	switch {
	case before == after:
	case before == 0:
		return "new"
	default:
		share = (after - before) / before
	}
	return SignedPercent(share)
}

// SignedPercent prints a share of one with its sign, and without one what is nothing to a tenth of a percent.
func SignedPercent(share float64) string {
	if math.Abs(share) < 0.0005 {
		return Percent(0)
	}
	return Signed(Percent, share)
}
