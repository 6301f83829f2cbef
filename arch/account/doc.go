// Package account turns the outcome of a run into energy, power and money.
//
// # Model
//
// Energy is a sum of actions times energy per action (operations of each unit, bytes of each memory
// tier and link, commands of DRAM), plus powers that nothing is charged for: idle, links and background
// of memory all the time, leakage all the time in proportion to the voltage of the cores, and active
// power while kernels run (neither waiting for a launch nor without work). Energy of DRAM is
// n_ACT·E_ACT + bytes·e + n_REF·E_REF + P_bg·t; activations are bytes over the bytes that a row gives
// in the operator's pattern of access. Actions in the domain of the cores cost in proportion to the
// square of their voltage. Average power is energy over time; peak power is the largest average over
// one operator's kernels; a sensor reads a moving average. Everything is summed in one fixed order, so
// the same counts give the same joules.
//
// # Units
//
// Joules, watts, US dollars. A Meter works out one chip; Energy covers all chips of the mapping and no
// idle neighbours.
//
// # Sources
//
// The constants are part of each machine, with their sources there. Actions times energy per action:
// Wu, Emer, Sze, Accelergy, ICCAD 2019. DRAM by command: O'Connor et al., Fine-Grained DRAM, MICRO 2017,
// and the data sheets' IDD currents. Dynamic power as f·V²: Chandrakasan and Brodersen, Low Power Digital
// CMOS Design, 1995.
//
// # Not modelled
//
// Leakage as a function of temperature, activity of data, the power of hosts, fans and conversion.
package account
