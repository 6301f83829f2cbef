package llm

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Training is what one chip and its tensor group do with a micro-batch in a step of training.
type Training struct {
	// Batch is the sequences of a micro-batch, SeqLen the tokens of each.
	Batch, SeqLen int64
	// DType is the format of activations and of weights as they are multiplied; fp8 is that of the operands of a layer's
	// products alone, everything else is in the model's own format then. WeightDType is that of frozen weights, DType unless
	// they are quantized.
	DType, WeightDType traces.DType
	// Main is the format in which gradients are added up over micro-batches.
	Main traces.DType
	// Gradients is how the gradient of a weight gets there: GradientsAdded, GradientsFused or GradientsFlat.
	Gradients string
	// Dropout says that branches and probabilities of attention pass dropout. Copies says that the framework changes the
	// layout of what goes into and comes out of attention in kernels of their own.
	Dropout, Copies bool
	// FusedLoss says that the loss is one kernel that keeps nothing; else logits are turned to FP32, their softmax is kept,
	// and the gradients are turned back.
	FusedLoss bool
	// Contexts is how many chips share out the tokens of a sequence; 0 stands for 1.
	Contexts int64
	// Experts is how many data-parallel ranks share out the experts of a mixture; 0 stands for 1.
	Experts int64
	// SkewMilli is that of Workload.
	SkewMilli int64
	// LoRA, if not nil, are the adapters that are trained; all else is frozen. It must be normalized.
	LoRA *LoRA
	// Update is how many parameters one chip updates in the end; 0 leaves the update out.
	Update int64
}

// How gradients are added up: by a kernel for each weight, in the product that makes them, or those of a layer together:
// FSDP makes one tensor of them, turns it to Main and divides it by the number of ranks.
const (
	GradientsAdded = "added"
	GradientsFused = "fused"
	GradientsFlat  = "flat"
)

// Names of the blocks of a training graph, beside those of the layers. What goes backward has a suffix: of a layer what
// is computed again (all of it, or attention alone), and the gradients.
const (
	EmbeddingBlock = "embedding"
	HeadBlock      = "head"
	UpdateBlock    = "update"
	BackwardSuffix = ".backward"
	AgainSuffix    = ".attention"
)

