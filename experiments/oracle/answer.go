package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/traces"
)

// answer is what came of a job: the members of the answer from "status" on, without the braces, and
// the figures that limits may be put on.
type answer struct {
	members []byte
	figures []figure
	err     *Error // in place of both
}

// figure is one number of an answer.
type figure struct {
	name  string
	value float64
}

// figureNames are the figures that a limit may name.
var figureNames = []string{"seconds", "joules", "ttft_seconds", "tpot_seconds", "joules_per_token", "average_watts", "peak_watts", "usd_per_million_tokens"}

// moreFigureNames are those that can be asked for, of which less is not better.
var moreFigureNames = []string{"floor_seconds", "tokens_per_second", "mfu", "weight_bytes", "kv_bytes", "activation_bytes"}

// OpAnswer is the answer for an operator.
type OpAnswer struct {
	Status  Status  `json:"status"`
	Seconds float64 `json:"seconds"`
	Joules  float64 `json:"joules"`
	BoundBy string  `json:"bound_by"` // the cause that most of the time went to
	// FloorSeconds is what no schedule of the same plan can beat.
	FloorSeconds float64 `json:"floor_seconds"`
	// Tflops is the operations asked for in 10¹² per second; masked scores of attention do not count.
	Tflops float64 `json:"tflops,omitempty"`
	// Bytes are read from and written to memory off the chip; GigabytesPerSecond is their rate.
	Bytes              int64   `json:"bytes"`
	GigabytesPerSecond float64 `json:"gigabytes_per_second"`
	// BusBW is the bus bandwidth of a collective, see Op.BusBandwidth.
	BusBW        float64           `json:"busbw_gigabytes_per_second,omitempty"`
	AverageWatts float64           `json:"average_watts"`
	PeakWatts    float64           `json:"peak_watts"`
	Stalls       eval.StallSeconds `json:"stalls"`
	Fidelity     string            `json:"fidelity"`
	Runtime      string            `json:"runtime"`
	Notes        []string          `json:"notes,omitempty"`
	// Interval is there if it was asked for.
	Interval *eval.Interval `json:"interval,omitempty"`
	// OwnCosts says how much had costs that are not the model's.
	OwnCosts *eval.OwnCosts `json:"costs,omitempty"`
}

// modelAnswer is the answer for a model: the fields of strata.run/1, and the energy once more at the
// place where all answers have it.
type modelAnswer struct {
	Status Status  `json:"status"`
	Joules float64 `json:"joules"`
	*eval.Answer
}

// OfOp is the answer for an operator that the simulator answered with a.
func OfOp(o *Op, a *eval.Answer) OpAnswer {
	out := OpAnswer{Status: OK, Seconds: a.Seconds, Joules: a.Energy.Joules, BoundBy: a.BoundBy, FloorSeconds: a.FloorSeconds,
		AverageWatts: a.Power.AverageWatts, PeakWatts: a.Power.PeakWatts, Stalls: a.Stalls, Fidelity: a.Fidelity, Runtime: a.Runtime, Notes: a.Notes, Interval: a.Interval, OwnCosts: a.OwnCosts}
	for i := range a.Memory {
		if t := &a.Memory[i]; t.Kind != "sram" {
			out.Bytes += t.ReadBytes + t.WrittenBytes
		}
	}
	if a.Seconds == 0 {
		return out // launches may be free
	}
	if w, err := o.Work(); err == nil {
		out.Tflops = float64(w.MatrixOps) / a.Seconds / 1e12
	}
	out.GigabytesPerSecond = float64(out.Bytes) / a.Seconds / 1e9
	if o.Kind.Collective() {
		out.BusBW = o.BusBandwidth(a.Seconds) / 1e9
	}
	return out
}

// ofOp writes the answer for an operator.
func ofOp(o *Op, a *eval.Answer) *answer {
	out := OfOp(o, a)
	return encode(out, []figure{{"seconds", out.Seconds}, {"joules", out.Joules}, {"average_watts", out.AverageWatts}, {"peak_watts", out.PeakWatts}, {"floor_seconds", out.FloorSeconds}})
}

