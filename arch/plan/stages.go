package plan

import (
	"fmt"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// A pipeline of PP stages divides the layers over groups of as many chips: the first of them hold one layer more where they
// do not come out even. Embeddings and what else comes before the layers are on the first stage, the head on the last.
//
// With one batch in flight, its stages run one after another and hand the activations on, so a pipeline makes room for a
// model and no run faster; after each step the tokens go back to the first stage. Chips that wait are idle. With several, the
// program is that of one of them, with a section for each stage of a step: how they follow one another is played on the times of
// these sections (arch/eval).
//
// Not modelled: stages that are not alike.

// sendOp and returnOp are the operators that pass activations to the next stage and tokens to the first.
const (
	sendOp   = "stage.send"
	returnOp = "stage.return"
)

// checkStages verifies the pipeline of a mapping against machine and graph.
func (p Mapping) checkStages(m *arch.Machine, g *traces.Graph) error {
	switch {
	case p.PP == 1:
		return nil
	case p.PP < 1:
		return &Invalid{"pp", fmt.Sprintf("%d: must be at least 1", p.PP), ""}
	case p.Alone || p.HostSync:
		return &Invalid{"pp", "operators that are timed one by one have no stages", "leave it out"}
	case g.Phase == "serve" && p.InFlight <= 1:
		return &Invalid{"pp", "a server keeps several batches in flight in a pipeline", fmt.Sprintf("give --in-flight %d, or use --tp", p.PP)}
	case g.Speculation != nil:
		return &Invalid{"pp", "a draft model and a pipeline together are not simulated", "leave one of them out"}
	}
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			if g.Blocks[i].Ops[j].Cross {
				return &Invalid{"pp", "an encoder-decoder in a pipeline is not simulated", "use --tp"}
			}
		}
	}
	if n := layersOf(g); p.PP > n {
		return &Invalid{"pp", fmt.Sprintf("%d stages for %d layers", p.PP, n), fmt.Sprintf("use --pp %d or less", n)}
	}
	return nil
}

// layersOf is how many layers a graph has.
func layersOf(g *traces.Graph) int64 {
	var n int64
	for i := range g.Runs {
		n = max(n, g.Runs[i].FirstLayer+g.Runs[i].Times)
	}
	return n
}

// piece is a stretch of a run that is on one stage.
type piece struct {
	stage, first, times int64
}

// stages deals the runs of a graph out to the stages of a pipeline. Runs of a step are in order, so one is never on an
// earlier stage than the one before it.
type stages struct {
	n, layers int64
	at        int64 // of the run before
}

// pieces divides a run at the borders of stages. A step begins on the first stage.
func (s *stages) pieces(r *traces.Run, begins bool) []piece {
	if begins {
		s.at = 0
	}
	if s.n <= 1 {
		return []piece{{0, r.FirstLayer, r.Times}}
	}
	var out []piece
	for first, end := r.FirstLayer, r.FirstLayer+r.Times; first < end; {
		s.at = max(s.at, s.of(first))
		until := end
		if s.at < s.n-1 {
			until = min(end, max(first+1, s.begin(s.at+1)))
		}
		out = append(out, piece{s.at, first, until - first})
		first = until
	}
	return out
}

// begin is the first layer of a stage.
func (s *stages) begin(stage int64) int64 {
	return stage*(s.layers/s.n) + min(stage, s.layers%s.n)
}

// of is the stage of a layer.
func (s *stages) of(layer int64) int64 {
	more, per := s.layers%s.n, s.layers/s.n
	if border := more * (per + 1); layer >= border {
		return min(more+(layer-border)/per, s.n-1)
	}
	return layer / (per + 1)
}

// Stage is the part of a graph that one stage of a pipeline of n holds; stages count from 0.
func Stage(g *traces.Graph, n, stage int64) *traces.Graph {
	part := *g
	part.Runs = nil
	s := stages{n: n, layers: layersOf(g)}
	for i := range g.Runs {
		r := g.Runs[i]
		for _, p := range s.pieces(&g.Runs[i], i == 0 || !r.SameStep(&g.Runs[i-1])) {
			if p.stage == stage {
				r.FirstLayer, r.Times = p.first, p.times
				part.Runs = append(part.Runs, r)
			}
		}
	}
	return &part
}

// passOn plans the hand-over of so many bytes from each chip of a stage to one of another.
func (b *builder) passOn(name string, phase traces.Phase, bytes units.Bytes, from, to int64) (*Body, error) {
	chips := b.mapping.Degrees().Chips()
	c, g := b.cluster, interconnect.Group{Ranks: 2, Stride: chips}
	if c.Out != nil {
		if from*chips/c.Chips == (to*chips+chips-1)/c.Chips || to*chips/c.Chips == (from*chips+chips-1)/c.Chips {
			node := *c
			node.Out, c = nil, &node
		} else {
			g.Stride = max(chips, c.Chips)
		}
	}
	return b.transfer(c, name, phase, traces.SendRecv, g, 1, bytes)
}

// handsOn is what a block passes to the next stage: the results of its last operator.
func handsOn(blk *traces.Block) (units.Bytes, error) {
	var sum int64
	if n := len(blk.Ops); n > 0 {
		for _, id := range blk.Ops[n-1].Outputs {
			bytes, ok := blk.Tensors[id].Bytes()
			if ok {
				sum, ok = units.Add(sum, int64(bytes))
			}
			if !ok {
				return 0, fmt.Errorf("tensor %s: %w", blk.Tensors[id].Name, ErrTooLarge)
			}
		}
	}
	if sum == 0 {
		return 0, &Invalid{"pp", fmt.Sprintf("the last operator of block %s has no result to hand on", blk.Name), "use --tp"}
	}
	return units.Bytes(sum), nil
}

// handOn appends what passes the results of a block to a later stage.
func (b *builder) handOn(section *Body, blk *traces.Block, phase traces.Phase, from, to int64) error {
	bytes, err := handsOn(blk)
	if err != nil {
		return err
	}
	k, err := b.passOn(sendOp, phase, bytes, from, to)
	if err != nil {
		return err
	}
	section.then(Node{Name: sendOp, Body: k, Times: 1})
	return nil
}

// goBack appends what passes the tokens that a step made back to the first stage.
func (b *builder) goBack(section *Body, g *traces.Graph, phase traces.Phase) error {
	k, err := b.passOn(returnOp, phase, traces.INT32.Bytes(max(g.Batch, 1)), b.mapping.PP-1, 0)
	if err != nil {
		return err
	}
	section.then(Node{Name: returnOp, Body: k, Times: 1})
	return nil
}
