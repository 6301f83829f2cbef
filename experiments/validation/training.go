package validation

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/parallel"
)

// Machines that published runs were on.
const (
	mosaicA40 = "mosaic-a100-40gb"
	mosaicA80 = "mosaic-a100-80gb"
	mosaicH   = "mosaic-h100"
	jeanZay   = "jean-zay"
	selene    = "selene"
	azureA100 = "azure-a100"
	metaRSC   = "meta-rsc"
	byteDance = "megascale"
	v4Pods    = "tpu-v4-pods"
	v4Pod     = "tpu-v4-pod"
	neoxA100  = "neox-a100"
	awsP4d    = "aws-p4d"
	metaH100  = "meta-h100-24k"
	dgxH100   = "dgx-h100-superpod"
)

// trained is a training run: what a request asks for.
type trained struct {
	arch, framework, dtype string
	model                  any   // a preset, or a configuration
	seq, global, micro     int64 // tokens of a sequence, sequences of a step and of a micro-batch
	tp, pp, dp             int64
	interleave             int64
	sp                     bool
	zero                   int64
	gathered               bool    // weights of zero 3 stay gathered between forward and backward pass
	shard                  int64   // chips that share one copy of the state, 0 for all
	master                 string  // format of gradients, "" for the framework's
	recompute              any     // none, selective, full, or a share
	stages                 []int64 // layers of each, none for the framework's division
}

// gpus is how many chips work together.
func (t *trained) gpus() int64 { return t.tp * t.pp * t.dp }

// request is what the oracle is asked.
func (t *trained) request() Fields {
	parallel := Fields{"tp": t.tp, "pp": t.pp, "dp": t.dp}
	if t.sp {
		parallel["sp"] = true
	}
	if t.interleave > 1 {
		parallel["interleave"] = t.interleave
	}
	f := Fields{"model": t.model, "phase": "train", "framework": t.framework, "dtype": t.dtype, "seq_len": t.seq, "global_batch": t.global, "micro_batch": t.micro,
		"parallel": parallel, "recompute": t.recompute, "zero": t.zero}
	if t.gathered {
		f["keep_gathered"] = true
	}
	if t.shard > 0 {
		f["shard"] = t.shard
	}
	if t.master != "" {
		f["master_dtype"] = t.master
	}
	if t.stages != nil {
		f["stages"] = t.stages
	}
	return f
}

// theCase is the request with what tells runs apart.
func (t *trained) theCase() Case {
	number := func(v int64) string { return strconv.FormatInt(v, 10) }
	return Case{Arch: t.arch, Runtime: t.framework, Request: t.request(),
		Columns: []Column{{"seq_len", number(t.seq)}, {"gpus", number(t.gpus())}, {"tp", number(t.tp)}, {"pp", number(t.pp)}, {"dp", number(t.dp)},
			{"micro_batch", number(t.micro)}, {"global_batch", number(t.global)}, {"recompute", fmt.Sprint(t.recompute)}}}
}

// note adds what was assumed about a row.
func (c *Case) note(text string) {
	if text != "" {
		c.Columns = append(c.Columns, Column{"note", text})
	}
}

// gptShape is a configuration of GPT-2's kind: learned positions, biases everywhere, a head tied to the token table.
func gptShape(layers, hidden, heads, vocab, positions int64) Fields {
	return Fields{"model_type": "gpt2", "n_layer": layers, "n_embd": hidden, "n_head": heads, "n_positions": positions, "vocab_size": vocab, "torch_dtype": "bfloat16"}
}

// bloomShape is a configuration of BLOOM's kind.
func bloomShape(layers, hidden, heads, vocab, positions int64) Fields {
	return Fields{"model_type": "bloom", "n_layer": layers, "n_embed": hidden, "n_head": heads, "seq_length": positions, "vocab_size": vocab, "torch_dtype": "bfloat16"}
}

// loadTraining reads seconds of optimizer steps, and memory where it was recorded. One constant, of a framework, was fitted on
// some of them: see loadBloom.
func loadTraining(dir string, l *loaded) error {
	for _, load := range []func(string, *loaded) error{loadFoundry, loadBloom, loadHeadlines} {
		if err := load(dir, l); err != nil {
			return err
		}
	}
	return nil
}

// mosaicShapes are the layers, width and heads of llm-foundry's models, as its scripts/train/yamls/pretrain/mpt-*.yaml have them.
var mosaicShapes = map[string][3]int64{
	"125m": {12, 768, 12}, "350m": {24, 1024, 16}, "760m": {24, 1536, 12}, "1b": {24, 2048, 16}, "3b": {32, 2560, 20},
	"7b": {32, 4096, 32}, "13b": {40, 5120, 40}, "30b": {48, 7168, 56}, "70b": {80, 8192, 64},
}

