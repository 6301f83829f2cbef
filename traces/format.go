package traces

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strconv"
	"sync"
)

// Version is the version of the operator trace that this package writes and reads.
const Version = 1

// Format is what the header of a trace says.
const Format = "strata.trace/1"

// The records of a trace, each named by its first member.
const (
	recHeader = iota
	recBlock
	recTensor
	recOp
	recRun
	numRecords
)

var recordNames = [numRecords]string{"trace", "block", "tensor", "op", "run"}

// memberDoc describes a member of a record. The reader knows the members of this table and no
// others, and the page about the format shows it.
type memberDoc struct {
	name, kind, without, meaning string          // without: what holds when it is left out
	of                           func(Kind) bool // of an operator: the kinds that have it; nil: all
}

func inFamily(f ...family) func(Kind) bool {
	return func(k Kind) bool { return slices.Contains(f, kinds[k].family) }
}

func oneOf(k ...Kind) func(Kind) bool {
	return func(x Kind) bool { return slices.Contains(k, x) }
}

var memberDocs = [numRecords][]memberDoc{
	recHeader: {
		{name: "trace", kind: "string", without: "required", meaning: `"` + Format + `"`},
		{name: "model", kind: "string", without: "no name", meaning: "name of the model"},
		{name: "phase", kind: "phase", without: "prefill", meaning: "what is run: prefill, decode, generate for a prefill and then decode steps, or serve for a cycle of a server"},
		{name: "batch", kind: "integer", without: "1", meaning: "sequences at a time"},
		{name: "prompt", kind: "integer", without: "0", meaning: "tokens of each prompt; with phase decode, tokens that are cached already"},
		{name: "generate", kind: "integer", without: "0", meaning: "tokens generated for each sequence; with phase generate or serve only"},
		{name: "wave", kind: "integer", without: "all of them", meaning: "sequences in work at a time, where the cache of all has no room; with phase generate only"},
		{name: "groups", kind: "integer", without: "1", meaning: "groups of chips with sequences of their own: the operators are those of one of them, mixtures of experts see the tokens of all"},
		{name: "arrivals", kind: "string", without: "steady with phase serve", meaning: "how requests come to a server: steady or burst; with phase serve only"},
		{name: "draft", kind: "string", without: "no draft model", meaning: "name of the model that drafts tokens; its operators begin with draft., and a step is a round"},
		{name: "draft_tokens", kind: "integer", without: "required with draft", meaning: "tokens drafted in a round"},
		{name: "acceptance", kind: "string", without: "required with draft", meaning: "chance that a drafted token is taken, a decimal from 0 to below 1"},
		{name: "dtype", kind: "data type", without: "bf16", meaning: "of activations"},
		{name: "lines", kind: "integer", without: "unknown", meaning: "records in the file, this one included; tells a truncated file from a whole one"},
	},
	recBlock: {
		{name: "block", kind: "string", without: "required", meaning: "name; what follows, up to a run or the next block, belongs to it"},
	},
	recTensor: {
		{name: "tensor", kind: "string", without: "required", meaning: "name, once in a block"},
		{name: "shape", kind: "array of integers", without: "required", meaning: "elements in each dimension"},
		{name: "dtype", kind: "data type", without: "the header's", meaning: "format of the elements"},
		{name: "role", kind: "role", without: "activation", meaning: "activation, weight, kv, index, gradient or optimizer"},
	},
	recOp: {
		{name: "op", kind: "string", without: "kind and number", meaning: "name, once in a block"},
		{name: "kind", kind: "kind", without: "required", meaning: "what it does, see below"},
		{name: "inputs", kind: "array of strings", without: "none", meaning: "names of tensors that it reads; they are declared before"},
		{name: "outputs", kind: "array of strings", without: "none", meaning: "names of tensors that it writes"},
		{name: "split", kind: "split", without: "whole", meaning: "how tensor parallelism may divide it: whole, column, row, vocab, heads, sharded or partial"},
		{name: "batch", kind: "integer", without: "1; attention: the header's", meaning: "products at a time; sequences", of: inFamily(product, attending)},
		{name: "m", kind: "integer", without: "required", meaning: "rows of A and C", of: inFamily(product)},
		{name: "n", kind: "integer", without: "required", meaning: "columns of B and C", of: inFamily(product)},
		{name: "k", kind: "integer", without: "required", meaning: "columns of A, rows of B", of: inFamily(product)},
		{name: "parts", kind: "array of integers", without: "one part", meaning: "columns of projections that run side by side as one product; they sum to n", of: inFamily(product)},
		{name: "distinct", kind: "integer", without: "m·k·batch", meaning: "elements that A has where its rows overlap, as windows of a convolution do", of: oneOf(Gemm)},
		{name: "accumulate", kind: "integer", without: "0", meaning: "columns of C that the product is added to, so that they are read before", of: oneOf(Gemm)},
		{name: "heads", kind: "integer", without: "required", meaning: "query heads", of: inFamily(attending)},
		{name: "kv_heads", kind: "integer", without: "heads", meaning: "key/value heads; divides heads", of: inFamily(attending)},
		{name: "head_dim", kind: "integer", without: "required", meaning: "elements of a head", of: inFamily(attending)},
		{name: "q_len", kind: "integer", without: "required", meaning: "new tokens of each sequence", of: inFamily(attending)},
		{name: "past_len", kind: "integer", without: "0", meaning: "tokens cached already, on top of the run's past", of: inFamily(attending)},
		{name: "causal", kind: "boolean", without: "true", meaning: "whether a token sees only those before it", of: inFamily(attending)},
		{name: "window", kind: "integer", without: "0: all", meaning: "tokens over which a query looks back, itself included", of: inFamily(attending)},
		{name: "value_dim", kind: "integer", without: "head_dim", meaning: "elements of a value", of: inFamily(attending)},
		{name: "latent", kind: "boolean", without: "false", meaning: "whether values are the first elements of the keys, so that the cache holds keys alone", of: inFamily(attending)},
		{name: "cross", kind: "boolean", without: "false", meaning: "whether keys and values are of another sequence, of past_len tokens", of: inFamily(attending)},
		{name: "relative", kind: "string", without: "none", meaning: "what distances add to the scores: none; bias, read from a table of heads×queries×keys; projected, a product of queries and projected distances", of: inFamily(attending)},
		{name: "cache_dim", kind: "integer", without: "keys and values", meaning: "elements that the cache keeps of a token, of all heads together and on every chip", of: inFamily(attending)},
		{name: "uncached", kind: "boolean", without: "false", meaning: "whether keys and values are activations that nothing keeps", of: inFamily(attending)},
		{name: "dropout", kind: "boolean", without: "false", meaning: "whether probabilities are left out at random, as in training", of: inFamily(attending)},
		{name: "tokens", kind: "integer", without: "required", meaning: "tokens of all ranks together", of: inFamily(mixture)},
		{name: "hidden", kind: "integer", without: "required", meaning: "elements of a token", of: inFamily(mixture)},
		{name: "intermediate", kind: "integer", without: "required", meaning: "inner elements of an expert", of: inFamily(mixture)},
		{name: "experts", kind: "integer", without: "required", meaning: "experts of all ranks together", of: inFamily(mixture)},
		{name: "top_k", kind: "integer", without: "required", meaning: "experts that each token is sent to", of: inFamily(mixture)},
		{name: "ep", kind: "integer", without: "1", meaning: "ranks that the experts are dealt to; the operator is that of the busiest", of: inFamily(mixture)},
		{name: "skew_milli", kind: "integer", without: "0: as likely", meaning: "exponent, in thousandths, of the power law by which experts are chosen", of: inFamily(mixture)},
		{name: "gated", kind: "boolean", without: "true", meaning: "whether an expert has three matrices, act(x·Wg)∘(x·Wu) between them, or two", of: inFamily(mixture)},
		{name: "rows", kind: "integer", without: "required", meaning: "product of the leading dimensions", of: inFamily(rowWise)},
		{name: "cols", kind: "integer", without: "required", meaning: "last dimension", of: inFamily(rowWise)},
		{name: "bytes", kind: "integer", without: "required", meaning: "full buffer of each chip; of all-gather and reduce-scatter the total", of: inFamily(collective)},
		{name: "dtype", kind: "data type", without: "the header's", meaning: "of activations"},
		{name: "weight_dtype", kind: "data type", without: "dtype", meaning: "of B, of the table or of the experts", of: oneOf(Gemm, Embedding, MoE)},
		{name: "kv_dtype", kind: "data type", without: "dtype", meaning: "of cached keys and values", of: oneOf(Attention, KVAppend)},
		{name: "to_dtype", kind: "data type", without: "required; gemm: 16 bits", meaning: "of the result; of quantize narrower than dtype; of accumulate that of the sum, of adam that of the weights, of gemm fp32 or nothing", of: func(k Kind) bool { return k == Gemm || k.writesTo() }},
		{name: "gradient", kind: "boolean", without: "false", meaning: "whether it is the backward pass of its kind", of: Kind.HasGradient},
		{name: "weight", kind: "boolean", without: "true", meaning: "false: no weight is made up when no input is one", of: Kind.impliesWeight},
	},
	recRun: {
		{name: "run", kind: "string", without: "required", meaning: "name of a block that stands before"},
		{name: "phase", kind: "phase", without: "the header's; prefill for generate, forward for train", meaning: "prefill or decode; in training forward, backward or update"},
		{name: "step", kind: "integer", without: "0", meaning: "number of the decode step, from 1"},
		{name: "first_layer", kind: "integer", without: "0", meaning: "number of the first layer; a weight is one name in one layer"},
		{name: "times", kind: "integer", without: "1", meaning: "layers in a row"},
		{name: "repeat", kind: "integer", without: "1", meaning: "alike steps in a row that the run stands for; the same for all runs of a step"},
		{name: "past", kind: "integer", without: "decode: the header's prompt, unless an operator says past_len; else 0", meaning: "tokens cached already"},
	},
}

