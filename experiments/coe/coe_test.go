package coe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces/llm"
)

func model(name string) (*llm.Model, error) {
	m, err := llm.Preset(name)
	return &m, err
}

func none(string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: "x", Err: os.ErrNotExist}
}

// read reads a composition that is well.
func read(t testing.TB, text string) *Composition {
	t.Helper()
	c, err := Read("coe.yaml", []byte(text), model, none)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// misses counts the runs that find their expert gone.
func misses(runs []Run) (n int) {
	for i := range runs {
		if !runs[i].Hit {
			n++
		}
	}
	return n
}

// composed draws a composition of experts of one kind.
func composed(t *rapid.T) *Composition {
	c := &Composition{Name: "c", Kinds: []Kind{{Model: &llm.Model{Name: "m"}, Count: rapid.Int64Range(1, 12).Draw(t, "experts"), Weight: 1}}, Requests: rapid.Int64Range(1, 80).Draw(t, "requests"),
		Warmup: rapid.Int64Range(0, 10).Draw(t, "warmup"), Seed: rapid.Int64Range(0, 9).Draw(t, "seed"), Policy: LRU, Popularity: rapid.SampledFrom([]string{Uniform, Zipf, InTurn, Recorded}).Draw(t, "popularity")}
	switch c.Popularity {
	case Zipf:
		c.Exponent = rapid.Float64Range(0.1, 3).Draw(t, "exponent")
	case Recorded:
		c.Recorded = rapid.SliceOfN(rapid.Int64Range(0, c.Kinds[0].Count-1), 1, 40).Draw(t, "recorded")
	}
	return c
}

// TestCacheLaws: with experts of one size a larger cache never misses more under LRU and Belady (both are stack algorithms:
// Mattson et al., Evaluation techniques for storage hierarchies, IBM Systems Journal 9(2), 1970), nobody misses less than Belady,
// and what fits whole misses each expert once.
func TestCacheLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := composed(t)
		batch := rapid.Int64Range(1, 5).Draw(t, "batch")
		n := c.Experts()
		by := map[string][]int{}
		for _, policy := range []string{LRU, Pinned, Belady} {
			c.Policy = policy
			for places := int64(1); places <= n; places++ {
				runs := c.Stream(batch, []int64{7}, 7*places+rapid.Int64Range(0, 6).Draw(t, "over"))
				by[policy] = append(by[policy], misses(runs))
				var requests, counted int64
				seen := map[int64]bool{}
				for i := range runs {
					r := &runs[i]
					requests += r.Requests
					counted += r.Counted
					if r.Cold == seen[r.Expert] || r.Hit && r.Cold {
						if !(r.Hit && seen[r.Expert]) {
							t.Fatalf("run %d: %+v, seen before: %t", i, r, seen[r.Expert])
						}
					}
					seen[r.Expert] = true
				}
				if requests != c.Requests+c.Warmup || counted != c.Requests {
					t.Fatalf("%d requests, %d counted", requests, counted)
				}
				if places == n && misses(runs) != len(seen) {
					t.Fatalf("%s: all fit, and %d experts miss %d times", policy, len(seen), misses(runs))
				}
				c.Resident = places // by number instead of by bytes
				if again := misses(c.Stream(batch, []int64{7}, 1<<40)); again != misses(runs) {
					t.Fatalf("%s: %d misses with room for %d, %d with as many allowed", policy, misses(runs), places, again)
				}
				c.Resident = 0
			}
		}
		for _, policy := range []string{LRU, Belady} {
			if m := by[policy]; !slices.IsSortedFunc(m, func(a, b int) int { return b - a }) {
				t.Fatalf("%s: misses by size %v", policy, m)
			}
		}
		for i, m := range by[Belady] {
			if m > by[LRU][i] || m > by[Pinned][i] {
				t.Fatalf("Belady misses %v, LRU %v, pinned %v", by[Belady], by[LRU], by[Pinned])
			}
		}
	})
}

// TestMixedSizes: whatever the sizes, what is in the cache fits.
func TestMixedSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := composed(t)
		c.Kinds = append(c.Kinds, Kind{Model: &llm.Model{Name: "n"}, Count: rapid.Int64Range(1, 5).Draw(t, "more"), Weight: rapid.Float64Range(0.1, 4).Draw(t, "weight")})
		c.Policy = rapid.SampledFrom([]string{LRU, Pinned, Belady}).Draw(t, "policy")
		size := []int64{rapid.Int64Range(1, 5).Draw(t, "size"), rapid.Int64Range(1, 9).Draw(t, "size")}
		runs := c.Stream(1, size, max(size[0], size[1])+rapid.Int64Range(0, 30).Draw(t, "more room"))
		for i := range runs {
			if r := &runs[i]; r.Kind != c.KindOf(r.Expert) || r.Expert >= c.Experts() {
				t.Fatalf("%+v", r)
			}
		}
	})
}

