package cost

import (
	"cmp"
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/units"
)

// An Estimate is what a machine takes in silicon and in money.
type Estimate struct {
	// Cores of the chip: those on its dies and those that a product has of them.
	Cores, Enabled int64
	Components     []Component
	Dies           []Die // those with cores, then those beside them
	// Area of all dies of one chip.
	Area units.SquareMillimetres
	Chip Chip
	Node Node
	// Hour of the node while it draws its usual share of the most that it can.
	Hour Hour
	// Notes say what is unusual about it.
	Notes []string

	building       units.DollarsPerWatt
	crf, buildings float64
	pue, upkeep    float64
	electricity    units.DollarsPerKilowattHour
	load           float64
	limit          units.Watts // of a chip
	utilization    float64
}

// A Memory is a memory off chip and its price.
type Memory struct {
	Name     string
	Capacity units.Bytes
	PerGiB   units.DollarsPerGibibyte
	Price    units.Dollars
}

// Chip is what one chip costs to make, and its price.
type Chip struct {
	Dies    units.Dollars
	Memory  []Memory
	Package units.Dollars
	Test    units.Dollars
	Cost    units.Dollars
	Margin  units.Dollars
	Price   units.Dollars
}

// Node is the price of a node. Where it is given as a whole, its parts are 0.
type Node struct {
	Count  int64         // chips of it
	Chips  units.Dollars // the price of them
	Server units.Dollars
	Memory units.Dollars // of the host
	NICs   units.Dollars
	Price  units.Dollars
	Power  units.Watts // the most that it draws
}

// Hour is what an hour of a node costs by part.
type Hour struct {
	Power       units.Watts // that the node draws on average
	Capital     units.DollarsPerHour
	Building    units.DollarsPerHour
	Electricity units.DollarsPerHour
	Upkeep      units.DollarsPerHour
	Node        units.DollarsPerHour
	Chip        units.DollarsPerHour // the same for one chip
}

// Of estimates a machine. What it lacks is a *spec.Error with the paths of what to give.
func Of(m *arch.Machine) (*Estimate, error) {
	s := silicon{m: m, a: m.Chip.Area, cores: m.Chip.Cores.Count, restDie: Compute}
	if s.a == nil {
		s.a = &arch.Area{}
	}
	s.names()
	s.cores += s.a.SpareCores
	s.core = s.processOf("chip.area.process", &s.a.Process, m.Chip.Process)
	s.rest = s.core
	if io := s.a.IO; io != nil {
		s.restDie, s.rest = IO, s.processOf("chip.area.io.process", &io.Process, "")
	}
	s.coreParts()
	s.shared()
	s.interfaces()
	o := &arch.Ownership{}
	if m.Cost != nil && m.Cost.Own != nil {
		o = m.Cost.Own
	}
	e := &Estimate{Cores: s.cores, Enabled: m.Chip.Cores.Count, Components: s.parts, limit: m.Power.Limit}
	memories := e.memories(m, o, &s.problems)
	if err := s.err(); err != nil {
		return nil, err
	}
	e.Dies = s.dies()
	if err := s.err(); err != nil {
		return nil, err
	}
	for i := range e.Dies {
		d := &e.Dies[i]
		e.Area += d.Area * units.SquareMillimetres(d.Count)
		e.Chip.Dies += d.Cost * units.Dollars(d.Count)
		if d.Area > reticle {
			e.Notes = append(e.Notes, fmt.Sprintf("A %s die of %.0f mm² is larger than the %d mm² that a scanner exposes at a time: it cannot be made.", d.Kind, float64(d.Area), reticle))
		}
	}
	e.price(m, o, memories)
	e.owning(o)
	return e, nil
}

// memories lists the memories off chip and returns that of the host, nil for none.
func (e *Estimate) memories(m *arch.Machine, o *arch.Ownership, p *problems) *Memory {
	one := func(t *memory.Spec) Memory {
		price, ok := o.Memory[t.Name]
		switch {
		case ok:
		case t.Kind == "hbm":
			price = Usual.HBM
		case t.Kind == "ddr":
			price = Usual.DDR
		case o.Chip != nil || o.Node != nil: // the price of the chip has it in it
		default:
			p.add("cost.own.memory."+t.Name, fmt.Sprintf("the price of %s is not known", cmp.Or(t.Standard, t.Kind)), `e.g. "5 USD/GiB"`)
		}
		return Memory{t.Name, t.Capacity, price, units.Dollars(float64(price) * float64(t.Capacity) / (1 << 30))}
	}
	for i := range m.Chip.Memory {
		if t := &m.Chip.Memory[i]; t.Kind != "sram" {
			e.Chip.Memory = append(e.Chip.Memory, one(t))
		}
	}
	if m.System.Host == nil {
		return nil
	}
	t := m.System.Host.Memory
	if price, ok := o.Memory[arch.HostPHY]; ok && t.Name != arch.HostPHY {
		t.Name = arch.HostPHY
		return &Memory{t.Name, t.Capacity, price, units.Dollars(float64(price) * float64(t.Capacity) / (1 << 30))}
	}
	host := one(&t)
	return &host
}

// or is the value given, or the usual one.
func or[T any](given *T, usual T) T {
	if given != nil {
		return *given
	}
	return usual
}

