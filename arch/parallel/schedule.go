package parallel

import (
	"fmt"
	"iter"
	"math"

	"github.com/stratasim/strata/sim/units"
)

// Schedule is the order in which a stage takes up its passes.
type Schedule string

// The schedules. With p stages, m micro-batches and v chunks a stage, equal stages and nothing else to wait for, the bubble is
// as given, f, b and w being the times of a stage's passes (b with w, where it is not told apart).
const (
	// GPipe runs all forward passes, then all backward ones, last first: (p−1)(f+b).
	GPipe Schedule = "gpipe"
	// OneFOneB alternates them as soon as it can, which holds at most p micro-batches: (p−1)(f+b).
	OneFOneB Schedule = "1f1b"
	// Interleaved takes turns over the chunks of a stage, as Megatron does: (p−1)(f+b)/v.
	Interleaved Schedule = "interleaved"
	// ZeroBubble is ZB-H1: gradients of weights wait for gaps, no more than p micro-batches are held: (p−1)(f+b−w).
	ZeroBubble Schedule = "zero-bubble"
	// Forward runs forward passes only, as inference does: (p−1)f.
	Forward Schedule = "forward"
)

// Schedules lists the schedules of training.
func Schedules() []Schedule { return []Schedule{GPipe, OneFOneB, Interleaved, ZeroBubble} }

// ScheduleNames are their names, for people.
func ScheduleNames() (names []string) {
	for _, s := range Schedules() {
		names = append(names, string(s))
	}
	return names
}

// Pass is what a slot runs.
type Pass uint8

// The passes of a chunk.
const (
	ForwardPass Pass = iota
	BackwardPass
	WeightPass // gradients of weights, where the schedule runs them apart
	numPasses  = iota
)

var passNames = [numPasses]string{"forward", "backward", "weight"}

// String returns the pass's name.
func (p Pass) String() string { return passNames[min(int(p), numPasses-1)] }

// Slot is one pass of one chunk of a stage's layers, for one micro-batch.
type Slot struct {
	Pass       Pass
	Chunk      int32
	Microbatch int32
}

// String returns e.g. "forward pass of micro-batch 3, chunk 1".
func (s Slot) String() string {
	return fmt.Sprintf("%s pass of micro-batch %d, chunk %d", s.Pass, s.Microbatch, s.Chunk)
}

// Resolve returns the schedule and chunks that are played, and a note where they are not what was asked for. Errors are
// *FieldError.
func Resolve(schedule Schedule, stages, chunks, microbatches int64) (Schedule, int64, string, error) {
	chunks = max(1, chunks)
	if schedule == "" {
		if schedule = OneFOneB; chunks > 1 {
			schedule = Interleaved
		}
	}
	switch schedule {
	case GPipe, OneFOneB, ZeroBubble:
		if chunks > 1 {
			return "", 0, "", illegal("schedule", "interleaved", "%s has one chunk a stage, interleave is %d", schedule, chunks)
		}
	case Interleaved:
		if chunks == 1 {
			return OneFOneB, 1, "", nil
		}
		if microbatches%stages != 0 {
			return OneFOneB, 1, fmt.Sprintf("interleaved chunks need micro-batches in multiples of the stages: %d on %d stages run as 1f1b with one chunk", microbatches, stages), nil
		}
	case Forward:
		if chunks > 1 && microbatches%stages != 0 {
			return Forward, 1, fmt.Sprintf("interleaved chunks need micro-batches in multiples of the stages: %d on %d stages run with one chunk", microbatches, stages), nil
		}
	default:
		return "", 0, "", illegal("schedule", "gpipe, 1f1b, interleaved or zero-bubble", "%q: no such schedule", string(schedule))
	}
	return schedule, chunks, "", nil
}

// order is the slots of all stages, in closed form or as lists.
type order struct {
	kind    Schedule
	p, v, m int64
	lists   [][]Slot
}

func (o *order) len(s int64) int64 {
	switch {
	case o.lists != nil:
		return int64(len(o.lists[s]))
	case o.kind == Forward:
		return o.m * o.v
	case o.kind == ZeroBubble:
		return 3 * o.m
	}
	return 2 * o.m * o.v
}

// warm is the forward passes of a stage before its first backward one, those of the steady part apart.
func (o *order) warm(s int64) int64 {
	switch o.kind {
	case GPipe:
		return o.m
	case Interleaved:
		if o.m == o.p {
			return o.m * o.v
		}
		return min(2*(o.p-1-s)+(o.v-1)*o.p, o.m*o.v)
	case Forward:
		return o.m * o.v
	}
	return min(o.p-1-s, o.m)
}

func slot(pass Pass, chunk, microbatch int64) Slot {
	return Slot{pass, int32(chunk), int32(microbatch)}
}

// virtual is the k-th forward or backward pass over chunks that take turns: p micro-batches of each.
func (o *order) virtual(pass Pass, k int64) Slot {
	if o.v == 1 {
		return slot(pass, 0, k)
	}
	r := k % (o.p * o.v)
	c := r / o.p
	if pass == BackwardPass {
		c = o.v - 1 - c
	}
	return slot(pass, c, k/(o.p*o.v)*o.p+r%o.p)
}

func (o *order) at(s, i int64) Slot {
	if o.lists != nil {
		return o.lists[s][i]
	}
	w := o.warm(s)
	if i < w {
		return o.virtual(ForwardPass, i)
	}
	switch i -= w; o.kind {
	case GPipe:
		return slot(BackwardPass, 0, o.m-1-i)
	case ZeroBubble:
		return o.zeroBubble(s, i)
	}
	n := o.m*o.v - w // pairs
	if i < 2*n {
		if i%2 == 0 {
			return o.virtual(ForwardPass, w+i/2)
		}
		return o.virtual(BackwardPass, i/2)
	}
	return o.virtual(BackwardPass, i-n)
}

