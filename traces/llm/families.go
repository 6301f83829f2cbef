package llm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim/spec"
)

// family is a model_type of Hugging Face transformers that this version describes.
type family struct {
	name  string
	types []string // values of model_type
	arch  string   // class in "architectures", should model_type be missing
	dtype string   // weights' format if the file does not say
	read  func(*config, *Model)
	takes []string // keys that it understands and others refuse, see refused
}

var families = append([]family{
	{"GPT-2", []string{"gpt2"}, "GPT2LMHeadModel", "fp16", readGPT2, nil},
	{"GPT-J", []string{"gptj"}, "GPTJForCausalLM", "", readGPTJ, nil},
	{"GPT-NeoX", []string{"gpt_neox"}, "GPTNeoXForCausalLM", "", readNeoX, nil},
	{"OPT", []string{"opt"}, "OPTForCausalLM", "fp16", readOPT, nil},
	{"Llama", []string{"llama"}, "LlamaForCausalLM", "", readLlama, nil},
	{"Mistral", []string{"mistral"}, "MistralForCausalLM", "", readMistral, nil},
	{"Qwen2", []string{"qwen2"}, "Qwen2ForCausalLM", "", readQwen2, nil},
	{"Qwen3", []string{"qwen3"}, "Qwen3ForCausalLM", "", readQwen3, nil},
	{"Gemma", []string{"gemma"}, "GemmaForCausalLM", "", readGemma, nil},
	{"Phi", []string{"phi"}, "PhiForCausalLM", "", readPhi, nil},
	{"Falcon", []string{"falcon", "RefinedWeb", "RefinedWebModel"}, "FalconForCausalLM", "", readFalcon, nil},
	{"BLOOM", []string{"bloom"}, "BloomForCausalLM", "", readBloom, nil},
}, moreFamilies...)

