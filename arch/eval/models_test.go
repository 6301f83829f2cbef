package eval_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// modelsByHand are models of every kind: a decode step of 4 sequences with 1000 tokens cached, or one pass over
// 4 sequences for those that have no other. ops is what a model does for one token, from its published
// shape: two operations for each weight that it passes, and for each pair of a query and a key two for
// every element of key and value. kv is the elements in the cache of one sequence, shared those that all have
// in common, weights the parameters held.
var modelsByHand = []struct {
	name            string
	w               llm.Workload
	ops             float64 // of a sequence
	once            float64 // of the batch, whatever its size
	kv, shared      int64
	weights         int64
	executedDiffers bool // causal tiles are visited whole, so HFU is another figure
}{
	{name: "llama3-8b", // arXiv 2407.21783, table 3: grouped queries
		ops: 32*(2*(4096*(32+16)*128+4096*4096+3*4096*14336)+4*32*128*1001) + 2*4096*128256,
		kv:  1001 * 32 * 2 * 8 * 128, weights: 8030261248},
	{name: "bloom-176b", // arXiv 2211.05100, table 3: heads of their own
		ops: 70*(2*12*14336*14336+4*14336*1001) + 2*14336*250880,
		kv:  1001 * 70 * 2 * 14336, weights: 176247271424},
	{name: "palm-8b", // arXiv 2204.02311, table 1: one key/value head, parallel blocks
		ops: 32*(2*(4096*(16+2)*256+16*256*4096+3*4096*16384)+4*16*256*1001) + 2*4096*256000,
		kv:  1001 * 32 * 2 * 256, weights: 8632012800},
	{name: "mixtral-8x7b", // arXiv 2401.04088, table 1: two of eight experts
		ops: 32*(2*(4096*(32+16)*128+4096*4096+4096*8+2*3*4096*14336)+4*32*128*1001) + 2*4096*32000,
		kv:  1001 * 32 * 2 * 8 * 128, weights: 46702792704},
	{name: "qwen3-235b-a22b", // arXiv 2505.09388, table 2: eight of 128
		ops: 94*(2*(4096*(64+8)*128+64*128*4096+4096*128+8*3*4096*1536)+4*64*128*1001) + 2*4096*151936,
		kv:  1001 * 94 * 2 * 4 * 128, weights: 235093634560},
	{name: "deepseek-v3", // arXiv 2412.19437, section 4.2: latent attention, absorbed; three dense layers
		ops: 61*(2*(7168*1536+7168*576+1536*128*192+128*128*512+128*512*128+128*128*7168)+2*128*1001*(576+512)) +
			3*2*3*7168*18432 + 58*2*(7168*256+(8+1)*3*7168*2048) + 2*7168*129280,
		kv: 1001 * 61 * 576, weights: 671026419200},
	{name: "gpt-oss-20b", // model card: every second layer sees 128 tokens
		ops: 24*2*(2880*(64+16)*64+64*64*2880+2880*32+4*3*2880*2880) + 12*4*64*64*(1001+128) + 2*2880*201088,
		kv:  12 * (1001 + 128) * 2 * 8 * 64, weights: 20914757184},
	{name: "chinchilla-70b", // arXiv 2203.15556, table 4: distances are projected once for all sequences
		ops:  80*(2*12*8192*8192+6*8192*1001) + 2*8192*32000,
		once: 80 * 2 * 8192 * 8192,
		kv:   1001 * 80 * 2 * 8192, shared: 1001 * 80 * 8192, weights: 70056681472},
	{name: "t5-large", // arXiv 1910.10683: the first step of the decoder, which sees 1000 tokens of the encoder
		ops: 24*(2*(4*1024*1024+2*1024*1024+2*1024*4096)+4*1024*1+4*1024*1000) + 2*1024*32128,
		kv:  24 * (1 + 1000) * 2 * 1024,
		// The token table, and a layer without the cross-attention's keys and values, which are there already.
		weights: 32128*1024 + 24*(4*1024*1024+2*1024*1024+2*1024*4096+3*1024) + 1024},
	{name: "bert-base", w: llm.Workload{Phase: "prefill", Batch: 4, Prompt: 100}, // arXiv 1810.04805: no mask, no cache
		ops:     100*12*(2*12*768*768+4*768*100) + 2*768*768,
		weights: 109482240, executedDiffers: true},
	{name: "vit-b16-224", w: llm.Workload{Phase: "prefill", Batch: 4, Prompt: 197}, // arXiv 2010.11929, table 1
		ops:     196*2*768*768 + 197*12*(2*12*768*768+4*768*197) + 2*768*1000,
		weights: 86567656, executedDiffers: true},
}

