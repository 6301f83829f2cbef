package plots

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/stratasim/strata/experiments/pareto"
	"github.com/stratasim/strata/experiments/view"
)

// Formats of files.
var Formats = []string{"png", "svg"}

// Plot is a chart that can be written.
type Plot struct {
	Name          string // of its file, without the ending
	width, height vg.Length
	draw          func(c draw.Canvas)
}

// colours tell things apart: those of Okabe and Ito, and darker ones of them.
var colours = []color.RGBA{{0x00, 0x72, 0xb2, 255}, {0xd5, 0x5e, 0x00, 255}, {0x00, 0x9e, 0x73, 255}, {0xcc, 0x79, 0xa7, 255}, {0xc2, 0x8a, 0x00, 255}, {0x5b, 0x3a, 0x8e, 255},
	{0x6f, 0x7a, 0x1d, 255}, {0x6b, 0x71, 0x78, 255}, {0xb2, 0x18, 0x2b, 255}, {0x1f, 0x8a, 0x99, 255}, {0x8c, 0x5a, 0x2b, 255}, {0x3f, 0x8f, 0x3f, 255}}

var (
	pointColour = color.RGBA{0x2f, 0x79, 0xb9, 255}
	frontColour = color.RGBA{0xc2, 0x4a, 0x00, 255}
	gridColour  = color.RGBA{0xe4, 0xe4, 0xe4, 255}
)

const (
	width  = 7 * vg.Inch
	height = 4.6 * vg.Inch
)

// Write writes the plot as png or svg.
func (p *Plot) Write(w io.Writer, format string) error {
	paint := func(c draw.Canvas) {
		c.SetColor(color.White)
		c.Fill(c.Rectangle.Path())
		p.draw(c)
	}
	if format == "svg" {
		c := vgsvg.New(p.width, p.height)
		paint(draw.New(c))
		_, err := c.WriteTo(w)
		return err
	}
	c := vgimg.NewWith(vgimg.UseWH(p.width, p.height), vgimg.UseDPI(160))
	paint(draw.New(c))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// Charts draws all of a report that it has figures for, and says what it has none for.
func Charts(r *view.Report) (list []Plot, left []string, err error) {
	for _, one := range []struct {
		name string
		draw func(r *view.Report) (*Plot, error)
	}{{"pareto", front}, {"roofline", roofline}, {"stalls", stalls}, {"energy", energy}, {"power", power}, {"sensitivity", sensitivity}} {
		p, err := one.draw(r)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("%s: %w", one.name, err)
		case p == nil:
			left = append(left, one.name)
		default:
			p.Name = one.name
			list = append(list, *p)
		}
	}
	return list, left, nil
}

// chart is a plot whose axes are named beside it: package plot takes the middle of a logarithmic axis to be near its end, and
// keeps room there.
type chart struct {
	*plot.Plot
	x, y string
}

// base is a chart with a grid.
func base(title, x, y string) *chart {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(6)
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font} {
		f.Variant = "Sans"
		f.Size = vg.Points(9)
	}
	p.Title.TextStyle.Font.Size = vg.Points(11)
	p.X.Padding, p.Y.Padding = 0, 0
	p.Legend.Top, p.Legend.Padding = true, vg.Points(1)
	p.Legend.ThumbnailWidth = vg.Points(12)
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = gridColour, gridColour
	p.Add(g)
	return &chart{p, x, y}
}

// in draws the chart.
func (p *chart) in(c draw.Canvas) {
	left, bottom := vg.Length(0), vg.Length(0)
	if p.x != "" {
		bottom = vg.Points(16)
	}
	if p.y != "" {
		left = vg.Points(16)
	}
	p.Draw(draw.Crop(c, left, 0, bottom, 0))
	style := p.X.Label.TextStyle
	style.XAlign, style.YAlign = draw.XCenter, draw.YBottom
	c.FillText(style, vg.Point{X: c.Center().X + left, Y: c.Min.Y + vg.Points(2)}, p.x)
	style.Rotation, style.YAlign = math.Pi/2, draw.YTop
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Center().Y + bottom/2}, p.y)
}

func whole(p *chart, w, h vg.Length) *Plot {
	return &Plot{width: w, height: h, draw: func(c draw.Canvas) { p.in(draw.Crop(c, vg.Points(8), -vg.Points(12), vg.Points(8), -vg.Points(8))) }}
}

