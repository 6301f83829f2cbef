package plan

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// gemm is a (batched) matrix product C[m×n] = A[m×k]·B[k×n].
type gemm struct {
	name    string
	phase   traces.Phase
	batch   int64
	m, n, k int64
	a, w    traces.DType // of A and C, and of B
	shared  bool         // B is a weight: the same for the whole batch
	biased  bool         // the framework adds a bias to the result
	added   int64        // columns of C that the product is added to
	wide    bool         // C is in FP32
	in      traces.DType // what the matrix unit multiplies; builder.gemm works it out
	lib     *arch.GemmKernel
	inHere  bool // A waits on chip, and C is left there
	outHere bool
	windows int64   // elements of A where its rows overlap; 0: m×k of each of the batch
	cached  int64   // B is cached keys or values of heads of so many elements; 0: it is not
	gates   gates   // act(x·Wg)∘(x·Wu) in the epilogue, so that half of the columns are left
	found   float64 // share of the operands that is on chip from the time before
}

// tileChoice is what the planner decides about a tiled product; everything else follows from it.
type tileChoice struct {
	rows, cols int64 // of the output tile
	split      int64 // parts of the reduction
	depth      int64 // of one pipeline stage
	resident   int64 // tiles that a core works on at a time
	buffers    int64 // operand buffers of each of them
	keep       keep  // what stays in the shared on-chip memory from wave to wave
}

// keep says which operands stay in the shared on-chip memory while waves of tiles follow one another,
// so that they come from off chip once.
type keep uint8

const (
	keepFree    keep = iota // whichever reads least
	keepNothing             // nothing survives from wave to wave
	keepA                   // the rows' part for a wave, while the columns sweep past
	keepB                   // the columns' part, while the rows sweep past
	keepBoth
)

var keepNames = [...]string{keepNothing: "none", keepA: "a", keepB: "b", keepBoth: "both"}

// tiling is a choice with what follows from it for one product.
type tiling struct {
	tileChoice
	mt, nt         int64 // tiles along m and n
	tiles          int64 // in all, with splits and batch
	stages         int64 // pipeline iterations of one tile
	fetchA, fetchB int64 // how often each operand comes from off chip
	read           int64 // operand bytes that come from off chip, whole product
	into           int64 // operand bytes that are brought to the shared on-chip memory
	store          int64 // result bytes of a full tile
	cycles         int64 // matrix cycles of one stage on one core
	widen          int64 // vector operations of one stage of one tile that widen narrow operands
	fill           int64 // matrix cycles before the first stage of the kernel runs at that pace
	feed           int64 // operand bytes of one stage of one tile
	fed            int64 // the same, with what rows of padding add to the time that they take
}

// way is how a product is computed.
type way uint8

const (
	tiledWay    way = iota // in output tiles, on the matrix units
	vectorWay              // a single row, streamed through the vector units
	residentWay            // operands copied on chip whole
)

// gemmChoice is what the planner decides about a product.
type gemmChoice struct {
	way    way
	lib    *arch.RowKernel // of vectorWay
	deal   dealing         // of residentWay
	tiling tiling          // of tiledWay
}

// multiplies returns the format that the matrix unit multiplies: that of the wider operand, since the
// narrower one is widened before it is used.
func (b *builder) multiplies(g *gemm) traces.DType {
	if g.w.Bits() > g.a.Bits() {
		return b.m.Chip.Cores.Matrix.Native(g.w)
	}
	return b.m.Chip.Cores.Matrix.Native(g.a)
}

// widens reports whether an operand of a format is widened before the matrix unit multiplies it.
func (b *builder) widens(d, in traces.DType) bool {
	return d.Bits() <= 8 && b.m.Chip.Cores.Matrix.Native(d) != in
}

// widening returns the vector operations that widen the narrow operands of a piece of the product: depth
// of the reduction of so many rows and columns.
func (b *builder) widening(g *gemm, rows, cols, depth int64) (ops int64) {
	if b.widens(g.a, g.in) {
		ops += compute.Widen(g.a, depth, rows, g.k)
	}
	if b.widens(g.w, g.in) {
		ops += compute.Widen(g.w, depth, cols, g.k)
	}
	return ops
}

func (b *builder) gemm(g gemm) (*Body, error) {
	pin := b.pinGemm(&g)
	key := kernelKey{op: b.op(g.phase, g.name, "gemm"), kind: "gemm", batch: g.batch, m: g.m, n: g.n, k: g.k, dtype: g.a, weight: g.w, added: g.added, kept: truth(g.wide), windows: g.windows, inHere: truth(g.inHere), outHere: truth(g.outHere), vectorOps: units.Ops(g.gates.vector), specialOps: units.Ops(g.gates.special), pin: pin.choice()}
	if k := b.known(&key); k != nil {
		return k, nil
	}
	if _, ok := mul(g.batch, g.m, g.n, g.k, 2); !ok {
		return nil, fmt.Errorf("%d×%d×%d×%d operations: %w", g.batch, g.m, g.n, g.k, ErrTooLarge)
	}
	g.in = b.multiplies(&g)
	g.lib = b.profile.GemmKernel(g.in)
	if b.misaligned(&g) {
		g.in = traces.FP32
	}
	if b.alone && g.lib.Replay > 0 {
		a, w, c := g.operands()
		g.found = b.lasting(g.lib.Replay, a+w+c)
	}
	if _, err := b.m.Chip.Cores.Matrix.Rate(g.in); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported) // also of what the vector units multiply
	}
	c, known := b.recall(&g, pin)
	if !known {
		var err error
		if c, err = b.chooseGemm(&g, pin); err != nil {
			return nil, err
		}
		b.remember(&g, pin, &c)
	}
	k := b.buildGemm(&g, &c)
	if b.decisions != nil {
		b.decidedGemm(&g, k, &c, pin)
	}
	b.kernels[key] = k
	return k, nil
}

// misaligned reports whether rows of an operand begin where the library's kernels for the matrix unit cannot load them, so that
// it takes those that multiply in FP32. Libraries do so for batches of products, whose operands lie at strides.
func (b *builder) misaligned(g *gemm) bool {
	bytes := int64(g.lib.Align)
	if bytes == 0 || g.in.Bits() >= 32 || g.batch < 2 || g.shared {
		return false
	}
	if _, err := b.m.Chip.Cores.Matrix.Rate(traces.FP32); err != nil {
		return false
	}
	return int64(g.a.Bytes(g.k))%bytes != 0 || int64(g.a.Bytes(g.n))%bytes != 0
}

// chooseGemm decides how a product is computed, as far as it is not pinned.
func (b *builder) chooseGemm(g *gemm, pin *pinned) (c gemmChoice, err error) {
	c.way, c.lib, pin = b.wayOf(g, pin)
	switch c.way {
	case residentWay:
		c.deal, err = b.bestDealing(g, pin)
	case tiledWay:
		c.tiling, err = b.bestTiling(g, pin)
	}
	return c, err
}

