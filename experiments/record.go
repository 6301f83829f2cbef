package experiments

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim"
)

// EncodeAnswer writes an answer as one line of JSON, without the end of the line: what -o json prints, what the
// database keeps, and what a second run must give to the byte.
func EncodeAnswer(a *eval.Answer) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(a); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// scalar is a number or a text of an answer and the column of table runs that holds it.
type scalar struct {
	path   string // in strata.run/1
	column string
	of     func(a *eval.Answer) any
}

// scalars lists every scalar of an answer but its schema, which is the same for all.
var scalars = slices.Concat([]scalar{
	{"arch", "arch", func(a *eval.Answer) any { return a.Arch }},
	{"model", "model", func(a *eval.Answer) any { return a.Model }},
	{"phase", "phase", func(a *eval.Answer) any { return a.Phase }},
	{"fidelity", "fidelity", func(a *eval.Answer) any { return a.Fidelity }},
	{"parallel.tp", "tp", func(a *eval.Answer) any { return a.Parallel.TP }},
	{"parallel.pp", "pp", func(a *eval.Answer) any { return a.Parallel.PP }},
	{"parallel.dp", "dp", func(a *eval.Answer) any { return a.Parallel.DP }},
	{"parallel.ep", "ep", func(a *eval.Answer) any { return a.Parallel.EP }},
	{"parallel.moe_tp", "moe_tp", func(a *eval.Answer) any { return count(a.Parallel.MoETP) }},
	{"parallel.attn_dp", "attn_dp", func(a *eval.Answer) any { return count(a.Parallel.AttnDP) }},
	{"parallel.exchange", "exchange", func(a *eval.Answer) any { return given(a.Parallel.Exchange) }},
	{"parallel.in_flight", "in_flight", func(a *eval.Answer) any { return count(a.Parallel.InFlight) }},
	{"parallel.sp", "sp", func(a *eval.Answer) any { return a.Parallel.SP }},
	{"parallel.cp", "cp", func(a *eval.Answer) any { return count(a.Parallel.CP) }},
	{"parallel.interleave", "interleave", func(a *eval.Answer) any { return count(a.Parallel.Interleave) }},
	{"batch", "batch", func(a *eval.Answer) any { return a.Batch }},
	{"prompt", "prompt", func(a *eval.Answer) any { return a.Prompt }},
	{"generate", "generate", func(a *eval.Answer) any { return a.Generate }},
	{"dtype", "dtype", func(a *eval.Answer) any { return a.DType }},
	{"weight_dtype", "weight_dtype", func(a *eval.Answer) any { return a.WeightDType }},
	{"kv_dtype", "kv_dtype", func(a *eval.Answer) any { return a.KVDType }},
	{"runtime", "runtime", func(a *eval.Answer) any { return a.Runtime }},
	{"host_sync", "host_sync", func(a *eval.Answer) any { return a.HostSync }},
	{"seconds", "seconds", func(a *eval.Answer) any { return a.Seconds }},
	{"ttft_seconds", "ttft_seconds", func(a *eval.Answer) any { return applies(a.TTFTSeconds) }},
	{"tpot_seconds", "tpot_seconds", func(a *eval.Answer) any { return applies(a.TPOTSeconds) }},
	{"serving.arrivals", "arrivals", func(a *eval.Answer) any { return of(a.Serving, func(s *eval.Serving) any { return s.Arrivals }) }},
	{"serving.concurrency", "concurrency", func(a *eval.Answer) any { return of(a.Serving, func(s *eval.Serving) any { return s.Concurrency }) }},
	{"serving.cycle_seconds", "cycle_seconds", func(a *eval.Answer) any { return of(a.Serving, func(s *eval.Serving) any { return s.CycleSeconds }) }},
	{"serving.requests_per_second", "requests_per_second", func(a *eval.Answer) any {
		return of(a.Serving, func(s *eval.Serving) any { return s.RequestsPerSecond })
	}},
	{"serving.prefill_share", "prefill_share", func(a *eval.Answer) any { return of(a.Serving, func(s *eval.Serving) any { return s.PrefillShare }) }},
	{"serving.decode_step_seconds", "decode_step_seconds", func(a *eval.Answer) any { return of(a.Serving, func(s *eval.Serving) any { return s.DecodeSeconds }) }},
	{"speculation.draft", "draft", func(a *eval.Answer) any { return of(a.Speculation, func(s *eval.Speculation) any { return s.Draft }) }},
	{"speculation.draft_tokens", "draft_tokens", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.DraftTokens })
	}},
	{"speculation.acceptance", "acceptance", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.Acceptance })
	}},
	{"speculation.tokens_per_round", "tokens_per_round", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.TokensPerRound })
	}},
	{"speculation.rounds", "rounds", func(a *eval.Answer) any { return of(a.Speculation, func(s *eval.Speculation) any { return s.Rounds }) }},
	{"speculation.draft_seconds", "draft_seconds", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.DraftSeconds })
	}},
	{"speculation.verify_seconds", "verify_seconds", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.VerifySeconds })
	}},
	{"speculation.plain_tpot_seconds", "plain_tpot_seconds", func(a *eval.Answer) any {
		return of(a.Speculation, func(s *eval.Speculation) any { return s.PlainTPOTSeconds })
	}},
	{"speculation.speedup", "speedup", func(a *eval.Answer) any { return of(a.Speculation, func(s *eval.Speculation) any { return s.Speedup }) }},
	{"host.operators", "host_operators", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.Operators }) }},
	{"host.operator_seconds", "host_operator_seconds", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.OperatorSeconds }) }},
	{"host.steps", "host_steps", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.Steps }) }},
	{"host.step_seconds", "host_step_seconds", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.StepSeconds }) }},
	{"host.request_seconds", "host_request_seconds", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.RequestSeconds }) }},
	{"host.wait_seconds", "host_wait_seconds", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.WaitSeconds }) }},
	{"host.share", "host_share", func(a *eval.Answer) any { return of(a.Host, func(h *eval.Host) any { return h.Share }) }},
	{"waves.sequences_at_a_time", "sequences_at_a_time", func(a *eval.Answer) any { return of(a.Waves, func(w *eval.Waves) any { return w.AtATime }) }},
	{"streaming.prefetch", "prefetch", func(a *eval.Answer) any { return of(a.Streaming, func(s *eval.Streaming) any { return s.Prefetch }) }},
	{"streaming.fetched_bytes", "fetched_bytes", func(a *eval.Answer) any {
		return of(a.Streaming, func(s *eval.Streaming) any { return s.FetchedBytes })
	}},
	{"streaming.stored_bytes", "stored_bytes", func(a *eval.Answer) any { return of(a.Streaming, func(s *eval.Streaming) any { return s.StoredBytes }) }},
	{"streaming.move_seconds", "move_seconds", func(a *eval.Answer) any { return of(a.Streaming, func(s *eval.Streaming) any { return s.MoveSeconds }) }},
	{"streaming.exposed_seconds", "exposed_ddr_seconds", func(a *eval.Answer) any {
		return of(a.Streaming, func(s *eval.Streaming) any { return s.ExposedSeconds })
	}},
	{"load.bytes", "load_bytes", func(a *eval.Answer) any { return of(a.Load, func(l *eval.Load) any { return l.Bytes }) }},
	{"load.from", "load_from", func(a *eval.Answer) any { return of(a.Load, func(l *eval.Load) any { return l.From }) }},
	{"load.seconds", "load_seconds", func(a *eval.Answer) any { return of(a.Load, func(l *eval.Load) any { return l.Seconds }) }},
	{"load.joules", "load_joules", func(a *eval.Answer) any { return of(a.Load, func(l *eval.Load) any { return l.Joules }) }},
	{"load.bound_by", "load_bound_by", func(a *eval.Answer) any { return of(a.Load, func(l *eval.Load) any { return l.BoundBy }) }},
	{"bubble_seconds", "bubble_seconds", func(a *eval.Answer) any { return of(a.BubbleSeconds, func(t *float64) any { return *t }) }},
	{"exposed.tp", "exposed_tp_seconds", func(a *eval.Answer) any { return of(a.Exposed, func(x *eval.Exposed) any { return x.TP }) }},
	{"exposed.cp", "exposed_cp_seconds", func(a *eval.Answer) any { return of(a.Exposed, func(x *eval.Exposed) any { return x.CP }) }},
	{"exposed.ep", "exposed_ep_seconds", func(a *eval.Answer) any { return of(a.Exposed, func(x *eval.Exposed) any { return x.EP }) }},
	{"exposed.dp", "exposed_dp_seconds", func(a *eval.Answer) any { return of(a.Exposed, func(x *eval.Exposed) any { return x.DP }) }},
	{"exposed.pp", "exposed_pp_seconds", func(a *eval.Answer) any { return of(a.Exposed, func(x *eval.Exposed) any { return x.PP }) }},
	{"training.micro_batch", "micro_batch", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.MicroBatch })
	}},
	{"training.microbatches", "microbatches", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.Microbatches })
	}},
	{"training.schedule", "schedule", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.Schedule })
	}},
	{"training.recompute", "recompute", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.Recompute })
	}},
	{"training.recomputed_share", "recomputed_share", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.RecomputedShare })
	}},
	{"training.zero", "zero_stage", func(a *eval.Answer) any { return of(a.Training, func(t *eval.TrainingAnswer) any { return t.ZeRO }) }},
	{"training.trained_parameters", "trained_parameters", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.Parameters })
	}},
	{"training.straggler_factor", "straggler_factor", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.StragglerFactor })
	}},
	{"training.pipeline_seconds", "pipeline_seconds", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.PipelineSeconds })
	}},
	{"training.reduce_seconds", "reduce_seconds", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.ReduceSeconds })
	}},
	{"training.update_seconds", "update_seconds", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.UpdateSeconds })
	}},
	{"training.tokens_per_second_per_chip", "tokens_per_second_per_chip", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.TokensPerSecondPerChip })
	}},
	{"training.model_tflops_per_chip", "model_tflops_per_chip", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.ModelTFLOPsPerChip })
	}},
	{"training.executed_tflops_per_chip", "executed_tflops_per_chip", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any { return t.ExecutedTFLOPsPerChip })
	}},
	{"training.faults.without_seconds", "without_faults_seconds", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any {
			return of(t.Faults, func(f *eval.FaultCost) any { return f.WithoutSeconds })
		})
	}},
	{"training.faults.extra_seconds", "faults_seconds", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any {
			return of(t.Faults, func(f *eval.FaultCost) any { return f.ExtraSeconds })
		})
	}},
	{"training.faults.extra_share", "faults_share", func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any {
			return of(t.Faults, func(f *eval.FaultCost) any { return f.ExtraShare })
		})
	}},
	{"training.faults.waits.stage", "faults_waiting_stage", ofWaiting(func(w *eval.Waiting) any { return w.Stage })},
	{"training.faults.waits.chips", "faults_waiting_chips", ofWaiting(func(w *eval.Waiting) any { return w.Chips })},
	{"training.faults.waits.extra_seconds", "faults_waiting_seconds", ofWaiting(func(w *eval.Waiting) any { return w.ExtraSeconds })},
	{"whole_run.tokens", "whole_run_tokens", ofWholeRun(func(w *eval.WholeRun) any { return w.Tokens })},
	{"whole_run.steps", "whole_run_steps", ofWholeRun(func(w *eval.WholeRun) any { return w.Steps })},
	{"whole_run.seconds", "whole_run_seconds", ofWholeRun(func(w *eval.WholeRun) any { return w.Seconds })},
	{"whole_run.chip_hours", "whole_run_chip_hours", ofWholeRun(func(w *eval.WholeRun) any { return w.ChipHours })},
	{"whole_run.joules", "whole_run_joules", ofWholeRun(func(w *eval.WholeRun) any { return w.Joules })},
	{"whole_run.pue", "pue", ofWholeRun(func(w *eval.WholeRun) any { return w.PUE })},
	{"whole_run.usd", "whole_run_usd", ofWholeRun(func(w *eval.WholeRun) any { return applies(w.USD) })},
	{"tokens_per_second", "tokens_per_second", func(a *eval.Answer) any { return a.TokensPerSecond }},
	{"mfu", "mfu", func(a *eval.Answer) any { return a.MFU }},
	{"hfu", "hfu", func(a *eval.Answer) any { return a.HFU }},
	{"bound_by", "bound_by", func(a *eval.Answer) any { return a.BoundBy }},
	{"energy.joules", "joules", func(a *eval.Answer) any { return a.Energy.Joules }},
	{"energy.joules_per_token", "joules_per_token", func(a *eval.Answer) any { return a.Energy.JoulesPerToken }},
	{"power.average_watts", "average_watts", func(a *eval.Answer) any { return a.Power.AverageWatts }},
	{"power.peak_watts", "peak_watts", func(a *eval.Answer) any { return a.Power.PeakWatts }},
	{"power.peak_operator", "peak_operator", func(a *eval.Answer) any { return a.Power.PeakOperator }},
	{"power.sensor_peak_watts", "sensor_peak_watts", func(a *eval.Answer) any { return applies(a.Power.SensorPeakWatts) }},
	{"power.limit_watts", "limit_watts", func(a *eval.Answer) any { return a.Power.LimitWatts }},
	{"cost.usd_per_hour", "usd_per_hour", func(a *eval.Answer) any { return applies(a.Cost.USDPerHour) }},
	{"cost.usd_per_million_tokens", "usd_per_million_tokens", func(a *eval.Answer) any { return applies(a.Cost.USDPerMillionTokens) }},
	{"footprint.weight_bytes", "weight_bytes", func(a *eval.Answer) any { return a.Footprint.WeightBytes }},
	{"footprint.kv_bytes", "kv_bytes", func(a *eval.Answer) any { return a.Footprint.KVBytes }},
	{"footprint.activation_bytes", "activation_bytes", func(a *eval.Answer) any { return a.Footprint.ActivationBytes }},
	{"floor_seconds", "floor_seconds", func(a *eval.Answer) any { return a.FloorSeconds }},
	{"costs.source", "cost_source", ofCosts(func(c *eval.OwnCosts) any { return c.Source })},
	{"costs.operators", "cost_operators", ofCosts(func(c *eval.OwnCosts) any { return c.Operators })},
	{"costs.calls", "cost_calls", ofCosts(func(c *eval.OwnCosts) any { return c.Calls })},
	{"costs.seconds", "cost_seconds", ofCosts(func(c *eval.OwnCosts) any { return c.Seconds })},
	{"costs.share", "cost_share", ofCosts(func(c *eval.OwnCosts) any { return c.Share })},
	{"costs.joules", "cost_joules", ofCosts(func(c *eval.OwnCosts) any { return applies(c.Joules) })},
	{"costs.model_operators", "cost_model_operators", ofCosts(func(c *eval.OwnCosts) any { return c.ModelOperators })},
	{"costs.model_calls", "cost_model_calls", ofCosts(func(c *eval.OwnCosts) any { return c.ModelCalls })},
	{"costs.model_seconds", "cost_model_seconds", ofCosts(func(c *eval.OwnCosts) any { return c.ModelSeconds })},
	{"events", "events", func(a *eval.Answer) any { return a.Events }},
	{"manifest.version", "model_version", func(a *eval.Answer) any { return a.Manifest.Version }},
	{"manifest.arch_hash", "arch_hash", func(a *eval.Answer) any { return a.Manifest.ArchHash }},
	{"manifest.graph_hash", "graph_hash", func(a *eval.Answer) any { return a.Manifest.GraphHash }},
	{"manifest.fusion", "fusion", func(a *eval.Answer) any { return given(a.Manifest.Fusion) }},
	{"manifest.mapping_hash", "mapping_hash", func(a *eval.Answer) any { return given(a.Manifest.MappingHash) }},
	{"manifest.key", "key", func(a *eval.Answer) any { return a.Manifest.Key }},
	{"manifest.seed", "seed", func(a *eval.Answer) any { return a.Manifest.Seed }},
}, distributionScalars(), compositionScalars())

