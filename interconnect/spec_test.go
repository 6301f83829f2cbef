package interconnect_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

// plain is a network without latency at full efficiency, 1 GB/s.
func plain() interconnect.Spec {
	return interconnect.Spec{Topology: "switch", Bandwidth: 1e9, Library: interconnect.Library{Protocols: []interconnect.Protocol{
		{Name: "ring", Efficiency: 1}}}}
}

// Payload and rounds of ring algorithms over n ranks with S bytes: Patarasuk and Yuan, JPDC 2009.
func TestPayload(t *testing.T) {
	for _, c := range []struct {
		op    interconnect.Op
		ranks int64
		bytes units.Bytes
		sent  units.Bytes
		steps int64
	}{
		{interconnect.AllReduce, 2, 1e6, 1e6, 2},            // 2(n−1)/n = 1
		{interconnect.AllReduce, 4, 1e6, 15e5, 6},           // 3/2
		{interconnect.AllReduce, 8, 1e6, 175e4, 14},         // 7/4
		{interconnect.AllReduce, 3, 1e6, 1333334, 4},        // 4/3, rounded up
		{interconnect.AllGather, 8, 1e6, 875e3, 7},          // (n−1)/n
		{interconnect.ReduceScatter, 8, 1e6, 875e3, 7},      //
		{interconnect.AllToAll, 8, 1e6, 875e3, 7},           //
		{interconnect.Broadcast, 8, 1e6, 1e6, 7},            // 1
		{interconnect.SendRecv, 8, 1e6, 1e6, 1},             //
		{interconnect.SendRecv, 2, 1<<60 + 1, 1<<60 + 1, 1}, // nor is lost to rounding
		{interconnect.SendRecv, 2, 1, 1, 1},                 //
		{interconnect.AllReduce, 1000, 1, 2, 1998},          // a part of a byte is a byte
		{interconnect.AllReduce, 2, 1 << 62, 1 << 62, 2},    // nothing overflows on the way
		{interconnect.AllGather, 1 << 40, 1 << 40, 1<<40 - 1, 1<<40 - 1},
	} {
		s := plain()
		got, err := s.Schedule(&s.Library, c.op, c.ranks, c.bytes)
		want := interconnect.Schedule{Protocol: "ring", Sent: c.sent, Occupied: c.sent, Steps: c.steps}
		if err != nil || got != want {
			t.Errorf("%s over %d of %d B: %+v, %v; want %+v", c.op, c.ranks, int64(c.bytes), got, err, want)
		}
	}
}