// TrainingGraph generates the parts of a step of training, each once and each a step of its own: embedding, one layer of
// each kind and head with the loss, forward; head, for each kind of layer its attention (to be computed again), and its
// gradients, and embedding, backward; the update. How often each runs and where is up to who asks. A layer that is
// computed again as a whole takes as long as forward. Errors are of type *Invalid, joined if there are several.
//
// Gradients follow the operators of the forward pass in reverse: a product y = x·W has dx = dy·Wᵀ and dW = xᵀ·dy, a tensor
// that several operators read gets the sum of what they pass back, and attention computes its scores again where its
// forward pass kept none.
func (m Model) TrainingGraph(t Training) (*traces.Graph, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	contexts := max(t.Contexts, 1)
	if t.WeightDType == 0 && t.LoRA == nil {
		t.WeightDType = t.DType
	}
	w := Workload{Phase: "prefill", Batch: t.Batch, Prompt: t.SeqLen, DType: t.DType, WeightDType: t.WeightDType, KVDType: t.DType, SkewMilli: t.SkewMilli, LoRA: t.LoRA}
	err := w.validate(&m)
	bad := func(field, message, hint string) { err = errors.Join(err, &Invalid{field, message, hint}) }
	switch {
	case m.Kind != Decoder:
		bad("phase", fmt.Sprintf("training %s is not simulated", shorten(m.Name)), "of decoders it is")
	case contexts > t.SeqLen:
		bad("cp", fmt.Sprintf("%d chips share out %d tokens", contexts, t.SeqLen), "fewer chips, or longer sequences")
	}
	if !slices.Contains([]string{"", GradientsAdded, GradientsFused, GradientsFlat}, t.Gradients) {
		bad("gradients", fmt.Sprintf("%q is unknown", t.Gradients), strings.Join([]string{GradientsAdded, GradientsFused, GradientsFlat}, ", "))
	}
	if err != nil {
		return nil, err
	}
	w.widen(&m)
	if w.KVDType = w.DType; w.operand.Bits() < 16 && t.LoRA == nil {
		w.WeightDType, m.HeadInFull = w.operand, true
	}
	if w.Groups = t.Experts; t.Experts > 1 && (m.MoE == nil || m.MoE.Experts%t.Experts != 0) {
		if m.MoE == nil {
			return nil, &Invalid{"ep", fmt.Sprintf("%d ranks share out experts, and %s has none", t.Experts, shorten(m.Name)), "leave it out"}
		}
		return nil, &Invalid{"ep", fmt.Sprintf("%d ranks do not share out %d experts evenly", t.Experts, m.MoE.Experts), "a divisor of the experts"}
	}
	g := &traces.Graph{Name: m.Name, Phase: "train", Groups: max(t.Experts, 1), Batch: t.Batch, Prompt: t.SeqLen, DType: w.DType, Notes: m.contextNotes(&w)}
	part := (t.SeqLen + contexts - 1) / contexts
	tokens := t.Batch * part
	p := pass{phase: traces.Forward, tokens: tokens, qlen: part, contexts: contexts, dropout: t.Dropout, copies: t.Copies}
	add := func(b traces.Block, phase traces.Phase, layer int64) {
		g.Blocks = append(g.Blocks, b)
		g.Runs = append(g.Runs, traces.Run{Block: int32(len(g.Blocks) - 1), Phase: phase, Step: int64(len(g.Runs)), FirstLayer: layer, Times: 1})
	}
	d := differ{m: &m, w: &w, t: &t}
	embedding := m.embedding(&w, tokens)
	add(embedding, traces.Forward, 0)
	type kind struct {
		block traces.Block
		first int64
	}
	var kinds []kind
	for _, r := range m.layerRuns(m.Layers) {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return k.block.Name == r.kind.name }) {
			b := m.layer(&w, r.kind, p)
			if w.operand.Bits() < 16 && t.LoRA == nil {
				narrowed(&b, &w)
			}
			kinds = append(kinds, kind{b, r.first})
			add(kinds[len(kinds)-1].block, traces.Forward, r.first)
		}
	}
	head := m.loss(&w, &t, tokens)
	add(head, traces.Forward, 0)
	add(d.backward(&head, true), traces.Backward, 0)
	for _, k := range kinds {
		if again, ok := attentionOf(&k.block); ok {
			add(again, traces.Backward, k.first)
		}
		add(d.backward(&k.block, true), traces.Backward, k.first)
	}
	if back := d.backward(&embedding, false); len(back.Ops) > 0 {
		add(back, traces.Backward, 0)
	}
	if t.Update > 0 {
		add(t.update(&w), traces.Update, 0)
	}
	if err := g.Validate(); err != nil {
		return nil, &Invalid{stepField(&w), err.Error(), "a smaller micro-batch or shorter sequences"}
	}
	return g, nil
}

// loss is the last norm, the product with the vocabulary for every token, and the loss.
func (m *Model) loss(w *Workload, t *Training, tokens int64) traces.Block {
	b, _ := m.head(w, tokens)
	at := &b.Ops[len(b.Ops)-1]
	logits := at.Outputs[0]
	// Each chip keeps the logits of its part of the vocabulary.
	at.Split, at.Parts = traces.Column, []int64{at.N}
	tensor := func(name string, d traces.DType, cols int64) traces.TensorID {
		b.Tensors = append(b.Tensors, traces.Tensor{Name: name, Type: d, Shape: []int64{tokens, cols}})
		return traces.TensorID(len(b.Tensors) - 1)
	}
	op := func(name string, kind traces.Kind, d, to traces.DType, in, out traces.TensorID) {
		b.Ops = append(b.Ops, traces.Op{Name: name, Kind: kind, Split: traces.Sharded, DType: d, WeightDType: d, KVDType: d, ToDType: to, Rows: tokens, Cols: m.Vocab,
			Inputs: []traces.TensorID{in}, Outputs: []traces.TensorID{out}})
	}
	if t.FusedLoss {
		op("loss", traces.CrossEntropy, w.DType, 0, logits, tensor("losses", w.DType, 1))
		return b
	}
	wide := tensor("logits_fp32", traces.FP32, m.Vocab)
	op("logits_to_fp32", traces.Cast, w.DType, traces.FP32, logits, wide)
	op("loss", traces.LogSoftmax, traces.FP32, 0, wide, tensor("log_probabilities", traces.FP32, m.Vocab))
	return b
}

