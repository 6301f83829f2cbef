// Package event plays a Program on simulated components: steps start when their dependencies and
// buffers allow, resources are shared by whoever uses them at the moment, and every completion is
// an event of the deterministic agenda in sim/kernel, which runs on akita's serial engine.
//
// # Model
//
// A step in service progresses at a speed between 0 and 1; at full speed it takes plan.Step.Serve.
// A step that keeps a resource busy for u of its service time asks for the share u of it. When
// the shares asked of a resource exceed 1, they follow max-min fairness: whoever asks for more than an
// equal part of the resource gets an equal part, whoever asks for less gets it whole. Speeds are
// recomputed only when a step that shares a resource starts or ends. A step that nobody disturbs
// takes Serve to the picosecond.
//
// The path to each completion carries its time by cause, so the stalls of a run sum to its makespan.
// While a shared resource holds a step back, the step's time is charged to that resource; otherwise to
// the one that limits it alone.
//
// Two shortcuts are exact. A chain leaves everything at rest between its parts, so each distinct
// body is played once. In a loop, once the state at an iteration boundary (progress of every node,
// steps in service with what is left of them, tokens, all relative to now) equals an earlier one
// and the time between has been divided among causes in the same way twice, whole periods are
// skipped. Options.Exact turns both off.
//
// # Units
//
// Picoseconds; speeds and shares are fractions.
//
// # Sources
//
// Max-min fairness by progressive filling: Bertsekas and Gallager, Data Networks, 1992, section
// 6.5.2.
//
// # Not modelled
//
// Refresh and row state of DRAM, packets on links, clocks that change with power.
package event
