-- Generated from columns.go by: go test ./experiments/store -run FirstMigration -update

-- One row a point: what was asked, and every scalar of the answer.
CREATE TABLE runs (
  key TEXT NOT NULL, -- hash of everything that can change the answer
  status TEXT NOT NULL, -- ok, infeasible (it does not fit) or error
  reason TEXT, -- why the status is not ok
  model_version TEXT NOT NULL, -- version of the models: changes when any figure changes
  created_by TEXT, -- program and build that made the row
  arch TEXT, -- name of the machine
  model TEXT, -- name of the model or trace
  phase TEXT, -- prefill, decode, generate, serve, train or finetune
  fidelity TEXT, -- event or analytic
  runtime TEXT, -- profile of the software that runs on the machine
  host_sync INTEGER, -- each operator is timed from the host
  parallel TEXT, -- mapping over chips, as text such as tp8 pp2
  tp INTEGER, -- tensor-parallel ranks
  pp INTEGER, -- pipeline stages
  dp INTEGER, -- data-parallel replicas
  ep INTEGER, -- expert-parallel ranks
  cp INTEGER, -- context-parallel ranks
  sp INTEGER, -- sequence parallelism
  chips INTEGER, -- chips of the mapping
  batch INTEGER, -- sequences at a time
  prompt INTEGER, -- tokens of the prompt; for decode those already cached
  generate INTEGER, -- tokens generated for each sequence
  dtype TEXT, -- data type of activations
  weight_dtype TEXT, -- data type of weights
  kv_dtype TEXT, -- data type of the key/value cache
  seed INTEGER, -- seed of random choices; 0 where there are none
  arch_hash TEXT, -- hash of the machine's content
  graph_hash TEXT, -- hash of the operator graph's content
  mapping_hash TEXT, -- hash of the mapping file's content, where one was given
  request TEXT, -- the request, complete enough to run it again with the inputs
  answer TEXT, -- the answer, strata.run/1
  seconds REAL, -- time of the whole run; for train of one optimizer step [s]
  ttft_seconds REAL, -- time to the first token [s]
  tpot_seconds REAL, -- time per output token after the first [s]
  floor_seconds REAL, -- what no evaluation of the same plan can beat [s]
  bubble_seconds REAL, -- pipeline bubble of a training step [s]
  exposed_tp_seconds REAL, -- tensor-parallel communication that nothing hides [s]
  exposed_pp_seconds REAL, -- pipeline communication that nothing hides [s]
  exposed_dp_seconds REAL, -- data-parallel communication that nothing hides [s]
  exposed_ep_seconds REAL, -- expert-parallel communication that nothing hides [s]
  arrivals TEXT, -- of requests at a server: steady or burst
  concurrency INTEGER, -- requests that a server has in work
  cycle_seconds REAL, -- time in which a server answers each request in work once [s]
  requests_per_second REAL, -- requests that a server answers per second [1/s]
  prefill_share REAL, -- share of a server's time in which it prefills
  decode_step_seconds REAL, -- one decode step of a server that nothing interrupts [s]
  draft TEXT, -- draft model of speculative decoding
  draft_tokens INTEGER, -- tokens drafted in a round
  acceptance REAL, -- chance that a drafted token is taken
  tokens_per_round REAL, -- expected tokens of a round
  rounds INTEGER, -- rounds of drafting and verifying
  draft_seconds REAL, -- time of the draft model in all rounds [s]
  verify_seconds REAL, -- time of the verifying model in all rounds [s]
  plain_tpot_seconds REAL, -- time of a token without a draft model [s]
  speedup REAL, -- plain_tpot_seconds in tpot_seconds
  host_operators INTEGER, -- operators that the host launched one by one
  host_operator_seconds REAL, -- the host's time for launching them [s]
  host_steps INTEGER, -- steps that the host scheduled
  host_step_seconds REAL, -- the host's serial time for them [s]
  host_request_seconds REAL, -- the host's serial time before the first step [s]
  host_wait_seconds REAL, -- time that kernels waited for the host to launch them [s]
  host_share REAL, -- share of the run in which the host was busy
  load_bytes INTEGER, -- weights that are loaded into each chip once, before the run [B]
  load_from TEXT, -- tier that they are loaded from
  load_seconds REAL, -- time to load them, which is no part of the run [s]
  load_joules REAL, -- energy to load them, which is no part of the run [J]
  load_bound_by TEXT, -- what limits loading them
  tokens_per_second REAL, -- tokens generated, or for prefill and train processed, per second [1/s]
  mfu REAL, -- model FLOP utilisation, full attention, share of the peak
  hfu REAL, -- hardware FLOP utilisation, operations executed, share of the peak
  bound_by TEXT, -- cause with the most time
  joules REAL, -- energy of the chips of the mapping [J]
  joules_per_token REAL, -- energy per token [J]
  average_watts REAL, -- mean power of the chips of the mapping [W]
  peak_watts REAL, -- highest power of the chips of the mapping [W]
  peak_operator TEXT, -- operator with the highest power
  sensor_peak_watts REAL, -- most that the power sensors of the machine would read [W]
  limit_watts REAL, -- power limit of the chips of the mapping [W]
  usd_per_hour REAL, -- cost of the chips of the mapping [USD/h]
  usd_per_million_tokens REAL, -- cost of a million tokens [USD]
  weight_bytes INTEGER, -- weights that one chip holds [B]
  kv_bytes INTEGER, -- largest key/value cache that one chip holds [B]
  activation_bytes INTEGER, -- largest activations that one chip holds [B]
  cost_source TEXT, -- where costs of operators are from that are not the model's; no value without such costs
  cost_operators INTEGER, -- distinct operators with such a cost
  cost_calls INTEGER, -- their calls on one chip
  cost_seconds REAL, -- their time [s]
  cost_share REAL, -- their share of the time of the run
  cost_joules REAL, -- their energy on one chip, where it is given too [J]
  cost_model_operators INTEGER, -- distinct operators that were left to the model
  cost_model_calls INTEGER, -- their calls on one chip
  cost_model_seconds REAL, -- time that is the model's [s]
  dist_workload TEXT, -- file with the lengths of many requests; no value for a single request
  dist_requests INTEGER, -- how many requests there are
  dist_distinct INTEGER, -- distinct lengths, each timed once
  dist_seed INTEGER, -- seed of the draws; 0 if nothing was drawn
  dist_quantiles TEXT, -- definition of the quantiles
  dist_round INTEGER, -- lengths were rounded up to a multiple of it
  dist_round_error REAL, -- share of the mean latency that rounding adds at most
  dist_total_tokens_per_second REAL, -- all tokens by all time [1/s]
  dist_prompt_tokens_mean REAL, -- tokens of the prompt: mean over all requests
  dist_prompt_tokens_p50 REAL, -- tokens of the prompt: p50 over all requests
  dist_prompt_tokens_p95 REAL, -- tokens of the prompt: p95 over all requests
  dist_prompt_tokens_p99 REAL, -- tokens of the prompt: p99 over all requests
  dist_prompt_tokens_min REAL, -- tokens of the prompt: min over all requests
  dist_prompt_tokens_max REAL, -- tokens of the prompt: max over all requests
  dist_generate_tokens_mean REAL, -- tokens generated: mean over all requests
  dist_generate_tokens_p50 REAL, -- tokens generated: p50 over all requests
  dist_generate_tokens_p95 REAL, -- tokens generated: p95 over all requests
  dist_generate_tokens_p99 REAL, -- tokens generated: p99 over all requests
  dist_generate_tokens_min REAL, -- tokens generated: min over all requests
  dist_generate_tokens_max REAL, -- tokens generated: max over all requests
  dist_ttft_mean_seconds REAL, -- time to the first token: mean over all requests [s]
  dist_ttft_p50_seconds REAL, -- time to the first token: p50 over all requests [s]
  dist_ttft_p95_seconds REAL, -- time to the first token: p95 over all requests [s]
  dist_ttft_p99_seconds REAL, -- time to the first token: p99 over all requests [s]
  dist_ttft_min_seconds REAL, -- time to the first token: min over all requests [s]
  dist_ttft_max_seconds REAL, -- time to the first token: max over all requests [s]
  dist_tpot_mean_seconds REAL, -- time per output token after the first: mean over all requests [s]
  dist_tpot_p50_seconds REAL, -- time per output token after the first: p50 over all requests [s]
  dist_tpot_p95_seconds REAL, -- time per output token after the first: p95 over all requests [s]
  dist_tpot_p99_seconds REAL, -- time per output token after the first: p99 over all requests [s]
  dist_tpot_min_seconds REAL, -- time per output token after the first: min over all requests [s]
  dist_tpot_max_seconds REAL, -- time per output token after the first: max over all requests [s]
  dist_latency_mean_seconds REAL, -- time of the request: mean over all requests [s]
  dist_latency_p50_seconds REAL, -- time of the request: p50 over all requests [s]
  dist_latency_p95_seconds REAL, -- time of the request: p95 over all requests [s]
  dist_latency_p99_seconds REAL, -- time of the request: p99 over all requests [s]
  dist_latency_min_seconds REAL, -- time of the request: min over all requests [s]
  dist_latency_max_seconds REAL, -- time of the request: max over all requests [s]
  dist_request_mean_joules REAL, -- energy of the request: mean over all requests [J]
  dist_request_p50_joules REAL, -- energy of the request: p50 over all requests [J]
  dist_request_p95_joules REAL, -- energy of the request: p95 over all requests [J]
  dist_request_p99_joules REAL, -- energy of the request: p99 over all requests [J]
  dist_request_min_joules REAL, -- energy of the request: min over all requests [J]
  dist_request_max_joules REAL, -- energy of the request: max over all requests [J]
  dist_mean_tokens_per_second REAL, -- tokens per second of its batch: mean over all requests [1/s]
  dist_p50_tokens_per_second REAL, -- tokens per second of its batch: p50 over all requests [1/s]
  dist_p95_tokens_per_second REAL, -- tokens per second of its batch: p95 over all requests [1/s]
  dist_p99_tokens_per_second REAL, -- tokens per second of its batch: p99 over all requests [1/s]
  dist_min_tokens_per_second REAL, -- tokens per second of its batch: min over all requests [1/s]
  dist_max_tokens_per_second REAL, -- tokens per second of its batch: max over all requests [1/s]
  events INTEGER, -- events simulated; 0 for the analytic fidelity
  content_hash TEXT NOT NULL, -- hash of the answer with all its parts, to compare rows by; set by Put
  PRIMARY KEY (key),
  CHECK (status IN ('ok', 'infeasible', 'error')),
  CHECK (request IS NULL OR json_valid(request)),
  CHECK (answer IS NULL OR json_valid(answer))
);

