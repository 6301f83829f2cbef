package plan_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
)

// TestRepeatIsThatManySteps: steps that repeat take the time and the work of the same steps written out, in every
// fidelity, and every section says how many it stands for.
func TestRepeatIsThatManySteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, g, mp, _ := planned(t)
		times := rapid.Int64Range(2, 5).Draw(t, "repeat")
		repeated, written := *g, *g
		repeated.Runs, written.Runs = nil, nil
		step := int64(0)
		for i := 0; i < len(g.Runs); {
			end := i + 1
			for end < len(g.Runs) && g.Runs[end].SameStep(&g.Runs[end-1]) {
				end++
			}
			for _, r := range g.Runs[i:end] {
				r.Step, r.Repeat = step, times
				repeated.Runs = append(repeated.Runs, r)
			}
			for n := range times {
				for _, r := range g.Runs[i:end] {
					r.Step = step + n
					written.Runs = append(written.Runs, r)
				}
			}
			step += times
			i = end
		}
		a, err := plan.Build(m, &repeated, mp)
		if err != nil {
			t.Fatal(err)
		}
		b, err := plan.Build(m, &written, mp)
		if err != nil {
			t.Fatal(err)
		}
		for _, exact := range []bool{false, true} {
			aa, ae := evaluate(t, a, exact)
			ba, be := evaluate(t, b, exact)
			if aa.Makespan != ba.Makespan || ae.Makespan != be.Makespan || aa.Stalls != ba.Stalls || ae.Stalls != be.Stalls || !ae.Work.Equal(be.Work) {
				t.Errorf("repeated %v and %v, written out %v and %v", aa.Makespan, ae.Makespan, ba.Makespan, be.Makespan)
			}
		}
		var steps, want int64
		for _, s := range a.Sections {
			steps += s.Steps
		}
		for _, s := range b.Sections {
			if want += s.Steps; s.Steps > 1 {
				t.Errorf("a section of %d steps that were written out", s.Steps)
			}
		}
		if steps != want {
			t.Errorf("%d sections stand for %d steps, want %d", len(a.Sections), steps, want)
		}
	})
}