// TestPlay: without prefetch times add up; with it nothing is later, and nothing earlier than copies and runs allow.
func TestPlay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := composed(t)
		c.Policy = rapid.SampledFrom([]string{LRU, Pinned, Belady}).Draw(t, "policy")
		batch := rapid.Int64Range(1, 6).Draw(t, "batch")
		bytes := rapid.Int64Range(1, 1000).Draw(t, "bytes")
		runs := c.Stream(batch, []int64{bytes}, bytes*rapid.Int64Range(1, 6).Draw(t, "places"))
		fast := rapid.Int64Range(1e12, 4e12).Draw(t, "fast")
		moves := func(name string, ps int64) int64 { // no more than the memory carries in the time
			return rapid.Int64Range(0, min(900, ps*(fast/1e12))).Draw(t, name+" bytes")
		}
		prefill, decode := rapid.Int64Range(0, 1000).Draw(t, "prefill"), rapid.Int64Range(1, 5000).Draw(t, "decode")
		shape := Shape{units.Time(prefill), units.Time(decode), moves("prefill", prefill), moves("decode", decode)}
		times := &Times{Router: func(n int64) units.Time { return units.Time(10 * n) }, Shape: func(int, int64) Shape { return shape }, Bytes: func(int) int64 { return bytes },
			Way: Way{Latency: units.Time(rapid.Int64Range(0, 300).Draw(t, "latency")), Rate: rapid.Int64Range(1e11, fast).Draw(t, "rate"), Fast: fast}}
		sum := func(timed []Timed) (all, slowed, hidden units.Time) {
			for i := range timed {
				all += timed[i].Total()
				slowed += timed[i].Slowed
				hidden += timed[i].Hidden
			}
			return all, slowed, hidden
		}
		var router units.Time
		for i := range runs {
			router += units.Time(10 * runs[i].Requests)
		}
		serial, slowed, hidden := sum(Play(runs, times))
		want := router + units.Time(len(runs))*(shape.Prefill+shape.Decode) + units.Time(misses(runs))*times.Way.Alone(bytes)
		if serial != want || slowed != 0 || hidden != 0 {
			t.Fatalf("serial %v, want %v; slowed %v, hidden %v", serial, want, slowed, hidden)
		}
		times.Prefetch = true
		ahead, slowed, _ := sum(Play(runs, times))
		if slack := units.Time(4 * len(runs)); ahead > serial+slack { // rounding up to whole picoseconds
			t.Fatalf("with prefetch %v, without %v", ahead, serial)
		}
		if least := router + units.Time(len(runs))*(shape.Prefill+shape.Decode); ahead < least || slowed < 0 {
			t.Fatalf("with prefetch %v, the runs alone take %v", ahead, least)
		}
	})
}

// TestHidden: a copy beside a run that needs little bandwidth is hidden as far as the run is long, and one that the memory cannot
// carry beside the run slows it by max-min.
func TestHidden(t *testing.T) {
	c := read(t, "experts: [{model: llama2-7b, count: 4}]\nrequests: 2\nprompt: 8\ngenerate: 2\npopularity: {kind: in-turn}\n")
	for _, tt := range []struct {
		name             string
		decode           units.Time
		asks, rate, fast int64 // bytes of the run, rates of copy and memory
		switched, slowed units.Time
		second, hidden   units.Time
	}{
		// 1000 bytes at 1 byte/ns take 1 us.
		{"longer than the copy", 2 * units.Microsecond, 0, 1e9, 4e9, 1 * units.Microsecond, 0, 0, 1 * units.Microsecond},
		{"shorter than the copy", 400 * units.Nanosecond, 0, 1e9, 4e9, 1 * units.Microsecond, 0, 600 * units.Nanosecond, 400 * units.Nanosecond},
		{"room for both", 2 * units.Microsecond, 6000, 1e9, 4e9, 1 * units.Microsecond, 0, 0, 1 * units.Microsecond},
		// 4 bytes/ns asked for by the run, 1 by the copy, 4 there are: the run gets 3 for 1 us, then all.
		{"the run yields", 2 * units.Microsecond, 8000, 1e9, 4e9, 1 * units.Microsecond, 250 * units.Nanosecond, 0, 1 * units.Microsecond},
		// 4 and 3 asked for of 4: half each. 1000 bytes at 2 bytes/ns are 500 ns, in which the run does 250 ns.
		{"half each", 2 * units.Microsecond, 8000, 3e9, 4e9, 333334 * units.Picosecond, 250 * units.Nanosecond, 0, 500 * units.Nanosecond},
	} {
		runs := c.Stream(2, []int64{1000}, 2000)
		timed := Play(runs, &Times{Router: func(int64) units.Time { return 0 }, Shape: func(int, int64) Shape { return Shape{0, tt.decode, 0, tt.asks} }, Bytes: func(int) int64 { return 1000 },
			Way: Way{Rate: tt.rate, Fast: tt.fast}, Prefetch: true})
		if len(timed) != 2 || timed[0].Switch != tt.switched || timed[0].Slowed != tt.slowed || timed[1].Switch != tt.second || timed[1].Hidden != tt.hidden {
			t.Errorf("%s: %+v", tt.name, timed)
		}
	}
	// With one place the copy cannot begin before the run has ended.
	runs := c.Stream(2, []int64{1000}, 1999)
	if !runs[1].Waits {
		t.Errorf("%+v", runs)
	}
}

