package oracle

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/arch/eval"
	"github.com/stratasim/strata/interconnect"
	"github.com/stratasim/strata/interconnect/astra"
	"github.com/stratasim/strata/interconnect/flow"
	"github.com/stratasim/strata/sim/units"
)

// Modes of a network request: whose picture of a network answers it.
const (
	astraAware   = "astra-aware"
	astraUnaware = "astra-unaware"
)

// networkRequest is a collective, or several, on a network without a machine around it.
type networkRequest struct {
	astra *astra.Request // as that tool answers it; nil: as this one does
	lists []string       // members that have an entry for each dimension

	dims       []flow.Dimension
	ranks      int // of an explicit graph, with its nodes and links
	nodes      int
	links      []flow.Link
	explicit   bool
	directed   bool
	faults     []flow.Fault
	algorithms []string // by dimension; "" for the fastest
	collective flow.Collective
	chunks     int64
	active     int64
	jobs       []flow.Job
	order      map[int][]int
}

// at is the pointer of a field that an error names, dims or dims/2.
func (n *networkRequest) at(field string) string {
	name, rest, indexed := strings.Cut(field, "/")
	if name == "group" { // as the model calls them
		name, field = "leaf", "leaf/"+rest
	}
	switch {
	case name == "faults", name == "jobs", name == "order":
	case n.explicit && name == "links" && indexed:
		i, _ := strconv.Atoi(rest)
		if !n.directed { // each stands for two
			i /= 2
		}
		return fmt.Sprint("/network/graph/links/", i)
	case n.explicit && (name == "links" || name == "nodes"):
		return "/network/graph/" + name
	case name == "links":
		return "/network"
	case !slices.Contains(n.lists, name):
		field = name
	}
	return "/network/" + field
}

// failed turns an error of either model into that of the request.
func (n *networkRequest) failed(err error) *Error {
	switch e := err.(type) {
	case *astra.Error:
		return invalid("value", n.at(e.Field), e.Hint, "%s", e.Message)
	case *flow.Error:
		if e.Field == "closed" {
			return unsupported("not-simulated", "/fidelity", e.Hint, "%s", e.Message)
		}
		return invalid("value", n.at(e.Field), e.Hint, "%s", e.Message)
	}
	if errors.Is(err, units.ErrTooLarge) {
		return invalid("too-large", "/network", "fewer bytes, or faster links", "%v", err)
	}
	return &Error{Failed, "internal", "/network", shorten(err.Error()), ""}
}

// readNetwork reads a collective on a network.
func (q *request) readNetwork(f *fields) {
	mode := f.word("mode", "", astraAware, astraUnaware)
	n := &q.parsedNetwork
	for _, name := range []string{"dims", "topology", "algorithm", "link_gigabytes_per_second", "latency_ns", "leaf", "oversubscription", "reduces"} {
		if v := f.get(name); v != nil && v.kind == array {
			n.lists = append(n.lists, name)
		}
	}
	if mode != "" {
		q.readAstra(f, mode)
		return
	}
	if jobs := f.typed("jobs", array); jobs != nil {
		n.readJobs(f, jobs)
	} else {
		n.collective = flow.Collective{Op: interconnect.Op(f.word("collective", opNames...)), Bytes: float64(f.need("bytes", 1, maxBytes)), Skew: f.real("skew", 0, 10, 0)}
		n.chunks, n.active = f.integer("chunks", 1, 4096, 1), f.integer("active_chunks", 1, 4096, 1)
	}
	if g := f.typed("graph", object); g != nil {
		for _, name := range []string{"topology", "dims", "link_gigabytes_per_second", "latency_ns", "leaf", "oversubscription", "reduces"} {
			if *f.err == nil && f.get(name) != nil {
				f.fail(invalid("conflict", "/network/"+name, "leave it out", "a graph takes the place of dimensions"))
			}
		}
		n.readGraph(f, g)
	} else {
		n.readDims(f)
	}
	if n.jobs == nil {
		n.algorithms = f.optionalWords("algorithm", max(1, len(n.dims)))
		n.readGroups(f)
	}
	if list := f.typed("faults", array); list != nil {
		for i := range list.items() {
			at := fmt.Sprintf("/network/faults/%d", i)
			k := open(&list.items()[i], at, f.err)
			n.faults = append(n.faults, flow.Fault{From: int(k.need("from", 0, flow.MostRanks)), To: int(k.need("to", 0, flow.MostRanks)), Share: k.real("share", 0, 1, 0)})
			k.close()
		}
	}
	f.close()
	if c := &n.collective; *f.err == nil && c.Skew > 0 && c.Op != interconnect.AllToAll {
		f.fail(invalid("conflict", "/network/skew", `"collective":"all-to-all"`, "only an all-to-all has a skew, and this is %s", c.Op))
	}
	if *f.err == nil && n.chunks > 1 && !n.byDims() {
		f.fail(invalid("conflict", "/network/chunks", "leave it out", "chunks follow one another from dimension to dimension, and groups, a graph, a send-recv, a skew or multi-ring have all at once"))
	}
	if *f.err == nil && n.active > n.chunks {
		f.fail(invalid("conflict", "/network/active_chunks", fmt.Sprintf(`at most %d, or more "chunks"`, n.chunks), "%d of %d chunks cannot be under way", n.active, n.chunks))
	}
}

