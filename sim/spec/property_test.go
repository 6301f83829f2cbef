package spec_test

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
	"pgregory.net/rapid"
)

// devices generates devices that keep to all constraints.
func devices() *rapid.Generator[device] {
	word := rapid.StringN(1, 10, 40)
	return rapid.Custom(func(t *rapid.T) device {
		d := device{
			Name:        word.Draw(t, "name"),
			Description: rapid.String().Draw(t, "description"),
			Clock:       units.Hertz(rapid.Int64Range(1, 100e9).Draw(t, "clock")),
			Cores:       rapid.Int64Range(0, 1e6).Draw(t, "cores"),
			Small:       rapid.Int8().Draw(t, "small"),
			Share:       rapid.Float64Range(-math.MaxFloat64, 1.5).Draw(t, "share") + 0,
			Graphs:      rapid.Bool().Draw(t, "graphs"),
			Mode:        rapid.SampledFrom([]string{"", "serial", "chained"}).Draw(t, "mode"),
			Fusion:      rapid.SampledFrom([][]string{nil, {"norm-add"}, {"flash-attention", "norm-add"}}).Draw(t, "fusion"),
			Splits:      some(rapid.SliceOfN(rapid.Int64Min(1), 0, 4).Draw(t, "splits")),
			Rates:       full(rapid.MapOf(word, rapid.Int64Min(1)).Draw(t, "rates")),
			Notes:       full(rapid.MapOf(word, rapid.String()).Draw(t, "notes")),
			Efficiency:  rapid.Ptr(rapid.Float64Range(0x1p-1000, 1), true).Draw(t, "efficiency"),
			Cost:        rapid.Ptr(rapid.Custom(func(t *rapid.T) cost { return cost{units.DollarsPerHour(rapid.Float64Min(0).Draw(t, "hour"))} }), true).Draw(t, "cost"),
			Network: rapid.Ptr(rapid.Custom(func(t *rapid.T) network {
				return network{"ring", some(rapid.SliceOfN(rapid.Map(rapid.Int64(), func(n int64) link { return link{n} }), 0, 3).Draw(t, "links"))}
			}), true).Draw(t, "network"),
			Tiers: some(rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) tier {
				return tier{word.Draw(t, "tier"), units.Bytes(rapid.Int64Min(1).Draw(t, "capacity")), units.BytesPerSecond(rapid.Float64Range(14, 1e15).Draw(t, "bandwidth"))}
			}).Filter(func(t tier) bool { return t.Name != "void" }), 0, 3, func(t tier) string { return t.Name }).Draw(t, "tiers")),
		}
		return d
	})
}

// some and full turn what is empty into nil, as Decode does.
func some[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}

func full[T any](m map[string]T) map[string]T {
	if len(m) == 0 {
		return nil
	}
	return m
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := devices().Draw(t, "device")
		text, err := spec.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back device
		if err := spec.Decode("f", text, &back); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(d, back) {
			t.Fatalf("%s\nreads back as\n%+v, was\n%+v", text, back, d)
		}
		if again, _ := spec.Marshal(&back); string(again) != string(text) {
			t.Fatalf("two texts:\n%s\n%s", text, again)
		}
		if spec.Hash(d) != spec.Hash(&back) {
			t.Fatal("equal values, different hashes")
		}
	})
}

// TestJSON: what JSON writes is JSON, and Decode reads it back.
func TestJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := devices().Draw(t, "device")
		text, err := spec.JSON(d)
		if err != nil {
			t.Fatal(err)
		}
		var back device
		if !json.Valid(text) {
			t.Fatalf("not JSON: %s", text)
		}
		if err := spec.Decode("f", text, &back); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(d, back) {
			t.Fatalf("%s\nreads back as\n%+v, was\n%+v", text, back, d)
		}
	})
	if _, err := spec.JSON(device{Tiers: []tier{{Name: "\xff"}}}); err == nil || err.Error() != `tiers[0].name: "\xff" is not UTF-8` {
		t.Error(err)
	}
}

func TestHashTellsValuesApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := devices().Draw(t, "a"), devices().Draw(t, "b")
		if got, want := spec.Hash(a) == spec.Hash(b), reflect.DeepEqual(a, b); got != want {
			t.Fatalf("hashes equal: %v, values equal: %v", got, want)
		}
		// Every leaf counts.
		d := devices().Draw(t, "device")
		leaves := spec.Leaves(d)
		leaf := leaves[rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")]
		before := spec.Hash(d)
		for _, other := range []string{"other", "17", "18 GHz", "0.5", "true", "serial", "[norm-add]", "[3]", "19 B", "20 B/s", "21 USD/h", "switch"} {
			if other != leaf.Text && spec.Set(&d, leaf.Path, other) == nil {
				if got, err := spec.Get(d, leaf.Path); err == nil && got != leaf.Text && spec.Hash(d) == before {
					t.Fatalf("%s = %q and %q have the same hash", leaf.Path, leaf.Text, got)
				}
				break
			}
		}
	})
}

