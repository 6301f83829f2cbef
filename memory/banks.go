package memory

import "github.com/stratasim/strata/sim/units"

// Pieces is the pattern of one access to an on-chip tier: as many pieces as Count, of Bytes each,
// Pitch bytes from the start of one to the start of the next. A row of a tile is one piece; a
// column of it is a piece for each row, the row's length apart; a stride is pieces of one word.
type Pieces struct {
	Count int64
	Bytes units.Bytes
	Pitch units.Bytes
}

// Conflict returns the cycles that an access takes, and the least that its words would take if
// they were spread evenly over the banks. The banks deliver its bytes over these cycles, and the tier
// no more than its width. Both are 0 for a tier that says nothing about its banks.
//
// With B banks and a pitch of P words, pieces start in the B/g banks that are multiples of
// g = gcd(P, B) away from the first one, one after the other. A bank serves a word a cycle, so an
// access takes as long as its fullest bank has words: a piece of r words puts ⌊r/B⌋ into each bank and
// one more into the (r mod B) banks from its start on; such a window is met by ⌈(r mod B)/g⌉
// starts. This is exact when the pieces come to whole rounds over the starts, and otherwise at
// most the words of one round too many. Every access is taken to start at a word; pitches that
// are no whole number of words are rounded up to one.
func (s Spec) Conflict(p Pieces) (cycles, least int64) {
	if s.Banks < 1 || s.BankWidth < 1 || p.Count < 1 || p.Bytes < 1 {
		return 0, 0
	}
	word := int64(s.BankWidth)
	r := units.CeilDiv(int64(p.Bytes), word)
	starts := s.Banks / gcd(units.CeilDiv(int64(p.Pitch), word), s.Banks)
	g := s.Banks / starts
	meet := units.CeilDiv(r%s.Banks, g)
	rounds, rest := p.Count/starts, p.Count%starts
	cycles = p.Count*(r/s.Banks) + rounds*meet + min(rest, meet)
	return cycles, units.CeilDiv(p.Count*r, s.Banks)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
