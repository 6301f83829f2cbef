package sweep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/shard"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/sim/units"
)

// Statuses of points.
const (
	OK         = "ok"
	Infeasible = "infeasible"
	Rejected   = "rejected"
	Invalid    = "invalid"
	Timeout    = "timeout"
	Memory     = "memory"
	Failed     = "error"
)

// Statuses lists them, the best first.
func Statuses() []string {
	return []string{OK, Infeasible, Rejected, Invalid, Timeout, Memory, Failed}
}

// Retried are the statuses that another run may change.
func Retried() []string { return []string{Timeout, Memory, Failed} }

// Options of Run.
type Options struct {
	Store *store.Store
	// Tool names the program and its build, for rows.
	Tool string
	// Shard is the part of the points that is run.
	Shard shard.Shard
	// Workers is how many points are worked on at a time, 0 for as many as there are processors.
	Workers int
	// Timeout bounds the time of a point, 0 for none; Memory the memory of the process in bytes, 0 for none.
	Timeout time.Duration
	Memory  int64
	// Retry are statuses of points that are run again.
	Retry []string
	// Whole keeps answers and operators, some 20 kB a point.
	Whole bool
	// Journal is the file beside which the points that are being run are noted, "" for that of the store. Another process that
	// goes on with them must see it.
	Journal string
	// Progress, if not nil, is told after every batch that was put into the store.
	Progress func(Progress)
}

// Progress is how far a run is.
type Progress struct {
	// Points of the shard, and those of them that need nothing any more; Before of these were there already.
	Points, Done, Before int64
	// Status counts the points that are done, those before included.
	Status map[string]int64
}

// Batches of points that are put into the store together: so many, or after so long.
const (
	batchPoints = 500
	batchEvery  = time.Second
)

// grace is how long a point may take to stop when its time is over, before it is left to itself.
const grace = 2 * time.Second

// outcome is what a point came to.
type outcome struct {
	point store.Point
	row   *store.Row
	again bool // it was stopped for want of memory and may be run alone
	index int64
}

