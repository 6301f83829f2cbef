package oracle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// FuzzEstimate: whatever the text, Serve does not fail, and every line that is not blank gets one line
// of JSON with a status, or an array of such.
func FuzzEstimate(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "requests.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		f.Add(line)
	}
	f.Add(data)
	for _, s := range []string{"\ufeff\n", "{}\r\n\r\n[]", `{"id":"\ud83d\ude00","op":{"kind":"gelu","rows":1e2,"cols":-0}}`, "[{},[[]],null]", "\x00", `{"a":"\ud800"}`,
		`{"arch":"tpu-v4","op":{"kind":"conv2d","batch":2,"height":9,"width":7,"channels":5,"filters":4,"filter_height":3,"filter_width":2,"stride":2,"padding":1}}`,
		`{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"decode","batch":8,"layers":1,"parallel":{"tp":2,"ep":8,"exchange":"all-to-all"}}`,
		`{"arch":"h100-sxm","model":"mixtral-8x7b","phase":"serve","batch":16,"generate":4,"layers":2,"parallel":{"attn_dp":4,"moe_tp":2,"pp":2,"in_flight":2}}`,
		`{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","layers":4,"parallel":{"tp":16,"pp":4,"in_flight":4},"batch":7}`,
		`{"arch":"tpu-v4","model":"mixtral-8x7b","phase":"prefill","layers":1,"batch":64,"prompt":3,"parallel":{"tp":8,"ep":64}}`,
		`{"arch":"tpu-v4","op":{"kind":"ffn","tokens":3,"hidden":64,"intermediate":96,"gated":false}}`,
		`{"systolic":{"rows":3,"cols":2,"arrays":2,"ifmap_h":9,"ifmap_w":7,"filter_h":3,"filter_w":2,"channels":5,"filters":4,"stride":2,"padding":1,"sparsity":{"n":2,"m":4},"dtype":"fp16"}}`,
		`{"arch":"dgx-h100-superpod","model":"gpt2-xl","phase":"train","seq_len":64,"global_batch":96,"micro_batch":1,"parallel":{"tp":5,"pp":2,"dp":2},"zero":1,"recompute":"full","layers":4}`,
		`{"arch":"h100-sxm","model":"gpt2-xl","phase":"finetune","seq_len":64,"global_batch":1000000,"micro_batch":1,"lora":{"rank":4},"layers":2}`,
		`{"systolic":{"rows":3,"cols":2,"m":7,"n":3,"k":11,"dataflow":"is","mode":"chained","sparsity":{"n":[1,2,3],"m":4}}}`,
		`{"systolic":{"rows":1,"cols":1,"dataflow":"os","ifmap_h":8,"ifmap_w":8,"filter_h":3,"filter_w":3,"channels":1,"filters":1,"stride":2,"mode":"scalesim","sram_kb":[1,1,1]}}`,
		`{"network":{"mode":"astra-aware","topology":"ring","dims":4,"link_gigabytes_per_second":50,"latency_ns":500,"algorithm":"direct","bytes":1000,"chunks":2,"active_chunks":2}}`,
		`{"network":{"topology":["torus","dragonfly"],"dims":[3,8],"leaf":[0,2],"oversubscription":2,"link_gigabytes_per_second":[50,1],"latency_ns":500,"bytes":1000,"faults":[{"from":0,"to":1,"share":0.5}],"groups":{"ranks":2,"stride":3}}}`,
		`{"network":{"graph":{"ranks":2,"nodes":3,"links":[[0,2,50,500],[2,1,50,500]],"directed":true},"jobs":[{"name":"a","ranks":[0,1],"bytes":7},{"ranks":[1,0],"bytes":9,"collective":"all-to-all","algorithm":"direct","skew":2}],"order":{"0":["job 1","a"]}}}`} {
		f.Add([]byte(s))
	}
	o := oracle.New(oracle.Options{Workers: 2, CacheBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.Contains(text, []byte("timeout_seconds")) {
			t.Skip("timeout_seconds: time is not reproducible")
		}
		var out bytes.Buffer
		if err := o.Serve(context.Background(), bytes.NewReader(text), &out); err != nil {
			t.Fatal(err)
		}
		want := 0
		for i, line := range bytes.Split(text, []byte("\n")) {
			if i == 0 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			if len(bytes.Trim(line, " \t\r")) > 0 {
				want++
			}
		}
		if got := bytes.Count(out.Bytes(), []byte("\n")); got != want {
			t.Fatalf("%d answers to %d lines", got, want)
		}
		for line := range bytes.Lines(out.Bytes()) {
			type short struct{ Status oracle.Status }
			answers := make([]short, 1)
			var into any = &answers[0]
			if line[0] == '[' {
				into = &answers
			}
			if err := json.Unmarshal(line, into); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			for _, a := range answers {
				if a.Status == "" || a.Status == oracle.Failed {
					t.Fatalf("status %q: %s", a.Status, line)
				}
			}
		}
	})
}
