package oracle

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"reflect"
	"sync"
)

// key identifies a job by content: the SHA-256 of everything in it.
type key [sha256.Size]byte

// jobLeaves are the places of a job that hold something, in their order.
var jobLeaves = leavesOf(reflect.TypeFor[job](), nil)

// leaf is a place of a struct, by the indices of the fields on the way.
type leaf struct {
	index []int
	kind  reflect.Kind
}

// leavesOf lists the leaves of a type that has no pointers. Whatever else would make equal values differ is a fault of ours.
func leavesOf(t reflect.Type, at []int) (list []leaf) {
	below := func(i int, of reflect.Type) {
		list = append(list, leavesOf(of, append(append([]int(nil), at...), i))...)
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			below(i, t.Field(i).Type)
		}
	case reflect.Array:
		for i := range t.Len() {
			below(i, t.Elem())
		}
	case reflect.String, reflect.Bool, reflect.Float64, reflect.Int, reflect.Int64, reflect.Uint8, reflect.Int32, reflect.Uint16:
		list = []leaf{{at, t.Kind()}}
	default:
		panic("a job has a field of type " + t.String())
	}
	return list
}

var keyTexts = sync.Pool{New: func() any { return new([]byte) }}

// key returns the job's key.
func (j *job) key() key {
	b := keyTexts.Get().(*[]byte)
	*b = j.appendTo((*b)[:0])
	k := key(sha256.Sum256(*b))
	keyTexts.Put(b)
	return k
}

// appendTo writes the job down so that no two jobs are written alike: the number of each leaf that is not zero, and what it holds.
func (j *job) appendTo(to []byte) []byte {
	v := reflect.ValueOf(j).Elem()
	for n := range jobLeaves {
		l := &jobLeaves[n]
		at := v
		for _, i := range l.index {
			if at.Kind() == reflect.Array {
				at = at.Index(i)
			} else {
				at = at.Field(i)
			}
		}
		if at.IsZero() {
			continue
		}
		to = append(to, byte(n), byte(n>>8))
		switch l.kind {
		case reflect.String:
			s := at.String()
			to = append(binary.LittleEndian.AppendUint64(to, uint64(len(s))), s...)
		case reflect.Bool:
			to = append(to, 1)
		case reflect.Float64:
			to = binary.LittleEndian.AppendUint64(to, math.Float64bits(at.Float()))
		case reflect.Uint8, reflect.Uint16:
			to = binary.LittleEndian.AppendUint64(to, at.Uint())
		default:
			to = binary.LittleEndian.AppendUint64(to, uint64(at.Int()))
		}
	}
	return to
}
