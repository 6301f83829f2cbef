package dram

import "math"

// pattern yields the accesses of a request in their order.
type pattern struct {
	kind         string
	lines        int64 // capacity
	chunk        int64 // lines of a stream's turn, or of a random block
	stride       int64 // in lines
	streams      []stream
	turn         int
	at           int64 // lines of this turn or block so far
	block        int64
	blockWrite   bool
	reads        float64 // share of the accesses
	owed         float64 // writes that the mix is behind by
	rng          uint64
	left, period int64 // accesses until the streams go on elsewhere, and between such moments
}

type stream struct {
	next  int64
	write bool
}

// placements is how often streams that take turns move to other places. Whether their rows share banks is a matter of where they
// lie, which nobody has said; the answer is an average over so many places.
const placements = 16

func newPattern(q *Request, m *Map) *pattern {
	p := &pattern{kind: q.Kind, lines: m.Lines(), chunk: max(q.ChunkBytes/Line, 1), stride: max(q.StrideBytes/Line, 1), rng: uint64(q.Seed), reads: q.ReadFraction}
	p.chunk = min(p.chunk, p.lines)
	n := 1
	if q.Kind == Multiple {
		n = q.Streams
	}
	p.streams = make([]stream, n)
	if n > 1 {
		p.period = max(q.Requests/placements, 1)
		// Whole streams write, as many as come nearest to the share, spread evenly.
		writers := int(math.Round(float64(n) * (1 - q.ReadFraction)))
		for i := range p.streams {
			p.streams[i].write = (i+1)*writers/n > i*writers/n
		}
	}
	return p
}

// draw returns the next number of a splitmix64 sequence (Steele, Lea and Flood, OOPSLA 2014).
func (p *pattern) draw() uint64 {
	p.rng += 0x9e3779b97f4a7c15
	z := p.rng
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a random whole number from 0 to n-1.
func (p *pattern) below(n int64) int64 { return int64(p.draw() % uint64(n)) }

// mix says whether the next of a sequence in which writes are spread evenly is a write.
func (p *pattern) mix() bool {
	if p.owed += 1 - p.reads; p.owed > 1-1e-9 {
		p.owed--
		return true
	}
	return false
}

// next returns the line and the direction of the next access.
func (p *pattern) next() (line int64, write bool) {
	if p.kind == Random {
		if p.at == 0 {
			p.block, p.blockWrite = p.below(p.lines/p.chunk)*p.chunk, p.mix()
		}
		line = p.block + p.at
		if p.at++; p.at == p.chunk {
			p.at = 0
		}
		return line, p.blockWrite
	}
	if len(p.streams) == 1 {
		s := &p.streams[0]
		line = s.next
		s.next++
		if p.kind == Strided {
			s.next += p.stride - 1
		}
		return line, p.mix()
	}
	if p.left == 0 {
		for i := range p.streams {
			p.streams[i].next = p.below(p.lines)
		}
		p.left = p.period
	}
	p.left--
	s := &p.streams[p.turn]
	line = s.next
	s.next++
	if p.at++; p.at == p.chunk {
		p.at = 0
		if p.turn++; p.turn == len(p.streams) {
			p.turn = 0
		}
	}
	return line, s.write
}
