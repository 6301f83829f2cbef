package eval_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// What a memo remembers changes no answer: requests of one machine that share one, several at a time, are answered as by themselves.
func TestMemo(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	model, err := llm.Preset("llama2-7b")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(batch int64, ideal []string, memo *plan.Memo) string {
		g, err := model.Graph(llm.Workload{Phase: "decode", Batch: batch, Prompt: 256, Layers: 1, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
		if err != nil {
			t.Fatal(err)
		}
		r, err := eval.Run(context.Background(), eval.Request{Machine: m, Graph: g, Fidelity: eval.Analytic, Ideal: ideal, Mapping: plan.Mapping{TP: 1, Memo: memo}})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r.Answer)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := map[string]string{}
	batches, ideals := []int64{1, 3, 16, 300}, [][]string{nil, {"launch"}}
	for _, b := range batches {
		for _, i := range ideals {
			want[fmt.Sprint(b, i)] = answer(b, i, nil)
		}
	}
	var memo plan.Memo
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for _, b := range batches {
				for _, i := range ideals {
					if got := answer(b, i, &memo); got != want[fmt.Sprint(b, i)] {
						t.Errorf("batch %d, ideal %v: another answer with a memo", b, i)
					}
				}
			}
		})
	}
	wait.Wait()
}
