package compute_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/compute"
	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

func systolic(rows, cols, arrays int64, dataflow, mode string) compute.Matrix {
	return compute.Matrix{Kind: "systolic", Rows: rows, Columns: cols, Arrays: arrays, Dataflow: dataflow, Mode: mode,
		Types: map[string]int64{"bf16": 1, "fp32": 6}}
}

// The serial values are SCALE-Sim's: total_cycles + 1 of runs of SCALE-Sim v2 (commit 22f88b1) with
// unlimited bandwidth, which reports the number of its last cycle. Those of the other modes are worked
// out by hand from the package comment.
func TestSystolic(t *testing.T) {
	for _, c := range []struct {
		rows, cols     int64
		dataflow, mode string
		m, n, k        int64
		steady, fill   units.Cycles
	}{
		// One fold of T+R+C−2 = 1+4+4−2; SCALE-Sim: 6.
		{4, 4, "os", "serial", 1, 1, 1, 7, 0},
		// The tool's paper, ISPASS 2020, figure 4: N×N×N on an N×N array takes 3N−2.
		{4, 4, "os", "serial", 4, 4, 4, 10, 0},
		{32, 32, "os", "serial", 32, 32, 32, 94, 0},
		// ⌈64/12⌉·⌈64/14⌉ = 30 folds of 64+2·12+14−2 = 100; SCALE-Sim: 2999.
		{12, 14, "ws", "serial", 64, 64, 64, 3000, 0},
		// ws: (Sr, Sc, T) = (K, N, M): ⌈20/8⌉·⌈9/4⌉ = 9 folds of 5+2·8+4−2 = 23.
		{8, 4, "ws", "serial", 5, 9, 20, 207, 0},
		// is: (K, M, N): ⌈20/8⌉·⌈5/4⌉ = 6 folds of 9+2·8+4−2 = 27.
		{8, 4, "is", "serial", 5, 9, 20, 162, 0},
		// os: (M, N, K): ⌈5/8⌉·⌈9/4⌉ = 3 folds of 20+8+4−2 = 30.
		{8, 4, "os", "serial", 5, 9, 20, 90, 0},
		// Nothing to load: as serial.
		{8, 4, "os", "hidden-load", 5, 9, 20, 90, 0},
		// 9 folds of max(5+10, 8) = 15 after 8 cycles of loading.
		{8, 4, "ws", "hidden-load", 5, 9, 20, 135, 8},
		// The load hides the stream and not the other way round: T+R+C−2 = 1+8+1−2 = 8 = R; then R = 9 of 1.
		{8, 1, "ws", "hidden-load", 1, 1, 24, 24, 8},
		// 9 folds at max(5, 8) = 8, and once the load 8, stream 5 and skew 10, less the one counted.
		{8, 4, "ws", "chained", 5, 9, 20, 72, 15},
		// The same with T = 100 > R: 9·100, and 8+10.
		{8, 4, "ws", "chained", 100, 9, 20, 900, 18},
		{8, 4, "is", "chained", 5, 9, 20, 54, 18},
		// 3 folds at max(20, 8), skew 10.
		{8, 4, "os", "chained", 5, 9, 20, 60, 10},
		// T = 2 < R = 8: the results of 3 folds leave at 8 cycles each; alone a fold takes 2+10.
		{8, 4, "os", "chained", 5, 9, 2, 24, 4},
		// TPU v4's array: ⌈4096/128⌉² = 1024 folds of 4096, and once 128+254.
		{128, 128, "ws", "chained", 4096, 4096, 4096, 1024 * 4096, 382},
	} {
		u := systolic(c.rows, c.cols, 1, c.dataflow, c.mode)
		got, err := u.Cycles(traces.BF16, c.m, c.n, c.k)
		if want := (compute.Cycles{Steady: c.steady, Fill: c.fill}); err != nil || got != want {
			t.Errorf("%d×%d %s %s, %d×%d×%d: %+v, %v; want %+v", c.rows, c.cols, c.dataflow, c.mode, c.m, c.n, c.k, got, err, want)
		}
	}
}

