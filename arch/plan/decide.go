package plan

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Decisions are what the planner decided on the way to a program: enough to question it, to show its loop
// nests, and to give them all back to it as pins.
type Decisions struct {
	Kernels []Decision // in the order in which the kernels were planned
	Fusions []Fusion
	roles   []string // of tensors that are there, for their placement
	off     string   // the tier that they are in
	of      map[*Body]int
}

// Decision is what was decided about one kernel.
type Decision struct {
	Match  Match    // the kernel: its own name, phase and dimensions
	Blocks []string // in which it runs
	Body   *Body
	Choice Choice
	Pinned []string // members of the choice that were given
	// Rule says how the choice was made where no times were compared, "" otherwise.
	Rule string
	// Time is what the planner expects by the closed form with which it compares alternatives: of the
	// parts in which they differ, so without launch. 0 where it compares none.
	Time units.Time
	// Full is the share of the slots of the cores that have work, over all waves; 0 where it does not matter.
	Full float64
	// Others are the alternatives that were not taken, the best first; at most maxOthers.
	Others []Alternative
	What   string  // the operator with its dimensions, in words
	Levels []Level // from the outermost memory inwards
}

// Alternative is another choice for a kernel.
type Alternative struct {
	Choice Choice
	Time   units.Time
	Full   float64
}

// maxOthers bounds the alternatives that a decision keeps.
const maxOthers = 4

// Level is one memory, or at the end the unit that computes: what a kernel keeps in it and the loops that
// bring what is next further in.
type Level struct {
	Name  string
	Holds []Held
	Loops []NestLoop
}

// Held is something that a level keeps.
type Held struct {
	What  string
	Bytes units.Bytes
}

// NestLoop runs over parts of a kernel: one after the other, or in space, at the same time.
type NestLoop struct {
	Over    string // "wave", "core", "tile", "part of k", "stage", "round", "chunk"
	Times   int64
	Spatial bool
	Of      string // what one iteration is, in words
}

// Fusion is whether operators became one kernel.
type Fusion struct {
	Fusion string // as in a runtime profile
	Ops    []string
	Phase  string
	Block  string
	Fused  bool
}

// Decide plans like Build, which takes less, and says what was decided.
func Decide(m *arch.Machine, g *traces.Graph, p Mapping) (*Program, *Decisions, error) {
	return DecideWith(context.Background(), m, g, p, nil)
}

// DecideWith is Decide for BuildWith.
func DecideWith(ctx context.Context, m *arch.Machine, g *traces.Graph, p Mapping, costs Coster) (*Program, *Decisions, error) {
	b, err := prepare(m, g, &p)
	if err != nil {
		return nil, nil, err
	}
	b.decisions = &Decisions{off: b.off.Name, of: map[*Body]int{}}
	for _, role := range []string{"weight", "kv", "activation"} {
		if len(tensorsOf(g, role)) > 0 {
			b.decisions.roles = append(b.decisions.roles, role)
		}
	}
	program, err := b.costed(ctx, g, costs)
	return program, b.decisions, err
}

// decided notes a decision, if anybody wants to know.
func (b *builder) decided(d Decision, pin *pinned) {
	if pin != nil {
		for f, text := range pin.texts() {
			if text != "" {
				d.Pinned = append(d.Pinned, pinNames[f])
			}
		}
	}
	d.Match.Block, d.Blocks = "", []string{b.blockName}
	b.decisions.of[d.Body] = len(b.decisions.Kernels)
	b.decisions.Kernels = append(b.decisions.Kernels, d)
}

// Of returns what was decided about a kernel, nil if nothing was; so it is where the decisions are nil.
func (d *Decisions) Of(k *Body) *Decision {
	if d == nil {
		return nil
	}
	if i, ok := d.of[k]; ok {
		return &d.Kernels[i]
	}
	return nil
}

// known returns the kernel if it has been planned, and notes that it runs in this block too. Once a pin has been refused,
// kernels are planned anew: other entries may give the same, and each of them is wrong.
func (b *builder) known(key *kernelKey) *Body {
	k := b.kernels[*key]
	if k == nil || b.pins != nil && len(b.pins.problems) > 0 {
		return nil
	}
	if d := b.decisions.Of(k); d != nil && !slices.Contains(d.Blocks, b.blockName) {
		d.Blocks = append(d.Blocks, b.blockName)
	}
	return k
}

