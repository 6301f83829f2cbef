package eval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/event"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/memory"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Version of the models. It changes whenever any figure changes, so that stored results of
// different versions are never mistaken for each other.
const Version = "0.5.0"

// Fidelities.
const (
	Event    = "event"
	Analytic = "analytic"
)

// IdealContention leaves out that what runs at the same time shares what it uses; IdealCollectives of that only what collectives of a
// step of training take of the kernels beside them: cores, and bandwidth of the memory.
const (
	IdealContention  = "contention"
	IdealCollectives = "collectives"
)

// Ideals that a request may ask for.
var ideals = []string{IdealContention, IdealCollectives, "refresh", "launch", "power"}

// collectivesIdeal says why leaving out collectives beside kernels changes nothing.
const collectivesIdeal = "ideal " + IdealCollectives + " leaves nothing out: only in a step of training on several chips do they run beside kernels and take of them"

// refreshIdeal says why leaving out refresh changes nothing.
const refreshIdeal = "ideal refresh leaves nothing out: the machine does not say what DRAM its memories are of (dram: …)"

// MaxPowerLimit is the largest limit of a chip that a request may set.
const MaxPowerLimit units.Watts = 1e6

// Request is one point: a machine, a graph, a mapping and how to time it.
type Request struct {
	Machine *arch.Machine
	Graph   *traces.Graph
	// Plain is the graph without its draft model, to compare with; nil for no comparison. Pins are choices for Graph, so
	// there is none with them either.
	Plain   *traces.Graph
	Mapping plan.Mapping
	// Fidelity is Event or Analytic; "" means Event.
	Fidelity string
	// Exact plays every iteration of every loop in the event fidelity.
	Exact bool
	// Ideal lists effects to leave out: contention, collectives, refresh, launch, power.
	Ideal []string
	// PowerLimit is the limit of each chip in place of the machine's; 0 for the machine's.
	PowerLimit units.Watts
	// PowerTrace asks for the power over time.
	PowerTrace bool
	// Advise asks for advice, which times the program a few more times.
	Advise bool
	// Brief leaves the table of operators out of the answer.
	Brief bool
	// Observer and Progress are passed to the event fidelity.
	Observer event.Observer
	Progress func(events int64)
	// Notes are remarks on the request that the answer repeats, such as what was changed in the machine.
	// They are part of the answer and with it of the key.
	Notes []string
	// Costs has costs of its own for operators, nil for none; the others are left to the model, or with
	// OwnCostsOnly refused. CostKey identifies what it answers as part of the key of the request; "" means by the answers
	// themselves, so that the key is only known from the manifest of the answer.
	Costs        plan.Coster
	CostKey      string
	OwnCostsOnly bool
	// Training says how the parts of Graph make a step of training; nil for graphs that run as they are.
	Training *Training
	// Workload identifies the many requests that this one stands for, as part of the key; "" for none. Seed is that of
	// their draws.
	Workload string
	Seed     int64
	// ArchHash is Machine.Hash(), for callers that ask about one machine many times; "" works it out.
	ArchHash string
	// Planned is the program of the same machine, graph and mapping with the hash of the graph, for callers that time one
	// plan in several ways; nil plans. Programs are not changed, so requests may share one.
	Planned *Planned
}

// Planned is what was planned before, and what follows from the plan alone.
type Planned struct {
	program   *plan.Program
	graphHash string
	floor     units.Time
}

// Planned returns the plan of a result for requests that differ in nothing that is planned: those with the same machine,
// graph, mapping and costs, and the same resources without contention.
func (r *Result) Planned() *Planned { return &Planned{r.Program, r.Manifest.GraphHash, r.floor} }

// Result is an answer with what it was derived from.
type Result struct {
	Answer
	Program *plan.Program
	Outcome *sim.Outcome
	// Played is how ranks played a step of training, nil for other runs.
	Played *parallel.Result

	timed  *timed
	floor  units.Time
	rounds []round // of several batches in flight, nil for one
	given  bool    // the program, with the request
}

// Release gives the memory of what the answer was derived from to requests that are made later. Of the result only the answer may be looked at
// afterwards, and nothing that Planned returned.
func (r *Result) Release() {
	if r.timed != nil {
		for _, f := range r.timed.control.folders {
			f.Release()
		}
	}
	if r.Program != nil && !r.given {
		r.Program.Release()
	}
	*r = Result{Answer: r.Answer}
}

