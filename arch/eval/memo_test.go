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
	batches, ideals := []int64{1, 3, 16, 100, 300}, [][]string{nil, {"launch"}, {"refresh"}}
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

// A result that is released changes no later answer, and its own stays what it was.
func TestRelease(t *testing.T) {
	type asked struct {
		r    eval.Request
		want string
	}
	text := func(a *eval.Answer) string {
		got, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	var all []asked
	for _, name := range []string{"h100-sxm", "tpu-v4", "sn40l", "wormhole-n300"} {
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, of := range []string{"llama2-7b", "gpt2-medium"} {
			model, err := llm.Preset(of)
			if err != nil {
				t.Fatal(err)
			}
			for _, phase := range []string{"prefill", "decode", "generate"} {
				g, err := model.Graph(llm.Workload{Phase: phase, Batch: 4, Prompt: 512, Generate: 4, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
				if err != nil {
					t.Fatal(err)
				}
				for _, fidelity := range []string{eval.Analytic, eval.Event} {
					r := eval.Request{Machine: m, Graph: g, Fidelity: fidelity, Mapping: plan.Mapping{TP: 1}}
					if m.System.Chips > 1 {
						r.Mapping.TP = 2
					}
					res, err := eval.Run(context.Background(), r)
					if err != nil {
						t.Fatal(name, of, phase, err)
					}
					all = append(all, asked{r, text(&res.Answer)})
				}
			}
		}
	}
	var wait sync.WaitGroup
	for worker := range 3 {
		wait.Go(func() {
			var before *eval.Result
			var last string
			for i := range all {
				a := &all[(i*7+worker)%len(all)]
				res, err := eval.Run(context.Background(), a.r)
				if err != nil {
					t.Error(err)
					return
				}
				res.Release()
				if got := text(&res.Answer); got != a.want {
					t.Errorf("another answer with memory that was released:\n%s\n%s", got, a.want)
					return
				}
				if before != nil && text(&before.Answer) != last {
					t.Error("an answer has changed after its result was released")
				}
				before, last = res, a.want
			}
		})
	}
	wait.Wait()
}
