package studies

import (
	"context"
	"fmt"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "fusion",
		Title: "what fused kernels save: FlashAttention on A100, and decoder layers as pipelines on SN40L",
		About: []string{
			"Attention of GPT-2 medium, forward and backward, on one A100 of 40 GB: 64 sequences of 1024 tokens, 16 heads of 64 elements, fp16, dropout, no causal mask, as " +
				"benchmarks/benchmark_flash_attention.py of FlashAttention's first release has it (Dao et al., arXiv 2205.14135, figure 2). Standard attention is a kernel for each line of " +
				"PyTorch: scale, product, mask, softmax, dropout, product, and the gradients of each. flash1 is FlashAttention's kernel of 2022. Nothing was fitted to these figures: kernels of PyTorch " +
				"are those of single operators, and flash1 has the tiles of its source code and does arithmetic at the pace of FlashAttention-2.",
			"Training GPT-2 on eight A100 is not simulated. What stands beside the published speed-ups is a layer's forward and backward pass, summed over kernels that are timed one by one on one " +
				"A100 with 8 sequences: products with the gradients of both operands, norms, residuals, dropout, activation and attention. Embeddings, head, loss, optimizer, communication and the " +
				"host are left out. HuggingFace runs an eager kernel for each line (eight for its GELU; scale, mask and the casts of autocast on top in attention), Megatron-LM fuses scale, mask and softmax, " +
				"bias and GELU, and dropout and residual; FlashAttention is taken to be Megatron-LM's layer with flash1.",
			"SN40L: the benchmarks of table III of its paper (Prabhakar et al., MICRO 2024, arXiv 2405.07518) on a node of eight sockets, in bf16, batch 1, with the sequence length as prompt or as " +
				"cache. Fused is a decoder layer as one launch; unfused the same graph with a kernel for each operator, parallel projections side by side (--fusion parallel-gemm). Software-orchestrated " +
				"launches (profile fused-software) take three commands of the host each, hardware-orchestrated ones (profile fused) come from the chip's own controller. The paper's bars are images: its " +
				"text has ranges over all benchmarks.",
		},
		Run: fusion,
	})
}

const (
	flashPaper  = "arXiv 2205.14135 (FlashAttention, 2022)"
	flashFigure = flashPaper + ", figure 2"
	flashTable  = flashPaper + ", table 2"
	sn40lPaper  = "arXiv 2405.07518 (SN40L, MICRO 2024)"
	sn40lFigure = sn40lPaper + ", section VI, figure 10: range over its benchmarks"
)

// Targets.
const (
	flashBytesTarget   = 0.10
	flashSecondsTarget = 0.20
)

// fusionStudy is what all parts of the study use.
type fusionStudy struct {
	ctx  context.Context
	rows []Row
}

func fusion(ctx context.Context) ([]Row, error) {
	s := &fusionStudy{ctx: ctx}
	for _, part := range []func() error{s.attention, s.layers, s.sn40l} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	return s.rows, nil
}

func (s *fusionStudy) add(r Row) { s.rows = append(s.rows, r) }

// run times one operator alone with the eager profile of a machine.
func (s *fusionStudy) run(machine string, op oracle.Op) (*oracle.OpAnswer, error) {
	m, err := presets.Machine(machine)
	if err != nil {
		return nil, err
	}
	if op.DType == 0 {
		op.DType = traces.FP16
	}
	op.WeightDType, op.KVDType = op.DType, op.DType
	op.Complete()
	r := op.Request(m, "eager", false)
	r.Fidelity = eval.Event
	res, err := eval.Run(s.ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Kind, err)
	}
	a := oracle.OfOp(&op, &res.Answer)
	return &a, nil
}

// gpt2Attention is attention of GPT-2 in training.
func gpt2Attention(batch, heads int64, algorithm string, causal bool) oracle.Op {
	return oracle.Op{Kind: traces.Attention, Batch: batch, Heads: heads, KVHeads: heads, HeadDim: 64, QLen: 1024, Causal: causal, Backward: true, Algorithm: algorithm}
}