// Key identifies the point by content: everything that can change its answer. It is "" if only the answers of Costs tell,
// and known then from the manifest of the answer.
func (r *Request) Key() string {
	if r.Costs != nil && r.CostKey == "" {
		return ""
	}
	return r.manifest(nil).Key
}

// Manifest identifies the request and its parts by content; what its answer says of the program is not in it.
func (r *Request) Manifest() Manifest { return r.manifest(nil) }

// manifest identifies the point and its parts by content.
func (r *Request) manifest(p *plan.Program) Manifest {
	m := Manifest{Version: Version, ArchHash: r.ArchHash, Seed: r.Seed}
	if r.Planned != nil {
		m.GraphHash = r.Planned.graphHash
	} else {
		m.GraphHash = r.Graph.Hash()
	}
	if m.ArchHash == "" {
		m.ArchHash = r.Machine.Hash()
	}
	if !r.Mapping.Pins.Empty() {
		m.MappingHash = r.Mapping.Pins.Hash()
	}
	m.Fusion = r.Mapping.Fusion
	ideal := append([]string(nil), r.Ideal...)
	sort.Strings(ideal)
	plain := ""
	if r.compares() {
		plain = r.Plain.Hash()
	}
	data, err := json.Marshal(struct {
		Version, Arch, Graph, Fidelity string
		Mapping                        plan.Mapping
		Exact                          bool
		Ideal                          []string
		Notes                          []string    `json:",omitempty"`
		PowerLimit                     units.Watts `json:",omitempty"`
		PowerTrace                     bool        `json:",omitempty"`
		Costs                          string      `json:",omitempty"`
		OwnCostsOnly                   bool        `json:",omitempty"`
		Workload                       string      `json:",omitempty"`
		Plain                          string      `json:",omitempty"`
		Training                       *Training   `json:",omitempty"`
	}{Version, m.ArchHash, m.GraphHash, r.fidelity(), r.mapping(), r.Exact, ideal, r.Notes, r.PowerLimit, r.PowerTrace, r.costKey(p), r.OwnCostsOnly, r.Workload, plain, r.Training})
	if err != nil {
		panic(err) // plain data always encodes
	}
	sum := sha256.Sum256(data)
	m.Key = hex.EncodeToString(sum[:])
	return m
}

func (r *Request) fidelity() string {
	if r.Fidelity == "" {
		return Event
	}
	return r.Fidelity
}

func (r *Request) mapping() plan.Mapping {
	p := r.Mapping
	p.Normalize() // one way to say it, since it is part of the key
	if p.Pins.Empty() {
		p.Pins = nil
	}
	// One way to write what is the default.
	if p.Offload == "auto" {
		p.Offload = plan.OffloadChip
	}
	if p.Placement == "greedy" {
		p.Placement = plan.Greedy
	}
	if p.Prefetch != nil && *p.Prefetch == plan.DefaultPrefetch {
		p.Prefetch = nil
	}
	if p.Lookahead != nil && *p.Lookahead == 1 {
		p.Lookahead = nil
	}
	for _, i := range r.Ideal {
		p.IdealLaunch = p.IdealLaunch || i == "launch"
		p.IdealRefresh = p.IdealRefresh || i == "refresh" && refreshes(r.Machine)
	}
	return p
}

// refreshes says whether it is known what refresh costs a memory of the machine.
func refreshes(m *arch.Machine) bool {
	return slices.ContainsFunc(m.Chip.Memory, func(t memory.Spec) bool { return t.Chips() != nil })
}

// check refuses what is not known.
func (r *Request) check() error {
	if f := r.fidelity(); f != Event && f != Analytic {
		return &plan.Invalid{Field: "fidelity", Message: fmt.Sprintf("%q is unknown", f), Hint: "event or analytic"}
	}
	for _, i := range r.Ideal {
		known := false
		for _, k := range ideals {
			known = known || i == k
		}
		if !known {
			return &plan.Invalid{Field: "ideal", Message: fmt.Sprintf("%q is unknown", i), Hint: "known: " + strings.Join(ideals, ", ")}
		}
	}
	if r.Training != nil {
		if err := r.checkTraining(); err != nil {
			return err
		}
	}
	switch l := r.PowerLimit; {
	case !(l >= 0 && l <= MaxPowerLimit):
		return &plan.Invalid{Field: "power-limit", Message: fmt.Sprintf("%v: must be more than 0 W and at most %v", r.PowerLimit, MaxPowerLimit)}
	case l > 0 && len(r.Machine.Power.Curve) == 0:
		return &plan.Invalid{Field: "power-limit", Message: fmt.Sprintf("%s has no voltage-frequency curve to lower its clock along", r.Machine.Name), Hint: "add power.curve to the machine"}
	}
	return nil
}

