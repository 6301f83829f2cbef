package oracle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Op is one operator with its dimensions; those that its kind does not have are 0.
type Op struct {
	Kind traces.Kind

	Batch, M, N, K int64 // matrix product, batch of them; B is a weight if Batch is 1

	// Attention: Batch sequences, QLen new tokens each after Past cached ones.
	Heads, KVHeads, HeadDim, QLen, Past int64
	Causal                              bool
	// Backward adds the gradients; Algorithm is one of arch.Algorithms, "" for what the runtime does. Of a collective it is one of
	// interconnect.Algorithms or a protocol of the machine's library.
	Backward  bool
	Algorithm string

	// Mixed attention: beside a chunk of QLen tokens, DecodeBatch sequences get one new token each after
	// DecodePast cached ones.
	Mixed                   bool
	DecodeBatch, DecodePast int64

	// Mixture of experts: M tokens of K elements, each to TopK of Experts with N inner elements, of which
	// each of TP ranks has its part; the experts are dealt to EP ranks, and the busiest is meant.
	Experts, TopK, TP, EP int64
	SkewMilli             int64 // exponent, in thousandths, of the power law by which experts are chosen; 0: as likely
	Gated                 bool

	Rows, Cols int64 // row-wise and element-wise

	// Form is a kind of request that is made of operators of other kinds, "" for none: "conv2d", the product of Batch
	// images' windows with Filters, or "ffn", M tokens of K elements through N inner ones and back.
	Form                      string
	Height, Width, Channels   int64
	Filters                   int64
	FilterHeight, FilterWidth int64
	Stride, Padding           int64

	// Collectives: the full buffer per rank, for all-gather and reduce-scatter the total.
	Bytes, Ranks int64
	// RanksPerNode is how many of them a node has at most; the rest of its chips have nothing to do.
	RanksPerNode int64

	DType, WeightDType, KVDType traces.DType
	ToDType                     traces.DType // of what quantize writes
}

// Dim describes a dimension of a kind of operator.
type Dim struct {
	Name        string // in requests, e.g. "head_dim"
	Usage       string
	Least, Most int64
	Otherwise   int64 // if it is left out; Needed if it may not be
	Of          func(*Op) *int64
}

// Needed in place of a default says that a dimension may not be left out.
const Needed = -1

const (
	maxDim = 1 << 31
	// maxBytes is more than any node's memory and small enough to be a tensor of page-sized rows.
	maxBytes = 1 << 42
	page     = 4096
)

