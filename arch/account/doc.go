// Package account turns the outcome of a run into energy, power and money.
//
// # Model
//
// Energy is a sum of actions times energy per action (operations of each unit, bytes of each memory
// tier and link), plus idle power times the whole time, plus active power times the time in which
// the chip runs kernels (neither waiting for a launch nor without work). Average power is energy
// over time; peak power is the largest average over one operator's kernels. Everything is summed in
// one fixed order, so the same counts give the same joules.
//
// # Units
//
// Joules, watts, US dollars. Results cover all chips of the mapping and no idle neighbours.
//
// # Sources
//
// The constants are part of each machine, with their sources there. Actions times energy per
// action: Wu, Emer, Sze, Accelergy, ICCAD 2019.
//
// # Not modelled
//
// Voltage and frequency scaling, leakage as a function of temperature, the power of hosts, fans and
// conversion. A run whose power exceeds the limit is reported as such, not slowed down.
package account