// required reports whether an operator of the kind has to have the member.
func (d *memberDoc) required(k Kind) bool {
	return d.without == "required" || d.name == "to_dtype" && k.writesTo()
}

// writesTo reports whether operators of the kind write in a format of its own.
func (k Kind) writesTo() bool { return k == Quantize || kinds[k].to }

// impliesWeight reports whether an operator of the kind that names no weight is given one.
func (k Kind) impliesWeight() bool { return k == Gemm || kinds[k].columnWeights > 0 }

// lacksWeight reports whether the reader makes up a weight for the operator unless it is told not to:
// a single product or a norm that names neither a weight nor a second operand.
func (op *Op) lacksWeight(tensors []Tensor) bool {
	if !op.Kind.impliesWeight() || op.Kind == Gemm && op.Batch != 1 || len(op.Inputs) > 1 {
		return false
	}
	return len(op.Inputs) == 0 || tensors[op.Inputs[0]].Role != Weight
}

// saysPast reports whether an operator of the block says itself how many tokens are cached.
func (b *Block) saysPast() bool {
	return slices.ContainsFunc(b.Ops, func(op Op) bool { return op.Kind == Attention && op.Past > 0 && !op.Cross })
}

// defaultPast returns the cached tokens of a run that does not say.
func defaultPast(p Phase, prompt int64, b *Block) int64 {
	if p == Decode && !b.saysPast() {
		return prompt
	}
	return 0
}

