package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkEstimate asks what was asked before, over one connection: what HTTP adds to the oracle, which is asked without it as
// well. Batches are of 256 models in place, decode steps on A100.
func BenchmarkEstimate(b *testing.B) {
	items := make([]string, 256)
	for i := range items {
		hidden := 1024 * (1 + i%5)
		items[i] = fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","model":{"model_type":"llama","hidden_size":%d,"intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":8,"vocab_size":32000,"max_position_embeddings":4096},"phase":"decode","batch":8,"past_len":2048}`,
			i, hidden, 2*hidden+256*(i%7), 8+i%56, hidden/128)
	}
	for _, size := range []int{1, 256} {
		body := items[0]
		if size > 1 {
			body = "[" + strings.Join(items, ",") + "]"
		}
		s := start(b, options{})
		if status, text := s.post(b, "/v1/estimate", body); status != 200 || strings.Count(text, `"status":"ok"`) != size {
			b.Fatal(status, text[:min(len(text), 500)])
		}
		perSecond := func(b *testing.B) { b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "estimates/s") }
		b.Run(fmt.Sprintf("http/%d", size), func(b *testing.B) {
			for b.Loop() {
				a, err := s.client.Post(s.url+"/v1/estimate", jsonish, strings.NewReader(body))
				if err != nil || a.StatusCode != http.StatusOK {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, a.Body)
				a.Body.Close()
			}
			perSecond(b)
		})
		b.Run(fmt.Sprintf("alone/%d", size), func(b *testing.B) {
			for b.Loop() {
				if err := s.oracle.WriteAnswer(b.Context(), io.Discard, []byte(body)); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b)
		})
	}
}
