package oracle

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// Status says what came of a request.
type Status string

// The statuses. Infeasible is a well-formed request for something that does not fit, Invalid a wrong
// one, Unsupported a right one that this version does not simulate, Failed a fault of the simulator.
const (
	OK          Status = "ok"
	Infeasible  Status = "infeasible"
	Invalid     Status = "invalid"
	Unsupported Status = "unsupported"
	Timeout     Status = "timeout"
	Failed      Status = "error"
)

// Error is why a request has no numbers.
type Error struct {
	Status  Status `json:"-"`
	Code    string `json:"code"` // for programs: stays the same when messages get better
	Path    string `json:"path"` // RFC 6901 pointer into the request, "" for all of it
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to do about it, may be empty
}

// Error gives everything in one line.
func (e *Error) Error() string {
	s := string(e.Status) + ": "
	if e.Path != "" {
		s += e.Path + ": "
	}
	s += e.Message
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// pointer is the RFC 6901 pointer of a member of the object at.
func pointer(at, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return at + "/" + shorten(name)
}

// mappingPointer turns the path of a part of a mapping, kernels[3].pin.tile, into its pointer.
func mappingPointer(path string) string {
	if path == "" {
		return "/mapping"
	}
	return "/mapping/" + strings.NewReplacer(".", "/", "[", "/", "]", "").Replace(shorten(path))
}

// shorten cuts text of the request for a message.
func shorten(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func invalid(code, path, hint, format string, args ...any) *Error {
	return &Error{Invalid, code, path, fmt.Sprintf(format, args...), hint}
}

func unsupported(code, path, hint, format string, args ...any) *Error {
	return &Error{Unsupported, code, path, fmt.Sprintf(format, args...), hint}
}

func duplicate(path string, name []byte) *Error {
	return invalid("duplicate-member", path, "leave one of them out", "member %q is there twice", shorten(string(name)))
}

// nearest is a hint with the known word that was perhaps meant, or else all of them if they are few.
func nearest(name string, known []string) string {
	if s := spec.Suggest(name, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	var once []string // a member may be asked for twice
	for _, k := range known {
		if !slices.Contains(once, k) {
			once = append(once, k)
		}
	}
	if len(once) > 48 { // those of them that have it in their name
		once = slices.DeleteFunc(once, func(k string) bool { return !strings.Contains(strings.ToLower(k), strings.ToLower(name)) })
	}
	if len(once) > 0 && len(once) <= 48 {
		return "known: " + strings.Join(once, ", ")
	}
	return ""
}

// flag is a command-line flag in a message that was written for the command line.
var flag = regexp.MustCompile(`--[a-z]+(-[a-z]+)*`)

// members turns the flags of a hint into members of a request.
func members(hint string) string {
	return flag.ReplaceAllStringFunc(hint, func(f string) string {
		name := strings.ReplaceAll(f[2:], "-", "_")
		if name == "tp" {
			name = "parallel.tp"
		}
		return name
	})
}

// Pointers of what a request asks about.
const (
	wholeOp    = "/op"
	wholeModel = "/model"
)

// explain turns an error of the simulator into the answer's. fields finds the pointer of a field that
// an error names; whole is the pointer of what was asked about.
func explain(err error, whole string, fields func(field string) string) *Error {
	var (
		unfit   *plan.DoesNotFit
		over    *plan.OverLimit
		mapping *plan.Invalid
		work    *llm.Invalid
		graph   *traces.Invalid
		dtype   *compute.UnsupportedType
		none    *eval.NoCost
		pins    *spec.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Timeout, "timeout", "/timeout_seconds", "no answer within the time allowed", `allow more, or ask with "fidelity":"analytic"`}
	case errors.As(err, &none):
		return unsupported("no-cost", whole, "", "%s", none.Error())
	case errors.As(err, &pins) && pins.Problems[0].File != "": // it is what has costs of its own
		return &Error{Failed, "cost", whole, pins.Error(), ""}
	case errors.As(err, &pins): // machines and models have been read by now
		p := pins.Problems[0]
		return invalid("mapping", mappingPointer(p.Path), p.Hint, "%s", p.Message)
	case errors.As(err, &unfit):
		bare := *unfit
		bare.Hint = ""
		e := &Error{Infeasible, "does-not-fit", whole, bare.Error(), members(unfit.Hint)}
		if whole == wholeOp {
			e.Hint = "a smaller operator" // it cannot be spread over chips
		}
		return e
	case errors.As(err, &over):
		return &Error{Infeasible, "power-limit", "/power_limit", over.Error(), "a higher limit"}
	case errors.As(err, &dtype):
		return unsupported("dtype", fields("dtype"), "known: "+strings.Join(dtype.Known, ", "), "the matrix unit has no rate for %s", dtype.Type)
	case errors.Is(err, plan.ErrUnsupported) || errors.Is(err, llm.ErrUnsupported):
		return unsupported("not-simulated", whole, "", "%v", err)
	case errors.Is(err, plan.ErrTooLarge):
		hint := "a smaller operator, or a faster machine"
		if whole == wholeModel {
			hint = "a smaller prompt or batch, or a faster machine"
		}
		return invalid("too-large", whole, hint, "%v", err)
	case errors.As(err, &mapping):
		return invalid("value", fields(mapping.Field), members(mapping.Hint), "%s", mapping.Message)
	case errors.As(err, &work):
		return invalid("value", fields(work.Field), members(work.Hint), "%s", work.Message)
	case errors.As(err, &graph): // single dimensions have been checked: it is their product
		return invalid("too-large", whole, members(graph.Hint), "%s", graph.Message)
	}
	return &Error{Failed, "internal", "", shorten(err.Error()), "this is a fault of the simulator: please report it with the request"}
}
