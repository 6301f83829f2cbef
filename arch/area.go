package arch

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// Area is what the size of a chip's dies depends on beyond what answers depend on: package arch/cost reads it, and what it
// works out where something is not given. Counts are of all dies of the chip together, those of a core of one core. None of it
// changes the time or the energy of a run.
type Area struct {
	// Process of the dies with the cores.
	Process Process `yaml:"process,omitempty"`
	// Dies is how many dies, alike, have the cores of the chip: those of chip.dies when absent, else 1.
	Dies int64 `yaml:"dies,omitempty" spec:"min=0,max=1024"`
	// SpareCores are on the dies beyond chip.cores.count, which products leave disabled.
	SpareCores int64 `yaml:"spare_cores,omitempty" spec:"min=0,max=10000000"`
	// Spare is on-chip memory on the dies beyond the capacity of a tier, for each core where the tier is private.
	Spare map[string]units.Bytes `yaml:"spare,omitempty" spec:"min=0 B"`
	// Control is how many lanes a core controls for each lane of its vector unit: 2 where 32 threads in step have 16 lanes. 1
	// when absent.
	Control *float64 `yaml:"control,omitempty" spec:"min=0,max=64"`
	// Units are the scalar units of a core by format, int32, fp16, fp32 and fp64. When absent there are chip.cores.vector.lanes of
	// fp32, chip.cores.vector.integer of int32 (or as many as lanes), and none of the others.
	Units map[string]int64 `yaml:"units,omitempty" spec:"min=0,max=1e9"`
	// Multipliers are the multiply-adds of a core's matrix unit by the format that they are built for. When absent it is built
	// for its rate in one format, which the others share: the first that it has of fp16, bf16, tf32, fp8, int8 and fp32.
	Multipliers map[string]int64 `yaml:"multipliers,omitempty" spec:"min=0,max=1e9"`
	// Registers are the register files of a core.
	Registers *Registers `yaml:"registers,omitempty"`
	// PHY names the interface behind each memory off chip, by its name, behind the links to other chips ("links") and to the
	// host ("host"): HBM2E, DDR5, PCIe4, PCIe5, NVLink3, NVLink4, InfinityFabric. Where it is absent it follows from the
	// standard of the memory or of the host's link.
	PHY map[string]string `yaml:"phy,omitempty"`
	// PHYRate is what one interface moves, and there are as many as their bandwidth needs; PHYCount is how many there are, whatever
	// the bandwidth, and PHYSpare how many more are on the dies.
	PHYRate  map[string]units.BytesPerSecond `yaml:"phy_rate,omitempty" spec:"gt=0 B/s"`
	PHYCount map[string]int64                `yaml:"phy_count,omitempty" spec:"min=0,max=1e6"`
	PHYSpare map[string]int64                `yaml:"phy_spare,omitempty" spec:"min=0,max=1e6"`
	// PHYArea and PHYTransistors are the area of one interface and the transistors of its controller, for those that package
	// arch/cost does not know.
	PHYArea        map[string]units.SquareMillimetres `yaml:"phy_area,omitempty" spec:"min=0 mm2"`
	PHYTransistors map[string]float64                 `yaml:"phy_transistors,omitempty" spec:"min=0,max=1e12"`
	// IO is there if interfaces and shared memory are on dies of their own.
	IO *IODies `yaml:"io,omitempty"`
	// Published is the area of one die with cores as others give it; Below is a bound where only that is published.
	Published units.SquareMillimetres `yaml:"published,omitempty" spec:"min=0 mm2"`
	Below     units.SquareMillimetres `yaml:"below,omitempty" spec:"min=0 mm2"`
}

// Process is how dies are made. What is not given follows from the node, that from chip.process.
type Process struct {
	Node    units.Nanometres        `yaml:"node,omitempty" spec:"min=0 nm"`
	Density units.TransistorDensity `yaml:"density,omitempty" spec:"min=0 Tr/mm2"`
	// BitCell is the area of a bit of on-chip memory, before what decoders and wires of a memory of its size add.
	BitCell units.SquareMillimetres `yaml:"bit_cell,omitempty" spec:"min=0 mm2"`
	Wafer   units.Dollars           `yaml:"wafer,omitempty" spec:"min=0 USD"`
	Defects *units.DefectDensity    `yaml:"defects,omitempty" spec:"min=0 /mm2"`
}

// Registers are register files, all alike.
type Registers struct {
	Files   int64 `yaml:"files" spec:"min=0,max=1e6"`
	Entries int64 `yaml:"entries,omitempty" spec:"min=0,max=1e7"`
	Bits    int64 `yaml:"bits,omitempty" spec:"min=0,max=65536"`
	Ports   int64 `yaml:"ports,omitempty" spec:"min=0,max=64"`
}

// Limits of the formula for register files: within them more of anything takes more area.
const (
	minEntries = 16
	minBits    = 32
)

