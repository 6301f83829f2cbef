// Package shard divides the points of a sweep over processes that know nothing of each other, as the tasks of a job array
// on a cluster do.
//
// # Model
//
// Shard i of N has the points whose index leaves the remainder i when divided by N. Neighbours of a sweep are alike, and
// the slow ones often lie together, so this strided order gives each shard a fair share of them. Every process plans the
// same list of points and takes its own; what they make is merged by content afterwards (experiments/store).
//
// Which shard a process is, it reads from a flag, or from the variables that schedulers set: FromEnvironment. How many
// workers it should start, Workers finds out from the scheduler, the limits of the container and the machine. Script
// writes what a scheduler is given to run all shards and merge them.
//
// # Not modelled
//
// Shards are fixed beforehand; a shard that happens to be slow is not helped by one that is done. With far more points
// than shards that costs little, and in return no process waits for another and no node needs a network.
package shard
