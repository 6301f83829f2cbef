package plan_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// drawIntermediates lets tensors wait on chip in the profiles of a machine.
func drawIntermediates(t *rapid.T, m *arch.Machine) {
	if m.SharedSRAM() == nil || !rapid.Bool().Draw(t, "intermediates") {
		return
	}
	room := rapid.SampledFrom([]float64{0.01, 0.3, 0.9}).Draw(t, "room")
	m.Runtime.Profiles = slices.Clone(m.Runtime.Profiles)
	for i := range m.Runtime.Profiles {
		m.Runtime.Profiles[i].Intermediates = &arch.Intermediates{Room: room}
	}
}

// By hand: of a layer of llama2-7b with 512 tokens in bf16 eight tensors wait in CMEM. Norms and sums are 4 MiB, what
// gate, up and activation make 10.75 MiB: 52.25 MiB that are not written to HBM and, as each is read once there but the sum
// twice, the norm of it in registers, as many that are not read. Attention in three kernels leaves its operands off chip.
func TestIntermediatesByHand(t *testing.T) {
	m := preset(t, "tpu-v4")
	g := model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 512, DType: traces.BF16})
	build := func(in *arch.Intermediates) *plan.Program {
		m.Runtime.Profiles[0].Intermediates = in
		p, err := plan.Build(m, g, plan.Mapping{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	without, with := counts(build(nil)), build(&arch.Intermediates{Room: 0.5})
	const layer = 52*(1<<20) + 1<<18 // 52.25 MiB
	head := int64(8192)              // the norm of the last token
	n := counts(with)
	for _, name := range []string{"hbm.read", "hbm.write"} {
		// Reads of a reduction that stages do not divide are rounded up.
		if saved, want := without[name]-n[name], 32*layer+head; saved < want || saved > want+want/500 || name == "hbm.write" && saved != want {
			t.Errorf("%s: %d B less, want %d", name, saved, want)
		}
	}
	var names []string
	for _, s := range with.Staying {
		names = append(names, s.Block+": "+strings.Join(s.Tensors, " "))
		if s.Block == "layer" && s.Peak != units.Bytes(36*(1<<20)+1<<18) {
			t.Errorf("peak %d, want gate, up, activation and the sum: 36.25 MiB", s.Peak)
		}
	}
	if got, want := strings.Join(names, "\n"), "embedding: \nlayer: attn_norm.out attn_out x_attn ffn_norm.out inner gate up ffn_out\nhead: final_norm.out"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	// With room for one of the larger three it is one of these that goes off chip first, and nothing exceeds the room.
	tight := build(&arch.Intermediates{Room: 0.2})
	if c := counts(tight)["hbm.write"]; c <= n["hbm.write"] || c >= without["hbm.write"] {
		t.Errorf("with less room %d B are written, with more %d, with none %d", c, n["hbm.write"], without["hbm.write"])
	}
}

// What waits has room at each operator of its life, as a sum over the graph shows.
func TestIntermediatesFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, g := machine(t), graph(t)
		mp := mapping(t, m)
		mp.TP = 1
		if m.SharedSRAM() == nil {
			t.Skip("nothing on chip is shared")
		}
		profiles := slices.Clone(m.Runtime.Profiles)
		room := rapid.Float64Range(0.001, 1).Draw(t, "share")
		set := func(in *arch.Intermediates) {
			m.Runtime.Profiles = slices.Clone(profiles)
			for i := range profiles {
				m.Runtime.Profiles[i].Intermediates = in
			}
		}
		set(&arch.Intermediates{Room: room})
		p := build(t, m, g, mp)
		for _, s := range p.Staying {
			if float64(s.Peak) > room*float64(m.SharedSRAM().Capacity) {
				t.Errorf("%s: %d B wait at once, there is room for %g of %d", s.Block, s.Peak, room, m.SharedSRAM().Capacity)
			}
			run := slices.IndexFunc(g.Runs, func(r traces.Run) bool { return g.Blocks[r.Block].Name == s.Block && r.Phase.String() == s.Phase })
			blk := &g.Blocks[g.Runs[run].Block]
			alive := make([]units.Bytes, len(blk.Ops))
			for _, name := range s.Tensors {
				id := traces.TensorID(slices.IndexFunc(blk.Tensors, func(x traces.Tensor) bool { return x.Name == name }))
				first, last := -1, -1
				for j, op := range blk.Ops {
					if slices.Contains(op.Outputs, id) || slices.Contains(op.Inputs, id) {
						if last = j; first < 0 {
							first = j
						}
					}
				}
				if !slices.Contains(blk.Ops[first].Outputs, id) {
					t.Errorf("%s of %s waits and is not made there", name, s.Block)
				}
				size, _ := blk.Tensors[id].Bytes()
				for j := first; j <= last; j++ {
					alive[j] += size
				}
			}
			if most := slices.Max(alive); most != s.Peak {
				t.Errorf("%s: %d B wait at once, said are %d", s.Block, most, s.Peak)
			}
		}
	})
}
