// Package validation compares answers with measurements.
//
// A Comparison collects pairs of a predicted and a measured time and sums up how far they are apart:
// mean and median of the absolute error, its 90th percentile, and the bias. Errors are relative to
// the measurement, predicted/measured − 1.
//
// The tests of this package ask the oracle for every measured kernel that a preset covers, print the
// table of errors and hold it to gates at the level reached, so that accuracy can only improve. The
// measurements lie beside the project, in a folder that not everybody has; without it the tests skip
// and say so. What may be fitted on and what not is said where each constant has its source.
package validation
