package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stratasim/strata/traces"
)

// configs holds, for each sample in testdata/config, the parameters of the released checkpoint (from
// its page on the Hugging Face hub; those of GPT-J and Falcon 40B without buffers and with tied
// embeddings, as in the table of presets) and what the reader has to say.
var configs = []struct {
	file       string
	parameters int64
	dtype      traces.DType
	notes      string
}{
	{"gpt2", 124439808, traces.FP16, ""},
	{"gptj-6b", 6050882784, traces.BF16, ""},
	{"gpt-neox-20b", 20554567680, traces.FP16, ""},
	{"opt-125m", 125239296, traces.FP16, ""},
	{"llama-2-7b", 6738415616, traces.FP16, ""},
	{"llama-3.2-1b", 1235814400, traces.BF16, ""},
	{"mistral-7b", 7241732096, traces.BF16, ""},
	{"qwen2-7b", 7615616512, traces.BF16, ""},
	{"qwen3-0.6b", 596049920, traces.BF16, ""},
	{"gemma-2b", 2506172416, traces.BF16, ""},
	{"phi-2", 2779683840, traces.FP16, ""},
	{"falcon-7b", 7217189760, traces.BF16, ""},
	{"falcon-40b", 41303293952, traces.BF16, "tied, as transformers does"},
	{"bloom-560m", 559214592, traces.BF16, ""},
	{"phi-3-mini", 3821079552, traces.BF16, ""},
	{"gpt-neo-1.3b", 1315575808, traces.BF16, ""},
	{"starcoder2-3b", 3030371328, traces.BF16, ""},
	{"gemma-2-2b", 2614341888, traces.BF16, "soft cap"},
	{"gemma-3-1b", 999885952, traces.BF16, ""},
	{"mpt-7b", 6649286656, traces.BF16, ""},
	{"nemotron4-340b", 341029195776, traces.BF16, ""}, // published as 341 billion, 9.4 of them in tables
	{"olmo-2-7b", 7298617344, traces.BF16, ""},
	{"command-r", 34980831232, traces.FP16, "the factor on the logits"},
	{"mixtral-8x7b", 46702792704, traces.BF16, ""},
	{"qwen1.5-moe-a2.7b", 14315784192, traces.BF16, ""},
	{"qwen3-30b-a3b", 30532122624, traces.BF16, ""},
	{"deepseek-v2-lite", 15706484224, traces.BF16, ""},
	{"deepseek-v3", 671026419200, traces.BF16, "layers that predict further tokens are left out"},
	{"gpt-oss-20b", 20914757184, traces.BF16, ""},
	{"glm-4.5-air", 106852251264, traces.BF16, "layers that predict further tokens are left out"}, // published as 106 billion
	{"minimax-m2", 228689764864, traces.BF16, ""},                                                 // as the preset
	{"t5-small", 60506624, traces.BF16, ""},
	{"flan-t5-base", 247577856, traces.BF16, ""},
	{"bert-base", 109482240, traces.BF16, ""},
	{"roberta-base", 124645632, traces.BF16, ""},
	{"distilbert-base", 66362880, traces.BF16, ""},
	{"vit-base-patch16-224", 86567656, traces.BF16, ""},
}

func TestConfigsGivePublishedCounts(t *testing.T) {
	for _, c := range configs {
		file := filepath.Join("testdata", "config", c.file+".json")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := FromHF(file, data)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := m.Parameters(); got != c.parameters {
			t.Errorf("%s has %d parameters, want %d", c.file, got, c.parameters)
		}
		if got := m.DefaultDType(); got != c.dtype {
			t.Errorf("%s runs in %v, want %v", c.file, got, c.dtype)
		}
		if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
			t.Errorf("%s: notes %q", c.file, notes)
		}
		w := Workload{Phase: "generate", Batch: 2, Prompt: 5, Generate: 3}
		if m.Kind == Encoder || m.Kind == Vision {
			w.Phase, w.Generate = "prefill", 0
		}
		g, err := m.Graph(w)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if plain(&m) {
			checkClosedForm(t, &m, w, g)
		} else if got := sumUp(t, g).parameter + m.FixedExtra; got != c.parameters {
			t.Errorf("%s: operators name %d parameters", c.file, got)
		}
		text, _ := json.Marshal(m)
		var back Model
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(m, back) {
			t.Errorf("%s: came back from JSON as %+v, %v", c.file, back, err)
		}
	}
}

