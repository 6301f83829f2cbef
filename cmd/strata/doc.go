// Command strata simulates accelerators for large language models from the command line.
//
// It turns flags into a request, hands the request to arch/eval, and prints the answer. It holds no
// model: every formula lives in the packages that it calls. Answers go to standard output, progress
// and notes to standard error, and the exit code says what kind of end a command came to.
//
// This folder also holds the tests that look at the project as a whole: which package may import
// which (project_test.go), and the commands in scripts and in the documentation (script_test.go).
package main
