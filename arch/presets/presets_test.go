package presets_test

import (
	"errors"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

func preset(t *testing.T, name string) *arch.Machine {
	t.Helper()
	m, err := presets.Machine(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNames(t *testing.T) {
	names := presets.Names()
	if !slices.IsSorted(names) || !slices.Contains(names, "a100-sxm-80gb") || !slices.Contains(names, "tpu-v4") {
		t.Errorf("presets %q", names)
	}
	// The list belongs to whoever asks.
	names[0] = "mine"
	if slices.Contains(presets.Names(), "mine") {
		t.Error("a caller can change the list")
	}
}

// How a source says that something is no published figure, and how it begins then.
var (
	unmarked = regexp.MustCompile(`(?i)\b(fitted|estimated?|assumed|guess(ed)?|read off)\b`)
	marked   = regexp.MustCompile(`^(fitted|estimated): |^as `)
)

// Every leaf says where it is from, and no source is for something that is not there.
func TestSources(t *testing.T) {
	for _, name := range presets.Names() {
		m := preset(t, name)
		for _, p := range m.Sources.Check(m) {
			t.Errorf("%s: %v", name, p)
		}
		for path, text := range m.Sources {
			// Whoever reads it must be able to look it up or to tell how it was come by.
			if len(strings.Fields(text)) < 2 {
				t.Errorf("%s: source of %s: %q", name, path, text)
			}
			// What is no published figure begins by saying so: constants are listed and counted by it.
			if unmarked.MatchString(text) && !marked.MatchString(text) {
				t.Errorf("%s: the source of %s says in passing that it is fitted or estimated, which begins one, or a part of it has a source of its own: %q", name, path, text)
			}
		}
		if len(spec.Leaves(m)) < 80 {
			t.Errorf("%s has only %d leaves", name, len(spec.Leaves(m)))
		}
	}
}

// Every preset loads, is in order as a whole, has the name of its file, and is the same machine after
// being written and read.
func TestPresets(t *testing.T) {
	for _, name := range presets.Names() {
		m := preset(t, name)
		if m.Name != name {
			t.Errorf("%s.yaml has the name %s", name, m.Name)
		}
		if m.Description == "" {
			t.Errorf("%s has no description", name)
		}
		if err := spec.Validate(m); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := spec.Marshal(m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		back, err := arch.Load("back.yaml", text, presets.Machine)
		if err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s written and read: %v", name, err)
		}
		for _, tier := range m.Chip.Memory {
			if e, ok := m.Energy.Memory[tier.Name]; !ok || e <= 0 {
				t.Errorf("%s: %v for a byte of %s", name, e, tier.Name)
			}
		}
		for dtype := range m.Chip.Cores.Matrix.Rates() {
			if e, ok := m.Energy.Matrix[dtype]; !ok || e <= 0 {
				t.Errorf("%s: %v for an operation in %s", name, e, dtype)
			}
		}
		if m.Power.Idle >= m.Power.Limit || m.Power.Idle+m.Power.Active > m.Power.Limit {
			t.Errorf("%s: %v idle and %v active of %v", name, m.Power.Idle, m.Power.Active, m.Power.Limit)
		}
	}
}

// A preset belongs to whoever asks for it.
func TestMachineIsNew(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	m.Name = "mine"
	m.Chip.Memory[0].Capacity = 1
	m.Energy.Memory["hbm"] = 1
	*m.Chip.Cores.Matrix.Efficiency = 0.5
	if again := preset(t, "a100-sxm-80gb"); again.Name == "mine" || again.Chip.Memory[0].Capacity == 1 || again.Energy.Memory["hbm"] == 1 || *again.Chip.Cores.Matrix.Efficiency == 0.5 {
		t.Error("a caller can change a preset")
	}
}

// The peaks that the vendors publish follow from the parts: operations are cores × units × 2 × clock.
// A100: NVIDIA A100 80GB data sheet (2021). H100: NVIDIA H100 data sheet (2023), without
// sparsity, and those of H200 and HGX B200 (2024); its 67 TFLOP/s in fp32 are at the highest boost clock. TPU v4: Jouppi et al.,
// ISCA 2023, table 4. SN40L: arXiv 2405.07518, table II. RTX A6000, RTX 3090: NVIDIA Ampere GA102 GPU Architecture (2021).
// RTX 4090: NVIDIA Ada GPU Architecture (2022). The others: the data sheets in their files; L40S's 733 TFLOP/s in fp8 are at a
// clock 1 % above that of its 362 in fp16. TPU v3, v5e, v5p, the JAX scaling book: figures as in their files. V100: NVIDIA Tesla V100 GPU
// Architecture (2017).
func TestPeaks(t *testing.T) {
	for _, c := range []struct {
		machine, dtype string
		exact          float64 // operations a second, by hand
		published      float64 // to its last digit
	}{
		{"a100-sxm-80gb", "bf16", 108 * 1024 * 2 * 1.41e9, 312e12},
		{"a100-sxm-80gb", "fp16", 108 * 1024 * 2 * 1.41e9, 312e12},
		{"a100-sxm-80gb", "tf32", 108 * 512 * 2 * 1.41e9, 156e12},
		{"a100-sxm-80gb", "int8", 108 * 2048 * 2 * 1.41e9, 624e12},
		{"a100-sxm-80gb", "int4", 108 * 4096 * 2 * 1.41e9, 1248e12},
		{"a100-sxm-80gb", "fp32", 108 * 64 * 2 * 1.41e9, 19.5e12},
		{"h100-sxm", "bf16", 132 * 2048 * 2 * 1.83e9, 989.4e12},
		{"h100-sxm", "fp16", 132 * 2048 * 2 * 1.83e9, 989.4e12},
		{"h100-sxm", "tf32", 132 * 1024 * 2 * 1.83e9, 494.7e12},
		{"h100-sxm", "fp8", 132 * 4096 * 2 * 1.83e9, 1978.9e12},
		{"h100-sxm", "int8", 132 * 4096 * 2 * 1.83e9, 1978.9e12},
		{"h200-sxm", "bf16", 132 * 2048 * 2 * 1.83e9, 989.4e12},
		{"b200-sxm", "bf16", 148 * 4096 * 2 * 1.856e9, 2250e12},
		{"b200-sxm", "fp8", 148 * 8192 * 2 * 1.856e9, 4500e12},
		{"b200-sxm", "nvfp4", 148 * 16384 * 2 * 1.856e9, 9000e12},
		{"a100-sxm-40gb", "bf16", 108 * 1024 * 2 * 1.41e9, 312e12},
		{"sn40l", "bf16", 1040 * 192 * 2 * 1.6e9, 638e12},
		{"sn40l-16", "bf16", 1040 * 192 * 2 * 1.6e9, 638e12},
		{"rtx-a6000", "fp16", 84 * 512 * 2 * 1.8e9, 154.8e12},
		{"rtx-a6000", "int8", 84 * 1024 * 2 * 1.8e9, 309.7e12},
		{"rtx-a6000", "fp32", 84 * 128 * 2 * 1.8e9, 38.7e12},
		{"a100-pcie-80gb", "bf16", 108 * 1024 * 2 * 1.41e9, 312e12},
		{"a30", "bf16", 56 * 1024 * 2 * 1.44e9, 165e12},
		{"rtx-3090", "fp16", 82 * 256 * 2 * 1.695e9, 71e12},
		{"rtx-3090", "int8", 82 * 1024 * 2 * 1.695e9, 284e12},
		{"a40", "fp16", 84 * 512 * 2 * 1.74e9, 149.7e12},
		{"h100-pcie", "bf16", 114 * 2048 * 2 * 1.62e9, 756e12},
		{"h100-pcie", "fp8", 114 * 4096 * 2 * 1.62e9, 1513e12},
		{"gb200", "bf16", 148 * 4096 * 2 * 2.062e9, 2500e12},
		{"gb200", "nvfp4", 148 * 16384 * 2 * 2.062e9, 10000e12},
		{"l40s", "fp16", 142 * 512 * 2 * 2.49e9, 362e12},
		{"rtx-4090", "fp16", 128 * 256 * 2 * 2.52e9, 165.2e12},
		{"rtx-4090", "fp8", 128 * 512 * 2 * 2.52e9, 330.3e12},
		{"rtx-4090", "int8", 128 * 1024 * 2 * 2.52e9, 660.6e12},
		{"rtx-pro-6000", "bf16", 188 * 512 * 2 * 2.43e9, 467.8e12},
		{"rtx-pro-6000", "nvfp4", 188 * 2048 * 2 * 2.43e9, 1871e12},
		{"arc-pro-b60", "bf16", 20 * 1024 * 2 * 2.4e9, 98.3e12},
		{"arc-pro-b60", "int8", 20 * 2048 * 2 * 2.4e9, 197e12},
		{"mi210", "fp16", 104 * 512 * 2 * 1.7e9, 181e12},
		{"mi210", "fp32", 104 * 128 * 2 * 1.7e9, 45.3e12},
		{"tpu-v4", "bf16", 2 * 4 * 128 * 128 * 2 * 1.05e9, 275e12},
		{"tpu-v4", "int8", 2 * 4 * 128 * 128 * 2 * 1.05e9, 275e12},
		{"tpu-v3", "bf16", 2 * 2 * 128 * 128 * 2 * 0.94e9, 123e12},
		{"tpu-v5e", "bf16", 4 * 128 * 128 * 2 * 1.5e9, 197e12},
		{"tpu-v5p", "bf16", 2 * 4 * 128 * 128 * 2 * 1.75e9, 459e12},
		{"v100-sxm2-32", "fp16", 80 * 512 * 2 * 1.53e9, 125e12},
		{"v100-sxm2-32", "fp32", 80 * 64 * 2 * 1.53e9, 15.7e12},
		{"v100-sxm2-32", "int8", 80 * 256 * 2 * 1.53e9, 62.8e12},
		{"gh200-144", "bf16", 132 * 2048 * 2 * 1.83e9, 989.4e12},
		{"mi250x", "fp16", 110 * 512 * 2 * 1.7e9, 383e12 / 2},
		{"mi300x", "bf16", 304 * 1024 * 2 * 2.1e9, 1307.4e12},
		{"mi300x", "tf32", 304 * 512 * 2 * 2.1e9, 653.7e12},
		{"mi300x", "fp8", 304 * 2048 * 2 * 2.1e9, 2614.9e12},
		{"mi300x", "fp32", 304 * 128 * 2 * 2.1e9, 163.4e12},
		{"gaudi2", "bf16", 2 * 256 * 256 * 2 * 1.65e9, 432e12},
		{"gaudi2", "fp8", 2 * 2 * 256 * 256 * 2 * 1.65e9, 865e12},
		{"gaudi3", "bf16", 8 * 256 * 256 * 2 * 1.75e9, 1835e12},
		{"gaudi3", "fp8", 8 * 256 * 256 * 2 * 1.75e9, 1835e12},
		{"trainium1", "bf16", 2 * 128 * 128 * 2 * 2.8e9, 183.5e12}, // two of the 92 that NKI's documents have; rounded to 190 elsewhere
		{"trainium2", "bf16", 8 * 128 * 128 * 2 * 2.545e9, 667e12},
		{"wormhole-n300", "bf16", 64 * 512 * 2 * 1e9, 131e12 / 2},
		{"ampereone-a192-32", "int8", 192 * 32 * 2 * 3.2e9, 39.3e12}, // two vectors of 16 multiply-adds a cycle; bf16 has half of it
		{"ampereone-a192-32", "bf16", 192 * 16 * 2 * 3.2e9, 39.3e12 / 2},
		{"altra-max-m128-30", "fp16", 128 * 16 * 2 * 3e9, 12.3e12},
		{"altra-max-m128-30", "int8", 128 * 32 * 2 * 3e9, 24.6e12},
		{"wormhole-n300", "fp8", 64 * 1024 * 2 * 1e9, 262e12 / 2},
	} {
		m := preset(t, c.machine)
		dtype, err := traces.ParseDType(c.dtype)
		if err != nil {
			t.Fatal(err)
		}
		rate, err := m.Chip.Cores.Matrix.Rate(dtype)
		if err != nil {
			t.Errorf("%s: %v", c.machine, err)
			continue
		}
		got := 2 * float64(rate) * float64(m.Chip.Cores.Count) * float64(m.Chip.Clock)
		if got != c.exact || math.Abs(got/c.published-1) > 0.003 {
			t.Errorf("%s in %s: %g, by hand %g, published %g", c.machine, c.dtype, got, c.exact, c.published)
		}
	}
}

// The rates and sizes of the memory off the chip, from the same sources; a data sheet's GB of capacity
// is 2^30 bytes, its GB/s of bandwidth 10^9 bytes a second.
func TestMemories(t *testing.T) {
	for _, c := range []struct {
		machine   string
		bandwidth int64
		capacity  units.Bytes
		onChip    units.Bytes // of all tiers on the chip, those of all cores counted
	}{
		{"a100-sxm-80gb", 2039e9, 80 << 30, 40<<20 + 108*164<<10},
		{"h100-sxm", 3350e9, 80 << 30, 50<<20 + 132*228<<10},
		{"h200-sxm", 4800e9, 141 << 30, 50<<20 + 132*228<<10},
		{"b200-sxm", 7700e9, 180 << 30, 126<<20 + 148*228<<10},
		{"a100-sxm-40gb", 1555e9, 40 << 30, 40<<20 + 108*164<<10},
		{"sn40l", 1800e9, 64 << 30, 520 << 20},
		{"sn40l-16", 1800e9, 64 << 30, 520 << 20},
		{"rtx-a6000", 768e9, 48 << 30, 6<<20 + 84*100<<10},
		{"a100-pcie-80gb", 1935e9, 80 << 30, 40<<20 + 108*164<<10},
		{"a30", 933e9, 24 << 30, 24<<20 + 56*164<<10},
		{"rtx-3090", 936e9, 24 << 30, 6<<20 + 82*100<<10},
		{"a40", 696e9, 48 << 30, 6<<20 + 84*100<<10},
		{"h100-pcie", 2039e9, 80 << 30, 50<<20 + 114*228<<10},
		{"gb200", 8000e9, 186 << 30, 126<<20 + 148*228<<10},
		{"l40s", 864e9, 48 << 30, 96<<20 + 142*100<<10},
		{"rtx-4090", 1008e9, 24 << 30, 72<<20 + 128*100<<10},
		{"rtx-pro-6000", 1792e9, 96 << 30, 128<<20 + 188*100<<10},
		{"arc-pro-b60", 456e9, 24 << 30, 18<<20 + 20*256<<10},
		{"mi210", 1638e9, 64 << 30, 8<<20 + 104*64<<10},
		{"tpu-v4", 1200e9, 32 << 30, 128<<20 + 2*16<<20},
		{"tpu-v3", 900e9, 32 << 30, 2 * 16 << 20},
		{"tpu-v5e", 819e9, 16 << 30, 128 << 20},
		{"tpu-v5p", 2765e9, 95 << 30, 128 << 20},
		{"v100-sxm2-32", 900e9, 32 << 30, 6<<20 + 80*96<<10},
		{"gh200-144", 4900e9, 144 << 30, 50<<20 + 132*228<<10},
		{"mi250x", 16384e8, 64 << 30, 8<<20 + 110*64<<10},
		{"mi300x", 5300e9, 192 << 30, 256<<20 + 32<<20 + 304*64<<10},
		{"gaudi2", 2460e9, 96 << 30, 48 << 20},
		{"gaudi3", 3670e9, 128 << 30, 96 << 20},
		{"trainium1", 820e9, 32 << 30, 2 * 24 << 20},
		{"trainium2", 2900e9, 96 << 30, 8 * 28 << 20},
		{"ampereone-a192-32", 3328e8, 512 << 30, 64<<20 + 192*2<<20},
		{"altra-max-m128-30", 2048e8, 512 << 30, 16<<20 + 128<<20},
		{"wormhole-n300", 288e9, 12 << 30, 64 * 1464 << 10},
	} {
		m := preset(t, c.machine)
		off := m.OffChip()
		if off.Kind != off.Name || off.Peak(m.Chip.Clock) != c.bandwidth || off.Capacity != c.capacity {
			t.Errorf("%s: %+v", c.machine, off)
		}
		var on units.Bytes
		for _, tier := range m.Chip.Memory {
			switch {
			case tier.Kind != "sram":
			case tier.Private():
				on += tier.Capacity * units.Bytes(m.Chip.Cores.Count)
			default:
				on += tier.Capacity
			}
		}
		if on != c.onChip {
			t.Errorf("%s: %v on the chip, want %v", c.machine, on, c.onChip)
		}
	}
}

func TestUnknown(t *testing.T) {
	all := strings.Join(presets.Names(), ", ")
	for name, want := range map[string]string{
		"a100-sxm-80":      `unknown machine "a100-sxm-80"; did you mean "a100-sxm-80gb"?`,
		"A100-SXM-80GB":    `unknown machine "A100-SXM-80GB"; did you mean "a100-sxm-80gb"?`,
		"a100-smx-80gb":    `unknown machine "a100-smx-80gb"; did you mean "a100-sxm-80gb"?`,
		"tpuv4":            `unknown machine "tpuv4"; did you mean "tpu-v4"?`,
		"":                 `unknown machine ""; known: ` + all,
		".":                `unknown machine "."; known: ` + all,
		"RTX":              `unknown machine "RTX"; known: rtx-3090, rtx-4090, rtx-a6000, rtx-pro-6000`,
		"../presets":       `unknown machine "../presets"; known: ` + all,
		"\x00\n":           `unknown machine "\x00\n"; known: ` + all,
		"/a100-sxm-80gb/x": `unknown machine "/a100-sxm-80gb/x"; did you mean "a100-sxm-80gb"?`,
	} {
		m, err := presets.Machine(name)
		var unknown *presets.Unknown
		if m != nil || !errors.As(err, &unknown) || unknown.Name != name || err.Error() != want {
			t.Errorf("%q: %v; want %s", name, err, want)
		}
		if text, err2 := presets.Source(name); text != nil || err2 == nil || err2.Error() != want {
			t.Errorf("%q: %v; want %s", name, err2, want)
		}
	}
	if _, err := presets.Machine(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 1000 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}