// ticks are 1, 2, 5 and their tenfolds, with the unit's prefix.
type ticks struct {
	log  bool
	unit string
}

func (t ticks) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	add := func(v float64) {
		if v >= low-1e-9*math.Abs(low) && v <= high+1e-9*math.Abs(high) {
			out = append(out, plot.Tick{Value: v, Label: mark(v, t.unit)})
		}
	}
	if t.log && low > 0 {
		for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			out = nil
			for e := math.Floor(math.Log10(low)); e <= math.Log10(high); e++ {
				for _, s := range steps {
					add(s * math.Pow(10, e))
				}
			}
			if len(out) <= 9 && len(out) > 1 {
				return out
			}
		}
		if len(out) > 9 {
			every := (len(out) + 8) / 9
			var few []plot.Tick
			for i := 0; i < len(out); i += every {
				few = append(few, out[i])
			}
			return few
		}
		if len(out) > 1 {
			return out
		}
	}
	out = nil
	step := math.Pow(10, math.Floor(math.Log10((high-low)/6)))
	for _, k := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*k) <= 6 {
			step *= k
			break
		}
	}
	if !(step > 0) {
		return []plot.Tick{{Value: low, Label: mark(low, t.unit)}}
	}
	for i := math.Ceil(low / step); i*step <= high; i++ {
		add(i * step)
	}
	return out
}

// mark is a figure at an axis.
func mark(v float64, unit string) string {
	c := view.Column{Unit: unit}
	switch unit {
	case "s", "J", "W", "B", "B/s":
	case "OP/s", "Hz":
		for _, p := range []struct {
			size float64
			name string
		}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
			if v >= p.size*0.9999 {
				return short(v/p.size) + " " + p.name + unit
			}
		}
		return short(v) + " " + unit
	default:
		return short(v)
	}
	text := c.Show(v)
	if figure, name, ok := strings.Cut(text, " "); ok {
		if x, err := strconv.ParseFloat(figure, 64); err == nil {
			return short(x) + " " + name
		}
	}
	return text
}

func short(v float64) string {
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if math.Abs(v) >= 1e4 && math.Abs(v) < 1e7 {
		text = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return text
}

// scale sets an axis: logarithmic where values span more than a factor of 30.
func scale(a *plot.Axis, low, high float64, unit string) {
	log := low > 0 && high/low > 30
	if log {
		a.Scale = plot.LogScale{}
		a.Min, a.Max = low/math.Pow(high/low, 0.04), high*math.Pow(high/low, 0.04)
	} else {
		margin := 0.05 * cmp.Or(high-low, math.Abs(high), 1)
		a.Min, a.Max = low-margin, high+margin
	}
	a.Tick.Marker = ticks{log, unit}
}

func titled(c *view.Column) string {
	if c.Unit == "" {
		return c.Name
	}
	return c.Name + ", " + c.Unit
}

func title(r *view.Report) string {
	if r.Sweep == nil {
		return "all rows"
	}
	return r.Sweep.Name
}

// okay lists the rows that are ok.
func okay(r *view.Report) (rows []int) {
	status := r.Frame.Index("status")
	for i, row := range r.Frame.Rows {
		if row[status] == "ok" {
			rows = append(rows, i)
		}
	}
	return rows
}

// front draws the points by the first two objectives, and their front.
func front(r *view.Report) (*Plot, error) {
	if len(r.Objectives) < 2 || r.Front == nil {
		return nil, nil
	}
	f, two := r.Frame, r.Objectives[:2]
	xs, ys := f.Numbers(f.Index(two[0].Name)), f.Numbers(f.Index(two[1].Name))
	var points plotter.XYs
	for _, i := range okay(r) {
		if !math.IsNaN(xs[i]) && !math.IsNaN(ys[i]) {
			points = append(points, plotter.XY{X: xs[i], Y: ys[i]})
		}
	}
	best, err := f.Front(two, nil)
	if err != nil {
		return nil, err
	}
	p := base(title(r), titled(&two[0].Column), titled(&two[1].Column))
	if err := scatter(p, points, pointColour, 1.6); err != nil {
		return nil, err
	}
	var steps plotter.XYs
	for _, i := range best.Rows {
		steps = append(steps, plotter.XY{X: xs[i], Y: ys[i]})
	}
	slices.SortFunc(steps, func(a, b plotter.XY) int {
		c := cmp.Compare(a.X, b.X)
		if two[0].Goal == pareto.Max {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.Y, b.Y))
	})
	line, err := plotter.NewLine(steps)
	if err != nil {
		return nil, err
	}
	line.StepStyle, line.Color, line.Width = plotter.PostStep, frontColour, vg.Points(1.4)
	p.Add(line)
	if err := scatter(p, steps, frontColour, 2.4); err != nil {
		return nil, err
	}
	p.Legend.Add(fmt.Sprintf("front of the two, %d of %d", len(steps), len(points)), line)
	legendAway(p, points)
	low, high := span(points, func(q plotter.XY) float64 { return q.X })
	scale(&p.X, low, high, two[0].Unit)
	low, high = span(points, func(q plotter.XY) float64 { return q.Y })
	scale(&p.Y, low, high, two[1].Unit)
	return whole(p, width, height), nil
}

