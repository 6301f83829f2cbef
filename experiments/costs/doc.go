// Package costs has costs of operators that are not the model's: a Table is read from a CSV file, a Command asks
// another program, and a Record is what either answered, to be answered again. All three are a plan.Coster.
//
// A cost stands for the whole of an operator's kernel on one chip, from the end of the kernel before it to its own end,
// as strata op gives it: starting the kernel is part of it.
//
// # Table
//
// A row of the table is for the operators that agree with all of its columns that are filled in. The row with the most
// columns filled in wins, the first one among equals. With Interpolate, an operator that no row is for may lie between
// rows: then its cost follows a straight line in the logarithms of dimension and cost, one dimension after the other.
// Nothing is extrapolated.
package costs
