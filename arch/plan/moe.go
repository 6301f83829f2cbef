package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// moe plans a mixture of experts as the kernels of a library that groups tokens by expert: sort them, a
// grouped product up, the activation, a grouped product down, and the sum over the experts of each token.
// Chips share out the experts, or divide the inner elements of every one; what each chip then has of the sum is
// added up by an all-reduce, unless the operator leaves that to another. Where chips have tokens of their own, these come to the
// experts before and go back behind them: see exchange.
func (b *builder) moe(op *traces.Op, phase traces.Phase) ([]*Body, error) {
	inner := op.N
	if op.Split != traces.Whole {
		inner = units.CeilDiv(inner, b.mapping.Degrees().MoETP)
	}
	rowsAll, ok := mul(op.M, op.TopK)
	if _, fits := mul(rowsAll, max(inner, op.K), op.Matrices(), op.K, 2); !ok || !fits {
		return nil, fmt.Errorf("%d tokens to %d experts each: %w", op.M, op.TopK, ErrTooLarge)
	}
	loads := op.Routes()
	if b.alone && op.SkewMilli == 0 { // measurements deal tokens in turn
		loads = op.DealtRoutes()
	}
	lib := b.profile.MoE
	if !lib.For(op.WeightDType) {
		lib = nil
	}
	tokens := op.M // that come to this chip
	if b.dispatches() {
		tokens = arrived(op, loads)
	}
	if lib != nil && lib.Local || b.dispatches() {
		rowsAll = 0
		for _, l := range loads {
			rowsAll += l.Tokens * l.Experts
		}
	}
	var out []*Body
	emit := func(k *Body, err error) error {
		if err == nil {
			out = append(out, k)
		}
		return err
	}
	if !b.together() {
		there, err := b.exchange(op, phase, tokens, false)
		if err != nil {
			return nil, err
		}
		out = append(out, there...)
	}
	if lib != nil && lib.Sort+lib.Row > 0 && !op.Gradient {
		k := b.kernel(op.Name+".sort", phase, op.Kind.String())
		rows := units.Time(min(float64(lib.Row)*float64(rowsAll), float64(units.MaxTime)))
		k.then(Node{Name: "sort", Step: wait("sort", lib.Sort+rows)})
		out = append(out, k)
	}
	// The library's passes over rows take those of experts on other ranks along.
	d := op.DType.Result()
	result := int64(d.Bytes(1))
	act := traces.GELU
	if op.Gated {
		act = traces.SiLUMul
	}
	actOp := traces.Op{Name: op.Name + ".activation", Kind: act, Rows: rowsAll, Cols: inner, DType: d}
	w, err := actOp.Work(0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	if op.Gradient {
		return b.moeGradients(op, phase, inner, rowsAll, tokens, loads, &actOp, emit, &out)
	}
	up := grouped{name: op.Name + ".up", phase: phase, n: inner * (op.Matrices() - 1), k: op.K, a: op.DType, w: op.WeightDType, loads: loads, tokens: tokens, all: rowsAll, matrices: op.Matrices() - 1}
	if err := emit(b.grouped(&up, op)); err != nil {
		return nil, err
	}
	if err := emit(b.rowKernel(rows{name: actOp.Name, phase: phase, kind: act, rows: rowsAll, cols: inner, dtype: d, wtype: d, kvtype: d, read: int64(w.ReadBytes), write: int64(w.WriteBytes),
		vector: int64(w.VectorOps), special: int64(w.SpecialOps), follows: true, as: arch.ExpertRows})); err != nil {
		return nil, err
	}
	down := grouped{name: op.Name + ".down", phase: phase, n: op.K, k: inner, a: op.DType, w: op.WeightDType, loads: loads, all: rowsAll, matrices: 1}
	if err := emit(b.grouped(&down, op)); err != nil {
		return nil, err
	}
	if err := emit(b.rowKernel(rows{name: op.Name + ".sum", phase: phase, kind: traces.Add, rows: tokens, cols: op.K, dtype: d, wtype: d, kvtype: d,
		read: rowsAll * op.K * result, write: tokens * op.K * result, vector: rowsAll * op.K, follows: true, as: arch.ExpertRows})); err != nil {
		return nil, err
	}
	if !b.together() {
		back, err := b.exchange(op, phase, tokens, true)
		return append(out, back...), err
	}
	if b.mapping.TP > 1 && op.Split == traces.Row {
		return out, emit(b.sum(op.Name, &traces.Run{Phase: phase}, op.DType.Result().Bytes(op.M*op.K)))
	}
	return out, nil
}

// moeGradients plans the backward pass of the experts: the gradient of each row once more for each of its experts, and for each
// of the two products the gradients of its rows and of its weight, which are as much work as the product.
func (b *builder) moeGradients(op *traces.Op, phase traces.Phase, inner, rowsAll, tokens int64, loads []traces.Load, act *traces.Op, emit func(*Body, error) error, out *[]*Body) ([]*Body, error) {
	d := op.DType.Result()
	result := int64(d.Bytes(1))
	act.Gradient = true
	w, err := act.Work(0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrTooLarge)
	}
	row := func(name string, kind traces.Kind, rows_, cols, read, write, vector, special int64) error {
		return emit(b.rowKernel(rows{name: op.Name + name, phase: phase, kind: kind, rows: rows_, cols: cols, dtype: d, wtype: d, kvtype: d, read: read, write: write, vector: vector, special: special, as: arch.GradientRows}))
	}
	product := func(name string, n, k, matrices int64) error {
		g := grouped{name: op.Name + name, phase: phase, n: n, k: k, a: op.DType, w: op.WeightDType, loads: loads, all: rowsAll, matrices: matrices}
		return emit(b.grouped(&g, op))
	}
	wide := inner * (op.Matrices() - 1)
	for _, step := range []func() error{
		func() error {
			return row(".scatter", traces.Copy, rowsAll, op.K, tokens*op.K*result, rowsAll*op.K*result, 0, 0)
		},
		func() error { return product(".down.dx", inner, op.K, 1) },
		func() error { return product(".down.dw", op.K, inner, 1) },
		func() error {
			return row(".activation", act.Kind, rowsAll, inner, int64(w.ReadBytes), int64(w.WriteBytes), int64(w.VectorOps), int64(w.SpecialOps))
		},
		func() error { return product(".up.dx", op.K, wide, op.Matrices()-1) },
		func() error { return product(".up.dw", wide, op.K, op.Matrices()-1) },
		func() error {
			return row(".sum", traces.Add, tokens, op.K, rowsAll*op.K*result, tokens*op.K*result, rowsAll*op.K, 0)
		},
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if !b.together() { // gradients of rows go the way back
		there, err := b.exchange(op, phase, tokens, true)
		return append(*out, there...), err
	}
	if b.mapping.TP > 1 && op.Split == traces.Row {
		return *out, emit(b.sum(op.Name, &traces.Run{Phase: phase}, d.Bytes(op.M*op.K)))
	}
	return *out, nil
}

// grouped is a product with a weight of its own for each expert, of the rows that the expert gets.
type grouped struct {
	name   string
	phase  traces.Phase
	n, k   int64
	a, w   traces.DType
	loads  []traces.Load
	tokens int64 // that the rows are copies of; 0 if each is its own
	all    int64 // rows, with those of experts on other ranks

	matrices int64 // of the expert that the product is for
}

// rows returns the rows of all experts, and how many experts have any.
func (g *grouped) rows() (rows, experts int64) {
	for _, l := range g.loads {
		rows += l.Tokens * l.Experts
		experts += l.Experts
	}
	return rows, experts
}

// grouped plans the product by the library for mixtures of experts, or with tiles for matrix products. The rows of each
// expert are padded to whole tiles; the weight of an expert that gets any is read once.
func (b *builder) grouped(g *grouped, op *traces.Op) (*Body, error) {
	kind := op.Kind.String()
	key := kernelKey{op: b.op(g.phase, g.name, kind), kind: kind, m: op.M, n: g.n, k: g.k, batch: op.TopK, heads: op.Experts, kvHeads: op.EP, past: op.SkewMilli,
		dtype: g.a, weight: g.w}
	if k, ok := b.kernels[key]; ok {
		return k, nil
	}
	rows, experts := g.rows()
	flat := gemm{name: g.name, phase: g.phase, batch: 1, m: rows, n: g.n, k: g.k, a: g.a, w: g.w, shared: true}
	flat.in = b.multiplies(&flat)
	flat.lib = b.profile.GemmKernel(flat.in)
	if _, err := b.m.Chip.Cores.Matrix.Rate(flat.in); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	weights, ok := mul(experts, g.k, g.n)
	if !ok || weights > traces.MaxElements {
		return nil, fmt.Errorf("weights of %d experts: %w", experts, ErrTooLarge)
	}
	k := b.kernel(g.name, g.phase, kind)
	b.countOps(k, &flat)
	if lib := b.profile.MoE; lib.For(g.w) {
		t, err := b.expertTile(g, &flat, lib, op)
		if err != nil {
			return nil, err
		}
		b.expertTiles(k, g, &flat, lib, &t)
	} else if row := b.rowPerExpert(g, &flat); row != nil {
		b.rows(k, row, rowKernelFor(b.profile, "gemv"), false)
	} else {
		best, err := b.bestGrouped(g, &flat, rows, experts)
		if err != nil {
			return nil, err
		}
		b.tiledGemm(k, &flat, &best)
	}
	b.kernels[key] = k
	return k, nil
}

// rowPerExpert returns the product as rows of weights that stream through the vector units, where no expert has more than
// one row and the library has a kernel for such products; nil otherwise.
func (b *builder) rowPerExpert(g *grouped, flat *gemm) *rows {
	one := *flat
	one.m = g.loads[0].Tokens
	if one.lib = b.profile.GemmKernel(one.in); b.gemv(&one) == nil || one.a.Bits() == 16 && compute.Packs(one.w) {
		return nil
	}
	_, experts := g.rows()
	n, in := g.n*experts, flat.m
	if g.tokens > 0 {
		in = min(in, g.tokens)
	}
	return &rows{kind: traces.Gemm, rows: n, cols: g.k, read: int64(g.w.Size(g.k, n)) + int64(g.a.Size(g.k, in)), write: int64(g.a.Result().Bytes(n)), vector: n * g.k}
}

// expertTile is how a library for mixtures of experts divides a product.
type expertTile struct {
	rows, cols int64
	tiles      int64 // of experts here
	empty      int64 // of experts on other ranks
	cores      int64
	matrix     int64 // cycles of the busiest core's matrix unit
	issue      int64 // cycles of that core that tiles take however short they are, or to load single elements
	vector     int64 // operations that widen weights
	weights    int64 // bytes of weights and tokens
	found      int64 // the part of them that is on chip already
}

// expertTile works out the tile that the library takes.
func (b *builder) expertTile(g *grouped, flat *gemm, lib *arch.MoEKernel, op *traces.Op) (best expertTile, err error) {
	rows, experts := g.rows()
	// A row is gathered from the token that it is a copy of, and found on chip where another was before.
	in := rows
	if g.tokens > 0 {
		in = min(rows, g.tokens)
	}
	all := op.M * op.TopK
	elsewhere := all - rows
	if lib.Local || b.dispatches() {
		elsewhere = 0
	}
	each := units.CeilDiv(all, min(op.Experts, all)) // rows of an expert that has any, on average
	least := math.Inf(1)
	for _, s := range lib.Menu(all, op.M, op.Experts) {
		var t expertTile
		if t.rows, t.cols, err = arch.ParseTile(s); err != nil {
			return best, err
		}
		across := units.CeilDiv(g.n, t.cols)
		for _, l := range g.loads {
			t.tiles += l.Experts * units.CeilDiv(l.Tokens, t.rows)
		}
		t.tiles *= across
		t.empty = units.CeilDiv(elsewhere, each) * units.CeilDiv(each, t.rows) * across
		t.cores = min(t.tiles, b.m.Chip.Cores.Count)
		one, err := b.m.Chip.Cores.Matrix.Cycles(flat.in, t.rows, t.cols, g.k)
		if err != nil {
			return best, fmt.Errorf("%w: %w", err, ErrUnsupported)
		}
		per := func(perTile float64) int64 {
			return int64(math.Min(math.Ceil(float64(perTile*float64(t.tiles))/float64(t.cores)), math.MaxInt64/4))
		}
		t.matrix = per(float64(one.Steady) / lib.MatrixShare)
		overhead := float64(lib.Tile)
		if lib.Scalar > 0 && g.w.Bits() >= 8 && (g.k*g.a.Bits()%128 != 0 || g.k*g.w.Bits()%128 != 0) { // narrower ones are padded when they are packed
			overhead = math.Max(overhead, float64((t.rows+t.cols)*g.k)/lib.Scalar)
		}
		t.issue = per(overhead)
		if widen := b.widening(flat, t.rows, t.cols, g.k); widen > 0 {
			t.vector = per(float64(widen))
		}
		weights := int64(g.w.Size(g.k, g.n*experts))
		t.weights = weights + int64(g.a.Size(g.k, in))
		if b.alone && b.shared != nil { // which is measured again and again
			every, _ := units.MulDivCeil(weights, op.Matrices(), g.matrices)
			t.found = int64(b.shared.Found(units.Bytes(every)) * float64(weights))
		}
		took := math.Max(math.Max(float64(t.matrix), float64(t.issue))/float64(b.m.Chip.Clock), float64(b.time(b.at.off, t.weights-t.found))/float64(units.Second))
		if took < least {
			best, least = t, took
		}
	}
	return best, nil
}

// What one core fetches ahead of an expert's weights, into how many pieces a product is divided at most, and the exponent of
// the p-norm by which its loads and its tiles overlap, about that of other products.
const (
	expertPiece   = 32 << 10
	expertPieces  = 64
	expertOverlap = 4
)

// expertTiles adds the product to a kernel: weights stream in while tiles of experts are multiplied, then rows are written,
// those of experts on other ranks with zeros.
func (b *builder) expertTiles(k *Body, g *grouped, flat *gemm, lib *arch.MoEKernel, t *expertTile) {
	pieces := min(max(units.CeilDiv(t.weights, t.cores*expertPiece), 1), expertPieces)
	per := func(n int64) int64 { return units.CeilDiv(n, pieces) }
	load, here := b.off.Sectors(per(t.weights-t.found)), per(t.found)
	operands := per(int64(math.Min(float64(t.tiles)*float64(t.rows*g.a.Bits()+t.cols*g.w.Bits())/8*float64(g.k), math.MaxInt64/4)))
	read := b.mem.useList(b.use(b.off.Name, load))
	counts := b.mem.countList(b.reads(b.off, load))
	if here > 0 {
		read = append(read, b.use(b.shared.Name, here))
	}
	if b.shared != nil {
		counts = append(counts, b.writes(b.shared, load), b.reads(b.shared, operands))
	}
	work := b.mem.useList(b.use("matrix", per(t.matrix)), b.use("issue", per(t.issue)))
	done := b.mem.countList(b.count("matrix.cycles", "core-cycle", per(t.matrix)*t.cores))
	if t.vector > 0 {
		cycles := b.vectorCycles(per(t.vector))
		work = append(work, b.use("vector", cycles))
		done = append(done, b.count("vector.ops", "op", per(t.vector)*t.cores), b.count("vector.cycles", "core-cycle", cycles*t.cores))
	}
	if b.private != nil {
		done = append(done, b.reads(b.private, operands), b.writes(b.private, operands))
	}
	stream := &Body{Name: "experts", Op: -1, Buffers: []Buffer{{Name: "operands", Capacity: 3, Token: units.Bytes(units.CeilDiv(load+here, t.cores))}}}
	stream.Nodes = []Node{
		{Name: "load", Step: b.mem.step(Step{Kind: "load", Uses: read, Beside: work, Overlap: expertOverlap, Counts: counts, Cores: t.cores}), Acquire: b.mem.tokenList(Tokens{0, 1})},
		{Name: "multiply", Step: b.mem.step(Step{Kind: "compute", Uses: work, Beside: read, Overlap: expertOverlap, Counts: done, Cores: t.cores}), After: []Dep{{Node: 0}}, Release: b.mem.tokenList(Tokens{0, 1})},
	}
	k.then(Node{Name: fmt.Sprintf("%d tiles %dx%d", t.tiles, t.rows, t.cols), Body: stream, Times: pieces})
	if cycles := units.CeilDiv(t.empty*int64(lib.Empty), b.m.Chip.Cores.Count); cycles > 0 {
		k.then(Node{Name: fmt.Sprintf("%d empty tiles", t.empty), Step: b.mem.step(Step{Kind: "compute", Uses: b.mem.useList(b.use("issue", cycles)), Cores: b.m.Chip.Cores.Count})})
	}
	out := rows{kind: traces.Copy, rows: g.all, cols: g.n, write: int64(g.a.Result().Bytes(g.all * g.n)), follows: true}
	b.streamRows(k, &out, rowKernelOf(b.profile, arch.ExpertRows, traces.Copy.String()), b.m.Chip.Cores.Count)
}

// bestGrouped takes the tile for matrix products with the least closed-form time.
func (b *builder) bestGrouped(g *grouped, flat *gemm, rows, experts int64) (tiling, error) {
	// A row is gathered from the token that it is a copy of, and found on chip where another was before.
	in := rows
	if g.tokens > 0 {
		in = min(rows, g.tokens)
	}
	read := int64(g.w.Size(g.k, g.n*experts)) + int64(g.a.Size(g.k, in))
	most := g.loads[0].Tokens
	var best tiling
	least := units.Time(math.MaxInt64)
	for _, s := range flat.lib.Tiles {
		r, c, err := arch.ParseTile(s)
		if err != nil {
			return tiling{}, err
		}
		want := tileChoice{rows: r, cols: c, split: 1, depth: flat.lib.Depth}
		if flat.lib.Shrink {
			want.rows = min(r, most)
		}
		t, err := b.tile(flat, want)
		if errors.Is(err, errNoRoom) {
			continue
		}
		if err != nil {
			return tiling{}, err
		}
		t.mt = 0
		for _, l := range g.loads {
			t.mt += l.Experts * units.CeilDiv(l.Tokens, t.rows)
		}
		t.tiles = t.mt * t.nt
		t.read, t.into, t.fetchA, t.fetchB = read, read, 1, 1
		// What pads is not written; rows of experts on other ranks are, with zeros.
		t.store = units.CeilDiv(int64(g.a.Result().Bytes(g.all*g.n)), t.tiles)
		if d := b.tilingTime(flat, &t, least); d < least {
			best, least = t, d
		}
	}
	if best.tiles == 0 {
		return tiling{}, fmt.Errorf("no tile of the library fits twice into the private memory of a core: %w", ErrUnsupported)
	}
	return best, nil
}
