// Package dram models a DRAM controller and the chips behind it: what a stream of accesses gets of the peak bandwidth, how long a
// read takes, and what energy the chips take.
//
// # Model
//
// An access is a line of 64 bytes. The address map (Map) says in which channel, pseudo-channel, rank, bank group, bank and row it
// lies; consecutive lines of an open row are the run that makes DRAM fast. Simulate plays the commands that the controller gives
// (ACT, PRE, read, write, refresh), each at the first clock at which all intervals of the standard since earlier commands have
// passed: it goes from command to command, clocks in which nothing starts cost nothing. Two controllers are known: one with a
// queue for reads and one for writes, which serves the oldest access that can be served and opens rows ahead (ramulator2), and one
// with a queue for each bank (dramsim3). ClosedForm bounds the same from the table of the standard without playing it: what the
// queue holds at a time keeps the slowest of data bus, bank group (tCCD_L), activation window (tRRD, tFAW), command bus and
// bank cycle busy; turnaround and refresh are taken off.
//
// # Units
//
// Timing is in clocks, as in the standards; time inside a channel in ticks, which are clocks or half clocks; results in seconds,
// bytes per second and picojoules.
//
// # Sources
//
// JESD79-4 (DDR4), JESD79-5 (DDR5), JESD209-5B (LPDDR5), JESD250 (GDDR6), JESD235D (HBM2), JESD238 (HBM3) as Ramulator 2.1 and
// DRAMsim3 have them: the file is in the field Source of each standard. HBM2E and HBM3E are HBM2 and HBM3 at a higher clock.
// Luo et al., Ramulator 2.0, IEEE CAL 2023; Li et al., DRAMsim3, IEEE CAL 2020.
//
// # Not modelled
//
// The physical interface and what lies between it and the cores (latencies are those of controller and chips alone), thermal
// throttling, error correction, self-refresh, I/O and termination energy. Where the streams of a request lie is not said by it:
// the answer is an average over places.
package dram
