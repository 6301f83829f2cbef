package httpapi

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
)

// body reads the body of a request whose type is one of kinds, and says what is wrong with it. Release gives back its
// bytes and must be called when ok.
func (s *Server) body(w *writer, r *http.Request, kinds ...string) (text []byte, release func(), ok bool) {
	if !s.takes(w, r, kinds...) {
		return nil, nil, false
	}
	if r.ContentLength > s.o.MaxBody {
		s.tooLarge(w)
		return nil, nil, false
	}
	held := int64(0)
	give := func() { s.bodies.Add(-held) }
	defer func() {
		if !ok {
			give()
		}
	}()
	// Room is taken as the bytes arrive, so that whoever announces much and sends little holds little.
	for {
		if len(text) == cap(text) {
			room := int64(max(4<<10, 2*cap(text)))
			if r.ContentLength > 0 && room > r.ContentLength {
				room = r.ContentLength + 1 // one more, to see that it ends
			}
			room = min(room, s.o.MaxBody+1)
			if s.bodies.Add(room-held) > s.o.MaxBodies {
				held = room
				busy(w)
				return nil, nil, false
			}
			held = room
			text = append(make([]byte, 0, room), text...)
		}
		n, err := r.Body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case int64(len(text)) > s.o.MaxBody:
			s.tooLarge(w)
			return nil, nil, false
		case err == io.EOF:
			w.whole()
			return text, give, true
		case errors.Is(err, os.ErrDeadlineExceeded):
			refuse(w, http.StatusRequestTimeout, "slow", fmt.Sprintf("the body was not there after %v", s.o.Body), "")
			return nil, nil, false
		case err != nil:
			refuse(w, http.StatusBadRequest, "cut", "the body cannot be read to its end", "")
			return nil, nil, false
		}
	}
}

// takes tells whether the type of a body is one of kinds and it is not compressed.
func (s *Server) takes(w *writer, r *http.Request, kinds ...string) bool {
	for _, e := range r.Header.Values("Content-Encoding") {
		if e != "" && !strings.EqualFold(e, "identity") {
			refuse(w, http.StatusUnsupportedMediaType, "encoding", "a compressed body is not read", "send it as it is")
			return false
		}
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if c := parameters["charset"]; err == nil && c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		err = errors.New("not UTF-8")
	}
	if len(r.Header.Values("Content-Type")) > 1 {
		err = errors.New("two types")
	}
	for _, k := range kinds {
		if err == nil && kind == k {
			return true
		}
	}
	refuse(w, http.StatusUnsupportedMediaType, "media-type", fmt.Sprintf("a body of type %.60q is not read here", r.Header.Get("Content-Type")), "send Content-Type: "+kinds[0])
	return false
}

func (s *Server) tooLarge(w *writer) {
	refuse(w, http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("a body of more than %d bytes", s.o.MaxBody), "several requests, or a stream of lines (application/x-ndjson)")
}
