package llm

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnsupported marks models that this version knows of but cannot describe; find it with
// errors.Is.
var ErrUnsupported = errors.New("not supported yet")

// Invalid says that a field of a model or a workload is wrong. Field is its name in JSON.
type Invalid struct {
	Field, Message, Hint string
}

func (e *Invalid) Error() string { return e.Field + ": " + withHint(e.Message, e.Hint) }

// Unknown says that there is no preset of that name.
type Unknown struct {
	Name    string
	Nearest string // a name that was perhaps meant, or empty
}

func (e *Unknown) Error() string {
	s := fmt.Sprintf("unknown model %q", shorten(e.Name))
	if e.Nearest != "" {
		s += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	return s
}

// Error is one problem of a file.
type Error struct {
	File    string
	Line    int    // from 1; 0 if the problem is not on any line, such as a missing key
	Path    string // of the value, e.g. "rope_scaling.factor"; empty for the file as a whole
	Message string
	Hint    string // what to do about it, may be empty
	Cause   error  // ErrUnsupported or nil
}

// Error gives "file:line: path: message (hint)", without what is not known.
func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&s, ":%d", e.Line)
	}
	s.WriteString(": ")
	if e.Path != "" {
		s.WriteString(e.Path + ": ")
	}
	s.WriteString(withHint(e.Message, e.Hint))
	return s.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errors are all problems of a file, in the order of their lines; problems without a line come last.
type Errors []*Error

// Error gives one problem a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems, so that errors.As finds the first *Error and errors.Is any
// ErrUnsupported.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

func withHint(message, hint string) string {
	if hint == "" {
		return message
	}
	return message + " (" + hint + ")"
}

// shorten cuts text from a file for a message.
func shorten(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