// legendAway puts the legend into the corner with the fewest points.
func legendAway(p *chart, points plotter.XYs) {
	x0, x1 := span(points, func(q plotter.XY) float64 { return q.X })
	y0, y1 := span(points, func(q plotter.XY) float64 { return q.Y })
	place := func(v, a, b float64) bool { // in the upper half
		if a > 0 && b/a > 30 {
			return v > math.Sqrt(a*b)
		}
		return v > (a+b)/2
	}
	var n [2][2]int
	for _, q := range points {
		i, k := 0, 0
		if place(q.X, x0, x1) {
			i = 1
		}
		if place(q.Y, y0, y1) {
			k = 1
		}
		n[i][k]++
	}
	best, left, top := math.MaxInt, false, true
	for _, c := range [][2]int{{1, 1}, {0, 1}, {1, 0}, {0, 0}} {
		if n[c[0]][c[1]] < best {
			best, left, top = n[c[0]][c[1]], c[0] == 0, c[1] == 1
		}
	}
	p.Legend.Left, p.Legend.Top = left, top
}

func span(points plotter.XYs, of func(plotter.XY) float64) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, q := range points {
		low, high = min(low, of(q)), max(high, of(q))
	}
	return low, high
}

func scatter(p *chart, points plotter.XYs, c color.Color, radius float64) error {
	s, err := plotter.NewScatter(points)
	if err != nil {
		return err
	}
	s.GlyphStyle = draw.GlyphStyle{Color: c, Radius: vg.Points(radius), Shape: draw.CircleGlyph{}}
	p.Add(s)
	return nil
}

// mostRoofs of one machine are drawn: the lowest and the highest with the others between.
const mostRoofs = 24

