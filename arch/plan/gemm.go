package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
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
}

// operandShare is the part of the shared on-chip memory in which operands survive from one wave of
// tiles to the next; the rest holds what streams through. Half is the usual double-buffering rule.
const operandShare = 0.5

// tiling is one way to cut a product into tiles.
type tiling struct {
	rows, cols int64 // of the output tile
	split      int64 // parts of the reduction
	depth      int64 // of one pipeline stage
	mt, nt     int64 // tiles along m and n
	tiles      int64 // in all, with splits and batch
	stages     int64 // pipeline iterations of one tile
	read       int64 // operand bytes that come from off chip, whole product
	store      int64 // result bytes of a full tile
	cycles     int64 // matrix cycles of one stage on one core
	feed       int64 // operand bytes of one stage into one core
}

// type that the matrix unit multiplies: the wider of the operands, since narrow weights are widened
// before they are used.
func (g *gemm) multiplies() traces.DType {
	if g.w.Bits() > g.a.Bits() {
		return g.w
	}
	return g.a
}

func (b *builder) gemm(g gemm) (*Body, error) {
	key := kernelKey{op: b.op(g.phase, g.name, "gemm"), kind: "gemm", batch: g.batch, m: g.m, n: g.n, k: g.k, dtype: g.a, weight: g.w}
	if k, ok := b.kernels[key]; ok {
		return k, nil
	}
	if _, ok := mul(g.batch, g.m, g.n, g.k, 2); !ok {
		return nil, fmt.Errorf("%d×%d×%d×%d operations: %w", g.batch, g.m, g.n, g.k, ErrTooLarge)
	}
	k := b.kernel(g.name, g.phase, "gemm")
	if b.residentGemm(&g) {
		if err := b.wholeGemm(k, &g); err != nil {
			return nil, err
		}
	} else {
		t, err := b.bestTiling(&g)
		if err != nil {
			return nil, err
		}
		b.tiledGemm(k, &g, t)
	}
	b.kernels[key] = k
	return k, nil
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
	return int64(g.a.Bytes(g.batch * g.m * g.k)), int64(g.w.Bytes(nb * g.k * g.n)), int64(g.a.Bytes(g.batch * g.m * g.n))
}

// bestTiling takes the tile and split with the least closed-form time, as a kernel library's
// heuristic does; among equals the first of the menu.
func (b *builder) bestTiling(g *gemm) (tiling, error) {
	var best tiling
	least := units.Time(math.MaxInt64)
	for _, s := range b.profile.Gemm.Tiles {
		rows, cols, err := arch.ParseTile(s)
		if err != nil {
			return tiling{}, err
		}
		for _, split := range b.profile.Gemm.Splits {
			// A split needs a reduction deep enough to be worth a pass over the partial sums.
			if split > 1 && (g.k/split < 4*b.profile.Gemm.Depth || rows*cols < 4096) {
				continue
			}
			t, err := b.tile(g, rows, cols, split)
			if err != nil {
				return tiling{}, err
			}
			if c := b.tilingTime(g, &t); c < least {
				best, least = t, c
			}
		}
	}
	if best.tiles == 0 {
		return tiling{}, fmt.Errorf("no tile of the menu suits %d×%d×%d: %w", g.m, g.n, g.k, ErrUnsupported)
	}
	return best, nil
}