// Plan plans the request without timing it.
func (r *Request) Plan() (*plan.Program, error) {
	return r.PlanContext(context.Background())
}

// solved is the mapping with its placement, where that is to be solved: by times of the closed form.
func (r *Request) solved(ctx context.Context) (plan.Mapping, error) {
	p := r.mapping()
	if p.Placement != plan.Solved {
		return p, nil
	}
	return plan.Solve(r.Machine, r.Graph, p, func(prog *plan.Program) (units.Time, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		o, err := analytic.Evaluate(prog, analytic.Options{IdealContention: slices.Contains(r.Ideal, "contention")})
		if err != nil {
			return 0, err
		}
		return o.Makespan, nil
	})
}

// Decide is Plan that also says what was decided on the way.
func (r *Request) Decide(ctx context.Context) (*plan.Program, *plan.Decisions, error) {
	if err := r.check(); err != nil {
		return nil, nil, err
	}
	p, err := r.solved(ctx)
	if err != nil {
		return nil, nil, err
	}
	return plan.DecideWith(ctx, r.Machine, r.Graph, p, r.Costs)
}

// planned is the program of the request.
func (r *Request) planned(ctx context.Context) (*plan.Program, error) {
	if r.Planned == nil {
		return r.PlanContext(ctx)
	}
	return r.Planned.program, r.check()
}

// Run answers the request. Errors are those of plan.Build, of the context, or internal ones.
func Run(ctx context.Context, r Request) (*Result, error) {
	p, err := r.planned(ctx)
	if err != nil {
		return nil, err
	}
	o, err := r.time(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("internal: %w", err)
	}
	if want := p.Work(); !want.Equal(o.Work) {
		return nil, fmt.Errorf("internal: the %s fidelity did work %v, planned was %v", r.fidelity(), o.Work, want)
	}
	res := &Result{Program: p, Outcome: o.Outcome, timed: o, given: r.Planned != nil}
	if err := r.fly(res); err != nil {
		return nil, err
	}
	if r.Training != nil {
		err = r.answerTraining(ctx, res)
	} else {
		err = r.answer(ctx, res)
	}
	if err != nil {
		return nil, err
	}
	return res, nil
}

