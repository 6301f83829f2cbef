package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// attentionOp is attention by itself, of sequences with some new tokens after cached ones.
func attentionOp(batch, heads, kvHeads, qlen, past int64) traces.Op {
	return traces.Op{Name: "attention", Kind: traces.Attention, Batch: batch, Heads: heads, KVHeads: kvHeads, HeadDim: 128, QLen: qlen, Past: past, Causal: true, DType: traces.BF16, KVDType: traces.BF16}
}

// libraries are machines and profiles with a kernel of each library.
var libraries = []struct{ machine, profile string }{
	{"a100-sxm-80gb", "vllm"}, {"a30", "sarathi"}, {"h100-sxm", "vllm"}, {"b200-sxm", "vllm"}, {"rtx-pro-6000", "vllm"}, {"rtx-pro-6000", "vllm_flash"}, {"l40s", "vllm_flash"}, {"rtx-4090", "vllm"},
	{"rtx-a6000", "eager"}, {"arc-pro-b60", "vllm"},
}

// More sequences, heads, new tokens or cached ones never take less time, but for what tiles, waves and parts round: four times as
// many never do. No fidelity is faster than the floor.
func TestAttentionGrows(t *testing.T) {
	machines := map[string]*arch.Machine{}
	for _, lib := range libraries {
		machines[lib.machine] = preset(t, lib.machine)
	}
	rapid.Check(t, func(t *rapid.T) {
		lib := rapid.SampledFrom(libraries).Draw(t, "library")
		m := machines[lib.machine]
		kv := rapid.Int64Range(1, 8).Draw(t, "kv heads")
		d := [5]int64{rapid.Int64Range(1, 64).Draw(t, "batch"), kv * rapid.SampledFrom([]int64{1, 4, 8}).Draw(t, "group"), kv,
			rapid.SampledFrom([]int64{1, 1, 16, 100, 1000}).Draw(t, "queries"), rapid.Int64Range(0, 5000).Draw(t, "past")}
		ask := func(d [5]int64) (closed, played int64) {
			p := alone(t, m, attentionOp(d[0], d[1], d[2], d[3], d[4]), lib.profile)
			a, e := evaluate(t, p, false)
			floor, err := analytic.Floor(p, analytic.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if a.Makespan < floor || e.Makespan < floor {
				t.Errorf("%v: %v and %v, the floor is %v", d, a.Makespan, e.Makespan, floor)
			}
			return int64(a.Makespan), int64(e.Makespan)
		}
		a, e := ask(d)
		if diff := float64(e)/float64(a) - 1; diff > 0.03 || diff < -0.03 {
			t.Errorf("%v: the fidelities are %.1f %% apart", d, 100*diff)
		}
		dim := rapid.SampledFrom([]int{0, 3, 4}).Draw(t, "dimension")
		if dim == 3 && d[3] == 1 {
			return // from decoding to a prompt the kernel is another
		}
		more := d
		if more[dim] *= 4; dim == 4 {
			more[dim] += 128
		}
		// Where blocks fill the cores the cache of a head is not divided, and the pass that joins the parts is spared.
		p, err := m.Profile(lib.profile)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := m.Resolved(p).AttentionKernel(d[3] == 1, d[1] > d[2], traces.BF16)
		spared := int64(0)
		if at.Split != "" {
			rows := units.CeilDiv(d[0]*d[1]*d[3], m.Chip.Cores.Count) // of a core, joined one after the other
			spared = int64(p.Launch + at.Fill + at.Combine + m.Chip.Clock.At(units.Cycles(rows*int64(at.Join))))
		}
		if a4, e4 := ask(more); a4 < a-spared || e4 < e-spared {
			t.Errorf("%v take %d and %d ps, %v only %d and %d", d, a, e, more, a4, e4)
		}
	})
}

// A chunk of a prompt and sequences that decode are one launch where the library takes both together, else two; what the
// graph asks for is counted either way.
func TestMixedAttention(t *testing.T) {
	for _, c := range []struct {
		machine  string
		launches int64
	}{{"rtx-pro-6000", 1}, {"a100-sxm-80gb", 1}, {"h100-sxm", 1}, {"b200-sxm", 2}} {
		m := preset(t, c.machine)
		chunk, decode := attentionOp(1, 32, 8, 512, 1024), attentionOp(64, 32, 8, 1, 2048)
		decode.Name = "attention.decode"
		g := &traces.Graph{Name: "op", Phase: "prefill", Batch: 1, DType: traces.BF16, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{chunk, decode}}}, Runs: []traces.Run{{Times: 1}}}
		p, err := plan.Build(m, g, plan.Mapping{Profile: "vllm", Overfull: true})
		if err != nil {
			t.Fatal(err)
		}
		n := counts(p)
		var ops int64
		for _, op := range []traces.Op{chunk, decode} {
			w, err := op.Work(0)
			if err != nil {
				t.Fatal(err)
			}
			ops += int64(w.MatrixOps)
		}
		if n["launches"] != c.launches || n["matrix.bf16.ops"] < ops {
			t.Errorf("%s: %d launches, want %d; %d operations of at least %d", c.machine, n["launches"], c.launches, n["matrix.bf16.ops"], ops)
		}
		a, e := evaluate(t, p, false)
		first, _ := makespan(t, alone(t, m, chunk, "vllm"))
		if a.Makespan < first || e.Makespan < first {
			t.Errorf("%s: %v and %v together, the chunk alone %v", c.machine, a.Makespan, e.Makespan, first)
		}
	}
}

// A kernel that is timed over and over finds in L2 what has room there, unless its cache is cold; a framework that writes the
// cache in the operator does so only where the operator is all there is.
func TestAttentionByItself(t *testing.T) {
	const kv = 16 * 1025 * 8 * 512 // bytes of keys and values: 67 MB of the 128 MiB of L2
	op := attentionOp(16, 32, 8, 1, 1024)
	read := func(machine, profile string, by bool) (bytes, launches int64) {
		m := preset(t, machine)
		g := &traces.Graph{Name: "op", Phase: "decode", Batch: 1, DType: op.DType, Blocks: []traces.Block{{Name: "main", Ops: []traces.Op{op}}}, Runs: []traces.Run{{Times: 1, Phase: traces.Decode}}}
		p, err := plan.Build(m, g, plan.Mapping{Profile: profile, Alone: by, Overfull: true})
		if err != nil {
			t.Fatal(err)
		}
		n := counts(p)
		return n["gddr.read"] + n["hbm.read"], n["launches"]
	}
	if got, _ := read("rtx-pro-6000", "vllm_flash", true); got > kv/50 {
		t.Errorf("%d of %d B are read again", got, kv)
	}
	for _, c := range []struct {
		profile string
		by      bool
	}{{"vllm", true}, {"vllm", false}, {"vllm_flash", false}} {
		if got, _ := read("rtx-pro-6000", c.profile, c.by); got < kv {
			t.Errorf("%s: %d B are read of a cold cache of %d", c.profile, got, kv)
		}
	}
	for _, c := range []struct {
		by   bool
		want int64
	}{{true, 2}, {false, 1}} {
		if _, got := read("a100-sxm-80gb", "vllm", c.by); got != c.want {
			t.Errorf("%d launches, want %d", got, c.want)
		}
	}
}
