package plan

import (
	"fmt"
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// MaxChips bounds every degree of a mapping.
const MaxChips = 1 << 20

// Degrees is how the chips of a pipeline's stage divide the work. Attention and everything dense are divided over TP
// chips; AttnDP such groups have sequences of their own. The same chips, TP·AttnDP of them, share out the experts among
// EP ranks of MoETP chips each, which divide the inner elements of every expert.
type Degrees struct{ TP, AttnDP, EP, MoETP int64 }

// Chips is how many chips a stage has.
func (d Degrees) Chips() int64 { return d.TP * d.AttnDP }

// Experts is in how many parts the weights of the experts are divided.
func (d Degrees) Experts() int64 { return d.EP * d.MoETP }

// Degrees fills in what the mapping leaves out: there are as many groups as the experts' chips make up, and chips
// divide experts where they do not share them out. They need not suit each other: see Build.
func (p *Mapping) Degrees() Degrees {
	d := Degrees{TP: max(p.TP, 1), AttnDP: p.AttnDP, EP: p.EP, MoETP: p.MoETP}
	if d.AttnDP < 1 {
		d.AttnDP = max(1, max(d.EP, 1)*max(d.MoETP, 1)/d.TP)
	}
	if all := d.Chips(); d.EP < 1 {
		d.EP = 1
		if d.MoETP > 0 {
			d.EP = max(1, all/d.MoETP)
		}
	}
	if d.MoETP < 1 {
		d.MoETP = max(1, d.Chips()/d.EP)
	}
	return d
}

// Ways to bring the tokens of groups to their experts and back: Mapping.Exchange.
const (
	// Gather gives every chip the tokens of all groups, and adds up what its experts make of them: an all-gather before
	// the experts and a reduce-scatter behind them. It is what vLLM, SGLang and TensorRT-LLM do unless told otherwise.
	Gather = ""
	// Dispatch sends a token only to the chips that have experts which it chose, and their results back: an all-to-all
	// before the experts and one behind them, as DeepEP does.
	Dispatch = "all-to-all"
)

// Normalize leaves out of the mapping what goes without saying, so that there is one way to write it.
func (p *Mapping) Normalize() {
	p.TP = max(p.TP, 1)
	if p.PP == 1 {
		p.PP = 0
	}
	if p.InFlight == 1 {
		p.InFlight = 0
	}
	d := p.Degrees()
	if d.Chips() != d.Experts() {
		return // for check to refuse as it is
	}
	short := Mapping{TP: d.TP, AttnDP: d.AttnDP, EP: d.EP}
	p.EP, p.MoETP, p.AttnDP = 0, 0, 0
	if d.EP > 1 {
		p.EP = d.EP
	}
	if d.AttnDP > 1 {
		p.AttnDP = d.AttnDP
	}
	if short.Degrees().MoETP != d.MoETP {
		p.MoETP = d.MoETP
	}
	if p.Exchange == "gather" || d.AttnDP == 1 {
		p.Exchange = Gather
	}
}

// checkDegrees verifies how the chips of a stage divide the work of a graph.
func (p *Mapping) checkDegrees(g *traces.Graph) error {
	for _, n := range []struct {
		field string
		n     int64
	}{{"tp", p.TP}, {"pp", p.PP}, {"ep", p.EP}, {"moe-tp", p.MoETP}, {"attn-dp", p.AttnDP}, {"in-flight", p.InFlight}} {
		if n.n < 0 || n.n > MaxChips {
			return &Invalid{n.field, fmt.Sprintf("%d: must be from 1 to %d", n.n, MaxChips), ""}
		}
	}
	if p.InFlight > max(p.PP, 1) {
		return &Invalid{"in-flight", fmt.Sprintf("%d batches in flight, %s: more than one for each stage would wait for each other", p.InFlight, plural(max(p.PP, 1), "stage")),
			"give --pp, and at most as many batches as stages"}
	}
	d := p.Degrees()
	field := "ep"
	if p.EP == 0 {
		field = "moe-tp"
	}
	const dense = "leave it out; tp divides models without experts"
	switch sparse := d == (Degrees{d.TP, 1, 1, d.TP}) || mixture(g); {
	case !sparse && p.EP > 1:
		return &Invalid{"ep", "there are no experts to share out", dense}
	case !sparse && p.MoETP > 1:
		return &Invalid{"moe-tp", "there are no experts to divide", dense}
	case !sparse:
		return &Invalid{"attn-dp", "there are no experts that groups could share", dense}
	}
	switch {
	case p.Exchange != Gather && p.Exchange != "gather" && p.Exchange != Dispatch:
		return &Invalid{"exchange", fmt.Sprintf("%q is unknown", p.Exchange), "gather or " + Dispatch}
	case d.Experts() != d.Chips() && p.AttnDP == 0 && d.Experts() > d.TP:
		return &Invalid{field, fmt.Sprintf("experts over %d chips, attention over groups of %d: there is no whole number of groups", d.Experts(), d.TP),
			fmt.Sprintf("chips that share out experts are tp times attn-dp: use a multiple of %d, or another tp", d.TP)}
	case d.Experts() != d.Chips():
		return &Invalid{field, fmt.Sprintf("experts over %s, attention over %s: they must be as many", division("ep", d.EP, "moe-tp", d.MoETP), division("tp", d.TP, "attn-dp", d.AttnDP)),
			p.degreesHint(d)}
	case d.AttnDP != max(g.Groups, 1):
		return &Invalid{"attn-dp", fmt.Sprintf("%s, and the graph is that of one of %d", plural(d.AttnDP, "group"), max(g.Groups, 1)), "a trace says itself how many groups it is of"}
	}
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			op := &g.Blocks[i].Ops[j]
			if op.Kind != traces.MoE {
				continue
			}
			switch {
			case d.EP == 1:
			case op.EP > 1:
				return &Invalid{"ep", fmt.Sprintf("%s is that of one of %d ranks already", op.Name, op.EP), "leave it out"}
			case op.Experts%d.EP != 0:
				return &Invalid{"ep", fmt.Sprintf("%d ranks do not share out %d experts evenly", d.EP, op.Experts), nearestDivisors(op.Experts, d.EP, MaxChips)}
			}
			if op.Split != traces.Whole && op.N%d.MoETP != 0 {
				field, hint := "moe-tp", nearestDivisors(op.N, d.MoETP, MaxChips)
				switch {
				case p.MoETP > 0:
				case p.AttnDP > 0:
					field, hint = "attn-dp", "ep shares out whole experts"
				case p.EP == 0:
					field = "tp"
				default:
					field, hint = "ep", "more ranks leave fewer chips to each expert"
				}
				return &Invalid{field, fmt.Sprintf("%d chips do not divide the %d inner elements of an expert", d.MoETP, op.N), hint}
			}
		}
	}
	return nil
}

