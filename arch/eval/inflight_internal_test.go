package eval

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
)

// flown plays steps of a round.
func flown(batches int, takes []units.Time, steps int64) units.Time {
	r := round{section: plan.Section{Steps: steps}, takes: takes}
	for i := range takes {
		r.at = append(r.at, int64(i))
	}
	f := &flight{make([]units.Time, batches), make([]units.Time, len(takes)+1)}
	return f.play(&r)
}

// TestFlight: as many batches as stages that take as long keep all of them busy, but for filling and draining.
func TestFlight(t *testing.T) {
	for _, c := range []struct {
		batches int
		takes   []units.Time
		steps   int64
		want    units.Time
	}{
		{1, []units.Time{7, 7, 7}, 10, 210},
		{3, []units.Time{7, 7, 7}, 10, 210 + 14},  // K·p + p − 1 slots
		{2, []units.Time{7, 7, 7}, 10, 210 + 7},   // one stage idles at a time
		{4, []units.Time{7, 7, 7, 7}, 1, 28 + 21}, // GPipe's m + p − 1
		{3, []units.Time{1, 10, 1}, 5, 1 + 150 + 1},
		{2, []units.Time{10, 0}, 1000000, 20000000},
	} {
		if got := flown(c.batches, c.takes, c.steps); got != c.want {
			t.Errorf("%d batches through %v, %d steps: %d, want %d", c.batches, c.takes, c.steps, got, c.want)
		}
	}
}

// TestFlightLaws: never under what a batch takes alone, nor under what the longest stage takes for all; never longer than one batch
// after another; and steps that are skipped take what played ones do.
func TestFlightLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var takes []units.Time
		var sum, most units.Time
		for range rapid.IntRange(1, 6).Draw(t, "stages") {
			d := units.Time(rapid.IntRange(0, 50).Draw(t, "takes"))
			takes, sum, most = append(takes, d), sum+d, max(most, d)
		}
		batches, steps := rapid.IntRange(1, len(takes)).Draw(t, "batches"), rapid.Int64Range(1, 40).Draw(t, "steps")
		got := flown(batches, takes, steps)
		m, k := units.Time(batches), units.Time(steps)
		if got < k*sum || got < m*k*most || got > m*k*sum {
			t.Errorf("%d batches through %v, %d steps: %d", batches, takes, steps, got)
		}
		f := &flight{make([]units.Time, batches), make([]units.Time, len(takes)+1)}
		one := round{section: plan.Section{Steps: 1}, takes: takes}
		for i := range takes {
			one.at = append(one.at, int64(i))
		}
		var played units.Time
		for range steps {
			played = f.play(&one)
		}
		if played != got {
			t.Errorf("%d batches through %v, %d steps: %d, one by one %d", batches, takes, steps, got, played)
		}
		slower := slices.Clone(takes)
		slower[rapid.IntRange(0, len(takes)-1).Draw(t, "slower")]++
		if flown(batches, slower, steps) < got {
			t.Errorf("a slower stage makes it faster: %v", slower)
		}
	})
}
