package experiments

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
)

// All that is wrong with a point is said at once, each under the name of its flag.
func TestProblemsOfAPoint(t *testing.T) {
	p := point(t)
	p.Options = Options{Phase: "sideways", Batch: -1, Prompt: 1 << 40, DType: "bf17", KVDType: "int9", Runtime: "egaer", TP: 1}
	_, err := p.Request()
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, field := range []string{"phase", "batch", "prompt", "dtype", "kv-dtype", "runtime"} {
		found := false
		for _, e := range problems {
			var invalid *Invalid
			found = found || errors.As(e, &invalid) && invalid.Field == field
		}
		if !found {
			t.Errorf("nothing about %s in:\n%v", field, err)
		}
	}
	p.Options = Options{Phase: "train", DType: "bf17", Runtime: "egaer", Generate: 4, KVDType: "int8", TP: 2,
		Training: &TrainOptions{MicroBatch: 1, GlobalBatch: 7, DP: 2, Recompute: "most", Schedule: "2f2b", MasterDType: "int8", Stragglers: "9:0.5"}}
	if _, err = p.Request(); !errors.As(err, &problems) {
		t.Fatal(err)
	}
	for _, field := range []string{"dtype", "runtime", "generate", "kv-dtype", "recompute", "schedule", "master-dtype", "stragglers"} {
		if !slices.ContainsFunc(problems, func(e error) bool { var i *Invalid; return errors.As(e, &i) && i.Field == field }) {
			t.Errorf("nothing about %s in:\n%v", field, err)
		}
	}
}

func TestProblems(t *testing.T) {
	var p Problems
	p.Add(nil)
	if p.Err() != nil {
		t.Error("nothing is a problem")
	}
	one, two := errors.New("one"), errors.New("two")
	p.Add(one)
	if p.Err() != one {
		t.Error("a single problem is not itself")
	}
	p.Add(Problems{two, one})
	if len(p) != 3 || !errors.Is(p.Err(), two) || p.Err().Error() != "one\ntwo\none" {
		t.Errorf("%q", p.Err())
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, make([]byte, MaxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, want string }{
		{"a100-smx-80gb", `did you mean "a100-sxm-80gb"?`},
		{dir, "is a directory"},
		{filepath.Join(dir, "none.yaml"), "no such file"},
		{big, "too large"},
	} {
		if _, err := MachineOf(tt.name, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("machine %s: %v", tt.name, err)
		}
	}
	if _, err := ModelOf("gpt3-175c"); err == nil || !strings.Contains(err.Error(), `did you mean "gpt3-175b"?`) {
		t.Errorf("model: %v", err)
	}
	if _, err := MachineOf("tpu-v4", []string{"x", "chip.clock=0 Hz"}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two bad --set: %v", err)
	}
	if _, err := TraceOf(dir, nil); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("trace: %v", err)
	}
}

// What a trace says itself is not made up.
func TestDefaults(t *testing.T) {
	p := point(t)
	g, err := p.Graph()
	if err != nil {
		t.Fatal(err)
	}
	q := &Point{Machine: p.Machine, Trace: g}
	q.Defaults()
	if q.TP != 1 || q.Fidelity != eval.Event || q.Phase != "" || q.Batch != 0 || q.Prompt != 0 {
		t.Errorf("%+v", q.Options)
	}
	r := &Point{Machine: p.Machine, Model: p.Model}
	r.Defaults()
	if r.Phase != "generate" || r.Batch != 1 || r.Prompt != 512 || r.Generate != 128 {
		t.Errorf("%+v", r.Options)
	}
}
