package dram

import "math/bits"

// bankQueues is the controller dramsim3: accesses wait in a queue for reads and a buffer for writes, of transactions each; one a
// clock moves on into the queue of its bank, the oldest whose bank has room. Writes move on only when their buffer is full, then
// all that are in it. The queues of the banks are looked at in turn, and the first command that may start is given. A row is
// closed if nothing older wants another of its bank and either nothing wants it any more or it has served hits accesses.
// Ranks are refreshed in turn; one that waits for its refresh takes no other command.
type bankQueues struct {
	*device
	out          outcome
	recorded     bool
	queues       [][]entry // by bank
	nonEmpty     bankSet
	hits         []int // accesses since the row of a bank was opened
	reads        []waiting
	writes       []waiting
	transactions int
	depth        int
	draining     int
	drainAt      int // writes that are drained when there is no read

	now      int64 // next tick
	wake     int64 // nothing happens before it
	turn     int
	waitRank int // rank that waits for its refresh, -1 for none
	nextRank int
	nextRef  int64
	queued   int
}

// waiting is an access whose bank has not taken it yet.
type waiting struct {
	entry
	bank int
}

// rowHits is after how many accesses of a row an older access to another row of the bank may close it.
const rowHits = 4

func newBankQueues(d *device, refresh string, recorded bool) *bankQueues {
	c := &bankQueues{device: d, recorded: recorded, transactions: 32, depth: 8, drainAt: 16, waitRank: -1, nextRef: never}
	c.queues = make([][]entry, len(c.banks))
	for i := range c.queues {
		c.queues[i] = make([]entry, 0, c.depth)
	}
	c.hits = make([]int, len(c.banks))
	if refresh == AllBank {
		c.nextRef = c.refi / int64(d.s.Ranks)
	}
	return c
}

func (c *bankQueues) room(write bool) bool {
	if write {
		return len(c.writes) < c.transactions
	}
	return len(c.reads) < c.transactions
}

func (c *bankQueues) flush() { c.drainAt = 1 }

func (c *bankQueues) pending() int { return len(c.reads) + len(c.writes) + c.queued }

func (c *bankQueues) result() *outcome { return &c.out }

func (c *bankQueues) add(t int64, bank int, row int32, write bool) {
	w := waiting{entry{arrived: t + 1, row: row, write: write}, bank}
	if write {
		c.writes = append(c.writes, w)
	} else {
		c.reads = append(c.reads, w)
	}
	c.now, c.wake = max(c.now, t+1), 0
}

func (c *bankQueues) advance(t int64) {
	for c.now <= t {
		if c.wake > c.now {
			c.now = min(c.wake, t+1)
			continue
		}
		c.clock()
	}
}

func (c *bankQueues) step() int64 {
	c.now = max(c.now, c.wake)
	t := c.now
	c.clock()
	return t
}

// clock does what happens in one clock.
func (c *bankQueues) clock() {
	t := c.now
	c.now++
	if t >= c.nextRef {
		c.waitRank = c.nextRank
		c.nextRank = (c.nextRank + 1) % c.s.Ranks
		c.nextRef += c.refi / int64(c.s.Ranks)
	}
	first, wake := doNothing, int64(never)
	if c.waitRank >= 0 {
		first = c.towardsRefresh(t, &wake)
	}
	if first == doNothing {
		first = c.issue(t, doNothing, &wake)
	}
	if c.s.RowBus && first != doNothing {
		c.issue(t, first, &wake)
	}
	moved := c.move()
	c.wake = 0
	if first == doNothing && !moved {
		// Nothing changes before the next command may start or a refresh falls due.
		c.wake = min(wake, c.nextRef)
	}
}