// Time is base + step·steps + chunk·√sent, and the link is busy for sent/(bandwidth·efficiency): all
// worked out by hand for 1 MB over four chips, of which 1.5 MB go through each link in 6 steps.
func TestLatency(t *testing.T) {
	s := plain()
	s.Library.Protocols = []interconnect.Protocol{{Name: "p", Base: 7 * units.Microsecond, Step: 2 * units.Microsecond, Chunk: 10 * units.Nanosecond, Efficiency: 0.75}}
	got, err := s.Schedule(&s.Library, interconnect.AllReduce, 4, 1e6)
	// √1500000 = 1224.7448713…; times 10 000 ps, rounded up.
	want := interconnect.Schedule{Protocol: "p", Sent: 15e5, Occupied: 15e5, Steps: 6, Latency: 7_000_000 + 12_000_000 + 12_247_449}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if r := s.Rate(&s.Library, 8); r != 75e7 {
		t.Errorf("rate %d, want 750 MB/s", r)
	}
	// A second protocol is faster, so the rate is its rate, and the first occupies the link for longer.
	s.Library.Protocols = append(s.Library.Protocols, interconnect.Protocol{Name: "q", Base: units.Second, Efficiency: 1})
	got, err = s.Schedule(&s.Library, interconnect.AllReduce, 4, 1e6)
	want.Occupied = 2e6
	if err != nil || got != want || s.Rate(&s.Library, 8) != 1e9 {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// A direct protocol sends the whole buffer to each of the n−1 others, in as many steps, and only reduces.
func TestDirect(t *testing.T) {
	s := plain()
	s.Library.Protocols[0].Base = 100 * units.Microsecond
	s.Library.Protocols = append(s.Library.Protocols, interconnect.Protocol{Name: "one-shot", Direct: true, Step: 1 * units.Microsecond, Efficiency: 0.5})
	for _, c := range []struct {
		op    interconnect.Op
		bytes units.Bytes
		want  interconnect.Schedule
	}{
		{interconnect.AllReduce, 1000, interconnect.Schedule{Protocol: "one-shot", Sent: 7000, Occupied: 14000, Steps: 7, Latency: 7 * units.Microsecond}},
		{interconnect.AllReduce, 1e6, interconnect.Schedule{Protocol: "ring", Sent: 175e4, Occupied: 175e4, Steps: 14, Latency: 100 * units.Microsecond}},
		{interconnect.AllGather, 1000, interconnect.Schedule{Protocol: "ring", Sent: 875, Occupied: 875, Steps: 7, Latency: 100 * units.Microsecond}},
		// Where seven times the buffer cannot be counted the ring still sends 7/4 of it.
		{interconnect.AllReduce, 1 << 61, interconnect.Schedule{Protocol: "ring", Sent: 7 << 59, Occupied: 7 << 59, Steps: 14, Latency: 100 * units.Microsecond}},
	} {
		if got, err := s.Schedule(&s.Library, c.op, 8, c.bytes); err != nil || got != c.want {
			t.Errorf("%s of %v: %+v, %v; want %+v", c.op, c.bytes, got, err, c.want)
		}
	}
	// What the ring cannot count a direct protocol cannot either, in whichever order they stand.
	s.Library.Protocols[0], s.Library.Protocols[1] = s.Library.Protocols[1], s.Library.Protocols[0]
	if got, err := s.Schedule(&s.Library, interconnect.AllReduce, 2, math.MaxInt64); err == nil {
		t.Errorf("%+v", got)
	}
}

// Where the two protocols of a library take the same time, by hand: 10 us + S/0.5 GB/s = 20 us + S/1 GB/s
// at 10 kB.
func TestProtocolChoice(t *testing.T) {
	s := plain()
	s.Library.Protocols = []interconnect.Protocol{
		{Name: "low-latency", Base: 10 * units.Microsecond, Efficiency: 0.5},
		{Name: "simple", Base: 20 * units.Microsecond, Efficiency: 1},
	}
	for bytes, want := range map[units.Bytes]string{1: "low-latency", 9_999: "low-latency", 10_000: "low-latency", 10_001: "simple", 1e9: "simple"} {
		got, err := s.Schedule(&s.Library, interconnect.SendRecv, 2, bytes)
		if err != nil || got.Protocol != want {
			t.Errorf("%v: %+v, %v; want %s", bytes, got, err, want)
		}
	}
}

var ops = []interconnect.Op{interconnect.AllReduce, interconnect.AllGather, interconnect.ReduceScatter, interconnect.AllToAll, interconnect.Broadcast, interconnect.SendRecv}

// One rank has nobody to talk to, and nothing takes no time to send.
func TestNothing(t *testing.T) {
	s := plain()
	s.Library.Protocols[0].Base = units.Microsecond
	for _, op := range ops {
		for _, c := range []struct {
			ranks int64
			bytes units.Bytes
		}{{1, 1e6}, {1, 0}, {8, 0}} {
			if got, err := s.Schedule(&s.Library, op, c.ranks, c.bytes); err != nil || got != (interconnect.Schedule{}) {
				t.Errorf("%s over %d of %v: %+v, %v", op, c.ranks, c.bytes, got, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	slow := interconnect.Library{Protocols: []interconnect.Protocol{{Name: "slow", Step: units.Second, Chunk: units.Second, Efficiency: 1}}}
	tiny := interconnect.Library{Protocols: []interconnect.Protocol{{Name: "tiny", Efficiency: 1e-300}, {Name: "one", Base: units.Second, Step: units.Second, Efficiency: 1}}}
	s := plain()
	for _, c := range []struct {
		name    string
		library *interconnect.Library
		op      interconnect.Op
		ranks   int64
		bytes   units.Bytes
		want    string
	}{
		{"no rank", &s.Library, interconnect.AllReduce, 0, 1, "collective all-reduce over 0 ranks of 1 bytes: there must be a rank and no negative size"},
		{"negative", &s.Library, interconnect.AllReduce, 2, -1, "collective all-reduce over 2 ranks of -1 bytes: there must be a rank and no negative size"},
		{"unknown", &s.Library, "gather", 2, 1, `unknown collective "gather"`},
		{"unknown, alone", &s.Library, "gather", 1, 1, `unknown collective "gather"`},
		{"bytes", &s.Library, interconnect.AllReduce, 4, math.MaxInt64, "too large"},
		{"ranks", &s.Library, interconnect.AllReduce, math.MaxInt64, 1, "too large"},
		{"steps", &slow, interconnect.AllGather, 1 << 40, 1, "too large"},
		{"pipeline fill", &slow, interconnect.SendRecv, 2, 1 << 62, "too large"},
		{"both protocols", &tiny, interconnect.AllGather, 1 << 40, 1 << 40, "too large"},
		{"no protocol", &interconnect.Library{}, interconnect.SendRecv, 2, 1, "too large"},
	} {
		got, err := s.Schedule(c.library, c.op, c.ranks, c.bytes)
		if err == nil || !strings.Contains(err.Error(), c.want) || got != (interconnect.Schedule{}) {
			t.Errorf("%s: %+v, %v; want %s", c.name, got, err, c.want)
		}
	}
	// A protocol that cannot do it is no reason against one that can.
	if got, err := s.Schedule(&tiny, interconnect.AllGather, 4, 1<<40); err != nil || got.Protocol != "one" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		bandwidth units.BytesPerSecond
		share     float64
		want      int64
	}{{300e9, 0.743, 222900e6}, {1e-3, 1, 1}, {3, 0.5, 2}, {1e300, 1, 1 << 62}} {
		s := plain()
		s.Bandwidth, s.Library.Protocols[0].Efficiency = c.bandwidth, c.share
		if got := s.Rate(&s.Library, 8); got != c.want {
			t.Errorf("%v of %v: %d, want %d", c.share, c.bandwidth, got, c.want)
		}
	}
}

func drawNetwork(t *rapid.T) interconnect.Spec {
	s := plain()
	s.Bandwidth = units.BytesPerSecond(rapid.Float64Range(1e9, 1e13).Draw(t, "bandwidth"))
	s.Library.Protocols = nil
	for i := range rapid.IntRange(1, 4).Draw(t, "protocols") {
		direct := i > 0 && rapid.Bool().Draw(t, "direct")
		time := rapid.Int64Range(0, int64(100*units.Microsecond))
		s.Library.Protocols = append(s.Library.Protocols, interconnect.Protocol{
			Name: fmt.Sprint("p", i), Direct: direct, Base: units.Time(time.Draw(t, "base")), Step: units.Time(time.Draw(t, "step")),
			Chunk: units.Time(rapid.Int64Range(0, int64(100*units.Nanosecond)).Draw(t, "chunk")), Efficiency: rapid.Float64Range(0.01, 1).Draw(t, "efficiency")})
	}
	return s
}

// seconds is how long a schedule takes on its links alone.
func seconds(s *interconnect.Spec, l *interconnect.Library, c interconnect.Schedule) float64 {
	return c.Latency.Seconds() + float64(c.Occupied)/float64(s.Rate(l, 8))
}

// The choice among protocols is the least of what each would take alone, and each takes what its
// constants say.
func TestLeastProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawNetwork(t)
		op := rapid.SampledFrom(ops).Draw(t, "op")
		ranks := rapid.Int64Range(2, 5000).Draw(t, "ranks")
		bytes := units.Bytes(rapid.Int64Range(1, 1<<40).Draw(t, "bytes"))
		got, err := s.Schedule(&s.Library, op, ranks, bytes)
		if err != nil {
			t.Fatal(err)
		}
		least, name := math.Inf(1), ""
		for _, p := range s.Library.Protocols {
			// As written in the package comment.
			n, steps := float64(ranks), float64(ranks-1)
			w := map[interconnect.Op]float64{interconnect.AllReduce: 2 * (n - 1) / n, interconnect.Broadcast: 1, interconnect.SendRecv: 1}[op]
			switch {
			case p.Direct && op != interconnect.AllReduce:
				continue
			case p.Direct:
				w = n - 1
			case op == interconnect.AllReduce:
				steps = 2 * (n - 1)
			case op == interconnect.SendRecv:
				steps = 1
			case w == 0:
				w = (n - 1) / n
			}
			sent := math.Ceil(w * float64(bytes))
			x := p.Base.Seconds() + float64(p.Step.Seconds()*steps) +
				float64(p.Chunk.Seconds()*math.Sqrt(sent)) + sent/(float64(s.Bandwidth)*p.Efficiency)
			if x < least {
				least, name = x, p.Name
			}
		}
		// Rates and bytes are whole numbers, times whole picoseconds.
		if x := seconds(&s, &s.Library, got); math.Abs(x-least) > 1e-6*least+3/float64(s.Rate(&s.Library, 8))+1e-12 {
			t.Fatalf("%+v takes %g s, protocol %s would take %g", got, x, name, least)
		}
		if got.Occupied < got.Sent {
			t.Fatalf("%+v keeps its links for less than it sends", got)
		}
	})
}

// More bytes never take less time and no fewer bytes on the links, more bandwidth never more time.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawNetwork(t)
		op := rapid.SampledFrom(ops).Draw(t, "op")
		ranks := rapid.Int64Range(2, 5000).Draw(t, "ranks")
		size := rapid.Int64Range(1, 1<<40)
		less := units.Bytes(size.Draw(t, "bytes"))
		more := less + units.Bytes(size.Draw(t, "more"))
		a, err := s.Schedule(&s.Library, op, ranks, less)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Schedule(&s.Library, op, ranks, more)
		if err != nil {
			t.Fatal(err)
		}
		ta, tb := seconds(&s, &s.Library, a), seconds(&s, &s.Library, b)
		if tb < ta*(1-1e-12) || a.Protocol == b.Protocol && (b.Sent < a.Sent || a.Steps != b.Steps) {
			t.Fatalf("%v: %+v, %g s; %v: %+v, %g s", less, a, ta, more, b, tb)
		}
		fast := s
		fast.Bandwidth *= 2
		c, err := fast.Schedule(&s.Library, op, ranks, less)
		if err != nil || seconds(&fast, &s.Library, c) > ta*(1+1e-12) {
			t.Fatalf("twice the bandwidth: %+v instead of %+v, %v", c, a, err)
		}
	})
}

