package parallel

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
)

// What must hold of every step.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := randomStep(t)
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		chips := int64(0)
		for i, c := range res.Classes {
			chips += c.Chips
			if got := c.Stalls.Total(); got != res.Time {
				t.Fatalf("class %d: stalls of %v in %v", i, got, res.Time)
			}
			link := units.Time(0)
			for _, e := range c.Exposed {
				if e < 0 {
					t.Fatalf("class %d: exposed %v", i, c.Exposed)
				}
				link += e
			}
			if c.Stalls[sim.Link] != link || c.Bubble < 0 || c.Stalls[sim.Dependency] != c.Bubble {
				t.Fatalf("class %d: link %v, exposed %v, bubble %v of %v", i, c.Stalls[sim.Link], c.Exposed, c.Bubble, c.Stalls)
			}
			var used, within units.Time
			for _, u := range c.Uses {
				if u.Stalls.Total() != u.Time {
					t.Fatalf("class %d: %+v", i, u)
				}
				used += u.Time
				within += u.Stalls[sim.Link]
			}
			if used-within > res.Time || used+c.Bubble+link-within != res.Time {
				t.Fatalf("class %d: units %v, bubble %v, exposed %v, of %v", i, used, c.Bubble, link, res.Time)
			}
		}
		if n := int64(len(res.Classes)) / s.Degrees.Or1().PP; chips != s.Degrees.Chips() {
			t.Fatalf("%d chips in %d classes a stage, there are %d", chips, n, s.Degrees.Chips())
		}
		slower := func(what string, change func()) {
			old := *s
			change()
			r, err := s.Play()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if r.Time < res.Time {
				t.Fatalf("%s: %v, before %v", what, r.Time, res.Time)
			}
			*s = old
		}
		// Nothing is taken from kernels here: beside another communication a slower kernel may lose less.
		s.Chip = Chip{}
		if res, err = s.Play(); err != nil {
			t.Fatal(err)
		}
		rank := rapid.Int64Range(0, s.Degrees.Chips()-1).Draw(t, "bad rank")
		slower("chips differ more", func() { s.Spread += 0.1 })
		slower("one chip is slow", func() { s.Faults = append([]Fault{{Rank: rank, Slow: 3}}, s.Faults...) })
		w := s.Network.(wire)
		slower("a slower network", func() { s.Network = wire{w.alpha + 7, w.beta + 1} })
		slower("a bad link", func() {
			s.Faults = append([]Fault{{Rank: rank, Network: wire{w.alpha + 100, w.beta + 5}}}, s.Faults...)
		})
	})
}

// On a network that costs nothing a stage waits for nothing but its order: the step is no longer than one after the other, and no
// shorter than the work of any stage.
func TestFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := randomStep(t)
		s.Network, s.Faults = free{}, nil
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		var all units.Time
		for _, c := range res.Classes {
			used := units.Time(0)
			for _, u := range c.Uses {
				used += u.Time
			}
			if used > res.Time {
				t.Fatalf("a stage works %v in %v", used, res.Time)
			}
			all += used
		}
		if res.Time > all {
			t.Fatalf("%v, longer than all work one after the other, %v", res.Time, all)
		}
	})
}

// One stage waits for no other, whatever the schedule.
func TestOneStage(t *testing.T) {
	for _, sc := range Schedules() {
		s := &Step{Layers: []Run{{layer(10, 20, 5), 7}}, Microbatches: 3, Schedule: sc}
		res, err := s.Play()
		if err != nil || res.Time != 3*7*35 || res.Bubble != 0 {
			t.Errorf("%s: %+v, %v", sc, res, err)
		}
	}
}

