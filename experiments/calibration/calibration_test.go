package calibration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/validation"
)

func root(preset string) string {
	_, r, err := presets.Constants(preset)
	if err != nil {
		return ""
	}
	return r
}

const head = "id,device,op_class,shape,M,N,K,dtype,framework,measured_us\n"

// made writes a file of products whose times are those of machines with constants of our choice, and reads it.
func made(t *testing.T, sets map[string]map[string]string, more string) *Data {
	t.Helper()
	o := oracle.New(oracle.Options{})
	var b strings.Builder
	b.WriteString(head)
	for _, device := range []string{"a100-sxm-80gb", "a100-pcie-80gb"} {
		set := sets[device]
		if set == nil {
			continue
		}
		for i, shape := range [][3]int64{{1, 4096, 4096}, {16, 4096, 4096}, {64, 8192, 1024}, {128, 4096, 4096}, {256, 8192, 8192}, {1024, 4096, 4096}, {2048, 2048, 8192}, {4096, 4096, 4096},
			{8192, 8192, 8192}, {8, 28672, 8192}, {32, 5120, 13824}, {512, 1024, 1024}, {4096, 14336, 4096}, {8192, 1024, 4096}, {96, 640, 5120}, {3072, 3072, 12288}} {
			op := validation.Fields{"kind": "gemm", "m": shape[0], "n": shape[1], "k": shape[2], "dtype": "bf16"}
			a, err := validation.Ask(t.Context(), o, validation.Fields{"arch": validation.Fields{"base": device, "set": set}, "op": op, "framework": "compiled", "fidelity": "analytic"})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%d,%s,gemm,x,%d,%d,%d,bf16,compiled,%.6g\n", i, device, shape[0], shape[1], shape[2], 1e6*a["seconds"].(float64))
		}
	}
	b.WriteString(more)
	file := filepath.Join(t.TempDir(), "made.csv")
	if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := Read(t.Context(), file, "a100-sxm-80gb", "a100-sxm-80gb", root, nil, presets.Machine)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func constants(t *testing.T, paths ...string) (list []*Constant) {
	t.Helper()
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		c, err := NewConstant(m, p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// TestRecovers: a fit finds the constants that times were made with, its intervals hold them, and the overlay that it writes loads
// and has them.
func TestRecovers(t *testing.T) {
	want := map[string]string{"chip.memory[hbm].efficiency": "0.7", "runtime.profiles[compiled].launch": "4 us"}
	d := made(t, map[string]map[string]string{"a100-sxm-80gb": want}, "")
	var first string
	for _, workers := range []int{1, 4} {
		r, err := Fit(t.Context(), d.Rows, constants(t, "chip.memory[hbm].efficiency", "runtime.profiles[compiled].launch"), Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		for i, truth := range []float64{0.7, 4} {
			c := &r.Constants[i]
			if c.Value < 0.98*truth || c.Value > 1.02*truth {
				t.Errorf("%s: %g, made with %g", c.Path, c.Value, truth)
			}
			if !(c.Low95 <= c.Value && c.Value <= c.High95) || c.High95-c.Low95 > 0.2*truth {
				t.Errorf("%s: %g, interval %g to %g", c.Path, c.Value, c.Low95, c.High95)
			}
			if c.Up <= r.Lines[0].After.Mean || c.Down <= r.Lines[0].After.Mean {
				t.Errorf("%s: errors %g and %g beside the best, %g at it", c.Path, c.Up, c.Down, r.Lines[0].After.Mean)
			}
		}
		if r.Total[0].Mean < 0.05 || r.Total[1].Mean > 0.02 || !r.Converging {
			t.Errorf("mean error %g before, %g after, starts agree: %t", r.Total[0].Mean, r.Total[1].Mean, r.Converging)
		}
		text, err := Overlay("a100-sxm-80gb", nil, r, d)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(text)
		} else if first != string(text) {
			t.Errorf("one worker:\n%s\nfour:\n%s", first, text)
		}
		m, err := arch.Load("o.yaml", text, presets.Machine)
		if err != nil {
			t.Fatal(err)
		}
		if s := m.Sources["chip.memory[hbm].efficiency"]; !strings.HasPrefix(s, "fitted: gemm rows of made.csv, the first, the third and so on (8 of 16); mean error of all ") {
			t.Errorf("source %q", s)
		}
		again, err := Overlay("mine.yaml", text, r, d)
		if err != nil || !strings.Contains(string(again), "\nbase: a100-sxm-80gb\n") {
			t.Errorf("an overlay of an overlay: %v\n%s", err, again)
		}
	}
}

// TestFamily: constants of a device are fitted for each, those of the family together, and a device that is left out gets the
// middle of the others'.
func TestFamily(t *testing.T) {
	d := made(t, map[string]map[string]string{
		"a100-sxm-80gb":  {"chip.memory[hbm].efficiency": "0.8", "chip.memory[l2].efficiency": "0.6"},
		"a100-pcie-80gb": {"chip.memory[hbm].efficiency": "0.7", "chip.memory[l2].efficiency": "0.6"}}, "")
	r, err := Fit(t.Context(), d.Rows, constants(t, "chip.memory[hbm].efficiency", "chip.memory[l2].efficiency"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Constants) != 3 || r.Constants[0].Machine != "a100-sxm-80gb" || r.Constants[1].Machine != "a100-pcie-80gb" || r.Constants[2].Machine != "" {
		t.Fatalf("%+v", r.Constants)
	}
	for i, truth := range []float64{0.8, 0.7} {
		if v := r.Constants[i].Value; v < 0.97*truth || v > 1.03*truth {
			t.Errorf("%s of %s: %g, made with %g", r.Constants[i].Path, r.Constants[i].Machine, v, truth)
		}
	}
	if len(r.LeftOut) != 2 || r.LeftOut[0].After <= r.LeftOut[0].Before || r.LeftOut[0].After > 0.2 {
		t.Errorf("left out: %+v", r.LeftOut)
	}
}

// TestBadRows: rows that no kernel can have taken and rows that cannot be read are left out, with their lines.
func TestBadRows(t *testing.T) {
	d := made(t, map[string]map[string]string{"a100-sxm-80gb": {"chip.memory[hbm].efficiency": "0.8"}}, ""+
		"20,a100-sxm-80gb,gemm,x,8192,8192,8192,bf16,compiled,2000\n"+ // 3.5 ms at 312 TFLOP/s
		"21,a100-sxm-80gb,gemm,x,1,65536,65536,bf16,compiled,3000\n"+ // 8.6 GB
		"22,a100-sxm-80gb,gemm,x,,8192,8192,bf16,compiled,2000\n"+
		"23,a100-sxm-80gb,gemm,x,1,8192,8192,bf16,compiled,soon\n"+
		"24,a100-sxm-80gb,gemm,x,1,8192,8192,bf16,compiled,NaN\n"+
		"25,a100-sxm-80gb,gemm,x,1,8192,8192,bf16,compiled,-3\n"+
		"26,a100-sxm-80gb,gemm,x,-1,8192,8192,bf16,compiled,3\n"+
		"27,a100-sxm-80gb,gemm\n"+
		"28,h100-sxm,gemm,x,1,8192,8192,bf16,compiled,60\n"+
		"29,a100-sxm-80gb,sort,x,1,8192,8192,bf16,compiled,60\n")
	var got []string
	for _, b := range d.Bad {
		got = append(got, fmt.Sprintf("%d %s", b.Line, b.Why))
	}
	for i, want := range []string{"18 2000 us: its operations alone take 3524 us", "19 3000 us: its bytes alone take 4213 us at the full rate of hbm", "20 M: missing", `21 measured_us: "soon" is no number`,
		`22 measured_us: "NaN" is no number`, "23 measured_us: must be more than 0", "24 invalid (range): ", "25 3 fields, the first line has 10"} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("row %d: want %q, have %q", i, want, got)
			break
		}
	}
	if len(d.Rows) != 16 || len(d.Bad) != 8 {
		t.Errorf("%d rows, %d bad: %q", len(d.Rows), len(d.Bad), got)
	}
	if len(d.Other) != 2 || d.Other[0].Reason != "class sort" || d.Other[1].Reason != "device h100-sxm" {
		t.Errorf("others: %+v", d.Other)
	}
}

// TestRules: what may be fitted has bounds that physics gives it, and there may be only so many.
func TestRules(t *testing.T) {
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{"chip.cores.count", "is a count"}, {"chip.memory[hbm].standard", "is no number"}, {"chip.nothing", "nothing"}, {"chip.memory[hbm].bandwidth", "is known: NVIDIA A100"},
	} {
		if _, err := NewConstant(m, tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.path, err)
		}
	}
	for _, path := range []string{"chip.memory[hbm].efficiency", "runtime.profiles[compiled].launch", "chip.memory[l2].efficiency", "system.scale_up.library.protocols[ring].step"} {
		c, err := NewConstant(m, path)
		if err != nil {
			t.Fatal(err)
		}
		xs := []float64{-1000, 1000}
		for x := -9.0; x < 9; x += 0.37 {
			xs = append(xs, x)
		}
		for _, x := range xs {
			v := c.at(x)
			if v < c.Low || v > c.High {
				t.Errorf("%s: %g beyond %g to %g", path, v, c.Low, c.High)
			}
			trial := *m
			if err := trial.Set(path, c.text(v)); err != nil {
				t.Errorf("%s: a machine refuses %s: %v", path, c.text(v), err)
			}
		}
	}
	for path, part := range map[string]string{
		"energy.memory.l2":                                       arch.Family,
		"chip.memory[hbm].efficiency":                            arch.Device,
		"runtime.kernels.gemm[cublas].fill":                      "gemm[cublas]",
		"system.scale_up.library.protocols[ring].efficiency":     arch.Device, // the share of the links is a figure of the device
		"system.scale_up.library.protocols[ring].base":           "collective[ring]",
		"runtime.profiles[vllm].collective.protocols[ring].base": "collective[vllm ring]",
		"runtime.profiles[vllm-2023-eager].host.sequence":        "host[vllm-2023-eager]",
	} {
		if c, err := NewConstant(m, path); err != nil || c.Part != part {
			t.Errorf("%s: %+v, %v; not of %s", path, c, err, part)
		}
	}
	list := make([]*Constant, 5)
	for i := range list {
		list[i] = &Constant{Path: fmt.Sprint(i), Part: arch.Device}
	}
	if Check(list[:4]) != nil || Check(list) == nil {
		t.Error("four constants of a device are allowed, five are not")
	}
	for i := range list {
		list[i] = &Constant{Path: fmt.Sprint(i), Part: "gemm[cublas]"}
	}
	if Check(list[:3]) != nil || Check(list[:4]) == nil {
		t.Error("three constants of a kernel are allowed, four are not")
	}
}

// TestUsual: every preset has constants to fit for products, and they are within the limits.
func TestUsual(t *testing.T) {
	for _, name := range presets.Names() {
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		paths, err := Usual(m, []Row{{Class: "gemm"}, {Class: "norm"}, {Class: "all_reduce"}})
		if err != nil {
			t.Fatal(err)
		}
		var list []*Constant
		for _, p := range paths {
			c, err := NewConstant(m, p)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			list = append(list, c)
		}
		if err := Check(list); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Contains(paths, "chip.cores.matrix.efficiency") {
			t.Errorf("%s: %q", name, paths)
		}
	}
}
