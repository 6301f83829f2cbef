package oracle

import (
	"bytes"
	"context"
	"encoding/json"
)

// Query asks for one estimate: a request of the protocol of docs/estimate.md as a Go value. What is zero is left out, and then means what the
// protocol says. Op goes without Model and what follows it.
type Query struct {
	ID string `json:"id,omitempty"`
	// Arch is the name of a machine, or changes to one: Overlay.
	Arch any `json:"arch,omitempty"`
	// Op is an operator: a map such as {"kind": "gemm", "m": 1024, …}, or anything that encodes to such an object.
	Op any `json:"op,omitempty"`
	// Model is the name of a model, or a Hugging Face configuration: a map, a json.RawMessage, or anything that encodes to one.
	Model any `json:"model,omitempty"`
	// Phase is prefill, decode, generate, serve, train or finetune; "" means generate.
	Phase string `json:"phase,omitempty"`
	// Batch is sequences at a time, Prompt the tokens of each (in phase decode those in its cache), Generate how many follow.
	Batch    int64 `json:"batch,omitempty"`
	Prompt   int64 `json:"prompt,omitempty"`
	Generate int64 `json:"generate,omitempty"`
	// DType, WeightDType and KVDType are number formats; "" means the model's.
	DType       string    `json:"dtype,omitempty"`
	WeightDType string    `json:"weight_dtype,omitempty"`
	KVDType     string    `json:"kv_dtype,omitempty"`
	Parallel    *Parallel `json:"parallel,omitempty"`
	// Fidelity is analytic, which is usual, or event.
	Fidelity string `json:"fidelity,omitempty"`
	// Limits are upper bounds for figures by name, for Result.Violations.
	Limits map[string]float64 `json:"limits,omitempty"`
	// TimeoutSeconds bounds the time to work the answer out; 0 does not.
	TimeoutSeconds float64 `json:"timeout_seconds,omitempty"`
	// More has every other member of the protocol by name, such as "lora" or "micro_batch".
	More map[string]any `json:"-"`
}

// Overlay is a machine that differs from another one in leaves of its description: {"chip.memory[hbm].bandwidth": "4 TB/s"}.
type Overlay struct {
	Base string            `json:"base"`
	Name string            `json:"name,omitempty"`
	Set  map[string]string `json:"set,omitempty"`
}

// Parallel says how a model is divided over chips; 0 means 1.
type Parallel struct {
	TP int64 `json:"tp,omitempty"`
	PP int64 `json:"pp,omitempty"`
	EP int64 `json:"ep,omitempty"`
	DP int64 `json:"dp,omitempty"`
}

// MarshalJSON writes the request of the protocol.
func (q Query) MarshalJSON() ([]byte, error) {
	type plain Query
	text, err := json.Marshal(plain(q))
	if err != nil || len(q.More) == 0 {
		return text, err
	}
	more, err := json.Marshal(q.More) // sorted by name; a member that is there twice is refused by who reads it
	if err != nil {
		return nil, err
	}
	if len(text) == len("{}") {
		return more, nil
	}
	return append(append(text[:len(text)-1], ','), more[1:]...), nil
}

// Result is what came of a Query.
type Result struct {
	ID     string // of the query
	Status Status
	Err    *Error // nil exactly if Status is OK
	// Seconds and Joules are time and energy; 0 if Err is not nil or the answer has none.
	Seconds, Joules float64
	// Violations say for each limit of the query by how much of it the figure is above, or with a negative sign below.
	Violations map[string]float64

	answer *answer
	text   []byte
}

// Figure returns a figure by the name that limits and metrics have for it, such as "tpot_seconds"; not ok if the answer has none of that
// name.
func (r *Result) Figure(name string) (float64, bool) { return r.answer.figure(name) }

// JSON is the whole answer, the line that the protocol has for it.
func (r *Result) JSON() []byte { return r.text }

// Evaluate answers queries, several at a time, in their order: results have the length of queries. It has no effect but that the oracle remembers:
// equal queries have equal results, whoever asks, however often and with how many others. A query that is wrong has a
// result that says so. The error is that the context was cancelled; there are no results then.
func (o *Oracle) Evaluate(ctx context.Context, queries []Query) ([]Result, error) {
	results, kept := make([]Result, len(queries)), make([]keeping, len(queries))
	err := o.each(len(queries), func(i int) (err error) {
		kept[i], err = o.result(ctx, &queries[i], &results[i])
		return err
	})
	var all keeping
	for _, k := range kept {
		all = all.and(k)
	}
	all.wait()
	if err != nil {
		return nil, err
	}
	return results, nil
}

// result answers one query.
func (o *Oracle) result(ctx context.Context, query *Query, r *Result) (keeping, error) {
	r.ID = query.ID
	var a *answer
	var kept keeping
	q := new(request)
	text, err := json.Marshal(query)
	if err != nil {
		a = failed(invalid("type", "", "members are what JSON has: numbers, texts, truths, lists and objects", "the query cannot be written as JSON: %s", shorten(err.Error())))
	} else {
		v, bad := parse(bytes.TrimSpace(text))
		if a, kept, err = o.answer(ctx, &v, bad, q); err != nil {
			return nil, err
		}
	}
	r.text = o.written(a, q)
	if _, bad := a.violations(q.limits); bad != nil {
		a = failed(bad)
	}
	if _, bad := a.chosen(q.metrics); bad != nil {
		a = failed(bad)
	}
	r.Status, r.Err, r.answer = statusOf(a), a.err, a
	r.Seconds, _ = a.figure("seconds")
	r.Joules, _ = a.figure("joules")
	if len(q.limits) > 0 && a.err == nil {
		r.Violations = map[string]float64{}
		for _, l := range q.limits {
			v, _ := a.figure(l.name)
			r.Violations[l.name] = (v - l.most) / l.most
		}
	}
	return kept, nil
}