// price works out the prices of chip and node.
func (e *Estimate) price(m *arch.Machine, o *arch.Ownership, host *Memory) {
	c := &e.Chip
	pack, memory := Usual.Package, units.Dollars(0)
	for i := range m.Chip.Memory {
		if m.Chip.Memory[i].Kind == "hbm" {
			pack = Usual.Interposer
		}
	}
	for i := range c.Memory {
		memory += c.Memory[i].Price
	}
	c.Package = or(o.Package, pack)
	made := c.Dies + memory + c.Package
	c.Test = made * units.Dollars(or(o.Test, Usual.Test))
	c.Cost = made + c.Test
	c.Price = or(o.Chip, c.Cost/units.Dollars(1-or(o.Margin, Usual.Margin)))
	c.Margin = c.Price - c.Cost

	n := &e.Node
	n.Count = max(1, m.System.Chips)
	n.Power = cmp.Or(o.Power, m.Power.Limit*units.Watts(n.Count)*units.Watts(1+Usual.Rest))
	if o.Node != nil {
		n.Price = *o.Node
		return
	}
	servers := (n.Count + Usual.ServerChips - 1) / Usual.ServerChips
	n.Chips, n.Server = c.Price*units.Dollars(n.Count), or(o.Server, Usual.Server*units.Dollars(servers))
	if host != nil {
		n.Memory = host.Price
	}
	if out := m.System.ScaleOut; out != nil {
		n.NICs = or(o.NIC, Usual.NIC) * units.Dollars(out.NICs)
	}
	n.Price = n.Chips + n.Server + n.Memory + n.NICs
}

// CRF is the share of a price to be paid each year to pay it back in so many years at an interest.
func CRF(interest, years float64) float64 {
	if interest == 0 {
		return 1 / years
	}
	return -interest / math.Expm1(-years*math.Log1p(interest))
}

// owning works out what an hour costs.
func (e *Estimate) owning(o *arch.Ownership) {
	interest := or(o.Interest, Usual.Interest)
	e.crf = CRF(interest, cmp.Or(o.Years, Usual.Years))
	e.buildings = CRF(interest, cmp.Or(o.BuildingYears, Usual.BuildingYears))
	e.building, e.pue, e.electricity = or(o.Building, Usual.Building), cmp.Or(o.PUE, Usual.PUE), or(o.Electricity, Usual.Electricity)
	e.upkeep, e.load, e.utilization = or(o.Upkeep, Usual.Upkeep), or(o.Load, Usual.Load), cmp.Or(o.Utilization, Usual.Utilization)
	e.Hour = e.At(e.Node.Power * units.Watts(e.load))
}

// At is what an hour of the node costs while it draws so much on average.
func (e *Estimate) At(power units.Watts) Hour {
	year := Usual.HoursOfYear
	n := &e.Node
	h := Hour{
		Power:       power,
		Capital:     units.DollarsPerHour(float64(n.Price) * e.crf / year),
		Building:    units.DollarsPerHour(float64(e.building) * float64(n.Power) * e.pue * e.buildings / year),
		Electricity: units.DollarsPerHour(float64(power) / 1000 * e.pue * float64(e.electricity)),
		Upkeep:      units.DollarsPerHour(float64(n.Price) * e.upkeep / year),
	}
	h.Node = h.Capital + h.Building + h.Electricity + h.Upkeep
	h.Chip = h.Node / units.DollarsPerHour(n.Count)
	return h
}

// Draw is what the node draws on average while its chips together draw so much: what else is in it draws its usual share of its
// most.
func (e *Estimate) Draw(chips units.Watts) units.Watts {
	rest := max(0, e.Node.Power-e.limit*units.Watts(e.Node.Count))
	return rest*units.Watts(e.load) + chips
}

// Figures are what a design is judged by beside its speed and energy.
type Figures struct {
	AreaMM2             float64 // area_mm2: of all dies of one chip
	ChipUSD             float64 // chip_usd: the price of one chip
	TCOUSDPerHour       float64 // tco_usd_per_hour: of the chips of a run, owned
	USDPerMillionTokens float64 // of the chips of a run, owned, at the usual utilization; 0 without tokens
}

// Run returns the figures of a run on so many chips that makes so many tokens a second while these chips together draw so many watts on
// average, as an answer of package arch/eval has them: of its parallel degrees, tokens_per_second and average_watts. With watts
// at 0 the node draws what it does in Hour.
func (e *Estimate) Run(chips int64, tokensPerSecond float64, watts units.Watts) Figures {
	nodes := float64(chips) / float64(e.Node.Count)
	power := e.Hour.Power
	if watts > 0 && nodes > 0 {
		power = e.Draw(watts / units.Watts(nodes))
	}
	f := Figures{AreaMM2: float64(e.Area), ChipUSD: float64(e.Chip.Price), TCOUSDPerHour: float64(e.At(power).Node) * nodes}
	f.USDPerMillionTokens = e.PerMillionTokens(units.DollarsPerHour(f.TCOUSDPerHour), tokensPerSecond)
	return f
}

// PerMillionTokens is the price of a million tokens, in US dollars, of what costs so much an hour and makes so many a second in the
// share of the time in which it has paid work; 0 without tokens.
func (e *Estimate) PerMillionTokens(hour units.DollarsPerHour, tokensPerSecond float64) float64 {
	if tokensPerSecond <= 0 {
		return 0
	}
	return float64(hour) / (tokensPerSecond * 3600 * e.utilization) * 1e6
}

// Utilization is the share of the time with paid work.
func (e *Estimate) Utilization() float64 { return e.utilization }
