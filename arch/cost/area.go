package cost

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// A Component is one part of the chip's silicon.
type Component struct {
	Name  string
	Die   string // Compute or IO
	Count int64  // on all dies of the chip
	Area  units.SquareMillimetres
}

// Kinds of dies.
const (
	Compute = "compute"
	IO      = "io"
)

// A Die is one of the chip's kinds of dies.
type Die struct {
	Kind  string
	Count int64
	Node  units.Nanometres
	Area  units.SquareMillimetres // of one
	// Published is the area that others give, and Below a bound that they give: 0 is none.
	Published, Below units.SquareMillimetres
	// PerWafer is how many places a wafer has for it, Yield the share of them with a good one, Cost that of a good one.
	PerWafer float64
	Yield    float64
	Wafer    units.Dollars
	Cost     units.Dollars
}

// Error is how far the area is from the published one, as a share of that; 0 where none is.
func (d *Die) Error() float64 {
	if d.Published == 0 {
		return 0
	}
	return float64(d.Area/d.Published) - 1
}

// problems collects what a machine lacks.
type problems struct{ list []spec.Problem }

func (p *problems) add(path, message, hint string) {
	p.list = append(p.list, spec.Problem{Path: path, Message: message, Hint: hint})
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &spec.Error{Problems: p.list}
}

// silicon works out the area of a chip.
type silicon struct {
	problems
	m     *arch.Machine
	a     *arch.Area
	cores int64
	parts []Component
	// The processes of the dies with the cores and of those with the rest.
	core, rest process
	restDie    string
}

// add adds so many parts of an area each.
func (s *silicon) add(name, die string, count int64, each float64) {
	if count > 0 && each > 0 {
		s.parts = append(s.parts, Component{name, die, count, units.SquareMillimetres(float64(count) * each)})
	}
}

// logic is the area of transistors in a process, 0 if its density is not known: that is an error elsewhere.
func (p *process) logic(transistors float64) float64 {
	if p.density == 0 {
		return 0
	}
	return transistors / float64(p.density)
}

// processOf completes a process by what is known of its node.
func (s *silicon) processOf(at string, given *arch.Process, named string) process {
	p := process{nm: given.Node}
	if p.nm == 0 {
		if p.nm = nodeOf(named); p.nm == 0 {
			what := "chip.process is not given"
			if named != "" {
				what = fmt.Sprintf("no node is known for chip.process %q", named)
			}
			if given.Density == 0 || given.BitCell == 0 || given.Wafer == 0 || given.Defects == nil {
				s.problems.add(at+".node", what, `e.g. "7 nm"`)
				return p
			}
		}
	}
	if i := slices.IndexFunc(processes, func(q process) bool { return q.nm == p.nm }); i >= 0 {
		p = processes[i]
	}
	p.density, p.bitCell, p.wafer = cmp.Or(given.Density, p.density), cmp.Or(given.BitCell, p.bitCell), cmp.Or(given.Wafer, p.wafer)
	known := p.defects > 0 || given.Defects != nil
	if given.Defects != nil {
		p.defects = *given.Defects
	}
	lacks := func(field, what, hint string) {
		s.problems.add(at+"."+field, fmt.Sprintf("%s of %s is not known", what, p.nm), hint)
	}
	if p.density == 0 {
		lacks("density", "the density of transistors", `e.g. "96.3 MTr/mm2"`)
	}
	if p.bitCell == 0 {
		lacks("bit_cell", "the area of a memory's bit cell", `e.g. "0.17 um2"`)
	}
	if p.wafer == 0 {
		lacks("wafer", "the price of a wafer", `e.g. "9346 USD"`)
	}
	if !known {
		lacks("defects", "the density of defects", `e.g. "0.15 /cm2"`)
	}
	return p
}

// sram is the area of one memory of so many bytes.
func sram(bytes units.Bytes, bitCell units.SquareMillimetres) float64 {
	const largest = leastMacro << 7
	macros := int64(1)
	if bytes > largest {
		macros, bytes = (int64(bytes)+largest-1)/largest, largest
	}
	// A macro has at least the area of the smaller ones in the table, whose cells may take a larger share.
	var cells float64
	for i, share := range macroShares {
		size := units.Bytes(leastMacro) << i
		if bytes <= size {
			cells = max(cells, float64(max(bytes, leastMacro))/share)
			break
		}
		cells = max(cells, float64(size)/share)
	}
	return float64(macros) * cells * 8 * float64(bitCell)
}

