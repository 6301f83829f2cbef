package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Classes of what a chip holds.
const (
	Weights     = "weights"
	Experts     = "experts" // weights of a mixture of experts
	KVCache     = "kv cache"
	Activations = "activations"
	Staging     = "staging buffers" // what streams from a lower memory arrives in
	Gradients   = "gradients"
	Optimizer   = "optimizer state"
	Workspace   = "workspace"
)

// Memories that a plan may place tensors in below the one that holds them by default: Mapping.Offload.
const (
	OffloadChip = ""     // the chip's own
	OffloadNone = "none" // none
	OffloadHost = "host" // the chip's own and the host's
)

// Policies of placement: Mapping.Placement.
const (
	// Greedy leaves in the fastest memory what saves most time for each byte there: what the program would move least
	// often goes down first. Of equals it is experts, then weights, then the cache.
	Greedy = ""
	// Solved times the plans of all orders in which classes can go down, with several prefetch distances, and
	// takes the fastest.
	Solved = "solved"
)

// Solve returns the mapping with the placement that takes least by the given time, of all orders in which classes can
// go down and several prefetch distances, where the mapping leaves these to it. It is the mapping as it is if
// everything has room in the fastest memory. Costs of one's own have no part in it.
func Solve(m *arch.Machine, g *traces.Graph, p Mapping, time func(*Program) (units.Time, error)) (Mapping, error) {
	first, err := Build(m, g, p)
	if err != nil || !first.Placement.Streams() {
		return p, err
	}
	best := p
	least, err := time(first)
	if err != nil {
		return p, err
	}
	distances := []*int64{p.Prefetch}
	if p.Prefetch == nil {
		for _, d := range []int64{2, 4} {
			distances = append(distances, &d)
		}
	}
	orders := [][]string{nil}
	for _, class := range []string{Experts, Weights, KVCache} {
		if !slices.ContainsFunc(first.Placement.Items, func(it Item) bool { return it.Class == class }) {
			continue
		}
		var longer [][]string // each with the class at every place
		for _, o := range orders {
			for at := range len(o) + 1 {
				longer = append(longer, slices.Insert(slices.Clone(o), at, class))
			}
		}
		orders = longer
	}
	for _, order := range append([][]string{nil}, orders...) {
		for _, d := range distances {
			q := p
			if q.order, q.Prefetch = order, d; order == nil && d == p.Prefetch {
				continue // the first
			}
			prog, err := Build(m, g, q)
			var full *DoesNotFit
			if errors.As(err, &full) {
				continue // deeper prefetch needs more buffers
			}
			if err != nil {
				return p, err
			}
			t, err := time(prog)
			if err != nil {
				return p, err
			}
			if t < least {
				best, least = q, t
			}
		}
	}
	return best, nil
}

// DefaultPrefetch is how many layers ahead of its use a layer is fetched: while one runs, the next arrives.
const DefaultPrefetch = 1

// MaxPrefetch bounds the prefetch distance.
const MaxPrefetch = 64

// Item is a tensor, or the cache of an attention, that every one of Layers layers has.
type Item struct {
	Class, Name string
	Block       string // the first that uses it
	Layers      int64
	Each        units.Bytes // of a layer, on one chip
	// Moved is how many bytes of it a program would move if all of it lived below.
	Moved float64
	// Below is what of each layer lives in the tier Placement.Tiers[1+i]; the rest lives in the first.
	Below []units.Bytes

	most  units.Bytes // that one run of a layer reads, if all of it lived below
	role  string
	first int64 // layer, of caches
	pin   int   // entry that pins it, -1 for none
	tier  int   // that it is pinned to, an index into Placement.Tiers
}

// Total is the bytes of all layers.
func (it *Item) Total() units.Bytes { return it.Each * units.Bytes(it.Layers) }

// Lower is what of each layer lives below the first tier.
func (it *Item) Lower() units.Bytes {
	var n units.Bytes
	for _, b := range it.Below {
		n += b
	}
	return n
}

// PlacedTier is a memory off chip, with what of it one chip fills.
type PlacedTier struct {
	Name, Kind string
	Capacity   units.Bytes
	Holds      []Need // by class
}

// Peak is what the tier holds altogether.
func (t *PlacedTier) Peak() units.Bytes {
	var n units.Bytes
	for _, h := range t.Holds {
		n += h.Bytes
	}
	return n
}

// Of is what the tier holds of a class.
func (t *PlacedTier) Of(class string) units.Bytes {
	for _, h := range t.Holds {
		if h.What == class {
			return h.Bytes
		}
	}
	return 0
}