// buildGemm turns a choice into the kernel of a product.
func (b *builder) buildGemm(g *gemm, c *gemmChoice) *Body {
	operator := "gemm"
	if g.biased {
		operator = arch.BiasedProduct
	}
	k := b.kernelOf(g.name, g.phase, "gemm", operator)
	b.countOps(k, g)
	switch c.way {
	case vectorWay:
		x, w, y := g.operands()
		r := rows{kind: traces.Gemm, rows: g.batch * g.n, cols: g.k, read: x + w + g.reads(y), write: y, vector: g.batch*g.n*g.k + g.gates.vector, special: g.gates.special}
		if g.inHere {
			r.inHere = x
		}
		if g.outHere {
			r.outHere = y
		}
		if g.found > 0 {
			r.inHere, r.outHere = r.read-g.missed(r.read), r.write-g.missed(r.write)
		}
		b.wait(&r)
		b.widenRow(k, g, c.lib, &r)
		b.rows(k, &r, c.lib, b.residentRows())
	case residentWay:
		b.wholeGemm(k, g, c.deal)
	default:
		b.tiledGemm(k, g, &c.tiling)
	}
	return k
}

// truth is 1 for true, in a key.
func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// mul multiplies, reporting overflow.
func mul(xs ...int64) (int64, bool) {
	p := int64(1)
	for _, x := range xs {
		var ok bool
		if p, ok = units.Mul(p, x); !ok {
			return 0, false
		}
	}
	return p, true
}

// operands returns the bytes of A, B and C of the whole product.
func (g *gemm) operands() (a, w, c int64) {
	nb := g.batch
	if g.shared {
		nb = 1
	}
	w = int64(g.w.Size(g.k, nb*g.n))
	if g.cached > 0 {
		w = int64(g.w.KVBytes(g.batch*g.n*g.k/g.cached, g.cached))
	}
	if g.windows > 0 {
		return int64(g.a.Bytes(g.windows)), w, g.left(g.batch * g.m * g.n)
	}
	return int64(g.a.Size(g.k, g.batch*g.m)), w, g.left(g.batch * g.m * g.n)
}

// missed returns how many of so many bytes are not found on chip from the time before.
func (g *gemm) missed(n int64) int64 {
	if g.found == 0 {
		return n
	}
	return int64(math.Ceil(float64(n) * (1 - g.found)))
}

// reads returns the part of so many bytes of C that is read because the product is added to it.
func (g *gemm) reads(c int64) int64 {
	n, _ := units.MulDivCeil(c, g.added, g.n)
	return n
}

// piece returns the bytes of depth of the reduction of so many vectors, with their part of the scales. A
// depth beyond the reduction is padding, and has no scales.
func (g *gemm) piece(d traces.DType, depth, vectors int64) int64 {
	elements := units.CeilDiv(depth*vectors*d.Bits(), 8)
	if !d.Scaled() {
		return elements
	}
	all := int64(d.Size(g.k, vectors)) - units.CeilDiv(g.k*vectors*d.Bits(), 8)
	scales, _ := units.MulDivCeil(all, min(depth, g.k), g.k)
	return elements + scales
}

// widenRow adds to a product with a single row what it takes to widen its weights: conversions of a
// compiled kernel, or operations on bits. That work and the stream overlap imperfectly.
func (b *builder) widenRow(k *Body, g *gemm, lib *arch.RowKernel, r *rows) {
	ops := b.widening(g, 1, g.n, g.k)
	if ops == 0 {
		return
	}
	if lib.Lookup > 0 {
		p := compute.Unpack(g.w, g.k, g.n)
		r.vector, r.whole, r.lookup = p.Half+g.gates.vector, p.Whole, p.Reads
		launch := k.Nodes[0].Step
		launch.Counts = append(launch.Counts, b.count("vector.ops", "op", p.Whole+p.Half-p.Sums)) // which are counted as the product
		return
	}
	if lib.Convert {
		ops = compute.Converted(g.w, g.n*g.k)
		r.convert = g.batch * ops
	} else {
		r.vector += g.batch * ops
	}
	r.overlap = g.lib.Overlap
	launch := k.Nodes[0].Step
	launch.Counts = append(launch.Counts, b.count("vector.ops", "op", g.batch*ops))
}

// bestTiling takes the tile and split with the least closed-form time, as a kernel library's
// heuristic does; among equals the first of the menu.
func (b *builder) bestTiling(g *gemm, pin *pinned) (tiling, error) {
	menu, splits, want := b.narrow(g, pin)
	tiles, err := b.menuTiles(g.lib, menu)
	if err != nil {
		return tiling{}, err
	}
	s := searches.Get().(*tilingSearch)
	defer searches.Put(s)
	s.begin(b, g, splits)
	for i := range tiles {
		m := &tiles[i]
		want.rows, want.cols = m.rows, m.cols
		shape, err := b.shape(g, want, m.clusterM, m.clusterN, &m.last)
		if errors.Is(err, errNoRoom) {
			continue
		}
		if err != nil {
			return tiling{}, err
		}
		s.add(&shape, m)
	}
	given := pin != nil && pin.Split > 0
	s.among(0, 1, given)
	s.among(1, len(splits), given)
	best := s.best
	if best.tiles == 0 && want.keep != keepFree {
		return b.refuseKeep(g, pin, menu, want)
	}
	if best.tiles == 0 {
		return tiling{}, fmt.Errorf("no tile of the library fits twice into the private memory of a core: %w", ErrUnsupported)
	}
	return best, nil
}

// tilingSearch looks for the best tiling of a product among those of a library, in the order of times that they cannot beat.
type tilingSearch struct {
	b       *builder
	g       *gemm
	splits  []int64
	a, w, c int64 // bytes of operands and result
	rough   rough
	shapes  []tiling
	roughs  []roughShape // of the shapes
	bounds  []tilingBound

	best  tiling
	least units.Time // that it takes
	at    int32      // its place in the order of the library
}

// tilingBound is a shape of a tile with a split of the reduction, which of the library's choices it is, and a time that it cannot beat.
type tilingBound struct {
	least               float64 // picoseconds
	order, shape, split int32   // the last two by their place
	near                bool    // the bound is the nearer one, with the library's overlap
}

// searches are those that are over, for their memory.
var searches = sync.Pool{New: func() any { return new(tilingSearch) }}

func (s *tilingSearch) begin(b *builder, g *gemm, splits []int64) {
	*s = tilingSearch{b: b, g: g, splits: splits, shapes: s.shapes[:0], roughs: s.roughs[:0], bounds: s.bounds[:0],
		least: math.MaxInt64 - 1, at: math.MaxInt32} // one less, so that limits do not overflow
	s.a, s.w, s.c = g.operands()
	once := g.missed(s.w) // the operand bytes that come from off chip at the least
	if !g.inHere {
		once = g.missed(s.a + s.w)
	}
	s.rough = b.roughly(g, once)
}

// add adds the shape that a tile of the menu has to what is looked at.
func (s *tilingSearch) add(t *tiling, m *menuTile) {
	r := s.rough.of(s.b, s.g, t)
	r.elements = m.rows * m.cols
	s.shapes, s.roughs = append(s.shapes, *t), append(s.roughs, r)
}

