package httpapi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/stratasim/strata/experiments/oracle"
)

const lineType = "application/x-ndjson"

// estimate answers a request, a batch of them, or a stream of lines.
func (s *Server) estimate(to http.ResponseWriter, r *http.Request, _ string) {
	w := to.(*writer)
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == lineType {
		if s.takes(w, r, lineType) {
			s.stream(w, r)
		}
		return
	}
	ctx, text, done, ok := s.turn(w, r, "application/json")
	if !ok {
		return
	}
	defer done()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := buffers.Get().(*bufio.Writer)
	defer buffers.Put(out)
	out.Reset(w)
	err := s.oracle.WriteAnswer(ctx, out, text)
	if err == nil {
		_ = out.WriteByte('\n')
		err = out.Flush()
	}
	var refused *oracle.Refused
	switch {
	case errors.As(err, &refused):
		status := http.StatusOK
		switch refused.Err.Code {
		case "syntax":
			status = http.StatusBadRequest
		case "too-large":
			status = http.StatusRequestEntityTooLarge
		}
		replyBytes(w, status, "application/json", append(refused.Answer, '\n'))
	case err != nil && w.status == 0 && r.Context().Err() == nil:
		tooLong(w)
	case err != nil:
		panic(http.ErrAbortHandler)
	}
}

// buffers gather the pieces of batches, so that fewer are sent.
var buffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 32<<10) }}

// stream answers lines as they come. It ends with the lines, or, with a cut that the other end sees, when they cannot be
// read any more, when nothing goes on for too long, or when the server stops.
func (s *Server) stream(w *writer, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	in := &lineReader{w: w, from: r.Body, idle: s.o.Idle}
	if !s.begin(in) {
		busy(w)
		return
	}
	defer s.end(in)
	_ = w.control.EnableFullDuplex()
	w.whole()
	w.Header().Set("Content-Type", lineType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	err := s.oracle.Serve(ctx, in, &flusher{w})
	if err != nil {
		// Serve may leave a read behind, and net/http waits for that before it ends the request: not for who sends nothing.
		cancel()
		in.stop()
		panic(http.ErrAbortHandler)
	}
	_ = w.control.SetReadDeadline(time.Time{})
}

// lineReader reads the body of a stream. Each read has its time.
type lineReader struct {
	w    *writer
	from io.Reader
	idle time.Duration

	mu      sync.Mutex
	stopped bool
}

func (l *lineReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	stopped := l.stopped
	if !stopped {
		_ = l.w.control.SetReadDeadline(time.Now().Add(l.idle))
	}
	l.mu.Unlock()
	if stopped {
		return 0, errStopped
	}
	return l.from.Read(p)
}

// stop ends reading, also where it waits.
func (l *lineReader) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	_ = l.w.control.SetReadDeadline(time.Unix(1, 0))
}

var errStopped = errors.New("the server stops")

// begin notes a stream, if there is room for it; end forgets it.
func (s *Server) begin(l *lineReader) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() || len(s.streams) >= s.o.Streams {
		return false
	}
	s.streams[l] = true
	return true
}

func (s *Server) end(l *lineReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, l)
}

// flusher sends what it is given at once.
type flusher struct{ w *writer }

func (f *flusher) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.w.control.Flush()
	}
	return n, err
}
