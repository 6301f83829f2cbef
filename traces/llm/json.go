package llm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// MaxFile bounds a config.json, in bytes.
const MaxFile = 4 << 20

// maxDepth bounds how deep objects and lists nest in a config.json; real ones stay below 6.
const maxDepth = 64

// maxValues bounds how many values a config.json holds: a description of a classifier may list some
// twenty thousand labels.
const maxValues = 200_000

// value is a JSON value that knows where it stood.
type value struct {
	offset  int64 // of the end of its first token
	kind    kind
	boolean bool
	text    string // of a string, or the digits of a number
	members []member
	list    []value
}

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	object
	list
)

var kindNames = [...]string{"null", "true or false", "a number", "a string", "an object", "a list"}

func (k kind) String() string { return kindNames[k] }

type member struct {
	key    string
	offset int64 // of the end of the key
	value  value
}

// document is a parsed file.
type document struct {
	file   string
	data   []byte
	root   value
	values int // read so far
	errors Errors
}

// line returns the line of the last byte before an offset, from 1.
func (d *document) line(offset int64) int {
	offset = max(0, min(offset, int64(len(d.data))))
	return 1 + bytes.Count(d.data[:offset], []byte{'\n'})
}

// fail notes a problem; offset < 0 means that it is on no line.
func (d *document) fail(offset int64, path, message, hint string) *Error {
	e := &Error{File: d.file, Path: path, Message: message, Hint: hint}
	if offset >= 0 {
		e.Line = d.line(offset)
	}
	d.errors = append(d.errors, e)
	return e
}

// parse reads the bytes into root, noting what is wrong.
func (d *document) parse() {
	d.data = bytes.TrimPrefix(d.data, []byte("\xef\xbb\xbf")) // byte order mark
	switch {
	case len(d.data) > MaxFile:
		d.fail(-1, "", fmt.Sprintf("%d bytes, a configuration has at most %d", len(d.data), MaxFile), "is this the right file?")
		return
	case len(bytes.TrimSpace(d.data)) == 0:
		d.fail(-1, "", "the file is empty", "a config.json of a model is needed")
		return
	case bytes.IndexByte(d.data, 0) >= 0 || !utf8.Valid(d.data):
		d.fail(-1, "", "not a text file", "a config.json is needed, not the weights")
		return
	}
	dec := json.NewDecoder(bytes.NewReader(d.data))
	dec.UseNumber()
	root, err := d.value(dec, "", 0)
	if err != nil {
		var stop stopped
		if !errors.As(err, &stop) {
			d.syntax(dec, err)
		}
		return
	}
	if root.kind != object {
		d.fail(root.offset, "", "must be an object, is "+root.kind.String(), "a config.json begins with {")
		return
	}
	end := dec.InputOffset()
	if _, err := dec.Token(); err != io.EOF {
		rest := d.data[end:]
		d.fail(end+int64(len(rest)-len(bytes.TrimLeft(rest, " \t\r\n"))), "", "something follows the closing }", "one configuration a file")
		return
	}
	d.root = root
}

// syntax reports an error of the decoder.
func (d *document) syntax(dec *json.Decoder, err error) {
	var bad *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		d.fail(int64(len(bytes.TrimRight(d.data, " \t\r\n"))), "", "the file ends in the middle", "was it downloaded completely?")
	case errors.As(err, &bad):
		at := max(bad.Offset, dec.InputOffset())
		hint := ""
		after := string(bytes.TrimLeft(d.data[min(dec.InputOffset(), int64(len(d.data))):], " \t\r\n:,"))
		for _, word := range []string{"NaN", "Infinity", "-Infinity"} {
			if strings.HasPrefix(after, word) {
				hint = "JSON has no NaN or Infinity: write a number or null"
			}
		}
		d.fail(at, "", "not JSON: "+bad.Error(), hint)
	default:
		d.fail(dec.InputOffset(), "", "not JSON: "+err.Error(), "")
	}
}

// stopped says that the problem has been noted.
type stopped struct{}

func (stopped) Error() string { return "stopped" }

// value reads one value with all that is in it.
func (d *document) value(dec *json.Decoder, path string, depth int) (value, error) {
	tok, err := dec.Token()
	if err != nil {
		return value{}, err
	}
	return d.rest(dec, tok, path, depth)
}

// rest reads the value whose first token is tok.
func (d *document) rest(dec *json.Decoder, tok json.Token, path string, depth int) (value, error) {
	v := value{offset: dec.InputOffset()}
	if d.values++; d.values > maxValues {
		d.fail(v.offset, "", fmt.Sprintf("more than %d values", maxValues), "is this the right file?")
		return v, stopped{}
	}
	switch t := tok.(type) {
	case nil:
	case bool:
		v.kind, v.boolean = boolean, t
	case json.Number:
		v.kind, v.text = number, t.String()
	case string:
		v.kind, v.text = text, t
	case json.Delim:
		if depth >= maxDepth {
			d.fail(v.offset, "", fmt.Sprintf("objects and lists nest deeper than %d", maxDepth), "")
			return v, stopped{}
		}
		if t == '[' {
			return d.elements(dec, v, path, depth)
		}
		return d.object(dec, v, path, depth)
	}
	return v, nil
}

func (d *document) elements(dec *json.Decoder, v value, path string, depth int) (value, error) {
	v.kind = list
	for {
		tok, err := dec.Token()
		if err != nil {
			return v, err
		}
		if tok == json.Delim(']') {
			return v, nil
		}
		// The path of an element is the list's: naming each would cost more than the file.
		e, err := d.rest(dec, tok, path, depth+1)
		if err != nil {
			return v, err
		}
		v.list = append(v.list, e)
	}
}

func (d *document) object(dec *json.Decoder, v value, path string, depth int) (value, error) {
	v.kind = object
	seen := map[string]int64{}
	for {
		tok, err := dec.Token()
		if err != nil {
			return v, err
		}
		if tok == json.Delim('}') {
			return v, nil
		}
		key, _ := tok.(string)
		m := member{key: key, offset: dec.InputOffset()}
		at := join(path, key)
		if first, ok := seen[key]; ok {
			if len(d.errors) < maxErrors {
				d.fail(m.offset, at, fmt.Sprintf("the key is there twice, first on line %d", d.line(first)), "remove one")
			}
		} else {
			seen[key] = m.offset
		}
		if m.value, err = d.value(dec, at, depth+1); err != nil {
			return v, err
		}
		v.members = append(v.members, m)
	}
}

// maxErrors bounds how many problems of one file are listed.
const maxErrors = 50

func join(path, key string) string {
	key = shorten(key)
	if path == "" {
		return key
	}
	if len(path) > 200 {
		return path
	}
	return path + "." + key
}

// find returns the member of that key.
func (v *value) find(key string) *member {
	for i := range v.members {
		if v.members[i].key == key {
			return &v.members[i]
		}
	}
	return nil
}
