package cost

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stratasim/strata/arch"
)

// names reports names in chip.area and cost.own that nothing has. It is no error of the machine: a run asks for neither.
func (s *silicon) names() {
	var on, shared, off []string
	for i := range s.m.Chip.Memory {
		switch t := &s.m.Chip.Memory[i]; {
		case t.Kind != "sram":
			off = append(off, t.Name)
		case t.Private():
			on = append(on, t.Name)
		default:
			on, shared = append(on, t.Name), append(shared, t.Name)
		}
	}
	check := func(path, name, what string, known []string) {
		if !slices.Contains(known, name) {
			s.problems.add(path, fmt.Sprintf("%.60q is not %s", name, what), fmt.Sprintf("one of %q", known))
		}
	}
	if c := s.m.Cost; c != nil && c.Own != nil {
		for _, name := range slices.Sorted(maps.Keys(c.Own.Memory)) {
			check("cost.own.memory."+name, name, "a memory off chip", append(off[:len(off):len(off)], arch.HostPHY))
		}
	}
	a := s.a
	for _, name := range slices.Sorted(maps.Keys(a.Spare)) {
		check("chip.area.spare."+name, name, "a memory on chip", on)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Units)) {
		check("chip.area.units."+name, name, "a format of scalar units", arch.UnitFormats)
	}
	for _, name := range slices.Sorted(maps.Keys(a.Multipliers)) {
		check("chip.area.multipliers."+name, name, "a format of multipliers", arch.MultiplierFormats)
	}
	ways := append(off[:len(off):len(off)], arch.LinksPHY, arch.HostPHY)
	for _, f := range []struct {
		name string
		keys []string
	}{
		{"phy", slices.Sorted(maps.Keys(a.PHY))}, {"phy_rate", slices.Sorted(maps.Keys(a.PHYRate))}, {"phy_count", slices.Sorted(maps.Keys(a.PHYCount))},
		{"phy_spare", slices.Sorted(maps.Keys(a.PHYSpare))}, {"phy_area", slices.Sorted(maps.Keys(a.PHYArea))}, {"phy_transistors", slices.Sorted(maps.Keys(a.PHYTransistors))},
	} {
		for _, name := range f.keys {
			check("chip.area."+f.name+"."+name, name, "a way off the chip", ways)
		}
	}
	if a.IO != nil {
		for _, name := range a.IO.Holds {
			check("chip.area.io.holds", name, "a memory on chip that all cores share", shared)
		}
	}
}
