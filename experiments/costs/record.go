package costs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// question is the operator as an estimate request, without an id. arch is JSON.
func question(q *plan.Query, arch []byte) string {
	to := fmt.Appendf(nil, `"arch":%s,"op":%s,"framework":%s`, arch, q.OpJSON(), jsonText(q.Runtime))
	if q.HostSync {
		to = append(to, `,"host_sync":true`...)
	}
	return string(to)
}

// jsonText is a text as JSON.
func jsonText(s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // texts always encode
	}
	return text
}

// reply is what was answered to a question.
type reply struct {
	known  bool
	time   units.Time
	joules units.Joules
	line   int // of the answers, from 1
}

// Record is what a program answered, in the order in which it was asked. It answers the same again.
type Record struct {
	name    string
	arch    []byte // JSON, nil for the name of the machine
	order   []string
	replies map[string]reply
}

// NewRecord returns a record without answers. Name is that of the program in reports; arch is the member "arch" of
// questions, as JSON, nil for the name of the machine.
func NewRecord(name string, arch []byte) *Record {
	return &Record{name: name, arch: arch, replies: map[string]reply{}}
}

// String names the program in reports.
func (r *Record) String() string { return "cost command " + r.name }

// recorded is a line of a record. The time is in picoseconds, so that it comes back as it was.
type recorded struct {
	Arch      json.RawMessage `json:"arch"`
	Op        json.RawMessage `json:"op"`
	Framework string          `json:"framework"`
	HostSync  bool            `json:"host_sync,omitempty"`
	Known     bool            `json:"known"`
	Time      units.Time      `json:"picoseconds,omitempty"`
	Joules    units.Joules    `json:"joules,omitempty"`
	Line      int             `json:"line"`
}

// Content is the record as JSON Lines.
func (r *Record) Content() []byte {
	var b bytes.Buffer
	for _, text := range r.order {
		a := r.replies[text]
		var l recorded
		if err := json.Unmarshal([]byte("{"+text+"}"), &l); err != nil {
			panic(err) // it was written by question
		}
		l.Known, l.Time, l.Joules, l.Line = a.known, a.time, a.joules, a.line
		out, err := json.Marshal(l)
		if err != nil {
			panic(err) // plain data always encodes
		}
		b.Write(append(out, '\n'))
	}
	return b.Bytes()
}

// ReadRecord reads what Content wrote.
func ReadRecord(name string, content []byte) (*Record, error) {
	r := NewRecord(name, nil)
	d := json.NewDecoder(bytes.NewReader(content))
	for n := 1; ; n++ {
		var l recorded
		if err := d.Decode(&l); err == io.EOF {
			return r, nil
		} else if err != nil {
			return nil, fmt.Errorf("recorded costs, entry %d: %w", n, err)
		}
		if len(l.Arch) == 0 || len(l.Op) == 0 {
			return nil, fmt.Errorf("recorded costs, entry %d: no operator or no machine", n)
		}
		if l.Time < 0 || l.Time > units.MaxTime || !(l.Joules >= 0 && l.Joules < maxJoules) {
			return nil, fmt.Errorf("recorded costs, entry %d: a cost out of range", n)
		}
		text := fmt.Sprintf(`"arch":%s,"op":%s,"framework":%s`, l.Arch, l.Op, jsonText(l.Framework))
		if l.HostSync {
			text += `,"host_sync":true`
		}
		r.arch = l.Arch
		r.put(text, reply{l.Known, l.Time, l.Joules, l.Line})
	}
}

func (r *Record) put(text string, a reply) {
	if _, ok := r.replies[text]; !ok {
		r.order = append(r.order, text)
	}
	r.replies[text] = a
}

// Key identifies what the record answers.
func (r *Record) Key() string { return digest(r.String(), string(r.Content())) }

// question is the question for an operator as this record knows it.
func (r *Record) question(q *plan.Query) string {
	arch := r.arch
	if arch == nil {
		arch = jsonText(q.Arch)
	}
	return question(q, arch)
}

// Cost implements plan.Coster.
func (r *Record) Cost(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
	a, ok := r.replies[r.question(&q)]
	if !ok {
		return plan.Cost{}, false, fmt.Errorf("%s was not asked for %s when its answers were recorded", r.String(), q.String())
	}
	return r.cost(a)
}

func (r *Record) cost(a reply) (plan.Cost, bool, error) {
	if !a.known {
		return plan.Cost{}, false, nil
	}
	return plan.Cost{Time: a.time, Joules: a.joules, Source: fmt.Sprintf("%s, answer %d", r.String(), a.line)}, true, nil
}
