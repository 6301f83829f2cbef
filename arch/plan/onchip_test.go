package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// drawOnChip describes what lies between the cores of a machine and its memories.
func drawOnChip(t *rapid.T, m *arch.Machine) {
	for i := range m.Chip.Memory {
		if tier := &m.Chip.Memory[i]; tier.Kind == "sram" {
			tier.Ports = rapid.SampledFrom([]string{"", memory.PortsShared, memory.PortsSeparate}).Draw(t, "ports of "+tier.Name)
			if tier.Ports == memory.PortsSeparate && rapid.Bool().Draw(t, "writes") {
				tier.WriteWidth = tier.Width / 3
			}
		}
	}
	if inner := m.SharedSRAM(); inner != nil && rapid.Bool().Draw(t, "outer") {
		m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: "l3", Kind: "sram", Capacity: 4 * inner.Capacity, Width: inner.Width / 2,
			Ports: rapid.SampledFrom([]string{"", memory.PortsShared, memory.PortsSeparate}).Draw(t, "ports of l3")})
	}
	if rapid.Bool().Draw(t, "network") {
		m.Chip.Network = &interconnect.OnChip{Topology: "mesh", Dimensions: []int64{8, 6}, Width: units.BytesPerCycle(rapid.SampledFrom([]float64{4, 64, 1000}).Draw(t, "links")),
			Hop: units.Cycles(rapid.Int64Range(0, 20).Draw(t, "hop"))}
		if rapid.Bool().Draw(t, "at the edge") {
			m.Chip.Network.Ports = []string{"0,0", "0,3", "7,2"}
		}
	}
	if rapid.Bool().Draw(t, "dies") {
		m.Chip.Dies = &arch.Dies{Count: rapid.Int64Range(2, 4).Draw(t, "dies"), Link: units.BytesPerSecond(rapid.SampledFrom([]float64{1e11, 1e13}).Draw(t, "die link")),
			Latency: units.Time(rapid.Int64Range(0, 500).Draw(t, "far")) * units.Nanosecond, Copies: rapid.Bool().Draw(t, "copies")}
	}
}

// productOn plans one product on an A100 with changes.
func productOn(t *testing.T, change func(*arch.Machine)) *plan.Program {
	t.Helper()
	m := preset(t, "a100-sxm-80gb")
	change(m)
	return alone(t, m, traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: 4096, N: 4096, K: 4096, DType: traces.BF16, WeightDType: traces.BF16}, "")
}

// rateOf is the rate of what lies between cores and memories, 0 if it is not there.
func rateOf(p *plan.Program, name string) int64 {
	for _, r := range p.OnChip() {
		if r.Name == name {
			return r.Rate
		}
	}
	return 0
}

// makespan is the time of a program in both fidelities.
func makespan(t *testing.T, p *plan.Program) (analytic, event units.Time) {
	a, e := evaluate(t, p, false)
	return a.Makespan, e.Makespan
}

