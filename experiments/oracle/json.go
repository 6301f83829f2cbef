package oracle

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep arrays and objects may nest.
const maxDepth = 64

// kind is the kind of a JSON value.
type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	array
	object
)

// String names the kind for messages.
func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// value is a JSON value. It refers to the bytes that it was parsed from. There may be one for every two bytes, so it is small.
type value struct {
	kind kind
	raw  []byte // as written
	in   *inside
}

// inside is what a value has beside its text: nil for an array or object of nothing, and for a string that is as it is written.
type inside struct {
	text    []byte // of a string, decoded
	items   []value
	members []member
}

// chars is a string, decoded; nil for what is none.
func (v *value) chars() []byte {
	switch {
	case v.kind != text:
		return nil
	case v.in != nil:
		return v.in.text
	}
	return v.raw[1 : len(v.raw)-1]
}

// items are those of an array.
func (v *value) items() []value {
	if v.in == nil {
		return nil
	}
	return v.in.items
}

// members are those of an object.
func (v *value) members() []member {
	if v.in == nil {
		return nil
	}
	return v.in.members
}

// textOf is a string as a value.
func textOf(s string) *value { return &value{kind: text, in: &inside{text: []byte(s)}} }

// member is one name and value of an object, in the order of the text. Two may have the same name:
// whoever reads the object refuses that, so that one bad request of a batch does not spoil the rest.
type member struct {
	name  []byte
	value value
	used  bool
}

// parse reads one JSON value, strictly as RFC 8259 has it. When the text is malformed the error says
// at which byte, and the value holds what was read until then.
func parse(data []byte) (value, *Error) {
	p := parser{data: data}
	var v value
	if p.value(&v, 0) {
		p.space()
		if p.at == len(data) {
			return v, nil
		}
		p.fail("something follows the end of the value")
	}
	return v, p.err
}

type parser struct {
	data []byte
	at   int
	err  *Error
	// Of the objects that are open: what was read of them, one behind the other. When one is closed it gets as much room as it needs.
	open []member
}

// fail notes the error and returns false, for the callers to return.
func (p *parser) fail(format string, args ...any) bool {
	message := fmt.Sprintf(format, args...)
	if p.at >= len(p.data) {
		message = "the text ends too early"
	}
	p.err = &Error{Invalid, "syntax", "", fmt.Sprintf("not JSON at byte %d: %s", p.at+1, message), "one JSON object or array a line"}
	return false
}

func (p *parser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *parser) value(v *value, depth int) bool {
	p.space()
	start := p.at
	ok := false
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth == maxDepth {
			p.err = &Error{Invalid, "too-deep", "", fmt.Sprintf("arrays and objects nest deeper than %d", maxDepth), ""}
			return false
		}
		if c == '{' {
			v.kind, ok = object, p.object(v, depth+1)
		} else {
			v.kind, ok = array, p.array(v, depth+1)
		}
	case c == '"':
		v.kind = text
		var s []byte
		if s, ok = p.text(); !ok || len(s) != p.at-start-2 { // an escape is longer than what it stands for
			v.in = &inside{text: s}
		}
	case c == '-' || '0' <= c && c <= '9':
		v.kind, ok = number, p.number()
	case c == 't':
		v.kind, ok = boolean, p.word("true")
	case c == 'f':
		v.kind, ok = boolean, p.word("false")
	case c == 'n':
		v.kind, ok = null, p.word("null")
	default:
		return p.fail("no value begins with %s", quoteByte(c))
	}
	v.raw = p.data[start:p.at]
	return ok
}

func quoteByte(c byte) string {
	if c < utf8.RuneSelf {
		return strconv.QuoteRune(rune(c))
	}
	return fmt.Sprintf("byte 0x%02x", c)
}

func (p *parser) word(w string) bool {
	if !bytes.HasPrefix(p.data[p.at:], []byte(w)) {
		return p.fail("neither true, false nor null")
	}
	p.at += len(w)
	return true
}

func (p *parser) array(v *value, depth int) bool {
	p.at++
	if p.space(); p.peek() == ']' {
		p.at++
		return true
	}
	v.in = new(inside)
	for {
		v.in.items = append(v.in.items, value{})
		if !p.value(&v.in.items[len(v.in.items)-1], depth) {
			return false
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return true
		default:
			return p.fail("expected a comma or the end of the array")
		}
	}
}

func (p *parser) object(v *value, depth int) bool {
	p.at++
	if p.space(); p.peek() == '}' {
		p.at++
		return true
	}
	first := len(p.open)
	ok := p.members(depth)
	v.in = &inside{members: slices.Clone(p.open[first:])}
	clear(p.open[first:])
	p.open = p.open[:first]
	return ok
}

