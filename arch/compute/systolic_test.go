package compute_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Worked out by hand from the definitions of Access and Sparsity.
func TestSystolicAccess(t *testing.T) {
	one := func(dataflow string) compute.Systolic {
		return compute.Systolic{Rows: 8, Columns: 4, Arrays: 1, Dataflow: dataflow, Mode: "serial"}
	}
	for _, c := range []struct {
		name          string
		array         compute.Systolic
		product       compute.Product
		want          compute.Access
		folds         int64
		cycles        units.Cycles
		read, written units.Bytes // fp16 elements, sums of 4 bytes
	}{
		// ⌈5/8⌉·⌈9/4⌉ = 3 folds: A once for each three columns of tiles, B once.
		{"os", one("os"), compute.Product{M: 5, N: 9, K: 20}, compute.Access{Inputs: 300, Weights: 180, Results: 45}, 3, 90, 960, 90},
		// ⌈20/8⌉ = 3 parts of the reduction: sums are written three times and read back twice.
		{"ws", one("ws"), compute.Product{M: 5, N: 9, K: 20}, compute.Access{Inputs: 300, Weights: 180, Results: 45, PartialWrites: 90, PartialReads: 90}, 9, 207, 960 + 360, 90 + 360},
		{"is", one("is"), compute.Product{M: 5, N: 9, K: 20}, compute.Access{Inputs: 100, Weights: 360, Results: 45, PartialWrites: 90, PartialReads: 90}, 6, 162, 920 + 360, 90 + 360},
		// 2:4: ten of 20 weights, ⌈10/8⌉ = 2 parts, 2 bits for the place of each.
		{"2:4", one("ws"), compute.Product{M: 5, N: 9, K: 20, Sparse: &compute.Sparsity{Keep: []int64{2}, Of: 4}},
			compute.Access{Inputs: 300, Weights: 90, Results: 45, PartialWrites: 45, PartialReads: 45, IndexBits: 180}, 6, 138, 780 + 23 + 180, 90 + 180},
		// A block that is cut short has no more weights than it is long: 18 = 4·4+2, 3 of 4 and 2 of 2.
		{"3:4", one("os"), compute.Product{M: 5, N: 4, K: 18, Sparse: &compute.Sparsity{Keep: []int64{3}, Of: 4}},
			compute.Access{Inputs: 90, Weights: 56, Results: 20, IndexBits: 112}, 1, 14 + 10, 292 + 14, 40},
		// Row-wise: the first four filters take rows for 3 of 4 weights, the last for 1 of 4.
		{"rows", one("ws"), compute.Product{M: 5, N: 5, K: 16, Sparse: &compute.Sparsity{Keep: []int64{1, 3, 1, 1, 1}, Of: 4}},
			compute.Access{Inputs: 160, Weights: 4*4 + 12, Results: 25, PartialWrites: 20, PartialReads: 20, IndexBits: 56}, 2 + 1, 3 * 23, 376 + 7 + 80, 50 + 80},
	} {
		r, err := c.array.Run(c.product)
		if err != nil || r.Access != c.want || r.Folds != c.folds || r.Cycles.Steady+r.Cycles.Fill != c.cycles {
			t.Errorf("%s: %+v, %v; want %+v, %d folds, %d cycles", c.name, r, err, c.want, c.folds, c.cycles)
		}
		if read, written := r.Access.Bytes(traces.FP16); read != c.read || written != c.written {
			t.Errorf("%s: %d B read, %d B written; want %d, %d", c.name, read, written, c.read, c.written)
		}
	}
}

