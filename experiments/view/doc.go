// Package view reads a results database the way it is looked at: a row for each point, with the columns of table runs and the
// parameters of a sweep side by side, which can be filtered, sorted, grouped, and compared by objectives.
//
// A Source is a database, all of it or one sweep of it. Names stand for columns of runs; with a sweep also for its parameters,
// which come first where both have a name, and status, reason and key are then those of the point. A Frame holds the values of
// some names. Condition is an expression over them, in the language of expr-lang/expr. Gather collects all that a report shows.
//
// # Units
//
// Those of the database: the unit of a column ends its name, and numbers of parameters are in bytes, bytes per second, hertz,
// seconds and watts.
//
// # Missing values
//
// A row has no value where a figure does not apply to it. Such a row meets no condition that needs the value, comes last
// however rows are sorted, and is left out of minima, medians, means, maxima and fronts. x == nil asks for it.
package view
