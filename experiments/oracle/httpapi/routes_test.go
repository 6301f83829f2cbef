package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stratasim/strata/experiments/oracle"
)

// TestRoutesAreDescribed: openapi.json has every path of the table.
func TestRoutesAreDescribed(t *testing.T) {
	var page struct{ Paths map[string]any }
	if err := json.Unmarshal(openAPI, &page); err != nil {
		t.Fatal(err)
	}
	for _, r := range table() {
		path := r.path
		if strings.HasSuffix(path, "/") {
			path += "{name}"
		}
		if page.Paths[path] == nil {
			t.Errorf("openapi.json does not have %s", path)
		}
	}
}

// TestPanic: a fault of a handler is answered, or the answer is cut where it has begun, and the server goes on.
func TestPanic(t *testing.T) {
	var errors strings.Builder
	s := New(oracle.New(oracle.Options{}), Options{Errors: &errors})
	s.routes["/early"] = &route{path: "/early", methods: map[string]func(*Server, http.ResponseWriter, *http.Request, string){"GET": func(*Server, http.ResponseWriter, *http.Request, string) { panic("oh") }}}
	s.routes["/late"] = &route{path: "/late", methods: map[string]func(*Server, http.ResponseWriter, *http.Request, string){"GET": func(_ *Server, w http.ResponseWriter, _ *http.Request, _ string) {
		_, _ = w.Write(make([]byte, 1<<16))
		panic("oh")
	}}}
	h := httptest.NewServer(s)
	defer h.Close()
	a, err := http.Get(h.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	var p problem
	if err := json.NewDecoder(a.Body).Decode(&p); err != nil || a.StatusCode != 500 || p.Status != oracle.Failed || p.Error.Code != "internal" || strings.Contains(p.Error.Message, "oh") {
		t.Error(a.StatusCode, p, err)
	}
	if b, err := http.Get(h.URL + "/late"); err == nil {
		if _, err := b.Body.Read(make([]byte, 1<<17)); err == nil {
			_, err = b.Body.Read(make([]byte, 1<<17))
			for err == nil {
				_, err = b.Body.Read(make([]byte, 1<<17))
			}
			if err.Error() == "EOF" {
				t.Error("half an answer looks whole")
			}
		}
		b.Body.Close()
	}
	c, err := http.Get(h.URL + "/healthz")
	if err != nil || c.StatusCode != 200 {
		t.Fatal(err)
	}
	c.Body.Close()
	if n := strings.Count(errors.String(), "panic at"); n != 2 {
		t.Errorf("%d panics were noted: %s", n, errors.String())
	}
}
