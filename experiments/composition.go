package experiments

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments/coe"
	"github.com/stratasim/strata/experiments/workload"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// CompositionOf reads a workload file if it is one of a composition of experts; nil if it is another one, or cannot be read.
func CompositionOf(name string) (*coe.Composition, error) {
	data, err := readFile(name, MaxFile)
	if err != nil || !coe.Is(data) {
		return nil, nil // whoever reads it as another workload says what is wrong
	}
	folder := filepath.Dir(name)
	model := func(what string) (*llm.Model, error) {
		if looksLikeFile(what) && !filepath.IsAbs(what) {
			what = filepath.Join(folder, what)
		}
		m, err := ModelOf(what)
		if bad := (*Invalid)(nil); errors.As(err, &bad) {
			err = errors.New(bad.Message)
		}
		return m, err
	}
	return coe.Read(name, data, model, func(name string) ([]byte, error) { return readFile(name, coe.MaxFile) })
}

// shape is a run that is timed once: a model with so many requests at a time.
type shape struct {
	kind     int // of experts; −1 for the router
	requests int64
}

// composer puts the answer of a composition together.
type composer struct {
	p     *Point
	c     *coe.Composition
	batch int64
	tp    int64
	fast  string // tier that experts run from
	below *arch.Below
	// Bytes of one chip.
	expert []int64 // weights of an expert of each kind
	other  int64   // what else is in fast memory: router, caches, activations
	needs  []plan.Need
	room   int64 // for experts
	loaded bool  // all are in fast memory from the start, as the memory below cannot hold them
	times  coe.Times
	runs   []coe.Run
	timed  []coe.Timed
	done   map[shape]*eval.Result
	first  []shape // distinct, in order
}

// composedRequest is the request that a composition is stored as: its largest run.
func (p *Point) composedRequest() (eval.Request, error) {
	r, err := p.run(shape{0, max(p.Batch, 1)}).Request()
	r.Workload, r.Seed = p.Composition.Key(), p.Composition.Seed
	return r, err
}

// run is the point of one run of a composition.
func (p *Point) run(s shape) *Point {
	q := *p
	c := p.Composition
	q.Composition, q.Batch, q.Prompt, q.Generate = nil, s.requests, c.Prompt, c.Generate
	q.Offload = "none" // an expert runs from fast memory as a whole
	if s.kind < 0 {
		q.Model, q.Phase, q.Generate = c.Router, "prefill", 0
	} else {
		q.Model, q.Phase = c.Kinds[s.kind].Model, "generate"
	}
	return &q
}

// Compose runs the composition of the point. r is the point's request; its answer has the figures of all requests after the
// warm-up. Progress, if not nil, is told how many of how many distinct runs are timed. The error is a *plan.DoesNotFit if the
// experts fit nowhere.
func (p *Point) Compose(ctx context.Context, r *eval.Request, progress func(done, of int)) (*eval.Answer, error) {
	k := &composer{p: p, c: p.Composition, batch: max(p.Batch, 1), tp: max(p.TP, 1), done: map[shape]*eval.Result{}}
	if err := k.place(); err != nil {
		return nil, err
	}
	k.runs = k.c.Stream(k.batch, k.expert, k.room)
	if k.loaded {
		for i := range k.runs {
			k.runs[i].Hit, k.runs[i].Cold = true, false
		}
	}
	if err := k.time(ctx, progress); err != nil {
		return nil, err
	}
	k.timed = coe.Play(k.runs, &k.times)
	return k.answer(r)
}