// unsupported lists kinds of models that are known and not described yet, by why.
var unsupported = []struct {
	why   string
	types []string
}{
	{"a mixture of experts", []string{"qwen3_next", "olmoe", "dbrx", "jetmoe", "phimoe", "granitemoe", "llama4", "llama4_text", "ernie4_5_moe", "minimax", "hunyuan_v1_moe", "nllb-moe", "switch_transformers", "grok-1", "arctic", "bailing_moe"}},
	{"latent attention with a mixture of experts", []string{"deepseek_v32", "minicpm3"}},
	{"an encoder-decoder", []string{"umt5", "longt5", "bart", "mbart", "pegasus", "marian", "m2m_100", "blenderbot", "whisper", "fsmt", "encoder-decoder", "led", "prophetnet", "t5gemma"}},
	{"an encoder", []string{"xlm-roberta", "albert", "electra", "deberta", "deberta-v2", "mpnet", "modernbert", "longformer", "deit", "beit", "dinov2", "wav2vec2", "hubert"}},
	{"a model of several modalities", []string{"llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "mllama", "gemma3", "gemma3n", "paligemma", "idefics", "idefics2", "idefics3", "clip", "blip-2", "mistral3", "phi4_multimodal", "pixtral", "internvl", "qwen2_audio"}},
	{"a state-space or recurrent model", []string{"mamba", "mamba2", "falcon_mamba", "rwkv", "jamba", "bamba", "zamba", "zamba2", "recurrent_gemma", "xlstm", "nemotron_h", "falcon_h1"}},
	{"norms after each branch in another order", []string{"glm4", "cohere2", "exaone4"}},
	{"this family", []string{"gpt_bigcode", "baichuan", "chatglm", "glm", "stablelm", "olmo", "internlm2", "qwen", "codegen", "ctrl", "openai-gpt", "xglm", "granite", "persimmon", "minicpm", "smollm3", "phi-msft", "biogpt", "xlnet", "transfo-xl", "bit", "diffllama", "helium", "arcee", "apertus", "exaone"}},
}

// family finds the family of the configuration, or notes why there is none.
func (c *config) family() *family {
	c.used["model_type"], c.used["architectures"] = true, true
	m := c.root.find("model_type")
	if m == nil || m.value.kind == null {
		if a := c.root.find("architectures"); a != nil && a.value.kind == list && len(a.value.list) > 0 {
			for i := range families {
				if families[i].arch == a.value.list[0].text {
					return &families[i]
				}
			}
		}
		c.fail(-1, "model_type", "missing", `e.g. "llama"; known: `+strings.Join(knownTypes(), ", "))
		return nil
	}
	if m.value.kind != text {
		c.fail(m.value.offset, "model_type", "must be a string, is "+m.value.kind.String(), `e.g. "llama"`)
		return nil
	}
	name := m.value.text
	for i := range families {
		if slices.Contains(families[i].types, name) {
			return &families[i]
		}
	}
	for _, u := range unsupported {
		if slices.Contains(u.types, name) {
			c.fail(m.value.offset, "model_type", fmt.Sprintf("%q: %s is %v", name, u.why, ErrUnsupported), "supported: "+strings.Join(knownTypes(), ", ")).Cause = ErrUnsupported
			return nil
		}
	}
	message := fmt.Sprintf("%q is unknown", shorten(name))
	if near := spec.Suggest(name, knownTypes()); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	}
	c.fail(m.value.offset, "model_type", message, "known: "+strings.Join(knownTypes(), ", "))
	return nil
}

func knownTypes() []string {
	var all []string
	for _, f := range families {
		all = append(all, f.types[0])
	}
	slices.Sort(all)
	return all
}

// The names of keys that several families share; gpt2-style names are aliases in transformers.
var (
	layerKeys  = []string{"num_hidden_layers", "n_layer"}
	hiddenKeys = []string{"hidden_size", "n_embd"}
	headKeys   = []string{"num_attention_heads", "n_head"}
	maxSeqKeys = []string{"max_position_embeddings", "n_positions"}
)

func reversed(names []string) []string {
	out := slices.Clone(names)
	slices.Reverse(out)
	return out
}

// shape reads what every family has.
func (c *config) shape(m *Model, layers, hidden, heads []string) {
	m.Layers = c.required("layers", layers...)
	m.Hidden = c.required("hidden", hidden...)
	m.Heads = c.required("heads", heads...)
	m.Vocab = c.required("vocab", "vocab_size")
	m.KVHeads, m.NormsPerLayer = m.Heads, 2
}

// headDim sets the width of a head to hidden/heads, or to head_dim where the family has that key.
func (c *config) headDim(m *Model, key string) {
	m.HeadDim = 1
	c.keys["head_dim"] = c.keys["heads"]
	if key != "" {
		if v := c.get(key); v != nil {
			m.HeadDim = c.optional("head_dim", 1, key)
			return
		}
	}
	if m.Hidden%m.Heads != 0 {
		if len(c.errors) > 0 {
			return // of a value that was replaced, perhaps
		}
		at, hint := c.root.find(c.keys["heads"]), ""
		if key != "" {
			hint = "or say head_dim"
		}
		c.fail(at.value.offset, at.key, fmt.Sprintf("%d heads do not divide the width of %d", m.Heads, m.Hidden), hint)
		return
	}
	m.HeadDim = m.Hidden / m.Heads
}

// groups reads how many key/value heads there are.
func (c *config) groups(m *Model) {
	m.KVHeads = c.optional("kv_heads", m.Heads, "num_key_value_heads")
}

// tied reads whether the head uses the token table.
func (c *config) tied(m *Model, otherwise bool) {
	m.TiedEmbeddings = c.flag(otherwise, "tie_word_embeddings")
}

// rotary sets the part of each head that is rotated from a share such as 0.25.
func (c *config) rotary(m *Model, otherwise float64, names ...string) {
	m.Position = RoPE
	c.keys["rotary_dims"] = names[0]
	share := c.share(otherwise, names...)
	if v := c.root.find("rope_parameters"); v != nil && v.value.kind == object {
		if p := v.value.find("partial_rotary_factor"); p != nil && c.get(names...) == nil {
			var ok bool
			if share, ok = fraction(&p.value); !ok {
				c.fail(p.value.offset, "rope_parameters.partial_rotary_factor", "must be a number above 0, at most 1", "")
			}
		}
	}
	if share < 1 {
		// transformers truncates the product too.
		m.RotaryDims = int64(float64(m.HeadDim) * share)
		if m.RotaryDims < 2 {
			c.fail(-1, names[0], fmt.Sprintf("rotates %d elements of a head of %d", m.RotaryDims, m.HeadDim), "")
		}
	}
}

// window reads the sliding window; active says whether the file switches it on.
func (c *config) window(m *Model, active bool) {
	n := c.optional("sliding_window", 0, "sliding_window")
	if active && n < m.MaxSeq {
		m.SlidingWindow = n
	}
}

// maxSeq reads the longest context; without one it is what transformers takes, and a note says so.
func (c *config) maxSeq(m *Model, otherwise int64, names ...string) {
	if m.MaxSeq = c.optional("max_seq", 0, names...); m.MaxSeq == 0 {
		m.MaxSeq = otherwise
		c.note("no %s: %d tokens, the default of transformers", names[0], otherwise)
	}
}

func readGPT2(c *config, m *Model) {
	c.shape(m, reversed(layerKeys), reversed(hiddenKeys), reversed(headKeys))
	c.maxSeq(m, 1024, "n_positions", "max_position_embeddings")
	m.FFN = c.optional("ffn", product(4, m.Hidden), "n_inner")
	m.Activation = c.activation("gelu_new", "activation_function")
	m.LinearBias, m.FFNBias, m.Norm, m.Position = true, true, LayerNorm, Learned
	c.tied(m, true)
	c.headDim(m, "")
}

func readGPTJ(c *config, m *Model) {
	c.shape(m, reversed(layerKeys), reversed(hiddenKeys), reversed(headKeys))
	c.maxSeq(m, 2048, "n_positions", "max_position_embeddings")
	m.FFN = c.optional("ffn", product(4, m.Hidden), "n_inner")
	m.Activation = c.activation("gelu_new", "activation_function")
	m.FFNBias, m.HeadBias, m.Norm, m.Position = true, true, LayerNorm, RoPE
	m.ParallelBlock, m.NormsPerLayer = true, 1
	m.RotaryDims = c.optional("rotary_dims", 0, "rotary_dim")
	c.tied(m, false)
	c.headDim(m, "")
}

func readNeoX(c *config, m *Model) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.maxSeq(m, 2048, maxSeqKeys[:1]...)
	m.FFN = c.required("ffn", "intermediate_size")
	m.Activation = c.activation("gelu", "hidden_act")
	m.LinearBias, m.FFNBias, m.Norm = c.flag(true, "attention_bias"), true, LayerNorm
	m.ParallelBlock = c.flag(true, "use_parallel_residual")
	c.tied(m, false)
	c.headDim(m, "")
	c.rotary(m, 0.25, "rotary_pct", "partial_rotary_factor")
}

