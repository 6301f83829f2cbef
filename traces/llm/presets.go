package llm

import (
	"slices"
	"sort"

	"github.com/stratasim/strata/sim/spec"
)

// Presets lists the names of the models that come with the program, sorted.
func Presets() []string {
	names := make([]string, len(presets))
	for i := range presets {
		names[i] = presets[i].Name
	}
	sort.Strings(names)
	return names
}

// Preset returns the model of that name. The error is of type *Unknown.
func Preset(name string) (Model, error) {
	for i := range presets {
		if presets[i].Name == name {
			m := presets[i]
			m.Notes, m.FullAttention = slices.Clone(m.Notes), slices.Clone(m.FullAttention)
			m.MLA, m.MoE, m.Patches = copied(m.MLA), copied(m.MoE), copied(m.Patches)
			return m, nil
		}
	}
	return Model{}, &Unknown{name, spec.Suggest(name, Presets())}
}

// presets are all models, a family after the other.
var presets = slices.Concat(gptPresets(), megatronPresets(), mosaicPresets(), nemotronPresets(), bloomPresets(), palmPresets(), llamaPresets(), falconPresets(), qwenPresets(), mixturePresets(), deepseekPresets(), relativePresets(), encoderPresets())

// gpt is a decoder as GPT-2 has it: learned positions, biases everywhere, LayerNorm, tied embeddings.
func gpt(name string, layers, hidden, heads, vocab, maxSeq int64, source string) Model {
	return Model{Name: name, Source: source, Layers: layers, Hidden: hidden, FFN: 4 * hidden, Heads: heads, KVHeads: heads, HeadDim: hidden / heads,
		Vocab: vocab, MaxSeq: maxSeq, Activation: GELU, TiedEmbeddings: true, LinearBias: true, FFNBias: true, Norm: LayerNorm, NormsPerLayer: 2,
		Position: Learned, DType: "fp16"}
}

func gptPresets() []Model {
	const gpt2 = "recalled: OpenAI GPT-2 release, Radford et al. 2019, table 2, and the Hugging Face configs; reproduces the published parameter count exactly"
	m := []Model{
		gpt("gpt2-small", 12, 768, 12, 50257, 1024, gpt2),
		gpt("gpt2-medium", 24, 1024, 16, 50257, 1024, gpt2),
		gpt("gpt2-large", 36, 1280, 20, 50257, 1024, gpt2),
		gpt("gpt2-xl", 48, 1600, 25, 50257, 1024, gpt2),
	}
	for i := range m {
		m[i].Activation = GELUTanh
	}
	m = append(m,
		gpt("gpt3-1.3b", 24, 2048, 16, 50257, 2048, "FlashAttention training benchmark, training/README.md: 24 layers, 2048, 16 heads; the GPT-3 paper's table lists 24 heads of 128"),
		gpt("gpt3-2.7b", 32, 2560, 32, 50257, 2048, "recalled: Brown et al., arXiv 2005.14165, table 2.1"),
		gpt("gpt3-6.7b", 32, 4096, 32, 50257, 2048, "recalled: Brown et al., arXiv 2005.14165, table 2.1"),
		gpt("gpt3-13b", 40, 5120, 40, 50257, 2048, "recalled: Brown et al., arXiv 2005.14165, table 2.1, whose width of 5140 is no multiple of its heads; Calculon models/gpt3-13B.json"),
		gpt("gpt3-175b", 96, 12288, 96, 50257, 2048, "Brown et al., arXiv 2005.14165, table 2.1; Calculon models/gpt3-175B.json. Attention is dense in every layer here, the original alternates with locally banded"),
	)
	for _, o := range []struct {
		name                  string
		layers, hidden, heads int64
	}{{"opt-13b", 40, 5120, 40}, {"opt-30b", 48, 7168, 56}, {"opt-66b", 64, 9216, 72}, {"opt-175b", 96, 12288, 96}} {
		opt := gpt(o.name, o.layers, o.hidden, o.heads, 50272, 2048, "recalled: Zhang et al., arXiv 2205.01068, table 1. The two unused rows of the released position table are left out")
		opt.Activation = ReLU
		m = append(m, opt)
	}
	j := gpt("gptj-6b", 28, 4096, 16, 50400, 2048, "TensorRT-LLM performance.md: 28 layers, 4096, 16 heads; EleutherAI mesh-transformer-jax (rotary on 64 of 256 elements, parallel block, bias on the head). "+
		"The published count of the checkpoint includes 2.5 million elements of buffers that are not parameters")
	j.Activation, j.TiedEmbeddings, j.LinearBias, j.HeadBias, j.NormsPerLayer, j.ParallelBlock = GELUTanh, false, false, true, 1, true
	j.Position, j.RotaryDims = RoPE, 64
	neox := gpt("gpt-neox-20b", 44, 6144, 64, 50432, 2048, "recalled: Black et al., arXiv 2204.06745, section 2.1, and the Hugging Face config (rotary on a quarter of a head, parallel block with two norms); reproduces the published parameter count exactly")
	neox.TiedEmbeddings, neox.ParallelBlock, neox.Position, neox.RotaryDims = false, true, RoPE, 24
	return append(m, j, neox)
}

