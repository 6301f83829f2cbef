package oracle_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/store"
)

// queries are some of every kind, right and wrong.
func queries() (list []oracle.Query) {
	for i := range int64(40) {
		list = append(list, oracle.Query{ID: fmt.Sprint("d", i), Arch: "a100-sxm-80gb", Model: "llama2-7b", Phase: "decode", Batch: 1 + i%4, Prompt: 100 + i%5, Limits: map[string]float64{"seconds": 0.01}})
	}
	return append(list,
		oracle.Query{ID: "g", Arch: "tpu-v4", Op: map[string]any{"kind": "gemm", "m": 64, "n": 256, "k": 512}},
		oracle.Query{Arch: oracle.Overlay{Base: "h100-sxm", Set: map[string]string{"chip.memory[hbm].bandwidth": "4 TB/s"}}, Model: json.RawMessage(`{"model_type":"llama","hidden_size":512,
			"intermediate_size":1024,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":1000,"max_position_embeddings":2048}`), Phase: "prefill", DType: "bf16", Parallel: &oracle.Parallel{TP: 2}},
		oracle.Query{Arch: "a100-sxm-80gb", Model: "llama2-70b", Phase: "decode"},
		oracle.Query{Arch: "nobody", Model: "llama2-7b"},
		oracle.Query{Arch: "a100-sxm-80gb", Model: "llama2-7b", Phase: "decode", Limits: map[string]float64{"ttft_seconds": 1}},
		oracle.Query{Arch: "a100-sxm-80gb", Model: "llama2-7b", Phase: "decode", More: map[string]any{"metrics": []string{"tpot_seconds", "mfu"}, "skew": 0}},
		oracle.Query{Arch: "a100-sxm-80gb", Model: "llama2-7b", Phase: "decode", More: map[string]any{"batch": 2}, Batch: 2},
		oracle.Query{Arch: make(chan int)},
		oracle.Query{More: map[string]any{"systolic": map[string]any{"rows": 8, "cols": 8, "m": 3, "n": 4, "k": 5}}})
}

// TestEvaluate: results are the answers of the protocol, in the order of the queries, whatever is remembered, in a file or not.
func TestEvaluate(t *testing.T) {
	list := queries()
	fresh := oracle.New(oracle.Options{Workers: 1, CacheBytes: 1})
	path := filepath.Join(t.TempDir(), "answers.db")
	open := func() (*oracle.Oracle, *store.Answers) {
		kept, err := store.OpenAnswers(path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return oracle.New(oracle.Options{Kept: kept, Build: "test"}), kept
	}
	o, kept := open()
	for pass := range 3 {
		results, err := o.Evaluate(t.Context(), list)
		if err != nil || len(results) != len(list) {
			t.Fatalf("%d results: %v", len(results), err)
		}
		for i, r := range results {
			if r.ID != list[i].ID || (r.Status == oracle.OK) != (r.Err == nil) {
				t.Errorf("%d: %s, %v, %v", i, r.ID, r.Status, r.Err)
			}
			text, err := json.Marshal(list[i])
			if err != nil { // no JSON, so no line
				if r.Err == nil || r.Err.Code != "type" {
					t.Errorf("%d: %v", i, r.Err)
				}
				continue
			}
			if want := answer(t, fresh, string(text)); want != string(r.JSON()) {
				t.Errorf("pass %d, %s:\n%s\n%s", pass, text, r.JSON(), want)
			}
			if v, ok := r.Figure("seconds"); ok && v != r.Seconds || r.Status == oracle.OK && len(list[i].Limits) != len(r.Violations) {
				t.Errorf("%s: %v, %v, %v", text, v, r.Seconds, r.Violations)
			}
		}
		s := o.Stats()
		switch pass {
		case 0:
			if s.Misses != 20+5 && s.Misses != 20+6 || s.Found != 0 { // the model and the batch, a machine that nobody knows not being remembered
				t.Errorf("%+v", s)
			}
		case 1:
			if s.Found != 0 {
				t.Errorf("%+v", s)
			}
			// Another process.
			if err := kept.Close(); err != nil {
				t.Fatal(err)
			}
			o, kept = open()
		case 2:
			if s.Found < 22 || s.Misses-s.Found > 2 {
				t.Errorf("of those kept: %+v", s)
			}
		}
	}
	if n, err := kept.Count(t.Context()); err != nil || n < 22 {
		t.Errorf("%d answers kept, %v", n, err)
	}
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
}

// TestOnce: what several ask for at a time is worked out once.
func TestOnce(t *testing.T) {
	o := oracle.New(oracle.Options{})
	var team sync.WaitGroup
	answers := make([]string, 16)
	for i := range answers {
		team.Go(func() {
			answers[i] = answer(t, o, `{"arch":"h100-sxm","model":"llama2-70b","phase":"prefill","parallel":{"tp":4},"fidelity":"event"}`)
		})
	}
	team.Wait()
	for _, a := range answers {
		if a != answers[0] || !strings.Contains(a, `"status":"ok"`) {
			t.Errorf("%s\n%s", a, answers[0])
		}
	}
	if s := o.Stats(); s.Misses != 1 || s.Hits != 15 {
		t.Errorf("%+v", s)
	}
}

// TestMetrics: an answer of chosen figures has those of the whole answer.
func TestMetrics(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for _, c := range []struct{ more, want string }{
		{`"metrics":["tpot_seconds","weight_bytes"]`, `{"id":1,"status":"ok","tpot_seconds":`},
		{`"metrics":[]`, `{"id":1,"status":"ok"}`},
		{`"metrics":[],"limits":{"seconds":1e-9}`, `{"id":1,"status":"ok","violations":{"seconds":`},
		{`"metrics":["ttft_seconds"]`, `{"id":1,"status":"invalid","error":{"code":"not-applicable","path":"/metrics/0"`},
		{`"metrics":["mfu","mfu"]`, `{"id":1,"status":"invalid","error":{"code":"conflict","path":"/metrics/1"`},
		{`"metrics":["second"]`, `{"id":1,"status":"invalid","error":{"code":"unknown-value","path":"/metrics/0","message":"there is no figure \"second\"","hint":"did you mean \"seconds\"?"}}`},
		{`"metrics":[1]`, `{"id":1,"status":"invalid","error":{"code":"type","path":"/metrics/0"`},
		{`"metrics":"seconds"`, `{"id":1,"status":"invalid","error":{"code":"type","path":"/metrics"`},
		{`"metrics":["seconds"],"batch":1000000`, `{"id":1,"status":"infeasible","error":{"code":"does-not-fit"`},
	} {
		if got := answer(t, o, `{"id":1,"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode",`+c.more+`}`); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.more, got)
		}
	}
	var whole, chosen struct {
		TPOT      float64 `json:"tpot_seconds"`
		Weights   float64 `json:"weight_bytes"`
		Footprint struct {
			Weights float64 `json:"weight_bytes"`
		} `json:"footprint"`
	}
	for into, more := range map[any]string{&whole: "", &chosen: `,"metrics":["tpot_seconds","weight_bytes"]`} {
		if err := json.Unmarshal([]byte(answer(t, o, `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode"`+more+`}`)), into); err != nil {
			t.Fatal(err)
		}
	}
	if whole.TPOT == 0 || whole.TPOT != chosen.TPOT || whole.Footprint.Weights == 0 || whole.Footprint.Weights != chosen.Weights {
		t.Errorf("%+v, %+v", whole, chosen)
	}
}