// scalarOf is the place in scalars of each column.
var scalarOf = func() map[string]int {
	at := make(map[string]int, len(scalars))
	for i := range scalars {
		at[scalars[i].column] = i
	}
	return at
}()

// AnswerColumns returns the columns of table runs of those names for which an answer has a value.
func AnswerColumns(a *eval.Answer, names []string) map[string]any {
	row := make(map[string]any, len(names))
	for _, n := range names {
		switch i, ok := scalarOf[n]; {
		case ok:
			if v := scalars[i].of(a); v != nil {
				row[n] = v
			}
		case n == "chips":
			row[n] = a.Parallel.Chips()
		case n == "parallel":
			row[n] = parallelText(a.Parallel)
		case n == "status":
			row[n] = "ok"
		}
	}
	return row
}

// of is a figure of a part of the answer that not every run has, no value for those without.
func of[T any](part *T, figure func(*T) any) any {
	if part == nil {
		return nil
	}
	return figure(part)
}

// ofCosts is a scalar of what had costs of its own.
func ofCosts(figure func(*eval.OwnCosts) any) func(*eval.Answer) any {
	return func(a *eval.Answer) any { return of(a.OwnCosts, figure) }
}

// ofWaiting is a scalar of what waits longest for slow chips and links.
func ofWaiting(figure func(*eval.Waiting) any) func(*eval.Answer) any {
	return func(a *eval.Answer) any {
		return of(a.Training, func(t *eval.TrainingAnswer) any {
			return of(t.Faults, func(f *eval.FaultCost) any { return of(f.Waits, figure) })
		})
	}
}

