package parallel

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/stratasim/strata/sim/units"
)

// gpt3 is GPT-3 175B on 1024 A100 of 80 GB: 96 layers of 12288, 96 heads, batch 1536 (Brown et al. 2020; Narayanan et al. 2021).
func gpt3() *Space {
	return &Space{Chips: 1024, NodeChips: 8, Layers: 96, Heads: 96, Seq: 2048, GlobalBatch: 1536}
}

func gpt3Memory(m *Mapping) (units.Bytes, error) {
	tp := m.Degrees.TP
	f := Footprint{
		Degrees: m.Degrees, Microbatches: m.Microbatches, Schedule: m.Schedule, Seq: 2048, Batch: m.MicroBatch, Vocabulary: 51200, Recompute: m.Recompute,
		Layers: []Held{{Times: 96, Shape: gpt(12288, 96), Parameters: 12 * 12288 * 12288 / tp}}, Embedding: Held{Parameters: 51200 * 12288 / tp}, Tied: 51200 * 12288 / tp,
		State: AdamMixed32, Sharding: Sharding{Stage: m.ZeRO, GradientBytes: 4, WeightBytes: 2},
	}
	ms, err := f.Stages()
	if err != nil {
		return 0, err
	}
	return Fullest(ms).Total(), nil
}

// gpt3Time has layers at half of an A100's peak; units are made up, the rest is played.
func gpt3Time(m *Mapping) (units.Time, error) {
	tp, tokens := m.Degrees.TP, 2048*m.MicroBatch
	layerOps := 24 * tokens * 12288 * 12288 / tp
	t := units.Time(layerOps / 150) // 150 TFLOP/s are 150 operations a picosecond
	l := Block{Forward: unit("layer forward", t), Backward: unit("layer backward", 2*t), Parameters: 12 * 12288 * 12288 / tp}
	switch m.Recompute {
	case RecomputeFull:
		l.Recompute = unit("layer again", t)
	case RecomputeSelective:
		l.Recompute = unit("attention again", t/20)
	}
	if tp > 1 {
		c := Comm{Kind: Tensor, Time: units.Time(4 * tokens * 12288 * 2 * 4)}
		l.Forward.Comms = []Comm{c}
		l.Backward.Comms = []Comm{c}
	}
	head := 2 * tokens * 12288 * 51200 / tp / 150
	s := Step{
		Degrees: m.Degrees, Network: wire{2_000_000, 40}, Chip: Chip{Cores: 108, Bandwidth: 2e12, Channels: [NumKinds]int64{Data: 16, Pipeline: 2}},
		Embedding: Block{Parameters: 51200 * 12288 / tp}, Tied: 51200 * 12288 / tp, Layers: []Run{{l, 96}},
		Head:         Block{Forward: unit("head forward", units.Time(head)), Backward: unit("head backward", units.Time(2*head))},
		Microbatches: m.Microbatches, Schedule: m.Schedule, Boundary: Boundary{Bytes: units.Bytes(tokens * 12288 * 2 / tp)},
		Sharding: Sharding{Stage: m.ZeRO, GradientBytes: 4, WeightBytes: 2, Overlap: true}, Spread: 0.02,
	}
	r, err := s.Play()
	if err != nil {
		return 0, err
	}
	return r.Time, nil
}

