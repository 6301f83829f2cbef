package eval

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// clockSteps divides the range of clocks. Real clocks have a dozen to a hundred steps, between which a
// controller goes to and fro; what counts is their mean.
const clockSteps = 1024

// timed is what a program came to with the clock that the power limit leaves.
type timed struct {
	*sim.Outcome
	stretches []account.Stretch
	// steps has the step of the clock of each section: 0 is the full clock. It is nil if all have that.
	steps []int

	control *control
	power   []account.Level // of each section
}

// limit is the power limit of a chip.
func (r *Request) limit() units.Watts {
	if r.PowerLimit > 0 {
		return r.PowerLimit
	}
	return r.Machine.Power.Limit
}

// limited reports whether the clock falls where power exceeds the limit. An operator by itself is over
// before a controller has seen it, unless the machine says how soon that reacts. Operators with costs of their own take
// what these say at any clock, so with them only a limit that was asked for is kept.
func (r *Request) limited() bool {
	return len(r.Machine.Power.Curve) > 0 && (!r.mapping().Alone || r.Machine.Power.Reaction > 0) && !slices.Contains(r.Ideal, "power") && (r.Costs == nil || r.PowerLimit > 0)
}

// reacted returns the step of the clock at which an operator that is timed by itself takes about as long as it does with
// its first part at the full clock and the rest at a step.
func (r *Request) reacted(step int, t units.Time) int {
	if !r.mapping().Alone {
		return step
	}
	n, _ := units.MulDivCeil(int64(step), int64(t-min(t, r.Machine.Power.Reaction)), int64(max(t, 1)))
	return int(n)
}

// clock is the clock of a step: 0 is the full clock, clockSteps the lowest one of the curve.
func (r *Request) clock(step int) units.Hertz {
	full := r.Machine.Chip.Clock
	if step == 0 { // as ever on a machine without a curve
		return full
	}
	low := r.Machine.Power.Curve[0].Clock
	if low >= full {
		return full
	}
	return full - units.Hertz(int64(full-low)*int64(step)/clockSteps)
}

// pace is the pace of a step of the clock.
func (r *Request) pace(step int) account.Pace {
	if step == 0 {
		return account.Full
	}
	p, full, clock := &r.Machine.Power, r.Machine.Chip.Clock, r.clock(step)
	return account.Pace{Clock: float64(clock) / float64(full), Voltage: float64(p.Voltage(clock)) / float64(p.Voltage(full))}
}

// time evaluates the program in the fidelity asked for, with the highest clock at which the mean power
// of each section, a phase or a step of one, keeps to the limit.
//
// A section is taken as part of a service in which others like it come before and after, so a short
// one has no window to hide in. Within it power goes up and down from operator to operator, far faster
// than a controller looks. Power falls with the clock, so there is one highest.
func (r *Request) time(ctx context.Context, p *plan.Program) (*timed, error) {
	c := &control{r: r, ctx: ctx, p: p, meter: account.NewMeter(r.Machine, p), sections: 1, folders: map[int]*plan.Folder{}}
	if p.Entry.Chain(1) && len(p.Sections) > 0 {
		c.sections = len(p.Entry.Nodes)
	}
	if !r.limited() {
		o, err := c.evaluate(p, r.Observer)
		if err != nil {
			return nil, err
		}
		return c.atFullClock(o), nil
	}
	o, err := c.whole()
	if err != nil {
		return nil, err
	}
	c.handled = o.Events
	steps, err := c.steps(o)
	if err != nil {
		return nil, err
	}
	if steps == nil {
		if r.Observer != nil {
			if o, err = c.evaluate(p, r.Observer); err != nil {
				return nil, err
			}
		}
		return c.atFullClock(o), nil
	}
	return c.join(steps)
}

// control finds the clock of each section of a program.
type control struct {
	r        *Request
	ctx      context.Context
	p        *plan.Program
	meter    *account.Meter
	sections int
	folders  map[int]*plan.Folder // by step of the clock
	handled  int64                // events, of every clock that was tried: folders remember, so the last look handles none
}

func (c *control) atFullClock(o *sim.Outcome) *timed {
	return &timed{Outcome: o, stretches: []account.Stretch{{Pace: account.Full, Outcome: o}}, control: c}
}

func (c *control) ideal() bool { return slices.Contains(c.r.Ideal, "contention") }

func (c *control) events(o event.Observer) event.Options {
	return event.Options{Exact: c.r.Exact, IdealContention: c.ideal(), Observer: o, Progress: c.r.Progress}
}