// TestDraws: popularities are what they say, kinds come by their weights, and a stream is the same every time.
func TestDraws(t *testing.T) {
	text := "experts: [{model: llama2-7b, count: 2, weight: 3}, {model: llama2-13b, count: 2}]\nrequests: 40000\nseed: 5\nprompt: 8\ngenerate: 2\npopularity: {kind: zipf, exponent: 1}\n"
	c := read(t, text)
	count := func(picks []int64) []float64 {
		n := make([]float64, c.Experts())
		for _, e := range picks {
			n[e] += 1 / float64(len(picks))
		}
		return n
	}
	got := count(c.requests())
	for e, want := range []float64{0.6 * 2 / 3, 0.6 / 3, 0.4 * 2 / 3, 0.4 / 3} { // weights 3 and 2, by count where none is given
		if got[e] < want-0.01 || got[e] > want+0.01 { // 4 standard deviations of 40000 draws
			t.Errorf("expert %d has %.3f of the requests, want %.3f", e, got[e], want)
		}
	}
	before := runtime.GOMAXPROCS(1)
	again := read(t, text).requests()
	runtime.GOMAXPROCS(before)
	if !slices.Equal(again, c.requests()) {
		t.Error("another stream from the same seed")
	}
	c.Seed = 6
	if slices.Equal(again, c.requests()) {
		t.Error("the same stream from another seed")
	}
	c.Popularity = Uniform
	got = count(c.requests())
	for e, want := range []float64{0.3, 0.3, 0.2, 0.2} {
		if got[e] < want-0.01 || got[e] > want+0.01 {
			t.Errorf("uniform: expert %d has %.3f of the requests, want %.3f", e, got[e], want)
		}
	}
	if order := c.popular(nil); !slices.Equal(order, []int64{0, 1, 2, 3}) {
		t.Errorf("by popularity %v", order)
	}
}

