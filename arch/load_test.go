package arch_test

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/spec"
)

// gpu is a machine that no change to a preset changes.
//
//go:embed testdata/gpu.yaml
var gpu []byte

// resolve finds the base of an overlay: a preset or that machine.
func resolve(name string) (*arch.Machine, error) {
	if name == "gpu" {
		return arch.Load("gpu.yaml", gpu, nil)
	}
	return presets.Machine(name)
}

func machine(t testing.TB, name string) *arch.Machine {
	t.Helper()
	m, err := resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// machines are the names of all presets and of the machine of the tests.
func machines() []string { return append(presets.Names(), "gpu") }

func load(text string) (*arch.Machine, error) { return arch.Load("m.yaml", []byte(text), resolve) }

// A whole machine in a file of its own is the machine that was written there, wherever it speaks of
// bases.
func TestLoadWhole(t *testing.T) {
	for _, name := range machines() {
		m := machine(t, name)
		text, err := spec.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(text), "# base: none\n" + string(text), strings.ReplaceAll(string(text), "\n", "\r\n")} {
			if got, err := load(text); err != nil || !reflect.DeepEqual(got, m) {
				t.Errorf("%s: read back as %v, %v", name, got, err)
			}
		}
	}
	m := machine(t, "gpu")
	m.Description = "on a\nbase: of sand"
	text, err := spec.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := load(string(text)); err != nil || got.Description != m.Description {
		t.Errorf("a text with base: in it: %v", err)
	}
}

// An overlay is one however its keys are written: as JSON too, which is YAML.
func TestLoadOverlay(t *testing.T) {
	want := machine(t, "gpu")
	if err := want.Set("chip.memory[hbm].bandwidth", "4 TB/s"); err != nil {
		t.Fatal(err)
	}
	if err := want.Set("system.chips", "4"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"base: gpu\nset:\n  chip.memory[hbm].bandwidth: 4 TB/s\n  system.chips: 4\n",
		"set:\n  chip.memory[hbm].bandwidth: 4 TB/s\n  system.chips: 4\nbase: gpu\n",
		"  set:\n    chip.memory[hbm].bandwidth: 4 TB/s\n    system.chips: 4\n  base: gpu\n",
		"# a comment\n---\n\nbase:   gpu # another\nset: {'chip.memory[hbm].bandwidth': 4 TB/s, system.chips: 4}\n",
		"\"base\": gpu\n'set': {\"chip.memory[hbm].bandwidth\": 4 TB/s, system.chips: '4'}\n",
		"base : gpu\r\nset :\r\n  chip.memory[hbm].bandwidth: 4 TB/s\r\n  system.chips: 4\r\n",
		`{base: gpu, set: {"chip.memory[hbm].bandwidth": 4 TB/s, system.chips: 4}}`,
		`{"base":"gpu","set":{"chip.memory[hbm].bandwidth":"4 TB/s","system.chips":4}}`,
		"{\n  \"set\": {\n    \"system.chips\": 4,\n    \"chip.memory[hbm].bandwidth\": \"4 TB/s\"\n  },\n  \"base\": \"gpu\"\n}\n",
		// Elements go by their index as well, and values need not differ.
		`{base: gpu, set: {"chip.memory[2].bandwidth": 4 TB/s, system.chips: 4, "chip.clock": 1410 MHz}}`,
	} {
		got, err := load(text)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		if got.Hash() != want.Hash() || got.Description != want.Description {
			t.Errorf("%s\nis another machine: %v", text, differences(got, want))
		}
	}
}

// differences lists the leaves that two machines do not have alike.
func differences(a, b *arch.Machine) []string {
	leaves := func(m *arch.Machine) map[string]string {
		all := map[string]string{}
		spec.Walk(m, func(path, text string) { all[path] = text })
		return all
	}
	x, y := leaves(a), leaves(b)
	var differ []string
	for p := range x {
		if y[p] != x[p] {
			differ = append(differ, fmt.Sprintf("%s: %q, %q", p, x[p], y[p]))
		}
	}
	for p := range y {
		if _, ok := x[p]; !ok {
			differ = append(differ, fmt.Sprintf("%s: only %q", p, y[p]))
		}
	}
	slices.Sort(differ)
	return differ
}

