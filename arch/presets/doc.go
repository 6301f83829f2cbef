// Package presets holds the machines that Strata ships: one YAML file per product, named as the machine
// in it, which `strata arch show NAME --yaml` prints as a start for a file of one's own.
//
// # Model
//
// A file describes one accelerator in the node that it is sold in, with the software that is usual on
// it, in the form that package arch reads. Names are as on the product: a100-sxm-80gb, tpu-v4.
//
// # Units
//
// Every quantity has its unit in the file. Bandwidths are decimal; capacities are as the vendor counts,
// so that "80 GB" of HBM is 80 GiB.
//
// # Sources
//
// Every leaf has one under "sources", which may be that of a part around it; a test holds the files to
// it. "estimated:" and "fitted:" tell what is no published figure, and how it was come by.
//
// # Not modelled
//
// Variants of a product (board power, cooling, binning), and how clocks, prices and libraries change:
// a file is a snapshot, with the year in its sources.
package presets
