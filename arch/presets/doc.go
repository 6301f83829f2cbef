// Package presets holds the machines that Strata ships: one YAML file per product, in which every
// leaf names its source.
package presets
