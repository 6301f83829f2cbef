package eval_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

// streamed is a request on an SN40L with so much HBM in front of its DDR.
func streamed(t rapid.TB, model string, w llm.Workload, gib float64) eval.Request {
	r := request(t, "sn40l", model, w, 1)
	if err := r.Machine.Apply(map[string]string{"chip.memory[hbm].capacity": fmt.Sprintf("%d MiB", int64(1024*gib))}); err != nil {
		t.Fatal(err)
	}
	return r
}

func tier(t rapid.TB, a *eval.Answer, name string) *eval.Tier {
	for i := range a.Memory {
		if a.Memory[i].Tier == name {
			return &a.Memory[i]
		}
	}
	t.Fatalf("no tier %s", name)
	return nil
}

// Weights that stream, by hand. Llama 3 8B in bf16 has 32 layers of 218112000 weights, 436.2 MB each, and 2.10 GB
// in embedding and head. With 8 GiB of HBM a decode step moves over DDR at 125 GB/s what does not fit beside two
// buffers; with prefetch it takes what the slower of the two takes, layer by layer.
func TestStreamedDecode(t *testing.T) {
	w := llm.Workload{Phase: "decode", Batch: 1, Prompt: 128}
	whole := run(t, streamed(t, "llama3-8b", w, 64))
	r := streamed(t, "llama3-8b", w, 8)
	res := run(t, r)
	s := res.Answer.Streaming
	if s == nil || s.FetchedBytes == 0 {
		t.Fatalf("nothing streams: %+v", s)
	}
	moved := float64(s.FetchedBytes) / 125e9
	if got := res.Answer.Seconds; got < moved || got > 1.0001*moved {
		t.Errorf("%g s, DDR takes %g s", got, moved)
	}
	if got := res.Answer.Stalls.Of(sim.DDR); got < 0.9*res.Answer.Seconds {
		t.Errorf("%g s of %g s are charged to ddr: %v", got, res.Answer.Seconds, res.Answer.Stalls)
	}
	if res.Answer.BoundBy != "ddr" {
		t.Errorf("bound by %s", res.Answer.BoundBy)
	}
	// What does not fit: 16.06 GB of weights, the buffers of two layers, and a small cache, into 8 GiB.
	if need := 16.06e9 - 8*math.Pow(2, 30); float64(s.FetchedBytes) < need-1.1e9 || float64(s.FetchedBytes) > 1.2*need {
		t.Errorf("%d bytes move, %g do not fit (the table of embeddings, 1.05 GB, is read by rows)", s.FetchedBytes, need)
	}
	// Without prefetch copies and layers take turns.
	zero := int64(0)
	r.Mapping.Prefetch = &zero
	serial := run(t, r)
	if got, want := serial.Answer.Seconds, whole.Answer.Seconds+float64(serial.Answer.Streaming.FetchedBytes)/125e9; math.Abs(got/want-1) > 0.01 {
		t.Errorf("without prefetch %g s, the sum is %g s", got, want)
	}
}

// A prefill long enough hides all of its weights.
func TestStreamedPrefillIsHidden(t *testing.T) {
	w := llm.Workload{Phase: "prefill", Batch: 4, Prompt: 4096}
	whole, res := run(t, streamed(t, "llama3-8b", w, 64)), run(t, streamed(t, "llama3-8b", w, 12))
	if res.Answer.Streaming == nil || res.Answer.Streaming.FetchedBytes < 4e9 {
		t.Fatalf("too little streams: %+v", res.Answer.Streaming)
	}
	if a, b := whole.Answer.Seconds, res.Answer.Seconds; b > 1.005*a || res.Answer.Stalls.Of(sim.DDR) > 0 {
		t.Errorf("%g s, %g s with everything in HBM", b, a)
	}
}

