package calibration

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/validation"
)

// measure runs tools/measure with arguments, in a folder.
func measure(t *testing.T, dir, path string, args ...string) (stdout, stderr string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine to run tools/measure with")
	}
	script, err := filepath.Abs(filepath.Join("..", "..", "tools", "measure", "measure.py"))
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	c := exec.Command(python, append([]string{script}, args...)...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &errs
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH="+path)
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out.String(), errs.String()
}

// TestMeasurePlan: every row that tools/measure would measure is one that calibrate reads and a machine can be asked for.
func TestMeasurePlan(t *testing.T) {
	out, _ := measure(t, t.TempDir(), "", "--dry-run", "--name", "h100-sxm")
	list, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := slices.Index(list[0], "measured_us")
	for _, row := range list[1:] {
		row[column] = "1e6" // nothing takes a second
	}
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(list); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "plan.csv")
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := Read(t.Context(), file, "h100-sxm", "h100-sxm", root, nil, presets.Machine)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Bad) > 0 || len(d.Other) > 0 || len(d.Rows) != len(list)-1 || len(d.Rows) < 500 {
		t.Errorf("%d of %d rows; bad %v, others %v", len(d.Rows), len(list)-1, d.Bad, d.Other)
	}
	if got := classesOf(d.Rows); !slices.Equal(got, []string{"attn_decode", "attn_prefill", "elementwise", "gemm", "moe", "norm"}) {
		t.Errorf("classes %q", got)
	}
}

// TestMeasureGoesOn: with a stand-in for PyTorch the file is one that calibrate reads, an interrupted run goes on where it
// stopped, and a line that was cut is measured again.
func TestMeasureGoesOn(t *testing.T) {
	dir := t.TempDir()
	fake, err := filepath.Abs(filepath.Join("testdata", "faketorch"))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--quick", "--no-power", "--repeat", "3"}
	_, log := measure(t, dir, fake, args...)
	file := filepath.Join(dir, "measured.csv")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The stand-in has no rms_norm.
	if !strings.Contains(log, "rmsnorm T16_W4096 bf16: left out: rmsnorm is not in this PyTorch") {
		t.Errorf("log:\n%s", log)
	}
	cases, bad, left, err := validation.Kernels(file)
	if err != nil || len(bad) > 0 || len(left) > 0 || len(cases) < 30 || cases[0].Device != "Stand-in" {
		t.Fatalf("%d cases, bad %v, left %v: %v", len(cases), bad, left, err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-40], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, log = measure(t, dir, fake, args...); strings.Count(log, " us\n") != 1 {
		t.Errorf("an interrupted run measures again:\n%s", log)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("after an interruption:\n%s", again)
	}
}
