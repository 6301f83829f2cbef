package dram

// Currents are supply currents of a chip in milliamperes, with the names of data sheets, and its voltage. Chips work in step on
// a rank.
type Currents struct {
	VDD                                      float64
	IDD0, IDD2N, IDD3N, IDD4R, IDD4W, IDD5AB float64
	Chips                                    float64
}

var (
	// DRAMsim3 2981759, configs/DDR4_8Gb_x8_3200.ini.
	ddr4Currents = &Currents{VDD: 1.2, IDD0: 57, IDD2N: 37, IDD3N: 52, IDD4R: 168, IDD4W: 150, IDD5AB: 250, Chips: 8}
	// DRAMsim3 2981759, configs/HBM2_8Gb_x128.ini.
	hbm2Currents = &Currents{VDD: 1.2, IDD0: 65, IDD2N: 40, IDD3N: 55, IDD4R: 390, IDD4W: 500, IDD5AB: 250, Chips: 1}
)

// Energy is what the chips take, in picojoules, by what for; neither I/O drivers nor termination nor the controller.
type Energy struct{ Activate, Read, Write, Refresh, Background float64 }

// Total is the sum of the parts.
func (e *Energy) Total() float64 { return e.Activate + e.Read + e.Write + e.Refresh + e.Background }

// energy of one channel after ticks, open of which, over all ranks, had a row open: each command takes what its current is above
// that of standing by, for as long as it lasts (Micron TN-41-01, the method of DRAMsim3).
func (s *Standard) energy(c *counts, open, ticks int64) Energy {
	p := s.Currents
	clock := s.Clock / 1000 // ns; mA·V·ns are pJ
	per := func(current, clocks float64) float64 {
		return float64(float64(float64(p.VDD*p.Chips)*float64(current*clocks)) * clock)
	}
	act := per(p.IDD0, float64(s.RC)) - per(p.IDD3N, float64(s.RAS)) - per(p.IDD2N, float64(s.RP))
	k := 1.0
	if s.HalfClock {
		k = 2
	}
	idle := float64(ticks*int64(s.Ranks*s.PseudoChannels)-open) / k
	return Energy{
		Activate:   float64(c.acts) * act,
		Read:       float64(c.reads) * per(p.IDD4R-p.IDD3N, float64(s.BL)),
		Write:      float64(c.writes) * per(p.IDD4W-p.IDD3N, float64(s.BL)),
		Refresh:    float64(c.refreshes) * per(p.IDD5AB-p.IDD3N, float64(s.RFC)),
		Background: per(p.IDD3N, float64(open)/k) + per(p.IDD2N, idle),
	}
}
