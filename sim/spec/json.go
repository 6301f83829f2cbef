package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// JSON returns v as Marshal does, in one line of JSON. JSON is YAML, so Decode reads it back as an equal value: numbers and truth values
// are what they are, quantities are texts with their units.
func JSON(v any) ([]byte, error) {
	value, f := valueOf(v)
	return appendJSON(nil, value, f, "")
}

func appendJSON(to []byte, v reflect.Value, f *form, path string) (_ []byte, err error) {
	if f.shape == scalar {
		text, err := scalarText(v)
		if err == nil && (f.text || f.typ.Kind() == reflect.String) {
			if !utf8.ValidString(text) {
				return nil, Problem{Path: path, Message: quote(text) + " is not UTF-8"}
			}
			return appendText(to, text), nil
		}
		if err != nil {
			return nil, Problem{Path: path, Message: err.Error()}
		}
		return append(to, text...), nil
	}
	if f.shape == list {
		to = append(to, '[')
		for i := range v.Len() {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = appendJSON(to, v.Index(i), f.elem, path+"["+strconv.Itoa(i)+"]"); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	}
	to = append(to, '{')
	first := true
	f.parts(v, path, func(p part) {
		if err != nil {
			return
		}
		if _, err = keyText(p.name); err != nil {
			err = Problem{Path: path, Message: err.Error()}
			return
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		to, err = appendJSON(append(appendText(to, p.name), ':'), p.value, p.form, p.path)
	})
	return append(to, '}'), err
}

// appendText appends a text in quotes. What YAML does not take as it is, is escaped, as JSON escapes it.
func appendText(to []byte, text string) []byte {
	to = append(to, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			to = append(to, '\\', byte(r))
		case r <= 0xffff && !unicode.IsPrint(r):
			to = fmt.Appendf(to, `\u%04x`, r)
		default:
			to = utf8.AppendRune(to, r)
		}
	}
	return append(to, '"')
}
