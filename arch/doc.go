// Package arch describes a machine: chips made of cores and memory tiers, the links between them,
// the software that runs on them, and what work costs in energy and money.
//
// # Model
//
// A Machine composes the specifications of its parts (arch/compute, memory, interconnect) and adds
// what only the whole has: the runtime (kernel library, launches, fusions), power, energy per
// action and cost. It is plain data: it can be loaded, printed, compared, hashed, swept and stored.
//
// # Units
//
// Every quantity carries its unit in the file. Off-chip bandwidths are decimal; capacities are as
// written (a data sheet's "80 GB" of HBM is 80 GiB).
//
// # Sources
//
// A machine file names the source of every leaf under "sources"; presets are tested for it.
//
// # Not modelled
//
// On-chip networks, several dies in a package, clocks that differ between parts of a chip.
package arch
