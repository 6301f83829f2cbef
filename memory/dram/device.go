package dram

import "math"

// never is later than any tick.
const never = math.MaxInt64 / 2

// rules are the intervals between commands in ticks: clocks, or half clocks where commands may start at them. A command counts
// from its first tick; the standards count from the last one of a command that takes several.
type rules struct {
	tick                                int64 // femtoseconds
	align                               int64 // ticks between instants at which commands other than PRE may start
	readS, readL, readO                 int64 // read to read: other group, same group, other rank
	writeS, writeL, writeO              int64 // write to write
	turnW, turnWO                       int64 // read to write: same rank, other rank
	turnRS, turnRL, turnRO              int64 // write to read: other group, same group, other rank
	actRead, actWrite, actPre, actAct   int64
	actS, actL, faw                     int64
	readPre, writePre, preAct, prePre   int64
	busAct, busPre, busColumn           int64
	rfc, refi, rfcBank, refiBank, rrefd int64
	latency                             int64 // read command to the end of its data
	split, syncHold                     int64
}

func (s *Standard) rules() rules {
	k := int64(1)
	if s.HalfClock {
		k = 2
	}
	n := func(clocks int) int64 { return int64(clocks) * k }
	act, pre, col := int64(s.ACT*float64(k)), int64(s.PRE*float64(k)), int64(s.Column*float64(k))
	rtw, wl := s.RTW, s.CCDLWrite
	if rtw == 0 {
		rtw = s.CL + s.BL + 2 - s.CWL
	}
	if wl == 0 {
		wl = s.CCDL
	}
	r := rules{tick: int64(math.Round(s.Clock * 1000 / float64(k))), align: k,
		readS: n(max(s.CCDS, s.BL)), readL: n(max(s.CCDL, s.BL)), readO: n(s.BL + s.OtherRank),
		writeS: n(max(s.CCDS, s.BL)), writeL: n(max(wl, s.BL)), writeO: n(s.BL),
		turnW: n(rtw), turnWO: n(s.BL + s.OtherRank),
		turnRS: n(s.CWL + s.BL + s.WTRS), turnRL: n(s.CWL + s.BL + s.WTRL), turnRO: max(n(s.CWL+s.BL+s.OtherRank-s.CL), col),
		actRead: n(s.RCDRead) + act - col, actWrite: n(s.RCDWrite) + act - col, actPre: n(s.RAS) + act - pre, actAct: n(s.RC),
		actS: n(s.RRDS), actL: n(s.RRDL), faw: n(s.FAW),
		readPre: n(s.RTP) + col - pre, writePre: n(s.CWL+s.BL+s.WR) + col - pre, preAct: n(s.RP) + pre - act, prePre: n(s.PPD),
		busAct: act, busPre: pre, busColumn: col,
		rfc: n(s.RFC) + pre - act, refi: n(s.REFI), rfcBank: n(s.RFCBank) + pre - act, refiBank: n(s.REFIBank), rrefd: n(s.RREFD) + pre - act,
		latency: n(s.CL + s.BL), split: n(s.SplitACT)}
	if s.TurnsAcrossRanks {
		r.writeO, r.turnWO, r.turnRO = r.readO, r.turnW, r.turnRS
	}
	if s.Sync {
		r.syncHold = n(s.BL + 1)
	}
	return r
}

// bankState is when a bank may take each command, and its open row, -1 for none.
type bankState struct {
	column               [2]int64 // read, write
	act, pre             int64
	row                  int32
	domain, bus, groupAt int32 // indices of the bank's activation domain, rank on its data bus, and bank group
}

// spanState is the same for what banks share: a bank group or a rank.
type spanState struct {
	column [2]int64 // read, write
	act    int64
}

// domainState is what limits ACT and PRE commands together.
type domainState struct {
	act, pre int64
	last     [4]int64 // of the last four ACTs
	next     int      // oldest of them
}

// device is the state of the DRAM behind one channel.
type device struct {
	rules
	s       *Standard
	banks   []bankState
	groups  []spanState
	ranks   []spanState // by pseudo-channel and rank
	domains []domainState
	open    []int   // banks of a rank with a row open
	since   []int64 // when the first of them was opened
	opened  int64   // ticks with a row open, over all ranks, but for those that are open now
	counts
}

// counts are the commands of a channel.
type counts struct {
	acts, pres, reads, writes, refreshes, bankRefreshes int64
}

// parts is the number of parts that are refreshed at a time: ranks, or pseudo-channels with all their stack IDs.
func (d *device) parts() int {
	if d.s.ActsAcrossRanks {
		return d.s.PseudoChannels
	}
	return len(d.ranks)
}

