package arch_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
)

func TestVoltage(t *testing.T) {
	curve := []arch.Operating{{Clock: 400 * units.Hertz(1e6), Voltage: 0.7}, {Clock: 800e6, Voltage: 0.7}, {Clock: 1200e6, Voltage: 0.9}}
	for _, tt := range []struct {
		clock units.Hertz
		want  units.Volts
	}{{100e6, 0.7}, {400e6, 0.7}, {600e6, 0.7}, {800e6, 0.7}, {1000e6, 0.8}, {1200e6, 0.9}, {1400e6, 1.0}} {
		if got := (&arch.Power{Curve: curve}).Voltage(tt.clock); got < tt.want-1e-12 || got > tt.want+1e-12 {
			t.Errorf("%v: %v, want %v", tt.clock, got, tt.want)
		}
	}
	if v := (&arch.Power{Curve: curve[:1]}).Voltage(5e9); v != 0.7 {
		t.Errorf("one point: %v", v)
	}
	if v := (&arch.Power{}).Voltage(5e9); v != 0 {
		t.Errorf("no curve: %v", v)
	}
}

// On every curve that is in order, voltage never falls with the clock.
func TestVoltageRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p arch.Power
		at := arch.Operating{}
		for range rapid.IntRange(1, 6).Draw(t, "points") {
			at.Clock += units.Hertz(rapid.Int64Range(1, 1e9).Draw(t, "clock"))
			at.Voltage += units.Volts(rapid.Float64Range(0.01, 0.4).Draw(t, "voltage"))
			p.Curve = append(p.Curve, at)
		}
		a, b := units.Hertz(rapid.Int64Range(1, 8e9).Draw(t, "a")), units.Hertz(rapid.Int64Range(1, 8e9).Draw(t, "b"))
		if a > b {
			a, b = b, a
		}
		if p.Voltage(a) > p.Voltage(b)*(1+1e-12) {
			t.Fatalf("%v at %v, %v at %v", p.Voltage(a), a, p.Voltage(b), b)
		}
	})
}

// What is wrong with a curve, or with the energy of memory devices, is told with its place.
func TestPowerProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"curve: [{clock: 1 GHz, voltage: 0.8 V}, {clock: 1 GHz, voltage: 0.9 V}]", "power.curve[1].clock"},
		{"curve: [{clock: 1 GHz, voltage: 0.8 V}, {clock: 1.2 GHz, voltage: 0.7 V}]", "power.curve[1].voltage"},
		{"curve: [{clock: 1 GHz, voltage: 0.8}]", "needs a unit"},
		{"sensor: {window: 100 ms, filter: median}", "boxcar, exponential"},
		{"sensor: {window: 0 ms}", "power.sensor.window"},
		{"dram: [{name: ddr9, activate: 1 nJ, stream: 1 KiB, cache: 1 KiB, gather: 1 KiB, read: 1 pJ/B, write: 1 pJ/B, refresh: 1 uJ, interval: 4 us, background: 1 W}]", "there is no such memory tier"},
		{"dram: [{name: l2, activate: 1 nJ, stream: 1 KiB, cache: 1 KiB, gather: 1 KiB, read: 1 pJ/B, write: 1 pJ/B, refresh: 1 uJ, interval: 4 us, background: 1 W}]", "the tier is not in DRAM"},
		{"dram: [{name: hbm, activate: 1 nJ}]", "energy.dram[hbm].stream"},
	} {
		text := strings.Replace(string(gpu), "active: 63 W}", "active: 63 W, "+tt.text+"}", 1)
		if strings.HasPrefix(tt.text, "dram") {
			text = strings.Replace(string(gpu), "\nenergy:\n", "\nenergy:\n  "+tt.text+"\n", 1)
		}
		_, err := load(text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}