// A port that reads and writes share is occupied by both; ports of their own carry what is written
// beside what is read. The bytes are those that the plan counts anyway.
func TestPorts(t *testing.T) {
	plain := productOn(t, func(*arch.Machine) {})
	for _, c := range []struct {
		tier, ports   string
		reads, writes func(map[string]int64) int64
	}{
		{"l2", memory.PortsShared, func(n map[string]int64) int64 { return n["l2.read"] + n["l2.write"] }, nil},
		{"l2", memory.PortsSeparate, func(n map[string]int64) int64 { return n["l2.read"] }, func(n map[string]int64) int64 { return n["l2.write"] }},
	} {
		p := productOn(t, func(m *arch.Machine) { m.Tier(c.tier).Ports = c.ports })
		n := counts(p)
		for name, all := range counts(plain) {
			if n[name] != all {
				t.Errorf("%s of %s: %s is %d, without ports %d", c.ports, c.tier, name, n[name], all)
			}
		}
		if got, want := p.Occupied(c.tier), c.reads(n); got != want {
			t.Errorf("%s ports: %s moves %d B, want %d", c.ports, c.tier, got, want)
		}
		if c.writes != nil {
			if got, want := p.Occupied(c.tier+arch.WriteSuffix), c.writes(n); got != want {
				t.Errorf("%s ports: %s takes %d B, want %d", c.ports, c.tier, got, want)
			}
		} else if rateOf(p, c.tier+arch.WriteSuffix) != 0 {
			t.Errorf("%s ports: writes have a resource of their own", c.ports)
		}
	}
	// Every operand that a core reads was written to its memory before: one port has twice the work.
	one := productOn(t, func(m *arch.Machine) { m.Tier("smem").Ports = memory.PortsShared })
	if got, want := one.Occupied("smem"), 2*plain.Occupied("smem"); got != want {
		t.Errorf("one port of a core moves %d B, want %d", got, want)
	}
	two := productOn(t, func(m *arch.Machine) { m.Tier("smem").Ports = memory.PortsSeparate })
	plainA, plainE := makespan(t, plain)
	oneA, oneE := makespan(t, one)
	twoA, twoE := makespan(t, two)
	if twoA != plainA || twoE != plainE {
		t.Errorf("writes as wide as reads go on beside them: %v and %v, without ports %v and %v", twoA, twoE, plainA, plainE)
	}
	if oneA <= plainA || oneE <= plainE {
		t.Errorf("one port takes %v and %v, without ports %v and %v", oneA, oneE, plainA, plainE)
	}
}

// Of what cores read and write, (d−1)/d is on another die; what comes to on-chip memory from memory
// off chip stays on its die.
func TestDies(t *testing.T) {
	for _, d := range []int64{2, 4} {
		p := productOn(t, func(m *arch.Machine) { m.Chip.Dies = &arch.Dies{Count: d, Link: 10e12} })
		n := counts(p)
		cores := n["l2.read"] + n["hbm.write"]
		want := cores * (d - 1) / d
		if got := p.Occupied(arch.DieResource); got < want || got > want+1000 {
			t.Errorf("%d dies: %d B cross, want %d of %d", d, got, want, cores)
		}
	}
	// Dies that keep copies get each byte that is brought on chip once each, as all of them need it; what cores read
	// of it is at hand. Results go to where they live.
	for _, d := range []int64{2, 4} {
		p := productOn(t, func(m *arch.Machine) {
			m.Chip.Dies = &arch.Dies{Count: d, Link: 10e12, Copies: true}
			m.Tier("l2").Capacity *= units.Bytes(d)
		})
		n := counts(p)
		want := (d*n["hbm.read"] + n["hbm.write"]) * (d - 1) / d
		if got := p.Occupied(arch.DieResource); got < want || got > want+1000 {
			t.Errorf("%d dies with copies: %d B cross, want %d", d, got, want)
		}
		if one := counts(productOn(t, func(*arch.Machine) {})); n["hbm.read"] != one["hbm.read"] {
			t.Errorf("%d dies with as much L2 each read %d B, one reads %d", d, n["hbm.read"], one["hbm.read"])
		}
	}
	near := productOn(t, func(*arch.Machine) {})
	wide := productOn(t, func(m *arch.Machine) { m.Chip.Dies = &arch.Dies{Count: 2, Link: 1e15} })
	nearA, nearE := makespan(t, near)
	if a, e := makespan(t, wide); a != nearA || e != nearE {
		t.Errorf("a link that is never the limit: %v and %v, want %v and %v", a, e, nearA, nearE)
	}
	// The bound of the link: bytes over its rate.
	slow := productOn(t, func(m *arch.Machine) { m.Chip.Dies = &arch.Dies{Count: 2, Link: 100e9} })
	bound := units.Time(float64(slow.Occupied(arch.DieResource)) / 100e9 * 1e12)
	if a, e := makespan(t, slow); a < bound || e < bound || float64(a) > 1.1*float64(bound) {
		t.Errorf("a slow link: %v and %v, the link alone needs %v", a, e, bound)
	}
}

