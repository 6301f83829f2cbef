package spec

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one complaint about a file or a value. Parts that are not known are left at their zero
// value and left out of the text.
type Problem struct {
	File    string // name of the file, as given to Decode
	Line    int    // line in the file, from 1; 0 where there is no file
	Path    string // what it is about, e.g. chip.memory[hbm].bandwidth; empty for the whole file
	Message string // what is wrong
	Hint    string // what to do about it
}

// String returns the problem as one line: file:line: path: message (hint).
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		b.WriteString(p.File + ": ")
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(shorten(p.Path, 200) + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return oneLine(b.String())
}

// Error returns the text of String.
func (p Problem) Error() string { return p.String() }

// Error is everything that is wrong with a file or a value, in the order of its lines.
type Error struct {
	Problems []Problem
}

// maxShown is the number of problems that a text lists; more help nobody.
const maxShown = 50

// Error returns the problems, one a line; after the first 50 it says how many more there are.
func (e *Error) Error() string {
	var lines []string
	for i, p := range e.Problems {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(e.Problems)-maxShown))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// orNil returns the error for a list of problems, nil for none. It sorts the problems by line and
// keeps the order within one.
func orNil(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	sort.SliceStable(problems, func(i, j int) bool { return problems[i].Line < problems[j].Line })
	return &Error{problems}
}

// complaint is a Problem that does not know its place yet.
type complaint struct{ message, hint string }

func complain(hint, format string, args ...any) *complaint {
	return &complaint{fmt.Sprintf(format, args...), hint}
}

// didYouMean turns a suggestion into a hint, "" into none.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + strconv.Quote(name) + "?"
}

// quote returns a text from a file in quotes, shortened so that a message stays readable.
func quote(text string) string { return strconv.Quote(shorten(text, 60)) }

// shorten cuts a text to at most n characters.
func shorten(text string, n int) string {
	seen := 0
	for i := range text {
		if seen == n {
			return text[:i] + "…"
		}
		seen++
	}
	return text
}

// oneLine replaces what would break a message into several lines or disturb a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}
