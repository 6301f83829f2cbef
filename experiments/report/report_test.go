package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/traces/llm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata, and checks what holds for every report.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for i, line := range strings.Split(got, "\n") {
		if n := utf8.RuneCountInString(line); n > Width {
			t.Errorf("%s:%d: %d columns: %s", name, i+1, n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s:%d: ends in a space", name, i+1)
		}
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference. Got:\n%s", name, got)
	}
}

var unicodeStyle = Style{Unicode: true}

// answer is one of a generation as eval.Run makes it, with round figures.
func answer() *eval.Answer {
	a := &eval.Answer{
		Schema: eval.Schema, Arch: "a100-sxm-80gb", Model: "llama2-7b", Phase: "generate", Fidelity: eval.Event,
		Parallel: eval.Parallel{TP: 2, PP: 1, DP: 1, EP: 1}, Batch: 8, Prompt: 512, Generate: 128, DType: "bf16", WeightDType: "int8", KVDType: "bf16", Runtime: "compiled",
		Seconds: 1.6, TTFTSeconds: 0.16, TPOTSeconds: 0.01134, TokensPerSecond: 640, MFU: 0.1234, HFU: 0.1187, BoundBy: "hbm",
		Stalls: eval.StallSeconds{0.12, 0.0123, 1.2, 0, 0.04, 0.2, 0.0277, 0},
		Memory: []eval.Tier{
			{Tier: "smem", Kind: "sram", CapacityBytes: 108 * 164 << 10, PeakBytes: 108 * 96 << 10, ReadBytes: 4_200e9, WrittenBytes: 2_100e9, Utilization: 0.31},
			{Tier: "l2", Kind: "sram", CapacityBytes: 40 << 20, PeakBytes: 40 << 20, ReadBytes: 3_300e9, WrittenBytes: 2_000e9, Utilization: 0.42},
			{Tier: "hbm", Kind: "hbm", CapacityBytes: 80 << 30, PeakBytes: 17 << 30, ReadBytes: 2_000e9, WrittenBytes: 31e9, Utilization: 0.623},
		},
		Energy: eval.Energy{Joules: 412.5, JoulesPerToken: 0.403, Components: map[string]float64{"hbm": 195, "idle": 88, "matrix": 60, "active": 69.5}},
		Power:  eval.Power{AverageWatts: 257.8, PeakWatts: 391, PeakOperator: "mlp.up", LimitWatts: 800},
		Cost:   eval.Cost{USDPerHour: 8.2, USDPerMillionTokens: 3.56},
		Phases: []eval.PhaseTime{{Phase: "prefill", Steps: 1, Seconds: 0.16}, {Phase: "decode", Steps: 127, Seconds: 1.44}},
		Advice: []eval.Advice{
			{Text: "hbm-bound 75 % of the time: +10 % HBM bandwidth → −6.8 % latency"},
			{Text: "launch-bound 13 % of the time: −10 % launch time → −1.3 % latency"},
			{Text: "compute-bound 8 % of the time: +10 % matrix and vector throughput → −0.6 % latency"},
		},
		Footprint: eval.Footprint{WeightBytes: 12 << 30, KVBytes: 4 << 30, ActivationBytes: 1 << 30}, FloorSeconds: 1.21,
		Notes:       []string{"mlp.up would draw 391 W"},
		NotModelled: []string{"clocks that fall at the power limit", "DRAM rows and refresh as events"}, Events: 1_234_567,
		Manifest: eval.Manifest{Version: "0.1.0", ArchHash: "aa", GraphHash: "bb", Key: "0123456789abcdef0123456789abcdef"},
	}
	for i, name := range []string{"mlp.down", "mlp.up", "attention", "qkv", "attn.out", "norm1", "norm2", "rope", "act", "kv.append", "add1", "embed"} {
		a.Operators = append(a.Operators, eval.Operator{Name: name, Kind: "gemm", Phase: "decode", Calls: 127 * 32, Seconds: 0.4 / float64(i+1), Share: 0.25 / float64(i+1), BoundBy: "hbm", Ops: 1 << (40 - i), Bytes: 1 << (36 - i)})
	}
	return a
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name string
		a    func() *eval.Answer
		o    Options
	}{
		{"run.golden", answer, Options{Style: unicodeStyle}},
		{"run_ascii.golden", answer, Options{Ideal: []string{"launch"}, Machine: "my/machine.yaml", Operators: 3}},
		{"run_decode.golden", func() *eval.Answer {
			a := answer()
			a.Phase, a.Generate, a.TTFTSeconds, a.Phases, a.Parallel.TP, a.Fidelity = "decode", 0, 0, a.Phases[1:], 1, eval.Analytic
			a.Advice, a.Notes, a.Cost, a.Events = nil, nil, eval.Cost{}, 0
			return a
		}, Options{Style: unicodeStyle}},
	} {
		var b bytes.Buffer
		if err := Run(&b, tt.a(), tt.o); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.name, b.String())
	}
}

