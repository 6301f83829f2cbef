package validation

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// splitwiseMachines are the presets of Splitwise's machines.
var splitwiseMachines = map[string]string{"a100-80gb": "a100-sxm-80gb", "h100-80gb": "h100-sxm"}

// splitwise is a row of Splitwise's measurements on DGX A100 and DGX H100 (Patel et al., ISCA 2024).
type splitwise struct {
	*reading
	arch, model             string
	tp, batch, prompt, most int64   // most is the tokens that were asked for
	ttft, tbt               float64 // measured, seconds
}

// splitwiseRows reads the measurements. Rows of a power cap are left out: they are computed and not measured (their times to
// the first token are exactly 1.300 times those without).
func splitwiseRows(dir string, l *loaded) ([]splitwise, error) {
	list, err := records(dir, "kernels/e2e/splitwise_llm_e2e.csv")
	if err != nil {
		return nil, err
	}
	var rows []splitwise
	for i := range list {
		r := &reading{record: &list[i]}
		if strings.HasSuffix(r.get("hardware"), "pcap") {
			l.leave("computed from others for a power cap")
			continue
		}
		s := splitwise{reading: r, arch: splitwiseMachines[r.get("hardware")], model: r.get("model"), tp: r.integer("tensor_parallel"), batch: r.integer("batch_size"), prompt: r.integer("prompt_size"),
			most: r.integer("token_size"), ttft: 1e-3 * r.number("ttft_ms"), tbt: 1e-3 * r.number("tbt_ms")}
		if s.arch == "" {
			r.fail("hardware", "%.40q is unknown", r.get("hardware"))
		}
		if r.err != nil {
			return nil, r.err
		}
		rows = append(rows, s)
	}
	return rows, nil
}

// contradicted says that the prefill of several prompts takes less time than the same machine needs for a quarter of them.
func (s *splitwise) contradicted(all []splitwise) bool {
	for i := range all {
		o := &all[i]
		if o.arch == s.arch && o.model == s.model && o.tp == s.tp && o.prompt == s.prompt && o.batch*4 <= s.batch && o.ttft > s.ttft {
			return true
		}
	}
	return false
}

// theCase is the request and what tells it apart.
func (s *splitwise) theCase(generate int64) Case {
	return Case{File: s.file, Line: s.line, Source: "splitwise", Device: s.get("hardware"), Arch: s.arch,
		Name: fmt.Sprintf("%s tp %d, %d x %d, %d generated", s.model, s.tp, s.batch, s.prompt, generate),
		Request: Fields{"model": s.model, "framework": "vllm-2023-eager", "phase": "generate", "batch": s.batch, "prompt": s.prompt, "generate": generate, "dtype": "fp16",
			"parallel": Fields{"tp": s.tp}},
		Runtime: "vllm-2023-eager",
		Columns: []Column{{"model", s.model}, {"tp", fmt.Sprint(s.tp)}, {"batch", fmt.Sprint(s.batch)}, {"prompt", fmt.Sprint(s.prompt)}, {"generate", fmt.Sprint(generate)}}}
}

// loadServing reads the time to the first token, by the tokens of the largest prefill step, and between tokens.
func loadServing(dir string, l *loaded) error {
	rows, err := splitwiseRows(dir, l)
	if err != nil {
		return err
	}
	for i := range rows {
		s := &rows[i]
		if s.contradicted(rows) {
			l.leave("contradicts a row with a quarter of the prompts")
			continue
		}
		// Answers may end before as many tokens as were asked for.
		generated := max(2, min(s.most, 1+int64(math.Round((1e-3*s.number("e2e_ms")-s.ttft)/s.tbt))))
		if s.err != nil {
			return s.err
		}
		first := "first_token_to_2048"
		if min(s.batch*s.prompt, max(4096, s.prompt)) > 2048 {
			first = "first_token_larger"
		}
		c := s.theCase(generated)
		c.Figures = []Figure{
			{Class: first, DType: "fp16", Field: "ttft_seconds", Scale: 1e3, Measured: 1e3 * s.ttft, Unit: "ms"},
			{Class: "between_tokens", DType: "fp16", Field: "tpot_seconds", Scale: 1e3, Measured: 1e3 * s.tbt, Unit: "ms"}}
		l.add(c, "splitwise")
	}
	return nil
}