// Operands come through the network from the shared memory, results leave through it, and a machine without
// shared memory has its memory off chip behind the network.
func TestNetwork(t *testing.T) {
	mesh := func(width float64, hop units.Cycles) func(*arch.Machine) {
		return func(m *arch.Machine) {
			m.Chip.Network = &interconnect.OnChip{Topology: "mesh", Dimensions: []int64{12, 9}, Width: units.BytesPerCycle(width), Hop: hop}
		}
	}
	p := productOn(t, mesh(1000, 0))
	n := counts(p)
	if got, want := p.Occupied(arch.NetworkResource), n["l2.read"]; got != want {
		t.Errorf("%d B come to the cores, want %d", got, want)
	}
	if got, want := p.Occupied(arch.NetworkResource+arch.WriteSuffix), n["hbm.write"]; got != want {
		t.Errorf("%d B leave the cores, want %d", got, want)
	}
	plainA, plainE := makespan(t, productOn(t, func(*arch.Machine) {}))
	if a, e := makespan(t, p); a != plainA || e != plainE {
		t.Errorf("a network that is never the limit: %v and %v, want %v and %v", a, e, plainA, plainE)
	}
	// 108 nodes exchange 12·9·64·4/12 = 2304 B a cycle through the bisection of 12 columns: 3.25 TB/s.
	narrow := productOn(t, mesh(64, 0))
	if got, want := rateOf(narrow, arch.NetworkResource), int64(2304*1410e6); got != want {
		t.Errorf("rate %d, want %d", got, want)
	}
	a, e := evaluate(t, narrow, false)
	if a.Makespan <= plainA || e.Makespan <= plainE || e.Stalls[sim.SRAM] == 0 {
		t.Errorf("a narrow network: %v and %v, %v", a.Makespan, e.Makespan, e.Stalls)
	}
	far := productOn(t, mesh(1000, 200))
	if a, e := makespan(t, far); a <= plainA || e <= plainE {
		t.Errorf("a far one: %v and %v", a, e)
	}
	bare := productOn(t, func(m *arch.Machine) {
		mesh(1000, 0)(m)
		m.Chip.Memory = append(m.Chip.Memory[:1], m.Chip.Memory[2:]...)
	})
	n = counts(bare)
	if got, want := bare.Occupied(arch.NetworkResource), n["hbm.read"]; got != want {
		t.Errorf("without shared memory %d B come to the cores, want %d", got, want)
	}
}

// Stores that go on beside the work cross the network as the last ones do.
func TestExposedStores(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	m.Chip.Network = &interconnect.OnChip{Topology: "mesh", Dimensions: []int64{12, 9}, Width: 64}
	p := alone(t, m, traces.Op{Name: "attention", Kind: traces.Attention, Batch: 8, Heads: 32, KVHeads: 32, HeadDim: 128, QLen: 2048, Causal: true, DType: traces.BF16, KVDType: traces.BF16}, "")
	n := counts(p)
	if got, want := p.Occupied(arch.NetworkResource+arch.WriteSuffix), int64(8*32*2048*128*2); got != want || n["hbm.write"] != want {
		t.Errorf("%d B of %d stored cross the network, want %d", got, n["hbm.write"], want)
	}
}

