package eval_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// request is a request for a preset model on a preset machine, in the model's own number format.
func request(t rapid.TB, machine, model string, w llm.Workload, tp int64) eval.Request {
	t.Helper()
	m, err := presets.Machine(machine)
	if err != nil {
		t.Fatal(err)
	}
	m.WriteOut()
	if m.OffChip().Capacity < 16<<30 {
		tp = max(tp, 2) // one chip has no room for the models of these tests
	}
	lm, err := llm.Preset(model)
	if err != nil {
		t.Fatal(err)
	}
	w.DType, w.WeightDType, w.KVDType = lm.DefaultDType(), lm.DefaultDType(), lm.DefaultDType()
	g, err := lm.Graph(w)
	if err != nil {
		t.Fatal(err)
	}
	return eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: tp}}
}

func run(t testing.TB, r eval.Request) *eval.Result {
	t.Helper()
	res, err := eval.Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func encode(t testing.TB, a any) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAnswersAddUp: over random workloads, the parts of an answer sum to the whole, shares are shares,
// and both fidelities tell the same work, bytes and memory.
func TestAnswersAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		machine := rapid.SampledFrom(presets.Names()).Draw(rt, "machine")
		w := llm.Workload{
			Phase: rapid.SampledFrom([]string{"prefill", "decode", "generate"}).Draw(rt, "phase"),
			Batch: rapid.Int64Range(1, 8).Draw(rt, "batch"), Prompt: rapid.Int64Range(1, 600).Draw(rt, "prompt"),
			Generate: rapid.Int64Range(1, 6).Draw(rt, "generate"),
		}
		tp := rapid.SampledFrom([]int64{1, 2, 4}).Draw(rt, "tp")
		if m, err := presets.Machine(machine); err == nil {
			tp = min(tp, m.System.Chips)
		}
		r := request(t, machine, "llama2-7b", w, tp)
		event := run(t, r)
		r.Fidelity = eval.Analytic
		analytic := run(t, r)
		for _, res := range []*eval.Result{event, analytic} {
			a := &res.Answer
			near := func(what string, got, want float64) {
				if math.Abs(got-want) > 1e-9*math.Max(math.Abs(want), 1e-9) {
					rt.Errorf("%s %s: %g, want %g", a.Fidelity, what, got, want)
				}
			}
			var stalls, ops, joules, phases, opJoules float64
			for _, s := range a.Stalls {
				stalls += s
			}
			for _, o := range a.Operators {
				ops += o.Seconds
				opJoules += o.Joules
			}
			for _, j := range a.Energy.Components {
				joules += j
			}
			for _, p := range a.Phases {
				phases += p.Seconds
			}
			near("stalls", stalls, a.Seconds)
			near("operators", ops, a.Seconds)
			near("phases", phases, a.Seconds)
			near("energy components", joules, a.Energy.Joules)
			near("energy of operators", opJoules, a.Energy.Joules)
			near("average power", a.Power.AverageWatts*a.Seconds, a.Energy.Joules)
			if a.FloorSeconds > a.Seconds || a.FloorSeconds <= 0 {
				rt.Errorf("%s: floor %g s, answer %g s", a.Fidelity, a.FloorSeconds, a.Seconds)
			}
			if a.MFU <= 0 || a.MFU > 1.1 || a.HFU <= 0 || a.HFU > 1.1 {
				rt.Errorf("%s: mfu %g, hfu %g", a.Fidelity, a.MFU, a.HFU)
			}
			for _, tier := range a.Memory {
				if tier.PeakBytes > tier.CapacityBytes || tier.Utilization < 0 || tier.Utilization > 1+1e-9 {
					rt.Errorf("%s: %+v", a.Fidelity, tier)
				}
			}
			tokens := map[string]float64{"prefill": float64(w.Batch * w.Prompt), "decode": float64(w.Batch), "generate": float64(w.Batch * w.Generate)}[w.Phase]
			near("tokens", a.TokensPerSecond*a.Seconds, tokens)
			if strings.Contains(encode(t, a), "NaN") {
				rt.Error("NaN")
			}
		}
		for i := range event.Memory {
			e, a := event.Memory[i], analytic.Memory[i]
			if e.ReadBytes != a.ReadBytes || e.WrittenBytes != a.WrittenBytes || e.PeakBytes != a.PeakBytes {
				rt.Errorf("memory: %+v, %+v", e, a)
			}
		}
		if event.HFU*event.Seconds != analytic.HFU*analytic.Seconds && math.Abs(event.HFU*event.Seconds/(analytic.HFU*analytic.Seconds)-1) > 1e-12 {
			rt.Error("executed operations differ between the fidelities")
		}
	})
}

