// Package astra computes the time of a collective as the analytical backends of ASTRA-sim 2 do, so that their users can
// check what they move over. It is a model of that tool, not of networks: the rest of this module answers those questions.
//
// # Model
//
// Each message is one event. The unaware backend takes hops·latency + bytes/bandwidth for it whatever else is on the
// links; the aware one keeps a queue per link, first come first served, and passes a message on when all of it is there. A
// rank spends 10 ns before each send and after the last receipt, and reads twice and writes once what it
// reduces, at 1600 B/ns. A collective is cut into chunks; each goes through the dimensions one after the other (an
// all-reduce scatters on the way up and gathers on the way down, an all-gather begins with the last dimension), and a
// dimension works on so many of them at a time, first come first served.
//
// # Units
//
// That tool's: a gigabyte is 2³⁰ bytes, times are whole nanoseconds, cut off for each message. All-gather takes
// the bytes of one rank's part, all others those of the full buffer.
//
// # Sources
//
// Won et al., ASTRA-sim2.0, ISPASS 2023, and its runs: the time of each message and the order of chunks are those
// that reproduce them to the nanosecond.
//
// # Not modelled
//
// Dimensions of the aware backend beyond the first, which it does not have either; a double binary tree in several
// dimensions or chunks.
package astra
