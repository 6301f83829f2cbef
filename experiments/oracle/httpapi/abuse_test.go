package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/oracle/httpapi"
	"github.com/stratasim/strata/experiments/store"
)

// dial opens a connection to a server, for what an HTTP client does not send.
func (s *running) dial(tb testing.TB) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return c
}

// say sends a text on a connection of its own and returns all that comes back until the other end closes it.
func (s *running) say(tb testing.TB, text string, close bool) string {
	tb.Helper()
	c := s.dial(tb)
	if _, err := io.WriteString(c, text); err != nil {
		tb.Fatal(err)
	}
	if close {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			tb.Fatal(err)
		}
	}
	answer, err := io.ReadAll(c)
	if errors.Is(err, context.DeadlineExceeded) {
		tb.Errorf("%.80q: the connection stays open", text)
	}
	return string(answer)
}

// works demands that the server answers as ever.
func (s *running) works(tb testing.TB) {
	tb.Helper()
	if status, text := s.post(tb, "/v1/estimate", small); status != 200 || !strings.Contains(text, `"status":"ok"`) {
		tb.Errorf("afterwards: %d %s", status, text)
	}
}

const head = "POST /v1/estimate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

// TestCut: requests that end too early, or are no HTTP, get an answer or a closed connection, and harm nobody else.
func TestCut(t *testing.T) {
	s := start(t, options{})
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"half a line", "POST /v1/est", ""},
		{"half the headers", head, ""},
		{"half a body", head + "Content-Length: 500\r\n\r\n" + small, `"code":"cut"`},
		{"half a chunk", head + "Transfer-Encoding: chunked\r\n\r\nff\r\n" + small, `"code":"cut"`},
		{"no last chunk", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", `"code":"cut"`},
		{"a chunk of no size", head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n", `"code":"cut"`},
		{"a chunk of any size", head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n", `"code":"cut"`},
		{"two lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", " 400 "},
		{"both lengths", head + "Content-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n{}", " 501 "},
		{"a negative length", head + "Content-Length: -2\r\n\r\n{}", " 400 "},
		{"no Host", "GET /v1/archs HTTP/1.1\r\n\r\n", " 400 "},
		{"two Hosts", "GET /v1/archs HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", " 400 "},
		{"large headers", "GET /v1/archs HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", " 431 "},
		{"TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", " 400 "},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " 404 "},
		{"zeros", strings.Repeat("\x00", 4096) + "\r\n\r\n", " 400 "},
		{"encoded twice", head + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", `"code":"encoding"`},
		{"two types", head + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", `"code":"media-type"`},
		{"a machine of one who sends no more", strings.Replace(head, "estimate", "archs", 1) + "Content-Length: 24\r\n\r\n{\"base\":\"a100-sxm-80gb\"}", " 200 OK"},
		{"half a stream", strings.Replace(head, "json", "x-ndjson", 1) + "Content-Length: 5000\r\n\r\n" + small + "\n" + small[:20], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := s.say(t, tt.text, true)
			if !strings.Contains(got, tt.want) || strings.Contains(got, "panic") {
				t.Errorf("%q", got)
			}
			if tt.name == "half a stream" && (strings.HasSuffix(got, "0\r\n\r\n") || strings.Count(got, "status") > 1) {
				t.Errorf("a stream that was cut looks whole: %q", got)
			}
		})
	}
	s.works(t)
}

// TestSlow: who sends too slowly is dropped, at each place where the server waits, and takes nothing from others meanwhile.
func TestSlow(t *testing.T) {
	const patience = 150 * time.Millisecond
	s := start(t, options{Options: httpapi.Options{Header: patience, Body: patience, Idle: 2 * patience, Working: 1, Waiting: 1}})
	var team sync.WaitGroup
	for name, tt := range map[string]struct{ text, want string }{
		"headers":      {"POST /v1/estimate HTTP/1.1\r\nHost: loc", ""},
		"body":         {head + "Content-Length: 500\r\n\r\n{", `"code":"slow"`},
		"chunks":       {head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", `"code":"slow"`},
		"stream":       {strings.Replace(head, "json", "x-ndjson", 1) + "Content-Length: 5000\r\n\r\n" + small + "\n", `"status":"ok"`},
		"nothing":      {"", ""},
		"unread body":  {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n", `"ok"`},
		"between them": {"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", `"ok"`},
	} {
		team.Go(func() {
			began := time.Now()
			if got := s.say(t, tt.text, false); !strings.Contains(got, tt.want) {
				t.Errorf("%s: %q", name, got)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("%s: dropped after %v", name, took)
			}
		})
	}
	s.works(t)
	team.Wait()
	s.works(t)
}

// TestHuge: of a body of 1 GB no more than the limit is read and kept, whether its length is told or not.
func TestHuge(t *testing.T) {
	s := start(t, options{})
	for name, length := range map[string]string{"length": "Content-Length: 1000000000\r\n\r\n", "chunks": "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := s.dial(t)
		sent := 0
		answered := make(chan string, 1)
		go func() {
			a, _ := io.ReadAll(c)
			answered <- string(a)
		}()
		_, err := io.WriteString(c, head+length)
		for part := make([]byte, 64<<10); err == nil && sent < 1e9; sent += len(part) {
			_, err = c.Write(part)
		}
		if sent > 64<<20 { // what fits into the buffers between is gone
			t.Errorf("%s: %d bytes were taken", name, sent)
		}
		if got := <-answered; !strings.Contains(got, " 413 ") || !strings.Contains(got, `"code":"too-large"`) {
			t.Errorf("%s: %q", name, got)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
	}
	// A long line of a stream is answered, and passed over.
	r, w := io.Pipe()
	go func() {
		for range 64 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		fmt.Fprintf(w, "\n%s\n", small)
		w.Close()
	}()
	a, err := s.client.Post(s.url+"/v1/estimate", "application/x-ndjson", r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 3 || !strings.Contains(lines[0], `"too-large"`) || !strings.Contains(lines[1], `"ok"`) {
		t.Errorf("%v: %.500s", err, text)
	}
	s.works(t)
}

// TestExpect: who asks first whether to send a body that is too large, sends nothing.
func TestExpect(t *testing.T) {
	s := start(t, options{})
	got := s.say(t, head+"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n", false)
	if !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("%q", got)
	}
}

// TestPipelining: requests that are sent without waiting are answered one after the other.
func TestPipelining(t *testing.T) {
	s := start(t, options{})
	var text strings.Builder
	for i := range 20 {
		body := fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"gelu","rows":%d,"cols":64}}`, i, 20-i)
		fmt.Fprintf(&text, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	}
	c := s.dial(t)
	if _, err := io.WriteString(c, text.String()); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for i := range 20 {
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(a.Body)
		if want := fmt.Sprintf(`{"id":%d,"status":"ok"`, i); err != nil || !strings.HasPrefix(string(body), want) {
			t.Fatalf("%v: %s, want %s", err, body, want)
		}
	}
}

// long is a batch that takes a second and more.
func long(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","model":%s,"phase":"decode","batch":%d,"past_len":%d}`, i, tiny, 1+i%64, 1+i)
	}
	return "[" + strings.Join(items, ",") + "]"
}

// TestGone: when a client goes away, its work ends.
func TestGone(t *testing.T) {
	s := start(t, options{workers: 1, Options: httpapi.Options{Working: 1}})
	const n = 3000
	body := long(n)
	c := s.dial(t)
	if _, err := fmt.Fprintf(c, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body); err != nil {
		t.Fatal(err)
	}
	for s.oracle.Stats().Misses < 20 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	s.works(t) // as soon as the only place is free again
	if done := s.oracle.Stats().Misses; done > n/2 {
		t.Errorf("%d of %d requests were worked out for nobody", done, n)
	}
}

// TestWrittenSlowly: answers that nobody reads are not worked out, in a batch and in a stream, and the client is dropped in the end.
func TestWrittenSlowly(t *testing.T) {
	s := start(t, options{Options: httpapi.Options{Body: 300 * time.Millisecond, Working: 1}})
	items := strings.Repeat(`{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"decode","detail":true},`, 8000)
	for name, text := range map[string]string{"batch": head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(items)+1) + "[" + items[:len(items)-1] + "]",
		"stream": strings.Replace(head, "json", "x-ndjson", 1) + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(items)) + strings.ReplaceAll(items, "},", "}\n")} {
		before := s.oracle.Stats()
		c := s.dial(t)
		if err := c.(*net.TCPConn).SetReadBuffer(1 << 14); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() { // it may not be able to send it all
			_, err := io.WriteString(c, text)
			sent <- err
		}()
		time.Sleep(600 * time.Millisecond)
		s.works(t) // the only place is free
		after := s.oracle.Stats()
		if n := after.Answers[oracle.OK] - before.Answers[oracle.OK]; n > 7000 {
			t.Errorf("%s: %d answers for nobody", name, n)
		}
		c.Close()
		<-sent
	}
}

