package dram

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of access patterns.
const (
	Sequential = "seq"    // one stream of consecutive lines
	Multiple   = "multi"  // streams of consecutive lines that take turns; whole streams read or write
	Strided    = "stride" // one stream with a line every stride
	Random     = "random" // blocks of consecutive lines at random places; whole blocks are read or written
)

// Ways to refresh.
const (
	AllBank   = "ab"
	PerBank   = "pb"
	NoRefresh = "none"
)

// Controllers.
const (
	// FirstReady has one queue for reads and one for writes, as Ramulator 2.1 does.
	FirstReady = "ramulator2"
	// BankQueues has a queue for each bank, as DRAMsim3 does.
	BankQueues = "dramsim3"
)

var (
	kinds       = []string{Sequential, Multiple, Strided, Random}
	refreshes   = []string{AllBank, PerBank, NoRefresh}
	controllers = []string{FirstReady, BankQueues}
)

// Kinds, Refreshes and Controllers list what requests may name, what is usual first.
func Kinds() []string       { return slices.Clone(kinds) }
func Refreshes() []string   { return slices.Clone(refreshes) }
func Controllers() []string { return slices.Clone(controllers) }

// Bounds of requests.
const (
	MaxChannels    = 64
	MaxStreams     = 1024
	MaxBytes       = 1 << 40 // of a chunk or a stride
	MaxOutstanding = 1 << 16
	MaxRequests    = 1 << 20
	MinLoad        = 0.001
	UsualRequests  = 25000
)

// Request is accesses of one line each to a memory system.
type Request struct {
	Standard, Mapping, Refresh, Controller, Kind string
	Channels, Streams                            int
	ChunkBytes, StrideBytes                      int64
	ReadFraction                                 float64
	Load                                         float64 // share of the peak that is asked for; 0: as much as the queues take
	Outstanding                                  int     // bursts under way at most; 0: as many as the queues take
	Requests                                     int64   // lines
	Seed                                         int64
	Exact                                        bool // every line is played, also of a steady stream
}

// Invalid says what is wrong with a request.
type Invalid struct{ Field, Message, Hint string }

func (e *Invalid) Error() string { return e.Field + ": " + e.Message }

// Check returns what is wrong with a request, nil if nothing is.
func (q *Request) Check() *Invalid {
	known := func(field, name string, names []string) *Invalid {
		if slices.Contains(names, name) {
			return nil
		}
		return &Invalid{field, fmt.Sprintf("%q is unknown", name), "known: " + strings.Join(names, ", ")}
	}
	between := func(field string, n, least, most int64) *Invalid {
		if n >= least && n <= most {
			return nil
		}
		return &Invalid{field, fmt.Sprintf("%d: must be from %d to %d", n, least, most), ""}
	}
	lines := func(field string, n int64) *Invalid {
		if n >= Line && n <= MaxBytes && n%Line == 0 {
			return nil
		}
		return &Invalid{field, fmt.Sprintf("%d: must be a multiple of %d, at most 2^40", n, Line), "an access is a line of 64 bytes"}
	}
	for _, e := range []*Invalid{
		known("controller", q.Controller, controllers),
		known("standard", q.Standard, Standards(q.Controller)),
		known("mapping", q.Mapping, Mappings()),
		known("refresh", q.Refresh, refreshes),
		known("kind", q.Kind, kinds),
		between("channels", int64(q.Channels), 1, MaxChannels),
		between("streams", int64(q.Streams), 1, MaxStreams),
		lines("chunk_bytes", q.ChunkBytes),
		lines("stride_bytes", q.StrideBytes),
		between("outstanding", int64(q.Outstanding), 0, MaxOutstanding),
		between("requests", q.Requests, 1, MaxRequests),
	} {
		if e != nil {
			return e
		}
	}
	switch {
	case q.Channels&(q.Channels-1) != 0:
		return &Invalid{"channels", fmt.Sprintf("%d: must be a power of two", q.Channels), "an address map deals bits"}
	case !(q.ReadFraction >= 0 && q.ReadFraction <= 1):
		return &Invalid{"read_fraction", fmt.Sprintf("%g: must be from 0 to 1", q.ReadFraction), ""}
	case !(q.Load == 0 || q.Load >= MinLoad && q.Load <= 1):
		return &Invalid{"load", fmt.Sprintf("%g: must be from %g to 1", q.Load, MinLoad), ""}
	case q.Refresh == PerBank && (q.Controller == BankQueues || q.standard().REFIBank == 0):
		return &Invalid{"refresh", fmt.Sprintf("%s of %s has no per-bank refresh", q.Standard, q.Controller), `"ab" or "none"`}
	case q.Kind != Multiple && q.Streams > 1:
		return &Invalid{"streams", fmt.Sprintf("%d: kind %s has one stream", q.Streams, q.Kind), `"kind":"multi"`}
	}
	return nil
}

// Standards lists the standards that a controller drives.
func Standards(controller string) []string {
	list := standards
	if controller == BankQueues {
		list = queued
	}
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	return names
}

// standard is that of the request as its controller has it; the request is in order.
func (q *Request) standard() *Standard {
	if q.Controller == BankQueues {
		return find(queued, q.Standard)
	}
	return find(standards, q.Standard)
}
