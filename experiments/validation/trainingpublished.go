package validation

import "fmt"

// reported is one published figure of a training run, with the mapping that was published with it.
type reported struct {
	source, name string
	trained
	cp      int64
	seconds float64 // of a step
	tflops  float64 // of a chip by Megatron-LM's count, in place of seconds
	rate    float64 // tokens a second and chip, in place of seconds
	model6  float64 // TFLOP/s of a chip that count six operations a parameter and token, in place of seconds
	mfu     float64 // of the peak of an A100, in place of seconds
	// activations and state are what the first stage keeps for its backward pass, and weights, gradients and optimizer on the mean
	// of the stages, in GiB; 0 for nothing published.
	activations, state float64
	also               []trained // other runs that the publication may mean: the fastest that fits is taken
	note               string
}

// What sources are called.
const (
	sc21     = "megatron-2021"   // Narayanan et al., SC21, arXiv 2104.04473, tables 1 and 2; examples/sc21 of NVIDIA/Megatron-LM
	seqpar   = "megatron-2022"   // Korthikanti et al., arXiv 2205.05198, tables 3 and 5 and figure 1, as llm/validation.py of Calculon has them
	neox     = "gpt-neox"        // Black et al., arXiv 2204.06745, section 2.3
	bbg      = "bloomberggpt"    // Wu et al., arXiv 2303.17564, table 4
	llama3   = "llama-3"         // Grattafiori et al., arXiv 2407.21783, table 4
	nemo     = "nemo-24.07"      // docs/source/performance/performance_summary.md of NVIDIA/NeMo at 070a0bb
	maxtext  = "maxtext"         // MaxText/configs/v4 of AI-Hypercomputer/maxtext
	llama2   = "llama-2"         // Touvron et al., arXiv 2307.09288, table 2
	megatron = "megatron-readme" // README of NVIDIA/Megatron-LM at 2a8d8afccd
	weak     = "megascale-530b"  // Jiang et al., NSDI 2024, figure 9: Megatron-LM of January 2023
)

// megatronRun is a run of Megatron-LM on Selene.
func megatronRun(model string, gpus, tp, pp, micro, global, interleave int64, sp bool, recompute string) trained {
	return trained{arch: selene, framework: "megatron", dtype: "bf16", model: model, seq: 2048, global: global, micro: micro, tp: tp, pp: pp, dp: gpus / tp / pp,
		interleave: interleave, sp: sp, recompute: recompute}
}

// table1 is a row of SC21's table 1, whose micro-batches and interleaving examples/sc21/run_table_1.sh has.
func table1(model string, gpus, tp, pp, micro, global, perStage int64, layers int64, tflops float64) reported {
	interleave := int64(1)
	if perStage > 0 {
		interleave = layers / pp / perStage
	}
	t := megatronRun(model, gpus, tp, pp, micro, global, interleave, false, "full")
	t.dtype = "fp16"
	return reported{source: sc21, name: model, trained: t, tflops: tflops}
}

// nemoRun is a run of NeMo on DGX H100 with linear layers in fp8. Its recipes sum gradients in 16 bits, without which the largest
// model does not fit.
func nemoRun(model any, name string, gpus, global, micro, seq, tp, pp, cp, virtual int64, rate float64) reported {
	return reported{source: nemo, name: name, cp: cp, rate: rate, trained: trained{arch: dgxH100, framework: "megatron-flash", dtype: "fp8", model: model, seq: seq, global: global, micro: micro, tp: tp, pp: pp,
		dp: gpus / tp / pp / cp, interleave: virtual, sp: tp > 1, zero: 1, master: "bf16", recompute: "none"}}
}

