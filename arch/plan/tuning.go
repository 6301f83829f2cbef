package plan

import (
	"fmt"
	"slices"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// Adapters is the class of low-rank matrices beside the weights of a model.
const Adapters = "adapters"

// Training says what one chip has to hold beside the weights while a model is trained.
type Training struct {
	// AdaptersOnly says that only the adapters of the graph are trained; all weights otherwise.
	AdaptersOnly bool
	// Gradient is the format of gradients, and State the bytes of optimizer state for each parameter that is
	// trained: 8 for Adam, which keeps two moments in 32 bits.
	Gradient traces.DType
	State    int64
	// Recompute says that of a layer only the input is kept, and the rest computed again for its backward pass
	// (gradient checkpointing); all activations of all layers are kept otherwise.
	Recompute bool
	// Paged says that what the optimizer keeps may live in the memories below the fastest, the host's among them
	// (a paged optimizer), even where Offload allows none.
	Paged bool
	// Offload is which memories below the fastest others than that may live in: see Mapping.Offload.
	Offload string
	// Profile names the runtime profile; "" is the machine's default.
	Profile string
}

// PlaceTraining decides what lives in which memory of one chip that trains the model of a graph by itself. The graph is a
// forward pass, phase prefill, over one micro-batch. Weights stay in the fastest memory; gradients and optimizer state go
// there as far as there is room, and below after that: optimizer state first, which is touched once a step. The
// error is a *DoesNotFit, with the placement as far as it goes, or ErrTooLarge wrapped.
//
// Counted are, for P parameters of which T are trained,
//
//	weights and adapters  as their formats have them
//	gradients             T of the format Gradient
//	optimizer state       T · State bytes
//	activations           with Recompute the input of each layer, and all that one layer makes with what is alive
//	                      at once in its backward pass; else all that all layers make
//	workspace             the logits of all tokens in 16 bits and with their gradients in 32 (6 B each), and the
//	                      largest narrow weight in 16 bits, into which it is turned before it is multiplied
//
// Not counted: what an allocator loses between tensors, buffers of libraries, the context of the driver.
func PlaceTraining(m *arch.Machine, g *traces.Graph, t Training) (*Placement, error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	off := m.OffChip()
	pl := &Placement{Tiers: []PlacedTier{{Name: off.Name, Kind: off.Kind, Capacity: off.Capacity}}}
	var open []bool // to others than the optimizer
	for _, b := range m.Lower(1) {
		free := t.Offload != OffloadNone && (!b.Host || t.Offload == OffloadHost)
		if free || t.Paged {
			pl.lower = append(pl.lower, b)
			pl.Tiers = append(pl.Tiers, PlacedTier{Name: b.Name, Kind: b.Kind, Capacity: b.Capacity})
			open = append(open, free)
		}
	}
	held, moves, err := trained(g, t)
	if err != nil {
		return nil, err
	}
	if err := t.activations(m, g, &held); err != nil {
		return nil, err
	}
	room := make([]units.Bytes, len(pl.Tiers))
	for i := range room {
		room[i] = pl.Tiers[i].Capacity
	}
	fits := true
	put := func(it Item, lowest func(tier int) bool) {
		it.Below = make([]units.Bytes, len(pl.lower))
		rest := it.Each
		for i := range room {
			if i > 0 && !lowest(i) || rest == 0 {
				continue
			}
			part := min(rest, max(room[i], 0)/units.Bytes(it.Layers))
			if part < rest {
				part = part / sector * sector
			}
			if i > 0 {
				it.Below[i-1] = part
			}
			rest -= part
			room[i] -= part * units.Bytes(it.Layers)
		}
		if rest > 0 { // what has no room is counted where it should be
			fits = false
			room[0] -= rest * units.Bytes(it.Layers)
		}
		pl.Items = append(pl.Items, it)
	}
	nowhere := func(int) bool { return false }
	for _, it := range held {
		put(it, nowhere)
	}
	for _, it := range moves {
		put(it, func(tier int) bool { return open[tier-1] || t.Paged && it.Class == Optimizer })
	}
	for i := range pl.Tiers {
		for _, class := range []string{Weights, Experts, Adapters, Activations, Workspace, Gradients, Optimizer} {
			var n units.Bytes
			found := false
			for k := range pl.Items {
				it := &pl.Items[k]
				if it.Class != class {
					continue
				}
				part := it.Each - it.Lower()
				if i > 0 {
					part = it.Below[i-1]
				}
				found = found || i == 0 || part > 0
				n += part * units.Bytes(it.Layers)
			}
			if found {
				pl.Tiers[i].Holds = append(pl.Tiers[i].Holds, Need{class, n})
			}
		}
	}
	if fits {
		return pl, nil
	}
	return pl, t.unfit(m, pl)
}

// trained lists the weights of the graph, and the gradients and optimizer state of those that are trained.
func trained(g *traces.Graph, t Training) (held, moves []Item, err error) {
	var gradients, states []Item
	var wide units.Bytes // the largest narrow weight in 16 bits
	err = eachWeight(g, &Mapping{}, func(blk *traces.Block, op *traces.Op, w *traces.Tensor, each units.Bytes, layers int64) error {
		n := int64(1)
		for _, d := range w.Shape {
			var ok bool
			if n, ok = units.Mul(n, d); !ok {
				return fmt.Errorf("tensor %s: %w", w.Name, ErrTooLarge)
			}
		}
		class := Weights
		adapter := w.Adapter()
		switch {
		case adapter:
			class = Adapters
		case op.Kind == traces.MoE:
			class = Experts
		}
		held = append(held, Item{Class: class, Name: w.Name, Block: blk.Name, Layers: layers, Each: each, pin: -1})
		if w.Type.Bits() < 16 {
			wide = max(wide, traces.BF16.Bytes(n))
		}
		if t.AdaptersOnly && !adapter {
			return nil
		}
		state, ok := units.Mul(n, t.State)
		if !ok || n > traces.MaxElements {
			return fmt.Errorf("tensor %s: %w", w.Name, ErrTooLarge)
		}
		gradients = append(gradients, Item{Class: Gradients, Name: w.Name, Block: blk.Name, Layers: layers, Each: t.Gradient.Bytes(n), pin: -1})
		states = append(states, Item{Class: Optimizer, Name: w.Name, Block: blk.Name, Layers: layers, Each: units.Bytes(state), pin: -1})
		return nil
	})
	if wide > 0 {
		held = append(held, Item{Class: Workspace, Name: "a weight in 16 bits", Layers: 1, Each: wide, pin: -1})
	}
	return held, append(gradients, states...), err // the first has the room first
}

// activations adds what a forward pass leaves for the backward pass.
func (t *Training) activations(m *arch.Machine, g *traces.Graph, held *[]Item) error {
	profile, err := m.Profile(t.Profile)
	if err != nil {
		return &Invalid{"runtime", err.Error(), ""}
	}
	fused := func(*traces.Op) bool { return profile.Fuses("flash-attention") }
	var live units.Bytes // of the layer whose backward pass runs
	for i := range g.Runs {
		run := &g.Runs[i]
		blk := &g.Blocks[run.Block]
		var made int64
		for k := range blk.Tensors {
			if blk.Tensors[k].Role != traces.Activation {
				continue
			}
			n, ok := blk.Tensors[k].Bytes()
			if ok {
				made, ok = units.Add(made, int64(n))
			}
			if !ok {
				return fmt.Errorf("activations of %s: %w", blk.Name, ErrTooLarge)
			}
		}
		at, err := peakActivations(blk, &Mapping{}, run.Past, fused)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(blk.Ops, func(op traces.Op) bool { return op.Kind == traces.Attention }) {
			live = max(live, at) // embedding and head keep nothing
			continue
		}
		if !t.Recompute {
			*held = append(*held, Item{Class: Activations, Name: "all of " + blk.Name, Block: blk.Name, Layers: run.Times, Each: units.Bytes(made), pin: -1})
			live = max(live, at)
			continue
		}
		in, err := handsOn(blk) // a layer gives as much as it takes
		if err != nil {
			return err
		}
		*held = append(*held, Item{Class: Activations, Name: "input of " + blk.Name, Block: blk.Name, Layers: run.Times, Each: in, pin: -1})
		sum, ok := units.Add(made, int64(at))
		if !ok {
			return fmt.Errorf("activations of %s: %w", blk.Name, ErrTooLarge)
		}
		live = max(live, units.Bytes(sum))
	}
	*held = append(*held, Item{Class: Activations, Name: "of the layer that runs", Layers: 1, Each: live, pin: -1})
	logits, err := logits(g)
	if logits > 0 {
		*held = append(*held, Item{Class: Workspace, Name: "logits", Layers: 1, Each: logits, pin: -1})
	}
	return err
}

// logits is what the results of the head take for all tokens, in 16 bits and with their gradients in 32.
func logits(g *traces.Graph) (units.Bytes, error) {
	for i := range g.Blocks {
		for j := range g.Blocks[i].Ops {
			op := &g.Blocks[i].Ops[j]
			if op.Kind != traces.Gemm || op.Split != traces.Vocab {
				continue
			}
			n, ok := mul(max(g.Batch, 1), g.Prompt, op.N, 2+4)
			if !ok {
				return 0, fmt.Errorf("logits: %w", ErrTooLarge)
			}
			return units.Bytes(n), nil
		}
	}
	return 0, nil
}

// unfit is the error of a training that has no room.
func (t *Training) unfit(m *arch.Machine, pl *Placement) error {
	e := &DoesNotFit{Machine: m.Name, Tier: pl.Tiers[0].Name, Capacity: pl.Tiers[0].Capacity}
	for _, b := range pl.lower {
		e.Lower = append(e.Lower, Need{b.Name, b.Capacity})
	}
	by := map[string]units.Bytes{}
	for i := range pl.Items {
		by[pl.Items[i].Class] += pl.Items[i].Total()
	}
	for _, class := range []string{Weights, Experts, Adapters, Activations, Workspace, Gradients, Optimizer} {
		if by[class] > 0 {
			e.Needs = append(e.Needs, Need{class, by[class]})
		}
	}
	weights := by[Weights] + by[Experts]
	switch {
	case by[Gradients]+by[Optimizer] > weights:
		e.Hint = "adapters in place of all weights would shrink gradients and optimizer state"
	case by[Activations]+by[Workspace] > weights:
		e.Hint = "a smaller --batch or a shorter --prompt would shrink the activations"
		if !t.Recompute {
			e.Hint = "computing layers again for the backward pass would shrink the activations"
		}
	default:
		e.Hint = "a narrower format would shrink the weights"
	}
	if t.Offload != OffloadHost && m.System.Host != nil {
		e.Hint += "; the host's memory would take gradients and optimizer state"
	}
	return e
}
