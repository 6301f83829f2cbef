package plan_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// attending plans attention by an algorithm.
func attending(t tt, m *arch.Machine, op traces.Op, algorithm string, gradients bool) *plan.Program {
	op.Name, op.Kind, op.KVDType = "attention", traces.Attention, op.DType
	g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, DType: op.DType, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1}}}
	p, err := plan.Build(m, g, plan.Mapping{Profile: "eager", Alone: true, Overfull: true, Algorithm: algorithm, Backward: gradients})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Attention of GPT-2 medium, forward and backward: Dao et al., FlashAttention, arXiv 2205.14135, figure 2 (A100, sequences of
// 1024 tokens, 16 heads of 64 elements, batch 64; benchmarks/benchmark_flash_attention.py of its first release: fp16, dropout, no
// causal mask). Bytes by hand: S is 64·16·1024² scores of 2 B and T one tensor of 64·1024·1024 elements. Standard attention
// passes over S 18 times and over T 16 times; flash1 over T 33 times, and it keeps sums of rows, 4 B each.
func TestFlashAttentionPaper(t *testing.T) {
	m := preset(t, "a100-sxm-40gb")
	op := traces.Op{DType: traces.FP16, Batch: 64, Heads: 16, KVHeads: 16, HeadDim: 64, QLen: 1024}
	const S, T, rows = 64 * 16 * 1024 * 1024 * 2, 64 * 1024 * 1024 * 2, 64 * 16 * 1024
	for _, tc := range []struct {
		algorithm string
		byHand    int64
		bytes     float64
		seconds   float64
	}{
		// A mask of 1024² elements is read once; dropout's of a byte for each score is half of S.
		{arch.Standard, 17*S + 2*S/2 + 16*T + 2*1024*1024, 40.3e9, 41.7e-3},
		// Forward 4 walks leave and 3 find a sum; backward 4 find it, one leaves dO·O and 3 find that.
		{"flash1", 33*T + (4+3+4+1+3)*4*rows, 4.4e9, 7.3e-3},
	} {
		p := attending(t, m, op, tc.algorithm, true)
		c := counts(p)
		got := c["hbm.read"] + c["hbm.write"]
		if d := float64(got)/float64(tc.byHand) - 1; d < -1e-9 || d > 0.003 { // rounds move whole sectors
			t.Errorf("%s: %d B, by hand %d", tc.algorithm, got, tc.byHand)
		}
		if e := float64(got)/tc.bytes - 1; math.Abs(e) > 0.10 {
			t.Errorf("%s: %.2f GB, published %.2f: %+.1f %%", tc.algorithm, float64(got)/1e9, tc.bytes/1e9, 100*e)
		}
		a, e := evaluate(t, p, false)
		for _, s := range []float64{a.Makespan.Seconds(), e.Makespan.Seconds()} {
			if e := s/tc.seconds - 1; math.Abs(e) > 0.20 {
				t.Errorf("%s: %.2f ms, published %.2f: %+.1f %%", tc.algorithm, 1e3*s, 1e3*tc.seconds, 100*e)
			}
		}
	}
}

// What holds of all algorithms: both fidelities do the planned work; the fused ones move and launch no more than the
// standard one, compute no more scores forward, and backward five products of each for two.
func TestAlgorithms(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, from, to int64) int64 { return rapid.Int64Range(from, to).Draw(t, name) }
		kv := n("heads", 1, 9)
		op := traces.Op{DType: rapid.SampledFrom([]traces.DType{traces.FP16, traces.BF16}).Draw(t, "dtype"), Batch: n("batch", 1, 40), KVHeads: kv, Heads: kv * n("group", 1, 4),
			HeadDim: rapid.SampledFrom([]int64{16, 64, 80, 128}).Draw(t, "dim"), QLen: n("queries", 1, 3000), Causal: rapid.Bool().Draw(t, "causal")}
		standard := counts(attending(t, m, op, arch.Standard, true))
		name := "matrix." + op.DType.String() + ".ops"
		for _, algorithm := range []string{"flash1", "flash2"} {
			forward, p := counts(attending(t, m, op, algorithm, false)), attending(t, m, op, algorithm, true)
			a, e := evaluate(t, p, false)
			if !a.Work.Equal(p.Work()) || !e.Work.Equal(p.Work()) {
				t.Errorf("%s: work: planned %v\nanalytic %v\nevent %v", algorithm, p.Work(), a.Work, e.Work)
			}
			c := counts(p)
			if c["launches"] > standard["launches"] {
				t.Errorf("%s: %d launches, standard %d", algorithm, c["launches"], standard["launches"])
			}
			// Tiles of few scores are padded, and what is read in rounds is in whole sectors.
			if got, most := c["hbm.read"]+c["hbm.write"], standard["hbm.read"]+standard["hbm.write"]; op.QLen >= 512 && got > most {
				t.Errorf("%s: %d B, standard %d", algorithm, got, most)
			}
			if back := c[name] - forward[name]; op.QLen >= 1024 && (float64(back) < 2*float64(forward[name]) || float64(back) > 3*float64(forward[name])) {
				t.Errorf("%s: %d operations backward, %d forward", algorithm, back, forward[name])
			}
		}
	})
}

// More of anything takes no less, up to a wave of thread blocks.
func TestAlgorithmsGrow(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	for _, algorithm := range arch.Algorithms()[:3] {
		last := int64(0)
		for q := int64(64); q <= 4096; q *= 2 {
			op := traces.Op{DType: traces.FP16, Batch: 4, Heads: 16, KVHeads: 16, HeadDim: 64, QLen: q, Causal: true}
			a, e := evaluate(t, attending(t, m, op, algorithm, true), false)
			if int64(e.Makespan) <= last {
				t.Errorf("%s: %d queries take %v, half as many %d ps", algorithm, q, e.Makespan, last)
			}
			if r := float64(e.Makespan) / float64(a.Makespan); r < 0.9 || r > 1.3 {
				t.Errorf("%s: %d queries: event %v, analytic %v", algorithm, q, e.Makespan, a.Makespan)
			}
			last = int64(e.Makespan)
		}
	}
}

