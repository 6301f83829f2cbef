package shard

import (
	"fmt"
	"strconv"
	"strings"
)

// Shard is one of Count equal parts of a list, counted from 0. The zero value is not one; All is the whole list.
type Shard struct{ Index, Count int64 }

// All is the one shard of a list that is not divided.
var All = Shard{0, 1}

// MaxCount bounds the number of shards: beyond it, starting a shard costs more than it does.
const MaxCount = 1_000_000

// Parse reads "i/N", such as 3/8: the fourth of eight.
func Parse(text string) (Shard, error) {
	bad := func(format string, args ...any) (Shard, error) {
		return Shard{}, fmt.Errorf("shard %q: %s", text, fmt.Sprintf(format, args...))
	}
	index, count, found := strings.Cut(text, "/")
	if !found {
		return bad("write it as INDEX/COUNT, such as 3/8")
	}
	for _, part := range []struct{ name, text string }{{"index", index}, {"count", count}} {
		if part.text == "" {
			return bad("the %s is missing; is a variable of the shell not set?", part.name)
		}
		if strings.Trim(part.text, "0123456789") != "" {
			return bad("the %s %q is not a whole number in plain digits", part.name, part.text)
		}
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n > MaxCount {
		return bad("there can be %d shards at most", MaxCount)
	}
	if n == 0 {
		return bad("there must be at least one shard")
	}
	i, err := strconv.ParseInt(index, 10, 64)
	switch {
	case err == nil && i == n && n > 1:
		return bad("shards count from 0, so the last of %d is %d/%d; a job array must have the indices 0-%d, not 1-%d", n, n-1, n, n-1, n)
	case err != nil || i >= n:
		return bad("the index must be from 0 to %d", n-1)
	}
	return Shard{i, n}, nil
}

// String returns "i/N".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Has reports whether the point with that index, from 0, is in the shard.
func (s Shard) Has(point int64) bool { return point%s.Count == s.Index }

// Size returns how many of the first n points are in the shard.
func (s Shard) Size(n int64) int64 {
	if n <= s.Index {
		return 0
	}
	return (n-s.Index-1)/s.Count + 1
}
