package arch_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// What parts demand of one another, each broken by one change to a machine that is in order.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *arch.Machine)
		want   string
	}{
		{"nothing", func(*arch.Machine) {}, ""},
		{"one chip", func(m *arch.Machine) { m.System.Chips, m.System.ScaleUp = 1, nil }, ""},
		{"no network", func(m *arch.Machine) { m.System.ScaleUp = nil }, "system.scale_up: 8 chips need a network between them (add system.scale_up or set chips: 1)"},
		{"default", func(m *arch.Machine) { m.Runtime.Default = "compield" },
			`runtime.default: gpu has no runtime profile "compield"; it has [compiled eager]; did you mean "compiled"?`},
		{"host timed", func(m *arch.Machine) { m.Runtime.HostTimed = "eagre" },
			`runtime.host_timed: gpu has no runtime profile "eagre"; it has [compiled eager]; did you mean "eager"?`},
		{"nothing host timed", func(m *arch.Machine) { m.Runtime.HostTimed = "" }, ""},
		{"only on chip", func(m *arch.Machine) { drop(m, "hbm") }, "chip.memory: no tier holds the weights (add a tier of kind hbm, gddr, lpddr or ddr)"},
		{"only off chip", func(m *arch.Machine) { drop(m, "l2"); drop(m, "smem") }, "chip.memory: no on-chip tier (add a tier of kind sram)"},
		{"one on-chip tier is enough", func(m *arch.Machine) { drop(m, "l2") }, ""},
		{"tiers without energy", func(m *arch.Machine) { m.Energy.Memory = map[string]units.JoulesPerByte{"l2": 1} },
			`energy.memory: no energy per byte for tier "smem" (add "smem": … pJ/B)
energy.memory: no energy per byte for tier "hbm" (add "hbm": … pJ/B)`},
		{"energy without a tier", func(m *arch.Machine) { m.Energy.Memory["l1"], m.Energy.Memory["hbm2"] = 1, 1 },
			"energy.memory.hbm2: there is no such memory tier\nenergy.memory.l1: there is no such memory tier"},
		{"types without energy", func(m *arch.Machine) { delete(m.Energy.Matrix, "int8"); delete(m.Energy.Matrix, "bf16") },
			"energy.matrix: no energy per operation for bf16 (add bf16: … pJ/op)\nenergy.matrix: no energy per operation for int8 (add int8: … pJ/op)"},
		{"energy without a type", func(m *arch.Machine) { m.Energy.Matrix["fp8"], m.Energy.Matrix["bfloat16"] = 1, 1 },
			"energy.matrix.bfloat16: the matrix unit has no such data type\nenergy.matrix.fp8: the matrix unit has no such data type"},
		{"tier named as a unit", func(m *arch.Machine) {
			m.Chip.Memory[1].Name = "vector"
			m.Energy.Memory["vector"] = m.Energy.Memory["l2"]
			delete(m.Energy.Memory, "l2")
		}, "chip.memory[vector].name: is the name of another part of a chip (choose another name)"},
		{"tile", func(m *arch.Machine) { m.Runtime.Profiles[0].Gemm.Tiles = []string{"64x64", "64"} },
			`runtime.profiles[compiled].gemm.tiles: "64" is not a tile (write "128x256")`},
		{"splits", func(m *arch.Machine) { m.Runtime.Profiles[1].Gemm.Splits = []int64{2, 0, 1025} },
			`runtime.profiles[eager].gemm.splits: 0: must be from 1 to 1024
runtime.profiles[eager].gemm.splits: 1025: must be from 1 to 1024
runtime.profiles[eager].gemm.splits: 1 must be among the splits`},
		{"rule", func(m *arch.Machine) { m.Runtime.Profiles[0].Gemm.UpTo = []int64{16, 8} },
			"runtime.profiles[compiled].gemm.up_to: 2 numbers for 2 tiles: must be rising, one for each tile but the last"},
		{"variants", func(m *arch.Machine) {
			p := &m.Runtime.Profiles[0]
			p.GemmFor = []arch.GemmVariant{{Name: "narrow", Types: []string{"e4m3"}, Kernel: p.Gemm}}
			p.GemmFor[0].Kernel.Splits = []int64{2}
			p.AttentionFor = []arch.AttentionVariant{{Name: "narrow", Cache: []string{"float8"}, Kernel: *p.Attention}}
		}, `runtime.profiles[compiled].gemm_for[narrow].types: another name of fp8 (write fp8)
runtime.profiles[compiled].gemm_for[narrow].kernel.splits: 1 must be among the splits
runtime.profiles[compiled].attention_for[narrow].cache: another name of fp8 (write fp8)`},
		{"pipeline", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Fusion = []string{"flash-attention", "decoder-pipeline"}
		}, "runtime.profiles[compiled].pipeline: fusion lists decoder-pipeline but it is not described (add the pipeline block or remove the fusion)"},
		{"the rest", func(m *arch.Machine) { m.Runtime.Profiles[0].Vector[1].Kinds = []string{"add"} },
			`runtime.profiles[compiled].vector: no entry for the rest of the kinds (add one with kinds: ["*"])`},
		{"unknown kinds", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Vector[1].Kinds = []string{"*", "sofmax", "gemm"}
			m.Runtime.Profiles[0].HostSync = map[string]units.Time{"default": 1, "gemm": 1, "layer-norm": 1, "*": 1}
		}, `runtime.profiles[compiled].host_sync.*: "*": there is no such kind of operator here
runtime.profiles[compiled].host_sync.layer-norm: "layer-norm": there is no such kind of operator here (did you mean "layernorm"?)
runtime.profiles[compiled].vector[row].kinds: "sofmax": there is no such kind of operator here (did you mean "softmax"?)
runtime.profiles[compiled].vector[row].kinds: "gemm": there is no such kind of operator here (did you mean "gemv"?)`},
		{"operators of a host", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Host = &arch.Host{Operators: map[string]int64{"gem": 2, "gemm+bias": 2, "layernorm": 2}}
		}, `runtime.profiles[compiled].host.operators.gem: "gem": there is no such kind of operator here (did you mean "gemm"?)`},
		{"kernels of an operator", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Kernels = map[string]int64{"softmx": 2, "gemm+bias": 2, "softmax": 2}
		}, `runtime.profiles[compiled].kernels.softmx: "softmx": there is no such kind of operator here (did you mean "softmax"?)`},
		{"packed without its rate", func(m *arch.Machine) { m.Runtime.Profiles[0].Vector[0].Kinds = []string{"gemv-packed"} },
			`runtime.profiles[compiled].vector[gemv].lookup: is for an entry whose only kind is gemv-packed, which needs it (e.g. "lookup: 128 B/cycle")`},
		{"a rate that nothing uses", func(m *arch.Machine) { m.Runtime.Profiles[0].Vector[0].Lookup = 128 },
			`runtime.profiles[compiled].vector[gemv].lookup: is for an entry whose only kind is gemv-packed, which needs it (e.g. "lookup: 128 B/cycle")`},
		{"kinds twice", func(m *arch.Machine) { m.Runtime.Profiles[0].Vector[1].Kinds = []string{"gemv", "*", "*"} },
			`runtime.profiles[compiled].vector[row].kinds: "gemv" is in the kinds of "gemv" already (leave one of them out)
runtime.profiles[compiled].vector[row].kinds: "*" is in the kinds of "row" already (leave one of them out)`},
		{"blocks that are never used", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Vector[1].Blocks = []arch.RowBlock{{From: 4096, Rows: 1, Width: 8}, {UpTo: 9, Rows: 1, Width: 8}, {Rows: 1, Width: 8}, {UpTo: 99, From: 8, Rows: 1, Width: 8}}
		}, `runtime.profiles[compiled].vector[row].blocks: entry 4 is never used (write up_to in rising order and from in falling order, the last without either)`},
		{"chains", func(m *arch.Machine) {
			m.Runtime.Profiles[0].Chains = []arch.Chain{{Name: "a", Kinds: []string{"rmsnorm", "gemm"}, Kernels: []arch.ChainKernel{{Name: "mean", Reads: []string{"x", "row fp32"}, Like: "reduc"}, {Name: "sum", Like: "reduce"}}},
				{Name: "b", Kinds: []string{"rmsnorm"}, Kernels: []arch.ChainKernel{{Name: "copy", Writes: []string{"y"}}}}}
		}, `runtime.profiles[compiled].chains[a].kinds: "gemm": there is no such kind of operator here
runtime.profiles[compiled].chains[a].kernels[mean].like: "reduc": there is no such kind of operator here (did you mean "reduce"?)
runtime.profiles[compiled].chains[b].kinds: "rmsnorm" is in the kinds of "a" already (leave one of them out)
runtime.profiles[compiled].chains[b].kernels[copy].writes: unknown data type "y"; known: bf16, fp16, fp32, tf32, fp8, int8, int4, int32, fp8-b128, int4-g64, int4-g32, int3-g128, mxfp8, mxfp6, mxfp4, nvfp4, nf4, nf4-dq, int8-g128, int3-channel (write "x" for the operator's own format, "row fp32" for a number for each row)`},
		{"mixtures of experts", func(m *arch.Machine) {
			m.Runtime.Profiles[0].MoE = &arch.MoEKernel{Types: []string{"e4m3"}, Tiles: []string{"16x64", "64"}, UpTo: []int64{3, 2}, Depth: 64, MatrixShare: 1}
		}, `runtime.profiles[compiled].moe.tiles: "64" is not a tile (write "64x128")
runtime.profiles[compiled].moe.types: another name of fp8 (write fp8)
runtime.profiles[compiled].moe.up_to: 2 numbers for 2 tiles: must be rising, one for each tile but the last`},
		{"a cache of one core", func(m *arch.Machine) { m.Chip.Memory[0].Replay = 0.5 },
			`chip.memory[smem].replay: only a shared tier on chip has it (leave it out)`},
		{"fusion without its kernel", func(m *arch.Machine) { m.Runtime.Profiles[0].Attention = nil },
			"runtime.profiles[compiled].attention: fusion lists flash-attention but its kernel is not described (add the attention block or remove the fusion)"},
	} {
		m := machine(t, "gpu")
		c.change(m)
		err := spec.Validate(m)
		if got := fmt.Sprint(err); got != c.want && (c.want != "" || err != nil) {
			t.Errorf("%s:\n%v\nwant\n%s", c.name, err, c.want)
		}
	}
}

