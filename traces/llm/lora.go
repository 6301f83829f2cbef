package llm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// LoRA says which low-rank adapters are used beside the weights of a model (Hu et al., ICLR 2022): an
// adapted projection x·W becomes x·W + (x·A)·B with A of k×rank and B of rank×n elements.
type LoRA struct {
	// Rank is the width between A and B, the same for every projection.
	Rank int64 `json:"rank"`
	// Adapters is how many are loaded; the sequences of a batch are dealt out to them evenly, each
	// uses its own, and products of all adapters run as one grouped kernel (S-LoRA, MLSys 2024; Punica,
	// MLSys 2024). 0 stands for 1.
	Adapters int64 `json:"adapters,omitempty"`
	// Targets are the adapted projections, of q, k, v, o, gate, up and down; none stands for all.
	Targets []string `json:"targets,omitempty"`
	// DType is the format of A and B, bf16 if it is empty; BaseDType that of the weights of the model beside
	// them (QLoRA: nf4-dq), as --weight-dtype.
	DType     string `json:"dtype,omitempty"`
	BaseDType string `json:"base_dtype,omitempty"`
	// Merged says that the one adapter was added to the weights before: nothing is left of it.
	Merged bool `json:"merged,omitempty"`
}

// loraTargets are the projections that adapters go with, by the operator that they are a part of.
var loraTargets = []struct {
	op    string
	parts []string
}{{"qkv", []string{"q", "k", "v"}}, {"out", []string{"o"}}, {"gate_up", []string{"gate", "up"}}, {"up", []string{"up"}}, {"down", []string{"down"}}}

// LoRATargets lists what Targets may name.
func LoRATargets() []string { return []string{"q", "k", "v", "o", "gate", "up", "down"} }

var loraGroups = map[string][]string{"all": LoRATargets(), "attention": {"q", "k", "v", "o"}, "mlp": {"gate", "up", "down"}}

// ParseLoRA reads adapters as a flag has them: rank=16,adapters=8,targets=q,v,dtype=bf16,merged.
func ParseLoRA(s string) (*LoRA, error) {
	l := &LoRA{}
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, &Invalid{"lora", fmt.Sprintf(format, args...), loraHint})
	}
	seen := map[string]bool{}
	key := ""
	for word := range strings.SplitSeq(s, ",") {
		word = strings.TrimSpace(word)
		value := word
		if k, v, ok := strings.Cut(word, "="); ok {
			key, value = strings.TrimSpace(k), strings.TrimSpace(v)
			if seen[key] {
				bad("%s is given twice", shorten(key))
			}
			seen[key] = true
		} else if word == "merged" {
			l.Merged = true
			continue
		} else if key != "targets" {
			bad("%q is not key=value", shorten(word))
			continue
		}
		switch key {
		case "rank", "adapters":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 1 {
				bad("%s %q: must be a whole number of at least 1", key, shorten(value))
				n = 1
			}
			if key == "rank" {
				l.Rank = n
			} else {
				l.Adapters = n
			}
		case "targets":
			l.Targets = append(l.Targets, value)
		case "dtype":
			l.DType = value
		case "base_dtype":
			l.BaseDType = value
		case "merged":
			if l.Merged = value == "true"; !l.Merged && value != "false" {
				bad("merged %q: must be true or false", shorten(value))
			}
		default:
			bad("%q is unknown", shorten(key))
		}
	}
	if !seen["rank"] {
		bad("rank is missing")
	}
	if err := l.Normalize(); err != nil {
		errs = append(errs, err)
	}
	return l, errors.Join(errs...)
}

const loraHint = "rank=N[,adapters=N][,targets=all|attention|mlp|q,k,v,o,gate,up,down][,dtype=TYPE][,base_dtype=TYPE][,merged]"

// Normalize replaces names of groups of targets by what they stand for, puts the targets in order, and
// checks the rest. Equal adapters are equal afterwards.
func (l *LoRA) Normalize() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, &Invalid{"lora", fmt.Sprintf(format, args...), loraHint})
	}
	if l.Rank < 0 || l.Rank > 1<<16 {
		bad("rank %d: must be from 1 to %d", l.Rank, 1<<16)
	}
	if l.Adapters < 0 || l.Adapters > 1<<20 {
		bad("%d adapters: must be from 1 to %d", l.Adapters, 1<<20)
	}
	l.Adapters = max(l.Adapters, 1)
	if l.Merged && l.Adapters > 1 {
		bad("%d adapters cannot all be merged into the weights", l.Adapters)
	}
	named := l.Targets
	if len(named) == 0 {
		named = []string{"all"}
	}
	wanted := map[string]bool{}
	for _, t := range named {
		members := loraGroups[t]
		if slices.Contains(LoRATargets(), t) {
			members = []string{t}
		}
		if members == nil {
			bad("target %q is unknown", shorten(t))
		}
		for _, m := range members {
			wanted[m] = true
		}
	}
	l.Targets = slices.DeleteFunc(LoRATargets(), func(t string) bool { return !wanted[t] })
	if l.DType == "" {
		l.DType = traces.BF16.String()
	}
	for _, d := range []*string{&l.DType, &l.BaseDType} {
		if *d == "" {
			continue
		}
		t, err := traces.ParseDType(*d)
		if err != nil {
			bad("%v", err)
			continue
		}
		*d = t.String()
	}
	return errors.Join(errs...)
}

