package validation

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// A chart is predicted against measured of the rows of a suite and class, which have one unit.
type chart struct {
	suite, class, unit string
	rows               []*Row
	devices            []string
}

// charts lists what is drawn: a chart for each suite and class, with rows above zero only, since axes are logarithmic.
func charts(results []*Result) []chart {
	var list []chart
	for _, r := range results {
		for i := range r.Rows {
			row := &r.Rows[i]
			if row.Measured <= 0 || row.Predicted <= 0 {
				continue
			}
			k := slices.IndexFunc(list, func(c chart) bool { return c.suite == row.Suite && c.class == row.Class && c.unit == row.Unit })
			if k < 0 {
				list, k = append(list, chart{suite: row.Suite, class: row.Class, unit: row.Unit}), len(list)
			}
			c := &list[k]
			c.rows = append(c.rows, row)
			if !slices.Contains(c.devices, row.Device) {
				c.devices = append(c.devices, row.Device)
			}
		}
	}
	for i := range list {
		slices.Sort(list[i].devices)
	}
	return list
}

// colours tell devices apart: those of Okabe and Ito, which most people can tell from one another, and darker ones of them.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6a00", "#5b3a8e", "#8c2d04", "#006d5b", "#444444", "#b2182b"}

// Of a chart, in pixels.
const (
	chartSide   = 320
	chartLeft   = 58
	chartBottom = 42
	chartTop    = 10
	chartRight  = 12
	// mostPoints of a chart: more would only lie on one another. Beyond, the worst are drawn and every so many of the others.
	mostPoints = 1500
)

// axis maps figures to pixels by their logarithm.
type axis struct{ low, high float64 }

func (a axis) share(v float64) float64 { return (math.Log10(v) - a.low) / (a.high - a.low) }

func (c *chart) axis() axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range c.rows {
		low, high = min(low, r.Measured, r.Predicted), max(high, r.Measured, r.Predicted)
	}
	a := axis{math.Log10(low), math.Log10(high)}
	margin := max(0.04*(a.high-a.low), 0.02)
	return axis{a.low - margin, a.high + margin}
}

// ticks are 1, 2, 5 and their tenfolds within an axis, as few as there is room for.
func (a axis) ticks() []float64 {
	for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		var list []float64
		for e := math.Floor(a.low); e <= a.high; e++ {
			for _, s := range steps {
				if v := s * math.Pow(10, e); math.Log10(v) >= a.low && math.Log10(v) <= a.high {
					list = append(list, v)
				}
			}
		}
		if len(list) <= 7 {
			if len(list) > 1 {
				return list
			}
			return []float64{math.Pow(10, a.low), math.Pow(10, a.high)}
		}
	}
	var list []float64
	every := math.Ceil((a.high - a.low) / 6)
	for e := math.Ceil(a.low); e <= a.high; e += every {
		list = append(list, math.Pow(10, e))
	}
	return list
}

// tick is a figure at an axis.
func tick(v float64) string {
	if v >= 1e5 || v < 1e-3 {
		return strings.NewReplacer("e+0", "e", "e-0", "e-", "e+", "e").Replace(fmt.Sprintf("%.0e", v))
	}
	return fmt.Sprintf("%.4g", v)
}

