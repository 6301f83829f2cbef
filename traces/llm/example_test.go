package llm_test

import (
	"fmt"

	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// The operators of one layer while one token is generated for each of eight sequences.
func ExampleModel_Graph() {
	m, err := llm.Preset("llama3-8b")
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := m.Graph(llm.Workload{Phase: "decode", Batch: 8, Prompt: 2048, Layers: 1, DType: traces.BF16, WeightDType: traces.FP8})
	if err != nil {
		fmt.Println(err)
		return
	}
	run := g.Runs[0]
	for _, op := range g.Blocks[run.Block].Ops {
		w, err := op.Work(run.Past)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-10s %-9v %10d matrix operations, %9d bytes of weights\n", op.Name, op.Kind, w.MatrixOps, w.WeightBytes)
	}
	// Output:
	// attn_norm  rmsnorm            0 matrix operations,      8192 bytes of weights
	// qkv        gemm       402653184 matrix operations,  25165824 bytes of weights
	// rope       rope               0 matrix operations,         0 bytes of weights
	// kv_append  kv-append          0 matrix operations,         0 bytes of weights
	// attention  attention  268566528 matrix operations,         0 bytes of weights
	// out        gemm       268435456 matrix operations,  16777216 bytes of weights
	// attn_add   add                0 matrix operations,         0 bytes of weights
	// ffn_norm   rmsnorm            0 matrix operations,      8192 bytes of weights
	// gate_up    gemm      1879048192 matrix operations, 117440512 bytes of weights
	// activation silu-mul           0 matrix operations,         0 bytes of weights
	// down       gemm       939524096 matrix operations,  58720256 bytes of weights
	// ffn_add    add                0 matrix operations,         0 bytes of weights
}

// What is wrong with a file comes with its line and all at once.
func ExampleFromHF() {
	_, err := llm.FromHF("config.json", []byte(`{
  "model_type": "llama",
  "hidden_size": 4096.5,
  "intermediate_size": 11008,
  "num_hidden_layers": 32,
  "num_attention_heads": "32",
  "max_position_embeddings": 4096
}`))
	fmt.Println(err)
	// Output:
	// config.json:3: hidden_size: 4096.5: must be a whole number
	// config.json:6: num_attention_heads: must be a whole number, is a string (without quotation marks)
	// config.json: vocab_size: missing
}