var (
	gemmDims = []Dim{
		{"m", "rows of A and C", 1, maxDim, Needed, func(o *Op) *int64 { return &o.M }},
		{"n", "columns of B and C", 1, maxDim, Needed, func(o *Op) *int64 { return &o.N }},
		{"k", "columns of A, rows of B: the reduction", 1, maxDim, Needed, func(o *Op) *int64 { return &o.K }},
		{"batch", "independent products", 1, maxDim, 1, func(o *Op) *int64 { return &o.Batch }},
	}
	attentionDims = []Dim{
		{"batch", "sequences", 1, maxDim, 1, func(o *Op) *int64 { return &o.Batch }},
		{"heads", "query heads", 1, maxDim, Needed, func(o *Op) *int64 { return &o.Heads }},
		{"kv_heads", "key/value heads; as many as query heads if left out", 1, maxDim, 0, func(o *Op) *int64 { return &o.KVHeads }},
		{"head_dim", "elements of a head", 1, maxDim, Needed, func(o *Op) *int64 { return &o.HeadDim }},
		{"q_len", "new tokens of each sequence", 1, maxDim, Needed, func(o *Op) *int64 { return &o.QLen }},
		{"past_len", "tokens of each sequence that are cached already", 0, maxDim, 0, func(o *Op) *int64 { return &o.Past }},
	}
	mixedDims = append(slices.Clone(attentionDims[1:4]),
		Dim{"q_len", "new tokens of the prompt's chunk", 1, maxDim, Needed, func(o *Op) *int64 { return &o.QLen }},
		Dim{"past_len", "tokens of the prompt that are cached already", 0, maxDim, 0, func(o *Op) *int64 { return &o.Past }},
		Dim{"decode_batch", "sequences that are decoded", 1, maxDim, Needed, func(o *Op) *int64 { return &o.DecodeBatch }},
		Dim{"decode_past_len", "cached tokens of each of them", 0, maxDim, Needed, func(o *Op) *int64 { return &o.DecodePast }})
	moeDims = []Dim{
		{"tokens", "tokens of the whole expert-parallel group", 1, maxDim, Needed, func(o *Op) *int64 { return &o.M }},
		{"hidden", "elements of a token", 1, maxDim, Needed, func(o *Op) *int64 { return &o.K }},
		{"intermediate", "inner elements of an expert", 1, maxDim, Needed, func(o *Op) *int64 { return &o.N }},
		{"experts", "experts of the whole group", 1, 1 << 16, Needed, func(o *Op) *int64 { return &o.Experts }},
		{"top_k", "experts that each token is sent to", 1, 1 << 16, Needed, func(o *Op) *int64 { return &o.TopK }},
		{"tp", "ranks that share each expert's inner elements", 1, maxDim, 1, func(o *Op) *int64 { return &o.TP }},
		{"ep", "ranks that the experts are dealt to; the busiest is timed", 1, 1 << 16, 1, func(o *Op) *int64 { return &o.EP }},
	}
	rowDims = []Dim{
		{"rows", "product of all dimensions but the last", 1, maxDim, Needed, func(o *Op) *int64 { return &o.Rows }},
		{"cols", "the last dimension", 1, maxDim, Needed, func(o *Op) *int64 { return &o.Cols }},
	}
	collectiveDims = []Dim{
		{"bytes", "full buffer of each rank; for all-gather and reduce-scatter the total", 1, maxBytes, Needed, func(o *Op) *int64 { return &o.Bytes }},
		{"ranks", "chips that take part", 2, maxDim, Needed, func(o *Op) *int64 { return &o.Ranks }},
		{"ranks_per_node", "of them in a node; as many as it has if left out", 1, maxDim, 0, func(o *Op) *int64 { return &o.RanksPerNode }},
	}
)

// kinds finds a kind by its name.
var kinds = func() map[string]traces.Kind {
	m := map[string]traces.Kind{}
	for i, name := range traces.Kinds() {
		m[name] = traces.Kind(i)
	}
	return m
}()

// usualKinds are names that frameworks have for kinds of operators, for hints: by their letters alone matmul is nearest to mul.
var usualKinds = map[string]string{"matmul": "gemm", "mm": "gemm", "bmm": "gemm", "linear": "gemm", "dense": "gemm", "conv": "conv2d", "mlp": "ffn", "sdpa": "attention", "swiglu": "silu-mul"}

// ParseKind reads the name of a kind of operator.
func ParseKind(name string) (traces.Kind, *Error) {
	if k, ok := kinds[name]; ok {
		return k, nil
	}
	hint := nearest(name, Kinds())
	if usual, ok := usualKinds[strings.ToLower(name)]; ok {
		hint = fmt.Sprintf("did you mean %q?", usual)
	}
	return 0, invalid("unknown-kind", "/op/kind", hint, "%q is no kind of operator", shorten(name))
}

// Dims returns the dimensions of a kind of operator.
func Dims(k traces.Kind) []Dim {
	switch {
	case k == traces.Gemm:
		return gemmDims
	case k == traces.Attention:
		return attentionDims
	case k == traces.MoE:
		return moeDims
	case k.Collective():
		return collectiveDims
	}
	return rowDims
}

// mixed is the kind of a request for attention of a prompt's chunk and of decoded sequences together: one launch where the
// machine's kernel takes both, else one after the other.
const mixed = "attention-mixed"

// name is the kind as requests have it.
func (o *Op) name() string {
	switch {
	case o.Mixed:
		return mixed
	case o.Form != "":
		return o.Form
	}
	return o.Kind.String()
}

func (o *Op) dims() []Dim {
	if o.Mixed {
		return mixedDims
	}
	if d, ok := forms[o.Form]; ok {
		return d
	}
	return Dims(o.Kind)
}

// Dims returns the dimensions that the operator has.
func (o *Op) Dims() []Dim { return o.dims() }

// Name is the kind as requests have it.
func (o *Op) Name() string { return o.name() }

