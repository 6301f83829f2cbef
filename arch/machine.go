package arch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Machine is one accelerator system and the software on it.
type Machine struct {
	Name        string  `yaml:"name" spec:"required"`
	Description string  `yaml:"description,omitempty"`
	Chip        Chip    `yaml:"chip" spec:"required"`
	System      System  `yaml:"system" spec:"required"`
	Runtime     Runtime `yaml:"runtime" spec:"required"`
	Power       Power   `yaml:"power" spec:"required"`
	Energy      Energy  `yaml:"energy" spec:"required"`
	Cost        *Cost   `yaml:"cost,omitempty"`
	// Sources says where each leaf comes from: path (or the path of an enclosing part) to text.
	// Texts that begin with "estimated:" or "fitted:" say so and on what.
	Sources spec.Sources `yaml:"sources,omitempty" spec:"-"`
}

// Chip is one accelerator chip.
type Chip struct {
	// Process names the technology node, e.g. "TSMC N7"; informative.
	Process string `yaml:"process,omitempty"`
	// Clock of the cores, on which on-chip memory widths are based too.
	Clock units.Hertz `yaml:"clock" spec:"required,gt=0 Hz,max=100 GHz"`
	Cores Cores       `yaml:"cores" spec:"required"`
	// Memory tiers from the core outwards.
	Memory []memory.Spec `yaml:"memory" spec:"required,min=1,max=16,unique"`
	// Network is what lies between the cores and what they share; nil if the rates of the tiers have
	// it in them.
	Network *interconnect.OnChip `yaml:"network,omitempty"`
	// Dies are there for a chip of several dies whose link between them is a limit of its own.
	Dies *Dies `yaml:"dies,omitempty"`
	// Area is what the size of the dies depends on; nil if nobody asks for it.
	Area *Area `yaml:"area,omitempty"`
}

// Dies are the parts of a chip, alike, over which its cores and all that these share are spread evenly:
// of what a core writes, and without copies of what it reads, (count − 1)/count is on another die.
type Dies struct {
	Count int64 `yaml:"count,omitempty" spec:"min=2,max=64"`
	// Link is what crosses from die to die, all directions together.
	Link units.BytesPerSecond `yaml:"link,omitempty" spec:"gt=0 B/s"`
	// Copies says that each die's part of the shared memory keeps copies of what its own cores read, wherever that
	// lives: then what is brought on chip crosses, and not what cores read of it, and there is room for
	// 1/count of the shared memory in different data. Else every byte is in one place.
	Copies bool `yaml:"copies,omitempty"`
	// Latency is what a load from another die waits more than one from the die of the core.
	Latency units.Time `yaml:"latency,omitempty" spec:"min=0 ns,max=1 ms"`
}

// Names of the resources of a program that stand for what lies between cores and memories. WriteSuffix
// follows the name of a tier or of the network where writes have a way of their own.
const (
	NetworkResource = "noc"
	DieResource     = "die-link"
	WriteSuffix     = ".write"
)

// Cores are the chip's cores, all alike.
type Cores struct {
	Count  int64          `yaml:"count" spec:"required,min=1,max=10000000"`
	Matrix compute.Matrix `yaml:"matrix" spec:"required"`
	Vector compute.Vector `yaml:"vector" spec:"required"`
}

// System is the node that the chips form.
type System struct {
	// Chips of the node.
	Chips int64 `yaml:"chips" spec:"required,min=1,max=1000000"`
	// ScaleUp is the network between the chips; may be left out for a single chip.
	ScaleUp *interconnect.Spec `yaml:"scale_up,omitempty"`
	// ScaleOut is the network between nodes of such chips; without it there is one node only.
	ScaleOut *interconnect.ScaleOut `yaml:"scale_out,omitempty"`
	// Host is the computer that the chips hang on; may be left out.
	Host *HostComputer `yaml:"host,omitempty"`
}

// Runtime is the software: what it can fuse, what a launch costs, how its kernels are built.
type Runtime struct {
	// Default names the profile used unless another is asked for.
	Default string `yaml:"default" spec:"required"`
	// HostTimed names the profile used for operators that the host launches and waits for one by
	// one, unless another is asked for; "" is the default.
	HostTimed string `yaml:"host_timed,omitempty"`
	// Kernels are what profiles refer to by name, so that a kernel of several profiles is written once.
	Kernels  *Kernels  `yaml:"kernels,omitempty"`
	Profiles []Profile `yaml:"profiles" spec:"required,min=1,max=64,unique"`
}

// Kernels are the kernels of libraries, each under a name of its own among those of its kind.
type Kernels struct {
	Gemm      []GemmKernel      `yaml:"gemm,omitempty" spec:"max=64,unique"`
	Vector    []RowKernel       `yaml:"vector,omitempty" spec:"max=64,unique"`
	Attention []AttentionKernel `yaml:"attention,omitempty" spec:"max=64,unique"`
	MoE       []MoEKernel       `yaml:"moe,omitempty" spec:"max=64,unique"`
}

// Profile is one way of running operators: a framework with its kernel library.
type Profile struct {
	Name        string `yaml:"name" spec:"required"`
	Description string `yaml:"description,omitempty"`
	// Launch is the time between the kernels of one stream that the device itself needs.
	Launch units.Time `yaml:"launch" spec:"min=0 ns,max=1 s"`
	// Host is what the framework on the host adds to the time of the device; nil is nothing, as in a
	// loop that is compiled whole.
	Host *Host `yaml:"host,omitempty"`
	// CachePage is the tokens of a page of the key/value cache, which grows by whole pages; 0 is one token.
	CachePage int64 `yaml:"cache_page,omitempty" spec:"min=0,max=65536"`
	// HostSync is what a host-timed, synchronised operator pays on top, by operator kind;
	// "default" stands for kinds that are not listed.
	HostSync map[string]units.Time `yaml:"host_sync,omitempty" spec:"min=0 ns,max=1 s"`
	// Fusion lists what the runtime does in one kernel: "flash-attention", "norm-add" (residual
	// addition with the norm that follows it), "parallel-gemm" (weights of parallel projections
	// side by side), "gated-mlp" (the activation of a gated network in the epilogue of its first product),
	// "decoder-pipeline" (a whole block, see Pipeline).
	Fusion []string `yaml:"fusion,omitempty" spec:"oneof=flash-attention|norm-add|parallel-gemm|gated-mlp|decoder-pipeline"`
	// RowBias says that the bias of a product whose reduction is divided over the chips is added in a kernel
	// of its own, after the sum over the chips; else biases take no time.
	RowBias bool `yaml:"row_bias,omitempty"`
	// WholeVocabulary says that tensor parallelism leaves the table of tokens and the head whole: each chip has them in
	// full and computes all logits.
	WholeVocabulary bool `yaml:"whole_vocabulary,omitempty"`
	// Kernels is how many kernels the framework runs for one operator of that kind, 1 if not listed: those
	// beyond the first work on little and take their launch, start and drain. "gemm+bias" is a product that adds a
	// bias to its result.
	Kernels map[string]int64 `yaml:"kernels,omitempty" spec:"min=0,max=1000"`
	// CopiedCache says that a step makes a new key/value cache of the old one and the new tokens.
	CopiedCache bool `yaml:"copied_cache,omitempty"`
	// ColdCache says that cached keys and values are not on chip when decoding starts, even where attention is timed by
	// itself: it was measured among the other layers of a model.
	ColdCache bool        `yaml:"cold_cache,omitempty"`
	Gemm      GemmKernel  `yaml:"gemm" spec:"required"`
	Vector    []RowKernel `yaml:"vector" spec:"required,min=1,max=64,unique"`
	// Chains are for operators that the framework runs as several kernels.
	Chains    []Chain          `yaml:"chains,omitempty" spec:"max=64,unique"`
	Attention *AttentionKernel `yaml:"attention,omitempty"`
	// GemmFor and AttentionFor are kernels for cases that Gemm and Attention are not for; the first that
	// suits is taken.
	GemmFor      []GemmVariant      `yaml:"gemm_for,omitempty" spec:"max=16,unique"`
	AttentionFor []AttentionVariant `yaml:"attention_for,omitempty" spec:"max=16,unique"`
	// MoE is how mixtures of experts are built; without it, from the tiles of matrix products.
	MoE *MoEKernel `yaml:"moe,omitempty"`
	// Collective is the profile's collective library, where it is not the one of the network.
	Collective *interconnect.Library `yaml:"collective,omitempty"`
	// Resident is there if a program of one operator first copies its operands on chip whole, as
	// XLA does, and copies the result back after it.
	Resident *Resident `yaml:"resident,omitempty"`
	// Intermediates is there if tensors wait in the shared on-chip memory for the kernels that read them, as compilers
	// arrange it that place tensors in scratchpads. A cache may do the same by chance: it is left out.
	Intermediates *Intermediates `yaml:"intermediates,omitempty"`
	// Pipeline is how a fused block runs, for profiles with the fusion "decoder-pipeline".
	Pipeline *Pipeline `yaml:"pipeline,omitempty"`
	// Training is how the framework trains; profiles without it train as the usual values of Training say.
	Training *Training `yaml:"training,omitempty"`
}