// All ranks together send what the algorithm has to move: each byte of a gathered or scattered buffer to
// n−1 others, and a reduction is a scatter and a gather.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plain()
		ranks := rapid.Int64Range(2, 5000).Draw(t, "ranks")
		shard := rapid.Int64Range(1, 1<<30).Draw(t, "bytes of a rank")
		bytes := units.Bytes(shard * ranks)
		sent := func(op interconnect.Op) units.Bytes {
			c, err := s.Schedule(&s.Library, op, ranks, bytes)
			if err != nil {
				t.Fatal(err)
			}
			return c.Sent
		}
		for _, op := range []interconnect.Op{interconnect.AllGather, interconnect.ReduceScatter, interconnect.AllToAll} {
			if got := sent(op); got*units.Bytes(ranks) != bytes*units.Bytes(ranks-1) {
				t.Fatalf("%s: %d ranks send %v each of %v", op, ranks, got, bytes)
			}
		}
		if got := sent(interconnect.AllReduce); got != sent(interconnect.ReduceScatter)+sent(interconnect.AllGather) {
			t.Fatalf("all-reduce sends %v", got)
		}
		if sent(interconnect.Broadcast) != bytes || sent(interconnect.SendRecv) != bytes {
			t.Fatal("a buffer is passed on once")
		}
	})
}

