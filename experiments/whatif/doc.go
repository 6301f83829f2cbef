// Package whatif asks the simulator about neighbours of a request: the same run without one effect (ablation), and on a
// machine with one figure changed (sensitivity).
//
// Every question is an ordinary request to eval.Run, so the answers are what a user would get by asking one at a time.
// They are worked out side by side, on as many goroutines as there are processors, and come back in an order that does
// not depend on it.
//
// A figure of the machine is found by the type of its unit (clock, bandwidth, capacity, latency, rate, count, power), not
// from a list of names, so that what a machine file gains is asked about too. Shares without a unit, such as
// efficiencies, are left out: each scales the rate beside it. So are energies per action, which are the components of
// the energy already, prices, areas, single points of the voltage-frequency curve, and the whole numbers of a runtime, which are
// choices of its software and not sizes of the chip.
package whatif
