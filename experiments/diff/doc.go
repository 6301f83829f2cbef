// Package diff says what moved between two results: time by cause, phase and operator, traffic of each memory tier,
// energy by component, power, and which inputs differ.
//
// Times are compared as whole picoseconds, as the simulator counts them, so the changes of the causes add up to the change
// of the total exactly, and so do those of the phases and of the operators. Where a result gives parts that do not add
// up to its total, the rest is a part of its own, named "other", and never left out.
//
// A row of a results database has its inputs, and they are compared leaf by leaf. A JSON answer has only their names and
// hashes; its machine and its model are looked for among the presets and among files that the caller names, and taken
// for found only if the hash is that of the answer, after the changes that the answer notes. What is not found is said
// to be so, never guessed.
package diff
