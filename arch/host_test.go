package arch_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/units"
)

// The memory below HBM, by hand: an A100 reads over PCIe 4 at 0.8·31 GB/s until eight of them share 0.8·409.6 GB/s,
// which is still more; an SN40L reads its own DDR at 0.625·200 GB/s; a TPU says nothing of its host.
func TestBelow(t *testing.T) {
	for _, c := range []struct {
		machine string
		set     map[string]string
		chips   int64
		want    arch.Below
	}{
		{"a100-sxm-80gb", nil, 1, arch.Below{Name: "host", Kind: "ddr", Capacity: 256 << 30, Rate: 24_800_000_000, Limit: "link", Latency: 10 * units.Microsecond, Host: true}},
		{"a100-sxm-80gb", nil, 8, arch.Below{Name: "host", Kind: "ddr", Capacity: 256 << 30, Rate: 24_800_000_000, Limit: "link", Latency: 10 * units.Microsecond, Host: true}},
		{"a100-sxm-80gb", map[string]string{"system.host.memory.bandwidth": "100 GB/s"}, 8,
			arch.Below{Name: "host", Kind: "ddr", Capacity: 256 << 30, Rate: 10_000_000_000, Limit: "host", Latency: 10 * units.Microsecond, Host: true}},
		{"a100-sxm-80gb", map[string]string{"chip.memory[hbm].bandwidth": "10 GB/s"}, 1,
			arch.Below{Name: "host", Kind: "ddr", Capacity: 256 << 30, Rate: 8_300_000_000, Limit: "hbm", Latency: 10 * units.Microsecond, Host: true}},
		{"sn40l", nil, 8, arch.Below{Name: "ddr", Kind: "ddr", Capacity: 3 << 39, Rate: 125_000_000_000, Limit: "ddr"}},
	} {
		m := machine(t, c.machine)
		if err := m.Apply(c.set); err != nil {
			t.Fatal(err)
		}
		if got := m.Below(c.chips); got == nil || *got != c.want {
			t.Errorf("%s %v: %+v, want %+v", c.machine, c.set, got, c.want)
		}
	}
	if b := machine(t, "tpu-v4").Below(1); b != nil {
		t.Errorf("tpu-v4: %+v", b)
	}
}

// More bytes and more chips never take less time, and no load is faster than what it comes from and goes to.
func TestLoadTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := presets.Machine(rapid.SampledFrom(presets.Names()).Draw(t, "machine"))
		if err != nil {
			t.Fatal(err)
		}
		chips := rapid.Int64Range(1, m.System.Chips).Draw(t, "chips")
		b, more := m.Below(chips), m.Below(min(chips+1, m.System.Chips))
		if b == nil {
			t.Skip("nothing below")
		}
		bytes := units.Bytes(rapid.Int64Range(0, 1<<45).Draw(t, "bytes"))
		time := b.Time(bytes)
		if b.Time(bytes+1<<30) < time || more.Time(bytes) < time {
			t.Fatalf("%v, more bytes %v, more chips %v", time, b.Time(bytes+1<<30), more.Time(bytes))
		}
		if floor := float64(bytes) / float64(m.OffChip().Rate(m.Chip.Clock)); time.Seconds() < floor {
			t.Fatalf("%v is less than the %g s that the memory takes to write", time, floor)
		}
		if h := m.System.Host; h != nil && h.Memory.Name == b.Name {
			if all := float64(bytes) * float64(chips) / float64(h.Memory.Rate(m.Chip.Clock)); time < units.MaxTime && time.Seconds() < 0.999*all { // nothing takes longer than that
				t.Fatalf("%v is less than the %g s that the host takes to read", time, all)
			}
		}
	})
}

func TestHostErrors(t *testing.T) {
	for _, c := range []struct{ path, value, want string }{
		{"system.host.memory.kind", "hbm", `a host has ddr or lpddr (memory of the chip belongs to chip.memory)`},
		{"system.host.memory.name", "hbm", `"hbm" is the name of a tier of the chip`},
		{"system.host.memory.name", "dram", `no energy per byte for the host's memory "dram"`},
		{"system.host.link.bandwidth", "0 GB/s", "must be more than 0 B/s"},
		{"system.host.link.efficiency", "1.1", "must be at most 1"},
		{"system.host.link.latency", "2 s", "must be at most 1 s"},
	} {
		m := machine(t, "h100-sxm")
		if err := m.Set(c.path, c.value); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: %v, want %s", c.path, c.value, err, c.want)
		}
	}
}
