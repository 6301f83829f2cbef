package plan_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// oneProduct is a graph of one product.
func oneProduct(m, n, k int64, a, w traces.DType) *traces.Graph {
	b := traces.Block{Name: "b", Tensors: []traces.Tensor{
		{Name: "x", Shape: []int64{m, k}, Type: a}, {Name: "w", Shape: []int64{k, n}, Type: w, Role: traces.Weight}, {Name: "y", Shape: []int64{m, n}, Type: a.Result()}}}
	b.Ops = []traces.Op{{Name: "gemm", Kind: traces.Gemm, Inputs: []traces.TensorID{0, 1}, Outputs: []traces.TensorID{2}, DType: a, WeightDType: w, Batch: 1, M: m, N: n, K: k}}
	return &traces.Graph{Name: "product", Phase: "prefill", DType: a, Blocks: []traces.Block{b}, Runs: []traces.Run{{Phase: traces.Prefill, Times: 1}}}
}

// counted plans a graph and returns its counters by name and its time.
func counted(t tt, m *arch.Machine, g *traces.Graph, p plan.Mapping) (map[string]int64, int64) {
	prog, err := plan.Build(m, g, p)
	if err != nil {
		t.Fatal(err)
	}
	o, err := analytic.Evaluate(prog, analytic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int64{}
	for i, c := range prog.Counters {
		by[c.Name] = o.Work[i]
	}
	return by, int64(o.Makespan)
}

func a100(t tt) *arch.Machine {
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	return m
}

// TestWeightsAreWidenedOnceATile: a weight is widened by every row of tiles that uses it. With tiles of
// 128 rows, 256 rows of the result widen it twice: 15/8 operations for each element of int4 and 20 for
// each group of 128, by hand.
func TestWeightsAreWidenedOnceATile(t *testing.T) {
	m := a100(t)
	for _, c := range []struct{ rows, times int64 }{{128, 1}, {256, 2}, {1024, 8}} {
		m.Runtime.Profiles[0].Gemm.Tiles, m.Runtime.Profiles[0].Gemm.Splits = []string{"128x128"}, []int64{1}
		got, _ := counted(t, m, oneProduct(c.rows, 1024, 4096, traces.BF16, traces.INT4), plan.Mapping{})
		if want := float64(c.times*1024*4096) * (15 + 20*8/128.0) / 8; float64(got["vector.ops"]) != want {
			t.Errorf("%d rows: %d operations, want %g", c.rows, got["vector.ops"], want)
		}
	}
}

// TestNarrowNativeOperands: what the matrix unit multiplies as it is takes no vector operation and half
// the cycles; the result has 16 bits.
func TestNarrowNativeOperands(t *testing.T) {
	m := a100(t)
	m.Runtime.Profiles[0].Gemm.Tiles, m.Runtime.Profiles[0].Gemm.Splits = []string{"128x128"}, []int64{1}
	wide, _ := counted(t, m, oneProduct(4096, 4096, 4096, traces.BF16, traces.BF16), plan.Mapping{})
	narrow, _ := counted(t, m, oneProduct(4096, 4096, 4096, traces.INT8, traces.INT8), plan.Mapping{})
	if narrow["vector.ops"] != 0 || 2*narrow["matrix.cycles"] != wide["matrix.cycles"] || narrow["hbm.write"] != wide["hbm.write"] {
		t.Errorf("narrow %v\nwide %v", narrow, wide)
	}
	if narrow["matrix.int8.ops"] != 2*4096*4096*4096 {
		t.Error(narrow)
	}
}

// TestConversionsOfASingleRow: a compiled product with one row converts each weight, and the conversions
// hide behind the stream imperfectly: with a converter that is ten times slower they bound it.
func TestConversionsOfASingleRow(t *testing.T) {
	m := a100(t)
	g := oneProduct(1, 8192, 8192, traces.BF16, traces.INT8)
	got, time := counted(t, m, g, plan.Mapping{})
	if got["vector.ops"] != 8192*8192 {
		t.Errorf("%d conversions", got["vector.ops"])
	}
	m.Chip.Cores.Vector.Convert = 2
	_, slow := counted(t, m, g, plan.Mapping{})
	// 8192·8192/2 conversions on 108 cores at 1.41 GHz.
	if least := int64(220_346_000); slow < least || slow < 2*time {
		t.Errorf("%d ps, %d ps with a slow converter", time, slow)
	}
}

// TestNarrowCache: the bytes of a narrow cache and its scales, and the operations that widen it.
func TestNarrowCache(t *testing.T) {
	m := a100(t)
	attention := func(d traces.DType) *traces.Graph {
		b := traces.Block{Name: "b", Tensors: []traces.Tensor{{Name: "q", Shape: []int64{1, 4096}, Type: traces.BF16}, {Name: "o", Shape: []int64{1, 4096}, Type: traces.BF16}}}
		b.Ops = []traces.Op{{Name: "attention", Kind: traces.Attention, Inputs: []traces.TensorID{0}, Outputs: []traces.TensorID{1}, DType: traces.BF16, WeightDType: traces.BF16, KVDType: d,
			Batch: 64, Heads: 32, KVHeads: 32, HeadDim: 128, QLen: 1, Past: 4095, Causal: true}}
		return &traces.Graph{Name: "a", Phase: "decode", DType: traces.BF16, Blocks: []traces.Block{b}, Runs: []traces.Run{{Phase: traces.Decode, Times: 1}}}
	}
	wide, long := counted(t, m, attention(traces.BF16), plan.Mapping{})
	for d, each := range map[traces.DType]int64{traces.FP8: 130, traces.INT8: 130, traces.INT4: 68, traces.MXFP4: 68} {
		narrow, short := counted(t, m, attention(d), plan.Mapping{})
		// The rounds of the kernel round up.
		if bytes, want := float64(narrow["hbm.read"]-64*4096*2), float64(2*64*32*4096*each); bytes < want || bytes > 1.001*want {
			t.Errorf("%s: %g bytes of keys and values, want %g", d, bytes, want)
		}
		if narrow["vector.ops"] <= wide["vector.ops"] || short >= long {
			t.Errorf("%s: %d operations and %d ps, %d and %d with bf16", d, narrow["vector.ops"], short, wide["vector.ops"], long)
		}
	}
}

// TestWideningIsNeverFree: over random shapes, a product with narrow weights takes no less than one whose
// weights are as narrow and need no widening, and no less with a slower vector unit.
func TestWideningIsNeverFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := a100(t)
		size := rapid.Int64Range(1, 5000)
		rows, n, k := size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k")
		d := rapid.SampledFrom([]traces.DType{traces.INT8, traces.INT4, traces.INT4G32, traces.FP8, traces.FP8B128, traces.NVFP4, traces.MXFP6, traces.INT3, traces.NF4}).Draw(t, "weights")
		// One tile, so that a choice among tiles does not hide what it costs.
		m.Runtime.Profiles[0].Gemm.Tiles = []string{rapid.SampledFrom([]string{"16x64", "64x128", "128x256"}).Draw(t, "tile")}
		g := oneProduct(rows, n, k, traces.BF16, d)
		last := int64(0)
		for _, lanes := range []int64{1 << 20, 128, 64, 16} {
			m.Chip.Cores.Vector.Lanes, m.Chip.Cores.Vector.Convert = lanes, lanes
			p, err := plan.Build(m, g, plan.Mapping{})
			if err != nil {
				t.Fatal(err)
			}
			a, e := evaluate(t, p, false)
			if int64(a.Makespan) < last {
				t.Fatal(fmt.Sprintf("%d lanes: %d ps, %d with more lanes", lanes, a.Makespan, last))
			}
			last = int64(a.Makespan)
			for i := range a.Work {
				if a.Work[i] != e.Work[i] {
					t.Fatalf("%s: %d and %d", p.Counters[i].Name, a.Work[i], e.Work[i])
				}
			}
		}
	})
}

