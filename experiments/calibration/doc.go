// Package calibration fits a few physical constants of a machine to measured kernels.
//
// # What is fitted
//
// Constants are leaves of a machine description: an efficiency, a fixed time, an exponent. Each has bounds that physics gives it
// (shares up to 1, exponents of overlap from 1.5 to 8, times above zero), and there may be only so many: see package arch. There
// is no constant for a shape, a row or a model.
//
// # How
//
// The loss is the mean of √(r²+δ²) − δ over every second row, with r the logarithm of predicted over measured and δ = 0.02: close
// rows count by their squares, far ones by their distance, so a few odd measurements do not pull. It is minimised by the simplex
// method of Nelder and Mead (The Computer Journal 7, 1965; package gonum.org/v1/gonum/optimize) from several fixed starts, in
// coordinates that map the bounds to the whole line: logit of a share, logarithm of a time. A weight of 10⁻⁴ on the squared distance
// from what the constants were keeps those near it that the rows cannot tell from one another. Predictions are those of the closed
// form; errors are given in both fidelities.
//
// # How sure
//
// Intervals are of 95 %, from the curvature of the loss: with J the derivatives of r by the coordinates and w = 1/√(r²+δ²), the
// covariance is (JᵀWJ)⁻¹ JᵀW²R²J (JᵀWJ)⁻¹ (Huber, Proc. Fifth Berkeley Symposium 1, 1967). They say how far the rows determine a
// constant within this model, not how right the model is. A constant that the rows say nothing about is said to be undetermined.
//
// Everything is deterministic: the same file gives the same constants to the byte.
package calibration