// Write writes the graph as an operator trace. Equal graphs give equal bytes; blocks that nothing runs
// are left out, and blocks of one name are told apart by a number. An invalid graph is not written; the
// error is then an *Invalid.
func (g *Graph) Write(w io.Writer) error {
	return g.write(bufio.NewWriterSize(w, 1<<15))
}

func (g *Graph) write(w *bufio.Writer) error {
	if err := g.Validate(); err != nil {
		return err
	}
	e := encoder{w: w, g: g}
	e.all()
	return e.w.Flush()
}

// Hash returns the SHA-256 of what Write writes, in hexadecimal.
func (g *Graph) Hash() string {
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	h.Reset()
	h.out.Reset(h.Hash)
	_ = g.write(h.out) // a hash takes everything; an invalid graph has the hash of nothing
	return hex.EncodeToString(h.Sum(nil))
}

// hasher is a hash with the buffer before it, which are kept: graphs of one operator are small and asked about often.
type hasher struct {
	hash.Hash
	out *bufio.Writer
}

var hashers = sync.Pool{New: func() any { return &hasher{sha256.New(), bufio.NewWriterSize(nil, 1<<12)} }}

// encoder writes lines. Errors of the writer stay in w until Flush.
type encoder struct {
	w    *bufio.Writer
	g    *Graph
	line []byte
}

