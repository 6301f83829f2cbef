// Package sweep runs many points of a design space into a results database: one file in, one database out, and nothing lost on the
// way.
//
// A sweep file names a machine, a model and what runs; axes, which are leaves of any of these with the values that they take;
// constraints over inputs and results; and how points are chosen: all of the grid, at random, by a Latin hypercube or a
// Halton sequence. Read checks it as a whole and gives a Space, in which every point has a number that does not depend on
// how, where or when it is run. Run works through the points of a shard on all cores and keeps each with its parameters, its status and
// the row that it came to.
//
// # What happens to a point
//
// Its parameters make a request of the kind that strata run makes, and its row has the key of that run: one that is in the database already,
// from whatever sweep or run, is not run again. A point is ok; infeasible, if it does not fit; rejected, by a constraint; invalid,
// if it cannot be asked for, such as heads that no number of chips divides; timeout or memory, if it took more than it may; or
// error, with what went wrong, a panic too. Points are put into the file by hundreds, each batch with its rows in one transaction.
//
// # Determinism
//
// What a point comes to depends on its number alone. Random numbers are those of PCG streams seeded with the seed of the file, so a
// sample is the same on every machine and for every number of shards. Times of day are in table meta only.
//
// # Sources
//
// Latin hypercubes: McKay, Beckman and Conover, Technometrics 21(2), 1979. Halton sequences with random digits: Owen, A randomized
// Halton algorithm in R, arXiv 1706.02808; both by gonum/stat/samplemv. Expressions: github.com/expr-lang/expr.
package sweep
