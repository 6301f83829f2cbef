package traces

import "fmt"

// Kind is what an operator does.
type Kind uint8

// The kinds of operators. Gemm is a (batched) matrix product, Attention softmax(QKᵀ)V over cached
// and new tokens, MoE the feed-forward networks of the experts that a router has chosen for each
// token, from bringing the rows of an expert together to adding up what the experts of a token gave,
// Embedding a table look-up, KVAppend the copy of new keys and values into the cache, Quantize the
// rounding of activations to a narrower format before a product, Cast the same numbers in any other format;
// row-wise and element-wise operators and collectives are named as in the literature.
//
// Of training alone are DropoutAdd (a residual addition of what dropout leaves), LogSoftmax and CrossEntropy (the loss, as a
// softmax whose result is kept, or all in one kernel that keeps nothing), ColumnSum (the gradient of a bias), Accumulate
// (a gradient of DType that is added to one of ToDType) and Adam (moments and master weights of DType, weights of ToDType).
const (
	Gemm Kind = iota
	Attention
	Embedding
	KVAppend
	LayerNorm
	RMSNorm
	Softmax
	GELU
	SiLU
	SiLUMul
	GELUMul
	ReLU
	LeakyReLU
	ELU
	SELU
	Tanh
	Sigmoid
	Add
	Mul
	RoPE
	Copy
	Quantize
	AllReduce
	AllGather
	ReduceScatter
	AllToAll
	Broadcast
	SendRecv
	MoE
	Cast
	DropoutAdd
	LogSoftmax
	CrossEntropy
	ColumnSum
	Accumulate
	Adam
	numKinds = iota
)

// family says which fields of an operator a kind uses.
type family uint8

const (
	product    family = iota // Batch, M, N, K
	attending                // Batch, Heads, KVHeads, HeadDim, QLen, Past
	rowWise                  // Rows, Cols
	collective               // Bytes
	mixture                  // M, N, K, Experts, TopK, Gated, Skew, EP
)

// gradientWork is what the gradient of a kind reads, writes and does per element: the gradients of the result and of what
// went in, and what was kept of the forward pass. Weights of a norm get theirs in a second pass over both.
type gradientWork struct{ reads, writes, vector, special int64 }

