package traces

import (
	"fmt"
	"strings"
	"unicode"
)

// ReadError is one thing that is wrong with a trace.
type ReadError struct {
	File    string
	Line    int    // from 1
	Path    string // record and member, such as "op.m"; "" where the line is at fault
	Message string
	Hint    string // what may help, or ""
	Err     error  // what the reader of the file said, or nil
}

func (e *ReadError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	// A name from the file must neither break the line nor reach a terminal as a command.
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, b.String())
}

// Unwrap returns what the reader of the file said.
func (e *ReadError) Unwrap() error { return e.Err }

// ReadErrors are the things that are wrong with a trace, in the order of the file: at least one, at
// most 20.
type ReadErrors []*ReadError

func (e ReadErrors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look at each of them.
func (e ReadErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

const maxProblems = 20
