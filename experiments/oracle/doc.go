// Package oracle answers estimate requests: one JSON object a line in, one JSON object a line out, in
// the same order, also for requests that are wrong. It is what search loops talk to, so it is strict,
// deterministic to the byte and quick; it holds no model: every request becomes an operator graph and
// enters the simulator through arch/eval.
//
// # Requests
//
// A request names a machine ("arch") and either one operator ("op") or a model with a workload
// ("model", "phase", …). A line that holds an array is a batch and gets one array back. The protocol
// is described for its users in docs/estimate.md.
//
// # Answers
//
// Times are seconds, energies joules, powers watts, sizes bytes. Each answer has a status; when it is
// not "ok", an Error stands in place of the numbers and says where in the request the fault is. An
// answer never holds NaN or an infinity. Answers to equal requests are equal to the byte, whether they
// were computed or remembered and however many requests are worked on at a time.
//
// # How it works
//
// parse reads a line into a tree that refers to the line's bytes; readRequest turns the tree into a
// job, a comparable value that holds everything the answer depends on and is the key of the cache of
// answers; evaluate answers a job that the cache does not know. Serve runs many lines at a time and
// keeps their order. Machines and models are resolved once and kept as long as they are in use.
package oracle
