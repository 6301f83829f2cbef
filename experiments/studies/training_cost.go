package studies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/validation"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "training-cost",
		Title: "hours, energy and money of training GPT-3, PaLM, LLaMA, BloombergGPT and BLOOM, and Chinchilla against Gopher",
		About: []string{
			"A whole run is its steps times the simulated time of one. What runs lose besides (restarts, steps repeated, evaluation, checkpoints, growing batches unless it says so) is not in our hours; " +
				"it is in most published ones.",
			"Energy is that of the chips, times the power usage effectiveness that the publication states. Published energies of GPUs are hours times a power: the limit of the chip (LLaMA, BLOOM) or an " +
				"average of the whole system (GPT-3, PaLM), so that ours are below them by what hosts, switches and fans draw.",
			"Money is hours times a price: the one that the published estimate takes, else that of the machine's description (cost.hour).",
			"Mappings that are not published are taken to be the fastest of those listed in the row's note that fit.",
		},
		Run: trainingCost,
	})
}

const (
	lambdaPost     = "Li, OpenAI's GPT-3 Language Model: A Technical Overview, Lambda Labs (2020)"
	gpt3Paper      = "arXiv 2005.14165 (GPT-3, 2020), table D.1"
	pattersonPaper = "arXiv 2104.10350 (Patterson et al., 2021), table 4"
	// pattersonRates is the same, for figures that were recalled and not looked up.
	pattersonRates = pattersonPaper + ", recalled"
	palmPaper      = "arXiv 2204.02311 (PaLM, 2022), appendix B"
	llamaPaper     = "arXiv 2302.13971 (LLaMA, 2023), table 15"
	bloombergPaper = "arXiv 2303.17564 (BloombergGPT, 2023), table 4 and section 3.3"
	bloomPaper     = "arXiv 2211.02001 (Luccioni et al., 2022), table 1"
	chinchilla     = "arXiv 2203.15556 (Chinchilla, 2022), section 4"
	heim           = "Heim, Estimating PaLM's training cost (2022)"
	megawattHour   = 3.6e9 // joules
	petaflopDay    = 1e15 * 86400
)

// step is one optimizer step of a run.
type step struct {
	seconds, watts, price float64 // watts of all chips, dollars an hour of all chips
	chips, tokens         float64
	asked                 validation.Fields
}

// Machines of the runs.
const (
	v100s   = "gpt3-v100"
	v4Pods  = "tpu-v4-pods"
	metaRSC = "meta-rsc"
	p4d     = "aws-p4d"
	jeanZay = "jean-zay"
)

