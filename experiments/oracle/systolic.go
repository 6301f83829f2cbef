package oracle

import (
	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// systolicArray is a matrix product on one systolic array, without a machine around it.
type systolicArray struct {
	rows, cols     int64
	dataflow, mode string
	m, n, k        int64
}

// scalesim is the mode that answers as SCALE-Sim v2 with unlimited bandwidth does.
const scalesim = "scalesim"

func (s *systolicArray) read(f *fields) {
	s.rows, s.cols = f.need("rows", 1, 1<<16), f.need("cols", 1, 1<<16)
	s.m, s.n, s.k = f.need("m", 1, maxDim), f.need("n", 1, maxDim), f.need("k", 1, maxDim)
	s.dataflow = f.word("dataflow", "ws", "os", "is")
	s.mode = f.word("mode", "serial", "hidden-load", "chained", scalesim)
	// Capacities decide what is fetched again, not the cycles of an array that never waits.
	f.typed("sram_kb", array)
	f.close()
}

// cycles returns the cycles of the product. SCALE-Sim reports the number of the last cycle, counted
// from 0.
func (s *systolicArray) cycles() (int64, *Error) {
	mode := s.mode
	if mode == scalesim {
		mode = "serial"
	}
	u := compute.Matrix{Kind: "systolic", Rows: s.rows, Columns: s.cols, Arrays: 1, Dataflow: s.dataflow, Mode: mode,
		Types: map[string]int64{traces.INT8.String(): 1}}
	c, err := u.Cycles(traces.INT8, s.m, s.n, s.k)
	if err != nil {
		return 0, invalid("too-large", "/systolic", "", "%v", err)
	}
	n, ok := units.Add(int64(c.Steady), int64(c.Fill))
	if !ok {
		return 0, invalid("too-large", "/systolic", "", "cycle count overflows")
	}
	if s.mode == scalesim {
		n--
	}
	return n, nil
}