// drop removes a memory tier and its energy.
func drop(m *arch.Machine, tier string) {
	m.Chip.Memory = slices.DeleteFunc(m.Chip.Memory, func(s memory.Spec) bool { return s.Name == tier })
	delete(m.Energy.Memory, tier)
}

func TestParseTile(t *testing.T) {
	for text, want := range map[string][2]int64{"1x1": {1, 1}, "128x256": {128, 256}, "1048576x1048576": {1 << 20, 1 << 20}} {
		if r, c, err := arch.ParseTile(text); err != nil || [2]int64{r, c} != want {
			t.Errorf("%q: %d, %d, %v", text, r, c, err)
		}
	}
	for _, text := range []string{"", "x", "128", "128x", "x128", "0x128", "128x0", "-1x1", "1x-1", "+1x1", "01x1", "1x1x1", "1X1", "1 x 1", " 1x1", "1048577x1", "1x1048577",
		"1x99999999999999999999", "0x10", "1_0x1", "١x1", strings.Repeat("9", 1000)} {
		if r, c, err := arch.ParseTile(text); err == nil || r != 0 || c != 0 || !strings.HasSuffix(err.Error(), " is not a tile") || len(err.Error()) > 100 {
			t.Errorf("%q: %d, %d, %v", text, r, c, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.Int64Range(1, 1<<20)
		r, c := side.Draw(t, "rows"), side.Draw(t, "columns")
		if r2, c2, err := arch.ParseTile(fmt.Sprintf("%dx%d", r, c)); err != nil || r2 != r || c2 != c {
			t.Fatalf("%d, %d, %v", r2, c2, err)
		}
	})
}

func TestProfile(t *testing.T) {
	m := machine(t, "gpu")
	for _, c := range []struct {
		name  string
		timed bool
		want  string
	}{{"", false, "compiled"}, {"", true, "eager"}, {"eager", false, "eager"}, {"compiled", true, "compiled"}} {
		p, err := m.ProfileFor(c.name, c.timed)
		if err != nil || p.Name != c.want {
			t.Errorf("%q, host timed %v: %v, %v; want %s", c.name, c.timed, p, err, c.want)
		}
	}
	m.Runtime.HostTimed = ""
	if p, err := m.ProfileFor("", true); err != nil || p.Name != "compiled" {
		t.Errorf("no profile for what the host times: %v, %v", p, err)
	}
	// What is returned is the machine's own, not a copy.
	p, err := m.Profile("eager")
	if err != nil {
		t.Fatal(err)
	}
	if p.Launch = 77; m.Runtime.Profiles[1].Launch != 77 {
		t.Error("a profile is a copy")
	}
	for name, want := range map[string]string{
		"Eager":  `gpu has no runtime profile "Eager"; it has [compiled eager]; did you mean "eager"?`,
		"compil": `gpu has no runtime profile "compil"; it has [compiled eager]; did you mean "compiled"?`,
		"sglang": `gpu has no runtime profile "sglang"; it has [compiled eager]`,
	} {
		if p, err := m.Profile(name); p != nil || err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %s", name, p, err, want)
		}
	}
}

