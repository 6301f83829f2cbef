package llm

import (
	"fmt"
	"slices"
	"strings"
)

// Keys that mixtures of experts and latent attention are described with.
var (
	expertKeys = []string{"num_local_experts", "num_experts", "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts"}
	latentKeys = append([]string{"kv_lora_rank", "q_lora_rank", "qk_rope_head_dim", "v_head_dim"}, expertKeys...)
)

var moreFamilies = []family{
	{"Phi-3", []string{"phi3"}, "Phi3ForCausalLM", "", readPhi3, nil},
	{"Gemma 2", []string{"gemma2"}, "Gemma2ForCausalLM", "", readGemma2, nil},
	{"Gemma 3", []string{"gemma3_text"}, "Gemma3ForCausalLM", "", readGemma3, nil},
	{"GPT-Neo", []string{"gpt_neo"}, "GPTNeoForCausalLM", "", readGPTNeo, nil},
	{"StarCoder 2", []string{"starcoder2"}, "Starcoder2ForCausalLM", "", readStarCoder2, nil},
	{"MPT", []string{"mpt"}, "MPTForCausalLM", "", readMPT, []string{"ffn_config"}},
	{"Nemotron", []string{"nemotron"}, "NemotronForCausalLM", "", readNemotron, nil},
	{"OLMo 2", []string{"olmo2"}, "Olmo2ForCausalLM", "", readOLMo2, nil},
	{"Cohere", []string{"cohere"}, "CohereForCausalLM", "", readCohere, nil},
	{"Mixtral", []string{"mixtral"}, "MixtralForCausalLM", "", readMixtral, expertKeys},
	{"Qwen2 MoE", []string{"qwen2_moe"}, "Qwen2MoeForCausalLM", "", readQwen2MoE, expertKeys},
	{"Qwen3 MoE", []string{"qwen3_moe"}, "Qwen3MoeForCausalLM", "", readQwen3MoE, expertKeys},
	{"gpt-oss", []string{"gpt_oss"}, "GptOssForCausalLM", "", readGPTOSS, expertKeys},
	{"GLM-4 MoE", []string{"glm4_moe"}, "Glm4MoeForCausalLM", "", readGLM4MoE, expertKeys},
	{"MiniMax-M2", []string{"minimax_m2"}, "MiniMaxM2ForCausalLM", "", readMiniMaxM2, expertKeys},
	{"DeepSeek-V3", []string{"deepseek_v3", "kimi_k2"}, "DeepseekV3ForCausalLM", "", readDeepSeek, latentKeys},
	{"DeepSeek-V2", []string{"deepseek_v2"}, "DeepseekV2ForCausalLM", "", readDeepSeek, latentKeys},
	{"T5", []string{"t5", "mt5"}, "T5ForConditionalGeneration", "", readT5, []string{"is_encoder_decoder"}},
	{"BERT", []string{"bert"}, "BertModel", "", readBERT, nil},
	{"RoBERTa", []string{"roberta", "xlm-roberta"}, "RobertaModel", "", readRoBERTa, nil},
	{"DistilBERT", []string{"distilbert"}, "DistilBertModel", "", readDistilBERT, nil},
	{"ViT", []string{"vit"}, "ViTForImageClassification", "", readViT, nil},
}

// within reads the members of an object of the file.
func (c *config) within(key string, read func()) {
	m := c.get(key)
	if m == nil {
		return
	}
	if m.value.kind != object {
		c.fail(m.value.offset, m.key, "must be an object, is "+m.value.kind.String(), "")
		return
	}
	outer := c.root
	c.root = m.value
	read()
	c.root = outer
}