// attention compares the bytes and the time of GPT-2 medium's attention.
func (s *fusionStudy) attention() error {
	const part = "Attention of GPT-2 medium, forward and backward, A100 40 GB"
	type figure struct{ gflop, bytes, seconds float64 }
	published := map[string]figure{arch.Standard: {66.6, 40.3, 41.7e-3}, "flash1": {75.2, 4.4, 7.3e-3}}
	ours := map[string]figure{}
	for _, algorithm := range []string{arch.Standard, "flash1"} {
		a, err := s.run("a100-sxm-40gb", gpt2Attention(64, 16, algorithm, false))
		if err != nil {
			return err
		}
		f, p := figure{a.Tflops * a.Seconds * 1e3, float64(a.Bytes) / 1e9, a.Seconds}, published[algorithm]
		ours[algorithm] = f
		s.add(Row{Part: part, Name: algorithm + ", HBM read and written", Unit: "GB", Ours: f.bytes, Basis: Predicted, Published: p.bytes, Source: flashFigure, Target: flashBytesTarget})
		s.add(Row{Part: part, Name: algorithm + ", time", Unit: "s", Ours: f.seconds, Basis: Predicted, Published: p.seconds, Source: flashFigure, Target: flashSecondsTarget})
	}
	std, flash, ps, pf := ours[arch.Standard], ours["flash1"], published[arch.Standard], published["flash1"]
	s.add(Row{Part: part, Name: "flash1 over standard, speed", Unit: "x", Ours: std.seconds / flash.seconds, Basis: Predicted, Published: ps.seconds / pf.seconds, Source: flashFigure})
	s.add(Row{Part: part, Name: "standard over flash1, bytes", Unit: "x", Ours: std.bytes / flash.bytes, Basis: Predicted, Published: ps.bytes / pf.bytes, Source: flashFigure})
	s.add(Row{Part: part, Name: "flash1 over standard, operations", Unit: "x", Ours: flash.gflop / std.gflop, Basis: Predicted, Published: pf.gflop / ps.gflop, Source: flashFigure,
		Note: fmt.Sprintf("seven products for six. The published counts, 66.6 and 75.2 GFLOP, are not those of the shape beside them, whose six products come to %.0f: they differ by one product of a single head, "+
			"2·64·1024²·64 = 8.6, and are six and seven of those and about 14 operations for each score of all heads", std.gflop)})
	a, err := s.run("a100-sxm-40gb", gpt2Attention(64, 16, "flash1", true))
	if err != nil {
		return err
	}
	s.add(Row{Part: part, Name: "flash1 with a causal mask, time", Unit: "s", Ours: a.Seconds, Basis: Predicted, Note: "tiles of 256 keys that are masked as a whole are skipped"})
	s.add(Row{Part: part, Name: "flash1 with a causal mask, HBM read and written", Unit: "GB", Ours: float64(a.Bytes) / 1e9, Basis: Predicted})
	return nil
}

// Implementations of a layer.
const (
	huggingFace = "HuggingFace"
	megatron    = "Megatron-LM"
	withFlash   = "FlashAttention"
)

// layers compares a layer's passes with the speed-up of training.
func (s *fusionStudy) layers() error {
	const part = "A layer of GPT-2, forward and backward, beside the speed-up of training on eight A100"
	for _, m := range []struct {
		name          string
		hidden, heads int64
		days          map[string]float64
	}{
		{"GPT-2 small", 768, 12, map[string]float64{huggingFace: 9.5, megatron: 4.7, withFlash: 2.7}},
		{"GPT-2 medium", 1024, 16, map[string]float64{huggingFace: 21.0, megatron: 11.5, withFlash: 6.9}},
	} {
		times := map[string]float64{}
		for _, by := range []string{huggingFace, megatron, withFlash} {
			t, err := s.layer(m.hidden, m.heads, by)
			if err != nil {
				return err
			}
			times[by] = t
			s.add(Row{Part: part, Name: fmt.Sprintf("%s, %s, a layer", m.name, by), Unit: "s", Ours: t, Basis: Derived})
		}
		for _, by := range []string{megatron, withFlash} {
			s.add(Row{Part: part, Name: fmt.Sprintf("%s, %s over HuggingFace", m.name, by), Unit: "x", Ours: times[huggingFace] / times[by], Basis: Derived,
				Published: m.days[huggingFace] / m.days[by], Source: flashTable + ": days of training; layers alone are ours"})
		}
	}
	return nil
}

