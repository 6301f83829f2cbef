package parallel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Op is one entry of a rank's program: kernels, a collective, a send or a receive.
type Op struct {
	// Kernels keep the rank busy for a time; with it, nothing else is looked at.
	Kernels units.Time
	// Collective of the group, or SendRecv for a message.
	Collective interconnect.Op
	Tag        string
	Bytes      units.Bytes
	Ranks      []int64 // of the collective's group, in rising order; of a message: its sender and its receiver
}

// String returns e.g. `all-reduce "gradients" of 8 B over ranks 0 1 2 3`.
func (o *Op) String() string {
	if o.Collective == "" {
		return fmt.Sprintf("kernels of %v", o.Kernels)
	}
	if o.Collective == interconnect.SendRecv && len(o.Ranks) == 2 {
		return fmt.Sprintf("message %q of %v from rank %d to rank %d", o.Tag, o.Bytes, o.Ranks[0], o.Ranks[1])
	}
	return fmt.Sprintf("%s %q of %v over ranks %s", o.Collective, o.Tag, o.Bytes, list(o.Ranks))
}

// mostNamed is how many ranks a message lists at most, for it to stay readable.
const mostNamed = 8

// list names ranks, at most mostNamed of them and the last.
func list(ranks []int64) string {
	s := strings.Trim(fmt.Sprint(ranks[:min(mostNamed, len(ranks))]), "[]")
	if len(ranks) > mostNamed {
		s += fmt.Sprintf(" … %d", ranks[len(ranks)-1])
	}
	return s
}

// PlayPrograms plays one list of operations for each rank and returns when each ends. A collective starts when all ranks of its
// group have come to it, and keeps all until it ends. Sends keep nobody; messages of a rank follow one another. Ranks
// that disagree on a collective, groups that ranks are missing from and orders in which no rank can go on are errors that name
// rank, group and reason.
func PlayPrograms(programs [][]Op, network Network) ([]units.Time, error) {
	n := int64(len(programs))
	now := make([]units.Time, n)
	next := make([]int, n)
	type link struct {
		from, to int64
	}
	type sent struct {
		op *Op
		at units.Time
	}
	messages := map[link][]sent{}
	free := make([]units.Time, n) // what a rank sends follows one another
	for r, ops := range programs {
		for i := range ops {
			if err := ops[i].check(int64(r), n); err != nil {
				return nil, fmt.Errorf("rank %d, operation %d: %w", r, i, err)
			}
		}
	}
	// at returns what a rank is at; nil at its end.
	at := func(r int64) *Op {
		if next[r] == len(programs[r]) {
			return nil
		}
		return &programs[r][next[r]]
	}
	step := func(r int64) (bool, error) {
		o := at(r)
		switch {
		case o == nil:
			return false, nil
		case o.Collective == "":
			now[r] += o.Kernels
			next[r]++
			return true, nil
		case o.Collective == interconnect.SendRecv:
			l := link{o.Ranks[0], o.Ranks[1]}
			if r == l.from {
				c, err := network.Collective(o.Collective, interconnect.Group{Ranks: 2, Stride: max(l.from, l.to) - min(l.from, l.to)}, o.Bytes)
				if err != nil {
					return false, fmt.Errorf("rank %d: %w", r, err)
				}
				free[r] = max(free[r], now[r]) + c.Time
				messages[l] = append(messages[l], sent{o, free[r]})
				next[r]++
				return true, nil
			}
			q := messages[l]
			if len(q) == 0 {
				return false, nil
			}
			if m := q[0].op; m.Tag != o.Tag || m.Bytes != o.Bytes {
				return false, fmt.Errorf("rank %d receives the %v, rank %d sends the %v: both ends of a message must agree", r, o, l.from, m)
			}
			now[r] = max(now[r], q[0].at)
			messages[l] = q[1:]
			next[r]++
			return true, nil
		}
		start := units.Time(0)
		for _, k := range o.Ranks {
			other := at(k)
			if other == nil || other.Collective == "" || !slices.Equal(other.Ranks, o.Ranks) || other.Collective == interconnect.SendRecv {
				return false, nil
			}
			if other.Collective != o.Collective || other.Tag != o.Tag || other.Bytes != o.Bytes {
				return false, fmt.Errorf("ranks disagree: rank %d is at %v, rank %d at %v: all ranks of a group run the same collectives in the same order", r, o, k, other)
			}
			start = max(start, now[k])
		}
		g := interconnect.Group{Ranks: int64(len(o.Ranks)), Stride: 1}
		if g.Ranks > 1 {
			g.Stride = (o.Ranks[g.Ranks-1] - o.Ranks[0]) / (g.Ranks - 1)
		}
		c, err := network.Collective(o.Collective, g, o.Bytes)
		if err != nil {
			return false, fmt.Errorf("rank %d: %w", r, err)
		}
		for _, k := range o.Ranks {
			now[k] = start + c.Time
			next[k]++
		}
		return true, nil
	}
	for moved := true; moved; {
		moved = false
		for r := range n {
			for {
				ok, err := step(r)
				if err != nil {
					return nil, err
				}
				if !ok {
					break
				}
				moved = true
			}
			if now[r] > units.MaxTime {
				return nil, fmt.Errorf("rank %d: takes longer than %v: %w", r, units.MaxTime, units.ErrTooLarge)
			}
		}
	}
	var stuck []string
	for r := range n {
		o := at(r)
		if o == nil {
			continue
		}
		for _, k := range o.Ranks {
			if other := at(k); k != r && (other == nil || !slices.Equal(other.Ranks, o.Ranks)) {
				what := "has ended"
				if other != nil {
					what = fmt.Sprintf("is at %v", other)
				}
				stuck = append(stuck, fmt.Sprintf("rank %d waits in %v for rank %d, which %s", r, o, k, what))
				break
			}
		}
		if len(stuck) == mostNamed {
			stuck = append(stuck, "…")
			break
		}
	}
	if stuck != nil {
		return nil, fmt.Errorf("no rank can go on: %s", strings.Join(stuck, "; "))
	}
	for _, l := range sortedLinks(messages, func(a, b link) int {
		if a.from != b.from {
			return int(a.from - b.from)
		}
		return int(a.to - b.to)
	}) {
		if q := messages[l]; len(q) > 0 {
			return nil, fmt.Errorf("rank %d never receives the %v", l.to, q[0].op)
		}
	}
	return now, nil
}

// sortedLinks returns the keys of a map in order.
func sortedLinks[K comparable, V any](m map[K]V, less func(a, b K) int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, less)
	return keys
}

// check verifies an operation of a rank.
func (o *Op) check(r, n int64) error {
	switch {
	case o.Kernels < 0 || o.Kernels > units.MaxTime || o.Bytes < 0:
		return fmt.Errorf("%v: negative or longer than %v", o, units.MaxTime)
	case o.Collective == "":
		return nil
	case !slices.Contains(o.Ranks, r):
		return fmt.Errorf("%v: the rank itself is not in the group", o)
	case o.Collective == interconnect.SendRecv:
		if len(o.Ranks) != 2 || o.Ranks[0] == o.Ranks[1] {
			return fmt.Errorf("%v: a message has a sender and another rank as its receiver", o)
		}
	default:
		for i := 1; i < len(o.Ranks); i++ {
			if o.Ranks[i] <= o.Ranks[i-1] {
				return fmt.Errorf("%v: ranks of a group are in rising order, each once", o)
			}
		}
	}
	for _, k := range o.Ranks {
		if k < 0 || k >= n {
			return fmt.Errorf("%v: there is no rank %d, ranks are 0 to %d", o, k, n-1)
		}
	}
	return nil
}
