package oracle_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

var update = flag.Bool("update", false, "rewrite the expected answers in testdata instead of comparing with them")

// reply is what tests look at in an answer.
type reply struct {
	ID           any                `json:"id"`
	Status       string             `json:"status"`
	Seconds      float64            `json:"seconds"`
	Joules       float64            `json:"joules"`
	BoundBy      string             `json:"bound_by"`
	FloorSeconds float64            `json:"floor_seconds"`
	Tflops       float64            `json:"tflops"`
	Bytes        int64              `json:"bytes"`
	BusBW        float64            `json:"busbw_gigabytes_per_second"`
	Stalls       map[string]float64 `json:"stalls"`
	Runtime      string             `json:"runtime"`
	Fidelity     string             `json:"fidelity"`
	Cycles       int64              `json:"cycles"`
	TTFT         float64            `json:"ttft_seconds"`
	TPOT         float64            `json:"tpot_seconds"`
	Operators    []any              `json:"operators"`
	Advice       []any              `json:"advice"`
	Violations   map[string]float64 `json:"violations"`
	Error        *oracle.Error      `json:"error"`
}

func decode(tb testing.TB, text string) reply {
	tb.Helper()
	var r reply
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		tb.Fatalf("answer %s: %v", text, err)
	}
	return r
}

func ask(tb testing.TB, o *oracle.Oracle, line string) reply {
	tb.Helper()
	return decode(tb, answer(tb, o, line))
}

// onA100 is a request for an operator on an A100.
func onA100(op string) string { return `{"arch":"a100-sxm-80gb","op":{` + op + `}}` }

// TestMixedAttention: a chunk of a prompt and decoded sequences take what each takes alone, but for the start.
func TestMixedAttention(t *testing.T) {
	o := oracle.New(oracle.Options{})
	const heads = `"heads":32,"kv_heads":8,"head_dim":128,`
	both := ask(t, o, onA100(`"kind":"attention-mixed",`+heads+`"q_len":512,"past_len":1024,"decode_batch":64,"decode_past_len":2048`))
	chunk := ask(t, o, onA100(`"kind":"attention",`+heads+`"q_len":512,"past_len":1024`))
	decode := ask(t, o, onA100(`"kind":"attention",`+heads+`"batch":64,"q_len":1,"past_len":2048`))
	if both.Status != "ok" || math.Abs(both.Seconds-chunk.Seconds-decode.Seconds) > 1e-9*both.Seconds || both.Bytes != chunk.Bytes+decode.Bytes {
		t.Errorf("together %+v, apart %+v and %+v", both, chunk, decode)
	}
}

// TestEveryKind asks for one operator of each kind in both fidelities.
func TestEveryKind(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, name := range traces.Kinds() {
		k, err := traces.ParseKind(name)
		if err != nil {
			t.Fatal(err)
		}
		dims := `"rows":512,"cols":4096`
		switch {
		case k == traces.Gemm:
			dims = `"m":512,"n":1024,"k":2048`
		case k == traces.Attention:
			dims = `"batch":4,"heads":32,"kv_heads":8,"head_dim":128,"q_len":1,"past_len":1024`
		case k == traces.MoE:
			dims = `"tokens":64,"hidden":2048,"intermediate":768,"experts":64,"top_k":4,"ep":2,"skew":1.2`
		case k.Collective():
			dims = `"bytes":1048576,"ranks":4`
		}
		for _, fidelity := range []string{eval.Analytic, eval.Event} {
			r := ask(t, o, fmt.Sprintf(`{"id":%q,"arch":"a100-sxm-80gb","fidelity":%q,"op":{"kind":%q,%s}}`, name, fidelity, name, dims))
			if r.Status != "ok" || r.ID != name || r.Fidelity != fidelity {
				t.Errorf("%s, %s: %+v %v", name, fidelity, r, r.Error)
				continue
			}
			if r.Seconds <= 0 || r.Joules <= 0 || r.Seconds < r.FloorSeconds {
				t.Errorf("%s, %s: %g s, %g J, floor %g s", name, fidelity, r.Seconds, r.Joules, r.FloorSeconds)
			}
			var sum float64
			for _, s := range r.Stalls {
				sum += s
			}
			if math.Abs(sum-r.Seconds) > 1e-12 {
				t.Errorf("%s, %s: stalls sum to %g of %g", name, fidelity, sum, r.Seconds)
			}
			if _, ok := sim.ParseCause(r.BoundBy); !ok {
				t.Errorf("%s, %s: bound by %q", name, fidelity, r.BoundBy)
			}
			if (r.BusBW > 0) != k.Collective() {
				t.Errorf("%s: bus bandwidth %g", name, r.BusBW)
			}
		}
	}
}

