// Package search looks for good designs in a space of decisions: by genetic search for several objectives, by an evolution
// strategy for one, at random for comparison, and by samples and grids that need no answers.
//
// # Spaces
//
// A Space is a list of variables: categorical or ordered choices, integer or real ranges, linear or logarithmic. A Candidate has
// one number for each: the index of a choice, the integer, the real number. What a choice means is the caller's business.
//
// # Algorithms
//
// An Algorithm proposes a generation of candidates (Ask) and is told what became of them (Tell); who evaluates, where and in how
// many processes is not its business. Objectives are minimised (package pareto turns maximised ones around). Constraints come
// first: any feasible candidate is better than any infeasible one, of two infeasible ones the one with the smaller violation.
// Violations are summed by the caller in units that compare, such as how far a limit is exceeded as a share of it. A failed
// evaluation is worse than everything. Values that are not numbers are refused: a failure is not a number, it is Failed.
//
//   - NewNSGA2: any number of objectives, any variables. It spreads its population over a front of two objectives; of more, take
//     the front of all that was evaluated, which holds many more points than the population.
//   - NewCMAES: one objective, ordered variables. With reals and correlated decisions it needs far fewer evaluations.
//   - NewRandom: any number of objectives. What does not beat it is not worth its name.
//
// # Resuming
//
// All that is random in a generation is drawn from a generator seeded by (seed, generation), so the state of a search is what it
// was told. A search that was interrupted is made anew with the same space and options; Replay tells it the recorded outcomes and
// it goes on with the same candidates. The same seed gives the same candidates to the last bit on every machine: products are
// rounded before they are added, and elementary functions come from sim/portable.
//
// # Samples
//
// Space.Random, Space.LatinHypercube and Space.Halton draw candidates without asking for outcomes; Space.Grid counts through all
// combinations. Samples of discrete spaces may hold a candidate twice.
//
// # Units
//
// Variables and objectives have any units. Steps are taken on the unit interval, to which each variable is mapped.
//
// # Not modelled
//
// Variables that exist only if others have some value: let them be ignored, and know that equal designs are then evaluated more
// than once. Surrogate models, and evaluations that end at different times: a generation is told as a whole.
//
// # References
//
// Deb, Pratap, Agarwal, Meyarivan: A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Transactions on
// Evolutionary Computation 6(2), 2002.
// Deb, Agrawal: Simulated binary crossover for continuous search space, Complex Systems 9(2), 1995.
// Hansen: The CMA evolution strategy: a tutorial, arXiv:1604.00772, 2016.
// Hansen: A CMA-ES for mixed-integer nonlinear optimization, INRIA research report 7751, 2011 (a least step for integers).
// Auger, Hansen: A restart CMA evolution strategy with increasing population size, IEEE CEC 2005.
// McKay, Beckman, Conover: A comparison of three methods for selecting values of input variables, Technometrics 21(2), 1979
// (Latin hypercube).
// Owen: A randomized Halton algorithm in R, arXiv:1706.02808, 2017.
package search