// mosaicVocab is the size of llm-foundry's token table.
const mosaicVocab = 50368

// mosaicMachines are the machines of its measurements.
var mosaicMachines = map[string]string{"a100_40gb": mosaicA40, "a100_80gb": mosaicA80, "h100_80gb": mosaicH}

// loadFoundry reads llm-foundry's measurements of MPT under FSDP. Its count of parameters, which is that of GPT-2's
// architecture to the digit, says that positions are learned and that every projection and norm has a bias.
func loadFoundry(dir string, l *loaded) error {
	list, err := records(dir, "training/llmfoundry_measured.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := &reading{record: &list[i]}
		size, device, precision := r.get("Model"), r.get("GPU"), r.get("Precision")
		shape, known := mosaicShapes[size]
		if !known {
			r.fail("Model", "%.40q is unknown", size)
		}
		t := trained{arch: mosaicMachines[device], framework: "fsdp", dtype: "bf16", seq: r.integer("SeqLen_(T)"), global: r.integer("GlobalBatchSize"),
			micro: r.integer("MicroBatchSize"), tp: 1, pp: 1, dp: r.integer("#_GPUs"), zero: 3, recompute: "none"}
		if t.arch == "" {
			r.fail("GPU", "%.40q is unknown", device)
		}
		t.model = gptShape(shape[0], shape[1], shape[2], mosaicVocab, t.seq)
		switch s := r.get("Sharding_Strategy"); s {
		case "FULL_SHARD":
		case "SHARD_GRAD_OP":
			t.gathered = true
		default:
			r.fail("Sharding_Strategy", "%.40q is unknown", s)
		}
		if r.get("Activation_Checkpointing") == "True" {
			t.recompute = "full"
		}
		name := "bf16"
		switch precision {
		case "bf16", "amp_bf16":
		case "amp_fp8":
			t.dtype, name = "fp8", "fp8"
		default:
			r.fail("Precision", "%.40q is unknown", precision)
		}
		if r.get("MP_Mode") == "PURE" { // gradients are summed in 16 bits
			t.master = "bf16"
		}
		params, rate, tflops := r.number("NumParams"), r.number("Throughput_(T/s)"), r.number("Model_TFLOP")
		if r.err != nil {
			return r.err
		}
		// The table counts 6 operations a parameter and token, and 12·layers·width·length of attention.
		perToken := float64(6*params) + float64(12*shape[0]*shape[1]*t.seq)
		if off := perToken*rate/float64(t.dp)/1e12/tflops - 1; math.Abs(off) > 0.01 {
			l.leave("tokens a second contradict TFLOP/s")
			continue
		}
		if t.global != t.micro*t.dp*r.integer("GradAccum") {
			l.leave("micro-batches contradict the batch")
			continue
		}
		c := t.theCase()
		c.File, c.Line, c.Source, c.Device = r.file, r.line, "llm-foundry", device
		c.Name = fmt.Sprintf("mpt-%s, %d x %d tokens on %d %s, micro-batch %d, %s, recompute %v", size, t.global, t.seq, t.dp, device, t.micro, strings.ToLower(precision+" "+r.get("MP_Mode")+" "+r.get("Sharding_Strategy")), t.recompute)
		c.Figures = []Figure{{Class: "llm-foundry", DType: name, Field: "seconds", Measured: r.number("GlobalBatchSize_(T)") / rate, Unit: "s"}}
		if r.err != nil {
			return r.err
		}
		l.add(c, "")
	}
	return nil
}

// bloomHeads are the heads that rows without any are taken to have, by width.
var bloomHeads = map[int64]int64{14400: 96, 13824: 96, 12288: 96, 14336: 64, 13312: 64}

// divided are the layers of each stage; ends says that embedding and head count as a layer each. More stages than layers are left
// to be refused with the step.
func divided(layers, stages int64, ends bool) []int64 {
	list, err := parallel.Divide(layers, stages, ends)
	if err != nil {
		return nil
	}
	return list
}

// megatronOperations are the operations of a step that Megatron-LM of 2021 counts where every layer is recomputed
// (Narayanan et al., SC21, section 3): 96·B·s·l·h²·(1 + s/6h + V/16lh).
func megatronOperations(batch, seq, layers, hidden, vocab int64) float64 {
	b, s, n, h, v := float64(batch), float64(seq), float64(layers), float64(hidden), float64(vocab)
	return 96 * b * s * n * h * h * (1 + s/(6*h) + v/(16*n*h))
}

