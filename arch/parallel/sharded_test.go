package parallel

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// fsdp is one micro-batch under full sharding on two servers, by hand: kernels, and one queue of collectives in the order in which
// they are issued. At most two layers are gathered; the gather of the next layer is asked for when a layer starts, the
// scatter of its gradients when it has ended; the last layer is still there for its backward pass.
func fsdp(f, b, gather, scatter []units.Time) units.Time {
	n := len(f)
	var queue, now units.Time
	issue := func(ready, t units.Time) units.Time {
		queue = max(queue, ready) + t
		return queue
	}
	finish := make([]units.Time, n)
	for i := range n {
		ready := units.Time(0)
		if i >= 2 {
			ready = finish[i-2]
		}
		now = max(now, issue(ready, gather[i])) + f[i]
		finish[i] = now
	}
	next := units.Time(0)
	for i := n - 1; i >= 0; i-- {
		if i < n-1 {
			now = max(now, next)
		}
		if i > 0 {
			next = issue(now, gather[i-1])
		}
		now += b[i]
		issue(now, scatter[i])
	}
	return max(now, queue)
}

func TestFullySharded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "layers")
		net := wire{units.Time(rapid.Int64Range(0, 30).Draw(t, "alpha")), units.Time(rapid.Int64Range(0, 3).Draw(t, "beta"))}
		s := &Step{Degrees: Degrees{DP: 4}, Network: net, Microbatches: 1, Sharding: Sharding{Stage: 3, GradientBytes: 4, WeightBytes: 2}}
		var f, b, gather, scatter []units.Time
		for range n {
			l := layer(units.Time(rapid.Int64Range(1, 300).Draw(t, "f")), units.Time(rapid.Int64Range(1, 600).Draw(t, "b")), 0)
			l.Parameters = 4 * rapid.Int64Range(1, 40).Draw(t, "parameters")
			s.Layers = append(s.Layers, Run{l, 1})
			f, b = append(f, l.Forward.Time), append(b, l.Backward.Time)
			g, _ := net.Collective(interconnect.AllGather, interconnect.Group{Ranks: 4}, units.Bytes(2*l.Parameters))
			r, _ := net.Collective(interconnect.ReduceScatter, interconnect.Group{Ranks: 4}, units.Bytes(4*l.Parameters))
			gather, scatter = append(gather, g.Time), append(scatter, r.Time)
		}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if want := fsdp(f, b, gather, scatter); res.Time != want {
			t.Fatalf("the step takes %d, by hand %d", res.Time, want)
		}
	})
}

// What communication takes of the chip slows kernels beside it, by the part of them that it limits. With cores alone and kernels
// that they limit, t of communication beside longer kernels costs x·t, as Calculon has it.
func TestKernelsBesideCommunication(t *testing.T) {
	compute := func(name string, t units.Time) Unit { u := unit(name, t); u.Stalls = [8]units.Time{t}; return u }
	for _, tt := range []struct {
		name                    string
		chip                    Chip
		alpha                   units.Time // of the collective: 2·alpha for 3 ranks of an all-gather … here 1 step
		forward, backward, want units.Time
	}{
		// Weights of one layer of two: 200 of gather before, the second beside the first layer, scatters of 100 each.
		{"nothing is taken", Chip{}, 100, 1000, 2000, 100 + 2*1000 + 2*2000 + 100},
		{"a fifth of the cores", Chip{Cores: 100, Channels: [NumKinds]int64{Data: 20}}, 100, 1000, 2000,
			100 + 2*1000 + 2*2000 + 100 + 20 + 20 + 20}, // beside: a gather forward, a gather and a scatter backward
	} {
		l := Block{Forward: compute("f", tt.forward), Backward: compute("b", tt.backward), Parameters: 1}
		s := &Step{Degrees: Degrees{DP: 2}, Network: wire{tt.alpha, 0}, Chip: tt.chip, Microbatches: 1, Layers: []Run{{l, 2}},
			Sharding: Sharding{Stage: 3, GradientBytes: 4, WeightBytes: 2}}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if res.Time != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, res.Time, tt.want)
		}
		if got := res.Exposed[Data]; got != tt.want-2*tt.forward-2*tt.backward {
			t.Errorf("%s: %d exposed", tt.name, got)
		}
	}

	// Memory: kernels that it limits to the half, a communication that takes a fifth of it: 1 + 0.5·(0.2/0.8).
	own := mix{0.5, 0.5}
	if got := stretched(1000, own.stretch(load{0, taken(0.2)})); got != 1125 {
		t.Errorf("1000 beside a fifth of the memory takes %d, want 1125", got)
	}
	chip := Chip{Bandwidth: 1e12}
	if l := chip.load(Data, 100, 1000, gatherTraffic); l.memory != taken(0.2) || l.cores != 0 {
		t.Errorf("100 B in 1 ns at 1 TB/s, read and written, take %v of the memory", l)
	}
}

