// Package memory describes memory tiers (on-chip SRAM, HBM, GDDR, LPDDR, DDR) and how long one
// uncontended transfer takes.
//
// # Model
//
// A tier is a server with a sustained rate: bandwidth times the share of it that long streams
// reach (row activations, refresh, turnaround and the access pattern of real kernels). A transfer
// of n bytes, rounded up to whole sectors, keeps the tier busy for n/rate. Transfers that overlap
// in time share the rate; who gets how much is decided by the event fidelity.
//
// # Units
//
// Bytes, bytes per second, picoseconds. Off-chip bandwidths are decimal (10⁹ B/s), as in data
// sheets; on-chip widths are bytes per core-clock cycle.
//
// # Sources
//
// Sustained shares are constants of each machine, with their source in the machine's file.
//
// # Not modelled
//
// Banks, rows, refresh and read/write turnaround as events: their average effect on one kernel is in the
// sustained share, and what several lose that use a tier at once is in the table of its DRAM, if it names one; package dram plays
// them. Reads and writes of one kernel cost the same.
package memory
