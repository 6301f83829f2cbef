package spec_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stratasim/strata/sim/spec"
	"github.com/stratasim/strata/sim/units"
)

func TestDecode(t *testing.T) {
	want := device{
		Name: "dev", Description: "one: two", Clock: 1410e6, Cores: 108, Small: -128, Share: 1.5, Efficiency: pointer(0.25),
		Graphs: true, Mode: "chained", Fusion: []string{"norm-add"}, Splits: []int64{1, 2}, Waits: []units.Time{2000},
		Tiers:  []tier{{Name: "sram", Capacity: 40 << 20}, {Name: "hbm", Capacity: 80 << 30, Bandwidth: 2039e9}},
		Rates:  map[string]int64{"fp16": 1024},
		Energy: map[string]units.JoulesPerByte{"sram": 1e-12, "hbm": 48e-12}, Network: &network{Topology: "ring", Links: []link{{4}, {}}},
		Cost: &cost{4.1}, Notes: map[string]string{"a.b": "c"}, Sources: spec.Sources{"clock": "data sheet", "tiers[hbm].bandwidth": "data sheet"},
	}
	for _, data := range []string{good, "\ufeff" + good, "---\n" + good + "...\n# end\n", strings.ReplaceAll(good, "\n", "\r\n")} {
		got := device{Mode: "what was there before does not stay", Splits: []int64{9}}
		if err := spec.Decode("good.yaml", []byte(data), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestProblems holds what people read when their file is wrong: every line of it, exactly.
func TestProblems(t *testing.T) {
	const head = "name: dev\nclock: 1 GHz\ncores: 1\ntiers: []\n" // lines 1 to 4: all that is needed
	tests := []struct{ name, data, want string }{
		// The file as such.
		{"empty", "", "f:1: the file is empty"},
		{"comment", "# nothing\n\n", "f:1: the file is empty"},
		{"null", "---\n", "f:1: the file is empty"},
		{"zero byte", "name: a\nclock: \x00", "f:2: not a text file: it has a zero byte"},
		{"latin 1", "# caf\xe9\n", "f:1: not a text in UTF-8"},
		{"control after old line ends", "name: a\r\r\n# \x1b[31m\n", "f:3: control character U+001B"},
		{"empty lines", "name: a\n" + strings.Repeat("  \n", 200), "f:2: more than 50 empty lines in a row"},
		{"control", "name: a\n# \x1b[31m\n", "f:2: control character U+001B"},
		{"list", "- a\n", "f:1: expected a mapping, got a list"},
		{"word", "a100\n", `f:1: expected a mapping, got "a100"`},
		{"document", head + "---\nname: b\n", "f:5: a second document begins here (a file has one document; remove ---)"},
		{"document end", head + "...\nname: b\n", "f:5: a second document begins here (a file has one document; remove ...)"},
		{"tab", head + "cost:\n\thour: 1 USD/h\n", `f:6: a tab (use spaces; within double quotes, write \t)`},
		{"bracket", head + "splits: [1, 2\nmode: serial\n", "f:6: ',' or ']' must be specified"},
		{"quote", head + "mode: \"x\n", "f:5: could not find end character of double-quoted text"},
		{"two colons", head + "mode: a: b\n", "f:5: mapping value is not allowed in this context"},
		{"escape", head + "mode: \"\\q\"\n", "f:5: found unknown escape character 'q'"},
		{"anchor", head + "cost: &c {hour: 1 USD/h}\n", "f:5: anchors (&name) are not supported (write the value out)"},
		{"alias", head + "cost: *c\n", "f:5: aliases (*name) are not supported (write the value out)"},
		{"merge", head + "cost: {<<: {hour: 1 USD/h}}\n", "f:5: merge keys (<<) are not supported (write the fields out)"},
		{"tag", head + "mode: !!str serial\n", "f:5: tags (!name) are not supported (put text that begins with ! in quotes)"},
		{"directive", "%YAML 1.2\n---\n" + head, "f:1: directives (%) are not supported"},
		{"explicit key", "? name\n: b\n", `f:1: keys marked with ? are not supported (write "key: value")`},
		{"empty key", head + "rates: {\"\": 1}\n", "f:5: a key is empty"},
		{"key of brackets", "[a]: 1\n", "f:1: found an invalid key for this map"},
		// Fields.
		{"missing", "mode: serial\n", "f:1: name: is missing\nf:1: clock: is missing"},
		{"missing inside", head + "network:\n  links: []\n", "f:5: network.topology: is missing"},
		{"unknown", head + "cloc: 2 GHz\n", `f:5: cloc: unknown field; the fields here are name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources (did you mean "clock"?)`},
		{"unknown inside", head + "cost: {hour: 1 USD/h,\n  x y: 2}\n", "f:6: cost.x y: unknown field; the fields here are hour"},
		{"twice", head + "mode: serial\nname: a\n", "f:6: name: is given twice, first in line 1"},
		{"twice inside", head + "rates: {a: 1, b: 2,\n  a: 2}\n", "f:6: rates.a: is given twice, first in line 5"},
		{"twice unknown", head + "xxxxx: 1\nxxxxx: 2\n", "f:5: xxxxx: unknown field; the fields here are name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources\nf:6: xxxxx: is given twice, first in line 5"},
		{"no value", head + "mode:\n", "f:5: mode: has no value (give one or leave the field out)"},
		{"null value", head + "cost: ~\n", "f:5: cost: has no value (give one or leave the field out)"},
		{"null element", head + "splits: [1, null]\n", "f:5: splits[1]: has no value (give one or leave the field out)"},
		{"mapping for text", head + "mode: {a: 1}\n", "f:5: mode: expected a single value, got a mapping"},
		{"list for text", head + "mode: [a]\n", "f:5: mode: expected a single value, got a list"},
		{"list for mapping", head + "cost: [1]\n", "f:5: cost: expected a mapping, got a list"},
		{"list for map", head + "rates: [1]\n", "f:5: rates: expected a mapping, got a list"},
		{"text for list", head + "splits: 4\n", `f:5: splits: expected a list, got "4" (write [4])`},
		{"mapping for list", head + "splits: {a: 4}\n", "f:5: splits: expected a list, got a mapping"},
		{"text for mapping", head + "cost: 4 USD/h\n", `f:5: cost: expected a mapping, got "4 USD/h"`},
		{"text for element", "name: a\nclock: 1 GHz\ntiers:\n  - sram\n", `f:4: tiers[0]: expected a mapping, got "sram"`},
		// Values.
		{"no unit", head + "cost:\n  hour: 80\n", `f:6: cost.hour: "80": a price per hour needs a unit, e.g. "4.10 USD/h"`},
		{"no unit in a named element", "name: a\nclock: 1 GHz\ntiers:\n- capacity: 8 GiB\n  name: hbm\n  bandwidth: 2000\n", `f:6: tiers[hbm].bandwidth: "2000": a bandwidth needs a unit, e.g. "3.35 TB/s"`},
		{"wrong unit", "name: a\nclock: 1 GHZ\n", `f:2: clock: "1 GHZ": unknown unit "GHZ" for a frequency, e.g. "1.41 GHz" (write "GHz")`},
		{"quantity in a map", head + "energy: {hbm: 3 J}\n", `f:5: energy.hbm: "3 J": unknown unit "J" for an energy per byte, e.g. "48 pJ/B" ("J" is for an energy)`},
		{"leading zeros", head + "small: 010\nshare: 00.5\n", "f:5: small: \"010\": must be a whole number (leave out the leading zeros)\nf:6: share: \"00.5\": must be a finite number (leave out the leading zeros)"},
		{"octal", head + "small: 0o17\n", `f:5: small: "0o17": must be a whole number (write it in decimal)`},
		{"separators", head + "rates: {a: 1_000, b: \"1,000\"}\n", "f:5: rates.a: \"1_000\": must be a whole number (write digits without separators)\nf:5: rates.b: \"1,000\": must be a whole number (write digits without separators)"},
		{"plus", head + "rates: {a: +5}\n", `f:5: rates.a: "+5": must be a whole number (leave out the +)`},
		{"exponent", head + "rates: {a: 1e3}\n", `f:5: rates.a: "1e3": must be a whole number (write 1000)`},
		{"fraction", head + "rates: {a: 1.5}\n", `f:5: rates.a: "1.5": must be a whole number`},
		{"unit too many", head + "rates: {a: 108 cores}\n", `f:5: rates.a: "108 cores": must be a whole number (it has no unit)`},
		{"word for number", head + "rates: {a: many}\n", `f:5: rates.a: "many": must be a whole number`},
		{"not a number", head + "share: .nan\n", `f:5: share: ".nan": must be a finite number`},
		{"NaN", head + "share: NaN\n", `f:5: share: "NaN": must be a finite number`},
		{"infinite", head + "share: -.inf\n", `f:5: share: "-.inf": must be a finite number`},
		{"Inf", head + "share: Inf\n", `f:5: share: "Inf": must be a finite number`},
		{"no digit before the point", head + "share: .5\n", `f:5: share: ".5": must be a finite number (write 0 before the decimal point)`},
		{"no digit after the point", head + "share: 1.\n", `f:5: share: "1.": must be a finite number (write 1)`},
		{"large", head + "share: 1e999\n", `f:5: share: "1e999": too large for a number`},
		{"tiny", head + "share: 1e-999\n", `f:5: share: "1e-999": too small for a number`},
		{"overflow", head + "rates: {a: 9223372036854775808}\n", `f:5: rates.a: "9223372036854775808": must be from -9223372036854775808 to 9223372036854775807`},
		{"overflow of 8 bits", head + "small: 128\n", `f:5: small: "128": must be from -128 to 127`},
		{"truth", head + "graphs: yes\n", `f:5: graphs: "yes": must be true or false (write true)`},
		{"untruth", head + "graphs: 0\n", `f:5: graphs: "0": must be true or false (write false)`},
		{"no truth", head + "graphs: maybe\n", `f:5: graphs: "maybe": must be true or false`},
		{"long", head + "share: " + strings.Repeat("ä", 70) + "\n", `f:5: share: "` + strings.Repeat("ä", 60) + `…": must be a finite number`},
		{"two lines", head + "share: \"a\\nb\"\n\"a\\nb\": 1\n", `f:5: share: "a\nb": must be a finite number` + "\nf:6: a b: unknown field; the fields here are name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources"},
		// Constraints.
		{"min", "name: a\nclock: 1 GHz\ncores: -1\n", `f:3: cores: "-1": must be at least 0`},
		{"max", "name: a\nclock: 1 GHz\ncores: 1000001\n", `f:3: cores: "1000001": must be at most 1000000`},
		{"gt", "name: a\nclock: 0 Hz\n", `f:2: clock: "0 Hz": must be more than 0 Hz`},
		{"max of a quantity", "name: a\nclock: 101 GHz\n", `f:2: clock: "101 GHz": must be at most 100 GHz`},
		{"plain zero", "name: a\nclock: 1 GHz\ntiers:\n  - {name: x, capacity: 0 B}\n", `f:4: tiers[x].capacity: "0 B": must be more than 0 B`},
		{"pointer", head + "efficiency: 1.25\n", `f:5: efficiency: "1.25": must be at most 1`},
		{"map", head + "rates:\n  a: 0\n", `f:6: rates.a: "0": must be at least 1`},
		{"short list", head + "splits: []\n", "f:5: splits: 0 elements: must be at least 1"},
		{"long list", head + "splits: [1, 2, 3, 4, 5]\n", "f:5: splits: 5 elements: must be at most 4"},
		{"element", head + "splits:\n- 1\n- 0\n", `f:7: splits[1]: "0": must be more than 0`},
		{"quantity element", head + "waits: [1 ns, 999 ps]\n", `f:5: waits[1]: "999 ps": must be at least 1 ns`},
		{"long quantity list", head + "waits: [1 ns, 2 ns, 3 ns, 4 ns]\n", "f:5: waits: 4 elements: must be at most 3"},
		{"oneof", head + "mode: cained\n", `f:5: mode: "cained": must be one of serial, chained (did you mean "chained"?)`},
		{"oneof far away", head + "mode: pqrxyz\n", `f:5: mode: "pqrxyz": must be one of serial, chained`},
		{"oneof in a list", head + "fusion: [norm-add, flash]\n", `f:5: fusion[1]: "flash": must be one of norm-add, flash-attention (did you mean "flash-attention"?)`},
		{"unique values", head + "fusion: [norm-add, norm-add]\n", `f:5: fusion[1]: "norm-add": the value is used before`},
		{"unique names", "name: a\nclock: 1 GHz\ntiers:\n  - {name: x, capacity: 1 B}\n  - {capacity: 1 B, name: x}\n", `f:5: tiers[1].name: "x": the name is used before`},
		{"names missing", "name: a\nclock: 1 GHz\ntiers:\n  - {capacity: 1 B}\n  - {capacity: 1 B}\n", "f:4: tiers[0].name: is missing\nf:5: tiers[1].name: is missing"},
		{"empty name", "name: ''\nclock: 1 GHz\n", "f:1: name: must not be empty"},
		{"misleading names", "name: a\nclock: 1 GHz\ntiers:\n  - {name: '1', capacity: 1}\n  - {name: 'a[b]', capacity: 1}\n", "f:4: tiers[0].capacity: \"1\": a byte count needs a unit, e.g. \"80 GiB\"\nf:5: tiers[1].capacity: \"1\": a byte count needs a unit, e.g. \"80 GiB\""},
		// What parts say about themselves.
		{"inner part", "name: a\nclock: 1 GHz\nenergy: {x: 0 J/B}\ntiers:\n  - name: x\n    bandwidth: 13 B/s\n    capacity: 1 B\n", "f:6: tiers[x].bandwidth: 13 B/s brings bad luck (take 12 B/s)"},
		{"part as such", "name: a\nclock: 1 GHz\ntiers:\n  - capacity: 1 B\n    name: void\n", "f:4: tiers[void]: is a void"},
		{"outer part", "name: a\nclock: 1 GHz\ntiers: [{name: x, capacity: 1 B}]\nnetwork:\n  topology: ring\nenergy:\n  x: 0 J/B\n", "f:4: network.links[0]: may be wrong too\nf:7: energy.x: the tier costs nothing"},
		{"line of what encloses", "name: a\nclock: 1 GHz\ntiers: [{name: x, capacity: 1 B}]\nenergy: {y: 0 J/B}\n", "f:1: network.links[0]: may be wrong too\nf:4: energy.x: the tier costs nothing"},
		// Everything at once, by line.
		{"many", "clock: 1\ncores: 1.5\nsmal: 2\nmode: x\n", `f:1: clock: "1": a frequency needs a unit, e.g. "1.41 GHz"` + "\nf:1: name: is missing\nf:2: cores: \"1.5\": must be a whole number\n" +
			`f:3: smal: unknown field; the fields here are name, description, clock, cores, small, share, efficiency, graphs, mode, fusion, splits, waits, tiers, rates, energy, network, cost, notes, sources (did you mean "small"?)` + "\nf:4: mode: \"x\": must be one of serial, chained"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := device{Name: "before", Splits: []int64{7}}
			d := before
			err := spec.Decode("f", []byte(test.data), &d)
			var list *spec.Error
			if !errors.As(err, &list) {
				t.Fatalf("%v is no *spec.Error", err)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%s\nwant\n%s", err, test.want)
			}
			if !reflect.DeepEqual(d, before) {
				t.Errorf("a file with problems changed the value to %+v", d)
			}
		})
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	err := spec.Decode("f", []byte("name: a\nclock: 1 GHz\nrates:\n"+strings.Repeat("  a: 1\n", 61)), &device{})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 51 || lines[0] != "f:5: rates.a: is given twice, first in line 4" || lines[50] != "and 10 more" {
		t.Errorf("%d lines, the first %q, the last %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

func TestProblemText(t *testing.T) {
	for want, p := range map[string]spec.Problem{
		"m":                {Message: "m"},
		"f: p: m":          {File: "f", Path: "p", Message: "m"},
		"line 3: m (h)":    {Line: 3, Message: "m", Hint: "h"},
		"a b:1: p q: m  n": {File: "a\nb", Line: 1, Path: "p\tq", Message: "m\r\nn"},
	} {
		if p.String() != want || p.Error() != want {
			t.Errorf("%q, want %q", p, want)
		}
	}
}

// TestHostile gives the reader what would cost it much time or stack: it must refuse, and soon.
func TestHostile(t *testing.T) {
	const (
		mega   = 1 << 20
		some   = 30_000 // fewer than there may be marks
		marked = "more than 100000 characters that mean something in YAML, such as "
	)
	tests := []struct{ name, data, want string }{
		{"too large", strings.Repeat("#", 4*mega+1), "f:1: 4194305 bytes: a file has at most 4194304"},
		{"comments", strings.Repeat("# x\n", some), "f:1: the file is empty"},
		{"tabs in quotes", "name: \"" + strings.Repeat("\t", mega), `f:1: a tab (use spaces; within double quotes, write \t)`},
		{"empty lines of a text", "name: |\n  x\n" + strings.Repeat("\n", mega), "f:3: more than 50 empty lines in a row"},
		{"almost as many", "name: |\n" + strings.Repeat("  x\n"+strings.Repeat("\n", 50), mega/55), "f:1: clock: is missing"},
		{"brackets", strings.Repeat("[", some), "f:1: nested more than 64 levels deep"},
		{"braces", strings.Repeat("{a: ", some), "f:1: nested more than 64 levels deep"},
		{"dashes", strings.Repeat("- ", some), "f:1: nested more than 64 levels deep"},
		{"question marks", strings.Repeat("? ", some), `f:1: keys marked with ? are not supported (write "key: value")`},
		{"tags", strings.Repeat("!a ", some), "f:1: tags (!name) are not supported (put text that begins with ! in quotes)"},
		{"anchors", strings.Repeat("&a ", some), "f:1: anchors (&name) are not supported (write the value out)"},
		{"keys", strings.Repeat("a: 1\n", some), "f:10001: more than 10000 values"},
		{"empty keys", strings.Repeat("a:\n", some), "f:10001: more than 10000 values"},
		{"elements", "splits: [" + strings.Repeat("1,", some), "f:1: more than 10000 values"},
		{"documents", strings.Repeat("---\n", some), "f:2: a second document begins here (a file has one document; remove ---)"},
		{"long key", strings.Repeat("k", 4*mega-9) + ": 1\n", "f:1: a key of more than 1024 bytes"},
		{"long text", "name: " + strings.Repeat("k", 4*mega-6), "f:1: clock: is missing"},
		{"marks of a list", "splits: [" + strings.Repeat("1,", mega/2), "f:1: " + marked + ","},
		{"marks of comments", strings.Repeat("#\n", mega/2), "f:100001: " + marked + "# (several files, or fewer comments)"},
		{"marks of texts", strings.Repeat("|\n", mega/2), "f:100001: " + marked + "|"},
		{"reserved marks", strings.Repeat("@", mega), "f:1: " + marked + "@"},
		{"marks in quotes", "name: '" + strings.Repeat("[", mega) + "'", "f:1: " + marked + "["},
		{"dashes in names", "name: " + strings.Repeat("-", mega), "f:1: clock: is missing"},
		{"aliases", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "f:1: anchors (&name) are not supported (write the value out)"},
	}
	var levels strings.Builder
	for i := range 1000 {
		levels.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	tests = append(tests, struct{ name, data, want string }{"levels", levels.String(), "f:65: nested more than 64 levels deep"})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			err := spec.Decode("f", []byte(test.data), &device{})
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %.200s\nwant %s", fmt.Sprint(err), test.want)
			}
			if err != nil && len(err.Error()) > 2000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			// Generous: it takes seconds at worst on a slow machine, and minutes when it goes wrong.
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %v", d)
			} else {
				t.Log(d)
			}
		})
	}
}

// TestAtTheLimits reads the largest file that is allowed.
func TestAtTheLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("name: a\nclock: 1 GHz\ntiers: []\ncores: 1\nnotes:\n")
	for i := range 9995 {
		fmt.Fprintf(&b, "  n%d: x\n", i)
	}
	var d device
	if err := spec.Decode("f", []byte(b.String()), &d); err != nil || len(d.Notes) != 9995 {
		t.Errorf("%d notes, %v", len(d.Notes), err)
	}
}

// TestLongName: each path below an element has its name, so a name of any length would be there as often as there are fields.
func TestLongName(t *testing.T) {
	for _, tt := range []struct {
		length int
		at     string
	}{{256, "tiers[" + strings.Repeat("n", 256) + "].size"}, {257, "tiers[0].size"}} {
		err := spec.Decode("f", []byte("name: a\nclock: 1 GHz\ntiers: [{name: "+strings.Repeat("n", tt.length)+", capacity: 8 GiB, size: 1}]\n"), &device{})
		var e *spec.Error
		if !errors.As(err, &e) || e.Problems[0].Path != tt.at {
			t.Errorf("a name of %d bytes: %v", tt.length, err)
		}
	}
}

func TestValidate(t *testing.T) {
	d := device{Tiers: []tier{{Name: "void"}, {Name: "b"}}, Energy: map[string]units.JoulesPerByte{"void": 1}}
	if err := spec.Validate(&d); err == nil || err.Error() != "tiers[void]: is a void" {
		t.Errorf("inner part: %v", err)
	}
	d.Tiers = d.Tiers[1:]
	if err := spec.Validate(d); err == nil || err.Error() != "energy.b: the tier costs nothing\nnetwork.links[0]: may be wrong too" {
		t.Errorf("outer part: %v", err)
	}
	d.Energy = nil
	if err := spec.Validate(&d); err != nil {
		t.Error(err)
	}
}

func TestMistakesInTheProgram(t *testing.T) {
	type loop struct {
		Next []struct {
			Self []any `yaml:"self"`
		} `yaml:"next"`
	}
	tests := []struct {
		want string
		v    any
	}{
		{"is not a pointer to a struct", device{}},
		{"is not a pointer to a struct", (*device)(nil)},
		{"is not a pointer to a struct", new(int)},
		{"is not a pointer to a struct", nil},
		{"cannot be written", &loop{}},
		{"contains itself", &node{}},
		{"A: needs a yaml tag", &struct{ A int }{}},
		{"A: needs a yaml tag", &struct {
			A int `yaml:",omitempty"`
		}{}},
		{`unknown yaml option "inline"`, &struct {
			A cost `yaml:"a,inline"`
		}{}},
		{`name "a" is used twice`, &struct {
			A int `yaml:"a"`
			B int `yaml:"a"`
		}{}},
		{`name "a.b" cannot be part of a path`, &struct {
			A int `yaml:"a.b"`
		}{}},
		{"uint", &struct {
			A uint `yaml:"a"`
		}{}},
		{"[][]int", &struct {
			A [][]int `yaml:"a"`
		}{}},
		{"map[int]int", &struct {
			A map[int]int `yaml:"a"`
		}{}},
		{"map[string]spec_test.cost", &struct {
			A map[string]cost `yaml:"a"`
		}{}},
		{"*[]int", &struct {
			A *[]int `yaml:"a"`
		}{}},
		{"**int", &struct {
			A **int `yaml:"a"`
		}{}},
		{"[]*int", &struct {
			A []*int `yaml:"a"`
		}{}},
		{"reads text but does not write it", &struct {
			A mute `yaml:"a"`
		}{}},
		{`unknown constraint "positive"`, &struct {
			A int `yaml:"a" spec:"positive"`
		}{}},
		{`unknown constraint "required=true"`, &struct {
			A int `yaml:"a" spec:"required=true"`
		}{}},
		{`unknown constraint "min"`, &struct {
			A int `yaml:"a" spec:"min"`
		}{}},
		{`constraint "min" is given twice`, &struct {
			A int `yaml:"a" spec:"min=1,min=2"`
		}{}},
		{"contradict", &struct {
			A int `yaml:"a,omitempty" spec:"required"`
		}{}},
		{"breaks its own constraints", &struct {
			A int `yaml:"a" spec:"gt=0"`
		}{}},
		{"breaks its own constraints", &struct {
			A []int `yaml:"a" spec:"min=1"`
		}{}},
		{"breaks its own constraints", &struct {
			A string `yaml:"a" spec:"oneof=a|b"`
		}{}},
		{"min needs a number", &struct {
			A string `yaml:"a" spec:"min=1"`
		}{}},
		{"max needs a number", &struct {
			A cost `yaml:"a" spec:"max=1"`
		}{}},
		{"gt needs a number", &struct {
			A []cost `yaml:"a" spec:"gt=1"`
		}{}},
		{"whole number", &struct {
			A int `yaml:"a" spec:"min=1.5"`
		}{}},
		{"needs a unit", &struct {
			A units.Bytes `yaml:"a" spec:"min=1"`
		}{}},
		{"min and gt are both given", &struct {
			A int `yaml:"a" spec:"min=1,gt=1"`
		}{}},
		{"no value is more than 1 and at most 1", &struct {
			A int `yaml:"a" spec:"gt=1,max=1"`
		}{}},
		{"a length of -1", &struct {
			A []int `yaml:"a" spec:"min=-1"`
		}{}},
		{"unique needs a list", &struct {
			A string `yaml:"a" spec:"unique"`
		}{}},
		{"unique needs a list", &struct {
			A []cost `yaml:"a" spec:"unique"`
		}{}},
		{"oneof needs a text", &struct {
			A int `yaml:"a" spec:"oneof=1|2"`
		}{}},
		{"oneof needs a text", &struct {
			A string `yaml:"a" spec:"oneof=|"`
		}{}},
	}
	for _, test := range tests {
		t.Run(test.want, func(t *testing.T) {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, test.want) {
					t.Errorf("panic %s, want %q", r, test.want)
				}
			}()
			t.Errorf("no panic but %v", spec.Decode("f", []byte("a: 1\n"), test.v))
		})
	}
}

type node struct {
	Below []node `yaml:"below"`
}

type mute struct{}

func (*mute) UnmarshalText([]byte) error { return os.ErrInvalid }

// shout is a type with its own text and its own errors.
type shout struct{ word string }

func (s *shout) UnmarshalText(text []byte) error {
	if strings.ToUpper(string(text)) != string(text) {
		return fmt.Errorf("louder")
	}
	s.word = string(text)
	return nil
}

func (s shout) MarshalText() ([]byte, error) { return []byte(s.word), nil }

func TestOwnText(t *testing.T) {
	var v struct {
		Word shout `yaml:"word"`
	}
	if err := spec.Decode("f", []byte("word: hey\n"), &v); err == nil || err.Error() != `f:1: word: "hey": louder` {
		t.Error(err)
	}
	if err := spec.Decode("f", []byte("word: HEY\n"), &v); err != nil || v.Word.word != "HEY" {
		t.Error(v, err)
	}
	if out, err := spec.Marshal(v); err != nil || string(out) != "word: HEY\n" {
		t.Errorf("%s, %v", out, err)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := []byte(good + strings.Repeat("# comment\n", 10))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := spec.Decode("good.yaml", data, &device{}); err != nil {
			b.Fatal(err)
		}
	}
}
