package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Training says how the parts of a training graph (see llm.TrainingGraph) make a step, and how that is divided over chips.
type Training struct {
	Degrees parallel.Degrees `json:"degrees"`
	// GlobalBatch is the sequences of a step, MicroBatch those of a micro-batch on one data-parallel rank, SeqLen their tokens.
	GlobalBatch int64 `json:"global_batch"`
	MicroBatch  int64 `json:"micro_batch"`
	SeqLen      int64 `json:"seq_len"`
	// Recompute is the part of a layer that is computed again for its backward pass, RecomputeNone, RecomputeSelective (attention,
	// where its scores were kept otherwise) or RecomputeFull; Recomputed is the share of layers that are, of full.
	Recompute  string  `json:"recompute"`
	Recomputed float64 `json:"recomputed"`
	// ZeRO is the stage to which state is divided over data-parallel ranks. KeepGathered leaves weights of stage 3 gathered
	// between forward and backward pass; Shard is the ranks that share one copy of the state, 0 for all.
	ZeRO         int64 `json:"zero"`
	KeepGathered bool  `json:"keep_gathered,omitempty"`
	Shard        int64 `json:"shard,omitempty"`
	// Schedule of the pipeline, "" for 1f1b or with several chunks interleaved. Split is the layers of each chunk, nil for an
	// even division.
	Schedule parallel.Schedule `json:"schedule,omitempty"`
	Split    []int64           `json:"split,omitempty"`
	// Layers are the model's layers in order, by the block of the graph that they are.
	Layers []LayerRun `json:"layers"`
	// Hidden is the width of what stages hand on, Vocabulary the padded rows of the head.
	Hidden     int64 `json:"hidden"`
	Vocabulary int64 `json:"vocabulary"`
	// AdaptersOnly says that weights are frozen but for adapters.
	AdaptersOnly bool `json:"adapters_only,omitempty"`
	// Faults are chips that are slower than others. Even leaves out that chips differ in speed at random.
	Faults []parallel.Fault `json:"faults,omitempty"`
	Even   bool             `json:"even,omitempty"`
	// Links are those that fail.
	Links []LinkFault `json:"links,omitempty"`
	// Tokens are those of a whole run, 0 for a step alone; PUE is the power usage effectiveness of the data centre, 0 for 1.
	Tokens int64   `json:"tokens,omitempty"`
	PUE    float64 `json:"pue,omitempty"`
	// Master is the format of gradients as they are added up and as they are summed over ranks, "" for those of the framework.
	Master string `json:"master,omitempty"`
	// Algorithm forces that of collectives over data-parallel ranks; "" leaves it to the library.
	Algorithm string `json:"algorithm,omitempty"`
	// Exact plays every slot of the pipeline.
	Exact bool `json:"exact,omitempty"`
	// Record keeps what a timeline shows.
	Record bool `json:"-"`
}

// LayerRun is a number of equal layers in a row.
type LayerRun struct {
	Block string `json:"block"`
	Times int64  `json:"times"`
	// Shape is what its activations depend on.
	Shape parallel.Shape `json:"shape"`
}

// What of a layer is computed again for its backward pass.
const (
	RecomputeNone      = "none"
	RecomputeSelective = "selective"
	RecomputeFull      = "full"
)

// UpdateElements is how many parameters the update of a training graph is for: the time of others is in proportion. Their state
// of some 16 B each, 1 GiB, is far more than caches hold.
const UpdateElements = 1 << 26

// What collectives beside kernels take of a chip.
const (
	// mostCores is the largest share of a chip's cores that a collective within a part holds. Estimated: kernels have some cores
	// left on chips with no more of them than the profile has channels.
	mostCores = 0.9
	// sendChannels is the most channels, each of a core, that a message between stages takes. Estimated: a channel or two fill the
	// link to one peer.
	sendChannels = 2
)

// How many times the operations of a forward pass a step has, as MFU counts them (Chowdhery et al., PaLM, arXiv 2204.02311,
// appendix B): the pass itself, gradients of inputs, and gradients of weights unless these are frozen.
const (
	trainedPasses = 3
	frozenPasses  = 2
)

// How many times the keys and values of a context pass round a ring: themselves forward, with their gradients backward.
const (
	ringForward  = 1
	ringBackward = 2
)

// Microbatches is how many each data-parallel rank works on in a step.
func (t *Training) Microbatches() int64 {
	return t.GlobalBatch / max(1, t.MicroBatch*max(1, t.Degrees.DP))
}

// Parallel is how chips divide the model, as answers say it.
func (t *Training) Parallel() Parallel {
	d := t.Degrees.Or1()
	return Parallel{TP: d.TP, PP: d.PP, DP: d.DP, EP: d.EP, CP: d.CP, SP: d.SP, Interleave: d.Interleave}
}

// trainer puts a step together.
type trainer struct {
	r        *Request
	t        *Training
	res      *Result
	profile  *arch.Profile
	how      arch.Training
	sections map[string]int // by block, of the phase that the name says
	outcomes []*sim.Outcome
	names    []string         // of units, by section
	network  parallel.Network // shared with other steps of the same parts; nil: the step has one of its own
	step     *parallel.Step
	played   *parallel.Result
}

// howOf is how a profile trains, with usual values for what it leaves open: gradients are added up in FP32 by a kernel for each
// weight, and summed over ranks as they were added up.
func howOf(p *arch.Profile) arch.Training {
	how := arch.Training{Gradient: "fp32", Accumulate: llm.GradientsAdded}
	if p.Training != nil {
		how = *p.Training
		if how.Gradient == "" {
			how.Gradient = "fp32"
		}
		if how.Accumulate == "" {
			how.Accumulate = llm.GradientsAdded
		}
	}
	if how.Wire == "" {
		how.Wire = how.Gradient
	}
	return how
}

