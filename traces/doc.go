// Package traces holds the operator graph: what a model computes, independent of any machine, and
// its form as a file, the operator trace.
//
// # Model
//
// A Graph is a list of Runs. A run executes one Block (a transformer layer, the embedding, the
// head) a number of times in a row: layers that are alike are stored once, and so are the steps of
// a generation, which differ in the length of the cache alone (Run.Past). A block holds operators in
// the order in which they run and the tensors between them. Every operator says how tensor
// parallelism may divide it (Split); the planner decides whether it does.
//
// Op.Work is the one place that counts operations and bytes: a multiply-add is two operations,
// every operand is read once and every result written once. What a machine moves in fact (tiles read
// again, caches) is the planner's business. Op.ModelOps counts what MFU counts: matrix products,
// with attention over all keys as if nothing were masked.
//
// The operator trace is the same graph as JSON Lines: Write, and Read, which also replays a file that
// was cut short, with a note. Show draws a graph for people. docs/trace-format.md describes the format.
//
// # Units
//
// Dimensions are elements, data in bytes, work in operations.
//
// # Sources
//
// Operations of attention and products: Chowdhery et al., PaLM, arXiv 2204.02311, appendix B. Ways
// to divide operators: Shoeybi et al., Megatron-LM, arXiv 1909.08053.
//
// # Not modelled
//
// Values of tensors, control flow, several streams: operators of a block follow one another.
package traces
