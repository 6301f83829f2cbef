package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Attention by an algorithm that a request names, and its gradients (Dao et al., FlashAttention, arXiv 2205.14135; Dao,
// FlashAttention-2, arXiv 2307.08691).
//
// Fused kernels keep neither scores nor probabilities: the backward pass computes each tile of scores once more from
// queries, keys and the logarithm of each row's sum, and takes five products for it where the forward pass takes two: 2.5
// times its operations.
//
//	flash1: a thread block has a head, and walks all its queries once for each tile of keys. Q is read as often as there
//	are tiles of keys that see it, and results so far are read and written as often (algorithms 1 and 4 of the paper; they
//	have the format of the results here, FP32 in the released kernels). Where those of all heads in work have room on
//	chip, that does not reach memory.
//	flash2, flash3: a thread block has a tile of queries, backward a tile of keys. All blocks of a head run at a time, so
//	that each tensor comes from memory once; the gradient of the queries is summed in FP32 by atomic additions, and two
//	small kernels before and after it make the rows' dO·O and round that sum.
//
// Dropout of fused kernels is computed in registers and its mask computed again, at no bytes; its arithmetic hides in the
// part of the softmax that is counted.

// rowSum is the bytes of what a fused kernel keeps of a row of scores: the logarithm of its sum, or dO·O, in FP32.
const rowSum = 4

// attentionBy plans attention by the mapping's algorithm or as training runs it, forward, backward or both.
func (b *builder) attentionBy(a attention, forward, backward bool) ([]*Body, error) {
	if _, ok := mul(a.batch, a.heads, max(a.qlen, 16), max(a.keys, 16), a.dim+a.values, 16); !ok {
		return nil, fmt.Errorf("attention of %d×%d queries over %d tokens: %w", a.batch, a.qlen, a.keys, ErrTooLarge)
	}
	if b.mapping.Backward {
		switch {
		case a.past > 0:
			return nil, &Invalid{"past-len", fmt.Sprintf("%d: a backward pass has no cached tokens", a.past), "leave it out, or ask for the forward pass"}
		case a.kv != a.t:
			return nil, &Invalid{"kv-dtype", fmt.Sprintf("%s: gradients need keys and values as they were computed, in %s", a.kv, a.t), "leave it out"}
		}
	}
	if b.mapping.Algorithm == arch.Standard || b.mapping.Algorithm == "" && !b.fuses("flash-attention", a.phase, a.name) {
		return b.standardAttention(&a, forward, backward)
	}
	a.lib, a.made = b.profile.AttentionKernel(a.decodes(), a.heads > a.kvHeads, a.kv)
	var out []*Body
	var err error
	switch {
	case !forward:
	case a.lib.Algorithm == "flash1":
		var k *Body
		k, err = b.flash1(&a, false)
		out = []*Body{k}
	default:
		out, err = b.attention(a)
	}
	if err != nil || !backward {
		return out, err
	}
	var back []*Body
	if a.lib.Algorithm == "flash1" {
		var k *Body
		k, err = b.flash1(&a, true)
		back = []*Body{k}
	} else {
		back, err = b.flashBackward(&a)
	}
	return append(out, back...), err
}

// backwardOf is how a kernel's gradients are tiled.
func backwardOf(at *arch.AttentionKernel) arch.AttentionBackward {
	if at.Backward != nil {
		return *at.Backward
	}
	return arch.AttentionBackward{Rows: at.Rows, Keys: at.Keys, Resident: at.Resident}
}

// gradientCycles returns the cycles of one tile of rows×keys scores in the backward pass: five products, and the
// arithmetic between them that does not hide.
func (b *builder) gradientCycles(a *attention, rows, keys int64) (int64, error) {
	u := &b.m.Chip.Cores.Matrix
	t := u.Native(a.t)
	var sum units.Cycles
	for _, p := range [][3]int64{
		{rows, keys, a.dim}, {rows, keys, a.values}, // scores, and dP = dO·Vᵀ
		{keys, a.values, rows}, {keys, a.dim, rows}, {rows, a.dim, keys}, // dV = Pᵀ·dO, dK = dSᵀ·Q, dQ = dS·K
	} {
		c, err := u.Cycles(t, p[0], p[1], p[2])
		if err != nil {
			return 0, fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		sum += c.Steady
	}
	at := a.lib
	share := at.MatrixShare
	if c := backwardOf(at); c.MatrixShare > 0 {
		share = c.MatrixShare
	}
	return int64(math.Ceil(float64(sum)/share)) + 2*ofTile(at.Softmax, rows*keys, at.Rows*at.Keys), nil
}

// countGradients counts the operations of the backward pass over the scores that are visited: of five products on the
// matrix unit; beside them an exponential and six simple ones for each score.
func (b *builder) countGradients(k *Body, a *attention, scores int64) {
	launch := k.Nodes[0].Step
	launch.Counts = append(launch.Counts, b.count("matrix."+b.m.Chip.Cores.Matrix.Native(a.t).String()+".ops", "op", 2*scores*(3*a.dim+2*a.values)),
		b.count("vector.ops", "op", 6*scores), b.count("special.ops", "op", scores))
}

// tileRounds are the rounds of tiles of a fused kernel: in each, every core that works loads and stores its part and
// computes its tiles.
type tileRounds struct {
	rounds int64
	cores  int64
	read   int64 // off-chip bytes of all rounds
	write  int64
	stream int64 // on-chip bytes of all rounds
	cycles int64 // of a core in one round
}

// then appends the rounds to a kernel.
func (b *builder) thenRounds(k *Body, at *arch.AttentionKernel, r tileRounds) {
	per := func(n int64) int64 { return units.CeilDiv(n, r.rounds) }
	read, write, stream := b.off.Sectors(per(r.read)), b.off.Sectors(per(r.write)), per(r.stream)
	moves := []Use{b.useAt(b.off.Name, read+write, at.MemoryShare)}
	counts := []Count{b.reads(b.off, read), b.writes(b.off, write)}
	if b.shared != nil {
		moves = append(moves, b.use(b.shared.Name, stream))
		counts = append(counts, b.reads(b.shared, stream), b.writes(b.shared, read))
	}
	work := []Use{b.use("matrix", r.cycles)}
	p := at.Overlap
	if p == 0 {
		p = b.profile.Gemm.Overlap
	}
	body := &Body{Name: "tiles", Op: -1, Buffers: []Buffer{{Name: "tiles", Capacity: 2, Token: units.Bytes(units.CeilDiv(stream, 2*r.cores))}}}
	body.Nodes = []Node{
		{Name: "load", Step: &Step{Kind: "load", Uses: moves, Beside: work, Overlap: p, Counts: counts, Cores: r.cores}, Acquire: []Tokens{{0, 1}}},
		{Name: "attend", Step: &Step{Kind: "compute", Uses: work, Beside: moves, Overlap: p,
			Counts: []Count{b.count("matrix.cycles", "core-cycle", r.cycles*r.cores)}, Cores: r.cores}, After: []Dep{{Node: 0}}, Release: []Tokens{{0, 1}}},
	}
	k.then(Node{Name: "tiles", Body: body, Times: r.rounds})
}

// startsOf is the cycles in which so many thread blocks that follow each other on a core start and end.
func startsOf(at *arch.AttentionKernel, n int64) int64 {
	cycles, ok := units.Mul(n, int64(at.Start))
	if !ok {
		return math.MaxInt64 / 2
	}
	return cycles
}

// dealt returns the rounds of blocks that walk so many tiles in all, the longest of them the most, over slots.
func dealt(total, longest, blocks, slots int64) int64 {
	switch {
	case blocks <= slots:
		return longest
	case blocks*longest == total: // all alike: in waves
		return units.CeilDiv(blocks, slots) * longest
	}
	return max(longest, units.CeilDiv(total, slots)+longest/2)
}

// flash1Dim is the largest head that the tiles of flash1 are for; those of larger ones have fewer keys
// (csrc/flash_attn/src/fmha_fwd_launch_template.h: 256 keys up to 64 elements, 128 for 128).
const flash1Dim = 64

// flash1 plans one pass of FlashAttention of 2022.
func (b *builder) flash1(a *attention, backward bool) (*Body, error) {
	at := a.lib
	rows, keys, resident := at.Rows, at.Keys, at.Resident
	name := a.name
	if backward {
		c := backwardOf(at)
		rows, keys, resident, name = c.Rows, c.Keys, c.Resident, name+".backward"
	}
	for keys > 16 && keys*a.dim > flash1Dim*at.Keys {
		keys /= 2
	}
	cores := b.m.Chip.Cores.Count
	blocks := a.batch * a.heads
	resident = min(resident, units.CeilDiv(blocks, cores))
	slots := cores * resident
	// Queries that each tile of keys meets, in whole tiles of rows.
	var tiles, walked int64
	for j := range units.CeilDiv(a.keys, keys) {
		first := int64(0)
		if a.causal {
			first = max(0, j*keys-a.past) / rows
		}
		n := units.CeilDiv(a.qlen, rows) - first
		tiles += max(n, 0)
		walked += max(a.qlen-first*rows, 0)
	}
	again := walked - a.qlen // visits of rows beyond the first
	esz := func(n int64) int64 { return int64(a.t.Bytes(n)) }
	q, o := esz(a.dim), esz(a.values) // of a row
	cached := int64(a.kv.KVPairs(a.batch*a.kvHeads*a.keys, a.dim, a.kept))
	live := a.qlen * (q + o) // of a head in work: queries and results
	if backward {
		live *= 2 // gradients of both
	}
	out := again // of what is written again and again
	rereads := again
	if b.shared != nil && min(blocks, slots)*live <= b.sharedRoom() {
		out, rereads = 0, 0
	}
	var read, write int64
	once := a.qlen
	if backward {
		// Q and dO, the results once for dO·O, dQ so far; the rows' sums, and dO·O from the second visit on.
		read = (once+rereads)*(q+o+rowSum) + once*o + out*q + rereads*rowSum
		write = (once+out)*q + once*rowSum
	} else {
		read = (once+rereads)*q + out*(o+rowSum)
		write = (once + out) * (o + rowSum)
	}
	read, write = blocks*read+cached, blocks*write
	if backward {
		write += esz(a.batch * a.kvHeads * a.keys * (a.dim + a.values)) // dK and dV
	}
	var cycles int64
	var err error
	if backward {
		cycles, err = b.gradientCycles(a, rows, keys)
	} else if cycles, err = b.tileCycles(a, 1, rows, keys); err == nil {
		cycles += ofTile(at.Softmax, rows*keys, at.Rows*at.Keys)
	}
	if err != nil {
		return nil, err
	}
	stream := blocks * walked * (q + 2*o)
	if backward {
		stream = blocks * walked * 2 * (q + o)
	}
	k := b.kernel(name, a.phase, "attention")
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	starts := units.CeilDiv(blocks, slots)
	r := tileRounds{rounds: dealt(blocks*tiles, tiles, blocks, slots), cores: min(cores, blocks), read: read, write: write, stream: stream + cached, cycles: cycles * resident}
	k.then(Node{Name: "block starts", Step: b.starts(startsOf(at, starts), r.cores)})
	b.thenRounds(k, at, r)
	if backward {
		b.countGradients(k, a, blocks*tiles*rows*keys)
	} else {
		b.countAttention(k, a, blocks*tiles*rows*keys)
	}
	return k, nil
}

// flashBackward plans the gradients of kernels whose blocks have a tile each.
func (b *builder) flashBackward(a *attention) ([]*Body, error) {
	at, c := a.lib, backwardOf(a.lib)
	n, m := a.batch*a.heads*a.qlen, a.batch*a.heads*a.keys // rows of queries, and of keys of all heads
	esz := func(n int64) int64 { return int64(a.t.Bytes(n)) }
	queries, results := esz(n*a.dim), esz(n*a.values)
	row := func(name string, kind traces.Kind, rows_, cols, read, write, vector int64) (*Body, error) {
		return b.rowKernel(rows{name: a.name + name, phase: a.phase, kind: kind, rows: rows_, cols: cols, dtype: a.t, wtype: a.t, kvtype: a.t, read: read, write: write, vector: vector})
	}
	// dO·O of each row, and zeros where the gradient of the queries is summed.
	before, err := row(".backward.rows", traces.Mul, n, a.values, 2*results, n*rowSum+4*n*a.dim, 2*n*a.values)
	if err != nil {
		return nil, err
	}
	cores := b.m.Chip.Cores.Count
	keyTiles := units.CeilDiv(a.keys, c.Keys)
	blocks := a.batch * a.heads * keyTiles
	resident := min(c.Resident, units.CeilDiv(blocks, cores))
	slots := cores * resident
	var tiles, longest int64
	for j := range keyTiles {
		first := int64(0)
		if a.causal {
			first = max(0, j*c.Keys-a.past) / c.Rows
		}
		walk := units.CeilDiv(a.qlen, c.Rows) - first
		tiles += max(walk, 0)
		longest = max(longest, walk)
	}
	tiles *= a.batch * a.heads
	cycles, err := b.gradientCycles(a, c.Rows, c.Keys)
	if err != nil {
		return nil, err
	}
	kv := int64(a.kv.KVPairs(a.batch*a.kvHeads*a.keys, a.dim, a.kept))
	made := esz(m * (a.dim + a.values)) // dK and dV of each query head
	k := b.kernel(a.name+".backward", a.phase, "attention")
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	r := tileRounds{rounds: dealt(tiles, longest, blocks, slots), cores: min(cores, blocks), cycles: cycles * resident,
		read: queries + results + 2*n*rowSum + kv + 4*n*a.dim, write: made + 4*n*a.dim,
		stream: tiles*c.Rows*(esz(a.dim+a.values)+4*a.dim+2*rowSum) + kv + made}
	k.then(Node{Name: "block starts", Step: b.starts(startsOf(at, units.CeilDiv(blocks, slots)), r.cores)})
	b.thenRounds(k, at, r)
	b.countGradients(k, a, tiles*c.Rows*c.Keys)
	after, err := row(".backward.round", traces.Copy, n, a.dim, 4*n*a.dim, queries, n*a.dim)
	if err != nil {
		return nil, err
	}
	out := []*Body{before, k, after}
	if a.heads > a.kvHeads { // heads that share keys are summed
		shared := esz(a.batch * a.kvHeads * a.keys * (a.dim + a.values))
		sum, err := row(".backward.sum", traces.Add, a.batch*a.kvHeads*a.keys, a.dim+a.values, made, shared, m*(a.dim+a.values))
		if err != nil {
			return nil, err
		}
		out = append(out, sum)
	}
	return out, nil
}

// gradientActivations returns what attention's gradients keep alive beside what the forward pass does: gradients of all
// four tensors, and for each score either nothing or, beside two scores that it counts already, half as much again for
// gradients and a mask of a byte.
func gradientActivations(blk *traces.Block, past int64, fused func(*traces.Op) bool) (units.Bytes, error) {
	var sum int64
	for j := range blk.Ops {
		op := &blk.Ops[j]
		if op.Kind != traces.Attention {
			continue
		}
		keys := op.SeenPast(past) + op.NewKeys()
		n, ok1 := mul(op.Batch, op.Heads, op.QLen, op.HeadDim+op.Values())
		m, ok2 := mul(op.Batch, op.KVHeads, keys, op.HeadDim+op.Values())
		s, ok3 := mul(op.Batch, op.Heads, op.QLen, keys)
		if !ok1 || !ok2 || !ok3 || max(n, m, s) > traces.MaxElements {
			return 0, fmt.Errorf("gradients of %s: %w", op.Name, ErrTooLarge)
		}
		bytes := int64(op.DType.Bytes(n) + op.DType.Bytes(m))
		if fused(op) {
			bytes += 4 * op.Batch * op.Heads * op.QLen * op.HeadDim // the sum of dq in FP32
		} else {
			bytes += int64(op.DType.Bytes(s)) + s
		}
		grow(&sum, bytes)
	}
	return units.Bytes(sum), nil
}
