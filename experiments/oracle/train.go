package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces/llm"
)

// maxChips bounds the chips of a step.
const maxChips = 10_000_000

// readTraining reads a request for a step of training, whose phase is known.
func (q *request) readTraining(f *fields, v *value) {
	f.arch(q)
	q.modelAt, q.model = v, f.canonical(v, "/model")
	q.fidelity = f.word("fidelity", eval.Analytic, eval.Event)
	q.layers = f.integer("layers", 1, maxDim, 0)
	d := f.dtypes()
	q.dtype, q.weight = d[0], d[1]
	if f.has("kv_dtype") {
		f.fail(invalid("conflict", "/kv_dtype", "leave it out", "training keeps no cache"))
	}
	q.adapters(f)
	q.hints(f, nil)
	q.fusions(f)
	q.detail = f.flag("detail", false)
	q.readInterval(f)
	q.powerLimit = f.real("power_limit", 1e-3, 1e6, 0)
	q.readIdeal(f, eval.Ideals()...)
	var wrong string
	if q.skew, wrong = experiments.Skew(f.real("skew", 0, 1e6, 0)); wrong != "" {
		f.fail(invalid("range", "/skew", "", "%s", wrong))
	}
	t := experiments.TrainOptions{}
	t.SeqLen = f.integer("seq_len", 1, maxDim, 0)
	t.GlobalBatch = f.integer("global_batch", 1, maxDim, 0)
	t.MicroBatch = f.integer("micro_batch", 1, maxDim, 0)
	t.ZeRO = f.integer("zero", 0, 3, 0)
	t.KeepGathered = f.flag("keep_gathered", false)
	t.Shard = f.integer("shard", 1, maxChips, 0)
	if t.Schedule = f.text("schedule", ""); t.Schedule != "" {
		t.Schedule = f.word("schedule", parallel.ScheduleNames()...)
	}
	t.MasterDType = f.word("master_dtype", "", "fp32", "bf16", "fp16")
	t.Tokens, t.PUE = f.integer("tokens", 1, 1e15, 0), f.real("pue", 1, 10, 0)
	t.Stragglers, t.FailLink = f.text("stragglers", ""), f.text("fail_link", "")
	if r := f.get("recompute"); r != nil {
		switch r.kind {
		case text:
			t.Recompute = f.word("recompute", eval.RecomputeNone, eval.RecomputeSelective, eval.RecomputeFull)
		case number:
			t.Recompute = strconv.FormatFloat(f.real("recompute", 0, 1, 0), 'g', -1, 64)
		default:
			f.fail(invalid("type", "/recompute", "none, selective, full or a share of the layers", "must be a string or a number, is %s", r.kind))
		}
	}
	if s := f.typed("stages", array); s != nil {
		for i := range s.items() {
			n, err := strconv.ParseInt(string(s.items()[i].raw), 10, 64)
			if s.items()[i].kind != number || err != nil || n < 0 || n > maxDim {
				f.fail(invalid("value", fmt.Sprintf("/stages/%d", i), "layers of each stage, e.g. [5, 6, 6, 5]", "must be a number of layers"))
				break
			}
			t.Stages = append(t.Stages, n)
		}
	}
	q.tp, q.pp = 1, 1
	if at := f.get("parallel"); at != nil {
		p := open(at, "/parallel", f.err)
		q.tp, q.pp = p.integer("tp", 1, maxChips, 1), p.integer("pp", 1, maxChips, 1)
		t.DP, t.EP, t.CP = p.integer("dp", 1, maxChips, 1), p.integer("ep", 1, maxChips, 1), p.integer("cp", 1, maxChips, 1)
		t.SP, t.Interleave = p.flag("sp", false), p.integer("interleave", 1, maxChips, 0)
		p.one("moe_tp", "tensor parallelism of experts in training")
		p.one("attn_dp", "data parallelism of attention alone in training")
		p.close()
	}
	for _, name := range []string{"batch", "prompt", "past_len", "generate", "arrivals", "draft", "draft_tokens", "acceptance", "offload", "placement", "prefetch", "lookahead", "power_trace", "mapping"} {
		if f.has(name) && *f.err == nil {
			f.fail(invalid("conflict", "/"+name, "seq_len, global_batch and micro_batch say how large a step is", "%s does not go with phase %s", name, q.phase))
		}
	}
	data, err := json.Marshal(&t)
	if err != nil {
		panic(err) // plain data always encodes
	}
	q.train = string(data)
}

// training answers a request for a step of training.
func (o *Oracle) training(ctx context.Context, m *machine, model *llm.Model, profile string, q *request) (*answer, error) {
	p := experiments.Point{Machine: m.Machine, Model: model}
	p.Phase, p.Layers, p.TP, p.PP, p.Runtime, p.HostSync, p.Fidelity, p.Fusion, p.PowerLimit = q.phase, q.layers, q.tp, q.pp, profile, q.hostSync, q.fidelity, q.fusion, q.powerLimit
	p.Skew, p.Ideal = float64(q.skew)/1000, q.ideals()
	if q.dtype != 0 {
		p.DType = q.dtype.or(0).String()
	}
	if q.weight != 0 {
		p.WeightDType = q.weight.or(0).String()
	}
	if q.lora != "" {
		p.LoRA, _ = llm.ParseLoRA(q.lora) // it was written from adapters that are in order
	}
	p.Training = &experiments.TrainOptions{}
	if err := json.Unmarshal([]byte(q.train), p.Training); err != nil {
		return nil, err
	}
	r, err := p.Request()
	if err != nil {
		return nil, err
	}
	r.ArchHash, r.Advise = m.hash, q.detail
	res, err := eval.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	res.Answer.Interval = o.modelInterval(q, m, model, nil, &res.Answer)
	if q.seen != nil {
		q.seen(&res.Answer)
	}
	return ofModel(&res.Answer, q.detail), nil
}