// Validate reports files without a shape, or with one that the formula was not made for.
func (r Registers) Validate(report func(path, message, hint string)) {
	if r.Files == 0 {
		return
	}
	for _, f := range []struct {
		name       string
		value, min int64
	}{{"entries", r.Entries, minEntries}, {"bits", r.Bits, minBits}, {"ports", r.Ports, 1}} {
		if f.value < f.min {
			report(f.name, fmt.Sprintf("%d: must be at least %d", f.value, f.min), "or files: 0 for a core without register files")
		}
	}
}

// IODies are dies beside those with the cores, alike.
type IODies struct {
	Dies    int64   `yaml:"dies,omitempty" spec:"min=0,max=1024"` // 1 when absent
	Process Process `yaml:"process" spec:"required"`
	// Holds names the shared on-chip memories that are on them; all when absent.
	Holds     []string                `yaml:"holds,omitempty" spec:"max=16,unique"`
	Published units.SquareMillimetres `yaml:"published,omitempty" spec:"min=0 mm2"`
}

// Names of interfaces in Area.PHY beside those of memories.
const (
	LinksPHY = "links"
	HostPHY  = "host"
)

// UnitFormats are the formats of scalar units and MultiplierFormats those of matrix units whose area is known.
var (
	UnitFormats       = []string{"fp16", "fp32", "fp64", "int32"}
	MultiplierFormats = []string{"bf16", "fp16", "fp32", "fp64", "fp8", "int8", "tf32"}
)

// Ownership is what making and owning a machine costs, where that is not the usual that package arch/cost takes. All of it
// is in US dollars of the machine's node unless it says otherwise.
type Ownership struct {
	// Memory is the price of memory off chip by the name of the tier, "host" for that of the host.
	Memory map[string]units.DollarsPerGibibyte `yaml:"memory,omitempty" spec:"min=0 USD/GiB"`
	// Package is substrate, interposer and assembly of a chip; Test is what tests and lost assemblies add, as a share.
	Package *units.Dollars `yaml:"package,omitempty" spec:"min=0 USD"`
	Test    *float64       `yaml:"test,omitempty" spec:"min=0,max=10"`
	// Margin is the share of a chip's price that is not its cost. Chip is that price where it is known: then cost does not
	// matter.
	Margin *float64       `yaml:"margin,omitempty" spec:"min=0,max=0.99"`
	Chip   *units.Dollars `yaml:"chip,omitempty" spec:"min=0 USD"`
	// Server is a node without chips, memory of the host and network interfaces, NIC one of these. Node is the price of the
	// whole node where it is known.
	Server *units.Dollars `yaml:"server,omitempty" spec:"min=0 USD"`
	NIC    *units.Dollars `yaml:"nic,omitempty" spec:"min=0 USD"`
	Node   *units.Dollars `yaml:"node,omitempty" spec:"min=0 USD"`
	// Power is the most that a node draws; Load is the share of it that it draws on average.
	Power units.Watts `yaml:"power,omitempty" spec:"min=0 W"`
	Load  *float64    `yaml:"load,omitempty" spec:"min=0,max=1"`
	// Years until the node is written off, at this yearly interest.
	Years    float64  `yaml:"years,omitempty" spec:"min=0,max=100"`
	Interest *float64 `yaml:"interest,omitempty" spec:"min=0,max=1"`
	// Building is the price of a data centre for each watt of the most that it draws, written off in BuildingYears.
	Building      *units.DollarsPerWatt `yaml:"building,omitempty" spec:"min=0 USD/W"`
	BuildingYears float64               `yaml:"building_years,omitempty" spec:"min=0,max=100"`
	// PUE is what the building draws for each watt of the node.
	PUE         float64                       `yaml:"pue,omitempty" spec:"min=0,max=10"`
	Electricity *units.DollarsPerKilowattHour `yaml:"electricity,omitempty" spec:"min=0 USD/kWh"`
	// Upkeep is what staff and repairs cost in a year, as a share of the node's price.
	Upkeep *float64 `yaml:"upkeep,omitempty" spec:"min=0,max=10"`
	// Utilization is the share of the time in which the node does paid work.
	Utilization float64 `yaml:"utilization,omitempty" spec:"min=0,max=1"`
}

// Validate reports figures that cannot be.
func (o Ownership) Validate(report func(path, message, hint string)) {
	if o.PUE != 0 && o.PUE < 1 {
		report("pue", fmt.Sprintf("%g: a building draws at least what is in it", o.PUE), "e.g. 1.1")
	}
}

// Aside reports whether a leaf, by its path, is of the area of a machine or of the price of owning it: no answer depends on it.
func Aside(path string) bool {
	return strings.HasPrefix(path, "chip.area.") || strings.HasPrefix(path, "cost.own.")
}