// narrowed adds what turns weights in 16 bits to the narrow format of a layer's products, for every micro-batch, and a second
// copy, turned, of all that is turned: the gradients of weights and inputs reduce over other dimensions (Transformer Engine,
// cast and transpose).
func narrowed(b *traces.Block, w *Workload) {
	turned := func(op *traces.Op) {
		t := b.Tensors[op.Outputs[0]]
		t.Name += ".turned"
		b.Tensors = append(b.Tensors, t)
		op.Outputs = []traces.TensorID{op.Outputs[0], traces.TensorID(len(b.Tensors) - 1)}
	}
	ops := make([]traces.Op, 0, 2*len(b.Ops))
	for _, op := range b.Ops {
		switch {
		case op.Kind == traces.Quantize:
			turned(&op)
		case op.Kind == traces.Gemm && op.DType.Bits() < 16:
			weight := &b.Tensors[op.Inputs[1]]
			narrow := traces.Tensor{Name: weight.Name + ".narrow", Type: op.WeightDType, Shape: weight.Shape}
			weight.Type = w.DType
			b.Tensors = append(b.Tensors, narrow)
			cast := traces.Op{Name: op.Name + ".weight.quantize", Kind: traces.Quantize, DType: w.DType, WeightDType: w.DType, KVDType: w.DType, ToDType: op.WeightDType,
				Rows: op.K, Cols: op.N, Inputs: []traces.TensorID{op.Inputs[1]}, Outputs: []traces.TensorID{traces.TensorID(len(b.Tensors) - 1)}}
			if op.Split != traces.Whole {
				cast.Split = traces.Sharded
			}
			turned(&cast)
			ops = append(ops, cast)
		}
		ops = append(ops, op)
	}
	b.Ops = ops
}

// attentionOf is the attention of a layer alone, ok is false if it has none.
func attentionOf(layer *traces.Block) (traces.Block, bool) {
	again := traces.Block{Name: layer.Name + AgainSuffix, Tensors: slices.Clone(layer.Tensors)}
	for _, op := range layer.Ops {
		if op.Kind == traces.Attention {
			again.Ops = append(again.Ops, op)
		}
	}
	return again, len(again.Ops) > 0
}

// columns of a tensor of all gradients of a layer: as long as it takes to be dealt to many cores.
const flatColumns = 1024

// update is the norm of all gradients and a step of Adam over the chip's parameters.
func (t *Training) update(w *Workload) traces.Block {
	rows, cols := spread(t.Update)
	b := traces.Block{Name: UpdateBlock}
	for _, r := range []struct {
		name string
		role traces.Role
		d    traces.DType
	}{{"gradients", traces.Gradient, traces.FP32}, {"moments", traces.OptimizerState, traces.FP32}, {"norm", traces.Activation, traces.FP32}, {"updated", traces.Activation, w.DType}} {
		b.Tensors = append(b.Tensors, traces.Tensor{Name: r.name, Role: r.role, Type: r.d, Shape: []int64{rows, cols}})
	}
	op := func(name string, kind traces.Kind, in []traces.TensorID, out traces.TensorID) {
		b.Ops = append(b.Ops, traces.Op{Name: name, Kind: kind, DType: traces.FP32, WeightDType: traces.FP32, KVDType: traces.FP32, ToDType: w.DType, Rows: rows, Cols: cols, Inputs: in, Outputs: []traces.TensorID{out}})
	}
	op("gradient_norm", traces.ColumnSum, []traces.TensorID{0}, 2)
	op("adam", traces.Adam, []traces.TensorID{0, 1}, 3)
	return b
}

// differ derives the backward passes of blocks.
type differ struct {
	m *Model
	w *Workload
	t *Training

	b     traces.Block
	fwd   *traces.Block
	grad  map[traces.TensorID]traces.TensorID // of a tensor of the forward pass
	wants []bool                              // tensors that need a gradient
	// several says which tensors are read by several products that are divided by columns: their gradients are added up on each
	// chip before they are over all chips. parts is how many of those are to come.
	several map[traces.TensorID]bool
	parts   map[traces.TensorID]int
	flat    int64 // elements of weights whose gradients are treated together
}