// Two equal stages, by hand: the first gradient is back after 100+10+300+10. With one micro-batch more than there are stages
// under way, a micro-batch's way there and back then takes 620 for two; sends that block cost each pair of slots an exchange.
func TestBlocking(t *testing.T) {
	for _, tt := range []struct {
		blocking     bool
		want, bubble units.Time
		exposed      units.Time
	}{
		{false, 420 + 300 + 3*620 + 200, 330, 50},
		{true, 420 + 7*310 + 200, 300, 90},
	} {
		s := &Step{Degrees: Degrees{PP: 2}, Network: wire{10, 0}, Layers: []Run{{layer(100, 200, 0), 2}}, Microbatches: 8, Boundary: Boundary{Bytes: 1, Blocking: tt.blocking}}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		if res.Time != tt.want || res.Bubble != tt.bubble || res.Exposed[Pipeline] != tt.exposed {
			t.Errorf("blocking %t: %d, bubble %d, exposed %d, want %d, %d, %d", tt.blocking, res.Time, res.Bubble, res.Exposed[Pipeline], tt.want, tt.bubble, tt.exposed)
		}
	}
}

// Steps that cannot be are refused with a field and a reason, and orders that cannot go on with stage and ranks.
func TestStepsThatCannotBe(t *testing.T) {
	good := func() *Step {
		return &Step{Degrees: Degrees{TP: 2, PP: 2, DP: 2}, Network: free{}, Layers: []Run{{layer(1, 2, 0), 4}}, Microbatches: 2}
	}
	f, b := ForwardPass, BackwardPass
	for _, tt := range []struct {
		name, field, want string
		change            func(*Step)
	}{
		{"no network", "network", "8 chips need one", func(s *Step) { s.Network = nil }},
		{"no micro-batch", "micro_batch", "0 micro-batches", func(s *Step) { s.Microbatches = 0 }},
		{"stage of ZeRO", "zero", "4: no such stage", func(s *Step) { s.Sharding.Stage = 4 }},
		{"ranks of a copy", "shard", "3 ranks hold a copy of the state (a divisor of cp·dp 2)", func(s *Step) { s.Sharding.Ranks = 3 }},
		{"schedule", "schedule", `"dualpipe": no such schedule (gpipe, 1f1b, interleaved or zero-bubble)`, func(s *Step) { s.Schedule = "dualpipe" }},
		{"chunks", "schedule", "gpipe has one chunk a stage, interleave is 2", func(s *Step) { s.Schedule, s.Degrees.Interleave = GPipe, 2 }},
		{"stages", "pp", "4 layers on 8 stages", func(s *Step) { s.Degrees.PP = 8 }},
		{"split", "stages", "sum to 3 layers, the model has 4", func(s *Step) { s.Split = []int64{1, 2} }},
		{"fault", "stragglers", "rank 8 does not exist (ranks are 0 to 7)", func(s *Step) { s.Faults = []Fault{{Rank: 8}} }},
		{"fault's factor", "stragglers", "rank 1 takes -2 times as long", func(s *Step) { s.Faults = []Fault{{Rank: 1, Slow: -2}} }},
		{"spread", "stragglers", "a spread of 3", func(s *Step) { s.Spread = 3 }},
		{"stalls", "", "unit layer forward: stalls sum to 1 ps, its time is 2 ps", func(s *Step) { s.Layers[0].Forward.Time = 2 }},
		{"beside", "", "beside 5 ps of 1 ps", func(s *Step) { s.Layers[0].Forward.Comms = []Comm{{Time: 1, Beside: 5}} }},
		{"cores", "", "takes 1 of the cores", func(s *Step) { s.Layers[0].Forward.Comms = []Comm{{Cores: 1}} }},
		{"order of too few stages", "schedule", "orders of 1 stages", func(s *Step) { s.Orders = [][]Slot{{}} }},
		{"slot twice", "schedule", "stage 0: the forward pass of micro-batch 0, chunk 0 is twice", func(s *Step) { s.Orders = [][]Slot{{{f, 0, 0}, {f, 0, 0}}, {}} }},
		{"backward first", "schedule", "stage 0: the backward pass of micro-batch 0, chunk 0 comes before the forward pass", func(s *Step) { s.Orders = [][]Slot{{{b, 0, 0}}, {}} }},
		{"slot missing", "schedule", "stage 0: 1 forward passes, there are 2 micro-batches", func(s *Step) { s.Orders = [][]Slot{{{f, 0, 0}}, {}} }},
		{"deadlock", "schedule", "no rank can go on: stage 0 (ranks 0 to 3) waits for stage 1 (ranks 4 to 7) before the backward pass of micro-batch 0, chunk 0; stage 1 (ranks 4 to 7) waits for stage 0",
			func(s *Step) {
				s.Orders = [][]Slot{{{f, 0, 0}, {b, 0, 0}, {f, 0, 1}, {b, 0, 1}}, {{f, 0, 0}, {f, 0, 1}, {b, 0, 0}, {b, 0, 1}}}
			}},
		{"disagree", "schedule", "stage 1 (ranks 4 to 7) takes up the forward pass of micro-batch 1, chunk 0, stage 0 (ranks 0 to 3) has sent what the forward pass of micro-batch 0, chunk 0 needs",
			func(s *Step) {
				s.Orders = [][]Slot{{{f, 0, 0}, {f, 0, 1}, {b, 0, 0}, {b, 0, 1}}, {{f, 0, 1}, {b, 0, 1}, {f, 0, 0}, {b, 0, 0}}}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := good()
			tt.change(s)
			_, err := s.Play()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v\nwant %s", err, tt.want)
			}
			var fe *FieldError
			if errors.As(err, &fe) != (tt.field != "") || fe != nil && fe.Field != tt.field {
				t.Errorf("%v: field %v, want %q", err, fe, tt.field)
			}
		})
	}
	if _, err := good().Play(); err != nil {
		t.Error(err)
	}
}