// evaluate times a whole program.
func (c *control) evaluate(p *plan.Program, o event.Observer) (*sim.Outcome, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	c.pass(o, p, nil, 0)
	if c.r.fidelity() == Analytic {
		return analytic.Evaluate(p, analytic.Options{IdealContention: c.ideal()})
	}
	return event.Evaluate(c.ctx, p, c.events(o))
}

// passes is an observer that wants to know which sections are played at which clock.
type passes interface {
	Pass(p *plan.Program, sections []int, k *account.Meter, at account.Pace)
}

func (c *control) pass(o event.Observer, p *plan.Program, sections []int, step int) {
	if w, ok := o.(passes); ok {
		w.Pass(p, sections, c.meter, c.r.pace(step))
	}
}

// folder times bodies at a step of the clock, without playing every iteration.
func (c *control) folder(step int) *plan.Folder {
	if f := c.folders[step]; f != nil {
		return f
	}
	p := c.p.AtClock(c.r.clock(step), c.r.Machine.Chip.Clock)
	f := analytic.NewFolder(p, analytic.Options{IdealContention: c.ideal()})
	if c.r.fidelity() == Event {
		f = event.NewFolder(c.ctx, p, c.events(nil))
	}
	c.folders[step] = f
	return f
}

// whole times the program at full clock; sections that keep it are not timed again, unless every iteration is played.
func (c *control) whole() (*sim.Outcome, error) {
	if c.r.Exact && c.r.fidelity() == Event {
		return c.evaluate(c.p, nil)
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	return c.folder(0).Outcome()
}

// section times one section at a step of the clock.
func (c *control) section(i, step int) (o *sim.Outcome, err error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case c.r.Exact && c.r.fidelity() == Event:
		o, err = c.exact(c.p.AtClock(c.r.clock(step), c.r.Machine.Chip.Clock), i, step, nil)
	case c.sections == 1:
		o, err = c.folder(step).Outcome()
	default:
		o, err = c.folder(step).Section(i)
	}
	if err == nil {
		c.handled += o.Events
	}
	return o, err
}

