package account_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/account"
	"github.com/stratasim/strata/sim/units"
)

// A prefill of 50 ms at 400 W between nothing and decode at 200 W: a window of 100 ms sees half of each,
// one of 50 ms all of it; the exponential filter comes closer to it by 1 − 1/e of the way.
func TestSensorPeak(t *testing.T) {
	levels := []account.Level{{Time: 50 * units.Millisecond, Watts: 400}, {Time: 450 * units.Millisecond, Watts: 200}}
	for _, tt := range []struct {
		sensor arch.Sensor
		want   float64
	}{
		{arch.Sensor{Window: 100 * units.Millisecond}, 300},
		{arch.Sensor{Window: 100 * units.Millisecond, Filter: "boxcar"}, 300},
		{arch.Sensor{Window: 50 * units.Millisecond}, 400},
		{arch.Sensor{Window: 10 * units.Millisecond}, 400},
		{arch.Sensor{Window: 500 * units.Millisecond}, 220},
		{arch.Sensor{Window: units.Second}, 220},
		{arch.Sensor{Window: 50 * units.Millisecond, Filter: "exponential"}, 400 - 300/math.E},
	} {
		if got := account.SensorPeak(levels, &tt.sensor, 100); math.Abs(float64(got)-tt.want) > 1e-9 {
			t.Errorf("%+v: %v, want %v W", tt.sensor, got, tt.want)
		}
	}
}

// The peak of the boxcar is that of a window moved in small steps, never below it and never above the
// highest level; the exponential filter stays between what it started from and the highest level.
func TestSensorLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "levels")
		var levels []account.Level
		var total units.Time
		var most, joules float64
		for range n {
			l := account.Level{Time: units.Time(rapid.Int64Range(1, 100).Draw(t, "time")), Watts: units.Watts(rapid.Int64Range(0, 700).Draw(t, "watts"))}
			levels, total, most = append(levels, l), total+l.Time, max(most, float64(l.Watts))
			joules += float64(l.Watts) * float64(l.Time)
		}
		window := units.Time(rapid.Int64Range(1, 400).Draw(t, "window"))
		got := float64(account.SensorPeak(levels, &arch.Sensor{Window: window}, 0))
		want := joules / float64(total)
		if window < total {
			want = 0
			for start := units.Time(0); start+window <= total; start++ {
				var sum float64
				var at units.Time
				for _, l := range levels {
					sum += float64(l.Watts) * float64(max(0, min(at+l.Time, start+window)-max(at, start)))
					at += l.Time
				}
				want = max(want, sum/float64(window))
			}
		}
		if math.Abs(got-want) > 1e-6*(1+want) {
			t.Fatalf("boxcar %g, moved by hand %g", got, want)
		}
		if e := float64(account.SensorPeak(levels, &arch.Sensor{Window: window, Filter: "exponential"}, 50)); e > max(most, 50)*(1+1e-12) || e < 0 || math.IsNaN(e) {
			t.Fatalf("exponential %g of at most %g", e, most)
		}
	})
}
