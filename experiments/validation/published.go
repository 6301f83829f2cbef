package validation

import (
	"context"
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// decoded is decoding of one sequence as it was published. No constant was fitted on any of them.
type decoded struct {
	source, arch, model, weights string
	tp, pp, context              int64
	seconds                      float64 // of a token
}

// publishedDecode are tokens of one sequence at a time.
//
// pytorch-labs/gpt-fast publishes rates of compiled decoding on A100 (README at 32971d31, short context). GPTQ publishes the
// median over 128 tokens of OPT-175B in 16 and 3 bits (Frantar et al., ICLR 2023, table 6), layers one after another across the
// chips: with 64 tokens in the cache.
var publishedDecode = []decoded{
	{"gpt-fast", "a100-sxm-80gb", "llama2-7b", "bf16", 1, 1, 100, 1 / 104.9},
	{"gpt-fast", "a100-sxm-80gb", "llama3-8b", "bf16", 2, 1, 100, 1 / 149.1},
	{"gpt-fast", "a100-sxm-80gb", "llama3-8b", "bf16", 4, 1, 100, 1 / 217.21},
	{"gpt-fast", "a100-sxm-80gb", "llama3-70b", "bf16", 4, 1, 100, 1 / 37.45},
	{"gpt-fast", "a100-sxm-80gb", "llama3-70b", "bf16", 8, 1, 100, 1 / 58.78},
	{"gpt-fast", "a100-sxm-80gb", "llama2-7b", "int8", 1, 1, 100, 1 / 155.58},
	{"gpt-fast", "a100-sxm-80gb", "llama2-70b", "int8", 1, 1, 100, 1 / 19.13},
	{"gpt-fast", "a100-sxm-80gb", "llama3-70b", "int8", 8, 1, 100, 1 / 75.58},
	{"gpt-fast", "a100-sxm-80gb", "llama3-405b", "int8", 8, 1, 100, 1 / 15.6},
	{"gpt-fast", "a100-sxm-80gb", "mixtral-8x7b", "int8", 2, 1, 100, 1 / 155.03},
	{"gpt-fast", "a100-sxm-80gb", "mixtral-8x7b", "int8", 8, 1, 100, 1 / 279.35},
	{"gpt-fast", "a100-sxm-80gb", "llama2-7b", "int4-g32", 1, 1, 100, 1 / 196.8},
	{"gptq", "a100-sxm-80gb", "opt-175b", "fp16", 1, 5, 64, 0.230},
	{"gptq", "a100-sxm-80gb", "opt-175b", "int3-channel", 1, 1, 64, 0.071},
	{"gptq", "rtx-a6000", "opt-175b", "fp16", 1, 8, 64, 0.589},
	{"gptq", "rtx-a6000", "opt-175b", "int3-channel", 1, 2, 64, 0.130},
}

// loadPublished lists what was published about whole models. It needs no file of measurements.
func loadPublished(_ string, l *loaded) error {
	for _, d := range publishedDecode {
		request := Fields{"model": d.model, "phase": "decode", "batch": 1, "past_len": d.context, "weight_dtype": d.weights, "parallel": Fields{"tp": d.tp, "pp": d.pp}}
		switch d.source {
		case "gptq":
			request["framework"], request["dtype"] = "gptq", "fp16"
		case "gpt-fast":
			request["framework"] = "gpt-fast"
		}
		l.add(Case{Source: d.source, Device: d.arch, Arch: d.arch, Name: fmt.Sprintf("%s %s tp %d pp %d", d.model, d.weights, d.tp, d.pp), Request: request,
			Columns: []Column{{"model", d.model}, {"tp", fmt.Sprint(d.tp)}, {"pp", fmt.Sprint(d.pp)}},
			Figures: []Figure{{Class: "decode", DType: d.weights, Field: "seconds", Scale: 1e3, Measured: 1e3 * d.seconds, Unit: "ms"}}}, "")
	}
	for i := range sn40lClaims {
		c := &sn40lClaims[i]
		l.add(Case{Source: "sn40l", Device: "sn40l", Arch: "sn40l", Name: c.name,
			Ask: func(ctx context.Context, _ *oracle.Oracle) (map[string]any, error) {
				v, err := c.value(ctx)
				return map[string]any{"value": v}, err
			},
			Figures: []Figure{{Class: "claim", DType: "bf16", Field: "value", Measured: c.low, High: c.high, Unit: c.unit}}}, "")
	}
	loadCPUs(l)
	return nil
}

// claim is what a maker of SN40L publishes: Prabhakar et al., MICRO 2024 (arXiv 2405.07518), or as the name says. No constant was
// fitted on these; the paper gives ranges over its benchmarks, of which the ones asked for here are two.
type claim struct {
	name      string
	low, high float64 // high 0 for a single figure
	unit      string
	value     func(ctx context.Context) (float64, error)
}

var sn40lClaims = append(append(fusionClaims("llama2-7b"), fusionClaims("mistral-7b")...), []claim{
	{"llama2-7b prefill, kernel calls unfused over fused, figure 11", 11, 0, "x", func(ctx context.Context) (float64, error) {
		return ratio(ctx, onSN40L{model: "llama2-7b", phase: "prefill", profile: "unfused"}, onSN40L{model: "llama2-7b", phase: "prefill", profile: "fused-host"}, launches)
	}},
	{"share of HBM bandwidth, decode on one socket, section VI", 0.85, 1, "of peak", func(ctx context.Context) (float64, error) {
		return onSN40L{model: "llama2-7b", phase: "decode", profile: "fused", tp: 1}.figure(ctx, hbmShare)
	}},
	{"share of HBM bandwidth, decode on eight sockets, DAC 2024", 0.75, 1, "of peak", func(ctx context.Context) (float64, error) {
		return onSN40L{model: "llama2-7b", phase: "decode", profile: "fused"}.figure(ctx, hbmShare)
	}},
	{"llama3-8b on sixteen sockets, 8192 cached, table IV", 1042, 0, "tokens/s", func(ctx context.Context) (float64, error) {
		return onSN40L{machine: "sn40l-16", model: "llama3-8b", phase: "decode", profile: "fused", prompt: 8192, tp: 16}.figure(ctx, rate)
	}},
	{"llama3-8b on eight sockets, 4096 cached, maker's blog of April 2024", 430, 0, "tokens/s", func(ctx context.Context) (float64, error) {
		return onSN40L{model: "llama3-8b", phase: "decode", profile: "fused"}.figure(ctx, rate)
	}},
	{"a Llama 2 7B copied into HBM, DGX A100 over SN40L node, table V", 31, 0, "x", func(context.Context) (float64, error) { return copies("a100-sxm-80gb") }},
	{"a Llama 2 7B copied into HBM, DGX H100 over SN40L node, table V and text", 15, 16, "x", func(context.Context) (float64, error) { return copies("h100-sxm") }},
}...)

// fusionClaims are what fusion and launches by hardware gain, section VI.
func fusionClaims(model string) []claim {
	over := func(phase, slow, fast string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			return ratio(ctx, onSN40L{model: model, phase: phase, profile: slow}, onSN40L{model: model, phase: phase, profile: fast}, seconds)
		}
	}
	return []claim{
		{model + " decode, fused by host over unfused, section VI", 1, 13, "x", over("decode", "unfused", "fused-host")},
		{model + " decode, launched by hardware over host, section VI", 1.4, 8, "x", over("decode", "fused-host", "fused")},
		{model + " prefill, fused by host over unfused, section VI", 1.5, 3, "x", over("prefill", "unfused", "fused-host")},
		{model + " prefill, launched by hardware over host, section VI", 1, 1.1, "x", over("prefill", "fused-host", "fused")},
	}
}