// trained reports whether a weight is trained.
func (d *differ) trained(t *traces.Tensor) bool {
	return t.Role == traces.Weight && (d.t.LoRA == nil || t.Adapter())
}

// backward derives the backward pass of a block: gradients flow to its weights, and outward to what it reads from other blocks.
func (d *differ) backward(fwd *traces.Block, outward bool) traces.Block {
	d.fwd, d.flat = fwd, 0
	d.b = traces.Block{Name: fwd.Name + BackwardSuffix, Tensors: slices.Clone(fwd.Tensors)}
	d.grad = map[traces.TensorID]traces.TensorID{}
	d.wants = make([]bool, len(fwd.Tensors))
	written := make([]bool, len(fwd.Tensors))
	for i := range fwd.Ops {
		for _, id := range fwd.Ops[i].Outputs {
			written[id] = true
		}
	}
	for id := range fwd.Tensors {
		t := &fwd.Tensors[id]
		d.wants[id] = d.trained(t) || t.Role == traces.Activation && !written[id] && outward
	}
	for i := range fwd.Ops {
		op := &fwd.Ops[i]
		if slices.ContainsFunc(op.Inputs, func(id traces.TensorID) bool { return d.wants[id] }) {
			for _, id := range op.Outputs {
				role := fwd.Tensors[id].Role // keys of distances are kept beside the cache, where there is one
				d.wants[id] = d.wants[id] || role == traces.Activation || role == traces.KV
			}
		}
	}
	d.parts = map[traces.TensorID]int{}
	for i := range fwd.Ops {
		if op := &fwd.Ops[i]; op.Kind == traces.Gemm && (op.Split == traces.Column || op.Split == traces.Vocab) && op.Batch == 1 {
			d.parts[op.Inputs[0]]++
		}
	}
	d.several = map[traces.TensorID]bool{}
	for id, n := range d.parts {
		d.several[id] = n > 1
	}
	// What the block hands on comes back as a gradient from outside.
	last := &fwd.Ops[len(fwd.Ops)-1]
	for _, id := range last.Outputs {
		if d.wants[id] {
			d.grad[id] = d.tensor("d_"+fwd.Tensors[id].Name, fwd.Tensors[id].Type, fwd.Tensors[id].Shape, traces.Activation)
		}
	}
	for i := len(fwd.Ops) - 1; i >= 0; i-- {
		d.gradients(&fwd.Ops[i])
	}
	if d.flat > 0 {
		d.flatten()
	}
	return d.b
}

func (d *differ) tensor(name string, t traces.DType, shape []int64, role traces.Role) traces.TensorID {
	taken := func(n string) bool {
		return slices.ContainsFunc(d.b.Tensors, func(t traces.Tensor) bool { return t.Name == n })
	}
	unique := name
	for i := 2; taken(unique); i++ {
		unique = fmt.Sprintf("%s.%d", name, i)
	}
	d.b.Tensors = append(d.b.Tensors, traces.Tensor{Name: unique, Type: t, Shape: shape, Role: role})
	return traces.TensorID(len(d.b.Tensors) - 1)
}

// like makes a gradient of the form of a tensor; those of keys and values are activations too.
func (d *differ) like(id traces.TensorID) traces.TensorID {
	t := d.fwd.Tensors[id]
	return d.tensor("d_"+t.Name, t.Type, t.Shape, traces.Activation)
}

// op adds an operator to the backward pass; its name must be unique.
func (d *differ) op(o traces.Op) {
	taken := func(n string) bool {
		return slices.ContainsFunc(d.b.Ops, func(o traces.Op) bool { return o.Name == n })
	}
	name := o.Name
	for i := 2; taken(o.Name); i++ {
		o.Name = fmt.Sprintf("%s.%d", name, i)
	}
	d.b.Ops = append(d.b.Ops, o)
}

