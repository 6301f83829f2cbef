package dram

import "math/bits"

// entry is one burst in a queue.
type entry struct {
	arrived    int64 // tick
	seq        int64
	prev, next int32 // in the queue of its bank
	row        int32
	write      bool
}

// none is the index of no entry.
const none = int32(-1)

// lane is what waits for one bank in one direction, oldest first.
type lane struct{ head, tail, hit int32 } // hit: the oldest that wants the open row

// channelModel is a controller with the DRAM behind it.
type channelModel interface {
	// room reports whether a burst of a direction can be taken.
	room(write bool) bool
	// add takes a burst at a tick.
	add(t int64, bank int, row int32, write bool)
	// advance does all that starts at tick t or before.
	advance(t int64)
	// step does what comes next and returns its tick, never if nothing is left to do.
	step() int64
	// flush says that nothing more will come.
	flush()
	// pending is the number of bursts that wait.
	pending() int
	// result returns what happened so far.
	result() *outcome
}

// outcome is what a channel did.
type outcome struct {
	last     int64   // end of the last burst
	latency  int64   // of all reads together, from arrival to the end of the data
	served   int64   // reads
	departed []int64 // ends of reads, if they are kept
}

// frfcfs is the controller ramulator2: one queue for reads and one for writes; of what may start, requests whose row was opened
// for them come first, then the oldest. A row is not closed while an older request wants it. Writes are held back until
// their queue is fuller than the high mark or there is no read, then drained to the low mark.
type frfcfs struct {
	*device
	out       outcome
	entries   []entry
	free      []int32
	lanes     [2][]lane
	busy      [2][2]uint64 // banks with something in a lane
	waiting   [2]int
	limit     [2]int
	high, low int // marks of the write queue
	writing   bool
	active    []int32 // entry by bank whose row was opened for it, or none
	activeSet [2]uint64
	actives   int

	now               int64 // of the last step
	busColumn, busRow int64 // when each command bus is free; one bus: busRow is not used
	seq               int64

	refresh     string
	nextRefresh int64
	nextBank    int
	due         []due

	halfActs int   // ACTs whose second half is to come
	halfDue  int64 // when it must
	clockOn  int64 // the data clock runs until then

	cached   bool
	choice   choice
	recorded bool // departures are kept
}

// due is a refresh to do: of a domain or a bank, from a tick on.
type due struct {
	of int
	at int64
}

// choice is a command that was picked.
type choice struct {
	t     int64
	class int8 // 0: row was opened for it; 1: refresh; 2: others
	what  int8
	bank  int
	seq   int64
	entry int32
}

const (
	doNothing int8 = iota
	doColumn
	doActivate
	doPrecharge
	doCloseAll
	doRefresh
	doHalf
	doRequest // a refresh falls due
)

func newFRFCFS(d *device, refresh string, reads, writes int, recorded bool) *frfcfs {
	c := &frfcfs{device: d, limit: [2]int{reads, writes}, refresh: refresh, recorded: recorded}
	c.high, c.low = writes*4/5, (writes+4)/5
	n := len(c.banks)
	c.entries = make([]entry, reads+writes+n)
	for i := len(c.entries) - 1; i >= 0; i-- {
		c.free = append(c.free, int32(i))
	}
	c.active = make([]int32, n)
	for dir := range c.lanes {
		c.lanes[dir] = make([]lane, n)
		for i := range c.lanes[dir] {
			c.lanes[dir][i] = lane{none, none, none}
		}
	}
	for i := range c.active {
		c.active[i] = none
	}
	c.nextRefresh = never
	switch refresh {
	case AllBank:
		c.nextRefresh = c.refi
	case PerBank:
		c.nextRefresh = c.refiBank
	}
	return c
}

func index(write bool) int {
	if write {
		return 1
	}
	return 0
}

func (c *frfcfs) room(write bool) bool { d := index(write); return c.waiting[d] < c.limit[d] }

func (c *frfcfs) flush() {}

func (c *frfcfs) pending() int { return c.waiting[0] + c.waiting[1] + c.actives }

func (c *frfcfs) result() *outcome { return &c.out }

func (c *frfcfs) add(t int64, bank int, row int32, write bool) {
	dir := index(write)
	e := c.free[len(c.free)-1]
	c.free = c.free[:len(c.free)-1]
	l := &c.lanes[dir][bank]
	c.entries[e] = entry{arrived: t, seq: c.seq, prev: l.tail, next: none, row: row, write: write}
	c.seq++
	if l.tail == none {
		l.head = e
		c.busy[dir][bank>>6] |= 1 << (bank & 63)
	} else {
		c.entries[l.tail].next = e
	}
	l.tail = e
	if l.hit == none && c.banks[bank].row == row {
		l.hit = e
	}
	c.waiting[dir]++
	c.cached = false
}

