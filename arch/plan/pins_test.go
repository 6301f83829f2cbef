package plan_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/analytic"
	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
	"github.com/stratasim/strata/traces/llm"
)

// product is a graph of one product, B a weight.
func product(name string, m, n, k int64) *traces.Graph {
	return &traces.Graph{Name: name, Phase: "prefill", DType: traces.FP16, Runs: []traces.Run{{Phase: traces.Prefill, Times: 1}},
		Blocks: []traces.Block{{Name: name, Tensors: []traces.Tensor{
			{Name: "a", Shape: []int64{m, k}, Type: traces.FP16, Role: traces.Activation},
			{Name: "b", Shape: []int64{k, n}, Type: traces.FP16, Role: traces.Weight},
			{Name: "c", Shape: []int64{m, n}, Type: traces.FP16, Role: traces.Activation},
		}, Ops: []traces.Op{{Name: name, Kind: traces.Gemm, DType: traces.FP16, WeightDType: traces.FP16, KVDType: traces.FP16,
			Batch: 1, M: m, N: n, K: k, Inputs: []traces.TensorID{0, 1}, Outputs: []traces.TensorID{2}}}}}}
}

func pins(t tt, text string) *plan.Pins {
	p, err := plan.ReadPins("m.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func counters(p *plan.Program) map[string]int64 {
	m := map[string]int64{}
	for i, n := range p.Work() {
		m[p.Counters[i].Name] = n
	}
	return m
}

// tiny is an A100 with one core and a memory that reads single bytes.
func tiny(t testing.TB) *arch.Machine {
	m := preset(t, "a100-sxm-80gb")
	m.Chip.Cores.Count = 1
	m.OffChip().Sector = 1
	return m
}

// TestTrafficByHand: a product of 4×4×4 in tiles of 2×2 and stages of 2, on one core, whose bytes can be counted on paper.
// There are 2·2 tiles, one a wave, of 4/2 = 2 stages. A stage of a tile takes 2·2 elements of A and of B, 16 B in FP16;
// all of A are 32 B, so are B and C. A wave covers one tile, so that without anything kept each row of tiles reads B
// anew and each column A: twice each.
func TestTrafficByHand(t *testing.T) {
	const file = "kernels: [{pin: {tile: 2x2, depth: 2, split: %d, stages: %d, blocks: 1, keep: %s}}]"
	for _, c := range []struct {
		keep         string
		split, stage int64
		read         int64 // from off chip
	}{
		{"none", 1, 2, 2*32 + 2*32},
		{"a", 1, 2, 32 + 2*32}, // A's two rows stay while B's columns pass, once for each of the two rows of tiles
		{"b", 1, 2, 2*32 + 32},
		{"both", 1, 2, 32 + 32},
		{"none", 2, 2, 2*32 + 2*32}, // each half of the reduction reads its half of the operands twice
		{"both", 2, 1, 32 + 32},
	} {
		t.Run(fmt.Sprintf("keep %s split %d", c.keep, c.split), func(t *testing.T) {
			p, err := plan.Build(tiny(t), product("p", 4, 4, 4), plan.Mapping{Pins: pins(t, fmt.Sprintf(file, c.split, c.stage, c.keep))})
			if err != nil {
				t.Fatal(err)
			}
			got := counters(p)
			// Every stage of every tile goes through L2 and shared memory: 4 tiles · 2 stages · 16 B, with a split
			// of two 8 tiles of one stage.
			const operands = 128
			want := map[string]int64{"hbm.read": c.read, "l2.write": c.read, "l2.read": operands, "smem.read": operands, "smem.write": operands,
				"hbm.write": 32}
			if c.split == 2 { // partial sums of 4·4·2 elements in FP32 go through L2 as well
				want["l2.write"] += 4 * 2 * 16
				want["l2.read"] += 4 * 2 * 16
			}
			for name, n := range want {
				if got[name] != n {
					t.Errorf("%s: %d, by hand %d", name, got[name], n)
				}
			}
			a, e := evaluate(t, p, true)
			if !a.Work.Equal(p.Work()) || !e.Work.Equal(p.Work()) {
				t.Errorf("work %v and %v, planned %v", a.Work, e.Work, p.Work())
			}
		})
	}
}

// TestPinTakesEffect: each member of a pin shows in the program.
func TestPinTakesEffect(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	attention := func(past, qlen int64) *traces.Graph {
		return &traces.Graph{Name: "attention", Phase: "decode", DType: traces.FP16, Runs: []traces.Run{{Phase: traces.Decode, Times: 1,
			Past: past}},
			Blocks: []traces.Block{{Name: "b", Tensors: []traces.Tensor{{Name: "q", Shape: []int64{1}, Type: traces.FP16}, {Name: "o",
				Shape: []int64{1}, Type: traces.FP16}},
				Ops: []traces.Op{{Name: "attention", Kind: traces.Attention, DType: traces.FP16, WeightDType: traces.FP16, KVDType: traces.FP16,
					Batch: 1, Heads: 32, KVHeads: 8, HeadDim: 128, QLen: qlen, Causal: true, Inputs: []traces.TensorID{0},
					Outputs: []traces.TensorID{1}}}}}}
	}
	big := product("p", 4096, 4096, 4096)
	for _, c := range []struct {
		name   string
		g      *traces.Graph
		pin    string
		shows  string
		absent string // "" for what shows without the pin
	}{
		{"tile", big, "tile: 64x128", "tiles 64x128", ""},
		{"depth", big, "tile: 128x128, depth: 32", "reduction × 128", ""},
		{"split", big, "split: 5", "add up 5 parts", ""},
		{"stages", big, "tile: 128x256, stages: 2", "buffer operands: 2 × 48.00 KiB", ""},
		{"one buffer", big, "tile: 128x256, stages: 1", "buffer operands: 1 × 48.00 KiB", ""},
		{"blocks", big, "tile: 64x64, blocks: 4", "waves of 432 tiles", ""},
		{"tiled in place of the vector units", product("p", 1, 4096, 4096), "kernel: tiled, tile: 16x64", "tiles 16x64", ""},
		{"keys of decode", attention(4096, 1), "tile: 4x64", "key tiles", ""},
		{"split of the cache", attention(4096, 1), "split: 7", "combine 7 parts", ""},
		{"cache left whole", attention(4096, 1), "split: 1", "key tiles × 33", ""},
		{"queries", attention(0, 2048), "tile: 32x128, blocks: 1", "key tiles", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			own, err := plan.Build(m, c.g, plan.Mapping{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := plan.Build(m, c.g, plan.Mapping{Pins: pins(t, "kernels: [{pin: {"+c.pin+"}}]")})
			if err != nil {
				t.Fatal(err)
			}
			before, after := explain(t, own), explain(t, p)
			if !strings.Contains(after, c.shows) {
				t.Errorf("%q does not show in\n%s", c.shows, after)
			}
			if before == after {
				t.Error("the program is the same without the pin")
			}
			if own.Work()[1] == 0 || !reflect.DeepEqual(matrixOps(own), matrixOps(p)) {
				t.Errorf("operations %v, without the pin %v", matrixOps(p), matrixOps(own))
			}
		})
	}
}

// matrixOps are the operations of products, which are the same however they are tiled.
func matrixOps(p *plan.Program) map[string]int64 {
	m := counters(p)
	for name := range m {
		if !strings.HasPrefix(name, "matrix.") || !strings.HasSuffix(name, ".ops") || strings.Contains(name, "attention") {
			delete(m, name)
		}
	}
	return m
}

// TestLaterPinsWin: member by member.
func TestLaterPinsWin(t *testing.T) {
	p, err := plan.Build(preset(t, "a100-sxm-80gb"), product("p", 4096, 4096, 4096), plan.Mapping{Pins: pins(t, `
kernels:
  - pin: {tile: 64x128, depth: 32}
  - match: {kind: "ge*"}
    pin: {tile: 128x64}
`)})
	if err != nil {
		t.Fatal(err)
	}
	text := explain(t, p)
	if !strings.Contains(text, "tiles 128x64") || !strings.Contains(text, "reduction × 128") {
		t.Errorf("the tile is not that of the second entry, or the depth not that of the first:\n%s", text)
	}
}

// TestFusionPins: each fusion can be taken apart, for all operators or one.
func TestFusionPins(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	g := model(t, "llama2-7b", llm.Workload{Phase: "generate", Batch: 2, Prompt: 64, Generate: 2, Layers: 2})
	launches := func(text string) int64 {
		mp := plan.Mapping{}
		if text != "" {
			mp.Pins = pins(t, text)
		}
		p, err := plan.Build(m, g, mp)
		if err != nil {
			t.Fatal(err)
		}
		return counters(p)["launches"]
	}
	own := launches("")
	const passes = 2 * 2 // layers, and prefill and a step of decode
	for _, c := range []struct {
		text string
		more int64 // launches
	}{
		{"fusion: [{fusion: norm-add, fuse: true}]", 0},
		{"fusion: [{fusion: norm-add, fuse: false}]", passes},
		{"fusion: [{fusion: norm-add, op: ffn_norm, fuse: false}]", passes},
		{"fusion: [{fusion: norm-add, phase: decode, fuse: false}]", passes / 2},
		{"fusion: [{fusion: parallel-gemm, fuse: false}]", 3 * passes}, // two more for q, k and v, one for gate and up
		{"fusion: [{fusion: parallel-gemm, op: qkv, fuse: false}]", 2 * passes},
		{"fusion: [{fusion: flash-attention, fuse: false}]", 2 * passes}, // product, softmax, product
		{"fusion: [{fusion: flash-attention, fuse: false}, {fusion: flash-attention, phase: prefill, fuse: true}]", passes},
	} {
		if got := launches(c.text); got != own+c.more {
			t.Errorf("%s: %d launches, want %d and %d more", c.text, got, own, c.more)
		}
	}
}

// TestUnfusedAttentionTakesMemory: the scores that fused attention never writes count.
func TestUnfusedAttentionTakesMemory(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	g := model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 4096})
	fused, err := plan.Footprint(m, g, plan.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	eager, err := plan.Footprint(m, g, plan.Mapping{Pins: pins(t, "fusion: [{fusion: flash-attention, fuse: false}]")})
	if err != nil {
		t.Fatal(err)
	}
	if scores := units.Bytes(2 * 32 * 4096 * 4096 * 2); eager.Activations < scores || fused.Activations >= scores {
		t.Errorf("activations %v fused, %v not; the scores are %v", fused.Activations, eager.Activations, scores)
	}
}

// TestPinsRefused: what cannot be is refused with line, field, reason and the nearest legal value.
func TestPinsRefused(t *testing.T) {
	gpu, tpu := preset(t, "a100-sxm-80gb"), preset(t, "tpu-v4")
	g := model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 512, Layers: 1})
	decode := model(t, "llama2-7b", llm.Workload{Phase: "decode", Batch: 4, Prompt: 512, Layers: 1})
	for _, c := range []struct {
		m    *arch.Machine
		g    *traces.Graph
		text string
		want string
	}{
		{gpu, g, "kernels:\n  - match: {op: qkv}\n    pin:\n      tile: 512x512",
			"m.yaml:4: kernels[0].pin.tile: 512x512 for qkv: it has 262144 elements, a core of a100-sxm-80gb has accumulators for 32768 (tile: 128x256)"},
		// 2 · (1024+32)·64·2 B
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {tile: 1024x32}}]",
			"2 buffers of operands take 264.00 KiB, smem of a core holds 164.00 KiB (tile: 512x32)"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {tile: 128x256, stages: 4}}]",
			"4 buffers of 48.00 KiB for a tile of 128x256 take 192.00 KiB, smem of a core holds 164.00 KiB (stages: 3)"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {tile: 128x128, blocks: 3}}]", "(blocks: 2)"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {tile: 128x128, depth: 512}}]",
			"kernels[0].pin.depth: 512 for qkv: 2 buffers of operands for a tile of 128x128 take 512.00 KiB"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {depth: 5000}}]", "the reduction has 4096 (depth: 4096)"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {split: 65}}]", "a reduction of 4096 has 64 stages of depth 64 to divide (split: 64)"},
		{gpu, product("p", 8192, 8192, 8192), "kernels: [{pin: {tile: 128x256, keep: both}}]", "kernels[0].pin.keep: both for p: it takes"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {kernel: vector}}]", "it has 512 rows, and only products of a single row"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {kernel: streamed}}]", "a product is not one"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {kernel: resident}}]", "copies no operands on chip whole (kernel: tiled)"},
		{tpu, g, "kernels: [{match: {op: qkv}, pin: {kernel: resident}}]", "only an operator by itself waits for its operands"},
		{tpu, product("p", 20000, 20000, 20000), "kernels: [{pin: {kernel: resident}}]", "its operands take 2.24 GiB, cmem holds 128.00 MiB"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {deal: m}}]", "a tiled product has no deal"},
		{gpu, g, "kernels: [{match: {op: qkv}, pin: {protocol: ring}}]", "a tiled product has no protocol"},
		{gpu, product("p", 8192, 8192, 8192), "kernels: [{pin: {blocks: 64, tile: 16x64}}]", "(blocks: "},
		{gpu, g, "kernels: [{match: {op: rope}, pin: {tile: 8x8}}]", "a row operator has no tile"},
		{gpu, g, "kernels: [{match: {op: rope}, pin: {kernel: tiled}}]", "that is how products are computed"},
		{gpu, g, "kernels: [{match: {op: rope}, pin: {kernel: resident}}]", "copies no operands on chip whole (kernel: streamed)"},
		{gpu, g, "kernels: [{match: {op: attention}, pin: {split: 2}}]", "only the cache that a single new token walks is divided (split: 1)"},
		{gpu, g, "kernels: [{match: {op: attention}, pin: {depth: 2}}]", "fused attention has no depth"},
		// (256 + 2·512)·128·2 B
		{gpu, g, "kernels: [{match: {op: attention}, pin: {tile: 256x512}}]",
			"queries, keys and values take 320.00 KiB, smem of a core holds 164.00 KiB (tile: 256x128)"},
		{gpu, g, "kernels: [{match: {op: attention}, pin: {blocks: 3}}]", "3 tiles take 240.00 KiB, smem of a core holds 164.00 KiB (blocks: 2)"},
		{gpu, decode, "kernels: [{match: {op: attention}, pin: {split: 9}}]", "513 cached keys are 5 tiles of 128 (split: 5)"},
		{gpu, decode, "kernels: [{match: {op: attention}, pin: {tile: 8x64}}]",
			"one new token is a tile of as many rows as query heads share keys, 1 here (tile: 1x64)"},
		{gpu, g, "kernels: [{match: {op: qvk}, pin: {split: 1}}]",
			`m.yaml:1: kernels[0].match.op: "qvk" matches nothing: no kernel has this op (did you mean "qkv"?)`},
		{gpu, g, "kernels: [{match: {op: qkv, phase: decode}, pin: {split: 1}}]",
			`kernels[0].match.phase: "decode" matches nothing: no kernel qkv has this phase (there are: prefill)`},
		{gpu, g, "kernels: [{match: {op: qkv, kind: attention}, pin: {split: 1}}]", `no kernel qkv has this kind`},
		{gpu, g, "kernels: [{match: {op: qkv, block: head}, pin: {split: 1}}]", `no kernel qkv has this block`},
		{gpu, g, "kernels: [{match: {op: qkv, n: 4096}, pin: {split: 1}}]",
			`kernels[0].match.n: "4096" matches nothing: no kernel qkv has this n (there are: 12288)`},
		{gpu, decode, "kernels: [{match: {op: attention, past: 100..200}, pin: {split: 1}}]",
			`"100..200" matches nothing: no kernel attention has this past (there are: 512)`},
		{gpu, g, "fusion: [{fusion: norm-add, op: qkv, fuse: false}]", "fusion[0]: matches no operators that norm-add could take"},
		{tpu, g, "fusion: [{fusion: flash-attention, fuse: true}]",
			"m.yaml:1: fusion[0].fuse: runtime xla cannot do flash-attention in one kernel (fuse: false, or another runtime; xla does norm-add, parallel-gemm)"},
		{gpu, g, "placement: [{role: weight, tier: l2}]", "placement[0].tier: l2 is on chip"},
		{gpu, g, "placement: [{tier: ddr}]", `a100-sxm-80gb has no tier "ddr" (there are: smem, l2, hbm, host)`},
		{gpu, g, "placement: [{tensor: nosuch, tier: hbm}]", `placement[0].tensor: "nosuch" matches no tensor`},
	} {
		mp := plan.Mapping{Pins: pins(t, c.text), Alone: len(c.g.Blocks) == 1 && c.g.Name == "p"}
		_, err := plan.Build(c.m, c.g, mp)
		var refused *spec.Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestEqualChoices: entries that give the same are told apart where one is refused, and a kernel that two of them match in
// two blocks is planned once.
func TestEqualChoices(t *testing.T) {
	m := preset(t, "a100-sxm-80gb")
	twice := product("p", 512, 512, 4096)
	twice.Blocks = append(twice.Blocks, product("p", 512, 512, 4096).Blocks[0])
	twice.Blocks[1].Name = "q"
	twice.Runs = append(twice.Runs, traces.Run{Block: 1, Phase: traces.Prefill, Times: 1})
	blocks := func(pin string) *plan.Pins {
		return pins(t, "kernels:\n  - {match: {block: p}, pin: {"+pin+"}}\n  - {match: {block: q}, pin: {"+pin+"}}")
	}
	for _, c := range []struct {
		g    *traces.Graph
		pins *plan.Pins
		want []string
	}{
		{model(t, "llama2-7b", llm.Workload{Phase: "prefill", Batch: 1, Prompt: 512, Layers: 1}), pins(t, `kernels:
  - {match: {op: qkv}, pin: {tile: 64x64, depth: 32}}
  - {match: {op: attention}, pin: {tile: 64x64, depth: 32}}
  - {match: {op: rope}, pin: {tile: 64x64, depth: 32}}
`), []string{"3 kernels[1].pin.depth", "4 kernels[2].pin.tile", "4 kernels[2].pin.depth"}},
		{twice, blocks("split: 65"), []string{"2 kernels[0].pin.split", "3 kernels[1].pin.split"}},
	} {
		_, err := plan.Build(m, c.g, plan.Mapping{Pins: c.pins})
		var refused *spec.Error
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		var got []string
		for _, p := range refused.Problems {
			got = append(got, fmt.Sprint(p.Line, " ", p.Path))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("refused are %q, want %q", got, c.want)
		}
	}
	_, d, err := plan.Decide(m, twice, plan.Mapping{Pins: blocks("split: 4")})
	if err != nil {
		t.Fatal(err)
	}
	if k := d.Kernels; len(k) != 1 || !slices.Equal(k[0].Blocks, []string{"p", "q"}) {
		t.Errorf("planned are %+v", k)
	}
}

// TestNearestLegalValues: what a refusal proposes is accepted.
func TestNearestLegalValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := machine(t)
		g := product("p", rapid.Int64Range(2, 5000).Draw(t, "m"), rapid.Int64Range(1, 5000).Draw(t, "n"), rapid.Int64Range(1, 5000).Draw(t, "k"))
		c := choice(t)
		mp := plan.Mapping{Profile: rapid.SampledFrom(m.Runtime.Profiles).Draw(t, "profile").Name}
		for range 12 {
			mp.Pins = &plan.Pins{Kernels: []plan.Pin{{Pin: c}}}
			_, err := plan.Build(m, g, mp)
			var refused *spec.Error
			if err == nil {
				return
			}
			if errors.Is(err, plan.ErrUnsupported) {
				t.Skip(err) // no tile of the library fits at all
			}
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			hint := refused.Problems[0].Hint
			if strings.HasPrefix(hint, "keep") {
				c.Keep = "none"
				continue
			}
			near := pins(t, "kernels: [{pin: {"+hint+"}}]").Kernels[0].Pin
			before := c
			merge(&c, near)
			if c == before {
				t.Fatalf("%v: the hint proposes what was refused", err)
			}
		}
		t.Fatalf("still refused after twelve proposals: %+v", c)
	})
}

