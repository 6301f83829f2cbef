package experiments

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// Phases of training: of all weights, and of a model that was trained before, where only adapters may be trained.
const (
	Train    = "train"
	FineTune = "finetune"
)

// Trains reports whether the options are those of a step of training.
func (o *Options) Trains() bool { return o.Phase == Train || o.Phase == FineTune }

// TrainOptions say how a step of training is divided over chips and run. Chips are TP·CP·PP·DP, with TP and PP of Options.
type TrainOptions struct {
	SeqLen      int64 `json:"seq_len,omitempty"`
	GlobalBatch int64 `json:"global_batch,omitempty"`
	MicroBatch  int64 `json:"micro_batch,omitempty"`
	DP          int64 `json:"dp,omitempty"`
	CP          int64 `json:"cp,omitempty"`
	EP          int64 `json:"ep,omitempty"`
	SP          bool  `json:"sp,omitempty"`
	Interleave  int64 `json:"interleave,omitempty"`
	// Recompute is none, selective, full, or a share of the layers such as 0.75.
	Recompute string `json:"recompute,omitempty"`
	// ZeRO is 0 to 3; KeepGathered keeps weights of stage 3 gathered from the forward to the backward pass, Shard is how
	// many data-parallel ranks share one copy of the state, 0 for all.
	ZeRO         int64   `json:"zero,omitempty"`
	KeepGathered bool    `json:"keep_gathered,omitempty"`
	Shard        int64   `json:"shard,omitempty"`
	Schedule     string  `json:"schedule,omitempty"`
	Stages       []int64 `json:"stages,omitempty"`
	// MasterDType is the format of gradients that are added up and summed over ranks, "" the framework's.
	MasterDType string `json:"master_dtype,omitempty"`
	// Stragglers are slow chips, as ParseStragglers reads them; "none" leaves out that chips differ at random. FailLinks are
	// links that fail.
	Stragglers string `json:"stragglers,omitempty"`
	FailLink   string `json:"fail_link,omitempty"`
	// Tokens of a whole run, and the power usage effectiveness of its data centre; 0 for none, and for 1.
	Tokens int64   `json:"tokens,omitempty"`
	PUE    float64 `json:"pue,omitempty"`
}

// trainDefaults fills in what was left out.
func (p *Point) trainDefaults() TrainOptions {
	var t TrainOptions
	if p.Training != nil {
		t = *p.Training
	}
	or := func(v *int64, otherwise int64) {
		if *v == 0 {
			*v = otherwise
		}
	}
	or(&t.MicroBatch, 1)
	or(&t.DP, 1)
	or(&t.CP, 1)
	or(&t.EP, 1)
	or(&t.SeqLen, min(p.Model.MaxSeq, 2048))
	if t.GlobalBatch == 0 {
		n := int64(1)
		if p.PP > 1 {
			n = 4 * p.PP
		}
		t.GlobalBatch, _ = units.Mul(t.MicroBatch*t.DP, n)
	}
	if t.Recompute == "" {
		t.Recompute = eval.RecomputeNone
	}
	// What is so anyway has one way to be written.
	if t.Interleave == 1 {
		t.Interleave = 0
	}
	if t.Shard == t.CP*t.DP {
		t.Shard = 0
	}
	return t
}

