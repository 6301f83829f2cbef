package dram_test

import (
	"testing"

	"github.com/stratasim/strata/memory/dram"
)

// TestTogether: a stream alone keeps its rate, others beside it and writes cost something, more writes cost more, and what two
// streams keep is near what is played.
func TestTogether(t *testing.T) {
	for _, name := range dram.Standards(dram.FirstReady) {
		s := dram.ByName(name)
		if got := s.Together(1, 0, 0); got != 1 {
			t.Errorf("%s: %g of a stream alone", name, got)
		}
		before := 1.0
		for _, w := range []float64{0, 0.02, 0.1, 0.25, 0.5} {
			got := s.Together(2, w, w)
			if got > before || got < 0.3 {
				t.Errorf("%s: %g of two streams with %g of writes, %g with fewer", name, got, w, before)
			}
			before = got
		}
		q := request(name)
		alone := simulate(t, q).Fraction
		q.Kind, q.Streams, q.ChunkBytes, q.ReadFraction = dram.Multiple, 2, 4096, 0.5
		played := simulate(t, q).Fraction / alone
		if got := s.Together(2, 0.5, 0.5); got < played*0.75 || got > played*1.25 {
			t.Errorf("%s: a reader and a writer keep %.3f, played %.3f", name, got, played)
		}
		if r := s.RefreshShare(); r < 0.03 || r > 0.13 {
			t.Errorf("%s: refresh takes %g of the time", name, r)
		}
	}
}
