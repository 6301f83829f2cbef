// Package eval is the front door of Strata: one call takes a machine, an operator graph and a
// mapping, and returns the answer with its stalls, work, energy and advice. The command line,
// estimates and studies all enter here.
//
// # Model
//
// Run plans the graph (arch/plan), times the program in the fidelity asked for (arch/event or
// arch/analytic), accounts for energy (arch/account), and derives the figures of strata.run/1.
// Advice is computed: the same program is timed again with one kind of resource 10 % faster; of
// launches and of fills, which follow one another, a tenth is taken off.
//
// # Units
//
// Answers are in seconds, bytes, joules and watts, as the field names say. Energy and power cover
// the chips of the mapping.
//
// # Sources
//
// MFU counts the model's operations with full attention (Chowdhery et al., PaLM, arXiv 2204.02311,
// appendix B); HFU counts what was executed.
//
// # Not modelled
//
// See the packages that do the modelling; every answer lists what it leaves out.
package eval
