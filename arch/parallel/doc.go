// Package parallel divides a model over chips and plays one training step, or one pass of inference through the stages of
// a pipeline, over them.
//
// # Model
//
// A Step says how a model is cut into blocks (embedding, layers, head), how long each pass of a block keeps a chip of its
// tensor group busy, and how blocks, samples and state are divided (Degrees, Sharding). Play runs every stage's list of slots
// (the forward or backward pass of a chunk of layers for one micro-batch) in the order of its schedule, one lane for each
// class of ranks that do the same: a stage is one class unless a fault makes some of its ranks slower. A slot starts when
// the slot before it has ended and its message has arrived; collectives over data-parallel ranks start when the last rank
// is there and follow one another in one queue. A communication beside kernels holds cores and memory bandwidth, and
// stretches what of the kernels those limit:
//
//	rate = 1 / (1 + c·x/(1−x) + m·y/(1−y))
//
// with c and m the parts of a unit's time that cores and memory limit, x and y the shares that the communication takes.
// Bubbles, exposed communication and overlap are what that play comes to. Once the state of all lanes repeats relative to
// now, the rest of a steady region is skipped, with the same answer to the picosecond: cost does not grow with micro-batches,
// unless nearly equal stages drift for longer than there are any. Footprint adds up what a chip of each stage holds, Space
// lists the legal divisions of a model and searches them. docs/parallel.md has the equations.
//
// # Units
//
// Picoseconds, bytes, parameters and tokens, all integers. Factors and shares are floats, and what they come to is
// rounded.
//
// # Sources
//
// GPipe: Huang et al., NeurIPS 2019. 1F1B and interleaved chunks: Narayanan et al., SC 2021 (arXiv 2104.04473).
// Zero bubble (ZB-H1): Qi et al., ICLR 2024 (arXiv 2401.10241). ZeRO: Rajbhandari et al., SC 2020. Fully sharded: Zhao et
// al., VLDB 2023 (arXiv 2304.11277). Activation memory: Korthikanti et al., MLSys 2023 (arXiv 2205.05198). Largest of n
// normal variables: Blom, Statistical Estimates and Transformed Beta-Variables, 1958.
//
// # Not modelled
//
// Kernels that slow a communication down, cores that a receiving chip spends on a message, two collectives of different
// groups on the same links, data loading, allocator fragmentation, checkpoints, restarts.
package parallel