// fused notes whether operators became one kernel.
func (d *Decisions) fused(fusion string, phase traces.Phase, block string, fused bool, ops []string) {
	f := Fusion{fusion, slices.Clone(ops), phase.String(), block, fused}
	for i := range d.Fusions {
		if o := &d.Fusions[i]; o.Fusion == fusion && o.Phase == f.Phase && o.Block == block && o.Fused == fused && slices.Equal(o.Ops, ops) {
			return
		}
	}
	d.Fusions = append(d.Fusions, f)
}

// choice is a tiling as a Choice.
func (t *tileChoice) choice() Choice {
	return Choice{Kernel: "tiled", Tile: Tile{t.rows, t.cols}, Depth: t.depth, Split: t.split, Stages: t.buffers, Blocks: t.resident,
		Keep: keepNames[t.keep]}
}

// decidedGemm notes how a product is computed.
func (b *builder) decidedGemm(g *gemm, k *Body, c *gemmChoice, pin *pinned) {
	x, w, y := g.operands()
	d := Decision{Match: b.matchGemm(g), Body: k}
	batch := ""
	if g.batch > 1 {
		batch = fmt.Sprintf("%d × ", g.batch)
	}
	d.What = fmt.Sprintf("%sC %dx%d = A %dx%d %s × B %dx%d %s", batch, g.m, g.n, g.m, g.k, g.a, g.k, g.n, g.w)
	whole := []Held{{"A", units.Bytes(x)}, {"B", units.Bytes(w)}, {"C", units.Bytes(y)}}
	switch c.way {
	case vectorWay:
		d.Choice, d.Rule = Choice{Kernel: "vector"}, "the library streams a single row through the vector units"
		d.Others = b.otherTilings(g, nil)
		d.Levels = b.streamLevels(k, whole)
	case residentWay:
		d.Choice, d.Rule = Choice{Kernel: "resident", Deal: c.deal.way}, "an operator by itself waits for its operands, and they fit on chip"
		if h := b.held(g); h.stream > 0 {
			d.Rule = "an operator by itself waits for the operand that is on chip, and the other streams past it"
		}
		d.Time = b.time(b.at.matrix, c.deal.cycles)
		for _, way := range []string{"batch", "m", "n"} {
			if o, err := b.bestDealing(g, &pinned{Choice: Choice{Deal: way}}); err == nil && way != c.deal.way {
				d.Others = append(d.Others, Alternative{Choice: Choice{Kernel: "resident", Deal: way}, Time: b.time(b.at.matrix, o.cycles)})
			}
		}
		d.sortOthers()
		d.Levels = b.wholeLevels(k, whole, c.deal.cores)
	default:
		t := &c.tiling
		d.Choice = t.choice()
		d.Time = b.tilingTime(g, t, math.MaxInt64)
		if len(g.lib.UpTo) > 0 {
			d.Rule = "the library has one tile for products of so many rows"
		}
		d.Others = b.otherTilings(g, t)
		d.Levels = b.tiledLevels(g, t, whole)
	}
	b.decided(d, pin)
}

func (d *Decision) sortOthers() {
	slices.SortStableFunc(d.Others, func(a, b Alternative) int {
		switch {
		case a.Time < b.Time:
			return -1
		case a.Time > b.Time:
			return 1
		}
		return 0
	})
	d.Others = d.Others[:min(len(d.Others), maxOthers)]
}

// otherTilings lists the best tilings of the library's menu that were not taken, each tile with its best split.
func (b *builder) otherTilings(g *gemm, taken *tiling) []Alternative {
	defer b.forget(len(b.p.Counters)) // what is only looked at counts nothing
	var d Decision
	seen := map[tileChoice]bool{}
	for _, s := range g.lib.Menu(g.m) {
		rows, cols, err := arch.ParseTile(s)
		if err != nil {
			continue
		}
		var best *Alternative
		for _, split := range g.lib.Splits {
			if b.shallow(g, rows*cols, split) {
				continue
			}
			t, err := b.tile(g, tileChoice{rows: rows, cols: cols, split: split, depth: g.lib.Depth})
			if err != nil || seen[t.tileChoice] || taken != nil && t.tileChoice == taken.tileChoice {
				continue
			}
			seen[t.tileChoice] = true
			if took := b.tilingTime(g, &t, math.MaxInt64); best == nil || took < best.Time {
				best = &Alternative{Choice: t.choice(), Time: took}
			}
		}
		if best != nil {
			d.Others = append(d.Others, *best)
		}
	}
	d.sortOthers()
	return d.Others
}