// A second shared memory takes all that goes to and from memory off chip, once in and once out, and is asked again for
// what the first one had no room to keep.
func TestOuterLevel(t *testing.T) {
	l3 := func(capacity units.Bytes, width float64) func(*arch.Machine) {
		return func(m *arch.Machine) {
			m.Chip.Memory = append(m.Chip.Memory, memory.Spec{Name: "l3", Kind: "sram", Capacity: capacity, Width: units.BytesPerCycle(width)})
		}
	}
	product := func(change func(*arch.Machine)) *plan.Program {
		m := preset(t, "a100-sxm-80gb")
		change(m)
		m.Runtime.Profiles[0].Gemm.Tiles, m.Runtime.Profiles[0].Gemm.Splits = []string{"128x256"}, []int64{1}
		return alone(t, m, traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: 8192, N: 16384, K: 4096, DType: traces.BF16, WeightDType: traces.BF16}, "")
	}
	one, large, small := product(func(*arch.Machine) {}), product(l3(1<<30, 2000)), product(l3(41<<20, 2000))
	n, with, little := counts(one), counts(large), counts(small)
	const operands, result = (8192 + 16384) * 4096 * 2, 8192 * 16384 * 2
	if n["hbm.read"] <= 2*operands {
		t.Fatalf("L2 alone is to read operands again: %d B", n["hbm.read"])
	}
	if with["hbm.read"] != operands {
		t.Errorf("behind 1 GiB %d B come from off chip, want each operand once: %d", with["hbm.read"], operands)
	}
	if with["l3.read"] != n["hbm.read"]+result || with["l3.write"] != operands+result || with["l2.write"] != n["l2.write"] || with["l2.read"] != n["l2.read"] {
		t.Errorf("l3 reads %d and takes %d, l2 takes %d; want %d, %d and %d", with["l3.read"], with["l3.write"], with["l2.write"], n["hbm.read"]+result, operands+result, n["l2.write"])
	}
	if little["hbm.read"] != n["hbm.read"] || little["l3.read"] != n["hbm.read"]+result {
		t.Errorf("behind little more than L2 %d B come from off chip and %d from l3, want %d", little["hbm.read"], little["l3.read"], n["hbm.read"])
	}
	// As fast as memory is the last level a limit, and never faster than its bytes allow.
	slow := product(l3(1<<30, 500))
	bound := units.Time(float64(slow.Occupied("l3")) / (500 * 1410e6) * 1e12)
	oneA, _ := makespan(t, one)
	if a, e := makespan(t, slow); a < bound || e < bound || a <= oneA {
		t.Errorf("a slow last level: %v and %v, its bytes alone need %v, without it %v", a, e, bound, oneA)
	}
	rows := func(change func(*arch.Machine)) map[string]int64 {
		m := preset(t, "a100-sxm-80gb")
		change(m)
		return counts(alone(t, m, traces.Op{Name: "norm", Kind: traces.RMSNorm, Rows: 4096, Cols: 8192, DType: traces.BF16}, ""))
	}
	if r := rows(l3(1<<30, 2000)); r["l3.read"] != r["hbm.read"]+r["hbm.write"] || r["l3.write"] != r["l3.read"] || r["hbm.read"] != rows(func(*arch.Machine) {})["hbm.read"] {
		t.Errorf("rows: %v", r)
	}
}

// Rows of a tile that begin in the same banks are taken one after the other; padded they are not. The
// library of a machine without banks has no conflicts.
func TestBankConflicts(t *testing.T) {
	banks := func(pad units.Bytes) func(*arch.Machine) {
		return func(m *arch.Machine) {
			s := m.Tier("smem")
			s.Banks, s.BankWidth = 32, 4
			p, _ := m.Profile("")
			p.Gemm.Fetch = &arch.Fetch{Rows: 8, Bytes: 16, Pad: pad}
		}
	}
	plain, padded, rows := productOn(t, func(*arch.Machine) {}), productOn(t, banks(16)), productOn(t, banks(0))
	if got, want := padded.Occupied("smem"), plain.Occupied("smem"); got != want {
		t.Errorf("padded rows occupy %d B of time, want %d", got, want)
	}
	// A stage is 64 deep: rows of 128 B, all in the same banks. 128 B in 8 cycles are a quarter of 64 B a cycle.
	if got, want := rows.Occupied("smem"), 4*plain.Occupied("smem"); got != want {
		t.Errorf("rows that begin in the same banks occupy %d B of time, want %d", got, want)
	}
}
