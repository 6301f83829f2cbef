package parallel

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// free is a network on which everything is there at once.
type free struct{}

func (free) Collective(interconnect.Op, interconnect.Group, units.Bytes) (interconnect.Cost, error) {
	return interconnect.Cost{}, nil
}

// wire is a network of rings: a start-up time for each step of a ring, and picoseconds a byte.
type wire struct{ alpha, beta units.Time }

func (w wire) Collective(op interconnect.Op, g interconnect.Group, bytes units.Bytes) (interconnect.Cost, error) {
	if g.Ranks <= 1 || bytes == 0 {
		return interconnect.Cost{}, nil
	}
	n := units.Bytes(g.Ranks)
	sent, steps := bytes*(n-1)/n, g.Ranks-1
	switch op {
	case interconnect.AllReduce:
		sent, steps = 2*sent, 2*steps
	case interconnect.SendRecv:
		sent, steps = bytes, 1
	}
	lat := w.alpha * units.Time(steps)
	return interconnect.Cost{Time: lat + w.beta*units.Time(sent), Latency: lat, Remote: sent}, nil
}

func unit(name string, t units.Time) Unit {
	return Unit{Name: name, Time: t, Stalls: sim.Stalls{sim.Compute: t / 2, sim.HBM: t - t/2}}
}

func layer(f, b, w units.Time) Block {
	return Block{Forward: unit("layer forward", f), Backward: unit("layer backward", b), Weight: unit("layer weight", w)}
}

// Bubbles of equal stages with nothing else to wait for, as the papers have them (see the schedules).
func TestTextbookBubbles(t *testing.T) {
	for _, tt := range []struct {
		schedule   Schedule
		p, v, m    int64
		f, b, w    units.Time
		want, held int64 // bubble; micro-batches that the first stage holds
	}{
		{GPipe, 4, 1, 8, 100, 200, 0, 3 * 300, 8},
		{OneFOneB, 4, 1, 8, 100, 200, 0, 3 * 300, 4},
		{OneFOneB, 4, 1, 4, 100, 200, 0, 3 * 300, 4},
		{OneFOneB, 8, 1, 3, 100, 200, 0, 7 * 300, 3},
		{OneFOneB, 1, 1, 5, 100, 200, 0, 0, 1},
		{OneFOneB, 64, 1, 1536, 100, 200, 7, 63 * 307, 64},
		{Interleaved, 4, 2, 8, 100, 200, 0, 3 * 300, 11},  // a chunk takes 300: (p−1)(f+b)/v of a stage's 600
		{Interleaved, 8, 6, 96, 100, 200, 0, 7 * 300, 55}, // (p−1)·2 + (v−1)·p + 1 chunks
		{Interleaved, 4, 3, 4, 100, 200, 0, 3 * 300, 12},
		{ZeroBubble, 4, 1, 8, 100, 100, 100, 3 * 100, 4},
		{ZeroBubble, 4, 1, 8, 100, 120, 90, 3 * 130, 4},
		{ZeroBubble, 8, 1, 96, 100, 110, 100, 7 * 110, 8},
		{ZeroBubble, 4, 1, 8, 100, 100, 0, 3 * 200, 4}, // nothing to fill gaps with
		{Forward, 4, 1, 8, 100, 0, 0, 3 * 100, 8},
	} {
		t.Run(fmt.Sprintf("%s p%d v%d m%d", tt.schedule, tt.p, tt.v, tt.m), func(t *testing.T) {
			for _, exact := range []bool{true, false} {
				s := &Step{Degrees: Degrees{PP: tt.p, Interleave: tt.v}, Network: free{}, Layers: []Run{{layer(tt.f, tt.b, tt.w), tt.p * tt.v}},
					Microbatches: tt.m, Schedule: tt.schedule, Exact: exact}
				res, err := s.Play()
				if err != nil {
					t.Fatal(err)
				}
				work := tt.m * tt.v * int64(tt.f+tt.b+tt.w)
				if tt.schedule == Forward {
					work = tt.m * int64(tt.f)
				}
				if got := int64(res.Time) - work; got != tt.want {
					t.Errorf("exact %t: bubble %d, want %d", exact, got, tt.want)
				}
				if got := res.Classes[0].InFlight; got != tt.held {
					t.Errorf("exact %t: first stage holds %d, want %d", exact, got, tt.held)
				}
				if int64(res.Bubble) != tt.want {
					t.Errorf("exact %t: bubble of the critical class %d", exact, res.Bubble)
				}
			}
		})
	}
}

