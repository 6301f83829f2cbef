package plan

import (
	"context"
	"fmt"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/memory/dram"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Build plans the graph on the machine. Errors: *Invalid for a mapping that does not suit,
// *DoesNotFit when memory is too small and the mapping does not say Overfull, ErrUnsupported and ErrTooLarge wrapped with the operator.
func Build(m *arch.Machine, g *traces.Graph, p Mapping) (*Program, error) {
	return BuildWith(context.Background(), m, g, p, nil)
}

// prepare checks what is to be planned and returns who plans it.
func prepare(m *arch.Machine, g *traces.Graph, p *Mapping) (*builder, error) {
	if p.TP == 0 {
		p.TP = 1
	}
	if p.PP == 0 {
		p.PP = 1
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	if err := p.check(m, g); err != nil {
		return nil, err
	}
	g = p.local(m, g)
	fp, err := footprintOf(m, g, *p)
	if err != nil {
		return nil, err
	}
	pins := newPinning(p.Pins)
	if p.PP > 1 && pins.below(m.OffChip().Name) {
		return nil, &Invalid{"pp", "the mapping file places tensors below the fastest memory, which pipelines do not stream from", "leave one of them out"}
	}
	pl, err := place(m, g, *p, fp, pins)
	if err != nil {
		return nil, err
	}
	return newBuilder(m, *p, pl, pins)
}

// builder plans the operators of one graph.
type builder struct {
	m        *arch.Machine
	profile  *arch.Profile
	host     *arch.Host // nil if it takes no time
	mapping  Mapping
	p        *Program
	private  *memory.Spec // on-chip tiers, nil if the machine has none
	shared   *memory.Spec
	outer    *memory.Spec // second shared tier on chip, between the first one and memory off chip
	off      *memory.Spec
	alone    bool // the graph is one operator, timed by itself
	res      map[string]int
	at       struct{ matrix, vector, private, shared, off int } // indices of these resources
	counters map[string]int
	ops      map[opKey]int
	kernels  map[kernelKey]*Body
	blocks   map[blockKey]*Body
	firsts   map[blockKey]*planned
	waiting  map[waitKey][]bool
	gathered map[traces.TensorID]bool // of the block, whose rows every chip of the tensor group has

	cluster *interconnect.Cluster // of the chips of the mapping

	onChip *onChip // between cores and memories; nil if nothing of it is modelled

	blk       *traces.Block // that is being planned, and which of its tensors wait on chip; nil for none
	stays     []bool
	blockName string // of the block that is being planned
	place     *Placement
	cached    int64 // tokens that the sequences of the block have in the cache, where a step copies it
	steps     map[stepKey]*Body
	joined    map[[2]*Body]*Body
	pins      *pinning   // nil if nothing is pinned
	decisions *Decisions // nil unless somebody wants to know them
	menus     map[*arch.GemmKernel][]menuTile
	mem       arena
	home      *arena // where mem is when the program is done
	tiers     []tierCounters
}

// planned is the first plan of a block: its body, and where in it each operator's kernels are. Other
// runs of the block differ in the length of the cache alone, and so in nothing but attention.
type planned struct {
	body      *Body
	attention []span
}

// span is an operator of a block and its nodes in the block's body.
type span struct {
	op, from, to int
	joined       bool // with the operator after it
}

type opKey struct{ phase, name string }

type blockKey struct {
	block int32
	past  int64
	phase traces.Phase
}

// kernelKey identifies a kernel by everything that its plan depends on.
type kernelKey struct {
	op                    int
	kind, fused           string // fused is the kind of an operator that runs in the same kernel before this one
	batch, m, n, k        int64
	rows, cols            int64
	heads, kvHeads, dim   int64
	qlen, past            int64
	added, windows        int64
	dtype, weight, kv     traces.DType
	causal                bool
	keys, window          int64
	values, kept          int64
	relative              traces.Relative
	beside                besideKey
	read, write           units.Bytes
	vectorOps, specialOps units.Ops
	inHere, outHere       int64              // bytes of operands and results that wait on chip, or 1
	group                 interconnect.Group // of a collective
	pin                   Choice             // what is given of it
}

func newBuilder(m *arch.Machine, p Mapping, pl *Placement, pins *pinning) (*builder, error) {
	profile, err := p.runtime(m)
	if err != nil {
		return nil, err
	}
	b := &builder{m: m, profile: m.Resolved(profile), mapping: p,
		private: m.PrivateSRAM(), shared: m.SharedSRAM(), outer: m.OuterSRAM(), off: m.OffChip(),
		res: map[string]int{}, counters: map[string]int{}, ops: map[opKey]int{},
		pins: pins, place: pl, steps: map[stepKey]*Body{}, joined: map[[2]*Body]*Body{}, kernels: map[kernelKey]*Body{}, blocks: map[blockKey]*Body{}, firsts: map[blockKey]*planned{}, waiting: map[waitKey][]bool{}, gathered: map[traces.TensorID]bool{}, menus: map[*arch.GemmKernel][]menuTile{}}
	b.home = arenas.Get().(*arena)
	b.mem = *b.home
	b.p = &Program{mem: &b.mem, Machine: m.Name, Ranks: p.Degrees().Chips(), Stages: p.PP, Batches: p.InFlight, Placement: pl}
	clock := m.Chip.Clock
	add := func(r Resource) {
		b.res[r.Name] = len(b.p.Resources)
		b.p.Resources = append(b.p.Resources, r)
	}
	add(Resource{"matrix", sim.Compute, "cycle", rate(float64(clock) * m.Chip.Cores.Matrix.SustainedShare()), true, true})
	add(Resource{"vector", sim.Compute, "cycle", int64(clock), true, true})
	add(Resource{"special", sim.Compute, "cycle", int64(clock), true, true})
	add(Resource{"issue", sim.SRAM, "cycle", int64(clock), true, true})
	for _, t := range m.Chip.Memory {
		rate := t.Rate(clock)
		if p.IdealRefresh {
			rate = t.RateWithoutRefresh(clock)
		}
		cause := t.Cause()
		if t.Name == b.off.Name {
			cause = sim.HBM // the memory that the program runs from, whatever it is made of; ddr is what lies below it
		}
		add(Resource{t.Name, cause, "B", rate, t.Private(), t.Width > 0})
		if chips := t.Chips(); chips != nil {
			b.p.DRAM = append(b.p.DRAM, make([]*dram.Standard, len(b.p.Resources)-len(b.p.DRAM))...)
			b.p.DRAM[len(b.p.Resources)-1] = chips
		}
	}
	b.at.matrix, b.at.vector, b.at.off = b.res["matrix"], b.res["vector"], b.res[b.off.Name]
	if b.shared != nil {
		b.at.shared = b.res[b.shared.Name]
	}
	if b.private != nil {
		b.at.private = b.res[b.private.Name]
	}
	b.onChip = newOnChip(b, add)
	if b.host = profile.Host; p.Alone || p.HostSync || p.IdealLaunch {
		b.host = nil
	}
	if b.host != nil {
		add(Resource{HostResource, sim.Launch, "ps", int64(units.Second), false, false})
	}
	if pl.Streams() {
		b.hostMemory(add)
	}
	b.links(add)
	return b, nil
}

func rate(x float64) int64 { return max(1, int64(x+0.5)) }

// program plans the runs of the graph as sections of phases and steps.
func (b *builder) program(g *traces.Graph) (*Program, error) {
	g = b.mapping.local(b.m, g)
	entry := &Body{Name: g.Name, Op: -1}
	// The products and the softmax of attention follow one another.
	b.alone = b.mapping.Alone && len(g.Runs) == 1 && len(g.Blocks[g.Runs[0].Block].Ops) == 1 && g.Blocks[g.Runs[0].Block].Ops[0].Kind != traces.Attention
	// What a server's requests pay before they are in work does not hold up those that are.
	if b.host != nil && b.host.Request > 0 && g.Runs[0].Phase == traces.Prefill && g.Phase != "serve" {
		b.request(entry)
	}
	var section *Body
	flying := b.mapping.InFlight > 1        // stages have sections of their own
	var open func(what string, stage int64) // begins one in a step
	pipeline := stages{n: b.mapping.PP, layers: layersOf(g)}
	stage, last := int64(0), int32(-1) // and block that ran last in a step
	var ring []layers                  // of a step, where something streams
	for i := range g.Runs {
		run := &g.Runs[i]
		begins := i == 0 || !run.SameStep(&g.Runs[i-1])
		if begins {
			if len(ring) > 0 {
				b.ring(section, g.Runs[i-1].Phase, ring)
				ring = ring[:0]
			}
			phase := run.Phase.String()
			name := phase
			if run.Step > 0 {
				name = fmt.Sprintf("%s %d", phase, run.Step)
			}
			open = func(what string, stage int64) {
				name := name + what
				section = &Body{Name: name, Op: -1}
				b.p.Sections = append(b.p.Sections, Section{Name: name, Phase: phase, Step: run.Step, Steps: run.Steps(), Stage: stage})
				entry.then(Node{Name: name, Body: section, Times: run.Steps()})
			}
			switch {
			case !flying:
				open("", 0)
				b.serial(section, g, i)
			case b.host != nil:
				open(", host", HostStage)
				b.serial(section, g, i)
				fallthrough
			default:
				open(", stage 1", 0)
			}
		}
		block, err := b.block(g, run)
		if err != nil {
			return nil, err
		}
		if b.place.Streams() {
			l := layers{name: g.Blocks[run.Block].Name, body: block, times: run.Times}
			if l.moves, err = b.movesOf(g, run); err != nil {
				return nil, err
			}
			ring = append(ring, l)
			continue
		}
		if begins {
			last = -1
		}
		for _, p := range pipeline.pieces(run, begins) {
			if last >= 0 && p.stage > stage {
				if err := b.handOn(section, &g.Blocks[last], run.Phase, stage, p.stage); err != nil {
					return nil, err
				}
				if flying {
					open(fmt.Sprintf(", stage %d", p.stage+1), p.stage)
				}
			}
			section.then(Node{Name: g.Blocks[run.Block].Name, Body: block, Times: p.times})
			stage, last, begins = p.stage, run.Block, false
		}
		if b.mapping.PP > 1 && (i+1 == len(g.Runs) || !g.Runs[i+1].SameStep(run)) {
			if err := b.goBack(section, g, run.Phase); err != nil {
				return nil, err
			}
		}
	}
	if len(ring) > 0 {
		b.ring(section, g.Runs[len(g.Runs)-1].Phase, ring)
	}
	for i := range entry.Nodes {
		if n := &entry.Nodes[i]; n.Times > 1 {
			n.Body.loop()
		}
	}
	b.p.Entry = entry
	if b.onChip != nil {
		b.onChip.lay(entry, map[*Body]bool{})
	}
	if b.pins != nil {
		b.pins.place(b.m, g)
		if err := b.pins.err(); err != nil {
			return nil, err
		}
	}
	if err := b.p.Finish(); err != nil {
		return nil, err
	}
	return b.p, nil
}

// request is what a batch of requests costs before its first step.
func (b *builder) request(entry *Body) {
	const name = RequestOp
	b.p.Sections = append(b.p.Sections, Section{Name: name, Phase: traces.Prefill.String(), Stage: HostStage})
	entry.then(Node{Name: name, Body: b.onHost(name, traces.Prefill, b.host.Request, "host.requests"), Times: 1})
}

// onHost is an operator of the host during which the device waits.
func (b *builder) onHost(name string, phase traces.Phase, t units.Time, count string) *Body {
	body := &Body{Name: name, Op: b.op(phase, name, HostKind)}
	body.then(Node{Name: name, Step: b.mem.step(Step{Kind: HostKind, Sync: true, Uses: b.mem.useList(b.use(HostResource, int64(t))), Counts: b.mem.countList(b.count(count, "time", 1))})})
	return body
}

// serial begins a step with what the host does while the device waits, for each sequence and for all.
func (b *builder) serial(section *Body, g *traces.Graph, at int) {
	if b.host == nil {
		return
	}
	var sequences int64
	for i := at; i == at || i < len(g.Runs) && g.Runs[i].SameStep(&g.Runs[i-1]); i++ {
		var n int64
		for _, op := range g.Blocks[g.Runs[i].Block].Ops {
			if op.Kind == traces.Attention && !op.Cross { // which sequences have beside their own
				n += op.Batch
			}
		}
		sequences = max(sequences, n)
	}
	const name = StepOp
	section.then(Node{Name: name, Body: b.onHost(name, g.Runs[at].Phase, b.host.Step+b.host.Sequence*units.Time(sequences), "host.steps"), Times: 1})
}

// then appends a node that waits for the last one.
func (b *Body) then(n Node) {
	switch k := len(b.Nodes); {
	case k == 0:
	case n.After == nil:
		n.After = link(k - 1)
	default:
		n.After = append(n.After, Dep{Node: k - 1})
	}
	b.Nodes = append(b.Nodes, n)
}

// loop closes a sequence to a chain: the next iteration starts when the last node is done.
func (b *Body) loop() *Body {
	if k := len(b.Nodes); k > 0 {
		b.Nodes[0].After = append(b.Nodes[0].After, Dep{Node: k - 1, Distance: 1})
	}
	return b
}

// block plans one block of the graph, whose operators follow each other on one stream.
func (b *builder) block(g *traces.Graph, run *traces.Run) (*Body, error) {
	key := blockKey{run.Block, run.Past, run.Phase}
	if body, ok := b.blocks[key]; ok {
		return body, nil
	}
	blk := &g.Blocks[run.Block]
	b.blockName, b.blk, b.stays = blk.Name, blk, nil
	clear(b.gathered)
	if b.cached = 0; b.profile.CopiedCache {
		for i := range blk.Ops {
			if op := &blk.Ops[i]; op.Kind == traces.Attention && !op.Cross {
				grow(&b.cached, op.Batch*op.SeenPast(run.Past))
			}
		}
	}
	if b.pipelines(blk, run.Phase) {
		body, err := b.pipelined(blk, run)
		b.blocks[key] = body
		return body, err
	}
	var err error
	if b.stays, err = b.waits(blk, run); err != nil {
		return nil, fmt.Errorf("block %s: %w", blk.Name, err)
	}
	firstKey := blockKey{block: run.Block, phase: run.Phase}
	body, err := b.again(blk, run, b.firsts[firstKey])
	if body != nil || err != nil {
		b.blocks[key] = body
		return body, err
	}
	body = &Body{Name: blk.Name, Op: -1, Nodes: make([]Node, 0, len(blk.Ops)+4)}
	first := &planned{body: body}
	for i := 0; i < len(blk.Ops); i++ {
		op := &blk.Ops[i]
		at := span{op: i, from: len(body.Nodes)}
		var fused *traces.Op
		if i+1 < len(blk.Ops) && b.fusesNorm(op, &blk.Ops[i+1], run.Phase) {
			fused = &blk.Ops[i+1]
			i++
		} else if i+1 < len(blk.Ops) && b.joinsAttention(op, &blk.Ops[i+1], run.Phase) {
			fused, at.joined = &blk.Ops[i+1], true
			i++
		} else if i+1 < len(blk.Ops) && b.fusesGates(blk, op, &blk.Ops[i+1], run.Phase) {
			fused = &blk.Ops[i+1]
			i++
		}
		kernels, err := b.operator(op, fused, run)
		if err != nil {
			return nil, fmt.Errorf("operator %s of %s: %w", op.Name, blk.Name, err)
		}
		for _, k := range kernels {
			body.then(Node{Name: b.p.Ops[k.Op].Name, Body: k, Times: 1})
		}
		if at.to = len(body.Nodes); op.Kind == traces.Attention || op.Kind == traces.KVAppend && b.profile.CopiedCache {
			first.attention = append(first.attention, at)
		}
	}
	if len(body.Nodes) == 0 {
		return nil, fmt.Errorf("block %s has no operators", blk.Name)
	}
	body.loop()
	b.blocks[key], b.firsts[firstKey] = body, first
	return body, nil
}

// again plans a block anew for another length of the cache: a copy of its first plan with other
// attention kernels. It returns nil if there is no first plan, or one with other numbers of kernels.
func (b *builder) again(blk *traces.Block, run *traces.Run, first *planned) (*Body, error) {
	if first == nil {
		return nil, nil
	}
	body := &Body{Name: blk.Name, Op: -1, Nodes: slices.Clone(first.body.Nodes), like: first.body}
	for _, at := range first.attention {
		op := &blk.Ops[at.op]
		var beside *traces.Op
		if at.joined {
			beside = &blk.Ops[at.op+1]
		}
		kernels, err := b.operator(op, beside, run)
		if err != nil {
			return nil, fmt.Errorf("operator %s of %s: %w", op.Name, blk.Name, err)
		}
		if len(kernels) != at.to-at.from {
			return nil, nil
		}
		for i, k := range kernels {
			body.Nodes[at.from+i].Name, body.Nodes[at.from+i].Body = b.p.Ops[k.Op].Name, k
		}
	}
	return body, nil
}

// fusesNorm reports whether the runtime runs a residual addition and the norm of its sum in one kernel.
func (b *builder) fusesNorm(add, norm *traces.Op, phase traces.Phase) bool {
	if add.Kind != traces.Add || norm.Kind != traces.RMSNorm && norm.Kind != traces.LayerNorm || add.Rows != norm.Rows || add.Cols != norm.Cols {
		return false
	}
	if b.pins == nil && b.decisions == nil && !b.profile.Fuses("norm-add") {
		return false
	}
	for _, in := range norm.Inputs {
		if slices.Contains(add.Outputs, in) {
			return b.fuses("norm-add", phase, add.Name, norm.Name)
		}
	}
	return false
}

// op returns the index of an operator, named once per phase.
func (b *builder) op(phase traces.Phase, name, kind string) int {
	k := opKey{phase.String(), name}
	if i, ok := b.ops[k]; ok {
		return i
	}
	i := len(b.p.Ops)
	b.ops[k] = i
	b.p.Ops = append(b.p.Ops, OpInfo{Name: name, Kind: kind, Phase: k.phase})
	return i
}

// counter returns the index of a counter.
func (b *builder) counter(name, unit string) int {
	if i, ok := b.counters[name]; ok {
		return i
	}
	i := len(b.p.Counters)
	b.counters[name] = i
	b.p.Counters = append(b.p.Counters, sim.Counter{Name: name, Unit: unit})
	return i
}

// tierCounters are the counters of a memory, 1 more than their index, 0 where there are none yet.
type tierCounters struct {
	tier        *memory.Spec
	read, write int
}

// tier returns the counters of a memory, which every step asks for.
func (b *builder) tier(t *memory.Spec) *tierCounters {
	for i := range b.tiers {
		if b.tiers[i].tier == t {
			return &b.tiers[i]
		}
	}
	b.tiers = append(b.tiers, tierCounters{tier: t})
	return &b.tiers[len(b.tiers)-1]
}

// reads counts bytes that are read from a memory, writes those that are written to it.
func (b *builder) reads(t *memory.Spec, n int64) Count {
	c := b.tier(t)
	if c.read == 0 {
		c.read = b.counter(t.Name+".read", "B") + 1
	}
	return Count{c.read - 1, n}
}

func (b *builder) writes(t *memory.Spec, n int64) Count {
	c := b.tier(t)
	if c.write == 0 {
		c.write = b.counter(t.Name+".write", "B") + 1
	}
	return Count{c.write - 1, n}
}

// forget takes back all counters but the first n.
func (b *builder) forget(n int) {
	b.tiers = b.tiers[:0]
	for _, c := range b.p.Counters[n:] {
		delete(b.counters, c.Name)
	}
	b.p.Counters = b.p.Counters[:n]
}

func (b *builder) count(name, unit string, n int64) Count { return Count{b.counter(name, unit), n} }

func (b *builder) use(resource string, amount int64) Use {
	return Use{Resource: b.res[resource], Amount: amount}
}

// useAt is a use by a kernel that reaches only a share of the resource's rate.
func (b *builder) useAt(resource string, amount int64, share float64) Use {
	return Use{Resource: b.res[resource], Amount: amount, Share: share}
}

// operator plans one operator of the graph as a list of kernels that follow each other.
func (b *builder) operator(op, fused *traces.Op, run *traces.Run) ([]*Body, error) {
	tp := b.mapping.TP
	inHere, outHere, err := b.onChipBytes(op)
	if err != nil {
		return nil, err
	}
	elem := func(d traces.DType, n int64) int64 { return int64(d.Bytes(n)) }
	var out []*Body
	emit := func(k *Body, err error) error {
		if err == nil && k != nil {
			out = append(out, k)
		}
		return err
	}
	switch op.Kind {
	case traces.Gemm:
		g := gemm{name: op.Name, phase: run.Phase, batch: max(op.Batch, 1), m: op.M, n: op.N, k: op.K, a: op.DType, w: op.WeightDType, shared: max(op.Batch, 1) == 1, inHere: inHere > 0, outHere: outHere > 0}
		parts := op.Parts
		if len(parts) == 0 {
			parts = []int64{op.N}
		}
		var gathered int64
		switch op.Split {
		case traces.Column:
			parts = append([]int64(nil), parts...)
			for i := range parts {
				parts[i] = units.CeilDiv(parts[i], tp) + b.replicas(parts[i])
			}
		case traces.Row, traces.Sharded, traces.Partial:
			g.k = units.CeilDiv(op.K, tp)
			if op.Gradient {
				g.k += b.replicas(op.K)
			}
		case traces.Heads: // a product for each head
			g.batch = units.CeilDiv(op.Batch, tp)
		case traces.Vocab:
			parts = []int64{units.CeilDiv(op.N, tp)}
			gathered = op.M * op.N
		case traces.Whole:
			if b.bySequence(op, run) {
				if makesGradient(b.blk, op) {
					g.k = units.CeilDiv(g.k, tp)
				} else {
					g.m = units.CeilDiv(g.m, tp)
				}
			}
		}
		if err := b.gather(op, run, emit); err != nil {
			return nil, err
		}
		// What every chip adds to its part of a sum would be added once for each: a bias of rows comes after.
		biased := len(op.Inputs) > 2
		bias := biased && op.Split == traces.Row && b.profile.RowBias
		if fused != nil {
			if g, err = b.gated(g, op, fused, run); err != nil {
				return nil, err
			}
			parts = []int64{2 * parts[0]}
		} else if len(parts) > 1 && b.fuses("parallel-gemm", run.Phase, op.Name) {
			sum := int64(0)
			for _, n := range parts {
				sum += n
			}
			parts = []int64{sum}
		}
		for _, n := range parts {
			g.n, g.windows = n, op.Distinct
			g.added, _ = units.MulDivCeil(n, op.Accumulate, op.N)
			g.wide = op.ToDType == traces.FP32
			g.biased = biased && !bias
			if err := emit(b.gemm(g)); err != nil {
				return nil, err
			}
		}
		if tp > 1 && op.Split == traces.Row {
			if err := emit(b.sum(op.Name, run, units.Bytes(elem(op.Result(), g.batch*op.M*op.N)))); err != nil {
				return nil, err
			}
		}
		if bias {
			d := op.DType.Result()
			n, w := g.batch*op.M*op.N, elem(d, op.N)
			return out, emit(b.rowKernel(rows{name: op.Name + ".bias", phase: run.Phase, kind: traces.Add, rows: g.batch * op.M, cols: op.N, dtype: d, wtype: d, kvtype: d,
				read: elem(d, n) + w, write: elem(d, n), weights: w, vector: n}))
		}
		if tp > 1 && gathered > 0 {
			return out, emit(b.collective(op.Name+".all-gather", run.Phase, traces.AllGather, units.Bytes(elem(op.DType.Result(), gathered))))
		}
		return out, nil
	case traces.Attention:
		a := attentionOf(op, run.Phase, run.Past, tp)
		a.inHere, a.outHere = inHere > 0, outHere > 0
		if fused != nil {
			beside := attentionOf(fused, run.Phase, run.Past, tp)
			beside.inHere, beside.outHere = a.inHere, a.outHere
			if beside.name = a.name + "+" + beside.name; beside.qlen > a.qlen {
				a, beside, a.name = beside, a, beside.name
			} else {
				a.name = beside.name
			}
			a.beside = &beside
		}
		switch training := op.Gradient || run.Phase == traces.Forward || run.Phase == traces.Backward; {
		case op.Gradient:
			return b.attentionBy(a, false, true)
		case b.mapping.Backward || b.mapping.Algorithm != "" || training:
			return b.attentionBy(a, true, b.mapping.Backward)
		}
		return b.attention(a)
	case traces.MoE:
		return b.moe(op, run.Phase)
	case traces.AllReduce, traces.AllGather, traces.ReduceScatter, traces.AllToAll, traces.Broadcast, traces.SendRecv:
		if tp == 1 {
			return nil, fmt.Errorf("a collective needs more than one chip: %w", ErrUnsupported)
		}
		return out, emit(b.collective(op.Name, run.Phase, op.Kind, op.Bytes))
	}
	w, err := op.Work(run.Past)
	if err != nil {
		return nil, err
	}
	r := rows{name: op.Name, phase: run.Phase, kind: op.Kind, rows: op.Rows, cols: op.Cols, dtype: op.DType, wtype: op.WeightDType, kvtype: op.KVDType,
		read: int64(w.ReadBytes + w.WeightBytes), write: int64(w.WriteBytes), vector: int64(w.VectorOps), special: int64(w.SpecialOps)}
	if op.Kind == traces.KVAppend && b.cached > 0 {
		old, ok := units.MulDivCeil(r.write, b.cached, op.Rows)
		if !ok || old > traces.MaxElements {
			return nil, fmt.Errorf("the copy of the cache: %w", ErrTooLarge)
		}
		r.read, r.write = r.read+old, r.write+old
	}
	r.inHere, r.outHere = inHere, outHere
	if op.Kind != traces.Embedding { // whose rows of the table are read once each
		r.weights = int64(w.WeightBytes)
	}
	if op.Gradient && op.Kind != traces.Softmax { // kernels of their own, which no entry of a library is named after
		r.as = arch.GradientRows
	}
	if op.Split == traces.Whole && b.bySequence(op, run) {
		r.rows, r.read, r.write = units.CeilDiv(r.rows, tp), units.CeilDiv(r.read, tp), units.CeilDiv(r.write, tp)
		r.vector, r.special = units.CeilDiv(r.vector, tp), units.CeilDiv(r.special, tp)
	}
	if op.Split == traces.Sharded {
		r.cols, r.read, r.write = units.CeilDiv(r.cols, tp), units.CeilDiv(r.read, tp), units.CeilDiv(r.write, tp)
		r.vector, r.special = units.CeilDiv(r.vector, tp), units.CeilDiv(r.special, tp)
	}
	if fused != nil {
		f, err := fused.Work(run.Past)
		if err != nil {
			return nil, err
		}
		// The sum is normed while it is in registers: only the weights are read and the result
		// is written on top.
		r.name, r.kind, r.fused = op.Name+"+"+fused.Name, fused.Kind, op.Kind.String()
		r.read += int64(f.WeightBytes)
		r.weights += int64(f.WeightBytes)
		r.write += int64(f.WriteBytes)
		r.vector += int64(f.VectorOps)
		r.special += int64(f.SpecialOps)
		_, more, err := b.onChipBytes(fused)
		if err != nil {
			return nil, err
		}
		r.outHere += more
	}
	r.inHere, r.outHere = min(r.inHere, r.read-r.weights), min(r.outHere, r.write)
	if err := emit(b.rowKernel(r)); err != nil {
		return nil, err
	}
	switch {
	case tp == 1 || op.Gradient:
	case op.Kind == traces.Embedding && op.Split == traces.Vocab || op.Split == traces.Row:
		return out, emit(b.sum(op.Name, run, units.Bytes(elem(op.DType, op.Rows*op.Cols))))
	case op.Split == traces.Sharded && (op.Kind == traces.LogSoftmax || op.Kind == traces.CrossEntropy):
		// Of each row the largest score, the score of the right one and the sum (Megatron-LM, vocab parallel cross entropy).
		return out, emit(b.collective(op.Name+".all-reduce", run.Phase, traces.AllReduce, traces.FP32.Bytes(3*op.Rows)))
	}
	return out, nil
}

// kernel starts a kernel's body with its launch.
func (b *builder) kernel(name string, phase traces.Phase, kind string) *Body {
	return b.kernelOf(name, phase, kind, kind)
}

// kernelOf starts the body of a kernel with its launch, and with the small kernels that the framework runs beside it for
// an operator of a kind.
func (b *builder) kernelOf(name string, phase traces.Phase, kind, operator string) *Body {
	body := b.mem.body(name, b.op(phase, name, kind), 6)
	kernels := 1 + b.profile.MoreKernels(operator)
	lat := b.profile.Launch * units.Time(kernels)
	if b.mapping.HostSync {
		host, ok := b.profile.HostSync[kind]
		if !ok {
			host = b.profile.HostSync["default"]
		}
		lat += host
	}
	if b.mapping.IdealLaunch {
		lat = 0
	}
	inline, host := b.launchOf(operator, phase)
	body.then(Node{Name: "launch", Step: b.mem.step(Step{Kind: "launch", Latency: lat + inline, Charge: sim.Launch, Host: host,
		Counts: b.mem.countList(b.count("launches", "launch", kernels))})})
	if more := kernels - 1; more > 0 {
		body.then(Node{Name: "small kernels", Step: wait("fill", rowKernelFor(b.profile, traces.Copy.String()).Fill*units.Time(more))})
	}
	return body
}

// wait is a step that only takes time: a pipeline filling or draining.
func wait(kind string, t units.Time) *Step {
	return &Step{Kind: kind, Latency: t, Charge: sim.Dependency}
}