// fields are a training request; those of later maps take the place of those before.
func fields(maps ...validation.Fields) validation.Fields {
	all := validation.Fields{"phase": "train"}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// degrees are those of a mapping, sp sequence parallelism.
func degrees(tp, pp, dp int64, sp bool) validation.Fields {
	return validation.Fields{"parallel": validation.Fields{"tp": tp, "pp": pp, "dp": dp, "sp": sp}}
}

// take asks for the fastest of some requests that fit.
func take(ctx context.Context, o *oracle.Oracle, requests ...validation.Fields) (step, error) {
	var best step
	var refused error
	for _, r := range requests {
		text, err := json.Marshal(r)
		if err != nil {
			return step{}, err
		}
		out, err := o.Answer(ctx, text)
		if err != nil {
			return step{}, err
		}
		var a struct {
			Status  oracle.Status
			Seconds float64
			Energy  struct{ Joules float64 }
			Cost    struct {
				USD float64 `json:"usd_per_hour"`
			}
			Parallel struct{ TP, PP, DP, CP int64 }
			Error    struct{ Message string }
		}
		if err := json.Unmarshal(out, &a); err != nil {
			return step{}, err
		}
		switch {
		case a.Status == oracle.Infeasible:
			refused = errors.New(a.Error.Message)
			continue
		case a.Status != oracle.OK:
			return step{}, fmt.Errorf("%s: %s", text, a.Error.Message)
		}
		if best.asked == nil || a.Seconds < best.seconds {
			global, seq := r["global_batch"].(int64), r["seq_len"].(int64)
			best = step{seconds: a.Seconds, watts: a.Energy.Joules / a.Seconds, price: a.Cost.USD, tokens: float64(global * seq), asked: r,
				chips: float64(a.Parallel.TP * a.Parallel.PP * a.Parallel.DP * max(1, a.Parallel.CP))}
		}
	}
	if best.asked == nil {
		return step{}, fmt.Errorf("nothing fits: %w", refused)
	}
	return best, nil
}

// hours of all chips together that so many tokens take.
func (s *step) hours(tokens float64) float64 { return tokens / s.tokens * s.seconds * s.chips / 3600 }

// megawattHours that so many tokens take.
func (s *step) megawattHours(tokens, pue float64) float64 {
	return s.hours(tokens) * s.watts / s.chips * pue / 1e6
}

// mapped says what mapping was taken.
func (s *step) mapped() string {
	text, _ := json.Marshal(s.asked["parallel"])
	return fmt.Sprintf("mapping %s, micro-batch %v, recomputation %v", text, s.asked["micro_batch"], s.asked["recompute"])
}

// variants are a request with each of some micro-batches and recomputations.
func variants(base validation.Fields, micro []int64, recompute ...string) []validation.Fields {
	var list []validation.Fields
	for _, m := range micro {
		for _, r := range recompute {
			list = append(list, fields(base, validation.Fields{"micro_batch": m, "recompute": r}))
		}
	}
	return list
}

// trainingCost is the study.
func trainingCost(ctx context.Context) ([]Row, error) {
	o := oracle.New(oracle.Options{Workers: 1})
	var rows []Row
	for _, part := range []func(context.Context, *oracle.Oracle) ([]Row, error){gpt3Cost, palmCost, llamaCost, bloombergCost, bloomCost, chinchillaCost} {
		more, err := part(ctx, o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// parameters of a preset.
func parameters(model string) (float64, error) {
	m, err := llm.Preset(model)
	return float64(m.Parameters()), err
}

// gpt3Cost is GPT-3 on V100, whose mapping is not published. Software of that time divides neither activations of norms over a
// tensor group nor stages into chunks, and computes a layer again or nothing.
func gpt3Cost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part, tokens, year = "GPT-3 175B, 300 billion tokens on V100", 300e9, 8760
	n, err := parameters("gpt3-175b")
	if err != nil {
		return nil, err
	}
	base := fields(degrees(8, 16, 8, false), validation.Fields{"arch": v100s, "model": "gpt3-175b", "framework": "megatron", "dtype": "fp16", "seq_len": int64(2048), "global_batch": int64(1536), "zero": 0})
	s, err := take(ctx, o, variants(base, []int64{1, 2, 4}, "none", "full")...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part, err)
	}
	operations, hours := 6*n*tokens, s.hours(tokens)
	assumed := operations / 28e12 / 3600 // hours
	const software = "the published rate is a fifth of the chip's peak; ours is what Megatron-LM of 2021 reaches"
	return []Row{
		{Part: part, Name: "operations, six a parameter and token", Unit: "PFLOP/s-days", Ours: operations / petaflopDay, Basis: Derived, Published: 3640, Source: gpt3Paper, Target: 0.01},
		{Part: part, Name: "one V100 at 28 TFLOP/s", Unit: "years", Ours: assumed / year, Basis: Derived, Published: 355, Source: lambdaPost, Target: 0.01},
		{Part: part, Name: "money at 28 TFLOP/s and 1.50 USD an hour", Unit: "million USD", Ours: assumed * 1.5 / 1e6, Basis: Derived, Published: 4.6, Source: lambdaPost, Target: 0.02},
		{Part: part, Name: "rate of a V100", Unit: "TFLOP/s", Ours: operations / hours / 3600 / 1e12, Basis: Predicted, Published: 24.6, Source: pattersonRates, Note: software + "; 1024 chips, " + s.mapped()},
		{Part: part, Name: "one V100", Unit: "years", Ours: hours / year, Basis: Predicted, Published: 355, Source: lambdaPost, Note: software},
		{Part: part, Name: "money at 1.50 USD an hour", Unit: "million USD", Ours: hours * 1.5 / 1e6, Basis: Predicted, Published: 4.6, Source: lambdaPost, Note: software},
		{Part: part, Name: "power of a V100", Unit: "W", Ours: s.watts / s.chips, Basis: Predicted, Published: 330, Source: pattersonRates, Note: "published with the chip's share of its host and network; the chip's limit is 300 W"},
		{Part: part, Name: "energy, PUE 1.1", Unit: "MWh", Ours: s.megawattHours(tokens, 1.1), Basis: Predicted, Published: 1287, Source: pattersonPaper, Note: software},
		{Part: part, Name: "energy at 24.6 TFLOP/s and our power, PUE 1.1", Unit: "MWh", Ours: operations / 24.6e12 / 3600 * s.watts / s.chips * 1.1 / 1e6, Basis: Derived, Published: 1287, Source: pattersonPaper},
	}, nil
}

// palmCost is PaLM with its three batch sizes (section 5): 512 sequences for 50 000 steps, 1024 for 65 000, 2048 for 140 000.
func palmCost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part, chips = "PaLM 540B, 780 billion tokens on 6144 TPU v4", 6144.0
	var hours, energy, watts, full float64
	for _, phase := range []struct {
		global, micro int64
		steps         float64
	}{{512, 1, 50e3}, {1024, 2, 65e3}, {2048, 4, 140e3}} {
		s, err := take(ctx, o, fields(validation.Fields{"arch": v4Pods, "model": "palm-540b", "framework": "xla-2022", "dtype": "bf16", "seq_len": int64(2048), "global_batch": phase.global,
			"micro_batch": phase.micro, "recompute": 0.75, "zero": 3, "shard": 256, "parallel": validation.Fields{"tp": int64(12), "pp": int64(1), "dp": int64(512), "sp": true}}))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
		tokens := phase.steps * s.tokens
		hours += s.hours(tokens)
		energy += s.megawattHours(tokens, 1.08)
		watts, full = s.watts/s.chips, s.hours(780e9)
	}
	return []Row{
		{Part: part, Name: "chip-hours, largest batch throughout", Unit: "million h", Ours: full / 1e6, Basis: Predicted, Published: 780e9 / 238.3e3 * chips / 3600 / 1e6, Source: "arXiv 2204.02311, section 4.1: 238 300 tokens a second", Target: 0.1},
		{Part: part, Name: "chip-hours, batches as published", Unit: "million h", Ours: hours / 1e6, Basis: Predicted, Published: (6144*1200 + 3072*336) / 1e6, Source: palmPaper,
			Note: "published with some downtime and repeated steps: 1200 h on 6144 chips and 336 h on 3072"},
		{Part: part, Name: "energy, PUE 1.08", Unit: "MWh", Ours: energy, Basis: Predicted, Published: (6144*1200 + 3072*336) * 378.5 * 1.08 / 1e6, Source: palmPaper, Note: "published at 378.5 W a chip with its share of the system"},
		{Part: part, Name: "power of a chip", Unit: "W", Ours: watts, Basis: Predicted},
		{Part: part, Name: "money at 3.22 USD an hour", Unit: "million USD", Ours: hours * 3.22 / 1e6, Basis: Derived, Published: 9, PublishedTo: 23, Source: heim},
	}, nil
}

// llamaCost is LLaMA's largest model. How it was divided over its 2048 chips is not published.
func llamaCost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part, tokens = "LLaMA 65B, 1.4 trillion tokens on 2048 A100", 1.4e12
	var tries []validation.Fields
	for _, tp := range []int64{1, 2, 4, 8} {
		for micro := int64(1); micro <= tp; micro *= 2 {
			base := fields(degrees(tp, 1, 2048/tp, tp > 1), validation.Fields{"arch": metaRSC, "model": "llama1-65b", "framework": "fsdp", "dtype": "bf16", "seq_len": int64(2048), "global_batch": int64(2048), "zero": 3})
			tries = append(tries, variants(base, []int64{micro}, "none", "selective", "full")...)
		}
	}
	s, err := take(ctx, o, tries...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part, err)
	}
	hours := s.hours(tokens)
	return []Row{
		{Part: part, Name: "GPU-hours", Unit: "thousand h", Ours: hours / 1e3, Basis: Predicted, Published: 1022.362, Source: llamaPaper, Target: 0.1, Note: s.mapped()},
		{Part: part, Name: "days", Unit: "days", Ours: hours / 2048 / 24, Basis: Predicted, Published: 21, Source: "arXiv 2302.13971, section 2.4: approximately 21 days"},
		{Part: part, Name: "energy, PUE 1.1", Unit: "MWh", Ours: s.megawattHours(tokens, 1.1), Basis: Predicted, Published: 449, Source: llamaPaper, Note: "published at 400 W, the limit of the chip"},
		{Part: part, Name: "power of an A100", Unit: "W", Ours: s.watts / s.chips, Basis: Predicted, Published: 400, Bound: LessThan, Source: llamaPaper},
		{Part: part, Name: "money at the machine's price", Unit: "million USD", Ours: hours * s.price / s.chips / 1e6, Basis: Derived},
	}, nil
}

