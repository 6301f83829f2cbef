package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/eval"
)

func read(t testing.TB, text string) *Workload {
	t.Helper()
	w, err := Read("w.yaml", []byte(text), func(string) ([]byte, error) { return []byte("prompt,generate,weight\n10,2,3\n20,4,1\n"), nil })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestDistributions: mean and quantiles of many draws are those that were asked for.
func TestDistributions(t *testing.T) {
	const n = 20000
	for _, tt := range []struct {
		prompt              string
		mean, p50, p95, tol float64 // 0: not asked for
	}{
		{"{fixed: 512}", 512, 512, 512, 0},
		{"{uniform: {min: 100, max: 300}}", 200, 200, 290, 0.01},
		{"{normal: {mean: 1000, sigma: 100}}", 1000, 1000, 1164.5, 0.01},
		{"{normal: {mean: 1000, p95: 1200}}", 1000, 1000, 1200, 0.01},
		{"{lognormal: {p50: 400, p95: 3000}}", 0, 400, 3000, 0.05},
		{"{lognormal: {p50: 400, sigma: 0.5}}", 400 * math.Exp(0.125), 400, 400 * math.Exp(0.5*z95), 0.03},
		{"{lognormal: {mean: 500, p95: 1500}}", 500, 0, 1500, 0.04},
		{"{lognormal: {mean: 500, p50: 300}}", 500, 300, 0, 0.04},
		{"{lognormal: {mean: 500, sigma: 0.7}}", 500, 500 * math.Exp(-0.245), 0, 0.03},
		{"{zipf: {exponent: 1, min: 10, max: 13}}", 10 + (1*0.5+2*1/3.+3*0.25)/(1+0.5+1/3.+0.25), 11, 13, 0.01},
	} {
		w := read(t, fmt.Sprintf("requests: %d\nseed: 3\nprompt: %s\n", n, tt.prompt))
		var values []Value
		for _, e := range w.Entries {
			values = append(values, Value{float64(e.Prompt), e.Weight})
		}
		s := SpreadOf(values)
		for _, q := range []struct {
			name      string
			got, want float64
		}{{"mean", s.Mean, tt.mean}, {"p50", s.P50, tt.p50}, {"p95", s.P95, tt.p95}} {
			if q.want > 0 && math.Abs(q.got-q.want) > tt.tol*q.want {
				t.Errorf("%s: %s is %g, want %g", tt.prompt, q.name, q.got, q.want)
			}
		}
		if w.Requests != n {
			t.Errorf("%d requests", w.Requests)
		}
	}
}

// TestDraws: the draws of a seed are these, on every machine; and changing one distribution leaves the draws of the other.
func TestDraws(t *testing.T) {
	const text = "requests: 6\nseed: 7\nprompt: {lognormal: {p50: 400, p95: 3000}}\ngenerate: {normal: {mean: 200, sigma: 50}}\n"
	got := fmt.Sprint(read(t, text).Entries)
	const want = "[{{126 222} 1} {{201 198} 1} {{257 282} 1} {{449 172} 1} {{2198 264} 1} {{5488 224} 1}]"
	if got != want {
		t.Errorf("drawn %s, want %s", got, want)
	}
	answers := func(w *Workload) (list []int64) {
		for _, e := range w.Entries {
			for range e.Weight {
				list = append(list, e.Generate)
			}
		}
		slices.Sort(list)
		return list
	}
	other := read(t, strings.Replace(text, "{lognormal: {p50: 400, p95: 3000}}", "{fixed: 5}", 1))
	if !slices.Equal(answers(read(t, text)), answers(other)) {
		t.Errorf("answers %v, with another distribution of prompts %v", answers(read(t, text)), answers(other))
	}
	if fmt.Sprint(read(t, strings.Replace(text, "seed: 7", "seed: 8", 1)).Entries) == want {
		t.Error("another seed draws the same")
	}
}

// TestLists: a recorded list is taken as it is, or drawn from by its weights.
func TestLists(t *testing.T) {
	w := read(t, "empirical: list.csv\n")
	if fmt.Sprint(w.Entries) != "[{{10 2} 3} {{20 4} 1}]" || w.Requests != 4 || w.Seed != 0 {
		t.Errorf("%+v", w)
	}
	w = read(t, "list:\n  - {prompt: 5, generate: 1}\n  - {prompt: 5, generate: 1, weight: 4}\n")
	if fmt.Sprint(w.Entries) != "[{{5 1} 5}]" {
		t.Errorf("%+v", w)
	}
	w = read(t, "empirical: list.csv\nrequests: 10000\nseed: 2\n")
	if share := float64(w.Entries[0].Weight) / 10000; math.Abs(share-0.75) > 0.02 || w.Requests != 10000 {
		t.Errorf("%+v", w)
	}
	w, err := Read("azure.CSV", []byte("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"), nil)
	if err != nil || fmt.Sprint(w.Entries) != "[{{4808 10} 1}]" || len(w.Notes) != 1 {
		t.Errorf("%+v, %v", w, err)
	}
	w = read(t, "requests: 100\nprompt: {normal: {mean: 10, sigma: 10}, min: 8, max: 12}\n")
	if len(w.Notes) != 1 || w.Entries[0].Prompt != 8 || w.Entries[len(w.Entries)-1].Prompt != 12 {
		t.Errorf("%+v", w)
	}
}

func TestErrors(t *testing.T) {
	open := func(string) ([]byte, error) { return nil, &os.PathError{Op: "open", Path: "x", Err: os.ErrNotExist} }
	for _, tt := range []struct{ name, text, want string }{
		{"w.yaml", "requests: 5\n", "w.yaml:1: there are no lengths"},
		{"w.yaml", "prompt: {fixed: 5}\n", "w.yaml:1: requests: how many requests"},
		{"w.yaml", "requests: 5\ngenerate: {fixed: 5}\n", "prompt: there is no distribution of prompts"},
		{"w.yaml", "requests: 5\nprompt: {fixed: 5}\nlist: [{prompt: 5}]\n", "lengths are given in several ways"},
		{"w.yaml", "requests: 5\nprompt:\n  fixed: 5\n  uniform: {min: 1, max: 2}\n", "w.yaml:2: prompt: 2 distributions: exactly one"},
		{"w.yaml", "requests: 5\nprompt:\n  unifrom: {min: 1, max: 2}\n", `w.yaml:3: prompt.unifrom`},
		{"w.yaml", "requests: 5\nprompt:\n  uniform: {min: 3, max: 2}\n", "w.yaml:3: prompt.uniform.max: 2: is less than min"},
		{"w.yaml", "requests: 5\nprompt:\n  normal: {mean: 3}\n", "w.yaml:3: prompt.normal: how wide is it?"},
		{"w.yaml", "requests: 5\nprompt:\n  normal: {mean: 3, p95: 2}\n", "prompt.normal.p95: 2: is less than the mean"},
		{"w.yaml", "requests: 5\nprompt:\n  lognormal: {mean: 3, sigma: 1, p95: 9}\n", "prompt.lognormal: the distribution is not determined"},
		{"w.yaml", "requests: 5\nprompt:\n  lognormal: {mean: 100, p95: 900}\n", "no lognormal distribution has that with a mean of 100 (from the mean to 3.868 times it"},
		{"w.yaml", "requests: 5\nprompt:\n  lognormal: {mean: 3, p50: 4}\n", "is less than p50, which no lognormal"},
		{"w.yaml", "requests: 5\nprompt:\n  zipf: {exponent: 1, min: 1, max: 2000000}\n", "2000000 lengths from min to max, at most 1048576"},
		{"w.yaml", "requests: 5\nprompt:\n  fixed: 5\n  max: 9\n", "min and max are limits of normal and lognormal"},
		{"w.yaml", "requests: 5\nprompt: {normal: {mean: 5, sigma: 1}, min: 4, max: 3}\n", "prompt.max: 3: is less than min"},
		{"w.yaml", "seed: 5\nlist: [{prompt: 5}]\n", "w.yaml:1: seed: nothing is drawn"},
		{"w.yaml", "empirical: no.csv\n", "w.yaml:1: empirical: no.csv cannot be read: file does not exist"},
		{"w.csv", "", "w.csv:1: no requests in the file"},
		{"w.csv", "prompt,generate\n", "w.csv:1: no requests"},
		{"w.csv", "promt,generate\n1,2\n", `w.csv:1: column 1 is called "promt" (did you mean "prompt"?)`},
		{"w.csv", "generate\n1\n", "w.csv:1: prompt: no such column"},
		{"w.csv", "prompt,prompt\n1,2\n", "w.csv:1: prompt: the column is there twice"},
		{"w.csv", "prompt,generate\n1,2\nx,-3\n", "w.csv:3: generate: \"-3\": must be a whole number from 0"},
		{"w.csv", "prompt,weight\n1,0\n", `w.csv:2: weight: "0": must be a whole number from 1`},
		{"w.csv", "prompt,generate\n1\n", "w.csv:2: wrong number of fields"},
		{"w.csv", "\xff", "w.csv:1: not a text in UTF-8"},
	} {
		_, err := Read(tt.name, []byte(tt.text), open)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// TestSpread: quantiles are values of the list, in order, and what nearest rank says.
func TestSpread(t *testing.T) {
	// Hyndman and Fan's type 1 by its definition, over the list with every value as often as its weight.
	quantile := func(list []float64, percent int) float64 {
		n := len(list) * percent
		k := n / 100
		if n%100 != 0 {
			k++
		}
		return list[max(k, 1)-1]
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Value {
			return Value{rapid.Float64Range(0, 10).Draw(t, "x"), rapid.Int64Range(1, 9).Draw(t, "weight")}
		}), 1, 30).Draw(t, "values")
		median := values[Median(values)].X
		var flat []float64
		for _, v := range values {
			for range v.Weight {
				flat = append(flat, v.X)
			}
		}
		slices.Sort(flat)
		s := SpreadOf(slices.Clone(values))
		for _, q := range []struct {
			percent int
			got     float64
		}{{50, s.P50}, {95, s.P95}, {99, s.P99}, {50, median}, {100, s.Max}, {1, s.Min}} {
			if want := quantile(flat, q.percent); q.percent != 1 && q.got != want {
				t.Errorf("p%d is %g, want %g", q.percent, q.got, want)
			}
		}
		if !(s.Min <= s.P50 && s.P50 <= s.P95 && s.P95 <= s.P99 && s.P99 <= s.Max && s.Min <= s.Mean && s.Mean <= s.Max) {
			t.Errorf("%+v", s)
		}
	})
	if s := SpreadOf([]Value{{0.1, 3}}); s != (eval.Spread{Mean: 0.1, P50: 0.1, P95: 0.1, P99: 0.1, Min: 0.1, Max: 0.1}) {
		t.Errorf("%+v", s)
	}
}

