package llm

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/traces"
)

// TestQuantizedConfigs: what the members of a quantization_config come to. The objects are those of
// published checkpoints, shortened.
func TestQuantizedConfigs(t *testing.T) {
	for _, c := range []struct {
		config, weight, activation, kv string
		head, attention                bool // in full
	}{
		{`{"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "lm_head": false}`, "int4", "", "", true, false},
		{`{"quant_method": "gptq", "bits": 3, "group_size": 128, "lm_head": true}`, "int3-g128", "", "", false, false},
		{`{"quant_method": "gptq", "bits": 8, "group_size": -1}`, "int8", "", "", true, false},
		{`{"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true, "version": "gemm"}`, "int4-g64", "", "", true, false},
		{`{"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}`, "fp8-b128", "fp8", "", true, false},
		{`{"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]}`, "fp8", "fp8", "", true, false},
		{`{"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}`, "mxfp4", "", "", true, true},
		{`{"load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true}`, "nf4-dq", "", "", true, false},
		{`{"quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false, "bnb_4bit_quant_type": "nf4"}`, "nf4", "", "", true, false},
		{`{"quant_method": "bitsandbytes", "load_in_8bit": true}`, "int8", "", "", true, false},
		{`{"quant_method": "compressed-tensors", "ignore": ["lm_head"], "kv_cache_scheme": {"num_bits": 8, "type": "float"}, "config_groups": {"group_0": {"targets": ["Linear"],
			"weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}, "input_activations": {"num_bits": 8, "type": "float", "strategy": "tensor", "dynamic": false}}}}`, "fp8", "fp8", "fp8", true, false},
		{`{"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}, "input_activations": null}}}`, "int4", "", "", false, false},
		{`{"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "int", "strategy": "channel"}, "input_activations": {"num_bits": 8, "type": "int", "dynamic": true}}}}`, "int8", "int8", "", false, false},
		{`{"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}`, "nvfp4", "nvfp4", "", true, false},
	} {
		m, err := FromHF("c.json", []byte(with(`"quantization_config": `+c.config)))
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if m.WeightDType != c.weight || m.ActivationDType != c.activation || m.KVDType != c.kv || m.HeadInFull != c.head || m.AttentionInFull != c.attention {
			t.Errorf("%s: weights %q, activations %q, cache %q, head in full %t, attention in full %t", c.config, m.WeightDType, m.ActivationDType, m.KVDType, m.HeadInFull, m.AttentionInFull)
		}
	}
}

// TestNarrowActivations: products read activations that are quantized once for all that read them; the
// rest of the layer stays in 16 bits, and so does the token table.
func TestNarrowActivations(t *testing.T) {
	m, err := Preset("llama3-8b")
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Graph(Workload{Phase: "prefill", Batch: 1, Prompt: 16, DType: traces.FP8, WeightDType: traces.FP8, KVDType: traces.FP8})
	if err != nil {
		t.Fatal(err)
	}
	quantized := map[string]traces.Split{}
	for _, b := range g.Blocks {
		for _, op := range b.Ops {
			switch op.Kind {
			case traces.Quantize:
				quantized[op.Name] = op.Split
				if op.DType != traces.BF16 || op.ToDType != traces.FP8 {
					t.Errorf("%s: %s to %s", op.Name, op.DType, op.ToDType)
				}
			case traces.Gemm:
				if in := b.Tensors[op.Inputs[0]]; op.DType != traces.FP8 || in.Type != traces.FP8 {
					t.Errorf("%s reads %s", op.Name, in.Type)
				}
				if out := b.Tensors[op.Outputs[0]]; out.Type != traces.BF16 {
					t.Errorf("%s writes %s", op.Name, out.Type)
				}
			default:
				if op.DType != traces.BF16 {
					t.Errorf("%s in %s", op.Name, op.DType)
				}
			}
		}
	}
	for name, split := range map[string]traces.Split{"qkv.quantize": traces.Whole, "out.quantize": traces.Sharded, "gate_up.quantize": traces.Whole, "down.quantize": traces.Sharded, "lm_head.quantize": traces.Whole} {
		if got, ok := quantized[name]; !ok || got != split {
			t.Errorf("%s: %v, split %s", name, ok, got)
		}
	}
	if len(quantized) != 5 {
		t.Error(quantized)
	}
	table := g.Blocks[0].Tensors[1]
	if table.Name != "token_embedding.weight" || table.Type != traces.BF16 {
		t.Error(table)
	}
}

