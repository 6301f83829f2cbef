package plan_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
)

// without returns a machine whose caches hold nothing from replay to replay.
func without(t testing.TB, name string) *arch.Machine {
	m := preset(t, name)
	m.SharedSRAM().Replay = 0
	return m
}

func rowOp(kind traces.Kind, rows, cols int64) traces.Op {
	return traces.Op{Name: "op", Kind: kind, Rows: rows, Cols: cols, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16}
}

// An eager RMS norm is eight kernels that move 36 B an element in 16 bits (cast 6, square 8, mean 4, scale 8, cast 6, weight 4)
// and numbers a row; an eager gated activation is two of 4 and 6 B (LLMServingSim, HF eager, torch.profiler). Fused they
// are one kernel of 4 and 6 B.
func TestChains(t *testing.T) {
	for _, c := range []struct {
		kind            traces.Kind
		profile         string
		launches, bytes int64
	}{
		{traces.RMSNorm, "eager", 8, 36}, {traces.SiLUMul, "eager", 2, 10}, {traces.LayerNorm, "eager", 1, 4}, {traces.GELU, "eager", 1, 4},
		{traces.RMSNorm, "vllm", 1, 4}, {traces.SiLUMul, "vllm", 1, 6},
	} {
		const rows, cols = 2048, 4096
		by := counts(alone(t, without(t, "h100-sxm"), rowOp(c.kind, rows, cols), c.profile))
		moved, want := by["hbm.read"]+by["hbm.write"], c.bytes*rows*cols
		if by["launches"] != c.launches || moved < want || moved > want+want/100 {
			t.Errorf("%s, %s: %d launches, %d B; want %d and %d", c.kind, c.profile, by["launches"], moved, c.launches, want)
		}
	}
}

// An operator that is measured again and again finds what has room on chip; in a model, and where it has no room, it is
// read from memory.
func TestReplays(t *testing.T) {
	m := preset(t, "a100-sxm-80gb") // 40 MiB of L2, 0.65 of which is found
	small, large := rowOp(traces.Add, 256, 8192), rowOp(traces.Add, 8192, 8192)
	if by := counts(alone(t, m, small, "sarathi")); by["hbm.read"]+by["hbm.write"] > 1<<10 || by["l2.read"] < 2*2*256*8192 || by["l2.write"] < 2*256*8192 {
		t.Errorf("12 MB: %v", by)
	}
	if by := counts(alone(t, m, large, "sarathi")); by["hbm.read"] < 2*2*8192*8192 || by["hbm.write"] < 2*8192*8192 {
		t.Errorf("400 MB: %v", by)
	}
	g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{small}}}, Runs: []traces.Run{{Times: 1}}}
	p, err := plan.Build(m, g, plan.Mapping{Profile: "sarathi"})
	if err != nil {
		t.Fatal(err)
	}
	if by := counts(p); by["hbm.read"] < 2*2*256*8192 {
		t.Errorf("in a model: %v", by)
	}
}

// More rows and more columns never take less time, on any machine and in any of its profiles, but for three hundredths by
// which chunks are rounded and a few elements more go to a second core, and where a kernel launches other blocks of threads for so many rows or columns.
func TestRowsAreMonotone(t *testing.T) {
	names := presets.Names()
	rapid.Check(t, func(t *rapid.T) {
		m, err := presets.Machine(rapid.SampledFrom(names).Draw(t, "machine"))
		if err != nil {
			t.Fatal(err)
		}
		m.WriteOut()
		profile := rapid.SampledFrom(m.Runtime.Profiles).Draw(t, "profile")
		kind := rapid.SampledFrom([]traces.Kind{traces.RMSNorm, traces.LayerNorm, traces.Softmax, traces.SiLUMul, traces.GELU, traces.RoPE, traces.Add, traces.Copy}).Draw(t, "kind")
		rows, cols := rapid.Int64Range(1, 20000).Draw(t, "rows"), 8*rapid.Int64Range(1, 4000).Draw(t, "cols")
		rows2, cols2 := rows+rapid.Int64Range(0, 5000).Draw(t, "more rows"), cols+8*rapid.Int64Range(0, 1000).Draw(t, "more cols")
		for i := range profile.Vector {
			if k := &profile.Vector[i]; k.Block(rows, cols) != k.Block(rows2, cols2) {
				return
			}
		}
		a, e := evaluate(t, alone(t, m, rowOp(kind, rows, cols), profile.Name), false)
		a2, e2 := evaluate(t, alone(t, m, rowOp(kind, rows2, cols2), profile.Name), false)
		if float64(a2.Makespan) < 0.97*float64(a.Makespan) || float64(e2.Makespan) < 0.97*float64(e.Makespan) {
			t.Errorf("%d×%d: %v and %v, %d×%d: %v and %v", rows, cols, a.Makespan, e.Makespan, rows2, cols2, a2.Makespan, e2.Makespan)
		}
	})
}

