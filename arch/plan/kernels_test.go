package plan_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
)

// alone plans one operator by itself.
func alone(t tt, m *arch.Machine, op traces.Op, profile string) *plan.Program {
	g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, DType: op.DType, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}
	p, err := plan.Build(m, g, plan.Mapping{Profile: profile, Alone: true, Overfull: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The kernel for products in fp8 has a fixed rule by rows, launches tiles along them in pairs, and rounds
// 16-bit activations first if it is timed by itself: 1.3 times 2 B read and 1 B written for each.
func TestFP8Kernel(t *testing.T) {
	m := preset(t, "h100-sxm")
	op := func(rows int64) traces.Op {
		return traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: rows, N: 8192, K: 4096, DType: traces.FP8, WeightDType: traces.FP8}
	}
	for _, c := range []struct {
		rows int64
		tile string
		all  int64 // tiles
	}{
		{1, "16x64", 128}, {16, "16x64", 128}, {17, "64x64", 128}, {64, "64x64", 128}, {65, "64x128", 2 * 64}, {128, "64x128", 2 * 64},
		{129, "128x128", 2 * 64}, {256, "128x128", 2 * 64}, {257, "128x128", 4 * 64}, {512, "128x128", 4 * 64}, {513, "128x128", 6 * 64},
	} {
		text := explain(t, alone(t, m, op(c.rows), ""))
		var tiles int64
		for _, line := range strings.Split(text, "\n") {
			var n, times int64
			if i := strings.Index(line, "tiles "+c.tile); i < 0 {
				continue
			}
			line = strings.TrimSpace(line)
			if k, _ := fmt.Sscanf(line, "waves of %d tiles "+c.tile+" × %d", &n, &times); k == 2 {
				tiles += n * times
			} else if k, _ := fmt.Sscanf(line, "waves of %d tiles "+c.tile, &n); k == 1 {
				tiles += n
			} else if k, _ := fmt.Sscanf(line, "last wave of %d tiles "+c.tile, &n); k == 1 {
				tiles += n
			}
		}
		if tiles != c.all {
			t.Errorf("%d rows: %d tiles of %s, want %d\n%s", c.rows, tiles, c.tile, c.all, text)
		}
	}
	by := counts(alone(t, m, op(4096), ""))
	g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op(4096)}}}, Runs: []traces.Run{{Times: 1}}}
	p, err := plan.Build(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	in := counts(p)
	elements := float64(4096 * 4096)
	if got, want := by["hbm.read"]-in["hbm.read"], int64(2*(1.3*elements)); got < want || got > want+64 {
		t.Errorf("rounding reads %d B, want %d", got, want)
	}
	if got, want := by["hbm.write"]-in["hbm.write"], int64(1.3*elements); got < want-1 || got > want+64 {
		t.Errorf("rounding writes %d B, want %d", got, want)
	}
	if by["launches"] != 2 || in["launches"] != 1 {
		t.Errorf("%d launches by itself, %d in a program", by["launches"], in["launches"])
	}
}

// Heads that share keys fill a tile together: a kernel that packs them visits no more tiles than one that
// does not, the same for heads with keys of their own, and what starts longest first is not much later than any other order.
func TestPackedAttention(t *testing.T) {
	h100 := preset(t, "h100-sxm")
	rapid.Check(t, func(t *rapid.T) {
		kv := rapid.Int64Range(1, 8).Draw(t, "kv heads")
		op := traces.Op{Name: "attention", Kind: traces.Attention, Batch: rapid.Int64Range(1, 8).Draw(t, "batch"), Heads: kv * rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(t, "group"), KVHeads: kv,
			HeadDim: 128, QLen: rapid.Int64Range(2, 3000).Draw(t, "queries"), Past: rapid.Int64Range(0, 3000).Draw(t, "past"), Causal: true, DType: traces.BF16, KVDType: traces.BF16}
		plan := func(pack, longest string) map[string]int64 {
			m := *h100
			if err := m.Apply(map[string]string{"runtime.profiles[compiled].attention.pack": pack, "runtime.profiles[compiled].attention.longest_first": longest}); err != nil {
				t.Fatal(err)
			}
			p := alone(t, &m, op, "")
			a, _ := evaluate(t, p, false)
			c := counts(p)
			c["ps"] = int64(a.Makespan)
			return c
		}
		packed, single, inOrder := plan("true", "true"), plan("false", "true"), plan("true", "false")
		const ops = "matrix.bf16.ops"
		if packed[ops] > single[ops] || op.Heads == kv && packed[ops] != single[ops] {
			t.Errorf("%d operations packed, %d not", packed[ops], single[ops])
		}
		w, err := op.Work(0)
		if err != nil {
			t.Fatal(err)
		}
		if packed[ops] < int64(w.MatrixOps) {
			t.Errorf("%d operations are fewer than the %d of the pairs that are not masked", packed[ops], w.MatrixOps)
		}
		// Longest first is at most 4/3 of the best order (Graham, SIAM J. Appl. Math. 17, 1969), and another order may be best.
		if packed["ps"] > inOrder["ps"]+inOrder["ps"]/3 {
			t.Errorf("%d ps when the longest start first, %d ps in order", packed["ps"], inOrder["ps"])
		}
	})
}

