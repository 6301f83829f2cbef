package oracle

import (
	"reflect"
	"strings"
	"testing"
	"unsafe"
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

// Whatever of a job may be long counts: a network of many links, a model in the request.
func TestJobSize(t *testing.T) {
	var j job
	plain, long := jobSize(&j), strings.Repeat("x", 1<<20)
	if size := int64(unsafe.Sizeof(j)); plain < 2*size || plain > 3*size {
		t.Errorf("%d bytes, and a job is %d", plain, size)
	}
	var walk func(v reflect.Value, name string)
	walk = func(v reflect.Value, name string) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
		case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface:
			t.Errorf("job%s: a %s is not counted", name, v.Kind())
		case reflect.String:
			s := (*string)(unsafe.Pointer(v.UnsafeAddr()))
			*s = long
			if got := jobSize(&j); got != plain+1<<20 {
				t.Errorf("job%s of a mebibyte: %d bytes, %d without it", name, got, plain)
			}
			*s = ""
		}
	}
	walk(reflect.ValueOf(&j).Elem(), "")
}