// readMPT reads the configuration of MosaicML's transformer, whose attention has an object of its own.
func readMPT(c *config, m *Model) {
	c.shape(m, []string{"n_layers"}, []string{"d_model"}, []string{"n_heads"})
	c.maxSeq(m, 2048, "max_seq_len")
	m.FFN = product(c.optional("ffn", 4, "expansion_ratio"), m.Hidden)
	m.Activation, m.Norm = GELU, LayerNorm
	bias := !c.flag(false, "no_bias")
	m.LinearBias, m.FFNBias = bias, bias
	switch norm := c.word("low_precision_layernorm", "norm_type"); {
	case strings.HasSuffix(norm, "rmsnorm"):
		m.Norm = RMSNorm
	case !bias:
		m.Norm = LayerNormNoBias
	}
	if c.flag(true, "learned_pos_emb") {
		m.Position = Learned
	} else {
		m.Position = None
	}
	c.tied(m, true)
	c.headDim(m, "")
	c.within("attn_config", func() {
		switch kind := c.word("multihead_attention", "attn_type"); kind {
		case "multihead_attention":
		case "multiquery_attention":
			m.KVHeads = 1
		case "grouped_query_attention":
			m.KVHeads = c.required("kv_heads", "kv_n_heads")
		default:
			v := c.get("attn_type")
			c.fail(v.value.offset, "attn_config.attn_type", fmt.Sprintf("%q is unknown", shorten(kind)), "multihead_attention, multiquery_attention or grouped_query_attention")
		}
		if c.flag(false, "alibi") {
			m.Position = ALiBi
		}
		if c.flag(false, "rope") {
			m.Position = RoPE
		}
		c.must("qk_ln", false, "queries and keys get a LayerNorm")
		c.must("prefix_lm", false, "a prefix that is attended to in both directions")
	})
	c.within("ffn_config", func() {
		if kind := c.word("mptmlp", "ffn_type"); kind != "mptmlp" && kind != "te_ln_mlp" {
			v := c.get("ffn_type")
			c.fail(v.value.offset, "ffn_config.ffn_type", fmt.Sprintf("%q is %v", shorten(kind), ErrUnsupported), "mptmlp").Cause = ErrUnsupported
		}
	})
	c.used["init_device"], c.used["verbose"], c.used["embedding_fraction"], c.used["resid_pdrop"], c.used["emb_pdrop"] = true, true, true, true, true
	c.used["init_config"], c.used["logit_scale"], c.used["tokenizer_name"], c.used["use_pad_tok_in_ffn"] = true, true, true, true
}

// readNemotron reads Nemotron-4 and its smaller ones: a feed-forward network without a gate, half of each head rotated.
func readNemotron(c *config, m *Model) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.groups(m)
	c.maxSeq(m, 4096, maxSeqKeys[:1]...)
	m.FFN = c.required("ffn", "intermediate_size")
	m.Activation, m.Norm = c.activation("relu2", "hidden_act"), LayerNorm
	m.LinearBias, m.FFNBias = c.flag(false, "attention_bias"), c.flag(false, "mlp_bias")
	c.tied(m, false)
	c.headDim(m, "head_dim")
	c.rotary(m, 0.5, "partial_rotary_factor")
	c.used["norm_eps"] = true
}

// sparseTypes lists the families that are mixtures of experts.
func sparseTypes() []string {
	var all []string
	for _, f := range moreFamilies {
		if len(f.takes) >= len(expertKeys) {
			all = append(all, f.types...)
		}
	}
	slices.Sort(all)
	return all
}

// everyLast gives full attention to the last of every few layers, where no list says which have it.
func (c *config) everyLast(m *Model, few int64) {
	if c.localAt == nil && m.SlidingWindow > 0 && few > 1 && m.Layers <= maxMixed {
		m.FullAttention = alternating(m.Layers, few)
	}
}

// qwenWindow reads the window of Qwen2 and Qwen3: it is off unless the file says so, and then for the layers
// from max_window_layers on.
func (c *config) qwenWindow(m *Model) {
	c.window(m, c.flag(false, "use_sliding_window"))
	v := c.get("max_window_layers")
	if v == nil || m.SlidingWindow == 0 || c.localAt != nil {
		return
	}
	from := c.integer(v, 0)
	if from >= m.Layers {
		m.SlidingWindow = 0
		return
	}
	for l := int64(0); l < min(from, maxMixed); l++ {
		m.FullAttention = append(m.FullAttention, l)
	}
}

