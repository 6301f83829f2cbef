package oracle

import (
	"sync/atomic"
)

// KeepingErr returns why answers could not be kept in the database or looked up there, nil if all could, or none are kept. Answers are given
// all the same.
func (o *Oracle) KeepingErr() error {
	if o.kept == nil {
		return nil
	}
	return o.kept.answers.Err()
}

// Stats are what an oracle has done and what it remembers.
type Stats struct {
	Answers      map[Status]uint64 // answers given, each request of a batch its own
	Hits, Misses uint64            // of the answers that are remembered
	Found        uint64            // of the misses, those whose answer an earlier process had kept
	Entries      int               // answers that are remembered
	Bytes, Room  int64             // about the memory they take, and may take
	Machines     int               // that were added
	Models       int
}

// Stats returns them as they are now.
func (o *Oracle) Stats() Stats {
	s := Stats{Answers: map[Status]uint64{}, Hits: o.counts.hits.Load(), Misses: o.counts.misses.Load(), Found: o.counts.found.Load()}
	for i, status := range statuses {
		s.Answers[status] = o.counts.answers[i].Load()
	}
	s.Entries, s.Bytes, s.Room = o.answers.size()
	s.Machines, _, _ = o.resolve.added.machines.size()
	s.Models, _, _ = o.resolve.added.models.size()
	return s
}

// statuses are all that an answer can have.
var statuses = [...]Status{OK, Infeasible, Invalid, Unsupported, Timeout, Failed}

// counts are kept by many goroutines at a time.
type counts struct {
	answers      [len(statuses)]atomic.Uint64
	hits, misses atomic.Uint64
	found        atomic.Uint64
}

func (c *counts) answered(s Status) {
	for i := range statuses {
		if statuses[i] == s {
			c.answers[i].Add(1)
		}
	}
}

func (c *counts) looked(known bool) {
	if known {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
}

// size returns how many entries there are, what they take and what they may take.
func (c *lru[K, V]) size() (entries int, taken, room int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len(), c.taken, c.room
}