// pass adds what an operator passes back to a tensor to what others did.
func (d *differ) pass(to, gradient traces.TensorID, split traces.Split) {
	before, ok := d.grad[to]
	if !ok {
		d.grad[to] = gradient
		return
	}
	t := &d.fwd.Tensors[to]
	sum := d.like(to)
	cols := t.Shape[len(t.Shape)-1]
	rows := int64(1)
	for _, n := range t.Shape[:len(t.Shape)-1] {
		rows *= n
	}
	d.op(traces.Op{Name: t.Name + ".sum", Kind: traces.Add, Split: split, DType: t.Type, WeightDType: t.Type, KVDType: t.Type, Rows: rows, Cols: cols,
		Inputs: []traces.TensorID{before, gradient}, Outputs: []traces.TensorID{sum}})
	d.grad[to] = sum
}

// gradients adds the backward pass of one operator.
func (d *differ) gradients(op *traces.Op) {
	var from []traces.TensorID // gradients of what it wrote
	for _, id := range op.Outputs {
		if g, ok := d.grad[id]; ok {
			from = append(from, g)
			if op.Accumulate == 0 { // else another operator wrote there before
				delete(d.grad, id)
			}
		}
	}
	if len(from) == 0 {
		return
	}
	switch op.Kind {
	case traces.Gemm:
		d.product(op, from)
	case traces.Add: // passes on what it gets
		for _, id := range op.Inputs {
			if d.wants[id] {
				d.pass(id, from[0], traces.Whole)
			}
		}
	case traces.Quantize: // rounding passes gradients on
		if d.wants[op.Inputs[0]] && d.fwd.Tensors[op.Inputs[0]].Role == traces.Activation {
			d.pass(op.Inputs[0], from[0], traces.Whole)
		}
	case traces.DropoutAdd:
		d.pass(op.Inputs[0], from[0], traces.Whole)
		branch := d.like(op.Inputs[1])
		d.same(op, from, branch)
		d.pass(op.Inputs[1], branch, traces.Whole)
	case traces.Embedding:
		table := op.Inputs[1]
		if d.wants[table] {
			out := d.tensor("d_"+d.fwd.Tensors[table].Name, op.DType, []int64{op.Rows, op.Cols}, traces.Gradient)
			d.same(op, from, out)
			d.keep(&d.fwd.Tensors[table], out, op.Split, 1)
		}
	default:
		if !op.Kind.HasGradient() {
			return
		}
		split := traces.Whole
		if op.Split != traces.Whole {
			split = traces.Sharded
		}
		var outs []traces.TensorID
		var to []traces.TensorID
		for _, id := range op.Inputs {
			t := &d.fwd.Tensors[id]
			if d.wants[id] && (t.Role == traces.Activation || t.Role == traces.KV) {
				to, outs = append(to, id), append(outs, d.like(id))
			}
		}
		if len(outs) == 0 {
			return
		}
		d.same(op, from, outs...)
		for i, id := range to {
			d.pass(id, outs[i], split)
		}
		if op.Kind == traces.MoE {
			for _, id := range op.Inputs {
				if t := &d.fwd.Tensors[id]; d.trained(t) {
					g := d.tensor("d_"+t.Name, op.DType, t.Shape, traces.Gradient)
					d.b.Ops[len(d.b.Ops)-1].Outputs = append(d.b.Ops[len(d.b.Ops)-1].Outputs, g)
					d.keep(t, g, traces.Row, max(d.t.Experts, 1))
				}
			}
		}
	}
}

// same adds the operator's own kind as a gradient.
func (d *differ) same(op *traces.Op, from []traces.TensorID, outs ...traces.TensorID) {
	back := *op
	back.Name, back.Gradient = op.Name+BackwardSuffix, true
	back.Inputs = append(slices.Clone(op.Inputs), from...)
	if op.Kind == traces.Attention {
		back.Inputs = append(back.Inputs, op.Outputs...)
	}
	if op.Kind == traces.MoE { // each chip has a part of the inner elements, and so of the sums for the gradients of the rows
		back.Split = traces.Row
	}
	back.Outputs = outs
	d.op(back)
}

