package diff

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/report"
	"github.com/stratasim/strata/experiments/whatif"
)

// Effect is what one input that differs does by itself: the result before, run again with that input as it is after.
type Effect struct {
	Part
	// Input is "machine", "model", "option" or, for the last one, "together": what the inputs do beyond the sum of what
	// each does by itself.
	Input string `json:"input"`
	// Note says why the input could not be tried by itself; what it does is part of "together" then.
	Note string `json:"note,omitempty"`
}

// mostTried bounds how many figures of a machine are tried one at a time; beyond that two machines are two machines.
const mostTried = 64

// Attribute runs the result before again with one input at a time as it is after. Effects sum to the change of the time.
// The error says why that cannot be done: the request of a is not known, or this version answers it otherwise.
func (d *Diff) Attribute(ctx context.Context, a, b *Result, progress whatif.Progress) error {
	p, req, err := a.request()
	if err != nil {
		return err
	}
	base, err := eval.Run(ctx, *req)
	switch {
	case err != nil:
		return err
	case base.Seconds != a.answer.Seconds:
		return fmt.Errorf("%s took %s when it was made, and takes %s in this version of the models: run it again first", a.Name, report.Seconds(a.answer.Seconds), report.Seconds(base.Seconds))
	}
	// What an answer says in another way than a row, such as a default, is no other request.
	tries := slices.DeleteFunc(d.tries(p, b), func(t try) bool { return t.key() == req.Key() })
	times := make([]float64, len(tries))
	err = whatif.Each(ctx, len(tries), progress, func(i int) error {
		t := &tries[i]
		if t.note != "" {
			return nil
		}
		r, err := t.point.Request()
		if err == nil {
			var res *eval.Result
			if res, err = eval.Run(ctx, r); err == nil {
				times[i] = res.Seconds
				return nil
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.note = err.Error() // alone it may not make sense, such as a head more than divides
		return nil
	})
	if err != nil {
		return err
	}
	var total span
	total.add(0, d.Time.Before)
	total.add(1, d.Time.After)
	rest := total
	d.Effects = []Effect{}
	for i := range tries {
		t := &tries[i]
		by := span{total[0], total[0]}
		if t.note == "" {
			by[1] = picoseconds(times[i])
		}
		rest[1] -= by.delta()
		d.Effects = append(d.Effects, Effect{by.part(t.name, total), t.input, t.note})
	}
	d.Effects = append(d.Effects, Effect{rest.part("together", total), "together", ""})
	return nil
}

// try is the point before with one input as it is after.
type try struct {
	input, name string
	point       *experiments.Point
	note        string // why not
}

// key is that of the request of a try, "" if it has none.
func (t *try) key() string {
	if t.note != "" {
		return ""
	}
	r, err := t.point.Request()
	if err != nil {
		return ""
	}
	return r.Key()
}

func (d *Diff) tries(p *experiments.Point, b *Result) (list []try) {
	machine := d.Inputs.Machine.Differences
	if len(machine) > mostTried {
		q := *p
		q.Machine = b.machine
		list = append(list, try{"machine", "the machine", &q, ""})
		machine = nil
	}
	for _, x := range machine {
		t := try{input: "machine", name: x.Path}
		if x.Before == "" || x.After == "" {
			t.note = "given in one of the two machines only"
		} else {
			t.point, t.note = withFigure(p, x.Path, x.After)
		}
		list = append(list, t)
	}
	if d.Inputs.Model.How == "leaves" {
		q := *p
		q.Model = b.model
		list = append(list, try{"model", "the model", &q, ""})
	}
	other, err := b.optionsOf()
	switch {
	case err == nil:
		q := experiments.Point{Options: *other}
		if b.point != nil {
			q.Costs = b.point.Costs
		}
		list = append(list, optionTries(p, &q)...)
	case len(d.Inputs.Options) > 0:
		list = append(list, try{input: "option", name: "the options", note: err.Error()})
	}
	return list
}

// withFigure is the point with one figure of its machine changed.
func withFigure(p *experiments.Point, path, value string) (*experiments.Point, string) {
	m := *p.Machine
	if err := m.Apply(map[string]string{path: value}); err != nil {
		return nil, err.Error()
	}
	q := *p
	q.Machine = &m
	return &q, ""
}

// sizes are options that make sense together only: what one phase needs another does not have.
var sizes = []string{"phase", "prompt", "generate", "arrivals"}

// optionTries are the point with one option at a time as it is in other.
func optionTries(p, other *experiments.Point) (list []try) {
	before, after := members(&p.Options), members(&other.Options)
	all := maps.Clone(before)
	maps.Copy(all, after)
	set := func(name string, options ...string) {
		m := maps.Clone(before)
		for _, o := range options {
			delete(m, o)
			if v, ok := after[o]; ok {
				m[o] = v
			}
		}
		q := *p
		q.Options = experiments.Options{}
		if slices.Contains(options, "cost") {
			q.Costs = other.Costs // what the option says is where they are from
		}
		text, err := json.Marshal(nested(m))
		if err == nil {
			err = json.Unmarshal(text, &q.Options)
		}
		if err != nil {
			panic(err) // it was made from options
		}
		q.Defaults()
		list = append(list, try{"option", name, &q, ""})
	}
	phase := string(before["phase"]) != string(after["phase"])
	if phase {
		set("phase and its sizes", sizes...)
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if string(before[name]) != string(after[name]) && name != "set" && !(phase && slices.Contains(sizes, name)) {
			set(name, name)
		}
	}
	return list
}

// ofTraining begins the names of members of Options.Training.
const ofTraining = "training."

// nested puts the members of training where they were.
func nested(m map[string]json.RawMessage) map[string]any {
	out, training := map[string]any{}, map[string]json.RawMessage{}
	for name, v := range m {
		if inner, ok := strings.CutPrefix(name, ofTraining); ok {
			training[inner] = v
		} else {
			out[name] = v
		}
	}
	if len(training) > 0 {
		out["training"] = training
	}
	return out
}

// members are the options that are given, by name; those of training each by itself.
func members(o *experiments.Options) map[string]json.RawMessage {
	text, err := json.Marshal(o)
	m := map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if training, ok := m["training"]; ok && err == nil {
		inner := map[string]json.RawMessage{}
		err = json.Unmarshal(training, &inner)
		delete(m, "training")
		for name, v := range inner {
			m[ofTraining+name] = v
		}
	}
	if err != nil {
		panic(err) // plain data always encodes
	}
	return m
}

// request is the point of a result and its request, which has the key of the result.
func (r *Result) request() (*experiments.Point, *eval.Request, error) {
	p := r.point
	if p == nil {
		o, err := r.optionsOf()
		if err != nil {
			return nil, nil, err
		}
		p = &experiments.Point{Machine: r.machine, Model: r.model, Options: *o}
	}
	if p.Workload != nil {
		return nil, nil, fmt.Errorf("%s is of many requests, and the effects are those of a single one: give --prompt and --generate", r.Name)
	}
	req, err := p.Request()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	if req.Key() != r.answer.Manifest.Key {
		return nil, nil, fmt.Errorf("%s was made by other models than these or from what this version does not know: its key is another", r.Name)
	}
	return p, &req, nil
}

// optionsOf are the options of a result. For a JSON answer they are tried out: an answer says what took effect and not
// what was asked for, and only the key tells whether that is the same.
func (r *Result) optionsOf() (*experiments.Options, error) {
	if r.point != nil {
		return &r.point.Options, nil
	}
	if r.machine == nil || r.model == nil {
		why := slices.DeleteFunc([]string{r.unknown.machine, r.unknown.model}, func(s string) bool { return s == "" })
		return nil, fmt.Errorf("%s: its inputs are not known (%s); a row of a results database has them", r.Name, strings.Join(why, "; "))
	}
	a := &r.answer
	for _, runtime := range []string{"", a.Runtime} {
		for _, exact := range []bool{false, true} {
			o := experiments.Options{Phase: a.Phase, Batch: a.Batch, Prompt: a.Prompt, Generate: a.Generate, DType: a.DType, WeightDType: a.WeightDType, KVDType: a.KVDType,
				TP: a.Parallel.TP, PP: a.Parallel.PP, EP: a.Parallel.EP, MoETP: a.Parallel.MoETP, AttnDP: a.Parallel.AttnDP, Exchange: a.Parallel.Exchange, InFlight: a.Parallel.InFlight,
				Runtime: runtime, HostSync: a.HostSync, Fidelity: a.Fidelity, Exact: exact, Ideal: a.Ideal, Set: changesOf(a.Notes)}
			p := experiments.Point{Machine: r.machine, Model: r.model, Options: o}
			if req, err := p.Request(); err == nil && req.Key() == a.Manifest.Key {
				return &o, nil
			}
		}
	}
	return nil, fmt.Errorf("%s: what it was asked for cannot be told from its answer; a row of a results database has it", r.Name)
}