func (e *encoder) begin(record int, name string) {
	e.line = append(e.line[:0], `{"`...)
	e.line = append(e.line, recordNames[record]...)
	e.line = append(e.line, `":`...)
	e.line = appendText(e.line, name)
}

func (e *encoder) key(name string) {
	e.line = append(e.line, `,"`...)
	e.line = append(e.line, name...)
	e.line = append(e.line, `":`...)
}

// word writes a name that needs no escapes.
func (e *encoder) word(key, word string) {
	e.key(key)
	e.line = append(e.line, '"')
	e.line = append(e.line, word...)
	e.line = append(e.line, '"')
}

func (e *encoder) int(key string, v int64) {
	e.key(key)
	e.line = strconv.AppendInt(e.line, v, 10)
}

// flag writes a member that is false unless it is there.
func (e *encoder) flag(key string, v bool) {
	if v {
		e.key(key)
		e.line = append(e.line, "true"...)
	}
}

func (e *encoder) ints(key string, vs []int64) {
	e.key(key)
	for i, v := range vs {
		e.line = append(e.line, separator(i))
		e.line = strconv.AppendInt(e.line, v, 10)
	}
	e.line = append(e.line, ']')
}

func (e *encoder) operands(key string, ids []TensorID, b *Block) {
	if len(ids) == 0 {
		return
	}
	e.key(key)
	for i, id := range ids {
		e.line = append(e.line, separator(i))
		e.line = appendText(e.line, b.Tensors[id].Name)
	}
	e.line = append(e.line, ']')
}

func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

func (e *encoder) end() {
	e.line = append(e.line, '}', '\n')
	_, _ = e.w.Write(e.line) // the error is Flush's
}

// blockNames gives every block that runs a name of its own, in the order in which they first run.
func (g *Graph) blockNames() []string {
	names := make([]string, len(g.Blocks))
	taken := make(map[string]bool, len(g.Blocks))
	for i := range g.Runs {
		b := g.Runs[i].Block
		if names[b] != "" {
			continue
		}
		base := g.Blocks[b].Name
		if base == "" {
			base = "block"
		}
		name := base
		for k := 2; taken[name]; k++ {
			suffix := "#" + strconv.Itoa(k)
			// A name near the limit gives way, at the border of a character.
			keep := base[:min(len(base), maxName-len(suffix))]
			for keep != base && !utf8End(base, len(keep)) {
				keep = keep[:len(keep)-1]
			}
			name = keep + suffix
		}
		names[b], taken[name] = name, true
	}
	return names
}

// utf8End reports whether s can be cut before byte i.
func utf8End(s string, i int) bool { return s[i]&0xC0 != 0x80 }

func (e *encoder) all() {
	g := e.g
	names := g.blockNames()
	lines := int64(1 + len(g.Runs))
	for i := range g.Blocks {
		if names[i] != "" {
			lines += int64(1 + len(g.Blocks[i].Tensors) + len(g.Blocks[i].Ops))
		}
	}
	e.begin(recHeader, Format)
	if g.Name != "" {
		e.key("model")
		e.line = appendText(e.line, g.Name)
	}
	phase := g.Phase
	if phase == "" {
		phase = Prefill.String()
	}
	e.word("phase", phase)
	e.int("batch", max(g.Batch, 1))
	e.int("prompt", g.Prompt)
	e.int("generate", g.Generate)
	if g.Wave > 0 {
		e.int("wave", g.Wave)
	}
	if g.Groups > 1 {
		e.int("groups", g.Groups)
	}
	if g.Arrivals != "" {
		e.word("arrivals", g.Arrivals)
	}
	if s := g.Speculation; s != nil {
		e.key("draft")
		e.line = appendText(e.line, s.Draft)
		e.int("draft_tokens", s.Tokens)
		e.key("acceptance")
		e.line = appendText(e.line, s.Acceptance)
	}
	e.word("dtype", g.DType.String())
	e.int("lines", lines)
	e.end()
	written := make([]bool, len(g.Blocks))
	for i := range g.Runs {
		r := &g.Runs[i]
		b := &g.Blocks[r.Block]
		if !written[r.Block] {
			written[r.Block] = true
			e.block(b, names[r.Block])
		}
		e.begin(recRun, names[r.Block])
		e.word("phase", r.Phase.String())
		if r.Step != 0 {
			e.int("step", r.Step)
		}
		if r.FirstLayer != 0 {
			e.int("first_layer", r.FirstLayer)
		}
		if r.Times != 1 {
			e.int("times", r.Times)
		}
		if r.Steps() != 1 {
			e.int("repeat", r.Repeat)
		}
		if r.Past != 0 || r.Phase == Decode {
			e.int("past", r.Past)
		}
		e.end()
	}
}

