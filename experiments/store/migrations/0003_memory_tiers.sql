-- Generated from columns.go by: go test ./experiments/store -run LastMigration -update

ALTER TABLE runs ADD COLUMN sequences_at_a_time INTEGER; -- sequences in work together, where the cache of all has no room and they take turns
ALTER TABLE runs ADD COLUMN prefetch INTEGER; -- how many layers ahead of its use a layer is fetched from a lower memory
ALTER TABLE runs ADD COLUMN fetched_bytes INTEGER; -- fetched from lower memories by one chip [B]
ALTER TABLE runs ADD COLUMN stored_bytes INTEGER; -- stored to lower memories by one chip [B]
ALTER TABLE runs ADD COLUMN move_seconds REAL; -- time of the copies between memories [s]
ALTER TABLE runs ADD COLUMN exposed_ddr_seconds REAL; -- time in which a chip waited for them [s]
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
