package spec

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Set changes one leaf of the struct that v points to. The path has the names of fields, elements and
// entries, as in chip.memory[hbm].bandwidth or energy.matrix.bf16; an element can also be addressed by
// its index. The value is read as Decode reads it and checked against the constraints of its field; a
// list of scalars is written [a, b]. Entries of maps are added where they do not exist, and so are
// optional parts unless they would lack a required field.
//
// Validate methods are not called, since a change may take several steps; see Validate. The error is a
// Problem, and then v is as it was. What v shares with a copy of the struct is replaced and not
// changed, so the copy stays as it is. Set panics if v is no pointer to a struct.
func Set(v any, path, value string) error {
	r, f := target(v)
	if bad := (place{rest: path, form: f, rules: &rules{}, value: r}).set(value); bad != nil {
		return *bad
	}
	return nil
}

// Get returns the text of one leaf of v, a struct or a pointer to one, in the form that Set reads. The
// error is a Problem: there is no such leaf, or it is not given.
func Get(v any, path string) (string, error) {
	r, f := valueOf(v)
	text, bad := (place{rest: path, form: f, rules: &rules{}, value: r}).get()
	if bad != nil {
		return "", *bad
	}
	return text, nil
}

// place is a part of a value on the way along a path.
type place struct {
	at    string // the path so far
	rest  string // the path still to go
	form  *form
	rules *rules
	value reflect.Value // a pointer for optional parts; invalid for an entry that does not exist
}

func (p place) problem(c *complaint) *Problem {
	return &Problem{Path: p.at, Message: c.message, Hint: c.hint}
}

// set is Set from here on. What it changes within a list, a map or an optional part are copies, which
// take their place when all is well.
func (p place) set(text string) *Problem {
	inner := p
	inner.value = copied(p.value)
	body := reflect.Indirect(inner.value)
	if p.rest == "" {
		if bad := inner.assign(body, text); bad != nil {
			return bad
		}
	} else {
		below, bad := inner.below()
		if bad != nil {
			return bad
		}
		if p.form.shape == table {
			below.value = reflect.New(p.form.elem.typ).Elem()
		}
		if bad := below.set(text); bad != nil {
			return bad
		}
		switch p.form.shape {
		case table:
			key := strings.TrimPrefix(p.rest, ".")
			body.SetMapIndex(reflect.ValueOf(key).Convert(p.form.typ.Key()), below.value)
		case list:
			if _, c := p.rules.checkUnique(body, p.form); c != nil {
				return below.problem(c)
			}
		case record:
			if c := p.lacking(below); c != nil {
				return p.problem(c)
			}
		}
	}
	p.value.Set(inner.value)
	return nil
}

// copied returns a value in place of v with its own pointer target, elements or entries.
func copied(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	switch {
	case v.Kind() == reflect.Pointer:
		c.Set(reflect.New(v.Type().Elem()))
		if !v.IsNil() {
			c.Elem().Set(v.Elem())
		}
	case v.Kind() == reflect.Slice:
		c.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
	case v.Kind() == reflect.Map:
		c.Set(reflect.MakeMapWithSize(v.Type(), v.Len()+1))
		for _, k := range v.MapKeys() {
			c.SetMapIndex(k, v.MapIndex(k))
		}
	default:
		c.Set(v)
	}
	return c
}

// lacking says which required fields an optional part lacks that comes into being by setting one field.
func (p place) lacking(below place) *complaint {
	if !p.form.optional || !p.value.IsNil() {
		return nil
	}
	var lacks []string
	for _, fl := range p.form.fields {
		if fl.rules.required && child(p.at, fl.key) != below.at {
			lacks = append(lacks, fl.key)
		}
	}
	if lacks == nil {
		return nil
	}
	return complain("describe it in a file", "is not given, and would lack %s", strings.Join(lacks, ", "))
}