func mixture(tokens, ep, skew int64) traces.Op {
	return traces.Op{Name: "moe", Kind: traces.MoE, M: tokens, K: 2048, N: 768, Experts: 128, TopK: 8, EP: ep, SkewMilli: skew, Gated: true, DType: traces.BF16, WeightDType: traces.BF16}
}

// What a mixture of experts moves off chip, worked out by hand: weights of the experts that have rows, once; and the rows of
// all ranks but the products, unless the library leaves out those of others.
func TestMixtureBytes(t *testing.T) {
	const h, i, k = 2048, 768, 8
	for _, c := range []struct {
		machine    string
		tokens, ep int64
		experts    int64 // with rows
		all        bool  // rows of other ranks too
	}{
		{"h100-sxm", 4096, 1, 128, true}, {"h100-sxm", 4096, 8, 16, true}, {"h100-sxm", 2, 1, 16, true}, {"arc-pro-b60", 4096, 8, 16, false},
	} {
		m := without(t, c.machine)
		by := counts(alone(t, m, mixture(c.tokens, c.ep, 0), "vllm"))
		rows := c.tokens * k
		if !c.all {
			rows /= c.ep
		}
		local := c.tokens * k / c.ep
		off := m.OffChip().Name
		read := 2 * (c.experts*3*h*i + min(c.tokens, local)*h + local*i + 2*rows*i + rows*h)
		write := 2 * (2*rows*i + rows*i + rows*h + c.tokens*h)
		if got := by[off+".read"]; got < read || got > read+read/50+64*1024 {
			t.Errorf("%+v: %d B read, want %d", c, got, read)
		}
		if got := by[off+".write"]; got < write || got > write+write/50+64*1024 {
			t.Errorf("%+v: %d B written, want %d", c, got, write)
		}
	}
}

// More tokens never take a mixture of experts less time where the library keeps its tile; rows that are not aligned, a skew
// and zeros for other ranks cost time.
func TestMixtures(t *testing.T) {
	for _, name := range []string{"a100-sxm-80gb", "h100-sxm", "b200-sxm", "rtx-pro-6000", "arc-pro-b60"} {
		m := preset(t, name)
		lib, err := m.Profile("vllm")
		if err != nil {
			t.Fatal(err)
		}
		us := func(op traces.Op) float64 {
			a, e := evaluate(t, alone(t, m, op, "vllm"), false)
			if x := float64(e.Makespan) / float64(a.Makespan); x < 0.97 || x > 1.03 {
				t.Errorf("%s, %d tokens: event %v, analytic %v", name, op.M, e.Makespan, a.Makespan)
			}
			return e.Makespan.Seconds() * 1e6
		}
		last, tile := 0.0, ""
		for tokens := int64(1); tokens <= 1<<15; tokens *= 2 {
			menu := lib.MoE.Menu(8*tokens, tokens, 128)
			now := us(mixture(tokens, 1, 0))
			if len(menu) != 1 || menu[0] == tile && now < last {
				t.Errorf("%s: %d tokens %.1f us, half of them %.1f us", name, tokens, now, last)
			}
			if skewed := us(mixture(tokens, 8, 1200)); tokens >= 512 && skewed < us(mixture(tokens, 8, 0)) {
				t.Errorf("%s: %d tokens with a skew %.1f us", name, tokens, skewed)
			}
			last, tile = now, menu[0]
		}
		if lib.MoE.Scalar > 0 {
			ragged := mixture(4096, 1, 0)
			ragged.N = 764
			if a, b := us(ragged), us(mixture(4096, 1, 0)); a < 1.3*b {
				t.Errorf("%s: rows that are not aligned %.1f us, aligned %.1f us", name, a, b)
			}
		}
	}
}

// A library takes its tile by rows an expert gets on average, or its first one.
func TestMixtureMenu(t *testing.T) {
	k := &arch.MoEKernel{Tiles: []string{"16x128", "32x128", "64x128"}, UpTo: []int64{1, 16}, Few: true}
	for _, c := range []struct {
		rows, tokens, experts int64
		want                  string
	}{{1024, 128, 128, "16x128"}, {1032, 129, 128, "32x128"}, {2048, 256, 128, "32x128"}, {2056, 257, 128, "64x128"}, {129, 129, 129, "16x128"}} {
		if got := k.Menu(c.rows, c.tokens, c.experts); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if got := (&arch.MoEKernel{Tiles: k.Tiles}).Menu(8, 1, 8); len(got) != 3 {
		t.Errorf("a library without a rule chooses from %v", got)
	}
}