// TrainingOf is howOf for those who generate graphs, and whether attention is fused.
func TrainingOf(m *arch.Machine, profile string) (how arch.Training, flash bool, err error) {
	p, err := m.ProfileFor(profile, false)
	if err != nil {
		return arch.Training{}, false, err
	}
	return howOf(p), p.Fuses("flash-attention"), nil
}

// checkTraining refuses what cannot be.
func (r *Request) checkTraining() error {
	t := r.Training
	bad := func(field, hint, format string, a ...any) error {
		return &plan.Invalid{Field: field, Message: fmt.Sprintf(format, a...), Hint: hint}
	}
	d := t.Degrees.Or1()
	if err := d.Validate(); err != nil {
		return invalidField(err)
	}
	each := t.MicroBatch * d.DP
	switch {
	case t.MicroBatch < 1:
		return bad("micro-batch", "", "%d: must be at least 1", t.MicroBatch)
	case t.GlobalBatch%each != 0 || t.GlobalBatch < each:
		return bad("global-batch", fmt.Sprintf("a multiple of %d", each), "%d sequences are no whole number of micro-batches of %d on %d data-parallel ranks", t.GlobalBatch, t.MicroBatch, d.DP)
	case !slices.Contains([]string{RecomputeNone, RecomputeSelective, RecomputeFull}, t.Recompute):
		return bad("recompute", "none, selective, full, or a share of the layers such as 0.5", "%.40q is unknown", t.Recompute)
	case !(t.Recomputed >= 0 && t.Recomputed <= 1):
		return bad("recompute", "", "%v of the layers: must be from 0 to 1", t.Recomputed)
	case d.SP && d.TP == 1:
		return bad("sp", "leave it out, or give --tp", "sequence parallelism divides over the tensor group, which is one chip")
	}
	return nil
}

// invalidField turns what the package parallel refuses into what a request is told.
func invalidField(err error) error {
	var e *parallel.FieldError
	if errors.As(err, &e) {
		return &plan.Invalid{Field: strings.ReplaceAll(e.Field, "_", "-"), Message: e.Message, Hint: e.Hint}
	}
	return err
}

// parts are what a step is put together of, once they were timed.
func (r *Request) parts(res *Result) (*trainer, error) {
	profile, err := r.Machine.ProfileFor(r.Mapping.Profile, r.Mapping.HostSync)
	if err != nil {
		return nil, err
	}
	k := &trainer{r: r, t: r.Training, res: res, profile: profile, how: howOf(profile), sections: map[string]int{}}
	c := res.timed.control
	for i := range r.Graph.Runs {
		step := 0
		if res.timed.steps != nil {
			step = res.timed.steps[i]
		}
		o, err := c.section(i, step)
		if err != nil {
			return nil, err
		}
		run := &r.Graph.Runs[i]
		name := r.Graph.Blocks[run.Block].Name
		k.outcomes, k.names = append(k.outcomes, o), append(k.names, name)
		k.sections[name] = i
	}
	return k, nil
}

// play puts the step together and plays it.
func (k *trainer) play() (err error) {
	if k.step, err = k.assemble(); err != nil {
		return err
	}
	k.played, err = k.step.Play()
	return invalidField(err)
}

// unit is a part of the step as the schedule sees it; none for a block that the graph does not have.
func (k *trainer) unit(block string) parallel.Unit {
	i, ok := k.sections[block]
	if !ok {
		return parallel.Unit{}
	}
	o := k.outcomes[i]
	u := parallel.Unit{Name: block, Time: o.Makespan, Stalls: o.Stalls}
	// What experts exchange is a communication of its own kind, which nothing hides.
	var experts units.Time
	for x := range o.Ops {
		if name := k.res.Program.Ops[x].Name; strings.HasSuffix(name, ".dispatch") || strings.HasSuffix(name, ".combine") || strings.HasSuffix(name, ".share") {
			experts += o.Ops[x].Stalls[sim.Link]
		}
	}
	if experts > 0 {
		u.Time -= experts
		u.Stalls[sim.Link] -= experts
		u.Comms = append(u.Comms, parallel.Comm{Kind: parallel.Expert, Time: experts, Cores: k.cores()})
	}
	overlap := k.how.TensorOverlap
	backward := strings.HasSuffix(block, llm.BackwardSuffix)
	if link := u.Stalls[sim.Link]; link > 0 && (overlap == "all" || overlap == "backward" && backward) {
		u.Time -= link
		u.Stalls[sim.Link] = 0
		beside := u.Time
		if overlap == "backward" { // the gradients of weights alone
			beside = min(beside, k.weights(i))
		}
		u.Comms = append(u.Comms, parallel.Comm{Kind: parallel.Tensor, Time: link, Beside: beside, Cores: k.cores(), Memory: 0})
	}
	return u
}

// takes reports whether collectives take something of the kernels beside them.
func (k *trainer) takes() bool {
	return !slices.Contains(k.r.Ideal, IdealContention) && !slices.Contains(k.r.Ideal, IdealCollectives)
}

// cores is the share of the chip's cores that a collective holds: none if that is left out.
func (k *trainer) cores() float64 {
	if !k.takes() {
		return 0
	}
	return math.Min(float64(k.how.Channels)/float64(k.r.Machine.Chip.Cores.Count), mostCores)
}

// weights is the time of the gradients of weights and biases in a part, and of adding them up.
func (k *trainer) weights(section int) units.Time {
	var t units.Time
	p, o := k.res.Program, k.outcomes[section]
	for i := range o.Ops {
		if name := p.Ops[i].Name; strings.HasSuffix(name, ".dw") || strings.HasSuffix(name, ".accumulate") || strings.HasSuffix(name, ".db") {
			t += o.Ops[i].Time
		}
	}
	return t
}