// tiledLevels is the loop nest of a tiled product.
func (b *builder) tiledLevels(g *gemm, t *tiling, whole []Held) []Level {
	slots := b.slots(t)
	full, rest := t.tiles/slots, t.tiles%slots
	waves := NestLoop{Over: "wave", Times: full}
	switch {
	case full == 0:
		waves.Times, waves.Of = 1, fmt.Sprintf("%d of %d places for tiles have one", rest, slots)
	case rest > 0:
		waves.Times, waves.Of = full+1, fmt.Sprintf("%d of %d tiles, the last of %d", full, slots, rest)
	default:
		waves.Of = fmt.Sprintf("%d tiles each", slots)
	}
	w := b.wave(t, min(slots, t.tiles))
	off := Level{Name: b.off.Name, Holds: whole}
	inner := []NestLoop{{Over: "core", Times: w.cores, Spatial: true}}
	if w.perCore > 1 {
		inner = append(inner, NestLoop{Over: "tile", Times: w.perCore, Of: fmt.Sprintf("%dx%d, in turns on one core", t.rows, t.cols)})
	} else {
		inner[0].Of = fmt.Sprintf("a tile of %dx%d", t.rows, t.cols)
	}
	if t.split > 1 {
		off.Loops = append(off.Loops, NestLoop{Over: "part of k", Times: t.split, Spatial: true,
			Of: fmt.Sprintf("a reduction of %d; the partial sums are added up in a pass of its own", units.CeilDiv(g.k, t.split))})
	}
	off.Loops = append(off.Loops, waves)
	levels := []Level{off}
	if b.shared != nil {
		a, w, c := g.operands()
		p := b.parts(g, t, a, w, c)
		waves := &levels[0].Loops[len(levels[0].Loops)-1]
		waves.Of += fmt.Sprintf("; a wave covers %dx%d tiles, %dx%d of C", p.m, p.n, min(p.m*t.rows, g.m), min(p.n*t.cols, g.n))
		shared := Level{Name: b.shared.Name, Loops: inner}
		switch t.keep {
		case keepNothing:
			shared.Holds = append(shared.Holds, Held{"what passes through", 0})
		case keepA:
			shared.Holds = append(shared.Holds, Held{"A's part for the wave, while columns sweep past", units.Bytes(p.a)})
		case keepB:
			shared.Holds = append(shared.Holds, Held{"B's part for the wave, while rows sweep past", units.Bytes(p.b)})
		case keepBoth:
			shared.Holds = append(shared.Holds, Held{"both operands, with what passes until they are needed again", units.Bytes(p.both)})
		}
		levels = append(levels, shared)
	} else {
		levels[0].Loops = append(levels[0].Loops, inner...)
	}
	stages := NestLoop{Over: "stage", Times: t.stages, Of: fmt.Sprintf("%d of k each", t.depth)}
	if b.private != nil {
		levels = append(levels, Level{Name: b.private.Name, Holds: []Held{{fmt.Sprintf("%d × %d operand buffers", w.perCore, t.buffers),
			units.Bytes(t.buffers * t.feed * w.perCore)}},
			Loops: []NestLoop{stages}})
	} else {
		levels[len(levels)-1].Loops = append(levels[len(levels)-1].Loops, stages)
	}
	return append(levels, Level{Name: "matrix", Holds: []Held{{fmt.Sprintf("sums of %dx%d", t.rows, t.cols), 0}},
		Loops: []NestLoop{{Over: "cycle", Times: t.cycles, Of: fmt.Sprintf("%dx%dx%d", t.rows, t.cols, t.depth)}}})
}

// loops finds the innermost loop of a kernel that is not one iteration of a wave: its stream or pieces.
func loopOf(k *Body) *Node {
	for i := range k.Nodes {
		if n := &k.Nodes[i]; n.Body != nil {
			if inner := loopOf(n.Body); inner != nil && n.Times == 1 {
				return inner
			}
			return n
		}
	}
	return nil
}

// coresOf returns the cores that take part in a node's steps.
func coresOf(n *Node) int64 {
	var cores int64
	for i := range n.Body.Nodes {
		if s := n.Body.Nodes[i].Step; s != nil {
			cores = max(cores, s.Cores)
		}
	}
	return max(cores, 1)
}

// streamLevels is the loop nest of a kernel that streams chunks, read off its program.
func (b *builder) streamLevels(k *Body, whole []Held) []Level {
	off := Level{Name: b.off.Name, Holds: whole}
	n := loopOf(k)
	if n == nil {
		return []Level{off}
	}
	off.Loops = []NestLoop{{Over: "chunk", Times: n.Times, Of: "loaded, worked on and stored in a pipeline"}, {Over: "core", Times: coresOf(n),
		Spatial: true}}
	core := Level{Name: "core"}
	for i := range n.Body.Buffers {
		buf := &n.Body.Buffers[i]
		core.Holds = append(core.Holds, Held{fmt.Sprintf("%d × %s", buf.Capacity, buf.Name), units.Bytes(buf.Capacity) * buf.Token})
	}
	return []Level{off, core}
}