// answer derives the figures of strata.run/1.
func (r *Request) answer(ctx context.Context, res *Result) error {
	m, g, p, o := r.Machine, r.Graph, res.Program, res.Outcome
	a := &res.Answer
	mapping := r.mapping()
	a.Schema, a.Arch, a.Model, a.Phase, a.Fidelity = Schema, m.Name, g.Name, g.Phase, r.fidelity()
	a.Parallel = ParallelOf(&mapping)
	a.Batch, a.Prompt, a.Generate, a.DType = g.Batch*p.InFlight(), g.Prompt, g.Generate, g.DType.String()
	a.WeightDType, a.KVDType = weightTypes(g)
	profile, err := m.ProfileFor(mapping.Profile, mapping.HostSync)
	if err != nil {
		return err
	}
	a.Runtime = profile.Name
	a.Ideal, a.HostSync = r.Ideal, mapping.HostSync
	a.Notes = append(a.Notes, r.Notes...)
	switch mapping.Fusion {
	case "":
	case arch.FuseNone:
		a.Notes = append(a.Notes, "a kernel for each operator: nothing is fused")
	case arch.FuseAll:
		a.Notes = append(a.Notes, "all is fused that the machine can fuse")
	default:
		a.Notes = append(a.Notes, "fused in place of what the runtime does: "+strings.ReplaceAll(mapping.Fusion, ",", ", "))
	}
	switch {
	case mapping.PP > 1 && mapping.InFlight > 1:
		a.Notes = append(a.Notes, fmt.Sprintf("%d batches of %d sequences follow one another through %d stages; idle is time in which a batch waits for others, the other times and the operators are those of one batch", mapping.InFlight, g.Batch, mapping.PP))
	case mapping.PP > 1:
		a.Notes = append(a.Notes, fmt.Sprintf("%d stages run one after another, with one batch in flight: the pipeline makes room for the model and no run faster", mapping.PP))
	}
	if mapping.Alone && profile.Resident != nil {
		a.Notes = append(a.Notes, "timed by itself: the operator first copies its operands on chip whole, if they fit, and its result back; in a program it would not wait for them")
	}
	a.Seconds = o.Makespan.Seconds()
	for i, t := range o.Stalls {
		a.Stalls[i] = t.Seconds()
	}
	a.BoundBy = o.Stalls.Largest().String()
	tokens := r.phases(res) * float64(p.InFlight())
	r.host(res, profile)
	if a.Seconds > 0 {
		a.TokensPerSecond = tokens / a.Seconds
	}
	if err := r.utilization(res); err != nil {
		return err
	}
	fp, err := plan.Footprint(m, g, mapping)
	if err != nil {
		return err
	}
	a.Footprint = Footprint{int64(fp.Weights), int64(fp.KV), int64(fp.Activations)}
	r.tiers(res, fp)
	r.load(res, fp)
	meter := res.timed.control.meter
	e := meter.Energy(res.timed.stretches...)
	res.resting(meter, &e)
	a.Energy = Energy{Joules: float64(e.Total), Components: map[string]float64{}}
	for _, part := range e.Parts {
		a.Energy.Components[part.Name] = float64(part.Joules)
	}
	if tokens > 0 {
		a.Energy.JoulesPerToken = float64(e.Total) / tokens
	}
	r.power(res, e)
	r.placement(res)
	for _, w := range p.Staying {
		what := fmt.Sprintf("%d tensors wait in %s for the kernels that read them, at most %s at once", len(w.Tensors), m.SharedSRAM().Name, plan.Human(w.Peak))
		switch len(w.Tensors) {
		case 0:
			continue
		case 1:
			what = fmt.Sprintf("one tensor waits in %s for the kernel that reads it, %s", m.SharedSRAM().Name, plan.Human(w.Peak))
		}
		a.Notes = append(a.Notes, fmt.Sprintf("of each %s in %s %s: not written to %s, nor read from there", w.Block, w.Phase, what, m.OffChip().Name))
	}
	if slices.Contains(r.Ideal, "refresh") && !refreshes(m) {
		a.Notes = append(a.Notes, refreshIdeal)
	}
	if slices.Contains(r.Ideal, IdealCollectives) {
		a.Notes = append(a.Notes, collectivesIdeal)
	}
	if m.Cost != nil {
		a.Cost.USDPerHour = float64(m.Cost.Hour) * float64(p.Chips())
		if tokens > 0 {
			a.Cost.USDPerMillionTokens = a.Cost.USDPerHour / 3600 * a.Seconds / tokens * 1e6
		}
	}
	a.Operators = []Operator{}
	if !r.Brief {
		r.operators(res, meter)
	}
	r.ownCosts(res)
	if r.Planned != nil {
		res.floor = r.Planned.floor
	} else if res.floor, err = analytic.Floor(p, analytic.Options{IdealContention: slices.Contains(r.Ideal, "contention")}); err != nil {
		return err
	}
	a.FloorSeconds = res.floor.Seconds()
	a.Events = o.Events
	a.Advice = []Advice{}
	if r.Advise {
		if err := r.advise(ctx, res); err != nil {
			return err
		}
	}
	a.NotModelled = []string{"DRAM rows and refresh as events", "network contention between collectives"}
	if err := r.plain(ctx, res); err != nil {
		return err
	}
	a.Manifest = r.manifest(res.Program)
	return finite(a)
}

// weightTypes returns the data types of weights, the narrowest of any product, and of the cache.
func weightTypes(g *traces.Graph) (weight, kv string) {
	weight, kv = g.DType.String(), g.DType.String()
	bits := int64(math.MaxInt64)
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			switch op := &g.Blocks[i].Ops[j]; op.Kind {
			case traces.Gemm:
				if n := op.WeightDType.Bits(); n < bits {
					weight, bits = op.WeightDType.String(), n
				}
			case traces.Attention:
				kv = op.KVDType.String()
			}
		}
	}
	return weight, kv
}