// registerFile is the area of one register file at a density of transistors.
func registerFile(r *arch.Registers, density units.TransistorDensity) float64 {
	c, d, w, p := &registerArea, float64(r.Entries), float64(r.Bits), float64(r.Ports)
	um2 := c.one + float64(c.d*d) + float64(c.w*w) + float64(c.p*p) + float64(c.dw*d*w) + float64(c.dd*d*d) + float64(c.ww*w*w) + float64(c.pp*p*p) + float64(c.dp*d*p) + float64(c.wp*w*p)
	if density == 0 {
		return 0
	}
	return um2 / 1e6 * registerDensity / float64(density)
}

// fpu is the transistors of a floating-point unit of a format.
func fpu(format string) float64 {
	share := mantissa[format] / fpuMantissa
	return fpuTransistors * (share * share)
}

// coreParts adds what cores are made of.
func (s *silicon) coreParts() {
	v, n := &s.m.Chip.Cores.Vector, s.cores
	control := 1.0
	if s.a.Control != nil {
		control = *s.a.Control
	}
	s.add("control", Compute, n, s.core.logic(controlTransistors*control*float64(v.Lanes)))
	scalar := map[string]int64{"fp32": v.Lanes, "int32": cmp.Or(v.Integer, v.Lanes)}
	for format, count := range s.a.Units {
		scalar[format] = count
	}
	var transistors float64
	for _, format := range arch.UnitFormats {
		each := int32Transistors
		if format != "int32" {
			each = fpu(format)
		}
		transistors += float64(float64(scalar[format]) * each)
	}
	s.add("vector ALUs", Compute, n, s.core.logic(transistors))
	s.add("matrix units", Compute, n, s.core.logic(s.multipliers()))
	switch r := s.a.Registers; {
	case r == nil:
		s.problems.add("chip.area.registers.files", "the register files of a core are not given", "with entries, bits and ports, or 0 if it has none")
	case r.Files > 0:
		s.add("register files", Compute, n*r.Files, registerFile(r, s.core.density))
	}
	for i := range s.m.Chip.Memory {
		if t := &s.m.Chip.Memory[i]; t.Kind == "sram" && t.Private() {
			s.add(t.Name, Compute, n, sram(t.Capacity+s.a.Spare[t.Name], s.core.bitCell))
		}
	}
	s.add("core communication", Compute, n, s.core.logic(commTransistors))
}

// multipliers is the transistors of the matrix unit of a core.
func (s *silicon) multipliers() (transistors float64) {
	u := &s.m.Chip.Cores.Matrix
	if len(s.a.Multipliers) > 0 {
		for _, format := range arch.MultiplierFormats {
			transistors += float64(float64(s.a.Multipliers[format]) * fpu(format))
		}
		return transistors
	}
	rates := u.Rates()
	for _, format := range builtFor {
		rate, ok := rates[format]
		if !ok {
			continue
		}
		if u.Kind == "systolic" {
			rate = u.Rows * u.Columns * u.Arrays
		}
		return float64(rate) * fpu(format)
	}
	s.problems.add("chip.area.multipliers", "none of the formats of the matrix unit is one whose multipliers are known", `e.g. "chip.area.multipliers.fp16=1024"`)
	return 0
}

// shared adds the memories that all cores share.
func (s *silicon) shared() {
	for i := range s.m.Chip.Memory {
		t := &s.m.Chip.Memory[i]
		if t.Kind != "sram" || t.Private() {
			continue
		}
		die, cell := s.restDie, s.rest.bitCell
		if io := s.a.IO; io != nil && len(io.Holds) > 0 && !slices.Contains(io.Holds, t.Name) {
			die, cell = Compute, s.core.bitCell
		}
		s.add(t.Name, die, 1, sram(t.Capacity+s.a.Spare[t.Name], cell))
	}
}

// interfaces adds the ways off the chip.
func (s *silicon) interfaces() {
	for i := range s.m.Chip.Memory {
		if t := &s.m.Chip.Memory[i]; t.Kind != "sram" {
			kind, _, _ := strings.Cut(t.Standard, "-")
			if t.Standard == "" && t.Kind == "hbm" {
				kind = ""
			}
			s.way(t.Name, "chip.memory["+t.Name+"]", kind, 0, units.BytesPerSecond(t.Peak(s.m.Chip.Clock)), s.speed(t))
		}
	}
	if up := s.m.System.ScaleUp; up != nil {
		s.way(arch.LinksPHY, "system.scale_up", "", 0, up.Bandwidth, 0)
	}
	if host := s.m.System.Host; host != nil {
		kind, lanes := "", int64(0)
		if p := pcie.FindStringSubmatch(host.Link.Standard); p != nil {
			kind = "PCIe" + p[1]
			lanes, _ = strconv.ParseInt(p[2], 10, 64)
		}
		s.way(arch.HostPHY, "system.host.link", kind, lanes, host.Link.Bandwidth, 0)
	}
}

