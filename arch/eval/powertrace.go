package eval

import (
	"encoding/csv"
	"io"
	"strconv"

	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// PowerWindow is a stretch of a run with its mean power: one operator, or where the host launches
// operators ahead of the device, one step. Layers that are alike are one window with its repetitions.
type PowerWindow struct {
	Start, Time units.Time // of the first of them
	Times       int64
	Period      units.Time // from one to the next
	Phase       string
	Step        int64
	Name        string
	Clock       units.Hertz
	Watts       []units.Watts // by component, of the chips of the mapping
}

// PowerTrace writes the power of a run over time as CSV: a row for each window, in the order of their
// starts within a layer, with a column for each component.
func (r *Result) PowerTrace(to io.Writer) error {
	c := r.timed.control
	w := csv.NewWriter(to)
	row := []string{"start_seconds", "seconds", "times", "period_seconds", "phase", "step", "name", "clock_hertz", "watts"}
	for _, name := range c.meter.Names() {
		row = append(row, name+"_watts")
	}
	if err := w.Write(row); err != nil {
		return err
	}
	seconds := func(t units.Time) string { return strconv.FormatFloat(t.Seconds(), 'g', -1, 64) }
	watts := func(v units.Watts) string { return strconv.FormatFloat(float64(v), 'g', -1, 64) }
	err := r.powerWindows(func(p *PowerWindow) error {
		var sum units.Watts
		for _, v := range p.Watts {
			sum += v
		}
		row = append(row[:0], seconds(p.Start), seconds(p.Time), strconv.FormatInt(p.Times, 10), seconds(p.Period), p.Phase, strconv.FormatInt(p.Step, 10), p.Name,
			strconv.FormatInt(int64(p.Clock), 10), watts(sum))
		for _, v := range p.Watts {
			row = append(row, watts(v))
		}
		return w.Write(row)
	})
	if err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// powerWindows calls write for each window of the run.
func (r *Result) powerWindows(write func(*PowerWindow) error) error {
	t := r.timed
	c := t.control
	var start units.Time
	for i := range c.sections {
		step := 0
		if t.steps != nil {
			step = t.steps[i]
		}
		time, busy := c.part(t.Outcome, i)
		v := &windows{c: c, step: step, write: write, one: PowerWindow{Times: 1, Clock: c.r.clock(step)}}
		if i < len(c.p.Sections) {
			s := &c.p.Sections[i]
			v.one.Phase, v.one.Step, v.one.Name = s.Phase, s.Step, s.Name
		}
		n := &plan.Node{Body: c.p.Entry, Times: 1}
		if c.sections > 1 {
			n = &c.p.Entry.Nodes[i]
		}
		if c.p.Ahead() || n.Body == nil {
			if err := v.window(c.actions(i), start, time, busy, 1, time); err != nil {
				return err
			}
			start += time
			continue
		}
		v.folder = c.folder(step)
		for range n.Times {
			var err error
			if start, err = v.body(n.Body, 1, start, 1, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// windows lays out the windows of one section.
type windows struct {
	c      *control
	folder *plan.Folder
	step   int
	write  func(*PowerWindow) error
	one    PowerWindow
}

// body writes the windows of a body that runs times times from a start on, and again repeated times after
// each period. It returns the end of the first of these.
func (v *windows) body(b *plan.Body, times int64, at units.Time, repeated int64, period units.Time) (units.Time, error) {
	r, err := v.folder.Body(b, times)
	if err != nil {
		return 0, err
	}
	end := at + r.Time
	if b.Op >= 0 || !b.Chain(times) || times > 1 && repeated > 1 {
		if b.Op >= 0 {
			v.one.Name = v.c.p.Ops[b.Op].Name
		} else {
			v.one.Name = b.Name
		}
		return end, v.window(v.c.meter.Node(&plan.Node{Body: b, Times: times}), at, r.Time, r.Running(), repeated, period)
	}
	if times > 1 { // a layer: its operators once, and how often
		one, err := v.folder.Body(b, 1)
		if err != nil {
			return 0, err
		}
		repeated, period = times, one.Time
	}
	for i := range b.Nodes {
		n := &b.Nodes[i]
		if n.Body != nil {
			if at, err = v.body(n.Body, n.Times, at, repeated, period); err != nil {
				return 0, err
			}
			continue
		}
		one, err := v.folder.Node(n)
		if err != nil {
			return 0, err
		}
		v.one.Name = n.Name
		if err := v.window(v.c.meter.Node(n), at, one.Time, one.Stalls.Running(), repeated, period); err != nil {
			return 0, err
		}
		at += one.Time
	}
	return end, nil
}

func (v *windows) window(actions account.Actions, at, t, busy units.Time, repeated int64, period units.Time) error {
	if t <= 0 {
		return nil
	}
	w := v.one
	w.Start, w.Time, w.Times, w.Period = at, t, repeated, max(period, t)
	chips, waiting := units.Joules(v.c.p.Running()), units.Watts(v.c.p.Waiting())
	for _, j := range v.c.meter.At(actions, t, busy, v.c.r.pace(v.step)) {
		w.Watts = append(w.Watts, (j * chips).Per(t))
	}
	if waiting > 0 {
		for i, j := range v.c.meter.At(nil, units.Second, 0, account.Full) {
			w.Watts[i] += units.Watts(float64(j.Per(units.Second) * waiting))
		}
	}
	return v.write(&w)
}

// PowerLevels is the power of a run over time in short: the mean of each phase or step, equal ones in a row
// as one.
type PowerLevels struct {
	Seconds []float64 `json:"seconds"`
	Watts   []float64 `json:"watts"`
}

func powerLevels(levels []account.Level, k *account.Meter) *PowerLevels {
	p := &PowerLevels{Seconds: []float64{}, Watts: []float64{}}
	for _, l := range levels {
		t, w := l.Time.Seconds(), float64(k.System(l.Watts))
		if k := len(p.Watts) - 1; k >= 0 && p.Watts[k] == w {
			p.Seconds[k] += t
			continue
		}
		p.Seconds, p.Watts = append(p.Seconds, t), append(p.Watts, w)
	}
	return p
}
