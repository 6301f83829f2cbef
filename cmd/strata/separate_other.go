//go:build !unix

package main

import "os/exec"

// separate is known on Unix only.
func separate(*exec.Cmd) {}
