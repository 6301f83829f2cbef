package arch_test

import (
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
)

func TestOnChipErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*arch.Machine)
		want   string
	}{
		{"two shared tiers", func(m *arch.Machine) {
			m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: "l3", Kind: "sram", Capacity: 1 << 30, Width: 100})
		}, ""},
		{"the larger one next to the cores", func(m *arch.Machine) {
			m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: "l3", Kind: "sram", Capacity: 1 << 20, Width: 100})
		}, "chip.memory[l3].capacity: not more than the 40 MiB of l2, which lies between it and the cores"},
		{"three shared tiers", func(m *arch.Machine) {
			for _, name := range []string{"l3", "l4"} {
				m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: name, Kind: "sram", Capacity: 1 << 30, Width: 100})
			}
		}, "chip.memory[l4].scope: a third on-chip tier shared by all cores, after l2 and l3: only two are modelled, and this one would stand idle"},
		{"two private tiers", func(m *arch.Machine) {
			m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: "registers", Kind: "sram", Scope: "private", Capacity: 1 << 18, Width: 100})
		}, "chip.memory[registers].scope: a second on-chip tier private to each core, after smem: only one is modelled, and this one would stand idle"},
		{"a tier named as the network", func(m *arch.Machine) {
			m.Chip.Memory[1].Name = "noc"
			m.Chip.Network = &interconnect.OnChip{Topology: "ring", Dimensions: []int64{108}, Width: 64}
		}, `chip.memory[noc].name: "noc" stands for what lies between cores and memories`},
		{"more dies than cores", func(m *arch.Machine) {
			m.Chip.Cores.Count = 3
			m.Chip.Dies = &arch.Dies{Count: 4, Link: 1e12}
		}, "chip.dies.count: 4 dies for 3 cores"},
		{"kernels that look for banks", func(m *arch.Machine) { m.Runtime.Profiles[1].Gemm.Fetch = &arch.Fetch{Rows: 8, Bytes: 16} },
			"runtime.profiles[eager].gemm.fetch: the private memory of a core has no banks"},
	} {
		m := machine(t, "a100-sxm-80gb")
		m.WriteOut()
		c.change(m)
		var got []string
		m.Validate(func(path, message, _ string) {
			if !strings.HasPrefix(path, "energy") {
				got = append(got, path+": "+message)
			}
		})
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, text, c.want)
		}
	}
}

// What is missing of a part that a change brings into being is said where the part is.
func TestOnChipSet(t *testing.T) {
	for _, c := range []struct {
		set  map[string]string
		want string
	}{
		{map[string]string{"chip.dies.count": "2", "chip.dies.link": "2 TB/s"}, ""},
		{map[string]string{"chip.dies.count": "2"}, "chip.dies.link: required"},
		{map[string]string{"chip.dies.link": "2 TB/s"}, "chip.dies.count: required"},
		{map[string]string{"chip.dies.count": "1", "chip.dies.link": "2 TB/s"}, "must be at least 2"},
		{map[string]string{"chip.network.topology": "mesh", "chip.network.width": "32 B/cycle", "chip.network.dimensions": "[12, 9]"}, ""},
		{map[string]string{"chip.network.topology": "mesh", "chip.network.width": "32 B/cycle"}, "chip.network.dimensions: required"},
		{map[string]string{"chip.network.topology": "mash"}, `must be one of mesh, torus, ring, crossbar (did you mean "mesh"?)`},
		{map[string]string{"chip.memory[smem].banks": "32", "chip.memory[smem].bank_width": "4 B", "runtime.profiles[compiled].gemm.fetch.rows": "8"}, "gemm.fetch.bytes: required"},
	} {
		err := machine(t, "a100-sxm-80gb").Apply(c.set)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: %v, want %q", c.set, err, c.want)
		}
	}
}
