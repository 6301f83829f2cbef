package store

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Type is the type of a column.
type Type uint8

// The types. Bool is 0 or 1 in the file; JSON is text that parses.
const (
	Text Type = iota
	JSON
	Integer
	Real
	Bool
	Blob
)

// String returns the name for documentation.
func (t Type) String() string {
	return [...]string{"text", "JSON", "integer", "real", "bool", "blob"}[t]
}

func (t Type) sql() string {
	return [...]string{"TEXT", "TEXT", "INTEGER", "REAL", "INTEGER", "BLOB"}[t]
}

// Column describes one column of the database.
type Column struct {
	Name        string
	Type        Type
	Unit        string // "" for text, counts and shares
	Description string
	Required    bool // never NULL
	// Label marks what describes a row but is no part of its answer. Two rows that differ only in
	// labels are the same row.
	Label bool
}

// Table describes one table of the database.
type Table struct {
	Name        string
	Description string
	Columns     []Column
	// Key names the columns of the primary key.
	Key []string
	// child: rows belong to a run and are identified by its key and their position.
	child bool
}

// Values are the values of a row by column name: string, bool, int, int64 or float64. A column
// that is absent is NULL.
type Values map[string]any

// contentHash is the one column of runs that is not the caller's.
const contentHash = "content_hash"

var childColumns = []Column{
	{Name: "key", Type: Text, Description: "key of the run", Required: true},
	{Name: "position", Type: Integer, Description: "place in the list, from 0", Required: true},
}

func stallColumns() []Column {
	var cs []Column
	for _, c := range []string{"compute", "sram", "hbm", "ddr", "link", "launch", "dependency", "idle"} {
		cs = append(cs, Column{Name: "stall_" + c + "_seconds", Type: Real, Unit: "s", Description: "time of the operator charged to " + c})
	}
	return cs
}