func TestTiers(t *testing.T) {
	m := machine(t, "gpu")
	name := func(s *memory.Spec) string {
		if s == nil {
			return "none"
		}
		return s.Name
	}
	if got := fmt.Sprintln(name(m.OffChip()), name(m.SharedSRAM()), name(m.PrivateSRAM()), name(m.Tier("hbm")), name(m.Tier("l3"))); got != "hbm l2 smem hbm none\n" {
		t.Error(got)
	}
	// Of several tiers off the chip the fastest counts, wherever it stands; of equals the first.
	m.Chip.Memory = append([]memory.Spec{{Name: "slow", Kind: "ddr", Bandwidth: 1e9}}, append(m.Chip.Memory, memory.Spec{Name: "same", Kind: "gddr", Bandwidth: 2039e9})...)
	if got := name(m.OffChip()); got != "hbm" {
		t.Error(got)
	}
	m.Chip.Memory = nil
	if got := fmt.Sprintln(name(m.OffChip()), name(m.SharedSRAM()), name(m.PrivateSRAM()), name(m.Tier(""))); got != "none none none none\n" {
		t.Error(got)
	}
}

func TestCollectiveLibrary(t *testing.T) {
	m := machine(t, "gpu")
	if got := m.CollectiveLibrary(&m.Runtime.Profiles[0]); got != &m.System.ScaleUp.Library {
		t.Errorf("%+v is not the network's own", got)
	}
	if got := m.CollectiveLibrary(&m.Runtime.Profiles[1]); got != m.Runtime.Profiles[1].Collective || got == nil {
		t.Errorf("%+v is not the profile's", got)
	}
	p := arch.Profile{Fusion: []string{"norm-add"}}
	if !p.Fuses("norm-add") || p.Fuses("norm") || p.Fuses("") {
		t.Error("fuses what it does not")
	}
}