// check reports what does not go with the model.
func (l *LoRA) check(m *Model) (errs []error) {
	if l.Rank < 1 {
		errs = append(errs, &Invalid{"lora", "rank is missing", loraHint})
	}
	mlp := slices.ContainsFunc(loraGroups["mlp"], func(t string) bool { return slices.Contains(l.Targets, t) })
	switch {
	case m.MLA != nil || m.Kind != Decoder:
		errs = append(errs, &Invalid{"lora", fmt.Sprintf("adapters of %s are not supported", shorten(m.Name)), "of decoders without latent attention they are"})
		return errs
	case m.MoE != nil && mlp:
		errs = append(errs, &Invalid{"lora", fmt.Sprintf("adapters on the experts of %s are not supported", shorten(m.Name)), "targets=attention"})
		return errs
	}
	if m.LoRAParameters(l) == 0 {
		errs = append(errs, &Invalid{"lora", fmt.Sprintf("%s has none of the projections %s", shorten(m.Name), strings.Join(l.Targets, ", ")), ""})
	}
	return errs
}

// String is what ParseLoRA reads.
func (l *LoRA) String() string {
	s := fmt.Sprintf("rank=%d,adapters=%d,targets=%s,dtype=%s", l.Rank, l.Adapters, strings.Join(l.Targets, ","), l.DType)
	if l.BaseDType != "" {
		s += ",base_dtype=" + l.BaseDType
	}
	if l.Merged {
		s += ",merged"
	}
	return s
}

// adapted returns which parts of a projection have adapters, as columns of each.
func (l *LoRA) adapted(op string, parts []int64) (columns []int64) {
	if l == nil || l.Merged {
		return nil
	}
	for _, t := range loraTargets {
		if t.op != op || len(t.parts) != len(parts) {
			continue
		}
		for i, name := range t.parts {
			if slices.Contains(l.Targets, name) {
				columns = append(columns, parts[i])
			}
		}
	}
	return columns
}

// adapt adds the two thin products of a projection's adapters, before the projection, which adds its own
// result to theirs; it returns how many columns they have written. Each of the adapters that the batch uses
// has its own weights and its share of the rows. A chip that has a part of the columns has all of A and its
// part of B; one that has a part of the reduction has that of A, all of B, and a sum that the
// projection's own all-reduce completes.
func (b *block) adapt(name string, split traces.Split, rows, k int64, in traces.TensorID, out []traces.TensorID, parts []int64) int64 {
	l := b.w.LoRA
	columns := l.adapted(name, parts)
	if len(columns) == 0 {
		return 0
	}
	d, _ := traces.ParseDType(l.DType) // it was checked
	groups := min(l.Adapters, b.sequences)
	each := units.CeilDiv(rows, groups)
	first, second := traces.Whole, traces.Column
	if split == traces.Row {
		first, second = traces.Sharded, traces.Whole
	}
	var n int64
	ranks := b.sizes(make([]int64, len(columns))...)
	for i, c := range columns {
		ranks[i] = l.Rank
		n += c
	}
	all := l.Rank * int64(len(columns))
	a := b.tensor(name+traces.AdapterMark+"a.weight", traces.Weight, d, l.Adapters, k, all)
	thin := b.activation(name+".lora", rows, all)
	b.op(traces.Op{Name: name + traces.AdapterMark + "a", Kind: traces.Gemm, Split: first, WeightDType: d, Batch: groups, M: each, N: all, K: k, Parts: several(ranks)}, b.ids(in, a), b.ids(thin))
	w := b.tensor(name+traces.AdapterMark+"b.weight", traces.Weight, d, l.Adapters, l.Rank, n)
	b.op(traces.Op{Name: name + traces.AdapterMark + "b", Kind: traces.Gemm, Split: second, WeightDType: d, Batch: groups, M: each, N: n, K: l.Rank, Parts: several(b.sizes(columns...))}, b.ids(thin, w), out)
	return n
}

// several returns parts if there are more than one.
func several(parts []int64) []int64 {
	if len(parts) < 2 {
		return nil
	}
	return parts
}

// LoRAParameters counts the parameters of one adapter.
func (m Model) LoRAParameters(l *LoRA) int64 {
	q, kv := m.Heads*m.HeadDim, m.KVHeads*m.HeadDim
	var n int64
	for _, t := range l.Targets {
		switch t {
		case "q":
			n += l.Rank * (m.Hidden + q)
		case "k", "v":
			n += l.Rank * (m.Hidden + kv)
		case "o":
			n += l.Rank * (q + m.Hidden)
		case "gate":
			if m.Gated {
				n += l.Rank * (m.Hidden + m.FFN)
			}
		case "up", "down":
			n += l.Rank * (m.Hidden + m.FFN)
		}
	}
	return m.Layers * n
}
