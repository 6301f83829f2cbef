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

// CompositionSpreads are the figures of a composition of experts over its requests and their columns, as Spreads.
var CompositionSpreads = []struct {
	Figure, Column, Unit, Description string
}{
	{"router_seconds", "coe_router_%s_seconds", "s", "router of a request's batch"},
	{"wait_seconds", "coe_wait_%s_seconds", "s", "runs of its batch before its own, with their copies"},
	{"switch_seconds", "coe_switch_%s_seconds", "s", "what remains of the copy of its expert"},
	{"prefill_seconds", "coe_prefill_%s_seconds", "s", "its prefill"},
	{"decode_seconds", "coe_decode_%s_seconds", "s", "its decode"},
	{"ttft_seconds", "coe_ttft_%s_seconds", "s", "time to its first token"},
	{"latency_seconds", "coe_latency_%s_seconds", "s", "its latency"},
	{"batch_seconds", "coe_batch_%s_seconds", "s", "time of its batch"},
}

// compositionColumns are the columns for what a composition of experts came to.
func compositionColumns() []Column {
	cs := []Column{
		{Name: "coe_composition", Type: Text, Description: "file of a composition of experts; no value for other runs"},
		{Name: "coe_experts", Type: Integer, Description: "experts"},
		{Name: "coe_expert_bytes", Type: Integer, Unit: "B", Description: "weights of the largest expert, over all chips of the mapping"},
		{Name: "coe_router", Type: Text, Description: "model of the router, or stated or none"},
		{Name: "coe_requests", Type: Integer, Description: "requests that count"},
		{Name: "coe_warmup", Type: Integer, Description: "requests before them"},
		{Name: "coe_batches", Type: Integer, Description: "batches of requests"},
		{Name: "coe_seed", Type: Integer, Description: "seed of the draws"},
		{Name: "coe_popularity", Type: Text, Description: "how requests pick experts"},
		{Name: "coe_policy", Type: Text, Description: "which experts stay in fast memory"},
		{Name: "coe_resident", Type: Integer, Description: "experts that fast memory has room for"},
		{Name: "coe_runs", Type: Integer, Description: "runs of experts, one for each that a batch needs"},
		{Name: "coe_hits", Type: Integer, Description: "runs whose expert is in fast memory"},
		{Name: "coe_misses", Type: Integer, Description: "runs whose expert has to be copied there"},
		{Name: "coe_cold_misses", Type: Integer, Description: "misses of experts that were never there"},
		{Name: "coe_hit_rate", Type: Real, Description: "share of the runs that hit"},
		{Name: "coe_from", Type: Text, Description: "memory that experts live in"},
		{Name: "coe_copy_bytes_per_second", Type: Real, Unit: "B/s", Description: "rate of a copy, over all chips of the mapping"},
		{Name: "coe_copy_seconds", Type: Real, Unit: "s", Description: "time of a copy of the largest expert alone"},
		{Name: "coe_copy_bound_by", Type: Text, Description: "what sets the rate of copies"},
		{Name: "coe_copied_bytes", Type: Integer, Unit: "B", Description: "bytes copied into all chips"},
		{Name: "coe_prefetch", Type: Bool, Description: "copies begin with the run before"},
		{Name: "coe_hidden_seconds", Type: Real, Unit: "s", Description: "time of copies beside runs"},
		{Name: "coe_slowed_seconds", Type: Real, Unit: "s", Description: "time that copies add to runs"},
		{Name: "coe_requests_per_second", Type: Real, Unit: "1/s", Description: "requests answered per second"},
		{Name: "coe_joules_per_request", Type: Real, Unit: "J", Description: "energy of a request"},
		{Name: "coe_machines", Type: Integer, Description: "machines that hold all experts"},
		{Name: "coe_machines_in_fast", Type: Integer, Description: "machines that hold all experts in fast memory"},
		{Name: "coe_experts_per_machine", Type: Integer, Description: "experts that a machine holds"},
		{Name: "coe_experts_in_fast_per_machine", Type: Integer, Description: "experts that a machine holds in fast memory"},
	}
	for _, s := range CompositionSpreads {
		for _, part := range SpreadParts {
			cs = append(cs, Column{Name: fmt.Sprintf(s.Column, part), Type: Real, Unit: s.Unit, Description: s.Description + ": " + part + " over all requests"})
		}
	}
	return cs
}