// The roofline of the two rates: with prefetch, a step takes as long as the slower of its layers and its copies, and
// never longer than both together, whatever the capacities and rates.
func TestStreamingLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := llm.Workload{Phase: rapid.SampledFrom([]string{"decode", "prefill", "generate"}).Draw(t, "phase"), Batch: rapid.Int64Range(1, 8).Draw(t, "batch"),
			Prompt: rapid.Int64Range(1, 3000).Draw(t, "prompt")}
		if w.Phase == "generate" {
			w.Generate = rapid.Int64Range(1, 4).Draw(t, "generate")
		}
		model := rapid.SampledFrom([]string{"llama3-8b", "deepseek-v2-lite", "mixtral-8x7b"}).Draw(t, "model")
		gib := map[string]float64{"llama3-8b": 15, "deepseek-v2-lite": 30, "mixtral-8x7b": 88}[model] * rapid.Float64Range(0.3, 1.1).Draw(t, "capacity")
		build := func(gib float64, more map[string]string) eval.Request {
			r := streamed(t, model, w, gib)
			if err := r.Machine.Apply(more); err != nil {
				t.Fatal(err)
			}
			return r
		}
		ddr := map[string]string{"chip.memory[ddr].bandwidth": fmt.Sprintf("%d GB/s", rapid.Int64Range(20, 1500).Draw(t, "ddr"))}
		all := build(1024, ddr)
		all.Fidelity = eval.Analytic
		free := mustRun(t, all)
		if free.Streaming != nil || tier(t, free, "ddr").ReadBytes+tier(t, free, "ddr").WrittenBytes != 0 {
			t.Fatalf("DDR moves although everything fits: %+v", free.Streaming)
		}
		r := build(gib, ddr)
		r.Fidelity = eval.Analytic
		prefetch := rapid.Int64Range(0, 3).Draw(t, "prefetch")
		r.Mapping.Prefetch = &prefetch
		a, err := answerOf(r)
		if buffersDoNotFit(err, prefetch) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.Streaming == nil {
			return
		}
		r.Fidelity = eval.Event
		played, err := answerOf(r)
		if err != nil {
			t.Fatal(err)
		}
		// Bytes in are bytes out: what DDR gives HBM takes, and the other way round; kernels move what they moved before.
		for _, x := range []*eval.Answer{a, played} {
			hbm, low, before := tier(t, x, "hbm"), tier(t, x, "ddr"), tier(t, free, "hbm")
			if low.ReadBytes != hbm.WrittenBytes-before.WrittenBytes || low.WrittenBytes != hbm.ReadBytes-before.ReadBytes ||
				low.ReadBytes != x.Streaming.FetchedBytes || low.WrittenBytes != x.Streaming.StoredBytes {
				t.Fatalf("hbm %+v, ddr %+v, before %+v, %+v", hbm, low, before, x.Streaming)
			}
			if p := hbm.PeakBytes; p > hbm.CapacityBytes {
				t.Fatalf("%d bytes in %d of hbm", p, hbm.CapacityBytes)
			}
		}
		rate := float64(r.Machine.Tier("ddr").Rate(r.Machine.Chip.Clock))
		moved := float64(a.Streaming.FetchedBytes+a.Streaming.StoredBytes) / rate
		least, most := math.Max(free.Seconds, moved), free.Seconds+moved
		if a.Seconds < least*(1-1e-9) || a.Seconds > most*(1+1e-9)+1e-9 {
			t.Fatalf("%g s; layers take %g s, copies %g s", a.Seconds, free.Seconds, moved)
		}
		if played.Seconds < a.Seconds*(1-1e-9) || played.Seconds < played.FloorSeconds || a.Seconds < a.FloorSeconds {
			t.Fatalf("event %g s, analytic %g s, floor %g s", played.Seconds, a.Seconds, a.FloorSeconds)
		}
	})
}

