package eval

import (
	"fmt"
	"io"
	"sort"

	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/timeline"
	"github.com/stratasim/strata/sim/units"
)

// maxTimelineSpans bounds the size of a timeline: beyond it operators are left out, and the file
// says so.
const maxTimelineSpans = 400_000

// Timeline is an observer that records a run and writes it as a Chrome trace, which Perfetto opens.
//
// Phases and operators are written for the whole run. What happens inside a kernel (loads, computes
// and stores of tiles, buffers filling, bandwidth in use) is written where the kernel runs for the
// first time; later runs of the same kernel look the same and are marked so. Iterations that the simulator skipped
// because they repeat appear as one marked stretch; --exact plays and writes them all.
type Timeline struct {
	w        *timeline.Writer
	passages []*passage
	*passage // the one being recorded, then the one being written
	now      *recording
	spans    int
	cut      int64 // operator spans left out

	levels map[string]*level // of counters, by track
	tracks []string          // in the order of their first value
}

// maxPowerSpans bounds the operators whose power is drawn by component; it is the mean of each phase or
// step after that.
const maxPowerSpans = 20_000

// passage is what was seen of the sections that ran at one clock.
type passage struct {
	meter    *account.Meter
	pace     account.Pace
	p        *plan.Program // at that clock
	sections []int         // nil for all
	played   map[*plan.Body]*recording
	folder   *plan.Folder
	shown    map[*plan.Body]bool
}

// level is the last value of a counter; it is written when the next one comes at another time.
type level struct {
	unit    string
	at      units.Time
	value   float64
	written float64
}

// recording is what was seen while a body was played from rest.
type recording struct {
	spans  []event.Span
	skips  []skip
	tokens []tokens
	host   []launch
}

// launch is what the host does for one kernel.
type launch struct {
	kernel     *plan.Body
	start, end units.Time
}

type skip struct {
	body       *plan.Body
	at, period units.Time
	periods    int64
	iterations int64
}

func (k *skip) length() units.Time  { return k.period * units.Time(k.periods) }
func (k *skip) resumed() units.Time { return k.at + k.length() }

// stretch is a time in which a step in service went at one speed.
type stretch struct {
	from, until units.Time
	speed       float64
}

// before returns the stretches of a step that was in service at the skip as they were: what it had
// done by then lies before the skip, the rest after it.
func (k *skip) before(all []stretch) []stretch {
	var was []stretch
	for _, v := range all {
		if v.from < k.resumed() {
			was = append(was, stretch{v.from - k.length(), min(v.until, k.resumed()) - k.length(), v.speed})
			v.from = k.resumed()
		}
		if v.from < v.until {
			was = append(was, v)
		}
	}
	return was
}

type tokens struct {
	at     units.Time
	body   *plan.Body
	buffer int
	used   int64
}

// NewTimeline returns a timeline that is written to w by Write.
func NewTimeline(w io.Writer) *Timeline {
	return &Timeline{w: timeline.New(w), levels: map[string]*level{}}
}

// Pass says that what is played from now on is of these sections of the program, nil for all, at a pace.
func (t *Timeline) Pass(p *plan.Program, sections []int, k *account.Meter, at account.Pace) {
	t.passage = &passage{p: p, sections: sections, meter: k, pace: at, played: map[*plan.Body]*recording{}, shown: map[*plan.Body]bool{}}
	t.passages = append(t.passages, t.passage)
}

// Play implements event.Observer.
func (t *Timeline) Play(b *plan.Body, _ int64) {
	t.now = &recording{}
	t.played[b] = t.now
}

// Span implements event.Observer.
func (t *Timeline) Span(s event.Span) { t.now.spans = append(t.now.spans, s) }

// Skipped implements event.Observer.
func (t *Timeline) Skipped(b *plan.Body, at, period units.Time, periods, iterations int64) {
	t.now.skips = append(t.now.skips, skip{b, at, period, periods, iterations})
}

// Tokens implements event.Observer.
func (t *Timeline) Tokens(at units.Time, b *plan.Body, buffer int, used int64) {
	t.now.tokens = append(t.now.tokens, tokens{at, b, buffer, used})
}

// Launched implements event.HostObserver.
func (t *Timeline) Launched(kernel *plan.Body, start, end units.Time) {
	t.now.host = append(t.now.host, launch{kernel, start, end})
}