// HasWeight reports whether operators of the kind have a number format of their own for weights.
func HasWeight(k traces.Kind) bool {
	return k == traces.Gemm || k == traces.Embedding || k == traces.MoE
}

// HasKV reports whether operators of the kind have a number format of their own for cached keys and values.
func HasKV(k traces.Kind) bool { return k == traces.Attention || k == traces.KVAppend }

// Narrows reports whether operators of the kind write another number format than they read.
func Narrows(k traces.Kind) bool { return k == traces.Quantize }

// Complete fills in what follows from other dimensions.
func (o *Op) Complete() {
	if o.Kind == traces.Attention && o.KVHeads == 0 {
		o.KVHeads = o.Heads
	}
	if o.Form == conv2d && o.Stride > 0 {
		o.convolve()
	}
}

// JSON is the operator as the member "op" of a request, with nothing left out.
func (o *Op) JSON() []byte {
	to := fmt.Appendf(nil, `{"kind":%q`, o.name())
	for _, d := range o.dims() {
		if *d.Of(o) == 0 && d.Otherwise == 0 && d.Least > 0 {
			continue // left to what is usual
		}
		to = fmt.Appendf(to, `,%q:%d`, d.Name, *d.Of(o))
	}
	if !o.Kind.Collective() {
		to = fmt.Appendf(to, `,"dtype":%q`, o.DType)
	}
	if HasWeight(o.Kind) {
		to = fmt.Appendf(to, `,"weight_dtype":%q`, o.WeightDType)
	}
	if HasKV(o.Kind) {
		to = fmt.Appendf(to, `,"kv_dtype":%q`, o.KVDType)
	}
	if Narrows(o.Kind) {
		to = fmt.Appendf(to, `,"to_dtype":%q`, o.ToDType)
	}
	switch o.Kind {
	case traces.Attention:
		to = fmt.Appendf(to, `,"causal":%t`, o.Causal)
		if o.Backward {
			to = fmt.Appendf(to, `,"pass":%q`, passes[1])
		}
		if o.Algorithm != "" {
			to = fmt.Appendf(to, `,"algorithm":%q`, o.Algorithm)
		}
	case traces.AllReduce, traces.AllGather, traces.ReduceScatter, traces.AllToAll, traces.Broadcast, traces.SendRecv:
		if o.Algorithm != "" {
			to = fmt.Appendf(to, `,"algorithm":%q`, o.Algorithm)
		}
	case traces.MoE:
		to = fmt.Appendf(to, `,"gated":%t,"skew":%g`, o.Gated, float64(o.SkewMilli)/1000)
	}
	if o.Form == ffn {
		to = fmt.Appendf(to, `,"gated":%t`, o.Gated)
	}
	return append(to, '}')
}

// SetSkew takes the exponent of the power law by which experts are chosen, 0 for experts that are all as
// likely; what is wrong with it is returned, or "".
func (o *Op) SetSkew(a float64) string {
	milli, wrong := experiments.Skew(a)
	if wrong == "" {
		o.SkewMilli = milli
	}
	return wrong
}

// Conflict says which dimension of a mixture of experts does not go with the others, and why; "" if all do.
func (o *Op) Conflict() (dim, message, hint string) {
	switch {
	case o.Form == conv2d:
		return o.misfit()
	case o.Kind != traces.MoE || o.Experts < 1 || o.EP < 1:
	case o.TopK > o.Experts:
		return "top_k", fmt.Sprintf("%d of %d experts for each token", o.TopK, o.Experts), "top_k is at most experts"
	case o.Experts%o.EP != 0:
		return "ep", fmt.Sprintf("%d experts cannot be dealt to %d ranks evenly", o.Experts, o.EP), "ep must divide experts"
	}
	return "", "", ""
}

