package oracle_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/experiments/oracle"
)

// serve answers a text with so many workers.
func serve(tb testing.TB, workers int, text string) string {
	tb.Helper()
	var out bytes.Buffer
	if err := oracle.New(oracle.Options{Workers: workers}).Serve(context.Background(), strings.NewReader(text), &out); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// answersOf splits what Serve wrote into its lines.
func answersOf(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func TestServeReadsLines(t *testing.T) {
	one := onA100(`"kind":"add","rows":1,"cols":1`)
	want := serve(t, 1, one)
	for name, text := range map[string]string{
		"plain":             one + "\n",
		"no end":            one,
		"carriage return":   one + "\r\n",
		"byte order mark":   "\ufeff" + one + "\n",
		"blank lines":       "\n  \n\t\r\n" + one + "\n\n\n",
		"space around":      "  " + one + " \t",
		"mark before blank": "\ufeff\n" + one,
	} {
		if got := serve(t, 2, text); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := serve(t, 2, ""); got != "" {
		t.Errorf("nothing: %q", got)
	}
	if got := decode(t, serve(t, 1, "\n\ufeff{}")); got.Error == nil || got.Error.Code != "syntax" {
		t.Errorf("a mark further down: %v", got.Error)
	}
}

// endless is a line of so many bytes, made as it is read.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range n {
		p[i] = 'x'
	}
	e.left -= int64(n)
	return n, nil
}

// TestServeLongLine: a line of 100 MB is answered without being kept, and the next line is too.
func TestServeLongLine(t *testing.T) {
	one := onA100(`"kind":"add","rows":1,"cols":1`)
	in := io.MultiReader(strings.NewReader(one+"\n"), &endless{100 << 20}, strings.NewReader("\n"+one+"\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var out bytes.Buffer
	if err := oracle.New(oracle.Options{}).Serve(t.Context(), in, &out); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	got := answersOf(out.String())
	if len(got) != 3 || got[0] != got[2] {
		t.Fatalf("%d answers: %.500s", len(got), out.String())
	}
	if r := decode(t, got[1]); r.Error == nil || r.Error.Code != "too-large" {
		t.Errorf("%s", got[1])
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 20<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

func TestServeLimitOfLines(t *testing.T) {
	fits := `{"id":"` + strings.Repeat("x", oracle.MaxLine-9) + `"}`
	if len(fits) != oracle.MaxLine {
		t.Fatal(len(fits))
	}
	for text, code := range map[string]string{
		fits + "\r\n": "missing",
		fits:          "missing",
		fits + " ":    "missing",
		`{"id":"` + strings.Repeat("x", oracle.MaxLine-8) + `"}`: "too-large",
	} {
		if r := decode(t, serve(t, 1, text)); r.Error == nil || r.Error.Code != code {
			t.Errorf("%d bytes: %+v, want %s", len(text), r.Error, code)
		}
	}
}

// TestServeConverses: each answer arrives before the next request is written.
func TestServeConverses(t *testing.T) {
	requests, in := io.Pipe()
	out, answers := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := oracle.New(oracle.Options{Workers: 3}).Serve(context.Background(), requests, answers)
		answers.Close()
		done <- err
	}()
	read := bufio.NewScanner(out)
	for i := range 5 {
		fmt.Fprintf(in, `{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"add","rows":%d,"cols":1}}`+"\n", i, i+1)
		if !read.Scan() {
			t.Fatal(read.Err())
		}
		if r := decode(t, read.Text()); r.ID != float64(i) || r.Status != "ok" {
			t.Fatalf("%s", read.Text())
		}
	}
	in.Close()
	if err := <-done; err != nil || read.Scan() {
		t.Errorf("%v, %q", err, read.Text())
	}
}

// TestServeStops: a cancelled context ends Serve at once, though its input is still open, with what was
// finished written.
func TestServeStops(t *testing.T) {
	requests, in := io.Pipe()
	defer in.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- oracle.New(oracle.Options{}).Serve(ctx, requests, &out) }()
	fmt.Fprintln(in, onA100(`"kind":"add","rows":1,"cols":1`))
	fmt.Fprintln(in, onA100(`"kind":"add","rows":2,"cols":1`))
	time.Sleep(100 * time.Millisecond) // both are answered by now, or the test shows less
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop")
	}
	if text := out.String(); text != "" {
		if !strings.HasSuffix(text, "}\n") {
			t.Errorf("half an answer: %q", text)
		}
		for _, line := range answersOf(text) {
			decode(t, line)
		}
	}
}

// TestServeStopsInTheMiddle cancels while a simulation runs: it has no answer, and none follows it.
func TestServeStopsInTheMiddle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := oracle.New(oracle.Options{}).Serve(ctx, strings.NewReader(onA100(`"kind":"add","rows":1,"cols":1`)+"\n"), &out)
	if !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
	if a, err := oracle.New(oracle.Options{}).Answer(ctx, []byte(`[`+onA100(`"kind":"add","rows":1,"cols":1`)+`]`)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %q", err, a)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestServeFailures(t *testing.T) {
	one := onA100(`"kind":"add","rows":1,"cols":1`)
	o := oracle.New(oracle.Options{})
	if err := o.Serve(t.Context(), strings.NewReader(strings.Repeat(one+"\n", 1000)), brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("broken output: %v", err)
	}
	var out bytes.Buffer
	in := io.MultiReader(strings.NewReader(one+"\n"), iotest.ErrReader(io.ErrNoProgress))
	if err := o.Serve(t.Context(), in, &out); !errors.Is(err, io.ErrNoProgress) || len(answersOf(out.String())) != 1 {
		t.Errorf("broken input: %v, %q", err, out.String())
	}
}

func TestBatch(t *testing.T) {
	o := oracle.New(oracle.Options{Workers: 3})
	if got := answer(t, o, `[]`); got != `[]` {
		t.Errorf("%s", got)
	}
	if r := ask(t, o, `[`+strings.Repeat("1,", oracle.MaxBatch)+`1]`); r.Error == nil || r.Error.Code != "too-large" {
		t.Errorf("%+v", r)
	}
	if got := answer(t, o, `[[],1]`); strings.Count(got, `"code":"type"`) != 2 {
		t.Errorf("%s", got)
	}
}

// drawLine draws a request, right or wrong, from few enough that many are asked twice.
func drawLine(t *rapid.T) string {
	id := rapid.IntRange(0, 99).Draw(t, "id")
	n := rapid.SampledFrom([]int{0, 1, 7, 64, 4096}).Draw(t, "n")
	return fmt.Sprintf(rapid.SampledFrom([]string{
		`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"gemm","m":%d,"n":512,"k":256}}`,
		`{"id":%d,"arch":"tpu-v4","op":{"kind":"rmsnorm","rows":%d,"cols":256}}`,
		`{"id":%d,"arch":"a100-sxm-80gb","fidelity":"event","op":{"kind":"attention","heads":8,"head_dim":64,"q_len":1,"past_len":%d}}`,
		`{"id":%d,"arch":{"base":"a100-sxm-80gb","set":{"chip.cores.count":"%d"}},"op":{"kind":"add","rows":64,"cols":256},"limits":{"joules":1}}`,
		`{"id":%d,"arch":"a100-sxm-80gb","model":"gpt2-small","phase":"decode","batch":%d}`,
		`{"id":%d,"arch":"a100-sxm-80gb","model":"gpt2-small","phase":"decode","batch":%d,"parallel":{"tp":5}}`,
		`{"id":%d,"arch":"a100-sxm-80gb","op":{"kind":"all-reduce","bytes":65536,"ranks":%d}}`,
		`{"id":%d,"arch":"h100","n":%d`,
	}).Draw(t, "request"), id, n)
}

// TestAnswersAreTheSame: however requests are put (one by one, as lines, as a batch, with any number of
// workers and processors, for the first or the second time) the answers are the same bytes in the same order.
func TestAnswersAreTheSame(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(drawLine), 1, 12).Draw(t, "lines")
		var want []string
		for _, line := range lines {
			a, err := oracle.New(oracle.Options{}).Answer(context.Background(), []byte(line))
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(a))
		}
		runtime.GOMAXPROCS(rapid.IntRange(1, 8).Draw(t, "processors"))
		o := oracle.New(oracle.Options{Workers: rapid.IntRange(0, 8).Draw(t, "workers"), CacheBytes: rapid.SampledFrom([]int64{0, 1}).Draw(t, "cache")})
		for range 2 {
			var out bytes.Buffer
			if err := o.Serve(context.Background(), strings.NewReader(strings.Join(lines, "\n")), &out); err != nil {
				t.Fatal(err)
			}
			got := answersOf(out.String())
			if len(got) != len(want) {
				t.Fatalf("%d answers, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("line %d: %s\n got %s\nwant %s", i+1, lines[i], got[i], want[i])
				}
			}
		}
		var good, wantGood []string
		for i, line := range lines {
			if json.Valid([]byte(line)) {
				good, wantGood = append(good, line), append(wantGood, want[i])
			}
		}
		batch, err := o.Answer(context.Background(), []byte("["+strings.Join(good, ",")+"]"))
		if err != nil {
			t.Fatal(err)
		}
		if want := "[" + strings.Join(wantGood, ",") + "]"; string(batch) != want {
			t.Fatalf("batch\n got %s\nwant %s", batch, want)
		}
	})
}
