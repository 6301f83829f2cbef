// Package pareto compares points that several objectives judge: which are the best compromises, in which order the others
// follow, and how much of the space of objectives a set has conquered.
//
// # Domination
//
// Inside, every objective is minimised; Minimised turns values with a direction into that form and back. A point dominates
// another if it is nowhere worse and somewhere better. Constraints come first: a feasible point dominates every infeasible
// one, and of two infeasible points the one with the smaller violation dominates, whatever their objectives (Deb et al. 2002,
// definition 1). Points that are equal, and infeasible points with the same violation, do not dominate each other, so a front
// may hold the same values twice.
//
// # Functions
//
// Front is the set that nothing dominates and Fronts peels such sets off one after the other. Crowding says how lonely a point
// is in its front. Hypervolume is the volume between a set and a reference point, exact for any number of objectives; it grows
// with every point that the set gains beyond its front, so it ranks whole sets. Reference is the rule for a reference point
// where nobody gives one.
//
// Sets are slices and the answers are indices into them, in ascending order where nothing else is said. Where points tie, the
// smaller index comes first, so that a set has one answer.
//
// # Cost
//
// With N points and M objectives: Front N log N up to M = 3 and N times the size of the front beyond; Fronts N log N for M = 2
// and at most M N² beyond; Hypervolume N log N up to M = 3, and a factor N more with each objective beyond. For M = 3 both keep a
// sorted slice, whose moves are N² bytes of memory in theory and nothing in practice: 10 000 points take some 10 ms.
//
// # Units
//
// Objectives have any units; only Hypervolume multiplies them, and Crowding divides by the range of each.
//
// # Errors
//
// A value that is not a number or infinite is an error, never a point that is left out: what could not be measured does not
// belong in a comparison.
//
// # References
//
// Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Transactions on
// Evolutionary Computation 6(2), 2002 (domination with constraints, crowding distance).
// Kung, Luccio, Preparata: On finding the maxima of a set of vectors, Journal of the ACM 22(4), 1975 (Front up to M = 3).
// Zhang, Tian, Cheng, Jin: An efficient approach to nondominated sorting for evolutionary multiobjective optimization, IEEE
// Transactions on Evolutionary Computation 19(2), 2015 (Fronts).
// Zitzler, Thiele: Multiobjective optimization using evolutionary algorithms, PPSN V, 1998 (hypervolume).
// Fonseca, Paquete, López-Ibáñez: An improved dimension-sweep algorithm for the hypervolume indicator, IEEE CEC 2006 (M = 3).
// While, Bradstreet, Barone: A fast way of calculating exact hypervolumes, IEEE Transactions on Evolutionary Computation 16(1),
// 2012 (M > 3).
package pareto
