package spec_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stratasim/strata/sim/spec"
	"pgregory.net/rapid"
)

func decoded(t interface{ Fatal(...any) }, data string) *device {
	var d device
	if err := spec.Decode("good.yaml", []byte(data), &d); err != nil {
		t.Fatal(err)
	}
	return &d
}

func TestSetAndGet(t *testing.T) {
	tests := []struct{ path, value, want string }{
		{"name", "other: name", "other: name"},
		{"clock", "1500 MHz", "1.5 GHz"},
		{"cores", " 12 ", "12"},
		{"share", "1e-3", "0.001"},
		{"share", "1e-9", "1e-09"},
		{"share", "-0", "0"},
		{"efficiency", "1", "1"},
		{"graphs", "false", "false"},
		{"mode", "", ""},
		{"fusion", "[flash-attention, \"norm-add\"]", "[flash-attention, norm-add]"},
		{"fusion[0]", "flash-attention", "flash-attention"},
		{"splits", "[1, 2, 4]", "[1, 2, 4]"},
		{"splits[1]", "5", "5"},
		{"waits", "\n- 1 ns\n- 2 us", "[1 ns, 2 us]"},
		{"tiers[hbm].bandwidth", "3 TB/s", "3 TB/s"},
		{"tiers[1].bandwidth", "3 TB/s", "3 TB/s"},
		{"rates.fp16", "2", "2"},
		{"rates.new", "3", "3"},
		{"notes.chip.memory[hbm].bandwidth", "[x]", "[x]"},
		{"network.topology", "switch", "switch"},
		{"network.links[1].lanes", "8", "8"},
		{"cost.hour", "$5/h", "5 USD/h"},
		{"sources.tiers[hbm]", "paper", "paper"},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			for _, d := range []*device{decoded(t, good), {Splits: []int64{1, 1}, Fusion: []string{""}, Tiers: []tier{{}, {Name: "hbm"}}, Network: &network{Links: make([]link, 2)}}} {
				shared := *d
				before := spec.Hash(shared)
				if err := spec.Set(d, test.path, test.value); err != nil {
					t.Fatal(err)
				}
				if got, err := spec.Get(d, test.path); err != nil || got != test.want {
					t.Errorf("got %q, %v; want %q", got, err, test.want)
				}
				if spec.Hash(shared) != before {
					t.Error("a copy of the value changed too")
				}
			}
		})
	}
}

func TestSetProblems(t *testing.T) {
	const fields = "unknown field; the fields here are name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources"
	tests := []struct{ path, value, want string }{
		{"", "1", "is no single value; it has name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources (name one of them)"},
		{"clok", "1 GHz", "clok: " + fields + ` (did you mean "clock"?)`},
		{".clock", "1 GHz", fields},
		{"clock.rate", "1 GHz", `clock: is a single value, without a part ".rate"`},
		{"clock", "1", `clock: "1": a frequency needs a unit, e.g. "1.41 GHz"`},
		{"clock", "0 Hz", `clock: "0 Hz": must be more than 0 Hz`},
		{"name", "", "name: must not be empty"},
		{"cores", "010", `cores: "010": must be a whole number (leave out the leading zeros)`},
		{"mode", "seral", `mode: "seral": must be one of serial, chained (did you mean "serial"?)`},
		{"efficiency", "2", `efficiency: "2": must be at most 1`},
		{"tiers", "[]", "tiers: is no single value; it has sram, hbm (name one of them)"},
		{"tiers.hbm", "1", "tiers: expected an element in brackets (it has sram, hbm)"},
		{"tiers[hbm", "1", "tiers: expected an element in brackets (it has sram, hbm)"},
		{"tiers[hbn].bandwidth", "1 B/s", `tiers[hbn]: no such element; it has sram, hbm (did you mean "hbm"?)`},
		{"tiers[2].bandwidth", "1 B/s", `tiers[2]: no such element; it has sram, hbm`},
		{"tiers[01].bandwidth", "1 B/s", `tiers[01]: no such element; it has sram, hbm`},
		{"tiers[hbm]", "1 B/s", `tiers[hbm]: is no single value; it has name, capacity, bandwidth (name one of them)`},
		{"tiers[hbm]bandwidth", "1 B/s", `tiers[hbm]: expected a point before "bandwidth"`},
		{"network[0]", "1", `network: expected a point before "[0]"`},
		{"tiers[hbm].bandwith", "1 B/s", `tiers[hbm].bandwith: unknown field; the fields here are name, capacity, bandwidth (did you mean "bandwidth"?)`},
		{"tiers[hbm].bandwidth", "-1 B/s", `tiers[hbm].bandwidth: "-1 B/s": must be at least 0 B/s`},
		{"tiers[hbm].name", "sram", `tiers[hbm]: "sram": the name is used before`},
		{"rates", "5", "rates: is no single value; it has fp16 (name one of them)"},
		{"rates.", "5", "rates: expected a point and a name"},
		{"rates[fp16]", "5", "rates: expected a point and a name"},
		{"rates.int8", "0", `rates.int8: "0": must be at least 1`},
		{"splits", "4", `splits: expected a list, got "4" (write [4])`},
		{"splits", "[1, x]", `splits[1]: "x": must be a whole number`},
		{"splits", "[]", `splits: 0 elements: must be at least 1`},
		{"splits", "[1", "splits: sequence end token ']' not found"},
		{"splits", "", "splits: the list is empty (write [a, b])"},
		{"splits[0]", "0", `splits[0]: "0": must be more than 0`},
		{"splits[2]", "1", `splits[2]: no such element; it has 0, 1`},
		{"fusion", "[norm-add, norm-add]", `fusion[1]: "norm-add": the value is used before`},
		{"network.links[0].lanes", "x", `network.links[0].lanes: "x": must be a whole number`},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			d := decoded(t, good)
			err := spec.Set(d, test.path, test.value)
			var p spec.Problem
			if !errors.As(err, &p) || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if !reflect.DeepEqual(d, decoded(t, good)) {
				t.Errorf("a change that failed left %+v", d)
			}
		})
	}
}