// host derives what the host did.
func (r *Request) host(res *Result, profile *arch.Profile) {
	a, p, o := &res.Answer, res.Program, res.Outcome
	if len(p.ResourcesOf(sim.Launch)) == 0 {
		return
	}
	h, all := &Host{}, p.HostAmount(p.Entry)
	if a.Seconds > 0 {
		h.Share = all.Seconds() / a.Seconds
	}
	var wait, request, step units.Time
	for i := range o.Ops {
		op := &o.Ops[i]
		switch {
		case p.Ops[i].Kind != plan.HostKind:
			// A cost of one's own has its launch within.
			launches := p.Count(op.Work, "launches")
			if own := p.Count(op.Work, plan.OwnCalls); own > 0 {
				launches = op.Calls - own
			}
			wait += op.Stalls[sim.Launch] - profile.Launch*units.Time(launches)
		case p.Ops[i].Name == plan.RequestOp:
			request += op.Time
		default:
			step += op.Time
			h.Steps += op.Calls
		}
	}
	h.WaitSeconds, h.RequestSeconds, h.StepSeconds = wait.Seconds(), request.Seconds(), step.Seconds()
	if r.Graph.Phase == "serve" { // which a request pays before it is in work
		h.RequestSeconds = profile.Host.Request.Seconds()
		a.TTFTSeconds += h.RequestSeconds
	}
	operators := all - request - step
	h.OperatorSeconds = operators.Seconds()
	if profile.Host.Operator > 0 {
		h.Operators = int64(operators / profile.Host.Operator)
	}
	a.Host = h
	if n := profile.Host.StepTokens; n > 0 {
		for _, ph := range a.Phases {
			if r.Graph.Phase != "serve" && r.Graph.Wave == 0 && ph.Phase == traces.Prefill.String() && ph.Steps > 1 {
				a.Notes = append(a.Notes, fmt.Sprintf("the prompts are prefilled in %d steps of at most %d tokens; the first token is counted from the end of the last", ph.Steps, n))
			}
		}
	}
}

// phases derives times per phase, TTFT and TPOT, and returns the tokens that the run produced.
func (r *Request) phases(res *Result) float64 {
	a, g := &res.Answer, r.Graph
	var decode int64
	lowered := map[int]bool{} // phases that the power limit slows down
	for i, mark := range res.Outcome.Marks {
		s := res.section(&mark)
		t := (mark.End - mark.Start).Seconds()
		k := len(a.Phases) - 1
		if g.Wave > 0 { // phases come again with each wave
			k = slices.IndexFunc(a.Phases, func(p PhaseTime) bool { return p.Phase == s.Phase })
		}
		if k >= 0 && a.Phases[k].Phase == s.Phase {
			a.Phases[k].Steps += s.Steps
			a.Phases[k].Seconds += t
		} else {
			k = len(a.Phases)
			a.Phases = append(a.Phases, PhaseTime{Phase: s.Phase, Steps: s.Steps, Seconds: t})
		}
		if levels := res.timed.levels(); res.rounds != nil || len(levels) == len(res.Outcome.Marks) {
			watts := res.levelOf(i)
			if res.rounds == nil {
				watts = levels[i].Watts
			}
			a.Phases[k].AverageWatts += float64(float64(res.timed.control.meter.System(watts)) * t)
		}
		if res.timed.steps != nil {
			clock, lower := r.clockOf(res, i)
			lowered[k] = lowered[k] || lower
			a.Phases[k].ClockHertz += float64(clock * t)
		}
		if s.Phase == traces.Prefill.String() {
			a.TTFTSeconds = mark.End.Seconds()
		} else {
			decode += s.Steps
		}
	}
	for i := range a.Phases {
		p := &a.Phases[i]
		if p.Seconds > 0 {
			p.AverageWatts /= p.Seconds
		}
		if lowered[i] && p.Seconds > 0 {
			p.ClockHertz /= p.Seconds
		} else {
			p.ClockHertz = 0
		}
		if p.Phase == traces.Decode.String() {
			a.TPOTSeconds = p.Seconds / float64(p.Steps)
		}
	}
	if g.Phase == "serve" {
		return r.serving(res)
	}
	if s := g.Speculation; s != nil {
		return r.speculation(res, s, decode)
	}
	if g.Wave > 0 {
		r.waves(res)
		return float64(g.Batch) * float64(g.Generate)
	}
	switch {
	case g.Generate > 0: // prefill gives the first token
		return float64(g.Batch) * float64(decode+1)
	case decode > 0:
		return float64(g.Batch) * float64(decode)
	}
	return float64(g.Batch) * float64(g.Prompt)
}

