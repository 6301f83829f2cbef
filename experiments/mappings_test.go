package experiments_test

import (
	"context"
	"reflect"
	"runtime"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
)

// mappingsOf asks for mappings of a model on a cluster.
func mappingsOf(t testing.TB, machine, model string, chips, batch int64) *experiments.MappingSearch {
	t.Helper()
	m, err := experiments.MachineOf(machine, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &experiments.Point{Machine: m}
	if p.Model, err = experiments.ModelOf(model); err != nil {
		t.Fatal(err)
	}
	p.Phase, p.Fidelity, p.Training = experiments.Train, eval.Analytic, &experiments.TrainOptions{SeqLen: 2048, GlobalBatch: batch}
	return &experiments.MappingSearch{Point: p, Chips: []int64{chips}, Keep: 5}
}

// TestMappings: the search is the same whatever the processors, and what it finds is what a run of the same mapping answers.
func TestMappings(t *testing.T) {
	s := mappingsOf(t, "selene", "gpt3-6.7b", 16, 32)
	found, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if found.Legal < 100 || len(found.Best) != 5 || found.Fit < 5 || found.Unfit == 0 {
		t.Fatalf("%d legal, %d fit, %d pruned, %d unfit, %d best", found.Legal, found.Fit, found.Pruned, found.Unfit, len(found.Best))
	}
	before := runtime.GOMAXPROCS(1)
	again, err := mappingsOf(t, "selene", "gpt3-6.7b", 16, 32).Run(t.Context())
	runtime.GOMAXPROCS(before)
	if err != nil || !reflect.DeepEqual(found, again) {
		t.Errorf("one processor finds something else: %+v, %v", again, err)
	}
	for i, b := range found.Best {
		if i > 0 && b.Seconds < found.Best[i-1].Seconds {
			t.Errorf("%d is faster than the one before", i)
		}
		p := *s.Point
		d := b.Degrees
		p.TP, p.PP = d.TP, d.PP
		p.Training = &experiments.TrainOptions{SeqLen: 2048, GlobalBatch: 32, MicroBatch: b.MicroBatch, DP: d.DP, CP: d.CP, EP: d.EP, SP: d.SP, Interleave: d.Interleave, Recompute: string(b.Recompute), ZeRO: b.ZeRO, Schedule: string(b.Schedule)}
		r, err := p.Request()
		if err != nil {
			t.Fatal(err)
		}
		res, err := eval.Run(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Seconds != b.Seconds || res.MFU != b.MFU || res.Energy.Joules != b.Joules {
			t.Errorf("%s: %v s, MFU %v, %v J; run alone %v s, %v, %v J", b.String(), b.Seconds, b.MFU, b.Joules, res.Seconds, res.MFU, res.Energy.Joules)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mappingsOf(t, "selene", "gpt3-6.7b", 16, 32).Run(stopped); err == nil {
		t.Error("a search that was stopped ends without an error")
	}
}

// BenchmarkMappings searches those of GPT-3 on 1024 chips: 1000 of them should take at most 10 s on two cores.
func BenchmarkMappings(b *testing.B) {
	legal := 0
	for b.Loop() {
		found, err := mappingsOf(b, "selene", "gpt3-175b", 1024, 1536).Run(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		legal = found.Legal
	}
	b.ReportMetric(float64(legal), "mappings")
	b.ReportMetric(float64(legal)*float64(b.N)/b.Elapsed().Seconds(), "mappings/s")
}
