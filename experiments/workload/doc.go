// Package workload has the lengths of many requests: drawn from distributions, or recorded; and what a figure of them
// comes to over all requests.
//
// A workload file says how lengths of prompts and answers are distributed, how many requests there are and the seed; or it
// names or holds a list. Read draws at once, so that a Workload is a list of distinct lengths with how often each occurs.
//
// # Draws
//
// Random numbers are those of a PCG (math/rand/v2) seeded with the seed. Each request takes two of them, the first for
// its prompt and the second for its answer, whether its distribution needs one or not: so one distribution can be changed
// without moving the draws of the other. A draw is the quantile of its distribution at the random number, by functions that
// are the same on every machine; it is rounded to the nearest whole number of tokens, and one beyond min or max takes
// the limit.
//
// # Quantiles
//
// The quantile p of a list is its smallest value below or at which there is at least the share p of the requests: nearest
// rank, the inverse of the empirical distribution function; type 1 of Hyndman and Fan, Sample Quantiles in Statistical
// Packages, The American Statistician 50(4), 1996. It is always a value of the list, and exact with weights.
package workload