// slotsOf returns a stage's slots under a schedule, as Resolve has it.
func slotsOf(schedule Schedule, stages, chunks, microbatches, stage int64) []Slot {
	o := order{kind: schedule, p: stages, v: chunks, m: microbatches}
	slots := make([]Slot, o.len(stage))
	for i := range slots {
		slots[i] = o.at(stage, int64(i))
	}
	return slots
}

// A list of slots plays as the schedule that it spells out.
func TestOrders(t *testing.T) {
	for _, sc := range []Schedule{GPipe, OneFOneB, Interleaved, ZeroBubble} {
		s := &Step{Degrees: Degrees{PP: 3}, Network: wire{5, 0}, Layers: []Run{{layer(10, 20, 7), 6}}, Microbatches: 6, Schedule: sc, Boundary: Boundary{Bytes: 1}}
		if sc == Interleaved {
			s.Degrees.Interleave = 2
		}
		want, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Degrees.PP {
			s.Orders = append(s.Orders, slotsOf(sc, s.Degrees.PP, max(1, s.Degrees.Interleave), s.Microbatches, i))
		}
		got, err := s.Play()
		if err != nil || got.Time != want.Time {
			t.Errorf("%s: %v, %v, want %v", sc, got, err, want.Time)
		}
	}
}

// What runs as something else says so.
func TestNotes(t *testing.T) {
	s := &Step{Degrees: Degrees{PP: 4, Interleave: 2}, Network: free{}, Layers: []Run{{layer(1, 2, 0), 8}}, Microbatches: 6}
	res, err := s.Play()
	if err != nil || res.Schedule != OneFOneB || len(res.Notes) != 1 || !strings.Contains(res.Notes[0], "6 on 4 stages run as 1f1b") {
		t.Errorf("%+v, %v", res, err)
	}
	s.Microbatches, s.Degrees.Interleave = 2, 1
	if res, err = s.Play(); err != nil || len(res.Notes) != 1 || !strings.Contains(res.Notes[0], "fewer than the 4 stages") {
		t.Errorf("%+v, %v", res, err)
	}
}

