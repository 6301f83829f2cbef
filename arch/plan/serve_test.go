package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// TestPairIsMonotone: two steps that overlap imperfectly take together no longer when one of their uses becomes
// smaller, also where that makes the other of them the slower one, and one of them pays if they take the same alone.
func TestPairIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const resources = 4
		res := make([]plan.Resource, resources)
		for i := range res {
			res[i] = plan.Resource{Name: "r", Unit: "B", Rate: 1e9}
		}
		p := rapid.SampledFrom([]float64{1, 1.5, 2.6, 8}).Draw(t, "overlap")
		amounts := rapid.SliceOfN(rapid.Int64Range(0, 40), resources, resources).Draw(t, "amounts")
		of := rapid.IntRange(1, resources-1).Draw(t, "uses of the first")
		pair := func() units.Time {
			var first, second []plan.Use
			for i, a := range amounts {
				u := plan.Use{Resource: i, Amount: a}
				if i < of {
					first = append(first, u)
				} else {
					second = append(second, u)
				}
			}
			alone := func(uses []plan.Use) units.Time {
				t, _ := (&plan.Step{Uses: uses, Overlap: p}).Serve(res)
				return t
			}
			a, _ := (&plan.Step{Uses: first, Beside: second, Overlap: p}).Serve(res)
			b, _ := (&plan.Step{Uses: second, Beside: first, Overlap: p}).Serve(res)
			if x, y := alone(first), alone(second); a < x || b < y {
				t.Fatalf("%v and %v, alone %v and %v", a, b, x, y)
			}
			return a + b
		}
		before := pair()
		faster := rapid.IntRange(0, resources-1).Draw(t, "faster")
		amounts[faster] -= rapid.Int64Range(0, amounts[faster]).Draw(t, "by")
		after := pair()
		if after > before+2 { // each is rounded up
			t.Errorf("%v before, %v after", before, after)
		}
	})
}