// roofline draws the roofs of machines and the points below.
func roofline(r *view.Report) (*Plot, error) {
	if len(r.Machines) == 0 {
		return nil, nil
	}
	p := base(title(r), "operations for each byte of memory off chip, OP/B", "operations per second and chip, OP/s")
	low, high, bottom, top := math.Inf(1), math.Inf(-1), math.Inf(1), 0.0
	for _, m := range r.Machines {
		low, high, top = min(low, m.Ops/m.Bandwidth/3), max(high, m.Ops/m.Bandwidth*3), max(top, m.Ops)
	}
	var names []string
	of := map[string][]int{}
	for i, m := range r.Machines {
		name := m.Name + ", " + m.DType
		if of[name] == nil {
			names = append(names, name)
		}
		of[name] = append(of[name], i)
	}
	points := make([]plotter.XYs, len(names))
	for _, q := range r.Roof {
		if q.Machine < 0 {
			continue
		}
		m := r.Machines[q.Machine]
		k := slices.Index(names, m.Name+", "+m.DType)
		points[k] = append(points[k], plotter.XY{X: q.Intensity, Y: q.Rate})
		low, high, bottom = min(low, q.Intensity), max(high, q.Intensity), min(bottom, q.Rate)
	}
	scale(&p.X, low, high, "")
	scale(&p.Y, min(bottom, top/100), top, "OP/s")
	for k, name := range names {
		c := colours[k%len(colours)]
		list := of[name]
		slices.SortStableFunc(list, func(a, b int) int {
			return cmp.Or(cmp.Compare(r.Machines[a].Ops, r.Machines[b].Ops), cmp.Compare(r.Machines[a].Bandwidth, r.Machines[b].Bandwidth))
		})
		every := (len(list) + mostRoofs - 1) / mostRoofs
		for n := 0; n < len(list); n += every {
			m := r.Machines[list[n]]
			ridge := m.Ops / m.Bandwidth
			from := max(p.X.Min, p.Y.Min/m.Bandwidth)
			line, err := plotter.NewLine(plotter.XYs{{X: from, Y: from * m.Bandwidth}, {X: ridge, Y: m.Ops}, {X: p.X.Max, Y: m.Ops}})
			if err != nil {
				return nil, err
			}
			line.Width = vg.Points(1.5)
			line.Color = c
			if len(list) > 3 {
				line.Color, line.Width = color.NRGBA{c.R, c.G, c.B, 90}, vg.Points(0.7)
			}
			p.Add(line)
			if n == 0 {
				solid := *line
				solid.Color, solid.Width = c, vg.Points(1.5)
				p.Legend.Add(name, &solid)
			}
		}
		if len(points[k]) > 0 {
			if err := scatter(p, points[k], c, 1.5); err != nil {
				return nil, err
			}
		}
	}
	// Lines may have moved the frame.
	scale(&p.X, low, high, "")
	scale(&p.Y, min(bottom, top/100), top, "OP/s")
	p.Legend.Top, p.Legend.Left = false, false
	return whole(p, width, height), nil
}

// mostBars of a chart.
const mostBars = 16

// barRows are the rows that get a bar: those of the front, filled up to a few with the best by the first objective.
func barRows(r *view.Report) []int {
	rows := okay(r)
	if len(r.Objectives) == 0 {
		return rows[:min(len(rows), mostBars)]
	}
	o := r.Objectives[0]
	xs := r.Frame.Numbers(r.Frame.Index(o.Name))
	best := func(a, b int) int {
		switch {
		case math.IsNaN(xs[a]) || math.IsNaN(xs[b]):
			return cmp.Compare(xs[b], xs[a]) // last
		case o.Goal == pareto.Max:
			return cmp.Compare(xs[b], xs[a])
		}
		return cmp.Compare(xs[a], xs[b])
	}
	slices.SortStableFunc(rows, best)
	if r.Front == nil {
		return rows[:min(len(rows), mostBars)]
	}
	list := slices.Clone(r.Front.Rows)
	slices.SortStableFunc(list, best)
	list = list[:min(len(list), mostBars)]
	for _, row := range rows {
		if len(list) < mostBars/2 && !slices.Contains(list, row) {
			list = append(list, row)
		}
	}
	slices.SortStableFunc(list, best)
	return list
}

// label says which row a bar is.
func label(r *view.Report, row int) string {
	var words []string
	for k := range r.Frame.Columns[:min(len(r.Axes), 5)] {
		if text := r.Frame.Columns[k].Show(r.Frame.Rows[row][k]); text != "" && varies(r.Frame, k) {
			words = append(words, text)
		}
	}
	text := []rune(strings.Join(words, " "))
	if len(text) > 46 {
		text = append(text[:45], '…')
	}
	return string(text)
}

func varies(f *view.Frame, k int) bool {
	return slices.ContainsFunc(f.Rows, func(row []any) bool { return row[k] != f.Rows[0][k] })
}

func stalls(r *view.Report) (*Plot, error) { return stack(r, &r.Stalls, "time, s", "s") }
func energy(r *view.Report) (*Plot, error) { return stack(r, &r.Energy, "energy, J", "J") }

