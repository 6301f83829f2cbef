//go:build unix

package httpapi

import (
	"net"
	"sync"
	"syscall"
)

// listenPrivately opens a socket that is its owner's alone from the first moment on. The mask is the whole process's, so it is
// changed for the moment only, and once at a time.
func listenPrivately(path string) (net.Listener, error) {
	masking.Lock()
	defer masking.Unlock()
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

var masking sync.Mutex
