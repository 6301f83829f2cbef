package spec

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// parseScalar reads a text as a scalar and checks it against the rules.
func parseScalar(text string, f *form, r *rules) (reflect.Value, *complaint) {
	v := reflect.New(f.typ).Elem()
	var c *complaint
	switch {
	case f.text:
		c = parseText(text, v)
	case f.typ.Kind() == reflect.String:
		v.SetString(text)
	case f.typ.Kind() == reflect.Bool:
		c = parseBool(strings.TrimSpace(text), v)
	case isInt(f.typ):
		c = parseInt(strings.TrimSpace(text), v)
	default:
		c = parseFloat(strings.TrimSpace(text), v)
	}
	if c == nil {
		c = r.check(v, text)
	}
	return v, c
}

// parseText lets a type read its own text.
func parseText(text string, v reflect.Value) *complaint {
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	var quantity *units.ParseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &quantity):
		return complain(quantity.Hint, "%s: %s", quote(text), quantity.Message)
	default:
		return complain("", "%s: %v", quote(text), err)
	}
}

func parseBool(text string, v reflect.Value) *complaint {
	switch text {
	case "true", "false":
		v.SetBool(text == "true")
		return nil
	}
	hint := ""
	switch strings.ToLower(text) {
	case "true", "yes", "y", "on", "1":
		hint = "write true"
	case "false", "no", "n", "off", "0":
		hint = "write false"
	}
	return complain(hint, "%s: must be true or false", quote(text))
}

var (
	integer = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

func parseInt(text string, v reflect.Value) *complaint {
	if !integer.MatchString(text) {
		return complain(numberHint(text), "%s: must be a whole number", quote(text))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v.OverflowInt(n) {
		limit := int64(math.MaxInt64) >> (64 - v.Type().Bits())
		return complain("", "%s: must be from %d to %d", quote(text), -limit-1, limit)
	}
	v.SetInt(n)
	return nil
}

func parseFloat(text string, v reflect.Value) *complaint {
	if !decimal.MatchString(text) {
		return complain(numberHint(text), "%s: must be a finite number", quote(text))
	}
	x, err := strconv.ParseFloat(text, v.Type().Bits())
	mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
	switch {
	case err != nil:
		return complain("", "%s: too large for a number", quote(text))
	case x == 0 && strings.ContainsAny(mantissa, "123456789"):
		return complain("", "%s: too small for a number", quote(text))
	}
	v.SetFloat(x + 0) // -0 becomes 0
	return nil
}

// numberHint says what is probably wrong with the text of a number.
func numberHint(text string) string {
	unsigned := strings.TrimPrefix(text, "-")
	bare := strings.TrimLeft(unsigned, "0123456789")
	switch {
	case strings.HasPrefix(text, "+"):
		return "leave out the +"
	case strings.HasPrefix(unsigned, "."):
		if len(unsigned) > 1 && unsigned[1] >= '0' && unsigned[1] <= '9' {
			return "write 0 before the decimal point"
		}
		return ""
	case strings.HasPrefix(unsigned, "0x"), strings.HasPrefix(unsigned, "0o"), strings.HasPrefix(unsigned, "0b"):
		return "write it in decimal"
	case len(unsigned) > 1 && unsigned[0] == '0' && unsigned[1] >= '0' && unsigned[1] <= '9':
		return "leave out the leading zeros"
	case strings.ContainsAny(text, ",_'") && bare != unsigned:
		return "write digits without separators"
	case strings.HasPrefix(bare, " ") && bare != unsigned:
		return "it has no unit"
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return "write " + strconv.FormatInt(int64(x), 10)
	}
	return ""
}

// scalarText returns the text that parseScalar reads back as the same value.
func scalarText(v reflect.Value) (string, error) {
	if m, ok := addressed(v).Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		return string(text), err
	}
	switch {
	case v.Kind() == reflect.String:
		return v.String(), nil
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool()), nil
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), nil
	}
	x := v.Float()
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "", fmt.Errorf("%v is not a finite number", x)
	}
	format := byte('f')
	if x != 0 && (math.Abs(x) < 1e-6 || math.Abs(x) >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(x, format, -1, v.Type().Bits()), nil
}

// addressed returns a pointer to the value or to a copy of it.
func addressed(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

// mustText is scalarText for messages, where a value without a text is printed as it is.
func mustText(v reflect.Value) string {
	text, err := scalarText(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return text
}

// leafText returns the text of a leaf, that of a list in brackets.
func leafText(v reflect.Value, f *form) (string, error) {
	if f.shape == scalar {
		return scalarText(v)
	}
	texts := make([]string, v.Len())
	for i := range texts {
		text, err := scalarText(v.Index(i))
		if err == nil {
			texts[i], err = written(text, f.elem)
		}
		if err != nil {
			return "", err
		}
	}
	return "[" + strings.Join(texts, ", ") + "]", nil
}