func TestValidate(t *testing.T) {
	const protocol = "{name: p, base: 1 us, step: 1 us, chunk: 0 ns, efficiency: 0.9}"
	for _, c := range []struct{ file, want string }{
		{"{topology: switch, bandwidth: 300 GB/s, library: {protocols: [" + protocol + "]}}", ""},
		{"{topology: torus, dimensions: [2, 2, 2], bandwidth: 300 GB/s, library: {protocols: [" + protocol + "]}}", ""},
		{"{topology: torus, dimensions: [2, 0], bandwidth: 300 GB/s, library: {protocols: [" + protocol + "]}}", `dimensions[1]: "0": must be more than 0`},
		{"{topology: start, bandwidth: 0 GB/s, library: {protocols: []}}", `topology: "start": must be one of switch, ring, torus, mesh, fully-connected
n.yaml:1: bandwidth: "0 GB/s": must be more than 0 B/s
n.yaml:1: library.protocols: 0 elements: must be at least 1`},
		{"{topology: ring, bandwidth: 1 GB/s, library: {protocols: [{name: p, direct: true, base: 1 us, step: 1 us, chunk: 0 ns, efficiency: 0.9}]}}",
			"library.protocols: all are direct, which is for all-reduces only, or have a largest message (add one that is not and has none)"},
		{"{topology: ring, bandwidth: 1 GB/s, library: {protocols: [" + protocol + ", " + protocol + "]}}", `library.protocols[1].name: "p": the name is used before`},
	} {
		var s interconnect.Spec
		want := c.want
		if want != "" {
			want = "n.yaml:1: " + want
		}
		err := spec.Decode("n.yaml", []byte(c.file), &s)
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s:\n%s\nwant\n%s", c.file, got, want)
		}
	}
}