func TestSetOptionalParts(t *testing.T) {
	var d device
	if err := spec.Set(&d, "network.links[0].lanes", "1"); err == nil || err.Error() != "network.links[0]: no such element; it has nothing" {
		t.Error(err)
	}
	if err := spec.Set(&d, "cost.hour", "1"); err == nil || d.Cost != nil {
		t.Error(d.Cost, err)
	}
	if err := spec.Set(&d, "cost.hour", "1 USD/h"); err != nil || d.Cost == nil || d.Cost.Hour != 1 {
		t.Error(d.Cost, err)
	}
	if err := spec.Set(&d, "network.topology", "ring"); err != nil || d.Network.Topology != "ring" {
		t.Error(d.Network, err)
	}
	var v struct {
		P *struct {
			A int    `yaml:"a" spec:"required"`
			B int    `yaml:"b" spec:"required"`
			C string `yaml:"c"`
		} `yaml:"p"`
	}
	if err := spec.Set(&v, "p.a", "1"); err == nil || err.Error() != "p: is not given, and would lack b (describe it in a file)" || v.P != nil {
		t.Error(err)
	}
}

func TestGetProblems(t *testing.T) {
	for path, want := range map[string]string{
		"cost.hour":   "cost: is not given",
		"efficiency":  "efficiency: is not given",
		"rates.x":     "rates.x: is not given",
		"tiers":       "tiers: is no single value; it has nothing (name one of them)",
		"clock.x":     `clock: is a single value, without a part ".x"`,
		"network":     "network: is not given",
		"description": "",
	} {
		got, err := spec.Get(device{}, path)
		if want == "" && (err != nil || got != "") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %q, %v; want %s", path, got, err, want)
		}
	}
	if _, err := spec.Get(struct {
		X float64 `yaml:"x"`
	}{1 / zero}, "x"); err == nil || err.Error() != "x: +Inf is not a finite number" {
		t.Error(err)
	}
}

var zero float64

// TestSetEveryLeaf takes two devices and makes one of the other, leaf by leaf.
func TestSetEveryLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := devices().Draw(t, "device")
		for _, leaf := range spec.Leaves(d) {
			got, err := spec.Get(d, leaf.Path)
			if err != nil || got != leaf.Text {
				t.Fatalf("%s: got %q, %v; want %q", leaf.Path, got, err, leaf.Text)
			}
			before := spec.Hash(d)
			if err := spec.Set(&d, leaf.Path, leaf.Text); err != nil {
				t.Fatal(err)
			}
			if spec.Hash(d) != before {
				t.Fatalf("setting %s to what it is changed something", leaf.Path)
			}
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, path := range []string{"clock", "tiers[hbm].name", "fusion", "rates.x", "network.links[0].lanes", "splits[0]", "cost.hour", "waits", "sources.a.b", "tiers[]..[", "]", ".", "efficiency"} {
		f.Add(path, "1 GHz")
		f.Add(path, "[1 ns, 2]")
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		d := decoded(t, good)
		err := spec.Set(d, path, value)
		if err != nil {
			if !reflect.DeepEqual(d, decoded(t, good)) {
				t.Fatalf("a change that failed (%v) left %+v", err, d)
			}
			return
		}
		text, err := spec.Get(d, path)
		if err != nil {
			// Renaming an element makes its old path void.
			if old, _ := spec.Get(decoded(t, good), path); old == "" || spec.Set(decoded(t, good), path, old) != nil {
				t.Fatal(err)
			}
			return
		}
		after := spec.Hash(d)
		if err := spec.Set(d, path, text); err != nil || spec.Hash(d) != after {
			t.Fatalf("setting %q to its own text %q: %v", path, text, err)
		}
	})
}