// loadPower reads average power while tokens are generated and the peak that a sensor sees, as shares of the limit of a chip.
func loadPower(dir string, l *loaded) error {
	rows, err := splitwiseRows(dir, l)
	if err != nil {
		return err
	}
	for i := range rows {
		s := &rows[i]
		switch average := s.number("avg_power_frac_tdp"); {
		case s.arch != "a100-sxm-80gb" || average == 0:
			l.leave("power not recorded")
			continue
		case s.prompt >= 4096:
			l.leave("the average holds idle time: 0.18 of the limit where the peak is 1.0")
			continue
		}
		c := s.theCase(s.most)
		c.Figures = []Figure{
			{Class: "average_power", DType: "fp16", Field: "share.average", Measured: s.number("avg_power_frac_tdp"), Unit: "of the limit"},
			{Class: "peak_power", DType: "fp16", Field: "share.peak", Measured: s.number("peak_power_frac_tdp"), Unit: "of the limit"}}
		c.Derive = powerShares
		if s.err != nil {
			return s.err
		}
		l.add(c, "power")
	}
	return nil
}

// powerShares adds to an answer what share of a chip's limit is drawn, in its last phase and as a sensor sees the peak.
func powerShares(a map[string]any) error {
	limit, err := field(a, "power.limit_watts")
	if err != nil {
		return err
	}
	peak, err := field(a, "power.sensor_peak_watts")
	if err != nil {
		return err
	}
	phases, _ := a["phases"].([]any)
	if len(phases) == 0 {
		return fmt.Errorf("the answer has no phases")
	}
	last, _ := phases[len(phases)-1].(map[string]any)
	average, err := field(last, "average_watts")
	if err != nil {
		return err
	}
	a["share"] = map[string]any{"average": average / limit, "peak": peak / limit}
	return nil
}

// served is a model of aiconfigurator's silicon sample.
type served struct {
	model string // a preset
	kind  string // dense or moe
}

// servedModels are the models of the sample that are simulated. Left out are those with linear or sparse attention
// (Qwen3.5, GLM-5), which the simulator does not have.
var servedModels = map[string]served{
	"meta-llama/Llama-3.1-70B":         {"llama3-70b", "dense"},
	"meta-llama/Llama-3.1-8B-Instruct": {"llama3-8b", "dense"},
	"Qwen/Qwen3-32B":                   {"qwen3-32b", "dense"},
	"openai/gpt-oss-120b":              {"gpt-oss-120b", "moe"},
	"MiniMaxAI/MiniMax-M2.5":           {"minimax-m2", "moe"},
	"Qwen/Qwen3-235B-A22B-FP8":         {"qwen3-235b-a22b", "moe"},
	"deepseek-ai/DeepSeek-V3":          {"deepseek-v3", "moe"},
	"deepseek-ai/DeepSeek-R1":          {"deepseek-r1", "moe"},
}

