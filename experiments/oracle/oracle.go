package oracle

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Options of an Oracle. The zero value is ready to use.
type Options struct {
	// Workers is the number of requests that are worked on at a time; 0 means GOMAXPROCS.
	Workers int
	// Files lets requests name files of machines and models. An oracle that answers strangers must
	// not set it.
	Files bool
	// CacheBytes is about the memory that remembered answers may take; 0 means 64 MiB.
	CacheBytes int64
	// Costs has costs of its own for operators, nil for none; with OwnCostsOnly a request with an operator that has none
	// is refused. One that asks for all machines by their names is told what a request says of its machine instead
	// if it has a method For([]byte) plan.Coster.
	Costs        plan.Coster
	OwnCostsOnly bool
}

// Oracle answers estimate requests. It may be used by many goroutines at a time.
type Oracle struct {
	workers int
	resolve *resolver
	answers *lru[job, *answer]
	plans   *lru[job, *eval.Planned] // of operators, under their job without a fidelity
	costs   plan.Coster
	only    bool
	counts  counts
}

// MaxBatch bounds the requests of one batch.
const MaxBatch = 1 << 16

// rememberedPlans is how many plans of operators are kept, of some 10 kB each: whoever asks about one in a fidelity may
// ask about the other next.
const rememberedPlans = 4096

// New returns an oracle that knows nothing yet.
func New(o Options) *Oracle {
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Workers = min(o.Workers, 1024)
	if o.CacheBytes < 1 {
		o.CacheBytes = 64 << 20
	}
	return &Oracle{workers: o.Workers, resolve: newResolver(o.Files), answers: newLRU[job, *answer](o.CacheBytes), plans: newLRU[job, *eval.Planned](rememberedPlans), costs: o.Costs, only: o.OwnCostsOnly}
}

// Answer answers one request, or a batch of them in an array. The answer is one line of JSON without
// the end of the line, whatever the request. The only error is that the context was cancelled.
func (o *Oracle) Answer(ctx context.Context, line []byte) ([]byte, error) {
	v, err := parse(line)
	if err == nil && v.kind == array {
		return o.batch(ctx, v.items)
	}
	return o.one(ctx, &v, err)
}

// one answers one request; malformed says that the text is not JSON.
func (o *Oracle) one(ctx context.Context, v *value, malformed *Error) ([]byte, error) {
	q := new(request)
	a, err := o.answer(ctx, v, malformed, q)
	if err != nil {
		return nil, err
	}
	violations, bad := a.violations(q.limits)
	if bad != nil {
		a = failed(bad)
	}
	o.counts.answered(statusOf(a))
	return a.write(make([]byte, 0, len(a.members)+len(q.id)+160), q, violations), nil
}

// answer reads a request into q and finds or works out its answer. A fault of ours becomes an answer too: it must not take other
// requests with it.
func (o *Oracle) answer(ctx context.Context, v *value, malformed *Error, q *request) (a *answer, err error) {
	defer func() {
		if r := recover(); r != nil {
			q.limits = nil
			a, err = failed(fault(r)), nil
		}
	}()
	if malformed != nil {
		// The id helps to find the request that was cut, if it comes before the fault.
		var ignored *Error
		q.readID(open(v, "", &ignored))
		return failed(malformed), nil
	}
	bad := readRequest(v, q)
	if bad == nil {
		bad = o.resolve.forgotten(q)
	}
	if bad != nil {
		q.limits = nil
		return failed(bad), nil
	}
	a, known := o.answers.get(q.job)
	o.counts.looked(known)
	if known {
		return a, nil
	}
	within, cancel := q.withTimeout(ctx)
	defer cancel()
	a, err = o.evaluate(within, q)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		whole := wholeOp
		if q.model != "" {
			whole = wholeModel
		}
		a = failed(explain(err, whole, q.member))
	}
	if a.lasting() {
		a = o.answers.put(q.job, a, a.size()+jobSize(&q.job))
	}
	return a, nil
}

// fault is the error for a panic of the simulator.
func fault(recovered any) *Error {
	return &Error{Failed, "internal", "", shorten(fmt.Sprint(recovered)), "this is a fault of the simulator: please report it with the request"}
}

// lasting reports whether the same request will have this answer again.
func (a *answer) lasting() bool {
	s := statusOf(a)
	return s != Timeout && s != Failed && !(a.err != nil && a.err.unknown())
}

func statusOf(a *answer) Status {
	if a.err != nil {
		return a.err.Status
	}
	return OK
}

