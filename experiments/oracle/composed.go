package oracle

import (
	"fmt"
	"slices"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Kinds of requests that are made of operators of other kinds.
const (
	conv2d = "conv2d"
	ffn    = "ffn"
)

// maxSide bounds the sides of images and filters, so that products of two fit.
const maxSide = 1 << 20

// forms are the dimensions of those kinds.
var forms = map[string][]Dim{
	conv2d: {
		{"batch", "images", 1, maxDim, 1, func(o *Op) *int64 { return &o.Batch }},
		{"height", "rows of an image", 1, maxSide, Needed, func(o *Op) *int64 { return &o.Height }},
		{"width", "columns of an image", 1, maxSide, Needed, func(o *Op) *int64 { return &o.Width }},
		{"channels", "elements of a pixel", 1, maxSide, Needed, func(o *Op) *int64 { return &o.Channels }},
		{"filters", "elements of a pixel of the result", 1, maxDim, Needed, func(o *Op) *int64 { return &o.Filters }},
		{"filter_height", "rows of a filter", 1, maxSide, Needed, func(o *Op) *int64 { return &o.FilterHeight }},
		{"filter_width", "columns of a filter", 1, maxSide, Needed, func(o *Op) *int64 { return &o.FilterWidth }},
		{"stride", "pixels from one window to the next, both ways", 1, maxSide, 1, func(o *Op) *int64 { return &o.Stride }},
		{"padding", "pixels of zeros at each edge", 0, maxSide, 0, func(o *Op) *int64 { return &o.Padding }},
	},
	ffn: {
		{"tokens", "rows that pass through", 1, maxDim, Needed, func(o *Op) *int64 { return &o.M }},
		{"hidden", "elements of a token", 1, maxDim, Needed, func(o *Op) *int64 { return &o.K }},
		{"intermediate", "elements inside", 1, maxDim, Needed, func(o *Op) *int64 { return &o.N }},
	},
}

// FormDims returns the dimensions of a kind that is made of operators of other kinds, nil for others.
func FormDims(name string) []Dim { return forms[name] }

// Kinds lists the names of all kinds of a single operator, and of those that are made of several.
func Kinds() []string {
	list := append(traces.Kinds(), conv2d, ffn)
	slices.Sort(list[len(list)-2:])
	return list
}

// SetKind makes the operator one of a kind by its name.
func (o *Op) SetKind(name string) *Error {
	if _, ok := forms[name]; ok {
		o.Kind, o.Form = traces.Gemm, name
		return nil
	}
	k, err := ParseKind(name)
	o.Kind = k
	return err
}

// misfit says which side of a filter does not fit into the image, and why; "" if both do.
func (o *Op) misfit() (dim, message, hint string) {
	for _, d := range []struct {
		name         string
		size, filter int64
	}{{"filter_height", o.Height, o.FilterHeight}, {"filter_width", o.Width, o.FilterWidth}} {
		if room := d.size + 2*o.Padding; d.filter > room {
			return d.name, fmt.Sprintf("a filter of %d does not fit into %d", d.filter, room), "more padding, or a smaller filter"
		}
	}
	return "", "", ""
}

// convolve sets the product that a convolution is: of its windows, a row each, with the filters.
func (o *Op) convolve() {
	w := window{height: o.Height, width: o.Width, filterHeight: o.FilterHeight, filterWidth: o.FilterWidth, stride: o.Stride, padding: o.Padding}
	mul := func(xs ...int64) int64 { // what is too large is refused by its count of operations
		n := int64(1)
		for _, x := range xs {
			var ok bool
			if n, ok = units.Mul(n, x); !ok {
				return 1 << 62
			}
		}
		return n
	}
	o.M = mul(o.Batch, w.positions(w.height, w.filterHeight, false), w.positions(w.width, w.filterWidth, false))
	o.N, o.K = o.Filters, mul(o.FilterHeight, o.FilterWidth, o.Channels)
}

// convolution is the product of an implicit GEMM: pixels that windows share come from memory once.
func (o *Op) convolution() traces.Op {
	op := traces.Op{Name: conv2d, Kind: traces.Gemm, DType: o.DType, WeightDType: o.WeightDType, KVDType: o.DType, Batch: 1, M: o.M, N: o.N, K: o.K}
	image, ok := units.Mul(o.Batch*o.Height, o.Width*o.Channels)
	if all, fits := units.Mul(o.M, o.K); ok && fits {
		op.Distinct = min(image, all)
	}
	return op
}

// parts are the operators of a feed-forward network: up, with the gate beside it where there is one, its activation, and down.
func (o *Op) parts() [3]traces.Op {
	of := func(op traces.Op) traces.Op {
		op.DType, op.WeightDType, op.KVDType = o.DType, o.WeightDType, o.DType
		return op
	}
	up := traces.Op{Name: "up", Kind: traces.Gemm, Batch: 1, M: o.M, N: o.N, K: o.K}
	act := traces.Op{Name: "act", Kind: traces.GELU, Rows: o.M, Cols: o.N}
	if o.Gated {
		up.Name, up.N, up.Parts, act.Kind = "gate_up", 2*o.N, []int64{o.N, o.N}, traces.SiLUMul
	}
	return [3]traces.Op{of(up), of(act), of(traces.Op{Name: "down", Kind: traces.Gemm, Batch: 1, M: o.M, N: o.K, K: o.N})}
}

// networkWork counts a network's operators together; what they pass to each other counts as read and written.
func (o *Op) networkWork() (traces.Work, error) {
	var all traces.Work
	for _, op := range o.parts() {
		w, err := op.Work(0)
		if err != nil {
			return all, err
		}
		for _, f := range []struct {
			to *int64
			n  int64
		}{{(*int64)(&all.MatrixOps), int64(w.MatrixOps)}, {(*int64)(&all.VectorOps), int64(w.VectorOps)}, {(*int64)(&all.SpecialOps), int64(w.SpecialOps)},
			{(*int64)(&all.ReadBytes), int64(w.ReadBytes)}, {(*int64)(&all.WeightBytes), int64(w.WeightBytes)}, {(*int64)(&all.WriteBytes), int64(w.WriteBytes)}} {
			n, ok := units.Add(*f.to, f.n)
			if !ok {
				return all, fmt.Errorf("operations or bytes exceed a 64-bit count")
			}
			*f.to = n
		}
	}
	return all, nil
}

// network is the graph of a feed-forward network.
func (o *Op) network() *traces.Graph {
	b := traces.Block{Name: ffn}
	tensor := func(name string, role traces.Role, d traces.DType, shape ...int64) []traces.TensorID {
		b.Tensors = append(b.Tensors, traces.Tensor{Name: name, Shape: shape, Type: d, Role: role})
		return []traces.TensorID{traces.TensorID(len(b.Tensors) - 1)}
	}
	parts := o.parts()
	up, act, down := &parts[0], &parts[1], &parts[2]
	x := tensor("in", traces.Activation, o.DType, o.M, o.K)
	up.Inputs = append(x, tensor("w_up", traces.Weight, o.WeightDType, up.K, up.N)...)
	up.Outputs = tensor("inner", traces.Activation, o.DType, up.M, up.N)
	act.Inputs, act.Outputs = up.Outputs, tensor("activated", traces.Activation, o.DType, act.Rows, act.Cols)
	down.Inputs = append(slices.Clone(act.Outputs), tensor("w_down", traces.Weight, o.WeightDType, down.K, down.N)...)
	down.Outputs = tensor("out", traces.Activation, o.DType.Result(), down.M, down.N)
	b.Ops = parts[:]
	return &traces.Graph{Name: ffn, Phase: traces.Prefill.String(), DType: o.DType, Blocks: []traces.Block{b}, Runs: []traces.Run{{Phase: traces.Prefill, Times: 1}}}
}