// loadBloom reads BigScience's search for a shape of BLOOM. Its TFLOP/s tell how many layers a row without them has: the first
// rows count 96·B·s·l·h² operations, later ones as megatronOperations does.
func loadBloom(dir string, l *loaded) error {
	list, err := records(dir, "training/bloom_a100_sweep.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := &reading{record: &list[i]}
		if r.get("sec_per_iter") == "" || r.get("gbs") == "" {
			l.leave("seconds or batch not recorded")
			continue
		}
		hidden, vocab, gpus, seconds := r.integer("hidden"), r.integer("vocab"), r.integer("gpus"), r.number("sec_per_iter")
		layers, heads := r.optional("layers", 0), r.optional("heads", 0)
		t := trained{arch: jeanZay, framework: "bigscience", dtype: "bf16", seq: r.integer("seq"), global: r.integer("gbs"), micro: r.integer("mbs"),
			tp: r.integer("tp"), pp: r.integer("pp"), dp: r.optional("dp", 1), zero: 1, recompute: "full"}
		class, notes := "bloom-sweep", []string{}
		switch r.get("srcline") {
		case "660":
			t.global = 512
			notes = append(notes, "the source says a batch of 2048, four times what its TFLOP/s allow")
		case "648":
			t.dp = 4
			notes = append(notes, "the source says dp 8, twice the chips that it counts and that its TFLOP/s are of")
		}
		if r.err != nil {
			return r.err
		}
		counted := r.number("tflops_per_gpu") * 1e12 * float64(gpus) * seconds
		early := func(n float64) float64 {
			return 96 * float64(t.global) * float64(t.seq) * n * float64(hidden) * float64(hidden)
		}
		if layers == 0 {
			layers = int64(math.Round(counted / early(1)))
			notes = append(notes, "layers by TFLOP/s")
			if math.Abs(early(float64(layers))/counted-1) > 0.002 {
				l.leave("layers not recorded")
				continue
			}
		}
		if math.Abs(early(float64(layers))/counted-1) > 0.005 && math.Abs(megatronOperations(t.global, t.seq, layers, hidden, vocab)/counted-1) > 0.005 {
			l.leave("seconds contradict TFLOP/s")
			continue
		}
		if t.gpus() != gpus {
			l.leave("degrees contradict the number of chips")
			continue
		}
		if t.global%(t.dp*t.micro) != 0 {
			l.leave("micro-batches contradict the batch")
			continue
		}
		if heads == 0 {
			class, heads = "bloom-sweep-heads-assumed", bloomHeads[hidden]
			notes = append(notes, fmt.Sprintf("%d heads assumed", heads))
		}
		rebalanced := r.get("section") == "Rebalancing layers"
		t.stages = divided(layers, t.pp, false)
		switch {
		case rebalanced:
			t.stages = divided(layers, t.pp, true)
			notes = append(notes, "embedding and head count as a layer each")
		case layers%t.pp != 0:
			notes = append(notes, "division into stages not recorded")
		}
		t.model = bloomShape(layers, hidden, heads, vocab, t.seq)
		c := t.theCase()
		c.File, c.Line, c.ID, c.Source, c.Device = r.file, r.line, r.get("srcline"), "bigscience", "Jean Zay"
		c.Name = fmt.Sprintf("%s of %d layers, %d wide, %d heads, batch %d, micro-batch %d, tp %d pp %d dp %d", r.get("size"), layers, hidden, heads, t.global, t.micro, t.tp, t.pp, t.dp)
		c.note(strings.Join(notes, "; "))
		c.Figures = []Figure{{Class: class, DType: t.dtype, Field: "seconds", Measured: seconds, Unit: "s"}}
		if r.get("mem_GB") != "" {
			memory := "bloom-memory"
			if rebalanced {
				memory = "bloom-memory-late"
			}
			c.Figures = append(c.Figures, Figure{Class: memory, DType: t.dtype, Field: "most.gib", Measured: r.number("mem_GB"), Unit: "GiB"})
			c.Derive = mostMemory
		}
		if r.err != nil {
			return r.err
		}
		kind := "" // the links' share of the framework was fitted on every second of these
		if class == "bloom-sweep" {
			kind = class
		}
		l.add(c, kind)
	}
	return nil
}

// mostMemory adds to an answer what the fullest stage of a pipeline holds off chip, where it says so.
func mostMemory(a map[string]any) error {
	training, _ := a["training"].(map[string]any)
	stages, _ := training["stages"].([]any)
	most := 0.0
	for _, s := range stages {
		s, _ := s.(map[string]any)
		bytes, _ := s["memory_bytes"].(float64)
		most = max(most, bytes)
	}
	if most > 0 {
		a["most"] = map[string]any{"gib": most / (1 << 30)}
	}
	return nil
}