// Configurations of models that are presets too agree with them.
func TestConfigsAgreeWithPresets(t *testing.T) {
	for file, name := range map[string]string{"gpt2": "gpt2-small", "gptj-6b": "gptj-6b", "llama-2-7b": "llama2-7b", "falcon-7b": "falcon-7b", "falcon-40b": "falcon-40b", "mpt-7b": "mpt-7b", "nemotron4-340b": "nemotron4-340b"} {
		path := filepath.Join("testdata", "config", file+".json")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := FromHF(path, data)
		if err != nil {
			t.Fatal(err)
		}
		want := preset(t, name)
		m.Name, m.Source, m.Notes, m.DType = want.Name, want.Source, nil, want.DType
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", file, m, want)
		}
	}
}

// small is a valid configuration, a key a line, beginning on line 2.
var small = []string{
	`"model_type": "llama"`, `"hidden_size": 64`, `"intermediate_size": 128`, `"num_hidden_layers": 2`, `"num_attention_heads": 4`,
	`"num_key_value_heads": 2`, `"vocab_size": 100`, `"max_position_embeddings": 512`, `"torch_dtype": "float16"`,
}

// with replaces lines of small that have the key of a line in changes, drops those in changes that
// are a key only, and appends the rest.
func with(changes ...string) string {
	lines := append([]string(nil), small...)
	for _, c := range changes {
		key, _, has := strings.Cut(c, ":")
		at := -1
		for i, l := range lines {
			if strings.HasPrefix(l, key+":") {
				at = i
			}
		}
		switch {
		case at >= 0 && has:
			lines[at] = c
		case at >= 0:
			lines = append(lines[:at], lines[at+1:]...)
		default:
			lines = append(lines, c)
		}
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}\n"
}