// Nothing that cannot change an answer is in the hash: where figures are from, how the machine and its
// profiles are described, how the file is written, in which order its keys stand.
func TestHashIgnores(t *testing.T) {
	for _, name := range machines() {
		m := machine(t, name)
		want := m.Hash()
		if len(want) != 64 || m.Hash() != want {
			t.Errorf("%s: hash %s, then %s", name, want, m.Hash())
		}
		sources, text := maps.Clone(m.Sources), m.Description
		m.Sources, m.Description = nil, ""
		for i := range m.Runtime.Profiles {
			m.Runtime.Profiles[i].Description += "."
		}
		if got := m.Hash(); got != want {
			t.Errorf("%s without sources: %s, not %s", name, got, want)
		}
		if !strings.HasSuffix(m.Runtime.Profiles[0].Description, ".") {
			t.Error("the hash changed the machine")
		}
		m.Sources, m.Description = sources, text
		written, err := spec.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := load("# a comment\n" + string(written))
		if err != nil || again.Hash() != want {
			t.Errorf("%s written and read: %v", name, err)
		}
	}
	if machine(t, "gpu").Hash() == machine(t, "tpu-v4").Hash() {
		t.Error("two machines have one hash")
	}
}

// Every other leaf of every preset is in the hash: change one, and it changes; change it back, and it is
// the old one.
func TestHashCovers(t *testing.T) {
	for _, name := range machines() {
		m := machine(t, name)
		want := m.Hash()
		seen := map[string]string{want: "the machine itself"}
		for _, l := range spec.Leaves(m) {
			if strings.HasSuffix(l.Path, "description") || strings.HasSuffix(l.Path, ".use") || strings.HasPrefix(l.Path, "runtime.kernels") && strings.HasSuffix(l.Path, ".name") {
				continue // names of kernels stand for what they name
			}
			if arch.Aside(l.Path) {
				continue // no answer depends on them
			}
			c := *m
			to, err := another(&c, l)
			if err != nil {
				t.Errorf("%s: %s: %v", name, l.Path, err)
				continue
			}
			got := c.Hash()
			if by, ok := seen[got]; ok {
				t.Errorf("%s: %s = %s has the hash of %s", name, l.Path, to, by)
			}
			seen[got] = l.Path
			back := l.Path
			if strings.HasSuffix(l.Path, ".name") { // which changed the path as well
				if i := strings.LastIndex(l.Path, "["+l.Text+"]"); i >= 0 {
					back = l.Path[:i] + "[" + to + "]" + l.Path[i+len(l.Text)+2:]
				}
			}
			if err := spec.Set(&c, back, l.Text); err != nil || c.Hash() != want {
				t.Errorf("%s: %s back to %s: %v", name, back, l.Text, err)
			}
		}
		if m.Hash() != want {
			t.Errorf("%s: the machine changed", name)
		}
		if len(seen) < 80 {
			t.Errorf("%s: only %d leaves were tried", name, len(seen))
		}
	}
}

