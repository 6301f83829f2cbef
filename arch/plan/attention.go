package plan

import (
	"container/heap"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// attention is softmax(Q·Kᵀ)·V over cached and new tokens, for every sequence and head.
type attention struct {
	name           string
	phase          traces.Phase
	batch          int64
	heads, kvHeads int64
	dim            int64
	qlen, past     int64 // past: cached keys that any query sees
	causal         bool
	window         int64 // 0: none
	values         int64 // elements of a value
	kept           int64 // of them in the cache: 0 if values are part of the keys
	keys           int64 // that the queries see in all: past, and what the new tokens add
	relative       traces.Relative
	t, kv          traces.DType
	lib            *arch.AttentionKernel
	inHere         bool // queries wait on chip, and results are left there
	outHere        bool
	made           bool // lib takes keys and values in their format
}

// attentionOf is the operator on one of tp chips, with past tokens of its run.
func attentionOf(op *traces.Op, phase traces.Phase, past, tp int64) attention {
	a := attention{name: op.Name, phase: phase, batch: op.Batch, heads: op.Heads, kvHeads: op.KVHeads, dim: op.HeadDim, qlen: op.QLen,
		past: op.SeenPast(past), causal: op.Causal, window: op.Window, values: op.Values(), kept: op.Values(), relative: op.Relative, t: op.DType, kv: op.KVDType}
	a.keys = a.past + op.NewKeys()
	if op.Latent {
		a.kept = 0
	}
	if op.Split == traces.Heads {
		a.heads /= tp
		a.kvHeads = units.CeilDiv(a.kvHeads, tp)
	}
	return a
}

// cached returns the bytes of keys and values that the queries see, and of what distances add to the
// scores: both come from memory once.
func (a *attention) cached() int64 {
	n := int64(a.kv.KVPairs(a.batch*a.kvHeads*a.keys, a.dim, a.kept))
	switch a.relative {
	case traces.Bias:
		n += int64(a.t.Bytes(a.heads * a.qlen * a.keys))
	case traces.Projected:
		n += int64(a.kv.KVBytes(a.heads*a.keys, a.dim))
	}
	return n
}

// tileBytes returns what a thread block streams for one of its tiles of rows×keys scores.
func (a *attention) tileBytes(rows, keys int64) int64 {
	n := int64(a.kv.KVPairs(keys, a.dim, a.kept))
	switch a.relative {
	case traces.Bias:
		n += int64(a.t.Bytes(rows * keys))
	case traces.Projected:
		n += int64(a.kv.KVBytes(keys, a.dim))
	}
	return n
}

// widths returns the elements over which the products of a score and of its value run.
func (a *attention) widths() int64 {
	if a.relative == traces.Projected {
		return 2*a.dim + a.values
	}
	return a.dim + a.values
}

func (b *builder) attention(a attention) ([]*Body, error) {
	if _, ok := mul(a.batch, a.heads, a.qlen, a.keys, a.widths(), 2); !ok {
		return nil, fmt.Errorf("attention of %d×%d queries over %d tokens: %w", a.batch, a.qlen, a.keys, ErrTooLarge)
	}
	if !b.fuses("flash-attention", a.phase, a.name) {
		return b.eagerAttention(a)
	}
	var pin *pinned
	if b.pins != nil {
		pin = b.pins.of(b.matchAttention(&a))
	}
	key := kernelKey{op: b.op(a.phase, a.name, "attention"), kind: "attention", batch: a.batch, heads: a.heads, kvHeads: a.kvHeads, dim: a.dim,
		qlen: a.qlen, past: a.past, causal: a.causal, dtype: a.t, kv: a.kv, pin: pin.choice(), keys: a.keys, window: a.window, values: a.values, kept: a.kept, relative: a.relative, inHere: truth(a.inHere), outHere: truth(a.outHere)}
	if k := b.known(&key); k != nil {
		return []*Body{k}, nil
	}
	a.lib, a.made = b.profile.AttentionKernel(a.decodes(), a.kv)
	k := b.kernel(a.name, a.phase, "attention")
	c := b.chooseAttention(&a, pin)
	var err error
	if a.decodes() {
		err = b.flashDecode(k, &a, &c)
	} else {
		err = b.flashPrefill(k, &a, &c)
	}
	if err != nil {
		return nil, err
	}
	if b.decisions != nil {
		b.decidedAttention(&a, k, &c, pin)
	}
	b.kernels[key] = k
	return []*Body{k}, nil
}

// fewRows bounds the queries that the kernel for decoding takes together: a tile of two matrix instructions of
// 64 rows. A pass that verifies drafted tokens is decoding with several queries a sequence.
const fewRows = 128

// decodes reports whether the kernel for few queries and a long cache runs: query heads that share keys, and the queries
// of a sequence, are rows of one tile, and the cache may be divided.
func (a *attention) decodes() bool {
	return a.qlen == 1 || a.phase == traces.Decode && a.qlen <= a.past && a.qlen*(a.heads/a.kvHeads) <= fewRows
}

// attentionChoice is what the planner decides about fused attention.
type attentionChoice struct {
	rows, keys int64 // of a tile of scores
	split      int64 // thread blocks that the cache of one head is divided over
	resident   int64 // thread blocks that a core works on at a time, if there are as many
}

// chooseAttention takes the library's tile and its rule for dividing the cache, as far as they are not pinned.
func (b *builder) chooseAttention(a *attention, pin *pinned) attentionChoice {
	own := b.libraryAttention(a, nil)
	if pin == nil {
		return own
	}
	c := b.libraryAttention(a, &pin.Choice)
	if !b.attentionFits(a, pin, &own, &c) {
		return own
	}
	return c
}

// libraryAttention is what the library does with what is given, which may be nil.
func (b *builder) libraryAttention(a *attention, give *Choice) attentionChoice {
	at := a.lib
	c := attentionChoice{rows: at.Rows, keys: at.Keys, split: 1, resident: at.Resident}
	group := a.heads / a.kvHeads
	if a.decodes() {
		c.rows = min(group*a.qlen, fewRows) // more of those that share keys take several blocks
	}
	if give != nil && give.Tile != (Tile{}) {
		c.rows, c.keys = give.Tile.Rows, give.Tile.Cols
	}
	if give != nil && give.Blocks > 0 {
		c.resident = give.Blocks
	}
	switch {
	case give != nil && give.Split > 0:
		c.split = give.Split
	case a.decodes() && (at.Split == "always" || at.Split == "grouped" && group > 1):
		c.split = kvSplit(a.batch*a.kvHeads*units.CeilDiv(group*a.qlen, c.rows), b.m.Chip.Cores.Count*c.resident, units.CeilDiv(a.keys, c.keys))
	}
	return c
}

// ofTile scales what a library tile costs in cycles to a tile of another size; estimated: in proportion to its scores.
func ofTile(cycles units.Cycles, size, library int64) int64 {
	if size == library {
		return int64(cycles)
	}
	return int64(math.Ceil(float64(cycles) * float64(size) / float64(library)))
}

// eagerAttention plans product, softmax and product as kernels of their own, with the scores in
// memory between them and every score computed, masked or not.
func (b *builder) eagerAttention(a attention) ([]*Body, error) {
	kv := a.keys
	group := a.heads / a.kvHeads // query heads that share keys: stacked as rows of one product
	batch, m := a.batch*a.kvHeads, a.qlen*group
	scores := a.batch * a.heads * a.qlen
	qk, err := b.gemm(gemm{name: a.name + ".qk", phase: a.phase, batch: batch, m: m, n: kv, k: a.dim, a: a.t, w: a.kv, cached: a.dim})
	if err != nil {
		return nil, err
	}
	bytes := int64(a.t.Bytes(scores * kv))
	out := []*Body{qk}
	switch a.relative {
	case traces.Projected:
		qr, err := b.gemm(gemm{name: a.name + ".qr", phase: a.phase, batch: a.heads, m: a.batch * a.qlen, n: kv, k: a.dim, a: a.t, w: a.kv, cached: a.dim})
		if err != nil {
			return nil, err
		}
		out = append(out, qr)
		fallthrough
	case traces.Bias:
		read := 2 * bytes
		if a.relative == traces.Bias {
			read = bytes + int64(a.t.Bytes(a.heads*a.qlen*kv))
		}
		sum, err := b.rowKernel(rows{name: a.name + ".relative", phase: a.phase, kind: traces.Add, rows: scores, cols: kv, dtype: a.t, wtype: a.t, kvtype: a.t,
			read: read, write: bytes, vector: scores * kv})
		if err != nil {
			return nil, err
		}
		out = append(out, sum)
	}
	op := traces.Op{Name: a.name + ".softmax", Kind: traces.Softmax, Rows: scores, Cols: kv, DType: a.t}
	w, err := op.Work(0)
	if err != nil {
		return nil, err
	}
	sm, err := b.rowKernel(rows{name: op.Name, phase: a.phase, kind: traces.Softmax, rows: scores, cols: kv, dtype: a.t, wtype: a.t, kvtype: a.t, read: bytes, write: bytes,
		vector: int64(w.VectorOps), special: int64(w.SpecialOps)})
	if err != nil {
		return nil, err
	}
	pv, err := b.gemm(gemm{name: a.name + ".pv", phase: a.phase, batch: batch, m: m, n: a.values, k: kv, a: a.t, w: a.kv, cached: a.values})
	if err != nil {
		return nil, err
	}
	return append(out, sm, pv), nil
}

// flashStage is one round of key tiles of a fused kernel, on all the cores that work.
type flashStage struct {
	cores  int64
	load   int64 // off-chip bytes
	stream int64 // on-chip bytes
	matrix int64 // cycles of a core
	extra  int64 // cycles of a core that hide behind nothing
	widen  int64 // vector operations of a core that widen narrow keys and values
}

// flashLoop streams rounds of key tiles through two buffers.
func (b *builder) flashLoop(at *arch.AttentionKernel, rounds int64, s flashStage) Node {
	reads := []Use{b.useAt(b.off.Name, s.load, at.MemoryShare)}
	counts := []Count{b.count(b.off.Name+".read", "B", s.load)}
	if b.shared != nil {
		reads = append(reads, b.use(b.shared.Name, s.stream))
		counts = append(counts, b.count(b.shared.Name+".read", "B", s.stream), b.count(b.shared.Name+".write", "B", s.load))
	}
	// The softmax of a tile waits for its first product and holds up the second: its cycles add
	// to those of the products, on the matrix unit's clock.
	work := []Use{b.use("matrix", s.matrix+s.extra)}
	done := []Count{b.count("matrix.cycles", "core-cycle", (s.matrix+s.extra)*s.cores)}
	if s.widen > 0 {
		cycles := b.vectorCycles(s.widen)
		work = append(work, b.use("vector", cycles))
		done = append(done, b.count("vector.ops", "op", s.widen*s.cores), b.count("vector.cycles", "core-cycle", cycles*s.cores))
	}
	p := at.Overlap
	if p == 0 {
		p = b.profile.Gemm.Overlap
	}
	const name = "key tiles"
	body := &Body{Name: name, Op: -1, Buffers: []Buffer{{Name: "tiles of keys and of values", Capacity: 2, Token: units.Bytes(units.CeilDiv(s.stream, 2*s.cores))}}}
	body.Nodes = []Node{
		{Name: "load", Step: &Step{Kind: "load", Uses: reads, Beside: work, Overlap: p, Counts: counts, Cores: s.cores}, Acquire: []Tokens{{0, 1}}},
		{Name: "attend", Step: &Step{Kind: "compute", Uses: work, Beside: reads, Overlap: p, Counts: done, Cores: s.cores}, After: []Dep{{Node: 0}}, Release: []Tokens{{0, 1}}},
	}
	return Node{Name: name, Body: body, Times: rounds}
}

// widenTile returns the vector operations that widen the keys and values of a tile, if the matrix unit
// does not multiply them as they are.
func (b *builder) widenTile(a *attention, keys int64) int64 {
	if a.made || !b.widens(a.kv, b.m.Chip.Cores.Matrix.Native(a.t)) {
		return 0
	}
	return compute.Widen(a.kv, a.dim, keys, a.dim) + compute.Widen(a.kv, a.kept, keys, a.kept)
}

// tileCycles returns the matrix cycles of one tile of rows×keys scores, both products.
func (b *builder) tileCycles(a *attention, rows, keys int64) (int64, error) {
	u := &b.m.Chip.Cores.Matrix
	t := u.Native(a.t)
	qk, err := u.Cycles(t, rows, keys, a.widths()-a.values)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	pv, err := u.Cycles(t, rows, a.values, keys)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return int64(math.Ceil(float64(qk.Steady+pv.Steady) / a.lib.MatrixShare)), nil
}

// flashPrefill plans a fused kernel for many queries. Thread blocks of a tile's queries each walk the
// key tiles that the causal mask leaves them; they are dealt to the cores in launch order as slots
// become free, and the number of rounds is the makespan of that schedule.
func (b *builder) flashPrefill(k *Body, a *attention, c *attentionChoice) error {
	at := a.lib
	cores := b.m.Chip.Cores.Count
	heads, packed := a.heads, int64(1) // query heads of a tile
	if at.Pack {
		heads, packed = a.kvHeads, a.heads/a.kvHeads
	}
	tiles := units.CeilDiv(a.qlen*packed, c.rows)
	blocks := a.batch * heads * tiles
	resident := min(c.resident, units.CeilDiv(blocks, cores))
	slots := cores * resident
	walk := make([]int64, tiles) // key tiles of each query tile
	var visited int64
	for i := range walk {
		end, start := a.keys, int64(0)
		if a.causal {
			end = a.past + min(units.CeilDiv((int64(i)+1)*c.rows, packed), a.qlen)
		}
		if a.window > 0 { // the first query of the tile looks back the furthest
			start = max(0, a.past+int64(i)*c.rows/packed+1-a.window)
		}
		walk[i] = units.CeilDiv(end, c.keys) - start/c.keys
		visited += walk[i]
	}
	visited *= a.batch * heads
	rounds := listSchedule(walk, a.batch*heads, slots, at.LongestFirst)
	matrix, err := b.tileCycles(a, c.rows, c.keys)
	if err != nil {
		return err
	}
	// Resident blocks of a core take turns on its matrix unit.
	s := flashStage{cores: min(cores, blocks), matrix: matrix * resident, extra: ofTile(at.Softmax, c.rows*c.keys, at.Rows*at.Keys) * resident, widen: b.widenTile(a, c.keys) * resident}
	qBytes := int64(a.t.Bytes(a.batch * a.heads * a.qlen * a.dim))
	loaded := qBytes
	if a.inHere {
		loaded = 0
	}
	s.load = b.off.Sectors(units.CeilDiv(a.cached()+loaded, rounds))
	s.stream = units.CeilDiv(visited*a.tileBytes(c.rows, c.keys)+qBytes, rounds)
	starts := units.CeilDiv(blocks, slots)
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	k.then(Node{Name: "block starts", Step: b.starts(at, starts, s.cores)})
	k.then(b.flashLoop(at, rounds, s))
	out := b.off.Sectors(int64(a.t.Result().Bytes(a.batch * a.heads * a.qlen * a.values)))
	// Most blocks store while others still work; the last ones of each slot do not.
	to := b.holds(a.outHere)
	k.then(Node{Name: "store", Step: &Step{Kind: "store", Cores: s.cores, Uses: []Use{b.use(to, units.CeilDiv(out, starts))},
		Counts: []Count{b.count(to+".write", "B", out)}}})
	b.countAttention(k, a, visited*c.rows*c.keys)
	return nil
}

// starts is what the thread blocks that follow each other on one slot spend starting and ending.
func (b *builder) starts(at *arch.AttentionKernel, n, cores int64) *Step {
	t, ok := units.Mul(n, int64(at.Start))
	if !ok {
		t = math.MaxInt64 / 2
	}
	return &Step{Kind: "fill", Latency: b.m.Chip.Clock.At(units.Cycles(t)), Clocked: true, Charge: sim.Dependency, Cores: cores}
}

// flashDecode plans a fused kernel for one new query per sequence: the query heads that share keys
// form one thread block, which walks the cache or, if the library splits it, a part of it.
func (b *builder) flashDecode(k *Body, a *attention, c *attentionChoice) error {
	at := a.lib
	cores := b.m.Chip.Cores.Count
	kv := a.keys
	tiles := units.CeilDiv(kv, c.keys)
	split := c.split
	group := a.heads / a.kvHeads
	shares := units.CeilDiv(group*a.qlen, c.rows) // blocks of query heads that walk the same keys
	blocks := a.batch * a.kvHeads * shares * split
	resident := min(c.resident, units.CeilDiv(blocks, cores))
	slots := cores * resident
	waves := units.CeilDiv(blocks, slots)
	perBlock := units.CeilDiv(tiles, split)
	matrix, err := b.tileCycles(a, min(group*a.qlen, c.rows), c.keys)
	if err != nil {
		return err
	}
	rounds := waves * perBlock
	s := flashStage{cores: min(cores, blocks), matrix: matrix * resident, extra: ofTile(at.Block, c.keys, at.Keys), widen: b.widenTile(a, c.keys) * resident}
	s.load = b.off.Sectors(units.CeilDiv(a.cached(), rounds))
	s.stream = s.load * shares
	qBytes := b.off.Sectors(int64(a.t.Bytes(a.batch * a.heads * a.qlen * a.dim)))
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	if at.Transpose > 0 && group > 1 && a.batch > 1 && a.kvHeads > 1 {
		k.then(Node{Name: "transposes", Step: wait("copy", at.Transpose)})
	}
	from := b.holds(a.inHere)
	k.then(Node{Name: "load q", Step: &Step{Kind: "load", Uses: []Use{b.use(from, qBytes)}, Counts: []Count{b.count(from+".read", "B", qBytes)}}})
	k.then(Node{Name: "block starts", Step: b.starts(at, waves, s.cores)})
	k.then(b.flashLoop(at, rounds, s))
	if split > 1 {
		// Partial results and their softmax sums, FP32, go through on-chip memory.
		part := 4 * a.batch * a.heads * a.qlen * split * (a.values + 1)
		tier := b.shared
		if tier == nil {
			tier = b.off
		}
		k.then(Node{Name: fmt.Sprintf("combine %d parts", split), Step: &Step{Kind: "reduce", Latency: at.Combine, Charge: sim.Dependency, Uses: []Use{b.use(tier.Name, 2*part)},
			Counts: []Count{b.count(tier.Name+".write", "B", part), b.count(tier.Name+".read", "B", part)}}})
	}
	out := b.off.Sectors(int64(a.t.Result().Bytes(a.batch * a.heads * a.qlen * a.values)))
	to := b.holds(a.outHere)
	k.then(Node{Name: "store", Step: &Step{Kind: "store", Uses: []Use{b.use(to, out)}, Counts: []Count{b.count(to+".write", "B", out)}}})
	b.countAttention(k, a, a.batch*a.heads*a.qlen*kv)
	return nil
}

// countAttention counts the operations over the scores that are visited: two per score and element of
// a key and of a value on the matrix unit, one exponential and four simple ones per score beside it, five
// where distances add to it.
func (b *builder) countAttention(k *Body, a *attention, scores int64) {
	launch, simple := k.Nodes[0].Step, int64(4)
	if a.relative != traces.NoRelative {
		simple++
	}
	launch.Counts = append(launch.Counts, b.count("matrix."+b.m.Chip.Cores.Matrix.Native(a.t).String()+".ops", "op", 2*scores*a.widths()),
		b.count("vector.ops", "op", simple*scores), b.count("special.ops", "op", scores))
}

// kvSplit returns over how many thread blocks the cache of one head is divided: one if the blocks
// nearly fill the slots anyway, else the smallest number whose last wave is at least 85 % as full as
// the best possible (the rule of FlashAttention-2's split-KV kernel).
func kvSplit(blocks, slots, tiles int64) int64 {
	if float64(blocks) >= 0.8*float64(slots) {
		return 1
	}
	most := min(128, slots, tiles)
	efficiency := func(s int64) float64 {
		waves := float64(s*blocks) / float64(slots)
		return waves / math.Ceil(waves)
	}
	best := 0.0
	for s := int64(1); s <= most; s++ {
		best = max(best, efficiency(s))
	}
	for s := int64(1); s <= most; s++ {
		if efficiency(s) >= 0.85*best {
			return s
		}
	}
	return 1
}

// listSchedule deals jobs to slots as they become free and returns when the last slot is done. The jobs
// are walk, repeated times, one walk after the other or all of the longest jobs first. Beyond many jobs a
// slot the tail no longer matters: the mean load plus half of the longest job, or of the last one started.
func listSchedule(walk []int64, times, slots int64, longestFirst bool) int64 {
	var sum, longest int64
	shortest := int64(math.MaxInt64)
	for _, w := range walk {
		sum += w
		longest, shortest = max(longest, w), min(shortest, w)
	}
	jobs := int64(len(walk)) * times
	if jobs <= slots {
		return longest
	}
	if jobs > 8*slots {
		if longestFirst {
			return max(longest, units.CeilDiv(sum*times, slots)+shortest/2)
		}
		return units.CeilDiv(sum*times, slots) + longest/2
	}
	h := make(slotHeap, slots)
	var end int64
	deal := func(w int64) {
		h[0] += w
		end = max(end, h[0])
		heap.Fix(&h, 0)
	}
	if longestFirst {
		sorted := slices.Clone(walk)
		slices.Sort(sorted)
		for _, w := range slices.Backward(sorted) {
			for range times {
				deal(w)
			}
		}
		return end
	}
	for range times {
		for _, w := range walk {
			deal(w)
		}
	}
	return end
}

// slotHeap holds when each slot becomes free, the earliest first.
type slotHeap []int64

func (h slotHeap) Len() int           { return len(h) }
func (h slotHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h slotHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *slotHeap) Push(any)          {} // the number of slots never changes
func (h *slotHeap) Pop() any          { return nil }
