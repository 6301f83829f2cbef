package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/experiments/oracle"
	"github.com/stratasim/strata/experiments/oracle/httpapi"
)

// options of a server of a test.
type options struct {
	httpapi.Options
	workers int
	address string
	grace   time.Duration
}

// running is a server that answers until its test ends.
type running struct {
	url, address string
	client       *http.Client
	oracle       *oracle.Oracle
	server       *httpapi.Server
	stop         context.CancelFunc
	ended        chan error
}

func start(tb testing.TB, o options) *running {
	tb.Helper()
	if o.address == "" {
		o.address = "127.0.0.1:0"
	}
	if o.grace == 0 {
		o.grace = 20 * time.Second
	}
	l, err := httpapi.Listen(o.address)
	if err != nil {
		tb.Fatal(err)
	}
	of := oracle.New(oracle.Options{Workers: o.workers})
	var wrong safeBuffer
	o.Errors = &wrong
	ctx, stop := context.WithCancel(context.Background())
	s := &running{address: l.Addr().String(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, oracle: of, stop: stop, ended: make(chan error, 1)}
	s.url = "http://" + s.address
	s.server = httpapi.New(of, o.Options)
	go func() { s.ended <- s.server.Serve(ctx, l, o.grace) }()
	tb.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		select {
		case <-s.ended:
		case <-time.After(30 * time.Second):
			tb.Error("the server does not end")
		}
		if text := wrong.String(); strings.Contains(text, "panic") {
			tb.Error(text)
		}
	})
	return s
}

// exchange is a request and what becomes of it.
type exchange struct {
	name, method, path string
	kind, body         string // of the request
	header             [][2]string
	status             int
	code               string // of the error
	want               string // part of the answer
	itemsFail          bool   // answered, though it is not a right request
}

func (x *exchange) request(tb testing.TB, s *running) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), x.method, s.url+x.path, strings.NewReader(x.body))
	if err != nil {
		tb.Fatal(err)
	}
	if x.kind != "" {
		r.Header.Set("Content-Type", x.kind)
	}
	for _, h := range x.header {
		if r.Header.Set(h[0], h[1]); h[0] == "Host" {
			r.Host = h[1]
		}
	}
	return r
}

