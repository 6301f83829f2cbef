package plan

import (
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// rows is an operator that streams rows or elements: norms, softmax, activations, copies.
type rows struct {
	name            string
	phase           traces.Phase
	kind            traces.Kind
	rows, cols      int64
	read, write     int64 // bytes
	vector, special int64 // operations
}

// chunkPerCore is the data one core works on per pipeline stage of a streaming kernel: a thread
// block of 1024 threads with 16 B each.
const chunkPerCore = 16 << 10

// maxChunks bounds the stages of a streaming kernel; longer streams take larger chunks, which
// changes nothing but the size of what is in flight.
const maxChunks = 256

// rowKernelFor returns the entry of the kernel library for a kind of operator.
func rowKernelFor(p *arch.Profile, kind traces.Kind) *arch.RowKernel {
	var rest *arch.RowKernel
	for i := range p.Vector {
		for _, k := range p.Vector[i].Kinds {
			if k == kind.String() {
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
func (b *builder) workers(r *rows) int64 {
	cores := b.m.Chip.Cores.Count
	switch r.kind {
	case traces.LayerNorm, traces.RMSNorm, traces.Softmax:
		return min(cores, r.rows)
	}
	return min(cores, units.CeilDiv(r.rows*r.cols, 1024))
}

// rowKernel plans a streaming kernel: chunks are loaded, worked on and stored in a pipeline.
func (b *builder) rowKernel(r rows) (*Body, error) {
	kind := r.kind.String()
	key := kernelKey{op: b.op(r.phase, r.name, kind), kind: kind, rows: r.rows, cols: r.cols, read: units.Bytes(r.read), write: units.Bytes(r.write),
		vectorOps: units.Ops(r.vector), specialOps: units.Ops(r.special)}
	if k, ok := b.kernels[key]; ok {
		return k, nil
	}
	lib := rowKernelFor(b.profile, r.kind)
	k := b.kernel(r.name, r.phase, kind)
	launch := k.Nodes[0].Step
	if r.vector > 0 {
		launch.Counts = append(launch.Counts, b.count("vector.ops", "op", r.vector))
	}
	if r.special > 0 {
		launch.Counts = append(launch.Counts, b.count("special.ops", "op", r.special))
	}
	cores := max(1, b.workers(&r))
	chunks := min(max(units.CeilDiv(r.read+r.write, cores*chunkPerCore), 1), maxChunks)
	per := func(n int64) int64 { return units.CeilDiv(n, chunks) }
	unit := &b.m.Chip.Cores.Vector
	load, store := b.off.Sectors(per(r.read)), b.off.Sectors(per(r.write))
	// Passes over the input beyond the first find it on chip.
	again := load * (lib.Passes - 1)
	issue := int64(math.Ceil(float64(load+again+store) / float64(lib.Port) / float64(cores)))
	vector, special := units.CeilDiv(per(r.vector), unit.Lanes*cores), units.CeilDiv(per(r.special), unit.Special*cores)
	var stream Body
	stream.Name, stream.Op = "stream", -1
	stream.Buffers = []Buffer{{Name: "rows", Capacity: 3, Token: units.Bytes(units.CeilDiv(load+store, cores))}}
	reads := []Use{b.use(b.off.Name, b.asked(load, lib.Efficiency))}
	readCounts := []Count{b.count(b.off.Name+".read", "B", load)}
	writes := []Use{b.use(b.off.Name, b.asked(store, lib.Efficiency))}
	writeCounts := []Count{b.count(b.off.Name+".write", "B", store)}
	work := []Use{b.use("vector", vector), b.use("special", special), b.use("issue", issue)}
	done := []Count{b.count("vector.cycles", "core-cycle", max(vector, special, issue)*cores)}
	if b.shared != nil {
		reads = append(reads, b.use(b.shared.Name, load))
		readCounts = append(readCounts, b.count(b.shared.Name+".write", "B", load))
		work = append(work, b.use(b.shared.Name, load+again))
		done = append(done, b.count(b.shared.Name+".read", "B", load+again))
	}
	stream.Nodes = []Node{
		{Name: "load", Step: &Step{Kind: "load", Uses: reads, Counts: readCounts, Cores: cores}, Acquire: []Tokens{{0, 1}}},
		{Name: kind, Step: &Step{Kind: "compute", Uses: work, Counts: done, Cores: cores}, After: []Dep{{Node: 0}}},
		{Name: "store", Step: &Step{Kind: "store", Uses: writes, Counts: writeCounts, Cores: cores}, After: []Dep{{Node: 1}}, Release: []Tokens{{0, 1}}},
	}
	k.then(Node{Name: "fill", Step: wait("fill", lib.Fill)})
	k.then(Node{Name: "stream", Body: &stream, Times: chunks})
	b.kernels[key] = k
	return k, nil
}
