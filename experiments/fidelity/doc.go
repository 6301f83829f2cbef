// Package fidelity measures how well the two fidelities agree: on transformers drawn at random, where they should, and on cases
// in which streams meet, where they should not.
//
// # Model
//
// Both fidelities time one plan, so what they differ in is time alone (docs/decisions/0003). The gap of a point is
// analytic/event − 1. Over many points that is summed up as the mean, median, 95th percentile and largest of its size, its
// mean with the sign, and Kendall's tau-b between the times of the two: whether a search that ranks by one ranks as by the
// other. A point whose plan does not fit into the machine is drawn again.
//
// # Units
//
// Seconds; gaps are shares of the event fidelity's time.
//
// # Determinism
//
// A point depends on seed, machine and its number alone, whatever the number of cores and of points.
//
// # Sources
//
// Kendall, The treatment of ties in ranking problems, Biometrika 33(3), 1945; Knight, A computer method for calculating
// Kendall's tau with ungrouped data, JASA 61(314), 1966.
//
// # Not modelled
//
// Which of the two is nearer to silicon: docs/validation.md has both. Shapes that nobody would build are drawn as often as
// those that somebody would.
package fidelity