// onSN40L is a phase of a model in bf16 on SN40L. The zero machine is sn40l, of eight sockets with 4096 tokens.
type onSN40L struct {
	machine, model, phase, profile string
	prompt, tp                     int64
}

func (o onSN40L) figure(ctx context.Context, of func(*eval.Result) float64) (float64, error) {
	if o.machine == "" {
		o.machine = "sn40l"
	}
	if o.prompt == 0 {
		o.prompt = 4096
	}
	if o.tp == 0 {
		o.tp = 8
	}
	m, err := presets.Machine(o.machine)
	if err != nil {
		return 0, err
	}
	model, err := llm.Preset(o.model)
	if err != nil {
		return 0, err
	}
	g, err := model.Graph(llm.Workload{Phase: o.phase, Batch: 1, Prompt: o.prompt, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
	if err != nil {
		return 0, err
	}
	r, err := eval.Run(ctx, eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: o.tp, Profile: o.profile}})
	if err != nil {
		return 0, err
	}
	return of(r), nil
}

func ratio(ctx context.Context, a, b onSN40L, of func(*eval.Result) float64) (float64, error) {
	x, err := a.figure(ctx, of)
	if err != nil {
		return 0, err
	}
	y, err := b.figure(ctx, of)
	return x / y, err
}

func seconds(r *eval.Result) float64 { return r.Seconds }
func rate(r *eval.Result) float64    { return r.TokensPerSecond }

func hbmShare(r *eval.Result) float64 {
	for _, tier := range r.Memory {
		if tier.Tier == "hbm" {
			return tier.Utilization
		}
	}
	return 0
}

func launches(r *eval.Result) float64 {
	for i, c := range r.Program.Counters {
		if c.Name == "launches" {
			return float64(r.Outcome.Work[i])
		}
	}
	return 0
}

// copies is how many times as long a machine copies an expert into HBM as SN40L does. The paper charges the others with a link
// at its peak.
func copies(name string) (float64, error) {
	load := func(name string, chips int64) (float64, error) {
		m, err := presets.Machine(name)
		if err != nil {
			return 0, err
		}
		if m.System.Host != nil && !strings.HasPrefix(name, "sn40l") {
			if err := m.Set("system.host.link.efficiency", "1"); err != nil {
				return 0, err
			}
		}
		return m.Below(chips).Time(2 * 6738415616 / units.Bytes(chips)).Seconds(), nil
	}
	slow, err := load(name, 1)
	if err != nil {
		return 0, err
	}
	fast, err := load("sn40l", 8)
	return slow / fast, err
}
