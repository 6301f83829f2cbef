// Package interconnect describes links between chips and how long one collective takes when it
// has its links to itself.
//
// # Model
//
// A ring collective over n ranks of a buffer of S bytes moves w·S bytes through every link, in
// each direction of travel one link per rank: w = 2(n−1)/n for all-reduce, (n−1)/n for all-gather,
// reduce-scatter and all-to-all, 1 for a broadcast or a send. It takes
//
//	base + step·steps + chunk·√(wS) + w·S/(bandwidth·efficiency)
//
// where steps is 2(n−1) or n−1, and the constants are those of a protocol: a library has several and
// takes the one with the least time, as NCCL does. The square root is what optimal chunking of a pipeline leaves:
// more chunks fill the ring sooner but pay the step latency more often.
//
// Where a protocol's own is o, its passes over a rank's own part of the buffer, which is copied or reduced where it is, count as
// o·S/n more in the square root and the last term: with few ranks that is much of what it does. A switch that reduces takes
// (n+1)/n·S of each rank and gives as much: n of n parts to be reduced, but for the own one that is read, and the reduced
// part to be passed on to all. So the time falls with n, where that of a ring rises.
//
// A direct protocol exchanges whole buffers at once, as the one-shot all-reduce of inference servers
// does: w = n−1 in n−1 steps.
//
// # Units
//
// Bytes, bytes per second per direction and chip, picoseconds; chunk in picoseconds per √byte.
//
// # Sources
//
// Ring algorithms: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms, JPDC 2009. The
// chunk term: minimising (k+steps)(α + S/(kB)) over the number of chunks k. Constants are part of
// each machine's file.
//
// # Not modelled
//
// Contention between collectives, topology beyond the share of its links by which a chip reaches the
// others of a group (a torus fills whole dimensions, first ones first), links that fail.
package interconnect
