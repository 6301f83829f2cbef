package plan

import (
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// A host that launches kernels ahead of the device makes two chains of them: launch i follows launch
// i−1, and kernel i starts when launch i and kernel i−1 are done. A kernel leaves the device at rest, so
// it takes as long whenever it starts, and two clocks are all the state there is. Iterations of a loop
// are skipped once they repeat: when nothing waits for the host any more, or all waits are as before.

// moment is a point on a path of steps: when it is reached, and how the time until then divides.
type moment struct {
	at     units.Time
	stalls sim.Stalls
}

func (m *moment) spend(t units.Time, c sim.Cause) {
	m.at += t
	m.stalls[c] += t
}

func (m *moment) add(d *moment, n int64) {
	m.at += d.at * units.Time(n)
	m.stalls.Add(&d.stalls, n)
}

func (m *moment) since(old *moment) moment { return moment{m.at - old.at, m.stalls.Minus(&old.stalls)} }

// Launch is one kernel that the host launches ahead of the device.
type Launch struct {
	Kernel               *Body
	HostStart, HostEnd   units.Time // of the host's work; equal for a kernel that needs none
	DeviceStart, Release units.Time // DeviceStart: the device could start; Release: it did
	End                  units.Time
}

// launched is a node of the chain and how often it ran, with the time it waited for the host.
type launched struct {
	of   *Result
	op   int
	runs int64
	wait units.Time
}

// launcher walks through a chain of kernels with the two clocks.
type launcher struct {
	f            *Folder
	device, host moment
	slack        units.Time // least time by which launches were early since it was set
	ran          []launched
	events       int64
	visit        func(*Launch)
}

// Launched times a body whose kernels the host launches ahead of the device, times times from rest. If
// visit is not nil, it sees every kernel in order, and nothing is skipped.
func (f *Folder) Launched(b *Body, times int64, visit func(*Launch)) (*Result, error) {
	w := &launcher{f: f, visit: visit}
	if err := w.loop(b, times); err != nil {
		return nil, err
	}
	r := f.NewResult()
	r.Time, r.Stalls, r.Events = w.device.at, w.device.stalls, w.events
	r.Work.Add(b.work, times)
	for i := range w.ran {
		l := &w.ran[i]
		for _, q := range l.of.parts {
			q.runs *= l.runs
			r.parts = append(r.parts, q)
		}
		if l.wait > 0 {
			late := &Result{Time: l.wait}
			late.Stalls[sim.Launch] = l.wait
			r.parts = append(r.parts, part{l.op, late, 0, 1})
		}
	}
	return r, nil
}

// loop runs a body times times.
func (w *launcher) loop(b *Body, times int64) error {
	from := len(w.ran)
	outer := w.slack
	var last []launched
	var moved moment
	for it := int64(0); it < times; it++ {
		device, host, here := w.device, w.host, len(w.ran)
		w.slack = units.MaxTime
		if err := w.once(b); err != nil {
			return err
		}
		now := w.device.since(&device)
		work := w.host.since(&host)
		ran := w.ran[here:]
		jump := int64(0)
		switch left := times - 1 - it; {
		case left == 0 || w.visit != nil:
		case !waited(ran) && now.at >= work.at:
			jump = left // launches only get earlier
		case !waited(ran):
			jump = min(left, int64(w.slack/(work.at-now.at))) // launches get later until one is late
		case it > 0 && now == moved && now.at == work.at && sameWaits(ran, last):
			jump = left
		}
		if jump > 0 {
			if (units.MaxTime-max(w.device.at, w.host.at))/max(now.at, work.at, 1) < units.Time(jump) {
				return tooLong("body " + b.Name)
			}
			w.device.add(&now, jump)
			w.host.add(&work, jump)
			if late := work.at - now.at; late > 0 {
				w.slack -= late * units.Time(jump)
			}
			for i := range ran {
				ran[i].runs *= 1 + jump
				ran[i].wait *= units.Time(1 + jump)
			}
			it += jump
		}
		outer = min(outer, w.slack)
		moved, last = now, append(last[:0], ran...)
		if here > from { // the same nodes as in the first iteration
			for i := range ran {
				w.ran[from+i].runs += ran[i].runs
				w.ran[from+i].wait += ran[i].wait
			}
			w.ran = w.ran[:here]
		}
	}
	w.slack = outer
	return nil
}

func waited(ran []launched) bool {
	for i := range ran {
		if ran[i].wait > 0 {
			return true
		}
	}
	return false
}

func sameWaits(a, b []launched) bool {
	for i := range a {
		if a[i].wait != b[i].wait {
			return false
		}
	}
	return len(a) == len(b)
}

// once runs the nodes of a body.
func (w *launcher) once(b *Body) error {
	for i := range b.Nodes {
		n := &b.Nodes[i]
		switch {
		case n.Body != nil && n.Body.ahead && n.Body.Op < 0:
			if err := w.loop(n.Body, n.Times); err != nil {
				return err
			}
		case n.Body != nil && n.Body.ahead && n.Times > 1:
			for range n.Times {
				if err := w.kernel(n, 1); err != nil {
					return err
				}
			}
		default:
			if err := w.kernel(n, n.Times); err != nil {
				return err
			}
		}
		if max(w.device.at, w.host.at) > units.MaxTime {
			return tooLong("body " + b.Name)
		}
	}
	return nil
}

// kernel runs a step, or a body that the host launches as a whole.
func (w *launcher) kernel(n *Node, times int64) error {
	var r *Result
	var err error
	var host int64
	l := launched{op: -1, runs: 1}
	sync := n.Step != nil && n.Step.Sync || n.Body != nil && n.Body.Syncs()
	if sync {
		w.host = w.device
	}
	if n.Step != nil {
		r, err = w.f.Node(n)
		host = n.Step.Host
	} else {
		r, err = w.f.Body(n.Body, times)
		l.op = n.Body.Op
		if n.Body.ahead {
			host = n.Body.Amount(w.f.p.host)
		}
	}
	if err != nil {
		return err
	}
	v := Launch{Kernel: n.Body, HostStart: w.host.at, DeviceStart: w.device.at}
	if host > 0 {
		w.host.spend(w.f.p.Resources[w.f.p.host].Time(host), sim.Launch)
		if late := w.host.at - w.device.at; late > 0 {
			l.wait = late
			w.device = w.host
		} else {
			w.slack = min(w.slack, -late)
		}
	}
	v.HostEnd, v.Release = w.host.at, w.device.at
	w.device.add(&moment{r.Time, r.Stalls}, 1)
	if sync {
		w.host = w.device
	}
	if v.End = w.device.at; w.visit != nil && n.Body != nil {
		w.visit(&v)
	}
	w.events += r.Events
	r.Events = 0
	l.of = r
	w.ran = append(w.ran, l)
	return nil
}
