package plan

import (
	"errors"
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// moe plans a mixture of experts as the kernels of a library that groups tokens by expert: sort them, a
// grouped product up, the activation, a grouped product down, and the sum over the experts of each token.
// Tensor parallelism divides the inner elements of every expert; what each chip then has of the sum is
// added up by an all-reduce, unless the operator leaves that to another.
func (b *builder) moe(op *traces.Op, phase traces.Phase) ([]*Body, error) {
	inner := op.N
	if op.Split != traces.Whole {
		inner = units.CeilDiv(inner, b.mapping.TP)
	}
	rowsAll, ok := mul(op.M, op.TopK)
	if _, fits := mul(rowsAll, max(inner, op.K), op.Matrices(), op.K, 2); !ok || !fits {
		return nil, fmt.Errorf("%d tokens to %d experts each: %w", op.M, op.TopK, ErrTooLarge)
	}
	loads := op.Routes()
	var out []*Body
	emit := func(k *Body, err error) error {
		if err == nil {
			out = append(out, k)
		}
		return err
	}
	if lib := b.profile.MoE; lib != nil && lib.Sort > 0 {
		k := b.kernel(op.Name+".sort", phase, op.Kind.String())
		k.then(Node{Name: "sort", Step: wait("sort", lib.Sort)})
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
	up := grouped{name: op.Name + ".up", phase: phase, n: inner * (op.Matrices() - 1), k: op.K, a: op.DType, w: op.WeightDType, loads: loads, tokens: op.M, all: rowsAll}
	if err := emit(b.grouped(&up, op)); err != nil {
		return nil, err
	}
	if err := emit(b.rowKernel(rows{name: actOp.Name, phase: phase, kind: act, rows: rowsAll, cols: inner, dtype: d, wtype: d, kvtype: d, read: int64(w.ReadBytes), write: int64(w.WriteBytes),
		vector: int64(w.VectorOps), special: int64(w.SpecialOps)})); err != nil {
		return nil, err
	}
	down := grouped{name: op.Name + ".down", phase: phase, n: op.K, k: inner, a: op.DType, w: op.WeightDType, loads: loads, all: rowsAll}
	if err := emit(b.grouped(&down, op)); err != nil {
		return nil, err
	}
	if err := emit(b.rowKernel(rows{name: op.Name + ".sum", phase: phase, kind: traces.Add, rows: op.M, cols: op.K, dtype: d, wtype: d, kvtype: d,
		read: rowsAll * op.K * result, write: op.M * op.K * result, vector: rowsAll * op.K})); err != nil {
		return nil, err
	}
	if b.mapping.TP > 1 && op.Split == traces.Row {
		return out, emit(b.collective(op.Name+".all-reduce", phase, traces.AllReduce, op.DType.Result().Bytes(op.M*op.K)))
	}
	return out, nil
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
}

// rows returns the rows of all experts, and how many experts have any.
func (g *grouped) rows() (rows, experts int64) {
	for _, l := range g.loads {
		rows += l.Tokens * l.Experts
		experts += l.Experts
	}
	return rows, experts
}

// grouped plans the product in the tile of the library's menu that takes least. The rows of each expert are
// padded to whole tiles; the weight of an expert that gets any is read once.
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
	flat.lib = b.groupedKernel(flat.in)
	if _, err := b.m.Chip.Cores.Matrix.Rate(flat.in); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	best, err := b.bestGrouped(g, &flat, rows, experts)
	if err != nil {
		return nil, err
	}
	k := b.kernel(g.name, g.phase, kind)
	b.countOps(k, &flat)
	b.tiledGemm(k, &flat, &best)
	b.kernels[key] = k
	return k, nil
}

// groupedKernel is the library's kernel for products, without what grouped ones do not have: clusters that
// share operands, and a rounding of their own.
func (b *builder) groupedKernel(in traces.DType) *arch.GemmKernel {
	if b.profile.MoE == nil {
		return b.profile.GemmKernel(in)
	}
	lib := b.profile.Gemm
	lib.Cluster, lib.Clusters, lib.Padding, lib.Quantize = 0, nil, 0, nil
	return &lib
}

// bestGrouped takes the tile with the least closed-form time.
func (b *builder) bestGrouped(g *grouped, flat *gemm, rows, experts int64) (tiling, error) {
	menu, share, depth := flat.lib.Tiles, 1.0, flat.lib.Depth
	if lib := b.profile.MoE; lib != nil {
		menu, share, depth = lib.Tiles, lib.MatrixShare, lib.Depth
	}
	weights, ok := mul(experts, g.k, g.n)
	if !ok || weights > traces.MaxElements {
		return tiling{}, fmt.Errorf("weights of %d experts: %w", experts, ErrTooLarge)
	}
	// A row is gathered from the token that it is a copy of, and found on chip where another was before.
	in := rows
	if g.tokens > 0 {
		in = min(rows, g.tokens)
	}
	read := int64(g.w.Size(g.k, g.n*experts)) + int64(g.a.Size(g.k, in))
	most := g.loads[0].Tokens
	var best tiling
	least := units.Time(math.MaxInt64)
	for _, s := range menu {
		r, c, err := arch.ParseTile(s)
		if err != nil {
			return tiling{}, err
		}
		want := tileChoice{rows: r, cols: c, split: 1, depth: depth}
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
		t.cycles = int64(math.Ceil(float64(t.cycles) / share))
		if d := b.tilingTime(flat, &t, least); d < least {
			best, least = t, d
		}
	}
	if best.tiles == 0 {
		return tiling{}, fmt.Errorf("no tile of the library fits twice into the private memory of a core: %w", ErrUnsupported)
	}
	return best, nil
}
