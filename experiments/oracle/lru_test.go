package oracle

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestLRUForgetsWhatWasNotUsed(t *testing.T) {
	c := newLRU[string, int](3)
	for i, k := range []string{"a", "b", "c"} {
		c.put(k, i, 1)
	}
	c.get("a")
	if got := c.put("a", 9, 1); got != 0 {
		t.Errorf("a second value took the place of the first: %d", got)
	}
	c.put("d", 3, 2)
	for k, want := range map[string]bool{"a": true, "b": false, "c": false, "d": true} {
		if _, ok := c.get(k); ok != want {
			t.Errorf("%s: %t", k, ok)
		}
	}
	c.put("huge", 4, 100) // alone it may be larger than the room
	if _, ok := c.get("huge"); !ok || c.order.Len() != 1 || c.taken != 100 {
		t.Errorf("%d entries of %d", c.order.Len(), c.taken)
	}
}

// Everything in a job is a part of its key.
func TestKey(t *testing.T) {
	var j job
	none := j.key()
	seen := map[key]string{none: "nothing"}
	var walk func(v reflect.Value, name string)
	walk = func(v reflect.Value, name string) {
		at := reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // may be set
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
			return
		case reflect.Array:
			for i := range v.Len() {
				walk(v.Index(i), fmt.Sprintf("%s[%d]", name, i))
			}
			return
		case reflect.String:
			at.SetString("x")
		case reflect.Bool:
			at.SetBool(true)
		case reflect.Float64:
			at.SetFloat(1)
		case reflect.Int, reflect.Int64, reflect.Int32:
			at.SetInt(1)
		case reflect.Uint8, reflect.Uint16:
			at.SetUint(1)
		default:
			t.Fatalf("%s: a %s", name, v.Kind())
		}
		k := j.key()
		if other, ok := seen[k]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[k] = name
		at.SetZero()
	}
	walk(reflect.ValueOf(&j).Elem(), "job")
	if j.key() != none || len(seen) != len(jobLeaves)+1 {
		t.Errorf("%d leaves, %d keys", len(jobLeaves), len(seen))
	}
}

// An answer comes back from memory as it was.
func TestPack(t *testing.T) {
	o := New(Options{})
	rapid.Check(t, func(t *rapid.T) {
		a := &answer{members: []byte(rapid.StringMatching(`("[a-z0-9 .+-]{0,6}":([0-9.e+-]{1,9}|"[a-f0-9]{0,12}"),?){0,9}`).Draw(t, "members"))}
		for i := range rapid.IntRange(0, 3).Draw(t, "figures") {
			a.figures = append(a.figures, figure{figureNames[i], rapid.Float64Range(-1e9, 1e9).Draw(t, "figure")})
		}
		if rapid.Bool().Draw(t, "error") {
			a.err = &Error{Status: Infeasible, Code: "x"}
		}
		p, size := o.pack(a)
		if b := p.answer(); !bytes.Equal(a.members, b.members) || !slices.Equal(a.figures, b.figures) || a.err != b.err || size < int64(len(p.tokens)) {
			t.Errorf("%q became %q", a.members, b.members)
		}
	})
}
