package store

import "fmt"

// Spreads are the figures of a distribution over requests and their columns, in which %s stands for one of SpreadParts.
var Spreads = []struct {
	Figure, Column, Unit, Description string
}{
	{"prompt_tokens", "dist_prompt_tokens_%s", "", "tokens of the prompt"},
	{"generate_tokens", "dist_generate_tokens_%s", "", "tokens generated"},
	{"ttft_seconds", "dist_ttft_%s_seconds", "s", "time to the first token"},
	{"tpot_seconds", "dist_tpot_%s_seconds", "s", "time per output token after the first"},
	{"latency_seconds", "dist_latency_%s_seconds", "s", "time of the request"},
	{"joules_per_request", "dist_request_%s_joules", "J", "energy of the request"},
	{"tokens_per_second", "dist_%s_tokens_per_second", "1/s", "tokens per second of its batch"},
}

// SpreadParts are what is told of each figure over all requests.
var SpreadParts = []string{"mean", "p50", "p95", "p99", "min", "max"}

// distributionColumns are the columns for what a workload of many requests came to.
func distributionColumns() []Column {
	cs := []Column{
		{Name: "dist_workload", Type: Text, Description: "file with the lengths of many requests; no value for a single request"},
		{Name: "dist_requests", Type: Integer, Description: "how many requests there are"},
		{Name: "dist_distinct", Type: Integer, Description: "distinct lengths, each timed once"},
		{Name: "dist_seed", Type: Integer, Description: "seed of the draws; 0 if nothing was drawn"},
		{Name: "dist_quantiles", Type: Text, Description: "definition of the quantiles"},
		{Name: "dist_round", Type: Integer, Description: "lengths were rounded up to a multiple of it"},
		{Name: "dist_round_error", Type: Real, Description: "share of the mean latency that rounding adds at most"},
		{Name: "dist_total_tokens_per_second", Type: Real, Unit: "1/s", Description: "all tokens by all time"},
	}
	for _, s := range Spreads {
		for _, part := range SpreadParts {
			cs = append(cs, Column{Name: fmt.Sprintf(s.Column, part), Type: Real, Unit: s.Unit, Description: s.Description + ": " + part + " over all requests"})
		}
	}
	return cs
}
