package traces

import (
	"testing"

	"pgregory.net/rapid"
)

// TestVisits counts the pairs that attention visits one by one.
func TestVisits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := Op{Kind: Attention, Batch: 1, Heads: 1, KVHeads: 1, HeadDim: 2, QLen: rapid.Int64Range(1, 40).Draw(t, "new"), Past: rapid.Int64Range(0, 30).Draw(t, "past")}
		past := rapid.Int64Range(0, 20).Draw(t, "run's past")
		if op.Causal = rapid.Bool().Draw(t, "causal"); op.Causal {
			op.Window = rapid.Int64Range(0, 60).Draw(t, "window")
		} else if op.Past > 0 {
			op.Cross = rapid.Bool().Draw(t, "cross")
		}
		all := op.Past
		if !op.Cross {
			all += past + op.QLen
		}
		var pairs, oldest int64
		oldest = all
		for q := all - op.QLen; q < all; q++ {
			for k := int64(0); k < all; k++ {
				if op.Causal && (k > q || op.Window > 0 && q-k >= op.Window) {
					continue
				}
				pairs++
				oldest = min(oldest, k)
			}
		}
		if got := op.Visits(past); got != pairs {
			t.Fatalf("%+v after %d visits %d pairs, one by one %d", op, past, got, pairs)
		}
		if got := op.SeenPast(past) + op.NewKeys(); got != all-oldest {
			t.Fatalf("%+v after %d sees %d keys, one by one %d", op, past, got, all-oldest)
		}
	})
}

// TestCacheBytes compares the cache with figures worked out by hand.
func TestCacheBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		op   Op
		past int64
		want int64
	}{
		{"keys and values of two heads", Op{Batch: 3, Heads: 4, KVHeads: 2, HeadDim: 8, QLen: 1}, 9, 2 * 3 * 2 * 2 * 8 * 10},
		{"a full window", Op{Batch: 3, Heads: 4, KVHeads: 2, HeadDim: 8, QLen: 5, Window: 4, Causal: true}, 9, 2 * 3 * 2 * 2 * 8 * 4},
		{"values of another width", Op{Batch: 1, Heads: 1, KVHeads: 1, HeadDim: 8, ValueDim: 6, QLen: 1}, 9, 2 * 14 * 10},
		{"latent", Op{Batch: 1, Heads: 16, KVHeads: 1, HeadDim: 576, ValueDim: 512, Latent: true, QLen: 1}, 9, 2 * 576 * 10},
		{"latent, written by a prefill", Op{Batch: 2, Heads: 16, KVHeads: 16, HeadDim: 192, ValueDim: 128, CacheDim: 576, QLen: 10}, 0, 2 * 2 * 576 * 10},
		{"another sequence", Op{Batch: 1, Heads: 1, KVHeads: 1, HeadDim: 8, QLen: 3, Past: 7, Cross: true}, 9, 2 * 2 * 8 * 7},
		{"distances for all sequences", Op{Batch: 3, Heads: 2, KVHeads: 2, HeadDim: 8, QLen: 1, Relative: Projected}, 9, 2*3*2*2*8*10 + 2*2*8*10},
		{"an encoder keeps nothing", Op{Batch: 3, Heads: 2, KVHeads: 2, HeadDim: 8, QLen: 10, Uncached: true}, 0, 0},
	} {
		tt.op.Kind = Attention
		if got, ok := tt.op.CacheBytes(tt.past); !ok || int64(got) != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.name, got, tt.want)
		}
	}
}
