package uncertainty

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stratasim/strata/arch/presets"
)

// TestDefault: the table is in order, its quantiles rise, and every measured device is a preset with a chip of its own.
func TestDefault(t *testing.T) {
	table := Default()
	var b bytes.Buffer
	if err := table.Write(&b); err != nil || !bytes.Equal(b.Bytes(), tableText) {
		t.Errorf("what is read is not what is written: %v", err)
	}
	held := 0
	for _, e := range table.Entries() {
		if !slices.IsSorted(e.Log[:]) || e.N < 1 {
			t.Errorf("%s %s: %d rows, %v", e.Device, e.Class, e.N, e.Log)
		}
		if e.Device == HeldOut {
			held++
			if e.Devices < 1 {
				t.Errorf("%s: %d devices held out", e.Class, e.Devices)
			}
			continue
		}
		if !slices.Contains(presets.Names(), e.Device) || ChipOf(e.Device) != e.Device {
			t.Errorf("%s: the chip of %s", e.Device, ChipOf(e.Device))
		}
	}
	if len(table.entries) < 100 || held < 15 || table.find(HeldOut, Model, "") == nil || table.find(HeldOut, Train, "") == nil {
		t.Errorf("%d entries, %d of what was held out", len(table.entries), held)
	}
}

// TestRanked: the quantile of n values is the one beyond which the next lies with no more than the probability.
func TestRanked(t *testing.T) {
	list := make([]float64, 39)
	for i := range list {
		list[i] = float64(i + 1)
	}
	for _, tt := range []struct {
		n    int
		p    float64
		want float64
	}{{39, 0.05, 2}, {39, 0.95, 38}, {19, 0.05, 1}, {19, 0.95, 19}, {18, 0.05, 1}, {39, 0.5, 20}, {38, 0.5, 19.5}, {1, 0.5, 1}, {1, 0.9, 1}} {
		if got := ranked(list[:tt.n], tt.p); got != tt.want {
			t.Errorf("%d values, %g: %g, want %g", tt.n, tt.p, got, tt.want)
		}
	}
	// Nine tenths of what comes next lies within, whatever the distribution.
	r := rand.New(rand.NewPCG(1, 2))
	within, all := 0, 0
	for range 4000 {
		sample := make([]float64, 40)
		for i := range sample {
			sample[i] = math.Exp(r.NormFloat64())
		}
		next := sample[39]
		slices.Sort(sample[:39])
		all++
		if ranked(sample[:39], 0.05) <= next && next <= ranked(sample[:39], 0.95) {
			within++
		}
	}
	if share := float64(within) / float64(all); share < 0.88 || share > 0.92 {
		t.Errorf("%.3f within", share)
	}
}

// TestNext: the interval of the next device holds the spread of devices, and is wider the fewer there are.
func TestNext(t *testing.T) {
	of := func(devices int, apart float64) (low, high float64) {
		var held []Sample
		for d := range devices {
			bias := apart * float64(2*d-(devices-1)) / 2
			for i := range 41 {
				held = append(held, Sample{Device: strings.Repeat("x", d+1), Class: "c", Log: bias + 0.1*float64(i-20)/20})
			}
		}
		e := NewTable(Build(nil, held)).find(HeldOut, "c", "")
		return e.Log[0], e.Log[len(e.Log)-1]
	}
	low, high := of(5, 0)
	if math.Abs(low+0.095) > 0.006 || math.Abs(high-0.095) > 0.006 { // within alone
		t.Errorf("alike devices: %g to %g", low, high)
	}
	_, five := of(5, 0.1)
	// s = 0.158, t of 4 degrees of freedom at 95 % is 2.132 (Student's table): √(0.095² + (2.132·0.158·√1.2)²)
	if want := math.Hypot(0.095, 2.132*0.1581*math.Sqrt(1.2)); math.Abs(five-want) > 0.006 {
		t.Errorf("five devices 0.1 apart: %g, want %g", five, want)
	}
	if _, three := of(3, 0.158); three <= five { // as far apart
		t.Errorf("three devices: %g, five: %g", three, five)
	}
}

// TestRead refuses what is no table.
func TestRead(t *testing.T) {
	head := strings.Join(columns, ",") + "\n"
	for _, bad := range []string{"", "a,b\n", head + "x,gemm,,1,0,0,0,0,0,0,0,0,m=1,,\n", head + "x,gemm,,one,0,0,0,0,0,0,0,0,,,\n", head + "x,gemm,,1,0,0,0,zero,0,0,0,0,,,\n"} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