// tile works out one tiling.
func (b *builder) tile(g *gemm, rows, cols, split int64) (tiling, error) {
	t := tiling{rows: rows, cols: cols, split: split, depth: b.profile.Gemm.Depth}
	t.mt, t.nt = units.CeilDiv(g.m, rows), units.CeilDiv(g.n, cols)
	t.tiles = t.mt * t.nt * split * g.batch
	part := units.CeilDiv(g.k, split)
	t.stages = units.CeilDiv(part, t.depth)
	cycles, err := b.m.Chip.Cores.Matrix.Cycles(g.multiplies(), rows, cols, t.depth)
	if err != nil {
		return t, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	t.cycles = int64(cycles)
	t.feed = int64(g.a.Bytes(rows*t.depth)) + int64(g.w.Bytes(cols*t.depth))
	t.store = int64(g.a.Bytes(min(rows, g.m) * min(cols, g.n)))
	t.read = b.traffic(g, &t)
	return t, nil
}

// traffic returns the operand bytes that come from off chip. The tiles of one wave cover a patch of
// the output and walk the reduction together, so an operand is read once per wave at most. Over
// waves, an operand is read once in all if its part for the patch stays on chip while the other
// operand sweeps past, or if all operands fit.
func (b *builder) traffic(g *gemm, t *tiling) int64 {
	a, w, _ := g.operands()
	if b.shared == nil {
		return a*t.nt + w*t.mt
	}
	room := int64(float64(b.shared.Capacity) * operandShare)
	if a+w <= room || g.batch > 1 && (a+w)/g.batch <= room {
		return a + w
	}
	// The patch: r×c tiles, as square in bytes as the grid allows.
	wave := min(t.tiles, b.m.Chip.Cores.Count)
	r := min(t.mt, max(1, int64(math.Sqrt(float64(wave)*float64(t.cols)/float64(t.rows)))))
	c := min(t.nt, units.CeilDiv(wave, r))
	r = min(t.mt, units.CeilDiv(wave, c))
	part := units.CeilDiv(g.k, t.split)
	patchA, patchB := int64(g.a.Bytes(r*t.rows*part)), int64(g.w.Bytes(c*t.cols*part))
	sweepsA, sweepsB := units.CeilDiv(t.nt, c), units.CeilDiv(t.mt, r)
	best := a*sweepsA + w*sweepsB // nothing survives from wave to wave
	if patchA <= room {
		best = min(best, a+w*sweepsB)
	}
	if patchB <= room {
		best = min(best, w+a*sweepsA)
	}
	return best
}

// wave holds what the tiles of one wave need per pipeline stage.
type wave struct {
	tiles         int64
	load, operand int64 // off-chip bytes and on-chip bytes of one stage, all tiles
	store         int64
}

func (b *builder) wave(t *tiling, tiles int64) wave {
	w := wave{tiles: tiles}
	share, _ := units.MulDivCeil(t.read, tiles, t.tiles)
	w.load = b.off.Sectors(units.CeilDiv(share, t.stages))
	w.operand = tiles * t.feed
	w.store = b.off.Sectors(tiles * t.store)
	return w
}

// tilingTime is the closed form by which tilings are compared: waves of pipeline stages whose parts
// overlap imperfectly, the fill of each wave, the last store, and the pass over split sums.
func (b *builder) tilingTime(g *gemm, t *tiling) units.Time {
	cores := b.m.Chip.Cores.Count
	full, rest := t.tiles/cores, t.tiles%cores
	var sum float64
	add := func(tiles, times int64) {
		load, compute := b.stage(t, b.wave(t, tiles))
		a, _ := load.Serve(b.p.Resources)
		c, _ := compute.Serve(b.p.Resources)
		sum += float64(times) * (float64(float64(t.stages)*float64(max(a, c))) + float64(b.profile.Gemm.Fill))
	}
	if full > 0 {
		add(cores, full)
	}
	if rest > 0 {
		add(rest, 1)
	}
	if t.split > 1 {
		sum += float64(b.splitReduce(g, t).Floor(b.p.Resources) + b.profile.Gemm.Reduce)
	}
	if sum > float64(units.MaxTime) {
		return units.MaxTime
	}
	return units.Time(sum)
}

// stage returns the load and the compute step of one pipeline stage of a wave.
func (b *builder) stage(t *tiling, w wave) (load, compute *Step) {
	read := []Use{b.use(b.off.Name, w.load)}
	counts := []Count{b.count(b.off.Name+".read", "B", w.load)}
	if b.shared != nil {
		read = append(read, b.use(b.shared.Name, w.operand))
		counts = append(counts, b.count(b.shared.Name+".read", "B", w.operand), b.count(b.shared.Name+".write", "B", w.load))
	}
	work := []Use{b.use("matrix", t.cycles)}
	done := []Count{b.count("matrix.cycles", "core-cycle", t.cycles*w.tiles)}
	if b.private != nil {
		work = append(work, b.use(b.private.Name, t.feed))
		done = append(done, b.count(b.private.Name+".read", "B", w.operand), b.count(b.private.Name+".write", "B", w.operand))
	}
	p := b.profile.Gemm.Overlap
	load = &Step{Kind: "load", Uses: read, Beside: work, Overlap: p, Counts: counts, Cores: w.tiles}
	compute = &Step{Kind: "compute", Uses: work, Beside: read, Overlap: p, Counts: done, Cores: w.tiles}
	return load, compute
}

// splitReduce is the pass that adds up the partial sums of a split reduction: each is written in
// FP32 by the main loop and read here.
func (b *builder) splitReduce(g *gemm, t *tiling) *Step {
	sums := 4 * t.split * g.batch * g.m * g.n
	s := &Step{Kind: "reduce", Latency: b.profile.Gemm.Reduce, Charge: sim.Dependency}
	tier := b.shared
	if tier == nil {
		tier = b.off
	}
	s.Uses = []Use{b.use(tier.Name, 2*sums)}
	s.Counts = []Count{b.count(tier.Name+".write", "B", sums), b.count(tier.Name+".read", "B", sums)}
	return s
}

// tiledGemm adds the waves of a tiled product to a kernel.
func (b *builder) tiledGemm(k *Body, g *gemm, t tiling) {
	cores := b.m.Chip.Cores.Count
	full, rest := t.tiles/cores, t.tiles%cores
	if full > 0 {
		k.then(Node{Name: fmt.Sprintf("waves of %d tiles %dx%d", cores, t.rows, t.cols), Body: b.waveBody(g, &t, cores), Times: full})
	}
	if rest > 0 {
		k.then(Node{Name: fmt.Sprintf("last wave of %d tiles %dx%d", rest, t.rows, t.cols), Body: b.waveBody(g, &t, rest), Times: 1})
	}
	if t.split > 1 {
		k.then(Node{Name: fmt.Sprintf("add up %d parts", t.split), Step: b.splitReduce(g, &t)})
	}
	b.countOps(k, g)
}

// countOps counts the operations of the product on its launch: they are the same whatever the tiling.
func (b *builder) countOps(k *Body, g *gemm) {
	launch := k.Nodes[0].Step
	launch.Counts = append(launch.Counts, b.count("matrix."+g.multiplies().String()+".ops", "op", 2*g.batch*g.m*g.n*g.k))
}

// waveBody is one wave: it starts, streams its reduction through the operand buffers, and stores its
// tiles while the next wave starts.
func (b *builder) waveBody(g *gemm, t *tiling, tiles int64) *Body {
	w := b.wave(t, tiles)
	load, compute := b.stage(t, w)
	stream := &Body{Name: "reduction", Op: -1, Buffers: []Buffer{{Name: "operands", Capacity: b.profile.Gemm.Stages, Token: units.Bytes(t.feed)}}}
	stream.Nodes = []Node{
		{Name: "load", Step: load, Acquire: []Tokens{{0, 1}}},
		{Name: "multiply", Step: compute, After: []Dep{{Node: 0}}, Release: []Tokens{{0, 1}}},
	}
	body := &Body{Name: "wave", Op: -1}
	body.then(Node{Name: "start", Step: wait("fill", b.profile.Gemm.Fill)})
	body.then(Node{Name: "reduction", Body: stream, Times: t.stages})
	body.Nodes[0].After = []Dep{{Node: 1, Distance: 1}}
	if t.split == 1 {
		store := &Step{Kind: "store", Uses: []Use{b.use(b.off.Name, w.store)}, Counts: []Count{b.count(b.off.Name+".write", "B", w.store)}, Cores: tiles}
		body.then(Node{Name: "store", Step: store})
	}
	return body
}

// residentGemm reports whether the runtime loads the operands whole: it does so, and they fit on
// chip together with the result.
func (b *builder) residentGemm(g *gemm) bool {
	if !b.profile.Gemm.Resident || b.shared == nil {
		return false
	}
	a, w, c := g.operands()
	return a+w+c <= int64(b.shared.Capacity)
}

// wholeGemm plans load, product and store one after the other, the columns dealt out to the cores.
func (b *builder) wholeGemm(k *Body, g *gemm) error {
	a, w, c := g.operands()
	cores := b.m.Chip.Cores.Count
	var cycles units.Cycles
	used := min(cores, units.CeilDiv(g.n, 1)*g.batch)
	if g.batch >= cores {
		one, err := b.m.Chip.Cores.Matrix.Cycles(g.multiplies(), g.m, g.n, g.k)
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		cycles = one * units.Cycles(units.CeilDiv(g.batch, cores))
	} else {
		one, err := b.m.Chip.Cores.Matrix.Cycles(g.multiplies(), g.m, units.CeilDiv(g.n, cores), g.k)
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		cycles = one * units.Cycles(g.batch)
	}
	copyIn := func(name string, bytes int64) {
		s := b.off.Sectors(bytes)
		k.then(Node{Name: name, Step: &Step{Kind: "load", Uses: []Use{b.use(b.off.Name, b.asked(s, *b.profile.Gemm.Copy)), b.use(b.shared.Name, s)},
			Counts: []Count{b.count(b.off.Name+".read", "B", s), b.count(b.shared.Name+".write", "B", s)}}})
	}
	k.then(Node{Name: "fill", Step: wait("fill", b.profile.Gemm.Fill)})
	copyIn("load A", a)
	copyIn("load B", w)
	k.then(Node{Name: "multiply", Step: &Step{Kind: "compute", Cores: used, Overlap: b.profile.Gemm.Overlap,
		Uses:   []Use{b.use("matrix", int64(cycles)), b.use(b.shared.Name, a+w+c)},
		Counts: []Count{b.count("matrix.cycles", "core-cycle", int64(cycles)*used), b.count(b.shared.Name+".read", "B", a+w), b.count(b.shared.Name+".write", "B", c)}}})
	s := b.off.Sectors(c)
	k.then(Node{Name: "store C", Step: &Step{Kind: "store", Uses: []Use{b.use(b.off.Name, b.asked(s, *b.profile.Gemm.Copy)), b.use(b.shared.Name, s)},
		Counts: []Count{b.count(b.off.Name+".write", "B", s), b.count(b.shared.Name+".read", "B", s)}}})
	b.countOps(k, g)
	return nil
}

// asked is what a kernel that reaches only a share of a resource's rate asks of it.
func (b *builder) asked(amount int64, share float64) int64 {
	return int64(math.Ceil(float64(amount) / share))
}
