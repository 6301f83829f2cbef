package compute

import (
	"fmt"
	"math"
	"math/bits"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Systolic is one or more systolic arrays that share the folds of a product; see the package comment.
type Systolic struct {
	Rows, Columns, Arrays int64
	Dataflow              string // os, ws or is
	Mode                  string // serial, hidden-load or chained
	// Push is the stationary values, or results, that a column takes in or gives up in a cycle; 0 is 1.
	Push int64
	// Group is the values of a stream that enter together, padded to a whole group; 0 is 1.
	Group int64
}

// Sparsity says that of each Of consecutive weights along the reduction at most Keep are not zero, and that
// only those are stored, streamed and multiplied, each with its place in the block. A PE gets, or holds, the
// inputs of a whole block and picks the one that belongs to its weight; so weights that are zero take neither a row
// of the array (ws, is) nor a cycle of the stream (os).
//
// Keep has one entry for all filters (layer-wise) or one for each (row-wise), as SCALE-Sim v3 calls it (Raj et al.,
// ISPASS 2025: "each group of M elements in a row contains precisely N nonzero values"). Filters in columns side by
// side share the rows of the array, so of those the one with most weights counts.
type Sparsity struct {
	Keep []int64
	Of   int64
}

// Validate says what is wrong with a sparsity, "" if nothing is.
func (s *Sparsity) Validate() string {
	if s.Of < 1 {
		return fmt.Sprintf("blocks of %d weights", s.Of)
	}
	for _, n := range s.Keep {
		if n < 1 || n > s.Of {
			return fmt.Sprintf("%d of %d weights: must be from 1 to %d", n, s.Of, s.Of)
		}
	}
	return ""
}

// kept returns how many weights of a reduction of k are stored where n of each block are.
func (s *Sparsity) kept(n, k int64) int64 { return k/s.Of*n + min(k%s.Of, n) }

// of returns the Keep of a filter.
func (s *Sparsity) of(filter int64) int64 {
	if len(s.Keep) == 1 {
		return s.Keep[0]
	}
	return s.Keep[filter]
}

// index is the bits that say where in its block a weight belongs.
func (s *Sparsity) index() int64 { return int64(bits.Len64(uint64(s.Of - 1))) }

// Product is what arrays work on: C[M×N] = A[M×K]·B[K×N], of which A are the inputs (ifmap) and B the weights
// (filters).
type Product struct {
	M, N, K int64
	Sparse  *Sparsity // of B; nil: none
}

// Access is how often words of the operands pass between the arrays and the memory that feeds them. A word is
// one element. The arrays hand a word on from PE to PE, so it is read once a fold. Without room for sums beside the
// arrays, a fold that covers a part of the reduction (ws, is) leaves partial sums, which are read back when the next
// part is added.
type Access struct {
	Inputs, Weights int64 // words read
	Results         int64 // words written at the end of a reduction
	PartialWrites   int64
	PartialReads    int64
	IndexBits       int64 // bits read with sparse weights
}

// Bytes returns what of an access is read and written, with elements in a format and partial sums of four bytes.
func (a Access) Bytes(t traces.DType) (read, written units.Bytes) {
	return t.Bytes(a.Inputs+a.Weights) + units.Bytes(units.CeilDiv(a.IndexBits, 8)+4*a.PartialReads), t.Result().Bytes(a.Results) + units.Bytes(4*a.PartialWrites)
}

// SystolicRun is what a product takes on arrays.
type SystolicRun struct {
	Folds  int64
	Cycles Cycles // up to the last multiply-add
	// Drain is the cycles after the last multiply-add until the last result has left the array: sums that stay in
	// place (os) go down the columns then.
	Drain  units.Cycles
	Access Access
	// Mapping is the mean share of the PEs that a fold has work for.
	Mapping float64
	// Work is the multiply-adds that are executed.
	Work int64
}

// Utilization is the share of multiply-adds of so many cycles that are executed.
func (s Systolic) Utilization(r *SystolicRun, cycles int64) float64 {
	if cycles < 1 {
		return 0
	}
	return float64(r.Work) / float64(cycles) / float64(s.Rows) / float64(s.Columns) / float64(s.Arrays)
}

// pass is a number of equal folds: those that one group of columns takes.
type pass struct {
	folds  int64
	stream int64 // T, the values that each lets pass
}

// passing is the cycles in which the stationary values of a column enter, or its results leave.
func (s Systolic) passing() int64 { return units.CeilDiv(s.Rows, max(1, s.Push)) }

// load is the cycles by which a stationary tile enters.
func (s Systolic) load() int64 {
	if s.Dataflow == "os" {
		return 0
	}
	return s.passing()
}

// space returns the two dimensions of a dense product that lie along rows and columns of the array, and that which
// streams past.
func (s Systolic) space(m, n, k int64) (rows, cols, stream int64) {
	switch s.Dataflow {
	case "ws":
		return k, n, m
	case "is":
		return k, m, n
	}
	return m, n, k
}

// cycles returns the cycles of several dense products, each fold passed over passes times. Arrays share the folds, and may
// share the stream of each: Steady is that of the way with the best pace, Steady + Fill that of the one by which they
// alone take least.
func (s Systolic) cycles(tiles, m, n, k, passes int64) (best Cycles, ok bool) {
	sr, sc, t := s.space(m, n, k)
	folds, ok := units.Mul(units.CeilDiv(sr, s.Rows), units.CeilDiv(sc, s.Columns))
	if ok {
		folds, ok = units.Mul(folds, tiles)
	}
	if !ok {
		return Cycles{}, false
	}
	group := max(1, s.Group)
	least := units.Cycles(math.MaxInt64)
	for parts := int64(1); parts <= s.Arrays; parts *= 2 {
		n, fits := units.Mul(folds, parts)
		if fits {
			n, fits = units.Mul(units.CeilDiv(n, s.Arrays), passes)
		}
		stream, fits2 := units.Mul(units.CeilDiv(units.CeilDiv(t, parts), group), group)
		var c Cycles
		if fits = fits && fits2; fits {
			c, fits = s.time([]pass{{n, stream}})
		}
		if !fits {
			if parts == 1 {
				return Cycles{}, false
			}
			break
		}
		if parts == 1 || c.Steady < best.Steady {
			best = c
		}
		least = min(least, c.Steady+c.Fill)
	}
	best.Fill = least - best.Steady
	return best, true
}

// time returns the cycles of folds that follow one another.
func (s Systolic) time(list []pass) (Cycles, bool) {
	load, skew := s.load(), s.Rows+s.Columns-2
	steady, last := int64(0), int64(0)
	for _, p := range list {
		alone, ok := units.Add(p.stream, load+skew)
		if !ok {
			return Cycles{}, false
		}
		fold := alone
		switch s.Mode {
		case "hidden-load": // a stream takes at least the cycles of a load to pass the array
			fold = p.stream + skew
		case "chained": // a column takes in its stationary values, or gives up its results, one a cycle
			fold = max(p.stream, s.passing())
		}
		n, ok := units.Mul(p.folds, fold)
		if ok {
			steady, ok = units.Add(steady, n)
		}
		if !ok {
			return Cycles{}, false
		}
		last = alone - fold
	}
	if _, ok := units.Add(steady, last); !ok {
		return Cycles{}, false
	}
	return Cycles{units.Cycles(steady), units.Cycles(last)}, true
}

// Run returns what a product takes. The error says that a count does not fit 64 bits, or that the sparsity cannot be
// executed.
func (s Systolic) Run(p Product) (SystolicRun, error) {
	if p.Sparse == nil {
		p.Sparse = &Sparsity{Keep: []int64{1}, Of: 1}
	}
	if n := int64(len(p.Sparse.Keep)); n != 1 && (n != p.N || s.Arrays > 1) {
		return SystolicRun{}, fmt.Errorf("sparsity of each row: %d numbers for %d filters on %d arrays; there must be one for each filter, and one array", n, p.N, s.Arrays)
	}
	r, ok := s.run(p)
	if !ok {
		return SystolicRun{}, fmt.Errorf("product %d×%d×%d: a count overflows", p.M, p.N, p.K)
	}
	return r, nil
}

// run works through the groups of filters that share columns (os, ws) or the whole (is).
func (s Systolic) run(p Product) (r SystolicRun, ok bool) {
	ok = true
	mul := func(xs ...int64) int64 {
		n := int64(1)
		for _, x := range xs {
			var fits bool
			if n, fits = units.Mul(n, x); !fits {
				ok = false
				return 0
			}
		}
		return n
	}
	add := func(to *int64, xs ...int64) {
		n, fits := units.Add(*to, mul(xs...))
		ok = ok && fits
		*to = n
	}
	sp := p.Sparse
	group := p.N // filters that share rows
	if len(sp.Keep) > 1 && s.Dataflow != "is" {
		group = s.Columns
	}
	var list []pass
	var used, places int64 // PEs with work, of all, summed over folds
	for first := int64(0); first < p.N; first += group {
		n := min(group, p.N-first)
		kept, most := int64(0), int64(0) // weights of the group, of the one with most
		if len(sp.Keep) == 1 {
			most = sp.kept(sp.Keep[0], p.K)
			kept = mul(most, n)
		} else {
			for f := first; f < first+n; f++ {
				k := sp.kept(sp.of(f), p.K)
				kept, most = kept+k, max(most, k)
			}
		}
		add(&r.Work, p.M, kept)
		sr, sc, t := s.space(p.M, n, most)
		fr, fc := units.CeilDiv(sr, s.Rows), units.CeilDiv(sc, s.Columns)
		folds := mul(fr, fc)
		list = append(list, pass{folds, t})
		add(&r.Folds, folds)
		add(&used, sr, sc)
		parts := int64(1)
		switch s.Dataflow {
		case "os":
			add(&r.Access.Inputs, fc, p.M, p.K)
			add(&r.Access.Weights, fr, kept)
		case "ws":
			parts = fr
			add(&r.Access.Inputs, fc, p.M, p.K)
			add(&r.Access.Weights, kept)
		case "is":
			parts = fr
			add(&r.Access.Inputs, p.M, p.K)
			add(&r.Access.Weights, fc, kept)
		}
		add(&r.Access.Results, p.M, n)
		add(&r.Access.PartialWrites, parts-1, p.M, n)
		add(&r.Access.PartialReads, parts-1, p.M, n)
	}
	r.Access.IndexBits = mul(r.Access.Weights, sp.index())
	add(&places, r.Folds, s.Rows, s.Columns)
	for _, n := range []int64{r.Access.Inputs, r.Access.Weights, r.Access.Results, r.Access.PartialWrites} {
		mul(n, 16) // so that bytes fit
	}
	if places > 0 {
		r.Mapping = float64(used) / float64(places)
	}
	if s.Dataflow == "os" {
		r.Drain = units.Cycles(s.passing())
	}
	if len(list) == 1 {
		list[0].folds = units.CeilDiv(list[0].folds, s.Arrays)
	}
	var fits bool
	r.Cycles, fits = s.time(list)
	return r, ok && fits
}
