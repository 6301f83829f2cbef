package oracle

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/traces"
)

// fields reads the members of one object of a request. The first thing that is wrong is kept in *err,
// and everything after it is read as if it were absent, so that callers need not look after each
// member. A null counts as absent.
type fields struct {
	at      string // pointer of the object
	members []member
	err     **Error
	asked   [48]string // names that were asked for, for suggestions
	n       int
	missing []string
}

// open begins to read an object.
func open(v *value, at string, err **Error) *fields {
	f := &fields{at: at, err: err}
	if *err != nil {
		return f
	}
	if v.kind != object {
		*err = invalid("type", at, "", "must be an object, is %s", v.kind)
		return f
	}
	f.members = v.members()
	f.duplicates()
	return f
}

// duplicates refuses two members of one name.
func (f *fields) duplicates() {
	if len(f.members) > 32 {
		// Sorting keeps an object of a million members from being compared member by member.
		names := make([][]byte, len(f.members))
		for i := range f.members {
			names[i] = f.members[i].name
		}
		slices.SortFunc(names, bytes.Compare)
		for i := 1; i < len(names); i++ {
			if bytes.Equal(names[i], names[i-1]) {
				f.fail(duplicate(pointer(f.at, string(names[i])), names[i]))
				return
			}
		}
		return
	}
	for i := range f.members {
		for j := range i {
			if bytes.Equal(f.members[i].name, f.members[j].name) {
				f.fail(duplicate(pointer(f.at, string(f.members[i].name)), f.members[i].name))
				return
			}
		}
	}
}

func (f *fields) fail(e *Error) {
	if *f.err == nil {
		*f.err = e
	}
}

// get returns a member, nil if it is absent.
func (f *fields) get(name string) *value {
	if f.n < len(f.asked) {
		f.asked[f.n] = name
		f.n++
	}
	if *f.err != nil {
		return nil
	}
	for i := range f.members {
		if m := &f.members[i]; string(m.name) == name {
			m.used = true
			if m.value.kind == null {
				return nil
			}
			return &m.value
		}
	}
	return nil
}

// typed returns a member of a kind.
func (f *fields) typed(name string, k kind) *value {
	v := f.get(name)
	if v != nil && v.kind != k {
		f.fail(invalid("type", pointer(f.at, name), "", "must be %s, is %s", k, v.kind))
		return nil
	}
	return v
}

// has reports whether a member is there, without taking note of the question.
func (f *fields) has(name string) bool {
	for i := range f.members {
		if m := &f.members[i]; string(m.name) == name {
			return m.value.kind != null
		}
	}
	return false
}

// text returns a string.
func (f *fields) text(name, otherwise string) string {
	if v := f.typed(name, text); v != nil {
		return string(v.chars())
	}
	return otherwise
}

// word returns one of the known words, the first if the member is absent.
func (f *fields) word(name string, known ...string) string {
	v := f.typed(name, text)
	if v == nil {
		return known[0]
	}
	for _, k := range known {
		if string(v.chars()) == k {
			return k
		}
	}
	f.fail(invalid("unknown-value", pointer(f.at, name), nearest(string(v.chars()), known), "%q is unknown", shorten(string(v.chars()))))
	return known[0]
}

// flag returns a boolean.
func (f *fields) flag(name string, otherwise bool) bool {
	if v := f.typed(name, boolean); v != nil {
		return v.raw[0] == 't'
	}
	return otherwise
}

// dtype returns a number format.
func (f *fields) dtype(name string, otherwise traces.DType) traces.DType {
	v := f.typed(name, text)
	if v == nil {
		return otherwise
	}
	d, err := traces.ParseDType(string(v.chars()))
	if err != nil {
		f.fail(invalid("unknown-value", pointer(f.at, name), nearest(string(v.chars()), traces.DTypes()), "%q is no number format", shorten(string(v.chars()))))
		return otherwise
	}
	return d
}

// integer returns a whole number from least to most.
func (f *fields) integer(name string, least, most, otherwise int64) int64 {
	v := f.typed(name, number)
	if v == nil {
		return otherwise
	}
	n, ok := whole(v.raw)
	if !ok || n < least || n > most {
		f.fail(invalid("range", pointer(f.at, name), "", "%s: must be a whole number from %d to %d", shorten(string(v.raw)), least, most))
		return otherwise
	}
	return n
}

// whole reads a number that is an integer, also when it is written 128.0 or 1e3.
func whole(raw []byte) (int64, bool) {
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return n, true
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || x != math.Trunc(x) || math.Abs(x) > 1<<53 {
		return 0, false
	}
	return int64(x), true
}

// need is integer for a member that may not be absent.
func (f *fields) need(name string, least, most int64) int64 {
	if *f.err == nil && !f.has(name) {
		f.missing = append(f.missing, name)
	}
	return f.integer(name, least, most, least)
}

// real returns a number from least to most.
func (f *fields) real(name string, least, most, otherwise float64) float64 {
	v := f.typed(name, number)
	if v == nil {
		return otherwise
	}
	x, err := strconv.ParseFloat(string(v.raw), 64)
	if err != nil || !(x >= least && x <= most) {
		f.fail(invalid("range", pointer(f.at, name), "", "%s: must be from %g to %g", shorten(string(v.raw)), least, most))
		return otherwise
	}
	return x
}

// one refuses a degree above 1 of something that is not simulated.
func (f *fields) one(name, what string) {
	if n := f.integer(name, 1, maxDim, 1); n > 1 {
		f.fail(unsupported("not-simulated", pointer(f.at, name), "1 or nothing", "%s is not simulated by this version", what))
	}
}

// refuse says that a member is part of the protocol but not simulated, if it is there.
func (f *fields) refuse(name, what string) {
	if f.get(name) != nil {
		f.fail(unsupported("not-simulated", pointer(f.at, name), "", "%s is not simulated by this version", what))
	}
}

// close refuses members that nobody asked for, and reports those that are missing.
func (f *fields) close() {
	if *f.err != nil {
		return
	}
	for i := range f.members {
		if m := &f.members[i]; !m.used {
			f.fail(invalid("unknown-member", pointer(f.at, string(m.name)), nearest(string(m.name), f.asked[:f.n]), "there is no member %q here", shorten(string(m.name))))
			return
		}
	}
	if len(f.missing) > 0 {
		f.fail(invalid("missing", pointer(f.at, f.missing[0]), example(f.missing), "missing: %s", join(f.missing)))
	}
}

// example is a hint for members that are missing.
func example(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		value, ok := usual[n]
		if !ok {
			value = "1"
		}
		list[i] = strconv.Quote(n) + ":" + value
	}
	return "e.g. " + strings.Join(list, ",")
}

// usual are values of members that may not be left out.
var usual = map[string]string{"arch": `"a100-sxm-80gb"`, "m": "4096", "n": "4096", "k": "4096", "heads": "32", "head_dim": "128", "q_len": "1",
	"ifmap_h": "56", "ifmap_w": "56", "filter_h": "3", "filter_w": "3", "channels": "64", "filters": "64",
	"height": "56", "width": "56", "filter_height": "3", "filter_width": "3", "tokens": "512", "hidden": "4096", "intermediate": "14336",
	"rows": "4096", "cols": "4096", "bytes": "1048576", "ranks": "8"}

// join lists names for a sentence.
func join(names []string) string {
	var s string
	for i, n := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			s += " and "
		default:
			s += ", "
		}
		s += n
	}
	return s
}
