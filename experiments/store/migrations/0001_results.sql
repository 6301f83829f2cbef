-- The tables of the first version. It does not change any more.

-- One row a point: what was asked, and every scalar of the answer.
CREATE TABLE runs (
  key TEXT NOT NULL, -- hash of everything that can change the answer
  status TEXT NOT NULL, -- ok, infeasible (it does not fit) or error
  reason TEXT, -- why the status is not ok
  model_version TEXT NOT NULL, -- version of the models: changes when any figure changes
  created_by TEXT, -- program and build that made the row
  arch TEXT, -- name of the machine
  model TEXT, -- name of the model or trace
  phase TEXT, -- prefill, decode, generate, train or finetune
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
  tokens_per_second REAL, -- tokens generated, or for prefill and train processed, per second [1/s]
  mfu REAL, -- model FLOP utilisation, full attention, share of the peak
  hfu REAL, -- hardware FLOP utilisation, operations executed, share of the peak
  bound_by TEXT, -- cause with the most time
  joules REAL, -- energy of the chips of the mapping [J]
  joules_per_token REAL, -- energy per token [J]
  average_watts REAL, -- mean power of the chips of the mapping [W]
  peak_watts REAL, -- highest power of the chips of the mapping [W]
  peak_operator TEXT, -- operator with the highest power
  limit_watts REAL, -- power limit of the chips of the mapping [W]
  usd_per_hour REAL, -- cost of the chips of the mapping [USD/h]
  usd_per_million_tokens REAL, -- cost of a million tokens [USD]
  weight_bytes INTEGER, -- weights that one chip holds [B]
  kv_bytes INTEGER, -- largest key/value cache that one chip holds [B]
  activation_bytes INTEGER, -- largest activations that one chip holds [B]
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
  kind TEXT NOT NULL, -- machine, model or trace
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
