package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// A fused layer is one launch, reads every weight and cached byte once and nothing else but its input, and
// leaves one tensor and the new keys and values: worked out by hand for Llama 2 7B on one SN40L.
func TestPipelineTraffic(t *testing.T) {
	m := preset(t, "sn40l")
	const layers, hidden, ffn, vocab = 32, 4096, 11008, 32000
	weights := int64(2 * (layers*(4*hidden*hidden+3*hidden*ffn+2*hidden) + hidden + hidden*vocab))
	for _, tc := range []struct {
		name         string
		w            llm.Workload
		tokens, past int64
	}{
		{"decode", llm.Workload{Phase: "decode", Batch: 1, Prompt: 1024}, 1, 1024},
		{"prefill", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 1024}, 1024, 0},
	} {
		g := model(t, "llama2-7b", tc.w)
		p, err := plan.Build(m, g, plan.Mapping{})
		if err != nil {
			t.Fatal(err)
		}
		c := counts(p)
		if got, want := c["launches"], int64(1+layers+1); got != want {
			t.Errorf("%s: %d launches, want %d", tc.name, got, want)
		}
		x := 2 * tc.tokens * hidden // bytes of a tensor between layers
		cache := int64(2 * 2 * hidden * layers)
		// Per layer its input; embedding: rows of the table and 4 B of each token's number; head: its input.
		read := weights + cache*tc.past + (layers+2)*x + 4*tc.tokens
		logits := int64(2 * vocab)
		if tc.name == "prefill" { // the head sees the last token alone, but reads the whole tensor it is taken from or one row
			read -= x - 2*hidden
		}
		write := (layers+1)*x + cache*tc.tokens + logits
		near := func(what string, got, want int64) {
			if d := got - want; d < 0 || float64(d) > 0.002*float64(want)+1e6 {
				t.Errorf("%s: %d B %s, by hand %d", tc.name, got, what, want)
			}
		}
		near("read", c["hbm.read"], read)
		near("written", c["hbm.write"], write)
	}
}

// Fused or not, the products and the model's operations are the same, a pipeline moves no more through
// memory and as much between chips, and takes no longer to launch.
func TestPipelineAgainstKernels(t *testing.T) {
	m := preset(t, "sn40l")
	rapid.Check(t, func(t *rapid.T) {
		g := graph(t, traces.INT8)
		tp := rapid.SampledFrom([]int64{1, 2, 4, 8}).Draw(t, "tp")
		fused, single := build(t, m, g, plan.Mapping{TP: tp, Profile: "fused-host"}), build(t, m, g, plan.Mapping{TP: tp, Profile: "unfused"})
		a, b := counts(fused), counts(single)
		for _, d := range []traces.DType{traces.BF16, traces.FP16, traces.INT8} {
			name := "matrix." + d.String() + ".ops"
			if a[name] > b[name] { // causal attention skips what is masked
				t.Errorf("%d %s in a pipeline, %d in kernels", a[name], name, b[name])
			}
		}
		for _, name := range []string{"hbm.read", "hbm.write", "launches"} {
			if a[name] > b[name] {
				t.Errorf("%d %s in a pipeline, %d in kernels", a[name], name, b[name])
			}
		}
		// Rounds of tiles are whole bytes, and a collective has at most 256 of them.
		if more := a["link.sent"] - b["link.sent"]; more < 0 || more > 256*b["launches"] {
			t.Errorf("%d B sent in a pipeline, %d by kernels", a["link.sent"], b["link.sent"])
		}
	})
}

// Tensors that cross a collective wait on chip while there is room, and go through memory when there is not.
func TestPipelineSpills(t *testing.T) {
	g := model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 8, Prompt: 1024})
	moved := map[bool]int64{}
	for _, small := range []bool{false, true} {
		m := preset(t, "sn40l")
		if small {
			m.SharedSRAM().Capacity /= 8 // 65 MiB: weights of half a layer over eight chips, and not 2·64 MiB of tensors
		}
		p, err := plan.Build(m, g, plan.Mapping{TP: 8})
		if err != nil {
			t.Fatal(err)
		}
		moved[small] = counts(p)["hbm.write"]
	}
	const x = 8 * 1024 * 4096 * 2
	if more := moved[true] - moved[false]; more < 32*x {
		t.Errorf("%d B more are written with little room, want at least a tensor a layer, %d B", more, 32*x)
	}
}
