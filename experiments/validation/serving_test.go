package validation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// splitwise is a row of Splitwise's measurements on DGX A100 and DGX H100.
type splitwise struct {
	arch, model         string
	tp                  int64
	batch, prompt, most int64   // most is the tokens that were asked for
	generated           int64   // tokens that were written
	ttft, tbt           float64 // measured, seconds
}

func (r *splitwise) String() string {
	return fmt.Sprintf("%s %s tp %d, %d x %d, %d generated", r.arch, r.model, r.tp, r.batch, r.prompt, r.generated)
}

// step is the tokens of the largest prefill step: 4096 at most, but always a whole prompt.
func (r *splitwise) step() int64 { return min(r.batch*r.prompt, max(4096, r.prompt)) }

// splitwiseRows reads the measurements. Left out, and counted: rows of a power cap, which are computed and not
// measured (their times to the first token are exactly 1.300 times those without), and rows that contradict
// themselves, in which the prefill of several prompts takes less time than the same machine needs for a quarter
// of them.
func splitwiseRows(t *testing.T) []splitwise {
	t.Helper()
	machines := map[string]string{"a100-80gb": "a100-sxm-80gb", "h100-80gb": "h100-sxm"}
	type setting struct {
		arch, model string
		tp, prompt  int64
	}
	first := map[setting]map[int64]float64{}
	var all []splitwise
	capped := 0
	for _, row := range table(t, "kernels/e2e/splitwise_llm_e2e.csv") {
		if strings.HasSuffix(row["hardware"], "pcap") {
			capped++
			continue
		}
		r := splitwise{arch: machines[row["hardware"]], model: row["model"], tp: int64(number(t, row["tensor_parallel"])), batch: int64(number(t, row["batch_size"])),
			prompt: int64(number(t, row["prompt_size"])), most: int64(number(t, row["token_size"])), ttft: 1e-3 * number(t, row["ttft_ms"]), tbt: 1e-3 * number(t, row["tbt_ms"])}
		// Answers may end before as many tokens as were asked for.
		r.generated = max(2, min(r.most, 1+int64(math.Round((1e-3*number(t, row["e2e_ms"])-r.ttft)/r.tbt))))
		all = append(all, r)
		s := setting{r.arch, r.model, r.tp, r.prompt}
		if first[s] == nil {
			first[s] = map[int64]float64{}
		}
		first[s][r.batch] = r.ttft
	}
	var rows []splitwise
	for _, r := range all {
		bad := false
		for batch, ttft := range first[setting{r.arch, r.model, r.tp, r.prompt}] {
			bad = bad || batch < r.batch && ttft > r.ttft && batch*4 <= r.batch
		}
		if bad {
			t.Logf("left out: %v: %.0f ms to the first token, longer with a quarter of the prompts", &r, 1e3*r.ttft)
			continue
		}
		rows = append(rows, r)
	}
	t.Logf("%d rows; left out are %d that are computed from others for a power cap and %d that contradict others", len(rows), capped, len(all)-len(rows))
	return rows
}

// askServing returns time to the first token and between tokens that the oracle answers.
func askServing(t *testing.T, o *oracle.Oracle, request fields) (ttft, tpot float64) {
	t.Helper()
	line, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.Answer(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	var a struct {
		Status, Runtime string
		TTFT            float64 `json:"ttft_seconds"`
		TPOT            float64 `json:"tpot_seconds"`
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	if a.Status != "ok" || a.Runtime != request["framework"] {
		t.Fatalf("%s: %s", line, bytes.TrimSpace(out))
	}
	return a.TTFT, a.TPOT
}

// TestServing: Llama-2-70B and BLOOM-176B on DGX A100 and DGX H100 with the vLLM of 2023, whose host takes more
// of a decode step than the chips. The constants of the hosts, and the all-reduce of large buffers, were fitted
// on every second row ("fitted"); the rest is "held out". The time to the first token is gated by the tokens
// of the largest prefill step.
func TestServing(t *testing.T) {
	rows := splitwiseRows(t)
	o := oracle.New(oracle.Options{})
	g := newGates(
		"first token, steps to 2048, a100-sxm-80gb", 0.062, "first token, steps to 2048, h100-sxm", 0.081,
		"first token, steps to 2048, fitted", 0.062, "first token, steps to 2048, held out", 0.081,
		"first token, larger steps, a100-sxm-80gb", 0.162, "first token, larger steps, h100-sxm", 0.047,
		"first token, larger steps, fitted", 0.077, "first token, larger steps, held out", 0.13,
		"between tokens, a100-sxm-80gb", 0.038, "between tokens, h100-sxm", 0.028,
		"between tokens, fitted", 0.029, "between tokens, held out", 0.037)
	for i := range rows {
		r := &rows[i]
		ttft, tpot := askServing(t, o, fields{"arch": r.arch, "model": r.model, "framework": "vllm-2023-eager", "phase": "generate", "batch": r.batch, "prompt": r.prompt,
			"generate": r.generated, "dtype": "fp16", "parallel": fields{"tp": r.tp}})
		half := "fitted"
		if i%2 == 1 {
			half = "held out"
		}
		first := "first token, steps to 2048, "
		if r.step() > 2048 {
			first = "first token, larger steps, "
		}
		for _, of := range []string{r.arch, half} {
			g.add(t, first+of, r.String(), ttft, r.ttft)
			g.add(t, "between tokens, "+of, r.String(), tpot, r.tbt)
		}
	}
	g.check(t)
}

// TestHostIsNeeded: without the host's terms the same rows are a quarter and more too fast, so the gates of
// TestServing hold because of them.
func TestHostIsNeeded(t *testing.T) {
	rows := splitwiseRows(t)
	o := oracle.New(oracle.Options{})
	c := Comparison{Name: "between tokens, no host"}
	none := map[string]string{}
	for _, term := range []string{"operator", "step", "sequence", "request"} {
		none["runtime.profiles[vllm-2023-eager].host."+term] = "0 us"
	}
	for i := range rows {
		r := &rows[i]
		_, tpot := askServing(t, o, fields{"arch": fields{"base": r.arch, "set": none}, "model": r.model, "framework": "vllm-2023-eager", "phase": "generate", "batch": r.batch,
			"prompt": r.prompt, "generate": 2, "dtype": "fp16", "parallel": fields{"tp": r.tp}})
		c.Add(r.String(), tpot, r.tbt)
	}
	s := c.Summarise()
	t.Logf("%v", s)
	if s.Mean < 0.25 || s.Bias > -0.25 {
		t.Errorf("mean error %.1f %%, bias %.1f %%", 100*s.Mean, 100*s.Bias)
	}
}