// ofModel writes the answer for a model.
func ofModel(a *eval.Answer, detail bool) *answer {
	if !detail {
		a.Operators, a.Advice = []eval.Operator{}, []eval.Advice{}
	}
	figures := []figure{{"seconds", a.Seconds}, {"joules", a.Energy.Joules}, {"joules_per_token", a.Energy.JoulesPerToken},
		{"average_watts", a.Power.AverageWatts}, {"peak_watts", a.Power.PeakWatts},
		{"floor_seconds", a.FloorSeconds}, {"tokens_per_second", a.TokensPerSecond}, {"mfu", a.MFU},
		{"weight_bytes", float64(a.Footprint.WeightBytes)}, {"kv_bytes", float64(a.Footprint.KVBytes)}, {"activation_bytes", float64(a.Footprint.ActivationBytes)}}
	if a.Phase != traces.Decode.String() {
		figures = append(figures, figure{"ttft_seconds", a.TTFTSeconds})
	}
	if a.TPOTSeconds > 0 {
		figures = append(figures, figure{"tpot_seconds", a.TPOTSeconds})
	}
	if a.Cost.USDPerMillionTokens > 0 {
		figures = append(figures, figure{"usd_per_million_tokens", a.Cost.USDPerMillionTokens})
	}
	return encode(modelAnswer{OK, a.Energy.Joules, a}, figures)
}

// encode writes an answer. A number that JSON does not have is a fault of the simulator.
func encode(v any, figures []figure) *answer {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return failed(&Error{Failed, "internal", "", shorten(err.Error()), ""})
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("}\n"))
	return &answer{members: bytes.Clone(text[1:]), figures: figures}
}

// failed is the answer that an error takes the place of.
func failed(err *Error) *answer {
	a := encode(struct {
		Status Status `json:"status"`
		Error  *Error `json:"error"`
	}{err.Status, err}, nil)
	a.err = err
	return a
}

// write appends an answer as it is sent: the request's id, what is the same for all requests that ask for the same, and how the figures compare
// with the request's limits.
func write(to []byte, q *request, members, violations []byte) []byte {
	to = append(to, '{')
	if q.id != nil {
		to = append(append(append(to, `"id":`...), q.id...), ',')
	}
	return append(append(append(to, members...), violations...), '}')
}

// figure returns the figure of that name.
func (a *answer) figure(name string) (float64, bool) {
	for i := range a.figures {
		if a.figures[i].name == name {
			return a.figures[i].value, true
		}
	}
	return 0, false
}

// chosen returns the members of an answer that has only the figures asked for; nil for the whole answer.
func (a *answer) chosen(metrics []string) ([]byte, *Error) {
	if metrics == nil || a.err != nil {
		return nil, nil
	}
	to := append([]byte(`"status":"`), OK...)
	to = append(to, '"')
	for i, name := range metrics {
		v, ok := a.figure(name)
		if !ok {
			return nil, a.lacks(fmt.Sprintf("/metrics/%d", i), name)
		}
		to = appendFigure(append(to, ','), name, v)
	}
	if i := bytes.LastIndex(a.members, []byte(columnsMember)); i >= 0 { // of a point of a space
		to = append(to, a.members[i:]...)
	}
	return to, nil
}

// appendFigure appends a member with a finite number, as package json writes it.
func appendFigure(to []byte, name string, v float64) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // figures are finite: encode saw to it
	}
	return append(append(append(append(to, '"'), name...), `":`...), text...)
}

// lacks is the error that an answer has no figure of a name.
func (a *answer) lacks(at, name string) *Error {
	var names []string
	for i := range a.figures {
		if _, is := a.figures[i].constraint(); !is {
			names = append(names, a.figures[i].name)
		}
	}
	hint := "this answer has " + strings.Join(names, ", ")
	if len(names) == 0 {
		hint = "this answer has none"
	}
	return invalid("not-applicable", at, hint, "the answer has no figure %s", name)
}

// violations returns the member that says by how much of the limit each figure exceeds it, or stays
// below it.
func (a *answer) violations(limits []limit) ([]byte, *Error) {
	if a.err != nil {
		limits = nil
	}
	to := a.constraints([]byte(`,"violations":{`))
	start := len(`,"violations":{`)
	if len(to) == start && len(limits) == 0 {
		return nil, nil
	}
	for _, l := range limits {
		v, ok := a.figure(l.name)
		if !ok {
			return nil, a.lacks("/limits/"+l.name, l.name)
		}
		if len(to) > start {
			to = append(to, ',')
		}
		to = appendFigure(to, l.name, (v-l.most)/l.most)
	}
	return append(to, '}'), nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