var (
	number = regexp.MustCompile(`^[0-9.]+`)
	choice = regexp.MustCompile(`must be one of ([^(]*)`)
)

// another gives a leaf another value that its field allows, and returns it.
func another(m *arch.Machine, l spec.Leaf) (string, error) {
	var tries []string
	list := strings.HasPrefix(l.Text, "[")
	if n := number.FindString(l.Text); n != "" {
		if x, err := strconv.ParseFloat(n, 64); err == nil {
			for _, y := range []float64{x + 1, x / 2, x - 1} {
				tries = append(tries, strconv.FormatFloat(y, 'f', -1, 64)+l.Text[len(n):])
			}
		}
	}
	switch {
	case list:
		tries = append(tries, "[77x77]", "[77]")
	case l.Text == "true", l.Text == "false":
		tries = append(tries, strconv.FormatBool(l.Text == "false"))
	default:
		tries = append(tries, l.Text+"x")
	}
	var err error
	for i := 0; i < len(tries); i++ {
		if tries[i] == l.Text {
			continue
		}
		if err = spec.Set(m, l.Path, tries[i]); err == nil {
			return tries[i], nil
		}
		if c := choice.FindStringSubmatch(err.Error()); c != nil && len(tries) < 10 {
			for _, word := range strings.Split(strings.TrimSpace(c[1]), ", ") {
				if list {
					word = "[" + word + "]"
				}
				tries = append(tries, word)
			}
		}
	}
	return "", fmt.Errorf("no other value will do: %w", err)
}

// The least change of a figure that a file can make is a change of the machine.
func TestHashLastBit(t *testing.T) {
	m := machine(t, "gpu")
	before := m.Hash()
	m.Energy.Memory["hbm"] = units.JoulesPerByte(math.Nextafter(float64(m.Energy.Memory["hbm"]), 1))
	if m.Hash() == before {
		t.Error("the last bit of an energy is not in the hash")
	}
}

