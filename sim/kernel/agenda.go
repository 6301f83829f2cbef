package kernel

import "github.com/stratasim/strata/sim/units"

// job is one entry of the agenda.
type job struct {
	at  units.Time
	key uint64 // priority in the upper 8 bits, sequence number in the lower 56
	h   Handler
}

// seqBits is the width of the sequence number in job.key: 2^56 jobs take longer than a century.
const seqBits = 56

func (a *job) before(b *job) bool {
	return a.at < b.at || (a.at == b.at && a.key < b.key)
}

// agenda is a 4-ary min-heap of jobs ordered by (time, priority, sequence). Keys are unique, so
// the order in which jobs leave it does not depend on the order in which they came.
type agenda []job

func (q *agenda) push(j job) {
	*q = append(*q, j)
	h := *q
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !j.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = j
}

// pop removes the first job. The agenda must not be empty.
func (q *agenda) pop() job {
	h := *q
	first := h[0]
	n := len(h) - 1
	last := h[n]
	h[n] = job{} // or the handler would be kept alive by the free slot
	h = h[:n]
	*q = h
	if n == 0 {
		return first
	}
	i := 0
	for {
		c := 4*i + 1
		if c >= n {
			break
		}
		least := c
		for k := c + 1; k < min(c+4, n); k++ {
			if h[k].before(&h[least]) {
				least = k
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return first
}

// clear removes all jobs and keeps the memory.
func (q *agenda) clear() {
	clear(*q)
	*q = (*q)[:0]
}
