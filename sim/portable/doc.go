// Package portable has the elementary functions that models and random draws need, with the same bits on every
// machine. Package math does not promise that: on some machines it runs other code, and Go fuses x*y + z there.
//
// # Model
//
// Ln reduces its argument to [√½, √2) and sums the series of the inverse hyperbolic tangent; Exp reduces by multiples
// of ln 2 and sums the exponential series. Both are within 2 units in the last place. NormalQuantile is the inverse of
// the standard normal distribution by rational functions, to about one part in 10⁹ as published and some 10¹⁵ in
// double precision.
//
// # Units
//
// None: all arguments and results are plain numbers.
//
// # Sources
//
// Abramowitz and Stegun, Handbook of Mathematical Functions, 4.1.27 (logarithm) and 4.2.1 (exponential).
// Wichura, Algorithm AS 241: The Percentage Points of the Normal Distribution, Applied Statistics 37(3), 1988 (PPND16).
//
// # Not modelled
//
// Correct rounding of the last bit, and arguments outside of what the functions say.
package portable