// Training is what belongs to a framework in training, the same for all models.
type Training struct {
	// Gradient is the format in which gradients are added up over micro-batches, and Wire that in which they are summed
	// over data-parallel ranks: Gradient when absent.
	Gradient string `yaml:"gradient,omitempty" spec:"oneof=|fp32|bf16|fp16"`
	Wire     string `yaml:"wire,omitempty" spec:"oneof=|fp32|bf16|fp16"`
	// Accumulate is how: added by a kernel for each weight, fused into the product that makes the gradient, or flat, those of
	// a layer as one tensor; added when absent.
	Accumulate string `yaml:"accumulate,omitempty" spec:"oneof=|added|fused|flat"`
	// Dropout says that models are trained with it. Copies says that what goes into attention and comes out of it changes its
	// layout in kernels of their own, MaskedSoftmax that scaling, mask and softmax of attention are one kernel, and FusedLoss
	// that the loss is.
	Dropout       bool `yaml:"dropout,omitempty"`
	Copies        bool `yaml:"copies,omitempty"`
	MaskedSoftmax bool `yaml:"masked_softmax,omitempty"`
	FusedLoss     bool `yaml:"fused_loss,omitempty"`
	// PadVocab is of what number the rows of the vocabulary on one chip are made a multiple; 0 is 1.
	PadVocab int64 `yaml:"pad_vocab,omitempty" spec:"min=0,max=65536"`
	// Ends says that embedding and head count as a layer each when layers are dealt to the stages of a pipeline.
	Ends bool `yaml:"ends,omitempty"`
	// TensorOverlap says which collectives of tensor parallelism run beside products: none, backward (beside the gradient
	// of the weight), or all (products in parts, as XLA's collective matmul).
	TensorOverlap string `yaml:"tensor_overlap,omitempty" spec:"oneof=|none|backward|all"`
	// DataOverlap says that gradients are summed over data-parallel ranks beside the last backward pass.
	DataOverlap bool `yaml:"data_overlap,omitempty"`
	// AsyncSend says that stages of a pipeline send beside their work, and do not wait until it has been received.
	AsyncSend bool `yaml:"async_send,omitempty"`
	// Channels is how many cores a collective holds that runs beside kernels.
	Channels int64 `yaml:"channels,omitempty" spec:"min=0,max=1024"`
	// Straggler is the standard deviation of the speed of chips, of one; all wait for the slowest.
	Straggler float64 `yaml:"straggler,omitempty" spec:"min=0,max=0.5"`
}

// Pipeline is how a dataflow machine runs the operators of a block at a time: each has cores of its own,
// tiles of rows stream from one to the next through the shared on-chip memory, and weights stream in
// from memory beside them.
type Pipeline struct {
	// Rows of a tile that is handed from operator to operator.
	Rows int64 `yaml:"rows" spec:"required,min=1,max=65536"`
	// Stage is the time a tile takes to get into, through and out of one operator however small it is.
	Stage units.Time `yaml:"stage" spec:"min=0 ns,max=1 s"`
	// Usage is the share of the cores that work for an operator of the block, balanced so that all
	// of them take the same time for a tile.
	Usage float64 `yaml:"usage" spec:"required,gt=0,max=1"`
	// Room is the share of the shared on-chip memory that weights and tensors of the block may take;
	// the rest buffers tiles on their way.
	Room float64 `yaml:"room" spec:"required,gt=0,max=1"`
	// Overlap is the exponent p of the p-norm by which streams from memory and operators overlap.
	Overlap float64 `yaml:"overlap" spec:"required,min=1,max=1000"`
}

// Host is the framework that drives the device from the host, in whole models; operators that are timed
// alone pay nothing of it. A step of the framework (one prefill or decode of a batch) takes
//
//	step + sequences · sequence + max(time to launch its operators, time of the device):
//
// what comes first is serial, while operators are launched ahead of the device.
type Host struct {
	// Operator is the host's time to dispatch and launch one operator, which it does in order and ahead
	// of the device. The queue of launches is taken to be as long as it needs to be: it runs full only
	// where the device is the slower one and hides the host anyway.
	Operator units.Time `yaml:"operator,omitempty" spec:"min=0 ns,max=1 s"`
	// Operators is how many operators the framework runs for one kernel of that kind; 1 if not listed.
	// "gemm+bias" is a product that adds a bias to its result.
	Operators map[string]int64 `yaml:"operators,omitempty" spec:"min=0,max=1000"`
	// Graph lists the phases whose kernels replay from a graph ("prefill", "decode"): no operator is
	// launched by itself there.
	Graph []string `yaml:"graph,omitempty" spec:"oneof=prefill|decode"`
	// Step is the serial time of each step: scheduling, telling the workers, waiting for the sampled
	// tokens. Sequence is what each sequence in it adds.
	Step     units.Time `yaml:"step,omitempty" spec:"min=0 ns,max=10 s"`
	Sequence units.Time `yaml:"sequence,omitempty" spec:"min=0 ns,max=1 s"`
	// Request is what a batch of requests pays once before its first step: client, HTTP, tokenizer.
	Request units.Time `yaml:"request,omitempty" spec:"min=0 ns,max=100 s"`
	// StepTokens is the most tokens of prompts that one prefill step takes, in whole prompts but always
	// one; more are prefilled in several steps. 0 is no bound.
	StepTokens int64 `yaml:"step_tokens,omitempty" spec:"min=0,max=1000000000"`
}

