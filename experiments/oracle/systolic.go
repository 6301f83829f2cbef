package oracle

import (
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// systolicArray is a product or a convolution on systolic arrays, without a machine around them.
type systolicArray struct {
	rows, cols, arrays int64
	dataflow, mode     string
	m, n, k            int64
	conv               window // of a convolution, whose product m, n and k are
	dtype              traces.DType
	block              int64    // of weights of which some are zero, 0: none are
	keep               string   // how many are not, for all filters or for each, as decimal numbers with commas
	sram               [2]int64 // bytes for inputs and for weights, 0: not given
}

// window is the geometry of a convolution.
type window struct{ height, width, filterHeight, filterWidth, channels, filters, stride, padding int64 }

// positions returns along how many places a filter is put, the last one beyond the edge if beyond says so.
func (w *window) positions(size, filter int64, beyond bool) int64 {
	room := size + 2*w.padding - filter
	if beyond {
		return units.CeilDiv(room, w.stride) + 1
	}
	return room/w.stride + 1
}

const (
	// maxFilters bounds the filters with a sparsity of their own.
	maxFilters = 1 << 16
	maxKB      = 1 << 30
)

func (s *systolicArray) read(f *fields) {
	s.rows, s.cols = f.need("rows", 1, 1<<16), f.need("cols", 1, 1<<16)
	s.arrays = f.integer("arrays", 1, 1<<16, 1)
	s.dataflow = f.word("dataflow", "ws", "os", "is")
	s.mode = f.word("mode", "serial", "hidden-load", "chained", scalesim)
	s.dtype = f.dtype("dtype", traces.INT8)
	s.readProduct(f)
	s.readSparsity(f)
	s.readSRAM(f)
	f.close()
	if *f.err != nil || s.mode != scalesim {
		return
	}
	for _, m := range []struct {
		name  string
		given bool
	}{{"arrays", s.arrays > 1}, {"sparsity", s.block > 0}, {"padding", s.conv.padding > 0}} {
		if m.given {
			f.fail(invalid("conflict", pointer(f.at, m.name), "leave it out, or choose serial", "mode scalesim counts as a tool that has no %s", m.name))
		}
	}
}

// readProduct reads a product or a convolution, which is the product of its windows with the filters.
func (s *systolicArray) readProduct(f *fields) {
	product := f.has("m") || f.has("n") || f.has("k")
	if !f.has("ifmap_h") && !f.has("filter_h") && !f.has("channels") {
		s.m, s.n, s.k = f.need("m", 1, maxDim), f.need("n", 1, maxDim), f.need("k", 1, maxDim)
		return
	}
	c := &s.conv
	c.height, c.width = f.need("ifmap_h", 1, maxDim), f.need("ifmap_w", 1, maxDim)
	c.filterHeight, c.filterWidth = f.need("filter_h", 1, maxDim), f.need("filter_w", 1, maxDim)
	c.channels, c.filters = f.need("channels", 1, maxDim), f.need("filters", 1, maxDim)
	c.stride, c.padding = f.integer("stride", 1, maxDim, 1), f.integer("padding", 0, maxDim, 0)
	if *f.err != nil || len(f.missing) > 0 {
		f.get("m") // which are known here
		f.get("n")
		f.get("k")
		return
	}
	for _, d := range []struct {
		name         string
		size, filter int64
	}{{"filter_h", c.height, c.filterHeight}, {"filter_w", c.width, c.filterWidth}} {
		if d.filter > d.size+2*c.padding {
			f.fail(invalid("value", pointer(f.at, d.name), "", "a filter of %d does not fit into %d", d.filter, d.size+2*c.padding))
			return
		}
	}
	var ok [2]bool
	s.m, ok[0] = units.Mul(c.positions(c.height, c.filterHeight, s.mode == scalesim), c.positions(c.width, c.filterWidth, s.mode == scalesim))
	s.n = c.filters
	if s.k, ok[1] = units.Mul(c.filterHeight, c.filterWidth); ok[1] {
		s.k, ok[1] = units.Mul(s.k, c.channels)
	}
	if !ok[0] || !ok[1] {
		f.fail(invalid("too-large", f.at, "", "a dimension of the product overflows"))
		return
	}
	if !product {
		return
	}
	for _, d := range []struct {
		name string
		is   int64
	}{{"m", s.m}, {"n", s.n}, {"k", s.k}} {
		if given := f.integer(d.name, 1, maxDim, d.is); *f.err == nil && given != d.is {
			f.fail(invalid("conflict", pointer(f.at, d.name), "leave it out", "the convolution has %s %d, not %d", d.name, d.is, given))
		}
	}
}

// readSparsity reads {"n":2,"m":4}, or with a list in place of n one number for each filter.
func (s *systolicArray) readSparsity(f *fields) {
	v := f.get("sparsity")
	if v == nil || *f.err != nil {
		return
	}
	at := pointer(f.at, "sparsity")
	g := open(v, at, f.err)
	s.block = g.need("m", 1, 1<<10)
	list := g.get("n")
	switch {
	case *f.err != nil:
	case list == nil:
		g.missing = append(g.missing, "n")
	case list.kind == number:
		s.keep = strconv.FormatInt(g.integer("n", 1, s.block, 1), 10)
	case list.kind != array:
		f.fail(invalid("type", at+"/n", "", "must be a number or an array, is %s", list.kind))
	case int64(len(list.items())) != s.n || s.n > maxFilters:
		f.fail(invalid("value", at+"/n", "", "%d numbers for %d filters: there must be one for each, at most %d", len(list.items()), s.n, maxFilters))
	case s.arrays > 1:
		f.fail(invalid("conflict", at+"/n", "one number for all filters", "filters with a sparsity of their own go with one array"))
	default:
		var text strings.Builder
		for i := range list.items() {
			n, ok := int64(0), list.items()[i].kind == number
			if ok {
				n, ok = whole(list.items()[i].raw)
			}
			if !ok || n < 1 || n > s.block {
				f.fail(invalid("range", at+"/n/"+strconv.Itoa(i), "", "must be a whole number from 1 to %d", s.block))
				return
			}
			if i > 0 {
				text.WriteByte(',')
			}
			text.WriteString(strconv.FormatInt(n, 10))
		}
		s.keep = text.String()
	}
	g.close()
}

// readSRAM reads the kilobytes for inputs, weights and results.
func (s *systolicArray) readSRAM(f *fields) {
	v := f.typed("sram_kb", array)
	if v == nil {
		return
	}
	at := pointer(f.at, "sram_kb")
	if len(v.items()) != 3 {
		f.fail(invalid("value", at, "e.g. [64,64,64]", "%d numbers: there must be three, for inputs, weights and results", len(v.items())))
		return
	}
	for i := range v.items() {
		n, ok := int64(0), v.items()[i].kind == number
		if ok {
			n, ok = whole(v.items()[i].raw)
		}
		if !ok || n < 1 || n > maxKB {
			f.fail(invalid("range", at+"/"+strconv.Itoa(i), "", "must be a whole number from 1 to %d", maxKB))
			return
		}
		if i < len(s.sram) {
			s.sram[i] = n * 1024
		}
	}
}

// sparsity returns how many weights of each block are kept, nil if all are.
func (s *systolicArray) sparsity() *compute.Sparsity {
	if s.block == 0 {
		return nil
	}
	sp := compute.Sparsity{Of: s.block}
	for n := range strings.SplitSeq(s.keep, ",") {
		k, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			k = s.block // what was read is numbers
		}
		sp.Keep = append(sp.Keep, k)
	}
	return &sp
}

