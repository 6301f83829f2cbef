package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
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
// 16-bit activations first if it is timed by itself: 1.08 times 2 B read and 1 B written for each.
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
	if got, want := by["hbm.read"]-in["hbm.read"], int64(2*(1.08*elements)); got < want || got > want+64 {
		t.Errorf("rounding reads %d B, want %d", got, want)
	}
	if got, want := by["hbm.write"]-in["hbm.write"], int64(1.08*elements); got < want-1 || got > want+64 {
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
		if got, made := p.AttentionKernel(c.decode, c.cache); got != c.want || made != c.made {
			t.Errorf("decode %t, cache %v: %+v, %t", c.decode, c.cache, got, made)
		}
	}
}