// TestSameBytes: the same request gives the same bytes on every run and with any GOMAXPROCS.
func TestSameBytes(t *testing.T) {
	for _, fidelity := range []string{eval.Event, eval.Analytic} {
		r := request(t, "a100-sxm-80gb", "llama3-8b", llm.Workload{Phase: "generate", Batch: 3, Prompt: 700, Generate: 9}, 2)
		r.Fidelity, r.Advise = fidelity, true
		first := encode(t, run(t, r).Answer)
		for _, procs := range []int{1, 2, 8} {
			old := runtime.GOMAXPROCS(procs)
			again := encode(t, run(t, r).Answer)
			runtime.GOMAXPROCS(old)
			if again != first {
				t.Errorf("%s, GOMAXPROCS %d: another answer", fidelity, procs)
			}
		}
	}
}

// TestOneChipIsNoParallelism: TP=1 is no TP, to the byte.
func TestOneChipIsNoParallelism(t *testing.T) {
	w := llm.Workload{Phase: "generate", Batch: 2, Prompt: 300, Generate: 4}
	if none, one := encode(t, run(t, request(t, "tpu-v4", "llama2-7b", w, 0)).Answer), encode(t, run(t, request(t, "tpu-v4", "llama2-7b", w, 1)).Answer); none != one {
		t.Errorf("no tp: %s\ntp 1:  %s", none, one)
	}
}

// TestPhases: a generation is its prefill and one decode step for each token after the first, and the
// steps get longer as the cache grows.
func TestPhases(t *testing.T) {
	w := llm.Workload{Phase: "generate", Batch: 4, Prompt: 512, Generate: 32}
	all := run(t, request(t, "a100-sxm-80gb", "llama2-7b", w, 1))
	w.Phase = "prefill"
	prefill := run(t, request(t, "a100-sxm-80gb", "llama2-7b", w, 1))
	if all.TTFTSeconds != prefill.Seconds {
		t.Errorf("first token after %g s, the prefill alone takes %g s", all.TTFTSeconds, prefill.Seconds)
	}
	var steps float64
	var last float64
	for past := int64(512); past < 512+31; past++ {
		s := run(t, request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: past}, 1)).Seconds
		if s < last {
			t.Errorf("the step after %d tokens takes %g s, the one before %g s", past, s, last)
		}
		last = s
		steps += s
	}
	if math.Abs(all.Seconds-prefill.Seconds-steps) > 1e-9 {
		t.Errorf("the run takes %g s, its parts %g s", all.Seconds, prefill.Seconds+steps)
	}
	if math.Abs(all.TPOTSeconds-steps/31) > 1e-9 {
		t.Errorf("TPOT %g s, want %g s", all.TPOTSeconds, steps/31)
	}
}

