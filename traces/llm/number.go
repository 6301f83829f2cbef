package llm

import (
	"errors"
	"math"
	"strconv"
)

type wholeness uint8

const (
	isWhole wholeness = iota
	fractional
	outside
)

// whole reads a JSON number as an integer: "4096" is one, and so is "4.096e3".
func whole(s string) (int64, wholeness) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return n, isWhole
	}
	if errors.Is(err, strconv.ErrRange) {
		return 0, outside
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) > 1<<53 {
		return 0, outside
	}
	if f != math.Trunc(f) {
		return 0, fractional
	}
	return int64(f), isWhole
}

// fraction reads a number above 0 and at most 1.
func fraction(v *value) (float64, bool) {
	if v.kind != number {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return f, err == nil && f > 0 && f <= 1
}