// svg draws the chart: the line of equality, lines for 20 % to either side, and a point a row.
func (c *chart) svg(b *strings.Builder) {
	a := c.axis()
	width, height := chartLeft+chartSide+chartRight, chartTop+chartSide+chartBottom
	x := func(v float64) float64 { return chartLeft + chartSide*a.share(v) }
	y := func(v float64) float64 { return chartTop + chartSide*(1-a.share(v)) }
	fmt.Fprintf(b, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s: predicted against measured, in %s\">\n", width, height, width, height, html.EscapeString(c.class), html.EscapeString(c.unit))
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"frame\"/>\n", chartLeft, chartTop, chartSide, chartSide)
	for _, v := range a.ticks() {
		fmt.Fprintf(b, "<path d=\"M%.1f %dV%d M%d %.1fH%d\" class=\"grid\"/>", x(v), chartTop, chartTop+chartSide, chartLeft, y(v), chartLeft+chartSide)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x(v), chartTop+chartSide+14, tick(v), chartLeft-5, y(v)+4, tick(v))
	}
	low, high := math.Pow(10, a.low), math.Pow(10, a.high)
	for _, l := range []struct {
		by    float64
		class string
	}{{1, "same"}, {1.2, "near"}, {1 / 1.2, "near"}} {
		// The line measured·by, cut to the frame.
		from, to := max(low, low/l.by), min(high, high/l.by)
		fmt.Fprintf(b, "<path d=\"M%.1f %.1fL%.1f %.1f\" class=\"%s\"/>\n", x(from), y(from*l.by), x(to), y(to*l.by), l.class)
	}
	for i, device := range c.devices {
		fmt.Fprintf(b, "<g fill=\"%s\">", colours[i%len(colours)])
		for _, r := range c.drawn() {
			if r.Device == device {
				fmt.Fprintf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"1.8\"/>", x(r.Measured), y(r.Predicted))
			}
		}
		b.WriteString("</g>\n")
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" class=\"name\">measured, %s</text>", chartLeft+chartSide/2, height-8, html.EscapeString(c.unit))
	fmt.Fprintf(b, "<text transform=\"translate(12 %d) rotate(-90)\" text-anchor=\"middle\" class=\"name\">predicted, %s</text>\n</svg>\n", chartTop+chartSide/2, html.EscapeString(c.unit))
}

// drawn are the rows that get a point.
func (c *chart) drawn() []*Row {
	if len(c.rows) <= mostPoints {
		return c.rows
	}
	by := summarise(c.rows, mostPoints/5).Worst
	worst := map[*Row]bool{}
	for _, r := range by {
		worst[r] = true
	}
	var list []*Row
	rest := mostPoints - len(by)
	for i, r := range c.rows {
		if worst[r] || i*rest/len(c.rows) != (i+1)*rest/len(c.rows) {
			list = append(list, r)
		}
	}
	return list
}

const pageStyle = `body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2em auto;padding:0 1em;color:#1b1b1b;background:#fff}
h1{font-size:1.6em}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid #ccc}
.charts{display:flex;flex-wrap:wrap;gap:1.2em}figure{margin:0;max-width:366px}figcaption{font-size:13px;margin-bottom:.3em}
svg{display:block;max-width:100%;height:auto}svg text{font:10px system-ui,sans-serif;fill:#333}svg .name{font-size:12px}
.frame{fill:none;stroke:#888}.grid{stroke:#e6e6e6;fill:none}.same{stroke:#222;fill:none}.near{stroke:#222;stroke-dasharray:3 4;opacity:.55;fill:none}
circle{fill-opacity:.55}.key{display:inline-block;width:.75em;height:.75em;border-radius:50%;margin:0 .25em 0 0}.device{white-space:nowrap;margin-right:.7em}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums;margin:1em 0}th,td{padding:.15em .7em;text-align:left;border-bottom:1px solid #e4e4e4}
td.n,th.n{text-align:right}p.note{color:#555}
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}h2{border-color:#444}svg text{fill:#ccc}.grid{stroke:#2c2c2c}.same,.near{stroke:#ddd}th,td{border-color:#333}p.note{color:#aaa}}`