// TestFrontDoor compares answers with what arch/eval says to the same question put by hand.
func TestFrontDoor(t *testing.T) {
	o := oracle.New(oracle.Options{})
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	model, err := llm.Preset("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	g, err := model.Graph(llm.Workload{Phase: "decode", Batch: 4, Prompt: 100, DType: traces.BF16, WeightDType: traces.INT8, KVDType: traces.FP8})
	if err != nil {
		t.Fatal(err)
	}
	req := eval.Request{Machine: m, Graph: g, Fidelity: eval.Event, Advise: true, Ideal: []string{"launch", "refresh"}}
	req.Mapping.TP, req.Mapping.Profile, req.Mapping.HostSync = 2, "eager", true
	want, err := eval.Run(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	text := answer(t, o, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","batch":4,"past_len":100,"weight_dtype":"int8","kv_dtype":"fp8",
		"parallel":{"tp":2},"framework":"eager","host_sync":true,"fidelity":"event","ideal":["refresh","launch"],"detail":true}`)
	var got eval.Answer
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(want.Answer)
	b, _ := json.Marshal(got)
	if !bytes.Equal(a, b) {
		t.Errorf("oracle\n%s\narch/eval\n%s", b, a)
	}
}

// TestRelations holds answers against one another where nobody needs a reference to know which is right.
func TestRelations(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, tt := range []struct {
		name          string
		lesser, equal bool // of the first against the second
		first, second string
	}{
		{"shallower product", true, false, onA100(`"kind":"gemm","m":4096,"n":4096,"k":2048`), onA100(`"kind":"gemm","m":4096,"n":4096,"k":4096`)},
		{"batch of one", false, true, onA100(`"kind":"gemm","m":64,"n":64,"k":64,"batch":1`), onA100(`"kind":"gemm","m":64,"n":64,"k":64`)},
		{"narrow weights", true, false, onA100(`"kind":"gemm","m":1,"n":8192,"k":8192,"weight_dtype":"int4"`), onA100(`"kind":"gemm","m":1,"n":8192,"k":8192`)},
		{"narrow cache", true, false, onA100(`"kind":"attention","batch":64,"heads":32,"head_dim":128,"q_len":1,"past_len":8192,"kv_dtype":"fp8"`), onA100(`"kind":"attention","batch":64,"heads":32,"head_dim":128,"q_len":1,"past_len":8192`)},
		{"kv_heads as heads", false, true, onA100(`"kind":"attention","heads":32,"kv_heads":32,"head_dim":128,"q_len":64`), onA100(`"kind":"attention","heads":32,"head_dim":128,"q_len":64`)},
		{"causal", true, false, onA100(`"kind":"attention","heads":32,"head_dim":128,"q_len":4096`), onA100(`"kind":"attention","heads":32,"head_dim":128,"q_len":4096,"causal":false`)},
		{"host", true, false, onA100(`"kind":"gelu","rows":64,"cols":64`), `{"arch":"a100-sxm-80gb","host_sync":true,"op":{"kind":"gelu","rows":64,"cols":64}}`},
		{"host within", false, true, onA100(`"kind":"gelu","rows":64,"cols":64,"host_sync":true`), `{"arch":"a100-sxm-80gb","host_sync":true,"op":{"kind":"gelu","rows":64,"cols":64}}`},
		{"all-gather before all-reduce", true, false, onA100(`"kind":"all-gather","bytes":100000000,"ranks":8`), onA100(`"kind":"all-reduce","bytes":100000000,"ranks":8`)},
		{"data type of a collective", false, true, onA100(`"kind":"all-gather","bytes":1000,"ranks":8,"dtype":"fp16"`), onA100(`"kind":"all-gather","bytes":1000,"ranks":8`)},
		{"faster memory", true, false, `{"arch":{"base":"a100-sxm-80gb","set":{"chip.memory[hbm].bandwidth":"4 TB/s"}},"op":{"kind":"gemm","m":1,"n":8192,"k":8192}}`, onA100(`"kind":"gemm","m":1,"n":8192,"k":8192`)},
		{"number as a value", false, true, `{"arch":{"base":"a100-sxm-80gb","set":{"chip.cores.count":108}},"op":{"kind":"gemm","m":1,"n":8192,"k":8192}}`, onA100(`"kind":"gemm","m":1,"n":8192,"k":8192`)},
		{"one layer", true, false, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","layers":1}`, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode"}`},
		{"prompt of a decode", false, true, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","prompt":9}`, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","past_len":9}`},
		{"written as real numbers", false, true, onA100(`"kind":"relu","rows":64.0,"cols":1e2`), onA100(`"kind":"relu","rows":64,"cols":100`)},
		{"neutral members", false, true, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","parallel":{"tp":1,"pp":1,"dp":1,"ep":1,"sp":false},"recompute":"none","lora":null}`, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode"}`},
		{"null is absent", false, true, onA100(`"kind":"relu","rows":64,"cols":100,"dtype":null`), onA100(`"kind":"relu","rows":64,"cols":100`)},
	} {
		a, b := ask(t, o, tt.first), ask(t, o, tt.second)
		if a.Status != "ok" || b.Status != "ok" {
			t.Errorf("%s: %v, %v", tt.name, a.Error, b.Error)
			continue
		}
		if tt.lesser && a.Seconds >= b.Seconds || tt.equal && a.Seconds != b.Seconds {
			t.Errorf("%s: %g s and %g s", tt.name, a.Seconds, b.Seconds)
		}
	}
}

// TestOpFigures checks the derived figures against their definitions.
func TestOpFigures(t *testing.T) {
	o := oracle.New(oracle.Options{})
	r := ask(t, o, onA100(`"kind":"gemm","m":4096,"n":4096,"k":4096`))
	if want := 2 * 4096. * 4096 * 4096 / r.Seconds / 1e12; math.Abs(r.Tflops/want-1) > 1e-12 {
		t.Errorf("%g Tflop/s, want %g", r.Tflops, want)
	}
	if least := int64(3 * 2 * 4096 * 4096); r.Bytes < least {
		t.Errorf("%d bytes, at least %d have to move", r.Bytes, least)
	}
	// nccl-tests, doc/PERFORMANCE.md: bus bandwidth of an all-reduce is size/time·2(n−1)/n.
	r = ask(t, o, onA100(`"kind":"all-reduce","bytes":1000000,"ranks":8`))
	if want := 1e6 / r.Seconds * 2 * 7 / 8 / 1e9; math.Abs(r.BusBW/want-1) > 1e-12 {
		t.Errorf("bus bandwidth %g, want %g", r.BusBW, want)
	}
	// data/systolic of SCALE-Sim v2: 8 folds of 64+32+32+32−2 cycles, the first numbered 0.
	r = ask(t, o, `{"systolic":{"rows":32,"cols":32,"dataflow":"ws","m":64,"n":64,"k":128,"mode":"scalesim","sram_kb":[64,64,64]}}`)
	if want := int64(8*(64+3*32-2) - 1); r.Cycles != want {
		t.Errorf("%d cycles, want %d", r.Cycles, want)
	}
}

// TestHints: the framework picks a profile by its name or a usual name of it; unknown ones mean the default.
func TestHints(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for hints, want := range map[string]string{
		`"framework":"eager"`:                      "eager",
		`"framework":"PyTorch 2.4"`:                "eager",
		`"framework":"torch"`:                      "eager",
		`"framework":"HF eager + torch.profiler"`:  "eager",
		`"framework":"compiled"`:                   "compiled",
		`"framework":"vllm 0.19.0"`:                "vllm",
		`"framework":"sarathi-serve/torch"`:        "sarathi",
		`"framework":"nobody knows it"`:            "compiled",
		`"framework":""`:                           "compiled",
		`"kernel":"eager"`:                         "eager",
		`"kernel":"cuBLAS","framework":"graphs"`:   "compiled",
		`"kernel":"compiled","framework":"eager"`:  "eager",
		`"framework":"vllm","kernel":"FLASHINFER"`: "vllm",
	} {
		if r := ask(t, o, `{"arch":"a100-sxm-80gb",`+hints+`,"op":{"kind":"add","rows":8,"cols":8}}`); r.Runtime != want {
			t.Errorf("%s: runtime %q, want %q (%v)", hints, r.Runtime, want, r.Error)
		}
	}
	if r := ask(t, o, `{"arch":"tpu-v4","framework":"eager","op":{"kind":"add","rows":8,"cols":8}}`); r.Status != "ok" {
		t.Errorf("a machine without that profile: %v", r.Error)
	}
}

// TestErrors has a request for every code, and what its error points at.
func TestErrors(t *testing.T) {
	const a100 = `"arch":"a100-sxm-80gb"`
	o := oracle.New(oracle.Options{})
	for _, tt := range []struct {
		line, status, code, path string
		says                     string // part of message or hint
	}{
		{`{"id":1`, "invalid", "syntax", "", "byte 8"},
		{`nonsense`, "invalid", "syntax", "", "byte 1"},
		{"{\"id\":\"\xff\"}", "invalid", "syntax", "", "UTF-8"},
		{`"text"`, "invalid", "type", "", "object"},
		{`{} {}`, "invalid", "syntax", "", "follows"},
		{strings.Repeat("[", 100000), "invalid", "too-deep", "", ""},
		{`{"id":{}}`, "invalid", "type", "/id", ""},
		{`{}`, "invalid", "missing", "", "neither op nor model"},
		{`{` + a100 + `,"kind":"gemm","m":1}`, "invalid", "missing", "/op", ""},
		{`{"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "missing", "/arch", `e.g. "arch":`},
		{`{"arch":null,"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "missing", "/arch", `e.g. "arch":`},
		{onA100(`"kind":"gemm","k":1`), "invalid", "missing", "/op/m", `e.g. "m":4096,"n":4096`},
		{`{` + a100 + `,"model":"llama2-7b","ideal":"power"}`, "invalid", "type", "/ideal", "array"},
		{`{` + a100 + `,"model":"llama2-7b","ideal":["power",1]}`, "invalid", "type", "/ideal/1", "string"},
		{`{` + a100 + `,"model":"llama2-7b","ideal":["powr"]}`, "invalid", "unknown-value", "/ideal/0", "power"},
		{`{` + a100 + `,"model":"llama2-7b","ideal":["power","power"]}`, "invalid", "conflict", "/ideal/1", "twice"},
		{`{` + a100 + `,"op":{"kind":"add","rows":1,"cols":1},"ideal":["power"]}`, "invalid", "unknown-member", "/ideal", ""},
		{`{` + a100 + `,"model":"llama2-7b","generate":32769}`, "invalid", "range", "/generate", "decode"},
		{`{` + a100 + `,"op":{"kind":"add","rows":1,"cols":1},"model":"llama2-7b"}`, "invalid", "conflict", "", ""},
		{`{` + a100 + `,` + a100 + `,"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "duplicate-member", "/arch", ""},
		{onA100(`"kind":"add","rows":1,"rows":1,"cols":1`), "invalid", "duplicate-member", "/op/rows", ""},
		{`{"arch":"a100","op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "unknown-arch", "/arch", "a100-sxm-80gb"},
		{`{"arch":7,"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "type", "/arch", ""},
		{`{"arch":{"set":{}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "missing", "/arch/base", ""},
		{`{"arch":{"base":"nothing"},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "unknown-arch", "/arch/base", ""},
		{`{"arch":{"base":"a100-sxm-80gb","sets":{}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "unknown-member", "/arch/sets", "set"},
		{`{"arch":{"base":"a100-sxm-80gb","set":{"chip/x~y":"1"}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "value", "/arch/set/chip~1x~0y", ""},
		{`{"arch":{"base":"a100-sxm-80gb","set":{"chip.clock":"1410"}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "value", "/arch/set/chip.clock", "unit"},
		{`{"arch":{"base":"a100-sxm-80gb","set":{"b":1` + numbered(1000, `,"a%d":1`) + `}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "too-large", "/arch/set", "post"},
		{`{"arch":{"base":"a100-sxm-80gb","set":{"chip.clock":[]}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "type", "/arch/set/chip.clock", ""},
		{`{"arch":{"base":"a100-sxm-80gb","set":{"chip.clock":"1 GHz","chip.clock":"1 GHz"}},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "duplicate-member", "/arch/set/chip.clock", ""},
		{onA100(`"rows":1,"cols":1`), "invalid", "missing", "/op/kind", "gemm"},
		{onA100(`"kind":"matmul","m":1,"n":1,"k":1`), "invalid", "unknown-kind", "/op/kind", `"gemm"`},
		{onA100(`"kind":"gem","m":1,"n":1,"k":1`), "invalid", "unknown-kind", "/op/kind", `"gemm"`},
		{onA100(`"kind":"gemm","n":1`), "invalid", "missing", "/op/m", "m and k"},
		{onA100(`"kind":"gemm","m":1,"n":1,"K":1`), "invalid", "unknown-member", "/op/K", `"k"`},
		{onA100(`"kind":"gemm","m":0,"n":1,"k":1`), "invalid", "range", "/op/m", ""},
		{onA100(`"kind":"gemm","m":-1,"n":1,"k":1`), "invalid", "range", "/op/m", ""},
		{onA100(`"kind":"gemm","m":1.5,"n":1,"k":1`), "invalid", "range", "/op/m", ""},
		{onA100(`"kind":"gemm","m":1e999,"n":1,"k":1`), "invalid", "range", "/op/m", ""},
		{onA100(`"kind":"gemm","m":99999999999999999999,"n":1,"k":1`), "invalid", "range", "/op/m", ""},
		{onA100(`"kind":"gemm","m":"1","n":1,"k":1`), "invalid", "type", "/op/m", ""},
		{onA100(`"kind":"gemm","m":2000000000,"n":2000000000,"k":2000000000`), "invalid", "too-large", "/op", ""},
		{`{"arch":"h100-sxm","model":"gpt2-xl","phase":"train","seq_len":1024,"global_batch":1000000,"micro_batch":1}`, "invalid", "too-large", "/model", ""},
		{`{"arch":"dgx-h100-superpod","model":"gpt2-xl","phase":"train","seq_len":1024,"global_batch":1000000,"micro_batch":1,"parallel":{"pp":2,"dp":2},"zero":3}`, "invalid", "too-large", "/model", ""},
		{onA100(`"kind":"gemm","m":100000,"n":100000,"k":1000000`), "infeasible", "does-not-fit", "/op", "GiB"},
		{onA100(`"kind":"add","rows":1000000,"cols":1000000`), "infeasible", "does-not-fit", "/op", ""},
		{onA100(`"kind":"all-reduce","bytes":400000000000,"ranks":2`), "infeasible", "does-not-fit", "/op", ""},
		{onA100(`"kind":"gemm","m":1,"n":1,"k":1,"dtype":"bf17"`), "invalid", "unknown-value", "/op/dtype", "bf16"},
		{onA100(`"kind":"gemm","m":1,"n":1,"k":1,"dtype":"nvfp4"`), "unsupported", "dtype", "/op/dtype", ""},
		{onA100(`"kind":"gemm","m":512,"n":512,"k":512,"dtype":"fp8"`), "unsupported", "dtype", "/op/dtype", "fp8"},
		{onA100(`"kind":"gelu","rows":1,"cols":1,"weight_dtype":"fp8"`), "invalid", "unknown-member", "/op/weight_dtype", ""},
		{onA100(`"kind":"attention","heads":3,"kv_heads":2,"head_dim":8,"q_len":1`), "invalid", "value", "/op/kv_heads", ""},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":1,"pass":"bwd"`), "invalid", "unknown-value", "/op/pass", "fwd"},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":9,"past_len":1,"pass":"fwd+bwd"`), "invalid", "conflict", "/op/past_len", "leave it out"},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":9,"kv_dtype":"fp8","pass":"fwd+bwd"`), "invalid", "conflict", "/op/kv_dtype", "leave it out"},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":9,"algorithm":"flash4"`), "invalid", "unknown-value", "/op/algorithm", "flash"},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":9,"algorithm":"flash3"`), "invalid", "value", "/op/algorithm", "it has flash1, flash2, standard"},
		{onA100(`"kind":"attention-mixed","heads":8,"head_dim":64,"q_len":64,"decode_batch":2,"decode_past_len":9,"pass":"fwd+bwd"`), "invalid", "unknown-member", "/op/pass", ""},
		{`{"arch":"a100-sxm-80gb","op":{"kind":"gelu","rows":1,"cols":1},"fusion":"flash"}`, "invalid", "unknown-value", "/fusion", "flash-attention"},
		{`{"arch":"a100-sxm-80gb","model":"llama3-8b","fusion":["norm-add",3]}`, "invalid", "type", "/fusion/1", ""},
		{`{"arch":"a100-sxm-80gb","model":"llama3-8b","layers":1,"fusion":["flash-attention","decoder-pipeline"]}`, "invalid", "value", "/fusion", "it can do flash-attention"},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":1,"page":16`), "unsupported", "not-simulated", "/op/page", ""},
		{onA100(`"kind":"attention","heads":2,"head_dim":8,"q_len":1,"causal":1`), "invalid", "type", "/op/causal", ""},
		{onA100(`"kind":"ffn","tokens":1`), "invalid", "missing", "/op/hidden", "intermediate"},
		{onA100(`"kind":"conv2d","height":4,"width":4,"channels":3,"filters":8,"filter_height":5,"filter_width":3`), "invalid", "value", "/op/filter_height", "does not fit"},
		{onA100(`"kind":"conv2d","height":4,"width":4,"channels":3,"filters":8,"filter_height":5`), "invalid", "missing", "/op/filter_width", ""},
		{onA100(`"kind":"conv2d","height":1000000,"width":1000000,"channels":1000000,"filters":2000000000,"filter_height":1000,"filter_width":1000`), "invalid", "too-large", "/op", ""},
		{onA100(`"kind":"ffn","tokens":1,"hidden":8,"intermediate":8,"m":3`), "invalid", "unknown-member", "/op/m", ""},
		{onA100(`"kind":"attention-mixed","heads":8,"head_dim":64,"q_len":64`), "invalid", "missing", "/op/decode_batch", "decode_past_len"},
		{onA100(`"kind":"attention-mixed","heads":8,"head_dim":64,"q_len":64,"decode_batch":2,"decode_past_len":9,"causal":false`), "invalid", "unknown-member", "/op/causal", ""},
		{onA100(`"kind":"attention","heads":8,"head_dim":64,"q_len":64,"window":9`), "invalid", "unknown-member", "/op/window", "algorithm, page, framework, kernel"},
		{onA100(`"kind":"moe","tokens":1`), "invalid", "missing", "/op/hidden", "intermediate"},
		{onA100(`"kind":"moe","tokens":1,"hidden":1,"intermediate":1,"experts":4,"top_k":5`), "invalid", "value", "/op/top_k", "at most experts"},
		{onA100(`"kind":"moe","tokens":1,"hidden":1,"intermediate":1,"experts":4,"top_k":2,"ep":3`), "invalid", "value", "/op/ep", "must divide"},
		{onA100(`"kind":"moe","tokens":1,"hidden":1,"intermediate":1,"experts":4,"top_k":2,"skew":0.5`), "invalid", "range", "/op/skew", "1.001"},
		{onA100(`"kind":"gemm","m":1,"n":1,"k":1,"skew":1.2`), "invalid", "unknown-member", "/op/skew", ""},
		{onA100(`"kind":"all-reduce","bytes":1,"ranks":1`), "invalid", "range", "/op/ranks", ""},
		{`{"arch":"rtx-4090","op":{"kind":"all-reduce","bytes":1,"ranks":2048}}`, "unsupported", "beyond-node", "/op/ranks", "at most"},
		{onA100(`"kind":"all-reduce","bytes":1,"ranks":8,"ranks_per_node":0`), "invalid", "range", "/op/ranks_per_node", ""},
		{onA100(`"kind":"all-reduce","bytes":1,"ranks":8,"algorithm":"tree"`), "invalid", "value", "/op/algorithm", "ring"},
		{onA100(`"kind":"all-gather","bytes":1,"ranks":16,"algorithm":"tree"`), "invalid", "value", "/op/algorithm", "ring"},
		{`{` + a100 + `,"fidelity":"exact","op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "unknown-value", "/fidelity", "analytic"},
		{`{` + a100 + `,"host_sync":true,"op":{"kind":"add","rows":1,"cols":1,"host_sync":true}}`, "invalid", "conflict", "/op/host_sync", ""},
		{`{` + a100 + `,"limits":{"seconds":0},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "range", "/limits/seconds", ""},
		{`{` + a100 + `,"limits":{"sec":1},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "unknown-member", "/limits/sec", "seconds"},
		{`{` + a100 + `,"limits":{"ttft_seconds":1},"op":{"kind":"add","rows":1,"cols":1}}`, "invalid", "not-applicable", "/limits/ttft_seconds", "seconds"},
		{`{` + a100 + `,"model":"llama2-7"}`, "invalid", "unknown-model", "/model", "llama2-7b"},
		{`{` + a100 + `,"model":7}`, "invalid", "type", "/model", ""},
		{`{` + a100 + `,"model":{"hidden_size":4096}}`, "invalid", "value", "/model/model_type", ""},
		{`{` + a100 + `,"model":{"model_type":"llama","model_type":"llama"}}`, "invalid", "duplicate-member", "/model/model_type", ""},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train"}`, "infeasible", "does-not-fit", "/model", "recompute"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","recompute":"some"}`, "invalid", "unknown-value", "/recompute", "selective"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","batch":8}`, "invalid", "conflict", "/batch", "global_batch"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","host_sync":true}`, "invalid", "value", "/host_sync", "leave it out"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","parallel":{"tp":3}}`, "invalid", "value", "/parallel/tp", "try"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","parallel":{"dp":4,"ep":3}}`, "invalid", "value", "/parallel/ep", "dp"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","parallel":{"dp":2},"global_batch":3}`, "invalid", "value", "/global_batch", "multiple of 2"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","stages":[16,15],"parallel":{"pp":2}}`, "invalid", "value", "/stages", ""},
		{`{` + a100 + `,"model":"llama2-7b","phase":"train","stragglers":"9:0.5"}`, "invalid", "value", "/stragglers", "RANK:SPEED"},
		{`{` + a100 + `,"model":"llama2-7b","phase":"decod"}`, "invalid", "unknown-value", "/phase", `"decode"`},
		{`{` + a100 + `,"model":"llama2-7b","batch":1000000000000000000}`, "invalid", "range", "/batch", ""},
		{`{` + a100 + `,"model":"llama2-7b","batch":2000000000}`, "invalid", "value", "/batch", ""},
		{`{` + a100 + `,"model":"llama2-7b","phase":"decode","batch":2000000000}`, "infeasible", "does-not-fit", "/model", ""},
		{`{` + a100 + `,"model":"llama2-7b","layers":99}`, "invalid", "value", "/layers", "32"},
		{`{` + a100 + `,"model":"llama2-7b","past_len":1}`, "invalid", "conflict", "/past_len", ""},
		{`{` + a100 + `,"model":"llama2-7b","phase":"decode","past_len":1,"prompt":1}`, "invalid", "conflict", "/past_len", ""},
		{`{` + a100 + `,"model":"llama2-7b","phase":"decode","generate":1}`, "invalid", "conflict", "/generate", ""},
		{`{` + a100 + `,"model":"llama2-7b","dtype":"fp8"}`, "unsupported", "dtype", "/dtype", ""},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"tp":3}}`, "invalid", "value", "/parallel/tp", "2 or 4"},
		{`{"arch":"l40s","model":"llama2-7b","parallel":{"tp":16}}`, "unsupported", "beyond-node", "/parallel/tp", "8"},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"ep":2}}`, "invalid", "value", "/parallel/ep", "leave it out"},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"attn_dp":2}}`, "invalid", "value", "/parallel/attn_dp", "leave it out"},
		{`{` + a100 + `,"model":"mixtral-8x7b","parallel":{"ep":3},"batch":3}`, "invalid", "value", "/parallel/ep", "try 2 or 4"},
		{`{` + a100 + `,"model":"mixtral-8x7b","parallel":{"tp":4,"ep":6}}`, "invalid", "value", "/parallel/ep", "multiple of 4"},
		{`{` + a100 + `,"model":"mixtral-8x7b","parallel":{"tp":4,"ep":2,"moe_tp":4,"attn_dp":1}}`, "invalid", "value", "/parallel/ep", "try ep 1"},
		{`{` + a100 + `,"model":"mixtral-8x7b","parallel":{"ep":4},"batch":2}`, "invalid", "value", "/parallel/attn_dp", "4 or more"},
		{`{` + a100 + `,"model":"mixtral-8x7b","parallel":{"tp":2,"exchange":"nccl"}}`, "invalid", "unknown-value", "/parallel/exchange", "gather"},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"dp":2}}`, "unsupported", "not-simulated", "/parallel/dp", ""},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"sp":true}}`, "unsupported", "not-simulated", "/parallel/sp", ""},
		{`{` + a100 + `,"model":"llama2-7b","parallel":{"pq":2}}`, "invalid", "unknown-member", "/parallel/pq", ""},
		{`{` + a100 + `,"model":"llama2-7b","recompute":"full"}`, "unsupported", "not-simulated", "/recompute", ""},
		{`{` + a100 + `,"model":"llama2-7b","power_limit":0}`, "invalid", "range", "/power_limit", ""},
		{`{` + a100 + `,"model":"llama2-7b","power_limit":"300 W"}`, "invalid", "type", "/power_limit", ""},
		{`{` + a100 + `,"model":"llama2-7b","power_limit":100}`, "infeasible", "power-limit", "/power_limit", "a higher limit"},
		{`{"arch":"tpu-v4","model":"llama2-7b","power_limit":150}`, "invalid", "value", "/power_limit", "power.curve"},
		{`{` + a100 + `,"model":"llama2-7b","lora":{"adapters":8}}`, "invalid", "missing", "/lora/rank", ""},
		{`{` + a100 + `,"model":"llama2-7b","prompts":8}`, "invalid", "unknown-member", "/prompts", `"prompt"`},
		{`{` + a100 + `,"model":"llama2-70b"}`, "infeasible", "does-not-fit", "/model", "parallel.tp"},
		{`{` + a100 + `,"model":"gpt3-175b","parallel":{"tp":8},"timeout_seconds":0.001,"fidelity":"event","generate":1000}`, "timeout", "timeout", "/timeout_seconds", ""},
		{`{` + a100 + `,"model":"llama2-7b","timeout_seconds":-1}`, "invalid", "range", "/timeout_seconds", ""},
		{`{"dram":{}}`, "invalid", "missing", "/dram/standard", "HBM3-6400"},
		{`{"dram":{"standard":"HBM4"}}`, "invalid", "unknown-value", "/dram/standard", "HBM3-6400"},
		{`{"dram":{"standard":"HBM3-6400","controller":"dramsim3"}}`, "invalid", "unknown-value", "/dram/standard", "HBM2-2000"},
		{`{"dram":{"standard":"HBM3-6400","mapping":"bgin"}}`, "invalid", "unknown-value", "/dram/mapping", "bgint"},
		{`{"dram":{"standard":"HBM3-6400","channels":3}}`, "invalid", "value", "/dram/channels", "power of two"},
		{`{"dram":{"standard":"HBM3-6400","load":2}}`, "invalid", "range", "/dram/load", "sat"},
		{`{"dram":{"standard":"HBM3-6400","load":"x"}}`, "invalid", "range", "/dram/load", ""},
		{`{"dram":{"standard":"HBM3-6400","stream":2}}`, "invalid", "unknown-member", "/dram/stream", "streams"},
		{`{"dram":{"standard":"HBM3-6400","requests":1e9}}`, "invalid", "range", "/dram/requests", ""},
		{`{"dram":{"standard":"DDR4-3200","refresh":"pb"}}`, "invalid", "value", "/dram/refresh", "none"},
		{`{"dram":{"standard":"HBM3-6400"},"mapping":{}}`, "invalid", "conflict", "/mapping", ""},
		{`{"dram":{"standard":"HBM3-6400"},"model":"llama2-7b"}`, "invalid", "conflict", "", ""},
		{`{"dram":{"standard":"HBM3-6400","requests":1000000,"kind":"random","channels":16},"timeout_seconds":0.001}`, "timeout", "timeout", "/timeout_seconds", ""},
		{`{"network":{"topology":"ring"}}`, "invalid", "missing", "/network/bytes", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1}}`, "invalid", "missing", "/systolic/k", ""},
		{`{"systolic":{"rows":4,"cols":4,"channels":3,"m":1}}`, "invalid", "missing", "/systolic/ifmap_h", "ifmap_w"},
		{`{"systolic":{"rows":4,"cols":4,"ifmap_h":4,"ifmap_w":4,"filter_h":5,"filter_w":3,"channels":3,"filters":8}}`, "invalid", "value", "/systolic/filter_h", "does not fit"},
		{`{"systolic":{"rows":4,"cols":4,"ifmap_h":4,"ifmap_w":4,"filter_h":3,"filter_w":3,"channels":3,"filters":8,"m":5}}`, "invalid", "conflict", "/systolic/m", "has m 4, not 5"},
		{`{"systolic":{"rows":4,"cols":4,"ifmap_h":1,"ifmap_w":1,"filter_h":1,"filter_w":1,"channels":1,"filters":8,"padding":1,"mode":"scalesim"}}`, "invalid", "conflict", "/systolic/padding", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1,"k":1,"sparsity":{"n":5,"m":4}}}`, "invalid", "range", "/systolic/sparsity/n", "from 1 to 4"},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":2,"k":1,"sparsity":{"n":[1,0],"m":4}}}`, "invalid", "range", "/systolic/sparsity/n/1", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":3,"k":1,"sparsity":{"n":[1,2],"m":4}}}`, "invalid", "value", "/systolic/sparsity/n", "2 numbers for 3 filters"},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":2,"k":1,"arrays":2,"sparsity":{"n":[1,2],"m":4}}}`, "invalid", "conflict", "/systolic/sparsity/n", "one array"},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":2,"k":1,"sparsity":{"m":4}}}`, "invalid", "missing", "/systolic/sparsity/n", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":2,"k":1,"sparsity":{"n":1,"m":4,"of":4}}}`, "invalid", "unknown-member", "/systolic/sparsity/of", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1,"k":1,"sparsity":{"n":1,"m":2},"mode":"scalesim"}}`, "invalid", "conflict", "/systolic/sparsity", "serial"},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1,"k":1,"arrays":2,"mode":"scalesim"}}`, "invalid", "conflict", "/systolic/arrays", ""},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1,"k":1,"sram_kb":[1,2]}}`, "invalid", "value", "/systolic/sram_kb", "three"},
		{`{"systolic":{"rows":4,"cols":4,"m":1,"n":1,"k":1,"sram_kb":[1,-2,3]}}`, "invalid", "range", "/systolic/sram_kb/1", ""},
		{`{"systolic":{"rows":1,"cols":1,"m":2000000000,"n":2000000000,"k":2000000000}}`, "invalid", "too-large", "/systolic", ""},
	} {
		text := answer(t, o, tt.line)
		r := decode(t, text)
		switch {
		case r.Error == nil:
			t.Errorf("%.200s: %s: no error", tt.line, text)
		case r.Status != tt.status || r.Error.Code != tt.code || r.Error.Path != tt.path:
			t.Errorf("%.200s:\n%s\nwant %s, %s, %q", tt.line, text, tt.status, tt.code, tt.path)
		case !strings.Contains(r.Error.Message+" "+r.Error.Hint, tt.says):
			t.Errorf("%.200s:\n%s\ndoes not say %q", tt.line, text, tt.says)
		case strings.Contains(text, `"seconds"`) && r.Seconds != 0 || strings.Contains(r.Error.Message+r.Error.Hint, "--"):
			t.Errorf("%.200s:\n%s\nhas numbers beside the error, or speaks of flags", tt.line, text)
		}
	}
}

