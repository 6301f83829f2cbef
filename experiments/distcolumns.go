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
	parts := []func(s *eval.Spread) float64{
		func(s *eval.Spread) float64 { return s.Mean }, func(s *eval.Spread) float64 { return s.P50 }, func(s *eval.Spread) float64 { return s.P95 },
		func(s *eval.Spread) float64 { return s.P99 }, func(s *eval.Spread) float64 { return s.Min }, func(s *eval.Spread) float64 { return s.Max },
	}
	for _, f := range store.Spreads {
		for i, part := range store.SpreadParts {
			list = append(list, scalar{"distribution." + f.Figure + "." + part, fmt.Sprintf(f.Column, part), func(a *eval.Answer) any {
				if a.Distribution == nil || figures[f.Figure](a.Distribution) == nil {
					return nil
				}
				return parts[i](figures[f.Figure](a.Distribution))
			}})
		}
	}
	return list
}