func TestHash(t *testing.T) {
	type a struct {
		X float64  `yaml:"x"`
		L []string `yaml:"l,omitempty"`
		P *float64 `yaml:"p,omitempty"`
	}
	type b struct {
		X float64  `yaml:"x"`
		L []string `yaml:"l,omitempty"`
		P *float64 `yaml:"p,omitempty"`
	}
	different := []any{a{}, b{}, a{X: math.Copysign(0, -1)}, a{X: 0x1p-1074}, a{L: []string{""}}, a{L: []string{"", ""}}, a{L: []string{"ab", "c"}}, a{L: []string{"a", "bc"}}, a{P: &zero}, a{X: math.NaN()}, a{X: math.Inf(1)}}
	seen := map[string]int{}
	for i, v := range different {
		h := spec.Hash(v)
		if j, ok := seen[h]; ok || len(h) != 64 {
			t.Errorf("values %d and %d: %s", i, j, h)
		}
		seen[h] = i
	}
	if spec.Hash(a{}) != spec.Hash(&a{L: []string{}}) {
		t.Error("an empty list is not no list")
	}
	if spec.Hash(device{Tiers: []tier{}, Rates: map[string]int64{}}) != spec.Hash(device{}) {
		t.Error("an empty map is not no map")
	}
	many := map[string]int64{}
	for i := range 100 {
		many[fmt.Sprint(i)] = int64(i)
	}
	first := spec.Hash(many)
	for range 20 {
		if spec.Hash(many) != first {
			t.Fatal("the order of a map shows")
		}
	}
}

func TestMarshal(t *testing.T) {
	d := decoded(t, good)
	d.Name, d.Description = "yes", "a: b # c"
	d.Notes = map[string]string{"1e3": " x", "[a]": "é\n\x01\u2028\U0001F600"}
	want := `name: "yes"
description: "a: b # c"
clock: 1.41 GHz
cores: 108
small: -128
share: 1.5
efficiency: 0.25
graphs: true
mode: chained
fusion: [norm-add]
splits: [1, 2]
waits: [2 ns]
tiers:
  - name: sram
    capacity: 40 MiB
  - name: hbm
    capacity: 80 GiB
    bandwidth: 2039 GB/s
rates:
  fp16: 1024
energy:
  hbm: 48 pJ/B
  sram: 1 pJ/B
network:
  topology: ring
  links:
    - lanes: 4
    - {}
cost:
  hour: 4.1 USD/h
notes:
  "1e3": " x"
  "[a]": "é\n\x01\u2028😀"
sources:
  clock: data sheet
  "tiers[hbm].bandwidth": data sheet
`
	got, err := spec.Marshal(d)
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if !reflect.DeepEqual(decoded(t, string(got)), d) {
		t.Error("reads back differently")
	}
	if got, err := spec.Marshal(device{}); err != nil || string(got) != "name: \"\"\nclock: 0 Hz\ncores: 0\ntiers: []\n" {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := spec.Marshal(&link{}); err != nil || string(got) != "{}\n" {
		t.Errorf("%v\n%s", err, got)
	}
	for want, v := range map[string]device{
		"share: NaN is not a finite number":                         {Share: math.NaN()},
		`name: "\xff" is not UTF-8`:                                 {Name: "\xff"},
		`tiers[hbm].bandwidth: "+Inf B/s": not a finite number`:     {Tiers: []tier{{Name: "hbm", Bandwidth: units.BytesPerSecond(math.Inf(1))}}},
		`fusion: "\xff" is not UTF-8`:                               {Fusion: []string{"\xff"}},
		"notes.a b: \"\\xff\" is not UTF-8":                         {Notes: map[string]string{"a b": "\xff"}},
		"rates: a key of 1025 bytes: a file has at most 1024 bytes": {Rates: map[string]int64{strings.Repeat("k", 1025): 1}},
		"rates: a key is empty":                                     {Rates: map[string]int64{"": 1}},
	} {
		if _, err := spec.Marshal(v); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	for _, s := range []string{"", "a: [", "- - - a", "name: |\n  x\n y", "a: {b: c, d}\n", "\"a\\u00e9\": 'x'\n", "? a\n: b", "a:\n- b: 1\n  c:\n  - d\n", "%YAML\n---\n", "&a *a !a", "a: >-\n  x\n\n  y\n", "tiers: [{name: x}, {name: x}]", "rates: {a.b: 1, \"[\": 2}", "\r\n\t", "a\u2028: b", "---\n...\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d device
		err := spec.Decode("f", data, &d)
		if err != nil {
			checkProblems(t, err)
			return
		}
		text, err := spec.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var back device
		if err := spec.Decode("g", text, &back); err != nil || !reflect.DeepEqual(d, back) {
			t.Fatalf("%q reads back as %+v, was %+v: %v", text, back, d, err)
		}
	})
}

// checkProblems demands what every error of Decode has.
func checkProblems(t *testing.T, err error) {
	list, ok := err.(*spec.Error)
	if !ok || len(list.Problems) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	last := 1
	for _, p := range list.Problems {
		if p.File != "f" || p.Line < last || p.Message == "" || strings.ContainsAny(p.String(), "\n\r\x1b") {
			t.Fatalf("%#v after line %d", p, last)
		}
		last = p.Line
	}
}