// bloombergCost is BloombergGPT on 64 nodes with eight A100 of 40 GB.
func bloombergCost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part, tokens = "BloombergGPT 50B, 569 billion tokens on 512 A100 of 40 GB", 569e9
	base := validation.Fields{"arch": p4d, "model": "bloomberggpt-50b", "framework": "fsdp", "dtype": "bf16", "seq_len": int64(2048), "global_batch": int64(2048), "zero": 3, "shard": 128,
		"parallel": validation.Fields{"tp": int64(1), "pp": int64(1), "dp": int64(512)}}
	s, err := take(ctx, o, variants(base, []int64{1, 2, 4}, "full")...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part, err)
	}
	hours := s.hours(tokens)
	return []Row{
		{Part: part, Name: "step", Unit: "s", Ours: s.seconds, Basis: Predicted, Published: 32.5, Source: bloombergPaper, Note: s.mapped()},
		{Part: part, Name: "days", Unit: "days", Ours: hours / 512 / 24, Basis: Predicted, Published: 53, Source: bloombergPaper},
		{Part: part, Name: "GPU-hours", Unit: "thousand h", Ours: hours / 1e3, Basis: Predicted, Published: 53 * 24 * 512 / 1e3, Source: bloombergPaper, Note: "53 days on 512 chips; the project's budget was 1.3 million hours"},
		{Part: part, Name: "energy of the chips", Unit: "MWh", Ours: s.megawattHours(tokens, 1), Basis: Predicted},
		{Part: part, Name: "money at the machine's price", Unit: "million USD", Ours: hours * s.price / s.chips / 1e6, Basis: Derived},
	}, nil
}