// An overlay that changes nothing is its base, and one that says so has another name.
func TestLoadNames(t *testing.T) {
	m, err := load("base: tpu-v4")
	if err != nil || m.Name != "tpu-v4" || !reflect.DeepEqual(m, machine(t, "tpu-v4")) {
		t.Errorf("%v, %v", m, err)
	}
	m, err = load("{base: tpu-v4, name: mine, description: of my own}")
	if err != nil || m.Name != "mine" || m.Description != "of my own" {
		t.Errorf("%v, %v", m, err)
	}
}

// The base belongs to the resolver, which may keep it.
func TestLoadLeavesBase(t *testing.T) {
	base := machine(t, "gpu")
	kept := func(string) (*arch.Machine, error) { return base, nil }
	m, err := arch.Load("m.yaml", []byte(`{base: x, name: mine, set: {chip.clock: 1 GHz, "chip.memory[l2].capacity": 1 MiB, energy.memory.l2: 1 pJ/B}, sources: {chip.clock: estimated}}`), kept)
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "mine" || m.Chip.Clock != 1e9 || m.Tier("l2").Capacity != 1<<20 || m.Sources["chip.clock"] != "estimated" {
		t.Errorf("changes are missing: %+v", m)
	}
	if !reflect.DeepEqual(base, machine(t, "gpu")) {
		t.Errorf("the base changed: %v", differences(base, machine(t, "gpu")))
	}
}

