package experiments

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/arch/parallel"
	"github.com/stratasim/strata/sim/units"
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

const failLinkHint = "RANK:SHARE with commas between, e.g. 12:0.5 for half the bandwidth of its NIC and 12:0 for none; node3:0.5 for all NICs of a node, 12.inside:0.5 for a chip's links in its node"

// ParseFailLinks reads links that are slow or gone, RANK:SHARE with commas between them: the NIC of a rank, nodeN:SHARE for all of a
// node, RANK.inside:SHARE for a chip's links inside its node, which RANK alone means where there is one node.
func ParseFailLinks(text string, m *arch.Machine, chips int64) (faults []eval.LinkFault, err error) {
	if text == "" {
		return nil, nil
	}
	bad := func(format string, a ...any) error {
		return &Invalid{Field: "fail-link", Message: fmt.Sprintf(format, a...), Hint: failLinkHint}
	}
	c := m.Cluster()
	node := max(c.Chips, 1)
	for word := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(word), ":")
		if !ok {
			return nil, bad("%.40q is not RANK:SHARE", word)
		}
		var f eval.LinkFault
		number, most, what := name, chips, "rank"
		if n, ok := strings.CutPrefix(name, "node"); ok {
			number, most, what, f.Node = n, units.CeilDiv(chips, node), "node", true
		} else if n, ok := strings.CutSuffix(name, ".inside"); ok {
			number, f.Inside = n, true
		}
		if f.Rank, err = strconv.ParseInt(number, 10, 64); err != nil || f.Rank < 0 || f.Rank >= most {
			return nil, bad("%s %.40q: %ss are 0 to %d", what, number, what, most-1)
		}
		if f.Node {
			f.Rank *= node
		}
		if f.Share, err = strconv.ParseFloat(value, 64); err != nil || !(f.Share == 0 || f.Share >= 0.01 && f.Share <= 1) {
			return nil, bad("share %.40q of %s %s: must be 0, or from 0.01 to 1", value, what, number)
		}
		if chips <= node && !f.Node {
			f.Inside = true
		}
		switch {
		case chips == 1:
			return nil, bad("one chip uses no link")
		case f.Inside && c.Up == nil:
			return nil, bad("rank %d: a node of %s is one chip", f.Rank, m.Name)
		case !f.Inside && (c.Out == nil || chips <= node):
			return nil, bad("%s %s: the step stays within one node", what, number)
		case slices.ContainsFunc(faults, func(o eval.LinkFault) bool { return o.Rank == f.Rank && o.Inside == f.Inside }):
			return nil, bad("rank %d is given twice", f.Rank)
		case !f.Inside && slices.ContainsFunc(faults, func(o eval.LinkFault) bool {
			return !o.Inside && o.Rank/node == f.Rank/node && (o.Share == 0 || f.Share == 0 || o.Node || f.Node)
		}):
			return nil, bad("rank %d: node %d has another fault, and one of the two is of all its NICs or a NIC that is gone: say what is left of the whole node instead, node%d:SHARE", f.Rank, f.Rank/node, f.Rank/node)
		}
		faults = append(faults, f)
	}
	return faults, nil
}
