package memory

import (
	"testing"

	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// serve plays an access bank by bank: each cycle every bank serves the next word that waits for it.
func serve(s *Spec, p Pieces) (cycles int64) {
	word := int64(s.BankWidth)
	waiting := make([]int64, s.Banks)
	left := int64(0)
	for i := range p.Count {
		first := i * units.CeilDiv(int64(p.Pitch), word)
		for w := range units.CeilDiv(int64(p.Bytes), word) {
			waiting[(first+w)%s.Banks]++
			left++
		}
	}
	for ; left > 0; cycles++ {
		for b := range waiting {
			if waiting[b] > 0 {
				waiting[b]--
				left--
			}
		}
	}
	return cycles
}

func TestConflictAgainstBanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Spec{Kind: "sram", Banks: rapid.Int64Range(1, 64).Draw(t, "banks"), BankWidth: units.Bytes(rapid.SampledFrom([]int{1, 4, 8, 16}).Draw(t, "word"))}
		p := Pieces{Count: rapid.Int64Range(1, 200).Draw(t, "pieces"), Bytes: units.Bytes(rapid.Int64Range(1, 600).Draw(t, "bytes")), Pitch: units.Bytes(rapid.Int64Range(0, 3000).Draw(t, "pitch"))}
		cycles, least := s.Conflict(p)
		played := serve(&s, p)
		starts := s.Banks / gcd(units.CeilDiv(int64(p.Pitch), int64(s.BankWidth)), s.Banks)
		round := p.Count % starts
		switch {
		case played < least || cycles < played:
			t.Fatalf("%+v: %d cycles and at least %d, played %d", p, cycles, least, played)
		case p.Count%starts == 0 && cycles != played:
			t.Fatalf("%+v: %d cycles, played %d", p, cycles, played)
		case cycles-played > round:
			t.Fatalf("%+v: %d cycles, played %d, with %d pieces beside whole rounds", p, cycles, played, round)
		}
	})
}

func TestConflict(t *testing.T) {
	// Shared memory of NVIDIA GPUs since Maxwell: 32 banks of 4 B (CUDA C++ Programming Guide, compute capability 5.x).
	smem := Spec{Kind: "sram", Banks: 32, BankWidth: 4}
	for _, c := range []struct {
		name          string
		p             Pieces
		cycles, least int64
	}{
		{"a warp reads 32 words in a row", Pieces{32, 4, 4}, 1, 1},
		{"a stride of two words takes two turns", Pieces{32, 4, 8}, 2, 1},
		{"an odd stride takes one", Pieces{32, 4, 12}, 1, 1},
		{"a column of a 32 × 32 matrix takes 32", Pieces{32, 4, 128}, 32, 1},
		{"padded by a word it takes one", Pieces{32, 4, 132}, 1, 1},
		{"all read one word, once each", Pieces{32, 4, 0}, 32, 1},
		// Eight rows of 16 B are one matrix of the instruction ldmatrix; rows of 64 elements of bf16 are 128 B.
		{"eight rows of a tile of depth 64", Pieces{8, 16, 128}, 8, 1},
		{"padded by 16 B", Pieces{8, 16, 144}, 1, 1},
		{"depth 32", Pieces{8, 16, 64}, 4, 1},
		{"depth 8", Pieces{8, 16, 16}, 1, 1},
		{"a row as long as all banks, twice", Pieces{2, 256, 256}, 4, 4},
	} {
		if cycles, least := smem.Conflict(c.p); cycles != c.cycles || least != c.least {
			t.Errorf("%s: %d cycles, least %d; want %d and %d", c.name, cycles, least, c.cycles, c.least)
		}
	}
	for _, p := range []Pieces{{0, 4, 4}, {4, 0, 4}} {
		if cycles, least := smem.Conflict(p); cycles != 0 || least != 0 {
			t.Errorf("%+v: %d cycles, least %d", p, cycles, least)
		}
	}
	if cycles, least := (Spec{}).Conflict(Pieces{32, 4, 128}); cycles != 0 || least != 0 {
		t.Errorf("without banks: %d cycles, least %d", cycles, least)
	}
}

// Writes have the width of reads where they have none of their own.
func TestWriteRate(t *testing.T) {
	s := Spec{Kind: "sram", Width: 64, Ports: PortsSeparate}
	if got := s.WriteRate(units.Hertz(1e9)); got != 64e9 {
		t.Errorf("as wide as reads: %d", got)
	}
	s.WriteWidth = 16
	if got := s.WriteRate(units.Hertz(1e9)); got != 16e9 {
		t.Errorf("narrower: %d", got)
	}
	if got := s.Rate(units.Hertz(1e9)); got != 64e9 {
		t.Errorf("reads: %d", got)
	}
}