func (s *running) do(tb testing.TB, x exchange) (int, http.Header, string) {
	tb.Helper()
	a, err := s.client.Do(x.request(tb, s))
	if err != nil {
		tb.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return a.StatusCode, a.Header, string(text)
}

func (s *running) get(tb testing.TB, path string) (int, string) {
	tb.Helper()
	status, _, text := s.do(tb, exchange{method: "GET", path: path})
	return status, text
}

func (s *running) post(tb testing.TB, path, body string) (int, string) {
	tb.Helper()
	status, _, text := s.do(tb, exchange{method: "POST", path: path, kind: "application/json", body: body})
	return status, text
}

const (
	small   = `{"id":"a","arch":"a100-sxm-80gb","op":{"kind":"gelu","rows":64,"cols":64}}`
	jsonish = "application/json"
	// tiny is the config.json of a small model.
	tiny = `{"model_type":"llama","hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":2,"num_attention_heads":8,"vocab_size":32000,"max_position_embeddings":2048}`
	// unknownID is well formed and was never posted.
	unknownID = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

// exchanges is the table of endpoints: requests that are right, and those that are wrong in one way each.
func exchanges(tb testing.TB) []exchange {
	tb.Helper()
	machine, err := presets.Source("tpu-v4")
	if err != nil {
		tb.Fatal(err)
	}
	estimate := func(name, body string, status int, code, want string) exchange {
		return exchange{name: name, method: "POST", path: "/v1/estimate", kind: jsonish, body: body, status: status, code: code, want: want, itemsFail: code != ""}
	}
	raw := func(name, body string) exchange { return estimate(name, body, 200, "", `"status":"invalid"`) }
	var wrong []exchange
	for name, body := range map[string]string{"an empty object": `{}`, "a number": `7`, "a string": `"a"`, "null": `null`, "an empty object in a batch": `[{}]`,
		"unknown member": `{"arhc":"tpu-v4"}`, "duplicate": `{"id":1,"id":2}`, "too deep": strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"deep inside": `{"arch":` + strings.Repeat(`{"base":`, 100) + `1` + strings.Repeat(`}`, 101), "huge number": `{"arch":"tpu-v4","op":{"kind":"gelu","rows":1e999,"cols":1}}`,
		"wrong types": `{"arch":["tpu-v4"],"op":"gelu"}`, "id of an object": `{"id":{}}`, "NUL in a name": `{"arch":"tpu-v4\u0000.yaml","op":{"kind":"gelu","rows":1,"cols":1}}`,
		"traversal": `{"arch":"../../presets/tpu-v4","op":{"kind":"gelu","rows":1,"cols":1}}`, "absolute path": `{"arch":"/etc/passwd","op":{"kind":"gelu","rows":1,"cols":1}}`,
		"file of a model": `{"arch":"tpu-v4","model":"./config.json"}`, "a base that is a file": `{"arch":{"base":"machine.yaml"},"op":{"kind":"gelu","rows":1,"cols":1}}`,
		"a draft that is a file": `{"arch":"tpu-v4","model":"llama2-7b","phase":"decode","draft":"../config.json","draft_tokens":2,"acceptance":0.5}`} {
		x := raw(name, body)
		x.itemsFail = true
		wrong = append(wrong, x)
	}
	return append(wrong, []exchange{
		estimate("one", small, 200, "", `{"id":"a","status":"ok","seconds":`),
		estimate("a batch", "["+small+","+small+"]", 200, "", `},{"id":"a","status":"ok"`),
		estimate("an empty batch", "[]", 200, "", "[]"),
		estimate("a model in place", `{"arch":"a100-sxm-80gb","model":`+tiny+`,"phase":"decode"}`, 200, "", `"status":"ok"`),
		estimate("does not fit", `{"arch":"a100-sxm-80gb","model":"llama2-70b"}`, 200, "", `"does-not-fit"`),
		estimate("all fail", `[{},7,{"arch":"x"}]`, 200, "missing", `"status":"invalid"`),
		estimate("unknown id of a machine", `{"arch":"`+unknownID+`","op":{"kind":"gelu","rows":1,"cols":1}}`, 200, "unknown-arch", "post the machine again"),
		estimate("unknown id of a model", `{"arch":"tpu-v4","model":"`+unknownID+`"}`, 200, "unknown-model", "post the model again"),
		estimate("charset", small, 200, "", "ok"),
		estimate("nothing", "", 400, "syntax", ""),
		estimate("cut", small[:len(small)-9], 400, "syntax", ""),
		estimate("two values", small+small, 400, "syntax", "something follows"),
		estimate("NaN", `{"arch":"tpu-v4","op":{"kind":"gelu","rows":NaN,"cols":1}}`, 400, "syntax", ""),
		estimate("Infinity", `{"arch":"tpu-v4","limits":{"seconds":-Infinity}}`, 400, "syntax", ""),
		estimate("not UTF-8", "{\"arch\":\"\xff\"}", 400, "syntax", "UTF-8"),
		estimate("a mark", "\ufeff"+small, 400, "syntax", ""),
		estimate("too many", "["+strings.Repeat("0,", oracle.MaxBatch)+"0]", 413, "too-large", "65537 requests"),
		estimate("too long", `{"id":"`+strings.Repeat("x", oracle.MaxLine)+`"}`, 413, "too-large", "more than 1048576 bytes"),
		{name: "compressed", method: "POST", path: "/v1/estimate", kind: jsonish, body: "\x1f\x8b", header: [][2]string{{"Content-Encoding", "gzip"}}, status: 415, code: "encoding"},
		{name: "a form", method: "POST", path: "/v1/estimate", kind: "application/x-www-form-urlencoded", body: "a=b", status: 415, code: "media-type"},
		{name: "plain text", method: "POST", path: "/v1/estimate", kind: "text/plain", body: small, status: 415, code: "media-type"},
		{name: "no type", method: "POST", path: "/v1/estimate", body: small, status: 415, code: "media-type"},
		{name: "Latin 1", method: "POST", path: "/v1/estimate", kind: "application/json; charset=latin1", body: small, status: 415, code: "media-type"},
		{name: "UTF-8", method: "POST", path: "/v1/estimate", kind: "application/json; charset=utf-8", body: small, status: 200},
		{name: "lines", method: "POST", path: "/v1/estimate", kind: "application/x-ndjson", body: small + "\n\n" + small + "\n{\n", status: 200, want: "\n{\"status\":\"invalid\",\"error\":{\"code\":\"syntax\""},
		{name: "GET an estimate", method: "GET", path: "/v1/estimate", status: 405, code: "method"},
		{name: "PUT", method: "PUT", path: "/v1/archs", kind: jsonish, body: "{}", status: 405, code: "method"},
		{name: "HEAD", method: "HEAD", path: "/healthz", status: 200},
		{name: "preflight", method: "OPTIONS", path: "/v1/estimate", header: [][2]string{{"Origin", "https://example.org"}}, status: 403, code: "origin"},
		{name: "a page of the web", method: "POST", path: "/v1/estimate", kind: jsonish, body: small, header: [][2]string{{"Origin", "https://example.org"}}, status: 403, code: "origin"},
		{name: "a page without origin", method: "POST", path: "/v1/estimate", kind: jsonish, body: small, header: [][2]string{{"Origin", "null"}}, status: 403, code: "origin"},
		{name: "an image", method: "GET", path: "/v1/archs", header: [][2]string{{"Sec-Fetch-Site", "cross-site"}}, status: 403, code: "origin"},
		{name: "a name that leads here", method: "GET", path: "/v1/archs", header: [][2]string{{"Host", "evil.example.org"}}, status: 403, code: "host"},
		{name: "a name that looks like it", method: "GET", path: "/v1/archs", header: [][2]string{{"Host", "localhost.example.org:8741"}}, status: 403, code: "host"},
		{name: "an address elsewhere", method: "GET", path: "/healthz", header: [][2]string{{"Host", "192.0.2.1"}}, status: 403, code: "host"},
		{name: "localhost", method: "GET", path: "/healthz", header: [][2]string{{"Host", "localhost:8741"}}, status: 200},
		{name: "IPv6", method: "GET", path: "/healthz", header: [][2]string{{"Host", "[::1]:8741"}}, status: 200},
		{name: "archs", method: "GET", path: "/v1/archs", status: 200, want: `"name":"a100-sxm-80gb","chips":8,`},
		{name: "an arch", method: "GET", path: "/v1/archs/tpu-v4", status: 200, want: `{"name":"tpu-v4","description":`},
		{name: "no arch", method: "GET", path: "/v1/archs/tpu-v44", status: 404, code: "unknown-arch", want: "did you mean"},
		{name: "an arch that is a file", method: "GET", path: "/v1/archs/../archs/tpu-v4", status: 404},
		{name: "an arch by an escaped path", method: "GET", path: "/v1/archs/..%2f..%2fpresets%2ftpu-v4", status: 404, code: "unknown-arch"},
		{name: "NUL in a path", method: "GET", path: "/v1/archs/tpu-v4%00", status: 404, code: "unknown-arch"},
		{name: "not UTF-8 in a path", method: "GET", path: "/v1/archs/%ff%fe", status: 404, code: "unknown-arch"},
		{name: "models", method: "GET", path: "/v1/models", status: 200, want: `"name":"llama2-7b","parameters":6738415616,`},
		{name: "a model", method: "GET", path: "/v1/models/llama2-7b", status: 200, want: `"layers":32,`},
		{name: "no model", method: "GET", path: "/v1/models/" + unknownID, status: 404, code: "unknown-model", want: "post the model again"},
		{name: "post an arch", method: "POST", path: "/v1/archs", kind: "application/yaml", body: string(machine), status: 200, want: `"figures":{"name":"tpu-v4",`},
		{name: "post an overlay", method: "POST", path: "/v1/archs", kind: jsonish, body: `{"base":"tpu-v4","name":"mine","set":{"chip.clock":"1 GHz"}}`, status: 200, want: `"figures":{"name":"mine",`},
		{name: "post a wrong arch", method: "POST", path: "/v1/archs", kind: "application/yaml", body: "name: x\nchip:\n  clock: 1\n  cores: {count: 0}\n", status: 422, code: "value", want: `{"line":3,"path":"chip.clock",`},
		{name: "post no YAML", method: "POST", path: "/v1/archs", kind: "application/yaml", body: "a: [", status: 422, code: "value"},
		{name: "post a bomb", method: "POST", path: "/v1/archs", kind: "application/yaml", body: "a: &a [x]\nb: [*a, *a]\n", status: 422, code: "value", want: "anchors"},
		{name: "post a base that is a file", method: "POST", path: "/v1/archs", kind: "application/yaml", body: "base: ../../docs/examples/machine.yaml\n", status: 422, code: "value", want: "unknown machine"},
		{name: "post a model", method: "POST", path: "/v1/models", kind: jsonish, body: tiny, status: 200, want: `"figures":{"name":`},
		{name: "post a wrong model", method: "POST", path: "/v1/models", kind: jsonish, body: `{"model_type":"llama","hidden_size":-1}`, status: 422, code: "value", want: `"problems":[{"line":1,"path":"hidden_size"`},
		{name: "post a model that is not described", method: "POST", path: "/v1/models", kind: jsonish, body: `{"model_type":"mamba"}`, status: 422, want: `"problems":[`},
		{name: "post half a model", method: "POST", path: "/v1/models", kind: jsonish, body: `{"model_type":`, status: 422, code: "value"},
		{name: "spaces", method: "GET", path: "/v1/spaces", status: 200, want: `"name":"llama-like","hash":"sha256:`},
		{name: "a space", method: "GET", path: "/v1/spaces/llama-like", status: 200, want: `{"name":"num_hidden_layers","type":"int",`},
		{name: "no space", method: "GET", path: "/v1/spaces/lama-like", status: 404, code: "unknown-space", want: "did you mean"},
		{name: "a space that is forgotten", method: "GET", path: "/v1/spaces/" + unknownID, status: 404, code: "unknown-space", want: "send the space again"},
		{name: "a space by an escaped path", method: "GET", path: "/v1/spaces/..%2fspaces%2fllama-like", status: 404, code: "unknown-space"},
		{name: "post a space", method: "POST", path: "/v1/spaces", kind: "application/yaml", body: smallSpace, status: 200, want: `{"name":"mine","hash":"sha256:`},
		{name: "post a space in JSON", method: "POST", path: "/v1/spaces", kind: jsonish, body: `{"name":"mine","arch":"tpu-v4","model":"llama2-7b","axes":[{"path":"batch","values":[1,2]}]}`, status: 200, want: `"points":2,`},
		{name: "post a wrong space", method: "POST", path: "/v1/spaces", kind: "application/yaml", body: "name: mine\narch: tpu-v44\nmodel: llama2-7b\naxes:\n  - {path: batsh, values: [1]}\n", status: 422, code: "value", want: `"problems":[{"line":2,"path":"arch",`},
		{name: "post a space of a file", method: "POST", path: "/v1/spaces", kind: "application/yaml", body: "name: mine\narch: ../../docs/examples/machine.yaml\nmodel: llama2-7b\naxes:\n  - {path: batch, values: [1]}\n", status: 422, code: "value", want: "unknown machine"},
		{name: "a point", method: "POST", path: "/v1/estimate", kind: jsonish, body: `{"space":"llama-like","point":{"num_hidden_layers":8,"num_attention_heads":8,"head_dim":64,"kv_groups":1,"ffn_ratio":2}}`, status: 200, want: `"status":"ok"`},
		{name: "a machine that is a file", method: "POST", path: "/v1/estimate", kind: jsonish, body: `{"arch":"mine.yaml","model":"llama2-7b"}`, status: 200, want: "files are not read here"},
		{name: "version", method: "GET", path: "/v1/version", status: 200, want: `"protocol":`},
		{name: "health", method: "GET", path: "/healthz", status: 200, want: `{"status":"ok"}`},
		{name: "ready", method: "GET", path: "/readyz", status: 200, want: `{"status":"ok"}`},
		{name: "metrics", method: "GET", path: "/metrics", status: 200, want: "strata_cache_found_total "},
		{name: "openapi", method: "GET", path: "/openapi.json", status: 200, want: `"openapi": "3.0.3"`},
		{name: "nothing there", method: "GET", path: "/v2/estimate", status: 404, code: "not-found"},
		{name: "nearly", method: "POST", path: "/v1/estimate/", kind: jsonish, body: small, status: 404, code: "not-found"},
		{name: "twice a slash", method: "POST", path: "//v1/estimate", kind: jsonish, body: small, status: 404, code: "not-found"},
		{name: "a folder", method: "GET", path: "/v1/archs/", status: 404, code: "not-found"},
	}...)
}

// smallSpace is a search space.
const smallSpace = `name: mine
arch: tpu-v4
model: llama2-7b
workload: {phase: decode}
axes:
  - {path: batch, log: {from: 1, to: 8, factor: 2}}
  - {path: model.num_hidden_layers, values: [8, 16]}
constraints: ["seconds < 0.01"]
`

// TestExchanges holds the table: status, error and type of every answer.
func TestExchanges(t *testing.T) {
	s := start(t, options{})
	for _, x := range exchanges(t) {
		t.Run(x.name, func(t *testing.T) {
			status, header, body := s.do(t, x)
			if status != x.status || !strings.Contains(body, x.want) {
				t.Fatalf("%d, want %d with %q: %.600s", status, x.status, x.want, body)
			}
			if status == http.StatusMethodNotAllowed && header.Get("Allow") == "" {
				t.Error("no Allow")
			}
			switch kind := header.Get("Content-Type"); {
			case x.path == "/metrics":
				if !strings.HasPrefix(kind, "text/plain") {
					t.Error(kind)
				}
			case x.kind == "application/x-ndjson" && status == 200:
				if kind != x.kind {
					t.Error(kind)
				}
			case kind != "application/json":
				t.Error(kind)
			}
			if status == 200 && !x.itemsFail || x.code == "" || x.method == "HEAD" {
				return
			}
			var p struct {
				Status string
				Error  *oracle.Error
			}
			if body[0] == '[' {
				body = strings.TrimSuffix(body[1:], "]\n")
				if err := json.NewDecoder(strings.NewReader(body)).Decode(&p); err != nil {
					t.Fatal(err)
				}
			} else if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatal(err)
			}
			if p.Status == "" || p.Error == nil || p.Error.Code != x.code || p.Error.Message == "" {
				t.Errorf("%s: want code %s", body, x.code)
			}
		})
	}
}

// TestSameBytes: what strata estimate prints for a line is what the line is answered over HTTP, alone, in a stream and from any number of clients.
func TestSameBytes(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := oracle.New(oracle.Options{Files: true}).Serve(t.Context(), bytes.NewReader(data), &printed); err != nil {
		t.Fatal(err)
	}
	want := strings.SplitAfter(printed.String(), "\n")
	s := start(t, options{workers: 3})
	_, _, stream := s.do(t, exchange{method: "POST", path: "/v1/estimate", kind: "application/x-ndjson", body: string(data)})
	if stream != printed.String() {
		t.Error("the stream differs")
	}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if _, got := s.post(t, "/v1/estimate", line); got != want[i] {
			t.Errorf("%s\n%s, want\n%s", line, got, want[i])
		}
	}
}

