package llm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Config writes the model as a Hugging Face config.json that FromHF reads back to the same model, but for its source and notes: of the
// first family of transformers that is like it. The error wraps ErrUnsupported if there is none.
func (m Model) Config() ([]byte, error) {
	want := m
	want.Name, want.Source, want.Notes = "", "", nil
	for _, f := range m.configs() {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(f); err != nil {
			return nil, err
		}
		text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
		got, err := FromHF("config.json", text)
		if err != nil {
			continue
		}
		got.Name, got.Source, got.Notes = "", "", nil
		if reflect.DeepEqual(got, want) {
			return text, nil
		}
	}
	return nil, fmt.Errorf("%s as a config.json: no family of transformers is like it: %w", m.Name, ErrUnsupported)
}

// torchTypes are the names of number formats in a config.json.
var torchTypes = map[string]string{"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}

// activationNames are those of a config.json.
var activationNames = map[Activation]string{GELU: "gelu", GELUTanh: "gelu_new", ReLU: "relu", SiLU: "silu"}

// configs are configurations that may be of the model, a family each.
func (m *Model) configs() []map[string]any {
	act := activationNames[m.Activation]
	of := func(kind string, also map[string]any) map[string]any {
		c := map[string]any{"_name_or_path": m.Name, "model_type": kind, "vocab_size": m.Vocab, "tie_word_embeddings": m.TiedEmbeddings}
		if m.DType != "" {
			c["torch_dtype"] = m.DType
			if name, ok := torchTypes[m.DType]; ok {
				c["torch_dtype"] = name
			}
		}
		maps.Copy(c, also)
		return c
	}
	shape := map[string]any{"hidden_size": m.Hidden, "num_hidden_layers": m.Layers, "num_attention_heads": m.Heads, "intermediate_size": m.FFN, "max_position_embeddings": m.MaxSeq, "hidden_act": act}
	gated := func(also map[string]any) map[string]any {
		c := maps.Clone(shape)
		c["num_key_value_heads"], c["head_dim"] = m.KVHeads, m.HeadDim
		maps.Copy(c, also)
		return c
	}
	old := map[string]any{"n_embd": m.Hidden, "n_layer": m.Layers, "n_head": m.Heads, "n_inner": m.FFN, "n_positions": m.MaxSeq, "activation_function": act}
	var list []map[string]any
	switch e, a := m.MoE, m.MLA; {
	case e == nil && a == nil:
		list = append(list,
			of("llama", gated(map[string]any{"attention_bias": m.LinearBias, "mlp_bias": m.FFNBias})),
			of("mistral", gated(map[string]any{"sliding_window": m.SlidingWindow})),
			of("qwen2", gated(nil)),
			of("qwen3", gated(map[string]any{"attention_bias": m.LinearBias})),
			of("gemma", gated(map[string]any{"hidden_activation": "gelu_pytorch_tanh", "attention_bias": m.LinearBias})),
			of("gpt2", old),
			of("gpt_neox", gptNeoX(m, shape)),
			of("opt", map[string]any{"hidden_size": m.Hidden, "num_hidden_layers": m.Layers, "num_attention_heads": m.Heads, "ffn_dim": m.FFN, "max_position_embeddings": m.MaxSeq, "activation_function": act,
				"enable_bias": m.LinearBias, "word_embed_proj_dim": m.Hidden}))
	case a == nil:
		list = append(list,
			of("mixtral", gated(map[string]any{"num_local_experts": e.Experts, "num_experts_per_tok": e.TopK, "sliding_window": windowOrNone(m.SlidingWindow)})),
			of("qwen3_moe", gated(map[string]any{"num_experts": e.Experts, "num_experts_per_tok": e.TopK, "moe_intermediate_size": e.FFN, "attention_bias": m.LinearBias})),
			of("qwen2_moe", gated(map[string]any{"num_experts": e.Experts, "num_experts_per_tok": e.TopK, "moe_intermediate_size": e.FFN, "shared_expert_intermediate_size": e.SharedFFN, "qkv_bias": m.QKVBias})))
	default:
		latent := gated(map[string]any{"kv_lora_rank": a.KVRank, "qk_nope_head_dim": a.Nope, "qk_rope_head_dim": a.RoPE, "v_head_dim": a.V})
		delete(latent, "head_dim")
		if a.QRank > 0 {
			latent["q_lora_rank"] = a.QRank
		}
		if e != nil {
			maps.Copy(latent, map[string]any{"n_routed_experts": e.Experts, "num_experts_per_tok": e.TopK, "moe_intermediate_size": e.FFN, "first_k_dense_replace": e.FirstDense})
			if e.FFN > 0 && e.SharedFFN > 0 {
				latent["n_shared_experts"] = e.SharedFFN / e.FFN
			}
		}
		list = append(list, of("deepseek_v2", latent), of("deepseek_v3", latent))
	}
	return slices.Clip(list)
}

// gptNeoX is a configuration of that family, whose rotated share of a head is rounded down when it is read.
func gptNeoX(m *Model, shape map[string]any) map[string]any {
	c := maps.Clone(shape)
	c["attention_bias"], c["use_parallel_residual"], c["rotary_pct"] = m.LinearBias, m.ParallelBlock, 1.0
	if m.RotaryDims > 0 && m.HeadDim > 0 {
		c["rotary_pct"] = float64(m.RotaryDims) / float64(m.HeadDim)
	}
	return c
}

// windowOrNone is a sliding window as a config.json has it.
func windowOrNone(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}