// byDims reports whether a collective goes through one dimension after the other, and not through all at once.
func (n *networkRequest) byDims() bool {
	c := &n.collective
	return !n.explicit && len(c.Groups) == 0 && !slices.Equal(n.algorithms, slices.Repeat([]string{flow.MultiRing}, len(n.algorithms))) && c.Op != interconnect.SendRecv && c.Skew == 0
}

// opNames are the collectives, the usual one first.
var opNames = []string{"all-reduce", "all-gather", "reduce-scatter", "all-to-all", "broadcast", "send-recv"}

// readAstra reads a request in a mode of that tool.
func (q *request) readAstra(f *fields, mode string) {
	r := &astra.Request{Aware: mode == astraAware, Collective: interconnect.Op(f.text("collective", string(interconnect.AllReduce))), Bytes: f.need("bytes", 1, maxBytes),
		Chunks: f.integer("chunks", 1, maxDim, 1), Active: f.integer("active_chunks", 1, maxDim, 1)}
	dims := f.numbers("dims", 0)
	topology, algorithm := f.words("topology", len(dims)), f.words("algorithm", len(dims))
	rate, latency := f.numbers("link_gigabytes_per_second", len(dims)), f.numbers("latency_ns", len(dims))
	f.close()
	for i := range dims {
		if *f.err != nil {
			return
		}
		f.count("dims", i, dims[i])
		r.Dimensions = append(r.Dimensions, astra.Dimension{Topology: topology[i], Ranks: int64(dims[i]), Rate: rate[i], Latency: latency[i], Algorithm: algorithm[i]})
	}
	q.parsedNetwork.astra = r
}

// count refuses a number of ranks that is none.
func (f *fields) count(name string, i int, x float64) {
	if x != math.Trunc(x) || x > 1<<31 {
		f.fail(invalid("range", f.item(name, i), "", "%g: must be a whole number", x))
	}
}

// item is the pointer of an entry of a member that is a list or one plain value for all.
func (f *fields) item(name string, i int) string {
	for k := range f.members {
		if m := &f.members[k]; string(m.name) == name && m.value.kind == array {
			return fmt.Sprintf("%s/%d", pointer(f.at, name), i)
		}
	}
	return pointer(f.at, name)
}