func readPhi3(c *config, m *Model) {
	c.gated(m, false)
	c.window(m, true)
	c.headDim(m, "")
	c.rotary(m, 1, "partial_rotary_factor")
}

func readGemma2(c *config, m *Model) {
	readGemma(c, m)
	m.NormPlace, m.NormsPerLayer = Sandwich, 4
	m.SlidingWindow = c.optional("sliding_window", 4096, "sliding_window")
	c.everyLast(m, 2)
}

func readGemma3(c *config, m *Model) {
	readGemma2(c, m)
	m.QKNorm = true
	c.everyLast(m, c.optional("full_attention_layers", 6, "sliding_window_pattern", "_sliding_window_pattern"))
}

func readGPTNeo(c *config, m *Model) {
	c.shape(m, []string{"num_layers", "num_hidden_layers"}, hiddenKeys[:1], []string{"num_heads", "num_attention_heads"})
	c.maxSeq(m, 2048, maxSeqKeys[0])
	m.FFN = c.optional("ffn", product(4, m.Hidden), "intermediate_size")
	m.Activation = c.activation("gelu_new", "activation_function")
	m.OutBias, m.FFNBias, m.Norm, m.Position = true, true, LayerNorm, Learned
	window := c.optional("sliding_window", 256, "window_size")
	c.tied(m, true)
	c.headDim(m, "")
	c.neoLayers(m, window)
}

// neoLayers reads attention_types, [[["global", "local"], 12]] for 12 times a global and a local layer, or
// attention_layers, the same written out.
func (c *config) neoLayers(m *Model, window int64) {
	types, layers := c.get("attention_types"), c.get("attention_layers")
	var kinds []string
	words := func(v *value) {
		for i := range v.list {
			if kinds = append(kinds, v.list[i].text); v.list[i].text != "global" && v.list[i].text != "local" {
				c.fail(v.list[i].offset, "attention_layers", "must be global or local", "")
			}
		}
	}
	switch {
	case layers != nil && layers.value.kind == list:
		words(&layers.value)
	case types != nil && types.value.kind == list:
		for i := range types.value.list {
			t := &types.value.list[i]
			n, ok := int64(0), fractional
			if t.kind == list && len(t.list) == 2 && t.list[0].kind == list && t.list[1].kind == number {
				n, ok = whole(t.list[1].text)
			}
			if ok != isWhole || n < 1 || n > maxMixed {
				c.fail(t.offset, "attention_types", "must be lists of kinds of layers and how often they follow", `e.g. [[["global", "local"], 12]]`)
				return
			}
			for range n {
				words(&t.list[0])
				if len(kinds) > maxMixed {
					break
				}
			}
		}
	default:
		return // all look at everything
	}
	if len(c.errors) > 0 {
		return
	}
	if int64(len(kinds)) != m.Layers {
		at := types
		if layers != nil {
			at = layers
		}
		c.fail(at.offset, at.key, fmt.Sprintf("%d layers, the model has %d", len(kinds), m.Layers), "")
		return
	}
	for i, k := range kinds {
		if k == "global" {
			m.FullAttention = append(m.FullAttention, int64(i))
		}
	}
	if len(m.FullAttention) < len(kinds) {
		m.SlidingWindow = window
	} else {
		m.FullAttention = nil
	}
}

func readStarCoder2(c *config, m *Model) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.groups(m)
	c.maxSeq(m, 4096, maxSeqKeys[0])
	m.FFN = c.required("ffn", "intermediate_size")
	m.Activation = c.activation("gelu_pytorch_tanh", "hidden_act")
	bias := c.flag(true, "use_bias")
	m.LinearBias, m.FFNBias, m.Norm, m.Position = bias, bias, LayerNorm, RoPE
	c.used["norm_type"], c.used["mlp_type"] = true, true
	c.window(m, true)
	c.tied(m, true)
	c.headDim(m, "")
}

