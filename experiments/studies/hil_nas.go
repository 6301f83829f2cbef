package studies

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func init() {
	register(&Study{
		Name:  "hil-nas",
		Title: "the same search for the GPU that trains a model and for six chips that run it: what each choice loses on the other's chip",
		About: []string{
			"Decoders of Llama's kind with 1.1 billion parameters ± 2 %, 22 layers and a cache of 256 to 320 elements of keys and as many of values a token and layer, as TinyLlama has (arXiv 2401.02385). " +
				"Free are the width, in steps of 64, the width of heads and how many there are, and the feed-forward network has what is left of the parameters, in steps of 64, 128 or 256. Equal quality is taken " +
				"from equal parameters (the loss of Hoffmann et al., arXiv 2203.15556, has no other term of the model), equal depth and an equal cache, for which no such law is published. All points are timed, in closed form, on one chip, in bf16, with the default " +
				"profile of each machine; a choice is the best of them, and its loss on another chip is against that chip's own choice. Choices are then played by events.",
			"Two loads of eight sequences: prompts of 2048 tokens with 16 tokens after them, and with 512. Wormhole is one of the two chips of an n300 card, SN40L one socket, AmpereOne a CPU with one process on all of its cores.",
			"What a property costs is the best point that has it over the best of all, on each chip by itself: more layers, narrow heads, widths that are no multiple of 128, and a cache for every head.",
			"Nobody published a matrix of language models on these chips that could be found. ProxylessNAS (Cai et al., ICLR 2019) has one of image classifiers searched for a GPU, a CPU and a phone, that stands beside ours " +
				"for scale: other chips, other models, freer search, and accuracies that differ by 0.7 points. HAT (arXiv 2005.14187) and HW-GPT-Bench (arXiv 2405.10299) search for several devices too and publish no such figures in text. " +
				"That choices for training hardware are not those for inference hardware is claimed by makers of the latter, without figures that could be found.",
		},
		Run: hilNAS,
	})
}

// proxyless is where the matrix of ProxylessNAS is.
const proxyless = "ProxylessNAS (Cai et al., ICLR 2019): latency of models searched for a GPU, a CPU and a phone on each of the three"

// Of that matrix, the least and the most of a time over that of the device's own model: 164.1 over 138.7 ms and 124 over 78 ms.
const proxylessLeast, proxylessMost = 164.1 / 138.7, 124.0 / 78

// The space of the search.
const (
	nasParameters = 1.1e9 // of TinyLlama 1.1B (Zhang et al., arXiv 2401.02385)
	nasWithin     = 0.02  // that parameters may differ by
	nasVocab      = 32000 // as Llama 2
	nasLayers     = 22
	nasCache      = 256 // elements of keys of a token and layer, at least
	nasBatch      = 8
	nasPrompt     = 2048
	// Widths of the model, of its heads together and of the feed-forward network over it: as shipped models of this size have.
	nasNarrowest, nasWidest, nasWidths = 1280, 2560, 64
	nasLeastHeads, nasMostHeads        = 0.9, 1.1
	nasLeastFFN, nasMostFFN            = 2.0, 4.0
)

var (
	nasDepths   = []int64{16, nasLayers, 32} // the search is in the middle one, the others tell what depth costs
	nasHeadDims = []int64{64, 80, 96, 128}
	nasSteps    = []int64{64, 128, 256} // of which the width of the feed-forward network is a multiple
)

// nasChips are the chips that are searched for, the one that models are trained on first.
var nasChips = []struct{ name, preset string }{
	{"A100", "a100-sxm-80gb"}, {"H100", "h100-sxm"}, {"SN40L", "sn40l"}, {"TPU v4", "tpu-v4"}, {"TPU v5e", "tpu-v5e"}, {"Wormhole", "wormhole-n300"},
	{"AmpereOne", "ampereone-a192-32"},
}

// nasModel is a point of the space.
type nasModel struct{ layers, hidden, heads, kvHeads, headDim, ffn int64 }

func (m nasModel) String() string {
	return fmt.Sprintf("%d wide, %d heads of %d, %d of keys, feed-forward %d", m.hidden, m.heads, m.headDim, m.kvHeads, m.ffn)
}