// readDims reads the dimensions of a network. A torus has rings in all of them, a mesh lines.
func (n *networkRequest) readDims(f *fields) {
	dims := f.numbers("dims", 0)
	topology := f.words("topology", len(dims))
	rate, latency := f.numbers("link_gigabytes_per_second", len(dims)), f.numbers("latency_ns", len(dims))
	leaf, over := make([]float64, len(dims)), make([]float64, len(dims))
	if f.has("leaf") {
		leaf = f.numbers("leaf", len(dims))
	}
	if f.has("oversubscription") {
		over = f.numbers("oversubscription", len(dims))
	}
	reduces := f.flag("reduces", false)
	if *f.err != nil {
		return
	}
	for i := range dims {
		f.count("dims", i, dims[i])
		f.count("leaf", i, leaf[i])
		d := flow.Dimension{Topology: topology[i], Ranks: int(dims[i]), Rate: rate[i] * 1e9, Latency: latency[i] / 1e9, Group: int(leaf[i]), Oversubscription: over[i]}
		switch d.Topology {
		case "torus":
			d.Topology = flow.Ring
		case "mesh":
			d.Topology = flow.Line
		case flow.Switch:
			d.Reduces = reduces
		}
		if slices.ContainsFunc(topology, leaved) && !leaved(d.Topology) { // plain values are for dimensions of leaves alone
			if !slices.Contains(n.lists, "leaf") {
				d.Group = 0
			}
			if !slices.Contains(n.lists, "oversubscription") {
				d.Oversubscription = 0
			}
		}
		n.dims = append(n.dims, d)
	}
	if slices.ContainsFunc(n.dims, func(d flow.Dimension) bool { return !slices.Contains(flow.Topologies, d.Topology) }) {
		return // said when the network is built
	}
	if reduces && !slices.Contains(topology, flow.Switch) {
		f.fail(invalid("conflict", "/network/reduces", `"topology":"switch"`, "a switch reduces, and there is none"))
	}
	n.oversubscribed(f)
}

// leaved reports whether ranks of a topology are below leaves or in groups.
func leaved(topology string) bool { return topology == flow.FatTree || topology == flow.Dragonfly }

// oversubscribed refuses an oversubscription of what has no leaves to lie between.
func (n *networkRequest) oversubscribed(f *fields) {
	if !f.has("oversubscription") {
		return
	}
	each, none := slices.Contains(n.lists, "oversubscription"), true
	for i := range n.dims {
		d := &n.dims[i]
		has := leaved(d.Topology) && d.Group > 0 && d.Group < d.Ranks
		none = none && !has
		switch at := f.item("oversubscription", i); {
		case d.Oversubscription < 1 && (each || leaved(d.Topology)):
			f.fail(invalid("range", at, "", "%g: must be at least 1", d.Oversubscription))
		case each && d.Oversubscription > 1 && !has:
			f.fail(invalid("conflict", at, `1, or "leaf"`, "it is between leaves of a fat tree or groups of a dragonfly, and dimension %d has no two", i))
		}
	}
	if none && !each {
		f.fail(invalid("conflict", "/network/oversubscription", `"leaf", e.g. of 4 ranks`, "it is between leaves of a fat tree or groups of a dragonfly, and there are no two"))
	}
}

// readGraph reads an explicit graph: {"ranks":…,"nodes":…,"links":[[from,to,gigabytes per second,nanoseconds],…]}, each link both ways
// unless it says "directed".
func (n *networkRequest) readGraph(f *fields, v *value) {
	g := open(v, "/network/graph", f.err)
	n.explicit = true
	n.ranks = int(g.need("ranks", 1, flow.MostRanks))
	n.nodes = int(g.integer("nodes", 1, flow.MostRanks, int64(n.ranks)))
	n.directed = g.flag("directed", false)
	links := g.typed("links", array)
	if links == nil {
		f.fail(invalid("missing", "/network/graph/links", `e.g. "links":[[0,1,50,500],[1,2,50,500]]`, "missing: links"))
		return
	}
	g.close()
	for i := range links.items() {
		at := fmt.Sprintf("/network/graph/links/%d", i)
		l := &links.items()[i]
		if l.kind != array || len(l.items()) != 4 {
			f.fail(invalid("type", at, "[from, to, gigabytes per second, nanoseconds]", "must be four numbers"))
			return
		}
		var x [4]float64
		for k := range l.items() {
			var err error
			if x[k], err = strconv.ParseFloat(string(l.items()[k].raw), 64); l.items()[k].kind != number || err != nil || k < 2 && (x[k] != math.Trunc(x[k]) || math.Abs(x[k]) > 1<<30) {
				f.fail(invalid("type", fmt.Sprintf("%s/%d", at, k), "[from, to, gigabytes per second, nanoseconds]", "must be a number, of nodes a whole one"))
				return
			}
		}
		one := flow.Link{From: int32(x[0]), To: int32(x[1]), Rate: x[2] * 1e9, Latency: x[3] / 1e9}
		n.links = append(n.links, one)
		if !n.directed {
			one.From, one.To = one.To, one.From
			n.links = append(n.links, one)
		}
	}
}

