package traces

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stratasim/strata/sim/units"
)

// Graph is what a model computes in one run, compressed: equal layers and steps are stored once.
type Graph struct {
	Name string
	// Phase is "prefill", "decode", "generate" (a prefill and then decode steps),
	// "serve" (one cycle of a server in steady state: see llm.Workload) or "train" (each part of a training step once: see
	// llm.Training).
	Phase    string
	Batch    int64 // sequences at a time
	Prompt   int64 // tokens of each prompt; with phase decode, tokens that are cached already
	Generate int64 // tokens generated for each sequence, 0 unless the phase is generate or serve
	// Wave is how many of the sequences are in work at a time, with phase generate, where memory has no room for
	// the cache of all: the others wait until those are done. 0 is all of them.
	Wave int64
	// Groups is how many groups of chips have requests of their own and run the same operators, each on its part of
	// Batch, with phases prefill, decode, generate and serve: the graph is that of one of them, and its mixtures of
	// experts see the tokens of all. 0 and 1 are one group.
	Groups int64
	// Arrivals is how requests come to a server, with phase serve: Steady or Burst; else "".
	Arrivals string
	// Speculation is a draft model beside the model; nil without one. Steps are then rounds.
	Speculation *Speculation
	DType       DType // of activations
	Blocks      []Block
	Runs        []Run
	// Notes are remarks of the reader, such as what a truncated file lacks. They are not part of
	// the content.
	Notes []string
}

// Block is a sequence of operators, such as one transformer layer.
type Block struct {
	Name    string
	Tensors []Tensor
	Ops     []Op
}

// TensorID is the index of a tensor in its block.
type TensorID int32

// Tensor is an operand or result. A weight belongs to a layer: the same name in another layer is
// another weight.
type Tensor struct {
	Name  string
	Shape []int64 // elements, at least one dimension
	Type  DType
	Role  Role
}

// AdapterMark is in the names of the operators and weights of low-rank adapters, and in no others.
const AdapterMark = ".lora_"

// Adapter reports whether a tensor is a weight of a low-rank adapter.
func (t *Tensor) Adapter() bool { return t.Role == Weight && strings.Contains(t.Name, AdapterMark) }

// Op is one operator. Which dimensions it uses depends on its kind.
type Op struct {
	Name            string
	Kind            Kind
	Split           Split
	Inputs, Outputs []TensorID

	DType       DType // of activations
	WeightDType DType // of B in a product, of the table of an embedding; else DType
	KVDType     DType // of cached keys and values; else DType
	ToDType     DType // of what Quantize, Cast, Accumulate and Adam write, and of the result of a product where it is FP32; else 0
	// Gradient says that the operator is the backward pass of its kind: it reads the gradient of what the forward pass
	// wrote, and what that kept, and writes the gradients of what it read. A product that does so has dimensions of its own.
	Gradient bool

	// Products: Batch times C[M×N] = A[M×K]·B[K×N]. B is a weight when Batch is 1. Parts are the
	// columns of projections that may run side by side as one product; they sum to N.
	Batch, M, N, K int64
	Parts          []int64
	// Accumulate is how many columns of C the product is added to: what they hold is read before.
	Accumulate int64
	// Distinct is how many elements A has where those of its rows overlap, as the windows of a convolution do; 0: M×K of
	// each of the batch.
	Distinct int64

	// Attention: Batch sequences with QLen new tokens each after Past cached ones (plus those of
	// the run). Heads query heads share KVHeads key/value heads of HeadDim elements.
	Heads, KVHeads, HeadDim int64
	QLen, Past              int64
	Causal                  bool
	// Window is over how many tokens a query looks back, itself included; 0: over all of them.
	Window int64
	// ValueDim is the elements of a value where they differ from HeadDim, else 0. Latent means that
	// values are the first ValueDim elements of the keys, so that the cache holds keys alone.
	ValueDim int64
	Latent   bool
	// Cross means that keys and values are of another sequence of Past tokens: neither the new
	// tokens nor those of the run are among them.
	Cross    bool
	Relative Relative
	// CacheDim is the elements that the cache keeps of a token, of all heads together and on every chip,
	// where that is not its keys and values, else 0. Uncached means that nothing is kept.
	CacheDim int64
	Uncached bool
	// Dropout says that some of the probabilities are left out, at random: of training.
	Dropout bool

	// Mixture of experts: M tokens of K elements, each sent to TopK of Experts networks of N inner
	// elements. Gated networks have three matrices, others two. SkewMilli is the exponent, in
	// thousandths, of the power law by which experts are chosen; 0: each as likely as any other.
	// With EP ranks that share out the experts, the operator is that of the busiest of them.
	Experts, TopK, EP int64
	SkewMilli         int64
	Gated             bool

	// Row-wise and element-wise: Rows×Cols elements.
	Rows, Cols int64

	// Collectives: the full buffer per chip; for all-gather and reduce-scatter the total.
	Bytes units.Bytes
}