// place works out what fast memory has room for and how experts get there.
func (k *composer) place() error {
	m, c := k.p.Machine, k.c
	off := m.OffChip()
	k.fast = off.Name
	var kv, activations, router units.Bytes
	footprint := func(s shape) (plan.Memory, error) {
		r, err := k.p.run(s).Request()
		if err != nil {
			return plan.Memory{}, err
		}
		return plan.Footprint(m, r.Graph, r.Mapping)
	}
	for i := range c.Kinds {
		f, err := footprint(shape{i, k.batch})
		if err != nil {
			return err
		}
		k.expert = append(k.expert, int64(f.Weights))
		kv, activations = max(kv, f.KV), max(activations, f.Activations)
	}
	if c.Router != nil {
		f, err := footprint(shape{-1, k.batch})
		if err != nil {
			return err
		}
		router, kv, activations = f.Weights, max(kv, f.KV), max(activations, f.Activations)
	}
	k.other = int64(router + kv + activations)
	k.room = int64(off.Capacity) - k.other
	largest := slices.Max(k.expert)
	resident := max(c.Resident, 1)
	k.needs = []plan.Need{{What: "router", Bytes: router}, {What: "kv cache", Bytes: kv}, {What: "activations", Bytes: activations}}
	if largest*resident > k.room {
		what := "an expert"
		if resident > 1 {
			what = fmt.Sprintf("%d experts", resident)
		}
		return &plan.DoesNotFit{Machine: m.Name, Tier: off.Name, Capacity: off.Capacity, Needs: append(k.needs, plan.Need{What: what, Bytes: units.Bytes(largest * resident)}),
			Hint: "spread it over more chips with --tp, or have fewer experts in fast memory (cache.experts), a smaller batch or narrower formats"}
	}
	if err := k.home(); err != nil {
		return err
	}
	all := k.all()
	if k.below == nil || all > int64(k.below.Capacity) {
		if all <= k.room && (c.Resident == 0 || c.Resident >= c.Experts()) {
			k.loaded = true
			return nil
		}
		if k.below == nil {
			return &plan.DoesNotFit{Machine: m.Name, Tier: off.Name, Capacity: off.Capacity, Needs: append(k.needs, plan.Need{What: "experts", Bytes: units.Bytes(all)}),
				Hint: "the machine has no memory below it to keep experts in: describe system.host, or take a machine with a tier of DDR"}
		}
		return &plan.DoesNotFit{Machine: m.Name, Tier: k.below.Name, Capacity: k.below.Capacity, Needs: []plan.Need{{What: "experts", Bytes: units.Bytes(all)}},
			Hint: fmt.Sprintf("it has room for %d of the %d experts; more machines, or narrower weights", k.held(1, int64(k.below.Capacity)), c.Experts())}
	}
	return nil
}

// home finds the memory that experts live in and the way from there.
func (k *composer) home() error {
	m, c := k.p.Machine, k.c
	lower := m.Lower(k.tp)
	var known []string
	for i := range lower {
		if known = append(known, lower[i].Name); k.below == nil && (c.From == "" || c.From == lower[i].Name) {
			k.below = &lower[i]
		}
	}
	if c.From != "" && k.below == nil {
		hint := "the machine has none"
		if len(known) > 0 {
			hint = "known: " + strings.Join(known, ", ")
		}
		return &Invalid{Field: "workload", Message: fmt.Sprintf("%s: switch.from: %s has no memory %q below %s", c.Name, m.Name, c.From, k.fast), Hint: hint}
	}
	k.times.Prefetch = c.Prefetch
	k.times.Way.Fast = m.OffChip().Rate(m.Chip.Clock)
	k.times.Bytes = func(kind int) int64 { return k.expert[kind] }
	if k.below == nil {
		return nil
	}
	k.times.Way.Rate, k.times.Way.Latency = k.below.Rate, k.below.Latency
	if c.Rate > 0 {
		k.times.Way.Rate = max(1, int64(math.Round(float64(c.Rate)/float64(k.tp))))
		if most := units.BytesPerSecond(k.times.Way.Fast) * units.BytesPerSecond(k.tp); c.Rate > most {
			return &Invalid{Field: "workload", Message: fmt.Sprintf("%s: switch.rate: %v is more than %s of %d chips takes", c.Name, c.Rate, k.fast, k.tp), Hint: fmt.Sprintf("at most %v", most)}
		}
	}
	return nil
}

