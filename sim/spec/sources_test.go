package spec_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stratasim/strata/sim/spec"
)

func TestLeaves(t *testing.T) {
	var got []string
	spec.Walk(decoded(t, good), func(path, text string) { got = append(got, path+" = "+text) })
	want := []string{
		"name = dev", "description = one: two", "clock = 1.41 GHz", "cores = 108", "small = -128", "share = 1.5", "efficiency = 0.25",
		"graphs = true", "mode = chained", "fusion = [norm-add]", "splits = [1, 2]", "waits = [2 ns]",
		"tiers[sram].name = sram", "tiers[sram].capacity = 40 MiB",
		"tiers[hbm].name = hbm", "tiers[hbm].capacity = 80 GiB", "tiers[hbm].bandwidth = 2039 GB/s",
		"rates.fp16 = 1024", "energy.hbm = 48 pJ/B", "energy.sram = 1 pJ/B",
		"network.topology = ring", "network.links[0].lanes = 4", "cost.hour = 4.1 USD/h",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var again []string
	for _, l := range spec.Leaves(*decoded(t, good)) {
		again = append(again, l.Path+" = "+l.Text)
	}
	if !reflect.DeepEqual(again, want) {
		t.Errorf("Leaves: %q", again)
	}
	if got := spec.Leaves(device{}); !reflect.DeepEqual(got, []spec.Leaf{{"name", ""}, {"clock", "0 Hz"}, {"cores", "0"}}) {
		t.Errorf("of an empty device: %q", got)
	}
}

func TestSourcesCheck(t *testing.T) {
	all := spec.Sources{"clock": "a", "cores": "a", "small": "a", "share": "a", "efficiency": "a", "graphs": "a", "mode": "a", "fusion": "a", "splits": "a",
		"waits": "a", "tiers": "a", "rates.fp16": "a", "energy": "a", "network.links[0]": "a", "network.topology": "a", "cost.hour": "estimated: a"}
	with := func(change func(s spec.Sources)) spec.Sources {
		s := spec.Sources{}
		for k, v := range all {
			s[k] = v
		}
		change(s)
		return s
	}
	tests := []struct {
		name string
		s    spec.Sources
		want string
	}{
		{"all", all, ""},
		{"of elements", with(func(s spec.Sources) { delete(s, "tiers"); s["tiers[sram]"] = "b"; s["tiers[hbm]"] = "b" }), ""},
		{"also inside", with(func(s spec.Sources) { s["tiers[hbm].bandwidth"] = "b" }), ""},
		{"missing", with(func(s spec.Sources) { delete(s, "tiers"); s["tiers[hbm].capacity"] = "b"; delete(s, "fusion") }),
			"fusion: has no source (add it, or a part around it, to sources)\ntiers[sram].capacity: has no source (add it, or a part around it, to sources)\ntiers[hbm].bandwidth: has no source (add it, or a part around it, to sources)"},
		{"not given", with(func(s spec.Sources) { s["tiers[sram].bandwidth"] = "b" }), `sources.tiers[sram].bandwidth: nothing with this path is given (did you mean "tiers[hbm].bandwidth"?)`},
		{"misspelt", with(func(s spec.Sources) { s["tiers[hbn].capacity"] = "b" }), `sources.tiers[hbn].capacity: nothing with this path is given (did you mean "tiers[hbm].capacity"?)`},
		{"far away", with(func(s spec.Sources) { s["zzz"] = "b" }), "sources.zzz: nothing with this path is given"},
		{"unsourced", with(func(s spec.Sources) { s["notes"] = "b" }), "sources.notes: nothing with this path is given"},
		{"empty", with(func(s spec.Sources) { s["cost.hour"] = " " }), "sources.cost.hour: the source is empty (say where the value is from, or estimated: and how)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range test.s.Check(decoded(t, good)) {
				got = append(got, p.String())
			}
			if strings.Join(got, "\n") != test.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), test.want)
			}
		})
	}
	if n := len(spec.Sources(nil).Check(decoded(t, good))); n != 19 {
		t.Errorf("without sources: %d problems", n)
	}
}

func TestSourcesOf(t *testing.T) {
	s := spec.Sources{"runtime.profiles[a.b].gemm": "x", "runtime": "y", "tiers[a.b]": "z"}
	for path, want := range map[string]string{
		"runtime.profiles[a.b].gemm.tiles[0]": "x runtime.profiles[a.b].gemm true",
		"runtime.profiles[a.b].gemm":          "x runtime.profiles[a.b].gemm true",
		"runtime.profiles[a.b].gemmi":         "y runtime true",
		"runtime.profiles[c].gemm":            "y runtime true",
		"tiers[a.b].x":                        "z tiers[a.b] true",
		"tiers[a.c].x":                        "  false",
		"runtimes":                            "  false",
		"":                                    "  false",
	} {
		text, at, ok := s.Of(path)
		if got := fmt.Sprint(text, " ", at, " ", ok); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	machines := []string{"a100-sxm-80gb", "h100-sxm", "h100-pcie", "tpu-v4", "mi300x"}
	tests := []struct {
		name  string
		known []string
		want  string
	}{
		{"bandwith", []string{"name", "bandwidth", "width"}, "bandwidth"},
		{"bandwdith", []string{"name", "bandwidth", "width"}, "bandwidth"},
		{"Bandwidth", []string{"name", "bandwidth"}, "bandwidth"},
		{"hbn", []string{"smem", "l2", "hbm"}, "hbm"},
		{"l3", []string{"smem", "l2", "hbm"}, "l2"},
		{"a100", machines, "a100-sxm-80gb"},
		{"h100", machines, ""}, // two begin with it
		{"h100-sx", machines, "h100-sxm"},
		{"MI300", machines, "mi300x"},
		{"v4", machines, ""},
		{"pcie", machines, "h100-pcie"},
		{"nvidia-tpu-v4-pod", machines, "tpu-v4"},
		{"tpuv4", machines, "tpu-v4"},
		{"quantum", machines, ""},
		{"", machines, ""},
		{"x", []string{"y"}, ""},
		{"x", nil, ""},
		{strings.Repeat("x", 1<<20), machines, ""},
		{"switch", []string{strings.Repeat("x", 1<<20), "swich"}, "swich"},
		{"ab", []string{"ba", "aa"}, "ba"},
	}
	for _, test := range tests {
		if got := spec.Suggest(test.name, test.known); got != test.want {
			t.Errorf("%.30q among %.100q: %q, want %q", test.name, test.known, got, test.want)
		}
	}
}