// Folds are dealt out to the arrays of a core, and each is passed over as often as its type needs.
func TestSystolicArraysAndPasses(t *testing.T) {
	for _, c := range []struct {
		arrays int64
		dtype  traces.DType
		steady units.Cycles
	}{
		{1, traces.BF16, 9 * 23}, {2, traces.BF16, 5 * 23}, {4, traces.BF16, 3 * 23}, {9, traces.BF16, 23},
		// 36 of 100 arrays have a quarter of the stream of a fold each: 2+2·8+4−2.
		{100, traces.BF16, 19},
		{1, traces.FP32, 9 * 6 * 23}, {4, traces.FP32, 3 * 6 * 23},
	} {
		got, err := systolic(8, 4, c.arrays, "ws", "serial").Cycles(c.dtype, 5, 9, 20)
		if err != nil || got != (compute.Cycles{Steady: c.steady}) {
			t.Errorf("%d arrays, %v: %+v, %v; want %d", c.arrays, c.dtype, got, err, c.steady)
		}
	}
}

func mma() compute.Matrix {
	return compute.Matrix{Kind: "mma", FMA: map[string]int64{"bf16": 1024, "fp32": 64, "int8": 2048}}
}

func TestMMA(t *testing.T) {
	for _, c := range []struct {
		dtype   traces.DType
		m, n, k int64
		want    units.Cycles
	}{
		{traces.BF16, 128, 128, 32, 512},
		{traces.FP32, 128, 128, 32, 8192},
		{traces.INT8, 128, 128, 32, 256},
		{traces.BF16, 1, 1, 1, 1}, // part of a cycle is a cycle
		{traces.BF16, 1, 1, 1024, 1},
		{traces.BF16, 1, 1, 1025, 2},
		{traces.BF16, 7, 11, 13, 1},
		{traces.BF16, 7 * 11, 13, 2, 2}, // 2002
		{traces.BF16, 1 << 30, 1 << 30, 4, 1 << 52},
	} {
		got, err := mma().Cycles(c.dtype, c.m, c.n, c.k)
		if err != nil || got != (compute.Cycles{Steady: c.want}) {
			t.Errorf("%v %d×%d×%d: %+v, %v; want %d", c.dtype, c.m, c.n, c.k, got, err, c.want)
		}
	}
}

func TestRate(t *testing.T) {
	for _, c := range []struct {
		unit  compute.Matrix
		dtype traces.DType
		want  int64
	}{
		{mma(), traces.BF16, 1024},
		{mma(), traces.INT8, 2048},
		{systolic(128, 128, 4, "ws", "chained"), traces.BF16, 4 * 128 * 128},
		{systolic(128, 128, 4, "ws", "chained"), traces.FP32, 10922}, // 65536/6, rounded down
		{systolic(2, 2, 1, "ws", "chained"), traces.FP32, 1},         // and not to nothing
		{systolic(65536, 65536, 65536, "os", "serial"), traces.BF16, 1 << 48},
	} {
		if got, err := c.unit.Rate(c.dtype); err != nil || got != c.want {
			t.Errorf("%+v %v: %d, %v; want %d", c.unit, c.dtype, got, err, c.want)
		}
	}
	if s := mma().SustainedShare(); s != 1 {
		t.Errorf("a share of %v where none is given", s)
	}
	u, half := mma(), 0.5
	if u.Efficiency = &half; u.SustainedShare() != 0.5 {
		t.Errorf("a share of %v, not 0.5", u.SustainedShare())
	}
}

func TestUnsupportedType(t *testing.T) {
	for _, u := range []compute.Matrix{mma(), systolic(4, 4, 1, "os", "serial")} {
		_, err := u.Rate(traces.FP8)
		_, err2 := u.Cycles(traces.FP8, 1, 1, 1)
		var e *compute.UnsupportedType
		if !errors.As(err, &e) || !errors.As(err2, &e) || e.Type != traces.FP8 || !slices.IsSorted(e.Known) || len(e.Known) != len(u.Rates()) {
			t.Errorf("%s: %v, %v", u.Kind, err, err2)
		}
	}
	_, err := mma().Rate(traces.FP8)
	if want := "the matrix unit has no rate for fp8; it knows bf16, fp32, int8"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
}