-- What each operator of a run came to, over all its calls, on one chip.
CREATE TABLE operators (
  key TEXT NOT NULL, -- key of the run
  position INTEGER NOT NULL, -- place in the list, from 0
  name TEXT NOT NULL, -- name in the operator graph
  kind TEXT, -- gemm, attention, all-reduce, ...
  phase TEXT, -- phase it belongs to
  calls INTEGER, -- how often it ran
  seconds REAL, -- time on the critical path [s]
  share REAL, -- share of the run's time
  bound_by TEXT, -- cause with the most time
  ops INTEGER, -- matrix, vector and special operations
  hbm_bytes INTEGER, -- off-chip bytes read and written [B]
  joules REAL, -- energy [J]
  source TEXT, -- where the time is from if not from the model
  stall_compute_seconds REAL, -- time of the operator charged to compute [s]
  stall_sram_seconds REAL, -- time of the operator charged to sram [s]
  stall_hbm_seconds REAL, -- time of the operator charged to hbm [s]
  stall_ddr_seconds REAL, -- time of the operator charged to ddr [s]
  stall_link_seconds REAL, -- time of the operator charged to link [s]
  stall_launch_seconds REAL, -- time of the operator charged to launch [s]
  stall_dependency_seconds REAL, -- time of the operator charged to dependency [s]
  stall_idle_seconds REAL, -- time of the operator charged to idle [s]
  PRIMARY KEY (key, position),
  FOREIGN KEY (key) REFERENCES runs (key) ON DELETE CASCADE
) WITHOUT ROWID;

