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
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/experiments/uncertainty"
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
	// CacheBytes is about the memory that remembered answers may take; 0 means 96 MiB, which some 80 000 answers for models have room in.
	CacheBytes int64
	// Kept has answers of earlier processes and keeps new ones, nil for none: an answer is given when it is kept, so that whatever ends the process
	// it need not be worked out again. Build names the program that answers, as part of what answers depend on. What has Costs of its own is not kept.
	Kept  *store.Answers
	Build string
	// Costs has costs of its own for operators, nil for none; with OwnCostsOnly a request with an operator that has none
	// is refused. One that asks for all machines by their names is told what a request says of its machine instead
	// if it has a method For([]byte) plan.Coster.
	Costs        plan.Coster
	OwnCostsOnly bool
	// Validated is what intervals rest on, nil for the project's measurements.
	Validated *uncertainty.Table
}

// Oracle answers estimate requests. It may be used by many goroutines at a time.
type Oracle struct {
	workers int
	resolve *resolver
	answers *lru[key, packed]
	shapes  *lru[key, *shape]        // of remembered answers
	plans   *lru[key, *eval.Planned] // of operators, under their job without a fidelity
	kept    *keeper                  // nil for none
	costs   plan.Coster
	only    bool
	counts  counts

	mu      sync.Mutex
	flights map[key]*flight // answers that are being worked out
	// validated is nil for the project's measurements.
	validated *uncertainty.Table
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
		o.CacheBytes = 96 << 20
	}
	or := &Oracle{workers: o.Workers, resolve: newResolver(o.Files), answers: newLRU[key, packed](o.CacheBytes), shapes: newLRU[key, *shape](rememberedShapes),
		plans: newLRU[key, *eval.Planned](rememberedPlans), costs: o.Costs, only: o.OwnCostsOnly, validated: o.Validated, flights: map[key]*flight{}}
	if o.Kept != nil {
		or.kept = &keeper{o.Kept, o.Build}
	}
	return or
}

// Answer answers one request, or a batch of them in an array. The answer is one line of JSON without
// the end of the line, whatever the request. The only error is that the context was cancelled.
func (o *Oracle) Answer(ctx context.Context, line []byte) ([]byte, error) {
	answer, kept, err := o.line(ctx, line)
	kept.wait()
	return answer, err
}

// line is Answer before what is new is kept.
func (o *Oracle) line(ctx context.Context, line []byte) ([]byte, keeping, error) {
	v, err := parse(line)
	if err == nil && v.kind == array {
		return o.batch(ctx, v.items())
	}
	return o.one(ctx, &v, err)
}

// one answers one request; malformed says that the text is not JSON.
func (o *Oracle) one(ctx context.Context, v *value, malformed *Error) ([]byte, keeping, error) {
	q := new(request)
	a, kept, err := o.answer(ctx, v, malformed, q)
	if err != nil {
		return nil, nil, err
	}
	return o.written(a, q), kept, nil
}

// written is the answer to a request as it is sent.
func (o *Oracle) written(a *answer, q *request) []byte {
	var violations []byte
	chosen, bad := a.chosen(q.metrics)
	if bad == nil {
		violations, bad = a.violations(q.limits)
	}
	if bad != nil {
		a, chosen = failed(bad), nil
	}
	o.counts.answered(statusOf(a))
	if chosen == nil {
		chosen = a.members
	}
	return write(make([]byte, 0, len(chosen)+len(q.id)+len(violations)+16), q, chosen, violations)
}

// answer reads a request into q and finds or works out its answer. A fault of ours becomes an answer too: it must not take other
// requests with it.
func (o *Oracle) answer(ctx context.Context, v *value, malformed *Error, q *request) (a *answer, kept keeping, err error) {
	defer func() {
		if r := recover(); r != nil {
			q.limits, q.metrics = nil, nil
			a, kept, err = failed(fault(r)), nil, nil
		}
	}()
	if malformed != nil {
		// The id helps to find the request that was cut, if it comes before the fault.
		var ignored *Error
		q.readID(open(v, "", &ignored))
		return failed(malformed), nil, nil
	}
	bad := readRequest(v, q)
	if bad == nil {
		bad = o.resolve.forgotten(q)
	}
	if bad != nil {
		q.limits, q.metrics = nil, nil
		return failed(bad), nil, nil
	}
	if q.spaceAt != nil {
		return o.ofSpace(ctx, q)
	}
	return o.known(ctx, q, q.key(), func() (key, bool) { return o.lastingKey(q) }, func(ctx context.Context) (*answer, error) { return o.evaluate(ctx, q) })
}