func TestBadConfigs(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	for _, c := range []struct {
		data        string
		want        string // lines of the error
		unsupported bool
	}{
		{"", "c.json: the file is empty (a config.json of a model is needed)", false},
		{" \n", "c.json: the file is empty (a config.json of a model is needed)", false},
		{"\x7fELF\x00\x00", "c.json: not a text file (a config.json is needed, not the weights)", false},
		{"{\"a\": \"\xff\"}", "c.json: not a text file (a config.json is needed, not the weights)", false},
		{"[1]", "c.json:1: must be an object, is a list (a config.json begins with {)", false},
		{"{\n\"model_type\": \"llama\",\n", "c.json:2: the file ends in the middle (was it downloaded completely?)", false},
		{"{\n\"model_type\": \"lla", "c.json:2: the file ends in the middle (was it downloaded completely?)", false},
		{with() + "{}", "c.json:12: something follows the closing } (one configuration a file)", false},
		{with() + "\n\nx", "c.json:14: something follows the closing } (one configuration a file)", false},
		{with(`"rope_theta": NaN`), "c.json:11: not JSON: invalid character 'N' looking for beginning of value (JSON has no NaN or Infinity: write a number or null)", false},
		{with(`'a': 1`), `c.json:11: not JSON: invalid character '\''`, false},
		{"{\n\"a\": 1\n\"b\": 2}", "c.json:3: not JSON: invalid character '\"' after object key:value pair", false},
		{"{\n\"a\": 1,\n}", "c.json:3: not JSON: invalid character '}'", false},
		{"{\n\"a\" 1}", "c.json:2: not JSON: invalid character '1' after object key", false},
		{"{\"a\": [1,\n2\n3]}", "c.json:3: not JSON: invalid character '3' after array element", false},
		{"{\"a\": 01}", "c.json:1: not JSON: invalid character '1'", false},
		{"{\"a\": \"x\ny\"}", "c.json:1: not JSON: invalid character '\\n' in string literal", false},
		{"# config\n{}", "c.json:1: not JSON: invalid character '#' looking for beginning of value", false},
		{deep, "c.json:1: objects and lists nest deeper than 64", false},
		{"{\"a\":" + strings.Repeat("[", 20000) + "}", "c.json:1: objects and lists nest deeper than 64", false},
		{with(`"x": {"y": 1, "y": 2}`), "c.json:11: x.y: the key is there twice, first on line 11 (remove one)", false},
		{"{\n\"vocab_size\": 1,\n\"vocab_size\": 1}", "c.json:3: vocab_size: the key is there twice, first on line 2 (remove one)", false},
		{"{}", `c.json: model_type: missing (e.g. "llama"; known: bert, `, false},
		{with(`"model_type": 3`), `c.json:2: model_type: must be a string, is a number (e.g. "llama")`, false},
		{with(`"model_type": "lama"`), `c.json:2: model_type: "lama" is unknown; did you mean "llama"? (known: bert, `, false},
		{with(`"model_type": "zzzzzzzz"`), `c.json:2: model_type: "zzzzzzzz" is unknown (known: bert, `, false},
		{with(`"model_type": "dbrx"`), `c.json:2: model_type: "dbrx": a mixture of experts is not supported yet (supported: bert, `, true},
		{with(`"model_type": "mixtral"`), "c.json: num_local_experts: missing\nc.json: num_experts_per_tok: missing", false},
		{with(`"model_type": "mixtral"`, `"num_local_experts": 4`, `"num_experts_per_tok": 5`), "c.json:12: num_experts_per_tok: 5 of 4 experts for each token (top_k is at most experts)", false},
		{with(`"model_type": "qwen3_moe"`, `"num_experts": 4`, `"num_experts_per_tok": 2`, `"moe_intermediate_size": 8`, `"decoder_sparse_step": 2`),
			"c.json:14: decoder_sparse_step: dense layers between sparse ones are not supported yet (1)", true},
		{with(`"model_type": "deepseek_v3"`, `"kv_lora_rank": 8`, `"qk_rope_head_dim": 8`, `"v_head_dim": 8`), "c.json: qk_nope_head_dim: missing", false},
		{with(`"model_type": "minimax_m2"`, `"num_local_experts": 4`, `"num_experts_per_tok": 2`, `"attn_type_list": [1, 0]`), "c.json:13: attn_type_list[1]: linear attention is not supported yet (1)", true},
		{with(`"model_type": "bart"`), `c.json:2: model_type: "bart": an encoder-decoder is not supported yet`, true},
		{with(`"model_type": "electra"`), `c.json:2: model_type: "electra": an encoder is not supported yet`, true},
		{with(`"model_type": "bert"`, `"position_embedding_type": "relative_key"`), `c.json:11: position_embedding_type: positions of type "relative_key" are not supported yet (absolute)`, true},
		{with(`"model_type": "gpt_neo"`, `"num_layers": 2`, `"num_heads": 4`, `"attention_types": [[["global", "local"], 3]]`), "c.json:13: attention_types: 6 layers, the model has 2", false},
		{with(`"model_type": "gpt_neo"`, `"num_layers": 2`, `"num_heads": 4`, `"attention_types": [["global", 2]]`), "c.json:13: attention_types: must be lists of kinds of layers", false},
		{with(`"model_type": "gemma2"`, `"layer_types": ["full_attention"]`), "c.json:11: layer_types: 1 layers, the model has 2", false},
		{with(`"model_type": "llava"`), `c.json:2: model_type: "llava": a model of several modalities is not supported yet`, true},
		{with(`"hidden_size"`, `"vocab_size"`, `"num_hidden_layer": 3`, `"num_hidden_layers"`),
			"c.json: num_hidden_layers: missing (line 8 says \"num_hidden_layer\")\nc.json: hidden_size: missing\nc.json: vocab_size: missing", false},
		{with(`"hidden_size": null`), "c.json:3: hidden_size: is null, a whole number is needed", false},
		{with(`"hidden_size": "64"`), "c.json:3: hidden_size: must be a whole number, is a string (without quotation marks)", false},
		{with(`"hidden_size": 0`), "c.json:3: hidden_size: 0: must be from 1 to 2147483648", false},
		{with(`"hidden_size": -64`), "c.json:3: hidden_size: -64: must be from 1 to 2147483648", false},
		{with(`"hidden_size": 64.5`), "c.json:3: hidden_size: 64.5: must be a whole number", false},
		{with(`"hidden_size": 1e400`), "c.json:3: hidden_size: 1e400: must be from 1 to 2147483648", false},
		{with(`"hidden_size": 99999999999999999999`), "c.json:3: hidden_size: 99999999999999999999: must be from 1 to 2147483648", false},
		{with(`"hidden_size": true`), "c.json:3: hidden_size: must be a whole number, is true or false", false},
		{with(`"hidden_size": 66`), "c.json:6: num_attention_heads: 4 heads do not divide the width of 66 (or say head_dim)", false},
		{with(`"num_key_value_heads": 3`), "c.json:7: num_key_value_heads: 4 query heads cannot share 3 key/value heads evenly (kv_heads must divide heads)", false},
		{with(`"head_dim": 15`), "c.json:11: head_dim: 15 elements of each head are rotated: must be even (rotation works on pairs)", false},
		{with(`"torch_dtype": "float17"`), `c.json:10: torch_dtype: unknown data type "float17"`, false},
		{with(`"torch_dtype": 16`), `c.json:10: torch_dtype: must be a string, is a number (e.g. "bfloat16")`, false},
		{with(`"dtype": "bfloat16"`), "c.json:11: dtype: differs from torch_dtype, which means the same (remove one)", false},
		{with(`"attention_bias": "yes"`), "c.json:11: attention_bias: must be true or false, is a string", false},
		{with(`"hidden_act": "mish"`), `c.json:11: hidden_act: activation "mish" is not supported yet (gelu, gelu_new, gelu_pytorch_tanh, relu or silu)`, true},
		{with(`"num_local_experts": 8`), "c.json:11: num_local_experts: a mixture of experts is not supported yet with this model_type (mixtures of experts: deepseek_v2, ", true},
		{with(`"kv_lora_rank": 512`), "c.json:11: kv_lora_rank: latent attention is not supported yet with this model_type", true},
		{with(`"quantization_config": {"bits": 4}`), "c.json:11: quantization_config.quant_method: missing (gptq, awq, fp8, mxfp4, bitsandbytes, compressed-tensors or modelopt)", true},
		{with(`"quantization_config": {"quant_method": "aqlm"}`), `c.json:11: quantization_config.quant_method: "aqlm" is not supported yet (`, true},
		{with(`"quantization_config": {"quant_method": "gptq", "bits": 2}`), "c.json:11: quantization_config.bits: 2 bits: not supported yet (3, 4 or 8)", true},
		{with(`"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 16}`), "c.json:11: quantization_config.group_size: 4 bits in groups of 16: not supported yet (groups of 32, 64, 128)", true},
		{with(`"quantization_config": {"quant_method": "awq", "bits": "four"}`), "c.json:11: quantization_config.bits: must be a whole number, is a string", false},
		{with(`"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}`), "c.json:11: quantization_config.weight_block_size: blocks other than 128×128 are not supported yet ([128, 128])", true},
		{with(`"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 5}}}}`), "c.json:11: quantization_config.config_groups.g.weights.num_bits: 5 bits: not supported yet (3, 4 or 8)", true},
		{with(`"quantization_config": {"quant_method": "compressed-tensors"}`), "c.json:11: quantization_config.config_groups: missing or empty (which weights are quantised, and how)", true},
		{with(`"quantization_config": {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}`), `c.json:11: quantization_config.quant_algo: "W4A8_AWQ" is not supported yet (FP8 or NVFP4)`, true},
		{with(`"quantization_config": 4`), "c.json:11: quantization_config: must be an object, is a number", false},
		{with(`"layer_types": ["full_attention", "linear_attention"]`), `c.json:11: layer_types[1]: a layer of kind "linear_attention" is not supported yet`, true},
		{with(`"num_key_value_heads"`, `"num_key_value_head": 2`), "c.json:10: num_key_value_head: unknown key (did you mean \"num_key_value_heads\"?)", false},
		{`{"a": [` + strings.Repeat("1,", 200_000) + "1]}", "c.json:1: more than 200000 values (is this the right file?)", false},
		{with(`"layer_types": 7`), "c.json:11: layer_types: must be a list, is a number", false},
		{with(`"hidden_act": "relu"`), "c.json:11: hidden_act: a gated feed-forward network with relu is not supported (gelu, gelu-tanh or silu)", false},
		{with(`"num_hidden_layers": 2147483648`, `"hidden_size": 65536`), "c.json:5: num_hidden_layers: more than 2^57 parameters (a size may have a digit too many)", false},
		{strings.Repeat(" ", MaxFile+1), "c.json: 4194305 bytes, a configuration has at most 4194304 (is this the right file?)", false},
	} {
		m, err := FromHF("c.json", []byte(c.data))
		name := c.data[:min(len(c.data), 300)]
		if err == nil {
			t.Errorf("%s\nis accepted: %+v", name, m)
			continue
		}
		if !strings.HasPrefix(err.Error(), c.want) || strings.Count(err.Error(), "\n") != strings.Count(c.want, "\n") {
			t.Errorf("%s\n got %v\nwant %s", name, err, c.want)
		}
		var e *Error
		if !errors.As(err, &e) || e.File != "c.json" {
			t.Errorf("%s: no *Error in %T", name, err)
		}
		if errors.Is(err, ErrUnsupported) != c.unsupported {
			t.Errorf("%v: unsupported is %v", err, !c.unsupported)
		}
	}
}

