package memory_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

func TestValidate(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"{name: hbm, kind: hbm, capacity: 80 GiB, bandwidth: 2039 GB/s}", ""},
		{"{name: hbm, kind: hbm, standard: HBM2E, scope: shared, capacity: 80 GiB, bandwidth: 2039 GB/s, efficiency: 0.83, sector: 64 B}", ""},
		{"{name: hbm, kind: hbm, capacity: 80 GiB, bandwidth: 2039 GB/s, dram: HBM2E-3200}", ""},
		{"{name: hbm, kind: hbm, capacity: 80 GiB, bandwidth: 2039 GB/s, dram: HBM9}", `dram: "HBM9" has no table (known: DDR4-3200, DDR4-3200-2R, DDR5-4800, DDR5-6400, LPDDR5-6400, GDDR6-14000, HBM2-2000, HBM2E-3200, HBM3-6400, HBM3E-9200)`},
		{"{name: l1, kind: sram, capacity: 164 KiB, width: 64 B/cycle, dram: HBM3-6400}", "dram: sram has none (leave it out)"},
		{"{name: l1, kind: sram, scope: private, capacity: 164 KiB, width: 64 B/cycle}", ""},
		{"{name: l1, kind: sram, capacity: 164 KiB, bandwidth: 1 TB/s}", ""},
		{"{name: hbm, kind: hbm, capacity: 80 GiB}",
			`bandwidth: neither bandwidth nor width is given (e.g. "bandwidth: 2039 GB/s" off chip, "width: 64 B/cycle" on chip)`},
		{"{name: hbm, kind: hbm, capacity: 80 GiB, bandwidth: 0 GB/s}",
			`bandwidth: neither bandwidth nor width is given (e.g. "bandwidth: 2039 GB/s" off chip, "width: 64 B/cycle" on chip)`},
		{"{name: l1, kind: sram, capacity: 1 MiB, bandwidth: 1 TB/s, width: 64 B/cycle}",
			"width: both bandwidth and width are given (an off-chip tier has a bandwidth, an on-chip tier a width; leave one out)"},
		{"{name: ddr, kind: ddr, capacity: 1 TiB, width: 64 B/cycle}",
			`width: only sram has a width in bytes per cycle (give "bandwidth: … GB/s")`},
		{"{name: hbm, kind: hbm, scope: private, capacity: 80 GiB, bandwidth: 1 TB/s}",
			`scope: only sram can be private to a core (leave scope out or say "shared")`},
		{"{name: l1, kind: sram, scope: private, capacity: 164 KiB, width: 64 B/cycle, ports: separate, write_width: 32 B/cycle, banks: 32, bank_width: 4 B}", ""},
		{"{name: l1, kind: sram, scope: private, capacity: 164 KiB, width: 64 B/cycle, ports: shared, write_width: 32 B/cycle}",
			"write_width: reads and writes have no ports of their own (say ports: separate, or leave it out)"},
		{"{name: l1, kind: sram, capacity: 164 KiB, width: 64 B/cycle, banks: 32}", `bank_width: there are banks and no width of one (e.g. "bank_width: 4 B")`},
		{"{name: l1, kind: sram, capacity: 164 KiB, width: 64 B/cycle, bank_width: 4 B}", `banks: there is the width of a bank and not how many there are (e.g. "banks: 32")`},
		{"{name: l1, kind: sram, capacity: 164 KiB, width: 64 B/cycle, banks: 8, bank_width: 4 B}", "banks: 8 banks of 4 B serve less than 64 B/cycle together (more or wider banks, or less width)"},
		{"{name: hbm, kind: hbm, capacity: 80 GiB, bandwidth: 1 TB/s, banks: 16}", "banks: only sram has it here (leave it out: what banks and turnaround of DRAM cost is in efficiency)"},
		{"{name: l1, kind: sram, capacity: 1 MiB, width: 64 B/cycle, ports: seperate}", `ports: "seperate": must be one of shared, separate (did you mean "separate"?)`},
		// Single fields.
		{"{name: hbm, kind: hmb, capacity: 80 GiB, bandwidth: 1 TB/s}", `kind: "hmb": must be one of sram, hbm, gddr, lpddr, ddr (did you mean "hbm"?)`},
		{"{name: hbm, kind: hbm, capacity: 0 GiB, bandwidth: 1 TB/s}", `capacity: "0 GiB": must be more than 0 B`},
		{"{name: hbm, kind: hbm, capacity: 1 GiB, bandwidth: 1 TB/s, efficiency: 1.01}", `efficiency: "1.01": must be at most 1`},
		{"{name: hbm, kind: hbm, capacity: 1 GiB, bandwidth: 1 TB/s, efficiency: 0}", `efficiency: "0": must be more than 0`},
		{"{name: hbm, kind: hbm, capacity: 1 GiB, bandwidth: 1 TB/s, sector: 2 GiB}", `sector: "2 GiB": must be at most 1 GiB`},
	} {
		var s memory.Spec
		err := spec.Decode("m.yaml", []byte(c.file), &s)
		want := c.want
		if want != "" {
			want = "m.yaml:1: " + want
		}
		if got := text(err); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.file, got, want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestCauseAndScope(t *testing.T) {
	for kind, want := range map[string]sim.Cause{"sram": sim.SRAM, "hbm": sim.HBM, "gddr": sim.HBM, "lpddr": sim.HBM, "ddr": sim.DDR} {
		if got := (memory.Spec{Kind: kind}).Cause(); got != want {
			t.Errorf("%s is charged to %v, want %v", kind, got, want)
		}
	}
	for scope, want := range map[string]bool{"": false, "shared": false, "private": true} {
		if got := (memory.Spec{Kind: "sram", Scope: scope}).Private(); got != want {
			t.Errorf("scope %q: private is %v", scope, got)
		}
	}
}

func TestRates(t *testing.T) {
	share := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		name       string
		tier       memory.Spec
		clock      units.Hertz
		peak, rate int64
	}{
		// A100: 2039 GB/s whatever the clock, 0.83 of it.
		{"hbm", memory.Spec{Kind: "hbm", Bandwidth: 2039e9, Efficiency: share(0.83)}, 1410e6, 2039e9, 1692370e6},
		{"hbm at another clock", memory.Spec{Kind: "hbm", Bandwidth: 2039e9, Efficiency: share(0.83)}, 1, 2039e9, 1692370e6},
		// A100: 5120 B/cycle at 1.41 GHz is 7.2192 TB/s.
		{"l2", memory.Spec{Kind: "sram", Width: 5120}, 1410e6, 7219200e6, 7219200e6},
		{"part of a byte a cycle", memory.Spec{Kind: "sram", Width: 0.5}, 1e9, 5e8, 5e8},
		{"rounded", memory.Spec{Kind: "sram", Width: 1, Efficiency: share(0.5)}, 3, 3, 2},
		// Nothing is so slow that time has no end, nor too fast to count.
		{"slow", memory.Spec{Kind: "sram", Width: 1e-9}, 1e3, 1, 1},
		{"slow share", memory.Spec{Kind: "hbm", Bandwidth: 10, Efficiency: share(1e-9)}, 1, 10, 1},
		{"fast", memory.Spec{Kind: "hbm", Bandwidth: 1e30}, 1, 1 << 62, 1 << 62},
		{"just too fast", memory.Spec{Kind: "hbm", Bandwidth: 5e18}, 1, 1 << 62, 1 << 62},
		{"no rate", memory.Spec{Kind: "hbm", Bandwidth: units.BytesPerSecond(math.NaN())}, 1, 1, 1},
	} {
		if p, r := c.tier.Peak(c.clock), c.tier.Rate(c.clock); p != c.peak || r != c.rate {
			t.Errorf("%s: peak %d, rate %d; want %d, %d", c.name, p, r, c.peak, c.rate)
		}
	}
	if s := (memory.Spec{}).SustainedShare(); s != 1 {
		t.Errorf("a share of %v where none is given", s)
	}
}

