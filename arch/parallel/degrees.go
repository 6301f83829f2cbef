package parallel

import (
	"fmt"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/sim/units"
)

// Kind is a dimension that a model is divided along, and the communication that it brings.
type Kind uint8

// The kinds, in the order of ranks: tensor groups are neighbours, pipeline stages are farthest apart.
const (
	Tensor Kind = iota
	Context
	Expert
	Data
	Pipeline
	NumKinds = iota
)

var kindNames = [NumKinds]string{"tp", "cp", "ep", "dp", "pp"}

// String returns the name used in requests and reports.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Degrees says over how many ranks each dimension is divided; 0 counts as 1.
//
// Ranks are numbered with the tensor dimension fastest, then context, data and pipeline. Expert-parallel groups are EP
// consecutive members of the data-parallel dimension.
type Degrees struct {
	TP, CP, EP, PP, DP int64
	// SP divides what tensor parallelism leaves whole (norms, dropout, residuals) along the sequence.
	SP bool
	// Interleave is the chunks of layers that each stage has; 0 and 1 are one.
	Interleave int64
}

// Or1 returns the degrees with 1 in place of 0.
func (d Degrees) Or1() Degrees {
	for _, n := range []*int64{&d.TP, &d.CP, &d.EP, &d.PP, &d.DP, &d.Interleave} {
		if *n == 0 {
			*n = 1
		}
	}
	return d
}

// Chips returns the number of chips, TP·CP·DP·PP: expert-parallel ranks are data-parallel ones.
func (d Degrees) Chips() int64 {
	d = d.Or1()
	return d.TP * d.CP * d.DP * d.PP
}

// Stride returns how many ranks lie between neighbours of a dimension.
func (d Degrees) Stride(k Kind) int64 {
	d = d.Or1()
	switch k {
	case Tensor:
		return 1
	case Context:
		return d.TP
	case Expert, Data:
		return d.TP * d.CP
	}
	return d.TP * d.CP * d.DP
}

// Group returns the ranks that communicate along a dimension. Those of Data hold copies of the same weights: context-parallel
// ranks are among them. Those of Pipeline are two neighbouring stages.
func (d Degrees) Group(k Kind) interconnect.Group {
	d = d.Or1()
	switch k {
	case Tensor:
		return interconnect.Group{Ranks: d.TP, Stride: 1}
	case Context:
		return interconnect.Group{Ranks: d.CP, Stride: d.TP}
	case Expert:
		return interconnect.Group{Ranks: d.EP, Stride: d.TP * d.CP}
	case Data:
		return interconnect.Group{Ranks: d.CP * d.DP, Stride: d.TP}
	}
	return interconnect.Group{Ranks: min(2, d.PP), Stride: d.Stride(Pipeline)}
}

// Experts returns the ranks that hold copies of the same experts. With context and expert parallelism together they do
// not lie evenly; their mean distance stands for them.
func (d Degrees) Experts() interconnect.Group {
	d = d.Or1()
	return interconnect.Group{Ranks: d.CP * d.DP / d.EP, Stride: d.TP * d.EP}
}

// Ends returns the first and the last stage, which hold copies of a tied embedding.
func (d Degrees) Ends() interconnect.Group {
	d = d.Or1()
	return interconnect.Group{Ranks: min(2, d.PP), Stride: d.Stride(Pipeline) * max(1, d.PP-1)}
}

// Imbalance returns how many times longer than an equal part causal attention takes the slowest of the ranks that a sequence is divided
// over: the last of contiguous parts attends to all of them, (2·cp − 1)/cp; of zigzag parts, one from either end, all do the same.
func Imbalance(cp int64, zigzag bool) float64 {
	if cp <= 1 || zigzag {
		return 1
	}
	return float64(2*cp-1) / float64(cp)
}

// World returns all ranks.
func (d Degrees) World() interconnect.Group { return interconnect.Group{Ranks: d.Chips(), Stride: 1} }

// FieldError is a degree or setting that is not legal.
type FieldError struct {
	Field   string // as in a request: "tp", "pp", "micro_batch", …
	Message string
	Hint    string
}

// Error returns the field, what is wrong and what to do.
func (e *FieldError) Error() string {
	s := e.Field + ": " + e.Message
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func illegal(field, hint, format string, a ...any) error {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, a...), Hint: hint}
}

// maxChips bounds the chips of a step, far more than the largest machines have (some 100 000), so that numbers of ranks times parameters
// stay within 63 bits.
const maxChips = 10_000_000

// Validate returns a *FieldError for degrees that cannot be.
func (d Degrees) Validate() error {
	for _, f := range []struct {
		name string
		n    int64
	}{{"tp", d.TP}, {"cp", d.CP}, {"ep", d.EP}, {"pp", d.PP}, {"dp", d.DP}, {"interleave", d.Interleave}} {
		if f.n < 0 || f.n > maxChips {
			return illegal(f.name, "", "%d: must be between 1 and %d", f.n, maxChips)
		}
	}
	d = d.Or1()
	chips := int64(1)
	for _, n := range []int64{d.TP, d.CP, d.PP, d.DP} {
		var ok bool
		if chips, ok = units.Mul(chips, n); !ok || chips > maxChips {
			return illegal("parallel", "", "tp %d · cp %d · pp %d · dp %d: at most %d chips", d.TP, d.CP, d.PP, d.DP, maxChips)
		}
	}
	if d.DP%d.EP != 0 {
		return illegal("ep", fmt.Sprintf("dp must be a multiple of it, e.g. dp %d", d.EP*units.CeilDiv(d.DP, d.EP)),
			"%d: expert-parallel groups are ranks of the data-parallel dimension, dp %d is no multiple of it", d.EP, d.DP)
	}
	if d.Interleave > 1 && d.PP == 1 {
		return illegal("interleave", "leave it out, or divide into stages with pp", "%d: chunks take turns on the stages of a pipeline, pp is 1", d.Interleave)
	}
	return nil
}