// Run works through the points of a shard that are not in the store yet. When the context ends, what was finished is in the store, and
// the error is that of the context. An error of a point is its result; other errors are those of the store.
func (s *Space) Run(ctx context.Context, o Options) (*Progress, error) {
	r, closing, err := s.begin(ctx, &o, "sweep")
	if err != nil {
		return nil, err
	}
	defer closing()
	for i := o.Shard.Index; i < s.count; i += o.Shard.Count {
		r.progress.Points++
	}
	err = o.Store.Points(ctx, s.File.Name, func(p store.Point) error {
		if o.Shard.Has(p.Index) && p.Index < s.count && !slices.Contains(o.Retry, p.Status) {
			r.done[p.Index] = true
			r.progress.Before++
			r.progress.Status[p.Status]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.progress.Done = r.progress.Before
	if o.Progress != nil {
		o.Progress(r.progress)
	}
	if err := r.work(ctx); err != nil {
		return &r.progress, err
	}
	return &r.progress, ctx.Err()
}

// begin prepares a run and notes it in the store; what it returns ends it.
func (s *Space) begin(ctx context.Context, o *Options, kind string) (*runner, func(), error) {
	if o.Shard.Count == 0 {
		o.Shard = shard.Shard{Index: 0, Count: 1}
	}
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if err := o.Store.PutSweep(ctx, store.Sweep{Name: s.File.Name, Spec: s.Text, Kind: kind, SpecHash: s.Hash(), Count: s.count}); err != nil {
		return nil, nil, err
	}
	if err := startedNow(ctx, o.Store, s.File.Name); err != nil {
		return nil, nil, err
	}
	known, err := o.Store.HasRows(ctx)
	if err != nil {
		return nil, nil, err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	r := &runner{space: s, o: *o, build: NewBuilder(s), progress: Progress{Status: map[string]int64{}}, done: map[int64]bool{}, known: known, guard: watch(o.Memory)}
	return r, r.guard.stop, nil
}

// collectAt is the garbage beside what lives, in percent, at which it is collected: points leave much of it, and little lives.
const collectAt = 250

// startedNow notes when a sweep was first started.
func startedNow(ctx context.Context, db *store.Store, name string) error {
	facts, err := db.Meta(ctx)
	if err != nil {
		return err
	}
	at := "sweep." + name + ".started"
	if facts[at] != "" {
		return nil
	}
	return db.SetMeta(ctx, at, time.Now().UTC().Format(time.RFC3339))
}

// runner is one execution of Run.
type runner struct {
	space    *Space
	o        Options
	build    *Builder
	progress Progress
	done     map[int64]bool
	guard    *guard
	journal  *journal
	known    bool // there may be rows of points in the store already
}

// work feeds the points to workers and puts what comes back into the store.
func (r *runner) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	journal, err := openJournal(cmp.Or(r.o.Journal, r.o.Store.Path()), r.space.File.Name, r.o.Workers)
	if err != nil {
		return err
	}
	defer journal.close()
	r.journal = journal
	b := &batch{r: r}
	suspects := journal.suspects(r.done)
	for _, i := range suspects {
		if err := r.suspect(ctx, journal, b, i); err != nil || ctx.Err() != nil {
			return err
		}
		r.done[i] = true
	}
	todo := make(chan int64)
	results := make(chan *outcome, 2*batchPoints) // so that workers go on while a batch is put
	var wait sync.WaitGroup
	for w := range r.o.Workers {
		wait.Go(func() {
			for i := range todo {
				journal.begin(w, i)
				out := r.point(ctx, i)
				if out == nil { // the run was stopped
					return
				}
				results <- out
				journal.end(w)
			}
		})
	}
	var alone []int64 // points that need all of the memory
	go func() {
		defer func() {
			close(todo)
			wait.Wait()
			close(results)
		}()
		for i := r.o.Shard.Index; i < r.space.count; i += r.o.Shard.Count {
			if r.done[i] {
				continue
			}
			select {
			case todo <- i:
			case <-ctx.Done():
				return
			}
		}
	}()
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	var failed error
	for open := true; open; {
		select {
		case out, ok := <-results:
			switch {
			case !ok:
				open = false
			case failed != nil:
			case out.again:
				alone = append(alone, out.index)
			default:
				failed = b.add(out)
			}
		case <-tick.C:
			if failed == nil {
				failed = b.put()
			}
		}
		if failed != nil {
			cancel()
		}
	}
	for _, i := range alone {
		if failed != nil || ctx.Err() != nil {
			break
		}
		r.guard.alone()
		journal.begin(0, i)
		if out := r.point(ctx, i); out != nil {
			failed = b.add(out)
		}
		journal.end(0)
	}
	if failed == nil {
		failed = b.put()
	}
	return failed
}

// suspect runs a point at which a process died, with nothing beside it, and puts it into the store at once.
func (r *runner) suspect(ctx context.Context, j *journal, b *batch, i int64) error {
	var out *outcome
	if j.tries[i] >= mostTries {
		values, _, err := r.space.Point(i)
		if err != nil {
			values = nil
		}
		out = r.gaveUp(i, values)
	} else {
		j.begin(0, i)
		if out = r.point(ctx, i); out == nil {
			return nil
		}
		j.end(0)
	}
	if err := b.add(out); err != nil {
		return err
	}
	return b.put()
}

// gaveUp is what a point comes to at which the process died too often.
func (r *runner) gaveUp(i int64, values []Value) *outcome {
	p := store.Point{Sweep: r.space.File.Name, Index: i, Parameters: "{}", Status: Failed, Reason: fmt.Sprintf("the process died %d times while it was being run", mostTries)}
	if values != nil {
		p.Parameters = r.space.Parameters(values)
	}
	return &outcome{index: i, point: p}
}

// batch collects what goes into the store together.
type batch struct {
	r      *runner
	rows   []store.Row
	points []store.Point
}

func (b *batch) add(out *outcome) error {
	if out.row != nil {
		b.rows = append(b.rows, *out.row)
	}
	if out.point.Status == "" { // the same as another point
		b.r.progress.Points--
		return nil
	}
	b.points = append(b.points, out.point)
	if len(b.points) < batchPoints {
		return nil
	}
	return b.put()
}

func (b *batch) put() error {
	if len(b.points) == 0 {
		return nil
	}
	// What was worked out is kept, even if the run is stopped meanwhile.
	if err := b.r.o.Store.PutPoints(context.Background(), b.rows, b.points); err != nil {
		return err
	}
	p := &b.r.progress
	for i := range b.points {
		p.Status[b.points[i].Status]++
	}
	p.Done += int64(len(b.points))
	b.rows, b.points = b.rows[:0], b.points[:0]
	if b.r.o.Progress != nil {
		b.r.o.Progress(Progress{p.Points, p.Done, p.Before, maps.Clone(p.Status)})
	}
	return nil
}

// point runs one point. It is nil if the run was stopped.
func (r *runner) point(ctx context.Context, i int64) *outcome {
	out := &outcome{index: i, point: store.Point{Sweep: r.space.File.Name, Index: i}}
	values, ok, err := r.space.Point(i)
	if err == nil && !ok {
		return out
	}
	out.point.Parameters = "{}"
	if err != nil {
		out.point.Status, out.point.Reason = Invalid, err.Error()
		return out
	}
	r.evaluate(ctx, values, out)
	if ctx.Err() != nil && out.point.Status != OK {
		return nil
	}
	return out
}

// evaluate works out what a point comes to.
func (r *runner) evaluate(ctx context.Context, values []Value, out *outcome) {
	s, p := r.space, &out.point
	p.Parameters = s.Parameters(values)
	b, given := r.begun(p, values)
	if b == nil {
		return
	}
	if r.known && r.answered(ctx, b, p, given) {
		return
	}
	point, req := b.Point, b.Request
	req.Advise = r.o.Whole // an answer that is kept has advice, as that of strata run
	res, err := r.simulate(ctx, req, out)
	if out.again || err == nil && res == nil {
		return
	}
	var row store.Row
	switch unfit := plan.Infeasible(err); {
	case err == nil:
		if r.o.Whole {
			row, err = experiments.Record(point, &req, &res.Answer, r.o.Tool)
		} else {
			row, err = experiments.RecordBrief(point, &req, &res.Answer, r.o.Tool)
		}
		res.Release()
		p.Status = OK
	case unfit != nil:
		row, err = experiments.RecordInfeasible(point, &req, unfit, r.o.Tool)
		p.Status, p.Reason = Infeasible, oneLine(unfit.Error())
	default:
		s.refuse(p, err)
		return
	}
	if err != nil {
		p.Status = ""
		s.refuse(p, err)
		return
	}
	p.Key, out.row = row.Key, &row
	if p.Status == OK {
		r.finish(p, b, given, row.Values)
	}
}

// begun makes the request of a point that nothing known before it is run refuses, and returns the names that conditions may use. Both
// are nil for another, which p says.
func (r *runner) begun(p *store.Point, values []Value) (*Built, map[string]any) {
	s := r.space
	given, texts, err := s.given(values)
	if err != nil {
		s.refuse(p, err)
		return nil, nil
	}
	if !r.holds(p, given, fromValues) {
		return nil, nil
	}
	b, err := r.built(values, texts)
	if err != nil {
		s.refuse(p, err)
		return nil, nil
	}
	p.Figures = map[string]float64{}
	for name, v := range b.figures(s) {
		if _, own := given[name]; !own { // an axis of that name
			given[name] = v
		}
		p.Figures[stored(name)] = v
	}
	if !r.holds(p, given, fromModel) {
		return nil, nil
	}
	return b, given
}

// built makes the request of a point. A panic is an error of the point, as one of the simulator is.
func (r *runner) built(values []Value, texts []string) (b *Built, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, where(debug.Stack())}
		}
	}()
	return r.build.build(values, texts)
}