// BiasedProduct stands for products that add a bias among the kinds of Host.Operators.
const BiasedProduct = "gemm+bias"

// Reduction stands for sums over rows among the kinds of row kernels.
const Reduction = "reduce"

// ExpertRows stands, among the kinds of row kernels, for the passes over rows of a mixture of experts, where a library has
// kernels of its own for them.
const ExpertRows = "experts"

// GradientRows stands, among the kinds of row kernels, for backward passes of row-wise operators, where a library has kernels of
// its own for them.
const GradientRows = "gradient"

// MoreKernels returns how many kernels beyond the first the framework runs for an operator of a kind.
func (p *Profile) MoreKernels(kind string) int64 {
	n, ok := p.Kernels[kind]
	if !ok && kind == BiasedProduct {
		n, ok = p.Kernels[traces.Gemm.String()]
	}
	if !ok {
		return 0
	}
	return max(n-1, 0)
}

// Launches returns the host's time to launch a kernel of a kind in a phase.
func (h *Host) Launches(kind, phase string) units.Time {
	if h == nil || slices.Contains(h.Graph, phase) {
		return 0
	}
	n, ok := h.Operators[kind]
	if !ok && kind == BiasedProduct {
		n, ok = h.Operators[traces.Gemm.String()]
	}
	if !ok {
		n = 1
	}
	return h.Operator * units.Time(n)
}

// Resident is how whole operands are copied on chip and back: as shares of the sustained off-chip rate, and into how
// much of the shared memory.
type Resident struct {
	Load  float64 `yaml:"load" spec:"required,gt=0,max=1"`
	Store float64 `yaml:"store" spec:"required,gt=0,max=1"`
	// Room is what operands may take of the shared memory on chip; all of it when absent.
	Room units.Bytes `yaml:"room,omitempty" spec:"min=0 B"`
	// Stream says that results leave while a product runs and take no room, and that of operands that have no room
	// together the smaller one is copied first and the other streams past it. Without it results are copied back last,
	// and products that do not fit are tiled.
	Stream bool `yaml:"stream,omitempty"`
	// Waiting says that operands which have room wait on chip when an operator starts, and its results stay there: it is
	// timed inside a program that arranges so, not by itself.
	Waiting bool `yaml:"waiting,omitempty"`
}

// Intermediates is the share of the shared on-chip memory in which tensors wait; the rest is for operands that
// stay while a product runs.
type Intermediates struct {
	Room float64 `yaml:"room" spec:"required,gt=0,max=1"`
}

// GemmVariant is the kernel of products that the matrix unit multiplies in certain formats.
type GemmVariant struct {
	Name   string     `yaml:"name" spec:"required"`
	Types  []string   `yaml:"types" spec:"required,min=1,max=32"`
	Kernel GemmKernel `yaml:"kernel" spec:"required"`
}

// AttentionVariant is the fused attention kernel of a phase, of a format of the cache, or of both.
type AttentionVariant struct {
	Name string `yaml:"name" spec:"required"`
	// Decode is true for one new query per sequence, false for many; not given for both.
	Decode *bool `yaml:"decode,omitempty"`
	// Grouped is true for query heads that share keys, false for those that have their own; not given for both.
	Grouped *bool `yaml:"grouped,omitempty"`
	// Cache lists the formats of keys and values; empty for all. A kernel with a list takes them as they
	// are: what they need besides is part of its times.
	Cache  []string        `yaml:"cache,omitempty" spec:"max=32"`
	Kernel AttentionKernel `yaml:"kernel" spec:"required"`
}

// GemmKernel is how the library builds matrix products.
type GemmKernel struct {
	// Name within Kernels. Use is there in place of all else: the kernel of that name.
	Name string `yaml:"name,omitempty"`
	Use  string `yaml:"use,omitempty" spec:"alone"`
	// Tiles is the menu of output tiles, "rows x columns"; the best for the shape is taken.
	Tiles []string `yaml:"tiles" spec:"required,min=1,max=4096"`
	// UpTo makes a fixed rule of the menu: the library takes the first tile for products of at most the
	// first number of rows, and so on, and the last tile for all others. Empty: the best for the shape.
	UpTo []int64 `yaml:"up_to,omitempty" spec:"min=1,max=4096"`
	// Cluster is the number of tiles along the rows that are launched together, whether or not all have
	// rows of the product; 1 when absent. Where tiles differ in it see Clusters.
	Cluster int64 `yaml:"cluster,omitempty" spec:"min=0,max=64"`
	// Clusters is for libraries whose clusters differ from tile to tile, or lie along the columns too: "tiles along the
	// rows x tiles along the columns" that are launched together, for each tile of the menu.
	Clusters []string `yaml:"clusters,omitempty" spec:"max=4096"`
	// Padding is by how much of itself the work on a tile grows where none of its rows is one of the product: what a
	// copy engine fills in beyond the edge of a matrix is not free. In between it is in proportion.
	Padding float64 `yaml:"padding,omitempty" spec:"min=0,max=10"`
	// Quantize is there if a product that is timed by itself gets 16-bit activations and rounds them in a
	// kernel of its own first; in a model that is an operator of its own or part of the one before.
	Quantize *Rounding `yaml:"quantize,omitempty"`
	// Replay is the part of the room of the shared on-chip memory (memory.Spec.Room) in which a product that is timed by itself
	// finds its operands of the run before; 0: none of it.
	Replay float64 `yaml:"replay,omitempty" spec:"min=0,max=1"`
	// Shrink says that tiles shrink to the shape of a small product, as a compiler makes them; a
	// library's tile costs the same however little of it is used.
	Shrink bool `yaml:"shrink,omitempty"`
	// Multicast says of machines without a shared on-chip memory that what several cores of a wave need is
	// read once and copied by the network; else each core reads it for itself.
	Multicast bool `yaml:"multicast,omitempty"`
	// Depth is the part of the reduction that one pipeline stage holds, in elements.
	Depth int64 `yaml:"depth" spec:"required,min=1,max=65536"`
	// Resident is the most thread blocks that a core works on at a time, and Accumulators the output
	// elements that it has registers for; large tiles leave room for fewer blocks.
	Resident     int64 `yaml:"resident" spec:"required,min=1,max=64"`
	Accumulators int64 `yaml:"accumulators" spec:"required,min=1,max=1000000000"`
	// Stages is the number of operand buffers of the pipeline, as far as private memory has room.
	Stages int64 `yaml:"stages" spec:"required,min=2,max=64"`
	// Splits lists the numbers of parts that the reduction may be split in; 1 must be among them.
	Splits []int64 `yaml:"splits" spec:"required,min=1,max=64"`
	// PrivateShare is the share of the private memory's sustained rate at which operands reach a core; 0 is
	// all of it.
	PrivateShare float64 `yaml:"private_share,omitempty" spec:"min=0,max=1"`
	// Align is of what number of bytes the rows of operands must be a multiple in a batch of products, for the matrix unit to
	// multiply them; the library has kernels that multiply in FP32 for others. 0: any.
	Align units.Bytes `yaml:"align,omitempty" spec:"min=0 B"`
	// Fetch is how the matrix units take operands from private memory, where conflicts between its banks
	// count; nil for kernels that are laid out without any.
	Fetch *Fetch `yaml:"fetch,omitempty"`
	// Overlap is the exponent p of the p-norm by which concurrent parts of a main loop overlap
	// (1: not at all; ∞: perfectly).
	Overlap float64 `yaml:"overlap" spec:"required,min=1,max=1000"`
	// SharedShare is the share of the shared on-chip memory's sustained rate that the kernels reach; 0 is all of
	// it. Kernels without multicast read an operand once for each core that needs it, where others read it
	// once for a cluster of cores.
	SharedShare float64 `yaml:"shared_share,omitempty" spec:"min=0,max=1"`
	// Fill is the time each wave of tiles spends starting and draining.
	Fill units.Time `yaml:"fill" spec:"min=0 ns,max=1 s"`
	// Reduce is the time of the pass that adds up a split reduction, without its traffic.
	Reduce units.Time `yaml:"reduce" spec:"min=0 ns,max=1 s"`
}