// The first kernel that suits the case is taken, and the profile's own for the rest.
func TestAttentionVariants(t *testing.T) {
	m := preset(t, "h100-sxm")
	p, err := m.Profile("vllm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		decode bool
		cache  traces.DType
		want   *arch.AttentionKernel
		made   bool
	}{
		{false, traces.BF16, p.Attention, false}, {false, traces.FP8, &p.AttentionFor[0].Kernel, true},
		{true, traces.FP8, &p.AttentionFor[1].Kernel, true}, {true, traces.BF16, &p.AttentionFor[2].Kernel, false}, {true, traces.INT8, &p.AttentionFor[2].Kernel, false},
	} {
		if got, made := p.AttentionKernel(c.decode, false, c.cache); got != c.want || made != c.made {
			t.Errorf("decode %t, cache %v: %+v, %t", c.decode, c.cache, got, made)
		}
	}
}

// A product of a narrow format on B200 is computed by pairs of cores, also where one of them has no rows of it; a cluster may
// lie along the columns too.
func TestClusters(t *testing.T) {
	k := arch.GemmKernel{Tiles: []string{"32x128", "64x128", "128x128"}, Clusters: []string{"1x4", "2x1", "2x2"}}
	for _, c := range []struct{ rows, cols, m, n int64 }{{32, 128, 1, 4}, {64, 128, 2, 1}, {128, 128, 2, 2}, {256, 128, 1, 1}} {
		if m, n := k.ClusterOf(c.rows, c.cols); m != c.m || n != c.n {
			t.Errorf("%dx%d: cluster %dx%d, want %dx%d", c.rows, c.cols, m, n, c.m, c.n)
		}
	}
	if m, n := (&arch.GemmKernel{Tiles: []string{"64x64"}, Cluster: 2}).ClusterOf(64, 64); m != 2 || n != 1 {
		t.Errorf("one cluster for all tiles: %dx%d", m, n)
	}
	m := preset(t, "b200-sxm")
	op := traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: 1, N: 12288, K: 6144, DType: traces.NVFP4, WeightDType: traces.NVFP4}
	if text := explain(t, alone(t, m, op, "")); !strings.Contains(text, "wave of 192 tiles 128x128") && !strings.Contains(text, "wave of 96 tiles 128x256") {
		t.Errorf("a row over 96 or 48 columns of tiles, in pairs:\n%s", text)
	}
}

// Rows of padding in a tile take part of the time that rows of the product take: 257 rows in four tiles of 128 are half
// padding, and a padding of 0.25 makes that an eighth more.
func TestPadding(t *testing.T) {
	m := preset(t, "h100-sxm")
	cycles := func(rows int64) int64 {
		return counts(alone(t, m, traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: rows, N: 8192, K: 4096, DType: traces.FP8, WeightDType: traces.FP8}, ""))["matrix.cycles"]
	}
	full, most := float64(cycles(512)), float64(cycles(257))
	if got, want := most/full, 1+0.25*(512-257)/512; math.Abs(got/want-1) > 0.005 {
		t.Errorf("257 rows take %g of what 512 take, want %g", got, want)
	}
}

