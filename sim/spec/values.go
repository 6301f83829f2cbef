package spec

import "reflect"

// Values calls f with the path and the value of every scalar leaf of v, in the order of Leaves: what the field, entry or
// element holds, so that its Go type tells what kind of figure it is. Lists are left out.
func Values(v any, f func(path string, value any)) {
	walk(v, func(p part) {
		if p.form.shape == scalar {
			f(p.path, reflect.Indirect(p.value).Interface())
		}
	})
}