// tables is the schema.
var tables = []Table{
	{
		Name: "runs", Description: "One row a point: what was asked, and every scalar of the answer.", Key: []string{"key"},
		Columns: slices.Concat([]Column{
			{Name: "key", Type: Text, Description: "hash of everything that can change the answer", Required: true},
			{Name: "status", Type: Text, Description: "ok, infeasible (it does not fit) or error", Required: true},
			{Name: "reason", Type: Text, Description: "why the status is not ok"},
			{Name: "model_version", Type: Text, Description: "version of the models: changes when any figure changes", Required: true},
			{Name: "created_by", Type: Text, Description: "program and build that made the row", Label: true},
			{Name: "arch", Type: Text, Description: "name of the machine"},
			{Name: "model", Type: Text, Description: "name of the model or trace"},
			{Name: "phase", Type: Text, Description: "prefill, decode, generate, serve, train or finetune"},
			{Name: "fidelity", Type: Text, Description: "event or analytic"},
			{Name: "runtime", Type: Text, Description: "profile of the software that runs on the machine"},
			{Name: "host_sync", Type: Bool, Description: "each operator is timed from the host"},
			{Name: "parallel", Type: Text, Description: "mapping over chips, as text such as tp8 pp2"},
			{Name: "tp", Type: Integer, Description: "tensor-parallel ranks"},
			{Name: "pp", Type: Integer, Description: "pipeline stages"},
			{Name: "dp", Type: Integer, Description: "data-parallel replicas"},
			{Name: "ep", Type: Integer, Description: "expert-parallel ranks"},
			{Name: "moe_tp", Type: Integer, Description: "chips that divide each expert, where that does not follow from the others"},
			{Name: "attn_dp", Type: Integer, Description: "groups of tp chips with sequences of their own"},
			{Name: "exchange", Type: Text, Description: "how tokens of groups come to experts; no value for gather"},
			{Name: "in_flight", Type: Integer, Description: "batches that follow one another through a pipeline; no value for one"},
			{Name: "cp", Type: Integer, Description: "context-parallel ranks"},
			{Name: "sp", Type: Bool, Description: "sequence parallelism"},
			{Name: "chips", Type: Integer, Description: "chips of the mapping"},
			{Name: "batch", Type: Integer, Description: "sequences at a time"},
			{Name: "prompt", Type: Integer, Description: "tokens of the prompt; for decode those already cached"},
			{Name: "generate", Type: Integer, Description: "tokens generated for each sequence"},
			{Name: "dtype", Type: Text, Description: "data type of activations"},
			{Name: "weight_dtype", Type: Text, Description: "data type of weights"},
			{Name: "kv_dtype", Type: Text, Description: "data type of the key/value cache"},
			{Name: "seed", Type: Integer, Description: "seed of random choices; 0 where there are none"},
			{Name: "arch_hash", Type: Text, Description: "hash of the machine's content"},
			{Name: "graph_hash", Type: Text, Description: "hash of the operator graph's content"},
			{Name: "fusion", Type: Text, Description: "what took the place of the runtime's fusions; no value for nothing"},
			{Name: "mapping_hash", Type: Text, Description: "hash of the mapping file's content, where one was given"},
			{Name: "request", Type: JSON, Description: "the request, complete enough to run it again with the inputs", Label: true},
			{Name: "answer", Type: JSON, Description: "the answer, strata.run/1; no value for a point of a sweep unless all was kept", Label: true},

			{Name: "seconds", Type: Real, Unit: "s", Description: "time of the whole run; for train of one optimizer step"},
			{Name: "ttft_seconds", Type: Real, Unit: "s", Description: "time to the first token"},
			{Name: "tpot_seconds", Type: Real, Unit: "s", Description: "time per output token after the first"},
			{Name: "floor_seconds", Type: Real, Unit: "s", Description: "what no evaluation of the same plan can beat"},
			{Name: "bubble_seconds", Type: Real, Unit: "s", Description: "pipeline bubble of a training step"},
			{Name: "exposed_tp_seconds", Type: Real, Unit: "s", Description: "tensor-parallel communication that nothing hides"},
			{Name: "exposed_pp_seconds", Type: Real, Unit: "s", Description: "pipeline communication that nothing hides"},
			{Name: "exposed_dp_seconds", Type: Real, Unit: "s", Description: "data-parallel communication that nothing hides"},
			{Name: "exposed_ep_seconds", Type: Real, Unit: "s", Description: "expert-parallel communication that nothing hides"},
			{Name: "exposed_cp_seconds", Type: Real, Unit: "s", Description: "context-parallel communication that nothing hides"},
			{Name: "interleave", Type: Integer, Description: "chunks of layers that a stage of a pipeline has"},
			{Name: "micro_batch", Type: Integer, Description: "sequences of a micro-batch"},
			{Name: "microbatches", Type: Integer, Description: "micro-batches that a data-parallel rank works on in a step"},
			{Name: "schedule", Type: Text, Description: "schedule of the pipeline"},
			{Name: "recompute", Type: Text, Description: "part of a layer that is computed again for its backward pass"},
			{Name: "recomputed_share", Type: Real, Description: "share of the layers that are"},
			{Name: "zero_stage", Type: Integer, Description: "stage of ZeRO: what of the state is divided over data-parallel ranks"},
			{Name: "trained_parameters", Type: Integer, Description: "parameters that are trained"},
			{Name: "straggler_factor", Type: Real, Description: "by how much the slowest chip is expected to be slower than the mean"},
			{Name: "pipeline_seconds", Type: Real, Unit: "s", Description: "from the first to the last pass of a step"},
			{Name: "reduce_seconds", Type: Real, Unit: "s", Description: "after that, until gradients are summed"},
			{Name: "update_seconds", Type: Real, Unit: "s", Description: "update of the weights"},
			{Name: "tokens_per_second_per_chip", Type: Real, Description: "tokens of a step per second and chip"},
			{Name: "model_tflops_per_chip", Type: Real, Description: "operations of the model per second and chip, in 10^12"},
			{Name: "executed_tflops_per_chip", Type: Real, Description: "operations that were executed per second and chip, in 10^12"},
			{Name: "without_faults_seconds", Type: Real, Unit: "s", Description: "step without its slow chips and links"},
			{Name: "faults_seconds", Type: Real, Unit: "s", Description: "time that they add"},
			{Name: "faults_share", Type: Real, Description: "that as a share of the step without them"},
			{Name: "faults_waiting_stage", Type: Integer, Description: "stage of the chips whose waiting grows most by them"},
			{Name: "faults_waiting_chips", Type: Integer, Description: "those chips"},
			{Name: "faults_waiting_seconds", Type: Real, Unit: "s", Description: "by how much it grows"},
			{Name: "whole_run_tokens", Type: Integer, Description: "tokens of a whole run of training"},
			{Name: "whole_run_steps", Type: Integer, Description: "its steps"},
			{Name: "whole_run_seconds", Type: Real, Unit: "s", Description: "its time, of steps alike"},
			{Name: "whole_run_chip_hours", Type: Real, Description: "hours of all chips together"},
			{Name: "whole_run_joules", Type: Real, Unit: "J", Description: "its energy, times pue"},
			{Name: "pue", Type: Real, Description: "power usage effectiveness of its data centre"},
			{Name: "whole_run_usd", Type: Real, Description: "rent of its chips in USD"},
			{Name: "arrivals", Type: Text, Description: "of requests at a server: steady or burst"},
			{Name: "concurrency", Type: Integer, Description: "requests that a server has in work"},
			{Name: "cycle_seconds", Type: Real, Unit: "s", Description: "time in which a server answers each request in work once"},
			{Name: "requests_per_second", Type: Real, Unit: "1/s", Description: "requests that a server answers per second"},
			{Name: "prefill_share", Type: Real, Description: "share of a server's time in which it prefills"},
			{Name: "decode_step_seconds", Type: Real, Unit: "s", Description: "one decode step of a server that nothing interrupts"},
			{Name: "draft", Type: Text, Description: "draft model of speculative decoding"},
			{Name: "draft_tokens", Type: Integer, Description: "tokens drafted in a round"},
			{Name: "acceptance", Type: Real, Description: "chance that a drafted token is taken"},
			{Name: "tokens_per_round", Type: Real, Description: "expected tokens of a round"},
			{Name: "rounds", Type: Integer, Description: "rounds of drafting and verifying"},
			{Name: "draft_seconds", Type: Real, Unit: "s", Description: "time of the draft model in all rounds"},
			{Name: "verify_seconds", Type: Real, Unit: "s", Description: "time of the verifying model in all rounds"},
			{Name: "plain_tpot_seconds", Type: Real, Unit: "s", Description: "time of a token without a draft model"},
			{Name: "speedup", Type: Real, Description: "plain_tpot_seconds in tpot_seconds"},
			{Name: "host_operators", Type: Integer, Description: "operators that the host launched one by one"},
			{Name: "host_operator_seconds", Type: Real, Unit: "s", Description: "the host's time for launching them"},
			{Name: "host_steps", Type: Integer, Description: "steps that the host scheduled"},
			{Name: "host_step_seconds", Type: Real, Unit: "s", Description: "the host's serial time for them"},
			{Name: "host_request_seconds", Type: Real, Unit: "s", Description: "the host's serial time before the first step"},
			{Name: "host_wait_seconds", Type: Real, Unit: "s", Description: "time that kernels waited for the host to launch them"},
			{Name: "host_share", Type: Real, Description: "share of the run in which the host was busy"},
			{Name: "load_bytes", Type: Integer, Unit: "B", Description: "weights that are loaded into each chip once, before the run"},
			{Name: "load_from", Type: Text, Description: "tier that they are loaded from"},
			{Name: "sequences_at_a_time", Type: Integer, Description: "sequences in work together, where the cache of all has no room and they take turns"},
			{Name: "prefetch", Type: Integer, Description: "how many layers ahead of its use a layer is fetched from a lower memory"},
			{Name: "fetched_bytes", Type: Integer, Unit: "B", Description: "fetched from lower memories by one chip"},
			{Name: "stored_bytes", Type: Integer, Unit: "B", Description: "stored to lower memories by one chip"},
			{Name: "move_seconds", Type: Real, Unit: "s", Description: "time of the copies between memories"},
			{Name: "exposed_ddr_seconds", Type: Real, Unit: "s", Description: "time in which a chip waited for them"},
			{Name: "load_seconds", Type: Real, Unit: "s", Description: "time to load them, which is no part of the run"},
			{Name: "load_joules", Type: Real, Unit: "J", Description: "energy to load them, which is no part of the run"},
			{Name: "load_bound_by", Type: Text, Description: "what limits loading them"},
			{Name: "tokens_per_second", Type: Real, Unit: "1/s", Description: "tokens generated, or for prefill and train processed, per second"},
			{Name: "mfu", Type: Real, Description: "model FLOP utilisation, full attention, share of the peak"},
			{Name: "hfu", Type: Real, Description: "hardware FLOP utilisation, operations executed, share of the peak"},
			{Name: "bound_by", Type: Text, Description: "cause with the most time"},
			{Name: "joules", Type: Real, Unit: "J", Description: "energy of the chips of the mapping"},
			{Name: "joules_per_token", Type: Real, Unit: "J", Description: "energy per token"},
			{Name: "average_watts", Type: Real, Unit: "W", Description: "mean power of the chips of the mapping"},
			{Name: "peak_watts", Type: Real, Unit: "W", Description: "highest power of the chips of the mapping"},
			{Name: "peak_operator", Type: Text, Description: "operator with the highest power"},
			{Name: "sensor_peak_watts", Type: Real, Unit: "W", Description: "most that the power sensors of the machine would read"},
			{Name: "limit_watts", Type: Real, Unit: "W", Description: "power limit of the chips of the mapping"},
			{Name: "usd_per_hour", Type: Real, Unit: "USD/h", Description: "cost of the chips of the mapping"},
			{Name: "usd_per_million_tokens", Type: Real, Unit: "USD", Description: "cost of a million tokens"},
			{Name: "weight_bytes", Type: Integer, Unit: "B", Description: "weights that one chip holds"},
			{Name: "kv_bytes", Type: Integer, Unit: "B", Description: "largest key/value cache that one chip holds"},
			{Name: "activation_bytes", Type: Integer, Unit: "B", Description: "largest activations that one chip holds"},
			{Name: "cost_source", Type: Text, Description: "where costs of operators are from that are not the model's; no value without such costs"},
			{Name: "cost_operators", Type: Integer, Description: "distinct operators with such a cost"},
			{Name: "cost_calls", Type: Integer, Description: "their calls on one chip"},
			{Name: "cost_seconds", Type: Real, Unit: "s", Description: "their time"},
			{Name: "cost_share", Type: Real, Description: "their share of the time of the run"},
			{Name: "cost_joules", Type: Real, Unit: "J", Description: "their energy on one chip, where it is given too"},
			{Name: "cost_model_operators", Type: Integer, Description: "distinct operators that were left to the model"},
			{Name: "cost_model_calls", Type: Integer, Description: "their calls on one chip"},
			{Name: "cost_model_seconds", Type: Real, Unit: "s", Description: "time that is the model's"},
		}, distributionColumns(), compositionColumns(), []Column{
			{Name: "events", Type: Integer, Description: "events simulated; 0 for the analytic fidelity"},
			{Name: contentHash, Type: Text, Description: "hash of the answer with all its parts, to compare rows by; set by Put", Required: true, Label: true},
		}),
	},
	{
		Name: "operators", Description: "What each operator of a run came to, over all its calls, on one chip.", child: true,
		Columns: append([]Column{
			{Name: "name", Type: Text, Description: "name in the operator graph", Required: true},
			{Name: "kind", Type: Text, Description: "gemm, attention, all-reduce, ..."},
			{Name: "phase", Type: Text, Description: "phase it belongs to"},
			{Name: "calls", Type: Integer, Description: "how often it ran"},
			{Name: "seconds", Type: Real, Unit: "s", Description: "time on the critical path"},
			{Name: "share", Type: Real, Description: "share of the run's time"},
			{Name: "bound_by", Type: Text, Description: "cause with the most time"},
			{Name: "ops", Type: Integer, Description: "matrix, vector and special operations"},
			{Name: "hbm_bytes", Type: Integer, Unit: "B", Description: "off-chip bytes read and written"},
			{Name: "joules", Type: Real, Unit: "J", Description: "energy"},
			{Name: "source", Type: Text, Description: "where the time is from if not from the model"},
		}, stallColumns()...),
	},
	{
		Name: "stalls", Description: "Time of a run by cause; sums to its seconds.", child: true,
		Columns: []Column{
			{Name: "cause", Type: Text, Description: "compute, sram, hbm, ddr, link, launch, dependency or idle", Required: true},
			{Name: "seconds", Type: Real, Unit: "s", Description: "time charged to the cause", Required: true},
		},
	},
	{
		Name: "memory", Description: "What each memory tier of a chip held and moved.", child: true,
		Columns: []Column{
			{Name: "tier", Type: Text, Description: "name of the tier in the machine file", Required: true},
			{Name: "kind", Type: Text, Description: "sram, hbm, ddr, ..."},
			{Name: "capacity_bytes", Type: Integer, Unit: "B", Description: "size"},
			{Name: "peak_bytes", Type: Integer, Unit: "B", Description: "most that was in it"},
			{Name: "read_bytes", Type: Integer, Unit: "B", Description: "bytes read"},
			{Name: "written_bytes", Type: Integer, Unit: "B", Description: "bytes written"},
			{Name: "utilization", Type: Real, Description: "share of the peak bandwidth over the run"},
		},
	},
	{
		Name: "energy", Description: "Energy of a run by component; sums to its joules.", child: true,
		Columns: []Column{
			{Name: "component", Type: Text, Description: "what used it", Required: true},
			{Name: "joules", Type: Real, Unit: "J", Description: "energy of the chips of the mapping", Required: true},
		},
	},
	{
		Name: "inputs", Description: "What rows were made from, by content.", Key: []string{"hash"},
		Columns: []Column{
			{Name: "hash", Type: Text, Description: "hash of the content", Required: true},
			{Name: "kind", Type: Text, Description: "machine, model, trace, cost or workload", Required: true},
			{Name: "name", Type: Text, Description: "name by which it was given"},
			{Name: "content", Type: Blob, Description: "the file", Required: true},
		},
	},
	{
		Name: "run_inputs", Description: "Which run needs which inputs.", Key: []string{"key", "hash"},
		Columns: []Column{
			{Name: "key", Type: Text, Description: "key of the run", Required: true},
			{Name: "hash", Type: Text, Description: "hash of the input", Required: true},
		},
	},
	{
		Name: "sweeps", Description: "Sweeps and searches that were run into the file.", Key: []string{"name"},
		Columns: []Column{
			{Name: "name", Type: Text, Description: "name of the sweep", Required: true},
			{Name: "spec", Type: Text, Description: "its file", Required: true},
			{Name: "created", Type: Text, Description: "empty: when it was started is in table meta, sweep.NAME.started", Required: true},
			{Name: "kind", Type: Text, Description: "sweep or search"},
			{Name: "spec_hash", Type: Text, Description: "hash of what decides about its points: the file without comments, and files that it names"},
			{Name: "count", Type: Integer, Description: "points that it has; no value for a search"},
		},
	},
	{
		Name: "points", Description: "What every point of a sweep or search came to.", Key: []string{"sweep", "point"},
		Columns: []Column{
			{Name: "sweep", Type: Text, Description: "name of the sweep", Required: true},
			{Name: "point", Type: Integer, Description: "place in the order of the sweep, from 0", Required: true},
			{Name: "key", Type: Text, Description: "key of its row in runs; no value where nothing was run"},
			{Name: "status", Type: Text, Description: "ok, infeasible (it does not fit), rejected (a constraint), invalid (cannot be asked for), timeout, memory or error", Required: true},
			{Name: "reason", Type: Text, Description: "why the status is not ok"},
			{Name: "parameters", Type: JSON, Description: "its value on each axis, by the name of the axis: numbers in the units of the columns here (bytes, bytes per second, hertz, seconds, watts), texts and truths", Required: true},
			{Name: "generation", Type: Integer, Description: "generation of a search, from 0"},
			{Name: "violation", Type: Real, Description: "by how much constraints are missed, each as a share of its limit; no value for none"},
			{Name: "area_mm2", Type: Real, Unit: "mm²", Description: "dies of a chip, where the machine file has what is needed; this and what follows hang on figures that are no part of a run"},
			{Name: "chip_usd", Type: Real, Unit: "USD", Description: "price of a chip"},
			{Name: "tco_usd_per_hour", Type: Real, Unit: "USD/h", Description: "cost of owning the chips of the run"},
			{Name: "tco_usd_per_million_tokens", Type: Real, Unit: "USD", Description: "cost of a million tokens on chips that are owned, at the usual utilisation"},
			{Name: "columns", Type: JSON, Description: "figures that the sweep file defines, by name"},
			{Name: "model_parameters", Type: Real, Description: "parameters of its model, embeddings included"},
			{Name: "active_parameters", Type: Real, Description: "those of them that a token passes: without the experts that it is not sent to"},
			{Name: "parameter_bytes", Type: Real, Unit: "B", Description: "all of them in their formats: tables of tokens and positions and the head in that of activations, the rest in that of weights"},
			{Name: "loss_proxy", Type: Real, Description: "loss in nats a token that the published law of the sweep file gives a model of this size; no value where the law is not about it"},
			{Name: "loss_extrapolated", Type: Real, Description: "1 where size or tokens are beyond what the law was fitted on, else 0"},
		},
	},
	{
		Name: "answers", Description: "Answers to estimate requests, which strata estimate --cache keeps.", Key: []string{"key"},
		Columns: []Column{
			{Name: "key", Type: Text, Description: "hash of everything that the answer depends on: the request, the content of machine and model, the version of the models and the program", Required: true},
			{Name: "answer", Type: JSON, Description: "the answer, without the id of a request", Required: true},
			{Name: "figures", Type: JSON, Description: "its figures that limits and metrics may name", Required: true},
		},
	},
	{
		Name: "meta", Description: "Facts about the file.", Key: []string{"name"},
		Columns: []Column{
			{Name: "name", Type: Text, Description: "schema_version, model_version and tool of the last writer, and what others add", Required: true},
			{Name: "value", Type: Text, Description: "its value", Required: true},
		},
	},
}