// look is section, without operators where nothing else needs them.
func (c *control) look(i, step int) (o *sim.Outcome, err error) {
	if c.p.Overlaps() || c.r.Exact && c.r.fidelity() == Event {
		return c.section(i, step)
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	from, to := i, i+1
	if c.sections == 1 {
		from, to = 0, len(c.p.Entry.Nodes)
	}
	if o, err = c.folder(step).Look(from, to); err == nil {
		c.handled += o.Events
	}
	return o, err
}

// sectionsOf times sections that follow one another at a step of the clock.
func (c *control) sectionsOf(from, to, step int) (*sim.Outcome, error) {
	if c.sections == 1 || to == from+1 || c.r.Exact && c.r.fidelity() == Event {
		all, err := c.section(from, step)
		for i := from + 1; i < to && err == nil; i++ {
			var o *sim.Outcome
			if o, err = c.section(i, step); err == nil {
				if o.Makespan > units.MaxTime-all.Makespan {
					return nil, c.tooLong()
				}
				all.Append(o)
			}
		}
		return all, err
	}
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	o, err := c.folder(step).Sections(from, to)
	if err == nil {
		c.handled += o.Events
	}
	return o, err
}

// tooLong is the error of a program that keeps to its power limit for more than simulated time has room for.
func (c *control) tooLong() error {
	return fmt.Errorf("at the clocks that the power limit leaves, the program takes longer than %v of simulated time: %w", units.MaxTime, plan.ErrTooLarge)
}

// exact plays one section without skipping anything.
func (c *control) exact(p *plan.Program, i, step int, watch event.Observer) (*sim.Outcome, error) {
	var only []int
	if c.sections > 1 {
		var err error
		if p, err = p.Only(i); err != nil {
			return nil, err
		}
		only = []int{i}
	}
	c.pass(watch, p, only, step)
	o, err := event.Evaluate(c.ctx, p, c.events(watch))
	if err == nil && c.sections > 1 {
		o.Marks[0].Section = i
	}
	return o, err
}

// actions are what the actions of a section cost at the voltage of the full clock.
func (c *control) actions(i int) account.Actions {
	if c.sections == 1 {
		return c.meter.Body(c.p.Entry)
	}
	return c.meter.Node(&c.p.Entry.Nodes[i])
}

// power is the mean power of one chip in a section that takes a time, of which it is busy a part.
func (c *control) power(i, step int, t, busy units.Time) units.Watts {
	return c.meter.Total(c.actions(i), t, busy, c.r.pace(step)).Per(t)
}

// part is the time of a section in an outcome of all of them, and how much of it kernels run.
func (c *control) part(o *sim.Outcome, i int) (t, busy units.Time) {
	if c.sections == 1 {
		return o.Makespan, c.meter.Busy(o)
	}
	m := &o.Marks[i]
	return m.End - m.Start, m.Running
}

// steps finds the step of the clock of each section; nil if all keep to the limit at the full clock.
func (c *control) steps(o *sim.Outcome) ([]int, error) {
	var steps []int
	limit, ratio := c.r.limit(), 1.0
	for i := range c.sections {
		t, busy := c.part(o, i)
		if c.r.mapping().Alone && t <= c.r.Machine.Power.Reaction || c.power(i, 0, t, busy) <= limit {
			continue
		}
		if steps == nil {
			steps = make([]int, c.sections)
		}
		stalls := &o.Stalls
		if c.sections > 1 {
			stalls = &o.Marks[i].Stalls
		}
		s := &search{c: c, section: i, limit: limit, t: t, busy: busy, ratio: ratio,
			follows: float64(stalls[sim.Compute]+stalls[sim.SRAM]) / max(1, float64(stalls.Total()))}
		step, err := s.lowest()
		if err != nil {
			return nil, err
		}
		steps[i], ratio = c.r.reacted(step, t), s.ratio
	}
	return steps, nil
}

// search looks for the clock of one section, which at the full clock takes a time, is busy for a part of it
// and draws more than the limit.
type search struct {
	c       *control
	section int
	limit   units.Watts
	t, busy units.Time
	follows float64 // the part of the time that is taken to follow the clock
	ratio   float64 // of what a section drew to the estimate, when last looked
}

// estimate is about what the section draws at a step of the clock, without timing it: what the cores limit
// takes longer, the rest does not.
func (s *search) estimate(step int) units.Watts {
	longer := units.Time(float64(s.t) * s.follows * (1/s.c.r.pace(step).Clock - 1))
	return units.Watts(float64(s.c.power(s.section, step, s.t+longer, s.busy+longer)) * s.ratio)
}

// keeps times the section at a step of the clock, corrects the estimate by what it draws, and returns that and whether
// it keeps to the limit.
func (s *search) keeps(step int) (watts units.Watts, ok bool, err error) {
	o, err := s.c.look(s.section, step)
	if err != nil {
		return 0, false, err
	}
	watts = s.c.power(s.section, step, o.Makespan, s.c.meter.Busy(o))
	if e := s.estimate(step); e > 0 {
		s.ratio *= float64(watts / e)
	}
	return watts, watts <= s.limit, nil
}

// lowest returns the least step at which the section keeps to the limit; step 0 does not. It times the step
// that the estimate says, corrects the estimate, and so on, until it has two neighbours of which one keeps to
// the limit and one does not.
func (s *search) lowest() (int, error) {
	low, high := 0, clockSteps+1 // low does not keep to the limit; high does, or is beyond the curve
	if s.c.r.clock(clockSteps) == s.c.r.clock(0) {
		high = 1
	}
	for looks := 0; high-low > 1; looks++ {
		step := (low + high) / 2
		if looks < 8 { // an estimate that is any good has found it by then
			step = low + 1 + sort.Search(high-low-2, func(k int) bool { return s.estimate(low+1+k) <= s.limit })
		}
		_, ok, err := s.keeps(step)
		if err != nil {
			return 0, err
		}
		if ok {
			high = step
		} else {
			low = step
		}
	}
	if high <= clockSteps && s.c.r.clock(clockSteps) != s.c.r.clock(0) {
		return high, nil
	}
	watts, _, err := s.keeps(low)
	if err != nil {
		return 0, err
	}
	e := &plan.OverLimit{Machine: s.c.r.Machine.Name, Limit: s.limit, Least: watts, Clock: s.c.r.clock(low)}
	if s.section < len(s.c.p.Sections) {
		e.Section = s.c.p.Sections[s.section].Name
	}
	return 0, e
}

// join puts the sections together, each at its clock.
func (c *control) join(steps []int) (*timed, error) {
	out := &timed{Outcome: &sim.Outcome{}, steps: steps, control: c}
	index := map[int]int{}
	for i := 0; i < len(steps); {
		step, next := steps[i], i+1
		for next < len(steps) && steps[next] == step {
			next++
		}
		o, err := c.sectionsOf(i, next, step)
		if err != nil {
			return nil, err
		}
		i = next
		k, ok := index[step]
		if !ok {
			k = len(out.stretches)
			index[step] = k
			out.stretches = append(out.stretches, account.Stretch{Pace: c.r.pace(step), Outcome: &sim.Outcome{}})
		}
		for _, to := range []*sim.Outcome{out.Outcome, out.stretches[k].Outcome} {
			if o.Makespan > units.MaxTime-to.Makespan {
				return nil, c.tooLong()
			}
			to.Append(o)
		}
	}
	out.Events = c.handled
	if c.r.Observer != nil {
		return out, c.observe(steps)
	}
	return out, nil
}

// observe plays the sections once more for the observer, those of one clock together.
func (c *control) observe(steps []int) error {
	done := map[int]bool{}
	for _, step := range steps {
		if done[step] {
			continue
		}
		done[step] = true
		p := c.p.AtClock(c.r.clock(step), c.r.Machine.Chip.Clock)
		var same []int
		for i, s := range steps {
			if s == step {
				same = append(same, i)
			}
		}
		if c.r.Exact {
			for _, i := range same {
				if _, err := c.exact(p, i, step, c.r.Observer); err != nil {
					return err
				}
			}
			continue
		}
		if c.sections == 1 {
			same = nil
		}
		c.pass(c.r.Observer, p, same, step)
		f := event.NewFolder(c.ctx, p, c.events(c.r.Observer))
		if same == nil {
			if _, err := f.Outcome(); err != nil {
				return err
			}
		}
		for _, i := range same {
			if _, err := f.Section(i); err != nil {
				return err
			}
		}
		c.r.Observer.Done(f)
	}
	return nil
}

// levels is the mean power of one chip in each section.
func (t *timed) levels() []account.Level {
	c := t.control
	if t.power != nil {
		return t.power
	}
	levels := make([]account.Level, c.sections)
	for i := range levels {
		time, busy := c.part(t.Outcome, i)
		step := 0
		if t.steps != nil {
			step = t.steps[i]
		}
		levels[i] = account.Level{Time: time, Watts: c.power(i, step, time, busy)}
	}
	t.power = levels
	return levels
}

// beyond reports whether a section draws more than the limit.
func (t *timed) beyond(limit units.Watts) bool {
	return slices.ContainsFunc(t.levels(), func(l account.Level) bool { return l.Watts > limit })
}

// power derives the figures of power and says what the limit has done.
func (r *Request) power(res *Result, e account.Energy) {
	a, m, t := &res.Answer, r.Machine, res.timed
	meter := t.control.meter
	limit := r.limit() * units.Watts(res.Program.Chips())
	a.Power = Power{AverageWatts: float64(e.Average), PeakWatts: float64(e.Peak), PeakOperator: e.PeakOp, LimitWatts: float64(limit)}
	if m.Power.Sensor != nil {
		a.Power.SensorPeakWatts = float64(meter.System(account.SensorPeak(t.levels(), m.Power.Sensor, meter.Rest())))
	}
	if r.PowerTrace {
		a.Power.Trace = powerLevels(t.levels(), meter)
	}
	switch {
	case t.steps != nil:
		var parts []string
		full := float64(m.Chip.Clock)
		for _, p := range a.Phases {
			if p.ClockHertz > 0 {
				parts = append(parts, fmt.Sprintf("%s at %.0f MHz", p.Phase, p.ClockHertz/1e6))
			}
		}
		if len(parts) == 0 { // a program without phases has one clock
			parts = append(parts, fmt.Sprintf("all at %.0f MHz", float64(r.clock(t.steps[0]))/1e6))
		}
		a.Notes = append(a.Notes, fmt.Sprintf("the power limit of %.0f W a chip lowers the clock of %.0f MHz: %s", float64(r.limit()), full/1e6, strings.Join(parts, ", ")))
	case slices.Contains(r.Ideal, "power") && !t.beyond(r.limit()):
		a.Notes = append(a.Notes, "ideal power leaves nothing out: power keeps to the limit at the full clock")
	case slices.Contains(r.Ideal, "power") || r.limited() && !r.mapping().Alone || e.Peak <= limit:
	case r.mapping().Alone:
		a.Notes = append(a.Notes, fmt.Sprintf("%s draws %.0f W, the limit is %.0f W: over before the clock falls; over and over again it would", e.PeakOp, float64(e.Peak), float64(limit)))
	case r.Costs != nil:
		a.Notes = append(a.Notes, fmt.Sprintf("%s draws %.0f W, the limit is %.0f W: not kept, because costs of one's own do not follow the clock", e.PeakOp, float64(e.Peak), float64(limit)))
	default:
		a.Notes = append(a.Notes, fmt.Sprintf("%s draws %.0f W, the limit is %.0f W: %s has no voltage-frequency curve (power.curve) along which its clock could fall", e.PeakOp, float64(e.Peak), float64(limit), m.Name))
	}
}
