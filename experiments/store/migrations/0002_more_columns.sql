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
ALTER TABLE operators ADD COLUMN source TEXT; -- where the time is from if not from the model