// What a product leaves in the shared cache it finds there when it is timed over and over: a small one reads less than its
// operands from off chip, a large one and one in a program all of them, and more rows never read less.
func TestReplayedProducts(t *testing.T) {
	for _, name := range []string{"a100-sxm-80gb", "h100-sxm", "b200-sxm", "rtx-pro-6000"} {
		m := preset(t, name)
		off := m.OffChip().Name + ".read"
		op := func(n, k, rows int64) traces.Op {
			return traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: rows, N: n, K: k, DType: traces.BF16, WeightDType: traces.BF16}
		}
		small, large := op(512, 512, 64), op(16384, 16384, 64)
		if got, all := counts(alone(t, m, small, ""))[off], int64(2*512*(512+64)); got >= all/2 {
			t.Errorf("%s: a small product reads %d of its %d B from off chip", name, got, all)
		}
		if got, all := counts(alone(t, m, large, ""))[off], int64(2*16384*(16384+64)); got < all {
			t.Errorf("%s: a large product reads %d of its %d B from off chip", name, got, all)
		}
		g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{small}}}, Runs: []traces.Run{{Times: 1}}}
		p, err := plan.Build(m, g, plan.Mapping{})
		if err != nil {
			t.Fatal(err)
		}
		if got, all := counts(p)[off], int64(2*512*(512+64)); got < all {
			t.Errorf("%s: a product in a program reads %d of its %d B from off chip", name, got, all)
		}
		rapid.Check(t, func(t *rapid.T) {
			n, k := 64*rapid.Int64Range(1, 64).Draw(t, "n"), 64*rapid.Int64Range(1, 64).Draw(t, "k")
			rows := rapid.Int64Range(2, 512).Draw(t, "rows")
			a, b := counts(alone(t, m, op(n, k, rows), "")), counts(alone(t, m, op(2*n, k, rows), ""))
			if a[off] > b[off]+4096 {
				t.Errorf("%s: %d B for %d columns, %d B for twice as many", name, a[off], n, b[off])
			}
		})
	}
}

// Products take longer the larger they are, up to a tile more or less, where the library has a menu; never less than the
// floor.
func TestProductsGrow(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		m := preset(tt, rapid.SampledFrom([]string{"a100-sxm-80gb", "a30", "h100-sxm", "b200-sxm", "rtx-a6000", "rtx-3090", "rtx-pro-6000", "l40s", "arc-pro-b60", "mi210"}).Draw(t, "machine"))
		d := [3]int64{rapid.Int64Range(2, 9000).Draw(t, "m"), 64 * rapid.Int64Range(1, 200).Draw(t, "n"), 64 * rapid.Int64Range(1, 200).Draw(t, "k")}
		time := func(d [3]int64) float64 {
			p := alone(t, m, traces.Op{Name: "gemm", Kind: traces.Gemm, Batch: 1, M: d[0], N: d[1], K: d[2], DType: traces.BF16, WeightDType: traces.BF16}, "")
			o, err := analytic.Evaluate(p, analytic.Options{})
			if err != nil {
				t.Fatal(err)
			}
			floor, err := analytic.Floor(p, analytic.Options{})
			if err != nil || floor > o.Makespan {
				t.Fatalf("%v: floor %v of %v: %v", d, floor, o.Makespan, err)
			}
			return float64(o.Makespan)
		}
		base := time(d)
		for i := range d {
			e := d
			e[i] *= 2
			if got := time(e); got < 0.97*base {
				t.Errorf("%s %v takes %g us, %v %g us", m.Name, d, base*1e-6, e, got*1e-6)
			}
		}
	})
}

// A kernel may be for heads that share keys alone, or for those that do not.
func TestGroupedVariants(t *testing.T) {
	p, err := preset(t, "tpu-v6e").Profile("xla")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		decode, grouped bool
		want            *arch.AttentionKernel
	}{{true, true, &p.AttentionFor[0].Kernel}, {true, false, &p.AttentionFor[1].Kernel}, {false, true, p.Attention}, {false, false, p.Attention}} {
		if got, _ := p.AttentionKernel(c.decode, c.grouped, traces.BF16); got != c.want {
			t.Errorf("decode %t, grouped %t: %+v, want %+v", c.decode, c.grouped, got, c.want)
		}
	}
}
