package parallel

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
)

// gpt is a layer as Korthikanti et al. (arXiv 2205.05198) have it.
func gpt(hidden, heads int64) Shape {
	return Shape{Hidden: hidden, Heads: heads, Intermediate: 4 * hidden, Dropout: true}
}

// Activations of a layer: equations 1, 2, 4 and 6 and table 2 of Korthikanti et al., for the models of their table 3.
func TestActivationsOfKorthikanti(t *testing.T) {
	for _, m := range []struct {
		name           string
		hidden, heads  int64
		seq, batch, tp int64
	}{
		{"22B", 6144, 64, 2048, 4, 8},
		{"175B", 12288, 96, 2048, 1, 8},
		{"530B", 20480, 128, 2048, 1, 8},
		{"1T", 25600, 160, 2048, 1, 8},
		{"alone", 6144, 64, 2048, 4, 1},
	} {
		s, b, h, a, tp := float64(m.seq), float64(m.batch), float64(m.hidden), float64(m.heads), float64(m.tp)
		shape := gpt(m.hidden, m.heads)
		for _, x := range []struct {
			what string
			sp   bool
			r    Recompute
			want float64
		}{
			{"tensor parallel", false, RecomputeNone, s * b * h * (10 + 24/tp + 5*a*s/(h*tp))},
			{"sequence parallel", true, RecomputeNone, s * b * h / tp * (34 + 5*a*s/h)},
			{"selective", false, RecomputeSelective, s * b * h * (10 + 24/tp)},
			{"selective, sequence parallel", true, RecomputeSelective, 34 * s * b * h / tp},
			{"full", false, RecomputeFull, 2 * s * b * h},
			{"full, sequence parallel", true, RecomputeFull, 2 * s * b * h / tp},
		} {
			got := float64(shape.Activations(Degrees{TP: m.tp, SP: x.sp}, m.seq, m.batch, x.r))
			if math.Abs(got-x.want) > 1 {
				t.Errorf("%s, %s: %.0f B, want %.0f", m.name, x.what, got, x.want)
			}
		}
	}
	// Figures of the paper: selective recomputation with sequence parallelism keeps a fifth of what tensor parallelism alone does (section 1).
	shape := gpt(20480, 128)
	tensor := shape.Activations(Degrees{TP: 8}, 2048, 1, RecomputeNone)
	both := shape.Activations(Degrees{TP: 8, SP: true}, 2048, 1, RecomputeSelective)
	if r := float64(both) / float64(tensor); r < 0.18 || r > 0.25 {
		t.Errorf("both techniques keep %.3f of what there was, the paper says a fifth", r)
	}
	// Flash attention without dropout keeps 32 B for each hidden element (queries of all heads).
	flash := Shape{Hidden: 4096, Heads: 32, Intermediate: 16384, Flash: true}
	if got := flash.Activations(Degrees{}, 2048, 1, RecomputeNone); got != 2048*(32*4096+4*32) {
		t.Errorf("flash attention keeps %d B", got)
	}
}

// The paper's first stage: p micro-batches of L/p layers, and (1 + (p−1)/(pv)) times as many with v chunks (section 4.2.3).
func TestInFlight(t *testing.T) {
	for _, p := range []int64{1, 2, 4, 8, 16} {
		for _, v := range []int64{1, 2, 3, 5} {
			m := 4 * p
			if v == 1 {
				for s := range p {
					if got := InFlight(OneFOneB, p, 1, m, s); got != min(p-s, m) {
						t.Errorf("1f1b, stage %d of %d: %d", s, p, got)
					}
				}
				continue
			}
			if p == 1 {
				continue
			}
			got := float64(InFlight(Interleaved, p, v, m, 0)) / float64(v)
			if want := float64(p) * (1 + float64(p-1)/float64(p*v)); math.Abs(got-want) > 1e-9 {
				t.Errorf("%d stages of %d chunks: %g micro-batches, want %g", p, v, got, want)
			}
		}
	}
	// What the formulas say is what a play holds.
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Int64Range(1, 6).Draw(t, "p")
		v, m := int64(1), rapid.Int64Range(1, 20).Draw(t, "m")
		schedule := rapid.SampledFrom([]Schedule{GPipe, OneFOneB, Interleaved, ZeroBubble}).Draw(t, "schedule")
		if schedule == Interleaved && p > 1 {
			v, m = rapid.Int64Range(2, 4).Draw(t, "v"), m*p
		}
		kind, v, _, err := Resolve(schedule, p, v, m)
		if err != nil {
			t.Fatal(err)
		}
		s := Step{Degrees: Degrees{PP: p, Interleave: v}, Network: free{}, Layers: []Run{{layer(3, 5, 4), p * v}}, Microbatches: m, Schedule: kind}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		for st, c := range res.Classes {
			if want := InFlight(kind, p, v, m, int64(st)); c.InFlight != want {
				t.Fatalf("%s, p %d, v %d, m %d: stage %d holds %d, the formula says %d", kind, p, v, m, st, c.InFlight, want)
			}
		}
	})
}