// known returns the answer that has a key: one that is remembered, one that was kept in a file under its lasting key, or what work comes to, which is
// remembered and kept then. The only error is that the context was cancelled.
func (o *Oracle) known(ctx context.Context, q *request, k key, lasting func() (key, bool), work func(context.Context) (*answer, error)) (*answer, keeping, error) {
	if p, known := o.answers.get(k); known {
		o.counts.looked(true)
		return p.answer(), p.keeping(), nil
	}
	within, cancel := q.withTimeout(ctx)
	defer cancel()
	a, kept, err := o.once(within, k, func() (a *answer, kept keeping, err error) {
		where, keeps := key{}, false
		if o.kept != nil && o.costsFor(q) == nil {
			if where, keeps = lasting(); keeps {
				a = o.kept.get(within, where)
			}
		}
		if a != nil {
			o.counts.found.Add(1)
		} else {
			a, err = work(within)
			if err != nil && within.Err() == nil {
				a, err = failed(q.explained(err)), nil // it is the same for all who ask
			}
			if err != nil || !a.lasting() {
				return a, nil, err
			}
			if keeps {
				kept = o.kept.put(where, a)
			}
		}
		p, size := o.pack(a)
		p.kept = kept.last()
		o.answers.put(k, p, size)
		return a, kept, nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		return failed(q.explained(err)), nil, nil
	}
	return a, kept, nil
}

// flight is an answer that is being worked out, for all who ask for it meanwhile.
type flight struct {
	done   chan struct{}
	answer *answer // nil if it came to nothing that others can have
	kept   keeping
}

// once works out what is asked for by several at a time once for all of them, unless it comes to nothing that they can share.
func (o *Oracle) once(ctx context.Context, k key, work func() (*answer, keeping, error)) (*answer, keeping, error) {
	o.mu.Lock()
	f := o.flights[k]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		o.flights[k] = f
		o.mu.Unlock()
		o.counts.looked(false)
		defer func() {
			o.mu.Lock()
			delete(o.flights, k)
			o.mu.Unlock()
			close(f.done)
		}()
		a, kept, err := work()
		if err == nil && a.lasting() {
			f.answer, f.kept = a, kept
		}
		return a, kept, err
	}
	o.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if f.answer != nil {
		o.counts.looked(true)
		return f.answer, f.kept, nil
	}
	o.counts.looked(false)
	return work()
}

// explained is the error of the answer for one of the simulator.
func (q *request) explained(err error) *Error {
	whole := wholeOp
	if q.model != "" || q.spaceAt != nil {
		whole = wholeModel
	}
	return explain(err, whole, q.member)
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

// batch answers the requests of an array, several at a time, in their order.
func (o *Oracle) batch(ctx context.Context, requests []value) ([]byte, keeping, error) {
	if bad := tooMany(len(requests)); bad != nil {
		return write(nil, new(request), failed(bad).members, nil), nil, nil
	}
	answers, kept := make([][]byte, len(requests)), make([]keeping, len(requests))
	if err := o.each(len(requests), func(i int) (err error) {
		answers[i], kept[i], err = o.one(ctx, &requests[i], nil)
		return err
	}); err != nil {
		return nil, nil, err
	}
	size := len("[]") + len(answers)
	for _, a := range answers {
		size += len(a)
	}
	to := append(make([]byte, 0, size), '[')
	var all keeping
	for i, a := range answers {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, a...)
		all = all.and(kept[i])
	}
	return append(to, ']'), all, nil
}

// each calls do with 0 to n-1, several at a time. The error is that of the least for which there was one.
func (o *Oracle) each(n int, do func(i int) error) error {
	errs := make([]error, n)
	var next atomic.Int64
	var team sync.WaitGroup
	for range min(o.workers, n) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = do(i)
			}
		})
	}
	team.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tooMany refuses a batch of more than MaxBatch requests.
func tooMany(n int) *Error {
	if n <= MaxBatch {
		return nil
	}
	return invalid("too-large", "", "several lines", "a batch of %d requests, at most %d are allowed", n, MaxBatch)
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
		a, err := q.parsedNetwork.answer(q.fidelity, q.ideal != "")
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
		both := q.job
		both.fidelity, both.interval = "", 0
		either := both.key()
		r.Planned, _ = o.plans.get(either)
		res, err := eval.Run(ctx, r)
		if err != nil {
			return nil, err
		}
		if r.Planned == nil && r.Costs == nil {
			o.plans.put(either, res.Planned(), 1)
		}
		res.Answer.Interval = o.opInterval(q, m, &res.Answer)
		return ofOp(&q.op, &res.Answer), nil
	}
	model := q.direct
	if model == nil {
		if model, bad = o.resolve.model(q.modelAt, q.model); bad != nil {
			return failed(bad), nil
		}
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
	r := eval.Request{Machine: m.Machine, ArchHash: m.hash, Graph: g, Fidelity: q.fidelity, Ideal: q.ideals(), Advise: q.detail, Brief: !q.detail && q.interval == 0}
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
	res.Answer.Interval = o.modelInterval(q, m, model, g, &res.Answer)
	if q.seen != nil {
		q.seen(&res.Answer)
	}
	res.Release()
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
