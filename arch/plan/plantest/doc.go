// Package plantest draws random programs for tests of whatever evaluates programs.
//
// # Model
//
// A program has a few resources of random rates and a tree of bodies: chains, loops with
// dependencies over a distance, buffers that one node acquires and a later one releases, pairs of
// steps that run beside each other. Every program drawn can be played to its end: a node depends on
// earlier nodes of its iteration and on earlier iterations only, and so does whoever releases what
// it waits for.
//
// # Units
//
// As in package plan; rates and amounts are chosen so that steps take between 0 and some
// milliseconds.
//
// # Sources
//
// The shapes are those that the planner emits, mixed more freely.
//
// # Not modelled
//
// Malformed programs, which plan.Program.Finish refuses.
package plantest
