package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sarchlab/akita/v3/sim"
	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
)

// do is a handler made of a function.
type do func(now units.Time) error

func (f do) Handle(now units.Time) error { return f(now) }

// ran is one line of what happened in a run.
type ran struct {
	at units.Time
	id int
}

// plan is a random tree of jobs: each one, when it runs, adds its children.
type plan struct {
	id       int
	delay    units.Time // after the parent
	priority uint8
	children []plan
}

func drawPlans(t *rapid.T, label string, depth int, next *int) []plan {
	ps := make([]plan, rapid.IntRange(0, 6).Draw(t, label))
	for i := range ps {
		*next++
		ps[i] = plan{
			id: *next,
			// Few distinct values, so that many jobs share an instant.
			delay:    units.Time(rapid.IntRange(0, 3).Draw(t, "delay")),
			priority: uint8(rapid.IntRange(0, 2).Draw(t, "priority")),
		}
		if depth > 0 {
			ps[i].children = drawPlans(t, "children", depth-1, next)
		}
	}
	return ps
}

func add(e *Engine, log *[]ran, from units.Time, ps []plan) {
	for _, p := range ps {
		e.At(from+p.delay, p.priority, do(func(now units.Time) error {
			*log = append(*log, ran{now, p.id})
			add(e, log, now, p.children)
			return nil
		}))
	}
}

// model runs plans on a list that is searched for its least element: the definition of the order.
func model(ps []plan) []ran {
	type entry struct {
		at       units.Time
		priority uint8
		seq      int
		p        plan
	}
	var list []entry
	var log []ran
	seq := 0
	put := func(from units.Time, ps []plan) {
		for _, p := range ps {
			seq++
			list = append(list, entry{from + p.delay, p.priority, seq, p})
		}
	}
	for put(0, ps); len(list) > 0; {
		first := slices.MinFunc(list, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.priority, b.priority), cmp.Compare(a.seq, b.seq))
		})
		list = slices.DeleteFunc(list, func(x entry) bool { return x.seq == first.seq })
		log = append(log, ran{first.at, first.p.id})
		put(first.at, first.p.children)
	}
	return log
}

func TestOrderIsTimePrioritySequence(t *testing.T) {
	reused := New(Limits{})
	rapid.Check(t, func(t *rapid.T) {
		next := 0
		ps := drawPlans(t, "roots", 2, &next)
		want := model(ps)
		run := func(what string, e *Engine) {
			var log []ran
			add(e, &log, 0, ps)
			if err := e.Run(context.Background()); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if !slices.Equal(log, want) {
				t.Fatalf("%s: ran %v, want %v", what, log, want)
			}
			if e.Events() != int64(len(want)) || e.Pending() != 0 {
				t.Fatalf("%s: %d events, %d pending, want %d and 0", what, e.Events(), e.Pending(), len(want))
			}
			if n := len(want); n > 0 && e.Now() != want[n-1].at {
				t.Fatalf("%s: ends at %v, want %v", what, e.Now(), want[n-1].at)
			}
		}
		run("new", New(Limits{}))
		reused.Reset()
		run("reused", reused)
		shared := New(Limits{})
		shared.Akita()
		run("one wake-up an instant", shared)
		shared.Reset()
		run("one wake-up an instant, reused", shared)
		// Handed out at some point of the run, as a lazily built component would do it.
		late := New(Limits{})
		late.At(units.Time(rapid.IntRange(0, 6).Draw(t, "handed out at")), 255, do(func(units.Time) error {
			late.Akita()
			return nil
		}))
		var log []ran
		add(late, &log, 0, ps)
		if err := late.Run(context.Background()); err != nil || !slices.Equal(log, want) {
			t.Fatalf("handed out during the run: %v, ran %v, want %v", err, log, want)
		}
	})
}

func TestUnrelatedJobsChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := 0
		ours := drawPlans(t, "ours", 2, &next)
		theirs := drawPlans(t, "theirs", 2, &next)
		want := model(ours)
		e := New(Limits{})
		var log, other []ran
		// Interleave the two in a random way: what was added before what must not matter
		// as long as our own order stays.
		for len(ours)+len(theirs) > 0 {
			if len(theirs) == 0 || (len(ours) > 0 && rapid.Bool().Draw(t, "ours first")) {
				add(e, &log, 0, ours[:1])
				ours = ours[1:]
			} else {
				add(e, &other, 0, theirs[:1])
				theirs = theirs[1:]
			}
		}
		if err := e.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(log, want) {
			t.Fatalf("beside other jobs: %v, alone: %v", log, want)
		}
	})
}

// Times are exact up to the last picosecond of 4000 s, also through akita's floating point clock.
func TestTimeIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := units.Time(rapid.Int64Range(0, int64(units.MaxTime)-2).Draw(t, "at"))
		for _, shared := range []bool{false, true} {
			e := New(Limits{})
			if shared {
				e.Akita()
			}
			var got []units.Time
			note := do(func(now units.Time) error { got = append(got, now); return nil })
			want := []units.Time{at, at + 1, at + 2}
			for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
				e.At(want[i], 0, note)
			}
			if err := e.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("ran at %d, want %d", got, want)
			}
		}
		if v := virtual(at); whole(v) != at || virtual(at+1) <= v {
			t.Fatalf("%d ps becomes %v s and %d ps", at, v, whole(v))
		}
		// The next float is another instant, and never rounded into the past.
		if up := sim.VTimeInSec(math.Nextafter(float64(virtual(at)), math.Inf(1))); whole(up) != at+1 {
			t.Fatalf("just after %d ps becomes %d ps, want the next picosecond", at, whole(up))
		}
	})
}

type named struct {
	name string
	do
}

func (n named) String() string { return n.name }

func TestHandlerErrorEndsTheRun(t *testing.T) {
	broken := errors.New("queue overflow")
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		after := 0
		e.At(5, 1, do(func(units.Time) error { after++; return nil })) // same instant, later priority
		e.At(5, 0, named{"hbm[3]", func(units.Time) error { return broken }})
		e.At(9, 0, do(func(units.Time) error { after++; return nil }))
		err := e.Run(context.Background())
		var he *HandlerError
		if !errors.As(err, &he) || !errors.Is(err, broken) {
			t.Fatalf("error %v, want a HandlerError that wraps %v", err, broken)
		}
		if he.At != 5 || he.Handler != "hbm[3]" || after != 0 {
			t.Errorf("at %v in %q, %d jobs ran afterwards; want 5 ps, hbm[3], none", he.At, he.Handler, after)
		}
		if !strings.Contains(err.Error(), "hbm[3]: queue overflow") {
			t.Errorf("text %q names neither component nor cause", err)
		}
		if again := e.Run(context.Background()); again != err || after != 0 {
			t.Errorf("second Run: %v after %d more jobs, want the same error and none", again, after)
		}
		e.Reset()
		e.At(1, 0, do(func(units.Time) error { after++; return nil }))
		if err := e.Run(context.Background()); err != nil || after != 1 || e.Now() != 1 {
			t.Errorf("after Reset: %v, %d jobs, at %v", err, after, e.Now())
		}
	}
	e := New(Limits{})
	e.At(1, 0, do(func(units.Time) error { return broken }))
	if err := e.Run(context.Background()); !strings.Contains(fmt.Sprint(err), "kernel.do") {
		t.Errorf("text %q does not name the type of a handler without String", err)
	}
}

// forever adds itself again, one picosecond later.
type forever struct {
	e    *Engine
	n    int64
	then func(n int64)
	step units.Time
}

func (f *forever) Handle(now units.Time) error {
	f.n++
	if f.then != nil {
		f.then(f.n)
	}
	f.e.At(now+f.step, 0, f)
	return nil
}