// Done implements event.Observer.
func (t *Timeline) Done(f *plan.Folder) { t.folder = f }

// Tracks of the timeline.
const (
	trackPhase    = "run/phases"
	trackOperator = "run/operators"
	trackSkipped  = "chip/skipped"
	trackLaunches = "host/launches" // of operators, ahead of the device
	trackSerial   = "host/serial"
)

// Write lays the run out in time and ends the file.
func (t *Timeline) Write() error {
	t.w.Tracks(trackPhase, trackOperator, "chip/launch", "chip/fill", "chip/load", "chip/compute", "chip/store", "chip/reduce", "chip/collective", trackSkipped)
	for _, p := range t.passages {
		if p.p.HostAmount(p.p.Entry) > 0 {
			t.w.Tracks(trackLaunches, trackSerial)
			break
		}
	}
	if err := t.passed(); err != nil {
		return err
	}
	for _, track := range t.tracks {
		t.flush(track)
	}
	if t.cut > 0 {
		t.w.Instant(timeline.Instant{Track: trackPhase, Name: fmt.Sprintf("%d operator spans left out", t.cut), At: 0})
	}
	return t.w.Close()
}

// passed lays out the sections in their order, each from the passage that it was played in.
func (t *Timeline) passed() error {
	var of []*passage // by section
	for _, p := range t.passages {
		if p.sections == nil {
			of = append(of, p)
		}
		for _, i := range p.sections {
			for len(of) <= i {
				of = append(of, nil)
			}
			of[i] = p
		}
	}
	var at units.Time
	for i, p := range of {
		t.passage = p
		entry := p.p.Entry
		if p.folder == nil { // played in one go
			if rec := p.played[entry]; rec != nil {
				t.detail(rec, at)
				at += rec.end()
			}
			continue
		}
		if p.sections == nil {
			_, err := t.body(entry, 1, at)
			return err
		}
		var err error
		if at, err = t.section(&entry.Nodes[i], at); err != nil {
			return err
		}
	}
	return nil
}

// end is when the last step of a recording ended.
func (r *recording) end() units.Time {
	var end units.Time
	for i := range r.spans {
		end = max(end, r.spans[i].End)
	}
	return end
}

// section lays out a phase or step and returns its end.
func (t *Timeline) section(n *plan.Node, at units.Time) (units.Time, error) {
	end, err := t.body(n.Body, n.Times, at)
	if err == nil && t.spans > maxPowerSpans {
		var r *plan.Result
		if r, err = t.folder.Body(n.Body, n.Times); err == nil {
			t.draws(t.meter.Node(n), at, end, r.Stalls.Running())
		}
	}
	if err == nil {
		t.w.Span(timeline.Span{Track: trackPhase, Name: n.Name, Category: "phase", Start: at, End: end})
	}
	return end, err
}

// body lays out a chain, or a body that was played, from the given time on, and returns its end.
func (t *Timeline) body(b *plan.Body, times int64, at units.Time) (units.Time, error) {
	r, err := t.folder.Body(b, times)
	if err != nil {
		return 0, err
	}
	end := at + r.Time
	if b.Op >= 0 {
		if t.spans >= maxTimelineSpans {
			t.cut += times
			return end, t.w.Err()
		}
		t.spans++
		t.w.Span(timeline.Span{Track: trackOperator, Name: b.Name, Category: t.p.Ops[b.Op].Kind, Start: at, End: end,
			Args: []timeline.Arg{timeline.Text("limited by", r.Stalls.Largest().String()), timeline.Int("calls", times)}})
		if t.spans <= maxPowerSpans {
			actions := t.meter.Node(&plan.Node{Body: b, Times: times})
			t.draws(actions, at, end, r.Stalls.Running())
		}
		if t.shown[b] {
			t.w.Span(timeline.Span{Track: trackSkipped, Name: "as the first " + b.Name, Category: "skipped", Start: at, End: end})
			return end, t.w.Err()
		}
		t.shown[b] = true
	} else if b.Ahead() && b != t.p.Entry {
		return end, t.launched(b, times, at)
	}
	if !b.Chain(times) {
		if rec := t.played[b]; rec != nil {
			t.detail(rec, at)
		}
		return end, t.w.Err()
	}
	for i := int64(0); i < times && at < end; i++ {
		for k := range b.Nodes {
			n := &b.Nodes[k]
			if n.Body != nil {
				lay := func() (units.Time, error) { return t.body(n.Body, n.Times, at) }
				if b == t.p.Entry {
					lay = func() (units.Time, error) { return t.section(n, at) }
				}
				if at, err = lay(); err != nil {
					return 0, err
				}
				continue
			}
			one, err := t.folder.Node(n)
			if err != nil {
				return 0, err
			}
			t.step(n, at, at+one.Time, 0)
			t.alone(n.Step, at, at+one.Time-t.p.Latency(n.Step))
			at += one.Time
		}
		if b.Op < 0 && t.spans >= maxTimelineSpans {
			t.cut += (times - i - 1) * int64(len(b.Nodes))
			break
		}
	}
	return end, t.w.Err()
}

