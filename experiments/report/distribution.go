package report

import (
	"fmt"

	"github.com/stratasim/strata/arch/eval"
)

// distribution prints what many requests came to.
func (r *runReport) distribution() {
	d := r.a.Distribution
	if d == nil {
		return
	}
	r.head("Over all requests")
	drawn := ""
	if d.Seed != 0 {
		drawn = fmt.Sprintf(", seed %d", d.Seed)
	}
	r.b.WriteString(wrap("  ", fmt.Sprintf("%s: %s requests of %s lengths%s, each timed by itself in a batch of %d", d.Workload, Count(d.Requests), Count(d.Distinct), drawn, r.a.Batch)))
	t := Table{Columns: []Column{{Title: "of a request"}, {Title: "mean", Right: true}, {Title: "p50", Right: true}, {Title: "p95", Right: true}, {Title: "p99", Right: true},
		{Title: "least", Right: true}, {Title: "most", Right: true}}}
	row := func(name string, s *eval.Spread, show func(float64) string) {
		if s == nil || *s == (eval.Spread{}) {
			return
		}
		t.Rows = append(t.Rows, []any{name, show(s.Mean), show(s.P50), show(s.P95), show(s.P99), show(s.Min), show(s.Max)})
	}
	count := func(x float64) string { return digits(x) }
	prompt := "prompt, tokens"
	if r.a.Phase == "decode" {
		prompt = "cached, tokens"
	}
	row(prompt, &d.PromptTokens, count)
	row("generated, tokens", &d.GenerateTokens, count)
	row("latency", &d.Latency, Seconds)
	if r.a.Phase != "prefill" {
		row("first token (TTFT)", d.TTFT, Seconds)
	}
	if r.a.Phase != "decode" {
		row("per token (TPOT)", d.TPOT, Seconds)
	}
	row("energy of a request", &d.JoulesPerRequest, Energy)
	row("throughput of a batch", &d.TokensPerSecond, Tokens)
	r.indented(&t)
	if d.TotalTokensPerSecond > 0 {
		r.b.WriteString(wrap("  ", fmt.Sprintf("%s over all, batches of alike requests one after the other; quantiles by %s", Tokens(d.TotalTokensPerSecond), d.Quantiles)))
	}
	if d.Round > 1 {
		r.b.WriteString(wrap("  ", fmt.Sprintf("lengths are rounded up to multiples of %d, which adds at most %s to the mean latency", d.Round, Percent(d.RoundError))))
	}
	r.b.WriteString(wrap("  ", "all other figures are of the request of median latency"))
}