func TestCancellation(t *testing.T) {
	cause := errors.New("second Ctrl-C")
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		f := &forever{e: e, step: 1, then: func(n int64) {
			if n == 5000 {
				cancel(cause)
			}
		}}
		e.At(0, 0, f)
		err := e.Run(ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
			t.Fatalf("error %v, want one that wraps %v and %v", err, context.Canceled, cause)
		}
		if late := f.n - 5000; late < 0 || late > pollEvery {
			t.Errorf("ran %d events after the cancellation, want at most %d", late, pollEvery)
		}
		if e.Pending() != 1 || e.Events() != f.n {
			t.Errorf("%d pending and %d events, want 1 and %d", e.Pending(), e.Events(), f.n)
		}
		e.Reset()
		f.n = 0
		e.At(0, 0, f)
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) || f.n != 0 {
			t.Errorf("with a context cancelled before: %v after %d events, want none", err, f.n)
		}
		e.Reset()
		if err := e.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("with an empty agenda and a cancelled context: %v", err)
		}
	}
}

// A run that would take minutes ends soon after another goroutine, here a timer, wants it to.
func TestDeadlineEndsALongRun(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		f := &forever{e: e, step: 1}
		e.At(0, 0, f)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := e.Run(ctx)
		// A second is far above the 0.2 ms between two looks at the context, for slow machines.
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || f.n == 0 || took > time.Second+20*time.Millisecond {
			t.Errorf("shared %v: %v after %v and %d events", shared, err, took, f.n)
		}
		if want := fmt.Sprintf("stopped at %v after %d events", e.Now(), e.Events()); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Engines share nothing: many at once do what one alone does.
func TestEnginesRunInParallel(t *testing.T) {
	run := func(shared bool) (log []ran) {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		for id, h := range hoppers(e, 50) {
			h.left = 40
			e.At(h.step/1_000_000, uint8(id%3), do(func(now units.Time) error {
				log = append(log, ran{now, id})
				return h.Handle(now)
			}))
			e.At(h.step*7, 1, do(func(now units.Time) error { log = append(log, ran{now, -id}); return nil }))
		}
		if err := e.Run(context.Background()); err != nil {
			t.Error(err)
		}
		return append(log, ran{e.Now(), int(e.Events())})
	}
	want := run(false)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if got := run(i%2 == 1); !slices.Equal(got, want) {
				t.Errorf("engine %d: %v, alone %v", i, got, want)
			}
		})
	}
	wg.Wait()
}

func TestLimits(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for _, limit := range []int64{1, 1000, 1024, 1025, 5000} {
			e := New(Limits{Events: limit})
			if shared {
				e.Akita()
			}
			f := &forever{e: e, step: 1}
			e.At(0, 0, f)
			var le *LimitError
			if err := e.Run(context.Background()); !errors.As(err, &le) || le.Events != limit || le.Time != 0 {
				t.Fatalf("limit %d: error %v", limit, err)
			}
			if f.n != limit || e.Events() != limit || le.At != units.Time(limit) {
				t.Errorf("limit %d: %d events, next at %v", limit, f.n, le.At)
			}
			// Exactly as many as allowed is fine.
			e.Reset()
			for i := range limit {
				e.At(units.Time(i), 0, do(func(units.Time) error { return nil }))
			}
			if err := e.Run(context.Background()); err != nil {
				t.Errorf("limit %d reached exactly: %v", limit, err)
			}
		}
		for _, limit := range []units.Time{1, 7000, units.MaxTime} {
			e := New(Limits{Time: limit})
			if shared {
				e.Akita()
			}
			n := 0
			count := do(func(units.Time) error { n++; return nil })
			e.At(limit, 0, count)
			e.At(math.MaxInt64, 0, count)
			e.At(limit+1, 0, count)
			var le *LimitError
			if err := e.Run(context.Background()); !errors.As(err, &le) || le.Time != limit || le.Events != 0 || le.At != limit+1 || n != 1 {
				t.Errorf("limit %v: %v after %d jobs, want a LimitError after 1", limit, err, n)
			}
			if e.Now() != limit {
				t.Errorf("limit %v: stopped at %v", limit, e.Now())
			}
		}
	}
	// Out of range limits are the largest ones.
	if e := New(Limits{Events: -1, Time: math.MaxInt64}); e.limits != (Limits{Events: defaultEvents, Time: units.MaxTime}) {
		t.Errorf("limits %+v", e.limits)
	}
}

