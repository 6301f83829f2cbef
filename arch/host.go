package arch

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/units"
)

// HostComputer is the computer that the chips of a node hang on.
type HostComputer struct {
	// Memory of the whole node, DRAM of kind ddr or lpddr, which its chips share.
	Memory memory.Spec `yaml:"memory" spec:"required"`
	// Link is that of one chip to the host.
	Link HostLink `yaml:"link" spec:"required"`
}

// HostLink is the way from the host's memory to that of one chip.
type HostLink struct {
	// Standard names the interface, e.g. "PCIe 5.0 x16"; informative.
	Standard string `yaml:"standard,omitempty"`
	// Bandwidth per direction.
	Bandwidth units.BytesPerSecond `yaml:"bandwidth" spec:"required,gt=0 B/s"`
	// Efficiency is the share of it that long copies reach; 1 when absent.
	Efficiency *float64 `yaml:"efficiency,omitempty" spec:"gt=0,max=1"`
	// Latency of the first byte of a copy.
	Latency units.Time `yaml:"latency" spec:"min=0 ns,max=1 s"`
}

// Below is the memory next to the one that holds the weights: another tier of the chip, or what a chip has
// of its host's. Nothing is placed there while a program runs; weights may come from there before it.
type Below struct {
	Name, Kind string
	// Capacity that one chip has of it.
	Capacity units.Bytes
	// Rate at which one chip reads it while its neighbours do so too, in whole bytes per second, and what
	// sets it: the name of a tier, or "link" for the link to the host.
	Rate    int64
	Limit   string
	Latency units.Time
}

// Below returns the memory below the one that holds the weights when so many chips of the node read it at a
// time; nil if the machine has none.
func (m *Machine) Below(chips int64) *Below {
	off := m.OffChip()
	if off == nil {
		return nil
	}
	clock := m.Chip.Clock
	var next *memory.Spec
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		if t.Kind != "sram" && t != off && (next == nil || t.Rate(clock) > next.Rate(clock)) {
			next = t
		}
	}
	var b Below
	switch host := m.System.Host; {
	case next != nil:
		b = Below{Name: next.Name, Kind: next.Kind, Capacity: next.Capacity, Rate: next.Rate(clock), Limit: next.Name}
	case host != nil:
		h := &host.Memory
		b = Below{Name: h.Name, Kind: h.Kind, Capacity: h.Capacity / units.Bytes(max(1, m.System.Chips)), Latency: host.Link.Latency,
			Rate: max(1, h.Rate(clock)/max(1, chips)), Limit: h.Name}
		if link := host.Link.Rate(); link < b.Rate {
			b.Rate, b.Limit = link, "link"
		}
	default:
		return nil
	}
	if r := off.Rate(clock); r < b.Rate {
		b.Rate, b.Limit = r, off.Name
	}
	return &b
}

// Rate returns the sustained rate of the link in whole bytes per second.
func (l *HostLink) Rate() int64 {
	x := float64(l.Bandwidth)
	if l.Efficiency != nil {
		x *= *l.Efficiency
	}
	return int64(math.Min(math.Max(1, math.Round(x)), 1<<62))
}

// Time returns how long one chip takes to read so many bytes; more than units.MaxTime when it is longer.
func (b *Below) Time(bytes units.Bytes) units.Time {
	t, ok := units.MulDivCeil(int64(bytes), int64(units.Second), b.Rate)
	if ok {
		t, ok = units.Add(t, int64(b.Latency))
	}
	if !ok || t > int64(units.MaxTime) {
		return units.MaxTime + 1
	}
	return units.Time(t)
}

// validateHost reports a host whose parts do not suit it.
func (m *Machine) validateHost(report func(path, message, hint string)) {
	host := m.System.Host
	if host == nil {
		return
	}
	h := &host.Memory
	if h.Kind != "ddr" && h.Kind != "lpddr" {
		report("system.host.memory.kind", fmt.Sprintf("%q: a host has ddr or lpddr", h.Kind), "memory of the chip belongs to chip.memory")
	}
	if m.Tier(h.Name) != nil {
		report("system.host.memory.name", fmt.Sprintf("%q is the name of a tier of the chip", h.Name), `choose another name, e.g. "host"`)
	}
}
