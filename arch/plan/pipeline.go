package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// A dataflow machine runs a whole block as a spatial pipeline (Prabhakar et al., SN40L, MICRO 2024): every
// operator has cores of its own, tiles of rows stream from one to the next on chip, and one launch starts
// them all. Weights are read once. What crosses a launch goes through off-chip memory; what crosses a
// collective within a launch stays on chip if it fits.
//
// A block becomes launches, a launch segments: chains of operators between collectives, which need all of a
// row and so hold up the stream. In a segment of T tiles and k operators the cores work for T+k−1 tile times,
// and a tile takes k stages however small it is.
//
// Tiles that are done go to the other chips while the next ones are at work; the segment after a collective
// starts when all have arrived.
//
// Not modelled: where on the chip operators sit and the network between them; how well the shape of a product
// fits the lanes of a unit; tiles that pass a collective before the rest has arrived. Weights of a launch
// arrive while its first tiles and the launch before it are at work.

// pieceBytes is what one round of a segment reads from memory, if that makes more rounds than there are
// tiles: small beside the on-chip memory, large beside a burst.
const pieceBytes = 1 << 20

// streamed is one operator in a pipeline: what one chip does for it.
type streamed struct {
	op       *traces.Op
	kind     traces.Kind
	tiles    int64        // of rows
	matrix   traces.DType // that the matrix units multiply
	macs     int64        // multiply-adds
	vector   int64
	special  int64
	read     int64 // off-chip bytes whatever the pipeline: weights, cached keys and values, tables
	write    int64 // off-chip bytes whatever the pipeline: new keys and values
	onRead   int64 // on-chip bytes
	onWrite  int64
	resident int64 // bytes that stay on chip while tiles stream past
	reduced  traces.Kind
	payload  units.Bytes // of the collective after it, 0 for none
}

// segment is a chain of operators between collectives.
type segment struct {
	ops []streamed
	in  int64 // bytes of tensors read from memory at the beginning of the chain and written to it at the end
	out int64
	// collective ends the segment, nil if none does; its payload streams out with the tiles if there are several.
	collective *flow
	streams    bool
}

// grow adds to a count, which stays at the largest number when it would pass it.
func grow(to *int64, by int64) {
	if sum, ok := units.Add(*to, by); ok {
		*to = sum
	} else {
		*to = math.MaxInt64
	}
}

// pipelines reports whether the profile runs the block as a pipeline.
func (b *builder) pipelines(blk *traces.Block, phase traces.Phase) bool {
	if len(blk.Ops) < 2 || b.pins == nil && b.decisions == nil && !b.profile.Fuses("decoder-pipeline") {
		return false
	}
	names := make([]string, len(blk.Ops))
	for i := range names {
		names[i] = blk.Ops[i].Name
	}
	return b.fuses("decoder-pipeline", phase, names...)
}

// pipelined plans a block as launches of pipelines; operators that no pipeline takes have kernels of their own.
func (b *builder) pipelined(blk *traces.Block, run *traces.Run) (*Body, error) {
	body := &Body{Name: blk.Name, Op: -1}
	room := int64(float64(b.shared.Capacity) * b.profile.Pipeline.Room)
	var launch []streamed
	var taken int64
	first := 0 // operator of the launch
	flush := func(end int) error {
		kernels, err := b.pipelineLaunch(blk, run, launch, first, end, room-taken)
		for _, k := range kernels {
			body.then(Node{Name: b.p.Ops[k.Op].Name, Body: k, Times: 1})
		}
		launch, taken, first = nil, 0, end
		return err
	}
	for i := range blk.Ops {
		op := &blk.Ops[i]
		s, ok, err := b.streams(op, run)
		if err == nil && ok && s.resident > room {
			ok = false
		}
		if err == nil && len(launch) > 0 && (!ok || taken+s.resident > room) {
			err = flush(i)
		}
		if err == nil && !ok {
			var kernels []*Body
			kernels, err = b.operator(op, nil, run)
			for _, k := range kernels {
				body.then(Node{Name: b.p.Ops[k.Op].Name, Body: k, Times: 1})
			}
			first = i + 1
		}
		if err != nil {
			return nil, fmt.Errorf("operator %s of %s: %w", op.Name, blk.Name, err)
		}
		if ok {
			launch = append(launch, s)
			taken += s.resident
		}
	}
	if len(launch) > 0 {
		if err := flush(len(blk.Ops)); err != nil {
			return nil, fmt.Errorf("block %s: %w", blk.Name, err)
		}
	}
	return body.loop(), nil
}

