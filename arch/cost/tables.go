package cost

import (
	"regexp"
	"strconv"

	"github.com/stratasim/strata/sim/units"
)

// Transistors of parts: LLMCompass, cost_model.py, from the cores of Ariane and OpenPiton's SPARC T1 (arithmetic), and
// from photographs of GA100 and Aldebaran, the mean of the two (control, communication).
const (
	fpuTransistors     = 685_300.0 // a floating-point unit with fp64's 52 bits of mantissa
	fpuMantissa        = 52.0
	int32Transistors   = 177_690.0
	controlTransistors = 996_200.0    // for each lane of a core
	commTransistors    = 44_300_000.0 // for each core
)

// mantissa is the explicit bits of a format's mantissa, of int8 all of its bits: the area of a multiplier goes with their square.
var mantissa = map[string]float64{"fp64": 52, "fp32": 23, "tf32": 10, "fp16": 10, "bf16": 7, "int8": 8, "fp8": 3}

// builtFor lists formats that a matrix unit may be built for, the first that it has is.
var builtFor = []string{"fp16", "bf16", "tf32", "fp8", "int8", "fp32"}

// process is what is known of a node: 0 is unknown.
type process struct {
	nm      units.Nanometres
	density units.TransistorDensity // Khan and Mann, CSET 2020; 6 nm: LLMCompass
	bitCell units.SquareMillimetres // LLMCompass: larger than the foundry's cell, as it has what macros add beyond macroShares
	wafer   units.Dollars           // 300 mm, Khan and Mann, CSET 2020
	defects units.DefectDensity     // ttm-cas, from the foundry's slides for 10 and 5 nm; high for a mature process
}

// processes are listed by node. Khan and Mann give 16 and 12 nm one row, which ttm-cas calls 14.
var processes = []process{
	{90, 1.6e6, 0, 1650, 0.0005},
	{65, 3.3e6, 0, 1937, 0.0005},
	{40, 7.7e6, 0, 2274, 0.0005},
	{28, 15.3e6, 0, 2891, 0.0005},
	{20, 22.1e6, 0, 3677, 0.0008},
	{16, 28.9e6, 0, 3984, 0.0010},
	{14, 28.9e6, 0, 3984, 0.0010},
	{12, 28.9e6, 0, 3984, 0.0010},
	{10, 52.5e6, 0, 5992, 0.0012},
	{7, 96.3e6, 0.170e-6, 9346, 0.0015},
	{6, 114.2e6, 0.140e-6, 0, 0},
	{5, 138.2e6, 0.125e-6, 16988, 0.0020},
}

// nodeNames reads the node out of names of processes. 4N and 4NP are NVIDIA's of TSMC's 5 nm family.
var nodeNames = []struct {
	name *regexp.Regexp
	node units.Nanometres
}{
	{regexp.MustCompile(`(?i)^tsmc N(7|6|5)P?$`), 0},
	{regexp.MustCompile(`(?i)^tsmc (\d+)(FF|FFC|FFN|FF\+)$`), 0},
	{regexp.MustCompile(`(?i)^tsmc (N4P?|4N|4NP)$`), 5},
	{regexp.MustCompile(`(?i)^(?:.* )?(\d+) ?nm$`), 0},
}

// nodeOf returns the node that a process is named after, 0 if none is known.
func nodeOf(name string) units.Nanometres {
	for _, n := range nodeNames {
		if m := n.name.FindStringSubmatch(name); m != nil {
			if n.node > 0 {
				return n.node
			}
			v, err := strconv.Atoi(m[1])
			if err != nil {
				return 0
			}
			return units.Nanometres(v)
		}
	}
	return 0
}

// macroShares is the share of the area of a memory that bit cells take, by its size from 4 KiB in powers of two: LLMCompass,
// found with CACTI. Larger ones are made of several.
var macroShares = []float64{0.076, 0.142, 0.247, 0.393, 0.559, 0.704, 0.526, 0.602}

const leastMacro = 4096

// Coefficients of the area of a register file in µm² of 90 nm, in entries D, bits W and ports P: LLMCompass, which names EMPIRE as its source.
var registerArea = struct{ one, d, w, p, dw, dd, ww, pp, dp, wp float64 }{32_900, -1090, -883, -5550, 53.5, 0.0150, 0.0108, 0.586, 142, 368}

