package studies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "quantization",
		Title: "weights of fewer bits: OPT-175B as GPTQ ran it, 16 to 3 bits on one chip, and fine-tuning as QLoRA counts it",
		About: []string{
			"OPT-175B in 16 and 3 bits on A100 and RTX A6000 (Frantar et al., GPTQ, ICLR 2023, table 6): one sequence, the median of 128 tokens, " +
				"layers one after another across the chips (--pp), PyTorch of 2022 with one kernel per operator and GPTQ's own kernel (profile gptq).",
			"LLaMA 33B on one A100 with weights of 16, 8, 4 and 3 bits, compiled: what fewer bits save of memory, time and energy.",
			"Memory of fine-tuning LLaMA with all weights and with adapters beside weights in 4 bits (Dettmers et al., QLoRA, NeurIPS 2023): " +
				"rank 64 on all projections, one sequence of 512 tokens, layers computed again for their backward pass.",
		},
		Run: quantization,
	})
}

const (
	gptqPaper  = "arXiv 2210.17323 (ICLR 2023), table 6"
	qloraPaper = "arXiv 2305.14314 (NeurIPS 2023)"
	// gptqTarget is the error within which times of a token have to be.
	gptqTarget = 0.15
	gb         = 1e9
)

// quantization is the study.
func quantization(ctx context.Context) ([]Row, error) {
	var rows []Row
	for _, part := range []func(context.Context) ([]Row, error){gptqRows, bitsRows, qloraRows} {
		more, err := part(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// decoded runs one decode step of one sequence.
func decoded(ctx context.Context, machine, model, runtime string, d, weights traces.DType, stages, past int64) (*eval.Result, error) {
	m, err := presets.Machine(machine)
	if err != nil {
		return nil, err
	}
	lm, err := llm.Preset(model)
	if err != nil {
		return nil, err
	}
	g, err := lm.Graph(llm.Workload{Phase: "decode", Batch: 1, Prompt: past, DType: d, WeightDType: weights, KVDType: d})
	if err != nil {
		return nil, err
	}
	return eval.Run(ctx, eval.Request{Machine: m, Graph: g, Mapping: plan.Mapping{PP: stages, Profile: runtime}})
}

// gptqRows are the times of a token that GPTQ publishes.
func gptqRows(ctx context.Context) ([]Row, error) {
	var times, ratios, joules []Row
	for _, c := range []struct {
		machine, name string
		wide, narrow  int64   // chips
		fp16, int3    float64 // seconds
		ratio         float64
	}{{"a100-sxm-80gb", "A100 80 GB", 5, 1, 0.230, 0.071, 3.24}, {"rtx-a6000", "RTX A6000", 8, 2, 0.589, 0.130, 4.53}} {
		var took [2]float64
		for i, w := range []struct {
			d         traces.DType
			chips     int64
			published float64
		}{{traces.FP16, c.wide, c.fp16}, {traces.INT3Channel, c.narrow, c.int3}} {
			// The median of 128 tokens has 64 before it.
			res, err := decoded(ctx, c.machine, "opt-175b", "gptq", traces.FP16, w.d, w.chips, 64)
			if err != nil {
				return nil, err
			}
			took[i] = res.Seconds
			name := fmt.Sprintf("%d %s, %s", w.chips, c.name, w.d)
			times = append(times, Row{Part: "Time of a token, OPT-175B", Name: name, Unit: "s", Ours: res.Seconds, Basis: Predicted, Published: w.published, Source: gptqPaper, Target: gptqTarget})
			joules = append(joules, Row{Part: "Energy of a token, OPT-175B", Name: name, Unit: "J", Ours: res.Energy.JoulesPerToken, Basis: Predicted})
		}
		ratios = append(ratios, Row{Part: "Fewer bits, OPT-175B", Name: c.name + ", 3 bits over 16", Unit: "x", Ours: took[0] / took[1], Basis: Predicted, Published: c.ratio, Source: gptqPaper})
	}
	joules[len(joules)-1].Note = "chips that wait for their layers are counted, at what an idle chip draws"
	return slices.Concat(times, ratios, joules), nil
}

// bitsRows are what fewer bits save on one chip.
func bitsRows(ctx context.Context) ([]Row, error) {
	var memory, times, joules []Row
	for _, d := range []traces.DType{traces.BF16, traces.INT8, traces.INT4, traces.INT3} {
		res, err := decoded(ctx, "a100-sxm-80gb", "llama1-33b", "", traces.BF16, d, 1, 512)
		if err != nil {
			return nil, err
		}
		f := res.Footprint
		for _, r := range []struct {
			to         *[]Row
			part, unit string
			ours       float64
		}{
			{&memory, "Memory, LLaMA 33B on one A100", "GB", float64(f.WeightBytes+f.KVBytes+f.ActivationBytes) / gb},
			{&times, "Time of a token, LLaMA 33B on one A100", "s", res.Seconds},
			{&joules, "Energy of a token, LLaMA 33B on one A100", "J", res.Energy.JoulesPerToken},
		} {
			*r.to = append(*r.to, Row{Part: r.part, Name: "weights " + d.String(), Unit: r.unit, Ours: r.ours, Basis: Predicted})
		}
	}
	return slices.Concat(memory, times, joules), nil
}

// qloraRows are the memory of fine-tuning.
func qloraRows(context.Context) ([]Row, error) {
	const part = "Memory of fine-tuning"
	var rows []Row
	m, err := presets.Machine("rtx-a6000")
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		model, name, method string
		published           float64 // GB
		bound               string
		judged              bool
	}{
		{"llama1-65b", "LLaMA 65B, all weights", experiments.TuneFull, 780, MoreThan, true},
		{"llama1-65b", "LLaMA 65B, QLoRA", experiments.TuneQLoRA, 48, LessThan, true},
		{"llama1-33b", "LLaMA 33B, QLoRA", experiments.TuneQLoRA, 24 * (1 << 30) / gb, LessThan, false},
	} {
		model, err := llm.Preset(c.model)
		if err != nil {
			return nil, err
		}
		t := experiments.Training{Phase: "finetune", Method: c.method, Rank: 64, Batch: 1, SeqLen: 512, DType: "bf16"}
		pl, err := t.Place(m, &model)
		var full *plan.DoesNotFit
		if err != nil && !errors.As(err, &full) { // what it would take is what is asked
			return nil, err
		}
		var total float64
		by := map[string]float64{}
		var classes []string
		for i := range pl.Items {
			it := &pl.Items[i]
			if _, ok := by[it.Class]; !ok {
				classes = append(classes, it.Class)
			}
			by[it.Class] += float64(it.Total())
			total += float64(it.Total())
		}
		row := Row{Part: part, Name: c.name, Unit: "GB", Ours: total / gb, Basis: Predicted, Published: c.published, Bound: c.bound, Source: qloraPaper + ", abstract"}
		if c.judged {
			row.Exact = true
		} else {
			row.Source, row.Note = qloraPaper+", section 1", "a card of 24 GiB"
		}
		rows = append(rows, row)
		slices.Sort(classes)
		for _, class := range classes {
			rows = append(rows, Row{Part: part, Name: c.name + ": " + class, Unit: "GB", Ours: by[class] / gb, Basis: Predicted})
		}
	}
	return rows, nil
}
