package spec

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// rules are the constraints of a field, from its spec tag.
type rules struct {
	required  bool     // the key must be there, and a text must not be empty
	unsourced bool     // "-": not a fact about the subject, so no source is asked for
	unique    bool     // elements differ, records by their name
	alone     bool     // stands for the rest of its record: where it is given, the other fields are not
	oneof     []string // the texts allowed
	value     []bound  // of each scalar
	length    []bound  // of a list
}

// bound is one limit of a number.
type bound struct {
	word  string // min, max or gt
	limit reflect.Value
}

// boundWords says in a message what a bound demands.
var boundWords = map[string]string{"min": "at least", "max": "at most", "gt": "more than"}

// holds reports whether a number keeps within the bound.
func (b bound) holds(v reflect.Value) bool {
	c := compare(v, b.limit)
	switch b.word {
	case "min":
		return c >= 0
	case "max":
		return c <= 0
	default:
		return c > 0
	}
}

// compare returns the sign of a − b for two numbers of the same kind.
func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt() && a.Int() < b.Int(), a.CanFloat() && a.Float() < b.Float():
		return -1
	case a.CanInt() && a.Int() > b.Int(), a.CanFloat() && a.Float() > b.Float():
		return 1
	}
	return 0
}

// takesArgument lists the constraints and says which are written with an argument.
var takesArgument = map[string]bool{"required": false, "unique": false, "alone": false, "-": false, "oneof": true, "min": true, "max": true, "gt": true}

// parseRules reads a spec tag. It calls fail, which must not return, for one that makes no sense.
func parseRules(tag string, f *form, fail func(format string, args ...any)) rules {
	var r rules
	if tag == "" {
		return r
	}
	seen := map[string]bool{}
	for _, part := range strings.Split(tag, ",") {
		word, arg, hasArg := strings.Cut(part, "=")
		if seen[word] {
			fail("constraint %q is given twice", word)
		}
		seen[word] = true
		if takes, known := takesArgument[word]; !known || takes != hasArg {
			fail("unknown constraint %q", part)
		}
		switch word {
		case "required":
			r.required = true
		case "-":
			r.unsourced = true
		case "alone":
			if f.shape != scalar || f.text || f.typ.Kind() != reflect.String {
				fail("alone needs a text")
			}
			r.alone = true
		case "unique":
			if f.shape != list || f.elem.shape == record && f.elem.name() == nil {
				fail("unique needs a list of scalars or of structs with a name")
			}
			r.unique = true
		case "oneof":
			if e := f.scalar(); e == nil || e.text || e.typ.Kind() != reflect.String || strings.Trim(arg, "|") == "" {
				fail("oneof needs a text and alternatives")
			}
			r.oneof = strings.Split(arg, "|")
		case "min", "max", "gt":
			r.addBound(word, arg, f, fail)
		}
	}
	for _, bounds := range [][]bound{r.value, r.length} {
		checkBounds(bounds, fail)
	}
	return r
}

// scalar returns the form that constraints on values apply to: the scalar itself or the elements of a
// list or table of scalars; nil if there are none.
func (f *form) scalar() *form {
	if f.shape == list || f.shape == table {
		f = f.elem
	}
	if f.shape != scalar {
		return nil
	}
	return f
}

// addBound adds a bound: min and max of a list with a plain number are of its length, all others of
// the values.
func (r *rules) addBound(word, arg string, f *form, fail func(string, ...any)) {
	if n, err := strconv.ParseInt(arg, 10, 64); err == nil && f.shape == list && word != "gt" {
		if n < 0 {
			fail("a length of %d", n)
		}
		r.length = append(r.length, bound{word, reflect.ValueOf(n)})
		return
	}
	e := f.scalar()
	if e == nil || !isInt(e.typ) && !isFloat(e.typ) {
		fail("%s needs a number", word)
	}
	limit, c := parseLimit(arg, e)
	if c != nil {
		fail("%s: %s", word, c.message)
	}
	r.value = append(r.value, bound{word, limit})
}

// parseLimit reads a limit in the text form of its field. A plain 0 will do for any quantity, and
// integers may be written as 1e9.
func parseLimit(text string, f *form) (reflect.Value, *complaint) {
	if f.text && text == "0" {
		return reflect.Zero(f.typ), nil
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && !f.text && isInt(f.typ) && x == float64(int64(x)) {
		text = strconv.FormatInt(int64(x), 10)
	}
	return parseScalar(text, f, nil)
}

// checkBounds fails for bounds that nothing can satisfy or that say the same thing twice.
func checkBounds(bounds []bound, fail func(string, ...any)) {
	var low, high *bound
	for i := range bounds {
		b := &bounds[i]
		switch {
		case b.word == "max":
			high = b
		case low != nil:
			fail("min and gt are both given")
		default:
			low = b
		}
	}
	if low != nil && high != nil && !low.holds(high.limit) {
		fail("no value is %s %v and at most %v", boundWords[low.word], low.limit, high.limit)
	}
}

// check returns what is wrong with a scalar, nil for nothing; text is how it was written. Without rules
// everything is right.
func (r *rules) check(v reflect.Value, text string) *complaint {
	if r == nil {
		return nil
	}
	for _, b := range r.value {
		if !b.holds(v) {
			return complain("", "%s: must be %s %s", quote(text), boundWords[b.word], mustText(b.limit))
		}
	}
	if r.oneof != nil && !slices.Contains(r.oneof, text) {
		known := slices.DeleteFunc(slices.Clone(r.oneof), func(s string) bool { return s == "" })
		return complain(didYouMean(Suggest(text, known)), "%s: must be one of %s", quote(text), strings.Join(known, ", "))
	}
	if r.required && v.Kind() == reflect.String && text == "" {
		return complain("", "must not be empty")
	}
	return nil
}

// allowZero reports whether a field of that form may have its zero value.
func (r *rules) allowZero(f *form) bool {
	zero := reflect.Zero(f.typ)
	switch f.shape {
	case scalar:
		return r.check(zero, mustText(zero)) == nil
	case list:
		return r.checkLength(0) == nil
	}
	return true
}

// checkLength returns what is wrong with the length of a list, nil for nothing.
func (r *rules) checkLength(n int) *complaint {
	for _, b := range r.length {
		if !b.holds(reflect.ValueOf(int64(n))) {
			return complain("", "%d elements: must be %s %d", n, boundWords[b.word], b.limit.Int())
		}
	}
	return nil
}

// checkUnique returns the index of the first element that repeats an earlier one, and what is wrong
// with it.
func (r *rules) checkUnique(v reflect.Value, f *form) (int, *complaint) {
	if !r.unique {
		return 0, nil
	}
	seen := make(map[any]bool, v.Len())
	for i := range v.Len() {
		e, what := v.Index(i), "value"
		if n := f.elem.name(); n != nil {
			e, what = n.value(e), "name"
		}
		key := e.Interface()
		if key == "" { // reported where a name is required
			continue
		}
		if seen[key] {
			return i, complain("", "%s: the %s is used before", quote(fmt.Sprint(key)), what)
		}
		seen[key] = true
	}
	return 0, nil
}
