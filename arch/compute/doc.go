// Package compute describes the matrix, vector and special-function units of a core and how many
// core-clock cycles a tile takes on them.
//
// # Model
//
// An MMA unit (tensor core) multiplies an m×k by a k×n tile in ⌈m·n·k / FMAs per cycle⌉ cycles; the
// tile menu of the kernel library decides m, n and k, so shapes that do not fill a tile pay for all
// of it.
//
// A systolic array of R rows and C columns runs in folds. With (Sr, Sc, T) = (M, N, K) for the
// output-stationary, (K, N, M) for the weight-stationary and (K, M, N) for the input-stationary
// dataflow there are F = ⌈Sr/R⌉·⌈Sc/C⌉ folds. A fold takes T+R+C−2 cycles (os) or T+2R+C−2 (ws, is:
// R cycles load the stationary tile). In mode "serial" folds follow one another; in "hidden-load"
// the load of the next stationary tile hides behind the stream of the current one; in "chained"
// folds follow at max(T, R) cycles and the skew is paid once: a column takes R cycles to pass on the
// next stationary values (ws, is) or the results of the fold before (os). Edge folds cost a full fold.
// What is paid once is kept apart (Cycles.Fill), so that tiles which follow one another pay it once
// too; F folds take Steady + Fill cycles to the last multiply-add. Sums that stay in place (os) need R
// more cycles to leave the array (SystolicRun.Drain). Several arrays of a core share the folds, and where folds
// are few a machine's arrays also share the stream of each. A unit may pass several stationary values of a column a
// cycle (push), which divides R where it stands for loading, and pad streams to whole groups.
// Systolic.Run also counts words that pass between an array and its memory, partial sums that are read
// back, and products with N:M sparse weights.
//
// A vector unit does Lanes simple operations per cycle, a special-function unit Special
// transcendental ones.
//
// # Units
//
// Core-clock cycles; operations per cycle and core.
//
// # Sources
//
// Systolic closed form: Samajdar et al., A systematic methodology for characterizing scalability of
// DNN accelerators using SCALE-Sim, ISPASS 2020. Sparsity: Raj et al., SCALE-Sim v3, ISPASS 2025.
//
// # Not modelled
//
// Sparsity of a machine's products, register-file conflicts, instruction issue. Sustained shares of the peak rates are
// constants of each machine.
package compute
