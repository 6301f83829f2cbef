package validation

import (
	"context"
	"fmt"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Prompts of 128 tokens, then 256 tokens: half of them are in the cache on the average.
const (
	cpuPrompt = 128
	cpuCached = cpuPrompt + 256/2
)

// batched is what llama.cpp's batched-bench reached on a CPU whose cores several processes share out, each with the model and so
// many sequences of its own.
type batched struct {
	id, arch, profile        string
	format, weights          string // as llama.cpp calls it, and the nearest format here
	processes, batch, prompt int64  // prompt: sequences whose prompts are taken together, as that was another run
	decoded, prompted        float64
}

// publishedCPU are rates in tokens a second: AmpereComputingAI/llama.cpp, benchmarks, Llama 3 8B. The first four are the best that
// is published; then one process on all cores; one sequence in each of twelve; and the README's of Altra Max, whose prompts are
// not said and taken to be alike. Of upstream's six rows with one sequence in each of 8, 12 or 16 processes the share of DDR's
// rate on AmpereOne was fitted; they are not here.
var publishedCPU = []batched{
	{"ampere-0211", "ampereone-a192-32", "llama.cpp", "Q4_K_M", "int4-g32", 24, 16, 4, 191.76, 265.64},
	{"ampere-0212", "ampereone-a192-32", "llama.cpp-ampere", "Q4_K_4", "int4-g32", 12, 16, 2, 289.99, 542.87},
	{"ampere-0213", "ampereone-a192-32", "llama.cpp", "Q8_0", "int8-g128", 24, 16, 4, 248.17, 410.9},
	{"ampere-0214", "ampereone-a192-32", "llama.cpp-ampere", "Q8R16", "int8-g128", 12, 32, 2, 313.78, 950.64},
	{"", "ampereone-a192-32", "llama.cpp", "Q4_K_M", "int4-g32", 1, 1, 0, 21.02, 0},
	{"", "ampereone-a192-32", "llama.cpp-ampere", "Q4_K_4", "int4-g32", 1, 1, 0, 15.73, 0},
	{"", "ampereone-a192-32", "llama.cpp", "Q8_0", "int8-g128", 1, 1, 0, 14.03, 0},
	{"", "ampereone-a192-32", "llama.cpp-ampere", "Q8R16", "int8-g128", 1, 1, 0, 14.47, 0},
	{"", "ampereone-a192-32", "llama.cpp-ampere", "Q4_K_4", "int4-g32", 12, 1, 0, 39.63, 0},
	{"", "ampereone-a192-32", "llama.cpp-ampere", "Q8R16", "int8-g128", 12, 1, 0, 27.17, 0},
	{"", "altra-max-m128-30", "llama.cpp-ampere", "Q4_K_4", "int4-g32", 1, 1, 0, 26.13, 0},
	{"", "altra-max-m128-30", "llama.cpp-ampere", "Q4_K_4", "int4-g32", 1, 32, 0, 102.85, 0},
	{"", "altra-max-m128-30", "llama.cpp-ampere", "Q8R16", "int8-g128", 1, 1, 0, 18.37, 0},
	{"", "altra-max-m128-30", "llama.cpp-ampere", "Q8R16", "int8-g128", 1, 32, 0, 121.19, 0},
}

// loadCPUs lists what was published about CPUs.
func loadCPUs(l *loaded) {
	for _, b := range publishedCPU {
		for _, of := range []struct {
			phase string
			batch int64
			rate  float64
		}{{"decode", b.batch, b.decoded}, {"prefill", b.prompt, b.prompted}} {
			if of.rate == 0 {
				continue
			}
			l.add(Case{ID: b.id, Source: b.profile, Device: b.arch, Arch: b.arch, Name: fmt.Sprintf("%s %s, %d × %d sequences on %s", of.phase, b.format, b.processes, of.batch, b.arch),
				Columns: []Column{{"format", b.format}, {"processes", fmt.Sprint(b.processes)}, {"batch", fmt.Sprint(of.batch)}},
				Ask: func(ctx context.Context, _ *oracle.Oracle) (map[string]any, error) {
					v, err := b.rate(ctx, of.phase, of.batch)
					return map[string]any{"tokens_per_second": v}, err
				},
				Figures: []Figure{{Class: "cpu-" + of.phase, DType: b.weights, Field: "tokens_per_second", Measured: of.rate, Unit: "tokens/s"}}}, "")
		}
	}
}

// rate is what the processes reach together in tokens a second.
func (b batched) rate(ctx context.Context, phase string, batch int64) (float64, error) {
	m, err := presets.Machine(b.arch)
	if err != nil {
		return 0, err
	}
	shareOut(m, b.processes)
	model, err := llm.Preset("llama3-8b")
	if err != nil {
		return 0, err
	}
	weights, err := traces.ParseDType(b.weights)
	if err != nil {
		return 0, err
	}
	// Activations are rounded to 8 bits before each product, keys and values are kept in FP16.
	w := llm.Workload{Phase: phase, Batch: batch, Prompt: cpuCached, DType: traces.INT8, WeightDType: weights, KVDType: traces.FP16}
	tokens := batch
	if phase == "prefill" {
		w.Prompt, tokens = cpuPrompt, batch*cpuPrompt
	}
	g, err := model.Graph(w)
	if err != nil {
		return 0, err
	}
	oneCache(g, w)
	r, err := eval.Run(ctx, eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: 1, Profile: b.profile}})
	if err != nil {
		return 0, err
	}
	return float64(b.processes*tokens) / r.Seconds, nil
}

// oneCache puts the keys of all sequences of a process into one cache, as llama.cpp does: each new token is multiplied with all of
// them, those of other sequences too, and what is not its own is masked.
func oneCache(g *traces.Graph, w llm.Workload) {
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			op := &g.Blocks[i].Ops[j]
			if op.Kind != traces.Attention {
				continue
			}
			cached := (op.Batch - 1) * w.Prompt // beside those of one sequence, which the run has
			if w.Phase == "prefill" {
				cached = 0
			}
			op.Batch, op.QLen, op.Past, op.Causal = 1, op.Batch*op.QLen, op.Past+cached, false
		}
	}
}

// shareOut makes of a CPU the part that one of so many alike processes has: cores, and of what all share its even share. The time of
// a barrier is in proportion to the threads that meet in it.
func shareOut(m *arch.Machine, processes int64) {
	m.Chip.Cores.Count /= processes
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		if t.Private() {
			continue
		}
		t.Bandwidth /= units.BytesPerSecond(processes)
		t.Width /= units.BytesPerCycle(processes)
		t.Capacity /= units.Bytes(processes)
	}
	for i := range m.Runtime.Profiles {
		m.Runtime.Profiles[i].Launch /= units.Time(processes)
	}
}
