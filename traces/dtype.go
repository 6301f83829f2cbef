package traces

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// DType is the number format of a tensor's elements.
type DType uint8

// The number formats. TF32 is stored in 32 bits and multiplied with 19 of them; FP8 is E4M3 or
// E5M2; INT32 holds indices.
const (
	BF16 DType = iota
	FP16
	FP32
	TF32
	FP8
	INT8
	INT4
	INT32
	numDTypes = iota
)

var dtypes = [numDTypes]struct {
	name    string
	bits    int64
	aliases []string
}{
	BF16:  {"bf16", 16, []string{"bfloat16"}},
	FP16:  {"fp16", 16, []string{"float16", "half", "f16"}},
	FP32:  {"fp32", 32, []string{"float32", "float", "f32"}},
	TF32:  {"tf32", 32, []string{"tensorfloat32"}},
	FP8:   {"fp8", 8, []string{"float8", "fp8_e4m3", "fp8_e5m2", "float8_e4m3fn", "float8_e5m2", "e4m3", "e5m2"}},
	INT8:  {"int8", 8, []string{"i8"}},
	INT4:  {"int4", 4, []string{"i4"}},
	INT32: {"int32", 32, []string{"i32"}},
}

// String returns the name used in files, e.g. "bf16".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Bits returns the size of one element.
func (d DType) Bits() int64 {
	if int(d) < len(dtypes) {
		return dtypes[d].bits
	}
	return 0
}

// Bytes returns the size of n elements, packed and rounded up to whole bytes. n must be at most
// MaxElements.
func (d DType) Bytes(n int64) units.Bytes { return units.Bytes(units.CeilDiv(n*d.Bits(), 8)) }

// MaxElements is the most elements whose size in bits fits an int64 in every format.
const MaxElements = 1 << 57

// DTypes lists the names of all number formats.
func DTypes() []string {
	names := make([]string, len(dtypes))
	for i := range dtypes {
		names[i] = dtypes[i].name
	}
	return names
}

// ParseDType reads the name of a number format, also as PyTorch and NumPy write it ("torch.float16").
func ParseDType(s string) (DType, error) {
	name := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "torch.")
	for i := range dtypes {
		if name == dtypes[i].name {
			return DType(i), nil
		}
		for _, a := range dtypes[i].aliases {
			if name == a {
				return DType(i), nil
			}
		}
	}
	return 0, fmt.Errorf("unknown data type %q; known: %s", shorten(s), strings.Join(DTypes(), ", "))
}

// shorten cuts text for a message.
func shorten(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