// loadHeadlines reads single figures of papers.
func loadHeadlines(dir string, l *loaded) error {
	list, err := records(dir, "training/training_published.csv")
	if err != nil {
		return err
	}
	for i := range list {
		r := &reading{record: &list[i]}
		model, metric, value := r.get("model"), r.get("metric"), r.number("value")
		t := trained{dtype: "bf16", seq: r.optional("seq", 2048), global: r.optional("batch", 0), micro: 1, tp: r.optional("TP", 1), pp: r.optional("PP", 1), dp: r.optional("DP", 1), zero: 1, recompute: "full"}
		gpus := r.optional("chips", 0)
		c, figure := Case{}, Figure{DType: "bf16", Field: "seconds", Measured: value, Unit: "s"}
		switch {
		case strings.HasPrefix(model, "MT-NLG") && metric == "iteration_time":
			figure.Class = "mt-nlg-530b"
			t.arch, t.framework, t.model, t.stages = selene, "megatron-deepspeed", "mtnlg-530b", divided(105, t.pp, false)
			c = t.theCase()
		case model == "BLOOM 176B" && metric == "iteration_time":
			figure.Class = "bloom-176b"
			t.arch, t.framework, t.model, t.micro = jeanZay, "bigscience", "bloom-176b", 2
			t.stages = divided(70, 12, true)
			c = t.theCase()
			c.note("embedding and head count as a layer each")
		case model == "OPT-175B" && metric == "throughput_max":
			// TFLOP/s as Megatron-LM counts them; 2 million tokens a batch are 992 sequences, a micro-batch of 8 each group.
			figure.Class = "opt-175b"
			t.arch, t.framework, t.model, t.dtype, t.micro, t.zero, t.global = azureA100, "metaseq", "opt-175b", "fp16", 8, 3, 8*t.dp
			figure.DType, figure.Measured = "fp16", megatronOperations(t.global, t.seq, 96, 12288, 50272)/(value*1e12*float64(t.gpus()))
			c = t.theCase()
			c.note("a step of 992 sequences at the published 147 TFLOP/s")
		case strings.HasPrefix(model, "LLaMA") && strings.HasPrefix(metric, "throughput") && strings.HasPrefix(r.get("unit"), "tokens/s/GPU"):
			if gpus == 0 && strings.HasSuffix(model, "65B") {
				l.leave("the same run by another figure")
				continue
			}
			figure.Class = "llama"
			size := strings.ToLower(strings.TrimPrefix(model, "LLaMA "))
			t.arch, t.framework, t.model, t.global, gpus = metaRSC, "fsdp", "llama1-"+size, 2048, 2048
			figure.Measured = float64(t.global*t.seq) / (value * float64(gpus))
			c = fastest(&t, gpus, r.integer("heads"))
			c.note("2048 chips and a batch of 4 million tokens; tensor parallelism, micro-batch, recomputation and how state is divided are not published: the fastest that fit")
		case strings.HasPrefix(model, "PaLM") && metric == "step_time_derived":
			figure.Class = "palm-540b"
			t.arch, t.framework, t.model, t.micro, t.zero, t.shard, t.recompute, t.sp = v4Pods, "xla-2022", "palm-540b", 4, 3, 256, 0.75, true
			c = t.theCase()
			c.note("three quarters of the forward pass are computed again: HFU/MFU is 1.25; what lies between layers is divided over the tensor group")
			c.Derive = percents
			c.Figures = []Figure{
				{Class: "palm-540b-mfu", DType: "bf16", Field: "percent.mfu", Measured: 46.2, Unit: "%"},
				{Class: "palm-540b-hfu", DType: "bf16", Field: "percent.hfu", Measured: 57.8, Unit: "%"}}
		case strings.HasPrefix(model, "PaLM") && metric == "cross_pod_scaling":
			figure.Class, figure.Field, figure.Unit = "palm-540b-pods", "ratio", "x"
			t.arch, t.framework, t.model, t.micro, t.zero, t.shard, t.recompute, t.sp = v4Pods, "xla-2022", "palm-540b", 4, 3, 256, 0.75, true
			c = t.theCase()
			one := t
			one.dp, one.global = t.dp/2, t.global/2
			c.Compose = quotient("tokens_per_second", t.request(), one.request())
			c.Runtime = ""
			c.note("tokens a second of two pods over those of one with half the batch")
		case strings.Contains(model, "Megatron-LM") && metric == "MFU":
			l.leave("the same run by another figure")
			continue
		case metric == "iteration_time_MegatronLM":
			figure.Class = "megatron-175b"
			// The commit of Megatron-LM that the paper names is of January 2023, whose attention keeps its scores unless asked otherwise.
			t.arch, t.framework, t.sp, t.interleave, t.recompute = byteDance, "megatron-2022", true, 6, "none"
			t.model = gptShape(96, 12288, 128, 64000, t.seq)
			selective := t
			selective.recompute = "selective"
			c = quickest([]trained{t, selective}, "recompute")
			c.note("recomputation is not published: none or selective, the fastest that fits; micro-batch 1")
		case strings.Contains(metric, "MegaScale"), model == "GPT 175B":
			l.leave("a system that hides communication in ways that are not public")
			continue
		case strings.HasPrefix(model, "GPT-3"), strings.HasPrefix(model, "Gopher"):
			l.leave("chips or mapping not published")
			continue
		default:
			l.leave("the same run by another figure")
			continue
		}
		if r.err != nil {
			return r.err
		}
		if gpus > 0 && figure.Class != "llama" && t.gpus() != gpus {
			return &badRow{r.file, r.line, "chips", fmt.Sprintf("%d, but tp·pp·dp is %d", gpus, t.gpus())}
		}
		c.File, c.Line, c.Source, c.Device = r.file, r.line, "papers", t.arch
		c.Name = fmt.Sprintf("%s on %d chips, batch %d", model, max(gpus, t.gpus()), t.global)
		if figure.Class != "llama" {
			c.Name += fmt.Sprintf(", tp %d pp %d dp %d", t.tp, t.pp, t.dp)
		}
		c.Figures = append([]Figure{figure}, c.Figures...)
		l.add(c, "")
	}
	return nil
}

