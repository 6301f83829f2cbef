package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/traces"
)

// Placement says what lives in which memory of one chip while the program runs, and, where something lives below
// the fastest memory, what of each tensor lives where.
func Placement(w io.Writer, m *arch.Machine, p *plan.Program, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.bold("placement, on each chip"))
	off := func(t *plan.PlacedTier) {
		fmt.Fprintf(&b, "  %-8s %s of %s\n", t.Name, Size(int64(t.Peak())), t.Capacity)
		for _, part := range t.Holds {
			share := float64(part.Bytes) / float64(t.Capacity)
			fmt.Fprintf(&b, "           %-16s %12s  %6s  %s\n", ClassName(part.What), Size(int64(part.Bytes)), Percent(share), Bar(share, 40))
		}
	}
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		switch {
		case t.Private():
			fmt.Fprintf(&b, "  %-8s up to %s of %s in each core: operand buffers\n", t.Name, Size(int64(p.BufferPeak())), t.Capacity)
		case t.Kind == "sram":
			fmt.Fprintf(&b, "  %-8s %s, shared by all cores: what passes through\n", t.Name, t.Capacity)
		default:
			placed := p.Placement.Tier(t.Name)
			if placed == nil || placed.Peak() == 0 {
				fmt.Fprintf(&b, "  %-8s %s, empty: everything has room in %s\n", t.Name, t.Capacity, p.Placement.Tiers[0].Name)
				continue
			}
			off(placed)
		}
	}
	if h := m.System.Host; h != nil {
		if placed := p.Placement.Tier(h.Memory.Name); placed != nil && placed.Peak() > 0 {
			off(placed)
		}
	}
	placementItems(&b, p.Placement, s)
	b.WriteString("\n")
	return s.write(w, b.String())
}

// Parts says what the program of the parts of a step of training is.
func Parts(w io.Writer, g *traces.Graph, s Style) error {
	var names []string
	for i := range g.Runs {
		names = append(names, g.Blocks[g.Runs[i].Block].Name)
	}
	return s.write(w, wrap("", "parts of a step of training on one chip of its tensor group, each once: "+strings.Join(names, ", ")+". How often each runs, on which stage, and what chips hold strata run tells.")+"\n")
}

// placementItems is a table of what lives where, tensor by tensor.
func placementItems(b *strings.Builder, pl *plan.Placement, s Style) {
	if !pl.Streams() {
		return
	}
	t := Table{Columns: []Column{{Title: "tensor", Max: 32}, {Title: "class"}, {Title: "layers", Right: true}, {Title: "of each", Right: true}}}
	for _, tier := range pl.Tiers {
		t.Columns = append(t.Columns, Column{Title: "in " + tier.Name, Right: true})
	}
	for i := range pl.Items {
		it := &pl.Items[i]
		row := []any{it.Name, ClassName(it.Class), it.Layers, Size(int64(it.Each)), Size(int64(it.Each - it.Lower()))}
		for _, n := range it.Below {
			row = append(row, Size(int64(n)))
		}
		t.Rows = append(t.Rows, row)
	}
	fmt.Fprintf(b, "  what of each layer lives where; fetched %s\n", ahead(pl.Prefetch))
	for _, line := range t.lines() {
		fmt.Fprintf(b, "    %s\n", line)
	}
}

func ahead(layers int64) string {
	switch layers {
	case 0:
		return "when its turn has come"
	case 1:
		return "one layer ahead"
	}
	return fmt.Sprintf("%d layers ahead", layers)
}

// ClassName is what a class of tensors is called in reports.
func ClassName(class string) string {
	if class == plan.KVCache {
		return "key/value cache"
	}
	return class
}