// More HBM never slows a run down, by no more than a hundredth where the plan changes.
func TestMoreMemoryIsNotSlower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := llm.Workload{Phase: rapid.SampledFrom([]string{"decode", "generate"}).Draw(t, "phase"), Batch: rapid.Int64Range(1, 32).Draw(t, "batch"), Prompt: rapid.Int64Range(1, 8000).Draw(t, "prompt")}
		if w.Phase == "generate" {
			w.Generate = rapid.Int64Range(2, 6).Draw(t, "generate")
		}
		model := rapid.SampledFrom([]string{"llama3-8b", "mixtral-8x7b"}).Draw(t, "model")
		gib := map[string]float64{"llama3-8b": 15, "mixtral-8x7b": 88}[model] * rapid.Float64Range(0.2, 1.2).Draw(t, "capacity")
		fidelity := rapid.SampledFrom([]string{eval.Analytic, eval.Event}).Draw(t, "fidelity")
		r, larger := streamed(t, model, w, gib), streamed(t, model, w, gib*rapid.Float64Range(1, 1.5).Draw(t, "more"))
		r.Fidelity, larger.Fidelity = fidelity, fidelity
		a, err := answerOf(r)
		if buffersDoNotFit(err, 1) {
			t.Skip(err)
		}
		b, err2 := answerOf(larger)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if b.Seconds > 1.01*a.Seconds {
			t.Fatalf("%g s with more memory, %g s with less: %+v %+v", b.Seconds, a.Seconds, b.Streaming, a.Streaming)
		}
	})
}

// buffersDoNotFit reports whether a run is refused because the buffers of so many layers ahead have no room beside the
// activations: 26 layers at the least have parts of weights and cache, and table and head of 1 GiB each may come on top.
func buffersDoNotFit(err error, prefetch int64) bool {
	var e *plan.DoesNotFit
	if !errors.As(err, &e) {
		return false
	}
	var needs units.Bytes
	for _, n := range e.Needs {
		if n.What == plan.Activations {
			needs += n.Bytes
		} else {
			needs += n.Bytes / 26 * units.Bytes(prefetch+1)
		}
	}
	return needs+2<<30 > e.Capacity
}

// Every loop played in full gives the same answer as with skips and folds, operator by operator.
func TestExactStreaming(t *testing.T) {
	for _, model := range []string{"llama3-8b", "mixtral-8x7b"} {
		r := streamed(t, model, llm.Workload{Phase: "generate", Batch: 2, Prompt: 300, Generate: 3}, 10)
		folded := run(t, r)
		r.Exact = true
		exact := run(t, r)
		a, b := folded.Answer, exact.Answer
		a.Events, b.Events = 0, 0
		a.Manifest, b.Manifest = eval.Manifest{}, eval.Manifest{}
		if x, y := encode(t, a), encode(t, b); x != y {
			t.Errorf("%s: folded\n%s\nexact\n%s", model, x, y)
		}
	}
}

func answerOf(r eval.Request) (*eval.Answer, error) {
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		return nil, err
	}
	return &res.Answer, nil
}

