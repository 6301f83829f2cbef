package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// attention is softmax(Q·Kᵀ)·V over cached and new tokens, for every sequence and head.
type attention struct {
	name           string
	dropout        bool // of probabilities
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
	made           bool       // lib takes keys and values in their format
	beside         *attention // what the same launch works on after it, nil for nothing
}

// attentionOf is the operator on one of tp chips, with past tokens of its run.
func attentionOf(op *traces.Op, phase traces.Phase, past, tp int64) attention {
	a := attention{name: op.Name, phase: phase, batch: op.Batch, heads: op.Heads, kvHeads: op.KVHeads, dim: op.HeadDim, qlen: op.QLen,
		past: op.SeenPast(past), causal: op.Causal, window: op.Window, values: op.Values(), kept: op.Values(), relative: op.Relative, t: op.DType, kv: op.KVDType, dropout: op.Dropout}
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
	if p := a.beside; p != nil {
		if _, ok := mul(p.batch, p.heads, p.qlen, p.keys, p.widths(), 2); !ok {
			return nil, fmt.Errorf("attention of %d×%d queries over %d tokens: %w", p.batch, p.qlen, p.keys, ErrTooLarge)
		}
	}
	if a.beside == nil && !b.fuses("flash-attention", a.phase, a.name) {
		return b.eagerAttention(a)
	}
	var pin *pinned
	if b.pins != nil {
		pin = b.pins.of(b.matchAttention(&a))
	}
	key := kernelKey{op: b.op(a.phase, a.name, "attention"), kind: "attention", batch: a.batch, heads: a.heads, kvHeads: a.kvHeads, dim: a.dim,
		qlen: a.qlen, past: a.past, causal: a.causal, dtype: a.t, kv: a.kv, pin: pin.choice(), keys: a.keys, window: a.window, values: a.values, kept: a.kept, relative: a.relative, inHere: truth(a.inHere), outHere: truth(a.outHere)}
	if a.beside != nil {
		key.beside = besideKey{a.beside.batch, a.beside.qlen, a.beside.past, a.beside.keys}
	}
	if k := b.known(&key); k != nil {
		return []*Body{k}, nil
	}
	a.lib, a.made = b.profile.AttentionKernel(a.decodes(), a.heads > a.kvHeads, a.kv)
	k := b.kernel(a.name, a.phase, "attention")
	b.appends(k, &a)
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
	if host := a.lib.Host; host > 0 && b.mapping.Alone && !b.mapping.IdealLaunch {
		last := len(k.Nodes) - 1
		k.Nodes = append(k.Nodes, Node{Name: "host", Step: b.mem.step(Step{Kind: "launch", Latency: host, Charge: sim.Launch})},
			Node{Name: "next", Step: wait("join", 0), After: []Dep{{Node: last}, {Node: last + 1}}})
	}
	if b.decisions != nil {
		b.decidedAttention(&a, k, &c, pin)
	}
	b.kernels[key] = k
	return []*Body{k}, nil
}

// besideKey tells apart what attention runs beside.
type besideKey struct{ batch, qlen, past, keys int64 }

// joinsAttention reports whether one launch attends to a chunk of a prompt and to sequences that decode, which
// follow each other as two operators.
func (b *builder) joinsAttention(x, y *traces.Op, phase traces.Phase) bool {
	if x.Kind != traces.Attention || y.Kind != traces.Attention || (x.QLen == 1) == (y.QLen == 1) ||
		x.Heads != y.Heads || x.KVHeads != y.KVHeads || x.HeadDim != y.HeadDim || x.ValueDim != y.ValueDim || x.Latent != y.Latent || x.Window != y.Window ||
		x.Relative != traces.NoRelative || y.Relative != traces.NoRelative || x.DType != y.DType || x.KVDType != y.KVDType || x.Split != y.Split || x.Cross != y.Cross {
		return false
	}
	at, _ := b.profile.AttentionKernel(false, x.Heads > x.KVHeads, x.KVDType)
	return at != nil && at.Together && b.fuses("flash-attention", phase, x.Name, y.Name)
}

// fewRows bounds the queries that the kernel for decoding takes together: a tile of two matrix instructions of
// 64 rows. A pass that verifies drafted tokens is decoding with several queries a sequence.
const fewRows = 128

