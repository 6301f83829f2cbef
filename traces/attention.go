package traces

import "github.com/stratasim/strata/sim/units"

// cached returns how many tokens are there before the new ones of the operator, with past of the run.
func (op *Op) cached(past int64) int64 {
	if op.Cross {
		return op.Past
	}
	return op.Past + past
}

// SeenPast returns how many cached keys any new token of attention sees, with past of the run.
func (op *Op) SeenPast(past int64) int64 {
	n := op.cached(past)
	if op.Window > 0 {
		n = min(n, op.Window-1)
	}
	return n
}

// NewKeys returns how many keys the new tokens of attention add for each sequence.
func (op *Op) NewKeys() int64 {
	if op.Cross {
		return 0
	}
	return op.QLen
}

// Values returns the elements of a value of attention.
func (op *Op) Values() int64 {
	if op.ValueDim > 0 {
		return op.ValueDim
	}
	return op.HeadDim
}

// Kept returns the elements of a value in the cache: none if values are part of the keys.
func (op *Op) Kept() int64 {
	if op.Latent {
		return 0
	}
	return op.Values()
}

// KVPairs returns the size of the keys, of dim elements, and the values, of values elements, of so many
// tokens and heads; values is 0 where the cache holds keys alone.
func (d DType) KVPairs(n, dim, values int64) units.Bytes {
	switch values {
	case 0:
		return d.KVBytes(n, dim)
	case dim:
		return d.KVBytes(2*n, dim)
	}
	return d.KVBytes(n, dim) + d.KVBytes(n, values)
}

func (c *count) pairs(d DType, dim, values int64, ns ...int64) units.Bytes {
	n := c.mul(ns...)
	if c.kv(d, dim+values, n); !c.ok { // more than both of them
		return 0
	}
	return d.KVPairs(n, dim, values)
}

// CacheBytes returns how much attention keeps of all its sequences after its new tokens, with past of
// the run: keys and values within the window, if there is one, and projected distances. ok is false if
// they are too many to count.
func (op *Op) CacheBytes(past int64) (n units.Bytes, ok bool) {
	if op.Uncached {
		return 0, true
	}
	c := count{true}
	keys := c.add(op.cached(past), op.NewKeys())
	if op.Window > 0 {
		keys = min(keys, op.Window)
	}
	if op.CacheDim > 0 {
		n = c.kv(op.KVDType, op.CacheDim, op.Batch, keys)
		return n, c.ok
	}
	n = c.pairs(op.KVDType, op.HeadDim, op.Kept(), op.Batch, op.KVHeads, keys)
	if op.Relative == Projected {
		n = units.Bytes(c.add(int64(n), int64(c.kv(op.KVDType, op.HeadDim, op.Heads, keys))))
	}
	return n, c.ok
}

// Visits returns how many pairs of a query and a key attention visits per head and sequence, with past
// tokens of the run; it may overflow unless the count of all pairs fits.
func (op *Op) Visits(past int64) int64 {
	seen := op.SeenPast(past)
	switch {
	case op.Cross:
		return op.QLen * seen
	case op.Window == 0 || !op.Causal:
		return Pairs(op.QLen, seen, op.Causal)
	}
	// The first queries see ever more keys, until the window is full.
	growing := min(op.QLen, op.Window-seen)
	return Pairs(growing, seen, true) + (op.QLen-growing)*op.Window
}