// The leaves that an overlay sets have its sources, all others those of the base.
func TestLoadSources(t *testing.T) {
	// A list is written in quotes, since values are texts.
	m, err := load(`
base: gpu
set:
  chip.memory[2].bandwidth: 4 TB/s
  chip.memory[hbm].capacity: 96 GiB
  chip.cores.matrix.fma_per_cycle.bf16: 2048
  runtime.profiles[eager].gemm.tiles[0]: 32x32
  runtime.profiles[eager].gemm.splits: "[1, 2]"
  cost.hour: 1 USD/h
sources:
  chip.memory[2].bandwidth: "estimated: HBM4"
  chip.memory[hbm]: "data sheet"
  runtime.profiles[eager].gemm: "fitted: on nothing"
`[1:])
	if err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(machine(t, "gpu").Sources)
	maps.Copy(want, spec.Sources{
		"chip.memory[hbm].bandwidth":           "estimated: HBM4",
		"chip.memory[hbm].capacity":            "data sheet",
		"chip.cores.matrix.fma_per_cycle.bf16": "set in m.yaml",
		"runtime.profiles[eager].gemm.tiles":   "fitted: on nothing",
		"runtime.profiles[eager].gemm.splits":  "fitted: on nothing",
		"cost.hour":                            "set in m.yaml",
	})
	if !maps.Equal(m.Sources, want) {
		t.Errorf("sources %v\nwant %v", m.Sources, want)
	}
	if bad := m.Sources.Check(m); len(bad) > 0 {
		t.Errorf("sources: %v", bad)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "m.yaml:1: the file is empty"},
		{"unknown base", "# base: tpu-v4\n\nname: x\nbase: a100-smx-80gb\n", `m.yaml:4: base: unknown machine "a100-smx-80gb"; did you mean "a100-sxm-80gb"?`},
		{"unknown base, no name near", "{\"name\": \"x\",\n\"base\":\n\"z80\"}", `m.yaml:2: base: unknown machine "z80"; known: ` + strings.Join(presets.Names(), ", ")},
		{"no base", "base:\nset: {chip.clock: 1 GHz}", "m.yaml:1: base: has no value (give one or leave the field out)"},
		{"empty base", "base: ''\n", "m.yaml:1: base: must not be empty"},
		{"two bases", "base: tpu-v4\nbase: tpu-v4\n", "m.yaml:2: base: is given twice, first in line 1"},
		{"list of values", "base: tpu-v4\nset: {chip.clock: 1 GHz,\n  runtime.profiles: [1]}\n", `m.yaml:3: set.runtime.profiles: expected a single value, got a list`},
		{"list", "base: [tpu-v4]\n", `m.yaml:1: base: expected a single value, got a list`},
		{"overlay with fields", "base: tpu-v4\nchip: {clock: 1 GHz}\n", "m.yaml:2: chip: unknown field; the fields here are base, name, description, set, sources"},
		{"bad paths", `
# chip.clok in a comment is in no line
base: gpu
description: chip.clok
set:
  chip.memory[hbm].bandwidth: 3 TB/s
  chip.clok: 1 GHz
  "chip.memory[hbn].capacity": 1 GiB
  chip.clock.x: 1
  chip: 1
`[1:], `m.yaml:6: set.chip.clok: unknown field; the fields here are process, clock, cores, memory, network, dies, area (did you mean "clock"?)
m.yaml:7: set.chip.memory[hbn].capacity: chip.memory[hbn]: no such element; it has smem, l2, hbm (did you mean "hbm"?)
m.yaml:8: set.chip.clock.x: chip.clock: is a single value, without a part ".x"
m.yaml:9: set.chip: is no single value; it has process, clock, cores, memory, network, dies, area (name one of them)`},
		{"bad values", "base: gpu\nset:\n  chip.cores.count: 0\n  chip.clock: 1410\n  power.limit: -1 W\n",
			`m.yaml:3: set.chip.cores.count: "0": must be at least 1
m.yaml:4: set.chip.clock: "1410": a frequency needs a unit, e.g. "1.41 GHz"
m.yaml:5: set.power.limit: "-1 W": must be more than 0 W`},
		// A path that begins as another does has its own line.
		{"prefix", "{base: gpu, set: {\n'runtime.profiles[eager].gemm.splits[1]': 2,\n'runtime.profiles[eager].gemm.splits': '[x]'}}",
			`m.yaml:3: set.runtime.profiles[eager].gemm.splits: runtime.profiles[eager].gemm.splits[0]: "x": must be a whole number`},
		// What only shows in the whole, at what has to do with it.
		{"parts", "base: gpu\nset:\n  chip.clock: 1 GHz\n  chip.memory[hbm].width: 64 B/cycle\n  runtime.default: eagre\n",
			`m.yaml:4: set.chip.memory[hbm].width: "64 B/cycle" does not fit: both bandwidth and width are given (an off-chip tier has a bandwidth, an on-chip tier a width; leave one out)`},
		{"whole", "base: gpu\nset:\n  chip.clock: 1 GHz\n  runtime.profiles[eager].gemm.splits: '[2]'\n  runtime.default: eagre\n",
			`m.yaml:4: set.runtime.profiles[eager].gemm.splits: "[2]" does not fit: 1 must be among the splits
m.yaml:5: set.runtime.default: "eagre" does not fit: gpu has no runtime profile "eagre"; it has [compiled eager]; did you mean "eager"?`},
		{"another place", "{base: gpu, set: {\nchip.cores.matrix.fma_per_cycle.fp8: 2048}}",
			`m.yaml:2: set.chip.cores.matrix.fma_per_cycle.fp8: "2048" does not fit: energy.matrix: no energy per operation for fp8 (add fp8: … pJ/op)`},
		{"sources", "base: gpu\nset: {chip.clock: 1 GHz}\nsources:\n  chip.clock: ' '\n  chip.cores: me\n",
			`m.yaml:4: sources.chip.clock: the source is empty (say where the value is from, or estimated: and how)
m.yaml:5: sources.chip.cores: nothing with this path is set here`},
		{"whole machine", "name: x\nchip: {clock: 5}\n", ""},
	} {
		m, err := load(c.file)
		if m != nil || err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		if c.want != "" && err.Error() != c.want {
			t.Errorf("%s:\n%v\nwant\n%s", c.name, err, c.want)
		}
		complete(t, err)
	}
}

