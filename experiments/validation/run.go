package validation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/uncertainty"
)

// Options of Run. The zero value asks for everything in the fidelity event.
type Options struct {
	Data     string   // folder of measurements
	Fidelity string   // "" is event
	Devices  []string // as the source or as the preset calls them; none means all
	Classes  []string // none means all
	Sources  []string // none means all
	Workers  int      // 0 is as many as there are processors
	// Arch, if not empty, takes the place of the machine with that name: a file, for machines of one's own.
	Arch map[string]string
	// Machine, if not empty, is asked for devices that no preset is known for: a preset or a file.
	Machine string
	// Validated, if not nil, is what intervals rest on, which are then asked for.
	Validated *uncertainty.Table
	// Progress, if not nil, is told how many of how many cases are done.
	Progress func(suite string, done, of int)
}

// Row is one figure of a case with what was predicted.
type Row struct {
	Suite string
	*Case
	Figure
	Predicted  float64 // in the unit of the measurement
	BoundBy    string
	Ran        string         // profile that the answer is for
	Interval   map[string]any // of the answer, nil if none was asked for
	Floor      float64        // seconds, 0 if the answer has none
	Roofline   float64        // seconds at full rate, 0 if there is none
	Calibrated float64        // seconds by the calibrated roofline, 0 if there is none
}

// Error is predicted/measured − 1; where a range was published, that from its nearer end.
func (r *Row) Error() float64 {
	switch {
	case r.Measured == 0: // nothing is counted, and anything is all off
		return min(1, math.Abs(r.Predicted))
	case r.High == 0 || r.Predicted < r.Measured:
		return r.Predicted/r.Measured - 1
	case r.Predicted > r.High:
		return r.Predicted/r.High - 1
	}
	return 0
}

// Failure is a case that has no answer although it should.
type Failure struct {
	Case *Case
	Why  string
}

// Result is what came of one suite.
type Result struct {
	Suite  Suite
	Rows   []Row
	Left   []Left // rows that were left out, by reason
	Failed []Failure
}

// Run reads the rows of a suite and asks for each. The rows are in the order of the files, whatever the number of workers.
// An error is that measurements cannot be read or that the context was cancelled; requests that fail are part of the result.
func Run(ctx context.Context, s Suite, o Options) (*Result, error) {
	l := newLoaded()
	if err := s.load(o.Data, l); err != nil {
		return nil, err
	}
	known := presets.Names()
	var cases []*Case
	unasked := map[string]int{}
	for i := range l.cases {
		c := &l.cases[i]
		c.Figures = slices.DeleteFunc(c.Figures, func(f Figure) bool {
			return len(o.Classes) > 0 && !matches(o.Classes, f.Class) || f.Played && o.Fidelity == eval.Analytic
		})
		switch {
		case len(c.Figures) == 0,
			len(o.Devices) > 0 && !matches(o.Devices, c.Device) && !matches(o.Devices, c.Arch),
			len(o.Sources) > 0 && !matches(o.Sources, c.Source):
			continue
		case c.Arch == "" && c.Request["op"] != nil && o.Machine == "":
			unasked["no machine for "+c.Device]++
			continue
		case c.Arch != "" && !slices.Contains(known, c.Arch) && o.Arch[c.Arch] == "":
			unasked[fmt.Sprintf("no machine %s", c.Arch)]++
			continue
		}
		cases = append(cases, c)
	}
	if len(o.Devices)+len(o.Classes)+len(o.Sources) == 0 {
		for reason, n := range l.left {
			unasked[reason] += n
		}
	}
	return o.ask(ctx, s, cases, unasked)
}

// matches reports whether a word is among a list, whatever its case.
func matches(list []string, word string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, word) })
}