// TestInterleaved: clients at the same time get their own answers, whatever way they ask.
func TestInterleaved(t *testing.T) {
	s := start(t, options{workers: 4})
	var team sync.WaitGroup
	for client := range 24 {
		team.Go(func() {
			at := rand.New(rand.NewPCG(uint64(client), 1))
			for round := range 12 {
				n := 1 + at.IntN(12)
				items, want := make([]string, n), make([]string, n)
				for i := range items {
					rows := 1 + at.IntN(40)
					items[i] = fmt.Sprintf(`{"id":"%d/%d/%d","arch":"a100-sxm-80gb","op":{"kind":"add","rows":%d,"cols":1}}`, client, round, i, rows)
					line, err := s.oracle.Answer(t.Context(), []byte(items[i]))
					if err != nil {
						t.Error(err)
						return
					}
					want[i] = string(line)
				}
				x := exchange{method: "POST", path: "/v1/estimate", kind: jsonish, body: items[0]}
				all := want[0] + "\n"
				switch round % 3 {
				case 1:
					x.body, all = "["+strings.Join(items, ",")+"]", "["+strings.Join(want, ",")+"]\n"
				case 2:
					x.kind, x.body, all = "application/x-ndjson", strings.Join(items, "\n"), strings.Join(want, "\n")+"\n"
				}
				if _, _, got := s.do(t, x); got != all {
					t.Errorf("client %d got %.300s, want %.300s", client, got, all)
				}
			}
		})
	}
	team.Wait()
}

