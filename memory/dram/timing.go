package dram

import "slices"

// Timing are the intervals of a standard in clocks, with the names that JEDEC gives them: from the start of one command to the
// start of another, the more clocks of a command that takes several apart.
type Timing struct {
	BL, CL, CWL       int // burst on the data bus; read and write command to data
	RCDRead, RCDWrite int // ACT to column command
	RP, RAS, RC       int // PRE to ACT, ACT to PRE, ACT to ACT of one bank
	CCDS, CCDL        int // column commands of one direction: other bank group, same bank group
	CCDLWrite         int // writes to the same bank group; 0: as CCDL
	RRDS, RRDL, FAW   int // ACT to ACT: other bank group, same bank group; four ACTs
	WTRS, WTRL        int // end of write data to read: other bank group, same bank group
	RTW               int // read to write; 0: CL + BL + 2 - CWL
	WR, RTP           int // end of write data to PRE; read to PRE
	PPD               int // PRE to PRE
	OtherRank         int // extra clocks of the data bus when the rank or stack ID changes
	RFC, REFI         int // all-bank refresh: how long, how often
	RFCBank, REFIBank int // per-bank refresh; 0: the standard has none
	RREFD             int // per-bank refresh to ACT of another bank
	ACT, PRE, Column  float64
	SplitACT          int  // clocks within which the second half of an ACT must follow (LPDDR5); 0: ACT is one command
	Sync              bool // a column command after an idle data clock waits one clock for it to start (LPDDR5 WCK)
	HalfClock         bool // PRE may start at half clocks, and all is counted in them (HBM3)
	RowBus            bool // row commands have a bus of their own (HBM)
	ActsAcrossRanks   bool // RRD and FAW count ACTs of all ranks of a pseudo-channel (HBM stack IDs)
	TurnsAcrossRanks  bool // read-write turnaround is the same whatever the rank (HBM stack IDs)
	PrechargeOneByOne bool // before a refresh, banks are closed by one PRE each
	RefreshTogether   bool // per-bank refresh: of a bank of each pseudo-channel at a time
	StaggeredRefresh  bool // the ranks of a channel are refreshed one after another, not together
}

// Standard is a kind of DRAM at a speed: how a channel is built, and its timing.
type Standard struct {
	Name string
	// Source says where the figures are from.
	Source string
	// Clock is the length of a clock in picoseconds.
	Clock float64
	// PseudoChannels of a channel have data buses of their own; Ranks are ranks or stack IDs, Groups bank groups of each,
	// Banks banks of each group.
	PseudoChannels, Ranks, Groups, Banks int
	// Rows of a bank, of RowBytes each in one pseudo-channel; a column command moves BurstBytes.
	Rows                 int
	RowBytes, BurstBytes int64
	Timing
	// Currents give energy; nil where no figures are known.
	Currents *Currents
}

// Peak returns the bandwidth of the data buses of a channel in bytes per second.
func (s *Standard) Peak() float64 {
	return float64(int64(s.PseudoChannels)*s.BurstBytes) / (float64(s.BL) * s.Clock) * 1e12
}

const (
	ramulator = "Ramulator 2.1 c5b1c3a, python/ramulator/dram/"
	dramsim   = "DRAMsim3 2981759, configs/"
)

var ddr4 = Timing{BL: 4, CL: 22, CWL: 16, RCDRead: 22, RCDWrite: 22, RP: 22, RAS: 52, RC: 74, CCDS: 4, CCDL: 8, RRDS: 4, RRDL: 8, FAW: 34,
	WTRS: 4, WTRL: 12, WR: 24, RTP: 12, OtherRank: 2, RFC: 576, REFI: 12480, ACT: 1, PRE: 1, Column: 1}

var hbm2 = Timing{BL: 2, CL: 14, CWL: 5, RCDRead: 14, RCDWrite: 12, RP: 14, RAS: 34, RC: 48, CCDS: 2, CCDL: 4, RRDS: 4, RRDL: 4, FAW: 15,
	WTRS: 6, WTRL: 8, WR: 16, RTP: 5, RFC: 350, REFI: 3900, RFCBank: 160, REFIBank: 122, RREFD: 8, ACT: 2, PRE: 1, Column: 1, RowBus: true}