// plus adds others, a number of times.
func (c *counts) plus(o *counts, times int64) {
	c.acts += times * o.acts
	c.pres += times * o.pres
	c.reads += times * o.reads
	c.writes += times * o.writes
	c.refreshes += times * o.refreshes
	c.bankRefreshes += times * o.bankRefreshes
}

func newDevice(s *Standard) *device {
	d := &device{rules: s.rules(), s: s}
	spans := s.PseudoChannels * s.Ranks
	d.ranks = make([]spanState, spans)
	d.open, d.since = make([]int, spans), make([]int64, spans)
	d.groups = make([]spanState, spans*s.Groups)
	d.banks = make([]bankState, spans*s.Groups*s.Banks)
	domains := spans
	if s.ActsAcrossRanks {
		domains = s.PseudoChannels
	}
	d.domains = make([]domainState, domains)
	for i := range d.domains {
		d.domains[i].last = [4]int64{-never, -never, -never, -never}
	}
	for i := range d.banks {
		b := &d.banks[i]
		b.row = -1
		b.groupAt = int32(i / s.Banks)
		b.bus = b.groupAt / int32(s.Groups)
		b.domain = b.bus
		if s.ActsAcrossRanks {
			b.domain /= int32(s.Ranks)
		}
	}
	return d
}

// Directions of a column command.
const (
	reading = iota
	writing
)

// readyColumn is when a column command to the open row of a bank may start, for all but the command bus.
func (d *device) readyColumn(i, dir int) int64 {
	b := &d.banks[i]
	return max(b.column[dir], d.groups[b.groupAt].column[dir], d.ranks[b.bus].column[dir])
}

func (d *device) readyAct(i int) int64 {
	b := &d.banks[i]
	m := &d.domains[b.domain]
	return max(b.act, d.groups[b.groupAt].act, m.act, m.last[m.next]+d.faw)
}

func (d *device) readyPre(i int) int64 {
	b := &d.banks[i]
	return max(b.pre, d.domains[b.domain].pre)
}

func (d *device) column(i, dir int, t int64) {
	b := &d.banks[i]
	g, own := &d.groups[b.groupAt], &d.ranks[b.bus]
	if dir == reading {
		d.reads++
		b.pre = max(b.pre, t+d.readPre)
		g.column[reading] = t + d.readL
		own.column[reading], own.column[writing] = t+d.readS, max(own.column[writing], t+d.turnW)
	} else {
		d.writes++
		b.pre = max(b.pre, t+d.writePre)
		g.column[writing], g.column[reading] = t+d.writeL, max(g.column[reading], t+d.turnRL)
		own.column[writing], own.column[reading] = t+d.writeS, max(own.column[reading], t+d.turnRS)
	}
	if d.s.Ranks == 1 {
		return
	}
	first := int(b.bus) / d.s.Ranks * d.s.Ranks
	for r := first; r < first+d.s.Ranks; r++ {
		o := &d.ranks[r]
		switch {
		case o == own:
		case dir == reading:
			o.column[reading], o.column[writing] = max(o.column[reading], t+d.readO), max(o.column[writing], t+d.turnWO)
		default:
			o.column[writing], o.column[reading] = max(o.column[writing], t+d.writeO), max(o.column[reading], t+d.turnRO)
		}
	}
}

func (d *device) activate(i int, row int32, t int64) {
	d.acts++
	b := &d.banks[i]
	b.row = row
	if d.open[b.bus]++; d.open[b.bus] == 1 {
		d.since[b.bus] = t
	}
	b.column[reading], b.column[writing] = t+d.actRead, t+d.actWrite
	b.pre, b.act = t+d.actPre, t+d.actAct
	d.groups[b.groupAt].act = t + d.actL
	m := &d.domains[b.domain]
	m.act = max(m.act, t+d.actS)
	m.last[m.next] = t
	m.next = (m.next + 1) & 3
}

func (d *device) precharge(i int, t int64) {
	d.pres++
	b := &d.banks[i]
	b.row = -1
	if d.open[b.bus]--; d.open[b.bus] == 0 {
		d.opened += t - d.since[b.bus]
	}
	b.act = max(b.act, t+d.preAct)
	d.domains[b.domain].pre = t + d.prePre
}

// aligned is the first instant from t on at which a command other than PRE may start.
func (d *device) aligned(t int64) int64 {
	if d.align == 2 {
		return t + t&1
	}
	return t
}

// openTicks is how long rows were open until a tick, over all ranks.
func (d *device) openTicks(end int64) int64 {
	n := d.opened
	for i, banks := range d.open {
		if banks > 0 {
			n += max(end-d.since[i], 0)
		}
	}
	return n
}