// towardsRefresh gives the next command towards the refresh that is due, and says which kind it was.
func (c *bankQueues) towardsRefresh(t int64, wake *int64) int8 {
	n := len(c.banks) / c.s.Ranks
	ready := int64(0)
	for b := c.waitRank * n; b < (c.waitRank+1)*n; b++ {
		if c.banks[b].row >= 0 {
			if r := c.readyPre(b); r > t {
				*wake = min(*wake, r)
				return doNothing
			}
			c.precharge(b, t)
			return doPrecharge
		}
		ready = max(ready, c.banks[b].act)
	}
	if ready > t {
		*wake = min(*wake, ready)
		return doNothing
	}
	c.refreshes++
	for b := c.waitRank * n; b < (c.waitRank+1)*n; b++ {
		c.banks[b].act = t + c.rfc
	}
	c.waitRank = -1
	return doRefresh
}

// issue gives the first command that may start at t, looking at the banks in turn; after one of a kind, only one for the other bus.
func (c *bankQueues) issue(t int64, after int8, wake *int64) int8 {
	n := len(c.banks)
	// Banks after turn first, then from 0.
	for pass := range 2 {
		for w, set := range c.nonEmpty {
			for ; set != 0; set &= set - 1 {
				b := w<<6 + bits.TrailingZeros64(set)
				if (b > c.turn) != (pass == 0) || c.waitRank >= 0 && b/(n/c.s.Ranks) == c.waitRank {
					continue
				}
				what, at := c.ready(b, t, wake)
				if what == doNothing {
					continue
				}
				c.turn = b
				if after != doNothing && (what == doColumn) == (after == doColumn) {
					return doNothing
				}
				c.give(b, at, what, t)
				return what
			}
		}
	}
	return doNothing
}

// ready finds the first command of a bank's queue that may start at t.
func (c *bankQueues) ready(b int, t int64, wake *int64) (what int8, at int) {
	q := c.queues[b]
	open := c.banks[b].row
	if open < 0 {
		if r := c.readyAct(b); r > t {
			*wake = min(*wake, r)
			return doNothing, 0
		}
		return doActivate, 0
	}
	for i := range q {
		if q[i].row == open {
			if r := c.readyColumn(b, index(q[i].write)); r > t {
				*wake = min(*wake, r)
				continue
			}
			return doColumn, i
		}
		if i > 0 {
			continue // what is older comes first
		}
		wanted := false
		for j := range q {
			wanted = wanted || q[j].row == open
		}
		if wanted && c.hits[b] < rowHits {
			continue
		}
		if r := c.readyPre(b); r > t {
			*wake = min(*wake, r)
			continue
		}
		return doPrecharge, i
	}
	return doNothing, 0
}

func (c *bankQueues) give(b, at int, what int8, t int64) {
	switch what {
	case doActivate:
		c.activate(b, c.queues[b][0].row, t)
		c.hits[b] = 0
	case doPrecharge:
		c.precharge(b, t)
	case doColumn:
		q := c.queues[b]
		e := q[at]
		copy(q[at:], q[at+1:])
		c.queues[b] = q[:len(q)-1]
		if len(q) == 1 {
			c.nonEmpty.remove(b)
		}
		c.queued--
		c.hits[b]++
		c.column(b, index(e.write), t)
		if e.write {
			c.out.last = max(c.out.last, t+int64(c.s.CWL+c.s.BL))
			return
		}
		c.out.served++
		c.out.latency += t + c.latency - e.arrived
		c.out.last = max(c.out.last, t+c.latency)
		if c.recorded {
			c.out.departed = append(c.out.departed, t+c.latency)
		}
	}
}

// move takes the oldest access whose bank has room into the bank's queue.
func (c *bankQueues) move() bool {
	if c.draining == 0 && (len(c.writes) >= c.transactions || len(c.reads) == 0 && len(c.writes) >= c.drainAt) {
		c.draining = len(c.writes)
	}
	list := &c.reads
	if c.draining > 0 {
		list = &c.writes
	}
	for i := range *list {
		w := &(*list)[i]
		if len(c.queues[w.bank]) == c.depth {
			continue
		}
		c.queues[w.bank] = append(c.queues[w.bank], w.entry)
		c.nonEmpty.put(w.bank)
		c.queued++
		copy((*list)[i:], (*list)[i+1:])
		*list = (*list)[:len(*list)-1]
		if c.draining > 0 {
			c.draining--
		}
		return true
	}
	return false
}
