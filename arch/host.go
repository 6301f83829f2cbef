package arch

import (
	"cmp"
	"fmt"
	"math"
	"slices"

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

// Below is a memory below the one that holds the weights: another tier of the chip, or what a chip has of its
// host's. Weights come from there before a program runs, and what does not fit above streams from it.
type Below struct {
	Name, Kind string
	// Capacity that one chip has of it.
	Capacity units.Bytes
	// Rate at which one chip reads it while its neighbours do so too, in whole bytes per second, and what
	// sets it: the name of a tier, or "link" for the link to the host.
	Rate    int64
	Limit   string
	Latency units.Time
	// Host says that it is the host's, behind a link.
	Host bool
}

// Below returns the fastest memory below the one that holds the weights when so many chips of the node read it
// at a time; nil if the machine has none.
func (m *Machine) Below(chips int64) *Below {
	if all := m.Lower(chips); len(all) > 0 {
		return &all[0]
	}
	return nil
}

// Lower returns all memories below the one that holds the weights: the chip's own, the fastest first, then the
// host's.
func (m *Machine) Lower(chips int64) []Below {
	off := m.OffChip()
	if off == nil {
		return nil
	}
	clock := m.Chip.Clock
	var all []Below
	for i := range m.Chip.Memory {
		if t := &m.Chip.Memory[i]; t.Kind != "sram" && t != off {
			all = append(all, Below{Name: t.Name, Kind: t.Kind, Capacity: t.Capacity, Rate: t.Rate(clock), Limit: t.Name})
		}
	}
	slices.SortStableFunc(all, func(a, b Below) int { return cmp.Compare(b.Rate, a.Rate) })
	if host := m.System.Host; host != nil {
		h := &host.Memory
		b := Below{Name: h.Name, Kind: h.Kind, Capacity: h.Capacity / units.Bytes(max(1, m.System.Chips)), Latency: host.Link.Latency,
			Rate: host.Share(clock, chips), Limit: h.Name, Host: true}
		if link := host.Link.Rate(); link < b.Rate {
			b.Rate, b.Limit = link, "link"
		}
		all = append(all, b)
	}
	for i := range all {
		if r := off.Rate(clock); r < all[i].Rate {
			all[i].Rate, all[i].Limit = r, off.Name
		}
	}
	return all
}

// Share is the rate of the host's memory that one of so many chips gets, in whole bytes per second.
func (h *HostComputer) Share(clock units.Hertz, chips int64) int64 {
	return max(1, h.Memory.Rate(clock)/max(1, chips))
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