// Whatever answer comes, a report of it can be printed: no division by nothing, no index out of range.
func TestRunOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := Run(&b, &eval.Answer{}, Options{}); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error(text)
	}
}

// Without colour there is no escape sequence, with it each is closed.
func TestColor(t *testing.T) {
	for _, color := range []bool{false, true} {
		var b bytes.Buffer
		if err := Run(&b, answer(), Options{Style: Style{Unicode: true, Color: color}}); err != nil {
			t.Fatal(err)
		}
		open, closed := strings.Count(b.String(), "\x1b["), strings.Count(b.String(), "\x1b[0m")
		if (open > 0) != color || open != 2*closed {
			t.Errorf("color %t: %d sequences, %d of them ends", color, open, closed)
		}
	}
}

func machine() *arch.Machine {
	share := 0.85
	return &arch.Machine{
		Name: "toy", Description: "a machine for tests",
		Chip: arch.Chip{Process: "7 nm", Clock: 1_410_000_000, Cores: arch.Cores{Count: 108,
			Matrix: compute.Matrix{Kind: "mma", FMA: map[string]int64{"bf16": 1024, "fp16": 1024, "tf32": 512, "int8": 2048}},
			Vector: compute.Vector{Lanes: 64, Special: 16}},
			Memory: []memory.Spec{
				{Name: "smem", Kind: "sram", Scope: "private", Capacity: 164 << 10, Width: 64},
				{Name: "l2", Kind: "sram", Scope: "shared", Capacity: 40 << 20, Width: 5120},
				{Name: "hbm", Kind: "hbm", Standard: "HBM2E", Capacity: 80 << 30, Bandwidth: 2039e9, Efficiency: &share},
			}},
		System: arch.System{Chips: 8, ScaleUp: &interconnect.Spec{Topology: "torus", Dimensions: []int64{2, 4}, Bandwidth: 300e9}},
		Runtime: arch.Runtime{Default: "compiled", Profiles: []arch.Profile{
			{Name: "compiled", Description: "kernels replayed from a graph", Launch: 1_400_000, Fusion: []string{"flash-attention", "norm-add"}},
			{Name: "eager", Launch: 1_400_000},
		}},
		Power:   arch.Power{Limit: 400, Idle: 55, Active: 63},
		Cost:    &arch.Cost{Hour: 4.1},
		Sources: map[string]string{"chip": "a data sheet", "power": "estimated: from another"},
	}
}

func TestMachine(t *testing.T) {
	m := machine()
	var b bytes.Buffer
	if err := Machine(&b, m, unicodeStyle); err != nil {
		t.Fatal(err)
	}
	golden(t, "machine.golden", b.String())
	b.Reset()
	m.System = arch.System{Chips: 1}
	m.Chip.Cores = arch.Cores{Count: 2, Matrix: compute.Matrix{Kind: "systolic", Rows: 128, Columns: 128, Arrays: 4, Dataflow: "ws", Mode: "chained", Types: map[string]int64{"bf16": 1}}, Vector: m.Chip.Cores.Vector}
	if err := Machine(&b, m, Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "machine_systolic.golden", b.String())
}

func TestSources(t *testing.T) {
	var b bytes.Buffer
	if err := Sources(&b, []Leaf{{"chip.clock", "1.41 GHz", "data sheet, 2020, page 3"}, {"chip.cores.count", "108", "data sheet, 2020, page 3"},
		{"power.idle", "55 W", "estimated: " + strings.Repeat("as others of its kind, ", 8)}, {"power.active", "63 W", ""}}, unicodeStyle); err != nil {
		t.Fatal(err)
	}
	golden(t, "sources.golden", b.String())
}

func TestModel(t *testing.T) {
	m, err := llm.Preset("llama2-70b")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Model(&b, &m, unicodeStyle); err != nil {
		t.Fatal(err)
	}
	golden(t, "model.golden", b.String())
}

// A decode step multiplies every weight but those of the token table once: two operations a parameter.
func TestTokenOps(t *testing.T) {
	m, err := llm.Preset("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	got, err := TokenOps(&m, 0)
	if err != nil {
		t.Fatal(err)
	}
	norms := (2*m.Layers + 1) * m.Hidden
	weights := float64(m.Parameters() - m.Vocab*m.Hidden - norms)
	attention := 4 * float64(m.Layers*m.Heads*m.HeadDim) // the new token looks at itself
	if want := 2*weights + attention; got != want {
		t.Errorf("%g operations, want %g", got, want)
	}
}
