package costs

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/arch/plan"
	"github.com/stratasim/strata/sim/units"
	"github.com/stratasim/strata/traces"
)

func gemm(m, n, k int64) plan.Query {
	return plan.Query{Arch: "a100-sxm-80gb", Name: "qkv", Phase: "decode", Kind: "gemm", Batch: 1, M: m, N: n, K: k, DType: traces.BF16, WeightDType: traces.BF16}
}

func read(t *testing.T, text string) *Table {
	t.Helper()
	table, err := ReadTable("x.csv", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestTable: the row with the most columns filled in wins, then the first.
func TestTable(t *testing.T) {
	table := read(t, `# measured on a rainy day
kind,arch,name,phase,m,n,k,dtype,seconds,joules
gemm,,,,,,,,1e-3,
gemm,,,,8,,,,2 ms,
gemm,,q*,,8,12,,,3ms,5 mJ
gemm,,,decode,8,12,16,,4000 us,
gemm,,,prefill,8,12,16,,5 ms,
,h100*,,,,,,,6 ms,
rmsnorm,,,,,,,fp8,7e-3,
add+rmsnorm,,,,,,,,8e-3,
`)
	fused := plan.Query{Arch: "a", Kind: "add+rmsnorm", Rows: 8, Cols: 8, DType: traces.FP8}
	norm := fused
	norm.Kind = "rmsnorm"
	wide := norm
	wide.DType = traces.BF16
	other := gemm(8, 13, 1)
	other.Name = "out/proj"
	hopper := wide
	hopper.Arch = "h100-sxm"
	for _, tt := range []struct {
		q    plan.Query
		ms   int64 // 0: the model's
		line int
	}{
		{gemm(1, 1, 1), 1, 3}, {gemm(8, 13, 16), 2, 4}, {other, 2, 4}, {gemm(8, 12, 17), 3, 5}, {gemm(8, 12, 16), 4, 6},
		{hopper, 6, 8}, {norm, 7, 9}, {fused, 8, 10}, {wide, 0, 0},
	} {
		c, ok, err := table.Cost(context.Background(), tt.q)
		if err != nil || ok != (tt.ms > 0) || c.Time != units.Time(tt.ms)*units.Millisecond {
			t.Errorf("%s: %v, %t, %v, want %d ms", tt.q.String(), c, ok, err, tt.ms)
		}
		if want := fmt.Sprintf("cost file x.csv, line %d", tt.line); ok && c.Source != want {
			t.Errorf("%s: %q, want %q", tt.q.String(), c.Source, want)
		}
	}
	if c, _, _ := table.Cost(context.Background(), gemm(8, 12, 17)); c.Joules != 0.005 {
		t.Errorf("%g J", float64(c.Joules))
	}
}

func TestTableErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "x.csv:1: no costs in the file"},
		{"kind,seconds\n", "x.csv:1: no costs"},
		{"kind,secnds\ngemm,1\n", `x.csv:1: column 2 is called "secnds" (did you mean "seconds"?)`},
		{"kind,m\ngemm,1\n", "x.csv:1: seconds: no such column"},
		{"kind,seconds,seconds\ngemm,1,1\n", "x.csv:1: seconds: the column is there twice"},
		{"kind,seconds\n\ngem,1\n", `x.csv:3: kind: "gem" is no kind of operator (did you mean "gemm"?)`},
		{"kind,rows,seconds\ngemm,1,1\n", "x.csv:2: rows: gemm has no such dimension"},
		{"kind,seconds\ngemm,-1\n", "x.csv:2: seconds: -1 s: a time must not be negative"},
		{"kind,seconds\ngemm,NaN\n", `x.csv:2: seconds: "NaN": must be a number`},
		{"kind,seconds\ngemm,0x1p3\n", `x.csv:2: seconds: "0x1p3": must be a number`},
		{"kind,seconds\ngemm,1 h\n", `x.csv:2: seconds: "1 h": must be a number, or a number with a unit: ps`},
		{"kind,seconds\ngemm,1e9\n", "x.csv:2: seconds: 1e+09 s: a simulated time is at most"},
		{"kind,seconds\ngemm,\n", "x.csv:2: seconds: nothing is given"},
		{"kind,seconds,joules\ngemm,1,-2\n", "x.csv:2: joules: -2 J: an energy must be more than 0"},
		{"kind,m,seconds\ngemm,1.5,1\n", `x.csv:2: m: "1.5": must be a whole number`},
		{"kind,m,seconds\ngemm,0,1\n", `x.csv:2: m: "0": must be a whole number`},
		{"kind,dtype,seconds\ngemm,bf15,1\n", `x.csv:2: dtype: unknown data type "bf15"`},
		{"kind,causal,seconds\nattention,yes,1\n", `x.csv:2: causal: "yes": must be true or false`},
		{"kind,name,seconds\ngemm,[,1\n", `x.csv:2: name: "[" is no pattern`},
		{"kind,m,seconds\ngemm,1,1\ngemm,2,1\ngemm,1,2\n", "x.csv:4: for the same operators as line 2"},
		{"kind,m,seconds\ngemm,1\n", "x.csv:2: wrong number of fields"},
		{"kind,m,seconds\n\"gemm,1\n", "extraneous or missing \" in quoted-field"},
		{"\xff", "x.csv:1: not a text in UTF-8"},
	} {
		_, err := ReadTable("x.csv", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// TestInterpolate: a power law is met to the picosecond between its rows, and nothing is said beyond them.
func TestInterpolate(t *testing.T) {
	var b strings.Builder
	b.WriteString("kind,m,n,seconds,joules\n")
	law := func(m, n int64) float64 { return 1e-9 * float64(m) * float64(n) }
	for _, m := range []int64{1, 4, 64} {
		for _, n := range []int64{16, 256} {
			fmt.Fprintf(&b, "gemm,%d,%d,%g,%g\n", m, n, law(m, n), law(m, n))
		}
	}
	exact := read(t, b.String())
	table := read(t, b.String())
	table.Interpolate = true
	if exact.Key() == table.Key() {
		t.Error("what is interpolated has the key of what is not")
	}
	rapid.Check(t, func(t *rapid.T) {
		m, n := rapid.Int64Range(1, 80).Draw(t, "m"), rapid.Int64Range(10, 300).Draw(t, "n")
		c, ok, _ := table.Cost(context.Background(), gemm(m, n, 7))
		if inside := m <= 64 && n >= 16 && n <= 256; ok != inside {
			t.Fatalf("%d×%d: %t", m, n, ok)
		}
		if !ok {
			if !strings.Contains(c.Source, "outside of the rows of cost file x.csv") {
				t.Errorf("reason %q", c.Source)
			}
			return
		}
		want, _ := units.Seconds(law(m, n))
		if d := c.Time - want; d < -1 || d > 1 {
			t.Errorf("%d×%d: %v, want %v", m, n, c.Time, want)
		}
		if _, plain, _ := exact.Cost(context.Background(), gemm(m, n, 7)); plain != (m == 1 || m == 4 || m == 64) && (n == 16 || n == 256) {
			t.Error("without interpolation only rows count")
		}
	})
	// Rows of two other shapes beside those that are bracketed, and lengths of caches from 0 on.
	table = read(t, "kind,m,n,k,past_len,seconds\ngemm,8,4,4,,8 us\ngemm,12,9,9,,1 s\ngemm,32,4,4,,32 us\nattention,,,,0,1 us\nattention,,,,99,10 us\n")
	table.Interpolate = true
	if c, ok, _ := table.Cost(context.Background(), gemm(16, 4, 4)); !ok || c.Time != 16*units.Microsecond || c.Source != "cost file x.csv, between lines 2, 4" {
		t.Errorf("%v", c)
	}
	if _, ok, _ := table.Cost(context.Background(), gemm(16, 4, 5)); ok {
		t.Error("extrapolated")
	}
	if c, ok, _ := table.Cost(context.Background(), plan.Query{Kind: "attention", PastLen: 9}); !ok || (c.Time-units.Time(3162277)).Seconds() > 1e-12 {
		t.Errorf("%v", c)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("kind,m,seconds\ngemm,8,1 us\n", int64(8))
	f.Add("kind,name,phase,m,n,k,dtype,seconds,joules\ngemm,q*,,8,,,bf16,1e-3,1\n", int64(9))
	f.Add("kind,past_len,causal,seconds\nattention,0,true,5\n", int64(0))
	f.Fuzz(func(t *testing.T, text string, m int64) {
		table, err := ReadTable("x.csv", []byte(text))
		if err != nil {
			return
		}
		table.Interpolate = true
		q := gemm(max(m, 1), 8, 8)
		c, ok, err := table.Cost(context.Background(), q)
		if err != nil || ok && (c.Time < 0 || c.Time > units.MaxTime || c.Joules < 0 || c.Source == "") {
			t.Errorf("%v, %v", c, err)
		}
	})
}
