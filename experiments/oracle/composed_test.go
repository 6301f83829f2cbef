package oracle_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/experiments/oracle"
)

// A convolution is the product of its windows with the filters; where windows do not overlap, or there is one pixel in
// each, it is that product to the last byte.
func TestConvolution(t *testing.T) {
	o := oracle.New(oracle.Options{})
	same := func(arch, conv, gemm string) {
		t.Helper()
		for _, fidelity := range []string{"analytic", "event"} {
			ask := func(op string) string {
				return answer(t, o, fmt.Sprintf(`{"arch":%q,"fidelity":%q,"op":{%s}}`, arch, fidelity, op))
			}
			if a, b := ask(conv), ask(gemm); a != b {
				t.Errorf("%s: %s\n%s: %s", conv, a, gemm, b)
			}
		}
	}
	for _, arch := range []string{"a100-sxm-80gb", "tpu-v4", "tpu-v6e"} {
		same(arch, `"kind":"conv2d","batch":3,"height":20,"width":30,"channels":64,"filters":96,"filter_height":1,"filter_width":1`, `"kind":"gemm","m":1800,"n":96,"k":64`)
		same(arch, `"kind":"conv2d","height":32,"width":48,"channels":16,"filters":32,"filter_height":4,"filter_width":4,"stride":4`, `"kind":"gemm","m":96,"n":32,"k":256`)
	}
	// 3×3 windows at each of 56×56 pixels: nine products for each, but each pixel, 16 bits of it, comes once.
	r := ask(t, o, onA100(`"kind":"conv2d","batch":32,"height":56,"width":56,"channels":64,"filters":64,"filter_height":3,"filter_width":3,"padding":1`))
	if ops := 2 * 32 * 56 * 56 * 64 * 64 * 9.; r.Tflops*1e12*r.Seconds < 0.999*ops || r.Tflops*1e12*r.Seconds > 1.001*ops {
		t.Errorf("%g operations, want %g", r.Tflops*1e12*r.Seconds, ops)
	}
	if least, most := int64(2*32*56*56*64), int64(6*32*56*56*64); r.Bytes < least || r.Bytes > most {
		t.Errorf("%d bytes, want from %d to %d", r.Bytes, least, most)
	}
}

// More of anything is more operations.
func TestConvolutionMonotone(t *testing.T) {
	o := oracle.New(oracle.Options{})
	names := []string{"batch", "height", "width", "channels", "filters"}
	rapid.Check(t, func(rt *rapid.T) {
		d := map[string]int{}
		for _, name := range names {
			d[name] = rapid.IntRange(4, 64).Draw(rt, name)
		}
		ops := func() float64 {
			var b strings.Builder
			for _, name := range names {
				fmt.Fprintf(&b, `,%q:%d`, name, d[name])
			}
			r := ask(t, o, `{"arch":"tpu-v4","op":{"kind":"conv2d","filter_height":3,"filter_width":3`+b.String()+`}}`)
			return r.Seconds * r.Tflops
		}
		before := ops()
		d[rapid.SampledFrom(names).Draw(rt, "more")] *= 2
		if after := ops(); after <= before {
			rt.Fatalf("%v: %g operations, less than %g", d, after, before)
		}
	})
}

// A feed-forward network does the operations of its products, and fused in a runtime that fuses gates it moves fewer bytes.
func TestNetwork(t *testing.T) {
	o := oracle.New(oracle.Options{})
	for gated, matrices := range map[string]float64{"true": 3, "false": 2} {
		r := ask(t, o, onA100(`"kind":"ffn","tokens":512,"hidden":4096,"intermediate":11008,"gated":`+gated))
		if want := matrices * 2 * 512 * 4096 * 11008 / r.Seconds / 1e12; r.Tflops < 0.999*want || r.Tflops > 1.001*want {
			t.Errorf("gated %s: %g Tflop/s, want %g", gated, r.Tflops, want)
		}
		if weights := int64(matrices * 4096 * 11008 * 2); r.Bytes < weights {
			t.Errorf("gated %s: %d bytes, %d of weights", gated, r.Bytes, weights)
		}
	}
	whole := ask(t, o, onA100(`"kind":"ffn","tokens":512,"hidden":4096,"intermediate":11008`))
	up := ask(t, o, onA100(`"kind":"gemm","m":512,"n":22016,"k":4096`))
	if whole.Seconds <= up.Seconds {
		t.Errorf("the network takes %g s, its first product %g s", whole.Seconds, up.Seconds)
	}
}