var hbm3 = Timing{BL: 2, CL: 20, CWL: 10, RCDRead: 31, RCDWrite: 15, RP: 26, RAS: 45, RC: 72, CCDS: 2, CCDL: 4, RRDS: 4, RRDL: 5, FAW: 24,
	WTRS: 7, WTRL: 10, RTW: 20, WR: 33, RTP: 9, PPD: 2, OtherRank: 1, RFC: 560, REFI: 6240, RFCBank: 320, REFIBank: 195, RREFD: 13,
	ACT: 1.5, PRE: 0.5, Column: 1, HalfClock: true, RowBus: true, ActsAcrossRanks: true, TurnsAcrossRanks: true, RefreshTogether: true}

// Standards are those that requests may name, as the controller ramulator2 drives them.
var standards = []*Standard{
	{Name: "DDR4-3200", Source: ramulator + "ddr4.py: DDR4_3200AA, 8Gb x8, one rank (JESD79-4)",
		Clock: 625, PseudoChannels: 1, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 8192, BurstBytes: 64, Timing: ddr4, Currents: ddr4Currents},
	{Name: "DDR4-3200-2R", Source: ramulator + "ddr4.py: DDR4_3200AA, 8Gb x8, two ranks (JESD79-4)",
		Clock: 625, PseudoChannels: 1, Ranks: 2, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 8192, BurstBytes: 64, Timing: ddr4, Currents: ddr4Currents},
	{Name: "DDR5-4800", Source: ramulator + "ddr5.py: DDR5_4800BN, 16Gb x8, a sub-channel of 32 bits (JESD79-5)",
		Clock: 1e6 / 2400.0, PseudoChannels: 1, Ranks: 1, Groups: 8, Banks: 4, Rows: 1 << 16, RowBytes: 4096, BurstBytes: 64,
		Timing: Timing{BL: 8, CL: 36, CWL: 34, RCDRead: 36, RCDWrite: 36, RP: 36, RAS: 77, RC: 113, CCDS: 8, CCDL: 12, CCDLWrite: 48, RRDS: 8, RRDL: 12, FAW: 48,
			WTRS: 6, WTRL: 24, RTW: 14, WR: 72, RTP: 18, PPD: 2, OtherRank: 2, RFC: 710, REFI: 9375, ACT: 2, PRE: 1, Column: 2}},
	{Name: "DDR5-6400", Source: ramulator + "ddr5.py: DDR5_6400AN, 16Gb x8, a sub-channel of 32 bits (JESD79-5)",
		Clock: 312.5, PseudoChannels: 1, Ranks: 1, Groups: 8, Banks: 4, Rows: 1 << 16, RowBytes: 4096, BurstBytes: 64,
		Timing: Timing{BL: 8, CL: 46, CWL: 44, RCDRead: 46, RCDWrite: 46, RP: 46, RAS: 103, RC: 149, CCDS: 8, CCDL: 16, CCDLWrite: 64, RRDS: 16, RRDL: 16, FAW: 64,
			WTRS: 5, WTRL: 32, RTW: 14, WR: 96, RTP: 24, PPD: 2, OtherRank: 2, RFC: 946, REFI: 12500, ACT: 2, PRE: 1, Column: 2}},
	{Name: "LPDDR5-6400", Source: ramulator + "lpddr5.py: LPDDR5_6400, 16Gb x16 in bank-group mode (JESD209-5B)",
		Clock: 1250, PseudoChannels: 1, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 2048, BurstBytes: 32,
		Timing: Timing{BL: 2, CL: 17, CWL: 9, RCDRead: 15, RCDWrite: 15, RP: 15, RAS: 34, RC: 49, CCDS: 2, CCDL: 4, RRDS: 4, RRDL: 4, FAW: 16,
			WTRS: 5, WTRL: 10, WR: 28, RTP: 8, PPD: 2, OtherRank: 2, RFC: 224, REFI: 3125, RFCBank: 128, REFIBank: 391, ACT: 1, PRE: 1, Column: 1, SplitACT: 8, Sync: true}},
	{Name: "GDDR6-14000", Source: ramulator + "gddr6.py: 16Gb x16 at 14 Gb/s, a channel of 16 bits (JESD250)",
		Clock: 4e6 / 7000.0, PseudoChannels: 1, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 14, RowBytes: 4096, BurstBytes: 32,
		Timing: Timing{BL: 2, CL: 24, CWL: 6, RCDRead: 27, RCDWrite: 16, RP: 27, RAS: 53, RC: 79, CCDS: 2, CCDL: 4, RRDS: 8, RRDL: 8, FAW: 29,
			WTRS: 9, WTRL: 11, WR: 27, RTP: 4, RFC: 210, REFI: 3333, RFCBank: 105, REFIBank: 208, RREFD: 28, ACT: 1, PRE: 1, Column: 1}},
	{Name: "HBM2-2000", Source: ramulator + "hbm2.py: HBM2_2000Mbps, 8Gb (JESD235D)",
		Clock: 1000, PseudoChannels: 2, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 1024, BurstBytes: 32, Timing: hbm2, Currents: nil},
	{Name: "HBM2E-3200", Source: "estimated: HBM2-2000 with its nanoseconds at 1.6 GHz",
		Clock: 625, PseudoChannels: 2, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 1024, BurstBytes: 32,
		Timing: Timing{BL: 2, CL: 23, CWL: 8, RCDRead: 23, RCDWrite: 20, RP: 23, RAS: 53, RC: 76, CCDS: 2, CCDL: 4, RRDS: 7, RRDL: 7, FAW: 24,
			WTRS: 10, WTRL: 13, WR: 26, RTP: 8, RFC: 560, REFI: 6240, RFCBank: 256, REFIBank: 195, RREFD: 13, ACT: 2, PRE: 1, Column: 1, RowBus: true}},
	{Name: "HBM3-6400", Source: ramulator + "hbm3.py: HBM3_6400Mbps, 16Gb, 8 high (JESD238)",
		Clock: 625, PseudoChannels: 2, Ranks: 2, Groups: 4, Banks: 4, Rows: 1 << 14, RowBytes: 1024, BurstBytes: 32, Timing: hbm3},
	{Name: "HBM3E-9200", Source: "estimated: HBM3-6400 with its nanoseconds at 2.3 GHz",
		Clock: 1e6 / 2300.0, PseudoChannels: 2, Ranks: 2, Groups: 4, Banks: 4, Rows: 1 << 14, RowBytes: 1024, BurstBytes: 32,
		Timing: Timing{BL: 2, CL: 29, CWL: 15, RCDRead: 45, RCDWrite: 22, RP: 38, RAS: 65, RC: 104, CCDS: 2, CCDL: 4, RRDS: 6, RRDL: 8, FAW: 35,
			WTRS: 11, WTRL: 15, RTW: 29, WR: 48, RTP: 13, PPD: 3, OtherRank: 1, RFC: 805, REFI: 8970, RFCBank: 460, REFIBank: 281, RREFD: 19,
			ACT: 1.5, PRE: 0.5, Column: 1, HalfClock: true, RowBus: true, ActsAcrossRanks: true, TurnsAcrossRanks: true, RefreshTogether: true}},
}

