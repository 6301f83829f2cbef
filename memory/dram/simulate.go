package dram

import "context"

// Result is what came of a request.
type Result struct {
	Fraction  float64 // of the peak
	Bandwidth float64 // bytes per second
	Latency   float64 // of reads, from the queue to the end of the data, on average, in seconds; 0 if none was read
	Seconds   float64
	Commands  Commands
	Energy    *Energy // nil if the currents of the standard are not known
}

// Commands are the commands that all channels were given.
type Commands struct{ Activates, Precharges, Reads, Writes, Refreshes, BankRefreshes int64 }

// Queues of the controller ramulator2 in bursts, as the runs that it is compared with had them.
const (
	readQueue       = 64
	readQueueRowBus = 128
	writeQueue      = 64
)

// backlog is how many lines a source that asks for less than the peak holds back when the queues are full, until it falls behind.
const backlog = 64

// newChannel returns the controller of one channel of the request, with its DRAM.
func (q *Request) newChannel(s *Standard, d *device) channelModel {
	if q.Controller == BankQueues {
		return newBankQueues(d, q.Refresh, q.Outstanding > 0)
	}
	reads := readQueue
	if s.RowBus {
		reads = readQueueRowBus
	}
	return newFRFCFS(d, q.Refresh, reads, writeQueue, q.Outstanding > 0)
}

// Simulate plays a request command by command. The error is *Invalid or that of the context.
func Simulate(ctx context.Context, q *Request) (*Result, error) {
	if e := q.Check(); e != nil {
		return nil, e
	}
	s := q.standard()
	m := NewMap(q.Mapping, s, q.Channels)
	r := &rig{q: q, channels: make([]channelModel, q.Channels), devices: make([]*device, q.Channels), returned: make([]int, q.Channels)}
	for i := range r.channels {
		r.devices[i] = newDevice(s)
		r.channels[i] = q.newChannel(s, r.devices[i])
	}
	tick := float64(r.devices[0].tick) * 1e-15
	peak := s.Peak() * float64(q.Channels)
	bursts := int(Line / s.BurstBytes)
	every, late := 0.0, 0.0 // ticks between accesses that are asked for, and by how many the source is behind
	if q.Load > 0 {
		every = Line / (peak * q.Load) / tick
	}
	p := newPattern(q, m)
	steady := steadiness{r: r}
	for i := int64(0); i < q.Requests; i++ {
		i += steady.skip(i)
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, write := p.next()
		if q.Load > 0 {
			due := float64(float64(i)*every) + late
			r.now = max(r.now, int64(due))
			if behind := float64(r.now) - due - float64(backlog*every); behind > 0 {
				late += behind
			}
		}
		to, at, row := m.locate(line)
		for range bursts {
			r.send(to, at, row, write)
		}
	}
	return r.finish(s, tick, peak, &steady), nil
}

// rig is a source in front of channels, which it feeds in order: an access that finds its queue full holds up all that follow.
type rig struct {
	q        *Request
	channels []channelModel
	devices  []*device
	now      int64 // tick
	flying   []int // channels of the bursts under way, oldest first, if their number is limited
	returned []int // bursts by channel that have come back
}

func (r *rig) send(to, bank int, row int32, write bool) {
	c := r.channels[to]
	c.advance(r.now)
	for !c.room(write) {
		r.now = max(r.now, c.step())
	}
	if most := r.q.Outstanding; most > 0 && !write {
		for len(r.flying) >= most {
			k := r.flying[0]
			for len(r.channels[k].result().departed) <= r.returned[k] {
				r.channels[k].step()
			}
			r.now = max(r.now, r.channels[k].result().departed[r.returned[k]])
			r.returned[k]++
			r.flying = r.flying[1:]
			c.advance(r.now)
		}
		r.flying = append(r.flying, to)
	}
	c.add(r.now, bank, row, write)
}