// mixture reports whether a graph has a mixture of experts.
func mixture(g *traces.Graph) bool {
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			if g.Blocks[i].Ops[j].Kind == traces.MoE {
				return true
			}
		}
	}
	return false
}

// division writes two degrees and what they come to: "2 chips (ep 2 times moe-tp 1)".
func division(a string, x int64, b string, y int64) string {
	return fmt.Sprintf("%s (%s %d times %s %d)", plural(x*y, "chip"), a, x, b, y)
}

// degreesHint says what would make the chips of experts and of attention as many.
func (p *Mapping) degreesHint(d Degrees) string {
	chips := d.Chips()
	switch {
	case p.EP > 0 && p.MoETP > 0 && chips%d.MoETP == 0:
		return fmt.Sprintf("try --ep %d, or leave one of them out", chips/d.MoETP)
	case p.EP > 0:
		return nearestDivisors(chips, d.EP, MaxChips)
	}
	return nearestDivisors(chips, d.MoETP, MaxChips)
}

// local is the graph as the chips of a stage have it: the experts are those of the busiest of the ranks that share them out,
// and what the runtime leaves whole is whole. Errors, of a runtime that the machine does not have, come later.
func (p *Mapping) local(m *arch.Machine, g *traces.Graph) *traces.Graph {
	ep, whole := p.Degrees().EP, false
	if profile, err := m.ProfileFor(p.Profile, p.HostSync); err == nil {
		whole = profile.WholeVocabulary && p.TP > 1
	}
	if ep == 1 && !whole {
		return g
	}
	part := *g
	part.Blocks = append([]traces.Block(nil), g.Blocks...)
	for i := range part.Blocks {
		blk, copied := &part.Blocks[i], false
		change := func(j int) *traces.Op {
			if !copied {
				blk.Ops, copied = append([]traces.Op(nil), blk.Ops...), true
			}
			return &blk.Ops[j]
		}
		for j := range blk.Ops {
			switch op := &blk.Ops[j]; {
			case op.Kind == traces.MoE && op.EP != ep && ep > 1:
				change(j).EP = ep
			case op.Split == traces.Vocab && whole:
				change(j).Split = traces.Whole
			}
		}
	}
	return &part
}