// all is the weights of all experts on one chip.
func (k *composer) all() int64 {
	var n int64
	for i, e := range k.expert {
		by, ok := units.Mul(e, k.c.Kinds[i].Count)
		if sum, fits := units.Add(n, by); ok && fits {
			n = sum
		} else {
			return math.MaxInt64
		}
	}
	return n
}

// held is how many experts the first machines hold that have so many bytes of each chip for them, the largest first and each whole in one machine.
func (k *composer) held(machines, room int64) int64 {
	var held int64
	left := room
	for _, i := range k.bySize() {
		for n := k.c.Kinds[i].Count; n > 0; {
			fit := min(n, left/k.expert[i])
			held += fit
			left -= fit * k.expert[i]
			if n -= fit; n > 0 {
				if machines--; machines < 1 || room < k.expert[i] {
					return held
				}
				left = room
			}
		}
	}
	return held
}

// machines is how many machines hold all experts; 0 if none holds one.
func (k *composer) machines(room int64) int64 {
	if room < slices.Max(k.expert) {
		return 0
	}
	n, left := int64(1), room
	for _, i := range k.bySize() {
		count, each := k.c.Kinds[i].Count, room/k.expert[i]
		fit := min(count, left/k.expert[i])
		left -= fit * k.expert[i]
		if count -= fit; count > 0 {
			more := units.CeilDiv(count, each)
			n += more
			left = room - (count-(more-1)*each)*k.expert[i]
		}
	}
	return n
}

func (k *composer) bySize() []int {
	order := make([]int, len(k.expert))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(k.expert[b], k.expert[a]) })
	return order
}

// time times each distinct run once, several at a time.
func (k *composer) time(ctx context.Context, progress func(done, of int)) error {
	seen := map[shape]bool{}
	add := func(s shape) {
		if !seen[s] {
			seen[s] = true
			k.first = append(k.first, s)
		}
	}
	for i := 0; i < len(k.runs); {
		var requests int64
		for batch := k.runs[i].Batch; i < len(k.runs) && k.runs[i].Batch == batch; i++ {
			add(shape{k.runs[i].Kind, k.runs[i].Requests})
			requests += k.runs[i].Requests
		}
		if k.c.Router != nil {
			add(shape{-1, requests})
		}
	}
	results, failures := make([]*eval.Result, len(k.first)), make([]error, len(k.first))
	hash := k.p.Machine.Hash()
	var mu sync.Mutex
	var team sync.WaitGroup
	next, done := 0, 0
	for range min(runtime.GOMAXPROCS(0), len(k.first)) {
		team.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(k.first) || ctx.Err() != nil {
					return
				}
				one, err := k.p.run(k.first[i]).Request()
				if err == nil {
					one.ArchHash, one.Plain = hash, nil
					results[i], err = eval.Run(ctx, one)
				}
				failures[i] = err
				mu.Lock()
				if done++; progress != nil {
					progress(done, len(k.first))
				}
				mu.Unlock()
			}
		})
	}
	team.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, err := range failures {
		if err != nil {
			return err
		}
		k.done[k.first[i]] = results[i]
	}
	k.times.Router = func(requests int64) units.Time {
		if k.c.Router == nil {
			return k.c.RouterTime
		}
		return k.done[shape{-1, requests}].Outcome.Makespan
	}
	shapes := map[shape]coe.Shape{}
	for _, s := range k.first {
		if s.kind >= 0 {
			shapes[s] = k.shapeOf(k.done[s])
		}
	}
	k.times.Shape = func(kind int, requests int64) coe.Shape { return shapes[shape{kind, requests}] }
	return nil
}

// shapeOf is the time and the traffic in fast memory of a run, by phase. What is no part of a phase is time before the first.
func (k *composer) shapeOf(res *eval.Result) coe.Shape {
	var s coe.Shape
	sections := res.Program.Sections
	for _, mark := range res.Outcome.Marks {
		if sections[mark.Section].Phase == traces.Prefill.String() {
			s.Prefill = mark.End
		}
	}
	s.Decode = res.Outcome.Makespan - s.Prefill
	for i := range res.Operators {
		if op := &res.Operators[i]; op.Phase == traces.Decode.String() {
			s.DecodeBytes += op.Bytes
		} else {
			s.PrefillBytes += op.Bytes
		}
	}
	return s
}