// operator returns the operator without its tensors.
func (o *Op) operator() traces.Op {
	if o.Kind == traces.MoE {
		return traces.Op{Name: o.Kind.String(), Kind: o.Kind, DType: o.DType, WeightDType: o.WeightDType, KVDType: o.DType,
			M: o.M, K: o.K, N: units.CeilDiv(o.N, max(o.TP, 1)), Experts: o.Experts, TopK: o.TopK, EP: o.EP, SkewMilli: o.SkewMilli, Gated: o.Gated}
	}
	if o.Form == conv2d {
		return o.convolution()
	}
	return traces.Op{Name: o.Kind.String(), Kind: o.Kind, DType: o.DType, WeightDType: o.WeightDType, KVDType: o.KVDType, ToDType: o.ToDType,
		Batch: o.Batch, M: o.M, N: o.N, K: o.K,
		Heads: o.Heads, KVHeads: o.KVHeads, HeadDim: o.HeadDim, QLen: o.QLen, Past: o.Past, Causal: o.Causal,
		Rows: o.Rows, Cols: o.Cols, Bytes: units.Bytes(o.Bytes)}
}

// Work counts what the operator asks for at the least. The error says that a count does not fit 64 bits.
func (o *Op) Work() (traces.Work, error) {
	if o.Form == ffn {
		return o.networkWork()
	}
	op := o.operator()
	w, err := op.Work(0)
	if err == nil && o.Backward {
		return o.withGradients(w)
	}
	if err != nil || !o.Mixed {
		return w, err
	}
	op = o.decoding()
	d, err := op.Work(0)
	if err != nil {
		return w, err
	}
	sum := func(a, b int64) int64 {
		n, ok := units.Add(a, b)
		if !ok {
			err = fmt.Errorf("operations or bytes: %w", plan.ErrTooLarge)
		}
		return n
	}
	return traces.Work{MatrixOps: units.Ops(sum(int64(w.MatrixOps), int64(d.MatrixOps))), VectorOps: units.Ops(sum(int64(w.VectorOps), int64(d.VectorOps))),
		SpecialOps: units.Ops(sum(int64(w.SpecialOps), int64(d.SpecialOps))), ReadBytes: units.Bytes(sum(int64(w.ReadBytes), int64(d.ReadBytes))),
		WriteBytes: units.Bytes(sum(int64(w.WriteBytes), int64(d.WriteBytes)))}, err
}

// withGradients adds what the gradients of attention ask for: four products where the forward pass has two, or with
// kernels that compute scores again five, as those count it that made them (arXiv 2205.14135, 2307.08691).
func (o *Op) withGradients(w traces.Work) (traces.Work, error) {
	halves := int64(7)
	if o.Algorithm == arch.Standard {
		halves = 6
	}
	matrix, ok1 := units.MulDivCeil(int64(w.MatrixOps), halves, 2)
	read, ok2 := units.Mul(int64(w.ReadBytes), 3) // again, and results with their gradients
	write, ok3 := units.Mul(int64(w.WriteBytes), 4)
	if !ok1 || !ok2 || !ok3 {
		return w, fmt.Errorf("operations or bytes: %w", plan.ErrTooLarge)
	}
	w.MatrixOps, w.ReadBytes, w.WriteBytes = units.Ops(matrix), units.Bytes(read), units.Bytes(write)
	return w, nil
}

// passes are the values of the member "pass" of attention.
var passes = []string{"fwd", "fwd+bwd"}

// Passes returns the passes of attention that can be asked for, the usual one first.
func Passes() []string { return slices.Clone(passes) }

// decoding is the part of mixed attention that decodes.
func (o *Op) decoding() traces.Op {
	op := o.operator()
	op.Name, op.Batch, op.QLen, op.Past, op.Causal = "attention.decode", o.DecodeBatch, 1, o.DecodePast, true
	return op
}