// TestConverses: a stream is answered line by line, while it goes on.
func TestConverses(t *testing.T) {
	s := start(t, options{})
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/estimate", r)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	go func() { fmt.Fprintln(w, small) }()
	a, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	in := bufio.NewScanner(a.Body)
	for i := range 5 {
		if !in.Scan() || !strings.Contains(in.Text(), `"status":"ok"`) {
			t.Fatal(i, in.Text(), in.Err())
		}
		if i < 4 {
			fmt.Fprintln(w, small)
		}
	}
	w.Close()
	if in.Scan() || in.Err() != nil {
		t.Error(in.Text(), in.Err())
	}
}

// TestStreams: there are so many at a time.
func TestStreams(t *testing.T) {
	s := start(t, options{Options: httpapi.Options{Streams: 1}})
	c := s.dial(t)
	if _, err := io.WriteString(c, strings.Replace(head, "json", "x-ndjson", 1)+"Content-Length: 5000\r\n\r\n"+small+"\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	lines := exchange{method: "POST", path: "/v1/estimate", kind: "application/x-ndjson", body: small}
	if status, header, _ := s.do(t, lines); status != 503 || header.Get("Retry-After") == "" {
		t.Error(status, header)
	}
	s.works(t)
	c.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if status, _, _ := s.do(t, lines); status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a stream that ended stays taken")
		}
	}
}

// TestBodies: all bodies together take so much.
func TestBodies(t *testing.T) {
	s := start(t, options{Options: httpapi.Options{MaxBodies: 96 << 10, MaxBody: 90 << 10}})
	c := s.dial(t)
	if _, err := io.WriteString(c, head+"Content-Length: 90000\r\n\r\n"+strings.Repeat(" ", 70000)); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat(" ", 70000) + small
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		status, text := s.post(t, "/v1/estimate", big)
		if status == 503 && strings.Contains(text, "busy") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(status, text)
		}
	}
	s.works(t)
	c.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if status, _ := s.post(t, "/v1/estimate", big); status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the bytes of a body that was cut stay taken")
		}
	}
}