// registerDensity is that of the process of registerArea.
const registerDensity = 1.6e6

// phy is one kind of interface: what one of it is, its area, the transistors of its controller and what it moves per direction.
type phy struct {
	kind        string
	unit        string
	area        units.SquareMillimetres
	transistors float64
	rate        units.BytesPerSecond
}

// phys: areas and transistors from LLMCompass, measured on photographs of dies. HBM2E stands for all generations of HBM, as no
// other was measured. Rates are the highest of the standards: JESD235 and JESD238, JESD79-5, PCI-SIG; a link of NVLink 3 and 4 has 25 GB/s (NVIDIA), one of
// Infinity Fabric 50 GB/s (AMD CDNA 2 white paper).
var phys = []phy{
	{"HBM2", "stack", 10.45, 552_743_000, 307.2e9},
	{"HBM2E", "stack", 10.45, 552_743_000, 460.8e9},
	{"HBM3", "stack", 10.45, 552_743_000, 819.2e9},
	{"HBM3E", "stack", 10.45, 552_743_000, 1177.6e9},
	{"DDR5", "32 bits", 1.45, 90_446_400, 25.6e9},
	{"PCIe4", "lane", 0.48, 3_962_500, 1.97e9},
	{"PCIe5", "lane", 0.64, 5_372_100, 3.94e9},
	{"NVLink3", "link", 1.888, 74_632_000, 25e9},
	{"NVLink4", "link", 0.965, 86_628_000, 25e9},
	{"InfinityFabric", "link", 5.69, 348_148_000, 50e9},
}

// Kinds lists the interfaces whose area is known.
func Kinds() []string {
	var list []string
	for _, p := range phys {
		list = append(list, p.kind)
	}
	return list
}

// pcie reads the interface of the host and its lanes.
var pcie = regexp.MustCompile(`^PCIe (4|5)\.0 x(\d+)$`)

// Wafers and the field that a scanner exposes at a time, larger than which no die can be.
const (
	waferDiameter = 300.0 // mm
	reticle       = 858   // mm²: 26 by 33 mm
	clusters      = 3.0   // of the negative binomial law of yield, ttm-cas
)

// Usual are what Of takes for what cost.own leaves out, each with where it is from.
var Usual = struct {
	HBM, DDR      units.DollarsPerGibibyte // spot prices of October 2023, LLMCompass; contracts for HBM3 are 10 to 20
	Interposer    units.Dollars            // estimated: package with memory beside the die, 300 to 800
	Package       units.Dollars            // without: flip-chip package and assembly of ttm-cas, after Moonwalk
	Test          float64                  // estimated: 10 to 20 %
	Margin        float64                  // estimated: gross margins of makers of chips, 50 to 75 %
	Server        units.Dollars            // estimated: two processors, boards, switches, case and power supplies for each ServerChips chips, ±50 %
	ServerChips   int64
	NIC           units.Dollars                // estimated: list prices of 200 and 400 Gb/s, ±30 %
	Rest          float64                      // estimated: of a node's most for each watt of its chips' limits: 1.03 in DGX A100 (6.5 kW), 0.82 in DGX H100 (10.2 kW)
	Load          float64                      // estimated: of a busy node
	Years         float64                      // estimated: 3 to 6
	Interest      float64                      // estimated: cost of capital
	Building      units.DollarsPerWatt         // estimated: 10 to 12, see Barroso et al.
	BuildingYears float64                      // estimated: 12 to 15
	PUE           float64                      // estimated: of large operators; 1.58 is the mean of all (Uptime Institute)
	Electricity   units.DollarsPerKilowattHour // estimated: 0.05 to 0.15
	Upkeep        float64                      // estimated: 4 to 6 % of the price of the node a year
	Utilization   float64                      // estimated: 0.5 to 0.7
	HoursOfYear   float64
}{
	HBM: 7, DDR: 2.4, Interposer: 500, Package: 21, Test: 0.15, Margin: 0.6, Server: 20_000, ServerChips: 8, NIC: 1500, Rest: 0.9, Load: 0.8,
	Years: 4, Interest: 0.07, Building: 11, BuildingYears: 12, PUE: 1.1, Electricity: 0.07, Upkeep: 0.05, Utilization: 0.6, HoursOfYear: 8760,
}
