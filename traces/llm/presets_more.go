package llm

// copied returns a copy of what p points to, so that a preset cannot be changed.
func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// llama is a decoder as Llama 2 has it, with heads of 128.
func llama(name string, layers, hidden, ffn, heads, kvHeads, vocab, maxSeq int64, source string) Model {
	return Model{Name: name, Source: source, Layers: layers, Hidden: hidden, FFN: ffn, Heads: heads, KVHeads: kvHeads, HeadDim: 128,
		Vocab: vocab, MaxSeq: maxSeq, Activation: SiLU, Gated: true, Norm: RMSNorm, NormsPerLayer: 2, Position: RoPE, DType: "bf16"}
}

func qwenPresets() []Model {
	const source = "recalled: the Hugging Face config, and arXiv 2505.09388, table 1; reproduces the published parameter count exactly"
	m := []Model{
		llama("qwen3-8b", 36, 4096, 12288, 32, 8, 151936, 40960, source),
		llama("qwen3-32b", 64, 5120, 25600, 64, 8, 151936, 40960, source),
		llama("qwen3-30b-a3b", 48, 2048, 6144, 32, 4, 151936, 40960, source),
		llama("qwen3-235b-a22b", 94, 4096, 12288, 64, 4, 151936, 40960, source),
	}
	m[2].MoE = &MoE{Experts: 128, TopK: 8, FFN: 768}
	m[3].MoE = &MoE{Experts: 128, TopK: 8, FFN: 1536}
	for i := range m {
		m[i].QKNorm = true
	}
	return m
}

// alternating lists the layers with full attention where the last of every few has it.
func alternating(layers, every int64) []int64 {
	var full []int64
	for l := every - 1; l < layers; l += every {
		full = append(full, l)
	}
	return full
}

func mixturePresets() []Model {
	mixtral := llama("mixtral-8x7b", 32, 4096, 14336, 32, 8, 32000, 32768, "Jiang et al., arXiv 2401.04088, table 1; MaxText configs/models/mixtral-8x7b.yml")
	mixtral.MoE = &MoE{Experts: 8, TopK: 2, FFN: 14336}
	minimax := llama("minimax-m2", 62, 3072, 8192, 48, 8, 200064, 196608, "recalled: the Hugging Face config of MiniMaxAI/MiniMax-M2; 0.6 % below the published 230 billion, which is rounded")
	minimax.QKNorm, minimax.QKNormWide, minimax.RotaryDims = true, true, 64
	minimax.MoE = &MoE{Experts: 256, TopK: 8, FFN: 1536, RouterBias: true}
	gptoss := func(name string, layers, experts int64, source string) Model {
		m := llama(name, layers, 2880, 2880, 64, 8, 201088, 131072, source)
		m.HeadDim, m.LinearBias, m.Sinks = 64, true, true
		m.SlidingWindow, m.FullAttention = 128, alternating(layers, 2)
		m.MoE = &MoE{Experts: experts, TopK: 4, FFN: 2880, RouterBias: true, Bias: true}
		return m
	}
	const openai = "recalled: OpenAI, gpt-oss model card (2025), table 1, and the Hugging Face config; reproduces the published parameter count. Published with experts in MXFP4; every second layer looks back over 128 tokens"
	return []Model{mixtral, minimax, gptoss("gpt-oss-20b", 24, 32, openai), gptoss("gpt-oss-120b", 36, 128, openai)}
}

