//go:build unix

package costs

import (
	"os/exec"
	"syscall"
)

// ownGroup gives the program a group of its own: Ctrl-C is ours to pass on, and what the program starts ends with it.
func ownGroup(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the program and what it has started.
func killGroup(c *exec.Cmd) { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
