package experiments_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/experiments"
)

// trained answers a step of GPT-3 13B on 32 chips of selene.
func trained(t *testing.T, o experiments.TrainOptions) (*eval.Answer, error) {
	t.Helper()
	s := mappingsOf(t, "selene", "gpt3-13b", 32, 32)
	p := s.Point
	p.TP, p.PP = 2, 4
	o.SeqLen, o.GlobalBatch, o.DP = 2048, 32, 4
	p.Training = &o
	r, err := p.Request()
	if err != nil {
		return nil, err
	}
	res, err := eval.Run(t.Context(), r)
	if err != nil {
		return nil, err
	}
	return &res.Answer, nil
}

// TestFaults: a link at its full bandwidth costs nothing, the less of it is left the longer the step; what the step takes
// without its bad parts is what one without them takes.
func TestFaults(t *testing.T) {
	sound, err := trained(t, experiments.TrainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sound.Training.Faults != nil {
		t.Error("no part is bad")
	}
	for _, kind := range []string{"5:", "node0:", "5.inside:"} {
		last := sound.Seconds
		for _, share := range []string{"1", "0.5", "0.1"} {
			a, err := trained(t, experiments.TrainOptions{FailLink: kind + share})
			if err != nil {
				t.Fatal(err)
			}
			f := a.Training.Faults
			if f.WithoutSeconds != sound.Seconds || math.Abs(f.WithoutSeconds+f.ExtraSeconds-a.Seconds) > 1e-9 {
				t.Errorf("%s%s: %v s and %v s more; sound %v s, now %v s", kind, share, f.WithoutSeconds, f.ExtraSeconds, sound.Seconds, a.Seconds)
			}
			if a.Seconds < last || share == "1" && a.Seconds != last {
				t.Errorf("%s%s: %v s, before %v s", kind, share, a.Seconds, last)
			}
			last = a.Seconds
		}
		if last == sound.Seconds {
			t.Errorf("%s0.1 costs nothing", kind)
		}
	}
	// One of eight NICs lost is worse than none and better than one at a tenth of its bandwidth, for which all wait.
	gone, err := trained(t, experiments.TrainOptions{FailLink: "5:0"})
	if err != nil {
		t.Fatal(err)
	}
	slow, err := trained(t, experiments.TrainOptions{FailLink: "5:0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if !(sound.Seconds < gone.Seconds && gone.Seconds < slow.Seconds) {
		t.Errorf("%v s sound, %v s without a NIC, %v s with a slow one", sound.Seconds, gone.Seconds, slow.Seconds)
	}
	if a, err := trained(t, experiments.TrainOptions{Stragglers: "5:0.5"}); err != nil || a.Training.Faults.ExtraSeconds <= 0 || a.Training.Faults.Waits == nil {
		t.Errorf("a slow chip costs nothing: %v", err)
	}
	// A rank may lose of both its kinds of links, in whatever order that is said.
	var both []float64
	for _, links := range []string{"5:0.1", "5.inside:0.5", "5:0.1,5.inside:0.5", "5.inside:0.5,5:0.1"} {
		a, err := trained(t, experiments.TrainOptions{FailLink: links})
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, a.Seconds)
		if sum := a.Training.PipelineSeconds + a.Training.ReduceSeconds + a.Training.UpdateSeconds; math.Abs(sum-a.Seconds) > 1e-9 {
			t.Errorf("%s: passes, gradients and update sum to %v of %v s", links, sum, a.Seconds)
		}
	}
	if both[2] <= both[0] || both[2] <= both[1] || both[3] != both[2] {
		t.Errorf("%v s: both faults must be slower than each", both)
	}
	for text, want := range map[string]string{
		"node1:0":       "rank 8: its NIC is gone and its node has no other, which ",
		"5.inside:0":    "rank 5: its links inside the node are gone, which its tensor group of 2 ranks needs",
		"5":             `"5" is not RANK:SHARE`,
		"32:0.5":        "ranks are 0 to 31",
		"node4:0.5":     "nodes are 0 to 3",
		"5:1.5":         "must be 0, or from 0.01 to 1",
		"5:NaN":         "must be 0, or from 0.01 to 1",
		"5:0.5,5:0.2":   "rank 5 is given twice",
		"5:0,6:0.5":     "node 0 has another fault",
		"5:0.5,node0:0": "node 0 has another fault",
	} {
		if _, err := trained(t, experiments.TrainOptions{FailLink: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestTrainingRules: what says nothing is refused, from whichever side it comes, and one step has one key.
func TestTrainingRules(t *testing.T) {
	for want, o := range map[string]experiments.TrainOptions{
		"keep-gathered: only weights that are divided are gathered":         {KeepGathered: true, ZeRO: 2},
		"shard: no state is divided":                                        {Shard: 2},
		"schedule: stages are interleaved by several chunks of layers each": {Schedule: "interleaved", Interleave: 1},
		"pue: it is of a whole run":                                         {PUE: 1.1},
	} {
		if _, err := trained(t, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	for _, same := range [][2]experiments.TrainOptions{{{}, {Interleave: 1}}, {{ZeRO: 1}, {ZeRO: 1, Shard: 4}}} {
		a, err1 := trained(t, same[0])
		b, err2 := trained(t, same[1])
		if err1 != nil || err2 != nil || a.Manifest.Key != b.Manifest.Key {
			t.Errorf("%+v has another key than %+v: %v %v", same[0], same[1], err1, err2)
		}
	}
}

// TestWholeRun: 300 billion tokens are 300e9/(32·2048) steps, rounded up.
func TestWholeRun(t *testing.T) {
	a, err := trained(t, experiments.TrainOptions{Tokens: 300e9, PUE: 1.1})
	if err != nil {
		t.Fatal(err)
	}
	w := a.WholeRun
	if w.Steps != 4577637 || w.Seconds != 4577637*a.Seconds {
		t.Errorf("%d steps, %v s", w.Steps, w.Seconds)
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	near("chip hours", w.ChipHours, w.Seconds/3600*32)
	near("energy", w.Joules, 4577637*a.Energy.Joules*1.1)
	near("rent", w.USD, w.Seconds/3600*a.Cost.USDPerHour)
}

// FuzzFailLinks: what strangers send is read or refused with the name of the flag.
func FuzzFailLinks(f *testing.F) {
	m, err := experiments.MachineOf("selene", nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"12:0.5", "node3:0", "12.inside:0.1", "", ":", "node:", "-1:0.5", "1:0.5,2:0", "1e3:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := experiments.ParseFailLinks(text, m, 64)
		if err != nil {
			if !strings.Contains(err.Error(), "fail-link") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		for _, l := range list {
			if l.Rank < 0 || l.Rank >= 64 || !(l.Share >= 0 && l.Share <= 1) {
				t.Errorf("%q: %+v", text, l)
			}
		}
	})
}