// TestReadErrors: every mistake has its file, line and field.
func TestReadErrors(t *testing.T) {
	const good = "experts: [{model: llama2-7b, count: 5}]\nrequests: 9\nprompt: 8\ngenerate: 2\n"
	read(t, good)
	for _, tt := range []struct{ text, want string }{
		{"experts: []\nrequests: 9\nprompt: 8\ngenerate: 2\n", "coe.yaml:1: experts"},
		{"experts: [{model: llama2-7b}]\nrequests: 9\nprompt: 8\ngenerate: 2\n", "coe.yaml:1: experts[0].count"},
		{"experts: [{model: lama2-7b, count: 5}]\nrequests: 9\nprompt: 8\ngenerate: 2\n", `coe.yaml:1: experts[0].model: unknown model "lama2-7b"`},
		{"experts: [{model: bert-base, count: 5}]\nrequests: 9\nprompt: 8\ngenerate: 2\n", "coe.yaml:1: experts[0].model: bert-base is an encoder"},
		{strings.Replace(good, "prompt: 8", "prompt: {fixed: 8}", 1), "coe.yaml:3: prompt"},
		{strings.Replace(good, "requests: 9\n", "", 1), "requests"},
		{good + "router: {model: llama2-7b, time: 4 ms}\n", "coe.yaml:5: router.time: there is a model too"},
		{good + "router: {time: 4 ms}\n", "coe.yaml:5: router.source: where is the time from?"},
		{good + "router: {time: 4}\n", "coe.yaml:5: router.time"},
		{good + "router: {source: x}\n", "coe.yaml:5: router: what is the router?"},
		{good + "switch: {rate: 1 TB/s}\n", "coe.yaml:5: switch.source: where is the rate from?"},
		{good + "switch:\n  rat: 1 TB/s\n", "coe.yaml:6: switch.rat"},
		{good + "popularity: {kind: zip}\n", "coe.yaml:5: popularity.kind"},
		{good + "popularity: {kind: zipf}\n", "coe.yaml:5: popularity.exponent: it goes with kind zipf"},
		{good + "popularity: {kind: uniform, list: [1]}\n", "coe.yaml:5: popularity.kind: a list of experts goes with kind recorded"},
		{good + "popularity: {kind: recorded}\n", "coe.yaml:5: popularity: which experts do the requests pick?"},
		{good + "popularity:\n  kind: recorded\n  list: [1, 5]\n", "coe.yaml:7: popularity.list: 5: experts are numbered from 0 to 4"},
		{good + "popularity: {kind: recorded, file: no.csv}\n", "coe.yaml:5: popularity.file: no.csv cannot be read: file does not exist"},
		{good + "cache: {policy: lru, experts: 6}\n", "coe.yaml:5: cache.experts: 6: there are only 5 experts"},
		{good + "cache: {policy: lfu}\n", "coe.yaml:5: cache.policy"},
		{good + "warmup: 1000000\n", "coe.yaml:5: warmup"},
	} {
		_, err := Read("coe.yaml", []byte(tt.text), model, none)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"":                      "log.csv:1: expert: no requests",
		"exprt\n1\n":            "log.csv:1: expert: no such column",
		"expert\n1\n5\n-1\nx\n": `log.csv:3: expert: "5": must be the number of an expert, from 0 to 4`,
		"a,expert\n1\n":         "log.csv:2: expert: wrong number of fields",
	} {
		open := func(string) ([]byte, error) { return []byte(text), nil }
		_, err := Read("coe.yaml", []byte(good+"popularity: {kind: recorded, file: log.csv}\n"), model, open)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	c, err := Read("coe.yaml", []byte(good+"popularity: {kind: recorded, file: log.csv}\n"), model, func(string) ([]byte, error) { return []byte("time,expert\n3,1\n# later\n4,4\n"), nil })
	if err != nil || !slices.Equal(c.Recorded, []int64{1, 4}) || c.List != "log.csv" {
		t.Error(c, err)
	}
	if Is([]byte("requests: 4\nlist: [{prompt: 5}]\n")) || Is([]byte("# experts: none\n")) || !Is([]byte("seed: 1\nexperts : []\n")) {
		t.Error("compositions are told by their experts")
	}
}

// TestStored: a composition comes back as it was.
func TestStored(t *testing.T) {
	c := read(t, "experts: [{model: llama2-7b, count: 5}]\nrouter: {model: llama2-7b}\nrequests: 9\nbatch: 3\nprompt: 8\ngenerate: 2\npopularity: {kind: recorded, list: [3, 1]}\nswitch: {rate: 1 TB/s, source: there, prefetch: true}\n")
	again, err := Restore(c.Content())
	if err != nil || again.Key() != c.Key() || again.Batch != 0 || again.Rate != 1e12 || !again.Prefetch || again.Router == nil || again.Kinds[0].Model.Name != "llama2-7b" {
		t.Errorf("%+v, %v", again, err)
	}
	for _, text := range []string{"", "{}", `{"Composition":"strata.composition/2"}`, strings.Replace(string(c.Content()), `"Recorded":[3`, `"Recorded":[7`, 1), strings.Replace(string(c.Content()), `"Count":5`, `"Count":-5`, 1)} {
		if _, err := Restore([]byte(text)); err == nil {
			t.Errorf("%.60q was restored", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("experts: [{model: llama2-7b, count: 5}]\nrequests: 9\nprompt: 8\ngenerate: 2\npopularity: {kind: zipf, exponent: 1}\n", "")
	f.Add("experts: [{model: llama2-7b, count: 5}]\nrequests: 9\nprompt: 8\ngenerate: 2\npopularity: {kind: recorded, file: l.csv}\n", "expert\n1\n")
	f.Fuzz(func(t *testing.T, text, list string) {
		c, err := Read("coe.yaml", []byte(text), model, func(string) ([]byte, error) {
			if list == "" {
				return nil, errors.New("none")
			}
			return []byte(list), nil
		})
		if err != nil {
			return
		}
		if c.Requests+c.Warmup > 3000 {
			c.Requests, c.Warmup = 3000, 0
		}
		size := make([]int64, len(c.Kinds))
		for i := range size {
			size[i] = 3
		}
		var n int64
		for _, r := range c.Stream(max(c.Batch, 1), size, 10) {
			n += r.Counted
		}
		if n != c.Requests {
			t.Error(fmt.Sprint(n, " requests of ", c.Requests))
		}
	})
}