-- Time of a run by cause; sums to its seconds.
CREATE TABLE stalls (
  key TEXT NOT NULL, -- key of the run
  position INTEGER NOT NULL, -- place in the list, from 0
  cause TEXT NOT NULL, -- compute, sram, hbm, ddr, link, launch, dependency or idle
  seconds REAL NOT NULL, -- time charged to the cause [s]
  PRIMARY KEY (key, position),
  FOREIGN KEY (key) REFERENCES runs (key) ON DELETE CASCADE
) WITHOUT ROWID;

-- What each memory tier of a chip held and moved.
CREATE TABLE memory (
  key TEXT NOT NULL, -- key of the run
  position INTEGER NOT NULL, -- place in the list, from 0
  tier TEXT NOT NULL, -- name of the tier in the machine file
  kind TEXT, -- sram, hbm, ddr, ...
  capacity_bytes INTEGER, -- size [B]
  peak_bytes INTEGER, -- most that was in it [B]
  read_bytes INTEGER, -- bytes read [B]
  written_bytes INTEGER, -- bytes written [B]
  utilization REAL, -- share of the peak bandwidth over the run
  PRIMARY KEY (key, position),
  FOREIGN KEY (key) REFERENCES runs (key) ON DELETE CASCADE
) WITHOUT ROWID;