// take removes an entry from its lane.
func (c *frfcfs) take(dir, bank int, e int32) {
	l, x := &c.lanes[dir][bank], &c.entries[e]
	if x.prev == none {
		l.head = x.next
	} else {
		c.entries[x.prev].next = x.next
	}
	if x.next == none {
		l.tail = x.prev
	} else {
		c.entries[x.next].prev = x.prev
	}
	if l.head == none {
		c.busy[dir][bank>>6] &^= 1 << (bank & 63)
	}
	if l.hit == e {
		l.hit = c.find(x.next, c.banks[bank].row)
	}
	c.waiting[dir]--
}

// find returns the first entry from e on that wants a row.
func (c *frfcfs) find(e, row int32) int32 {
	for e != none && c.entries[e].row != row {
		e = c.entries[e].next
	}
	return e
}

func (c *frfcfs) mode() int {
	if !c.writing {
		c.writing = c.waiting[1] > c.high || c.waiting[0] == 0
	} else if c.waiting[0] > 0 && c.waiting[1] < c.low {
		c.writing = false
	}
	return index(c.writing)
}

// better reports whether a command comes before another.
func better(t int64, class int8, seq int64, than *choice) bool {
	if t != than.t {
		return t < than.t
	}
	if class != than.class {
		return class < than.class
	}
	return seq < than.seq
}

// pick returns what comes next.
func (c *frfcfs) pick() choice {
	best := c.scan()
	if best.t >= c.nextRefresh {
		return choice{t: c.nextRefresh, what: doRequest}
	}
	return best
}

func (c *frfcfs) requestRefresh() {
	if c.refresh == PerBank {
		n := len(c.banks)
		if c.s.RefreshTogether {
			n /= c.s.PseudoChannels
		}
		for b := c.nextBank; b < len(c.banks); b += n {
			c.due = append(c.due, due{b, c.nextRefresh})
		}
		c.nextBank = (c.nextBank + 1) % n
		c.nextRefresh += c.refiBank
		return
	}
	for i := range c.refreshDomains() {
		c.due = append(c.due, due{i, c.nextRefresh})
	}
	c.nextRefresh += c.refi
}

// refreshDomains is the number of parts that are refreshed at a time: ranks, or pseudo-channels with all their stack IDs.
func (c *frfcfs) refreshDomains() int {
	if c.s.ActsAcrossRanks {
		return c.s.PseudoChannels
	}
	return len(c.ranks)
}

func (c *frfcfs) scan() choice {
	column := choice{t: never}
	c.busColumn, c.busRow = max(c.busColumn, c.now), max(c.busRow, c.now)
	rowBus := &c.busColumn
	rowChoice := &column
	var separate choice
	if c.s.RowBus {
		separate.t = never
		rowBus, rowChoice = &c.busRow, &separate
	}
	// Requests whose row was opened for them.
	for w, set := range c.activeSet {
		for ; set != 0; set &= set - 1 {
			b := w<<6 + bits.TrailingZeros64(set)
			e := &c.entries[c.active[b]]
			if t := c.aligned(max(c.readyColumn(b, e.write), c.busColumn)); better(t, 0, e.seq, &column) {
				column = choice{t, 0, doColumn, b, e.seq, c.active[b]}
			}
		}
	}
	if len(c.due) > 0 {
		if m := c.maintenance(*rowBus); m.what != doNothing && better(m.t, m.class, m.seq, rowChoice) {
			*rowChoice = m
		}
	} else {
		dir := c.mode()
		write := dir == 1
		for w, set := range c.busy[dir] {
			for ; set != 0; set &= set - 1 {
				b := w<<6 + bits.TrailingZeros64(set)
				l := &c.lanes[dir][b]
				if l.hit != none {
					e := &c.entries[l.hit]
					if t := c.aligned(max(c.readyColumn(b, write), c.busColumn, e.arrived+1)); better(t, 2, e.seq, &column) {
						column = choice{t, 2, doColumn, b, e.seq, l.hit}
					}
				}
				if l.hit == l.head || c.active[b] != none {
					continue
				}
				e := &c.entries[l.head]
				if c.banks[b].row >= 0 {
					if t := max(c.readyPre(b), *rowBus, e.arrived+1); better(t, 2, e.seq, rowChoice) {
						*rowChoice = choice{t, 2, doPrecharge, b, e.seq, l.head}
					}
				} else if c.halfActs == 0 {
					if t := c.aligned(max(c.readyAct(b), *rowBus, e.arrived+1)); better(t, 2, e.seq, rowChoice) {
						*rowChoice = choice{t, 2, doActivate, b, e.seq, l.head}
					}
				}
			}
		}
	}
	if c.halfActs > 0 && (column.t > c.busColumn || c.busColumn >= c.halfDue) {
		return choice{t: c.busColumn, what: doHalf}
	}
	if c.s.RowBus && separate.t < column.t {
		return separate
	}
	return column
}