// percents adds utilisation of operations in percent to an answer.
func percents(a map[string]any) error {
	list := map[string]any{}
	for _, name := range []string{"mfu", "hfu"} {
		v, err := field(a, name)
		if err != nil {
			return err
		}
		list[name] = 100 * v
	}
	a["percent"] = list
	return nil
}

// quotient composes an answer whose ratio is that of a figure of two requests.
func quotient(of string, over, under Fields) func(context.Context, ask) (map[string]any, error) {
	return func(ctx context.Context, ask ask) (map[string]any, error) {
		var v [2]float64
		for i, request := range []Fields{over, under} {
			a, err := ask(ctx, request)
			if err != nil {
				return nil, err
			}
			if v[i], err = field(a, of); err != nil {
				return nil, err
			}
		}
		return map[string]any{"ratio": v[0] / v[1]}, nil
	}
}

// fastest is a run whose mapping is not published: of tensor parallelism within a node, micro-batch, recomputation, and whether all
// chips or groups of them share one copy of the state and keep weights gathered, the fastest that fit are taken.
func fastest(t *trained, gpus, heads int64) Case {
	var tries []trained
	for _, tp := range []int64{1, 2, 4, 8} {
		if heads%tp != 0 {
			continue
		}
		for micro := int64(1); micro <= t.global/(gpus/tp); micro *= 2 {
			for _, recompute := range []string{"none", "full"} {
				for _, shard := range []int64{0, 256} { // all, or groups of 32 nodes with a copy each
					try := *t
					try.tp, try.dp, try.pp, try.micro, try.recompute, try.sp, try.zero, try.shard = tp, gpus/tp, 1, micro, recompute, tp > 1, 3, shard/tp
					tries = append(tries, try)
					try.gathered = true
					tries = append(tries, try)
				}
			}
		}
	}
	*t = tries[0]
	return quickest(tries, "tp", "dp", "micro_batch", "recompute")
}

// quickest is the case of several runs of which the fastest that fits is taken; columns are those that they differ in.
func quickest(tries []trained, columns ...string) Case {
	c := tries[0].theCase()
	c.Columns = slices.DeleteFunc(c.Columns, func(c Column) bool { return slices.Contains(columns, c.Name) })
	c.Compose = func(ctx context.Context, ask ask) (map[string]any, error) {
		var best map[string]any
		var refused error
		least := math.Inf(1)
		for i := range tries {
			a, err := ask(ctx, tries[i].request())
			if err != nil {
				if !infeasible(err) {
					return nil, err
				}
				refused = err
				continue
			}
			if s, err := field(a, "seconds"); err != nil {
				return nil, err
			} else if s < least {
				best, least = a, s
			}
		}
		if best == nil {
			return nil, refused
		}
		return best, nil
	}
	return c
}