// Tier returns the tier of that name, nil if nothing may live there.
func (pl *Placement) Tier(name string) *PlacedTier {
	if pl == nil {
		return nil
	}
	for i := range pl.Tiers {
		if pl.Tiers[i].Name == name {
			return &pl.Tiers[i]
		}
	}
	return nil
}

// Placement says what lives in which memory of one chip.
type Placement struct {
	Tiers []PlacedTier // the first is the fastest
	// Items are there if something lives below the first tier: what it is divided into, in the order of the graph.
	Items    []Item
	Prefetch int64

	lower []arch.Below // Tiers[1:]
	index map[itemKey]int
}

// itemKey finds an item: a weight by its name and size, a cache by its name and first layer.
type itemKey struct {
	name string
	each int64
	kv   bool
}

// Streams reports whether anything lives below the first tier and streams from there.
func (pl *Placement) Streams() bool { return pl != nil && len(pl.Items) > 0 }

// Place decides what lives in which memory of one chip. The error is a *DoesNotFit, unless the mapping says Overfull,
// and those of Footprint.
func Place(m *arch.Machine, g *traces.Graph, p Mapping) (*Placement, error) {
	g = p.local(m, g)
	fp, err := footprintOf(m, g, p)
	if err != nil {
		return nil, err
	}
	return place(m, g, p, fp, newPinning(p.Pins))
}

func place(m *arch.Machine, g *traces.Graph, p Mapping, fp Memory, pins *pinning) (*Placement, error) {
	off := m.OffChip()
	pl := &Placement{Prefetch: p.prefetch(), Tiers: []PlacedTier{{Name: off.Name, Kind: off.Kind, Capacity: off.Capacity}}}
	for _, b := range m.Lower(p.Chips()) {
		if p.PP > 1 {
			break // stages keep all that they hold
		}
		if p.Offload != OffloadNone && (!b.Host || p.Offload == OffloadHost) || pins.wants(b.Name) {
			pl.lower = append(pl.lower, b)
			pl.Tiers = append(pl.Tiers, PlacedTier{Name: b.Name, Kind: b.Kind, Capacity: b.Capacity})
		}
	}
	total := fp.total()
	pinned := pins.below(off.Name)
	if fits := total >= 0 && total <= off.Capacity; fits && !pinned || len(pl.lower) == 0 {
		pl.Tiers[0].Holds = fp.needs()
		if !fits && !p.Overfull {
			return pl, pl.unfit(m, p, fp, 0)
		}
		return pl, nil
	}
	profile, err := p.runtime(m)
	if err != nil {
		return nil, err
	}
	items, err := inventory(g, p, profile.CachePage)
	if err != nil {
		return nil, err
	}
	pl.Items = items
	pins.assign(pl)
	keeps, cache := []Need{{Activations, fp.Activations}}, units.Bytes(0)
	if g.Phase == "serve" { // whose requests come and go: their cache stays where it is
		cache = fp.KV
		keeps = append(keeps, Need{KVCache, cache})
	}
	if err := pl.fill(keeps, off.Capacity, p.order); err != nil && !p.Overfull {
		return pl, pl.unfit(m, p, fp, cache)
	}
	if !slices.ContainsFunc(pl.Items, func(it Item) bool { return it.Lower() > 0 }) {
		pl.Items = nil
		return pl, nil
	}
	pl.index = make(map[itemKey]int, len(pl.Items))
	for i := range pl.Items {
		pl.index[pl.Items[i].key()] = i
	}
	return pl, nil
}

func (it *Item) key() itemKey {
	if it.Class == KVCache {
		return itemKey{it.Name, it.first, true}
	}
	return itemKey{it.Name, int64(it.Each), false}
}

// prefetch returns the prefetch distance.
func (p *Mapping) prefetch() int64 {
	if p.Prefetch == nil {
		return DefaultPrefetch
	}
	return *p.Prefetch
}

// needs lists what the first tier holds when everything lives there.
func (f Memory) needs() []Need {
	return []Need{{Weights, f.Weights}, {KVCache, f.KV}, {Activations, f.Activations}}
}

