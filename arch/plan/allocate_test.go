package plan

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAllocate(t *testing.T) {
	for _, c := range []struct {
		name  string
		lives []life
		want  int64
	}{
		{"nothing", nil, 0},
		{"one after the other share a place", []life{{10, 0, 1}, {10, 2, 3}}, 10},
		{"together they do not", []life{{10, 0, 2}, {10, 2, 3}}, 20},
		// A residual of 4 lives throughout; 8 and 6 follow one another beside it.
		{"a residual", []life{{4, 0, 5}, {8, 1, 2}, {6, 3, 4}}, 12},
		// Greedy by size leaves a hole: 5 and 4 overlap, 4 and 3 overlap, 3 goes below 4.
		{"a hole is used", []life{{5, 0, 1}, {4, 1, 3}, {3, 2, 4}}, 9},
	} {
		if _, size, ok := allocate(c.lives); !ok || size != c.want {
			t.Errorf("%s: %d, want %d", c.name, size, c.want)
		}
	}
	if _, _, ok := allocate([]life{{1 << 62, 0, 1}, {1 << 62, 0, 1}}); ok {
		t.Error("an arena of 2^63 bytes is counted")
	}
}

// No two tensors that live at the same time share a byte, and the arena is between what lives at one time at the
// most and all of it.
func TestAllocateLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lives := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) life {
			first := rapid.IntRange(0, 20).Draw(t, "first")
			return life{rapid.Int64Range(0, 100).Draw(t, "bytes"), first, first + rapid.IntRange(0, 8).Draw(t, "length")}
		}), 0, 30).Draw(t, "lives")
		offsets, size, ok := allocate(lives)
		if !ok {
			t.Fatal("too large")
		}
		var most, all int64
		for at := range 30 {
			var alive int64
			for _, l := range lives {
				if l.first <= at && at <= l.last {
					alive += l.bytes
				}
			}
			most = max(most, alive)
		}
		for i, a := range lives {
			all += a.bytes
			if offsets[i] < 0 || offsets[i]+a.bytes > size {
				t.Fatalf("tensor %d at %d of %d", i, offsets[i], size)
			}
			for j, b := range lives[:i] {
				if a.first <= b.last && b.first <= a.last && offsets[i] < offsets[j]+b.bytes && offsets[j] < offsets[i]+a.bytes {
					t.Fatalf("tensors %d at %d and %d at %d overlap: %+v", i, offsets[i], j, offsets[j], lives)
				}
			}
		}
		if size < most || size > all {
			t.Fatalf("an arena of %d, %d live at one time, %d in all", size, most, all)
		}
	})
}