// megatronSizes are the layers and width of models whose figures are TFLOP/s by Megatron-LM's count.
var megatronSizes = map[string][3]int64{ // layers, hidden, vocabulary
	"megatron-1.7b": {24, 2304, 51200}, "megatron-3.6b": {30, 3072, 51200}, "megatron-7.5b": {36, 4096, 51200}, "megatron-18b": {40, 6144, 51200}, "megatron-39b": {48, 8192, 51200},
	"megatron-76b": {60, 10240, 51200}, "megatron-145b": {80, 12288, 51200}, "megatron-310b": {96, 16384, 51200}, "mtnlg-530b": {105, 20480, 51200}, "megatron-1t": {128, 25600, 51200},
	"gpt-neox-20b": {44, 6144, 50432},
}

// modelSizes are those of models whose figures are TFLOP/s that count six operations a parameter and token.
var modelSizes = map[string]struct {
	layers, hidden int64
	parameters     float64
}{"llama3-405b": {126, 16384, 405.85e9}, "22B": {48, 6144, 21.94e9}}

// reportedSteps are published figures of training runs. No constant was fitted on any of them.
func reportedSteps() []reported {
	list := []reported{
		table1("megatron-1.7b", 32, 1, 1, 16, 512, 0, 24, 137),
		table1("megatron-3.6b", 64, 2, 1, 16, 512, 0, 30, 138),
		table1("megatron-7.5b", 128, 4, 1, 16, 512, 0, 36, 142),
		table1("megatron-18b", 256, 8, 1, 8, 1024, 0, 40, 135),
		table1("megatron-39b", 512, 8, 2, 4, 1536, 0, 48, 138),
		table1("megatron-76b", 1024, 8, 4, 2, 1792, 5, 60, 140),
		table1("megatron-145b", 1536, 8, 8, 2, 2304, 5, 80, 148),
		table1("megatron-310b", 1920, 8, 16, 1, 2160, 3, 96, 155),
		table1("mtnlg-530b", 2520, 8, 35, 1, 2520, 1, 105, 163),
		table1("megatron-1t", 3072, 8, 64, 1, 3072, 0, 128, 163),
		table1("mtnlg-530b", 1120, 8, 35, 1, 2240, 1, 105, 167), // table 2
		table1("mtnlg-530b", 2240, 8, 35, 1, 2240, 1, 105, 159), // table 2
		{source: megatron, name: "gpt3-175b", trained: megatronRun("gpt3-175b", 1024, 8, 8, 1, 1536, 1, false, "full"), seconds: 32,
			note: "interleaving not said: none"},
	}
	for _, k := range []struct {
		model                            string
		gpus, pp, micro, global, virtual int64
		full, selective                  float64
		activations, state               float64 // figure 1
	}{
		{"megatron-22b", 8, 1, 4, 4, 1, 1.42, 1.10, 9.5625, 45.5625},
		{"gpt3-175b", 64, 8, 1, 64, 3, 18.13, 13.75, 12.3515625, 45.5625},
		{"mtnlg-530b", 280, 35, 1, 280, 3, 49.05, 37.83, 23.076171875, 31.640625},
		{"megatron-1t", 512, 64, 1, 512, 1, 94.42, 71.49, 26.5625, 32.958984375},
	} {
		full := megatronRun(k.model, k.gpus, 8, k.pp, k.micro, k.global, k.virtual, false, "full")
		full.framework = "megatron-2022"
		selective := full
		selective.sp, selective.recompute = true, "selective"
		list = append(list, reported{source: seqpar, name: k.model, trained: full, seconds: k.full}, reported{source: seqpar, name: k.model, trained: selective, seconds: k.selective, activations: k.activations, state: k.state})
	}
	for _, w := range []struct {
		gpus int64
		mfu  float64
	}{{2240, 0.492}, {4480, 0.488}, {11200, 0.482}} {
		t := megatronRun("mtnlg-530b", w.gpus, 8, 35, 1, w.gpus, 3, true, "none")
		t.arch, t.framework, t.zero = byteDance, "megatron-2022", 1
		selective := t
		selective.recompute = "selective"
		list = append(list, reported{source: weak, name: "mtnlg-530b", trained: t, also: []trained{selective}, mfu: w.mfu,
			note: "recomputation is not published: none or that of attention, the fastest that fits; MFU of 312 TFLOP/s, by Megatron-LM's count"})
	}
	return append(list, reported{source: neox, name: "gpt-neox-20b", tflops: 117, note: "batch 1538 in the paper, 1536 by 12 groups of micro-batches of 4",
		trained: trained{arch: neoxA100, framework: "megatron-deepspeed", dtype: "fp16", model: "gpt-neox-20b", seq: 2048, global: 1536, micro: 4, tp: 2, pp: 4, dp: 12, zero: 1, recompute: "full", stages: divided(44, 4, false)}},
		reported{source: bbg, name: "bloomberggpt-50b", seconds: 32.5, note: "micro-batch not published",
			trained: trained{arch: awsP4d, framework: "fsdp", dtype: "bf16", model: "bloomberggpt-50b", seq: 2048, global: 2048, micro: 4, tp: 1, pp: 1, dp: 512, zero: 3, shard: 128, recompute: "full"}},
		llama3Run(64, 2048, 430), llama3Run(128, 2048, 400),
		nemoRun("llama2-7b", "llama2-7b", 8, 128, 1, 4096, 1, 1, 1, 1, 16847),
		nemoRun("llama2-13b", "llama2-13b", 16, 128, 1, 4096, 1, 4, 1, 10, 8646),
		nemoRun("llama2-70b", "llama2-70b", 64, 128, 1, 4096, 4, 4, 1, 20, 1707),
		nemoRun("llama3-8b", "llama3-8b", 8, 128, 1, 8192, 1, 1, 2, 1, 12036),
		nemoRun("llama3-70b", "llama3-70b", 64, 128, 1, 8192, 4, 4, 2, 5, 1533),
		nemoRun("gpt3-175b", "gpt3-175b", 128, 256, 1, 2048, 4, 8, 1, 6, 726),
		nemoRun("gpt3-175b", "gpt3-175b", 512, 2048, 2, 2048, 4, 8, 1, 6, 782),
		nemoRun("nemotron4-340b", "nemotron4-340b", 128, 32, 1, 4096, 8, 8, 1, 12, 322),
		reported{source: maxtext, name: "22B", model6: 156, note: "MaxText's model of 48 layers, 6144 wide, 24 heads of 256, on a cube of 64 chips",
			trained: trained{arch: v4Pod, framework: "xla-2022", dtype: "bf16", seq: 2048, global: 64 * 13, micro: 13, tp: 1, pp: 1, dp: 64, zero: 3, recompute: "full",
				model: Fields{"model_type": "starcoder2", "num_hidden_layers": 48, "hidden_size": 6144, "intermediate_size": 24576, "num_attention_heads": 24, "num_key_value_heads": 24,
					"vocab_size": 32000, "max_position_embeddings": 2048, "use_bias": false, "tie_word_embeddings": true, "sliding_window": nil, "torch_dtype": "bfloat16"}}},
	)
}

