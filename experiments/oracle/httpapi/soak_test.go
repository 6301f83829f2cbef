//go:build unix

package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stratasim/strata/experiments/oracle/httpapi"
)

// soakVariable holds how long TestSoak goes on, such as 10m.
const soakVariable = "STRATA_SOAK"

// descriptors is how many the process has open, −1 where that cannot be seen.
func descriptors() int {
	names, err := os.ReadDir(filepathOfDescriptors)
	if err != nil {
		return -1
	}
	return len(names)
}

const filepathOfDescriptors = "/proc/self/fd"

// footprint is what a process must not have more of after work than before.
type footprint struct {
	goroutines, descriptors int
	heap                    uint64
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %.1f MB of heap", f.goroutines, f.descriptors, float64(f.heap)/1e6)
}

func footprintNow() footprint {
	runtime.GC()
	runtime.GC() // what pools kept is gone the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{runtime.NumGoroutine(), descriptors(), m.HeapAlloc}
}

// TestSoak: 64 clients that ask, stream, fail, cut and go away leave nothing behind: no goroutine, no descriptor, no heap. Two seconds, or as
// long as STRATA_SOAK says.
func TestSoak(t *testing.T) {
	long := 2 * time.Second
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakVariable, err)
		}
	} else if testing.Short() {
		t.Skip("-short: clients ask for some seconds")
	}
	s := start(t, options{})
	s.works(t)
	soak(t, s, 64, min(long/4, 500*time.Millisecond)) // caches and pools fill
	s.client.CloseIdleConnections()
	before := settled(footprint{goroutines: 1 << 30})
	n := soak(t, s, 64, long)
	s.client.CloseIdleConnections()
	// Connections end a moment after their clients.
	after := settled(before)
	t.Logf("%d requests in %v: before %v; after %v", n, long, before, after)
	if after.goroutines > before.goroutines+2 || after.descriptors > before.descriptors+2 || after.heap > before.heap+16<<20 {
		t.Errorf("before %v; after %v", before, after)
	}
	s.works(t)
}

// settled waits until the footprint is not above another one, for five seconds at most.
func settled(below footprint) footprint {
	var f footprint
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		f = footprintNow()
		if f.goroutines <= below.goroutines && f.descriptors <= max(below.descriptors, 0) || time.Now().After(deadline) || below.goroutines == 1<<30 && f.goroutines < 20 {
			return f
		}
	}
}

// soak has clients ask for so long, each in all ways there are, and returns how many requests that were.
func soak(t *testing.T, s *running, clients int, long time.Duration) int64 {
	var asked atomic.Int64
	deadline := time.Now().Add(long)
	var team sync.WaitGroup
	for client := range clients {
		team.Go(func() {
			at := rand.New(rand.NewPCG(uint64(client), 2))
			for time.Now().Before(deadline) {
				asked.Add(1)
				body := fmt.Sprintf(`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"add","rows":%d,"cols":1}}`, client, 1+at.IntN(200))
				switch at.IntN(9) {
				case 0:
					s.post(t, "/v1/estimate", "["+strings.Repeat(body+",", 40)+body+"]")
				case 1:
					s.do(t, exchange{method: "POST", path: "/v1/estimate", kind: "application/x-ndjson", body: body + "\n" + body})
				case 2:
					s.post(t, "/v1/estimate", body[:at.IntN(len(body))])
				case 3:
					s.get(t, "/metrics")
				case 4: // goes away at any moment
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(at.IntN(3000))*time.Microsecond)
					r, err := http.NewRequestWithContext(ctx, "POST", s.url+"/v1/estimate", strings.NewReader("["+strings.Repeat(body+",", 300)+body+"]"))
					if err != nil {
						t.Error(err)
					}
					r.Header.Set("Content-Type", "application/json")
					if a, err := s.client.Do(r); err == nil {
						_, _ = io.Copy(io.Discard, a.Body)
						a.Body.Close()
					}
					cancel()
				case 5: // half a request
					if c, err := net.Dial("tcp", s.address); err == nil {
						whole := head + "Content-Length: 100\r\n\r\n" + body
						_, _ = io.WriteString(c, whole[:at.IntN(len(whole))])
						c.Close()
					}
				case 6:
					s.post(t, "/v1/models", strings.Replace(tiny, "1024", strconv.Itoa(128*(1+at.IntN(100))), 1))
				default:
					if status, text := s.post(t, "/v1/estimate", body); status != 200 && status != 503 || status == 200 && !strings.HasPrefix(text, fmt.Sprintf(`{"id":%d,"status":"ok"`, client)) {
						t.Errorf("%d %s", status, text)
						return
					}
				}
			}
		})
	}
	team.Wait()
	return asked.Load()
}

