// Package units holds the quantities of the simulator as types: what a machine file says with a
// unit, what a formula computes with, and what a report prints.
//
// # Model
//
// Counts (Bytes, Cycles, Ops), frequencies (Hertz) and time (Time, in picoseconds) are 64-bit
// integers; rates, energies, powers and prices are float64 in the base unit of their name. Go does
// not add bytes to cycles; the conversions between types are methods (At, Over, Cost, Per, During).
//
// Text always carries a unit: "80 GiB", "3.35 TB/s", "1410 MHz". Reading is exact: a decimal is
// converted as a rational number, and an integer quantity that is not a whole number of its base
// unit ("0.3 B") is an error. String gives the shortest text that reads back as the same value.
//
// Conversions round in the safe direction and never accumulate: the time of cycle n is
// ⌈n·10¹²/f⌉ from n, with 128-bit intermediate results. What does not fit below MaxTime is
// MaxTime+1, so a caller needs one comparison and cannot overflow by accident.
//
// PNorm is the one place with a real exponent. Its result is the exact ceiling of
// (Σ tᵖ)^(1/p): a fast estimate with a bound on its error decides nearly always, arithmetic with
// more than 300 bits the rest. Being exact, it is the same on every platform and monotone in every
// argument.
//
// # Units
//
// Decimal prefixes are powers of 1000 (kB, MB, GB, …), binary ones powers of 1024 (KiB, MiB, GiB,
// …). Operations count a multiply-add as two; FLOP is another name for op.
//
// # Sources
//
// Prefixes: BIPM, The International System of Units, 9th edition, table 7; IEC 80000-13 for the
// binary ones. Series of PNorm: Abramowitz and Stegun, Handbook of Mathematical Functions, 4.1.27
// (logarithm) and 4.2.1 (exponential).
//
// # Not modelled
//
// Bits as a unit of size (only energy per bit is read), calendar time, currencies other than the
// US dollar, uncertainty of a quantity.
package units