// waves derives what sequences that take turns see: the time to the first token and that of a token after it are
// means over all sequences.
func (r *Request) waves(res *Result) {
	a, g := &res.Answer, r.Graph
	w := &Waves{AtATime: g.Wave}
	rest := g.Batch
	var first, decode, steps float64
	prefill := false // is what the section before was
	for _, mark := range res.Outcome.Marks {
		s := res.Program.Sections[mark.Section]
		is := s.Phase == traces.Prefill.String()
		if is && !prefill || len(w.Waves) == 0 { // a trace by hand may begin with a decode step
			n := min(g.Wave, rest)
			rest -= n
			w.Waves = append(w.Waves, Wave{Sequences: n, StartSeconds: mark.Start.Seconds()})
		}
		prefill = is
		now := &w.Waves[len(w.Waves)-1]
		now.EndSeconds = mark.End.Seconds()
		if n := float64(now.Sequences); is {
			now.TTFTSeconds = mark.End.Seconds()
		} else {
			decode += float64(n * (mark.End - mark.Start).Seconds())
			steps += float64(n * float64(s.Steps))
		}
	}
	for i := range w.Waves {
		first += float64(float64(w.Waves[i].Sequences) * w.Waves[i].TTFTSeconds)
	}
	if a.TTFTSeconds = first / float64(g.Batch); steps > 0 { // a trace that is cut may have none
		a.TPOTSeconds = decode / steps
	}
	a.Waves = w
	a.Notes = append(a.Notes, fmt.Sprintf("memory has room for the cache of %d of the %d sequences: they take turns, in %d waves; the time to the first token is the mean over all",
		g.Wave, g.Batch, len(w.Waves)))
}

// opsOfFMA is the operations that a multiply-add counts as.
const opsOfFMA = 2

// utilization derives MFU and HFU.
func (r *Request) utilization(res *Result) error {
	a, o := &res.Answer, res.Outcome
	var model float64
	for i := range r.Graph.Runs {
		run := &r.Graph.Runs[i]
		blk := &r.Graph.Blocks[run.Block]
		for j := range blk.Ops {
			ops, err := blk.Ops[j].ModelOps(run.Past)
			if err != nil {
				return err
			}
			groups := int64(1) // that do the same on other sequences
			if blk.Ops[j].Kind != traces.MoE {
				groups = max(r.Graph.Groups, 1)
			}
			model += float64(float64(float64(ops)*float64(groups)) * float64(run.Times) * float64(run.Steps()))
		}
	}
	var executed float64
	for i, c := range res.Program.Counters {
		if strings.HasPrefix(c.Name, "matrix.") && strings.HasSuffix(c.Name, ".ops") {
			executed += float64(o.Work[i])
		}
	}
	fma, err := r.Machine.Chip.Cores.Matrix.Rate(r.Machine.Chip.Cores.Matrix.Native(r.Graph.DType))
	if err != nil {
		return nil // a graph without matrix products may use a type the unit does not know
	}
	peak := opsOfFMA * float64(fma) * float64(r.Machine.Chip.Cores.Count) * float64(r.Machine.Chip.Clock)
	if a.Seconds > 0 {
		batches := float64(res.Program.InFlight())
		a.MFU = model * batches / float64(res.Program.Chips()) / peak / a.Seconds
		a.HFU = executed * batches / float64(max(res.Program.Stages, 1)) / peak / a.Seconds
	}
	return nil
}

