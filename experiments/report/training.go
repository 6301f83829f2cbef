package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/stratasim/strata/arch/plan"
)

// TrainingMemory says what lives in which memory of one chip that trains a model: by tier and class, then tensor by
// tensor.
func TrainingMemory(w io.Writer, title string, pl *plan.Placement, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.bold(title))
	for i := range pl.Tiers {
		t := &pl.Tiers[i]
		fmt.Fprintf(&b, "  %-8s %s of %s, %s GB\n", t.Name, Size(int64(t.Peak())), t.Capacity, count(float64(t.Peak())/1e9))
		for _, part := range t.Holds {
			share := float64(part.Bytes) / float64(t.Capacity)
			fmt.Fprintf(&b, "           %-16s %12s  %6s  %s\n", ClassName(part.What), Size(int64(part.Bytes)), Percent(share), Bar(share, 40))
		}
	}
	t := Table{Columns: []Column{{Title: "class"}, {Title: "tensor", Max: 32}, {Title: "layers", Right: true}, {Title: "of each", Right: true}, {Title: "in all", Right: true}}}
	for _, tier := range pl.Tiers[1:] {
		t.Columns = append(t.Columns, Column{Title: "in " + tier.Name, Right: true})
	}
	for i := range pl.Items {
		it := &pl.Items[i]
		row := []any{ClassName(it.Class), it.Name, it.Layers, Size(int64(it.Each)), Size(int64(it.Total()))}
		for _, n := range it.Below {
			row = append(row, Size(int64(n)*it.Layers))
		}
		t.Rows = append(t.Rows, row)
	}
	b.WriteString("\n")
	for _, line := range t.lines() {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return s.write(w, b.String())
}

// TrainingItems is the table of what lives where, for programs.
func TrainingItems(pl *plan.Placement) *Table {
	t := &Table{Columns: []Column{{Name: "class"}, {Name: "tensor"}, {Name: "layers"}, {Name: "bytes_each"}, {Name: "bytes"}}}
	for _, tier := range pl.Tiers {
		t.Columns = append(t.Columns, Column{Name: "bytes_in_" + tier.Name})
	}
	for i := range pl.Items {
		it := &pl.Items[i]
		row := []any{it.Class, it.Name, it.Layers, int64(it.Each), int64(it.Total()), int64(it.Each-it.Lower()) * it.Layers}
		for _, n := range it.Below {
			row = append(row, int64(n)*it.Layers)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
