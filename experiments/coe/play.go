package coe

import (
	"math"

	"github.com/stratasim/strata/sim/units"
)

// Shape is how long a run of an expert takes alone, by phase, and what one chip reads and writes in fast memory meanwhile.
type Shape struct {
	Prefill, Decode           units.Time
	PrefillBytes, DecodeBytes int64
}

// Way is how experts get into the fast memory of one chip.
type Way struct {
	Latency units.Time // of the first byte
	Rate    int64      // bytes per second
	Fast    int64      // sustained rate of the fast memory, bytes per second
}

// Alone is the time of a copy that shares nothing.
func (w Way) Alone(bytes int64) units.Time {
	t, ok := units.MulDivCeil(bytes, int64(units.Second), w.Rate)
	if ok {
		t, ok = units.Add(t, int64(w.Latency))
	}
	if !ok || t > int64(units.MaxTime) {
		return units.MaxTime + 1
	}
	return units.Time(t)
}

// Times are what Play needs to know of the machine: the time of the router for so many requests, the shape of an expert of a
// kind with so many requests, and its bytes on one chip.
type Times struct {
	Router func(requests int64) units.Time
	Shape  func(kind int, requests int64) Shape
	Bytes  func(kind int) int64
	Way    Way
	// Prefetch begins copies with the run before.
	Prefetch bool
}

// Timed is what a run came to.
type Timed struct {
	Router units.Time // of its batch, with the first run of it
	// Switch is the time between the run before (or the router) and this run in which the copy is waited for.
	Switch          units.Time
	Prefill, Decode units.Time // with what copies add to them
	// Slowed is what the copy for the next run adds; Hidden is how long the copy for this run went on beside others.
	Slowed, Hidden units.Time
}

// Total is the time from the end of the run before to that of this one.
func (t *Timed) Total() units.Time { return t.Router + t.Switch + t.Prefill + t.Decode }

// Play lays the runs out in time, one after the other.
func Play(runs []Run, t *Times) []Timed {
	all := make([]Timed, len(runs))
	var flying *copying // for the run that comes
	for i := 0; i < len(runs); i++ {
		r, out := &runs[i], &all[i]
		if i == 0 || runs[i-1].Batch != r.Batch {
			out.Router = t.Router(requestsOf(runs[i:]))
		}
		switch {
		case r.Hit:
		case flying != nil:
			out.Switch = flying.rest(t.Way.Rate)
			out.Hidden = flying.hidden
		default:
			out.Switch = t.Way.Alone(t.Bytes(r.Kind))
		}
		flying = nil
		if t.Prefetch && i+1 < len(runs) {
			if next := &runs[i+1]; next.Batch == r.Batch && !next.Hit && !next.Waits {
				flying = &copying{latency: t.Way.Latency, bytes: float64(t.Bytes(next.Kind))}
			}
		}
		s := t.Shape(r.Kind, r.Requests)
		out.Prefill = t.beside(flying, s.Prefill, s.PrefillBytes)
		out.Decode = t.beside(flying, s.Decode, s.DecodeBytes)
		out.Slowed = out.Prefill + out.Decode - s.Prefill - s.Decode
	}
	return all
}

// requestsOf counts the requests of the batch that the runs begin with.
func requestsOf(runs []Run) int64 {
	var n int64
	for i := range runs {
		if runs[i].Batch != runs[0].Batch {
			break
		}
		n += runs[i].Requests
	}
	return n
}

// copying is a copy on its way.
type copying struct {
	latency units.Time // until its first byte
	bytes   float64    // that remain
	hidden  units.Time // for which it has gone on
}

// rest is how long it still takes alone.
func (c *copying) rest(rate int64) units.Time {
	return c.latency + ceil(float64(c.bytes/float64(rate))*float64(units.Second))
}

// ceil is a time of a whole number of picoseconds, at most beyond units.MaxTime.
func ceil(ps float64) units.Time {
	if !(ps < float64(units.MaxTime)) {
		return units.MaxTime + 1
	}
	return units.Time(math.Ceil(ps))
}

// beside is the time of a phase that takes alone and moves bytes, while a copy goes on, if there is one.
func (t *Times) beside(c *copying, alone units.Time, bytes int64) units.Time {
	if alone == 0 {
		return 0
	}
	var took units.Time
	left := alone // of the phase, at its own pace
	advance := func(by units.Time) {
		took += by
		c.hidden += by
	}
	if c != nil && c.latency > 0 {
		by := min(c.latency, left)
		c.latency -= by
		left -= by
		advance(by)
	}
	if c == nil || c.bytes == 0 || left == 0 {
		return took + left
	}
	asks := float64(bytes) / float64(alone) * float64(units.Second) // bytes per second
	run, copied := share(asks, float64(t.Way.Rate), float64(t.Way.Fast))
	pace := 1.0
	if asks > 0 {
		pace = run / asks
	}
	runs := ceil(float64(left) / pace)
	copies := ceil(float64(c.bytes/copied) * float64(units.Second))
	if copies <= runs {
		advance(copies)
		c.bytes = 0
		return took + max(0, left-units.Time(math.Floor(float64(float64(copies)*pace))))
	}
	advance(runs)
	c.bytes = max(0, c.bytes-float64(float64(runs)/float64(units.Second)*copied))
	return took
}

// share divides a rate between two flows by max-min: each gets half, or what it asks for if that is less, and the other the
// rest as far as it asks for it.
func share(a, b, all float64) (ofA, ofB float64) {
	if sum := a + b; sum <= all {
		return a, b
	}
	half := all / 2
	switch {
	case a <= half:
		return a, all - a
	case b <= half:
		return all - b, b
	}
	return half, half
}