// stack draws a bar for each row of the front, divided into parts.
func stack(r *view.Report, parts *view.Parts, x, unit string) (*Plot, error) {
	rows := barRows(r)
	if len(parts.Names) == 0 || len(rows) == 0 {
		return nil, nil
	}
	slices.Reverse(rows) // the first one on top
	p := base(title(r), x, "")
	bar := vg.Points(11)
	var below *plotter.BarChart
	total := make([]float64, len(rows))
	for k, name := range parts.Names {
		values := make(plotter.Values, len(rows))
		for i, row := range rows {
			if v := parts.Values[k][row]; !math.IsNaN(v) {
				values[i] = v
				total[i] += v
			}
		}
		b, err := plotter.NewBarChart(values, bar)
		if err != nil {
			return nil, err
		}
		b.Horizontal, b.Color, b.LineStyle.Width = true, colours[k%len(colours)], 0
		if below != nil {
			b.StackOn(below)
		}
		below = b
		p.Add(b)
		p.Legend.Add(name, b)
	}
	var labels []string
	for _, row := range rows {
		labels = append(labels, label(r, row))
	}
	p.NominalY(labels...)
	p.X.Min, p.X.Max = 0, 1.3*slices.Max(total) // room for the legend
	p.X.Tick.Marker = ticks{false, unit}
	p.Y.Min, p.Y.Max = -0.7, float64(len(rows))-0.3
	return whole(p, width, vg.Points(90)+vg.Length(len(rows))*vg.Points(16)+vg.Points(40)), nil
}

// power draws the mean power of every point over the first objective.
func power(r *view.Report) (*Plot, error) {
	k := r.Frame.Index("average_watts")
	if k < 0 || len(r.Objectives) == 0 {
		return nil, nil
	}
	o := &r.Objectives[0]
	if o.Name == "average_watts" {
		if len(r.Objectives) < 2 {
			return nil, nil
		}
		o = &r.Objectives[1]
	}
	xs, ys := r.Frame.Numbers(r.Frame.Index(o.Name)), r.Frame.Numbers(k)
	var points plotter.XYs
	for _, i := range okay(r) {
		if !math.IsNaN(xs[i]) && !math.IsNaN(ys[i]) {
			points = append(points, plotter.XY{X: xs[i], Y: ys[i]})
		}
	}
	if len(points) == 0 {
		return nil, nil
	}
	p := base(title(r), titled(&o.Column), "average_watts, W")
	if err := scatter(p, points, pointColour, 1.6); err != nil {
		return nil, err
	}
	low, high := span(points, func(q plotter.XY) float64 { return q.X })
	scale(&p.X, low, high, o.Unit)
	low, high = span(points, func(q plotter.XY) float64 { return q.Y })
	scale(&p.Y, low, high, "W")
	return whole(p, width, height), nil
}

// sensitivity draws the first objective over each axis: median and quartiles.
func sensitivity(r *view.Report) (*Plot, error) {
	if len(r.Objectives) == 0 {
		return nil, nil
	}
	o := &r.Objectives[0]
	var panels []*chart
	low, high := math.Inf(1), math.Inf(-1)
	for _, axis := range r.Axes {
		k := r.Frame.Index(axis)
		if !varies(r.Frame, k) || axis == o.Name {
			continue
		}
		s := r.Frame.Sensitivity(axis, o.Name)
		if len(s.Labels) == 0 {
			continue
		}
		panel, err := panel(&r.Frame.Columns[k], o, &s)
		if err != nil {
			return nil, err
		}
		panels = append(panels, panel)
		low, high = min(low, slices.Min(s.Low)), max(high, slices.Max(s.High))
	}
	if len(panels) == 0 {
		return nil, nil
	}
	across := min(len(panels), 3)
	down := (len(panels) + across - 1) / across
	for _, p := range panels {
		scale(&p.Y, low, high, o.Unit)
	}
	return &Plot{width: width * 1.25, height: vg.Length(down) * 2.7 * vg.Inch, draw: func(c draw.Canvas) {
		t := draw.Tiles{Rows: down, Cols: across, PadX: vg.Points(12), PadY: vg.Points(12), PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(6), PadRight: vg.Points(12)}
		for n, p := range panels {
			p.in(t.At(c, n%across, n/across))
		}
	}}, nil
}