// bloomCost is BLOOM on Jean Zay.
func bloomCost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part, tokens = "BLOOM 176B, 366 billion tokens on 384 A100", 366e9
	s, err := take(ctx, o, fields(validation.Fields{"arch": jeanZay, "model": "bloom-176b", "framework": "megatron-deepspeed", "dtype": "bf16", "seq_len": int64(2048), "global_batch": int64(2048),
		"micro_batch": int64(2), "recompute": "full", "zero": 1, "stages": []int64{5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5}, "parallel": validation.Fields{"tp": int64(4), "pp": int64(12), "dp": int64(8)}}))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part, err)
	}
	hours := s.hours(tokens)
	return []Row{
		{Part: part, Name: "GPU-hours", Unit: "thousand h", Ours: hours / 1e3, Basis: Predicted, Published: 1082.99, Source: bloomPaper, Target: 0.2, Note: "104.7 s a step are 974 thousand hours; the rest is what the run lost"},
		{Part: part, Name: "energy of the chips", Unit: "MWh", Ours: s.megawattHours(tokens, 1), Basis: Predicted, Published: 433.196, Source: bloomPaper, Note: "published at 400 W, the limit of the chip"},
	}, nil
}

// chinchillaCost is the same budget spent on a large model and few tokens, and on a smaller one and more. Both ran on TPU v3 and
// v4 with a mapping that is not published; here on one pod slice.
func chinchillaCost(ctx context.Context, o *oracle.Oracle) ([]Row, error) {
	const part = "Chinchilla against Gopher, on 3072 TPU v4"
	var rows []Row
	var hours, ops [2]float64
	for i, m := range []struct {
		model, name string
		tokens      float64
	}{{"gopher-280b", "Gopher 280B, 300 billion tokens", 300e9}, {"chinchilla-70b", "Chinchilla 70B, 1.4 trillion tokens", 1.4e12}} {
		n, err := parameters(m.model)
		if err != nil {
			return nil, err
		}
		base := validation.Fields{"arch": v4Pods, "model": m.model, "framework": "xla-2022", "dtype": "bf16", "seq_len": int64(2048), "global_batch": int64(1536), "zero": 3}
		var tries []validation.Fields
		for _, tp := range []int64{2, 4, 8} {
			tries = append(tries, variants(fields(base, validation.Fields{"parallel": validation.Fields{"tp": tp, "pp": int64(1), "dp": 3072 / tp, "sp": true}}), []int64{1536 * tp / 3072}, "none", "full")...)
		}
		s, err := take(ctx, o, tries...)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", part, m.name, err)
		}
		ops[i], hours[i] = 6*n*m.tokens, s.hours(m.tokens)
		rows = append(rows,
			Row{Part: part, Name: m.name + ": operations", Unit: "ZFLOP", Ours: ops[i] / 1e21, Basis: Derived, Published: 576, Source: chinchilla + ": both have Gopher's budget", Note: "six a parameter and token; the papers count attention and what is computed again too"},
			Row{Part: part, Name: m.name + ": chip-hours", Unit: "thousand h", Ours: hours[i] / 1e3, Basis: Predicted, Note: s.mapped()},
			Row{Part: part, Name: m.name + ": energy of the chips", Unit: "MWh", Ours: s.megawattHours(m.tokens, 1), Basis: Predicted},
			Row{Part: part, Name: m.name + ": money at the machine's price", Unit: "million USD", Ours: hours[i] * s.price / s.chips / 1e6, Basis: Derived})
	}
	return append(rows,
		Row{Part: part, Name: "operations, Chinchilla over Gopher", Unit: "x", Ours: ops[1] / ops[0], Basis: Derived, Published: 1, Source: chinchilla},
		Row{Part: part, Name: "chip-hours, Chinchilla over Gopher", Unit: "x", Ours: hours[1] / hours[0], Basis: Predicted, Published: 1, Source: chinchilla, Note: "the same budget"}), nil
}
