package oracle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/stratasim/strata/experiments/oracle"
)

// A search loop asks how much longer a product takes when it is twice as deep.
func Example() {
	o := oracle.New(oracle.Options{})
	seconds := func(k int) float64 {
		request := fmt.Sprintf(`{"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":4096,"n":4096,"k":%d,"dtype":"bf16"}}`, k)
		text, err := o.Answer(context.Background(), []byte(request))
		if err != nil {
			panic(err) // the context was cancelled
		}
		var answer struct {
			Status  oracle.Status
			Seconds float64
		}
		if err := json.Unmarshal(text, &answer); err != nil || answer.Status != oracle.OK {
			panic(string(text))
		}
		return answer.Seconds
	}
	fmt.Printf("%.0f times as long\n", seconds(8192)/seconds(4096))
	// Output: 2 times as long
}

// A request that is wrong is answered like any other.
func ExampleOracle_Serve() {
	requests := strings.NewReader(`
{"id":1,"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":4096,"n":4096,"kk":4096}}
{"id":2,"arch":"a100-sxm-80gb","model":"llama2-70b","parallel":{"tp":3}}
`)
	if err := oracle.New(oracle.Options{}).Serve(context.Background(), requests, os.Stdout); err != nil {
		panic(err)
	}
	// Output:
	// {"id":1,"status":"invalid","error":{"code":"unknown-member","path":"/op/kk","message":"there is no member \"kk\" here","hint":"did you mean \"k\"?"}}
	// {"id":2,"status":"invalid","error":{"code":"value","path":"/parallel/tp","message":"3 does not divide the 64 attention heads of attention","hint":"try 2 or 4"}}
}

// A search compares candidates: how fast two shapes of a model decode on a chip, and whether they keep to a limit.
func ExampleOracle_Evaluate() {
	candidate := func(layers, hidden int) oracle.Query {
		return oracle.Query{
			Arch: "a100-sxm-80gb",
			Model: map[string]any{"model_type": "llama", "num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": 4 * hidden,
				"num_attention_heads": hidden / 128, "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 4096},
			Phase: "decode", Batch: 8, Prompt: 1024,
			Limits: map[string]float64{"seconds": 0.004},
		}
	}
	o := oracle.New(oracle.Options{})
	results, err := o.Evaluate(context.Background(), []oracle.Query{candidate(16, 4096), candidate(64, 2048), candidate(16, 1000)})
	if err != nil {
		panic(err) // the context was cancelled
	}
	for _, r := range results {
		if r.Err != nil {
			fmt.Println(r.Status, r.Err.Path, r.Err.Message)
			continue
		}
		fmt.Printf("%.1f ms, %+.0f %% of the limit\n", 1e3*r.Seconds, 100*r.Violations["seconds"])
	}
	// Output:
	// 6.2 ms, +54 % of the limit
	// 9.8 ms, +146 % of the limit
	// invalid /model/num_attention_heads 7 heads do not divide the width of 1000
}
