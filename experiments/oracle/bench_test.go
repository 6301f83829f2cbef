package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// answer asks once and makes sure that the answer is one with numbers.
func answer(tb testing.TB, o *oracle.Oracle, line string) string {
	tb.Helper()
	a, err := o.Answer(tb.Context(), []byte(line))
	if err != nil {
		tb.Fatal(err)
	}
	return string(a)
}

// BenchmarkEstimateOp answers operators that were never asked for before.
func BenchmarkEstimateOp(b *testing.B) {
	for _, kind := range []string{
		`"kind":"gemm","n":4096,"k":4096,"m":%d`,
		`"kind":"attention","heads":32,"head_dim":128,"q_len":1,"past_len":%d`,
		`"kind":"rmsnorm","cols":4096,"rows":%d`,
	} {
		name := kind[len(`"kind":"`):]
		b.Run(name[:indexByte(name, '"')], func(b *testing.B) {
			o := oracle.New(oracle.Options{})
			answer(b, o, `{"arch":"a100-sxm-80gb","op":{"kind":"copy","rows":1,"cols":1}}`) // resolves the machine
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				answer(b, o, `{"arch":"a100-sxm-80gb","op":{`+fmt.Sprintf(kind, i)+`}}`)
			}
		})
	}
}

// BenchmarkEstimateOpPlanned times operators anew whose plan is known, as answers in the other fidelity are.
func BenchmarkEstimateOpPlanned(b *testing.B) {
	for _, fidelity := range []string{"analytic", "event"} {
		for _, kind := range []string{
			`"kind":"gemm","n":4096,"k":4096,"m":2048`,
			`"kind":"attention","heads":32,"head_dim":128,"q_len":1,"past_len":4096`,
			`"kind":"attention","heads":32,"head_dim":128,"q_len":4096`,
			`"kind":"attention","heads":32,"head_dim":64,"q_len":1024,"pass":"fwd+bwd","algorithm":"flash1"`,
			`"kind":"attention","heads":32,"head_dim":64,"q_len":1024,"pass":"fwd+bwd","algorithm":"standard"`,
			`"kind":"rmsnorm","cols":4096,"rows":2048`,
		} {
			b.Run(fidelity+"/"+kind[len(`"kind":"`):], func(b *testing.B) {
				o := oracle.New(oracle.Options{CacheBytes: 1}) // forgets each answer at the next
				request := func(dtype string) string {
					return `{"arch":"a100-sxm-80gb","op":{` + kind + `,"dtype":"` + dtype + `"},"fidelity":"` + fidelity + `"}`
				}
				lines := [2]string{request("bf16"), request("fp16")}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					answer(b, o, lines[i%2]) // each in place of the other's answer
				}
			})
		}
	}
}

func indexByte(s string, c byte) int {
	for i := range len(s) {
		if s[i] == c {
			return i
		}
	}
	return len(s)
}

const modelRequest = `{"id":"%d","arch":"a100-sxm-80gb","model":"llama2-7b","phase":"%s","batch":%d,"prompt":512}`

// BenchmarkEstimateModelCold answers model requests that were never asked for before.
func BenchmarkEstimateModelCold(b *testing.B) {
	for _, phase := range []string{"prefill", "decode", "generate"} {
		b.Run(phase, func(b *testing.B) {
			o := oracle.New(oracle.Options{CacheBytes: 1})
			answer(b, o, fmt.Sprintf(modelRequest, 0, phase, 1))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				answer(b, o, fmt.Sprintf(modelRequest, i, phase, 1+i%64))
			}
		})
	}
}

// BenchmarkEstimateModelCached answers a request again that differs in its id only.
func BenchmarkEstimateModelCached(b *testing.B) {
	o := oracle.New(oracle.Options{})
	line := []byte(fmt.Sprintf(modelRequest, 1, "generate", 8))
	answer(b, o, string(line))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Answer(b.Context(), line); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEstimateOpCached is the same for an operator.
func BenchmarkEstimateOpCached(b *testing.B) {
	o := oracle.New(oracle.Options{})
	line := []byte(`{"id":"1","arch":"a100-sxm-80gb","op":{"kind":"gemm","m":1024,"n":10240,"k":12288,"dtype":"bf16"}}`)
	answer(b, o, string(line))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Answer(b.Context(), line); err != nil {
			b.Fatal(err)
		}
	}
}

// batchSize is the requests of a batch.
const batchSize = 256

// llamaLike draws a decoder without its machine and phase: any width, or one of a grid of shapes whose operators recur.
func llamaLike(r *rand.Rand, grid bool) string {
	heads, dim := 4+r.IntN(61), 64+32*r.IntN(3)
	kv := 1 + r.IntN(heads)
	for heads%kv != 0 {
		kv = 1 + r.IntN(heads)
	}
	ffn := 64 * (2*heads*dim/64 + r.IntN(2*heads*dim/64+1))
	layers, batch, prompt := 4+r.IntN(60), 1+r.IntN(64), 64*(1+r.IntN(32))
	if grid {
		heads, dim, kv = 8*(1+r.IntN(4)), 128, 1<<r.IntN(4)
		ffn, batch, prompt = 2048*(1+r.IntN(6)), 8, 1024
	}
	return fmt.Sprintf(`"model":{"model_type":"llama","hidden_size":%d,"intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":%d,`+
		`"vocab_size":32000,"max_position_embeddings":4096},"batch":%d,"prompt":%d`, heads*dim, ffn, layers, heads, kv, batch, prompt)
}

// BenchmarkEstimateModels answers batches of requests for llama-like models, each of which counts: models of which nobody has heard (new), other models of
// operators that recur (operators), and the same models again, whole and as two figures (again, figures). The collector runs as rarely as it does
// in strata estimate.
func BenchmarkEstimateModels(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	for _, c := range []struct {
		name, more  string
		grid, again bool
	}{{"new", "", false, false}, {"operators", "", true, false}, {"again", "", true, true}, {"figures", `,"metrics":["seconds","joules"]`, true, true}} {
		for _, machine := range []string{"a100-sxm-80gb", "h100-sxm", "tpu-v4", "sn40l"} {
			for _, phase := range []string{"decode", "prefill", "generate"} {
				b.Run(c.name+"/"+machine+"/"+phase, func(b *testing.B) {
					r := rand.New(rand.NewPCG(1, 2))
					batch := func() string {
						list := make([]string, batchSize)
						for i := range list {
							list[i] = `{"arch":"` + machine + `","phase":"` + phase + `",` + llamaLike(r, c.grid) + c.more + `}`
						}
						return "[" + strings.Join(list, ",") + "]"
					}
					room := int64(0)
					if !c.again {
						room = 1 // forgets each answer at the next
					}
					o := oracle.New(oracle.Options{CacheBytes: room})
					same := batch()
					answer(b, o, same)
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						one := same
						if !c.again {
							b.StopTimer()
							one = batch()
							b.StartTimer()
						}
						answer(b, o, one)
						n += batchSize
					}
					b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "models/s")
				})
			}
		}
	}
}
