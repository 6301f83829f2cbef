package report

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/eval"
)

// composition prints what a composition of experts came to.
func (r *runReport) composition() {
	d := r.a.Composition
	if d == nil {
		return
	}
	r.head("Experts")
	line := func(first, format string, args ...any) {
		r.b.WriteString(wrap("  "+pad(first, 10)+" ", fmt.Sprintf(format, args...)))
	}
	requests := fmt.Sprintf("%s requests in %s batches, %s", Count(d.Requests), Count(d.Batches), d.Popularity)
	if d.Popularity == "uniform" || strings.HasPrefix(d.Popularity, "zipf") {
		requests += fmt.Sprintf(", seed %d", d.Seed)
	}
	if d.Warmup > 0 {
		requests += fmt.Sprintf("; %s before them do not count", Count(d.Warmup))
	}
	line("requests", "%s: %s", d.Composition, requests)
	line("cache", "room for %s of %s experts of %s; %s; %s misses, %s of them the first use of an expert", Count(d.Resident), Count(d.Experts), Size(d.ExpertBytes), d.Policy, Count(d.Misses), Count(d.ColdMisses))
	if d.From != "" {
		text := fmt.Sprintf("from %s at %s over all chips, %s an expert, bound by %s", d.From, rate(d.CopyBytesPerSecond), Seconds(d.CopySeconds), d.CopyBoundBy)
		if d.CopyBoundBy == "stated" {
			text = fmt.Sprintf("from %s at %s over all chips as stated, %s an expert", d.From, rate(d.CopyBytesPerSecond), Seconds(d.CopySeconds))
		}
		if d.Prefetch {
			text += fmt.Sprintf("; %s of copies are hidden behind runs and slow them by %s", Seconds(d.HiddenSeconds), Seconds(d.SlowedSeconds))
		}
		line("copies", "%s copied %s", Size(d.CopiedBytes), text)
	}
	line("machines", "%s", machines(d, strings.Contains(r.a.Model, "+")))
	t := Table{Columns: []Column{{Title: "of a request"}, {Title: "mean", Right: true}, {Title: "p50", Right: true}, {Title: "p95", Right: true}, {Title: "p99", Right: true},
		{Title: "least", Right: true}, {Title: "most", Right: true}}}
	row := func(name string, s *eval.Spread) {
		if *s != (eval.Spread{}) {
			t.Rows = append(t.Rows, []any{name, Seconds(s.Mean), Seconds(s.P50), Seconds(s.P95), Seconds(s.P99), Seconds(s.Min), Seconds(s.Max)})
		}
	}
	row("router", &d.RouterTime)
	row("runs before it", &d.WaitTime)
	row("switch", &d.SwitchTime)
	row("prefill", &d.PrefillTime)
	row("decode", &d.DecodeTime)
	row("first token (TTFT)", &d.TTFT)
	row("latency", &d.Latency)
	if r.a.Batch > 1 {
		row("a batch", &d.BatchTime)
	}
	r.indented(&t)
	r.b.WriteString(wrap("  ", fmt.Sprintf("%.4g requests/s, %s a request; all other figures are of all these requests", d.RequestsPerSecond, Energy(d.JoulesPerRequest))))
}

// machines says how many machines hold the experts.
func machines(d *eval.Composition, mixed bool) string {
	each := "each"
	if mixed {
		each = "of the largest each"
	}
	count := func(n int64) string {
		if n == 1 {
			return "1 holds"
		}
		return Count(n) + " hold"
	}
	if d.From == "" {
		return fmt.Sprintf("%s all experts, %s %s", count(d.MachinesInFast), Count(d.ExpertsInFastMachine), each)
	}
	return fmt.Sprintf("%s all experts in %s, %s each; in fast memory alone %s, %s each", count(d.Machines), d.From, Count(d.ExpertsPerMachine), Count(d.MachinesInFast), Count(d.ExpertsInFastMachine))
}

// rate prints bytes per second.
func rate(bytes float64) string {
	return scaled(bytes/1e9, 1000, "GB/s", "TB/s")
}