// TestIDs: an id comes back as it was written, also when the rest of the line is wrong.
func TestIDs(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for line, want := range map[string]string{
		`{"id":"a","op":1}`:           `{"id":"a","status"`,
		`{"id":1e2,"op":1}`:           `{"id":1e2,"status"`,
		`{"id":"\u00e4\"<","op":1}`:   `{"id":"\u00e4\"<","status"`,
		`{"id":"cut","arch":"a100-sx`: `{"id":"cut","status"`,
		`{"op":1}`:                    `{"status"`,
		`{"id":null,"op":1}`:          `{"status"`,
		`{"op":{"kind":"x"},"id":7}`:  `{"id":7,"status"`,
	} {
		if got := answer(t, o, line); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// TestLimits: violations are signed and relative to the limit.
func TestLimits(t *testing.T) {
	o := oracle.New(oracle.Options{})
	plain := ask(t, o, `{"arch":"a100-sxm-80gb","model":"llama2-7b","generate":2}`)
	r := ask(t, o, fmt.Sprintf(`{"arch":"a100-sxm-80gb","model":"llama2-7b","generate":2,"limits":{"seconds":%v,"joules":%v,"tpot_seconds":%v}}`, plain.Seconds/2, plain.Joules*2, plain.TPOT))
	for name, want := range map[string]float64{"seconds": 1, "joules": -0.5, "tpot_seconds": 0} {
		if got, ok := r.Violations[name]; !ok || math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
	if len(r.Violations) != 3 || plain.Violations != nil {
		t.Errorf("violations %v and %v", r.Violations, plain.Violations)
	}
	if r := ask(t, o, `{"arch":"a100-sxm-80gb","model":"llama2-70b","limits":{"seconds":1}}`); r.Violations != nil || r.Status != "infeasible" {
		t.Errorf("%+v", r)
	}
}

// TestDetail: operators and advice are left out unless they are asked for.
func TestDetail(t *testing.T) {
	o := oracle.New(oracle.Options{})
	const line = `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode"`
	if r := ask(t, o, line+`}`); len(r.Operators) != 0 || len(r.Advice) != 0 || r.TPOT == 0 {
		t.Errorf("%+v", r)
	}
	if r := ask(t, o, line+`,"detail":true}`); len(r.Operators) == 0 || len(r.Advice) == 0 {
		t.Errorf("%+v", r)
	}
}

// TestFiles: names of files work only where they are allowed.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	machine, model := filepath.Join(dir, "m.yaml"), filepath.Join(dir, "config.json")
	for name, text := range map[string]string{
		machine: "base: a100-sxm-80gb\nset:\n  chip.memory[hbm].bandwidth: 3 TB/s\n",
		model:   `{"model_type":"llama","hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":1000,"max_position_embeddings":2048}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := fmt.Sprintf(`{"arch":%q,"model":%q}`, machine, model)
	if r := ask(t, oracle.New(oracle.Options{Files: true}), line); r.Status != "ok" {
		t.Error(r.Error)
	}
	if r := ask(t, oracle.New(oracle.Options{}), line); r.Error == nil || r.Error.Code != "unknown-arch" || !strings.Contains(r.Error.Hint, "files are not read here") {
		t.Errorf("%+v", r.Error)
	}
	if r := ask(t, oracle.New(oracle.Options{Files: true}), `{"arch":"no-such.yaml","model":"llama2-7b"}`); r.Error == nil || r.Error.Code != "unknown-arch" {
		t.Errorf("%+v", r.Error)
	}
	if r := ask(t, oracle.New(oracle.Options{Files: true}), `{"arch":"tpu-v4","model":"no-such.json"}`); r.Error == nil || r.Error.Code != "unknown-model" {
		t.Errorf("%+v", r.Error)
	}
}

// figures are what answers with numbers hold and other tests look at; notes are there only sometimes.
var (
	figures = regexp.MustCompile(`("(?:bound_by|peak_operator|version)":)"[^"]*"|("not_modelled":)\[[^\]]*\]|(:)-?\d[\d.e+-]*|(:)"[0-9a-f]{64}"`)
	notes   = regexp.MustCompile(`,"notes":\[[^\]]*\]`)
)

// shape leaves of answers with numbers which members they have.
func shape(line string) string {
	if !strings.Contains(line, `"status":"ok"`) {
		return line
	}
	return figures.ReplaceAllString(notes.ReplaceAllString(line, ""), "$1$2$3$4#")
}

// TestGolden answers the lines of testdata/requests.jsonl and compares which members the answers have, and
// errors to the letter.
func TestGolden(t *testing.T) {
	requests, err := os.ReadFile(filepath.Join("testdata", "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := oracle.New(oracle.Options{}).Serve(t.Context(), bytes.NewReader(requests), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = shape(lines[i])
	}
	got := strings.Join(lines, "\n")
	file := filepath.Join("testdata", "answers.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	if len(a) != len(b) {
		t.Fatalf("%d lines, want %d", len(b), len(a))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("line %d\n got %s\nwant %s", i+1, b[i], a[i])
		}
	}
}

// TestAdaptersAreTheModels: a format under adapters is that of the large model, not of the one that drafts; and a request with
// one is remembered as it was asked.
func TestAdaptersAreTheModels(t *testing.T) {
	o := oracle.New(oracle.Options{})
	weights := func(members string) int64 {
		var a eval.Answer
		if err := json.Unmarshal([]byte(answer(t, o, `{"arch":"a100-sxm-80gb","phase":"decode",`+members+`}`)), &a); err != nil {
			t.Fatal(err)
		}
		return a.Footprint.WeightBytes
	}
	const adapted, draft = `"model":"llama2-13b","lora":{"rank":16,"base_dtype":"nf4"}`, `,"draft":"llama2-7b","draft_tokens":2,"acceptance":0.5`
	if got, want := weights(adapted+draft), weights(adapted)+weights(`"model":"llama2-7b"`); got != want {
		t.Errorf("%d bytes of weights, want %d", got, want)
	}
	remembered := testing.AllocsPerRun(5, func() { weights(`"model":"llama2-13b","lora":{"rank":16}`) }) // it asks once before
	if again := testing.AllocsPerRun(5, func() { weights(adapted) }); again > 2*remembered {
		t.Errorf("%g allocations to ask again, %g for what is remembered", again, remembered)
	}
}