func TestSectors(t *testing.T) {
	for _, c := range []struct {
		sector  units.Bytes
		n, want int64
	}{
		{0, 77, 77}, {1, 77, 77}, {64, 0, 0}, {64, 1, 64}, {64, 64, 64}, {64, 65, 128}, {512, 4097, 4608}, {3, 10, 12},
		{1 << 30, 1<<62 - 1, 1 << 62},
	} {
		if got := (memory.Spec{Sector: c.sector}).Sectors(c.n); got != c.want {
			t.Errorf("%d B in sectors of %d: %d, want %d", c.n, c.sector, got, c.want)
		}
	}
}

// What is moved is whole sectors: no less than asked for, less than a sector more, and more for more.
func TestSectorsLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := memory.Spec{Sector: units.Bytes(rapid.Int64Range(0, 1<<30).Draw(t, "sector"))}
		n, m := rapid.Int64Range(0, 1<<62).Draw(t, "n"), rapid.Int64Range(0, 1<<62).Draw(t, "m")
		got := s.Sectors(n)
		if size := max(1, int64(s.Sector)); got < n || got-n >= size || got%size != 0 || s.Sectors(got) != got {
			t.Fatalf("%d B in sectors of %d: %d", n, size, got)
		}
		if lo, hi := min(n, m), max(n, m); s.Sectors(lo) > s.Sectors(hi) {
			t.Fatalf("%d B take %d, %d B take %d", lo, s.Sectors(lo), hi, s.Sectors(hi))
		}
	})
}

