package plan

import (
	"cmp"
	"math"
	"slices"
)

// life is a tensor in an arena: its bytes, and the operators from the first to the last during which it is there.
type life struct {
	bytes       int64
	first, last int
}

// maxPlaced bounds the tensors that are placed by their lives.
const maxPlaced = 4096

// allocate gives every tensor of an arena a place for all of its life, and returns the places and the size of the
// arena. The largest tensors are placed first, each at the lowest place where nothing that lives at the same time
// is in the way: greedy by size, Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020.
// The arena is no smaller than what lives at any one time, and often no larger. ok is false if it is too large to count.
//
// The time goes with the square of the number of tensors: of more than maxPlaced, which no layer of a model has, only
// the largest are placed so, and the others take turns with nothing.
func allocate(lives []life) (offsets []int64, size int64, ok bool) {
	offsets = make([]int64, len(lives))
	order := make([]int, len(lives))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(lives[j].bytes, lives[i].bytes) })
	var taken []int // placed already, by their place
	for n, i := range order {
		l := &lives[i]
		at := int64(0)
		if n >= maxPlaced {
			taken, at = nil, size
		}
		for _, k := range taken {
			o := &lives[k]
			if o.last < l.first || l.last < o.first || offsets[k]+o.bytes <= at {
				continue
			}
			if offsets[k]-at >= l.bytes {
				break
			}
			at = offsets[k] + o.bytes
		}
		if l.bytes > math.MaxInt64-at {
			return nil, 0, false
		}
		offsets[i] = at
		size = max(size, at+l.bytes)
		p, _ := slices.BinarySearchFunc(taken, at, func(k int, at int64) int { return cmp.Compare(offsets[k], at) })
		taken = slices.Insert(taken, p, i)
	}
	return offsets, size, true
}
