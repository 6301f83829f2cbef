package validation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// served is a model of aiconfigurator's silicon sample.
type served struct {
	model string // a preset
	kind  string // dense or MoE
}

// servedModels are the models of the sample that are simulated. Left out are those with linear or sparse attention
// (Qwen3.5, GLM-5), which the simulator does not have.
var servedModels = map[string]served{
	"meta-llama/Llama-3.1-70B":         {"llama3-70b", "dense"},
	"meta-llama/Llama-3.1-8B-Instruct": {"llama3-8b", "dense"},
	"Qwen/Qwen3-32B":                   {"qwen3-32b", "dense"},
	"openai/gpt-oss-120b":              {"gpt-oss-120b", "MoE"},
	"MiniMaxAI/MiniMax-M2.5":           {"minimax-m2", "MoE"},
	"Qwen/Qwen3-235B-A22B-FP8":         {"qwen3-235b-a22b", "MoE"},
	"deepseek-ai/DeepSeek-V3":          {"deepseek-v3", "MoE"},
	"deepseek-ai/DeepSeek-R1":          {"deepseek-r1", "MoE"},
}

// steadyRow is a row of the sample: a server that always has concurrency requests in work.
type steadyRow struct {
	id, arch, backend, path, precision string
	concurrency, prompt, generate, tp  int64
	tpot, ttft                         float64 // measured, seconds
}

// steadyRows reads the rows of machines and models that are simulated. Left out, and counted by reason: copies of another
// row; requests that waited in a queue (more than 512 at a time, or 10 s to the first token); labels that do not say
// the load (c_tp, and Llama-3.1-8B-Instruct-FP8, see the facts on these rows); more than the eight chips of a node; and
// attention that is divided by requests or experts that are divided among chips, which is not simulated.
func steadyRows(t *testing.T) []steadyRow {
	t.Helper()
	machines := map[string]string{"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm"}
	left, seen := map[string]int{}, map[string]bool{}
	var rows []steadyRow
	for _, row := range table(t, "kernels/e2e/aic_silicon_agg_e2e.csv") {
		arch, model := machines[row["system"]], servedModels[row["model_path"]]
		if arch == "" || model.kind == "" {
			left["other machines and models"]++
			continue
		}
		integer := func(column string, otherwise int64) int64 {
			if row[column] == "" {
				return otherwise
			}
			return int64(number(t, row[column]))
		}
		r := steadyRow{id: row["id"], arch: arch, backend: row["backend"], path: row["model_path"], precision: row["precision"], concurrency: integer("batch_size", 0),
			prompt: integer("isl", 0), generate: integer("osl", 0), tp: integer("tp_size", 0), tpot: 1e-3 * number(t, row["silicon_tpot_ms"]), ttft: 1e-3 * number(t, row["silicon_ttft_ms"])}
		content := fmt.Sprint(r.arch, r.backend, r.path, r.precision, r.concurrency, r.prompt, r.generate, r.tp, r.tpot, r.ttft)
		reason := ""
		switch {
		case seen[content]:
			reason = "copies"
		case strings.Contains(r.id, "c_tp"):
			reason = "load not said"
		case r.concurrency > 512 || r.ttft > 10:
			reason = "queued"
		case r.tp > 8:
			reason = "more than a node"
		case integer("attention_dp_size", 1) > 1 || integer("moe_ep_size", 1) > 1:
			reason = "divided by requests or experts"
		}
		seen[content] = true
		if reason != "" {
			left[reason]++
			continue
		}
		rows = append(rows, r)
	}
	t.Logf("%d rows; left out: %v", len(rows), left)
	return rows
}

// TestSteadyServing: time between tokens of servers with a constant number of requests in work. The two constants of the
// server's host were fitted on every second row of dense models ("fitted"); nothing else of it was fitted on a server.
// The load generator of SGLang's rows starts all requests at once and the server prefills first, as its times to the first
// token show, so these arrive in bursts. The time to the first token holds the client's and the server's queues, and
// is printed, not gated.
func TestSteadyServing(t *testing.T) {
	o := oracle.New(oracle.Options{})
	g := newGates("dense, fitted", 0.079, "dense, held out", 0.079, "dense, vllm", 0.082, "dense, trtllm", 0.108, "dense, sglang", 0.078,
		"dense, h100-sxm", 0.065, "dense, h200-sxm", 0.13, "dense, b200-sxm", 0.153,
		"MoE", 0.177, "MoE, vllm", 0.136, "MoE, trtllm", 0.255, "MoE, sglang", 0.139, "MoE, h100-sxm", 0.148, "MoE, h200-sxm", 0.147, "MoE, b200-sxm", 0.194)
	first := map[string]*Comparison{}
	full, dense := 0, 0
	rows := steadyRows(t)
	for i := range rows {
		r := &rows[i]
		m := servedModels[r.path]
		request := fields{"arch": r.arch, "model": m.model, "framework": r.backend, "phase": "serve", "batch": r.concurrency, "prompt": r.prompt, "generate": r.generate,
			"dtype": "bf16", "parallel": fields{"tp": r.tp}}
		switch r.precision {
		case "fp8": // weights, and the products with them
			request["dtype"], request["kv_dtype"] = "fp8", "bf16"
		case "fp4":
			if request["weight_dtype"] = "mxfp4"; r.path != "openai/gpt-oss-120b" { // whose checkpoint has it, and whose activations have 16 bits
				request["dtype"], request["weight_dtype"], request["kv_dtype"] = "nvfp4", "nvfp4", "bf16"
			}
		}
		if r.backend == "sglang" {
			request["arrivals"] = "burst"
		}
		line, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		out, err := o.Answer(t.Context(), line)
		if err != nil {
			t.Fatal(err)
		}
		var a struct {
			Status string
			TTFT   float64 `json:"ttft_seconds"`
			TPOT   float64 `json:"tpot_seconds"`
		}
		if err := json.Unmarshal(out, &a); err != nil {
			t.Fatal(err)
		}
		if a.Status == "infeasible" { // a server would queue what its cache has no room for
			full++
			continue
		}
		if a.Status != "ok" {
			t.Fatalf("%s: %s", line, bytes.TrimSpace(out))
		}
		name := fmt.Sprintf("%s %s %s tp %d, %d of %d+%d", r.arch, r.backend, r.path, r.tp, r.concurrency, r.prompt, r.generate)
		if m.kind == "MoE" { // nothing was fitted on them
			g.add(t, "MoE", name, a.TPOT, r.tpot)
			g.add(t, "MoE, "+r.backend, name, a.TPOT, r.tpot)
			g.add(t, "MoE, "+r.arch, name, a.TPOT, r.tpot)
			continue
		}
		g.add(t, "dense, "+r.backend, name, a.TPOT, r.tpot)
		g.add(t, "dense, "+r.arch, name, a.TPOT, r.tpot)
		if r.arch == "b200-sxm" { // on which nothing was fitted
			continue
		}
		half := "fitted"
		if dense++; dense%2 == 0 {
			half = "held out"
		}
		g.add(t, "dense, "+half, name, a.TPOT, r.tpot)
		if first[r.backend] == nil {
			first[r.backend] = &Comparison{Name: "to the first token, " + r.backend}
		}
		first[r.backend].Add(name, a.TTFT, r.ttft)
	}
	t.Logf("%d rows have more requests than the cache has room for", full)
	t.Logf("for information\n%s", Table([]*Comparison{first["vllm"], first["trtllm"], first["sglang"]}))
	g.check(t)
}