// layer sums up the kernels of a layer's forward and backward pass.
func (s *fusionStudy) layer(hidden, heads int64, by string) (float64, error) {
	const batch, tokens = 8, 8 * 1024
	const machine = "a100-sxm-40gb"
	var sum float64
	var failed error
	time := func(times float64, op oracle.Op) {
		if failed != nil || times == 0 {
			return
		}
		a, err := s.run(machine, op)
		if failed = err; err == nil {
			sum += float64(times * a.Seconds)
		}
	}
	rows := func(times float64, kind traces.Kind, rows, cols int64) {
		time(times, oracle.Op{Kind: kind, Rows: rows, Cols: cols})
	}
	gemm := func(m, n, k int64) { time(1, oracle.Op{Kind: traces.Gemm, Batch: 1, M: m, N: n, K: k}) }
	for _, p := range [][2]int64{{3 * hidden, hidden}, {hidden, hidden}, {4 * hidden, hidden}, {hidden, 4 * hidden}} { // columns and reduction
		gemm(tokens, p[0], p[1])
		gemm(tokens, p[1], p[0]) // gradient of the input
		gemm(p[1], p[0], tokens) // gradient of the weight
	}
	rows(2*3, traces.LayerNorm, tokens, hidden) // backward twice the forward pass: of rows, and of weights over all rows
	wide, scores := [2]int64{tokens, 4 * hidden}, [2]int64{tokens * heads, 1024}
	algorithm := arch.Standard
	switch by {
	case huggingFace:
		rows(8+10, traces.GELU, wide[0], wide[1]) // gelu_new: pow, mul, add, mul, tanh, add, mul, mul, and their gradients
		rows(2*2, traces.Mul, tokens, hidden)     // dropout, forward and backward
		rows(2*2, traces.Add, tokens, hidden)     // residuals, and the sums of their gradients
		// Scale and where, forward and backward, are kernels over the scores beside the mask of standard attention, and
		// autocast runs the softmax in FP32 between two casts.
		rows(3+4, traces.Copy, scores[0], scores[1])
	case megatron, withFlash:
		rows(1+1, traces.Add, wide[0], wide[1])   // bias and GELU
		rows(2*2, traces.Add, tokens, hidden)     // bias, dropout and residual
		if algorithm = "flash1"; by == megatron { // scale, mask and softmax are one kernel
			algorithm = arch.Standard
			rows(-1, traces.Copy, scores[0], scores[1])
		}
	}
	time(1, gpt2Attention(batch, heads, algorithm, true))
	return sum, failed
}

// sn40lBenchmarks are those of table III that a model preset is for; sequence length, and the name in the paper.
var sn40lBenchmarks = []struct {
	name, model string
	tokens      int64
}{
	{"Llama 2 7B, 4K", "llama2-7b", 4096}, {"Mistral 7B, 2K", "mistral-7b", 2048}, {"Mistral 7B, 4K", "mistral-7b", 4096},
	{"Falcon 40B, 2K", "falcon-40b", 2048}, {"Llama 2 70B, 4K", "llama2-70b", 4096}, {"Bloom 176B, 8K", "bloom-176b", 8192},
}

// fusedRun is a run of a benchmark.
type fusedRun struct {
	seconds, hbm float64 // share of the peak of HBM
	launches     int64
}

