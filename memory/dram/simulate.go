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
	for i := range q.Requests {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		line, write := p.next()
		at := m.Place(line)
		if q.Load > 0 {
			due := float64(float64(i)*every) + late
			r.now = max(r.now, int64(due))
			if behind := float64(r.now) - due - float64(backlog*every); behind > 0 {
				late += behind
			}
		}
		bank := r.devices[at.Channel].bank(at)
		for range bursts {
			r.send(at.Channel, bank, int32(at.Row), write)
		}
	}
	return r.finish(s, tick, peak), nil
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

func (r *rig) finish(s *Standard, tick, peak float64) *Result {
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
	for _, d := range r.devices {
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
			e := s.energy(&d.counts, d.openTicks(last), last)
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
