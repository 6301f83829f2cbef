package spec

import "reflect"

// Decode reads the YAML text of a file into the struct that into points to. It collects every problem
// (unknown, missing and repeated fields, values that do not parse or break a constraint of the spec
// tag) with its line and path, and then those that the Validate methods of the parts report. A part is
// only validated when all within it is well. The struct is replaced as a whole, and left alone when
// there is a problem.
//
// The file name is used in messages only. The error is of type *Error. Decode panics if into is no
// pointer to a struct or its type cannot be described, which is a mistake in the program.
func Decode(file string, data []byte, into any) error {
	_, err := DecodeLines(file, data, into)
	return err
}

// DecodeLines is Decode for files whose parts are checked against something else later: it also returns
// the line of each part that is given, by its path.
func DecodeLines(file string, data []byte, into any) (map[string]int, error) {
	v, f := target(into)
	d := decoder{file: file, lines: map[string]int{}}
	root, bad := readYAML(data)
	if bad != nil {
		d.reportAt(bad.line, "", &bad.complaint)
		return nil, orNil(d.problems)
	}
	d.lines[""] = root.line
	fresh := reflect.New(v.Type()).Elem()
	d.value(root, f, &rules{}, "", fresh)
	if err := orNil(d.problems); err != nil {
		return nil, err
	}
	v.Set(fresh)
	return d.lines, nil
}

// decoder collects the problems of one file.
type decoder struct {
	file     string
	lines    map[string]int // of each part that was met
	problems []Problem
}

// report adds a problem at the line of its path, or of the nearest part around it.
func (d *decoder) report(path string, c *complaint) {
	at := path
	for d.lines[at] == 0 && at != "" {
		at = enclosing(at)
	}
	d.reportAt(max(d.lines[at], 1), path, c)
}

func (d *decoder) reportAt(line int, path string, c *complaint) {
	d.problems = append(d.problems, Problem{d.file, line, path, c.message, c.hint})
}

// value decodes a part of the file and reports whether all within it is well.
func (d *decoder) value(n node, f *form, r *rules, path string, v reflect.Value) bool {
	before := len(d.problems)
	if f.optional {
		v.Set(reflect.New(f.typ))
		v = v.Elem()
	}
	if c := f.mismatch(n); c != nil {
		d.report(path, c)
		return false
	}
	switch f.shape {
	case scalar:
		x, c := parseScalar(n.text, f, r)
		if c != nil {
			d.report(path, c)
			return false
		}
		v.Set(x)
	case record:
		d.record(n, f, path, v)
	case list:
		d.list(n, f, r, path, v)
	case table:
		d.table(n, f, r, path, v)
	}
	return len(d.problems) == before
}

// mismatch returns what is wrong with the kind of a node, nil if it suits the form.
func (f *form) mismatch(n node) *complaint {
	want, kind := "a single value", textNode
	switch f.shape {
	case record, table:
		want, kind = "a mapping", mapNode
	case list:
		want, kind = "a list", listNode
	}
	hint := ""
	switch {
	case n.kind == kind:
		return nil
	case n.kind == nullNode:
		return complain("give one or leave the field out", "has no value")
	case n.kind == textNode && kind == listNode:
		hint = "write [" + shorten(n.text, 60) + "]"
	}
	return complain(hint, "expected %s, got %v", want, n)
}

// record decodes the fields of a struct and then has the struct look at itself.
func (d *decoder) record(n node, f *form, path string, v reflect.Value) {
	before := len(d.problems)
	given := d.mapping(n, path, func(e entry, path string) {
		fl := f.find(e.key)
		if fl == nil {
			d.report(path, f.unknownField(e.key))
			return
		}
		d.value(e.value, fl.form, &fl.rules, path, v.Field(fl.index))
	})
	alone := f.alone(v)
	for i := range f.fields {
		switch fl := &f.fields[i]; {
		case alone != nil && fl != alone && given[fl.key]:
			d.report(child(path, fl.key), complain("leave out one of them", "is given beside %s, which stands for it", quote(alone.key)))
		case alone == nil && fl.rules.required && !given[fl.key]:
			d.report(child(path, fl.key), complain("", "is missing"))
		}
	}
	if len(d.problems) == before && alone == nil {
		validate(v, func(at, message, hint string) { d.report(join(path, at), &complaint{message, hint}) })
	}
}

