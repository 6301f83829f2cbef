package traces

import (
	"fmt"
	"strings"

	"github.com/stratasim/strata/sim/units"
)

// DType is the number format of a tensor's elements, with the scales that go with them.
type DType uint8

// The number formats. TF32 is stored in 32 bits and multiplied with 19 of them; FP8 is E4M3 or
// E5M2; INT32 holds indices. Those from FP8B128 on, INT8 and INT4 carry scales: see DType.Size.
const (
	BF16 DType = iota
	FP16
	FP32
	TF32
	FP8
	INT8
	INT4
	INT32
	FP8B128
	INT4G64
	INT4G32
	INT3
	MXFP8
	MXFP6
	MXFP4
	NVFP4
	NF4
	NF4DQ
	INT8G128
	INT3Channel
	numDTypes = iota
)

// whole in place of a block's length says that all elements along the reduction share a scale.
const whole = -1

// format describes a number format. A scale, with a zero point where there is one, belongs to a block
// of along elements along the reduction of across vectors side by side.
type format struct {
	name    string
	bits    int64 // of an element
	along   int64 // 0: no scale, or one of the whole tensor, which is an argument of the kernel
	across  int64 // 0 stands for 1
	scale   int64 // bits of scale and zero point
	outer   int64 // elements whose scales share a scale of 32 bits, 0: none do
	element DType // what a matrix unit multiplies, with the scales applied to its sums
	aliases []string
}

var dtypes = [numDTypes]format{
	BF16:  {name: "bf16", bits: 16, element: BF16, aliases: []string{"bfloat16"}},
	FP16:  {name: "fp16", bits: 16, element: FP16, aliases: []string{"float16", "half", "f16"}},
	FP32:  {name: "fp32", bits: 32, element: FP32, aliases: []string{"float32", "float", "f32"}},
	TF32:  {name: "tf32", bits: 32, element: TF32, aliases: []string{"tensorfloat32"}},
	FP8:   {name: "fp8", bits: 8, element: FP8, aliases: []string{"float8", "fp8_e4m3", "fp8_e5m2", "float8_e4m3fn", "float8_e5m2", "e4m3", "e5m2"}},
	INT8:  {name: "int8", bits: 8, along: whole, scale: 32, element: INT8, aliases: []string{"i8"}},
	INT4:  {name: "int4", bits: 4, along: 128, scale: 32, element: INT4, aliases: []string{"i4", "int4-g128"}},
	INT32: {name: "int32", bits: 32, element: INT32, aliases: []string{"i32"}},

	FP8B128: {name: "fp8-b128", bits: 8, along: 128, across: 128, scale: 32, element: FP8, aliases: []string{"fp8-block"}},
	INT4G64: {name: "int4-g64", bits: 4, along: 64, scale: 32, element: INT4},
	INT4G32: {name: "int4-g32", bits: 4, along: 32, scale: 32, element: INT4},
	INT3:    {name: "int3-g128", bits: 3, along: 128, scale: 32, element: INT3, aliases: []string{"int3"}},
	MXFP8:   {name: "mxfp8", bits: 8, along: 32, scale: 8, element: MXFP8},
	MXFP6:   {name: "mxfp6", bits: 6, along: 32, scale: 8, element: MXFP6, aliases: []string{"fp6"}},
	MXFP4:   {name: "mxfp4", bits: 4, along: 32, scale: 8, element: MXFP4, aliases: []string{"fp4"}},
	NVFP4:   {name: "nvfp4", bits: 4, along: 16, scale: 8, element: NVFP4},
	NF4:     {name: "nf4", bits: 4, along: 64, scale: 32, element: NF4},
	NF4DQ:   {name: "nf4-dq", bits: 4, along: 64, scale: 8, outer: 64 * 256, element: NF4},

	INT3Channel: {name: "int3-channel", bits: 3, along: whole, scale: 64, element: INT3},

	INT8G128: {name: "int8-g128", bits: 8, along: 128, scale: 32, element: INT8},
}

// String returns the name used in files, e.g. "bf16".
func (d DType) String() string {
	if int(d) < len(dtypes) {
		return dtypes[d].name
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Bits returns the size of one element, without scales.
func (d DType) Bits() int64 {
	if int(d) < len(dtypes) {
		return dtypes[d].bits
	}
	return 0
}

// Element returns the format that a matrix unit multiplies: that of the elements, for formats whose
// scales can be applied to sums of products (fp8-b128 is multiplied as fp8, int4-g64 as int4).
func (d DType) Element() DType {
	if int(d) < len(dtypes) {
		return dtypes[d].element
	}
	return d
}

// Scaled reports whether blocks of elements along the reduction share a scale.
func (d DType) Scaled() bool { return int(d) < len(dtypes) && dtypes[d].along != 0 }

// Block returns how many elements along the reduction share a scale, of a vector of so many: 0 if none do.
func (d DType) Block(along int64) int64 {
	if !d.Scaled() {
		return 0
	}
	if b := dtypes[d].along; b != whole {
		return b
	}
	return along
}

// Bytes returns the size of n elements that stand by themselves, packed and rounded up to whole bytes,
// with the scales of blocks that are filled one after another; n must be at most MaxElements. A scale
// of a whole vector is not counted here, for n elements do not say how many vectors they are: see Size.
func (d DType) Bytes(n int64) units.Bytes {
	if int(d) < len(dtypes) && dtypes[d].along > 0 {
		return d.Size(n, 1)
	}
	return units.Bytes(units.CeilDiv(n*d.Bits(), 8))
}

// Size returns the size of across vectors of along elements each, with their scales: columns of a
// weight along the reduction, rows of an activation. Blocks run along the vector and the last may be
// partial; it has a scale all the same. The elements are packed over vectors, and all of it is rounded
// up to whole bytes. along·across must be at most MaxElements.
func (d DType) Size(along, across int64) units.Bytes {
	n := along * across
	bits := n * d.Bits()
	if d.Scaled() {
		f := &dtypes[d]
		blocks := units.CeilDiv(along, max(1, d.Block(along))) * units.CeilDiv(across, max(1, f.across))
		bits += blocks * f.scale
		if f.outer > 0 {
			bits += units.CeilDiv(n, f.outer) * 32
		}
	}
	return units.Bytes(units.CeilDiv(bits, 8))
}

// KVBytes returns the size of so many cached vectors of dim elements, a key or a value of one token and
// head each. Formats of a byte or less that bring no blocks of their own have a scale of 16 bits for
// each vector.
func (d DType) KVBytes(vectors, dim int64) units.Bytes {
	if d.Bits() > 8 || d.Scaled() && dtypes[d].along != whole && dtypes[d].across <= 1 {
		return d.Size(dim, vectors)
	}
	return units.Bytes(units.CeilDiv(vectors*(dim*d.Bits()+kvScaleBits), 8))
}

// kvScaleBits is the size of the scale of a cached key or value: half precision, as the per-token,
// per-head quantisation of vLLM and TensorRT-LLM keeps it.
const kvScaleBits = 16

// Result returns the format in which a product of operands of this format is written: narrow numbers
// are summed in 32 bits and written with 16.
func (d DType) Result() DType {
	if d.Bits() < 16 {
		return BF16
	}
	return d
}

// MaxElements is the most elements whose size in bits, scales included, fits an int64 in every format.
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