// launched lays out a body whose kernels the host launches ahead of the device: each where it runs, and
// its launch where the host does it.
func (t *Timeline) launched(b *plan.Body, times int64, at units.Time) error {
	var failed error
	if _, err := t.folder.Launched(b, times, func(l *plan.Launch) {
		t.onHost(l.Kernel, at+l.HostStart, at+l.HostEnd)
		if _, err := t.body(l.Kernel, 1, at+l.Release); err != nil && failed == nil {
			failed = err
		}
	}); err != nil {
		return err
	}
	return failed
}

// onHost writes what the host does to launch a kernel.
func (t *Timeline) onHost(kernel *plan.Body, start, end units.Time) {
	if end > start && t.spans < maxTimelineSpans {
		t.spans++
		t.w.Span(timeline.Span{Track: trackLaunches, Name: kernel.Name, Category: "launch", Start: start, End: end})
	}
}

// draws sets the power of one chip by component while it does the actions, and after that to what a chip
// draws that does nothing.
func (t *Timeline) draws(actions account.Actions, at, end, busy units.Time) {
	if end <= at {
		return
	}
	set := func(at units.Time, e []units.Joules, t0 units.Time) {
		for i, name := range t.meter.Names() {
			t.counter("power/"+name, "W", at, float64(e[i].Per(t0)))
		}
	}
	set(at, t.meter.At(actions, end-at, busy, t.pace), end-at)
	set(end, t.meter.At(nil, units.Second, 0, t.pace), units.Second)
}

// step writes one step of the chip or of the host.
func (t *Timeline) step(n *plan.Node, start, end, alone units.Time) {
	if start == end {
		return
	}
	s := n.Step
	args := make([]timeline.Arg, 0, 4)
	for _, u := range s.Uses {
		if u.Amount > 0 {
			r := &t.p.Resources[u.Resource]
			args = append(args, timeline.Int(r.Name+" "+r.Unit, u.Amount))
		}
	}
	if _, cause := s.Serve(t.p.Resources); len(args) > 0 {
		args = append(args, timeline.Text("limited by", cause.String()))
	}
	if slowed := end - start - t.p.Latency(s) - alone; alone > 0 && slowed > 0 {
		args = append(args, timeline.Text("slowed by sharing", slowed.String()))
	}
	track := "chip/" + s.Kind
	if s.Kind == plan.HostKind {
		track = trackSerial
	}
	t.w.Span(timeline.Span{Track: track, Name: n.Name, Category: s.Kind, Start: start, End: end, Args: args})
}

// counter sets a counter from a moment on. Of several values at one moment the last one counts, and
// equal values in a row are one.
func (t *Timeline) counter(track, unit string, at units.Time, value float64) {
	l := t.levels[track]
	if l == nil {
		l = &level{unit: unit, at: at, value: value, written: -1}
		t.levels[track] = l
		t.tracks = append(t.tracks, track)
		return
	}
	if at != l.at {
		t.flush(track)
	}
	l.at, l.value = at, value
}

func (t *Timeline) flush(track string) {
	if l := t.levels[track]; l.value != l.written {
		t.w.Counter(timeline.Counter{Track: track, Unit: l.unit, At: l.at, Value: l.value})
		l.written = l.value
	}
}