// model is the point as a model.
func (m nasModel) model() llm.Model {
	return llm.Model{Name: "candidate", Layers: m.layers, Hidden: m.hidden, FFN: m.ffn, Heads: m.heads, KVHeads: m.kvHeads, HeadDim: m.headDim, Vocab: nasVocab, MaxSeq: 4096,
		Activation: llm.SiLU, Gated: true, Norm: llm.RMSNorm, NormsPerLayer: 2, Position: llm.RoPE}
}

// filled is the point with a feed-forward network that makes up the parameters, a multiple of step.
func (m nasModel) filled(step int64) nasModel {
	of := func(ffn int64) float64 {
		m.ffn = ffn
		return float64(m.model().Parameters())
	}
	m.ffn = step * int64(math.Round((nasParameters-of(step))/(of(2*step)-of(step))+1))
	return m
}

// fits reports whether a point is of the space.
func (m nasModel) fits() bool {
	share := float64(m.ffn) / float64(m.hidden)
	return share >= nasLeastFFN && share <= nasMostFFN && math.Abs(float64(m.model().Parameters())/nasParameters-1) <= nasWithin
}

// nasSpace lists the points of a depth, in a fixed order. With a cache for every head, that is where all query heads have
// their own keys and values.
func nasSpace(layers int64, every bool, steps ...int64) []nasModel {
	var list []nasModel
	for hidden := int64(nasNarrowest); hidden <= nasWidest; hidden += nasWidths {
		for _, dim := range nasHeadDims {
			kv := (nasCache + dim - 1) / dim
			for heads := kv; float64(heads*dim) <= nasMostHeads*float64(hidden); heads += kv {
				for _, step := range steps {
					m := nasModel{layers, hidden, heads, kv, dim, 0}
					if every {
						m.kvHeads = heads
					}
					if m = m.filled(step); float64(heads*dim) >= nasLeastHeads*float64(hidden) && m.fits() && !slices.Contains(list, m) {
						list = append(list, m)
					}
				}
			}
		}
	}
	return list
}

// nasCost is what a load takes.
type nasCost struct {
	seconds, joules float64
	stalls          eval.StallSeconds
}

func (c nasCost) plus(times float64, d nasCost) nasCost {
	c.seconds += float64(times * d.seconds)
	c.joules += float64(times * d.joules)
	for i := range c.stalls {
		c.stalls[i] += float64(times * d.stalls[i])
	}
	return c
}

// nasPhases are what one point takes on a chip: the prompts, and one step of decoding.
type nasPhases [2]nasCost

// nasLoads are how many tokens follow the prompts.
var nasLoads = []struct {
	name   string
	tokens float64
}{{"prompts", 16}, {"tokens", 512}}

// of is a load with so many tokens.
func (p nasPhases) of(tokens float64) nasCost { return p[0].plus(tokens, p[1]) }

// nasRun times a point on a chip.
func nasRun(ctx context.Context, m *arch.Machine, hash, fidelity string, c nasModel) (out nasPhases, err error) {
	model := c.model()
	for i, phase := range []string{"prefill", "decode"} {
		g, err := model.Graph(llm.Workload{Phase: phase, Batch: nasBatch, Prompt: nasPrompt, DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
		if err != nil {
			return out, err
		}
		res, err := eval.Run(ctx, eval.Request{Machine: m, ArchHash: hash, Graph: g, Fidelity: fidelity, Mapping: plan.Mapping{TP: 1}})
		if err != nil {
			return out, err
		}
		out[i] = nasCost{res.Seconds, res.Energy.Joules, res.Stalls}
	}
	return out, nil
}

// nasAll times points on chips, several at a time: a list for each chip.
func nasAll(ctx context.Context, fidelity string, points []nasModel) ([][]nasPhases, error) {
	table := make([][]nasPhases, len(nasChips))
	var machines []*arch.Machine
	var hashes []string
	for i, c := range nasChips {
		m, err := presets.Machine(c.preset)
		if err != nil {
			return nil, err
		}
		machines, hashes, table[i] = append(machines, m), append(hashes, m.Hash()), make([]nasPhases, len(points))
	}
	errs := make([]error, len(nasChips)*len(points))
	var next atomic.Int64
	var team sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(errs) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				chip, point := i/len(points), i%len(points)
				table[chip][point], errs[i] = nasRun(ctx, machines[chip], hashes[chip], fidelity, points[point])
			}
		})
	}
	team.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s, %v: %w", nasChips[i/len(points)].name, points[i%len(points)], err)
		}
	}
	return table, ctx.Err()
}

