package experiments

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/parallel"
)

const stragglersHint = "none, or RANK:SPEED with commas between, e.g. 17:0.8 for a chip at 80 % of its speed"

// ParseStragglers reads chips that are slower than others, RANK:SPEED with commas between them, or none, which leaves out that chips
// differ at random; "" is no fault. Ranks count tensor-parallel neighbours first, then context, data and pipeline.
func ParseStragglers(text string, chips int64) (faults []parallel.Fault, even bool, err error) {
	if text == "" || text == "none" {
		return nil, text == "none", nil
	}
	bad := func(format string, a ...any) error {
		return &Invalid{Field: "stragglers", Message: fmt.Sprintf(format, a...), Hint: stragglersHint}
	}
	for word := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(word), ":")
		if !ok {
			return nil, false, bad("%.40q is not RANK:SPEED", word)
		}
		rank, err := strconv.ParseInt(name, 10, 64)
		if err != nil || rank < 0 || rank >= chips {
			return nil, false, bad("rank %.40q: ranks are 0 to %d", name, chips-1)
		}
		speed, err := strconv.ParseFloat(value, 64)
		if err != nil || !(speed >= 0.01 && speed <= 1) {
			return nil, false, bad("speed %.40q of rank %d: must be from 0.01 to 1", value, rank)
		}
		if slices.ContainsFunc(faults, func(f parallel.Fault) bool { return f.Rank == rank }) {
			return nil, false, bad("rank %d is given twice", rank)
		}
		faults = append(faults, parallel.Fault{Rank: rank, Slow: 1 / speed})
	}
	return faults, false, nil
}