// among looks among all shapes with the splits from one place up to another. Shallow ones are left out unless the split is given.
func (s *tilingSearch) among(from, to int, given bool) {
	left := s.bounds[:0]
	for k := range s.shapes {
		t, rough := &s.shapes[k], &s.roughs[k]
		any := s.rough.any(s.g, t, rough)
		for i, split := range s.splits[from:to] {
			i += from
			order := int32(k*len(s.splits) + i)
			limit := float64(s.limit(order)) // what is slack in bounds is far more than what rounding is
			if any+s.rough.adding(s.g, split)*(1-slack) >= limit || !given && s.b.shallow(s.g, rough.elements, split) {
				continue
			}
			if least := s.rough.least(s.g, t, rough, split, true); least < limit {
				left = append(left, tilingBound{least, order, int32(k), int32(i), false})
			}
		}
	}
	s.bounds = left // for the memory
	for i := len(left)/2 - 1; i >= 0; i-- {
		sink(left, i)
	}
	for len(left) > 0 {
		k := &left[0]
		switch {
		case k.least >= float64(s.limit(k.order)):
			if k.least >= float64(s.least+1) {
				return // as is all that is left
			}
		case k.near || s.best.tiles == 0:
			s.try(&s.shapes[k.shape], s.splits[k.split], k.order)
		default:
			k.near, k.least = true, max(k.least, s.rough.least(s.g, &s.shapes[k.shape], &s.roughs[k.shape], s.splits[k.split], false))
			sink(left, 0)
			continue
		}
		n := len(left) - 1
		left[0] = left[n]
		left = left[:n]
		sink(left, 0)
	}
}

// before reports whether a bound is looked at first: the lesser one, of equals that of the first choice.
func (k *tilingBound) before(l *tilingBound) bool {
	return k.least < l.least || k.least == l.least && k.order < l.order
}

