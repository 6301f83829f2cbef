-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN mapping_hash TEXT; -- hash of the mapping file's content, where one was given
ALTER TABLE runs ADD COLUMN arrivals TEXT; -- of requests at a server: steady or burst
ALTER TABLE runs ADD COLUMN concurrency INTEGER; -- requests that a server has in work
ALTER TABLE runs ADD COLUMN cycle_seconds REAL; -- time in which a server answers each request in work once [s]
ALTER TABLE runs ADD COLUMN requests_per_second REAL; -- requests that a server answers per second [1/s]
ALTER TABLE runs ADD COLUMN prefill_share REAL; -- share of a server's time in which it prefills
ALTER TABLE runs ADD COLUMN decode_step_seconds REAL; -- one decode step of a server that nothing interrupts [s]
ALTER TABLE runs ADD COLUMN draft TEXT; -- draft model of speculative decoding
ALTER TABLE runs ADD COLUMN draft_tokens INTEGER; -- tokens drafted in a round
ALTER TABLE runs ADD COLUMN acceptance REAL; -- chance that a drafted token is taken
ALTER TABLE runs ADD COLUMN tokens_per_round REAL; -- expected tokens of a round
ALTER TABLE runs ADD COLUMN rounds INTEGER; -- rounds of drafting and verifying
ALTER TABLE runs ADD COLUMN draft_seconds REAL; -- time of the draft model in all rounds [s]
ALTER TABLE runs ADD COLUMN verify_seconds REAL; -- time of the verifying model in all rounds [s]
ALTER TABLE runs ADD COLUMN plain_tpot_seconds REAL; -- time of a token without a draft model [s]
ALTER TABLE runs ADD COLUMN speedup REAL; -- plain_tpot_seconds in tpot_seconds
ALTER TABLE runs ADD COLUMN host_operators INTEGER; -- operators that the host launched one by one
ALTER TABLE runs ADD COLUMN host_operator_seconds REAL; -- the host's time for launching them [s]
ALTER TABLE runs ADD COLUMN host_steps INTEGER; -- steps that the host scheduled
ALTER TABLE runs ADD COLUMN host_step_seconds REAL; -- the host's serial time for them [s]
ALTER TABLE runs ADD COLUMN host_request_seconds REAL; -- the host's serial time before the first step [s]
ALTER TABLE runs ADD COLUMN host_wait_seconds REAL; -- time that kernels waited for the host to launch them [s]
ALTER TABLE runs ADD COLUMN host_share REAL; -- share of the run in which the host was busy
ALTER TABLE runs ADD COLUMN load_bytes INTEGER; -- weights that are loaded into each chip once, before the run [B]
ALTER TABLE runs ADD COLUMN load_from TEXT; -- tier that they are loaded from
ALTER TABLE runs ADD COLUMN load_seconds REAL; -- time to load them, which is no part of the run [s]
ALTER TABLE runs ADD COLUMN load_joules REAL; -- energy to load them, which is no part of the run [J]
ALTER TABLE runs ADD COLUMN load_bound_by TEXT; -- what limits loading them
ALTER TABLE runs ADD COLUMN sensor_peak_watts REAL; -- most that the power sensors of the machine would read [W]
ALTER TABLE runs ADD COLUMN cost_source TEXT; -- where costs of operators are from that are not the model's; no value without such costs
ALTER TABLE runs ADD COLUMN cost_operators INTEGER; -- distinct operators with such a cost
ALTER TABLE runs ADD COLUMN cost_calls INTEGER; -- their calls on one chip
ALTER TABLE runs ADD COLUMN cost_seconds REAL; -- their time [s]
ALTER TABLE runs ADD COLUMN cost_share REAL; -- their share of the time of the run
ALTER TABLE runs ADD COLUMN cost_joules REAL; -- their energy on one chip, where it is given too [J]
ALTER TABLE runs ADD COLUMN cost_model_operators INTEGER; -- distinct operators that were left to the model
ALTER TABLE runs ADD COLUMN cost_model_calls INTEGER; -- their calls on one chip
ALTER TABLE runs ADD COLUMN cost_model_seconds REAL; -- time that is the model's [s]
ALTER TABLE runs ADD COLUMN dist_workload TEXT; -- file with the lengths of many requests; no value for a single request
ALTER TABLE runs ADD COLUMN dist_requests INTEGER; -- how many requests there are
ALTER TABLE runs ADD COLUMN dist_distinct INTEGER; -- distinct lengths, each timed once
ALTER TABLE runs ADD COLUMN dist_seed INTEGER; -- seed of the draws; 0 if nothing was drawn
ALTER TABLE runs ADD COLUMN dist_quantiles TEXT; -- definition of the quantiles
ALTER TABLE runs ADD COLUMN dist_round INTEGER; -- lengths were rounded up to a multiple of it
ALTER TABLE runs ADD COLUMN dist_round_error REAL; -- share of the mean latency that rounding adds at most
ALTER TABLE runs ADD COLUMN dist_total_tokens_per_second REAL; -- all tokens by all time [1/s]
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_mean REAL; -- tokens of the prompt: mean over all requests
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_p50 REAL; -- tokens of the prompt: p50 over all requests
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_p95 REAL; -- tokens of the prompt: p95 over all requests
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_p99 REAL; -- tokens of the prompt: p99 over all requests
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_min REAL; -- tokens of the prompt: min over all requests
ALTER TABLE runs ADD COLUMN dist_prompt_tokens_max REAL; -- tokens of the prompt: max over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_mean REAL; -- tokens generated: mean over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_p50 REAL; -- tokens generated: p50 over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_p95 REAL; -- tokens generated: p95 over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_p99 REAL; -- tokens generated: p99 over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_min REAL; -- tokens generated: min over all requests
ALTER TABLE runs ADD COLUMN dist_generate_tokens_max REAL; -- tokens generated: max over all requests
ALTER TABLE runs ADD COLUMN dist_ttft_mean_seconds REAL; -- time to the first token: mean over all requests [s]
ALTER TABLE runs ADD COLUMN dist_ttft_p50_seconds REAL; -- time to the first token: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_ttft_p95_seconds REAL; -- time to the first token: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_ttft_p99_seconds REAL; -- time to the first token: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_ttft_min_seconds REAL; -- time to the first token: min over all requests [s]
ALTER TABLE runs ADD COLUMN dist_ttft_max_seconds REAL; -- time to the first token: max over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_mean_seconds REAL; -- time per output token after the first: mean over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_p50_seconds REAL; -- time per output token after the first: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_p95_seconds REAL; -- time per output token after the first: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_p99_seconds REAL; -- time per output token after the first: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_min_seconds REAL; -- time per output token after the first: min over all requests [s]
ALTER TABLE runs ADD COLUMN dist_tpot_max_seconds REAL; -- time per output token after the first: max over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_mean_seconds REAL; -- time of the request: mean over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_p50_seconds REAL; -- time of the request: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_p95_seconds REAL; -- time of the request: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_p99_seconds REAL; -- time of the request: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_min_seconds REAL; -- time of the request: min over all requests [s]
ALTER TABLE runs ADD COLUMN dist_latency_max_seconds REAL; -- time of the request: max over all requests [s]
ALTER TABLE runs ADD COLUMN dist_request_mean_joules REAL; -- energy of the request: mean over all requests [J]
ALTER TABLE runs ADD COLUMN dist_request_p50_joules REAL; -- energy of the request: p50 over all requests [J]
ALTER TABLE runs ADD COLUMN dist_request_p95_joules REAL; -- energy of the request: p95 over all requests [J]
ALTER TABLE runs ADD COLUMN dist_request_p99_joules REAL; -- energy of the request: p99 over all requests [J]
ALTER TABLE runs ADD COLUMN dist_request_min_joules REAL; -- energy of the request: min over all requests [J]
ALTER TABLE runs ADD COLUMN dist_request_max_joules REAL; -- energy of the request: max over all requests [J]
ALTER TABLE runs ADD COLUMN dist_mean_tokens_per_second REAL; -- tokens per second of its batch: mean over all requests [1/s]
ALTER TABLE runs ADD COLUMN dist_p50_tokens_per_second REAL; -- tokens per second of its batch: p50 over all requests [1/s]
ALTER TABLE runs ADD COLUMN dist_p95_tokens_per_second REAL; -- tokens per second of its batch: p95 over all requests [1/s]
ALTER TABLE runs ADD COLUMN dist_p99_tokens_per_second REAL; -- tokens per second of its batch: p99 over all requests [1/s]
ALTER TABLE runs ADD COLUMN dist_min_tokens_per_second REAL; -- tokens per second of its batch: min over all requests [1/s]
ALTER TABLE runs ADD COLUMN dist_max_tokens_per_second REAL; -- tokens per second of its batch: max over all requests [1/s]
ALTER TABLE runs ADD COLUMN coe_composition TEXT; -- file of a composition of experts; no value for other runs
ALTER TABLE runs ADD COLUMN coe_experts INTEGER; -- experts
ALTER TABLE runs ADD COLUMN coe_expert_bytes INTEGER; -- weights of the largest expert, over all chips of the mapping [B]
ALTER TABLE runs ADD COLUMN coe_router TEXT; -- model of the router, or stated or none
ALTER TABLE runs ADD COLUMN coe_requests INTEGER; -- requests that count
ALTER TABLE runs ADD COLUMN coe_warmup INTEGER; -- requests before them
ALTER TABLE runs ADD COLUMN coe_batches INTEGER; -- batches of requests
ALTER TABLE runs ADD COLUMN coe_seed INTEGER; -- seed of the draws
ALTER TABLE runs ADD COLUMN coe_popularity TEXT; -- how requests pick experts
ALTER TABLE runs ADD COLUMN coe_policy TEXT; -- which experts stay in fast memory
ALTER TABLE runs ADD COLUMN coe_resident INTEGER; -- experts that fast memory has room for
ALTER TABLE runs ADD COLUMN coe_runs INTEGER; -- runs of experts, one for each that a batch needs
ALTER TABLE runs ADD COLUMN coe_hits INTEGER; -- runs whose expert is in fast memory
ALTER TABLE runs ADD COLUMN coe_misses INTEGER; -- runs whose expert has to be copied there
ALTER TABLE runs ADD COLUMN coe_cold_misses INTEGER; -- misses of experts that were never there
ALTER TABLE runs ADD COLUMN coe_hit_rate REAL; -- share of the runs that hit
ALTER TABLE runs ADD COLUMN coe_from TEXT; -- memory that experts live in
ALTER TABLE runs ADD COLUMN coe_copy_bytes_per_second REAL; -- rate of a copy, over all chips of the mapping [B/s]
ALTER TABLE runs ADD COLUMN coe_copy_seconds REAL; -- time of a copy of the largest expert alone [s]
ALTER TABLE runs ADD COLUMN coe_copy_bound_by TEXT; -- what sets the rate of copies
ALTER TABLE runs ADD COLUMN coe_copied_bytes INTEGER; -- bytes copied into all chips [B]
ALTER TABLE runs ADD COLUMN coe_prefetch INTEGER; -- copies begin with the run before
ALTER TABLE runs ADD COLUMN coe_hidden_seconds REAL; -- time of copies beside runs [s]
ALTER TABLE runs ADD COLUMN coe_slowed_seconds REAL; -- time that copies add to runs [s]
ALTER TABLE runs ADD COLUMN coe_requests_per_second REAL; -- requests answered per second [1/s]
ALTER TABLE runs ADD COLUMN coe_joules_per_request REAL; -- energy of a request [J]
ALTER TABLE runs ADD COLUMN coe_machines INTEGER; -- machines that hold all experts
ALTER TABLE runs ADD COLUMN coe_machines_in_fast INTEGER; -- machines that hold all experts in fast memory
ALTER TABLE runs ADD COLUMN coe_experts_per_machine INTEGER; -- experts that a machine holds
ALTER TABLE runs ADD COLUMN coe_experts_in_fast_per_machine INTEGER; -- experts that a machine holds in fast memory
ALTER TABLE runs ADD COLUMN coe_router_mean_seconds REAL; -- router of a request's batch: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_router_p50_seconds REAL; -- router of a request's batch: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_router_p95_seconds REAL; -- router of a request's batch: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_router_p99_seconds REAL; -- router of a request's batch: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_router_min_seconds REAL; -- router of a request's batch: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_router_max_seconds REAL; -- router of a request's batch: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_mean_seconds REAL; -- runs of its batch before its own, with their copies: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_p50_seconds REAL; -- runs of its batch before its own, with their copies: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_p95_seconds REAL; -- runs of its batch before its own, with their copies: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_p99_seconds REAL; -- runs of its batch before its own, with their copies: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_min_seconds REAL; -- runs of its batch before its own, with their copies: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_wait_max_seconds REAL; -- runs of its batch before its own, with their copies: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_mean_seconds REAL; -- what remains of the copy of its expert: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_p50_seconds REAL; -- what remains of the copy of its expert: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_p95_seconds REAL; -- what remains of the copy of its expert: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_p99_seconds REAL; -- what remains of the copy of its expert: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_min_seconds REAL; -- what remains of the copy of its expert: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_switch_max_seconds REAL; -- what remains of the copy of its expert: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_mean_seconds REAL; -- its prefill: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_p50_seconds REAL; -- its prefill: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_p95_seconds REAL; -- its prefill: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_p99_seconds REAL; -- its prefill: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_min_seconds REAL; -- its prefill: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_prefill_max_seconds REAL; -- its prefill: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_mean_seconds REAL; -- its decode: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_p50_seconds REAL; -- its decode: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_p95_seconds REAL; -- its decode: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_p99_seconds REAL; -- its decode: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_min_seconds REAL; -- its decode: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_decode_max_seconds REAL; -- its decode: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_mean_seconds REAL; -- time to its first token: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_p50_seconds REAL; -- time to its first token: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_p95_seconds REAL; -- time to its first token: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_p99_seconds REAL; -- time to its first token: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_min_seconds REAL; -- time to its first token: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_ttft_max_seconds REAL; -- time to its first token: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_mean_seconds REAL; -- its latency: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_p50_seconds REAL; -- its latency: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_p95_seconds REAL; -- its latency: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_p99_seconds REAL; -- its latency: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_min_seconds REAL; -- its latency: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_latency_max_seconds REAL; -- its latency: max over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_mean_seconds REAL; -- time of its batch: mean over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_p50_seconds REAL; -- time of its batch: p50 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_p95_seconds REAL; -- time of its batch: p95 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_p99_seconds REAL; -- time of its batch: p99 over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_min_seconds REAL; -- time of its batch: min over all requests [s]
ALTER TABLE runs ADD COLUMN coe_batch_max_seconds REAL; -- time of its batch: max over all requests [s]
ALTER TABLE operators ADD COLUMN source TEXT; -- where the time is from if not from the model
