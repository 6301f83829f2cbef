// Package plots draws the charts of a report as PNG or SVG files, for papers and slides: the front of two objectives, the
// roofline, the time of points by cause, their energy by component, their power, and the sensitivity of an objective to each
// axis. Power draws that of one run over time.
//
// They are drawn by gonum.org/v1/plot with fonts of its own, so the same report is the same file to the byte on every machine.
package plots