// Bubble rates of Qi et al. (arXiv 2401.10241), who profiled the passes of four models and worked out the share of bubbles in the step
// of each schedule. Figures are quoted from memory, not from the text; that they come out to four digits speaks for both.
func TestPublishedBubbleRates(t *testing.T) {
	us := func(n int64) units.Time { return units.Time(n) * units.Microsecond }
	for _, tt := range []struct {
		model            string
		p, m, f, b, w, c int64 // passes and sends in us
		oneFOneB, zb     float64
	}{
		{"1.5B", 8, 24, 18522, 18086, 9337, 601, 0.2431, 0.1585},
		{"1.5B", 8, 32, 18513, 18086, 9331, 626, 0.1985, 0.1242},
		{"1.5B", 8, 64, 18546, 18097, 9321, 762, 0.1240, 0.0674},
		{"6.2B", 8, 24, 29718, 29444, 19927, 527, 0, 0.1323},
		{"6.2B", 8, 32, 29802, 29428, 19530, 577, 0, 0.1045},
		{"6.2B", 8, 64, 29935, 29621, 19388, 535, 0, 0.0554},
		{"14.6B", 16, 48, 11347, 11248, 8132, 377, 0, 0.1397},
		{"14.6B", 16, 64, 11307, 11254, 8101, 379, 0, 0.1088},
		{"14.6B", 16, 128, 11325, 11308, 8109, 378, 0, 0.0576},
		{"28.3B", 32, 96, 10419, 10207, 7715, 408, 0, 0.1421},
	} {
		for schedule, want := range map[Schedule]float64{OneFOneB: tt.oneFOneB, ZeroBubble: tt.zb} {
			s := &Step{Degrees: Degrees{PP: tt.p}, Network: wire{us(tt.c), 0}, Layers: []Run{{layer(us(tt.f), us(tt.b), us(tt.w)), tt.p}}, Microbatches: tt.m, Schedule: schedule, Boundary: Boundary{Bytes: 1}}
			res, err := s.Play()
			if err != nil {
				t.Fatal(err)
			}
			if got := 1 - float64(us(tt.m*(tt.f+tt.b+tt.w)))/float64(res.Time); want != 0 && math.Abs(got-want) > 0.00006 {
				t.Errorf("%s on %d stages, %d micro-batches, %s: %.5f, published %.4f", tt.model, tt.p, tt.m, schedule, got, want)
			}
		}
	}
}

