package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
)

// Placement says what lives in which memory of one chip while the program runs.
func Placement(w io.Writer, m *arch.Machine, p *plan.Program, held plan.Memory, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.bold("placement, on each chip"))
	off := m.OffChip()
	for i := range m.Chip.Memory {
		t := &m.Chip.Memory[i]
		switch {
		case t == off:
			total := held.Weights + held.KV + held.Activations
			fmt.Fprintf(&b, "  %-8s %s of %s\n", t.Name, Size(int64(total)), t.Capacity)
			for _, part := range []struct {
				what  string
				bytes int64
			}{{"weights", int64(held.Weights)}, {"key/value cache", int64(held.KV)}, {"activations", int64(held.Activations)}} {
				share := float64(part.bytes) / float64(t.Capacity)
				fmt.Fprintf(&b, "           %-16s %12s  %6s  %s\n", part.what, Size(part.bytes), Percent(share), Bar(share, 40))
			}
		case t.Private():
			fmt.Fprintf(&b, "  %-8s up to %s of %s in each core: operand buffers\n", t.Name, Size(int64(p.BufferPeak())), t.Capacity)
		case t.Kind == "sram":
			fmt.Fprintf(&b, "  %-8s %s, shared by all cores: what passes through\n", t.Name, t.Capacity)
		default:
			fmt.Fprintf(&b, "  %-8s %s, empty: the plan places nothing there\n", t.Name, t.Capacity)
		}
	}
	b.WriteString("\n")
	return s.write(w, b.String())
}