// jobSize is about how many bytes a job takes in memory, as the key of an entry of the cache: twice itself, in the map and in the list,
// and its texts once.
func jobSize(j *job) int64 {
	size := int64(2300)
	for _, s := range []string{j.arch, j.model, j.network, j.train, j.mapping, j.draft, j.acceptance, j.lora, j.framework, j.kernel, j.fusion, j.exchange, j.offload, j.placement,
		j.arrivals, j.phase, j.fidelity, j.op.Algorithm, j.op.Form, j.array.keep, j.array.dataflow, j.array.mode,
		j.dram.Controller, j.dram.Standard, j.dram.Mapping, j.dram.Refresh, j.dram.Kind} {
		size += int64(len(s))
	}
	return size
}

// batch answers the requests of an array, several at a time, in their order.
func (o *Oracle) batch(ctx context.Context, requests []value) ([]byte, error) {
	if len(requests) > MaxBatch {
		return failed(invalid("too-large", "", "several lines", "a batch of %d requests, at most %d are allowed", len(requests), MaxBatch)).write(nil, new(request), nil), nil
	}
	answers, errs := make([][]byte, len(requests)), make([]error, len(requests))
	var next atomic.Int64
	var team sync.WaitGroup
	for range min(o.workers, len(requests)) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(requests); i = int(next.Add(1)) - 1 {
				answers[i], errs[i] = o.one(ctx, &requests[i], nil)
			}
		})
	}
	team.Wait()
	to := []byte{'['}
	for i, a := range answers {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, a...)
	}
	return append(to, ']'), nil
}

// evaluate asks the simulator. Errors are the simulator's.
func (o *Oracle) evaluate(ctx context.Context, q *request) (*answer, error) {
	if q.array.rows > 0 {
		a, err := q.array.answer()
		if err != nil {
			return failed(err), nil
		}
		return encode(a, nil), nil
	}
	if q.network != "" {
		a, err := q.parsedNetwork.answer(q.fidelity)
		if err != nil {
			return failed(err), nil
		}
		return encode(a, []figure{{"seconds", a.Seconds}}), nil
	}
	if q.dram.Standard != "" {
		a, err := OfDRAM(ctx, &q.dram, q.fidelity)
		if err != nil {
			return nil, err
		}
		return encode(a, a.figures()), nil
	}
	m, bad := o.resolve.machine(q.archAt, q.arch)
	if bad != nil {
		return failed(bad), nil
	}
	if q.train == "" {
		if bad := q.withinNode(m.Machine); bad != nil {
			return failed(bad), nil
		}
	}
	pins, err := q.pins()
	if err != nil {
		return nil, err
	}
	name := profile(m.Machine, q.framework, q.kernel)
	if q.model == "" {
		op := q.op
		if op.Kind == traces.Attention && op.Algorithm == "" {
			op.Algorithm = algorithm(m.Machine, name, q.kernel)
		}
		r := op.Request(m.Machine, name, q.hostSync)
		r.Fidelity, r.ArchHash, r.Mapping.Pins = q.fidelity, m.hash, pins
		r.Mapping.Fusion = q.fusion
		r.Costs, r.OwnCostsOnly = o.costsFor(q), o.only
		either := q.job
		either.fidelity = ""
		r.Planned, _ = o.plans.get(either)
		res, err := eval.Run(ctx, r)
		if err != nil {
			return nil, err
		}
		if r.Planned == nil && r.Costs == nil {
			o.plans.put(either, res.Planned(), 1)
		}
		return ofOp(&q.op, &res.Answer), nil
	}
	model, bad := o.resolve.model(q.modelAt, q.model)
	if bad != nil {
		return failed(bad), nil
	}
	if q.train != "" {
		return o.training(ctx, m, model, name, q)
	}
	w := q.workload(m, model)
	if w.Batch, err = experiments.Shared(w.Batch, q.inFlight); err != nil {
		return nil, err
	}
	if q.draft != "" {
		if bad := o.speculate(m, q, &w); bad != nil {
			return failed(bad), nil
		}
	}
	if w.StepTokens = m.StepTokens(name, q.hostSync); q.phase == "serve" {
		if w.Arrivals = q.arrivals; w.StepTokens == 0 {
			w.StepTokens = experiments.ServeStepTokens
		}
	}
	g, err := model.Graph(w)
	if err != nil {
		return nil, err
	}
	r := eval.Request{Machine: m.Machine, ArchHash: m.hash, Graph: g, Fidelity: q.fidelity, Advise: q.detail}
	r.Mapping = q.divided()
	r.Mapping.Fusion = q.fusion
	r.Mapping.Profile, r.Mapping.HostSync, r.Mapping.Pins, r.Mapping.Memo = name, q.hostSync, pins, o.resolve.memo(m.hash)
	r.Costs, r.OwnCostsOnly = o.costsFor(q), o.only
	r.Mapping.Offload, r.Mapping.Placement, r.Mapping.Prefetch, r.Mapping.Lookahead = q.offload, q.placement, &q.prefetch, &q.lookahead
	if r.Graph, err = experiments.InWaves(m.Machine, model, w, g, r.Mapping); err != nil {
		return nil, err
	}
	r.PowerLimit, r.PowerTrace = units.Watts(q.powerLimit), q.powerTrace
	if w.Speculation != nil {
		w.Speculation = nil
		if r.Plain, err = model.Graph(w); err != nil {
			return nil, err
		}
	}
	res, err := eval.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	return ofModel(&res.Answer, q.detail), nil
}