// apart divides a backward pass into the gradients of inputs and those of weights. What communicates beside kernels has those of the
// inputs left: gradients of weights run when another slot does.
func (k *trainer) apart(u parallel.Unit, section int) (inputs, weights parallel.Unit) {
	t := min(k.weights(section), u.Time)
	if t == 0 {
		return u, parallel.Unit{}
	}
	weights = parallel.Unit{Name: u.Name + ".weights", Time: t}
	inputs = u
	inputs.Time -= t
	inputs.Comms = slices.Clone(u.Comms)
	for i := range inputs.Comms {
		c := &inputs.Comms[i]
		if c.Beside = min(c.Beside, inputs.Time); k.how.TensorOverlap == "backward" {
			c.Beside = 0
		}
	}
	left := t
	for c := range u.Stalls { // in proportion, so that both sum up
		if sim.Cause(c) == sim.Link {
			continue
		}
		n := min(units.Time(float64(u.Stalls[c])*(float64(t)/float64(u.Time))), left)
		weights.Stalls[c], inputs.Stalls[c] = n, u.Stalls[c]-n
		left -= n
	}
	for c := range inputs.Stalls {
		if left > 0 {
			n := min(left, inputs.Stalls[c])
			weights.Stalls[c] += n
			inputs.Stalls[c] -= n
			left -= n
		}
	}
	return inputs, weights
}

// block is what the schedule knows of a kind of layer, of the embedding or of the head.
func (k *trainer) block(name string, again bool) (parallel.Block, error) {
	b := parallel.Block{Forward: k.unit(name), Backward: k.unit(name + llm.BackwardSuffix)}
	if again {
		switch {
		case k.t.Recompute == RecomputeFull:
			b.Recompute = b.Forward
			b.Recompute.Name += " again"
		case k.t.Recompute == RecomputeSelective && !k.profile.Fuses("flash-attention"):
			b.Recompute = k.unit(name + llm.AgainSuffix)
		}
	}
	if i, ok := k.sections[name+llm.BackwardSuffix]; ok && k.t.Schedule == parallel.ZeroBubble {
		b.Backward, b.Weight = k.apart(b.Backward, i)
	}
	w, err := k.share(name, nil)
	b.Parameters, b.ExpertParameters, b.FrozenBytes, b.FrozenExpertBytes = w.Parameters, w.ExpertParameters, w.Frozen, w.FrozenExperts
	return b, err
}

// share is what a chip has of the weights of a block that another (nil: none) does not have too.
func (k *trainer) share(name string, other *traces.Block) (plan.Share, error) {
	blk := k.blockOf(name)
	if blk == nil {
		return plan.Share{}, nil
	}
	d := k.t.Degrees.Or1()
	return plan.ShareOf(blk, other, d.TP, d.EP, k.t.AdaptersOnly)
}

// blockOf is a block of the graph, nil if it has none of that name.
func (k *trainer) blockOf(name string) *traces.Block {
	i, ok := k.sections[name]
	if !ok {
		return nil
	}
	return &k.r.Graph.Blocks[k.r.Graph.Runs[i].Block]
}

// tie takes a table that the head has in common with the embedding from the head's weights.
func (k *trainer) tie(s *parallel.Step) error {
	own, err := k.share(llm.HeadBlock, k.blockOf(llm.EmbeddingBlock))
	s.Tied, s.TiedFrozen = s.Head.Parameters-own.Parameters, s.Head.FrozenBytes-own.Frozen
	s.Head.Parameters, s.Head.FrozenBytes = own.Parameters, own.Frozen
	return err
}

// assemble makes the step of the parts.
func (k *trainer) assemble() (*parallel.Step, error) {
	t, m := k.t, k.r.Machine
	d := t.Degrees.Or1()
	s := &parallel.Step{Degrees: t.Degrees, Split: t.Split, CountEnds: k.how.Ends, Microbatches: t.Microbatches(), Schedule: t.Schedule, Norm: true,
		Faults: t.Faults, Exact: t.Exact || k.r.Exact, Record: t.Record}
	if !t.Even {
		s.Spread = k.how.Straggler
	}
	switch {
	case d.Chips() == 1:
	case k.network != nil:
		s.Network = k.network
	default:
		s.Network = &parallel.Links{Cluster: m.Cluster(), Library: m.CollectiveLibrary(k.profile), Algorithm: t.Algorithm}
	}
	if k.takes() { // else communication takes nothing of the chips beside its links
		s.Chip = parallel.Chip{Cores: m.Chip.Cores.Count, Bandwidth: m.OffChip().Bandwidth}
		for i := range s.Chip.Channels {
			s.Chip.Channels[i] = k.how.Channels
		}
		s.Chip.Channels[parallel.Pipeline] = min(k.how.Channels, sendChannels)
	}
	var err error
	if s.Faults, err = k.faults(s.Network); err != nil {
		return nil, err
	}
	if s.Embedding, err = k.block(llm.EmbeddingBlock, false); err != nil {
		return nil, err
	}
	if s.Head, err = k.block(llm.HeadBlock, false); err != nil {
		return nil, err
	}
	if err := k.tie(s); err != nil {
		return nil, err
	}
	for _, run := range t.Layers {
		whole, err := k.block(run.Block, true)
		if err != nil {
			return nil, err
		}
		again := int64(math.Round(t.Recomputed * float64(run.Times)))
		if t.Recompute == RecomputeNone {
			again = 0
		}
		if again == run.Times {
			s.Layers = append(s.Layers, parallel.Run{Block: whole, Times: run.Times})
			continue
		}
		plain, err := k.block(run.Block, false)
		if err != nil {
			return nil, err
		}
		// Those that are computed again are spread evenly, so that stages have about as many each.
		var done int64
		for i := range run.Times {
			b := plain
			if due := (i + 1) * again / run.Times; due > done {
				b, done = whole, due
			}
			if n := len(s.Layers); n > 0 && s.Layers[n-1].Recompute.Name == b.Recompute.Name && s.Layers[n-1].Forward.Name == b.Forward.Name {
				s.Layers[n-1].Times++
				continue
			}
			s.Layers = append(s.Layers, parallel.Run{Block: b, Times: 1})
		}
	}
	format := k.how.Wire
	if t.Master != "" {
		format = t.Master
	}
	wire, err := traces.ParseDType(format)
	if err != nil {
		return nil, err
	}
	size := k.r.Graph.DType.Bits() / 8
	s.Sharding = parallel.Sharding{Stage: t.ZeRO, KeepGathered: t.KeepGathered, Ranks: t.Shard, GradientBytes: wire.Bits() / 8, WeightBytes: size, Overlap: k.how.DataOverlap}
	if i, ok := k.sections[llm.UpdateBlock]; ok {
		s.Update = parallel.PerElement{Unit: parallel.Unit{Name: llm.UpdateBlock, Time: k.outcomes[i].Makespan, Stalls: k.outcomes[i].Stalls}, Elements: UpdateElements}
	}
	// What a stage hands on is divided over the tensor group, and gathered again unless its rows are divided anyway.
	bytes := t.MicroBatch * units.CeilDiv(t.SeqLen, d.CP) * t.Hidden * size
	s.Boundary = parallel.Boundary{Bytes: units.Bytes(units.CeilDiv(bytes, d.TP)), Blocking: !k.how.AsyncSend}
	if d.TP > 1 && !d.SP {
		s.Boundary.Gather = units.Bytes(bytes)
	}
	return s, k.contexts(s)
}