// bandwidth lists the uses of a step that are bytes of a resource of the whole chip.
func (t *Timeline) bandwidth(s *plan.Step) []plan.Use {
	var uses []plan.Use
	for _, u := range s.Uses {
		if r := &t.p.Resources[u.Resource]; r.Unit == "B" && !r.PerCore && u.Amount > 0 {
			uses = append(uses, u)
		}
	}
	return uses
}

func (t *Timeline) inUse(resource int, at units.Time, gigabytes float64) {
	t.counter("bandwidth/"+t.p.Resources[resource].Name, "GB/s", at, max(0, gigabytes))
}

// alone counts the bandwidth of a step that has the chip to itself.
func (t *Timeline) alone(s *plan.Step, start, end units.Time) {
	if end <= start {
		return
	}
	for _, u := range t.bandwidth(s) {
		t.inUse(u.Resource, start, float64(u.Amount)/(end-start).Seconds()/1e9)
		t.inUse(u.Resource, end, 0)
	}
}

// detail writes what was recorded while a body was played, shifted to where it runs. What a step moves
// follows its speed; over iterations that were skipped it is the mean of those before.
func (t *Timeline) detail(rec *recording, at units.Time) {
	type change struct {
		at   units.Time
		res  int
		rate float64
	}
	var changes []change
	during := func(res int, from, to units.Time, rate float64) {
		if to > from && rate > 0 {
			changes = append(changes, change{from, res, rate}, change{to, res, -rate})
		}
	}
	means := make([][]float64, len(rec.skips)) // of each skip by resource, in GB/s
	for i := range means {
		means[i] = make([]float64, len(t.p.Resources))
	}
	for _, s := range rec.spans {
		n := &s.Body.Nodes[s.Node]
		t.step(n, at+s.Start, at+s.End, s.Alone)
		uses, began, end := t.bandwidth(n.Step), s.Start, s.End-t.p.Latency(n.Step)
		var stretches []stretch
		for i, v := range s.Speeds {
			until := end
			if i+1 < len(s.Speeds) {
				until = s.Speeds[i+1].At
			}
			stretches = append(stretches, stretch{v.At, until, v.Value})
		}
		for j := len(rec.skips) - 1; j >= 0; j-- {
			k := &rec.skips[j]
			if began < k.resumed() && end > k.at { // in service at the skip, which put its beginning off
				began -= k.length()
				stretches = k.before(stretches)
			}
			if began >= k.at-k.period && began < k.at {
				for _, u := range uses {
					means[j][u.Resource] += float64(u.Amount) / k.period.Seconds() / 1e9
				}
			}
		}
		if s.Alone <= 0 {
			continue
		}
		for _, u := range uses {
			full := float64(u.Amount) / s.Alone.Seconds() / 1e9
			for _, v := range stretches {
				during(u.Resource, v.from, v.until, full*v.speed)
			}
		}
	}
	for i := range rec.skips {
		k := &rec.skips[i]
		for j := range i { // an iteration that is skipped may have skipped iterations of its own
			if inner := &rec.skips[j]; inner.at >= k.at-k.period {
				for res, rate := range means[j] {
					means[i][res] += rate * inner.length().Seconds() / k.period.Seconds()
				}
			}
		}
		for res, rate := range means[i] {
			during(res, k.at, k.resumed(), rate)
		}
		t.w.Span(timeline.Span{Track: trackSkipped, Name: fmt.Sprintf("%d iterations of %s as before", k.iterations, k.body.Name), Category: "skipped",
			Start: at + k.at, End: at + k.resumed(),
			Args: []timeline.Arg{timeline.Int("periods", k.periods), timeline.Text("period", k.period.Short())}})
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].at < changes[j].at })
	sum, users := make([]float64, len(t.p.Resources)), make([]int, len(t.p.Resources))
	for _, c := range changes {
		sum[c.res] += c.rate
		if c.rate > 0 {
			users[c.res]++
		} else if users[c.res]--; users[c.res] == 0 {
			sum[c.res] = 0 // no dust of rounding when nobody uses it
		}
		t.inUse(c.res, at+c.at, sum[c.res])
	}
	for _, l := range rec.host {
		t.onHost(l.kernel, at+l.start, at+l.end)
	}
	for _, k := range rec.tokens {
		b := &k.body.Buffers[k.buffer]
		t.counter("buffers/"+b.Name, "of "+fmt.Sprint(b.Capacity), at+k.at, float64(k.used))
	}
}
