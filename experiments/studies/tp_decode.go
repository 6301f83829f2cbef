package studies

import (
	"context"
	"fmt"
	"slices"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "tp-decode",
		Title: "one sequence on 1 to 8 A100: why tokens come less than twice as fast on twice the chips",
		About: []string{
			"Llama 2 7B on 1, 2, 4 and 8 A100 and 70B on 2, 4 and 8, one sequence in bf16 with a short prompt, as gpt-fast measured it: its graph of kernels, all-reduces in " +
				"one step (each chip reads the buffers of all others), embedding and head whole on every chip, a limit of 330 W (profile gpt-fast; nothing of it is fitted to these rates).",
			"Efficiency is the rate against that of the fewest chips, divided by how many times as many there are. Time that chips lose is what all chips together spend beyond what the fewest spend: " +
				"weights and caches divide, so HBM loses little; each layer's two all-reduces, its launches and the fill and drain of its kernels take as long on eight chips as on two.",
			"With NCCL's ring in place of one step (profile compiled), an all-reduce of a few kilobytes takes two steps more for each chip more; that profile divides the head, too, so that the ring costs a little more than the rows show.",
			"gpt-fast's node is a hybrid cube mesh, where eight chips need a second hop that is left out here.",
		},
		Run: tpDecode,
	})
}

const (
	gptFast = "pytorch-labs/gpt-fast, README: tensor parallelism"
	// tpTimes and tpEfficiency are the errors within which times of a token and efficiencies have to be.
	tpTimes, tpEfficiency = 0.10, 0.06
)

// tpMeasured is a model's rates by chips, tokens a second.
type tpMeasured struct {
	model, name string
	chips       []int64
	rates       []float64
}

var tpRates = []tpMeasured{
	{"llama2-7b", "Llama 2 7B", []int64{1, 2, 4, 8}, []float64{104.9, 168.84, 254.02, 328.43}},
	{"llama2-70b", "Llama 2 70B", []int64{2, 4, 8}, []float64{21.32, 38.01, 62.50}},
}

// tpDecode is the study.
func tpDecode(ctx context.Context) ([]Row, error) {
	var rows []Row
	for _, m := range tpRates {
		var times, efficiency, stalls, lost, small, ring []Row
		var first *eval.Result
		var firstRing float64
		for i, chips := range m.chips {
			res, err := tpDecoded(ctx, m.model, "gpt-fast", chips)
			if err != nil {
				return nil, err
			}
			nccl, err := tpDecoded(ctx, m.model, "compiled", chips)
			if err != nil {
				return nil, err
			}
			name := fmt.Sprintf("%d chips", chips)
			if chips == 1 {
				name = "1 chip"
			}
			times = append(times, Row{Part: "Time of a token, " + m.name, Name: name, Unit: "s", Ours: res.Seconds, Basis: Predicted, Published: 1 / m.rates[i], Source: gptFast, Target: tpTimes})
			for _, c := range []sim.Cause{sim.HBM, sim.SRAM, sim.Compute, sim.Link, sim.Launch, sim.Dependency} {
				stalls = append(stalls, Row{Part: "Where the time of a token goes, " + m.name, Name: name + ": " + tpCause(c), Unit: "s", Ours: res.Stalls.Of(c), Basis: Predicted})
			}
			if i == 0 {
				first, firstRing = res, nccl.Seconds
				continue
			}
			times2 := float64(chips) / float64(m.chips[0])
			efficiency = append(efficiency, Row{Part: fmt.Sprintf("Efficiency against %s, %s", plural(m.chips[0]), m.name), Name: name, Unit: "x", Ours: first.Seconds / res.Seconds / times2, Basis: Predicted,
				Published: m.rates[i] / m.rates[0] / times2, Source: gptFast, Target: tpEfficiency})
			ring = append(ring, Row{Part: fmt.Sprintf("Efficiency with NCCL's ring, against %s, %s", plural(m.chips[0]), m.name), Name: name, Unit: "x", Ours: firstRing / nccl.Seconds / times2, Basis: Predicted})
			all := float64(chips)*res.Seconds - float64(m.chips[0])*first.Seconds
			for _, c := range []sim.Cause{sim.HBM, sim.Link, sim.Launch, sim.Dependency} {
				more := float64(chips)*res.Stalls.Of(c) - float64(m.chips[0])*first.Stalls.Of(c)
				lost = append(lost, Row{Part: "Share of the time that chips lose, " + m.name, Name: name + ": " + tpCause(c), Unit: "x", Ours: more / all, Basis: Predicted})
			}
			for _, of := range []struct {
				name string
				res  *eval.Result
			}{{"in one step", res}, {"NCCL's ring", nccl}} {
				for _, op := range of.res.Operators {
					if op.Name == "out.all-reduce" {
						small = append(small, Row{Part: "An all-reduce behind attention, " + m.name, Name: name + ", " + of.name, Unit: "s", Ours: op.Seconds / float64(op.Calls), Basis: Predicted})
					}
				}
			}
		}
		rows = append(rows, slices.Concat(times, efficiency, stalls, lost, small, ring)...)
	}
	return rows, nil
}

// tpCause names where time goes.
func tpCause(c sim.Cause) string {
	switch c {
	case sim.Dependency:
		return "fill and drain"
	case sim.Link:
		return "all-reduces"
	}
	return c.String()
}

// plural counts chips.
func plural(chips int64) string {
	if chips == 1 {
		return "one chip"
	}
	return fmt.Sprintf("%d chips", chips)
}

// tpDecoded is a token of one sequence on so many chips.
func tpDecoded(ctx context.Context, model, runtime string, chips int64) (*eval.Result, error) {
	m, err := presets.Machine("a100-sxm-80gb")
	if err != nil {
		return nil, err
	}
	lm, err := llm.Preset(model)
	if err != nil {
		return nil, err
	}
	// 200 tokens after a prompt of 5, as gpt-fast's benchmark generates: half of them in the cache on the mean.
	g, err := lm.Graph(llm.Workload{Phase: "decode", Batch: 1, Prompt: 105, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
	if err != nil {
		return nil, err
	}
	return eval.Run(ctx, eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{TP: chips, Profile: runtime}, PowerLimit: 330})
}
