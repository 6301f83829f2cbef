package llm

import (
	"fmt"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Graph generates the operators of the workload. Errors are of type *Invalid, joined if there are
// several.
func (m Model) Graph(w Workload) (*traces.Graph, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := w.validate(&m); err != nil {
		return nil, err
	}
	g := &traces.Graph{Name: m.Name, Phase: w.Phase, Batch: w.Batch, Prompt: w.Prompt, DType: w.DType, Notes: m.contextNotes(&w)}
	switch w.Phase {
	case "serve":
		g.Arrivals = w.arrivals()
		fallthrough
	case "generate":
		g.Generate = w.Generate
	}
	w.widen(&m)
	if w.Groups > 1 { // each has its part
		g.Groups = w.Groups
		w.Batch = units.CeilDiv(w.Batch, w.Groups)
		if g.Wave = w.Wave; w.Wave > 0 {
			w.Wave = max(1, w.Wave/w.Groups)
		}
		if w.Wave >= w.Batch {
			w.Wave, g.Wave = 0, 0
		}
	}
	layers := m.Layers
	if w.Layers > 0 {
		layers = w.Layers
	}
	steps, past := int64(0), w.Prompt
	switch w.Phase {
	case "decode":
		steps = 1
	case "generate":
		steps = w.Generate - 1
	}

	c := m.compose(g, &w, layers, steps)
	if s := w.Speculation; s != nil {
		g.Speculation = &traces.Speculation{Draft: s.Draft.Name, Tokens: s.Tokens, Acceptance: s.Acceptance}
		c.speculate(w.drafter(g), g.Speculation)
		steps = 0
	}
	switch {
	case m.Kind == EncoderDecoder:
		c.translate(layers, steps)
		steps = 0
	case w.Phase == "decode" || w.Speculation != nil:
	case w.Phase == "serve":
		c.serve()
	case w.Wave > 0:
		if g.Wave == 0 {
			g.Wave = w.Wave
		}
		c.waves(past, steps)
		steps = 0
	default:
		c.prefill()
	}
	if steps > 0 {
		c.decode(past, steps)
	}
	if err := g.Validate(); err != nil {
		return nil, &Invalid{w.largest(), err.Error(), "a smaller batch or a shorter prompt"}
	}
	return g, nil
}

// composer adds the blocks of passes to a graph, and their runs.
type composer struct {
	m    *Model
	g    *traces.Graph
	w    *Workload
	runs []layerRun
	ends bool  // embedding and head
	head int32 // its block, -1 before there is one

	prefix string // of all names
}

// stack is a pass as blocks.
type stack struct {
	before []int32 // run once each, before the layers
	layers []int32 // one for each of the composer's runs of layers
	after  []int32
}

func (m *Model) compose(g *traces.Graph, w *Workload, layers, steps int64) *composer {
	c := &composer{m: m, g: g, w: w, runs: m.layerRuns(layers), ends: w.Layers == 0, head: -1}
	g.Blocks = make([]traces.Block, 0, 5)
	g.Runs = make([]traces.Run, 0, (steps+1)*int64(len(c.runs)+2))
	return c
}

func (c *composer) add(b traces.Block) int32 {
	if c.prefix != "" {
		named(&b, c.prefix)
	}
	c.g.Blocks = append(c.g.Blocks, b)
	return int32(len(c.g.Blocks) - 1)
}

// stack builds the blocks of a pass. Equal layers share theirs.
func (c *composer) stack(p pass) stack {
	var s stack
	if c.ends {
		s.before = []int32{c.add(c.m.embedding(c.w, p.tokens))}
	}
	blocks := map[layerKind]int32{}
	for _, r := range c.runs {
		b, ok := blocks[r.kind]
		if !ok {
			b = c.add(c.m.layer(c.w, r.kind, p))
			blocks[r.kind] = b
		}
		s.layers = append(s.layers, b)
	}
	// The head sees the last token of each sequence, so passes of as many share its block.
	if c.ends {
		if c.head < 0 {
			if head, ok := c.m.head(c.w, c.w.Batch+p.beside.sequences); ok {
				c.head = c.add(head)
			}
		}
		if c.head >= 0 {
			s.after = []int32{c.head}
		}
	}
	return s
}

// decode appends decode steps, one for each token.
func (c *composer) decode(past, steps int64) {
	decode := c.stack(pass{phase: traces.Decode, tokens: c.w.Batch, qlen: 1})
	for s := int64(1); s <= steps; s++ {
		c.run(decode, traces.Run{Phase: traces.Decode, Step: s, Past: past + s - 1})
	}
}

// waves appends the prefill and the steps of as many sequences as are in work at a time, again and again, and of the
// rest.
func (c *composer) waves(past, steps int64) {
	g, all := c.g, *c.w
	wave := func(batch int64) []traces.Run {
		from := len(g.Runs)
		part, of := *c, all
		of.Batch = batch
		part.w, part.head = &of, -1
		part.prefill()
		part.decode(past, steps)
		return g.Runs[from:len(g.Runs):len(g.Runs)]
	}
	first := wave(all.Wave)
	for n := all.Batch/all.Wave - 1; n > 0; n-- {
		g.Runs = append(g.Runs, first...)
	}
	if rest := all.Batch % all.Wave; rest > 0 {
		wave(rest)
	}
}

// prefill appends the prefill: one pass, or steps of as many whole prompts as a step takes and one of the rest.
func (c *composer) prefill() {
	w := c.w
	if w.StepTokens == 0 || w.Batch*w.Prompt <= w.StepTokens {
		c.run(c.stack(pass{phase: traces.Prefill, tokens: w.Batch * w.Prompt, qlen: w.Prompt}), traces.Run{Phase: traces.Prefill})
		return
	}
	some := func(batch, from, steps int64) {
		part, of := *c, *w
		of.Batch = batch
		part.w, part.head = &of, -1
		part.run(part.stack(pass{phase: traces.Prefill, tokens: batch * w.Prompt, qlen: w.Prompt}), traces.Run{Phase: traces.Prefill, Step: from, Repeat: steps})
	}
	batch := max(1, w.StepTokens/w.Prompt)
	steps := w.Batch / batch
	some(batch, 0, steps)
	if rest := w.Batch % batch; rest > 0 {
		some(rest, steps, 1)
	}
}

// translate appends what an encoder-decoder does: the encoder on the prompts, the keys and values that each
// layer of the decoder makes of its result, the first token, and a pass of the decoder for every further one. A
// decode step alone is the first: the prompts' keys and values are there, and no token before it.
func (c *composer) translate(layers, steps int64) {
	m, w := c.m, c.w
	tokens := w.Batch * w.Prompt
	encoder := pass{phase: traces.Prefill, tokens: tokens, qlen: w.Prompt}
	first := min(layers, m.EncoderLayers)
	for i := range c.runs { // weights are told apart by their layer: the decoder's come after the encoder's
		c.runs[i].first += m.EncoderLayers
		c.runs[i].kind.name, c.runs[i].kind.cross = "decoder_layer", w.Prompt
	}
	once := func(b traces.Block, first, times int64) {
		c.g.Runs = append(c.g.Runs, traces.Run{Block: c.add(b), Phase: traces.Prefill, FirstLayer: first, Times: times})
	}
	decoder := pass{phase: traces.Decode, tokens: w.Batch, qlen: 1}
	if w.Phase == "decode" {
		c.run(c.stack(decoder), traces.Run{Phase: traces.Decode, Step: 1})
		return
	}
	if c.ends {
		once(m.embedding(w, tokens), 0, 1)
	}
	once(m.layer(w, layerKind{name: "encoder_layer", encoder: true}, encoder), 0, first)
	if c.ends {
		once(m.encoderNorm(w, tokens), 0, 1)
	}
	once(m.crossKeys(w, tokens), m.EncoderLayers, layers)
	s := c.stack(decoder)
	c.run(s, traces.Run{Phase: traces.Prefill})
	for t := int64(1); t <= steps; t++ {
		c.run(s, traces.Run{Phase: traces.Decode, Step: t, Past: t})
	}
}

// run appends the runs of a pass; r has its phase, step and cached tokens.
func (c *composer) run(s stack, r traces.Run) {
	once := func(blocks []int32) {
		for _, b := range blocks {
			c.g.Runs = append(c.g.Runs, traces.Run{Block: b, Phase: r.Phase, Step: r.Step, Repeat: r.Repeat, Times: 1})
		}
	}
	once(s.before)
	for i, l := range c.runs {
		r.Block, r.FirstLayer, r.Times = s.layers[i], l.first, l.times
		c.g.Runs = append(c.g.Runs, r)
	}
	once(s.after)
}

// contextNotes says what the length of the context makes inexact.
func (m *Model) contextNotes(w *Workload) []string {
	notes := append([]string(nil), m.Notes...)
	context := w.Prompt
	switch w.Phase {
	case "decode":
		context++
	case "generate", "serve":
		context += w.Generate - 1 // the last token is not fed back
	}
	if m.Kind == EncoderDecoder {
		context = w.Prompt // which the encoder sees; the decoder begins anew
	}
	if context > m.MaxSeq {
		switch m.Position {
		case Learned:
			notes = append(notes, fmt.Sprintf("a context of %d tokens needs more learned positions than the %d of %s; timed as if its table went on", context, m.MaxSeq, m.Name))
		default:
			notes = append(notes, fmt.Sprintf("a context of %d tokens is longer than the %d that %s was made for", context, m.MaxSeq, m.Name))
		}
	}
	return notes
}
