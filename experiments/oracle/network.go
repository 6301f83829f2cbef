package oracle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/interconnect/astra"
)

// Modes of a network request: whose picture of a network answers it.
const (
	astraAware   = "astra-aware"
	astraUnaware = "astra-unaware"
)

// networkRequest is a collective on a network without a machine around it. One of its members is set.
type networkRequest struct {
	astra *astra.Request
	lists []string // members that have an entry for each dimension
}

// at is the pointer of a field that an error names, dims or dims/2.
func (n *networkRequest) at(field string) string {
	name, _, _ := strings.Cut(field, "/")
	if !slices.Contains(n.lists, name) {
		field = name
	}
	return "/network/" + field
}

// readNetwork reads a collective on a network.
func (q *request) readNetwork(f *fields) {
	mode := f.word("mode", "", astraAware, astraUnaware)
	op := interconnect.Op(f.text("collective", string(interconnect.AllReduce)))
	size := f.need("bytes", 1, maxBytes)
	chunks, active := f.integer("chunks", 1, maxDim, 1), f.integer("active_chunks", 1, maxDim, 1)
	dims := f.numbers("dims", 0)
	topology, algorithm := f.words("topology", len(dims)), f.words("algorithm", len(dims))
	rate, latency := f.numbers("link_gigabytes_per_second", len(dims)), f.numbers("latency_ns", len(dims))
	f.close()
	if *f.err != nil {
		return
	}
	if mode == "" {
		f.fail(unsupported("not-simulated", "/network/mode", astraAware+" or "+astraUnaware, "networks without a mode are not simulated by this version"))
		return
	}
	r := &astra.Request{Aware: mode == astraAware, Collective: op, Bytes: size, Chunks: chunks, Active: active}
	for i := range dims {
		r.Dimensions = append(r.Dimensions, astra.Dimension{Topology: topology[i], Ranks: int64(dims[i]), Rate: rate[i], Latency: latency[i], Algorithm: algorithm[i]})
		if dims[i] != math.Trunc(dims[i]) {
			f.fail(invalid("range", fmt.Sprintf("/network/dims/%d", i), "", "%g: must be a whole number", dims[i]))
		}
	}
	q.parsedNetwork.astra = r
	for _, name := range []string{"dims", "topology", "algorithm", "link_gigabytes_per_second", "latency_ns"} {
		if v := f.get(name); v != nil && v.kind == array {
			q.parsedNetwork.lists = append(q.parsedNetwork.lists, name)
		}
	}
}

// each returns the items of a member that is a list of as many, or one plain value for all; 0 is any number.
func (f *fields) each(name string, many int, k kind) []*value {
	if *f.err == nil && !f.has(name) {
		f.missing = append(f.missing, name)
	}
	v := f.get(name)
	if v == nil {
		return make([]*value, many)
	}
	list := []*value{v}
	if v.kind == array {
		list = nil
		for i := range v.items {
			list = append(list, &v.items[i])
		}
		if many > 0 && len(list) != many || len(list) == 0 || len(list) > 16 {
			f.fail(invalid("value", pointer(f.at, name), "one for each of dims, or a plain value for all", "%d of them", len(list)))
			return make([]*value, many)
		}
	}
	for i, v := range list {
		if v.kind != k {
			at := pointer(f.at, name)
			if len(list) > 1 {
				at = fmt.Sprintf("%s/%d", at, i)
			}
			f.fail(invalid("type", at, "", "must be %s, is %s", k, v.kind))
			return make([]*value, many)
		}
	}
	for len(list) < many {
		list = append(list, list[0])
	}
	return list
}

// words returns a text for each dimension.
func (f *fields) words(name string, many int) []string {
	var list []string
	for _, v := range f.each(name, many, text) {
		s := ""
		if v != nil {
			s = string(v.text)
		}
		list = append(list, s)
	}
	return list
}

// numbers returns a number for each dimension.
func (f *fields) numbers(name string, many int) []float64 {
	var list []float64
	for i, v := range f.each(name, many, number) {
		var x float64
		if v != nil {
			var err error
			if x, err = strconv.ParseFloat(string(v.raw), 64); err != nil || x < 0 || x > 1e15 {
				f.fail(invalid("range", fmt.Sprintf("%s/%d", pointer(f.at, name), i), "", "%s: must be from 0 to 1e15", shorten(string(v.raw))))
			}
		}
		list = append(list, x)
	}
	return list
}

// networkAnswer is the answer for a collective on a network.
type networkAnswer struct {
	Status  Status  `json:"status"`
	Seconds float64 `json:"seconds"`
	BoundBy string  `json:"bound_by"`
	BusBW   float64 `json:"busbw_gigabytes_per_second"`
}

// answer works a request out.
func (n *networkRequest) answer() (*networkAnswer, *Error) {
	ns, err := astra.Time(n.astra)
	if err != nil {
		e := err.(*astra.Error)
		return nil, invalid("value", n.at(e.Field), e.Hint, "%s", e.Message)
	}
	ranks := 1.0
	for _, d := range n.astra.Dimensions {
		ranks *= float64(d.Ranks)
	}
	moved := float64(n.astra.Bytes) * (ranks - 1)
	switch n.astra.Collective {
	case interconnect.AllReduce:
		moved *= 2 / ranks
	case interconnect.ReduceScatter, interconnect.AllToAll:
		moved /= ranks
	}
	return &networkAnswer{OK, float64(ns) / 1e9, "link", moved / float64(ns)}, nil
}
