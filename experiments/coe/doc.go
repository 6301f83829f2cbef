// Package coe runs compositions of experts: many whole models, one of which a router picks for each request, on a machine whose
// fast memory holds some of them while all live in the memory below.
//
// A composition file says which experts there are, what the router is, how requests pick experts, which experts stay in fast
// memory and how the others get there. Read reads it; Stream draws its requests and replays the cache, so that every hit, miss and
// eviction is known before anything is timed; Play lays the runs and copies out in time.
//
// # Order
//
// Requests come in batches, and a batch begins when the one before has ended. The router reads a batch; then each
// expert that the batch needs runs once, with all of its requests together, in the order in which the requests name them. An
// expert that is not in fast memory is copied there first. Hits and evictions follow from that order alone, never from times: both
// fidelities, and runs with and without prefetch, have the same ones.
//
// # Cache
//
// Experts in fast memory are copies: weights are only read, so an evicted expert is dropped and nothing is written back.
// LRU evicts what was used longest ago. Pinned keeps the most popular experts for good and passes all others through what is left.
// Belady evicts what is needed again last: no policy misses less with experts of one size (Belady, A study of replacement
// algorithms for a virtual-storage computer, IBM Systems Journal 5(2), 1966), and none in practice knows the future.
//
// # Copies
//
// A copy takes the latency of the way and then its bytes at the rate of the way. Without prefetch it runs alone. With
// prefetch the copy for the next expert of a batch begins with the run of the one before, unless it needs the place of the
// expert that runs: then it begins when that has ended. A copy and a run share the bandwidth of fast memory by max-min: each gets half, or what it asks
// for if that is less, and the other the rest. A run asks for the bytes of its phase evenly over the time of the phase.
// What a run takes longer for that is charged to fast memory, and what remains of a copy when the run before has ended to the way.
//
// # Not modelled
//
// Requests that arrive while others run, and batching across arrivals; experts cut into parts, of which some stay; time to
// start an expert beyond its copy; copies for a batch before its router has ended.
package coe