// Run executes a block.
type Run struct {
	Block      int32
	Phase      Phase
	Step       int64 // decode steps count from 1; 0 for prefill
	FirstLayer int64 // number of the first layer, for the weights
	Times      int64 // layers in a row
	Past       int64 // cached tokens, on top of Op.Past
	// Repeat is how many alike steps in a row the run stands for, 0 for one. All runs of a step (one after another,
	// of the same phase and step) have the same.
	Repeat int64
}

// Steps returns how many steps in a row the run stands for, at least 1.
func (r *Run) Steps() int64 { return max(r.Repeat, 1) }

// SameStep reports whether the run belongs to the same step as the one before it.
func (r *Run) SameStep(before *Run) bool { return r.Phase == before.Phase && r.Step == before.Step }

// Invalid says what is wrong with a graph, and where.
type Invalid struct {
	Where, Message, Hint string
	// Field is the member of the trace that is at fault, such as "m", or "".
	Field string

	at place
}

// place is what an Invalid is about: indices from 1, 0 for none. With a tensor or operator, block is
// the one that it is in.
type place struct{ block, tensor, op, run int }

func (e *Invalid) Error() string {
	s := e.Where + ": " + e.Message
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// maxDimension bounds a single dimension: far above anything real, and low enough that a product of
// two never overflows.
const maxDimension = 1 << 31

// Bounds of a graph, far above real ones: they keep what a file can make a program hold to what its
// size justifies.
const (
	MaxRuns      = 1 << 22   // runs of blocks
	MaxOperators = 1_000_000 // operators of all blocks
	MaxTensors   = 2_000_000 // tensors of all blocks
	maxOperands  = 512       // inputs, outputs or parts of an operator
	maxShape     = 16        // dimensions of a tensor
	maxName      = 256       // bytes of a name
)

// How requests come to a server that always has the same number in work.
const (
	// Steady: they are spread over their lives, and each prompt is prefilled in a step that decodes all others too.
	Steady = "steady"
	// Burst: they come and end together, as when a load generator starts them at once and answers have one length, and
	// the server prefills them all before it decodes.
	Burst = "burst"
)

// Arrivals lists how requests may come.
func Arrivals() []string { return []string{Steady, Burst} }

// Phases of a whole run, as Graph.Phase has them.
var graphPhases = []string{"prefill", "decode", "generate", "serve", "train"}

// Validate checks that the graph is complete and consistent: dimensions that its kinds need, references in
// range, operands that are there before they are used, counts that fit. Errors are of type *Invalid.
func (g *Graph) Validate() error {
	if e := g.invalid(); e != nil {
		return e
	}
	return nil
}

func (g *Graph) invalid() *Invalid {
	bad := func(field, message, hint string) *Invalid {
		return &Invalid{Where: "graph", Message: message, Hint: hint, Field: field}
	}
	switch {
	case len(g.Runs) == 0:
		return bad("", "nothing runs", "add operators")
	case len(g.Runs) > MaxRuns:
		return bad("", fmt.Sprintf("%d runs of blocks, at most %d are supported", len(g.Runs), MaxRuns), "generate fewer tokens")
	case g.Phase != "" && !slices.Contains(graphPhases, g.Phase):
		return bad("phase", fmt.Sprintf("unknown phase %q", shorten(g.Phase)), strings.Join(graphPhases, ", "))
	case g.Wave < 0 || g.Wave > 0 && (g.Wave >= g.Batch || g.Phase != "generate"):
		return bad("wave", fmt.Sprintf("%d of %d sequences in work at a time", g.Wave, g.Batch), "fewer than all of them, with phase generate; else leave it out")
	case g.Groups < 0 || g.Groups > MaxElements:
		return bad("groups", fmt.Sprintf("%d groups of chips", g.Groups), "at least 1")
	case g.Phase == "serve" && !slices.Contains(Arrivals(), g.Arrivals):
		return bad("arrivals", fmt.Sprintf("%q is unknown", shorten(g.Arrivals)), strings.Join(Arrivals(), " or "))
	case g.Phase != "serve" && g.Arrivals != "":
		return bad("arrivals", "requests arrive at a server only", `leave it out, or say "phase":"serve"`)
	case int(g.DType) >= numDTypes:
		return bad("dtype", "unknown data type", "")
	}
	if g.Speculation != nil {
		if e := g.Speculation.invalid(g.Phase); e != nil {
			return e
		}
	}
	if g.Name != "" {
		if msg := nameProblem(g.Name); msg != "" {
			return bad("model", msg, "")
		}
	}
	for _, d := range []struct {
		name string
		v    int64
	}{{"batch", g.Batch}, {"prompt", g.Prompt}, {"generate", g.Generate}} {
		if d.v < 0 || d.v > maxDimension {
			return bad(d.name, fmt.Sprintf("%s %d: must be from 0 to %d", d.name, d.v, int64(maxDimension)), "")
		}
	}
	ops, tensors := 0, 0
	for i := range g.Blocks {
		ops += len(g.Blocks[i].Ops)
		tensors += len(g.Blocks[i].Tensors)
		if ops > MaxOperators || tensors > MaxTensors {
			return bad("", fmt.Sprintf("more than %d operators or %d tensors", MaxOperators, MaxTensors), "store equal layers once")
		}
	}
	for i := range g.Blocks {
		if e := g.Blocks[i].invalid(i + 1); e != nil {
			return e
		}
	}
	longest := make([]int64, len(g.Blocks)) // cache that any run of the block brings
	for i := range g.Runs {
		if e := g.Runs[i].invalid(len(g.Blocks)); e != nil {
			e.Where, e.at = fmt.Sprintf("run %d", i+1), place{run: i + 1}
			return e
		}
		r := &g.Runs[i]
		if i > 0 && r.SameStep(&g.Runs[i-1]) && r.Steps() != g.Runs[i-1].Steps() {
			return &Invalid{Where: fmt.Sprintf("run %d", i+1), Message: fmt.Sprintf("repeat %d: the run before it, of the same step, says %d", r.Steps(), g.Runs[i-1].Steps()),
				Hint: "a step repeats as a whole; give another step another number", Field: "repeat", at: place{run: i + 1}}
		}
		longest[r.Block] = max(longest[r.Block], r.Past)
	}
	for i := range g.Blocks {
		blk := &g.Blocks[i]
		for j := range blk.Ops {
			if _, err := blk.Ops[j].Work(longest[i]); err != nil {
				return &Invalid{Where: fmt.Sprintf("operator %s of block %s", blk.Ops[j].Name, blk.Name), Message: err.Error(), Field: "op", at: place{block: i + 1, op: j + 1}}
			}
		}
	}
	return nil
}

// invalid checks a run of one of so many blocks.
func (r *Run) invalid(blocks int) *Invalid {
	if r.Block < 0 || int(r.Block) >= blocks {
		return &Invalid{Message: fmt.Sprintf("block %d of %d", r.Block, blocks), Field: "run"}
	}
	if int(r.Phase) >= numPhases {
		return &Invalid{Message: "unknown phase", Field: "phase"}
	}
	for _, d := range []struct {
		name   string
		v, min int64
	}{{"times", r.Times, 1}, {"past", r.Past, 0}, {"first_layer", r.FirstLayer, 0}, {"step", r.Step, 0}, {"repeat", r.Repeat, 0}} {
		if d.v < d.min || d.v > maxDimension {
			return &Invalid{Message: fmt.Sprintf("%s %d: must be from %d to %d", d.name, d.v, d.min, int64(maxDimension)), Field: d.name}
		}
	}
	return nil
}

// nameProblem says why a text cannot be a name, or returns "".
func nameProblem(s string) string {
	switch {
	case s == "":
		return "no name"
	case len(s) > maxName:
		return fmt.Sprintf("a name of %d bytes: at most %d are supported", len(s), maxName)
	case !utf8.ValidString(s):
		return "a name that is not UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "a name with control characters"
	}
	return ""
}

// Bytes returns the size of the tensor with its scales. The reduction of a weight is its last dimension
// but one, so its blocks run along that; those of other tensors run along the last.
func (t *Tensor) Bytes() (units.Bytes, bool) {
	n := int64(1)
	for _, d := range t.Shape {
		var ok bool
		if n, ok = units.Mul(n, d); !ok {
			return 0, false
		}
	}
	if n > MaxElements {
		return 0, false
	}
	if !t.Type.Scaled() || n == 0 {
		return t.Type.Bytes(n), true
	}
	along := t.Shape[len(t.Shape)-1]
	if t.Role == Weight && len(t.Shape) > 1 {
		along = t.Shape[len(t.Shape)-2]
	}
	return t.Type.Size(along, n/along), true
}

// invalid checks a tensor by itself.
func (t *Tensor) invalid() *Invalid {
	if msg := nameProblem(t.Name); msg != "" {
		return &Invalid{Message: msg, Field: "tensor"}
	}
	switch {
	case len(t.Shape) == 0:
		return &Invalid{Message: "no shape", Hint: "e.g. [4096, 4096]", Field: "shape"}
	case len(t.Shape) > maxShape:
		return &Invalid{Message: fmt.Sprintf("%d dimensions: at most %d are supported", len(t.Shape), maxShape), Field: "shape"}
	case int(t.Type) >= numDTypes:
		return &Invalid{Message: "unknown data type", Field: "dtype"}
	case int(t.Role) >= numRoles:
		return &Invalid{Message: "unknown role", Field: "role"}
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d < 1 || d > maxDimension {
			return &Invalid{Message: fmt.Sprintf("dimension %d: must be from 1 to %d", d, int64(maxDimension)), Field: "shape"}
		}
		var ok bool
		if n, ok = units.Mul(n, d); !ok || n > MaxElements {
			return &Invalid{Message: "too many elements", Hint: "at most 2^57", Field: "shape"}
		}
	}
	return nil
}

// invalid checks block number at (from 1).
func (b *Block) invalid(at int) *Invalid {
	where := "block " + shorten(b.Name)
	if msg := nameProblem(b.Name); msg != "" && b.Name != "" {
		return &Invalid{Where: where, Message: msg, Field: "block", at: place{block: at}}
	}
	if len(b.Ops) == 0 {
		return &Invalid{Where: where, Message: "no operators", Field: "block", at: place{block: at}}
	}
	names := make(map[string]bool, len(b.Tensors))
	for i := range b.Tensors {
		t := &b.Tensors[i]
		e := t.invalid()
		if e == nil && names[t.Name] {
			e = &Invalid{Message: "there are two of that name", Field: "tensor"}
		}
		if e != nil {
			e.Where, e.at = fmt.Sprintf("tensor %s of %s", shorten(t.Name), where), place{block: at, tensor: i + 1}
			return e
		}
		names[t.Name] = true
	}
	writer := make([]int, len(b.Tensors)) // first operator that writes the tensor
	for i := range writer {
		writer[i] = -1
	}
	for j := range b.Ops {
		for _, id := range b.Ops[j].Outputs {
			if int(id) >= 0 && int(id) < len(writer) && writer[id] < 0 {
				writer[id] = j
			}
		}
	}
	seen := make(map[string]bool, len(b.Ops))
	for j := range b.Ops {
		op := &b.Ops[j]
		e := op.invalid()
		if e == nil && seen[op.Name] {
			e = &Invalid{Message: "there are two of that name", Field: "op"}
		}
		if e == nil {
			e = b.operands(op, j, writer)
		}
		if e != nil {
			e.Where, e.at = fmt.Sprintf("operator %s of %s", shorten(op.Name), where), place{block: at, op: j + 1}
			if op.Name == "" {
				e.Where = fmt.Sprintf("operator %d of %s", j+1, where)
			}
			return e
		}
		seen[op.Name] = true
	}
	return nil
}

// operands checks the tensors that operator j reads and writes.
func (b *Block) operands(op *Op, j int, writer []int) *Invalid {
	for _, id := range op.Inputs {
		if int(id) < 0 || int(id) >= len(b.Tensors) {
			return &Invalid{Message: fmt.Sprintf("input tensor %d of %d", id, len(b.Tensors)), Field: "inputs"}
		}
		// What no operator here writes comes from outside the block.
		if t := &b.Tensors[id]; t.Role == Activation && writer[id] >= j {
			by := "by " + b.Ops[writer[id]].Name
			if writer[id] == j {
				by = "by itself"
			}
			return &Invalid{Message: fmt.Sprintf("reads %s before it is written %s", t.Name, by), Field: "inputs",
				Hint: "put operators in dependency order and give every result a name of its own"}
		}
	}
	for _, id := range op.Outputs {
		if int(id) < 0 || int(id) >= len(b.Tensors) {
			return &Invalid{Message: fmt.Sprintf("output tensor %d of %d", id, len(b.Tensors)), Field: "outputs"}
		}
		if b.Tensors[id].Role == Weight {
			return &Invalid{Message: "writes the weight " + b.Tensors[id].Name, Field: "outputs"}
		}
	}
	return nil
}

// invalid checks name, types and the dimensions that the operator's kind uses.
func (op *Op) invalid() *Invalid {
	if msg := nameProblem(op.Name); msg != "" {
		return &Invalid{Message: msg, Field: "op"}
	}
	switch {
	case int(op.Kind) >= numKinds:
		return &Invalid{Message: "unknown kind", Field: "kind"}
	case int(op.Split) >= numSplits:
		return &Invalid{Message: "unknown split", Field: "split"}
	case int(op.DType) >= numDTypes:
		return &Invalid{Message: "unknown data type", Field: "dtype"}
	case int(op.WeightDType) >= numDTypes:
		return &Invalid{Message: "unknown data type of weights", Field: "weight_dtype"}
	case int(op.KVDType) >= numDTypes:
		return &Invalid{Message: "unknown data type of keys and values", Field: "kv_dtype"}
	case int(op.ToDType) >= numDTypes:
		return &Invalid{Message: "unknown data type of the result", Field: "to_dtype"}
	case op.Kind == Gemm && op.ToDType != 0 && op.ToDType != FP32:
		return &Invalid{Message: fmt.Sprintf("a product that writes %s", op.ToDType), Hint: "fp32, or leave it out for 16 bits", Field: "to_dtype"}
	case op.Kind == Quantize && op.ToDType.Bits() >= op.DType.Bits():
		return &Invalid{Message: fmt.Sprintf("quantizes %s to %s, which is no narrower", op.DType, op.ToDType), Hint: "e.g. fp8", Field: "to_dtype"}
	}
	if op.Gradient && !op.Kind.HasGradient() {
		return &Invalid{Message: fmt.Sprintf("%s has no gradient of its own", op.Kind), Field: "gradient"}
	}
	for i := range dims {
		d := &dims[i]
		if d.family != kinds[op.Kind].family {
			continue
		}
		if v := *d.of(op); v < d.min || v > maxDimension {
			return &Invalid{Message: fmt.Sprintf("%s %d: must be from %d to %d", d.name, v, d.min, int64(maxDimension)), Field: d.name}
		}
	}
	if op.Kind.Collective() && op.Bytes < 0 {
		return &Invalid{Message: fmt.Sprintf("bytes %d: must not be negative", int64(op.Bytes)), Field: "bytes"}
	}
	switch op.Kind {
	case Attention:
		if e := op.invalidAttention(); e != nil {
			return e
		}
	case MoE:
		if e := op.invalidMoE(); e != nil {
			return e
		}
	}
	for _, l := range []struct {
		name string
		n    int
	}{{"inputs", len(op.Inputs)}, {"outputs", len(op.Outputs)}, {"parts", len(op.Parts)}} {
		if l.n > maxOperands {
			return &Invalid{Message: fmt.Sprintf("%d %s: at most %d are supported", l.n, l.name, maxOperands), Field: l.name}
		}
	}
	var sum int64
	for _, p := range op.Parts {
		if p < 1 || p > maxDimension {
			return &Invalid{Message: fmt.Sprintf("part of %d columns: must be from 1 to %d", p, int64(maxDimension)), Field: "parts"}
		}
		sum += p
	}
	if op.Kind == Gemm && op.Distinct != 0 {
		c := count{true}
		if all := c.mul(op.Batch, op.M, op.K); op.Distinct < 0 || c.ok && op.Distinct > all {
			return &Invalid{Message: fmt.Sprintf("distinct %d: must be from 1 to the %d elements of A", op.Distinct, all), Field: "distinct"}
		}
	}
	if op.Kind == Gemm && (op.Accumulate < 0 || op.Accumulate > op.N) {
		return &Invalid{Message: fmt.Sprintf("accumulate %d: must be from 0 to the %d columns", op.Accumulate, op.N), Field: "accumulate"}
	}
	if len(op.Parts) > 0 && sum != op.N {
		return &Invalid{Message: fmt.Sprintf("parts sum to %d columns, n is %d", sum, op.N), Field: "parts"}
	}
	return nil
}

func (op *Op) invalidAttention() *Invalid {
	switch {
	case op.Heads%op.KVHeads != 0:
		return &Invalid{Message: fmt.Sprintf("%d query heads cannot share %d key/value heads evenly", op.Heads, op.KVHeads),
			Hint: "heads must be a multiple of kv_heads", Field: "kv_heads"}
	case int(op.Relative) >= numRelatives:
		return &Invalid{Message: "unknown relative positions", Field: "relative"}
	case op.Latent && op.ValueDim > op.HeadDim:
		return &Invalid{Message: fmt.Sprintf("values of %d elements cannot be a part of keys of %d", op.ValueDim, op.HeadDim), Field: "value_dim"}
	case op.Cross && op.Causal:
		return &Invalid{Message: "keys of another sequence have no order to mask", Hint: "say causal: false", Field: "causal"}
	case op.Cross && op.Past == 0:
		return &Invalid{Message: "no keys: past_len is the length of the other sequence", Field: "past_len"}
	case op.Window > 0 && !op.Causal:
		return &Invalid{Message: "a window looks back, so it goes with a causal mask", Field: "window"}
	}
	return nil
}

func (op *Op) invalidMoE() *Invalid {
	switch {
	case op.TopK > op.Experts:
		return &Invalid{Message: fmt.Sprintf("%d of %d experts for each token", op.TopK, op.Experts), Hint: "top_k is at most experts", Field: "top_k"}
	case op.Experts > maxExperts:
		return &Invalid{Message: fmt.Sprintf("%d experts: at most %d are supported", op.Experts, maxExperts), Field: "experts"}
	case op.Experts%op.EP != 0:
		return &Invalid{Message: fmt.Sprintf("%d experts cannot be dealt to %d ranks evenly", op.Experts, op.EP), Hint: "ep must divide experts", Field: "ep"}
	case op.SkewMilli != 0 && (op.SkewMilli < MinSkew || op.SkewMilli > MaxSkew):
		return &Invalid{Message: fmt.Sprintf("an exponent of %d thousandths: must be from %d to %d", op.SkewMilli, MinSkew, MaxSkew), Hint: "or 0 for experts that are all as likely", Field: "skew_milli"}
	}
	return nil
}

// maxExperts bounds the experts of an operator, and with it the work of dealing tokens to them.
const maxExperts = 1 << 16

// dim is a dimension of the operators of a family of kinds.
type dim struct {
	name   string
	family family
	min    int64
	of     func(*Op) *int64
}

var dims = []dim{
	{"batch", product, 1, func(o *Op) *int64 { return &o.Batch }},
	{"m", product, 1, func(o *Op) *int64 { return &o.M }},
	{"n", product, 1, func(o *Op) *int64 { return &o.N }},
	{"k", product, 1, func(o *Op) *int64 { return &o.K }},
	{"batch", attending, 1, func(o *Op) *int64 { return &o.Batch }},
	{"heads", attending, 1, func(o *Op) *int64 { return &o.Heads }},
	{"kv_heads", attending, 1, func(o *Op) *int64 { return &o.KVHeads }},
	{"head_dim", attending, 1, func(o *Op) *int64 { return &o.HeadDim }},
	{"q_len", attending, 1, func(o *Op) *int64 { return &o.QLen }},
	{"past_len", attending, 0, func(o *Op) *int64 { return &o.Past }},
	{"window", attending, 0, func(o *Op) *int64 { return &o.Window }},
	{"value_dim", attending, 0, func(o *Op) *int64 { return &o.ValueDim }},
	{"cache_dim", attending, 0, func(o *Op) *int64 { return &o.CacheDim }},
	{"tokens", mixture, 1, func(o *Op) *int64 { return &o.M }},
	{"hidden", mixture, 1, func(o *Op) *int64 { return &o.K }},
	{"intermediate", mixture, 1, func(o *Op) *int64 { return &o.N }},
	{"experts", mixture, 1, func(o *Op) *int64 { return &o.Experts }},
	{"top_k", mixture, 1, func(o *Op) *int64 { return &o.TopK }},
	{"ep", mixture, 1, func(o *Op) *int64 { return &o.EP }},
	{"skew_milli", mixture, 0, func(o *Op) *int64 { return &o.SkewMilli }},
	{"rows", rowWise, 1, func(o *Op) *int64 { return &o.Rows }},
	{"cols", rowWise, 1, func(o *Op) *int64 { return &o.Cols }},
}