// answered takes the answer to a point from the store, if it is there.
func (r *runner) answered(ctx context.Context, b *Built, p *store.Point, given map[string]any) bool {
	key := b.Request.Key()
	known, err := r.o.Store.Answered(ctx, key)
	if err != nil || known == nil || known.ModelVersion != eval.Version || known.Status == Failed {
		return false
	}
	p.Key = key
	if p.Status, p.Reason = known.Status, oneLine(known.Reason); p.Status == OK {
		row, err := r.o.Store.Get(ctx, key)
		if err != nil {
			return false
		}
		r.finish(p, b, given, row.Values)
	}
	return true
}

// holds checks the constraints that can be told at a stage; the first that is missed rejects the point.
func (r *runner) holds(p *store.Point, values map[string]any, at stage) bool {
	s := r.space
	total := 0.0
	for _, e := range s.constraints {
		if s.stageOf(e) != at {
			continue
		}
		ok, violation, err := e.holds(values)
		switch {
		case ok:
			continue
		case err != nil && p.Reason == "":
			p.Reason = fmt.Sprintf("%s: %v", e.text, err)
		case p.Reason == "":
			p.Reason = "constraint " + e.text
		}
		total += violation
	}
	if p.Reason == "" {
		return true
	}
	p.Status, p.Violation = Rejected, &total
	return false
}

