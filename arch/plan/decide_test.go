package plan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// whole prints a program with everything that is in it.
func whole(t tt, p *plan.Program) string {
	var b bytes.Buffer
	if err := p.Explain(&b); err != nil {
		t.Fatal(err)
	}
	d, err := json.Marshal(p.Describe(plan.Show{}))
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + string(d)
}

// TestExportedChoicesLeadToTheSameProgram: what the planner decided, written to a file and read back, is the same
// program, from pins that were given too. Deciding aloud changes nothing.
func TestExportedChoicesLeadToTheSameProgram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, g := machine(t), graph(t)
		mp := mapping(t, m)
		if rapid.Bool().Draw(t, "pinned") {
			c := choice(t)
			c.Kernel = ""
			mp.Pins = &plan.Pins{Kernels: []plan.Pin{{Match: plan.Match{Kind: "gemm", Phase: "prefill", Block: rapid.SampledFrom([]string{"",
				"layer"}).Draw(t, "block")}, Pin: c}}}
		}
		own, err := plan.Build(m, g, mp)
		var illegal *spec.Error
		if mp.Pins != nil && errors.As(err, &illegal) {
			t.Skip(err) // a pin that cannot be
		}
		if err != nil {
			own = build(t, m, g, mp)
		}
		p, decisions, err := plan.Decide(m, g, mp)
		if err != nil {
			t.Fatal(err)
		}
		if whole(t, own) != whole(t, p) {
			t.Fatal("the program is another one when its decisions are asked for")
		}
		pins, err := decisions.Export()
		if err != nil {
			t.Fatal(err)
		}
		text, err := spec.Marshal(pins)
		if err != nil {
			t.Fatal(err)
		}
		if mp.Pins, err = plan.ReadPins("m.yaml", text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		again, decided, err := plan.Decide(m, g, mp)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if whole(t, own) != whole(t, again) {
			t.Fatalf("another program\n%s\n%s\n%s", text, whole(t, own), whole(t, again))
		}
		// What was exported is all that there is to choose: exported again it is the same file.
		if pins, err = decided.Export(); err != nil {
			t.Fatal(err)
		}
		if second, err := spec.Marshal(pins); err != nil || !bytes.Equal(text, second) {
			t.Fatalf("%v: exported again it is another file\n%s\n%s", err, text, second)
		}
	})
}

