package plan

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch"
	"github.com/stratasim/strata/arch/presets"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

// TestBestTiling: the tiling that is taken is the first of the menu with the least time, and no bound is above the time that it bounds.
func TestBestTiling(t *testing.T) {
	machines := map[string]*arch.Machine{}
	for _, name := range presets.Names() {
		m, err := presets.Machine(name)
		if err != nil {
			t.Fatal(err)
		}
		machines[name] = m
	}
	rapid.Check(t, func(t *rapid.T) {
		m := machines[rapid.SampledFrom(presets.Names()).Draw(t, "machine")]
		p := Mapping{TP: 1, PP: 1, Profile: m.Runtime.Profiles[rapid.IntRange(0, len(m.Runtime.Profiles)-1).Draw(t, "profile")].Name}
		b, err := newBuilder(m, p, &Placement{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		dim := rapid.OneOf(rapid.Int64Range(1, 80), rapid.Int64Range(1, 9000), rapid.SampledFrom([]int64{256, 4096, 16384}))
		formats := []traces.DType{traces.BF16, traces.FP16, traces.FP8, traces.INT8}
		g := gemm{name: "x", batch: rapid.SampledFrom([]int64{1, 1, 1, 3, 40}).Draw(t, "batch"), m: dim.Draw(t, "m"), n: dim.Draw(t, "n"), k: dim.Draw(t, "k"),
			a: rapid.SampledFrom(formats).Draw(t, "a"), w: rapid.SampledFrom(formats).Draw(t, "w"), inHere: rapid.Bool().Draw(t, "in"), outHere: rapid.Bool().Draw(t, "out")}
		g.shared = g.batch == 1
		g.in = b.multiplies(&g)
		if g.lib = b.profile.GemmKernel(g.in); len(g.lib.Tiles) == 0 {
			return
		}
		if _, err := m.Chip.Cores.Matrix.Rate(g.in); err != nil {
			return
		}
		got, err := b.bestTiling(&g, nil)
		if err != nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		a, w, _ := g.operands()
		once := w
		if !g.inHere {
			once += a
		}
		r := b.roughly(&g, once)
		var best tiling
		least := units.Time(math.MaxInt64)
		menu, splits, want := b.narrow(&g, nil)
		for _, text := range menu {
			if want.rows, want.cols, err = arch.ParseTile(text); err != nil {
				t.Fatal(err)
			}
			for _, split := range splits {
				if b.shallow(&g, want.rows*want.cols, split) {
					continue
				}
				want.split = split
				one, err := b.tile(&g, want)
				if errors.Is(err, errNoRoom) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				took := b.tilingTime(&g, &one, math.MaxInt64)
				shape := r.of(b, &g, &one)
				far, near := r.least(&g, &one, &shape, split, true), r.least(&g, &one, &shape, split, false)
				if any := r.any(&g, &one, &shape) + r.adding(&g, split)*(1-slack); any > far*(1+1e-6) || far > near*(1+1e-6) || near > float64(took) {
					t.Errorf("%s, %+v: bounds %v, %v and %v, takes %v", m.Name, one.tileChoice, any, far, near, took)
				}
				if took < least {
					best, least = one, took
				}
			}
		}
		if got != best {
			t.Errorf("%s, %+v:\n%+v\n%+v", m.Name, g, got, best)
		}
	})
}

// TestEqualTilings: of thousands of tilings that take the same time the first of the menu is taken. That each of them looked through all
// others once took a quarter of a minute here.
func TestEqualTilings(t *testing.T) {
	m, err := presets.Machine("h100-sxm")
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBuilder(m, Mapping{TP: 1, PP: 1}, &Placement{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := gemm{name: "x", batch: 1, m: 64, n: 64, k: 1_000_000, a: traces.BF16, w: traces.BF16, shared: true}
	g.in = b.multiplies(&g)
	lib := *b.profile.GemmKernel(g.in)
	lib.Tiles, lib.Splits = append([]string{"16x16"}, slices.Repeat([]string{"64x64"}, 1000)...), slices.Repeat([]int64{8}, 64)
	lib.UpTo, lib.Depth, g.lib = nil, 16, &lib
	got, err := b.bestTiling(&g, nil)
	if err != nil {
		t.Fatal(err)
	}
	lib.Tiles, lib.Splits = []string{"64x64"}, []int64{8}
	if want, err := b.bestTiling(&g, nil); err != nil || got != want {
		t.Errorf("%+v, %v\n%+v", got, err, want)
	}
}