// ways is in how many parts the weights of an operator are divided.
func (p *Mapping) ways(op *traces.Op) int64 {
	switch op.Split {
	case traces.Column, traces.Row, traces.Partial, traces.Vocab, traces.Heads, traces.Sharded:
		if op.Kind == traces.MoE {
			return p.Degrees().Experts()
		}
		return max(p.TP, 1)
	}
	if op.Kind == traces.MoE {
		return p.Degrees().EP
	}
	return 1
}

// arrived is how many of the tokens of all groups come to the chips of a rank of experts, each once however many of
// the rank's experts it chose: T·(1 − Π(1 − tₑ/T)) over its experts, which get tₑ of the T tokens each, as if a token's
// choices did not depend on each other; rounded.
func arrived(op *traces.Op, loads []traces.Load) int64 {
	missed := 1.0
	for _, l := range loads {
		base := 1 - float64(l.Tokens)/float64(op.M)
		for n := l.Experts; n > 0; n >>= 1 { // by squaring: the same digits everywhere
			if n&1 == 1 {
				missed = float64(missed * base)
			}
			base = float64(base * base)
		}
	}
	return max(1, int64(math.Round(float64(float64(op.M)*(1-missed)))))
}

// exchange plans how the tokens of the groups come to a chip's experts (out false), or how what those made of them comes
// back (out true); rows is how many come to the busiest chip by name. A chip of a group brings its share of the group's tokens,
// and in the end each has the group's whole result.
func (b *builder) exchange(op *traces.Op, phase traces.Phase, rows int64, back bool) ([]*Body, error) {
	d := b.mapping.Degrees()
	format := op.DType
	if back {
		format = format.Result()
	}
	all, ok := mul(op.M, op.K)
	sent, ok2 := mul(rows, op.K)
	if !ok || !ok2 || all > traces.MaxElements || sent > traces.MaxElements {
		return nil, fmt.Errorf("tokens of all groups: %w", ErrTooLarge)
	}
	var out []*Body
	over := func(name string, kind traces.Kind, chips, stride, elements int64) error {
		k, err := b.collectiveOver(op.Name+"."+name, phase, kind, interconnect.Group{Ranks: chips, Stride: stride}, format.Bytes(elements))
		if err == nil {
			out = append(out, k)
		}
		return err
	}
	var err error
	switch {
	case b.mapping.Exchange == Dispatch && !back:
		err = over("dispatch", traces.AllToAll, d.Chips(), 1, sent)
	case b.mapping.Exchange == Dispatch:
		err = over("combine", traces.AllToAll, d.Chips(), 1, sent)
	case !back: // chips of a group have the same tokens
		err = over("all-gather", traces.AllGather, d.AttnDP, d.TP, all)
	default:
		err = over("reduce-scatter", traces.ReduceScatter, d.Chips(), 1, all)
	}
	if err == nil && back && d.TP > 1 {
		err = over("share", traces.AllGather, d.TP, 1, units.CeilDiv(all, d.AttnDP))
	}
	return out, err
}

// dispatches reports whether only tokens that have chosen its experts come to a chip.
func (b *builder) dispatches() bool { return b.mapping.Exchange == Dispatch && !b.together() }

// together reports whether all chips of a stage have the same tokens, so that an all-reduce adds up what their experts make.
func (b *builder) together() bool { return b.mapping.Degrees().AttnDP == 1 }
