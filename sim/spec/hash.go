package spec

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
)

// Hash returns the SHA-256 of v, 64 hexadecimal digits. Equal values have equal hashes whatever the
// order of their maps; values that differ in any field have different ones, floats already by their
// last bit. It covers the names of types and fields too. Fields that are not given do not count (nil
// pointers, empty fields tagged omitempty, empty lists and maps alike), so a new optional field leaves
// the hashes of old values alone. v is a struct, or anything else that a file can hold, or a pointer to
// it.
func Hash(v any) string {
	value, f := valueOf(v)
	sum := sha256.Sum256(appendValue(nil, value, f))
	return hex.EncodeToString(sum[:])
}

// appendValue appends an encoding of v from which its value could be read back: every text has its
// length before it and every list its number of elements.
func appendValue(b []byte, v reflect.Value, f *form) []byte {
	switch {
	case f.shape == scalar:
		b = appendString(b, f.typ.String())
		return appendScalar(b, v, f)
	case f.shape == record:
		b = appendString(b, f.typ.String())
		for _, fl := range f.given(v) {
			b = appendString(b, fl.key)
			b = appendValue(b, fl.value(v), fl.form)
		}
		return appendString(b, "") // no field has an empty name
	case f.shape == list:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		for i := range v.Len() {
			b = appendValue(b, v.Index(i), f.elem)
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64(v.Len()))
	for _, key := range sortedKeys(v) {
		b = appendString(b, key)
		b = appendValue(b, lookup(v, key), f.elem)
	}
	return b
}

// appendScalar appends the exact value of a scalar.
func appendScalar(b []byte, v reflect.Value, f *form) []byte {
	switch {
	case v.CanInt():
		return binary.AppendVarint(b, v.Int())
	case v.CanFloat():
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case v.Kind() == reflect.Bool:
		return fmt.Append(b, v.Bool())
	default:
		return appendString(b, mustText(v))
	}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
