// Package analytic times a Program in closed form: no queue, no clock, no events.
//
// # Model
//
// A chain takes the sum of its parts. A pipelined loop is a max-plus recurrence: an iteration of a
// node starts when its own previous iteration has freed its resources, its dependencies are done
// and its buffers have tokens. After a few iterations such a recurrence becomes periodic (its
// period is the largest mean weight of a cycle of dependencies); from there the rest follows by
// multiplication. Resources that several steps share bound the result from below: a body never
// takes less than its amounts at the best rates. So analytic = event when nothing is shared, and
// the difference between the two is the effect of contention.
//
// # Units
//
// Picoseconds.
//
// # Sources
//
// Max-plus recurrences and their periodicity: Baccelli, Cohen, Olsder, Quadrat, Synchronization and
// Linearity, 1992, chapter 3.
//
// # Not modelled
//
// How concurrent transfers share a resource from moment to moment (arch/event does).
package analytic
