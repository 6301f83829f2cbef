package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// UnixPrefix begins an address that is the path of a Unix socket.
const UnixPrefix = "unix:"

// maxSocketPath is how long the path of a Unix socket may be in bytes: sockaddr_un of Linux less its final zero, unix(7); others have less.
const maxSocketPath = 107

// Loopback tells whether only this computer reaches an address of Listen.
func Loopback(address string) bool {
	if strings.HasPrefix(address, UnixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && a.IsLoopback()
}

// Listen opens an address: HOST:PORT, or "unix:" and the path of a socket. The socket can be opened by its owner only; one that a server left
// behind is replaced, one that a server listens at is not, nor is anything else of that name. It goes away when the listener is closed.
func Listen(address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, UnixPrefix)
	if !unix {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return nil, fmt.Errorf("%q is no HOST:PORT, such as 127.0.0.1:0, and does not begin with %s", address, UnixPrefix)
		}
		l, err := net.Listen("tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("a program listens at %s; port 0 takes a free one", address)
		}
		if err == nil && Loopback(address) && !Loopback(l.Addr().String()) {
			l.Close()
			return nil, fmt.Errorf("%s is %s here, which others reach", address, l.Addr())
		}
		return l, err
	}
	switch {
	case path == "":
		return nil, errors.New("unix: needs the path of a socket")
	case path[0] == '@': // a name of Linux that is in no folder, and that everybody on the computer may connect to
		return nil, fmt.Errorf("%s is no path of a file, and no owner's alone; ./%s is one", path, path)
	case len(path) > maxSocketPath:
		return nil, fmt.Errorf("a path of %d bytes: that of a socket has at most %d", len(path), maxSocketPath)
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and no socket", path)
	default:
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			c.Close()
			return nil, fmt.Errorf("a server listens at %s", path)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return listenPrivately(path)
}

// Serve answers what comes to a listener until the context ends. Then it takes nothing new, and finishes what is in work within
// grace; it returns nil if it could, context.DeadlineExceeded if something was cut. Streams end with the lines that were read. The listener
// is closed in the end.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: s.o.Header,
		IdleTimeout:       s.o.Idle,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return work },
		ErrorLog:          log.New(s.o.Errors, "strata: ", 0),
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(&limiter{Listener: l, s: s, lingering: make(chan struct{}, lingerers)}) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.stopping.Store(true)
	for stream := range s.streams {
		stream.stop()
	}
	s.mu.Unlock()
	within, cancel := context.WithTimeout(work, grace)
	defer cancel()
	server.SetKeepAlivesEnabled(false)
	err := server.Shutdown(within)
	if err != nil {
		cut()
		server.Close()
	}
	<-ended
	return err
}

// limiter bounds the connections of a listener. Those beyond are told so.
type limiter struct {
	net.Listener
	s         *Server
	lingering chan struct{}
}

// How those are seen off for whom there is no connection: so many at a time are waited for, for so long, until they have read why; a
// connection that is closed with something unread would be reset, and the reason lost.
const (
	lingerers  = 64
	lingerTime = 500 * time.Millisecond
)

func (l *limiter) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.s.open.Add(1) <= int64(l.s.o.Connections) {
			return &counted{Conn: c, open: &l.s.open}, nil
		}
		l.s.open.Add(-1)
		l.s.metrics.refused.Inc()
		select {
		case l.lingering <- struct{}{}:
			go func() {
				seeOff(c, lingerTime)
				<-l.lingering
			}()
		default:
			seeOff(c, 0)
		}
	}
}

const fullBody = `{"status":"error","error":{"code":"busy","path":"","message":"too many connections are open","hint":"close some, or try again later"}}` + "\n"

var fullReply = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: " + strconv.Itoa(retryAfter) +
	"\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(fullBody)) + "\r\n\r\n" + fullBody

// seeOff says that there is no room and closes the connection, when the other end has or that time is over.
func seeOff(c net.Conn, linger time.Duration) {
	defer c.Close()
	// What is so short goes into the buffer of a new connection; nobody has to read it for that.
	_ = c.SetDeadline(time.Now().Add(max(linger, 10*time.Millisecond)))
	if _, err := io.WriteString(c, fullReply); err != nil || linger == 0 {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		_, _ = io.CopyN(io.Discard, c, 1<<20)
	}
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	open interface{ Add(int64) int64 }
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection so that its last answer is read.
func (c *counted) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