// onSN40L runs a model on sockets of a node.
func (s *fusionStudy) onSN40L(model, phase, profile, fusion string, tokens, sockets int64) (r fusedRun, err error) {
	m, err := presets.Machine("sn40l")
	if err != nil {
		return r, err
	}
	mod, err := llm.Preset(model)
	if err != nil {
		return r, err
	}
	p := &experiments.Point{Machine: m, Model: &mod, Options: experiments.Options{Phase: phase, Prompt: tokens, TP: sockets, Runtime: profile, Fusion: fusion, DType: traces.BF16.String(), Fidelity: eval.Event}}
	p.Defaults()
	req, err := p.Request()
	if err != nil {
		return r, err
	}
	res, err := eval.Run(s.ctx, req)
	if err != nil {
		return r, err
	}
	r.seconds = res.Answer.Seconds
	for _, t := range res.Answer.Memory {
		if t.Tier == m.OffChip().Name {
			r.hbm = t.Utilization
		}
	}
	for i, n := range res.Program.Work() {
		if res.Program.Counters[i].Name == "launches" {
			r.launches = n
		}
	}
	return r, nil
}

// sn40l compares fused and unfused layers, and who launches them.
func (s *fusionStudy) sn40l() error {
	const (
		fused    = "SN40L: decoder layers as one launch over a kernel for each operator, launches by software"
		launched = "SN40L: launches by hardware over launches by software, fused"
		used     = "SN40L: HBM bandwidth used in fused decode, launches by hardware"
	)
	var best fusedRun
	ranges := map[string][2]float64{"prefill": {1.5, 3}, "decode": {1, 13}}
	var late []Row
	for _, b := range sn40lBenchmarks {
		for _, phase := range []string{"prefill", "decode"} {
			so, err := s.onSN40L(b.model, phase, "fused-software", "", b.tokens, 8)
			if err != nil {
				return err
			}
			un, err := s.onSN40L(b.model, phase, "fused-software", "parallel-gemm", b.tokens, 8)
			if err != nil {
				return err
			}
			ho, err := s.onSN40L(b.model, phase, "fused", "", b.tokens, 8)
			if err != nil {
				return err
			}
			in := ranges[phase]
			s.add(Row{Part: fused, Name: b.name + ", " + phase, Unit: "x", Ours: un.seconds / so.seconds, Basis: Predicted, Published: in[0], PublishedTo: in[1], Source: sn40lFigure, Exact: true})
			row := Row{Part: launched, Name: b.name + ", " + phase, Unit: "x", Ours: so.seconds / ho.seconds, Basis: Predicted, Published: 1.4, PublishedTo: 8, Source: sn40lFigure}
			if phase == "prefill" {
				row.Published, row.PublishedTo, row.Bound = 1.1, 0, LessThan
			}
			late = append(late, row)
			if phase == "decode" {
				late = append(late, Row{Part: used, Name: b.name, Unit: "%", Ours: 100 * ho.hbm, Basis: Predicted})
				if ho.hbm > best.hbm {
					best = ho
				}
			}
			if phase == "prefill" && b.model == "llama2-7b" {
				s.add(Row{Part: fused, Name: b.name + ", kernel launches, unfused over fused", Unit: "x", Ours: float64(un.launches) / float64(so.launches), Basis: Predicted, Published: 11,
					Source: sn40lPaper + ", section VI, figure 11", Note: fmt.Sprintf("%d and %d launches; collectives between chips are launches where nothing is fused", un.launches, so.launches)})
			}
		}
	}
	for _, part := range []string{launched, used} {
		for _, r := range late {
			if r.Part == part {
				s.add(r)
			}
		}
	}
	one, err := s.onSN40L("llama2-7b", "decode", "fused", "", 4096, 1)
	if err != nil {
		return err
	}
	s.add(Row{Part: used, Name: "Llama 2 7B, 4K, on one socket", Unit: "%", Ours: 100 * one.hbm, Basis: Predicted, Note: "without collectives"})
	s.add(Row{Part: used, Name: "the highest on eight sockets", Unit: "%", Ours: 100 * best.hbm, Basis: Predicted, Published: 85, Bound: MoreThan, Exact: true, Source: sn40lPaper + ", section VI: over 85 %, it does not say for which"})
	return nil
}