// maintenance returns the next command towards the refresh that is due first.
func (c *frfcfs) maintenance(bus int64) choice {
	first, last := c.refreshed(c.due[0].of)
	open, pre, act := false, c.due[0].at+1, c.due[0].at+1
	for b := first; b < last; b++ {
		if c.active[b] != none {
			return choice{} // its request comes first
		}
		if c.banks[b].row >= 0 {
			open = true
		}
		pre, act = max(pre, c.banks[b].pre), max(act, c.banks[b].act)
	}
	if open {
		return choice{t: max(pre, c.domains[c.banks[first].domain].pre, bus), class: 1, what: doCloseAll}
	}
	return choice{t: c.aligned(max(act, bus)), class: 1, what: doRefresh}
}

// refreshed is the range of banks of a refresh.
func (c *frfcfs) refreshed(i int) (first, last int) {
	if c.refresh == PerBank {
		return i, i + 1
	}
	n := len(c.banks) / c.refreshDomains()
	return i * n, (i + 1) * n
}

func (c *frfcfs) advance(t int64) {
	for c.next().t <= t {
		c.step()
	}
}

func (c *frfcfs) next() *choice {
	if !c.cached {
		c.choice, c.cached = c.pick(), true
	}
	return &c.choice
}

func (c *frfcfs) step() int64 {
	n := *c.next()
	if n.t >= never {
		return never
	}
	c.cached, c.now = false, n.t
	t, b := n.t, n.bank
	rowBus := &c.busColumn
	if c.s.RowBus {
		rowBus = &c.busRow
	}
	switch n.what {
	case doRequest:
		c.requestRefresh()
	case doHalf:
		c.halfActs--
		c.busColumn = t + 1
	case doColumn:
		if c.s.Sync {
			if t >= c.clockOn {
				t++ // the data clock is started first
			}
			lead := int64(c.s.CL)
			if c.entries[n.entry].write {
				lead = int64(c.s.CWL)
			}
			c.clockOn = max(c.clockOn, t+lead+c.syncHold)
		}
		c.serve(n, t)
		c.busColumn = t + c.device.busColumn
	case doActivate:
		e := &c.entries[n.entry]
		dir := index(e.write)
		c.activate(b, e.row, t)
		c.take(dir, b, n.entry)
		c.active[b] = n.entry
		c.activeSet[b>>6] |= 1 << (b & 63)
		c.actives++
		for d := range c.lanes {
			c.lanes[d][b].hit = c.find(c.lanes[d][b].head, e.row)
		}
		*rowBus = t + c.busAct
		if c.split > 0 {
			c.halfActs, c.halfDue = 1, t+c.split
		}
	case doPrecharge:
		c.precharge(b, t)
		c.lanes[0][b].hit, c.lanes[1][b].hit = none, none
		*rowBus = t + c.busPre
	case doCloseAll:
		first, last := c.refreshed(c.due[0].of)
		for i := first; i < last; i++ {
			if c.banks[i].row >= 0 {
				c.precharge(i, t)
				c.lanes[0][i].hit, c.lanes[1][i].hit = none, none
			}
		}
		*rowBus = t + c.busPre
	case doRefresh:
		first, last := c.refreshed(c.due[0].of)
		if c.refresh == PerBank {
			c.bankRefreshes++
			c.banks[first].act = t + c.rfcBank
			m := &c.domains[c.banks[first].domain]
			m.act = max(m.act, t+c.rrefd)
		} else {
			c.refreshes++
			for i := first; i < last; i++ {
				c.banks[i].act = t + c.rfc
			}
		}
		c.due = c.due[1:]
		*rowBus = t + c.busPre
	}
	return n.t
}

// serve moves the data of a burst.
func (c *frfcfs) serve(n choice, t int64) {
	e := &c.entries[n.entry]
	c.device.column(n.bank, e.write, t)
	if n.class == 0 {
		c.active[n.bank] = none
		c.activeSet[n.bank>>6] &^= 1 << (n.bank & 63)
		c.actives--
	} else {
		c.take(index(e.write), n.bank, n.entry)
	}
	c.free = append(c.free, n.entry)
	if e.write {
		c.out.last = max(c.out.last, t+int64(c.s.CWL+c.s.BL)*c.align)
		return
	}
	c.out.latency += t + c.latency - e.arrived
	c.out.served++
	c.out.last = max(c.out.last, t+c.latency)
	if c.recorded {
		c.out.departed = append(c.out.departed, t+c.latency)
	}
}
