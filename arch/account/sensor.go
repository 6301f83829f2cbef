package account

import (
	"math"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
)

// Level is a power that lasts for a time.
type Level struct {
	Time  units.Time
	Watts units.Watts
}

// SensorPeak is the largest power that a sensor reads while the levels follow one another. A run
// shorter than a boxcar's window reads as its mean, as if it were repeated; an exponential filter
// starts from what was drawn before.
func SensorPeak(levels []Level, s *arch.Sensor, before units.Watts) units.Watts {
	if s.Filter == "exponential" {
		return exponentialPeak(levels, s.Window, before)
	}
	return boxcarPeak(levels, s.Window)
}

// boxcarPeak is the largest mean over a window. The mean as a function of where the window lies is
// linear between places at which one of its ends is at a change of power, so these are all that count.
func boxcarPeak(levels []Level, window units.Time) units.Watts {
	ends, joules := make([]units.Time, len(levels)+1), make([]units.Joules, len(levels)+1)
	for i, l := range levels {
		ends[i+1], joules[i+1] = ends[i]+l.Time, joules[i]+l.Watts.During(l.Time)
	}
	n := len(levels)
	total := ends[n]
	if total <= window {
		return joules[n].Per(total)
	}
	// until is the energy until t, found from where the last look was.
	until := func(at *int, t units.Time) units.Joules {
		for *at < n-1 && ends[*at+1] < t {
			*at++
		}
		return joules[*at] + levels[*at].Watts.During(t-ends[*at])
	}
	var peak units.Watts
	var before, after int
	for i, t := range ends {
		if t >= window {
			peak = max(peak, (joules[i] - until(&before, t-window)).Per(window))
		}
		if t+window <= total {
			peak = max(peak, (until(&after, t+window) - joules[i]).Per(window))
		}
	}
	return peak
}

func exponentialPeak(levels []Level, constant units.Time, reads units.Watts) units.Watts {
	peak := units.Watts(0)
	for _, l := range levels {
		left := decay(float64(l.Time) / float64(constant))
		reads = l.Watts + units.Watts(float64(reads-l.Watts)*left)
		peak = max(peak, reads)
	}
	return peak
}

// decay returns e⁻ˣ for x ≥ 0, the same on every platform: math.Exp is not.
func decay(x float64) float64 {
	if x > 700 {
		return 0
	}
	// e⁻ˣ = (e^(−x/2ⁿ))^(2ⁿ) with x/2ⁿ below 1/8, where the series converges fast.
	n := 0
	for ; x > 0.125; n++ {
		x /= 2
	}
	y := 1.0
	for k := 12; k >= 1; k-- {
		y = 1 - float64(x*y)/float64(k)
	}
	for ; n > 0; n-- {
		y = float64(y * y)
	}
	return math.Min(y, 1)
}