// complete checks that an error of Load says where.
func complete(t *testing.T, err error) {
	t.Helper()
	var e *spec.Error
	if !errors.As(err, &e) || len(e.Problems) == 0 {
		t.Fatalf("%v is no *spec.Error with problems", err)
	}
	last := 0
	for _, p := range e.Problems {
		if p.File != "m.yaml" || p.Line < max(1, last) || p.Message == "" {
			t.Errorf("file %q, line %d after %d: %v", p.File, p.Line, last, p)
		}
		last = p.Line
	}
}

// A change that does not stand alone, and one made of two that need each other.
func TestSet(t *testing.T) {
	m := machine(t, "gpu")
	for _, c := range []struct{ path, value, want string }{
		{"chip.clock", "1 GHz", ""},
		{"chip.memory[hbm].bandwidth", "4 TB/s", ""},
		{"energy.memory.l2", "1 pJ/B", ""},
		{"runtime.profiles[eager].gemm.splits", "[1, 2]", ""},
		{"runtime.default", "eager", ""},
		{"chip.memry[hbm].bandwidth", "4 TB/s", `chip.memry[hbm].bandwidth: chip.memry: unknown field; the fields here are process, clock, cores, memory, network, dies, area (did you mean "memory"?)`},
		{"chip.clock", "0 Hz", `chip.clock: "0 Hz": must be more than 0 Hz`},
		{"chip.memory[hbm].scope", "private", `chip.memory[hbm].scope: "private" does not fit: only sram can be private to a core (leave scope out or say "shared")`},
		{"chip.memory[hbm].name", "dram", `chip.memory[hbm].name: "dram" does not fit: energy.memory: no energy per byte for tier "dram" (add "dram": … pJ/B)`},
		{"energy.memory.l3", "1 pJ/B", `energy.memory.l3: "1 pJ/B" does not fit: there is no such memory tier`},
		{"runtime.host_timed", "none", `runtime.host_timed: "none" does not fit: gpu has no runtime profile "none"; it has [compiled eager]`},
	} {
		before := m.Hash()
		err := m.Set(c.path, c.value)
		if got := fmt.Sprint(err); got != c.want && (c.want != "" || err != nil) {
			t.Errorf("%s = %s:\n%v\nwant\n%s", c.path, c.value, err, c.want)
		}
		var p spec.Problem
		if c.want != "" && (!errors.As(err, &p) || m.Hash() != before) {
			t.Errorf("%s = %s: %T, and the machine changed: %v", c.path, c.value, err, m.Hash() != before)
		}
	}
	if m.Chip.Clock != 1e9 || m.OffChip().Bandwidth != 4e12 || m.Energy.Memory["l2"] != 1e-12 || m.Runtime.Default != "eager" ||
		!slices.Equal(m.Runtime.Profiles[1].Gemm.Splits, []int64{1, 2}) {
		t.Errorf("changes are missing: %v", differences(m, machine(t, "gpu")))
	}
}