// block writes tensors in their order, each as late as the operators allow, so that what precedes a
// cut is complete.
func (e *encoder) block(b *Block, name string) {
	e.begin(recBlock, name)
	e.end()
	next := 0
	tensors := func(end int) {
		for ; next < end; next++ {
			t := &b.Tensors[next]
			e.begin(recTensor, t.Name)
			e.ints("shape", t.Shape)
			if t.Type != e.g.DType {
				e.word("dtype", t.Type.String())
			}
			if t.Role != Activation {
				e.word("role", t.Role.String())
			}
			e.end()
		}
	}
	for j := range b.Ops {
		op := &b.Ops[j]
		for _, ids := range [2][]TensorID{op.Inputs, op.Outputs} {
			for _, id := range ids {
				tensors(int(id) + 1)
			}
		}
		e.op(op, b)
	}
	tensors(len(b.Tensors))
}

func (e *encoder) op(op *Op, b *Block) {
	e.begin(recOp, op.Name)
	e.word("kind", op.Kind.String())
	e.operands("inputs", op.Inputs, b)
	e.operands("outputs", op.Outputs, b)
	if op.Split != Whole {
		e.word("split", op.Split.String())
	}
	family := kinds[op.Kind].family
	for i := range dims {
		if d := &dims[i]; d.family == family {
			if v, without := *d.of(op), d.without(op, e.g); v != without {
				e.int(d.name, v)
			}
		}
	}
	switch family {
	case product:
		if len(op.Parts) > 0 {
			e.ints("parts", op.Parts)
		}
		if op.Distinct > 0 {
			e.int("distinct", op.Distinct)
		}
		if op.Accumulate > 0 {
			e.int("accumulate", op.Accumulate)
		}
	case attending:
		if !op.Causal {
			e.key("causal")
			e.line = append(e.line, "false"...)
		}
		e.flag("latent", op.Latent)
		e.flag("cross", op.Cross)
		e.flag("uncached", op.Uncached)
		e.flag("dropout", op.Dropout)
		if op.Relative != NoRelative {
			e.word("relative", op.Relative.String())
		}
	case mixture:
		if !op.Gated {
			e.key("gated")
			e.line = append(e.line, "false"...)
		}
	case collective:
		e.int("bytes", int64(op.Bytes))
	}
	if op.DType != e.g.DType {
		e.word("dtype", op.DType.String())
	}
	if oneOf(Gemm, Embedding, MoE)(op.Kind) && op.WeightDType != op.DType {
		e.word("weight_dtype", op.WeightDType.String())
	}
	if oneOf(Attention, KVAppend)(op.Kind) && op.KVDType != op.DType {
		e.word("kv_dtype", op.KVDType.String())
	}
	if op.Kind.writesTo() || op.Kind == Gemm && op.ToDType == FP32 {
		e.word("to_dtype", op.ToDType.String())
	}
	e.flag("gradient", op.Gradient)
	if op.lacksWeight(b.Tensors) {
		e.key("weight")
		e.line = append(e.line, "false"...)
	}
	e.end()
}

// without returns what a dimension is when a record does not say, 0 where it must.
func (d *dim) without(op *Op, g *Graph) int64 {
	switch {
	case d.name == "batch" && d.family == product, d.name == "ep":
		return 1
	case d.name == "batch":
		return max(g.Batch, 1)
	case d.name == "kv_heads":
		return op.Heads
	}
	return 0
}