// TestPosted: a machine that is shown can be posted; requests name what was posted by its id and get what they would get of the
// machine and the model in place.
func TestPosted(t *testing.T) {
	s := start(t, options{})
	_, machine := s.get(t, "/v1/archs/h100-sxm")
	var posted [2]struct{ ID string }
	for i, p := range [][2]string{{"/v1/archs", machine}, {"/v1/models", tiny}} {
		status, text := s.post(t, p[0], p[1])
		if err := json.Unmarshal([]byte(text), &posted[i]); status != 200 || err != nil || !strings.HasPrefix(posted[i].ID, "sha256:") {
			t.Fatal(status, text, err)
		}
	}
	_, got := s.post(t, "/v1/estimate", fmt.Sprintf(`{"arch":%q,"model":%q,"phase":"decode"}`, posted[0].ID, posted[1].ID))
	_, want := s.post(t, "/v1/estimate", fmt.Sprintf(`{"arch":"h100-sxm","model":%s,"phase":"decode"}`, tiny))
	if got != want || !strings.Contains(want, `"status":"ok"`) {
		t.Errorf("%s, want\n%s", got, want)
	}
	if _, again := s.get(t, "/v1/archs/"+posted[0].ID); again != machine {
		t.Error("shown again, the machine differs")
	}
	if status, text := s.get(t, "/v1/models/"+posted[1].ID); status != 200 || !strings.Contains(text, `"hidden":1024`) {
		t.Error(status, text)
	}
	// Another server does not know them.
	if _, text := start(t, options{}).post(t, "/v1/estimate", fmt.Sprintf(`{"arch":%q,"model":"llama2-7b"}`, posted[0].ID)); !strings.Contains(text, "unknown-arch") {
		t.Error(text)
	}
}