// speed is what 32 bits of a DDR memory move if its standard says, as in DDR5-4800.
func (s *silicon) speed(t *memory.Spec) units.BytesPerSecond {
	_, rate, _ := strings.Cut(t.Standard, "-")
	if n, err := strconv.ParseInt(rate, 10, 64); err == nil && t.Kind == "ddr" && n > 0 {
		return units.BytesPerSecond(n * 4e6)
	}
	return 0
}

// way adds the interfaces of one way off the chip, with the kind and the number that its description implies.
func (s *silicon) way(name, of, kind string, count int64, bandwidth, rate units.BytesPerSecond) {
	a := s.a
	if n, ok := a.PHYCount[name]; ok && n+a.PHYSpare[name] == 0 {
		return
	}
	if k, ok := a.PHY[name]; ok {
		if k != kind {
			count, rate = 0, 0
		}
		kind = k
	}
	p := phy{kind: kind}
	if i := slices.IndexFunc(phys, func(q phy) bool { return q.kind == kind }); i >= 0 {
		p = phys[i]
	}
	own, given := a.PHYArea[name]
	if given {
		p.area = own
	}
	if t, ok := a.PHYTransistors[name]; ok {
		p.transistors = t
	}
	switch {
	case kind == "" && !given:
		s.problems.add("chip.area.phy."+name, "not given: which interface has "+of+"?", "one of "+strings.Join(Kinds(), ", ")+"; or chip.area.phy_count."+name+": 0")
		return
	case p.area == 0 && !given:
		s.problems.add("chip.area.phy."+name, fmt.Sprintf("the area of %s, which %s has, is not known", kind, of), "known are "+strings.Join(Kinds(), ", ")+"; else give chip.area.phy_area."+name+" and phy_transistors."+name)
		return
	}
	if n, ok := a.PHYCount[name]; ok {
		count = n
	} else if r, ok := a.PHYRate[name]; ok || count == 0 {
		if !ok {
			r = cmp.Or(rate, p.rate)
		}
		if r == 0 {
			s.problems.add("chip.area.phy_rate."+name, "not given: how many interfaces are there?", "or phy_count."+name)
			return
		}
		count = int64(math.Min(1e9, math.Ceil(float64(bandwidth)/float64(r)-1e-9)))
	}
	count += a.PHYSpare[name]
	s.add(name+" PHY", s.restDie, count, float64(p.area))
	s.add(name+" controllers", s.restDie, count, s.rest.logic(p.transistors))
}

// dies lists the dies of the chip once its parts are there.
func (s *silicon) dies() []Die {
	a := s.a
	count := a.Dies
	if d := s.m.Chip.Dies; count == 0 && d != nil {
		count = d.Count
	}
	list := []Die{{Kind: Compute, Count: max(1, count), Node: s.core.nm, Wafer: s.core.wafer, Published: a.Published, Below: a.Below}}
	if a.IO != nil {
		list = append(list, Die{Kind: IO, Count: max(1, a.IO.Dies), Node: s.rest.nm, Wafer: s.rest.wafer, Published: a.IO.Published})
	}
	for i := range list {
		d := &list[i]
		for _, p := range s.parts {
			if p.Die == d.Kind {
				d.Area += p.Area
			}
		}
		d.Area /= units.SquareMillimetres(d.Count)
		defects := s.core.defects
		if d.Kind == IO {
			defects = s.rest.defects
		}
		if d.PerWafer = DiesPerWafer(d.Area); d.PerWafer < 1 {
			s.problems.add("chip.area.dies", fmt.Sprintf("%s dies of %.0f mm2 have no room on a wafer of %g mm", d.Kind, float64(d.Area), waferDiameter), "more, smaller dies")
			continue
		}
		d.Yield = Yield(d.Area, defects)
		d.Cost = DieCost(d.Area, defects, d.Wafer)
	}
	return list
}

// DiesPerWafer is how many dies of an area a wafer of 300 mm has room for, on average over their shapes. It is not a whole number,
// and less than 1 where there is no room.
func DiesPerWafer(area units.SquareMillimetres) float64 {
	a := float64(area)
	return math.Pi*waferDiameter*waferDiameter/4/a - math.Pi*waferDiameter/math.Sqrt(2*a)
}

// Yield is the share of dies without a defect.
func Yield(area units.SquareMillimetres, defects units.DefectDensity) float64 {
	x := 1 + float64(area)*float64(defects)/clusters
	return 1 / (x * x * x)
}

// DieCost is the price of a wafer over the good dies on it.
func DieCost(area units.SquareMillimetres, defects units.DefectDensity, wafer units.Dollars) units.Dollars {
	return wafer / units.Dollars(DiesPerWafer(area)*Yield(area, defects))
}
