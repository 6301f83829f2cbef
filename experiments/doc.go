// Package experiments turns what people write (names of presets, files, flags, rows of a results
// database) into requests to the simulator.
//
// A Point is one such request as plain data. It keeps the full content of the machine, model or
// trace it was made from, so that a stored point can be run again from the database alone.
package experiments