// answer puts all figures together.
func (k *composer) answer(r *eval.Request) (*eval.Answer, error) {
	c, m := k.c, k.p.Machine
	d := &eval.Composition{Composition: c.Name, Experts: c.Experts(), ExpertBytes: slices.Max(k.expert) * k.tp, Router: "none", Requests: c.Requests, Warmup: c.Warmup, Seed: c.Seed,
		Popularity: c.Popularity, Policy: c.Policy, Prefetch: c.Prefetch}
	if c.Popularity == coe.Zipf {
		d.Popularity = fmt.Sprintf("%s %g", c.Popularity, c.Exponent)
	}
	switch {
	case c.Router != nil:
		d.Router = c.Router.Name
	case c.RouterTime > 0:
		d.Router = "stated"
	}
	d.Resident = k.held(1, k.room)
	if c.Resident > 0 {
		d.Resident = min(d.Resident, c.Resident)
	}
	k.capacity(d)
	cause := sim.DDR
	if k.below != nil && !k.loaded {
		d.From, d.CopyBoundBy = k.below.Name, k.below.Limit
		d.CopyBytesPerSecond, d.CopySeconds = float64(k.times.Way.Rate)*float64(k.tp), k.times.Way.Alone(slices.Max(k.expert)).Seconds()
		switch {
		case k.below.Limit == "link", c.Rate > 0 && k.below.Host:
			cause = sim.Link
		case k.below.Limit == k.fast && c.Rate == 0:
			cause = sim.HBM
		}
		if c.Rate > 0 {
			d.CopyBoundBy = "stated"
		}
	}

	// Which runs count: those of batches after the warm-up.
	counted := map[shape]int64{}
	var order []shape
	count := func(s shape) {
		if counted[s] == 0 {
			order = append(order, s)
		}
		counted[s]++
	}
	var stalls sim.Stalls
	var total, router, switched, slowed, hidden, copied units.Time
	parts := make([][]workload.Value, 8)
	for i := 0; i < len(k.runs); {
		from := i
		var requests int64
		for i < len(k.runs) && k.runs[i].Batch == k.runs[from].Batch {
			requests += k.runs[i].Requests
			i++
		}
		if k.runs[from].Counted == 0 {
			continue
		}
		d.Batches++
		first := k.timed[from].Router
		router += first
		if c.Router != nil {
			count(shape{-1, requests})
		}
		var wait units.Time
		for j := from; j < i; j++ {
			run, t := &k.runs[j], &k.timed[j]
			count(shape{run.Kind, run.Requests})
			d.Runs++
			switch {
			case run.Hit:
				d.Hits++
			default:
				d.Misses++
				d.CopiedBytes += k.expert[run.Kind] * k.tp
				copied += k.times.Way.Alone(k.expert[run.Kind])
			}
			if run.Cold {
				d.ColdMisses++
			}
			switched += t.Switch
			slowed += t.Slowed
			hidden += t.Hidden
			for n, v := range []units.Time{first, wait, t.Switch, t.Prefill, t.Decode, first + wait + t.Switch + t.Prefill, first + wait + t.Switch + t.Prefill + t.Decode} {
				parts[n] = append(parts[n], workload.Value{X: v.Seconds(), Weight: run.Requests})
			}
			wait += t.Switch + t.Prefill + t.Decode
		}
		parts[7] = append(parts[7], workload.Value{X: (first + wait).Seconds(), Weight: 1})
		total += first + wait
	}
	if estimate := float64(d.Batches) * longest(parts[7]); estimate > maxComposed {
		return nil, &Invalid{Field: "workload", Message: fmt.Sprintf("%s: its requests may take %.3g s, more than are counted", c.Name, estimate), Hint: "fewer requests"}
	}
	for n, into := range []*eval.Spread{&d.RouterTime, &d.WaitTime, &d.SwitchTime, &d.PrefillTime, &d.DecodeTime, &d.TTFT, &d.Latency, &d.BatchTime} {
		*into = workload.SpreadOf(parts[n])
	}
	d.HitRate = float64(d.Hits) / float64(d.Runs)
	d.HiddenSeconds, d.SlowedSeconds = hidden.Seconds(), slowed.Seconds()

	// Sums over runs.
	base := k.done[order[0]]
	for _, s := range order {
		if s.kind >= 0 {
			base = k.done[s]
			break
		}
	}
	b := &base.Answer
	a := &eval.Answer{Schema: b.Schema, Arch: b.Arch, Model: c.Models(), Phase: "generate", Fidelity: b.Fidelity, Parallel: b.Parallel, Batch: k.batch, Prompt: c.Prompt, Generate: c.Generate,
		DType: b.DType, WeightDType: b.WeightDType, KVDType: b.KVDType, Runtime: b.Runtime, Ideal: b.Ideal, Memory: slices.Clone(b.Memory), Power: eval.Power{LimitWatts: b.Power.LimitWatts}}
	k.sum(a, order, counted, total)
	stalls[cause] += switched
	stalls[sim.HBM] += slowed
	if c.Router == nil {
		stalls[sim.Dependency] += router // nothing of the chips runs in a time that is stated
	}
	for i := range stalls {
		for _, s := range order {
			stalls[i] += k.done[s].Outcome.Stalls[i] * units.Time(counted[s])
		}
		a.Stalls[i] = stalls[i].Seconds()
	}
	if got := stalls.Total(); got != total {
		return nil, fmt.Errorf("internal: stalls of the composition sum to %v, it takes %v", got, total)
	}
	a.BoundBy = stalls.Largest().String()
	a.Seconds = total.Seconds()
	a.TTFTSeconds = d.TTFT.Mean
	if c.Generate > 1 {
		a.TPOTSeconds = d.DecodeTime.Mean / float64(c.Generate-1)
	}
	d.RequestsPerSecond = float64(c.Requests) / a.Seconds
	a.TokensPerSecond = float64(c.Requests) * float64(c.Generate) / a.Seconds
	k.moved(a, d, switched, slowed, cause)
	idle := switched + slowed
	if c.Router == nil {
		idle += router
	}
	k.energy(a, d, base, idle)
	k.phases(a, d, base, order, counted, router, switched)
	if m.Cost != nil {
		a.Cost.USDPerHour = float64(m.Cost.Hour) * float64(k.tp)
		a.Cost.USDPerMillionTokens = a.Cost.USDPerHour / 3600 / a.TokensPerSecond * 1e6
	}
	a.Footprint = eval.Footprint{WeightBytes: k.routerBytes() + k.residentBytes(), KVBytes: int64(k.needs[1].Bytes), ActivationBytes: int64(k.needs[2].Bytes)}
	a.Placement = []eval.Placed{{Tier: k.fast, Class: "router", Bytes: k.routerBytes()}, {Tier: k.fast, Class: "experts", Bytes: k.residentBytes()}, {Tier: k.fast, Class: "kv cache", Bytes: a.Footprint.KVBytes},
		{Tier: k.fast, Class: "activations", Bytes: a.Footprint.ActivationBytes}}
	if d.From != "" {
		a.Placement = append(a.Placement, eval.Placed{Tier: d.From, Class: "experts", Bytes: k.all()})
	}
	a.Host, a.Advice = k.host(order, counted, a.Seconds), k.advice(a, switched)
	a.Notes = k.notes(r, b.Notes)
	a.NotModelled = append(slices.Clone(b.NotModelled), "requests that arrive while others run", "starting an expert beyond its copy")
	a.Manifest = eval.Manifest{Version: eval.Version, ArchHash: base.Manifest.ArchHash, GraphHash: r.Graph.Hash(), Key: r.Key(), Seed: c.Seed}
	a.Composition = d
	return a, nil
}