// wholeLevels is the loop nest of a product whose operands are copied on chip whole.
func (b *builder) wholeLevels(k *Body, whole []Held, cores int64) []Level {
	levels := []Level{{Name: b.off.Name, Holds: whole}, {Name: b.shared.Name, Holds: whole}}
	if n := loopOf(k); n != nil {
		levels[1].Loops = []NestLoop{{Over: "core", Times: cores, Spatial: true}, {Over: "piece", Times: n.Times}}
		core := Level{Name: "core"}
		for i := range n.Body.Buffers {
			buf := &n.Body.Buffers[i]
			core.Holds = append(core.Holds, Held{fmt.Sprintf("%d × %s", buf.Capacity, buf.Name), units.Bytes(buf.Capacity) * buf.Token})
		}
		levels = append(levels, core)
	}
	return levels
}

// decidedAttention notes how fused attention is computed.
func (b *builder) decidedAttention(a *attention, k *Body, c *attentionChoice, pin *pinned) {
	d := Decision{Match: b.matchAttention(a), Body: k, Choice: Choice{Tile: Tile{c.rows, c.keys}, Split: c.split, Blocks: c.resident}}
	d.What = fmt.Sprintf("%s, %s each over %d keys; %d query and %d key heads of %d, %s, cache %s",
		plural(a.batch, "sequence"), plural(a.qlen, "query token"), a.past+a.qlen, a.heads, a.kvHeads, a.dim, a.t, a.kv)
	if p := a.beside; p != nil {
		d.What += fmt.Sprintf("; beside them %s, %s each over %d keys", plural(p.batch, "sequence"), plural(p.qlen, "query token"), p.keys)
	}
	tiles := units.CeilDiv(a.past+a.qlen, c.keys)
	kv := 2 * int64(a.kv.KVBytes(a.batch*a.kvHeads*(a.past+a.qlen), a.dim))
	q := int64(a.t.Bytes(a.batch * a.heads * a.qlen * a.dim))
	off := Level{Name: b.off.Name, Holds: []Held{{"Q", units.Bytes(q)}, {"K and V", units.Bytes(kv)}, {"O", units.Bytes(q)}}}
	if a.decodes() {
		heads, slots := a.batch*a.kvHeads*units.CeilDiv(a.qlen*(a.heads/a.kvHeads), c.rows), b.splitSlots(a, c)
		full := func(split int64) float64 { // as kvSplit has it
			waves := float64(split*heads) / float64(slots)
			return waves / math.Ceil(waves)
		}
		d.Full = full(c.split)
		d.Rule = "the fewest parts of the cache that fill 85 % as many slots as the best number does"
		switch at := a.lib; {
		case at.Split == "" || at.Split == "grouped" && a.heads == a.kvHeads:
			d.Rule = "the library leaves the cache of a head whole"
		case at.Split == "fill":
			d.Rule = "as many parts of the cache as there are slots"
		case float64(heads) >= 0.8*float64(slots):
			d.Rule = "as many heads as slots, or nearly: the cache of a head stays whole"
		}
		for split := int64(1); split <= min(128, slots, tiles); split++ {
			if split != c.split {
				o := d.Choice
				o.Split = split
				d.Others = append(d.Others, Alternative{Choice: o, Full: full(split)})
			}
		}
		slices.SortStableFunc(d.Others, func(x, y Alternative) int { // the best filled first, of these the fewest parts
			switch {
			case x.Full > y.Full:
				return -1
			case x.Full < y.Full:
				return 1
			}
			return 0
		})
		d.Others = d.Others[:min(len(d.Others), maxOthers)]
	}
	if n := loopOf(k); n != nil {
		if c.split > 1 {
			off.Loops = append(off.Loops, NestLoop{Over: "part of the keys", Times: c.split, Spatial: true,
				Of: fmt.Sprintf("%d of %d tiles; joined in a pass of its own", units.CeilDiv(tiles, c.split), tiles)})
		}
		off.Loops = append(off.Loops, NestLoop{Over: "core", Times: coresOf(n), Spatial: true, Of: fmt.Sprintf("up to %d thread blocks at a time",
			c.resident)},
			NestLoop{Over: "round", Times: n.Times, Of: fmt.Sprintf("a tile of %s, queries x keys", Tile{c.rows, c.keys})})
		core := Level{Name: "core"}
		for i := range n.Body.Buffers {
			buf := &n.Body.Buffers[i]
			core.Holds = append(core.Holds, Held{fmt.Sprintf("%d × %s", buf.Capacity, buf.Name), units.Bytes(buf.Capacity) * buf.Token})
		}
		d.Levels = []Level{off, core}
	} else {
		d.Levels = []Level{off}
	}
	b.decided(d, pin)
}

