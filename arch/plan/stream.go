package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/stratasim/strata/sim"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// What lives below the first memory streams from there, layer by layer, while layers before it run. The layers of a
// step are places in a ring: at place i the layer there runs, what place i+d needs is fetched (d is the prefetch
// distance), and what place i−1 has added to caches below is stored. The last places fetch for the first of the
// next step, as a server does that goes on: each step moves what it uses once, neither more nor less. There are d+1
// buffers, so a fetch begins when the layer before the one that runs is done.
//
// Alike places in a row are one loop. Between loops everything waits for everything, which costs nothing where
// fetches are the slower part (they go on one after the other) nor where layers are.
//
// Experts that are cold live below too. With a look-ahead of less than all, the rest of those that a layer needs is
// fetched when the layer's router has spoken, and nothing runs meanwhile.

// MoveKind is the kind of the operators that move tensors between memories.
const MoveKind = "move"

// Names of the resources between the host's memory and a chip, one for each direction.
const (
	HostIn  = "host-in"
	HostOut = "host-out"
	// HostBytes counts what passes either way.
	HostBytes = "host-link.bytes"
)

// moves is what a layer moves between the first memory and each lower one.
type moves struct {
	fetch, demand, store []units.Bytes
	classes              []string // that are moved, for people
}

func (v *moves) none() bool { return v == nil || sum(v.fetch)+sum(v.demand)+sum(v.store) == 0 }

func sum(list []units.Bytes) (n units.Bytes) {
	for _, b := range list {
		n += b
	}
	return n
}

// layers is a run of a graph as places of a ring.
type layers struct {
	name  string
	body  *Body
	times int64
	moves *moves
}

// stepKey identifies a loop over alike places.
type stepKey struct {
	body                 *Body
	fetch, demand, store string
	ahead                int64
}

// movesOf returns what one layer of a run moves.
func (b *builder) movesOf(g *traces.Graph, run *traces.Run) (*moves, error) {
	pl := b.place
	n := len(pl.lower)
	v := &moves{fetch: make([]units.Bytes, n), demand: make([]units.Bytes, n), store: make([]units.Bytes, n)}
	blk := &g.Blocks[run.Block]
	var classes []string
	seen := map[string]bool{}
	part := func(it *Item, bytes units.Bytes, to []units.Bytes) {
		// Bytes of a tensor are spread over its tiers alike.
		for t, below := range it.Below {
			if below > 0 && bytes > 0 {
				n, _ := units.MulDivCeil(int64(bytes), int64(below), int64(it.Lower()))
				to[t] += units.Bytes(n)
				if !slices.Contains(classes, it.Class) {
					classes = append(classes, it.Class)
				}
			}
		}
	}
	for j := range blk.Ops {
		op := &blk.Ops[j]
		for _, id := range op.Inputs {
			t := &blk.Tensors[id]
			if t.Role != traces.Weight || seen[t.Name] {
				continue
			}
			seen[t.Name] = true
			each, err := b.mapping.weightBytes(op, t)
			if err != nil {
				return nil, err
			}
			i, ok := pl.index[itemKey{t.Name, int64(each), false}]
			if !ok || pl.Items[i].Lower() == 0 {
				continue
			}
			it := &pl.Items[i]
			switch op.Kind {
			case traces.MoE:
				cold := coldBytes(op, it)
				known := units.Bytes(math.Ceil(float64(cold) * b.mapping.lookahead()))
				part(it, known, v.fetch)
				part(it, cold-known, v.demand)
			default:
				read := readOf(op, t, each)
				n, _ := units.MulDivCeil(int64(read), int64(it.Lower()), int64(each))
				part(it, units.Bytes(n), v.fetch)
			}
		}
		if op.Kind != traces.Attention {
			continue
		}
		i, ok := pl.index[itemKey{op.Name, run.FirstLayer, true}]
		if !ok || pl.Items[i].Lower() == 0 {
			continue
		}
		it := &pl.Items[i]
		after, added, err := cacheOf(op, run, b.mapping.TP, b.profile.CachePage)
		if err != nil {
			return nil, err
		}
		before, now := it.cacheBelow(g, after-added), it.cacheBelow(g, after)
		part(it, before, v.fetch)
		part(it, max(0, now-before), v.store)
	}
	v.classes = classes
	return v, nil
}

// cacheBelow returns how much of a layer's cache lives below when it holds so many bytes: the first tokens are above,
// and what comes after them goes below. Caches of prompts that are prefilled in turn go below in proportion.
func (it *Item) cacheBelow(g *traces.Graph, bytes units.Bytes) units.Bytes {
	if g.Phase == traces.Prefill.String() {
		n, _ := units.MulDivCeil(int64(bytes), int64(it.Lower()), int64(it.Each))
		return units.Bytes(n)
	}
	return max(0, bytes-it.resident())
}