// The sustained rate is at most the peak, and more bandwidth, share or clock is never less.
func TestRateLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Float64Range(0.01, 1)
		factor := rapid.Float64Range(1, 100)
		clock := units.Hertz(rapid.Int64Range(1, 1e11).Draw(t, "clock"))
		x, e := rapid.Float64Range(0.001, 1e20).Draw(t, "rate"), share.Draw(t, "share")
		s := memory.Spec{Kind: "sram", Width: units.BytesPerCycle(x), Efficiency: &e}
		if rapid.Bool().Draw(t, "off chip") {
			s = memory.Spec{Kind: "hbm", Bandwidth: units.BytesPerSecond(x), Efficiency: &e}
		}
		rate := s.Rate(clock)
		if rate < 1 || rate > s.Peak(clock) {
			t.Fatalf("rate %d of a peak of %d", rate, s.Peak(clock))
		}
		more := s
		f := factor.Draw(t, "factor")
		more.Bandwidth *= units.BytesPerSecond(f)
		more.Width *= units.BytesPerCycle(f)
		e2 := max(e, share.Draw(t, "other share"))
		more.Efficiency = &e2
		if got := more.Rate(clock + units.Hertz(f)); got < rate {
			t.Fatalf("%+v gives %d, %+v gives %d", s, rate, more, got)
		}
	})
}

// What a tier is called, what it is and how much it holds cannot be left out.
func TestRequired(t *testing.T) {
	var s memory.Spec
	err := spec.Decode("m.yaml", []byte("{}"), &s)
	for _, field := range []string{"name", "kind", "capacity"} {
		if !strings.Contains(text(err), field+": is missing") {
			t.Errorf("%s may be left out: %v", field, err)
		}
	}
}

// TestRateWithoutRefresh: JESD238 HBM3 of 16 Gb: 350 ns, and 16.25 ns to close the rows before, of every 3.9 µs.
func TestRateWithoutRefresh(t *testing.T) {
	half := 0.5
	s := memory.Spec{Name: "hbm", Kind: "hbm", Capacity: 1 << 30, Bandwidth: 1e12, Efficiency: &half, DRAM: "HBM3-6400"}
	share := (350 + 16.25) / 3900
	if got, want := float64(s.RateWithoutRefresh(1e9)), 0.5e12/(1-share); math.Abs(got/want-1) > 1e-9 {
		t.Errorf("%g B/s without refresh, want %g", got, want)
	}
	s.Efficiency = nil
	if got := s.RateWithoutRefresh(1e9); got != 1e12 {
		t.Errorf("%d B/s, more than the peak", got)
	}
	if s.DRAM = ""; s.RateWithoutRefresh(1e9) != s.Rate(1e9) {
		t.Error("refresh of unknown chips is left out")
	}
}

// A cache finds what it has room for from replay to replay: all of two thirds of its share, nothing of twice as much.
func TestFound(t *testing.T) {
	l2 := memory.Spec{Capacity: 30 << 20, Replay: 0.5}
	for _, c := range []struct {
		bytes units.Bytes
		want  float64
	}{{0, 0}, {1, 1}, {10 << 20, 1}, {15 << 20, 1}, {20 << 20, 0.5}, {30 << 20, 0}, {60 << 20, 0}} {
		if got := l2.Found(c.bytes); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d bytes: %g found, want %g", c.bytes, got, c.want)
		}
	}
	if got := (memory.Spec{Capacity: 30 << 20}).Found(1); got != 0 {
		t.Errorf("without replays %g is found", got)
	}
}