func readOPT(c *config, m *Model) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.maxSeq(m, 2048, maxSeqKeys[:1]...)
	m.ExtraPositions = 2 // transformers' OPTLearnedPositionalEmbedding: offset
	m.FFN = c.required("ffn", "ffn_dim")
	m.Activation = c.activation("relu", "activation_function")
	bias := c.flag(true, "enable_bias")
	m.LinearBias, m.FFNBias, m.Norm, m.Position = bias, bias, LayerNorm, Learned
	c.must("do_layer_norm_before", true, "the norm comes after each branch")
	c.must("layer_norm_elementwise_affine", true, "norms have no weights")
	c.must("_remove_final_layer_norm", false, "there is no final norm")
	if v := c.get("word_embed_proj_dim"); v != nil {
		if n := c.integer(v, 1); n != m.Hidden {
			c.fail(v.value.offset, v.key, fmt.Sprintf("%d differs from hidden_size: a projection of the embedding is %v", n, ErrUnsupported), "").Cause = ErrUnsupported
		}
	}
	c.tied(m, true)
	c.headDim(m, "")
}

// gated reads what Llama and its descendants have in common.
func (c *config) gated(m *Model, tied bool) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.groups(m)
	c.maxSeq(m, 2048, maxSeqKeys[:1]...)
	m.FFN = c.required("ffn", "intermediate_size")
	m.Activation, m.Gated = c.activation("silu", "hidden_act"), true
	m.Norm, m.Position = RMSNorm, RoPE
	c.keys["rotary_dims"] = "head_dim" // all of it is rotated
	c.tied(m, tied)
}