func TestConfigsWithRemarks(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{with(), ""},
		{with(`"num_local_experts": 1`, `"kv_lora_rank": null`, `"quantization_config": {}`, `"is_encoder_decoder": false`), ""},
		{with(`"hidden_size": 64.0`, `"vocab_size": 1e2`), ""},
		{with(`"final_logit_softcapping": 30.0`), "final_logit_softcapping: the soft cap of logits costs nothing here"},
		{with(`"mystery": 3`, `"other": [1]`, `"empty": []`), `not understood for Llama and left out: "mystery", "other"`},
		{with(`"sliding_window": 100`), "sliding_window: layers of this family attend to all tokens"},
		{with(`"model_type": "qwen2"`, `"sliding_window": 100`), ""},
		{with(`"layer_types": ["full_attention", "sliding_attention"]`), "layer_types: no window is given, every layer attends to all tokens"},
		{with(`"model_type"`, `"architectures": ["LlamaForCausalLM"]`), ""},
		{"\xef\xbb\xbf" + with(), ""},
	} {
		m, err := FromHF("dir/config.json", []byte(c.data))
		if err != nil {
			t.Errorf("%s\n%v", c.data, err)
			continue
		}
		notes := strings.Join(m.Notes, "\n")
		if !strings.Contains(notes, c.want) || c.want == "" && notes != "" {
			t.Errorf("%s\nnotes %q, want %q", c.data, notes, c.want)
		}
		if m.Name != "dir" {
			t.Errorf("name %q, want that of the folder", m.Name)
		}
	}
}