// product adds the gradients of a product, its left operand's and its weight's, and of a bias.
func (d *differ) product(op *traces.Op, from []traces.TensorID) {
	x, w := op.Inputs[0], op.Inputs[1]
	if len(op.Parts) > 1 && d.t.Copies { // the parts side by side again
		all := d.tensor("d_"+op.Name+".out", d.w.DType, []int64{op.M, op.N}, traces.Activation)
		d.op(traces.Op{Name: op.Name + ".join", Kind: traces.Copy, Split: sharded(op.Split, traces.Column), DType: d.w.DType, WeightDType: d.w.DType, KVDType: d.w.DType, Rows: op.M, Cols: op.N,
			Inputs: from, Outputs: []traces.TensorID{all}})
		from = []traces.TensorID{all}
	}
	narrow := op.DType.Bits() < 16
	if narrow {
		q := d.tensor("d_"+op.Name+".narrow", op.DType, []int64{op.M, op.N}, traces.Activation)
		d.op(traces.Op{Name: op.Name + ".quantize", Kind: traces.Quantize, Split: sharded(op.Split, traces.Column), DType: d.w.DType, WeightDType: d.w.DType, KVDType: d.w.DType, ToDType: op.DType,
			Rows: op.M, Cols: op.N, Inputs: from, Outputs: []traces.TensorID{q, d.tensor("d_"+op.Name+".turned", op.DType, []int64{op.M, op.N}, traces.Activation)}})
		from = []traces.TensorID{q}
	}
	back := traces.Op{Kind: traces.Gemm, Gradient: true, DType: op.DType, KVDType: op.DType, Batch: op.Batch}
	if d.wants[x] || narrow {
		dx := back
		dx.Name, dx.M, dx.N, dx.K, dx.WeightDType = op.Name+".dx", op.M, op.K, op.N, op.WeightDType
		switch op.Split {
		case traces.Column, traces.Vocab:
			dx.Split = traces.Row
		case traces.Row, traces.Partial, traces.Sharded:
			dx.Split, dx.Parts = traces.Column, []int64{op.K}
		default:
			dx.Split = op.Split
		}
		if op.Batch > 1 { // a product for each adapter or head
			dx.Parts = nil
		}
		to := x
		if narrow { // of what was rounded
			for i := range d.fwd.Ops {
				if o := &d.fwd.Ops[i]; o.Kind == traces.Quantize && slices.Contains(o.Outputs, x) {
					to = o.Inputs[0]
				}
			}
		}
		out := d.like(to)
		dx.Inputs, dx.Outputs = append(slices.Clone(from), w), []traces.TensorID{out}
		how := sharded(op.Split, traces.Row)
		if dx.Split == traces.Row && d.several[x] {
			dx.Split, how = traces.Partial, traces.Partial
			if d.parts[x]--; d.parts[x] == 0 { // the last of them adds up over chips too
				how = traces.Row
			}
		}
		d.op(dx)
		d.pass(to, out, how)
	}
	t := &d.fwd.Tensors[w]
	if t.Role != traces.Weight {
		if d.wants[w] { // two activations
			out := d.like(w)
			dw := back
			dw.Name, dw.Split, dw.M, dw.N, dw.K, dw.WeightDType = op.Name+".dw", op.Split, op.K, op.N, op.M, op.DType
			dw.Inputs, dw.Outputs = append([]traces.TensorID{x}, from...), []traces.TensorID{out}
			d.op(dw)
			d.pass(w, out, op.Split)
		}
		return
	}
	if !d.trained(t) {
		return
	}
	dw := back
	dw.Name, dw.M, dw.N, dw.K, dw.WeightDType = op.Name+".dw", op.K, op.N, op.M, op.DType
	switch op.Split {
	case traces.Column, traces.Vocab:
		dw.Split, dw.Parts = traces.Column, []int64{op.N}
	case traces.Row, traces.Partial, traces.Sharded: // its rows are divided, so turn it
		dw.M, dw.N = op.N, op.K
		dw.Split, dw.Parts = traces.Column, []int64{op.K}
	default:
		dw.Split = op.Split
	}
	if op.Batch > 1 {
		dw.Parts = nil
	}
	if d.t.Gradients == GradientsFused {
		dw.Accumulate = dw.N
		if d.main() == traces.FP32 {
			dw.ToDType = traces.FP32
		}
	}
	g := d.tensor("d_"+t.Name, d.w.DType, t.Shape, traces.Gradient)
	dw.Inputs, dw.Outputs = append([]traces.TensorID{x}, from...), []traces.TensorID{g}
	d.op(dw)
	d.keep(t, g, op.Split, 1)
	if len(op.Inputs) > 2 && d.trained(&d.fwd.Tensors[op.Inputs[2]]) {
		bias := &d.fwd.Tensors[op.Inputs[2]]
		out := d.tensor("d_"+bias.Name, d.w.DType, bias.Shape, traces.Gradient)
		d.op(traces.Op{Name: op.Name + ".db", Kind: traces.ColumnSum, Split: sharded(op.Split, traces.Column), DType: d.w.DType, WeightDType: d.w.DType, KVDType: d.w.DType, Rows: op.M, Cols: op.N,
			Inputs: from, Outputs: []traces.TensorID{out}})
	}
}

