package plan

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Query asks what one operator costs, as one chip runs it: what a mapping divides is divided already.
// Dimensions that the kind does not have are 0; Fields lists those that it has.
type Query struct {
	Arch     string // name of the machine
	Runtime  string // profile of its runtime
	HostSync bool   // each operator is timed from the host

	Name  string // of the operator in the graph; "a+b" for two that the runtime runs in one kernel
	Phase string
	Kind  string // "gemm"; "add+rmsnorm" for two kinds in one kernel

	Batch, M, N, K                         int64 // products; Batch also of attention
	Heads, KVHeads, HeadDim, QLen, PastLen int64 // attention
	Causal                                 bool
	Rows, Cols                             int64 // row-wise and element-wise operators
	Bytes, Ranks                           int64 // collectives
	DType, WeightDType, KVDType            traces.DType
}

// Field is one dimension or property of an operator, under its name in estimate requests.
type Field struct {
	Name string
	N    int64  // of a dimension
	Word string // of a property, such as a data type; "" for a dimension
}

// Text is the value as it is written in a table.
func (f Field) Text() string {
	if f.Word != "" {
		return f.Word
	}
	return strconv.FormatInt(f.N, 10)
}

// Fields lists what the operator is told by, in one order for each kind.
func (q *Query) Fields() []Field {
	kind, err := traces.ParseKind(q.Kind)
	dtype, weight, kv := Field{Name: "dtype", Word: q.DType.String()}, Field{Name: "weight_dtype", Word: q.WeightDType.String()}, Field{Name: "kv_dtype", Word: q.KVDType.String()}
	switch {
	case err == nil && kind == traces.Gemm:
		return []Field{{Name: "m", N: q.M}, {Name: "n", N: q.N}, {Name: "k", N: q.K}, {Name: "batch", N: q.Batch}, dtype, weight}
	case err == nil && kind == traces.Attention:
		return []Field{{Name: "batch", N: q.Batch}, {Name: "heads", N: q.Heads}, {Name: "kv_heads", N: q.KVHeads}, {Name: "head_dim", N: q.HeadDim},
			{Name: "q_len", N: q.QLen}, {Name: "past_len", N: q.PastLen}, dtype, kv, {Name: "causal", Word: strconv.FormatBool(q.Causal)}}
	case err == nil && kind.Collective():
		return []Field{{Name: "bytes", N: q.Bytes}, {Name: "ranks", N: q.Ranks}}
	}
	fields := []Field{{Name: "rows", N: q.Rows}, {Name: "cols", N: q.Cols}, dtype}
	switch {
	case err == nil && kind == traces.Embedding:
		fields = append(fields, weight)
	case err == nil && kind == traces.KVAppend:
		fields = append(fields, kv)
	}
	return fields
}

// String names the operator with its dimensions.
func (q *Query) String() string {
	text := q.Kind
	for _, f := range q.Fields() {
		text += fmt.Sprintf(" %s=%s", f.Name, f.Text())
	}
	return text
}

// OpJSON is the operator as the member "op" of an estimate request.
func (q *Query) OpJSON() []byte {
	to := fmt.Appendf(nil, `{"kind":%q`, q.Kind)
	for _, f := range q.Fields() {
		switch {
		case f.Name == "causal" || f.Word == "":
			to = fmt.Appendf(to, `,%q:%s`, f.Name, f.Text())
		default:
			to = fmt.Appendf(to, `,%q:%q`, f.Name, f.Word)
		}
	}
	return append(to, '}')
}

// Cost is what one call of an operator costs on one chip, in place of what the model says. It stands for
// the whole of the operator's kernel, from the end of the kernel before it to its own end: the launch is part of it.
type Cost struct {
	Time units.Time
	// Joules is the energy of the chip in that time, idle and active power included; 0 leaves energy
	// to the model.
	Joules units.Joules
	// Source says for reports where the cost is from, such as "cost file x.csv, line 12". In an answer
	// without a cost it may say why there is none.
	Source string
}