func TestOnIdle(t *testing.T) {
	waiting := errors.New("step 7 (attention) waits for step 6")
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		e.OnIdle(func() error { return waiting })
		e.At(42, 0, do(func(units.Time) error { return nil }))
		err := e.Run(context.Background())
		var se *StuckError
		if !errors.As(err, &se) || se.At != 42 || !errors.Is(err, waiting) {
			t.Fatalf("error %v, want a StuckError at 42 ps that wraps %v", err, waiting)
		}
		e.Reset()
		if err := e.Run(context.Background()); !errors.Is(err, waiting) {
			t.Errorf("an empty agenda is not asked: %v", err)
		}
		// The check may add work.
		e.Reset()
		more := 3
		var log []units.Time
		e.OnIdle(func() error {
			if more > 0 {
				more--
				e.At(e.Now()+10, 0, do(func(now units.Time) error { log = append(log, now); return nil }))
			}
			return nil
		})
		if err := e.Run(context.Background()); err != nil || !slices.Equal(log, []units.Time{10, 20, 30}) {
			t.Errorf("work added when idle: %v, ran at %v", err, log)
		}
		e.Reset()
		e.OnIdle(nil)
		if err := e.Run(context.Background()); err != nil {
			t.Errorf("without a check: %v", err)
		}
	}
}