// sink puts a bound where it belongs in a heap with the first one at the root, if all below it are in order. Menus may have thousands of
// tiles that take the same time, all of which are looked at.
func sink(heap []tilingBound, i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(heap); c++ {
			if heap[c].before(&heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// limit is what a tiling has to stay below to be the best one yet: of equal times the first of the library's is taken.
func (s *tilingSearch) limit(order int32) units.Time {
	if order < s.at {
		return s.least + 1
	}
	return s.least
}

// try works out a tiling.
func (s *tilingSearch) try(shape *tiling, split int64, order int32) {
	t := *shape
	t.divide(s.g, split)
	if !s.b.moves(s.g, &t, s.a, s.w, s.c) {
		return
	}
	limit := s.limit(order)
	if time := s.b.tilingTime(s.g, &t, limit); time < limit {
		s.best, s.least, s.at = t, time, order
	}
}

// menuTile is a tile of a library's menu, and how many along the rows and the columns are launched together.
type menuTile struct {
	rows, cols, clusterM, clusterN int64
	last                           arrayTime
}

// arrayTime is how long the matrix unit takes for a tile. The products of a model ask for the same again and again.
type arrayTime struct {
	in                traces.DType
	rows, cols, depth int64
	steady, fill      int64
}

// menuTiles reads a menu of a library, the whole one once for a plan.
func (b *builder) menuTiles(lib *arch.GemmKernel, menu []string) ([]menuTile, error) {
	whole := len(menu) > 0 && len(menu) == len(lib.Tiles) && &menu[0] == &lib.Tiles[0]
	if whole {
		if tiles := b.menus[lib]; tiles != nil {
			return tiles, nil
		}
	}
	tiles := b.mem.menus.take(len(menu))
	for i, s := range menu {
		t := &tiles[i]
		*t = menuTile{}
		var err error
		if t.rows, t.cols, err = arch.ParseTile(s); err != nil {
			return nil, err
		}
		t.clusterM, t.clusterN = lib.ClusterOf(t.rows, t.cols)
	}
	if whole {
		b.menus[lib] = tiles
	}
	return tiles, nil
}

// shallow reports whether a split leaves too little of the reduction, or of a tile, to be worth a pass over the partial sums.
func (b *builder) shallow(g *gemm, elements, split int64) bool {
	return split > 1 && (g.k/split < 4*g.lib.Depth || elements < 4096)
}

// errNoRoom says that a tile is too large for the private memory of a core, or what it is to keep for the shared one.
var errNoRoom = errors.New("no room for two buffers of operands")

// tile works out one tiling, or returns errNoRoom. What of the choice is zero is decided here: how many tiles a core
// works on, with how many buffers, and what is kept.
func (b *builder) tile(g *gemm, want tileChoice) (tiling, error) {
	m, n := g.lib.ClusterOf(want.rows, want.cols)
	t, err := b.shape(g, want, m, n, &arrayTime{})
	if err != nil {
		return t, err
	}
	t.divide(g, want.split)
	if a, w, c := g.operands(); !b.moves(g, &t, a, w, c) {
		return t, errNoRoom
	}
	return t, nil
}

// shape works out what of a tiling does not depend on the split, for tiles that are launched in clusters of m×n. last is what was worked out for
// the tile before, if anything.
func (b *builder) shape(g *gemm, want tileChoice, m, n int64, last *arrayTime) (tiling, error) {
	t := tiling{tileChoice: want}
	if g.lib.Shrink {
		t.rows, t.cols, t.depth = min(t.rows, g.m), min(t.cols, g.n), min(t.depth, g.k)
	}
	t.mt, t.nt = units.CeilDiv(g.m, t.rows), units.CeilDiv(g.n, t.cols)
	if m*n > 1 {
		t.mt, t.nt = units.CeilDiv(t.mt, m)*m, units.CeilDiv(t.nt, n)*n
	}
	if last.rows != t.rows || last.cols != t.cols || last.depth != t.depth || last.in != g.in {
		cycles, err := b.m.Chip.Cores.Matrix.Cycles(g.in, t.rows, t.cols, t.depth)
		if err != nil {
			return t, fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		*last = arrayTime{g.in, t.rows, t.cols, t.depth, int64(cycles.Steady), int64(cycles.Fill)}
	}
	t.cycles, t.fill = last.steady, last.fill
	t.feed = g.piece(g.a, t.depth, t.rows) + g.piece(g.w, t.depth, t.cols)
	t.fed = t.feed
	if p := g.lib.Padding; p > 0 { // of which the padded rows of all tiles take part
		p = 1 + float64(p*float64(t.mt*t.rows-g.m)/float64(t.mt*t.rows))
		t.cycles, t.fed = int64(math.Ceil(float64(t.cycles)*p)), int64(math.Ceil(float64(t.fed)*p))
	}
	t.widen = b.widening(g, t.rows, t.cols, t.depth)
	kernel := g.lib
	if t.resident == 0 {
		t.resident = max(1, min(kernel.Resident, kernel.Accumulators/(t.rows*t.cols)))
	} else if t.resident*t.rows*t.cols > b.registers(g) {
		return t, errNoRoom
	}
	if b.private != nil {
		// A pipeline needs two buffers; what has no room for them at a time comes one after the other.
		least := int64(2)
		if t.buffers > 0 {
			least = t.buffers
		}
		sets := int64(b.private.Capacity) / (least * t.feed)
		if sets < max(want.resident, 1) {
			return t, errNoRoom
		}
		t.resident = min(t.resident, sets)
		if t.buffers == 0 {
			t.buffers = min(kernel.Stages, int64(b.private.Capacity)/(t.feed*t.resident))
		}
	} else if t.buffers == 0 {
		t.buffers = kernel.Stages
	}
	t.store = g.missed(g.left(min(t.rows, g.m) * min(t.cols, g.n)))
	return t, nil
}

// divide cuts the reduction into so many parts.
func (t *tiling) divide(g *gemm, split int64) {
	t.split = split
	t.tiles = t.mt * t.nt * split * g.batch
	t.stages = units.CeilDiv(units.CeilDiv(g.k, split), t.depth)
}

// moves counts what comes from off chip, where the operands and the result are so many bytes; it reports whether there is room for what is
// to be kept.
func (b *builder) moves(g *gemm, t *tiling, a, w, c int64) bool {
	if !b.traffic(g, t, a, w, c) {
		return false
	}
	if b.outer != nil {
		b.outerTraffic(g, t, a, w, c)
	}
	return true
}

// traffic decides what to keep on chip, so that the least operand bytes come from off chip, and counts these; it reports
// whether there is room for what a pin says to keep. The tiles of one wave cover a patch of the output and walk the
// reduction together, so an operand is read once per wave at most. Over waves, an operand is read once in all if its part
// for the patch is still on chip when the next wave needs it, while the other operand sweeps past; both are if one is
// still there as a whole when the next sweep begins.
func (b *builder) traffic(g *gemm, t *tiling, a, w, c int64) bool {
	want := t.keep
	fetch := func(k keep, ofA, ofB int64) bool {
		if g.inHere {
			ofA = 0
		}
		t.keep, t.fetchA, t.fetchB, t.into = k, ofA, ofB, g.missed(a*ofA+w*ofB)
		t.read = t.into
		return true
	}
	if b.shared == nil {
		ofA, ofB := t.nt, t.mt
		if g.lib.Multicast { // one read for all cores of a wave that need it
			m, n := b.patch(t)
			ofA, ofB = units.CeilDiv(t.nt, n), units.CeilDiv(t.mt, m)
		}
		return fetch(keepNothing, ofA, ofB) && want <= keepNothing
	}
	result := c
	if t.split > 1 {
		c = 4 * g.batch * g.m * g.n // each part of the reduction leaves its sums
	}
	if all := a + w + c; want == keepFree && all/g.batch <= b.keepRoom() {
		return fetch(keepBoth, 1, 1)
	}
	n := b.parts(g, t, a, w, result)
	sweepsA, sweepsB := units.CeilDiv(t.nt, n.n), units.CeilDiv(t.mt, n.m)
	switch want {
	case keepNothing:
		return fetch(keepNothing, sweepsA, sweepsB)
	case keepA:
		return n.wave <= n.room && fetch(keepA, 1, sweepsB)
	case keepB:
		return n.wave <= n.room && fetch(keepB, sweepsA, 1)
	case keepBoth:
		return n.both <= n.room && fetch(keepBoth, 1, 1)
	}
	switch {
	case n.both <= n.room:
		return fetch(keepBoth, 1, 1)
	case n.wave > n.room:
		return fetch(keepNothing, sweepsA, sweepsB)
	case w+a*sweepsA < a+w*sweepsB:
		return fetch(keepB, sweepsA, 1)
	}
	return fetch(keepA, 1, sweepsB)
}

// outerTraffic counts what of the operands comes from off chip where a second shared memory lies before it. Waves are in the
// order that suits the first one.
func (b *builder) outerTraffic(g *gemm, t *tiling, a, w, c int64) {
	n, room := b.parts(g, t, a, w, c), int64(b.outer.Capacity)
	if g.inHere {
		a = 0
	}
	sweepsA, sweepsB := units.CeilDiv(t.nt, n.n), units.CeilDiv(t.mt, n.m)
	switch {
	case (a+w+c)/g.batch <= room || n.both <= room:
		t.read = a + w
	case n.wave <= room && t.keep == keepNothing:
		t.read = min(w+a*sweepsA, a+w*sweepsB)
	}
	t.read = min(t.read, t.into)
}

// parts are the bytes that a product keeps in the shared on-chip memory, and what else passes through it until they are
// needed again: a cache that drops what was not used for longest has them still if there is room for all of it.
type parts struct {
	m, n int64 // tiles of a wave's patch
	a, b int64 // parts of the operands for it
	// wave is what passes from one wave to the next: the parts of both operands and the results. both is what
	// passes in one sweep at the least: an operand as a whole, the part of the other for this sweep and for the
	// next, and the results of the sweep; or all there is.
	wave, both int64
	room       int64
}

// patch is what a wave covers: m×n tiles, as square in elements as the grid allows.
func (b *builder) patch(t *tiling) (m, n int64) {
	wave := min(t.tiles, b.slots(t))
	m = min(t.mt, max(1, int64(math.Sqrt(float64(wave)*float64(t.cols)/float64(t.rows)))))
	n = min(t.nt, units.CeilDiv(wave, m))
	return min(t.mt, units.CeilDiv(wave, n)), n
}

func (b *builder) parts(g *gemm, t *tiling, a, w, c int64) (p parts) {
	p.room = b.keepRoom()
	p.m, p.n = b.patch(t)
	part := units.CeilDiv(g.k, t.split)
	p.a, p.b = g.piece(g.a, part, p.m*t.rows), g.piece(g.w, part, p.n*t.cols)
	if t.split > 1 {
		c = 4 * g.batch * g.m * g.n // each part of the reduction leaves its sums
	}
	oneA, oneB, oneC := a/g.batch, w, c/g.batch
	if !g.shared {
		oneB /= g.batch
	}
	// Results of one wave, of a band of rows and of a band of columns.
	results := func(rows, cols int64) int64 {
		n, _ := units.MulDivCeil(oneC, min(rows, g.m)*min(cols, g.n), g.m*g.n)
		return n
	}
	p.wave = p.a + p.b + results(p.m*t.rows, p.n*t.cols)
	p.both = min(oneB+2*p.a+results(p.m*t.rows, g.n), oneA+2*p.b+results(g.m, p.n*t.cols), oneA+oneB+oneC)
	return p
}

// wave holds what the tiles of one wave need per pipeline stage.
type wave struct {
	tiles, cores  int64 // tiles, and the cores they are on
	perCore       int64 // tiles of the busiest core
	load, operand int64 // off-chip bytes and on-chip bytes of one stage, all tiles
	into          int64 // bytes that are brought to the shared on-chip memory
	store         int64
}

func (b *builder) wave(t *tiling, tiles int64) wave {
	cores := b.m.Chip.Cores.Count
	w := wave{tiles: tiles, cores: min(tiles, cores), perCore: units.CeilDiv(tiles, cores)}
	share, _ := units.MulDivCeil(t.read, tiles, t.tiles)
	w.load = b.off.Sectors(units.CeilDiv(share, t.stages))
	if w.into = w.load; t.into > t.read {
		share, _ = units.MulDivCeil(t.into, tiles, t.tiles)
		w.into = max(w.load, units.CeilDiv(share, t.stages))
	}
	w.operand = tiles * t.feed
	w.store = b.off.Sectors(tiles * t.store)
	return w
}

// slots returns the tiles of a full wave.
func (b *builder) slots(t *tiling) int64 { return b.m.Chip.Cores.Count * t.resident }

// tilingTime is the closed form by which tilings are compared: waves of pipeline stages whose parts
// overlap imperfectly, the fill of each wave, and the pass over split sums. A tiling that cannot
// take less than least may be given any time from least on.
func (b *builder) tilingTime(g *gemm, t *tiling, least units.Time) units.Time {
	var w waveTimes
	sum := b.perfect(g, t, &w)
	if sum < float64(least) {
		sum = w.other
		for i := range w.parts {
			if w.times[i] > 0 {
				sum += float64(float64(w.times[i]*t.stages) * float64(units.PNorm(g.lib.Overlap, w.parts[i][:]...)))
			}
		}
	}
	return units.Time(min(sum, float64(units.MaxTime)))
}

// rough bounds the times of tilings of one product from below, in a small part of the time that they take to work out: in floating point, with
// perfect overlap and no operand that comes from off chip twice.
type rough struct {
	// Picoseconds for a byte or a cycle of a resource; 0 where it does not count.
	shared, private, matrix, vector float64
	load                            float64 // picoseconds for all operand bytes
	sums, result                    float64 // for a part of the reduction, and for the result, where there are several
	outHere                         bool
	cores                           int64
	overlap                         float64 // as in Step
}

// roughShape is what the bounds of a shape with any split have in common: picoseconds for the kernel and for each wave, and for a stage of one tile on
// the units of a core and on the memory that cores share.
type roughShape struct {
	fixed, wave                      float64
	matrix, private, vector, slowest float64
	feed                             float64
	elements                         int64 // of the library's tile, which may be larger than the product
}

// slack is what floating point may be above an exact time, as a share of it.
const slack = 1e-9

// roughly begins the bounds of a product that reads so many operand bytes at the least.
func (b *builder) roughly(g *gemm, read int64) (r rough) {
	per := func(resource int, share float64) float64 {
		if share == 0 {
			share = 1
		}
		return float64(units.Second) / float64(b.p.Resources[resource].Rate) / share
	}
	r.cores, r.load, r.overlap = b.m.Chip.Cores.Count, float64(read)*per(b.at.off, b.copyShare()), g.lib.Overlap
	r.matrix, r.vector = per(b.at.matrix, 0), per(b.at.vector, 0)/float64(b.m.Chip.Cores.Vector.Lanes)
	if b.shared != nil {
		r.shared = per(b.at.shared, g.lib.SharedShare)
	}
	if b.private != nil {
		r.private = per(b.at.private, 0)
	}
	one := tiling{tileChoice: tileChoice{split: 1}}
	tier, sums, result := b.splitSums(g, &one)
	r.sums, r.outHere = 2*float64(sums)*per(b.res[tier.Name], 0), g.outHere
	r.result = float64(result+g.reads(result)) * per(b.at.off, 0)
	if g.outHere {
		r.result = float64(result) * per(b.res[tier.Name], 0)
	}
	return r
}

// of goes on to a shape.
func (r *rough) of(b *builder, g *gemm, t *tiling) (s roughShape) {
	s.fixed, s.wave = float64(b.arrayFill(t)), float64(g.lib.Fill)
	if b.onChip != nil { // what lies between cores and memories can only take longer
		s.wave += float64(b.onChip.latency)
	}
	private := r.private
	if share := b.feedShare(g, t); share > 0 {
		private /= share
	}
	s.matrix, s.private, s.vector = float64(t.cycles)*r.matrix, float64(t.fed)*private, float64(t.widen)*r.vector
	s.slowest = max(s.matrix, s.private, s.vector)
	s.feed = float64(t.feed) * r.shared
	return s
}

// least is what tilingTime cannot be below for the shape with a split, with perfect overlap of the parts of a stage or, which takes longer to work out and is
// nearer, with that of the library.
func (r *rough) least(g *gemm, t *tiling, s *roughShape, split int64, perfect bool) float64 {
	slots := r.cores * t.resident
	tiles := t.mt * t.nt * split * g.batch
	stages := float64(units.CeilDiv(units.CeilDiv(g.k, split), t.depth))
	load := r.load / (float64(tiles) * stages) // of a tile
	full := tiles / slots
	rest := tiles - full*slots
	waves, sum := float64(full), s.fixed
	if full > 0 {
		sum += waves * stages * r.stage(s, load, float64(slots), float64(t.resident), perfect)
	}
	if rest > 0 {
		waves++
		sum += stages * r.stage(s, load, float64(rest), float64(units.CeilDiv(rest, r.cores)), perfect)
	}
	sum += waves*s.wave + r.adding(g, split)
	return sum * (1 - slack)
}

// adding is what the pass over the sums of a split takes.
func (r *rough) adding(g *gemm, split int64) float64 {
	if split == 1 {
		return 0
	}
	if sums := r.sums * float64(split); r.outHere {
		return float64(g.lib.Reduce) + sums + r.result
	} else {
		return float64(g.lib.Reduce) + max(sums, r.result)
	}
}

// any is what the shape cannot beat with any split, not counting the pass over the sums: that every tile is worked on, and that all is loaded, wherever
// and in how many waves.
func (r *rough) any(g *gemm, t *tiling, s *roughShape) float64 {
	tiles := float64(t.mt * t.nt * g.batch)
	stages := float64(g.k) / float64(t.depth)
	return (s.fixed + s.wave + max(tiles*stages*max(s.slowest/float64(r.cores), s.feed), r.load)) * (1 - slack)
}

// stage bounds a stage of so many tiles, of which the busiest core has some; load is for one.
func (r *rough) stage(s *roughShape, load, tiles, perCore float64, perfect bool) float64 {
	if perfect || !(r.overlap > 1) || math.IsInf(r.overlap, 1) {
		return max(s.slowest*perCore, tiles*max(load, s.feed))
	}
	return pnorm(r.overlap, tiles*load, tiles*s.feed, perCore*s.matrix, perCore*s.private, perCore*s.vector)
}

// pnorm is about units.PNorm, within slack.
func pnorm(p float64, ts ...float64) float64 {
	top, at := 0.0, 0
	for i, t := range ts {
		if t > top {
			top, at = t, i
		}
	}
	var rest float64
	for i, t := range ts {
		if i != at && t > 0 {
			rest += math.Exp(p * math.Log(t/top))
		}
	}
	return top * math.Exp(math.Log1p(rest)/p)
}

// waveTimes is what the time of a tiling is made of.
type waveTimes struct {
	parts [2][5]units.Time // of one stage of a full and of the last wave
	times [2]int64         // waves
	other float64          // beside them
}

// perfect is the time of a tiling whose parts overlap perfectly, a bound that needs no p-norm.
func (b *builder) perfect(g *gemm, t *tiling, w *waveTimes) float64 {
	slots := b.slots(t)
	full, rest := t.tiles/slots, t.tiles%slots
	if full > 0 {
		w.parts[0], w.times[0] = b.stageParts(g, t, b.wave(t, slots)), full
	}
	if rest > 0 {
		w.parts[1], w.times[1] = b.stageParts(g, t, b.wave(t, rest)), 1
	}
	w.other = float64(float64(g.lib.Fill)*float64(w.times[0]+w.times[1])) + float64(b.arrayFill(t))
	if b.onChip != nil {
		w.other += float64(float64(b.onChip.latency) * float64(w.times[0]+w.times[1]))
	}
	if t.split > 1 {
		w.other += float64(b.splitTime(g, t) + g.lib.Reduce)
	}
	sum := w.other
	for i, ts := range w.parts {
		sum += float64(float64(w.times[i]*t.stages) * float64(max(ts[0], ts[1], ts[2], ts[3], ts[4])))
	}
	return sum
}

// stageParts returns how long each resource needs for one stage of a wave: off-chip and shared
// memory, matrix unit and private memory. The slower of load and compute pays for all of them, see
// Step.Serve, so their p-norm is the pace of the pipeline. The vector unit has a part where it widens
// operands: each tile widens its own, so a weight as often as there are tiles along the rows.
func (b *builder) stageParts(g *gemm, t *tiling, w wave) (ts [5]units.Time) {
	if b.onChip != nil {
		counters, mem := len(b.p.Counters), b.mem
		defer func() { b.forget(counters); b.mem = mem }() // what is only looked at counts nothing and stays nowhere
		return b.onChip.parts(b.stage(g, t, w))
	}
	off := Use{Resource: b.at.off, Amount: w.load, Share: b.copyShare()}
	ts[0] = off.Time(b.p.Resources)
	if b.shared != nil {
		u := Use{Resource: b.at.shared, Amount: w.operand, Share: g.lib.SharedShare}
		ts[1] = u.Time(b.p.Resources)
	}
	ts[2] = b.time(b.at.matrix, t.cycles*w.perCore)
	if b.private != nil {
		u := Use{Resource: b.at.private, Amount: t.fed * w.perCore, Share: b.feedShare(g, t)}
		ts[3] = u.Time(b.p.Resources)
	}
	if t.widen > 0 {
		ts[4] = b.time(b.at.vector, b.vectorCycles(t.widen*w.perCore))
	}
	return ts
}

// vectorCycles returns the cycles of one core's vector unit for so many simple operations.
func (b *builder) vectorCycles(ops int64) int64 {
	return units.CeilDiv(ops, b.m.Chip.Cores.Vector.Lanes)
}

func (b *builder) time(resource int, amount int64) units.Time {
	return b.p.Resources[resource].Time(amount)
}

// stage returns the load and the compute step of one pipeline stage of a wave.
func (b *builder) stage(g *gemm, t *tiling, w wave) (load, compute *Step) {
	read := b.mem.useList(b.useAt(b.off.Name, w.load, b.copyShare()))
	counts := b.mem.countList(b.reads(b.off, w.load))
	if w.into > w.load {
		read = append(read, Use{Resource: b.res[b.outer.Name], Amount: w.into, Series: true})
	}
	if b.shared != nil {
		read = append(read, b.useAt(b.shared.Name, w.operand, g.lib.SharedShare))
		counts = append(counts, b.reads(b.shared, w.operand), b.writes(b.shared, w.into))
		if w.into > w.load {
			counts = append(counts, b.reads(b.outer, w.into), b.writes(b.outer, w.load))
		}
	}
	work := b.mem.useList(b.use("matrix", t.cycles*w.perCore))
	done := b.mem.countList(b.count("matrix.cycles", "core-cycle", t.cycles*w.tiles))
	if b.private != nil {
		work = append(work, b.useAt(b.private.Name, t.fed*w.perCore, b.feedShare(g, t)))
		done = append(done, b.reads(b.private, w.operand), b.writes(b.private, w.operand))
	}
	if t.widen > 0 {
		cycles := b.vectorCycles(t.widen * w.perCore)
		work = append(work, b.use("vector", cycles))
		done = append(done, b.count("vector.ops", "op", t.widen*w.tiles), b.count("vector.cycles", "core-cycle", cycles*w.cores))
	}
	p := g.lib.Overlap
	load = b.mem.step(Step{Kind: "load", Uses: read, Beside: work, Overlap: p, Counts: counts, Cores: w.cores})
	compute = b.mem.step(Step{Kind: "compute", Uses: work, Beside: read, Overlap: p, Counts: done, Cores: w.cores})
	return load, compute
}

// splitSums is the pass that adds up the partial sums of a split reduction: each is written in FP32
// by the main loop and read here, in the shared on-chip memory if there is one; the result goes off
// chip.
func (b *builder) splitSums(g *gemm, t *tiling) (tier *memory.Spec, sums, result int64) {
	tier = b.shared
	if tier == nil {
		tier = b.off
	}
	return tier, 4 * t.split * g.batch * g.m * g.n, b.off.Sectors(g.missed(g.left(g.batch * g.m * g.n)))
}

func (b *builder) splitTime(g *gemm, t *tiling) units.Time {
	tier, sums, result := b.splitSums(g, t)
	if g.outHere {
		return b.time(b.res[tier.Name], 2*sums+result)
	}
	return max(b.time(b.res[tier.Name], 2*sums), b.time(b.at.off, result+g.reads(result)))
}

func (b *builder) splitReduce(g *gemm, t *tiling) *Step {
	tier, sums, result := b.splitSums(g, t)
	old := g.reads(result)
	uses := b.mem.useList(b.use(tier.Name, 2*sums), b.use(b.off.Name, result+old))
	to := b.off
	if g.outHere {
		to, uses = tier, b.mem.useList(b.use(tier.Name, 2*sums+result))
	} else if tier == b.off {
		uses = b.mem.useList(b.use(tier.Name, 2*sums+result+old))
	}
	step := b.mem.step(Step{Kind: "reduce", Latency: g.lib.Reduce, Charge: sim.Dependency, Uses: uses,
		Counts: b.mem.countList(b.writes(tier, sums), b.reads(tier, sums), b.count(to.Name+".write", "B", result))})
	if old > 0 {
		step.Counts = append(step.Counts, b.reads(b.off, old))
	}
	return step
}

// tiledGemm adds the waves of a tiled product to a kernel.
func (b *builder) tiledGemm(k *Body, g *gemm, t *tiling) {
	if r := g.lib.Quantize; r != nil && b.alone {
		b.rounding(k, g, r)
	}
	slots := b.slots(t)
	full, rest := t.tiles/slots, t.tiles%slots
	if t.fill > 0 {
		fill := wait("fill", b.arrayFill(t))
		fill.Clocked = true
		k.then(Node{Name: "fill of the arrays", Step: fill})
	}
	if full > 0 {
		k.then(Node{Name: fmt.Sprintf("waves of %d tiles %dx%d", slots, t.rows, t.cols), Body: b.waveBody(g, t, slots), Times: full})
	}
	if rest > 0 {
		k.then(Node{Name: fmt.Sprintf("last wave of %d tiles %dx%d", rest, t.rows, t.cols), Body: b.waveBody(g, t, rest), Times: 1})
	}
	if t.split > 1 {
		k.then(Node{Name: fmt.Sprintf("add up %d parts", t.split), Step: b.splitReduce(g, t)})
	}
}

// rounding adds the kernel that rounds 16-bit activations to a product that is timed by itself.
func (b *builder) rounding(k *Body, g *gemm, r *arch.Rounding) {
	n := float64(g.batch*g.m*g.k) * r.Passes
	read, write := b.off.Sectors(int64(2*n)), b.off.Sectors(int64(n)*g.a.Bits()/8)
	lat := b.profile.Launch
	if b.mapping.IdealLaunch {
		lat = 0
	}
	k.then(Node{Name: "launch of rounding", Step: b.mem.step(Step{Kind: "launch", Latency: lat, Charge: sim.Launch, Counts: b.mem.countList(b.count("launches", "launch", 1))})})
	k.then(Node{Name: "fill", Step: wait("fill", r.Fill)})
	k.then(Node{Name: "round activations", Step: b.mem.step(Step{Kind: "load", Uses: b.mem.useList(b.use(b.off.Name, read+write)),
		Counts: b.mem.countList(b.reads(b.off, read), b.writes(b.off, write))})})
}

// gemv returns the library's kernel for products of a matrix with a single row, nil if it has none or
// the product has more rows: a single row would leave a matrix unit empty, and streaming the matrix
// through the vector units takes no longer than reading it. Kernels for weights of less than a byte
// unpack them for the matrix units however few the rows are, unless the library has one that looks them up, and so do
// kernels for formats of their own.
func (b *builder) gemv(g *gemm) *arch.RowKernel {
	kind := "gemv"
	switch {
	case g.m != 1 || g.lib != &b.profile.Gemm:
		return nil
	case g.shared && g.a.Bits() == 16 && compute.Packs(g.w):
		kind = "gemv-packed"
	case g.w.Bits() < 8:
		return nil
	}
	if lib := rowKernelFor(b.profile, kind); slices.Contains(lib.Kinds, kind) {
		return lib
	}
	return nil
}

// countOps counts the operations of the product on its launch: they are the same whatever the tiling.
func (b *builder) countOps(k *Body, g *gemm) {
	launch := k.Nodes[0].Step
	launch.Counts = append(launch.Counts, b.count("matrix."+g.in.String()+".ops", "op", 2*g.batch*g.m*g.n*g.k))
	if g.gates.vector > 0 {
		launch.Counts = append(launch.Counts, b.count("vector.ops", "op", g.gates.vector), b.count("special.ops", "op", g.gates.special))
	}
}

// arrayFill is the time until a systolic unit works at its pace. Waves follow one another without a
// gap, so the kernel pays for it once.
func (b *builder) arrayFill(t *tiling) units.Time { return b.m.Chip.Clock.At(units.Cycles(t.fill)) }

// waveBody is one wave: it starts, streams its reduction through the operand buffers, and stores its
// tiles while the next wave starts.
func (b *builder) waveBody(g *gemm, t *tiling, tiles int64) *Body {
	w := b.wave(t, tiles)
	load, compute := b.stage(g, t, w)
	stream := b.mem.body("reduction", -1, 2)
	stream.Buffers = []Buffer{{Name: "operands", Capacity: t.buffers, Token: units.Bytes(t.feed * w.perCore)}}
	stream.Nodes = append(stream.Nodes,
		Node{Name: "load", Step: load, Acquire: b.mem.tokenList(Tokens{0, 1})},
		Node{Name: "multiply", Step: compute, After: link(0), Release: b.mem.tokenList(Tokens{0, 1})})
	body := b.mem.body("wave", -1, 3)
	if fill := g.lib.Fill; fill > 0 {
		body.then(Node{Name: "start", Step: wait("fill", fill), After: []Dep{{Node: 1, Distance: 1}}})
	}
	body.then(Node{Name: "reduction", Body: stream, Times: t.stages})
	if t.split == 1 {
		old := g.reads(w.store)
		to := b.holds(g.outHere)
		store := b.mem.step(Step{Kind: "store", Uses: b.mem.useList(b.use(to, w.store+old)), Counts: b.mem.countList(b.count(to+".write", "B", w.store)), Cores: w.cores})
		if old > 0 {
			store.Counts = append(store.Counts, b.reads(b.off, old))
		}
		if g.gates.vector > 0 {
			store.Uses = append(store.Uses, b.gateCycles(g, tiles*t.rows*t.cols, w.cores)...)
		}
		body.then(Node{Name: "store", Step: store})
	}
	return body
}

// resident reports whether the runtime first copies operands on chip whole: it does so for an operator
// by itself, if they fit there together. In a program the operands of the next operator arrive while
// this one runs, which is what tiles in a pipeline do.
func (b *builder) resident(bytes int64) bool {
	return b.profile.Resident != nil && b.alone && b.shared != nil && bytes <= b.residentRoom()
}

// wait leaves what an operator reads and writes on chip, if that is where it waits.
func (b *builder) wait(r *rows) {
	if p := b.profile.Resident; p != nil && p.Waiting && b.resident(r.read+r.write) {
		r.inHere, r.outHere = r.read, r.write
	}
}

// residentRows reports whether operators that stream rows first copy them on chip whole.
func (b *builder) residentRows() bool { return b.resident(0) && !b.profile.Resident.Stream }

// residentRoom is what operands may take on chip.
func (b *builder) residentRoom() int64 {
	if r := b.profile.Resident; r.Room > 0 {
		return min(int64(r.Room), int64(b.shared.Capacity))
	}
	return int64(b.shared.Capacity)
}

// residentGemm reports whether a product runs from operands that are on chip whole. A runtime that streams has one of them
// there at the least.
func (b *builder) residentGemm(g *gemm) bool {
	a, w, c := g.operands()
	switch {
	case !b.resident(0):
		return false
	case b.profile.Resident.Stream:
		return true
	}
	return b.resident(a + w + c)
}

// held is what of a product is copied on chip before it starts, and what comes and goes while it runs.
type held struct {
	a, w   int64 // copied first
	stream int64 // bytes that come while it runs
	leave  int64 // bytes that leave while it runs
	back   int64 // bytes that are copied back at the end
}

// held decides what is copied first: both operands if there is room, else as much of the smaller one as there is room
// for. The other one streams past, once for each part of the smaller one that has its turn on chip.
func (b *builder) held(g *gemm) (h held) {
	a, w, c := g.operands()
	switch r := b.profile.Resident; {
	case r.Waiting && b.resident(a+w+c):
		return held{}
	case !r.Stream:
		return held{a: a, w: w, back: c}
	}
	h.leave = c
	room := b.residentRoom()
	if a+w <= room {
		h.a, h.w = a, w
		return h
	}
	first, other := &h.a, a
	small := a
	if w < a {
		first, small = &h.w, w
	} else {
		other = w
	}
	*first = min(small, room)
	h.stream = small - *first + other*units.CeilDiv(small, room)
	return h
}

// copyShare is the share of the off-chip rate that a runtime's copies reach which brings operands on chip before it works on
// them: tiles that are streamed come the same way. 0 is all of it.
func (b *builder) copyShare() float64 {
	if r := b.profile.Resident; r != nil && b.alone {
		return r.Load
	}
	return 0
}

// copyIn and copyOut move a whole operand between off-chip and on-chip memory.
func (b *builder) copyIn(k *Body, name string, bytes int64) {
	s := b.off.Sectors(bytes)
	k.then(Node{Name: name, Step: b.mem.step(Step{Kind: "load", Uses: b.mem.useList(b.useAt(b.off.Name, s, b.profile.Resident.Load), b.use(b.shared.Name, s)),
		Counts: b.mem.countList(b.reads(b.off, s), b.writes(b.shared, s))})})
}

func (b *builder) copyOut(k *Body, name string, bytes int64) {
	s := b.off.Sectors(bytes)
	k.then(Node{Name: name, Step: b.mem.step(Step{Kind: "store", Uses: b.mem.useList(b.useAt(b.off.Name, s, b.profile.Resident.Store), b.use(b.shared.Name, s)),
		Counts: b.mem.countList(b.writes(b.off, s), b.reads(b.shared, s))})})
}

// chunkCycles is about how long a core works on one piece of a resident product, and maxPieces how
// many pieces there are at most: enough that copies between on-chip memories hide behind the products.
const (
	chunkCycles = 2048
	maxPieces   = 64
)

// dealing is how the work of a resident product is dealt out to the cores.
type dealing struct {
	way    string       // what is divided: "batch", "m" or "n"
	cycles int64        // matrix cycles of the busiest core
	fill   units.Cycles // before the first product runs at that pace
	cores  int64        // that have work
	widen  int64        // vector operations of the busiest core that widen narrow operands
}

// bestDealing divides the batch, the rows or the columns among the cores, whichever takes least.
func (b *builder) bestDealing(g *gemm, pin *pinned) (dealing, error) {
	unit, cores := &b.m.Chip.Cores.Matrix, b.m.Chip.Cores.Count
	best := dealing{cycles: math.MaxInt64}
	for _, d := range []struct {
		way                string
		batch, m, n, parts int64
	}{
		{"batch", units.CeilDiv(g.batch, cores), g.m, g.n, g.batch},
		{"m", g.batch, units.CeilDiv(g.m, cores), g.n, g.m},
		{"n", g.batch, g.m, units.CeilDiv(g.n, cores), g.n},
	} {
		one, err := unit.Cycles(g.in, d.m, d.n, g.k)
		if err != nil {
			return best, fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		if pin != nil && pin.Deal != "" && pin.Deal != d.way {
			continue
		}
		if cycles := int64(one.Steady) * d.batch; cycles < best.cycles {
			best = dealing{d.way, cycles, one.Fill, min(cores, d.parts), d.batch * b.widening(g, d.m, d.n, g.k)}
		}
	}
	return best, nil
}

// wholeGemm plans copies of operands, the product, and what is copied back one after the other. Each core works through
// its part in pieces that pass through its private memory; what streams past, and results that leave at once, go with them.
func (b *builder) wholeGemm(k *Body, g *gemm, d dealing) {
	a, w, c := g.operands()
	h := b.held(g)
	pieces := max(1, min(d.cycles/chunkCycles, maxPieces))
	part := func(n int64) int64 { return units.CeilDiv(n, pieces) }
	load := b.mem.useList(b.use(b.shared.Name, part(a+w)))
	loaded := b.mem.countList(b.reads(b.shared, part(a+w)))
	work := b.mem.useList(b.use("matrix", part(d.cycles)))
	done := b.mem.countList(b.count("matrix.cycles", "core-cycle", part(d.cycles)*d.cores))
	if b.private != nil {
		per := units.CeilDiv(part(a+w), d.cores)
		work = append(work, b.use(b.private.Name, per))
		loaded = append(loaded, b.writes(b.private, per*d.cores))
		done = append(done, b.reads(b.private, per*d.cores))
	}
	if d.widen > 0 {
		cycles := b.vectorCycles(part(d.widen))
		work = append(work, b.use("vector", cycles))
		done = append(done, b.count("vector.ops", "op", part(d.widen)*d.cores), b.count("vector.cycles", "core-cycle", cycles*d.cores))
	}
	store := b.mem.useList(b.use(b.shared.Name, part(c)))
	stored := b.mem.countList(b.writes(b.shared, part(c)))
	beside := load
	if come := b.off.Sectors(part(h.stream)); come > 0 {
		load = append(b.mem.useList(b.useAt(b.off.Name, come, b.profile.Resident.Load)), load...)
		loaded = append(loaded, b.reads(b.off, come), b.writes(b.shared, come))
		beside = load
	}
	if out := b.off.Sectors(part(h.leave)); out > 0 {
		leave := b.useAt(b.off.Name, out, b.profile.Resident.Store)
		store = append(b.mem.useList(leave), store...)
		stored = append(stored, b.writes(b.off, out), b.reads(b.shared, out))
		beside = append(slices.Clone(load), leave)
	}
	p := g.lib.Overlap
	pipeline := &Body{Name: "pieces", Op: -1, Buffers: []Buffer{{Name: "operands", Capacity: g.lib.Stages, Token: units.Bytes(units.CeilDiv(part(a+w+c), d.cores))}}}
	last := b.mem.step(Step{Kind: "store", Uses: store, Counts: stored, Cores: d.cores})
	if h.leave > 0 {
		last.Beside, last.Overlap = work, p
	}
	pipeline.Nodes = []Node{
		{Name: "load piece", Step: b.mem.step(Step{Kind: "load", Uses: load, Beside: work, Overlap: p, Counts: loaded, Cores: d.cores}), Acquire: b.mem.tokenList(Tokens{0, 1})},
		{Name: "multiply", Step: b.mem.step(Step{Kind: "compute", Uses: work, Beside: beside, Overlap: p, Counts: done, Cores: d.cores}), After: []Dep{{Node: 0}}},
		{Name: "store piece", Step: last, After: []Dep{{Node: 1}}, Release: b.mem.tokenList(Tokens{0, 1})},
	}
	fill := wait("fill", g.lib.Fill+b.m.Chip.Clock.At(d.fill))
	fill.Clocked = g.lib.Fill == 0 // a fixed part keeps the whole from following the clock
	k.then(Node{Name: "fill", Step: fill})
	if h.a > 0 {
		b.copyIn(k, "copy A in", h.a)
	}
	if h.w > 0 {
		b.copyIn(k, "copy B in", h.w)
	}
	if old := g.reads(c); old > 0 {
		b.copyIn(k, "copy C in", old)
	}
	k.then(Node{Name: "pieces", Body: pipeline, Times: pieces})
	if h.back > 0 {
		b.copyOut(k, "copy C out", h.back)
	}
}