// A Coster has costs of its own for operators. It is asked once for each distinct operator of a plan, one after the
// other, in the order of the plan, but not for those in pipelines and not for products that are grouped by expert. False leaves the operator to the model; an error ends the run.
//
// A Coster that is also a fmt.Stringer is called so in reports.
type Coster interface {
	Cost(ctx context.Context, q Query) (Cost, bool, error)
}

// CostFunc is a function that is a Coster.
type CostFunc func(ctx context.Context, q Query) (Cost, bool, error)

// Cost calls f.
func (f CostFunc) Cost(ctx context.Context, q Query) (Cost, bool, error) { return f(ctx, q) }

// Asked is one question to a Coster and its answer.
type Asked struct {
	Query
	Cost
	Known bool // the operator has a cost of its own
	Op    int  // index into Program.Ops
}

// Counters of calls whose cost is not the model's.
const (
	OwnCalls  = "own.calls"
	OwnTime   = "own.time"   // ps
	OwnEnergy = "own.energy" // pJ, of calls whose energy is given too
	// OwnEnergyTime is the time of those calls; their work is counted once more under the name of each counter
	// and OwnSuffix, because the energy of it is not the model's.
	OwnEnergyTime = "own.energy_time" // ps
	OwnSuffix     = " (own)"
	// occupied is what such calls would have occupied of a resource.
	occupiedSuffix = ".occupied" + OwnSuffix
)

// BuildWith is Build with costs of their own for operators, nil for none.
//
// An operator with a cost of its own becomes a step of that latency. What it reads, writes and computes stays
// planned work; only the time is not the model's. The time is charged to the cause whose resource the model's plan
// of the operator keeps busy the longest, and to dependency where it keeps none: the operator is bound by what it
// was bound by, in so far as its work tells.
func BuildWith(ctx context.Context, m *arch.Machine, g *traces.Graph, p Mapping, costs Coster) (*Program, error) {
	b, err := prepare(m, g, &p)
	if err != nil {
		return nil, err
	}
	return b.costed(ctx, g, costs)
}

// costed plans the graph and puts the costs that are given in the place of the model's.
func (b *builder) costed(ctx context.Context, g *traces.Graph, costs Coster) (*Program, error) {
	prog, err := b.program(g)
	if err == nil && costs != nil {
		err = b.askAll(ctx, costs)
	}
	if err != nil {
		return prog, err
	}
	*b.home = b.mem
	prog.mem = b.home // the builder need not live as long
	return prog, nil
}