// nasStudy is what its parts use.
type nasStudy struct {
	points []nasModel
	in     []bool        // points that are of the search
	table  [][]nasPhases // by chip and point
	rows   []Row
}

func (s *nasStudy) add(part, name, unit string, ours float64, note string) *Row {
	s.rows = append(s.rows, Row{Part: part, Name: name, Unit: unit, Ours: ours, Basis: Predicted, Note: note})
	return &s.rows[len(s.rows)-1]
}

// best is the best point on a chip among those that match, the first of equal ones; −1 if none does.
func (s *nasStudy) best(chip int, tokens float64, by func(nasCost) float64, match func(i int) bool) int {
	best := -1
	for i := range s.points {
		if match(i) && (best < 0 || by(s.table[chip][i].of(tokens)) < by(s.table[chip][best].of(tokens))) {
			best = i
		}
	}
	return best
}

// Objectives.
func nasSeconds(c nasCost) float64 { return c.seconds }
func nasJoules(c nasCost) float64  { return c.joules }

// moved says by how much of the better time each stall grew, the largest first.
func moved(better, worse nasCost) string {
	causes := sim.Causes()
	part := func(c sim.Cause) float64 { return 100 * (worse.stalls[c] - better.stalls[c]) / better.seconds }
	slices.SortStableFunc(causes, func(a, b sim.Cause) int { return cmp.Compare(math.Abs(part(b)), math.Abs(part(a))) })
	const least = 0.3 // percent that is worth a word
	var words []string
	for _, c := range causes {
		if p := part(c); math.Abs(p) >= least && len(words) < 3 {
			words = append(words, fmt.Sprintf("%s %+.1f %%", c, p))
		}
	}
	return strings.Join(words, ", ")
}

// hilNAS is the study.
func hilNAS(ctx context.Context) ([]Row, error) {
	s := &nasStudy{}
	for _, depth := range nasDepths {
		steps := []int64{128} // few are enough for prices
		if depth == nasLayers {
			steps = nasSteps
		}
		list := nasSpace(depth, false, steps...)
		for range list {
			s.in = append(s.in, depth == nasLayers)
		}
		s.points = append(s.points, list...)
	}
	every := nasSpace(nasLayers, true, 128)
	s.points, s.in = append(s.points, every...), append(s.in, make([]bool, len(every))...)
	var err error
	if s.table, err = nasAll(ctx, eval.Analytic, s.points); err != nil {
		return nil, err
	}
	size := 0
	for _, in := range s.in {
		if in {
			size++
		}
	}
	s.add("The space", "points of the search", "", float64(size), "")
	s.add("The space", "points with what tells prices", "", float64(len(s.points)), "")
	chosen := map[string][]int{} // by load, of each chip
	for _, load := range nasLoads {
		for _, by := range []struct {
			what, unit, part string
			of               func(nasCost) float64
		}{{"time", "s", "Time", nasSeconds}, {"energy", "J", "Energy", nasJoules}} {
			own := make([]int, len(nasChips))
			for c := range nasChips {
				own[c] = s.best(c, load.tokens, by.of, func(i int) bool { return s.in[i] })
				s.add(fmt.Sprintf("Least %s, %s", by.what, load.name), nasChips[c].name, by.unit, by.of(s.table[c][own[c]].of(load.tokens)), s.points[own[c]].String())
			}
			for from := range nasChips {
				for on := range nasChips {
					if on == from {
						continue
					}
					better, worse := s.table[on][own[on]].of(load.tokens), s.table[on][own[from]].of(load.tokens)
					note := ""
					if by.what == "time" && own[on] != own[from] {
						note = moved(better, worse)
					}
					s.add(fmt.Sprintf("%s on another chip over its own choice's, %s", by.part, load.name), fmt.Sprintf("%s's on %s", nasChips[from].name, nasChips[on].name), "x", by.of(worse)/by.of(better), note)
				}
			}
			if by.what == "time" {
				chosen[load.name] = own
			}
		}
	}
	s.scale()
	for _, load := range nasLoads {
		s.prices(load.name, load.tokens)
	}
	for _, load := range nasLoads {
		for c := 1; c < len(nasChips); c++ {
			s.add("Rank correlation of times with A100 over the search, "+load.name, nasChips[c].name, "", s.correlation(0, c, load.tokens), "")
		}
	}
	return s.rows, s.play(ctx, chosen)
}