func megatronPresets() []Model {
	const sc21 = "Narayanan et al., SC21, arXiv 2104.04473, table 1; Calculon models/"
	m := []Model{
		gpt("mtnlg-530b", 105, 20480, 128, 51200, 2048, sc21+"turing-530B.json"),
		gpt("megatron-1t", 128, 25600, 160, 51200, 2048, sc21+"megatron-1T.json"),
		gpt("megatron-22b", 48, 6144, 64, 51200, 2048, "Korthikanti et al., arXiv 2205.05198, table 3; Calculon models/megatron-22B.json"),
	}
	for _, s := range []struct {
		name                  string
		layers, hidden, heads int64
	}{{"1.7b", 24, 2304, 24}, {"3.6b", 30, 3072, 32}, {"7.5b", 36, 4096, 32}, {"18b", 40, 6144, 48}, {"39b", 48, 8192, 64}, {"76b", 60, 10240, 80},
		{"145b", 80, 12288, 96}, {"310b", 96, 16384, 128}} {
		m = append(m, gpt("megatron-"+s.name, s.layers, s.hidden, s.heads, 51200, 2048, "recalled: Narayanan et al., SC21, arXiv 2104.04473, table 1; reproduces its count of parameters"))
	}
	for i := range m {
		m[i].DType = "bf16"
	}
	return m
}

// mosaicPresets are MPT as released: ALiBi, no biases anywhere, tied embeddings.
func mosaicPresets() []Model {
	m := []Model{
		gpt("mpt-7b", 32, 4096, 32, 50432, 2048, "recalled: MosaicML, MPT-7B (2023), and the Hugging Face config; reproduces the published parameter count exactly"),
		gpt("mpt-30b", 48, 7168, 64, 50432, 8192, "recalled: MosaicML, MPT-30B (2023), and the Hugging Face config"),
	}
	for i := range m {
		m[i].Norm, m[i].Position, m[i].LinearBias, m[i].FFNBias, m[i].DType = LayerNormNoBias, ALiBi, false, false, "bf16"
	}
	return m
}

// nemotronPresets have a squared ReLU, which costs what ReLU does here, and a head apart from the token table.
func nemotronPresets() []Model {
	nemotron := func(name string, layers, hidden, heads int64, source string) Model {
		m := gpt(name, layers, hidden, heads, 256000, 4096, source)
		m.KVHeads, m.Activation, m.TiedEmbeddings, m.LinearBias, m.FFNBias, m.Position, m.RotaryDims, m.DType = 8, ReLU, false, false, false, RoPE, hidden/heads/2, "bf16"
		return m
	}
	return []Model{
		nemotron("nemotron4-15b", 32, 6144, 48, "recalled: Parmar et al., arXiv 2402.16819, table 1"),
		nemotron("nemotron4-340b", 96, 18432, 96, "recalled: NVIDIA, arXiv 2406.11704, table 1"),
	}
}

func bloomPresets() []Model {
	m := []Model{
		gpt("bloom-176b", 70, 14336, 112, 250880, 2048, "recalled: BigScience, arXiv 2211.05100, table 3, and the Hugging Face config; reproduces the published parameter count exactly"),
		gpt("bloomberggpt-50b", 70, 7680, 40, 131072, 2048, "Wu et al., arXiv 2303.17564, table 4"),
	}
	for i := range m {
		m[i].Activation, m[i].Position, m[i].EmbeddingNorm, m[i].DType = GELUTanh, ALiBi, true, "bf16"
	}
	return m
}