func TestValidateScaleOut(t *testing.T) {
	for members, want := range map[string]string{
		"":                                   "",
		", group: 32":                        "",
		", group: 32, oversubscription: 2":   "",
		", group: 32, oversubscription: 1":   "",
		", oversubscription: 2":              "oversubscription: is at least 1, of groups of nodes (e.g. group: 32, oversubscription: 2)",
		", group: 32, oversubscription: 0.5": "oversubscription: is at least 1, of groups of nodes (e.g. group: 32, oversubscription: 2)",
		", topology: fat-tree":               "topology: unknown field",
	} {
		var o interconnect.ScaleOut
		err := spec.Decode("n.yaml", []byte("{nics: 8, bandwidth: 50 GB/s, efficiency: 1, library: {protocols: [{name: p, base: 1 us, step: 1 us, chunk: 0 ns, efficiency: 0.9}]}"+members+"}"), &o)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", members, err, want)
		}
	}
}

// TestReach: a group of a torus uses the links of the dimensions that it fills. Two of 2×2×2 chips have
// one of their three links between them, four have two; in 4×4×4 a line of four has two of six, in a mesh of 4×8 one of four.
// Two chips of a full mesh of seven have one of the six links of each.
func TestReach(t *testing.T) {
	lib := interconnect.Library{Protocols: []interconnect.Protocol{{Name: "ring", Efficiency: 1}}}
	for _, c := range []struct {
		topology   string
		dimensions []int64
		ranks      int64
		want       int64
	}{
		{"torus", []int64{2, 2, 2}, 2, 200}, {"torus", []int64{2, 2, 2}, 4, 400}, {"torus", []int64{2, 2, 2}, 8, 600},
		{"torus", []int64{4, 4, 4}, 2, 100}, {"torus", []int64{4, 4, 4}, 4, 200}, {"torus", []int64{4, 4, 4}, 16, 400}, {"torus", []int64{4, 4, 4}, 64, 600},
		{"mesh", []int64{2, 2}, 2, 300}, {"mesh", []int64{4, 8}, 4, 150}, {"mesh", []int64{4, 8}, 32, 300}, {"mesh", []int64{1, 2}, 2, 600},
		{"fully-connected", []int64{7}, 2, 100}, {"fully-connected", []int64{7}, 4, 300}, {"fully-connected", []int64{7}, 7, 600}, {"ring", nil, 2, 300}, {"ring", nil, 8, 600},
		{"switch", nil, 2, 600}, {"fully-connected", nil, 3, 600},
	} {
		s := interconnect.Spec{Topology: c.topology, Dimensions: c.dimensions, Bandwidth: 600, Library: lib}
		if got := s.Rate(&lib, c.ranks); got != c.want {
			t.Errorf("%s %v, %d ranks: %d B/s, want %d", c.topology, c.dimensions, c.ranks, got, c.want)
		}
	}
}

