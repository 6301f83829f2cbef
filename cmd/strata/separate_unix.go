//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// separate lets a command run in a group of processes of its own, which signals of the terminal do not reach.
func separate(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