// Communications within units: in series, beside all kernels, and in passes as ring attention has them.
func TestCommunicationWithinUnits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		c       Comm
		exposed units.Time
	}{
		{"in series", Comm{Kind: Tensor, Time: 300}, 300},
		{"hidden", Comm{Kind: Tensor, Time: 300, Beside: 1000}, 0},
		{"longer than what hides it", Comm{Kind: Tensor, Time: 1300, Beside: 1000}, 300},
		{"three passes beside the first three of four blocks", Comm{Kind: Context, Time: 300, Beside: 400, Pieces: 3}, 0},
		{"passes longer than blocks", Comm{Kind: Context, Time: 450, Beside: 400, Pieces: 3}, 150},
		{"half of the cores", Comm{Kind: Tensor, Time: 300, Beside: 1000, Cores: 0.5}, 150}, // stretched twice for 300: 150 get done
	} {
		u := Unit{Name: "u", Time: 1000, Stalls: [8]units.Time{1000}, Comms: []Comm{tt.c}}
		c := u.cost(factors{1, 1})
		if c.time != 1000+tt.exposed || c.exposed[tt.c.Kind] != tt.exposed || c.stalls.Total() != c.time {
			t.Errorf("%s: %d, exposed %v", tt.name, c.time, c.exposed)
		}
	}
}

// ZeRO and overlap: what they do to a step of one stage, by hand. All-reduces are of two steps on two ranks, of 100 each whatever their
// size, or of 200 for the 40 B of each layer.
func TestReductions(t *testing.T) {
	l := layer(100, 200, 0)
	l.Parameters = 10
	steps, sizes := wire{100, 0}, wire{0, 5}
	for _, tt := range []struct {
		name string
		z    Sharding
		net  wire
		want units.Time
	}{
		{"all-reduce after all", Sharding{}, steps, 2*900 + 200},
		{"all-reduce after all, by size", Sharding{}, sizes, 2*900 + 600},
		{"beside the last backward pass", Sharding{Overlap: true}, sizes, 2*900 + 200},                       // one layer a time: the last is exposed
		{"in one bucket", Sharding{Overlap: true, Bucket: 1 << 20}, sizes, 2*900 + 600},                      // which is full at the end
		{"in buckets of two", Sharding{Overlap: true, Bucket: 60}, sizes, 2*900 + 400},                       // two, half of it beside the third, then the third
		{"optimizer's state divided", Sharding{Stage: 1}, steps, 2*900 + 100 + 100},                          // scatter, gather
		{"and overlapped", Sharding{Stage: 1, Overlap: true, OverlapGather: true}, steps, 100 + 2*900 + 100}, // first gather, last scatter
		{"gradients divided", Sharding{Stage: 2}, steps, 2*900 + 100 + 100},
	} {
		tt.z.GradientBytes, tt.z.WeightBytes = 4, 2
		s := &Step{Degrees: Degrees{DP: 2}, Network: tt.net, Microbatches: 2, Layers: []Run{{l, 3}}, Sharding: tt.z}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if res.Time != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, res.Time, tt.want)
		}
	}
	// State divided among two ranks of four: gathers and scatters within, gradients of the copies added up.
	s := &Step{Degrees: Degrees{DP: 4}, Network: wire{100, 0}, Microbatches: 1, Layers: []Run{{l, 1}}, Record: true,
		Sharding: Sharding{Stage: 3, Ranks: 2, GradientBytes: 4, WeightBytes: 2}}
	res, err := s.Play()
	if err != nil {
		t.Fatal(err)
	}
	if want := units.Time(100 + 300 + 100 + 200); res.Time != want {
		t.Errorf("hybrid: %d, want %d", res.Time, want)
	}
	var names []string
	for _, sp := range res.Spans {
		names = append(names, sp.Name)
	}
	if want := []string{"all-gather", "forward pass of micro-batch 0, chunk 0", "reduce-scatter", "backward pass of micro-batch 0, chunk 0", "reduction"}; !slices.Equal(names, want) {
		t.Errorf("spans %q", names)
	}
}

