package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// page is what GET /openapi.json answers, read by a library that knows the rules of OpenAPI.
func page(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	status, text := start(t, options{}).get(t, "/openapi.json")
	if status != http.StatusOK {
		t.Fatal(status)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

// TestOpenAPI: the page is OpenAPI, and what clients send and get is what it says: every request, status, type and body of the table
// of endpoints, and every estimate of the oracle's tests.
func TestOpenAPI(t *testing.T) {
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", openapi3filter.PlainBodyDecoder)
	doc, router := page(t)
	s := start(t, options{})
	check := func(t *testing.T, x exchange) {
		t.Helper()
		if x.method == "HEAD" {
			return // GET without its body
		}
		r := x.request(t, s)
		route, names, err := router.FindRoute(r)
		if err != nil {
			if x.status != http.StatusNotFound && x.status != http.StatusMethodNotAllowed && x.method != "OPTIONS" {
				t.Fatalf("%s %s: %v", x.method, x.path, err)
			}
			return
		}
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: names, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true}}
		if x.status == http.StatusOK && !x.itemsFail {
			if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
				t.Errorf("%s %s: a request that is answered: %v", x.method, x.path, err)
			}
		}
		status, header, body := s.do(t, x)
		if status == http.StatusNotFound && x.code == "not-found" {
			return // a path that the router takes for another
		}
		if status != x.status {
			t.Errorf("%s %s: %d, want %d: %.300s", x.method, x.path, status, x.status, body)
		}
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Options: &openapi3filter.Options{IncludeResponseStatus: true}}
		if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
			t.Errorf("%s %s: %d: %v\n%.500s", x.method, x.path, status, err, body)
		}
	}
	for _, x := range exchanges(t) {
		t.Run(x.name, func(t *testing.T) { check(t, x) })
	}
	data, err := os.ReadFile(filepath.Join("..", "testdata", "requests.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	members := doc.Components.Schemas["Request"].Value.Properties
	for line := range bytes.Lines(data) {
		line := bytes.TrimSpace(line)
		status := http.StatusOK
		if !json.Valid(line) {
			status = http.StatusBadRequest
		}
		var one map[string]any
		if json.Unmarshal(line, &one) == nil {
			for name := range one {
				if members[name] == nil {
					t.Errorf("openapi.json does not know the member %q of requests", name)
				}
			}
		}
		check(t, exchange{method: "POST", path: "/v1/estimate", kind: "application/json", body: string(line), status: status})
	}
}

// TestOpenAPIHasEveryEndpoint: no path or method is answered that the page does not have.
func TestOpenAPIHasEveryEndpoint(t *testing.T) {
	doc, _ := page(t)
	s := start(t, options{})
	for _, path := range doc.Paths.InMatchingOrder() {
		item := doc.Paths.Find(path)
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			has := item.GetOperation(method) != nil
			status, _, _ := s.do(t, exchange{method: method, path: strings.ReplaceAll(path, "{name}", "llama2-7b")})
			if got := status != http.StatusMethodNotAllowed; got != has {
				t.Errorf("%s %s: the page has it: %t, the server: %t (%d)", method, path, has, got, status)
			}
		}
	}
}
