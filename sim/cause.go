package sim

import "github.com/stratasim/strata/sim/units"

// Cause says what a stretch of time was spent on or waiting for. The order is the order in
// which ties between equally slow resources are broken.
type Cause uint8

// The causes. Compute to Link are resources in service; Launch is the time in which a host or
// a command processor starts work; Dependency is a chain that leaves all resources of the
// chip unused: pipelines filling and draining, joins with nothing of ours running; Idle is
// time in which no work exists.
const (
	Compute Cause = iota
	SRAM
	HBM
	DDR
	Link
	Launch
	Dependency
	Idle
	NumCauses = iota
)

var causeNames = [NumCauses]string{"compute", "sram", "hbm", "ddr", "link", "launch", "dependency", "idle"}

// String returns the name used in reports, JSON and the database.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// ParseCause returns the cause with that name.
func ParseCause(s string) (Cause, bool) {
	for i, n := range causeNames {
		if n == s {
			return Cause(i), true
		}
	}
	return 0, false
}

// Causes lists all causes in order.
func Causes() []Cause {
	all := make([]Cause, NumCauses)
	for i := range all {
		all[i] = Cause(i)
	}
	return all
}

// Stalls is time by cause, in picoseconds.
type Stalls [NumCauses]units.Time

// Total returns the sum over all causes.
func (s *Stalls) Total() units.Time {
	var t units.Time
	for _, v := range s {
		t += v
	}
	return t
}

// Add adds n times o.
func (s *Stalls) Add(o *Stalls, n int64) {
	for i := range s {
		s[i] += o[i] * units.Time(n)
	}
}

// Minus returns s - o.
func (s *Stalls) Minus(o *Stalls) Stalls {
	var d Stalls
	for i := range s {
		d[i] = s[i] - o[i]
	}
	return d
}

// Running is the time in which kernels run: neither launches nor waiting for work or for a lower memory.
func (s *Stalls) Running() units.Time { return s.Total() - s[Launch] - s[Idle] - s[DDR] }

// Largest returns the cause with the most time; the first in order among equals.
func (s *Stalls) Largest() Cause {
	best := Cause(0)
	for i := range s {
		if s[i] > s[best] {
			best = Cause(i)
		}
	}
	return best
}