// TestLaunches: a kind that is not listed is one operator, a product with a bias at least what a product is, and
// kernels of a phase that replays from a graph are none.
func TestLaunches(t *testing.T) {
	h := &arch.Host{Operator: 10, Operators: map[string]int64{"gemm": 3, "rope": 0}, Graph: []string{"decode"}}
	for _, c := range []struct {
		kind, phase string
		want        units.Time
	}{{"add", "prefill", 10}, {"gemm", "prefill", 30}, {arch.BiasedProduct, "prefill", 30}, {"rope", "prefill", 0}, {"gemm", "decode", 0}} {
		if got := h.Launches(c.kind, c.phase); got != c.want {
			t.Errorf("%s in %s: %v, want %v", c.kind, c.phase, got, c.want)
		}
	}
	if got := (*arch.Host)(nil).Launches("gemm", "prefill"); got != 0 {
		t.Errorf("no host: %v", got)
	}
}

// A profile that refers to kernels is the profile with them in place, whatever is changed where.
func TestKernelsByName(t *testing.T) {
	m := machine(t, "a100-sxm-80gb")
	written := *m
	written.WriteOut()
	if written.Hash() != m.Hash() {
		t.Error("where a kernel is written changes the hash")
	}
	p, err := m.Profile("vllm")
	if err != nil {
		t.Fatal(err)
	}
	before := m.Resolved(p).Gemm
	if p.Gemm.Use != "cublas" || before.Fill == 0 || before.Name != "" {
		t.Fatalf("%+v", p.Gemm)
	}
	// All that use it change with the kernel.
	all := *m
	if err := all.Set("runtime.kernels.gemm[cublas].fill", "9 us"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"compiled", "vllm"} {
		p, _ := all.Profile(name)
		if got := all.Resolved(p).Gemm.Fill; got != 9*units.Microsecond {
			t.Errorf("%s: %v", name, got)
		}
	}
	// One alone changes with its profile, where each kernel can be written.
	one := *m
	for path, value := range map[string]string{"gemm.fill": "9 us", "vector[fused-row].fill": "8 us", "attention.fill": "7 us", "moe.sort": "6 us"} {
		if err := one.Set("runtime.profiles[vllm]."+path, value); err != nil {
			t.Fatal(err)
		}
	}
	p, _ = one.Profile("vllm")
	r := one.Resolved(p)
	if r.Gemm.Fill != 9*units.Microsecond || r.Attention.Fill != 7*units.Microsecond || r.MoE.Sort != 6*units.Microsecond || r.Vector[1].Fill != 8*units.Microsecond || p.Gemm.Use != "" {
		t.Errorf("%+v", r)
	}
	if p, _ := one.Profile("compiled"); one.Resolved(p).Gemm.Fill != before.Fill {
		t.Error("another profile changed too")
	}
	if problems := one.Sources.Check(&one); len(problems) > 0 {
		t.Errorf("%v", problems)
	}
	if p, _ := m.Profile("vllm"); m.Resolved(p).Gemm.Fill != before.Fill || p.Gemm.Use != "cublas" {
		t.Error("the machine that was copied changed")
	}
	for path, want := range map[string]string{
		"runtime.profiles[vllm].gemm.use":              `"x" does not fit: runtime.profiles[vllm].gemm.use: "x": no such kernel in runtime.kernels`,
		"runtime.profiles[vllm].attention.use":         `no such kernel in runtime.kernels`,
		"runtime.profiles[vllm].vector[fused-row].use": `no such kernel in runtime.kernels`,
		"runtime.kernels.gemm[cublas].use":             `refers to another kernel`,
		"runtime.profiles[vllm].gemm.name.something":   `single value`,
	} {
		if err := m.Set(path, "x"); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, `"x" does not fit: runtime.profiles[vllm].gemm.use: `)) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// Beside the name of a kernel nothing else is given.
func TestUseStandsAlone(t *testing.T) {
	text, err := spec.Marshal(machine(t, "a100-sxm-80gb"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = load(strings.Replace(string(text), "        use: cublas\n", "        use: cublas\n        depth: 64\n", 1))
	if err == nil || !strings.Contains(err.Error(), `runtime.profiles[compiled].gemm.depth: is given beside "use", which stands for it`) {
		t.Errorf("%v", err)
	}
	_, err = load(strings.Replace(string(text), "        use: cublas\n", "        use: cubals\n", 1))
	if err == nil || !strings.Contains(err.Error(), `did you mean "cublas"?`) {
		t.Errorf("%v", err)
	}
}
