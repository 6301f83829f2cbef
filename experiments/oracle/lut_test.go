package oracle_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
	spaces "github.com/stratasim/strata/experiments/sweep"
)

const tableSpace = `
name: table
arch: a100-sxm-80gb
model: llama2-7b
workload: {phase: generate, prompt: 300, generate: 3, batch: 2, fidelity: FIDELITY}
axes:
  - {path: model.num_hidden_layers, values: [2, 4, 8]}
  - {path: model.num_attention_heads, values: [8, 12]}
  - {name: groups, values: [1, 2]}
  - {name: ratio, values: [2, 3]}
derived:
  model.hidden_size: 128 * num_attention_heads
  model.num_key_value_heads: num_attention_heads / groups
  model.intermediate_size: ratio * hidden_size
`

// tableOf makes the table of a fidelity, which other options may follow, and of another machine after "on".
func tableOf(t *testing.T, fidelity string, how oracle.LUTOptions) (*spaces.Space, *oracle.LUT, error) {
	t.Helper()
	fidelity, machine, _ := strings.Cut(fidelity, " on ")
	s, err := oracle.ReadSpace("table", []byte(replaced(tableSpace, "FIDELITY", fidelity)), byName{}, machine)
	if err != nil {
		t.Fatal(err)
	}
	lut, err := oracle.New(oracle.Options{}).LUT(t.Context(), s, how)
	return s, lut, err
}