// TestEvaluate: each distinct length is timed once, whatever the number of processors, and rounding says by how much it is off.
func TestEvaluate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &Workload{Name: "w", Round: rapid.SampledFrom([]int64{0, 1, 16}).Draw(t, "round")}
		list := map[Lengths]int64{}
		for range rapid.IntRange(1, 40).Draw(t, "n") {
			list[Lengths{rapid.Int64Range(1, 90).Draw(t, "prompt"), rapid.Int64Range(1, 9).Draw(t, "generate")}] += rapid.Int64Range(1, 3).Draw(t, "weight")
		}
		w, _ = finish(w, list)
		generates := rapid.Bool().Draw(t, "generates")
		run := func(_ context.Context, l Lengths) (Figures, error) {
			return Figures{Seconds: float64(l.Prompt + 10*l.Generate), TTFT: 1, TPOT: float64(max(0, l.Generate-1)), Joules: 8, TokensPerSecond: 2}, nil
		}
		d, median, err := w.Evaluate(context.Background(), generates, 4, run, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f, _ := run(nil, median); f.Seconds != d.Latency.P50 {
			t.Errorf("the median takes %g, p50 is %g", f.Seconds, d.Latency.P50)
		}
		if d.JoulesPerRequest.Mean != 2 || math.Abs(d.TotalTokensPerSecond-2) > 1e-12 || d.TTFT.Mean != 1 || d.Requests != w.Requests {
			t.Errorf("%+v", d)
		}
		var exact float64
		for _, e := range w.Entries {
			l := e.Lengths
			if !generates {
				l.Generate = 0
			}
			f, _ := run(nil, l)
			exact += f.Seconds * float64(e.Weight) / float64(w.Requests)
		}
		if d.Latency.Mean < exact*(1-1e-12) || d.Latency.Mean > exact*(1+d.RoundError)*(1+1e-12) {
			t.Errorf("mean %g with error %g, exactly it is %g", d.Latency.Mean, d.RoundError, exact)
		}
		before := runtime.GOMAXPROCS(1)
		again, m, err := w.Evaluate(context.Background(), generates, 4, run, nil)
		runtime.GOMAXPROCS(before)
		if err != nil || m != median || fmt.Sprint(*again.TTFT, again.Latency, again.TotalTokensPerSecond) != fmt.Sprint(*d.TTFT, d.Latency, d.TotalTokensPerSecond) {
			t.Errorf("on one processor %+v, on more %+v", again, d)
		}
	})
}