// TestEveryPresetIsPosted: each machine, shown as JSON, is one again.
func TestEveryPresetIsPosted(t *testing.T) {
	s := start(t, options{})
	names := presets.Names()
	for _, name := range []string{names[0], names[len(names)/2], names[len(names)-1], "dgx-h100-superpod", "sn40l"} {
		status, text := s.get(t, "/v1/archs/"+name)
		if status != 200 {
			t.Fatal(name, text)
		}
		if status, text := s.post(t, "/v1/archs", text); status != 200 {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestToken(t *testing.T) {
	const token = "0123456789abcdefghij"
	s := start(t, options{Options: httpapi.Options{Token: token}})
	for _, tt := range []struct {
		authorization, path string
		status              int
	}{
		{"Bearer " + token, "/v1/version", 200}, {"bearer " + token, "/v1/version", 200}, {"Bearer  " + token, "/v1/version", 200},
		{"", "/v1/version", 401}, {"Bearer", "/v1/version", 401}, {"Bearer ", "/v1/version", 401}, {token, "/v1/version", 401}, {"Basic " + token, "/v1/version", 401},
		{"Bearer " + token + "x", "/v1/version", 401}, {"Bearer " + token[1:], "/v1/version", 401}, {"", "/metrics", 401}, {"", "/nothing", 401},
		{"", "/healthz", 200}, {"", "/readyz", 200},
	} {
		x := exchange{method: "GET", path: tt.path, header: [][2]string{{"Host", "oracle.example.org"}}}
		if tt.authorization != "" {
			x.header = append(x.header, [2]string{"Authorization", tt.authorization})
		}
		status, header, body := s.do(t, x)
		if status != tt.status || (status == 401) != (header.Get("WWW-Authenticate") != "") || strings.Contains(body, token) {
			t.Errorf("%q %s: %d %v %s", tt.authorization, tt.path, status, header, body)
		}
	}
}

// TestLog: a line a request, which no request can forge, and in which no token stands.
func TestLog(t *testing.T) {
	var log safeBuffer
	const token = "0123456789abcdefghij"
	s := start(t, options{Options: httpapi.Options{Token: token, Log: &log}})
	header := [][2]string{{"Authorization", "Bearer " + token}}
	s.do(t, exchange{method: "POST", path: "/v1/estimate", kind: jsonish, body: small, header: header})
	s.do(t, exchange{method: "GET", path: "/a%0a%7b%22status%22:200%7d" + strings.Repeat("x", 1000), header: header})
	s.do(t, exchange{method: "GET", path: "/v1/archs", header: [][2]string{{"Authorization", "Bearer wrong-" + token}}})
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || strings.Contains(log.String(), token) {
		t.Fatalf("%d lines: %s", len(lines), log.String())
	}
	for i, status := range []int{200, 404, 401} {
		var l struct {
			Status int
			Path   string
			Bytes  int64
		}
		if err := json.Unmarshal([]byte(lines[i]), &l); err != nil || l.Status != status || len(l.Path) > 200 || l.Bytes == 0 {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
}

// safeBuffer is a buffer for many goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestMetrics: requests and answers are counted where they belong, and no name of a request becomes a label.
func TestMetrics(t *testing.T) {
	s := start(t, options{})
	s.post(t, "/v1/estimate", "["+small+","+small+",{}]")
	s.post(t, "/v1/estimate", "{")
	s.get(t, "/v1/archs/no-such-arch")
	s.get(t, "/no/such/path")
	_, text := s.get(t, "/metrics")
	for _, want := range []string{`strata_http_requests_total{code="200",endpoint="/v1/estimate"} 1`, `strata_http_requests_total{code="400",endpoint="/v1/estimate"} 1`,
		`strata_http_requests_total{code="404",endpoint="/v1/archs/"} 1`, `strata_http_requests_total{code="404",endpoint="other"} 1`,
		`strata_answers_total{status="ok"} 2`, `strata_answers_total{status="invalid"} 2`, `strata_http_in_flight 1`, `strata_http_body_bytes 0`,
		`strata_http_request_seconds_count{endpoint="/v1/estimate"} 2`, "strata_cache_entries 1", "go_goroutines ", `strata_build_info{`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "no-such") || strings.Contains(text, "no/such") {
		t.Error("a name became a label")
	}
}

// TestUnix: a socket is its owner's alone, is replaced when its server is gone and not while it is there, and goes away in the end.
func TestUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	s := start(t, options{address: httpapi.UnixPrefix + path})
	s.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	s.url = "http://anything"
	if status, text := s.post(t, "/v1/estimate", small); status != 200 || !strings.Contains(text, `"ok"`) {
		t.Error(status, text)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if _, err := httpapi.Listen(httpapi.UnixPrefix + path); err == nil || !strings.Contains(err.Error(), "a server listens") {
		t.Error(err)
	}
	s.client.CloseIdleConnections()
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	s.ended <- nil
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	// One that was left behind.
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	again, err := httpapi.Listen(httpapi.UnixPrefix + path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	// Names that are in no folder, to which everybody on the computer may connect, and what is no name.
	for _, name := range []string{"", "@strata-test", strings.Repeat("s", 108)} {
		if l, err := httpapi.Listen(httpapi.UnixPrefix + name); err == nil {
			l.Close()
			t.Errorf("%q is a socket", name)
		}
	}
	// A file is not replaced.
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := httpapi.Listen(httpapi.UnixPrefix + file); err == nil {
		t.Error("a file was replaced")
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "mine" {
		t.Error(text, err)
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "unix:x": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:1": false, ":1": false, "[::]:1": false, "192.0.2.1:1": false, "example.org:1": false, "localhost.example.org:1": false, "": false, "127.0.0.1": false} {
		if got := httpapi.Loopback(address); got != want {
			t.Errorf("%q: %t", address, got)
		}
	}
}
