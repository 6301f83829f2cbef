package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stratasim/strata/experiments"
)

// Mappings is the table of the best mappings of a search; degrees that none of them has are left out of the text.
func Mappings(found *experiments.Mappings) *Table {
	some := func(f func(*experiments.Mapped) bool) bool {
		return slices.ContainsFunc(found.Best, func(m experiments.Mapped) bool { return f(&m) })
	}
	title := func(text string, shown bool) string {
		if shown {
			return text
		}
		return ""
	}
	chips := len(found.Best) > 0 && some(func(m *experiments.Mapped) bool { return m.Chips != found.Best[0].Chips })
	schedules := some(func(m *experiments.Mapped) bool { return m.Schedule != "1f1b" && m.Schedule != "interleaved" })
	size := func(v any) string { return Size(v.(int64)) }
	seconds := func(v any) string { return Seconds(v.(float64)) }
	percent := func(v any) string { return Percent(v.(float64)) }
	t := &Table{Columns: []Column{
		{Title: "step", Name: "seconds", Right: true, Show: seconds},
		{Title: "MFU", Name: "mfu", Right: true, Show: percent},
		{Title: "tok/s chip", Name: "tokens_per_second_per_chip", Right: true, Show: func(v any) string { return digits(v.(float64)) }},
		{Title: title("J/token", found.Objective == experiments.ByJoules), Name: "joules_per_token", Right: true, Show: func(v any) string { return Energy(v.(float64)) }},
		{Name: "joules"},
		{Title: "bubble", Name: "bubble_share", Right: true, Show: percent},
		{Title: title("memory", some(func(m *experiments.Mapped) bool { return m.Memory > 0 })), Name: "memory_bytes", Right: true, Show: size},
		{Title: title("chips", chips), Name: "chips", Right: true},
		{Title: "tp", Name: "tp", Right: true},
		{Title: title("cp", some(func(m *experiments.Mapped) bool { return m.Degrees.CP > 1 })), Name: "cp", Right: true},
		{Title: title("ep", some(func(m *experiments.Mapped) bool { return m.Degrees.EP > 1 })), Name: "ep", Right: true},
		{Title: "pp", Name: "pp", Right: true},
		{Title: "dp", Name: "dp", Right: true},
		{Title: "micro", Name: "micro_batch", Right: true},
		{Title: title("chunks", some(func(m *experiments.Mapped) bool { return m.Degrees.Interleave > 1 })), Name: "interleave", Right: true},
		{Title: title("schedule", schedules), Name: "schedule"},
		{Title: "recompute", Name: "recompute"},
		{Title: "zero", Name: "zero", Right: true},
		{Title: "sp", Name: "sp", Show: func(v any) string {
			if v == true {
				return "on"
			}
			return "off"
		}},
	}}
	for i := range found.Best {
		m := &found.Best[i]
		d := m.Degrees.Or1()
		share := 0.0
		if m.Seconds > 0 {
			share = m.BubbleSeconds / m.Seconds
		}
		t.Rows = append(t.Rows, []any{m.Seconds, m.MFU, m.TokensPerSecondPerChip, m.JoulesPerToken, m.Joules, share, int64(m.Memory), m.Chips, d.TP, d.CP, d.EP, d.PP, d.DP, m.MicroBatch, d.Interleave,
			string(m.Schedule), string(m.Recompute), m.ZeRO, d.SP})
	}
	return t
}

// Fallen says what became of all mappings of a search.
func Fallen(found *experiments.Mappings) string {
	if found.Legal == 0 {
		return "no mapping is legal: degrees divide the chips, stages the layers, tensor groups the heads, and data-parallel ranks the batch"
	}
	known := found.Least != nil
	text := fmt.Sprintf("%s legal mappings: ", Count(int64(found.Legal)))
	var parts []string
	if !known {
		parts = append(parts, fmt.Sprintf("%s were timed; whether they fit into memory is not known", Count(int64(found.Fit))))
	} else {
		parts = append(parts, fmt.Sprintf("%s fit into %s and were timed", Count(int64(found.Fit)), Size(int64(found.Limit))))
	}
	if found.Pruned > 0 {
		parts = append(parts, fmt.Sprintf("%s recompute more than one of these and are otherwise the same", Count(int64(found.Pruned))))
	}
	if found.Unfit > 0 {
		parts = append(parts, fmt.Sprintf("%s do not fit", Count(int64(found.Unfit))))
	}
	for _, r := range found.Refused {
		parts = append(parts, fmt.Sprintf("%d cannot be: %s", r.Mappings, r.Reason))
	}
	return text + strings.Join(parts, "; ") + fmt.Sprintf(". What a chip runs was timed %s.", times(found.Parts))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