func deepseekPresets() []Model {
	mla := &MLA{QRank: 1536, KVRank: 512, Nope: 128, RoPE: 64, V: 128}
	deepseek := func(name string, heads, vocab, maxSeq int64, moe MoE, source string) Model {
		m := llama(name, 61, 7168, 18432, heads, heads, vocab, maxSeq, source)
		m.HeadDim, m.MLA, m.MoE = 192, mla, &moe
		return m
	}
	v3 := MoE{Experts: 256, TopK: 8, FFN: 2048, SharedFFN: 2048, FirstDense: 3, RouterBias: true}
	k2 := MoE{Experts: 384, TopK: 8, FFN: 2048, SharedFFN: 2048, FirstDense: 1, RouterBias: true}
	const further = "; the module that predicts further tokens is left out"
	lite := llama("deepseek-v2-lite", 27, 2048, 10944, 16, 16, 102400, 163840, "recalled: DeepSeek-V2, arXiv 2405.04434, and the Hugging Face config; reproduces the published 15.7 billion")
	lite.HeadDim, lite.MLA, lite.MoE = 192, &MLA{KVRank: 512, Nope: 128, RoPE: 64, V: 128}, &MoE{Experts: 64, TopK: 6, FFN: 1408, SharedFFN: 2816, FirstDense: 1}
	return []Model{
		lite,
		deepseek("deepseek-v3", 128, 129280, 163840, v3, "DeepSeek-V3, arXiv 2412.19437; MaxText configs/models/deepseek3-671b.yml"+further),
		deepseek("deepseek-r1", 128, 129280, 163840, v3, "DeepSeek-R1, arXiv 2501.12948: the architecture of DeepSeek-V3"+further),
		deepseek("kimi-k2", 64, 163840, 131072, k2, "recalled: Kimi K2, arXiv 2507.20534, and the Hugging Face config; 1.3 % below the published 1.04 trillion"),
	}
}

func relativePresets() []Model {
	gopher := func(name string, layers, hidden, heads int64, source string) Model {
		return Model{Name: name, Source: source, Layers: layers, Hidden: hidden, FFN: 4 * hidden, Heads: heads, KVHeads: heads, HeadDim: 128,
			Vocab: 32000, MaxSeq: 2048, Activation: GELU, TiedEmbeddings: true, Norm: RMSNorm, NormsPerLayer: 2, Position: Projected, DType: "bf16"}
	}
	return []Model{
		gopher("gopher-280b", 80, 16384, 128, "Rae et al., arXiv 2112.11446, table 1; Calculon models/gopher-280B.json. Projecting the distances takes a matrix a layer, without which 280 billion are not reached"),
		gopher("chinchilla-70b", 80, 8192, 64, "Hoffmann et al., arXiv 2203.15556, table 4; Calculon models/chinchilla.json. Distances as in Gopher: 64.7 billion without their projection"),
	}
}

func encoderPresets() []Model {
	bert := func(name string, layers, hidden, heads int64) Model {
		m := gpt(name, layers, hidden, heads, 30522, 512, "recalled: Devlin et al., arXiv 1810.04805, section 3, and the Hugging Face config; with the pooler, reproduces the published parameter count exactly")
		m.Kind, m.NormPlace, m.EmbeddingNorm, m.TokenTypes, m.Pooler = Encoder, AfterAdd, true, 2, true
		return m
	}
	t5 := func(name string, ffn, heads, headDim int64) Model {
		return Model{Name: name, Kind: EncoderDecoder, Layers: 24, EncoderLayers: 24, Hidden: 1024, FFN: ffn, Heads: heads, KVHeads: heads, HeadDim: headDim,
			Vocab: 32128, MaxSeq: 512, Activation: ReLU, TiedEmbeddings: true, Norm: RMSNorm, NormsPerLayer: 2, Position: RelativeBias, DType: "bf16",
			FixedExtra: 2 * 32 * heads, // the tables of 32 distances for each head, of encoder and decoder
			Source:     "recalled: Raffel et al., arXiv 1910.10683, section 3.7, and the Hugging Face config; reproduces the published parameter count exactly"}
	}
	vit := gpt("vit-b16-224", 12, 768, 12, 0, 197, "recalled: Dosovitskiy et al., arXiv 2010.11929, table 1, and timm; reproduces the published parameter count exactly. An image of 224×224 is 196 patches and the class token")
	vit.Kind, vit.Patches = Vision, &Patches{Size: 16, Channels: 3, Classes: 1000}
	return []Model{bert("bert-base", 12, 768, 12), bert("bert-large", 24, 1024, 16), t5("t5-large", 4096, 16, 64), t5("t5-11b", 65536, 128, 128), vit}
}