// zeroBubble is the i-th slot after the warm-up: gradients of weights come s micro-batches after those of inputs, so that every
// stage holds as many micro-batches as the first.
func (o *order) zeroBubble(s, i int64) Slot {
	w, lag := o.warm(s), min(s, o.m)
	n := o.m - w // steps with a forward pass
	lone := min(lag, n)
	if i < 2*lone {
		return slot(Pass(i%2), 0, i/2+w*(1-i%2))
	}
	i -= 2 * lone
	if i < 3*(n-lone) {
		j := lone + i/3
		switch i % 3 {
		case 0:
			return slot(ForwardPass, 0, w+j)
		case 1:
			return slot(BackwardPass, 0, j)
		}
		return slot(WeightPass, 0, j-lag)
	}
	i -= 3 * (n - lone)
	bare := min(lag-lone, w) // backward passes with no gradient of weights due yet
	if i < bare {
		return slot(BackwardPass, 0, n+i)
	}
	i -= bare
	if i < 2*(w-bare) {
		j := n + bare + i/2
		if i%2 == 0 {
			return slot(BackwardPass, 0, j)
		}
		return slot(WeightPass, 0, j-lag)
	}
	return slot(WeightPass, 0, o.m-lag+i-2*(w-bare))
}

// region is a part of an order that repeats: from slot from[s] of stage s on, rounds times period slots, each of shift micro-batches more
// than the round before. First and last slots of a chunk are outside of it.
type region struct {
	from                  []int64
	period, rounds, shift int64
}

func (o *order) regions() []region {
	if o.lists != nil {
		return nil
	}
	at := func(n int64) []int64 {
		from := make([]int64, o.p)
		for i := range from {
			from[i] = n
		}
		return from
	}
	switch o.kind {
	case Forward:
		if o.v > 1 {
			return []region{{at(o.p * o.v), o.p * o.v, o.m/o.p - 2, o.p}}
		}
		return []region{{at(1), 1, o.m - 2, 1}}
	case GPipe:
		return []region{{at(1), 1, o.m - 1, 1}, {at(o.m + 1), 1, o.m - 2, -1}}
	}
	turn := o.v // pairs of a round
	r := region{from: make([]int64, o.p), period: 2 * o.v, rounds: math.MaxInt64, shift: 1}
	if o.v > 1 {
		turn *= o.p
		r.period, r.shift = 2*turn, o.p
	}
	for s := range o.p {
		w := o.warm(s)
		if o.kind == ZeroBubble {
			lag := min(s, o.m)
			r.period = 3
			r.from[s] = w + 2*lag + 3
			r.rounds = min(r.rounds, o.m-w-lag-1, o.m-2)
			continue
		}
		r.from[s] = w + 2
		r.rounds = min(r.rounds, (min(o.m*o.v-w, o.m*o.v-turn)-1)/turn)
	}
	return []region{r}
}

// Divide returns the layers of each of parts, as evenly as can be, earlier ones first; with ends, embedding and head count as a
// layer each, as Megatron-DeepSpeed can do. Errors are *FieldError.
func Divide(layers, parts int64, ends bool) ([]int64, error) {
	if parts < 1 || parts > layers {
		return nil, illegal("pp", fmt.Sprintf("pp·interleave is at most %d", layers), "%d layers on %d stages and chunks: each needs a layer", layers, parts)
	}
	n := layers
	if ends {
		n += 2
	}
	split := make([]int64, parts)
	for i := range split {
		split[i] = n / parts
		if int64(i) < n%parts {
			split[i]++
		}
	}
	if ends {
		split[0]--
		split[parts-1]--
	}
	return split, nil
}

// split returns the layers of each chunk, in the order of the model, for chunks chunks a stage.
func (s *Step) split(p, v int64) ([]int64, error) {
	var layers int64
	for i := range s.Layers {
		if s.Layers[i].Times < 0 {
			return nil, illegal("layers", "", "%d layers in a run", s.Layers[i].Times)
		}
		var ok bool
		if layers, ok = units.Add(layers, s.Layers[i].Times); !ok || layers > maxLayers {
			return nil, illegal("layers", "", "at most %d layers", maxLayers)
		}
	}
	if s.Split == nil {
		if layers == 0 && p*v == 1 {
			return []int64{0}, nil
		}
		return Divide(layers, p*v, s.CountEnds)
	}
	asked := p * max(1, s.Degrees.Interleave)
	if int64(len(s.Split)) != asked {
		return nil, illegal("stages", fmt.Sprintf("%d numbers that sum to %d", asked, layers), "%d stages and chunks are listed, there are %d", len(s.Split), asked)
	}
	sum := int64(0)
	for _, n := range s.Split {
		if n < 0 || n > layers {
			return nil, illegal("stages", "", "a stage of %d layers of %d", n, layers)
		}
		sum += n
	}
	if sum != layers {
		return nil, illegal("stages", "", "stages sum to %d layers, the model has %d", sum, layers)
	}
	if asked == p*v {
		return s.Split, nil
	}
	merged := make([]int64, p) // chunks that do not take turns are neighbours
	for i, n := range s.Split {
		merged[int64(i)/(asked/p)] += n
	}
	return merged, nil
}

// cut lists which runs of layers a chunk has a part of, by index, and how many layers of each; split is the layers of all chunks.
func (s *Step) cut(split []int64, chunk int64) iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		var first, layer int64
		for _, n := range split[:chunk] {
			first += n
		}
		last := first + split[chunk]
		for i := range s.Layers {
			end := layer + s.Layers[i].Times
			if n := min(last, end) - max(first, layer); n > 0 && !yield(i, n) {
				return
			}
			layer = end
		}
	}
}
