package traces

import (
	"errors"
	"strings"
	"testing"
)

// small returns a graph with two blocks of one name, every role and several kinds.
func small() *Graph {
	layer := func(tokens int64) Block {
		return Block{
			Name: "layer",
			Tensors: []Tensor{
				{"x", []int64{tokens, 8}, BF16, Activation},
				{"wqkv", []int64{8, 16}, INT4, Weight},
				{"qkv", []int64{tokens, 16}, BF16, Activation},
				{"kv", []int64{tokens, 8}, FP8, KV},
				{"o", []int64{tokens, 8}, BF16, Activation},
				{"y", []int64{tokens, 8}, BF16, Activation},
			},
			Ops: []Op{
				{Name: "qkv", Kind: Gemm, Split: Column, Inputs: []TensorID{0, 1}, Outputs: []TensorID{2}, WeightDType: INT4, Batch: 1, M: tokens, N: 16, K: 8, Parts: []int64{8, 4, 4}},
				{Name: "append", Kind: KVAppend, Inputs: []TensorID{2}, Outputs: []TensorID{3}, KVDType: FP8, Rows: tokens, Cols: 8},
				{Name: "attention", Kind: Attention, Split: Heads, Inputs: []TensorID{2, 3}, Outputs: []TensorID{4}, KVDType: FP8, Batch: 2, Heads: 2, KVHeads: 1, HeadDim: 4, QLen: tokens / 2, Causal: true},
				{Name: "add", Kind: Add, Inputs: []TensorID{0, 4}, Outputs: []TensorID{5}, Rows: tokens, Cols: 8},
			},
		}
	}
	return &Graph{
		Name: "small", Phase: "generate", Batch: 2, Prompt: 6, Generate: 3,
		Blocks: []Block{layer(12), layer(2), {
			Name: "head \"é\"",
			Ops:  []Op{{Name: "head", Kind: Gemm, Split: Vocab, Batch: 1, M: 2, N: 32, K: 8}, {Name: "sum", Kind: AllReduce, Bytes: 128}},
		}},
		Runs: []Run{
			{Block: 0, Times: 4},
			{Block: 1, Phase: Decode, Step: 1, Times: 4, Past: 6},
			{Block: 2, Phase: Decode, Step: 1, Times: 1},
			{Block: 1, Phase: Decode, Step: 2, FirstLayer: 4, Times: 4, Past: 7},
		},
	}
}

