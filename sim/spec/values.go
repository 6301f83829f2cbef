package spec

import "reflect"

// Value returns what one scalar leaf of v holds, as Values has it; nil where there is none with that path. An element can also be
// addressed by its index.
func Value(v any, path string) any {
	r, f := valueOf(v)
	p := place{rest: path, form: f, rules: &rules{}, value: r}
	for p.rest != "" {
		if p.form.leaf() || !reflect.Indirect(p.value).IsValid() {
			return nil // a list of scalars is one leaf
		}
		var bad *Problem
		if p, bad = p.below(); bad != nil || p.rules.unsourced {
			return nil
		}
	}
	if is := reflect.Indirect(p.value); p.form.shape == scalar && is.IsValid() {
		return is.Interface()
	}
	return nil
}

// Values calls f with the path and the value of every scalar leaf of v, in the order of Leaves: what the field, entry or
// element holds, so that its Go type tells what kind of figure it is. Lists are left out.
func Values(v any, f func(path string, value any)) {
	walk(v, func(p part) {
		if p.form.shape == scalar {
			f(p.path, reflect.Indirect(p.value).Interface())
		}
	})
}
