package dram_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/memory/dram"
)

// request is a saturating stream of consecutive reads.
func request(standard string) *dram.Request {
	return &dram.Request{Standard: standard, Mapping: "bgint", Refresh: dram.AllBank, Controller: dram.FirstReady, Kind: dram.Sequential, Channels: 1, Streams: 1,
		ChunkBytes: 64, StrideBytes: 64, ReadFraction: 1, Requests: 20000, Seed: 1}
}

func simulate(t rapid.TB, q *dram.Request) *dram.Result {
	t.Helper()
	r, err := dram.Simulate(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestIdleLatency: one access at a time to an open row takes CL and the burst, to another row PRE, ACT and read, each a clock
// later than the queue took it.
func TestIdleLatency(t *testing.T) {
	for _, c := range []struct {
		standard           string
		clock              float64 // ns
		cl, bl, rcd, rp    float64
		doubleACT, sync    float64 // clocks of a second ACT command, of starting the data clock
		bursts, lineBursts float64
	}{
		// JESD79-4 DDR4-3200AA: 22-22-22.
		{"DDR4-3200", 0.625, 22, 4, 22, 22, 0, 0, 1, 1},
		// JESD79-5 DDR5-4800B: 36-36-36; ACT is a command of two clocks and PRE of one.
		{"DDR5-4800", 1 / 2.4, 36, 8, 36, 36, 0, 0, 1, 1},
		// JESD235D HBM2 at 2 Gb/s; of the two bursts of a line the second finds the row open.
		{"HBM2-2000", 1, 14, 2, 14, 14, 1, 0, 2, 2},
		// JESD250 GDDR6.
		{"GDDR6-14000", 4 / 7.0, 24, 2, 27, 27, 0, 0, 2, 2},
		// JESD209-5B LPDDR5-6400: the data clock starts anew for each.
		{"LPDDR5-6400", 1.25, 17, 2, 15, 15, 0, 1, 2, 2},
	} {
		q := request(c.standard)
		q.Refresh, q.Outstanding, q.Requests = dram.NoRefresh, 1, 1000
		hit := (c.cl + c.bl + 1 + c.sync) * c.clock
		if got := simulate(t, q).Latency * 1e9; !(got >= hit*0.999 && got <= hit*1.1) { // some open a row
			t.Errorf("%s: consecutive lines take %.2f ns, an open row %.2f ns", c.standard, got, hit)
		}
		q.Kind = dram.Random
		miss := (c.cl + c.bl + c.rcd + c.rp + 1 + c.doubleACT + c.sync) * c.clock
		want := (miss + (c.lineBursts-1)*hit) / c.lineBursts
		if got := simulate(t, q).Latency * 1e9; math.Abs(got/want-1) > 0.04 {
			t.Errorf("%s: random lines take %.2f ns, want about %.2f ns", c.standard, got, want)
		}
	}
}

// TestRateLimits: patterns that one interval limits reach what it allows.
func TestRateLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		q     func(*dram.Request)
		std   string
		bytes float64 // a second, without refresh
		near  float64
	}{
		{"data bus", func(q *dram.Request) {}, "DDR4-3200", 25.6e9, 0.005},
		// A line in the same bank group every tCCD_L of 5 ns.
		{"bank group", func(q *dram.Request) { q.Kind, q.StrideBytes = dram.Strided, 256 }, "DDR4-3200", 64 / 5e-9, 0.03},
		// Four rows every tFAW of 21.25 ns.
		{"four activations", func(q *dram.Request) { q.Kind = dram.Random }, "DDR4-3200", 4 * 64 / 21.25e-9, 0.05},
		// ACT of two clocks and PRE of one for each line on the row bus of HBM2: 3 ns.
		{"row bus", func(q *dram.Request) { q.Kind = dram.Random }, "HBM2-2000", 64 / 3e-9, 0.02},
		// All lines in one bank, a row each: tRC of 45 ns in HBM3; 1 MiB apart they differ only in the row, whose low bits are zero.
		{"bank cycle", func(q *dram.Request) { q.Kind, q.StrideBytes, q.Requests = dram.Strided, 1<<20, 500 }, "HBM3-6400", 64 / 46.25e-9, 0.05},
	} {
		q := request(c.std)
		q.Refresh = dram.NoRefresh
		c.q(q)
		if got := simulate(t, q).Bandwidth; math.Abs(got/c.bytes-1) > c.near {
			t.Errorf("%s of %s: %.3f GB/s, want %.3f", c.name, c.std, got/1e9, c.bytes/1e9)
		}
	}
}

