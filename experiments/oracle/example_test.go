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