// decodes reports whether the kernel for few queries and a long cache runs: query heads that share keys, and the queries
// of a sequence, are rows of one tile, and the cache may be divided.
func (a *attention) decodes() bool {
	return a.beside == nil && a.qlen == 1 || a.beside == nil && a.phase == traces.Decode && a.qlen <= a.past && a.qlen*(a.heads/a.kvHeads) <= fewRows
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
	} else if packed := a.qlen; at.Small > 0 {
		if at.Pack {
			packed *= group
		}
		if packed <= at.Small {
			c.rows = at.Small
		}
	}
	if give != nil && give.Tile != (Tile{}) {
		c.rows, c.keys = give.Tile.Rows, give.Tile.Cols
	}
	if give != nil && give.Blocks > 0 {
		c.resident = give.Blocks
	}
	if give == nil || give.Blocks == 0 {
		c.resident = min(c.resident, b.attentionRoom(a, c.rows, c.keys))
	}
	if give != nil && give.Split > 0 {
		c.split = give.Split
	} else {
		c.split = b.attentionParts(a, &c)
	}
	return c
}

// attentionRoom is how many thread blocks the private memory of a core has room for, at least one: each keeps its
// queries, and tiles of keys and values. Tiles shrink where heads are so large that not even one has.
func (b *builder) attentionRoom(a *attention, rows, keys int64) int64 {
	if b.private == nil {
		return math.MaxInt64
	}
	one := int64(a.t.Bytes(rows*a.dim)) + max(1, a.lib.Buffers)*int64(a.kv.KVPairs(keys, a.dim, a.kept))
	return max(1, int64(b.private.Capacity)/max(1, one))
}

// splitSlots is how many thread blocks the library reckons with when it divides the keys of a head.
func (b *builder) splitSlots(a *attention, c *attentionChoice) int64 {
	n := a.lib.Slots
	if n == 0 {
		n = c.resident
	}
	return b.m.Chip.Cores.Count * n
}

// attentionParts is over how many thread blocks the library divides the keys of a head.
func (b *builder) attentionParts(a *attention, c *attentionChoice) int64 {
	group := a.heads / a.kvHeads
	rule := a.lib.Split
	if rule == "grouped" {
		if rule = ""; group > 1 {
			rule = "always"
		}
	}
	blocks := a.batch * a.heads
	if a.decodes() || a.lib.Pack {
		blocks = a.batch * a.kvHeads * units.CeilDiv(group*a.qlen, c.rows)
	} else {
		blocks *= units.CeilDiv(a.qlen, c.rows)
	}
	if a.beside != nil || !a.decodes() && rule != "any" && !(rule == "fill" && a.past > 0) {
		return 1 // the parts of a walk are for one length
	}
	return kvParts(rule, blocks, b.splitSlots(a, c), units.CeilDiv(a.keys, c.keys))
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
	load   int64  // off-chip bytes
	store  int64  // results that are stored meanwhile
	stream int64  // on-chip bytes
	matrix int64  // cycles of a core: products and what hides behind nothing
	widen  int64  // vector operations of a core that widen narrow keys and values
	to     string // where results go
}