// TestStop: what is in work when the server stops is finished, nothing new begins; a stream ends with a cut after the lines that were read.
func TestStop(t *testing.T) {
	s := start(t, options{workers: 2})
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/estimate", r)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	go func() { fmt.Fprintf(w, "%s\n%s", small, small[:10]) }()
	stream, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	in := bufio.NewReader(stream.Body)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, `"ok"`) {
		t.Fatal(line, err)
	}
	type result struct {
		status int
		text   string
	}
	batch := make(chan result, 1)
	go func() {
		status, text := s.post(t, "/v1/estimate", long(400))
		batch <- result{status, text}
	}()
	for s.oracle.Stats().Misses < 10 {
		time.Sleep(time.Millisecond)
	}
	s.stop()
	if got := <-batch; got.status != 200 || strings.Count(got.text, `"status":"ok"`) != 400 {
		t.Errorf("%d, %d answers", got.status, strings.Count(got.text, `"status":"ok"`))
	}
	if rest, err := io.ReadAll(in); err == nil || len(rest) > 0 {
		t.Errorf("the stream ends with %q, %v", rest, err)
	}
	w.Close()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended <- nil
	if c, err := net.Dial("tcp", s.address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

// TestStopCuts: what takes longer than the grace is cut, and Serve says so.
func TestStopCuts(t *testing.T) {
	s := start(t, options{workers: 1, grace: 50 * time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		a, err := s.client.Post(s.url+"/v1/estimate", jsonish, strings.NewReader(long(3000)))
		if err == nil {
			_, err = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
		failed <- err
	}()
	for s.oracle.Stats().Misses < 10 {
		time.Sleep(time.Millisecond)
	}
	s.stop()
	if err := <-s.ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	s.ended <- nil
	if err := <-failed; err == nil {
		t.Error("half an answer looks whole")
	}
}

// TestTimeout: a request that takes too long is answered so, or cut where its answer has begun.
func TestTimeout(t *testing.T) {
	s := start(t, options{workers: 1, Options: httpapi.Options{Timeout: 30 * time.Millisecond}})
	status, text := s.post(t, "/v1/estimate", `{"arch":"a100-sxm-80gb","model":"llama2-7b","phase":"generate","generate":4096,"fidelity":"event"}`)
	if status != 503 || !strings.Contains(text, `"status":"timeout","error":{"code":"timeout"`) {
		t.Error(status, text)
	}
	s.works(t)
	// What is posted is read in that time too.
	s = start(t, options{Options: httpapi.Options{Timeout: time.Microsecond}})
	for path, body := range map[string]string{"/v1/archs": `{"base":"a100-sxm-80gb","name":"m"}`, "/v1/models": tiny, "/v1/spaces": `{"name":"s","arch":"a100-sxm-80gb","model":"llama2-7b","axes":[{"path":"batch","values":["1","2"]}]}`} {
		status, header, text := s.do(t, exchange{method: "POST", path: path, kind: jsonish, body: body})
		if status != 503 || header.Get("Retry-After") == "" || !strings.HasPrefix(text, `{"status":"timeout","error":{"code":"timeout"`) {
			t.Errorf("%s: %d %v %s", path, status, header, text)
		}
	}
}

// TestKeepingFails: where answers cannot be kept any more they are given all the same, and /readyz says so without the name of the file.
func TestKeepingFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.db")
	kept, err := store.OpenAnswers(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	s := httpapi.New(oracle.New(oracle.Options{Kept: kept}), httpapi.Options{})
	ask := func(method, target, body string) string {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		r.Host = "localhost"
		r.Header.Set("Content-Type", jsonish)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return fmt.Sprint(w.Code, " ", w.Body)
	}
	if got := ask("GET", "/readyz", ""); got != "200 {\"status\":\"ok\"}\n" {
		t.Error(got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := ask("POST", "/v1/estimate", small); !strings.Contains(got, `"status":"ok"`) {
		t.Error(got)
	}
	if got := ask("GET", "/readyz", ""); !strings.HasPrefix(got, `200 {"status":"ok","warning":"not every answer is kept`) || strings.Contains(got, path) {
		t.Error(got)
	}
}

// FuzzHTTP: whatever is asked, the answer has a status of its own, is JSON, and is not a fault of the server.
func FuzzHTTP(f *testing.F) {
	for _, x := range exchanges(f) {
		if len(x.body) < 1<<12 {
			f.Add(x.method, x.path, x.kind, "localhost", "", []byte(x.body))
		}
	}
	f.Add("GET", "/healthz", "", "evil", "http://evil", []byte(nil))
	s := httpapi.New(oracle.New(oracle.Options{Workers: 1, CacheBytes: 1 << 20}), httpapi.Options{MaxBody: 1 << 16, Timeout: 10 * time.Second})
	f.Fuzz(func(t *testing.T, method, path, kind, host, origin string, body []byte) {
		if strings.Contains(string(body), "generate") || strings.Contains(string(body), "event") {
			t.Skip("simulations have a fuzz target of their own")
		}
		r := httptest.NewRequest("GET", "/", strings.NewReader(string(body)))
		r.Method, r.URL.Path, r.Host = method, path, host
		r.Header.Set("Content-Type", kind)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		w := httptest.NewRecorder()
		func() {
			defer func() {
				if p := recover(); p != nil && p != http.ErrAbortHandler {
					t.Fatalf("panic: %v", p)
				}
			}()
			s.ServeHTTP(w, r)
		}()
		if w.Code < 200 || w.Code == 500 || w.Code > 503 {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") != "application/json" {
			return // lines and metrics
		}
		if text := strings.TrimSpace(w.Body.String()); !json.Valid([]byte(text)) {
			t.Fatalf("%d: not JSON: %q", w.Code, text)
		}
	})
}