// A slow chip slows its tensor group, its pipeline, and at the reduction all others.
func TestSlowChip(t *testing.T) {
	l := layer(100, 200, 0)
	l.Parameters, l.ExpertParameters = 50, 640
	s := &Step{Degrees: Degrees{TP: 4, PP: 4, DP: 640}, Network: free{}, Layers: []Run{{l, 8}}, Microbatches: 16, Sharding: Sharding{Stage: 1}}
	before, err := s.Play()
	if err != nil {
		t.Fatal(err)
	}
	s.Faults = []Fault{{Rank: 4*640*2 + 9, Slow: 1.5}} // of stage 2
	after, err := s.Play()
	if err != nil {
		t.Fatal(err)
	}
	if s.Degrees.Chips() < 10_000 || len(before.Classes) != 4 || len(after.Classes) != 8 {
		t.Errorf("%d chips, %d classes, then %d", s.Degrees.Chips(), len(before.Classes), len(after.Classes))
	}
	// The slow stage sets the pace: 16 micro-batches of 1.5 times 600; before them once forward through two stages, after them
	// once backward, and the wait for the first gradient.
	if want := units.Time(400 + 16*900 + 800 + 300); after.Time != want {
		t.Errorf("%d, then %d, want %d", before.Time, after.Time, want)
	}
	for i, c := range after.Classes {
		if c.Stage == 2 && c.Chips == 4 != (i == after.Critical) {
			t.Errorf("class %d of stage %d, %d chips: bubble %d", i, c.Stage, c.Chips, c.Bubble)
		}
		if c.Updated != 1+2 { // of 2 layers, divided over 640 ranks
			t.Errorf("class %d updates %d parameters", i, c.Updated)
		}
	}
}

// 1024 chips that all differ are played in full: 128 blocks of tensor groups, each as slow as its slowest chip.
func TestAllChipsDiffer(t *testing.T) {
	s := &Step{Degrees: Degrees{TP: 8, PP: 8, DP: 16}, Network: wire{1000, 1}, Layers: []Run{{layer(1e6, 2e6, 0), 16}}, Microbatches: 32, Boundary: Boundary{Bytes: 100},
		Sharding: Sharding{GradientBytes: 2}}
	even, err := s.Play()
	if err != nil {
		t.Fatal(err)
	}
	slowest := 1.0
	for r := range s.Degrees.Chips() {
		slow := 1 + float64(r*7919%1000)/10000 // up to a tenth slower, in no order
		slowest = max(slowest, slow)
		s.Faults = append(s.Faults, Fault{Rank: r, Slow: slow})
	}
	res, err := s.Play()
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Classes) != 128 {
		t.Errorf("%d classes", len(res.Classes))
	}
	if r := float64(res.Time) / float64(even.Time); r < 1+0.9*(slowest-1) || r > slowest {
		t.Errorf("%v takes %.3f times as long as %v with equal chips; the slowest chip %.3f times", res.Time, r, even.Time, slowest)
	}
}

// Whatever the sizes, there is an answer or an error.
func TestExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := randomStep(t)
		big := func(name string, most int64) int64 {
			return rapid.SampledFrom([]int64{0, 1, most / 2, most, most + 1, -1}).Draw(t, name)
		}
		u := &s.Layers[0].Forward
		u.Time = units.Time(big("time", int64(units.MaxTime)))
		u.Stalls, u.Comms = sim.Stalls{sim.Compute: u.Time}, nil
		s.Layers[0].Parameters = big("parameters", maxParameters)
		s.Boundary.Bytes = units.Bytes(big("boundary", maxBytes))
		s.Network = wire{units.Time(big("alpha", int64(units.MaxTime)/100)), 0}
		switch rapid.IntRange(0, 2).Draw(t, "many or long") {
		case 0:
			s.Microbatches = rapid.SampledFrom([]int64{1 << 12, 1<<20 + 1, -1}).Draw(t, "micro-batches")
		case 1:
			s.Microbatches = 2
			s.Layers[1].Times = rapid.SampledFrom([]int64{1 << 10, maxLayers, maxLayers + 1, 1 << 62, -1}).Draw(t, "layers")
		}
		res, err := s.Play()
		if err == nil && (res.Time < 0 || res.Time > units.MaxTime) {
			t.Fatalf("takes %v", res.Time)
		}
		if err != nil && strings.Contains(err.Error(), "internal") {
			t.Fatal(err)
		}
	})
}
