package parallel

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Bad programs get an answer that names rank, group and reason.
func TestProgramsThatCannotBe(t *testing.T) {
	reduce := func(tag string, bytes units.Bytes, ranks ...int64) Op {
		return Op{Collective: interconnect.AllReduce, Tag: tag, Bytes: bytes, Ranks: ranks}
	}
	send := func(tag string, bytes units.Bytes, from, to int64) Op {
		return Op{Collective: interconnect.SendRecv, Tag: tag, Bytes: bytes, Ranks: []int64{from, to}}
	}
	for _, tt := range []struct {
		name     string
		programs [][]Op
		want     string // "" for none
	}{
		{"fine", [][]Op{{reduce("a", 8, 0, 1), send("x", 4, 0, 1)}, {{Kernels: 5}, reduce("a", 8, 0, 1), send("x", 4, 0, 1)}}, ""},
		{"size", [][]Op{{reduce("a", 8, 0, 1)}, {reduce("a", 4, 0, 1)}},
			`ranks disagree: rank 0 is at all-reduce "a" of 8 B over ranks 0 1, rank 1 at all-reduce "a" of 4 B over ranks 0 1`},
		{"tag", [][]Op{{reduce("a", 8, 0, 1), reduce("b", 8, 0, 1)}, {reduce("b", 8, 0, 1), reduce("a", 8, 0, 1)}}, `rank 1 at all-reduce "b"`},
		{"kind", [][]Op{{reduce("a", 8, 0, 1)}, {{Collective: interconnect.AllGather, Tag: "a", Bytes: 8, Ranks: []int64{0, 1}}}}, `rank 1 at all-gather "a"`},
		{"groups cross", [][]Op{
			{reduce("a", 8, 0, 1), reduce("c", 8, 0, 2)},
			{reduce("b", 8, 1, 2), reduce("a", 8, 0, 1)},
			{reduce("c", 8, 0, 2), reduce("b", 8, 1, 2)},
		}, `no rank can go on: rank 0 waits in all-reduce "a" of 8 B over ranks 0 1 for rank 1, which is at all-reduce "b" of 8 B over ranks 1 2; rank 1 waits`},
		{"missing", [][]Op{{reduce("a", 8, 0, 1)}, {{Kernels: 1}}}, "for rank 1, which has ended"},
		{"no such rank", [][]Op{{reduce("a", 8, 0, 7)}}, "rank 0, operation 0: all-reduce \"a\" of 8 B over ranks 0 7: there is no rank 7"},
		{"not itself", [][]Op{{reduce("a", 8, 1, 2)}, nil, nil}, "the rank itself is not in the group"},
		{"twice", [][]Op{{reduce("a", 8, 0, 0)}}, "each once"},
		{"receives wait for each other", [][]Op{{send("x", 4, 1, 0), send("y", 4, 0, 1)}, {send("y", 4, 0, 1), send("x", 4, 1, 0)}}, "no rank can go on"},
		{"messages disagree", [][]Op{{send("x", 4, 0, 1)}, {send("x", 8, 0, 1)}}, `rank 1 receives the message "x" of 8 B from rank 0 to rank 1, rank 0 sends the message "x" of 4 B`},
		{"not received", [][]Op{{send("x", 4, 0, 1)}, nil}, `rank 1 never receives the message "x"`},
		{"to itself", [][]Op{{send("x", 4, 0, 0)}}, "another rank as its receiver"},
		{"negative", [][]Op{{{Kernels: -1}}}, "negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := PlayPrograms(tt.programs, wire{1, 1})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

// A step is what its ranks' programs come to, each rank played with lists of its own: every rank of every group, sends that
// keep nobody, reductions after the last slot.
func TestStepIsItsPrograms(t *testing.T) {
	often(t, func(t *rapid.T) {
		d := Degrees{TP: rapid.Int64Range(1, 2).Draw(t, "tp"), PP: rapid.Int64Range(1, 4).Draw(t, "pp"), DP: rapid.Int64Range(1, 3).Draw(t, "dp"), Interleave: 1}
		m := rapid.Int64Range(1, 9).Draw(t, "m")
		schedule := rapid.SampledFrom([]Schedule{GPipe, OneFOneB, Interleaved, ZeroBubble}).Draw(t, "schedule")
		if schedule == Interleaved && d.PP > 1 {
			d.Interleave, m = rapid.Int64Range(1, 3).Draw(t, "v"), m*d.PP
		}
		times := func(name string) units.Time { return units.Time(rapid.Int64Range(0, 500).Draw(t, name)) }
		net := wire{times("alpha"), times("beta") / 100}
		s := &Step{Degrees: d, Network: net, Layers: []Run{{layer(times("f"), times("b"), times("w")), d.PP*d.Interleave + rapid.Int64Range(0, 3).Draw(t, "more")}},
			Embedding: layer(times("ef"), times("eb"), 0), Head: layer(times("hf"), times("hb"), times("hw")), Microbatches: m, Schedule: schedule,
			Boundary: Boundary{Bytes: 10}, Sharding: Sharding{GradientBytes: 4}}
		s.Layers[0].Parameters, s.Head.Parameters = 7, 20
		for range rapid.IntRange(0, 2).Draw(t, "slow chips") {
			s.Faults = append(s.Faults, Fault{Rank: rapid.Int64Range(0, d.Chips()-1).Draw(t, "rank"), Slow: float64(rapid.IntRange(1, 3).Draw(t, "slow"))})
		}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}

		kind, v, _, err := Resolve(schedule, d.PP, d.Interleave, m)
		if err != nil {
			t.Fatal(err)
		}
		split, err := s.split(d.PP, v)
		if err != nil {
			t.Fatal(err)
		}
		programs := make([][]Op, d.Chips())
		for r := range d.Chips() {
			tp, dp, pp := r%d.TP, r/d.TP%d.DP, r/d.TP/d.DP
			slow := units.Time(1)
			for _, f := range s.Faults { // it waits for the slowest of its tensor group
				if f.Rank/d.TP == r/d.TP {
					slow = max(slow, units.Time(f.Slow))
				}
			}
			peer := func(stage int64) int64 { return tp + d.TP*(dp+d.DP*stage) }
			weight := func(b *Block) units.Time { return b.Weight.Time }
			bytes := units.Bytes(0)
			for _, sl := range slotsOf(kind, d.PP, v, m, pp) {
				at := int64(sl.Chunk)*d.PP + pp
				time := func(b *Block) units.Time {
					switch {
					case sl.Pass == ForwardPass:
						return b.Forward.Time
					case sl.Pass == WeightPass:
						return weight(b)
					case kind == ZeroBubble:
						return b.Backward.Time
					}
					return b.Backward.Time + weight(b)
				}
				all := units.Time(split[at]) * time(&s.Layers[0].Block)
				if at == 0 {
					all += time(&s.Embedding)
				}
				if at == d.PP*v-1 {
					all += time(&s.Head)
				}
				tag := func(c int64) string { return fmt.Sprint(sl.Pass, c, sl.Microbatch) }
				msg := func(from, to, c int64) Op {
					return Op{Collective: interconnect.SendRecv, Tag: tag(c), Bytes: 10, Ranks: []int64{peer(from), peer(to)}}
				}
				ops := &programs[r]
				switch sl.Pass {
				case ForwardPass:
					if at > 0 {
						*ops = append(*ops, msg((pp+d.PP-1)%d.PP, pp, at))
					}
					*ops = append(*ops, Op{Kernels: all * slow})
					if at < d.PP*v-1 {
						*ops = append(*ops, msg(pp, (pp+1)%d.PP, at+1))
					}
				case BackwardPass:
					if at < d.PP*v-1 {
						*ops = append(*ops, msg((pp+1)%d.PP, pp, at))
					}
					*ops = append(*ops, Op{Kernels: all * slow})
					if at > 0 {
						*ops = append(*ops, msg(pp, (pp+d.PP-1)%d.PP, at-1))
					}
				default:
					*ops = append(*ops, Op{Kernels: all * slow})
				}
			}
			for c := range v {
				bytes += units.Bytes(4 * 7 * split[c*d.PP+pp])
			}
			if pp == d.PP-1 {
				bytes += 4 * 20
			}
			var group []int64
			for i := range d.DP {
				group = append(group, tp+d.TP*(i+d.DP*pp))
			}
			programs[r] = append(programs[r], Op{Collective: interconnect.AllReduce, Tag: "gradients", Bytes: bytes, Ranks: group})
		}
		ends, err := PlayPrograms(programs, net)
		if err != nil {
			t.Fatal(err)
		}
		last := units.Time(0)
		for r, e := range ends {
			last = max(last, e)
			stage := int64(r) / d.TP / d.DP
			for _, c := range res.Classes {
				if c.Stage == stage && c.Ends.Update != e {
					t.Fatalf("rank %d of stage %d ends at %v, its class at %v", r, stage, e, c.Ends.Update)
				}
			}
		}
		if last != res.Time {
			t.Fatalf("programs end at %v, the step at %v", last, res.Time)
		}
	})
}