// arrayAnswer is the answer for systolic arrays. Words are elements of operands.
type arrayAnswer struct {
	Status Status `json:"status"`
	Cycles int64  `json:"cycles"` // up to the last multiply-add; as scalesim the number of the last cycle
	Folds  int64  `json:"folds"`
	// DrainCycles are those after the last multiply-add until all results have left the array.
	DrainCycles int64 `json:"drain_cycles"`
	// Words between the arrays and their memory, in all and by operand. Partial sums that another fold adds to are
	// written and read back.
	SRAMReads         int64 `json:"sram_reads"`
	SRAMWrites        int64 `json:"sram_writes"`
	SRAMIfmapReads    int64 `json:"sram_ifmap_reads"`
	SRAMFilterReads   int64 `json:"sram_filter_reads"`
	SRAMOfmapWrites   int64 `json:"sram_ofmap_writes"`
	SRAMPartialReads  int64 `json:"sram_partial_reads"`
	SRAMMetadataBytes int64 `json:"sram_metadata_bytes"` // places of sparse weights, read
	SRAMReadBytes     int64 `json:"sram_read_bytes"`
	SRAMWriteBytes    int64 `json:"sram_write_bytes"`
	// MappingEfficiency is the mean share of the processing elements that a fold has work for, Utilization the share
	// of their cycles in which they multiply.
	MappingEfficiency float64 `json:"mapping_efficiency"`
	Utilization       float64 `json:"utilization"`
	*scalesimAnswer
}

// answer works it out.
func (s *systolicArray) answer() (*arrayAnswer, *Error) {
	u := compute.Systolic{Rows: s.rows, Columns: s.cols, Arrays: s.arrays, Dataflow: s.dataflow, Mode: s.mode}
	if s.mode == scalesim {
		u.Mode = "serial"
	}
	r, err := u.Run(compute.Product{M: s.m, N: s.n, K: s.k, Sparse: s.sparsity()})
	if err != nil {
		return nil, invalid("too-large", "/systolic", "", "%v", err)
	}
	if s.mode == scalesim && r.Cycles.Steady > 1<<60 {
		return nil, invalid("too-large", "/systolic", "", "a count overflows")
	}
	x := &r.Access
	cycles := int64(r.Cycles.Steady + r.Cycles.Fill)
	a := &arrayAnswer{Status: OK, Cycles: cycles, Folds: r.Folds, DrainCycles: int64(r.Drain),
		SRAMIfmapReads: x.Inputs, SRAMFilterReads: x.Weights, SRAMOfmapWrites: x.Results + x.PartialWrites, SRAMPartialReads: x.PartialReads,
		SRAMMetadataBytes: units.CeilDiv(x.IndexBits, 8), MappingEfficiency: r.Mapping, Utilization: u.Utilization(&r, cycles)}
	if s.mode == scalesim {
		s.asScaleSim(a, &r)
	}
	a.SRAMReads, a.SRAMWrites = a.SRAMIfmapReads+a.SRAMFilterReads+a.SRAMPartialReads, a.SRAMOfmapWrites
	read, written := x.Bytes(s.dtype)
	if s.mode == scalesim { // whose words are bytes
		read, written = units.Bytes(a.SRAMReads), units.Bytes(a.SRAMWrites)
	}
	a.SRAMReadBytes, a.SRAMWriteBytes = int64(read), int64(written)
	return a, nil
}