// maxComposed bounds the time of a composition in seconds: with some room, what fits into an int64 of picoseconds.
const maxComposed = 4e6

// longest is the largest of values.
func longest(values []workload.Value) (x float64) {
	for _, v := range values {
		x = max(x, v.X)
	}
	return x
}

// routerBytes is the router's weights on one chip.
func (k *composer) routerBytes() int64 { return int64(k.needs[0].Bytes) }

// residentBytes is what experts take in fast memory at most.
func (k *composer) residentBytes() int64 {
	in := k.room
	if len(k.expert) == 1 {
		in -= in % k.expert[0]
	}
	if k.c.Resident > 0 {
		in = min(in, k.c.Resident*slices.Max(k.expert))
	}
	return min(in, k.all())
}

// capacity works out how many machines hold the experts.
func (k *composer) capacity(d *eval.Composition) {
	d.MachinesInFast, d.ExpertsInFastMachine = k.machines(k.room), k.roomFor(k.room)
	d.Machines, d.ExpertsPerMachine = d.MachinesInFast, d.ExpertsInFastMachine
	if !k.loaded && int64(k.below.Capacity) > k.room {
		d.Machines, d.ExpertsPerMachine = k.machines(int64(k.below.Capacity)), k.roomFor(int64(k.below.Capacity))
	}
}

