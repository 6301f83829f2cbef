package validation

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// data is the folder of measurements, beside the project.
var data = filepath.Join("..", "..", "..", "shared", "data")

// table reads a file of measurements, or skips the test if there is none.
func table(t *testing.T, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(data, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no measurements: %s is not beside this project", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]map[string]string, 0, len(records)-1)
	for _, r := range records[1:] {
		row := map[string]string{}
		for i, column := range records[0] {
			row[column] = r[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fields is a request or a part of one.
type fields map[string]any

// ask returns the seconds that the oracle answers.
func ask(t *testing.T, o *oracle.Oracle, request fields) float64 {
	t.Helper()
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Answer(context.Background(), line)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Status  string
		Seconds float64
		Error   struct{ Message string }
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	if a.Status != "ok" {
		t.Fatalf("%s: %s: %s", line, a.Status, a.Error.Message)
	}
	return a.Seconds
}

// gate holds comparisons to a mean absolute error, a share each.
type gate struct {
	c    Comparison
	mean float64
}

// gates keeps comparisons by name.
type gates struct {
	order []string
	by    map[string]*gate
}

func newGates(limits ...any) *gates {
	g := &gates{by: map[string]*gate{}}
	for i := 0; i < len(limits); i += 2 {
		name := limits[i].(string)
		g.order = append(g.order, name)
		g.by[name] = &gate{Comparison{Name: name}, limits[i+1].(float64)}
	}
	return g
}

func (g *gates) add(t *testing.T, set, name string, predicted, measured float64) {
	t.Helper()
	if g.by[set] == nil {
		t.Fatalf("no gate for %q", set)
	}
	g.by[set].c.Add(name, predicted, measured)
}

// check prints the table and fails for every comparison beyond its gate, and for those without rows.
func (g *gates) check(t *testing.T) {
	t.Helper()
	var list []*Comparison
	for _, name := range g.order {
		list = append(list, &g.by[name].c)
	}
	t.Logf("errors against measurements\n%s", Table(list))
	for _, name := range g.order {
		s := g.by[name].c.Summarise()
		if s.N == 0 {
			t.Errorf("%s: no rows", name)
		}
		if s.Mean > g.by[name].mean {
			t.Errorf("%s: mean error %.1f %%, the gate is %.1f %%", name, 100*s.Mean, 100*g.by[name].mean)
		}
	}
}

// llmcompass turns a row of LLMCompass's A100 measurements into a request: eager and timed by the
// host. times is how often the operator ran.
func llmcompass(t *testing.T, row map[string]string) (request fields, times float64) {
	t.Helper()
	op := fields{"dtype": "fp16"}
	times = 1
	params, name := row["params"], row["op"]
	if i := strings.LastIndex(name, "."); i >= 0 {
		name = name[i+1:]
	}
	plain := strings.Trim(params, "[]")
	size := strings.Split(plain, "x")
	integer := func(s string) int64 { return int64(number(t, s)) }
	switch strings.ToLower(strings.SplitN(name, "_", 2)[0]) {
	case "softmax":
		op["kind"], op["rows"], op["cols"] = "softmax", integer(size[0]), integer(size[1])
	case "layernorm":
		op["kind"], op["rows"], op["cols"] = "layernorm", integer(size[0]), integer(size[1])
	case "gelu":
		op["kind"], op["rows"], op["cols"] = "gelu", 1, integer(plain)
	case "all", "allreduce":
		op["kind"], op["bytes"], op["ranks"] = "all-reduce", integer(strings.TrimSuffix(plain, "B")), 4
	case "matmul":
		op["kind"], op["m"], op["k"], op["n"] = "gemm", integer(size[0]), integer(size[1]), integer(size[2])
	default:
		var batch, m, n, k int64
		if rest, ok := strings.CutPrefix(params, "3x"); ok {
			times, params = 3, rest
		}
		if i := strings.Index(params, "["); strings.HasPrefix(params, "batch") {
			batch, params = integer(params[len("batch"):i]), params[i:]
		}
		if _, err := fmt.Sscanf(params, "[M%d,N%d,K%d]", &m, &n, &k); err != nil {
			t.Fatalf("%s: %v", row["params"], err)
		}
		op["kind"], op["m"], op["n"], op["k"] = "gemm", m, n, k
		if batch > 0 {
			op["batch"] = batch
		}
	}
	return fields{"arch": "a100-sxm-80gb", "op": op, "framework": "eager", "host_sync": true, "fidelity": "event"}, times
}

// TestGPT3Layer: a layer of GPT-3 175B on four A100, eager and timed by the host: the sum of each
// phase within 10 %, every operator but products within 30 %. None of these rows was fitted on.
func TestGPT3Layer(t *testing.T) {
	rows := table(t, "kernels/llmcompass_real.csv")
	o := oracle.New(oracle.Options{})
	sums := map[string]*Pair{}
	for _, row := range rows {
		phase, name, ok := strings.Cut(row["op"], ".")
		if !ok || row["device"] != "A100x4" {
			continue
		}
		request, times := llmcompass(t, row)
		p := Pair{row["op"], times * ask(t, o, request), number(t, row["measured_seconds"])}
		if sums[phase] == nil {
			sums[phase] = &Pair{Name: phase}
		}
		sums[phase].Predicted += p.Predicted
		sums[phase].Measured += p.Measured
		t.Logf("%-36s predicted %10.1f us, measured %10.1f us, %+6.1f %%", p.Name, 1e6*p.Predicted, 1e6*p.Measured, 100*p.Error())
		product := strings.Contains(name, "proj") || strings.Contains(name, "mul") || strings.Contains(name, "Q_K_V")
		if !product && math.Abs(p.Error()) > 0.30 {
			t.Errorf("%s: error %.1f %%, the gate is 30 %%", p.Name, 100*p.Error())
		}
	}
	if len(sums) != 2 {
		t.Fatalf("%d phases", len(sums))
	}
	for _, phase := range []string{"gpt3_layer_prefill", "gpt3_layer_decode"} {
		p := sums[phase]
		t.Logf("%-36s predicted %10.1f us, measured %10.1f us, %+6.1f %%", "sum of "+p.Name, 1e6*p.Predicted, 1e6*p.Measured, 100*p.Error())
		if math.Abs(p.Error()) > 0.10 {
			t.Errorf("sum of %s: error %.1f %%, the gate is 10 %%", phase, 100*p.Error())
		}
	}
}

// TestHostTimedOperators: LLMCompass's sweeps of single operators on A100, eager and timed by the host.
func TestHostTimedOperators(t *testing.T) {
	rows := table(t, "kernels/llmcompass_real.csv")
	o := oracle.New(oracle.Options{})
	g := newGates("matmul", 0.088, "softmax", 0.07, "layernorm", 0.085, "gelu", 0.04, "all_reduce", 0.053)
	for _, row := range rows {
		if strings.Contains(row["op"], ".") || !strings.HasPrefix(row["device"], "A100") {
			continue
		}
		request, times := llmcompass(t, row)
		g.add(t, row["op"], row["params"], times*ask(t, o, request), number(t, row["measured_seconds"]))
	}
	g.check(t)
}

// rowKind is the kind of a norm or element-wise row of Vidur: the norm of Phi is a layer norm, its
// activation a GELU without gate, of which there are too few rows to judge.
func rowKind(row map[string]string) (kind string, ok bool) {
	phi := strings.Contains(row["model"], "phi")
	switch {
	case row["op_class"] == "norm" && phi:
		return "layernorm", true
	case row["op_class"] == "norm":
		return "rmsnorm", true
	case strings.Contains(row["op"], "act"):
		return "silu-mul", !phi
	case strings.Contains(row["op"], "rope"):
		return "rope", true
	}
	return "add", true
}

// kernel turns a row of a single kernel into an operator and the name of the comparison that it belongs to.
func kernel(t *testing.T, file string, row map[string]string) (set string, op fields, ok bool) {
	t.Helper()
	op = fields{"dtype": row["dtype"]}
	for member, column := range map[string]string{"m": "M", "n": "N", "k": "K", "batch": "batch", "heads": "n_heads", "kv_heads": "n_kv_heads", "head_dim": "head_dim",
		"q_len": "q_len", "past_len": "kv_len"} {
		isGemm := row["op_class"] == "gemm"
		if (member == "m" || member == "n" || member == "k") == isGemm && row[column] != "" {
			op[member] = int64(number(t, row[column]))
		}
	}
	switch row["op_class"] {
	case "gemm":
		op["kind"] = "gemm"
		set = "gemm " + map[string]string{"aic_gemm": "aiconfigurator", "vidur_compute": "vidur", "llmservingsim_compute": "llmservingsim"}[file]
		if d := row["dtype"]; d == "fp8" || d == "nvfp4" {
			set = "gemm " + d + " aiconfigurator"
		}
	case "attn_prefill", "attn_decode":
		op["kind"] = "attention"
		set = "attention " + strings.TrimPrefix(row["op_class"], "attn_")
		if op["q_len"] == nil || op["q_len"] == int64(0) {
			op["q_len"] = 1
		}
		if strings.HasSuffix(row["shape"], "kvb1") {
			op["kv_dtype"] = "fp8"
			set += ", fp8 cache"
		}
	case "all_reduce", "all_gather", "reduce_scatter", "alltoall":
		kind := map[string]string{"all_reduce": "all-reduce", "all_gather": "all-gather", "reduce_scatter": "reduce-scatter", "alltoall": "all-to-all"}[row["op_class"]]
		set = kind + " nccl"
		if row["framework"] != "nccl-tests" {
			set = kind + " vllm"
		}
		op = fields{"kind": kind, "bytes": int64(number(t, row["bytes"])), "ranks": int64(number(t, row["num_devices"])), "dtype": "fp16"}
	case "norm", "elementwise":
		kind, ok := rowKind(row)
		if !ok {
			return "", nil, false
		}
		op["kind"], op["rows"], op["cols"] = kind, int64(number(t, row["tokens"])), int64(number(t, row["width"]))
		if set = kind + " vidur"; row["op_class"] == "norm" {
			set = "norm vidur"
		}
		delete(op, "batch")
	default:
		t.Fatalf("unknown class %s", row["op_class"])
	}
	return set, op, true
}

// TestA100Kernels: kernels on A100 as a profiler sees them.
func TestA100Kernels(t *testing.T) {
	g := newGates("gemm aiconfigurator", 0.077, "gemm vidur", 0.072, "norm vidur", 0.13, "silu-mul vidur", 0.12, "rope vidur", 0.118, "add vidur", 0.233, "attention prefill", 0.117, "attention decode", 0.078, "all-reduce nccl", 0.079, "all-gather nccl", 0.109, "reduce-scatter nccl", 0.101, "all-to-all nccl", 0.104, "all-reduce vllm", 0.09)
	o := oracle.New(oracle.Options{})
	for _, file := range []string{"aic_gemm", "vidur_compute", "aic_attention", "aic_network"} {
		for _, row := range table(t, "kernels/"+file+".csv") {
			if row["device"] != "A100-SXM-80GB" {
				continue
			}
			set, op, ok := kernel(t, file, row)
			if d := row["dtype"]; !ok || d != "bf16" && d != "fp16" || op["kv_dtype"] != nil {
				continue // narrow formats are for other chips
			}
			seconds := ask(t, o, fields{"arch": "a100-sxm-80gb", "op": op, "framework": row["framework"], "kernel": row["kernel"]})
			g.add(t, set, row["shape"], seconds, 1e-6*number(t, row["measured_us"]))
		}
	}
	g.check(t)
}

// TestTPUv4Kernels: kernels on TPU v4 as its profiler sees them.
func TestTPUv4Kernels(t *testing.T) {
	g := newGates("gemm", 0.082, "layernorm", 0.085, "add", 0.091, "mul", 0.085, "relu", 0.069)
	o := oracle.New(oracle.Options{})
	for _, row := range table(t, "tpu/tpu_v4_gemm_measured.csv") {
		us := row["fusion_us_avg"]
		if us == "" {
			us = row["kernel_us_avg"]
		}
		op := fields{"kind": "gemm", "m": int64(number(t, row["M"])), "n": int64(number(t, row["N"])), "k": int64(number(t, row["K"])), "dtype": "fp16"}
		g.add(t, "gemm", row["M"]+"x"+row["N"]+"x"+row["K"], ask(t, o, fields{"arch": "tpu-v4", "op": op}), 1e-6*number(t, us))
	}
	for _, kind := range []string{"layernorm", "add", "mul", "relu"} {
		for _, row := range table(t, "tpu/tpu_v4_"+kind+"_measured.csv") {
			n, rows := row["tuple_product"], 1.0
			if kind == "layernorm" {
				n = row["dim_product"]
				rows = number(t, n) / number(t, row["hidden_dim"])
			}
			op := fields{"kind": kind, "rows": int64(rows), "cols": int64(number(t, n) / rows), "dtype": "fp16"}
			g.add(t, kind, row["kernel_name"], ask(t, o, fields{"arch": "tpu-v4", "op": op}), 1e-6*number(t, row["avg_duration_us"]))
		}
	}
	g.check(t)
}

// TestDecodeIsNearTheRoofline: a decode step of Llama 2 7B with a batch of one, in bf16, takes between
// 60 % and 75 % of the rate at which HBM could deliver weights and cache, and the rest has causes.
func TestDecodeIsNearTheRoofline(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, past := range []int64{128, 512, 1024, 2048, 4000} {
		seconds := ask(t, o, fields{"arch": "a100-sxm-80gb", "model": "llama2-7b", "phase": "decode", "batch": 1, "past_len": past, "dtype": "bf16", "fidelity": "event"})
		bytes := 2*6738415616.0 + float64(past)*524288 // parameters and key/value bytes a token: arXiv 2307.09288
		share := bytes / 2039e9 / seconds
		t.Logf("%4d tokens cached: %.2f ms, %.1f %% of the roofline", past, 1e3*seconds, 100*share)
		if share < 0.60 || share > 0.75 {
			t.Errorf("%d tokens cached: %.1f %% of the roofline", past, 100*share)
		}
	}
}