// Fetch is one access of a matrix unit to a tile of operands in private memory, whose rows are a pipeline
// stage deep.
type Fetch struct {
	// Rows of the tile that an access takes a part of, and Bytes of each.
	Rows  int64       `yaml:"rows,omitempty" spec:"min=1,max=65536"`
	Bytes units.Bytes `yaml:"bytes,omitempty" spec:"gt=0 B,max=1 MiB"`
	// Pad is what the kernel leaves free after each row.
	Pad units.Bytes `yaml:"pad,omitempty" spec:"min=0 B,max=1 MiB"`
}

// Rounding is a kernel that rounds activations before a product.
type Rounding struct {
	// Passes over the activations, each reading 16 bits and writing the narrow format; more than one where the
	// largest element is looked for first.
	Passes float64 `yaml:"passes" spec:"min=0,max=16"`
	// Fill is the time it spends starting and draining.
	Fill units.Time `yaml:"fill" spec:"min=0 ns,max=1 s"`
}

// MoEKernel is how the library builds the grouped products of a mixture of experts. What is not here is as
// for matrix products.
type MoEKernel struct {
	// Name within Kernels. Use is there in place of all else: the kernel of that name.
	Name string `yaml:"name,omitempty"`
	Use  string `yaml:"use,omitempty" spec:"alone"`
	// Types lists the formats of weights that the library has kernels for; mixtures of others are built from the tiles of
	// matrix products. Empty: all of them.
	Types []string `yaml:"types,omitempty" spec:"max=32"`
	// Tiles is the menu of output tiles, "rows x columns"; the rows of each expert are padded to it.
	Tiles []string `yaml:"tiles" spec:"required,min=1,max=4096"`
	// Depth is the part of the reduction that one pipeline stage holds, in elements.
	Depth int64 `yaml:"depth" spec:"required,min=1,max=65536"`
	// MatrixShare is the share of the matrix unit's sustained rate that the grouped products reach.
	MatrixShare float64 `yaml:"matrix_share" spec:"required,gt=0,max=1"`
	// UpTo says which tile is taken: the first one where an expert gets that many rows on average at most, and so on,
	// the last for all others. Empty: the one that takes least. Few is for libraries that take the first
	// one wherever there are no more tokens than experts.
	UpTo []int64 `yaml:"up_to,omitempty" spec:"min=1,max=4096"`
	Few  bool    `yaml:"few,omitempty"`
	// Tile is what a core spends on a tile however short its reduction: the start of its loads and its end.
	Tile units.Cycles `yaml:"tile,omitempty" spec:"min=0 cycles"`
	// Empty is what a core spends on a tile of rows whose expert lives on another rank: it writes zeros.
	Empty units.Cycles `yaml:"empty,omitempty" spec:"min=0 cycles"`
	// Local says that neither products nor the passes over rows touch those whose expert lives on another rank.
	Local bool `yaml:"local,omitempty"`
	// Scalar is how many elements a core loads in a cycle where the rows of a matrix do not begin at multiples of 16 B, so
	// that loads are of single elements and nothing is fetched ahead; 0: as fast as others.
	Scalar float64 `yaml:"scalar,omitempty" spec:"min=0,max=1024"`
	// Sort is the time of the passes that bring the rows of each expert together, and Row what each row adds to it.
	Sort units.Time `yaml:"sort" spec:"min=0 ns,max=1 s"`
	Row  units.Time `yaml:"row,omitempty" spec:"min=0 ns,max=1 ms"`
}

// RowKernel is how the library runs norms, softmax and element-wise operators.
type RowKernel struct {
	Name string `yaml:"name" spec:"required"`
	// Use is there in place of all else: the kernel of that name among Kernels.
	Use string `yaml:"use,omitempty" spec:"alone"`
	// Kinds lists the operator kinds this entry is for; "*" is the rest, "reduce" stands for sums over rows in chains, and "gemv" for
	// products with a single row, which are tiled like others if no entry names it; "gemv-packed" for those
	// of them whose weights are looked up in a table, two elements of at most four bits at a time.
	Kinds []string `yaml:"kinds" spec:"required,min=1,max=64"`
	// Efficiency is the share of the sustained off-chip rate that the kernel reaches.
	Efficiency float64 `yaml:"efficiency" spec:"required,gt=0,max=1"`
	// Passes is how often the input is read; the first time it comes from memory, later from the
	// shared on-chip tier or, see Rows, from the core's own.
	Passes int64 `yaml:"passes" spec:"required,min=1,max=16"`
	// Rows is how many rows a core works on at a time: if that many fit into its private memory,
	// later passes find the input there; 0 means that it is never found there.
	Rows int64 `yaml:"rows,omitempty" spec:"min=0,max=1000000"`
	// Step is what the rows in work take for each Width columns however few they are, in kernels that walk a row
	// in a loop, whose loads wait for one another; 0 for others, which deal out elements instead of rows.
	Step units.Cycles `yaml:"step,omitempty" spec:"min=0 cycles"`
	// Width is how many columns the threads of a row cover in one step; 1024 when absent.
	Width int64 `yaml:"width,omitempty" spec:"min=0,max=1000000"`
	// Blocks is for kernels that launch other blocks of threads for many rows than for few: the first entry that is
	// for as many rows and columns stands in the place of Rows and Width.
	Blocks []RowBlock `yaml:"blocks,omitempty" spec:"max=8"`
	// Convert says of products with a single row that the kernel widens narrow weights with the vector
	// unit's conversions, an element each, as compilers do; other kernels do it with operations on bits.
	Convert bool `yaml:"convert,omitempty"`
	// Lookup is the rate at which one core reads tables in its private memory, for "gemv-packed".
	Lookup units.BytesPerCycle `yaml:"lookup,omitempty" spec:"min=0 B/cycle"`
	// Buffers is how many pieces of the stream are on their way at a time, 3 when absent. With one nothing is
	// fetched ahead: loads and work follow each other.
	Buffers int64 `yaml:"buffers,omitempty" spec:"min=0,max=64"`
	// Port is the rate at which one core can move this kernel's operands.
	Port units.BytesPerCycle `yaml:"port" spec:"required,gt=0 B/cycle"`
	// Fill is the time the kernel spends starting and draining.
	Fill units.Time `yaml:"fill" spec:"min=0 ns,max=1 s"`
}

