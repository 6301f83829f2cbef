// Package studies has ready-made comparisons with what others published: each runs the simulator as a paper ran its machines,
// and puts our figures beside the published ones.
//
// A Study is registered in the file that holds it. It returns rows, each with our figure, the published one, where that
// is from and how far the two are apart; the rows that the study is judged by have a target. How a figure of ours was
// reached is said with it: what is computed from the description of a machine alone is a prediction, what takes a time
// from the publication itself is not.
//
// strata study list and run print them; the tests hold the rows to their targets.
package studies