// tiers derives what each memory tier held and moved.
func (r *Request) tiers(res *Result, fp plan.Memory) {
	a, m := &res.Answer, r.Machine
	counter := map[string]int64{}
	for i, c := range res.Program.Counters {
		counter[c.Name] = res.Outcome.Work[i]
	}
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		n := int64(1)
		if t.Private() {
			n = m.Chip.Cores.Count
		}
		// Stages of a pipeline take turns: a chip moves its part, on the mean.
		stages, batches := max(res.Program.Stages, 1), res.Program.InFlight()
		tier := Tier{Tier: t.Name, Kind: t.Kind, CapacityBytes: int64(t.Capacity) * n, ReadBytes: counter[t.Name+".read"] * batches / stages, WrittenBytes: counter[t.Name+".write"] * batches / stages}
		// On chip, fills have a port of their own: what counts is what occupied the port of a step.
		moved := float64(tier.ReadBytes) + float64(tier.WrittenBytes)
		if t.Kind == "sram" {
			moved = float64(res.Program.Occupied(t.Name)) * float64(batches) / float64(stages)
		}
		if a.Seconds > 0 {
			tier.Utilization = moved / float64(t.Peak(m.Chip.Clock)) / a.Seconds
		}
		switch {
		case t.Kind != "sram":
			if placed := res.Program.Placement.Tier(t.Name); placed != nil {
				tier.PeakBytes = int64(placed.Peak())
			}
		case t.Private():
			tier.PeakBytes = min(tier.CapacityBytes, int64(res.Program.BufferPeak())*n)
		case t.Kind == "sram":
			tier.PeakBytes = min(tier.CapacityBytes, tier.WrittenBytes) // a cache fills with what passes
		}
		a.Memory = append(a.Memory, tier)
	}
	if h := m.System.Host; h != nil {
		name := h.Memory.Name
		tier := Tier{Tier: name, Kind: h.Memory.Kind, CapacityBytes: int64(h.Memory.Capacity) / max(1, m.System.Chips), ReadBytes: counter[name+".read"], WrittenBytes: counter[name+".write"]}
		if placed := res.Program.Placement.Tier(name); placed != nil {
			tier.PeakBytes = int64(placed.Peak())
		}
		if a.Seconds > 0 { // of a chip's part of the node's
			peak := float64(h.Memory.Peak(m.Chip.Clock)) / float64(max(1, res.Program.Ranks))
			tier.Utilization = (float64(tier.ReadBytes) + float64(tier.WrittenBytes)) / peak / a.Seconds
		}
		a.Memory = append(a.Memory, tier)
	}
	for _, w := range res.Program.OnChip() {
		n := res.Program.Occupied(w.Name)
		moved := OnChip{Resource: w.Name, PerCore: w.PerCore, Bytes: n}
		if a.Seconds > 0 {
			moved.Utilization = float64(n) / float64(w.Rate) / a.Seconds
		}
		a.OnChip = append(a.OnChip, moved)
	}
}

// placement says what lives in which memory off chip, and what streams.
func (r *Request) placement(res *Result) {
	a, pl := &res.Answer, res.Program.Placement
	for i := range pl.Tiers {
		t := &pl.Tiers[i]
		for _, h := range t.Holds {
			if h.Bytes > 0 {
				a.Placement = append(a.Placement, Placed{Tier: t.Name, Class: h.What, Bytes: int64(h.Bytes)})
			}
		}
	}
	if !pl.Streams() {
		return
	}
	s := &Streaming{Prefetch: pl.Prefetch, ExposedSeconds: a.Stalls[sim.DDR]}
	for i, c := range res.Program.Counters {
		for _, t := range pl.Tiers[1:] {
			switch c.Name {
			case t.Name + ".read":
				s.FetchedBytes += res.Outcome.Work[i]
			case t.Name + ".write":
				s.StoredBytes += res.Outcome.Work[i]
			}
		}
	}
	for i := range res.Outcome.Ops {
		if res.Program.Ops[i].Kind == plan.MoveKind {
			s.MoveSeconds += res.Outcome.Ops[i].Time.Seconds()
		}
	}
	a.Streaming = s
}

// load derives how the weights come to their memory, for whole models.
func (r *Request) load(res *Result, fp plan.Memory) {
	m, a := r.Machine, &res.Answer
	below := m.Below(res.Program.Chips())
	weights := fp.Weights
	if pl := res.Program.Placement; pl.Streams() {
		weights = pl.Tiers[0].Of(plan.Weights) + pl.Tiers[0].Of(plan.Experts)
	}
	if below == nil || weights == 0 || r.Mapping.Alone {
		return
	}
	perByte := m.Energy.Stream(below.Name) + m.Energy.Stream(m.OffChip().Name)
	if m.Tier(below.Name) == nil {
		perByte += m.Energy.HostLink
	}
	a.Load = &Load{From: below.Name, Bytes: int64(weights), Seconds: below.Time(weights).Seconds(), BoundBy: below.Limit,
		Joules: float64(weights.Cost(perByte)) * float64(res.Program.Chips())}
}

// operators derives the operator table, the longest first.
func (r *Request) operators(res *Result, meter *account.Meter) {
	a, p, o := &res.Answer, res.Program, res.Outcome
	off := r.Machine.OffChip().Name
	for i := range o.Ops {
		s := &o.Ops[i]
		if s.Calls == 0 {
			continue
		}
		op := Operator{Name: p.Ops[i].Name, Kind: p.Ops[i].Kind, Phase: p.Ops[i].Phase, Calls: s.Calls, Seconds: s.Time.Seconds(), BoundBy: s.Stalls.Largest().String(), Source: sourceOf(p, i, s)}
		for c, t := range s.Stalls {
			op.Stalls[c] = t.Seconds()
		}
		if o.Makespan > 0 {
			op.Share = float64(s.Time) / float64(o.Makespan)
		}
		for k, n := range s.Work {
			switch name := p.Counters[k].Name; {
			case strings.HasSuffix(name, ".ops"):
				op.Ops += n
			case name == off+".read" || name == off+".write":
				op.Bytes += n
			}
		}
		for _, run := range res.timed.stretches {
			op.Joules += float64(meter.Op(i, &run.Outcome.Ops[i], run.Pace)) * float64(p.Running())
		}
		a.Operators = append(a.Operators, op)
	}
	sort.SliceStable(a.Operators, func(i, j int) bool { return a.Operators[i].Seconds > a.Operators[j].Seconds })
}