// speculate adds the draft model of a request to a workload.
func (o *Oracle) speculate(a *machine, q *request, w *llm.Workload) *Error {
	draft, bad := o.resolve.model(q.draftAt, q.draft)
	if bad != nil {
		of := *bad
		of.Path = "/draft" + strings.TrimPrefix(of.Path, "/model")
		return &of
	}
	d := q.formats(a, draft) // adapters are the large model's
	w.Speculation = &llm.Speculation{Draft: draft, Tokens: q.draftTokens, Acceptance: q.acceptance, DType: d.DType, WeightDType: d.WeightDType, KVDType: d.KVDType}
	return nil
}

// pins reads what the request pins, nil if nothing. JSON is YAML, so one reader serves files and requests.
func (q *request) pins() (*plan.Pins, error) {
	if q.mapping == "" {
		return nil, nil
	}
	return plan.ReadPins("", []byte(q.mapping))
}

// costsFor is what has costs of its own for the machine of a request, nil for none.
func (o *Oracle) costsFor(q *request) plan.Coster {
	if c, ok := o.costs.(interface{ For([]byte) plan.Coster }); ok {
		return c.For([]byte(q.arch))
	}
	return o.costs
}

// withinNode refuses more chips than one node of the machine has.
func (q *request) withinNode(m *arch.Machine) *Error {
	p := q.divided()
	chips, at := p.Chips(), "/parallel/tp"
	if p.Chips() > q.tp {
		at = "/parallel"
	}
	if q.model == "" {
		chips, at = q.op.Ranks, "/op/ranks"
		m = m.Using(max(q.op.RanksPerNode, 0))
	}
	if m.System.ScaleOut != nil {
		return nil // the planner knows how far that reaches
	}
	if chips <= m.System.Chips {
		return nil
	}
	return unsupported("beyond-node", at, fmt.Sprintf("at most %d", m.System.Chips), "%d chips: one node of %s has %d, and it says of no network between nodes", chips, m.Name, m.System.Chips)
}

// divided is how the request divides a model over chips.
func (q *request) divided() plan.Mapping {
	return plan.Mapping{TP: q.tp, PP: q.pp, EP: q.ep, MoETP: q.moeTP, AttnDP: q.attnDP, Exchange: q.exchange, InFlight: q.inFlight}
}

// workload is what the request asks of the model.
func (q *request) workload(a *machine, m *llm.Model) llm.Workload {
	w := q.formats(a, m)
	w.Phase, w.Batch, w.Prompt, w.Generate, w.Layers = q.phase, q.batch, q.context, q.generate, q.layers
	w.SkewMilli = q.skew
	if w.Groups = q.attnDP; m.MoE != nil {
		p := q.divided()
		w.Groups = p.Degrees().AttnDP
	}
	if q.lora != "" {
		w.LoRA, _ = llm.ParseLoRA(q.lora) // it was written from adapters that are in order
		if d, err := traces.ParseDType(w.LoRA.BaseDType); err == nil {
			w.WeightDType = d
		}
	}
	return w
}

// formats are the number formats in which the request runs a model, without adapters.
func (q *request) formats(a *machine, m *llm.Model) (w llm.Workload) {
	w.DType = q.dtype.or(m.Activations(a.Chip.Cores.Matrix.Multiplies))
	w.WeightDType, w.KVDType = q.weight.or(m.Weights(w.DType)), q.kv.or(m.Cache(w.DType))
	return w
}