// trainingRequest turns a point of phase train or finetune into a request.
func (p *Point) trainingRequest() (eval.Request, error) {
	var problems Problems
	bad := func(field, hint, format string, a ...any) {
		problems.Add(&Invalid{Field: field, Message: fmt.Sprintf(format, a...), Hint: hint})
	}
	if p.Model == nil {
		return eval.Request{}, &Invalid{Field: "phase", Message: p.Phase + " needs a model", Hint: "give --model"}
	}
	t := p.trainDefaults()
	degrees := parallel.Degrees{TP: max(p.TP, 1), CP: t.CP, EP: t.EP, PP: max(p.PP, 1), DP: t.DP, SP: t.SP, Interleave: t.Interleave}
	if err := degrees.Validate(); err != nil {
		problems.Add(fieldError(err))
	}
	if p.Machine != nil {
		problems.Add(connects(p.Machine, degrees))
	}
	m := *p.Model
	how := arch.Training{Gradient: "fp32", Accumulate: llm.GradientsAdded} // of a graph that is only written down
	flash := true
	if p.Machine != nil {
		var err error
		if how, flash, err = eval.TrainingOf(p.Machine, p.Runtime); err != nil {
			bad("runtime", "", "%v", err)
		}
	}
	if pad := max(how.PadVocab, 1) * degrees.TP; m.Vocab > 0 && m.Vocab <= 1<<40 && pad < 1<<20 {
		m.Vocab = units.CeilDiv(m.Vocab, pad) * pad
	}
	d, weight, _ := p.formats(&m, &problems)
	w := llm.Training{Batch: t.MicroBatch, SeqLen: t.SeqLen, DType: d, WeightDType: weight, Gradients: how.Accumulate, Dropout: how.Dropout, Copies: how.Copies, FusedLoss: how.FusedLoss,
		Contexts: t.CP, Experts: t.EP, LoRA: p.LoRA, Update: eval.UpdateElements}
	var wrong string
	if w.SkewMilli, wrong = Skew(p.Skew); wrong != "" {
		bad("skew", "", "%s", wrong)
	}
	if p.LoRA != nil {
		if p.Phase == Train {
			bad("lora", "phase finetune", "adapters are beside weights that were trained before")
		}
		if b := p.LoRA.BaseDType; b != "" {
			w.WeightDType = dtype("lora", b, w.WeightDType, &problems)
		}
	}
	if p.Phase == Train && p.WeightDType != "" && weight != d {
		bad("weight-dtype", "leave it out", "weights that are trained have the format of activations")
	}
	gradient := how.Gradient
	if t.MasterDType != "" {
		gradient = t.MasterDType
	}
	if w.Main = dtype("master-dtype", gradient, d, &problems); w.Main.Bits() < 16 {
		bad("master-dtype", "fp32 or bf16", "gradients in %s", w.Main)
	}
	s := &eval.Training{Degrees: degrees, GlobalBatch: t.GlobalBatch, MicroBatch: t.MicroBatch, SeqLen: t.SeqLen, ZeRO: t.ZeRO, KeepGathered: t.KeepGathered, Shard: t.Shard,
		Schedule: parallel.Schedule(t.Schedule), Split: t.Stages, Hidden: m.Hidden, Vocabulary: m.Vocab, AdaptersOnly: p.LoRA != nil, Master: t.MasterDType}
	if t.Schedule != "" && !slices.Contains(parallel.Schedules(), s.Schedule) {
		bad("schedule", "gpipe, 1f1b, interleaved or zero-bubble", "%.40q is unknown", t.Schedule)
	}
	if s.Schedule == parallel.Interleaved && t.Interleave == 0 {
		bad("schedule", "add --interleave 2 or more", "stages are interleaved by several chunks of layers each")
	}
	if t.KeepGathered && t.ZeRO != 3 {
		bad("keep-gathered", "add --zero 3, or leave it out", "only weights that are divided are gathered")
	}
	if t.Shard > 0 && t.ZeRO == 0 {
		bad("shard", "add --zero, or leave it out", "no state is divided")
	}
	switch share, err := strconv.ParseFloat(t.Recompute, 64); {
	case t.Recompute == eval.RecomputeNone || t.Recompute == eval.RecomputeSelective || t.Recompute == eval.RecomputeFull:
		if s.Recompute = t.Recompute; t.Recompute != eval.RecomputeNone {
			s.Recomputed = 1
		}
	case err == nil && share >= 0 && share <= 1:
		s.Recompute, s.Recomputed = eval.RecomputeFull, share
	default:
		bad("recompute", "none, selective, full, or a share of the layers such as 0.5", "%.40q is unknown", t.Recompute)
	}
	var err error
	s.Faults, s.Even, err = ParseStragglers(t.Stragglers, degrees.Chips())
	problems.Add(err)
	if p.Machine != nil {
		s.Links, err = ParseFailLinks(t.FailLink, p.Machine, degrees.Chips())
		problems.Add(err)
	}
	if s.Tokens, s.PUE = t.Tokens, t.PUE; s.Tokens < 0 {
		bad("tokens", "", "%d: must be at least 1", s.Tokens)
	}
	if s.PUE != 0 && !(s.PUE >= 1 && s.PUE <= 10) {
		bad("pue", "the energy of a data centre per that of its machines, such as 1.1", "%g: must be from 1 to 10", s.PUE)
	}
	if s.PUE >= 1 && t.Tokens == 0 {
		bad("pue", "give --tokens", "it is of a whole run")
	}
	for _, run := range m.LayerKinds() {
		s.Layers = append(s.Layers, eval.LayerRun{Block: run.Block, Times: run.Times, Shape: shapeOf(&m, run.Block, how.Dropout, flash)})
	}
	if p.Layers > 0 {
		s.Layers = firstLayers(s.Layers, p.Layers)
	}
	for _, o := range []struct {
		field string
		given bool
	}{{"host-sync", p.HostSync}, {"mapping", p.Mapping != nil}, {"draft", p.Draft != nil}, {"workload", p.Workload != nil}, {"cost", p.Costs != nil}, {"kv-dtype", p.KVDType != ""}, {"generate", p.Generate > 0},
		{"in-flight", p.InFlight > 1}, {"moe-tp", p.MoETP > 1}, {"attn-dp", p.AttnDP > 1}, {"exchange", p.Exchange != ""}, {"offload", p.Offload != ""}, {"placement", p.Placement != ""}, {"prefetch", p.Prefetch != nil}, {"lookahead", p.Lookahead != nil}} {
		if o.given {
			bad(o.field, "leave it out", "%s does not go with phase %s", o.field, p.Phase)
		}
	}
	if err := problems.Err(); err != nil {
		return eval.Request{}, err
	}
	g, err := m.TrainingGraph(w)
	addWorkload(&problems, err)
	if err := problems.Err(); err != nil {
		return eval.Request{}, err
	}
	return eval.Request{Machine: p.Machine, Graph: g, Fidelity: p.Fidelity, Exact: p.Exact, Ideal: slices.Sorted(slices.Values(p.Ideal)), Notes: ChangeNotes(p.Set), PowerLimit: units.Watts(p.PowerLimit),
		Mapping: trainingMapping(degrees, p), Training: s}, nil
}