// What advice is of.
const (
	adviceShare  = 0.02 // of the time, that a cause takes at least
	adviceFaster = 1.1  // times the rate of the resources of one kind
	adviceLess   = 0.1  // of what follows one another, that is taken off
	mostAdvice   = 4    // that an answer has; the first help most
)

// advise times the program again with one kind of resource 10 % faster, for the causes that take at
// least 2 % of the time. Parts of a step overlap imperfectly, so a faster resource can save more than
// its own share of the time.
func (r *Request) advise(ctx context.Context, res *Result) error {
	a, o := &res.Answer, res.Outcome
	causes := sim.Causes()
	sort.SliceStable(causes, func(i, j int) bool { return o.Stalls[causes[i]] > o.Stalls[causes[j]] })
	quiet := *r
	quiet.Observer, quiet.Progress = nil, nil
	var list []Advice
	add := func(c sim.Cause, change string, seconds float64) {
		percent := 100 * (seconds/a.Seconds - 1)
		list = append(list, Advice{Change: change, Seconds: seconds, LatencyPercent: percent,
			Text: fmt.Sprintf("%s-bound %.0f %% of the time: %s → %+.1f %% latency", c, 100*a.Stalls[c]/a.Seconds, change, percent)})
	}
	for _, c := range causes {
		if float64(o.Stalls[c]) < adviceShare*float64(o.Makespan) {
			break
		}
		switch {
		case c == sim.Launch && !res.Program.Ahead():
			// Launches follow each other on the critical path, so less of each is less of the sum.
			add(c, "-10 % launch time", a.Seconds-float64(adviceLess*a.Stalls[c]))
		case c == sim.Dependency:
			add(c, "-10 % fill and drain time", a.Seconds-float64(adviceLess*a.Stalls[c]))
		case c == sim.Idle:
		default:
			faster := map[string]float64{}
			for _, name := range res.Program.ResourcesOf(c) {
				faster[name] = adviceFaster
			}
			scaled := res.Program.Scale(faster)
			f, err := quiet.time(ctx, scaled)
			if plan.Infeasible(err) != nil {
				continue // faster, it would exceed the power limit at any clock
			}
			if err != nil {
				return err
			}
			what := map[sim.Cause]string{sim.Compute: "matrix and vector throughput", sim.SRAM: "on-chip bandwidth", sim.HBM: "HBM bandwidth", sim.DDR: "DDR bandwidth", sim.Link: "link bandwidth", sim.Launch: "speed of the host"}
			took, err := quiet.flying(scaled, f.Outcome)
			if err != nil {
				return err
			}
			add(c, "+10 % "+what[c], took.Seconds())
			if c == sim.Link {
				// Collectives follow each other too. What bandwidth does not explain is latency.
				moving := 11 * (a.Seconds - took.Seconds()) // 1.1 times the rate saves an eleventh of it
				add(c, "-10 % latency of collectives", a.Seconds-float64(adviceLess*max(0, a.Stalls[c]-moving)))
			}
		}
	}
	// What helps most comes first.
	sort.SliceStable(list, func(i, j int) bool { return list[i].Seconds < list[j].Seconds })
	a.Advice = list[:min(len(list), mostAdvice)]
	return nil
}

// finite makes sure that no NaN or infinity leaves the simulator.
func finite(a *Answer) error {
	for _, v := range []float64{a.Seconds, a.TTFTSeconds, a.TPOTSeconds, a.TokensPerSecond, a.MFU, a.HFU, a.Energy.Joules, a.Energy.JoulesPerToken,
		a.Power.AverageWatts, a.Power.PeakWatts, a.Cost.USDPerHour, a.Cost.USDPerMillionTokens} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("internal: a figure of the answer is not a finite number")
		}
	}
	return nil
}
