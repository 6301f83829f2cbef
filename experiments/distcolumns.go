package experiments

import (
	"fmt"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/store"
)

// distributionScalars are the scalars of what a workload came to.
func distributionScalars() []scalar {
	of := func(path string, f func(d *eval.Distribution) any) scalar {
		return scalar{"distribution." + path, "dist_" + path, func(a *eval.Answer) any {
			if a.Distribution == nil {
				return nil
			}
			return f(a.Distribution)
		}}
	}
	list := []scalar{
		of("workload", func(d *eval.Distribution) any { return d.Workload }),
		of("requests", func(d *eval.Distribution) any { return d.Requests }),
		of("distinct", func(d *eval.Distribution) any { return d.Distinct }),
		of("seed", func(d *eval.Distribution) any { return d.Seed }),
		of("quantiles", func(d *eval.Distribution) any { return d.Quantiles }),
		of("round", func(d *eval.Distribution) any { return d.Round }),
		of("round_error", func(d *eval.Distribution) any { return d.RoundError }),
		of("total_tokens_per_second", func(d *eval.Distribution) any { return d.TotalTokensPerSecond }),
	}
	figures := map[string]func(d *eval.Distribution) *eval.Spread{
		"prompt_tokens":      func(d *eval.Distribution) *eval.Spread { return &d.PromptTokens },
		"generate_tokens":    func(d *eval.Distribution) *eval.Spread { return &d.GenerateTokens },
		"ttft_seconds":       func(d *eval.Distribution) *eval.Spread { return d.TTFT },
		"tpot_seconds":       func(d *eval.Distribution) *eval.Spread { return d.TPOT },
		"latency_seconds":    func(d *eval.Distribution) *eval.Spread { return &d.Latency },
		"joules_per_request": func(d *eval.Distribution) *eval.Spread { return &d.JoulesPerRequest },
		"tokens_per_second":  func(d *eval.Distribution) *eval.Spread { return &d.TokensPerSecond },
	}
	for _, f := range store.Spreads {
		for i, part := range store.SpreadParts {
			list = append(list, scalar{"distribution." + f.Figure + "." + part, fmt.Sprintf(f.Column, part), func(a *eval.Answer) any {
				if a.Distribution == nil || figures[f.Figure](a.Distribution) == nil {
					return nil
				}
				return spreadParts[i](figures[f.Figure](a.Distribution))
			}})
		}
	}
	return list
}

// spreadParts are the figures of a spread, in the order of store.SpreadParts.
var spreadParts = []func(s *eval.Spread) float64{
	func(s *eval.Spread) float64 { return s.Mean }, func(s *eval.Spread) float64 { return s.P50 }, func(s *eval.Spread) float64 { return s.P95 },
	func(s *eval.Spread) float64 { return s.P99 }, func(s *eval.Spread) float64 { return s.Min }, func(s *eval.Spread) float64 { return s.Max },
}

// compositionScalars are the scalars of what a composition of experts came to.
func compositionScalars() []scalar {
	of := func(path string, f func(c *eval.Composition) any) scalar {
		return scalar{"composition." + path, "coe_" + path, func(a *eval.Answer) any { return of(a.Composition, f) }}
	}
	list := []scalar{
		of("composition", func(c *eval.Composition) any { return c.Composition }),
		of("experts", func(c *eval.Composition) any { return c.Experts }),
		of("expert_bytes", func(c *eval.Composition) any { return c.ExpertBytes }),
		of("router", func(c *eval.Composition) any { return c.Router }),
		of("requests", func(c *eval.Composition) any { return c.Requests }),
		of("warmup", func(c *eval.Composition) any { return c.Warmup }),
		of("batches", func(c *eval.Composition) any { return c.Batches }),
		of("seed", func(c *eval.Composition) any { return c.Seed }),
		of("popularity", func(c *eval.Composition) any { return c.Popularity }),
		of("policy", func(c *eval.Composition) any { return c.Policy }),
		of("resident", func(c *eval.Composition) any { return c.Resident }),
		of("runs", func(c *eval.Composition) any { return c.Runs }),
		of("hits", func(c *eval.Composition) any { return c.Hits }),
		of("misses", func(c *eval.Composition) any { return c.Misses }),
		of("cold_misses", func(c *eval.Composition) any { return c.ColdMisses }),
		of("hit_rate", func(c *eval.Composition) any { return c.HitRate }),
		of("from", func(c *eval.Composition) any { return given(c.From) }),
		of("copy_bytes_per_second", func(c *eval.Composition) any { return applies(c.CopyBytesPerSecond) }),
		of("copy_seconds", func(c *eval.Composition) any { return applies(c.CopySeconds) }),
		of("copy_bound_by", func(c *eval.Composition) any { return given(c.CopyBoundBy) }),
		of("copied_bytes", func(c *eval.Composition) any { return c.CopiedBytes }),
		of("prefetch", func(c *eval.Composition) any { return c.Prefetch }),
		of("hidden_seconds", func(c *eval.Composition) any { return c.HiddenSeconds }),
		of("slowed_seconds", func(c *eval.Composition) any { return c.SlowedSeconds }),
		of("requests_per_second", func(c *eval.Composition) any { return c.RequestsPerSecond }),
		of("joules_per_request", func(c *eval.Composition) any { return c.JoulesPerRequest }),
		of("machines", func(c *eval.Composition) any { return c.Machines }),
		of("machines_in_fast", func(c *eval.Composition) any { return c.MachinesInFast }),
		of("experts_per_machine", func(c *eval.Composition) any { return c.ExpertsPerMachine }),
		of("experts_in_fast_per_machine", func(c *eval.Composition) any { return c.ExpertsInFastMachine }),
	}
	figures := map[string]func(c *eval.Composition) *eval.Spread{
		"router_seconds":  func(c *eval.Composition) *eval.Spread { return &c.RouterTime },
		"wait_seconds":    func(c *eval.Composition) *eval.Spread { return &c.WaitTime },
		"switch_seconds":  func(c *eval.Composition) *eval.Spread { return &c.SwitchTime },
		"prefill_seconds": func(c *eval.Composition) *eval.Spread { return &c.PrefillTime },
		"decode_seconds":  func(c *eval.Composition) *eval.Spread { return &c.DecodeTime },
		"ttft_seconds":    func(c *eval.Composition) *eval.Spread { return &c.TTFT },
		"latency_seconds": func(c *eval.Composition) *eval.Spread { return &c.Latency },
		"batch_seconds":   func(c *eval.Composition) *eval.Spread { return &c.BatchTime },
	}
	for _, f := range store.CompositionSpreads {
		for i, part := range store.SpreadParts {
			s := of(f.Figure+"."+part, func(c *eval.Composition) any { return spreadParts[i](figures[f.Figure](c)) })
			s.column = fmt.Sprintf(f.Column, part)
			list = append(list, s)
		}
	}
	return list
}