// RowBlock is how a kernel that walks rows deals them out.
type RowBlock struct {
	// UpTo is the most rows of an operator that it is for, 0 any number; From the least columns.
	UpTo int64 `yaml:"up_to,omitempty" spec:"min=0,max=1000000000"`
	From int64 `yaml:"from,omitempty" spec:"min=0,max=1000000000"`
	// Rows that a core works on at a time, and Width, the columns that the threads of one cover in a step.
	Rows  int64 `yaml:"rows" spec:"required,min=1,max=1000000"`
	Width int64 `yaml:"width" spec:"required,min=1,max=1000000"`
}

// Block returns how the kernel deals out so many rows of so many columns.
func (k *RowKernel) Block(rows, cols int64) RowBlock {
	for _, b := range k.Blocks {
		if (b.UpTo == 0 || rows <= b.UpTo) && cols >= b.From {
			return b
		}
	}
	b := RowBlock{Rows: max(1, k.Rows), Width: k.Width}
	if b.Width == 0 {
		b.Width = 1024
	}
	return b
}

// Chain is what a framework runs for an operator that it has no kernel of its own for: kernels that leave what they
// work out in memory for the next.
type Chain struct {
	Name string `yaml:"name" spec:"required"`
	// Kinds lists the kinds of operators that are run so.
	Kinds   []string      `yaml:"kinds" spec:"required,min=1,max=64"`
	Kernels []ChainKernel `yaml:"kernels" spec:"required,min=1,max=64,unique"`
}

// ChainKernel is one kernel of a chain. Reads and Writes list its tensors, each by the format of its elements: "x" is
// the operator's own, others are names of formats; all are as large as the operator but those whose name begins
// with "row ", which have one element a row.
type ChainKernel struct {
	Name   string   `yaml:"name" spec:"required"`
	Reads  []string `yaml:"reads,omitempty" spec:"max=16"`
	Writes []string `yaml:"writes,omitempty" spec:"max=16"`
	// Like is the kind of operator whose entry of the library the kernel is, or "reduce"; a copy when absent.
	Like string `yaml:"like,omitempty"`
}

// AttentionKernel is a fused attention kernel in the manner of FlashAttention.
type AttentionKernel struct {
	// Name within Kernels. Use is there in place of all else: the kernel of that name.
	Name string `yaml:"name,omitempty"`
	Use  string `yaml:"use,omitempty" spec:"alone"`
	// Pack says that query heads which share keys fill the rows of a tile together when there are many
	// queries; for one query per sequence they always do.
	Pack bool `yaml:"pack,omitempty"`
	// LongestFirst says that tiles with most keys start first; else they start in the order of their rows.
	LongestFirst bool `yaml:"longest_first,omitempty"`
	// Overlap is the exponent p of the p-norm by which the stream of keys and the products overlap; that
	// of the profile's products when absent.
	Overlap float64 `yaml:"overlap,omitempty" spec:"min=0,max=1000"`
	// Rows of queries and Keys of a tile.
	Rows int64 `yaml:"rows" spec:"required,min=1,max=65536"`
	Keys int64 `yaml:"keys" spec:"required,min=1,max=65536"`
	// Small is the rows of a tile in their place where all queries of a sequence that share keys fit into it; 0 for none.
	Small int64 `yaml:"small,omitempty" spec:"min=0,max=65536"`
	// Resident is the most thread blocks that a core holds at a time, and Buffers the tiles of keys and of values that
	// each of them keeps in private memory beside its queries, 1 when absent: a small memory has room for fewer blocks.
	Resident int64 `yaml:"resident" spec:"required,min=1,max=64"`
	Buffers  int64 `yaml:"buffers,omitempty" spec:"min=0,max=16"`
	// Alone is what Softmax is for a block that has a core to itself, where no other block's products run meanwhile;
	// Softmax when absent.
	Alone units.Cycles `yaml:"alone,omitempty" spec:"min=0 cycles"`
	// Masked says that tiles whose keys are all masked are computed too.
	Masked bool `yaml:"masked,omitempty"`
	// Together says that sequences with one new token are taken by the kernel for many in the same launch, where both
	// are to be attended to; else each kind has a kernel of its own.
	Together bool `yaml:"together,omitempty"`
	// Softmax is the part of a tile's softmax that does not hide behind the products, in cycles
	// for a tile of Rows×Keys scores.
	Softmax units.Cycles `yaml:"softmax" spec:"min=0 cycles"`
	// MatrixShare is the share of the matrix unit's full rate that the products reach.
	MatrixShare float64 `yaml:"matrix_share" spec:"required,gt=0,max=1"`
	// MemoryShare is the share of the sustained off-chip rate that the key and value stream reaches.
	MemoryShare float64 `yaml:"memory_share" spec:"required,gt=0,max=1"`
	// Start is what each thread block spends before its first and after its last tile, in cycles.
	Start units.Cycles `yaml:"start" spec:"min=0 cycles"`
	// Block is what one tile of keys costs a decode thread block that works alone, in cycles.
	Block units.Cycles `yaml:"block" spec:"min=0 cycles"`
	// Row is what each row of queries adds to Start in a block that decodes.
	Row units.Cycles `yaml:"row,omitempty" spec:"min=0 cycles"`
	// Persistent says of a kernel that decodes that its blocks share out the work evenly; else they come in waves.
	Persistent bool `yaml:"persistent,omitempty"`
	// Sequences is up to how many sequences a scheduler deals out the work of a kernel that decodes, 0 for kernels without
	// one. A block searches its sequence among them, a warp's 31 at a time, each of which takes Search; and as parts
	// are expected, results are joined in any case.
	Sequences int64        `yaml:"sequences,omitempty" spec:"min=0,max=1000000"`
	Search    units.Cycles `yaml:"search,omitempty" spec:"min=0 cycles"`
	// Split says when the keys of a head are divided over several thread blocks: "always", where heads are fewer than
	// 0.8 of the slots, by the rule of FlashAttention; "any", likewise and also where there are many queries, but not of four tiles or fewer; "grouped", by the
	// same rule but only for heads that share keys; "fill", as many as there are slots, also for many
	// queries after cached ones, whose results are then joined in any case; or never (""). Slots is how many
	// of these each core counts for, Resident when absent.
	Split string `yaml:"split,omitempty" spec:"oneof=|grouped|always|any|fill"`
	Slots int64  `yaml:"slots,omitempty" spec:"min=0,max=64"`
	// Transpose is the time of the copies by which a library's wrapper reorders queries and results
	// where several sequences have several groups of heads.
	Transpose units.Time `yaml:"transpose,omitempty" spec:"min=0 ns,max=1 s"`
	// Host is the time in which the host launches the operator where that is not replayed from a graph: the device waits for
	// it if it is faster. It is part of an operator that is timed by itself; for models a profile's Host says more.
	Host units.Time `yaml:"host,omitempty" spec:"min=0 ns,max=1 s"`
	// Append is there for frameworks whose operator begins with a kernel that writes the new keys and values to the cache,
	// a thread block for each token: what one block takes. It is part of an operator that is timed by itself; a
	// model has an operator of its own for it.
	Append units.Cycles `yaml:"append,omitempty" spec:"min=0 cycles"`
	// Fill is the time the kernel spends starting and draining; Combine the time of the pass
	// that joins split results.
	Fill    units.Time `yaml:"fill" spec:"min=0 ns,max=1 s"`
	Combine units.Time `yaml:"combine" spec:"min=0 ns,max=1 s"`
	// Part is what each part adds to Combine where they are added up one after the other.
	Part units.Cycles `yaml:"part,omitempty" spec:"min=0 cycles"`
	// Join is what a core takes for each row of results whose parts are joined.
	Join units.Cycles `yaml:"join,omitempty" spec:"min=0 cycles"`
	// Algorithm is what requests call the kernel by: "flash1", whose thread blocks have a head each and walk its queries
	// once more for each tile of keys, or "flash2" and "flash3", whose blocks have a tile of queries each; "" for kernels
	// that profiles alone refer to.
	Algorithm string `yaml:"algorithm,omitempty" spec:"oneof=|flash1|flash2|flash3"`
	// Backward is how the kernel of the gradients differs; nil where its tiles and blocks are the same.
	Backward *AttentionBackward `yaml:"backward,omitempty"`
}