func merge(c *plan.Choice, o plan.Choice) {
	into, from := reflect.ValueOf(c).Elem(), reflect.ValueOf(o)
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			into.Field(i).Set(from.Field(i))
		}
	}
}

// choice draws a pin of a tiled product.
func choice(t *rapid.T) plan.Choice {
	c := plan.Choice{Kernel: "tiled"}
	side := rapid.SampledFrom([]int64{1, 2, 3, 16, 48, 64, 100, 128, 256, 512, 2048})
	maybe := func(name string, from ...int64) int64 { return rapid.SampledFrom(append(from, 0)).Draw(t, name) }
	if rapid.Bool().Draw(t, "pin the tile") {
		c.Tile = plan.Tile{Rows: side.Draw(t, "rows"), Cols: side.Draw(t, "cols")}
	}
	c.Depth, c.Split = maybe("depth", 1, 16, 64, 100, 4096), maybe("split", 1, 2, 5, 200)
	c.Stages, c.Blocks = maybe("stages", 1, 2, 3, 7, 40), maybe("blocks", 1, 2, 5)
	c.Keep = rapid.SampledFrom([]string{"", "none", "a", "b", "both"}).Draw(t, "keep")
	return c
}

// TestPinnedPlansHold: whatever is pinned, both fidelities do the planned work and nobody beats the floor.
func TestPinnedPlansHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mp := machine(t), plan.Mapping{}
		size := rapid.Int64Range(2, 1500)
		g := product("p", size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k"))
		mp.Profile = rapid.SampledFrom(m.Runtime.Profiles).Draw(t, "profile").Name
		mp.Pins = &plan.Pins{Kernels: []plan.Pin{{Pin: choice(t)}}}
		p, err := plan.Build(m, g, mp)
		var refused *spec.Error
		if errors.As(err, &refused) || errors.Is(err, plan.ErrUnsupported) {
			t.Skip(err) // what is refused is the matter of another test
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := analytic.Evaluate(p, analytic.Options{}); errors.Is(err, plan.ErrTooLarge) {
			t.Skip(err) // tiles of one element on a whole model take more than can be simulated
		}
		a, e := evaluate(t, p, false)
		if !a.Work.Equal(p.Work()) || !e.Work.Equal(p.Work()) {
			t.Fatalf("work %v and %v, planned %v", a.Work, e.Work, p.Work())
		}
		floor, err := analytic.Floor(p, analytic.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if floor > a.Makespan || floor > e.Makespan {
			t.Fatalf("floor %v, analytic %v, event %v", floor, a.Makespan, e.Makespan)
		}
	})
}

