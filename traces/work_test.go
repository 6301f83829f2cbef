package traces

import (
	"errors"
	"math"
	"testing"

	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// TestWork compares every kind with counts worked out by hand. A multiply-add is two operations,
// every operand is read and every result written once.
func TestWork(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   Op
		past int64
		want Work
	}{
		{
			// 2·M·N·K operations; (M·K + K·N + M·N)·2 bytes.
			name: "gemm",
			op:   Op{Kind: Gemm, Batch: 1, M: 3, N: 5, K: 7},
			want: Work{MatrixOps: 2 * 3 * 5 * 7, ReadBytes: 2 * 3 * 7, WeightBytes: 2 * 7 * 5, WriteBytes: 2 * 3 * 5},
		},
		{
			// The product of GPT-3's feed-forward network for one prompt of 2048: 2·2048·12288·49152
			// operations (Brown et al., arXiv 2005.14165, table 2.1: d_model 12288, d_ff = 4·d_model).
			name: "gemm of GPT-3",
			op:   Op{Kind: Gemm, Batch: 1, M: 2048, N: 49152, K: 12288, DType: FP16, WeightDType: INT8},
			want: Work{MatrixOps: 2_473_901_162_496, ReadBytes: 2 * 2048 * 12288, WeightBytes: 12288*49152 + 4*49152, WriteBytes: 2 * 2048 * 49152},
		},
		{
			name: "int4 weights, an odd number of them",
			op:   Op{Kind: Gemm, Batch: 1, M: 1, N: 3, K: 3, WeightDType: INT4},
			want: Work{MatrixOps: 18, ReadBytes: 6, WeightBytes: 17, WriteBytes: 6}, // ⌈(9·4 + 3·32)/8⌉: each column has a scale and a zero point
		},
		{
			name: "batched gemm has no weights",
			op:   Op{Kind: Gemm, Batch: 11, M: 3, N: 5, K: 7},
			want: Work{MatrixOps: 2 * 11 * 3 * 5 * 7, ReadBytes: 2 * 11 * (3*7 + 7*5), WriteBytes: 2 * 11 * 3 * 5},
		},
		{
			// 4·B·H·D·(q·past + q(q+1)/2): QKᵀ and PV cost 2·D each for every visible pair (Chowdhery
			// et al., arXiv 2204.02311, appendix B, there without a mask). Pairs: 3·10 + 6 = 36. Softmax
			// takes 4 simple operations and an exponential for each.
			name: "attention, causal",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 2, HeadDim: 8, QLen: 3, Past: 4, Causal: true, KVDType: FP8},
			past: 6,
			want: Work{MatrixOps: 4 * 2 * 4 * 8 * 36, VectorOps: 4 * 2 * 4 * 36, SpecialOps: 2 * 4 * 36,
				ReadBytes: 2*2*4*3*8 + 2*2*2*13*(8+2), WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			// All q·(past+q) = 3·13 pairs.
			name: "attention, not causal",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 4, HeadDim: 8, QLen: 3, Past: 10},
			want: Work{MatrixOps: 4 * 2 * 4 * 8 * 39, VectorOps: 4 * 2 * 4 * 39, SpecialOps: 2 * 4 * 39,
				ReadBytes: 2*2*4*3*8 + 2*2*2*4*13*8, WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			name: "attention of one token sees all keys, causal or not",
			op:   Op{Kind: Attention, Batch: 1, Heads: 32, KVHeads: 8, HeadDim: 128, QLen: 1, Causal: true},
			past: 1024,
			want: Work{MatrixOps: 4 * 32 * 128 * 1025, VectorOps: 4 * 32 * 1025, SpecialOps: 32 * 1025,
				ReadBytes: 2*32*128 + 2*2*8*1025*128, WriteBytes: 2 * 32 * 128},
		},
		{
			// Queries 1, 2 and 3 see 3, 4 and 4 keys: themselves and the three before. Two of the
			// cached keys are still seen, and three are new.
			name: "attention with a window",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 2, HeadDim: 8, QLen: 3, Past: 1, Causal: true, Window: 4},
			past: 1,
			want: Work{MatrixOps: 4 * 2 * 4 * 8 * 11, VectorOps: 4 * 2 * 4 * 11, SpecialOps: 2 * 4 * 11,
				ReadBytes: 2*2*4*3*8 + 2*2*2*2*5*8, WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			// DeepSeek-V3's absorbed attention of one token: 128 heads share one latent key of 576
			// elements, of which 512 are the value (arXiv 2412.19437, section 2.1.1).
			name: "latent attention",
			op:   Op{Kind: Attention, Batch: 1, Heads: 128, KVHeads: 1, HeadDim: 576, ValueDim: 512, Latent: true, QLen: 1, Causal: true},
			past: 1023,
			want: Work{MatrixOps: 2 * 128 * 1024 * (576 + 512), VectorOps: 4 * 128 * 1024, SpecialOps: 128 * 1024,
				ReadBytes: 2*128*576 + 2*1024*576, WriteBytes: 2 * 128 * 512},
		},
		{
			name: "attention to another sequence: neither new tokens nor the run's add keys",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 4, HeadDim: 8, QLen: 3, Past: 10, Cross: true},
			past: 5,
			want: Work{MatrixOps: 4 * 2 * 4 * 8 * 30, VectorOps: 4 * 2 * 4 * 30, SpecialOps: 2 * 4 * 30,
				ReadBytes: 2*2*4*3*8 + 2*2*2*4*10*8, WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			// As above without a mask, and a bias for each head, query and key, which the sequences share.
			name: "attention with a table of biases",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 4, HeadDim: 8, QLen: 3, Past: 10, Relative: Bias},
			want: Work{MatrixOps: 4 * 2 * 4 * 8 * 39, VectorOps: 5 * 2 * 4 * 39, SpecialOps: 2 * 4 * 39,
				ReadBytes: 2*2*4*3*8 + 2*2*2*4*13*8 + 2*4*3*13, WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			// A third product of the size of QKᵀ, with distances that all sequences share.
			name: "attention with projected distances",
			op:   Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 4, HeadDim: 8, QLen: 3, Past: 10, Relative: Projected},
			want: Work{MatrixOps: 6 * 2 * 4 * 8 * 39, VectorOps: 5 * 2 * 4 * 39, SpecialOps: 2 * 4 * 39,
				ReadBytes: 2*2*4*3*8 + 2*2*2*4*13*8 + 2*4*13*8, WriteBytes: 2 * 2 * 4 * 3 * 8},
		},
		{
			// 5 tokens, 2 of 8 experts each: 8·(1 − 0.75⁵) = 6.1 experts are touched, by 10 rows. A row
			// takes three products of 6×7; SiLU and product 3+2 an inner element, and a sum of 6.
			name: "mixture of experts",
			op:   Op{Kind: MoE, M: 5, K: 6, N: 7, Experts: 8, TopK: 2, EP: 1, Gated: true, WeightDType: FP8},
			want: Work{MatrixOps: 2 * 3 * 6 * 7 * 10, VectorOps: 3*7*10 + 6*10, SpecialOps: 2 * 7 * 10,
				ReadBytes: 2 * 5 * 6, WeightBytes: 6 * 3 * 6 * 7, WriteBytes: 2 * 5 * 6},
		},
		{
			// The same experts, one token more for each of four of them. The busiest of two ranks has
			// three experts, of which two have two tokens.
			name: "the busiest of two ranks",
			op:   Op{Kind: MoE, M: 5, K: 6, N: 7, Experts: 8, TopK: 2, EP: 2},
			want: Work{MatrixOps: 2 * 2 * 6 * 7 * 5, VectorOps: 4*7*5 + 6*5, SpecialOps: 7 * 5,
				ReadBytes: 2 * 5 * 6, WeightBytes: 2 * 3 * 2 * 6 * 7, WriteBytes: 2 * 5 * 6},
		},
		{
			name: "embedding reads a row of the table and an index for each token",
			op:   Op{Kind: Embedding, Rows: 6, Cols: 8, WeightDType: INT8},
			want: Work{ReadBytes: 6 * 4, WeightBytes: 6 * 8, WriteBytes: 2 * 6 * 8},
		},
		{
			name: "cache written in its own format",
			op:   Op{Kind: KVAppend, Rows: 6, Cols: 8, KVDType: FP8},
			want: Work{VectorOps: 4 * 48, ReadBytes: 2 * 6 * 8, WriteBytes: 6*8 + 6*2},
		},
		{
			// Per element: mean 1, deviation and square sum 2, subtract and scale 2, weight and bias as
			// one multiply-add 1; per row a division, an addition and one reciprocal root.
			name: "layernorm",
			op:   Op{Kind: LayerNorm, Rows: 6, Cols: 8},
			want: Work{VectorOps: 6*48 + 3*6, SpecialOps: 6, ReadBytes: 96, WeightBytes: 2 * 2 * 8, WriteBytes: 96},
		},
		{
			name: "rmsnorm",
			op:   Op{Kind: RMSNorm, Rows: 6, Cols: 8},
			want: Work{VectorOps: 3*48 + 2*6, SpecialOps: 6, ReadBytes: 96, WeightBytes: 2 * 8, WriteBytes: 96},
		},
		{
			name: "softmax: an exponential each and a reciprocal per row",
			op:   Op{Kind: Softmax, Rows: 6, Cols: 8, DType: FP32},
			want: Work{VectorOps: 4 * 48, SpecialOps: 48 + 6, ReadBytes: 192, WriteBytes: 192},
		},
		{name: "gelu", op: Op{Kind: GELU, Rows: 6, Cols: 8}, want: Work{VectorOps: 4 * 48, SpecialOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "silu", op: Op{Kind: SiLU, Rows: 6, Cols: 8}, want: Work{VectorOps: 2 * 48, SpecialOps: 2 * 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "silu-mul reads two", op: Op{Kind: SiLUMul, Rows: 6, Cols: 8}, want: Work{VectorOps: 3 * 48, SpecialOps: 2 * 48, ReadBytes: 192, WriteBytes: 96}},
		{name: "gelu-mul", op: Op{Kind: GELUMul, Rows: 6, Cols: 8}, want: Work{VectorOps: 5 * 48, SpecialOps: 48, ReadBytes: 192, WriteBytes: 96}},
		{name: "relu", op: Op{Kind: ReLU, Rows: 6, Cols: 8}, want: Work{VectorOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "leaky-relu", op: Op{Kind: LeakyReLU, Rows: 6, Cols: 8}, want: Work{VectorOps: 2 * 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "elu", op: Op{Kind: ELU, Rows: 6, Cols: 8}, want: Work{VectorOps: 2 * 48, SpecialOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "selu", op: Op{Kind: SELU, Rows: 6, Cols: 8}, want: Work{VectorOps: 3 * 48, SpecialOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "tanh", op: Op{Kind: Tanh, Rows: 6, Cols: 8}, want: Work{SpecialOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "sigmoid", op: Op{Kind: Sigmoid, Rows: 6, Cols: 8}, want: Work{VectorOps: 48, SpecialOps: 2 * 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "add", op: Op{Kind: Add, Rows: 6, Cols: 8}, want: Work{VectorOps: 48, ReadBytes: 192, WriteBytes: 96}},
		{name: "mul", op: Op{Kind: Mul, Rows: 6, Cols: 8}, want: Work{VectorOps: 48, ReadBytes: 192, WriteBytes: 96}},
		// Two multiplications and two multiply-adds for a pair of elements.
		{name: "rope", op: Op{Kind: RoPE, Rows: 6, Cols: 8}, want: Work{VectorOps: 2 * 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "copy", op: Op{Kind: Copy, Rows: 6, Cols: 8, DType: INT4}, want: Work{ReadBytes: 24 + 4, WriteBytes: 24 + 4}},
		{
			// Four operations an element, a reciprocal a row; a scale of 32 bits a row, or one of 8 bits for
			// each 16 elements.
			name: "quantize",
			op:   Op{Kind: Quantize, Rows: 6, Cols: 40, ToDType: FP8},
			want: Work{VectorOps: 4 * 240, SpecialOps: 6, ReadBytes: 480, WriteBytes: 240 + 4*6},
		},
		{
			name: "quantize and turn",
			op:   Op{Kind: Quantize, Rows: 6, Cols: 40, ToDType: FP8, Outputs: []TensorID{1, 2}},
			want: Work{VectorOps: 4 * 240, SpecialOps: 6, ReadBytes: 480, WriteBytes: 2 * (240 + 4*6)},
		},
		{
			name: "quantize to blocks",
			op:   Op{Kind: Quantize, Rows: 6, Cols: 40, ToDType: NVFP4},
			want: Work{VectorOps: 4 * 240, SpecialOps: 6, ReadBytes: 480, WriteBytes: 120 + 6*3},
		},
		{
			name: "narrow operands, wide result",
			op:   Op{Kind: Gemm, Batch: 1, M: 2, N: 3, K: 4, DType: FP8, WeightDType: FP8},
			want: Work{MatrixOps: 48, ReadBytes: 8, WeightBytes: 12, WriteBytes: 12},
		},
		{name: "a gradient that is added up in FP32", op: Op{Kind: Gemm, Batch: 1, M: 2, N: 3, K: 4, Accumulate: 3, ToDType: FP32}, want: Work{MatrixOps: 48, ReadBytes: 16 + 24, WeightBytes: 24, WriteBytes: 24}},
		// Of training (Megatron-LM, fused kernels; Adam of PyTorch): what each kernel reads and writes, in BF16 where it is not said.
		{name: "cast", op: Op{Kind: Cast, Rows: 6, Cols: 8, ToDType: FP32}, want: Work{VectorOps: 48, ReadBytes: 96, WriteBytes: 192}},
		{name: "cast backward", op: Op{Kind: Cast, Rows: 6, Cols: 8, ToDType: FP32, Gradient: true}, want: Work{VectorOps: 48, ReadBytes: 192, WriteBytes: 96}},
		{name: "dropout-add writes a mask", op: Op{Kind: DropoutAdd, Rows: 6, Cols: 8}, want: Work{VectorOps: 4 * 48, ReadBytes: 192, WriteBytes: 96 + 48}},
		{name: "dropout-add backward", op: Op{Kind: DropoutAdd, Rows: 6, Cols: 8, Gradient: true}, want: Work{VectorOps: 2 * 48, ReadBytes: 96 + 48, WriteBytes: 96}},
		{name: "log-softmax", op: Op{Kind: LogSoftmax, Rows: 6, Cols: 8, DType: FP32}, want: Work{VectorOps: 4 * 48, SpecialOps: 48 + 6, ReadBytes: 384, WriteBytes: 192}},
		{name: "log-softmax backward", op: Op{Kind: LogSoftmax, Rows: 6, Cols: 8, DType: FP32, Gradient: true}, want: Work{VectorOps: 4 * 48, SpecialOps: 48, ReadBytes: 576, WriteBytes: 384}},
		{name: "cross-entropy", op: Op{Kind: CrossEntropy, Rows: 6, Cols: 8}, want: Work{VectorOps: 4 * 48, SpecialOps: 48 + 6, ReadBytes: 192}},
		{name: "cross-entropy backward", op: Op{Kind: CrossEntropy, Rows: 6, Cols: 8, Gradient: true}, want: Work{VectorOps: 4 * 48, SpecialOps: 48, ReadBytes: 96, WriteBytes: 96}},
		{name: "column-sum", op: Op{Kind: ColumnSum, Rows: 6, Cols: 8}, want: Work{VectorOps: 48, ReadBytes: 96}},
		{name: "accumulate in FP32: 10 B an element", op: Op{Kind: Accumulate, Rows: 6, Cols: 8, ToDType: FP32}, want: Work{VectorOps: 48, ReadBytes: 96 + 192, WriteBytes: 192}},
		{name: "accumulate in 16 bits: 6 B", op: Op{Kind: Accumulate, Rows: 6, Cols: 8, ToDType: BF16}, want: Work{VectorOps: 48, ReadBytes: 96 + 96, WriteBytes: 96}},
		{name: "adam: 30 B", op: Op{Kind: Adam, Rows: 6, Cols: 8, DType: FP32, ToDType: BF16}, want: Work{VectorOps: 12 * 48, SpecialOps: 2 * 48, ReadBytes: 16 * 48, WriteBytes: 14 * 48}},
		{name: "layernorm backward, once more for its weights", op: Op{Kind: LayerNorm, Rows: 6, Cols: 8, Gradient: true}, want: Work{VectorOps: 12 * 48, ReadBytes: 4 * 96, WeightBytes: 32, WriteBytes: 96}},
		{name: "gelu backward", op: Op{Kind: GELU, Rows: 6, Cols: 8, Gradient: true}, want: Work{VectorOps: 8 * 48, SpecialOps: 48, ReadBytes: 192, WriteBytes: 96}},
		{name: "silu-mul backward", op: Op{Kind: SiLUMul, Rows: 6, Cols: 8, Gradient: true}, want: Work{VectorOps: 8 * 48, SpecialOps: 2 * 48, ReadBytes: 288, WriteBytes: 192}},
		{
			// Scores once more, dP, dV, dQ and dK: five products for two (FlashAttention, arXiv 2205.14135, appendix B).
			name: "attention backward",
			op:   Op{Kind: Attention, Batch: 2, Heads: 3, KVHeads: 3, HeadDim: 4, QLen: 5, Gradient: true},
			want: Work{MatrixOps: 5 * 2 * 2 * 3 * 25 * 4, VectorOps: 6 * 150, SpecialOps: 150, ReadBytes: 5 * 240, WriteBytes: 3 * 240},
		},
		{name: "all-reduce", op: Op{Kind: AllReduce, Bytes: 100}, want: Work{ReadBytes: 100, WriteBytes: 100}},
		{name: "all-gather", op: Op{Kind: AllGather, Bytes: 100}, want: Work{ReadBytes: 100, WriteBytes: 100}},
		{name: "reduce-scatter", op: Op{Kind: ReduceScatter, Bytes: 100}, want: Work{ReadBytes: 100, WriteBytes: 100}},
		{name: "all-to-all", op: Op{Kind: AllToAll, Bytes: 100}, want: Work{ReadBytes: 100, WriteBytes: 100}},
		{name: "broadcast", op: Op{Kind: Broadcast, Bytes: 100}, want: Work{ReadBytes: 100, WriteBytes: 100}},
		{name: "send-recv", op: Op{Kind: SendRecv, Bytes: math.MaxInt64}, want: Work{ReadBytes: math.MaxInt64, WriteBytes: math.MaxInt64}},
	} {
		got, err := tt.op.Work(tt.past)
		if err != nil || got != tt.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
}

// TestEveryKindIsTested: a new kind needs a row above.
func TestEveryKindIsTested(t *testing.T) {
	if numKinds != 36 {
		t.Errorf("%d kinds; add the new ones to TestWork and here", numKinds)
	}
}

func TestWorkTooLarge(t *testing.T) {
	const d = maxDimension
	for _, tt := range []struct {
		name string
		op   Op
		past int64
	}{
		{"operations of a product", Op{Kind: Gemm, Batch: 1, M: d, N: d, K: d}, 0},
		{"bytes of a product", Op{Kind: Gemm, Batch: 1, M: d, N: d, K: 1}, 0},
		{"pairs", Op{Kind: Attention, Batch: d, Heads: 1, KVHeads: 1, HeadDim: 1, QLen: d, Past: d}, d},
		{"cache", Op{Kind: Attention, Batch: 1, Heads: d, KVHeads: d, HeadDim: 1, QLen: 1, Past: 0, Causal: true}, d},
		{"sum of the past", Op{Kind: Attention, Batch: 1, Heads: 1, KVHeads: 1, HeadDim: 1, QLen: 1, Past: d}, math.MaxInt64},
		{"elements", Op{Kind: Add, Rows: d, Cols: d}, 0},
	} {
		if w, err := tt.op.Work(tt.past); !errors.Is(err, errTooMuch) || w != (Work{}) {
			t.Errorf("%s: %+v, %v", tt.name, w, err)
		}
		if _, err := tt.op.ModelOps(tt.past); tt.op.Kind != Add && tt.name != "bytes of a product" && err == nil {
			t.Errorf("%s: no error from ModelOps", tt.name)
		}
	}
}

func TestModelOps(t *testing.T) {
	op := Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 4, HeadDim: 8, QLen: 3, Causal: true}
	// As PaLM counts (arXiv 2204.02311, appendix B): 4·B·H·D·q·keys, no mask.
	if got, err := op.ModelOps(10); err != nil || got != 4*2*4*8*3*13 {
		t.Errorf("%d, %v", got, err)
	}
	if op.Causal != true {
		t.Error("the operator has changed")
	}
}

// TestPairs counts what the mask shows, one by one.
func TestPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, past := rapid.Int64Range(1, 40).Draw(t, "q"), rapid.Int64Range(0, 40).Draw(t, "past")
		var causal int64
		for query := range q {
			for key := range past + q {
				if key <= past+query {
					causal++
				}
			}
		}
		if got := Pairs(q, past, true); got != causal {
			t.Fatalf("causal: %d, want %d", got, causal)
		}
		if got := Pairs(q, past, false); got != q*(past+q) {
			t.Fatalf("full: %d", got)
		}
	})
}

// TestPrefillIsDecodes: a causal prefill of q tokens asks for the products of q single steps.
func TestPrefillIsDecodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q, past := rapid.Int64Range(1, 50).Draw(t, "q"), rapid.Int64Range(0, 50).Draw(t, "past")
		op := Op{Kind: Attention, Batch: 2, Heads: 4, KVHeads: 2, HeadDim: 8, QLen: q, Causal: true}
		whole, err := op.Work(past)
		if err != nil {
			t.Fatal(err)
		}
		var steps units.Ops
		op.QLen = 1
		for i := range q {
			w, err := op.Work(past + i)
			if err != nil {
				t.Fatal(err)
			}
			steps += w.MatrixOps
		}
		if whole.MatrixOps != steps {
			t.Fatalf("%d at once, %d in steps", whole.MatrixOps, steps)
		}
	})
}

func TestDTypes(t *testing.T) {
	for i, name := range DTypes() {
		d, err := ParseDType(name)
		if err != nil || d != DType(i) || d.String() != name || d.Bits() == 0 {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		for _, a := range dtypes[i].aliases {
			if got, err := ParseDType(" torch." + a); err != nil || got != d {
				t.Errorf("%s: %v, %v", a, got, err)
			}
		}
		if n := d.Bytes(MaxElements); n < MaxElements/8*units.Bytes(d.Bits()) {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
	if _, err := ParseDType("fp12"); err == nil {
		t.Error("fp12 is known")
	}
	if DType(200).String() != "dtype(200)" || DType(200).Bits() != 0 {
		t.Error(DType(200))
	}
}

func TestNames(t *testing.T) {
	for i, name := range Kinds() {
		k, err := ParseKind(name)
		if err != nil || k != Kind(i) || k.String() != name {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
	for i, name := range splitNames {
		if s, err := ParseSplit(name); err != nil || s != Split(i) || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	for i, name := range roleNames {
		if r, err := ParseRole(name); err != nil || r != Role(i) || r.String() != name {
			t.Errorf("%s: %v, %v", name, r, err)
		}
	}
	for i, name := range phaseNames {
		if p, err := ParsePhase(name); err != nil || p != Phase(i) || p.String() != name {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	var unknown *UnknownName
	if _, err := ParseKind("GEMM"); !errors.As(err, &unknown) || unknown.Name != "GEMM" || len(unknown.Known) != numKinds {
		t.Errorf("%v", err)
	}
	if s := Kind(99).String(); s != "kind(99)" || Kind(99).RowWise() || Kind(99).Collective() {
		t.Error(s)
	}
	if !Add.RowWise() || Gemm.RowWise() || !SendRecv.Collective() || Add.Collective() {
		t.Error("families")
	}
}