func mustRun(t rapid.TB, r eval.Request) *eval.Answer {
	a, err := answerOf(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Cold experts live below. Mixtral 8x7B has 8 experts of 3·4096·14336 weights, 352 MB each, in each of 32 layers;
// so much HBM that 4 of each layer's have room. A single token goes to 2 of 8: where all are as likely, half of them
// are below; where the most popular live above, both are found there.
func TestColdExperts(t *testing.T) {
	const expert = 3 * 4096 * 14336 * 2
	// 46.7 B parameters: 45.1 B in experts. What is left of HBM beside everything else holds half of the experts.
	w := llm.Workload{Phase: "decode", Batch: 1, Prompt: 16}
	cold := func(skew int64, lookahead float64) *eval.Answer {
		w.SkewMilli = skew
		r := streamed(t, "mixtral-8x7b", w, 46.6)
		r.Mapping.Lookahead = &lookahead
		return mustRun(t, r)
	}
	even := cold(0, 1)
	var below, above int64
	for _, p := range even.Placement {
		switch {
		case p.Class != "experts" && p.Tier == "ddr" && p.Class != "weights":
			t.Errorf("%+v lives below", p)
		case p.Class == "experts" && p.Tier == "ddr":
			below = p.Bytes
		case p.Class == "experts":
			above = p.Bytes
		}
	}
	if below+above != 32*8*expert || below < 32*3.5*expert || below > 32*4.5*expert {
		t.Fatalf("%d bytes of experts below, %d above", below, above)
	}
	// Two of eight experts, of which below/(below+above) live in DDR; the table of embeddings goes down by rows too.
	want := float64(below) * 2 / 8
	if got := float64(even.Streaming.FetchedBytes); math.Abs(got/want-1) > 0.01 {
		t.Errorf("%g bytes fetched, want %g", got, want)
	}
	if hot := cold(2000, 1); float64(hot.Streaming.FetchedBytes) > 0.01*want {
		t.Errorf("%d bytes fetched although the popular experts live above", hot.Streaming.FetchedBytes)
	}
	// What the router is not known to choose in time is fetched when it has chosen, and nothing runs meanwhile.
	late, half := cold(0, 0), cold(0, 0.5)
	if even.Streaming.FetchedBytes > late.Streaming.FetchedBytes+1000 || late.Seconds <= half.Seconds || half.Seconds < even.Seconds {
		t.Errorf("known ahead %g s, half of them %g s, none %g s", even.Seconds, half.Seconds, late.Seconds)
	}
	rate := 125e9
	layers := run(t, streamed(t, "mixtral-8x7b", w, 200)).Answer.Seconds
	if sum := layers + float64(late.Streaming.FetchedBytes)/rate; math.Abs(late.Seconds/sum-1) > 0.01 {
		t.Errorf("%g s, one after the other they take %g s", late.Seconds, sum)
	}
}

// Power over time has all of the energy, also of kernels that run while the critical path is a copy.
func TestStreamedPower(t *testing.T) {
	res := run(t, streamed(t, "llama3-8b", llm.Workload{Phase: "generate", Batch: 2, Prompt: 300, Generate: 3}, 10))
	var b strings.Builder
	if err := res.PowerTrace(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	var joules float64
	for _, row := range rows[1:] {
		number := func(name string) float64 {
			v, err := strconv.ParseFloat(row[column(name)], 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		joules += number("watts") * number("seconds") * number("times")
	}
	if want := res.Answer.Energy.Joules; math.Abs(joules/want-1) > 0.02 {
		t.Errorf("%g J over time, %g J in all\n%s", joules, want, b.String())
	}
}

// A server's cache stays in the fastest memory: weights make room for it as far as there are any, and no further.
func TestServedCacheStays(t *testing.T) {
	// Llama 3 8B keeps 131072 B a token: 64 requests of 8192 + 64 tokens on the mean are 69 GB, more than 64 GiB of HBM less
	// what runs there; 32 of them leave half of it, so that weights of 16 GB have room for most.
	_, err := answerOf(streamed(t, "llama3-8b", llm.Workload{Phase: "serve", Batch: 64, Prompt: 8192, Generate: 128}, 64))
	if !errors.As(err, new(*plan.DoesNotFit)) {
		t.Errorf("a cache larger than HBM is served: %v", err)
	}
	a := mustRun(t, streamed(t, "llama3-8b", llm.Workload{Phase: "serve", Batch: 32, Prompt: 8192, Generate: 128}, 40))
	var cache int64
	for _, p := range a.Placement {
		if p.Class == "kv cache" && p.Tier == "hbm" {
			cache = p.Bytes
		}
	}
	if hbm := tier(t, a, "hbm"); a.Streaming == nil || cache < 32*8192*131072 || hbm.PeakBytes < cache || hbm.PeakBytes > hbm.CapacityBytes {
		t.Errorf("a cache of %d, %+v, %+v", cache, hbm, a.Streaming)
	}
}

// A trace that is cut, or written by hand, has an answer whatever it says of waves.
func TestWavesOfTraces(t *testing.T) {
	r := request(t, "sn40l", "llama3-8b", llm.Workload{Phase: "generate", Batch: 5, Prompt: 64, Generate: 4, Wave: 2}, 1)
	whole := r.Graph.Runs
	for from := range whole {
		for _, to := range []int{from + 1, len(whole)} {
			g := *r.Graph
			g.Runs = whole[from:to]
			one := r
			one.Graph, one.Fidelity = &g, eval.Analytic
			if a := mustRun(t, one); !(a.TPOTSeconds >= 0 && a.TTFTSeconds >= 0) || a.Waves == nil {
				t.Errorf("runs %d to %d: %+v", from, to, a.Waves)
			}
		}
	}
}