// TestPinsReadBack: as YAML and as JSON.
func TestPinsReadBack(t *testing.T) {
	p := pins(t, `
schema: strata.mapping/1
kernels:
  - match: {op: "q*", kind: gemm, phase: prefill, block: layer, m: 4, past: 3..9}
    pin: {kernel: tiled, tile: 128x256, depth: 64, split: 2, stages: 3, blocks: 1, keep: a, deal: n, protocol: ring}
fusion: [{fusion: norm-add, op: x, phase: decode, block: layer, fuse: false}]
placement: [{tensor: "*", role: kv, tier: hbm}]
`)
	text, err := spec.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	again := pins(t, string(text))
	if again.Hash() != p.Hash() {
		t.Errorf("as YAML it is another one:\n%s", text)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back plan.Pins
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Hash() != p.Hash() {
		t.Errorf("as JSON it is another one: %s", data)
	}
	if strict := pins(t, string(data)); strict.Hash() != p.Hash() {
		t.Errorf("JSON read as YAML is another one: %s", data)
	}
}

// FuzzPins: whatever the text, it is read or refused with places, and what is read can be planned or is refused.
func FuzzPins(f *testing.F) {
	for _, s := range []string{"{}", "kernels: [{pin: {tile: 64x64}}]", "kernels:\n  - match: {op: '[', past: 3..1}\n    pin: {}",
		`{"kernels":[{"match":{"m":-1},"pin":{"depth":0}}]}`,
		"fusion: [{fusion: norm-add, fuse: no}]", "placement: [{tier: hbm}]", "kernels: [{pin: {tile: 9999999x9999999, stages: 64, blocks: 64}}]",
		"kernels: [{pin: {split: 1024, depth: 1}}]"} {
		f.Add(s)
	}
	m, g := preset(f, "a100-sxm-80gb"), product("p", 128, 128, 1<<20)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := plan.ReadPins("m.yaml", []byte(text))
		var refused *spec.Error
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return
		}
		if _, err := plan.Build(m, g, plan.Mapping{Pins: p}); err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		} else if err != nil {
			for _, problem := range refused.Problems {
				if problem.File != "m.yaml" || problem.Line < 1 || problem.Path == "" || problem.Message == "" {
					t.Fatalf("%+v", problem)
				}
			}
		}
	})
}
