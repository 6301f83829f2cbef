package traces

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A strict reader of one JSON object a line. encoding/json would take the last of two members of one
// name, round large numbers and say little about where it stopped.

// member is a name and the text of its value, which begins with its first byte: a quote, a bracket, a
// digit, a minus sign, or t, f or n.
type member struct {
	name string
	raw  []byte
}

// syntaxError says where an object is malformed. Short means that the text ended too early, as it
// does where a file was cut.
type syntaxError struct {
	offset        int
	message, hint string
	short         bool
}

const (
	maxMembers = 64
	maxDepth   = 32
)

type scanner struct {
	b []byte
	i int
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// next skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) atEnd() bool { return s.i >= len(s.b) }

func (s *scanner) fail(message, hint string) *syntaxError {
	if s.atEnd() {
		return &syntaxError{offset: s.i, message: "the line ends inside the object", hint: "every record is on one line", short: true}
	}
	return &syntaxError{offset: s.i, message: message, hint: hint}
}

// found describes the byte that was not expected.
func (s *scanner) found() string {
	if s.atEnd() {
		return "the end"
	}
	return strconv.QuoteRune(rune(s.b[s.i]))
}

// object reads the whole of b as an object and appends its members to into.
func object(b []byte, into []member) ([]member, *syntaxError) {
	s := scanner{b: b}
	if s.next() != '{' {
		return into, s.fail("a record is a JSON object in braces, found "+s.found(), "")
	}
	s.i++
	if s.next() == '}' {
		s.i++
		return into, s.end()
	}
	for {
		if s.next() != '"' {
			return into, s.fail("a member begins with its name in double quotes, found "+s.found(), "")
		}
		start := s.i
		if err := s.text(); err != nil {
			return into, err
		}
		name := textOf(s.b[start:s.i])
		if s.next() != ':' {
			return into, s.fail("a colon must follow the name of a member, found "+s.found(), "")
		}
		s.i++
		s.space()
		at := s.i
		if err := s.value(0); err != nil {
			return into, err
		}
		if len(into) == maxMembers {
			return into, &syntaxError{offset: start, message: fmt.Sprintf("more than %d members", maxMembers)}
		}
		into = append(into, member{name, s.b[at:s.i]})
		switch s.next() {
		case ',':
			s.i++
		case '}':
			s.i++
			return into, s.end()
		default:
			return into, s.fail("a comma or a closing brace must follow a value, found "+s.found(), "")
		}
	}
}

// end checks that nothing follows the object.
func (s *scanner) end() *syntaxError {
	s.space()
	if !s.atEnd() {
		return &syntaxError{offset: s.i, message: "text after the object: " + s.found(), hint: "one object a line"}
	}
	return nil
}

// text reads a string in quotes.
func (s *scanner) text() *syntaxError {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return nil
		case c < ' ':
			return s.fail("a control character in a string", "")
		case c == '\\':
			s.i++
			if s.atEnd() {
				return s.fail("", "")
			}
			if s.b[s.i] == 'u' {
				for range 4 {
					s.i++
					if s.atEnd() || !isHex(s.b[s.i]) {
						return s.fail(`four hexadecimal digits must follow \u`, "")
					}
				}
			} else if !strings.ContainsRune(`"\/bfnrt`, rune(s.b[s.i])) {
				return s.fail("an unknown escape in a string", `a backslash is written \\`)
			}
		}
	}
	return s.fail("", "")
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }
func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}

