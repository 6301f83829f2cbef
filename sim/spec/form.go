package spec

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// shape is how a value is written in a file.
type shape int

const (
	scalar shape = iota // one text
	record              // a mapping with the fields of a struct
	list                // a list of records or scalars
	table               // a mapping from names to scalars
)

// form describes how values of a Go type are written. Every function of the package walks values
// along their form, so what is allowed is decided in one place.
type form struct {
	typ      reflect.Type // never a pointer
	optional bool         // the Go type is a pointer to typ
	shape    shape
	text     bool    // a scalar that reads and writes its own text, e.g. a quantity
	elem     *form   // of a list or table
	fields   []field // of a record
}

// field is one field of a record.
type field struct {
	index     int
	key       string
	omitempty bool
	form      *form
	rules     rules
}

var (
	forms           sync.Map // reflect.Type → *form
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
)

// formOf returns the form of a type. It panics if the type, or a tag in it, cannot be used: that is a
// mistake in the program, not in a file.
func formOf(t reflect.Type) *form { return describe(t, nil) }

// describe is formOf with the types that it is called from.
func describe(t reflect.Type, within []reflect.Type) *form {
	if f, ok := forms.Load(t); ok {
		return f.(*form)
	}
	if slices.Contains(within, t) {
		panic(fmt.Sprintf("spec: type %v contains itself", t))
	}
	within = append(within, t)
	f := &form{typ: t}
	switch {
	case t.Kind() == reflect.Pointer:
		*f = *describe(t.Elem(), within)
		if f.optional || f.shape == list || f.shape == table {
			unusable(t)
		}
		f.optional = true
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		if !reflect.PointerTo(t).Implements(textMarshaler) {
			panic(fmt.Sprintf("spec: type %v reads text but does not write it", t))
		}
		f.text = true
	case isInt(t), isFloat(t), t.Kind() == reflect.String, t.Kind() == reflect.Bool:
	case t.Kind() == reflect.Struct:
		f.shape = record
		f.fields = fieldsOf(t, within)
	case t.Kind() == reflect.Slice:
		f.shape, f.elem = list, describe(t.Elem(), within)
		if f.elem.optional || f.elem.shape == list || f.elem.shape == table {
			unusable(t)
		}
	case t.Kind() == reflect.Map:
		f.shape, f.elem = table, describe(t.Elem(), within)
		if f.elem.optional || f.elem.shape != scalar || t.Key().Kind() != reflect.String {
			unusable(t)
		}
	default:
		unusable(t)
	}
	forms.Store(t, f)
	return f
}

func unusable(t reflect.Type) {
	panic(fmt.Sprintf("spec: type %v cannot be written in a file", t))
}

func isInt(t reflect.Type) bool   { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64 }
func isFloat(t reflect.Type) bool { return t.Kind() == reflect.Float64 || t.Kind() == reflect.Float32 }

// fieldsOf describes the fields of a struct. Unexported fields and those tagged "-" are not in files.
func fieldsOf(t reflect.Type, within []reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("yaml")
		if !sf.IsExported() || tag == "-" {
			continue
		}
		fail := func(format string, args ...any) {
			panic(fmt.Sprintf("spec: field %v.%s: ", t, sf.Name) + fmt.Sprintf(format, args...))
		}
		key, option, _ := strings.Cut(tag, ",")
		switch {
		case !tagged || key == "":
			fail("needs a yaml tag with a name")
		case strings.ContainsAny(key, ".[]"):
			fail("name %q cannot be part of a path", key)
		case option != "" && option != "omitempty":
			fail("unknown yaml option %q", option)
		case slices.ContainsFunc(fields, func(f field) bool { return f.key == key }):
			fail("name %q is used twice", key)
		}
		f := field{index: i, key: key, omitempty: option == "omitempty", form: describe(sf.Type, within)}
		f.rules = parseRules(sf.Tag.Get("spec"), f.form, fail)
		switch {
		case f.rules.required && f.omitempty:
			fail("required and omitempty contradict each other")
		case !f.rules.required && !f.omitempty && !f.form.optional && !f.rules.allowZero(f.form):
			fail("when it is not given it breaks its own constraints: make it required or omitempty")
		}
		fields = append(fields, f)
	}
	return fields
}