// sharded is Sharded if a product's split is that one, else Whole.
func sharded(split, when traces.Split) traces.Split {
	if split == when || when == traces.Row && (split == traces.Partial || split == traces.Sharded) || when == traces.Column && split == traces.Vocab {
		return traces.Sharded
	}
	return traces.Whole
}

// keep adds the gradient of a weight, of which each of some ranks has its part, to those of the micro-batches before.
func (d *differ) keep(t *traces.Tensor, g traces.TensorID, split traces.Split, ranks int64) {
	n := int64(1)
	for _, s := range t.Shape {
		n, _ = units.Mul(n, s)
	}
	n /= ranks
	switch d.t.Gradients {
	case GradientsFused:
		return
	case GradientsFlat:
		d.flat += n
		return
	}
	rows, cols := spread(n)
	how := traces.Sharded
	if split == traces.Whole {
		how = traces.Whole
	}
	main := d.tensor("main_"+t.Name, d.main(), []int64{rows, cols}, traces.Gradient)
	d.op(traces.Op{Name: strings.TrimSuffix(t.Name, ".weight") + ".accumulate", Kind: traces.Accumulate, Split: how, DType: d.w.DType, WeightDType: d.w.DType, KVDType: d.w.DType, ToDType: d.main(),
		Rows: rows, Cols: cols, Inputs: []traces.TensorID{g}, Outputs: []traces.TensorID{main}})
}

func (d *differ) main() traces.DType {
	if d.t.Main == 0 {
		return d.w.DType
	}
	return d.t.Main
}

// spread is so many elements as rows and columns.
func spread(n int64) (rows, cols int64) {
	if n <= flatColumns {
		return 1, max(n, 1)
	}
	return min(units.CeilDiv(n, flatColumns), math.MaxInt32), flatColumns
}

// flatten makes one tensor of the gradients of a block, turns it to the format of the sum and divides it.
func (d *differ) flatten() {
	rows, cols := spread(d.flat)
	t, main := d.w.DType, d.main()
	at := func(name string, d_ traces.DType) traces.TensorID {
		return d.tensor(name, d_, []int64{rows, cols}, traces.Gradient)
	}
	op := func(name string, kind traces.Kind, from, to traces.DType, in, out traces.TensorID) {
		d.op(traces.Op{Name: name, Kind: kind, Split: traces.Sharded, DType: from, WeightDType: from, KVDType: from, ToDType: to, Rows: rows, Cols: cols,
			Inputs: []traces.TensorID{in}, Outputs: []traces.TensorID{out}})
	}
	parts := at("gradients", t)
	flat := at("flat_gradients", t)
	op("gradients.join", traces.Copy, t, 0, parts, flat)
	if main != t {
		wide := at("main_gradients", main)
		op("gradients.widen", traces.Cast, t, main, flat, wide)
		flat = wide
	}
	op("gradients.divide", traces.Copy, main, 0, flat, at("divided_gradients", main))
}

// LayerKind is a number of equal layers in a row, by the name of their block in a graph.
type LayerKind struct {
	Block string
	Times int64
}

// LayerKinds lists the layers of the model in order, equal neighbours together.
func (m Model) LayerKinds() []LayerKind {
	var out []LayerKind
	for _, r := range m.layerRuns(m.Layers) {
		out = append(out, LayerKind{r.kind.name, r.times})
	}
	return out
}

// stepField is the field that says how long a sequence of a step is, or how many go through at once, whichever is larger.
func stepField(w *Workload) string {
	if w.largest() == "prompt" {
		return "seq-len"
	}
	return "micro-batch"
}
