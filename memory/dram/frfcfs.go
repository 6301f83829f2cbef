package dram

import (
	"math/bits"
	"slices"
)

// bankSet is a set of banks, of which a channel has at most 128.
type bankSet [2]uint64

func (s *bankSet) put(b int)    { s[b>>6&1] |= 1 << (b & 63) }
func (s *bankSet) remove(b int) { s[b>>6&1] &^= 1 << (b & 63) }

// entry is one burst in a queue.
type entry struct {
	arrived      int64 // tick
	seq          int64
	prev, next   int32 // in the queue of its bank
	older, newer int32 // in its direction and pseudo-channel
	row, bank    int32
	write        bool
}

// none is the index of no entry.
const none = int32(-1)

// lane is what waits for one bank in one direction, oldest first.
type lane struct {
	seq        int64 // of hit
	head, tail int32
	hit        int32 // the oldest that wants the open row
}

// ages are the ends of a list of entries by age.
type ages struct{ oldest, newest int32 }

// channelModel is a controller with the DRAM behind it.
type channelModel interface {
	// room reports whether a burst of a direction can be taken.
	room(write bool) bool
	// add takes a burst at a tick. All that starts before it has been done.
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
	ages      [2][]ages  // by direction and pseudo-channel
	hits      [2]bankSet // banks with a request for the open row
	cold      [2]bankSet // banks whose oldest request wants another row, or finds none open
	waiting   [2]int
	limit     [2]int
	high, low int // marks of the write queue
	writing   bool
	active    []int32 // entry by bank whose row was opened for it, or none
	activeSet bankSet
	actives   int

	now         int64 // of the last step
	freeColumn  int64 // when the bus of column commands is free, or the only command bus
	freeRow     int64
	seq         int64
	separate    bool // there are two command buses
	busBits     int  // of the number of a bank below its pseudo-channel
	refresh     string
	nextRefresh int64
	nextBank    int
	due         []due
	halfActs    int   // ACTs whose second half is to come
	halfDue     int64 // when it must
	clockOn     int64 // the data clock runs until then
	cached      bool
	choice      choice
	recorded    bool // departures are kept
}

// due is a refresh to do: of a domain or a bank, from a tick on.
type due struct {
	of int
	at int64
}

// choice is a command that was picked.
type choice struct {
	t    int64
	bank int
	what int8
}

const (
	doNothing int8 = iota
	doActive       // the column command that a row was opened for
	doColumn       // another column command
	doActivate
	doPrecharge
	doCloseAll
	doRefresh
	doHalf    // the second half of an ACT
	doRequest // a refresh falls due
)