// A protocol may be for some collectives only; each collective needs one.
func TestProtocolsFor(t *testing.T) {
	s := plain()
	s.Library.Protocols = []interconnect.Protocol{
		{Name: "ring", For: []interconnect.Op{interconnect.AllReduce, interconnect.AllGather, interconnect.ReduceScatter, interconnect.Broadcast, interconnect.SendRecv}, Efficiency: 1},
		{Name: "pairwise", For: []interconnect.Op{interconnect.AllToAll}, Base: units.Microsecond, Efficiency: 0.5},
	}
	for _, op := range ops {
		want := "ring"
		if op == interconnect.AllToAll {
			want = "pairwise"
		}
		if got, err := s.Schedule(&s.Library, op, 8, 1e6); err != nil || got.Protocol != want {
			t.Errorf("%s: %+v, %v", op, got, err)
		}
	}
	if err := spec.Validate(&s.Library); err != nil {
		t.Error(err)
	}
	s.Library.Protocols = s.Library.Protocols[:1]
	if err := spec.Validate(&s.Library); err == nil || !strings.Contains(err.Error(), "none is for all-to-all of any size (name it in a protocol's list for, or leave the list out)") {
		t.Error(err)
	}
	var l interconnect.Library
	if err := spec.Decode("l.yaml", []byte("protocols: [{name: ring, for: [all-reduces], efficiency: 1}]"), &l); err == nil || !strings.Contains(err.Error(), `did you mean "all-reduce"?`) {
		t.Error(err)
	}
}

// TestScheduleBy: of the protocols, one by name; all of them are compared at the rate of the best one.
func TestScheduleBy(t *testing.T) {
	lib := interconnect.Library{Protocols: []interconnect.Protocol{
		{Name: "quick", Direct: true, Base: 1e6, Efficiency: 0.5}, {Name: "ring", Base: 1e7, Efficiency: 0.8}}}
	s := interconnect.Spec{Topology: "switch", Bandwidth: 1e11, Library: lib}
	free, err := s.Schedule(&lib, interconnect.AllReduce, 4, 1024)
	if err != nil || free.Protocol != "quick" {
		t.Fatalf("%+v, %v: a small payload takes the quick protocol", free, err)
	}
	for _, name := range []string{"quick", "ring"} {
		c, err := s.ScheduleBy(&lib, name, interconnect.AllReduce, 4, 1024)
		if err != nil || c.Protocol != name {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
		if name == free.Protocol && c != free {
			t.Errorf("asked for by name it is %+v, chosen %+v", c, free)
		}
	}
	for name, op := range map[string]interconnect.Op{"quick": interconnect.AllGather, "tree": interconnect.AllReduce} {
		if c, err := s.ScheduleBy(&lib, name, op, 4, 1024); err != nil || c.Protocol != "" {
			t.Errorf("%s does not do %s, but %+v, %v", name, op, c, err)
		}
	}
}