func palmPresets() []Model {
	palm := func(name string, layers, hidden, heads int64, source string) Model {
		return Model{Name: name, Source: source, Layers: layers, Hidden: hidden, FFN: 4 * hidden, Heads: heads, KVHeads: 1, HeadDim: 256,
			Vocab: 256000, MaxSeq: 2048, Activation: SiLU, Gated: true, TiedEmbeddings: true, Norm: LayerNormNoBias, NormsPerLayer: 1,
			ParallelBlock: true, Position: RoPE, DType: "bf16"}
	}
	return []Model{
		palm("palm-8b", 32, 4096, 16, "recalled: Chowdhery et al., arXiv 2204.02311, table 1"),
		palm("palm-62b", 64, 8192, 32, "recalled: Chowdhery et al., arXiv 2204.02311, table 1"),
		palm("palm-540b", 118, 18432, 48, "Chowdhery et al., arXiv 2204.02311, table 1; Calculon models/palm-540B.json"),
	}
}

func llamaPresets() []Model {
	const (
		one     = "Touvron et al., arXiv 2302.13971, table 2; feed-forward widths recalled, they reproduce its counts of 6.7, 13.0, 32.5 and 65.2 billion"
		maxtext = "MaxText configs/models/"
	)
	mistral := llama("mistral-7b", 32, 4096, 14336, 32, 8, 32000, 8192, "recalled: Jiang et al., arXiv 2310.06825, table 1, and the Hugging Face config of v0.1; reproduces the published parameter count exactly")
	mistral.SlidingWindow = 4096
	return []Model{
		llama("llama1-7b", 32, 4096, 11008, 32, 32, 32000, 2048, one),
		llama("llama1-13b", 40, 5120, 13824, 40, 40, 32000, 2048, one),
		llama("llama1-33b", 60, 6656, 17920, 52, 52, 32000, 2048, one),
		llama("llama1-65b", 80, 8192, 22016, 64, 64, 32000, 2048, one),
		llama("llama2-7b", 32, 4096, 11008, 32, 32, 32000, 4096, maxtext+"llama2-7b.yml; model card"),
		llama("llama2-13b", 40, 5120, 13824, 40, 40, 32000, 4096, maxtext+"llama2-13b.yml"),
		llama("llama2-70b", 80, 8192, 28672, 64, 8, 32000, 4096, maxtext+"llama2-70b.yml"),
		llama("llama3-8b", 32, 4096, 14336, 32, 8, 128256, 8192, maxtext+"llama3-8b.yml; 3.1 differs in its context of 131072"),
		llama("llama3-70b", 80, 8192, 28672, 64, 8, 128256, 8192, maxtext+"llama3-70b.yml; 3.1 and 3.3 differ in their context of 131072"),
		llama("llama3-405b", 126, 16384, 53248, 128, 8, 128256, 131072, maxtext+"llama3.1-405b.yml"),
		mistral,
	}
}

func falconPresets() []Model {
	falcon := func(name string, layers, hidden, heads, kvHeads, norms int64, tied bool, source string) Model {
		return Model{Name: name, Source: source, Layers: layers, Hidden: hidden, FFN: 4 * hidden, Heads: heads, KVHeads: kvHeads, HeadDim: 64,
			Vocab: 65024, MaxSeq: 2048, Activation: GELU, TiedEmbeddings: tied, Norm: LayerNorm, NormsPerLayer: norms, ParallelBlock: true,
			Position: RoPE, DType: "bf16"}
	}
	const paper = "recalled: Almazrouei et al., arXiv 2311.16867, and the Hugging Face config; "
	return []Model{
		falcon("falcon-7b", 32, 4544, 71, 1, 1, false, paper+"reproduces the count of the released checkpoint, whose head is stored apart, exactly"),
		falcon("falcon-40b", 60, 8192, 128, 8, 2, true, paper+"reproduces the count with the head tied to the embedding exactly, 41.84 billion if it is not"),
		falcon("falcon-180b", 80, 14848, 232, 8, 2, false, paper+"0.01 % above the published 179.5 billion"),
	}
}