// TestModelsByHand compares MFU, HFU, cache and weights of every kind of model with closed forms.
func TestModelsByHand(t *testing.T) {
	for _, tt := range modelsByHand {
		w := tt.w
		if w.Phase == "" {
			w = llm.Workload{Phase: "decode", Batch: 4, Prompt: 1000}
		}
		r := request(t, "a100-sxm-80gb", tt.name, w, 1)
		r.Mapping.Overfull, r.Fidelity = true, eval.Analytic
		a := run(t, r).Answer
		const peak = 108 * 1024 * 2 * 1.41e9 // A100, 16 bits
		near := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-9*want {
				t.Errorf("%s: %s is %.9g, by hand %.9g", tt.name, what, got, want)
			}
		}
		ops := float64(w.Batch)*tt.ops + tt.once
		near("the operations of the model", a.MFU*a.Seconds*peak, ops)
		if executed := a.HFU * a.Seconds * peak; !tt.executedDiffers {
			near("what was executed", executed, ops)
		} else if executed < ops || executed > 1.5*ops {
			t.Errorf("%s: %g operations were executed, the model has %g", tt.name, executed, ops)
		}
		near("the cache", float64(a.Footprint.KVBytes), 2*(float64(w.Batch)*float64(tt.kv)+float64(tt.shared)))
		near("the weights", float64(a.Footprint.WeightBytes), 2*float64(tt.weights))
	}
}

// TestEveryKindInBothFidelities: work and stalls agree (Run checks both), and no answer is
// below its floor, for models of every kind under tensor parallelism.
func TestEveryKindInBothFidelities(t *testing.T) {
	models := map[string]llm.Model{}
	var names []string
	for _, name := range []string{"mixtral-8x7b", "deepseek-v2-lite", "gpt-oss-20b", "gopher-280b", "t5-large", "bert-base", "vit-b16-224", "qwen3-30b-a3b"} {
		m, err := llm.Preset(name)
		if err != nil {
			t.Fatal(err)
		}
		models[name], names = m, append(names, name)
	}
	rapid.Check(t, func(r *rapid.T) {
		m := models[rapid.SampledFrom(names).Draw(r, "model")]
		phases := []string{"prefill", "decode", "generate"}
		if m.Kind == llm.Encoder || m.Kind == llm.Vision {
			phases = phases[:1]
		}
		w := llm.Workload{Phase: rapid.SampledFrom(phases).Draw(r, "phase"), Batch: rapid.Int64Range(1, 16).Draw(r, "batch"), Prompt: rapid.Int64Range(2, 200).Draw(r, "prompt"),
			Generate: 3, Layers: rapid.Int64Range(1, 2).Draw(r, "layers"), DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16}
		machine := rapid.SampledFrom([]string{"a100-sxm-80gb", "h100-sxm", "tpu-v4", "sn40l"}).Draw(r, "machine")
		chip, err := presets.Machine(machine)
		if err != nil {
			r.Fatal(err)
		}
		tp := rapid.SampledFrom([]int64{1, 2, 4}).Draw(r, "tp")
		ask := func(w llm.Workload, fidelity string) eval.Answer {
			g, err := m.Graph(w)
			if err != nil {
				r.Fatal(err)
			}
			q := eval.Request{Machine: chip, Graph: g, Fidelity: fidelity}
			q.Mapping.TP, q.Mapping.Overfull = tp, true
			return run(t, q).Answer
		}
		event, analytic := ask(w, eval.Event), ask(w, eval.Analytic)
		if event.FloorSeconds > event.Seconds || analytic.FloorSeconds > analytic.Seconds {
			r.Fatalf("floor %g, event %g, analytic %g", event.FloorSeconds, event.Seconds, analytic.Seconds)
		}
		for i, e := range event.Memory {
			if a := analytic.Memory[i]; e.ReadBytes != a.ReadBytes || e.WrittenBytes != a.WrittenBytes || e.PeakBytes != a.PeakBytes {
				r.Fatalf("memory of the event fidelity %+v, of the closed form %+v", e, a)
			}
		}
	})
}
