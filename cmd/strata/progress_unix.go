//go:build unix

package main

import (
	"os"
	"syscall"
)

// progressSignals ask for a line of progress.
var progressSignals = []os.Signal{syscall.SIGUSR1}
