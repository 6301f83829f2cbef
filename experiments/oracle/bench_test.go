package oracle_test

import (
	"fmt"
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