// AttentionBackward is how the kernel of attention's gradients differs from the forward one. Each tile of scores is
// computed again and takes five products instead of two. What of its arithmetic does not hide behind the products is
// taken to be twice AttentionKernel.Softmax: the exponentials once more, and P∘(dP − D).
type AttentionBackward struct {
	Rows     int64 `yaml:"rows" spec:"required,min=1,max=65536"`
	Keys     int64 `yaml:"keys" spec:"required,min=1,max=65536"`
	Resident int64 `yaml:"resident" spec:"required,min=1,max=64"`
	// MatrixShare is the share of the matrix unit's sustained rate that it reaches; that of the forward pass when absent.
	MatrixShare float64 `yaml:"matrix_share,omitempty" spec:"min=0,max=1"`
}

// Cost is what a chip costs to rent, and what it costs to own.
type Cost struct {
	// Hour is the price of one chip for one hour, its share of the host included.
	Hour units.DollarsPerHour `yaml:"hour" spec:"min=0 USD/h"`
	// Own is what owning costs, for package arch/cost; nil is the usual.
	Own *Ownership `yaml:"own,omitempty"`
}

// Validate reports what does not fit together between parts.
func (m Machine) Validate(report func(path, message, hint string)) {
	if _, err := m.Profile(""); err != nil {
		report("runtime.default", err.Error(), "")
	}
	if _, err := m.Profile(m.Runtime.HostTimed); err != nil && m.Runtime.HostTimed != "" {
		report("runtime.host_timed", err.Error(), "")
	}
	if m.System.Chips > 1 && m.System.ScaleUp == nil {
		report("system.scale_up", fmt.Sprintf("%d chips need a network between them", m.System.Chips), "add system.scale_up or set chips: 1")
	}
	if up := m.System.ScaleUp; up != nil && len(up.Dimensions) > 0 {
		chips, ok := int64(1), true
		for _, d := range up.Dimensions {
			if d < 1 {
				ok = false
				break
			}
			if chips, ok = units.Mul(chips, d); !ok {
				break
			}
		}
		if !ok || chips != m.System.Chips {
			report("system.scale_up.dimensions", fmt.Sprintf("they come to other than the %d chips of the system", m.System.Chips), "their product must be system.chips")
		}
	}
	for i := range m.Chip.Memory {
		if t := &m.Chip.Memory[i]; t.Private() {
			if _, ok := units.Mul(int64(t.Capacity), m.Chip.Cores.Count); !ok {
				report(fmt.Sprintf("chip.memory[%s].capacity", t.Name), "of all cores together it exceeds a 64-bit count", "")
			}
		}
	}
	if m.OffChip() == nil {
		report("chip.memory", "no tier holds the weights", "add a tier of kind hbm, gddr, lpddr or ddr")
	}
	if m.SharedSRAM() == nil && m.PrivateSRAM() == nil {
		report("chip.memory", "no on-chip tier", "add a tier of kind sram")
	}
	m.validateOnChip(report)
	m.validateHost(report)
	m.validateEnergy(report)
	m.Power.validate(report)
	m.Runtime.Kernels.validate(report)
	for i := range m.Runtime.Profiles {
		at := fmt.Sprintf("runtime.profiles[%s]", m.Runtime.Profiles[i].Name)
		p, ok := m.resolve(&m.Runtime.Profiles[i], at, report)
		if !ok {
			continue
		}
		if m.Runtime.Profiles[i].Gemm.Use == "" {
			p.Gemm.validate(at+".gemm", report)
		}
		m.validateFetch(p, at, report)
		if p.Intermediates != nil && m.SharedSRAM() == nil {
			report(at+".intermediates", "there is no on-chip memory that all cores share", "add a tier of kind sram and scope shared, or leave it out")
		}
		p.validateVariants(at, &m.Runtime.Profiles[i], report)
		if p.MoE != nil && m.Runtime.Profiles[i].MoE.Use == "" {
			p.MoE.validate(at+".moe", report)
		}
		p.validateKinds(at, report)
		if p.Fuses("flash-attention") && p.Attention == nil {
			report(at+".attention", "fusion lists flash-attention but its kernel is not described", "add the attention block or remove the fusion")
		}
		if p.Fuses("decoder-pipeline") {
			switch {
			case p.Pipeline == nil:
				report(at+".pipeline", "fusion lists decoder-pipeline but it is not described", "add the pipeline block or remove the fusion")
			case !p.Fuses("flash-attention"):
				report(at+".fusion", "decoder-pipeline needs flash-attention", "scores do not leave the chip in a pipeline: add it")
			case m.SharedSRAM() == nil:
				report(at+".fusion", "decoder-pipeline needs an on-chip memory that all cores share", "add a tier of kind sram and scope shared")
			}
		}
	}
}

// validate reports tiles, splits and a rule that make no kernel.
func (k *GemmKernel) validate(at string, report func(path, message, hint string)) {
	for _, t := range k.Tiles {
		if _, _, err := ParseTile(t); err != nil {
			report(at+".tiles", err.Error(), `write "128x256"`)
		}
	}
	one := false
	for _, s := range k.Splits {
		one = one || s == 1
		if s < 1 || s > 1024 {
			report(at+".splits", fmt.Sprintf("%d: must be from 1 to 1024", s), "")
		}
	}
	if !one {
		report(at+".splits", "1 must be among the splits", "")
	}
	if n := len(k.Clusters); n > 0 && n != len(k.Tiles) {
		report(at+".clusters", fmt.Sprintf("%d clusters for %d tiles: must be one for each tile", n, len(k.Tiles)), "")
	}
	if len(k.Clusters) > 0 && k.Cluster > 0 {
		report(at+".cluster", "is one for all tiles, and clusters has one for each", "leave one of them out")
	}
	for _, c := range k.Clusters {
		if m, n, err := ParseTile(c); err != nil || m > 64 || n > 64 {
			report(at+".clusters", fmt.Sprintf("%.60q is not a cluster", c), `write "2x1", at most 64x64`)
		}
	}
	if n := len(k.UpTo); n > 0 && (n != len(k.Tiles)-1 || !slices.IsSorted(k.UpTo)) {
		report(at+".up_to", fmt.Sprintf("%d numbers for %d tiles: must be rising, one for each tile but the last", n, len(k.Tiles)), "")
	}
}

