package cost_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/cost"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

func machine(t testing.TB, name string, changes map[string]string) *arch.Machine {
	t.Helper()
	m, err := presets.Machine(name)
	if err == nil {
		err = m.Apply(changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func estimate(t testing.TB, m *arch.Machine) *cost.Estimate {
	t.Helper()
	e, err := cost.Of(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func near(t testing.TB, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s: %.6g, want %.6g ± %g", what, got, want, within)
	}
}

// ga100 makes configs/GA100.json of LLMCompass of the preset: no spare parts, no interface to the host.
var ga100 = map[string]string{
	"chip.cores.count": "128", "chip.area.spare_cores": "0", "chip.memory[smem].capacity": "192 KiB", "chip.area.spare.smem": "0 B",
	"chip.memory[l2].capacity": "48 MiB", "chip.area.spare.l2": "0 B", "chip.area.phy_count.hbm": "6", "chip.area.phy_spare.hbm": "0",
	"chip.area.phy_count.links": "12", "chip.area.phy_count.host": "0",
}

func with(base map[string]string, changes ...string) map[string]string {
	all := map[string]string{}
	for k, v := range base {
		all[k] = v
	}
	for i := 0; i < len(changes); i += 2 {
		all[changes[i]] = changes[i+1]
	}
	return all
}

// TestLLMCompass: the areas that LLMCompass (github.com/PrincetonUniversity/LLMCompass, 2e015fd) gives for its four designs, from the files in its
// configs: GA100 826.8 mm² (core 4.10), prefilling_system 786.6, generation_system 363.1, latency_design 477.9. Figures were worked out
// by running it.
func TestLLMCompass(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    float64
	}{
		{"GA100", ga100, 826.8},
		// 64 cores with four arrays of 32×32 and 768 KiB; memory on 256 lanes of PCIe 5.
		{"prefill", with(ga100, "chip.cores.count", "64", "chip.cores.matrix.fma_per_cycle.fp16", "4096", "chip.memory[smem].capacity", "768 KiB",
			"chip.area.phy.hbm", "PCIe5", "chip.area.phy_count.hbm", "256"), 786.6},
		// 8×8 arrays; vectors 8 wide with 4 of int32 and 32 of fp16; 4096 registers, 48 KiB and 24 MiB.
		{"decode", with(ga100, "chip.cores.matrix.fma_per_cycle.fp16", "256", "chip.cores.vector.lanes", "32", "chip.area.control", "1",
			"chip.area.units.int32", "16", "chip.area.units.fp16", "128", "chip.area.units.fp32", "0", "chip.area.units.fp64", "0",
			"chip.area.registers.entries", "4096", "chip.memory[smem].capacity", "48 KiB", "chip.memory[l2].capacity", "24 MiB"), 363.1},
		{"latency", with(ga100, "chip.cores.count", "64", "chip.memory[l2].capacity", "24 MiB"), 477.9},
	} {
		e := estimate(t, machine(t, "a100-sxm-80gb", tt.changes))
		near(t, tt.name, float64(e.Area), tt.want, 0.05)
	}
	// Parts of GA100, of a core where there are 128: facts of the same run.
	e := estimate(t, machine(t, "a100-sxm-80gb", ga100))
	want := map[string]float64{"control": 1.32 * 128, "vector ALUs": .44 * 128, "matrix units": .27 * 128, "register files": 1.57 * 128, "smem": .51 * 128,
		"l2": 113.7, "hbm PHY": 62.7, "hbm controllers": 34.4, "links PHY": 22.7, "links controllers": 9.3, "core communication": 584.0 - 4.10*128}
	for _, c := range e.Components {
		within := 0.05
		if c.Count >= 128 {
			within = 0.006 * 128 // published to two digits
		}
		near(t, c.Name, float64(c.Area), want[c.Name], within)
		delete(want, c.Name)
	}
	if len(want) > 0 {
		t.Errorf("no %v", want)
	}
}

// TestPublished: dies of products against the areas that are published for them. The model's constants were found on GA100 and
// Aldebaran; H100 was not seen. Bounds are a little beyond what the model gives now: docs/area.md says what that is.
func TestPublished(t *testing.T) {
	for _, tt := range []struct {
		machine   string
		published float64
		most      float64 // error
	}{
		{"a100-sxm-80gb", 826, 0.03},
		{"a100-sxm-40gb", 826, 0.03},
		{"a30", 826, 0.03},
		{"h100-sxm", 814, 0.06},
		{"h100-pcie", 814, 0.06},
		{"h200-sxm", 814, 0.06},
		{"mi210", 720, 0.10},
		{"mi300x", 115, 0.26},
	} {
		d := estimate(t, machine(t, tt.machine, nil)).Dies[0]
		if float64(d.Published) != tt.published || math.Abs(d.Error()) > tt.most {
			t.Errorf("%s: %v, published %v: %.1f %%, at most %.0f", tt.machine, d.Area, d.Published, 100*d.Error(), 100*tt.most)
		}
	}
}

// TestDieCost: good dies of facts that ttm-cas (d98ac05) was run for: 7 nm, 826 mm²: 62 places, yield 0.354, 423 USD; 5 nm: 814 mm² 983 USD, 650 mm² 606 USD.
// At 0.001 defects per mm² the latter has a yield of 0.555 and costs 371 USD.
func TestDieCost(t *testing.T) {
	near(t, "places", cost.DiesPerWafer(826), 62.39, 0.01) // π·150²/826 − π·300/√1652
	near(t, "yield", cost.Yield(826, 0.0015), 0.354, 0.0005)
	near(t, "yield", cost.Yield(650, 0.0020), 1/math.Pow(1+650*0.002/3, 3), 1e-12)
	near(t, "7 nm", float64(cost.DieCost(826, 0.0015, 9346)), 423, 1)
	near(t, "5 nm", float64(cost.DieCost(814, 0.0020, 16988)), 983, 1)
	near(t, "5 nm", float64(cost.DieCost(650, 0.0020, 16988)), 606, 1)
	near(t, "fewer defects", cost.Yield(650, 0.0010), 0.555, 0.0005)
	near(t, "fewer defects", float64(cost.DieCost(650, 0.0010, 16988)), 371, 1)
}

// TestOwning: a DGX A100 for 199 000 USD with 6.5 kW at most: written off over four years without interest 5.68 USD/h, and electricity for
// 80 % of 6.5 kW at a PUE of 1.1 and 0.07 USD/kWh 0.40 USD/h; 0.76 USD an hour for each GPU, 1.09 at 70 % of the time.
func TestOwning(t *testing.T) {
	e := estimate(t, machine(t, "a100-sxm-80gb", map[string]string{
		"cost.own.node": "199000 USD", "cost.own.power": "6.5 kW", "cost.own.interest": "0", "cost.own.building": "0 USD/W", "cost.own.upkeep": "0", "cost.own.utilization": "0.7",
	}))
	near(t, "capital", float64(e.Hour.Capital), 5.68, 0.005)
	near(t, "electricity", float64(e.Hour.Electricity), 0.40, 0.005)
	near(t, "node", float64(e.Hour.Node), 6.08, 0.005)
	near(t, "chip", float64(e.Hour.Chip), 0.76, 0.005)
	near(t, "chip with paid work", float64(e.Hour.Chip)/e.Utilization(), 1.09, 0.005)
	// A chip that makes 1000 tokens a second in 70 % of the time: 0.76/(0.7·3.6) USD for a million.
	near(t, "tokens", e.Run(1, 1000, 0).USDPerMillionTokens, 0.7600/(0.7*3.6), 0.001)
	// Capital recovery at 7 % over four years, from a table of compound interest: 0.29523.
	near(t, "CRF", cost.CRF(0.07, 4), 0.29523, 0.000005)
	near(t, "CRF", cost.CRF(0, 4), 0.25, 0)
}

// TestRun: the figures of a run are those of the share of the node that it takes, at the power that it draws.
func TestRun(t *testing.T) {
	e := estimate(t, machine(t, "a100-sxm-80gb", nil))
	whole, half := e.Run(8, 100, 0), e.Run(4, 100, 0)
	near(t, "whole node", whole.TCOUSDPerHour, float64(e.Hour.Node), 1e-12)
	near(t, "half a node", half.TCOUSDPerHour, whole.TCOUSDPerHour/2, 1e-12)
	near(t, "area", whole.AreaMM2, float64(e.Area), 0)
	near(t, "price", whole.ChipUSD, float64(e.Chip.Price), 0)
	if got := e.Run(8, 0, 0).USDPerMillionTokens; got != 0 {
		t.Errorf("%g for a million tokens of none", got)
	}
	// 100 W less on each of four chips, at 1.1·0.07 USD/kWh.
	near(t, "power", e.Run(4, 100, 1600).TCOUSDPerHour-e.Run(4, 100, 1200).TCOUSDPerHour, 0.4*1.1*0.07, 1e-9)
	// At the node's mean power it is the same as without.
	near(t, "mean power", e.Run(8, 100, 8*400*0.8).TCOUSDPerHour, whole.TCOUSDPerHour, 1e-9)
}

// TestDefaults: what a machine without a section for area needs beyond what it says, and that a node read out of a name is right.
func TestDefaults(t *testing.T) {
	for _, tt := range []struct{ process, want string }{
		{"TSMC N7", "7 nm"}, {"TSMC N6", "6 nm"}, {"TSMC N5", "5 nm"}, {"TSMC 5FF", "5 nm"}, {"TSMC 4N", "5 nm"}, {"TSMC 4NP", "5 nm"}, {"7 nm", "7 nm"}, {"TSMC 7 nm", "7 nm"},
	} {
		e := estimate(t, machine(t, "mi210", map[string]string{"chip.process": tt.process}))
		if got := e.Dies[0].Node.String(); got != tt.want {
			t.Errorf("%s is %s, want %s", tt.process, got, tt.want)
		}
	}
	for _, tt := range []struct {
		machine string
		changes map[string]string
		want    []string
	}{
		{"b200-sxm", nil, []string{"chip.area.registers.files: ", "chip.area.phy.links: "}},
		{"b200-sxm", map[string]string{"chip.area.registers.files": "0", "chip.area.phy.links": "NVLink5"}, []string{"chip.area.phy.links: the area of NVLink5"}},
		{"a100-sxm-80gb", map[string]string{"chip.process": "Samsung 8N"}, []string{`chip.area.process.node: no node is known for chip.process "Samsung 8N"`}},
		{"a100-sxm-80gb", map[string]string{"chip.area.process.node": "8 nm"}, []string{".density: ", ".bit_cell: ", ".wafer: the price of a wafer of 8 nm is not known", ".defects: "}},
		{"a100-sxm-80gb", map[string]string{"chip.memory[hbm].kind": "gddr", "chip.memory[hbm].standard": "GDDR6"}, []string{"chip.area.phy.hbm: the area of GDDR6", "cost.own.memory.hbm: the price of GDDR6"}},
		{"a100-sxm-80gb", map[string]string{"chip.cores.vector.lanes": "1000000"}, []string{"chip.area.dies: "}},
		{"a100-sxm-80gb", map[string]string{"chip.area.phy.hmb": "HBM3", "chip.area.spare.l1": "1 KiB", "chip.area.units.fp12": "3", "cost.own.memory.l2": "1 USD/GiB"},
			[]string{`chip.area.phy.hmb: "hmb" is not a way off the chip`, "chip.area.spare.l1: ", "chip.area.units.fp12: ", "cost.own.memory.l2: "}},
		{"v100-sxm2-32", nil, []string{"chip.area.process.bit_cell: "}},
	} {
		_, err := cost.Of(machine(t, tt.machine, tt.changes))
		var e *spec.Error
		if !errors.As(err, &e) || len(e.Problems) < len(tt.want) {
			t.Errorf("%s %v: %v", tt.machine, tt.changes, err)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s %v: %v lacks %q", tt.machine, tt.changes, err, want)
			}
		}
	}
	// What the error asks for is enough.
	estimate(t, machine(t, "a100-sxm-80gb", map[string]string{"chip.area.process.node": "8 nm", "chip.area.process.density": "44.6 MTr/mm2", "chip.area.process.bit_cell": "0.2 um2",
		"chip.area.process.wafer": "5500 USD", "chip.area.process.defects": "0.1 /cm2"}))
	estimate(t, machine(t, "b200-sxm", map[string]string{"chip.area.registers.files": "0", "chip.area.phy.links": "NVLink5", "chip.area.phy_area.links": "1 mm2", "chip.area.phy_count.links": "18"}))
}

// TestMonotone: more of anything takes more area, and more area or more defects make a chip dearer.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := func(path string, least, most int64) (string, string, string) {
			a := rapid.Int64Range(least, most).Draw(t, "a")
			return path, fmt.Sprint(a), fmt.Sprint(rapid.Int64Range(a, most).Draw(t, "b"))
		}
		size := func(path string) (string, string, string) {
			path, a, b := count(path, 1, 4096)
			unit := " " + rapid.SampledFrom([]string{"KiB", "MiB"}).Draw(t, "unit")
			if path == "chip.memory[smem].capacity" {
				unit = " KiB"
			}
			return path, a + unit, b + unit
		}
		var path, less, more string
		switch rapid.IntRange(0, 11).Draw(t, "what") {
		case 0:
			path, less, more = count("chip.cores.count", 1, 140)
		case 1:
			path, less, more = count("chip.cores.vector.lanes", 1, 128)
		case 2:
			path, less, more = count("chip.cores.matrix.fma_per_cycle.fp16", 1, 8192)
		case 3:
			path, less, more = size("chip.memory[smem].capacity")
		case 4:
			path, less, more = count("chip.memory[l2].capacity", 1, 400)
			less, more = less+" MiB", more+" MiB"
		case 5:
			path, less, more = count("chip.area.registers.entries", 16, 32768)
		case 6:
			path, less, more = count("chip.area.registers.bits", 32, 64)
		case 7:
			path, less, more = count("chip.area.registers.ports", 1, 8)
		case 8:
			path, less, more = count("chip.area.spare_cores", 0, 64)
		case 9:
			path, less, more = count("chip.memory[hbm].bandwidth", 1, 8000)
			less, more = less+" GB/s", more+" GB/s"
		case 10:
			path, less, more = count("chip.area.units.fp64", 0, 128)
		case 11:
			path, less, more = count("system.scale_up.bandwidth", 1, 900)
			less, more = less+" GB/s", more+" GB/s"
		}
		a, err := presets.Machine("a100-sxm-80gb")
		if err != nil {
			t.Fatal(err)
		}
		b := *a
		if err := errors.Join(a.Set(path, less), b.Set(path, more)); err != nil {
			t.Fatal(err)
		}
		small, err1 := cost.Of(a)
		large, err2 := cost.Of(&b)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if small.Area > large.Area || small.Chip.Price > large.Chip.Price || small.Hour.Node > large.Hour.Node {
			t.Fatalf("%s %s: %v, %v, %v; %s: %v, %v, %v", path, less, small.Area, small.Chip.Price, small.Hour.Node, more, large.Area, large.Chip.Price, large.Hour.Node)
		}
		area, defects := units.SquareMillimetres(rapid.Float64Range(1, 1000).Draw(t, "area")), units.DefectDensity(rapid.Float64Range(0, 0.01).Draw(t, "defects"))
		one := cost.DieCost(area, defects, 10000)
		if cost.DieCost(area*1.01, defects, 10000) <= one || cost.DieCost(area, defects+0.0001, 10000) <= one {
			t.Fatalf("die of %v at %v: %v", area, defects, one)
		}
	})
}