// randomStep draws a step with everything in it.
func randomStep(t *rapid.T) *Step {
	time := func(name string, most int64) units.Time { return units.Time(rapid.Int64Range(0, most).Draw(t, name)) }
	un := func(name string) Unit {
		u := unit(name, time(name, 1000))
		if rapid.IntRange(0, 3).Draw(t, "comm") == 0 {
			u.Comms = []Comm{{Kind: Kind(rapid.IntRange(0, 2).Draw(t, "kind")), Time: time("comm time", 500), Beside: u.Time / 2,
				Pieces: rapid.Int64Range(0, 3).Draw(t, "pieces"), Cores: 0.1, Memory: 0.2}}
		}
		return u
	}
	block := func(name string) Block {
		return Block{Forward: un(name + " f"), Recompute: un(name + " r"), Backward: un(name + " b"), Weight: un(name + " w"), Accumulate: un(name + " a"),
			Parameters: rapid.Int64Range(0, 300).Draw(t, "parameters"), ExpertParameters: rapid.Int64Range(0, 200).Draw(t, "experts")}
	}
	d := Degrees{TP: rapid.Int64Range(1, 2).Draw(t, "tp"), CP: rapid.Int64Range(1, 2).Draw(t, "cp"), EP: rapid.Int64Range(1, 2).Draw(t, "ep"), PP: rapid.Int64Range(1, 5).Draw(t, "pp")}
	d.DP = d.EP * rapid.Int64Range(1, 3).Draw(t, "dp")
	if d.PP > 1 {
		d.Interleave = rapid.Int64Range(1, 3).Draw(t, "v")
	}
	s := &Step{
		Degrees: d, Network: wire{time("alpha", 20), time("beta", 3)},
		Chip:      Chip{Cores: 10, Bandwidth: 8e12, Channels: [NumKinds]int64{Data: rapid.Int64Range(0, 3).Draw(t, "channels"), Pipeline: rapid.Int64Range(0, 1).Draw(t, "p2p channels")}},
		Embedding: block("embedding"), Head: block("head"),
		Layers:       []Run{{block("layer"), max(1, d.Interleave) * d.PP}, {block("wide"), rapid.Int64Range(0, 4).Draw(t, "wide")}},
		Microbatches: rapid.Int64Range(1, 40).Draw(t, "m"),
		Boundary:     Boundary{Bytes: units.Bytes(rapid.Int64Range(0, 100).Draw(t, "boundary")), Blocking: rapid.Bool().Draw(t, "blocking")},
		Sharding: Sharding{Stage: rapid.Int64Range(0, 3).Draw(t, "zero"), KeepGathered: rapid.Bool().Draw(t, "keep"), GradientBytes: 4, WeightBytes: 2,
			Overlap: rapid.Bool().Draw(t, "overlap"), OverlapGather: rapid.Bool().Draw(t, "overlap gather"), Bucket: units.Bytes(rapid.Int64Range(0, 3000).Draw(t, "bucket")), Gathered: rapid.Int64Range(0, 3).Draw(t, "gathered")},
		Update: PerElement{unit("update", 1000), 100},
		Norm:   rapid.Bool().Draw(t, "norm"),
		Spread: 0.02 * float64(rapid.IntRange(0, 1).Draw(t, "spread")),
	}
	s.Tied = rapid.Int64Range(0, s.Embedding.Parameters).Draw(t, "tied")
	all := append(Schedules(), Forward)
	s.Schedule = all[rapid.IntRange(0, len(all)-1).Draw(t, "schedule")]
	if s.Schedule != Interleaved && s.Schedule != Forward {
		s.Degrees.Interleave = 1
	}
	if d.PP > 1 && rapid.Bool().Draw(t, "multiple") {
		s.Microbatches = max(1, s.Microbatches/d.PP) * d.PP
	}
	for range rapid.IntRange(0, 2).Draw(t, "faults") {
		f := Fault{Rank: rapid.Int64Range(0, s.Degrees.Chips()-1).Draw(t, "rank"), Slow: rapid.Float64Range(1, 2).Draw(t, "slow"), Links: rapid.Float64Range(1, 3).Draw(t, "links")}
		if rapid.Bool().Draw(t, "bad link") {
			f.Network = wire{30, 5}
		}
		s.Faults = append(s.Faults, f)
	}
	return s
}

// often checks a property ten times as often as others: what it holds has many cases.
func often(t *testing.T, property func(*rapid.T)) {
	for range 10 {
		rapid.Check(t, property)
	}
}

func describe(r *Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Time, r.Bubble, r.Exposed, r.Pipeline, r.Schedule, r.Notes, r.Critical)
	for _, c := range r.Classes {
		fmt.Fprintf(&b, "%+v\n", c)
	}
	return b.String()
}

// What repeats may be skipped: the answer is the same to the picosecond.
func TestSkippedIsExact(t *testing.T) {
	often(t, func(t *rapid.T) {
		s := randomStep(t)
		fast, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		s.Exact = true
		exact, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if a, b := describe(fast), describe(exact); a != b {
			t.Fatalf("skipped:\n%s\nexact:\n%s", a, b)
		}
	})
}