// connects returns what is wrong with that many chips of the machine.
func connects(m *arch.Machine, d parallel.Degrees) error {
	c, chips := m.Cluster(), d.Or1().Chips()
	field := "tp"
	if d.PP > 1 {
		field = "pp"
	}
	if d.DP > 1 {
		field = "dp"
	}
	switch nodes := units.CeilDiv(chips, max(c.Chips, 1)); {
	case chips <= max(c.Chips, 1):
	case c.Out == nil:
		return &Invalid{Field: field, Message: fmt.Sprintf("%d chips: %s has %d and no network between nodes", chips, m.Name, c.Chips), Hint: "fewer chips, or a machine with system.scale_out, such as selene"}
	case c.Out.Nodes > 0 && nodes > c.Out.Nodes:
		return &Invalid{Field: field, Message: fmt.Sprintf("%d chips are %d nodes of %d: %s connects %d", chips, nodes, c.Chips, m.Name, c.Out.Nodes), Hint: fmt.Sprintf("up to %d chips", c.Out.Nodes*c.Chips)}
	}
	return nil
}

// trainingMapping is how the parts of a step are planned: on a tensor group, and with expert parallelism on the groups that share out
// the experts.
func trainingMapping(d parallel.Degrees, p *Point) plan.Mapping {
	m := plan.Mapping{TP: d.TP, SP: d.SP, Profile: p.Runtime, Fusion: p.Fusion, Overfull: true}
	if d.EP > 1 {
		m.EP, m.AttnDP, m.MoETP, m.Exchange = d.EP, d.EP, d.TP, plan.Dispatch
	}
	return m
}

// shapeOf is what the activations of a layer of the model depend on.
func shapeOf(m *llm.Model, block string, dropout, flash bool) parallel.Shape {
	s := parallel.Shape{Hidden: m.Hidden, Heads: m.Heads, KVHeads: m.KVHeads, HeadDim: m.HeadDim, Intermediate: m.FFN, Gated: m.Gated, Dropout: dropout, Flash: flash}
	if a := m.MLA; a != nil {
		s.KVHeads, s.HeadDim = m.Heads, max(a.Nope+a.RoPE, a.V)
	}
	if e := m.MoE; e != nil && block != "dense_layer" {
		s.Intermediate, s.TopK, s.Shared = e.FFN, e.TopK, e.SharedFFN
	}
	return s
}

// fieldError turns what the package parallel refuses into what a request is told.
func fieldError(err error) error {
	if e, ok := err.(*parallel.FieldError); ok {
		return &Invalid{Field: e.Field, Message: e.Message, Hint: e.Hint}
	}
	return err
}

// firstLayers are the first n of the layers.
func firstLayers(runs []eval.LayerRun, n int64) (out []eval.LayerRun) {
	for _, r := range runs {
		if r.Times = min(r.Times, n); r.Times > 0 {
			out = append(out, r)
			n -= r.Times
		}
	}
	return out
}
