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
	mask         [fields]int64 // of the value
	at           [fields]uint  // where the value stands in the number of a bank
	fold         int64         // bits of the row that are exclusive-ored into the number of the bank
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
	m := &Map{}
	var at uint
	for _, f := range layouts[i].order {
		n := [fields]int{channel: channels, pseudo: s.PseudoChannels, rank: s.Ranks, group: s.Groups, bank: s.Banks, row: s.Rows, column: int(s.RowBytes / Line)}[f]
		m.shift[f], m.width[f] = at, uint(bits.Len(uint(n))-1)
		m.mask[f] = int64(n) - 1
		at += m.width[f]
	}
	m.lines = 1 << at
	m.at[group] = m.width[bank]
	m.at[rank] = m.at[group] + m.width[group]
	m.at[pseudo] = m.at[rank] + m.width[rank]
	if layouts[i].xor {
		m.fold = 1<<m.at[rank] - 1
	}
	return m
}

// Lines is the capacity in lines; addresses wrap around at it.
func (m *Map) Lines() int64 { return m.lines }

// locate returns the channel of a line, the number of its bank there, and its row.
func (m *Map) locate(line int64) (to, at int, r int32) {
	high := line >> m.shift[row] & m.mask[row]
	b := line>>m.shift[bank]&m.mask[bank] | line>>m.shift[group]&m.mask[group]<<m.at[group] |
		line>>m.shift[rank]&m.mask[rank]<<m.at[rank] | line>>m.shift[pseudo]&m.mask[pseudo]<<m.at[pseudo]
	return int(line >> m.shift[channel] & m.mask[channel]), int(b ^ high&m.fold), int32(high)
}

// Place returns where a line lies.
func (m *Map) Place(line int64) Place {
	to, b, r := m.locate(line)
	part := func(f field) int { return b >> m.at[f] & int(m.mask[f]) }
	return Place{Channel: to, PseudoChannel: part(pseudo), Rank: part(rank), Group: part(group), Bank: part(bank), Row: int(r), Column: int(line >> m.shift[column] & m.mask[column])}
}

// Line is the inverse of Place.
func (m *Map) Line(p Place) int64 {
	b := p.Bank | p.Group<<m.at[group] | p.Rank<<m.at[rank] | p.PseudoChannel<<m.at[pseudo]
	b ^= p.Row & int(m.fold)
	var line int64
	for _, f := range []field{bank, group, rank, pseudo} {
		line |= int64(b) >> m.at[f] & m.mask[f] << m.shift[f]
	}
	return line | int64(p.Channel)<<m.shift[channel] | int64(p.Row)<<m.shift[row] | int64(p.Column)<<m.shift[column]
}