// finish adds to a point what follows from its answer: the cost of owning the chips, the columns of the file, and whether the
// constraints over results hold.
func (r *runner) finish(p *store.Point, b *Built, given map[string]any, row store.Values) {
	s := r.space
	asked := len(s.columns) > 0 || slices.ContainsFunc(s.constraints, func(e *expression) bool { return s.stageOf(e) == fromAnswer })
	values := map[string]any{}
	if asked {
		values = maps.Clone(given)
		for name := range s.results {
			if _, input := given[name]; !input && row[name] != nil {
				values[name] = row[name]
			}
		}
	}
	if b.Owned != nil {
		number := func(name string) float64 { v, _ := row[name].(float64); return v }
		chips, _ := row["chips"].(int64)
		f := b.Owned.Run(chips, number("tokens_per_second"), units.Watts(number("average_watts")))
		owned := map[string]float64{"area_mm2": f.AreaMM2, "chip_usd": f.ChipUSD, "tco_usd_per_hour": f.TCOUSDPerHour}
		if f.USDPerMillionTokens > 0 {
			owned["tco_usd_per_million_tokens"] = f.USDPerMillionTokens
		}
		for name, v := range owned {
			values[name], p.Figures[name] = v, v
		}
	}
	if len(s.columns) > 0 {
		own := make(map[string]float64, len(s.columns))
		for _, c := range s.columns {
			v, err := c.is.value(values)
			var lacks missing
			switch {
			case errors.As(err, &lacks): // as a column of results without a value
			case err != nil:
				one := 1.0 // a point that cannot be compared, by its file and not by a fault
				p.Status, p.Reason, p.Violation = Rejected, oneLine(fmt.Sprintf("column %s: %v", c.name, err)), &one
				return
			default:
				own[c.name], values[c.name] = v, v
			}
		}
		text, _ := json.Marshal(own) // finite numbers
		p.Columns = string(text)
	}
	if asked {
		r.holds(p, values, fromAnswer)
	}
}

// refuse notes why a point was not answered.
func (s *Space) refuse(p *store.Point, err error) {
	p.Status, p.Reason = Failed, oneLine(err.Error())
	if experiments.IsInput(err) {
		p.Status = Invalid
	}
}

// oneLine is a text on one line, cut where nobody reads on.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "…"
	}
	return text
}

// errMemory ends a point when the process takes more memory than it may.
var errMemory = errors.New("the memory of the process is over its limit")

// panicked is the error of a point that panicked.
type panicked struct {
	value any
	stack string
}

func (p *panicked) Error() string {
	return fmt.Sprintf("internal: panic: %v, in %s: this is a fault of the simulator, please report it with the point", p.value, p.stack)
}

// simulate asks the simulator, within the limits of time and memory. Both results are nil if the run was stopped.
func (r *runner) simulate(ctx context.Context, req eval.Request, out *outcome) (*eval.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	release := r.guard.enter(func() { cancel(errMemory) })
	defer release()
	if r.o.Timeout > 0 {
		timer := time.AfterFunc(r.o.Timeout, func() { cancel(context.DeadlineExceeded) })
		defer timer.Stop()
	}
	type answer struct {
		res *eval.Result
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if v := recover(); v != nil {
				a = answer{nil, &panicked{v, where(debug.Stack())}}
			}
			answers <- a
		}()
		a.res, a.err = simulator(ctx, req)
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		select { // most of it looks at the context now and then
		case a = <-answers:
		case <-time.After(grace):
			a.err = ctx.Err()
		}
	}
	p := &out.point
	switch cause := context.Cause(ctx); {
	case a.err == nil:
		return a.res, nil
	case errors.Is(cause, errMemory) && r.guard.isAlone():
		p.Status, p.Reason = Memory, fmt.Sprintf("it needs more than %d MB of memory by itself", r.o.Memory/1e6)
		return nil, nil
	case errors.Is(cause, errMemory):
		out.again = true
		return nil, nil
	case errors.Is(cause, context.DeadlineExceeded):
		p.Status, p.Reason = Timeout, fmt.Sprintf("it takes longer than %v", r.o.Timeout)
		return nil, nil
	case errors.Is(a.err, context.Canceled):
		return nil, nil
	}
	return nil, a.err
}

// simulator is eval.Run; tests put in its place what goes wrong.
var simulator = eval.Run

// where is the first place of a stack that is the simulator's own, without addresses.
func where(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	after := false
	for i, l := range lines {
		if strings.HasPrefix(l, "panic(") {
			after = true
		}
		if after && strings.Contains(l, "stratasim/strata/") && i+1 < len(lines) {
			name, _, _ := strings.Cut(l[strings.Index(l, "stratasim/strata/")+len("stratasim/strata/"):], "(")
			at := strings.TrimSpace(lines[i+1])
			at = at[strings.LastIndex(at, "/")+1:]
			at, _, _ = strings.Cut(at, " ")
			return name + " (" + at + ")"
		}
	}
	return "the simulator"
}
