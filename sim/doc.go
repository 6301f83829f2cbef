// Package sim is the vocabulary that the models of Strata share: why time passed
// (Cause, Stalls), what was done (Counter, Counts), and what a run came to (Outcome).
//
// # Model
//
// Every picosecond of a run's critical path is charged to exactly one Cause. The path is
// walked along dependencies: a step in service is charged to the resource that limits it,
// a fixed delay to the cause it names. The charges of a run therefore sum to its makespan.
//
// # Units
//
// Times are integer picoseconds (units.Time). Counts are integers in the unit that their
// Counter names: operations, bytes, core-cycles.
//
// # Sources
//
// The list of causes is the project's own; the split into service, queueing and latency is
// the usual one of queueing theory (Lazowska et al., Quantitative System Performance, 1984).
//
// # Not modelled
//
// Causes inside one resource (row misses, bank conflicts, replays) are not told apart here.
package sim