// contexts adds to attention what context-parallel chips pass round: keys and values of the others forward, these and their
// gradients backward, beside the attention that they are for.
func (k *trainer) contexts(s *parallel.Step) error {
	d := k.t.Degrees.Or1()
	if d.CP == 1 {
		return nil
	}
	g := k.r.Graph
	for i := range s.Layers {
		b := &s.Layers[i].Block
		at, ok := k.sections[b.Forward.Name]
		if !ok {
			continue
		}
		blk := &g.Blocks[g.Runs[at].Block]
		for j := range blk.Ops {
			op := &blk.Ops[j]
			if op.Kind != traces.Attention {
				continue
			}
			heads := units.CeilDiv(op.KVHeads, d.TP)
			part := int64(op.DType.Bytes(op.Batch * heads * op.QLen * (op.HeadDim + op.Values())))
			pass := func(u *parallel.Unit, section string, times int64) error {
				if u.Time == 0 {
					return nil
				}
				var beside units.Time
				if n, ok := k.sections[section]; ok {
					p, o := k.res.Program, k.outcomes[n]
					for x := range o.Ops {
						if strings.HasPrefix(p.Ops[x].Name, op.Name) {
							beside += o.Ops[x].Time
						}
					}
				}
				c, err := parallel.Ring(s.Network, k.t.Degrees, units.Bytes(part*times), min(beside, u.Time))
				c.Cores = k.cores()
				u.Comms = append(u.Comms, c)
				return err
			}
			if err := errors.Join(pass(&b.Forward, b.Forward.Name, ringForward), pass(&b.Recompute, b.Forward.Name, ringForward), pass(&b.Backward, b.Forward.Name+llm.BackwardSuffix, ringBackward)); err != nil {
				return err
			}
		}
	}
	return nil
}

// TrainingAnswer is what a step of training came to, beside the figures that all runs have.
type TrainingAnswer struct {
	MicroBatch      int64   `json:"micro_batch"`
	Microbatches    int64   `json:"microbatches"`
	Schedule        string  `json:"schedule"`
	Recompute       string  `json:"recompute"`
	RecomputedShare float64 `json:"recomputed_share"`
	ZeRO            int64   `json:"zero"`
	// Parameters is those that are trained, of the whole model.
	Parameters int64 `json:"trained_parameters"`
	// StragglerFactor is by how much the slowest chip is expected to be slower than the mean.
	StragglerFactor float64 `json:"straggler_factor"`
	PipelineSeconds float64 `json:"pipeline_seconds"`
	// ReduceSeconds is from the end of the pipeline until gradients are summed; UpdateSeconds is the rest: the norm, the update, and
	// the gather of weights that it divided.
	ReduceSeconds float64 `json:"reduce_seconds"`
	UpdateSeconds float64 `json:"update_seconds"`
	// TokensPerSecondPerChip is that of a step; so are TFLOPs of the model's operations and of those that were executed.
	TokensPerSecondPerChip float64 `json:"tokens_per_second_per_chip"`
	ModelTFLOPsPerChip     float64 `json:"model_tflops_per_chip"`
	ExecutedTFLOPsPerChip  float64 `json:"executed_tflops_per_chip"`
	Stages                 []Stage `json:"stages"`
	// Faults is what slow chips and links cost; nil without them.
	Faults *FaultCost `json:"faults,omitempty"`
}

// Stage is one class of ranks: a stage of the pipeline, or a part of one that is slower than the rest.
type Stage struct {
	Stage         int64        `json:"stage"`
	Chips         int64        `json:"chips"`
	Layers        int64        `json:"layers"`
	BubbleSeconds float64      `json:"bubble_seconds"`
	Stalls        StallSeconds `json:"stalls"`
	InFlight      int64        `json:"microbatches_in_flight"`
	Memory        []Placed     `json:"memory,omitempty"` // in the first memory off chip
	MemoryBytes   int64        `json:"memory_bytes,omitempty"`
}