// find returns the field of that key, nil if there is none.
func (f *form) find(key string) *field {
	for i := range f.fields {
		if f.fields[i].key == key {
			return &f.fields[i]
		}
	}
	return nil
}

// alone returns the field that stands for all others of the record v, nil if there is none or it is not given.
func (f *form) alone(v reflect.Value) *field {
	for i := range f.fields {
		if fl := &f.fields[i]; fl.rules.alone && fl.set(v) {
			return fl
		}
	}
	return nil
}

// given returns the fields that are set in the record v.
func (f *form) given(v reflect.Value) []*field {
	if fl := f.alone(v); fl != nil {
		return []*field{fl}
	}
	var given []*field
	for i := range f.fields {
		if fl := &f.fields[i]; fl.set(v) {
			given = append(given, fl)
		}
	}
	return given
}

// keys returns the names of the fields.
func (f *form) keys() []string {
	keys := make([]string, len(f.fields))
	for i := range f.fields {
		keys[i] = f.fields[i].key
	}
	return keys
}

// unknownField is the complaint about a key that is no field of the record.
func (f *form) unknownField(key string) *complaint {
	return complain(didYouMean(Suggest(key, f.keys())), "unknown field; the fields here are %s", strings.Join(f.keys(), ", "))
}

// name returns the field that addresses elements of a list of such records, nil if there is none.
func (f *form) name() *field {
	n := f.find("name")
	if n == nil || n.form.optional || n.form.text || n.form.typ.Kind() != reflect.String {
		return nil
	}
	return n
}

// leaf reports whether a value is addressed as a whole: a scalar or a list of scalars.
func (f *form) leaf() bool {
	return f.shape == scalar || f.shape == list && f.elem.shape == scalar
}

// set reports whether a field is given in the record v: optional fields are when they are not nil, those
// with omitempty when they are not empty, all others always.
func (f *field) set(v reflect.Value) bool {
	v = v.Field(f.index)
	switch {
	case f.form.optional:
		return !v.IsNil()
	case f.omitempty && (f.form.shape == list || f.form.shape == table):
		return v.Len() > 0
	case f.omitempty:
		return !v.IsZero()
	}
	return true
}

// value returns the value of a field that is set in the record v, without its pointer.
func (f *field) value(v reflect.Value) reflect.Value { return reflect.Indirect(v.Field(f.index)) }

// elementLabels returns the labels of the elements of the list v.
func (f *form) elementLabels(v reflect.Value) []string {
	names := make([]string, v.Len())
	if n := f.elem.name(); n != nil {
		for i := range names {
			names[i] = n.value(v.Index(i)).String()
			if fl := f.elem.alone(v.Index(i)); fl != nil {
				names[i] = fl.value(v.Index(i)).String()
			}
		}
	}
	return labels(names)
}

// sortedKeys returns the keys of the table v in order.
func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// lookup returns the value of a key of the table v; it is invalid where there is none.
func lookup(v reflect.Value, key string) reflect.Value {
	return v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key()))
}

// valueOf returns the value that v is or points to, and its form. It panics where there is none.
func valueOf(v any) (reflect.Value, *form) {
	r := reflect.ValueOf(v)
	if r.Kind() == reflect.Pointer {
		r = r.Elem()
	}
	if !r.IsValid() {
		panic(fmt.Sprintf("spec: %T is no value", v))
	}
	return r, formOf(r.Type())
}

// target returns the struct that v points to, and its form. It panics if v is anything else.
func target(v any) (reflect.Value, *form) {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer || r.IsNil() || r.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("spec: %T is not a pointer to a struct", v))
	}
	return r.Elem(), formOf(r.Type().Elem())
}