// State per parameter under ZeRO: Rajbhandari et al., SC 2020, figure 1: 7.5 billion parameters on 64 ranks.
func TestZeRO(t *testing.T) {
	for stage, want := range []float64{120, 31.4, 16.6, 1.9} {
		f := Footprint{Degrees: Degrees{DP: 64}, Microbatches: 1, Layers: []Held{{Times: 1, Parameters: 7_500_000_000}}, State: AdamMixed,
			Sharding: Sharding{Stage: int64(stage), WeightBytes: 2, GradientBytes: 2}}
		ms, err := f.Stages()
		if err != nil {
			t.Fatal(err)
		}
		m := &ms[0]
		if got := float64(m.Weights+m.Gradients+m.Optimizer) / 1e9; math.Abs(got-want) > 0.05 {
			t.Errorf("stage %d: %.2f GB, the paper says %.1f", stage, got, want)
		}
	}
	f := Footprint{Microbatches: 1, Layers: []Held{{Times: 1, Parameters: 1000}}, State: Adam8bit}
	f.State.Offload = true
	ms, _ := f.Stages()
	if m := ms[0]; m.Host != 6000 || m.Optimizer != 0 || m.Total() != 4000 {
		t.Errorf("offloaded 8-bit moments: %+v", m)
	}
}

// Frozen weights are divided as trained ones are: those of experts among the ranks that have copies of them.
func TestFrozenWeightsDivided(t *testing.T) {
	for _, tt := range []struct{ zero, ep, want int64 }{{2, 4, 3 * (8000 + 16000)}, {3, 1, 3 * (1000 + 2000)}, {3, 4, 3 * (1000 + 8000)}, {3, 8, 3 * (1000 + 16000)}} {
		f := Footprint{Degrees: Degrees{DP: 8, EP: tt.ep}, Microbatches: 1, Layers: []Held{{Times: 3, Frozen: 8000, FrozenExperts: 16000}}, Sharding: Sharding{Stage: tt.zero}}
		ms, err := f.Stages()
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(ms[0].Weights); got != tt.want {
			t.Errorf("stage %d, ep %d: %d B, want %d", tt.zero, tt.ep, got, tt.want)
		}
	}
}

// Tensor and expert parallelism divide what the caller counts for a rank; here stages, tied embeddings and uneven layers.
func TestStagesOfMemory(t *testing.T) {
	f := Footprint{
		Degrees: Degrees{PP: 12, TP: 4, DP: 8}, Microbatches: 256, CountEnds: true, Tied: 250880 * 14336 / 4,
		Layers: []Held{{Times: 70, Shape: gpt(14336, 112), Parameters: 12 * 14336 * 14336 / 4}}, Embedding: Held{Parameters: 250880 * 14336 / 4},
		Seq: 2048, Batch: 2, Vocabulary: 250880, Recompute: RecomputeFull, State: AdamMixed32, Sharding: Sharding{Stage: 1},
	}
	ms, err := f.Stages()
	if err != nil {
		t.Fatal(err)
	}
	layers := []int64{5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5}
	for i, m := range ms {
		n := layers[i] * 12 * 14336 * 14336 / 4
		if i == 0 || i == 11 {
			n += 250880 * 14336 / 4
		}
		if int64(m.Weights) != 2*n || int64(m.Gradients) != 4*n || int64(m.Optimizer) != 12*n/8 {
			t.Errorf("stage %d: %+v of %d parameters", i, m, n)
		}
		if (m.Logits > 0) != (i == 11) {
			t.Errorf("stage %d has logits of %d B", i, m.Logits)
		}
	}
	if ms[0].Activations <= ms[5].Activations*5/6 {
		t.Errorf("first stage keeps %d B, a middle one %d", ms[0].Activations, ms[5].Activations)
	}
	if Fullest(ms).Stage != 0 {
		t.Errorf("%v is the fullest", Fullest(ms))
	}
}