func readOLMo2(c *config, m *Model) {
	c.gated(m, false)
	m.LinearBias = c.flag(false, "attention_bias")
	m.NormPlace, m.QKNorm, m.QKNormWide = OnBranch, true, true
	c.headDim(m, "")
}

func readCohere(c *config, m *Model) {
	c.gated(m, true)
	m.LinearBias = c.flag(false, "attention_bias")
	m.Norm, m.ParallelBlock, m.NormsPerLayer = LayerNormNoBias, true, 1
	c.must("use_qk_norm", false, "queries and keys get a LayerNorm for each head")
	c.headDim(m, "")
}

// experts reads a mixture of experts; experts and width are the names of its keys.
func (c *config) experts(m *Model, experts []string, width string) *MoE {
	e := &MoE{Experts: c.required("moe.experts", experts...), TopK: c.required("moe.top_k", "num_experts_per_tok", "experts_per_token"), FFN: c.required("moe.ffn", width)}
	m.MoE = e
	return e
}

func readMixtral(c *config, m *Model) {
	c.gated(m, false)
	c.window(m, true)
	c.headDim(m, "head_dim")
	c.experts(m, []string{"num_local_experts"}, "intermediate_size")
}

// qwenExperts reads the experts of the Qwen families.
func (c *config) qwenExperts(m *Model) *MoE {
	e := c.experts(m, []string{"num_experts"}, "moe_intermediate_size")
	if v := c.get("decoder_sparse_step"); v != nil && c.integer(v, 1) != 1 {
		c.fail(v.value.offset, v.key, fmt.Sprintf("dense layers between sparse ones are %v", ErrUnsupported), "1").Cause = ErrUnsupported
	}
	if v := c.get("mlp_only_layers"); v != nil && !v.value.off() {
		c.fail(v.value.offset, v.key, fmt.Sprintf("dense layers between sparse ones are %v", ErrUnsupported), "an empty list").Cause = ErrUnsupported
	}
	return e
}

func readQwen2MoE(c *config, m *Model) {
	c.gated(m, false)
	m.QKVBias = c.flag(true, "qkv_bias")
	c.qwenWindow(m)
	c.headDim(m, "")
	e := c.qwenExperts(m)
	e.SharedFFN, e.SharedGate = c.required("moe.shared_ffn", "shared_expert_intermediate_size"), true
}

func readQwen3MoE(c *config, m *Model) {
	readQwen3(c, m)
	c.qwenExperts(m)
}

func readGPTOSS(c *config, m *Model) {
	c.gated(m, false)
	m.LinearBias = c.flag(true, "attention_bias")
	m.Sinks = true
	m.HeadDim = c.optional("head_dim", 64, "head_dim")
	c.used["swiglu_limit"], c.used["initial_context_length"] = true, true
	m.SlidingWindow = c.optional("sliding_window", 128, "sliding_window")
	c.everyLast(m, 2)
	e := c.experts(m, []string{"num_local_experts", "num_experts"}, "intermediate_size")
	e.Bias, e.RouterBias = true, true
}

// shared reads the experts of DeepSeek and of those who followed: some are shared, the first layers dense.
func (c *config) shared(m *Model) *MoE {
	e := c.experts(m, []string{"n_routed_experts"}, "moe_intermediate_size")
	e.SharedFFN = product(c.optional("moe.shared_ffn", 0, "n_shared_experts"), e.FFN)
	if v := c.get("first_k_dense_replace"); v != nil {
		c.keys["moe.first_dense"] = v.key
		e.FirstDense = c.integer(v, 0)
	}
	if v := c.get("moe_layer_freq"); v != nil && c.integer(v, 1) != 1 {
		c.fail(v.value.offset, v.key, fmt.Sprintf("dense layers between sparse ones are %v", ErrUnsupported), "1").Cause = ErrUnsupported
	}
	return e
}

