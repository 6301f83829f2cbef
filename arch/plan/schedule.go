package plan

import (
	"math"
	"slices"

	"github.com/stratasim/strata/sim/units"
)

// job is thread blocks in a row that each walk as many tiles of keys.
type job struct{ tiles, count int64 }

// makespan is when the last slot is done, and how many thread blocks started on it.
type makespan struct{ cycles, starts int64 }

// exactJobs is up to how many thread blocks in order a schedule is played job by job.
const exactJobs = 6000

// schedule deals thread blocks to slots as they become free. The blocks are those of a pattern, repeated, in order
// or the longest first; each takes start cycles and tile cycles for each of its tiles. Beyond many blocks in order the tail
// no longer matters: the mean load of a slot, and half of the longest block.
func schedule(pattern []job, times, slots, start, tile int64, longestFirst bool) makespan {
	var jobs, tiles, longest int64
	shortest := int64(math.MaxInt64)
	for _, j := range pattern {
		jobs += j.count
		tiles += j.tiles * j.count
		longest, shortest = max(longest, j.tiles), min(shortest, j.tiles)
	}
	jobs *= times
	switch {
	case jobs <= slots || longest == shortest: // waves
		waves := units.CeilDiv(jobs, slots)
		return makespan{waves * (start + longest*tile), waves}
	case jobs > exactJobs && !longestFirst:
		starts := units.CeilDiv(jobs, slots)
		mean := float64(jobs)/float64(slots)*float64(start) + float64(tiles)*float64(times)/float64(slots)*float64(tile)
		return makespan{int64(math.Ceil(mean + float64(0.5*float64(start+longest*tile)))), starts}
	}
	q := make(slotQueue, 1, min(slots, jobs))
	q[0] = slotGroup{count: slots}
	var end makespan
	deal := func(j job, n int64) {
		length := start + j.tiles*tile
		for n > 0 {
			// Once no slot is busy for longer than a block takes from when the first is free, as many blocks as there are slots go
			// to one each: rounds in which all move on alike.
			if rounds := n / slots; rounds > 0 && end.cycles-q[0].at.cycles <= length {
				for i := range q {
					q[i].at.cycles, q[i].at.starts = q[i].at.cycles+rounds*length, q[i].at.starts+rounds
				}
				end.cycles, end.starts, n = end.cycles+rounds*length, end.starts+rounds, n-rounds*slots
				continue
			}
			g := q[0]
			g.at.cycles += length
			g.at.starts++
			if g.at.cycles > end.cycles || g.at.cycles == end.cycles && g.at.starts > end.starts {
				end = g.at
			}
			if n >= g.count {
				n -= g.count
				q[0] = g
				q.sink(0)
				continue
			}
			q[0].count -= n
			g.count, n = n, 0
			q = append(q, g)
			q.rise(len(q) - 1)
		}
	}
	if longestFirst {
		sorted := slices.Clone(pattern)
		slices.SortStableFunc(sorted, func(a, b job) int { return int(b.tiles - a.tiles) })
		for _, j := range sorted {
			deal(j, j.count*times)
		}
		return end
	}
	for range times {
		for _, j := range pattern {
			deal(j, j.count)
		}
	}
	return end
}

// slotGroup is slots that have had the same work.
type slotGroup struct {
	at    makespan
	count int64
}

// slotQueue is a heap of slots, the ones that become free first on top.
type slotQueue []slotGroup

func (q slotQueue) sink(i int) {
	g := q[i]
	for {
		c := 2*i + 1
		if c >= len(q) {
			break
		}
		if c+1 < len(q) && q[c+1].at.cycles < q[c].at.cycles {
			c++
		}
		if q[c].at.cycles >= g.at.cycles {
			break
		}
		q[i] = q[c]
		i = c
	}
	q[i] = g
}

func (q slotQueue) rise(i int) {
	g := q[i]
	for i > 0 {
		p := (i - 1) / 2
		if q[p].at.cycles <= g.at.cycles {
			break
		}
		q[i] = q[p]
		i = p
	}
	q[i] = g
}

// kvParts is over how many thread blocks the library divides the walk of a head over tiles of keys.
func kvParts(rule string, blocks, slots, tiles int64) int64 {
	switch rule {
	case "fill": // as many as fill the slots
		return max(1, min(slots/blocks, tiles))
	case "":
		return 1
	case "any":
		if tiles <= 4 {
			return 1
		}
	}
	return kvSplit(blocks, slots, tiles)
}

// kvSplit returns over how many thread blocks the cache of one head is divided: one if the blocks
// nearly fill the slots anyway, else the smallest number whose last wave is at least 85 % as full as
// the best possible; numbers that leave a block as many tiles as one less are passed over
// (num_splits_heuristic of FlashAttention 2 and 3).
func kvSplit(blocks, slots, tiles int64) int64 {
	if float64(blocks) >= 0.8*float64(slots) {
		return 1
	}
	most := min(128, slots, tiles)
	efficiency := func(s int64) float64 {
		if s > 1 && units.CeilDiv(tiles, s) == units.CeilDiv(tiles, s-1) {
			return 0
		}
		waves := float64(s*blocks) / float64(slots)
		return waves / math.Ceil(waves)
	}
	best := 0.0
	for s := int64(1); s <= most; s++ {
		best = max(best, efficiency(s))
	}
	for s := int64(1); s <= most; s++ {
		if efficiency(s) >= 0.85*best {
			return s
		}
	}
	return 1
}