// TestEvaluateErrors: of several errors it is that of the first length, and an interrupt is an interrupt.
func TestEvaluateErrors(t *testing.T) {
	w, _ := finish(&Workload{}, map[Lengths]int64{{1, 1}: 1, {2, 1}: 1, {3, 1}: 1, {4, 1}: 1})
	for range 20 {
		_, _, err := w.Evaluate(context.Background(), true, 1, func(_ context.Context, l Lengths) (Figures, error) {
			if l.Prompt == 1 {
				return Figures{}, nil
			}
			return Figures{}, fmt.Errorf("prompt %d", l.Prompt)
		}, nil)
		if err == nil || err.Error() != "prompt 2" {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	if _, _, err := w.Evaluate(ctx, true, 1, func(context.Context, Lengths) (Figures, error) { cancel(); return Figures{}, ctx.Err() }, func(int, int) { calls++ }); !errors.Is(err, context.Canceled) || calls > 0 {
		t.Error(err, calls)
	}
}

// TestStored: a workload comes back as it was.
func TestStored(t *testing.T) {
	w := read(t, "requests: 50\nseed: 4\nround: 8\nprompt: {uniform: {min: 1, max: 9}}\ngenerate: {fixed: 3}\n")
	again, err := Restore(w.Content())
	if err != nil || again.Key() != w.Key() || fmt.Sprint(again.For(true, false)) != fmt.Sprint(w.For(true, false)) || again.Requests != 50 || again.Seed != 4 {
		t.Errorf("%+v, %v", again, err)
	}
	for _, text := range []string{"", "{}", `{"requests":[[1,2,0]]}`, `{"requests":[[-1,2,1]]}`} {
		if _, err := Restore([]byte(text)); err == nil {
			t.Errorf("%q was restored", text)
		}
	}
}

// manyDraws is a number of requests to draw of five digits or more.
var manyDraws = regexp.MustCompile(`(?is)requests.{0,20}([0-9_]{5}|[0-9.]+e)`)

func FuzzRead(f *testing.F) {
	f.Add("w.yaml", "requests: 5\nseed: 1\nprompt: {lognormal: {p50: 9, p95: 20}}\ngenerate: {zipf: {exponent: 2, min: 1, max: 5}}\n")
	f.Add("w.yaml", "list: [{prompt: 5, generate: 2, weight: 3}]\nround: 16\n")
	f.Add("w.csv", "prompt,generate,weight\n1,2,3\n")
	f.Fuzz(func(t *testing.T, name, text string) {
		if manyDraws.MatchString(text) {
			t.Skip("as many draws take their time")
		}
		w, err := Read(name, []byte(text), func(string) ([]byte, error) { return nil, os.ErrNotExist })
		if err != nil {
			return
		}
		var sum int64
		for _, e := range w.For(true, false) {
			sum += e.Weight
			if e.Prompt < 0 || e.Generate < 0 {
				t.Errorf("%+v", e)
			}
		}
		if sum != w.Requests || sum < 1 {
			t.Errorf("%d of %d requests", sum, w.Requests)
		}
	})
}

// TestRoundWhatVaries: a length that all requests have is left as it is, one that varies is rounded.
func TestRoundWhatVaries(t *testing.T) {
	w := &Workload{Requests: 3, Round: 16, Entries: []Entry{{Lengths{5, 33}, 1}, {Lengths{20, 33}, 2}}}
	if got, want := w.For(true, false), []Entry{{Lengths{16, 33}, 1}, {Lengths{32, 33}, 2}}; !slices.Equal(got, want) {
		t.Errorf("up: %v, want %v", got, want)
	}
	if got, want := w.For(true, true), []Entry{{Lengths{1, 33}, 1}, {Lengths{16, 33}, 2}}; !slices.Equal(got, want) {
		t.Errorf("down: %v, want %v", got, want)
	}
}