func readGLM4MoE(c *config, m *Model) {
	c.gated(m, false)
	m.QKVBias = c.flag(false, "attention_bias") // the output projection has none
	m.QKNorm = c.flag(false, "use_qk_norm")
	c.headDim(m, "head_dim")
	c.rotary(m, 0.5, "partial_rotary_factor")
	c.shared(m).RouterBias = true
}

func readMiniMaxM2(c *config, m *Model) {
	c.gated(m, false)
	c.headDim(m, "head_dim")
	m.QKNorm, m.QKNormWide = c.flag(true, "use_qk_norm"), true
	if c.word("per_layer", "qk_norm_type") != "per_layer" {
		m.QKNormWide = false
	}
	m.RotaryDims = c.optional("rotary_dims", 0, "rotary_dim")
	c.experts(m, []string{"num_local_experts"}, "intermediate_size").RouterBias = c.flag(true, "use_routing_bias")
	if v := c.get("shared_intermediate_size"); v != nil && !v.value.off() {
		c.fail(v.value.offset, v.key, fmt.Sprintf("a shared expert of this family is %v", ErrUnsupported), "0").Cause = ErrUnsupported
	}
	c.used["attn_type_list"] = true
	if v := c.root.find("attn_type_list"); v != nil && v.value.kind == list {
		for i := range v.value.list {
			if t := &v.value.list[i]; t.text != "1" {
				c.fail(t.offset, fmt.Sprintf("attn_type_list[%d]", i), fmt.Sprintf("linear attention is %v", ErrUnsupported), "1").Cause = ErrUnsupported
				break
			}
		}
	}
}

func readDeepSeek(c *config, m *Model) {
	c.gated(m, false)
	c.must("attention_bias", false, "projections have biases")
	m.KVHeads = m.Heads
	a := &MLA{KVRank: c.required("mla.kv_rank", "kv_lora_rank"), Nope: c.required("mla.nope", "qk_nope_head_dim"), RoPE: c.required("mla.rope", "qk_rope_head_dim"), V: c.required("mla.v", "v_head_dim")}
	a.QRank = c.optional("mla.q_rank", 0, "q_lora_rank")
	m.MLA, m.HeadDim = a, a.Nope+a.RoPE
	c.keys["head_dim"] = "qk_rope_head_dim"
	c.used["head_dim"] = true
	method := c.word("", "topk_method")
	if v := c.get("n_routed_experts"); v == nil {
		return // dense
	}
	c.shared(m).RouterBias = method == "noaux_tc" || method == "" && c.isType("deepseek_v3", "kimi_k2")
}

// isType reports whether the file's model_type is one of those.
func (c *config) isType(types ...string) bool {
	m := c.root.find("model_type")
	return m != nil && slices.Contains(types, m.value.text)
}

func readT5(c *config, m *Model) {
	c.shape(m, []string{"num_layers"}, []string{"d_model"}, []string{"num_heads"})
	m.Kind, m.EncoderLayers = EncoderDecoder, m.Layers
	m.Layers = c.optional("layers", m.EncoderLayers, "num_decoder_layers")
	c.keys["encoder_layers"] = "num_layers"
	m.HeadDim, m.FFN = c.required("head_dim", "d_kv"), c.required("ffn", "d_ff")
	m.MaxSeq = c.optional("max_seq", 512, "n_positions")
	m.Norm, m.Position = RMSNorm, RelativeBias
	m.FixedExtra = product(2, c.optional("fixed_extra_params", 32, "relative_attention_num_buckets"), m.Heads)
	if !c.flag(true, "is_encoder_decoder") {
		v := c.root.find("is_encoder_decoder")
		c.fail(v.value.offset, v.key, fmt.Sprintf("half of an encoder-decoder is %v", ErrUnsupported), "true").Cause = ErrUnsupported
	}
	c.used["relative_attention_max_distance"], c.used["dense_act_fn"], c.used["is_gated_act"] = true, true, true
	v := c.get("feed_forward_proj")
	name := "relu"
	if v != nil {
		name = strings.ToLower(v.value.text)
	}
	if rest, ok := strings.CutPrefix(name, "gated-"); ok {
		m.Gated, name = true, rest
	}
	a, ok := activations[name]
	if !ok {
		c.fail(v.value.offset, v.key, fmt.Sprintf("%q is not supported yet", shorten(v.value.text)), "relu, gated-gelu or gated-silu").Cause = ErrUnsupported
		a = ReLU
	}
	if c.keys["activation"] = "feed_forward_proj"; m.Gated && a == GELU {
		a = GELUTanh // transformers takes gelu_new for gated-gelu
	}
	m.Activation = a
	c.tied(m, true)
}