// decidedRows notes how an operator that streams rows is computed.
func (b *builder) decidedRows(r *rows, k *Body, resident bool, pin *pinned) {
	d := Decision{Match: b.matchRows(r), Body: k, Choice: Choice{Kernel: "streamed"}, What: fmt.Sprintf("%d rows of %d", r.rows, r.cols)}
	if resident {
		d.Choice.Kernel, d.Rule = "resident", "an operator by itself waits for its operands"
	}
	d.Levels = b.streamLevels(k, []Held{{"read", units.Bytes(r.read)}, {"written", units.Bytes(r.write)}})
	b.decided(d, pin)
}

// Export returns the decisions as pins: given back, they lead to the same program.
func (d *Decisions) Export() (*Pins, error) {
	p, alike := d.export(false)
	if alike != nil { // but for the block
		if p, alike = d.export(true); alike != nil {
			return nil, fmt.Errorf("two kernels named %s in phase %s differ in nothing that a mapping file can match: %w", alike.Op, alike.Phase,
				ErrUnsupported)
		}
	}
	d.exportFusions(p)
	for _, role := range d.roles {
		p.Placement = append(p.Placement, PlacementPin{Role: role, Tier: d.off})
	}
	return p, nil
}

// export writes an entry for each kernel, or for each block that it is in, and returns a kernel that it does not match
// alone.
func (d *Decisions) export(blocks bool) (*Pins, *Match) {
	p := &Pins{Schema: PinsSchema}
	add := func(m Match, c Choice) {
		m.Op = literal(m.Op)
		for j := len(p.Kernels) - 1; j >= 0; j-- {
			e := &p.Kernels[j]
			if e.Pin != c || !e.Match.alike(&m) {
				continue
			}
			// Kernels that differ in nothing but the length of the cache share an entry.
			switch {
			case m.Past == nil || e.Match.Past.From <= m.Past.From && m.Past.To <= e.Match.Past.To:
				return
			case e.Match.Past.To+1 == m.Past.From:
				e.Match.Past = &Range{e.Match.Past.From, m.Past.To}
				return
			}
		}
		p.Kernels = append(p.Kernels, Pin{Match: m, Pin: c})
	}
	for i := range d.Kernels {
		k := &d.Kernels[i]
		m := k.Match
		switch {
		case k.Choice == (Choice{}):
		case !blocks:
			add(m, k.Choice)
		default:
			for _, name := range k.Blocks {
				m.Block = literal(name)
				add(m, k.Choice)
			}
		}
	}
	given := newPinning(p)
	for i := range d.Kernels {
		k := &d.Kernels[i]
		for _, name := range k.Blocks {
			m := k.Match
			m.Block = name
			if k.Choice == (Choice{}) {
				continue
			}
			if got := given.of(m); got.Choice != k.Choice {
				return nil, &k.Match
			}
		}
	}
	return p, nil
}

// alike reports whether matches differ in the length of the cache at most.
func (m Match) alike(o *Match) bool {
	p, past := *o, m.Past
	m.Past, p.Past = nil, nil
	return m == p && (o.Past == nil) == (past == nil)
}

// exportFusions writes one entry for each kind of fusion, and one for each place that differs from it.
func (d *Decisions) exportFusions(p *Pins) {
	base := map[string]bool{}
	for i := range d.Fusions {
		f := &d.Fusions[i]
		if _, ok := base[f.Fusion]; !ok {
			base[f.Fusion] = f.Fused
			p.Fusion = append(p.Fusion, FusionPin{Fusion: f.Fusion, Fuse: f.Fused})
		}
	}
	for i := range d.Fusions {
		if f := &d.Fusions[i]; f.Fused != base[f.Fusion] {
			p.Fusion = append(p.Fusion, FusionPin{Fusion: f.Fusion, Op: literal(f.Ops[0]), Phase: f.Phase, Block: literal(f.Block),
				Fuse: f.Fused})
		}
	}
}
