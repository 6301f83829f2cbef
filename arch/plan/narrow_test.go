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