func readLlama(c *config, m *Model) {
	c.gated(m, false)
	m.LinearBias = c.flag(false, "attention_bias")
	m.FFNBias = c.flag(false, "mlp_bias")
	c.headDim(m, "head_dim")
}

func readMistral(c *config, m *Model) {
	c.gated(m, false)
	c.window(m, true)
	c.headDim(m, "head_dim")
}

func readQwen2(c *config, m *Model) {
	c.gated(m, false)
	m.QKVBias = true
	c.qwenWindow(m)
	c.headDim(m, "head_dim")
}

func readQwen3(c *config, m *Model) {
	c.gated(m, false)
	m.LinearBias = c.flag(false, "attention_bias")
	m.QKNorm = true
	c.qwenWindow(m)
	m.HeadDim = c.optional("head_dim", 128, "head_dim")
}

func readGemma(c *config, m *Model) {
	c.gated(m, true)
	// Old files say "gelu" in hidden_act and transformers uses the tanh form all the same.
	m.Activation = c.activation("gelu_pytorch_tanh", "hidden_activation")
	m.LinearBias = c.flag(false, "attention_bias")
	m.HeadDim = c.optional("head_dim", 256, "head_dim")
}

func readPhi(c *config, m *Model) {
	c.shape(m, layerKeys[:1], hiddenKeys[:1], headKeys[:1])
	c.groups(m)
	c.maxSeq(m, 2048, maxSeqKeys[:1]...)
	m.FFN = c.required("ffn", "intermediate_size")
	m.Activation = c.activation("gelu_new", "hidden_act")
	m.LinearBias, m.FFNBias, m.HeadBias, m.Norm = true, true, true, LayerNorm
	m.ParallelBlock, m.NormsPerLayer = true, 1
	c.must("qk_layernorm", false, "queries and keys get a LayerNorm")
	c.tied(m, false)
	c.headDim(m, "")
	c.rotary(m, 0.5, "partial_rotary_factor")
}

func readFalcon(c *config, m *Model) {
	c.shape(m, layerKeys, []string{"hidden_size", "n_embed"}, headKeys)
	m.MaxSeq = c.optional("max_seq", 2048, "max_position_embeddings")
	m.FFN = c.optional("ffn", product(4, m.Hidden), "ffn_hidden_size")
	m.Activation, m.Norm = c.activation("gelu", "activation"), LayerNorm
	bias := c.flag(false, "bias")
	m.LinearBias, m.FFNBias = bias, bias
	m.Position = RoPE
	if c.flag(false, "alibi") {
		m.Position = ALiBi
	}
	groups := c.optional("kv_heads", m.Heads, "num_kv_heads", "n_head_kv")
	multi, parallel := c.flag(true, "multi_query"), c.flag(true, "parallel_attn")
	norms := c.optional("norms_per_layer", 0, "num_ln_in_parallel_attn")
	if c.flag(false, "new_decoder_architecture") {
		m.KVHeads, m.ParallelBlock, m.NormsPerLayer = groups, true, 2
		if norms > 0 {
			m.NormsPerLayer = norms
		}
	} else {
		if multi {
			m.KVHeads = 1
		}
		if m.ParallelBlock = parallel; parallel {
			m.NormsPerLayer = 1
		}
	}
	if c.root.find("tie_word_embeddings") == nil {
		c.note("no tie_word_embeddings: tied, as transformers does; some Falcon checkpoints store the head apart all the same")
	}
	c.tied(m, true)
	c.headDim(m, "")
}

func readBloom(c *config, m *Model) {
	c.shape(m, reversed(layerKeys), []string{"hidden_size", "n_embed"}, reversed(headKeys))
	m.MaxSeq = c.optional("max_seq", 2048, "seq_length")
	m.FFN = product(4, m.Hidden)
	c.keys["ffn"] = c.keys["hidden"]
	m.Activation, m.Norm, m.Position = GELUTanh, LayerNorm, ALiBi
	m.LinearBias, m.FFNBias, m.EmbeddingNorm = true, true, true
	c.tied(m, true)
	c.headDim(m, "")
}