// WritePage writes a page that needs nothing else: predicted against measured for each suite and class, the table of errors, the
// worst rows, and what was left out.
func WritePage(w io.Writer, fidelity string, by []string, results []*Result, worst int) error {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Predicted and measured</title>\n<style>\n" + pageStyle + "\n</style>\n</head>\n<body>\n<h1>Predicted and measured</h1>\n")
	rows := 0
	for _, r := range results {
		rows += len(r.Rows)
	}
	fmt.Fprintf(&b, "<p>%d figures, fidelity %s. An error is predicted/measured − 1; mean, median and p90 are of its absolute value. In the charts rows on the line are right, dashed lines are a factor of 1.2 to either side.</p>\n", rows, html.EscapeString(fidelity))
	suite := ""
	for _, c := range charts(results) {
		if c.suite != suite {
			if suite != "" {
				b.WriteString("</div>\n")
			}
			suite = c.suite
			fmt.Fprintf(&b, "<h2 id=\"%s\">%s</h2>\n<p class=\"note\">%s</p>\n<div class=\"charts\">\n", html.EscapeString(suite), html.EscapeString(suite), html.EscapeString(titleOf(results, suite)))
		}
		s := summarise(c.rows, 0)
		fmt.Fprintf(&b, "<figure>\n<figcaption><b>%s</b>: %d rows, mean %.1f %%, bias %+.1f %%", html.EscapeString(c.class), s.N, 100*s.Mean, 100*s.Bias)
		if n := len(c.drawn()); n < s.N {
			fmt.Fprintf(&b, " (%d drawn, the worst among them)", n)
		}
		b.WriteString("<br>")
		for i, d := range c.devices {
			if i == len(colours) {
				fmt.Fprintf(&b, " and %d devices more, in the same colours again", len(c.devices)-i)
				break
			}
			fmt.Fprintf(&b, "<span class=\"device\"><span class=\"key\" style=\"background:%s\"></span>%s</span> ", colours[i], html.EscapeString(d))
		}
		b.WriteString("</figcaption>\n")
		c.svg(&b)
		b.WriteString("</figure>\n")
	}
	if suite != "" {
		b.WriteString("</div>\n")
	}
	groups := Groups(results, by, worst)
	pageTable(&b, by, groups)
	pageWorst(&b, groups)
	pageLeft(&b, results)
	b.WriteString("</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func titleOf(results []*Result, suite string) string {
	for _, r := range results {
		if r.Suite.Name == suite {
			return r.Suite.Title
		}
	}
	return ""
}

func pageTable(b *strings.Builder, by []string, groups []Group) {
	b.WriteString("<h2 id=\"errors\">Errors</h2>\n<table>\n<tr>")
	for _, name := range by {
		fmt.Fprintf(b, "<th>%s</th>", html.EscapeString(name))
	}
	for _, name := range []string{"rows", "mean", "median", "p90", "bias", "roofline", "calibrated roofline"} {
		fmt.Fprintf(b, "<th class=\"n\">%s</th>", name)
	}
	b.WriteString("</tr>\n")
	for i := range groups {
		g := &groups[i]
		b.WriteString("<tr>")
		for _, k := range g.Keys {
			fmt.Fprintf(b, "<td>%s</td>", html.EscapeString(k))
		}
		fmt.Fprintf(b, "<td class=\"n\">%d</td><td class=\"n\">%.1f %%</td><td class=\"n\">%.1f %%</td><td class=\"n\">%.1f %%</td><td class=\"n\">%+.1f %%</td>", g.N, 100*g.Mean, 100*g.Median, 100*g.P90, 100*g.Bias)
		for _, v := range []float64{g.Roofline, g.Calibrated} {
			if math.IsNaN(v) {
				b.WriteString("<td></td>")
				continue
			}
			fmt.Fprintf(b, "<td class=\"n\">%.1f %%</td>", 100*v)
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

func pageWorst(b *strings.Builder, groups []Group) {
	b.WriteString("<h2 id=\"worst\">Worst rows</h2>\n<table>\n<tr><th>of</th><th>row</th><th class=\"n\">error</th><th class=\"n\">predicted</th><th class=\"n\">measured</th><th>unit</th><th>from</th></tr>\n")
	for i := range groups {
		for _, r := range groups[i].Worst {
			from := r.File
			if from != "" {
				from = fmt.Sprintf("%s:%d", r.File, r.Line)
			}
			fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td><td class=\"n\">%+.1f %%</td><td class=\"n\">%.5g</td><td class=\"n\">%.5g</td><td>%s</td><td>%s</td></tr>\n",
				html.EscapeString(strings.Join(groups[i].Keys, ", ")), html.EscapeString(r.Name), 100*r.Error(), r.Predicted, r.Measured, html.EscapeString(r.Unit), html.EscapeString(from))
		}
	}
	b.WriteString("</table>\n")
}

func pageLeft(b *strings.Builder, results []*Result) {
	b.WriteString("<h2 id=\"left\">Left out</h2>\n<table>\n<tr><th>suite</th><th class=\"n\">rows</th><th>why</th></tr>\n")
	for _, r := range results {
		for _, l := range r.Left {
			fmt.Fprintf(b, "<tr><td>%s</td><td class=\"n\">%d</td><td>%s</td></tr>\n", html.EscapeString(r.Suite.Name), l.Rows, html.EscapeString(l.Reason))
		}
		for _, f := range r.Failed {
			fmt.Fprintf(b, "<tr><td>%s</td><td class=\"n\">1</td><td>%s:%d has no answer: %s</td></tr>\n", html.EscapeString(r.Suite.Name), html.EscapeString(f.Case.File), f.Case.Line, html.EscapeString(f.Why))
		}
	}
	b.WriteString("</table>\n")
}