func (r *rig) finish(s *Standard, tick, peak float64, more *steadiness) *Result {
	res := &Result{}
	var last, latency, served int64
	for _, c := range r.channels {
		c.flush()
		for c.pending() > 0 {
			c.step()
		}
		o := c.result()
		last, latency, served = max(last, o.last), latency+o.latency, served+o.served
	}
	last, latency, served = last+more.skipped.tick, latency+more.skipped.latency, served+more.skipped.served
	for i, d := range r.devices {
		if i == 0 {
			d.counts.plus(&more.skipped.counts, 1)
			d.opened += more.skipped.opened
		}
		n := &res.Commands
		n.Activates += d.acts
		n.Precharges += d.pres
		n.Reads += d.reads
		n.Writes += d.writes
		n.Refreshes += d.refreshes
		n.BankRefreshes += d.bankRefreshes
		if s.Currents != nil {
			if res.Energy == nil {
				res.Energy = &Energy{}
			}
			e := s.energy(&d.counts, d.openTicks(last-more.skipped.tick), last) // what rows were open in the time skipped is in opened
			res.Energy.Activate += e.Activate
			res.Energy.Read += e.Read
			res.Energy.Write += e.Write
			res.Energy.Refresh += e.Refresh
			res.Energy.Background += e.Background
		}
	}
	res.Seconds = float64(last) * tick
	res.Bandwidth = float64(r.q.Requests*Line) / res.Seconds
	res.Fraction = res.Bandwidth / peak
	if served > 0 {
		res.Latency = float64(latency) / float64(served) * tick
	}
	return res
}

// moment is how far a rig is when a refresh falls due.
type moment struct {
	line, tick, latency, served, opened int64
	counts                              counts // of all channels
}

// steadiness finds out when a stream of consecutive lines in one direction goes on as before: what happens between refreshes,
// after the first few, is then not played again but counted as often as it comes.
type steadiness struct {
	r       *rig
	seen    int64    // how often all of the first channel was refreshed
	marks   []moment // at each of them
	skipped moment
	done    bool
}

// played is how many lines of a channel are played before any is left out.
const played = 1 << 16

// alike is by which part of them the lines of the first and the second half of what was played may differ: 0.5 %.
const alike = 200

// skip returns how many lines need not be played from line i on.
func (s *steadiness) skip(i int64) int64 {
	q := s.r.q
	if s.done {
		return 0
	}
	d := s.r.devices[0]
	all := d.refreshes/int64(d.parts()) + d.bankRefreshes/int64(len(d.banks))
	if all == s.seen {
		return 0
	}
	s.seen = all
	if q.Exact || q.Kind != Sequential || q.Load > 0 || q.Outstanding > 0 || q.ReadFraction != 0 && q.ReadFraction != 1 {
		s.done = true
		return 0
	}
	s.marks = append(s.marks, s.r.moment(i))
	n := len(s.marks)
	if n < 5 || i < played*int64(q.Channels) {
		return 0
	}
	first := 1 + n%2 // an even number of spans
	from, middle, to := &s.marks[first], &s.marks[(first+n-1)/2], &s.marks[n-1]
	span := to.line - from.line
	if e := to.line - 2*middle.line + from.line; e*alike > span || -e*alike > span {
		return 0
	}
	times := (q.Requests - i - 1) / span
	if times == 0 {
		s.done = true
		return 0
	}
	s.done = true
	s.skipped = moment{times * span, times * (to.tick - from.tick), times * (to.latency - from.latency), times * (to.served - from.served), times * (to.opened - from.opened), counts{}}
	s.skipped.counts.plus(&to.counts, times)
	s.skipped.counts.plus(&from.counts, -times)
	// The queues hold a little more or less at one end than at the other; what goes in comes out.
	bursts := s.skipped.line * (Line / d.s.BurstBytes)
	if s.skipped.counts.reads = bursts; q.ReadFraction == 0 {
		s.skipped.counts.reads, s.skipped.counts.writes = 0, bursts
	}
	return s.skipped.line
}

func (r *rig) moment(line int64) moment {
	m := moment{line: line, tick: r.now}
	for i, c := range r.channels {
		o := c.result()
		m.latency, m.served = m.latency+o.latency, m.served+o.served
		m.opened += r.devices[i].openTicks(r.now)
		m.counts.plus(&r.devices[i].counts, 1)
	}
	return m
}