// llama3Run is a stage of Llama 3's training on sequences of 8192 tokens: embedding and head count as a layer each, and of how
// many chunks a stage has the fastest is taken.
func llama3Run(dp, global int64, tflops float64) reported {
	r := reported{source: llama3, name: "llama3-405b", model6: tflops, note: "chunks of a stage are not published: the fastest of 1, 2 and 4 that fits; gradients and state divided over the data-parallel group"}
	for _, chunks := range []int64{1, 2, 4} {
		t := trained{arch: metaH100, framework: "megatron-flash", dtype: "bf16", model: "llama3-405b", seq: 8192, global: global, micro: 1, tp: 8, pp: 16, dp: dp, interleave: chunks, sp: true, zero: 2,
			recompute: "none", stages: divided(126, 16*chunks, true)}
		if chunks == 1 {
			r.trained = t
		} else {
			r.also = append(r.also, t)
		}
	}
	return r
}

// differs is what the runs that a publication may mean differ in.
func (r *reported) differs() string {
	if r.also[0].interleave != r.interleave {
		return "interleave"
	}
	return "recompute"
}

// loadReported lists published figures of training runs. It needs no file of measurements.
func loadReported(_ string, l *loaded) error {
	for _, r := range reportedSteps() {
		c := r.theCase()
		if r.also != nil {
			c = quickest(append([]trained{r.trained}, r.also...), r.differs())
		}
		chips := r.gpus()
		if r.cp > 1 {
			c.Request["parallel"].(Fields)["cp"] = r.cp
			chips *= r.cp
		}
		tokens := float64(r.global * r.seq)
		f := Figure{Class: r.source, DType: r.dtype, Field: "seconds", Measured: r.seconds, Unit: "s"}
		switch size := megatronSizes[r.name]; {
		case r.tflops > 0:
			f.Measured = megatronOperations(r.global, r.seq, size[0], size[1], size[2]) / (r.tflops * 1e12 * float64(chips))
		case r.mfu > 0: // without what is computed again, three quarters of Megatron-LM's count
			f.Measured = 0.75 * megatronOperations(r.global, r.seq, size[0], size[1], size[2]) / (r.mfu * 312e12 * float64(chips))
		case r.rate > 0:
			f.Measured = tokens / (r.rate * float64(chips))
		case r.model6 > 0:
			// What the source counts of attention is not said: from nothing to all scores.
			size := modelSizes[r.name]
			second := r.model6 * 1e12 * float64(chips)
			scores := float64(12 * size.layers * size.hidden * r.seq)
			f.Measured, f.High = tokens*6*size.parameters/second, tokens*(6*size.parameters+scores)/second
		}
		c.Source, c.Device = r.source, r.arch
		c.Name = fmt.Sprintf("%s on %d %s, batch %d x %d, micro-batch %d, tp %d pp %d dp %d", r.name, chips, r.arch, r.global, r.seq, r.micro, r.tp, r.pp, r.dp)
		if r.cp > 1 {
			c.Name += fmt.Sprintf(" cp %d", r.cp)
		}
		if r.interleave > 1 {
			c.Name += fmt.Sprintf(" of %d chunks", r.interleave)
		}
		if r.also == nil {
			c.Name += fmt.Sprintf(", recompute %v", r.recompute)
		}
		c.note(r.note)
		c.Figures = []Figure{f}
		if r.activations > 0 {
			c.Figures = append(c.Figures, Figure{Class: "activation-memory", DType: r.dtype, Field: "held.activations", Measured: r.activations, Unit: "GiB"},
				Figure{Class: "state-memory", DType: r.dtype, Field: "held.state", Measured: r.state, Unit: "GiB"})
			c.Derive = heldMemory
		}
		l.add(c, "")
	}
	return nil
}

// heldMemory adds to an answer what activations take on the first stage, and what weights, gradients and optimizer take on the
// mean of the stages, in GiB.
func heldMemory(a map[string]any) error {
	training, _ := a["training"].(map[string]any)
	stages, _ := training["stages"].([]any)
	var state, activations float64
	for i, s := range stages {
		s, _ := s.(map[string]any)
		parts, _ := s["memory"].([]any)
		for _, p := range parts {
			p, _ := p.(map[string]any)
			bytes, err := field(p, "bytes")
			if err != nil {
				return err
			}
			switch p["class"] {
			case "weights", "gradients", "optimizer state":
				state += bytes
			case "activations":
				if i == 0 {
					activations += bytes
				}
			}
		}
	}
	if state == 0 {
		return fmt.Errorf("the answer has no memory by stage")
	}
	a["held"] = map[string]any{"activations": activations / (1 << 30), "state": state / float64(len(stages)) / (1 << 30)}
	return nil
}