func TestValidate(t *testing.T) {
	if err := small().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, want string
		change     func(g *Graph)
	}{
		{"nothing runs", "graph: nothing runs (add operators)", func(g *Graph) { g.Runs = nil }},
		{"phase", `graph: unknown phase "training"`, func(g *Graph) { g.Phase = "training" }},
		{"batch", "graph: batch -1: must be from 0", func(g *Graph) { g.Batch = -1 }},
		{"prompt", "graph: prompt 4294967296", func(g *Graph) { g.Prompt = 1 << 32 }},
		{"model", "graph: a name with control characters", func(g *Graph) { g.Name = "a\nb" }},
		{"dtype", "graph: unknown data type", func(g *Graph) { g.DType = 77 }},
		{"block of a run", "run 1: block 9 of 3", func(g *Graph) { g.Runs[0].Block = 9 }},
		{"times", "run 2: times 0: must be from 1 to 2147483648", func(g *Graph) { g.Runs[1].Times = 0 }},
		{"past", "run 2: past -1: must be from 0", func(g *Graph) { g.Runs[1].Past = -1 }},
		{"layer", "run 2: first_layer -1", func(g *Graph) { g.Runs[1].FirstLayer = -1 }},
		{"step", "run 2: step -1", func(g *Graph) { g.Runs[1].Step = -1 }},
		{"phase of a run", "run 2: unknown phase", func(g *Graph) { g.Runs[1].Phase = numPhases }},
		{"no operators", "block layer: no operators", func(g *Graph) { g.Blocks[0].Ops = nil }},
		{"name of a block", "block \xff: a name that is not UTF-8", func(g *Graph) { g.Blocks[0].Name = "\xff" }},
		{"tensor without name", "tensor  of block layer: no name", func(g *Graph) { g.Blocks[0].Tensors[2].Name = "" }},
		{"two tensors", "tensor x of block layer: there are two of that name", func(g *Graph) { g.Blocks[0].Tensors[2].Name = "x" }},
		{"no shape", "tensor x of block layer: no shape (e.g. [4096, 4096])", func(g *Graph) { g.Blocks[0].Tensors[0].Shape = nil }},
		{"dimension", "tensor x of block layer: dimension 0: must be from 1", func(g *Graph) { g.Blocks[0].Tensors[0].Shape[1] = 0 }},
		{"elements", "too many elements", func(g *Graph) { g.Blocks[0].Tensors[0].Shape = []int64{1 << 30, 1 << 30} }},
		{"many dimensions", "17 dimensions: at most 16", func(g *Graph) { g.Blocks[0].Tensors[0].Shape = make([]int64, 17) }},
		{"role", "unknown role", func(g *Graph) { g.Blocks[0].Tensors[0].Role = 9 }},
		{"type of a tensor", "tensor x of block layer: unknown data type", func(g *Graph) { g.Blocks[0].Tensors[0].Type = 77 }},
		{"operator without name", "operator 2 of block layer: no name", func(g *Graph) { g.Blocks[0].Ops[1].Name = "" }},
		{"two operators", "operator qkv of block layer: there are two of that name", func(g *Graph) { g.Blocks[0].Ops[1].Name = "qkv" }},
		{"kind", "operator qkv of block layer: unknown kind", func(g *Graph) { g.Blocks[0].Ops[0].Kind = 99 }},
		{"split", "operator qkv of block layer: unknown split", func(g *Graph) { g.Blocks[0].Ops[0].Split = 99 }},
		{"type of weights", "unknown data type of weights", func(g *Graph) { g.Blocks[0].Ops[0].WeightDType = 99 }},
		{"m", "operator qkv of block layer: m 0: must be from 1 to 2147483648", func(g *Graph) { g.Blocks[0].Ops[0].M = 0 }},
		{"parts", "parts sum to 15 columns, n is 16", func(g *Graph) { g.Blocks[0].Ops[0].Parts[0] = 7 }},
		{"a part", "part of 0 columns", func(g *Graph) { g.Blocks[0].Ops[0].Parts[0] = 0 }},
		{"heads", "2 query heads cannot share 3 key/value heads evenly", func(g *Graph) { g.Blocks[0].Ops[2].KVHeads = 3 }},
		{"no gradient", "add has no gradient of its own", func(g *Graph) { g.Blocks[0].Ops[3].Kind, g.Blocks[0].Ops[3].Gradient = Add, true }},
		{"bytes", "operator sum of block head \"é\": bytes -1: must not be negative", func(g *Graph) { g.Blocks[2].Ops[1].Bytes = -1 }},
		{"input", "input tensor 6 of 6", func(g *Graph) { g.Blocks[0].Ops[0].Inputs[0] = 6 }},
		{"output", "output tensor -1 of 6", func(g *Graph) { g.Blocks[0].Ops[0].Outputs[0] = -1 }},
		{"operands", "513 inputs: at most 512", func(g *Graph) { g.Blocks[0].Ops[0].Inputs = make([]TensorID, 513) }},
		{"weight as result", "writes the weight wqkv", func(g *Graph) { g.Blocks[0].Ops[0].Outputs[0] = 1 }},
		{"order", "operator qkv of block layer: reads o before it is written by attention", func(g *Graph) { g.Blocks[0].Ops[0].Inputs[0] = 4 }},
		{"itself", "reads y before it is written by itself", func(g *Graph) { g.Blocks[0].Ops[3].Inputs[0] = 5 }},
		{"overflow", "operator attention of block layer: operations or bytes exceed a 64-bit count", func(g *Graph) {
			g.Blocks[1].Ops[2].Batch, g.Blocks[1].Ops[2].HeadDim, g.Runs[1].Past = 1<<31, 1<<31, 1<<31
		}},
	} {
		g := small()
		tt.change(g)
		err := g.Validate()
		var invalid *Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			continue
		}
		var b strings.Builder
		if werr := g.Write(&b); werr == nil || werr.Error() != err.Error() || b.Len() > 0 {
			t.Errorf("%s: Write gives %v and %d bytes", tt.name, werr, b.Len())
		}
		if serr := g.Show(&b); serr == nil || b.Len() > 0 {
			t.Errorf("%s: Show gives %v and %d bytes", tt.name, serr, b.Len())
		}
	}
}

func TestValidateInPlace(t *testing.T) {
	g := small()
	// Rotating what was written before, in place.
	g.Blocks[0].Ops[1] = Op{Name: "rope", Kind: RoPE, Inputs: []TensorID{2}, Outputs: []TensorID{2}, Rows: 12, Cols: 8}
	if err := g.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateTooManyRuns(t *testing.T) {
	g := small()
	g.Runs = make([]Run, MaxRuns+1)
	if err := g.Validate(); err == nil || !strings.Contains(err.Error(), "4194305 runs of blocks, at most 4194304") {
		t.Error(err)
	}
}

// TestRepeat: a step that repeats is one run for all its steps, and repeats as a whole.
func TestRepeat(t *testing.T) {
	g := small()
	g.Runs = []Run{{Block: 0, Phase: Decode, Step: 1, Times: 2, Repeat: 3}, {Block: 0, Phase: Decode, Step: 1, Times: 1, Repeat: 3}, {Block: 0, Phase: Decode, Step: 4, Times: 1}}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	g.Runs[1].Repeat = 2
	if err := g.Validate(); err == nil || !strings.Contains(err.Error(), "run 2: repeat 2: the run before it, of the same step, says 3") {
		t.Error(err)
	}
	g.Runs[1].Repeat = -1
	if err := g.Validate(); err == nil || !strings.Contains(err.Error(), "repeat -1: must be from 0") {
		t.Error(err)
	}
}
