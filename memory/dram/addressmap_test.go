package dram_test

import (
	"testing"

	"github.com/stratasim/strata/memory/dram"
)

// FuzzMap: each line has a place of its own.
func FuzzMap(f *testing.F) {
	f.Add(uint8(0), uint8(0), uint8(0), int64(0))
	f.Add(uint8(9), uint8(1), uint8(4), int64(123456789))
	f.Add(uint8(3), uint8(4), uint8(6), int64(-1))
	f.Fuzz(func(t *testing.T, standard, mapping, channels uint8, line int64) {
		names, maps := dram.Standards(dram.FirstReady), dram.Mappings()
		s := dram.ByName(names[int(standard)%len(names)])
		m := dram.NewMap(maps[int(mapping)%len(maps)], s, 1<<(channels%7))
		line &= m.Lines() - 1
		p := m.Place(line)
		if got := m.Line(p); got != line {
			t.Errorf("line %d lies at %+v, where line %d lies", line, p, got)
		}
		if p.Channel < 0 || p.Channel >= 1<<(channels%7) || p.PseudoChannel >= s.PseudoChannels || p.Rank >= s.Ranks || p.Group >= s.Groups || p.Bank >= s.Banks ||
			p.Row >= s.Rows || p.Column >= int(s.RowBytes/dram.Line) {
			t.Errorf("line %d lies outside: %+v", line, p)
		}
	})
}

// TestMapOrder: what is next to a line.
func TestMapOrder(t *testing.T) {
	s := dram.ByName("DDR4-3200")
	for _, c := range []struct {
		mapping string
		second  dram.Place // of line 1 in two channels
	}{
		{"bgint", dram.Place{Channel: 1}},
		{"linear", dram.Place{Channel: 1}},
		{"rorabacobgch", dram.Place{Channel: 1}},
		{"rochrababgco", dram.Place{Column: 1}},
		{"rorabgbachco", dram.Place{Column: 1}},
	} {
		if got := dram.NewMap(c.mapping, s, 2).Place(1); got != c.second {
			t.Errorf("%s: line 1 lies at %+v, want %+v", c.mapping, got, c.second)
		}
	}
	if got := dram.NewMap("bgint", s, 1).Place(1); got != (dram.Place{Group: 1}) {
		t.Errorf("bgint: line 1 of one channel lies at %+v", got)
	}
	if dram.NewMap("x", s, 1) != nil || dram.ByName("x") != nil {
		t.Error("an unknown name is known")
	}
}
