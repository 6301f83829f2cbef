package parallel

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stratasim/strata/interconnect"
)

// Groups of tensor 2, context 2, data 4 (two expert-parallel pairs), 3 stages: 48 ranks, tensor fastest, stages slowest.
func TestGroups(t *testing.T) {
	d := Degrees{TP: 2, CP: 2, EP: 2, PP: 3, DP: 4}
	if d.Chips() != 48 || (Degrees{}).Chips() != 1 {
		t.Errorf("%d chips", d.Chips())
	}
	for _, tt := range []struct {
		name string
		got  interconnect.Group
		want interconnect.Group
	}{
		{"tensor", d.Group(Tensor), interconnect.Group{Ranks: 2, Stride: 1}},
		{"context", d.Group(Context), interconnect.Group{Ranks: 2, Stride: 2}},
		{"expert", d.Group(Expert), interconnect.Group{Ranks: 2, Stride: 4}},
		{"data, with context", d.Group(Data), interconnect.Group{Ranks: 8, Stride: 2}},
		{"copies of experts", d.Experts(), interconnect.Group{Ranks: 4, Stride: 4}},
		{"neighbours", d.Group(Pipeline), interconnect.Group{Ranks: 2, Stride: 16}},
		{"ends", d.Ends(), interconnect.Group{Ranks: 2, Stride: 32}},
		{"world", d.World(), interconnect.Group{Ranks: 48, Stride: 1}},
		{"one stage", (Degrees{TP: 8}).Group(Pipeline), interconnect.Group{Ranks: 1, Stride: 8}},
		{"nothing", (Degrees{}).Group(Data), interconnect.Group{Ranks: 1, Stride: 1}},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, tt.got, tt.want)
		}
	}
	var names []string
	for k := range Kind(NumKinds) {
		names = append(names, k.String())
	}
	if !slices.Equal(names, []string{"tp", "cp", "ep", "dp", "pp"}) || Kind(9).String() != "unknown" {
		t.Errorf("kinds %q", names)
	}
}

// Groups alike cover all ranks once, in every dimension.
func TestGroupsCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64Range(1, 4).Draw(t, name) }
		d := Degrees{TP: n("tp"), CP: n("cp"), EP: n("ep"), PP: n("pp")}
		d.DP = d.EP * n("dp")
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, g := range []interconnect.Group{d.Group(Tensor), d.Group(Context), d.Group(Expert), d.Group(Data)} {
			span := g.Ranks * g.Stride
			if d.Chips()%span != 0 {
				t.Fatalf("%+v do not cover %d ranks side by side", g, d.Chips())
			}
		}
	})
}

func TestDegreesThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		d           Degrees
		field, want string
	}{
		{Degrees{TP: -1}, "tp", "-1: must be between 1 and"},
		{Degrees{PP: 1 << 40}, "pp", "must be between 1 and"},
		{Degrees{TP: 1 << 13, PP: 1 << 13}, "parallel", "at most 10000000 chips"},
		{Degrees{EP: 3, DP: 4}, "ep", "dp 4 is no multiple of it (dp must be a multiple of it, e.g. dp 6)"},
		{Degrees{Interleave: 2}, "interleave", "pp is 1"},
	} {
		err := tt.d.Validate()
		var f *FieldError
		if !errors.As(err, &f) || f.Field != tt.field || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %s: %s", tt.d, err, tt.field, tt.want)
		}
	}
}

// How models were divided in fact.
func TestDivide(t *testing.T) {
	for _, tt := range []struct {
		name          string
		layers, parts int64
		ends          bool
		want          []int64
	}{
		// BLOOM-176B: 70 layers on 12 stages, embedding and head count as a layer each (Scao et al., arXiv 2211.05100).
		{"BLOOM-176B", 70, 12, true, []int64{5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5}},
		{"MT-NLG 530B", 105, 35, false, slices.Repeat([]int64{3}, 35)},
		{"uneven", 10, 4, false, []int64{3, 3, 2, 2}},
		{"uneven with ends", 9, 4, true, []int64{2, 3, 3, 1}},
		{"alone", 7, 1, true, []int64{7}},
		{"a layer each", 3, 3, false, []int64{1, 1, 1}},
	} {
		got, err := Divide(tt.layers, tt.parts, tt.ends)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
	var f *FieldError
	if _, err := Divide(3, 4, false); !errors.As(err, &f) || f.Field != "pp" {
		t.Errorf("more stages than layers: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		layers := rapid.Int64Range(1, 200).Draw(t, "layers")
		parts := rapid.Int64Range(1, layers).Draw(t, "parts")
		split, err := Divide(layers, parts, rapid.Bool().Draw(t, "ends"))
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, n := range split {
			sum += n
			if n < 0 {
				t.Fatalf("%v", split)
			}
		}
		if sum != layers {
			t.Fatalf("%v of %d layers", split, layers)
		}
	})
	// A split that is given is kept, and chunks that do not take turns are joined.
	s := Step{Degrees: Degrees{PP: 2, Interleave: 2}, Layers: []Run{{Times: 8}}, Split: []int64{1, 2, 2, 3}}
	if got, err := s.split(2, 2); err != nil || !slices.Equal(got, []int64{1, 2, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := s.split(2, 1); err != nil || !slices.Equal(got, []int64{3, 5}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]int64{{8}, {1, 2, 3, 4}, {-1, 3, 3, 3}} {
		s.Split = bad
		if _, err := s.split(2, 2); !errors.As(err, &f) || f.Field != "stages" {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// Factors of the largest of n normal variables with a deviation of 2 %: SciPy's norm.ppf of Blom's positions.
func TestStraggler(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		want float64
	}{{1, 1}, {8, 1.0285}, {128, 1.0514}, {512, 1.0606}, {12288, 1.0777}} {
		if got := Straggler(0.02, tt.n); math.Abs(got-tt.want) > 2e-3 {
			t.Errorf("%d chips: %.4f, want %.4f", tt.n, got, tt.want)
		}
		if Straggler(0, tt.n) != 1 {
			t.Errorf("%d equal chips differ", tt.n)
		}
	}
}

// Causal attention over contiguous and zigzag parts, counted in blocks of queries and keys.
func TestImbalance(t *testing.T) {
	for cp := int64(1); cp <= 16; cp++ {
		n := 2 * cp // half parts
		work := func(parts ...int64) (w float64) {
			for _, q := range parts {
				w += float64(q) + 0.5 // of the diagonal block half
			}
			return w
		}
		var total, worst, worstZigzag float64
		for r := range cp {
			a, b := work(2*r, 2*r+1), work(r, n-1-r)
			total += a
			worst, worstZigzag = max(worst, a), max(worstZigzag, b)
		}
		if got := Imbalance(cp, false); math.Abs(got-worst/(total/float64(cp))) > 1e-9 {
			t.Errorf("%d contiguous parts: %g, counted %g", cp, got, worst/(total/float64(cp)))
		}
		if got := Imbalance(cp, true); math.Abs(got-worstZigzag/(total/float64(cp))) > 1e-9 {
			t.Errorf("%d zigzag parts: %g, counted %g", cp, got, worstZigzag/(total/float64(cp)))
		}
	}
}
