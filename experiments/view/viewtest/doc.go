// Package viewtest makes results databases of any size for tests of what looks at them: a sweep with points of every
// status, by formulas in place of the simulator, so that ten thousand of them take a second or two.
//
// The figures are plausible and the same each time. Names are hostile where hostile is asked for.
package viewtest