// Whoever adds up the rows of a point has its time, within the error that the table states, and that is what comes of doing so for the
// points that it was worked out from.
func TestTableAddsUp(t *testing.T) {
	for _, fidelity := range []string{"analytic", "event", "analytic, tp: 2, runtime: vllm", "analytic on sn40l", "analytic on tpu-v4"} {
		s, lut, err := tableOf(t, fidelity, oracle.LUTOptions{Samples: 12, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if lut.Layers != "num_hidden_layers" || lut.Missing != 0 || lut.Additivity.Points != 12 || lut.Additivity.Uncovered != 0 {
			t.Errorf("%s: %+v", fidelity, lut.Additivity)
		}
		o := oracle.New(oracle.Options{})
		var errs, sums, whole, energies []float64
		for _, values := range s.Sample(4, 12) { // the seed after that of the table
			text := tableSpace
			how, machine, another := strings.Cut(fidelity, " on ")
			if another {
				text = replaced(text, "a100-sxm-80gb", machine)
			}
			a := askFor(t, o, `{"space":{"yaml":`+quoted(replaced(text, "FIDELITY", how))+`},"point":`+s.Parameters(values)+`}`)
			sum, energy := 0.0, 0.0
			for _, r := range lut.Rows {
				fits := true
				for p, v := range r.Values {
					fits = fits && (v == nil || v.Text == values[p].Text)
				}
				switch {
				case !fits:
				case r.PerLayer:
					sum += r.Seconds * float64(values[0].Any.(int64))
					energy += r.Joules * float64(values[0].Any.(int64))
				default:
					sum += r.Seconds
					energy += r.Joules
				}
			}
			seconds := a["seconds"].(float64)
			energies = append(energies, energy/a["joules"].(float64)-1)
			errs, sums, whole = append(errs, sum/seconds-1), append(sums, sum), append(whole, seconds)
		}
		mean, most := 0.0, 0.0
		for _, e := range errs {
			mean += math.Abs(e) / float64(len(errs))
			most = max(most, math.Abs(e))
		}
		const dust = 1e-12
		if x := &lut.Additivity; math.Abs(mean-x.Mean) > dust || math.Abs(most-x.Max) > dust || math.Abs(oracle.KendallTau(sums, whole)-x.KendallTau) > dust {
			t.Errorf("%s: %+v, and adding up gives mean %g, at most %g", fidelity, x, mean, most)
		}
		of, bias := 0.0, 0.0
		for _, e := range energies {
			of, bias = max(of, math.Abs(e)), bias+e/float64(len(energies))
		}
		if x := &lut.Additivity.Joules; math.Abs(of-x.Max) > dust || math.Abs(bias-x.Bias) > dust || of > 0.05 {
			t.Errorf("%s: energies %+v, and adding up gives at most %g, bias %g", fidelity, x, of, bias)
		}
		if most > 0.05 {
			t.Errorf("%s: rows are %g off: shapes that differ share one", fidelity, most)
		}
	}
}

// Rows hang on what their shapes hang on: no row for the depth, one of attention for each number of heads and groups.
func TestTableRows(t *testing.T) {
	_, lut, err := tableOf(t, "analytic, tp: 2, runtime: vllm", oracle.LUTOptions{Samples: 2})
	if err != nil {
		t.Fatal(err)
	}
	if lut.TP != 2 {
		t.Errorf("tp %d", lut.TP)
	}
	count := map[string]int{}
	for _, r := range lut.Rows {
		count[r.Op+" "+r.Phase]++
		if r.Values[0] != nil {
			t.Errorf("%s hangs on the depth", r.Op)
		}
		if host := r.Op == "framework step"; !(r.Seconds > 0) || !(r.Joules > 0) || !host && (r.Shape == "" || r.DType != "bf16") {
			t.Errorf("%+v", r)
		}
		if once := slices.Contains([]string{"embedding", "final_norm", "lm_head", "embedding.all-reduce", "lm_head.all-gather", "framework step"}, r.Op); once == r.PerLayer {
			t.Errorf("%s per layer: %t", r.Op, r.PerLayer)
		}
	}
	for op, want := range map[string]int{"attention decode": 4, "attention prefill": 4, "gate_up decode": 4, "attn_norm prefill": 2, "embedding decode": 2, "qkv decode": 4, "framework step decode": 1, "out.all-reduce decode": 2} {
		if count[op] != want {
			t.Errorf("%d rows of %s, want %d", count[op], op, want)
		}
	}
}

// What no table can be made of, and why.
func TestTableErrors(t *testing.T) {
	_, _, err := tableOf(t, "analytic", oracle.LUTOptions{Rows: 10})
	var bad *oracle.Error
	if !errors.As(err, &bad) || bad.Code != "too-large" {
		t.Errorf("too large: %v", err)
	}
	for _, tt := range []struct{ from, to, want string }{
		{"values: [2, 3]", "range: {from: 2, to: 4}", "ratio takes any number from 2 to 4, and a table has rows"},
		{"{name: ratio, values: [2, 3]}", "{name: ratio, values: [2, 3]}\n  - {path: tp, values: [1, 2]}", "axis tp changes the machine, the base model or how it is run: a table is of one of each"},
		{"phase: generate, prompt: 300, generate: 3, batch: 2", "phase: train", "there are no tables for phase train"},
		{"ratio * hidden_size\n", "ratio * hidden_size\nconstraints: [\"parameters < 1\"]\n", "no feasible point was found"},
	} {
		text := replaced(replaced(tableSpace, "FIDELITY", "analytic"), tt.from, tt.to)
		s, err := oracle.ReadSpace("table", []byte(text), byName{}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := oracle.New(oracle.Options{}).LUT(t.Context(), s, oracle.LUTOptions{Samples: 2}); !errors.As(err, &bad) || bad.Message != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func TestKendallTau(t *testing.T) {
	for _, tt := range []struct {
		x, y []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{10, 20, 30}, 1},
		{[]float64{1, 2, 3}, []float64{3, 2, 1}, -1},
		{[]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, 4.0 / 6},
		{[]float64{1, 1, 2}, []float64{1, 2, 3}, 2 / math.Sqrt(6)}, // tau-b: two agree, one is tied in x
		{[]float64{1}, []float64{1}, 1},
	} {
		if got := oracle.KendallTau(tt.x, tt.y); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v against %v: %g, want %g", tt.x, tt.y, got, tt.want)
		}
	}
}
