// Package uncertainty says how far off an answer may be: an interval around its time, from how far answers of the same kind were off
// where they were measured, and what of the question lies outside of what was measured.
//
// # Model
//
// The table (table.csv) holds for each measured chip and class of operators, and for whole models, quantiles of ln(measured/simulated)
// and the ranges of dimensions, formats and runtime profiles that were measured; no measurement itself. An interval of a level is the
// answer times the two quantiles, so it moves with the bias, and a class whose answers are too short gets an interval that lies higher.
//
//   - An operator has the quantiles of its class on its chip.
//   - A chip that was never measured has those of chips that were held out: each measured chip was asked about with its fitted constants
//     replaced by those of a relative, as a preset without measurements has them. With bᵈ the median of held-out chip d, s their standard
//     deviation over D chips and w the mean distance of a quantile from its chip's median, a quantile of the next chip is
//     mean(b) ± √(w² + (t·s·√(1+1/D))²), t that of Student's distribution with D−1 degrees of freedom.
//   - A whole model that was measured on its chip under its runtime profile has the quantiles of those runs. Others are put together of
//     their operators: the mean of the classes' medians by their shares of the time, and around it the sum of the classes' spreads by the
//     same shares, or what whole models are off from such means (class model, the quantile of the next kind of machine and server, by
//     the formula above) if that is wider. Of chips that nobody measured the spread of the classes comes on top in quadrature. Errors of
//     classes go together since measured rows say so: docs/uncertainty.md has how many lie within.
//   - A class with fewer rows than a quantile needs has the wider of its extremes and of the held-out chips.
//   - Energy has the interval of the time and, in quadrature, that of the power, on chips whose power was measured; else none.
//
// # Not modelled
//
// Errors that depend on the size, format or library within a class: a row has the spread of its class. Chips far from all measured ones may be further off than held-out ones, which had relatives.
//
// # References
//
// Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005 (ranks of the quantiles).
package uncertainty
