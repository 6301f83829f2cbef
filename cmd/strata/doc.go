// Command strata simulates accelerators for large language models from the command line.
//
// It turns flags into a request, hands the request to arch/eval, and prints the answer. It holds no
// model: every formula lives in the packages that it calls. Answers go to standard output, progress
// and notes to standard error, and the exit code says what kind of end a command came to.
//
// Each command has a file of its name. pointflags.go reads the flags that make up a point, for all
// commands that take one; values.go has the kinds of flags, which note what is wrong so that it is
// said all at once; errors.go is the one place that turns errors into text and exit codes. Files are
// written beside their place and moved there when complete (output.go), and what could not be
// written at the end is looked for at the start. The first Ctrl-C ends the context of a command
// (interrupt.go), the second one the process.
//
// This folder also holds the tests that look at the project as a whole: which package may import
// which (project_test.go), and the commands in scripts and in the documentation (script_test.go).
package main