// Memory that BLOOM's runs took (A100 of 80 GB, full recomputation, ZeRO 1, gradients in fp32). Users read it off nvidia-smi:
// contexts, library buffers and what the allocator keeps are in it and not in ours, so that we say less; none may be said not to fit.
func TestMemoryOfBloom(t *testing.T) {
	rows, col := table(t, "bloom_a100_sweep.csv")
	n, sum, abs := 0.0, 0.0, 0.0
	for _, row := range rows {
		known := true
		num := func(name string) int64 {
			n, err := strconv.ParseInt(row[col[name]], 10, 64)
			known = known && err == nil
			return n
		}
		h, layers, dp, tp, pp, batch, global := num("hidden"), num("layers"), num("dp"), num("tp"), num("pp"), num("mbs"), num("gbs")
		measured, err := strconv.ParseFloat(row[col["mem_GB"]], 64)
		if !known || err != nil || row[col["srcline"]] == "670" { // the same run as line 669, with twice the memory
			continue
		}
		f := Footprint{
			Degrees: Degrees{TP: tp, PP: pp, DP: dp}, Microbatches: max(1, global/dp/batch), Seq: 2048, Batch: batch, Vocabulary: 250880, Tied: 250880 * h / tp,
			Layers:    []Held{{Times: layers, Parameters: 12 * h * h / tp, Shape: Shape{Hidden: h, Heads: 64, Intermediate: 4 * h}}},
			Embedding: Held{Parameters: 250880 * h / tp}, State: AdamMixed32, Sharding: Sharding{Stage: 1}, Recompute: RecomputeFull,
		}
		ms, err := f.Stages()
		if err != nil {
			t.Fatalf("line %s: %v", row[col["srcline"]], err)
		}
		got := float64(Fullest(ms).Total())
		if got > 80<<30 {
			t.Errorf("line %s: %v does not fit 80 GiB", row[col["srcline"]], Fullest(ms))
		}
		e := got/(1<<30)/measured - 1
		n, sum, abs = n+1, sum+e, abs+math.Abs(e)
	}
	t.Logf("%.0f rows: mean error %+.1f %%, of its size %.1f %%", n, 100*sum/n, 100*abs/n)
	if n < 20 || abs/n > 0.22 || sum > 0 {
		t.Errorf("%.0f rows: mean error %+.1f %%, of its size %.1f %%", n, 100*sum/n, 100*abs/n)
	}
}

// table reads a file of measurements, or skips the test where there is none.
func table(t *testing.T, name string) (rows [][]string, col map[string]int) {
	file := "../../../shared/data/training/" + name
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is absent", file)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if rows, err = csv.NewReader(in).ReadAll(); err != nil {
		t.Fatal(err)
	}
	col = map[string]int{}
	for i, n := range rows[0] {
		col[n] = i
	}
	return rows[1:], col
}

// mpt is layers, hidden size and heads of the MPT models of llm-foundry.
var mpt = map[string][3]int64{
	"125m": {12, 768, 12}, "350m": {24, 1024, 16}, "760m": {24, 1536, 12}, "1b": {24, 2048, 16}, "3b": {32, 2560, 20},
	"7b": {32, 4096, 32}, "13b": {40, 5120, 40}, "30b": {48, 7168, 56}, "70b": {80, 8192, 64},
}

// No run that was measured may be said not to fit.
func TestMeasuredRunsFit(t *testing.T) {
	rows, col := table(t, "llmfoundry_measured.csv")
	var parts []float64
	for i, row := range rows {
		num := func(name string) int64 {
			n, err := strconv.ParseInt(row[col[name]], 10, 64)
			if err != nil {
				t.Fatalf("row %d: %s: %v", i, name, err)
			}
			return n
		}
		m, ok := mpt[row[col["Model"]]]
		if !ok {
			t.Fatalf("row %d: model %q", i, row[col["Model"]])
		}
		layers, h, heads := m[0], m[1], m[2]
		seq := num("SeqLen_(T)")
		one, ends := 12*h*h+13*h, (50368+seq)*h+2*h
		if got := layers*one + ends; math.Abs(float64(got)/float64(num("NumParams"))-1) > 0.002 {
			t.Fatalf("row %d: %s has %d parameters, not %d", i, row[col["Model"]], num("NumParams"), got)
		}
		f := Footprint{
			Degrees: Degrees{DP: num("#_GPUs")}, Microbatches: num("GradAccum"),
			Layers:    []Held{{Times: layers, Parameters: one, Shape: Shape{Hidden: h, Heads: heads, Intermediate: 4 * h, Flash: true}}},
			Embedding: Held{Parameters: ends}, Seq: seq, Batch: num("MicroBatchSize"), Vocabulary: 50368,
			State: AdamSharded, Sharding: Sharding{Stage: 3, WeightBytes: 2, GradientBytes: 4, KeepGathered: row[col["Sharding_Strategy"]] == "SHARD_GRAD_OP"},
		}
		if row[col["MP_Mode"]] == "PURE" {
			f.Sharding.GradientBytes = 2
		}
		if row[col["Activation_Checkpointing"]] == "True" {
			f.Recompute = RecomputeFull
		}
		capacity := map[string]units.Bytes{"a100_40gb": 40 << 30, "a100_80gb": 80 << 30, "h100_80gb": 80 << 30}[row[col["GPU"]]]
		ms, err := f.Stages()
		if err != nil {
			t.Fatal(err)
		}
		part := float64(ms[0].Total()) / float64(capacity)
		parts = append(parts, part)
		if part > 1 {
			t.Errorf("row %d: %s at %d on %d %s, %d sequences, recompute %q: %v is %.0f %% of what there is", i, row[col["Model"]], seq, num("#_GPUs"), row[col["GPU"]], f.Batch, f.Recompute, &ms[0], 100*part)
		}
	}
	slices.Sort(parts)
	if len(parts) != 124 {
		t.Errorf("%d rows", len(parts))
	}
	median := parts[len(parts)/2]
	t.Logf("median %.0f %%, most %.0f %% of capacity", 100*median, 100*parts[len(parts)-1])
	// Their users filled the GPUs.
	if median < 0.6 {
		t.Errorf("runs fill %.0f %% in the median: something is missing", 100*median)
	}
}

