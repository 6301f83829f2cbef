package arch

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stratasim/strata/sim/units"
)

// Power holds the chip's power limit, the parts of its power that no action is charged for, and how
// its clock can be lowered.
type Power struct {
	// Limit is the board power limit: above it the clock falls along Curve.
	Limit units.Watts `yaml:"limit" spec:"required,gt=0 W"`
	// Idle is drawn whenever the chip is on.
	Idle units.Watts `yaml:"idle" spec:"required,min=0 W"`
	// Leakage is what the powered area leaks in operation, on top of what is in Idle. It is that at the
	// voltage of the full clock, to which it is proportional, whatever the clock.
	Leakage units.Watts `yaml:"leakage,omitempty" spec:"min=0 W"`
	// Links is drawn by the chip's links as long as they are up, whether or not they carry data.
	Links units.Watts `yaml:"links,omitempty" spec:"min=0 W"`
	// Active is drawn on top while the chip's cores run a kernel, at the full clock: schedulers, clock
	// trees, waiting warps. It goes with clock and voltage as f·V².
	Active units.Watts `yaml:"active" spec:"min=0 W"`
	// Reaction is how much of an operator that is timed by itself, over and over again, runs at the full clock however
	// much it draws: the rest of it is slowed down to what the limit allows. 0: none of it is slowed down.
	Reaction units.Time `yaml:"reaction,omitempty" spec:"min=0 ns,max=100 s"`
	// Sensor says how the chip's power is read by others.
	Sensor *Sensor `yaml:"sensor,omitempty"`
	// Curve is the voltage that clocks of the cores need, from the lowest clock on. Without it the
	// clock cannot be lowered.
	Curve []Operating `yaml:"curve,omitempty" spec:"max=64"`
}

// Sensor is a meter that averages power over a window.
type Sensor struct {
	// Window is the time it averages over, for the exponential filter its time constant.
	Window units.Time `yaml:"window" spec:"required,gt=0 ns,max=1000 s"`
	// Filter is "boxcar" (the mean over the window, the default) or "exponential".
	Filter string `yaml:"filter,omitempty" spec:"oneof=|boxcar|exponential"`
}

// Operating is a clock of the cores and the voltage that it needs.
type Operating struct {
	Clock   units.Hertz `yaml:"clock" spec:"required,gt=0 Hz,max=100 GHz"`
	Voltage units.Volts `yaml:"voltage" spec:"required,gt=0 V,max=10 V"`
}

// Voltage returns the voltage that a clock needs, by linear interpolation on the curve: below its
// first point the voltage of that point, above the last one as between the last two. It is 0 without
// a curve.
func (p *Power) Voltage(clock units.Hertz) units.Volts {
	n := len(p.Curve)
	switch {
	case n == 0:
		return 0
	case n == 1 || clock <= p.Curve[0].Clock:
		return p.Curve[0].Voltage
	}
	k := 1
	for k < n-1 && clock > p.Curve[k].Clock {
		k++
	}
	a, b := p.Curve[k-1], p.Curve[k]
	share := float64(clock-a.Clock) / float64(b.Clock-a.Clock)
	return a.Voltage + units.Volts(float64(b.Voltage-a.Voltage)*share)
}

// validate reports a curve on which clocks or voltages do not rise.
func (p *Power) validate(report func(path, message, hint string)) {
	for i := 1; i < len(p.Curve); i++ {
		a, b, at := p.Curve[i-1], p.Curve[i], fmt.Sprintf("power.curve[%d]", i)
		if b.Clock <= a.Clock {
			report(at+".clock", fmt.Sprintf("%v does not exceed the %v before it", b.Clock, a.Clock), "list the points from the lowest clock to the highest")
		}
		if b.Voltage < a.Voltage {
			report(at+".voltage", fmt.Sprintf("%v is less than the %v of a lower clock", b.Voltage, a.Voltage), "a higher clock needs no less voltage")
		}
	}
}

// Energy is energy per action.
type Energy struct {
	// Matrix is per operation (a multiply-add is two) of the matrix unit, by data type.
	Matrix map[string]units.JoulesPerOp `yaml:"matrix" spec:"required,min=0 J/op"`
	// Vector and Special are per operation of those units.
	Vector  units.JoulesPerOp `yaml:"vector" spec:"min=0 J/op"`
	Special units.JoulesPerOp `yaml:"special" spec:"min=0 J/op"`
	// Memory is per byte moved, by tier name, that of the host included. For tiers in DRAM it is the chip's side of it: network,
	// controller and physical interface.
	Memory map[string]units.JoulesPerByte `yaml:"memory" spec:"required,min=0 J/B"`
	// DRAM is the energy of the memory devices by command. A tier that is not listed has all of its
	// energy in Memory.
	DRAM []DRAM `yaml:"dram,omitempty" spec:"max=16,unique"`
	// Link is per byte sent to another chip, beyond what links draw when they are idle.
	Link units.JoulesPerByte `yaml:"link" spec:"min=0 J/B"`
	// Network is per byte that a chip sends out of its node: network interfaces, optics and its part of the switches.
	Network units.JoulesPerByte `yaml:"network,omitempty" spec:"min=0 J/B"`
	// HostLink is per byte between a chip and its host.
	HostLink units.JoulesPerByte `yaml:"host_link,omitempty" spec:"min=0 J/B"`
}