// local is the operator as one chip of a tensor-parallel group has it.
func (b *builder) local(op *traces.Op) traces.Op {
	o, tp := *op, b.mapping.TP
	switch op.Split {
	case traces.Column, traces.Vocab:
		if op.Kind == traces.Gemm {
			parts := op.Parts
			if len(parts) == 0 || op.Split == traces.Vocab {
				parts = []int64{op.N}
			}
			o.N, o.Parts = 0, nil
			for _, n := range parts {
				o.N += units.CeilDiv(n, tp)
			}
		}
	case traces.Row, traces.Partial:
		o.K = units.CeilDiv(op.K, tp)
	case traces.Heads:
		if op.Kind == traces.Gemm {
			o.Batch = units.CeilDiv(op.Batch, tp)
			break
		}
		o.Heads = op.Heads / tp
		o.KVHeads = units.CeilDiv(op.KVHeads, tp)
	case traces.Sharded:
		if op.Kind == traces.Gemm { // of an adapter, whose sum is completed with the projection's
			o.K = units.CeilDiv(op.K, tp)
			break
		}
		o.Cols = units.CeilDiv(op.Cols, tp)
	}
	return o
}

// streams works out an operator in a pipeline; ok is false for kinds that no pipeline takes.
func (b *builder) streams(op *traces.Op, run *traces.Run) (s streamed, ok bool, err error) {
	o := b.local(op)
	rows := o.Rows
	switch {
	case o.Kind == traces.Gemm:
		rows = max(o.Batch, 1) * o.M
	case o.Kind == traces.Attention:
		rows = o.Batch * o.QLen
	case !o.Kind.RowWise():
		return s, false, nil
	}
	w, err := o.Work(run.Past)
	if err != nil {
		return s, false, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	s = streamed{op: op, kind: o.Kind, tiles: units.CeilDiv(rows, b.profile.Pipeline.Rows), matrix: o.DType,
		macs: int64(w.MatrixOps) / 2, vector: int64(w.VectorOps), special: int64(w.SpecialOps)}
	weights, in, out := int64(w.WeightBytes), int64(w.ReadBytes), int64(w.WriteBytes)
	switch o.Kind {
	case traces.Gemm:
		if o.WeightDType.Bits() > o.DType.Bits() {
			s.matrix = o.WeightDType
		}
		s.read, s.onRead, s.onWrite = weights, in, out
		if s.tiles > 1 {
			s.resident = weights
		}
	case traces.Attention:
		// What the queries see of the cache comes from memory, what they add is on chip.
		keys := func(n int64) int64 { return int64(o.KVDType.KVPairs(o.Batch*o.KVHeads*n, o.HeadDim, o.Kept())) }
		s.read = keys(o.SeenPast(run.Past))
		q := int64(o.DType.Bytes(o.Batch * o.Heads * o.QLen * o.HeadDim))
		kv := in - q // with what distances add to the scores
		if o.Relative != traces.NoRelative {
			s.read += kv - keys(o.SeenPast(run.Past)+o.NewKeys())
		}
		s.onRead, s.onWrite = q, out
		walks := units.CeilDiv(o.QLen, b.profile.Pipeline.Rows) // of the keys of a sequence
		if walks > 1 {
			s.resident = units.CeilDiv(kv, o.Batch)
		}
		again, ok := mul(kv, walks)
		if !ok {
			return s, false, fmt.Errorf("keys and values: %w", ErrTooLarge)
		}
		s.onRead += again
	case traces.KVAppend:
		s.onRead, s.write = in, out
	case traces.Embedding:
		s.read, s.onRead, s.onWrite = in+weights, 0, out
	default:
		s.read, s.onRead, s.onWrite = weights, in, out
		if s.tiles > 1 {
			s.resident = weights
		}
	}
	if o.Kind == traces.Gemm || o.Kind.RowWise() && o.Kind != traces.Embedding {
		again, ok := mul(weights, s.tiles) // each tile of rows meets every weight
		if !ok {
			return s, false, fmt.Errorf("weights: %w", ErrTooLarge)
		}
		s.onRead += again
	}
	if s.macs > 0 {
		if _, err := b.m.Chip.Cores.Matrix.Rate(s.matrix); err != nil {
			return s, false, fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
	}
	if b.mapping.TP > 1 {
		switch {
		case op.Kind == traces.Gemm && op.Split == traces.Row:
			s.reduced, s.payload = traces.AllReduce, op.DType.Result().Bytes(max(op.Batch, 1)*op.M*op.N)
		case op.Kind == traces.Gemm && op.Split == traces.Vocab:
			s.reduced, s.payload = traces.AllGather, op.DType.Result().Bytes(max(op.Batch, 1)*op.M*op.N)
		case op.Kind == traces.Embedding && op.Split == traces.Vocab, op.Kind.RowWise() && op.Split == traces.Row:
			s.reduced, s.payload = traces.AllReduce, op.DType.Bytes(op.Rows*op.Cols)
		}
	}
	return s, true, nil
}

// pipelineLaunch plans the operators first…end−1 of the block as one launch.
func (b *builder) pipelineLaunch(blk *traces.Block, run *traces.Run, ops []streamed, first, end int, room int64) ([]*Body, error) {
	segments := []segment{{}}
	for i := range ops {
		s := &segments[len(segments)-1]
		s.ops = append(s.ops, ops[i])
		if ops[i].payload > 0 && i+1 < len(ops) {
			segments = append(segments, segment{})
		}
	}
	if err := b.crossings(blk, segments, first, end, room); err != nil {
		return nil, err
	}
	var kernels []*Body
	for i := range segments {
		s := &segments[i]
		last := &s.ops[len(s.ops)-1]
		name := last.op.Name + "." + last.reduced.String()
		var pin *pinned
		if last.payload > 0 {
			var protocol string
			protocol, pin = b.protocol(b.cluster, name, run.Phase, last.reduced, b.tensorGroup(), last.payload)
			c, _, err := b.flow(b.cluster, interconnect.Op(last.reduced.String()), b.tensorGroup(), last.payload, protocol)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
			}
			s.collective = &c
		}
		k, err := b.pipelineSegment(run, s, i == 0)
		if err != nil {
			return nil, err
		}
		kernels = append(kernels, k)
		b.lookAtPipeline(k, run, s)
		if s.collective != nil {
			c := b.streamedCollective(s, run)
			if b.decisions != nil {
				b.decidedCollective(b.cluster, b.matchCollective(name, run.Phase, last.reduced), c, b.tensorGroup(), last.payload, s.collective, pin)
			}
			kernels = append(kernels, c)
		}
	}
	return kernels, nil
}

// lookAtPipeline refuses what is pinned of a pipeline, which has no choices, and notes the pipeline.
func (b *builder) lookAtPipeline(k *Body, run *traces.Run, s *segment) {
	m := Match{Op: k.Name, Kind: "pipeline", Phase: run.Phase.String(), Block: b.blockName}
	if b.pins != nil {
		if pin := b.pins.of(m); pin != nil {
			b.only(pin, &m, "a pipeline of a block", "decoder-pipeline can be taken apart under fusion")
		}
	}
	if b.decisions != nil {
		var holds []Held
		for _, h := range []Held{{"what enters", units.Bytes(s.in)}, {"what leaves", units.Bytes(s.out)}} {
			if h.Bytes > 0 {
				holds = append(holds, h)
			}
		}
		b.decided(Decision{Match: m, Body: k, What: plural(int64(len(s.ops)), "operator") + " of the block, each on cores of its own",
			Rule: "tiles of rows stream from one to the next on chip", Levels: b.streamLevels(k, holds)}, nil)
	}
}

// crossings works out which tensors enter and leave each segment through memory. Those that pass from one
// segment of the launch to another wait on chip if there is room for all of them.
func (b *builder) crossings(blk *traces.Block, segments []segment, first, end int, room int64) error {
	inSegment := make([]int, end-first)
	n := 0
	for i := range segments {
		for range segments[i].ops {
			inSegment[n] = i
			n++
		}
	}
	type life struct {
		made     int // segment that makes it, −1 before the launch
		uses     []int
		outlives bool
	}
	lives := make([]life, len(blk.Tensors))
	for t := range lives {
		lives[t] = life{made: -1, outlives: true}
	}
	for j := first; j < end; j++ {
		at := inSegment[j-first]
		for _, t := range blk.Ops[j].Inputs {
			if l := &lives[t]; len(l.uses) == 0 || l.uses[len(l.uses)-1] != at {
				l.uses = append(l.uses, at)
			}
			lives[t].outlives = false
		}
		for _, t := range blk.Ops[j].Outputs {
			lives[t].made = at
		}
	}
	for j := end; j < len(blk.Ops); j++ {
		for _, t := range blk.Ops[j].Inputs {
			lives[t].outlives = true
		}
	}
	sizes := make([]int64, len(blk.Tensors))
	var waiting int64
	for t := range lives {
		if blk.Tensors[t].Role != traces.Activation {
			continue
		}
		size, err := b.localBytes(blk, traces.TensorID(t))
		if err != nil {
			return err
		}
		sizes[t] = size
		if l := &lives[t]; len(l.uses) > 0 && (l.made >= 0 && l.uses[len(l.uses)-1] != l.made || l.made < 0 && len(l.uses) > 1) {
			grow(&waiting, size)
		}
	}
	stays := waiting <= room
	for t := range lives {
		l := &lives[t]
		if sizes[t] == 0 || len(l.uses) == 0 && l.made < 0 {
			continue
		}
		if l.made < 0 { // from an earlier launch
			for i, at := range l.uses {
				if i == 0 || !stays {
					grow(&segments[at].in, sizes[t])
				}
			}
			continue
		}
		crosses := false
		for _, at := range l.uses {
			if at != l.made {
				crosses = true
				if !stays {
					grow(&segments[at].in, sizes[t])
				}
			}
		}
		if l.outlives || crosses && !stays {
			grow(&segments[l.made].out, sizes[t])
		}
	}
	return nil
}

// localBytes is the size of a tensor on one chip: a part of it where the operator that makes it is divided.
func (b *builder) localBytes(blk *traces.Block, id traces.TensorID) (int64, error) {
	t := &blk.Tensors[id]
	n, ok := mul(t.Shape...)
	if !ok || n > traces.MaxElements {
		return 0, fmt.Errorf("tensor %s: %w", t.Name, ErrTooLarge)
	}
	bytes := int64(t.Type.Bytes(n))
	for j := range blk.Ops {
		op := &blk.Ops[j]
		for _, out := range op.Outputs {
			if out == id && (op.Split == traces.Column || op.Split == traces.Heads || op.Split == traces.Sharded) {
				return units.CeilDiv(bytes, b.mapping.TP), nil
			}
		}
	}
	return bytes, nil
}

// pipelineSegment plans one chain of operators.
func (b *builder) pipelineSegment(run *traces.Run, s *segment, launches bool) (*Body, error) {
	pl := b.profile.Pipeline
	name := s.ops[0].op.Name
	if n := len(s.ops); n > 1 {
		name += "…" + s.ops[n-1].op.Name
	}
	var k *Body
	if launches {
		k = b.kernel(name, run.Phase, "pipeline")
	} else {
		k = &Body{Name: name, Op: b.op(run.Phase, name, "pipeline")}
	}
	tiles := int64(1)
	var read, write, onRead, onWrite int64
	var cycles float64 // of all cores
	unit := &b.m.Chip.Cores
	var ops []Count
	for i := range s.ops {
		o := &s.ops[i]
		tiles = max(tiles, o.tiles)
		grow(&read, o.read)
		grow(&write, o.write)
		grow(&onRead, o.onRead)
		grow(&onWrite, o.onWrite)
		if o.macs > 0 {
			rate, err := unit.Matrix.Rate(o.matrix)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
			}
			cycles += float64(o.macs) / float64(rate)
			ops = append(ops, b.count("matrix."+o.matrix.String()+".ops", "op", 2*o.macs))
		}
		if o.vector > 0 {
			cycles += float64(o.vector) / float64(unit.Vector.Lanes)
			ops = append(ops, b.count("vector.ops", "op", o.vector))
		}
		if o.special > 0 {
			cycles += float64(o.special) / float64(unit.Vector.Special)
			ops = append(ops, b.count("special.ops", "op", o.special))
		}
	}
	grow(&read, s.in)
	grow(&write, s.out)
	if max(read, write, onRead, onWrite) > 1<<60 {
		return nil, fmt.Errorf("traffic of %s: %w", name, ErrTooLarge)
	}
	read, write = b.off.Sectors(read), b.off.Sectors(write)
	cores := max(1, int64(float64(unit.Count)*pl.Usage))
	perCore := cycles / float64(cores)
	if perCore > 1<<61 {
		return nil, fmt.Errorf("operations of %s: %w", name, ErrTooLarge)
	}
	busy := int64(math.Ceil(perCore))
	// Everything that arrives on chip is written there, and everything that leaves is read.
	onWrite, onRead = onWrite+read, onRead+write
	rounds := min(max(tiles, units.CeilDiv(read+write, pieceBytes), 1), maxChunks)
	if tiles > 1 {
		rounds = min(tiles, maxChunks)
	}
	per := func(n int64) int64 { return units.CeilDiv(n, rounds) }
	k.then(Node{Name: "stages", Step: &Step{Kind: "fill", Latency: units.Time(int64(len(s.ops)) * int64(pl.Stage)), Charge: sim.Dependency, Counts: ops}})
	sector := b.off.Sectors
	load, store, moved := sector(per(read)), sector(per(write)), per(onRead+onWrite)
	reads := []Use{b.use(b.off.Name, load)}
	work := []Use{b.use("matrix", per(busy)), b.use(b.shared.Name, moved)}
	done := []Count{b.count("matrix.cycles", "core-cycle", per(busy)*cores), b.reads(b.shared, per(onRead)), b.writes(b.shared, per(onWrite))}
	stream := &Body{Name: "tiles", Op: -1, Buffers: []Buffer{{Name: "tiles", Capacity: 2, Token: units.Bytes(units.CeilDiv(load+store, cores))}}}
	stream.Nodes = []Node{
		{Name: "load", Step: &Step{Kind: "load", Uses: reads, Beside: work, Overlap: pl.Overlap, Counts: []Count{b.reads(b.off, load)}, Cores: cores}, Acquire: []Tokens{{0, 1}}},
		{Name: "operators", Step: &Step{Kind: "compute", Uses: work, Beside: reads, Overlap: pl.Overlap, Counts: done, Cores: cores}, After: []Dep{{Node: 0}}},
		{Name: "store", Step: &Step{Kind: "store", Uses: []Use{b.use(b.off.Name, store)}, Counts: []Count{b.writes(b.off, store)}, Cores: cores},
			After: []Dep{{Node: 1}}, Release: []Tokens{{0, 1}}},
	}
	if s.streams = tiles > 1 && s.collective != nil; s.streams {
		stream.Nodes[2].Release = nil
		stream.Nodes = append(stream.Nodes, Node{Name: "send", Step: b.send(s, rounds), After: []Dep{{Node: 2}}, Release: []Tokens{{0, 1}}})
		stream.Buffers[0].Capacity = 3
	}
	k.then(Node{Name: "tiles", Body: stream, Times: rounds})
	// The last tile leaves the first operator when k−1 others have yet to see it.
	if drain := int64(len(s.ops)) - 1; tiles > 1 && drain > 0 && busy > 0 {
		tile := units.CeilDiv(busy, tiles)
		k.then(Node{Name: "drain", Body: &Body{Name: "drain", Op: -1, Nodes: []Node{{Name: "operators", Step: &Step{Kind: "compute",
			Uses: []Use{b.use("matrix", tile)}, Counts: []Count{b.count("matrix.cycles", "core-cycle", tile*cores)}, Cores: cores}}}}, Times: drain})
	}
	return k, nil
}

// send is the payload of a collective, or a part of it, on its way from and to on-chip memory.
func (b *builder) send(s *segment, parts int64) *Step {
	c := s.collective
	uses, counts := c.uses(b, parts)
	sent := units.CeilDiv(int64(c.near+c.far), parts)
	return &Step{Kind: "collective", Uses: append(uses, b.use(b.shared.Name, 2*sent)),
		Counts: append(counts, b.reads(b.shared, sent), b.writes(b.shared, sent))}
}

// streamedCollective is what of a collective within a launch comes after the last tile.
func (b *builder) streamedCollective(s *segment, run *traces.Run) *Body {
	last := s.ops[len(s.ops)-1]
	name := last.op.Name + "." + last.reduced.String()
	k := &Body{Name: name, Op: b.op(run.Phase, name, last.reduced.String())}
	step := &Step{Kind: "collective"}
	if !s.streams {
		step = b.send(s, 1)
	}
	step.Latency, step.Charge = s.collective.latency, sim.Link
	k.then(Node{Name: "transfer, " + s.collective.protocol, Step: step})
	return k
}