// flashLoop streams rounds of key tiles through two buffers.
func (b *builder) flashLoop(at *arch.AttentionKernel, rounds int64, s flashStage) Node {
	off := s.load
	if s.to == b.off.Name {
		off += s.store
	}
	reads := b.mem.useList(b.useAt(b.off.Name, off, at.MemoryShare))
	counts := b.mem.countList(b.reads(b.off, s.load))
	if b.shared != nil {
		reads = append(reads, b.use(b.shared.Name, s.stream))
		counts = append(counts, b.reads(b.shared, s.stream), b.writes(b.shared, s.load))
	}
	if s.store > 0 {
		counts = append(counts, b.count(s.to+".write", "B", s.store))
	}
	// The softmax of a tile waits for its first product and holds up the second: its cycles add to those of the
	// products, and the kernel has a share of its own of the matrix unit's rate, where long products draw more power.
	matrix := s.matrix
	if u := &b.m.Chip.Cores.Matrix; u.Kind != "systolic" {
		matrix = int64(math.Ceil(float64(matrix) * u.SustainedShare()))
	}
	work := b.mem.useList(b.use("matrix", matrix))
	done := b.mem.countList(b.count("matrix.cycles", "core-cycle", matrix*s.cores))
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
		{Name: "load", Step: b.mem.step(Step{Kind: "load", Uses: reads, Beside: work, Overlap: p, Counts: counts, Cores: s.cores}), Acquire: b.mem.tokenList(Tokens{0, 1})},
		{Name: "attend", Step: b.mem.step(Step{Kind: "compute", Uses: work, Beside: reads, Overlap: p, Counts: done, Cores: s.cores}), After: []Dep{{Node: 0}}, Release: b.mem.tokenList(Tokens{0, 1})},
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

// tileCycles returns the matrix cycles of the tiles of rows×keys scores that a core works on at a time, both products.
func (b *builder) tileCycles(a *attention, tiles, rows, keys int64) (int64, error) {
	u := &b.m.Chip.Cores.Matrix
	t := u.Native(a.t)
	qk, err := u.Several(t, tiles, rows, keys, a.widths()-a.values)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	pv, err := u.Several(t, tiles, rows, a.values, keys)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return int64(math.Ceil(float64(qk.Steady+pv.Steady) / a.lib.MatrixShare)), nil
}

// walks are the thread blocks of one sequence and head of a fused kernel: how many of them walk how many
// tiles of keys, in the order of their launch.
func (a *attention) walks(c *attentionChoice, packed int64) (jobs []job, visited int64) {
	tiles := units.CeilDiv(a.qlen*packed, c.rows)
	jobs = make([]job, 0, tiles)
	for i := range tiles {
		end, start := a.keys, int64(0)
		if a.causal && !a.lib.Masked {
			end = a.past + min(units.CeilDiv((i+1)*c.rows, packed), a.qlen)
		}
		if a.window > 0 && !a.lib.Masked { // the first query of the tile looks back the furthest
			start = max(0, a.past+i*c.rows/packed+1-a.window)
		}
		n := units.CeilDiv(end, c.keys) - start/c.keys
		visited += n
		if c.split > 1 { // the parts of a walk are blocks of their own
			n = units.CeilDiv(n, c.split)
		}
		if last := len(jobs) - 1; last >= 0 && jobs[last].tiles == n {
			jobs[last].count += c.split
			continue
		}
		jobs = append(jobs, job{n, c.split})
	}
	return jobs, visited
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
	// Heads are dealt one after the other, for each the sequences, and of each its tiles.
	var pattern []job
	var blocks, visited, streamed, fetched, q, out, scores int64
	times := heads
	for p := a; p != nil; p = p.beside {
		own := *c
		if p != a {
			own.split = 1
		}
		p.lib = at
		jobs, n := p.walks(&own, packed)
		if a.beside == nil {
			times, pattern = heads*p.batch, jobs // sequences alike: the order of both is one
		} else {
			for range p.batch {
				if len(jobs) == 1 {
					pattern = append(pattern, job{jobs[0].tiles, jobs[0].count * p.batch})
					break
				}
				pattern = append(pattern, jobs...)
			}
		}
		for _, j := range jobs {
			blocks += j.count * p.batch * heads
		}
		n *= p.batch * heads
		visited += n
		scores += n * c.rows * c.keys
		streamed += n * p.tileBytes(c.rows, c.keys)
		fetched += p.cached()
		q += int64(p.t.Bytes(p.batch * p.heads * p.qlen * p.dim))
		out += b.off.Sectors(int64(p.t.Result().Bytes(p.batch * p.heads * p.qlen * p.values)))
	}
	resident := min(c.resident, units.CeilDiv(blocks, cores))
	fetched = b.reread(a, fetched, heads, float64(cores*resident)/float64(units.CeilDiv(blocks, heads)))
	matrix, err := b.tileCycles(a, resident, c.rows, c.keys)
	if err != nil {
		return err
	}
	// Resident blocks of a core take turns on its units; one alone waits for itself.
	own := units.CeilDiv(matrix, resident)
	tile := max(matrix+resident*ofTile(at.Softmax, c.rows*c.keys, at.Rows*at.Keys), own+ofTile(at.Alone, c.rows*c.keys, at.Rows*at.Keys))
	end := schedule(pattern, times, cores*resident, int64(at.Start), tile, at.LongestFirst)
	rounds := max(1, units.CeilDiv(end.cycles-end.starts*int64(at.Start), tile))
	work := max(0, end.cycles-int64(at.Start)) // what follows the first start
	s := flashStage{cores: min(cores, blocks), matrix: units.CeilDiv(work, rounds), widen: b.widenTile(a, c.keys) * resident, to: b.holds(a.outHere)}
	loaded := q
	if a.inHere {
		loaded = 0
	}
	// Most blocks store while others still work; the last ones of each slot do not.
	waves := units.CeilDiv(blocks, cores*resident)
	fetched, out = b.replayed(fetched+loaded, out)
	s.load = b.off.Sectors(units.CeilDiv(fetched, rounds))
	s.stream = units.CeilDiv(streamed+q, rounds)
	s.store = (out - units.CeilDiv(out, waves)) / rounds
	last := out - s.store*rounds
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	k.then(Node{Name: "block starts", Step: b.starts(int64(at.Start), s.cores)})
	k.then(b.flashLoop(at, rounds, s))
	if c.split > 1 || at.Split == "fill" && a.past > 0 && blocks <= b.splitSlots(a, c) {
		k.then(b.combine(a, c.split))
	}
	k.then(Node{Name: "store", Step: b.mem.step(Step{Kind: "store", Cores: s.cores, Uses: b.mem.useList(b.use(s.to, last)),
		Counts: b.mem.countList(b.count(s.to+".write", "B", last))})})
	b.countAttention(k, a, scores)
	return nil
}

// reread returns the bytes of keys and values that come from memory off chip when blocks of so many query heads follow each
// other, of which those of side heads run side by side. Heads that share keys read them once if they run side by
// side; a later pass finds what the shared on-chip memory still holds of the one before.
func (b *builder) reread(a *attention, cached, heads int64, side float64) int64 {
	group := heads / a.kvHeads
	if group <= 1 {
		return cached
	}
	passes := max(1, float64(group)/max(1, side))
	missed := 1 - b.lasting(1, cached/a.kvHeads)
	return int64(math.Ceil(float64(cached) * (1 + float64((passes-1)*missed))))
}

// combine joins the parts of a walk: partial results and their softmax sums, FP32, go through on-chip memory. Rows of one head,
// written and read at once by all cores, are as slow there as off chip, and keep that busy. A part alone is copied.
func (b *builder) combine(a *attention, split int64) Node {
	part := 4 * a.batch * a.heads * a.qlen * split * (a.values + 1)
	tier := b.off
	if b.shared != nil {
		tier = b.shared
	}
	s := b.mem.step(Step{Kind: "reduce", Charge: sim.Dependency, Uses: b.mem.useList(b.use(b.off.Name, 2*part)), Counts: b.mem.countList(b.writes(tier, part), b.reads(tier, part))})
	if split > 1 || a.lib.Join > 0 {
		rows := units.CeilDiv(a.batch*a.heads*a.qlen, b.m.Chip.Cores.Count)
		s.Latency = b.m.Chip.Clock.At(units.Cycles(rows*int64(a.lib.Join))) + a.lib.Combine + b.m.Chip.Clock.At(units.Cycles(split*int64(a.lib.Part)))
	}
	return Node{Name: fmt.Sprintf("combine %d parts", split), Step: s}
}

// appends adds the kernel that writes new keys and values to the cache, where it is part of what was timed: a thread
// block for each token, with a thread for each element of a key up to 512 (reshape_and_cache_flash of vLLM), of
// 2048 threads of a core.
func (b *builder) appends(k *Body, a *attention) {
	if a.lib.Append == 0 || !b.mapping.Alone {
		return
	}
	cores := b.m.Chip.Cores.Count
	var tokens, bytes int64
	for p := a; p != nil; p = p.beside {
		tokens += p.batch * p.qlen
		bytes += int64(p.t.Bytes(p.batch*p.qlen*p.kvHeads*(p.dim+p.kept))) + int64(p.kv.KVPairs(p.batch*p.qlen*p.kvHeads, p.dim, p.kept))
	}
	each := max(1, 2048/min(a.kvHeads*a.dim, 512)) * cores
	cycles, _ := units.MulDivCeil(max(3*tokens, each), int64(a.lib.Append), 3*each) // a block with few others takes a third
	launch := *k.Nodes[0].Step
	launch.Counts, launch.Latency = b.mem.countList(b.count("launches", "launch", 1)), b.profile.Launch
	if b.mapping.IdealLaunch {
		launch.Latency = 0
	}
	k.then(Node{Name: "append", Step: b.mem.step(Step{Kind: "copy", Uses: b.mem.useList(b.use("vector", cycles), b.use(b.off.Name, bytes)), Overlap: b.profile.Gemm.Overlap, Cores: min(cores, tokens),
		Counts: b.mem.countList(b.count("vector.cycles", "core-cycle", cycles*min(cores, tokens)), b.reads(b.off, bytes/2), b.writes(b.off, bytes-bytes/2))})})
	k.then(Node{Name: "launch", Step: &launch})
}

// starts is what the first thread block of a core spends starting and ending.
func (b *builder) starts(cycles, cores int64) *Step {
	return b.mem.step(Step{Kind: "fill", Latency: b.m.Chip.Clock.At(units.Cycles(cycles)), Clocked: true, Charge: sim.Dependency, Cores: cores})
}

// lasting is the share of so many bytes that the shared on-chip memory still holds when they are read again, if so much of its
// room is left to them.
func (b *builder) lasting(room float64, bytes int64) float64 {
	if b.shared == nil {
		return 0
	}
	return memory.Held(room*float64(b.shared.Room()), units.Bytes(bytes))
}

// replayed takes from what a kernel reads and writes off chip the part that the shared on-chip memory still holds when the
// kernel is timed by itself, over and over, where that memory is a cache that keeps anything so.
func (b *builder) replayed(read, write int64) (int64, int64) {
	if !b.mapping.Alone || b.shared == nil || b.shared.Replay == 0 {
		return read, write
	}
	missed := 1 - b.lasting(1, read+write)
	return int64(math.Ceil(missed * float64(read))), b.off.Sectors(int64(math.Ceil(missed * float64(write))))
}

// warpSequences is how many sequences a warp of the scheduler of FlashAttention-3 looks at together: a prefix sum of 32.
const warpSequences = 31

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
	perBlock := units.CeilDiv(tiles, split)
	rows := min(group*a.qlen, c.rows)
	resident := min(c.resident, units.CeilDiv(blocks, cores))
	matrix, err := b.tileCycles(a, resident, rows, c.keys)
	if err != nil {
		return err
	}
	// A block starts, waits for each of its tiles in turn, and ends. Blocks of a grid follow each other in waves, those of
	// a kernel that deals out the work itself share it evenly.
	slots := cores * resident
	waves := units.CeilDiv(blocks, slots)
	start := int64(at.Start) + int64(at.Row)*units.CeilDiv(rows, 8)*8 // instructions take 8 rows
	dealt := a.batch <= at.Sequences
	if dealt {
		passed := min(a.batch, units.CeilDiv(cores, a.kvHeads*shares*split))
		start += int64(at.Search) + int64(at.Search)*passed/warpSequences
	}
	tile := ofTile(at.Block, c.keys, at.Keys)
	busy := waves * (start + perBlock*tile)
	if at.Persistent {
		busy = units.CeilDiv(max(blocks, slots)*(start+perBlock*tile), slots)
	}
	perCore := units.CeilDiv(blocks, cores)
	multiply, ok := units.MulDivCeil(perCore*perBlock, matrix, resident)
	if !ok {
		return fmt.Errorf("cycles of attention: %w", ErrTooLarge)
	}
	busy = max(busy-start, multiply) // what follows the first start
	rounds := perBlock * waves
	s := flashStage{cores: min(cores, blocks), matrix: units.CeilDiv(busy, rounds), to: b.holds(a.outHere), widen: b.widenTile(a, c.keys) * min(c.resident, perCore)}
	out := b.off.Sectors(int64(a.t.Result().Bytes(a.batch * a.heads * a.qlen * a.values)))
	qBytes := b.off.Sectors(int64(a.t.Bytes(a.batch * a.heads * a.qlen * a.dim)))
	cached := a.cached()
	fetched := cached
	if !a.inHere {
		fetched += qBytes
	}
	fetched, stored := b.replayed(fetched, out)
	if b.profile.ColdCache {
		fetched = max(fetched, cached)
	}
	s.load = b.off.Sectors(units.CeilDiv(fetched, rounds))
	s.stream = units.CeilDiv(cached*shares+qBytes, rounds)
	s.store = (stored - units.CeilDiv(stored, waves)) / rounds
	last := stored - s.store*rounds
	k.then(Node{Name: "fill", Step: wait("fill", at.Fill)})
	if at.Transpose > 0 && group > 1 && a.batch > 1 && a.kvHeads > 1 {
		// Queries before, and results after, are read and written once more.
		in, back := b.replayed(qBytes+out, qBytes+out)
		k.then(Node{Name: "transposes", Step: b.mem.step(Step{Kind: "copy", Latency: at.Transpose, Charge: sim.Dependency, Uses: b.mem.useList(b.use(b.off.Name, in+back)),
			Counts: b.mem.countList(b.reads(b.off, in), b.writes(b.off, back))})})
	}
	k.then(Node{Name: "block starts", Step: b.starts(start, s.cores)})
	k.then(b.flashLoop(at, rounds, s))
	if split > 1 || dealt {
		k.then(b.combine(a, split))
	}
	k.then(Node{Name: "store", Step: b.mem.step(Step{Kind: "store", Uses: b.mem.useList(b.use(s.to, last)), Counts: b.mem.countList(b.count(s.to+".write", "B", last))})})
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
