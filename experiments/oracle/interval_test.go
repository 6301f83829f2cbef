package oracle

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/uncertainty"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

type intervalAnswer struct {
	Seconds  float64        `json:"seconds"`
	Joules   float64        `json:"joules"`
	TTFT     float64        `json:"ttft_seconds"`
	TPOT     float64        `json:"tpot_seconds"`
	Interval *eval.Interval `json:"interval"`
	Status   string         `json:"status"`
	Error    *Error         `json:"error"`
}

func askInterval(t *testing.T, o *Oracle, request string) intervalAnswer {
	t.Helper()
	text, err := o.Answer(t.Context(), []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	var a intervalAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestInterval: what an interval rests on, and what is said to lie outside.
func TestInterval(t *testing.T) {
	o := New(Options{})
	for _, tt := range []struct {
		name, request string
		class, device string
		note          string
		outside       []string // each the beginning of one
	}{
		{"a product as measured", `{"arch":"a100-sxm-80gb","framework":"vllm","op":{"kind":"gemm","m":1024,"n":8192,"k":4096},"interval":true}`, "gemm", "a100-sxm-80gb", "", nil},
		{"a level", `{"arch":"a100-sxm-80gb","framework":"vllm","op":{"kind":"gemm","m":1024,"n":8192,"k":4096},"interval":{"level":0.5}}`, "gemm", "a100-sxm-80gb", "", nil},
		{"too deep, and batched", `{"arch":"h100-sxm","framework":"vllm","op":{"kind":"gemm","m":1024,"n":4096,"k":2000000,"batch":3},"interval":true}`, "gemm", "h100-sxm", "", []string{"/op/k: 2000000, validated up to ", "/op/batch: 3, validated up to 1"}},
		{"a format", `{"arch":"a100-sxm-80gb","framework":"vllm","op":{"kind":"gemm","m":1024,"n":4096,"k":4096,"weight_dtype":"int8"},"interval":true}`, "gemm", "a100-sxm-80gb", "", []string{"/op/dtype: bf16+int8w, validated in "}},
		{"decoding", `{"arch":"h200-sxm","framework":"vllm","op":{"kind":"attention","batch":16,"heads":32,"kv_heads":8,"head_dim":128,"q_len":1,"past_len":4096},"interval":true}`, "attention-decode", "h200-sxm", "", nil},
		{"a chip that nobody measured", `{"arch":"mi300x","op":{"kind":"gemm","m":1024,"n":4096,"k":4096},"interval":true}`, "gemm", "*", "not validated: no measurement of this device", nil},
		{"a cluster has the chip of its server", `{"arch":"selene","framework":"vllm","op":{"kind":"gemm","m":1024,"n":4096,"k":4096},"interval":true}`, "gemm", "a100-sxm-80gb", "", nil},
		{"a chip that was changed", `{"arch":{"base":"a100-sxm-80gb","set":{"chip.memory[hbm].bandwidth":"4 TB/s"}},"framework":"vllm","op":{"kind":"gemm","m":1024,"n":4096,"k":4096},"interval":true}`, "gemm", "a100-sxm-80gb", "", []string{"/arch: not as the preset a100-sxm-80gb is"}},
		{"a kind that nobody measured", `{"arch":"a100-sxm-80gb","framework":"vllm","op":{"kind":"conv2d","height":56,"width":56,"channels":64,"filters":64,"filter_height":3,"filter_width":3},"interval":true}`, "gemm", "a100-sxm-80gb", "", []string{"/op/kind: conv2d, validated for others of class gemm"}},
		{"a backward pass", `{"arch":"a100-sxm-80gb","op":{"kind":"attention","heads":16,"head_dim":128,"q_len":1024,"pass":"fwd+bwd"},"interval":true}`, "attention-prefill", "a100-sxm-80gb", "", []string{"/op/pass: fwd+bwd, validated forward", "/framework: compiled, validated under "}},
		{"a fusion", `{"arch":"a100-sxm-80gb","framework":"vllm","fusion":"none","op":{"kind":"gemm","m":1024,"n":8192,"k":4096},"interval":true}`, "gemm", "a100-sxm-80gb", "", []string{"/fusion: none, validated as the runtime fuses"}},
		{"another runtime", `{"arch":"a100-sxm-80gb","framework":"megatron","op":{"kind":"rmsnorm","rows":1024,"cols":4096},"interval":true}`, "norm", "a100-sxm-80gb", "", []string{"/op/dtype: ", "/framework: megatron, validated under "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := askInterval(t, o, tt.request)
			i := a.Interval
			if i == nil || len(i.Basis) != 1 {
				t.Fatalf("%+v", a)
			}
			b := i.Basis[0]
			if b.Class != tt.class || b.Device != tt.device || b.Note != tt.note || b.Rows < 1 {
				t.Errorf("basis %+v", b)
			}
			if !(0 < i.Seconds[0] && i.Seconds[0] < i.Seconds[1]) || math.Abs(i.Seconds[0]/a.Seconds-1-b.Low) > 2e-3 || math.Abs(i.Seconds[1]/a.Seconds-1-b.High) > 2e-3 {
				t.Errorf("%g s in %v, low %g, high %g", a.Seconds, i.Seconds, b.Low, b.High)
			}
			if i.Joules != nil || i.NoJoules == "" {
				t.Errorf("joules %v, %q", i.Joules, i.NoJoules)
			}
			if len(i.Outside) != len(tt.outside) {
				t.Fatalf("outside %q", i.Outside)
			}
			for k, want := range tt.outside {
				if !strings.HasPrefix(i.Outside[k], want) {
					t.Errorf("outside %q, want %q", i.Outside[k], want)
				}
			}
		})
	}
}

// TestIntervalOfModels: whole models that were measured have the errors of those runs, others those of their operators; joules are there
// where power was measured.
func TestIntervalOfModels(t *testing.T) {
	o := New(Options{})
	whole := askInterval(t, o, `{"arch":"a100-sxm-80gb","framework":"vllm-2023-eager","model":"llama2-70b","batch":4,"prompt":512,"generate":128,"dtype":"fp16","parallel":{"tp":4},"interval":true}`)
	i := whole.Interval
	if i == nil || i.Basis[0].Class != uncertainty.Generate || i.Basis[0].Runtime != "vllm-2023-eager" || len(i.Outside) != 0 || i.TTFTSeconds == nil || i.TPOTSeconds == nil {
		t.Fatalf("%+v", i)
	}
	if i.Joules == nil || i.NoJoules != "" || !(i.Joules[0] < whole.Joules && whole.Joules < i.Joules[1]) {
		t.Errorf("%g J in %v, %q", whole.Joules, i.Joules, i.NoJoules)
	}
	parts := askInterval(t, o, `{"arch":"h100-sxm","model":"llama3-8b","phase":"decode","batch":8,"past_len":2048,"interval":true}`).Interval
	if parts == nil || parts.Joules != nil || parts.NoJoules != "the power of h100-sxm was not measured" {
		t.Fatalf("%+v", parts)
	}
	sum := 0.0
	for _, b := range parts.Basis {
		sum += b.Share
	}
	if last := parts.Basis[len(parts.Basis)-1]; math.Abs(sum-1) > 0.002 || last.Class != uncertainty.Model || parts.Basis[0].Class != uncertainty.Gemm {
		t.Errorf("shares sum to %g: %+v", sum, parts.Basis)
	}
	// A chip that nobody measured is not surer than one that was.
	unknown := askInterval(t, o, `{"arch":"sn40l","model":"llama3-8b","phase":"decode","batch":8,"past_len":2048,"interval":true}`)
	known := askInterval(t, o, `{"arch":"h100-sxm","model":"llama3-8b","phase":"decode","batch":8,"past_len":2048,"interval":true}`)
	if u, k := unknown.Interval.Seconds, known.Interval.Seconds; u[1]/u[0] <= k[1]/k[0] {
		t.Errorf("sn40l %v, h100 %v", u, k)
	}
	train := askInterval(t, o, `{"arch":"mosaic-a100-80gb","framework":"fsdp","model":"mpt-7b","phase":"train","seq_len":2048,"global_batch":256,"parallel":{"dp":8},"zero":3,"interval":true}`)
	if train.Status != string(OK) || train.Interval == nil || train.Interval.Basis[0].Class != uncertainty.Train || train.Interval.Basis[0].Rows < 19 {
		t.Errorf("%+v %+v", train.Interval, train.Error)
	}
}

// TestIntervalRefused: levels that are not kept, other types, and requests that have none.
func TestIntervalRefused(t *testing.T) {
	o := New(Options{})
	const op = `{"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":1,"n":1,"k":1},"interval":`
	for text, at := range map[string]string{op + `{"level":0.95}}`: "/interval/level", op + `{"level":2}}`: "/interval/level", op + `"yes"}`: "/interval", op + `{"levels":0.9}}`: "/interval/levels",
		`{"systolic":{"rows":8,"cols":8,"m":8,"n":8,"k":8},"interval":true}`: "/interval"} {
		if a := askInterval(t, o, text); a.Error == nil || a.Error.Path != at {
			t.Errorf("%s: %+v", text, a.Error)
		}
	}
	for _, text := range []string{op + `false}`, op + `null}`} {
		if a := askInterval(t, o, text); a.Interval != nil || a.Status != string(OK) {
			t.Errorf("%s: %+v", text, a)
		}
	}
}

// TestIntervalWithoutEffects: what is left out was not validated, and the interval says so as that of strata run does.
func TestIntervalWithoutEffects(t *testing.T) {
	a := askInterval(t, New(Options{}), `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","batch":8,"interval":true,"ideal":["power","launch"]}`)
	if a.Interval == nil || !slices.Contains(a.Interval.Outside, "/ideal: without launch, power, validated with all effects") {
		t.Errorf("%+v", a.Interval)
	}
}

// BenchmarkInterval is what an interval takes on top of an answer: of an operator, and of a model.
func BenchmarkInterval(b *testing.B) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		b.Fatal(err)
	}
	o := New(Options{})
	named := &machine{m, m.Hash()}
	b.Run("op", func(b *testing.B) {
		q := new(request)
		v, _ := parse([]byte(`{"arch":"h100-sxm","op":{"kind":"gemm","m":1024,"n":8192,"k":400000},"interval":true}`))
		if err := readRequest(&v, q); err != nil {
			b.Fatal(err)
		}
		a := &eval.Answer{Seconds: 1e-3, Runtime: "vllm"}
		for b.Loop() {
			if o.opInterval(q, named, a) == nil {
				b.Fatal("none")
			}
		}
	})
	for _, phase := range []string{"decode", "generate"} {
		b.Run("model "+phase, func(b *testing.B) {
			model, err := llm.Preset("llama3-8b")
			if err != nil {
				b.Fatal(err)
			}
			w := llm.Workload{Phase: phase, Batch: 8, Prompt: 2048, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16}
			if phase == "generate" {
				w.Generate = 128
			}
			g, err := model.Graph(w)
			if err != nil {
				b.Fatal(err)
			}
			res, err := eval.Run(b.Context(), eval.Request{Machine: m, Graph: g, Fidelity: eval.Analytic, Mapping: plan.Mapping{TP: 1}})
			if err != nil {
				b.Fatal(err)
			}
			q := &request{job: job{interval: 0.9}}
			for b.Loop() {
				if o.modelInterval(q, named, &model, g, &res.Answer) == nil {
					b.Fatal("none")
				}
			}
		})
	}
}