// list decodes the elements of a slice.
func (d *decoder) list(n node, f *form, r *rules, path string, v reflect.Value) {
	if c := r.checkLength(len(n.entries)); c != nil {
		d.report(path, c)
	}
	if len(n.entries) == 0 {
		return // nil, so that equal values have one form
	}
	v.Set(reflect.MakeSlice(f.typ, len(n.entries), len(n.entries)))
	at := f.nodeLabels(n)
	for i, e := range n.entries {
		at[i] = path + "[" + at[i] + "]"
		d.lines[at[i]] = e.line
		d.value(e.value, f.elem, r, at[i], v.Index(i))
	}
	if i, c := r.checkUnique(v, f); c != nil {
		if n := f.elem.name(); n != nil {
			at[i] = child(at[i], n.key)
		}
		d.report(at[i], c)
	}
}

// nodeLabels is elementLabels for a list that is not decoded yet.
func (f *form) nodeLabels(n node) []string {
	names := make([]string, len(n.entries))
	if name := f.elem.name(); name != nil {
		for i, e := range n.entries {
			for _, field := range e.value.entries {
				if fl := f.elem.find(field.key); fl == name || fl != nil && fl.rules.alone {
					names[i] = field.value.text
				}
			}
		}
	}
	return labels(names)
}

// table decodes the entries of a map.
func (d *decoder) table(n node, f *form, r *rules, path string, v reflect.Value) {
	if len(n.entries) == 0 {
		return // nil, as for lists
	}
	v.Set(reflect.MakeMapWithSize(f.typ, len(n.entries)))
	d.mapping(n, path, func(e entry, path string) {
		x := reflect.New(f.elem.typ).Elem()
		if d.value(e.value, f.elem, r, path, x) {
			v.SetMapIndex(reflect.ValueOf(e.key).Convert(f.typ.Key()), x)
		}
	})
}

// mapping visits the entries of a mapping, reports the keys that are there twice, and returns those
// that are there.
func (d *decoder) mapping(n node, path string, visit func(e entry, path string)) map[string]bool {
	given := make(map[string]bool, len(n.entries))
	for _, e := range n.entries {
		path := child(path, e.key)
		if given[e.key] {
			d.reportAt(e.line, path, complain("", "is given twice, first in line %d", d.lines[path]))
			continue
		}
		given[e.key] = true
		d.lines[path] = e.line
		visit(e, path)
	}
	return given
}

// validator is implemented by structs whose fields depend on one another. Paths are relative to it.
type validator interface {
	Validate(report func(path, message, hint string))
}

// validate calls the Validate method of a value, if it has one.
func validate(v reflect.Value, report func(path, message, hint string)) {
	if c, ok := addressed(v).Interface().(validator); ok {
		c.Validate(report)
	}
}

// Validate calls the Validate methods of v and of every part of it, inner ones first, and returns what
// they report as an *Error without file and lines; a part is only called when there is nothing to
// report from within it. It is for values that were put together or changed after Decode.
func Validate(v any) error {
	value, f := valueOf(v)
	var problems []Problem
	var visit func(v reflect.Value, f *form, path string)
	visit = func(v reflect.Value, f *form, path string) {
		before := len(problems)
		f.parts(v, path, func(p part) { visit(p.value, p.form, p.path) })
		if f.shape == record && f.alone(v) == nil && len(problems) == before {
			validate(v, func(at, message, hint string) {
				problems = append(problems, Problem{Path: join(path, at), Message: message, Hint: hint})
			})
		}
	}
	visit(value, f, "")
	return orNil(problems)
}
