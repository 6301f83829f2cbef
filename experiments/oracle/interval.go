package oracle

import (
	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments/uncertainty"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// readInterval reads whether an interval is asked for: true, or an object with its level.
func (q *request) readInterval(f *fields) {
	v := f.get("interval")
	switch {
	case v == nil:
	case v.kind == boolean:
		if v.raw[0] == 't' {
			q.interval = uncertainty.Levels()[0]
		}
	case v.kind == object:
		of := open(v, "/interval", f.err)
		q.interval = uncertainty.Levels()[0]
		if of.has("level") {
			if q.interval = of.real("level", 0, 1, 0); *f.err == nil && !uncertainty.Has(q.interval) {
				of.fail(invalid("value", "/interval/level", uncertainty.LevelsText(), "intervals of level %g are not kept", q.interval))
			}
		}
		of.close()
	default:
		f.fail(invalid("type", "/interval", `true or {"level":0.9}`, "must be a boolean or an object, is %s", v.kind))
	}
}

// table is what intervals rest on.
func (o *Oracle) table() *uncertainty.Table {
	if o.validated != nil {
		return o.validated
	}
	return uncertainty.Default()
}

// opInterval is the interval of an operator's answer, nil if none is asked for or nothing like it was measured.
func (o *Oracle) opInterval(q *request, m *machine, a *eval.Answer) *eval.Interval {
	if q.interval == 0 {
		return nil
	}
	op := Validated(&q.op, m.Machine, q.hostSync)
	return o.table().OfOperator(uncertainty.Of{Level: q.interval, Machine: m.Machine, Hash: m.hash, Answer: a, Beyond: uncertainty.Choices(q.mapping, q.fusion, q.powerLimit)}, &op)
}

// modelInterval is that of a model's answer, which has its operators.
func (o *Oracle) modelInterval(q *request, m *machine, model *llm.Model, g *traces.Graph, a *eval.Answer) *eval.Interval {
	if q.interval == 0 {
		return nil
	}
	return o.table().OfModel(uncertainty.Of{Level: q.interval, Machine: m.Machine, Hash: m.hash, Answer: a, Beyond: uncertainty.Choices(q.mapping, q.fusion, q.powerLimit)}, g, model.MoE != nil)
}

// Validated is an operator as tables of what was measured know it.
func Validated(o *Op, m *arch.Machine, hostSync bool) uncertainty.Operator {
	v := uncertainty.Operator{Kind: o.name(), Dims: make([]uncertainty.Dim, 0, 8)}
	v.Class, v.Instead = uncertainty.ClassOf(o.Kind, o.QLen == 1)
	v.Format = uncertainty.FormatOf(o.DType, o.WeightDType, o.KVDType)
	switch {
	case o.Mixed:
		v.Class = uncertainty.AttentionMixed
	case o.Form == ffn:
		v.Class = uncertainty.FFN
	case o.Form == conv2d:
		v.Instead = true
	case o.Kind.Collective():
		v.Format = "" // bytes are bytes
		node := m.System.Chips
		if o.RanksPerNode > 0 {
			node = o.RanksPerNode
		}
		if o.Ranks > node {
			v.Class += uncertainty.Nodes
		}
	}
	if hostSync {
		v.Class = uncertainty.Host + v.Class
	}
	for _, d := range o.dims() {
		if n := *d.Of(o); n != 0 || d.Otherwise != 0 || d.Least == 0 {
			v.Dims = append(v.Dims, uncertainty.Dim{Name: d.Name, Value: n})
		}
	}
	if o.Backward {
		v.Beyond = append(v.Beyond, "/op/pass: "+passes[1]+", validated forward")
	}
	return v
}

// ValidatedRequest is the operator of a request as tables know it, for those that make tables. An error says what is wrong with
// the request.
func ValidatedRequest(line []byte, m *arch.Machine) (uncertainty.Operator, error) {
	v, bad := parse(line)
	q := new(request)
	if bad == nil {
		bad = readRequest(&v, q)
	}
	if bad != nil {
		return uncertainty.Operator{}, bad
	}
	return Validated(&q.op, m, q.hostSync), nil
}