// encoder reads what the encoders have in common.
func (c *config) encoder(m *Model, layers, hidden, heads, ffn, act string) {
	c.shape(m, []string{layers}, []string{hidden}, []string{heads})
	c.maxSeq(m, 512, maxSeqKeys[0])
	m.Kind, m.FFN, m.Activation = Encoder, c.required("ffn", ffn), c.activation("gelu", act)
	m.LinearBias, m.FFNBias, m.Norm, m.NormPlace, m.Position = true, true, LayerNorm, AfterAdd, Learned
	m.EmbeddingNorm, m.TiedEmbeddings = true, true
	c.used["tie_word_embeddings"] = true // heads are no part of the encoder
	c.headDim(m, "")
	if v := c.get("position_embedding_type"); v != nil && v.value.text != "absolute" {
		c.fail(v.value.offset, v.key, fmt.Sprintf("positions of type %q are %v", shorten(v.value.text), ErrUnsupported), "absolute").Cause = ErrUnsupported
	}
}

func readBERT(c *config, m *Model) {
	c.encoder(m, "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act")
	m.TokenTypes, m.Pooler = c.optional("token_types", 2, "type_vocab_size"), true
	for _, key := range []string{"pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "directionality"} {
		c.used[key] = true
	}
}

func readRoBERTa(c *config, m *Model) {
	readBERT(c, m)
}

func readDistilBERT(c *config, m *Model) {
	c.encoder(m, "n_layers", "dim", "n_heads", "hidden_dim", "activation")
	c.used["sinusoidal_pos_embds"], c.used["qa_dropout"], c.used["seq_classif_dropout"] = true, true, true
}

func readViT(c *config, m *Model) {
	c.used["vocab_size"] = true
	m.Layers, m.Hidden, m.Heads = c.required("layers", layerKeys[0]), c.required("hidden", hiddenKeys[0]), c.required("heads", headKeys[0])
	m.KVHeads, m.NormsPerLayer = m.Heads, 2
	m.Kind, m.FFN, m.Activation = Vision, c.required("ffn", "intermediate_size"), c.activation("gelu", "hidden_act")
	m.QKVBias, m.OutBias = c.flag(true, "qkv_bias"), true
	m.FFNBias, m.Norm, m.Position, m.TiedEmbeddings = true, LayerNorm, Learned, true
	p := &Patches{Size: c.optional("patches.size", 16, "patch_size"), Channels: c.optional("patches.channels", 3, "num_channels")}
	image := c.optional("max_seq", 224, "image_size")
	m.MaxSeq = sum(product(image/p.Size, image/p.Size), 1)
	c.used["encoder_stride"], c.used["pooler_output_size"], c.used["pooler_act"] = true, true, true
	if v := c.root.find("id2label"); v != nil && v.value.kind == object {
		p.Classes = int64(len(v.value.members))
	} else {
		c.note("no id2label: no head that tells classes apart")
	}
	m.Patches = p
	c.headDim(m, "")
}