// askAll asks for the cost of every distinct operator and puts it in the place of the model's. The grouped products of
// a mixture of experts are not asked for: how many rows each expert gets is nothing that a question has.
func (b *builder) askAll(ctx context.Context, costs Coster) error {
	keys := make(map[*Body]kernelKey, len(b.kernels))
	for k, body := range b.kernels {
		if k.kind != traces.MoE.String() {
			keys[body] = k
		}
	}
	answers := map[Query]Asked{}
	seen := map[*Body]bool{}
	var walk func(body *Body) error
	walk = func(body *Body) error {
		if seen[body] {
			return nil
		}
		seen[body] = true
		if key, ok := keys[body]; ok {
			return b.ask(ctx, costs, body, &key, answers)
		}
		for i := range body.Nodes {
			if inner := body.Nodes[i].Body; inner != nil {
				if err := walk(inner); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(b.p.Entry); err != nil {
		return err
	}
	return b.p.Finish()
}

// ask asks for the cost of one kernel.
func (b *builder) ask(ctx context.Context, costs Coster, body *Body, key *kernelKey, answers map[Query]Asked) error {
	q := b.query(key)
	a, ok := answers[q]
	if !ok {
		if err := ctx.Err(); err != nil {
			return err
		}
		a = Asked{Query: q, Op: body.Op}
		var err error
		if a.Cost, a.Known, err = costs.Cost(ctx, q); err != nil {
			return err
		}
		if c := &a.Cost; a.Known && (c.Time < 0 || c.Time > units.MaxTime || !(c.Joules >= 0 && float64(c.Joules) < 1e6)) {
			return fmt.Errorf("the cost of %s is %v and %v J: a time from 0 to %v and an energy from 0 to 1 MJ are expected", q.String(), c.Time, float64(c.Joules), units.MaxTime)
		}
		answers[q] = a
		b.p.Asked = append(b.p.Asked, a)
	}
	if a.Known {
		b.override(body, &a.Cost)
		if d := b.decisions.Of(body); d != nil {
			d.Rule = "its cost is given: the choices are of the plan that it replaces"
		}
	}
	return nil
}

// query describes a kernel.
func (b *builder) query(k *kernelKey) Query {
	info := &b.p.Ops[k.op]
	q := Query{Arch: b.m.Name, Runtime: b.profile.Name, HostSync: b.mapping.HostSync, Name: info.Name, Phase: info.Phase, Kind: k.kind,
		Batch: k.batch, M: k.m, N: k.n, K: k.k, Heads: k.heads, KVHeads: k.kvHeads, HeadDim: k.dim, QLen: k.qlen, PastLen: k.past, Causal: k.causal,
		Rows: k.rows, Cols: k.cols, DType: k.dtype, WeightDType: k.weight, KVDType: k.kv}
	if k.fused != "" {
		q.Kind = k.fused + "+" + k.kind
	}
	if kind, err := traces.ParseKind(k.kind); err == nil && kind.Collective() {
		q.Bytes, q.Ranks = int64(k.read), k.group.Ranks
	}
	return q
}

// override makes a kernel a step of a given time that does the kernel's work.
func (b *builder) override(body *Body, c *Cost) {
	s := &Step{Kind: "own cost", Latency: c.Time, Charge: sim.Dependency, Cores: b.m.Chip.Cores.Count}
	for i := range body.Nodes {
		if launch := body.Nodes[i].Step; launch != nil {
			s.Host += launch.Host // the host launches ahead of the device whatever runs there
		}
	}
	var longest units.Time
	for i, n := range body.amounts {
		r := &b.p.Resources[i]
		if r.Name == HostResource {
			continue
		}
		if t := r.Time(n); t > longest || t == longest && t > 0 && r.Cause < s.Charge {
			longest, s.Charge = t, r.Cause
		}
	}
	count := func(name, unit string, n int64) {
		if n > 0 {
			s.Counts = append(s.Counts, b.count(name, unit, n))
		}
	}
	energy := int64(math.Round(float64(c.Joules) * 1e12))
	for i, n := range body.work {
		if n > 0 {
			s.Counts = append(s.Counts, Count{i, n})
		}
		if energy > 0 {
			count(b.p.Counters[i].Name+OwnSuffix, b.p.Counters[i].Unit, n)
		}
	}
	for i, n := range body.amounts {
		if b.p.Resources[i].Name == HostResource {
			continue
		}
		count(b.p.Resources[i].Name+occupiedSuffix, b.p.Resources[i].Unit, n)
	}
	count(OwnCalls, "call", 1)
	count(OwnTime, "ps", int64(c.Time))
	if energy > 0 {
		count(OwnEnergy, "pJ", energy)
		count(OwnEnergyTime, "ps", int64(c.Time))
	}
	name := c.Source
	if name == "" {
		name = "own cost"
	}
	body.held = bufferPeak(body, map[*Body]units.Bytes{})
	body.Nodes, body.Buffers = []Node{{Name: name, Step: s}}, nil
}

// Counted returns the planned work of one counter by its name, 0 if there is no such counter.
func (p *Program) Counted(name string) int64 { return p.Count(p.Work(), name) }

// Count returns the entry of a counter in counts of the program, 0 if there is no such counter.
func (p *Program) Count(counts sim.Counts, name string) int64 {
	for i := range p.Counters {
		if p.Counters[i].Name == name && i < len(counts) {
			return counts[i]
		}
	}
	return 0
}