// TestReplay: a graph written as a trace and read again gives the same answer to the byte.
func TestReplay(t *testing.T) {
	r := request(t, "tpu-v4", "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 1024}, 1)
	var b strings.Builder
	if err := r.Graph.Write(&b); err != nil {
		t.Fatal(err)
	}
	direct := encode(t, run(t, r).Answer)
	var err error
	if r.Graph, err = traces.Read("t.jsonl", strings.NewReader(b.String())); err != nil {
		t.Fatal(err)
	}
	if replayed := encode(t, run(t, r).Answer); replayed != direct {
		t.Errorf("direct   %s\nreplayed %s", direct, replayed)
	}
}

// TestIdeals: what is left out takes no time, and leaving something out never costs any.
func TestIdeals(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 8, Prompt: 512}, 2)
	real := run(t, r)
	for _, ideal := range eval.Ideals() {
		r.Ideal = []string{ideal}
		got := run(t, r)
		if got.Seconds > real.Seconds {
			t.Errorf("without %s %g s, with it %g s", ideal, got.Seconds, real.Seconds)
		}
		if got.Manifest.Key == real.Manifest.Key {
			t.Errorf("%s does not change the key", ideal)
		}
	}
	r.Ideal = []string{"launch"}
	if launch := run(t, r).Stalls[5]; launch != 0 {
		t.Errorf("%g s of launch without launches", launch)
	}
}

// TestAdvice: advice is what a run with the change gives, by the machine itself.
func TestAdvice(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 512}, 1)
	r.Advise = true
	a := run(t, r)
	if len(a.Advice) == 0 || !strings.Contains(a.Advice[0].Change, "HBM bandwidth") {
		t.Fatalf("advice %+v", a.Advice)
	}
	r.Advise = false
	for i := range r.Machine.Chip.Memory {
		if tier := &r.Machine.Chip.Memory[i]; tier.Name == "hbm" {
			tier.Bandwidth *= 1.1
		}
	}
	if got := run(t, r).Seconds; math.Abs(got/a.Advice[0].Seconds-1) > 1e-3 {
		t.Errorf("advice says %g s, a machine with more bandwidth takes %g s", a.Advice[0].Seconds, got)
	}
}

// TestRefusals: requests that name what does not exist say so.
func TestRefusals(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 512}, 1)
	for _, change := range []func(*eval.Request){
		func(r *eval.Request) { r.Fidelity = "exact" },
		func(r *eval.Request) { r.Ideal = []string{"gravity"} },
		func(r *eval.Request) { r.Mapping.TP = 64 },
	} {
		bad := r
		change(&bad)
		var invalid *plan.Invalid
		if _, err := eval.Run(context.Background(), bad); !errors.As(err, &invalid) {
			t.Errorf("error %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, r.Fidelity = range []string{eval.Event, eval.Analytic} {
		if _, err := eval.Run(ctx, r); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after cancelling: %v", r.Fidelity, err)
		}
	}
}

// TestKeyIsContent: the key changes with everything that can change the answer, and with nothing else.
func TestKeyIsContent(t *testing.T) {
	r := request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 512}, 1)
	key := r.Key()
	for name, change := range map[string]func(*eval.Request){
		"fidelity": func(r *eval.Request) { r.Fidelity = eval.Analytic },
		"exact":    func(r *eval.Request) { r.Exact = true },
		"tp":       func(r *eval.Request) { r.Mapping.TP = 2 },
		"profile":  func(r *eval.Request) { r.Mapping.Profile = "eager" },
		"machine": func(r *eval.Request) {
			m := *r.Machine
			m.Chip.Clock++
			r.Machine = &m
		},
		"graph": func(r *eval.Request) {
			r.Graph = request(t, "a100-sxm-80gb", "llama2-7b", llm.Workload{Phase: "decode", Batch: 1, Prompt: 513}, 1).Graph
		},
	} {
		other := r
		change(&other)
		if other.Key() == key {
			t.Errorf("%s does not change the key", name)
		}
	}
	same := r
	m := *r.Machine
	m.Description, m.Sources = "another text", nil
	same.Machine, same.Advise, same.Fidelity = &m, true, eval.Event
	if same.Key() != key {
		t.Error("what changes no answer changes the key")
	}
}

// TestStallsRoundTrip: stalls are written by name and read back.
func TestStallsRoundTrip(t *testing.T) {
	want := eval.StallSeconds{1, 2, 3, 0, 5, 6, 7, 8}
	text := encode(t, want)
	if !strings.HasPrefix(text, `{"compute":1,"sram":2,"hbm":3,"ddr":0,`) {
		t.Error(text)
	}
	var got eval.StallSeconds
	if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