// Tables returns all tables of the database in order. It is a copy.
func Tables() []Table {
	ts := make([]Table, len(tables))
	for i, t := range tables {
		t.Columns = t.all()
		if t.child {
			t.Key = []string{"key", "position"}
		}
		ts[i] = t
	}
	return ts
}

func table(name string) *Table {
	for i := range tables {
		if tables[i].Name == name {
			return &tables[i]
		}
	}
	panic("store: no table " + name)
}

// all returns the columns with those that a child table has on top of its own.
func (t *Table) all() []Column {
	if t.child {
		return append(append([]Column(nil), childColumns...), t.Columns...)
	}
	return append([]Column(nil), t.Columns...)
}

// index returns the place of the column with that name, or -1.
func (t *Table) index(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

func names(cs []Column) []string {
	ns := make([]string, len(cs))
	for i, c := range cs {
		ns[i] = c.Name
	}
	return ns
}

// insert returns the statement that adds a row.
func (t *Table) insert() string {
	ns := names(t.all())
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)", t.Name, strings.Join(ns, ", "), strings.Repeat(", ?", len(ns)-1))
}

// canonical returns v as the file keeps it, or says why it cannot.
func (c *Column) canonical(v any) (any, error) {
	switch x := v.(type) {
	case nil:
		if c.Required {
			return nil, fmt.Errorf("%s is missing", c.Name)
		}
		return nil, nil
	case int:
		v = int64(x)
	}
	bad := func() (any, error) {
		return nil, fmt.Errorf("%s takes a value of type %v, not %T", c.Name, c.Type, v)
	}
	switch c.Type {
	case Text, JSON:
		s, ok := v.(string)
		switch {
		case !ok:
			return bad()
		case !utf8.ValidString(s):
			return nil, fmt.Errorf("%s is not valid UTF-8", c.Name)
		case c.Type == JSON && !json.Valid([]byte(s)):
			return nil, fmt.Errorf("%s is not valid JSON", c.Name)
		}
		return s, nil
	case Bool:
		if _, ok := v.(bool); !ok {
			return bad()
		}
		return v, nil
	case Integer:
		if _, ok := v.(int64); !ok {
			return bad()
		}
		return v, nil
	case Real:
		x, ok := v.(float64)
		if !ok {
			n, whole := v.(int64)
			if x = float64(n); !whole || int64(x) != n {
				return bad()
			}
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s is %v, not a finite number", c.Name, x)
		}
		if x == 0 {
			x = 0 // SQLite does not keep the sign of zero
		}
		return x, nil
	}
	return bad()
}

// canonical returns the values as the file keeps them, in the order of the columns.
func (t *Table) canonical(vs Values) ([]any, error) {
	row := make([]any, len(t.Columns))
	found := 0
	for i := range t.Columns {
		c := &t.Columns[i]
		v, given := vs[c.Name]
		if given {
			found++
		}
		var err error
		if row[i], err = c.canonical(v); err != nil {
			return nil, err
		}
	}
	if found < len(vs) {
		for n := range vs {
			if t.index(n) < 0 {
				return nil, fmt.Errorf("table %s has no column %q", t.Name, n)
			}
		}
	}
	return row, nil
}

// values turns a row as read from the file back.
func (t *Table) values(row []any) Values {
	vs := Values{}
	for i := range t.Columns {
		if v := t.Columns[i].value(row[i]); v != nil {
			vs[t.Columns[i].Name] = v
		}
	}
	return vs
}