// value skips one value.
func (s *scanner) value(depth int) *syntaxError {
	if depth > maxDepth {
		return s.fail("arrays and objects are nested too deeply", "")
	}
	switch c := s.next(); {
	case c == '"':
		return s.text()
	case c == '-' || isDigit(c):
		return s.number()
	case c == '[' || c == '{':
		open, closing := c, byte(']')
		if open == '{' {
			closing = '}'
		}
		s.i++
		if s.next() == closing {
			s.i++
			return nil
		}
		for {
			if open == '{' {
				if s.next() != '"' {
					return s.fail("a member begins with its name in double quotes, found "+s.found(), "")
				}
				if err := s.text(); err != nil {
					return err
				}
				if s.next() != ':' {
					return s.fail("a colon must follow the name of a member, found "+s.found(), "")
				}
				s.i++
			}
			if err := s.value(depth + 1); err != nil {
				return err
			}
			switch s.next() {
			case ',':
				s.i++
			case closing:
				s.i++
				return nil
			default:
				return s.fail(fmt.Sprintf("a comma or %q must follow, found %s", closing, s.found()), "")
			}
		}
	}
	start := s.i
	for s.i < len(s.b) && (isLetter(s.b[s.i]) || s.i > start && isDigit(s.b[s.i])) {
		s.i++
	}
	switch word := string(s.b[start:s.i]); word {
	case "true", "false", "null":
		return nil
	case "":
		hint := ""
		if !s.atEnd() && s.b[s.i] == '\'' {
			hint = "strings are in double quotes"
		}
		return s.fail("a value is missing, found "+s.found(), hint)
	default:
		if s.atEnd() {
			return s.fail("", "")
		}
		s.i = start
		if strings.EqualFold(word, "nan") || strings.EqualFold(word, "inf") || strings.EqualFold(word, "infinity") {
			return s.fail(word+" is not a number that a trace can hold", "counts are whole numbers")
		}
		return s.fail(fmt.Sprintf("%q is not a value", shorten(word)), "strings are in double quotes")
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

// number skips a number.
func (s *scanner) number() *syntaxError {
	digits := func(what string) *syntaxError {
		start := s.i
		for s.i < len(s.b) && isDigit(s.b[s.i]) {
			s.i++
		}
		if s.i == start {
			if !s.atEnd() && isLetter(s.b[s.i]) {
				return s.value(0) // -Infinity, -NaN: says so
			}
			return s.fail("digits are missing "+what+", found "+s.found(), "")
		}
		return nil
	}
	if s.b[s.i] == '-' {
		s.i++
	}
	start := s.i
	if err := digits("in a number"); err != nil {
		return err
	}
	if s.b[start] == '0' && s.i > start+1 {
		s.i = start
		return s.fail("a number must not begin with zero", "")
	}
	if !s.atEnd() && s.b[s.i] == '.' {
		s.i++
		if err := digits("after the point"); err != nil {
			return err
		}
	}
	if !s.atEnd() && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if !s.atEnd() && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if err := digits("in the exponent"); err != nil {
			return err
		}
	}
	if !s.atEnd() && (isLetter(s.b[s.i]) || s.b[s.i] == '.') {
		return s.fail("a number is followed by "+s.found(), "counts are plain numbers without a unit")
	}
	return nil
}

// textOf returns what a string in quotes says.
func textOf(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	_ = json.Unmarshal(raw, &text) // the scanner has checked it; what is no UTF-8 becomes U+FFFD
	return text
}

// what names the type of a value, for messages.
func what(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '[':
		return "an array"
	case '{':
		return "an object"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}

// integer reads a whole number, also when it is written with a point or an exponent. Otherwise it
// says what is wrong.
func integer(raw []byte) (v int64, problem, hint string) {
	if c := raw[0]; c != '-' && !isDigit(c) {
		if c == '"' {
			return 0, "must be a whole number, is the string " + shorten(string(raw)), "write the number without quotes"
		}
		return 0, "must be a whole number, is " + what(raw), ""
	}
	if len(raw) <= 18 { // the usual case, cannot overflow
		for i, c := range raw {
			if !isDigit(c) {
				break
			}
			v = v*10 + int64(c-'0')
			if i == len(raw)-1 {
				return v, "", ""
			}
		}
	}
	text := string(raw)
	mantissa, negative := strings.CutPrefix(text, "-")
	exponent := 0
	if at := strings.IndexAny(mantissa, "eE"); at >= 0 {
		e, err := strconv.Atoi(mantissa[at+1:])
		if err != nil || e > 1<<20 || e < -1<<20 {
			e = 1 << 21 // past any number of digits that a line holds
			if mantissa[at+1] == '-' {
				e = -e
			}
		}
		mantissa, exponent = mantissa[:at], e
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	switch {
	case trimmed == "":
		return 0, "", ""
	case exponent < 0:
		return 0, shorten(text) + ": must be a whole number", ""
	case len(trimmed)+exponent > 19:
		return 0, shorten(text) + ": too large", "at most " + strconv.Itoa(math.MaxInt64)
	}
	u, err := strconv.ParseUint(trimmed+strings.Repeat("0", exponent), 10, 63)
	if err != nil {
		return 0, shorten(text) + ": too large", "at most " + strconv.Itoa(math.MaxInt64)
	}
	if negative {
		return -int64(u), "", ""
	}
	return int64(u), "", ""
}

// elements calls f with every element of an array that the scanner has checked, until f says stop.
func elements(raw []byte, f func(i int, raw []byte) bool) {
	s := scanner{b: raw, i: 1}
	for i := 0; s.next() != ']'; i++ {
		start := s.i
		if s.value(0) != nil || !f(i, raw[start:s.i]) {
			return
		}
		if s.next() == ',' {
			s.i++
		}
	}
}

// appendText appends a JSON string. The text is valid UTF-8.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[start:i]...)
			start = i + 1
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, '\\', c)
			}
		}
	}
	return append(append(b, s[start:]...), '"')
}
