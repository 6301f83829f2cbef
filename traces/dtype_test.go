package traces

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
)

// TestFormatSizes: sizes of matrices in each format with scales, worked out by hand.
func TestFormatSizes(t *testing.T) {
	for _, tt := range []struct {
		d             DType
		along, across int64
		want          units.Bytes
	}{
		{BF16, 4096, 11008, 2 * 4096 * 11008},
		{FP8, 4096, 11008, 4096 * 11008},                               // one scale, an argument of the kernel
		{FP8B128, 7168, 2112, 7168*2112 + 4*56*17},                     // DeepSeek-V3's query projection: ⌈2112/128⌉ = 17
		{INT8, 4096, 11008, 4096*11008 + 4*11008},                      // a scale a column
		{INT4, 4096, 11008, 4096*11008/2 + 4*32*11008},                 // 4.25 bits
		{INT4, 100, 3, 150 + 4*3},                                      // a partial block has a scale
		{INT4G64, 4096, 11008, 4096*11008/2 + 4*64*11008},              // 4.5 bits
		{INT4G32, 4096, 11008, 4096*11008/2 + 4*128*11008},             // 5 bits
		{INT3, 4096, 11008, 4096*11008*3/8 + 4*32*11008},               // 3.25 bits
		{INT3Channel, 4096, 11008, 4096*11008*3/8 + 8*11008},           // GPTQ without groups: scale and zero point in fp32
		{MXFP8, 64, 2, 128 + 4},                                        //
		{MXFP6, 64, 2, 96 + 4},                                         //
		{MXFP4, 2880, 2880, 2880*2880/2 + 90*2880},                     // 4.25 bits
		{NVFP4, 4096, 11008, 4096*11008/2 + 256*11008},                 // 4.5 bits
		{NF4, 4096, 4096, 4096*4096/2 + 4*64*4096},                     // 4.5 bits
		{NF4DQ, 4096, 4096, 4096*4096/2 + 64*4096 + 4*4096*4096/16384}, // 4.127 bits: arXiv 2305.14314, section 3
	} {
		if got := tt.d.Size(tt.along, tt.across); got != tt.want {
			t.Errorf("%d×%d %s: %d bytes, want %d", tt.along, tt.across, tt.d, got, tt.want)
		}
	}
	for _, tt := range []struct {
		d    DType
		want units.Bytes
	}{{BF16, 256}, {FP8, 130}, {INT8, 130}, {FP8B128, 130}, {INT4, 64 + 4}, {INT4G32, 64 + 16}, {MXFP4, 64 + 4}} {
		if got := tt.d.KVBytes(1, 128); got != tt.want {
			t.Errorf("a key of 128 in %s: %d bytes, want %d", tt.d, got, tt.want)
		}
	}
}

// TestSizeGrows: a matrix with another row or column is larger, no scale is free, and vectors apart take
// no less than together.
func TestSizeGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := DType(rapid.IntRange(0, numDTypes-1).Draw(t, "type"))
		along, across := rapid.Int64Range(1, 5000).Draw(t, "along"), rapid.Int64Range(1, 5000).Draw(t, "across")
		size := d.Size(along, across)
		if d.Size(along+1, across) < size || d.Size(along, across+1) <= size-1 {
			t.Fatal("shrinks")
		}
		if bits := along * across * d.Bits(); int64(size)*8 < bits || d.Scaled() && int64(size)*8 <= bits {
			t.Fatalf("%d bytes for %d bits", size, bits)
		}
		if d.Size(along, 1)*units.Bytes(across) < size || d.Size(1, across)*units.Bytes(along) < size {
			t.Fatal("parts are smaller than the whole")
		}
		if n := (&Tensor{Type: d, Role: Weight, Shape: []int64{along, across}}); func() bool { b, ok := n.Bytes(); return !ok || b != size }() {
			t.Fatal("a weight's blocks run along its first dimension")
		}
		if d.Element().Bits() != d.Bits() || d.Result().Bits() < 16 {
			t.Fatal("element or result")
		}
	})
}