// Fusing on any machine: no launch more, and the same products.
func TestFusionSaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, g := machine(t), graph(t)
		mp := mapping(t, m)
		mp.Fusion = arch.FuseNone
		none := counts(build(t, m, g, mp))
		waits := slices.ContainsFunc(m.Runtime.Profiles, func(p arch.Profile) bool { return p.Intermediates != nil })
		for _, fusion := range []string{"gated-mlp", "norm-add", "flash-attention", "all"} {
			mp.Fusion = fusion
			p, err := plan.Build(m, g, mp)
			var invalid *plan.Invalid
			if errors.As(err, &invalid) && invalid.Field == "fusion" && fusion == "flash-attention" {
				continue // the machine has no such kernel
			}
			if err != nil {
				t.Fatal(err)
			}
			c := counts(p)
			if c["launches"] > none["launches"] {
				t.Errorf("%s: %d launches, %d without", fusion, c["launches"], none["launches"])
			}
			off := m.OffChip().Name
			// Pieces of streams, and rounds of attention, are whole sectors; a product with gates is tiled anew, for time and not
			// for bytes, and has a law of its own on one machine. Where tensors wait on chip it is others that do.
			if got, most := c[off+".read"]+c[off+".write"], none[off+".read"]+none[off+".write"]; !waits && (fusion == "norm-add" || fusion == "flash-attention") && got > most+most/200+512*none["launches"] {
				t.Errorf("%s: %d B, %d without", fusion, got, most)
			}
			for name, ops := range c {
				if strings.HasPrefix(name, "matrix.") && strings.HasSuffix(name, ".ops") && fusion != "all" && fusion != "flash-attention" && ops != none[name] { // attention's tiles pad or skip scores
					t.Errorf("%s: %d %s, %d without", fusion, ops, name, none[name])
				}
			}
		}
	})
}

// The intermediates of a gated network vanish: two tensors that were written and read, for each layer.
func TestGatedMLP(t *testing.T) {
	m := preset(t, "h100-sxm")
	g := model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 4096, Layers: 1})
	with := func(fusion string) map[string]int64 {
		p, err := plan.Build(m, g, plan.Mapping{Fusion: fusion})
		if err != nil {
			t.Fatal(err)
		}
		return counts(p)
	}
	const others = "flash-attention,norm-add,parallel-gemm"
	a, b := with(others+",gated-mlp"), with(others)
	if got := b["launches"] - a["launches"]; got != 1 {
		t.Errorf("%d launches fewer, want 1", got)
	}
	// x·Wg and x·Wu in fp16, 4096 tokens of 11008; chunks of a stream are whole sectors.
	for _, name := range []string{"hbm.write", "hbm.read"} {
		if got, want := b[name]-a[name], int64(2*2*4096*11008); math.Abs(float64(got)/float64(want)-1) > 0.02 {
			t.Errorf("%s: %d B fewer, by hand %d", name, got, want)
		}
	}
	if a["vector.ops"] != b["vector.ops"] || a["special.ops"] != b["special.ops"] {
		t.Errorf("operations of the activation: %d and %d fused, %d and %d alone", a["vector.ops"], a["special.ops"], b["vector.ops"], b["special.ops"])
	}
}

// On one machine with room for ordinary tiles no fusion adds a byte.
func TestFusionBytes(t *testing.T) {
	m := preset(t, "h100-sxm")
	rapid.Check(t, func(t *rapid.T) {
		g := graph(t)
		bytes := func(fusion string) int64 {
			c := counts(build(t, m, g, plan.Mapping{Fusion: fusion}))
			return c["hbm.read"] + c["hbm.write"]
		}
		none := bytes(arch.FuseNone)
		for _, fusion := range []string{"gated-mlp", "norm-add", "flash-attention", "all"} {
			if got := bytes(fusion); got > none {
				t.Errorf("%s: %d B, %d without", fusion, got, none)
			}
		}
	})
}

// What a machine cannot fuse is refused with what it can.
func TestFusionRefused(t *testing.T) {
	g := model(t, "gpt2-small", llm.Workload{Phase: "decode", Batch: 1, Prompt: 16, Layers: 1})
	for _, tc := range []struct{ machine, fusion, algorithm, want string }{
		{"a100-sxm-80gb", "decoder-pipeline", "", "fusion: a100-sxm-80gb cannot do decoder-pipeline: no runtime profile of it describes blocks as pipelines on chip (it can do flash-attention, norm-add, parallel-gemm, gated-mlp)"},
		{"a100-sxm-80gb", "norm", "", "\"norm\" is no fusion"},
		{"sn40l", "decoder-pipeline", "", "decoder-pipeline needs flash-attention"},
		{"a100-sxm-80gb", "", "flash3", "algorithm: a100-sxm-80gb has no attention kernel of algorithm \"flash3\" (it has flash1, flash2, standard"},
		{"tpu-v4", "", "flash1", "it has standard"},
	} {
		_, err := plan.Build(preset(t, tc.machine), g, plan.Mapping{Fusion: tc.fusion, Algorithm: tc.algorithm})
		var invalid *plan.Invalid
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s%s: %v, want %q", tc.machine, tc.fusion, tc.algorithm, err, tc.want)
		}
	}
}
