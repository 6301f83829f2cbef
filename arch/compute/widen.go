package compute

import (
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Native returns the format in which the unit multiplies operands of a format: the format itself if the
// unit has a rate for it, else that of its elements, whose scales are applied to the sums. Whether the
// unit has a rate for that is for Rate to say.
func (u Matrix) Native(t traces.DType) traces.DType {
	if _, ok := u.Rates()[t.String()]; ok {
		return t
	}
	return t.Element()
}

// Multiplies reports whether the unit has a rate for operands of a format.
func (u Matrix) Multiplies(t traces.DType) bool {
	_, err := u.Rate(u.Native(t))
	return err == nil
}

// widening is what it takes to turn narrow elements into 16-bit ones in registers, before a matrix unit
// multiplies them: vector operations for eight elements. A packed operation on two 16-bit halves is one
// operation, since it takes a lane of 32 bits.
//
// Sources: int8 and int4 are the sequences of byte permutations, masks, shifts and packed additions of
// FasterTransformer's interleaved numeric conversions (the kernels of Kim et al., "Who Says Elephants
// Can't Run", EMNLP 2022): for eight elements 4 masks, 3 shifts and 4 packed multiply-adds from int4 to
// bf16, and from int8 8 permutations, 8 subtractions and 4 permutations that pack. fp8 and 4-bit floats
// are those of the Marlin kernels of vLLM: two masks and a shift for each pair and a packed multiplication
// that moves the exponent. Where blocks have scales, 4 packed multiplications apply them. int3 (as int4,
// with values that straddle words), 6-bit floats (as fp8, likewise) and nf4 (a table look-up, a multiplication and half a pack for
// each) are estimated.
var widening = map[traces.DType]int64{
	traces.INT8: 20, traces.INT4: 15, traces.INT3: 20,
	traces.FP8: 18, traces.MXFP8: 22, traces.MXFP6: 28, traces.MXFP4: 22, traces.NVFP4: 22, traces.NF4: 48,
}

// fetch is the vector operations to fetch the scale and the zero point of a block for the threads that
// need them: four threads share a column of an operand of a 16×8×16 product (PTX ISA, fragments of mma.m16n8k16),
// and each computes an address, loads, and spreads both over the halves of a register.
const fetch = 4 * 5

// applied is the packed multiplications for eight elements that apply scales of blocks to elements whose
// own conversion has none.
const applied = 4

// Widen returns the vector operations that turn across vectors of along elements each, pieces of vectors
// of so many elements in all, from a narrow format into one that the unit multiplies. It is 0 for
// formats of 16 bits and more.
func Widen(d traces.DType, along, across, all int64) int64 {
	each, ok := widening[d.Element()]
	if !ok {
		return 0
	}
	// In 128-bit arithmetic, since elements times operations may be large.
	n := along * across
	ops, fits := units.MulDivCeil(n, each, 8)
	if !fits {
		return maxOps
	}
	block := d.Block(all)
	if block == 0 || block == all { // a scale of the vector or tensor goes with the sums
		return ops
	}
	if d == traces.FP8B128 {
		block *= 128
		ops += units.CeilDiv(n, 8) * applied
	}
	scales, fits := units.MulDivCeil(n, fetch, block)
	if !fits {
		return maxOps
	}
	return ops + scales
}

// Packed is what a kernel of the kind of GPTQ's does to multiply a packed matrix by a vector (Frantar et al., GPTQ, ICLR 2023;
// the half-precision 3-bit kernel of its code).
type Packed struct {
	Whole, Half int64 // operations on whole numbers, and on pairs in half precision
	Sums        int64 // those of Half that sum up
	Reads       int64 // bytes read from tables in the private memory
}

// Unpack returns what it takes to multiply a vector by across packed columns of along elements each.
//
// Two elements at a time are an index into a table of pairs in half precision. For a pair the source has a shift, a
// mask that also adds the address, a read of the table, a read of the vector's pair, a packed multiply-add with scale and
// zero point, and a packed multiply-add that sums up. A read of the table takes 4 B a thread. Reads of the vector are of
// addresses that follow one another, which the compiler fetches 16 B at a time (seen in the machine code of other kernels:
// Boehm, How to Optimize a CUDA Matmul Kernel, 2022), and all threads read the same: a quarter of a read. Scales of
// blocks are fetched by the one thread that has the column: an address, two loads, and both spread to pairs.
func Unpack(d traces.DType, along, across int64) Packed {
	pairs := units.CeilDiv(along, 2) * across
	p := Packed{Whole: 2 * pairs, Half: 2 * pairs, Sums: pairs, Reads: 5 * pairs}
	if block := d.Block(along); block > 0 && block < along {
		p.Whole += units.CeilDiv(along, block) * across * fetch / 4
	}
	return p
}

// Packs reports whether elements of the format are looked up two at a time: those of at most four bits, whose pairs need
// a table of 256 entries at the most.
func Packs(d traces.DType) bool { return d.Bits() <= 4 }

// maxOps stands for a count that is out of range; planning refuses such products before.
const maxOps = 1 << 62

// Converted is how many type conversions a compiler makes of so many elements of a narrow format: one
// each.
func Converted(d traces.DType, elements int64) int64 {
	if _, ok := widening[d.Element()]; !ok {
		return 0
	}
	return elements
}

// Cycles returns how long one of so many cores takes for its part of operations on whole numbers and others, which run
// beside each other where the unit has lanes for each.
func (v *Vector) Cycles(whole, others, cores int64) int64 {
	if v.Integer == 0 {
		return units.CeilDiv(whole+others, v.Lanes*cores)
	}
	return max(units.CeilDiv(whole, v.Integer*cores), units.CeilDiv(others, v.Lanes*cores))
}

// Conversions returns how many elements a cycle and core the unit converts from one type to another.
func (v *Vector) Conversions() int64 {
	if v.Convert == 0 {
		return v.Lanes
	}
	return v.Convert
}