// readGroups reads which ranks take part: {"ranks":…,"stride":…} for groups side by side, or lists of ranks; all if it is left out.
func (n *networkRequest) readGroups(f *fields) {
	v := f.get("groups")
	if v == nil {
		return
	}
	if v.kind == object {
		g := open(v, "/network/groups", f.err)
		side := interconnect.Group{Ranks: g.need("ranks", 2, flow.MostRanks), Stride: g.integer("stride", 1, flow.MostRanks, 1)}
		g.close()
		all := n.ranks
		if !n.explicit {
			all = 1
			for _, d := range n.dims {
				if d.Ranks < 1 || all > flow.MostRanks/d.Ranks {
					return // said when the network is built
				}
				all *= d.Ranks
			}
		}
		if *f.err == nil {
			var err error
			if n.collective.Groups, err = flow.Side(all, side); err != nil {
				f.fail(n.failed(err))
			}
		}
		return
	}
	if v.kind != array || len(v.items()) == 0 {
		f.fail(invalid("type", "/network/groups", `{"ranks":8,"stride":1} or [[0,1],[2,3]]`, "must be an object or lists of ranks"))
		return
	}
	for i := range v.items() {
		n.collective.Groups = append(n.collective.Groups, f.rankList(&v.items()[i], fmt.Sprintf("/network/groups/%d", i)))
	}
}

// rankList reads a list of ranks.
func (f *fields) rankList(v *value, at string) []int {
	if v.kind != array || len(v.items()) == 0 {
		f.fail(invalid("type", at, "e.g. [0,1,2,3]", "must be a list of ranks"))
		return nil
	}
	var list []int
	for i := range v.items() {
		x, ok := whole(v.items()[i].raw)
		if v.items()[i].kind != number || !ok || x < 0 || x > flow.MostRanks {
			f.fail(invalid("type", fmt.Sprintf("%s/%d", at, i), "", "must be a rank"))
			return nil
		}
		list = append(list, int(x))
	}
	return list
}

// readJobs reads collectives that share the network, and the orders in which ranks come to them.
func (n *networkRequest) readJobs(f *fields, v *value) {
	names := map[string]int{}
	for i := range v.items() {
		at := fmt.Sprintf("/network/jobs/%d", i)
		j := open(&v.items()[i], at, f.err)
		job := flow.Job{Name: j.text("name", fmt.Sprintf("job %d", i))}
		job.Op, job.Algorithm = interconnect.Op(j.word("collective", opNames...)), j.word("algorithm", flow.Algorithms...)
		job.Bytes, job.Skew = float64(j.need("bytes", 1, maxBytes)), j.real("skew", 0, 10, 0)
		if r := j.get("ranks"); r != nil {
			job.Groups = [][]int{f.rankList(r, at+"/ranks")}
		} else if *f.err == nil {
			f.fail(invalid("missing", at+"/ranks", "e.g. [0,1,2,3]", "missing: ranks"))
		}
		j.close()
		if *f.err == nil && job.Skew > 0 && job.Op != interconnect.AllToAll {
			f.fail(invalid("conflict", at+"/skew", `"collective":"all-to-all"`, "only an all-to-all has a skew, and this is %s", job.Op))
		}
		if _, twice := names[job.Name]; twice {
			f.fail(invalid("value", at+"/name", "", "the name %q is used before", shorten(job.Name)))
		}
		names[job.Name] = i
		n.jobs = append(n.jobs, job)
	}
	if n.jobs == nil {
		f.fail(invalid("range", "/network/jobs", "", "there must be a job"))
	}
	o := f.typed("order", object)
	if o == nil {
		return
	}
	n.order = map[int][]int{}
	for i := range o.members() {
		m := &o.members()[i]
		at := pointer("/network/order", string(m.name))
		rank, err := strconv.Atoi(string(m.name))
		if err != nil || m.value.kind != array {
			f.fail(invalid("type", at, `e.g. "order":{"1":["b","a"]}`, "must be names of jobs under the number of a rank"))
			return
		}
		n.order[rank] = []int{}
		for k := range m.value.items() {
			job, ok := names[string(m.value.items()[k].chars())]
			if !ok {
				f.fail(invalid("value", fmt.Sprintf("%s/%d", at, k), "", "there is no job %q", shorten(string(m.value.items()[k].chars()))))
				return
			}
			n.order[rank] = append(n.order[rank], job)
		}
	}
}

