package sim

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/sim/units"
)

// The names and their order are part of the results: `strata run -o json` and the database have a
// field for each, and ties between resources go to the first.
func TestCauses(t *testing.T) {
	want := []string{"compute", "sram", "hbm", "ddr", "link", "launch", "dependency", "idle"}
	var got []string
	for _, c := range Causes() {
		got = append(got, c.String())
		if back, ok := ParseCause(c.String()); !ok || back != c {
			t.Errorf("%q reads as %v, %v", c.String(), back, ok)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("causes %q, want %q", got, want)
	}
	for i, c := range []Cause{Compute, SRAM, HBM, DDR, Link, Launch, Dependency, Idle} {
		if c.String() != want[i] {
			t.Errorf("cause %d is %q, want %q", c, c, want[i])
		}
	}
	for _, c := range []Cause{NumCauses, 255} {
		if c.String() != "unknown" {
			t.Errorf("cause %d is %q", uint8(c), c)
		}
	}
	for _, s := range []string{"", "unknown", "HBM", "hbm "} {
		if c, ok := ParseCause(s); ok {
			t.Errorf("%q reads as %v", s, c)
		}
	}
	// What Causes returns belongs to the caller.
	Causes()[0] = Idle
	if Causes()[0] != Compute {
		t.Error("a caller can change the list of causes")
	}
}

func drawStalls(t *rapid.T, label string) (s Stalls) {
	for i := range s {
		s[i] = units.Time(rapid.Int64Range(0, int64(units.MaxTime)/NumCauses).Draw(t, label))
	}
	return s
}

func TestStallsLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawStalls(t, "a"), drawStalls(t, "b")
		n := rapid.Int64Range(-3, 1000).Draw(t, "n")
		sum := a
		sum.Add(&b, n)
		if got, want := sum.Total(), a.Total()+units.Time(n)*b.Total(); got != want {
			t.Fatalf("total of a + %d·b is %d, want %d", n, got, want)
		}
		for i := range sum {
			if sum[i] != a[i]+units.Time(n)*b[i] {
				t.Fatalf("%v: %d + %d·%d = %d", Cause(i), a[i], n, b[i], sum[i])
			}
		}
		d := sum.Minus(&a)
		var want Stalls
		want.Add(&b, n)
		if d != want {
			t.Fatalf("a + %d·b − a = %v, want %v", n, d, want)
		}
		largest := a.Largest()
		for i := range a {
			if a[i] > a[largest] || a[i] == a[largest] && Cause(i) < largest {
				t.Fatalf("largest of %v is %v, not %v", a, largest, Cause(i))
			}
		}
	})
}

func TestStalls(t *testing.T) {
	var none Stalls
	if none.Total() != 0 || none.Largest() != Compute {
		t.Errorf("nothing: total %v, largest %v", none.Total(), none.Largest())
	}
	s := Stalls{HBM: 7, Link: 7, Idle: 3}
	if s.Total() != 17 || s.Largest() != HBM {
		t.Errorf("total %v, largest %v; want 17 ps and, of two equal ones, the first", s.Total(), s.Largest())
	}
	d := s.Minus(&Stalls{Idle: 5})
	if d != (Stalls{HBM: 7, Link: 7, Idle: -2}) || s[Idle] != 3 {
		t.Errorf("difference %v of %v", d, s)
	}
	s.Add(&s, 1) // also with itself
	if s != (Stalls{HBM: 14, Link: 14, Idle: 6}) {
		t.Errorf("doubled: %v", s)
	}
}

func TestCounts(t *testing.T) {
	c := Counts{1, 2, 3}
	c.Add(Counts{10, 0, -1}, 3)
	if !c.Equal(Counts{31, 2, 0}) {
		t.Errorf("counts %v", c)
	}
	for _, o := range []Counts{nil, {31, 2}, {31, 2, 0, 0}, {31, 2, 1}} {
		if c.Equal(o) || o.Equal(c) {
			t.Errorf("%v equals %v", c, o)
		}
	}
	if !(Counts{}).Equal(nil) {
		t.Error("no counters differ from no counters")
	}
}

func TestOutcomeCheck(t *testing.T) {
	good := func() *Outcome {
		return &Outcome{
			Makespan: 10,
			Stalls:   Stalls{Compute: 4, HBM: 5, Idle: 1},
			Ops: []OpStat{
				{Calls: 2, Time: 9, Stalls: Stalls{Compute: 4, HBM: 5}},
				{}, // never ran
			},
		}
	}
	tests := []struct {
		name   string
		change func(o *Outcome)
		want   string // part of the error; empty for none
	}{
		{"as it is", func(*Outcome) {}, ""},
		{"nothing at all", func(o *Outcome) { *o = Outcome{} }, ""},
		{"lost time", func(o *Outcome) { o.Makespan++ }, "stalls sum to 10 ps, makespan is 11 ps"},
		{"time from nowhere", func(o *Outcome) { o.Stalls[Link]++ }, "stalls sum to 11 ps, makespan is 10 ps"},
		{"first operator", func(o *Outcome) { o.Ops[0].Time-- }, "operator 0: stalls sum to 9 ps, its time is 8 ps"},
		{"last operator", func(o *Outcome) { o.Ops[1].Stalls[DDR] = 2 }, "operator 1: stalls sum to 2 ps, its time is 0 ps"},
		{"negative, with the right sum", func(o *Outcome) { o.Stalls[Launch], o.Stalls[Idle] = -2, 3 }, "launch stalls of -2 ps are less than nothing"},
		{"negative in an operator", func(o *Outcome) { o.Ops[0].Stalls = Stalls{SRAM: -1, HBM: 10} }, "operator 0: sram stalls of -1 ps are less than nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good()
			tt.change(o)
			err := o.Check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("Check: %v, want %q", err, tt.want)
			}
		})
	}
}