// TestMemorySizes: no memory takes less area than a smaller one, from a byte to several macros.
func TestMemorySizes(t *testing.T) {
	last := units.SquareMillimetres(0)
	for kib := 1; kib < 1200; kib += 7 {
		m := machine(t, "a100-sxm-80gb", map[string]string{"chip.memory[smem].capacity": fmt.Sprint(kib, " KiB"), "chip.area.spare.smem": "0 B"})
		for _, c := range estimate(t, m).Components {
			if c.Name == "smem" {
				if c.Area < last {
					t.Errorf("%d KiB: %v after %v", kib, c.Area, last)
				}
				last = c.Area
			}
		}
	}
}

// TestHash: neither area nor the price of owning a machine is part of what its answers are known by.
func TestHash(t *testing.T) {
	m := machine(t, "a100-sxm-80gb", nil)
	if other := machine(t, "a100-sxm-80gb", map[string]string{"chip.area.spare_cores": "3", "cost.own.pue": "1.3"}); other.Hash() != m.Hash() {
		t.Error("area and ownership change the hash of a machine")
	}
	if other := machine(t, "a100-sxm-80gb", map[string]string{"cost.hour": "1 USD/h"}); other.Hash() == m.Hash() {
		t.Error("rent does not change the hash of a machine")
	}
	bare, owned := machine(t, "sn40l", nil), machine(t, "sn40l", map[string]string{"cost.own.pue": "1.3"})
	if bare.Cost != nil || owned.Hash() != bare.Hash() {
		t.Error("a machine without rent has another hash once it is owned")
	}
}

func ExampleOf() {
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		panic(err)
	}
	e, err := cost.Of(m)
	if err != nil {
		panic(err) // it lists what the machine lacks
	}
	fmt.Printf("%d of %d cores enabled, %.0f mm² (published: %.0f)\n", e.Enabled, e.Cores, float64(e.Area), float64(e.Dies[0].Published))
	run := e.Run(8, 5000, 2400) // eight chips, 5000 tokens a second, 2400 W
	fmt.Printf("%.2f USD/h, %.3f USD for a million tokens\n", run.TCOUSDPerHour, run.USDPerMillionTokens)
	// Output:
	// 108 of 128 cores enabled, 835 mm² (published: 826)
	// 4.23 USD/h, 0.391 USD for a million tokens
}
