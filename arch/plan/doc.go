// Package plan turns a machine, an operator graph and a mapping into a Program: the tiles, loops,
// buffers, waves and collectives that both fidelities then time.
//
// # Model
//
// A Program is a tree. A Body holds nodes with dependencies (over a distance in iterations) and
// counted buffers; a node is a Step or a Body run many times, so that 4096 equal tiles are one node.
// A Step names amounts of resources and a latency, never a time: Step.Serve gives the time at the
// rates in force. Equal operators share one Body, by content.
//
// Matrix products follow the kernel library of the machine's runtime profile: the output is cut
// into tiles from its menu, tiles run in waves over the cores (a partial last wave is a loop of its
// own), each wave streams the reduction through operand buffers, and the tile shape and split of
// the reduction with the least closed-form time are taken. A product with a single row streams
// through the vector units where the library has such a kernel. On a runtime with resident operands
// (XLA on TPUs), a program that is one operator copies its operands on chip whole, works and copies
// the result back, one after the other, if everything fits there. Attention is fused in the manner
// of FlashAttention or runs as product, softmax, product. Everything else streams rows.
// Tensor parallelism divides columns, rows, heads or the vocabulary as each operator says and adds
// the collectives that make the result whole.
//
// A framework on the host (arch.Host) begins each step with serial work, and launches the kernels of the
// step in order, ahead of the device: kernel i starts when the host has launched it and kernel i-1 is done.
//
// What is decided about a kernel is a value apart from its steps (gemmChoice, attentionChoice). Pins give
// such choices, or parts of them, in the planner's place; Decide notes all of them beside the program, with
// the runners-up and the loop nest, and Export turns them into pins that lead to the same program.
//
// # Units
//
// Amounts are bytes or core-clock cycles, integers; times are picoseconds.
//
// # Sources
//
// Tile menus, wave quantisation and operand feed: the published behaviour of cuBLAS and CUTLASS.
// FlashAttention: Dao, FlashAttention-2, ICLR 2024. Tensor parallelism: Shoeybi et al.,
// Megatron-LM, arXiv 1909.08053.
//
// What lives in which memory is decided first (Place): what the program moves least often for its size goes down
// when the fastest memory has no room, and streams from there beside the layers. FlexGen (Sheng et al., ICML 2023) streams
// weights and caches layer by layer.
//
// # Not modelled
//
// Several streams, a bounded queue of launches, fusion across operators beyond what a
// runtime profile lists, pipelines with several batches in flight, data and expert parallelism.
package plan