// kinds describes every kind: its name and fields; for row-wise kinds, how many tensors of
// Rows×Cols elements it reads and writes, the weights and statistics per column and row, and its
// operations per element and per row. Operations are those of the usual fp32 kernel: a
// multiply-add counts one slot of a vector unit here, since lanes are counted so.
var kinds = [numKinds]struct {
	name           string
	family         family
	reads, writes  int64 // tensors of Rows×Cols
	columnWeights  int64 // weights per column
	vector         int64 // simple operations per element
	special        int64 // transcendental operations per element
	vectorPerRow   int64
	specialPerRow  int64
	indexPerRow    bool // an INT32 index per row is read
	readsFromTable bool // what is read belongs to the weights
	mask           bool // a byte per element is written, and read by the gradient
	to             bool // one of the tensors that are written has the format ToDType
	gradient       gradientWork
}{
	Gemm:      {name: "gemm", family: product},
	Attention: {name: "attention", family: attending},
	Embedding: {name: "embedding", family: rowWise, reads: 1, writes: 1, indexPerRow: true, readsFromTable: true, gradient: gradientWork{2, 1, 1, 0}},
	KVAppend:  {name: "kv-append", family: rowWise, reads: 1, writes: 1},
	// Mean, centred square sum, normalise, scale and shift: 2+2+1+1.
	LayerNorm: {name: "layernorm", family: rowWise, reads: 1, writes: 1, columnWeights: 2, vector: 6, vectorPerRow: 3, specialPerRow: 1, gradient: gradientWork{4, 1, 12, 0}},
	// Square sum, normalise, scale.
	RMSNorm: {name: "rmsnorm", family: rowWise, reads: 1, writes: 1, columnWeights: 1, vector: 3, vectorPerRow: 2, specialPerRow: 1, gradient: gradientWork{4, 1, 8, 0}},
	// Maximum, subtract, sum, scale; one exponential.
	Softmax: {name: "softmax", family: rowWise, reads: 1, writes: 1, vector: 4, special: 1, specialPerRow: 1, gradient: gradientWork{2, 1, 4, 0}},
	// x·½·(1+erf(x/√2)); one transcendental.
	GELU:      {name: "gelu", family: rowWise, reads: 1, writes: 1, vector: 4, special: 1, gradient: gradientWork{2, 1, 8, 1}},
	SiLU:      {name: "silu", family: rowWise, reads: 1, writes: 1, vector: 2, special: 2, gradient: gradientWork{2, 1, 5, 2}},
	SiLUMul:   {name: "silu-mul", family: rowWise, reads: 2, writes: 1, vector: 3, special: 2, gradient: gradientWork{3, 2, 8, 2}},
	GELUMul:   {name: "gelu-mul", family: rowWise, reads: 2, writes: 1, vector: 5, special: 1, gradient: gradientWork{3, 2, 11, 1}},
	ReLU:      {name: "relu", family: rowWise, reads: 1, writes: 1, vector: 1, gradient: gradientWork{2, 1, 2, 0}},
	LeakyReLU: {name: "leaky-relu", family: rowWise, reads: 1, writes: 1, vector: 2, gradient: gradientWork{2, 1, 2, 0}},
	ELU:       {name: "elu", family: rowWise, reads: 1, writes: 1, vector: 2, special: 1, gradient: gradientWork{2, 1, 3, 1}},
	SELU:      {name: "selu", family: rowWise, reads: 1, writes: 1, vector: 3, special: 1, gradient: gradientWork{2, 1, 3, 1}},
	Tanh:      {name: "tanh", family: rowWise, reads: 1, writes: 1, special: 1, gradient: gradientWork{2, 1, 2, 0}},
	Sigmoid:   {name: "sigmoid", family: rowWise, reads: 1, writes: 1, vector: 1, special: 2, gradient: gradientWork{2, 1, 3, 0}},
	Add:       {name: "add", family: rowWise, reads: 2, writes: 1, vector: 1},
	Mul:       {name: "mul", family: rowWise, reads: 2, writes: 1, vector: 1, gradient: gradientWork{3, 2, 2, 0}},
	// A rotation is two multiply-adds and a multiply for each pair of elements.
	RoPE: {name: "rope", family: rowWise, reads: 1, writes: 1, vector: 2, gradient: gradientWork{1, 1, 2, 0}},
	Copy: {name: "copy", family: rowWise, reads: 1, writes: 1, gradient: gradientWork{1, 1, 0, 0}},
	// The largest magnitude of a row or block, then scale, round and pack; a reciprocal a row.
	Quantize:      {name: "quantize", family: rowWise, reads: 1, writes: 1, vector: 4, specialPerRow: 1},
	AllReduce:     {name: "all-reduce", family: collective},
	AllGather:     {name: "all-gather", family: collective},
	ReduceScatter: {name: "reduce-scatter", family: collective},
	AllToAll:      {name: "all-to-all", family: collective},
	Broadcast:     {name: "broadcast", family: collective},
	SendRecv:      {name: "send-recv", family: collective},
	MoE:           {name: "moe", family: mixture},
	Cast:          {name: "cast", family: rowWise, reads: 1, writes: 1, vector: 1, to: true, gradient: gradientWork{1, 1, 1, 0}},
	// A random number, compare, scale and add.
	DropoutAdd: {name: "dropout-add", family: rowWise, reads: 2, writes: 1, vector: 4, mask: true, gradient: gradientWork{1, 1, 2, 0}},
	// Once for the maximum and the sum, once for the result; backward from the result and the gradient of the loss.
	LogSoftmax: {name: "log-softmax", family: rowWise, reads: 2, writes: 1, vector: 4, special: 1, specialPerRow: 1, gradient: gradientWork{3, 2, 4, 1}},
	// Once for the maximum and once for the sum; backward the logits become their gradients.
	CrossEntropy: {name: "cross-entropy", family: rowWise, reads: 2, vector: 4, special: 1, specialPerRow: 1, gradient: gradientWork{1, 1, 4, 1}},
	ColumnSum:    {name: "column-sum", family: rowWise, reads: 1, vector: 1},
	Accumulate:   {name: "accumulate", family: rowWise, reads: 1, writes: 1, vector: 1, to: true},
	// Gradient, two moments and the master weight are read, all but the first written, and the weight.
	Adam: {name: "adam", family: rowWise, reads: 4, writes: 4, vector: 12, special: 2, to: true},
}

