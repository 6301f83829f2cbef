package parallel

import (
	"fmt"
	"slices"

	"github.com/stratasim/strata/sim/units"
)

// A snapshot is all that what follows depends on, relative to now and to the round, and what was counted up to it.
type snapshot struct {
	base  units.Time
	state []int64
	tally []int64
}

// leastRounds is the rounds of a region that are worth taking snapshots of. Estimated: fewer are played as fast.
const leastRounds = 4

// skip plays a region of the order until its state repeats, then skips rounds. The play is a function of the snapshot's state
// alone, apart from its base, so that a state seen before is followed by what followed then.
func (p *play) skip(r region) error {
	if p.Sharding.Stage == 3 { // gathers look ahead, one slot or more a block: they must not look past the region
		ahead := p.Sharding.blocks()
		for s := range p.stages {
			if p.stages[s].bare() {
				return nil
			}
		}
		r.rounds -= numPasses*ahead/r.period + 1
	}
	if r.rounds < leastRounds {
		return nil
	}
	var seen []snapshot
	known := map[uint64]int{} // hash of a state to its round
	for round := int64(0); round <= r.rounds; round++ {
		if err := p.advance(func(s int64) int64 { return min(r.from[s]+round*r.period, p.o.len(s)) }); err != nil {
			return err
		}
		snap, steady := p.snapshot(&r, round)
		if !steady {
			seen = append(seen, snapshot{})
			continue
		}
		h := snap.hash()
		if at, ok := known[h]; ok && snap.same(&seen[at]) {
			every := round - int64(at)
			if times := (r.rounds - round) / every; times > 0 {
				if shift := snap.base - seen[at].base; shift > units.MaxTime/units.Time(times) {
					return fmt.Errorf("the step takes longer than %v: %w", units.MaxTime, units.ErrTooLarge)
				}
				p.forward(&r, &seen[at], &snap, every, times)
			}
			return nil
		}
		known[h] = len(seen)
		seen = append(seen, snap)
	}
	return nil
}

// bare reports whether some chunks of a stage have nothing to gather while others do.
func (st *stage) bare() bool {
	without := 0
	for c := range st.chunks {
		if !slices.ContainsFunc(st.chunks[c].parts, func(p part) bool { return p.cost.gather.Time > 0 }) {
			without++
		}
	}
	return without > 0 && without < len(st.chunks)
}

// snapshot takes the state before a round; it is not steady if a stage has not come to the region yet.
func (p *play) snapshot(r *region, round int64) (snapshot, bool) {
	base := p.stages[0].lanes[0].now
	sn := snapshot{base: base}
	var q []int64
	put := func(t units.Time) { q = append(q, int64(t-base)) }
	for s := range p.stages {
		st := &p.stages[s]
		behind := st.next - r.from[s] - round*r.period
		if st.next < r.from[s] {
			return sn, false
		}
		first := st.first()
		q = append(q, behind, int64(len(st.flights)), int64(len(st.gathers)), st.inFlight)
		put(max(st.queue, first))
		for _, f := range st.flights {
			put(f.start)
			put(f.end)
		}
		for _, t := range st.gathers {
			put(max(t, first)) // what has arrived has arrived
		}
		if len(st.gathers) > 0 {
			at := &st.ahead
			q = append(q, at.slot-st.next, at.index, int64(at.chunk), at.block)
			if at.forwarded {
				q = append(q, 1)
			}
		}
		for dir := range st.in {
			in := &st.in[dir]
			q = append(q, int64(in.n))
			for i := range in.n {
				_, times := in.at(i, len(p.classes))
				for k, t := range times {
					put(max(t, st.lanes[k].now))
				}
			}
		}
		for k := range st.lanes {
			l := &st.lanes[k]
			put(l.now)
			put(max(l.hold, l.now))
			put(max(l.sent, l.now))
			q = append(q, int64(len(l.sends)))
			for _, f := range l.sends {
				put(f.start)
				put(f.end)
			}
		}
	}
	sn.state = q
	sn.tally = p.tally()
	return sn, true
}

// hash is FNV-1a over words.
func (s *snapshot) hash() uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // of FNV-1a with 64 bits
	h := uint64(offset)
	for _, v := range s.state {
		h = (h ^ uint64(v)) * prime
	}
	return h
}

func (s *snapshot) same(o *snapshot) bool {
	if len(s.state) != len(o.state) {
		return false
	}
	for i, v := range s.state {
		if v != o.state[i] {
			return false
		}
	}
	return true
}

// tally lists what all lanes counted.
func (p *play) tally() []int64 {
	var q []int64
	p.tallies(func(n *int64) { q = append(q, *n) })
	return q
}

func (p *play) tallies(f func(*int64)) {
	for s := range p.stages {
		for k := range p.stages[s].lanes {
			t := &p.stages[s].lanes[k].tally
			f((*int64)(&t.bubble))
			for i := range t.exposed {
				f((*int64)(&t.exposed[i]))
			}
			for _, c := range t.slots {
				for i := range c {
					f(&c[i])
				}
			}
		}
	}
}

// forward skips times·every rounds that go as those from one snapshot to the other.
func (p *play) forward(r *region, from, to *snapshot, every, times int64) {
	n := times * every
	shift := (to.base - from.base) * units.Time(times)
	i := 0
	p.tallies(func(v *int64) {
		*v += (to.tally[i] - from.tally[i]) * times
		i++
	})
	batches := int32(n * r.shift)
	for s := range p.stages {
		st := &p.stages[s]
		st.next += n * r.period
		st.queue += shift
		for i := range st.flights {
			st.flights[i].start += shift
			st.flights[i].end += shift
		}
		for i := range st.gathers {
			st.gathers[i] += shift
		}
		st.ahead.slot += n * r.period
		for dir := range st.in {
			in := &st.in[dir]
			for i := range in.n {
				sl, times := in.at(i, len(p.classes))
				sl.Microbatch += batches
				for k := range times {
					times[k] += shift
				}
			}
		}
		for k := range st.lanes {
			l := &st.lanes[k]
			l.now += shift
			l.hold += shift
			l.sent += shift
			for i := range l.sends {
				l.sends[i].start += shift
				l.sends[i].end += shift
			}
		}
	}
}
