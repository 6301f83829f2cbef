package spec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Marshal returns v, a struct or a pointer to one, as the YAML text that Decode reads back as an equal
// value: fields in the order of the struct, keys of maps in alphabetical order, empty fields tagged
// omitempty and nil pointers left out. Equal values have equal texts. Lists and maps that are empty
// read back as nil. The error names the path of a value that has no text: NaN, an infinity, or a text
// that is not UTF-8.
func Marshal(v any) ([]byte, error) {
	value, f := valueOf(v)
	if f.empty(value) {
		return []byte("{}\n"), nil
	}
	var w writer
	if err := w.record(value, f, "", ""); err != nil {
		return nil, err
	}
	return w.out.Bytes(), nil
}

type writer struct{ out bytes.Buffer }

// record writes the parts of a record or a table, one a line at an indent. The first is not indented, so
// that it can follow the dash of a list.
func (w *writer) record(v reflect.Value, f *form, path, indent string) (err error) {
	first := true
	f.parts(v, path, func(p part) {
		if err != nil {
			return
		}
		if !first {
			w.out.WriteString(indent)
		}
		first = false
		var key string
		if key, err = keyText(p.name); err != nil {
			err = Problem{Path: path, Message: err.Error()}
		} else {
			w.out.WriteString(key + ":")
			err = w.value(p, indent)
		}
	})
	return err
}

// value writes what follows the colon of a key at an indent.
func (w *writer) value(p part, indent string) error {
	if p.form.leaf() {
		text, err := leafText(p.value, p.form)
		if err == nil && p.form.shape == scalar {
			text, err = written(text, p.form)
		}
		if err != nil {
			return Problem{Path: p.path, Message: err.Error()}
		}
		w.out.WriteString(" " + text + "\n")
		return nil
	}
	if p.form.empty(p.value) {
		brackets := " {}\n"
		if p.form.shape == list {
			brackets = " []\n"
		}
		w.out.WriteString(brackets)
		return nil
	}
	w.out.WriteString("\n")
	deeper := indent + "  "
	if p.form.shape != list {
		w.out.WriteString(deeper)
		return w.record(p.value, p.form, p.path, deeper)
	}
	var err error
	p.form.parts(p.value, p.path, func(e part) {
		switch {
		case err != nil:
		case e.form.empty(e.value):
			w.out.WriteString(deeper + "- {}\n")
		default:
			w.out.WriteString(deeper + "- ")
			err = w.record(e.value, e.form, e.path, deeper+"  ")
		}
	})
	return err
}

// empty reports whether nothing is given within a value.
func (f *form) empty(v reflect.Value) bool {
	n := 0
	f.parts(v, "", func(part) { n++ })
	return n == 0
}

// plain matches texts that need no quotes anywhere in YAML, also within brackets.
var plain = regexp.MustCompile(`^[A-Za-z0-9$][A-Za-z0-9 _./+$²-]*$`)

// reserved are plain texts that YAML readers take for something other than a text.
var reserved = map[string]bool{"true": true, "false": true, "yes": true, "no": true, "on": true, "off": true, "y": true, "n": true, "null": true}

// written returns the text of a scalar as it stands in a file: numbers and truth values as they are,
// other texts in quotes where they need them.
func written(text string, f *form) (string, error) {
	if !f.text && f.typ.Kind() != reflect.String {
		return text, nil
	}
	return quoted(text)
}

// keyText returns a key as it stands in a file.
func keyText(key string) (string, error) {
	switch {
	case key == "":
		return "", errors.New("a key is empty")
	case len(key) > maxKey:
		return "", fmt.Errorf("a key of %d bytes: a file has at most %d bytes", len(key), maxKey)
	}
	return quoted(key)
}

// quoted returns a text in quotes if it would not be read back as the same text without.
func quoted(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("%s is not UTF-8", quote(text))
	}
	_, number := strconv.ParseFloat(text, 64)
	_, integer := strconv.ParseInt(text, 0, 64)
	if plain.MatchString(text) && !strings.HasSuffix(text, " ") && !reserved[strings.ToLower(text)] && number != nil && integer != nil {
		return text, nil
	}
	// Go's quoting is YAML's for all that is not printable, and both escape " and \ alike.
	return strconv.Quote(text), nil
}