// roomFor is how many of the largest experts fit into so many bytes of a chip.
func (k *composer) roomFor(room int64) int64 { return max(0, room) / slices.Max(k.expert) }

// sum adds up what runs came to.
func (k *composer) sum(a *eval.Answer, order []shape, counted map[shape]int64, total units.Time) {
	a.Energy.Components = map[string]float64{}
	for i := range a.Memory {
		t := &a.Memory[i]
		t.ReadBytes, t.WrittenBytes, t.Utilization, t.PeakBytes = 0, 0, 0, 0
	}
	a.Operators = []eval.Operator{}
	place := map[[3]string]int{}
	for _, s := range order {
		res, n := k.done[s], float64(counted[s])
		share := n * res.Seconds / total.Seconds()
		a.MFU += float64(res.MFU * share)
		a.HFU += float64(res.HFU * share)
		a.FloorSeconds += float64(n * res.FloorSeconds)
		a.Events += res.Events
		for _, name := range sortedKeys(res.Energy.Components) {
			a.Energy.Components[name] += float64(n * res.Energy.Components[name])
		}
		if res.Power.PeakWatts > a.Power.PeakWatts {
			a.Power.PeakWatts, a.Power.PeakOperator = res.Power.PeakWatts, res.Power.PeakOperator
		}
		for i := range res.Memory {
			t, of := &a.Memory[i], &res.Memory[i]
			t.ReadBytes += of.ReadBytes * counted[s]
			t.WrittenBytes += of.WrittenBytes * counted[s]
			t.Utilization += float64(of.Utilization * share)
			t.PeakBytes = max(t.PeakBytes, of.PeakBytes)
		}
		for i := range res.Operators {
			op := res.Operators[i]
			if s.kind < 0 {
				op.Phase = "router"
			}
			key := [3]string{op.Name, op.Kind, op.Phase}
			at, ok := place[key]
			if !ok {
				at = len(a.Operators)
				place[key] = at
				a.Operators = append(a.Operators, eval.Operator{Name: op.Name, Kind: op.Kind, Phase: op.Phase, Source: op.Source})
			}
			into := &a.Operators[at]
			into.Calls += op.Calls * counted[s]
			into.Seconds += float64(n * op.Seconds)
			for c := range op.Stalls {
				into.Stalls[c] += float64(n * op.Stalls[c])
			}
			into.Ops += op.Ops * counted[s]
			into.Bytes += op.Bytes * counted[s]
			into.Joules += float64(n * op.Joules)
		}
	}
}