// validate reports tiles that do not exist.
func (k *MoEKernel) validate(at string, report func(path, message, hint string)) {
	for _, t := range k.Tiles {
		if _, _, err := ParseTile(t); err != nil {
			report(at+".tiles", err.Error(), `write "64x128"`)
		}
	}
	for _, t := range k.Types {
		if d, err := traces.ParseDType(t); err != nil {
			report(at+".types", err.Error(), "")
		} else if d.String() != t {
			report(at+".types", "another name of "+d.String(), "write "+d.String())
		}
	}
	if n := len(k.UpTo); n > 0 && (n != len(k.Tiles)-1 || !slices.IsSorted(k.UpTo)) {
		report(at+".up_to", fmt.Sprintf("%d numbers for %d tiles: must be rising, one for each tile but the last", n, len(k.Tiles)), "")
	}
}

// For reports whether the library has kernels for weights of a format; a library that is not there has none.
func (k *MoEKernel) For(weight traces.DType) bool {
	return k != nil && (len(k.Types) == 0 || slices.Contains(k.Types, weight.String()))
}

// Menu returns the tiles that the library chooses from where so many rows of so many tokens go to so many experts.
func (k *MoEKernel) Menu(rows, tokens, experts int64) []string {
	if k.Few && tokens <= experts {
		return k.Tiles[:1]
	}
	if len(k.UpTo) == 0 {
		return k.Tiles
	}
	i, _ := slices.BinarySearch(k.UpTo, units.CeilDiv(rows, experts))
	return k.Tiles[i : i+1]
}

// validateVariants reports formats that do not exist in the kernels for certain cases.
func (p *Profile) validateVariants(at string, written *Profile, report func(path, message, hint string)) {
	format := func(path, name string) {
		if t, err := traces.ParseDType(name); err != nil {
			report(path, err.Error(), "")
		} else if t.String() != name {
			report(path, "another name of "+t.String(), "write "+t.String())
		}
	}
	for i := range p.GemmFor {
		v := &p.GemmFor[i]
		here := fmt.Sprintf("%s.gemm_for[%s]", at, v.Name)
		for _, t := range v.Types {
			format(here+".types", t)
		}
		if written.GemmFor[i].Kernel.Use == "" {
			v.Kernel.validate(here+".kernel", report)
		}
	}
	for i := range p.AttentionFor {
		v := &p.AttentionFor[i]
		for _, t := range v.Cache {
			format(fmt.Sprintf("%s.attention_for[%s].cache", at, v.Name), t)
		}
	}
	if len(p.AttentionFor) > 0 && p.Attention == nil {
		report(at+".attention", "there are kernels for some cases of attention and none for the others", "describe it too")
	}
}

// Menu returns the tiles that the library chooses from for products of so many rows.
func (k *GemmKernel) Menu(rows int64) []string {
	if len(k.UpTo) == 0 {
		return k.Tiles
	}
	i, _ := slices.BinarySearch(k.UpTo, rows)
	return k.Tiles[i : i+1]
}

// ClusterOf returns how many tiles along the rows and along the columns are launched together where tiles have so many
// rows and columns; one of each for a tile that is not of the menu.
func (k *GemmKernel) ClusterOf(rows, cols int64) (m, n int64) {
	for i, c := range k.Clusters {
		if r, c2, err := ParseTile(k.Tiles[i]); err == nil && r == rows && c2 == cols {
			if m, n, err = ParseTile(c); err == nil {
				return m, n
			}
		}
	}
	if len(k.Clusters) > 0 {
		return 1, 1
	}
	return max(k.Cluster, 1), 1
}

// GemmKernel returns the kernel for products that the matrix unit multiplies in a format.
func (p *Profile) GemmKernel(t traces.DType) *GemmKernel {
	for i := range p.GemmFor {
		if slices.Contains(p.GemmFor[i].Types, t.String()) {
			return &p.GemmFor[i].Kernel
		}
	}
	return &p.Gemm
}

// AttentionKernel returns the fused kernel for one query per sequence or many, of heads that share keys or not, over a
// cache in a format, and whether it is made for that format; nil if the profile has none.
func (p *Profile) AttentionKernel(decode, grouped bool, cache traces.DType) (kernel *AttentionKernel, made bool) {
	for i := range p.AttentionFor {
		v := &p.AttentionFor[i]
		if (v.Decode == nil || *v.Decode == decode) && (v.Grouped == nil || *v.Grouped == grouped) && (len(v.Cache) == 0 || slices.Contains(v.Cache, cache.String())) {
			return &v.Kernel, len(v.Cache) > 0
		}
	}
	return p.Attention, false
}