func panicOf(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestPanicsPassThrough(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		e.At(1, 0, do(func(units.Time) error { panic("bug") }))
		if v := panicOf(func() { _ = e.Run(context.Background()) }); v != "bug" {
			t.Fatalf("panic %v, want bug", v)
		}
		if err := e.Run(context.Background()); !errors.Is(err, errPanicked) {
			t.Errorf("Run after a panic: %v", err)
		}
		e.Reset()
		n := 0
		e.At(1, 0, do(func(units.Time) error { n++; return nil }))
		if err := e.Run(context.Background()); err != nil || n != 1 {
			t.Errorf("after Reset: %v, %d jobs", err, n)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	nop := do(func(units.Time) error { return nil })
	tests := []struct {
		name, want string
		f          func(e *Engine)
	}{
		{"past", "it is", func(e *Engine) { e.At(9, 0, nop) }},
		{"negative", "it is", func(e *Engine) { e.At(-1, 0, nop) }},
		{"nil handler", "without a handler", func(e *Engine) { e.At(10, 0, nil) }},
		{"Run in a handler", "Run called while running", func(e *Engine) { _ = e.Run(context.Background()) }},
		{"Run of akita in a handler", "Run called while running", func(e *Engine) { _ = e.Akita().Run() }},
		{"Reset in a handler", "Reset called while running", func(e *Engine) { e.Reset() }},
		{"akita event in the past", "is", func(e *Engine) { e.Akita().Schedule(&tick{at: virtual(9)}) }},
		{"akita event at NaN", "NaN", func(e *Engine) { e.Akita().Schedule(&tick{at: sim.VTimeInSec(math.NaN())}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := New(Limits{})
			e.At(10, 0, do(func(units.Time) error { tt.f(e); return nil }))
			v := panicOf(func() { _ = e.Run(context.Background()) })
			if s := fmt.Sprint(v); v == nil || !strings.Contains(s, tt.want) {
				t.Errorf("panic %v, want one with %q", v, tt.want)
			}
		})
	}
}

// tick is an event of a foreign akita component.
type tick struct {
	at        sim.VTimeInSec
	f         func(now sim.VTimeInSec)
	secondary bool
}

func (k *tick) Time() sim.VTimeInSec   { return k.at }
func (k *tick) Handler() sim.Handler   { return k }
func (k *tick) IsSecondary() bool      { return k.secondary }
func (k *tick) Handle(sim.Event) error { k.f(k.at); return nil }

// An akita component and the agenda see one clock, and their instants interleave.
func TestForeignComponents(t *testing.T) {
	e := New(Limits{})
	var log []string
	var eng sim.Engine
	note := func(who string) do {
		return func(now units.Time) error {
			if now != e.Now() {
				t.Errorf("%s: handed %v, Now is %v", who, now, e.Now())
			}
			if eng != nil && eng.CurrentTime() != virtual(now) {
				t.Errorf("%s: akita's clock says %v at %v", who, eng.CurrentTime(), now)
			}
			log = append(log, fmt.Sprintf("%s@%d", who, now))
			return nil
		}
	}
	e.At(1, 0, note("a"))
	e.At(1500, 0, note("b"))
	e.At(2600, 0, note("c"))
	e.At(9000, 0, note("d"))
	// The engine is handed out in the middle of the run.
	e.At(2, 0, do(func(units.Time) error {
		eng = e.Akita()
		if eng.CurrentTime() != virtual(2) {
			t.Errorf("akita's clock says %v at 2 ps", eng.CurrentTime())
		}
		f := sim.Freq(1e9) // ticks at whole nanoseconds
		var k *tick
		k = &tick{at: f.NextTick(eng.CurrentTime()), f: func(now sim.VTimeInSec) {
			log = append(log, fmt.Sprintf("tick@%d", e.Now()))
			if now != eng.CurrentTime() {
				t.Errorf("tick at %v, akita's clock says %v", now, eng.CurrentTime())
			}
			if e.Now() == 2000 {
				e.At(2000, 0, note("same instant"))
				e.At(2400, 0, note("from akita")) // before what is armed
			}
			if e.Now() < 4000 {
				k.at = f.NextTick(now)
				eng.Schedule(k)
			}
		}}
		eng.Schedule(k)
		// Between two picoseconds: the agenda sees the next whole one.
		eng.Schedule(&tick{at: 1200.5e-12, f: func(now sim.VTimeInSec) {
			if e.Now() != 1201 || eng.CurrentTime() != now {
				t.Errorf("at 1200.5 ps the agenda says %v, akita %v", e.Now(), eng.CurrentTime())
			}
			e.At(e.Now(), 0, note("rounded up"))
		}})
		return nil
	}))
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := "a@1 tick@1000 rounded up@1201 b@1500 tick@2000 same instant@2000 from akita@2400 c@2600 tick@3000 tick@4000 d@9000"
	if got := strings.Join(log, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e.Events() != 13 {
		t.Errorf("%d events, want 8 jobs and 5 ticks", e.Events())
	}
	if len(e.Akita().Hooks()) != 0 || e.Akita().NumHooks() != 0 {
		t.Error("hooks nobody set")
	}
}

// A component that ticks for ever is ended by limits, cancellation and errors of jobs.
func TestForeignComponentsCanBeStopped(t *testing.T) {
	broken := errors.New("broken")
	start := func(e *Engine) (n *int64) {
		eng := e.Akita()
		n = new(int64)
		var k *tick
		k = &tick{f: func(now sim.VTimeInSec) {
			*n++
			k.at = sim.Freq(1e9).NextTick(now)
			eng.Schedule(k)
		}}
		eng.Schedule(k)
		return n
	}
	var le *LimitError
	e := New(Limits{Events: 3000})
	n := start(e)
	if err := e.Run(context.Background()); !errors.As(err, &le) || le.Events != 3000 || *n != 3000 {
		t.Errorf("event limit: %v after %d ticks", err, *n)
	}
	e = New(Limits{Time: 10 * units.Nanosecond})
	n = start(e)
	if err := e.Run(context.Background()); !errors.As(err, &le) || le.Time != 10*units.Nanosecond || *n != 11 {
		t.Errorf("time limit: %v after %d ticks, want 11", err, *n)
	}
	e.Reset()
	e.Akita().Schedule(&tick{at: sim.VTimeInSec(math.Inf(1))})
	if err := e.Run(context.Background()); !errors.As(err, &le) {
		t.Errorf("an event at infinity: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e = New(Limits{})
	n = start(e)
	e.At(5*units.Microsecond, 0, do(func(units.Time) error { cancel(); return nil }))
	if err := e.Run(ctx); !errors.Is(err, context.Canceled) || *n < 5000 || *n > 5000+pollEvery {
		t.Errorf("cancelled: %v after %d ticks", err, *n)
	}
	e.Reset()
	n = start(e)
	e.At(5*units.Microsecond+1, 0, do(func(units.Time) error { return broken }))
	if err := e.Run(context.Background()); !errors.Is(err, broken) || *n != 5001 {
		t.Errorf("job failed: %v after %d ticks, want 5001", err, *n)
	}
	// Akita's own Run is ours.
	e.Reset()
	ran := false
	e.At(3, 0, do(func(units.Time) error { ran = true; return nil }))
	if err := e.Akita().Run(); err != nil || !ran {
		t.Errorf("run through akita: %v, ran %v", err, ran)
	}
}

// A component with a port and a connection of akita works beside the agenda.
func TestAkitaMessages(t *testing.T) {
	e := New(Limits{})
	eng := e.Akita()
	c := &receiver{}
	c.TickingComponent = sim.NewTickingComponent("Receiver", eng, 1*sim.GHz, c)
	c.in = sim.NewLimitNumMsgPort(c, 4, "Receiver.In")
	p := &sender{left: 10}
	p.TickingComponent = sim.NewTickingComponent("Sender", eng, 1*sim.GHz, p)
	p.out, p.to = sim.NewLimitNumMsgPort(p, 4, "Sender.Out"), c.in
	conn := sim.NewDirectConnection("Conn", eng, 1*sim.GHz)
	conn.PlugIn(p.out, 4)
	conn.PlugIn(c.in, 4)
	jobs := 0
	for i := range 20 {
		e.At(units.Time(i)*500, 0, do(func(units.Time) error {
			if jobs++; i == 4 {
				p.TickLater(eng.CurrentTime())
			}
			return nil
		}))
	}
	if err := e.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if jobs != 20 || c.got != 10 || p.left != 0 {
		t.Errorf("%d jobs, %d messages received, %d left", jobs, c.got, p.left)
	}
}

type message struct{ sim.MsgMeta }

func (m *message) Meta() *sim.MsgMeta { return &m.MsgMeta }

type sender struct {
	*sim.TickingComponent
	out, to sim.Port
	left    int
}

func (s *sender) Tick(now sim.VTimeInSec) bool {
	if s.left == 0 {
		return false
	}
	m := &message{}
	m.ID = sim.GetIDGenerator().Generate()
	m.Src, m.Dst, m.SendTime = s.out, s.to, now
	if s.out.Send(m) != nil {
		return false
	}
	s.left--
	return true
}

type receiver struct {
	*sim.TickingComponent
	in  sim.Port
	got int
}

func (r *receiver) Tick(now sim.VTimeInSec) bool {
	if r.in.Retrieve(now) == nil {
		return false
	}
	r.got++
	return true
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e := New(Limits{})
		if shared {
			e.Akita()
		}
		jobs := hoppers(e, 100)
		run := func() {
			for _, j := range jobs {
				j.left = 20
				e.At(e.Now()+j.step, 0, j)
			}
			if err := e.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			if !shared {
				e.Reset()
			}
		}
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("shared %v: %v allocations a run of 2000 events, want 0", shared, n)
		}
	}
}

// hopper goes on in steps of its own length.
type hopper struct {
	e    *Engine
	step units.Time
	left int64
}

func (h *hopper) Handle(now units.Time) error {
	if h.left--; h.left > 0 {
		h.e.At(now+h.step, 0, h)
	}
	return nil
}

// hoppers returns n jobs with steps of about a microsecond, all different, so that their instants
// rarely coincide.
func hoppers(e *Engine, n int) []*hopper {
	hs := make([]*hopper, n)
	for i := range hs {
		hs[i] = &hopper{e: e, step: units.Time(1_000_003 + 7_919*i)}
	}
	return hs
}

func benchmarkAgenda(b *testing.B, pending int, shared bool) {
	e := New(Limits{Events: math.MaxInt64})
	if shared {
		e.Akita()
	}
	hs := hoppers(e, pending)
	each := int64(b.N/pending + 1)
	for _, h := range hs {
		h.left = each
		e.At(h.step, 0, h)
	}
	b.ReportAllocs()
	b.ResetTimer()
	if err := e.Run(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(e.Events())/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAgenda1Pending(b *testing.B)          { benchmarkAgenda(b, 1, false) }
func BenchmarkAgenda1000Pending(b *testing.B)       { benchmarkAgenda(b, 1000, false) }
func BenchmarkAgenda100000Pending(b *testing.B)     { benchmarkAgenda(b, 100_000, false) }
func BenchmarkAgenda1000PendingShared(b *testing.B) { benchmarkAgenda(b, 1000, true) }

// BenchmarkSmallRuns is a run of ten events on a reused engine.
func BenchmarkSmallRuns(b *testing.B) {
	e := New(Limits{})
	h := &hopper{e: e, step: 3}
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		h.left = 10
		e.At(0, 0, h)
		if err := e.Run(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// What was added before a Reset is forgotten, also what akita was to wake the agenda for.
func TestResetBeforeRun(t *testing.T) {
	for _, shared := range []bool{false, true} {
		e := New(Limits{Events: 100})
		if shared {
			e.Akita()
		}
		var log []units.Time
		note := do(func(now units.Time) error { log = append(log, now); return nil })
		e.At(5, 0, note)
		e.Reset()
		if e.Pending() != 0 || e.Now() != 0 || e.Events() != 0 {
			t.Errorf("shared %v: %d pending at %v after %d events", shared, e.Pending(), e.Now(), e.Events())
		}
		e.At(7, 0, note)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := e.Run(ctx); err != nil || !slices.Equal(log, []units.Time{7}) {
			t.Errorf("shared %v: %v, ran at %v, want 7 ps", shared, err, log)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want []string
	}{
		{&HandlerError{At: 1500, Handler: "hbm[3]", Err: errors.New("queue overflow")}, []string{"at 1.5 ns", "hbm[3]", "queue overflow"}},
		{&LimitError{At: 1500, Events: 1000}, []string{"at 1.5 ns", "limit of 1000 events"}},
		{&LimitError{At: 2 * units.Second, Time: units.Second}, []string{"at 2 s", "limit of 1 s"}},
		{&StuckError{At: 1500, Err: errors.New("step 7 waits")}, []string{"at 1.5 ns", "step 7 waits"}},
	} {
		for _, want := range tt.want {
			if !strings.Contains(tt.err.Error(), want) {
				t.Errorf("%T: %q does not say %q", tt.err, tt.err, want)
			}
		}
	}
}

// counting is a hook and an end handler of another component.
type counting struct{ before, after, ended int }

func (c *counting) Func(ctx sim.HookCtx) {
	if ctx.Pos == sim.HookPosBeforeEvent {
		c.before++
	} else {
		c.after++
	}
}
func (c *counting) Handle(sim.VTimeInSec) { c.ended++ }

// The engine that others see has all that akita's has.
func TestHooksAndEndHandlersOfOthers(t *testing.T) {
	e := New(Limits{})
	eng := e.Akita()
	c := &counting{}
	eng.AcceptHook(c)
	eng.RegisterSimulationEndHandler(c)
	if h := eng.Hooks(); len(h) != 1 || h[0] != sim.Hook(c) || eng.NumHooks() != 1 {
		t.Errorf("hooks %v", h)
	}
	ticks := 0
	for i := range 3 {
		eng.Schedule(&tick{at: virtual(units.Time(i)), f: func(sim.VTimeInSec) { ticks++ }})
	}
	eng.Pause()
	done := make(chan error)
	go func() { done <- e.Run(context.Background()) }()
	eng.Continue()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eng.Finished()
	if ticks != 3 || c.before != 3 || c.after != 3 || c.ended != 1 {
		t.Errorf("%d ticks, %+v", ticks, *c)
	}
}
