package fidelity

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Kinds of architectures.
const (
	Dense   = "dense"
	Experts = "experts"
	Window  = "window"
	Latent  = "latent"
)

// Kinds lists the kinds, in the order in which tables have them.
func Kinds() []string { return []string{Dense, Experts, Window, Latent} }

// Machines are those whose table is tracked: a GPU, systolic arrays, a dataflow machine with two memories, a mesh of cores.
func Machines() []string { return []string{"a100-sxm-80gb", "tpu-v4", "sn40l", "wormhole-n300"} }

// Phases lists the phases that are drawn.
func Phases() []string { return []string{"prefill", "decode", "generate"} }

// Bounds of what is drawn.
const (
	leastLayers, mostLayers = 4, 64
	leastHeads, mostHeads   = 8, 64
	mostBatch               = 64
	leastPrompt, mostPrompt = 64, 4096
	mostGenerate            = 32 // tokens of phase generate
	vocabulary              = 32000
	maxSeq                  = 1 << 17
	// alignment is what widths are a multiple of, as published models have them.
	alignment = 128
)

// Drawn is a point with what it is.
type Drawn struct {
	Point  *experiments.Point
	Kind   string
	Number int64 // of the draw, those before that do not fit included
}

// draw returns the point of a number on a machine. Every choice takes one random number, so that points are alike on machines
// that have the same formats and chips.
func draw(m *arch.Machine, seed uint64, number int64) *Drawn {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", m.Name, number)
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	between := func(low, high int64) int64 { return low + r.Int64N(high-low+1) }
	d := &Drawn{Number: number, Kind: pick(r, Dense, Dense, Dense, Experts, Window, Latent)}
	heads := between(leastHeads/8, mostHeads/8) * 8
	headDim := pick[int64](r, 64, 80, 96, 128)
	hidden := heads * headDim
	ffn := func(ratio float64) int64 { return max(1, int64(ratio*float64(hidden))/alignment) * alignment }
	mod := &llm.Model{Layers: between(leastLayers, mostLayers), Hidden: hidden, Heads: heads, KVHeads: heads / pick[int64](r, 1, 2, 4, 8), HeadDim: headDim, FFN: ffn(2 + 2*r.Float64()),
		Vocab: vocabulary * between(1, 4), MaxSeq: maxSeq, Activation: llm.SiLU, Gated: true, TiedEmbeddings: r.IntN(4) == 0, Norm: llm.RMSNorm, NormsPerLayer: 2, Position: llm.RoPE}
	experts, chosen, share, window := pick[int64](r, 8, 16, 32, 64), pick[int64](r, 1, 2, 4, 8), 0.25+0.75*r.Float64(), pick[int64](r, 256, 1024, 4096)
	switch d.Kind {
	case Experts:
		mod.MoE = &llm.MoE{Experts: experts, TopK: min(chosen, experts/2), FFN: max(alignment, ffn(share*2))}
	case Window:
		mod.SlidingWindow = window
		for l := int64(5); l < mod.Layers; l += 6 { // one layer in six sees all, as in Gemma 3
			mod.FullAttention = append(mod.FullAttention, l)
		}
	case Latent:
		mod.KVHeads, mod.HeadDim = heads, 192
		mod.MLA = &llm.MLA{QRank: hidden / 4 / alignment * alignment, KVRank: 512, Nope: 128, RoPE: 64, V: 128}
	}
	mod.Name = fmt.Sprintf("%s-%d-%d-%dx%d", d.Kind, number, mod.Layers, heads, headDim)
	formats := [][2]traces.DType{{traces.BF16, traces.BF16}}
	if m.Chip.Cores.Matrix.Multiplies(traces.FP8) {
		formats = append(formats, [2]traces.DType{traces.FP8, traces.FP8})
	}
	if m.Chip.Cores.Matrix.Multiplies(traces.INT4) || m.Chip.Cores.Matrix.Multiplies(traces.INT8) {
		formats = append(formats, [2]traces.DType{traces.BF16, traces.INT4})
	}
	format := formats[r.IntN(len(formats))]
	tps := slices.DeleteFunc([]int64{1, 2, 4, 8}, func(n int64) bool { return n > m.System.Chips })
	tp := tps[r.IntN(len(tps))]
	o := experiments.Options{Phase: pick(r, Phases()...), Batch: between(1, mostBatch), Prompt: between(leastPrompt, mostPrompt), TP: tp, DType: format[0].String(), WeightDType: format[1].String()}
	if small := r.IntN(2) == 0; small { // half of the batches are of a few sequences
		o.Batch = 1 + o.Batch%4
	}
	if tokens := between(2, mostGenerate); o.Phase == "generate" {
		o.Generate = tokens
	}
	d.Point = &experiments.Point{Machine: m, Model: mod, Options: o}
	d.Point.Defaults()
	d.Point.Fidelity = eval.Analytic
	return d
}

// pick returns one of a list.
func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }
