package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stratasim/strata/experiments/oracle"
)

// Options of a Server. Zero values mean the defaults, which are those of strata oracle serve.
type Options struct {
	// Token is what requests must carry as "Authorization: Bearer TOKEN", "" if anybody who reaches the server may ask. Without one, only
	// requests to a loopback name or through a Unix socket are answered.
	Token string
	// MaxBody bounds the body of a request in bytes; 0 means oracle.MaxLine. A stream may be as long as it likes, its lines not.
	MaxBody int64
	// MaxBodies bounds the bytes of all bodies that are held at a time; 0 means 64 MiB.
	MaxBodies int64
	// Working is how many requests are worked on at a time, 0 means twice GOMAXPROCS; Waiting, how many more wait for their turn, 0 means 256.
	Working, Waiting int
	// Streams is how many streams of lines there may be at a time; 0 means 32.
	Streams int
	// Connections bounds the connections that are open; 0 means 4096.
	Connections int
	// Header is the time that the headers of a request may take, and Body the time for a body, or for a stream, to go on, both on the
	// way in and on the way out; Timeout the time to answer; Idle the time that a connection is kept without a request. 0 means 5 s,
	// 30 s, 60 s and 2 min.
	Header, Body, Timeout, Idle time.Duration
	// Log gets a line of JSON for each request that was answered; nil for none.
	Log io.Writer
	// Errors gets a line for what is wrong with the server itself; nil for none.
	Errors io.Writer
	// Build is what GET /v1/version answers.
	Build Build
}

// Build says which program this is.
type Build struct {
	Version      string `json:"version"`
	ModelVersion string `json:"model_version"` // changes whenever any figure changes
	Protocol     string `json:"protocol"`      // form of answers
	Go           string `json:"go"`
	Platform     string `json:"platform"`
	Revision     string `json:"revision,omitempty"` // of the version control, where the build knows it
	Modified     bool   `json:"modified,omitempty"` // the tree had changes beyond it
}

// Defaults of Options, but for what depends on the machine.
const (
	DefaultBodies      = 64 << 20 // bytes
	DefaultWaiting     = 256
	DefaultStreams     = 32
	DefaultConnections = 4096
	DefaultHeader      = 5 * time.Second
	DefaultBody        = 30 * time.Second
	DefaultTimeout     = 60 * time.Second
	DefaultIdle        = 2 * time.Minute
)

// maxHeader bounds the headers of a request, in bytes.
const maxHeader = 16 << 10

// Server answers HTTP requests. It is an http.Handler; Serve also limits connections and time.
type Server struct {
	o        Options
	oracle   *oracle.Oracle
	routes   map[string]*route
	metrics  *metrics
	working  chan struct{} // a token for each that is worked on
	waiting  atomic.Int64  // that wait for one
	bodies   atomic.Int64  // bytes that are held
	open     atomic.Int64  // connections
	stopping atomic.Bool
	token    [sha256.Size]byte
	log      sync.Mutex
	mu       sync.Mutex
	streams  map[*lineReader]bool // that are open, under mu
}

// route is what a path leads to.
type route struct {
	path    string // ends in a slash if a name follows
	methods map[string]func(s *Server, w http.ResponseWriter, r *http.Request, name string)
	free    bool // needs no token
}

// table is every endpoint. GET stands for HEAD too.
func table() []*route {
	type methods = map[string]func(s *Server, w http.ResponseWriter, r *http.Request, name string)
	return []*route{
		{path: "/v1/estimate", methods: methods{"POST": (*Server).estimate}},
		{path: "/v1/archs", methods: methods{"GET": (*Server).listArchs, "POST": (*Server).postArch}},
		{path: "/v1/archs/", methods: methods{"GET": (*Server).showArch}},
		{path: "/v1/models", methods: methods{"GET": (*Server).listModels, "POST": (*Server).postModel}},
		{path: "/v1/models/", methods: methods{"GET": (*Server).showModel}},
		{path: "/v1/spaces", methods: methods{"GET": (*Server).listSpaces, "POST": (*Server).postSpace}},
		{path: "/v1/spaces/", methods: methods{"GET": (*Server).showSpace}},
		{path: "/v1/version", methods: methods{"GET": (*Server).version}},
		{path: "/openapi.json", methods: methods{"GET": (*Server).openAPI}},
		{path: "/metrics", methods: methods{"GET": (*Server).showMetrics}},
		{path: "/healthz", methods: methods{"GET": (*Server).healthy}, free: true},
		{path: "/readyz", methods: methods{"GET": (*Server).ready}, free: true},
	}
}

// New returns a server that asks an oracle, which must not read files (oracle.Options.Files).
func New(of *oracle.Oracle, o Options) *Server {
	orElse(&o.MaxBody, oracle.MaxLine)
	orElse(&o.MaxBodies, max(DefaultBodies, 2*o.MaxBody))
	orElse(&o.Working, 2*runtime.GOMAXPROCS(0))
	orElse(&o.Waiting, DefaultWaiting)
	orElse(&o.Streams, DefaultStreams)
	orElse(&o.Connections, DefaultConnections)
	orElse(&o.Header, DefaultHeader)
	orElse(&o.Body, DefaultBody)
	orElse(&o.Timeout, DefaultTimeout)
	orElse(&o.Idle, DefaultIdle)
	if o.Errors == nil {
		o.Errors = io.Discard
	}
	s := &Server{o: o, oracle: of, routes: map[string]*route{}, streams: map[*lineReader]bool{}, working: make(chan struct{}, o.Working), token: sha256.Sum256([]byte(o.Token))}
	for _, r := range table() {
		s.routes[r.path] = r
	}
	s.metrics = newMetrics(s)
	return s
}

func orElse[T ~int | ~int64](into *T, otherwise T) {
	if *into == 0 {
		*into = otherwise
	}
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w := &writer{ResponseWriter: to, control: http.NewResponseController(to), patience: s.o.Body}
	rt, name := s.find(r.URL.Path)
	endpoint := "other"
	if rt != nil {
		endpoint = rt.path
	}
	s.metrics.inFlight.Inc()
	defer func() {
		s.metrics.inFlight.Dec()
		recovered := recover()
		cut := recovered == http.ErrAbortHandler
		if recovered != nil && !cut {
			if cut = w.status != 0; !cut {
				refuse(w, http.StatusInternalServerError, "internal", "a fault of the server", "please report it with the request")
			}
			fmt.Fprintf(s.o.Errors, "strata: panic at %s: %.500v\n", endpoint, recovered)
		}
		if w.status == 0 {
			w.status = http.StatusOK // of what had nothing to say
		}
		s.metrics.answered(endpoint, w.status, time.Since(began))
		s.logged(r, w, began, cut)
		if cut {
			panic(http.ErrAbortHandler) // the one who asked must see that the answer is not whole
		}
	}()
	w.extend()
	if r.ContentLength != 0 {
		_ = w.control.SetReadDeadline(began.Add(s.o.Body))
		w.Header().Set("Connection", "close") // net/http would read on what nobody wants; whole does away with it
	}
	if !s.admit(w, r, rt) {
		return
	}
	if rt == nil {
		refuse(w, http.StatusNotFound, "not-found", "there is nothing at this path", "GET /openapi.json lists what there is")
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	do := rt.methods[method]
	if do == nil {
		allow := ""
		for _, m := range []string{"GET", "POST"} {
			if rt.methods[m] != nil {
				allow += ", " + m
				if m == "GET" {
					allow += ", HEAD"
				}
			}
		}
		w.Header().Set("Allow", allow[2:])
		refuse(w, http.StatusMethodNotAllowed, "method", fmt.Sprintf("%.20q is not a method of this path", r.Method), "use "+allow[2:])
		return
	}
	do(s, w, r, name)
}

// find returns the route of a path, and the name that follows it.
func (s *Server) find(path string) (*route, string) {
	if r := s.routes[path]; r != nil && !strings.HasSuffix(path, "/") {
		return r, ""
	}
	if i := strings.Index(strings.TrimPrefix(path, "/v1/"), "/"); i >= 0 && strings.HasPrefix(path, "/v1/") {
		i += len("/v1/") + 1
		if r := s.routes[path[:i]]; r != nil && i < len(path) {
			return r, path[i:]
		}
	}
	return nil, ""
}

// admit tells whether the request may be answered, and says why not. A page of the web that runs in a browser on this computer must
// not be able to ask: neither under a name of its own that leads here (Host), nor across origins.
func (s *Server) admit(w *writer, r *http.Request, rt *route) bool {
	local := isUnix(r)
	if s.o.Token == "" && !local && !loopbackName(r.Host) {
		refuse(w, http.StatusForbidden, "host", fmt.Sprintf("%.100q is no name of this computer alone", r.Host), "ask 127.0.0.1 or localhost, or start the server with a token")
		return false
	}
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if u, err := url.Parse(origin); origin != "" && (err != nil || u.Host != r.Host) || site == "cross-site" || site == "same-site" {
		refuse(w, http.StatusForbidden, "origin", "a page of another origin asks", "the server answers programs, not pages of the web")
		return false
	}
	if s.o.Token == "" || rt != nil && rt.free {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	given := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(given[:], s.token[:]) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="strata"`)
		refuse(w, http.StatusUnauthorized, "unauthorized", "the token is missing or wrong", `send "Authorization: Bearer TOKEN"`)
		return false
	}
	return true
}

// isUnix tells whether a request came through a Unix socket.
func isUnix(r *http.Request) bool {
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return a != nil && a.Network() == "unix"
}

// loopbackName tells whether a host, perhaps with a port, is a name of the computer itself. No Host at all, as HTTP/1.0 allows, is
// nothing that a browser sends.
func loopbackName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if name == "" || strings.EqualFold(name, "localhost") {
		return host == name || name != ""
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}

// problem is an error about a request as a whole, in the form of an answer.
type problem struct {
	Status   oracle.Status `json:"status"`
	Error    *oracle.Error `json:"error"`
	Problems []fault       `json:"problems,omitempty"`
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, status int, code, message, hint string) {
	of := oracle.Invalid
	switch {
	case status == http.StatusUnsupportedMediaType:
		of = oracle.Unsupported
	case code == "timeout":
		of = oracle.Timeout
	case status >= 500:
		of = oracle.Failed
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	reply(w, status, problem{Status: of, Error: &oracle.Error{Code: code, Message: message, Hint: hint}})
}

// retryAfter is the seconds after which a refused client may try again: a request in work takes milliseconds.
const retryAfter = 1

// reply writes a value as JSON.
func reply(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // every value of this package has JSON
	}
	replyBytes(w, status, "application/json", b.Bytes())
}

func replyBytes(w http.ResponseWriter, status int, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // who is gone does not read it
}

// writer counts what is written, and gives each piece its time.
type writer struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	status   int
	bytes    int64
}

// Unwrap lets http.ResponseController find what is below.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write gives the reader at the other end some time for each piece, not for all of them.
func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.extend()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// whole says that the body was read to its end, or is read by whom the request belongs to: it may take as long as it takes from here on.
func (w *writer) whole() {
	_ = w.control.SetReadDeadline(time.Time{})
	w.Header().Del("Connection")
}

func (w *writer) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.patience)) }

// logged writes the line of a request to the log. Text of the request is cut, and JSON keeps it from forging lines.
func (s *Server) logged(r *http.Request, w *writer, began time.Time, cut bool) {
	if s.o.Log == nil {
		return
	}
	path := r.URL.Path
	if len(path) > 200 {
		path = path[:200]
	}
	line, err := json.Marshal(struct {
		Time    string  `json:"time"`
		Remote  string  `json:"remote"`
		Method  string  `json:"method"`
		Path    string  `json:"path"`
		Status  int     `json:"status"`
		Bytes   int64   `json:"bytes"`
		Seconds float64 `json:"seconds"`
		Cut     bool    `json:"cut,omitempty"` // the answer was broken off
	}{began.UTC().Format("2006-01-02T15:04:05.000Z"), r.RemoteAddr, fmt.Sprintf("%.20s", r.Method), path, w.status, w.bytes, float64(time.Since(began).Microseconds()) / 1e6, cut})
	if err != nil {
		return
	}
	s.log.Lock()
	defer s.log.Unlock()
	_, _ = s.o.Log.Write(append(line, '\n'))
}

//go:embed openapi.json
var openAPI []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request, _ string) {
	replyBytes(w, http.StatusOK, "application/json", openAPI)
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request, _ string) {
	reply(w, http.StatusOK, s.o.Build)
}

// healthy says that the process answers.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request, _ string) {
	reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says that a request would be worked on now.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request, _ string) {
	if s.stopping.Load() || s.waiting.Load() >= int64(s.o.Waiting) {
		busy(w)
		return
	}
	if s.oracle.KeepingErr() != nil { // answers are given all the same; who asks without a token learns no path
		reply(w, http.StatusOK, map[string]string{"status": "ok", "warning": "not every answer is kept; standard error says why"})
		return
	}
	s.healthy(w, nil, "")
}

func busy(w http.ResponseWriter) {
	refuse(w, http.StatusServiceUnavailable, "busy", "too much is in work", "try again later, or put several requests into one batch")
}

// enter waits until the request may be worked on, and says why if it may not. Whoever enters must leave.
func (s *Server) enter(ctx context.Context, w http.ResponseWriter) bool {
	select {
	case s.working <- struct{}{}:
		return true
	default:
	}
	if s.waiting.Add(1) > int64(s.o.Waiting) {
		s.waiting.Add(-1)
		busy(w)
		return false
	}
	defer s.waiting.Add(-1)
	select {
	case s.working <- struct{}{}:
		return true
	case <-ctx.Done():
		tooLong(w)
		return false
	}
}

func (s *Server) leave() { <-s.working }

// turn reads a body of one of the types and waits for the turn of its request, in a context that ends with Options.Timeout. done ends all of it. Where it
// is not ok, that was answered.
func (s *Server) turn(w *writer, r *http.Request, kinds ...string) (ctx context.Context, text []byte, done func(), ok bool) {
	text, release, ok := s.body(w, r, kinds...)
	if !ok {
		return nil, nil, nil, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.Timeout)
	if !s.enter(ctx, w) {
		cancel()
		release()
		return nil, nil, nil, false
	}
	return ctx, text, func() { s.leave(); cancel(); release() }, true
}

func tooLong(w http.ResponseWriter) {
	refuse(w, http.StatusServiceUnavailable, "timeout", "no answer within the time allowed", "a smaller batch or text, or try again later")
}