// assign reads a text as the leaf that the path ends at.
func (p place) assign(v reflect.Value, text string) *Problem {
	if !p.form.leaf() {
		return p.problem(complain("name one of them", "is no single value; it has %s", p.names()))
	}
	if p.form.shape == scalar {
		x, c := parseScalar(text, p.form, p.rules)
		if c != nil {
			return p.problem(c)
		}
		v.Set(x)
		return nil
	}
	if strings.TrimSpace(text) == "" {
		return p.problem(complain("write [a, b]", "the list is empty"))
	}
	n, bad := readYAML([]byte(text))
	if bad != nil {
		return p.problem(&bad.complaint)
	}
	d := decoder{lines: map[string]int{}}
	fresh := reflect.New(p.form.typ).Elem()
	if d.value(n, p.form, p.rules, p.at, fresh); len(d.problems) > 0 {
		first := d.problems[0]
		first.Line = 0
		return &first
	}
	v.Set(fresh)
	return nil
}

// get is Get from here on.
func (p place) get() (string, *Problem) {
	switch {
	case !p.value.IsValid(), p.form.optional && p.value.Kind() == reflect.Pointer && p.value.IsNil():
		return "", p.problem(complain("", "is not given"))
	case p.rest != "":
		below, bad := p.below()
		if bad != nil {
			return "", bad
		}
		return below.get()
	case !p.form.leaf():
		return "", p.problem(complain("name one of them", "is no single value; it has %s", p.names()))
	}
	text, err := leafText(reflect.Indirect(p.value), p.form)
	if err != nil {
		return "", p.problem(complain("", "%v", err))
	}
	return text, nil
}

// below goes one step along the path.
func (p place) below() (place, *Problem) {
	v := reflect.Indirect(p.value)
	switch p.form.shape {
	case record:
		rest := p.rest
		if p.at != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(rest, "."); !ok {
				return place{}, p.problem(complain("", "expected a point before %s", quote(p.rest)))
			}
		}
		name, rest := cutName(rest)
		fl := p.form.find(name)
		if fl == nil {
			return place{}, place{at: child(p.at, name)}.problem(p.form.unknownField(name))
		}
		if a := p.form.alone(v); a != nil && a != fl {
			return place{}, p.problem(complain("", "is given by its %s alone", quote(a.key)))
		}
		return place{child(p.at, name), rest, fl.form, &fl.rules, v.Field(fl.index)}, nil
	case list:
		label, rest, ok := cutLabel(p.rest)
		if !ok {
			return place{}, p.problem(complain("it has "+p.names(), "expected an element in brackets"))
		}
		known := p.form.elementLabels(v)
		i := slices.Index(known, label)
		if i < 0 {
			i, _ = strconv.Atoi(label)
			if strconv.Itoa(i) != label || i < 0 || i >= len(known) {
				return place{}, place{at: p.at + "[" + label + "]"}.problem(complain(didYouMean(Suggest(label, known)), "no such element; it has %s", p.names()))
			}
		}
		return place{p.at + "[" + known[i] + "]", rest, p.form.elem, p.rules, v.Index(i)}, nil
	case table:
		key, ok := strings.CutPrefix(p.rest, ".") // may contain points
		if !ok || key == "" {
			return place{}, p.problem(complain("", "expected a point and a name"))
		}
		return place{child(p.at, key), "", p.form.elem, p.rules, lookup(v, key)}, nil
	}
	return place{}, p.problem(complain("", "is a single value, without a part %s", quote(p.rest)))
}

// names lists what is directly below a part, for messages.
func (p place) names() string {
	v := reflect.Indirect(p.value)
	var names []string
	switch {
	case p.form.shape == record:
		names = p.form.keys()
	case !v.IsValid():
	case p.form.shape == list:
		names = p.form.elementLabels(v)
	case p.form.shape == table:
		names = sortedKeys(v)
	}
	if len(names) == 0 {
		return "nothing"
	}
	return shorten(strings.Join(names, ", "), 200)
}
