package plan_test

import (
	"context"
	"slices"
	"testing"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// TestQueries: an operator is asked for with its kind, in the format of its run, and products that are grouped by expert
// are not asked for at all.
func TestQueries(t *testing.T) {
	for _, c := range []struct {
		machine, profile, model string
		tp                      int64
		ops                     []string // that must be asked for, among others
		kept                    []string // that must be left to the model
	}{
		{"a100-sxm-80gb", "", "mixtral-8x7b", 1, []string{"experts.activation", "experts.sum"}, []string{"experts.up", "experts.down"}},
		{"h100-sxm", "eager", "t5-large", 1, []string{"attention.relative", "attention.softmax"}, nil},
		{"a100-sxm-80gb", "vllm-2023-eager", "gpt2-small", 2, []string{"out.bias", "down.bias"}, nil},
	} {
		g := model(t, c.model, llm.Workload{Phase: "prefill", Batch: 1, Prompt: 128, Layers: 1})
		mp := plan.Mapping{TP: c.tp, Profile: c.profile}
		plain, err := plan.Build(preset(t, c.machine), g, mp)
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		own, err := plan.BuildWith(context.Background(), preset(t, c.machine), g, mp, plan.CostFunc(func(_ context.Context, q plan.Query) (plan.Cost, bool, error) {
			asked = append(asked, q.Name)
			if kind, err := traces.ParseKind(q.Kind); (err != nil || !kind.Collective()) && q.DType != traces.FP16 {
				t.Errorf("%s of %s is asked for in %s", q.Name, c.model, q.DType)
			}
			return plan.Cost{Time: units.Second}, true, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range c.ops {
			if !slices.Contains(asked, op) {
				t.Errorf("%s of %s is not among %q", op, c.model, asked)
			}
		}
		before, _ := evaluate(t, plain, false)
		after, _ := evaluate(t, own, false)
		for i, op := range own.Ops {
			if slices.Contains(c.kept, op.Name) && (slices.Contains(asked, op.Name) || after.Ops[i].Calls == 0 || after.Ops[i].Time != before.Ops[i].Time) {
				t.Errorf("%s takes %v, without costs %v; asked for are %q", op.Name, after.Ops[i].Time, before.Ops[i].Time, asked)
			}
		}
	}
}