// TestQuantizedCheckpoint: the head, and with it nothing else, keeps its format where the file says so.
func TestQuantizedCheckpoint(t *testing.T) {
	m, err := FromHF("c.json", []byte(with(`"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}`)))
	if err != nil {
		t.Fatal(err)
	}
	d := m.Activations(nil)
	g, err := m.Graph(Workload{Phase: "decode", Batch: 1, Prompt: 16, DType: d, WeightDType: m.Weights(d), KVDType: m.Cache(d)})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range g.Blocks {
		for _, op := range b.Ops {
			if op.Kind == traces.Gemm {
				if want := map[bool]traces.DType{true: traces.FP16, false: traces.INT4}[op.Name == "lm_head"]; op.WeightDType != want || op.DType != traces.FP16 {
					t.Errorf("%s: %s times %s", op.Name, op.DType, op.WeightDType)
				}
			}
		}
	}
}

// TestAttentionInFull: where a checkpoint leaves attention in full, all its products have weights of 16 bits and operands of as
// many, whatever kind of attention it is; the others are narrow.
func TestAttentionInFull(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "config", "deepseek-v2-lite.json"))
	if err != nil {
		t.Fatal(err)
	}
	lite, err := FromHF("c.json", []byte(strings.Replace(string(raw), "{", `{"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["lm_head", "model.layers.*.self_attn*"]},`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if lite.WeightDType != "nvfp4" || !lite.AttentionInFull {
		t.Fatalf("weights %q, attention in full %t", lite.WeightDType, lite.AttentionInFull)
	}
	projected := preset(t, "gpt2-small")
	projected.Position, projected.TiedEmbeddings = Projected, false
	models := map[string]Model{"lite": lite, "projected": projected}
	for _, name := range []string{"llama3-8b", "deepseek-v3", "t5-large"} {
		models[name] = preset(t, name)
	}
	for name, want := range map[string][]string{
		"llama3-8b":   {"out", "qkv"},
		"lite":        {"absorb_k", "absorb_v", "kv_a", "kv_b", "out", "q"},
		"deepseek-v3": {"absorb_k", "absorb_v", "kv_b", "out", "q_b", "qkv_a"},
		"t5-large":    {"cross_kv_proj", "cross_out_proj", "cross_q_proj", "out", "qkv"},
		"projected":   {"out", "qkv", "relative"},
	} {
		m := models[name]
		m.AttentionInFull, m.HeadInFull = true, false
		g, err := m.Graph(Workload{Phase: "generate", Batch: 2, Prompt: 16, Generate: 2, DType: traces.NVFP4, WeightDType: traces.NVFP4, KVDType: traces.BF16})
		if err != nil {
			t.Fatal(err)
		}
		full := map[string]bool{}
		narrow := false
		for _, b := range g.Blocks {
			for _, op := range b.Ops {
				if op.Kind != traces.Gemm && op.Kind != traces.MoE || op.Name == "router" || op.Name == "lm_head" {
					continue
				}
				if w := b.Tensors[op.Inputs[len(op.Inputs)-1]]; op.Kind == traces.Gemm && len(op.Inputs) == 2 && w.Type != op.WeightDType {
					t.Errorf("%s: %s takes its weight as %s, which is stored as %s", name, op.Name, op.WeightDType, w.Type)
				}
				switch {
				case op.WeightDType == traces.NVFP4:
					narrow = true
				case op.DType == op.WeightDType && op.DType.Bits() == 16:
					full[op.Name] = true
				default:
					t.Errorf("%s: %s of %s with %s", name, op.Name, op.DType, op.WeightDType)
				}
			}
		}
		if got := slices.Sorted(maps.Keys(full)); !slices.Equal(got, want) || !narrow {
			t.Errorf("%s: %v are in full, want %v; others are narrow: %t", name, got, want, narrow)
		}
	}
}