func TestSearch(t *testing.T) {
	sp := gpt3()
	first := slices.Collect(sp.Mappings())
	if len(first) < 1000 {
		t.Errorf("%d legal mappings, there are at least 1000", len(first))
	}
	seen := map[Mapping]bool{}
	for _, m := range first {
		if seen[m] {
			t.Fatalf("%v is listed twice", &m)
		}
		seen[m] = true
		if err := m.Degrees.Validate(); err != nil {
			t.Fatal(err)
		}
		if m.Degrees.Chips() != sp.Chips || m.MicroBatch*m.Microbatches*m.Degrees.DP != sp.GlobalBatch {
			t.Fatalf("%v is not of %d chips or not of %d sequences", &m, sp.Chips, sp.GlobalBatch)
		}
		if _, _, note, err := Resolve(m.Schedule, m.Degrees.PP, m.Degrees.Interleave, m.Microbatches); note != "" || err != nil {
			t.Fatalf("%v is played as something else: %s %v", &m, note, err)
		}
	}
	if !slices.Equal(first, slices.Collect(sp.Mappings())) {
		t.Error("another order the second time")
	}

	res, err := sp.Search(80<<30, 10, gpt3Memory, gpt3Time)
	if err != nil {
		t.Fatal(err)
	}
	fit, pruned, found := 0, 0, map[Mapping]bool{} // but for what is computed again, of which the least comes first
	for _, m := range first {
		n, err := gpt3Memory(&m)
		if m.Recompute = ""; found[m] {
			pruned++
		} else if err == nil && n <= 80<<30 {
			fit++
			found[m] = true
		}
	}
	if res.Legal != len(first) || fit == 0 || res.Fit != fit || res.Pruned != pruned || len(res.Best) != 10 || len(res.Failed) != 0 {
		t.Errorf("%d legal, %d fit, %d pruned, %d kept, failed %v", res.Legal, res.Fit, res.Pruned, len(res.Best), res.Failed)
	}
	for i, f := range res.Best {
		if f.Memory > 80<<30 || i > 0 && f.Time < res.Best[i-1].Time {
			t.Errorf("%d: %v takes %v and %d B", i, &f.Mapping, f.Time, f.Memory)
		}
	}
	t.Logf("%d legal, %d fit, %d pruned; fastest: %v, %v", res.Legal, res.Fit, res.Pruned, &res.Best[0].Mapping, res.Best[0].Time)

	// The result does not depend on processors, and is the best of all.
	old := runtime.GOMAXPROCS(1)
	again, err := sp.Search(80<<30, 10, gpt3Memory, gpt3Time)
	runtime.GOMAXPROCS(old)
	if err != nil || !reflect.DeepEqual(res, again) {
		t.Errorf("one processor finds something else: %v", err)
	}
	for _, m := range first {
		if n, _ := gpt3Memory(&m); n > 80<<30 {
			continue
		}
		if tm, err := gpt3Time(&m); err != nil || tm < res.Best[0].Time {
			t.Fatalf("%v takes %v, less than the best found (%v)", &m, tm, err)
		}
	}

	// Nothing fits: the least that is needed is known.
	none, err := sp.Search(1<<30, 1, gpt3Memory, gpt3Time)
	if err != nil || len(none.Best) != 0 || none.Least == nil || none.Least.Memory <= 1<<30 {
		t.Errorf("in 1 GiB: %+v, %v", none, err)
	}
	stop := errors.New("stop")
	if _, err := sp.Search(0, 1, func(*Mapping) (units.Bytes, error) { return 0, &Abort{stop} }, gpt3Time); !errors.Is(err, stop) {
		t.Errorf("aborted with %v", err)
	}
	part, err := sp.Search(0, 1, func(m *Mapping) (units.Bytes, error) {
		if m.Degrees.TP > 1 {
			return 0, fmt.Errorf("only tp 1")
		}
		return 1, nil
	}, func(m *Mapping) (units.Time, error) { return 1, nil })
	if err != nil || part.Failed["only tp 1"] == 0 || part.Best[0].Degrees.TP != 1 {
		t.Errorf("%+v, %v", part, err)
	}
	for _, bad := range []*Space{{}, {Chips: 8, Layers: 1, Heads: 1, Seq: 1}, {Chips: 8, Layers: 1, Heads: 1, Seq: 1, GlobalBatch: 8, Schedules: []Schedule{"dual"}}} {
		var f *FieldError
		if _, err := bad.Search(0, 1, nil, nil); !errors.As(err, &f) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	experts := Space{Chips: 8, Layers: 4, Heads: 8, Experts: 4, Seq: 128, GlobalBatch: 8, TP: []int64{1}, PP: []int64{1}, MicroBatch: []int64{1}, ZeRO: []int64{0}, Recompute: []Recompute{RecomputeNone}}
	var degrees []int64
	for m := range experts.Mappings() {
		degrees = append(degrees, m.Degrees.EP)
	}
	if !slices.Equal(degrees, []int64{1, 2, 4}) {
		t.Errorf("expert degrees %v", degrees)
	}
}

func BenchmarkSearch(b *testing.B) {
	sp := gpt3()
	for b.Loop() {
		res, err := sp.Search(80<<30, 1, gpt3Memory, gpt3Time)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(res.Legal), "mappings")
		b.ReportMetric(float64(res.Fit), "fit")
	}
}
