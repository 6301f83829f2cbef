package report

import (
	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

func showSize(v any) string  { return Size(v.(int64)) }
func showRate(v any) string  { return Rate(v.(float64)) }
func showCount(v any) string { return Count(v.(int64)) }

// Machines is a table of machines: chips of the node, memory of a chip with its bandwidth, peak rate, and what a chip has below
// that memory.
func Machines(machines ...*arch.Machine) *Table {
	t := &Table{Columns: []Column{{Title: "name", Name: "name"}, {Title: "chips", Name: "chips", Right: true}, {Title: "memory", Name: "memory_bytes", Right: true, Show: showSize},
		{Title: "bandwidth", Name: "bandwidth_bytes_per_second", Right: true, Show: showRate},
		{Title: "bf16 peak", Name: "bf16_ops_per_second", Right: true, Show: func(v any) string { return Flops(v.(float64)) }},
		{Title: "description", Name: "description", Max: 44}, {Title: "below memory", Name: "below_bytes", Right: true, Show: showSize}}}
	for _, m := range machines {
		row := []any{m.Name, m.System.Chips, nil, nil, nil, m.Description, nil}
		if below := m.Below(1); below != nil {
			row[6] = int64(below.Capacity)
		}
		if off := m.OffChip(); off != nil {
			row[2], row[3] = int64(off.Capacity), float64(off.Peak(m.Chip.Clock))
		}
		if peak := PeakOps(m, traces.BF16); peak > 0 {
			row[4] = peak
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// MachinePresets is the table of all presets.
func MachinePresets() (*Table, error) {
	var all []*arch.Machine
	for _, name := range presets.Names() {
		m, err := presets.Machine(name)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return Machines(all...), nil
}

// Models is a table of models: size, cache of a token, shape and kind.
func Models(models ...*llm.Model) *Table {
	t := &Table{Columns: []Column{{Title: "name", Name: "name"}, {Title: "parameters", Name: "parameters", Right: true, Show: showCount},
		{Title: "bf16 weights", Name: "bf16_weight_bytes", Right: true, Show: showSize}, {Title: "cache/token", Name: "bf16_kv_bytes_per_token", Right: true, Show: showSize},
		{Title: "layers", Name: "layers", Right: true}, {Title: "hidden", Name: "hidden", Right: true}, {Title: "heads", Name: "heads", Right: true},
		{Title: "kv heads", Name: "kv_heads", Right: true}, {Title: "context", Name: "max_seq", Right: true},
		{Title: "active", Name: "active_parameters", Right: true, Show: showCount}, {Title: "kind", Name: "kind"}, {Title: "attention", Name: "attention"}}}
	for _, m := range models {
		t.Rows = append(t.Rows, []any{m.Name, m.Parameters(), int64(traces.BF16.Bytes(m.Parameters())), int64(m.KVBytesPerToken(traces.BF16)), m.Layers, m.Hidden, m.Heads, m.KVHeads, m.MaxSeq,
			m.ActiveParameters(), m.Sort(), m.AttentionSort()})
	}
	return t
}

// ModelPresets is the table of all presets.
func ModelPresets() (*Table, error) {
	var all []*llm.Model
	for _, name := range llm.Presets() {
		m, err := llm.Preset(name)
		if err != nil {
			return nil, err
		}
		all = append(all, &m)
	}
	return Models(all...), nil
}