// TestPut: a change that needs others is made; one that cannot be is not, nor one to a machine that a copy shares.
func TestPut(t *testing.T) {
	whole := machine(t, "gpu")
	before := whole.Hash()
	m := *whole
	if err := m.Put("chip.memory[hbm].scope", "private"); err != nil || m.OffChip() == nil || spec.Validate(&m) == nil || whole.Hash() != before {
		t.Error(err)
	}
	var p spec.Problem
	if err := m.Put("chip.clock", "0 Hz"); !errors.As(err, &p) || m.Chip.Clock != whole.Chip.Clock {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	m := machine(t, "gpu")
	if err := m.Apply(map[string]string{"chip.memory[l2].width": "0 B/cycle", "chip.memory[l2].bandwidth": "5 TB/s"}); err != nil {
		t.Error(err)
	}
	if l2 := m.Tier("l2"); l2.Width != 0 || l2.Bandwidth != 5e12 {
		t.Errorf("%+v", l2)
	}
	before := m.Hash()
	err := m.Apply(map[string]string{"chip.clock": "1 GHz", "power.limit": "0 W", "chip.cores.count": "-1"})
	if want := "chip.cores.count: \"-1\": must be at least 1\npower.limit: \"0 W\": must be more than 0 W"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	if m.Hash() != before {
		t.Error("a change was made in spite of others that cannot be")
	}
	// What was wrong before is said, at its own path.
	m.System.ScaleUp = nil
	err = m.Apply(map[string]string{"chip.clock": "1 GHz"})
	if want := "system.scale_up: 8 chips need a network between them (add system.scale_up or set chips: 1)"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	if err := m.Apply(nil); err == nil {
		t.Error("no change, no check")
	}
}

// A file of many changes is refused before they are made one by one.
func TestLoadTooMuch(t *testing.T) {
	var b strings.Builder
	b.WriteString("# much\nbase: tpu-v4\nset:\n")
	for i := range 1001 {
		fmt.Fprintf(&b, "  energy.matrix.t%d: 1 pJ/op\n", i)
	}
	_, err := load(b.String())
	if want := "m.yaml:2: set: 1001 changes: must be at most 1000 (describe the machine as a whole)"; err == nil || err.Error() != want {
		t.Errorf("%.300v; want %s", err, want)
	}
	_, err = load(strings.Replace(b.String(), "  energy.matrix.t7: 1 pJ/op\n", "", 1))
	if want := `m.yaml:4: set.energy.matrix.t0: "1 pJ/op" does not fit: the matrix unit has no such data type` + "\n"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%.300v; want %s", err, want)
	}
}

// A base with a mistake of its own is reported at the line that names it.
func TestLoadBadBase(t *testing.T) {
	bad := machine(t, "gpu")
	bad.System.ScaleUp = nil
	_, err := arch.Load("m.yaml", []byte("name: x\nbase: y\nset: {chip.clock: 1 GHz}\n"), func(string) (*arch.Machine, error) { return bad, nil })
	if want := "m.yaml:2: base: system.scale_up: 8 chips need a network between them (add system.scale_up or set chips: 1)"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
}

// FuzzLoad: whatever is in a file, the answer is a machine that is in order or an error that says where.
func FuzzLoad(f *testing.F) {
	for _, name := range presets.Names() {
		text, err := presets.Source(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(gpu)
	for _, text := range []string{
		"", "base: tpu-v4", "base: [", "{base: tpu-v4, set: {chip.clock: 1 GHz}}", `{"base":"gpu","set":{"chip.memory[2].bandwidth":"4 TB/s"},"sources":{"chip":"x"}}`,
		"base: gpu\nset:\n  runtime.profiles[eager].gemm.tiles: '[1x1]'\n  runtime.profiles[0].gemm.tiles[0]: 64x64\n", "base: tpu-v4\nset: {energy.matrix.x: 1 pJ/op, system.scale_up.dimensions: '[]'}",
		"base: tpu-v4\nset: {'chip.memory[9999999999999999999].x': 1, 'x[': 2, '.': 3, ' ': 4, 'chip.memory[]': 5}", "{base: tpu-v4, set: {0]: 0}}", "base: gpu\nsources: {a: b}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := arch.Load("m.yaml", data, resolve)
		if err != nil {
			if m != nil {
				t.Error("a machine and an error")
			}
			complete(t, err)
			return
		}
		if err := spec.Validate(m); err != nil {
			t.Error(err)
		}
		if text, err := spec.Marshal(m); err != nil {
			t.Error(err)
		} else if back, err := arch.Load("m.yaml", text, resolve); err != nil || back.Hash() != m.Hash() {
			t.Errorf("written and read: %v\n%s", err, text)
		}
	})
}
