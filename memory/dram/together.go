package dram

import (
	"math"
	"sync"
)

// run is how much of a stream lies side by side in one channel before the next stream has its turn: what a tile of a kernel or a
// burst of a copy engine asks of it.
const run = 4096

// Together says what share of its rate alone a channel keeps when several streams are served at the same time: minor is the share of
// the bytes that are not of the largest stream, writes that of those written by streams that write into what others read. Rows of
// streams share banks, which costs most where the streams are alike, and the bus has to change its direction for each batch of writes.
// It is from the closed form, with the queues of the controller ramulator2; 1 for one stream, never more. streams above 8 count as
// 8; shares are rounded to a 64th.
func (s *Standard) Together(streams int, minor, writes float64) float64 {
	if streams < 2 {
		return 1
	}
	in64 := func(x float64) int { return int(math.Round(min(max(x, 0), 1) * 64)) }
	key := together{s, min(streams, 8), in64(minor), in64(writes)}
	if v, ok := memo.Load(key); ok {
		return v.(float64)
	}
	v := key.share()
	memo.Store(key, v)
	return v
}

// together is a mix of streams.
type together struct {
	s             *Standard
	streams       int
	minor, writes int // in 64ths of the bytes
}

// memo holds shares by mix: what a table gives is the same for all who ask.
var memo sync.Map

func (k together) share() float64 {
	q := &Request{Standard: k.s.Name, Mapping: "bgint", Refresh: NoRefresh, Controller: FirstReady, Kind: Sequential, Channels: 1, Streams: 1,
		ChunkBytes: run, StrideBytes: Line, ReadFraction: 1, Requests: UsualRequests, Seed: 1}
	alone, err := ClosedForm(q)
	if err != nil {
		return 1
	}
	q.Kind, q.Streams = Multiple, k.streams
	beside, err := ClosedForm(q)
	if err != nil {
		return 1
	}
	d := newDevice(k.s)
	line := float64(Line/k.s.BurstBytes*d.readS) / float64(k.s.PseudoChannels)
	turns := float64(k.writes) / 64 * float64(Line/k.s.BurstBytes) * float64(d.turnW-d.readS+d.turnRL-d.writeS) / float64(writeQueue*3/5)
	lost := float64(max(0, 1-beside.Fraction/alone.Fraction) * min(1, float64(k.minor)/64/(1-1/float64(k.streams))))
	return (1 - lost) * (line / (line + turns))
}

// RefreshShare is the part of the time that all-bank refresh takes, (tRFC + tRP)/tREFI.
func (s *Standard) RefreshShare() float64 { return float64(s.RFC+s.RP) / float64(s.REFI) }
