package plan

import (
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// rows is an operator that streams rows or elements: norms, softmax, activations, copies.
type rows struct {
	name            string
	phase           traces.Phase
	kind            traces.Kind
	fused           string // kind of the operator whose result this one takes in registers, in the same kernel
	rows, cols      int64
	dtype           traces.DType
	wtype, kvtype   traces.DType // of weights and of cached keys and values
	read, write     int64        // bytes
	inHere, outHere int64        // the parts of read and of write that are on chip
	weights         int64        // the part of read that all rows share
	vector, special int64        // operations
	whole           int64        // operations on whole numbers, beside the others
	convert         int64        // conversions of number formats
	lookup          int64        // bytes read from tables in the private memory
	overlap         float64      // by which load and work overlap; 0: perfectly
	follows         bool         // it reads what the kernel before it wrote
	as              string       // the kind of row kernel that it runs as, if the profile has one; "" for that of its own kind
}

// chunkPerCore is the data one core works on per pipeline stage of a streaming kernel: a thread
// block of 1024 threads with 16 B each.
const chunkPerCore = 16 << 10

// maxChunks bounds the stages of a streaming kernel; longer streams take larger chunks, which
// changes nothing but the size of what is in flight.
const maxChunks = 256

// rowKernelOf returns the entry that names a kind, else that of another kind.
func rowKernelOf(p *arch.Profile, kind, otherwise string) *arch.RowKernel {
	for i := range p.Vector {
		if kind != "" && slices.Contains(p.Vector[i].Kinds, kind) {
			return &p.Vector[i]
		}
	}
	return rowKernelFor(p, otherwise)
}

// rowKernelFor returns the entry of the kernel library for a kind of operator.
func rowKernelFor(p *arch.Profile, kind string) *arch.RowKernel {
	var rest *arch.RowKernel
	for i := range p.Vector {
		for _, k := range p.Vector[i].Kinds {
			if k == kind {
				return &p.Vector[i]
			}
			if k == "*" {
				rest = &p.Vector[i]
			}
		}
	}
	return rest
}

// workers returns how many cores can share the operator: a row is the business of one core for
// norms and softmax, other operators divide their elements.
func (b *builder) workers(r *rows, lib *arch.RowKernel) int64 {
	cores := b.m.Chip.Cores.Count
	switch {
	case r.kind == traces.LayerNorm, r.kind == traces.RMSNorm, r.kind == traces.Softmax, lib.Step > 0:
		return min(cores, r.rows)
	}
	return min(cores, units.CeilDiv(r.rows*r.cols, 1024))
}

// rowKernel plans the kernel of an operator that streams rows.
func (b *builder) rowKernel(r rows) (*Body, error) {
	kind := r.kind.String()
	var pin *pinned
	if b.pins != nil {
		pin = b.pins.of(b.matchRows(&r))
	}
	key := kernelKey{op: b.op(r.phase, r.name, kind), kind: kind, fused: r.fused, rows: r.rows, cols: r.cols, dtype: r.dtype, weight: r.wtype, kv: r.kvtype,
		read: units.Bytes(r.read), write: units.Bytes(r.write),
		vectorOps: units.Ops(r.vector), specialOps: units.Ops(r.special), inHere: r.inHere, outHere: r.outHere, pin: pin.choice()}
	if k := b.known(&key); k != nil {
		return k, nil
	}
	b.wait(&r)
	k := b.kernel(r.name, r.phase, kind)
	launch := k.Nodes[0].Step
	if r.vector > 0 {
		launch.Counts = append(launch.Counts, b.count("vector.ops", "op", r.vector))
	}
	if r.special > 0 {
		launch.Counts = append(launch.Counts, b.count("special.ops", "op", r.special))
	}
	resident := b.rowsResident(&r, pin)
	if c := b.profile.Chain(kind); c != nil && r.fused == "" && r.as != arch.GradientRows && !resident {
		b.chain(k, &r, c)
	} else {
		b.rows(k, &r, rowKernelOf(b.profile, r.as, kind), resident)
	}
	if b.decisions != nil {
		b.decidedRows(&r, k, resident, pin)
	}
	b.kernels[key] = k
	return k, nil
}

// chain adds the kernels that a framework runs for an operator, one after the other, each with a launch of its own.
func (b *builder) chain(k *Body, r *rows, c *arch.Chain) {
	n := int64(len(c.Kernels))
	size := func(tensors []string) (sum int64) {
		for _, t := range tensors {
			elements := r.rows * r.cols
			if one, ok := strings.CutPrefix(t, "row "); ok {
				t, elements = one, r.rows
			}
			d, err := traces.ParseDType(t)
			if err != nil { // "x"; others were checked when the machine was loaded
				d = r.dtype
			}
			grow(&sum, int64(d.Bytes(elements)))
		}
		return sum
	}
	// The host dispatches all of them before the first starts.
	first := k.Nodes[0].Step
	inline, host := b.launchOf(r.kind.String(), r.phase)
	first.Latency += inline * units.Time(n-1)
	first.Host += host * (n - 1)
	for i := range c.Kernels {
		one := &c.Kernels[i]
		if i > 0 {
			launch := b.mem.step(Step{Kind: "launch", Latency: b.profile.Launch, Charge: sim.Launch, Counts: b.mem.countList(b.count("launches", "launch", 1))})
			if b.mapping.IdealLaunch {
				launch.Latency = 0
			}
			k.then(Node{Name: "launch of " + one.Name, Step: launch})
		}
		like, kind := one.Like, traces.Copy
		if like == "" {
			like = kind.String()
		}
		if k, err := traces.ParseKind(like); err == nil {
			kind = k
		}
		part := rows{name: one.Name, phase: r.phase, kind: kind, rows: r.rows, cols: r.cols, dtype: r.dtype, wtype: r.wtype, kvtype: r.kvtype,
			read: size(one.Reads), write: size(one.Writes), vector: units.CeilDiv(r.vector, n), special: units.CeilDiv(r.special, n), follows: i > 0}
		if i == 0 {
			part.inHere = min(r.inHere, part.read)
		}
		if i == len(c.Kernels)-1 {
			part.outHere = min(r.outHere, part.write)
		}
		b.rows(k, &part, rowKernelFor(b.profile, like), false)
	}
}

// rows adds the operator's stream to its kernel, or works on operands that are on chip whole.
func (b *builder) rows(k *Body, r *rows, lib *arch.RowKernel, resident bool) {
	cores := max(1, b.workers(r, lib))
	k.then(Node{Name: "fill", Step: wait("fill", lib.Fill)})
	if resident {
		b.wholeRows(k, r, lib, cores)
	} else {
		b.streamRows(k, r, lib, cores)
	}
}

// streamRows plans chunks that are loaded, worked on and stored in a pipeline. What is found on chip and what comes from
// memory are chunks of their own: a core's rows are either, and it does not fetch some while it works on the others.
func (b *builder) streamRows(k *Body, r *rows, lib *arch.RowKernel, cores int64) {
	walk := b.walk(r, lib, cores)
	h := b.found(r)
	if h <= 0 {
		b.streamPart(k, r, lib, cores, "stream", walk)
		return
	}
	of := func(n int64) int64 { return int64(h * float64(n)) }
	here := *r
	for _, n := range []*int64{&here.read, &here.write, &here.inHere, &here.outHere, &here.weights, &here.vector, &here.special, &here.whole, &here.convert, &here.lookup} {
		*n = of(*n)
	}
	rest := *r
	rest.read, rest.write, rest.inHere, rest.outHere = r.read-here.read, r.write-here.write, r.inHere-here.inHere, r.outHere-here.outHere
	rest.weights, rest.vector, rest.special = r.weights-here.weights, r.vector-here.vector, r.special-here.special
	rest.whole, rest.convert, rest.lookup = r.whole-here.whole, r.convert-here.convert, r.lookup-here.lookup
	here.inHere, here.outHere = here.read, here.write
	b.streamPart(k, &here, lib, cores, "stream on chip", of(walk))
	if rest.read+rest.write > 0 {
		b.streamPart(k, &rest, lib, cores, "stream", walk-of(walk))
	}
}

// streamPart plans one pipeline of chunks.
func (b *builder) streamPart(k *Body, r *rows, lib *arch.RowKernel, cores int64, name string, walk int64) {
	unit := &b.m.Chip.Cores.Vector
	chunks, buffers := min(max(units.CeilDiv(r.read+r.write, cores*chunkPerCore), 1), maxChunks), int64(3)
	if lib.Buffers > 0 {
		buffers = lib.Buffers
	}
	per := func(n int64) int64 { return units.CeilDiv(n, chunks) }
	load, store := b.off.Sectors(per(r.read-r.inHere)), b.off.Sectors(per(r.write-r.outHere))
	taken, left := per(r.inHere), per(r.outHere)
	again := max(0, load+taken-per(r.weights)) * b.rereads(r, lib)
	issue := max(b.issue(lib, load+taken+again+store+left, per(r.weights), cores), units.CeilDiv(walk, chunks), b.lookups(r, lib, cores, chunks))
	vector, special := unit.Cycles(per(r.whole), per(r.vector), cores), units.CeilDiv(per(r.special), unit.Special*cores)
	vector += units.CeilDiv(per(r.convert), unit.Conversions()*cores)
	stream := b.mem.body(name, -1, 3)
	stream.Buffers = []Buffer{{Name: "rows", Capacity: buffers, Token: units.Bytes(units.CeilDiv(load+taken+store+left, cores))}}
	reads := b.mem.useList(b.useAt(b.off.Name, load, lib.Efficiency))
	readCounts := b.mem.countList(b.reads(b.off, load))
	writes := b.mem.useList(b.useAt(b.off.Name, store, lib.Efficiency))
	writeCounts := b.mem.countList(b.writes(b.off, store))
	work := b.mem.useList(b.use("vector", vector), b.use("special", special), b.use("issue", issue))
	done := b.mem.countList(b.count("vector.cycles", "core-cycle", max(vector, special, issue)*cores))
	if r.lookup > 0 && b.private != nil {
		done = append(done, b.reads(b.private, per(r.lookup)))
	}
	if b.shared != nil { // which fills through a port of its own
		readCounts = append(readCounts, b.writes(b.shared, load))
		work = append(work, b.use(b.shared.Name, load+taken+again))
		done = append(done, b.reads(b.shared, load+taken+again))
		if left > 0 {
			writes = append(writes, b.use(b.shared.Name, left))
			writeCounts = append(writeCounts, b.writes(b.shared, left))
		}
	}
	stream.Nodes = append(stream.Nodes,
		Node{Name: "load", Step: b.mem.step(Step{Kind: "load", Uses: reads, Counts: readCounts, Cores: cores}), Acquire: b.mem.tokenList(Tokens{0, 1})},
		Node{Name: r.kind.String(), Step: b.mem.step(Step{Kind: "compute", Uses: work, Counts: done, Cores: cores}), After: link(0)},
		Node{Name: "store", Step: b.mem.step(Step{Kind: "store", Uses: writes, Counts: writeCounts, Cores: cores}), After: link(1), Release: b.mem.tokenList(Tokens{0, 1})})
	if r.overlap > 0 {
		load, compute := stream.Nodes[0].Step, stream.Nodes[1].Step
		load.Beside, load.Overlap, compute.Beside, compute.Overlap = work, r.overlap, reads, r.overlap
	}
	k.then(Node{Name: name, Body: stream, Times: chunks})
}

// wholeRows plans load, work and store one after the other, in as many parts as it takes to fit on chip.
func (b *builder) wholeRows(k *Body, r *rows, lib *arch.RowKernel, cores int64) {
	parts := max(1, units.CeilDiv(r.read+r.write, int64(b.shared.Capacity)))
	if parts == 1 {
		b.wholePart(k, r, lib, cores, 1)
		return
	}
	part := &Body{Name: "part", Op: -1}
	b.wholePart(part, r, lib, cores, parts)
	k.then(Node{Name: "parts", Body: part.loop(), Times: parts})
}

func (b *builder) wholePart(k *Body, r *rows, lib *arch.RowKernel, cores, parts int64) {
	per := func(n int64) int64 { return units.CeilDiv(n, parts) }
	unit := &b.m.Chip.Cores.Vector
	read, write := per(r.read), per(r.write)
	again := max(0, read-per(r.weights)) * b.rereads(r, lib)
	vector, special := unit.Cycles(per(r.whole), per(r.vector), cores), units.CeilDiv(per(r.special), unit.Special*cores)
	vector += units.CeilDiv(per(r.convert), unit.Conversions()*cores)
	issue := max(b.issue(lib, read+again+write, per(r.weights), cores), per(b.walk(r, lib, cores)), b.lookups(r, lib, cores, parts))
	b.copyIn(k, "copy in", read)
	k.then(Node{Name: r.kind.String(), Step: b.mem.step(Step{Kind: "compute", Cores: cores,
		Uses: b.mem.useList(b.use("vector", vector), b.use("special", special), b.use("issue", issue), b.use(b.shared.Name, read+again+write)),
		Counts: b.mem.countList(b.count("vector.cycles", "core-cycle", max(vector, special, issue)*cores),
			b.reads(b.shared, read+again), b.writes(b.shared, write))})})
	b.copyOut(k, "copy out", write)
}

// rereads returns how often rows come from the shared on-chip tier after they came from memory: not at all if those in work fit
// into the core's own memory. Weights come once: a core keeps them.
func (b *builder) rereads(r *rows, lib *arch.RowKernel) int64 {
	if b.private != nil && lib.Rows > 0 && units.CeilDiv(r.read-r.weights, r.rows)*lib.Rows <= int64(b.private.Capacity) {
		return 0
	}
	return lib.Passes - 1
}

// issue returns the cycles in which each core can move its part of the rows through its port. Weights
// are among the bytes but do not count: a core keeps them, and the rates of the ports were fitted so.
func (b *builder) issue(lib *arch.RowKernel, bytes, weights, cores int64) int64 {
	return int64(math.Ceil(float64(bytes-weights) / float64(lib.Port) / float64(cores)))
}

// lookups returns the cycles in which each core reads its part of the tables, in one of so many parts.
func (b *builder) lookups(r *rows, lib *arch.RowKernel, cores, parts int64) int64 {
	if r.lookup == 0 {
		return 0
	}
	return int64(math.Ceil(float64(units.CeilDiv(r.lookup, parts)) / float64(lib.Lookup) / float64(cores)))
}

// found returns the share of an operator's bytes that are in the shared memory on chip already: an operator by itself is
// measured again and again, and a kernel of a chain follows the one whose result it reads.
func (b *builder) found(r *rows) float64 {
	if b.shared == nil || r.kind == traces.Gemm || !b.alone && !r.follows {
		return 0
	}
	return b.shared.Found(units.Bytes(r.read + r.write))
}

// walk returns the cycles that a kernel takes which walks its rows step by step.
func (b *builder) walk(r *rows, lib *arch.RowKernel, cores int64) int64 {
	if lib.Step == 0 {
		return 0
	}
	block := lib.Block(r.rows, r.cols)
	cycles, ok := mul(units.CeilDiv(r.cols, block.Width), units.CeilDiv(r.rows, block.Rows*cores), int64(lib.Step))
	if !ok {
		return math.MaxInt64 / 2
	}
	return cycles
}
