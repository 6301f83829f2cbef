package dram

import "slices"

// windows is how many windows of the queue the closed form looks at.
const windows = 64

// window is what the lines that a queue holds at a time ask of the parts of one channel, in ticks or numbers.
type window struct {
	bursts  []int64   // by data bus
	groups  []int64   // ticks between its bursts by bank group
	acts    []int64   // by activation domain
	rows    [][]int32 // that each bank is asked for
	columns []int64   // bursts by bank
	dirty   []int     // banks with rows
}

// ClosedForm bounds a request from above: the lines that the queues hold at a time keep the slowest of data bus, bank group,
// activation window, command bus and bank busy; changes of direction and refresh are taken off. The work it takes does not
// depend on the number of requests. The error is *Invalid.
func ClosedForm(q *Request) (*Result, error) {
	if e := q.Check(); e != nil {
		return nil, e
	}
	s := q.standard()
	d := newDevice(s)
	m := NewMap(q.Mapping, s, q.Channels)
	p := newPattern(q, m)
	bursts := Line / s.BurstBytes
	reads, batch := int64(readQueue), int64(writeQueue*3/5)
	if s.RowBus {
		reads = readQueueRowBus
	}
	if q.Controller == BankQueues {
		reads, batch = 64, 32
	}
	views := make([]window, q.Channels)
	open := make([][]int32, q.Channels)
	for i := range views {
		views[i] = window{bursts: make([]int64, s.PseudoChannels), groups: make([]int64, len(d.groups)), acts: make([]int64, len(d.domains)), rows: make([][]int32, len(d.banks)), columns: make([]int64, len(d.banks))}
		open[i] = slices.Repeat([]int32{-1}, len(d.banks))
	}
	var busy, lines, acts, writes int64
	each := reads / bursts * int64(q.Channels)
	for range windows {
		for range each {
			line, write := p.next()
			to, b, row := m.locate(line)
			w := &views[to]
			w.bursts[int(d.banks[b].bus)/s.Ranks] += bursts
			between := d.readL
			if write {
				between, writes = d.writeL, writes+1
			}
			w.groups[d.banks[b].groupAt] += bursts * between
			w.columns[b] += bursts
			if len(w.rows[b]) == 0 {
				w.dirty = append(w.dirty, b)
			}
			if !slices.Contains(w.rows[b], row) {
				w.rows[b] = append(w.rows[b], row)
			}
		}
		lines += each
		var longest int64
		for i := range views {
			t, n := views[i].close(d, open[i])
			longest, acts = max(longest, t), acts+n
		}
		busy += longest
		if lines >= q.Requests {
			break
		}
	}
	// A batch of writes is followed and preceded by a change of direction.
	if writes > 0 && writes < lines {
		busy += writes * bursts * (d.turnW - d.readS + d.turnRL - d.writeS) / (batch * int64(q.Channels))
	}
	tick := float64(d.tick) * 1e-15
	peak := s.Peak() * float64(q.Channels)
	most := float64(lines*Line) / (float64(busy) * tick) * q.available(d) / peak
	miss := float64(acts) / float64(lines*bursts)
	idle := float64(d.latency+1) + float64(miss*float64(d.actRead+d.preAct))
	idle *= tick
	res := &Result{Fraction: min(most, 1)}
	if q.Outstanding > 0 {
		res.Latency = idle / q.available(d) // a refresh holds up who is under way
		if most := float64(int64(q.Outstanding)*s.BurstBytes) / res.Latency / peak; most < res.Fraction {
			res.Fraction = most
		} else {
			res.Latency *= most / res.Fraction
		}
	} else {
		res.Latency = float64(reads*s.BurstBytes*int64(q.Channels))/(most*peak) + float64(float64(d.latency)*tick)
	}
	if q.Load > 0 && q.Load < res.Fraction {
		// A run waits for those that came before it, as in a queue with one server.
		rho := q.Load / res.Fraction
		run := float64(s.BurstBytes*int64(q.Channels)) / (most * peak) / max(miss, 1/float64(reads))
		res.Fraction, res.Latency = q.Load, min(res.Latency, idle+run*rho/(2*(1-rho)))
	}
	if q.ReadFraction == 0 {
		res.Latency = 0
	}
	res.Bandwidth = res.Fraction * peak
	res.Seconds = float64(q.Requests*Line) / res.Bandwidth
	share := float64(q.Requests) / float64(lines)
	res.Commands = Commands{Activates: int64(float64(acts) * share), Writes: int64(float64(writes*bursts) * share)}
	res.Commands.Reads = q.Requests*bursts - res.Commands.Writes
	return res, nil
}

// available is the share of time that refresh leaves.
func (q *Request) available(d *device) float64 {
	switch q.Refresh {
	case AllBank:
		parts := int64(1)
		if d.s.RowBus {
			parts = int64(d.s.PseudoChannels) // closed one after another
		}
		return 1 - float64(d.rfc+parts*d.preAct)/float64(d.refi)
	case PerBank:
		// Nothing else is started while a bank is closed for its refresh.
		parts := int64(1)
		if d.s.RefreshTogether {
			parts = int64(d.s.PseudoChannels)
		}
		return 1 - float64(parts*d.preAct)/float64(d.refiBank)
	}
	return 1
}

// close returns how long the window keeps the channel busy and how many rows are opened for it, and empties it. What is asked of
// parts of a kind counts as spread evenly over those that are asked at all: a controller evens them out from window to window.
func (w *window) close(d *device, open []int32) (busy, opened int64) {
	var visits, asked int64 // ticks of all banks that open a row, and how many they are
	for _, b := range w.dirty {
		rows := w.rows[b]
		n := int64(len(rows))
		if slices.Contains(rows, open[b]) {
			n--
		}
		open[b] = rows[len(rows)-1]
		w.acts[d.banks[b].domain] += n
		opened += n
		if n > 0 {
			asked++
			visits += n * max(d.actAct, d.actRead+w.columns[b]/int64(len(rows))*d.readL+d.readPre+d.preAct)
		}
		w.rows[b], w.columns[b] = rows[:0], 0
	}
	w.dirty = w.dirty[:0]
	all, buses := spread(w.bursts)
	apart, groups := spread(w.groups)
	_, domains := spread(w.acts)
	if all == 0 {
		return 0, 0
	}
	busy = max(all*d.readS/buses, apart/groups)
	if opened > 0 {
		busy = max(busy, visits/asked, opened*max(d.actS, d.faw/4)/domains)
	}
	rowBus := opened * (d.busAct + d.busPre)
	if d.align == 2 {
		rowBus = opened * (d.busAct + 1) // ACT starts at whole clocks, PRE fits before the next one
	}
	if d.split > 0 {
		rowBus += opened // its second half
	}
	if !d.s.RowBus {
		rowBus += all * d.busColumn
	}
	return max(busy, rowBus, all*d.busColumn), opened
}

// spread returns the sum and how many are not 0, and empties the list.
func spread(list []int64) (sum, some int64) {
	for i, n := range list {
		if n > 0 {
			sum, some = sum+n, some+1
		}
		list[i] = 0
	}
	return sum, some
}