// ask asks for the cases and puts the answers together.
func (o *Options) ask(ctx context.Context, s Suite, cases []*Case, left map[string]int) (*Result, error) {
	asked := oracle.New(oracle.Options{Files: len(o.Arch) > 0 || o.Machine != "", Workers: 1, Validated: o.Validated})
	workers := o.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	answers, errs := make([]map[string]any, len(cases)), make([]error, len(cases))
	var next, done atomic.Int64
	var team sync.WaitGroup
	for range min(workers, len(cases)) {
		team.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(cases) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				answers[i], errs[i] = o.one(ctx, asked, cases[i])
				if runtime, _ := answers[i]["runtime"].(string); errs[i] == nil && cases[i].Runtime != "" && runtime != cases[i].Runtime {
					errs[i] = fmt.Errorf("the answer is for profile %q, not %q", runtime, cases[i].Runtime)
				}
				if errs[i] == nil && cases[i].Derive != nil {
					errs[i] = cases[i].Derive(answers[i])
				}
				if n := int(done.Add(1)); o.Progress != nil && (n%64 == 0 || n == len(cases)) {
					o.Progress(s.Name, n, len(cases))
				}
			}
		})
	}
	team.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &Result{Suite: s}
	for i, c := range cases {
		var refused *refusal
		switch {
		case errors.As(errs[i], &refused) && refused.left:
			left[refused.Error()]++
			continue
		case errs[i] != nil:
			r.Failed = append(r.Failed, Failure{c, errs[i].Error()})
			continue
		}
		for _, f := range c.Figures {
			row := Row{Suite: s.Name, Case: c, Figure: f}
			v, err := field(answers[i], f.Field)
			if err != nil {
				r.Failed = append(r.Failed, Failure{c, err.Error()})
				continue
			}
			row.Predicted = v
			if f.Scale != 0 {
				row.Predicted *= f.Scale
			}
			if c.Times > 0 {
				row.Predicted *= c.Times
			}
			row.BoundBy, _ = answers[i]["bound_by"].(string)
			row.Ran, _ = answers[i]["runtime"].(string)
			row.Interval, _ = answers[i]["interval"].(map[string]any)
			row.Floor, _ = answers[i]["floor_seconds"].(float64)
			r.Rows = append(r.Rows, row)
		}
	}
	rooflines(o.Data, r.Rows)
	r.Left = sorted(left)
	return r, nil
}

// refusal is a request that was answered without figures.
type refusal struct {
	status, code, message string
	left                  bool // what was asked for is not simulated, or does not fit: no fault of the request
}

func (e *refusal) Error() string {
	if e.left {
		return e.status + ": " + e.message
	}
	return fmt.Sprintf("%s (%s): %s", e.status, e.code, e.message)
}

// one asks for one case.
func (o *Options) one(ctx context.Context, asked *oracle.Oracle, c *Case) (map[string]any, error) {
	if c.Ask != nil {
		return c.Ask(ctx, asked)
	}
	of := func(ctx context.Context, asking Fields) (map[string]any, error) {
		request := Fields{}
		for k, v := range asking {
			request[k] = v
		}
		if c.Arch == "" && request["op"] != nil && request["arch"] == nil {
			request["arch"] = o.Machine
		}
		if c.Arch != "" && request["arch"] == nil {
			request["arch"] = c.Arch
			if file := o.Arch[c.Arch]; file != "" {
				request["arch"] = file
			}
		}
		if o.Validated != nil && (request["op"] != nil || request["model"] != nil) {
			request["interval"] = true
		}
		if request["systolic"] == nil {
			if request["fidelity"] = o.Fidelity; o.Fidelity == "" {
				request["fidelity"] = "event"
			}
		}
		return Ask(ctx, asked, request)
	}
	if c.Compose != nil {
		return c.Compose(ctx, of)
	}
	return of(ctx, c.Request)
}

// infeasible reports whether an answer is that a request does not fit.
func infeasible(err error) bool {
	var refused *refusal
	return errors.As(err, &refused) && refused.status == string(oracle.Infeasible)
}

// Ask asks the oracle and decodes its answer. An answer that is not ok is an error.
func Ask(ctx context.Context, o *oracle.Oracle, request Fields) (map[string]any, error) {
	line, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	out, err := o.Answer(ctx, line)
	if err != nil {
		return nil, err
	}
	var a map[string]any
	if err := json.Unmarshal(out, &a); err != nil {
		return nil, err
	}
	status, _ := a["status"].(string)
	if status == string(oracle.OK) {
		return a, nil
	}
	e := &refusal{status: status, left: status == string(oracle.Infeasible) || status == string(oracle.Unsupported)}
	if why, ok := a["error"].(map[string]any); ok {
		e.code, _ = why["code"].(string)
		e.message, _ = why["message"].(string)
	}
	if status == string(oracle.Infeasible) {
		e.message = "does not fit the machine's memory" // how much differs from row to row
	}
	return nil, e
}

// field finds a number in an answer by its path.
func field(a map[string]any, path string) (float64, error) {
	at := a
	for {
		name, rest, deeper := strings.Cut(path, ".")
		v, ok := at[name]
		if !ok {
			return 0, fmt.Errorf("the answer has no %s", path)
		}
		if !deeper {
			f, ok := v.(float64)
			if !ok || math.IsNaN(f) {
				return 0, fmt.Errorf("%s of the answer is no number", path)
			}
			return f, nil
		}
		if at, ok = v.(map[string]any); !ok {
			return 0, fmt.Errorf("the answer has no %s", path)
		}
		path = rest
	}
}
