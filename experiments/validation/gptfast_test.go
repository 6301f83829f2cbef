package validation

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// compiled is decoding of one sequence as it is published: tokens a second, and how far off the answer may be.
type compiled struct {
	model, weights string
	tp             int64
	rate, gate     float64
}

// gptFast are the rates that pytorch-labs/gpt-fast publishes for compiled decoding on A100 (README at 32971d31, short
// context). Gates above 8 % are known deviations.
var gptFast = []compiled{
	{"llama2-7b", "bf16", 1, 104.9, 0.06},
	{"llama3-8b", "bf16", 2, 149.1, 0.06},
	{"llama3-8b", "bf16", 4, 217.21, 0.06},
	{"llama3-70b", "bf16", 4, 37.45, 0.06},
	{"llama3-70b", "bf16", 8, 58.78, 0.06},
	{"llama2-7b", "int8", 1, 155.58, 0.08},
	{"llama2-70b", "int8", 1, 19.13, 0.05},
	{"llama3-70b", "int8", 8, 75.58, 0.05},
	{"llama3-405b", "int8", 8, 15.6, 0.27},
	{"mixtral-8x7b", "int8", 2, 155.03, 0.32},
	{"mixtral-8x7b", "int8", 8, 279.35, 0.58},
	{"llama2-7b", "int4-g32", 1, 196.8, 0.12},
}

// off is the share by which the answer is off, and says so.
func (c *compiled) off(t *testing.T, o *oracle.Oracle, context int64, framework string) float64 {
	t.Helper()
	request := fields{"arch": "a100-sxm-80gb", "model": c.model, "phase": "decode", "batch": 1, "past_len": context,
		"weight_dtype": c.weights, "parallel": fields{"tp": c.tp}, "fidelity": "event"}
	if framework != "" {
		request["framework"] = framework
	}
	predicted := ask(t, o, request)
	off := predicted*c.rate - 1
	t.Logf("%-12s %-9s tp %d   predicted %6.2f ms, published %6.2f ms, %+5.1f %%", c.model, c.weights, c.tp, 1e3*predicted, 1e3/c.rate, 100*off)
	if math.Abs(off) > c.gate {
		t.Errorf("%s in %s: error %.1f %%, the gate is %.0f %%", c.model, c.weights, 100*off, 100*c.gate)
	}
	return off
}

// TestPublishedDecode: compiled decoding of one sequence on A100 as gpt-fast publishes it. No constant was fitted on
// these: conversions per cycle are the data sheet's, operations of widening those of published code.
func TestPublishedDecode(t *testing.T) {
	o := oracle.New(oracle.Options{})
	var all, wide float64
	for i := range gptFast {
		off := math.Abs(gptFast[i].off(t, o, 100, ""))
		if all += off; gptFast[i].weights == "bf16" {
			wide += off
		}
	}
	t.Logf("mean %.1f %%, of bf16 %.1f %%", 100*all/float64(len(gptFast)), 100*wide/5)
}

// TestPublishedDecodeIsComplete: every row of gpt-fast's decoding among the measurements is in the list, for machines and
// models that there are.
func TestPublishedDecodeIsComplete(t *testing.T) {
	known, rows := map[string]float64{}, 0
	key := func(model, weights, tp string) string { return model + " " + weights + " tp " + tp }
	for _, c := range gptFast {
		known[key(c.model, c.weights, strconv.FormatInt(c.tp, 10))] = c.rate
	}
	for _, row := range table(t, "published/published_results.csv") {
		machine, _, _ := strings.Cut(row["device"], " ") // "a100-sxm-80gb (330W cap)"
		if !strings.HasPrefix(row["id"], "gptfast") || row["task"] != "decode" || row["unit"] != "tokens/s" || row["use"] == "do-not-gate" {
			continue
		}
		if machine != "a100-sxm-80gb" {
			t.Logf("left out: %s on %s, which is no preset", row["model"], machine)
			continue
		}
		params := map[string]string{}
		for _, p := range strings.Split(row["params"], ";") {
			k, v, _ := strings.Cut(p, "=")
			params[k] = v
		}
		weights := strings.ReplaceAll(params["dtype"], " ", "-") // "int4 g32"
		rows++
		if k := key(row["model"], weights, params["tp"]); known[k] != number(t, row["value"]) {
			t.Errorf("%s: the list has %g tokens/s, published are %s", k, known[k], row["value"])
		}
	}
	if rows == 0 {
		t.Error("no rows")
	}
}