func TestFamilyDefaults(t *testing.T) {
	read := func(data string) Model {
		t.Helper()
		m, err := FromHF("c.json", []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	falcon := `{"model_type": "falcon", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 10, "tie_word_embeddings": false, %s}`
	if m := read(fmt.Sprintf(falcon, `"new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1, "ffn_hidden_size": 99`)); m.KVHeads != 2 || m.NormsPerLayer != 1 || m.FFN != 99 || !m.ParallelBlock {
		t.Errorf("Falcon 2: %+v", m)
	}
	if m := read(fmt.Sprintf(falcon, `"parallel_attn": false, "multi_query": false, "alibi": true, "bias": true`)); m.KVHeads != 4 || m.NormsPerLayer != 2 || m.ParallelBlock || m.Position != ALiBi || !m.FFNBias {
		t.Errorf("Falcon RW: %+v", m)
	}
	if m := read(with(`"model_type": "gemma2"`, `"sliding_window": 100`)); m.SlidingWindow != 100 || !reflect.DeepEqual(m.FullAttention, []int64{1}) || m.NormPlace != Sandwich {
		t.Errorf("Gemma 2: %+v", m)
	}
	if m := read(with(`"model_type": "gpt_oss"`, `"num_local_experts": 4`, `"num_experts_per_tok": 2`, `"layer_types": ["full_attention", "sliding_attention"]`)); m.SlidingWindow != 128 || !reflect.DeepEqual(m.FullAttention, []int64{0}) {
		t.Errorf("gpt-oss: %+v", m)
	}
	if m := read(with(`"model_type": "qwen2"`, `"sliding_window": 100`, `"use_sliding_window": true`, `"max_window_layers": 1`)); m.SlidingWindow != 100 || !reflect.DeepEqual(m.FullAttention, []int64{0}) {
		t.Errorf("Qwen2 with a window: %+v", m)
	}
	if m := read(with(`"max_position_embeddings"`)); m.MaxSeq != 2048 || len(m.Notes) != 1 || !strings.Contains(m.Notes[0], "no max_position_embeddings: 2048") {
		t.Errorf("no longest context: %+v", m)
	}
	if m := read(with(`"model_type": "mistral"`, `"sliding_window": 100`)); m.SlidingWindow != 100 {
		t.Errorf("Mistral: %+v", m)
	}
	if m := read(with(`"model_type": "qwen3"`)); m.HeadDim != 128 || !m.QKNorm {
		t.Errorf("Qwen3: %+v", m)
	}
	if m := read(with(`"model_type": "phi"`, `"hidden_size": 320`, `"partial_rotary_factor": 0.4`)); m.RotaryDims != 32 || !m.HeadBias || m.NormsPerLayer != 1 {
		t.Errorf("Phi: %+v", m)
	}
	if m := read(with(`"model_type": "gpt_neox"`, `"num_key_value_heads"`, `"hidden_size": 128`)); m.RotaryDims != 8 || !m.ParallelBlock || m.NormsPerLayer != 2 {
		t.Errorf("GPT-NeoX: %+v", m)
	}
}

// A hostile file of the largest size costs no more than its size justifies.
func TestLargeConfigs(t *testing.T) {
	many := func(format string) string {
		var s strings.Builder
		s.WriteString("{")
		for i := 0; s.Len() < 3<<20 && i < 190_000; i++ {
			fmt.Fprintf(&s, format, i)
		}
		return s.String() + `"model_type": "llama"}`
	}
	for _, data := range []string{many(`"num_hidden_lay%d": 1,`), many(`"k": %d,`), many("\n\n\"%d\": [1],")} {
		if _, err := FromHF("c.json", []byte(data)); err == nil || len(err.Error()) > 20000 {
			t.Errorf("%.60s: %d bytes of errors", data, len(fmt.Sprint(err)))
		}
	}
}

func FuzzFromHF(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no samples", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(with()))
	f.Add([]byte(with(`"layer_types": ["full_attention"]`, `"rope_parameters": {"partial_rotary_factor": 0.5}`)))
	f.Add([]byte(`{"model_type": "mixtral", "model_type": NaN`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := FromHF("some.json", data)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			for _, e := range all {
				if e.File != "some.json" || e.Message == "" || e.Line < 0 {
					t.Fatalf("%#v", e)
				}
			}
			if len(err.Error()) > 50000 {
				t.Fatalf("message of %d bytes", len(err.Error()))
			}
			return
		}
		if !json.Valid(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) {
			t.Fatal("accepted what is not JSON")
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("accepted: %v", err)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back Model
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(m, back) {
			t.Fatalf("%+v came back from JSON as %+v, %v", m, back, err)
		}
		g, err := m.Graph(Workload{Phase: "generate", Batch: 1, Prompt: 2, Generate: 2})
		if err != nil {
			return // sizes that are valid alone and too large together
		}
		if err := g.Validate(); err != nil {
			t.Fatal(err)
		}
	})
}