// members reads the members of an object, of which there is one or more, behind the open ones. What was read whole is there also where it fails.
func (p *parser) members(depth int) bool {
	for {
		if p.space(); p.peek() != '"' {
			return p.fail("expected the name of a member in double quotes")
		}
		name, ok := p.text()
		if !ok {
			return false
		}
		if p.space(); p.peek() != ':' {
			return p.fail("expected a colon")
		}
		p.at++
		m := member{name: name}
		if !p.value(&m.value, depth) {
			return false
		}
		p.open = append(p.open, m)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return true
		default:
			return p.fail("expected a comma or the end of the object")
		}
	}
}

func (p *parser) digits() bool {
	start := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > start
}

func (p *parser) number() bool {
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return p.fail("expected a digit")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return p.fail("expected a digit")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return p.fail("expected a digit")
		}
	}
	return true
}

// text reads a string. Without escapes the result is a part of the line.
func (p *parser) text() ([]byte, bool) {
	p.at++
	start := p.at
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			s := p.data[start:p.at]
			p.at++
			return s, true
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return nil, p.fail("a control character in a string")
		case c < utf8.RuneSelf:
			p.at++
		default:
			_, n := utf8.DecodeRune(p.data[p.at:])
			if n == 1 {
				return nil, p.fail("a string that is not UTF-8")
			}
			p.at += n
		}
	}
	return nil, p.fail("")
}

// escaped reads the rest of a string from its first escape on.
func (p *parser) escaped(start int) ([]byte, bool) {
	s := slices.Clone(p.data[start:p.at])
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return s, true
		case c < ' ':
			return nil, p.fail("a control character in a string")
		case c == '\\':
			p.at++
			r, ok := p.escape()
			if !ok {
				return nil, false
			}
			s = utf8.AppendRune(s, r)
		default:
			r, n := utf8.DecodeRune(p.data[p.at:])
			if r == utf8.RuneError && n == 1 {
				return nil, p.fail("a string that is not UTF-8")
			}
			s = append(s, p.data[p.at:p.at+n]...)
			p.at += n
		}
	}
	return nil, p.fail("")
}

// escape reads what follows a backslash.
func (p *parser) escape() (rune, bool) {
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	c := p.peek()
	if i := bytes.IndexByte([]byte(from), c); i >= 0 {
		p.at++
		return rune(to[i]), true
	}
	if c != 'u' {
		return 0, p.fail("an unknown escape in a string")
	}
	p.at++
	r, ok := p.hex()
	if !ok {
		return 0, false
	}
	if utf16.IsSurrogate(r) && bytes.HasPrefix(p.data[p.at:], []byte(`\u`)) {
		back := p.at
		p.at += 2
		low, ok := p.hex()
		if !ok {
			return 0, false
		}
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, true
		}
		p.at = back
	}
	if utf16.IsSurrogate(r) {
		return 0, p.fail("half of a surrogate pair in a string")
	}
	return r, true
}

func (p *parser) hex() (rune, bool) {
	if len(p.data)-p.at < 4 {
		p.at = len(p.data)
		return 0, p.fail("")
	}
	n, err := strconv.ParseUint(string(p.data[p.at:p.at+4]), 16, 16)
	if err != nil {
		return 0, p.fail("expected four hexadecimal digits")
	}
	p.at += 4
	return rune(n), true
}

// canonical appends the value as compact JSON with the members of objects sorted by name, so that
// equal values have equal text. at is the pointer of the value, for the error of a duplicate member.
func (v *value) canonical(to []byte, at string) ([]byte, *Error) {
	var err *Error
	switch v.kind {
	case text:
		return appendText(to, v.chars()), nil
	case array:
		to = append(to, '[')
		items := v.items()
		for i := range items {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = items[i].canonical(to, at+"/"+strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case object:
		sorted := slices.Clone(v.members())
		slices.SortStableFunc(sorted, func(a, b member) int { return bytes.Compare(a.name, b.name) })
		to = append(to, '{')
		for i := range sorted {
			m := &sorted[i]
			path := pointer(at, string(m.name))
			if i > 0 {
				if bytes.Equal(m.name, sorted[i-1].name) {
					return nil, duplicate(path, m.name)
				}
				to = append(to, ',')
			}
			to = append(appendText(to, m.name), ':')
			if to, err = m.value.canonical(to, path); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	}
	return append(to, v.raw...), nil
}

// appendText appends a JSON string.
func appendText(to, s []byte) []byte {
	const hex = "0123456789abcdef"
	to = append(to, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < ' ':
			to = append(to, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}
