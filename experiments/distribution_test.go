package experiments

import (
	"context"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/workload"
)

func workloadOf(t *testing.T, text string) *workload.Workload {
	t.Helper()
	w, err := workload.Read("w.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// distributed runs a point with a workload.
func distributed(t *testing.T, p *Point) (*eval.Answer, eval.Request) {
	t.Helper()
	r, err := p.Request()
	if err != nil {
		t.Fatal(err)
	}
	r.Advise = true
	d, err := p.Distribute(context.Background(), &r, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	res.Distribution = d
	return &res.Answer, r
}

// TestOneLengthIsThePlainRun: many requests of one length come to what one of them comes to, to the byte.
func TestOneLengthIsThePlainRun(t *testing.T) {
	for _, phase := range []string{"prefill", "decode", "generate"} {
		p := point(t)
		p.Phase, p.Batch, p.Prompt, p.Generate = phase, 3, 77, 0
		if phase == "generate" {
			p.Generate = 5
		}
		r, err := p.Request()
		if err != nil {
			t.Fatal(err)
		}
		r.Advise = true
		plain, err := eval.Run(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		p.Workload = workloadOf(t, "requests: 9\nseed: 3\nprompt: {fixed: 77}\ngenerate: {fixed: 5}\n")
		p.Prompt, p.Generate = 0, 0
		a, _ := distributed(t, p)
		d := a.Distribution
		same := func(x float64) eval.Spread { return eval.Spread{Mean: x, P50: x, P95: x, P99: x, Min: x, Max: x} }
		for _, f := range []struct {
			name string
			got  *eval.Spread
			want float64
		}{
			{"latency", &d.Latency, plain.Seconds}, {"joules", &d.JoulesPerRequest, plain.Energy.Joules / 3}, {"tokens", &d.TokensPerSecond, plain.TokensPerSecond},
			{"ttft", d.TTFT, plain.TTFTSeconds}, {"tpot", d.TPOT, plain.TPOTSeconds}, {"prompt", &d.PromptTokens, 77},
		} {
			if f.want == 0 && f.got == nil {
				continue
			}
			if *f.got != same(f.want) {
				t.Errorf("%s: %s is %+v, plainly %g", phase, f.name, *f.got, f.want)
			}
		}
		if d.TotalTokensPerSecond != plain.TokensPerSecond || d.Requests != 9 || d.Distinct != 1 || a.Manifest.Seed != 3 {
			t.Errorf("%s: %+v", phase, d)
		}
		if a.Manifest.Key == plain.Manifest.Key {
			t.Errorf("%s: many requests have the key of one", phase)
		}
		rest := *a
		rest.Distribution, rest.Manifest = nil, plain.Manifest
		if !reflect.DeepEqual(rest, plain.Answer) {
			t.Errorf("%s: the rest of the answer is another one", phase)
		}
	}
}

// TestDistributionIsStored: a row with many requests runs again from the database alone, on any number of processors.
func TestDistributionIsStored(t *testing.T) {
	p := point(t)
	p.Phase, p.Prompt, p.TP = "generate", 0, 1
	p.Workload = workloadOf(t, "requests: 40\nseed: 3\nround: 8\nprompt: {uniform: {min: 10, max: 90}}\ngenerate: {uniform: {min: 1, max: 6}}\n")
	a, r := distributed(t, p)
	text, err := EncodeAnswer(a)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.GOMAXPROCS(1)
	again, _ := distributed(t, p)
	runtime.GOMAXPROCS(before)
	if b, err := EncodeAnswer(again); err != nil || string(b) != string(text) {
		t.Errorf("on one processor another answer: %v", err)
	}
	db := database(t)
	row, err := Record(p, &r, a, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Put(context.Background(), row); err != nil {
		t.Fatal(err)
	}
	c, err := Rerun(context.Background(), db, row.Key, nil)
	if err != nil || !c.Same() {
		t.Errorf("%+v, %v", c, err)
	}
	if row.Values["dist_latency_p95_seconds"] != a.Distribution.Latency.P95 || row.Values["dist_seed"] != int64(3) || row.Values["seed"] != int64(3) {
		t.Errorf("%v", row.Values)
	}
}

// TestWorkloadErrors: lengths that no run may have are told as those of the workload, before anything is timed.
func TestWorkloadErrors(t *testing.T) {
	for _, tt := range []struct{ phase, text, want string }{
		{"prefill", "list: [{prompt: 0, generate: 4}]\n", "w.yaml: a prompt of no tokens"},
		{"generate", "list: [{prompt: 4, generate: 0}]\n", "w.yaml: a request with a prompt of 4 generates 0 tokens"},
		{"generate", "list: [{prompt: 4, generate: 40000}]\n", "generates 40000 tokens"},
	} {
		p := point(t)
		p.Phase, p.Prompt, p.Workload = tt.phase, 0, workloadOf(t, tt.text)
		if _, err := p.Request(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
	p := point(t)
	p.Phase, p.Prompt, p.Workload = "decode", 0, workloadOf(t, "list: [{prompt: 0}, {prompt: 5}]\n")
	a, _ := distributed(t, p)
	if a.Distribution.Distinct != 2 || a.Distribution.PromptTokens.Min != 0 {
		t.Errorf("%+v", a.Distribution)
	}
}