-- Energy of a run by component; sums to its joules.
CREATE TABLE energy (
  key TEXT NOT NULL, -- key of the run
  position INTEGER NOT NULL, -- place in the list, from 0
  component TEXT NOT NULL, -- what used it
  joules REAL NOT NULL, -- energy of the chips of the mapping [J]
  PRIMARY KEY (key, position),
  FOREIGN KEY (key) REFERENCES runs (key) ON DELETE CASCADE
) WITHOUT ROWID;

-- What rows were made from, by content.
CREATE TABLE inputs (
  hash TEXT NOT NULL, -- hash of the content
  kind TEXT NOT NULL, -- machine, model, trace, cost or workload
  name TEXT, -- name by which it was given
  content BLOB NOT NULL, -- the file
  PRIMARY KEY (hash)
);

-- Which run needs which inputs.
CREATE TABLE run_inputs (
  key TEXT NOT NULL, -- key of the run
  hash TEXT NOT NULL, -- hash of the input
  PRIMARY KEY (key, hash),
  FOREIGN KEY (key) REFERENCES runs (key) ON DELETE CASCADE,
  FOREIGN KEY (hash) REFERENCES inputs (hash)
) WITHOUT ROWID;

-- Sweeps that were run into the file.
CREATE TABLE sweeps (
  name TEXT NOT NULL, -- name of the sweep
  spec TEXT NOT NULL, -- its file
  created TEXT NOT NULL, -- when it was first started, RFC 3339
  PRIMARY KEY (name)
);

-- Facts about the file.
CREATE TABLE meta (
  name TEXT NOT NULL, -- schema_version, model_version and tool of the last writer, and what others add
  value TEXT NOT NULL, -- its value
  PRIMARY KEY (name)
) WITHOUT ROWID;

CREATE INDEX runs_by_name ON runs (arch, model, phase, fidelity);
CREATE INDEX run_inputs_by_hash ON run_inputs (hash);