// loadServers reads servers that always have so many requests in work. Left out are copies of another row; requests that waited
// in a queue (more than 512 at a time, or 10 s to the first token); labels that do not say the load (c_tp, and
// Llama-3.1-8B-Instruct-FP8); more than the eight chips of a node; and DeepSeek-R1 in TensorRT-LLM: 35 loads are there twice
// under the same labels with times between tokens 1.25 to 2.3 times apart (and later first tokens where those are short), as the model's own draft layers
// would have it, and nothing says which rows ran with them. DeepSeek-V3, the same architecture, has none of that.
//
// Experts that are shared out among chips, and attention whose groups have requests of their own, are classes by themselves:
// see divided.
//
// The load generator of SGLang's rows starts all requests at once and the server prefills first, as its times to the first
// token show, so these arrive in bursts. The time to the first token holds the client's and the server's queues: it is for
// information.
func loadServers(dir string, l *loaded) error {
	chips := map[string]string{"h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm"}
	list, err := records(dir, "kernels/e2e/aic_silicon_agg_e2e.csv")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range list {
		r := reading{record: &list[i]}
		path, backend, precision := r.get("model_path"), r.get("backend"), r.get("precision")
		arch, m := chips[r.get("system")], servedModels[path]
		if arch == "" || m.kind == "" {
			l.leave("other machines and models")
			continue
		}
		concurrency, prompt, generate, d := r.optional("batch_size", 0), r.optional("isl", 0), r.optional("osl", 0), r.divided()
		concurrency *= max(1, r.optional("attention_dp_size", 1)) // which is that of a group
		tp := d.tp
		ttft, tpot := r.number("silicon_ttft_ms"), r.number("silicon_tpot_ms")
		content := fmt.Sprint(arch, backend, path, precision, concurrency, prompt, generate, d, tpot, ttft)
		reason := ""
		switch {
		case seen[content]:
			reason = "copies of another row"
		case strings.Contains(r.get("id"), "c_tp"):
			reason = "load not said"
		case concurrency > 512 || ttft > 10e3:
			reason = "queued"
		case d.tp*d.groups > 8:
			reason = "more than a node"
		case backend == "trtllm" && path == "deepseek-ai/DeepSeek-R1":
			reason = "with or without draft layers, not said"
		}
		if r.err != nil {
			return r.err
		}
		if seen[content] = true; reason != "" {
			l.leave(reason)
			continue
		}
		request := Fields{"model": m.model, "framework": backend, "phase": "serve", "batch": concurrency, "prompt": prompt, "generate": generate, "dtype": "bf16", "parallel": d.fields()}
		switch precision {
		case "fp8": // weights, and the products with them
			request["dtype"], request["kv_dtype"] = "fp8", "bf16"
		case "fp4":
			if request["weight_dtype"] = "mxfp4"; path != "openai/gpt-oss-120b" { // whose checkpoint has it, and whose activations have 16 bits
				request["dtype"], request["weight_dtype"], request["kv_dtype"] = "nvfp4", "nvfp4", "bf16"
			}
		}
		if backend == "sglang" {
			request["arrivals"] = "burst"
		}
		class := m.kind
		switch {
		case d.groups > 1:
			class += "_groups"
		case d.ep > 1:
			class += "_shared"
		}
		kind := "" // two constants of the host were fitted on every second row of dense models on H100 and H200
		if m.kind == "dense" && arch != "b200-sxm" {
			kind = "servers"
		}
		l.add(Case{File: r.file, Line: r.line, ID: r.get("id"), Source: backend, Device: r.get("system"), Arch: arch,
			Name: fmt.Sprintf("%s %s, %d of %d+%d", path, d, concurrency, prompt, generate), Request: request,
			Columns: []Column{{"model", path}, {"tp", fmt.Sprint(tp)}, {"batch", fmt.Sprint(concurrency)}, {"prompt", fmt.Sprint(prompt)}, {"generate", fmt.Sprint(generate)}},
			Figures: []Figure{{Class: class + "_tpot", DType: precision, Field: "tpot_seconds", Scale: 1e3, Measured: tpot, Unit: "ms"},
				{Class: class + "_ttft", DType: precision, Field: "ttft_seconds", Scale: 1e3, Measured: ttft, Unit: "ms"}}}, kind)
	}
	return nil
}

// division is how a server divides a model among its chips.
type division struct{ tp, groups, ep int64 }

func (d division) String() string {
	text := fmt.Sprintf("tp %d", d.tp)
	if d.ep > 1 {
		text += fmt.Sprintf(" ep %d", d.ep)
	}
	if d.groups > 1 {
		text += fmt.Sprintf(" dp %d", d.groups)
	}
	return text
}

// fields is the division as a request has it.
func (d division) fields() Fields {
	f := Fields{"tp": d.tp}
	if d.ep > 1 {
		f["ep"] = d.ep
	}
	if d.groups > 1 {
		f["attn_dp"] = d.groups
	}
	return f
}

var degreesInID = regexp.MustCompile(`_tp(\d+)(?:_0)?_ep(\d+)`)

// divided reads how the chips of a row divide the model. Labels of some rows multiply degrees: "tp 64, experts 8 by 8" is the
// same measurement, to the last digit, as "tp 8, ep 8" elsewhere in the file, and the names of such rows say tp8_ep8. So a name that has
// degrees counts, else experts by n ranks of n chips on n² chips are taken for n ranks on n chips. With groups, each is one chip.
func (r *reading) divided() division {
	d := division{r.optional("tp_size", 0), max(1, r.optional("attention_dp_size", 1)), max(1, r.optional("moe_ep_size", 1))}
	inner := max(1, r.optional("moe_tp_size", 1))
	if m := degreesInID.FindStringSubmatch(r.get("id")); m != nil {
		tp, _ := strconv.ParseInt(m[1], 10, 64)
		d.ep, _ = strconv.ParseInt(m[2], 10, 64)
		if d.groups > 1 {
			d.tp, d.groups = 1, tp
		} else {
			d.tp = tp
		}
		return d
	}
	switch {
	case inner == d.ep && d.ep > 1 && d.tp == d.ep*d.ep && d.groups == 1:
		d.tp = d.ep
	case inner == d.ep && d.ep > 1 && d.tp == 1 && d.groups == d.ep*d.ep:
		d.groups = d.ep
	case inner == 1 && d.tp > 1 && d.tp == d.groups && d.ep == d.tp*d.tp:
		d.tp, d.ep = 1, d.groups
	}
	return d
}
