package memory

import (
	"fmt"
	"math"
	"strings"

	"github.com/stratasim/strata/memory/dram"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// Spec is one memory tier of a chip.
type Spec struct {
	// Name addresses the tier in paths and reports, e.g. "hbm" in chip.memory[hbm].bandwidth.
	Name string `yaml:"name" spec:"required"`
	// Kind says what the tier is made of.
	Kind string `yaml:"kind" spec:"required,oneof=sram|hbm|gddr|lpddr|ddr"`
	// Standard names the interface, e.g. "HBM2E"; informative.
	Standard string `yaml:"standard,omitempty"`
	// Scope is "private" when every core has one (capacity and width are then per core), "shared"
	// when the chip has one.
	Scope string `yaml:"scope,omitempty" spec:"oneof=|private|shared"`
	// Capacity in bytes.
	Capacity units.Bytes `yaml:"capacity" spec:"required,gt=0"`
	// Bandwidth is the peak rate of an off-chip tier.
	Bandwidth units.BytesPerSecond `yaml:"bandwidth,omitempty" spec:"min=0 B/s"`
	// Width is the peak rate of an on-chip tier in bytes per core-clock cycle; exactly one of
	// Bandwidth and Width is given.
	Width units.BytesPerCycle `yaml:"width,omitempty" spec:"min=0 B/cycle"`
	// Efficiency is the sustained share of the peak rate that long streams reach; 1 when absent.
	Efficiency *float64 `yaml:"efficiency,omitempty" spec:"gt=0,max=1"`
	// Sector is the smallest transfer; 1 B when absent.
	Sector units.Bytes `yaml:"sector,omitempty" spec:"min=0 B,max=1 GiB"`
	// Replay is there for a cache that all cores share: the share of its capacity that a kernel finds filled with what
	// it read and wrote when it ran just before, as in measurements that repeat one operator. Data of two thirds
	// of that are found whole, those of twice as much not at all; see Found. 0 is none.
	Replay float64 `yaml:"replay,omitempty" spec:"min=0,max=2"`
	// Copies is how many parts of a cache that all cores share each keep a copy of what their own cores read, 1 when absent:
	// so many times less of different data has room in it.
	Copies int64 `yaml:"copies,omitempty" spec:"min=0,max=64"`
	// Ports says how reads and writes of an on-chip tier get in each other's way: PortsShared or
	// PortsSeparate. When it is absent only what a step mainly does takes time, as a rate that was
	// measured over kernels has the rest in it.
	Ports string `yaml:"ports,omitempty" spec:"oneof=|shared|separate"`
	// WriteWidth is the peak rate of writes where ports are separate; Width when absent.
	WriteWidth units.BytesPerCycle `yaml:"write_width,omitempty" spec:"min=0 B/cycle"`
	// Banks of an on-chip tier, and BankWidth, what one of them serves in a cycle: word w of that
	// many bytes is in bank w mod Banks. See Conflict.
	Banks     int64       `yaml:"banks,omitempty" spec:"min=0,max=65536"`
	BankWidth units.Bytes `yaml:"bank_width,omitempty" spec:"min=0 B,max=64 KiB"`
	// DRAM names the table of package dram nearest to the chips behind an off-chip tier, e.g. "HBM3-6400". The tier's own figures
	// say what one kernel gets; the table says what is lost when streams of several kernels or copies meet, and what refresh
	// takes. When it is absent they share the sustained rate and lose nothing.
	DRAM string `yaml:"dram,omitempty"`
}

// Found returns the share of so many different bytes that a kernel finds in the tier when it used the same just before.
func (s Spec) Found(bytes units.Bytes) float64 {
	return Held(s.Replay*float64(s.Capacity), bytes)
}

// Held returns the share of so many different bytes that a cache with so much room for them still holds when they are read
// again: all of them up to two thirds of the room, nothing from twice the room on, and in between in a straight line over room
// ÷ bytes. A cache that evicts the least recent would hold all or nothing; those of GPUs hash and evict at random.
func Held(room float64, bytes units.Bytes) float64 {
	if bytes <= 0 {
		return 0
	}
	return min(1, max(0, 2*(room/float64(bytes)-0.5)))
}

// Room returns how much of different data the tier holds.
func (s Spec) Room() units.Bytes { return s.Capacity / units.Bytes(max(1, s.Copies)) }

// Chips returns the table of the DRAM behind the tier, nil where it is not known or there is none.
func (s Spec) Chips() *dram.Standard { return dram.ByName(s.DRAM) }

// How reads and writes share an on-chip tier.
const (
	PortsShared   = "shared"   // reads and writes take turns
	PortsSeparate = "separate" // reads go on while writes do
)

// Validate reports what is wrong with the tier beyond single fields.
func (s Spec) Validate(report func(path, message, hint string)) {
	switch {
	case s.Bandwidth > 0 && s.Width > 0:
		report("width", "both bandwidth and width are given", "an off-chip tier has a bandwidth, an on-chip tier a width; leave one out")
	case s.Bandwidth <= 0 && s.Width <= 0:
		report("bandwidth", "neither bandwidth nor width is given", `e.g. "bandwidth: 2039 GB/s" off chip, "width: 64 B/cycle" on chip`)
	case s.Width > 0 && s.Kind != "sram":
		report("width", "only sram has a width in bytes per cycle", `give "bandwidth: … GB/s"`)
	}
	if s.Replay > 0 && (s.Kind != "sram" || s.Scope == "private") {
		report("replay", "only a shared tier on chip has it", "leave it out")
	}
	if s.Copies > 1 && (s.Kind != "sram" || s.Scope == "private") {
		report("copies", "only a shared tier on chip has them", "leave it out")
	}
	if s.Scope == "private" && s.Kind != "sram" {
		report("scope", "only sram can be private to a core", `leave scope out or say "shared"`)
	}
	switch {
	case s.DRAM == "":
	case s.Kind == "sram":
		report("dram", "sram has none", "leave it out")
	case s.Chips() == nil:
		report("dram", fmt.Sprintf("%q has no table", s.DRAM), "known: "+strings.Join(dram.Standards(dram.FirstReady), ", "))
	}
	if s.Kind != "sram" {
		for _, f := range []struct {
			field string
			given bool
		}{{"ports", s.Ports != ""}, {"write_width", s.WriteWidth > 0}, {"banks", s.Banks > 0}, {"bank_width", s.BankWidth > 0}} {
			if f.given {
				report(f.field, "only sram has it here", "leave it out: what banks and turnaround of DRAM cost is in efficiency")
			}
		}
		return
	}
	if s.WriteWidth > 0 && s.Ports != PortsSeparate {
		report("write_width", "reads and writes have no ports of their own", "say ports: separate, or leave it out")
	}
	switch {
	case s.Banks > 0 && s.BankWidth == 0:
		report("bank_width", "there are banks and no width of one", `e.g. "bank_width: 4 B"`)
	case s.Banks == 0 && s.BankWidth > 0:
		report("banks", "there is the width of a bank and not how many there are", `e.g. "banks: 32"`)
	case s.Banks > 0 && s.Width > 0 && float64(s.Banks)*float64(s.BankWidth) < float64(s.Width):
		report("banks", fmt.Sprintf("%d banks of %s serve less than %s together", s.Banks, s.BankWidth, s.Width), "more or wider banks, or less width")
	}
}

// Private reports whether every core has its own instance.
func (s Spec) Private() bool { return s.Scope == "private" }

// Cause returns the stall cause that time limited by this tier is charged to: sram, hbm for all
// DRAM soldered to the chip or its package (HBM, GDDR, LPDDR), ddr for the third tier.
func (s Spec) Cause() sim.Cause {
	switch s.Kind {
	case "sram":
		return sim.SRAM
	case "ddr":
		return sim.DDR
	}
	return sim.HBM
}

// SustainedShare is Efficiency, or 1 when it is not given.
func (s Spec) SustainedShare() float64 {
	if s.Efficiency == nil {
		return 1
	}
	return *s.Efficiency
}

// Peak returns the peak rate in whole bytes per second at the given core clock.
func (s Spec) Peak(clock units.Hertz) int64 {
	if s.Width > 0 {
		return whole(float64(s.Width) * float64(clock))
	}
	return whole(float64(s.Bandwidth))
}

// Rate returns the sustained rate in whole bytes per second at the given core clock.
func (s Spec) Rate(clock units.Hertz) int64 {
	return whole(float64(s.Peak(clock)) * s.SustainedShare())
}

// RateWithoutRefresh returns the rate that would be sustained if the chips needed no refresh; Rate where it is not known what
// refresh takes.
func (s Spec) RateWithoutRefresh(clock units.Hertz) int64 {
	chips := s.Chips()
	if chips == nil {
		return s.Rate(clock)
	}
	return min(s.Peak(clock), whole(float64(s.Rate(clock))/(1-chips.RefreshShare())))
}

// WriteRate returns the sustained rate of writes where they have a port of their own.
func (s Spec) WriteRate(clock units.Hertz) int64 {
	if s.WriteWidth > 0 {
		s.Width = s.WriteWidth
	}
	return s.Rate(clock)
}

// Sectors rounds n, at most 2^62, up to whole sectors.
func (s Spec) Sectors(n int64) int64 {
	if s.Sector <= 1 {
		return n
	}
	return units.CeilDiv(n, int64(s.Sector)) * int64(s.Sector)
}

// whole rounds a rate to an integer, at least 1 and below 2^62.
func whole(x float64) int64 {
	switch {
	case !(x >= 1):
		return 1
	case x > 1<<62:
		return 1 << 62
	}
	return int64(math.Round(x))
}