// Exposed is communication that nothing hides, and what kernels lose to communication beside them, by the dimension that it is of.
type Exposed struct {
	TP float64 `json:"tp"`
	CP float64 `json:"cp"`
	EP float64 `json:"ep"`
	DP float64 `json:"dp"`
	PP float64 `json:"pp"`
}

// answerTraining derives the answer of a step from its parts.
func (r *Request) answerTraining(ctx context.Context, res *Result) error {
	k, err := r.parts(res)
	if err != nil {
		return err
	}
	if err := k.play(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := k.answer(); err != nil {
		return err
	}
	return k.advise(ctx)
}

// answer derives the answer from what was played.
func (k *trainer) answer() error {
	r, res := k.r, k.res
	a, t, m, g, played := &res.Answer, r.Training, r.Machine, r.Graph, k.played
	d := t.Degrees.Or1()
	chips := d.Chips()
	a.Schema, a.Arch, a.Model, a.Phase, a.Fidelity = Schema, m.Name, g.Name, "train", r.fidelity()
	if t.AdaptersOnly {
		a.Phase = "finetune"
	}
	a.Parallel = t.Parallel()
	a.Batch, a.Prompt, a.DType = t.GlobalBatch, t.SeqLen, g.DType.String()
	a.WeightDType, a.KVDType = weightTypes(g)
	a.Runtime, a.Ideal = k.profile.Name, r.Ideal
	a.Notes = append(append(a.Notes, r.Notes...), played.Notes...)
	if chips == 1 && slices.Contains(r.Ideal, IdealCollectives) {
		a.Notes = append(a.Notes, collectivesIdeal)
	}
	res.Played = played
	a.Seconds = played.Time.Seconds()
	critical := &played.Classes[played.Critical]
	for i, s := range critical.Stalls {
		a.Stalls[i] = s.Seconds()
	}
	a.BoundBy = critical.Stalls.Largest().String()
	tokens := float64(t.GlobalBatch) * float64(t.SeqLen)
	if a.Seconds > 0 {
		a.TokensPerSecond = tokens / a.Seconds
	}
	bubble := played.Bubble.Seconds()
	a.BubbleSeconds = &bubble
	x := &played.Exposed
	a.Exposed = &Exposed{TP: x[parallel.Tensor].Seconds(), CP: x[parallel.Context].Seconds(), EP: x[parallel.Expert].Seconds(), DP: x[parallel.Data].Seconds(), PP: x[parallel.Pipeline].Seconds()}
	model, executed, err := k.operations()
	if err != nil {
		return err
	}
	fma, err := m.Chip.Cores.Matrix.Rate(m.Chip.Cores.Matrix.Native(g.DType))
	if err == nil && a.Seconds > 0 {
		peak := opsOfFMA * float64(fma) * float64(m.Chip.Cores.Count) * float64(m.Chip.Clock)
		a.MFU = model / float64(chips) / peak / a.Seconds
		a.HFU = executed / float64(chips) / peak / a.Seconds
	}
	ta := &TrainingAnswer{MicroBatch: t.MicroBatch, Microbatches: t.Microbatches(), Schedule: string(played.Schedule), Recompute: t.Recompute,
		RecomputedShare: t.Recomputed, ZeRO: t.ZeRO, StragglerFactor: parallel.Straggler(k.step.Spread, chips), PipelineSeconds: played.Pipeline.Seconds()}
	if a.Seconds > 0 {
		ta.TokensPerSecondPerChip = a.TokensPerSecond / float64(chips)
		ta.ModelTFLOPsPerChip, ta.ExecutedTFLOPsPerChip = model/float64(chips)/a.Seconds/1e12, executed/float64(chips)/a.Seconds/1e12
	}
	// After the last pass of all stages, so that the three add up to the step: what the class that ends last does before is beside passes.
	last := critical
	for i := range played.Classes {
		if c := &played.Classes[i]; c.Ends.Update > last.Ends.Update {
			last = c
		}
	}
	reduced := max(last.Ends.Reduction, played.Pipeline)
	ta.ReduceSeconds, ta.UpdateSeconds = (reduced - played.Pipeline).Seconds(), max(0, played.Time-reduced).Seconds()
	ta.Parameters = k.parameters()
	a.Training = ta
	for i := range played.Classes {
		c := &played.Classes[i]
		s := Stage{Stage: c.Stage, Chips: c.Chips, Layers: c.Layers, BubbleSeconds: c.Bubble.Seconds(), InFlight: c.InFlight}
		for j, n := range c.Stalls {
			s.Stalls[j] = n.Seconds()
		}
		ta.Stages = append(ta.Stages, s)
	}
	if err := k.memory(); err != nil {
		return err
	}
	if ta.Faults, err = k.cost(); err != nil {
		return err
	}
	k.energy(tokens)
	a.WholeRun = k.whole()
	k.operators()
	a.Events = res.Outcome.Events
	a.Advice = []Advice{}
	a.NotModelled = []string{"DRAM rows and refresh as events", "collectives of different groups on the same links at once", "data loading, logging, checkpoints"}
	a.FloorSeconds = k.floor().Seconds()
	a.Manifest = r.manifest(res.Program)
	return finite(a)
}

// uses lists how often a class runs each part, by section.
func (k *trainer) uses(c *parallel.Class) map[int]float64 {
	n := map[int]float64{}
	for _, u := range c.Uses {
		name := strings.TrimSuffix(strings.TrimSuffix(u.Name, " again"), ".weights")
		if strings.HasSuffix(u.Name, ".weights") { // counted with the gradients of inputs
			continue
		}
		i, ok := k.sections[name]
		if !ok {
			continue
		}
		if name == llm.UpdateBlock {
			n[i] += float64(c.Updated) / UpdateElements
			continue
		}
		n[i] += float64(u.Count)
	}
	return n
}

// operations are those of the model in a step as MFU counts them, three times those of the forward pass (twice where weights are
// frozen), and those that are executed, of all chips.
func (k *trainer) operations() (model, executed float64, err error) {
	g := k.r.Graph
	d := k.t.Degrees.Or1()
	count := func(block string) (float64, error) {
		i, ok := k.sections[block]
		if !ok {
			return 0, nil
		}
		var sum float64
		blk := &g.Blocks[g.Runs[i].Block]
		for j := range blk.Ops {
			ops, err := blk.Ops[j].ModelOps(0)
			if err != nil {
				return 0, err
			}
			if blk.Ops[j].Kind == traces.Attention && d.CP > 1 { // over all keys, not those of the mean chip
				ops = units.Ops(float64(ops) * float64(k.t.SeqLen) / float64(blk.Ops[j].Past+blk.Ops[j].QLen))
			}
			if blk.Ops[j].Kind == traces.MoE { // of the tokens of all ranks that share out the experts
				ops /= units.Ops(d.EP)
			}
			sum += float64(ops)
		}
		return sum, nil
	}
	passes := float64(trainedPasses)
	if k.t.AdaptersOnly {
		passes = frozenPasses
	}
	micro := float64(k.t.GlobalBatch) / float64(k.t.MicroBatch) * float64(d.CP)
	for _, part := range append([]LayerRun{{Block: llm.EmbeddingBlock, Times: 1}, {Block: llm.HeadBlock, Times: 1}}, k.t.Layers...) {
		n, err := count(part.Block)
		if err != nil {
			return 0, 0, err
		}
		model += float64(n * float64(part.Times) * passes * micro)
	}
	p := k.res.Program
	for i := range k.played.Classes {
		c := &k.played.Classes[i]
		for section, n := range k.sorted(c) {
			for j, counter := range p.Counters {
				if strings.HasPrefix(counter.Name, "matrix.") && strings.HasSuffix(counter.Name, ".ops") {
					executed += float64(float64(k.outcomes[section].Work[j]) * n * float64(c.Chips))
				}
			}
		}
	}
	return model, executed, nil
}

// sorted is uses in the order of sections, as sums of floats need it.
func (k *trainer) sorted(c *parallel.Class) func(yield func(int, float64) bool) {
	uses := k.uses(c)
	return func(yield func(int, float64) bool) {
		for i := range k.outcomes {
			if n := uses[i]; n > 0 && !yield(i, n) {
				return
			}
		}
	}
}

// parameters is how many are trained, of the whole model.
func (k *trainer) parameters() int64 {
	d := k.t.Degrees.Or1()
	s := k.step
	n := s.Embedding.Parameters + s.Embedding.ExpertParameters + s.Head.Parameters
	for _, run := range s.Layers {
		n += run.Times * (run.Parameters + run.ExpertParameters*d.EP)
	}
	return n * d.TP
}

// energy adds up what all chips use in a step: actions of each part as often as it runs, and standing power for as long as
// the step takes.
func (k *trainer) energy(tokens float64) {
	a, c := &k.res.Answer, k.res.timed.control
	meter := c.meter
	parts := make([]units.Joules, len(meter.Names()))
	total := k.played.Time
	for i := range k.played.Classes {
		class := &k.played.Classes[i]
		var at units.Time
		one := make([]units.Joules, len(parts))
		for section, n := range k.sorted(class) {
			o := k.outcomes[section]
			step := 0
			if k.res.timed.steps != nil {
				step = k.res.timed.steps[section]
			}
			t := units.Time(float64(o.Makespan) * n)
			at += t
			for j, e := range meter.At(c.actions(section), o.Makespan, meter.Busy(o), c.r.pace(step)) {
				one[j] += units.Joules(float64(e) * n)
			}
		}
		for j, e := range meter.At(nil, max(0, total-at), 0, account.Full) {
			one[j] += e
		}
		for j := range parts {
			parts[j] += units.Joules(float64(one[j]) * float64(class.Chips))
		}
	}
	a.Energy = Energy{Components: map[string]float64{}}
	for j, e := range parts {
		a.Energy.Components[meter.Names()[j]] = float64(e)
		a.Energy.Joules += float64(e)
	}
	chips := float64(k.t.Degrees.Chips())
	if tokens > 0 {
		a.Energy.JoulesPerToken = a.Energy.Joules / tokens
	}
	if a.Seconds > 0 {
		a.Power.AverageWatts = a.Energy.Joules / a.Seconds
	}
	for section, o := range k.outcomes {
		step := 0
		if k.res.timed.steps != nil {
			step = k.res.timed.steps[section]
		}
		if o.Makespan == 0 {
			continue
		}
		if w := float64(meter.Total(c.actions(section), o.Makespan, meter.Busy(o), c.r.pace(step)).Per(o.Makespan)) * chips; w > a.Power.PeakWatts {
			a.Power.PeakWatts, a.Power.PeakOperator = w, k.names[section]
		}
	}
	a.Power.PeakWatts = max(a.Power.PeakWatts, a.Power.AverageWatts)
	k.clocks()
	a.Power.LimitWatts = float64(k.r.limit()) * chips
	if m := k.r.Machine; m.Cost != nil {
		a.Cost.USDPerHour = float64(m.Cost.Hour) * chips
		if tokens > 0 {
			a.Cost.USDPerMillionTokens = a.Cost.USDPerHour / 3600 * a.Seconds / tokens * 1e6
		}
	}
}

// clocks says which parts run at a lower clock to keep to the power limit.
func (k *trainer) clocks() {
	if k.res.timed.steps == nil {
		return
	}
	var parts []string
	for section, step := range k.res.timed.steps {
		if step > 0 && k.outcomes[section].Makespan > 0 {
			parts = append(parts, fmt.Sprintf("%s at %.0f MHz", k.names[section], float64(k.r.clock(step))/1e6))
		}
	}
	if len(parts) > 0 {
		k.res.Notes = append(k.res.Notes, fmt.Sprintf("the power limit of %.0f W a chip lowers the clock of %.0f MHz: %s", float64(k.r.limit()), float64(k.r.Machine.Chip.Clock)/1e6, strings.Join(parts, ", ")))
	}
}

// operators derives the operator table of the critical class, the longest first.
func (k *trainer) operators() {
	a, p := &k.res.Answer, k.res.Program
	off := k.r.Machine.OffChip().Name
	class := &k.played.Classes[k.played.Critical]
	a.Operators = []Operator{}
	index := map[int]int{}
	for section, n := range k.sorted(class) {
		o := k.outcomes[section]
		for i := range o.Ops {
			s := &o.Ops[i]
			if s.Calls == 0 {
				continue
			}
			at, ok := index[i]
			if !ok {
				at = len(a.Operators)
				index[i] = at
				a.Operators = append(a.Operators, Operator{Name: p.Ops[i].Name, Kind: p.Ops[i].Kind, Phase: p.Ops[i].Phase})
			}
			op := &a.Operators[at]
			op.Calls += int64(math.Round(float64(s.Calls) * n))
			op.Seconds += float64(s.Time.Seconds() * n)
			for c, t := range s.Stalls {
				op.Stalls[c] += float64(t.Seconds() * n)
			}
			for j, v := range s.Work {
				switch name := p.Counters[j].Name; {
				case strings.HasSuffix(name, ".ops"):
					op.Ops += int64(float64(v) * n)
				case name == off+".read" || name == off+".write":
					op.Bytes += int64(float64(v) * n)
				}
			}
		}
	}
	for i := range a.Operators {
		op := &a.Operators[i]
		if a.Seconds > 0 {
			op.Share = op.Seconds / a.Seconds
		}
		var most float64
		for c, t := range op.Stalls {
			if t > most {
				most, op.BoundBy = t, sim.Cause(c).String()
			}
		}
	}
	sort.SliceStable(a.Operators, func(i, j int) bool { return a.Operators[i].Seconds > a.Operators[j].Seconds })
}

// floor is the least that the parts can take, as they were timed and divided: those that the busiest class runs, one after the
// other, without links, launches and waiting.
func (k *trainer) floor() units.Time {
	var most units.Time
	for i := range k.played.Classes {
		c := &k.played.Classes[i]
		var t units.Time
		for _, u := range c.Uses {
			t += u.Time - u.Stalls[sim.Link] - u.Stalls[sim.Dependency] - u.Stalls[sim.Launch]
		}
		most = max(most, t)
	}
	return min(most, k.played.Time)
}

// state is what a parameter that is trained takes: that of Adam in mixed precision (Rajbhandari et al., ZeRO, SC 2020), with
// gradients in the framework's format or the one that was asked for. Fully sharded, the master copy is the only one; where gradients
// are of 16 bits and one tensor a layer, the weight and its moments are of 16 bits as well.
func (k *trainer) state() (parallel.State, error) {
	format := k.how.Gradient
	if k.t.Master != "" {
		format = k.t.Master
	}
	d, err := traces.ParseDType(format)
	if err != nil {
		return parallel.State{}, err
	}
	s := parallel.AdamMixed
	if k.t.ZeRO == 3 {
		if s = parallel.AdamSharded; d.Bits() == 16 && k.how.Accumulate == llm.GradientsFlat {
			s = parallel.AdamSharded16
		}
	}
	s.Gradient = float64(d.Bits() / 8)
	return s, nil
}

// memory says what a chip of each stage holds and what the memories of a chip moved, and refuses what does not fit.
func (k *trainer) memory() error {
	t, m := k.t, k.r.Machine
	state, err := k.state()
	if err != nil {
		return err
	}
	held := func(b *parallel.Block) parallel.Held {
		return parallel.Held{Times: 1, Parameters: b.Parameters, ExpertParameters: b.ExpertParameters, Frozen: b.FrozenBytes, FrozenExperts: b.FrozenExpertBytes}
	}
	f := parallel.Footprint{Degrees: t.Degrees, Schedule: t.Schedule, Microbatches: t.Microbatches(), Split: t.Split, CountEnds: k.how.Ends, Tied: k.step.Tied, TiedFrozen: k.step.TiedFrozen,
		Seq: t.SeqLen, Batch: t.MicroBatch, Vocabulary: t.Vocabulary, Recompute: parallel.Recompute(t.Recompute), Recomputed: t.Recomputed, State: state, Sharding: k.step.Sharding}
	if t.Recomputed == 0 {
		f.Recompute = parallel.RecomputeNone
	}
	f.Embedding, f.Head = held(&k.step.Embedding), held(&k.step.Head)
	for _, run := range t.Layers {
		for i := range k.step.Layers {
			if b := &k.step.Layers[i].Block; b.Forward.Name == run.Block {
				h := held(b)
				h.Times, h.Shape = run.Times, run.Shape
				f.Layers = append(f.Layers, h)
				break
			}
		}
	}
	stages, err := f.Stages()
	if err != nil {
		return invalidField(err)
	}
	a, off := &k.res.Answer, m.OffChip()
	parts := func(s *parallel.Memory) []plan.Need {
		var out []plan.Need
		for _, p := range []plan.Need{{What: plan.Weights, Bytes: s.Weights}, {What: plan.Gradients, Bytes: s.Gradients}, {What: plan.Optimizer, Bytes: s.Optimizer},
			{What: "gathered", Bytes: s.Gathered}, {What: plan.Activations, Bytes: s.Activations}, {What: "logits", Bytes: s.Logits}} {
			if p.Bytes > 0 {
				out = append(out, p)
			}
		}
		return out
	}
	for i := range a.Training.Stages {
		st := &a.Training.Stages[i]
		if st.Stage >= int64(len(stages)) {
			continue
		}
		s := &stages[st.Stage]
		st.MemoryBytes = int64(s.Total())
		for _, p := range parts(s) {
			st.Memory = append(st.Memory, Placed{Tier: off.Name, Class: p.What, Bytes: int64(p.Bytes)})
		}
	}
	fullest := parallel.Fullest(stages)
	for _, p := range parts(fullest) {
		a.Placement = append(a.Placement, Placed{Tier: off.Name, Class: p.What, Bytes: int64(p.Bytes)})
	}
	a.Footprint = Footprint{WeightBytes: int64(fullest.Weights + fullest.Gathered), ActivationBytes: int64(fullest.Activations + fullest.Logits)}
	k.tiers(fullest.Total())
	if total := fullest.Total(); total > off.Capacity {
		return &plan.DoesNotFit{Machine: m.Name, Tier: off.Name, Capacity: off.Capacity, Needs: parts(fullest),
			Hint: fmt.Sprintf("stage %d holds most; more chips by --tp or --pp, --zero, --recompute full, or a smaller --micro-batch", fullest.Stage)}
	}
	return nil
}

// tiers says what the memories of a chip of the critical class moved; peak is what the first one off chip holds on the fullest stage.
func (k *trainer) tiers(peak units.Bytes) {
	a, m, p := &k.res.Answer, k.r.Machine, k.res.Program
	moved := map[string]float64{}
	for section, n := range k.sorted(&k.played.Classes[k.played.Critical]) {
		for j, c := range p.Counters {
			moved[c.Name] += float64(float64(k.outcomes[section].Work[j]) * n)
		}
	}
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		n := int64(1)
		if t.Private() {
			n = m.Chip.Cores.Count
		}
		tier := Tier{Tier: t.Name, Kind: t.Kind, CapacityBytes: int64(t.Capacity) * n, ReadBytes: int64(moved[t.Name+".read"]), WrittenBytes: int64(moved[t.Name+".write"])}
		if a.Seconds > 0 {
			tier.Utilization = (float64(tier.ReadBytes) + float64(tier.WrittenBytes)) / float64(t.Peak(m.Chip.Clock)) / a.Seconds / float64(n)
		}
		switch {
		case t.Name == m.OffChip().Name:
			tier.PeakBytes = int64(peak)
		case t.Private():
			tier.PeakBytes = min(tier.CapacityBytes, int64(p.BufferPeak())*n)
		case t.Kind == "sram":
			tier.PeakBytes = min(tier.CapacityBytes, tier.WrittenBytes)
		}
		a.Memory = append(a.Memory, tier)
	}
}

