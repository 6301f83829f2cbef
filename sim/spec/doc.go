// Package spec reads and writes the files that describe machines: strict, with a unit and a source for
// every number, and with complaints that say where.
//
// # Model
//
// A description is a Go struct. Its yaml tags give the names in the file, its spec tags the
// constraints, separated by commas:
//
//	required       the key must be there, and a text must not be empty
//	min= max= gt=  limits of a number, in the text form of the field: min=0 ns,max=1 s; a plain 0 is
//	               zero in any unit. On a map they apply to its values. On a list, min and max with a
//	               plain number limit its length, and all others apply to its elements.
//	oneof=a|b      the texts allowed; an empty alternative allows an empty text
//	unique         elements of a list differ, structs by their name
//	alone          stands for all other fields of its struct, by the name of something that has them:
//	               where it is given no other is, and none is required
//	-              no fact about the subject, so no source is asked for
//
// Fields are scalars (texts, integers, floats, booleans, and types that read and write their own text,
// such as the quantities of sim/units), structs, pointers to these, lists of scalars or structs, and
// maps from texts to scalars. A type or a tag that makes no sense panics on first use, since it is a
// mistake in the program.
//
// A path addresses a part: fields are separated by points, elements of a list are in brackets, by their
// name where they have one, and entries of a map follow a point: chip.memory[hbm].bandwidth, tiles[0],
// energy.matrix.bf16. Decode, Set, Get, Sources and the reports of Validate methods all use it.
//
// Of YAML, one document of mappings, lists and texts is accepted. Anchors, aliases, merge keys, tags
// and repeated keys are refused: each value is written once, where it is used, so that its line and its
// source are its own. Tabs, numbers with leading zeros, NaN and infinities are refused as well.
//
// # Units
//
// The package knows none. Quantities read their own text and refuse one without a unit. Line numbers
// count from 1.
//
// # Sources
//
// YAML 1.2.2 (yaml.org/spec/1.2.2), as read by github.com/goccy/go-yaml. Distance of names: optimal
// string alignment, after Damerau, A technique for computer detection and correction of spelling
// errors, CACM 7(3), 1964. Hash: SHA-256, FIPS 180-4.
//
// # Not modelled
//
// Files of more than 4 MiB, 64 levels, 10 000 values or 100 000 characters that have a meaning in YAML; more than one syntax error at a time; comments,
// which Marshal does not write back; lists of lists, maps of structs, and types that contain
// themselves. Whether a source is true is for its reader to judge: only its presence is checked.
package spec
