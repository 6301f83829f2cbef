package validation

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// onSN40L runs a phase of a model in bf16 on an SN40L preset.
func onSN40L(t *testing.T, machine, model, phase, profile string, prompt, tp int64) *eval.Result {
	t.Helper()
	m, err := presets.Machine(machine)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := llm.Preset(model)
	if err != nil {
		t.Fatal(err)
	}
	g, err := mod.Graph(llm.Workload{Phase: phase, Batch: 1, Prompt: prompt, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
	if err != nil {
		t.Fatal(err)
	}
	res, err := eval.Run(context.Background(), eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: tp, Profile: profile}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestSN40LPublished: what Prabhakar et al. publish about SN40L (MICRO 2024, arXiv 2405.07518) and what
// others say. No constant was fitted on these; the paper gives ranges over its benchmarks, of which the
// ones asked for here are two.
func TestSN40LPublished(t *testing.T) {
	hbm := func(r *eval.Result) float64 {
		for _, tier := range r.Memory {
			if tier.Tier == "hbm" {
				return tier.Utilization
			}
		}
		return 0
	}
	launches := func(r *eval.Result) float64 {
		for i, c := range r.Program.Counters {
			if c.Name == "launches" {
				return float64(r.Outcome.Work[i])
			}
		}
		return 0
	}
	type claim struct {
		what      string
		got       float64
		low, high float64 // published; the gate is this range, widened by tolerance
		tolerance float64
	}
	run := func(model, phase, profile string, tp int64) *eval.Result {
		return onSN40L(t, "sn40l", model, phase, profile, 4096, tp)
	}
	var claims []claim
	for _, model := range []string{"llama2-7b", "mistral-7b"} {
		decode, byHost, single := run(model, "decode", "fused", 8), run(model, "decode", "fused-host", 8), run(model, "decode", "unfused", 8)
		prefill, preHost, preSingle := run(model, "prefill", "fused", 8), run(model, "prefill", "fused-host", 8), run(model, "prefill", "unfused", 8)
		claims = append(claims,
			claim{model + " decode, fused by host over unfused, section VI", single.Seconds / byHost.Seconds, 1, 13, 0},
			claim{model + " decode, launched by hardware over host, section VI", byHost.Seconds / decode.Seconds, 1.4, 8, 0},
			claim{model + " prefill, fused by host over unfused, section VI", preSingle.Seconds / preHost.Seconds, 1.5, 3, 0},
			claim{model + " prefill, launched by hardware over host, section VI", preHost.Seconds / prefill.Seconds, 1, 1.1, 0})
		if model == "llama2-7b" {
			claims = append(claims, claim{model + " prefill, kernel calls unfused over fused, figure 11", launches(preSingle) / launches(preHost), 11, 11, 0.6})
		}
	}
	claims = append(claims,
		claim{"share of HBM bandwidth, decode on one socket, section VI", hbm(run("llama2-7b", "decode", "fused", 1)), 0.85, 1, 0},
		claim{"share of HBM bandwidth, decode on eight sockets, DAC 2024", hbm(run("llama2-7b", "decode", "fused", 8)), 0.75, 1, 0.08},
		claim{"llama3-8b tokens/s on sixteen sockets, 8192 cached, table IV", onSN40L(t, "sn40l-16", "llama3-8b", "decode", "fused", 8192, 16).TokensPerSecond, 1042, 1042, 0.15},
		claim{"llama3-8b tokens/s on eight sockets, 4096 cached, maker's blog of April 2024", run("llama3-8b", "decode", "fused", 8).TokensPerSecond, 430, 430, 0.7})
	// Switching experts of Llama 2 7B, from the memory below; the paper charges the others with a link at its peak.
	load := func(machine string, tp int64) float64 {
		m, err := presets.Machine(machine)
		if err != nil {
			t.Fatal(err)
		}
		if m.System.Host != nil {
			if err := m.Set("system.host.link.efficiency", "1"); err != nil {
				t.Fatal(err)
			}
		}
		return m.Below(tp).Time(2 * 6738415616 / units.Bytes(tp)).Seconds()
	}
	sn40l := load("sn40l", 8)
	claims = append(claims,
		claim{"a Llama 2 7B copied into HBM, DGX A100 over SN40L node, table V", load("a100-sxm-80gb", 1) / sn40l, 31, 31, 0.06},
		claim{"a Llama 2 7B copied into HBM, DGX H100 over SN40L node, table V and text", load("h100-sxm", 1) / sn40l, 15, 16, 0.02})
	for _, c := range claims {
		published := fmt.Sprintf("%g", c.low)
		if c.high != c.low {
			published += fmt.Sprintf(" to %g", c.high)
		}
		t.Logf("%-80s %8.2f, published %s", c.what, c.got, published)
		if c.got < c.low*(1-c.tolerance) || c.got > c.high*(1+c.tolerance) || math.IsNaN(c.got) {
			t.Errorf("%s: %.3g, published %g to %g, tolerance %.0f %%", c.what, c.got, c.low, c.high, 100*c.tolerance)
		}
	}
}
