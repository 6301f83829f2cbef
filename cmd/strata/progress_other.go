//go:build !unix

package main

import "os"

// progressSignals ask for a line of progress; this system has none.
var progressSignals []os.Signal
