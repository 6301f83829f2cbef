package spec

import (
	"reflect"
	"slices"
	"strings"
)

// Leaf is one value that a part of a description is given: a scalar, or a list of scalars.
type Leaf struct {
	Path string // e.g. chip.memory[hbm].bandwidth
	Text string // as Set reads it, e.g. "2039 GB/s" or "[1, 2, 4]"
}

// Leaves returns every leaf of v in the order of its fields; v is a struct or a pointer to one. Fields
// that are not given are left out (nil pointers, empty fields tagged omitempty), and so are those
// tagged spec:"-".
func Leaves(v any) []Leaf {
	var leaves []Leaf
	Walk(v, func(path, text string) { leaves = append(leaves, Leaf{path, text}) })
	return leaves
}

// Walk calls f with the path and the text of every leaf of v, in the order of Leaves.
func Walk(v any, f func(path, text string)) {
	walk(v, func(p part) {
		if p.form.leaf() {
			f(p.path, mustLeafText(p.value, p.form))
		}
	})
}

// part is something within a value: a field, an element or an entry that is given.
type part struct {
	name  string // of the field or entry, label of the element
	path  string
	field *field // nil for elements and entries
	value reflect.Value
	form  *form
}

// parts calls visit with the parts directly below v, except below leaves.
func (f *form) parts(v reflect.Value, path string, visit func(part)) {
	switch {
	case f.leaf():
	case f.shape == record:
		for _, fl := range f.given(v) {
			visit(part{fl.key, child(path, fl.key), fl, fl.value(v), fl.form})
		}
	case f.shape == list:
		for i, label := range f.elementLabels(v) {
			visit(part{label, path + "[" + label + "]", nil, v.Index(i), f.elem})
		}
	case f.shape == table:
		for _, key := range sortedKeys(v) {
			visit(part{key, child(path, key), nil, lookup(v, key), f.elem})
		}
	}
}

// walk visits every part of v that needs a source somewhere, containers before what they contain.
func walk(v any, visit func(part)) {
	var down func(p part)
	down = func(p part) {
		if p.field != nil && p.field.rules.unsourced {
			return
		}
		visit(p)
		p.form.parts(p.value, p.path, down)
	}
	value, f := valueOf(v)
	f.parts(value, "", down)
}

// mustLeafText is leafText for values that may be out of range; those are printed as they are.
func mustLeafText(v reflect.Value, f *form) string {
	text, err := leafText(v, f)
	if err != nil {
		return err.Error()
	}
	return text
}

// Sources says where the values of a description come from: the path of a leaf, or of a part that
// contains it, to a text that a stranger can look up.
type Sources map[string]string

// Of returns the text for a path, and the path of the entry that it is from: that of the path itself
// or else of the nearest part around it.
func (s Sources) Of(path string) (text, at string, ok bool) {
	for at = path; at != ""; at = enclosing(at) {
		if text, ok = s[at]; ok {
			return text, at, true
		}
	}
	return "", "", false
}

// Check returns what is wrong with the sources of v: leaves without a source, entries for parts that v
// does not have, and empty texts. Names and descriptions, fields that stand for others
// and those tagged spec:"-" need no source.
// The problems have neither file nor line.
func (s Sources) Check(v any) []Problem {
	var problems []Problem
	var paths []string
	walk(v, func(p part) {
		paths = append(paths, p.path)
		if !p.form.leaf() || p.field != nil && (p.field.key == "name" || p.field.key == "description" || p.field.rules.alone) {
			return
		}
		if _, _, ok := s.Of(p.path); !ok {
			problems = append(problems, Problem{Path: p.path, Message: "has no source", Hint: "add it, or a part around it, to sources"})
		}
	})
	for _, at := range sortedKeys(reflect.ValueOf(s)) {
		p := Problem{Path: child("sources", at)}
		switch {
		case !slices.Contains(paths, at):
			p.Message = "nothing with this path is given"
			if len(problems) < maxShown { // the others are not shown, and looking takes time
				p.Hint = didYouMean(Suggest(at, paths))
			}
		case strings.TrimSpace(s[at]) == "":
			p.Message, p.Hint = "the source is empty", "say where the value is from, or estimated: and how"
		default:
			continue
		}
		problems = append(problems, p)
	}
	return problems
}