// DRAM is the energy of the devices of a memory tier by command.
type DRAM struct {
	Name string `yaml:"name" spec:"required"` // of the tier
	// Activate opens and closes one row.
	Activate units.Joules `yaml:"activate" spec:"min=0 J"`
	// Stream, Cache and Gather are the bytes moved for each activation: by operators that go through
	// whole tensors; by attention, whose keys and values of one head are strided in the cache; by
	// look-ups of single rows.
	Stream units.Bytes `yaml:"stream" spec:"required,gt=0 B"`
	Cache  units.Bytes `yaml:"cache" spec:"required,gt=0 B"`
	Gather units.Bytes `yaml:"gather" spec:"required,gt=0 B"`
	// Read and Write are the column accesses with the way to the pins, per byte.
	Read  units.JoulesPerByte `yaml:"read" spec:"min=0 J/B"`
	Write units.JoulesPerByte `yaml:"write" spec:"min=0 J/B"`
	// Refresh is one refresh command on every channel of the tier, one each Interval.
	Refresh  units.Joules `yaml:"refresh" spec:"min=0 J"`
	Interval units.Time   `yaml:"interval" spec:"required,gt=0 ns,max=1 s"`
	// Background is drawn by all devices of the tier together whatever they do.
	Background units.Watts `yaml:"background" spec:"min=0 W"`
}

// Devices returns the energy of the devices of a memory tier, nil if it is not told by command.
func (e *Energy) Devices(tier string) *DRAM {
	for i := range e.DRAM {
		if e.DRAM[i].Name == tier {
			return &e.DRAM[i]
		}
	}
	return nil
}

// Stream returns the energy per byte that is written to a tier in a long stream, that of its devices
// included.
func (e *Energy) Stream(tier string) units.JoulesPerByte {
	j := e.Memory[tier]
	if d := e.Devices(tier); d != nil {
		j += d.Write + units.JoulesPerByte(float64(d.Activate)/float64(d.Stream))
	}
	return j
}

// Always is what the devices draw without any traffic: background and refresh.
func (d *DRAM) Always() (background, refresh units.Watts) {
	return d.Background, d.Refresh.Per(d.Interval)
}

// parts are the parts of a chip that work and energy are charged to besides its memory tiers.
var parts = []string{"matrix", "vector", "special", "issue", "link", "idle", "leakage", "active"}

// validateEnergy reports tiers and data types without an energy and energies without a tier or type.
func (m *Machine) validateEnergy(report func(path, message, hint string)) {
	tiers := map[string]string{}
	for _, t := range m.Chip.Memory {
		tiers[t.Name] = t.Kind
		if _, ok := m.Energy.Memory[t.Name]; !ok {
			report("energy.memory", fmt.Sprintf("no energy per byte for tier %q", t.Name), fmt.Sprintf("add %q: … pJ/B", t.Name))
		}
		if slices.Contains(parts, t.Name) {
			report(fmt.Sprintf("chip.memory[%s].name", t.Name), "is the name of another part of a chip", "choose another name")
		}
	}
	if h := m.System.Host; h != nil {
		tiers[h.Memory.Name] = h.Memory.Kind
		if _, ok := m.Energy.Memory[h.Memory.Name]; !ok {
			report("energy.memory", fmt.Sprintf("no energy per byte for the host's memory %q", h.Memory.Name), fmt.Sprintf("add %q: … pJ/B", h.Memory.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Energy.Memory)) {
		if tiers[name] == "" {
			report("energy.memory."+name, "there is no such memory tier", "")
		}
	}
	for i := range m.Energy.DRAM {
		name := m.Energy.DRAM[i].Name
		switch at := fmt.Sprintf("energy.dram[%s]", name); tiers[name] {
		case "":
			report(at, "there is no such memory tier", "")
		case "sram":
			report(at, "the tier is not in DRAM", "its energy is in energy.memory")
		}
	}
	types := m.Chip.Cores.Matrix.Rates()
	for _, t := range slices.Sorted(maps.Keys(types)) {
		if _, ok := m.Energy.Matrix[t]; !ok {
			report("energy.matrix", fmt.Sprintf("no energy per operation for %s", t), fmt.Sprintf("add %s: … pJ/op", t))
		}
	}
	for _, t := range slices.Sorted(maps.Keys(m.Energy.Matrix)) {
		if _, ok := types[t]; !ok {
			report("energy.matrix."+t, "the matrix unit has no such data type", "")
		}
	}
}