// floodVariable tells this test binary to be the clients of TestManyConnections: an address and a number.
const floodVariable = "STRATA_TEST_FLOOD"

func TestMain(m *testing.M) {
	if text := os.Getenv(floodVariable); text != "" {
		os.Exit(flood(text))
	}
	os.Exit(m.Run())
}

// flood opens connections, as many as asked for, asks on all of them, and prints how many were answered and how many refused politely.
func flood(text string) int {
	address, count, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		return 2
	}
	connections := make([]net.Conn, 0, n)
	failed := 0
	for range n {
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			failed++
			continue
		}
		connections = append(connections, c)
	}
	var answered, refused, rude int
	for _, c := range connections { // one after the other: all are open meanwhile
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		switch {
		case err != nil:
			rude++
		case a.StatusCode == http.StatusOK:
			answered++
		case a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
			refused++
		default:
			rude++
		}
	}
	fmt.Printf("%d %d %d %d\n", answered, refused, rude, failed)
	for _, c := range connections {
		c.Close()
	}
	return 0
}

// TestManyConnections: of 10 000 connections at a time those within the limit are served, those beyond are told to come back, and
// the server then serves as before. Where the process may not open as many, it is as many as it may.
func TestManyConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: opens thousands of connections")
	}
	const limit = 2000
	n := 10_000
	var may syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &may); err != nil {
		t.Skip("the limit of descriptors is not known: ", err)
	}
	if most := int(min(may.Cur, 1<<20)) - 100; most < n { // the clients are a process of their own
		n = most
		t.Logf("%d connections in place of 10 000: a process may open %d descriptors", n, may.Cur)
	}
	served := min(limit, n/2)
	s := start(t, options{Options: httpapi.Options{Connections: served}})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	clients := exec.CommandContext(t.Context(), self)
	clients.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", floodVariable, s.address, n))
	clients.Stderr = os.Stderr
	out, err := clients.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answered, refused, rude, failed int
	if _, err := fmt.Sscan(string(out), &answered, &refused, &rude, &failed); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	t.Logf("%d connections: %d answered, %d refused with a reason, %d without, %d not made", n, answered, refused, rude, failed)
	// Those who write when they have been refused already, beyond the few that are waited for, may find the connection closed.
	if answered != served || refused < (n-served)*9/10 || failed > 0 {
		t.Errorf("%d connections, %d of them within the limit: %d answered, %d refused with a reason, %d without, %d not made", n, served, answered, refused, rude, failed)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) { // until the connections have ended here too
		a, err := s.client.Get(s.url + "/healthz")
		if err == nil {
			a.Body.Close()
			if a.StatusCode == 200 {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not serve any more")
		}
	}
	s.works(t)
}

// TestConnections: one that ends makes room for another.
func TestConnections(t *testing.T) {
	s := start(t, options{Options: httpapi.Options{Connections: 2}})
	ask := func(c net.Conn) int {
		t.Helper()
		if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if text, err := io.ReadAll(a.Body); err != nil || !strings.Contains(string(text), `"status"`) {
			t.Errorf("%s %v", text, err)
		}
		return a.StatusCode
	}
	first, second := s.dial(t), s.dial(t)
	if a, b := ask(first), ask(second); a != 200 || b != 200 {
		t.Fatal(a, b)
	}
	if got := ask(s.dial(t)); got != 503 {
		t.Error(got)
	}
	first.Close()
	for deadline := time.Now().Add(10 * time.Second); ask(s.dial(t)) != 200; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no room")
		}
	}
	if got := ask(second); got != 200 {
		t.Error(got)
	}
}