// optionalWords is words for a member that may be left out.
func (f *fields) optionalWords(name string, many int) []string {
	if !f.has(name) {
		return make([]string, many)
	}
	return f.words(name, many)
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
		for i := range v.items() {
			list = append(list, &v.items()[i])
		}
		if many > 0 && len(list) != many || len(list) == 0 || len(list) > 16 {
			f.fail(invalid("value", pointer(f.at, name), "one for each of dims, or a plain value for all", "%d of them", len(list)))
			return make([]*value, many)
		}
	}
	for i, v := range list {
		if v.kind != k {
			f.fail(invalid("type", f.item(name, i), "", "must be %s, is %s", k, v.kind))
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
			s = string(v.chars())
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
				f.fail(invalid("range", f.item(name, i), "", "%s: must be from 0 to 1e15", shorten(string(v.raw))))
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
	BoundBy string  `json:"bound_by"` // "link" or "latency"
	BusBW   float64 `json:"busbw_gigabytes_per_second,omitempty"`
	// LatencySeconds is the part of the time that does not depend on rates; Algorithm what was run, by dimension.
	LatencySeconds float64      `json:"latency_seconds,omitempty"`
	Algorithm      []string     `json:"algorithm,omitempty"`
	SentBytes      float64      `json:"sent_bytes,omitempty"` // by all ranks
	Busiest        *busiestLink `json:"busiest_link,omitempty"`
	Jobs           []jobSpan    `json:"jobs,omitempty"`
}

// busiestLink is the link with most to carry. Nodes beyond the ranks are switches.
type busiestLink struct {
	From    int32   `json:"from"`
	To      int32   `json:"to"`
	Seconds float64 `json:"busy_seconds"`
}

type jobSpan struct {
	Name  string  `json:"name"`
	Start float64 `json:"start_seconds"`
	End   float64 `json:"end_seconds"`
}

// answer works a request out; with alone, each job has the network to itself.
func (n *networkRequest) answer(fidelity string, alone bool) (*networkAnswer, *Error) {
	if n.astra == nil {
		return n.native(fidelity, alone)
	}
	ns, err := astra.Time(n.astra)
	if err != nil {
		return nil, n.failed(err)
	}
	ranks := 1.0
	for _, d := range n.astra.Dimensions {
		ranks *= float64(d.Ranks)
	}
	size := float64(n.astra.Bytes)
	if n.astra.Collective == interconnect.AllGather {
		size *= ranks
	}
	return &networkAnswer{Status: OK, Seconds: float64(ns) / 1e9, BoundBy: "link", BusBW: busShare(n.astra.Collective, ranks) * size / float64(ns)}, nil
}

// busShare is what passes each link of a ring, in buffers.
func busShare(op interconnect.Op, ranks float64) float64 {
	switch op {
	case interconnect.AllReduce:
		return 2 * (ranks - 1) / ranks
	case interconnect.AllGather, interconnect.ReduceScatter, interconnect.AllToAll:
		return (ranks - 1) / ranks
	}
	return 1
}

// native answers with flows, or with closed forms where the fidelity is analytic.
func (n *networkRequest) native(fidelity string, alone bool) (*networkAnswer, *Error) {
	var net *flow.Network
	var err error
	if n.explicit {
		net, err = flow.Explicit(n.ranks, n.nodes, n.links)
	} else {
		net, err = flow.New(n.dims)
	}
	if err == nil {
		net, err = net.Break(n.faults)
	}
	if err != nil {
		return nil, n.failed(err)
	}
	closed := fidelity == eval.Analytic
	if closed && len(n.jobs) == 0 && (n.explicit || len(n.faults) > 0 || len(n.collective.Groups) > 0) {
		return nil, unsupported("not-simulated", "/fidelity", `"fidelity":"event"`, "the closed form is of whole networks of dimensions that nothing else uses")
	}
	if len(n.jobs) > 0 {
		a := &networkAnswer{Status: OK, BoundBy: "link"}
		var spans []flow.Span
		switch {
		case alone: // each takes what Time says, in either fidelity
			spans, err = net.Alone(n.jobs, n.order)
		case closed:
			var all float64
			spans, all, err = net.Fold(n.jobs, n.order)
			a.Seconds = picoseconds(all)
		default:
			spans, err = net.Play(n.jobs, n.order)
		}
		if err != nil {
			return nil, n.failed(err)
		}
		for i, s := range spans {
			a.Seconds = max(a.Seconds, picoseconds(s.End))
			a.Jobs = append(a.Jobs, jobSpan{n.jobs[i].Name, picoseconds(s.Start), picoseconds(s.End)})
		}
		return a, nil
	}
	c := n.collective
	if !n.byDims() {
		if closed {
			return nil, unsupported("not-simulated", "/fidelity", `"fidelity":"event"`, "there is no closed form of this %s: it goes through all of a network at once", c.Op)
		}
		if c.Groups == nil {
			c.Groups = [][]int{everyone(net.Ranks())}
		}
		for _, a := range n.algorithms[1:] {
			if a != n.algorithms[0] {
				return nil, invalid("value", "/network/algorithm", "one for all ranks of a group", "groups go through all dimensions with one algorithm")
			}
		}
		r, used, err := fastest(net, &c, n.algorithms[0])
		if err != nil {
			return nil, n.failed(err)
		}
		return answerOf(net, r, c.Op, c.Bytes, float64(len(c.Groups[0])), []string{used}), nil
	}
	r, used, err := net.Chunked(c.Op, n.algorithms, c.Bytes, int(n.chunks), int(n.active), closed)
	if err != nil {
		return nil, n.failed(err)
	}
	if !closed && n.chunks == 1 && len(n.dims) > 1 && !slices.ContainsFunc(n.algorithms, func(a string) bool { return a != "" }) {
		c.Groups, c.Algorithm = [][]int{everyone(net.Ranks())}, flow.MultiRing
		if all, err := net.Time(&c); err == nil && all.Seconds < r.Seconds {
			r, used = all, []string{flow.MultiRing}
		}
	}
	return answerOf(net, r, c.Op, c.Bytes, float64(net.Ranks()), used), nil
}

// picoseconds rounds seconds to whole ones.
func picoseconds(s float64) float64 { return math.Round(s*1e12) / 1e12 }

// everyone is the group of all ranks.
func everyone(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// fastest plays a collective with an algorithm, or with the fastest of those that do it.
func fastest(net *flow.Network, c *flow.Collective, algorithm string) (best *flow.Result, used string, err error) {
	if algorithm != "" {
		c.Algorithm = algorithm
		best, err = net.Time(c)
		return best, algorithm, err
	}
	for _, a := range flow.Algorithms {
		one := *c
		one.Algorithm = a
		r, e := net.Time(&one)
		if e != nil && err == nil {
			err = e
		}
		if e == nil && (best == nil || r.Seconds < best.Seconds) {
			best, used = r, a
		}
	}
	if best != nil {
		err = nil
	}
	return best, used, err
}

func answerOf(net *flow.Network, r *flow.Result, op interconnect.Op, bytes, ranks float64, used []string) *networkAnswer {
	a := &networkAnswer{Status: OK, Seconds: picoseconds(r.Seconds), BoundBy: "link", LatencySeconds: picoseconds(r.Latency), Algorithm: used, SentBytes: math.Round(r.Sent)}
	if r.Latency > r.Seconds/2 {
		a.BoundBy = "latency"
	}
	if r.Seconds > 0 {
		a.BusBW = busShare(op, ranks) * bytes / r.Seconds / 1e9
	}
	if r.Busiest >= 0 {
		l := net.Links()[r.Busiest]
		a.Busiest = &busiestLink{l.From, l.To, picoseconds(r.Busy)}
	}
	return a
}
