package dram

import (
	"math/bits"
	"slices"
)

// Line is the bytes of one access: a cache line.
const Line = 64

// Place is where a line lies.
type Place struct {
	Channel, PseudoChannel, Rank, Group, Bank, Row, Column int
}

// field is one part of a place.
type field uint8

const (
	channel field = iota
	pseudo
	rank
	group
	bank
	row
	column
	fields
)

// layouts are the address maps by name: fields from the lowest address bit above the line upwards. In the first two, bits of
// the row are exclusive-ored into bank group and bank; names of the others read from the highest field to the lowest.
var layouts = []struct {
	name  string
	order [fields]field
	xor   bool
}{
	{"bgint", [fields]field{channel, pseudo, group, column, bank, rank, row}, true},
	{"linear", [fields]field{channel, pseudo, column, bank, group, rank, row}, true},
	{"rorabacobgch", [fields]field{channel, pseudo, group, column, bank, rank, row}, false},
	{"rochrababgco", [fields]field{column, group, bank, rank, channel, pseudo, row}, false},
	{"rorabgbachco", [fields]field{column, channel, pseudo, bank, group, rank, row}, false},
}

// Mappings lists the names of the address maps.
func Mappings() []string {
	names := make([]string, len(layouts))
	for i, l := range layouts {
		names[i] = l.name
	}
	return names
}

// Map says where each line of the memory behind a number of channels lies. Sizes are powers of two.
type Map struct {
	shift, width [fields]uint
	xor          bool
	lines        int64
}

// NewMap returns the address map of a name, nil if there is none of this name.
func NewMap(name string, s *Standard, channels int) *Map {
	i := slices.IndexFunc(layouts, func(l struct {
		name  string
		order [fields]field
		xor   bool
	}) bool {
		return l.name == name
	})
	if i < 0 {
		return nil
	}
	m := &Map{xor: layouts[i].xor}
	var at uint
	for _, f := range layouts[i].order {
		n := [fields]int{channel: channels, pseudo: s.PseudoChannels, rank: s.Ranks, group: s.Groups, bank: s.Banks, row: s.Rows, column: int(s.RowBytes / Line)}[f]
		m.shift[f], m.width[f] = at, uint(bits.Len(uint(n))-1)
		at += m.width[f]
	}
	m.lines = 1 << at
	return m
}

// Lines is the capacity in lines; addresses wrap around at it.
func (m *Map) Lines() int64 { return m.lines }

func (m *Map) get(line int64, f field) int { return int(line>>m.shift[f]) & (1<<m.width[f] - 1) }

// Place returns where a line lies.
func (m *Map) Place(line int64) Place {
	line &= m.lines - 1
	p := Place{Channel: m.get(line, channel), PseudoChannel: m.get(line, pseudo), Rank: m.get(line, rank), Group: m.get(line, group), Bank: m.get(line, bank),
		Row: m.get(line, row), Column: m.get(line, column)}
	m.fold(&p)
	return p
}

// fold exclusive-ors bits of the row into bank group and bank; doing it twice changes nothing.
func (m *Map) fold(p *Place) {
	if m.xor {
		p.Bank ^= p.Row & (1<<m.width[bank] - 1)
		p.Group ^= p.Row >> m.width[bank] & (1<<m.width[group] - 1)
	}
}

// Line is the inverse of Place.
func (m *Map) Line(p Place) int64 {
	m.fold(&p)
	var line int64
	for f, v := range [fields]int{channel: p.Channel, pseudo: p.PseudoChannel, rank: p.Rank, group: p.Group, bank: p.Bank, row: p.Row, column: p.Column} {
		line |= int64(v) << m.shift[f]
	}
	return line
}
