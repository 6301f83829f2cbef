package llm

import (
	"fmt"
	"slices"
	"strings"
)

// refused lists keys that change the shape of the computation in ways that are not described, with
// what they mean. They are accepted where they switch the feature off: null, false, 0, an empty
// list or object, and 1 expert.
var refused = map[string]string{
	"num_local_experts": "a mixture of experts", "num_experts": "a mixture of experts", "n_routed_experts": "a mixture of experts",
	"num_experts_per_tok": "a mixture of experts", "moe_intermediate_size": "a mixture of experts", "n_shared_experts": "a mixture of experts",
	"moe_num_experts": "a mixture of experts", "ffn_config": "a mixture of experts",
	"kv_lora_rank": "latent attention", "q_lora_rank": "latent attention", "qk_rope_head_dim": "latent attention", "v_head_dim": "values of another width",
	"is_encoder_decoder": "an encoder-decoder", "add_cross_attention": "cross-attention", "cross_attention_layers": "cross-attention", "encoder_layers": "an encoder",
	"text_config": "a model of several modalities", "vision_config": "a model of several modalities", "audio_config": "a model of several modalities",
	"ssm_cfg": "a state-space model", "state_size": "a state-space model", "attn_layer_period": "a hybrid of attention and other layers",
	"block_configs": "layers that differ", "layers_block_type": "layers that differ",
	"hidden_sizes": "layers that differ", "pruned_heads": "heads that were removed", "num_kv_shared_layers": "layers that share keys and values",
	"use_bidirectional_attention": "attention without a causal mask",
	"tensor_train":                "factorised weights", "rank_pattern": "adapters", "peft_type": "adapters",
}

// noted lists keys that a model computes something small with, or differently in some layers, where
// the difference is left out and said so.
var noted = map[string]string{
	"final_logit_softcapping":                  "the soft cap of logits costs nothing here",
	"attn_logit_softcapping":                   "the soft cap of scores costs nothing here",
	"num_nextn_predict_layers":                 "layers that predict further tokens are left out",
	"no_rope_layers":                           "every layer rotates queries and keys",
	"no_rope_layer_interval":                   "every layer rotates queries and keys",
	"attention_chunk_size":                     "every layer attends to all tokens",
	"apply_residual_connection_post_layernorm": "the residual is taken before the norm",
	"sliding_window":                           "layers of this family attend to all tokens",
	"residual_multiplier":                      "the factor on each branch costs nothing here",
	"logit_scale":                              "the factor on the logits costs nothing here",
}

// irrelevant lists keys that do not change what is computed.
var irrelevant = func() map[string]bool {
	set := map[string]bool{}
	for _, key := range strings.Fields(`
		_attn_implementation _attn_implementation_autoset _commit_hash _from_model_config _name_or_path _num_labels
		add_prefix_space attention_dropout attention_softmax_in_fp32 attn_dropout attn_implementation attn_pdrop auto_map
		bad_words_ids begin_suppress_tokens bias_dropout_fusion bos_token bos_token_id cache_dir chunk_size_feed_forward
		classifier_dropout clip_qkv decoder_start_token_id diversity_penalty do_sample dropout early_stopping embd_pdrop
		embed_dropout embedding_dropout encoder_no_repeat_ngram_size eos_token eos_token_id exponential_decay_length_penalty
		ffn_dropout finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing hidden_activation_dropout
		hidden_dropout hidden_dropout_prob id2label init_std initializer_range is_composition is_decoder label2id
		layer_norm_eps layer_norm_epsilon layerdrop length_penalty license long_factor mask_token_id masked_softmax_fusion
		max_length min_length mlp_dropout model_parallel mup_base_width n_ctx n_embed_dropout name_or_path
		no_repeat_ngram_size num_beam_groups num_beams num_return_sequences offset_alibi original_max_position_embeddings
		output_attentions output_hidden_states output_scores pad_token_id prefix pretraining_tp problem_type
		remove_invalid_values reorder_and_upcast_attn repetition_penalty resid_dropout resid_pdrop return_dict
		return_dict_in_generate rms_norm_eps rope_parameters rope_scaling rope_theta rotary rotary_base rotary_emb_base
		scale_attention_softmax_in_fp32 scale_attn_by_inverse_layer_idx scale_attn_weights sep_token_id skip_bias_add
		skip_bias_add_qkv slow_but_exact summary_activation summary_first_dropout summary_proj_to_labels summary_type
		summary_use_proj suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder tokenizer_class
		top_k top_p torchscript transformers.js_config transformers_version typical_p unk_token_id unsloth_fixed
		unsloth_version unused_heads use_bfloat16 use_cache use_memory_efficient_attention use_mrope use_return_dict
		use_scaled_rope router_aux_loss_coef output_router_logits router_jitter_noise norm_topk_prob routed_scaling_factor
		scoring_func topk_group n_group attention_probs_dropout_prob tie_weights_ rope_local_base_freq query_pre_attn_scalar
		aux_loss_alpha seq_aux num_labels router_z_loss_coef dropout_rate initializer_factor
	`) {
		set[key] = true
	}
	return set
}()