// draw returns a request that is in order.
func draw(t *rapid.T) *dram.Request {
	q := &dram.Request{
		Controller:   rapid.SampledFrom(dram.Controllers()).Draw(t, "controller"),
		Mapping:      rapid.SampledFrom(dram.Mappings()).Draw(t, "mapping"),
		Refresh:      rapid.SampledFrom(dram.Refreshes()).Draw(t, "refresh"),
		Kind:         rapid.SampledFrom(dram.Kinds()).Draw(t, "kind"),
		Channels:     1 << rapid.IntRange(0, 3).Draw(t, "channels"),
		Streams:      1,
		ChunkBytes:   64 * rapid.Int64Range(1, 128).Draw(t, "chunk"),
		StrideBytes:  64 * rapid.Int64Range(1, 2048).Draw(t, "stride"),
		ReadFraction: rapid.SampledFrom([]float64{0, 0.3, 0.5, 2.0 / 3, 1}).Draw(t, "reads"),
		Requests:     rapid.Int64Range(1, 3000).Draw(t, "requests"),
		Seed:         rapid.Int64Range(0, 100).Draw(t, "seed"),
	}
	q.Standard = rapid.SampledFrom(dram.Standards(q.Controller)).Draw(t, "standard")
	if q.Kind == dram.Multiple {
		q.Streams = rapid.IntRange(1, 20).Draw(t, "streams")
	}
	if rapid.Bool().Draw(t, "limited") {
		q.Outstanding = rapid.IntRange(1, 200).Draw(t, "outstanding")
	} else if rapid.Bool().Draw(t, "paced") {
		q.Load = rapid.Float64Range(0.05, 1).Draw(t, "load")
	}
	if q.Check() != nil {
		q.Refresh = dram.AllBank // not all have per-bank refresh
	}
	return q
}

// TestLaws: every byte asked for is moved once, no faster than the buses allow, the same each time; nothing is written that
// was to be read.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		r := simulate(t, q)
		bytes := map[string]int64{"DDR4-3200": 64, "DDR4-3200-2R": 64, "DDR5-4800": 64, "DDR5-6400": 64}[q.Standard]
		if bytes == 0 {
			bytes = 32
		}
		if q.Controller == dram.BankQueues {
			bytes = 64
		}
		if got := (r.Commands.Reads + r.Commands.Writes) * bytes; got != q.Requests*64 {
			t.Errorf("%d bytes were moved, %d asked for", got, q.Requests*64)
		}
		if q.ReadFraction == 1 && r.Commands.Writes > 0 || q.ReadFraction == 0 && r.Commands.Reads > 0 {
			t.Errorf("directions: %+v", r.Commands)
		}
		if r.Fraction > 1 || r.Fraction <= 0 {
			t.Errorf("%g of the peak", r.Fraction)
		}
		if again := simulate(t, q); again.Seconds != r.Seconds || again.Commands != r.Commands || again.Latency != r.Latency {
			t.Errorf("another run differs: %+v, %+v", r, again)
		}
		c, err := dram.ClosedForm(q)
		if err != nil || !(c.Fraction > 0 && c.Fraction <= 1) || !(c.Latency >= 0) {
			t.Errorf("closed form: %+v, %v", c, err)
		}
	})
}

// TestMoreChannels: the same accesses over twice the channels do not take longer.
func TestMoreChannels(t *testing.T) {
	for _, kind := range dram.Kinds() {
		for _, standard := range []string{"DDR5-4800", "HBM2-2000", "HBM3-6400"} {
			q := request(standard)
			q.Kind, q.ChunkBytes = kind, 1024
			if kind == dram.Multiple {
				q.Streams = 4
			}
			before := math.Inf(1)
			for q.Channels = 1; q.Channels <= 8; q.Channels *= 2 {
				s := simulate(t, q).Seconds
				if s > before*1.01 {
					t.Errorf("%s, %s: %d channels take %.3g s, half of them %.3g s", standard, kind, q.Channels, s, before)
				}
				before = s
			}
		}
	}
}

// TestClosedFormIsNear says how far the closed form is from what is played.
func TestClosedFormIsNear(t *testing.T) {
	var sum, worst float64
	var n int
	var where string
	for _, standard := range dram.Standards(dram.FirstReady) {
		for _, kind := range dram.Kinds() {
			for _, chunk := range []int64{64, 1024, 4096} {
				for _, reads := range []float64{1, 2.0 / 3} {
					q := request(standard)
					q.Kind, q.ChunkBytes, q.StrideBytes, q.ReadFraction = kind, chunk, chunk, reads
					if kind == dram.Multiple {
						q.Streams = 3
					}
					c, err := dram.ClosedForm(q)
					if err != nil {
						t.Fatal(err)
					}
					e := math.Abs(c.Fraction/simulate(t, q).Fraction - 1)
					sum, n = sum+e, n+1
					if e > worst {
						worst, where = e, standard+" "+kind
					}
				}
			}
		}
	}
	t.Logf("closed form against played: %d requests, mean %.1f %%, worst %.0f %% (%s)", n, sum/float64(n)*100, worst*100, where)
	if sum/float64(n) > 0.077 || worst > 0.5 { // reached: 7.3 %, 48 %
		t.Errorf("the closed form is further off than it was")
	}
}