func newFRFCFS(d *device, refresh string, reads, writes int, recorded bool) *frfcfs {
	c := &frfcfs{device: d, limit: [2]int{reads, writes}, refresh: refresh, recorded: recorded, separate: d.s.RowBus,
		busBits: bits.Len(uint(len(d.banks)/d.s.PseudoChannels)) - 1}
	c.high, c.low = writes*4/5, (writes+4)/5
	n := len(c.banks)
	c.entries = make([]entry, reads+writes+n)
	for i := len(c.entries) - 1; i >= 0; i-- {
		c.free = append(c.free, int32(i))
	}
	for dir := range c.ages {
		c.ages[dir] = slices.Repeat([]ages{{none, none}}, d.s.PseudoChannels)
	}
	c.active = make([]int32, n)
	for dir := range c.lanes {
		c.lanes[dir] = make([]lane, n)
		for i := range c.lanes[dir] {
			c.lanes[dir][i] = lane{head: none, tail: none, hit: none}
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
		return writing
	}
	return reading
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
	age := &c.ages[dir][bank>>c.busBits]
	c.entries[e] = entry{t, c.seq, l.tail, none, age.newest, none, row, int32(bank), write}
	if age.newest == none {
		age.oldest = e
	} else {
		c.entries[age.newest].newer = e
	}
	age.newest = e
	if l.tail == none {
		l.head = e
	} else {
		c.entries[l.tail].next = e
	}
	l.tail = e
	c.waiting[dir]++
	if l.hit == none && c.banks[bank].row == row {
		l.hit, l.seq = e, c.seq
		c.hits[dir].put(bank)
		c.cached = false
	}
	if l.head == e && l.hit != e && c.active[bank] == none {
		c.cold[dir].put(bank)
		c.cached = false
	}
	c.seq++
	// The new burst may start a tick later, and so may all others: what could start before has started.
	c.freeColumn = max(c.freeColumn, t+1)
	if write || c.waiting[dir] == 1 {
		c.cached = false // the direction may change
	}
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
	age := &c.ages[dir][bank>>c.busBits]
	if x.older == none {
		age.oldest = x.newer
	} else {
		c.entries[x.older].newer = x.newer
	}
	if x.newer == none {
		age.newest = x.older
	} else {
		c.entries[x.newer].older = x.older
	}
	c.waiting[dir]--
}

// look finds the oldest request of a lane, from an entry on, for the open row of its bank, and sorts the bank in.
func (c *frfcfs) look(dir, bank int, e int32) {
	l, row := &c.lanes[dir][bank], c.banks[bank].row
	if row < 0 {
		e = none
	}
	for e != none && c.entries[e].row != row {
		e = c.entries[e].next
	}
	if l.hit = e; e == none {
		c.hits[dir].remove(bank)
	} else {
		l.seq = c.entries[e].seq
		c.hits[dir].put(bank)
	}
	if l.head == e || c.active[bank] != none {
		c.cold[dir].remove(bank)
	} else {
		c.cold[dir].put(bank)
	}
}

// relook does so for both directions.
func (c *frfcfs) relook(bank int) {
	c.look(reading, bank, c.lanes[reading][bank].head)
	c.look(writing, bank, c.lanes[writing][bank].head)
}

// mode is the direction that is served.
func (c *frfcfs) mode() int {
	if !c.writing {
		c.writing = c.waiting[writing] > c.high || c.waiting[reading] == 0
	} else if c.waiting[reading] > 0 && c.waiting[writing] < c.low {
		c.writing = false
	}
	return index(c.writing)
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
	for i := range c.parts() {
		c.due = append(c.due, due{i, c.nextRefresh})
	}
	c.nextRefresh += c.refi
}

// pick returns what comes next: of the commands that may start first, one whose row was opened for it, then one towards a refresh,
// then the oldest.
func (c *frfcfs) pick() choice {
	c.freeColumn = max(c.freeColumn, c.now)
	best, seq := c.pickColumn()
	row, rowSeq := c.pickRow()
	if c.halfActs > 0 && (best.t > c.freeColumn || c.freeColumn >= c.halfDue) {
		best = choice{t: c.freeColumn, what: doHalf}
	} else if row.t < best.t || !c.separate && row.t == best.t && best.what != doActive && rowSeq < seq {
		best = row
	}
	if best.t >= c.nextRefresh {
		return choice{t: c.nextRefresh, what: doRequest}
	}
	return best
}

// peeks is how many of the oldest are looked at before all banks are.
const peeks = 6

// peek looks for the next column command among the oldest entries of a direction: in a stream one of them may start as soon as a
// data bus is free, and nothing comes before it unless it starts by tick before. It returns none if it has to be searched for.
func (c *frfcfs) peek(dir int, free, before int64) (found int32, at int64) {
	n := c.s.Ranks
	first := int64(never)
	for i := range c.ranks {
		first = min(first, c.ranks[i].column[dir])
	}
	if first = c.aligned(max(first, free)); first >= before {
		return none, 0
	}
	found = none
	for bus := range c.ages[dir] {
		idle := false
		for _, r := range c.ranks[bus*n : (bus+1)*n] {
			idle = idle || r.column[dir] <= first
		}
		if !idle {
			continue
		}
		e := c.ages[dir][bus].oldest
		if e == none {
			continue
		}
		for range peeks {
			x := &c.entries[e]
			if b := int(x.bank); c.lanes[dir][b].hit == e && c.readyColumn(b, dir) <= first {
				if found == none || x.seq < c.entries[found].seq {
					found = e
				}
				break
			}
			if e = x.newer; e == none {
				break
			}
		}
		if found == none {
			return none, 0 // one further back may be older than those of the next bus
		}
	}
	return found, first
}

func (c *frfcfs) pickColumn() (choice, int64) {
	free := c.aligned(c.freeColumn)
	t, seq, bank, what := int64(never), int64(never), 0, doNothing
	if c.actives > 0 {
		for w, set := range c.activeSet {
			for ; set != 0; set &= set - 1 {
				b := w<<6 + bits.TrailingZeros64(set)
				e := &c.entries[c.active[b]]
				if at := c.aligned(max(c.readyColumn(b, index(e.write)), free)); at < t || at == t && e.seq < seq {
					t, seq, bank, what = at, e.seq, b, doActive
				}
			}
		}
	}
	if len(c.due) > 0 {
		return choice{t, bank, what}, seq
	}
	dir := c.mode()
	lanes := c.lanes[dir]
	if e, at := c.peek(dir, free, t); e != none {
		return choice{at, int(c.entries[e].bank), doColumn}, c.entries[e].seq
	}
	for w, set := range c.hits[dir] {
		for ; set != 0; set &= set - 1 {
			b := w<<6 + bits.TrailingZeros64(set)
			at := c.aligned(max(c.readyColumn(b, dir), free))
			if at < t || at == t && what != doActive && lanes[b].seq < seq {
				t, seq, bank, what = at, lanes[b].seq, b, doColumn
			}
		}
	}
	return choice{t, bank, what}, seq
}

func (c *frfcfs) pickRow() (choice, int64) {
	free := c.freeColumn
	if c.separate {
		free = max(c.freeRow, c.now)
	}
	best, seq := choice{t: never}, int64(never)
	if len(c.due) > 0 {
		return c.maintenance(free), -1
	}
	dir := index(c.writing)
	for w, set := range c.cold[dir] {
		for ; set != 0; set &= set - 1 {
			b := w<<6 + bits.TrailingZeros64(set)
			e := &c.entries[c.lanes[dir][b].head]
			at, what := max(free, e.arrived+1), doPrecharge
			if c.banks[b].row >= 0 {
				at = max(at, c.readyPre(b))
			} else if c.halfActs > 0 {
				continue
			} else {
				at, what = c.aligned(max(at, c.readyAct(b))), doActivate
			}
			if at < best.t || at == best.t && e.seq < seq {
				best, seq = choice{at, b, what}, e.seq
			}
		}
	}
	return best, seq
}

// maintenance returns the next command towards the refresh that is due first.
func (c *frfcfs) maintenance(free int64) choice {
	first, last := c.refreshed(c.due[0].of)
	open, pre, act := false, c.due[0].at+1, c.due[0].at+1
	for b := first; b < last; b++ {
		if c.active[b] != none {
			return choice{t: never} // its request comes first
		}
		if c.banks[b].row >= 0 {
			open = true
		}
		pre, act = max(pre, c.banks[b].pre), max(act, c.banks[b].act)
	}
	if open {
		return choice{t: max(pre, c.domains[c.banks[first].domain].pre, free), what: doCloseAll}
	}
	return choice{t: c.aligned(max(act, free)), what: doRefresh}
}

// refreshed is the range of banks of a refresh.
func (c *frfcfs) refreshed(i int) (first, last int) {
	if c.refresh == PerBank {
		return i, i + 1
	}
	n := len(c.banks) / c.parts()
	return i * n, (i + 1) * n
}

func (c *frfcfs) advance(t int64) {
	for {
		if !c.cached {
			c.choice, c.cached = c.pick(), true
		}
		if c.choice.t > t {
			return
		}
		c.step()
	}
}

func (c *frfcfs) step() int64 {
	if !c.cached {
		c.choice = c.pick()
	}
	n := c.choice
	if n.t >= never {
		c.cached = true
		return never
	}
	c.cached, c.now = false, n.t
	t, b := n.t, n.bank
	row := &c.freeColumn
	if c.separate {
		row = &c.freeRow
	}
	switch n.what {
	case doActive:
		e := c.active[b]
		c.active[b] = none
		c.activeSet.remove(b)
		c.actives--
		c.serve(b, e, t)
		c.relook(b)
	case doColumn:
		dir := index(c.writing)
		e := c.lanes[dir][b].hit
		c.take(dir, b, e)
		c.look(dir, b, c.entries[e].next)
		c.serve(b, e, t)
	case doActivate:
		dir := index(c.writing)
		e := c.lanes[dir][b].head
		c.activate(b, c.entries[e].row, t)
		c.take(dir, b, e)
		c.active[b] = e
		c.activeSet.put(b)
		c.actives++
		c.relook(b)
		*row = t + c.busAct
		if c.split > 0 {
			c.halfActs, c.halfDue = 1, t+c.split
		}
	case doPrecharge:
		c.precharge(b, t)
		c.relook(b)
		*row = t + c.busPre
	case doCloseAll:
		first, last := c.refreshed(c.due[0].of)
		for i := first; i < last; i++ {
			if c.banks[i].row >= 0 {
				c.precharge(i, t)
				c.relook(i)
			}
		}
		*row = t + c.busPre
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
		*row = t + c.busPre
	case doHalf:
		c.halfActs--
		c.freeColumn = t + 1
	case doRequest:
		c.requestRefresh()
	}
	return n.t
}

// serve moves the data of a burst, with a command that may start at t.
func (c *frfcfs) serve(bank int, e int32, t int64) {
	x := &c.entries[e]
	dir := index(x.write)
	if c.s.Sync {
		if t >= c.clockOn {
			t++ // the data clock is started first
		}
		lead := int64(c.s.CL)
		if x.write {
			lead = int64(c.s.CWL)
		}
		c.clockOn = max(c.clockOn, t+lead+c.syncHold)
	}
	c.column(bank, dir, t)
	c.freeColumn = t + c.busColumn
	c.free = append(c.free, e)
	if x.write {
		c.out.last = max(c.out.last, t+int64(c.s.CWL+c.s.BL)*c.align)
		return
	}
	c.out.latency += t + c.latency - x.arrived
	c.out.served++
	c.out.last = max(c.out.last, t+c.latency)
	if c.recorded {
		c.out.departed = append(c.out.departed, t+c.latency)
	}
}