// queued are the two standards as the controller dramsim3 has them.
var queued = []*Standard{
	{Name: "DDR4-3200-2R", Source: dramsim + "DDR4_8Gb_x8_3200.ini",
		Clock: 630, PseudoChannels: 1, Ranks: 2, Groups: 4, Banks: 4, Rows: 1 << 16, RowBytes: 8192, BurstBytes: 64,
		Timing: Timing{BL: 4, CL: 22, CWL: 16, RCDRead: 22, RCDWrite: 22, RP: 22, RAS: 52, RC: 74, CCDS: 4, CCDL: 8, RRDS: 4, RRDL: 8, FAW: 34,
			WTRS: 4, WTRL: 12, RTW: 11, WR: 24, RTP: 12, OtherRank: 1, RFC: 560, REFI: 12480, ACT: 1, PRE: 1, Column: 1, PrechargeOneByOne: true, StaggeredRefresh: true},
		Currents: ddr4Currents},
	{Name: "HBM2-2000", Source: dramsim + "HBM2_8Gb_x128.ini: legacy mode, one bus of 128 bits",
		Clock: 1000, PseudoChannels: 1, Ranks: 1, Groups: 4, Banks: 4, Rows: 1 << 15, RowBytes: 2048, BurstBytes: 64,
		Timing: Timing{BL: 2, CL: 14, CWL: 4, RCDRead: 14, RCDWrite: 14, RP: 14, RAS: 34, RC: 48, CCDS: 1, CCDL: 2, RRDS: 4, RRDL: 6, FAW: 30,
			WTRS: 6, WTRL: 8, RTW: 14, WR: 16, RTP: 5, RFC: 260, REFI: 3900, ACT: 1, PRE: 1, Column: 1, RowBus: true, PrechargeOneByOne: true, StaggeredRefresh: true},
		Currents: hbm2Currents},
}

func find(list []*Standard, name string) *Standard {
	if i := slices.IndexFunc(list, func(s *Standard) bool { return s.Name == name }); i >= 0 {
		return list[i]
	}
	return nil
}

// ByName returns a standard as the controller ramulator2 drives it, nil if there is none of that name. Nobody may change it.
func ByName(name string) *Standard { return find(standards, name) }