// Frozen weights are gathered with those that are trained, and not scattered; those of experts by the ranks that have copies of
// them. A layer has 10 trained weights (20 B, gradients of 40), and 80 B that are frozen beside 320 of experts; an embedding of
// 160 B has no backward pass. Four ranks send 3/4 of each byte, two 1/2.
func TestFrozenWeightsGathered(t *testing.T) {
	for _, tt := range []struct {
		name              string
		zero, ep          int64
		keep              bool
		gathers           []units.Time
		weights, gathered units.Bytes
	}{
		{"all divided", 3, 1, false, []units.Time{120, 315, 315, 315, 315, 315}, (160 + 3*(80+320)) / 4, 2*(10*8+80+320) + 160},
		{"two copies of experts", 3, 2, false, []units.Time{120, 235, 235, 235, 235, 235}, (160+3*80)/4 + 3*320/2, 2*(10*8+80+320) + 160},
		{"one copy of experts", 3, 4, false, []units.Time{120, 75, 75, 75, 75, 75}, (160+3*80)/4 + 3*320, 2*(10*8+80) + 160},
		{"kept for the backward pass", 3, 1, true, []units.Time{120, 315, 315, 315}, (160 + 3*(80+320)) / 4, 3*20 + 160 + 3*(80+320) + 2*10*6},
		{"not divided", 2, 1, false, nil, 160 + 3*(80+320), 10 * 4},
	} {
		l := layer(1000, 2000, 0)
		l.Parameters, l.FrozenBytes, l.FrozenExpertBytes = 10, 80, 320
		d, z := Degrees{DP: 4, EP: tt.ep}, Sharding{Stage: tt.zero, KeepGathered: tt.keep, GradientBytes: 4, WeightBytes: 2}
		s := &Step{Degrees: d, Network: wire{0, 1}, Microbatches: 1, Embedding: Block{Forward: unit("embedding", 1000), FrozenBytes: 160}, Layers: []Run{{l, 3}}, Sharding: z, Record: true}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		var gathers, scatters []units.Time
		for _, sp := range res.Spans {
			switch sp.Name {
			case "all-gather":
				gathers = append(gathers, sp.End-sp.Start)
			case "reduce-scatter":
				scatters = append(scatters, sp.End-sp.Start)
			}
		}
		if !slices.Equal(gathers, tt.gathers) || !slices.Equal(scatters, []units.Time{30, 30, 30}) {
			t.Errorf("%s: gathers of %v, scatters of %v, want %v and three of 30", tt.name, gathers, scatters, tt.gathers)
		}
		f := Footprint{Degrees: d, Microbatches: 1, Embedding: Held{Frozen: 160}, Layers: []Held{{Times: 3, Parameters: 10, Frozen: 80, FrozenExperts: 320}}, Sharding: z}
		ms, err := f.Stages()
		if err != nil {
			t.Fatal(err)
		}
		if m := &ms[0]; m.Weights != tt.weights || m.Gathered != tt.gathered {
			t.Errorf("%s: %d B of weights and %d gathered, want %d and %d", tt.name, m.Weights, m.Gathered, tt.weights, tt.gathered)
		}
	}
}

// Rings and exchanges, by hand: on a ring of 4 each rank hands on three times; tokens go and come back.
func TestRingAndExchange(t *testing.T) {
	c, err := Ring(wire{10, 2}, Degrees{TP: 2, CP: 4}, 100, 5000)
	if want := (Comm{Kind: Context, Time: 3 * 210, Beside: 5000, Pieces: 3}); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	c, err = Exchange(wire{10, 2}, Degrees{DP: 4, EP: 4}, 100)
	if want := (Comm{Kind: Expert, Time: 2 * (30 + 2*75)}); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, %v, want %+v", c, err, want)
	}
	for _, none := range []func() (Comm, error){
		func() (Comm, error) { return Ring(nil, Degrees{}, 100, 5000) },
		func() (Comm, error) { return Exchange(nil, Degrees{}, 100) },
	} {
		if c, err := none(); err != nil || c.Time != 0 {
			t.Errorf("%+v, %v", c, err)
		}
	}
}