// Graph returns the operator as a graph that runs nothing else. The tensors are there because a chip
// has to hold them.
func (o *Op) Graph() *traces.Graph {
	if o.Form == ffn {
		return o.network()
	}
	op := o.operator()
	b := traces.Block{Name: op.Name}
	tensor := func(name string, role traces.Role, d traces.DType, shape ...int64) traces.TensorID {
		b.Tensors = append(b.Tensors, traces.Tensor{Name: name, Shape: shape, Type: d, Role: role})
		return traces.TensorID(len(b.Tensors) - 1)
	}
	in := func(name string, role traces.Role, d traces.DType, shape ...int64) {
		op.Inputs = append(op.Inputs, tensor(name, role, d, shape...))
	}
	out := func(d traces.DType, shape ...int64) {
		op.Outputs = append(op.Outputs, tensor("out", traces.Activation, d, shape...))
	}
	switch {
	case o.Form == conv2d:
		in("a", traces.Activation, o.DType, o.Batch, o.Height*o.Width, o.Channels)
		in("b", traces.Weight, o.WeightDType, op.K, op.N)
		out(o.DType.Result(), op.M, op.N)
	case o.Kind == traces.Gemm:
		in("a", traces.Activation, o.DType, o.Batch, o.M, o.K)
		if o.Batch == 1 {
			in("b", traces.Weight, o.WeightDType, o.K, o.N)
		} else {
			in("b", traces.Activation, o.WeightDType, o.Batch, o.K, o.N)
		}
		out(o.DType.Result(), o.Batch, o.M, o.N)
	case o.Kind == traces.Attention:
		// Keys and values are counted by the operator's own dimensions.
		in("q", traces.Activation, o.DType, o.Batch, o.QLen, o.Heads, o.HeadDim)
		out(o.DType.Result(), o.Batch, o.QLen, o.Heads, o.HeadDim)
	case o.Kind == traces.MoE:
		local := op.Experts / op.EP
		in("tokens", traces.Activation, o.DType, op.M, op.K)
		in("up", traces.Weight, o.WeightDType, op.K, local*(op.Matrices()-1)*op.N)
		in("down", traces.Weight, o.WeightDType, op.N, local*op.K)
		out(o.DType.Result(), op.M, op.K)
	case o.Kind.Collective():
		in("buffer", traces.Activation, traces.INT32, units.CeilDiv(o.Bytes, page), page/4) // in place
	default:
		for i := range o.operands() {
			in("in"+string(rune('1'+i)), traces.Activation, o.DType, o.Rows, o.Cols)
		}
		d := o.DType
		switch o.Kind {
		case traces.KVAppend:
			d = o.KVDType
		case traces.Quantize:
			d = o.ToDType
		}
		out(d, o.Rows, o.Cols)
	}
	b.Ops = []traces.Op{op}
	if o.Mixed {
		d := o.decoding()
		q := tensor("decode.q", traces.Activation, o.DType, d.Batch, d.Heads, d.HeadDim)
		d.Inputs, d.Outputs = []traces.TensorID{q}, []traces.TensorID{tensor("decode.out", traces.Activation, o.DType.Result(), d.Batch, d.Heads, d.HeadDim)}
		b.Ops = append(b.Ops, d)
	}
	return &traces.Graph{Name: o.name(), Phase: traces.Prefill.String(), DType: o.DType, Blocks: []traces.Block{b}, Runs: []traces.Run{{Phase: traces.Prefill, Times: 1}}}
}

// operands returns how many tensors of Rows×Cols elements the operator reads, as its work counts them
// for a single row of 64 elements.
func (o *Op) operands() int64 {
	small := traces.Op{Kind: o.Kind, Rows: 1, Cols: 64, DType: o.DType, WeightDType: o.DType, KVDType: o.DType, ToDType: o.ToDType}
	w, err := small.Work(0)
	if err != nil {
		return 1
	}
	return int64(w.ReadBytes / o.DType.Bytes(64))
}

// Request is the operator as a request to the simulator.
func (o *Op) Request(m *arch.Machine, profile string, hostSync bool) eval.Request {
	r := eval.Request{Machine: m, Graph: o.Graph(), Mapping: plan.Mapping{TP: 1, Profile: profile, HostSync: hostSync, Alone: o.Form != ffn}}
	if o.Kind.Collective() {
		r.Mapping.TP, r.Mapping.Collective = o.Ranks, o.Algorithm
		if o.RanksPerNode > 0 {
			r.Machine = m.Using(o.RanksPerNode)
		}
		return r
	}
	r.Mapping.Algorithm, r.Mapping.Backward = o.Algorithm, o.Backward
	return r
}

// BusBandwidth is the rate in bytes per second that the collective's bytes come to on the busiest link
// of a ring when it takes that long, as nccl-tests count it: independent of the number of ranks.
func (o *Op) BusBandwidth(seconds float64) float64 {
	share := 1.0
	switch n := float64(o.Ranks); o.Kind {
	case traces.AllReduce:
		share = 2 * (n - 1) / n
	case traces.AllGather, traces.ReduceScatter, traces.AllToAll:
		share = (n - 1) / n
	}
	return share * float64(o.Bytes) / seconds
}