// scale puts the matrix beside the one that is published.
func (s *nasStudy) scale() {
	least, most := math.Inf(1), 0.0
	for i := range s.rows {
		if r := &s.rows[i]; strings.HasPrefix(r.Part, "Time on another chip") {
			least, most = min(least, r.Ours), max(most, r.Ours)
		}
	}
	const part = "Beside a matrix of image classifiers"
	for _, of := range []struct {
		name      string
		ours, was float64
	}{{"least time on another chip over its own choice's", least, proxylessLeast}, {"most", most, proxylessMost}} {
		r := s.add(part, of.name, "x", of.ours, "for scale alone: see above")
		r.Published, r.Source = of.was, proxyless
	}
}

// nasProperties are what a price is asked of.
var nasProperties = []struct {
	name string
	has  func(m nasModel) bool
}{
	{"16 layers", func(m nasModel) bool { return m.layers == nasDepths[0] && !m.every() }},
	{"32 layers", func(m nasModel) bool { return m.layers == nasDepths[2] && !m.every() }},
	{"heads of 64", func(m nasModel) bool { return m.searched() && m.headDim == 64 }},
	{"heads of 96", func(m nasModel) bool { return m.searched() && m.headDim == 96 }},
	{"a width that is no multiple of 128", func(m nasModel) bool { return m.searched() && m.hidden%128 != 0 }},
	{"a feed-forward width that is no multiple of 128", func(m nasModel) bool { return m.searched() && m.ffn%128 != 0 }},
	{"keys and values of every head", func(m nasModel) bool { return m.layers == nasLayers && m.every() }},
}

// every reports whether all heads have keys and values of their own.
func (m nasModel) every() bool { return m.kvHeads == m.heads }

// searched reports whether the point is of the search.
func (m nasModel) searched() bool { return m.layers == nasLayers && !m.every() }

// prices are what properties cost on each chip.
func (s *nasStudy) prices(load string, tokens float64) {
	for _, p := range nasProperties {
		for c := range nasChips {
			own := s.best(c, tokens, nasSeconds, func(i int) bool { return s.in[i] })
			with := s.best(c, tokens, nasSeconds, func(i int) bool { return p.has(s.points[i]) })
			if with < 0 {
				continue
			}
			better, worse := s.table[c][own].of(tokens), s.table[c][with].of(tokens)
			s.add("Time of the best with a property over the best, "+load, p.name+", "+nasChips[c].name, "x", worse.seconds/better.seconds, moved(better, worse))
		}
	}
}

// correlation is Spearman's, of the times of the search on two chips.
func (s *nasStudy) correlation(a, b int, tokens float64) float64 {
	ranks := func(c int) []float64 {
		var list []int
		for i := range s.points {
			if s.in[i] {
				list = append(list, i)
			}
		}
		order := slices.Clone(list)
		slices.SortStableFunc(order, func(x, y int) int {
			return cmp.Compare(s.table[c][x].of(tokens).seconds, s.table[c][y].of(tokens).seconds)
		})
		r := make([]float64, len(list))
		for k, i := range list {
			r[k] = float64(slices.Index(order, i))
		}
		return r
	}
	x, y := ranks(a), ranks(b)
	sum, n := 0.0, float64(len(x))
	for i := range x {
		d := x[i] - y[i]
		sum += float64(d * d)
	}
	return 1 - 6*sum/(n*(n*n-1))
}

// play runs the choices by events: how far those are from the closed form, and whether choices stay the best of the chosen ones.
func (s *nasStudy) play(ctx context.Context, chosen map[string][]int) error {
	var all []int
	for _, load := range nasLoads {
		all = append(all, chosen[load.name]...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	var points []nasModel
	for _, i := range all {
		points = append(points, s.points[i])
	}
	played, err := nasAll(ctx, eval.Event, points)
	if err != nil {
		return err
	}
	for _, load := range nasLoads {
		for c := range nasChips {
			gap, own, least := 0.0, 0.0, math.Inf(1)
			for k, i := range all {
				t, closed := played[c][k].of(load.tokens).seconds, s.table[c][i].of(load.tokens).seconds
				gap, least = max(gap, math.Abs(t/closed-1)), min(least, t)
				if i == chosen[load.name][c] {
					own = t
				}
			}
			s.add("Played by events, "+load.name, nasChips[c].name+": its own choice over the best of all choices", "x", own/least, fmt.Sprintf("events and closed form differ by at most %.1f %%", 100*gap))
		}
	}
	return nil
}