// linked is a machine whose links between chips have by times the bandwidth.
func linked(m *arch.Machine, by float64) *arch.Machine {
	faster := *m
	if s := m.System.ScaleUp; s != nil {
		up := *s
		up.Bandwidth = units.BytesPerSecond(float64(up.Bandwidth) * by)
		faster.System.ScaleUp = &up
	}
	if s := m.System.ScaleOut; s != nil {
		out := *s
		out.Bandwidth = units.BytesPerSecond(float64(out.Bandwidth) * by)
		faster.System.ScaleOut = &out
	}
	return &faster
}

// advise plays the step again with one kind of resource faster, for the causes that take at least adviceShare of the time. The bubble
// is taken off as a whole; of launches there is no advice.
func (k *trainer) advise(ctx context.Context) error {
	a := &k.res.Answer
	if !k.r.Advise || a.Seconds == 0 {
		return nil
	}
	causes := sim.Causes()
	sort.SliceStable(causes, func(i, j int) bool { return a.Stalls[causes[i]] > a.Stalls[causes[j]] })
	quiet := *k.r
	quiet.Observer, quiet.Progress = nil, nil
	what := map[sim.Cause]string{sim.Compute: "matrix and vector throughput", sim.SRAM: "on-chip bandwidth", sim.HBM: "HBM bandwidth", sim.Link: "bandwidth of links"}
	for _, c := range causes {
		if a.Stalls[c] < adviceShare*a.Seconds {
			break
		}
		change, seconds := "", 0.0
		switch {
		case c == sim.Dependency && *a.BubbleSeconds > 0:
			change, seconds = "no bubble", a.Seconds-*a.BubbleSeconds
		case what[c] == "":
			continue
		default:
			faster := map[string]float64{}
			for _, name := range k.res.Program.ResourcesOf(c) {
				faster[name] = adviceFaster
			}
			p := k.res.Program.Scale(faster)
			t, err := quiet.time(ctx, p)
			if plan.Infeasible(err) != nil {
				continue // faster, it would exceed the power limit at any clock
			}
			if err != nil {
				return err
			}
			again := quiet
			if c == sim.Link { // which parts and collectives of the step are on
				again.Machine = linked(again.Machine, adviceFaster)
			}
			other, err := again.parts(&Result{Program: p, Outcome: t.Outcome, timed: t})
			if err != nil {
				return err
			}
			if err := other.play(); err != nil {
				return err
			}
			change, seconds = "+10 % "+what[c], other.played.Time.Seconds()
		}
		percent := 100 * (seconds/a.Seconds - 1)
		a.Advice = append(a.Advice, Advice{Change: change, Seconds: seconds, LatencyPercent: percent,
			Text: fmt.Sprintf("%s-bound %.0f %% of the time: %s → %+.1f %% latency", c, 100*a.Stalls[c]/a.Seconds, change, percent)})
	}
	sort.SliceStable(a.Advice, func(i, j int) bool { return a.Advice[i].Seconds < a.Advice[j].Seconds })
	a.Advice = a.Advice[:min(len(a.Advice), mostAdvice)]
	return nil
}