// TestRunnerUp: a GEMM whose tiles are compared. The time of the best is the least, alternatives come in order, and
// pinning one makes it the choice, with the time that was expected of it.
func TestRunnerUp(t *testing.T) {
	m, g := preset(t, "a100-sxm-80gb"), product("p", 4096, 4096, 4096)
	_, d, err := plan.Decide(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	k := d.Kernels[0]
	if len(k.Others) != 4 || k.Time <= 0 || k.Others[0].Time < k.Time || len(k.Pinned) > 0 {
		t.Fatalf("chosen %+v in %v, others %+v", k.Choice, k.Time, k.Others)
	}
	for i, o := range k.Others {
		if i > 0 && o.Time < k.Others[i-1].Time {
			t.Errorf("%v comes after %v", o.Time, k.Others[i-1].Time)
		}
		_, pinned, err := plan.Decide(m, g, plan.Mapping{Pins: &plan.Pins{Kernels: []plan.Pin{{Pin: o.Choice}}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := pinned.Kernels[0]; got.Choice != o.Choice || got.Time != o.Time || len(got.Pinned) == 0 {
			t.Errorf("pinned to %+v in %v it is %+v in %v", o.Choice, o.Time, got.Choice, got.Time)
		}
	}
}

// TestEveryKernelIsDecided: all that the device runs has a decision, on every preset.
func TestEveryKernelIsDecided(t *testing.T) {
	for _, name := range []string{"a100-sxm-80gb", "tpu-v4", "sn40l"} {
		m := preset(t, name)
		for _, tp := range []int64{1, 2} {
			g := model(t, "llama2-7b", llm.Workload{Phase: "generate", Batch: 1, Prompt: 128, Generate: 3, DType: traces.FP16,
				WeightDType: traces.FP16, KVDType: traces.FP16})
			p, d, err := plan.Decide(m, g, plan.Mapping{TP: tp})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range p.Describe(plan.Show{Decisions: d}).Kernels {
				if k.Match == nil || k.What == "" {
					t.Errorf("%s: nothing is known about %s (%s) in %s", name, k.Op, k.Kind, k.Phase)
				}
			}
			pins, err := d.Export()
			if err != nil {
				t.Fatal(err)
			}
			again, err := plan.Build(m, g, plan.Mapping{TP: tp, Pins: pins})
			if err != nil {
				t.Fatal(err)
			}
			if whole(t, p) != whole(t, again) {
				t.Errorf("%s over %d: from its own choices it is another program", name, tp)
			}
		}
	}
}

// TestDescribe: what the description says is what the program holds.
func TestDescribe(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	g := model(t, "llama2-7b", llm.Workload{Phase: "generate", Batch: 4, Prompt: 256, Generate: 3})
	p, decisions, err := plan.Decide(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	d := p.Describe(plan.Show{Decisions: decisions})
	moved := map[string][2]int64{}
	var launches int64
	for _, k := range d.Kernels {
		launches += k.Calls
		for _, x := range k.Moved {
			sum := moved[x.Tier]
			moved[x.Tier] = [2]int64{sum[0] + k.Calls*x.ReadBytes, sum[1] + k.Calls*x.WrittenBytes}
		}
	}
	all := counters(p)
	if launches != all["launches"] {
		t.Errorf("%d calls, the program launches %d kernels", launches, all["launches"])
	}
	for _, tier := range []string{"hbm", "l2", "smem"} {
		if got, want := moved[tier], [2]int64{all[tier+".read"], all[tier+".write"]}; got != want {
			t.Errorf("%s: kernels move %v, the program %v", tier, got, want)
		}
	}
	one := p.Describe(plan.Show{Decisions: decisions, Op: "*norm", Depth: 1})
	for _, k := range one.Kernels {
		if !strings.HasSuffix(k.Op, "norm") || len(k.Nest) == 0 || slices.ContainsFunc(k.Nest,
			func(n plan.NodeInfo) bool { return len(n.Nodes) > 0 }) {
			t.Errorf("%s is shown at a depth of one as %+v", k.Op, k.Nest)
		}
	}
	if len(one.Kernels) == 0 || len(one.Kernels) >= len(d.Kernels) {
		t.Errorf("%d of %d kernels are norms", len(one.Kernels), len(d.Kernels))
	}
}

// TestLevelsByHand: the nest of a product of 4×4×4 in tiles of 2×2, on one core, as TestTrafficByHand counts it.
func TestLevelsByHand(t *testing.T) {
	_, d, err := plan.Decide(tiny(t), product("p", 4, 4, 4), plan.Mapping{Pins: pins(t,
		"kernels: [{pin: {tile: 2x2, depth: 2, stages: 2, blocks: 1, keep: a}}]")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range d.Kernels[0].Levels {
		for _, h := range l.Holds {
			got = append(got, fmt.Sprintf("%s holds %s, %d B", l.Name, h.What, int64(h.Bytes)))
		}
		for _, loop := range l.Loops {
			got = append(got, fmt.Sprintf("%d %s %v", loop.Times, loop.Over, loop.Spatial))
		}
	}
	want := []string{
		"hbm holds A, 32 B", "hbm holds B, 32 B", "hbm holds C, 32 B", "4 wave false",
		"l2 holds A's part for the wave, while columns sweep past, 16 B", "1 core true", // two rows of four
		"smem holds 1 × 2 operand buffers, 32 B", "2 stage false", // (2·2+2·2)·2 B each
		"matrix holds sums of 2x2, 0 B", "1 cycle false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestExportTellsBlocksApart: kernels of two blocks that differ in nothing but their format get an entry for each block.
func TestExportTellsBlocksApart(t *testing.T) {
	m, g := preset(t, "a100-sxm-80gb"), product("p", 512, 512, 4096)
	second := product("p", 512, 512, 4096).Blocks[0]
	second.Name, second.Ops[0].DType = "q", traces.FP32
	second.Ops[0].WeightDType = traces.FP32
	g.Blocks = append(g.Blocks, second)
	g.Runs = append(g.Runs, traces.Run{Block: 1, Phase: traces.Prefill, Times: 1})
	p, d, err := plan.Decide(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Kernels[0].Choice == d.Kernels[1].Choice {
		t.Fatal("the test needs two choices")
	}
	pins, err := d.Export()
	if err != nil {
		t.Fatal(err)
	}
	if got := pins.Kernels[1].Match.Block; got != "q" {
		t.Errorf("the second entry matches block %q", got)
	}
	again, err := plan.Build(m, g, plan.Mapping{Pins: pins})
	if err != nil {
		t.Fatal(err)
	}
	if whole(t, p) != whole(t, again) {
		t.Error("another program")
	}
}