// panel is the chart of one axis.
func panel(axis *view.Column, o *view.Objective, s *view.Sensitivity) (*chart, error) {
	p := base("", titled(axis), titled(&o.Column))
	xs := s.At
	// A logarithm spreads what was varied by factors.
	spread := axis.Kind == view.Number && len(xs) > 1
	if !spread || s.Ranges {
		xs = make([]float64, len(xs))
		for i := range xs {
			xs[i] = float64(i)
		}
	}
	var mid plotter.XYs
	for i, x := range xs {
		bar, err := plotter.NewLine(plotter.XYs{{X: x, Y: s.Low[i]}, {X: x, Y: s.High[i]}})
		if err != nil {
			return nil, err
		}
		bar.Width, bar.Color = vg.Points(5), color.NRGBA{pointColour.R, pointColour.G, pointColour.B, 90}
		p.Add(bar)
		mid = append(mid, plotter.XY{X: x, Y: s.Median[i]})
	}
	if spread {
		line, err := plotter.NewLine(mid)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = pointColour, vg.Points(1)
		p.Add(line)
	}
	if err := scatter(p, mid, frontColour, 2.2); err != nil {
		return nil, err
	}
	if spread && !s.Ranges {
		scale(&p.X, xs[0], xs[len(xs)-1], axis.Unit)
		return p, nil
	}
	p.X.Min, p.X.Max = -0.6, float64(len(xs))-0.4
	var marks plot.ConstantTicks
	for i, text := range s.Labels {
		if s.Ranges {
			text = mark(s.At[i], axis.Unit)
		}
		if cut := []rune(text); len(cut) > 14 {
			text = string(cut[:13]) + "…"
		}
		marks = append(marks, plot.Tick{Value: float64(i), Label: text})
	}
	p.X.Tick.Marker = marks
	if len(marks) > 3 {
		p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/4, draw.XRight, draw.YCenter
	}
	return p, nil
}

// steps of time in which the power of a run is drawn.
const steps = 800

// Power draws the power of a run over time from its windows, as eval.Result.PowerTrace writes them: mean, and the highest
// window, in 800 steps of time.
func Power(name string, windows io.Reader) (*Plot, error) {
	type window struct{ start, time, period, watts, times float64 }
	rows, err := csv.NewReader(windows).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) < 2 {
		return nil, fmt.Errorf("no windows of power")
	}
	var list []window
	end := 0.0
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, row := range rows[1:] {
		var w window
		for _, f := range []struct {
			name string
			into *float64
		}{{"start_seconds", &w.start}, {"seconds", &w.time}, {"times", &w.times}, {"period_seconds", &w.period}, {"watts", &w.watts}} {
			if *f.into, err = strconv.ParseFloat(row[column[f.name]], 64); err != nil {
				return nil, err
			}
		}
		list = append(list, w)
		end = max(end, w.start+float64((w.times-1)*w.period)+w.time)
	}
	if end <= 0 {
		return nil, fmt.Errorf("windows of power without time")
	}
	joules, busy, peak := make([]float64, steps), make([]float64, steps), make([]float64, steps)
	step := end / steps
	for _, w := range list {
		for n := range int(min(w.times, 1e6)) {
			from := w.start + float64(n)*w.period
			to := from + w.time
			for i := int(from / step); i < steps && float64(i)*step < to; i++ {
				part := min(to, float64(i+1)*step) - max(from, float64(i)*step)
				if part > 0 {
					joules[i] += part * w.watts
					busy[i] += part
					peak[i] = max(peak[i], w.watts)
				}
			}
		}
	}
	var mean, most plotter.XYs
	highest := 0.0
	for i := range steps {
		if busy[i] == 0 {
			continue
		}
		t := (float64(i) + 0.5) * step
		mean = append(mean, plotter.XY{X: t, Y: joules[i] / busy[i]})
		most = append(most, plotter.XY{X: t, Y: peak[i]})
		highest = max(highest, peak[i])
	}
	p := base(name, "time, s", "power, W")
	for _, l := range []struct {
		name  string
		of    plotter.XYs
		color color.Color
	}{{"highest window", most, color.RGBA{0x9a, 0xa3, 0xad, 255}}, {"mean", mean, pointColour}} {
		line, err := plotter.NewLine(l.of)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, line.StepStyle = l.color, vg.Points(1), plotter.MidStep
		p.Add(line)
		p.Legend.Add(l.name, line)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, end, 0, 1.15*highest
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{false, "s"}, ticks{false, "W"}
	out := whole(p, width, height)
	out.Name = "power"
	return out, nil
}

// Bytes is the file of a plot.
func (p *Plot) Bytes(format string) ([]byte, error) {
	var b bytes.Buffer
	err := p.Write(&b, format)
	return b.Bytes(), err
}
