package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
	"github.com/stratasim/strata/experiments/store"
	"github.com/stratasim/strata/traces/llm"
)

// opSchema is that of single operators; their answers have fewer figures and at other places.
const opSchema = "strata.op/1"

// Result is one side of a comparison.
type Result struct {
	// Name is how the user named it.
	Name   string
	answer eval.Answer
	// members are those of the answer, also the ones that this version does not know.
	members map[string]any
	tool    string // that made it, if known
	// The inputs, nil where they are not known.
	machine *arch.Machine
	model   *llm.Model
	point   *experiments.Point // of a row of a database
	// changed are the leaves of the machine that were changed by whoever ran it.
	changed map[string]bool
	// unknown says why machine or model are not known.
	unknown struct{ machine, model string }
}

// Malformed says that a file is no result.
type Malformed struct {
	File  string
	Line  int    // from 1
	Field string // "" for the file as a whole
	Text  string
}

func (e *Malformed) Error() string {
	at := fmt.Sprintf("%s:%d: ", e.File, e.Line)
	if e.Field != "" {
		at += e.Field + ": "
	}
	return at + e.Text
}

// Read reads the JSON of an answer, as strata run -o json and strata op -o json print it. The error is a *Malformed.
func Read(name string, data []byte) (*Result, error) {
	r := &Result{Name: name}
	bad := func(offset int64, field, format string, args ...any) error {
		line := 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
		return &Malformed{name, line, field, fmt.Sprintf(format, args...)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&r.members); {
	case err == nil:
	case errors.Is(err, io.EOF):
		return nil, bad(0, "", "the file is empty, not a result (make one with strata run -o json)")
	default:
		return nil, jsonError(err, int64(len(data)), bad)
	}
	if rest := bytes.TrimSpace(data[d.InputOffset():]); len(rest) > 0 {
		return nil, bad(int64(bytes.LastIndex(data, rest)), "", "a second value follows the result: a file has one result")
	}
	var schema string
	switch s, ok := r.members["schema"].(string); {
	case ok && (strings.HasPrefix(s, "strata.run/") || s == opSchema):
		schema = s
	case ok:
		return nil, bad(lineOf(data, "schema"), "schema", "%q is not that of a result (%s or %s)", s, eval.Schema, opSchema)
	default:
		return nil, bad(0, "schema", "missing: not a result (make one with strata run -o json)")
	}
	for _, field := range []string{"seconds", "stalls", "arch"} {
		if _, ok := r.members[field]; !ok {
			return nil, bad(0, field, "missing from a result of %s", schema)
		}
	}
	if err := json.Unmarshal(data, &r.answer); err != nil {
		return nil, jsonError(err, int64(len(data)), bad)
	}
	if s := r.answer.Seconds; !(s >= 0 && s < 9e6) {
		return nil, bad(lineOf(data, "seconds"), "seconds", "%g: must be from 0 to 9000000", s)
	}
	if schema == opSchema {
		if err := r.operator(); err != nil {
			return nil, bad(lineOf(data, "op"), "op", "%v", err)
		}
	}
	r.noteChanges()
	return r, nil
}

// jsonError says where in a file its JSON is wrong.
func jsonError(err error, length int64, bad func(offset int64, field, format string, args ...any) error) error {
	var (
		syntax *json.SyntaxError
		typ    *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax):
		return bad(syntax.Offset-1, "", "not JSON: %v", err)
	case errors.As(err, &typ) && typ.Field == "":
		return bad(typ.Offset-1, "", "%s, not a result (make one with strata run -o json)", typ.Value)
	case errors.As(err, &typ):
		return bad(typ.Offset-1, typ.Field, "%s where a %s belongs", typ.Value, kindOf(typ.Type.String()))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad(length, "", "the file is cut off")
	}
	return bad(0, "", "%v", err)
}

// kindOf names a Go type as JSON does.
func kindOf(typ string) string {
	switch {
	case typ == "string", typ == "bool":
		return typ
	case strings.HasPrefix(typ, "[]"):
		return "list"
	case strings.HasPrefix(typ, "int"), strings.HasPrefix(typ, "float"):
		return "number"
	}
	return "object"
}

// lineOf finds a member of the answer in its text, or its beginning.
func lineOf(data []byte, member string) int64 {
	return int64(max(0, bytes.Index(data, []byte(`"`+member+`"`))))
}

// operator moves the figures of a single operator to where a run has them.
func (r *Result) operator() error {
	op, _ := r.members["op"].(map[string]any)
	kind, ok := op["kind"].(string)
	if !ok {
		return errors.New("its kind is missing")
	}
	number := func(name string) float64 { v, _ := r.members[name].(float64); return v }
	r.answer.Model = kind
	r.answer.Energy.Joules = number("joules")
	r.answer.Power = eval.Power{AverageWatts: number("average_watts"), PeakWatts: number("peak_watts")}
	return nil
}

// noteChanges reads from the notes what was changed in the machine.
func (r *Result) noteChanges() {
	r.changed = map[string]bool{}
	for path := range setOf(changesOf(r.answer.Notes)) {
		r.changed[path] = true
	}
}

// OfRow is the result of a row of a database, with its inputs.
func OfRow(name string, row store.Row) (*Result, error) {
	text := func(column string) string { s, _ := row.Values[column].(string); return s }
	if s := text("status"); s != "ok" {
		return nil, fmt.Errorf("%s: this row has no answer: %s: %s", name, s, text("reason"))
	}
	r, err := Read(name, []byte(text("answer")))
	if err != nil {
		return nil, err
	}
	r.tool = text("created_by")
	p, err := experiments.RestoreRow(row)
	if err != nil {
		r.unknown.machine = err.Error()
		r.unknown.model = r.unknown.machine
		return r, nil // the figures can be compared all the same
	}
	r.machine, r.model, r.point = p.Machine, p.Model, p
	if p.Trace != nil {
		r.unknown.model = "it is a replayed trace"
	}
	return r, nil
}
