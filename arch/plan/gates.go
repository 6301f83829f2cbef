package plan

import (
	"slices"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// The fusion "gated-mlp" runs a gated network's first product and its activation, act(x·Wg)∘(x·Wu), as one kernel: columns
// of gate and up take turns in the weights, so that a tile of the product has both and its epilogue leaves half as many
// columns. Neither x·Wg nor x·Wu reaches memory.

// gates is the arithmetic of such an epilogue; zero for products without.
type gates struct{ vector, special int64 }

// left returns the bytes that the product leaves of so many elements of its result.
func (g *gemm) left(elements int64) int64 {
	if g.gates.vector > 0 {
		elements = units.CeilDiv(elements, 2)
	}
	if g.wide {
		return int64(traces.FP32.Bytes(elements))
	}
	return int64(g.a.Result().Bytes(elements))
}

// gateCycles is the epilogue's work for so many elements of the product on each of the cores that share them.
func (b *builder) gateCycles(g *gemm, elements, cores int64) []Use {
	all := g.batch * g.m * g.n
	of := func(ops int64) int64 { n, _ := units.MulDivCeil(ops, min(elements, all), all); return n }
	unit := &b.m.Chip.Cores.Vector
	return []Use{b.use("vector", unit.Cycles(0, of(g.gates.vector), cores)), b.use("special", units.CeilDiv(of(g.gates.special), unit.Special*cores))}
}

// fusesGates reports whether the runtime runs a gated network's first product and its activation in one kernel: nobody
// else may need what is between them.
func (b *builder) fusesGates(blk *traces.Block, product, act *traces.Op, phase traces.Phase) bool {
	if product.Kind != traces.Gemm || act.Kind != traces.SiLUMul && act.Kind != traces.GELUMul {
		return false
	}
	if b.pins == nil && b.decisions == nil && !b.profile.Fuses("gated-mlp") {
		return false
	}
	p := product.Parts
	if len(p) != 2 || p[0] != p[1] || max(product.Batch, 1) != 1 || product.Accumulate > 0 || product.M != act.Rows || p[0] != act.Cols || !slices.Equal(product.Outputs, act.Inputs) ||
		b.mapping.TP > 1 && (product.Split != traces.Column || act.Split != traces.Sharded) {
		return false
	}
	for i := range blk.Ops {
		if op := &blk.Ops[i]; op != act && slices.ContainsFunc(op.Inputs, func(id traces.TensorID) bool { return slices.Contains(product.Outputs, id) }) {
			return false
		}
	}
	return b.fuses("gated-mlp", phase, product.Name, act.Name)
}

// gated turns the product of an operator into the kernel that runs the activation after it too.
func (b *builder) gated(g gemm, product, act *traces.Op, run *traces.Run) (gemm, error) {
	w, err := act.Work(run.Past)
	if err != nil {
		return g, err
	}
	g.name = product.Name + "+" + act.Name
	g.gates = gates{int64(w.VectorOps), int64(w.SpecialOps)}
	if act.Split == traces.Sharded {
		g.gates = gates{units.CeilDiv(g.gates.vector, b.mapping.TP), units.CeilDiv(g.gates.special, b.mapping.TP)}
	}
	_, out, err := b.onChipBytes(act)
	g.outHere = out > 0
	return g, err
}
