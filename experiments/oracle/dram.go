package oracle

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/memory/dram"
)

// A dramStream is accesses to DRAM, without a machine around it.
type dramStream = dram.Request

// readDRAM reads accesses to DRAM.
func (q *request) readDRAM(f *fields) {
	s := &q.dram
	s.Controller = f.word("controller", dram.Controllers()...)
	if s.Standard = f.text("standard", ""); s.Standard == "" && *f.err == nil {
		f.fail(invalid("missing", "/dram/standard", nearest("", dram.Standards(s.Controller)), "missing: standard"))
	}
	usual := "bgint"
	if s.Controller == dram.BankQueues {
		usual = "rorabacobgch"
	}
	s.Mapping = f.text("mapping", usual)
	s.Refresh = f.word("refresh", dram.Refreshes()...)
	s.Kind = f.word("kind", dram.Kinds()...)
	s.Channels = int(f.integer("channels", 1, dram.MaxChannels, 1))
	s.Streams = int(f.integer("streams", 1, dram.MaxStreams, 1))
	s.ChunkBytes = f.integer("chunk_bytes", dram.Line, dram.MaxBytes, dram.Line)
	s.StrideBytes = f.integer("stride_bytes", dram.Line, dram.MaxBytes, dram.Line)
	s.ReadFraction = f.real("read_fraction", 0, 1, 1)
	s.Load = f.load()
	s.Outstanding = int(f.integer("outstanding", 0, dram.MaxOutstanding, 0))
	s.Requests = f.integer("requests", 1, dram.MaxRequests, dram.UsualRequests)
	s.Seed = f.integer("seed", 0, 1<<53, 1)
	s.Exact = f.flag("exact", false)
	f.close()
	if *f.err != nil {
		return
	}
	var bad *dram.Invalid
	if errors.As(s.Check(), &bad) && bad != nil {
		code := "value"
		if bad.Field == "standard" || bad.Field == "mapping" {
			code = "unknown-value"
		}
		f.fail(invalid(code, pointer("/dram", bad.Field), bad.Hint, "%s", bad.Message))
	}
}

// load reads the share of the peak that is asked for, "sat" for as much as is taken.
func (f *fields) load() float64 {
	v := f.get("load")
	if v == nil || v.kind == text && string(v.chars()) == "sat" {
		return 0
	}
	raw := v.raw
	if v.kind == text { // tables write it as text
		raw = v.chars()
	}
	if x, err := strconv.ParseFloat(string(raw), 64); err == nil && x >= dram.MinLoad && x <= 1 {
		return x
	}
	f.fail(invalid("range", "/dram/load", `"sat" for as much as the queues take`, "%s: must be from %g to 1", shorten(string(v.raw)), dram.MinLoad))
	return 0
}

// DRAMAnswer is the answer for accesses to DRAM.
type DRAMAnswer struct {
	Status Status `json:"status"`
	// FractionOfPeak of the data buses of all channels, and the rate that it makes.
	FractionOfPeak     float64 `json:"fraction_of_peak"`
	GigabytesPerSecond float64 `json:"gigabytes_per_second"`
	// LatencyNS is that of a read on average, from the controller's queue to the end of its data; 0 if none is read.
	LatencyNS float64 `json:"latency_ns"`
	Seconds   float64 `json:"seconds"`
	// ActivatesPerLine is how many rows are opened for a line of 64 bytes.
	ActivatesPerLine float64 `json:"activates_per_line"`
	// Joules and PicojoulesPerBit are what the chips take, where their currents are known.
	Joules           float64     `json:"joules,omitempty"`
	PicojoulesPerBit float64     `json:"picojoules_per_bit,omitempty"`
	Energy           *DRAMEnergy `json:"energy,omitempty"`
	Fidelity         string      `json:"fidelity"`
}

// DRAMEnergy is the energy of chips by what for, in picojoules per bit moved.
type DRAMEnergy struct {
	Activate   float64 `json:"activate_picojoules_per_bit"`
	ReadWrite  float64 `json:"read_write_picojoules_per_bit"`
	Refresh    float64 `json:"refresh_picojoules_per_bit"`
	Background float64 `json:"background_picojoules_per_bit"`
}

// OfDRAM answers for accesses to DRAM. Errors are *dram.Invalid or the context's.
func OfDRAM(ctx context.Context, q *dram.Request, fidelity string) (*DRAMAnswer, error) {
	var r *dram.Result
	var err error
	if fidelity == eval.Analytic {
		r, err = dram.ClosedForm(q)
	} else {
		r, err = dram.Simulate(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	a := &DRAMAnswer{Status: OK, FractionOfPeak: r.Fraction, GigabytesPerSecond: r.Bandwidth / 1e9, LatencyNS: r.Latency * 1e9, Seconds: r.Seconds,
		ActivatesPerLine: float64(r.Commands.Activates) / float64(q.Requests), Fidelity: fidelity}
	if e := r.Energy; e != nil {
		bits := float64(q.Requests * dram.Line * 8)
		a.Joules, a.PicojoulesPerBit = e.Total()*1e-12, e.Total()/bits
		a.Energy = &DRAMEnergy{e.Activate / bits, (e.Read + e.Write) / bits, e.Refresh / bits, e.Background / bits}
	}
	return a, nil
}

// figures are those that limits may be put on.
func (a *DRAMAnswer) figures() []figure {
	list := []figure{{"seconds", a.Seconds}}
	if a.Energy != nil {
		list = append(list, figure{"joules", a.Joules})
	}
	return list
}

// DRAMJSON is the accesses as the member "dram" of a request, with nothing left out.
func DRAMJSON(q *dram.Request) []byte {
	to := fmt.Appendf(nil, `{"standard":%q,"channels":%d,"controller":%q,"mapping":%q,"refresh":%q,"kind":%q,"streams":%d,"chunk_bytes":%d,"stride_bytes":%d,"read_fraction":%s,"load":`,
		q.Standard, q.Channels, q.Controller, q.Mapping, q.Refresh, q.Kind, q.Streams, q.ChunkBytes, q.StrideBytes, strconv.FormatFloat(q.ReadFraction, 'g', -1, 64))
	if q.Load == 0 {
		to = append(to, `"sat"`...)
	} else {
		to = strconv.AppendFloat(to, q.Load, 'g', -1, 64)
	}
	return fmt.Appendf(to, `,"outstanding":%d,"requests":%d,"seed":%d,"exact":%t}`, q.Outstanding, q.Requests, q.Seed, q.Exact)
}