// moved adds what copies move, and the operator that they are.
func (k *composer) moved(a *eval.Answer, d *eval.Composition, switched, slowed units.Time, cause sim.Cause) {
	m := k.p.Machine
	bytes := d.CopiedBytes / k.tp
	for i := range a.Memory {
		t := &a.Memory[i]
		switch {
		case t.Tier == k.fast:
			t.WrittenBytes += bytes
			t.Utilization += float64(bytes) / float64(m.OffChip().Peak(m.Chip.Clock)) / a.Seconds
			t.PeakBytes = k.other + k.residentBytes()
		case t.Tier == d.From:
			t.ReadBytes += bytes
			t.PeakBytes = k.all()
			peak := float64(0)
			if tier := m.Tier(t.Tier); tier != nil {
				peak = float64(tier.Peak(m.Chip.Clock))
			} else {
				peak = float64(m.System.Host.Memory.Peak(m.Chip.Clock)) / float64(k.tp)
			}
			t.Utilization += float64(bytes) / peak / a.Seconds
		}
	}
	if d.Misses > 0 {
		op := eval.Operator{Name: "switch", Kind: "copy", Phase: "switch", Calls: d.Misses, Seconds: (switched + slowed).Seconds(), Bytes: bytes, BoundBy: cause.String()}
		op.Stalls[cause] += switched.Seconds()
		op.Stalls[sim.HBM] += slowed.Seconds()
		perByte := m.Energy.Stream(d.From) + m.Energy.Stream(k.fast)
		if m.Tier(d.From) == nil {
			perByte += m.Energy.HostLink
		}
		op.Joules = float64(units.Bytes(bytes).Cost(perByte)) * float64(k.tp)
		a.Energy.Components["switch"] = op.Joules
		a.Operators = append(a.Operators, op)
	}
	for i := range a.Operators {
		op := &a.Operators[i]
		op.Share = op.Seconds / a.Seconds
		largest := sim.Cause(0)
		for c := range op.Stalls {
			if op.Stalls[c] > op.Stalls[largest] {
				largest = sim.Cause(c)
			}
		}
		op.BoundBy = largest.String()
	}
	slices.SortStableFunc(a.Operators, func(x, y eval.Operator) int { return cmp.Compare(y.Seconds, x.Seconds) })
}

// energy adds what chips use while they wait, and sums up.
func (k *composer) energy(a *eval.Answer, d *eval.Composition, base *eval.Result, idle units.Time) {
	waiting := base.Waiting(idle)
	for _, name := range sortedKeys(waiting) {
		if j := waiting[name]; j > 0 {
			a.Energy.Components[name] += j
		}
	}
	for _, name := range sortedKeys(a.Energy.Components) {
		a.Energy.Joules += a.Energy.Components[name]
	}
	a.Energy.JoulesPerToken = a.Energy.Joules / (float64(k.c.Requests) * float64(k.c.Generate))
	d.JoulesPerRequest = a.Energy.Joules / float64(k.c.Requests)
	a.Power.AverageWatts = a.Energy.Joules / a.Seconds
	a.Power.PeakWatts = max(a.Power.PeakWatts, a.Power.AverageWatts)
}

// phases divides the time, and the energy for the mean power of each part.
func (k *composer) phases(a *eval.Answer, d *eval.Composition, base *eval.Result, order []shape, counted map[shape]int64, router, switched units.Time) {
	var prefill, decode units.Time
	for i := range k.runs {
		if k.runs[i].Counted > 0 {
			prefill += k.timed[i].Prefill
			decode += k.timed[i].Decode
		}
	}
	joules := map[string]float64{"switch": a.Energy.Components["switch"]}
	for _, s := range order {
		res, n := k.done[s], float64(counted[s])
		for _, p := range res.Phases {
			of := float64(n * float64(p.AverageWatts*p.Seconds))
			if s.kind < 0 {
				joules["router"] += of
			} else {
				joules[p.Phase] += of
			}
		}
	}
	wait := func(phase string, t units.Time) {
		waiting := base.Waiting(t)
		for _, name := range sortedKeys(waiting) {
			joules[phase] += waiting[name]
		}
	}
	wait("switch", switched)
	if k.c.Router == nil {
		wait("router", router)
	}
	for _, p := range []eval.PhaseTime{{Phase: "router", Steps: d.Batches, Seconds: router.Seconds()}, {Phase: "switch", Steps: d.Misses, Seconds: switched.Seconds()},
		{Phase: traces.Prefill.String(), Steps: d.Runs, Seconds: prefill.Seconds()}, {Phase: traces.Decode.String(), Steps: d.Runs * max(0, k.c.Generate-1), Seconds: decode.Seconds()}} {
		if p.Seconds > 0 {
			p.AverageWatts = joules[p.Phase] / p.Seconds
			a.Phases = append(a.Phases, p)
		}
	}
}

