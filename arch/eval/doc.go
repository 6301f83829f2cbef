// Package eval is the front door of Strata: one call takes a machine, an operator graph and a
// mapping, and returns the answer with its stalls, work, energy and advice. The command line,
// estimates and studies all enter here.
//
// A request needs a machine (package arch/presets has some, arch.Load reads files), an operator graph (traces/llm makes
// them of models, traces.Read reads traces, or build a traces.Graph), and a mapping, whose zero value is one chip:
//
//	machine, err := presets.Machine("a100-sxm-80gb")
//	model, err := llm.Preset("llama2-7b")
//	graph, err := model.Graph(llm.Workload{Phase: "decode", Batch: 8, Prompt: 512,
//		DType: traces.BF16, WeightDType: traces.BF16, KVDType: traces.BF16})
//	res, err := eval.Run(ctx, eval.Request{Machine: machine, Graph: graph})
//
// Requests are plain data. Run may be called by several goroutines at a time, with the same machine and graph if nobody
// changes them. A Coster in Request.Costs replaces what the model says operators take.
//
// # Model
//
// Run plans the graph (arch/plan), times the program in the fidelity asked for (arch/event or
// arch/analytic), accounts for energy (arch/account), and derives the figures of strata.run/1.
// Where the mean power of a section, a phase or a step of one, exceeds the limit, the section runs at the
// highest clock of power.curve at which it does not.
// Advice is computed: the same program is timed again with one kind of resource 10 % faster; of
// launches, fills and the latency of collectives, which follow one another, a tenth is taken off.
//
// With Request.Training the graph is the parts of a training step. Each is timed once, and arch/parallel plays the step that they
// make on all chips; Divide answers several steps of the same parts. Advice plays the step again, and takes off the bubble.
//
// # Units
//
// Answers are in seconds, bytes, joules and watts, as the field names say. Energy and power cover
// the chips of the mapping.
//
// # Sources
//
// MFU counts the model's operations with full attention (Chowdhery et al., PaLM, arXiv 2204.02311,
// appendix B), in training three times those of the forward pass (twice where weights are frozen); HFU counts what was executed.
//
// # Not modelled
//
// How a power controller gets to its clock: its window, hysteresis and steps (docs/decisions/0009). For the rest
// see the packages that do the modelling; every answer lists what it leaves out.
package eval