// ofWholeRun is a scalar of a whole run of training.
func ofWholeRun(figure func(*eval.WholeRun) any) func(*eval.Answer) any {
	return func(a *eval.Answer) any { return of(a.WholeRun, figure) }
}

// applies turns the 0 of a figure that an answer does not have into no value, so that means over rows stay right.
func applies(v float64) any {
	if v == 0 {
		return nil
	}
	return v
}

// count is applies for a number.
func count(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

// given turns the "" of a text that an answer does not have into no value.
func given(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Record is the row of the results database for a point that was answered. The answer must have been made with
// eval.Request.Advise, as Rerun makes it. Tool names the program and its build.
func Record(p *Point, r *eval.Request, a *eval.Answer, tool string) (store.Row, error) {
	row, err := RecordBrief(p, r, a, tool)
	if err != nil {
		return store.Row{}, err
	}
	text, err := EncodeAnswer(a)
	if err != nil {
		return store.Row{}, err
	}
	row.Values["answer"], row.Brief = string(text), false
	for i := range a.Operators {
		op := &a.Operators[i]
		v := store.Values{"name": op.Name, "kind": op.Kind, "phase": op.Phase, "calls": op.Calls, "seconds": op.Seconds,
			"share": op.Share, "bound_by": op.BoundBy, "ops": op.Ops, "hbm_bytes": op.Bytes, "joules": op.Joules}
		if op.Source != "" {
			v["source"] = op.Source
		}
		for _, c := range sim.Causes() {
			v["stall_"+c.String()+"_seconds"] = op.Stalls.Of(c)
		}
		row.Operators = append(row.Operators, v)
	}
	return row, nil
}

// RecordBrief is Record for a row that is kept without its answer and operators; the answer need not have advice.
func RecordBrief(p *Point, r *eval.Request, a *eval.Answer, tool string) (store.Row, error) {
	row, err := p.row(r, a.Manifest, tool)
	if err != nil {
		return store.Row{}, err
	}
	row.Values["status"], row.Brief = "ok", true
	for _, s := range scalars {
		row.Values[s.column] = s.of(a)
	}
	row.Values["parallel"] = parallelText(a.Parallel)
	row.Values["chips"] = a.Parallel.Chips()
	for _, c := range sim.Causes() {
		row.Stalls = append(row.Stalls, store.Values{"cause": c.String(), "seconds": a.Stalls.Of(c)})
	}
	for _, t := range a.Memory {
		row.Memory = append(row.Memory, store.Values{"tier": t.Tier, "kind": t.Kind, "capacity_bytes": t.CapacityBytes, "peak_bytes": t.PeakBytes,
			"read_bytes": t.ReadBytes, "written_bytes": t.WrittenBytes, "utilization": t.Utilization})
	}
	for _, name := range sortedKeys(a.Energy.Components) {
		row.Energy = append(row.Energy, store.Values{"component": name, "joules": a.Energy.Components[name]})
	}
	return row, nil
}

// RecordInfeasible is the row for a point that does not fit: a result with a reason.
func RecordInfeasible(p *Point, r *eval.Request, reason error, tool string) (store.Row, error) {
	row, err := p.row(r, r.Manifest(), tool)
	if err != nil {
		return store.Row{}, err
	}
	row.Values["status"], row.Values["reason"] = "infeasible", reason.Error()
	return row, nil
}

// row is what all rows of the point have in common.
func (p *Point) row(r *eval.Request, of eval.Manifest, tool string) (store.Row, error) {
	request, inputs, err := p.Store()
	if err != nil {
		return store.Row{}, fmt.Errorf("write the request down: %w", err)
	}
	g := r.Graph
	to, batch, phase := eval.ParallelOf(&r.Mapping), g.Batch, g.Phase
	if r.Training != nil {
		to, batch, phase = r.Training.Parallel(), r.Training.GlobalBatch, p.Phase
	}
	row := store.Row{Key: of.Key, Values: make(store.Values, 2*len(scalars))}
	maps.Copy(row.Values, store.Values{
		"model_version": eval.Version, "created_by": tool, "request": request,
		"arch": r.Machine.Name, "model": g.Name, "phase": phase, "fidelity": p.Fidelity, "runtime": p.Runtime, "host_sync": p.HostSync,
		"parallel": parallelText(to), "tp": to.TP, "pp": to.PP, "dp": to.DP, "ep": to.EP, "sp": to.SP, "chips": to.Chips(),
		"batch": batch, "prompt": g.Prompt, "generate": g.Generate, "dtype": g.DType.String(), "seed": r.Seed,
		"arch_hash": of.ArchHash, "graph_hash": of.GraphHash,
	})
	if profile, err := r.Machine.ProfileFor(p.Runtime, p.HostSync); err == nil {
		row.Values["runtime"] = profile.Name
	}
	for _, in := range inputs {
		name := g.Name
		if in.Kind == "machine" {
			name = r.Machine.Name
		}
		row.Inputs = append(row.Inputs, store.Input{Hash: in.Hash, Kind: in.Kind, Name: name, Content: in.Content})
	}
	return row, nil
}

// parallelText writes a mapping down in short: "tp8 pp2", leaving out what is 1.
func parallelText(p eval.Parallel) string {
	parts := []string{fmt.Sprintf("tp%d", p.TP)}
	for _, d := range []struct {
		name string
		n    int64
	}{{"pp", p.PP}, {"dp", p.DP}, {"cp", p.CP}, {"ep", p.EP}, {"moe_tp", p.MoETP}, {"attn_dp", p.AttnDP}, {"in_flight", p.InFlight}} {
		if d.n > 1 {
			parts = append(parts, fmt.Sprintf("%s%d", d.name, d.n))
		}
	}
	if p.Interleave > 1 {
		parts = append(parts, fmt.Sprintf("interleave%d", p.Interleave))
	}
	if p.SP {
		parts = append(parts, "sp")
	}
	return strings.Join(parts, " ")
}