// host sums up what the host did.
func (k *composer) host(order []shape, counted map[shape]int64, seconds float64) *eval.Host {
	var h *eval.Host
	for _, s := range order {
		of, n := k.done[s].Host, counted[s]
		if of == nil {
			continue
		}
		if h == nil {
			h = &eval.Host{}
		}
		h.Operators += of.Operators * n
		h.Steps += of.Steps * n
		h.OperatorSeconds += float64(of.OperatorSeconds * float64(n))
		h.StepSeconds += float64(of.StepSeconds * float64(n))
		h.RequestSeconds += float64(of.RequestSeconds * float64(n))
		h.WaitSeconds += float64(of.WaitSeconds * float64(n))
		h.Share += float64(of.Share*k.done[s].Seconds) * float64(n) / seconds
	}
	return h
}

// advice says what faster copies and a larger fast memory would bring, by playing the requests again.
func (k *composer) advice(a *eval.Answer, switched units.Time) []eval.Advice {
	list := []eval.Advice{}
	if float64(switched.Seconds()) < float64(0.02*a.Seconds) {
		return list
	}
	total := func(timed []coe.Timed, runs []coe.Run) float64 {
		var t units.Time
		for i := range timed {
			if runs[i].Counted > 0 {
				t += timed[i].Total()
			}
		}
		return t.Seconds()
	}
	add := func(change string, seconds float64) {
		if percent := 100 * (seconds/a.Seconds - 1); percent < -0.05 {
			list = append(list, eval.Advice{Change: change, Seconds: seconds, LatencyPercent: percent,
				Text: fmt.Sprintf("switching takes %.0f %% of the time: %s → %+.1f %% latency", 100*switched.Seconds()/a.Seconds, change, percent)})
		}
	}
	faster := k.times
	faster.Way.Rate = int64(math.Round(float64(1.1 * float64(k.times.Way.Rate))))
	add("+10 % rate of copies from "+k.below.Name, total(coe.Play(k.runs, &faster), k.runs))
	if k.c.Resident == 0 {
		// Runs of other sizes than those that were timed cannot come up: which requests run together does not depend on the cache.
		larger := k.c.Stream(k.batch, k.expert, k.room+k.room/10)
		add("+10 % room for experts in "+k.fast, total(coe.Play(larger, &k.times), larger))
	}
	if !k.c.Prefetch && k.batch > 1 {
		ahead := k.times
		ahead.Prefetch = true
		add("prefetch", total(coe.Play(k.runs, &ahead), k.runs))
	}
	slices.SortStableFunc(list, func(x, y eval.Advice) int { return cmp.Compare(x.Seconds, y.Seconds) })
	return list
}

// notes are those of the request and on the composition.
func (k *composer) notes(r *eval.Request, of []string) []string {
	notes := slices.Clone(r.Notes)
	for _, n := range of {
		if !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	}
	c := k.c
	if c.Rate > 0 && k.below != nil {
		notes = append(notes, fmt.Sprintf("copies go at %v over %d chips as stated: %s; the machine's own is %v", c.Rate, k.tp, c.RateSource, units.BytesPerSecond(k.below.Rate*k.tp)))
	}
	if c.Router == nil && c.RouterTime > 0 {
		notes = append(notes, fmt.Sprintf("the router takes %v a batch as stated: %s", c.RouterTime, c.RouterSource))
	}
	if c.Policy == coe.Belady {
		notes = append(notes, "Belady evicts by requests to come: a bound for other policies, not one that can be built")
	}
	return notes
}