// A table that the head has in common with the embedding is there once, and once more on the last stage of a pipeline. The embedding
// has 100 parameters, of which 60 are the table, each of four layers 10, the head 5 of its own; an update takes 10 for each.
func TestTiedTable(t *testing.T) {
	for _, tt := range []struct {
		pp   int64
		want []int64
	}{
		{1, []int64{100 + 4*10 + 5}},
		{2, []int64{100 + 2*10, 2*10 + 60 + 5}},
		{4, []int64{100 + 10, 10, 10, 10 + 60 + 5}},
	} {
		d, l := Degrees{PP: tt.pp}, layer(1000, 2000, 0)
		l.Parameters = 10
		s := &Step{Degrees: d, Network: wire{0, 1}, Microbatches: 1, Embedding: Block{Parameters: 100}, Head: Block{Parameters: 5}, Layers: []Run{{l, 4}}, Tied: 60,
			Sharding: Sharding{GradientBytes: 4, WeightBytes: 2}, Update: PerElement{unit("update", 1000), 100}, Record: true}
		res, err := s.Play()
		if err != nil {
			t.Fatal(err)
		}
		var tied []units.Time
		for _, sp := range res.Spans {
			if sp.Name == "embedding gradients" {
				tied = append(tied, sp.End-sp.Start)
			}
		}
		if want := []units.Time{240, 240}; tt.pp > 1 && !slices.Equal(tied, want) || tt.pp == 1 && tied != nil { // 2·1/2 of 60 of 4 B
			t.Errorf("%d stages add up gradients of the table in %v", tt.pp, tied)
		}
		held := Footprint{Degrees: d, Microbatches: 1, Embedding: Held{Parameters: 100}, Head: Held{Parameters: 5}, Layers: []Held{{Times: 4, Parameters: 10}}, Tied: 60, State: AdamMixed32}
		// The same with weights that are frozen, of 1 B each.
		frozen := Footprint{Degrees: d, Microbatches: 1, Embedding: Held{Frozen: 100}, Head: Held{Frozen: 5}, Layers: []Held{{Times: 4, Frozen: 10}}, TiedFrozen: 60, State: AdamMixed32}
		ms, err := held.Stages()
		if err != nil {
			t.Fatal(err)
		}
		fs, err := frozen.Stages()
		if err != nil {
			t.Fatal(err)
		}
		for st, n := range tt.want {
			if m := &ms[st]; m.Weights != units.Bytes(2*n) || m.Gradients != units.Bytes(4*n) || m.Optimizer != units.Bytes(12*n) {
				t.Errorf("stage %d of %d: %v, want %d parameters", st, tt.pp, m, n)
			}
			if m := &fs[st]; m.Weights != units.Bytes(n) || m.Total() != m.Weights {
				t.Errorf("stage %d of %d: %v, want %d B that are frozen", st, tt.pp, m, n)
			}
			uses := res.Classes[st].Uses
			if u := uses[len(uses)-1]; u.Name != "update" || u.Time != units.Time(10*n) {
				t.Errorf("stage %d of %d: %+v, want an update of %d", st, tt.pp, u, 10*n)
			}
		}
	}
}