// A class stands for all ranks that do the same.
func TestClassesAreFullPlay(t *testing.T) {
	often(t, func(t *rapid.T) {
		s := randomStep(t)
		few, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		s.Apart, s.Exact = true, true
		all, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if few.Time != all.Time || few.Pipeline != all.Pipeline || few.Bubble != all.Bubble || few.Exposed != all.Exposed {
			t.Fatalf("classes %v %v %v %v, all ranks %v %v %v %v", few.Time, few.Pipeline, few.Bubble, few.Exposed, all.Time, all.Pipeline, all.Bubble, all.Exposed)
		}
		var a, b int64
		for _, c := range few.Classes {
			a += c.Chips
		}
		for _, c := range all.Classes {
			b += c.Chips
		}
		if a != b || a != s.Degrees.Chips() {
			t.Fatalf("%d chips in classes, %d apart, %d in all", a, b, s.Degrees.Chips())
		}
	})
}

func benchStep(p, v, m int64, schedule Schedule) *Step {
	l := layer(20e9, 40e9, 0)
	l.Parameters = 1 << 24
	h := layer(13e9, 31e9, 0)
	h.Parameters = 1 << 22
	return &Step{Degrees: Degrees{TP: 8, PP: p, DP: 2, Interleave: v}, Network: wire{5000000, 40}, Chip: Chip{Cores: 108, Bandwidth: 2e12, Channels: [NumKinds]int64{Data: 16, Pipeline: 2}},
		Embedding: Block{Forward: unit("embedding", 3e8), Parameters: 1 << 22}, Head: h, Layers: []Run{{l, 96 + p*v - 96%(p*v)}}, Microbatches: m, Schedule: schedule,
		Boundary: Boundary{Bytes: 1 << 23}, Sharding: Sharding{Stage: 1, GradientBytes: 4, WeightBytes: 2, Overlap: true}, Spread: 0.02}
}

// BenchmarkUneven has stages that all differ a little, so that it takes long until what they do repeats.
func BenchmarkUneven(b *testing.B) {
	s := benchStep(64, 1, 1536, OneFOneB)
	s.Layers = nil
	for i := range int64(64) {
		l := layer(units.Time(20e9+i*7919%64*1e6), 40e9, 0)
		l.Parameters = 1 << 24
		s.Layers = append(s.Layers, Run{l, 2})
	}
	var slots int64
	for b.Loop() {
		r, err := s.Play()
		if err != nil {
			b.Fatal(err)
		}
		slots = r.Slots
	}
	b.ReportMetric(float64(slots), "slots")
}

// BenchmarkPaLM is PaLM 540B on 6144 chips: 118 layers, tensor groups of 12, fully sharded over 512 ranks (Chowdhery et al. 2022).
func BenchmarkPaLM(b *testing.B) {
	l := layer(40e9, 80e9, 0)
	l.Parameters = 4_560_000_000 / 12
	s := &Step{Degrees: Degrees{TP: 12, DP: 512}, Network: wire{1000000, 20}, Chip: Chip{Bandwidth: 1.2e12}, Layers: []Run{{l, 118}}, Microbatches: 1,
		Embedding: Block{Parameters: 256000 * 18432 / 12}, Sharding: Sharding{Stage: 3, GradientBytes: 4, WeightBytes: 2, Ranks: 256}, Tied: 256000 * 18432 / 12, Norm: true}
	for b.Loop() {
		if _, err := s.Play(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlay(b *testing.B) {
	for _, c := range []struct {
		name    string
		p, v, m int64
		s       Schedule
		exact   bool
	}{
		{"p64m1536", 64, 1, 1536, OneFOneB, false},
		{"p64m1536exact", 64, 1, 1536, OneFOneB, true},
		{"p8v6m96", 8, 6, 96, Interleaved, false},
		{"p64v2m1536", 64, 2, 1536, Interleaved, false},
		{"p64m1536zb", 64, 1, 1536, ZeroBubble, false},
		{"p8m96", 8, 1, 96, OneFOneB, false},
		{"p1m16", 1, 1, 16, OneFOneB, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := benchStep(c.p, c.v, c.m, c.s)
			s.Exact = c.exact
			b.ReportAllocs()
			var slots int64
			for b.Loop() {
				r, err := s.Play()
				if err != nil {
					b.Fatal(err)
				}
				slots = r.Slots
			}
			b.ReportMetric(float64(slots), "slots")
		})
	}
}