// TestWriters: of three streams one writes, however two thirds are rounded.
func TestWriters(t *testing.T) {
	for _, reads := range []float64{0.66, 2.0 / 3, 0.667} {
		q := request("DDR4-3200")
		q.Kind, q.Streams, q.ReadFraction, q.Requests = dram.Multiple, 3, reads, 3000
		if got := simulate(t, q).Commands.Writes; got != 1000 {
			t.Errorf("%g reads: %d of 3000 lines are written", reads, got)
		}
	}
}

// TestSteadyStreams: a long stream of which the middle is not played is as one that is played whole.
func TestSteadyStreams(t *testing.T) {
	for _, controller := range dram.Controllers() {
		for _, standard := range dram.Standards(controller) {
			for _, reads := range []float64{0, 1} {
				q := request(standard)
				q.Controller, q.ReadFraction, q.Requests = controller, reads, 200_000
				short := simulate(t, q)
				q.Exact = true
				whole := simulate(t, q)
				if e := short.Seconds/whole.Seconds - 1; math.Abs(e) > 0.01 {
					t.Errorf("%s of %s, %g reads: %.3f %% off in time", standard, controller, reads, e*100)
				}
				if e := short.Latency/whole.Latency - 1; math.Abs(e) > 0.03 {
					t.Errorf("%s of %s, %g reads: %.3f %% off in latency", standard, controller, reads, e*100)
				}
				if e := float64(short.Commands.Activates)/float64(whole.Commands.Activates) - 1; math.Abs(e) > 0.04 {
					t.Errorf("%s of %s, %g reads: %.3f %% off in rows opened", standard, controller, reads, e*100)
				}
				if e, w := short.Energy, whole.Energy; e != nil && (math.Abs(e.Background/w.Background-1) > 0.01 || math.Abs(e.Total()/w.Total()-1) > 0.01) {
					t.Errorf("%s of %s, %g reads: energy %+v, whole %+v", standard, controller, reads, *e, *w)
				}
				if short.Commands.Reads != whole.Commands.Reads || short.Commands.Writes != whole.Commands.Writes {
					t.Errorf("%s of %s: %+v, whole %+v", standard, controller, short.Commands, whole.Commands)
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		field, message string
		change         func(*dram.Request)
	}{
		{"standard", `"DDR9" is unknown`, func(q *dram.Request) { q.Standard = "DDR9" }},
		{"standard", `"GDDR6-14000" is unknown`, func(q *dram.Request) { q.Standard, q.Controller = "GDDR6-14000", dram.BankQueues }},
		{"controller", "unknown", func(q *dram.Request) { q.Controller = "x" }},
		{"mapping", "unknown", func(q *dram.Request) { q.Mapping = "x" }},
		{"refresh", "no per-bank refresh", func(q *dram.Request) { q.Refresh = dram.PerBank }},
		{"kind", "unknown", func(q *dram.Request) { q.Kind = "x" }},
		{"channels", "power of two", func(q *dram.Request) { q.Channels = 3 }},
		{"channels", "from 1 to 64", func(q *dram.Request) { q.Channels = 128 }},
		{"streams", "one stream", func(q *dram.Request) { q.Streams = 2 }},
		{"chunk_bytes", "multiple of 64", func(q *dram.Request) { q.ChunkBytes = 100 }},
		{"stride_bytes", "multiple of 64", func(q *dram.Request) { q.StrideBytes = 0 }},
		{"read_fraction", "from 0 to 1", func(q *dram.Request) { q.ReadFraction = math.NaN() }},
		{"load", "from 0.001 to 1", func(q *dram.Request) { q.Load = 2 }},
		{"requests", "from 1 to", func(q *dram.Request) { q.Requests = 0 }},
	} {
		q := request("DDR4-3200")
		c.change(q)
		_, err := dram.Simulate(t.Context(), q)
		var bad *dram.Invalid
		if !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Message, c.message) {
			t.Errorf("want %s: %s, got %v", c.field, c.message, err)
		}
		if _, err := dram.ClosedForm(q); !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("closed form: want %s, got %v", c.field, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dram.Simulate(ctx, request("DDR4-3200")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func BenchmarkSequential(b *testing.B) {
	for _, standard := range []string{"DDR4-3200", "DDR5-4800", "HBM3-6400"} {
		b.Run(standard, func(b *testing.B) {
			q := request(standard)
			q.Requests = dram.MaxRequests
			for b.Loop() {
				simulate(b, q)
			}
			b.ReportMetric(float64(b.N)*float64(q.Requests)/b.Elapsed().Seconds()/1e6, "Maccesses/s")
		})
	}
}