// Counts that do not fit are an error, never a small or negative number.
func TestOverflow(t *testing.T) {
	const most = math.MaxInt64
	for _, c := range []struct {
		unit    compute.Matrix
		m, n, k int64
	}{
		{mma(), most, 2, 1},
		{mma(), 1 << 32, 1 << 31, 1},
		{mma(), 1 << 31, 1 << 31, 2},
		{systolic(1, 1, 1, "os", "serial"), most, 2, 1},
		{systolic(1, 1, 1, "os", "serial"), 1 << 32, 1 << 20, 1 << 20}, // folds fit, cycles do not
		{systolic(128, 128, 1, "os", "serial"), 1, 1, most},            // one fold that does not
		{systolic(128, 128, 1, "ws", "hidden-load"), most - 300, 1, 1},
		{systolic(128, 128, 1, "is", "chained"), 1, most, 1},
	} {
		got, err := c.unit.Cycles(traces.BF16, c.m, c.n, c.k)
		if err == nil || !strings.Contains(err.Error(), "overflows") || got != (compute.Cycles{}) {
			t.Errorf("%s %s %s %d×%d×%d: %+v, %v", c.unit.Kind, c.unit.Dataflow, c.unit.Mode, c.m, c.n, c.k, got, err)
		}
	}
}

func drawUnit(t *rapid.T) compute.Matrix {
	if rapid.Bool().Draw(t, "mma") {
		return compute.Matrix{Kind: "mma", FMA: map[string]int64{"bf16": rapid.Int64Range(1, 5000).Draw(t, "fma")}}
	}
	side := rapid.Int64Range(1, 200)
	return systolic(side.Draw(t, "rows"), side.Draw(t, "columns"), rapid.Int64Range(1, 9).Draw(t, "arrays"),
		rapid.SampledFrom([]string{"os", "ws", "is"}).Draw(t, "dataflow"), rapid.SampledFrom([]string{"serial", "hidden-load", "chained"}).Draw(t, "mode"))
}

// More of anything never takes fewer cycles, nor less than a unit at its full rate.
func TestCyclesMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUnit(t)
		size := rapid.Int64Range(1, 2000)
		d := [3]int64{size.Draw(t, "m"), size.Draw(t, "n"), size.Draw(t, "k")}
		c, err := u.Cycles(traces.BF16, d[0], d[1], d[2])
		if err != nil {
			t.Fatal(err)
		}
		rate, err := u.Rate(traces.BF16)
		if err != nil {
			t.Fatal(err)
		}
		if work := d[0] * d[1] * d[2]; int64(c.Steady)*rate < work || c.Fill < 0 {
			t.Fatalf("%+v at %d a cycle for %d multiply-adds", c, rate, work)
		}
		for i := range d {
			more := d
			more[i] += size.Draw(t, "more")
			c2, err := u.Cycles(traces.BF16, more[0], more[1], more[2])
			if err != nil || c2.Steady < c.Steady || c2.Steady+c2.Fill < c.Steady+c.Fill {
				t.Fatalf("%v: %+v; %v: %+v, %v", d, c, more, c2, err)
			}
		}
	})
}

// Tiles one after the other take Steady each and Fill once: as many folds in one go.
func TestFillIsPaidOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := drawUnit(t)
		if u.Kind == "mma" {
			t.Skip("no folds")
		}
		stream := rapid.Int64Range(1, 500).Draw(t, "stream")
		folds := rapid.Int64Range(1, 50).Draw(t, "folds")
		// folds×arrays tiles along the first dimension that stays in place
		product := func(rows int64) compute.Cycles {
			m, n, k := stream, u.Columns, rows
			switch u.Dataflow {
			case "os":
				m, n, k = rows, u.Columns, stream
			case "is":
				m, n, k = u.Columns, stream, rows
			}
			c, err := u.Cycles(traces.BF16, m, n, k)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		one, all := product(u.Rows*u.Arrays), product(u.Rows*u.Arrays*folds)
		if all.Steady != one.Steady*units.Cycles(folds) || all.Fill != one.Fill {
			t.Fatalf("%d folds: %+v, one: %+v", folds, all, one)
		}
		// The modes do the same work; on one array each hides more than the one before.
		u.Arrays = 1
		var total [3]units.Cycles
		for i, mode := range []string{"serial", "hidden-load", "chained"} {
			u.Mode = mode
			c := product(u.Rows * folds)
			total[i] = c.Steady + c.Fill
		}
		if total[0] < total[1] || total[1] < total[2] {
			t.Fatalf("serial, hidden-load, chained: %v", total)
		}
	})
}

func TestMatrixValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(u *compute.Matrix)
		unit   compute.Matrix
		want   string // path: message (hint)
	}{
		{"mma", nil, mma(), ""},
		{"systolic", nil, systolic(4, 4, 1, "os", "serial"), ""},
		{"no rows", func(u *compute.Matrix) { u.Rows = 0 }, systolic(4, 4, 1, "os", "serial"), "rows: a systolic unit needs it, at least 1 (e.g. 128)"},
		{"no columns", func(u *compute.Matrix) { u.Columns = 0 }, systolic(4, 4, 1, "os", "serial"), "columns: a systolic unit needs it, at least 1 (e.g. 128)"},
		{"no arrays", func(u *compute.Matrix) { u.Arrays = 0 }, systolic(4, 4, 1, "os", "serial"), "arrays: a systolic unit needs it, at least 1 (e.g. 128)"},
		{"no dataflow", func(u *compute.Matrix) { u.Dataflow = "" }, systolic(4, 4, 1, "os", "serial"), "dataflow: a systolic unit needs it (os, ws or is)"},
		{"no mode", func(u *compute.Matrix) { u.Mode = "" }, systolic(4, 4, 1, "os", "serial"), "mode: a systolic unit needs it (serial, hidden-load or chained)"},
		{"rates", func(u *compute.Matrix) { u.FMA = map[string]int64{"bf16": 1} }, systolic(4, 4, 1, "os", "serial"),
			"fma_per_cycle: belongs to kind mma (a systolic unit's rate follows from its rows, columns and arrays)"},
		{"no types", func(u *compute.Matrix) { u.Types = nil }, systolic(4, 4, 1, "os", "serial"), "passes: at least one data type is needed (e.g. {bf16: 1024})"},
		{"no rates", func(u *compute.Matrix) { u.FMA = nil }, mma(), "fma_per_cycle: at least one data type is needed (e.g. {bf16: 1024})"},
		{"array", func(u *compute.Matrix) { u.Rows = 4 }, mma(),
			"kind: rows, columns, arrays, dataflow, mode, push, group and passes belong to kind systolic (remove them or change the kind)"},
		{"passes", func(u *compute.Matrix) { u.Types = map[string]int64{"bf16": 1} }, mma(),
			"kind: rows, columns, arrays, dataflow, mode, push, group and passes belong to kind systolic (remove them or change the kind)"},
		{"type", func(u *compute.Matrix) { u.FMA = map[string]int64{"bf17": 1} }, mma(),
			`fma_per_cycle.bf17: unknown data type "bf17"; known: ` + strings.Join(traces.DTypes(), ", ")},
		// No product would ever find it under that name.
		{"alias", func(u *compute.Matrix) { u.Types = map[string]int64{"bfloat16": 1} }, systolic(4, 4, 1, "os", "serial"),
			"passes.bfloat16: another name of bf16 (write bf16)"},
	} {
		if c.change != nil {
			c.change(&c.unit)
		}
		var got []string
		c.unit.Validate(func(path, message, hint string) {
			got = append(got, spec.Problem{Path: path, Message: message, Hint: hint}.String())
		})
		if text := strings.Join(got, "\n"); text != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, text, c.want)
		}
	}
}

// ExampleMatrix_Cycles is a product on one core of a TPU v4.
func ExampleMatrix_Cycles() {
	unit := compute.Matrix{Kind: "systolic", Rows: 128, Columns: 128, Arrays: 4, Dataflow: "ws", Mode: "chained", Types: map[string]int64{"bf16": 1}}
	c, err := unit.Cycles(traces.BF16, 512, 512, 512)
	fmt.Println(c.Steady, c.Fill, err)
	// Output: 2048 cycles 382 cycles <nil>
}
