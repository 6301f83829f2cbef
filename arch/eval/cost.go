package eval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// OwnCosts says how much of a run had costs that are not the model's. Calls and seconds are those of one chip.
type OwnCosts struct {
	Source         string  `json:"source"`    // "cost file gemms.csv"
	Operators      int64   `json:"operators"` // distinct operators that had a cost of their own
	Calls          int64   `json:"calls"`
	Seconds        float64 `json:"seconds"`
	Share          float64 `json:"share"`            // of the time of the run
	Joules         float64 `json:"joules,omitempty"` // of one chip, where the source gave energy too
	ModelOperators int64   `json:"model_operators"`  // distinct operators that were left to the model
	ModelCalls     int64   `json:"model_calls"`
	ModelSeconds   float64 `json:"model_seconds"`
}

// NoCost says that operators have no cost of their own where all were to have one.
type NoCost struct {
	Source string
	Asked  []plan.Asked // those without a cost
}

// Error lists the first operators.
func (e *NoCost) Error() string {
	const most = 8
	var b strings.Builder
	fmt.Fprintf(&b, "%s has no cost for %d of the operators", e.Source, len(e.Asked))
	for i := range e.Asked[:min(most, len(e.Asked))] {
		a := &e.Asked[i]
		fmt.Fprintf(&b, "; %s (%s)", a.Name, a.Query.String())
		if a.Source != "" {
			b.WriteString(": " + a.Source)
		}
	}
	if n := len(e.Asked) - most; n > 0 {
		fmt.Fprintf(&b, "; and %d more", n)
	}
	return b.String()
}

// Unwrap makes it an error of the request.
func (e *NoCost) Unwrap() error { return &plan.Invalid{Field: "cost-missing", Message: e.Error()} }

// PlanContext plans the request without timing it.
func (r *Request) PlanContext(ctx context.Context) (*plan.Program, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	mapping, err := r.solved(ctx)
	if err != nil {
		return nil, err
	}
	p, err := plan.BuildWith(ctx, r.Machine, r.Graph, mapping, r.Costs)
	if err != nil || !r.OwnCostsOnly {
		return p, err
	}
	var without []plan.Asked
	for _, a := range p.Asked {
		if !a.Known {
			without = append(without, a)
		}
	}
	if len(without) > 0 || r.Costs == nil {
		return nil, &NoCost{r.costSource(), without}
	}
	return p, nil
}

// costSource names the costs.
func (r *Request) costSource() string {
	if s, ok := r.Costs.(fmt.Stringer); ok {
		return s.String()
	}
	return "own costs"
}

// costKey identifies the costs: by their own key, else by what they answered.
func (r *Request) costKey(p *plan.Program) string {
	if r.Costs == nil || r.CostKey != "" || p == nil {
		return r.CostKey
	}
	type line struct {
		Op     json.RawMessage
		Name   string
		Phase  string
		Known  bool
		Time   units.Time
		Joules units.Joules
		Source string
	}
	h := sha256.New()
	e := json.NewEncoder(h)
	for i := range p.Asked {
		a := &p.Asked[i]
		if err := e.Encode(line{a.OpJSON(), a.Name, a.Phase, a.Known, a.Time, a.Joules, a.Source}); err != nil {
			panic(err) // plain data always encodes
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// ownCosts fills in what the answer says about costs of the request's own.
func (r *Request) ownCosts(res *Result) {
	p, o := res.Program, res.Outcome
	if r.Costs == nil {
		return
	}
	c := &OwnCosts{Source: r.costSource()}
	notes := map[string]int{}
	var reasons []string
	for i := range p.Asked {
		switch a := &p.Asked[i]; {
		case a.Known:
			c.Operators++
		default:
			c.ModelOperators++
			if a.Source != "" {
				if notes[a.Source]++; notes[a.Source] == 1 {
					reasons = append(reasons, fmt.Sprintf("%s is left to the model: %s", a.Name, a.Source))
				}
			}
		}
	}
	c.Calls = p.Count(o.Work, plan.OwnCalls)
	own := units.Time(p.Count(o.Work, plan.OwnTime))
	c.Seconds, c.ModelSeconds = own.Seconds(), (o.Makespan - own).Seconds()
	if o.Makespan > 0 {
		c.Share = float64(own) / float64(o.Makespan)
	}
	c.Joules = float64(p.Count(o.Work, plan.OwnEnergy)) / 1e12
	for i := range o.Ops {
		c.ModelCalls += o.Ops[i].Calls
	}
	c.ModelCalls -= c.Calls
	if c.Operators == 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%s has no cost for any operator of this run", c.Source))
	}
	const most = 5
	for i, text := range reasons {
		if i == most {
			res.Notes = append(res.Notes, fmt.Sprintf("%d more operators are left to the model for such reasons", len(reasons)-most))
			break
		}
		res.Notes = append(res.Notes, text)
	}
	res.OwnCosts = c
}

// sourceOf says where the time of an operator is from, "" for the model.
func sourceOf(p *plan.Program, op int, s *sim.OpStat) string {
	own := p.Count(s.Work, plan.OwnCalls)
	if own == 0 {
		return ""
	}
	first, distinct := "", map[string]bool{}
	for i := range p.Asked {
		if a := &p.Asked[i]; a.Op == op && a.Known && !distinct[a.Source] {
			distinct[a.Source] = true
			if first == "" {
				first = a.Source
			}
		}
	}
	if first == "" {
		first = "own cost"
	}
	if n := len(distinct) - 1; n > 0 {
		first += fmt.Sprintf(" and %d more", n)
	}
	if own < s.Calls {
		first += fmt.Sprintf("; %d of %d calls from the model", s.Calls-own, s.Calls)
	}
	return first
}