// TestPackedWeights: a row times a packed matrix takes five bytes of shared memory for two weights, 128 a cycle and core,
// and the stream of the weights beside none of it. By hand for A100 and 12288×49152 weights of 3 bits: 301989888 pairs.
func TestPackedWeights(t *testing.T) {
	const n, k = 49152, 12288
	m := a100(t)
	got, took := counted(t, m, oneProduct(1, n, k, traces.FP16, traces.INT3Channel), plan.Mapping{Profile: "gptq"})
	if want := int64(5 * n * k / 2); got["smem.read"] < want || got["smem.read"] > want+want/1000 {
		t.Errorf("%d B from tables, want %d", got["smem.read"], want)
	}
	if want := int64(3 * n * k / 2); got["vector.ops"] != want { // the fourth, which sums up, is the product's
		t.Errorf("%d operations, want %d", got["vector.ops"], want)
	}
	weights := float64(n*k*3/8 + 8*n)
	if read := float64(got["hbm.read"]); read < weights || read > 1.001*weights+4*k {
		t.Errorf("%g B of weights, want %g", read, weights)
	}
	work, load := 5.0*n*k/2/(108*128*1.41e9), weights/(0.83*2039e9)
	fixed := 500e-6 + 20e-6 + (1.4+1.1)*1e-6 // entering the model, the first dispatch, launch and start
	if want := work + load + fixed; float64(took)/1e12 < want || float64(took)/1e12 > 1.01*want {
		t.Errorf("%g s, want %g", float64(took)/1e12, want)
	}
	// Groups have scales to fetch, wider formats and more rows other kernels.
	grouped, longer := counted(t, m, oneProduct(1, n, k, traces.FP16, traces.INT3), plan.Mapping{Profile: "gptq"})
	if more := grouped["vector.ops"] - got["vector.ops"]; more != 5*n*k/128 || longer <= took {
		t.Errorf("groups: %d more operations, %d ps and %d", more, longer, took)
	}
	for _, g := range []*traces.Graph{oneProduct(2, n, k, traces.FP16, traces.INT3Channel), oneProduct(1, n, k, traces.FP16, traces.MXFP6)} {
		if c, _ := counted(t, m, g, plan.Mapping{Profile: "gptq"}); c["smem.read"] >= 5*n*k/2 || c["matrix.cycles"] == 0 {
			t.Errorf("%s in %s is not tiled", g.Name, g.Blocks[0].Ops[0].WeightDType)
		}
	}
}