// Filters with a sparsity of their own are as many products one after the other as there are groups of columns.
func TestRowWiseSparsity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compute.Systolic{Rows: rapid.Int64Range(1, 20).Draw(t, "rows"), Columns: rapid.Int64Range(1, 6).Draw(t, "columns"), Arrays: 1,
			Dataflow: rapid.SampledFrom([]string{"os", "ws"}).Draw(t, "dataflow"), Mode: "serial"}
		of := rapid.Int64Range(1, 8).Draw(t, "of")
		keep := rapid.SliceOfN(rapid.Int64Range(1, of), 2, 20).Draw(t, "keep")
		p := compute.Product{M: rapid.Int64Range(1, 50).Draw(t, "m"), N: int64(len(keep)), K: rapid.Int64Range(1, 100).Draw(t, "k"), Sparse: &compute.Sparsity{Keep: keep, Of: of}}
		r, err := s.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		var folds int64
		var cycles units.Cycles
		for i := 0; i < len(keep); i += int(s.Columns) {
			group := keep[i:min(len(keep), i+int(s.Columns))]
			most := int64(0)
			for _, n := range group {
				most = max(most, n)
			}
			one, err := s.Run(compute.Product{M: p.M, N: int64(len(group)), K: p.K, Sparse: &compute.Sparsity{Keep: []int64{most}, Of: of}})
			if err != nil {
				t.Fatal(err)
			}
			folds, cycles = folds+one.Folds, cycles+one.Cycles.Steady
		}
		if r.Folds != folds || r.Cycles.Steady != cycles {
			t.Fatalf("%d folds, %d cycles; the groups take %d and %d", r.Folds, r.Cycles.Steady, folds, cycles)
		}
	})
}

// Zeros never cost: a sparse product takes no more cycles, folds, words or multiply-adds than the dense one, which is
// the one of N = M.
func TestSparsitySaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := compute.Systolic{Rows: rapid.Int64Range(1, 40).Draw(t, "rows"), Columns: rapid.Int64Range(1, 40).Draw(t, "columns"), Arrays: rapid.Int64Range(1, 5).Draw(t, "arrays"),
			Dataflow: rapid.SampledFrom([]string{"os", "ws", "is"}).Draw(t, "dataflow"), Mode: rapid.SampledFrom([]string{"serial", "hidden-load", "chained"}).Draw(t, "mode")}
		size := rapid.Int64Range(1, 300)
		p := compute.Product{M: size.Draw(t, "m"), N: size.Draw(t, "n"), K: size.Draw(t, "k")}
		dense, err := s.Run(p)
		if err != nil {
			t.Fatal(err)
		}
		last := dense
		of := rapid.Int64Range(1, 16).Draw(t, "of")
		for n := of; n > 0; n-- {
			p.Sparse = &compute.Sparsity{Keep: []int64{n}, Of: of}
			r, err := s.Run(p)
			if err != nil {
				t.Fatal(err)
			}
			index := r.Access.IndexBits
			if r.Access.IndexBits = 0; n == of && r != dense {
				t.Fatalf("%d:%d: %+v, dense %+v", n, of, r, dense)
			}
			if r.Cycles.Steady+r.Cycles.Fill > last.Cycles.Steady+last.Cycles.Fill || r.Folds > last.Folds || r.Access.Weights > last.Access.Weights || r.Work > last.Work {
				t.Fatalf("%d:%d takes more than %d:%d: %+v, %+v", n, of, n+1, of, r, last)
			}
			if of > 1 && index < r.Access.Weights {
				t.Fatalf("%d bits for the places of %d weights of blocks of %d", index, r.Access.Weights, of)
			}
			if u := s.Utilization(&r, int64(r.Cycles.Steady+r.Cycles.Fill)); u <= 0 || u > 1 || r.Mapping <= 0 || r.Mapping > 1 {
				t.Fatalf("utilization %v, mapping %v", u, r.Mapping)
			}
			last = r
		}
	})
}

// ExampleSystolic_Run is a product with 2:4 sparse weights on one array.
func ExampleSystolic_Run() {
	s := compute.Systolic{Rows: 16, Columns: 16, Arrays: 1, Dataflow: "ws", Mode: "chained"}
	for _, sparse := range []*compute.Sparsity{nil, {Keep: []int64{2}, Of: 4}} {
		r, err := s.Run(compute.Product{M: 64, N: 64, K: 64, Sparse: sparse})
		fmt.Println(r.Folds, r.Cycles.Steady+r.Cycles.Fill, r.Access.Weights, err)
	}
	// Output:
	// 16 1070 cycles 4096 <nil>
	// 8 558 cycles 2048 <nil>
}