// inventory lists what the graph's weights and caches are, and how much of each a run moves.
func inventory(g *traces.Graph, p Mapping, page int64) ([]Item, error) {
	var items []Item
	index := map[itemKey]int{}
	at := func(it Item) *Item {
		k := it.key()
		i, ok := index[k]
		if !ok {
			i = len(items)
			it.pin = -1
			items, index[k] = append(items, it), i
		}
		return &items[i]
	}
	err := eachWeight(g, &p, func(blk *traces.Block, op *traces.Op, t *traces.Tensor, each units.Bytes, layers int64) error {
		class := Weights
		if op.Kind == traces.MoE {
			class = Experts
		}
		it := at(Item{Class: class, Name: t.Name, Block: blk.Name, Each: each, role: "weight"})
		it.Layers += layers
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range g.Runs {
		run := &g.Runs[i]
		blk := &g.Blocks[run.Block]
		passes := float64(run.Times) * float64(run.Steps())
		for j := range blk.Ops {
			op := &blk.Ops[j]
			for _, id := range op.Inputs {
				if t := &blk.Tensors[id]; t.Role == traces.Weight {
					each, err := p.weightBytes(op, t)
					if err != nil {
						return nil, err
					}
					it := at(Item{Class: Weights, Name: t.Name, Each: each})
					read := readOf(op, t, each)
					it.Moved += float64(passes * float64(read))
					it.most = max(it.most, read)
				}
			}
			if op.Kind != traces.Attention || g.Phase == "serve" {
				continue // a server's cache stays where it is: its requests come and go
			}
			after, _, err := cacheOf(op, run, max(p.TP, 1), page)
			if err != nil {
				return nil, err
			}
			it := at(Item{Class: KVCache, Name: op.Name, Block: blk.Name, Layers: run.Times, role: "kv", first: run.FirstLayer})
			it.Layers = max(it.Layers, run.Times)
			if g.Phase == traces.Prefill.String() && op.Past+run.Past == 0 { // steps of one prefill take other prompts
				all, ok := units.Mul(int64(after), run.Steps())
				if ok {
					all, ok = units.Add(all, int64(it.Each))
				}
				if !ok {
					return nil, fmt.Errorf("key/value cache of %s: %w", op.Name, ErrTooLarge)
				}
				it.Each = units.Bytes(all)
			} else {
				it.Each = max(it.Each, after)
			}
			it.Moved += float64(passes * float64(after)) // what was there is read, what is new written
			it.most = max(it.most, after)
		}
	}
	return slices.DeleteFunc(items, func(it Item) bool { return it.Each == 0 || it.Layers == 0 }), nil
}

// cacheOf returns what one chip's part of an attention's cache of one layer holds after a run, and what the run
// added to it.
func cacheOf(op *traces.Op, run *traces.Run, tp, page int64) (after, added units.Bytes, err error) {
	part := *op
	if op.Split == traces.Heads {
		part.Heads, part.KVHeads = units.CeilDiv(op.Heads, tp), units.CeilDiv(op.KVHeads, tp)
	}
	after, ok := part.CacheBytes(paged(op, run.Past, page))
	part.Past = 0
	if part.Cross { // whose keys another block makes
		part.Uncached = true
	}
	added, ok2 := part.CacheBytes(0)
	if !ok || !ok2 {
		return 0, 0, fmt.Errorf("key/value cache of %s: %w", op.Name, ErrTooLarge)
	}
	return after, min(added, after), nil
}

// paged returns how many tokens of the run are to be counted before those of an attention so that its cache ends
// with a page.
func paged(op *traces.Op, past, page int64) int64 {
	if page <= 1 || op.Cross {
		return past
	}
	all := op.Past + past + op.QLen
	return past + units.CeilDiv(all, page)*page - all
}

// readOf returns how many bytes of a weight's part on one chip an operator reads.
func readOf(op *traces.Op, t *traces.Tensor, each units.Bytes) units.Bytes {
	var part, of int64
	switch op.Kind {
	case traces.Embedding: // a row for each token
		if len(t.Shape) < 2 {
			return each
		}
		part, of = op.Rows, t.Shape[0]
	case traces.MoE:
		for _, l := range op.Routes() {
			part += l.Experts
		}
		of = units.CeilDiv(op.Experts, op.EP)
	default:
		return each
	}
	if n, ok := units.MulDivCeil(int64(each), min(part, of), max(of, 1)); ok {
		return units.Bytes(n)
	}
	return each
}

// errFull says that the memories have no room for what is to live there.
var errFull = errors.New("no room")

// sector is what parts of a tensor in two memories are rounded to.
const sector = 512

// fill decides how much of each item lives below, in the order of what it saves, so that the first tier has room
// for the rest, what it keeps anyway and the buffers that streams arrive in.
func (pl *Placement) fill(keeps []Need, capacity units.Bytes, order []string) error {
	var kept units.Bytes
	for _, n := range keeps {
		kept += n.Bytes
	}
	rank := func(it *Item) int {
		if i := slices.Index(order, it.Class); i >= 0 {
			return i
		}
		return len(order) + slices.Index([]string{Experts, Weights, KVCache}, it.Class)
	}
	down := make([]int, 0, len(pl.Items)) // those that go down first
	for i := range pl.Items {
		if pl.Items[i].pin < 0 {
			down = append(down, i)
		}
	}
	slices.SortStableFunc(down, func(i, j int) int {
		a, b := &pl.Items[i], &pl.Items[j]
		if len(order) > 0 && rank(a) != rank(b) {
			return cmp.Compare(rank(a), rank(b))
		}
		if c := cmp.Compare(a.Moved/float64(a.Total()), b.Moved/float64(b.Total())); c != 0 {
			return c
		}
		if c := cmp.Compare(rank(a), rank(b)); c != 0 {
			return c
		}
		if c := cmp.Compare(b.Layers, a.Layers); c != 0 {
			return c // so that copies are spread over the step
		}
		return cmp.Compare(b.Each, a.Each) // few large copies rather than many small ones
	})
	var staging units.Bytes
	for {
		short, err := pl.spill(down, kept+staging-capacity)
		if err != nil {
			return err
		}
		next := pl.staging()
		if next <= staging {
			pl.holds(keeps, staging)
			if short > 0 {
				return errFull
			}
			return nil
		}
		staging = next
	}
}

// spill moves items down until those that stay, with so much more, take no room beyond none, and returns what
// is too much still. Lower tiers fill in their order.
func (pl *Placement) spill(down []int, more units.Bytes) (units.Bytes, error) {
	room := make([]units.Bytes, len(pl.lower))
	for i := range room {
		room[i] = pl.lower[i].Capacity
	}
	need := float64(more)
	for i := range pl.Items {
		it := &pl.Items[i]
		it.Below = make([]units.Bytes, len(pl.lower))
		if it.pin >= 0 && it.tier > 0 {
			it.Below[it.tier-1] = it.Each
			room[it.tier-1] -= it.Total()
		}
		need += float64(it.Each-it.Lower()) * float64(it.Layers)
	}
	for _, r := range room {
		if r < 0 {
			return 0, errFull // more is pinned there than it holds
		}
	}
	for len(down) > 0 {
		// Matrices of experts go down together, in the same share: an expert is here or there.
		n := 1
		for pl.Items[down[0]].Class == Experts && n < len(down) && pl.Items[down[n]].Class == Experts {
			n++
		}
		group := down[:n]
		down = down[n:]
		for t := range room {
			if need <= 0 {
				return 0, nil
			}
			var rest, least float64
			for _, i := range group {
				it := &pl.Items[i]
				rest += float64(it.Each-it.Lower()) * float64(it.Layers)
				least += sector * float64(it.Layers)
			}
			if rest == 0 {
				break
			}
			// No more than there is room for, with parts rounded up to sectors.
			share := math.Min(1, need/rest)
			if free := float64(room[t]); float64(share*rest)+least > free {
				share = math.Max(0, math.Min(share, (free-least)/rest))
			}
			for _, i := range group {
				it := &pl.Items[i]
				here := it.Each - it.Lower()
				each := min(here, (units.Bytes(math.Ceil(float64(here)*share))+sector-1)/sector*sector)
				it.Below[t] += each
				room[t] -= each * units.Bytes(it.Layers)
				need -= float64(each) * float64(it.Layers)
			}
		}
	}
	return units.Bytes(math.Min(math.Max(need, 0), math.MaxInt64/2)), nil
}

// staging returns the buffers that streams need: one for the layer that runs, and one for each that is fetched
// ahead of it, as large as the most that one layer of one block fetches. What runs once in a step may be fetched
// together with a layer, and has room besides.
func (pl *Placement) staging() units.Bytes {
	type block struct {
		fetch units.Bytes
		once  bool
	}
	blocks := map[string]*block{}
	var names []string
	var most units.Bytes
	for i := range pl.Items {
		it := &pl.Items[i]
		b, ok := blocks[it.Block]
		if !ok {
			b = &block{once: true}
			blocks[it.Block], names = b, append(names, it.Block)
		}
		n, _ := units.MulDivCeil(int64(it.Lower()), int64(min(it.most, it.Each)), int64(it.Each))
		b.fetch += units.Bytes(n)
		b.once = b.once && it.Layers == 1
		most = max(most, b.fetch)
	}
	all := most * units.Bytes(pl.Prefetch+1)
	for _, name := range names {
		if b := blocks[name]; b.once && b.fetch < most {
			all += b.fetch
		}
	}
	return all
}

// holds sums up what each tier holds by class.
func (pl *Placement) holds(keeps []Need, staging units.Bytes) {
	for t := range pl.Tiers {
		tier := &pl.Tiers[t]
		tier.Holds = nil
		for _, class := range []string{Weights, Experts, KVCache} {
			var n units.Bytes
			found := false
			for i := range pl.Items {
				if it := &pl.Items[i]; it.Class == class {
					found = true
					if t == 0 {
						n += (it.Each - it.Lower()) * units.Bytes(it.Layers)
					} else {
						n += it.Below[t-1] * units.Bytes(it.Layers)
					}
				}
			}
			if found {
				tier.Holds = append(tier.Holds, Need{class, n})
			}
		}
		if t == 0 {
			tier.Holds = append(append(tier.Holds, keeps...), Need{Staging, staging})
		}
	}
}

// unfit is the error of a placement that has no room; cache is what of it has to stay in the first tier.
func (pl *Placement) unfit(m *arch.Machine, p Mapping, fp Memory, cache units.Bytes) error {
	e := &DoesNotFit{Machine: m.Name, Tier: pl.Tiers[0].Name, Capacity: pl.Tiers[0].Capacity, Needs: fp.needs()}
	total := fp.Weights + fp.KV + fp.Activations
	for _, b := range pl.lower {
		e.Lower = append(e.Lower, Need{b.Name, b.Capacity})
	}
	chips := p.Chips()
	switch {
	case cache+fp.Activations > e.Capacity && cache > fp.Activations:
		e.Hint = fmt.Sprintf("a server's cache stays in %s: a smaller --batch, shorter prompts or a narrower --kv-dtype would shrink it", e.Tier)
	case fp.Activations <= e.Capacity && len(pl.lower) > 0 && total >= 0 && total <= e.Room():
		e.Hint = fmt.Sprintf("what has to stay in %s, with the buffers of streams, leaves no room there; pin less to it, or a smaller --prefetch needs fewer buffers", e.Tier)
	case fp.Activations > fp.Weights+fp.KV || fp.Activations > e.Capacity:
		e.Hint = "a smaller --batch, a shorter --prompt or a runtime with fused attention would shrink the activations"
	case chips < m.System.Chips:
		e.Hint = fmt.Sprintf("spread it over more chips with --tp, up to %d in this node", m.System.Chips)
	case fp.KV > fp.Weights:
		e.Hint = "a smaller --batch, a shorter --prompt or a narrower --kv-dtype would shrink the cache"
	default:
		e.Hint = "a narrower --weight-dtype would shrink the weights"
	}
	room := e.Room()
	for _, b := range m.Lower(chips) {
		if p.PP > 1 || fp.Activations > e.Capacity {
			break // activations stay where they are
		}
		if slices.ContainsFunc(pl.lower, func(l arch.Below) bool { return l.Name == b.Name }) {
			continue
		}
		room += b.Capacity
		flag := "--offload host"
		if !b.Host {
			flag = "leaving out --offload none"
		}
		if total < 0 || total > room {
			e.Hint += fmt.Sprintf("; nor would it fit with %s, which adds %s", b.Name, Human(b.Capacity))
		} else {
			e.Hint += fmt.Sprintf("; with %s, %s takes the %s that are too much, and they stream from there at %.3g GB/s", flag, b.Name, Human(total-e.Room()), float64(b.Rate)/1e9)
		}
		break
	}
	return e
}

// wants reports whether an entry places something in the tier.
func (p *pinning) wants(tier string) bool {
	return p != nil && slices.ContainsFunc(p.Placement, func(e PlacementPin) bool { return e.Tier == tier })
}

// below reports whether an entry places something in another tier than the given one.
func (p *pinning) below(off string) bool {
	return p != nil && slices.ContainsFunc(p.Placement, func(e PlacementPin) bool { return e.Tier != off })
}

// assign pins items to the tiers that entries say, the last that matches.
func (p *pinning) assign(pl *Placement) {
	if p == nil {
		return
	}
	for i := range pl.Items {
		it := &pl.Items[i]
		for k := range p.Placement {
			e := &p.Placement[k]
			if t := slices.IndexFunc(pl.Tiers, func(t PlacedTier) bool { return t.Name == e.Tier }); t >= 0 && e.matches(subject{it.role, it.Name}) {
				it.pin, it.tier = k, t
			}
		}
	}
}

// resident returns the first tier's part of an item's layer.
func (it *Item) resident() units.Bytes { return it.Each - it.Lower() }