// String returns the name used in files, e.g. "silu-mul".
func (k Kind) String() string {
	return nameOf(k, len(kinds), func(i int) string { return kinds[i].name }, "kind")
}

// Kinds lists the names of all kinds.
func Kinds() []string { return names(len(kinds), func(i int) string { return kinds[i].name }) }

// ParseKind reads the name of a kind.
func ParseKind(s string) (Kind, error) {
	i, err := parseName(s, "kind of operator", Kinds())
	return Kind(i), err
}

// HasGradient reports whether operators of the kind may be of a backward pass: passing gradients on is a kernel of the kind. A
// product's gradients are products, of other dimensions.
func (k Kind) HasGradient() bool {
	if int(k) >= len(kinds) {
		return false
	}
	return k == Gemm || k == Attention || k == MoE || kinds[k].gradient != gradientWork{}
}

// RowWise reports whether operators of the kind work on Rows×Cols elements.
func (k Kind) RowWise() bool { return int(k) < len(kinds) && kinds[k].family == rowWise }

// Collective reports whether the kind is a collective over chips.
func (k Kind) Collective() bool { return int(k) < len(kinds) && kinds[k].family == collective }

// Phase is the part of a run that an operator belongs to.
type Phase uint8

// The phases: Prefill works on prompts, Decode on one new token per sequence. A step of training is Forward and Backward
// for each micro-batch, and Update once.
const (
	Prefill Phase = iota
	Decode
	Forward
	Backward
	Update
	numPhases = iota
)

var phaseNames = [numPhases]string{"prefill", "decode", "forward", "backward", "update"}

// String returns the name used in files.
func (p Phase) String() string {
	return nameOf(p, len(phaseNames), func(i int) string { return phaseNames[i] }, "phase")
}

// ParsePhase reads the name of a phase.
func ParsePhase(s string) (Phase, error) {
	i, err := parseName(s, "phase", phaseNames[:])
	return Phase(i), err
}

// Split is how tensor parallelism may divide an operator.
type Split uint8

// The ways to divide an operator. Whole is not divided (every chip does all of it). Column divides
// the output columns of a product, Row its reduction, with an all-reduce after it (of a mixture of experts
// the inner elements; of an addition, whose operands are parts already, nothing but the all-reduce); Partial
// divides as Row does and leaves the all-reduce to an operator after it; Vocab divides the
// rows of an embedding table (all-reduce) or the columns of the head (all-gather) and pads; Heads
// divides attention heads, Sharded the columns of an operator between divided ones; of a product it
// divides the reduction and leaves it to the next Row to add the parts up.
const (
	Whole Split = iota
	Column
	Row
	Vocab
	Heads
	Sharded
	Partial
	numSplits = iota
)

var splitNames = [numSplits]string{"whole", "column", "row", "vocab", "heads", "sharded", "partial"}

// String returns the name used in files.
func (s Split) String() string {
	return nameOf(s, len(splitNames), func(i int) string { return splitNames[i] }, "split")
}

// ParseSplit reads the name of a split.
func ParseSplit(s string) (Split, error) {
	i, err := parseName(s, "split", splitNames[:])
	return Split(i), err
}

// Role is what a tensor is for.
type Role uint8

// The roles of tensors.
const (
	Activation Role = iota
	Weight
	KV
	Index
	Gradient // of a weight
	OptimizerState
	numRoles = iota
)

var roleNames = [numRoles]string{"activation", "weight", "kv", "index", "gradient", "optimizer"}

// String returns the name used in files.
func (r Role) String() string {
	return nameOf(r, len(roleNames), func(i int) string { return roleNames[i] }, "role")
}

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	i, err := parseName(s, "role", roleNames[:])
	return Role(i), err
}

func nameOf[T ~uint8](v T, n int, name func(int) string, what string) string {
	if int(v) < n {
		return name(int(v))
	}
	return fmt.Sprintf("%s(%d)", what, uint8(v))
}

func names(n int, name func(int) string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = name(i)
	}
	return all
}

// UnknownName says that a word is none of those that may stand in its place.
type UnknownName struct {
	What, Name string
	Known      []string
}

func (e *UnknownName) Error() string { return fmt.Sprintf("unknown %s %q", e.What, shorten(e.Name)) }

func parseName(s, what string, known []string) (int, error) {
	for i, k := range known {
		if s == k {
			return i, nil
		}
	}
	return 0, &UnknownName{what, s, known}
}