// validateKinds reports operator kinds that a profile names and that do not exist, those that it names
// twice, and whether any are left out.
func (p *Profile) validateKinds(at string, report func(path, message, hint string)) {
	check := func(path, kind string, known []string) {
		if !slices.Contains(known, kind) {
			hint := ""
			if s := spec.Suggest(kind, known); s != "" {
				hint = fmt.Sprintf("did you mean %q?", s)
			}
			report(path, fmt.Sprintf("%.60q: there is no such kind of operator here", kind), hint)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(p.HostSync)) {
		check(at+".host_sync."+k, k, append(traces.Kinds(), "default"))
	}
	if p.Host != nil {
		for _, k := range slices.Sorted(maps.Keys(p.Host.Operators)) {
			check(at+".host.operators."+k, k, append(traces.Kinds(), BiasedProduct))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(p.Kernels)) {
		check(at+".kernels."+k, k, append(traces.Kinds(), BiasedProduct))
	}
	rows := []string{"*", "gemv", "gemv-packed", Reduction, ExpertRows}
	for _, name := range traces.Kinds() {
		if k, err := traces.ParseKind(name); err == nil && k.RowWise() {
			rows = append(rows, name)
		}
	}
	first := map[string]string{}
	for _, v := range p.Vector {
		path := fmt.Sprintf("%s.vector[%s].kinds", at, v.Name)
		if packed := slices.Contains(v.Kinds, "gemv-packed"); packed != (v.Lookup > 0) || packed && len(v.Kinds) > 1 {
			report(fmt.Sprintf("%s.vector[%s].lookup", at, v.Name), "is for an entry whose only kind is gemv-packed, which needs it", `e.g. "lookup: 128 B/cycle"`)
		}
		for _, k := range v.Kinds {
			check(path, k, rows)
			if by, ok := first[k]; ok {
				report(path, fmt.Sprintf("%q is in the kinds of %q already", k, by), "leave one of them out")
			} else {
				first[k] = v.Name
			}
		}
	}
	p.validateRows(at, rows[4:], check, report)
	if _, ok := first["*"]; !ok {
		report(at+".vector", `no entry for the rest of the kinds`, `add one with kinds: ["*"]`)
	}
}

// validateRows reports blocks that are never used, and chains of what does not exist.
func (p *Profile) validateRows(at string, kinds []string, check func(path, kind string, known []string), report func(path, message, hint string)) {
	for i := range p.Vector {
		blocks := p.Vector[i].Blocks
		for j := range blocks {
			for _, b := range blocks[:j] {
				if b.From <= blocks[j].From && (b.UpTo == 0 || blocks[j].UpTo > 0 && blocks[j].UpTo <= b.UpTo) {
					report(fmt.Sprintf("%s.vector[%s].blocks", at, p.Vector[i].Name), fmt.Sprintf("entry %d is never used", j+1), "write up_to in rising order and from in falling order, the last without either")
					break
				}
			}
		}
	}
	first := map[string]string{}
	for i := range p.Chains {
		c := &p.Chains[i]
		here := fmt.Sprintf("%s.chains[%s]", at, c.Name)
		for _, k := range c.Kinds {
			check(here+".kinds", k, kinds)
			if by, ok := first[k]; ok {
				report(here+".kinds", fmt.Sprintf("%q is in the kinds of %q already", k, by), "leave one of them out")
			}
			first[k] = c.Name
		}
		for j := range c.Kernels {
			k := &c.Kernels[j]
			if k.Like != "" {
				check(fmt.Sprintf("%s.kernels[%s].like", here, k.Name), k.Like, append(kinds[:len(kinds):len(kinds)], Reduction))
			}
			for _, list := range []struct {
				name    string
				tensors []string
			}{{"reads", k.Reads}, {"writes", k.Writes}} {
				for _, t := range list.tensors {
					if t = strings.TrimPrefix(t, "row "); t == "x" {
						continue
					}
					if _, err := traces.ParseDType(t); err != nil {
						report(fmt.Sprintf("%s.kernels[%s].%s", here, k.Name, list.name), err.Error(), `write "x" for the operator's own format, "row fp32" for a number for each row`)
					}
				}
			}
		}
	}
}

// Chain returns the kernels that the framework runs for an operator of a kind, nil if it has one of its own.
func (p *Profile) Chain(kind string) *Chain {
	for i := range p.Chains {
		if slices.Contains(p.Chains[i].Kinds, kind) {
			return &p.Chains[i]
		}
	}
	return nil
}

// CollectiveLibrary returns the library by which a profile's collectives run.
func (m *Machine) CollectiveLibrary(p *Profile) *interconnect.Library {
	if p.Collective != nil {
		return p.Collective
	}
	return &m.System.ScaleUp.Library
}

// Using returns the machine with so many chips of each node, and their part of its network interfaces. All of them, or more, are the
// machine itself.
func (m *Machine) Using(chips int64) *Machine {
	if chips >= m.System.Chips || chips < 1 {
		return m
	}
	c := *m
	if out := m.System.ScaleOut; out != nil {
		part := *out
		part.Bandwidth = units.BytesPerSecond(float64(out.Bandwidth) * float64(out.NICs) * float64(chips) / float64(m.System.Chips))
		part.NICs = 1
		c.System.ScaleOut = &part
	}
	c.System.Chips = chips
	return &c
}

// Cluster returns the chips of the machine with the networks inside and between its nodes.
func (m *Machine) Cluster() *interconnect.Cluster {
	return &interconnect.Cluster{Chips: m.System.Chips, Up: m.System.ScaleUp, Out: m.System.ScaleOut}
}

// ParseTile reads "128x256".
func ParseTile(s string) (rows, cols int64, err error) {
	r, c, _ := strings.Cut(s, "x")
	rows, ok1 := tileSide(r)
	cols, ok2 := tileSide(c)
	if !ok1 || !ok2 {
		return 0, 0, fmt.Errorf("%.60q is not a tile", s)
	}
	return rows, cols, nil
}

// tileSide reads a whole number from 1 to 2²⁰ that is written in one way. Planners read menus of tiles again and again.
func tileSide(s string) (n int64, ok bool) {
	if s == "" || len(s) > 7 || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, n <= 1<<20
}

// ProfileFor returns the runtime profile of that name; for "" the default one, or the one for
// operators that the host times.
func (m *Machine) ProfileFor(name string, hostTimed bool) (*Profile, error) {
	if name == "" && hostTimed {
		name = m.Runtime.HostTimed
	}
	return m.Profile(name)
}

// Profile returns the runtime profile of that name, the default one for "".
func (m *Machine) Profile(name string) (*Profile, error) {
	if name == "" {
		name = m.Runtime.Default
	}
	var names []string
	for i := range m.Runtime.Profiles {
		if m.Runtime.Profiles[i].Name == name {
			return &m.Runtime.Profiles[i], nil
		}
		names = append(names, m.Runtime.Profiles[i].Name)
	}
	err := fmt.Errorf("%s has no runtime profile %q; it has %v", m.Name, name, names)
	if s := spec.Suggest(name, names); s != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, s)
	}
	return nil, err
}

// StepTokens returns the most tokens of prompts that one prefill step of a profile takes, 0 for no bound.
func (m *Machine) StepTokens(profile string, hostTimed bool) int64 {
	if p, err := m.ProfileFor(profile, hostTimed); err == nil && p.Host != nil {
		return p.Host.StepTokens
	}
	return 0 // of a profile that is unknown, too, which planning refuses
}

// Fuses reports whether the profile has that fusion.
func (p *Profile) Fuses(what string) bool {
	for _, f := range p.Fusion {
		if f == what {
			return true
		}
	}
	return false
}

// OffChip returns the fastest tier outside the chip that has room for weights, nil if there is none.
func (m *Machine) OffChip() *memory.Spec {
	var best *memory.Spec
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		if t.Kind != "sram" && (best == nil || t.Peak(m.Chip.Clock) > best.Peak(m.Chip.Clock)) {
			best = t
		}
	}
	return best
}

// SharedSRAM returns the on-chip tier that all cores share, the one next to them if there are two; nil if there is none.
func (m *Machine) SharedSRAM() *memory.Spec { return m.sram(false, 0) }

// OuterSRAM returns the second on-chip tier that all cores share, between the first one and memory off chip; nil if
// there is none.
func (m *Machine) OuterSRAM() *memory.Spec { return m.sram(false, 1) }

// PrivateSRAM returns the on-chip tier that each core has to itself, nil if there is none.
func (m *Machine) PrivateSRAM() *memory.Spec { return m.sram(true, 0) }

// sram returns the on-chip tier of a scope that has so many of it before it.
func (m *Machine) sram(private bool, before int) *memory.Spec {
	for i := range m.Chip.Memory {
		if t := &m.Chip.Memory[i]; t.Kind == "sram" && t.Private() == private {
			if before == 0 {
				return t
			}
			before--
		}
	}
	return nil
}

// Tier returns the memory tier of that name, nil if there is none.
func (m *Machine) Tier(name string) *memory.Spec {
	for i := range m.Chip.Memory {
		if m.Chip.Memory[i].Name == name {
			return &m.Chip.Memory[i]
		}
	}
	return nil
}

// Hash identifies the machine by content: everything that can change an answer, and neither its
// sources nor its descriptions, nor what only its area and the price of owning it depend on.
func (m *Machine) Hash() string {
	c := *m
	c.WriteOut() // where a kernel is written changes nothing
	c.Sources, c.Description = nil, ""
	c.Chip.Area = nil
	if c.Cost != nil && c.Cost.Own != nil {
		rent := Cost{Hour: c.Cost.Hour}
		if c.Cost = &rent; rent.Hour == 0 {
			c.Cost = nil
		}
	}
	c.Runtime.Profiles = slices.Clone(c.Runtime.Profiles)
	for i := range c.Runtime.Profiles {
		c.Runtime.Profiles[i].Description = ""
	}
	if k := c.Runtime.Kernels; k != nil {
		for i := range k.Attention {
			k.Attention[i].anonymous()
		}
	}
	return spec.Hash(&c)
}