// TestOperatorsOfSeveralKernels: an operator that a framework runs as n kernels has n launches, and n−1 starts of
// small kernels on top; a cache that is copied is read and written at every step.
func TestOperatorsOfSeveralKernels(t *testing.T) {
	m := a100(t)
	p, err := m.Profile("gptq")
	if err != nil {
		t.Fatal(err)
	}
	g := model(t, "opt-175b", llm.Workload{Phase: "decode", Batch: 2, Prompt: 100, Layers: 1, DType: traces.FP16, WeightDType: traces.FP16, KVDType: traces.FP16})
	with, slow := counted(t, m, g, plan.Mapping{Profile: "gptq"})
	p.Kernels, p.CopiedCache, p.Host = nil, false, nil
	without, fast := counted(t, m, g, plan.Mapping{Profile: "gptq"})
	// Six products with bias, the cache and the softmax: 6 + 1 + 4 kernels more.
	if more := with["launches"] - without["launches"]; more != 11 {
		t.Errorf("%d kernels more", more)
	}
	// Keys and values of 100 tokens and 2 sequences, 12288 elements each in 16 bits.
	if old, most := int64(2*100*2*12288*2), int64(1<<16); with["hbm.write"]-without["hbm.write"] < old || with["hbm.write"]-without["hbm.write"] > old+most {
		t.Errorf("%d B more written, want %d", with["hbm.write"]-without["hbm.write"], old)
	}
	if added, least := slow-fast, int64(11*(1.4+1.1)*1e6); added < least {
		t.Errorf("%d ps more, at least %d", added, least)
	}
	// Another length of the cache is another copy.
	g = model(t, "opt-175b", llm.Workload{Phase: "generate", Batch: 1, Prompt: 8, Generate: 3, Layers: 1, DType: traces.FP16, WeightDType: traces.FP16, KVDType: traces.FP16})
	p.CopiedCache = true
	long, _ := counted(t, m, g, plan.Mapping{Profile: "gptq"})
	p.CopiedCache = false
	short, _ := counted(t, m, g, plan.Mapping{Profile: "gptq"})
	// 8 tokens and then 9, 48 KiB each.
	if got := long["hbm.write"] - short["hbm.write"]; got < 17*49152 || got > 17*49152+4096 {
		t.Errorf("%d B copied, want %d", got, 17*49152)
	}
}
