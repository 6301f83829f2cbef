//go:build !unix

package httpapi

import (
	"errors"
	"net"
)

func listenPrivately(string) (net.Listener, error) {
	return nil, errors.New("there are no Unix sockets that are their owner's alone on this system; listen at 127.0.0.1")
}