// off reports whether a value switches a feature off.
func (v *value) off() bool {
	switch v.kind {
	case null:
		return true
	case boolean:
		return !v.boolean
	case number:
		n, ok := whole(v.text)
		return ok == isWhole && n == 0
	case text:
		return v.text == ""
	case object:
		return len(v.members) == 0
	}
	return len(v.list) == 0
}

// refuse reports keys that change the shape of the computation.
func (c *config) refuse(f *family) {
	for i := range c.root.members {
		m := &c.root.members[i]
		why, ok := refused[m.key]
		if !ok || slices.Contains(f.takes, m.key) {
			continue
		}
		c.used[m.key] = true
		if m.value.off() || strings.HasSuffix(why, "of experts") && m.value.kind == number && m.value.text == "1" {
			continue
		}
		where, hint := "", ""
		switch why { // what other families have
		case "a mixture of experts":
			where, hint = " with this model_type", "mixtures of experts: "+strings.Join(sparseTypes(), ", ")
		case "latent attention":
			where = " with this model_type"
		}
		c.fail(m.value.offset, m.key, fmt.Sprintf("%s is %v%s", why, ErrUnsupported, where), hint).Cause = ErrUnsupported
	}
	c.layerTypes()
}

// layerTypes reads the kind of attention of each layer, where a file lists them.
func (c *config) layerTypes() {
	m := c.get("layer_types")
	if m == nil {
		return
	}
	if m.value.kind != list {
		c.fail(m.value.offset, m.key, "must be a list, is "+m.value.kind.String(), "")
		return
	}
	c.local, c.localAt = make([]bool, len(m.value.list)), m
	for i := range m.value.list {
		switch t := &m.value.list[i]; {
		case t.kind == text && t.text == "full_attention":
		case t.kind == text && t.text == "sliding_attention":
			c.local[i] = true
		default:
			what := t.kind.String()
			if t.kind == text {
				what = fmt.Sprintf("%q", shorten(t.text))
			}
			c.fail(t.offset, fmt.Sprintf("layer_types[%d]", i), fmt.Sprintf("a layer of kind %s is %v", what, ErrUnsupported), "full_attention or sliding_attention").Cause = ErrUnsupported
			return
		}
	}
}

// locals says which layers look back over the window only, where the file lists them.
func (c *config) locals(m *Model) {
	if c.localAt == nil || len(c.errors) > 0 {
		return
	}
	if int64(len(c.local)) != m.Layers {
		c.fail(c.localAt.offset, c.localAt.key, fmt.Sprintf("%d layers, the model has %d", len(c.local), m.Layers), "")
		return
	}
	m.FullAttention = nil
	if !slices.Contains(c.local, true) {
		m.SlidingWindow = 0
		return
	}
	if m.SlidingWindow == 0 {
		c.note("layer_types: no window is given, every layer attends to all tokens")
		return
	}
	for i, local := range c.local {
		if !local {
			m.FullAttention = append(m.FullAttention, int64(i))
		}
	}
}

// meant returns the key that the family understands and the file lacks, if a letter or two turn the
// given one into it.
func (c *config) meant(key string) string {
	if len(key) < 6 || len(key) > 40 {
		return ""
	}
	best := ""
	for k := range c.used {
		if len(k) >= 6 && (best == "" || k < best) && sameLetters(key, k) && c.root.find(k) == nil {
			best = k
		}
	}
	return best
}

// leftovers notes keys that nobody has read.
func (c *config) leftovers(f *family) {
	var unknown []string
	more := 0
	for i := range c.root.members {
		m := &c.root.members[i]
		if c.used[m.key] || irrelevant[m.key] {
			continue
		}
		if why, ok := noted[m.key]; ok {
			if !m.value.off() {
				c.note("%s: %s", m.key, why)
			}
			continue
		}
		if m.value.off() {
			continue
		}
		if len(unknown) == 8 {
			more++
			continue
		}
		// A key that switches something on and is misspelt must not pass for another model.
		if near := c.meant(m.key); near != "" {
			c.fail(m.offset, shorten(m.key), "unknown key", fmt.Sprintf("did you mean %q?", near))
			continue
		}
		unknown = append(unknown, fmt.Sprintf("%q", shorten(m.key)))
	}
	if more > 0 {
		unknown = append(unknown, fmt.Sprintf("%d more", more))
	}
	if len(unknown) > 0 {
		c.note("not understood for %s and left out: %s", f.name, strings.Join(unknown, ", "))
	}
}
