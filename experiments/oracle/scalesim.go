package oracle

import (
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
)

// scalesim is the mode that answers as SCALE-Sim v2 (commit 22f88b1) does, quirks included.
const scalesim = "scalesim"

// scalesimAnswer is what that tool reports besides. Words are bytes.
type scalesimAnswer struct {
	OverallUtilPct float64 `json:"overall_util_pct"`
	MappingEffPct  float64 `json:"mapping_eff_pct"`
	ComputeUtilPct float64 `json:"compute_util_pct"`
	// Words from and to memory outside with unlimited bandwidth. Reads are there if sram_kb is given and the product is
	// small enough to walk through, or never fills a buffer.
	DRAMIfmapReads  *int64 `json:"dram_ifmap_reads,omitempty"`
	DRAMFilterReads *int64 `json:"dram_filter_reads,omitempty"`
	DRAMOfmapWrites int64  `json:"dram_ofmap_writes"`
}

// asScaleSim makes an answer that of the tool: cycles are the number of the last one, counted from 0; partial sums
// are written and never read back; each fold of os counts R+C results too many; percentages; the share of busy
// processing elements has a fold of ws and is take C−1 cycles longer than it does.
func (s *systolicArray) asScaleSim(a *arrayAnswer, r *compute.SystolicRun) {
	rc := float64(s.rows) * float64(s.cols)
	a.Cycles--
	a.SRAMPartialReads, a.DrainCycles = 0, 0
	t := &scalesimAnswer{MappingEffPct: 100 * r.Mapping, DRAMOfmapWrites: a.SRAMOfmapWrites}
	if a.Cycles > 0 {
		t.OverallUtilPct = 100 * float64(r.Work) / (float64(a.Cycles) * rc)
		a.Utilization = float64(r.Work) / (float64(a.Cycles) * rc)
	}
	stream, length := s.k, s.k+s.rows+s.cols-2
	switch s.dataflow {
	case "os":
		a.SRAMOfmapWrites += r.Folds * (s.rows + s.cols)
	case "ws":
		stream, length = s.m, s.m+2*s.rows+2*s.cols-3
	case "is":
		stream, length = s.n, s.n+2*s.rows+2*s.cols-3
	}
	t.ComputeUtilPct = 100 * float64(r.Mapping*float64(stream)) / float64(length)
	t.DRAMIfmapReads, t.DRAMFilterReads = s.fetches(r)
	a.scalesimAnswer = t
}

// maxWalk bounds the words of a walk through a product.
const maxWalk = 1 << 23

// stage is a buffer that is emptied each time it becomes full.
type stage struct {
	room, held, missed int64
	turn               int32
	seen               []int32 // by word: the turn in which it was fetched last
}

func (b *stage) fetch(word int64) {
	if word < 0 || b.seen[word] == b.turn {
		return
	}
	b.seen[word] = b.turn
	b.missed++
	if b.held++; b.held == b.room {
		b.held = 0
		b.turn++
	}
}

// room is what the buffer of one operand holds: half of its memory, in fifty parts of whole words.
func room(bytes int64) int64 { return 50 * (bytes / 100) }

func newStage(bytes, words int64) *stage {
	return &stage{room: room(bytes), turn: 1, seen: make([]int32, words)}
}

// input returns the word of A in a row and column; −1 outside the input.
func (s *systolicArray) input(i, j, across int64) int64 {
	c := &s.conv
	if c.filters == 0 {
		return i*s.k + j
	}
	row, col := i/across*c.stride, i%across*c.stride
	row += j / (c.filterWidth * c.channels)
	j %= c.filterWidth * c.channels
	col += j / c.channels
	if row >= c.height || col >= c.width {
		return -1
	}
	return (row*c.width+col)*c.channels + j%c.channels
}

// fetches returns the words that are fetched of inputs and weights: the misses of the two buffers in the order of the
// array's requests, fold by fold, with the skew of the rows or columns that they enter by. Both are nil if sram_kb is not
// given or that order is too long to walk.
func (s *systolicArray) fetches(r *compute.SystolicRun) (inputs, weights *int64) {
	a := &r.Access
	if s.sram[0] == 0 {
		return nil, nil
	}
	if s.conv.filters == 0 && s.m*s.k < room(s.sram[0]) && s.k*s.n < room(s.sram[1]) { // neither is ever emptied
		in, w := s.m*s.k, s.k*s.n
		return &in, &w
	}
	if a.Inputs > maxWalk || a.Weights > maxWalk {
		return nil, nil
	}
	words := s.m * s.k
	var across int64
	if c := &s.conv; c.filters > 0 {
		n, ok := units.Mul(c.height, c.width)
		if ok {
			n, ok = units.Mul(n, c.channels)
		}
		if !ok || n > maxWalk {
			return nil, nil
		}
		words, across = n, c.positions(c.width, c.filterWidth, true)
	}
	in, w := newStage(s.sram[0], words), newStage(s.sram[1], s.k*s.n)
	input := func(i, j int64) { in.fetch(s.input(i, j, across)) }
	weight := func(k, n int64) { w.fetch(n*s.k + k) }
	sr, sc, t := s.k, s.n, s.m
	switch s.dataflow {
	case "os":
		sr, sc, t = s.m, s.n, s.k
	case "is":
		sr, sc, t = s.k, s.m, s.n
	}
	// stream has n lines enter, each a cycle after the one before.
	stream := func(n int64, word func(line, at int64)) {
		for cycle := range t + n - 1 {
			for line := max(0, cycle-t+1); line < min(n, cycle+1); line++ {
				word(line, cycle-line)
			}
		}
	}
	for c := int64(0); c < sc; c += s.cols {
		for row := int64(0); row < sr; row += s.rows {
			high, wide := min(s.rows, sr-row), min(s.cols, sc-c)
			switch s.dataflow {
			case "os":
				stream(high, func(line, at int64) { input(row+line, at) })
				stream(wide, func(line, at int64) { weight(at, c+line) })
			case "ws":
				for k := row + high - 1; k >= row; k-- { // the bottom row first
					for n := c; n < c+wide; n++ {
						weight(k, n)
					}
				}
				stream(high, func(line, at int64) { input(at, row+line) })
			case "is":
				for k := row + high - 1; k >= row; k-- {
					for m := c; m < c+wide; m++ {
						input(m, k)
					}
				}
				stream(high, func(line, at int64) { weight(row+line, at) })
			}
		}
	}
	return &in.missed, &w.missed
}