// coldBytes returns how many bytes of experts below a layer needs. Where all experts are as likely, those that live
// above take their share of the choices; else those live above that most tokens choose.
func coldBytes(op *traces.Op, it *Item) units.Bytes {
	local := units.CeilDiv(op.Experts, op.EP)
	var touched int64
	for _, l := range op.Routes() {
		touched += l.Experts
	}
	touched = min(touched, local)
	each := float64(it.Each) / float64(local)
	if op.SkewMilli == 0 {
		n, _ := units.MulDivCeil(int64(it.Lower()), touched, local)
		return units.Bytes(n)
	}
	hot := float64(it.resident()) / each // experts that live above
	return units.Bytes(math.Ceil(float64(math.Max(0, float64(touched)-hot) * each)))
}

func (p *Mapping) lookahead() float64 {
	if p.Lookahead == nil {
		return 1
	}
	return *p.Lookahead
}

// ring appends the layers of a step to its section, with what they move.
func (b *builder) ring(section *Body, phase traces.Phase, list []layers) {
	idle := true
	for _, l := range list {
		idle = idle && l.moves.none()
	}
	if idle {
		for _, l := range list {
			section.then(Node{Name: l.name, Body: l.body, Times: l.times})
		}
		return
	}
	list = b.merge(list)
	var total int64
	var starts []int64
	for _, l := range list {
		starts = append(starts, total)
		total += l.times
	}
	ahead := b.place.Prefetch
	wrap := func(x int64) int64 { return ((x % total) + total) % total }
	at := func(place int64) *layers {
		i, _ := slices.BinarySearch(starts, place+1)
		return &list[i-1]
	}
	cuts := []int64{0, total}
	for _, s := range starts {
		cuts = append(cuts, wrap(s-ahead), wrap(s+1))
		cuts = append(cuts, s)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := 1; i < len(cuts); i++ {
		from, times := cuts[i-1], cuts[i]-cuts[i-1]
		here := at(from)
		section.then(b.loopOf(phase, here, at(wrap(from+ahead)).moves, at(wrap(from-1)).moves, times))
	}
}

// small is how many times as much the largest fetch of a step is as one that is small.
const small = 8

// merge joins layers that fetch next to nothing, such as a head that lives above, with the layer before them, and
// those at the beginning, such as a table of embeddings read by rows, with the one after: what the next layer needs is
// fetched beside both.
func (b *builder) merge(list []layers) []layers {
	var most units.Bytes
	for _, l := range list {
		most = max(most, sum(l.moves.fetch)+sum(l.moves.demand))
	}
	var out, first []layers
	for _, l := range list {
		n := len(out)
		bytes := sum(l.moves.fetch) + sum(l.moves.demand)
		switch {
		case l.times == 1 && n == 0 && bytes < most:
			first = append(first, l)
		case l.times == 1 && n > 0 && bytes <= most/small:
			last := out[n-1]
			if last.times > 1 {
				out[n-1].times--
				last.times = 1
				out = append(out, last)
				n++
			}
			out[n-1] = b.join(last, l)
		case len(first) > 0:
			one, rest := l, l
			one.times, rest.times = 1, l.times-1
			for i := len(first) - 1; i >= 0; i-- {
				one = b.join(first[i], one)
			}
			if out, first = append(out, one), nil; rest.times > 0 {
				out = append(out, rest)
			}
		default:
			out = append(out, l)
		}
	}
	return append(out, first...)
}

// join is two layers that run one after the other as one.
func (b *builder) join(x, y layers) layers {
	v := &moves{fetch: plus(x.moves.fetch, y.moves.fetch), demand: plus(x.moves.demand, y.moves.demand), store: plus(x.moves.store, y.moves.store), classes: slices.Clone(x.moves.classes)}
	for _, c := range y.moves.classes {
		if !slices.Contains(v.classes, c) {
			v.classes = append(v.classes, c)
		}
	}
	key := [2]*Body{x.body, y.body}
	body, ok := b.joined[key]
	if !ok {
		body = &Body{Name: x.name + ", " + y.name, Op: -1}
		body.then(Node{Name: x.name, Body: x.body, Times: 1})
		body.then(Node{Name: y.name, Body: y.body, Times: 1})
		body.loop()
		b.joined[key] = body
	}
	return layers{name: body.Name, body: body, times: 1, moves: v}
}

func plus(a, b []units.Bytes) []units.Bytes {
	n := slices.Clone(a)
	for i := range n {
		n[i] += b[i]
	}
	return n
}

// loopOf is alike places in a row: a layer, what is fetched and stored beside it, and what it has to wait for.
func (b *builder) loopOf(phase traces.Phase, l *layers, next, last *moves, times int64) Node {
	ahead := b.place.Prefetch
	var fetch, demand, store []units.Bytes
	what := ""
	if next != nil {
		fetch, what = next.fetch, strings.Join(next.classes, ", ")
	}
	if l.moves != nil {
		demand = l.moves.demand
	}
	if last != nil {
		store = last.store
	}
	if sum(fetch)+sum(demand)+sum(store) == 0 {
		return Node{Name: l.name, Body: l.body, Times: times}
	}
	key := stepKey{l.body, fmt.Sprint(fetch, what), fmt.Sprint(demand), fmt.Sprint(store), ahead}
	body, ok := b.steps[key]
	if !ok {
		body = &Body{Name: l.name + " and moves", Op: -1}
		layer := Node{Name: l.name, Body: l.body, Times: 1}
		before := func(name string, bytes []units.Bytes, in bool) {
			for t, n := range bytes {
				if n > 0 {
					layer.After = append(layer.After, Dep{Node: len(body.Nodes)})
					body.Nodes = append(body.Nodes, Node{Name: name, Body: b.move(phase, name, t, n, in), Times: 1})
				}
			}
		}
		before("fetch "+Experts+" chosen", demand, true)
		if ahead == 0 {
			before("fetch "+what, fetch, true)
		}
		own := len(body.Nodes)
		for i := range own {
			body.Nodes[i].After = []Dep{{Node: own, Distance: 1}}
		}
		body.Nodes = append(body.Nodes, layer)
		beside := func(name string, bytes []units.Bytes, in bool, distance int64) {
			for t, n := range bytes {
				if n > 0 {
					if distance > 0 {
						body.Nodes[own].After = append(body.Nodes[own].After, Dep{Node: len(body.Nodes), Distance: distance})
					}
					body.Nodes = append(body.Nodes, Node{Name: name, Body: b.move(phase, name, t, n, in), Times: 1, After: []Dep{{Node: own, Distance: 1}}})
				}
			}
		}
		if ahead > 0 {
			beside("fetch "+what, fetch, true, ahead)
		}
		beside("store "+KVCache, store, false, 0)
		b.steps[key] = body
	}
	return Node{Name: l.name, Body: body, Times: times}
}

// move is a copy between a lower memory and the first, in or out.
func (b *builder) move(phase traces.Phase, name string, tier int, bytes units.Bytes, in bool) *Body {
	low := &b.place.lower[tier]
	if len(b.place.lower) > 1 {
		name += " (" + low.Name + ")"
	}
	n := b.off.Sectors(int64(bytes))
	read, write, way := low.Name, b.off.Name, HostIn
	if !in {
		read, write, way = b.off.Name, low.Name, HostOut
	}
	below, above := b.use(low.Name, n), b.use(b.off.Name, n)
	below.Write, above.Write = !in, in
	s := &Step{Kind: MoveKind, Latency: low.Latency, Charge: sim.DDR, Uses: []Use{below, above},
		Counts: []Count{b.count(read+".read", "B", n), b.count(write+".write", "B", n)}}
	if low.Host {
		s.Uses = append(s.Uses, b.use(way, n))
		s.Counts = append(s.Counts, b.count(HostBytes, "B", n))
	}
	body := &Body{Name: name, Op: b.op(phase, name, MoveKind)}
	body.Nodes = []Node{{Name: name, Step: s}}
	return body
}

// hostMemory adds the resources between the host's memory and the chip, if the placement uses it. Time limited by
// any of them is time that the third tier takes.
func (b *builder) hostMemory(add func(Resource)) {
	for i := range b.place.lower {
		low := &b.place.lower[i]
		if !low.Host {
			continue
		}
		host := b.m.System.Host
		add(Resource{low.Name, sim.DDR, "B", host.Share(b.m.Chip.Clock, b.p.Ranks), false, false})
		add(Resource{HostIn, sim.DDR, "B", host.Link.Rate(), false, false})
		add(Resource{HostOut, sim.DDR, "B", host.Link.Rate(), false, false})
	}
}

// launchOf is what starting a kernel takes: the device's own time, and the host's. A framework that streams
// waits for what it has fetched before it launches the layer, so that it has no lead over the device: what it does
// for each operator is then part of its launch.
func (b *builder) launchOf(kind string, phase traces.Phase) (device units.Time, host int64) {
	t := b.host.Launches(kind, phase.String())
	if b.place.Streams() {
		return t, 0
	}
	return 0, int64(t)
}
